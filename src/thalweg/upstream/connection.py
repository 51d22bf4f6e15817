"""One connection to an upstream, as an asyncio protocol. Who may use it is the pool's to say; grammar is in `http1`."""

from __future__ import annotations

import asyncio
import mmap
from collections.abc import Callable
from typing import Protocol, cast

from thalweg.canon.errors import UpstreamBroke
from thalweg.upstream.base import FastPath
from thalweg.upstream.http1 import AnswerReader
from thalweg.upstream.route import Route

READ_BYTES = 64 * 1024

# A TLS layer reads up to 64 KiB of records and may hold the beginning of one more (16 KiB and its overhead). What does
# not fit into the buffer then waits inside the layer, where uvloop 0.23 drops it when the upstream closes: with 16,000
# bytes of buffer the end of 33 of 600 answers was lost.
TLS_READ_BYTES = READ_BYTES + 32 * 1024


class _Always(dict[int, memoryview]):
    """The same for every size that is asked for."""

    def __init__(self, buffer: memoryview) -> None:
        super().__init__({READ_BYTES: buffer})
        self._buffer = buffer

    def __missing__(self, size: int) -> memoryview:
        return self._buffer


class ReceiveBuffer:
    """The memory that all connections of a loop read into: it is used up before the loop reads again."""

    __slots__ = ("get_plain", "get_tls", "memory", "plain", "tls")

    def __init__(self) -> None:
        self.memory = mmap.mmap(-1, TLS_READ_BYTES)
        """A mapping, because its slices are `bytes`: a third of what those cost by way of a `memoryview`."""
        self.tls = memoryview(self.memory)
        self.plain = self.tls[:READ_BYTES]
        self.get_plain, self.get_tls = _Always(self.plain).__getitem__, _Always(self.tls).__getitem__
        """What a loop asks for the buffer: one for all connections, that runs no Python."""


class ConnectionUser(Protocol):
    """Who is being answered. Exactly one of its methods is called, once, unless the connection is aborted before."""

    @property
    def fast_path(self) -> FastPath | None:
        """The listener's, if it wants any more."""

    def answered(self, connection: Connection, *, reusable: bool) -> None:
        """The answer is whole, and the connection is the user's to give back or to abort."""

    def answer_broke(self, error: UpstreamBroke) -> None:
        """There will be no whole answer."""

    def connection_died(self, error: UpstreamBroke) -> None:
        """The connection was lost before the first byte of an answer."""

    def abort(self) -> None:
        """A listener raised: stop everything."""


class ConnectionOwner(Protocol):
    """Who counts the connection."""

    def lost(self, connection: Connection) -> None:
        """The transport is closed for good."""


class _LimitedTransport(Protocol):
    def set_read_buffer_limits(self, high: int, low: int) -> None: ...


class Connection(asyncio.BufferedProtocol):
    """Sends one request at a time and has its answer read.

    A connection that hears anything while nobody uses it closes itself.
    """

    __slots__ = (
        "_fast_path",
        "_memory",
        "_paused",
        "_reader",
        "_transport",
        "_user",
        "closed",
        "get_buffer",
        "lost",
        "on_lost",
        "owner",
        "route",
    )

    get_buffer: Callable[[int], memoryview]  # type: ignore[assignment]  # a method of the base
    """What the loop calls for the buffer, which all connections share."""

    def __init__(self, route: Route, buffer: ReceiveBuffer) -> None:
        self.route = route
        self.owner: ConnectionOwner | None = None
        self.closed = False
        """Of no use any more; the transport may still be closing."""
        self.lost = False
        self.on_lost: Callable[[], None] | None = None
        """Called once the transport is gone, by whom the connection was aborted for."""
        self.get_buffer = buffer.get_tls if route.origin.scheme == "https" else buffer.get_plain
        self._memory = buffer.memory
        self._transport: asyncio.Transport | None = None
        self._paused = False
        # For one answer.
        self._reader: AnswerReader | None = None
        self._user: ConnectionUser | None = None
        self._fast_path: FastPath | None = None
        """The listener's, while the answer stands between two transfer chunks."""

    # What its user calls.

    def send(self, request: tuple[bytes, bytes], reader: AnswerReader, user: ConnectionUser) -> None:
        """Send head and body, and have the answer read by `reader` and its end told to `user`."""
        if self._transport is None:
            raise RuntimeError("a connection is used after it is made")
        self._reader = reader
        self._user = user
        self._transport.writelines(request)

    def pause_reading(self) -> None:
        """Stop reading. What was already read is still delivered: at most one buffer."""
        if self._transport is not None and not self._paused:
            self._paused = True
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Read on."""
        if self._transport is not None and self._paused:
            self._paused = False
            self._transport.resume_reading()

    def follow_fast_path(self) -> None:
        """Ask for the listener's fast path, if the answer stands where one may be taken."""
        reader, user = self._reader, self._user
        if self._fast_path is None and reader is not None and user is not None and reader.between:
            self._fast_path = user.fast_path

    def abort(self) -> None:
        """Close now, in whatever state. Nobody is told but the owner, once the transport is gone."""
        self.closed = True
        self._forget_user()
        if self._transport is not None:
            self._transport.abort()

    # What the loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport, and read in the way it needs."""
        self._transport = transport  # type: ignore[assignment]  # what a loop has for TCP, and for TLS
        if transport.get_extra_info("ssl_object") is not None:
            _hold_back_end_of_file(cast(_LimitedTransport, transport))

    def buffer_updated(self, nbytes: int) -> None:
        """Have the bytes read. This is the hot path."""
        read, fast_path = self._memory[:nbytes], self._fast_path
        if fast_path is None or not fast_path.take(read):
            self._feed(read)

    def _feed(self, read: bytes) -> None:
        reader, user = self._reader, self._user
        self._fast_path = None
        if reader is None or user is None:
            self.abort()
            return
        try:
            reader.feed(read)
        except BaseException:
            self._stop_user()
            raise
        if reader.over:
            self._settle()
        elif reader.between:
            self._fast_path = user.fast_path

    def eof_received(self) -> None:
        """The upstream sends no more; the transport closes itself after this."""
        if self._reader is not None:
            died = not self._reader.begun
            self._reader.end_of_file()
            self._settle(died=died)
        self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """The transport is gone, whoever closed it."""
        self.closed = True
        self.lost = True
        try:
            if self._reader is not None:
                died = not self._reader.begun
                self._reader.break_off(exc)
                self._settle(died=died)
        finally:
            if self.owner is not None:
                self.owner.lost(self)
            on_lost, self.on_lost = self.on_lost, None
            if on_lost is not None:
                on_lost()

    def _settle(self, *, died: bool = False) -> None:
        reader, user = self._reader, self._user
        if reader is None or user is None:
            return
        sent = self._transport is not None and self._transport.get_write_buffer_size() == 0
        self._forget_user()
        if self._paused:
            self.resume_reading()
        if reader.error is None:
            user.answered(self, reusable=reader.reusable and sent and not self.closed)
        elif died:
            user.connection_died(reader.error)
        else:
            user.answer_broke(reader.error)

    def _stop_user(self) -> None:
        if self._user is not None:
            self._user.abort()

    def _forget_user(self) -> None:
        if self._reader is not None:
            self._reader.close()
        self._reader = self._user = self._fast_path = None


def _hold_back_end_of_file(transport: _LimitedTransport) -> None:
    # The TLS layers of asyncio and uvloop drop what they have not yet delivered when they see the upstream close. With
    # these limits they do not read on, and so do not see it, while anything is undelivered (paused, or a full buffer).
    transport.set_read_buffer_limits(high=1, low=0)
