"""
Is what `wit-llm convert` makes as fast as optimum-intel's export of the same model?

Both folders are made of the same weights and driven by openvino-genai directly, each in a process of its own, in
turns, with the same random token ids and number of tokens to make; the end token is ignored and every prompt is new,
so that no prefix cache helps. optimum-intel wants an environment of its own: `pip install 'optimum-intel[openvino]'`
there, and here `--optimum-cli PATH`, or `--other FOLDER` for what it has exported already; where there is neither,
nothing is measured. Bars: prefill and decode rate are at least 95 % of the other's, and the first token of a short
prompt comes at most 2 ms later.
"""

# ruff: noqa: D400 -- the first line is a question

from __future__ import annotations

import shutil
import subprocess
import sys
from contextlib import closing
from functools import partial
from pathlib import Path

import numpy as np
from folders import random_source, read_vocab_size
from measure import BENCH, Bar, Of, Report, Row, in_turns, parser
from prompt import Question, Reply, direct, put
from sides import Side

RATE_BAR = Bar(Of.RATIO, at_least=0.95)
FIRST_TOKEN_BAR = Bar(Of.DIFFERENCE, at_most=2)
SHORT_TOKENS, LONG_TOKENS, REPLY_TOKENS = 16, 512, 128
QUICK_REPLY_TOKENS = 16


class Prompts:
    """
    Random token ids, each asked once by a side.

    Args:
        vocabulary: Ids are below it.
        tokens: Of each prompt.
    """

    def __init__(self, vocabulary: int, tokens: int) -> None:
        self._vocabulary = vocabulary
        self._tokens = tokens

    def question(self, number: int, reply_tokens: int) -> Question:
        """The prompt of a round; both sides get the same."""
        rng = np.random.default_rng((number + 1000, self._tokens, reply_tokens))
        return Question("", rng.integers(3, self._vocabulary, self._tokens).tolist(), reply_tokens)


def _converted(model: Path, weights: str) -> Path:
    """Our folder, made unless it is there."""
    from wit_llm.convert.compress import WeightFormat
    from wit_llm.convert.folder import convert

    folder = BENCH / f"{model.name}-ours-{weights}"
    if not folder.exists():
        BENCH.mkdir(parents=True, exist_ok=True)
        convert(model, folder, WeightFormat(weights))
    return folder


def _exported(model: Path, weights: str, command: str) -> Path:
    """Optimum-intel's folder, made unless it is there."""
    folder = BENCH / f"{model.name}-optimum-{weights}"
    if not folder.exists():
        task = ("--task", "text-generation-with-past")
        arguments = [command, "export", "openvino", "-m", str(model), *task, "--weight-format", weights, str(folder)]
        subprocess.run(arguments, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return folder


def _rounds(sides: tuple[Side, Side], prompts: Prompts, reply_tokens: int, pairs: int) -> list[tuple[Reply, Reply]]:
    left, right = (partial(put, side, prompts, reply_tokens) for side in sides)
    return list(in_turns(left, right, pairs, warm_ups=2))


def main() -> int:
    """Measure first tokens of short prompts and of long ones, then whole replies."""
    options = parser(__doc__)
    options.add_argument("--model", type=Path, metavar="FOLDER", help="for transformers; default is the 135M shape")
    options.add_argument("--weights", choices=["fp16", "int8", "int4"], default="int8", help="default int8")
    options.add_argument("--other", type=Path, metavar="FOLDER", help="optimum-intel's export of that model")
    options.add_argument("--optimum-cli", default="optimum-cli", metavar="PATH", help="what exports it, else")
    arguments = options.parse_args()
    if arguments.other is None and shutil.which(arguments.optimum_cli) is None:
        print(f"nothing is measured: there is no {arguments.optimum_cli}, and no --other; see --help")
        return 0
    model = arguments.model or random_source()
    ours = _converted(model, arguments.weights)
    other = arguments.other or _exported(model, arguments.weights, arguments.optimum_cli)
    reply_tokens = QUICK_REPLY_TOKENS if arguments.quick else REPLY_TOKENS
    sizes = {"model": model.name, "weights": arguments.weights, "reply_tokens": reply_tokens}
    megabytes = [(folder / "openvino_model.bin").stat().st_size / 1e6 for folder in (ours, other)]
    report = Report(
        __doc__, arguments, {**sizes, "ours_mb": round(megabytes[0], 1), "other_mb": round(megabytes[1], 1)}
    )
    vocabulary = read_vocab_size(ours)
    with closing(Side.start(direct, ours)) as left, closing(Side.start(direct, other)) as right:
        sides = left, right
        short = _rounds(sides, Prompts(vocabulary, SHORT_TOKENS), 1, report.pairs)
        first = [(a.first_ms, b.first_ms) for a, b in short]
        report.add(Row(f"first token of {SHORT_TOKENS}", "ms", "optimum", first, FIRST_TOKEN_BAR))
        long = _rounds(sides, Prompts(vocabulary, LONG_TOKENS), 1, report.pairs)
        rates = [(LONG_TOKENS / a.first_ms * 1e3, LONG_TOKENS / b.first_ms * 1e3) for a, b in long]
        report.add(Row(f"prefill of {LONG_TOKENS}", "tokens/s", "optimum", rates, RATE_BAR))
        whole = _rounds(sides, Prompts(vocabulary, SHORT_TOKENS), reply_tokens, report.pairs)
        report.add(
            Row("decode rate", "tokens/s", "optimum", [(a.tokens_per_s, b.tokens_per_s) for a, b in whole], RATE_BAR)
        )
    return report.status()


if __name__ == "__main__":
    sys.exit(main())
