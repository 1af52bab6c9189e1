"""
What does a raw compute through a guest cost, against the library called directly?

A guest makes a tensor, computes, and reads the answer; OpenVINO does the same in this process, with the same model (one
tensor, given back as it came) and the same bytes. From C and Python, with `--javascript` from JavaScript too, by
`list<u8>`, which does not carry 16 MB, and by `wit-llm:nn/bulk`. Bars: `bulk` from C moves at least 100 MB/s each way,
and 1 KB from C takes at most 0.5 ms more than in the library.
"""

# ruff: noqa: D400 -- the first line is a question

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import openvino as ov
from measure import BENCH, CACHE, ROOT, Bar, Of, Report, Row, in_turns, parser

import wit_llm
from wit_llm import Host
from wit_llm.embedded.c.build import WIT, node

MODEL = Path(wit_llm.__file__).parent / "embedded" / "conformance" / "models" / "openvino" / "echo"
GUESTS = Path(__file__).parent / "guests"
# Each with the rounds of one run, so that a run takes about as long.
SIZES = {"1 KB": (1_000, 50), "600 KB": (600_000, 3), "2 MB": (2_000_000, 2), "16 MB": (16_000_000, 1)}
WAYS = ("list", "bulk")
CARRIED = 2_796_202

PYTHON = """
name, way, size, rounds = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
sent = bytes((at * 31 + at // 251) & 255 for at in range(1024)) * (size // 1024 + 1)
sent = sent[:size]
U8, PIECE = tensor.TensorType.U8, 1 << 16

def into_host():
    if way == "list":
        return tensor.Tensor([size], U8, sent)
    words = memoryview(sent).cast("Q")
    with bulk.Builder([size], U8) as builder:
        for at in range(0, len(words), PIECE):
            builder.append(words[at : at + PIECE].tolist())
        return builder.finish()

def out_of_host(answer):
    if way == "list":
        return answer.data()
    words = array.array("Q")
    for at in range(0, size // 8, PIECE):
        words.extend(bulk.read(answer, at, PIECE))
    return words.tobytes()

took = []
with graph.load_by_name(name) as loaded, loaded.init_execution_context() as context:
    for _ in range(rounds):
        began = time.perf_counter_ns()
        made = into_host()
        at_host = time.perf_counter_ns()
        [(_, answer)] = context.compute([("x", made)])
        computed = time.perf_counter_ns()
        with answer:
            back = out_of_host(answer)
        done = time.perf_counter_ns()
        if back != sent:
            raise RuntimeError("what came back is not what went in")
        took.append([at_host - began, computed - at_host, done - computed])
say(json.dumps(took))
"""


class Took(NamedTuple):
    """Medians of one run, in milliseconds a round."""

    into: float
    compute: float
    out: float

    @property
    def whole(self) -> float:
        """A round."""
        return sum(self)


@dataclass(frozen=True, slots=True)
class Guest:
    """A component that takes GRAPH, the way, a size and a number of rounds, and what goes before these."""

    language: str
    component: Path
    source: tuple[str, ...] = ()

    def run(self, host: Host, way: str, size: int, rounds: int) -> Took:
        """One run."""
        outcome = host.run(self.component, [*self.source, "echo", way, str(size), str(rounds)])
        if outcome.exit_code:
            raise RuntimeError(outcome.stderr.decode())
        steps = zip(*json.loads(outcome.stdout), strict=True)
        return Took(*(statistics.median(step) / 1e6 for step in steps))


class Library:
    """The model in OpenVINO, in this process."""

    def __init__(self) -> None:
        self._request = ov.Core().compile_model(MODEL / "model.xml", "CPU").create_infer_request()

    def run(self, size: int, rounds: int) -> float:
        """Median of some rounds, in milliseconds."""
        sent = np.arange(size, dtype=np.uint8).tobytes()
        return statistics.median(_timed(lambda: self._compute(sent), sent) for _ in range(rounds))

    def _compute(self, sent: bytes) -> bytes:
        self._request.set_input_tensor(ov.Tensor(np.frombuffer(sent, np.uint8)))
        self._request.infer()
        answer: bytes = self._request.get_output_tensor().data.tobytes()
        return answer


