"""The benchmarks run as their help says, each to a ratio; what the figures are is nothing for a test."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.architecture import ROOT

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

BENCHMARKS = ROOT / "benchmarks"
TINY = ROOT / "src" / "wit_llm" / "embedded" / "tiny"
# What keeps a run small, and how many rows it has.
SMALLEST = {
    "at_once": (("--model", str(TINY)), 1),
    "batching": (("--model", str(TINY)), 3),
    "convert": (("--model", str(TINY), "--other", str(TINY)), 3),
    "neighbour": ((), 3),
    "per_token": ((), 4),
    "prompt": (("--model", str(TINY)), 3),
    "second_turn": (("--model", str(TINY)), 2),
    "settings": ((f"tiny={TINY}", f"u8={TINY},settings.kv_cache_precision=u8"), 6),
    "startup": ((), 6),
    "structured": (("--model", str(TINY)), 6),
    "tensors": ((), 18),
    "wall": ((), 7),
}
# They compare more than two sides, or none; what they do has tests of its own.
APART = {"growth", "peers", "regression"}


def _run(name: str, *arguments: str, environment: Mapping[str, str]) -> str:
    command = [sys.executable, str(BENCHMARKS / f"{name}.py"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=150, env=dict(environment), check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_benchmark_is_tested_here() -> None:
    """A file that can be run is one of those below; the others are what they share."""
    scripts = {path.stem for path in BENCHMARKS.glob("*.py") if '__name__ == "__main__"' in path.read_text()}
    assert scripts == {*SMALLEST, *APART}


@pytest.mark.parametrize("name", [*SMALLEST, *sorted(APART)])
def test_help_asks_the_question(name: str, environment: Mapping[str, str]) -> None:
    """What a benchmark is for is the first thing that its help says, and a question."""
    question = _run(name, "--help", environment=environment).split("\n\n")[1]
    assert question.endswith("?")
    assert (BENCHMARKS / f"{name}.py").read_text().startswith(f'"""\n{question}\n')


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALLEST)
def test_smallest_run_prints_its_ratios(name: str, tmp_path: Path, environment: Mapping[str, str]) -> None:
    """A run of one pair has a ratio in each row, a verdict for each bar, and both in its file."""
    arguments, rows = SMALLEST[name]
    file = tmp_path / "rows.jsonl"
    shown = _run(name, "--quick", "--pairs", "1", "--json", str(file), *arguments, environment=environment)
    records = [json.loads(line) for line in file.read_text().splitlines()]
    ratios = [float(ratio) for ratio in re.findall(r"  ratio (-?\d\S*) \[", shown.replace(",", ""))]
    assert ratios == pytest.approx([record["ratio"]["median"] for record in records], rel=0.01)
    assert len(ratios) == rows
    verdicts = re.findall(r"^(PASS|FAIL)  ", shown, re.MULTILINE)
    assert verdicts == ["PASS" if record["passed"] else "FAIL" for record in records if "bar" in record]
    assert verdicts
