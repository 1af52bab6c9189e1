"""
Models without marks of their own, told to answer in JSON: the reply is one call, or a list of them.

``{"name": …, "arguments": …}``, bare or as a fenced block. No template shows it, so that a manifest has to say so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wit_llm.text.formats.base import Demand, Family, any_call
from wit_llm.text.formats.whole import Whole

if TYPE_CHECKING:
    from wit_llm.text.tools import Tools


def _reader(tools: Tools) -> Whole:
    return Whole(tools, fenced=True, listed=True)


def _demand(tools: Tools, source: str) -> Demand:  # noqa: ARG001 -- no template shows this format
    return Demand("", any_call(tools, "arguments"))


FAMILY = Family("json", (), lambda _: False, _reader, _demand)
