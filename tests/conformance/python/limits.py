"""G: limits. A host need not have one; where it has, it says so by its code, and the guest can go on."""

# mypy: ignore-errors
# ruff: noqa: ANN001, ANN201 -- the bindings have no types

from __future__ import annotations

from classifier import classifies
from componentize_py_types import Err
from graphs import own_bytes
from suite import Failed, NotRun, case, context, kebab, load, refused, words
from wit_world.imports import graph
from wit_world.imports.errors import ErrorCode
from wit_world.imports.tensor import Tensor, TensorType


def until_too_large(make, most):
    """Make things until it is too-large, and drop them all; in words, how many there were, and the error's code."""
    hoard = []
    try:
        while len(hoard) < most:
            hoard.append(make())
    except Err as raised:
        code = raised.value.code()
        if not hoard and code in {ErrorCode.SECURITY, ErrorCode.INVALID_ENCODING}:
            raise NotRun("nothing of this encoding is loaded from bytes") from None
        words(raised.value, ErrorCode.TOO_LARGE)
        return f"too-large after {len(hoard)}"
    finally:
        for one in hoard:
            one.__exit__(None, None, None)
    return f"no limit up to {most}"


@case("G.handles")
def handles_are_limited():
    """Too many handles are too-large, and all is well once they are dropped."""
    with load("numbers") as loaded:
        told = until_too_large(loaded.init_execution_context, 2000)
    classifies(context("numbers"))
    return told


def large(name, made, size):
    """A compute works or is too-large, and what comes after it works."""
    try:
        for _, out in context(name).compute([("x", made)]):
            out.__exit__(None, None, None)
        told = f"no limit up to {size} bytes"
    except Err as raised:
        words(raised.value, ErrorCode.TOO_LARGE)
        told = f"too-large at {size} bytes"
    classifies(context("numbers"))
    return told


@case("G.tensor-bytes")
def tensors_are_limited():
    """A tensor of 2.4 MB computes or is too-large, and the graph works on."""
    return large("dynamic", Tensor([600, 1000], TensorType.FP32, bytes(2_400_000)), 2_400_000)


@case("G.output-bytes")
def outputs_are_limited():
    """An output of 2 MB comes or is too-large, and the graph works on."""
    return large("square", Tensor([700], TensorType.FP32, bytes(2800)), 1_960_000)


@case("G.inputs")
def inputs_are_limited():
    """A hundred inputs are invalid-argument, and the graph works on."""
    inputs = [(f"in{number}", Tensor([1], TensorType.U8, b"!")) for number in range(100)]
    told = refused(ErrorCode.INVALID_ARGUMENT, context("add").compute, inputs)
    classifies(context("numbers"))
    return told


@case("G.rank")
def ranks_are_limited():
    """17, 65 and 1,000 dimensions are invalid-argument, and the graph works on."""
    on = context("dynamic")
    for rank in (17, 65, 1000):
        made = Tensor([1] * rank, TensorType.FP32, bytes(4))
        told = refused(ErrorCode.INVALID_ARGUMENT, on.compute, [("x", made)])
    classifies(context("numbers"))
    return told


# ---------------------------------------------------------------- graphs from bytes


@case("G.graphs")
def loads_are_limited():
    """Too many graphs from bytes are too-large, and all is well once they are dropped."""
    encoding, builders = own_bytes()
    told = until_too_large(lambda: graph.load(builders, encoding, graph.ExecutionTarget.CPU), 4)
    graph.load(builders, encoding, graph.ExecutionTarget.CPU).__exit__(None, None, None)
    classifies(context("numbers"))
    return told


@case("G.graph-bytes")
def graph_bytes_are_limited():
    """A graph of 2 MiB that is none is invalid-encoding or too-large."""
    encoding, builders = own_bytes()
    try:
        graph.load([bytes(2 << 20), *builders[1:]], encoding, graph.ExecutionTarget.CPU)
    except Err as raised:
        code = raised.value.code()
        if code == ErrorCode.SECURITY:
            raise NotRun("loading from bytes is not granted") from None
        words(raised.value, ErrorCode.TOO_LARGE if code == ErrorCode.TOO_LARGE else ErrorCode.INVALID_ENCODING)
        classifies(context("numbers"))
        return f"{kebab(code)} at 2 MiB"
    raise Failed("2 MiB of zeros were loaded")
