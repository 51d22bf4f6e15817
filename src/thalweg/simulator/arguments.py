"""Arguments and answers that fit a JSON Schema, as far as a small maker of values can.

Read are types, `enum`, `const`, `required`, `properties`, `items`, `prefixItems`, `uniqueItems`, `anyOf`, `oneOf`,
`allOf`, local `$ref`, bounds on numbers, strings and arrays, and common formats; `pattern`, `not` and conditions are
not. A schema comes from a client: whatever it is, a value is made, and one with a bounded number of values in it.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

Schema = dict[str, Any]

_WORDS = ("北京", "上海 🌆", "杭州西湖", "东京 (Tōkyō)")
_FORMATS = {
    "date": "2024-02-29",
    "time": "08:30:00Z",
    "date-time": "2024-02-29T08:30:00Z",
    "duration": "PT1H",
    "email": "river@example.com",
    "hostname": "example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uri": "https://example.com/river",
    "uuid": "6f1d7a52-8c0e-4d8b-9a55-0d4f2f6f3a10",
}
_MOST_VALUES = 2000
_DEEPEST = 16
_OPTIONAL_DEPTH = 3
"""Below this depth only what is required is made, so that a schema which contains itself ends."""
_LONGEST_STRING = 4096
_LONGEST_ARRAY = 64
_TRIES = 16
"""How often another value is drawn where one must differ from those before it."""


def fill_arguments(schema: Any, rng: random.Random) -> str:
    """The JSON text of an object for a function's parameters."""
    value = _made(schema, rng)
    return msgspec.json.encode(value if isinstance(value, dict) else {}).decode()


def fill_schema(schema: Any, rng: random.Random) -> str:
    """The JSON text of an answer of this schema, which need not be an object; an empty object where it says nothing."""
    return msgspec.json.encode(_made(schema, rng) if isinstance(schema, dict) and schema else {}).decode()


def _made(schema: Any, rng: random.Random) -> Any:
    return _Maker(schema if isinstance(schema, dict) else {}, rng).value(schema, 0)


