"""What a thread sleeps on while it waits for the host."""

from __future__ import annotations

import contextlib
import itertools
import queue
import time
from typing import TYPE_CHECKING, Protocol

from wit_llm.errors import DeadlinePassed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

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
        # Holds something since the last ring that nobody has seen.
        self._rung: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._deadline = deadline
        self._closed = False

    def close(self) -> None:
        """Let no wait go on: the guest has to end; any thread may."""
        self._closed = True
        self.ring()

    def ring(self) -> None:
        """Make the waiting thread look again; any thread may."""
        if self._rung.empty():
            self._rung.put(None)

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
        with contextlib.suppress(queue.Empty):
            self._rung.get(timeout=timeout_s)
