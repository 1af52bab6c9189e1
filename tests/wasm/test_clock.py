"""The clock that ends guests."""

from __future__ import annotations

import threading
import time
from typing import Any

from wit_llm.bell import Bell
from wit_llm.wasm.clock import TICK_S, Clock

PATIENCE_S = 20
ENOUGH = 10


class Engine:
    """Counts in wasmtime's place."""

    def __init__(self) -> None:
        self.epochs = 0

    def increment_epoch(self) -> None:
        """One more."""
        self.epochs += 1


def test_the_epoch_goes_on_while_somebody_has_to_end_and_then_stands_still() -> None:
    """Every guest that runs pays for each."""
    engine: Any = Engine()
    clock = Clock(engine)
    asked: list[bool] = []
    ends = False

    def has_to_end() -> bool:
        asked.append(ends)
        return ends

    try:
        with clock.watching(Bell(), lambda: False), clock.watching(Bell(), has_to_end):
            time.sleep(5 * TICK_S)
            assert asked
            assert engine.epochs == 0
            ends = True
            time.sleep(5 * TICK_S)
            assert engine.epochs >= 2
        time.sleep(2 * TICK_S)
        before = engine.epochs, len(asked)
        time.sleep(3 * TICK_S)
        assert (engine.epochs, len(asked)) == before
    finally:
        clock.close()


def test_who_sleeps_is_not_asked_until_it_is_awake() -> None:
    """So that a tick costs nothing for those that wait."""
    clock = Clock(engine := Engine())  # type: ignore[arg-type]
    bell = Bell()
    asked: list[float] = []
    woken = threading.Event()

    def has_to_end() -> bool:
        asked.append(time.monotonic())
        return True

    def guest() -> None:
        with clock.watching(bell, has_to_end):
            bell.wait_for(woken.is_set)
            until = time.monotonic() + PATIENCE_S
            while len(asked) < ENOUGH and time.monotonic() < until:
                time.sleep(TICK_S)

    thread = threading.Thread(target=guest)
    try:
        thread.start()
        while not bell.asleep:
            time.sleep(0.001)
        time.sleep(2 * TICK_S)
        before = len(asked)
        time.sleep(5 * TICK_S)
        assert (len(asked), engine.epochs) == (before, before)
        woken.set()
        bell.ring()
        thread.join()
        assert before < ENOUGH <= len(asked)
    finally:
        clock.close()
