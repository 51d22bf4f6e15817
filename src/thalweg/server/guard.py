"""Bounds on what uvicorn's fast parser takes: it has no limit of its own on a header's size, count or time.

Measured on uvicorn 0.54 with httptools: an endless header took 64 MiB of memory, and one that was never finished kept
its connection for ever. Both end here, as do requests that proxies and servers read differently (two hosts, a body on
HTTP/1.0, an upgrade).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from thalweg.canon.errors import GatewayError, InvalidRequest, RequestTimeout
from thalweg.config import Limits
from thalweg.server.shapes import encode_error

GUARD = "thalweg.guard"
"""Where the protocol puts itself in a scope's extensions."""

_PHRASES = {400: b"Bad Request", 408: b"Request Timeout", 413: b"Content Too Large", 431: b"Header Fields Too Large"}


class HeaderTooLarge(InvalidRequest):
    """The request's header is over the bound."""

    http_status = 431


class Patience:
    """Ends connections whose client does not finish what it began. One timer, and only while something is awaited."""

    def __init__(self, timeout_s: float, what: str) -> None:
        self._timeout_s = timeout_s
        self._what = what
        self._waiting: dict[GuardedProtocol, float] = {}
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, protocol: GuardedProtocol) -> None:
        """The wait begins; it must not be under way."""
        self._waiting[protocol] = time.monotonic() + self._timeout_s
        if self._timer is None:
            self._arm(self._timeout_s)

    def stop(self, protocol: GuardedProtocol) -> None:
        """What was awaited is there, or the connection is gone."""
        self._waiting.pop(protocol, None)

    def _arm(self, delay_s: float) -> None:
        self._timer = asyncio.get_running_loop().call_later(delay_s, self._ring)

    def _ring(self) -> None:
        now = time.monotonic()
        for protocol in [waiting for waiting, deadline in self._waiting.items() if deadline <= now]:
            self.stop(protocol)
            protocol.refuse(RequestTimeout(f"The request's {self._what} did not come within {self._timeout_s:g} s."))
        self._timer = None
        if self._waiting:
            # Deadlines are in the order of entry, because all waits are equally long.
            self._arm(max(next(iter(self._waiting.values())) - now, 0.01))


class GuardedProtocol(HttpToolsProtocol):
    """uvicorn's protocol with bounds. `limits` and the two clocks are put in by `guarded`."""

    limits: Limits
    head_clock: Patience
    body_clock: Patience

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Per request.
        self._in_head = True
        self._head_bytes = 0
        self._hosts = 0
        self._fault: GatewayError | None = None
        self._has_body = False
        self._size = 0
        self._gone: Callable[[], None] | None = None

    def tell_when_gone(self, gone: Callable[[], None]) -> Callable[[], None]:
        """Have `gone` called when the connection is lost. Returns what takes that back."""
        self._gone = gone
        if self.transport.is_closing():
            gone()
        return self._forget

    def _forget(self) -> None:
        self._gone = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in the base
        """A client connected: its header is awaited."""
        super().connection_made(transport)
        self.head_clock.begin(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._stop_clocks()
        super().connection_lost(exc)
        if self._gone is not None:
            self._gone()

    def _stop_clocks(self) -> None:
        self.head_clock.stop(self)
        self.body_clock.stop(self)

    def data_received(self, data: bytes) -> None:
        """Some bytes came; while they are a header's, count them."""
        if self._fault is not None:
            return
        if not self._in_head and not self._answering():
            self._in_head = True
            self._head_bytes = 0
            self.head_clock.begin(self)
        super().data_received(data)
        if self._in_head and self._fault is None:
            self._head_bytes += len(data)
            if self._head_bytes > self.limits.header_bytes:
                self.refuse(HeaderTooLarge(f"The request's header is larger than {self.limits.header_bytes} bytes."))

    def on_message_begin(self) -> None:
        """A request line begins."""
        super().on_message_begin()
        self.scope["extensions"] = {GUARD: self}  # type: ignore[dict-item]  # ours, for ours
        self._in_head = True
        self._size = 0
        self._hosts = 0
        self._has_body = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """One field came."""
        super().on_header(name, value)
        self._size += len(name) + len(value) + 4
        lower = self.headers[-1][0]
        if lower == b"host":
            self._hosts += 1
        elif lower in (b"content-length", b"transfer-encoding"):
            self._has_body = self._has_body or value.strip() != b"0"

    def on_headers_complete(self) -> None:
        """The header is whole: hand the request on, or refuse it."""
        self._in_head = False
        self.head_clock.stop(self)
        if self._fault is None:
            fault = self._complaint()
            if fault is not None:
                self.refuse(fault)
                return
            if self._has_body:
                self.body_clock.begin(self)
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Some of the body came."""
        if self._fault is None:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is whole."""
        self.body_clock.stop(self)
        if self._fault is None:
            super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """The parser refused: say so in the path's dialect."""
        self.refuse(InvalidRequest(msg))

    def refuse(self, error: GatewayError) -> None:
        """Answer with an error and close, without asking the application."""
        if self._fault is not None or self.transport.is_closing():
            return
        self._fault = error
        self._stop_clocks()
        if not self._answering() or not self.cycle.response_started:
            said = encode_error(self._path(), error)
            head = b"HTTP/1.1 %d %s\r\n" % (said.status, _PHRASES.get(said.status, b"Error"))
            lines = [b"%s: %s\r\n" % header for header in said.headers]
            length = b"content-length: %d\r\nconnection: close\r\n\r\n" % len(said.body)
            self.transport.write(head + b"".join(lines) + length + said.body)
        self.transport.close()

    def _answering(self) -> bool:
        """Whether a request is being answered on this connection."""
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is not None and not cycle.response_complete

    def _path(self) -> str:
        url = getattr(self, "url", b"")
        return bytes(url).partition(b"?")[0].decode("ascii", "replace")

    def _complaint(self) -> GatewayError | None:
        """What is wrong with a header that the parser took."""
        version = self.parser.get_http_version()
        if self._size > self.limits.header_bytes:
            return HeaderTooLarge(f"The request's header is larger than {self.limits.header_bytes} bytes.")
        if len(self.headers) > self.limits.header_fields:
            return HeaderTooLarge(f"The request has more than {self.limits.header_fields} header fields.")
        if self._hosts > 1 or (self._hosts == 0 and version != "1.0"):
            return InvalidRequest("The request must have exactly one Host header.")
        if version == "1.0" and self._has_body:
            return InvalidRequest("A body needs HTTP/1.1.")
        if version not in ("1.0", "1.1"):
            return InvalidRequest("Only HTTP/1.0 and HTTP/1.1 are spoken here.")
        return None

    def _should_upgrade(self) -> bool:
        return False


def guarded(limits: Limits) -> type[GuardedProtocol]:
    """A protocol class with these limits, for one server."""
    clocks = {
        "head_clock": Patience(limits.header_timeout_s, "header"),
        "body_clock": Patience(limits.body_timeout_s, "body"),
    }
    return type("BoundedProtocol", (GuardedProtocol,), {"limits": limits, **clocks})
