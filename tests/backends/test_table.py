"""Which backend a folder is for."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from wit_llm.backends.base import Signature, Target
from wit_llm.backends.table import BACKENDS, detect, open_graph
from wit_llm.errors import OperatorError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("names", "backend"),
    [
        pytest.param(["openvino_model.xml", "openvino_model.bin"], "openvino", id="ir-of-a-language-model"),
        pytest.param(["model.xml", "model.bin"], "openvino", id="ir"),
        pytest.param(["resnet.onnx"], "openvino", id="onnx"),
        pytest.param(["config.json", "model-00001-of-00002.safetensors"], "pytorch", id="transformers"),
        pytest.param(["model-Q4_K_M.gguf", "tokenizer.json"], "openvino", id="gguf"),
        pytest.param(["program.pt2"], "pytorch", id="exported-program"),
        pytest.param(["program.pt"], "pytorch", id="torchscript"),
        pytest.param(
            ["config.json", "model.safetensors", "openvino_model.xml"], "openvino", id="ir-before-transformers"
        ),
        pytest.param(["config.json", "model.safetensors", "m.onnx"], "openvino", id="onnx-before-transformers"),
    ],
)
def test_files_say_the_backend(tmp_path: Path, names: list[str], backend: str) -> None:
    """The names of its files decide, in a fixed order."""
    for name in names:
        (tmp_path / name).write_text("{}")
    assert detect(tmp_path) == backend


@pytest.mark.parametrize(
    ("names", "found"),
    [
        pytest.param([], "nothing", id="empty"),
        pytest.param(["README.md", "config.json"], "README.md, config.json", id="no-weights"),
        pytest.param(["a.tflite", "b.h5"], "a.tflite, b.h5", id="other-formats"),
    ],
)
def test_says_what_is_there_and_what_is_wanted(tmp_path: Path, names: list[str], found: str) -> None:
    """A folder that is for no backend is an error with the way out."""
    for name in names:
        (tmp_path / name).touch()
    text = (
        f"no graph in {tmp_path}: it holds {found}; wanted is an OpenVINO IR (openvino_model.xml or model.xml), "
        "*.onnx, a transformers folder (config.json and *.safetensors), *.pt2 or *.pt, or *.gguf; "
        "`backend = ...` names a backend outright"
    )
    with pytest.raises(OperatorError, match=f"^{re.escape(text)}$"):
        detect(tmp_path)


def test_unknown_backends_are_named_with_those_there_are(tmp_path: Path) -> None:
    """The message lists the table."""
    with pytest.raises(OperatorError, match=f"^no backend 'onnx'; there are: {', '.join(BACKENDS)}$"):
        open_graph("onnx", tmp_path, Target.CPU, {}, Signature())
