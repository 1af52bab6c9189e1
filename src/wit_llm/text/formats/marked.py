"""Calls between marks, text around them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wit_llm.text.formats.base import Spaces
from wit_llm.text.formats.values import Unfinished
from wit_llm.text.message import Call, Text
from wit_llm.text.stops import StopStrings

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from wit_llm.text.formats.base import Piece

Read = tuple[list[Call], str]


class Marked:
    """
    Reads calls that each stand between two marks. As ``Reader``; spaces around calls are no text.

    Args:
        start: What stands before a call.
        end: What stands behind it; none where the next one's start does, or the end of the reply.
        read: The calls between the two and the text behind them. Raises ``ValueError`` where there is none, and
            ``Unfinished`` where the end found may be part of the call.
    """

    def __init__(self, start: str, end: str | None, read: Callable[[str], Read]) -> None:
        self._start = start
        self._end = end
        self._read = read
        self._search = StopStrings((start,))
        self._spaces = Spaces(leading=True)
        self._body: list[str] | None = None

    def push(self, text: str) -> Sequence[Piece]:
        """As ``Reader``."""
        pieces: list[Piece] = []
        while text:
            before, mark, text = self._search.push(text)
            if self._body is None:
                pieces += self._say(before)
            else:
                self._body.append(before)
            if mark is not None:
                pieces += self._at(mark)
        return pieces

    def flush(self) -> Sequence[Piece]:
        """As ``Reader``; a call that is whole but for its end mark is a call."""
        held = self._search.flush()
        if self._body is None:
            return _texts(*self._say(held), Text(self._spaces.flush()))
        self._body.append(held)
        try:
            pieces = self._finish("")
        except Unfinished:
            pieces = self._give_up("")
        return _texts(*pieces, Text(self._spaces.flush()))

    def _at(self, mark: str) -> list[Piece]:
        """A mark was found."""
        if self._body is None:
            self._begin()
            return []
        if self._end is None:
            try:
                pieces = self._finish("")
            except Unfinished:
                self._body.append(mark)
                return []
            self._begin()
            return pieces
        try:
            pieces = self._finish(mark)
        except Unfinished:
            self._body.append(mark)
            return []
        self._search = StopStrings((self._start,))
        return pieces

    def _begin(self) -> None:
        self._body = []
        self._search = StopStrings((self._end or self._start,))

    def _finish(self, mark: str) -> list[Piece]:
        """
        What stands between the marks.

        Raises:
            Unfinished: As ``read``.
        """
        try:
            calls, behind = self._read("".join(self._body or ()))
        except ValueError:
            return self._give_up(mark)
        self._body = None
        self._spaces = Spaces(leading=False)
        return [*calls, *self._say(behind)]

    def _give_up(self, mark: str) -> list[Piece]:
        """It is text."""
        text = "".join([self._start, *(self._body or ()), mark])
        self._body = None
        return self._say(text)

    def _say(self, text: str) -> list[Piece]:
        shown = self._spaces.push(text)
        return [Text(shown)] if shown else []


def _texts(*pieces: Piece) -> list[Piece]:
    return [piece for piece in pieces if not isinstance(piece, Text) or piece.text]
