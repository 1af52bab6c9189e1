"""Calls that are a whole reply of JSON."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from wit_llm.text.formats.values import Unfinished, call_of, read_values
from wit_llm.text.message import Text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wit_llm.text.formats.base import Piece
    from wit_llm.text.message import Call
    from wit_llm.text.tools import Tools

_FIRST_KEY = re.compile(r'\s*(?:\[\s*)?\{\s*"([^"]*)"')
_KEYS = ("type", "function", "name", "arguments", "parameters", "id")
# What may still become one; so what is none is not held back, and looked at from its start, until the reply is over.
_BEGINNING = re.compile(rf'\s*(?:\[\s*)?(?:\{{\s*(?:"[^"]{{0,{max(map(len, _KEYS))}}})?)?')


class Whole:
    """
    Reads a reply that is calls from its first character to its last. As ``Reader``.

    It comes when it is over. A reply that begins otherwise, or whose first key is no call's, comes as it is produced;
    so does one that calls what is not among the tools, as any object may have a name.

    Args:
        tools: What may be called.
        marks: What may stand before the calls.
        fenced: They may stand in a fenced block.
        listed: They may stand in a list.
    """

    def __init__(self, tools: Tools, marks: Sequence[str] = (), *, fenced: bool = False, listed: bool = False) -> None:
        self._tools = tools
        self._marks = (*marks, *(_FENCES if fenced else ()))
        self._json = "{[" if listed else "{"
        self._held: list[str] | None = []
        self._begun = False

    def push(self, text: str) -> Sequence[Piece]:
        """As ``Reader``."""
        if self._held is None:
            return (Text(text),) if text else ()
        self._held.append(text)
        if not self._begun and not text.isspace():
            begun = self._begins("".join(self._held))
            if begun is None:
                return ()
            if not begun:
                return self._give_up()
            self._begun = True
        return ()

    def flush(self) -> Sequence[Piece]:
        """As ``Reader``."""
        if not self._held:
            return ()
        try:
            return self._calls("".join(self._held))
        except (ValueError, Unfinished):
            return self._give_up()

    def _begins(self, text: str) -> bool | None:
        """Whether a reply that begins so may be calls; none where that is not certain yet."""
        text = text.lstrip()
        for mark in self._marks:
            if text.startswith(mark):
                text = text.removeprefix(mark).lstrip()
                break
            if mark.startswith(text):
                return None
        if not text:
            return None
        if text[0] not in self._json:
            return False
        key = _FIRST_KEY.match(text)
        if key is None:
            return None if _BEGINNING.fullmatch(text) else False
        return key[1] in _KEYS

    def _calls(self, text: str) -> list[Call]:
        text = text.strip()
        for mark in self._marks:
            if text.startswith(mark):
                text = text.removeprefix(mark)
                text = text.removesuffix("```") if mark in _FENCES else text
                break
        calls = [call_of(value) for value in read_values(text.strip())]
        if not calls or any(call.name not in self._tools.names for call in calls):
            raise ValueError("it calls no tool")
        return calls

    def _give_up(self) -> Sequence[Piece]:
        text, self._held = "".join(self._held or ()), None
        return (Text(text),) if text else ()


# The longer one first.
_FENCES = ("```json", "```")
