"""What a model thinks before it answers, between two marks: Qwen 3, QwQ, DeepSeek R1, Mistral and others."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from wit_llm.text.formats.base import Spaces
from wit_llm.text.message import Reasoning, Text
from wit_llm.text.stops import StopStrings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wit_llm.text.formats.base import Piece


@dataclass(frozen=True, slots=True)
class Marks:
    """
    How a model marks its reasoning.

    Args:
        name: As a manifest has it.
        start: What stands before.
        end: What stands behind.
    """

    name: str
    start: str
    end: str


THINK = Marks("think", "<think>", "</think>")
MISTRAL = Marks("mistral", "[THINK]", "[/THINK]")


class _At(Enum):
    """Where in a reply."""

    START = 0
    REASONING = 1
    TEXT = 2


class Thinking:
    """
    Tells reasoning from text. As ``Reader``; spaces around reasoning are neither.

    Reasoning stands at the beginning of a reply or nowhere: later on a mark is text, as a model may write about it.

    Args:
        marks: Of the model.
        begun: The prompt ends inside reasoning.
        resumed: The reply goes on with an earlier one, whose last word may want a space behind it.
    """

    def __init__(self, marks: Marks, *, begun: bool, resumed: bool = False) -> None:
        self._marks = marks
        self._at = _At.REASONING if begun else _At.TEXT if resumed else _At.START
        self._held = ""
        self._search = StopStrings((marks.end,))
        self._thoughts = Spaces(leading=resumed)
        self._text = Spaces(leading=True)

    @property
    def inside(self) -> bool:
        """Whether what comes next is reasoning."""
        return self._at is _At.REASONING

    def push(self, text: str) -> Sequence[Piece]:
        """As ``Reader``."""
        pieces: list[Piece] = []
        if self._at is _At.START:
            text = self._begin(text)
        if self._at is _At.REASONING:
            thought, end, text = self._search.push(text)
            pieces += _thoughts(self._thoughts.push(thought))
            if end is not None:
                self._at = _At.TEXT
                self._text = Spaces(leading=False)
        if self._at is _At.TEXT:
            pieces += _texts(self._text.push(text) + self._text.flush())
        return pieces

    def flush(self) -> Sequence[Piece]:
        """As ``Reader``; reasoning that was cut short keeps the spaces at its end."""
        if self._at is _At.REASONING:
            return _thoughts(self._thoughts.push(self._search.flush()) + self._thoughts.flush())
        held, self._held = self._held, ""
        return _texts(held)

    def _begin(self, text: str) -> str:
        """What of the text is left, once it is known how the reply begins."""
        text = self._held + text
        self._held = ""
        start = text.lstrip()
        if start.startswith(self._marks.start):
            self._at = _At.REASONING
            return start.removeprefix(self._marks.start)
        if self._marks.start.startswith(start):
            self._held = text
            return ""
        self._at = _At.TEXT
        return text


def _thoughts(text: str) -> list[Piece]:
    return [Reasoning(text)] if text else []


def _texts(text: str) -> list[Piece]:
    return [Text(text)] if text else []
