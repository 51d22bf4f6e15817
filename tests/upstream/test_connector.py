"""Calls against a real server on loopback, on both event loops."""

from __future__ import annotations

import asyncio
import gc
import socket
import time
from typing import Any

import pytest

from tests.upstream.loopback import (
    HELLO,
    OK,
    RELEASED_WITHIN_S,
    Peer,
    Recorder,
    answering,
    answering_once,
    ask,
    asking,
    connecting,
    full_backlog,
    hanging,
    on_both_loops,
    serving,
    start,
    unhandled,
    until,
    unused_port,
    within,
)
from thalweg.canon.errors import UpstreamBroke, UpstreamUnreachable
from thalweg.upstream.base import Credential, Origin, ResponseHead
from thalweg.upstream.connector import HttpCall, HttpConnector
from thalweg.upstream.http1 import AnswerReader

CHUNKED = OK + b"transfer-encoding: chunked\r\n\r\n"
WHOLE_SHAPE = ["connected", "head", "body", "ended"]

ANSWERS = {
    "content-length": HELLO,
    "chunked": CHUNKED + b'3;a="b"\r\nhel\r\n2\r\nlo\r\n0\r\nx-sum: 1\r\n\r\n',
    "until the close": OK + b"\r\nhello",
    "interim first": b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" + HELLO,
}


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS.keys())
@on_both_loops
async def test_an_answer_in_each_framing(answer: bytes) -> None:
    async with serving(answering_once(answer)) as upstream, connecting(upstream) as connector:
        heard = await ask(connector, upstream.origin)
        assert heard.shape == WHOLE_SHAPE
        assert heard.head is not None
        assert heard.head.status == 200
        assert heard.body == b"hello"


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS.keys())
@on_both_loops
async def test_an_answer_in_single_bytes(answer: bytes) -> None:
    async def serve(peer: Peer) -> None:
        await peer.request()
        peer.writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in answer:
            await peer.send(bytes([byte]))
            await asyncio.sleep(0)
        peer.close()

    async with serving(serve) as upstream, connecting(upstream) as connector:
        heard = await ask(connector, upstream.origin)
        assert (heard.shape, heard.body) == (WHOLE_SHAPE, b"hello")


@on_both_loops
async def test_what_the_server_reads() -> None:
    async def serve(peer: Peer) -> None:
        received.append(await peer.request())
        await peer.send(HELLO)

    received: list[tuple[bytes, bytes]] = []
    async with serving(serve) as upstream, connecting(upstream) as connector:
        credential = Credential(upstream.origin, b"authorization", b"Bearer sk-1")
        await ask(connector, upstream.origin, body=b'{"a":1}', credential=credential)
        assert received == [
            (
                b"POST /v1/chat HTTP/1.1\r\nhost: 127.0.0.1:%d\r\ncontent-type: application/json\r\n"
                b"accept-encoding: identity\r\ncontent-length: 7\r\nauthorization: Bearer sk-1\r\n\r\n"
                % upstream.origin.port,
                b'{"a":1}',
            )
        ]


@on_both_loops
async def test_nothing_is_told_before_start_has_returned() -> None:
    async with serving(answering(HELLO)) as upstream, connecting(upstream) as connector:
        await ask(connector, upstream.origin)
        assert connector.idle_connections == 1
        call, heard = start(connector, upstream.origin)
        assert heard.events == []
        assert connector.idle_connections == 0, "the request is on its way all the same"
        call.abort()
        await asyncio.sleep(0)
        assert heard.events == []


@on_both_loops
async def test_connected_comes_before_a_head_that_is_very_fast() -> None:
    """The head may be read in the turn of the loop in which the request was written."""
    async with serving(answering(HELLO)) as upstream, connecting(upstream) as connector:
        await ask(connector, upstream.origin)
        call, heard = start(connector, upstream.origin)
        call.head_received(ResponseHead(200, ()))
        assert heard.events == ["connected", "head"]
        call.abort()
        await asyncio.sleep(0)
        assert heard.events == ["connected", "head"]


