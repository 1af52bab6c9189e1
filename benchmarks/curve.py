"""How a cost grows: points, the exponent that fits them, a plot, and the page that shows them all."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

# An exponent that is more than this above its own is told apart from noise, with medians of a few rounds.
TOLERANCE = 0.15
_FEWEST_POINTS = 3


@dataclass(frozen=True, slots=True)
class Series:
    """
    One cost.

    Args:
        name: Of what.
        unit: Of the values.
        points: Size and what each round took, by rising size.
        most: The exponent that it may have: 1 where all of it is counted, 0 where it is a share of each unit.
    """

    name: str
    unit: str
    points: Sequence[tuple[float, Sequence[float]]]
    most: float = 1.0

    @property
    def sizes(self) -> list[float]:
        """Of the points."""
        return [size for size, _ in self.points]

    @property
    def medians(self) -> list[float]:
        """Of the rounds of each point."""
        return [float(np.median(values)) for _, values in self.points]

    @property
    def exponent(self) -> float:
        """The slope between logarithms of size and cost over the upper half of the points, by least squares."""
        half = min(-(-len(self.points) // 2), len(self.points) - _FEWEST_POINTS)
        sizes, costs = (np.log(values[max(half, 0) :]) for values in (self.sizes, self.medians))
        return float(np.polyfit(sizes, costs, 1)[0])

    @property
    def worse(self) -> bool:
        """Whether it grows faster than it may."""
        return self.exponent > self.most + TOLERANCE

    def line(self) -> str:
        """The series as people read it."""
        first, last = self.medians[0], self.medians[-1]
        return (
            f"{self.name}, {self.unit}: {first:.3g} at {self.sizes[0]:,.0f}, {last:.3g} at {self.sizes[-1]:,.0f}; "
            f"exponent {self.exponent:.2f}, at most {self.most:g}{' EXCEEDED' if self.worse else ''}"
        )


@dataclass(frozen=True, slots=True)
class Curve:
    """
    Costs over one size.

    Args:
        name: Of its files.
        title: What grows.
        axis: What the size counts.
        series: The costs.
        facts: Of the machine and the versions.
    """

    name: str
    title: str
    axis: str
    series: Sequence[Series]
    facts: Mapping[str, object]

    def save(self, folder: Path) -> None:
        """Write the points, and a plot of them."""
        folder.mkdir(parents=True, exist_ok=True)
        record = {
            "title": self.title,
            "axis": self.axis,
            "series": [
                {"name": one.name, "unit": one.unit, "most": one.most, "points": _rounded(one.points)}
                for one in self.series
            ],
            "facts": self.facts,
        }
        path = folder / f"{self.name}.json"
        path.write_text(json.dumps(record, ensure_ascii=False) + "\n", encoding="utf-8")
        Curve.load(path)._plot(path.with_suffix(".svg"))  # noqa: SLF001 -- as it is kept

    @classmethod
    def load(cls, path: Path) -> Curve:
        """What was saved."""
        record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        series = [Series(one["name"], one["unit"], one["points"], one["most"]) for one in record["series"]]
        return cls(path.stem, record["title"], record["axis"], series, record["facts"])

    def _plot(self, path: Path) -> None:
        import matplotlib as mpl
        from matplotlib.figure import Figure

        units = list(dict.fromkeys(one.unit for one in self.series))
        # The same points make the same file.
        with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": self.name}):
            figure = Figure(figsize=(4 * len(units), 3.2), layout="constrained")
            for axes, unit in zip(np.atleast_1d(figure.subplots(1, len(units))), units, strict=True):
                for one in (one for one in self.series if one.unit == unit):
                    low, high = (np.array([np.percentile(v, q) for _, v in one.points]) for q in (10, 90))
                    medians = np.array(one.medians)
                    label = f"{one.name} (exponent {one.exponent:.2f})"
                    axes.errorbar(one.sizes, medians, (medians - low, high - medians), fmt="o-", ms=3, label=label)
                axes.set(xscale="log", yscale="log", xlabel=self.axis, ylabel=unit)
                # A decade at least, or noise would look like growth.
                bottom, top = axes.get_ylim()
                middle = (bottom * top) ** 0.5
                axes.set_ylim(min(bottom, middle / 10**0.5), max(top, middle * 10**0.5))
                axes.grid(alpha=0.3)
                axes.legend(fontsize="x-small")
            figure.savefig(path, metadata={"Date": None})


def _rounded(points: Sequence[tuple[float, Sequence[float]]]) -> list[tuple[float, list[float]]]:
    return [(size, [float(f"{value:.5g}") for value in values]) for size, values in points]


def page(folder: Path, introduction: str, why: Mapping[str, str]) -> str:
    """What people read of the curves in a folder, which lies beside the page, with what explains each."""
    text = [introduction]
    for path in sorted(folder.glob("*.json")):
        curve = Curve.load(path)
        facts = ", ".join(f"{name} {value}" for name, value in curve.facts.items())
        text += [f"## {curve.title}", f"![{curve.title}]({folder.name}/{curve.name}.svg)", _table(curve)]
        text += [why[curve.name], f"<sub>{facts}</sub>"]
    return "\n\n".join(text) + "\n"


def _table(curve: Curve) -> str:
    rows = [f"| cost | at {curve.axis} | | at | | exponent | at most |", "|---|--:|--:|--:|--:|--:|--:|"]
    for one in curve.series:
        first, last = (f"{size:,.0f} | {cost:.3g}" for size, cost in (
            (one.sizes[0], one.medians[0]), (one.sizes[-1], one.medians[-1])
        ))  # fmt: skip
        exponent = f"**{one.exponent:.2f}**" if one.worse else f"{one.exponent:.2f}"
        rows.append(f"| {one.name}, {one.unit} | {first} | {last} | {exponent} | {one.most:g} |")
    return "\n".join(rows)
