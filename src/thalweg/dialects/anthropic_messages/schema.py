"""JSON Schemas put into the subset that Anthropic's structured output takes.

Source: `lib/_parse/_transform.py` of anthropic-sdk-python 2.10 and the documentation of structured outputs, read
2026-11. What the subset lacks is said in the description, for the model to read.
"""

from __future__ import annotations

from typing import Any

import msgspec

_KEPT = frozenset({"type", "required", "enum", "const", "title", "description", "default", "additionalProperties"})
_MAPS = ("properties", "$defs", "definitions")
_LISTS = ("anyOf", "allOf", "oneOf")
_FORMATS = frozenset({"date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"})
_UNION_WORDS = ("anyOf", "allOf", "oneOf")
NO_ARGUMENTS: dict[str, Any] = {"type": "object", "properties": {}}


class Subset:
    """Puts one schema into the subset."""

    def __init__(self) -> None:
        self.lost = False
        """Whether it said anything that is now no more than a description."""

    def of(self, schema: Any) -> Any:
        """The schema in the subset."""
        if not isinstance(schema, dict):
            return schema
        if "$ref" in schema:
            return {"$ref": schema["$ref"]}
        out: dict[str, Any] = {name: schema[name] for name in schema if name in _KEPT}
        rest: dict[str, Any] = {}
        for name, value in schema.items():
            if name in _MAPS and isinstance(value, dict):
                out[name] = {key: self.of(inner) for key, inner in value.items()}
            elif name in _LISTS and isinstance(value, list):
                out["anyOf" if name == "oneOf" else name] = [self.of(inner) for inner in value]
            elif name == "items":
                out[name] = self.of(value)
            elif (name == "format" and value in _FORMATS) or (name == "minItems" and value in (0, 1)):
                out[name] = value
            elif name not in _KEPT and not name.startswith("$"):
                rest[name] = value
        if out.get("type") == "object" or "properties" in out:
            self.lost = self.lost or out.get("additionalProperties", False) is not False
            out["additionalProperties"] = False
        return self._described(out, rest)

    def _described(self, out: dict[str, Any], rest: dict[str, Any]) -> dict[str, Any]:
        if rest:
            self.lost = True
            said = "{" + ", ".join(f"{name}: {_text(value)}" for name, value in rest.items()) + "}"
            before = out.get("description")
            out["description"] = f"{before}\n\n{said}" if isinstance(before, str) and before else said
        return out


def _text(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def input_schema(parameters: dict[str, Any] | None) -> tuple[dict[str, Any], bool]:
    """A tool's schema as Anthropic wants it, an object with no union at its top, and whether a union was lost."""
    if not parameters:
        return NO_ARGUMENTS, False
    unions = [name for name in _UNION_WORDS if name in parameters]
    wire = {name: value for name, value in parameters.items() if name not in unions}
    return {"type": "object"} | wire, bool(unions)
