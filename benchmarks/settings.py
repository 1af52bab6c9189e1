"""
Which settings of a graph, or which weights, are fastest on this machine, and what do they change in what it says?

Graphs are given as to `wit-llm run --graph`: NAME=FOLDER[,backend=…][,settings.KEY=VALUE]; the first is what each other
one is compared with. Each is a worker process of its own, asked as a host asks it, and only one computes at a time.
Prompts are random token ids, new in each round and the same for all; the end token is ignored. Before anything is timed
each says how likely the tokens are that it chose itself, and the first one's model says it in FP32 of the same tokens:
the mean difference, in percent of how much the log-probabilities of random tokens vary, is the error. Bar: at most 5 %.
"""

# ruff: noqa: D400 -- the first line is a question

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from functools import partial
from threading import Event
from typing import NamedTuple

import numpy as np
from folders import random_ir
from measure import Bar, Of, Report, Row, in_turns, parser

from wit_llm.backends.base import End, Likelihood
from wit_llm.options import Decoding
from wit_llm.registry import Grant
from wit_llm.tensor import Admitted, NamedTensor, Tensor, TensorType
from wit_llm.worker.client import Engine, GraphSource, Request

ERROR_BAR = Bar(Of.OURS, at_most=5)
PATIENCE_S = 600
TRIES = 10
# More than the rounds of one row, so that no prompt comes twice and is found in a cache of prefixes.
PROMPTS_OF_A_ROW = 10_000
SPREAD_TOKENS = 256
FIRST_ID = 3  # those below are control tokens


class Sizes(NamedTuple):
    """
    Tokens of prompts and replies.

    Args:
        scored: Prompt and reply of which the error is taken.
        decode: Of one request alone, whose rate counts from its first token on.
        decode_late: The same, after a long prompt.
        prefill: Of a prompt that is answered by one token.
        eight: Of each of eight requests at once.
        beside: Of a prompt that comes while a reply is being made, and of that reply, which is cancelled then.
    """

    scored: tuple[int, int] = (64, 32)
    decode: tuple[int, int] = (16, 64)
    decode_late: tuple[int, int] = (1024, 32)
    prefill: int = 512
    eight: tuple[int, int] = (64, 32)
    beside: tuple[int, int] = (1024, 4096)


QUICK = Sizes((8, 4), (4, 8), (24, 4), 16, (4, 4), (16, 400))


class Reply:
    """A listener that keeps tokens and when they came."""

    def __init__(self) -> None:
        self.token_ids: list[int] = []
        self.logprobs: list[float] = []
        self.at_ns: list[int] = []
        self.begun = Event()
        self._over = Event()
        self._error: Exception | None = None

    def accepted(self, _at_ns: int, _cached_tokens: int | None = None) -> None:
        """Nothing is done about it."""

    def tokens(
        self, token_ids: Sequence[int], end: End | None, at_ns: int, logprobs: Sequence[Sequence[Likelihood]] = ()
    ) -> None:
        """Keep them."""
        self.token_ids += token_ids
        self.logprobs += [chosen.logprob for chosen, *_ in logprobs]
        self.at_ns += [at_ns] * len(token_ids)
        self.begun.set()
        if end is not None:
            self._over.set()

    def failed(self, error: Exception) -> None:
        """Let the wait end."""
        self._error = error
        self.begun.set()
        self._over.set()

    def wait(self) -> None:
        """Until the last token."""
        if not self._over.wait(PATIENCE_S):
            raise RuntimeError(f"no end after {PATIENCE_S} s")
        if self._error is not None:
            raise self._error


