"""A JSON schema as a value, and what is wrong with it where."""

from __future__ import annotations

import json
from typing import Any, NoReturn

from wit_llm.errors import InvalidArgument, Unsupported
from wit_llm.grammar.reading import MAX_BYTES, MAX_COUNT

# What ``json.loads`` gives.
Json = Any

TYPES = ("object", "array", "string", "number", "integer", "boolean", "null")


def read_json(source: str) -> Json:
    """
    The value that a text spells.

    Raises:
        InvalidArgument: It spells none, is too long or nested too deeply, or has a name twice.
    """
    if len(source.encode(errors="surrogatepass")) > MAX_BYTES:
        raise InvalidArgument(f"a JSON schema has at most {MAX_BYTES} bytes")
    try:
        return json.loads(source, object_pairs_hook=_unique, parse_constant=_no_number, parse_float=_finite)
    except RecursionError:
        raise InvalidArgument("the JSON schema is nested too deeply") from None
    except ValueError as error:
        raise InvalidArgument(f"the JSON schema is not JSON: {error}") from None


def _unique(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"an object has {next(name for name in names if names.count(name) > 1)[:80]!r} twice")
    return found


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")


def _finite(digits: str) -> float:
    value = float(digits)
    if value in (float("inf"), float("-inf")):
        raise ValueError(f"{digits[:80]} is no number that a double holds")
    return value


def invalid(problem: str, where: str) -> InvalidArgument:
    """What is no schema."""
    return InvalidArgument(f"JSON schema: {problem}, at {where}")


def unsupported(thing: str, where: str, instead: str = "") -> Unsupported:
    """What is a schema and cannot be enforced."""
    return Unsupported(f"JSON schema: {thing} cannot be enforced, at {where}{instead and f'; {instead}'}")


def listed(given: Json, where: str, *, empty: bool = False) -> list[Json]:
    """
    A list as it has to be.

    Raises:
        InvalidArgument: It is something else, or empty where it must not be.
    """
    if not isinstance(given, list) or not (given or empty):
        raise invalid(f"a list{'' if empty else ' that is not empty'} is wanted", where)
    return given


def counts(schema: dict[str, Json], least: str, most: str, where: str) -> tuple[int, int | None]:
    """
    How many there are, by two keywords.

    Raises:
        InvalidArgument: They are no counts, too large, or the second is below the first.
    """
    for keyword in (least, most):
        value = schema.get(keyword, 0)
        if not is_number(value) or value != int(value) or value < 0:
            raise invalid(f"{keyword!r} is a whole number from 0 on", where)
        if value > MAX_COUNT:
            raise invalid(f"{keyword!r} is at most {MAX_COUNT} here", where)
    low = int(schema.get(least, 0))
    high = int(schema[most]) if most in schema else None
    if high is not None and low > high:
        raise invalid(f"{most!r} is less than {least!r}", where)
    return low, high


def is_number(value: Json) -> bool:
    """Whether a value is a number to JSON, to which true and false are none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def kinds(value: Json) -> frozenset[str]:
    """The types that a value has."""
    found = {bool: "boolean", str: "string", list: "array", dict: "object", type(None): "null"}.get(type(value))
    if found is not None:
        return frozenset((found,))
    return frozenset(("number", "integer") if value == int(value) else ("number",))


def constants(schema: dict[str, Json], where: str) -> list[Json]:
    """
    The values that ``const`` or ``enum`` names.

    Raises:
        InvalidArgument: ``enum`` is no list.
    """
    return [schema["const"]] if "const" in schema else listed(schema["enum"], f"{where}/enum")


def identity(value: Json) -> str:
    """The same for values that are equal, as 1 and 1.0 are."""
    if isinstance(value, float) and value == int(value):
        value = int(value)
    return json.dumps(value, sort_keys=True)
