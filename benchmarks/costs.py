"""What grows: each function measures one kind of size and gives samples of its costs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple, Self

import numpy as np
from folders import random_ir
from made_up import words
from measure import CACHE, ROOT

from wit_llm import Grant, Host, Limits
from wit_llm.cli.packaged import CHAT_GUEST
from wit_llm.events import Event, GraphLoaded
from wit_llm.host import Running
from wit_llm.registry import embedded

_REPLY_TOKENS = 16
# Of a reply of the model's, which takes 20 ms a token.
_MODEL_TOKENS = 1024
_ECHO_TOKENS = 256
_PROBE_WORDS = 30
_IDLE_S = 0.5
# Of fewer, what each of them takes is less than what a process takes and gives back meanwhile.
_WEIGHED = 30
_MANY = 20_000


class Cost(NamedTuple):
    """
    What is measured.

    Args:
        name: Of what.
        unit: Of the values.
        most: The exponent that it may have.
    """

    name: str
    unit: str
    most: float


class Sample(NamedTuple):
    """One value at one size."""

    cost: Cost
    size: float
    value: float


@dataclass(frozen=True, slots=True)
class Plan:
    """What to measure: sizes, how often, and a model folder; none is the 135M shape."""

    sizes: Sequence[int]
    rounds: int
    model: Path | None = None

    @property
    def grant(self) -> Grant:
        """The model."""
        return Grant("model", self.model or random_ir(), backend="openvino")


class Process:
    """A host with a graph that is measured, and others; what it and its workers use."""

    def __init__(self, grant: Grant, *others: Grant, limits: Limits | None = None) -> None:
        self.graph = grant.name
        self._workers: list[int] = []
        self.host = Host([grant, *others], limits=limits, sink=self._note, cache_dir=CACHE / "wit-llm")

    @classmethod
    def of_echo(cls, name: str, *others: Grant, limits: Limits | None = None) -> Self:
        """With ``echo``, or ``echo-worker``, and a window without end."""
        settings = {"window": str(1 << 24), "max_num_seqs": "1024"}
        return cls(Grant(name, embedded(name).path, name, settings=settings), *others, limits=limits)

    def _note(self, event: Event) -> None:
        if isinstance(event, GraphLoaded) and event.pid is not None:
            self._workers.append(event.pid)

    def close(self) -> None:
        """End it."""
        self.host.close()

    @property
    def host_mb(self) -> float:
        """Resident now."""
        return _resident_mb(os.getpid())

    @property
    def worker_mb(self) -> float:
        """Resident now, of the graph's process."""
        return sum(map(_resident_mb, self._workers))

    def ask(self, text: str, tokens: int) -> dict[str, int]:
        """A reply of that many tokens by the packaged guest: its own statistics."""
        arguments = ["--ignore-eos", "--max-output-tokens", str(tokens), "--stats", self.graph]
        outcome = self.host.run(CHAT_GUEST, arguments, stdin=f"{text}\n".encode())
        if outcome.exit_code:
            raise RuntimeError(outcome.stderr.decode())
        stats: dict[str, int] = json.loads(next(line for line in outcome.stderr.splitlines() if line.startswith(b"{")))
        if stats["generated_tokens"] != tokens:
            raise RuntimeError(f"{stats['generated_tokens']} tokens came, of {tokens}")
        return stats

    def drive(self, source: str, *arguments: object, each: Callable[[dict[str, Any]], None]) -> None:
        """Run a source in the test-suite's Python guest; ``each`` gets what it shows, while it waits."""
        written = bytearray()
        with TemporaryDirectory() as folder:
            seen = Path(folder)

            def look(data: bytes) -> None:
                written.extend(data)
                if written.endswith(b"\n"):
                    each(json.loads(written))
                    written.clear()
                    (seen / "shown").touch()

            guest = self.host.start(
                _driver(),
                [source, self.graph, *map(str, arguments)],
                stdin=b"",
                stdout=look,
                stderr=lambda data: print(data.decode(), file=sys.stderr),
                dirs={"seen": seen},
            )
            if guest.wait():
                raise RuntimeError("the guest failed, and said why")


