"""PyTorch: tensors through programs (``.pt2``, ``.pt``), tensors, text and vectors through transformers models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import msgspec
import torch

from wit_llm.backends.base import Target
from wit_llm.backends.config import read_encoder, text_folder
from wit_llm.backends.pytorch_programs import exported, scripted
from wit_llm.backends.settings import parse
from wit_llm.errors import OperatorError, Unsupported

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from wit_llm.backends.base import Backend, Signature

_DTYPES = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}


class Settings(msgspec.Struct, frozen=True):
    """
    What the operator may choose.

    Args:
        cache_size_gb: Of the keys and values that a language model keeps of sequences that are over.
        prefix_caching: Keep them, for prompts that begin as those.
        max_num_batched_tokens: Tokens of one step, and so how long a cancel may take.
        max_num_seqs: Requests at once; more than these wait.
        num_threads: Of the CPU; none is the library's choice.
        precision: Of a transformers model's arithmetic; a program has its own. None is that of the weights where the
            device computes it fast, else f32.
    """

    cache_size_gb: Annotated[float, msgspec.Meta(gt=0)] = 1
    prefix_caching: bool = True
    max_num_batched_tokens: Annotated[int, msgspec.Meta(ge=1)] = 256
    max_num_seqs: Annotated[int, msgspec.Meta(ge=1)] = 16
    num_threads: Annotated[int, msgspec.Meta(ge=1)] | None = None
    precision: Literal["f32", "f16", "bf16"] | None = None


def load(folder: Path, target: Target, settings: Mapping[str, str], signature: Signature) -> Backend:
    """
    Make the graph of a folder ready.

    Raises:
        OperatorError: As ``backends.table`` says.
        Unsupported: The target is not there, or a tensor's type has no name in wasi-nn.
    """
    chosen = parse("pytorch", Settings, settings)
    device = _device(target)
    if chosen.num_threads is not None:
        torch.set_num_threads(chosen.num_threads)
    beside = text_folder(folder)
    if (beside / "config.json").is_file() and any(beside.glob("*.safetensors")):
        # transformers takes longer to import than torch, and programs do without it.
        signature.refuse("a transformers model")
        dtype = _DTYPES.get(chosen.precision or "")
        encodes = read_encoder(folder)
        if encodes is not None:
            from wit_llm.backends.pytorch_encoder import encoder

            return encoder(beside, encodes, device, dtype)
        from wit_llm.backends.pytorch_text import Capacity, language_model

        kept_bytes = int(chosen.cache_size_gb * 2**30) if chosen.prefix_caching else 0
        capacity = Capacity(chosen.max_num_seqs, chosen.max_num_batched_tokens, kept_bytes)
        return language_model(beside, device, dtype, capacity)
    programs = sorted((*folder.glob("*.pt2"), *folder.glob("*.pt")))
    if len(programs) != 1:
        raise OperatorError(
            f"{folder} holds {len(programs)} files *.pt2 or *.pt, and not both config.json and *.safetensors; "
            "a graph is a folder with one program or one transformers model"
        )
    if programs[0].suffix == ".pt":
        return scripted(programs[0], device, signature)
    signature.refuse(programs[0].name)
    return exported(programs[0], device)


def _device(target: Target) -> torch.device:
    if target is Target.CPU:
        return torch.device("cpu")
    if target is Target.GPU and torch.cuda.is_available():
        return torch.device("cuda")
    there = "cpu, gpu" if torch.cuda.is_available() else "cpu"
    raise Unsupported(f"backend 'pytorch' has no target {target.value} on this machine; it has {there}")
