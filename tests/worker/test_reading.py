"""Who reads a worker's line."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.work import opcodes
from tests.worker.asking import SOON_S
from wit_llm.bell import Bell
from wit_llm.errors import DeadlinePassed
from wit_llm.worker.channel import MemoryChannel, memory_pair
from wit_llm.worker.messages import Accepted
from wit_llm.worker.reading import STAND_IN_S, Reading

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Office:
    """A line, who read which call off it, and a bell for each call."""

    def __init__(self) -> None:
        self.worker: MemoryChannel[Any, Any]
        here, self.worker = memory_pair()
        self.bells = [Bell() for _ in range(4)]
        self.read_by: dict[int, str] = {}
        self.ended: list[str | None] = []
        self.reading: Reading[Accepted] = Reading("stand-in", here, self._hand_out, self._end)

    def _hand_out(self, message: Accepted) -> None:
        self.read_by[message.call] = threading.current_thread().name
        for bell in self.bells:
            bell.ring()

    def _end(self, fault: str | None) -> None:
        self.ended.append(fault)
        for bell in self.bells:
            bell.ring()

    def say(self, call: int) -> None:
        """Let the worker speak of a call."""
        self.worker.send(Accepted(call))

    def wait(self, call: int, until: float | None = None) -> bool:
        """Wait for what the worker says of a call."""
        return self.bells[call].wait_for(lambda: call in self.read_by or bool(self.ended), until, [self.reading])

    def waiter(self, call: int) -> threading.Thread:
        """A thread that waits for a call, and is at it."""
        thread = threading.Thread(target=self.wait, args=(call,), name=f"waiter {call}", daemon=True)
        thread.start()
        time.sleep(3 * STAND_IN_S)
        return thread


@pytest.fixture
def office() -> Iterator[Office]:
    """A line that is closed afterwards."""
    made = Office()
    yield made
    made.worker.close()
    made.reading.join()


def _soon(ready: Callable[[], bool]) -> bool:
    end = time.monotonic() + SOON_S
    while not ready() and time.monotonic() < end:
        time.sleep(0.001)
    return ready()


def test_who_waits_reads(office: Office) -> None:
    """Once the stand-in has seen that somebody waits, that thread reads its own news."""
    waiter = office.waiter(1)
    office.say(0)  # the stand-in was reading already
    assert _soon(lambda: 0 in office.read_by)
    office.say(1)
    waiter.join(SOON_S)
    assert office.read_by == {0: "stand-in", 1: "waiter 1"}


def test_while_nobody_waits_the_stand_in_reads(office: Office) -> None:
    """News are handed out without anybody asking, also after somebody who read has gone."""
    waiter = office.waiter(1)
    office.say(0)
    office.say(1)
    waiter.join(SOON_S)
    office.say(2)
    assert _soon(lambda: 2 in office.read_by)
    assert office.read_by[2] == "stand-in"


def test_who_stops_waiting_passes_the_line_on(office: Office) -> None:
    """A thread that sleeps because another one reads takes over from it, and misses nothing."""
    first = office.waiter(1)
    office.say(0)
    assert _soon(lambda: 0 in office.read_by)
    second = office.waiter(2)
    office.say(1)
    first.join(SOON_S)
    office.say(2)
    second.join(SOON_S)
    assert office.read_by[1] in {"waiter 1", "waiter 2"}  # whoever the stand-in let in between
    assert office.read_by[2] == "waiter 2"


def test_the_main_thread_waits_and_does_not_read(office: Office) -> None:
    """A Ctrl-C cannot tear a message, as the thread on which it strikes reads none."""
    waiter = office.waiter(1)
    office.say(0)
    office.say(1)
    waiter.join(SOON_S)  # it has just read, so that for a moment nobody does
    threading.Timer(0.2, office.say, [2]).start()
    assert office.wait(2, time.monotonic() + SOON_S)
    assert office.read_by[2] == "stand-in"


def test_a_look_takes_what_is_there(office: Office) -> None:
    """Where nobody reads, a wait without patience still sees all that has come."""
    waiter = office.waiter(1)
    office.say(0)
    office.say(1)
    waiter.join(SOON_S)
    office.say(2)
    office.say(3)
    seen: list[bool] = []
    looker = threading.Thread(target=lambda: seen.append(office.wait(3, 0)), name="looker")
    looker.start()
    looker.join(SOON_S)
    assert seen == [True]


def test_a_thread_waits_on_two_lines(office: Office) -> None:
    """News of either line wake it, though it can read neither."""
    other = Office()
    bell = office.bells[0]
    woken: list[bool] = []

    def wait() -> None:
        both = [office.reading, other.reading]
        woken.append(bell.wait_for(lambda: 1 in office.read_by and 1 in other.read_by, None, both))

    other.bells.append(bell)
    waiter = threading.Thread(target=wait, daemon=True)
    waiter.start()
    other.say(1)
    office.say(1)
    waiter.join(SOON_S)
    other.worker.close()
    assert woken == [True]
    assert (office.read_by, other.read_by) == ({1: "stand-in"}, {1: "stand-in"})


def test_an_end_reaches_who_reads(office: Office) -> None:
    """The end of a line is dealt with by the stand-in, and wakes the thread that was reading."""
    waiter = office.waiter(1)
    office.say(0)
    assert _soon(lambda: 0 in office.read_by)
    time.sleep(3 * STAND_IN_S)
    office.worker.close()
    waiter.join(SOON_S)
    assert not waiter.is_alive()
    assert office.ended == [None]


def test_a_guest_that_has_to_end_does_so_while_it_reads(office: Office) -> None:
    """Closing the bell of a thread that reads ends its wait."""
    ends: list[str] = []

    def wait() -> None:
        try:
            office.wait(1)
        except DeadlinePassed as error:
            ends.append(str(error))

    waiter = threading.Thread(target=wait, daemon=True)
    waiter.start()
    office.say(0)
    assert _soon(lambda: 0 in office.read_by)
    office.bells[1].close()
    waiter.join(SOON_S)
    assert ends == ["the guest has been stopped"]


def test_threads_in_a_crowd_miss_nothing(office: Office) -> None:
    """Four threads that wait for their news in turns get all of it, whoever reads."""
    rounds = 300
    counts = [0] * 4
    office.reading  # noqa: B018 -- the line is there before the threads are

    def wait(number: int) -> None:
        for turn in range(rounds):
            call = 10 + turn * 4 + number
            office.bells[number].wait_for(lambda call=call: call in office.read_by, None, [office.reading])  # type: ignore[misc]
            counts[number] += 1

    threads = [threading.Thread(target=wait, args=(number,), daemon=True) for number in range(4)]
    for thread in threads:
        thread.start()
    for call in range(10, 10 + rounds * 4):
        office.say(call)
        if call % 7 == 0:
            time.sleep(0.0005)
    for thread in threads:
        thread.join(SOON_S)
    assert counts == [rounds] * 4


def test_who_goes_does_not_look_at_all_who_sleep(office: Office) -> None:
    """That a thread has its token costs as much with a thousand others asleep as with one."""

    def leaving(others: int) -> int:
        asleep = [Bell() for _ in range(others)]
        time.sleep(3 * STAND_IN_S)  # the stand-in reads again
        for bell in asleep:
            office.reading.enter(bell, fetches=True)
        office.say(others)
        assert _soon(lambda: others in office.read_by)  # by the stand-in, which lets them read from now on
        assert _soon(lambda: not office.reading._turn.locked())
        asleep[0].ring()  # so that it does not matter whether the stand-in has done it
        work = max(opcodes(lambda: office.reading.leave(office.bells[0])) for _ in range(10))
        for bell in asleep:
            office.reading.leave(bell)
        return work

    counted: list[int] = []
    sleeper = threading.Thread(target=lambda: counted.extend([leaving(1), leaving(1_000)]))
    sleeper.start()
    sleeper.join()
    assert counted[0] == counted[1]
