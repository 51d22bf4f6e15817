from __future__ import annotations

import random
import re
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thalweg.simulator.arguments import fill_arguments, fill_schema


def fill(schema: Any, seed: int = 1) -> Any:
    return msgspec.json.decode(fill_arguments(schema, random.Random(seed)))


def fits(value: Any, schema: dict[str, Any]) -> bool:
    """A validator for the schemas drawn below."""
    if "enum" in schema:
        return value in schema["enum"]
    return FITS[schema["type"]](value, schema)


def object_fits(value: Any, schema: dict[str, Any]) -> bool:
    known = schema["properties"]
    return set(schema["required"]) <= value.keys() and all(fits(value[name], known[name]) for name in value)


def array_fits(value: Any, schema: dict[str, Any]) -> bool:
    bounded = schema["minItems"] <= len(value) <= schema["maxItems"]
    return bounded and all(fits(each, schema["items"]) for each in value)


FITS = {
    "object": object_fits,
    "array": array_fits,
    "string": lambda v, s: isinstance(v, str) and s["minLength"] <= len(v) <= s["maxLength"],
    "integer": lambda v, s: type(v) is int and s["minimum"] <= v <= s["maximum"],
    "number": lambda v, s: isinstance(v, int | float) and s["minimum"] <= v <= s["maximum"],
    "boolean": lambda v, _: isinstance(v, bool),
    "null": lambda v, _: v is None,
}


