"""
JSON Schema, draft 2020-12: what of it can be said ahead of a text, and by name what cannot.

What a reply may say is part of what a schema allows, and seldom all of it: properties come in the order of the schema,
and none that it does not declare unless ``additionalProperties`` is a schema for them.

Source: "JSON Schema Validation", draft-bhutton-json-schema-validation-01.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import unquote

from wit_llm.grammar import json_text
from wit_llm.grammar.expression import EMPTY, NOTHING, Either, Expression, Rule
from wit_llm.grammar.json_merge import merged
from wit_llm.grammar.json_types import KEYWORDS, array_of, integer_of, number_of, object_of, string_of
from wit_llm.grammar.json_values import (
    TYPES,
    constants,
    identity,
    invalid,
    kinds,
    listed,
    read_json,
    unsupported,
)
from wit_llm.grammar.reading import MAX_DEPTH

if TYPE_CHECKING:
    from wit_llm.grammar.json_values import Json

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_ANNOTATIONS = frozenset("title description default examples $comment deprecated readOnly writeOnly".split())
_ELSEWHERE = frozenset(("$schema", "$id", "$defs", "definitions"))
_FORMS = ("$ref", "anyOf", "oneOf", "allOf", "const", "enum")
_CONSTANTS = {"boolean": (True, False), "null": (None,)}
ENFORCED = ("type", *_FORMS, *(keyword for keywords in KEYWORDS.values() for keyword in keywords))


def read_schema(source: str) -> dict[str, Expression]:
    """
    Rules of which ``root`` derives JSON that validates.

    Raises:
        InvalidArgument: It is no JSON, no schema, too long or too deep; says where.
        Unsupported: A keyword, or keywords beside each other, that cannot be enforced; says which and where.
    """
    return _Schema(read_json(source)).rules()


class _Schema:
    """
    A schema that is being read.

    Args:
        root: All of it, within which references go.
    """

    def __init__(self, root: Json) -> None:
        self._root = root
        # What references go within, and where it is: all of it, or inside a schema with an '$id' that one.
        self._resource = ("#", root)
        self._rules: dict[str, Expression] = {}
        self._depth = 0

    def rules(self) -> dict[str, Expression]:
        """All of them."""
        return {"root": self._read(self._root, "#"), **json_text.any_value(), **self._rules}

    def _read(self, schema: Json, where: str) -> Expression:
        if schema is True:
            return json_text.ANY_VALUE
        if schema is False:
            return NOTHING
        if not isinstance(schema, dict):
            raise invalid("a schema is an object, true or false", where)
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise invalid(f"schemas are nested at most {MAX_DEPTH} deep", where)
        _check_keywords(schema, where)
        outer = self._resource
        if "$id" in schema:
            self._resource = (where, schema)
        if _brings_together(schema):
            parts = self._parts(schema, where)
            schema = False if parts is None else merged(parts, where)
            expression = self._read(schema, where)
            self._depth -= 1
            self._resource = outer
            return expression
        form = next((form for form in _FORMS if form in schema), None)
        expression = self._typed(schema, where) if form is None else self._form(form, schema, where)
        self._depth -= 1
        self._resource = outer
        return expression

    def _parts(self, schema: Json, where: str, depth: int = MAX_DEPTH) -> list[dict[str, Json]] | None:
        """All that have to hold, without references; none where nothing can."""
        if schema is False or schema is True:
            return None if schema is False else []
        if not isinstance(schema, dict):
            raise invalid("a schema is an object, true or false", where)
        if not depth:
            raise invalid("'allOf' and '$ref' go round in a circle", where)
        if schema.get("$id") is not None and schema is not self._resource[1]:
            raise unsupported("'allOf' with an '$id' inside", where)
        _check_keywords(schema, where)
        inner = listed(schema["allOf"], f"{where}/allOf") if "allOf" in schema else []
        if "$ref" in schema:
            inner = [*inner, self._found(_pointer(schema["$ref"], where), where)]
        said = {key: one for key, one in schema.items() if key not in {"allOf", "$ref", *_ANNOTATIONS, *_ELSEWHERE}}
        parts = [said] if said else []
        for one in inner:
            found = self._parts(one, where, depth - 1)
            if found is None:
                return None
            parts += found
        return parts

    def _form(self, form: str, schema: dict[str, Json], where: str) -> Expression:
        """What a schema says that is not about one type."""
        here = f"{where}/{form}"
        if form == "$ref":
            return self._reference(schema["$ref"], here)
        if form in ("const", "enum"):
            types = set(_types(schema, where)) if "type" in schema else set(TYPES)
            return Either(tuple(json_text.spelled(one) for one in constants(schema, where) if kinds(one) & types))
        schemas = listed(schema[form], here)
        if form == "oneOf":
            self._check_apart(schemas, here)
        return Either(tuple(self._read(one, f"{here}/{number}") for number, one in enumerate(schemas)))

    def _typed(self, schema: dict[str, Json], where: str) -> Expression:
        types = _types(schema, where)
        return Either(tuple(self._of_type(one, schema, where) for one in types)) if types else json_text.ANY_VALUE

    def _of_type(self, name: str, schema: dict[str, Json], where: str) -> Expression:
        match name:
            case "object":
                found = object_of(schema, where, self._read)
            case "array":
                found = array_of(schema, where, self._read, self._keep)
            case "string":
                found = string_of(schema, where)
            case "number":
                found = number_of(schema, where)
            case "integer":
                found = integer_of(schema, where)
            case _:
                found = Either(tuple(json_text.spelled(one) for one in _CONSTANTS[name]))
        return found

    def _keep(self, expression: Expression, name: str) -> Expression:
        if isinstance(expression, Rule):
            return expression
        self._rules[name] = expression
        return Rule(name, called=True)

    def _reference(self, pointer: Json, where: str) -> Expression:
        pointer = _pointer(pointer, where)
        name = self._resource[0] + pointer[1:]
        if name not in self._rules:
            self._rules[name] = EMPTY  # a place, for when it comes back to itself
            self._rules[name] = self._read(self._found(pointer, where), name)
        return Rule(name)

    def _found(self, pointer: str, where: str) -> Json:
        resource = found = self._resource[1]
        for part in unquote(pointer).split("/")[1:]:
            if isinstance(found, dict) and "$id" in found and found is not resource:
                raise unsupported(f"'$ref' {pointer[:80]!r} into a schema with an '$id' of its own", where)
            name = part.replace("~1", "/").replace("~0", "~")
            if isinstance(found, dict) and name in found:
                found = found[name]
            elif isinstance(found, list) and name in map(str, range(len(found))):
                found = found[int(name)]
            else:
                raise invalid(f"'$ref' {pointer[:80]!r} leads nowhere", where)
        return found

    def _check_apart(self, schemas: list[Json], where: str) -> None:
        """Whether no value validates against two."""
        told = [(self._kinds(schema, where), self._tags(schema, where)) for schema in schemas]
        for number, (types, tags) in enumerate(told):
            for other_types, other_tags in told[:number]:
                common = types & other_types
                tagged = any(tags[name].isdisjoint(other_tags[name]) for name in tags.keys() & other_tags.keys())
                if common and not (common == {"object"} and tagged):
                    raise unsupported(
                        "'oneOf' of schemas that neither 'type' nor the 'const' or 'enum' of a required property tells "
                        "apart",
                        where,
                        "'anyOf' can",
                    )

    def _target(self, schema: Json, where: str) -> dict[str, Json]:
        """What a schema says, or what it refers to does."""
        for _ in range(MAX_DEPTH):
            if not (isinstance(schema, dict) and isinstance(schema.get("$ref"), str)) or "$id" in schema:
                break
            schema = self._found(schema["$ref"], where)
        # References of one with an '$id' go elsewhere.
        return schema if isinstance(schema, dict) and "$id" not in schema else {}

    def _kinds(self, schema: Json, where: str) -> set[str]:
        """Types of all that validates, integers as numbers."""
        target = self._target(schema, where)
        if "const" in target or "enum" in target:
            found = {kind for one in constants(target, where) for kind in kinds(one)}
        else:
            found = set(_types(target, where) if "type" in target else TYPES)
        return {"number" if one == "integer" else one for one in found}

    def _tags(self, schema: Json, where: str) -> dict[str, set[str]]:
        """The values of required properties that have only some."""
        target = self._target(schema, where)
        properties, required = target.get("properties"), target.get("required")
        if not isinstance(properties, dict) or not isinstance(required, list):
            return {}
        found = {name: self._target(properties[name], where) for name in required if name in properties}
        return {
            name: {identity(value) for value in constants(one, where)}
            for name, one in found.items()
            if "const" in one or "enum" in one
        }


def _check_keywords(schema: dict[str, Json], where: str) -> None:
    """Whether all that it says is enforced, and one thing at a time."""
    dialect = schema.get("$schema", _DIALECT)
    if not isinstance(dialect, str) or dialect.rstrip("#") != _DIALECT:
        raise unsupported(f"'$schema' {str(dialect)[:80]!r}", where, f"{_DIALECT} can")
    if not isinstance(schema.get("$id", ""), str):
        raise invalid("'$id' is a text", where)
    known = {*_ANNOTATIONS, *_ELSEWHERE, *ENFORCED}
    for keyword in schema:
        if keyword not in known:
            raise unsupported(f"{keyword[:80]!r}", where, f"enforced are {', '.join(ENFORCED)}")
    form = next((form for form in _FORMS if form in schema), None)
    if form is not None and not _brings_together(schema):
        beside = schema.keys() - {form} - _ANNOTATIONS - _ELSEWHERE
        for keyword in sorted(beside - {"type"} if form in ("const", "enum") else beside):
            raise unsupported(f"{form!r} beside {keyword!r}", where)


def _brings_together(schema: dict[str, Json]) -> bool:
    """Whether a schema says that others hold, and more beside one of them."""
    beside = schema.keys() - {"allOf", "$ref"} - _ANNOTATIONS - _ELSEWHERE
    inner = schema.get("allOf", ())
    many = isinstance(inner, list) and len(inner) > 1
    forms = ("allOf" in schema) + ("$ref" in schema)
    return many or (forms + bool(beside) > 1 and forms > 0)


def _pointer(pointer: Json, where: str) -> str:
    if not isinstance(pointer, str):
        raise invalid("'$ref' is a text", where)
    if pointer != "#" and not pointer.startswith("#/"):
        raise unsupported(f"'$ref' {pointer[:80]!r}", where, "a reference within the schema can, as '#/$defs/name'")
    return pointer


def _types(schema: dict[str, Json], where: str) -> tuple[str, ...]:
    """Those that a schema names, or else those that its keywords are about."""
    if "type" not in schema:
        return tuple(one for one, keywords in KEYWORDS.items() if any(keyword in schema for keyword in keywords))
    given = schema["type"]
    types = [given] if isinstance(given, str) else given
    if not isinstance(types, list) or not types or not all(isinstance(one, str) and one in TYPES for one in types):
        raise invalid(f"'type' is one or several of {', '.join(TYPES)}, got {str(given)[:80]!r}", where)
    return tuple(one for one in TYPES if one in types and not (one == "integer" and "number" in types))
