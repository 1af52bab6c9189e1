"""
How many tokens a second do eight requests at once get from PyTorch, against transformers' own `generate`?

Both have the same safetensors, type of arithmetic and threads, and give the same tokens; the end token is ignored. Ours
is asked as a host asks it, through its worker process; the other gets all eight as one padded batch, which takes as
long as its longest reply. Tokens that nobody asked for, after the end of a shorter reply, do not count. Each is a
process of its own, and only one of them computes at a time; every prompt is new to both. Bars: at least 1.5 times the
tokens a second for requests of different lengths, and no less than as many for one alone.
"""

# ruff: noqa: D400 -- the first line is a question

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from threading import Event
from typing import NamedTuple

import numpy as np
from folders import random_source, read_vocab_size
from measure import Bar, Of, Report, Row, in_turns, parser
from sides import Line, Side

MIXED_BAR = Bar(Of.RATIO, at_least=1.5)
SINGLE_BAR = Bar(Of.RATIO, at_least=1.0)
# Tokens of prompt and reply.
MIXED = ((16, 48), (24, 32), (32, 8), (64, 24), (96, 40), (128, 8), (192, 16), (256, 24))
EQUAL = ((64, 24),) * 8
SINGLE = ((64, 32),)
QUICK = ((8, 4), (12, 2))
PATIENCE_S = 600


class Work(NamedTuple):
    """Prompts, and how many tokens each reply has."""

    prompts: list[list[int]]
    reply_tokens: list[int]


class Done(NamedTuple):
    """The replies to all prompts, and how long all of them took."""

    replies: list[list[int]]
    seconds: float

    @property
    def tokens_per_s(self) -> float:
        """Of those that were asked for."""
        return sum(map(len, self.replies)) / self.seconds


def ours(line: Line, folder: Path, precision: str) -> None:
    """Do each work as requests that are live at once."""
    from wit_llm.backends.base import End
    from wit_llm.options import Decoding
    from wit_llm.tensor import Admitted, NamedTensor, Tensor, TensorType
    from wit_llm.worker.client import Engine, GraphSource

    class Reply:
        """A listener that keeps the tokens."""

        def __init__(self) -> None:
            self.token_ids: list[int] = []
            self.over = Event()

        def accepted(self, at_ns: int, cached_tokens: int | None = None) -> None:
            """Nothing is done about it."""

        def tokens(self, token_ids: Sequence[int], end: End | None, at_ns: int, logprobs: object = ()) -> None:  # noqa: ARG002
            """Keep them."""
            self.token_ids += token_ids
            if end is not None:
                self.over.set()

        def failed(self, error: Exception) -> None:
            """Let the wait end; the replies are too short then."""
            print(error, file=sys.stderr)
            self.over.set()

    def prompt(token_ids: list[int]) -> Admitted:
        rows = {"input_ids": np.array(token_ids), "attention_mask": np.ones(len(token_ids), np.int64)}
        tensors = {name: Tensor((1, len(row)), TensorType.I64, row.tobytes()) for name, row in rows.items()}
        return Admitted(tuple(NamedTensor(name, tensor) for name, tensor in tensors.items()))

    engine = Engine(GraphSource("model", "pytorch", folder, settings={"precision": precision}))
    with closing(engine):
        while (work := line.recv()) is not None:
            began = time.perf_counter()
            replies = []
            for token_ids, count in zip(work.prompts, work.reply_tokens, strict=True):
                replies.append(Reply())
                engine.generate(prompt(token_ids), Decoding(count), replies[-1])
            for reply in replies:
                reply.over.wait(PATIENCE_S)
            line.send(Done([reply.token_ids for reply in replies], time.perf_counter() - began))


def generate(line: Line, folder: Path, precision: str) -> None:
    """Do each work as one batch of transformers, padded on the left."""
    import torch
    from transformers import AutoModelForCausalLM

    dtype = {"f32": torch.float32, "bf16": torch.bfloat16}[precision]
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype)
    model.generation_config.eos_token_id = None
    while (work := line.recv()) is not None:
        began = time.perf_counter()
        longest = max(map(len, work.prompts))
        gaps = [longest - len(token_ids) for token_ids in work.prompts]
        input_ids = torch.tensor([[0] * gap + ids for gap, ids in zip(gaps, work.prompts, strict=True)])
        attention_mask = torch.tensor([[0] * gap + [1] * (longest - gap) for gap in gaps])
        with torch.inference_mode():
            rows: torch.Tensor = model.generate(  # type: ignore[assignment, misc]  # of a mixin, with a union of results
                input_ids,
                attention_mask=attention_mask,
                max_new_tokens=max(work.reply_tokens),
                do_sample=False,
                pad_token_id=0,
            )
        replies = [row[longest:][:count] for row, count in zip(rows.tolist(), work.reply_tokens, strict=True)]
        line.send(Done(replies, time.perf_counter() - began))


class Works:
    """
    Works of prompts made of any tokens, each done once by each side.

    Args:
        vocab_size: Token ids are below it.
        lengths: Tokens of each prompt and its reply.
    """

    def __init__(self, vocab_size: int, lengths: Sequence[tuple[int, int]]) -> None:
        self._vocab_size = vocab_size
        self._lengths = lengths

    def work(self, number: int) -> Work:
        """That of a round; those of the warm-up have negative numbers."""
        rng = np.random.default_rng(number % 2**32)
        prompts = [rng.integers(3, self._vocab_size, count).tolist() for count, _ in self._lengths]
        return Work(prompts, [count for _, count in self._lengths])

    def done(self, side: Side, number: int) -> Done:
        """What one side makes of it."""
        work = self.work(number)
        done: Done = side.answer(work)
        if [len(reply) for reply in done.replies] != work.reply_tokens:
            raise RuntimeError(f"{side.name} has given replies of {[len(reply) for reply in done.replies]} tokens")
        return done


def main() -> int:
    """Measure requests of different lengths, of equal ones, and one alone."""
    options = parser(__doc__)
    options.add_argument(
        "--model", type=Path, metavar="FOLDER", help="another transformers model; default is the 135M shape, made once"
    )
    options.add_argument("--precision", choices=["f32", "bf16"], default="f32", help="of both; default f32")
    arguments = options.parse_args()
    folder = arguments.model or random_source()
    mixed = QUICK if arguments.quick else MIXED
    sizes = {"model": folder.name, "precision": arguments.precision, "prompt/reply tokens": mixed}
    report = Report(__doc__, arguments, sizes)
    rows = (
        (f"{len(mixed)} of different lengths", mixed, MIXED_BAR),
        (f"{len(mixed)} of equal lengths", QUICK[:1] * 2 if arguments.quick else EQUAL, None),
        ("one alone", QUICK[:1] if arguments.quick else SINGLE, SINGLE_BAR),
    )
    vocab_size = read_vocab_size(folder)
    with (
        closing(Side.start(ours, folder, arguments.precision)) as left,
        closing(Side.start(generate, folder, arguments.precision)) as right,
    ):
        for name, lengths, bar in rows:
            works = Works(vocab_size, lengths)
            rounds = list(in_turns(partial(works.done, left), partial(works.done, right), report.pairs))
            # In bf16 two ways to the same logits round otherwise, and a reply goes on from what was chosen.
            if arguments.precision == "f32" and any(a.replies != b.replies for a, b in rounds):
                raise RuntimeError("the replies differ")
            rates = [(a.tokens_per_s, b.tokens_per_s) for a, b in rounds]
            report.add(Row(name, "tokens/s", "generate", rates, bar))
    return report.status()


if __name__ == "__main__":
    sys.exit(main())
