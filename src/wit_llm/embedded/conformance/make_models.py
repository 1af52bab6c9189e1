"""
What makes the conformance suite's models: each as OpenVINO IR, ONNX, ``torch.export`` and TorchScript.

A checkout makes them with ``python -m wit_llm.embedded.conformance.make_models``; they are committed. README.md says
what each one computes. A model is written twice, as ONNX nodes and as a PyTorch module; the IR is made of the ONNX.
"""

# ruff: noqa: T201 -- a script that prints

from __future__ import annotations

import shutil
import warnings
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import openvino as ov
import torch

from wit_llm.embedded.conformance import onnx_file
from wit_llm.embedded.conformance.onnx_file import constant, node
from wit_llm.tensor import TensorSpec, TensorType

FOLDER = Path(__file__).parent / "models"
MATRIX_PRODUCTS = 8  # of `slow`; ten milliseconds are soon a second as n grows
SIX = np.arange(6, dtype=np.float32)

Outputs = dict[str, torch.Tensor]
_DTYPES = {
    TensorType.FP16: torch.float16,
    TensorType.FP32: torch.float32,
    TensorType.FP64: torch.float64,
    TensorType.BF16: torch.bfloat16,
    TensorType.U8: torch.uint8,
    TensorType.I32: torch.int32,
    TensorType.I64: torch.int64,
}


