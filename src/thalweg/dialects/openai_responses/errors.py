"""Errors inside a Responses stream."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import msgspec

from thalweg.canon.errors import GatewayError, UpstreamFailed
from thalweg.dialects.kit.openai_errors import error_object
from thalweg.dialects.kit.refusals import error_in_stream
from thalweg.dialects.kit.separators import escape_separators
from thalweg.dialects.openai_responses.wire import WatchedEvent, WireEvent

_encode = msgspec.json.Encoder().encode


def write_event(kind: str, wire: Any) -> bytes:
    """One frame: the event's line repeats its type, as OpenAI's does and openai-node wants it for errors."""
    return head_of_event(kind) + escape_separators(_encode(wire)) + b"\n\n"


@lru_cache(maxsize=64)
def head_of_event(kind: str) -> bytes:
    """What stands before the data of a kind of event; there are as many as the table of kinds has."""
    return b"event: %b\ndata: " % kind.encode()


def encode_stream_error(error: GatewayError, sequence: int) -> bytes:
    """The error's event. Both of its forms at once: SDKs raise at the nested one, ark-go reads the flat one."""
    said = error_object(error)
    flat = {"code": said["code"], "message": said["message"], "param": said["param"]}
    return write_event("error", {"type": "error", "sequence_number": sequence} | flat | {"error": said})


def failure_of(error: GatewayError) -> dict[str, Any]:
    """The inside of a failed response's `error`."""
    said = error_object(error)
    return {"code": said["code"] or said["type"], "message": said["message"]}


def error_said(event: WireEvent | WatchedEvent, provider: str) -> UpstreamFailed:
    """What an `error` event says, nested, flat or both."""
    if event.error:
        return error_in_stream(event.error, provider=provider)
    flat = {"message": event.message, "code": event.code, "param": event.param}
    return error_in_stream(flat, provider=provider)
