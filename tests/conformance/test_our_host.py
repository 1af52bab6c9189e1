"""Our host passes: every case with OpenVINO, and with each other format the cases that need few of its graphs."""

from __future__ import annotations

from pathlib import Path

import pytest
import wasmtime.component as wc
from wasmtime import Engine

from tests.conftest import CACHE
from tests.guest.driver.build import component
from wit_llm.conformance.driven import DRIVEN
from wit_llm.conformance.driver import check, list_cases, run_cases
from wit_llm.conformance.hosts import Ours
from wit_llm.conformance.suite import BACKENDS, LINKING_GUESTS, NN_GUEST, PROMPT_GUEST, Finding, Result

HERE = Path(__file__).parent
OURS = Ours(cache_dir=CACHE / "wit-llm")
OPENVINO = BACKENDS["openvino"]
# a process that imports torch takes seconds, and each graph is one; `wit-llm conformance` runs them all
FEW = ("D.load", "E.name-twice", "E.two-in-two-out", "E.wrong-type", "I.numbers")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def openvino() -> dict[str, Finding]:
    """What every case came to with OpenVINO."""
    return dict(check(OURS, [OPENVINO]).findings["openvino"])


def test_every_case_passes_with_openvino(openvino: dict[str, Finding]) -> None:
    """Nothing fails, nothing is left out, and each letter has its cases."""
    assert {name: finding.seen for name, finding in openvino.items() if finding.result is not Result.PASSED} == {}
    letters = [name[0] for name in openvino]
    assert {letter: letters.count(letter) for letter in sorted(set(letters))} == {
        "A": 4,
        "B": 15,
        "C": 9,
        "D": 20,
        "E": 29,
        "F": 3,
        "G": 9,
        "H": 2,
        "I": 1,
        "J": 11,
    }


@pytest.mark.parametrize(
    ("name", "seen"),
    [
        pytest.param("G.handles", "too-large after 399", id="handles"),
        pytest.param("G.tensor-bytes", "too-large at 2400000 bytes", id="tensor-bytes"),
        pytest.param("G.output-bytes", "too-large at 1960000 bytes", id="output-bytes"),
        pytest.param("G.graphs", "too-large after 2", id="graphs"),
        pytest.param("G.graph-bytes", "too-large at 2 MiB", id="graph-bytes"),
        pytest.param("D.load", "loaded, and computes", id="load"),
        pytest.param("J.same-door", "'The capital of Japan is Tokyo' of tensors, tokens and text", id="same-door"),
    ],
)
def test_limits_are_met(openvino: dict[str, Finding], name: str, seen: str) -> None:
    """What passes where a host has no limit, or loads nothing, is not passed for that reason here."""
    assert openvino[name].seen == seen


@pytest.mark.parametrize("backend", ["onnx", "pytorch", "torchscript"])
def test_each_format_meets_the_same_expectations(backend: str) -> None:
    """The same cases, the same numbers, whatever the models are written in."""
    report = check(OURS, [BACKENDS[backend]], FEW)
    assert {name: each.result for name, each in report.findings[backend].items()} == dict.fromkeys(FEW, Result.PASSED)


@pytest.fixture(scope="module")
def python_guest() -> Path:
    """The guest in Python, built once for each state of its sources."""
    return component(
        CACHE / "conformance", HERE / "guest.py", "wit-llm:conformance/guest", ["-d", str(HERE / "guest.wit")]
    )


def test_the_guest_in_python_finds_what_the_guest_in_c_does(openvino: dict[str, Finding], python_guest: Path) -> None:
    """Two toolchains, the same cases, the same results; models are loaded from bytes by the one in C alone."""
    with OURS.open(OPENVINO, OPENVINO.graphs, load=True) as sandbox:
        in_c = {case.name for case in list_cases(sandbox, NN_GUEST)}
        cases = list_cases(sandbox, python_guest)
        found = {case.name: finding for case, finding in run_cases(sandbox, python_guest, OPENVINO, cases)}
    bytes_only = {name for name in in_c if name.startswith(("D.load", "G.graph"))}
    assert set(found) == in_c - bytes_only
    assert {name: finding.result for name, finding in found.items() if name != "C.security"} == {
        name: openvino[name].result for name in found if name != "C.security"
    }
    assert found["C.security"] == Finding("C.security", Result.NOT_RUN, "a load of bytes answers INVALID_ENCODING here")


@pytest.mark.parametrize("guest", [NN_GUEST, *sorted(LINKING_GUESTS.glob("*.wasm"))], ids=lambda path: path.stem)
def test_guests_import_wasi_alone(guest: Path) -> None:
    """What checks a host of wasi:nn links on any host of wasi:nn."""
    engine = Engine()
    imports = wc.Component(engine, guest.read_bytes()).type.imports(engine)
    assert {name.partition(":")[0] for name in imports} == {"wasi"}
    assert {name.rpartition("@")[2] for name in imports if name.startswith("wasi:nn")} == {"0.2.0-rc-2024-10-28"}


def test_the_guest_in_python_imports_wasi_alone(python_guest: Path) -> None:
    """Its world has wasi:nn and nothing of ours."""
    binary = python_guest.read_bytes()
    assert b"wasi:nn/tensor@0.2.0-rc-2024-10-28" in binary
    assert b"wit-llm:nn/" not in binary


def test_the_guest_of_prompts_imports_our_interface_too() -> None:
    """It is a component of its own, because only one of its interfaces is a standard."""
    engine = Engine()
    imports = wc.Component(engine, PROMPT_GUEST.read_bytes()).type.imports(engine)
    assert {name.partition("/")[0] for name in imports} > {"wasi:nn", "wit-llm:nn"}


def test_driven_cases_have_letters_of_their_own(openvino: dict[str, Finding]) -> None:
    """No case is decided twice."""
    assert {case.name for case in DRIVEN} < set(openvino)
