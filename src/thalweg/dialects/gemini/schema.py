"""Schemas: JSON Schema, the part of it that Gemini takes, and the OpenAPI dialect of its older fields.

Rules: mapping, section 6; what Gemini takes: google-genai 3.3 types and the gemini dossier, section 6, read 2026-11.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Schema = dict[str, Any]

_TYPES = ("string", "number", "integer", "boolean", "array", "object", "null")
_MOST_DEPTH = 64
_MAPS = ("properties", "$defs", "definitions", "patternProperties", "dependentSchemas")
"""Keywords whose values are schemas by names of the author's."""
_LISTS = ("anyOf", "oneOf", "allOf", "prefixItems")
_ONES = ("items", "additionalProperties", "not", "contains", "propertyNames", "if", "then", "else")

_NAMED_LIKE_JSON = {
    "any_of": "anyOf",
    "one_of": "oneOf",
    "all_of": "allOf",
    "min_items": "minItems",
    "max_items": "maxItems",
    "min_length": "minLength",
    "max_length": "maxLength",
    "min_properties": "minProperties",
    "max_properties": "maxProperties",
    "property_ordering": "propertyOrdering",
    "additional_properties": "additionalProperties",
    "prefix_items": "prefixItems",
    "defs": "$defs",
    "ref": "$ref",
}
"""OpenAPI keywords as google-genai spells them, and as JSON Schema does."""
_COUNTS = ("minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties")


def map_inner(schema: Schema, change: Callable[[Any], Any]) -> Schema:
    """The schema with every schema directly inside of it changed; names and values of the author's stay."""
    made = dict(schema)
    for key in made.keys() & set(_MAPS):
        if isinstance(made[key], dict):
            made[key] = {name: change(inner) for name, inner in made[key].items()}
    for key in made.keys() & set(_LISTS):
        if isinstance(made[key], list):
            made[key] = [change(inner) for inner in made[key]]
    for key in made.keys() & set(_ONES):
        if isinstance(made[key], dict | bool):
            made[key] = change(made[key])
        elif isinstance(made[key], list):
            made[key] = [change(inner) for inner in made[key]]
    return made


# From OpenAPI, as old clients of Gemini write it, to JSON Schema.


def from_openapi(schema: Any) -> Any:
    """JSON Schema of a `parameters` or a `responseSchema`."""
    if not isinstance(schema, dict):
        return schema
    named: Schema = {_NAMED_LIKE_JSON.get(str(key), str(key)): value for key, value in schema.items()}
    made = map_inner(named, from_openapi)
    kind = made.get("type")
    if isinstance(kind, str):
        made["type"] = kind.lower()
        if made["type"] == "type_unspecified":
            del made["type"]
    made.pop("propertyOrdering", None)
    made = _numbers_of_texts(made)
    if "example" in made:
        made["examples"] = [made.pop("example")]
    return _nullable_to_type(made)


def _numbers_of_texts(schema: Schema) -> Schema:
    """Google's JSON writes 64-bit numbers as strings, and enums of numbers as `format: enum` over strings."""
    for key in _COUNTS:
        value = schema.get(key)
        if isinstance(value, str) and value.isdecimal():
            schema[key] = int(value)
    if schema.get("format") == "enum":
        del schema["format"]
    values = schema.get("enum")
    if schema.get("type") in ("integer", "number") and isinstance(values, list):
        schema["enum"] = [_number(value) for value in values]
    return schema


def _number(value: Any) -> Any:
    try:
        return int(value) if isinstance(value, str) else value
    except ValueError:
        return float(value) if value.replace(".", "", 1).lstrip("-").isdecimal() else value


def _nullable_to_type(schema: Schema) -> Schema:
    if schema.pop("nullable", None) is not True:
        return schema
    if isinstance(schema.get("type"), str):
        schema["type"] = [schema["type"], "null"]
        if isinstance(schema.get("enum"), list) and None not in schema["enum"]:
            schema["enum"] = [*schema["enum"], None]
    elif isinstance(schema.get("anyOf"), list):
        schema["anyOf"] = [*schema["anyOf"], {"type": "null"}]
    return schema


