"""Errors in DashScope's words."""

from __future__ import annotations

import json

import pytest

from tests.dialects.dashscope_native.streams import DASH, ID
from thalweg.canon import errors
from thalweg.canon.errors import GatewayError, RateLimited, UpstreamRefused


def decode(status: int, code: str, message: str) -> GatewayError:
    body = json.dumps({"code": code, "message": message, "request_id": ID}).encode()
    return DASH.decode_error(status, (), body, provider="acme", key_name="ACME_KEY")


@pytest.mark.parametrize(
    ("said", "kind", "ours", "retryable"),
    [
        ((400, "InvalidParameter", "Role must be user"), "invalid_request", 400, False),
        ((400, "InvalidParameter", "Range of input length should be [1, 6000]"), "context_length", 400, False),
        ((400, "Arrearage", "Access denied, please pay"), "upstream_bad", 502, False),
        ((401, "InvalidApiKey", "Invalid API-key provided."), "upstream_bad", 502, False),
        ((404, "ModelNotFound", "no such model"), "not_found", 404, False),
        ((429, "Throttling.RateQuota", "too many"), "rate_limit", 429, True),
        ((500, "InternalError.Algo", "oops"), "upstream_bad", 500, True),
        ((503, "ServiceUnavailable", "later"), "overloaded", 503, True),
    ],
)
def test_a_status_and_a_code_are_read(said: tuple[int, str, str], kind: str, ours: int, retryable: bool) -> None:
    _, code, message = said
    error = decode(*said)
    assert isinstance(error, UpstreamRefused)
    assert (error.kind, error.status, error.retryable) == (kind, ours, retryable)
    assert error.code == code
    if ours != 502:
        assert error.message == message
    else:
        assert "ACME_KEY" in error.message


def every_error() -> list[GatewayError]:
    made: list[GatewayError] = [
        errors.UpstreamTimeout("slow", phase="gap"),
        UpstreamRefused("no", upstream_status=429, kind="rate_limit", status=429, retryable=True),
    ]
    todo = [errors.RequestError, errors.UpstreamError, errors.OurError]
    while todo:
        kind = todo.pop()
        todo += [each for each in kind.__subclasses__() if each.__module__ == errors.__name__]
        if kind not in (errors.UpstreamTimeout, UpstreamRefused):
            made.append(kind("words"))
    return made


@pytest.mark.parametrize("error", every_error(), ids=lambda error: type(error).__name__)
def test_every_error_of_the_tree_can_be_said(error: GatewayError) -> None:
    wire = DASH.encode_error(error)
    said = json.loads(wire.body)
    assert wire.status == error.status
    assert said["message"] == error.message
    assert said["code"]


def test_when_to_come_back_is_a_header() -> None:
    error = RateLimited("slowly")
    error.retry_after_s = 2.4
    assert (b"retry-after", b"2") in DASH.encode_error(error).headers
