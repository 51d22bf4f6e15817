"""Addresses that a client might give so that the gateway reaches what the client cannot: none is connected to.

Every connection that the fetcher would make, to wherever, leads to a canary on loopback, which counts. The rule under
test is the real one; only the name service is ours.
"""

from __future__ import annotations

import asyncio
import itertools
import socket
from collections.abc import AsyncIterator, Iterator

import pytest

from tests.upstream.test_public import NOT_PUBLIC, found_at
from thalweg.canon.errors import InvalidRequest
from thalweg.upstream import dial
from thalweg.upstream.fetch import MediaFetcher

PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 24
SECRET = "s3cret-of-the-query"
PUBLIC = "93.184.216.34"


def _words(text: str) -> list[str]:
    return text.split()


_NAMED_PRIVATELY = [each for each in NOT_PUBLIC if "%" not in each]

# One IPv4 address in the forms that some reader or other takes for it.
_LOOPBACK_FORMS = _words("""
127.0.0.1 127.0.0.2 127.255.255.254 127.1 127.0.1 127.0.0.1. 127.1. 127.0.0.1.. 127.0.0.001 127.00.0.1 0127.0.0.1
2130706433 2130706433. 02130706433 4294967297 0x7f000001 0X7F000001 0x7f.0.0.1 0x7f.1 0x7F.0x0.0x0.0x1 0x7f.0.1
0x07f.0.0.1 0x 0x. 0177.0.0.1 0177.1 017700000001 00000177.0.0.1 0177.0.0.0x1 0 0. 00 0x0 0.0 0.0.0 0.0.0.0 0.0.0.0.
127.0.0.1.0 127.0.0.256 1.127.0.0.1 127.0.0.1e0 +127.0.0.1 -127.0.0.1 127.0.0.1- 127..0.1 .127.0.0.1 127.0.0.1,a.example
①②⑦.⓪.⓪.① １２７.０.０.１ 127。0。0。1 127．0．0．1 127｡0｡0｡1 ２１３０７０６４３３ 𝟏𝟐𝟕.𝟎.𝟎.𝟏 ⑯⑨。②⑤④。⑯⑨｡②⑤④ ¹²⁷.⁰.⁰.¹
""")
_PUBLIC_IN_OCTAL = {"0127.0.0.1", "02130706433"}
_METADATA_FORMS = _words("""
169.254.169.254 2852039166 0xa9fea9fe 0xa9.0xfe.0xa9.0xfe 0251.0376.0251.0376 0251.254.169.254 025177524776 169.16689662
169.254.43518 169.254.169.254. 425.510.425.510 3232235777 0xc0a80101 0300.0250.1.1 192.168.257 10.1 0xa.1 012.1 167772161
100.100.100.200 168.63.129.16 192.0.0.192
""")
_SIX_FORMS = _words("""
[::1] [::] [0:0:0:0:0:0:0:1] [0000::0001] [::0:1] [::1%25eth0] [::1%25] [::1%eth0] [::1%1] [fe80::1%25eth0] [::1%00]
[::127.0.0.1] [::ffff:127.0.0.1] [::FFFF:127.0.0.1] [::ffff:7f00:1] [0:0:0:0:0:ffff:7f00:0001] [::ffff:127.1] [::ffff:0x7f.1]
[::ffff:2130706433] [::ffff:0.0.0.0] [::ffff:169.254.169.254] [::ffff:0:127.0.0.1] [64:ff9b::127.0.0.1] [64:ff9b::a9fe:a9fe]
[2002:7f00:1::] [2002:a9fe:a9fe::] [2001:0:53aa:64c:0:0:80ff:fffe] [fd00:ec2::254] [::1 [::1]] [[::1]] [] [:::1] [::1]a.example
[::1].a.example [v1.::1] [127.0.0.1] [localhost] [::1,::2] ::1 ::ffff:127.0.0.1 [::１] [:: 1]
""")
_NAMES = _words("""
localhost LOCALHOST LocalHost localhost. localhost.. a.localhost localhost.localdomain ip6-localhost ｌｏｃａｌｈｏｓｔ ⓛocalhost
loⅽalhost local%68ost metadata metadata.google.internal METADATA.GOOGLE.INTERNAL. instance-data instance-data.ec2.internal
kubernetes kubernetes.default.svc.cluster.local redis postgres host.docker.internal gateway.docker.internal printer.local
router.home.arpa db.internal a.invalid a.test a.onion a.alt
""")
_USERS = (
    "http://a.example@127.0.0.1/", "http://127.0.0.1@a.example/", "http://a.example:80@127.0.0.1/", "http://a:b@a.example/",
    "http://@127.0.0.1/", "http://@a.example/", "http://:@a.example/", "http://a.example%40127.0.0.1/", "http://a@b@127.0.0.1/",
    "http://a.example&@127.0.0.1/", "http://a.example＠127.0.0.1/", "http://a.example;@127.0.0.1/", "http://[::1]@a.example/",
    "http://127.0.0.1:80@a.example/", "http://a.example:@127.0.0.1/", "https://sk-key@a.example/",
)  # fmt: skip
_ENCODED = (
    "http://%31%32%37.0.0.1/", "http://127%2e0%2e0%2e1/", "http://127.0.0.1%00.a.example/", "http://127.0.0.1%2f.a.example/",
    "http://localhost%2e/", "http://%6c%6f%63%61%6c%68%6f%73%74/", "http://127.0.0.1%0d%0ahost:a.example/", "http://%5b::1%5d/",
    "http://127.0.0.1%23.a.example/", "http://127.0.0.1%3f.a.example/", "http://127.0.0.1%5c.a.example/", "http://%00/",
    "http://a.example%E3%80%82127.0.0.1/", "http://℀.example/", "http://127.0.0.1℀.example/", "http://a.example／127.0.0.1/",
    "http://a.example？.127.0.0.1/", "http://a.example＃127.0.0.1/", "http://a.example：80/", "http://\u00ad127.0.0.1/",
)  # fmt: skip
_BLANKS = (
    " http://127.0.0.1/", "http://127.0.0.1/ ", "http://127.0.0.1\n/", "http://127.0.0.1\t/", "http://\t127.0.0.1/",
    "ht\ntp://127.0.0.1/", "http:\n//127.0.0.1/", "http://a.example/\r\nhost: b.example\r\n\r\n", "http://a.example/\0",
    "http://a.example /", "http:\\\\127.0.0.1\\", "http://a.example\\@127.0.0.1/", "http://127.0.0.1\\@a.example/", "http:/\\127.0.0.1/",
    "http://a.example\u2028/", "http://a.exa\u200bmple/", "\ufeffhttp://127.0.0.1/", "http://a.example/\x7f", "http://a.example/\u202e",
    "http://a.example\u3000/",
)  # fmt: skip
_SCHEMES = (
    "file:///etc/passwd", "file://127.0.0.1/etc/passwd", "FILE:///etc/passwd", "ftp://127.0.0.1/", "ftps://127.0.0.1/",
    "gopher://127.0.0.1:80/_GET%20/", "dict://127.0.0.1:80/", "ldap://127.0.0.1/", "sftp://127.0.0.1/", "tftp://127.0.0.1/",
    "jar:http://127.0.0.1!/", "javascript:fetch('http://127.0.0.1')", "data:image/png;base64,iVBORw0KGgo=", "blob:http://127.0.0.1/",
    "ws://127.0.0.1/", "unix:/run/docker.sock", "http+unix://%2frun%2fdocker.sock/", "netdoc:///etc/passwd", "view-source:http://127.0.0.1/",
    "url:http://127.0.0.1/", "//127.0.0.1/", "/etc/passwd", "127.0.0.1", "127.0.0.1:80/", "http:127.0.0.1/", "http:/127.0.0.1/",
    "http:///127.0.0.1/", "http:////127.0.0.1/", "http://", "http:///", "https:", "http://?a", "http://#a", "://127.0.0.1/", "httpx://127.0.0.1/",
    "http//127.0.0.1/", "http;//127.0.0.1/", "", "gs://bucket/x", "s3://bucket/x",
)  # fmt: skip
_PORTS = (
    "22", "25", "0", "00", "1", "79", "81", "442", "6379", "8080", "11434", "65535", "65536", "65616", "4294967376", "99999",
    "-1", "-80", "+80", "080", "0080", "0x50", "80.0", "8 0", "80a", "a", "http", "80:80", "８０", "⑧⓪", "%38%30", "80,443",
)  # fmt: skip


