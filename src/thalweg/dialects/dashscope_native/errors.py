"""Errors in DashScope's words: `{"code", "message", "request_id"}`, in a body or in a frame.

In a stream the HTTP status is 200 whatever went wrong; the true one stands in a comment of the error's frame.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from thalweg.canon.errors import GatewayError, UpstreamRefused
from thalweg.dialects.base import WireAnswer
from thalweg.dialects.kit import refusals

_CODES = {
    "invalid_request": "InvalidParameter",
    "unsupported": "InvalidParameter",
    "context_length": "InvalidParameter",
    "auth": "InvalidApiKey",
    "billing": "Arrearage",
    "permission": "AccessDenied",
    "not_found": "ModelNotFound",
    "request_timeout": "RequestTimeOut",
    "conflict": "InvalidParameter",
    "too_large": "InvalidParameter",
    "unsupported_media": "InvalidParameter",
    "rate_limit": "Throttling.RateQuota",
    "cancelled": "RequestCancelled",
    "upstream_bad": "InternalError.Upstream",
    "unreachable": "InternalError.Upstream",
    "upstream_error": "InternalError.Algo",
    "upstream_broke": "InternalError.Algo",
    "timeout": "GatewayTimeout",
    "overloaded": "ServiceUnavailable",
    "server": "InternalError",
}
"""Our kind of fault: DashScope's code. The SDK chooses its exception by the word before the dot."""

_UNPAID = "Arrearage"
"""An account in arrears; the status it comes with varies."""
_TOO_LONG = "input length"
"""In "Range of input length should be [1, N]", which it says of a prompt that is too long."""


def decode_error(
    status: int, headers: Iterable[tuple[bytes, bytes]], body: bytes, *, provider: str, key_name: str
) -> GatewayError:
    """What an error status means."""
    if status in (400, 403) and _UNPAID.encode() in body:
        status = 402
    error = refusals.decode_error(status, headers, body, provider=provider, key_name=key_name)
    if error.kind == "invalid_request" and _TOO_LONG in error.message.lower():
        error.kind = "context_length"
    return error


def error_in_answer(said: dict[str, Any], status: int | None, *, provider: str) -> GatewayError:
    """An error inside a good HTTP status. `status` is the true one, where nothing of an answer came before it."""
    if status is not None and status >= 400:
        known = {key: value for key, value in said.items() if key in ("code", "message", "type", "param")}
        return decode_error(status, (), msgspec.json.encode(known), provider=provider, key_name="")
    return refusals.error_in_stream(said, provider=provider)


def error_object(error: GatewayError, request_id: str = "") -> dict[str, Any]:
    """The body of an error."""
    code = error.code if isinstance(error, UpstreamRefused) and error.code else _CODES[error.kind]
    wire = {"code": code, "message": error.message}
    return wire | {"request_id": request_id} if request_id else wire


def encode_error(error: GatewayError) -> WireAnswer:
    """The HTTP answer for an error that comes before anything was sent."""
    headers: list[tuple[bytes, bytes]] = [(b"content-type", b"application/json")]
    if error.retry_after_s is not None:
        headers.append((b"retry-after", b"%d" % max(1, round(error.retry_after_s))))
    return WireAnswer(error.status, tuple(headers), msgspec.json.encode(error_object(error)))


def encode_stream_error(error: GatewayError, number: int, request_id: str) -> bytes:
    """The frame of an error in a stream."""
    data = msgspec.json.encode(error_object(error, request_id))
    return b"id:%d\nevent:error\n:HTTP_STATUS/%d\ndata:%b\n\n" % (number, error.status, data)
