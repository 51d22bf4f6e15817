"""The client's side of a relay, in ASGI: an answer being sent, and the watch for the client's leaving.

Any ASGI server will do. On uvicorn its own objects are used where they are there, because they save a task for each
request and a coroutine for each chunk: `GuardedProtocol` puts itself into the scope for that.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from thalweg.canon.errors import TooLarge
from thalweg.framing.chunked import chunk
from thalweg.relay.budget import Share, no_room
from thalweg.relay.fastpath import Line
from thalweg.relay.plan import Headers
from thalweg.server.guard import GUARD, GuardedProtocol
from thalweg.server.wire import Receive, Scope, Send

T = TypeVar("T")


class ClientGone(Exception):
    """The client closed its connection before its request was whole: there is nobody to answer."""


class AsgiClient:
    """Sends one answer. Lives as long as the request."""

    __slots__ = ("_cycle", "_guard", "_send")

    def __init__(self, scope: Scope, send: Send) -> None:
        self._send = send
        self._guard: GuardedProtocol | None = scope.get("extensions", {}).get(GUARD)
        cycle = getattr(send, "__self__", None)
        self._cycle = cycle if self._guard is not None and isinstance(cycle, RequestResponseCycle) else None

    async def send_head(self, status: int, headers: Headers) -> None:
        """Send status and headers."""
        await self._send({"type": "http.response.start", "status": status, "headers": headers})
        if self._cycle is not None and not self._cycle.chunked_encoding:
            self._cycle = None

    @property
    def line(self) -> Line | None:
        """uvicorn's transport, where the body is in chunks."""
        cycle = self._cycle
        if cycle is None or self._guard is None or not cycle.chunked_encoding:
            return None
        return Line(cycle.transport, self._guard.tell_when_full)

    def write_now(self, data: bytes) -> bool:
        """Write one chunk straight to uvicorn's transport while it has room. An empty one would end the body."""
        assert data
        cycle = self._cycle
        if cycle is None or cycle.flow.write_paused or cycle.disconnected:
            return False
        cycle.transport.write(chunk(data))
        return True

    async def send_body(self, data: bytes, *, more: bool) -> None:
        """Send some of the body. The server's transport makes this wait while the client does not read."""
        await self._send({"type": "http.response.body", "body": data, "more_body": more})

    @property
    def unsent_bytes(self) -> int:
        """How much the server's transport still holds; 0 on a server that does not say."""
        return 0 if self._guard is None else self._guard.transport.get_write_buffer_size()

    def watch(self, receive: Receive, left: Callable[[], None]) -> Callable[[], object]:
        """Have `left` called as soon as the client leaves. Returns what ends the watch."""
        if self._guard is not None:
            return self._guard.tell_when_gone(left)
        return asyncio.get_running_loop().create_task(_until_gone(receive, left)).cancel


async def _until_gone(receive: Receive, left: Callable[[], None]) -> None:
    """Wait for the server to say that the client is gone; it says so, too, when the answer is over."""
    while (await receive())["type"] != "http.disconnect":
        pass
    left()


async def unless_gone(client: AsgiClient, receive: Receive, work: Coroutine[Any, Any, T]) -> T:
    """What `work` comes to. For what is awaited before an answer begins: as soon as the client leaves, it is cancelled.

    Raises what it raises, and `ClientGone`.
    """
    task = asyncio.create_task(work)
    gone = False

    def left() -> None:
        nonlocal gone
        gone = True
        task.cancel()

    end_watch = client.watch(receive, left)
    try:
        return await task
    except asyncio.CancelledError:
        if gone and task.cancelled():
            raise ClientGone from None
        raise
    finally:
        end_watch()


async def read_body(receive: Receive, *, most_bytes: int, share: Share) -> bytes:
    """The request's whole body, held in `share`. How long it may take is the guard's to say, in front of the server.

    Raises `TooLarge`, `ClientGone`, or `Unavailable` where there is no room for it.
    """
    pieces: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        pieces.append(message.get("body", b""))
        size += len(pieces[-1])
        if size > most_bytes:
            raise TooLarge(f"The request's body is larger than {most_bytes} bytes.")
        if not share.hold_request(size):
            raise no_room()
        if not message.get("more_body", False):
            return pieces[0] if len(pieces) == 1 else b"".join(pieces)
