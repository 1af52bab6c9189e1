"""
Qwen 3 Coder and Qwen 3.5: a call is written as tags, a parameter a tag.

``<tool_call><function=NAME><parameter=KEY>`` … ``</parameter></function></tool_call>``.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from wit_llm.text.formats.base import Family
from wit_llm.text.formats.hermes import END, START
from wit_llm.text.formats.marked import Marked
from wit_llm.text.formats.values import Unfinished, call, read_value

if TYPE_CHECKING:
    from wit_llm.text.formats.marked import Read
    from wit_llm.text.tools import Tools

_FUNCTION = re.compile(r"\s*<function=([^>\n]*)>(.*)</function>\s*", re.DOTALL)
_PARAMETER = re.compile(r"\s*<parameter=([^>\n]*)>\n?(.*?)\n?</parameter>\s*", re.DOTALL)


def _reader(tools: Tools) -> Marked:
    def read(body: str) -> Read:
        if "</function>" not in body:
            raise Unfinished
        function = _FUNCTION.fullmatch(body)
        if function is None:
            raise ValueError("it is no function")
        types = tools.types_of(function[1])
        arguments: dict[str, Any] = {}
        at = 0
        while at < len(function[2]):
            parameter = _PARAMETER.match(function[2], at)
            if parameter is None:
                if function[2][at:].strip():
                    raise ValueError("between the parameters is something else")
                break
            arguments[parameter[1]] = _argument(parameter[2], types.get(parameter[1], "string"))
            at = parameter.end()
        return [call(function[1], arguments)], ""

    return Marked(START, END, read)


def _argument(text: str, ty: str) -> Any:  # noqa: ANN401 -- any JSON
    """A value of a parameter whose schema says ``ty``; what is no JSON is text, and shows the guest what was meant."""
    if ty == "string":
        return text
    try:
        value, end = read_value(text)
    except (ValueError, Unfinished):
        return text
    return text if text[end:].strip() else value


FAMILY = Family("qwen-coder", (START, END), lambda source: "<function=" in source and START in source, _reader, None)
