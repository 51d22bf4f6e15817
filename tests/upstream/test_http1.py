"""The grammar, without sockets: requests to bytes, and bytes to answers, cut everywhere."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.upstream.loopback import asking
from thalweg.canon.errors import UpstreamBroke
from thalweg.upstream.base import Credential, Origin, ResponseHead
from thalweg.upstream.connection import READ_BYTES
from thalweg.upstream.http1 import MAX_HEAD_BYTES, MAX_HEAD_FIELDS, AnswerReader, encode_request

HTTP = Origin("http", "api.test", 8080)
HTTPS = Origin("https", "api.test", 443)


class Sink:
    def __init__(self) -> None:
        self.heads: list[ResponseHead] = []
        self.body = b""

    def head_received(self, head: ResponseHead) -> None:
        assert not self.heads, "one answer has one head"
        self.heads.append(head)

    def body_received(self, data: bytes) -> None:
        assert self.heads, "the head comes before the body"
        assert data
        self.body += data


@dataclass(frozen=True)
class Answer:
    """What is on the wire, and what must come of it."""

    wire: bytes
    status: int = 200
    body: bytes = b""
    reusable: bool = True
    needs_eof: bool = False


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

WHOLE = {
    "content-length": Answer(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", body=b"hello"),
    "content-length zero": Answer(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
    "chunked": Answer(CHUNKED + b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n", body=b"hello world"),
    "chunk extensions and trailers": Answer(
        CHUNKED + b'5;a=b;c="d"\r\nhello\r\n0;last\r\nx-sum: 1\r\nx-more: two\r\n\r\n', body=b"hello"
    ),
    "more trailers than a head may have fields": Answer(CHUNKED + b"0\r\n" + b"x: y\r\n" * 200 + b"\r\n"),
    "a body that looks like chunks": Answer(CHUNKED + b"5\r\n0\r\n\r\n\r\n0\r\n\r\n", body=b"0\r\n\r\n"),
    "until the connection closes": Answer(
        b"HTTP/1.1 200 OK\r\n\r\nhello", body=b"hello", reusable=False, needs_eof=True
    ),
    "HTTP/1.0 until the close": Answer(b"HTTP/1.0 200 OK\r\n\r\nhello", body=b"hello", reusable=False, needs_eof=True),
    "HTTP/1.0 with a length": Answer(
        b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\nhello", body=b"hello", reusable=False
    ),
    "Connection: close": Answer(
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello", body=b"hello", reusable=False
    ),
    "204": Answer(b"HTTP/1.1 204 No Content\r\n\r\n", status=204),
    "304 with a length": Answer(b"HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\n\r\n", status=304),
    "several interim answers first": Answer(
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n"
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        body=b"hello",
    ),
    "a redirect is an answer": Answer(
        b"HTTP/1.1 302 Found\r\nLocation: http://evil.test/\r\nContent-Length: 0\r\n\r\n", status=302
    ),
    "identity said aloud": Answer(
        b"HTTP/1.1 200 OK\r\nContent-Encoding: identity\r\nContent-Length: 5\r\n\r\nhello", body=b"hello"
    ),
    "a second answer behind it": Answer(
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhelloHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
        body=b"hello",
        reusable=False,
    ),
    "garbage behind it": Answer(
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello\0garbage", body=b"hello", reusable=False
    ),
}

BROKEN = {
    "not HTTP": (b"SSH-2.0-OpenSSH\r\n", "broke HTTP"),
    "bad chunk size": (CHUNKED + b"5\r\nhello\r\nzz\r\n", "broke HTTP"),
    "chunk longer than it says": (CHUNKED + b"5\r\nhello!\r\n0\r\n\r\n", "broke HTTP"),
    "two lengths": (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello", "broke HTTP"),
    "length and chunks": (
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "broke HTTP",
    ),
    "negative length": (b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello", "broke HTTP"),
    "NUL in a header": (b"HTTP/1.1 200 OK\r\nx: a\0b\r\n\r\n", "broke HTTP"),
    "switching protocols": (b"HTTP/1.1 101 Switching\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n", "status 101"),
    "switching without saying to what": (b"HTTP/1.1 101 Switching\r\n\r\n", "status 101"),
    "gzip": (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n\x1f\x8b", "compressed"),
    "gzip as transfer coding": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", "transfer coding"),
    "too many fields": (b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * (MAX_HEAD_FIELDS + 1) + b"\r\n", "head of more than"),
    "a head too large": (b"HTTP/1.1 200 OK\r\n" + b"x: %b\r\n" % (b"y" * 1000) * 66 + b"\r\n", "more than"),
    "a head a little too large, its body right behind it": (
        b"HTTP/1.1 200 OK\r\n" + b"x: %b\r\n" % (b"y" * 1000) * 66 + b"content-length: 5\r\n\r\nhello",
        "more than",
    ),
    "a field without end": (b"HTTP/1.1 200 OK\r\nx: " + b"y" * (MAX_HEAD_BYTES * 3), "more than"),
    "interim answers without end": (b"HTTP/1.1 100 Continue\r\n\r\n" * 9000, "more than"),
    "a trailer without end": (CHUNKED + b"5\r\nhello\r\n0\r\nx: " + b"y" * (MAX_HEAD_BYTES * 3), "more than"),
    "a chunk extension without end": (CHUNKED + b"5;" + b"y" * (MAX_HEAD_BYTES * 3), "more than"),
}

CUT = {
    "nothing at all": (b"", "before it answered"),
    "in the head": (b"HTTP/1.1 200 OK\r\nContent-", "in the head"),
    "after an interim answer": (b"HTTP/1.1 100 Continue\r\n\r\n", "in the head"),
    "in a counted body": (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell", "in the middle"),
    "in a chunk": (CHUNKED + b"5\r\nhel", "in the middle"),
    "between chunks": (CHUNKED + b"5\r\nhello\r\n", "in the middle"),
    "in the trailers": (CHUNKED + b"0\r\nx: y\r\n", "in the middle"),
}


def read(pieces: Iterable[bytes]) -> tuple[AnswerReader, Sink]:
    """Feed pieces as a connection does: never none, never more than a buffer, and no more once the answer is over."""
    sink = Sink()
    reader = AnswerReader(sink, peer="http://api.test:80", provider="test")
    for piece in pieces:
        for at in range(0, len(piece), READ_BYTES):
            if not reader.over:
                reader.feed(piece[at : at + READ_BYTES])
    return reader, sink


def cuts(wire: bytes, rng: random.Random) -> list[list[bytes]]:
    """Whole, byte by byte, in two at each place of a short one, and at random."""
    ways = [[wire], [wire[at : at + 1] for at in range(len(wire))]]
    if len(wire) < 300:
        ways += [[wire[:at], wire[at:]] for at in range(1, len(wire))]
    for _ in range(20):
        places = sorted(rng.sample(range(len(wire) + 1), min(5, len(wire))))
        ways.append([wire[a:b] for a, b in zip([0, *places], [*places, len(wire)], strict=True)])
    return ways


@pytest.mark.parametrize("case", WHOLE.values(), ids=WHOLE.keys())
def test_an_answer_is_the_same_however_it_is_cut(case: Answer, seeded_random: random.Random) -> None:
    for pieces in cuts(case.wire, seeded_random):
        reader, sink = read(pieces)
        assert reader.over is not case.needs_eof
        if case.needs_eof:
            reader.end_of_file()
        assert (reader.over, reader.error) == (True, None)
        assert [head.status for head in sink.heads] == [case.status]
        assert sink.body == case.body


@pytest.mark.parametrize("case", WHOLE.values(), ids=WHOLE.keys())
def test_an_answer_says_whether_its_connection_may_be_used_again(case: Answer) -> None:
    reader, _ = read([case.wire])
    if case.needs_eof:
        reader.end_of_file()
    assert reader.reusable is case.reusable


@pytest.mark.parametrize(("wire", "words"), BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_answer_is_refused_however_it_is_cut(wire: bytes, words: str, seeded_random: random.Random) -> None:
    for pieces in cuts(wire, seeded_random):
        reader, _ = read(pieces)
        assert isinstance(reader.error, UpstreamBroke)
        assert words in reader.error.message
        assert reader.error.message.startswith("http://api.test:80 ")
        assert reader.error.provider == "test"
        assert not reader.reusable


@pytest.mark.parametrize(("wire", "words"), CUT.values(), ids=CUT.keys())
def test_an_answer_that_breaks_off_says_where(wire: bytes, words: str) -> None:
    for pieces in ([wire], [wire[at : at + 1] for at in range(len(wire))]):
        reader, _ = read(pieces)
        assert not reader.over
        reader.end_of_file()
        assert reader.error is not None
        assert words in reader.error.message
        assert reader.begun is bool(wire)


def test_a_lost_connection_is_no_end_of_a_body_that_ends_with_the_connection() -> None:
    """A reset is a cut; only an orderly close ends such a body."""
    reader, _ = read([b"HTTP/1.1 200 OK\r\n\r\nhello"])
    reset = ConnectionResetError()
    reader.break_off(reset)
    assert reader.error is not None
    assert reader.error.__cause__ is reset


@given(st.binary(max_size=300), st.booleans())
def test_any_bytes_make_an_answer_or_our_own_error(noise: bytes, headed: bool) -> None:
    reader, _ = read([CHUNKED + noise if headed else noise])
    if not reader.over:
        reader.end_of_file()
    assert reader.over


def test_a_large_chunked_body_is_no_overhead() -> None:
    chunk = b"1000\r\n" + b"x" * 4096 + b"\r\n"
    reader, sink = read([CHUNKED, *[chunk * 8] * 40, b"0\r\n\r\n"])
    assert (reader.over, reader.error) == (True, None)
    assert len(sink.body) == 4096 * 8 * 40


def test_header_names_are_lower_case_and_values_are_stripped() -> None:
    _, sink = read([b"HTTP/1.1 200 OK\r\nX-Request-ID: \t a b \t\r\nx-request-id: c\r\nContent-Length: 0\r\n\r\n"])
    assert sink.heads[0].headers == ((b"x-request-id", b"a b"), (b"x-request-id", b"c"), (b"content-length", b"0"))


def test_trailers_are_not_headers() -> None:
    _, sink = read([CHUNKED + b"0\r\nset-cookie: x\r\n\r\n"])
    assert sink.heads[0].get(b"set-cookie") is None


def test_what_a_sink_raises_comes_out_as_it_is() -> None:
    class Bug(Exception):
        pass

    class Raising(Sink):
        def body_received(self, data: bytes) -> None:
            raise Bug

    reader = AnswerReader(Raising(), peer="", provider="")
    with pytest.raises(Bug):
        reader.feed(WHOLE["chunked"].wire)


def test_a_discarded_rest_is_read_to_its_end_within_its_bound() -> None:
    reader, sink = read([CHUNKED + b"5\r\nhello\r\n"])
    reader.discard(10)
    reader.feed(b"a\r\n0123456789\r\n0\r\n\r\n")
    assert (reader.over, reader.error, reader.reusable, sink.body) == (True, None, True, b"hello")


def test_a_discarded_rest_beyond_its_bound_is_an_error() -> None:
    reader, _ = read([CHUNKED])
    reader.discard(10)
    reader.feed(b"b\r\n0123456789a\r\n")
    assert reader.error is not None
    assert not reader.reusable


def test_a_closed_reader_tells_nothing_more() -> None:
    """The listener stops a call: what comes after the read in which it does so is not told."""

    class Stopping(Sink):
        def body_received(self, data: bytes) -> None:
            super().body_received(data)
            reader.close()

    sink = Stopping()
    reader = AnswerReader(sink, peer="", provider="")
    reader.feed(CHUNKED + b"5\r\nhello\r\n")
    assert sink.body == b"hello"
    assert reader.over


def test_the_body_of_one_read_is_told_in_one_piece() -> None:
    told: list[bytes] = []

    class Counting(Sink):
        def body_received(self, data: bytes) -> None:
            told.append(data)

    reader = AnswerReader(Counting(), peer="", provider="")
    reader.feed(CHUNKED + b"5\r\nhello\r\n6\r\n world\r\n")
    reader.feed(b"1\r\n!\r\n0\r\n\r\n")
    assert told == [b"hello world", b"!"]
    assert (reader.over, reader.error) == (True, None)


# Requests.


def test_a_request_on_the_wire() -> None:
    request = asking(HTTP, headers=((b"x-a", b"1"), (b"x-b", b"")), body=b"body")
    assert encode_request(request) == (
        b"POST /v1/chat HTTP/1.1\r\nhost: api.test:8080\r\nx-a: 1\r\nx-b: \r\n"
        b"accept-encoding: identity\r\ncontent-length: 4\r\n\r\n"
    )


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        (HTTPS, b"api.test"),
        (Origin("http", "api.test", 80), b"api.test"),
        (Origin("http", "api.test", 443), b"api.test:443"),
        (Origin("http", "::1", 80), b"[::1]"),
        (Origin("http", "::1", 8080), b"[::1]:8080"),
    ],
)
def test_the_host_header_has_the_port_where_it_is_not_the_default(origin: Origin, host: bytes) -> None:
    assert b"\r\nhost: " + host + b"\r\n" in encode_request(asking(origin))


def test_the_body_is_counted_where_there_is_one_or_could_be_one() -> None:
    assert b"content-length: 0" in encode_request(asking(HTTP, body=b""))
    assert b"content-length" not in encode_request(asking(HTTP, method=b"GET", body=b""))
    assert b"content-length: 2" in encode_request(asking(HTTP, method=b"DELETE", body=b"{}"))


def test_a_request_to_a_forwarding_proxy_is_in_absolute_form() -> None:
    wire = encode_request(asking(HTTP), proxy_headers=b"proxy-authorization: Basic eDp5\r\n")
    assert wire.startswith(b"POST http://api.test:8080/v1/chat HTTP/1.1\r\nhost: api.test:8080\r\n")
    assert b"proxy-authorization: Basic eDp5\r\n" in wire


KEY = Credential(HTTPS, b"authorization", b"Bearer sk-secret")


def test_a_credential_goes_to_its_own_origin() -> None:
    credential = Credential(HTTPS, b"authorization", b"Bearer sk-secret")
    assert b"\r\nauthorization: Bearer sk-secret\r\n" in encode_request(asking(HTTPS, credential=credential))


@pytest.mark.parametrize(
    "elsewhere",
    [HTTP, Origin("http", "api.test", 443), Origin("https", "api.test", 8443), Origin("https", "api.test.evil", 443)],
)
def test_a_credential_goes_nowhere_else(elsewhere: Origin) -> None:
    credential = Credential(HTTPS, b"authorization", b"Bearer sk-secret")
    with pytest.raises(ValueError, match="credential is bound to another origin") as caught:
        encode_request(asking(elsewhere, credential=credential))
    assert "sk-secret" not in str(caught.value)


def test_requests_that_differ_in_one_thing_differ_on_the_wire() -> None:
    """What is kept of a request's head serves those that are alike, and no others."""
    other_key = Credential(HTTPS, b"authorization", b"Bearer sk-other")
    changes: list[dict[str, Any]] = [
        {},
        {"origin": Origin("https", "api2.test", 443), "credential": None},
        {"method": b"PUT"},
        {"target": b"/v1/other"},
        {"headers": ((b"x-a", b"2"),)},
        {"body": b"longer body"},
        {"credential": other_key},
        {"credential": None},
    ]
    for _ in range(2):
        wires = []
        for change in changes:
            asked = {"origin": HTTPS, "headers": ((b"x-a", b"1"),), "body": b"body", "credential": KEY} | change
            wires.append(encode_request(asking(asked.pop("origin"), **asked)))
        wires.append(
            encode_request(asking(HTTPS, headers=((b"x-a", b"1"),), body=b"body", credential=KEY), proxy_headers=b"")
        )
        assert len(set(wires)) == len(wires)
        assert [b"Bearer sk-secret" in wire for wire in wires] == [
            True,
            False,
            True,
            True,
            True,
            True,
            False,
            False,
            True,
        ]
        assert b"Bearer sk-other" in wires[6]
    with pytest.raises(ValueError, match="another origin"):
        encode_request(asking(Origin("https", "api2.test", 443), credential=KEY))