@on_both_loops
async def test_a_bad_request_is_refused_and_nothing_is_sent() -> None:
    async with serving(answering(HELLO)) as upstream, connecting(upstream) as connector:
        elsewhere = Credential(Origin("https", "api.test", 443), b"authorization", b"sk-secret")
        with pytest.raises(ValueError, match="bound to another origin"):
            start(connector, upstream.origin, credential=elsewhere)
        with pytest.raises(ValueError, match="header"):
            start(connector, upstream.origin, headers=((b"x\r\ny", b"z"),))
        assert connector.open_connections == 0
        assert upstream.accepted == 0


@on_both_loops
async def test_a_redirect_is_passed_on_and_not_followed() -> None:
    async def trap(peer: Peer) -> None:
        raise AssertionError("followed")

    async with serving(trap) as inner:
        answer = f"HTTP/1.1 307 Temporary\r\nlocation: {inner.origin}/\r\ncontent-length: 0\r\n\r\n".encode()
        async with serving(answering(answer)) as upstream, connecting(upstream) as connector:
            heard = await ask(connector, upstream.origin)
            assert heard.head is not None
            assert (heard.head.status, heard.shape) == (307, ["connected", "head", "ended"])
            assert inner.accepted == 0


# Long uploads.


@on_both_loops
async def test_a_long_upload_arrives_whole() -> None:
    async def serve(peer: Peer) -> None:
        _, body = await peer.request()
        sizes.append(len(body))
        await peer.send(HELLO)

    sizes: list[int] = []
    async with serving(serve) as upstream, connecting(upstream) as connector:
        heard = await ask(connector, upstream.origin, body=b"x" * 20_000_000)
        assert (heard.shape, sizes) == (WHOLE_SHAPE, [20_000_000])


@on_both_loops
async def test_an_early_answer_to_a_long_upload() -> None:
    """The upstream refuses after the head and reads nothing of the body."""

    async def serve(peer: Peer) -> None:
        await peer.reader.readuntil(b"\r\n\r\n")
        await peer.send(b"HTTP/1.1 413 Too Large\r\ncontent-length: 5\r\n\r\nlarge")
        await answered.wait()

    answered = asyncio.Event()
    async with serving(serve) as upstream, connecting(upstream) as connector:
        heard = await ask(connector, upstream.origin, body=b"x" * 20_000_000)
        answered.set()
        assert heard.head is not None
        assert (heard.head.status, heard.body, heard.shape) == (413, b"large", WHOLE_SHAPE)
        assert connector.idle_connections == 0, "the request is not yet out, so the connection is of no use"


# Reuse.


@on_both_loops
async def test_connections_are_used_again() -> None:
    async with serving(answering(*ANSWERS.values())) as upstream, connecting(upstream) as connector:
        for _ in range(2):
            assert (await ask(connector, upstream.origin)).body == b"hello"
            assert (connector.open_connections, connector.idle_connections) == (1, 1)
        assert upstream.accepted == 1


@on_both_loops
async def test_a_call_in_body_ended_gets_the_connection_just_given_back() -> None:
    async with serving(answering(HELLO)) as upstream, connecting(upstream) as connector:
        second = Recorder()

        def again(event: str, _: Any) -> None:
            if event == "ended":
                connector.start(asking(upstream.origin), second)

        connector.start(asking(upstream.origin), Recorder(again))
        await second.over()
        assert second.body == b"hello"
        assert upstream.accepted == 1


NOT_KEPT = {
    "connection: close": OK + b"connection: close\r\ncontent-length: 5\r\n\r\nhello",
    "HTTP/1.0": b"HTTP/1.0 200 OK\r\ncontent-length: 5\r\n\r\nhello",
    "a second answer behind it": HELLO + HELLO,
    "garbage behind it": HELLO + b"!",
}


@pytest.mark.parametrize("answer", NOT_KEPT.values(), ids=NOT_KEPT.keys())
@on_both_loops
async def test_a_connection_that_may_not_be_used_again_is_closed(answer: bytes) -> None:
    async with serving(answering(answer)) as upstream, connecting(upstream) as connector:
        assert (await ask(connector, upstream.origin)).body == b"hello"
        assert connector.idle_connections == 0
        await upstream.all_gone()
        assert (await ask(connector, upstream.origin)).body == b"hello"
        assert upstream.accepted == 2


