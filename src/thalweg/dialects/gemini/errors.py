"""Errors in Google's words, both ways. Shapes: ai.google.dev API errors and google.rpc, read 2026-11."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import msgspec

from thalweg.canon.errors import GatewayError, RequestError, UpstreamError, UpstreamFailed, UpstreamRefused
from thalweg.dialects.base import WireAnswer
from thalweg.dialects.kit import refusals
from thalweg.dialects.kit.separators import escape_separators

_JSON = (b"content-type", b"application/json; charset=UTF-8")
_NO_RETRY = (b"x-should-retry", b"false")
_TYPE = "type.googleapis.com/google.rpc."

_WORDS: dict[str, tuple[int, str]] = {
    "invalid_request": (400, "INVALID_ARGUMENT"),
    "unsupported": (400, "INVALID_ARGUMENT"),
    "context_length": (400, "INVALID_ARGUMENT"),
    "auth": (401, "UNAUTHENTICATED"),
    "billing": (402, "RESOURCE_EXHAUSTED"),
    "permission": (403, "PERMISSION_DENIED"),
    "not_found": (404, "NOT_FOUND"),
    "request_timeout": (408, "DEADLINE_EXCEEDED"),
    "conflict": (409, "ABORTED"),
    "too_large": (400, "INVALID_ARGUMENT"),
    "unsupported_media": (415, "INVALID_ARGUMENT"),
    "rate_limit": (429, "RESOURCE_EXHAUSTED"),
    "quota": (429, "RESOURCE_EXHAUSTED"),
    "cancelled": (499, "CANCELLED"),
    "upstream_bad": (500, "INTERNAL"),
    "unreachable": (500, "INTERNAL"),
    "upstream_error": (500, "INTERNAL"),
    "upstream_broke": (500, "INTERNAL"),
    "timeout": (504, "DEADLINE_EXCEEDED"),
    "overloaded": (503, "UNAVAILABLE"),
    "server": (500, "INTERNAL"),
}
"""Our kind of fault: the status of the answer, which `code` must repeat, and Google's word."""

_STATUS_OF_WORD = {
    "INVALID_ARGUMENT": 400,
    "FAILED_PRECONDITION": 400,
    "OUT_OF_RANGE": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "ABORTED": 409,
    "ALREADY_EXISTS": 409,
    "RESOURCE_EXHAUSTED": 429,
    "CANCELLED": 499,
    "INTERNAL": 500,
    "DATA_LOSS": 500,
    "UNKNOWN": 500,
    "UNIMPLEMENTED": 501,
    "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
}
_CONTEXT = "exceeds the maximum number of tokens"
_DURATION = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)s")
_KEPT_STATUSES = frozenset({405, 422, 508})
"""Statuses that say more than the word for their kind."""


def error_object(error: GatewayError) -> dict[str, Any]:
    """The inside of `{"error": …}`. `code` is a number, or google-genai raises a TypeError instead."""
    status, word = _said(error)
    wire: dict[str, Any] = {"code": status, "message": error.message, "status": word}
    details: list[dict[str, Any]] = []
    if error.code is not None and not error.code.isdecimal():
        details.append({"@type": f"{_TYPE}ErrorInfo", "reason": error.code, "domain": "thalweg"})
    if error.param is not None and isinstance(error, RequestError):
        violation = {"field": error.param, "description": error.message}
        details.append({"@type": f"{_TYPE}BadRequest", "fieldViolations": [violation]})
    if error.retry_after_s is not None:
        details.append({"@type": f"{_TYPE}RetryInfo", "retryDelay": f"{error.retry_after_s:g}s"})
    return wire | ({"details": details} if details else {})


def _said(error: GatewayError) -> tuple[int, str]:
    """Status and word: Google's own where it said them, else those of the kind."""
    status, word = _WORDS.get(error.kind, _WORDS["server"])
    own = error.provider_type if isinstance(error, UpstreamError) else None
    if own in _STATUS_OF_WORD:
        return _own_code(error) or (status if isinstance(error, UpstreamRefused) else _STATUS_OF_WORD[own]), own
    return (error.status if error.status in _KEPT_STATUSES else status), word


def _own_code(error: GatewayError) -> int | None:
    """The number that an upstream said in its stream."""
    if isinstance(error, UpstreamFailed) and error.code is not None and re.fullmatch(r"[45]\d\d", error.code):
        return int(error.code)
    return None


def encode_error(error: GatewayError) -> WireAnswer:
    """The HTTP answer for an error that comes before anything was sent."""
    wire = error_object(error)
    headers = [_JSON]
    if error.retry_after_s is not None:
        headers.append((b"retry-after", b"%d" % max(1, round(error.retry_after_s))))
    if not error.retryable and error.status >= 408:
        headers.append(_NO_RETRY)
    return WireAnswer(wire["code"], tuple(headers), msgspec.json.encode({"error": wire}))


def encode_stream_error(error: GatewayError) -> bytes:
    """The object for an error in mid-stream. `error` stands first: google-genai looks at nothing else."""
    return b'{"error":' + escape_separators(msgspec.json.encode(error_object(error))) + b"}"


def decode_error(
    status: int, headers: Iterable[tuple[bytes, bytes]], body: bytes, *, provider: str, key_name: str
) -> GatewayError:
    """What an answer with an error status means. A wrong key is a 400 here, and means what a 401 does elsewhere."""
    headers = tuple(headers)
    said = _object_of(body)
    if reason_of(said) == "API_KEY_INVALID":
        status = 401
    error = refusals.decode_error(status, headers, body, provider=provider, key_name=key_name)
    if not isinstance(error, UpstreamRefused) or said is None:
        return error
    word = said.get("status")
    error.code = reason_of(said)
    if status not in (401, 402, 403):
        error.provider_type = word if isinstance(word, str) else None
    if error.kind == "invalid_request" and _CONTEXT in error.message:
        error.kind = "context_length"
    if error.retry_after_s is None:
        error.retry_after_s = retry_delay_of(said)
    return error


def error_in_stream(raw: Any, *, provider: str = "") -> UpstreamFailed:
    """The error that a chunk holds."""
    error = refusals.error_in_stream(raw, provider=provider)
    if isinstance(raw, dict):
        word = raw.get("status")
        error.provider_type = word if isinstance(word, str) else None
        error.retry_after_s = retry_delay_of(raw)
    return error


def reason_of(said: dict[str, Any] | None) -> str | None:
    """The reason in an error's details."""
    return _detail(said, "ErrorInfo", "reason")


def retry_delay_of(said: dict[str, Any] | None) -> float | None:
    """Seconds to wait, of an error's details."""
    found = _DURATION.fullmatch(_detail(said, "RetryInfo", "retryDelay") or "")
    return float(found[1]) if found else None


def _detail(said: dict[str, Any] | None, kind: str, field: str) -> str | None:
    details = said.get("details") if said else None
    for detail in details if isinstance(details, list) else ():
        if isinstance(detail, dict) and str(detail.get("@type")).endswith(f".{kind}"):
            value = detail.get(field)
            return value if isinstance(value, str) and value else None
    return None


def _object_of(body: bytes) -> dict[str, Any] | None:
    """The inside of `{"error": …}`, which streaming endpoints put into an array."""
    try:
        tree = msgspec.json.decode(body.strip())
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return None
    if isinstance(tree, list) and tree:
        tree = tree[0]
    found = tree.get("error") if isinstance(tree, dict) else None
    return found if isinstance(found, dict) else None
