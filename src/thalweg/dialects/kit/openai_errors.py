"""Errors in OpenAI's words, which Chat and Responses share. Shapes: OpenAI API reference, read 2026-11."""

from __future__ import annotations

from typing import Any

import msgspec

from thalweg.canon.errors import GatewayError, UpstreamError
from thalweg.dialects.base import WireAnswer

_JSON = (b"content-type", b"application/json")
_NO_RETRY = (b"x-should-retry", b"false")

_WORDS = {
    "invalid_request": ("invalid_request_error", None),
    "unsupported": ("invalid_request_error", "unsupported_parameter"),
    "context_length": ("invalid_request_error", "context_length_exceeded"),
    "auth": ("authentication_error", "invalid_api_key"),
    "billing": ("insufficient_quota", "insufficient_quota"),
    "permission": ("permission_error", None),
    "not_found": ("not_found_error", "model_not_found"),
    "request_timeout": ("invalid_request_error", "request_timeout"),
    "conflict": ("conflict_error", None),
    "too_large": ("invalid_request_error", "request_too_large"),
    "unsupported_media": ("invalid_request_error", "unsupported_media_type"),
    "rate_limit": ("rate_limit_error", "rate_limit_exceeded"),
    "cancelled": ("cancelled", "cancelled"),
    "upstream_bad": ("server_error", "upstream_error"),
    "unreachable": ("server_error", "upstream_unreachable"),
    "upstream_error": ("server_error", "upstream_error"),
    "upstream_broke": ("server_error", "upstream_broke_off"),
    "timeout": ("server_error", "timeout"),
    "overloaded": ("server_error", "overloaded"),
    "server": ("server_error", "internal_error"),
}
"""Our kind of fault: Chat's `type` and default `code`. Frameworks choose their exception by these words."""


def error_object(error: GatewayError) -> dict[str, Any]:
    """The inside of `{"error": …}`. `code` is a string or null: ark-go takes nothing else."""
    kind, code = _WORDS[error.kind]
    if isinstance(error, UpstreamError) and error.provider_type:
        kind = error.provider_type
    return {"message": error.message, "type": kind, "param": error.param, "code": error.code or code}


def encode_error(error: GatewayError) -> WireAnswer:
    """The HTTP answer for an error that comes before anything was sent."""
    headers = [_JSON]
    if error.retry_after_s is not None:
        headers.append((b"retry-after", b"%d" % max(1, round(error.retry_after_s))))
    if not error.retryable and error.status >= 408:
        headers.append(_NO_RETRY)
    return WireAnswer(error.status, tuple(headers), msgspec.json.encode({"error": error_object(error)}))
