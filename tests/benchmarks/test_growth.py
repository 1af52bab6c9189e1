"""How growth is measured: the exponent, what is marked, and the files that show it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from curve import Curve, Series, page

from tests.architecture import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

TINY = ROOT / "src" / "wit_llm" / "embedded" / "tiny"
SIZES = [2**power for power in range(10)]
SERIES = {
    "context": 3,
    "guests": 3,
    "idle": 3,
    "reply": 3,
    "tensors": 3,
    "sessions": 4,
    "history": 3,
}


def _series(cost: Callable[[int], float], most: float = 1.0) -> Series:
    """Of three rounds, the last of which is an outlier."""
    return Series("it", "ms", [(size, [cost(size), cost(size), 9 * cost(size)]) for size in SIZES], most)


@pytest.mark.parametrize(
    ("cost", "exponent"),
    [
        pytest.param(lambda _: 7.0, 0.0, id="flat"),
        pytest.param(lambda size: 7.0 * size, 1.0, id="linear"),
        pytest.param(lambda size: size**1.5, 1.5, id="between"),
        pytest.param(lambda size: size**2 / 100, 2.0, id="square"),
        pytest.param(lambda size: max(32, size), 1.0, id="flat-at-first"),
    ],
)
def test_the_exponent_is_that_of_the_upper_half(cost: Callable[[int], float], exponent: float) -> None:
    """What small sizes cost beside does not hide how large ones grow."""
    assert _series(cost).exponent == pytest.approx(exponent)


@pytest.mark.parametrize(
    ("most", "power", "worse"),
    [
        pytest.param(1, 1.1, False, id="linear-with-noise"),
        pytest.param(1, 1.3, True, id="more-than-linear"),
        pytest.param(0, 0.1, False, id="flat-with-noise"),
        pytest.param(0, 0.3, True, id="a-share-that-rises"),
        pytest.param(0, -0.5, False, id="a-share-that-falls"),
    ],
)
def test_what_grows_faster_than_it_may_is_marked(most: float, power: float, worse: bool) -> None:
    """A cost that is counted whole may be linear, and that of one unit may not grow."""
    series = _series(lambda size: size**power, most)
    assert series.worse is worse
    assert series.line().endswith(" EXCEEDED") is worse


def test_a_curve_is_kept_and_shown(tmp_path: Path) -> None:
    """What was saved is read back; the same points make the same files; the page shows the plot and every cost."""
    curve = Curve("a", "Letters", "letters", [_series(float), _series(lambda n: n**2)], {"cores": 2})
    folder = tmp_path / "growth"
    curve.save(folder)
    kept = Curve.load(folder / "a.json")
    assert (kept.title, kept.axis, kept.facts) == (curve.title, curve.axis, curve.facts)
    assert [one.line() for one in kept.series] == [one.line() for one in curve.series]
    drawn = (folder / "a.svg").read_bytes()
    kept.save(folder)
    assert (folder / "a.svg").read_bytes() == drawn
    assert page(folder, "# Growth", {"a": "Because."}).split("\n\n") == [
        "# Growth",
        "## Letters",
        "![Letters](growth/a.svg)",
        (
            "| cost | at letters | | at | | exponent | at most |\n"
            "|---|--:|--:|--:|--:|--:|--:|\n"
            "| it, ms | 1 | 1 | 512 | 512 | 1.00 | 1 |\n"
            "| it, ms | 1 | 1 | 512 | 2.62e+05 | **2.00** | 1 |"
        ),
        "Because.",
        "<sub>cores 2</sub>\n",
    ]


@pytest.mark.slow
@pytest.mark.parametrize("name", SERIES)
def test_the_smallest_run_draws_its_curve(name: str, tmp_path: Path, environment: Mapping[str, str]) -> None:
    """Every curve can be measured, and each of its costs is printed and on the page."""
    out = tmp_path / "out"
    command = [
        sys.executable,
        str(ROOT / "benchmarks" / "growth.py"),
        "--quick",
        "--model",
        str(TINY),
        "--out",
        str(out),
    ]
    done = subprocess.run(
        [*command, name], capture_output=True, text=True, timeout=150, env=dict(environment), check=False
    )
    assert done.returncode == 0, done.stderr
    printed = [line for line in done.stdout.splitlines() if "; exponent " in line]
    assert len(printed) == SERIES[name]
    assert {path.name for path in out.iterdir()} == {f"{name}.json", f"{name}.svg"}
    assert f"![{done.stdout.partition(',')[0]}](out/{name}.svg)" in out.with_name("OUT.md").read_text()


def test_a_curve_that_there_is_not() -> None:
    """The names that there are are said."""
    command = [sys.executable, str(ROOT / "benchmarks" / "growth.py"), "money"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "no curve 'money'; there are context, guests, idle, reply, tensors, sessions, history" in done.stderr
