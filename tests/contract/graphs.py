"""
Graphs that tests need on disk, written by the libraries that read them.

A graph of every type has an input ``in_t`` for each element type t, free in its first axis, and an output ``out_t``
that is twice as much; ``in_u8`` has one axis, to be as large as one likes, and ``in_single`` is a value without axes.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.architecture import ROOT


def write(library: str, folder: Path) -> Path:
    """Write all of a library's, each into a folder of its kind, in a process that imports the library for us."""
    subprocess.run([sys.executable, "-m", "tests.contract.graphs", library, str(folder)], check=True, cwd=ROOT)
    return folder


def _openvino(folder: Path) -> None:
    """An IR of every type that OpenVINO has."""
    _openvino_of(folder, "f16", "f32", "bf16", "u8", "i32", "i64")


def _openvino_fp64(folder: Path) -> None:
    """An IR of a type that OpenVINO has in name only."""
    _openvino_of(folder, "f64")


def _openvino_of(folder: Path, *types: str) -> None:
    import openvino as ov
    from openvino import opset15 as op

    inputs, outputs = [], []
    for ty in (*types, "single"):
        name = {"f16": "fp16", "f32": "fp32", "f64": "fp64"}.get(ty, ty)
        dimensions = {"single": [], "u8": [-1]}.get(ty, [-1, 3])
        parameter = op.parameter(dimensions, getattr(ov.Type, "f32" if ty == "single" else ty))
        parameter.output(0).get_tensor().set_names({f"in_{name}"})
        double = op.add(parameter, parameter)
        double.output(0).get_tensor().set_names({f"out_{name}"})
        inputs.append(parameter)
        outputs.append(double)
    ov.save_model(ov.Model(outputs, inputs, "types"), folder / "model.xml", compress_to_fp16=False)


def _pytorch(folder: Path) -> None:
    """An exported program of every type."""
    import torch

    types = {
        "fp16": torch.float16,
        "fp32": torch.float32,
        "fp64": torch.float64,
        "bf16": torch.bfloat16,
        "u8": torch.uint8,
        "i32": torch.int32,
        "i64": torch.int64,
    }

    class Types(torch.nn.Module):
        def forward(  # noqa: PLR0913, PLR0917 -- an input for each type
            self,
            in_fp16: torch.Tensor,
            in_fp32: torch.Tensor,
            in_fp64: torch.Tensor,
            in_bf16: torch.Tensor,
            in_u8: torch.Tensor,
            in_i32: torch.Tensor,
            in_i64: torch.Tensor,
            in_single: torch.Tensor,
        ) -> dict[str, torch.Tensor]:
            inputs = (in_fp16, in_fp32, in_fp64, in_bf16, in_u8, in_i32, in_i64, in_single)
            return {f"out_{name}": value + value for name, value in zip((*types, "single"), inputs, strict=True)}

    examples = [torch.ones((7,) if name == "u8" else (2, 3), dtype=dtype) for name, dtype in types.items()]
    examples.append(torch.tensor(1.0))
    free = [{0: torch.export.Dim.DYNAMIC} if value.dim() else None for value in examples]
    torch.export.save(torch.export.export(Types(), tuple(examples), dynamic_shapes=free), folder / "types.pt2")


def _counter(folder: Path) -> None:
    """A program that counts its calls."""
    import torch

    class Counter(torch.nn.Module):
        calls: torch.Tensor

        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("calls", torch.zeros(1))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.calls += 1
            return x + self.calls

    torch.export.save(torch.export.export(Counter(), (torch.ones(2),)), folder / "counter.pt2")


def _narrow(folder: Path) -> None:
    """A program that takes two to eight rows."""
    import torch

    class Narrow(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x * 2

    rows = torch.export.Dim("rows", min=2, max=8)
    program = torch.export.export(Narrow(), (torch.ones(4, 3),), dynamic_shapes={"x": {0: rows}})
    torch.export.save(program, folder / "narrow.pt2")


KINDS = {
    "openvino": {"types": _openvino, "fp64": _openvino_fp64},
    "pytorch": {"types": _pytorch, "counter": _counter, "narrow": _narrow},
}

if __name__ == "__main__":
    for name, make in KINDS[sys.argv[1]].items():
        (Path(sys.argv[2]) / name).mkdir()
        make(Path(sys.argv[2]) / name)