def _vectors() -> Iterator[str]:
    tail = f"/x.png?token={SECRET}"
    for host in (*_LOOPBACK_FORMS, *_METADATA_FORMS, *_SIX_FORMS, *_NAMES):
        yield f"http://{host}{tail}"
    for host in ("127.0.0.1", "[::1]", "169.254.169.254", "localhost", "2130706433", "[::ffff:7f00:1]", "0"):
        yield f"https://{host}{tail}"
        yield f"HtTp://{host}:80{tail}"
        yield f"http://{host}:443{tail}"
        yield f"http://{host}?token={SECRET}"
        yield f"http://{host}#@a.example"
    for address in NOT_PUBLIC:
        host = f"[{address}]" if ":" in address else address
        yield f"http://{host}{tail}"
    yield from (*_USERS, *_ENCODED, *_BLANKS, *_SCHEMES)
    yield from (f"http://a.example:{port}{tail}" for port in _PORTS)


VECTORS = tuple(dict.fromkeys(_vectors()))


def test_there_are_enough_of_them() -> None:
    assert len(VECTORS) > 300


class Canary:
    """What must never be reached, and the name service."""

    def __init__(self) -> None:
        self.reached = 0
        self.port = 0
        self.lookups: list[str] = []
        self.found: list[list[dial.Address]] = []
        """What successive lookups find; the last is found again and again."""

    async def resolve(self, host: str, port: int) -> list[dial.Address]:
        self.lookups.append(host)
        if not self.found:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return self.found.pop(0) if len(self.found) > 1 else self.found[0]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reached += 1
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: image/png\r\ncontent-length: %d\r\n\r\n" % len(PNG) + PNG)
        await writer.drain()
        writer.close()


