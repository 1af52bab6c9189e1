"""The engine loop, with a generator that does as a test wants."""

from __future__ import annotations

import queue
import threading
from typing import TYPE_CHECKING, Any

import pytest

from tests.worker.asking import SOON_S, row
from wit_llm.backends.base import End, Lost, Progress
from wit_llm.errors import BackendFailure, TooLarge
from wit_llm.options import Decoding
from wit_llm.worker.channel import memory_pair
from wit_llm.worker.loop import EngineLoop
from wit_llm.worker.messages import Accepted, Cancel, Cargo, Failed, Generate, Stepped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from wit_llm.tensor import Admitted


class Scripted:
    """A generator whose steps are written down beforehand; an error among them is raised."""

    slots = 2

    def __init__(self, *steps: list[Progress | Lost] | Exception) -> None:
        self.steps = list(steps)
        self.calls: list[str] = []

    def add(self, request: int, admitted: Admitted, decoding: Decoding) -> None:
        """Remember it; what has no tensors is refused."""
        self.calls.append(f"add {request} {len(admitted.tensors)} {decoding.max_new_tokens}")
        if not admitted.tensors:
            raise ZeroDivisionError("in /home/somebody/secret.py")

    def cancel(self, request: int) -> None:
        """Remember it."""
        self.calls.append(f"cancel {request}")

    def step(self) -> list[Progress | Lost]:
        """The next of those that were written down."""
        step = self.steps.pop(0)
        if isinstance(step, Exception):
            raise step
        return step

    def reset(self) -> None:
        """Remember it."""
        self.calls.append("reset")


class Running:
    """A loop on a thread of its own, asked by messages and answering with them."""

    def __init__(self, generator: Scripted) -> None:
        there, self.here = memory_pair()
        self.requests: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.thread = threading.Thread(target=EngineLoop(there, generator).run, args=(self.requests,))

    def ask(self, *messages: object) -> Running:
        """Put questions, and start to answer once all of them are there."""
        for message in messages:
            self.requests.put(message)
        if not self.thread.ident:
            self.thread.start()
        return self

    def heard(self, count: int) -> list[object]:
        """So many messages, in order."""
        return [self.here.receive() for _ in range(count)]


@pytest.fixture
def loop() -> Iterator[Callable[[Scripted], Running]]:
    """Makes loops that are ended after the test."""
    made: list[Running] = []

    def make(generator: Scripted) -> Running:
        made.append(Running(generator))
        return made[-1]

    yield make
    for one in made:
        one.requests.put(None)
        one.thread.join(SOON_S)
        assert not one.thread.is_alive()


def _generate(call: int, tensors: int = 1) -> Generate:
    return Generate(call, Cargo([row("input_ids", [1])] * tensors), Decoding(call))


def test_one_message_tells_of_one_step(loop: Callable[[Scripted], Running]) -> None:
    """Progress of all requests travels together, and a step without news says nothing."""
    both = [Progress(1, (7,)), Progress(2, (8, 9), End.STOP)]
    generator = Scripted([], [*both], [Progress(1, (), End.LENGTH)])
    running = loop(generator).ask(_generate(1), _generate(2))
    assert running.heard(4) == [Accepted(1), Accepted(2), Stepped(both), Stepped([Progress(1, (), End.LENGTH)])]
    assert generator.calls == ["add 1 1 1", "add 2 1 2"]


def test_requests_wait_for_a_slot_in_the_order_in_which_they_came(loop: Callable[[Scripted], Running]) -> None:
    """More requests than slots are kept back; one that is cancelled before its turn never begins."""
    generator = Scripted([Progress(1, (), End.LENGTH)], [Progress(2, (), End.LENGTH), Progress(4, (), End.LENGTH)])
    running = loop(generator).ask(*(_generate(call) for call in range(1, 5)), Cancel(3))
    assert running.heard(6) == [
        Stepped([Progress(3, (), End.CANCELLED)]),
        Accepted(1),
        Accepted(2),
        Stepped([Progress(1, (), End.LENGTH)]),
        Accepted(4),
        Stepped([Progress(2, (), End.LENGTH), Progress(4, (), End.LENGTH)]),
    ]
    assert generator.calls == ["add 1 1 1", "add 2 1 2", "add 4 1 4"]


def test_a_step_that_raises_fails_all_live_requests(loop: Callable[[Scripted], Running]) -> None:
    """Every live request hears of it, the backend is made as new, and the next request is taken up."""
    generator = Scripted(BackendFailure("no memory"), OSError("/secret"), [Progress(4, (), End.LENGTH)])
    running = loop(generator).ask(_generate(1), _generate(2))
    assert running.heard(4)[2:] == [Failed(1, "BackendFailure", "no memory"), Failed(2, "BackendFailure", "no memory")]
    running.ask(_generate(3))
    accepted, lost = running.heard(2)
    assert accepted == Accepted(3)
    assert isinstance(lost, Failed)
    assert (lost.call, lost.error, lost.message) == (3, "BackendFailure", "the backend failed with OSError")
    assert lost.detail.endswith("OSError: /secret\n")
    running.ask(_generate(4))
    assert running.heard(2) == [Accepted(4), Stepped([Progress(4, (), End.LENGTH)])]
    assert generator.calls == ["add 1 1 1", "add 2 1 2", "reset", "add 3 1 3", "reset", "add 4 1 4"]


def test_a_request_may_fail_alone(loop: Callable[[Scripted], Running]) -> None:
    """What is refused, or lost on its way, harms no other request; the path is for the operator's eyes."""
    generator = Scripted([Lost(2, TooLarge("too long")), Progress(3, (5,))], [Progress(3, (), End.LENGTH)])
    running = loop(generator).ask(_generate(1, tensors=0), _generate(2), _generate(3))
    refused, *rest = running.heard(6)
    assert isinstance(refused, Failed)
    assert (refused.call, refused.message) == (1, "the backend failed with ZeroDivisionError")
    assert refused.detail.endswith("ZeroDivisionError: in /home/somebody/secret.py\n")
    assert rest == [
        Accepted(2),
        Accepted(3),
        Stepped([Progress(3, (5,))]),
        Failed(2, "TooLarge", "too long"),
        Stepped([Progress(3, (), End.LENGTH)]),
    ]
