"""Which proxy leads to which origin, and how it is asked for a tunnel. Nothing here reads the environment itself."""

from __future__ import annotations

import asyncio
import base64
import ipaddress
import re
import socket
from collections.abc import Mapping
from urllib.parse import SplitResult, unquote_to_bytes, urlsplit

import msgspec

from thalweg.upstream.base import Origin
from thalweg.upstream.http1 import MAX_HEAD_BYTES, authority

_STATUS_LINE = re.compile(rb"HTTP/1\.[01] (\d{3})[ \r]")


class Proxy(msgspec.Struct, frozen=True):
    """An http proxy, and the secret that it alone may see."""

    host: str
    port: int
    authorization: bytes | None = None
    """The value of `proxy-authorization`."""

    def __repr__(self) -> str:
        return f"Proxy({self}, authorization={'<hidden>' if self.authorization else None})"

    def __str__(self) -> str:
        return str(Origin("http", self.host, self.port))

    @property
    def headers(self) -> bytes:
        """The complete header lines for this proxy; empty when it wants none."""
        return b"proxy-authorization: %b\r\n" % self.authorization if self.authorization else b""


class ProxySettings(msgspec.Struct, frozen=True, kw_only=True):
    """A proxy for each scheme, and the hosts that are reached without."""

    http: Proxy | None = None
    https: Proxy | None = None
    no_proxy: tuple[str, ...] = ()
    """Lower case: `host` (and all below it), `.host`, either with `:port`, an address, a network, or `*` for all."""

    @classmethod
    def from_mapping(cls, env: Mapping[str, str]) -> ProxySettings:
        """Read `http_proxy`, `https_proxy`, `all_proxy` and `no_proxy`, in lower case or else in upper case.

        Raises `ValueError`, which names the variable and not its value, for a proxy that does not speak plain http.
        """
        everything = _proxy_of(env, "all_proxy")
        return cls(
            http=_proxy_of(env, "http_proxy") or everything,
            https=_proxy_of(env, "https_proxy") or everything,
            no_proxy=tuple(_variable(env, "no_proxy").lower().replace(",", " ").split()),
        )

    def proxy_for(self, origin: Origin) -> Proxy | None:
        """The proxy on the way to `origin`; `None` for the direct way."""
        proxy = self.https if origin.scheme == "https" else self.http
        if proxy is None or any(_excepts(entry, origin) for entry in self.no_proxy):
            return None
        return proxy


class TunnelRefused(ConnectionError):
    """The proxy did not open the tunnel. The message names the proxy and what it said."""


async def open_tunnel(sock: socket.socket, proxy: Proxy, origin: Origin) -> None:
    """Make the connection to `proxy` lead to `origin`. Raises `TunnelRefused` and `OSError`."""
    loop = asyncio.get_running_loop()
    target = authority(origin)
    request = b"CONNECT %b HTTP/1.1\r\nhost: %b\r\n%b\r\n" % (target, target, proxy.headers)
    await loop.sock_sendall(sock, request)
    head = await _read_head(sock, proxy)
    status = _STATUS_LINE.match(head)
    if status is None:
        raise TunnelRefused(f"the proxy {proxy} does not speak HTTP")
    if not status[1].startswith(b"2"):
        raise TunnelRefused(f"the proxy {proxy} answered CONNECT with status {status[1].decode()}")
    # In TLS the client speaks first, so a byte behind the head is not the origin's.
    if not head.endswith(b"\r\n\r\n"):
        raise TunnelRefused(f"the proxy {proxy} spoke inside of the tunnel")


async def _read_head(sock: socket.socket, proxy: Proxy) -> bytes:
    loop = asyncio.get_running_loop()
    head = b""
    while b"\r\n\r\n" not in head:
        piece = await loop.sock_recv(sock, 4096)
        if not piece:
            raise TunnelRefused(f"the proxy {proxy} closed the connection")
        head += piece
        if len(head) > MAX_HEAD_BYTES:
            raise TunnelRefused(f"the proxy {proxy} answered CONNECT with an endless head")
    return head


def _variable(env: Mapping[str, str], name: str) -> str:
    return (env.get(name) or env.get(name.upper()) or "").strip()


def _proxy_of(env: Mapping[str, str], name: str) -> Proxy | None:
    value = _variable(env, name)
    if not value:
        return None
    try:
        url = urlsplit(value if "://" in value else f"http://{value}")
        port = url.port or 80
    except ValueError:
        # The parser's own words hold the URL, and that may hold a password.
        raise ValueError(f"{name} is no URL of a proxy") from None
    if url.scheme != "http" or not url.hostname:
        raise ValueError(f"{name} must be http://HOST:PORT; a proxy of scheme {url.scheme!r} is not supported")
    return Proxy(host=url.hostname, port=port, authorization=_basic(url))


def _basic(url: SplitResult) -> bytes | None:
    userinfo, at, _ = url.netloc.rpartition("@")
    if not at:
        return None
    user, _, password = userinfo.partition(":")
    return b"Basic " + base64.b64encode(unquote_to_bytes(user) + b":" + unquote_to_bytes(password))


def _excepts(entry: str, origin: Origin) -> bool:
    if entry == "*":
        return True
    network = _network(entry)
    if network is not None:
        address = _network(origin.host)
        return address is not None and address.version == network.version and address.network_address in network
    name, port = _split_port(entry)
    if port and port != str(origin.port):
        return False
    name = name.lstrip(".")
    return origin.host == name or origin.host.endswith(f".{name}")


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(text.strip("[]"), strict=False)
    except ValueError:
        return None


def _split_port(entry: str) -> tuple[str, str]:
    name, colon, port = entry.rpartition(":")
    return (name.strip("[]"), port) if colon and port.isdigit() else (entry, "")
