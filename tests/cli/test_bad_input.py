"""Bad input: one line on stderr that says what was found and the way out, status 1, and no traceback."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from wasmtime import wat2wasm

from tests.conftest import Command
from wit_llm import Grant

WANTS_A_GADGET = """
(component
  (import "acme:gadgets/lathe@1.0.0" (instance (export "spin" (func)))))
"""


def _error(command: Command, *args: str) -> str:
    """What the command's one line says after ``error:``."""
    ended = command(*args)
    assert (ended.status, ended.stdout) == (1, "")
    assert re.fullmatch(r"error: [^\n]+\n", ended.stderr), ended.stderr
    return ended.stderr.removeprefix("error: ").removesuffix("\n")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        pytest.param(b"\x7fELF\x02\x01\x01\0", "this is not a WebAssembly component", id="another-format"),
        pytest.param(b"", "this is not a WebAssembly component", id="empty"),
        pytest.param(b"(component)", "this is WebAssembly text, not a component: `wasm-tools parse", id="text"),
        pytest.param(wat2wasm("(module)"), "make one of it with `wasm-tools component new", id="core-module"),
        pytest.param(wat2wasm("(component)") + b"\xff\xff", "cannot be compiled", id="broken"),
        pytest.param(wat2wasm("(component)"), "exports no function `run` in wasi:cli/run", id="no-program"),
    ],
)
def test_file_that_is_no_program(command: Command, tmp_path: Path, content: bytes, told: str) -> None:
    """A file that is no component with a `run` is told from one, and the way to one is named."""
    (tmp_path / "guest.wasm").write_bytes(content)
    assert told in _error(command, "run", "guest.wasm")


def test_no_such_file(command: Command) -> None:
    """The name that was asked for is in the line."""
    assert _error(command, "run", "nowhere.wasm") == "nowhere.wasm: No such file or directory"


def test_component_that_wants_what_is_not_offered(command: Command, tmp_path: Path) -> None:
    """The line has what the component wants, and what there is."""
    (tmp_path / "guest.wasm").write_bytes(wat2wasm(WANTS_A_GADGET))
    told = _error(command, "run", "guest.wasm")
    assert "acme:gadgets/lathe@1.0.0" in told
    assert "wit-llm:nn/prompt@0.1.0" in told
    assert "wasi:nn/graph@0.2.0-rc-2024-10-28" in told


def test_graph_that_is_not_granted(command: Command) -> None:
    """A guest that asks for another graph learns which there are."""
    told = _error(command, "run", "--graph", "echo", "--graph", "echo-worker", "chat", "tiny", "Hello!")
    assert "no graph 'tiny' is granted; granted: echo, echo-worker" in told


@pytest.mark.parametrize(
    ("grant", "told"),
    [
        pytest.param("kiten", "embedded are tiny, echo and echo-worker, not 'kiten'; write kiten=FOLDER", id="name"),
        pytest.param("a=nowhere", "there is no folder nowhere", id="folder"),
        pytest.param("a=.,colour=red", "unknown key 'colour'; known: path, backend, target, settings", id="key"),
        pytest.param("a=.,backend=tensorrt", "no backend 'tensorrt'; there are ", id="backend"),
        pytest.param("a=.,target=quantum", "no target 'quantum'; there are cpu, gpu, tpu", id="target"),
        pytest.param("a=.,backend", "'backend' has no '='", id="no-value"),
        pytest.param("a=.", "no graph in .", id="empty-folder"),
        pytest.param("a b=.,backend=echo", "'a b' is no graph name", id="characters"),
    ],
)
def test_grant_that_cannot_be(command: Command, grant: str, told: str) -> None:
    """What is wrong with a --graph is said before anything runs."""
    assert told in _error(command, "run", "--graph", grant, "chat", "a")


@pytest.mark.parametrize(
    ("manifest", "told"),
    [
        pytest.param("[graphs.a\n", "wit-llm.toml: ", id="syntax"),
        pytest.param("[graphs.a]\npath = .\n", "at line 2", id="line"),
        pytest.param("colour = 1\n", "unknown key 'colour'; known: graphs", id="key"),
        pytest.param("[graphs.a]\nfolder = '.'\n", "graphs.a: unknown key 'folder'", id="key-of-a-graph"),
        pytest.param("[graphs]\na = '.'\n", "graphs.a must be a table: [graphs.a]", id="no-table"),
        pytest.param("[graphs.a]\npath = 'nowhere'\n", "graphs.a: there is no folder nowhere", id="folder"),
    ],
)
def test_broken_manifest(command: Command, tmp_path: Path, manifest: str, told: str) -> None:
    """The line or the key that is wrong is named."""
    (tmp_path / "wit-llm.toml").write_text(manifest)
    line = _error(command, "graphs")
    assert line.startswith("wit-llm.toml: ")
    assert told in line


def test_no_such_manifest(command: Command) -> None:
    """A manifest that was asked for has to be there."""
    assert "No such file or directory" in _error(command, "graphs", "--config", "nowhere.toml")


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        pytest.param("openvino_model.bin", None, "openvino_model.xml cannot be read by OpenVINO", id="no-weights"),
        pytest.param("openvino_model.bin", "cut short", "openvino_model.xml cannot be read by OpenVINO", id="weights"),
        pytest.param("openvino_model.xml", None, "wanted is an OpenVINO IR (openvino_model.xml or ", id="no-graph"),
        pytest.param("openvino_model.xml", "<net", "openvino_model.xml cannot be read by OpenVINO", id="graph"),
        pytest.param("config.json", None, "graph 'mine' takes tensors only", id="no-config"),
        pytest.param("config.json", "{ broken", "config.json: JSON is malformed", id="config"),
        pytest.param("tokenizer.json", None, "has no tokenizer.json in its folder", id="no-tokenizer"),
        pytest.param("tokenizer.json", "{ broken", "tokenizer.json is not a tokenizer", id="tokenizer"),
        pytest.param("chat_template.jinja", None, "has no chat template", id="no-template"),
    ],
)
def test_graph_folder_with_a_bad_file(
    command: Command, tmp_path: Path, name: str, content: str | None, told: str
) -> None:
    """A folder of which one file is not as it should be is told in one line, and not a crash."""
    folder = tmp_path / "model"
    shutil.copytree(Grant.parse("tiny").path, folder, ignore=shutil.ignore_patterns("*.safetensors"))
    (folder / name).unlink()
    if content is not None:
        (folder / name).write_text(content)
    assert told in _error(command, "chat", "--graph", "mine=model", "Hello!")


def test_debug_shows_where(command: Command) -> None:
    """The traceback is there for who asks for it, and only then."""
    ended = command("--debug", "run", "nowhere.wasm")
    assert ended.status == 1
    assert "Traceback (most recent call last)" in ended.stderr