@pytest.mark.parametrize("evil", [b"\r", b"\n", b"\0", b"\r\nx: y", b"\r\n\r\nGET / HTTP/1.1"])
def test_nothing_can_be_injected(evil: bytes) -> None:
    wounded = (
        {"headers": ((b"x" + evil, b"y"),)},
        {"headers": ((b"x", b"secret" + evil),)},
        {"target": b"/" + evil},
        {"method": b"GET" + evil},
        {"credential": Credential(HTTP, b"x" + evil, b"secret")},
        {"credential": Credential(HTTP, b"x", b"secret" + evil)},
    )
    for fields in wounded:
        with pytest.raises(ValueError) as caught:
            encode_request(asking(HTTP, **fields))
        assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "fields",
    [
        {"headers": ((b"Content-Length", b"0"),)},
        {"headers": ((b"transfer-encoding", b"chunked"),)},
        {"headers": ((b"Host", b"evil.test"),)},
        {"headers": ((b"accept-encoding", b"gzip"),)},
        {"headers": ((b"bad name", b"x"),)},
        {"headers": ((b"", b"x"),)},
        {"target": b"*"},
        {"target": b"http://evil.test/"},
        {"target": b"/a b"},
        {"target": "/ü".encode()},
        {"method": b"HEAD"},
        {"method": b"CONNECT"},
        {"origin": Origin("ftp", "api.test", 21)},
        {"origin": Origin("http", "api.test\r\nx: y", 80)},
        {"origin": Origin("http", "user@api.test", 80)},
        {"origin": Origin("http", "", 80)},
    ],
)
def test_what_is_not_the_callers_to_send_is_refused(fields: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        encode_request(asking(**{"origin": HTTP, **fields}))
