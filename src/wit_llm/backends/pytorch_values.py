"""What a tensor is in PyTorch: its types both ways, its bytes both ways, and the library's errors as ours."""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING

import torch

from wit_llm.errors import BackendFailure, OperatorError, TooLarge, Unsupported
from wit_llm.tensor import Tensor, TensorSpec, TensorType

if TYPE_CHECKING:
    from collections.abc import Iterator

DTYPES = {
    TensorType.FP16: torch.float16,
    TensorType.FP32: torch.float32,
    TensorType.FP64: torch.float64,
    TensorType.BF16: torch.bfloat16,
    TensorType.U8: torch.uint8,
    TensorType.I32: torch.int32,
    TensorType.I64: torch.int64,
}
TYPES = {dtype: ty for ty, dtype in DTYPES.items()}

# What the CPU's allocator calls itself when it has nothing left, and what oneDNN says then and of nothing else (what it
# has not got is a "primitive descriptor"); the GPU's allocator has an exception of its own.
_NO_MEMORY = re.compile(r"DefaultCPUAllocator|could not create a (primitive|memory object)$", re.MULTILINE)
_SCRIPT_FAILED = "The following operation failed in the TorchScript interpreter."


def spec_of(name: str, value: object) -> TensorSpec:
    """
    What the door has to know of a traced tensor; a single value has dimensions ``(1,)``, as wasi-nn has no rank 0.

    Raises:
        OperatorError: It is no tensor.
        Unsupported: wasi-nn has no such type.
    """
    if not isinstance(value, torch.Tensor):
        raise OperatorError(f"{name!r} of the program is no tensor; export it with tensors only")
    if value.dtype not in TYPES:
        types = ", ".join(ty.value for ty in DTYPES)
        raise Unsupported(f"tensor {name!r} has elements of {value.dtype}; wasi-nn has {types}")
    sizes = tuple(size if isinstance(size, int) else None for size in value.shape)
    return TensorSpec(name, TYPES[value.dtype], sizes or (1,))


def lifted(tensor: Tensor, device: torch.device, *, single: bool = False) -> torch.Tensor:
    """A copy, because a program may write on its inputs; ``single`` is a value without axes."""
    dtype = DTYPES[tensor.ty]
    dimensions = () if single else tensor.dimensions
    if not tensor.data_bytes:
        return torch.empty(dimensions, dtype=dtype, device=device)
    return torch.frombuffer(bytearray(tensor.data), dtype=dtype).reshape(dimensions).to(device)


def lowered(value: torch.Tensor) -> Tensor:
    """The elements where they lie, where they lie in the CPU's memory and in order."""
    elements = value.detach().cpu().contiguous()
    data = elements.reshape(-1).view(torch.uint8).numpy().data
    return Tensor(tuple(elements.shape) or (1,), TYPES[elements.dtype], data)


@contextlib.contextmanager
def failures(action: str) -> Iterator[None]:
    """The library's exceptions as ours; a guest reads them, so lines with paths stay in the worker's log."""
    try:
        yield
    except (RuntimeError, ValueError, TypeError, IndexError) as error:
        if isinstance(error, torch.OutOfMemoryError) or _NO_MEMORY.search(str(error)):
            raise TooLarge(f"{action} wants more memory than it may have") from error
        lines = [line for line in str(error).splitlines() if line.strip() and "/" not in line]
        reason = lines[0] if lines else type(error).__name__
        # TorchScript shows its own source before it says what was wrong.
        reason = lines[-1] if reason == _SCRIPT_FAILED else reason
        raise BackendFailure(f"{action} failed in PyTorch: {reason}") from error