@pytest.fixture
async def canary(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Canary]:
    canary = Canary()
    server = await asyncio.start_server(canary.serve, "127.0.0.1", 0)
    canary.port = server.sockets[0].getsockname()[1]
    connect_to = dial._connect_to

    async def divert(address: dial.Address) -> socket.socket:
        return await connect_to((socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", canary.port)))

    monkeypatch.setattr(dial, "_connect_to", divert)
    yield canary
    server.close()
    await server.wait_closed()


async def test_the_canary_sings(canary: Canary) -> None:
    """What the other tests rely on: a connection that is made is counted, whatever address it was for."""
    canary.found = [found_at(PUBLIC)]
    fetcher = MediaFetcher(resolve=canary.resolve)
    fetched = await fetcher.fetch("http://a.example/x.png", accepts={"image/png"})
    assert (fetched.data, canary.reached) == (PNG, 1)
    fearless = MediaFetcher(resolve=canary.resolve, allow=lambda address: True)
    await fearless.fetch("http://127.0.0.1/x.png", accepts={"image/png"})
    assert canary.reached == 2
    await fetcher.close()
    await fearless.close()


async def refused(fetcher: MediaFetcher, url: str) -> str:
    """The message that a URL is refused with."""
    try:
        await fetcher.fetch(url, accepts={"image/*"}, param="messages[0].content[1]")
    except InvalidRequest as error:
        assert (error.status, error.param) == (400, "messages[0].content[1]")
        assert SECRET not in error.message
        return error.message
    raise AssertionError(f"{url!r} was fetched")


@pytest.mark.parametrize("resolvable", [True, False], ids=["every name is public", "no name resolves"])
async def test_no_vector_connects(resolvable: bool, canary: Canary) -> None:
    if resolvable:
        canary.found = [found_at(PUBLIC)]
    fetcher = MediaFetcher(resolve=canary.resolve)
    for url in VECTORS:
        await refused(fetcher, url)
    assert (canary.reached, canary.lookups) == (0, [])
    await fetcher.close()


async def test_no_vector_connects_that_passes_for_a_name(canary: Canary) -> None:
    """The same once more without the reader of URLs: each host straight to the dialler, as the system reads it."""
    fetcher = MediaFetcher(resolve=canary.resolve)
    forms = (*_LOOPBACK_FORMS, *_METADATA_FORMS, *_SIX_FORMS)
    hosts = {each.strip("[]").rstrip(".") for each in forms if each.isascii()} - _PUBLIC_IN_OCTAL
    dialler = fetcher._hired()._dialer
    for host in hosts:
        with pytest.raises(OSError, match=r"no public address|not known"):
            await dialler._checked(host, 80)  # type: ignore[attr-defined]
    assert canary.reached == 0
    await fetcher.close()


@pytest.mark.parametrize("address", _NAMED_PRIVATELY)
async def test_names_of_what_is_not_public(address: str, canary: Canary) -> None:
    """A name of that address alone, and one of it and a public one, in both orders: no connection to either."""
    fetcher = MediaFetcher(resolve=canary.resolve)
    for found in ([address], [PUBLIC, address], [address, PUBLIC], ["2606:4700::1", PUBLIC, address]):
        canary.found = [found_at(*found)]
        for url in (f"http://a.example/?{SECRET}", "https://a.example/"):
            message = await refused(fetcher, url)
            assert "its host has no public address" in message
            assert address not in message
            assert PUBLIC not in message
    assert canary.reached == 0
    await fetcher.close()


async def test_a_name_that_is_not_found_sounds_like_one_that_is_private(canary: Canary) -> None:
    """Or a client could ask which names this side's network knows."""
    fetcher = MediaFetcher(resolve=canary.resolve)
    unknown = await refused(fetcher, "https://a.example/")
    canary.found = [found_at("10.0.0.1")]
    assert await refused(fetcher, "https://a.example/") == unknown
    assert unknown == (
        "Invalid value for 'messages[0].content[1]': the file at https://a.example cannot be fetched: "
        "its host has no public address."
    )
    await fetcher.close()


@pytest.mark.parametrize("answers", list(itertools.permutations([PUBLIC, "127.0.0.1", "10.0.0.1"])), ids="-".join)
async def test_a_name_that_changes_its_meaning(answers: tuple[str, ...], canary: Canary) -> None:
    """Each fetch looks the name up once, and goes by what it found then."""
    canary.found = [found_at(each) for each in answers]
    fetcher = MediaFetcher(resolve=canary.resolve)
    for answer in answers:
        before = canary.reached
        if answer == PUBLIC:
            await fetcher.fetch("http://a.example/", accepts={"image/png"})
        else:
            await refused(fetcher, "http://a.example/")
        assert canary.reached - before == (answer == PUBLIC)
    assert canary.lookups == ["a.example"] * 3
    await fetcher.close()