def _resident_mb(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def _driver() -> Path:
    build = ROOT / "tests" / "guest" / "driver" / "build.py"
    command = [sys.executable, str(build), str(CACHE / "driver")]
    return Path(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip())


class Texts:
    """Texts of made-up words that were never said before."""

    def __init__(self) -> None:
        self._words = np.array(words(5_000, seed=1))
        self._rng = np.random.default_rng(0)

    def of(self, count: int) -> str:
        """So many words."""
        return " ".join(self._rng.choice(self._words, count))


# ---------------------------------------------------------------- text


def context(plan: Plan) -> Iterator[Sample]:
    """A prompt of so many tokens, all new, and the first tokens behind it."""
    texts = Texts()
    with closing(Process(plan.grant)) as process:
        process.ask(texts.of(16), 2)
        probe = process.ask(texts.of(_PROBE_WORDS), 1)["prompt_tokens"] / _PROBE_WORDS
        for _ in range(plan.rounds):
            for size in plan.sizes:
                # A little less: a word is some tokens, and the window has to hold the reply, too.
                stats = process.ask(texts.of(int(size * 0.97 / probe)), _REPLY_TOKENS)
                first_us = stats["first_token_us"]
                decode_ms = (stats["total_us"] - first_us) / 1e3 / (_REPLY_TOKENS - 1)
                yield Sample(Cost("prefill, until the first token", "ms", 1), size, first_us / 1e3)
                yield Sample(Cost("decode, of one token behind it", "ms a token", 1), size, decode_ms)
                yield Sample(Cost("worker", "MB", 1), size, process.worker_mb)


def guests_at_once(plan: Plan) -> Iterator[Sample]:
    """So many guests that each read a reply of the same graph, at the same time."""
    texts = Texts()
    with closing(Process(plan.grant)) as model, closing(Process.of_echo("echo-worker")) as echo:
        _together(model, 2, _REPLY_TOKENS, texts)
        _together(echo, 2, _ECHO_TOKENS, texts)
        for _ in range(plan.rounds):
            for size in plan.sizes:
                wall_s, _ = _together(model, size, _REPLY_TOKENS, texts)
                yield Sample(Cost("a token of any, model", "ms", 0), size, wall_s * 1e3 / size / _REPLY_TOKENS)
                wall_s, cpu_s = _together(echo, size, _ECHO_TOKENS, texts)
                tokens = size * _ECHO_TOKENS
                yield Sample(Cost("a token of any, echo", "µs", 0), size, wall_s * 1e6 / tokens)
                yield Sample(Cost("host's CPU for it", "µs", 0), size, cpu_s * 1e6 / tokens)


def _together(process: Process, guests: int, tokens: int, texts: Texts) -> tuple[float, float]:
    """How long that many guests take for a reply each, and how much of it is this process's CPU."""
    arguments = ["--ignore-eos", "--max-output-tokens", str(tokens), process.graph]
    began_s, began_cpu_s = time.perf_counter(), time.process_time()
    running = [
        process.host.start(CHAT_GUEST, [*arguments, texts.of(8)], stdin=b"", stdout=len, stderr=len)
        for _ in range(guests)
    ]
    if any([guest.wait() for guest in running]):  # noqa: C419 -- all are waited for
        raise RuntimeError("a guest failed")
    return time.perf_counter() - began_s, time.process_time() - began_cpu_s


def guests_held(plan: Plan) -> Iterator[Sample]:
    """So many guests that wait for a token that does not come, while another graph is prompted."""
    for _ in range(plan.rounds):
        never = Grant("never", embedded("echo").path, "echo", settings={"delay_ms": str(3_600_000)})
        with closing(Process.of_echo("echo-worker", never)) as process:
            process.ask("x", 2)
            held: list[Running] = []
            empty_mb = process.host_mb
            for size in plan.sizes:
                while len(held) < size:
                    held.append(process.host.start(CHAT_GUEST, ["never", "x"], stdin=b"", stdout=len, stderr=len))
                time.sleep(_IDLE_S)
                began_cpu_s = time.process_time()
                time.sleep(_IDLE_S)
                idle_cpu_s = (time.process_time() - began_cpu_s) / _IDLE_S
                began_s = time.perf_counter()
                process.ask("x", 16)
                yield Sample(Cost("a whole run beside them", "ms", 0), size, (time.perf_counter() - began_s) * 1e3)
                yield Sample(Cost("host's CPU, all idle", "ms a second", 0), size, idle_cpu_s * 1e3)
                if size >= _WEIGHED:
                    kb = (process.host_mb - empty_mb) * 1e3 / size
                    yield Sample(Cost("memory of each", "KB", 0), size, kb)
            if not all(guest.alive for guest in held):
                raise RuntimeError("a guest did not wait")


def reply(plan: Plan) -> Iterator[Sample]:
    """A reply of so many tokens."""
    with closing(Process(plan.grant)) as model, closing(Process.of_echo("echo-worker")) as echo:
        for process in (model, echo):
            process.ask("x", 2)
        for number in range(plan.rounds):
            for size in plan.sizes:
                began_cpu_s = time.process_time()
                wall_us = echo.ask("x", size)["total_us"]
                cpu_us = (time.process_time() - began_cpu_s) * 1e6
                yield Sample(Cost("a token, echo", "µs", 0), size, wall_us / size)
                yield Sample(Cost("host's CPU for it", "µs", 0), size, cpu_us / size)
                if size <= _MODEL_TOKENS and not number:  # once, as it takes a minute
                    yield Sample(Cost("a token, model", "ms", 1), size, model.ask("x", size)["total_us"] / 1e3 / size)


# ---------------------------------------------------------------- tensors


def tensors(plan: Plan) -> Iterator[Sample]:
    """A tensor of so many bytes into the host, through a model and back."""
    from tensors import CARRIED, GUESTS, MODEL, Guest  # which imports OpenVINO, and so memory

    guest = Guest("C", GUESTS / "tensors.wasm")
    with closing(Process(Grant("echo", MODEL, backend="openvino"))) as process:
        guest.run(process.host, "bulk", 1_000, 1)
        for _ in range(plan.rounds):
            for size in plan.sizes:
                if size <= CARRIED:
                    took = guest.run(process.host, "list", size, 3)
                    yield Sample(Cost("there and back, list of bytes", "ms", 1), size, took.whole)
                Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
                took = guest.run(process.host, "bulk", size, 3)
                yield Sample(Cost("there and back, bulk", "ms", 1), size, took.whole)
                yield Sample(Cost("host at its peak", "MB", 1), size, _peak_mb())


def _peak_mb() -> float:
    status = Path("/proc/self/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM:")).split()[1]) * 1024 / 1e6


