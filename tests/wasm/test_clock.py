"""The clock that ends guests."""

from __future__ import annotations

import time
from typing import Any

from wit_llm.wasm.clock import TICK_S, Clock


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
        with clock.watching(lambda: False), clock.watching(has_to_end):
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
