"""Our host passes: every case with OpenVINO, and with each other format the cases that need few of its graphs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import wasmtime.component as wc
from wasmtime import Engine

from tests.conformance.python.build import build
from tests.conftest import CACHE
from wit_llm.conformance.driven import DRIVEN
from wit_llm.conformance.driver import check
from wit_llm.conformance.hosts import Ours, Sandbox
from wit_llm.conformance.suite import BACKENDS, FOLDER, IN_C, Backend, Finding, Guests, Result

OPENVINO = BACKENDS["openvino"]
OURS = Ours(cache_dir=CACHE / "wit-llm")
# a process that imports torch takes seconds, and each graph is one; `wit-llm conformance` runs them all
FEW = ("D.load", "E.name-twice", "E.two-in-two-out", "E.wrong-type", "I.numbers")

pytestmark = pytest.mark.slow


class Kept:
    """Our host, of which each state is kept, so that guests of several toolchains load each graph once."""

    name = "ours"
    versions: Mapping[str, str] = {}

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._open: dict[tuple[str, frozenset[str], bool], Sandbox] = {}

    @contextmanager
    def open(self, backend: Backend, graphs: Mapping[str, Path], *, load: bool) -> Iterator[Sandbox]:
        """The same sandbox for the same graphs."""
        key = (backend.name, frozenset(graphs), load)
        if key not in self._open:
            self._open[key] = self._stack.enter_context(OURS.open(backend, graphs, load=load))
        yield self._open[key]

    def close(self) -> None:
        """Close them all."""
        self._stack.close()


@pytest.fixture(scope="module")
def ours() -> Iterator[Kept]:
    """What is looked at."""
    kept = Kept()
    yield kept
    kept.close()


@pytest.fixture(scope="module")
def openvino(ours: Kept) -> dict[str, Finding]:
    """What every case came to with OpenVINO."""
    return dict(check(ours, [OPENVINO]).findings["openvino"])


@pytest.fixture(scope="module")
def in_python(tmp_path_factory: pytest.TempPathFactory) -> Guests:
    """The guests in Python."""
    return build(tmp_path_factory.mktemp("guests"))


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
        "G": 10,
        "H": 2,
        "I": 1,
        "J": 15,
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
        pytest.param("G.compute-bytes", "an error, and the graph works on", id="compute-bytes"),
        pytest.param("J.sessions", "quota after 16", id="sessions"),
        pytest.param("J.same-door", "'The capital of Japan is Tokyo'", id="same-door"),
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


def test_the_guests_in_python_find_what_the_guests_in_c_do(
    ours: Kept, openvino: dict[str, Finding], in_python: Guests
) -> None:
    """Two toolchains, the same cases, the same results; of linking alone one component stands for the four."""
    found = check(ours, [OPENVINO], guests=in_python).findings["openvino"]
    in_c_alone = {"A.errors", "A.graph", "A.inference"}
    assert {name: each.seen for name, each in found.items() if each.result is not Result.PASSED} == dict.fromkeys(
        in_c_alone, "these guests have no such component"
    )
    assert set(found) == set(openvino)
    limits = [name for name in found if name.startswith("G") and name not in {"G.rank", "G.inputs"}]
    same = [*limits, "D.load", "J.sessions", "J.same-door", "J.over-tensors"]
    assert {name: found[name].seen for name in same} == {name: openvino[name].seen for name in same}


@pytest.mark.parametrize("guest", [IN_C.nn, *sorted((FOLDER / "linking").glob("*.wasm"))], ids=lambda path: path.stem)
def test_guests_import_wasi_alone(guest: Path) -> None:
    """What checks a host of wasi:nn links on any host of wasi:nn."""
    engine = Engine()
    imports = wc.Component(engine, guest.read_bytes()).type.imports(engine)
    assert {name.partition(":")[0] for name in imports} == {"wasi"}
    assert {name.rpartition("@")[2] for name in imports if name.startswith("wasi:nn")} == {"0.2.0-rc-2024-10-28"}


def test_the_guest_in_python_imports_wasi_alone(in_python: Guests) -> None:
    """Its world has wasi:nn and nothing of ours."""
    binary = in_python.nn.read_bytes()
    assert b"wasi:nn/tensor@0.2.0-rc-2024-10-28" in binary
    assert b"wit-llm:nn/" not in binary


def test_the_guest_of_prompts_imports_our_interface_too() -> None:
    """It is a component of its own, because only one of its interfaces is a standard."""
    engine = Engine()
    imports = wc.Component(engine, IN_C.prompt.read_bytes()).type.imports(engine)
    assert {name.partition("/")[0] for name in imports} > {"wasi:nn", "wit-llm:nn"}


def test_driven_cases_have_letters_of_their_own(openvino: dict[str, Finding]) -> None:
    """No case is decided twice."""
    assert {case.name for case in DRIVEN} < set(openvino)