@pytest.mark.parametrize("surprise", [b"", HELLO], ids=["end of file", "an answer nobody asked for"])
@on_both_loops
async def test_an_idle_connection_that_hears_anything_is_dropped(surprise: bytes) -> None:
    async def serve(peer: Peer) -> None:
        await peer.request()
        await peer.send(HELLO)
        await idle.wait()
        if surprise:
            await peer.send(surprise)
        else:
            peer.writer.write_eof()
        await peer.gone()

    idle = asyncio.Event()
    async with serving(serve) as upstream, connecting(upstream) as connector:
        await ask(connector, upstream.origin)
        assert connector.idle_connections == 1
        idle.set()
        await upstream.all_gone()
        assert (connector.open_connections, connector.idle_connections) == (0, 0)


@on_both_loops
async def test_idle_connections_are_closed_after_their_time() -> None:
    async with serving(answering(HELLO)) as upstream, connecting(upstream, keepalive_s=0.01) as connector:
        await ask(connector, upstream.origin)
        await upstream.all_gone()
        assert connector.open_connections == 0


# The one retry.


@on_both_loops
async def test_a_stale_connection_is_retried_on_a_fresh_one() -> None:
    """The upstream closes its side on the second request, as one does whose keep-alive time is up."""

    async def serve(peer: Peer) -> None:
        await peer.request()
        await peer.send(HELLO)
        if upstream.accepted == 1:
            await peer.reader.read(1)
            return
        await peer.gone()

    async with serving(serve) as upstream, connecting(upstream) as connector:
        await ask(connector, upstream.origin)
        heard = await ask(connector, upstream.origin)
        assert (heard.shape, heard.body) == (WHOLE_SHAPE, b"hello")
        assert upstream.accepted == 2


@on_both_loops
async def test_the_retry_is_one_only_and_never_on_another_old_connection() -> None:
    """Two connections are idle; both would die. The retry takes neither the second nor a third try."""

    async def serve(peer: Peer) -> None:
        requests.append((await peer.request())[0])
        if upstream.accepted > 2:
            return
        await both.wait()
        await peer.send(HELLO)
        requests.append((await peer.request())[0])

    both = asyncio.Event()
    requests: list[bytes] = []
    async with serving(serve) as upstream, connecting(upstream) as connector:
        first, second = start(connector, upstream.origin)[1], start(connector, upstream.origin)[1]
        await first.until("connected")
        await second.until("connected")
        both.set()
        await first.over()
        await second.over()
        assert connector.idle_connections == 2
        heard = await ask(connector, upstream.origin)
        assert heard.shape == ["connected", "failed"]
        assert isinstance(heard.error, UpstreamBroke)
        assert "closed the connection before it answered" in heard.error.message
        assert upstream.accepted == 3
        assert len([head for head in requests if head]) == 4
        assert connector.idle_connections == 1


@on_both_loops
async def test_a_retry_keeps_its_place_before_those_who_wait() -> None:
    async def serve(peer: Peer) -> None:
        while head := (await peer.request())[0]:
            if upstream.accepted == 1 and b"/second" in head:
                return
            order.append(head.split()[1])
            await peer.send(HELLO)

    order: list[bytes] = []
    async with (
        serving(serve) as upstream,
        connecting(upstream, max_connections_per_origin=1) as connector,
    ):
        await ask(connector, upstream.origin, target=b"/first")
        second = start(connector, upstream.origin, target=b"/second")[1]
        third = start(connector, upstream.origin, target=b"/third")[1]
        await second.over()
        await third.over()
        assert order == [b"/first", b"/second", b"/third"]
        assert second.body == third.body == b"hello"


@on_both_loops
async def test_an_old_connection_that_dies_after_the_first_byte_is_no_retry() -> None:
    async def serve(peer: Peer) -> None:
        await peer.request()
        await peer.send(HELLO)
        await peer.request()
        await peer.send(b"HTTP/1.1 200")

    async with serving(serve) as upstream, connecting(upstream) as connector:
        await ask(connector, upstream.origin)
        heard = await ask(connector, upstream.origin)
        assert heard.error is not None
        assert "broke off in the head" in heard.error.message
        assert upstream.accepted == 1


