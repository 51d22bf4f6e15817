"""From a route to an open connection: name, TCP, proxy, TLS. What these raise is translated here and nowhere else."""

from __future__ import annotations

import asyncio
import errno
import itertools
import os
import socket
import ssl
from collections import defaultdict
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from thalweg.canon.errors import UpstreamTimeout, UpstreamUnreachable
from thalweg.upstream.base import Origin, UpstreamRequest
from thalweg.upstream.connection import Connection, ReceiveBuffer
from thalweg.upstream.proxy import Proxy, open_tunnel
from thalweg.upstream.route import Route

# RFC 8305 section 5: how long one address is alone before the next is tried beside it.
STAGGER_S = 0.25

Address = tuple[int, int, int, str, Any]
"""What `getaddrinfo` returns for each address."""


class Dialer:
    """Opens connections. One for a connector; holds what all of them have in common."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        self._buffers = ReceiveBuffer()

    async def dial(self, route: Route, request: UpstreamRequest) -> Connection:
        """Open a connection for `request`, which is not sent. How long that may take is the caller's to say.

        Raises `UpstreamUnreachable`. Cancelling it closes what was half open.
        """
        try:
            return await self._open(route)
        except (OSError, UnicodeError) as error:
            message = f"{_told(route, request)}: {reason(error)}"
            raise UpstreamUnreachable(message, provider=request.provider) from error

    async def _open(self, route: Route) -> Connection:
        way = await self.way(route)
        connection = Connection(route, self._buffers)
        secure = route.origin.scheme == "https"
        # When this fails or is cancelled, the loop has closed the socket.
        await asyncio.get_running_loop().create_connection(
            lambda: connection,
            **_where(way),
            ssl=self._context if secure else None,
            server_hostname=route.origin.host if secure else None,
        )
        return connection

    async def way(self, route: Route) -> socket.socket | Address:
        """What leads to the route's origin, or to the proxy that forwards: the only address there is, or a socket that
        is connected already.
        """
        proxy = route.proxy
        if proxy is not None and route.tunnelled:
            return await tunnel(proxy, route.origin)
        end = route.origin if proxy is None else proxy
        found = await _resolve(end.host, end.port)
        # The loop connects to one address for half of what it costs to hand it a socket.
        return found[0] if len(found) == 1 else await connect(found)


def _where(way: socket.socket | Address) -> dict[str, Any]:
    """The same in the words of `create_connection`."""
    if isinstance(way, socket.socket):
        return {"sock": way}
    family, _, protocol, _, target = way
    return {"host": target[0], "port": target[1], "family": family, "proto": protocol}


def too_late(route: Route, request: UpstreamRequest) -> UpstreamTimeout:
    """That opening a connection has taken longer than the request allows."""
    message = f"{_told(route, request)}: there was no connection within {request.connect_timeout_s:g} s"
    return UpstreamTimeout(message, phase="connect", provider=request.provider)


def _told(route: Route, request: UpstreamRequest) -> str:
    """That there is no way: to whom, where that is, and which setting says so. Of a proxy nothing but its address."""
    setting = f" ({request.setting})" if request.setting else ""
    by_way = f" by way of the proxy {route.proxy}" if route.proxy is not None else ""
    return f"{request.provider or 'the upstream'} cannot be reached at {route.origin}{setting}{by_way}"


def reason(error: OSError | UnicodeError) -> str:
    """A few words for people on why there is no connection."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is refused ({error.verify_message})"
    if isinstance(error, ssl.SSLError):
        return f"TLS failed ({getattr(error, 'reason', None) or error})"
    if isinstance(error, (socket.gaierror, UnicodeError)):
        return f"its name cannot be resolved ({getattr(error, 'strerror', None) or 'not a host name'})"
    if error.errno:
        return os.strerror(error.errno)
    # The loops raise bare classes for a close in the middle of a handshake.
    return str(error) or "the connection was closed"


async def tunnel(proxy: Proxy, origin: Origin) -> socket.socket:
    """A socket whose bytes go to `origin` by way of a proxy that only passes them. Raises `OSError`."""
    sock = await _connect(proxy.host, proxy.port)
    try:
        await open_tunnel(sock, proxy, origin)
    except BaseException:
        sock.close()
        raise
    return sock


async def connect(found: Sequence[Address]) -> socket.socket:
    """A socket to the first of a name's addresses that answers. Raises `OSError` when none does."""
    addresses = _interleaved(found)
    if len(addresses) == 1:
        return await _connect_to(addresses[0])
    return await _Race(addresses).winner()


async def _connect(host: str, port: int) -> socket.socket:
    return await connect(await _resolve(host, port))


async def _resolve(host: str, port: int) -> Sequence[Address]:
    # An address in digits needs no lookup, and so no thread.
    return _in_digits(host, port) or await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)


@lru_cache(maxsize=256)
def _in_digits(host: str, port: int) -> Sequence[Address]:
    """The address that a host is already; empty for a name."""
    try:
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except socket.gaierror:
        return ()


def _interleaved(addresses: Sequence[Address]) -> list[Address]:
    # RFC 8305 section 4: families take turns, so that one dead family costs one stagger and not one per address.
    families: defaultdict[int, list[Address]] = defaultdict(list)
    for address in addresses:
        families[address[0]].append(address)
    turns = itertools.chain.from_iterable(itertools.zip_longest(*families.values()))
    return [address for address in turns if address is not None]


async def _connect_to(address: Address) -> socket.socket:
    family, kind, protocol, _, target = address
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await _connected(sock, target)
    except BaseException:
        sock.close()
        raise
    return sock


async def _connected(sock: socket.socket, target: Any) -> None:
    """As the loop's `sock_connect`. uvloop's has a thread look up the address, though it stands there in digits."""
    error = sock.connect_ex(target)
    if error == errno.EINPROGRESS:
        loop, over = asyncio.get_running_loop(), asyncio.Event()
        loop.add_writer(sock, over.set)
        try:
            await over.wait()
        finally:
            loop.remove_writer(sock)
        error = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if error:
        raise OSError(error, os.strerror(error))


class _Race:
    """Several addresses of one name, each tried a little after the one before; the first to answer is taken."""

    def __init__(self, addresses: Sequence[Address]) -> None:
        self._waiting = list(addresses)
        self._running: set[asyncio.Task[socket.socket]] = set()
        self._first_error: BaseException | None = None

    async def winner(self) -> socket.socket:
        """The first socket that connects. Raises the first error when none does; closes all others."""
        try:
            while self._waiting or self._running:
                sock = await self._round()
                if sock is not None:
                    return sock
        finally:
            await self._close_losers()
        raise self._first_error or OSError("its name has no address")

    async def _round(self) -> socket.socket | None:
        if self._waiting:
            self._running.add(asyncio.create_task(_connect_to(self._waiting.pop(0))))
        patience = STAGGER_S if self._waiting else None
        done, _ = await asyncio.wait(self._running, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
        for attempt in done:
            self._running.discard(attempt)
            error = attempt.exception()
            if error is None:
                return attempt.result()
            self._first_error = self._first_error or error
        return None

    async def _close_losers(self) -> None:
        for attempt in self._running:
            attempt.cancel()
        for outcome in await asyncio.gather(*self._running, return_exceptions=True):
            if isinstance(outcome, socket.socket):
                outcome.close()