# ---------------------------------------------------------------- sessions

_SESSIONS = """
import gc
model = graph.load_by_name(sys.argv[1])
one_token = options(max_output_tokens=1)
session(model).ask(types.Turn_Say("x"), one_token)  # which reads the tokenizer
gc.disable()  # or the guest would look over all its sessions now and then
held = []
show(json.dumps({"size": 0, "us": {}}))

def turn():
    with session(model) as talk:
        talk.ask(types.Turn_Say("x"), one_token)

for size in map(int, sys.argv[2:]):
    count = max(1, min(50, size - len(held)))
    while len(held) < size - count:
        held.append(session(model))

    def each(name, work):
        began = time.perf_counter_ns()
        made = [work() for _ in range(count)]
        took = (time.perf_counter_ns() - began) / 1e3 / count
        return made, (name, took)

    made, opened = each("start one more", lambda: session(model))
    held += made
    forks, forked = each("fork one", held[-1].fork)
    for fork in forks:
        fork.__exit__(None, None, None)
    _, asked = each("a turn in a new one", turn)
    show(json.dumps({"size": size, "us": dict([opened, forked, asked])}))
"""


def sessions(plan: Plan) -> Iterator[Sample]:
    """So many sessions that one guest holds."""
    samples: list[Sample] = []
    limits = Limits(sessions=_MANY, handles=_MANY)
    for _ in range(plan.rounds):
        with closing(Process.of_echo("echo", limits=limits)) as process:
            empty_mb: list[float] = []

            def note(said: dict[str, Any], process: Process = process, empty_mb: list[float] = empty_mb) -> None:
                size, now_mb = said["size"], process.host_mb
                for name, took_us in said["us"].items():
                    samples.append(Sample(Cost(name, "µs", 0), size, took_us))
                if size >= _WEIGHED:
                    kb = (now_mb - empty_mb[0]) * 1e3 / size
                    samples.append(Sample(Cost("memory of each, the guest's too", "KB", 0), size, kb))
                empty_mb.append(now_mb)

            process.drive(_SESSIONS, *plan.sizes, each=note)
    yield from samples


_HISTORY = """
model = graph.load_by_name(sys.argv[1])
short = options(max_output_tokens=8)
session(model).ask(types.Turn_Say("x"), short)  # which reads the tokenizer
talk = session(model)
done = 0
for size in map(int, sys.argv[2:]):
    few = max(1, min(8, size - done))
    while done < size - few:
        talk.ask(types.Turn_Say("What was that again?"), short)
        done += 1
    show(json.dumps({"size": size, "turns": few, "ns": 0}))
    began = time.perf_counter_ns()
    while done < size:
        talk.ask(types.Turn_Say("What was that again?"), short)
        done += 1
    show(json.dumps({"size": size, "turns": few, "ns": time.perf_counter_ns() - began}))
"""
_MEASURED = """
model = graph.load_by_name(sys.argv[1])
session(model).measure(types.Turn_Say("x"), None)  # which reads the tokenizer
pair = [message("user", "What was the name of the town?"), message("assistant", "I have not been told it so far.")]
for size in map(int, sys.argv[2:]):
    with session(model) as talk:
        talk.append(pair * size)
        began = time.perf_counter_ns()
        tokens = talk.measure(types.Turn_Say("And now?"), None)
        show(json.dumps({"size": size, "tokens": tokens, "ns": time.perf_counter_ns() - began}))
"""


def history(plan: Plan) -> Iterator[Sample]:
    """The next turn of a conversation of so many."""
    samples: list[Sample] = []
    began_cpu_s: list[float] = []

    def note(said: dict[str, Any]) -> None:
        cpu_s = time.process_time()
        if not said["ns"]:
            began_cpu_s.append(cpu_s)
            return
        for name, took_s in (
            ("the next turn, echo", said["ns"] / 1e9),
            ("host's CPU for it", cpu_s - began_cpu_s.pop()),
        ):
            samples.append(Sample(Cost(name, "ms", 1), said["size"], took_s * 1e3 / said["turns"]))

    def measured(said: dict[str, Any]) -> None:
        samples.append(Sample(Cost("render and tokenise, model", "ms", 1), said["size"], said["ns"] / 1e6))

    with closing(Process.of_echo("echo-worker")) as echo, closing(Process(plan.grant)) as model:
        for _ in range(plan.rounds):
            echo.drive(_HISTORY, *plan.sizes, each=note)
            model.drive(_MEASURED, *plan.sizes, each=measured)
    yield from samples