def weights(rows: int, columns: int, down: int, along: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """Quarters from -3/4 to 3/4 by a rule that a guest can repeat."""
    row, column = np.indices((rows, columns))
    return (((down * row + along * column) % 7 - 3) / 4).astype(np.float32)


HIDDEN = weights(4, 8, 3, 5)  # [features, hidden]
CLASSES = weights(8, 3, 5, 3)  # [hidden, classes]


class Echo(torch.nn.Module):
    """The tensor that came."""

    def forward(self, x: torch.Tensor) -> Outputs:
        """[...] -> [...]."""
        return {"y": x.clone()}


class Add(torch.nn.Module):
    """Two tensors, one sum."""

    def forward(self, a: torch.Tensor, b: torch.Tensor) -> Outputs:
        """[4], [4] -> [4]."""
        return {"sum": a + b}


class Two(torch.nn.Module):
    """Two inputs and two outputs that have nothing to do with each other."""

    def forward(self, left: torch.Tensor, right: torch.Tensor) -> Outputs:
        """[2], [3] -> [2], [3]."""
        return {"doubled": left + left, "negated": -right}


class Dynamic(torch.nn.Module):
    """Any number of rows and columns."""

    def forward(self, x: torch.Tensor) -> Outputs:
        """[rows, columns] -> [rows, columns]."""
        return {"y": x + x}


class Square(torch.nn.Module):
    """Much out for little in."""

    def forward(self, x: torch.Tensor) -> Outputs:
        """[n] -> [n, n]."""
        return {"y": x.unsqueeze(1) * x.unsqueeze(0)}


class Slow(torch.nn.Module):
    """Products of n by n matrices, which cost n³."""

    def forward(self, x: torch.Tensor) -> Outputs:
        """[n] -> [n]."""
        start = x.unsqueeze(1) * x.unsqueeze(0)
        matrix = start
        for _ in range(MATRIX_PRODUCTS):
            matrix = torch.matmul(matrix, start)
        return {"y": torch.matmul(matrix, x)}


class Breaks(torch.nn.Module):
    """Six elements in n rows of two, which goes for n = 3 and fails otherwise, while it computes."""

    def forward(self, n: torch.Tensor) -> Outputs:
        """[1] -> [3, 2]."""
        return {"y": torch.from_numpy(SIX).clone().reshape(n[0], 2)}  # type: ignore[call-overload]


class Numbers(torch.nn.Module):
    """A classifier of two layers."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = torch.nn.Parameter(torch.from_numpy(HIDDEN))
        self.classes = torch.nn.Parameter(torch.from_numpy(CLASSES))

    def forward(self, x: torch.Tensor) -> Outputs:
        """[1, features] -> [1, classes]."""
        return {"y": torch.softmax(torch.tanh(x @ self.hidden) @ self.classes, 1)}


class Nameless(torch.nn.Module):
    """A module whose outputs are told apart by their order, as TorchScript has them."""

    def __init__(self, module: torch.nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor | tuple[torch.Tensor, ...]:
        """As the module."""
        outputs = tuple(self.module(*inputs).values())
        return outputs if len(outputs) > 1 else outputs[0]


@dataclass(frozen=True, slots=True)
class Model:
    """
    A model, written twice.

    Args:
        name: Of its folder, and of the graph.
        inputs: What it takes.
        outputs: What it gives.
        module: The PyTorch version.
        nodes: The ONNX version.
        constants: What its nodes use.
    """

    name: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    module: torch.nn.Module
    nodes: tuple[bytes, ...]
    constants: tuple[bytes, ...] = ()

    def write(self, root: Path) -> None:
        """Write all four, each in ``root/<backend>/<name>``."""
        onnx = _empty(root / "onnx" / self.name) / "model.onnx"
        onnx.write_bytes(self.onnx())
        ir = _empty(root / "openvino" / self.name) / "model.xml"
        ov.save_model(ov.Core().read_model(onnx), ir, compress_to_fp16=False)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # both formats of PyTorch's warn: one of its age, one of what it cannot see
            self._export(_empty(root / "pytorch" / self.name) / "model.pt2")
            examples = tuple(self._examples().values())
            script = torch.jit.trace(Nameless(self.module), examples, check_trace=False)  # type: ignore[no-untyped-call]
            torch.jit.save(script, _empty(root / "torchscript" / self.name) / "model.pt")
        _strip(root / "pytorch" / self.name / "model.pt2")
        _strip(root / "torchscript" / self.name / "model.pt")

    def onnx(self) -> bytes:
        """An ONNX file's content."""
        return onnx_file.model(self.name, self.nodes, self.constants, self.inputs, self.outputs)

    def _examples(self) -> dict[str, torch.Tensor]:
        """Tensors to follow the module with: `breaks` wants the 3, the others do not care."""
        return {
            spec.name: torch.full(
                [5 if size is None else size for size in spec.dimensions or ()], 3, dtype=_DTYPES[spec.ty]
            )
            for spec in self.inputs
        }

    def _export(self, path: Path) -> None:
        free = {
            spec.name: {
                axis: torch.export.Dim.DYNAMIC for axis, size in enumerate(spec.dimensions or ()) if size is None
            }
            for spec in self.inputs
        }
        program = torch.export.export(self.module, tuple(self._examples().values()), dynamic_shapes=free)
        for operation in program.graph.nodes:
            operation.meta.pop("stack_trace", None)  # names the files of whoever made it
        torch.export.save(program, path)


def _strip(path: Path) -> None:
    """Leave out the time, what names the files of whoever made it, and what is a digest of those."""
    with zipfile.ZipFile(path) as archive:
        files = {info.filename: archive.read(info) for info in archive.infolist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, content in files.items():
            if not name.endswith((".debug_pkl", "/serialization_id")):
                archive.writestr(zipfile.ZipInfo(name), content)


def _empty(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder


def _spec(name: str, ty: TensorType, *dimensions: int | None) -> TensorSpec:
    return TensorSpec(name, ty, dimensions)


def _numbers(values: list[int]) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    return np.array(values, np.int64)


def models() -> list[Model]:
    """All of them."""
    fp32, i64, u8, i32 = TensorType.FP32, TensorType.I64, TensorType.U8, TensorType.I32
    echoes = [("echo", u8, (None,))] + [(f"echo-{ty.value.lower()}", ty, (2, 3)) for ty in TensorType]
    outer = (node("Unsqueeze", "x down", "column"), node("Unsqueeze", "x along", "row"))
    axes = (constant("down", i64, _numbers([1])), constant("along", i64, _numbers([0])))
    return [
        *(
            Model(
                name,
                (_spec("x", ty, *dimensions),),
                (_spec("y", ty, *dimensions),),
                Echo(),
                (node("Reshape", "x as_it_is", "y"),),
                (constant("as_it_is", i64, _numbers([0] * len(dimensions))),),
            )
            for name, ty, dimensions in echoes
        ),
        Model(
            "add",
            (_spec("a", fp32, 4), _spec("b", fp32, 4)),
            (_spec("sum", fp32, 4),),
            Add(),
            (node("Add", "a b", "sum"),),
        ),
        Model(
            "two-in-two-out",
            (_spec("left", fp32, 2), _spec("right", i32, 3)),
            (_spec("doubled", fp32, 2), _spec("negated", i32, 3)),
            Two(),
            (node("Add", "left left", "doubled"), node("Neg", "right", "negated")),
        ),
        Model(
            "dynamic",
            (_spec("x", fp32, None, None),),
            (_spec("y", fp32, None, None),),
            Dynamic(),
            (node("Add", "x x", "y"),),
        ),
        Model(
            "square",
            (_spec("x", fp32, None),),
            (_spec("y", fp32, None, None),),
            Square(),
            (*outer, node("Mul", "column row", "y")),
            axes,
        ),
        Model(
            "slow",
            (_spec("x", fp32, None),),
            (_spec("y", fp32, None),),
            Slow(),
            (
                *outer,
                node("Mul", "column row", "m0"),
                *(node("MatMul", f"m{step} m0", f"m{step + 1}") for step in range(MATRIX_PRODUCTS)),
                node("MatMul", f"m{MATRIX_PRODUCTS} x", "y"),
            ),
            axes,
        ),
        Model(
            "breaks",
            (_spec("n", i64, 1),),
            (_spec("y", fp32, None, 2),),
            Breaks(),
            # [n, 2] by arithmetic: a Concat of n and 2 is what onnxruntime fuses, and then n is whatever fits
            (node("Mul", "n first", "rows"), node("Add", "rows second", "shape"), node("Reshape", "six shape", "y")),
            (
                constant("first", i64, _numbers([1, 0])),
                constant("second", i64, _numbers([0, 2])),
                constant("six", fp32, SIX),
            ),
        ),
        Model(
            "numbers",
            (_spec("x", fp32, 1, 4),),
            (_spec("y", fp32, 1, 3),),
            Numbers(),
            (
                node("MatMul", "x hidden", "h"),
                node("Tanh", "h", "t"),
                node("MatMul", "t classes", "c"),
                node("Softmax", "c", "y", {"axis": 1}),
            ),
            (constant("hidden", fp32, HIDDEN), constant("classes", fp32, CLASSES)),
        ),
    ]


def manifest(all_models: Sequence[Model]) -> str:
    """What TorchScript does not say of itself, as this package's manifest."""
    lines = []
    for model in all_models:
        lines += [f"[graphs.{model.name}]", f'path = "{model.name}"', 'backend = "pytorch"']
        for kind, specs in (("inputs", model.inputs), ("outputs", model.outputs)):
            lines += [f"[graphs.{model.name}.{kind}]", *(f'{spec.name} = "{spec}"' for spec in specs)]
        lines.append("")
    return "\n".join(lines)


def main() -> None:
    """Write every model anew."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    made = models()
    for model in made:
        model.write(FOLDER)
    (FOLDER / "torchscript" / "wit-llm.toml").write_text(manifest(made))
    files = [path for path in FOLDER.rglob("*") if path.is_file()]
    print(f"{len(files)} files, {sum(path.stat().st_size for path in files)} bytes in {FOLDER}")


if __name__ == "__main__":
    main()
