"""Stop strings, found in text that comes in pieces."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence


class Found(NamedTuple):
    """
    What a piece came to.

    Args:
        text: Certain now, in front of the string.
        string: Which one ended it; none so far.
        behind: What the piece has behind that string.
    """

    text: str
    string: str | None = None
    behind: str = ""


class StopStrings:
    """
    Lets text through as long as none of some strings is in it.

    The string that is complete first ends the text; of those complete at the same character, the longest does. So it is
    all the same in which pieces the text comes. Nothing of that string is let through; what could become one waits.

    Args:
        strings: None of them empty.
    """

    def __init__(self, strings: Sequence[str]) -> None:
        self._strings = strings
        self._beginnings = {string[:size] for string in strings for size in range(1, len(string))}
        self._longest = max(map(len, self._beginnings), default=0)
        self._held = ""

    def push(self, text: str) -> Found:
        """Take a piece."""
        if not self._strings:
            return Found(text)
        text = self._held + text
        complete = [
            (start + len(string), start, string) for string in self._strings if (start := text.find(string)) >= 0
        ]
        if complete:
            end, start, string = min(complete)
            self._held = ""
            return Found(text[:start], string, text[end:])
        sizes = range(min(self._longest, len(text)), 0, -1)
        held = next((size for size in sizes if text[-size:] in self._beginnings), 0)
        self._held = text[len(text) - held :]
        return Found(text[: len(text) - held])

    def flush(self) -> str:
        """Return what waited: the text is over."""
        held, self._held = self._held, ""
        return held
