"""Llama 3.1 to 3.3: the reply is ``{"name": …, "parameters": …}``, some with ``<|python_tag|>`` before it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from wit_llm.text.formats.base import Family
from wit_llm.text.formats.whole import Whole

if TYPE_CHECKING:
    from wit_llm.text.tools import Tools

MARK = "<|python_tag|>"
_WRITTEN = re.compile(r"\{\\?[\"']name\\?[\"']:.*?\\?[\"']parameters\\?[\"']:", re.DOTALL)


def _writes(source: str) -> bool:
    return "<|start_header_id|>" in source and _WRITTEN.search(source) is not None


def _reader(tools: Tools) -> Whole:
    return Whole(tools, (MARK,))


FAMILY = Family("llama", (MARK,), _writes, _reader)
