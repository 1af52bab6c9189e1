"""The backends, each behind an engine, with the graphs that the contract is tried on."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.contract.graphs import SIGNATURES, write
from wit_llm.backends.base import Signature, Target
from wit_llm.worker.client import Engine, GraphSource

if TYPE_CHECKING:
    from collections.abc import Iterator

TINY = Path(str(files("wit_llm"))) / "embedded" / "tiny"

# One thread, because two that wait for each other on a busy machine are ten times slower than one.
# In bf16 the likeliest of two tokens that are about as likely depends on what else is computed in the same step.
SETTINGS = {"openvino": {"precision": "f32"}, "pytorch": {"num_threads": "1"}}

SLOW_TO_IMPORT = pytest.param("pytorch", marks=pytest.mark.slow)
LIBRARIES = ["openvino", SLOW_TO_IMPORT, pytest.param("torchscript", marks=pytest.mark.slow)]


def pytest_addoption(parser: pytest.Parser) -> None:
    """``pytest tests/contract --device cuda`` runs what PyTorch computes on a GPU."""
    parser.addoption(
        "--device", choices=["cpu", "cuda"], default="cpu", help="what PyTorch computes on in the contract suite"
    )


@pytest.fixture(scope="session")
def target(request: pytest.FixtureRequest) -> Target:
    """What PyTorch computes on."""
    return Target.GPU if request.config.getoption("--device", "cpu") == "cuda" else Target.CPU


def on(target: Target, library: str) -> Target:
    """The target for a library in this run; those without CUDA have been seen on the CPU, and are skipped elsewhere."""
    if target is Target.GPU and library not in {"pytorch", "torchscript"}:
        pytest.skip(f"{library} does not compute on CUDA")
    return target


@pytest.fixture(scope="session", params=["echo", "echo-worker", *LIBRARIES])
def backend(request: pytest.FixtureRequest) -> str:
    """Every backend, and PyTorch with both of its formats."""
    return str(request.param)


class Graphs:
    """Folders of the graphs in ``tests.contract.graphs``, written when a test first wants one of its library."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def folder(self, library: str, kind: str) -> Path:
        """Where a graph lies."""
        if not (self._root / library).is_dir():
            (self._root / library).mkdir()
            write(library, self._root / library)
        return self._root / library / kind

    def source(
        self, library: str, kind: str, target: Target = Target.CPU, signature: Signature | None = None
    ) -> GraphSource:
        """A graph before it is loaded; with ``signature`` in the place of its own."""
        backend = "pytorch" if library == "torchscript" else library
        own = SIGNATURES.get(kind) if library == "torchscript" else None
        folder, settings = self.folder(library, kind), SETTINGS.get(backend, {})
        return GraphSource(kind, backend, folder, target, settings, signature or own or Signature())


@pytest.fixture(scope="session")
def graphs(tmp_path_factory: pytest.TempPathFactory) -> Graphs:
    """All of them."""
    return Graphs(tmp_path_factory.mktemp("graphs"))


@pytest.fixture(params=LIBRARIES)
def library(request: pytest.FixtureRequest) -> str:
    """Every library that has graphs on disk."""
    return str(request.param)


def _of_every_type(kind: str, backend: str, graphs: Graphs, target: Target) -> Engine:
    if backend.startswith("echo"):
        return Engine(GraphSource(kind, backend, TINY, on(target, backend)))
    return Engine(graphs.source(backend, kind, on(target, backend)))


@pytest.fixture(scope="session")
def types(backend: str, graphs: Graphs, target: Target) -> Iterator[Engine]:
    """A graph of every element type that the backend has, which doubles."""
    engine = _of_every_type("types", backend, graphs, target)
    yield engine
    engine.close()


@pytest.fixture(scope="session")
def same(backend: str, graphs: Graphs, target: Target) -> Iterator[Engine]:
    """A graph of every element type that the backend has, which copies."""
    engine = _of_every_type("same", backend, graphs, target)
    yield engine
    engine.close()


class Tinies:
    """The embedded language model on each backend, started when a test first wants it; PyTorch's is on ``target``."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._engines: dict[str, Engine] = {}

    def __getitem__(self, backend: str) -> Engine:
        if backend not in self._engines:
            target = self._target if backend == "pytorch" else Target.CPU
            self._engines[backend] = Engine(GraphSource("tiny", backend, TINY, target, SETTINGS[backend]))
        return self._engines[backend]

    def close(self) -> None:
        """End them all."""
        for engine in self._engines.values():
            engine.close()


@pytest.fixture(scope="session")
def tinies(target: Target) -> Iterator[Tinies]:
    """All of them."""
    made = Tinies(target)
    yield made
    made.close()


@pytest.fixture(params=["openvino", SLOW_TO_IMPORT])
def tiny(request: pytest.FixtureRequest, tinies: Tinies, target: Target) -> Engine:
    """Each of them."""
    on(target, request.param)
    return tinies[request.param]


@pytest.fixture(params=["openvino", SLOW_TO_IMPORT])
def tiny_with_one_slot(request: pytest.FixtureRequest, target: Target) -> Iterator[Engine]:
    """The same, for one request at a time, and for one test alone."""
    settings = {**SETTINGS[request.param], "max_num_seqs": "1"}
    engine = Engine(GraphSource("tiny", request.param, TINY, on(target, request.param), settings))
    yield engine
    engine.close()
