"""A client with its hand on the socket: it can stop reading, and leave in any way. Reads streams by its own rules,
stricter than an SDK's, so that it shares no mistake with the gateway.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import time
from typing import Any, Literal, NamedTuple, Self, cast

import httptools

from tests.torture.processes import KEY, PATIENCE_S

Way = Literal["half-close", "close", "reset"]
WAYS: tuple[Way, ...] = ("half-close", "close", "reset")
"""How a client leaves: FIN and the socket stays open; FIN and gone, which becomes a reset where bytes are unread; RST."""


def body_of(model: str, *, stream: bool = True, **fields: Any) -> bytes:
    """A request, `model` with its provider."""
    wire = {"model": model, "messages": [{"role": "user", "content": "Say it again: 回声 🦜 and on it goes."}]}
    return json.dumps(wire | {"stream": stream} | fields, ensure_ascii=False).encode()


CHAT_PATH = "/v1/chat/completions"


def request_of(body: bytes, path: str = CHAT_PATH) -> bytes:
    """One request on the wire."""
    head = (
        f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\n"
        f"authorization: Bearer {KEY}\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


class Call(asyncio.Protocol):
    """One request and what comes back for it. `reads=False` never reads a byte."""

    def __init__(self, request: bytes, *, reads: bool = True) -> None:
        self.status = 0
        self.headers: dict[bytes, bytes] = {}
        self.body = bytearray()
        self.whole = False
        """The answer ended as its framing says."""
        self.lost_at: float | None = None
        self.sent_at = 0.0
        self.first_at = 0.0
        self.last_at = 0.0
        self.longest_gap_s = 0.0
        """Between two reads of the body."""
        self.answers = 0
        self._request = request
        self._reads = reads
        self._over = asyncio.get_running_loop().create_future()
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None

    @classmethod
    async def begin(cls, port: int, body: bytes, *, reads: bool = True, path: str = CHAT_PATH) -> Self:
        """Connect and send."""
        sock = socket.socket()
        sock.setblocking(False)
        if not reads:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(sock, ("127.0.0.1", port))
        _, protocol = await loop.create_connection(lambda: cls(request_of(body, path), reads=reads), sock=sock)
        return protocol

    async def over(self, within_s: float = PATIENCE_S) -> Self:
        """Wait until the answer is whole or the connection is lost."""
        async with asyncio.timeout(within_s):
            await asyncio.shield(self._over)
        return self

    def again(self, body: bytes, path: str = CHAT_PATH) -> None:
        """Send a further request on the same connection, after an answer."""
        self._over = asyncio.get_running_loop().create_future()
        self._parser = httptools.HttpResponseParser(self)
        self.body, self.whole, self.status = bytearray(), False, 0
        self.send(body, path)

    def send(self, body: bytes, path: str = CHAT_PATH) -> None:
        """Send a request, whatever else is under way."""
        self._write(request_of(body, path))

    def leave(self, way: Way) -> float:
        """Go, and say when that was, on the monotonic clock."""
        assert self._transport is not None
        sock = self._transport.get_extra_info("socket")
        if way == "reset":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        at = time.monotonic()
        if way == "half-close":
            sock.shutdown(socket.SHUT_WR)
        else:
            self._transport.abort()
        return at

    def drop(self) -> None:
        """Close whatever is still open."""
        if self._transport is not None:
            self._transport.abort()

    def _write(self, request: bytes) -> None:
        assert self._transport is not None
        self.sent_at = self.last_at = time.monotonic()
        self._transport.write(request)

    # What the loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        if not self._reads:
            self._transport.pause_reading()
        self._write(self._request)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost_at = time.monotonic()
        self._end()

    def _end(self) -> None:
        if not self._over.done():
            self._over.set_result(None)

    # What the parser calls.

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers[name.lower()] = value

    def on_headers_complete(self) -> None:
        self.status = self._parser.get_status_code()

    def on_body(self, data: bytes) -> None:
        now = time.monotonic()
        if self.body:
            self.longest_gap_s = max(self.longest_gap_s, now - self.last_at)
        else:
            self.first_at = now
        self.last_at = now
        self.body += data

    def on_message_complete(self) -> None:
        self.whole = True
        self.answers += 1
        self._end()


class Read(NamedTuple):
    """What a stream or a whole answer says."""

    text: str
    calls: list[tuple[str, str]]
    """Name and arguments of each tool call of the only choice."""
    finish: str | None
    usage: dict[str, Any] | None
    error: dict[str, Any] | None
    done: bool
    frames: int


def read_stream(body: bytes | bytearray, *, strict: bool = True) -> Read:
    """Read a Chat stream of one choice. Strict: every frame is one `data:` line, whole, and nothing follows the end
    mark or an error. Otherwise a last frame that is cut is passed over, as every reader does.
    """
    text: list[str] = []
    calls: dict[int, tuple[str, str]] = {}
    finish, usage, error, done = None, None, None, False
    frames = bytes(body).split(b"\n\n")
    rest = frames.pop()
    assert not (strict and rest), f"half a frame: {rest[-200:]!r}"
    for frame in frames:
        assert not (strict and (done or error)), f"after the end: {frame[:200]!r}"
        assert not strict or (frame.startswith(b"data: ") and b"\n" not in frame), f"no plain frame: {frame[:200]!r}"
        payload = frame.removeprefix(b"data: ")
        if payload == b"[DONE]":
            done = True
            continue
        tree = json.loads(payload)
        error = tree.get("error") or error
        usage = tree.get("usage") or usage
        for choice in tree.get("choices") or ():
            finish = choice.get("finish_reason") or finish
            delta = choice.get("delta") or {}
            text.append(delta.get("content") or "")
            for piece in delta.get("tool_calls") or ():
                name, arguments = calls.get(piece["index"], ("", ""))
                function = piece.get("function") or {}
                calls[piece["index"]] = (
                    name or function.get("name") or "",
                    arguments + (function.get("arguments") or ""),
                )
    return Read("".join(text), [calls[at] for at in sorted(calls)], finish, usage, error, done, len(frames))


def read_whole(body: bytes | bytearray) -> Read:
    """Read a whole Chat answer of one choice, or an error."""
    tree = json.loads(bytes(body))
    if "error" in tree:
        return Read("", [], None, None, tree["error"], False, 0)
    choice = tree["choices"][0]
    calls = [(c["function"]["name"], c["function"]["arguments"]) for c in choice["message"].get("tool_calls") or ()]
    text = choice["message"].get("content") or ""
    return Read(text, calls, choice["finish_reason"], tree.get("usage"), None, False, 0)
