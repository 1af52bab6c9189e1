"""
The threads of a worker that read its line and compute.

There are two, and they take turns: who has read a compute answers it, while the other reads on. So a compute is not
handed from thread to thread, which costs more than a small one does, and the line is read at all times.
"""

from __future__ import annotations

import sys
import threading
from collections import deque
from typing import TYPE_CHECKING

from wit_llm.worker.channel import ChannelBroken
from wit_llm.worker.messages import Compute

if TYPE_CHECKING:
    from collections.abc import Callable

    from wit_llm.worker.channel import Channel
    from wit_llm.worker.messages import Cancel, Generate, Load, ToHost, ToWorker


class Crew:
    """
    Reads a line to its end; computes are answered one at a time, in order.

    Args:
        channel: The line.
        put: Takes every other message, and none at the end.
        leave: Called when the line has ended, whatever is being computed; in a worker process it does not return.
    """

    def __init__(
        self,
        channel: Channel[ToHost, ToWorker],
        put: Callable[[Load | Generate | Cancel | None], None],
        leave: Callable[[], None],
    ) -> None:
        self._channel = channel
        self._put = put
        self._leave = leave
        self._answer: Callable[[Compute], None]
        self._reading = threading.Lock()
        self._counting = threading.Lock()
        self._waiting: deque[Compute] = deque()
        self._computing = False
        self._ended = False

    def start(self) -> None:
        """Begin to read."""
        for number in (1, 2):
            threading.Thread(target=self._run, name=f"reader {number}", daemon=True).start()

    def take_up(self, answer: Callable[[Compute], None]) -> None:
        """Who answers computes; to be said before the host can ask for one."""
        self._answer = answer

    def _run(self) -> None:
        while True:
            with self._reading:
                mine = self._read()
            if mine is None:
                return
            while mine is not None:
                try:
                    self._answer(mine)
                except ChannelBroken:
                    return  # the other thread reads of the same end
                # Large inputs lie in shared memory until the last name for them is gone.
                del mine
                mine = self._next()

    def _read(self) -> Compute | None:
        """Hand out what comes, up to a compute that nobody else will answer; none at the end."""
        try:
            while not self._ended and (message := self._channel.receive()) is not None:
                if not isinstance(message, Compute):
                    self._put(message)
                elif self._is_mine(message):
                    return message
        except ChannelBroken as error:
            sys.stderr.write(f"{error}\n")
            sys.stderr.flush()
        except BaseException:
            self._end()
            raise
        self._end()
        return None

    def _end(self) -> None:
        if not self._ended:
            self._ended = True
            self._leave()
            self._put(None)

    def _is_mine(self, compute: Compute) -> bool:
        """Whether to answer it now; else the thread that computes will, when it comes to it."""
        with self._counting:
            if self._computing:
                self._waiting.append(compute)
                return False
            self._computing = True
            return True

    def _next(self) -> Compute | None:
        """What has come meanwhile; none, and the next one belongs to who reads it."""
        with self._counting:
            if self._waiting:
                return self._waiting.popleft()
            self._computing = False
            return None
