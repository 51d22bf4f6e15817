"""Token counts as upstreams write them: integers, now and then floats, null or nonsense."""

from __future__ import annotations

from typing import Any

from thalweg.canon.usage import MOST_TOKENS


def count(raw: dict[str, Any], key: str) -> int | None:
    """A count, or `None` where there is none, or none that can be."""
    value = raw.get(key)
    if value is None or (type(value) is int and 0 <= value <= MOST_TOKENS):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= MOST_TOKENS:
        return None
    return int(value)


def counts(raw: dict[str, Any], keys: tuple[str, ...]) -> list[int | None]:
    """Several counts of one object, most of which are usually not there or what they should be: for those no call."""
    if not raw:
        return [None] * len(keys)
    found: list[int | None] = []
    for key in keys:
        value = raw.get(key)
        if value is not None and (type(value) is not int or not 0 <= value <= MOST_TOKENS):
            value = count(raw, key)
        found.append(value)
    return found


def first(*places: tuple[dict[str, Any], str]) -> int | None:
    """The first count that is there."""
    for raw, key in places:
        if (found := count(raw, key)) is not None:
            return found
    return None


def details(raw: dict[str, Any], key: str) -> dict[str, Any]:
    """An object inside, empty where there is none."""
    found = raw.get(key)
    return found if isinstance(found, dict) else {}


def within(part: int | None, whole: int | None) -> int | None:
    """A part held within its whole, because some servers report more."""
    return part if part is None or whole is None else min(part, whole)
