"""Bounds on what uvicorn's fast parser takes: it has no limit of its own on a header's size, count or time.

Measured on uvicorn 0.54 with httptools: an endless header took 64 MiB of memory, and one that was never finished kept
its connection for ever. Both end here, as do requests that proxies and servers read differently (two hosts, a body on
HTTP/1.0, trailers taken for headers, a body behind a request to upgrade).
"""

from __future__ import annotations

import asyncio
import re
import time
from collections import deque
from collections.abc import Callable
from enum import Enum
from typing import Any

import httptools
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from thalweg.canon.errors import GatewayError, InvalidRequest, RateLimited, RequestTimeout
from thalweg.config import Limits
from thalweg.server.shapes import encode_error

GUARD = "thalweg.guard"
"""Where the protocol puts itself in a scope's extensions."""

REFUSAL = "thalweg.refusal"
"""Where a scope has the error with which the guard ended it, when its body was still being read."""

Refused = Callable[[GatewayError, str], None]
"""Hears of a request that was refused before anybody else knew of it, and of its path as far as that was read."""

MOST_WAITING = 16
"""Requests that a client may send ahead of their answers. Each costs some 3 KB here and some 40 bytes there."""

LINGER_S = 1.0
LINGER_BYTES = 4 * 1024 * 1024
"""How long, and how much, of what a refused client still sends is read and dropped, so that it gets to read why. The
bytes are counted from the refusal on, the time from when it is said."""

_HOST = re.compile(rb"(?:[A-Za-z0-9._~-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")
_PHRASES = {
    400: b"Bad Request",
    408: b"Request Timeout",
    413: b"Content Too Large",
    429: b"Too Many Requests",
    431: b"Header Fields Too Large",
}


_MINDED = frozenset((b"host", b"content-length", b"transfer-encoding"))
"""Fields that say where a request goes and where it ends."""


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
        """The wait begins, unless it is under way."""
        if protocol in self._waiting:
            return
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


class Reading(Enum):
    """Where in a request the connection's bytes are."""

    NOTHING = "nothing"
    HEAD = "head"
    BODY = "body"
    REFUSED = "refused"
    """Nothing is read any more; what comes is dropped."""


# Named here because each look-up in an Enum costs as much as a call, and a request takes some thirty.
_NOTHING, _HEAD, _BODY, _REFUSED = Reading


