"""
How do time and memory grow with context, guests, replies, tensors, sessions and history?

Each cost is taken at sizes that double, and an exponent is fitted to the upper half of them: 1 is linear, 0 is flat.
Points and plots go into a folder, and a page beside it shows all that are there, so that curves can be measured one by
one. Everything goes through a guest. The exit status is 1 where a cost grows faster than it may.
"""

# ruff: noqa: D400 -- the first line is a question

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import costs
from costs import Cost, Plan, Sample
from curve import Curve, Series, page
from folders import add_ir_option

from wit_llm.bench.machine import machine, versions

OUT = Path(__file__).parent / "growth"
INTRODUCTION = """# How cost grows

Written by `python benchmarks/growth.py`, which says how; `python benchmarks/growth.py NAME` measures one curve anew.
Points are medians of some rounds, bars reach from the tenth to the ninetieth percentile, both axes are logarithmic. An
exponent is the slope over the upper half of the points: the cost goes with the size to that power. It may be 1 where a
cost is counted whole, and 0 where it is that of one token, one session or one guest; more than 0.15 above that is
**marked**. The model is a Llama of SmolLM2-135M's shape with random weights, in FP16 on OpenVINO; *echo* has none, so
that what is measured is ours."""


class Growth(NamedTuple):
    """
    A curve that can be measured.

    Args:
        title: What grows.
        axis: What the size counts.
        sizes: Where it is measured.
        quick: The same for a run that only shows that it works.
        rounds: Of all sizes.
        samples: Measures.
        why: What explains the exponents.
    """

    title: str
    axis: str
    sizes: Sequence[int]
    quick: Sequence[int]
    rounds: int
    samples: Callable[[Plan], Iterator[Sample]]
    why: str


def _doubling(first: int, last: int, times: int = 2) -> list[int]:
    sizes = [first]
    while sizes[-1] * times <= last:
        sizes.append(sizes[-1] * times)
    return sizes


GROWTHS = {
    "context": Growth(
        "Context", "prompt tokens, about", _doubling(128, 8192), (64, 128, 256), 2, costs.context,
        "Each token looks back at all before it. Of this shape a token's own weights are 0.21 GFLOP, and its look back "
        "is 0.07 GFLOP for a thousand tokens, so that a new prompt has an exponent of 1.3 between 1,000 and "
        "8,000 tokens, whoever computes it. No token of it is computed twice, and what comes before and behind the "
        "engine is linear. The KV cache takes memory as it fills.",
    ),
    "guests": Growth(
        "Guests at once", "guests", _doubling(1, 64), (1, 2, 4), 2, costs.guests_at_once,
        "A step serves all guests, so that a token of any costs less the more there are, until the processor is full. "
        "Who reads a token and who sleeps is found without a look at the others.",
    ),
    "idle": Growth(
        "Idle guests", "guests", _doubling(1, 512), (1, 16, 32, 64), 2, costs.guests_held,
        "A guest that waits is a thread and a store: it costs memory, and no time of its own or of its neighbours.",
    ),
    "reply": Growth(
        "Reply length", "tokens", _doubling(128, 16384), (64, 128, 256), 3, costs.reply,
        "Each token is decoded, read and written once, wherever in the reply it stands; what grows with the model's is "
        "attention, which looks back.",
    ),
    "tensors": Growth(
        "Tensor size", "bytes", _doubling(1024, 64 << 20, 4), (1024, 4096, 16384), 5, costs.tensors,
        "Small tensors cost their calls, large ones their bytes, which are copied a fixed number of times. A list of "
        "bytes takes dozens of bytes for each in wasmtime's C interface: for a list of a megabyte the allocator takes "
        "them from the kernel and gives them back at each call, so that a byte of it costs twice that of a short one; "
        "with an allocator that keeps them it does not. Large tensors go by `bulk`.",
    ),
    "sessions": Growth(
        "Sessions held", "sessions", (1, 3, 10, 30, 100, 300, 1_000, 3_000, 10_000), (1, 10, 30, 100), 3,
        costs.sessions,
        "Sessions are counted as they come and go, and a session that says nothing is a few small objects. A mark is a "
        "number, and a fork has the same history: it is a value, and not copied.",
    ),
    "history": Growth(
        "History", "turns", _doubling(1, 1024), (1, 2, 4), 3, costs.history,
        "Every turn renders the whole conversation with the model's template and tokenises it anew, as a prompt has to "
        "be what the template makes of it: linear in the turns before, so that the turns of a conversation cost its "
        "square, all together. `append` says how full the window is and costs the same, so that many messages are best "
        "appended in one call. The engine computes only what is new.",
    ),
}  # fmt: skip


def measured(name: str, plan: Plan) -> Curve:
    """One curve."""
    growth = GROWTHS[name]
    values: defaultdict[Cost, defaultdict[float, list[float]]] = defaultdict(lambda: defaultdict(list))
    for cost, size, value in growth.samples(plan):
        values[cost][size].append(value)
    series = [Series(cost.name, cost.unit, _in_order(found), cost.most) for cost, found in values.items()]
    return Curve(name, growth.title, growth.axis, series, machine() | versions())


def _in_order(found: dict[float, list[float]]) -> list[tuple[float, list[float]]]:
    return sorted(found.items())


def main() -> int:
    """Measure the curves that were named, and write the page of all that there are."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(GROWTHS)}; default all")
    options.add_argument("--quick", action="store_true", help="a round of small sizes, for a look whether it works")
    options.add_argument("--out", type=Path, metavar="FOLDER", default=OUT, help="default benchmarks/growth")
    add_ir_option(options)
    arguments = options.parse_args()
    unknown = set(arguments.names) - set(GROWTHS)
    if unknown:
        options.error(f"no curve {min(unknown)!r}; there are {', '.join(GROWTHS)}")
    why = {name: growth.why for name, growth in GROWTHS.items()}
    worse = False
    for name in arguments.names or GROWTHS:
        growth = GROWTHS[name]
        sizes, rounds = (growth.quick, 1) if arguments.quick else (growth.sizes, growth.rounds)
        curve = measured(name, Plan(sizes, rounds, arguments.model))
        print(f"{curve.title}, over {curve.axis}")
        for series in curve.series:
            print(f"  {series.line()}", flush=True)
            worse |= series.worse
        curve.save(arguments.out)
        arguments.out.with_name(f"{arguments.out.name.upper()}.md").write_text(
            page(arguments.out, INTRODUCTION, why), encoding="utf-8"
        )
    return int(worse and not arguments.quick)


if __name__ == "__main__":
    sys.exit(main())
