"""What providers do not take: makers of checks. The words stand in the providers' own rows.

In a message `{field}` is the field's name and `{value}` what was sent.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import msgspec

from thalweg.simulator.manners.base import Asked, Check
from thalweg.simulator.manners.errors import Refusal

_NOT_OF_THE_PROVIDER = "simulator"
"""The field that is the simulator's own, whose manner ever it has."""


def _about(refusal: Refusal, field: str, value: Any) -> Refusal:
    message = refusal.message.replace("{field}", field).replace("{value}", str(value))
    return msgspec.structs.replace(refusal, message=message, param=refusal.param or field)


def within(
    field: str, least: float, most: float, refusal: Refusal, *, without_least: bool = False, without_most: bool = False
) -> Check:
    """A number must lie between two others, which count as inside unless it is said otherwise."""

    def check(asked: Asked) -> Refusal | None:
        value = asked.body.get(field)
        if not isinstance(value, int | float) or isinstance(value, bool):
            return None
        low = value < least or (without_least and value == least)
        high = value > most or (without_most and value == most)
        return _about(refusal, field, value) if low or high else None

    return check


def one_of(path: str, values: Collection[Any], refusal: Refusal) -> Check:
    """A field, or a member of one (`thinking.type`), must have one of these values."""
    field, _, member = path.partition(".")

    def check(asked: Asked) -> Refusal | None:
        value = asked.body.get(field)
        if member:
            value = value.get(member) if isinstance(value, dict) else None
        return None if value is None or value in values else _about(refusal, path, value)

    return check


def at_most(field: str, most: int, refusal: Refusal) -> Check:
    """A list may have so many members."""

    def check(asked: Asked) -> Refusal | None:
        value = asked.body.get(field)
        return _about(refusal, field, len(value)) if isinstance(value, list) and len(value) > most else None

    return check


def not_both(field: str, other: str, refusal: Refusal) -> Check:
    """Two fields may not be sent together."""

    def check(asked: Asked) -> Refusal | None:
        both = asked.body.get(field) is not None and asked.body.get(other) is not None
        return _about(refusal, field, asked.body.get(field)) if both else None

    return check


def known(fields: Collection[str], refusal: Refusal) -> Check:
    """No field but these may be sent."""

    def check(asked: Asked) -> Refusal | None:
        unknown = (name for name in asked.body if name not in fields and name != _NOT_OF_THE_PROVIDER)
        field = next(unknown, None)
        return None if field is None else _about(refusal, field, asked.body[field])

    return check


def unless(holds: Callable[[Asked], bool], refusal: Refusal) -> Check:
    """Anything else that must hold."""
    return lambda asked: None if holds(asked) else refusal


def of_marked(mark: str, check: Check) -> Check:
    """A check of those models only that have this mark."""
    return lambda asked: check(asked) if mark in asked.listed.marks else None


def streams(asked: Asked) -> bool:
    """Whether the request wants a stream."""
    return asked.request.stream


def options_only_in_streams(asked: Asked) -> bool:
    """Whether `stream_options` come with a stream, if they come."""
    return asked.request.stream or asked.body.get("stream_options") is None


def forces_no_call(asked: Asked) -> bool:
    """Whether no tool must be called."""
    choice = asked.request.tool_choice
    return choice is None or choice.mode != "required"
