"""Errors in the words of the dialect that a path belongs to, also where its endpoints do not exist yet."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from thalweg.canon.errors import GatewayError
from thalweg.dialects.base import WireAnswer
from thalweg.dialects.registry import DIALECTS

_JSON = ((b"content-type", b"application/json"),)

_ANTHROPIC_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    409: "conflict_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}
_GEMINI_STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ABORTED",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


def _openai(error: GatewayError) -> WireAnswer:
    return DIALECTS["openai-chat"].encode_error(error)


def _anthropic(error: GatewayError) -> WireAnswer:
    status = 529 if error.status == 503 else error.status
    other = "invalid_request_error" if status < 500 else "api_error"
    inner = {"type": _ANTHROPIC_TYPES.get(status, other), "message": error.message}
    return _answer(status, {"type": "error", "error": inner})


def _gemini(error: GatewayError) -> WireAnswer:
    status = 400 if error.status == 413 else error.status
    name = _GEMINI_STATUSES.get(status, "INVALID_ARGUMENT" if status < 500 else "INTERNAL")
    return _answer(status, {"error": {"code": status, "message": error.message, "status": name}})


def _answer(status: int, body: Any) -> WireAnswer:
    return WireAnswer(status, _JSON, msgspec.json.encode(body))


Encode = Callable[[GatewayError], WireAnswer]
Fields = Iterable[tuple[bytes, bytes]]

_BEGINNINGS: tuple[tuple[str, Encode], ...] = (
    ("/anthropic/", _anthropic),
    ("/v1/messages", _anthropic),
    ("/v1beta/", _gemini),
    ("/v1alpha/", _gemini),
)
_ENDS = (
    ("/chat/completions", "openai-chat"),
    ("/responses", "openai-responses"),
    ("/messages", "anthropic"),
)
_VERBS = (":generateContent", ":streamGenerateContent", ":countTokens", ":embedContent", ":batchEmbedContents")


def is_gemini_call(path: str) -> bool:
    """Whether the path ends with one of Gemini's verbs. A colon alone says nothing: `llama3:8b` is a model's name."""
    return path.endswith(_VERBS)


def dialect_of(path: str) -> str:
    """The dialect whose generation requests come to this path; `none` for any other path."""
    if is_gemini_call(path):
        return "gemini"
    return next((name for end, name in _ENDS if path.endswith(end)), "none")


def encode_error(path: str, error: GatewayError, *, headers: Fields = (), query: bytes = b"") -> WireAnswer:
    """The error in the shape that this path's clients read; on the paths that all of them share, this client's."""
    if is_gemini_call(path):
        return _gemini(error)
    if path == "/v1/models" or path.startswith("/v1/models/"):
        return _of_client(headers, query)(error)
    return next((encode for start, encode in _BEGINNINGS if path.startswith(start)), _openai)(error)


def _of_client(headers: Fields, query: bytes) -> Encode:
    names = {name for name, _ in headers}
    if any(name.startswith(b"x-goog-") for name in names) or query.startswith(b"key=") or b"&key=" in query:
        return _gemini
    return _anthropic if b"anthropic-version" in names else _openai