def _timed(call: Callable[[], bytes | bytearray], wanted: bytes) -> float:
    """How long it takes, in milliseconds, to give what is wanted."""
    began = time.perf_counter_ns()
    given = call()
    took = time.perf_counter_ns() - began
    assert given == wanted
    return took / 1e6


def _python() -> Guest:
    """The test-suite's Python guest, which runs the source that it is handed."""
    build = ROOT / "tests" / "guest" / "driver" / "build.py"
    command = [sys.executable, str(build), str(CACHE / "driver")]
    built = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return Guest("Python", Path(built.stdout.strip()), (PYTHON,))


def _javascript() -> Guest:
    """A guest with SpiderMonkey inside, by the packages from npm that make the chat guest."""
    out = BENCH / "tensors-js.wasm"
    step, source = GUESTS / "javascript.mjs", GUESTS / "tensors.js"
    if not out.exists() or out.stat().st_mtime < max(path.stat().st_mtime for path in (step, source)):
        BENCH.mkdir(parents=True, exist_ok=True)
        node(step, str(source), str(WIT), "guest-program", str(out))
    return Guest("JavaScript", out)


class Sides(NamedTuple):
    """Who does the same work."""

    host: Host
    direct: Library


def _measure(report: Report, sides: Sides, guest: Guest, way: str, name: str) -> None:
    """One size, one way, from one language."""
    size, rounds = SIZES[name]
    pairs = list(
        in_turns(
            lambda _: guest.run(sides.host, way, size, rounds),
            lambda _: sides.direct.run(size, rounds),
            report.pairs,
        )
    )
    from_c = guest.language == "C"
    bar = Bar(Of.DIFFERENCE, at_most=0.5) if from_c and (way, name) == ("list", "1 KB") else None
    whole = [(ours.whole, other) for ours, other in pairs]
    report.add(Row(f"{guest.language}, {way}, {name}", "ms", "library", whole, bar))
    if from_c and way == "bulk" and size >= SIZES["2 MB"][0]:
        data = np.arange(size, dtype=np.uint8).tobytes()
        copied = [size / 1e3 / _timed(lambda: bytearray(data), data) for _ in pairs]
        for direction, taken in (("into", [o.into for o, _ in pairs]), ("out of", [o.out for o, _ in pairs])):
            speeds = [(size / 1e3 / ms, copy) for ms, copy in zip(taken, copied, strict=True)]
            row = f"C, bulk, {name} {direction} the host"
            report.add(Row(row, "MB/s", "a copy", speeds, Bar(Of.OURS, at_least=100)))


def main() -> int:
    """Measure each language, way and size."""
    options = parser(__doc__)
    options.add_argument("--javascript", action="store_true", help="measure JavaScript too; needs Node with npm")
    options.add_argument("--language", choices=["C", "Python"], help="this one alone")
    arguments = options.parse_args()
    report = Report(__doc__, arguments, {name: f"{size} bytes" for name, (size, _) in SIZES.items()})
    guests = [Guest("C", GUESTS / "tensors.wasm")] if arguments.language != "Python" else []
    guests += [_python()] if arguments.language != "C" else []
    guests += [_javascript()] if arguments.javascript else []
    with Host([f"echo={MODEL}"], cache_dir=CACHE / "wit-llm") as host:
        sides = Sides(host, Library())
        for guest in guests:
            for way in WAYS:
                for name, (size, _) in SIZES.items():
                    if way == "bulk" or size <= CARRIED:
                        _measure(report, sides, guest, way, name)
    return report.status()


if __name__ == "__main__":
    sys.exit(main())
