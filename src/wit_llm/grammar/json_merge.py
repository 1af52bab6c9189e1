"""Schemas that all hold, as one that says the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wit_llm.grammar.json_values import constants, identity, invalid, is_number, listed, unsupported

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wit_llm.grammar.json_values import Json

_TIGHTEST = {
    **dict.fromkeys(("minimum", "exclusiveMinimum", "minLength", "minItems"), max),
    **dict.fromkeys(("maximum", "exclusiveMaximum", "maxLength", "maxItems"), min),
}
_OBJECTS = ("properties", "required", "additionalProperties")


def merged(schemas: Sequence[dict[str, Json]], where: str) -> dict[str, Json]:
    """
    One schema for several, of which none has a reference or ``allOf``.

    Objects have the properties of all, values what each of them says; of bounds and lengths the tightest count, of
    constants and types those that are in all.

    Raises:
        InvalidArgument: A keyword's value is not what it should be.
        Unsupported: Keywords that only a look at each value could bring together.
    """
    found: dict[str, Json] = {}
    for keyword in dict.fromkeys(keyword for schema in schemas for keyword in schema):
        said = [schema[keyword] for schema in schemas if keyword in schema]
        if keyword in _OBJECTS or keyword in ("const", "enum"):
            continue
        if keyword == "type":
            found[keyword] = _types(said, where)
        elif len({identity(one) for one in said}) == 1:
            found[keyword] = said[0]
        elif keyword in _TIGHTEST:
            if not all(map(is_number, said)):
                raise invalid(f"{keyword!r} is a number", where)
            found[keyword] = _TIGHTEST[keyword](said)
        elif keyword == "items":
            found[keyword] = {"allOf": said}
        else:
            raise unsupported(f"'allOf' with several {keyword!r}", where)
    if "items" in found and any("prefixItems" in schema and "items" not in schema for schema in schemas):
        raise unsupported("'allOf' of 'prefixItems' and 'items'", where)
    if "prefixItems" in found and any("items" in schema and "prefixItems" not in schema for schema in schemas):
        raise unsupported("'allOf' of 'prefixItems' and 'items'", where)
    return found | _constants(schemas, where) | _object(schemas, where)


def _types(said: Sequence[Json], where: str) -> list[str]:
    """Types that are in all; a whole number is a number."""
    each = [set(one) if isinstance(one, list) else {one} for one in said if isinstance(one, str | list)]
    if len(each) < len(said):
        raise invalid("'type' is a text or a list of texts", where)
    each = [one | {"integer"} if "number" in one else one for one in each]
    common = sorted(set.intersection(*each))
    if not common:
        raise invalid("nothing has all the types of 'allOf'", where)
    return common


def _constants(schemas: Sequence[dict[str, Json]], where: str) -> dict[str, Json]:
    """Values that all name."""
    each = [constants(schema, where) for schema in schemas if "const" in schema or "enum" in schema]
    if not each:
        return {}
    known = set.intersection(*({identity(value) for value in one} for one in each))
    common = [value for value in each[0] if identity(value) in known]
    if not common:
        raise invalid("no value is in all of 'allOf'", where)
    return {"enum": common}


def _object(schemas: Sequence[dict[str, Json]], where: str) -> dict[str, Json]:
    """Properties, each as all say it: those that do not name it say it by their ``additionalProperties``."""
    about = [schema for schema in schemas if any(keyword in schema for keyword in _OBJECTS)]
    if not about:
        return {}
    properties = [schema.get("properties", {}) for schema in about]
    if not all(isinstance(one, dict) for one in properties):
        raise invalid("'properties' is an object", where)
    others = [schema.get("additionalProperties", True) for schema in about]
    named = {
        name: _all([one.get(name, other) for one, other in zip(properties, others, strict=True)])
        for name in dict.fromkeys(name for one in properties for name in one)
    }
    required = [name for schema in about for name in listed(schema.get("required", []), where, empty=True)]
    if not all(isinstance(name, str) for name in required):
        raise invalid("'required' is a list of names", where)
    found: dict[str, Json] = {"properties": named, "required": list(dict.fromkeys(required))}
    return found if all(other is True for other in others) else {**found, "additionalProperties": _all(others)}


def _all(schemas: Sequence[Json]) -> Json:
    said = [schema for schema in schemas if schema is not True]
    if any(schema is False for schema in said):
        return False
    return said[0] if len(said) == 1 else {"allOf": said} if said else True
