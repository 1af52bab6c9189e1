"""A text that is read from left to right, and what is wrong with it where."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wit_llm.errors import InvalidArgument, Unsupported
from wit_llm.grammar.expression import LAST, SURROGATES

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_BYTES = 65_536
# Groups inside groups.
MAX_DEPTH = 64
# What one count may be.
MAX_COUNT = 100_000
_SIMPLE_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "f": "\f", "v": "\v", "0": "\0"}
_HEX_DIGITS = {"x": 2, "u": 4, "U": 8}


class Reader:
    """
    Where in a text reading has come to.

    Args:
        what: Of what kind the text is, for messages.
        source: The text.

    Raises:
        InvalidArgument: The text is too long.
    """

    def __init__(self, what: str, source: str) -> None:
        if len(source.encode(errors="surrogatepass")) > MAX_BYTES:
            raise InvalidArgument(f"{what} has at most {MAX_BYTES} bytes")
        self._what = what
        self._source = source
        self.at = 0
        self._depth = 0

    @property
    def over(self) -> bool:
        """Whether all is read."""
        return self.at >= len(self._source)

    def peek(self, wanted: str) -> bool:
        """Whether this comes next."""
        return self._source.startswith(wanted, self.at)

    def take(self, wanted: str) -> bool:
        """Read it, if it comes next."""
        found = self.peek(wanted)
        if found:
            self.at += len(wanted)
        return found

    def next(self) -> str:
        """
        Read one character.

        Raises:
            InvalidArgument: There is none.
        """
        if self.over:
            raise self.invalid("more is wanted at the end")
        self.at += 1
        return self._source[self.at - 1]

    def run(self, fits: Callable[[str], bool]) -> str:
        """Read as long as characters fit."""
        start = self.at
        while not self.over and fits(self._source[self.at]):
            self.at += 1
        return self._source[start : self.at]

    def invalid(self, problem: str, at: int | None = None) -> InvalidArgument:
        """An error that says where."""
        return InvalidArgument(f"{self._what}: {problem}, {self._where(self.at if at is None else at)}")

    def unsupported(self, thing: str, at: int | None = None) -> Unsupported:
        """An error about something that is well said and cannot be enforced."""
        where = self._where(self.at if at is None else at)
        return Unsupported(f"{self._what}: {thing} cannot be enforced, {where}")

    def _where(self, at: int) -> str:
        line = self._source.count("\n", 0, at) + 1
        column = at - (self._source.rfind("\n", 0, at) + 1) + 1
        return f"at line {line}, character {column}" if "\n" in self._source else f"at character {column}"

    def deeper(self) -> None:
        """
        Enter a group.

        Raises:
            InvalidArgument: It is in too many others.
        """
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise self.invalid(f"groups are nested at most {MAX_DEPTH} deep")

    def higher(self) -> None:
        """Leave it."""
        self._depth -= 1

    def count(self) -> tuple[int, int | None] | None:
        """
        What ``{n}``, ``{n,}`` or ``{n,m}`` says; none, and nothing is read, where none of them comes.

        Raises:
            InvalidArgument: It is larger than a count may be, or its end is before its beginning.
        """
        start = self.at
        if not self.take("{"):
            return None
        low = self.run(_is_digit)
        high = self.run(_is_digit) if self.take(",") else low
        if not (low or high) or not self.take("}"):
            self.at = start
            return None
        ends = self._source[start : self.at - 1].endswith(",")
        first = self._number(low or "0", start)
        last = None if ends else self._number(high, start)
        if last is not None and last < first:
            raise self.invalid(f"a count ends at {last}, before it begins, at {first}", start)
        return first, last

    def _number(self, digits: str, start: int) -> int:
        if len(digits) > len(str(MAX_COUNT)) + 1 or int(digits) > MAX_COUNT:
            raise self.invalid(f"a count is at most {MAX_COUNT}", start)
        return int(digits)

    def escaped(self, character: str) -> str | None:
        """
        What ``character`` behind a backslash stands for, with the digits that follow it; none where it has no meaning.

        Raises:
            InvalidArgument: The digits are missing, or stand for no character.
        """
        if character in _SIMPLE_ESCAPES:
            return _SIMPLE_ESCAPES[character]
        if character not in _HEX_DIGITS:
            return None
        wanted, start = _HEX_DIGITS[character], self.at
        digits = self._source[start : start + wanted]
        if len(digits) < wanted or any(digit not in "0123456789abcdefABCDEF" for digit in digits):
            raise self.invalid(f"\\{character} wants {wanted} hexadecimal digits", start)
        self.at += wanted
        code = int(digits, 16)
        if code > LAST or SURROGATES[0] <= code <= SURROGATES[1]:
            raise self.invalid(f"\\{character}{digits} is no character", start)
        return chr(code)


def _is_digit(character: str) -> bool:
    return character in "0123456789"