# To the JSON Schema that Gemini takes.

_KEPT = frozenset(
    {
        "$id",
        "$defs",
        "$ref",
        "$anchor",
        "type",
        "format",
        "title",
        "description",
        "enum",
        "items",
        "prefixItems",
        "minItems",
        "maxItems",
        "minimum",
        "maximum",
        "anyOf",
        "oneOf",
        "properties",
        "additionalProperties",
        "required",
        "propertyOrdering",
    }
)
_SAID_IN_WORDS = {
    "exclusiveMinimum": "greater than {}",
    "exclusiveMaximum": "less than {}",
    "multipleOf": "a multiple of {}",
    "pattern": "matching {}",
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
}


def for_json_schema_field(schema: Any) -> Any:
    """For `parametersJsonSchema` and `responseJsonSchema`: keywords that Gemini does not take are said in words or left
    out.
    """
    return _taken(schema, 0)


def _taken(schema: Any, depth: int) -> Any:
    if schema is True or not isinstance(schema, dict) or depth > _MOST_DEPTH:
        return {}
    made = _with_defs(_merged(schema))
    if isinstance(made.get("$ref"), str):
        return {key: value for key, value in _inner(made, depth).items() if key.startswith("$") and key in _KEPT}
    made = _in_words(_const_to_enum(made))
    if made.get("additionalProperties") is True:
        del made["additionalProperties"]
    made = _without_false(made)
    return {key: value for key, value in _inner(made, depth).items() if key in _KEPT}


def _inner(schema: Schema, depth: int) -> Schema:
    def change(inner: Any) -> Any:
        return inner if inner is False else _taken(inner, depth + 1)

    return map_inner({key: value for key, value in schema.items() if key in _KEPT}, change)


def _with_defs(schema: Schema) -> Schema:
    """`definitions` under its newer name, in references too."""
    made = dict(schema)
    if isinstance(made.get("definitions"), dict) and "$defs" not in made:
        made["$defs"] = made.pop("definitions")
    reference = made.get("$ref")
    if isinstance(reference, str) and reference.startswith("#/definitions/"):
        made["$ref"] = reference.replace("#/definitions/", "#/$defs/", 1)
    return made


def _merged(schema: Schema, depth: int = 0) -> Schema:
    """`allOf` put into the schema that has it; of properties and required fields, all count."""
    every = schema.get("allOf")
    if not isinstance(every, list) or depth > _MOST_DEPTH:
        return schema
    made = {key: value for key, value in schema.items() if key != "allOf"}
    for each in every:
        if not isinstance(each, dict):
            continue
        if list(each) == ["$ref"] and set(made) <= {"description", "title", "default"}:
            return each  # the usual way to describe a reference
        for key, value in _merged(each, depth + 1).items():
            if key == "properties" and isinstance(made.get(key), dict) and isinstance(value, dict):
                made[key] = made[key] | value
            elif key == "required" and isinstance(made.get(key), list) and isinstance(value, list):
                made[key] = [*made[key], *(name for name in value if name not in made[key])]
            else:
                made.setdefault(key, value)
    return made


def _const_to_enum(schema: Schema) -> Schema:
    if "const" not in schema:
        return schema
    made = {key: value for key, value in schema.items() if key != "const"}
    made["enum"] = [schema["const"]]
    if kind := _type_of(schema["const"]):
        made.setdefault("type", kind)
    return made


def _type_of(value: Any) -> str | None:
    kinds: tuple[tuple[type, str], ...] = ((bool, "boolean"), (str, "string"), (int, "integer"), (float, "number"))
    return next((kind for each, kind in kinds if isinstance(value, each)), None)


def _in_words(schema: Schema) -> Schema:
    """What has no keyword is told in the description."""
    told = [
        words.format(schema[key]) for key, words in _SAID_IN_WORDS.items() if key in schema and _is_plain(schema[key])
    ]
    if not told:
        return schema
    before = schema.get("description")
    text = "Must be " + ", ".join(told) + "."
    return schema | {"description": f"{before} {text}" if isinstance(before, str) and before else text}


def _is_plain(value: Any) -> bool:
    return isinstance(value, str | int | float) and not isinstance(value, bool)


