"""``wit-llm graphs``."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.conftest import Command
from wit_llm import Grant
from wit_llm.cli.grants import EMBEDDED


def test_embedded_graphs_are_known_by_their_bare_names() -> None:
    """What the help calls embedded can be granted by name."""
    assert [Grant.parse(name).name for name in EMBEDDED] == list(EMBEDDED)


def test_list_has_a_line_for_each_graph(command: Command) -> None:
    """Names, backends, whether they take text, sizes, windows and digests are on stdout."""
    ended = command("graphs")
    assert (ended.status, ended.stderr) == (0, "")
    header, *lines = ended.stdout.splitlines()
    assert header.split() == ["name", "backend", "target", "text", "window", "size", "digest"]
    assert [line.split()[:4] for line in lines] == [
        ["tiny", "openvino", "cpu", "yes"],
        ["echo", "echo", "cpu", "yes"],
        ["echo-worker", "echo-worker", "cpu", "yes"],
    ]
    assert re.fullmatch(r"tiny +openvino +cpu +yes +1024 +\d\.\d MB +[0-9a-f]{12} *", lines[0])


def test_list_as_json(command: Command, tmp_path: Path) -> None:
    """``--json`` has whole digests, bytes as numbers, and the graphs that were added."""
    (tmp_path / "graph").mkdir()
    rows = json.loads(command("graphs", "--json", "--graph", "parrot=graph,backend=echo").stdout)
    assert [row["name"] for row in rows] == [*EMBEDDED, "parrot"]
    assert rows[-1] == {
        "name": "parrot",
        "backend": "echo",
        "target": "cpu",
        "promptable": False,
        "embeds": False,
        "context_window": None,
        "bytes": 0,
        "digest": rows[-1]["digest"],
        "path": "graph",
    }
    assert re.fullmatch(r"sha256:[0-9a-f]{64}", rows[-1]["digest"])


@pytest.mark.parametrize("backend", ["openvino", pytest.param("pytorch", marks=pytest.mark.slow)])
def test_one_graph_shows_what_it_takes_and_gives(command: Command, backend: str) -> None:
    """A name is loaded, on the backend that was asked for, and tells its inputs and outputs."""
    ended = command("graphs", "tiny", "--json", "--graph", f"tiny,backend={backend}")
    assert (ended.status, ended.stderr) == (0, "")
    graph = json.loads(ended.stdout)
    assert (graph["backend"], graph["context_window"], graph["vocab_size"]) == (backend, 1024, 640)
    inputs = {spec["name"]: (spec["ty"], spec["dimensions"]) for spec in graph["inputs"]}
    assert inputs["input_ids"] == inputs["attention_mask"] == ("I64", [None, None])
    assert [(spec["name"], spec["ty"], spec["dimensions"]) for spec in graph["outputs"]] == [
        ("logits", "FP32", [None, None, 640])
    ]


def test_one_graph_for_people(command: Command) -> None:
    """Without ``--json`` it is a table with the same in words."""
    shown = dict(line.split(maxsplit=1) for line in command("graphs", "echo").stdout.splitlines())
    assert shown["graph"].strip() == "echo"
    assert shown["input"].strip() == "any tensors"
    assert shown["output"].strip() == "its inputs"
    assert shown["window"].strip() == "4096 tokens"


def test_no_such_graph(command: Command) -> None:
    """A name that is not there is one line with those that are."""
    assert command("graphs", "kiten") == (
        1,
        "",
        "error: there is no graph 'kiten'; there are tiny, echo, echo-worker, and --graph kiten=FOLDER adds one\n",
    )
