"""What regular expressions, grammars and schemas are read as: sets of characters, put together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

# Code points from first to last, both inside.
Range = tuple[int, int]

LAST = 0x10FFFF
# No characters; and NUL, at which strings of C end, and an engine's sets of characters with them.
SURROGATES = (0xD800, 0xDFFF)
_NEVER = ((0, 0), SURROGATES)


@dataclass(frozen=True, slots=True)
class Chars:
    """One character of these; sorted ranges with gaps between them. None at all is what nothing matches."""

    ranges: tuple[Range, ...]

    @classmethod
    def of(cls, *ranges: Range) -> Chars:
        """Any ranges, in any order; surrogates and NUL are left out, and never said."""
        merged: list[Range] = []
        for low, high in sorted(ranges):
            if merged and low <= merged[-1][1] + 1:
                merged[-1] = (merged[-1][0], max(high, merged[-1][1]))
            elif low <= high:
                merged.append((low, high))
        for gone in _NEVER:
            merged = _without(merged, gone)
        return cls(tuple(merged))

    @classmethod
    def one_of(cls, characters: str) -> Chars:
        """These characters."""
        return cls.of(*((ord(one), ord(one)) for one in characters))

    def __or__(self, other: Chars) -> Chars:
        return Chars.of(*self.ranges, *other.ranges)

    def __and__(self, other: Chars) -> Chars:
        common, left, right = [], list(self.ranges[::-1]), list(other.ranges[::-1])
        while left and right:
            low, high = max(left[-1][0], right[-1][0]), min(left[-1][1], right[-1][1])
            if low <= high:
                common.append((low, high))
            # What ends first meets nothing more.
            (left if left[-1][1] < right[-1][1] else right).pop()
        return Chars(tuple(common))

    def __sub__(self, other: Chars) -> Chars:
        ends = [-1, *(end for low, high in other.ranges for end in (low, high)), LAST + 1]
        between = zip(ends[::2], ends[1::2], strict=True)
        return self & Chars(tuple((before + 1, after - 1) for before, after in between if before + 1 < after))


@dataclass(frozen=True, slots=True)
class Sequence:
    """One after the other; of nothing, the empty text."""

    items: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Either:
    """One of them."""

    items: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Repeat:
    """From ``low`` to ``high`` times, or without end, with ``separator`` between two."""

    item: Expression
    low: int = 0
    high: int | None = None
    separator: Expression | None = None


@dataclass(frozen=True, slots=True)
class Listed:
    """
    In this order, with ``separator`` between those that are there.

    Args:
        items: Each, and whether it has to be there.
        separator: Between two.
    """

    items: tuple[tuple[Expression, bool], ...]
    separator: Expression


@dataclass(frozen=True, slots=True)
class Rule:
    """
    What the rule of that name says.

    Args:
        name: Its name.
        called: It is kept apart and called, as those that call themselves are, and not copied to where it is needed.
    """

    name: str
    called: bool = False


Expression = Chars | Sequence | Either | Repeat | Listed | Rule

EMPTY = Sequence(())
NOTHING = Chars(())


def text(characters: str) -> Sequence:
    """Exactly that."""
    return Sequence(tuple(Chars.one_of(character) for character in characters))


def optional(item: Expression) -> Expression:
    """That or nothing."""
    return Either((item, EMPTY))


def _without(ranges: Iterable[Range], gone: Range) -> list[Range]:
    left = []
    for low, high in ranges:
        if low < gone[0]:
            left.append((low, min(high, gone[0] - 1)))
        if high > gone[1]:
            left.append((max(low, gone[1] + 1), high))
    return left


ANY = Chars.of((0, LAST))
