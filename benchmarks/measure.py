"""What the benchmarks share: work done in turns, medians with their intervals, bars, and how they are printed."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import numpy as np

from wit_llm.bench.figures import in_turns, interval, short, spread
from wit_llm.bench.machine import machine, versions

__all__ = ["BENCH", "CACHE", "ROOT", "Bar", "Of", "Report", "Row", "in_turns", "interval", "parser"]

ROOT = Path(__file__).parents[1]
CACHE = ROOT / ".cache"
BENCH = CACHE / "bench"

PAIRS = 20
QUICK_PAIRS = 2


def parser(question: str | None) -> argparse.ArgumentParser:
    """Options that every benchmark has; the question is its module's docstring."""
    made = argparse.ArgumentParser(description=question, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument(
        "--pairs", type=_count, help=f"rounds of both sides; default {PAIRS}, the least that passes a bar"
    )
    made.add_argument("--quick", action="store_true", help=f"{QUICK_PAIRS} pairs, and no bar decides the exit status")
    made.add_argument("--json", type=Path, metavar="FILE", help="append each row to FILE, a line of JSON")
    return made


def _count(text: str) -> int:
    count = int(text)
    if count < 1:
        raise argparse.ArgumentTypeError(f"at least 1, not {count}")
    return count


class Of(Enum):
    """What a bar looks at, pair by pair."""

    OURS = "ours"
    RATIO = "ratio"
    DIFFERENCE = "difference"


@dataclass(frozen=True, slots=True)
class Bar:
    """What a figure has to reach, or must not exceed: its median, and all of the median's interval."""

    of: Of
    at_least: float | None = None
    at_most: float | None = None

    def text(self, unit: str) -> str:
        """The condition."""
        number = f">= {short(self.at_least)}" if self.at_least is not None else f"<= {short(self.at_most or 0)}"
        return f"{self.of.value} {number}{'' if self.of is Of.RATIO else f' {unit}'}"

    def met_by(self, low: float, high: float) -> bool:
        """Whether all from ``low`` to ``high`` is on the right side."""
        return (self.at_least is None or low >= self.at_least) and (self.at_most is None or high <= self.at_most)


@dataclass(frozen=True, slots=True)
class Row:
    """
    One figure.

    Args:
        name: What was measured.
        unit: Of both sides' values.
        rival: What does the same work without us.
        pairs: Our value and the rival's.
        bar: None where the figure is only for information.
    """

    name: str
    unit: str
    rival: str
    pairs: Sequence[tuple[float, float]]
    bar: Bar | None = None

    def values(self, of: Of) -> list[float]:
        """What a bar looks at, a value a pair."""
        match of:
            case Of.OURS:
                return [ours for ours, _ in self.pairs]
            case Of.RATIO:
                return [ours / rival for ours, rival in self.pairs]
            case Of.DIFFERENCE:
                return [ours - rival for ours, rival in self.pairs]

    def line(self) -> str:
        """The row as people read it."""
        ours, rival = zip(*self.pairs, strict=True)
        sides = f"ours {spread_of(ours)}  {self.rival} {spread_of(rival)}"
        return f"{self.name}, {self.unit}: {sides}  ratio {median_of(self.values(Of.RATIO))}"

    def verdict(self, bar: Bar) -> tuple[bool, str]:
        """Whether the bar is passed, and the sentence that says so."""
        values = self.values(bar.of)
        passed = bar.met_by(*interval(values))
        middle = float(np.median(values))
        doubt = "" if passed or not bar.met_by(middle, middle) else "; the interval is too wide: try more --pairs"
        figure = f"{median_of(values)}{'' if bar.of is Of.RATIO else f' {self.unit}'}"
        return passed, f"{'PASS' if passed else 'FAIL'}  {self.name}: {bar.text(self.unit)}: {figure}{doubt}"

    def record(self) -> dict[str, object]:
        """The row as machines read it."""
        record: dict[str, object] = {"row": self.name, "unit": self.unit, "rival": self.rival, "pairs": len(self.pairs)}
        for side, values in zip(("ours", "without_us"), zip(*self.pairs, strict=True), strict=True):
            p10, median, p90 = spread(values)
            record[side] = {"p10": p10, "median": median, "p90": p90}
        for of in (Of.RATIO, Of.DIFFERENCE):
            low, high = interval(self.values(of))
            record[of.value] = {"low": low, "median": float(np.median(self.values(of))), "high": high}
        if self.bar is not None:
            record["bar"] = self.bar.text(self.unit)
            record["passed"] = self.verdict(self.bar)[0]
        return record


class Report:
    """
    What a benchmark prints.

    Args:
        question: The module's docstring.
        arguments: As ``parser`` has read them.
        sizes: What the work is made of.

    Raises:
        SystemExit: Too few pairs for a bar.
    """

    def __init__(self, question: str | None, arguments: argparse.Namespace, sizes: Mapping[str, object]) -> None:
        self._question = (question or "").strip().splitlines()[0]
        self._quick: bool = arguments.quick
        self._file: Path | None = arguments.json
        self._sizes = sizes
        self._failed = False
        self.pairs: int = arguments.pairs or (QUICK_PAIRS if arguments.quick else PAIRS)
        if not self._quick and self.pairs < PAIRS:
            raise SystemExit(f"error: {self.pairs} pairs are too few for a bar, which wants {PAIRS}; or say --quick")
        print(self._question)
        for name, facts in (("machine", machine()), ("versions", versions()), ("sizes", sizes)):
            print(f"{name}: {', '.join(f'{key} {value}' for key, value in facts.items())}")
        print(f"{self.pairs} pairs in turns, A B B A; median (p10..p90), ratio of ours to the other [95 % interval]")
        print(end="", flush=True)

    def add(self, row: Row) -> None:
        """Print a row and its bar, and append it to the file of ``--json``."""
        print(row.line())
        if row.bar is not None:
            passed, sentence = row.verdict(row.bar)
            print(sentence)
            self._failed |= not passed
        print(end="", flush=True)
        if self._file is not None:
            record = {"benchmark": self._question, **row.record(), "sizes": self._sizes} | machine() | versions()
            with self._file.open("a", encoding="utf-8") as file:
                file.write(json.dumps(record, ensure_ascii=False) + "\n")

    def status(self) -> int:
        """The exit status: 1 where a bar was missed, unless the run was a quick one."""
        return int(self._failed and not self._quick)


def spread_of(values: Sequence[float]) -> str:
    """The median, and where four fifths of the values lie."""
    p10, median, p90 = map(short, spread(values))
    return f"{median} ({p10}..{p90})"


def median_of(values: Sequence[float]) -> str:
    """The median, and the interval that it lies in."""
    low, high = interval(values)
    return f"{short(float(np.median(values)))} [{short(low)}, {short(high)}]"
