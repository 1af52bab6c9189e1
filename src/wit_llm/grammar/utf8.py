"""Ranges of code points as sequences of ranges of bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

# Code points of one, two, three and four bytes.
_LENGTHS = ((0, 0x7F), (0x80, 0x7FF), (0x800, 0xFFFF), (0x10000, 0x10FFFF))
_BITS = 6

ByteRanges = tuple[tuple[int, int], ...]


def byte_ranges(low: int, high: int) -> Iterator[ByteRanges]:
    """
    What the UTF-8 of a range's characters looks like, byte by byte; surrogates must not be in it.

    Source: ``utf8-ranges``, github.com/rust-lang/regex.
    """
    for first, last in _LENGTHS:
        if low <= last and high >= first:
            yield from _split(max(low, first), min(high, last))


def _split(low: int, high: int) -> Iterator[ByteRanges]:
    """Of one length: until whatever the first bytes are, the last ones go through all they can be."""
    for places in range(1, len(chr(high).encode())):
        mask = (1 << (_BITS * places)) - 1
        if low & ~mask != high & ~mask:
            if low & mask:
                yield from _split(low, low | mask)
                yield from _split((low | mask) + 1, high)
                return
            if high & mask != mask:
                yield from _split(low, (high & ~mask) - 1)
                yield from _split(high & ~mask, high)
                return
    yield tuple(zip(chr(low).encode(), chr(high).encode(), strict=True))
