"""
What a worker does all day: one backend, one engine loop.

Three threads. The engine loop steps all requests for tokens together, and sleeps while there are none. The two others
are the crew: one takes messages off the channel, so that the line cannot lock up, while the other answers raw computes,
so that tensors and text wait for each other no more than the backend's library makes them.
"""

from __future__ import annotations

import queue
from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING

from wit_llm.backends.base import Backend, End, Generator, Lost, Preparing, Progress, Scorer
from wit_llm.backends.table import open_graph
from wit_llm.errors import Unsupported
from wit_llm.tensor import Admitted
from wit_llm.worker.channel import ChannelBroken
from wit_llm.worker.crew import Crew
from wit_llm.worker.messages import (
    Accepted,
    Cancel,
    Cargo,
    Compute,
    Computed,
    Generate,
    Load,
    Loaded,
    Stepped,
    ToHost,
    ToWorker,
    failed,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from wit_llm.options import Decoding
    from wit_llm.tensor import NamedTensor
    from wit_llm.worker.channel import Channel

_Requests = queue.SimpleQueue[Load | Generate | Cancel | None]


def serve(channel: Channel[ToHost, ToWorker], leave: Callable[[], None]) -> None:
    """
    Load the graph that the first message names, and answer for it until the line ends.

    Args:
        channel: The line to the host.
        leave: Called on a thread of the crew when the line has ended; in a worker process it does not return.
    """
    requests: _Requests = queue.SimpleQueue()
    crew = Crew(channel, requests.put, leave)
    crew.start()
    load = requests.get()
    if not isinstance(load, Load):
        return
    try:
        backend = _load(channel, load, crew)
        if backend is None:
            return
        EngineLoop(channel, backend if isinstance(backend, Generator) else _TensorsOnly()).run(requests)
    except ChannelBroken:
        return  # the reader sees the same end


def _load(channel: Channel[ToHost, ToWorker], load: Load, crew: Crew) -> Backend | None:
    """The backend, or none and the host knows why."""
    try:
        backend = open_graph(load.backend, Path(load.folder), load.target, load.settings, load.signature)
        crew.take_up(lambda message: _compute(channel, backend, message))
        channel.send(Loaded(backend.info))
    except ChannelBroken:
        raise
    except Exception as error:  # noqa: BLE001 -- a library may raise anything
        channel.send(failed(None, error))
        return None
    return backend


def _compute(channel: Channel[ToHost, ToWorker], backend: Backend, message: Compute) -> None:
    try:
        channel.send(Computed(message.call, Cargo(_outputs(backend, message))))
    except ChannelBroken:
        raise
    except Exception as error:  # noqa: BLE001 -- a library may raise anything
        channel.send(failed(message.call, error))


def _outputs(backend: Backend, message: Compute) -> Sequence[NamedTensor]:
    admitted, allowance = Admitted(message.admitted.tensors), message.allowance
    if isinstance(backend, Preparing):
        backend.prepare()
    if allowance is None:
        return _computed(backend, admitted, message.scored_from)
    with allowance.held():
        outputs = _computed(backend, admitted, message.scored_from)
    allowance.check(outputs)
    return outputs


def _computed(backend: Backend, admitted: Admitted, scored_from: int | None) -> Sequence[NamedTensor]:
    if scored_from is None:
        return backend.compute(admitted)
    if not isinstance(backend, Scorer):
        raise Unsupported("this graph does not score")
    return backend.score(admitted, scored_from)


class EngineLoop:
    """Requests for tokens: those that wait for a slot, and those that each step advances."""

    def __init__(self, channel: Channel[ToHost, ToWorker], generator: Generator) -> None:
        self._channel = channel
        self._generator = generator
        # In an ordinary dict, looking for the first of those that are left goes over all that were before it.
        self._waiting: OrderedDict[int, Generate] = OrderedDict()
        self._live: set[int] = set()

    def run(self, requests: _Requests) -> None:
        """Until the line ends."""
        while True:
            # Where nothing else is to be done, it sleeps here.
            while not (self._live or self._waiting) or not requests.empty():
                message = requests.get()
                if isinstance(message, Generate):
                    self._waiting[message.call] = message
                elif isinstance(message, Cancel):
                    self._cancel(message.call)
                elif message is None:
                    return
            while self._waiting and len(self._live) < self._generator.slots:
                self._begin(self._waiting.popitem(last=False)[1])
            if self._live:
                self._step()

    def _begin(self, message: Generate) -> None:
        try:
            cached = self._generator.add(message.call, Admitted(message.admitted.tensors), message.decoding)
        except Exception as error:  # noqa: BLE001 -- a library may raise anything
            self._channel.send(failed(message.call, error))
            return
        self._live.add(message.call)
        self._channel.send(Accepted(message.call, cached))

    def _cancel(self, call: int) -> None:
        if self._waiting.pop(call, None):
            self._channel.send(Stepped([Progress(call, (), End.CANCELLED)]))
        else:
            self._generator.cancel(call)

    def _step(self) -> None:
        """One step of all live requests, and one message about it."""
        try:
            steps = self._generator.step()
        except Exception as error:  # noqa: BLE001 -- a library may raise anything
            for call in sorted(self._live):
                self._channel.send(failed(call, error))
            self._live.clear()
            self._generator.reset()
            return
        progress: list[Progress] = []
        lost: list[Lost] = []
        for one in steps:
            if isinstance(one, Lost):
                lost.append(one)
            else:
                progress.append(one)
                if one.end is None:
                    continue
            self._live.discard(one.request)
        if progress:
            self._channel.send(Stepped(progress))
        for one in lost:
            self._channel.send(failed(one.request, one.error))


class _TensorsOnly:
    """In the place of the generator that a graph does not have."""

    slots = 1

    def add(self, _request: int, _admitted: Admitted, _decoding: Decoding) -> int | None:
        """Refuse."""
        raise Unsupported("this graph takes tensors only")

    def cancel(self, request: int) -> None:
        """Nothing is there to be cancelled."""

    def step(self) -> list[Progress | Lost]:
        """Nothing moves."""
        return []

    def reset(self) -> None:
        """Nothing is there to be forgotten."""
