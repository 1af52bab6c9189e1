"""What is measured of every engine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engines.line import Done, Work

if TYPE_CHECKING:
    from engines.prompts import Prompts  # which imports torch

ROUNDS = 20
# A round of eight requests at once takes the slower engines half a minute.
EIGHT_ROUNDS = 5


@dataclass(frozen=True, slots=True)
class Figure:
    """
    A figure of an engine.

    Args:
        key: What it is called on the command line.
        title: What it is.
        unit: Of its values.
        rounds: How many there are, where nothing else is asked for.
        works: Those of a round; all engines get the same.
        value: Of these works, when they are done.
        reuses: Whether only engines have it that reuse what they have computed.
    """

    key: str
    title: str
    unit: str
    rounds: int
    works: Callable[[Prompts], list[Work]]
    value: Callable[[Sequence[Done]], float]
    reuses: bool = False


@dataclass(frozen=True, slots=True)
class Sizes:
    """
    Tokens of prompts and replies.

    Args:
        prompt: Of the rates of prefill and of requests at once.
        reply: Of the requests at once.
        decode: Of the reply whose rate is taken, after a prompt of 16.
        prefix: That two prompts have in common.
    """

    prompt: int = 512
    reply: int = 128
    decode: int = 65
    prefix: int = 1000


QUICK_SIZES = Sizes(prompt=64, reply=8, decode=9, prefix=128)


def figures(sizes: Sizes) -> tuple[Figure, ...]:
    """Those that there are."""
    return (
        Figure(
            "prefill",
            f"prefill of {sizes.prompt} tokens",
            "tokens/s",
            ROUNDS,
            lambda prompts: [prompts.work(1, sizes.prompt, 1)],
            lambda done: sizes.prompt / done[0].total_s,
        ),
        Figure(
            "decode",
            f"decode of {sizes.decode - 1} tokens after the first, one request",
            "tokens/s",
            ROUNDS,
            lambda prompts: [prompts.work(1, 16, sizes.decode)],
            lambda done: (sizes.decode - 1) / (done[0].total_s - done[0].first_s),
        ),
        Figure(
            "eight",
            f"8 requests at once, {sizes.prompt} tokens in and {sizes.reply} out",
            "tokens out/s",
            EIGHT_ROUNDS,
            lambda prompts: [prompts.work(8, sizes.prompt, sizes.reply)],
            lambda done: 8 * sizes.reply / done[0].total_s,
        ),
        Figure(
            "prefix",
            f"first token of a prompt whose first {sizes.prefix:,} tokens were there before",
            "of the time when they were not",
            ROUNDS,
            lambda prompts: prompts.alike(sizes.prefix, 16),
            lambda done: done[1].first_s / done[0].first_s,
            reuses=True,
        ),
    )
