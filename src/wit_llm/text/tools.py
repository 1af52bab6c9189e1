"""Tools that a guest lends a model for one turn, checked and as chat templates take them; and ids of their calls."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from wit_llm.errors import InvalidArgument
from wit_llm.options import NoTool, OnlyTool, RequiredTool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from wit_llm.options import Tool, ToolChoice

DEPTH = 64
_ESCAPED_HALF = re.compile(r"\\u[dD]")
NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")


@dataclass(frozen=True, slots=True)
class Tools:
    """
    Tools of one turn.

    Args:
        definitions: Each as the template takes it.
    """

    definitions: tuple[Mapping[str, Any], ...]

    @property
    def names(self) -> tuple[str, ...]:
        """What each is called."""
        return tuple(definition["function"]["name"] for definition in self.definitions)

    def only(self, name: str) -> Tools:
        """The one of that name."""
        return Tools(tuple(one for one in self.definitions if one["function"]["name"] == name))

    def schema(self, name: str) -> dict[str, Any]:
        """Of a tool's arguments; of an object at least, where there is no tool of that name."""
        found: Mapping[str, Any] = {}
        for definition in self.only(name).definitions:
            found = definition["function"]["parameters"]
        return {"type": "object", **found}

    def types_of(self, name: str) -> dict[str, str]:
        """The types of a tool's parameters, as far as its schema says one in a word."""
        properties = self.schema(name).get("properties")
        schemas = properties if isinstance(properties, dict) else {}
        types = {key: schema.get("type") for key, schema in schemas.items() if isinstance(schema, dict)}
        return {key: ty if isinstance(ty, str) else "any" for key, ty in types.items()}


def read_tools(tools: Sequence[Tool], choice: ToolChoice | None = None) -> Tools | None:
    """
    Check tools and the choice among them; none where the model is to know of none.

    Raises:
        InvalidArgument: A name of another form or there twice, a schema that is not one of an object, a choice of what
            is not there.
    """
    names: set[str] = set()
    for tool in tools:
        if not NAME.fullmatch(tool.name):
            raise InvalidArgument(f"a tool's name is 1 to 64 of A-Z a-z 0-9 _ . -, got {tool.name[:80]!r}")
        if tool.name in names:
            raise InvalidArgument(f"tool {tool.name!r} is there twice")
        names.add(tool.name)
    definitions = tuple(
        {
            "type": "function",
            "function": {"name": tool.name, "description": tool.description, "parameters": _schema(tool)},
        }
        for tool in tools
    )
    if isinstance(choice, OnlyTool) and choice.name not in names:
        raise InvalidArgument(
            f"tool-choice is {choice.name[:80]!r}; the tools are {', '.join(sorted(names)) or 'none'}"
        )
    if isinstance(choice, RequiredTool) and not tools:
        raise InvalidArgument("tool-choice is required, and there is no tool")
    return Tools(definitions) if definitions and not isinstance(choice, NoTool) else None


def _schema(tool: Tool) -> dict[str, Any]:
    where = f"parameters-json-schema of tool {tool.name!r}"
    schema = read_object(tool.parameters_json_schema, where)
    if schema.get("type", "object") != "object":
        raise InvalidArgument(f"{where} must be of type object, got {schema['type']!r:.80}")
    return schema


def read_object(text: str, where: str) -> dict[str, Any]:
    """
    A JSON object that a guest wrote.

    Raises:
        InvalidArgument: It is something else, nested deeper than 64, or has half a surrogate pair.
    """
    try:
        value = json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError) as exc:
        raise InvalidArgument(f"{where} is not JSON: {str(exc) or 'nested too deeply'}") from exc
    if not isinstance(value, dict):
        raise InvalidArgument(f"{where} must be a JSON object, got {text[:80]!r}")
    if deeper(value):
        raise InvalidArgument(f"{where} is nested deeper than {DEPTH}")
    if _ESCAPED_HALF.search(text) and whole(text_of := json.dumps(value, ensure_ascii=False)) != text_of:
        raise InvalidArgument(f"{where} has half a surrogate pair")
    return value


def deeper(value: object, depth: int = DEPTH) -> bool:
    """Whether a JSON value has more levels than that."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return depth < 0 or any(deeper(item, depth - 1) for item in inner)


def whole(text: str) -> str:
    """A text with U+FFFD for each half of a surrogate pair."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _refuse(word: str) -> NoReturn:
    raise ValueError(f"{word} is no JSON")


class CallIds:
    """
    Ids of calls, unique in a session: nine letters and digits, because Mistral's templates take no others.

    Args:
        count: How many there were.
    """

    def __init__(self, count: int = 0) -> None:
        self.count = count

    def for_reply(self, taken: Iterable[str]) -> Callable[[str], str]:
        """
        The id of each call of one reply: the model's own, or where that is empty or taken one never given before.

        Args:
            taken: Ids of the conversation so far.
        """
        used = set(taken)

        def name(own: str) -> str:
            call_id = own
            while not call_id or call_id in used:
                self.count += 1
                call_id = f"call{self.count:05x}"
            used.add(call_id)
            return call_id

        return name