def _without_false(schema: Schema) -> Schema:
    """Properties that may not be there are left out."""
    properties = schema.get("properties")
    if not isinstance(properties, dict) or False not in properties.values():
        return schema
    return schema | {"properties": {name: inner for name, inner in properties.items() if inner is not False}}


# To OpenAPI, for models before Gemini 2.5.

_OPENAPI_KEPT = frozenset(
    {
        "type",
        "format",
        "title",
        "description",
        "nullable",
        "enum",
        "items",
        "minItems",
        "maxItems",
        "properties",
        "required",
        "minProperties",
        "maxProperties",
        "minLength",
        "maxLength",
        "pattern",
        "minimum",
        "maximum",
        "anyOf",
        "propertyOrdering",
    }
)
_OPENAPI_MOST_DEPTH = 16
"""Where a schema that holds itself is cut."""


def for_openapi_field(schema: Any) -> Any:
    """For `parameters` and `responseSchema`: references put in their places, unions as `anyOf`, null as `nullable`."""
    definitions = schema.get("$defs", schema.get("definitions")) if isinstance(schema, dict) else None
    return _openapi(schema, definitions if isinstance(definitions, dict) else {}, 0)


def _openapi(schema: Any, definitions: Schema, depth: int) -> Schema:
    if not isinstance(schema, dict) or depth > _OPENAPI_MOST_DEPTH:
        return {"type": "OBJECT"}
    made = _merged(_resolved(_merged(schema), definitions))
    made = _without_false(_const_to_enum(made))
    if "oneOf" in made:
        made.setdefault("anyOf", made.pop("oneOf"))
    made = _typed(_without_null(made))
    made = _texts_of_numbers(made)
    if isinstance(made.get("properties"), dict) and made["properties"]:
        made["propertyOrdering"] = list(made["properties"])
    kept = {key: value for key, value in made.items() if key in _OPENAPI_KEPT}
    return map_inner(kept, lambda inner: _openapi(inner, definitions, depth + 1))


def _resolved(schema: Schema, definitions: Schema) -> Schema:
    """The schema that a reference names, with what stands beside it."""
    reference = schema.get("$ref")
    if not isinstance(reference, str):
        return schema
    found = definitions.get(reference.rpartition("/")[2])
    beside = {key: value for key, value in schema.items() if key != "$ref"}
    return found | beside if isinstance(found, dict) else {"type": "object"} | beside


def _without_null(schema: Schema) -> Schema:
    made = dict(schema)
    kinds = made.get("type")
    if isinstance(kinds, list):
        if "null" in kinds:
            made["nullable"] = True
        others = [kind for kind in kinds if kind != "null"]
        made["type"] = others[0] if len(others) == 1 else None
        if len(others) > 1:
            made["anyOf"] = [{"type": kind} for kind in others]
    choices = made.get("anyOf")
    if isinstance(choices, list):
        rest = [each for each in choices if each != {"type": "null"}]
        if len(rest) < len(choices):
            made["nullable"] = True
        made["anyOf"] = rest
        if len(rest) == 1 and isinstance(rest[0], dict):
            del made["anyOf"]
            made = rest[0] | made
            return _without_null(made) if isinstance(made.get("type"), list) else made
    return {key: value for key, value in made.items() if value is not None}


def _typed(schema: Schema) -> Schema:
    """Types in capitals; one that is missing follows from what is there."""
    kind = schema.get("type")
    if isinstance(kind, str) and kind.lower() in _TYPES:
        return schema | {"type": kind.upper()}
    for key, meant in (("properties", "OBJECT"), ("items", "ARRAY"), ("enum", "STRING")):
        if key in schema:
            return schema | {"type": meant}
    return schema if "anyOf" in schema else schema | {"type": "OBJECT"}


def _texts_of_numbers(schema: Schema) -> Schema:
    """Enums are of strings there."""
    values = schema.get("enum")
    if not isinstance(values, list):
        return schema
    told = [value if isinstance(value, str) else _word(value) for value in values if value is not None]
    made = schema | {"enum": told, "type": "STRING"}
    return made if told == values else made | {"format": "enum"}


def _word(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
