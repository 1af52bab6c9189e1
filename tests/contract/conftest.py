"""The backends, each behind an engine, with the graphs that the contract is tried on."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.contract.graphs import write
from wit_llm.worker.client import Engine, GraphSource

if TYPE_CHECKING:
    from collections.abc import Iterator

TINY = Path(str(files("wit_llm"))) / "embedded" / "tiny"

# One thread, because two that wait for each other on a busy machine are ten times slower than one.
SETTINGS = {"openvino": {}, "pytorch": {"num_threads": "1"}}

SLOW_TO_IMPORT = pytest.param("pytorch", marks=pytest.mark.slow)


@pytest.fixture(scope="session", params=["echo", "echo-worker", "openvino", SLOW_TO_IMPORT])
def backend(request: pytest.FixtureRequest) -> str:
    """Every backend."""
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


@pytest.fixture(scope="session")
def graphs(tmp_path_factory: pytest.TempPathFactory) -> Graphs:
    """All of them."""
    return Graphs(tmp_path_factory.mktemp("graphs"))


@pytest.fixture(scope="session")
def types(backend: str, graphs: Graphs, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """A graph of every element type that the backend has."""
    echoes = backend.startswith("echo")
    folder = tmp_path_factory.mktemp(backend) if echoes else graphs.folder(backend, "types")
    engine = Engine(GraphSource("types", backend, folder, settings=SETTINGS.get(backend, {})))
    yield engine
    engine.close()


class Tinies:
    """The embedded language model on each backend, started when a test first wants it."""

    def __init__(self) -> None:
        self._engines: dict[str, Engine] = {}

    def __getitem__(self, backend: str) -> Engine:
        if backend not in self._engines:
            self._engines[backend] = Engine(GraphSource("tiny", backend, TINY, settings=SETTINGS[backend]))
        return self._engines[backend]

    def close(self) -> None:
        """End them all."""
        for engine in self._engines.values():
            engine.close()


@pytest.fixture(scope="session")
def tinies() -> Iterator[Tinies]:
    """All of them."""
    made = Tinies()
    yield made
    made.close()


@pytest.fixture(params=["openvino", SLOW_TO_IMPORT])
def tiny(request: pytest.FixtureRequest, tinies: Tinies) -> Engine:
    """Each of them."""
    return tinies[request.param]


@pytest.fixture(params=["openvino", SLOW_TO_IMPORT])
def tiny_with_one_slot(request: pytest.FixtureRequest) -> Iterator[Engine]:
    """The same, for one request at a time, and for one test alone."""
    settings = {**SETTINGS[request.param], "max_num_seqs": "1"}
    engine = Engine(GraphSource("tiny", request.param, TINY, settings=settings))
    yield engine
    engine.close()
