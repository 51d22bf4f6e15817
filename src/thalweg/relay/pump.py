"""The loop that moves bytes between an exchange, an upstream call and a client. The only place of the room that awaits.

Upstream bytes arrive as callbacks (`Listener`) and are decided upon at once. Where the client's transport can take
them, they are written in the same callback, without waking anybody; else one future at most is woken for them, and
the task that waits for it writes whatever has gathered in one go.

A callback is the edge of what runs for an answer: whoever calls it (a connector, the server's sweep) can do nothing
about a bug of ours and has other streams to serve. So a bug ends here, and its stream with an error that names it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from thalweg.canon.errors import Cancelled, GatewayError, Internal, UpstreamError
from thalweg.canon.scrub import blame
from thalweg.relay.budget import SMALL_BYTES
from thalweg.relay.exchange import LINGER_S, Exchange, Wish
from thalweg.relay.fastpath import FastPath, Line, PassingPath, TranslatingPath
from thalweg.relay.plan import Headers
from thalweg.relay.taps import Tap
from thalweg.relay.translator import Translator
from thalweg.upstream.base import Call, Connector, ResponseHead, UpstreamRequest

SLICE_BYTES = 64 * 1024
"""The most that is handed to the client's transport in one write."""
CLOSING_S = 1.0
"""How long an upstream's connection that was told to close is waited for. It takes one turn of the loop, or two."""

_log = logging.getLogger("thalweg.relay")
_now = time.monotonic
_ABORT = Wish.ABORT


class Client(Protocol):
    """Where the answer goes. What waits returns, or raises `OSError`, once the client is gone."""

    async def send_head(self, status: int, headers: Headers) -> None:
        """Send status and headers."""

    @property
    def line(self) -> Line | None:
        """Where transfer chunks can be written as they are, once the head is sent; `None` where that cannot be."""

    def write_now(self, data: bytes) -> bool:
        """Send some of the body, if that needs no waiting; `False` means that nothing was sent."""

    async def send_body(self, data: bytes, *, more: bool) -> None:
        """Send some of the body; returns when the client's transport can take more."""


