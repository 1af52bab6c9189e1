"""The clock that ends guests: it looks at those that run, and wakes nobody who may go on."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import wasmtime

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
        self._watched: set[Callable[[], bool]] = set()
        self._going = threading.Lock()
        self._going.acquire()
        self._thread = threading.Thread(target=self._tick, name="wit-llm clock", daemon=True)
        self._thread.start()

    @contextmanager
    def watching(self, has_to_end: Callable[[], bool]) -> Iterator[None]:
        """Ask of a guest that runs here whether it may not go on; its store's epoch callback then ends it."""
        self._watched.add(has_to_end)
        try:
            yield
        finally:
            self._watched.discard(has_to_end)

    def close(self) -> None:
        """Stop."""
        self._going.release()
        self._thread.join()

    def _tick(self) -> None:
        while not self._going.acquire(timeout=TICK_S):
            if any([has_to_end() for has_to_end in list(self._watched)]):  # noqa: C419 -- each is to be asked
                self._engine.increment_epoch()
