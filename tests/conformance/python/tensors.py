"""B: tensors that nothing is computed with, and tensors that no compute may take."""

# mypy: ignore-errors
# ruff: noqa: ANN001, ANN002, ANN201 -- the bindings have no types

from __future__ import annotations

import struct

from suite import Failed, case, context, read, refused
from wit_world.imports.errors import ErrorCode
from wit_world.imports.tensor import Tensor, TensorType

BITS = {  # zeros, infinities, the largest, the smallest, and NaNs with payloads
    "fp16": ("8H", (0, 0x8000, 0x7C00, 0xFC00, 0x7BFF, 1, 0x7E01, 0x7C01)),
    "fp32": ("8I", (0, 1 << 31, 0x7F800000, 0xFF800000, 0x7F7FFFFF, 1, 0x7FC12345, 0x7F800001)),
    "fp64": (
        "8Q",
        (0, 1 << 63, 0x7FF << 52, 0xFFF << 52, (0x7FF << 52) - 1, 1, 0x7FF8000012345678, 0x7FF0000000000001),
    ),
    "bf16": ("8H", (0, 0x8000, 0x7F80, 0xFF80, 0x7F7F, 1, 0x7FC1, 0x7F81)),
    "u8": ("8B", (0, 1, 2, 127, 128, 253, 254, 255)),
    "i32": ("8i", (0, 1, -1, 2**31 - 1, -(2**31), 0x01020304, 42, -42)),
    "i64": ("8q", (0, 1, -1, 2**31 - 1, -(2**31), 16777217, 42, -42)),
}


def comes_back(dimensions, ty, data):
    """A tensor gives back what it was made of."""
    with Tensor(dimensions, TensorType[ty], data) as made:
        got = read(made)
    if got != (dimensions, ty, data):
        raise Failed(f"{ty}{dimensions} came back as {got}"[:200])


def type_comes_back(name):
    """A tensor of {} gives back dimensions, type and bytes, NaN payloads included."""
    layout, values = BITS[name]
    comes_back([2, 4], name.upper(), struct.pack(layout, *values))


for one in BITS:
    case(f"B.{one}", one)(type_comes_back)


@case("B.rank-0", 0)
@case("B.rank-1", 1)
@case("B.rank-8", 8)
@case("B.rank-17", 17)
def rank_comes_back(rank):
    """A tensor of {} dimensions can be made and read: the constructor cannot fail."""
    comes_back([1] * (rank - 1) + [8] * bool(rank), "U8", bytes(range(8 if rank else 1)))


@case("B.zero-sized")
def zero_sized_comes_back():
    """A dimension of zero is a size like any other, with no data."""
    comes_back([2, 0, 3], "FP32", b"")


def dynamic_refuses(*shapes):
    """Each of these can be made and read, and is refused by compute."""
    on = context("dynamic")
    for rows, columns, size in shapes:
        comes_back([rows, columns], "FP32", bytes(size))
        made = Tensor([rows, columns], TensorType.FP32, bytes(size))
        told = refused(ErrorCode.INVALID_ARGUMENT, on.compute, [("x", made)])
    return told


@case("B.overflow")
def overflow_is_refused():
    """Dimensions whose product overflows 32 or 64 bits: made, and refused by compute."""
    return dynamic_refuses((1 << 16, 1 << 16, 0), (1 << 31, 1 << 31, 0), (2**32 - 1, 2**32 - 1, 16))


@case("B.too-short")
def short_data_is_refused():
    """Data shorter than the dimensions ask for: made, and refused by compute."""
    return dynamic_refuses((2, 2, 15), (2, 2, 12), (2, 2, 0))


@case("B.too-long")
def long_data_is_refused():
    """Data longer than the dimensions ask for: made, and refused by compute."""
    return dynamic_refuses((2, 2, 17), (2, 2, 20), (2, 2, 32), (2, 0, 4))
