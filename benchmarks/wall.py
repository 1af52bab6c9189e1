"""
What does `list<u8>` cost across the wall, against wasmtime-py as shipped?

One Python guest makes tensors and reads them back, on our host and on a linker of wasmtime's with wasmtime's own
conversions. The guest looks at its clock around each call. Bars: 600 KB and 2 MB pass at least 8 times as fast, both
ways.
"""

# ruff: noqa: D400 -- the first line is a question

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from measure import CACHE, ROOT, Bar, Of, Report, Row, in_turns, parser
from stock import HostFunction, Stock

from wit_llm import Host

BAR = Bar(Of.RATIO, at_least=8)
SMALL_CALLS = 200

GUEST = """
size, rounds, calls = map(int, sys.argv[1:])
data = (bytes(range(251)) * (size // 251 + 1))[:size]

def timed(call, *arguments):
    began = time.perf_counter_ns()
    result = call(*arguments)
    return time.perf_counter_ns() - began, result

into, out, small = [], [], []
for _ in range(rounds):
    into_ns, made = timed(tensor.Tensor, [size], tensor.TensorType.U8, data)
    with made:
        out_ns, read = timed(made.data)
        if read != data or made.dimensions() != [size] or made.ty() != tensor.TensorType.U8:
            raise RuntimeError("what came back is not what went in")
        into.append(into_ns)
        out.append(out_ns)
        began = time.perf_counter_ns()
        for _ in range(calls):
            made.dimensions()
        small.append((time.perf_counter_ns() - began) / max(calls, 1))
say(json.dumps([sorted(times)[rounds // 2] for times in (into, out, small)]))
"""


@dataclass(frozen=True, slots=True)
class Work:
    """One run of the guest: ``rounds`` tensors of ``size`` bytes made and read back, ``calls`` small calls on each."""

    name: str
    size: int
    rounds: int
    calls: int = 0
    bar: Bar | None = None

    @property
    def arguments(self) -> list[str]:
        """The guest's."""
        return [GUEST, str(self.size), str(self.rounds), str(self.calls)]

    def mb_per_s(self, took_ns: float) -> float:
        """How fast its bytes went."""
        return self.size / took_ns * 1e3


WORKS = (
    Work("1 KB", 1_000, rounds=25, calls=SMALL_CALLS),
    Work("600 KB", 600_000, rounds=1, bar=BAR),
    Work("2 MB", 2_000_000, rounds=1, bar=BAR),
)


@dataclass(frozen=True, slots=True)
class Took:
    """Medians of one run of the guest, in nanoseconds a call."""

    into: float
    out: float
    small: float

    @classmethod
    def read(cls, printed: bytes) -> Took:
        """What the guest printed."""
        return cls(*json.loads(printed))


class Tensors:
    """
    The guest with `wasi:nn/tensor` as wasmtime-py ships its conversions.

    Args:
        component: Its file.
    """

    def __init__(self, component: Path) -> None:
        self._stock = Stock(component)
        functions: dict[str, HostFunction] = {
            "[constructor]tensor": self._new,
            "[method]tensor.dimensions": lambda store, tensor: self._stock.look(store, tensor)[0],
            "[method]tensor.ty": lambda store, tensor: self._stock.look(store, tensor)[1],
            "[method]tensor.data": lambda store, tensor: self._stock.look(store, tensor)[2],
        }
        self._stock.offer({"wasi:nn/tensor": functions})

    def _new(self, _store: object, dimensions: list[int], ty: str, data: bytes) -> object:
        return self._stock.give("tensor", (dimensions, ty, data))

    def run(self, arguments: Sequence[str]) -> bytes:
        """What a run of the guest prints."""
        return self._stock.run(arguments)


def python_guest() -> Path:
    """The test-suite's Python guest, which runs the source that it is handed."""
    build = ROOT / "tests" / "guest" / "driver" / "build.py"
    built = subprocess.run(
        [sys.executable, str(build), str(CACHE / "driver")], check=True, stdout=subprocess.PIPE, text=True
    )
    return Path(built.stdout.strip())


def _ours(host: Host, component: Path, work: Work) -> Took:
    outcome = host.run(component, work.arguments)
    if outcome.exit_code:
        raise RuntimeError(outcome.stderr.decode())
    return Took.read(outcome.stdout)


def _measure(report: Report, work: Work, host: Host, component: Path, stock: Tensors) -> None:
    """One size, both ways."""
    rounds = list(
        in_turns(
            lambda _: _ours(host, component, work),
            lambda _: Took.read(stock.run(work.arguments)),
            report.pairs,
        )
    )
    into = [(work.mb_per_s(ours.into), work.mb_per_s(other.into)) for ours, other in rounds]
    out = [(work.mb_per_s(ours.out), work.mb_per_s(other.out)) for ours, other in rounds]
    report.add(Row(f"{work.name} into the host", "MB/s", "as shipped", into, work.bar))
    report.add(Row(f"{work.name} out of the host", "MB/s", "as shipped", out, work.bar))
    if work.calls:
        small = [(ours.small / 1e3, other.small / 1e3) for ours, other in rounds]
        report.add(Row("a small call, tensor.dimensions", "µs", "as shipped", small))


def main() -> int:
    """Measure each size."""
    report = Report(__doc__, parser(__doc__).parse_args(), {work.name: f"{work.size} bytes" for work in WORKS})
    component = python_guest()
    stock = Tensors(component)
    with Host(cache_dir=CACHE / "wit-llm") as host:
        for work in WORKS:
            _measure(report, work, host, component, stock)
    return report.status()


if __name__ == "__main__":
    sys.exit(main())
