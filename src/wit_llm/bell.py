"""What a guest's thread sleeps on while it waits for the host."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from wit_llm.errors import DeadlinePassed

if TYPE_CHECKING:
    from collections.abc import Callable


class Bell:
    """
    One per guest: rung when any of its generations has news, so that waiting for one or for many is the same sleep.

    Args:
        deadline: When the guest's own time is over, on the clock of ``time.monotonic``; none is never.
    """

    def __init__(self, deadline: float | None = None) -> None:
        self._condition = threading.Condition()
        self._deadline = deadline
        self._closed = False

    def close(self) -> None:
        """Let no wait go on: the guest has to end; any thread may."""
        with self._condition:
            self._closed = True
            self._condition.notify_all()

    def ring(self) -> None:
        """Wake the guest's thread to look again; any thread may."""
        with self._condition:
            self._condition.notify_all()

    def wait_for(self, ready: Callable[[], bool], until: float | None = None) -> bool:
        """
        Sleep until ``ready`` is true, or ``until`` (``time.monotonic`` seconds) has passed.

        Returns:
            What ``ready`` last said.

        Raises:
            DeadlinePassed: The guest's own time is over, or it has to end.
        """
        ends = [end for end in (until, self._deadline) if end is not None]
        with self._condition:
            while not ready():
                if self._closed:
                    raise DeadlinePassed("the guest has been stopped")
                left = min(ends) - time.monotonic() if ends else None
                if left is not None and left <= 0:
                    if self._deadline is not None and time.monotonic() >= self._deadline:
                        raise DeadlinePassed("the guest's time is over")
                    return False
                self._condition.wait(left)
            return True
