"""Reading a request's JSON, which is checked elsewhere: whatever is not what it should be is nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Tree = dict[str, Any]


def objects(value: Any) -> list[Tree]:
    """The objects of a list, those that are none as empty ones, so that each keeps its place."""
    return [each if isinstance(each, dict) else {} for each in value] if isinstance(value, list) else []


def string(value: Any) -> str:
    """A text; empty where there is none."""
    return value if isinstance(value, str) else ""


def field(tree: Tree, *names: str) -> Any:
    """The first of these fields that is there."""
    return next((tree[name] for name in names if tree.get(name) is not None), None)


def texts(value: Any) -> Iterator[str]:
    """The texts of a list of parts."""
    return (string(part.get("text")) for part in objects(value))
