"""JSON values as a reply spells them: no white space but one optional space behind a comma and a colon."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from wit_llm.errors import InvalidArgument
from wit_llm.grammar.expression import ANY, EMPTY, Chars, Either, Listed, Repeat, Rule, Sequence, optional, text

if TYPE_CHECKING:
    from wit_llm.grammar.expression import Expression

# Larger whole numbers are not the same to everyone who reads JSON.
MAX_DIGITS = 15
# At least six digits behind the point are kept next to them.
MAX_BOUND = 10**9
_BOUNDED_FRACTION_DIGITS = 6

_ESCAPED = {'"': '"', "\\": "\\", "\b": "b", "\f": "f", "\n": "n", "\r": "r", "\t": "t"}
_RAW = ANY - Chars.of((0, 0x1F)) - Chars.one_of('"\\')
_DIGIT = Chars.of((0x30, 0x39))
_NOT_ZERO = Chars.of((0x31, 0x39))
_SPACE = optional(text(" "))

COMMA = Sequence((text(","), _SPACE))
COLON = Sequence((text(":"), _SPACE))
QUOTE = text('"')

ANY_VALUE, ANY_OBJECT, ANY_ARRAY = Rule("any value"), Rule("any object"), Rule("any array")


def spelled(value: object) -> Sequence:
    """
    One value, spelled in one way.

    Raises:
        InvalidArgument: A text in it has half a surrogate pair.
    """
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise InvalidArgument("JSON schema: a text has half a surrogate pair") from None
    return text(json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False))


def inside_string(expression: Expression) -> Expression:
    """What a string's characters satisfy, as they are spelled between quotes."""
    match expression:
        case Chars():
            raw = expression & _RAW
            escapes = "".join(letter for meant, letter in _ESCAPED.items() if (Chars.one_of(meant) & expression).ranges)
            escaped = Sequence((text("\\"), Chars.one_of(escapes)))
            return Either((raw, escaped)) if escapes else raw
        case Sequence(items):
            return Sequence(tuple(map(inside_string, items)))
        case Either(items):
            return Either(tuple(map(inside_string, items)))
        case Repeat(item, low, high, separator):
            return Repeat(inside_string(item), low, high, separator and inside_string(separator))
        case Listed(items, separator):
            return Listed(tuple((inside_string(item), required) for item, required in items), inside_string(separator))
        case Rule():
            return expression


def string(characters: Expression) -> Sequence:
    """A string whose characters satisfy an expression."""
    return Sequence((QUOTE, inside_string(characters), QUOTE))


ANY_STRING = string(Repeat(ANY))


def key_beside(names: list[str]) -> Sequence:
    """A string that is none of these."""
    return string(_beside(frozenset(names)))


def _beside(names: frozenset[str]) -> Expression:
    firsts = sorted({name[0] for name in names if name})
    ways: list[Expression] = [Sequence((ANY - Chars.one_of("".join(firsts)), Repeat(ANY)))]
    for first in firsts:
        rests = frozenset(name[1:] for name in names if name[:1] == first)
        ways.append(Sequence((Chars.one_of(first), _beside(rests))))
    if "" not in names:
        ways.append(EMPTY)
    return Either(tuple(ways))


def pair(key: Expression, value: Expression) -> Sequence:
    """A property."""
    return Sequence((key, COLON, value))


def many(item: Expression, low: int = 1, high: int | None = None) -> Repeat:
    """Some, with commas between them."""
    return Repeat(item, low, high, COMMA)


def any_value() -> dict[str, Expression]:
    """The rules behind ``ANY_VALUE``, ``ANY_OBJECT`` and ``ANY_ARRAY``."""
    constants = tuple(map(spelled, (True, False, None)))
    return {
        ANY_VALUE.name: Either((ANY_OBJECT, ANY_ARRAY, ANY_STRING, number(), *constants)),
        ANY_OBJECT.name: Sequence((text("{"), many(pair(ANY_STRING, ANY_VALUE), 0), text("}"))),
        ANY_ARRAY.name: Sequence((text("["), many(ANY_VALUE, 0), text("]"))),
    }


# ------------------------------------------------------------ numbers


