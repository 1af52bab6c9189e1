"""
Messages and tools as chat templates take them: the convention of ``transformers``.

Every text of a guest's, wherever in a message or a schema it stands, goes through one function, which may put stand-ins
into it; see ``guard``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import Enum
from typing import TYPE_CHECKING, Any

from wit_llm.errors import InvalidArgument, Unsupported
from wit_llm.text.message import Call, Media, Outcome, Reasoning, Role, Text
from wit_llm.text.tools import NAME, read_object

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from wit_llm.text.formats.reasoning import Marks
    from wit_llm.text.message import Message, Part
    from wit_llm.text.tools import Tools

Show = Callable[[str], str]

# Words of JSON Schema that templates look at. A stand-in in one would hide it from them; alone none makes a control
# token, though some control tokens have one of them inside.
_SCHEMA_WORDS = frozenset(
    "type properties required description items enum title default const format pattern anyOf oneOf allOf not $ref "
    "$defs definitions additionalProperties nullable minimum maximum minLength maxLength minItems maxItems "
    "string number integer boolean object array null".split()
)
_GOES: Mapping[Role, tuple[type[Part], ...]] = {
    Role.SYSTEM: (Text,),
    Role.USER: (Text,),
    Role.ASSISTANT: (Text, Reasoning, Call),
    Role.TOOL: (Text, Outcome),
}


def check_parts(messages: Sequence[Message]) -> None:
    """
    Whether each message has parts that its role can have.

    Raises:
        InvalidArgument: A part that only another role has; a call without a name, or with arguments that are no JSON
            object; a tool's message with both text and outcomes.
        Unsupported: A part that no model here takes.
    """
    for message in messages:
        for part in message.parts:
            if isinstance(part, Media):
                raise Unsupported("a media part of a message is not supported by this host; text is")
            if not isinstance(part, _GOES[message.role]):
                name = type(part).__name__.lower()
                raise InvalidArgument(f"a message of role {message.role.value} has no {name} part")
            if isinstance(part, Call):
                _check_call(part)
        if message.role is Role.TOOL and len({type(part) for part in message.parts}) > 1:
            raise InvalidArgument("a message of role tool has either text or outcomes")


def _check_call(call: Call) -> None:
    if not NAME.fullmatch(call.name):
        raise InvalidArgument(f"a call's name is 1 to 64 of A-Z a-z 0-9 _ . -, got {call.name[:80]!r}")
    read_object(call.arguments_json, f"arguments-json of call {call.id[:80]!r}")


def check_calls(messages: Sequence[Message]) -> None:
    """
    Whether each call of a conversation has an id of its own, and each outcome is that of an earlier call.

    Raises:
        InvalidArgument: Names the id.
    """
    calls: set[str] = set()
    for part in (part for message in messages for part in message.parts):
        if isinstance(part, Call):
            if part.id in calls:
                raise InvalidArgument(f"there are two calls of id {part.id[:80]!r}")
            calls.add(part.id)
        if isinstance(part, Outcome) and part.id not in calls:
            raise InvalidArgument(f"outcome {part.id[:80]!r} is that of no call before it")


class _Way(Enum):
    """Where a template takes reasoning of earlier replies."""

    KEY = "reasoning_content"
    BLOCKS = "a block of the content"
    INLINE = "marked, in the content"
    NOT = "nowhere"


class Filling:
    """
    What one template is filled with.

    Args:
        source: The template.
        marks: How the model marks reasoning.
    """

    def __init__(self, source: str, marks: Marks | None) -> None:
        self._marks = marks
        self._way = _way(source, marks)

    def messages(self, messages: Sequence[Message], show: Show, end: str = "") -> list[dict[str, Any]]:
        """
        Messages for the template.

        Args:
            messages: That passed ``check_parts``.
            show: What to put for a text of a guest's.
            end: Put behind the last part's text.
        """
        names = {part.id: part.name for message in messages for part in message.parts if isinstance(part, Call)}
        filled: list[dict[str, Any]] = []
        for place, message in enumerate(messages):
            outcomes = [part for part in message.parts if isinstance(part, Outcome)]
            if outcomes:
                filled += [_outcome(part, names.get(part.id, ""), show) for part in outcomes]
            else:
                filled.append(self._message(message, show, end if place == len(messages) - 1 else ""))
        return filled

    @staticmethod
    def tools(tools: Tools | None, show: Show) -> list[dict[str, Any]] | None:
        """Tools for the template; none where there are none."""
        if tools is None:
            return None
        filled = []
        for definition in tools.definitions:
            function = definition["function"]
            filled.append(
                {
                    "type": "function",
                    "function": {
                        "name": show(function["name"]),
                        "description": show(function["description"]),
                        "parameters": _shown(function["parameters"], show, _SCHEMA_WORDS),
                    },
                }
            )
        return filled

    def _message(self, message: Message, show: Show, end: str) -> dict[str, Any]:
        reasoning = message.reasoning if self._way is not _Way.NOT else ""
        last_is_reasoning = bool(message.parts) and isinstance(message.parts[-1], Reasoning)
        text = show(message.text) + ("" if last_is_reasoning else end)
        filled: dict[str, Any] = {"role": message.role.value, "content": text}
        if reasoning:
            thought = show(reasoning) + (end if last_is_reasoning else "")
            filled |= self._reasoning(thought, text)
        calls = [part for part in message.parts if isinstance(part, Call)]
        if calls:
            filled["tool_calls"] = [_call(part, show) for part in calls]
        return filled

    def _reasoning(self, thought: str, text: str) -> dict[str, Any]:
        if self._way is _Way.KEY:
            return {"reasoning_content": thought}
        if self._way is _Way.BLOCKS:
            said = [{"type": "text", "text": text}] if text else []
            return {"content": [{"type": "thinking", "thinking": thought}, *said]}
        marks = self._marks
        return {"content": f"{marks.start}\n{thought}\n{marks.end}\n\n{text}"} if marks is not None else {}


def _way(source: str, marks: Marks | None) -> _Way:
    if re.search(r"\breasoning_content\b", source):
        return _Way.KEY
    if re.search(r"\[['\"]thinking['\"]\]", source):
        return _Way.BLOCKS
    return _Way.INLINE if marks is not None and marks.end in source else _Way.NOT


def _call(call: Call, show: Show) -> dict[str, Any]:
    arguments = _shown(read_object(call.arguments_json, f"arguments-json of call {call.id[:80]!r}"), show)
    return {"id": show(call.id), "type": "function", "function": {"name": show(call.name), "arguments": arguments}}


def _outcome(outcome: Outcome, name: str, show: Show) -> dict[str, Any]:
    # No template has a place for whether a tool failed.
    content = f"Error: {outcome.content}" if outcome.is_error else outcome.content
    return {"role": "tool", "content": show(content), "tool_call_id": show(outcome.id), "name": show(name)}


def _shown(value: Any, show: Show, words: frozenset[str] = frozenset()) -> Any:  # noqa: ANN401 -- any JSON
    """A JSON value with every text in it shown, but these words."""
    if isinstance(value, str):
        return value if value in words else show(value)
    if isinstance(value, list):
        return [_shown(item, show, words) for item in value]
    if isinstance(value, dict):
        return {_shown(key, show, words): _shown(item, show, words) for key, item in value.items()}
    return value
