"""Anthropic's stream and answers as they come, typed as far as it pays."""

from __future__ import annotations

from typing import Any, Literal

import msgspec


class Delta(msgspec.Struct):
    """`delta` of `content_block_delta` and of `message_delta`."""

    type: Any = None
    text: Any = None
    thinking: Any = None
    partial_json: Any = None
    signature: Any = None
    citation: Any = None
    content: Any = None
    stop_reason: Any = None
    stop_sequence: Any = None


class StreamEvent(msgspec.Struct):
    """Any event of a stream."""

    type: Any = None
    index: Any = None
    message: Any = None
    content_block: Any = None
    delta: Delta | None = None
    usage: Any = None
    error: Any = None


class TextDelta(msgspec.Struct, gc=False, tag_field="type", tag="text_delta"):
    """Text that goes on."""

    text: str


class ThinkingDelta(msgspec.Struct, gc=False, tag_field="type", tag="thinking_delta"):
    """Thinking that goes on."""

    thinking: str


class InputDelta(msgspec.Struct, gc=False, tag_field="type", tag="input_json_delta"):
    """A call's arguments that go on."""

    partial_json: str


class CommonEvent(msgspec.Struct, gc=False):
    """The common event, which only adds to a block. Whatever any other is, the parser refuses."""

    type: Literal["content_block_delta"]
    index: int
    delta: TextDelta | ThinkingDelta | InputDelta
    error: None = None


read_event = msgspec.json.Decoder(StreamEvent).decode
read_common = msgspec.json.Decoder(CommonEvent).decode
read_any = msgspec.json.Decoder().decode


def text_in(value: Any) -> str:
    """A text, or none where something else stands."""
    return value if isinstance(value, str) else ""


def json_text(value: Any) -> str:
    """An object as JSON text; what nests too deeply to be written is nothing."""
    try:
        return msgspec.json.encode(value).decode()
    except RecursionError:
        return ""
