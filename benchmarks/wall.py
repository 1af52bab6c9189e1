"""
What does `list<u8>` cost across the wall, against wasmtime-py as shipped?

One Python guest makes tensors and reads them back, on our host and on a linker of wasmtime's with wasmtime's own
conversions. The guest looks at its clock around each call. Bars: 600 KB and 2 MB pass at least 8 times as fast, both
ways.
"""

# ruff: noqa: D400 -- the first line is a question

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import wasmtime
from measure import BENCH, CACHE, ROOT, Bar, Of, Report, Row, in_turns, parser
from wasmtime import component as wit

from wit_llm import Host

BAR = Bar(Of.RATIO, at_least=8)
SMALL_CALLS = 200
WASI = ("wasi:cli/", "wasi:clocks/", "wasi:filesystem/", "wasi:io/", "wasi:random/", "wasi:sockets/")

Store = wasmtime.Store | wasmtime.StoreContext | wasmtime.Caller
HostFunction = Callable[..., Any]

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


class Stock:
    """
    The guest on wasmtime-py as its documentation has it: functions of `wasi:nn/tensor`, and every other import traps.

    Args:
        component: Its file.
    """

    def __init__(self, component: Path) -> None:
        self._engine = wasmtime.Engine()
        self._component = _compiled(self._engine, component)
        self._resources: dict[str, int] = {}
        self._reps = itertools.count(1)
        self._tensors: dict[int, tuple[list[int], str, bytes]] = {}
        self._linker = wit.Linker(self._engine)
        self._linker.add_wasip2()
        offered: dict[str, HostFunction] = {
            "[constructor]tensor": self._new,
            "[method]tensor.dimensions": lambda store, tensor: self._get(store, tensor)[0],
            "[method]tensor.ty": lambda store, tensor: self._get(store, tensor)[1],
            "[method]tensor.data": lambda store, tensor: self._get(store, tensor)[2],
        }
        # By hand: define_unknown_imports_as_traps of wasmtime 50.0.1 takes WASI 0.2.9, which the guest wants, for
        # unknown, although the linker's own is taken for it where nothing else is there.
        with self._linker.root() as root:
            for name, interface in self._component.type.imports(self._engine).items():
                if isinstance(interface.ty, wit.ComponentInstanceType) and not name.startswith(WASI):
                    self._define(root, name, interface.ty, offered if name.startswith("wasi:nn/tensor@") else {})

    def _define(
        self, root: wit.LinkerInstance, name: str, ty: wit.ComponentInstanceType, offered: dict[str, HostFunction]
    ) -> None:
        """One interface, of which what is not offered traps."""
        with root.add_instance(name) as instance:
            for item, extern in ty.exports(self._engine).items():
                if isinstance(extern.ty, wit.ResourceType):
                    number = self._resources.setdefault(item, len(self._resources) + 1)
                    instance.add_resource(item, wit.ResourceType.host(number), lambda _store, rep: self._drop(rep))
                elif isinstance(extern.ty, wit.FuncType):
                    instance.add_func(item, offered.get(item, _trap))

    def _drop(self, rep: int) -> None:
        del self._tensors[rep]

    def _new(self, _store: Store, dimensions: list[int], ty: str, data: bytes) -> wit.ResourceHost:
        rep = next(self._reps)
        self._tensors[rep] = (dimensions, ty, data)
        return wit.ResourceHost.own(rep, self._resources["tensor"])

    def _get(self, store: Store, tensor: wit.ResourceAny) -> tuple[list[int], str, bytes]:
        return self._tensors[tensor.to_host(store).rep]

    def run(self, arguments: Sequence[str]) -> bytes:
        """What a run of the guest prints."""
        printed = bytearray()

        def write(data: bytes) -> int:
            printed.extend(data)
            return len(data)

        wasi = wasmtime.WasiConfig()
        wasi.argv = ["driver", *arguments]
        wasi.stdout_custom = write
        wasi.inherit_stderr()
        store = wasmtime.Store(self._engine)
        store.set_wasi(wasi)
        instance = self._linker.instantiate(store, self._component)
        interface = instance.get_export_index(store, "wasi:cli/run@0.2.0")
        index = instance.get_export_index(store, "run", interface)
        function = None if index is None else instance.get_func(store, index)
        if function is None:
            raise RuntimeError("the guest exports no `run`")
        function(store)
        store.close()
        return bytes(printed)


def _trap(*_arguments: object) -> None:
    raise RuntimeError("the guest has no use for this")


def _compiled(engine: wasmtime.Engine, component: Path) -> wit.Component:
    """Compiled once: a Python guest takes ten seconds."""
    kept = BENCH / f"{component.stem}-{version('wasmtime')}.cwasm"
    if not kept.exists():
        BENCH.mkdir(parents=True, exist_ok=True)
        part = kept.with_suffix(".part")
        part.write_bytes(wit.Component(engine, component.read_bytes()).serialize())
        part.replace(kept)
    return wit.Component.deserialize_file(engine, str(kept))


def _guest() -> Path:
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


def _measure(report: Report, work: Work, host: Host, component: Path, stock: Stock) -> None:
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
    component = _guest()
    stock = Stock(component)
    with Host(cache_dir=CACHE / "wit-llm") as host:
        for work in WORKS:
            _measure(report, work, host, component, stock)
    return report.status()


if __name__ == "__main__":
    sys.exit(main())
