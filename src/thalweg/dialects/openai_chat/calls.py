"""Which call a piece of a tool call belongs to: one book for every way that providers number them.

Seen on the wire (recordings and provider dossiers): ids only on the first piece, on every piece, or empty on later
ones; an index missing, reused under a new id, or starting at 1; the name repeated or empty on later pieces.
"""

from __future__ import annotations

import hashlib
from typing import Any

from thalweg.dialects.openai_chat.wire import ToolPiece


class CallSlot:
    """One call of one choice."""

    __slots__ = ("call_id", "name", "number", "wire_index")

    def __init__(self, number: int, wire_index: int | None) -> None:
        self.number = number
        """Its place among the choice's calls, from 0 without gaps."""
        self.wire_index = wire_index
        self.call_id = ""
        self.name = ""


class CallBook:
    """The calls of one choice, in order of first appearance."""

    __slots__ = ("slots",)

    def __init__(self) -> None:
        self.slots: list[CallSlot] = []

    def place(self, piece: ToolPiece) -> CallSlot:
        """The slot of this piece, made if it begins a call. The first id and the first name stay."""
        call_id = piece.id if isinstance(piece.id, str) else ""
        name = name_of(piece)
        index = piece.index if isinstance(piece.index, int) and not isinstance(piece.index, bool) else None
        slot = self._known(index, call_id, name)
        if slot is None:
            slot = CallSlot(len(self.slots), index)
            self.slots.append(slot)
        slot.call_id = slot.call_id or call_id
        slot.name = slot.name or name
        return slot

    def _known(self, index: int | None, call_id: str, name: str) -> CallSlot | None:
        if index is None:
            return self._known_by_id(call_id, name)
        for slot in reversed(self.slots):
            if slot.wire_index == index:
                another = call_id and slot.call_id and call_id != slot.call_id and name
                return None if another else slot
        return None

    def _known_by_id(self, call_id: str, name: str) -> CallSlot | None:
        if call_id:
            return next((slot for slot in self.slots if slot.call_id == call_id), None)
        last = self.slots[-1] if self.slots else None
        return None if last and name and last.name else last


def name_of(piece: ToolPiece) -> str:
    """The tool's name in this piece, or an empty string."""
    name = piece.function.name if piece.function else None
    if custom := custom_of(piece):
        name = custom.get("name")
    return name if isinstance(name, str) else ""


def custom_of(piece: ToolPiece) -> dict[str, Any] | None:
    """The free-form call in this piece; `None` where it is a function's, also when an empty `custom` stands beside."""
    function = piece.function
    if not isinstance(piece.custom, dict) or (function and (function.name or function.arguments)):
        return None
    return piece.custom


def made_up_id(response_id: str, choice: int, number: int) -> str:
    """An id for a call that came without one: the same for the same answer, so that prompt caches survive."""
    digest = hashlib.sha256(f"{response_id}/{choice}/{number}".encode()).hexdigest()
    return f"call_{digest[:24]}"
