"""Errors in Anthropic's words."""

from __future__ import annotations

from typing import Any

import msgspec

from thalweg.canon.errors import GatewayError, UpstreamError, UpstreamFailed
from thalweg.dialects.anthropic_messages.frames import write
from thalweg.dialects.anthropic_messages.tables import CONTEXT_MARK, ERROR_TYPES, KIND_OF_STREAM_ERROR, status_of
from thalweg.dialects.base import WireAnswer
from thalweg.dialects.kit.refusals import error_in_stream

_JSON = (b"content-type", b"application/json")
_NO_RETRY = (b"x-should-retry", b"false")


def error_object(error: GatewayError) -> dict[str, Any]:
    """The inside of `{"type": "error", "error": …}`."""
    kind = ERROR_TYPES.get(error.kind, "api_error")
    if isinstance(error, UpstreamError) and error.provider_type:
        kind = error.provider_type
    message = error.message
    if error.kind == "context_length" and CONTEXT_MARK not in message.lower():
        message = f"{CONTEXT_MARK}: {message}"
    return {"type": kind, "message": message}


def encode_error(error: GatewayError) -> WireAnswer:
    """The HTTP answer for an error that comes before anything was sent."""
    headers = [_JSON]
    if error.retry_after_s is not None:
        headers.append((b"retry-after", b"%d" % max(1, round(error.retry_after_s))))
    status = status_of(error)
    if not error.retryable and status >= 408:
        headers.append(_NO_RETRY)
    return WireAnswer(status, tuple(headers), msgspec.json.encode({"type": "error", "error": error_object(error)}))


def encode_stream_error(error: GatewayError) -> bytes:
    """The frame for an error in mid-stream: under any other name the SDKs pass over it."""
    return write("error", {"error": error_object(error)})


def read_stream_error(raw: Any, *, provider: str) -> UpstreamFailed:
    """The error that an event holds, with what it means for another attempt."""
    error = error_in_stream(raw, provider=provider)
    error.kind = KIND_OF_STREAM_ERROR.get(error.provider_type or "", error.kind)
    return error
