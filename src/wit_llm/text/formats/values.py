"""Calls that a model wrote as JSON."""

from __future__ import annotations

import json
import re
from typing import Any, NoReturn

from wit_llm.text.message import Call
from wit_llm.text.tools import NAME, deeper, whole

_SPACES = re.compile(r"\s*")


class Unfinished(Exception):
    """A text that ends inside a JSON string: what looks like the end of the call may be part of it."""


def read_value(text: str, start: int = 0) -> tuple[Any, int]:
    """
    A JSON value inside a text, and where it ends.

    Raises:
        ValueError: There is none, or nothing that this host would pass on: NaN, a number without bounds, nesting
            without end.
        Unfinished: The text ends inside one of its strings.
    """
    start = _SPACES.match(text, start).end()  # type: ignore[union-attr]  # it matches everywhere
    try:
        value, end = _DECODER.raw_decode(text, start)
    except json.JSONDecodeError as exc:
        if exc.msg.startswith("Unterminated string"):
            raise Unfinished from exc
        raise
    except RecursionError as exc:
        raise ValueError("nested without end") from exc
    return value, end


def read_values(text: str) -> list[Any]:
    """
    Several values in a row, with spaces, commas or semicolons between them; a list stands for what is in it.

    Raises:
        ValueError: As ``read_value``, or there is something else in the text.
        Unfinished: As ``read_value``.
    """
    values: list[Any] = []
    at = 0
    while at < len(text):
        value, at = read_value(text, at)
        values += value if isinstance(value, list) else [value]
        at = _BETWEEN.match(text, at).end()  # type: ignore[union-attr]  # it matches everywhere
    return values


def call_of(value: Any) -> Call:  # noqa: ANN401 -- any JSON
    """
    The call that a value is: ``name`` and ``arguments`` or ``parameters``, and ``id`` where the model gives one.

    Some put name and arguments into ``function``, some the name alone.

    Arguments that are not there are none; those that are a text are the JSON in it.

    Raises:
        ValueError: It is no call.
    """
    if not isinstance(value, dict):
        raise ValueError("a call is an object")  # noqa: TRY004 -- one class for all that is no call
    function = value.get("function")
    if isinstance(function, dict):
        value = {**value, **function}
    return call(value.get("name", function), value.get("arguments", value.get("parameters")), value.get("id"))


def call(name: Any, arguments: Any, call_id: Any = None) -> Call:  # noqa: ANN401 -- any JSON
    """
    A call by what a model wrote of it.

    Raises:
        ValueError: It has no name, or arguments that are no object.
    """
    if isinstance(arguments, str):
        arguments = _inside(arguments)
    arguments = {} if arguments is None else arguments
    if not isinstance(name, str) or not NAME.fullmatch(name) or not isinstance(arguments, dict):
        raise ValueError("a call has a name and an object of arguments")
    own = call_id if isinstance(call_id, str) and NAME.fullmatch(call_id) else ""
    if deeper(arguments):
        raise ValueError("nested deeper than a guest's own arguments may be")
    # No half of a surrogate pair could be rendered again; it is U+FFFD here as in any text of a model's.
    return Call(own, name, whole(json.dumps(arguments, ensure_ascii=False, allow_nan=False)))


def _inside(text: str) -> Any:  # noqa: ANN401 -- any JSON
    """The value that a string holds as JSON, and nothing else."""
    try:
        value, end = read_value(text)
    except Unfinished as exc:
        raise ValueError("the string ends inside a string") from exc
    if text[end:].strip():
        raise ValueError("behind the value is something else")
    return value


def _refuse(word: str) -> NoReturn:
    raise ValueError(f"{word} is no JSON")


_DECODER = json.JSONDecoder(parse_constant=_refuse)
_BETWEEN = re.compile(r"[\s,;]*")
