"""What was measured as a picture: rates and times over the load, through guests and without."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from wit_llm.bench.clients import Way
from wit_llm.errors import OperatorError

FORMATS = ("png", "svg")
_LABELS = {"concurrency": "requests at once", "rate": "requests/s"}
_DASHES = {"median": "-", "p50": "-", "p99": ":"}
_COLOURS = {Way.GUEST: "tab:blue", Way.DIRECT: "tab:orange"}
# A figure of a record, its label, and which parts of it are drawn.
_PANELS = (
    ("output_tokens_per_s", "output, tokens/s", ("median",)),
    ("ttft_ms", "time to first text, ms", ("p50", "p99")),
    ("itl_ms", "between pieces of text, ms", ("p50", "p99")),
)


def check_plot() -> None:
    """
    Whether a picture can be made, before anything is measured.

    Raises:
        OperatorError: matplotlib is missing.
    """
    if find_spec("matplotlib") is None:
        raise OperatorError("--plot wants matplotlib; run: pip install 'wit-llm[bench]'")


def write_plot(records: Sequence[Mapping[str, Any]], title: str, path: Path) -> None:
    """Draw records of one kind of load, and write the picture in the format that the file's name says."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 4), layout="constrained")
    kind = "concurrency" if "concurrency" in records[0] else "rate"
    loads = [found[kind] for found in records]
    for axes, (what, label, parts) in zip(figure.subplots(1, len(_PANELS)), _PANELS, strict=True):
        for way in Way:
            for part in parts:
                values = [_part(found[way.value][what], part) for found in records]
                axes.plot(loads, values, _DASHES[part], marker="o", color=_COLOURS[way], label=f"{way.value}, {part}")
        axes.set(xlabel=_LABELS[kind], ylabel=label, ylim=(0, None))
        axes.set_xticks(loads, [f"{load:g}" for load in loads])
        axes.grid(alpha=0.3)
        axes.legend()
    figure.suptitle(title)
    figure.savefig(path, format=path.suffix.removeprefix("."))


def _part(figure: Mapping[str, float] | None, name: str) -> float:
    return float("nan") if figure is None else figure[name]
