"""Real TLS on loopback: who is believed and who is not, and that no byte is lost in the layer."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from tests.upstream.loopback import (
    CA,
    HELLO,
    OK,
    PATIENCE_S,
    RELEASED_WITHIN_S,
    Peer,
    Recorder,
    Upstream,
    answering,
    answering_once,
    ask,
    asking,
    certified,
    connecting,
    hanging,
    on_both_loops,
    serving,
    start,
    unhandled,
    within,
)
from thalweg.canon.errors import UpstreamBroke, UpstreamUnreachable
from thalweg.upstream.base import Credential, Origin
from thalweg.upstream.tls import client_context


def self_signed() -> ssl.SSLContext:
    return certified(trustme.CA())


def expired() -> ssl.SSLContext:
    return certified(CA, expires=datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC))


def for_another_host() -> ssl.SSLContext:
    return certified(CA, "other.test")


@on_both_loops
async def test_a_certified_origin_is_believed(ca_file: str) -> None:
    async with (
        serving(answering(HELLO), tls=certified()) as upstream,
        connecting(upstream, ca_file=ca_file) as connector,
    ):
        for _ in range(2):
            heard = await ask(connector, upstream.origin)
            assert (heard.shape, heard.body) == (["connected", "head", "body", "ended"], b"hello")
        assert upstream.accepted == 1


@on_both_loops
async def test_http_1_1_is_what_is_agreed_on(ca_file: str) -> None:
    async def serve(peer: Peer) -> None:
        tls = peer.writer.get_extra_info("ssl_object")
        agreed.append((tls.selected_alpn_protocol(), tls.version()))
        await answering(HELLO)(peer)

    agreed: list[tuple[str, str]] = []
    async with (
        serving(serve, tls=certified()) as upstream,
        connecting(upstream, ca_file=ca_file) as connector,
    ):
        await ask(connector, upstream.origin)
        assert agreed == [("http/1.1", "TLSv1.3")]


@pytest.mark.parametrize(
    ("context", "words"),
    [
        (for_another_host, "certificate is refused (IP address mismatch"),
        (expired, "certificate is refused (certificate has expired"),
        (self_signed, "certificate is refused (unable to get local issuer"),
    ],
)
@on_both_loops
async def test_an_origin_that_cannot_prove_itself_hears_nothing(
    context: Callable[[], ssl.SSLContext], words: str, ca_file: str
) -> None:
    async def serve(peer: Peer) -> None:
        received.append((await peer.request())[0])

    received: list[bytes] = []
    async with (
        serving(serve, tls=context()) as upstream,
        connecting(upstream, ca_file=ca_file) as connector,
    ):
        credential = Credential(upstream.origin, b"authorization", b"Bearer sk-secret")
        heard = await ask(connector, upstream.origin, credential=credential)
        assert heard.events == ["failed"]
        assert isinstance(heard.error, UpstreamUnreachable)
        assert str(upstream.origin) in heard.error.message
        assert words in heard.error.message
        assert isinstance(heard.error.__cause__, OSError)
        assert b"".join(received) == b""
    forget_handshake_failures()


@on_both_loops
async def test_the_system_does_not_know_our_authority() -> None:
    async with serving(hanging, tls=certified()) as upstream, connecting(upstream) as connector:
        heard = await ask(connector, upstream.origin)
        assert isinstance(heard.error, UpstreamUnreachable)
    forget_handshake_failures()


@on_both_loops
async def test_an_origin_that_speaks_no_tls(ca_file: str) -> None:
    async def serve(peer: Peer) -> None:
        await peer.reader.read(1)
        await peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with serving(serve) as upstream, connecting(upstream, ca_file=ca_file) as connector:
        heard = await ask(connector, Origin("https", "127.0.0.1", upstream.origin.port))
        assert isinstance(heard.error, UpstreamUnreachable)
        assert "TLS failed" in heard.error.message


@on_both_loops
async def test_abort_while_tls_is_shaking_hands(ca_file: str) -> None:
    async def serve(peer: Peer) -> None:
        await peer.reader.read(1)
        shaking.set()
        gone.set_result(await peer.gone())

    shaking = asyncio.Event()
    gone: asyncio.Future[float] = asyncio.get_running_loop().create_future()
    async with serving(serve) as upstream, connecting(upstream, ca_file=ca_file) as connector:
        call, heard = start(connector, Origin("https", "127.0.0.1", upstream.origin.port))
        await within(shaking.wait())
        call.abort()
        assert call.closed_at is not None
        assert await within(gone) - call.closed_at < RELEASED_WITHIN_S
        assert heard.events == []


@on_both_loops
async def test_abort_of_a_stream_is_seen_at_once(ca_file: str) -> None:
    async def serve(peer: Peer) -> None:
        await peer.request()
        await peer.send(OK + b"content-length: 10\r\n\r\nhello")
        gone.set_result(await peer.gone())

    gone: asyncio.Future[float] = asyncio.get_running_loop().create_future()
    async with (
        serving(serve, tls=certified()) as upstream,
        connecting(upstream, ca_file=ca_file) as connector,
    ):
        call, heard = start(connector, upstream.origin)
        await heard.until("body")
        call.abort()
        assert call.closed_at is not None
        assert call.lost_at is None
        lost = asyncio.Event()
        call.when_lost(lost.set)
        await within(lost.wait())
        assert call.lost_at is not None
        assert call.closed_at < call.lost_at < call.closed_at + RELEASED_WITHIN_S
        assert await within(gone) - call.closed_at < RELEASED_WITHIN_S


@on_both_loops
async def test_a_stale_connection_is_retried(ca_file: str) -> None:
    async def serve(peer: Peer) -> None:
        await peer.request()
        await peer.send(HELLO)
        if upstream.accepted == 1:
            await peer.reader.read(1)
            return
        await peer.gone()

    async with (
        serving(serve, tls=certified()) as upstream,
        connecting(upstream, ca_file=ca_file) as connector,
    ):
        await ask(connector, upstream.origin)
        assert (await ask(connector, upstream.origin)).body == b"hello"
        assert upstream.accepted == 2


@on_both_loops
async def test_a_body_that_ends_with_the_connection_ends_with_close_notify(ca_file: str) -> None:
    async with (
        serving(answering_once(OK + b"\r\nhello"), tls=certified()) as upstream,
        connecting(upstream, ca_file=ca_file) as connector,
    ):
        heard = await ask(connector, upstream.origin)
        assert (heard.shape, heard.body) == (["connected", "head", "body", "ended"], b"hello")


@contextlib.contextmanager
def closing_behind(answer: bytes, *, notice: bool) -> Iterator[Origin]:
    """A server that answers once and closes its side of TCP at once, with TLS's own notice of it or without.

    It is a thread: a loop's own server would wait for the client's notice first.
    """

    def serve() -> None:
        accepted, _ = listener.accept()
        with certified().wrap_socket(accepted, server_side=True) as sock:
            while not sock.recv(65536).endswith(b"{}"):
                pass
            sock.sendall(answer)
            if notice:
                sock.settimeout(0.01)
                with contextlib.suppress(OSError):
                    sock.unwrap()
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_WR)
            done.wait(PATIENCE_S)

    done = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield Origin("https", "127.0.0.1", listener.getsockname()[1])
        finally:
            done.set()
            thread.join(PATIENCE_S)


@pytest.mark.parametrize("pause_s", [None, 0, 0.05], ids=["no pause", "short pauses", "a long pause"])
@pytest.mark.parametrize("notice", [True, False], ids=["with notice", "without"])
@pytest.mark.parametrize("total", [200_000, 3_000_000])
@on_both_loops
async def test_no_byte_is_lost_when_the_upstream_closes_behind_its_answer(
    pause_s: float | None, notice: bool, total: int, ca_file: str
) -> None:
    """The layers below drop what is undelivered when they see the close; the connection must not let them see it."""

    def act(event: str, _: Any) -> None:
        if event == "body" and pause_s is not None and (pause_s == 0 or len(heard.pieces) == 1):
            call.pause_reading()
            asyncio.get_running_loop().call_later(pause_s, call.resume_reading)

    answer = OK + b"connection: close\r\ncontent-length: %d\r\n\r\n" % total + bytes(total)
    with closing_behind(answer, notice=notice) as origin:
        async with connecting(ca_file=ca_file) as connector:
            heard = Recorder(act)
            call = connector.start(asking(origin), heard)
            await heard.over()
            assert len(heard.body) == total
            assert heard.error is None
            assert max(map(len, heard.pieces)) <= 96 * 1024


@on_both_loops
async def test_a_cut_is_a_cut_in_tls_too(ca_file: str) -> None:
    answer = OK + b"content-length: 6\r\n\r\nhello"
    async with (
        serving(answering_once(answer), tls=certified()) as upstream,
        connecting(upstream, ca_file=ca_file) as connector,
    ):
        heard = await ask(connector, upstream.origin)
        assert isinstance(heard.error, UpstreamBroke)
        assert "in the middle" in heard.error.message


@contextlib.asynccontextmanager
async def trickling(upstream: Upstream) -> AsyncIterator[Origin]:
    """A wire in front of a server that passes one byte at a time towards the client."""

    async def serve(peer: Peer) -> None:
        reader, writer = await asyncio.open_connection(upstream.origin.host, upstream.origin.port)
        back = asyncio.ensure_future(_pass_on(reader, peer.writer, 1))
        await _pass_on(peer.reader, writer, 65536)
        writer.close()
        back.cancel()
        await asyncio.gather(back, return_exceptions=True)

    async with serving(serve) as wire:
        yield Origin("https", wire.origin.host, wire.origin.port)


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, size: int) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(size):
            writer.write(data)
            await writer.drain()
            await asyncio.sleep(0)


@on_both_loops
async def test_records_that_come_byte_by_byte(ca_file: str) -> None:
    """Parts of a record never fill anything up: reading goes on."""
    answer = OK + b"content-length: 3000\r\n\r\n" + bytes(3000)
    async with (
        serving(answering(answer), tls=certified()) as upstream,
        trickling(upstream) as origin,
        connecting(upstream, ca_file=ca_file) as connector,
    ):
        heard = await ask(connector, origin)
        assert heard.body == bytes(3000)


def test_verification_is_on_and_cannot_be_old() -> None:
    context = client_context()
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2


def test_a_file_without_certificates_is_found_at_once(tmp_path: Path) -> None:
    with pytest.raises(OSError):
        client_context(str(tmp_path / "absent.pem"))
    (tmp_path / "empty.pem").write_text("")
    with pytest.raises(OSError):
        client_context(str(tmp_path / "empty.pem"))


def forget_handshake_failures() -> None:
    """A server's own loop reports the handshakes that we broke off; that is its business."""
    unhandled[:] = [context for context in unhandled if not isinstance(context.get("exception"), OSError)]
