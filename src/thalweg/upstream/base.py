"""What the relay needs of an upstream: start a call, hear what happens, stop it. No HTTP may live here.

A connector is started with a request and a listener. Everything after that is a callback on the event loop's thread,
so that a chunk costs no task, no future and no queue. The relay imports this module and no other of the room.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import msgspec

from thalweg.canon.errors import GatewayError
from thalweg.canon.origin import Credential, Origin

__all__ = ["Call", "Connector", "Credential", "FastPath", "Listener", "Origin", "ResponseHead", "UpstreamRequest"]


class UpstreamRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One HTTP request to an upstream. The connector adds host, content-length, accept-encoding and the credential."""

    origin: Origin
    method: bytes
    target: bytes
    """Path and query, already escaped."""
    headers: tuple[tuple[bytes, bytes], ...]
    """Lower-case names. None of them may be a hop-by-hop header."""
    body: bytes
    credential: Credential | None = None
    connect_timeout_s: float = 5.0
    provider: str = ""
    """Who runs it, for error messages."""
    setting: str = ""
    """The variable that says where it is, for the same."""


class ResponseHead(msgspec.Struct, frozen=True):
    """Status and headers of a final answer (never a 1xx). Header names are lower case."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]

    def get(self, name: bytes) -> bytes | None:
        """The first header of that lower-case name."""
        for key, value in self.headers:
            if key == name:
                return value
        return None


class FastPath(Protocol):
    """Takes what comes between two transfer chunks as it stands on the wire."""

    def take(self, read: bytes) -> bool:
        """`True` says that it was exactly one chunk, and is dealt with; with `False` nothing has happened."""


class Listener(Protocol):
    """Hears what happens to a call. Called on the loop's thread, never after `Call.abort` or `Call.release`.

    The order is: `connected`, `head_received`, any number of `body_received`, then exactly one of `body_ended` and
    `call_failed`. `call_failed` may come at any time instead of what else was due, and is then the last.
    """

    @property
    def fast_path(self) -> FastPath | None:
        """Asked for whenever some of a body came that ends with a transfer chunk, and when the call is told that there
        is one now. Whatever comes next on the connection may be offered to it first.
        """

    def connected(self) -> None:
        """The request is being sent on an open connection."""

    def head_received(self, head: ResponseHead) -> None:
        """The final status and headers are there."""

    def body_received(self, data: bytes) -> None:
        """Some bytes of the body, never empty; transfer coding is already removed."""

    def body_ended(self) -> None:
        """The body is whole, as its framing says."""

    def call_failed(self, error: GatewayError) -> None:
        """The call is over without a whole answer: an `UpstreamError` that says why."""


class Call(Protocol):
    """One request under way."""

    @property
    def closed_at(self) -> float | None:
        """`time.monotonic()` at which its connection was told to close, or given back; `None` while it is in use."""

    @property
    def lost_at(self) -> float | None:
        """`time.monotonic()` at which its connection was seen to be gone; the same as `closed_at` where there is none
        to be seen. `None` while it is in use or still closing.
        """

    def when_lost(self, told: Callable[[], None]) -> None:
        """Have `told` called once `lost_at` is set, which may be at once. For a call whose `closed_at` is set."""

    def abort(self) -> None:
        """Close the connection now, in whatever phase. No callback follows. May be called twice."""

    def release(self) -> None:
        """The listener needs no more bytes. The connection is kept if its body is whole or becomes so at once
        (bounded in bytes and time), otherwise closed. No callback follows.
        """

    def pause_reading(self) -> None:
        """Stop reading the body, so that the upstream is slowed down. May be called twice."""

    def resume_reading(self) -> None:
        """Read on. May be called twice, and before the connection is there."""

    def fast_path_opened(self) -> None:
        """The listener has a fast path, which it may not have had when the last of the body came."""


class Connector(Protocol):
    """Opens calls."""

    def start(self, request: UpstreamRequest, listener: Listener) -> Call:
        """Begin a call; returns at once and never raises for what the network does."""

    async def close(self) -> None:
        """Close every connection. Calls under way fail."""
