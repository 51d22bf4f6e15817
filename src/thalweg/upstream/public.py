"""Which addresses are anybody's to reach, and connections that go to no others.

A name is resolved once; every address that it has must be public, and the connection goes to one of those very
addresses. So a name that means something else a moment later gains nothing by it.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import cast

from thalweg.upstream.base import Origin
from thalweg.upstream.dial import Address, Dialer, connect, tunnel
from thalweg.upstream.route import Route

IP = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolve = Callable[[str, int], Awaitable[Sequence[Address]]]
"""Finds the addresses of a name. Raises `OSError`."""
Allow = Callable[[IP], bool]
"""Says whether an address may be reached."""

LOOKUPS_AT_ONCE = 8

# IANA's registries of special-purpose addresses, read 2026-11, as far as `ipaddress` of Python 3.11 takes what is in
# them for public; and two that stand in no registry.
_NOT_PUBLIC_4 = tuple(
    map(
        ipaddress.IPv4Network,
        (
            "192.0.0.0/24",  # protocol assignments; Oracle's metadata among them
            "192.88.99.0/24",  # relays of 6to4, given up
            "168.63.129.16/32",  # Azure's host, which every machine there trusts
        ),
    )
)
_NOT_PUBLIC_6 = tuple(
    map(
        ipaddress.IPv6Network,
        (
            "2001::/23",  # protocol assignments; Teredo, which holds an IPv4 address, among them
            "2001:db8::/32",
            "2002::/16",  # 6to4, which holds an IPv4 address and is given up
            "3fff::/20",  # documentation
        ),
    )
)
_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_ISATAP = frozenset({0x00005EFE, 0x02005EFE})


class NotPublic(OSError):
    """A name has an address that not everybody may reach, or none. The message names neither."""

    def __init__(self) -> None:
        super().__init__("its host has no public address")


def is_public(address: IP) -> bool:
    """Whether an address is one of the open network, and no other stands inside of it."""
    if isinstance(address, ipaddress.IPv4Address):
        return _is_public_4(address)
    inner = _inside(address)
    if inner is not None:
        return _is_public_4(inner)
    if address not in _GLOBAL_UNICAST or not address.is_global or address.scope_id is not None:
        return False
    if int(address) >> 32 & 0xFFFFFFFF in _ISATAP and not _is_public_4(_low(address)):
        return False
    return not any(address in network for network in _NOT_PUBLIC_6)


def _is_public_4(address: ipaddress.IPv4Address) -> bool:
    if not address.is_global or address.is_multicast or address.is_reserved:
        return False
    return not any(address in network for network in _NOT_PUBLIC_4)


def _inside(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address that a mapped one is, or that a NAT64 leads to: with DNS64, every IPv4 host has such a one."""
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return _low(address) if address in _NAT64 else None


def _low(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address:
    return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)


class Names:
    """Looks names up, on threads of its own: a name whose server never answers must not keep upstreams' waiting."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(LOOKUPS_AT_ONCE, thread_name_prefix="thalweg-names")

    async def __call__(self, host: str, port: int) -> Sequence[Address]:
        """The addresses of a name. Raises `OSError`."""
        # The dot makes it a whole name: none of the machine's own domains is tried behind it.
        ask = partial(socket.getaddrinfo, f"{host}.", port, type=socket.SOCK_STREAM)
        return await asyncio.get_running_loop().run_in_executor(self._threads, ask)

    def close(self) -> None:
        """Take no more names. A lookup under way ends by itself."""
        self._threads.shutdown(wait=False, cancel_futures=True)


class PublicDialer(Dialer):
    """Connects to what `allow` allows and to nothing else. Raises what its base does, with `NotPublic` as the cause.

    Through a proxy it asks for a tunnel to the checked address, so that the proxy looks nothing up. Proxies open those
    for https; there is no other way through one.
    """

    def __init__(self, context: ssl.SSLContext, *, resolve: Resolve, allow: Allow = is_public) -> None:
        super().__init__(context)
        self._resolve = resolve
        self._allow = allow

    async def way(self, route: Route) -> socket.socket:
        """A socket to an address that was checked."""
        origin = route.origin
        found = await self._checked(origin.host, origin.port)
        if route.proxy is None:
            return await connect(found)
        if not route.tunnelled:
            raise NotPublic
        return await tunnel(route.proxy, Origin(origin.scheme, str(_ip_of(found[0])), origin.port))

    async def _checked(self, host: str, port: int) -> Sequence[Address]:
        found = _in_digits(host, port) or await self._resolve(host, port)
        addresses = [_ip_of(each) for each in found]
        if not addresses or not all(address is not None and self._allow(address) for address in addresses):
            raise NotPublic
        return found


def _in_digits(host: str, port: int) -> Sequence[Address]:
    """The address that a host is already, in any form that the system reads; empty for a name."""
    try:
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except (OSError, UnicodeError):
        return ()


def _ip_of(address: Address) -> IP | None:
    """What the connection would go to; `None` for what is no internet address, or is one within a zone only."""
    family, *_, target = address
    if family == socket.AF_INET:
        return ipaddress.IPv4Address(target[0])
    if family != socket.AF_INET6 or "%" in cast(str, target[0]) or (len(target) > 3 and target[3]):
        return None
    return ipaddress.IPv6Address(target[0])
