"""One reply from text to events: reasoning apart, calls parsed and named."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from wit_llm.text.message import Call, Text, merged

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from wit_llm.text.formats.base import Piece, Reader
    from wit_llm.text.formats.reasoning import Thinking


class ReplyReader:
    """
    Reads one reply. As ``Reader``, and every call has an id.

    Args:
        thinking: Tells reasoning from text; none where all is text.
        calls: Tells calls from text; none where nothing can be called.
        name: The id of a call by the model's own, which may be empty.
        opening: What of a call the prompt has already. It is part of the text where the call was cut short, so that the
            history has what the model reads as its own words.
    """

    def __init__(
        self, thinking: Thinking | None, calls: Reader | None, name: Callable[[str], str], opening: str = ""
    ) -> None:
        self._thinking = thinking
        self._calls = calls
        self._name = name
        self._opening = opening
        if calls is not None and opening:
            calls.push(opening)

    @classmethod
    def of_text(cls) -> ReplyReader:
        """For replies without marks: all is text."""
        return cls(None, None, str)

    @property
    def plain(self) -> bool:
        """Whether all is text."""
        return self._thinking is None and self._calls is None

    @property
    def reasons(self) -> bool:
        """Whether what comes next is reasoning."""
        return self._thinking is not None and self._thinking.inside

    def push(self, text: str) -> Sequence[Piece]:
        """As ``Reader``."""
        if not text:
            return ()
        return self._read(self._thinking.push(text) if self._thinking is not None else (Text(text),))

    def flush(self) -> Sequence[Piece]:
        """As ``Reader``."""
        pieces = self._read(self._thinking.flush() if self._thinking is not None else ())
        last = self._named(self._calls.flush()) if self._calls is not None else []
        if self._opening and merged(last) == (Text(self._opening),):
            last = []  # nothing was said at all
        return [*pieces, *last]

    def _read(self, pieces: Sequence[Piece]) -> list[Piece]:
        read: list[Piece] = []
        for piece in pieces:
            if self._calls is not None and isinstance(piece, Text):
                read += self._named(self._calls.push(piece.text))
            else:
                read.append(piece)
        return read

    def _named(self, pieces: Sequence[Piece]) -> list[Piece]:
        return [replace(piece, id=self._name(piece.id)) if isinstance(piece, Call) else piece for piece in pieces]
