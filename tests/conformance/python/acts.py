"""What a driver has one guest do while, before or after another one runs: E, F, G and H."""

# mypy: ignore-errors
# ruff: noqa: ANN001, ANN201 -- the bindings have no types

from __future__ import annotations

import os
import struct
import time

from classifier import classifies
from componentize_py_types import Err
from suite import Failed, act, context, fp32, gives, note, refused, words
from wit_world.imports.errors import ErrorCode
from wit_world.imports.tensor import Tensor, TensorType

SECRET = 42.0
SLOW_MS = 300
HOARD = []


def now_ms():
    """The clock that all guests share."""
    return time.time_ns() // 1_000_000


def full(rows, columns, value):
    """A matrix in which every element is the same."""
    return fp32(*[value] * (rows * columns), dimensions=[rows, columns])


def secret():
    """What no other guest may see."""
    return full(8, 8, SECRET)


def bytes_of(handle):
    """The data of whatever tensor has this handle."""
    forged = Tensor.__new__(Tensor)
    forged.handle = handle
    return len(forged.data())


# ---------------------------------------------------------------- E: tensors that compute took away


@act
def use_consumed(wrong):
    """Use a tensor after a compute, which fails where there is a number."""
    on = context("dynamic")
    # nothing computes what has dimensions and no bytes
    made = Tensor([8, 8], TensorType.FP32, b"") if wrong else secret()
    taken = made.handle
    try:
        outputs = on.compute([("x", made)])
    except Err as raised:
        if not wrong:
            raise
        raised.value.__exit__(None, None, None)
    else:
        if wrong:
            raise Failed("the compute went well")
        for _, out in outputs:
            out.__exit__(None, None, None)  # it may have got the number of what is gone
    note("computed")
    raise Failed(f"{bytes_of(taken)} bytes of a tensor that compute had taken")


# ---------------------------------------------------------------- F: what others left, have, or may not have


@act
def plant(_number):
    """Compute secrets, and leave everything as it is."""
    on = context("dynamic")
    for _ in range(20):
        gives(on, [("x", secret())], ("y", [8, 8], "FP32", struct.pack("64f", *[2 * SECRET] * 64)))
    HOARD.append(on)
    note("planted")


@act
def look(_number):
    """Leave out inputs and bytes in every way, and compute ones beside."""
    on = context("dynamic")
    for _ in range(20):
        for inputs in (
            [],
            [("other", full(1, 8, 1))],
            [("x", Tensor([8, 8], TensorType.FP32, b""))],
        ):
            refused(None, on.compute, inputs)
        for rows in (1, 8):
            wanted = struct.pack(f"{8 * rows}f", *[2] * (8 * rows))
            gives(on, [("x", full(rows, 8, 1))], ("y", [rows, 8], "FP32", wanted))
    note("clean")


@act
def hold(count):
    """Have handles for half a second."""
    HOARD.extend(secret() for _ in range(count))
    note(f"holding {count}")
    time.sleep(0.5)
    note("held")


@act
def forge(handle):
    """Use a handle that was never given."""
    note("forging")
    raise Failed(f"handle {handle}, which was never given, has {bytes_of(handle)} bytes")


@act
def trap(count):
    """Have handles, and trap."""
    HOARD.extend(secret() for _ in range(count))
    note("trapping")
    os.abort()


# ---------------------------------------------------------------- G: what no error can be given for


@act
def hoard_bytes(count):
    """Hold tensors of 64 KiB."""
    HOARD.extend(Tensor([128, 128], TensorType.FP32, bytes(65536)) for _ in range(count))
    note(f"holding {count} tensors of 64 KiB")


@act
def long_list(size):
    """Send and take back one list<u8>."""
    back = len(Tensor([size], TensorType.U8, bytes(size)).data())
    if back != size:
        raise Failed(f"{back} bytes of {size}")
    note(f"{size} bytes")


@act
def explode(count):
    """Compute 4 GiB of a few bytes, which no guest could hold."""
    on = context("square")
    refused(None, on.compute, [("x", Tensor([count], TensorType.FP32, bytes(4 * count)))])
    gives(on, [("x", fp32(1, 3))], ("y", [2, 2], "FP32", struct.pack("4f", 1, 3, 3, 9)))
    note("an error, and the graph works on")


# ---------------------------------------------------------------- H: at once


@act
def many(seed):
    """A hundred numbers that no other seed has."""
    on = context("dynamic")
    for i in range(100):
        value = seed * 1000 + i
        gives(on, [("x", fp32(value, dimensions=[1, 1]))], ("y", [1, 1], "FP32", struct.pack("f", 2 * value)))
    note("100 answers")


@act
def slow(longest):
    """Compute ever larger matrices until one takes long; each is told with when it began and ended."""
    on = context("slow")
    took, n = 0, 256
    while took < (longest or SLOW_MS) and n <= 8192:
        data = struct.pack("f", 1) + bytes(4 * (n - 1))
        made = Tensor([n], TensorType.FP32, data)
        began = now_ms()
        try:
            [(_, out)] = on.compute([("x", made)])
        except Err as raised:
            words(raised.value, ErrorCode.TIMEOUT)
            note("timeout")
            return
        ended = now_ms()
        if out.data() != data:
            raise Failed(f"the answer for {n} is wrong")
        took, n = ended - began, 2 * n
        note(f"slow {began} {ended}")


@act
def quick(count):
    """Compute on another graph, and tell when each began and ended."""
    on = context("numbers")
    for _ in range(count):
        began = now_ms()
        classifies(on)
        note(f"quick {began} {now_ms()}")


@act
def load(_number):
    """Load a graph, as every other case has to."""
    context("numbers")
    note("loaded")
