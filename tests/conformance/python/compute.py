"""E: computing with models that do next to nothing, so that everything else shows."""

# mypy: ignore-errors
# ruff: noqa: ANN001, ANN002, ANN201 -- the bindings have no types

from __future__ import annotations

import math
import struct

from componentize_py_types import Err
from suite import ITEMSIZE, Failed, case, context, fp32, gives, read, refused, words
from tensors import BITS
from wit_world.imports.errors import ErrorCode
from wit_world.imports.tensor import Tensor, TensorType


def echo(name, data):
    """Have bytes come back from the graph of a type."""
    ty = name.upper()
    gives(context(f"echo-{name}"), [("x", Tensor([2, 3], TensorType[ty], data))], ("y", [2, 3], ty, data))


def echoes(name):
    """`echo-{}` gives every byte back, or the type is unsupported-operation."""
    layout, values = BITS[name]
    data = struct.pack(layout.replace("8", "6"), *values[:6])  # no NaN
    try:
        echo(name, data)
    except Err as raised:
        return words(raised.value, ErrorCode.UNSUPPORTED_OPERATION)
    return f"the same {len(data)} bytes"


for one in BITS:
    case(f"E.identity-{one}", one)(echoes)


@case("E.wide-i64")
def wide_i64_is_not_cut():
    """I64 beyond 32 bits comes through whole, or is refused as unsupported-operation."""
    data = struct.pack("6q", 1 << 32, -(1 << 32), 2**63 - 1, -(2**63), 0x0102030405060708, 1)
    try:
        gives(context("echo-i64"), [("x", Tensor([2, 3], TensorType.I64, data))], ("y", [2, 3], "I64", data))
    except Err as raised:
        return words(raised.value, ErrorCode.UNSUPPORTED_OPERATION)
    return "the same bytes"


# ---------------------------------------------------------------- names, order: `add` and `two-in-two-out`

SUMS = ("sum", [4], "FP32", struct.pack("4f", 11, 22, 33, 44))


def a():
    """One input of `add`."""
    return ("a", fp32(1, 2, 3, 4))


def b():
    """The other one."""
    return ("b", fp32(10, 20, 30, 40))


@case("E.add")
def adds():
    """Two inputs, one output."""
    gives(context("add"), [a(), b()], SUMS)
    return "[11, 22, 33, 44]"


@case("E.two-in-two-out", 1)
@case("E.any-order", -1)
def both_come(order):
    """Two outputs come under the model's names and in its order, whatever the order of the inputs."""
    left = ("left", fp32(1.5, -2))
    right = ("right", Tensor([3], TensorType.I32, struct.pack("3i", 7, 0, -9)))
    wanted = [
        ("doubled", [2], "FP32", struct.pack("2f", 3, -4)),
        ("negated", [3], "I32", struct.pack("3i", -7, 0, 9)),
    ]
    gives(context("two-in-two-out"), [left, right][::order], *wanted)


def add_refuses(*lists):
    """`add` refuses each of these lists as invalid-argument, and computes before each."""
    on = context("add")
    for inputs in lists:
        gives(on, [a(), b()], SUMS)
        told = refused(ErrorCode.INVALID_ARGUMENT, on.compute, inputs)
    return told


@case("E.name-unknown")
def unknown_name():
    """An input that the model does not have is invalid-argument."""
    return add_refuses([a(), ("c", b()[1])], [a(), b(), ("c", b()[1])])


@case("E.name-missing")
def missing_name():
    """A missing input is invalid-argument."""
    return add_refuses([a()])


@case("E.name-twice")
def double_name():
    """An input that is there twice is invalid-argument."""
    return add_refuses([a(), a()], [a(), b(), a()])


@case("E.name-empty")
def empty_name():
    """An input without a name is invalid-argument."""
    return add_refuses([a(), ("", b()[1])])


@case("E.empty-list")
def empty_list():
    """No inputs at all are invalid-argument."""
    return add_refuses([])


def add_refuses_b(*kinds):
    """`add` refuses tensors of these dimensions and types for b."""
    return add_refuses(
        *(
            [a(), ("b", Tensor(dimensions, ty, bytes(math.prod(dimensions) * ITEMSIZE[ty.name])))]
            for dimensions, ty in kinds
        )
    )


@case("E.wrong-rank")
def wrong_rank():
    """Another rank is invalid-argument, with the right number of bytes too."""
    return add_refuses_b(([1, 4], TensorType.FP32), ([2, 2], TensorType.FP32))


@case("E.wrong-dimension")
def wrong_dimension():
    """Another dimension is invalid-argument: nothing is broadcast."""
    return add_refuses_b(([1], TensorType.FP32), ([0], TensorType.FP32), ([5], TensorType.FP32))


@case("E.wrong-type")
def wrong_type():
    """Each other type is invalid-argument: nothing is cast."""
    return add_refuses_b(*(([4], ty) for ty in TensorType if ty != TensorType.FP32))


# ---------------------------------------------------------------- sizes: `dynamic` doubles FP32[?, ?]


def doubles(on, rows, columns, value):
    """The double of a matrix in which every element is the same."""
    count = rows * columns
    data = struct.pack(f"{count}f", *[2 * value] * count)
    gives(on, [("x", fp32(*[value] * count, dimensions=[rows, columns]))], ("y", [rows, columns], "FP32", data))


@case("E.dynamic")
def any_size():
    """Free dimensions take any size, larger and smaller, on one context."""
    on = context("dynamic")
    for rows, columns in ((2, 3), (1, 1), (100, 70), (1, 1000), (3, 2)):
        doubles(on, rows, columns, rows)


@case("E.zero-sized")
def zero_size():
    """A free dimension takes zero."""
    on = context("dynamic")
    for rows, columns in ((0, 3), (2, 0), (2, 3)):
        doubles(on, rows, columns, 1)


@case("E.text")
def length_in_bytes():
    """A U8 tensor of any length comes back."""
    data = "text travels as U8[length in bytes]: 日本".encode()
    made = Tensor([len(data)], TensorType.U8, data)
    gives(context("echo"), [("x", made)], ("y", [len(data)], "U8", data))


# ---------------------------------------------------------------- again and again, side by side, and after a failure


@case("E.thousand")
def a_thousand():
    """1,000 computes on one context, each with its own answer."""
    on = context("dynamic")
    for value in range(1000):
        doubles(on, 1, 2, value)


@case("E.thousand-failures")
def a_thousand_failures():
    """1,000 refused computes leave no tensor behind."""
    on = context("dynamic")
    for _ in range(1000):
        refused(None, on.compute, [("x", Tensor([64, 65], TensorType.FP32, bytes(16384)))])
    doubles(on, 1, 2, 3)


@case("E.two-contexts")
def two_contexts():
    """Two contexts do not see each other's inputs."""
    one, two = context("add"), context("add")
    gives(one, [a(), b()], SUMS)
    refused(None, two.compute, [a()])
    told = refused(None, one.compute, [b()])
    gives(two, [a(), b()], SUMS)
    gives(one, [a(), b()], SUMS)
    return told


@case("E.failure-then-success")
def failure_then_success():
    """A context computes after a refusal."""
    on = context("add")
    for _ in range(3):
        refused(None, on.compute, [a(), ("b", Tensor([4], TensorType.FP32, bytes(15)))])
        gives(on, [a(), b()], SUMS)


@case("E.outputs-outlive")
def outputs_outlive():
    """Outputs can be read after context and graph are dropped."""
    with context("add") as on:
        [(name, out)] = on.compute([a(), b()])
    if (name, *read(out)) != SUMS:
        raise Failed(f"{name} {out.data()}")
