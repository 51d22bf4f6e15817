"""Errors in Chat's words: the whole tree before the answer and within it, and what upstreams say about theirs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.dialects.openai_chat.streams import CHAT, DONE, chunk, decode, read_strictly, relay, stream
from thalweg.canon import errors as tree
from thalweg.canon.errors import GatewayError, UpstreamFailed, UpstreamRefused
from thalweg.canon.events import ResponseFailed
from thalweg.dialects.kit.refusals import error_in_stream, extract, retry_after
from thalweg.dialects.openai_chat.errors import encode_stream_error


def subclasses(kind: type[GatewayError]) -> Iterator[type[GatewayError]]:
    for below in kind.__subclasses__():
        if below.__module__ == tree.__name__:
            yield below
            yield from subclasses(below)


def made(kind: type[GatewayError]) -> GatewayError:
    if kind is tree.UpstreamTimeout:
        return tree.UpstreamTimeout("m", phase="gap", provider="acme")
    if kind is UpstreamRefused:
        return UpstreamRefused("m", upstream_status=500, kind="upstream_bad", status=500, retryable=True)
    return kind("m")


TREE = [GatewayError, *subclasses(GatewayError)]


@pytest.mark.parametrize("kind", TREE, ids=lambda kind: kind.__name__)
def test_every_error_can_be_said_before_the_answer(kind: type[GatewayError]) -> None:
    error = made(kind)
    wire = CHAT.encode_error(error)
    assert wire.status == error.status
    assert dict(wire.headers)[b"content-type"] == b"application/json"
    value = json.loads(wire.body)
    assert list(value) == ["error"]
    assert value["error"].keys() == {"message", "type", "param", "code"}
    assert isinstance(value["error"]["type"], str)
    assert isinstance(value["error"]["code"], str | None)
    retried_by_sdks = error.status in (408, 409, 429) or error.status >= 500
    if retried_by_sdks:
        assert ((b"x-should-retry", b"false") in wire.headers) is not error.retryable


@pytest.mark.parametrize("kind", TREE, ids=lambda kind: kind.__name__)
def test_every_error_can_be_said_in_mid_stream(kind: type[GatewayError]) -> None:
    """In the one form that ark-go reads, and our own decoder reads it back."""
    said = encode_stream_error(made(kind))
    read = read_strictly(stream(chunk({"content": "a"}), done=False) + said)
    assert read.error["message"] == "m"
    (failed,) = [event for event in decode(said) if isinstance(event, ResponseFailed)]
    assert isinstance(failed.error, UpstreamFailed)
    assert failed.error.message == "m"
    assert failed.error.code == read.error["code"]
    assert relay(said + DONE).frames == []


def test_every_kind_has_its_words() -> None:
    words = {CHAT.encode_error(made(kind)).body for kind in TREE}
    assert len(words) >= 15


def test_a_code_of_its_own_is_kept() -> None:
    error = tree.InvalidRequest("m", param="messages[0].role", code="invalid_value")
    assert json.loads(CHAT.encode_error(error).body)["error"] == {
        "message": "m", "type": "invalid_request_error", "param": "messages[0].role", "code": "invalid_value",
    }  # fmt: skip


@pytest.mark.parametrize(("seconds", "header"), [(None, None), (0.2, b"1"), (1.4, b"1"), (30, b"30")])
def test_retry_after_is_told_in_whole_seconds(seconds: float | None, header: bytes | None) -> None:
    error = tree.RateLimited("m")
    error.retry_after_s = seconds
    assert dict(CHAT.encode_error(error).headers).get(b"retry-after") == header


# What upstreams say. Shapes: section 11.1 of the providers' dossier.

Told = tuple[str, str | None, str | None, str | None]
SHAPES: dict[str, tuple[Any, Told]] = {
    "OpenAI": ({"error": {"message": "m", "type": "t", "param": "p", "code": "c"}}, ("m", "t", "p", "c")),
    "code null": ({"error": {"message": "m", "type": "t", "param": None, "code": None}}, ("m", "t", None, None)),
    "Groq, without param": ({"error": {"message": "m", "type": "t", "code": "c"}}, ("m", "t", None, "c")),
    "llama.cpp, a number as code": (
        {"error": {"code": 400, "message": "m", "type": "t", "n_ctx": 5}},
        ("m", "t", None, "400"),
    ),
    "OpenRouter, without type": (
        {"error": {"code": 429, "message": "m", "metadata": {}}, "user_id": "u"},
        ("m", None, None, "429"),
    ),
    "Mistral, flat": (
        {"object": "error", "message": "m", "type": "t", "param": None, "code": "3210"},
        ("m", "t", None, "3210"),
    ),
    "Mistral, detail": ({"detail": "m"}, ("m", None, None, None)),
    "FastAPI, a list as detail": ({"detail": [{"msg": "m"}]}, ('[{"msg":"m"}]', None, None, None)),
    "xAI, a text": ({"code": "c", "error": "m"}, ("m", None, None, "c")),
    "Venice, a text": ({"error": "m"}, ("m", None, None, None)),
    "DashScope native": ({"code": "c", "message": "m", "request_id": "r"}, ("m", None, None, "c")),
    "Google, a list": (
        [{"error": {"code": 400, "message": "m", "status": "INVALID_ARGUMENT"}}],
        ("m", None, None, "400"),
    ),
    "no message": ({"error": {"type": "t"}}, ("the upstream gave no reason", "t", None, None)),
    "a message of another type": ({"error": {"message": [1]}}, ("the upstream gave no reason", None, None, None)),
    "a code that is true": ({"error": {"message": "m", "code": True}}, ("m", None, None, None)),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_an_error_body_of_every_shape_is_read(shape: str) -> None:
    value, told = SHAPES[shape]
    error = CHAT.decode_error(400, [], json.dumps(value).encode(), provider="acme", key_name="ACME_API_KEY")
    assert isinstance(error, UpstreamRefused)
    assert (error.message, error.provider_type, error.param, error.code) == told
    assert json.loads(CHAT.encode_error(error).body)["error"]["message"] == told[0]


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"<html>Bad gateway</html>",
        b"null",
        b"5",
        b"[]",
        b"{}",
        b'"x"',
        b'{"error":{}}',
        b'{"error":null}',
        b"\xff",
        b'{"error":',
        b"[" * 100_000,
        b'{"detail":5}',
    ],
)
@pytest.mark.parametrize("status", [400, 404, 429, 500, 502])
def test_a_body_that_says_nothing_leaves_the_status(raw: bytes, status: int) -> None:
    error = CHAT.decode_error(status, [], raw, provider="acme", key_name="ACME_API_KEY")
    assert error.message == f"acme answered with status {status}"
    assert error.status == status


STATUSES = [
    (400, 400, False), (404, 404, False), (408, 408, True), (409, 409, True), (413, 413, False), (422, 422, False),
    (418, 502, False), (429, 429, True), (500, 500, True), (501, 502, True), (502, 502, True), (503, 503, True),
    (504, 504, True), (520, 502, True), (529, 503, True), (301, 502, False),
]  # fmt: skip


@pytest.mark.parametrize(("upstream", "status", "retryable"), STATUSES)
def test_the_status_for_the_client(upstream: int, status: int, retryable: bool) -> None:
    error = CHAT.decode_error(upstream, [], b'{"error":{"message":"m"}}', provider="acme", key_name="K")
    assert (error.status, error.retryable) == (status, retryable)
    assert CHAT.encode_error(error).status == status
    assert encode_stream_error(error)


@pytest.mark.parametrize("status", [401, 402, 403])
def test_a_refused_key_is_ours_and_never_the_clients(status: int) -> None:
    """502 that names provider and variable, not what the upstream said about the key, and is not tried again."""
    raw = b'{"error":{"message":"Incorrect API key provided: sk-abcdef123456","type":"invalid_request_error","code":"invalid_api_key"}}'
    error = CHAT.decode_error(status, [(b"retry-after", b"5")], raw, provider="ark", key_name="ARK_API_KEY")
    wire = CHAT.encode_error(error)
    assert wire.status == 502
    assert (b"x-should-retry", b"false") in wire.headers
    said = json.loads(wire.body)["error"]
    assert "ark" in said["message"]
    assert "ARK_API_KEY" in said["message"]
    assert "sk-" not in wire.body.decode()
    assert said["type"] == "server_error"
    assert isinstance(error, UpstreamRefused)
    assert error.upstream_status == status


def test_a_refused_key_without_a_name_is_still_told() -> None:
    assert "the key it was given" in CHAT.decode_error(401, [], b"", provider="acme", key_name="").message


@pytest.mark.parametrize(
    "said",
    [
        {"message": "m", "code": "context_length_exceeded"},
        {"message": "This model's maximum context length is 5 tokens"},
        {"message": "m", "type": "exceed_context_size_error"},
        {"message": "The total length of all messages is too long."},
    ],
)
def test_a_prompt_that_is_too_long_is_told_apart(said: dict[str, str]) -> None:
    error = CHAT.decode_error(400, [], json.dumps({"error": said}).encode(), provider="acme", key_name="K")
    assert error.kind == "context_length"
    assert json.loads(CHAT.encode_error(error).body)["error"]["code"] == said.get("code", "context_length_exceeded")


KEYS = [
    "sk-abcdef1234567890",
    "sk-proj-abc_DEF-123456",
    "sk-ab****yz",
    "AIzaSyA1234567890abcdefg",
    "Bearer abc.def.ghi",
    "https://x/y?key=abcdef123",
    "api_key=abcdef123",
]


@pytest.mark.parametrize("key", KEYS)
def test_a_key_in_a_message_is_hidden(key: str) -> None:
    secret = key.rpartition("=")[2].rpartition(" ")[2]
    message = f"You gave {key}, which is wrong"
    whole = CHAT.decode_error(
        400, [], json.dumps({"error": {"message": message}}).encode(), provider="acme", key_name="K"
    )
    within = error_in_stream({"message": message})
    for error in (whole, within):
        assert secret not in error.message
        assert "[hidden]" in error.message
        assert error.message.startswith("You gave ")


def test_a_message_is_of_bounded_length() -> None:
    error = error_in_stream({"message": "x" * 10**6, "code": "y" * 10**6})
    assert len(error.message) <= 4096
    assert len(error.code or "") <= 256


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ([], None),
        ([(b"retry-after", b"7")], 7),
        ([(b"retry-after", b"1.5")], 1.5),
        ([(b"retry-after-ms", b"1500"), (b"retry-after", b"9")], 1.5),
        ([(b"retry-after-ms", b"soon"), (b"retry-after", b"9")], 9),
        ([(b"retry-after", b"Wed, 21 Oct 2015 07:28:00 GMT")], None),
        ([(b"retry-after", b"-1")], None),
        ([(b"retry-after", b"nan")], None),
        ([(b"retry-after", b"inf")], None),
        ([(b"retry-after", b"99999999")], None),
    ],
)
def test_retry_after_is_read(headers: list[tuple[bytes, bytes]], seconds: float | None) -> None:
    assert retry_after(headers) == seconds
    assert CHAT.decode_error(429, headers, b"", provider="acme", key_name="K").retry_after_s == seconds


@pytest.mark.parametrize("value", [None, 5, "x", [], {}, {"choices": []}, [[]]])
def test_where_nothing_is_said_nothing_is_found(value: Any) -> None:
    assert extract(value) is None
