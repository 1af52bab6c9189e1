"""
What an engine's process is asked, and what it answers.

Nothing of the engines is imported here and nothing of wit-llm, because each process has packages of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple


class Work(NamedTuple):
    """
    Requests that are there at once.

    Args:
        prompts: Token ids of each; all have the same number.
        texts: What a guest says to have these ids made of it, template included.
        reply_tokens: How many tokens each reply has.
    """

    prompts: list[list[int]]
    texts: list[str]
    reply_tokens: int


class Done(NamedTuple):
    """
    The replies, and how long they took.

    Args:
        replies: Token ids of each; of a guest the text, without control tokens.
        first_s: Until the first token of the first reply was there.
        total_s: Until all were.
    """

    replies: list[list[int]] | list[str]
    first_s: float
    total_s: float


class Ready(NamedTuple):
    """The engine has its model; what it is, with its version."""

    version: str


class Failed(NamedTuple):
    """Why there is no answer."""

    reason: str


Answer = Callable[[Work], Done]
