"""One connection as the loop sees it: a protocol with a transport that only takes notes."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from thalweg.canon.errors import UpstreamBroke
from thalweg.upstream.base import Origin, ResponseHead
from thalweg.upstream.connection import READ_BYTES, Connection, ReceiveBuffer
from thalweg.upstream.http1 import AnswerReader
from thalweg.upstream.route import Route

ROUTE = Route(Origin("http", "a.test", 80))
HELLO = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"


class Transport(asyncio.Transport):
    def __init__(self, *, tls: bool = False) -> None:
        super().__init__({"ssl_object": object()} if tls else None)
        self.calls: list[Any] = []
        self.unsent = 0

    def writelines(self, data: Any) -> None:
        self.calls.append(b"".join(data))

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def pause_reading(self) -> None:
        self.calls.append("pause")

    def resume_reading(self) -> None:
        self.calls.append("resume")

    def abort(self) -> None:
        self.calls.append("abort")

    def set_read_buffer_limits(self, high: int, low: int) -> None:
        self.calls.append((high, low))


class FastPath:
    """Takes what it is told to."""

    def __init__(self, *taken: bytes) -> None:
        self.offered: list[bytes] = []
        self._taken = taken

    def take(self, read: bytes) -> bool:
        self.offered.append(read)
        return read in self._taken


class User:
    def __init__(self) -> None:
        self.heard: list[Any] = []
        self.fast_path: FastPath | None = None

    def head_received(self, head: ResponseHead) -> None:
        self.heard.append(head.status)

    def body_received(self, data: bytes) -> None:
        self.heard.append(data)

    def answered(self, connection: Connection, *, reusable: bool) -> None:
        self.heard.append(("answered", reusable))

    def answer_broke(self, error: UpstreamBroke) -> None:
        self.heard.append(("broke", error.message))

    def connection_died(self, error: UpstreamBroke) -> None:
        self.heard.append(("died", error.message))

    def abort(self) -> None:
        self.heard.append("abort")


class Owner:
    def __init__(self) -> None:
        self.lost_ones: list[Connection] = []

    def lost(self, connection: Connection) -> None:
        self.lost_ones.append(connection)


class Wired:
    """A connection that is open, counted, and has sent a request."""

    def __init__(self, *, send: bool = True) -> None:
        self.buffer = ReceiveBuffer()
        self.connection = Connection(ROUTE, self.buffer)
        self.transport, self.user, self.owner = Transport(), User(), Owner()
        self.connection.connection_made(self.transport)
        self.connection.owner = self.owner
        if send:
            reader = AnswerReader(self.user, peer="a.test", provider="")
            self.connection.send((b"head", b"body"), reader, self.user)

    def receive(self, data: bytes) -> None:
        self.connection.get_buffer(-1)[: len(data)] = data
        self.connection.buffer_updated(len(data))


def test_a_request_and_its_answer() -> None:
    wired = Wired()
    wired.receive(HELLO)
    assert wired.transport.calls == [b"headbody"]
    assert wired.user.heard == [200, b"hello", ("answered", True)]


def test_all_connections_read_into_the_same_memory() -> None:
    buffer = ReceiveBuffer()
    one, two = Connection(ROUTE, buffer), Connection(ROUTE, buffer)
    assert one.get_buffer(-1).obj is two.get_buffer(-1).obj
    assert len(one.get_buffer(-1)) == READ_BYTES


def test_tls_reads_into_more_and_holds_the_end_of_file_back() -> None:
    connection, transport = Connection(Route(Origin("https", "a.test", 443)), ReceiveBuffer()), Transport(tls=True)
    connection.connection_made(transport)
    assert len(connection.get_buffer(-1)) > READ_BYTES
    assert transport.calls == [(1, 0)]


def test_what_was_delivered_outlives_the_buffer() -> None:
    wired = Wired()
    wired.receive(HELLO)
    wired.buffer.tls[:] = bytes(len(wired.buffer.tls))
    assert wired.user.heard[1] == b"hello"


def test_an_answer_before_the_request_is_out_spoils_the_connection() -> None:
    wired = Wired()
    wired.transport.unsent = 1
    wired.receive(HELLO)
    assert wired.user.heard[-1] == ("answered", False)


def test_a_connection_nobody_uses_closes_when_it_hears_anything() -> None:
    for event in ("bytes", "end of file"):
        wired = Wired(send=False)
        if event == "bytes":
            wired.receive(b"x")
        else:
            wired.connection.eof_received()
        assert wired.connection.closed
        assert wired.transport.calls == ["abort"]
        assert wired.owner.lost_ones == []
        wired.connection.connection_lost(None)
        assert wired.owner.lost_ones == [wired.connection]


@pytest.mark.parametrize("end", ["eof_received", "connection_lost"])
@pytest.mark.parametrize(
    ("before", "heard"),
    [
        (b"", ("died", "a.test closed the connection before it answered")),
        (b"HTTP/1.1 200", ("broke", "a.test broke off in the head of its answer")),
        (HELLO[:-1], ("broke", "a.test broke off in the middle of its answer")),
    ],
)
def test_an_end_is_told_once(end: str, before: bytes, heard: tuple[str, str]) -> None:
    wired = Wired()
    if before:
        wired.receive(before)
    if end == "eof_received":
        wired.connection.eof_received()
    wired.connection.connection_lost(None)
    assert wired.user.heard[-1] == heard
    assert sum(isinstance(event, tuple) for event in wired.user.heard) == 1
    assert wired.owner.lost_ones == [wired.connection]


def test_nothing_is_told_after_abort() -> None:
    wired = Wired()
    wired.connection.abort()
    wired.receive(HELLO)
    wired.connection.eof_received()
    wired.connection.connection_lost(OSError())
    assert wired.user.heard == []
    assert wired.owner.lost_ones == [wired.connection]


CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


def test_what_comes_between_two_chunks_is_offered_to_the_fast_path_first() -> None:
    wired, path = Wired(), FastPath(b"1\r\nb\r\n")
    wired.user.fast_path = path
    wired.receive(CHUNKED)
    wired.receive(b"1\r\na\r\n")
    assert (path.offered, wired.user.heard) == ([], [200, b"a"]), "before that nothing stands between two chunks"
    wired.receive(b"1\r\nb\r\n")
    assert (path.offered, wired.user.heard) == ([b"1\r\nb\r\n"], [200, b"a"]), "what it takes is told to nobody else"
    wired.receive(b"1\r\nc\r\n")
    assert wired.user.heard == [200, b"a", b"c"], "what it does not take is read"
    wired.receive(b"1\r\nb\r\n")
    wired.receive(b"0\r\n\r\n")
    assert len(path.offered) == 4
    assert wired.user.heard[-1] == ("answered", True)
    wired.receive(b"1\r\nb\r\n")
    assert (len(path.offered), wired.transport.calls[-1]) == (4, "abort"), "of an answer that is over, nothing"


@pytest.mark.parametrize("begun", [b"1\r\na", b"1\r\na\r", b"1\r\na\r\n1", b"1\r\na\r\n2\r\n", b"1\r\na\r\n2\r\n\r\n"])
def test_nothing_is_offered_within_a_chunk(begun: bytes) -> None:
    """Also not where it looks as if one had just ended."""
    wired, path = Wired(), FastPath(b"1\r\nb\r\n")
    wired.user.fast_path = path
    wired.receive(CHUNKED + begun)
    wired.receive(b"1\r\nb\r\n")
    assert path.offered == []


def test_nothing_is_offered_within_a_chunk_after_some_that_were_taken() -> None:
    wired, path = Wired(), FastPath(b"1\r\nb\r\n")
    wired.user.fast_path = path
    wired.receive(CHUNKED + b"1\r\na\r\n")
    wired.receive(b"1\r\nb\r\n")
    wired.receive(b"d\r\n1234567")
    wired.receive(b"1\r\nb\r\n")
    assert path.offered == [b"1\r\nb\r\n", b"d\r\n1234567"]
    assert wired.user.heard == [200, b"a", b"1234567", b"1\r\nb\r\n"]


def test_a_fast_path_that_opens_later_is_asked_for_where_the_answer_stands_between_chunks() -> None:
    wired, path = Wired(), FastPath(b"1\r\nb\r\n")
    wired.receive(CHUNKED + b"1\r\na\r\n")
    wired.user.fast_path = path
    wired.connection.follow_fast_path()
    wired.receive(b"1\r\nb\r\n")
    assert (path.offered, wired.user.heard) == ([b"1\r\nb\r\n"], [200, b"a"])
    wired.user.fast_path = FastPath()
    wired.connection.follow_fast_path()
    wired.receive(b"1\r\nb\r\n")
    assert len(path.offered) == 2, "the one that it has stays"


@pytest.mark.parametrize("begun", [b"", b"1\r\na", b"1\r\na\r\n2\r\n", b"1\r\na\r\n0\r\n\r\n"])
def test_a_fast_path_that_opens_at_any_other_place_is_not_followed(begun: bytes) -> None:
    wired, path = Wired(), FastPath(b"1\r\nb\r\n")
    wired.receive(CHUNKED + begun)
    wired.user.fast_path = path
    wired.connection.follow_fast_path()
    wired.receive(b"1\r\nb\r\n")
    assert path.offered == []


def test_a_counted_body_is_not_offered() -> None:
    wired, path = Wired(), FastPath(b"1\r\nb\r\n")
    wired.user.fast_path = path
    wired.receive(b"HTTP/1.1 200 OK\r\ncontent-length: 12\r\n\r\n1\r\na\r\n")
    wired.receive(b"1\r\nb\r\n")
    assert (path.offered, wired.user.heard) == ([], [200, b"1\r\na\r\n", b"1\r\nb\r\n", ("answered", True)])


def test_after_abort_nothing_is_offered() -> None:
    wired, path = Wired(), FastPath()
    wired.user.fast_path = path
    wired.receive(CHUNKED + b"1\r\na\r\n")
    wired.connection.abort()
    wired.receive(b"1\r\nb\r\n")
    assert path.offered == []


def test_a_request_needs_a_connection() -> None:
    user = User()
    with pytest.raises(RuntimeError):
        Connection(ROUTE, ReceiveBuffer()).send((b"", b""), AnswerReader(user, peer="", provider=""), user)


def test_pause_and_resume_are_said_once() -> None:
    wired = Wired()
    for call in ("pause_reading", "pause_reading", "resume_reading", "resume_reading"):
        getattr(wired.connection, call)()
    assert wired.transport.calls[1:] == ["pause", "resume"]


def test_an_answer_that_is_whole_while_paused_leaves_the_connection_reading() -> None:
    wired = Wired()
    wired.connection.pause_reading()
    wired.receive(HELLO)
    assert wired.transport.calls[1:] == ["pause", "resume"]
