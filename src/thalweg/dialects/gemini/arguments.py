"""A call's arguments, which are text in the canon and an object here."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec
from msgspec import Raw

from thalweg.dialects.gemini.wire import UNREADABLE, compact

RAW_FIELD = "_raw"
"""Where text stands that is no object."""


class Arguments(NamedTuple):
    """An object, ready to be written."""

    value: Raw | dict[str, Any]
    whole: bool
    """Whether the text was an object, or one written as a string."""


def arguments_of(text: str) -> Arguments:
    """The object that a call's text is; no text is an empty one."""
    if not text.strip():
        return Arguments({}, whole=True)
    tree = _tree(text)
    if isinstance(tree, str):
        text, tree = tree, _tree(tree)
    if isinstance(tree, dict):
        return Arguments(Raw(compact(text.strip().encode())), whole=True)
    return Arguments({RAW_FIELD: text}, whole=False)


def _tree(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except UNREADABLE:
        return None
