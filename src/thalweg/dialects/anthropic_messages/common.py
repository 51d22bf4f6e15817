"""The common frame: a delta that adds to a block, on one line under its name. Both ways of a stream read it by this."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from thalweg.dialects.anthropic_messages.wire import CommonEvent, InputDelta, TextDelta, read_common
from thalweg.dialects.kit.envelope import Envelope, Lessons, find_envelope

_HEAD = b"event: content_block_delta\ndata: "
_HEAD_BYTES = len(_HEAD)


class CommonFrames:
    """Reads the common frames of one stream, block after block."""

    __slots__ = ("_lessons", "envelope")

    def __init__(self) -> None:
        self.envelope: Envelope | None = None
        """Of the block that goes on, once it is known."""
        self._lessons = Lessons()

    def forget(self) -> None:
        """Another block begins, or this one ends."""
        self.envelope, self._lessons = None, Lessons()

    def text_in(self, data: bytes, fits: Callable[[CommonEvent], bool]) -> str | None:
        """The text in a frame by the parser, which finds out what a common frame is; `None` for any other, and for one
        that does not fit.
        """
        event = common_event(data)
        if event is None or not fits(event):
            return None
        text = text_of(event)
        if self._lessons.due():
            self.envelope = find_envelope(data, text, text_in) or self.envelope
        return text


def common_event(data: bytes) -> CommonEvent | None:
    """The event in bytes that are exactly one common frame; `None` for any others."""
    if data[:_HEAD_BYTES] != _HEAD or data[-2:] != b"\n\n":
        return None
    payload = data[_HEAD_BYTES:-2]
    if 0x0A in payload or 0x0D in payload:
        return None
    try:
        # The parser looks only into fields that it knows, but no byte of any field may break the client's decoder.
        if not payload.isascii():
            payload.decode()
        return read_common(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def text_of(event: CommonEvent) -> str:
    """What it adds."""
    delta = event.delta
    if isinstance(delta, TextDelta):
        return delta.text
    return delta.partial_json if isinstance(delta, InputDelta) else delta.thinking


def text_in(data: bytes) -> str | None:
    """The text in a common frame, by the parser alone."""
    event = common_event(data)
    return None if event is None else text_of(event)
