"""What one guest may use of the host, at most."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """
    Ceilings of one guest; what goes over them is a typed error, or a trap of that guest alone.

    Args:
        handles: Live resource handles of all kinds; 100,000 in one instance would end the whole process.
        sessions: Live sessions, each of which produces one reply at a time.
        prompt_bytes: UTF-8 bytes of one turn with its history, looked at before anything is tokenised.
        texts: Inputs of one ``embed``, or continuations of one ``score``.
        text_tokens: Tokens of all of them.
        tensor_bytes: Bytes of one tensor.
        held_bytes: Bytes of all tensors that the guest holds in the host.
        tensors: Inputs, or outputs, of one compute.
        rank: Axes of one tensor.
        compute_bytes: Memory that one compute may take in its graph's process, for outputs and all that is between.
        memory_bytes: Linear memory.
        output_bytes: Written to standard output and error together, where they do not go to the process's own.
        deadline_s: Wall-clock seconds from start to end; none is no limit.
        loaded_graphs: Live graphs that it loaded from bytes, each a process.
        graph_bytes: Bytes of one of them; one call of a guest carries 2,796,202 at most.
        load_s: Wall-clock seconds of one ``load``; PyTorch takes some of them to start.
        worker_bytes: Memory that the process of such a graph may write on; OpenVINO begins with 0.15 GiB, PyTorch with
            0.35 GiB.
        worker_cpu_s: Processor seconds of such a process, from its start to its end.
    """

    handles: int = 1_000
    sessions: int = 16
    prompt_bytes: int = 4 << 20
    texts: int = 2_048
    text_tokens: int = 1 << 20
    tensor_bytes: int = 1 << 30
    held_bytes: int = 2 << 30
    tensors: int = 64
    rank: int = 16
    compute_bytes: int = 4 << 30
    memory_bytes: int = 1 << 30
    output_bytes: int = 256 << 20
    deadline_s: float | None = None
    loaded_graphs: int = 4
    graph_bytes: int = 4 << 20
    load_s: float = 60.0
    worker_bytes: int = 2 << 30
    worker_cpu_s: int = 300
