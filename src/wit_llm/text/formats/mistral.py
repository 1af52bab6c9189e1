"""
Mistral: ``[TOOL_CALLS][{"name": …, "arguments": …, "id": …}]``, and since 2025 ``[TOOL_CALLS]NAME[ARGS]{…}``.

The newer ones put an id between the two: ``[TOOL_CALLS]NAME[CALL_ID]ID[ARGS]{…}``. Nothing marks the end of a call.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from wit_llm.text.formats.base import Demand, Family, any_call
from wit_llm.text.formats.marked import Marked
from wit_llm.text.formats.values import call, call_of, read_value

if TYPE_CHECKING:
    from wit_llm.text.formats.marked import Read
    from wit_llm.text.message import Call
    from wit_llm.text.tools import Tools

START, CALL_ID, ARGS = "[TOOL_CALLS]", "[CALL_ID]", "[ARGS]"
_ID = re.compile(r"[A-Za-z0-9]{9}")
_NAMED = re.compile(r"\s*([^\s\[\]{}]+?)\s*(?:\[CALL_ID\]([^\[\]]*))?\[ARGS\]")


def _read(body: str) -> Read:
    named = _NAMED.match(body)
    if named is not None:
        arguments, end = read_value(body, named.end())
        return [_own(call(named[1], arguments, named[2]))], body[end:]
    values, end = read_value(body)
    calls = [_own(call_of(value)) for value in (values if isinstance(values, list) else [values])]
    if not calls:
        raise ValueError("it calls nothing")
    return calls, body[end:]


def _own(call: Call) -> Call:
    """A call without an id that the model's own template would refuse."""
    return call if _ID.fullmatch(call.id) else replace(call, id="")


def _reader(tools: Tools) -> Marked:  # noqa: ARG001 -- a call of what is not there is the guest's to answer
    return Marked(START, None, _read)


def _demand(tools: Tools, source: str) -> Demand:
    # No schema says a control token, so that only a name that is known ahead can stand before one.
    if ARGS in source and len(tools.names) == 1:
        (name,) = tools.names
        return Demand(f"{START}{name}{ARGS}", tools.schema(name))
    return Demand(START, {"type": "array", "items": any_call(tools, "arguments"), "minItems": 1, "maxItems": 1})


FAMILY = Family("mistral", (START, CALL_ID, ARGS), lambda source: START in source, _reader, _demand)
