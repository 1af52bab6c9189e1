"""What a thread sleeps on while it waits for the host."""

from __future__ import annotations

import itertools
import threading
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

    Args:
        deadline: When the guest's own time is over, on the clock of ``time.monotonic``; none is never.
    """

    def __init__(self, deadline: float | None = None) -> None:
        # A number of the guest's own, never used again.
        self.guest = next(_GUESTS)
        self._condition = threading.Condition()
        self._rings = 0
        self._deadline = deadline
        self._closed = False

    def close(self) -> None:
        """Let no wait go on: the guest has to end; any thread may."""
        self._closed = True
        self.ring()

    def ring(self) -> None:
        """Make the waiting thread look again; any thread may."""
        with self._condition:
            self._rings += 1
            self._condition.notify_all()

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
        try:
            return self._wait_for(ready, until, sources)
        finally:
            for source in sources:
                source.leave(self)

    def _wait_for(self, ready: Callable[[], bool], until: float | None, sources: Sequence[Source]) -> bool:
        own = sources[0] if len(sources) == 1 else None
        ends = [end for end in (until, self._deadline) if end is not None]
        entered = False
        while True:
            rings = self._rings
            if ready():
                return True
            if self._closed:
                raise DeadlinePassed("the guest has been stopped")
            left = max(0.0, min(ends) - time.monotonic()) if ends else None
            fetched = own.fetch(FETCH_S if left is None else min(left, FETCH_S)) if own else None
            if fetched:
                continue
            if left == 0:
                if self._deadline is not None and time.monotonic() >= self._deadline:
                    raise DeadlinePassed("the guest's time is over")
                return ready()
            if fetched is None and entered:
                self._sleep(rings, left)
            elif fetched is None:
                entered = True
                for source in sources:
                    source.enter(self, fetches=own is not None)

    def _sleep(self, rings: int, timeout_s: float | None) -> None:
        """Until the bell has rung more than so many times."""
        with self._condition:
            if self._rings == rings:
                self._condition.wait(timeout_s)
