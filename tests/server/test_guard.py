"""Raw HTTP against the real server: what proxies and servers read differently, what never ends, what comes too fast.

Source of the vectors: RELIABILITY section 7.4, HTTP Garden's classes, RFC 9112.
"""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import resource
import socket
import threading
import time
import weakref
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from uvicorn import Config
from uvicorn.server import ServerState

from tests.server.gateway import (
    CHAT,
    HARD_LIMITS,
    KEY,
    PATIENCE_S,
    Caller,
    Reply,
    Running,
    ask,
    chat,
    request,
    running,
    settings_of,
    text_of,
)
from thalweg.ledger.entry import Reservation
from thalweg.server.guard import MOST_WAITING, guarded

BODY = chat()
AUTH = f"authorization: Bearer {KEY}\r\n"
LENGTH = f"content-length: {len(BODY)}\r\n"
CHUNKED = "transfer-encoding: chunked\r\n"
IN_CHUNKS = b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY)
RELEASED_WITHIN_S = 0.1
"""DESIGN section 2, law 4."""
TOO_LONG = HARD_LIMITS.header_bytes + 1


def post(*fields: str, body: bytes = BODY, target: str = CHAT, version: str = "HTTP/1.1", host: str = "a") -> bytes:
    """A POST with exactly these header lines, their ends included, after a host and the key."""
    lines = (f"host: {host}\r\n" if host else "") + AUTH + "".join(fields)
    return f"POST {target} {version}\r\n{lines}\r\n".encode("latin-1") + body


def get(target: str = "/v1/models", *fields: str, version: str = "HTTP/1.1", host: str = "host: a\r\n") -> bytes:
    return f"GET {target} {version}\r\n{host}{AUTH}{''.join(fields)}\r\n".encode("latin-1")


class Vector(NamedTuple):
    """What is sent, and which statuses are right; 0 is an end of the connection without a word."""

    sent: bytes
    right: tuple[int, ...]


