"""Whether providers' addresses can be reached at all: name, connection, TLS. Nothing is sent, and no key is used.

It goes the way that requests go: the same proxy, the same certificates. Only on an operator's wish.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import Iterable
from typing import Literal

import msgspec

from thalweg.canon.origin import Origin
from thalweg.config import ProviderSettings
from thalweg.upstream.dial import connect, reason, tunnel
from thalweg.upstream.proxy import Proxy, ProxySettings
from thalweg.upstream.tls import client_context

REACH_S = 10.0
"""How long name, connection and TLS may take together."""

Stage = Literal["name", "proxy", "connect", "tls"]


class Reached(msgspec.Struct, frozen=True, kw_only=True):
    """How far it went to one origin."""

    origin: str
    providers: tuple[str, ...]
    """Who is there."""
    failed: Stage | None = None
    """What did not go well; `None` when all did."""
    why: str = ""
    proxy: str = ""
    """The proxy on the way, without its secret."""
    addresses: int = 0
    """How many its name has; 0 where a proxy looks it up."""
    took_ms: float = 0.0
    tls: str = ""
    """The version of TLS; empty without."""
    certificate_ends_s: float | None = None
    """When its certificate is no longer valid, in seconds since 1970."""


async def reach(
    providers: Iterable[ProviderSettings], proxies: ProxySettings | None, ca_file: str | None
) -> list[Reached]:
    """Try the origins of these, all at once and each once. Never raises for what the network does."""
    at: dict[Origin, list[str]] = {}
    for provider in providers:
        at.setdefault(provider.origin, []).append(provider.row.name)
    context = client_context(ca_file) if any(origin.scheme == "https" for origin in at) else None
    tries = [_Try(origin, proxies.proxy_for(origin) if proxies else None, context) for origin in at]
    ends = await asyncio.gather(*(each.run() for each in tries))
    named = zip(ends, at.values(), strict=True)
    return [msgspec.structs.replace(end, providers=tuple(names)) for end, names in named]


class _Try:
    """One way to one origin, step by step."""

    def __init__(self, origin: Origin, proxy: Proxy | None, context: ssl.SSLContext | None) -> None:
        self._origin = origin
        self._proxy = proxy
        self._context = context
        self._stage: Stage = "name"
        self._addresses = 0

    async def run(self) -> Reached:
        begun = time.monotonic()
        end = Reached(origin=str(self._origin), providers=(), proxy=str(self._proxy or ""))
        try:
            async with asyncio.timeout(REACH_S):
                tls, certificate_ends_s = await self._secured(await self._connected())
        except TimeoutError:
            return msgspec.structs.replace(end, failed=self._stage, why=f"nothing came within {REACH_S:.0f} s")
        except (OSError, UnicodeError) as error:
            return msgspec.structs.replace(end, failed=self._stage, why=reason(error))
        return msgspec.structs.replace(
            end,
            addresses=self._addresses,
            took_ms=(time.monotonic() - begun) * 1000,
            tls=tls,
            certificate_ends_s=certificate_ends_s,
        )

    async def _connected(self) -> socket.socket:
        if self._proxy is not None and self._origin.scheme == "https":
            self._stage = "proxy"
            return await tunnel(self._proxy, self._origin)
        host, port = self._origin.host, self._origin.port
        if self._proxy is not None:
            host, port = self._proxy.host, self._proxy.port
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        self._stage = "connect" if self._proxy is None else "proxy"
        self._addresses = len({address[4] for address in found}) if self._proxy is None else 0
        return await connect(found)

    async def _secured(self, sock: socket.socket) -> tuple[str, float | None]:
        """The version of TLS and the end of the certificate, where there is one. The connection is closed then."""
        if self._origin.scheme != "https":
            sock.close()
            return "", None
        self._stage = "tls"
        _, writer = await asyncio.open_connection(sock=sock, ssl=self._context, server_hostname=self._origin.host)
        try:
            certificate = writer.get_extra_info("peercert") or {}
            ends = certificate.get("notAfter")
            version = writer.get_extra_info("ssl_object").version() or ""
        finally:
            writer.transport.abort()
        return version, ssl.cert_time_to_seconds(ends) if isinstance(ends, str) else None
