"""Figures of what was measured: percentiles, medians with their intervals, work done in turns."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import numpy as np

_RESAMPLES = 4000

Ours = TypeVar("Ours")
Other = TypeVar("Other")


def in_turns(
    ours: Callable[[int], Ours], other: Callable[[int], Other], pairs: int, *, first: int = 0, warm_ups: int = 1
) -> Iterator[tuple[Ours, Other]]:
    """
    Do the same work by both, A B B A, so that what slows the machine down slows both; each is told the round's number.

    Rounds are numbered from ``first`` on. Those of the warm-up, with the numbers below, are done before and left out.
    """
    for number in range(first - warm_ups, first + pairs):
        if number % 2:
            b = other(number)
            a = ours(number)
        else:
            a = ours(number)
            b = other(number)
        if number >= first:
            yield a, b


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Where the median lies, with 95 % confidence, by bootstrap with a fixed seed."""
    drawn = np.random.default_rng(0).choice(np.asarray(values), (_RESAMPLES, len(values)))  # [resample, value]
    low, high = np.percentile(np.median(drawn, axis=1), (2.5, 97.5))
    return float(low), float(high)


def spread(values: Sequence[float]) -> tuple[float, float, float]:
    """Their p10, median and p90, interpolated where they are few."""
    p10, median, p90 = np.percentile(np.asarray(values), (10, 50, 90))
    return float(p10), float(median), float(p90)


def percentile(values: Sequence[int], percent: int) -> int:
    """The least of the values that so many percent of all do not exceed."""
    return sorted(values)[math.ceil(len(values) * percent / 100) - 1]


def short(value: float) -> str:
    """A number of three digits, or a whole one."""
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"  # noqa: PLR2004 -- from here on whole
