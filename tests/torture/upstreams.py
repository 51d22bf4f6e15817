"""Upstreams in this process: the simulator with a memory, and a server that says whatever bytes it is told to."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import socket
import struct
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from tests.torture.calls import Read, read_stream, read_whole
from thalweg.canon.script import SendBody, SendHead, Step
from thalweg.dialects.registry import DIALECTS
from thalweg.server.simulated import Play, SimulatorServer, serve_simulator
from thalweg.simulator.provider import Simulator


class Played:
    """One request as the simulator got it, and what it has handed to the socket so far."""

    def __init__(self, body: bytes) -> None:
        self.asked: dict[str, Any] = json.loads(body)
        self.status = 0
        self.sent_bytes = 0
        self.pieces: list[bytes] = []
        """Empty for endless answers, of which only the length is kept."""

    @property
    def model(self) -> str:
        return str(self.asked["model"])

    @property
    def stream(self) -> bytes:
        return b"".join(self.pieces)


class RememberingPlay(Play):
    """Keeps what it is asked, by the model's name: all requests of that name, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.played: dict[str, list[Played]] = {}

    def respond(self, method: bytes, target: bytes, body: bytes, headers: Any = ()) -> Iterator[Step]:
        played = Played(body)
        self.played.setdefault(played.model, []).append(played)
        return self._watched(super().respond(method, target, body, headers), played)

    def _watched(self, steps: Iterator[Step], played: Played) -> Iterator[Step]:
        keep = "endless" not in played.model
        for step in steps:
            if isinstance(step, SendHead):
                played.status = step.status
            elif isinstance(step, SendBody):
                played.sent_bytes += len(step.data)
                if keep:
                    played.pieces.append(step.data)
            yield step


class RememberedSimulator:
    """A simulator in this process, with its play."""

    def __init__(self, server: SimulatorServer, play: RememberingPlay) -> None:
        self.server = server
        self.play = play
        self.url = f"http://127.0.0.1:{server.port}/v1"

    def last(self, model: str) -> Played | None:
        return self.play.played.get(model, [None])[-1]


@contextlib.asynccontextmanager
async def simulator() -> AsyncIterator[RememberedSimulator]:
    """The simulator's HTTP face on this loop."""
    play = RememberingPlay()
    server = await serve_simulator(play=play)
    try:
        yield RememberedSimulator(server, play)
    finally:
        await server.close()


@cache
def _simulator() -> Simulator:
    return Simulator(DIALECTS)


def reference(asked: Mapping[str, Any], model: str) -> Read:
    """What the simulator would say to this request under another model's name: the same without its fault."""
    body = json.dumps({**asked, "model": model}, ensure_ascii=False).encode()
    steps = _simulator().answer("openai-chat", body, seed=0, created=0)
    sent = b"".join(step.data for step in steps if isinstance(step, SendBody))
    return read_stream(sent) if asked.get("stream") else read_whole(sent)


Script = Callable[["RawConnection"], Awaitable[None]]
_IN_PATH = re.compile(rb"/models/(?P<model>[^ :]+):(?P<verb>\w+)")


class RawConnection:
    """One connection of a raw upstream, after a whole request has come."""

    def __init__(self, writer: asyncio.StreamWriter, asked: dict[str, Any]) -> None:
        self.asked = asked
        self.keeps = False
        """Whether the connection is there for another request after this answer."""
        self._writer = writer

    async def send(self, data: bytes) -> None:
        """Send, and wait until the socket takes more."""
        self._writer.write(data)
        await self._writer.drain()
        # Or a script that never has to wait would hold up everybody else's.
        await asyncio.sleep(0)

    async def send_chunk(self, data: bytes) -> None:
        """Send a piece of a chunked body."""
        await self.send(b"%x\r\n%b\r\n" % (len(data), data))

    async def reset(self) -> None:
        """Close with RST, which throws away what is still on its way: so not before that has arrived."""
        await asyncio.sleep(0.05)
        sock = self._writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()

    async def stay(self) -> None:
        """Say nothing more until the gateway goes."""
        await asyncio.get_running_loop().create_future()


