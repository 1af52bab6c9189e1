"""``wit-llm conformance``: its table, its JSON, its page, its exit status, and other hosts."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

import pytest

from tests.conftest import Command
from wit_llm.cli.conformance import warn
from wit_llm.conformance.suite import IN_C, Finding, Report, Result
from wit_llm.events import Event, GraphFailed, HostFault

# A host that fails one case, traps in the next, and writes down how it was called.
FAKE = """
import json, sys
from pathlib import Path
folder, words = Path(sys.argv[1]), sys.argv[2:]
with (folder / "called").open("a") as file:
    print(json.dumps(words), file=file)
def say(result, case="", seen=""):
    print(json.dumps({"result": result, "case": case, "seen": seen}), flush=True)
if "--list" in words:
    say("case", "B.one", "one holds")
    say("case", "B.two", "two holds")
    say("case", "B.three", "three holds")
elif "act" in words and (folder / "empty").exists():
    say("fail", "load", "numbers: runtime-error: there is no backend")
elif "act" not in words:
    if "B.one" in words:
        say("fail", "B.one", "it is | not so")
    if "B.two" in words:
        sys.exit("oh no")
    if "B.three" in words:
        say("not-run", "B.three", "nothing to see")
say("end")
"""


@pytest.fixture
def fake(tmp_path: Path) -> list[str]:
    """The options that start it."""
    (tmp_path / "fake.py").write_text(FAKE)
    command = f"{sys.executable} {tmp_path / 'fake.py'} {tmp_path} {{graphs}} {{component}} {{args}}"
    return ["--host", command, "--host-graph", "-S nn-graph={encoding}::{folder}"]


def test_prints_a_table_of_one_backend(command: Command) -> None:
    """A line a case with what was seen, and the counts."""
    done = command("conformance", "--backend", "onnx", "I", "E.add")
    assert (done.status, done.stderr) == (0, "")
    lines = [line.split() for line in done.stdout.splitlines()]
    assert lines[0] == ["case", "result", "seen"]
    assert lines[1] == ["E.add", "pass", "[11,", "22,", "33,", "44]"]
    assert lines[2][:4] == ["I.numbers", "pass", "at", "most"]
    assert done.stdout.splitlines()[-1] == "onnx: 2 pass, 0 fail, 0 not-run"


def test_prints_json_and_writes_a_page(command: Command, tmp_path: Path) -> None:
    """Both have the host, the date, the versions, every claim and what was seen."""
    done = command("conformance", "--backend", "onnx", "--backend", "openvino", "I", "--json", "--report", "page.md")
    assert (done.status, done.stderr) == (0, "")
    said = json.loads(done.stdout)
    assert said["host"] == "wit-llm 0.1.0"
    assert said["backends"] == {name: {"pass": 1, "fail": 0, "not-run": 0} for name in ("onnx", "openvino")}
    [case] = said["cases"]
    assert (case["case"], case["claim"]) == (
        "I.numbers",
        "a classifier's probabilities are right to 0.01, whatever computes them",
    )
    assert {name: result["result"] for name, result in case["results"].items()} == {"onnx": "pass", "openvino": "pass"}
    page = (tmp_path / "page.md").read_text()
    assert page.startswith("# Conformance to wasi:nn 0.2.0-rc-2024-10-28\n\nHost: **wit-llm 0.1.0**  \n")
    assert f"Date: {said['date']}  \n" in page
    assert f"wasmtime {said['versions']['wasmtime']}, " in page
    made_by = "wit-llm conformance --backend onnx --backend openvino I --json --report page.md"
    assert f"Cases: I  \nMade by: `{made_by}`\n" in page
    assert f"| `nn.wasm` | `{hashlib.sha256(IN_C.nn.read_bytes()).hexdigest()}` |\n" in page
    assert f"| `I.numbers` | {case['claim']} | pass | pass |\n" in page
    assert f"| `I.numbers` | pass | {case['results']['onnx']['seen']} |\n" in page


def test_a_host_that_fails_is_told_so(command: Command, fake: list[str], tmp_path: Path) -> None:
    """What fails, and what ends its guest, fails the command; the case after it gets a new guest."""
    done = command("conformance", *fake, "--host-name", "fake 1", "--backend", "pytorch", "B", "--report", "page.md")
    assert (done.status, done.stderr) == (1, "")
    lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
    assert lines[:4] == [
        "case result seen",
        "B.one fail it is | not so",
        "B.two fail the guest was ended: status 1: oh no",
        "B.three not-run nothing to see",
    ]
    assert lines[-1] == "pytorch: 0 pass, 2 fail, 1 not-run"
    page = (tmp_path / "page.md").read_text()
    assert "| `B.one` | **FAIL** | it is \\| not so |\n" in page
    assert "Host: **fake 1**  \n" in page
    assert "openvino 2" not in page  # what we have is none of that host's
    called = [json.loads(line) for line in (tmp_path / "called").read_text().splitlines()]
    assert {tuple(words[:1]) for words in called} == {("-S",)}
    assert called[0][1].startswith("nn-graph=pytorch::")
    assert called[0][1].endswith("/models/pytorch/add")
    assert [words[-1] for words in called] == ["--list", "0", "B.three", "B.three"]


def test_a_backend_that_is_not_there_is_not_run(command: Command, fake: list[str], tmp_path: Path) -> None:
    """No case fails for it, each says what is missing, and a command that ran nothing has not gone well."""
    (tmp_path / "empty").touch()
    done = command("conformance", *fake, "--backend", "pytorch", "B", "F.traps", "--json")
    assert (done.status, done.stderr) == (1, "")
    said = json.loads(done.stdout)
    assert said["backends"] == {"pytorch": {"pass": 0, "fail": 0, "not-run": 4}}
    missing = {"result": "not-run", "seen": "numbers: runtime-error: there is no backend"}
    assert [case["results"] for case in said["cases"]] == [{"pytorch": missing}] * 4


def test_why_a_backend_of_ours_is_not_there_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """The operator reads what guests may not; what the suite broke itself is passed over."""
    events: list[Event] = [
        GraphFailed("numbers", "backend 'pytorch' needs the package 'torch'"),
        GraphFailed("loaded-1", "model.xml is junk"),
        HostFault("the worker of graph 'breaks'", "Traceback"),
    ]
    found = {result: {"x": Finding("x", result, "")} for result in Result}

    def report(**backends: Result) -> Report:
        return Report("host", "date", {}, {}, [], [], {name: found[result] for name, result in backends.items()})

    warn(report(pytorch=Result.PASSED), events)
    assert capsys.readouterr().err == ""
    warn(report(onnx=Result.PASSED, pytorch=Result.NOT_RUN), events)
    told = "warning: graph 'numbers' cannot be loaded: backend 'pytorch' needs the package 'torch'\n"
    assert capsys.readouterr().err == told


def test_several_backends_are_columns(command: Command, fake: list[str]) -> None:
    """What failed and why something was not run stands under the table, with its backend."""
    done = command("conformance", *fake, "--backend", "openvino", "--backend", "onnx", "B")
    lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
    assert lines[:4] == ["case openvino onnx", "B.one fail fail", "B.two fail fail", "B.three not-run not-run"]
    assert "onnx B.one: it is | not so" in lines
    assert "openvino, 1 not run: nothing to see" in lines
    assert done.status == 1


@pytest.mark.parametrize(
    ("args", "status", "told"),
    [
        pytest.param(
            ["Q"], 1, "error: there is no case 'Q' of onnx; `wit-llm conformance --json` has their names", id="case"
        ),
        pytest.param(
            ["--host", "wasmtime run {component}"],
            1,
            "error: --host wants {args} as a word of its own, got 'wasmtime run {component}'",
            id="template",
        ),
        pytest.param(
            ["--host", "run {graphs} {component} {args}", "--host-graph", "-S nn"],
            1,
            "error: --host-graph wants {folder} in it, got '-S nn'",
            id="graph",
        ),
        pytest.param(
            ["--guests", "."],
            1,
            "error: nn.wasm: No such file or directory",
            id="guests",
        ),
        pytest.param(
            ["--host", "/no/such/host {graphs} {component} {args}"],
            1,
            "error: the host cannot be started: /no/such/host: No such file or directory",
            id="command",
        ),
        pytest.param(
            ["--host", "sh -c 'exit 3' {graphs} {component} {args}"],
            1,
            "error: the host does not run nn.wasm: status 3",
            id="no-host",
        ),
    ],
)
def test_what_cannot_be_asked_is_one_line(command: Command, args: list[str], status: int, told: str) -> None:
    """A case that is not there, a template that lacks something, a host that is none."""
    done = command("conformance", "--backend", "onnx", *args)
    assert (done.status, done.stdout, done.stderr) == (status, "", f"{told}\n")


@pytest.mark.slow
def test_our_own_command_is_a_host_like_any_other(command: Command) -> None:
    """Our host passes by way of its command line as well, a process for each guest."""
    template = f"{sys.executable} -m wit_llm run {{graphs}} {{component}} {{args}}"
    done = command("conformance", "--host", template, "--backend", "openvino", "A", "I", "C.timeout", "--json")
    assert done.stderr == ""
    results = {case["case"]: case["results"]["openvino"]["result"] for case in json.loads(done.stdout)["cases"]}
    assert results == {
        "A.tensor": "pass",
        "A.errors": "pass",
        "A.graph": "pass",
        "A.inference": "pass",
        "C.timeout": "not-run",
        "I.numbers": "pass",
    }
    assert done.status == 0
