"""JSON schemas: what is said validates, and what cannot be enforced is named."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, time
from typing import Any

import jsonschema
import pytest

from tests.grammar.saying import allows, said
from wit_llm.errors import InvalidArgument, Unsupported
from wit_llm.options import JsonSchema

PERSON = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "Person",
    "type": "object",
    "properties": {
        "name": {"type": "string", "minLength": 1, "maxLength": 12},
        "age": {"type": "integer", "minimum": 0, "maximum": 150},
        "mail": {"type": ["string", "null"], "pattern": "^[a-z]+@[a-z]+\\.org$"},
        "tags": {"type": "array", "items": {"enum": ["a", "b\n", 1, None, {"c": [True]}]}, "maxItems": 3},
    },
    "required": ["name", "age"],
}
TREE = {
    "$defs": {
        "node": {
            "type": "object",
            "properties": {
                "value": {"type": "number"},
                "next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]},
            },
            "required": ["value", "next"],
            "additionalProperties": False,
        }
    },
    "$ref": "#/$defs/node",
}
SHAPES = {
    "oneOf": [
        {
            "type": "object",
            "properties": {"kind": {"const": "circle"}, "radius": {"type": "number", "exclusiveMinimum": 0}},
            "required": ["kind", "radius"],
        },
        {
            "type": "object",
            "properties": {"kind": {"enum": ["square", "cube"]}, "side": {"type": "integer"}},
            "required": ["kind"],
        },
        {"type": ["string", "boolean"]},
    ]
}

SCHEMAS: dict[str, Any] = {
    "anything": {},
    "true": True,
    "person": PERSON,
    "tree": TREE,
    "shapes": SHAPES,
    "any-object": {"type": "object"},
    "any-array": {"type": "array"},
    "string": {"type": "string"},
    "lengths": {"type": "string", "minLength": 3, "maxLength": 5},
    "base-and-extension": {
        "$defs": {
            "base": {
                "type": "object",
                "properties": {"id": {"type": "integer", "minimum": 0}, "name": {"type": "string", "maxLength": 9}},
                "required": ["id"],
            }
        },
        "allOf": [
            {"$ref": "#/$defs/base", "description": "What all have."},
            {"properties": {"id": {"maximum": 99}, "kind": {"enum": ["a", "b"]}}, "required": ["kind"]},
            {"properties": {"kind": {"enum": ["b", "c"]}}},
        ],
    },
    "closed-base": {
        "allOf": [
            {"type": "object", "properties": {"a": {"type": "boolean"}}, "additionalProperties": False},
            {"properties": {"a": True, "b": {"type": "null"}}},
        ]
    },
    "reference-and-more": {
        "$defs": {"count": {"type": "integer", "minimum": 3}},
        "$ref": "#/$defs/count",
        "maximum": 7,
    },
    "numbers-of-all": {"allOf": [{"type": "number", "minimum": 1}, {"type": "integer"}, {"exclusiveMaximum": 4}]},
    "items-of-all": {
        "type": "array",
        "allOf": [
            {"items": {"type": "string", "minLength": 1}, "minItems": 1},
            {"items": {"maxLength": 2}, "maxItems": 3},
        ],
    },
    "counted-lengths": {
        "properties": {
            "short": {"type": "string", "minLength": 7, "maxLength": 12},
            "exact": {"type": "string", "minLength": 30, "maxLength": 30},
            "long": {"type": "string", "maxLength": 500},
        },
        "required": ["short", "exact"],
    },
    "counted-items": {
        "type": "array",
        "items": {"type": "array", "items": {"type": "string", "minLength": 1, "maxLength": 9}, "maxItems": 6},
        "minItems": 5,
        "maxItems": 40,
    },
    "pattern-at-the-start": {"type": "string", "pattern": "^x?b\\d"},
    "pattern-at-the-end": {"type": "string", "pattern": '["a-z]$'},
    "pattern-of-escapes": {"type": "string", "pattern": '^["\\\\\n\t/]{3}$'},
    "date": {"type": "string", "format": "date"},
    "time": {"type": "string", "format": "time"},
    "date-time": {"type": "string", "format": "date-time"},
    "uuid": {"type": "string", "format": "uuid"},
    "ipv4": {"type": "string", "format": "ipv4"},
    "number": {"type": "number"},
    "integer": {"type": "integer"},
    "boolean-or-null": {"type": ["boolean", "null"]},
    "const": {"const": {"a": [1.5, 'é"\\', None]}},
    "enum-of-a-type": {"type": "integer", "enum": [1, "1", 2.0, 2.5, None]},
    "integer-range": {"type": "integer", "minimum": -13, "exclusiveMaximum": 207},
    "integer-of-halves": {"type": "integer", "minimum": 0.5, "maximum": 3.5},
    "integer-from": {"type": "integer", "exclusiveMinimum": 98},
    "integer-to": {"type": "integer", "maximum": -98},
    "number-range": {"type": "number", "minimum": -2, "exclusiveMaximum": 3},
    "number-open-range": {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
    "number-below-zero": {"type": "number", "exclusiveMinimum": -20, "maximum": -3},
    "number-from": {"type": "number", "minimum": 5},
    "number-to": {"type": "number", "maximum": 0},
    "both-bounds": {"type": "integer", "minimum": 3, "exclusiveMinimum": 3, "maximum": 7, "exclusiveMaximum": 9},
    "tuple": {"prefixItems": [{"const": 1}, {"type": "null"}], "items": False, "minItems": 1},
    "tuple-and-more": {"prefixItems": [{"const": 1}], "items": {"type": "null"}, "minItems": 3, "maxItems": 5},
    "tuple-cut": {"prefixItems": [{"const": 1}, {"const": 2}, {"const": 3}], "maxItems": 2},
    "counted": {"type": "array", "items": {"type": "integer"}, "minItems": 2, "maxItems": 4},
    "many": {"type": "array", "items": {"type": "boolean"}, "minItems": 10, "maxItems": 30},
    "empty-array": {"type": "array", "maxItems": 0},
    "not-unique": {"type": "array", "items": {"type": "null"}, "uniqueItems": False},
    "others": {"properties": {"a": True, "ab": {"type": "null"}}, "additionalProperties": {"type": "integer"}},
    "only-others": {"type": "object", "additionalProperties": {"type": "boolean"}},
    "required-alone": {"type": "object", "required": ["a", "b"]},
    "nothing-more": {"type": "object", "additionalProperties": False},
    "optional-false": {"type": "object", "properties": {"a": False, "b": {"type": "null"}}},
    "one-of-one": {"allOf": [{"type": "boolean"}]},
    "one-of-types": {"oneOf": [{"type": "integer"}, {"type": "string"}, {"const": None}]},
    "names": {"$ref": "#/$defs/a~1b%20c", "$defs": {"a/b c": {"type": "null"}}},
}


@pytest.mark.parametrize("name", SCHEMAS)
def test_what_is_said_validates(name: str) -> None:
    """Whatever tokens are drawn, where they may end there is JSON that an independent validator accepts."""
    schema = SCHEMAS[name]
    constraint = JsonSchema(json.dumps(schema))
    checker = jsonschema.Draft202012Validator.FORMAT_CHECKER
    ended = 0
    for seed in range(30):
        text = said(constraint, seed)
        if text is not None:
            jsonschema.validate(json.loads(text), schema, jsonschema.Draft202012Validator, format_checker=checker)
            ended += 1
    assert ended > 3


@pytest.mark.parametrize(("name", "read"), [("time", time.fromisoformat), ("date-time", datetime.fromisoformat)])
def test_times_are_times(name: str, read: Callable[[str], object]) -> None:
    """The formats for which the validator has no judge."""
    for seed in range(30):
        text = said(JsonSchema(json.dumps(SCHEMAS[name])), seed)
        assert text is not None
        assert read(json.loads(text))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("person", '{"name":"Ann","age":41}'),
        ("person", '{"name": "Ann", "age": 150, "tags": ["b\\n", {"c":[true]}, 1]}'),
        ("tree", '{"value": -1.5e3, "next": {"value": 0, "next": null}}'),
        ("shapes", '{"kind": "circle", "radius": 0.5}'),
        ("anything", '[{"a": {}}, [], "é", 1e9, null]'),
        ("lengths", '"日本🎉"'),
        ("integer-range", "206"),
        ("number-range", "-2.000"),
        ("number-range", "2.999"),
        ("others", '{"a": [1], "b": 2, "abc": 3, "": 4}'),
        ("tuple-and-more", "[1,null,null]"),
        ("optional-false", '{"b":null}'),
    ],
)
def test_lets_through(name: str, text: str) -> None:
    """A constraint does not rule out what a model would say."""
    assert allows(JsonSchema(json.dumps(SCHEMAS[name])), text)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("person", '{"age":41,"name":"Ann"}'),
        ("person", '{"name":"Ann"}'),
        ("person", '{"name":"","age":1}'),
        ("person", '{"name":"Ann","age":151}'),
        ("person", '{"name":"Ann","age":1,"more":1}'),
        ("lengths", '"日本"'),
        ("integer-range", "207"),
        ("integer-range", "-0"),
        ("number-range", "3.0"),
        ("number-open-range", "0.000"),
        ("others", '{"ab": 2}'),
        ("others", '{"a":1,"a":2}'),
        ("string", '"\\ud800"'),
        ("string", '"\t"'),
    ],
)
def test_does_not_let_through(name: str, text: str) -> None:
    """What does not validate, and what is spelled otherwise than replies spell it."""
    assert not allows(JsonSchema(json.dumps(SCHEMAS[name])), text)


UNSUPPORTED: dict[str, Any] = {
    "not": {"not": {"type": "null"}},
    "if": {"if": {"type": "null"}},
    "then": {"then": {}},
    "else": {"else": {}},
    "multipleOf": {"type": "integer", "multipleOf": 2},
    "patternProperties": {"type": "object", "patternProperties": {"a": {}}},
    "propertyNames": {"type": "object", "propertyNames": {"maxLength": 2}},
    "minProperties": {"type": "object", "minProperties": 1},
    "maxProperties": {"type": "object", "maxProperties": 1},
    "dependentRequired": {"type": "object", "dependentRequired": {}},
    "dependentSchemas": {"type": "object", "dependentSchemas": {}},
    "dependencies": {"type": "object", "dependencies": {}},
    "contains": {"type": "array", "contains": {}},
    "minContains": {"type": "array", "minContains": 1},
    "maxContains": {"type": "array", "maxContains": 1},
    "uniqueItems": {"type": "array", "uniqueItems": True},
    "unevaluatedItems": {"type": "array", "unevaluatedItems": False},
    "unevaluatedProperties": {"type": "object", "unevaluatedProperties": False},
    "additionalItems": {"type": "array", "additionalItems": False},
    "contentEncoding": {"type": "string", "contentEncoding": "base64"},
    "contentMediaType": {"type": "string", "contentMediaType": "text/html"},
    "$anchor": {"$anchor": "a"},
    "$dynamicRef": {"$dynamicRef": "#a"},
    "$dynamicAnchor": {"$dynamicAnchor": "a"},
    "discriminator": {"discriminator": {"propertyName": "a"}},
    "misspelled": {"type": "string", "misspelled": 3},
}


@pytest.mark.parametrize("keyword", UNSUPPORTED)
def test_a_keyword_that_is_not_enforced_is_named(keyword: str) -> None:
    """No keyword is ignored, however deep it stands."""
    for schema, where in ((UNSUPPORTED[keyword], "#"), ({"items": UNSUPPORTED[keyword]}, "#/items")):
        with pytest.raises(Unsupported, match=rf"'{keyword.replace('$', '.')}' cannot be enforced, at {where}($|;)"):
            allows(JsonSchema(json.dumps(schema)), "")


@pytest.mark.parametrize(
    ("schema", "told"),
    [
        pytest.param({"$ref": "#/$defs/a", "$defs": {"a": {"not": {}}}, "minLength": 1}, "'not'", id="ref-beside"),
        pytest.param({"anyOf": [True], "type": "null"}, "'anyOf' beside 'type'", id="any-of-beside"),
        pytest.param({"enum": [1], "minimum": 1}, "'enum' beside 'minimum'", id="enum-beside"),
        pytest.param({"allOf": [{"pattern": "a"}, {"pattern": "b"}]}, "'allOf' with several", id="two-patterns"),
        pytest.param({"allOf": [{"anyOf": [True]}, {"type": "null"}]}, "'anyOf' beside 'type'", id="all-of-any-of"),
        pytest.param({"allOf": [{"prefixItems": [{}]}, {"items": {}}]}, "'allOf' of 'prefixItems' and", id="all-items"),
        pytest.param({"oneOf": [{"type": "number"}, {"type": "integer"}]}, "'oneOf' of schemas", id="one-of-two"),
        pytest.param({"oneOf": [{"properties": {}}, {"type": "object"}]}, "'oneOf' of schemas", id="one-of-untyped"),
        pytest.param({"pattern": "a", "maxLength": 3}, "'pattern' beside 'maxLength'", id="pattern-beside"),
        pytest.param({"format": "date", "pattern": "a"}, "'pattern' beside 'format'", id="format-beside"),
        pytest.param({"format": "email"}, "'format' 'email'", id="format"),
        pytest.param({"type": "number", "minimum": 0.5}, "a bound of 0.5 for a number", id="half"),
        pytest.param({"type": "number", "maximum": 1e12}, "a bound of 1000000000000.0 for a number", id="large-bound"),
        pytest.param({"$ref": "http://x/y.json"}, "'\\$ref' 'http://x/y.json'", id="remote"),
        pytest.param({"$ref": "file:///etc/passwd"}, "'\\$ref' 'file:///etc/passwd'", id="file"),
        pytest.param({"$ref": "#anchor"}, "'\\$ref' '#anchor'", id="anchor"),
        pytest.param({"$schema": "http://json-schema.org/draft-07/schema#"}, "'\\$schema' 'http", id="draft-7"),
        pytest.param({"type": "string", "pattern": "(?=a)"}, "pattern: look-ahead", id="look-ahead"),
    ],
)
def test_what_cannot_be_enforced_is_said(schema: Any, told: str) -> None:
    """Combinations and values that say more than a reply can be held to."""
    with pytest.raises(Unsupported, match=f"^JSON schema: {told}.* cannot be enforced, at "):
        allows(JsonSchema(json.dumps(schema)), "")


@pytest.mark.parametrize(
    ("schema", "told"),
    [
        pytest.param("{", "the JSON schema is not JSON: Expecting property name.* line 1 column 2", id="not-json"),
        pytest.param('{"type":"null","type":"null"}', "not JSON: an object has 'type' twice", id="twice"),
        pytest.param('{"minimum": NaN}', "not JSON: NaN is no number", id="nan"),
        pytest.param('{"minimum": 1e999}', "not JSON: 1e999 is no number that a double holds", id="infinite"),
        pytest.param("3", "a schema is an object, true or false, at #", id="number"),
        pytest.param("false", "nothing satisfies the constraint", id="false"),
        pytest.param('{"type":"float"}', "'type' is one or several of .*, got 'float', at #", id="unknown-type"),
        pytest.param('{"properties":{"a":{"type":[]}}}', "got '\\[\\]', at #/properties/a", id="no-type"),
        pytest.param('{"enum":[]}', "a list that is not empty is wanted, at #/enum", id="empty-enum"),
        pytest.param('{"minLength":1.5}', "'minLength' is a whole number from 0 on, at #", id="half-length"),
        pytest.param('{"minItems":3,"maxItems":2}', "'maxItems' is less than 'minItems', at #", id="counts"),
        pytest.param('{"minimum":"1"}', "'minimum' is a number, at #", id="text-for-number"),
        pytest.param('{"pattern":"a("}', r"pattern: '\(' without '\)', at character 2, of #", id="pattern"),
        pytest.param('{"$ref":"#/a"}', "'\\$ref' '#/a' leads nowhere, at #/\\$ref", id="nowhere"),
        pytest.param('{"$ref":"#"}', "nothing satisfies the constraint", id="itself"),
        pytest.param('{"const":"\\ud800"}', "a text has half a surrogate pair", id="surrogate"),
        pytest.param(
            '{"required":["a"],"additionalProperties":false}', "nothing satisfies the constraint", id="contradiction"
        ),
    ],
)
def test_what_is_no_schema_is_invalid(schema: str, told: str) -> None:
    """A bad schema says where it is bad."""
    with pytest.raises(InvalidArgument, match=f"{told}"):
        allows(JsonSchema(schema), "")
