"""One worker from its start to its end: the calls in flight, and their answers."""

from __future__ import annotations

import contextlib
import itertools
import threading
import time
import traceback
from typing import TYPE_CHECKING, Protocol

from wit_llm.backends.table import entry
from wit_llm.bell import Bell, Source, peal
from wit_llm.errors import BackendFailure, DeadlinePassed, NNError, OperatorError
from wit_llm.events import HostFault, WorkerDied
from wit_llm.worker.channel import ChannelBroken, SocketChannel, memory_pair
from wit_llm.worker.loop import serve
from wit_llm.worker.messages import Accepted, Cancel, Computed, Failed, Loaded, Stepped, ToHost
from wit_llm.worker.process import WorkerProcess
from wit_llm.worker.reading import Reading

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from wit_llm.backends.base import End, Likelihood, Progress
    from wit_llm.errors import WitLLMError
    from wit_llm.events import Sink
    from wit_llm.worker.channel import Channel
    from wit_llm.worker.messages import Load, ToWorker
    from wit_llm.worker.process import Confinement


class DiedLoading(OperatorError):
    """A worker that did not survive what it was to load."""


class Listener(Protocol):
    """Who wants to know of one request; called on whichever thread reads, never after the last token or a failure."""

    def accepted(self, at_ns: int, cached_tokens: int | None = None) -> None:
        """
        The request had its place in the engine at that time, on the clock of ``time.monotonic_ns``.

        The engine had the state of so many of its tokens already, where it tells.
        """

    def tokens(
        self, token_ids: Sequence[int], end: End | None, at_ns: int, logprobs: Sequence[Sequence[Likelihood]] = ()
    ) -> None:
        """
        Newly sampled tokens, in order, and of each the log-probabilities that were asked for.

        ``end`` comes once, with the last of them or with none.
        """

    def failed(self, error: NNError) -> None:
        """There will be no more."""


class Answer:
    """What a thread sleeps on that asked for one thing."""

    def __init__(self) -> None:
        self._bell = Bell()
        self._outcome: Loaded | Computed | WitLLMError | None = None

    def give(self, outcome: Loaded | Computed | WitLLMError) -> None:
        """Wake the thread."""
        self._outcome = outcome
        self._bell.ring()

    def wait(self, source: Source, timeout_s: float | None = None) -> Loaded | Computed:
        """
        Sleep until it is there.

        Args:
            source: Where it comes from.
            timeout_s: None is for ever.

        Raises:
            DeadlinePassed: It was not there in time.
            WitLLMError: What the worker said instead.
        """
        until = None if timeout_s is None else time.monotonic() + timeout_s
        if not self._bell.wait_for(lambda: self._outcome is not None, until, (source,)):
            raise DeadlinePassed(f"the answer did not come within {timeout_s:g} s")
        if isinstance(self._outcome, Loaded | Computed):
            return self._outcome
        raise self._outcome or BackendFailure("no answer")


