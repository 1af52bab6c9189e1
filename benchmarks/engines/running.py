"""Engines that are there at once, and rounds of them."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

from engines.check import Check
from engines.figures import Figure
from engines.line import Work
from engines.prompts import Prompts
from engines.rounds import Cell
from engines.table import AbsentError, Engine, ask
from sides import Side


class Running:
    """
    Engines that have their model and have been checked, and why others have not.

    Args:
        engines: In the order of the table.
        shape: Of the model.
        threads: Of each.
        source: The model as transformers has it.
    """

    def __init__(self, engines: Sequence[Engine], shape: str, threads: int, source: Path) -> None:
        self._engines = engines
        self._prompts = Prompts(source)
        self._sides: dict[str, Side] = {}
        self._versions: dict[str, str] = {}
        self._absent: dict[str, str] = {}
        with closing(Check(source, self._prompts)) as check:
            for engine in sorted(engines, key=lambda engine: engine.twin is not None):
                try:
                    side, self._versions[engine.name] = engine.launch(shape, threads)
                    self._sides[engine.name] = side
                    below = check.of(engine, side)
                except AbsentError as error:
                    self._drop(engine, error)
                else:
                    print(f"{shape}, {engine.label}: tokens at most {below:.2g} below the best", file=sys.stderr)

    def close(self) -> None:
        """End their processes."""
        for side in self._sides.values():
            side.close()

    def rounds(self, figure: Figure, count: int) -> Iterator[tuple[Cell, ...]]:
        """What each engine has done in each round; short works before them are left out."""
        engines = [engine for engine in self._engines if engine.reuses or not figure.reuses]
        shortened = [work._replace(reply_tokens=min(work.reply_tokens, 2)) for work in figure.works(self._prompts)]
        for engine in engines:
            self._value(engine, figure, shortened)
        for number in range(count):
            works = figure.works(self._prompts)
            values = {}
            for engine in engines if number % 2 == 0 else engines[::-1]:
                values[engine.name] = self._value(engine, figure, works)
            yield tuple(self._cell(engine, values[engine.name]) for engine in engines)

    def _value(self, engine: Engine, figure: Figure, works: Sequence[Work]) -> float | None:
        if engine.name not in self._sides:
            return None
        try:
            return figure.value([ask(self._sides[engine.name], work) for work in works])
        except AbsentError as error:
            self._drop(engine, error)
            return None

    def _drop(self, engine: Engine, error: AbsentError) -> None:
        print(f"{engine.label} is absent: {error}", file=sys.stderr)
        self._absent[engine.name] = str(error)
        if (side := self._sides.pop(engine.name, None)) is not None:
            side.close()

    def _cell(self, engine: Engine, value: float | None) -> Cell:
        absent = self._absent.get(engine.name, "")
        return Cell(engine.name, engine.weights, value, absent, self._versions.get(engine.name, ""))