@pytest.mark.parametrize("end", ["close", "reset"])
@on_both_loops
async def test_a_fresh_connection_that_dies_is_a_failure(end: str) -> None:
    async def serve(peer: Peer) -> None:
        await peer.request()
        getattr(peer, end)()

    async with serving(serve) as upstream, connecting(upstream) as connector:
        heard = await ask(connector, upstream.origin)
        assert heard.shape == ["connected", "failed"]
        assert isinstance(heard.error, UpstreamBroke)
        assert heard.error.message == f"{upstream.origin} closed the connection before it answered"
        assert heard.error.provider == "test"
        assert upstream.accepted == 1


# Broken answers.


CUT = {
    "content-length": OK + b"content-length: 6\r\n\r\nhello",
    "chunked": CHUNKED + b"5\r\nhello\r\n",
    "inside a chunk": CHUNKED + b"9\r\nhello",
}


@pytest.mark.parametrize("answer", CUT.values(), ids=CUT.keys())
@on_both_loops
async def test_a_body_that_is_cut_is_a_failure(answer: bytes) -> None:
    async with serving(answering_once(answer)) as upstream, connecting(upstream) as connector:
        call, heard = start(connector, upstream.origin)
        await heard.over()
        assert heard.shape == ["connected", "head", "body", "failed"]
        assert heard.body == b"hello"
        assert isinstance(heard.error, UpstreamBroke)
        assert "broke off in the middle" in heard.error.message
        assert call.closed_at is not None


@on_both_loops
async def test_a_reset_is_no_end_of_a_body_that_ends_with_the_connection() -> None:
    async def serve(peer: Peer) -> None:
        await peer.request()
        await peer.send(OK + b"\r\nhello")
        await received.wait()
        linger = b"\1\0\0\0\0\0\0\0"
        peer.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        peer.reset()

    received = asyncio.Event()
    async with serving(serve) as upstream, connecting(upstream) as connector:
        _, heard = start(connector, upstream.origin)
        await heard.until("body")
        received.set()
        await heard.over()
        assert isinstance(heard.error, UpstreamBroke)
        assert isinstance(heard.error.__cause__, OSError)


BAD = {
    "gzip": (OK + b"content-encoding: gzip\r\ncontent-length: 2\r\n\r\n\x1f\x8b", "compressed", False),
    "oversized head": (OK + b"x: " + b"y" * 300_000, "more than 65536 bytes", False),
    "too many fields": (OK + b"x: y\r\n" * 200 + b"\r\n", "more than 128 fields", False),
    "bad chunk": (CHUNKED + b"5\r\nhello\r\nxyz\r\n", "broke HTTP", True),
    "switching protocols": (b"HTTP/1.1 101 Switching\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n", "101", False),
    "not HTTP": (b"220 mail.test ESMTP\r\n", "broke HTTP", False),
}


@pytest.mark.parametrize(("answer", "words", "headed"), BAD.values(), ids=BAD.keys())
@on_both_loops
async def test_a_bad_answer_is_a_failure_and_the_connection_is_closed(answer: bytes, words: str, headed: bool) -> None:
    async with serving(answering(answer)) as upstream, connecting(upstream) as connector:
        heard = await ask(connector, upstream.origin)
        assert heard.shape == (["connected", "head", "body", "failed"] if headed else ["connected", "failed"])
        assert isinstance(heard.error, UpstreamBroke)
        assert words in heard.error.message
        await upstream.all_gone()
        assert connector.open_connections == 0


# The bound on connections.


@on_both_loops
async def test_calls_beyond_the_bound_wait_in_order() -> None:
    async def serve(peer: Peer) -> None:
        while head := (await peer.request())[0]:
            order.append(head.split()[1])
            await peer.send(HELLO)

    order: list[bytes] = []
    async with (
        serving(serve) as upstream,
        connecting(upstream, max_connections_per_origin=1) as connector,
    ):
        calls = [start(connector, upstream.origin, target=b"/%d" % number) for number in range(5)]
        assert (connector.open_connections, connector.waiting) == (1, 4)
        calls[2][0].abort()
        assert connector.waiting == 3
        for number in (0, 1, 3, 4):
            await calls[number][1].over()
        assert calls[2][1].events == []
        assert order == [b"/0", b"/1", b"/3", b"/4"]
        assert upstream.accepted == 1


