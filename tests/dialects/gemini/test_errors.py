"""Errors in Google's words: every kind of ours, and every shape of theirs."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.dialects.gemini.streams import GEMINI, PROFILE, encode, read_strictly
from thalweg.canon import errors
from thalweg.canon.errors import (
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
from thalweg.canon.events import ResponseFailed

SAID: list[tuple[GatewayError, int, str]] = [
    (InvalidRequest("m"), 400, "INVALID_ARGUMENT"),
    (UnsupportedParameter("m"), 400, "INVALID_ARGUMENT"),
    (ContextTooLong("m"), 400, "INVALID_ARGUMENT"),
    (Unauthenticated("m"), 401, "UNAUTHENTICATED"),
    (QuotaExhausted("m"), 402, "RESOURCE_EXHAUSTED"),
    (Forbidden("m"), 403, "PERMISSION_DENIED"),
    (NotFound("m"), 404, "NOT_FOUND"),
    (MethodNotAllowed("m"), 405, "INVALID_ARGUMENT"),
    (RequestTimeout("m"), 408, "DEADLINE_EXCEEDED"),
    (errors.Conflict("m"), 409, "ABORTED"),
    (TooLarge("m"), 400, "INVALID_ARGUMENT"),
    (UnsupportedMedia("m"), 415, "INVALID_ARGUMENT"),
    (RateLimited("m"), 429, "RESOURCE_EXHAUSTED"),
    (errors.Cancelled("m"), 499, "CANCELLED"),
    (UpstreamUnreachable("m"), 500, "INTERNAL"),
    (UpstreamTimeout("m", phase="gap"), 504, "DEADLINE_EXCEEDED"),
    (UpstreamFailed("m"), 500, "INTERNAL"),
    (UpstreamBroke("m"), 500, "INTERNAL"),
    (Unavailable("m"), 503, "UNAVAILABLE"),
    (Internal("m"), 500, "INTERNAL"),
]


@pytest.mark.parametrize(("error", "status", "word"), SAID, ids=lambda value: type(value).__name__)
def test_every_kind_has_its_status_and_word(error: GatewayError, status: int, word: str) -> None:
    wire = GEMINI.encode_error(error)
    assert wire.status == status
    assert json.loads(wire.body) == {"error": {"code": status, "message": "m", "status": word}}
    (frame,) = encode([ResponseFailed(error=error)])
    assert frame.startswith(b'data: {"error":{"code":%d,' % status)
    assert read_strictly(frame).error["status"] == word


def test_the_table_has_every_error() -> None:
    def leaves(kind: type[GatewayError]) -> set[type[GatewayError]]:
        below = {leaf for each in kind.__subclasses__() for leaf in leaves(each)}
        return below or {kind}

    ours = {kind for kind in leaves(GatewayError) if kind.__module__ == errors.__name__}
    assert ours - {type(error) for error, _, _ in SAID} <= {UpstreamRefused}


def test_details_say_which_field_why_and_when() -> None:
    error = RateLimited("slow", param="a.b", code="too_fast")
    error.retry_after_s = 34.4
    wire = GEMINI.encode_error(error)
    kinds = {each["@type"].rpartition(".")[2]: each for each in json.loads(wire.body)["error"]["details"]}
    assert kinds["RetryInfo"]["retryDelay"] == "34.4s"
    assert kinds["ErrorInfo"]["reason"] == "too_fast"
    assert kinds["BadRequest"]["fieldViolations"] == [{"field": "a.b", "description": "slow"}]
    assert (b"retry-after", b"34") in wire.headers


def body(status: int = 400, word: str = "INVALID_ARGUMENT", message: str = "m", *details: Any) -> bytes:
    return json.dumps(
        {"error": {"code": status, "message": message, "status": word, "details": list(details)}}
    ).encode()


def decoded(status: int, raw: bytes, headers: Any = ()) -> UpstreamRefused:
    error = GEMINI.decode_error(status, headers, raw, provider="acme", key_name="ACME_KEY")
    assert isinstance(error, UpstreamRefused)
    return error


@pytest.mark.parametrize(
    ("status", "word", "kind"),
    [
        (400, "INVALID_ARGUMENT", "invalid_request"),
        (400, "FAILED_PRECONDITION", "invalid_request"),
        (404, "NOT_FOUND", "not_found"),
        (429, "RESOURCE_EXHAUSTED", "rate_limit"),
        (500, "INTERNAL", "upstream_bad"),
        (503, "UNAVAILABLE", "overloaded"),
        (504, "DEADLINE_EXCEEDED", "timeout"),
    ],
)
@pytest.mark.parametrize("wrapped", [False, True], ids=["object", "array"])
def test_a_refusal_is_said_again_as_it_was(status: int, word: str, kind: str, wrapped: bool) -> None:
    raw = body(status, word)
    error = decoded(status, b"[" + raw + b"]" if wrapped else raw)
    assert (error.kind, error.message, error.upstream_status) == (kind, "m", status)
    said = json.loads(GEMINI.encode_error(error).body)["error"]
    assert (said["code"], said["status"], said["message"]) == (status, word, "m")


def test_when_to_come_back_stands_in_the_body() -> None:
    detail = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34.4s"}
    assert decoded(429, body(429, "RESOURCE_EXHAUSTED", "m", {"@type": 5}, detail)).retry_after_s == 34.4
    assert decoded(429, body(429), [(b"retry-after", b"7")]).retry_after_s == 7
    assert decoded(429, body(429, "x", "m", detail | {"retryDelay": "soon"})).retry_after_s is None


def test_a_wrong_key_is_ours_and_not_the_clients() -> None:
    reason = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}
    for error in (decoded(400, body(400, "INVALID_ARGUMENT", "AIzaXXX", reason)), decoded(403, body(403))):
        assert error.status == 502
        assert "ACME_KEY" in error.message
        assert "AIzaXXX" not in error.message
        assert not error.retryable
        wire = GEMINI.encode_error(error)
        assert wire.status == 500
        assert (b"x-should-retry", b"false") in wire.headers


def test_too_long_a_prompt_is_told_apart() -> None:
    text = "The input token count (9) exceeds the maximum number of tokens allowed (8)."
    assert decoded(400, body(400, "INVALID_ARGUMENT", text)).kind == "context_length"


@pytest.mark.parametrize(
    "raw", [b"", b"x", b"[]", b"[5]", b'{"error":5}', b'{"error":"m"}', b'{"message":"m"}', b"\xff"]
)
def test_errors_of_other_shapes(raw: bytes) -> None:
    assert decoded(500, raw).status == 500


def test_an_error_in_a_good_answer() -> None:
    with pytest.raises(UpstreamFailed) as caught:
        GEMINI.decode_answer(body(503, "UNAVAILABLE", "busy"), profile=PROFILE, provider="acme")
    assert (caught.value.message, caught.value.provider_type) == ("busy", "UNAVAILABLE")


def test_separators_in_an_error_end_no_line() -> None:
    (frame,) = encode([ResponseFailed(error=InvalidRequest("a\u2028b"))])
    assert read_strictly(frame).error["message"] == "a\u2028b"
