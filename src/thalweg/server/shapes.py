"""Errors in the words of the dialect that a path belongs to, also where its endpoints do not exist yet."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from thalweg.canon.errors import GatewayError
from thalweg.dialects.base import WireAnswer
from thalweg.dialects.registry import DIALECTS

Encode = Callable[[GatewayError], WireAnswer]
Fields = Iterable[tuple[bytes, bytes]]


def _in(name: str) -> Encode:
    """The errors of that dialect."""
    return DIALECTS[name].encode_error


_openai, _anthropic, _gemini = _in("openai-chat"), _in("anthropic"), _in("gemini")

_BEGINNINGS: tuple[tuple[str, Encode], ...] = (
    ("/anthropic/", _anthropic),
    ("/v1/messages", _anthropic),
    ("/v1beta/", _gemini),
    ("/v1beta1/", _gemini),
    ("/v1alpha/", _gemini),
)
_ENDS = (
    ("/chat/completions", "openai-chat"),
    ("/responses", "openai-responses"),
    ("/messages", "anthropic"),
)
_VERSIONS = ("/v1beta/", "/v1/", "/v1beta1/", "/v1alpha/")
"""`v1beta1` is Vertex's, which google-genai asks for in its Vertex mode."""
_VERBS = (":generateContent", ":streamGenerateContent", ":countTokens", ":embedContent", ":batchEmbedContents")


def is_gemini_call(path: str) -> bool:
    """Whether the path ends with one of Gemini's verbs. A colon alone says nothing: `llama3:8b` is a model's name."""
    return path.endswith(_VERBS)


def is_gemini_generation(path: str) -> bool:
    """Whether a request to generate comes in there."""
    return path.endswith(_VERBS[:2]) and path.startswith(_VERSIONS)


def is_gemini_count(path: str) -> bool:
    """Whether a prompt's tokens are counted there."""
    return path.endswith(":countTokens") and path.startswith(_VERSIONS)


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
