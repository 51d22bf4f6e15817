"""Frames of an Anthropic stream: reading them as they come, writing them as the SDKs demand."""

from __future__ import annotations

from typing import Any

import msgspec

from thalweg.dialects.anthropic_messages.tables import DONE
from thalweg.dialects.anthropic_messages.wire import StreamEvent, read_any, read_event
from thalweg.dialects.kit.frames import BadFrame
from thalweg.dialects.kit.separators import escape_separators

PING = b'event: ping\ndata: {"type": "ping"}\n\n'
"""What breaks a silence. Every client reads over it, also before the first event."""


def is_done(payload: bytes) -> bool:
    """Whether this is the end mark of another dialect."""
    return payload.startswith(DONE)


def read(payload: bytes, name: bytes = b"") -> StreamEvent:
    """One event. What it says of its type is true; the frame's name counts where it says nothing, and for errors.

    Raises `BadFrame` for what is none.
    """
    try:
        payload.decode()  # the decoder passes over the text of unknown fields
        event = read_event(payload)
    except msgspec.ValidationError as error:
        event = _read_leniently(payload, name, error)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise BadFrame("sent a frame that is not JSON") from error
    if not isinstance(event.type, str):
        event.type = name.decode("latin-1")
    if event.error is None and (name == b"error" or event.type == "error"):
        event.error = read_any(payload)
    if event.error is not None:
        event.type = "error"
    return event


def _read_leniently(payload: bytes, name: bytes, reason: Exception) -> StreamEvent:
    """What can be had of an event of another shape: its error, or nothing."""
    try:
        tree = read_any(payload)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise BadFrame("sent a frame that is not JSON") from error
    if isinstance(tree, dict) and tree.get("error"):
        return StreamEvent(type="error", error=tree["error"])
    if name == b"error":
        return StreamEvent(type="error", error=tree)
    raise BadFrame(f"sent an event of another shape ({reason})") from reason


def write(kind: str, fields: dict[str, Any]) -> bytes:
    """One frame, named as its data is."""
    name = kind.encode()
    return b"event: " + name + b"\ndata: " + escape_separators(msgspec.json.encode({"type": kind} | fields)) + b"\n\n"


def block_index(event: StreamEvent) -> int | None:
    """The block that an event is about; `None` where it does not say."""
    index = event.index
    return index if type(index) is int and index >= 0 else None
