"""The simulator's HTTP face, behind `thalweg simulate`: a small server with its hand on the socket, so that a reset is
a reset and a cut body is cut. In the gateway itself the simulator is played without it (`Play`).

It speaks HTTP/1.1, writes every body chunked and one write for each step, and stops an answer as soon as its client is
gone. It is no server for strangers: it has no timeouts, and takes any key, but for those that a manner refuses.
"""

from __future__ import annotations

import asyncio
import fcntl
import itertools
import socket
import struct
import sys
import termios
import time
from collections import deque
from collections.abc import Iterable, Iterator
from http import HTTPStatus
from pathlib import Path
from typing import NamedTuple, cast

import httptools

from thalweg.canon.script import BreakOff, EndBody, RefuseConnection, SendBody, SendHead, Step
from thalweg.config import Settings
from thalweg.dialects.registry import DIALECTS
from thalweg.recorder.scenarios import ScenarioShelf
from thalweg.server.replay import REPLAY, Replays
from thalweg.simulator.faults.elsewhere import has_meaning
from thalweg.simulator.faults.table import FAULTS
from thalweg.simulator.manners.table import MANNERS
from thalweg.simulator.provider import Simulator
from thalweg.simulator.words import CHINESE, ENGLISH
from thalweg.upstream.base import UpstreamRequest
from thalweg.upstream.played import PlayedConnector, Player

MAX_BODY_BYTES = 64 * 1024 * 1024
_HEARD = frozenset({b"authorization", b"anthropic-version", b"x-goog-api-key", b"x-dashscope-sse"})
"""Headers of a request that mean something here. Keys are taken in any that carries them."""
_MAX_WAITING = 16
"""Requests that a client may send ahead of their answers."""
_KEPT_CLOSES = 10_000
_FLUSH_S = 0.005
_FLUSH_MOST_S = 1.0
"""How often, and for how long, a connection that is to be reset is looked at until its bytes have arrived."""


class Play:
    """Answers requests from the simulator; each gets the next seed, from 0. Fits `PlayedConnector`.

    `scenarios` is a folder; those in it are models, too.
    """

    def __init__(
        self, simulator: Simulator | None = None, *, manner: str | None = None, scenarios: Path | None = None
    ) -> None:
        self._manner = None if manner is None else MANNERS[manner]
        told = {} if scenarios is None else ScenarioShelf(scenarios)
        self._simulator = simulator or Simulator(DIALECTS, self._manner, scenarios=told)
        self._seeds = itertools.count()

    @property
    def base_path(self) -> str:
        """Where the API lies."""
        return "/v1" if self._manner is None else self._manner.base_paths[0]

    @property
    def title(self) -> str:
        """The provider whose manner it has; empty where it has its own."""
        return "" if self._manner is None else self._manner.title

    def __call__(self, request: UpstreamRequest) -> Iterator[Step]:
        """The steps of the answer to a request that never leaves the process."""
        return self.respond(request.method, request.target, request.body, request.headers)

    def refuse_key(self, authorization: bytes | None) -> Iterator[Step] | None:
        """The steps of the answer to a key that is missing or wrong; `None` where the request may be answered."""
        return self._simulator.refuse_key(authorization, seed=0)

    def respond(
        self, method: bytes, target: bytes, body: bytes, headers: Iterable[tuple[bytes, bytes]] = ()
    ) -> Iterator[Step]:
        """The steps of the answer to any HTTP request. Names of headers are lower case."""
        seed, created = next(self._seeds), int(time.time())
        return self._simulator.respond(method, target, body, seed=seed, created=created, headers=headers)


OWN_WORDS = (
    f"{' '.join(closing.encode('ascii', 'ignore').decode().strip() for closing in ENGLISH.closings)} ",
    "".join(char for closing in CHINESE.closings for char in closing if ord(char) <= 0xFFFF),
)
"""What the simulator says when it has nothing to say: in ASCII, and in Chinese."""


def in_process(settings: Settings) -> PlayedConnector:
    """The upstream of this process that asks nobody: the simulator, and recordings."""
    simulator, replays = Play(scenarios=settings.replay_folder), Replays(settings)
    return PlayedConnector(lambda request: (replays if request.provider == REPLAY else simulator)(request))


