"""
Who reads a worker's line: the thread that waits for something from it, or else one that stands by.

On a machine whose cores the engine keeps busy, waking a thread costs as much as all that the host does with a token. So
a token is not handed from a thread that reads to the guest's: the guest's thread reads the line itself, and hands out
what is for others on its way. While nobody waits, the thread that stands by reads.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from wit_llm.worker.channel import ChannelBroken

if TYPE_CHECKING:
    from collections.abc import Callable

    from wit_llm.bell import Bell
    from wit_llm.worker.channel import Channel

# After a guest's thread has stopped reading, it usually comes back at once; so long the one that stands by leaves it.
STAND_IN_S = 0.2

In = TypeVar("In")

_MAIN = threading.main_thread().ident


class Reading(Generic[In]):
    """
    Reads a line to its end.

    Args:
        name: Of the thread that stands by.
        channel: The line.
        hand_out: Called with each message, in order, on whichever thread reads.
        ended: Called once on the thread that stands by, with what was wrong where the line did not just end.
    """

    def __init__(
        self,
        name: str,
        channel: Channel[Any, In],
        hand_out: Callable[[In], None],
        ended: Callable[[str | None], None],
    ) -> None:
        self._channel = channel
        self._hand_out = hand_out
        self._ended = ended
        self._turn = threading.Lock()  # to read, and to hand out what was read
        self._reader: int | None = None  # who has it
        self._over = False
        self._fault: str | None = None
        # Whose threads sleep: those that fetch where they are rung for it, longest asleep first, and the others.
        self._fetching: OrderedDict[Bell, None] = OrderedDict()
        self._others: set[Bell] = set()
        self._beds = threading.Lock()  # of those two; held for no longer than one goes or comes
        self._called = threading.Event()
        self._by = threading.Thread(target=self._stand_by, name=name, daemon=True)
        self._by.start()

    # ------------------------------------------------------------ the threads that wait

    def fetch(self, timeout_s: float) -> bool | None:
        """As ``bell.Source`` says; the main thread fetches nothing, for a Ctrl-C there would tear a message."""
        if self._over or threading.get_ident() == _MAIN or not self._turn.acquire(blocking=False):
            return None
        try:
            return None if self._over else self._read(timeout_s)
        finally:
            self._turn.release()
            if self._over:
                self._called.set()

    def enter(self, bell: Bell, *, fetches: bool) -> None:
        """As ``bell.Source`` says."""
        fetches = fetches and threading.get_ident() != _MAIN
        with self._beds:
            if fetches:
                self._fetching[bell] = None
            else:
                self._others.add(bell)
        if not fetches:
            self._called.set()

    def leave(self, bell: Bell) -> None:
        """As ``bell.Source`` says."""
        if self._fetching or self._others:
            with self._beds:
                self._fetching.pop(bell, None)
                self._others.discard(bell)
            self._pass_on()

    def _pass_on(self) -> None:
        """Let one of those that sleep read, where nobody does."""
        if self._turn.locked():
            return
        with self._beds:
            longest = next(iter(self._fetching), None)
        if longest is not None and not self._over:
            longest.ring()
        elif longest is not None or self._others:
            self._called.set()

    # ------------------------------------------------------------ reading

    def _read(self, timeout_s: float | None) -> bool:
        """Read and hand out one message, having the turn; false where none came in time, or ever will."""
        self._reader = threading.get_ident()
        try:
            message = self._channel.receive(timeout_s)
            if message is None:
                self._over = True
            else:
                self._hand_out(message)
                return True
        except TimeoutError:
            return False
        except ChannelBroken as error:
            self._over, self._fault = True, str(error)
        except BaseException:
            self._over, self._fault = True, "the host failed in reading it"
            raise
        finally:
            self._reader = None
        return False

    # ------------------------------------------------------------ the thread that stands by

    def _stand_by(self) -> None:
        try:
            self._stand_in()
        finally:
            self._ended(self._fault)

    def _stand_in(self) -> None:
        while not self._over:
            if self._turn.acquire(blocking=False):
                try:
                    while not self._over and not self._fetching:
                        self._read(None)
                finally:
                    self._turn.release()
                self._pass_on()
            self._called.wait(STAND_IN_S)
            self._called.clear()

    def wake(self) -> None:
        """Let the one that stands by see at once that the line has ended."""
        self._called.set()

    def join(self) -> None:
        """Wait until ``ended`` has been called, unless it is this thread that would have to call it."""
        if threading.get_ident() not in {self._reader, self._by.ident}:
            self._by.join()