class GuardedProtocol(HttpToolsProtocol):
    """uvicorn's protocol with bounds. `limits`, `refused` and the two clocks are put in by `guarded`."""

    limits: Limits
    refused: Refused
    head_clock: Patience
    body_clock: Patience

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Per connection.
        self._reading = _HEAD
        self._unanswered: deque[RequestResponseCycle] = deque()
        """Requests handed on whose answers are not whole, the one being read included. Only the first is worked on."""
        self._last_words = b""
        """The answer to the request that was refused; it waits for those before it."""
        self._farewell: asyncio.TimerHandle | None = None
        self._gone: Callable[[], None] | None = None
        self._filled: Callable[[bool], None] | None = None
        # Per request.
        self._idle_bytes = 0
        """Read since anything was completed: of an unfinished header, or of a body's framing."""
        self._progress = False
        self._size = 0
        self._hosts = 0
        self._host = b""
        self._framing = b""
        """The header line that says how the body ends; empty without a body."""

    def tell_when_gone(self, gone: Callable[[], None]) -> Callable[[], None]:
        """Have `gone` called when the connection is lost. Returns what takes that back."""
        self._gone = gone
        if self.transport.is_closing():
            # The transport will say so, but in a later turn of the loop: until then uvicorn would miss an answer.
            self._disconnect()
            gone()
        # A body of more than 64 KiB may have ended while uvicorn held it back: nobody would see the client go.
        if self.flow.read_paused:
            self.flow.resume_reading()
        return self._forget

    def _forget(self) -> None:
        self._gone = None

    def tell_when_full(self, told: Callable[[bool], None] | None) -> bool:
        """Have `told` called with whether the transport can take no more, whenever that changes. Returns whether it is
        so now.
        """
        self._filled = told
        return self.flow.write_paused

    def pause_writing(self) -> None:
        """The transport can take no more."""
        super().pause_writing()
        if self._filled is not None:
            self._filled(True)

    def resume_writing(self) -> None:
        """It can again."""
        super().resume_writing()
        if self._filled is not None:
            self._filled(False)

    # What the transport calls.

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in the base
        """A client connected: its header is awaited. As the base's, without the addresses and what asks for TLS: nobody
        here wants them, and each address costs a socket object and a system call.
        """
        self.connections.add(self)
        self.transport = transport
        self.flow = FlowControl(transport)
        self.scheme = "http"
        self.head_clock.begin(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        if self._reading is not _NOTHING:  # else nothing is awaited
            self._stop_clocks()
        if self._farewell is not None:
            self._farewell.cancel()
        self._disconnect()
        super().connection_lost(exc)
        if self._gone is not None:
            self._gone()
        # They know of this: without that, every connection would be work for the collector.
        self.scope = self.cycle = None  # type: ignore[assignment]  # as they were before the first request

    def _disconnect(self) -> None:
        """Nobody waits for any of the answers. uvicorn tells only the last one."""
        for cycle in self._unanswered:
            cycle.disconnected = True
            cycle.message_event.set()

    def eof_received(self) -> None:
        """The client will write no more, which counts as gone, even where it might still read.

        The transport would close by itself, but not before all bytes are with a client that may never read them.
        """
        if self._unanswered:
            self.transport.abort()

    def data_received(self, data: bytes) -> None:
        """Some bytes came; while they complete nothing, count them."""
        reading = self._reading
        if reading is _REFUSED:
            self._idle_bytes += len(data)
            if self._idle_bytes > LINGER_BYTES:
                self.transport.abort()
            return
        self._unset_keepalive_if_required()
        if reading is _NOTHING:
            self._reading, self._idle_bytes = _HEAD, 0
            self._mind_the_clock()
        self._progress = False
        self._parse(data)
        if self._progress:
            self._idle_bytes = 0
        elif self._reading is not _REFUSED:
            self._idle_bytes += len(data)
            if self._idle_bytes > self.limits.header_bytes:
                self.refuse(self._too_large())

    def _parse(self, data: bytes) -> None:
        while True:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as found:
                self._stay_with_http()
                data = data[found.args[0] :]
                continue
            except httptools.HttpParserError:
                self.refuse(InvalidRequest("Invalid HTTP request received."))
            return

    def _stay_with_http(self) -> None:
        """Go on as if nobody had asked to upgrade: Java's own client asks with each request, bodies included.

        The parser takes whatever follows the header for another protocol, and would then read a body as the next
        request. A new one is put behind a header that has the same body.
        """
        if self._reading is _BODY:
            self.parser = httptools.HttpRequestParser(self)
            self.parser.feed_data(b"POST / HTTP/1.1\r\nhost: -\r\n%b\r\n\r\n" % self._framing)

    # What the parser calls. In a body there are no headers: trailers are not looked at.

    def on_message_begin(self) -> None:
        """A request line begins."""
        if self._reading in (_BODY, _REFUSED):
            return
        super().on_message_begin()
        self.scope["extensions"] = {GUARD: self}  # type: ignore[dict-item]  # ours, for ours
        self._size = 0
        self._hosts = 0
        self._framing = b""
        if self._reading is _NOTHING:
            # It came together with the end of another.
            self._reading = _HEAD
            self._mind_the_clock()

    def on_url(self, url: bytes) -> None:
        """Some of the target came."""
        if self._reading is _HEAD:
            self._size += len(url)
            super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """One field came."""
        if self._reading is not _HEAD:
            return
        self._size += len(name) + len(value) + 4
        lower = name.lower()
        if lower == b"expect":
            super().on_header(name, value)
            return
        self.headers.append((lower, value))  # as the base does, which would take a call for each field
        if lower not in _MINDED:
            return
        if lower == b"host":
            self._hosts += 1
            self._host = value
        elif value != b"0":
            self._framing = b"%b: %b" % (lower, value)

    def on_headers_complete(self) -> None:
        """The header is whole: hand the request on, or refuse it."""
        if self._reading is not _HEAD:
            return
        self.head_clock.stop(self)
        fault = self._complaint()
        if fault is not None:
            self.refuse(fault)
            return
        super().on_headers_complete()
        self._reading = _BODY
        self._progress = True
        self._unanswered.append(self.cycle)
        if self.pipeline:
            # uvicorn would read no more, and so not see the client go. What may wait is bounded, by `_complaint`.
            self.flow.resume_reading()
        if self._framing:
            self._mind_the_clock()

    def on_body(self, body: bytes) -> None:
        """Some of the body came."""
        if self._reading is _BODY:
            self._progress = True
            super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is whole."""
        if self._reading is not _BODY or (self._framing and self.parser.should_upgrade()):
            return
        self._reading = _NOTHING
        if self._framing:
            self.body_clock.stop(self)
        super().on_message_complete()

    # What the application's side calls.

    def on_response_complete(self) -> None:
        """An answer is whole: the next request's turn, or what is to be said to a refused one."""
        self._unanswered.popleft()
        super().on_response_complete()
        if self._reading is _REFUSED:
            if not self._unanswered:
                self._leave()
            return
        if self._reading is not _NOTHING:
            self._mind_the_clock()

    def refuse(self, error: GatewayError) -> None:
        """Answer with an error and close, without asking the application. Answers before it are finished first."""
        if self._reading is _REFUSED or self.transport.is_closing():
            return
        self._stop_clocks()
        in_body, self._reading = self._reading is _BODY, _REFUSED
        if in_body:
            self.scope[REFUSAL] = error  # type: ignore[literal-required]  # ours, for ours
        else:
            self.refused(error, self._path)
        if not (in_body and self._withdraw(self.cycle)):
            self._last_words = self._words(error)
        self._idle_bytes = 0
        if not self._unanswered:
            self._leave()

    def _withdraw(self, cycle: RequestResponseCycle) -> bool:
        """Take back the request that is being read. Whether it has been answered, or is being so."""
        if cycle.response_complete:
            return True
        self._unanswered.pop()
        if self.pipeline and self.pipeline[0][0] is cycle:
            self.pipeline.popleft()
        else:
            cycle.disconnected = True
            cycle.message_event.set()
        return cycle.response_started

    def _words(self, error: GatewayError) -> bytes:
        query = bytes(getattr(self, "url", b"")).partition(b"?")[2]
        said = encode_error(self._path, error, headers=self.headers or (), query=query)
        head = b"HTTP/1.1 %d %s\r\n" % (said.status, _PHRASES.get(said.status, b"Error"))
        lines = [b"%s: %s\r\n" % header for header in said.headers]
        length = b"content-length: %d\r\nconnection: close\r\n\r\n" % len(said.body)
        return head + b"".join(lines) + length + said.body

    @property
    def _path(self) -> str:
        return bytes(getattr(self, "url", b"")).partition(b"?")[0].decode("ascii", "replace")

    def _leave(self) -> None:
        """Say the last words and close. What is unread then would make the kernel reset the connection, and the client
        forget the answer: so it is read and dropped for a moment.
        """
        transport = self.transport
        if transport.is_closing():
            return
        if self._last_words:
            transport.write(self._last_words)
        if not transport.can_write_eof():
            transport.close()
            return
        transport.write_eof()
        self._farewell = self.loop.call_later(LINGER_S, transport.close)
        self.flow.resume_reading()

    def _stop_clocks(self) -> None:
        self.head_clock.stop(self)
        self.body_clock.stop(self)

    def _mind_the_clock(self) -> None:
        """Begin the wait for the rest of a request, unless others are to be answered before it."""
        if self._reading is _HEAD:
            if not self._unanswered:
                self.head_clock.begin(self)
        elif self._reading is _BODY and len(self._unanswered) <= 1:
            self.body_clock.begin(self)

    def _too_large(self) -> HeaderTooLarge:
        return HeaderTooLarge(f"The request's header is larger than {self.limits.header_bytes} bytes.")

    def _complaint(self) -> GatewayError | None:
        """What is wrong with a header that the parser took."""
        version = self.parser.get_http_version()
        if self._size > self.limits.header_bytes:
            return self._too_large()
        if len(self.headers) > self.limits.header_fields:
            return HeaderTooLarge(f"The request has more than {self.limits.header_fields} header fields.")
        if version not in ("1.0", "1.1"):
            return InvalidRequest("Only HTTP/1.0 and HTTP/1.1 are spoken here.")
        if self._hosts > 1 or (self._hosts == 0 and version != "1.0"):
            return InvalidRequest("The request must have exactly one Host header.")
        if self._hosts and not _HOST.fullmatch(self._host):
            return InvalidRequest("The Host header must be a name or address, and at most a port.")
        if version == "1.0" and self._framing:
            return InvalidRequest("A body needs HTTP/1.1.")
        if self._framing.startswith(b"t") and self._framing.lower() != b"transfer-encoding: chunked":
            return InvalidRequest("The only transfer coding taken is 'chunked'.")
        if not self.url.startswith(b"/") and self.url.partition(b"://")[2].partition(b"/")[0] != self._host:
            return InvalidRequest("The request's target and its Host header name different places.")
        if len(self.pipeline) >= MOST_WAITING:
            return RateLimited(f"More than {MOST_WAITING} requests were sent ahead of their answers.")
        return None

    def _should_upgrade(self) -> bool:
        return False


def guarded(limits: Limits, refused: Refused = lambda *_: None) -> type[GuardedProtocol]:
    """A protocol class with these limits, for one server."""
    clocks = {
        "head_clock": Patience(limits.header_timeout_s, "header"),
        "body_clock": Patience(limits.body_timeout_s, "body"),
    }
    own = {"limits": limits, "refused": staticmethod(refused)}
    return type("BoundedProtocol", (GuardedProtocol,), own | clocks)
