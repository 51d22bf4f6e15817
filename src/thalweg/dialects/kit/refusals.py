"""Errors as upstreams say them: a status, and JSON of whatever shape. What differs between dialects is only where the
words stand, and the reader finds all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from thalweg.canon.errors import GatewayError, UpstreamFailed, UpstreamRefused
from thalweg.canon.scrub import scrub

_MAX_MESSAGE = 2048

_KIND_OF_STATUS = {
    400: "invalid_request",
    401: "auth",
    402: "billing",
    403: "permission",
    404: "not_found",
    408: "timeout",
    409: "conflict",
    413: "too_large",
    422: "invalid_request",
    429: "rate_limit",
    503: "overloaded",
    504: "timeout",
    529: "overloaded",
}
_KEPT_STATUSES = frozenset({400, 404, 408, 409, 413, 422, 429, 500, 502, 503, 504})
_CONTEXT_MARKS = ("context_length", "context length", "maximum context", "exceed_context_size", "too long")


def decode_error(
    status: int, headers: Iterable[tuple[bytes, bytes]], body: bytes, *, provider: str, key_name: str
) -> GatewayError:
    """What an upstream's error status means to the client, and to our next attempt."""
    said = extract(_tree(body)) or Said(message=f"{provider} answered with status {status}")
    kind = _KIND_OF_STATUS.get(status, "upstream_bad" if status >= 500 else "invalid_request")
    if kind == "invalid_request" and any(mark in said.everything for mark in _CONTEXT_MARKS):
        kind = "context_length"
    if status in (401, 402, 403):
        return _credential_refused(status, said, provider, key_name)
    error = UpstreamRefused(
        said.message,
        upstream_status=status,
        kind=kind,
        status=503 if status == 529 else status if status in _KEPT_STATUSES else 502,
        retryable=_should_retry(headers, status in (408, 409, 429) or status >= 500),
        provider=provider,
        param=said.param,
        code=said.code,
        provider_type=said.type,
    )
    error.retry_after_s = retry_after(headers)
    return error


def _should_retry(headers: Iterable[tuple[bytes, bytes]], usual: bool) -> bool:
    """What the upstream itself says of another try, as OpenAI's and Anthropic's do, or what its status says."""
    said = next((value.lower() for name, value in headers if name == b"x-should-retry"), b"")
    return {b"true": True, b"false": False}.get(said, usual)


def _credential_refused(status: int, said: Said, provider: str, key_name: str) -> UpstreamRefused:
    """The upstream refused our key, not the client's: that is a 502, and trying again is useless."""
    what = {402: "wants payment for", 403: "forbids this to"}.get(status, "refused")
    return UpstreamRefused(
        f"{provider} {what} {key_name or 'the key it was given'}",
        upstream_status=status,
        kind="upstream_bad",
        status=502,
        retryable=False,
        provider=provider,
        code=said.code,
    )


def error_in_stream(raw: Any, *, provider: str = "") -> UpstreamFailed:
    """The error that a chunk holds, whatever its shape."""
    said = extract({"error": raw}) or Said(message="the upstream reported an error and gave no reason")
    return UpstreamFailed(said.message, provider=provider, param=said.param, code=said.code, provider_type=said.type)


class Said(msgspec.Struct, frozen=True):
    """What an upstream said about its error."""

    message: str
    type: str | None = None
    param: str | None = None
    code: str | None = None

    @property
    def everything(self) -> str:
        """All its words in small letters, to look for marks in."""
        return f"{self.message} {self.type} {self.code}".lower()


def extract(tree: Any) -> Said | None:
    """Find the message: `error` object, `error` string, flat `message`, `detail`. `None` where there is none."""
    if isinstance(tree, list) and tree:
        tree = tree[0]
    if not isinstance(tree, dict):
        return None
    for read in (_from_object, _from_string, _from_flat, _from_detail):
        if said := read(tree):
            return said
    return None


def _from_object(tree: dict[str, Any]) -> Said | None:
    found = tree.get("error")
    return _said(found, found.get("message")) if isinstance(found, dict) and found else None


def _from_string(tree: dict[str, Any]) -> Said | None:
    found = tree.get("error")
    return _said(tree, found) if isinstance(found, str) and found else None


def _from_flat(tree: dict[str, Any]) -> Said | None:
    found = tree.get("message")
    return _said(tree, found) if isinstance(found, str) and found else None


def _from_detail(tree: dict[str, Any]) -> Said | None:
    found = tree.get("detail")
    if isinstance(found, list):
        found = _text(found)
    return _said({}, found) if isinstance(found, str) and found else None


def _said(tree: dict[str, Any], message: Any) -> Said:
    text = message if isinstance(message, str) and message else "the upstream gave no reason"
    return Said(scrub(text[:_MAX_MESSAGE]), _word(tree.get("type")), _word(tree.get("param")), _word(tree.get("code")))


def _text(value: list[Any]) -> str:
    """A list as JSON; what nests too deeply to be written is nothing."""
    try:
        return msgspec.json.encode(value).decode()
    except RecursionError:
        return ""


def _word(value: Any) -> str | None:
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        return None
    return str(value)[:256]


def _tree(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body.strip())
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return None


def retry_after(headers: Iterable[tuple[bytes, bytes]]) -> float | None:
    """Seconds to wait, of `retry-after-ms` or a numeric `retry-after`; dates are not read."""
    scale: dict[bytes, Callable[[float], float]] = {b"retry-after-ms": lambda v: v / 1000, b"retry-after": lambda v: v}
    found = {name: value for name, value in headers if name in scale}
    for name, seconds in scale.items():
        try:
            value = seconds(float(found[name]))
        except (KeyError, ValueError):
            continue
        if 0 <= value < 86_400 * 7:
            return value
    return None