def manner_names() -> tuple[str, ...]:
    """The providers whose manner the simulator can take on."""
    return tuple(MANNERS)


def faults_of(dialect: str | None = None) -> dict[str, str]:
    """The faults that can be asked for in a dialect, or in any, and what each does."""
    return {name: says for name, says in FAULTS.items() if dialect is None or has_meaning(name, dialect)}


class SimulatorServer:
    """A listening simulator and what it has seen. Made by `serve_simulator`."""

    def __init__(self, play: Play) -> None:
        self.play = play
        self.requests_seen = 0
        """Requests that came in whole."""
        self.bytes_sent = 0
        """Bytes handed to the sockets, heads and chunk sizes included."""
        self.closes_seen: deque[float] = deque(maxlen=_KEPT_CLOSES)
        """`time.monotonic()` of each close that came from a client in the middle of an answer, the last ones."""
        self._connections: set[_Connection] = set()
        self._server: asyncio.Server | None = None

    @property
    def open_connections(self) -> int:
        """Connections that are open now, with or without an answer under way."""
        return len(self._connections)

    @property
    def open_answers(self) -> int:
        """Answers under way, stalled ones included."""
        return sum(connection.answering for connection in self._connections)

    @property
    def port(self) -> int:
        """The port it listens on."""
        assert self._server is not None, "made by serve_simulator"
        return int(self._server.sockets[0].getsockname()[1])

    async def listen(self, host: str, port: int) -> None:
        """Begin to listen. Raises `OSError` when the address cannot be had."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Connection(self, self._connections), host, port)

    async def close(self) -> None:
        """Stop listening and drop every connection."""
        if self._server is None:
            return
        self._server.close()
        for connection in tuple(self._connections):
            connection.drop()
        await self._server.wait_closed()


async def serve_simulator(host: str = "127.0.0.1", port: int = 0, *, play: Play | None = None) -> SimulatorServer:
    """A server that listens; port 0 takes a free one. Raises `OSError` when the address cannot be had."""
    server = SimulatorServer(play or Play())
    await server.listen(host, port)
    return server


class _Asked(NamedTuple):
    """A request that came in whole."""

    method: bytes
    target: bytes
    body: bytes
    headers: tuple[tuple[bytes, bytes], ...]
    """Those that say something about the answer, with names in small letters."""
    keep_alive: bool

    @property
    def authorization(self) -> bytes | None:
        """That header's value."""
        return dict(self.headers).get(b"authorization")


