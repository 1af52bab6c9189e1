"""Llama 3.1 to 3.3: the reply is ``{"name": …, "parameters": …}``, some with ``<|python_tag|>`` before it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from wit_llm.text.formats.base import Demand, Family, any_call
from wit_llm.text.formats.whole import Whole

if TYPE_CHECKING:
    from wit_llm.text.tools import Tools

MARK = "<|python_tag|>"
_WRITTEN = re.compile(r"\{\\?[\"']name\\?[\"']:.*?\\?[\"']parameters\\?[\"']:", re.DOTALL)


def _writes(source: str) -> bool:
    return "<|start_header_id|>" in source and _WRITTEN.search(source) is not None


def _reader(tools: Tools) -> Whole:
    return Whole(tools, (MARK,))


def _demand(tools: Tools, source: str) -> Demand:  # noqa: ARG001 -- all templates of this family read it
    return Demand("", any_call(tools, "parameters"))


FAMILY = Family("llama", (MARK,), _writes, _reader, _demand)
