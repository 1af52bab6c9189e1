"""
Has a benchmark's ratio fallen by more than its noise since the baseline was taken?

Quick versions of the main benchmarks are run, and the ratio of ours to the other, with its 95 % interval, is compared
with that in `baseline.json`, row by row. A row has fallen where all of today's interval lies on the worse side of all
of the kept one, by 2 % or more. The kept one spans several runs, as one run is steadier in itself than the next one is
like it. Two medians that are the same leave each other's intervals by chance in one of some 200 comparisons. What seems
to have fallen is measured again, and has fallen where it falls twice: one false alarm in some thousand runs of this
script. The exit status is 1 where a row has fallen, or is gone.
"""

# ruff: noqa: D400 -- the first line is a question

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping
from enum import Enum
from pathlib import Path
from typing import Any

import msgspec

from wit_llm.bench.machine import machine, versions

HERE = Path(__file__).parent
BASELINE = HERE / "baseline.json"
# Of a baseline: fewer do not show how runs differ.
RUNS = 3
# A share that is nothing, however steady a row is; memory hardly moves between the runs of one day.
LEAST = 0.02
# Rates, of which more is better; all other units are of times and memory.
_RATES = frozenset({"tokens/s", "MB/s"})

# Arguments of each script, and its rows that are watched.
WATCHED: Mapping[str, tuple[str, ...]] = {
    "prompt.py --quick --pairs 12": ("first token's id", "decode rate"),
    "at_once.py --quick --pairs 8": ("8 at once",),
    "batching.py --quick --pairs 4": ("2 of different lengths", "one alone"),
    "tensors.py --quick --pairs 6 --language C": ("C, list, 1 KB", "C, bulk, 16 MB"),
    "wall.py --quick --pairs 3": ("600 KB into the host", "600 KB out of the host"),
    "second_turn.py --quick --pairs 8 --backend openvino": ("first token of a second turn, openvino",),
    "structured.py --quick --pairs 4 --backend openvino": ("decode rate under a schema, openvino",),
    "startup.py --quick --pairs 3": ("wit-llm --help", "wit-llm chat, first character", "wit-llm chat, memory"),
}


