"""What a graph takes and gives, as the operator writes it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from wit_llm.backends.base import Signature
from wit_llm.errors import OperatorError
from wit_llm.registry import Grant, read_manifest
from wit_llm.tensor import TensorSpec, TensorType
from wit_llm.text.formats.table import Formats


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """Where it lies, beside the folder of a graph."""
    (tmp_path / "graph").mkdir()
    (tmp_path / "graph" / "model.pt").touch()
    return tmp_path / "wit-llm.toml"


def _read(manifest: Path, lines: str) -> Grant:
    manifest.write_text(f'[graphs.mine]\npath = "graph"\n{lines}')
    (grant,) = read_manifest(manifest)
    return grant


def test_tables_are_read_in_their_order(manifest: Path) -> None:
    """Names are any text, types and dimensions as messages have them, and the first line is the first tensor."""
    grant = _read(
        manifest,
        """
        [graphs.mine.inputs]
        pixels = "FP32[1, 3, 224, 224]"
        "a name: ü" = "I64[?]"
        [graphs.mine.outputs]
        z = "U8[...]"
        a = "FP16[]"
        """,
    )
    inputs = TensorSpec("pixels", TensorType.FP32, (1, 3, 224, 224)), TensorSpec("a name: ü", TensorType.I64, (None,))
    outputs = TensorSpec("z", TensorType.U8, None), TensorSpec("a", TensorType.FP16, ())
    assert grant == Grant("mine", manifest.parent / "graph", "pytorch", signature=Signature(inputs, outputs))


def test_one_line_each_does_as_well(manifest: Path) -> None:
    """What the message about a missing signature tells to write is understood."""
    grant = _read(manifest, 'inputs = { x = "FP32[1, ?]" }\noutputs = { output0 = "FP32[1, ?]" }')
    rows = (1, None)
    assert grant.signature == Signature(
        (TensorSpec("x", TensorType.FP32, rows),), (TensorSpec("output0", TensorType.FP32, rows),)
    )


def test_formats_of_replies_are_read(manifest: Path) -> None:
    """How the model writes calls and reasoning, where its template does not show it."""
    assert _read(manifest, 'tools = "json"\nreasoning = "none"').formats == Formats("json", "none")
    assert _read(manifest, "").formats == Formats()


def test_without_tables_there_is_no_signature(manifest: Path) -> None:
    """Most graphs say what they take themselves."""
    assert _read(manifest, "").signature == Signature()


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        pytest.param('inputs = "FP32[1]"', ": inputs is a table of the manifest, with lines such as x", id="no-table"),
        pytest.param("outputs = [1]", ": outputs is a table of the manifest, with lines such as x", id="list"),
        pytest.param("inputs = { x = 3 }", ": inputs is a table of the manifest, with lines such as x", id="number"),
        pytest.param('inputs = { "" = "U8[1]" }', ": inputs is a table of the manifest, with lines", id="empty-name"),
        pytest.param(
            'inputs = { x = "U8(1)" }', ".inputs: 'x' is 'U8(1)', which is no tensor; write a type", id="text"
        ),
        pytest.param('outputs = { y = "U8" }', ".outputs: 'y' is 'U8', which is no tensor; write a type", id="output"),
        pytest.param(
            'input = { x = "U8[1]" }', "; known: path, backend, target, settings, inputs, outputs, tools", id="key"
        ),
        pytest.param(
            'tools = "gorilla"', ": tools is none of hermes, qwen-coder, mistral, llama, json, none", id="tools"
        ),
        pytest.param(
            "tools = [1]", ": tools is none of hermes, qwen-coder, mistral, llama, json, none: [1]", id="a-list"
        ),
        pytest.param('reasoning = "yes"', ": reasoning is none of think, mistral, none: 'yes'", id="reasoning"),
    ],
)
def test_lines_that_say_nothing_sensible_are_named(manifest: Path, lines: str, told: str) -> None:
    """The message has the file, the graph and the table."""
    with pytest.raises(OperatorError, match=rf"^{re.escape(str(manifest))}: graphs\.mine.*{re.escape(told)}"):
        _read(manifest, lines)


def test_the_command_line_has_no_tables(tmp_path: Path) -> None:
    """A signature does not fit between commas, and the message sends to the manifest."""
    with pytest.raises(OperatorError, match=r"inputs is a table of the manifest, with lines such as x = \"FP32\["):
        Grant.parse(f"x={tmp_path},backend=pytorch,inputs=FP32[1]")
