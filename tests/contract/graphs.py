"""
Graphs that tests need on disk, written by the libraries that read them.

A graph of every type has an input ``in_t`` for each element type t, free in its first axis, and an output ``out_t``;
``in_u8`` has one axis, to be as large as one likes, and ``in_single`` is a value without axes. In ``types`` an output
is twice its input, in ``same`` it is a copy. ``square`` gives the products of all pairs of n numbers, ``count`` the
numbers up to n, ``rows`` six numbers in n rows, where that goes. The others are what one test wants.
"""

from __future__ import annotations

import struct
import subprocess
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from tests.architecture import ROOT
from wit_llm.backends.base import Signature
from wit_llm.tensor import TensorSpec, TensorType

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


def write(library: str, folder: Path) -> Path:
    """Write all of a library's, each into a folder of its kind, in a process that imports the library for us."""
    subprocess.run([sys.executable, "-m", "tests.contract.graphs", library, str(folder)], check=True, cwd=ROOT)
    return folder


def every_type(prefix: str, types: Iterable[TensorType]) -> tuple[TensorSpec, ...]:
    """The inputs, or the outputs, of a graph of these types."""
    specs = [
        TensorSpec(f"{prefix}_{ty.value.lower()}", ty, (None,) if ty is TensorType.U8 else (None, 3)) for ty in types
    ]
    return (*specs, TensorSpec(f"{prefix}_single", TensorType.FP32, ()))


def signature(inputs: dict[str, str], outputs: dict[str, str]) -> Signature:
    """As a manifest has it."""
    return Signature(*(tuple(TensorSpec.parse(*item) for item in specs.items()) for specs in (inputs, outputs)))


# NaNs, quiet and signalling, infinities, zeros, denormals, the ends of the range, and common numbers, as FP32.
STORM = struct.pack(
    "<16I",
    *(0x7FC00000, 0xFFC00123, 0x7FA00001, 0xFF800001, 0x7F800000, 0xFF800000, 0x00000000, 0x80000000),
    *(0x00000001, 0x80000001, 0x007FFFFF, 0x00800000, 0x7F7FFFFF, 0xFF7FFFFF, 0x3F800001, 0xC0490FDB),
)

# What TorchScript does not know of itself.
_EVERY_TYPE = Signature(every_type("in", TensorType), every_type("out", TensorType))
SIGNATURES = {
    "types": _EVERY_TYPE,
    "same": _EVERY_TYPE,
    "square": signature({"x": "FP32[?]"}, {"y": "FP32[?, ?]"}),
    "count": signature({"n": "I64[1]"}, {"y": "I64[?]"}),
    "rows": signature({"n": "I64[1]"}, {"y": "FP32[?, ?]"}),
}


def _kinds(library: str) -> dict[str, Callable[[Path], None]]:
    if library == "openvino":
        from tests.contract import graphs_openvino

        return graphs_openvino.KINDS
    from tests.contract import graphs_pytorch

    return graphs_pytorch.EXPORTED if library == "pytorch" else graphs_pytorch.SCRIPTED


if __name__ == "__main__":
    warnings.simplefilter("ignore")  # PyTorch's formats warn of their age, and of what a trace cannot see
    for name, make in _kinds(sys.argv[1]).items():
        (Path(sys.argv[2]) / name).mkdir()
        make(Path(sys.argv[2]) / name)
