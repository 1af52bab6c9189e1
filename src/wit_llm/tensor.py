"""Tensors as wasi-nn has them, what a graph wants of them, and the proof that they were checked."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from enum import Enum

from wit_llm.errors import InvalidArgument, OperatorError


class TensorType(Enum):
    """``wasi:nn/tensor.tensor-type``, in the order of the WIT."""

    FP16 = "FP16"
    FP32 = "FP32"
    FP64 = "FP64"
    BF16 = "BF16"
    U8 = "U8"
    I32 = "I32"
    I64 = "I64"

    @property
    def itemsize(self) -> int:
        """Bytes of one element."""
        return _ITEMSIZE[self]


_ITEMSIZE = {
    TensorType.FP16: 2,
    TensorType.FP32: 4,
    TensorType.FP64: 8,
    TensorType.BF16: 2,
    TensorType.U8: 1,
    TensorType.I32: 4,
    TensorType.I64: 8,
}
_BY_NAME = {ty.value: ty for ty in TensorType}


# `FP32[1, 3, ?]`, as a spec is written: `...` is any rank, and sizes are those of wasi-nn, 32 bits.
_SPEC = re.compile(
    r"(?P<ty>[A-Z0-9]+)\[(?:(?P<any>\.\.\.)|(?P<axes>(?:\?|\d{1,10})(?:, ?(?:\?|\d{1,10}))*)?)\]", re.ASCII
)
_LARGEST_SIZE = 2**32 - 1


@dataclass(frozen=True, slots=True)
class Tensor:
    """
    Elements as the guest stores them, and how to read them.

    Making one cannot fail, as the WIT's constructor cannot: what is wrong with it is said by ``check``.

    Args:
        dimensions: Size of each axis, outermost first; a single value is ``(1,)``.
        ty: Element type.
        data: Row-major, little-endian elements, ``prod(dimensions) * ty.itemsize`` bytes.

    Source: ``resource tensor``, wasi:nn@0.2.0-rc-2024-10-28.
    """

    dimensions: tuple[int, ...]
    ty: TensorType
    data: bytes | memoryview

    @property
    def elements(self) -> int:
        """``prod(dimensions)``, exact however large."""
        return math.prod(self.dimensions)

    @property
    def data_bytes(self) -> int:
        """Bytes of ``data``."""
        return len(self.data)

    def check(self) -> None:
        """
        Compare the bytes with the dimensions.

        Raises:
            InvalidArgument: ``data`` has any other length than the dimensions ask for.
        """
        wanted = self.elements * self.ty.itemsize
        if wanted != self.data_bytes:
            raise InvalidArgument(f"{self} needs {wanted} bytes, got {self.data_bytes}")

    def __str__(self) -> str:
        return f"{self.ty.value}{list(self.dimensions)}"


@dataclass(frozen=True, slots=True)
class NamedTensor:
    """A tensor under the model's own name for it."""

    name: str
    tensor: Tensor


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """
    What a graph's input takes, or its output gives.

    Args:
        name: The model's own name.
        ty: Element type.
        dimensions: Size of each axis, outermost first, none where any size goes; none in all where any rank goes.
    """

    name: str
    ty: TensorType
    dimensions: tuple[int | None, ...] | None

    @classmethod
    def parse(cls, name: str, text: str) -> TensorSpec:
        """
        Read what ``str`` of a spec writes, such as ``FP32[1, 3, ?]``.

        Raises:
            OperatorError: It is anything else.
        """
        match = _SPEC.fullmatch(text)
        ty = _BY_NAME.get(match["ty"]) if match else None
        axes = match["axes"].split(",") if match and match["axes"] else []
        sizes = tuple(None if axis.strip() == "?" else int(axis) for axis in axes)
        if match is None or ty is None or max((size or 0 for size in sizes), default=0) > _LARGEST_SIZE:
            raise OperatorError(
                f"{name!r} is {text!r}, which is no tensor; write a type ({', '.join(_BY_NAME)}) with the size of each "
                "axis, `?` where any goes, such as FP32[1, 3, ?]"
            )
        return cls(name, ty, None if match["any"] else sizes)

    @property
    def data_bytes(self) -> int | None:
        """Bytes of such a tensor, where its dimensions leave no choice."""
        if self.dimensions is None or None in self.dimensions:
            return None
        return math.prod(size for size in self.dimensions if size is not None) * self.ty.itemsize

    def takes(self, dimensions: tuple[int, ...]) -> bool:
        """Whether a tensor of these dimensions fits."""
        if self.dimensions is None:
            return True
        return len(self.dimensions) == len(dimensions) and all(
            wanted in (None, size) for wanted, size in zip(self.dimensions, dimensions, strict=True)
        )

    def __str__(self) -> str:
        axes = "..." if self.dimensions is None else ", ".join("?" if d is None else str(d) for d in self.dimensions)
        return f"{self.ty.value}[{axes}]"


@dataclass(frozen=True, slots=True)
class Admitted:
    """
    Named tensors that passed the door.

    ``wit_llm.graph.Graph.admit`` is the only code that makes one; a worker receives it from its host. Backends take
    nothing else, so that no tensor reaches native code unchecked.
    """

    tensors: tuple[NamedTensor, ...]

    def __getitem__(self, name: str) -> Tensor:
        """The tensor of that name; ``KeyError`` where there is none."""
        for named in self.tensors:
            if named.name == name:
                return named.tensor
        raise KeyError(name)
