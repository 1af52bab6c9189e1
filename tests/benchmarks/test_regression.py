"""The guard of the benchmarks' ratios: what it calls a fall, and what it keeps."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from regression import BASELINE, WATCHED, Interval, Ratio, Verdict, compared, judge, read_baseline, spanned

from tests.architecture import ROOT


def _ratio(low: float, median: float, high: float, unit: str = "tokens/s") -> Ratio:
    return Ratio(unit, Interval(low, median, high))


@pytest.mark.parametrize(
    ("kept", "today", "rate", "time"),
    [
        pytest.param((0.9, 1, 1.1), (0.9, 1, 1.1), "SAME", "SAME", id="equal"),
        pytest.param((0.9, 1, 1.1), (0.7, 0.8, 0.9), "SAME", "SAME", id="they-touch"),
        pytest.param((0.9, 1, 1.1), (0.7, 0.8, 0.88), "FELL", "BETTER", id="all-below"),
        pytest.param((0.9, 1, 1.1), (1.13, 1.2, 1.3), "BETTER", "FELL", id="all-above"),
        pytest.param((0.9, 1, 1.1), (0.2, 0.5, 2.0), "SAME", "SAME", id="wide"),
        pytest.param((1, 1, 1), (0.97, 0.97, 0.97), "FELL", "BETTER", id="without-noise"),
        pytest.param((1, 1, 1), (0.99, 0.99, 0.99), "SAME", "SAME", id="next-to-nothing"),
        pytest.param((0.9, 1, 1.1), (0.7, 0.8, 0.885), "SAME", "SAME", id="apart-by-next-to-nothing"),
    ],
)
def test_a_row_has_fallen_where_the_intervals_are_apart(
    kept: tuple[float, float, float], today: tuple[float, float, float], rate: str, time: str
) -> None:
    """All of today's interval has to lie on the worse side, which of times is above and of rates below."""
    for unit, verdict in (("tokens/s", rate), ("MB/s", rate), ("ms", time), ("s", time), ("MB", time)):
        assert judge(_ratio(*kept, unit), _ratio(*today, unit)).name == verdict


def test_a_row_that_is_not_on_both_sides_is_said_to_be() -> None:
    """One that was never kept is new; one that is kept and no longer measured is gone, and not passed over."""
    one = _ratio(0.9, 1, 1.1)
    assert judge(None, one) is Verdict.NEW
    assert judge(one, None) is Verdict.GONE
    assert judge(None, None) is Verdict.GONE


def test_what_is_kept_spans_all_runs() -> None:
    """The noise between runs is in the interval, and the median is that of the run in the middle."""
    runs = [_ratio(0.9, 1, 1.1), _ratio(0.7, 0.75, 0.8), _ratio(0.94, 0.95, 1.2)]
    assert spanned(runs) == _ratio(0.7, 0.95, 1.2)


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """A benchmark that has one row, whose ratio is the next of those in a file beside it."""
    path = tmp_path / "benchmark.py"
    path.write_text(
        "import json, pathlib, sys\n"
        "left = pathlib.Path(__file__).with_suffix('.txt')\n"
        "ratio, *rest = left.read_text().split()\n"
        "left.write_text(' '.join(rest))\n"
        "interval = {'low': float(ratio), 'median': float(ratio), 'high': float(ratio)}\n"
        "with open(sys.argv[sys.argv.index('--json') + 1], 'a') as file:\n"
        "    file.write(json.dumps({'row': 'rate', 'unit': 'tokens/s', 'ratio': interval}))\n"
    )
    return path


@pytest.mark.parametrize(
    ("ratios", "sound", "runs"),
    [
        pytest.param("1.0 0.1", True, 1, id="as-before"),
        pytest.param("0.5 1.0", True, 2, id="fell-once"),
        pytest.param("0.5 0.6", False, 2, id="fell-twice"),
        pytest.param("2.0 0.1", True, 1, id="better"),
    ],
)
def test_a_row_falls_where_it_falls_twice(script: Path, ratios: str, sound: bool, runs: int) -> None:
    """What seems to have fallen is measured again; what has not is measured once."""
    left = script.with_suffix(".txt")
    left.write_text(ratios)
    assert compared({"rate": _ratio(0.9, 1, 1.1)}, str(script), ("rate",)) is sound
    assert len(left.read_text().split()) == 2 - runs


def test_rows_that_are_unknown_or_gone(script: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A row without a baseline is said and does no harm; one that the benchmark has no longer is a failure."""
    script.with_suffix(".txt").write_text("1.0 1.0")
    assert compared({}, str(script), ("rate",))
    assert capsys.readouterr().out == (
        f"not in the baseline: --update adds it  {script}: rate: ratio 1 [1, 1], kept none\n"
    )
    assert not compared({"old": _ratio(0.9, 1, 1.1)}, str(script), ("old",))
    assert capsys.readouterr().out == (
        f"GONE: the benchmark has no such row any more  {script}: old: ratio none, kept 1 [0.9, 1.1]\n"
    )


def test_a_benchmark_that_fails_is_no_row(tmp_path: Path) -> None:
    """Its output is shown, and nothing is compared."""
    path = tmp_path / "benchmark.py"
    path.write_text("raise SystemExit('what went wrong')")
    with pytest.raises(SystemExit, match=rf"^error: {path} ended with 1:\nwhat went wrong"):
        compared({}, str(path), ("rate",))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param(None, "there is no", id="missing"),
        pytest.param("{", "is no baseline: Input data was truncated", id="cut"),
        pytest.param(
            '{"machine": {}, "versions": {}}', "is no baseline: Object missing required field `rows`", id="no-rows"
        ),
        pytest.param('{"machine": {}, "versions": {}, "rows": {}, "x": 1}', "unknown field `x`", id="unknown-field"),
        pytest.param(
            '{"machine": {}, "versions": {}, "rows": '
            '{"a": {"b": {"unit": "ms", "ratio": {"low": 2, "median": 1, "high": 3}}}}}',
            "an interval is 0 < low <= median <= high, got 2.0, 1.0, 3.0",
            id="interval",
        ),
    ],
)
def test_a_file_of_another_form_is_refused(tmp_path: Path, text: str | None, message: str) -> None:
    """What cannot be a baseline is not compared with."""
    file = tmp_path / "baseline.json"
    if text is not None:
        file.write_text(text)
    with pytest.raises(SystemExit, match=f"^error: .*{message}.*; --update makes it"):
        read_baseline(file)


def test_the_kept_baseline_has_the_rows_that_are_watched() -> None:
    """Every watched row is kept, and no other."""
    baseline = read_baseline(BASELINE)
    assert {command: set(rows) for command, rows in baseline.rows.items()} == {
        command: set(rows) for command, rows in WATCHED.items()
    }


def test_help_says_the_rule() -> None:
    """Who reads a verdict can read what it means."""
    command = [sys.executable, str(ROOT / "benchmarks" / "regression.py"), "--help"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "falls twice" in shown
