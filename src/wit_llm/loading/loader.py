"""Graphs that a guest brings as bytes: each in a confined worker of its own, gone when the guest lets go of it."""

from __future__ import annotations

import hashlib
import itertools
import threading
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from wit_llm.backends.base import Target
from wit_llm.errors import (
    BackendFailure,
    DeadlinePassed,
    InvalidEncoding,
    NNError,
    OperatorError,
    TooLarge,
    WitLLMError,
)
from wit_llm.events import GraphFailed
from wit_llm.graph import ExecutionContext, Graph
from wit_llm.loading.builders import Encoding, Files, read_builders
from wit_llm.registry import Grant, Loaded
from wit_llm.worker.client import Engine, GraphSource
from wit_llm.worker.line import DiedLoading
from wit_llm.worker.process import Confinement

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from wit_llm.bell import Bell
    from wit_llm.events import Sink
    from wit_llm.limits import Limits


class Stay:
    """
    A worker with its folder, for as long as anybody uses it.

    Args:
        engine: The worker.
        folder: Its files, wanted again where the worker has died.
        gone: Called once, when both are gone.
    """

    def __init__(self, engine: Engine, folder: TemporaryDirectory[str], gone: Callable[[Stay], None]) -> None:
        self._engine = engine
        self._folder = folder
        self._gone = gone
        self._users = 0

    def enter(self) -> None:
        """One user more."""
        self._users += 1

    def leave(self) -> None:
        """One user less; with the last it ends."""
        self._users -= 1
        if not self._users:
            self.end()
            self._gone(self)

    def end(self) -> None:
        """End the worker and remove its files; may come twice, and from any thread."""
        self._engine.close()
        self._folder.cleanup()


@dataclass(frozen=True)
class Brought(Loaded):
    """A graph of a guest's own: as any other, but that it is gone with the last handle on it."""

    stay: Stay

    def context(self, bell: Bell, limits: Limits) -> ExecutionContext:  # noqa: ARG002 -- it has no text
        """A place to compute, which may outlive the guest's handle on the graph."""
        return _Context(self.graph, self.stay)

    def close(self) -> None:
        """The guest lets go of the graph."""
        self.stay.leave()


class _Context(ExecutionContext):
    """An execution context that keeps its graph's worker alive."""

    def __init__(self, graph: Graph, stay: Stay) -> None:
        super().__init__(graph)
        self._stay = stay
        stay.enter()

    def close(self) -> None:
        """The guest lets go of it."""
        self._stay.leave()


class Loader:
    """
    What ``load`` does for one guest.

    Args:
        limits: The guest's.
        sink: Told of each graph that was loaded, or why not.
    """

    def __init__(self, limits: Limits, sink: Sink) -> None:
        self._limits = limits
        self._sink = sink
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._stays: list[Stay] = []
        self._closed = False

    def load(
        self, builders: Sequence[bytes], encoding: Encoding, target: Target, timeout_s: float | None = None
    ) -> Brought:
        """
        Make a graph of a guest's bytes.

        Args:
            builders: As the encoding has them.
            encoding: What they are; ``autodetect`` looks at them.
            target: Where it computes.
            timeout_s: Wall-clock seconds that the guest itself has left; none where it has all time.

        Raises:
            InvalidEncoding: They are not what the encoding says, or the backend does not read them.
            TooLarge: They are too many bytes, or the guest has as many graphs as it may.
            Unsupported: A target or an element type that is not there.
            DeadlinePassed: It took too long.
            BackendFailure: The worker did not survive it.
        """
        limits = self._limits
        if len(self._stays) >= limits.loaded_graphs:
            raise TooLarge(f"a guest holds at most {limits.loaded_graphs} graphs loaded from bytes: drop some")
        size = sum(map(len, builders))
        if size > limits.graph_bytes:
            raise TooLarge(f"a graph of {size} bytes; at most {limits.graph_bytes} go in, larger ones by load-by-name")
        files = read_builders(builders, encoding)
        load_s = limits.load_s if timeout_s is None else min(timeout_s, limits.load_s)
        confinement = Confinement(limits.worker_bytes, limits.tensor_bytes, limits.worker_cpu_s, load_s)
        name = f"loaded-{next(self._numbers)}"
        try:
            folder = TemporaryDirectory(prefix="wit-llm-", ignore_cleanup_errors=True)  # of mode 0700
            try:
                return self._open(name, files, target, folder, confinement)
            except BaseException:
                folder.cleanup()
                raise
        except (OperatorError, OSError, DeadlinePassed) as exc:
            self._sink(GraphFailed(name, str(exc)))
            raise _told(exc, files.backend) from exc

    def _open(
        self, name: str, files: Files, target: Target, folder: TemporaryDirectory[str], confinement: Confinement
    ) -> Brought:
        path = Path(folder.name).resolve()
        for file, content in files.contents.items():
            (path / file).write_bytes(content)
        source = GraphSource(name, files.backend, path, target, confinement=confinement)
        try:
            engine = Engine(source, self._sink)
        except OperatorError as exc:
            raise type(exc)(str(exc).replace(f"{path}/", "")) from exc
        stay = Stay(engine, folder, self._stays.remove)
        stay.enter()
        with self._lock:
            self._stays.append(stay)
            closed = self._closed
        if closed:
            stay.end()
        digest = hashlib.sha256(b"".join(files.contents.values())).hexdigest()
        grant = Grant(name, path, files.backend, target)
        return Brought(grant, Graph(name, engine, self._limits, self._sink), f"sha256:{digest}", stay)

    def close(self) -> None:
        """End every worker; from any thread, and may come twice."""
        with self._lock:
            self._closed = True
            stays = list(self._stays)
        for stay in stays:
            stay.end()


def _told(error: WitLLMError | OSError, backend: str) -> NNError:
    """What the guest hears of an error, which is no path of the host."""
    match error:
        case DeadlinePassed():
            return DeadlinePassed("the graph took too long to load")
        case DiedLoading():
            return BackendFailure(f"the process in which backend '{backend}' read the graph died over it")
        case OperatorError() if "/" not in str(error):
            return InvalidEncoding(str(error))
        case OperatorError():
            return InvalidEncoding(f"backend '{backend}' cannot read the graph; the host's log says why")
    return BackendFailure("the graph cannot be loaded; the host's log says why")