class Interval(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a median ratio lies."""

    low: float
    median: float
    high: float

    def __post_init__(self) -> None:
        """
        Look at the order.

        Raises:
            ValueError: It is another one.
        """
        if not 0 < self.low <= self.median <= self.high:
            raise ValueError(f"an interval is 0 < low <= median <= high, got {self.low}, {self.median}, {self.high}")

    def __str__(self) -> str:
        """As people read it."""
        return f"{self.median:.3g} [{self.low:.3g}, {self.high:.3g}]"


class Ratio(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A row: the ratio of ours to the other, and the unit of both, which says what is better."""

    unit: str
    ratio: Interval


class Baseline(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is kept: rows by command and name, and what they were taken on and with."""

    machine: dict[str, str | int | float]
    versions: dict[str, str]
    rows: dict[str, dict[str, Ratio]]


class Verdict(Enum):
    """What became of a row."""

    SAME = "as before"
    BETTER = "better than before: --update keeps it"
    FELL = "FELL"
    NEW = "not in the baseline: --update adds it"
    GONE = "GONE: the benchmark has no such row any more"


def judge(kept: Ratio | None, today: Ratio | None) -> Verdict:
    """What became of a row, by what is kept of it and what it is today."""
    if today is None:
        return Verdict.GONE
    if kept is None:
        return Verdict.NEW
    below = today.ratio.high < kept.ratio.low * (1 - LEAST)
    above = today.ratio.low > kept.ratio.high * (1 + LEAST)
    if not (below or above):
        return Verdict.SAME
    return Verdict.BETTER if above == (today.unit in _RATES) else Verdict.FELL


def read_baseline(path: Path) -> Baseline:
    """
    The file.

    Raises:
        SystemExit: It is not there, or of another form.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=Baseline)
    except FileNotFoundError:
        raise SystemExit(f"error: there is no {path}; --update makes it") from None
    except msgspec.DecodeError as error:
        raise SystemExit(f"error: {path} is no baseline: {error}; --update makes it anew") from None


def run(command: str, rows: Iterable[str]) -> dict[str, Ratio]:
    """The watched rows of one command, those that it has."""
    script, *arguments = command.split()
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "rows.jsonl"
        done = subprocess.run(
            [sys.executable, str(HERE / script), *arguments, "--json", str(file)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if done.returncode:
            raise SystemExit(f"error: {command} ended with {done.returncode}:\n{done.stdout}")
        records: list[dict[str, Any]] = [json.loads(line) for line in file.read_text().splitlines()]
    found = {record["row"]: Ratio(record["unit"], Interval(**record["ratio"])) for record in records}
    return {name: found[name] for name in rows if name in found}


def spanned(several: Iterable[Ratio]) -> Ratio:
    """What one row is in several runs: the median of medians, and an interval that spans all of theirs."""
    ratios = sorted((one for one in several), key=lambda one: one.ratio.median)
    low, high = min(one.ratio.low for one in ratios), max(one.ratio.high for one in ratios)
    return Ratio(ratios[0].unit, Interval(low, ratios[len(ratios) // 2].ratio.median, high))


def updated(watched: Mapping[str, tuple[str, ...]]) -> Baseline:
    """A new baseline."""
    rows: dict[str, dict[str, Ratio]] = {}
    for command, names in watched.items():
        runs = [run(command, names) for _ in range(RUNS)]
        rows[command] = {name: spanned(one[name] for one in runs) for name in names}
        for name, ratio in rows[command].items():
            print(f"{command}: {name}: {ratio.ratio}", flush=True)
    return Baseline(_plain(machine()), {name: str(value) for name, value in versions().items()}, rows)


def _plain(facts: Mapping[str, object]) -> dict[str, str | int | float]:
    return {name: value for name, value in facts.items() if isinstance(value, str | int | float) and name != "load"}


def compared(kept: Mapping[str, Ratio], command: str, names: Iterable[str]) -> bool:
    """Run a command, and say of each of its rows what became of it; whether none has fallen or is gone."""
    today = run(command, names)
    verdicts = {name: judge(kept.get(name), today.get(name)) for name in names}
    if Verdict.FELL in verdicts.values():
        again = run(command, names)
        for name in (name for name, verdict in verdicts.items() if verdict is Verdict.FELL):
            verdicts[name], today[name] = judge(kept[name], again.get(name)), again[name]
    for name, verdict in verdicts.items():
        before, now = (str(one.ratio) if one else "none" for one in (kept.get(name), today.get(name)))
        print(f"{verdict.value}  {command.partition(' ')[0]}: {name}: ratio {now}, kept {before}", flush=True)
    return not {Verdict.FELL, Verdict.GONE} & set(verdicts.values())


def main() -> int:
    """Compare, or keep."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--update", action="store_true", help=f"keep the ratios of {RUNS} runs as the baseline")
    options.add_argument("--baseline", type=Path, metavar="FILE", default=BASELINE, help="default baseline.json")
    arguments = options.parse_args()
    began = time.monotonic()
    if arguments.update:
        made = msgspec.json.format(msgspec.json.encode(updated(WATCHED)), indent=2)
        arguments.baseline.write_bytes(made + b"\n")
        return 0
    baseline = read_baseline(arguments.baseline)
    here = _plain(machine())
    if here != baseline.machine:
        print(f"note: the baseline is of another machine, and ratios move with it: {baseline.machine}, here {here}")
    sound = [compared(baseline.rows.get(command, {}), command, names) for command, names in WATCHED.items()]
    print(f"{time.monotonic() - began:.0f} s")
    return int(not all(sound))


if __name__ == "__main__":
    sys.exit(main())
