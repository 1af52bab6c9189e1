"""Graphs of ``tests.contract.graphs`` as OpenVINO IR."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import openvino as ov
from openvino import opset15 as op
from openvino.op.util import Variable, VariableInfo

from tests.contract.graphs import STORM
from wit_llm.tensor import TensorType

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

TYPES = tuple(TensorType(name) for name in ("FP16", "FP32", "BF16", "U8", "I32", "I64"))


def _save(folder: Path, outputs: dict[str, Any], inputs: dict[str, Any], sinks: Sequence[Any] = ()) -> None:
    for name, node in (inputs | outputs).items():
        node.output(0).get_tensor().set_names({name})
    model = ov.Model([op.result(node) for node in outputs.values()], list(sinks), list(inputs.values()), "model")
    ov.save_model(model, folder / "model.xml", compress_to_fp16=False)


def _of_types(folder: Path, types: Sequence[TensorType], *, double: bool) -> None:
    """An IR of these types."""
    elements = {"FP16": "f16", "FP32": "f32", "FP64": "f64"}
    inputs, outputs = {}, {}
    for ty in (*types, None):
        name = ty.value if ty else "single"
        dimensions = [] if ty is None else [-1] if ty is TensorType.U8 else [-1, 3]
        element = getattr(ov.Type, elements.get(name, name.lower() if ty else "f32"))
        value = op.parameter(dimensions, element)
        as_it_is = op.constant(np.zeros(len(dimensions), np.int64))
        inputs[f"in_{name.lower()}"] = value
        outputs[f"out_{name.lower()}"] = (
            op.add(value, value) if double else op.reshape(value, as_it_is, special_zero=True)
        )
    _save(folder, outputs, inputs)


def _wide(folder: Path) -> None:
    """FP32 in, FP64 out."""
    x = op.parameter([2], ov.Type.f32)
    _save(folder, {"y": op.convert(x, "f64")}, {"x": x})


def _sum(folder: Path) -> None:
    """An IR that adds what comes to what came before."""
    about = VariableInfo()
    about.data_shape, about.data_type, about.variable_id = ov.PartialShape([2]), ov.Type.f32, "sum"
    variable, x = Variable(about), op.parameter([2], ov.Type.f32)
    total = op.add(op.read_value(op.constant([0.0, 0.0], ov.Type.f32), variable), x)
    _save(folder, {"y": total}, {"x": x}, [op.assign(total, variable)])


def _narrow(folder: Path) -> None:
    """An IR that takes one to eight rows."""
    x = op.parameter(ov.PartialShape([ov.Dimension(1, 8), 3]), ov.Type.f32)
    _save(folder, {"y": op.add(x, x)}, {"x": x})


def _square(folder: Path) -> None:
    """The products of all pairs: n numbers in, n times n out."""
    x = op.parameter([-1], ov.Type.f32)
    _save(folder, {"y": op.multiply(op.unsqueeze(x, op.constant(1)), op.unsqueeze(x, op.constant(0)))}, {"x": x})


def _count(folder: Path) -> None:
    """A number n in, the numbers up to n out."""
    n = op.parameter([1], ov.Type.i64)
    _save(folder, {"y": op.range(op.constant(0), op.squeeze(n, op.constant(0)), op.constant(1), ov.Type.i64)}, {"n": n})


def _rows(folder: Path) -> None:
    """Six numbers in n rows, where that goes."""
    n = op.parameter([1], ov.Type.i64)
    shape = op.concat([n, op.constant(np.array([-1], np.int64))], 0)
    _save(folder, {"y": op.reshape(op.constant(np.arange(6, dtype=np.float32)), shape, special_zero=False)}, {"n": n})


def _product(folder: Path) -> None:
    """A matrix product with the identity."""
    x = op.parameter([1, 4], ov.Type.f32)
    _save(
        folder,
        {"y": op.matmul(x, op.constant(np.eye(4, dtype=np.float32)), transpose_a=False, transpose_b=False)},
        {"x": x},
    )


def _pair(folder: Path) -> None:
    """Two inputs, two outputs: a sum and a difference."""
    x, y = op.parameter([2], ov.Type.f32), op.parameter([2], ov.Type.f32)
    _save(folder, {"sum": op.add(x, y), "difference": op.subtract(x, y)}, {"x": x, "y": y})


def _many(folder: Path) -> None:
    """More outputs than go to a guest."""
    x = op.parameter([2], ov.Type.f32)
    _save(folder, {f"y{number}": op.add(x, op.constant(np.float32(number))) for number in range(65)}, {"x": x})


def _large(folder: Path) -> None:
    """One output, of 16 MiB, whatever comes."""
    x = op.parameter([1], ov.Type.f32)
    _save(folder, {"y": op.broadcast(x, op.constant(np.array([1 << 22], np.int64)))}, {"x": x})


def _storm(folder: Path) -> None:
    """A few functions of any numbers, and what the library makes of ``STORM`` when it is called directly."""
    x = op.parameter([-1], ov.Type.f32)
    outputs = {"relu": op.relu(x), "twice": op.add(x, x), "square": op.multiply(x, x), "root": op.sqrt(x)}
    _save(folder, outputs, {"x": x})
    compiled = ov.Core().compile_model(folder / "model.xml", "CPU", {"EXECUTION_MODE_HINT": "ACCURACY"})
    answers = compiled([np.frombuffer(STORM, np.float32)])
    (folder / "expected.bin").write_bytes(b"".join(answers[port].tobytes() for port in compiled.outputs))


KINDS: dict[str, Callable[[Path], None]] = {
    "types": partial(_of_types, types=TYPES, double=True),
    "same": partial(_of_types, types=TYPES, double=False),
    "fp64": partial(_of_types, types=[TensorType.FP64], double=True),
    "wide": _wide,
    "sum": _sum,
    "narrow": _narrow,
    "square": _square,
    "count": _count,
    "rows": _rows,
    "product": _product,
    "pair": _pair,
    "many": _many,
    "large": _large,
    "storm": _storm,
}
