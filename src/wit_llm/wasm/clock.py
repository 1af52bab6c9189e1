"""The clock that ends guests: it looks at those that run, and wakes nobody who may go on."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import wasmtime

    from wit_llm.bell import Bell

# How late a guest may be stopped.
TICK_S = 0.05


class Clock:
    """
    Makes guests of one engine look whether they have to end, once one of them does, and until it has.

    At each tick of an epoch every guest that runs is called back, which takes a thread and Python's lock from those
    that have work to do. So the epoch stands still while all may go on.

    Args:
        engine: The engine.
    """

    def __init__(self, engine: wasmtime.Engine) -> None:
        self._engine = engine
        self._watched: dict[Bell, Callable[[], bool]] = {}
        # Those of them that do not sleep, so that a tick costs nothing for those that do.
        self._awake: set[Bell] = set()
        self._going = threading.Lock()
        self._going.acquire()
        self._thread = threading.Thread(target=self._tick, name="wit-llm clock", daemon=True)
        self._thread.start()

    @contextmanager
    def watching(self, bell: Bell, has_to_end: Callable[[], bool]) -> Iterator[None]:
        """
        Ask of a guest that runs here whether it may not go on; its store's epoch callback then ends it.

        Args:
            bell: The guest's; while it sleeps there it is not asked, and its deadline wakes it.
            has_to_end: What is asked.
        """
        self._watched[bell] = has_to_end
        bell.awake = self._awake
        self._awake.add(bell)
        try:
            yield
        finally:
            self._awake.discard(bell)
            bell.awake = set()
            del self._watched[bell]

    def close(self) -> None:
        """Stop."""
        self._going.release()
        self._thread.join()

    def _tick(self) -> None:
        while not self._going.acquire(timeout=TICK_S):
            asked = [self._watched.get(bell) for bell in list(self._awake)]
            if any([has_to_end() for has_to_end in asked if has_to_end]):  # noqa: C419 -- each is to be asked
                self._engine.increment_epoch()