@on_both_loops
async def test_no_more_connections_are_opened_than_allowed() -> None:
    async with (
        serving(answering(HELLO)) as upstream,
        connecting(upstream, max_connections_per_origin=2) as connector,
    ):
        calls = [start(connector, upstream.origin) for _ in range(20)]
        assert (connector.open_connections, connector.waiting) == (2, 18)
        for _, heard in calls:
            await heard.over()
            assert heard.body == b"hello"
        assert upstream.accepted == 2


@on_both_loops
async def test_a_place_is_free_again_after_abort_and_after_a_refused_connection() -> None:
    async with (
        serving(hanging) as upstream,
        connecting(upstream, max_connections_per_origin=1) as connector,
    ):
        first, _ = start(connector, upstream.origin)
        _, second = start(connector, upstream.origin)
        first.abort()
        await second.until("connected")
        refused = [start(connector, Origin("http", "127.0.0.1", unused_port()))[1] for _ in range(3)]
        for heard in refused:
            await heard.over()
            assert isinstance(heard.error, UpstreamUnreachable)
        assert connector.waiting == 0


# Abort, in each phase.


@on_both_loops
async def test_abort_while_waiting_for_a_place() -> None:
    async with (
        serving(hanging) as upstream,
        connecting(upstream, max_connections_per_origin=1) as connector,
    ):
        _, first = start(connector, upstream.origin)
        await first.until("connected")
        call, heard = start(connector, upstream.origin)
        call.abort()
        assert call.closed_at is not None
        assert connector.waiting == 0
        call.abort()
        assert heard.events == []


@on_both_loops
async def test_abort_while_connecting() -> None:
    with full_backlog() as origin:
        async with connecting() as connector:
            call, heard = start(connector, origin)
            await asyncio.sleep(0)
            assert connector.open_connections == 1
            call.abort()
            assert call.closed_at is not None
            await within(until(lambda: connector.open_connections == 0), RELEASED_WITHIN_S)
            assert heard.events == []


@on_both_loops
async def test_abort_in_the_turn_in_which_the_connection_opens() -> None:
    """The task that connects is done, and the call has not heard of it yet."""
    async with serving(hanging) as upstream, connecting(upstream) as connector:
        call, heard = start(connector, upstream.origin)
        dialling = call._connecting
        assert dialling is not None
        await until(dialling.done)
        assert call._connection is None
        call.abort()
        await upstream.all_gone()
        await within(until(lambda: connector.open_connections == 0))
        assert heard.events == []


async def quiet_then_gone(peer: Peer, begin: bytes, gone: asyncio.Future[float]) -> None:
    await peer.request()
    await peer.send(begin)
    gone.set_result(await peer.gone())


@pytest.mark.parametrize(
    ("begin", "phase"),
    [(b"", "connected"), (CHUNKED, "head"), (CHUNKED + b"5\r\nhello\r\n", "body"), (OK + b"\r\nhello", "body")],
    ids=["waiting for the head", "after the head", "streaming", "streaming until the close"],
)
@on_both_loops
async def test_abort_is_seen_by_the_upstream_at_once(begin: bytes, phase: str) -> None:
    gone: asyncio.Future[float] = asyncio.get_running_loop().create_future()
    async with (
        serving(lambda peer: quiet_then_gone(peer, begin, gone)) as upstream,
        connecting(upstream) as connector,
    ):
        call, heard = start(connector, upstream.origin)
        await heard.until(phase)
        call.abort()
        assert call.closed_at is not None
        closed_at, events = call.closed_at, list(heard.events)
        assert await within(gone) - closed_at < RELEASED_WITHIN_S
        call.abort()
        call.release()
        assert (call.closed_at, heard.events) == (closed_at, events)
        await within(until(lambda: connector.open_connections == 0))


