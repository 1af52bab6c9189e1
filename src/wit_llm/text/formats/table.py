"""Which formats there are, and which one a chat template is for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from wit_llm.errors import OperatorError
from wit_llm.text.formats import hermes, llama, mistral, plain_json, qwen_coder
from wit_llm.text.formats.reasoning import MISTRAL, THINK

if TYPE_CHECKING:
    from wit_llm.text.formats.base import Family
    from wit_llm.text.formats.reasoning import Marks

_FAMILIES = (hermes, qwen_coder, mistral, llama, plain_json)

FAMILIES: dict[str, Family] = {module.FAMILY.name: module.FAMILY for module in _FAMILIES}
REASONING: dict[str, Marks] = {marks.name: marks for marks in (THINK, MISTRAL)}
# Of a manifest: replies are text, whatever the template shows.
NONE = "none"

_TOOLS = re.compile(r"\btools\b")


def renders_tools(source: str) -> bool:
    """Whether a chat template has a place for tools."""
    return _TOOLS.search(source) is not None


@dataclass(frozen=True, slots=True)
class Formats:
    """
    What an operator says of a model's replies.

    Args:
        tools: A name of ``FAMILIES``, or ``NONE``; none to go by the template.
        reasoning: A name of ``REASONING``, or ``NONE``; none to go by the template.

    Raises:
        OperatorError: Another name.
    """

    tools: str | None = None
    reasoning: str | None = None

    def __post_init__(self) -> None:
        for key, name, known in (("tools", self.tools, FAMILIES), ("reasoning", self.reasoning, REASONING)):
            if name is not None and name not in (*known, NONE):
                raise OperatorError(f"{key} is none of {', '.join(known)}, {NONE}: {name!r}")

    def family(self, source: str) -> Family | None:
        """Of the model with this chat template; none where it has no place for tools, or shows no known format."""
        if not renders_tools(source):
            return None
        if self.tools is not None:
            return FAMILIES.get(self.tools)
        return next((family for family in FAMILIES.values() if family.writes(source)), None)

    def marks(self, source: str) -> Marks | None:
        """How the model with this chat template marks reasoning; none where it does not."""
        if self.reasoning is not None:
            return REASONING.get(self.reasoning)
        return next((marks for marks in REASONING.values() if marks.start in source or marks.end in source), None)
