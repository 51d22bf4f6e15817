"""Which addresses are public; and a connection goes to an address that was found so, or nowhere."""

from __future__ import annotations

import ipaddress
import socket
import ssl

import pytest

from tests.upstream.loopback import on_both_loops
from thalweg.upstream import dial, public
from thalweg.upstream.base import Origin
from thalweg.upstream.proxy import Proxy
from thalweg.upstream.public import Names, NotPublic, PublicDialer, is_public
from thalweg.upstream.route import Route

PUBLIC = (
    "1.1.1.1",
    "93.184.216.34",
    "100.63.255.255",
    "100.128.0.0",
    "172.15.255.255",
    "172.32.0.0",
    "192.0.1.1",
    "223.255.255.255",
    "2606:4700:4700::1111",
    "2a00:1450::1",
    "240e::1",
    "2001:4860:4860::8888",
    "::ffff:1.1.1.1",
    "64:ff9b::101:101",
    "2606:4700::5efe:101:101",
)
NOT_PUBLIC = (
    "0.0.0.0",
    "0.0.0.1",
    "0.255.255.255",
    "10.0.0.0",
    "10.0.0.1",
    "10.255.255.255",
    "100.64.0.0",
    "100.100.100.200",
    "100.127.255.255",
    "127.0.0.0",
    "127.0.0.1",
    "127.0.0.53",
    "127.255.255.255",
    "168.63.129.16",
    "169.254.0.0",
    "169.254.0.23",
    "169.254.169.253",
    "169.254.169.254",
    "169.254.170.2",
    "172.16.0.1",
    "172.17.0.1",
    "172.31.255.255",
    "192.0.0.1",
    "192.0.0.9",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.0.1",
    "192.168.255.255",
    "198.18.0.1",
    "198.19.255.255",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::2",
    "::7f00:1",
    "::ffff:0.0.0.0",
    "::ffff:10.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "::ffff:0:127.0.0.1",
    "::ffff:0:1.1.1.1",
    "64:ff9b::7f00:1",
    "64:ff9b::a00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b::a83f:8110",
    "64:ff9b:1::1",
    "64:ff9b:1::101:101",
    "100::1",
    "2001::1",
    "2001:0:53aa:64c:0:0:80ff:fffe",
    "2001:0:101:101::1",
    "2001:2::1",
    "2001:10::1",
    "2001:20::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "2002:a9fe:a9fe::1",
    "2002:101:101::1",
    "2606:4700::5efe:7f00:1",
    "2606:4700::200:5efe:a00:1",
    "3fff::1",
    "4000::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fdff::1",
    "fe80::1",
    "fe80::1%2",
    "febf::1",
    "fec0::1",
    "2606:4700::1%2",
    "ff01::1",
    "ff02::1",
    "ff0e::1",
)


@pytest.mark.parametrize("address", PUBLIC)
def test_public(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_not_public(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))


def found_at(*addresses: str, port: int = 80, scope: int = 0) -> list[dial.Address]:
    """What a lookup finds."""
    return [
        (socket.AF_INET6, socket.SOCK_STREAM, 6, "", (address, port, 0, scope))
        if ":" in address
        else (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))
        for address in addresses
    ]


