"""A loaded graph as the host sees it: asked from any thread, started again when its worker has died."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from wit_llm.backends.base import GraphInfo, Signature, Target
from wit_llm.errors import BackendFailure, OperatorError
from wit_llm.events import GraphFailed, GraphLoaded, ignore
from wit_llm.worker.channel import ChannelBroken
from wit_llm.worker.line import Answer, Line, Listener
from wit_llm.worker.messages import Cargo, Compute, Computed, Generate, Load

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from wit_llm.bell import Source
    from wit_llm.events import Sink
    from wit_llm.options import Decoding
    from wit_llm.tensor import Admitted, NamedTensor, Tensor
    from wit_llm.worker.allowance import Allowance
    from wit_llm.worker.messages import ToWorker
    from wit_llm.worker.process import Confinement


@dataclass(frozen=True, slots=True)
class GraphSource:
    """
    A graph before it is loaded.

    Args:
        name: By which messages and events call it.
        backend: A name in ``wit_llm.backends.table``.
        folder: Where its files lie.
        target: What it runs on.
        settings: Of that backend.
        signature: What it takes and gives, where its files do not say it.
        confinement: Of its worker; none where the operator vouches for the files.
    """

    name: str
    backend: str
    folder: Path
    target: Target = Target.CPU
    settings: Mapping[str, str] = field(default_factory=dict)
    signature: Signature = field(default_factory=Signature)
    confinement: Confinement | None = None


class Request:
    """Tokens that were asked for."""

    def __init__(self, line: Line, call: int) -> None:
        self._line = line
        self._call = call

    @property
    def source(self) -> Source:
        """Where its tokens come from."""
        return self._line.source

    def cancel(self) -> None:
        """Ask for the end, without waiting for it: the listener hears of it when the slot is free."""
        self._line.cancel(self._call)


class Engine:
    """
    One loaded graph; any thread may ask.

    Args:
        source: What to load.
        sink: Told when it was loaded, and when its worker died.

    Raises:
        OperatorError: The graph cannot be loaded: what was asked, what was found, the way out.
        Unsupported: The target is not there, or a tensor has a type that the backend or wasi-nn has not.
        DeadlinePassed: A confined worker took too long over it.
    """

    def __init__(self, source: GraphSource, sink: Sink = ignore) -> None:
        self._source = source
        self._sink = sink
        self._lock = threading.Lock()
        self._closed = False
        self._line, self.info = self._start()

    @property
    def pid(self) -> int | None:
        """The worker's; none where the backend runs inside the host."""
        return self._line.pid

    def compute(
        self, admitted: Admitted, timeout_s: float | None = None, allowance: Allowance | None = None
    ) -> tuple[NamedTensor, ...]:
        """
        One stateless inference.

        Args:
            admitted: Its inputs.
            timeout_s: How long to wait for the answer; none is for ever.
            allowance: What it may take of the worker's process, where it has one; none is all there is.

        Raises:
            NNError: As the backend said.
            DeadlinePassed: The answer was not there in time; it will be dropped.
            BackendFailure: The worker died.
        """
        return self._compute(admitted, timeout_s, allowance, None)

    def score(
        self, admitted: Admitted, first: int, timeout_s: float | None = None, allowance: Allowance | None = None
    ) -> Tensor:
        """
        How likely tokens are, as ``Scorer`` says.

        Raises:
            NNError: As ``compute``.
        """
        (logprobs,) = self._compute(admitted, timeout_s, allowance, first)
        return logprobs.tensor

    def _compute(
        self, admitted: Admitted, timeout_s: float | None, allowance: Allowance | None, scored_from: int | None
    ) -> tuple[NamedTensor, ...]:
        answer = Answer()
        held = allowance if self.pid is not None else None
        line, call = self._ask(answer, lambda call: Compute(call, Cargo(admitted.tensors), held, scored_from))
        try:
            computed = answer.wait(line.source, timeout_s)
        finally:
            line.forget(call)
        if not isinstance(computed, Computed):
            raise BackendFailure("the worker answered another question")
        return computed.outputs.tensors

    def generate(self, admitted: Admitted, decoding: Decoding, listener: Listener) -> Request:
        """
        Ask for tokens; the listener may hear of them before this returns.

        Raises:
            BackendFailure: There is no worker, and none could be started.
        """
        line, call = self._ask(listener, lambda call: Generate(call, Cargo(admitted.tensors), decoding))
        return Request(line, call)

    def close(self) -> None:
        """End the worker; calls in flight fail. May come twice."""
        with self._lock:
            self._closed = True
            self._line.close()

    def _ask(self, asker: Answer | Listener, question: Callable[[int], ToWorker]) -> tuple[Line, int]:
        """Ask the worker; where it died unseen since the last call, ask its successor, once."""
        line = self._running()
        try:
            return line, line.ask(asker, question)
        except ChannelBroken:
            line.join()
        line = self._running()
        try:
            return line, line.ask(asker, question)
        except ChannelBroken as error:
            raise BackendFailure(f"the worker of graph {self._source.name!r} died; ask again") from error

    def _running(self) -> Line:
        """A worker that was alive a moment ago."""
        name = self._source.name
        with self._lock:
            if self._closed:
                raise BackendFailure(f"graph {name!r} is unloaded")
            if self._line.over:
                try:
                    self._line, info = self._start()
                except OperatorError as error:
                    self._sink(GraphFailed(name, str(error)))
                    raise BackendFailure(f"graph {name!r} cannot be loaded again; its operator knows why") from error
                if info != self.info:
                    self._line.close()
                    raise BackendFailure(f"the files of graph {name!r} have changed since it was loaded")
            return self._line

    def _start(self) -> tuple[Line, GraphInfo]:
        """A new worker with the graph in it."""
        source = self._source
        began = time.monotonic()
        confinement = source.confinement
        line = Line(source.name, source.backend, self._sink, confinement)
        try:
            folder, settings = str(source.folder.resolve()), dict(source.settings)
            load = Load(source.backend, folder, source.target, settings, source.signature)
            info = line.load(load, confinement.load_s if confinement else None).info
        except BaseException:
            line.close()
            raise
        self._sink(GraphLoaded(source.name, source.backend, (time.monotonic() - began) * 1e3, line.pid))
        return line, info