@on_both_loops
async def test_a_connection_is_lost_when_it_is_seen_to_be_gone_and_not_when_it_is_told_to_go() -> None:
    gone: asyncio.Future[float] = asyncio.get_running_loop().create_future()
    async with (
        serving(lambda peer: quiet_then_gone(peer, CHUNKED, gone)) as upstream,
        connecting(upstream) as connector,
    ):
        call, heard = start(connector, upstream.origin)
        await heard.until("head")
        assert (call.closed_at, call.lost_at) == (None, None)
        call.abort()
        assert call.closed_at is not None
        assert call.lost_at is None, "its transport is still there"
        lost: asyncio.Future[float | None] = asyncio.get_running_loop().create_future()
        call.when_lost(lambda: lost.set_result(call.lost_at))
        seen = await within(lost)
        assert seen is not None
        assert call.closed_at < seen < call.closed_at + RELEASED_WITHIN_S
        told: list[str] = []
        call.when_lost(lambda: told.append("at once"))
        assert told == ["at once"]
        assert await within(gone) < seen + RELEASED_WITHIN_S


@pytest.mark.parametrize("phase", ["connecting", "given back"])
@on_both_loops
async def test_where_no_connection_is_closed_it_is_lost_at_once(phase: str) -> None:
    async with serving(answering(HELLO)) as upstream, connecting(upstream) as connector:
        call, heard = start(connector, upstream.origin)
        if phase == "given back":
            await heard.over()
        call.abort()
        assert call.lost_at == call.closed_at is not None


@on_both_loops
async def test_abort_while_the_upstream_floods_and_reading_is_paused() -> None:
    gone: asyncio.Future[float] = asyncio.get_running_loop().create_future()
    async with (
        serving(lambda peer: flood(peer, gone)) as upstream,
        connecting(upstream) as connector,
    ):
        call, heard = start(connector, upstream.origin)
        await heard.until("body")
        call.pause_reading()
        call.abort()
        assert call.closed_at is not None
        assert await within(gone) - call.closed_at < RELEASED_WITHIN_S


@pytest.mark.parametrize("moment", ["connected", "head", "body", "ended"])
@pytest.mark.parametrize("stop", ["abort", "release"])
@on_both_loops
async def test_nothing_is_told_after_a_stop_from_inside_a_callback(moment: str, stop: str) -> None:
    """Many chunks come in one read; the listener stops at the first."""
    answer = CHUNKED + b"1\r\nx\r\n" * 500 + b"0\r\n\r\n"
    async with serving(answering(answer)) as upstream, connecting(upstream) as connector:

        def act(event: str, _: Any) -> None:
            if event == moment:
                getattr(call, stop)()

        heard = Recorder(act)
        call = connector.start(asking(upstream.origin), heard)
        await heard.until(moment)
        await within(until(lambda: call.closed_at is not None))
        assert heard.events.count(moment) == 1
        assert heard.events[-1] == moment
        assert (await ask(connector, upstream.origin)).shape == WHOLE_SHAPE


# Release.


@on_both_loops
async def test_release_after_the_end_changes_nothing() -> None:
    async with serving(answering(HELLO)) as upstream, connecting(upstream) as connector:
        call, heard = start(connector, upstream.origin)
        await heard.over()
        closed_at = call.closed_at
        assert closed_at is not None
        call.release()
        call.abort()
        assert call.closed_at == closed_at
        assert connector.idle_connections == 1


@on_both_loops
async def test_release_of_a_body_that_soon_ends_keeps_the_connection() -> None:
    async def serve(peer: Peer) -> None:
        while (await peer.request())[0]:
            await peer.send(CHUNKED + b"5\r\nhello\r\n")
            await released.wait()
            await peer.send(b"400\r\n" + b"x" * 1024 + b"\r\n0\r\n\r\n")

    released = asyncio.Event()
    async with serving(serve) as upstream, connecting(upstream) as connector:
        call, heard = start(connector, upstream.origin)
        await heard.until("body")
        call.pause_reading()
        call.release()
        call.pause_reading()
        assert call.closed_at is None
        released.set()
        await within(until(lambda: call.closed_at is not None))
        assert heard.events == ["connected", "head", "body"]
        assert connector.idle_connections == 1
        assert (await ask(connector, upstream.origin)).body == b"hello" + b"x" * 1024
        assert upstream.accepted == 1