class RawUpstream:
    """Says the bytes of a script: which, the model's name says, up to its `?`; in the body, or in Gemini's path. Every
    script ends with a close, unless it keeps the connection.
    """

    def __init__(self, scripts: Mapping[str, Script]) -> None:
        self.url = ""
        self.closes_seen: list[float] = []
        """`time.monotonic()` of each close that came from the gateway while a script was running."""
        self.requests_seen: list[str] = []
        self.server: asyncio.Server | None = None
        self._scripts = scripts
        self._writers: set[asyncio.StreamWriter] = set()

    @property
    def open_connections(self) -> int:
        return len(self._writers)

    @property
    def port(self) -> int:
        assert self.server is not None
        return int(self.server.sockets[0].getsockname()[1])

    def stop_listening(self) -> None:
        """Whoever connects from now on is refused. Connections that are there stay."""
        assert self.server is not None
        self.server.close()

    def grow_deaf(self, stack: contextlib.ExitStack) -> None:
        """Listen on, but take nobody any more: a connection that is tried from now on never comes about (Linux)."""
        assert self.server is not None
        port, fd = self.port, self.server.sockets[0].fileno()
        asyncio.get_running_loop().remove_reader(fd)
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, one answer, or several where scripts keep it."""
        self._writers.add(writer)
        try:
            while await self._answer(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._writers.discard(writer)
            writer.transport.abort() if writer.is_closing() else writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Read a request and play its script; whether another may follow."""
        head = await reader.readuntil(b"\r\n\r\n")
        if b"\r\ncontent-length:" not in head.lower():
            # A look at what models there are, not a generation.
            writer.write(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n")
            return False
        length = next(int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
        asked = json.loads(await reader.readexactly(length))
        if found := _IN_PATH.search(head):
            asked |= {"model": found["model"].decode(), "stream": found["verb"] == b"streamGenerateContent"}
        self.requests_seen.append(asked["model"])
        connection = RawConnection(writer, asked)
        await self._play(connection, reader, writer)
        return connection.keeps

    async def _play(
        self, connection: RawConnection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        script = self._scripts[connection.asked["model"].partition("?")[0]](connection)
        playing = asyncio.ensure_future(script)
        gone = asyncio.ensure_future(reader.read())
        await asyncio.wait({playing, gone}, return_when=asyncio.FIRST_COMPLETED)
        if gone.done() and not playing.done():
            connection.keeps = False
            self.closes_seen.append(time.monotonic())
        for task in (playing, gone):
            task.cancel()
        await asyncio.gather(playing, gone, return_exceptions=True)
        if not playing.cancelled() and not isinstance(playing.exception(), ConnectionError | None):
            playing.result()


@contextlib.asynccontextmanager
async def raw_upstream(scripts: Mapping[str, Script], *, backlog: int = 100) -> AsyncIterator[RawUpstream]:
    """A raw upstream on this loop."""
    upstream = RawUpstream(scripts)
    upstream.server = server = await asyncio.start_server(
        upstream.serve, "127.0.0.1", 0, limit=64 * 1024, backlog=backlog
    )
    upstream.url = f"http://127.0.0.1:{upstream.port}/v1"
    try:
        yield upstream
    finally:
        server.close()
        await server.wait_closed()
        for writer in tuple(upstream._writers):
            writer.transport.abort()
        await asyncio.sleep(0.05)


@contextlib.contextmanager
def deaf_listener() -> Iterator[int]:
    """A port that is listened on, but whose queue is full: a connection to it never comes about (Linux)."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(3):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


def connecting_to(port: int) -> set[str]:
    """The local ends of connections to this port that are being made (SYN_SENT), in the kernel's own spelling."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]]
    return {row[1] for row in rows if row[2].endswith(f":{port:04X}") and row[3] == "02"}
