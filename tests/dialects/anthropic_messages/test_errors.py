"""Errors in Anthropic's words, both ways."""

from __future__ import annotations

import json

import pytest

from tests.dialects.anthropic_messages.streams import ANTHROPIC
from thalweg.canon.errors import (
    Cancelled,
    Conflict,
    ContextTooLong,
    Forbidden,
    GatewayError,
    Internal,
    InvalidRequest,
    MethodNotAllowed,
    NotFound,
    QuotaExhausted,
    RateLimited,
    RequestTimeout,
    TooLarge,
    Unauthenticated,
    Unavailable,
    UnsupportedMedia,
    UnsupportedParameter,
    UpstreamBroke,
    UpstreamFailed,
    UpstreamRefused,
    UpstreamTimeout,
    UpstreamUnreachable,
)

ERRORS: list[tuple[GatewayError, int, str]] = [
    (InvalidRequest("m"), 400, "invalid_request_error"),
    (UnsupportedParameter("m"), 400, "invalid_request_error"),
    (ContextTooLong("prompt is too long: 9 tokens"), 400, "invalid_request_error"),
    (Unauthenticated("m"), 401, "authentication_error"),
    (QuotaExhausted("m"), 402, "billing_error"),
    (Forbidden("m"), 403, "permission_error"),
    (NotFound("m"), 404, "not_found_error"),
    (MethodNotAllowed("m"), 405, "invalid_request_error"),
    (RequestTimeout("m"), 408, "timeout_error"),
    (Conflict("m"), 409, "conflict_error"),
    (TooLarge("m"), 413, "request_too_large"),
    (UnsupportedMedia("m"), 415, "invalid_request_error"),
    (RateLimited("m"), 429, "rate_limit_error"),
    (Cancelled("m"), 499, "invalid_request_error"),
    (Internal("m"), 500, "api_error"),
    (UpstreamUnreachable("m"), 502, "api_error"),
    (UpstreamFailed("m"), 502, "api_error"),
    (UpstreamBroke("m"), 502, "api_error"),
    (UpstreamTimeout("m", phase="gap"), 504, "timeout_error"),
    (Unavailable("m"), 529, "overloaded_error"),
]


@pytest.mark.parametrize(("error", "status", "kind"), ERRORS, ids=lambda value: type(value).__name__)
def test_each_error_has_its_status_and_type(error: GatewayError, status: int, kind: str) -> None:
    said = ANTHROPIC.encode_error(error)
    assert said.status == status
    assert json.loads(said.body) == {"type": "error", "error": {"type": kind, "message": error.message}}
    assert (b"content-type", b"application/json") in said.headers


def test_a_prompt_that_is_too_long_is_called_so() -> None:
    said = json.loads(ANTHROPIC.encode_error(ContextTooLong("the model takes 8192 tokens")).body)
    assert said["error"]["message"] == "prompt is too long: the model takes 8192 tokens"


def test_an_upstreams_own_word_stands() -> None:
    error = UpstreamFailed("m", provider_type="some_new_error")
    assert json.loads(ANTHROPIC.encode_error(error).body)["error"]["type"] == "some_new_error"


@pytest.mark.parametrize(
    ("error", "headers"),
    [
        (InvalidRequest("m"), {}),
        (RateLimited("m"), {b"x-should-retry": b"false"}),
        (UpstreamBroke("m"), {}),
        (Internal("m"), {b"x-should-retry": b"false"}),
    ],
)
def test_the_sdks_are_told_when_not_to_try_again(error: GatewayError, headers: dict[bytes, bytes]) -> None:
    said = dict(ANTHROPIC.encode_error(error).headers)
    del said[b"content-type"]
    assert said == headers


def test_the_wait_is_told_in_whole_seconds() -> None:
    error = RateLimited("m")
    error.retry_after_s = 0.2
    assert (b"retry-after", b"1") in ANTHROPIC.encode_error(error).headers


def refused(status: int, kind: str, message: str = "m") -> GatewayError:
    body = json.dumps({"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"}).encode()
    return ANTHROPIC.decode_error(status, [(b"retry-after", b"7")], body, provider="acme", key_name="ACME_API_KEY")


@pytest.mark.parametrize(
    ("status", "kind", "message", "expected"),
    [
        (400, "invalid_request_error", "max_tokens: Field required", (400, "invalid_request", False)),
        (400, "invalid_request_error", "prompt is too long: 9 > 8", (400, "context_length", False)),
        (404, "not_found_error", "model: x", (404, "not_found", False)),
        (413, "request_too_large", "m", (413, "too_large", False)),
        (429, "rate_limit_error", "m", (429, "rate_limit", True)),
        (500, "api_error", "m", (500, "upstream_bad", True)),
        (503, "api_error", "m", (503, "overloaded", True)),
        (504, "timeout_error", "m", (504, "timeout", True)),
        (529, "overloaded_error", "m", (503, "overloaded", True)),
    ],
)
def test_what_an_upstream_refuses(status: int, kind: str, message: str, expected: tuple[int, str, bool]) -> None:
    error = refused(status, kind, message)
    assert isinstance(error, UpstreamRefused)
    assert (error.status, error.kind, error.retryable) == expected
    assert (error.message, error.provider_type, error.retry_after_s) == (message, kind, 7.0)


@pytest.mark.parametrize("status", [401, 402, 403])
def test_our_own_key_is_no_matter_of_the_clients(status: int) -> None:
    error = refused(status, "authentication_error", "invalid x-api-key")
    assert error.status == 502
    assert "ACME_API_KEY" in error.message
    assert json.loads(ANTHROPIC.encode_error(error).body)["error"]["type"] == "api_error"


def test_an_overloaded_upstream_keeps_its_status_for_these_clients() -> None:
    assert ANTHROPIC.encode_error(refused(529, "overloaded_error")).status == 529
