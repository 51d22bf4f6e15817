"""The endpoints beside generation, and the names that every answer carries."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.server.gateway import CHAT, KEY, Caller, Reply, Running, ask, chat, events, request
from thalweg.server.models import SIM_MODELS

STREAM_ID = re.compile(r"[0-9a-f]{44}")

# Models

OPENAI_FIELDS = {"id": str, "object": str, "created": int, "owned_by": str}
ANTHROPIC_FIELDS = {"id": str, "type": str, "display_name": str, "created_at": str}
GEMINI_FIELDS = {"name": str, "displayName": str, "supportedGenerationMethods": list}
MOUNTS = ["/v1", "/api/v3", "/compatible-mode/v1", "/openai/v1"]


def is_model(value: dict[str, Any], name: str) -> bool:
    types = OPENAI_FIELDS | ANTHROPIC_FIELDS | GEMINI_FIELDS
    assert {field: type(value[field]) for field in types} == types
    assert (value["object"], value["type"]) == ("model", "model")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", value["created_at"])
    return bool(value["id"] == name and value["name"] == f"models/{name}")


@pytest.mark.parametrize("mount", MOUNTS)
def test_the_list_of_models_is_for_every_sdk(keyed: Running, mount: str) -> None:
    answer = ask(keyed.port, f"{mount}/models", method="GET").json
    names = [f"sim/{model}" for model in SIM_MODELS]
    assert answer["object"] == "list"
    assert answer["data"] == answer["models"]
    assert all(is_model(model, name) for model, name in zip(answer["data"], names, strict=True))
    assert (answer["first_id"], answer["last_id"], answer["has_more"]) == (names[0], names[-1], False)


@pytest.mark.parametrize("mount", MOUNTS)
@pytest.mark.parametrize("escaped", ["sim/text", "sim%2Ftext"])
def test_one_model(keyed: Running, mount: str, escaped: str) -> None:
    reply = ask(keyed.port, f"{mount}/models/{escaped}", method="GET")
    assert reply.status == 200
    assert is_model(reply.json, "sim/text")


@pytest.mark.parametrize(
    "name", ["nothing", "sim/nothing", "sim", "sim/text/", "models/sim/text", "../models", "a%0d%0ab"]
)
def test_an_unknown_model(keyed: Running, name: str) -> None:
    reply = ask(keyed.port, f"/v1/models/{name}", method="GET")
    assert (reply.status, reply.json["error"]["type"]) == (404, "not_found_error")


WORDS = {
    "openai": {404: "not_found_error", 405: "invalid_request_error", 401: "authentication_error"},
    "anthropic": {404: "not_found_error", 405: "invalid_request_error", 401: "authentication_error"},
    "gemini": {404: "NOT_FOUND", 405: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED"},
}
WRONG_CALLS = [
    (KEY, "/v1/models/nothing", "GET", 404),
    (KEY, "/v1/models", "PUT", 405),
    ("wrong-key", "/v1/models", "GET", 401),
    ("wrong-key", "/v1/models/sim/text", "GET", 401),
]


@pytest.mark.parametrize(
    ("query", "headers", "dialect"),
    [
        ("", {}, "openai"),
        ("", {"anthropic-version": "2023-06-01"}, "anthropic"),
        ("", {"x-goog-api-client": "genai/1"}, "gemini"),
        ("", {"x-goog-api-key": KEY}, "gemini"),
        (f"?key={KEY}", {}, "gemini"),
        (f"?pageSize=5&key={KEY}", {}, "gemini"),
        ("?monkey=1", {}, "openai"),
        ("", {"anthropic-version": "2023-06-01", "x-goog-api-key": KEY}, "gemini"),
    ],
)
def test_errors_of_models_are_in_the_clients_words(
    keyed: Running, query: str, headers: dict[str, str], dialect: str
) -> None:
    for key, path, method, status in WRONG_CALLS:
        reply = ask(keyed.port, path + query, method=method, key=key, headers=headers)
        error, word = reply.json["error"], WORDS[dialect][status]
        error.pop("details", None)  # Gemini has room for the field at fault
        assert reply.status == status
        if dialect == "gemini":
            assert error == {"code": status, "message": reply.said, "status": word}
        elif dialect == "anthropic":
            assert reply.json == {"type": "error", "error": {"type": word, "message": reply.said}}
        else:
            assert (set(error), error["type"]) == ({"message", "type", "param", "code"}, word)


# Names on answers


def names_of(reply: Reply) -> tuple[str | None, str | None, str | None]:
    get = reply.headers.get
    return get("x-thalweg-stream"), get("x-request-id"), get("x-client-request-id")


GENERATIONS: dict[str, tuple[bytes, int]] = {
    "whole": (chat(), 200),
    "stream": (chat(stream=True), 200),
    "stream that breaks off": (chat("sim/error-midstream?pace=0", stream=True), 200),
    "stream that is refused": (chat("sim/text?fault=http-429", stream=True), 429),
    "broken": (b"{", 400),
    "unknown": (chat("nothing"), 404),
}


@pytest.mark.parametrize(("body", "status"), GENERATIONS.values(), ids=GENERATIONS.keys())
def test_a_generations_answer_has_the_names(keyed: Running, body: bytes, status: int) -> None:
    ids = {"x-request-id": "mine-1", "X-Client-Request-Id": "theirs-2"}
    reply = ask(keyed.port, CHAT, body, headers=ids)
    stream, request_id, client_id = names_of(reply)
    assert reply.status == status
    assert STREAM_ID.fullmatch(stream or "")
    assert (request_id, client_id) == ("mine-1", "theirs-2")
    stream, request_id, client_id = names_of(ask(keyed.port, CHAT, body))
    assert (request_id, client_id) == (stream, None)


def test_a_stranger_gets_the_names_too(keyed: Running) -> None:
    reply = ask(
        keyed.port, CHAT, chat(), key=None, headers={"x-request-id": "mine-1", "x-client-request-id": "theirs-2"}
    )
    assert reply.status == 401
    assert names_of(reply)[1:] == ("mine-1", "theirs-2")


@pytest.mark.parametrize("path", ["/v1/models", "/nothing", "/livez", "/v1beta/models/x:generateContent"])
def test_other_answers_have_the_requests_ids(keyed: Running, path: str) -> None:
    ids = {"x-request-id": "mine-1", "x-client-request-id": "theirs-2"}
    assert names_of(ask(keyed.port, path, method="GET", headers=ids))[1:] == ("mine-1", "theirs-2")
    assert STREAM_ID.fullmatch(ask(keyed.port, path, method="GET").headers["x-request-id"])


@pytest.mark.parametrize("bad", ["", "x" * 129, "a b", "é", "a\tb"])
@pytest.mark.parametrize("path", [CHAT, "/v1/models"])
def test_an_id_that_is_none_is_not_given_back(keyed: Running, bad: str, path: str) -> None:
    method = "POST" if path == CHAT else "GET"
    reply = ask(keyed.port, path, chat(), method=method, headers={"x-request-id": bad, "x-client-request-id": bad})
    assert reply.status == 200
    assert STREAM_ID.fullmatch(reply.headers["x-request-id"])
    assert "x-client-request-id" not in reply.headers


def test_every_request_has_a_name_of_its_own(keyed: Running) -> None:
    assert len({names_of(ask(keyed.port, CHAT, chat()))[0] for _ in range(20)}) == 20


def test_the_streams_name_is_the_ledgers(keyed: Running) -> None:
    stream = names_of(ask(keyed.port, CHAT, chat(stream=True)))[0]
    entry = keyed.ledger.last_entries(1)[0]
    assert (entry.request_id, entry.outcome, entry.simulated, entry.key_id) == (stream, "complete", True, "main")


@pytest.mark.parametrize("stream", [True, False])
def test_a_simulated_answer_says_so(keyed: Running, stream: bool) -> None:
    assert ask(keyed.port, CHAT, chat(stream=stream)).headers["x-thalweg-simulated"] == "1"
    assert ask(keyed.port, CHAT, chat("sim/text?fault=http-500", stream=stream)).headers["x-thalweg-simulated"] == "1"
    assert "x-thalweg-simulated" not in ask(keyed.port, CHAT, chat("nothing")).headers


# Streams


def cancel(gateway: Running, stream_id: str, **how: Any) -> Reply:
    return ask(gateway.port, f"/streams/{stream_id}", method="DELETE", **how)


@pytest.mark.parametrize("read_first", [True, False])
def test_a_cancelled_stream_ends_with_an_error_and_the_ledger_knows(keyed: Running, read_first: bool) -> None:
    with Caller(keyed.port) as caller:
        status, headers = caller.send(request(CHAT, chat("sim/slow", stream=True))).reply_head()
        assert status == 200
        chunks = caller.chunks()
        read = next(chunks) if read_first else b""
        stream_id = headers["x-thalweg-stream"]
        reply = cancel(keyed, stream_id)
        read += b"".join(chunks)
    assert reply.status == 200
    assert set(reply.json) == {"upstream_closed_ms", "tokens", "source"}
    assert 0 <= reply.json["upstream_closed_ms"] < 100
    assert reply.json["tokens"] >= 1
    assert reply.json["source"] == "estimated"
    *_, last = events(read)
    assert last["error"]["code"] == "cancelled"
    assert b"[DONE]" not in read
    entry = keyed.ledger.last_entries(1)[0]
    assert (entry.request_id, entry.outcome) == (stream_id, "cancelled")
    assert entry.usage.output_tokens == reply.json["tokens"]
    assert cancel(keyed, stream_id).status == 404


def test_a_stream_that_is_over_cannot_be_cancelled(keyed: Running) -> None:
    stream_id = ask(keyed.port, CHAT, chat(stream=True)).headers["x-thalweg-stream"]
    reply = cancel(keyed, stream_id)
    assert (reply.status, reply.json["error"]["code"]) == (404, "stream_not_found")


@pytest.mark.parametrize("stream_id", ["0" * 44, "x", "..", "%00", "x" * 10_000])
def test_a_stream_that_never_was_cannot_be_cancelled(keyed: Running, stream_id: str) -> None:
    assert cancel(keyed, stream_id).status == 404


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "OPTIONS"])
def test_nothing_but_delete_cancels(keyed: Running, method: str) -> None:
    with Caller(keyed.port) as caller:
        _, headers = caller.send(request(CHAT, chat("sim/text?pace=50&tokens=20", stream=True))).reply_head()
        assert ask(keyed.port, f"/streams/{headers['x-thalweg-stream']}", method=method).status == 405
        assert b"".join(caller.chunks()).endswith(b"data: [DONE]\n\n")


def test_who_has_no_key_cancels_nothing(keyed: Running) -> None:
    with Caller(keyed.port) as caller:
        _, headers = caller.send(request(CHAT, chat("sim/text?pace=50&tokens=20", stream=True))).reply_head()
        assert cancel(keyed, headers["x-thalweg-stream"], key=None).status == 401
        assert b"".join(caller.chunks()).endswith(b"data: [DONE]\n\n")


def test_an_answer_that_does_not_stream_can_be_cancelled_too(keyed: Running) -> None:
    with Caller(keyed.port) as caller:
        caller.send(request(CHAT, chat("sim/slow")))
        keyed.until(lambda: len(keyed.gateway.house.live) == 1)
        (stream_id,) = keyed.gateway.house.live.ids
        reply = cancel(keyed, stream_id)
        assert (reply.status, reply.json["tokens"], reply.json["source"]) == (200, None, "unknown")
        said = caller.reply()
        assert (said.status, said.json["error"]["code"]) == (499, "cancelled")


# Loops


@pytest.mark.parametrize("value", ["1", "0", "", "anything"])
@pytest.mark.parametrize("stream", [True, False])
def test_a_request_that_came_back_is_a_loop(keyed: Running, value: str, stream: bool) -> None:
    postings = len(keyed.ledger.postings)
    reply = ask(keyed.port, CHAT, chat(stream=stream), headers={"x-thalweg-hop": value})
    assert reply.status == 508
    assert reply.headers["x-should-retry"] == "false"
    assert len(keyed.ledger.postings) == postings


def test_a_strangers_loop_is_a_strangers(keyed: Running) -> None:
    assert ask(keyed.port, CHAT, chat(), key=None, headers={"x-thalweg-hop": "1"}).status == 401