class Side:
    """
    One graph.

    Args:
        grant: As it was given.
        sizes: Of its work.
    """

    def __init__(self, grant: Grant, sizes: Sizes) -> None:
        self.name = grant.name
        self._sizes = sizes
        self._engine = Engine(GraphSource(grant.name, grant.backend or "", grant.path, grant.target, grant.settings))
        text = self._engine.info.text
        if text is None:
            raise SystemExit(f"error: graph {grant.name!r} generates no text")
        self.vocab_size = text.vocab_size

    def close(self) -> None:
        """End its process."""
        self._engine.close()

    def said(self, number: int) -> tuple[list[int], list[float]]:
        """A prompt with its reply, and how likely each token of the reply was to the one that chose it."""
        prompt_tokens, reply_tokens = self._sizes.scored
        token_ids = self.prompt(number, prompt_tokens)
        reply = self._ask(token_ids, Decoding(reply_tokens, logprobs=0))[1]
        reply.wait()
        return token_ids + reply.token_ids, reply.logprobs

    def scores(self, token_ids: list[int]) -> list[float]:
        """How likely each token is after those before it, from the second one on."""
        scores = self._engine.score(_admitted(token_ids), 1)
        return list(map(float, np.frombuffer(scores.data, np.float32)))

    def decode(self, number: int) -> float:
        """Tokens a second of one request, from its first token on."""
        return self._decode(number, *self._sizes.decode)

    def decode_late(self, number: int) -> float:
        """The same after a long prompt."""
        return self._decode(number, *self._sizes.decode_late)

    def _decode(self, number: int, prompt_tokens: int, reply_tokens: int) -> float:
        reply = self._ask(self.prompt(number, prompt_tokens), Decoding(reply_tokens))[1]
        reply.wait()
        return (reply_tokens - 1) / (reply.at_ns[-1] - reply.at_ns[0]) * 1e9

    def prefill(self, number: int) -> float:
        """Tokens a second of a prompt, until its first token is there."""
        token_ids = self.prompt(number, self._sizes.prefill)
        began_ns = time.monotonic_ns()
        reply = self._ask(token_ids, Decoding(1))[1]
        reply.wait()
        return len(token_ids) / (reply.at_ns[0] - began_ns) * 1e9

    def eight(self, number: int) -> float:
        """Tokens a second of eight replies together, their prompts included."""
        prompt_tokens, reply_tokens = self._sizes.eight
        prompts = [self.prompt(number * 8 + guest, prompt_tokens) for guest in range(8)]
        began_ns = time.monotonic_ns()
        replies = [self._ask(token_ids, Decoding(reply_tokens))[1] for token_ids in prompts]
        for reply in replies:
            reply.wait()
        return 8 * reply_tokens / (max(reply.at_ns[-1] for reply in replies) - began_ns) * 1e9

    def beside(self, number: int) -> float:
        """The longest time in milliseconds that a reply stands still while another guest's prompt is read."""
        prompt_tokens, reply_tokens = self._sizes.beside
        for fresh in range(number, number + PROMPTS_OF_A_ROW, PROMPTS_OF_A_ROW // TRIES):
            running, reply = self._ask(self.prompt(fresh, self._sizes.decode[0]), Decoding(reply_tokens))
            reply.begun.wait(PATIENCE_S)
            began_ns = time.monotonic_ns()
            other = self._ask(self.prompt(fresh, prompt_tokens), Decoding(2))[1]
            other.wait()
            running.cancel()
            reply.wait()
            if reply.at_ns[-1] < other.at_ns[0]:
                continue  # it was over before, as one of a small model may be
            gaps = [
                (max(before, began_ns), after)
                for before, after in itertools.pairwise(reply.at_ns)
                if before < other.at_ns[-1]
            ]
            return max(after - before for before, after in gaps if after > began_ns) / 1e6
        raise RuntimeError(f"{TRIES} replies of {reply_tokens} tokens were over before a prompt beside them was read")

    def prompt(self, number: int, tokens: int) -> list[int]:
        """Any token ids."""
        rng = np.random.default_rng((number, tokens))
        return list(map(int, rng.integers(FIRST_ID, self.vocab_size, tokens)))

    def _ask(self, token_ids: list[int], decoding: Decoding) -> tuple[Request, Reply]:
        reply = Reply()
        return self._engine.generate(_admitted(token_ids), decoding, reply), reply


def _admitted(token_ids: list[int]) -> Admitted:
    rows = {"input_ids": np.array(token_ids), "attention_mask": np.ones(len(token_ids), np.int64)}
    tensors = {name: Tensor((1, len(row)), TensorType.I64, row.tobytes()) for name, row in rows.items()}
    return Admitted(tuple(NamedTensor(name, tensor) for name, tensor in tensors.items()))


ROWS = (
    ("decode", "tokens/s", Side.decode),
    ("decode after a long prompt", "tokens/s", Side.decode_late),
    ("prefill", "tokens/s", Side.prefill),
    ("eight at once", "tokens/s", Side.eight),
    ("longest gap beside a prompt", "ms", Side.beside),
)


class Exact:
    """What the first graph's model says in FP32, without any setting."""

    def __init__(self, grant: Grant, sizes: Sizes) -> None:
        self._side = Side(replace(grant, settings={}), sizes)
        self._spread = float(np.std(self._side.scores(self._side.prompt(0, SPREAD_TOKENS))))

    def close(self) -> None:
        """End its process."""
        self._side.close()

    def error(self, side: Side, number: int) -> float:
        """By how many percent of their spread a side's own log-probabilities are off."""
        token_ids, logprobs = side.said(number)
        exact = self._side.scores(token_ids)[-len(logprobs) :]
        return float(np.mean(np.abs(np.subtract(logprobs, exact)))) / self._spread * 100


def main() -> int:
    """Compare each graph with the first."""
    options = parser(__doc__)
    options.add_argument(
        "graphs",
        nargs="*",
        metavar="GRAPH",
        help="NAME=FOLDER[,settings.KEY=VALUE]…, two or more; default is the 135M shape, as it is and in FP32",
    )
    arguments = options.parse_args()
    texts = arguments.graphs or [f"fp16={random_ir()}", f"fp32={random_ir()},settings.precision=f32"]
    if len(texts) < 2:
        raise SystemExit("error: two graphs or more are compared")
    grants = [Grant.parse(text) for text in texts]
    sizes = QUICK if arguments.quick else Sizes()
    report = Report(__doc__, arguments, {"graphs": " ".join(texts), **sizes._asdict()})
    firsts = itertools.count(PROMPTS_OF_A_ROW, PROMPTS_OF_A_ROW)

    def turns(measured: Callable[[Side, int], float], ours: Side, other: Side) -> list[tuple[float, float]]:
        return list(in_turns(partial(measured, ours), partial(measured, other), report.pairs, first=next(firsts)))

    with ExitStack() as stack:
        base, *others = [stack.enter_context(closing(Side(grant, sizes))) for grant in grants]
        with closing(Exact(grants[0], sizes)) as exact:
            for other in others:
                report.add(Row(f"{other.name}: error", "%", base.name, turns(exact.error, other, base), ERROR_BAR))
        for other in others:
            for name, unit, measured in ROWS:
                report.add(Row(f"{other.name}: {name}", unit, base.name, turns(measured, other, base)))
    return report.status()


if __name__ == "__main__":
    sys.exit(main())
