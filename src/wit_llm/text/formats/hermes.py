"""Hermes, Qwen 2.5, QwQ, Qwen 3 and others: ``<tool_call>{"name": …, "arguments": …}</tool_call>``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from wit_llm.text.formats.base import Demand, Family, any_call
from wit_llm.text.formats.marked import Marked
from wit_llm.text.formats.values import call_of, read_value

if TYPE_CHECKING:
    from wit_llm.text.formats.marked import Read
    from wit_llm.text.tools import Tools

START, END = "<tool_call>", "</tool_call>"
# As a template writes it: between quotes of Jinja's, a line break and quotes may be escaped.
_WRITTEN = re.compile(r"<tool_call>([\s'\"{}-]|\\n)*\{\\?[\"'](name|arguments)\\?[\"']:")


def _read(body: str) -> Read:
    value, end = read_value(body)
    if body[end:].strip():
        raise ValueError("behind the call is something else")
    return [call_of(value)], ""


def _reader(tools: Tools) -> Marked:  # noqa: ARG001 -- a call of what is not there is the guest's to answer
    return Marked(START, END, _read)


def _demand(tools: Tools, source: str) -> Demand:  # noqa: ARG001 -- all templates of this family read it
    return Demand(f"{START}\n", any_call(tools, "arguments"))


FAMILY = Family("hermes", (START, END), lambda source: _WRITTEN.search(source) is not None, _reader, _demand)
