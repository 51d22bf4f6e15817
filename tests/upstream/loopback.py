"""A small real server on loopback, and a listener that writes down what it hears. For tests of the connector."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import inspect
import socket
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any

import pytest
import trustme
import uvloop

from thalweg.canon.errors import GatewayError
from thalweg.upstream.base import Credential, Origin, ResponseHead, UpstreamRequest
from thalweg.upstream.connector import HttpCall, HttpConnector

PATIENCE_S = 10.0
"""How long a test waits for what must come. Nothing here takes long; a hang becomes a failure."""

RELEASED_WITHIN_S = 0.1
"""DESIGN section 2, law 4."""

OK = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n"
HELLO = OK + b"content-length: 5\r\n\r\nhello"


LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


def on_both_loops(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Runs a test on the plain event loop and on uvloop. What reaches the loop's exception handler fails it.

    A test that expects something there takes it out of `unhandled`.
    """

    def run(loop_factory: Callable[[], asyncio.AbstractEventLoop], **fixtures: Any) -> None:
        unhandled.clear()
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            runner.get_loop().set_exception_handler(lambda _, context: unhandled.append(context))
            runner.run(test(**fixtures))
        assert unhandled == []

    given = inspect.signature(test).parameters.values()
    added = inspect.Parameter("loop_factory", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    run.__signature__ = inspect.Signature([added, *given])  # type: ignore[attr-defined]  # what pytest reads
    run.__name__, run.__doc__, run.__module__ = test.__name__, test.__doc__, test.__module__
    run.pytestmark = getattr(test, "pytestmark", [])  # type: ignore[attr-defined]  # marks set below the decorator
    return pytest.mark.parametrize("loop_factory", LOOPS.values(), ids=LOOPS.keys())(run)


unhandled: list[dict[str, Any]] = []
"""What the running test's loop was told by nobody who could handle it."""


class Recorder:
    """A `base.Listener` that keeps all it hears, in order. `on_event` may act, or raise, in the middle of it."""

    fast_path = None

    def __init__(self, on_event: Callable[[str, Any], None] | None = None) -> None:
        self.events: list[str] = []
        self.head: ResponseHead | None = None
        self.pieces: list[bytes] = []
        self.error: GatewayError | None = None
        self._on_event = on_event
        self._changed = asyncio.Event()

    @property
    def body(self) -> bytes:
        return b"".join(self.pieces)

    @property
    def shape(self) -> list[str]:
        """The events, with any number of pieces of body as one."""
        return [event for at, event in enumerate(self.events) if event != "body" or self.events[at - 1] != "body"]

    def connected(self) -> None:
        self._heard("connected", None)

    def head_received(self, head: ResponseHead) -> None:
        self.head = head
        self._heard("head", head)

    def body_received(self, data: bytes) -> None:
        assert type(data) is bytes
        assert data, "an empty piece of body"
        self.pieces.append(data)
        self._heard("body", data)

    def body_ended(self) -> None:
        self._heard("ended", None)

    def call_failed(self, error: GatewayError) -> None:
        self.error = error
        self._heard("failed", error)

    async def until(self, *events: str) -> None:
        """Wait for one of the events."""
        await self.until_true(lambda: not set(events).isdisjoint(self.events))

    async def until_true(self, reached: Callable[[], bool]) -> None:
        """Wait until something is so; asked again after each event."""
        async with asyncio.timeout(PATIENCE_S):
            while not reached():
                self._changed.clear()
                await self._changed.wait()

    async def over(self) -> None:
        await self.until("ended", "failed")

    def _heard(self, event: str, value: Any) -> None:
        self.events.append(event)
        self._changed.set()
        if self._on_event is not None:
            self._on_event(event, value)


class Peer:
    """The server's end of one connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def request(self) -> tuple[bytes, bytes]:
        """The next request: its head, and its body by content-length. Empty when the client is gone."""
        try:
            head = await self.reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            return b"", b""
        return head, await self.reader.readexactly(content_length(head))

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def gone(self) -> float:
        """Read until the client is gone; the moment that was seen."""
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            while await self.reader.read(65536):
                pass
        return time.monotonic()

    def close(self) -> None:
        self.writer.close()

    def reset(self) -> None:
        self.writer.transport.abort()


Serve = Callable[[Peer], Awaitable[None]]


class Upstream:
    """A server whose connections are each served by a coroutine, and counted."""

    def __init__(self, serve: Serve) -> None:
        self._serve = serve
        self._tasks: set[asyncio.Task[None]] = set()
        self._quiet = asyncio.Event()
        self.accepted = 0
        self.open = 0
        self.origin = Origin("http", "127.0.0.1", 0)

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.accepted += 1
        self.open += 1
        self._quiet.clear()
        try:
            await self._serve(Peer(reader, writer))
        except ConnectionError:
            pass
        finally:
            writer.transport.abort()
            self.open -= 1
            if not self.open:
                self._quiet.set()

    async def all_gone(self) -> None:
        """Wait until every connection is closed: a client that leaks one is a failure."""
        async with asyncio.timeout(PATIENCE_S):
            while self.open:
                await self._quiet.wait()

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@contextlib.asynccontextmanager
async def serving(
    serve: Serve, *, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1", name: str | None = None
) -> AsyncIterator[Upstream]:
    """Run a server; its origin is called `name` where that differs from its address."""
    upstream = Upstream(serve)
    server = await asyncio.start_server(upstream.accept, host, 0, ssl=tls)
    port = server.sockets[0].getsockname()[1]
    upstream.origin = Origin("https" if tls else "http", name or host, port)
    try:
        yield upstream
    finally:
        server.close()
        await upstream.stop()
        await server.wait_closed()


@contextlib.asynccontextmanager
async def connecting(upstream: Upstream | None = None, **settings: Any) -> AsyncIterator[HttpConnector]:
    """A connector that is closed at the end, and must then have left nothing open on either side."""
    connector = HttpConnector(**settings)
    try:
        yield connector
    finally:
        await connector.close()
        assert (connector.open_connections, connector.idle_connections, connector.waiting) == (0, 0, 0)
        if upstream is not None:
            await upstream.all_gone()


def asking(
    origin: Origin,
    *,
    method: bytes = b"POST",
    target: bytes = b"/v1/chat",
    headers: tuple[tuple[bytes, bytes], ...] = ((b"content-type", b"application/json"),),
    body: bytes = b"{}",
    credential: Credential | None = None,
    connect_timeout_s: float = PATIENCE_S,
) -> UpstreamRequest:
    """A request with nothing remarkable in it but what is given."""
    return UpstreamRequest(
        origin=origin,
        method=method,
        target=target,
        headers=headers,
        body=body,
        credential=credential,
        connect_timeout_s=connect_timeout_s,
        provider="test",
        setting="TEST_BASE_URL",
    )


def start(connector: HttpConnector, origin: Origin, **fields: Any) -> tuple[HttpCall, Recorder]:
    recorder = Recorder()
    return connector.start(asking(origin, **fields), recorder), recorder


async def ask(connector: HttpConnector, origin: Origin, **fields: Any) -> Recorder:
    """A whole call, from start to end or failure."""
    _, recorder = start(connector, origin, **fields)
    await recorder.over()
    return recorder


def answering(*answers: bytes) -> Serve:
    """Serve requests with these answers in turn, the last one again and again, until the client goes."""

    async def serve(peer: Peer) -> None:
        left = list(answers)
        while (await peer.request())[0]:
            await peer.send(left.pop(0) if len(left) > 1 else left[0])

    return serve


def answering_once(answer: bytes) -> Serve:
    """Serve one request, then close."""

    async def serve(peer: Peer) -> None:
        await peer.request()
        await peer.send(answer)
        peer.close()
        await peer.writer.wait_closed()

    return serve


async def hanging(peer: Peer) -> None:
    """Read, and never answer."""
    await peer.gone()


def content_length(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line.partition(b":")[2])
    return 0


async def within(awaitable: Awaitable[Any], seconds: float = PATIENCE_S) -> Any:
    return await asyncio.wait_for(awaitable, seconds)


async def until(reached: Any) -> None:
    """Wait for what no event tells: turns of the loop, not time."""
    while not reached():
        await asyncio.sleep(0)


def unused_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


@contextlib.contextmanager
def full_backlog() -> Any:
    """An origin where a connection is neither accepted nor refused: its queue is full, and the kernel drops the SYN."""
    with contextlib.ExitStack() as open_sockets:
        listener = open_sockets.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            filler = open_sockets.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield Origin("http", "127.0.0.1", listener.getsockname()[1])


CA = trustme.CA()


def certified(ca: trustme.CA = CA, *names: str, expires: datetime.datetime | None = None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert(*(names or ("127.0.0.1",)), not_after=expires).configure_cert(context)
    context.set_alpn_protocols(["h2", "http/1.1"])
    return context