class Line:
    """
    A started worker and all that is asked of it.

    Args:
        graph: The graph's name, for messages.
        backend: Says where the worker runs.
        sink: Told when it dies.
        confinement: Of its process, where it has one.

    ``source`` is where threads wait for what it says.
    """

    def __init__(self, graph: str, backend: str, sink: Sink, confinement: Confinement | None = None) -> None:
        self._graph = graph
        self._sink = sink
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._loading = Answer()
        self._answers: dict[int | None, Answer] = {None: self._loading}
        self._listeners: dict[int, Listener] = {}
        self._over = False
        self._wanted = True
        self._process: WorkerProcess | None = None
        self._channel: Channel[ToWorker, ToHost]
        if entry(backend).in_host:
            self._channel, there = memory_pair()
            threading.Thread(target=serve, args=(there, lambda: None), name=f"{graph}: worker", daemon=True).start()
        else:
            self._process = WorkerProcess(confinement)
            self._channel = SocketChannel(self._process.reading, self._process.writing, ToHost)
        self.source = Reading(f"{graph}: reader", self._channel, self._hand_out, self._end)

    @property
    def pid(self) -> int | None:
        """The worker's; none inside the host."""
        return self._process.pid if self._process else None

    @property
    def over(self) -> bool:
        """The worker is gone, and all its calls have been failed."""
        return self._over

    def load(self, load: Load, timeout_s: float | None = None) -> Loaded:
        """
        Say what to load, and wait for it.

        Raises:
            OperatorError: What the backend found wrong, or, as ``DiedLoading``, how the worker died over it.
            Unsupported: The backend does not have the target.
            DeadlinePassed: It was not loaded in time.
        """
        with contextlib.suppress(ChannelBroken):  # who reads knows how the worker died
            self._channel.send(load)
        outcome = self._loading.wait(self.source, timeout_s)
        if not isinstance(outcome, Loaded):
            raise OperatorError("the worker answered another question")
        return outcome

    def ask(self, asker: Answer | Listener, question: Callable[[int], ToWorker]) -> int:
        """
        Send a question under a new number, under which ``asker`` hears of it.

        Raises:
            ChannelBroken: The worker was gone before; ``asker`` hears nothing.
            TooLarge: The question does not fit into a message.
        """
        with self._lock:
            if self._over:
                raise ChannelBroken("the worker is gone")
            call = next(self._numbers)
            if isinstance(asker, Answer):
                self._answers[call] = asker
            else:
                self._listeners[call] = asker
        try:
            self._channel.send(question(call))
        except Exception:
            if self.forget(call):
                raise
        return call

    def forget(self, call: int) -> bool:
        """Hear no more of a call; false where its asker has heard the last of it already."""
        return (self._answers.pop(call, None) or self._listeners.pop(call, None)) is not None

    def cancel(self, call: int) -> None:
        """End a request; does nothing where it has ended."""
        if call in self._listeners:
            with contextlib.suppress(ChannelBroken):  # who reads fails it
                self._channel.send(Cancel(call))

    def close(self) -> None:
        """End the worker and wait until it is gone, a second or so; may come twice."""
        self._wanted = False
        self._channel.close()
        self.source.wake()
        self.join()

    def join(self) -> None:
        """Wait until it is gone."""
        self.source.join()

    def _hand_out(self, message: ToHost) -> None:
        if isinstance(message, Stepped):
            peal(self._advance, message.progress)
            return
        match message:
            case Accepted(call, cached_tokens):
                if listener := self._listeners.get(call):
                    try:
                        listener.accepted(self._channel.sent_ns, cached_tokens)
                    except Exception:  # noqa: BLE001 -- as in _advance
                        self._give_up(call, listener)
            case Computed(call):
                if answer := self._answers.pop(call, None):
                    answer.give(message)
            case Loaded():
                if answer := self._answers.pop(None, None):
                    answer.give(message)
            case Failed():
                self._refused(message)

    def _advance(self, progress: Progress) -> None:
        call, end = progress.request, progress.end
        listener = self._listeners.get(call) if end is None else self._listeners.pop(call, None)
        if listener:
            try:
                listener.tokens(progress.token_ids, end, self._channel.sent_ns, progress.logprobs)
            except Exception:  # noqa: BLE001 -- whatever it is, the other requests are not to blame
                self._give_up(call, listener)

    def _refused(self, message: Failed) -> None:
        if message.call is None:
            self._wanted = False  # it ends by itself, having said why
        if message.detail:
            self._sink(HostFault(f"the worker of graph {self._graph!r}", message.detail))
        self._fail(message.call, message.raised())

    def _give_up(self, call: int, listener: Listener) -> None:
        """A listener with a bug, which has just raised, loses its own request, and the line is read on."""
        self._sink(HostFault(f"handing out tokens of graph {self._graph!r}", traceback.format_exc()))
        self.cancel(call)
        self._listeners.pop(call, None)
        with contextlib.suppress(Exception):
            listener.failed(BackendFailure("the host failed in handing out the reply"))

    def _fail(self, call: int | None, error: WitLLMError) -> None:
        if answer := self._answers.pop(call, None):
            answer.give(error)
        elif call is not None and (listener := self._listeners.pop(call, None)):
            try:
                listener.failed(error if isinstance(error, NNError) else BackendFailure(str(error)))
            except Exception:  # noqa: BLE001 -- as in _advance
                self._give_up(call, listener)

    def _end(self, fault: str | None) -> None:
        """Bury the worker, and fail what it leaves behind."""
        self._channel.close()
        how, last_words = "ended", ""
        if self._process:
            if fault:
                self._process.kill()
            how = self._process.end()
            last_words = self._process.last_words()
        with self._lock:
            self._over = True
        if self._wanted:
            detail = "; ".join(filter(None, (how, fault or "the line ended", last_words)))
            self._sink(WorkerDied(self._graph, self.pid, detail))
        last_line = last_words.rpartition("\n")[2] or "and said nothing"
        self._fail(None, DiedLoading(f"its worker died while loading ({how}): {last_line}"))
        died = f"the worker of graph {self._graph!r} died ({how}); ask again"
        error = BackendFailure(died if self._wanted else f"graph {self._graph!r} is unloaded")
        for call in (*self._answers, *self._listeners):
            self._fail(call, error)
