"""Calls over HTTP/1.1: what a listener is told, from the claim of a connection until it is given back or closed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import lru_cache, partial

from thalweg.canon.errors import GatewayError, UpstreamBroke, UpstreamError
from thalweg.upstream.base import FastPath, Listener, Origin, ResponseHead, UpstreamRequest
from thalweg.upstream.connection import Connection
from thalweg.upstream.dial import Dialer, too_late
from thalweg.upstream.http1 import AnswerReader, encode_request
from thalweg.upstream.pool import Pool
from thalweg.upstream.proxy import ProxySettings
from thalweg.upstream.route import Route
from thalweg.upstream.tls import client_context

# What is left of an answer that nobody wants is read for the connection's sake only as long as that is cheaper than
# a new connection.
DISCARD_BYTES = 64 * 1024
DISCARD_S = 1.0


class HttpConnector:
    """A `base.Connector` for http and https origins. Belongs to the event loop it is first used on.

    `max_connections_per_origin` bounds connections, idle ones included; calls beyond it wait in order.
    `max_idle_per_origin` and `keepalive_s` bound what is kept for later calls. `ca_file` names PEM certificates that
    are trusted besides the system's. A `dialer` of one's own opens the connections in its stead.
    """

    def __init__(
        self,
        *,
        max_connections_per_origin: int = 4096,
        max_idle_per_origin: int = 256,
        keepalive_s: float = 15.0,
        ca_file: str | None = None,
        proxy: ProxySettings | None = None,
        dialer: Dialer | None = None,
    ) -> None:
        self.pool = Pool(
            max_per_route=max_connections_per_origin,
            max_idle_per_route=max_idle_per_origin,
            keepalive_s=keepalive_s,
        )
        """Whom a call asks for a connection."""
        self._dialer = dialer or Dialer(client_context(ca_file))
        self._route = lru_cache(maxsize=256)(partial(_route, proxy or ProxySettings()))
        """Nearly all requests go to a few origins."""
        self._calls: set[HttpCall] = set()
        self._dialling: set[asyncio.Task[Connection]] = set()
        self._closed = False

    @property
    def open_connections(self) -> int:
        """Connections that are open, opening or closing; the idle ones are among them."""
        return self.pool.open_connections

    @property
    def idle_connections(self) -> int:
        """Open connections that no call uses."""
        return self.pool.idle_connections

    @property
    def waiting(self) -> int:
        """Calls that wait for a place among the connections of their origin."""
        return self.pool.waiting

    def start(self, request: UpstreamRequest, listener: Listener) -> HttpCall:
        """Begin a call. Nothing is told to the listener before this returns.

        Raises `ValueError`, and sends nothing, when the request could not be sent without breaking HTTP, or when its
        credential is bound to another origin.
        """
        route = self._route(request.origin)
        proxy_headers = route.proxy.headers if route.proxy is not None and route.forwarded else None
        wire = (encode_request(request, proxy_headers=proxy_headers), request.body)
        call = HttpCall(self, request, route, wire, listener)
        self._calls.add(call)
        if self._closed:
            asyncio.get_running_loop().call_soon(call.fail, _closing(request))
        else:
            self.pool.claim(call)
        return call

    def sweep(self) -> None:
        """Close what has been idle for too long. The pool does so by itself; this is for those who want it now."""
        self.pool.sweep()

    async def close(self) -> None:
        """Close every connection and wait for it. Calls under way, and those started later, fail."""
        self._closed = True
        loop = asyncio.get_running_loop()
        for call in self._calls:
            # Each in a step of its own: a listener that raises must not keep the others from hearing it.
            loop.call_soon(call.fail, _closing(call.request))
        await asyncio.sleep(0)
        for task in self._dialling:
            task.cancel()
        await asyncio.gather(*self._dialling, return_exceptions=True)
        await self.pool.close()

    # What its calls use.

    def dial(self, call: HttpCall) -> asyncio.Task[Connection]:
        """Open a connection for a call, in a task that `close` waits for."""
        task = asyncio.get_running_loop().create_task(self._dialer.dial(call.route, call.request))
        self._dialling.add(task)
        task.add_done_callback(self._dialling.discard)
        return task

    def forget(self, call: HttpCall) -> None:
        """The call is over and holds nothing."""
        self._calls.discard(call)


def _route(proxy: ProxySettings, origin: Origin) -> Route:
    return Route(origin, proxy.proxy_for(origin))


class HttpCall:
    """A `base.Call`.

    It is in one of these phases: waiting for a place (no task, no connection), connecting (a task), in use (a
    connection), discarding (in use, but quiet: nobody listens), and over (`closed_at` is set).
    """

    __slots__ = (
        "_announced",
        "_connecting",
        "_connection",
        "_connector",
        "_fresh",
        "_late",
        "_listener",
        "_paused",
        "_quiet",
        "_reader",
        "_timer",
        "_told",
        "_wire",
        "body_received",
        "closed_at",
        "lost_at",
        "request",
        "route",
    )

    def __init__(
        self,
        connector: HttpConnector,
        request: UpstreamRequest,
        route: Route,
        wire: tuple[bytes, bytes],
        listener: Listener,
    ) -> None:
        self.request = request
        self.route = route
        self._connector = connector
        self._wire = wire
        self._listener = listener
        self.body_received = listener.body_received
        """The listener's own: a piece of body takes no way round through the call."""
        self.closed_at: float | None = None
        self.lost_at: float | None = None
        self._told: tuple[Callable[[], None], ...] = ()
        self._quiet = False
        self._announced = False
        self._paused = False
        self._connecting: asyncio.Task[Connection] | None = None
        self._timer: asyncio.TimerHandle | None = None
        """Ends connecting, or discarding, where that takes too long."""
        self._late = False
        """Whether connecting has."""
        # For one connection.
        self._connection: Connection | None = None
        self._reader: AnswerReader | None = None
        self._fresh = False

    # What the listener's side calls.

    def abort(self) -> None:
        """Close the connection now, in whatever phase."""
        if self.closed_at is not None:
            return
        connection, connecting = self._connection, self._connecting
        self._finish()
        if connection is not None:
            if not connection.lost:
                self.lost_at, connection.on_lost = None, self._lost
            connection.abort()
        elif connecting is not None:
            connecting.cancel()
        else:
            self._connector.pool.withdraw(self)

    def when_lost(self, told: Callable[[], None]) -> None:
        """Have `told` called once the connection is seen to be gone."""
        if self.lost_at is None:
            self._told = (*self._told, told)
        else:
            told()

    def release(self) -> None:
        """Give the connection back as soon as it is whole, or close it."""
        if self._quiet:
            return
        reader, connection = self._reader, self._connection
        if reader is None or connection is None or not reader.reusable:
            self.abort()
            return
        self._quiet = True
        if reader.over:
            return  # the connection is about to say so, in the same read
        reader.discard(DISCARD_BYTES)
        connection.resume_reading()
        self._timer = asyncio.get_running_loop().call_later(DISCARD_S, self.abort)

    def pause_reading(self) -> None:
        """Stop reading. What was already read, at most one buffer, is still told."""
        if self._quiet:
            return
        self._paused = True
        if self._connection is not None:
            self._connection.pause_reading()

    def resume_reading(self) -> None:
        """Read on."""
        self._paused = False
        if self._connection is not None:
            self._connection.resume_reading()

    def fast_path_opened(self) -> None:
        """Ask for the fast path before anything else comes."""
        if self._connection is not None:
            self._connection.follow_fast_path()

    # What the pool calls.

    def take(self, connection: Connection) -> None:
        """Send the request on an open connection."""
        self._connection = connection
        self._reader = AnswerReader(self, peer=self.route.origin, provider=self.request.provider)
        connection.send(self._wire, self._reader, self)
        if self._paused:
            connection.pause_reading()
        # Not now: a listener hears nothing before `start` has returned.
        asyncio.get_running_loop().call_soon(self._announce)

    def open(self) -> None:
        """Connect."""
        self._fresh = True
        self._connecting = self._connector.dial(self)
        self._connecting.add_done_callback(self._dialled)
        # Within the task, `asyncio.timeout` would run seven functions of Python for it.
        limit_s = self.request.connect_timeout_s
        self._timer = asyncio.get_running_loop().call_later(limit_s, self._connects_no_longer)

    # What the connection calls.

    @property
    def fast_path(self) -> FastPath | None:
        """The listener's, as long as it wants more."""
        return None if self._quiet else self._listener.fast_path

    def head_received(self, head: ResponseHead) -> None:
        """Pass the head on."""
        self._announce()
        if not self._quiet:
            self._listener.head_received(head)

    def answered(self, connection: Connection, *, reusable: bool) -> None:
        """Give the connection back, then tell the listener."""
        quiet, listener = self._quiet, self._listener
        self._finish()
        if reusable:
            self._connector.pool.give_back(connection)
        else:
            connection.abort()
        if not quiet:
            listener.body_ended()

    def answer_broke(self, error: UpstreamBroke) -> None:
        """Close the connection, then tell the listener."""
        self.fail(error)

    def connection_died(self, error: UpstreamBroke) -> None:
        """Start over when the connection was an old one: it may have died before the request reached it.

        Only once, since the next one is fresh.
        """
        if self._fresh or self._quiet:
            self.fail(error)
            return
        self._connection = self._reader = None
        self._connector.pool.claim_place_again(self)

    # What the connector calls.

    def fail(self, error: UpstreamError) -> None:
        """Close everything, then tell the listener."""
        quiet, listener = self._quiet, self._listener
        self.abort()
        if not quiet:
            listener.call_failed(error)

    def _connects_no_longer(self) -> None:
        if self._connecting is not None:
            self._late = True
            self._connecting.cancel()

    def _dialled(self, task: asyncio.Task[Connection]) -> None:
        self._connecting = None
        self._stop_timer()
        if task.cancelled() or task.exception() is not None:
            self._connector.pool.vacate(self.route)
            self._dialling_failed(task)
        elif not self._connector.pool.adopt(task.result()):
            self._fail_unanswered()
        elif self._quiet:
            task.result().abort()
        elif task.result().closed:
            self._fail_unanswered()
        else:
            self.take(task.result())

    def _dialling_failed(self, task: asyncio.Task[Connection]) -> None:
        if task.cancelled():
            self.fail(too_late(self.route, self.request) if self._late else _closing(self.request))
            return
        error = task.exception()
        if isinstance(error, UpstreamError):
            self.fail(error)
        elif error is not None:
            self.fail(UpstreamBroke("connecting failed for a reason of ours", provider=self.request.provider))
            raise error

    def _fail_unanswered(self) -> None:
        message = f"{self.route.origin} closed the connection before it answered"
        self.fail(UpstreamBroke(message, provider=self.request.provider))

    def _announce(self) -> None:
        if self._announced or self._quiet:
            return
        self._announced = True
        try:
            self._listener.connected()
        except BaseException:
            self.abort()
            raise

    def _lost(self) -> None:
        self.lost_at = time.monotonic()
        told, self._told = self._told, ()
        for tell in told:
            tell()

    def _finish(self) -> None:
        self._quiet = True
        self.closed_at = self.lost_at = time.monotonic()
        self._connection = self._connecting = self._reader = None
        # The listener holds the call: without this, every call would be work for the collector.
        self._listener, self.body_received = _NOBODY, _NOBODY.body_received
        if self._timer is not None:
            self._stop_timer()
        self._connector.forget(self)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class _Nobody:
    """Who listens to a call that is over."""

    fast_path = None

    def connected(self) -> None: ...

    def head_received(self, head: ResponseHead) -> None: ...

    def body_received(self, data: bytes) -> None: ...

    def body_ended(self) -> None: ...

    def call_failed(self, error: GatewayError) -> None: ...


_NOBODY: Listener = _Nobody()


def _closing(request: UpstreamRequest) -> UpstreamError:
    return UpstreamBroke("the gateway is closing its upstream connections", provider=request.provider)
