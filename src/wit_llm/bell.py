"""What a thread sleeps on while it waits for the host."""

from __future__ import annotations

import itertools
import queue
import threading
import time
from typing import TYPE_CHECKING, Protocol, TypeVar

from wit_llm.errors import DeadlinePassed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

# A thread that fetches its news itself hears of an end that another thread decides this much later at most.
FETCH_S = 0.05


class Source(Protocol):
    """Where news comes from, which a waiting thread may fetch itself."""

    def fetch(self, timeout_s: float) -> bool | None:
        """Wait for news and hand them out; whether any came, or none where another thread has to fetch."""

    def enter(self, bell: Bell, *, fetches: bool) -> None:
        """A thread sleeps at ``bell`` until other threads have fetched; whether it would fetch if rung for that."""

    def leave(self, bell: Bell) -> None:
        """It waits no more; another one may have to fetch."""


_News = TypeVar("_News")

_GUESTS = itertools.count(1)


class Bell:
    """
    One per guest: rung when any of its generations has news, so that waiting for one or for many is the same sleep.

    One thread at a time waits for it: a ring wakes one.

    Args:
        deadline: When the guest's own time is over, on the clock of ``time.monotonic``; none is never.
    """

    def __init__(self, deadline: float | None = None) -> None:
        # A number of the guest's own, never used again.
        self.guest = next(_GUESTS)
        # What nobody has seen of the last rings: of each, who is to be rung next.
        self._rung: queue.SimpleQueue[Sequence[Bell]] = queue.SimpleQueue()
        # Whether a thread sleeps at it.
        self.asleep = False
        # Who else is awake, and this one while it is.
        self.awake: set[Bell] = set()
        self._deadline = deadline
        self._closed = False

    def close(self) -> None:
        """Let no wait go on: the guest has to end; any thread may."""
        self._closed = True
        self.ring()

    def ring(self) -> None:
        """Make the waiting thread look again; any thread may."""
        if _PEAL.bells is None:
            _in_turn((self,))
        else:
            _PEAL.bells.append(self)

    def wait_for(self, ready: Callable[[], bool], until: float | None = None, sources: Sequence[Source] = ()) -> bool:
        """
        Sleep until ``ready`` is true, or ``until`` (``time.monotonic`` seconds) has passed.

        Args:
            ready: Becomes true by what rings the bell.
            until: None is never.
            sources: Where the news come from. Of a single one they are fetched by this thread itself, which saves that
                another one wakes up to wake this one; a thread cannot watch two.

        Returns:
            What ``ready`` last said.

        Raises:
            DeadlinePassed: The guest's own time is over, or it has to end.
        """
        if ready():
            return True
        end = until if self._deadline is None else self._deadline if until is None else min(until, self._deadline)
        own = sources[0] if len(sources) == 1 else None
        entered = False
        try:
            while True:
                if self._closed:
                    raise DeadlinePassed("the guest has been stopped")
                left = None if end is None else max(0.0, end - time.monotonic())
                fetched = own.fetch(FETCH_S if left is None else min(left, FETCH_S)) if own else None
                if fetched is None and left != 0:
                    if entered:
                        self._sleep(left)
                    else:
                        entered = self._enter(sources)
                if ready():
                    return True
                if left == 0 and not fetched:
                    if self._deadline is not None and time.monotonic() >= self._deadline:
                        raise DeadlinePassed("the guest's time is over")
                    return False
        finally:
            for source in sources:
                source.leave(self)

    def _enter(self, sources: Sequence[Source]) -> bool:
        for source in sources:
            source.enter(self, fetches=len(sources) == 1)
        return True

    def _sleep(self, timeout_s: float | None) -> None:
        """Until the bell rings, where it has not rung since the last sleep."""
        self.asleep = True
        self.awake.discard(self)
        try:
            _in_turn(self._rung.get(timeout=timeout_s))
        except queue.Empty:
            pass
        finally:
            self.asleep = False
            self.awake.add(self)
            self._pass_on()

    def _pass_on(self) -> None:
        """Ring those that are to be rung after this one."""
        while not self._rung.empty():
            try:
                others = self._rung.get_nowait()
            except queue.Empty:
                return
            _in_turn(others)

    def _wake(self, then: Sequence[Bell]) -> bool:
        """Ring; whether a thread wakes that rings the others."""
        if self.asleep:
            self._rung.put(then)
            if self.asleep:
                return True
            self._pass_on()  # it woke meanwhile, and may have looked before
        if self._rung.empty():
            self._rung.put(())
        return False


class _Peal(threading.local):
    bells: list[Bell] | None = None


_PEAL = _Peal()


def peal(tell: Callable[[_News], object], news: Iterable[_News]) -> None:
    """
    Tell all news, and ring at the end what that rings, one bell after the other: each thread that wakes rings the next.

    All at once would wake them only to sleep again, as one at a time can have Python's lock.
    """
    bells: list[Bell] = []
    _PEAL.bells = bells
    try:
        for one in news:
            tell(one)
    finally:
        _PEAL.bells = None
        _in_turn(bells)


def _in_turn(bells: Sequence[Bell]) -> None:
    """Ring up to the first at which a thread sleeps, which rings the others."""
    for place, bell in enumerate(bells):
        if bell._wake(bells[place + 1 :]):  # noqa: SLF001 -- one module
            return
