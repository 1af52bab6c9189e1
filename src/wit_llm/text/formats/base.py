"""What a reply is cut into, and the seam: a family of models, and who reads one reply of it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from wit_llm.options import JsonSchema
from wit_llm.text.message import Call, Reasoning, Text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from wit_llm.text.tools import Tools

Piece = Text | Reasoning | Call


class Reader(Protocol):
    """
    One reply on its way from text to pieces.

    Nothing of a mark, however it is cut up, is ever part of a text; and nothing that was produced is ever lost: what
    began like a call and is none comes as text, marks and all.
    """

    def push(self, text: str) -> Sequence[Piece]:
        """Take what came; returns what is certain now. A call has the model's own id, or an empty one."""

    def flush(self) -> Sequence[Piece]:
        """What was held back: the reply is over."""


@dataclass(frozen=True, slots=True)
class Demand:
    """
    A reply that has to be a call.

    Args:
        opening: What the prompt ends with, as if the model had begun with it.
        schema: What the rest of the reply is held to.
    """

    opening: str
    schema: Mapping[str, Any]

    @property
    def constraint(self) -> JsonSchema:
        """The schema as a constraint."""
        return JsonSchema(json.dumps(self.schema))


def any_call(tools: Tools, arguments: str) -> dict[str, Any]:
    """The schema of an object that calls one of these, its arguments under that key."""
    calls = [
        {
            "type": "object",
            # With an '$id', or else its references would go within the whole schema.
            "properties": {"name": {"const": name}, arguments: {**tools.schema(name), "$id": name}},
            "required": ["name", arguments],
        }
        for name in tools.names
    ]
    return {"anyOf": calls}


@dataclass(frozen=True, slots=True)
class Family:
    """
    Models that write calls in the same way.

    Args:
        name: As a manifest has it.
        marks: Text of the control tokens that a reader has to see.
        writes: Whether a chat template with this source is for such models.
        reader: For one reply, by the tools that it may call.
        demand: Of a reply that has to call one of these tools, by the template's source; none where that cannot be.
    """

    name: str
    marks: tuple[str, ...]
    writes: Callable[[str], bool]
    reader: Callable[[Tools], Reader]
    demand: Callable[[Tools, str], Demand] | None


class Spaces:
    """
    Text that comes in pieces, without the spaces at its end, and on demand without those at its start.

    Args:
        leading: Those at the start are let through.
    """

    def __init__(self, *, leading: bool) -> None:
        self._leading = leading
        self._held: list[str] = []

    def push(self, text: str) -> str:
        """Take a piece; spaces wait for what follows them."""
        if not self._leading:
            text = text.lstrip()
            self._leading = bool(text)
        if not text or text.isspace():
            self._held.append(text)
            return ""
        text = "".join([*self._held, text])
        shown = text.rstrip()
        self._held = [text[len(shown) :]]
        return shown

    def flush(self) -> str:
        """The spaces that wait."""
        held, self._held = "".join(self._held), []
        return held
