"""A: a component that imports wasi:nn/tensor alone."""

# mypy: ignore-errors
# ruff: noqa: D102, ANN201 -- the bindings exist inside a component only

from __future__ import annotations

from componentize_py_types import Err
from wit_world import exports
from wit_world.imports.tensor import Tensor, TensorType


class Run(exports.Run):
    """Makes a tensor, and reads it."""

    def run(self):
        with Tensor([2], TensorType.U8, b"hi") as tensor:
            if (list(tensor.dimensions()), tensor.ty(), tensor.data()) != ([2], TensorType.U8, b"hi"):
                raise Err(None)
