"""Templates of JSON objects: which keys, in which order, and what stands in them. No provider is known here.

A `Shape` is filled with the values that one frame has. What a slot does with a value that is not there is said where
the slot stands: the key is left out, or `Or` puts something in its place.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, auto
from typing import Any

import msgspec


class Slot(Enum):
    """A place in a template for something that differs from frame to frame."""

    ID = auto()
    CREATED = auto()
    MODEL = auto()
    CHOICES = auto()
    """The choices of a whole answer."""
    INDEX = auto()
    """The choice's number."""
    TEXT = auto()
    REASONING = auto()
    CALL_INDEX = auto()
    CALL_ID = auto()
    NAME = auto()
    ARGUMENTS = auto()
    CALLS = auto()
    """Whole tool calls, in a list."""
    FINISH = auto()
    NATIVE = auto()
    """The finish reason in the words of whoever made the model."""
    USAGE = auto()
    PROMPT = auto()
    COMPLETION = auto()
    TOTAL = auto()
    CACHED = auto()
    MISSED = auto()
    """Tokens of the prompt that came from no cache."""
    THOUGHT = auto()
    """Tokens of reasoning, in an answer that thinks."""
    COST = auto()
    PADDING = auto()
    """Characters without meaning, of a length that differs from frame to frame."""
    REQUEST_ID = auto()
    MESSAGE = auto()
    """What an error says."""
    TYPE = auto()
    CODE = auto()
    PARAM = auto()
    STATUS = auto()
    """The HTTP status that belongs to an error, as a number."""


class Or(msgspec.Struct, frozen=True):
    """A slot's value, or another where it has none."""

    slot: Slot
    default: Any = None


class Shape(msgspec.Struct, frozen=True):
    """An object's keys with constants, slots, and shapes within, in order."""

    fields: tuple[tuple[str, Any], ...]


Values = Mapping[Slot, Any]
"""What there is to fill in."""


def of(**fields: Any) -> Shape:
    """A shape with these keys, in this order."""
    return Shape(tuple(fields.items()))


def fill(shape: Shape, values: Values) -> dict[str, Any]:
    """The object. A key whose slot has no value is left out; so is an object within that loses every key it had."""
    filled = ((key, _filled(each, values)) for key, each in shape.fields)
    return {key: value for key, value in filled if value is not _NOTHING}


_NOTHING = object()


def _filled(each: Any, values: Values) -> Any:
    if isinstance(each, Slot):
        return values.get(each, _NOTHING)
    if isinstance(each, Or):
        return values.get(each.slot, each.default)
    if isinstance(each, Shape):
        inner = fill(each, values)
        return _NOTHING if each.fields and not inner else inner
    if isinstance(each, tuple):
        return [_filled(inner, values) for inner in each]
    return each
