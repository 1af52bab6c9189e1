"""The model of each shape in the form that each engine reads, made once and kept in the benchmarks' cache."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from measure import BENCH
from random_llama import SHAPES, make_source

from wit_llm.convert.compress import WeightFormat
from wit_llm.convert.folder import convert

FOLDER = BENCH / "peers" / "models"
BENCHMARKS = Path(__file__).parents[1]


def source(shape: str) -> Path:
    """As transformers has it, weights in BF16: what all others are made of."""
    return make_source(FOLDER / shape / "transformers", SHAPES[shape])


def made(shape: str, form: str, python: Path) -> Path:
    """
    The model in a form such as ``ir-int8``, ``onnx-int4`` or ``gguf-Q8_0``.

    Args:
        shape: Of the model.
        form: What is read, and how its weights are stored.
        python: That has the packages to write it.

    Raises:
        RuntimeError: The program that writes it has failed; the end of what it said.
    """
    kind, _, weights = form.partition("-")
    if kind == "transformers":
        return source(shape)
    folder = FOLDER / shape / form
    if not folder.exists():
        _write(_WRITERS[kind], source(shape), folder, weights, python)
    return folder / "model.gguf" if kind == "gguf" else folder


def _write(
    writer: Callable[[Path, Path, str, Path], None], model: Path, folder: Path, weights: str, python: Path
) -> None:
    print(f"writing {folder}", file=sys.stderr)
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        written = Path(scratch) / "written"
        writer(model, written, weights, python)
        shutil.move(written, folder)


def _ir(model: Path, folder: Path, weights: str, _python: Path) -> None:
    convert(model, folder, WeightFormat(weights))


def _gguf(model: Path, folder: Path, weights: str, python: Path) -> None:
    folder.mkdir()
    _run(python, "engines.write_gguf", str(model), str(folder / "model.gguf"), weights)


def _onnx(model: Path, folder: Path, weights: str, python: Path) -> None:
    cache = folder.with_name("cache")
    arguments = ("-i", str(model), "-o", str(folder), "-p", weights, "-e", "cpu", "-c", str(cache))
    _run(python, "onnxruntime_genai.models.builder", *arguments)


def _run(python: Path, module: str, *arguments: str) -> None:
    done = subprocess.run(
        [python, "-m", module, *arguments], cwd=BENCHMARKS, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{module}: {(done.stderr.strip().splitlines() or ['it said nothing'])[-1]}")


_WRITERS = {"ir": _ir, "gguf": _gguf, "onnx": _onnx}