class _Maker:
    """Makes one value tree. `left` bounds it, however wide the schema is."""

    def __init__(self, root: Schema, rng: random.Random) -> None:
        self._root = root
        self._rng = rng
        self._left = _MOST_VALUES

    def value(self, schema: Any, depth: int) -> Any:
        self._left -= 1
        schema = self._plain(schema)
        if "const" in schema:
            return schema["const"]
        if isinstance(schema.get("enum"), list) and schema["enum"]:
            return self._rng.choice(schema["enum"])
        return _MAKERS[_type_of(schema)](self, schema, depth)

    def object(self, schema: Schema, depth: int) -> Schema:
        properties = _dict(schema, "properties")
        required = [name for name in _list(schema, "required") if isinstance(name, str)]
        names = dict.fromkeys(required)
        if depth < _OPTIONAL_DEPTH:
            names |= dict.fromkeys(properties)
        if self._exhausted(depth):
            return {}
        return {name: self.value(properties.get(name, {}), depth + 1) for name in names if self._left > 0}

    def array(self, schema: Schema, depth: int) -> list[Any]:
        if self._exhausted(depth):
            return []
        first = _list(schema, "prefixItems")[:_LONGEST_ARRAY]
        least, most = _natural(schema, "minItems", 1), _natural(schema, "maxItems", _LONGEST_ARRAY)
        length = min(max(least, len(first)), most, _LONGEST_ARRAY)
        rest = [schema.get("items", {})] * max(0, length - len(first))
        make = self._another if schema.get("uniqueItems") is True else self._next
        made: list[Any] = []
        for item in [*first, *rest][:length]:
            made += make(item, made, depth + 1)
        return made

    def _next(self, item: Any, _: list[Any], depth: int) -> list[Any]:
        return [self.value(item, depth)]

    def _another(self, item: Any, made: list[Any], depth: int) -> list[Any]:
        """A value that is not among those made; none where some tries find none."""
        drawn = [self.value(item, depth) for _ in range(_TRIES)]
        return [value for value in [*drawn, *_neighbours(drawn[0], self._plain(item))] if value not in made][:1]

    def string(self, schema: Schema, _: int) -> str:
        least = min(_natural(schema, "minLength", 0), _LONGEST_STRING)
        most = _natural(schema, "maxLength", _LONGEST_STRING)
        text = _FORMATS.get(str(schema.get("format"))) or self._rng.choice(_WORDS)
        return (text + "水" * (least - len(text)))[:most]

    def integer(self, schema: Schema, _: int) -> int:
        return round(self._number(schema, whole=True))

    def number(self, schema: Schema, _: int) -> float:
        return self._number(schema, whole=False)

    def boolean(self, _: Schema, __: int) -> bool:
        return self._rng.random() < 0.5

    def null(self, _: Schema, __: int) -> None:
        return None

    def _number(self, schema: Schema, *, whole: bool) -> float:
        """The first fitting one of: seven, the least, the most, and their neighbours on the steps of `multipleOf`."""
        step = _number_in(schema, "multipleOf") or (1 if whole else 0.5)
        low, above, high, below = _bounds(schema)
        starts = [bound for bound in (low, above, high, below) if bound is not None]
        tries = [7 // step * step] + [(start // step + by) * step for start in starts for by in (0, 1, -1)]
        tries += [float(start) for start in starts]
        if above is not None and below is not None:
            tries.append((above + below) / 2)
        return next((n for n in tries if _fits(n, schema)), starts[0] if starts else 7)

    def _plain(self, schema: Any) -> Schema:
        """The schema with references followed, alternatives chosen and `allOf` merged in."""
        plain: Schema = dict(schema) if isinstance(schema, dict) else {}
        for _ in range(_DEEPEST):
            if isinstance(plain.get("$ref"), str):
                plain = self._target(plain.pop("$ref")) | plain
            elif found := next((key for key in ("anyOf", "oneOf") if _list(plain, key)), None):
                plain |= _first_that_says_something(plain.pop(found))
            elif _list(plain, "allOf"):
                for part in plain.pop("allOf"):
                    plain = _merged(plain, part)
            else:
                break
        return plain

    def _target(self, reference: str) -> Schema:
        """What a reference of the form `#/$defs/name` points to; nothing where there is nothing."""
        found: Any = self._root
        for step in reference.removeprefix("#").split("/")[1:]:
            found = found.get(step.replace("~1", "/").replace("~0", "~")) if isinstance(found, dict) else None
        return dict(found) if isinstance(found, dict) else {}

    def _exhausted(self, depth: int) -> bool:
        return depth > _DEEPEST or self._left <= 0


_MAKERS: dict[str, Callable[[_Maker, Schema, int], Any]] = {
    "object": _Maker.object,
    "array": _Maker.array,
    "string": _Maker.string,
    "integer": _Maker.integer,
    "number": _Maker.number,
    "boolean": _Maker.boolean,
    "null": _Maker.null,
}


def _neighbours(value: Any, schema: Schema) -> Iterator[Any]:
    """Values of a plain schema that are near one of its values."""
    if isinstance(value, bool) or "enum" in schema or "const" in schema or "format" in schema:
        return
    if isinstance(value, str):
        longest = _natural(schema, "maxLength", _LONGEST_STRING)
        yield from (value + "川" * more for more in range(1, min(_LONGEST_ARRAY, longest - len(value)) + 1))
    elif isinstance(value, int | float):
        step = _number_in(schema, "multipleOf") or 1
        near = (value + by * step for more in range(1, _LONGEST_ARRAY) for by in (more, -more))
        yield from (number for number in near if _fits(number, schema))


def _type_of(schema: Schema) -> str:
    said = schema.get("type")
    names = said if isinstance(said, list) else [said]
    # Gemini writes types in capitals.
    known = [name.lower() for name in names if isinstance(name, str) and name.lower() in _MAKERS]
    if known:
        return next((name for name in known if name != "null"), "null")
    if "properties" in schema or "required" in schema:
        return "object"
    return "array" if "items" in schema else "string"


def _first_that_says_something(alternatives: list[Any]) -> Schema:
    found = [each for each in alternatives if isinstance(each, dict)]
    return dict(next((each for each in found if each.get("type") != "null"), found[0] if found else {}))


def _merged(one: Schema, other: Any) -> Schema:
    """Both schemas at once; where both say the same word, lists and objects are joined."""
    merged = dict(one)
    for key, value in (other if isinstance(other, dict) else {}).items():
        old = merged.get(key)
        if isinstance(old, dict) and isinstance(value, dict):
            merged[key] = old | value
        elif isinstance(old, list) and isinstance(value, list) and key == "required":
            merged[key] = [*old, *value]
        else:
            merged[key] = value
    return merged


def _bounds(schema: Schema) -> tuple[float | None, ...]:
    """The least, what must be passed, the most, and what must not be reached."""
    names = ("minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum")
    return tuple(_number_in(schema, name) for name in names)


def _fits(number: float, schema: Schema) -> bool:
    low, above, high, below = _bounds(schema)
    return (
        (low is None or number >= low)
        and (high is None or number <= high)
        and (above is None or number > above)
        and (below is None or number < below)
    )


def _dict(schema: Schema, key: str) -> Schema:
    found = schema.get(key)
    return found if isinstance(found, dict) else {}


def _list(schema: Schema, key: str) -> list[Any]:
    found = schema.get(key)
    return found if isinstance(found, list) else []


def _natural(schema: Schema, key: str, default: int) -> int:
    found = schema.get(key)
    return found if isinstance(found, int) and not isinstance(found, bool) and found >= 0 else default


def _number_in(schema: Schema, key: str) -> float | None:
    found = schema.get(key)
    return found if isinstance(found, int | float) and not isinstance(found, bool) else None
