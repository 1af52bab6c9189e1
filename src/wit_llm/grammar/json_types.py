"""What the keywords of one type say."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from wit_llm.errors import InvalidArgument, Unsupported
from wit_llm.grammar import json_text
from wit_llm.grammar.expression import ANY, EMPTY, Expression, Listed, Repeat, Sequence, optional, text
from wit_llm.grammar.json_formats import FORMATS
from wit_llm.grammar.json_values import counts, invalid, is_number, listed, unsupported
from wit_llm.grammar.regex import read_regex

if TYPE_CHECKING:
    from wit_llm.grammar.json_values import Json

KEYWORDS = {
    "object": ("properties", "required", "additionalProperties"),
    "array": ("prefixItems", "items", "minItems", "maxItems", "uniqueItems"),
    "string": ("minLength", "maxLength", "pattern", "format"),
    "number": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"),
}

# What a schema, which stands somewhere, says.
Read = Callable[["Json", str], Expression]
# The same, kept apart from where it is needed.
Keep = Callable[[Expression, str], Expression]

# Longer lists do not hold a copy of each item.
_FEW_ITEMS = 8


def object_of(schema: dict[str, Json], where: str, read: Read) -> Expression:
    """
    An object: the properties that are declared, in that order, then others where there is a schema for them.

    Raises:
        InvalidArgument: A keyword's value is not what it should be.
        Unsupported: As ``read``.
    """
    properties = schema.get("properties", {})
    if not isinstance(properties, dict):
        raise invalid("'properties' is an object", where)
    required = listed(schema.get("required", []), f"{where}/required", empty=True)
    if not all(isinstance(name, str) for name in required):
        raise invalid("'required' is a list of names", where)
    additional = schema.get("additionalProperties", True)
    if not (properties or required) and additional is True:
        return json_text.ANY_OBJECT
    other = read(additional, f"{where}/additionalProperties")
    items: list[tuple[Expression, bool]] = []
    for name in dict.fromkeys([*properties, *required]):
        value = read(properties[name], f"{where}/properties/{name}") if name in properties else other
        items.append((json_text.pair(json_text.spelled(name), value), name in required))
    if isinstance(additional, dict):
        key = json_text.key_beside([*properties, *required])
        items.append((json_text.many(json_text.pair(key, other)), False))
    return Sequence((text("{"), Listed(tuple(items), json_text.COMMA), text("}")))


def array_of(schema: dict[str, Json], where: str, read: Read, keep: Keep) -> Expression:
    """
    An array.

    Raises:
        InvalidArgument: A keyword's value is not what it should be.
        Unsupported: ``uniqueItems``; as ``read``.
    """
    if schema.get("uniqueItems", False) is not False:
        raise unsupported("'uniqueItems'", where)
    low, high = counts(schema, "minItems", "maxItems", where)
    prefix = listed(schema["prefixItems"], f"{where}/prefixItems") if "prefixItems" in schema else []
    items = [read(one, f"{where}/prefixItems/{number}") for number, one in enumerate(prefix)][:high]
    item = read(schema.get("items", True), f"{where}/items")
    if max(low, high or 0) > _FEW_ITEMS:
        item = keep(item, f"{where}/items")
    least, most = max(0, low - len(items)), None if high is None else high - len(items)
    if not items:
        return Sequence((text("["), json_text.many(item, least, most), text("]")))
    expression: Expression = Repeat(Sequence((json_text.COMMA, item)), least, most)
    # From the end, because each item is there only with those before it.
    for number in range(len(items) - 1, -1, -1):
        expression = Sequence((json_text.COMMA if number else EMPTY, items[number], expression))
        if number >= low:
            expression = optional(expression)
    return Sequence((text("["), expression, text("]")))


def string_of(schema: dict[str, Json], where: str) -> Expression:
    """
    A string.

    Raises:
        InvalidArgument: A keyword's value is not what it should be.
        Unsupported: A pattern or a format that cannot be enforced, or either beside another keyword.
    """
    said = [keyword for keyword in ("pattern", "format", "minLength", "maxLength") if keyword in schema]
    if len(said) > 1 and said[0] in ("pattern", "format"):
        raise unsupported(f"{said[0]!r} beside {said[1]!r}", where)
    if "pattern" in schema:
        return json_text.string(_pattern(schema["pattern"], where))
    if "format" in schema:
        name = schema["format"]
        if not isinstance(name, str):
            raise invalid("'format' is a text", where)
        if name not in FORMATS:
            raise unsupported(f"'format' {name[:80]!r}", where, f"{', '.join(FORMATS)} can")
        return json_text.string(FORMATS[name])
    return json_text.string(Repeat(ANY, *counts(schema, "minLength", "maxLength", where)))


def _pattern(pattern: Json, where: str) -> Expression:
    if not isinstance(pattern, str):
        raise invalid("'pattern' is a text", where)
    try:
        return read_regex(pattern, whole=False)
    except (InvalidArgument, Unsupported) as error:
        raise type(error)(f"JSON schema: {error}, of {where}") from None


def number_of(schema: dict[str, Json], where: str) -> Expression:
    """
    A number.

    Raises:
        InvalidArgument: A keyword's value is not what it should be.
        Unsupported: A bound that is no whole number, or a large one.
    """
    least, greatest = _least(schema, where), _greatest(schema, where)
    if least is None and greatest is None:
        return json_text.number()
    for bound in (least, greatest):
        if bound is not None and (bound[0] != int(bound[0]) or abs(bound[0]) > json_text.MAX_BOUND):
            instead = f"whole numbers up to {json_text.MAX_BOUND} can, and any for an integer"
            raise unsupported(f"a bound of {bound[0]} for a number", where, instead)
    return json_text.bounded(
        None if least is None else int(least[0]),
        None if greatest is None else int(greatest[0]),
        above=least is not None and least[1],
        below=greatest is not None and greatest[1],
    )


def integer_of(schema: dict[str, Json], where: str) -> Expression:
    """
    A whole number.

    Raises:
        InvalidArgument: A keyword's value is not what it should be.
    """
    least, greatest = _least(schema, where), _greatest(schema, where)
    low = None if least is None else math.floor(least[0]) + 1 if least[1] else math.ceil(least[0])
    high = None if greatest is None else math.ceil(greatest[0]) - 1 if greatest[1] else math.floor(greatest[0])
    return json_text.integer(low, high)


# A bound, and whether it is itself outside.
_Bound = tuple[int | float, bool]


def _least(schema: dict[str, Json], where: str) -> _Bound | None:
    return max(_bounds(schema, "minimum", "exclusiveMinimum", where), default=None)


def _greatest(schema: dict[str, Json], where: str) -> _Bound | None:
    return min(
        _bounds(schema, "maximum", "exclusiveMaximum", where), key=lambda one: (one[0], not one[1]), default=None
    )


def _bounds(schema: dict[str, Json], inside: str, outside: str, where: str) -> list[_Bound]:
    found = []
    for keyword in (inside, outside):
        if keyword in schema:
            if not is_number(schema[keyword]):
                raise invalid(f"{keyword!r} is a number", where)
            found.append((schema[keyword], keyword == outside))
    return found
