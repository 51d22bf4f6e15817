"""Schemas: Gemini's two forms, there and back."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thalweg.dialects.gemini.schema import for_json_schema_field, for_openapi_field, from_openapi

FROM_OPENAPI: dict[str, tuple[Any, Any]] = {
    "types in capitals": (
        {"type": "OBJECT", "properties": {"a": {"type": "ARRAY", "items": {"type": "INTEGER"}}}},
        {"type": "object", "properties": {"a": {"type": "array", "items": {"type": "integer"}}}},
    ),
    "nullable": ({"type": "STRING", "nullable": True}, {"type": ["string", "null"]}),
    "a nullable choice": ({"type": "STRING", "nullable": True, "enum": ["a"]}, {"type": ["string", "null"], "enum": ["a", None]}),
    "a nullable union": ({"anyOf": [{"type": "STRING"}], "nullable": True}, {"anyOf": [{"type": "string"}, {"type": "null"}]}),
    "not nullable": ({"type": "STRING", "nullable": False}, {"type": "string"}),
    "google-genai's spelling": ({"any_of": [{"type": "STRING", "max_length": "5"}], "property_ordering": ["a"]}, {"anyOf": [{"type": "string", "maxLength": 5}]}),
    "names of the author's own": (
        {"type": "OBJECT", "properties": {"any_of": {"type": "STRING", "enum": ["max_items"], "default": {"min_items": 1}}}, "required": ["any_of"]},
        {"type": "object", "properties": {"any_of": {"type": "string", "enum": ["max_items"], "default": {"min_items": 1}}}, "required": ["any_of"]},
    ),
    "numbers as texts": ({"type": "INTEGER", "format": "enum", "enum": ["1", "2"]}, {"type": "integer", "enum": [1, 2]}),
    "an example": ({"type": "STRING", "example": "x"}, {"type": "string", "examples": ["x"]}),
    "no type": ({"type": "TYPE_UNSPECIFIED"}, {}),
    "a plain format": ({"type": "STRING", "format": "date-time"}, {"type": "string", "format": "date-time"}),
}  # fmt: skip


@pytest.mark.parametrize("case", FROM_OPENAPI.values(), ids=FROM_OPENAPI)
def test_from_openapi(case: tuple[Any, Any]) -> None:
    schema, expected = case
    before = json.dumps(schema)
    assert from_openapi(schema) == expected
    assert json.dumps(schema) == before


TAKEN: dict[str, tuple[Any, Any]] = {
    "what is taken passes": (
        s := {"type": "object", "properties": {"a": {"type": "string", "enum": ["x"]}}, "required": ["a"], "additionalProperties": False},
        s,
    ),
    "keywords that are not taken": ({"$schema": "x", "type": "string", "examples": [1], "discriminator": {}, "default": 1}, {"type": "string"}),
    "one value": ({"const": "x"}, {"enum": ["x"], "type": "string"}),
    "one value of a kind": ({"const": True, "type": "boolean"}, {"type": "boolean", "enum": [True]}),
    "bounds in words": (
        {"type": "integer", "description": "A.", "exclusiveMinimum": 1, "multipleOf": 2},
        {"type": "integer", "description": "A. Must be greater than 1, a multiple of 2."},
    ),
    "a pattern in words": ({"type": "string", "pattern": "^a{2}$"}, {"type": "string", "description": "Must be matching ^a{2}$."}),
    "all of them": (
        {"allOf": [{"properties": {"a": {}}, "required": ["a"]}, {"properties": {"b": {}}, "required": ["b", "a"]}], "properties": {"c": {}}},
        {"properties": {"c": {}, "a": {}, "b": {}}, "required": ["a", "b"]},
    ),
    "a described reference": ({"allOf": [{"$ref": "#/$defs/A"}], "description": "d"}, {"$ref": "#/$defs/A"}),
    "what stands beside a reference": ({"$ref": "#/$defs/A", "description": "d"}, {"$ref": "#/$defs/A"}),
    "definitions by their old name": (
        {"definitions": {"A": {"type": "string", "title": "T"}}, "properties": {"a": {"$ref": "#/definitions/A"}}},
        {"$defs": {"A": {"type": "string", "title": "T"}}, "properties": {"a": {"$ref": "#/$defs/A"}}},
    ),
    "true and false": ({"properties": {"a": True, "b": False}, "additionalProperties": True}, {"properties": {"a": {}}}),
    "no more properties": ({"additionalProperties": False}, {"additionalProperties": False}),
    "a map": ({"additionalProperties": {"type": "string", "minLength": 1}}, {"additionalProperties": {"type": "string", "description": "Must be at least 1 characters."}}),
    "names like keywords": ({"properties": {"const": {"type": "string"}, "pattern": {"const": 1}}}, {"properties": {"const": {"type": "string"}, "pattern": {"enum": [1], "type": "integer"}}}),
    "a tuple": ({"prefixItems": [{"const": 1}], "items": False}, {"prefixItems": [{"enum": [1], "type": "integer"}], "items": False}),
    "no schema": (True, {}),
}  # fmt: skip


@pytest.mark.parametrize("case", TAKEN.values(), ids=TAKEN)
def test_json_schema_that_gemini_takes(case: tuple[Any, Any]) -> None:
    schema, expected = case
    before = json.dumps(schema)
    assert for_json_schema_field(schema) == expected
    assert json.dumps(schema) == before


OPENAPI: dict[str, tuple[Any, Any]] = {
    "capitals and order": (
        {"type": "object", "properties": {"b": {"type": "string"}, "a": {"type": "integer"}}, "additionalProperties": False},
        {"type": "OBJECT", "properties": {"b": {"type": "STRING"}, "a": {"type": "INTEGER"}}, "propertyOrdering": ["b", "a"]},
    ),
    "null in the types": ({"type": ["string", "null"]}, {"type": "STRING", "nullable": True}),
    "null in the union": ({"anyOf": [{"type": "string"}, {"type": "null"}]}, {"type": "STRING", "nullable": True}),
    "several types": ({"type": ["string", "integer"]}, {"anyOf": [{"type": "STRING"}, {"type": "INTEGER"}]}),
    "one of them": ({"oneOf": [{"type": "string"}, {"type": "integer"}]}, {"anyOf": [{"type": "STRING"}, {"type": "INTEGER"}]}),
    "numbers to choose from": ({"type": "integer", "enum": [1, 2]}, {"type": "STRING", "enum": ["1", "2"], "format": "enum"}),
    "one value": ({"const": "x"}, {"type": "STRING", "enum": ["x"]}),
    "a reference is put in its place": (
        {"$defs": {"A": {"type": "string"}}, "type": "object", "properties": {"a": {"$ref": "#/$defs/A", "description": "d"}}},
        {"type": "OBJECT", "properties": {"a": {"type": "STRING", "description": "d"}}, "propertyOrdering": ["a"]},
    ),
    "a reference to nothing": ({"type": "array", "items": {"$ref": "#/$defs/B"}}, {"type": "ARRAY", "items": {"type": "OBJECT"}}),
    "no type": ({"properties": {"a": {}}}, {"type": "OBJECT", "properties": {"a": {"type": "OBJECT"}}, "propertyOrdering": ["a"]}),
    "names like keywords": (
        {"type": "object", "properties": {"type": {"type": "string"}}},
        {"type": "OBJECT", "properties": {"type": {"type": "STRING"}}, "propertyOrdering": ["type"]},
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", OPENAPI.values(), ids=OPENAPI)
def test_openapi(case: tuple[Any, Any]) -> None:
    schema, expected = case
    assert for_openapi_field(schema) == expected


def test_schemas_may_be_nested_as_deeply_as_json_may() -> None:
    for key in ("allOf", "anyOf"):
        deep: Any = {"type": "string"}
        for _ in range(400):
            deep = {key: [deep]}
        for change in (for_json_schema_field, for_openapi_field):
            change(deep)


def test_required_fields_of_any_kind_are_no_trouble() -> None:
    assert for_json_schema_field({"allOf": [{"required": [{}]}], "required": [[]]})["required"] == [[], {}]


def test_a_schema_that_holds_itself_is_cut() -> None:
    tree = {"$defs": {"N": {"type": "object", "properties": {"next": {"$ref": "#/$defs/N"}}}}, "$ref": "#/$defs/N"}
    assert json.dumps(for_openapi_field(tree)).count("next") < 40
    assert for_json_schema_field(tree)["$ref"] == "#/$defs/N"


ANY = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=3), st.sampled_from(["string", "object", "#/$defs/a"])),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(["type", "properties", "anyOf", "allOf", "oneOf", "items", "$ref", "$defs", "enum", "const", "nullable", "a", "required", "minimum", "pattern"]), inner, max_size=4),
    ),
    max_leaves=20,
)  # fmt: skip


@given(schema=ANY)
def test_whatever_a_client_calls_a_schema_raises_nothing(schema: Any) -> None:
    for change in (from_openapi, for_json_schema_field, for_openapi_field):
        json.dumps(change(schema))