BAD = (400,)
VECTORS: dict[str, Vector] = {
    # Which header says how long the body is?
    "length and chunked": Vector(post(LENGTH, CHUNKED, body=IN_CHUNKS), BAD),
    "chunked and length": Vector(post(CHUNKED, LENGTH, body=IN_CHUNKS), BAD),
    "length 0 and chunked": Vector(post("content-length: 0\r\n", CHUNKED, body=IN_CHUNKS), BAD),
    "two equal lengths": Vector(post(LENGTH, LENGTH), BAD),
    "two unequal lengths": Vector(post(LENGTH, "content-length: 3\r\n"), BAD),
    "length with a plus": Vector(post("content-length: +5\r\n", body=b"12345"), BAD),
    "length as a list": Vector(post("content-length: 5,5\r\n", body=b"12345"), BAD),
    "length below zero": Vector(post("content-length: -1\r\n"), BAD),
    "length in hex": Vector(post("content-length: 0x5\r\n", body=b"12345"), BAD),
    "length of two numbers": Vector(post("content-length: 5 5\r\n", body=b"12345"), BAD),
    "length of nothing": Vector(post("content-length: \r\n"), BAD),
    "length beyond 64 bits": Vector(post("content-length: 99999999999999999999\r\n"), BAD),
    "length of many digits": Vector(post(f"content-length: {'9' * 5000}\r\n"), BAD),
    "length over the limit": Vector(post("content-length: 262145\r\n"), (413,)),
    "coding identity": Vector(post("transfer-encoding: identity\r\n"), BAD),
    "coding that does not end chunked": Vector(post("transfer-encoding: chunked, gzip\r\n", body=IN_CHUNKS), BAD),
    "coding before chunked": Vector(post("transfer-encoding: gzip, chunked\r\n", body=IN_CHUNKS), BAD),
    "coding unknown": Vector(post("transfer-encoding: xchunked\r\n", body=IN_CHUNKS), BAD),
    "coding with a tail": Vector(post("transfer-encoding: chunked;q=1\r\n", body=IN_CHUNKS), BAD),
    "coding twice": Vector(post(CHUNKED, CHUNKED, body=IN_CHUNKS), BAD),
    "coding behind a vertical tab": Vector(post("transfer-encoding:\x0bchunked\r\n", body=IN_CHUNKS), BAD),
    "coding with a space before the colon": Vector(post("transfer-encoding : chunked\r\n", body=IN_CHUNKS), BAD),
    "coding in capitals": Vector(post("Transfer-Encoding: CHUNKED\r\n", body=IN_CHUNKS), (200,)),
    # Chunks.
    "chunk extension": Vector(post(CHUNKED, body=IN_CHUNKS.replace(b"\r\n", b";a=b\r\n", 1)), (200,)),
    "chunk extension in quotes": Vector(
        post(CHUNKED, body=IN_CHUNKS.replace(b"\r\n", b';a="\x01"\r\n', 1)), (200, 400)
    ),
    "chunk size that is none": Vector(post(CHUNKED, body=b"zz\r\n{}\r\n0\r\n\r\n"), BAD),
    "chunk size below zero": Vector(post(CHUNKED, body=b"-2\r\n{}\r\n0\r\n\r\n"), BAD),
    "chunk size beyond 64 bits": Vector(post(CHUNKED, body=b"f" * 17 + b"\r\n{}"), BAD),
    "chunk size with 0x": Vector(post(CHUNKED, body=b"0x2\r\n{}\r\n0\r\n\r\n"), BAD),
    "chunk longer than its size": Vector(post(CHUNKED, body=b"1\r\n{}\r\n0\r\n\r\n"), BAD),
    "chunk ended by a bare newline": Vector(post(CHUNKED, body=b"2\n{}\n0\n\n"), BAD),
    "chunk extension without end": Vector(post(CHUNKED, body=b"2;" + b"x" * 600_000), (*BAD, 0, 431)),
    "trailer without end": Vector(post(CHUNKED, body=b"0\r\nx: " + b"x" * 600_000), (*BAD, 0, 431)),
    "trailer that is a host": Vector(post(CHUNKED, body=IN_CHUNKS[:-2] + b"host: evil/\r\n\r\n"), (200,)),
    # Lines.
    "bare newline after the request line": Vector(get().replace(b"\r\n", b"\n", 1), BAD),
    "bare newlines": Vector(get().replace(b"\r\n", b"\n"), BAD),
    "bare newline in a header": Vector(get("/v1/models", "x: a\nhost: b\r\n"), BAD),
    "bare carriage return in a header": Vector(get("/v1/models", "x: a\rb\r\n"), BAD),
    "bare carriage returns": Vector(get().replace(b"\r\n", b"\r"), BAD),
    "folded header": Vector(get("/v1/models", "x: a\r\n b\r\n"), BAD),
    "header behind a space": Vector(get("/v1/models", " x: a\r\n"), BAD),
    "space before the colon": Vector(get("/v1/models", "x : a\r\n"), BAD),
    "header without a colon": Vector(get("/v1/models", "x\r\n"), BAD),
    "header without a name": Vector(get("/v1/models", ": a\r\n"), BAD),
    "NUL in a value": Vector(get("/v1/models", "x: a\0b\r\n"), BAD),
    "NUL in a name": Vector(get("/v1/models", "x\0: a\r\n"), BAD),
    "method in small letters": Vector(get().replace(b"GET", b"get"), BAD),
    "method with a NUL": Vector(b"GE\0T / HTTP/1.1\r\n\r\n", BAD),
    "method of its own": Vector(get().replace(b"GET", b"BREW"), BAD),
    "no method": Vector(b" / HTTP/1.1\r\nhost: a\r\n\r\n", BAD),
    "TLS": Vector(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64), BAD),
    "empty lines before": Vector(b"\r\n\r\n" + get(), (200,)),
    "two spaces in the request line": Vector(get().replace(b"GET ", b"GET  "), (*BAD, 200)),
    # Host and target.
    "two hosts": Vector(get("/v1/models", "host: a\r\n"), BAD),
    "two other hosts": Vector(get("/v1/models", "host: b\r\n"), BAD),
    "no host": Vector(get(host=""), BAD),
    "empty host": Vector(get(host="host: \r\n"), BAD),
    "host with a path": Vector(get(host="host: a/v1/models\r\n"), BAD),
    "host with a query": Vector(get(host="host: a?x\r\n"), BAD),
    "host with a fragment": Vector(get(host="host: a#x\r\n"), BAD),
    "host with a user": Vector(get(host="host: u@a\r\n"), BAD),
    "host with a space": Vector(get(host="host: a b\r\n"), BAD),
    "host with a word for a port": Vector(get(host="host: a:port\r\n"), BAD),
    "host as a list": Vector(get(host="host: a,b\r\n"), BAD),
    "host with an open bracket": Vector(get(host="host: [::1\r\n"), BAD),
    "host by address": Vector(get(host="host: [::1]:8080\r\n"), (200,)),
    "target with its own host": Vector(get("http://a/v1/models"), (200,)),
    "target with another host": Vector(get("http://b/v1/models"), BAD),
    "target with a user": Vector(get("http://u@a/v1/models"), BAD),
    "target with a host and no path": Vector(get("http://a"), BAD),
    "target that is a star": Vector(get("*").replace(b"GET", b"OPTIONS"), BAD),
    "CONNECT": Vector(get("a:443").replace(b"GET", b"CONNECT"), BAD),
    "target that is not ASCII": Vector(get("/v1/models/é"), BAD),
    "target with a space": Vector(get("/v1/mo dels"), BAD),
    # Versions.
    "HTTP/0.9 without saying so": Vector(b"GET /livez\r\n\r\n", BAD),
    "HTTP/0.9": Vector(get("/livez", version="HTTP/0.9"), BAD),
    "HTTP/1.0 without a body": Vector(get(version="HTTP/1.0"), (200,)),
    "HTTP/1.0 with a length": Vector(post(LENGTH, version="HTTP/1.0"), BAD),
    "HTTP/1.0 with chunks": Vector(post(CHUNKED, body=IN_CHUNKS, version="HTTP/1.0"), BAD),
    "HTTP/1.2": Vector(get(version="HTTP/1.2"), BAD),
    "HTTP/2.0": Vector(get(version="HTTP/2.0"), BAD),
    "HTTP/2's preface": Vector(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", BAD),
    "another protocol": Vector(get(version="HTTPS/1.1"), BAD),
    "protocol in small letters": Vector(get(version="http/1.1"), BAD),
    # Sizes.
    "header a byte too long": Vector(get("/v1/models", f"x: {'x' * TOO_LONG}\r\n"), (431,)),
    "header of many small fields": Vector(get("/v1/models", *(f"x{i}: {'x' * 700}\r\n" for i in range(60))), (431,)),
    "101 fields": Vector(get("/v1/models", *(f"x{i}: y\r\n" for i in range(99))), (431,)),
    "100 fields": Vector(get("/v1/models", *(f"x{i}: y\r\n" for i in range(98))), (200,)),
    "10,000 fields": Vector(get("/v1/models", *(f"x{i}: y\r\n" for i in range(10_000))), (431,)),
    "target of 1 MiB": Vector(get("/" + "x" * 2**20), (431,)),
    "target of 100 KiB": Vector(get("/" + "x" * 100_000), (431,)),
    "key of 1 MiB": Vector(request(key="k" * 2**20), (431,)),
    "empty lines without end": Vector(b"\r\n" * 300_000, (431,)),
    # Upgrades are passed over.
    "WebSocket": Vector(get("/v1/models", "connection: Upgrade\r\nupgrade: websocket\r\n"), (200,)),
    "h2c": Vector(get("/v1/models", "connection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\n"), (200,)),
    "h2c with a body": Vector(post("connection: Upgrade\r\nupgrade: h2c\r\n", LENGTH), (200,)),
    "h2c with chunks": Vector(post("connection: Upgrade\r\nupgrade: h2c\r\n", CHUNKED, body=IN_CHUNKS), (200,)),
    # Paths and methods.
    "doubled slashes": Vector(post(LENGTH, target="//v1//chat/completions"), (200,)),
    "dots": Vector(post(LENGTH, target="/v1/x/../chat/completions"), (404,)),
    "dots in escapes": Vector(post(LENGTH, target="/v1/x/%2e%2e/chat/completions"), (404,)),
    "dots to another route": Vector(get("/v1/models/..%2f..%2flivez"), (404,)),
    "trailing slash": Vector(post(LENGTH, target="/v1/chat/completions/"), (404,)),
    "semicolon": Vector(post(LENGTH, target="/v1/chat/completions;x"), (404,)),
    "backslash": Vector(post(LENGTH, target="/v1\\chat\\completions"), (404,)),
    "NUL in escapes": Vector(get("/v1/models/%00"), (404,)),
    "bad UTF-8 in escapes": Vector(get("/v1/models/%ff%fe"), (404,)),
    "capitals": Vector(post(LENGTH, target="/V1/chat/completions"), (404,)),
    "query": Vector(post(LENGTH, target="/v1/chat/completions?x=y&&=%"), (200,)),
    "fragment": Vector(post(LENGTH, target="/v1/chat/completions#x"), (200, 400)),
    "unknown path": Vector(get("/nothing"), (404,)),
    **{
        f"{method} on chat": Vector(get(CHAT).replace(b"GET", method.encode()), (405,))
        for method in ("GET", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE")
    },
    **{
        f"{method} on models": Vector(get().replace(b"GET", method.encode()), (405,))
        for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS")
    },
    "POST on livez": Vector(post(LENGTH, target="/livez"), (405,)),
    # Bodies.
    "compressed body": Vector(post("content-encoding: gzip\r\n", LENGTH), (415,)),
    "no body": Vector(post("content-length: 0\r\n", body=b""), BAD),
    "no body and no length": Vector(post(body=b""), BAD),
    "body over the limit": Vector(post(CHUNKED, body=b"ffff\r\n%b\r\n" % (b"x" * 65535) * 5 + b"0\r\n\r\n"), (413,)),
}


@pytest.fixture(autouse=True)
def _no_bug_in_the_log(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    yield
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []


def still_serves(gateway: Running) -> bool:
    return ask(gateway.port, CHAT, chat()).status == 200


def is_refusal(reply: Reply) -> bool:
    """Whether it is an error in OpenAI's shape."""
    error = reply.json["error"]
    return reply.headers["content-type"] == "application/json" and set(error) == {"message", "type", "param", "code"}


def test_the_table_is_large_enough() -> None:
    assert len(VECTORS) >= 60


@pytest.mark.parametrize("vector", VECTORS.values(), ids=VECTORS.keys())
def test_a_request_is_answered_rightly_and_the_server_goes_on(keyed: Running, vector: Vector) -> None:
    with Caller(keyed.port) as caller:
        try:
            caller.send(vector.sent)
            reply = caller.reply()
        except (EOFError, ConnectionError):
            assert 0 in vector.right
        else:
            assert reply.status in vector.right, reply
            assert reply.status == 200 or is_refusal(reply)
            if reply.headers.get("connection") == "close":
                assert caller.rest() == b""
    assert still_serves(keyed)


@pytest.mark.parametrize("vector", VECTORS.values(), ids=VECTORS.keys())
def test_a_request_in_small_pieces_is_answered_alike(keyed: Running, vector: Vector) -> None:
    if len(vector.sent) > 2000:
        return
    with Caller(keyed.port) as caller:
        try:
            for at in range(0, len(vector.sent), 7):
                caller.send(vector.sent[at : at + 7])
            reply = caller.reply()
        except (EOFError, ConnectionError):
            assert 0 in vector.right
        else:
            assert reply.status in vector.right, reply


def test_a_head_request_gets_the_header_alone(keyed: Running) -> None:
    with Caller(keyed.port) as caller:
        for target, status in (
            ("/v1/models", 200),
            ("/livez", 200),
            (CHAT, 405),
            ("/nothing", 404),
            ("/streams/x", 405),
        ):
            assert caller.send(request(target, method="HEAD")).reply(head=True).status == status


def test_a_wrong_method_is_told_the_right_ones(keyed: Running) -> None:
    assert ask(keyed.port, "/v1/models", method="PUT").headers["allow"] == "GET, HEAD"
    assert ask(keyed.port, CHAT, method="PUT").headers["allow"] == "POST"


@pytest.mark.parametrize(
    ("path", "inner"),
    [
        (CHAT, {"message", "type", "param", "code"}),
        ("/v1/responses", {"message", "type", "param", "code"}),
        ("/anthropic/v1/messages", {"type", "message"}),
        ("/v1/messages", {"type", "message"}),
        ("/v1beta/models/x:generateContent", {"code", "message", "status"}),
        ("/v1/models/x:streamGenerateContent", {"code", "message", "status"}),
    ],
)
@pytest.mark.parametrize(
    "line", ["bad header\r\n", f"x: {'x' * TOO_LONG}\r\n", "host: b\r\n", "content-length: +1\r\n"]
)
def test_the_guard_speaks_the_dialect_of_the_path(keyed: Running, path: str, inner: set[str], line: str) -> None:
    with Caller(keyed.port) as caller:
        reply = caller.send(get(path, line)).reply()
        assert reply.status in (400, 431)
        assert set(reply.json["error"]) == inner
        assert caller.rest() == b""


def test_an_endless_header_is_ended_and_costs_no_memory(keyed: Running) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    sent = 0
    with Caller(keyed.port) as caller:
        caller.send(b"GET / HTTP/1.1\r\nhost: a\r\nx: ")
        begun = time.monotonic()
        with pytest.raises(ConnectionError):
            while time.monotonic() - begun < PATIENCE_S:
                caller.send(b"x" * 65536)
                sent += 65536
    assert sent < 64 * 2**20
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 32 * 1024
    assert still_serves(keyed)


@pytest.mark.parametrize("sent", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nhost: a\r\n", b"\r\n"])
def test_a_header_that_does_not_come_is_not_waited_for(keyed: Running, sent: bytes) -> None:
    with Caller(keyed.port) as caller:
        reply = caller.send(sent).reply()
        assert (reply.status, is_refusal(reply)) == (408, True)
        assert caller.rest() == b""
    keyed.until(lambda: keyed.connections == 0)


def test_a_header_that_trickles_in_is_not_waited_for_either(keyed: Running) -> None:
    with Caller(keyed.port) as caller:
        caller.sock.settimeout(0.05)
        caller.send(b"GET / HTTP/1.1\r\nhost: a\r\n")
        for _ in range(100):
            try:
                assert b"408" in caller.sock.recv(65536)
                return
            except TimeoutError:
                caller.send(b"x")
    pytest.fail("it was waited for")


def test_a_second_header_that_does_not_come_is_not_waited_for(keyed: Running) -> None:
    with Caller(keyed.port) as caller:
        assert caller.send(get() + b"GET /v1/mod").reply().status == 200
        assert caller.reply().status == 408
        assert caller.rest() == b""


@pytest.mark.parametrize("sent", [b"", b"{", b'{"model":'])
@pytest.mark.parametrize("framing", [LENGTH, CHUNKED])
def test_a_body_that_does_not_come_is_not_waited_for(keyed: Running, framing: str, sent: bytes) -> None:
    body = b"%x\r\n%b\r\n" % (len(sent), sent) if sent and framing is CHUNKED else sent
    with Caller(keyed.port) as caller:
        reply = caller.send(post(framing, body=body)).reply()
        assert (reply.status, is_refusal(reply)) == (408, True)
        assert caller.rest() == b""
    assert still_serves(keyed)


def test_an_idle_connection_between_requests_may_stay(keyed: Running) -> None:
    with Caller(keyed.port) as caller:
        assert caller.send(get()).reply().status == 200
        caller.sock.settimeout(2 * HARD_LIMITS.header_timeout_s)
        with pytest.raises(TimeoutError):
            caller.sock.recv(1)
        caller.sock.settimeout(PATIENCE_S)
        assert caller.send(get()).reply().status == 200


@pytest.mark.parametrize("close", ["half", "reset", "both"])
def test_a_cut_body_is_no_request(keyed: Running, close: str) -> None:
    entries = len(keyed.ledger.postings)
    with Caller(keyed.port) as caller:
        caller.send(post(LENGTH, body=BODY[:-1]))
        if close == "half":
            caller.sock.shutdown(socket.SHUT_WR)
            assert caller.rest() == b""
        elif close == "reset":
            caller.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    keyed.until(lambda: keyed.connections == 0)
    assert len(keyed.ledger.postings) == entries
    assert still_serves(keyed)


@pytest.mark.parametrize("stream", [True, False])
def test_requests_sent_ahead_are_answered_in_order(keyed: Running, stream: bool) -> None:
    bodies = [chat(messages=[{"role": "user", "content": f"number {i}"}], stream=stream) for i in range(5)]
    with Caller(keyed.port) as caller:
        caller.send(b"".join(request(CHAT, body) for body in bodies))
        for i in range(5):
            reply = caller.reply()
            assert reply.status == 200
            text = text_of(reply.body) if stream else reply.json["choices"][0]["message"]["content"]
            assert f"number {i}" in text


def test_a_second_request_waits_for_a_long_first_answer_and_neither_is_timed_out(keyed: Running) -> None:
    """The first takes longer than any header or body may; the second's header and body come in pieces meanwhile."""
    first = request(CHAT, chat("sim/text?pace=20&tokens=20", stream=True))
    second = request(CHAT, chat())
    with Caller(keyed.port) as caller:
        caller.send(first + second[:40])
        assert caller.reply_head()[0] == 200
        chunks = caller.chunks()
        next(chunks)
        caller.send(second[40:-10])
        body = b"".join(chunks)
        assert body.endswith(b"data: [DONE]\n\n")
        caller.send(second[-10:])
        assert caller.reply().status == 200


def test_a_second_request_whose_body_never_comes_leaves_the_first_answer_whole(keyed: Running) -> None:
    first = request(CHAT, chat("sim/text?pace=20&tokens=20", stream=True))
    with Caller(keyed.port) as caller:
        caller.send(first + request(CHAT, chat())[:-10])
        assert caller.reply().body.endswith(b"data: [DONE]\n\n")
        assert caller.reply().status == 408
        assert caller.rest() == b""


@pytest.mark.parametrize("bad", [b"\x16\x03\x01", get(host=""), get("/v1/models", "content-length: +1\r\n")])
@pytest.mark.parametrize("ahead", [1, 3])
def test_a_second_request_that_is_refused_leaves_the_answers_before_it_whole(
    keyed: Running, bad: bytes, ahead: int
) -> None:
    with Caller(keyed.port) as caller:
        caller.send(request(CHAT, chat(stream=True)) * ahead + bad)
        for _ in range(ahead):
            assert caller.reply().body.endswith(b"data: [DONE]\n\n")
        assert caller.reply().status == 400
        assert caller.rest() == b""


@pytest.mark.parametrize("ahead", [request(CHAT, chat()), request(CHAT, chat())[:-10], b"GET /liv", b"\x16\x03\x01"])
@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_has_sent_more_is_seen_to_go(keyed: Running, ahead: bytes, stream: bool) -> None:
    with Caller(keyed.port) as caller:
        caller.send(request(CHAT, chat("sim/text?fault=hang", stream=stream)) + ahead)
        keyed.until(lambda: len(keyed.gateway.house.live) == 1)
    gone = time.monotonic()
    keyed.until(lambda: len(keyed.gateway.house.live) == 0)
    assert time.monotonic() - gone < RELEASED_WITHIN_S
    assert keyed.ledger.last_entries(1)[0].outcome == "cancelled"


@pytest.mark.parametrize("size", [1000, 66_000, 200_000])
@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_leaves_after_a_body_of_any_size_is_seen_to_go(keyed: Running, size: int, stream: bool) -> None:
    """Of a large body the end may come while uvicorn holds the reading back."""
    body = chat("sim/text?ttft=60", stream=stream, user="x" * size)
    with Caller(keyed.port) as caller:
        caller.send(request(CHAT, body))
        keyed.until(lambda: len(keyed.gateway.house.live) == 1)
    begun = time.monotonic()
    keyed.until(lambda: len(keyed.gateway.house.live) == 0)
    assert time.monotonic() - begun < 10 * RELEASED_WITHIN_S


def test_a_flood_of_requests_sent_ahead_is_cut_off_in_order(keyed: Running) -> None:
    with Caller(keyed.port) as caller:
        caller.send(get("/livez") * 2000)
        statuses = []
        while not statuses or statuses[-1] == 200:
            statuses.append(caller.reply().status)
        assert statuses == [200] * (len(statuses) - 1) + [429]
        assert len(statuses) > MOST_WAITING
        assert caller.rest() == b""


def test_a_request_behind_a_large_body_is_not_taken_for_a_large_header(keyed: Running) -> None:
    large = chat(messages=[{"role": "user", "content": "x" * 200_000}])
    with Caller(keyed.port) as caller:
        caller.send(request(CHAT, large) + get()[:-10])
        assert caller.reply().status == 200
        assert caller.send(get()[-10:]).reply().status == 200


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (request(CHAT, BODY, key="wrong-key"), 401),
        (request(CHAT, b'{"x":"' + b"x" * 150_000 + b'"}', key="wrong-key"), 401),
        (request(CHAT, b"x" * 300_000), 413),
        (post(CHUNKED, body=b"ffff\r\n%b\r\n" % (b"x" * 65535) * 5 + b"0\r\n\r\n"), 413),
        (request(CHAT, b"{"), 400),
        (request(CHAT, chat("sim/nothing")), 404),
        (request("/nothing", BODY), 404),
        (request("/v1/models", BODY), 405),
        (get("/v1/models/nothing"), 404),
        (request(CHAT, chat("sim/text?fault=http-500")), 500),
        (post("expect: 100-continue\r\n", LENGTH), 200),
    ],
)
def test_a_connection_is_as_good_as_new_after_an_answer(keyed: Running, sent: bytes, status: int) -> None:
    with Caller(keyed.port) as caller:
        for _ in range(2):
            assert caller.send(sent).reply().status == status
            assert caller.send(request(CHAT, chat())).reply().status == 200


def test_who_is_refused_before_the_body_came_gets_one_answer_only(keyed: Running) -> None:
    with Caller(keyed.port) as caller:
        caller.send(request(CHAT, b"x" * 100_000, key=None)[:-1])
        assert caller.reply().status == 401
        assert caller.rest() == b""


def test_an_answer_to_a_request_to_upgrade_switches_nothing(keyed: Running) -> None:
    hidden = get("/v1/models/hidden")
    sent = post("connection: upgrade\r\nupgrade: websocket\r\n", f"content-length: {len(hidden)}\r\n", body=b"")
    with Caller(keyed.port) as caller:
        caller.send(sent)
        caller.send(hidden)
        assert caller.reply().status == 400
        assert caller.send(get()).reply().status == 200
        caller.send(get("/v1/models", "connection: upgrade\r\nupgrade: h2c\r\n") * 3 + get("/livez"))
        assert [caller.reply().status for _ in range(4)] == [200] * 4


def test_a_client_that_asks_whether_to_go_on_is_told(keyed: Running) -> None:
    with Caller(keyed.port) as caller:
        caller.send(post("expect: 100-continue\r\n", LENGTH, body=b""))
        assert caller.reply_head() == (100, {})
        assert caller.send(BODY).reply().status == 200


def test_a_client_that_asks_whether_to_go_on_without_a_key_is_told_no(keyed: Running) -> None:
    with Caller(keyed.port) as caller:
        caller.send(post("expect: 100-continue\r\n", LENGTH, body=b"").replace(KEY.encode(), b"wrong-key"))
        assert caller.reply_head()[0] == 401


def test_a_trailer_gives_no_key(keyed: Running) -> None:
    sent = post(CHUNKED, body=IN_CHUNKS[:-2] + AUTH.encode() + b"\r\n").replace(AUTH.encode(), b"", 1)
    with Caller(keyed.port) as caller:
        assert caller.send(sent).reply().status == 401


def test_after_all_that_nothing_is_left(keyed: Running) -> None:
    keyed.until(lambda: keyed.connections == 0 and not keyed.server.server_state.tasks)
    assert len(keyed.gateway.house.live) == 0
    assert keyed.ledger.unsettled == 0
    assert json.loads(ask(keyed.port, "/readyz", method="GET").body)["status"] == "ok"


def test_a_client_that_goes_while_its_request_is_reserved_leaves_no_error(caplog: pytest.LogCaptureFixture) -> None:
    """It is noticed in the turn of the loop in which its connection is being closed, and not yet told to be."""
    with running(settings_of()) as gateway:
        open_, waiting = gateway.ledger.open, threading.Event()

        async def slowly(reservation: Reservation) -> None:
            await open_(reservation)
            waiting.set()
            [connection] = gateway.server.server_state.connections
            while not connection.transport.is_closing():
                await asyncio.sleep(0)

        gateway.ledger.open = slowly
        with Caller(gateway.port) as caller:
            caller.send(request(CHAT, BODY))
            assert waiting.wait(PATIENCE_S)
        gateway.until(lambda: gateway.ledger.unsettled == 0 and not gateway.connections)
        [entry] = gateway.ledger.last_entries(1)
        assert entry.outcome == "cancelled"
    assert [record.message for record in caplog.records if record.levelname == "ERROR"] == []


@pytest.mark.parametrize("sent", [get(), request(CHAT, b"{}")])
def test_a_connection_that_is_over_is_no_work_for_the_collector(sent: bytes) -> None:
    with running(settings_of()) as gateway:
        gc.collect()
        gc.disable()
        try:
            with Caller(gateway.port) as caller:
                caller.send(sent)
                caller.reply()
                [protocol] = gateway.server.server_state.connections
                left = weakref.ref(protocol)
                del protocol
            gateway.until(lambda: left() is None)
        finally:
            gc.enable()


class _Transport(asyncio.Transport):
    """Of a connection on which nothing happens."""

    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return False

    def close(self) -> None:
        pass


async def _nothing(scope: Any, receive: Any, send: Any) -> None:
    pass


async def test_who_writes_to_the_transport_is_told_when_it_is_full() -> None:
    config = Config(_nothing, http="httptools", log_config=None)
    config.load()
    protocol = guarded(HARD_LIMITS)(config=config, server_state=ServerState(), app_state={})
    protocol.connection_made(_Transport({"sockname": ("127.0.0.1", 1), "peername": ("127.0.0.1", 2)}))
    told: list[bool] = []
    assert not protocol.tell_when_full(told.append)
    protocol.pause_writing()
    assert (told, protocol.flow.write_paused, protocol.tell_when_full(told.append)) == ([True], True, True)
    protocol.resume_writing()
    assert (told, protocol.flow.write_paused) == ([True, False], False)
    protocol.tell_when_full(None)
    protocol.pause_writing()
    assert told == [True, False]
    protocol.connection_lost(None)
