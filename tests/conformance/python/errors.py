"""C: the codes of errors that a guest can bring about by itself, and how long an error lives."""

# mypy: ignore-errors
# ruff: noqa: ANN001, ANN201 -- the bindings have no types

from __future__ import annotations

import struct

from componentize_py_types import Err
from compute import echo
from suite import ITEMSIZE, Failed, NotRun, case, context, error_of, gives, kebab, load, refused, words
from tensors import BITS
from wit_world.imports import graph
from wit_world.imports.errors import ErrorCode
from wit_world.imports.tensor import Tensor, TensorType


@case("C.invalid-argument")
def invalid_argument_is_told():
    """A compute without the inputs is invalid-argument."""
    return refused(ErrorCode.INVALID_ARGUMENT, context("add").compute, [])


@case("C.not-found")
def not_found_is_told():
    """An unknown name is not-found."""
    return refused(ErrorCode.NOT_FOUND, graph.load_by_name, "no-such-graph")


def six(n):
    """The input of `breaks`."""
    return [("n", Tensor([1], TensorType.I64, struct.pack("q", n)))]


@case("C.runtime-error")
def runtime_error_is_told():
    """What fails while it computes is runtime-error, and the graph works on."""
    on = context("breaks")
    for _ in range(2):
        gives(on, six(3), ("y", [3, 2], "FP32", struct.pack("6f", *range(6))))
        told = refused(ErrorCode.RUNTIME_ERROR, on.compute, six(4))
    return told


@case("C.unsupported-operation")
def unsupported_operation_is_told():
    """A type that the backend does not have is unsupported-operation."""
    for name in BITS:
        try:
            echo(name, bytes(6 * ITEMSIZE[name.upper()]))
        except Err as raised:
            return words(raised.value, ErrorCode.UNSUPPORTED_OPERATION)
    raise NotRun("the backend has all seven types")


def load_is_refused(code, otherwise):
    """Loading junk is refused with a code; with the other one the case is not run."""
    junk = [b"this is no model"]
    error = error_of(graph.load, junk, graph.GraphEncoding.TENSORFLOWLITE, graph.ExecutionTarget.CPU)
    if error.code() == otherwise:
        raise NotRun(f"a load of bytes answers {kebab(otherwise)} here")
    return words(error, code)


@case("C.invalid-encoding")
def invalid_encoding_is_told():
    """Load with an encoding that has no backend is invalid-encoding."""
    return load_is_refused(ErrorCode.INVALID_ENCODING, ErrorCode.SECURITY)


@case("C.security")
def security_is_told():
    """Load where it is not granted is security."""
    return load_is_refused(ErrorCode.SECURITY, ErrorCode.INVALID_ENCODING)


@case("C.outlives-graph")
def error_outlives_its_graph():
    """An error can be read after graph and context are dropped."""
    with load("add") as loaded, loaded.init_execution_context() as on:
        error = error_of(on.compute, [])
        before = (error.code(), error.data())
    if (error.code(), error.data()) != before:
        raise Failed(f"{before!r} became {error.data()!r}")
    return words(error)


@case("C.ten-thousand")
def dropped_errors_are_gone():
    """10,000 errors, each dropped, leave nothing behind."""
    for _ in range(10_000):
        not_found_is_told()