@pytest.mark.parametrize("endless", [True, False], ids=["endless", "silent"])
@on_both_loops
async def test_release_of_a_body_that_does_not_end_closes_the_connection(endless: bool) -> None:
    async def serve(peer: Peer) -> None:
        if endless:
            await flood(peer, gone)
        else:
            await quiet_then_gone(peer, CHUNKED + b"5\r\nhello\r\n", gone)

    gone: asyncio.Future[float] = asyncio.get_running_loop().create_future()
    async with serving(serve) as upstream, connecting(upstream) as connector:
        call, heard = start(connector, upstream.origin)
        await heard.until("body")
        call.release()
        events, released_at = list(heard.events), time.monotonic()
        await within(gone)
        assert call.closed_at is not None
        assert (call.closed_at - released_at < 0.9) is endless
        assert heard.events == events
        await within(until(lambda: connector.open_connections == 0))


@pytest.mark.parametrize("begin", [b"", OK + b"\r\nhello"], ids=["before the head", "until the close"])
@on_both_loops
async def test_release_of_what_cannot_be_kept_closes_at_once(begin: bytes) -> None:
    gone: asyncio.Future[float] = asyncio.get_running_loop().create_future()
    async with (
        serving(lambda peer: quiet_then_gone(peer, begin, gone)) as upstream,
        connecting(upstream) as connector,
    ):
        call, heard = start(connector, upstream.origin)
        await heard.until("body" if begin else "connected")
        call.release()
        assert call.closed_at is not None
        await within(gone)


# Back-pressure.