class Dialled:
    """A dialler whose lookups find the same every time, and what it connected to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, found: list[dial.Address]) -> None:
        self.lookups: list[str] = []
        self.reached: list[list[dial.Address]] = []
        self.dialler = PublicDialer(ssl.create_default_context(), resolve=self._resolve)
        self._found = found
        monkeypatch.setattr(public, "connect", self._connect)

    async def _resolve(self, host: str, port: int) -> list[dial.Address]:
        self.lookups.append(host)
        return self._found

    async def _connect(self, found: list[dial.Address]) -> socket.socket:
        self.reached.append(found)
        return socket.socket()

    async def open(self, host: str, *, scheme: str = "http", proxy: Proxy | None = None) -> None:
        (await self.dialler.way(Route(Origin(scheme, host, 80), proxy))).close()


async def test_the_connection_goes_to_what_the_one_lookup_found(monkeypatch: pytest.MonkeyPatch) -> None:
    found = found_at("93.184.216.34", "2606:4700::1")
    dialled = Dialled(monkeypatch, found)
    await dialled.open("a.example")
    assert dialled.lookups == ["a.example"]
    assert dialled.reached == [found]


@pytest.mark.parametrize(
    "found",
    [
        pytest.param([], id="no address"),
        pytest.param(found_at("93.184.216.34", "127.0.0.1"), id="a public one and a private one"),
        pytest.param(found_at("10.0.0.1", "93.184.216.34"), id="in the other order"),
        pytest.param(found_at("93.184.216.34", "::1"), id="a private one of the other family"),
        pytest.param(found_at("2606:4700::1", scope=2), id="a zone"),
        pytest.param(found_at("2606:4700::1%eth0"), id="a zone in the text"),
        pytest.param([(socket.AF_UNIX, socket.SOCK_STREAM, 0, "", "/run/x")], id="no internet address"),
    ],
)
async def test_every_address_must_be_public(found: list[dial.Address], monkeypatch: pytest.MonkeyPatch) -> None:
    dialled = Dialled(monkeypatch, found)
    with pytest.raises(NotPublic, match=r"^its host has no public address$"):
        await dialled.open("a.example")
    assert dialled.reached == []


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.1", "0x7f.1", "2130706433", "0177.0.0.1", "0", "::1", "::ffff:7f00:1"]
)
async def test_an_address_in_any_digits_is_checked_without_a_lookup(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    dialled = Dialled(monkeypatch, found_at("93.184.216.34"))
    with pytest.raises(NotPublic):
        await dialled.open(host)
    assert (dialled.lookups, dialled.reached) == ([], [])


async def test_a_public_address_needs_no_lookup(monkeypatch: pytest.MonkeyPatch) -> None:
    dialled = Dialled(monkeypatch, [])
    await dialled.open("93.184.216.34")
    assert dialled.lookups == []
    assert [each[-1] for each in dialled.reached[0]] == [("93.184.216.34", 80)]


async def test_a_proxy_is_asked_for_the_checked_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy that looked the name up again could be told another address."""
    asked: list[tuple[Proxy, Origin]] = []

    async def tunnel(proxy: Proxy, origin: Origin) -> socket.socket:
        asked.append((proxy, origin))
        return socket.socket()

    monkeypatch.setattr(public, "tunnel", tunnel)
    dialled, proxy = Dialled(monkeypatch, found_at("2606:4700::1", "93.184.216.34")), Proxy("10.0.0.9", 3128)
    await dialled.open("a.example", scheme="https", proxy=proxy)
    assert asked == [(proxy, Origin("https", "2606:4700::1", 80))]
    with pytest.raises(NotPublic):
        await dialled.open("a.example", scheme="http", proxy=proxy)
    assert (len(asked), dialled.reached) == (1, [])


@on_both_loops
async def test_what_is_allowed_is_reached() -> None:
    async def resolve(host: str, port: int) -> list[dial.Address]:
        return found_at("127.0.0.1", port=port)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        dialler = PublicDialer(ssl.create_default_context(), resolve=resolve, allow=lambda address: address.is_loopback)
        with await dialler.way(Route(Origin("http", "a.example", port))) as sock:
            assert sock.getpeername() == ("127.0.0.1", port)


async def test_a_lookup_is_of_a_whole_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the dot, the machine's own domains would be tried behind a name that is not found."""
    asked: list[str] = []

    def getaddrinfo(host: str, port: int, **_: object) -> list[dial.Address]:
        asked.append(host)
        return found_at("93.184.216.34", port=port)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    names = Names()
    assert await names("a.example", 443) == found_at("93.184.216.34", port=443)
    assert asked == ["a.example."]
    names.close()
    with pytest.raises(RuntimeError):
        await names("a.example", 443)