class Pump:
    """Runs one exchange. Lives as long as the request; `run` owns it, and nothing of it is left when `run` returns."""

    __slots__ = (
        "_call",
        "_client",
        "_connector",
        "_ended",
        "_fast_path",
        "_high_water",
        "_linger",
        "_low_water",
        "_paused",
        "_request",
        "_taps",
        "_waiter",
        "aborted_at",
        "exchange",
        "lost",
    )

    def __init__(
        self,
        exchange: Exchange,
        *,
        connector: Connector,
        request: UpstreamRequest,
        client: Client,
        taps: Iterable[Tap] = (),
    ) -> None:
        self.exchange = exchange
        self.aborted_at: float | None = None
        """When the upstream call was told to close, on the monotonic clock."""
        self.lost = False
        """Whether a send has said that the client is gone."""
        self._connector = connector
        self._request = request
        self._client = client
        self._taps = tuple(taps)
        self._call: Call | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._fast_path: FastPath | None = None
        self._linger: asyncio.TimerHandle | None = None
        self._paused = False
        self._ended = False
        """Whether the client was told that the body ends."""
        self._high_water = exchange.plan.bounds.high_water_bytes
        self._low_water = exchange.plan.bounds.low_water_bytes

    async def run(self) -> None:
        """Carry the request through. Whatever happens, the upstream call is over afterwards and each tap was told."""
        exchange = self.exchange
        try:
            if not exchange.finished:
                self._start()
            while True:
                try:
                    await self._deliver()
                except OSError:
                    # So ASGI servers may say it; that the client left, which they also tell, may come later.
                    self.lost = True
                    self.client_left()
                if exchange.finished:
                    break
                await self._woken()
            if exchange.outcome == "cancelled":
                await self.seen_closed()
        finally:
            self._close()

    async def break_off(self, error: GatewayError) -> None:
        """Tell the client that the answer, which was to be gone on with when `run` returned, is not."""
        self.exchange.breaks_off(error)
        with contextlib.suppress(OSError):  # it has gone
            await self._deliver()

    @property
    def call(self) -> Call | None:
        """The upstream call, once it was started."""
        return self._call

    async def seen_closed(self) -> float | None:
        """When the upstream's connection was seen closed, on the monotonic clock. Waits for that, once it was told to.

        `None` when there was no call, it is not over, or the connection is still there after `CLOSING_S`.
        """
        call = self._call
        if call is not None and call.closed_at is not None and call.lost_at is None:
            seen = asyncio.get_running_loop().create_future()
            call.when_lost(lambda: None if seen.done() else seen.set_result(None))
            await asyncio.wait([seen], timeout=CLOSING_S)
        return None if call is None else call.lost_at

    # Told by others, on the loop's thread.

    def client_left(self) -> None:
        """The client closed its connection."""
        self._tell(self.exchange.client_left, _now())
        if self.exchange.settled:
            return
        if self._paused:
            self._resume()
        if self._linger is None:
            self._linger = asyncio.get_running_loop().call_later(LINGER_S + 0.005, self.tick)

    def cancel(self, error: Cancelled) -> None:
        """Stop the answer; the client is told."""
        self._tell(self.exchange.cancelled, error, _now())

    def yields(self) -> None:
        """Another attempt at the same request has spoken first."""
        self._tell(self.exchange.yielded, _now())

    def shut_down(self, error: GatewayError) -> None:
        """The gateway goes away."""
        self._tell(self.exchange.shut_down, error, _now())

    def tick(self, now: float | None = None) -> int:
        """Time passed. Returns how many bytes are held that the budget was not asked for."""
        exchange, now = self.exchange, _now() if now is None else now
        try:
            fast_path = self._fast_path
            if fast_path is not None:
                if fast_path.is_open and now < exchange.due_at and (held_bytes := fast_path.survey()) <= SMALL_BYTES:
                    return held_bytes
                fast_path.publish()
            held_bytes = exchange.held_bytes
            if now < exchange.due_at and held_bytes <= SMALL_BYTES:
                return held_bytes
            exchange.ticked(now, reading=not self._paused)
            if exchange.wish is not None or exchange.pending_bytes or exchange.head is not None:
                self._obey()
                self._wake()
            return max(exchange.held_bytes - exchange.share.answer_bytes, 0)
        except Exception as error:  # noqa: BLE001  # the sweep has other streams
            self._broke(error)
            return 0

    # Told by the upstream call.

    @property
    def fast_path(self) -> FastPath | None:
        """The way of the common read, made when there is one for the first time."""
        if self.exchange.passing is None or self._waiter is None:
            return None
        if self._fast_path is None:
            line = self._client.line
            if line is None:
                return None
            kind = TranslatingPath if isinstance(self.exchange.passing, Translator) else PassingPath
            self._fast_path = kind(self.exchange, line, self._broke)
        self._fast_path.open()
        return self._fast_path

    def connected(self) -> None:
        """The request is being sent."""
        self.exchange.connected(_now())

    def head_received(self, head: ResponseHead) -> None:
        """The upstream answers."""
        self._tell(self.exchange.head_received, head, _now())

    def body_received(self, data: bytes) -> None:
        """Some of the body came, for which there is no fast path."""
        exchange, now = self.exchange, _now()
        if self._fast_path is not None:
            self._fast_path.shut()
        try:
            exchange.body_received(data, now)
            if exchange.wish is not None:
                self._obey()
            if exchange.pending_bytes:
                # A task that waits has written everything before this, so that nothing can be overtaken.
                if self._waiter is not None and not exchange.over and exchange.head is None:
                    if self._client.write_now(exchange.peek()):
                        exchange.passed_on(now)
                        return
                if exchange.pending_bytes > self._high_water and not self._paused:
                    self._pause()
                self._wake()
            elif exchange.settled:
                self._wake()
        except Exception as error:  # noqa: BLE001  # the connector would stop and say nothing
            self._broke(error)

    def body_ended(self) -> None:
        """The body is whole."""
        self._tell(self.exchange.body_ended, _now())

    def call_failed(self, error: GatewayError) -> None:
        """The call is over without a whole answer."""
        if isinstance(error, UpstreamError) and not error.provider:
            error.provider = self.exchange.plan.upstream.provider
        self._tell(self.exchange.call_failed, error, _now())

    # Inner workings.

    def _start(self) -> None:
        try:
            self._call = self._connector.start(self._request, self)
        except Exception as error:  # noqa: BLE001  # the client is told in its dialect, and the ledger all the same
            self._broke(error)

    def _tell(self, happened: Callable[..., None], *what: Any) -> None:
        """Have the exchange decide on what happened, and do what it wishes."""
        if self._fast_path is not None:
            self._fast_path.shut()
        try:
            happened(*what)
            self._obey()
        except Exception as error:  # noqa: BLE001  # the edge of a callback
            self._broke(error)
        exchange = self.exchange
        # Of what else happened there is nothing to deliver: the task would wait again.
        if exchange.pending_bytes or exchange.head is not None or exchange.finished:
            self._wake()

    def _broke(self, error: Exception) -> None:
        """End the answer with an error of ours. Called where an exception is being handled."""
        exchange, fast_path = self.exchange, self._fast_path
        name = exchange.plan.stream_id
        if not isinstance(error, GatewayError):
            _log.error("stream %s failed: %s", name, blame(error), extra={"stream_id": name})
            error = Internal(f"Something went wrong here. Look for {name} in the log.")
        try:
            if fast_path is not None:
                fast_path.shut()
            exchange.shut_down(error, _now())
        except Exception as worse:  # noqa: BLE001  # it cannot even be said: the client's connection is cut
            _log.error("stream %s failed to say so: %s", name, blame(worse), extra={"stream_id": name})
            exchange.give_up(_now())
        self._wake()
        self._obey()

    def _obey(self) -> None:
        """Do to the upstream call what the exchange wishes, in the same turn of the loop."""
        wish, call = self.exchange.wish, self._call
        if wish is None or call is None:
            return
        self.exchange.wish = None
        if wish is _ABORT:
            self.aborted_at = _now()
            call.abort()
        else:
            call.release()

    def _pause(self) -> None:
        self._paused = True
        if self._call is not None:
            self._call.pause_reading()

    def _resume(self) -> None:
        self._paused = False
        self.exchange.heard_at = _now()
        if self._call is not None and not self.exchange.settled:
            self._call.resume_reading()

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if self._fast_path is not None:
            self._fast_path.shut()
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    async def _woken(self) -> None:
        """Wait until something happens; of an exchange that has not finished."""
        exchange = self.exchange
        if exchange.pending_bytes or exchange.head is not None:
            return
        self._waiter = asyncio.get_running_loop().create_future()
        if self._fast_path is not None:
            self._fast_path.open()
        if exchange.passing is not None and self._call is not None:
            # The head may only just have gone out: without this the next read would go the long way for nothing.
            self._call.fast_path_opened()
        await self._waiter

    async def _deliver(self) -> None:
        """Hand to the client whatever there is for it."""
        exchange = self.exchange
        if exchange.head is not None:
            (status, headers), exchange.head = exchange.head, None
            await self._client.send_head(status, headers)
        while exchange.pending_bytes:
            data = exchange.take()
            await self._send(data)
            exchange.delivered(_now())
            if self._paused and exchange.pending_bytes <= self._low_water:
                self._resume()
        if exchange.over and not (self._ended or exchange.client_gone or exchange.faltered):
            # It ended after its last bytes were on their way.
            await self._send(b"")

    async def _send(self, data: bytes) -> None:
        """Send in slices, the last of an ended answer together with the end of the body."""
        exchange, at = self.exchange, 0
        while len(data) - at > SLICE_BYTES:
            await self._client.send_body(data[at : at + SLICE_BYTES], more=True)
            at += SLICE_BYTES
        self._ended = exchange.over and not (exchange.pending_bytes or exchange.faltered)
        await self._client.send_body(data[at:], more=not self._ended)

    def _close(self) -> None:
        """Leave nothing behind: also when the task was cancelled or a bug was raised."""
        exchange = self.exchange
        if not exchange.finished:
            self._tell(exchange.give_up, _now())
        if self._fast_path is not None:
            self._fast_path.close()
            self._fast_path = None  # which knows of this
        if self._linger is not None:
            self._linger.cancel()
            self._linger = None
        report = exchange.report(None if self._call is None else self._call.lost_at)
        name = exchange.plan.stream_id
        for tap in self._taps:
            try:
                tap.ended(report)
            except Exception as error:  # noqa: BLE001  # the others are told all the same
                _log.error("a tap of stream %s failed: %s", name, blame(error), extra={"stream_id": name})
