"""
How fast are we beside the engines that people would use instead?

Those are openvino-genai driven directly, by both of its pipelines, transformers, llama.cpp and onnxruntime-genai. All
have the same random weights at the shape of a known model, converted for each from the same safetensors, and the same
token ids and threads; end tokens are ignored. We are asked through the packaged chat guest, by text that its template
and tokenizer make these ids of. Each engine is a process of its own; only one computes at a time, one after the other
in each round, and in every other round in reverse. Requests at once are separate ones where an engine batches by itself
(wit-llm, openvino-genai/batching), sequences of one batch with llama.cpp, and rows of one batch elsewhere.

Before anything is timed, transformers in FP32 looks at every engine's greedy tokens: how far each one's logit is below
the best, in standard deviations of all logits at its place. It may be 0.25 with weights of 16 bits or more, 0.5 with 8
and 3 with 4; the same token has 0, and one by chance is more than 4 below. A guest gives text: first tokens are
looked at like that, and on OpenVINO a whole reply is, to the last character, that of openvino-genai driven directly.

llama.cpp and onnxruntime-genai are installed on demand from PyPI into an environment of this benchmark's own below the
ignored folder .cache/bench/peers; llama.cpp is compiled there, for this machine. An engine that cannot be installed or
started, or whose tokens are wrong, stands in the table with the reason. Bars: against the best engine that is not
OpenVINO, with weights of as many bits, 1.7 times the prefill and 1.7 times the tokens for eight requests at once; and
after a prefix that was there before, at most a fifth of the time to the first token.

Each round is a line of JSON in a file, so that a long run can be done in pieces, named by --shapes, --bits and
--figures. --write puts the tables of all that is in the file into benchmarks/RESULTS.md.
"""

# ruff: noqa: D400 -- the first line is a question

from __future__ import annotations

import argparse
import datetime as dt
import shlex
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

from engines.figures import QUICK_SIZES, Sizes, figures
from engines.results import comparison, markdown, rows
from engines.rounds import Round, append, read
from engines.table import BATCHING, ENGINES, OURS, Engine
from measure import BENCH, QUICK_PAIRS, parser

from wit_llm.bench.machine import machine, versions

RESULTS = Path(__file__).with_name("RESULTS.md")
ROUNDS = BENCH / "peers" / "rounds.jsonl"
QUICK_ROUNDS = BENCH / "peers" / "quick.jsonl"
SHAPES = ("smollm2-135m", "qwen2.5-0.5b")
QUICK_SHAPE = "small"
NAMES = tuple(dict.fromkeys(engine.name for engine in ENGINES))
BITS = ("16", "8", "4")
FIGURES = tuple(figure.key for figure in figures(Sizes()))
THREADS = 2


def main() -> int:
    """Measure what was asked for, or show what was measured."""
    arguments = _arguments()
    quick: bool = arguments.quick
    file: Path = arguments.json or (QUICK_ROUNDS if quick else ROUNDS)
    passed = True
    if not arguments.render:
        for shape in arguments.shapes or ((QUICK_SHAPE,) if quick else SHAPES):
            for bits in arguments.bits:
                passed &= _measure(shape, int(bits), arguments, file)
    if arguments.render or arguments.write:
        shown = markdown(sorted(read(file), key=_place))
        print(shown, end="")
        if arguments.write:
            RESULTS.write_text(shown, encoding="utf-8")
    return int(not passed and not quick)


def _arguments() -> argparse.Namespace:
    options = parser(__doc__)
    options.add_argument("--engines", type=_some(NAMES), default=NAMES, metavar="A,B", help=", ".join(NAMES))
    shapes = (*SHAPES, QUICK_SHAPE)
    options.add_argument("--shapes", type=_some(shapes), metavar="A,B", help=f"{', '.join(shapes)}; default all but it")
    options.add_argument("--bits", type=_some(BITS), default=BITS, metavar="A,B", help="of weights; 16 is 16 and more")
    options.add_argument("--figures", type=_some(FIGURES), default=FIGURES, metavar="A,B", help=", ".join(FIGURES))
    options.add_argument("--threads", type=int, default=THREADS, metavar="N", help=f"of each; default {THREADS}")
    options.add_argument("--render", action="store_true", help="measure nothing; print the tables of what was measured")
    options.add_argument("--write", action="store_true", help="put the tables into benchmarks/RESULTS.md as well")
    return options.parse_args()


def _place(one: Round) -> tuple[int, int, int]:
    """Whatever was measured first, all of a figure stands together, the most bits first."""
    return ((*SHAPES, QUICK_SHAPE).index(one.shape), FIGURES.index(one.figure), -one.bits)


def _some(names: Sequence[str]) -> Callable[[str], list[str]]:
    def read_names(text: str) -> list[str]:
        asked = text.split(",")
        if unknown := [name for name in asked if name not in names]:
            raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: not known; there are {', '.join(names)}")
        return asked

    return read_names


def _measure(shape: str, bits: int, arguments: argparse.Namespace, file: Path) -> bool:
    """All figures of one shape with weights of as many bits; whether all bars were passed."""
    from engines.models import source  # both import torch, which rendering does without
    from engines.running import Running

    wanted = {OURS, BATCHING, *arguments.engines}  # ours is compared with all, and its tokens with the other's
    engines: list[Engine] = [engine for engine in ENGINES if engine.name in wanted and engine.bits == bits]
    setting = {**machine(), **versions(), "threads": arguments.threads}
    del setting["load"]  # it says what was there beside the rounds
    passed = True
    with closing(Running(engines, shape, arguments.threads, source(shape))) as running:
        for figure in figures(QUICK_SIZES if arguments.quick else Sizes()):
            if figure.key not in arguments.figures:
                continue
            group = []
            count = arguments.pairs or (QUICK_PAIRS if arguments.quick else figure.rounds)
            for cells in running.rounds(figure, count):
                made = Round(
                    when=dt.datetime.now(tz=dt.UTC).date().isoformat(),
                    command=shlex.join(["python", f"benchmarks/{Path(__file__).name}", *sys.argv[1:]]),
                    setting=setting,
                    shape=shape,
                    figure=figure.key,
                    title=figure.title,
                    unit=figure.unit,
                    bits=bits,
                    cells=cells,
                )
                append(file, made)
                group.append(made)
            passed &= _report(group)
    return passed


def _report(group: Sequence[Round]) -> bool:
    for row in rows(group):
        if row.rival != OURS:
            print(row.line(), flush=True)
    compared = comparison(group)
    if compared is None or compared.bar is None:
        return True
    passed, sentence = compared.verdict(compared.bar)
    print(sentence, flush=True)
    return passed


if __name__ == "__main__":
    sys.exit(main())