class _Connection(asyncio.Protocol):
    """One client's connection, and the stage of its answers. One request is answered after the other."""

    def __init__(self, server: SimulatorServer, among: set[_Connection]) -> None:
        # For the connection.
        self._server = server
        self._among = among
        self._transport: asyncio.Transport | None = None
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpRequestParser(self)
        self._writable = True
        self._over = False
        self._asked: deque[_Asked] = deque()
        """Requests that wait for the answer before theirs."""
        # For the request that is being read.
        self._target = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._body: list[bytes] = []
        self._body_bytes = 0
        # For the request that is being answered.
        self._player: Player | None = None
        self._keep = True

    @property
    def answering(self) -> bool:
        """Whether an answer is under way."""
        return self._player is not None

    def drop(self) -> None:
        """Close at once, with what is unsent."""
        if self._transport is not None:
            self._transport.abort()

    # What the loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclass of asyncio's.
        self._transport = cast(asyncio.Transport, transport)
        self._among.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._among.discard(self)
        if self._player is not None:
            self._player.stop()
            self._player = None
            self._server.closes_seen.append(time.monotonic())

    def eof_received(self) -> bool:
        """A client that will not write any more is gone: the transport is closed."""
        return False

    def pause_writing(self) -> None:
        self._writable = False
        if self._player is not None:
            self._player.pause()

    def resume_writing(self) -> None:
        self._writable = True
        if self._player is not None:
            self._player.resume()

    def data_received(self, data: bytes) -> None:
        if self._over:
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self.drop()

    # What the parser calls.

    def on_message_begin(self) -> None:
        self._target, self._headers, self._body, self._body_bytes = b"", [], [], 0

    def on_url(self, url: bytes) -> None:
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        if name == b"expect" and value.lower() == b"100-continue":
            self._write(b"HTTP/1.1 100 Continue\r\n\r\n")
        elif name in _HEARD:
            self._headers.append((name, value))

    def on_body(self, data: bytes) -> None:
        self._body.append(data)
        self._body_bytes += len(data)
        if self._body_bytes > MAX_BODY_BYTES:
            self.drop()

    def on_message_complete(self) -> None:
        self._server.requests_seen += 1
        method, keep = self._parser.get_method(), self._parser.should_keep_alive()
        self._asked.append(_Asked(method, self._target, b"".join(self._body), tuple(self._headers), keep))
        if len(self._asked) > _MAX_WAITING:
            self.drop()
        elif self._player is None:
            self._begin()

    def _begin(self) -> None:
        """Answer the request that has waited longest."""
        asked = self._asked.popleft()
        self._keep = asked.keep_alive
        self._player = Player(lambda: self._answer(asked), self)
        if not self._writable:
            self._player.pause()

    def _answer(self, asked: _Asked) -> Iterator[Step]:
        play = self._server.play
        refused = play.refuse_key(asked.authorization)
        return refused or play.respond(asked.method, asked.target, asked.body, asked.headers)

    # What the player calls.

    def connect(self) -> None:
        """Nothing is to be done: the client has been connected for long."""

    def send_head(self, step: SendHead) -> None:
        lines = [b"HTTP/1.1 %d %s" % (step.status, _reason(step.status))]
        lines += [name + b": " + value for name, value in step.headers]
        lines += [b"transfer-encoding: chunked", b"connection: keep-alive" if self._keep else b"connection: close"]
        self._write(b"\r\n".join(lines) + b"\r\n\r\n")

    def send_body(self, step: SendBody) -> None:
        self._write(b"%x\r\n%b\r\n" % (len(step.data), step.data))

    def end_body(self, _: EndBody) -> None:
        self._write(b"0\r\n\r\n")
        self._player = None
        if not self._keep:
            self._close()
        elif self._asked:
            self._begin()

    def break_off(self, step: BreakOff) -> None:
        self._end()
        if step.reset:
            self._reset_later(self._loop.time() + _FLUSH_MOST_S)
        else:
            self._close()

    def refuse_connection(self, _: RefuseConnection) -> None:
        self._end()
        self._reset()

    def play_failed(self) -> None:
        """The connection is reset by `abort`, which follows."""

    def abort(self) -> None:
        self._end()
        self._reset()

    def _end(self) -> None:
        """Answer nothing more: whatever closes the connection from now on is not the client."""
        if self._player is not None:
            self._player.stop()
        self._player = None
        self._over = True

    def _write(self, data: bytes) -> None:
        if self._transport is not None:
            self._server.bytes_sent += len(data)
            self._transport.write(data)

    def _close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def _reset_later(self, latest: float) -> None:
        """Reset when all bytes have arrived, since a reset throws away those on their way."""
        if self._transport is not None and _unsent_bytes(self._transport) and self._loop.time() < latest:
            self._loop.call_later(_FLUSH_S, self._reset_later, latest)
        else:
            self._reset()

    def _reset(self) -> None:
        """Close with RST: a socket that must not linger throws away what is unsent and says so."""
        if self._transport is None or self._transport.is_closing():
            return
        linger = struct.pack("ii", 1, 0)
        self._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self._transport.abort()


def _unsent_bytes(transport: asyncio.Transport) -> int:
    """Bytes that the client's machine has not confirmed, where the system tells (Linux, tcp(7), SIOCOUTQ)."""
    buffered = transport.get_write_buffer_size()
    if transport.is_closing():
        return 0
    try:
        queued = fcntl.ioctl(transport.get_extra_info("socket").fileno(), termios.TIOCOUTQ, bytes(4))
    except OSError:
        return buffered
    return buffered + int.from_bytes(queued, sys.byteorder)


def _reason(status: int) -> bytes:
    try:
        return HTTPStatus(status).phrase.encode()
    except ValueError:
        return b"Overloaded" if status == 529 else b"Unknown"