def number() -> Expression:
    """Any number that a double holds."""
    whole = Either((text("0"), Sequence((_NOT_ZERO, Repeat(_DIGIT, 0, MAX_DIGITS - 1)))))
    fraction = Sequence((text("."), Repeat(_DIGIT, 1, MAX_DIGITS)))
    exponent = Sequence((Chars.one_of("eE"), optional(Chars.one_of("+-")), Repeat(_DIGIT, 1, 2)))
    return Sequence((optional(text("-")), whole, optional(fraction), optional(exponent)))


def integer(low: int | None, high: int | None) -> Expression:
    """Whole numbers from low to high, both inside; without a bound, as far as ``MAX_DIGITS`` go."""
    most = 10**MAX_DIGITS - 1
    first, last = max(-most, -most if low is None else low), min(most, most if high is None else high)
    ways: list[Expression] = []
    if first < 0:
        ways.append(Sequence((text("-"), _between(max(1, -last), -first))))
    if last >= 0:
        ways.append(_between(max(0, first), last))
    return Either(tuple(ways))


def bounded(low: int | None, high: int | None, *, above: bool, below: bool) -> Expression:
    """
    Numbers in a range, without an exponent.

    Args:
        low: The least, of at most ``MAX_BOUND``; none is without end.
        high: The greatest.
        above: More than ``low``, and not ``low`` itself.
        below: Less than ``high``.
    """
    ways: list[Expression] = []
    if high is None or high > 0 or (high == 0 and not below):
        bare = low is None or low < 0
        ways.append(_magnitude(0 if bare else low or 0, high, above=above and not bare, below=below))
    if low is None or low < 0:
        bare = high is None or high >= 0
        # What is behind the sign is turned round; zero itself was above.
        ways.append(
            Sequence(
                (
                    text("-"),
                    _magnitude(
                        0 if bare else -(high or 0), None if low is None else -low, above=bare or below, below=above
                    ),
                )
            )
        )
    return Either(tuple(ways))


def _magnitude(low: int, high: int | None, *, above: bool, below: bool) -> Expression:
    """Numbers from 0 on."""
    some = Sequence((text("."), Repeat(_DIGIT, 1, _BOUNDED_FRACTION_DIGITS)))
    none = optional(Sequence((text("."), Repeat(text("0"), 1, _BOUNDED_FRACTION_DIGITS))))
    not_zero = Sequence(
        (
            text("."),
            Either(
                tuple(
                    Sequence(
                        (
                            Repeat(text("0"), zeros, zeros),
                            _NOT_ZERO,
                            Repeat(_DIGIT, 0, _BOUNDED_FRACTION_DIGITS - 1 - zeros),
                        )
                    )
                    for zeros in range(_BOUNDED_FRACTION_DIGITS)
                )
            ),
        )
    )
    last = 10**MAX_DIGITS - 1 if high is None else high
    if low > last:
        return Either(())
    ways: list[Expression] = []
    if low == last:
        return Either(()) if above or below else Sequence((_between(low, low), none))
    ways.append(Sequence((_between(low, low), not_zero if above else optional(some))))
    if low + 1 <= last - 1:
        ways.append(Sequence((_between(low + 1, last - 1), optional(some))))
    if not below:
        ways.append(Sequence((_between(last, last), none)))
    return Either(tuple(ways))


def _between(low: int, high: int) -> Expression:
    """Decimal digits of the numbers from low to high, both at least 0."""
    ways = []
    for length in range(len(str(low)), len(str(high)) + 1):
        first, last = max(low, 10 ** (length - 1) if length > 1 else 0), min(high, 10**length - 1)
        if first <= last:
            ways.append(_same_length(str(first), str(last)))
    return Either(tuple(ways))


def _same_length(low: str, high: str) -> Expression:
    """Strings of digits between two of the same length."""
    if not low:
        return EMPTY
    rest = len(low) - 1
    if low == "0" * len(low) and high == "9" * len(high):
        return Repeat(_DIGIT, len(low), len(low))
    if low[0] == high[0]:
        return Sequence((Chars.one_of(low[0]), _same_length(low[1:], high[1:])))
    middle = Chars.of((ord(low[0]) + 1, ord(high[0]) - 1))
    return Either(
        (
            Sequence((Chars.one_of(low[0]), _same_length(low[1:], "9" * rest))),
            Sequence((middle, Repeat(_DIGIT, rest, rest))),
            Sequence((Chars.one_of(high[0]), _same_length("0" * rest, high[1:]))),
        )
    )