@on_both_loops
async def test_pause_stops_the_upstream_and_resume_lets_it_go_on() -> None:
    async def serve(peer: Peer) -> None:
        await peer.request()
        peer.writer.transport.set_write_buffer_limits(high=0)
        await peer.send(OK + b"content-length: %d\r\n\r\n" % total)
        for _ in range(total // piece):
            writing = asyncio.ensure_future(peer.send(b"x" * piece))
            done, _ = await asyncio.wait([writing], timeout=0.3)
            if not done:
                blocked.set()
            await writing

    total, piece = 64 * 1024 * 1024, 1024 * 1024
    blocked = asyncio.Event()
    async with serving(serve) as upstream, connecting(upstream) as connector:
        call, heard = start(connector, upstream.origin)
        await heard.until("body")
        call.pause_reading()
        call.pause_reading()
        await within(blocked.wait())
        held = len(heard.body)
        await asyncio.sleep(0)
        assert len(heard.body) == held < total
        call.resume_reading()
        call.resume_reading()
        await heard.over()
        assert len(heard.body) == total
        assert max(map(len, heard.pieces)) <= 64 * 1024


@on_both_loops
async def test_a_pause_before_there_is_a_connection_holds_the_answer_back() -> None:
    async with serving(answering(HELLO)) as upstream, connecting(upstream) as connector:
        for _ in range(2):
            call, heard = start(connector, upstream.origin)
            call.pause_reading()
            await heard.until("connected")
            _, other = start(connector, upstream.origin)
            await other.over()
            assert heard.events == ["connected"]
            call.resume_reading()
            await heard.over()
            assert heard.body == b"hello"


@on_both_loops
async def test_a_connection_given_back_by_a_paused_call_reads_for_the_next() -> None:
    async with serving(answering(HELLO)) as upstream, connecting(upstream) as connector:
        call = connector.start(
            asking(upstream.origin),
            heard := Recorder(lambda event, _: call.pause_reading() if event == "body" else None),
        )
        await heard.over()
        assert (await ask(connector, upstream.origin)).body == b"hello"
        assert upstream.accepted == 1


# Listeners with bugs, and the end.


class Bug(Exception):
    """Raised by a listener."""


@pytest.mark.parametrize("moment", ["connected", "head", "body", "ended"])
@on_both_loops
async def test_a_listener_that_raises_closes_its_connection_and_is_reported(moment: str) -> None:
    def raise_at(event: str, _: Any) -> None:
        if event == moment:
            raise Bug

    async with serving(answering(HELLO)) as upstream, connecting(upstream) as connector:
        heard = Recorder(raise_at)
        call = connector.start(asking(upstream.origin), heard)
        await heard.until(moment)
        await upstream.all_gone()
        await within(until(lambda: connector.open_connections == 0))
        assert heard.events[-1] == moment
        assert call.closed_at is not None
    assert [type(context["exception"]) for context in unhandled] == [Bug]
    unhandled.clear()


@on_both_loops
async def test_a_listener_that_raises_on_failure_is_reported() -> None:
    def raise_at(event: str, _: Any) -> None:
        if event == "failed":
            raise Bug

    async with serving(answering_once(b"")) as upstream, connecting(upstream) as connector:
        heard = Recorder(raise_at)
        connector.start(asking(upstream.origin), heard)
        refused = Recorder(raise_at)
        connector.start(asking(Origin("http", "127.0.0.1", unused_port())), refused)
        await heard.over()
        await refused.over()
        await within(until(lambda: connector.open_connections == 0))
    assert [type(context["exception"]) for context in unhandled] == [Bug, Bug]
    unhandled.clear()


@on_both_loops
async def test_close_fails_what_is_under_way_in_each_phase() -> None:
    with full_backlog() as nowhere:
        async with serving(hanging) as upstream:
            connector = HttpConnector(max_connections_per_origin=1)
            calls = [start(connector, origin) for origin in (upstream.origin, upstream.origin, nowhere)]
            await calls[0][1].until("connected")
            assert (connector.open_connections, connector.waiting) == (2, 1)
            await within(connector.close())
            calls.append(start(connector, upstream.origin))
            for call, heard in calls:
                await heard.over()
                assert heard.events[-1] == "failed"
                assert isinstance(heard.error, UpstreamBroke)
                assert "closing" in heard.error.message
                assert call.closed_at is not None
            assert (connector.open_connections, connector.idle_connections, connector.waiting) == (0, 0, 0)
            await upstream.all_gone()
            await within(connector.close())


@on_both_loops
async def test_many_calls_leave_nothing_behind() -> None:
    """Whole, cut, aborted and released ones, all at once: what is open in the end is idle, and bounded."""

    async def serve(peer: Peer) -> None:
        while head := (await peer.request())[0]:
            await peer.send(CHUNKED + b"5\r\nhello\r\n")
            if b"/cut" in head:
                return
            await peer.send(b"5\r\nworld\r\n0\r\n\r\n")

    async with (
        serving(serve) as upstream,
        connecting(upstream, max_connections_per_origin=16, max_idle_per_origin=4) as connector,
    ):
        targets = [b"/whole", b"/cut", b"/abort", b"/release"] * 50
        calls = [start(connector, upstream.origin, target=target) for target in targets]
        for target, (call, heard) in zip(targets, calls, strict=True):
            await heard.until("body")
            if target in {b"/abort", b"/release"}:
                getattr(call, target[1:].decode())()
        await within(until(lambda: all(call.closed_at is not None for call, _ in calls)))
        await within(until(lambda: connector.open_connections == connector.idle_connections <= 4))
        assert connector.waiting == 0
        assert upstream.accepted <= 200


@on_both_loops
async def test_a_finished_call_is_no_work_for_the_collector() -> None:
    """Nothing of a call is left in a reference cycle, so that thousands of streams make no long pauses."""
    async with serving(answering(HELLO)) as upstream, connecting(upstream) as connector:
        await ask(connector, upstream.origin)
        gc.collect()
        gc.set_debug(gc.DEBUG_SAVEALL)
        try:
            await ask(connector, upstream.origin)
            gc.collect()
            left = [type(thing).__name__ for thing in gc.garbage if isinstance(thing, (HttpCall, AnswerReader))]
        finally:
            gc.set_debug(0)
            gc.garbage.clear()
        assert left == []


async def flood(peer: Peer, gone: asyncio.Future[float]) -> None:
    """Answer without end, until the client is gone."""
    await peer.request()
    try:
        await peer.send(CHUNKED)
        while True:
            await peer.send(b"1000\r\n" + b"x" * 4096 + b"\r\n")
    except ConnectionError:
        gone.set_result(time.monotonic())