def bounds(kind: str, low: str, high: str, values: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    pairs = st.tuples(values, values).map(sorted)
    return pairs.map(lambda pair: {"type": kind, low: pair[0], high: pair[1]})


flat = (
    st.sampled_from([{"type": "boolean"}, {"type": "null"}])
    | st.lists(st.integers() | st.text(max_size=5), min_size=1, max_size=3).map(lambda values: {"enum": values})
    | bounds("string", "minLength", "maxLength", st.integers(0, 30))
    | bounds("integer", "minimum", "maximum", st.integers(-50, 50))
    | bounds("number", "minimum", "maximum", st.floats(-50, 50, allow_subnormal=False))
)


def nest(inner: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    arrays = st.builds(
        lambda items, few, more: {"type": "array", "items": items, "minItems": few, "maxItems": few + more},
        inner,
        st.integers(0, 3),
        st.integers(0, 3),
    )
    return arrays | objects(inner)


@st.composite
def objects(draw: st.DrawFn, inner: st.SearchStrategy[dict[str, Any]]) -> dict[str, Any]:
    properties = draw(st.dictionaries(st.text("abcd", min_size=1), inner, max_size=4))
    required = draw(st.lists(st.sampled_from(sorted(properties)), unique=True)) if properties else []
    return {"type": "object", "properties": properties, "required": required}


@given(objects(st.recursive(flat, nest, max_leaves=10)), st.integers(0, 10))
def test_arguments_fit_the_schema(schema: dict[str, Any], seed: int) -> None:
    assert fits(fill(schema, seed), schema)


KEYWORDS = """
    type enum const properties required items anyOf oneOf allOf $ref minimum exclusiveMinimum multipleOf
    minLength maxLength minItems maxItems prefixItems format
"""
words = st.text(max_size=3) | st.sampled_from(KEYWORDS.split())
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(words, anything, max_size=6))
def test_whatever_a_client_sends_as_a_schema_an_object_is_made(schema: dict[str, Any]) -> None:
    assert isinstance(fill(schema), dict)


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        pytest.param({"const": 5}, 5, id="const"),
        pytest.param({"type": ["null", "boolean"], "enum": [True]}, True, id="a list of types"),
        pytest.param({"type": "INTEGER"}, 7, id="Gemini's capitals"),
        pytest.param({"anyOf": [{"type": "null"}, {"type": "integer"}]}, 7, id="what is not null"),
        pytest.param({"oneOf": [{"const": "a"}, {"const": "b"}]}, "a", id="the first of several"),
        pytest.param({"$ref": "#/$defs/day"}, "2024-02-29", id="a reference"),
        pytest.param({"allOf": [{"type": "integer"}, {"minimum": 9}]}, 9, id="all of several"),
        pytest.param({"type": "integer", "multipleOf": 5}, 5, id="a multiple"),
        pytest.param({"type": "integer", "exclusiveMinimum": 8}, 9, id="above"),
        pytest.param({"type": "integer", "exclusiveMaximum": 3}, 2, id="below"),
        pytest.param({"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 0.25}, 0.125, id="between"),
        pytest.param({"type": "array", "prefixItems": [{"const": 1}, {"const": 2}]}, [1, 2], id="a tuple"),
        pytest.param({"type": "array", "items": {"const": 1}, "minItems": 3}, [1, 1, 1], id="at least three"),
        pytest.param(
            {"type": "array", "items": {"enum": ["a"]}, "minItems": 3, "uniqueItems": True}, ["a"], id="no other value"
        ),
        pytest.param({"type": "string", "format": "email"}, "river@example.com", id="a format"),
        pytest.param({"type": "string", "maxLength": 0}, "", id="no room"),
        pytest.param({"$ref": "#/$defs/none"}, None, id="a reference to nothing"),
    ],
)
def test_one_value(schema: dict[str, Any], value: Any) -> None:
    defs = {"day": {"type": "string", "format": "date"}}
    made = fill({"type": "object", "properties": {"x": schema}, "required": ["x"], "$defs": defs})["x"]
    assert isinstance(made, str) if value is None else made == value


def test_a_free_string_is_chinese() -> None:
    values = [fill({"properties": {"city": {"type": "string"}}}, seed)["city"] for seed in range(10)]
    assert all(re.search("[\u4e00-\u9fff]", value) for value in values)


def test_required_keys_are_filled_even_where_the_schema_does_not_describe_them() -> None:
    assert isinstance(fill({"type": "object", "required": ["city"]})["city"], str)


@pytest.mark.parametrize("schema", [None, {}, {"type": "object"}, [], {"type": "string"}])
def test_without_a_description_the_object_is_empty(schema: Any) -> None:
    assert fill(schema) == {}


def test_a_schema_that_contains_itself_ends() -> None:
    tree = {"type": "object", "properties": {"left": {"$ref": "#"}, "right": {"$ref": "#"}}, "required": ["left"]}
    assert "left" in fill(tree)
    wide = {"type": "object", "properties": {f"p{at}": {"$ref": "#"} for at in range(300)}}
    assert len(fill_arguments(wide | {"required": list(wide["properties"])}, random.Random(1))) < 100_000


def test_all_of_several_objects_is_one_object() -> None:
    one, two = ({"properties": {name: {"const": name}}, "required": [name]} for name in ("a", "b"))
    assert fill({"type": "object", "allOf": [one, two]}) == {"a": "a", "b": "b"}


def test_arrays_that_contain_themselves_end() -> None:
    items = {"type": "array", "items": {"$ref": "#/$defs/tree"}, "minItems": 2}
    made = fill_arguments({"properties": {"x": {"$ref": "#/$defs/tree"}}, "$defs": {"tree": items}}, random.Random(1))
    assert len(made) < 100_000


@pytest.mark.parametrize(
    "items",
    [
        {"type": "string"},
        {"type": "string", "maxLength": 12},
        {"type": "integer"},
        {"type": "integer", "minimum": 1, "maximum": 3},
        {"type": "number", "multipleOf": 0.5, "exclusiveMinimum": 0, "maximum": 1.5},
        {"enum": ["a", "b", "c"]},
        {"type": "object", "properties": {"n": {"enum": [1, 2, 3]}}, "required": ["n"]},
    ],
    ids=repr,
)
def test_values_that_must_differ_do(items: Any) -> None:
    array = {"type": "array", "items": items, "minItems": 3, "uniqueItems": True}
    for seed in range(20):
        made = fill({"properties": {"x": array}}, seed)["x"]
        assert len(made) == len({repr(each) for each in made}) == 3
        if items.get("type") in ("integer", "number"):
            bounds = {"minimum": -100, "maximum": 100} | items
            assert all(fits(each, bounds) for each in made)


@pytest.mark.parametrize("schema", [None, {}, [], 5, {"type": "object"}])
def test_an_answer_of_no_schema_is_an_empty_object(schema: Any) -> None:
    assert fill_schema(schema, random.Random(1)) == "{}"


def test_an_answer_need_not_be_an_object() -> None:
    rows = {"type": "array", "items": {"$ref": "#/$defs/row"}, "$defs": {"row": {"const": 1}}, "minItems": 2}
    assert fill_schema(rows, random.Random(1)) == "[1,1]"
    assert fill_schema({"type": "null"}, random.Random(1)) == "null"


@given(st.dictionaries(words, anything, max_size=6))
def test_whatever_a_client_sends_as_the_schema_of_an_answer_json_is_made(schema: dict[str, Any]) -> None:
    msgspec.json.decode(fill_schema(schema, random.Random(1)))
