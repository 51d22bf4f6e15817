"""Proxies: which one is for whom, what it may see, and what becomes of a call that it refuses."""

from __future__ import annotations

import asyncio
import base64
import contextlib
from collections.abc import Callable

import pytest

from tests.upstream.loopback import (
    HELLO,
    RELEASED_WITHIN_S,
    Peer,
    Upstream,
    answering,
    ask,
    certified,
    connecting,
    on_both_loops,
    serving,
    start,
    within,
)
from thalweg.canon.errors import UpstreamTimeout, UpstreamUnreachable
from thalweg.upstream.base import Credential, Origin
from thalweg.upstream.proxy import Proxy, ProxySettings
from thalweg.upstream.route import Route

HTTP = Origin("http", "api.test", 80)
HTTPS = Origin("https", "api.test", 443)
BASIC = b"Basic " + base64.b64encode(b"user:p@ss:word")


class Tunnels:
    """A proxy that opens tunnels, and remembers all that it can read."""

    def __init__(self, wanted: bytes | None = None) -> None:
        self.heads: list[bytes] = []
        self.seen = b""
        self._wanted = wanted

    async def serve(self, peer: Peer) -> None:
        head, _ = await peer.request()
        self.heads.append(head)
        if self._wanted and b"proxy-authorization: " + self._wanted + b"\r\n" not in head:
            await peer.send(b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n")
            return
        host, _, port = head.split()[1].decode().rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        await peer.send(b"HTTP/1.1 200 Connection established\r\nvia: test\r\n\r\n")
        back = asyncio.ensure_future(self._pass_on(reader, peer.writer))
        await self._pass_on(peer.reader, writer)
        back.cancel()
        await asyncio.gather(back, return_exceptions=True)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                self.seen += data
                writer.write(data)
                await writer.drain()
        writer.close()


def via(proxy: Upstream, userinfo: str = "") -> ProxySettings:
    url = f"http://{userinfo}127.0.0.1:{proxy.origin.port}"
    return ProxySettings.from_mapping({"all_proxy": url})


@pytest.mark.parametrize("userinfo", ["", "user:p%40ss:word@"], ids=["open", "with a password"])
@on_both_loops
async def test_a_tunnel_leads_to_the_origin_and_its_key_stays_inside(userinfo: str, ca_file: str) -> None:
    async def serve(peer: Peer) -> None:
        while head := (await peer.request())[0]:
            received.append(head)
            await peer.send(HELLO)

    received: list[bytes] = []
    tunnels = Tunnels(BASIC if userinfo else None)
    async with (
        serving(serve, tls=certified()) as upstream,
        serving(tunnels.serve) as proxy,
        connecting(proxy, ca_file=ca_file, proxy=via(proxy, userinfo)) as connector,
    ):
        credential = Credential(upstream.origin, b"authorization", b"Bearer sk-secret")
        for _ in range(2):
            heard = await ask(connector, upstream.origin, credential=credential)
            assert heard.body == b"hello"
        assert proxy.accepted == 1, "the tunnel is kept, like any connection"
        assert tunnels.heads[0].startswith(b"CONNECT 127.0.0.1:%d HTTP/1.1\r\n" % upstream.origin.port)
        assert (b"proxy-authorization: " in tunnels.heads[0]) is bool(userinfo)
        assert b"sk-secret" not in tunnels.heads[0] + tunnels.seen
        assert all(b"sk-secret" in head and b"proxy-authorization" not in head for head in received)


REFUSALS = {
    "407": (b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "answered CONNECT with status 407"),
    "403 with a body": (b"HTTP/1.0 403 Forbidden\r\n\r\n<html>", "answered CONNECT with status 403"),
    "nothing": (b"", "closed the connection"),
    "no HTTP": (b"go away\r\n\r\n", "does not speak HTTP"),
    "an endless head": (b"HTTP/1.1 200 OK\r\nx: " + b"y" * 100_000, "endless head"),
    "words inside of the tunnel": (b"HTTP/1.1 200 OK\r\n\r\nboo", "spoke inside"),
}


@pytest.mark.parametrize(("answer", "words"), REFUSALS.values(), ids=REFUSALS.keys())
@on_both_loops
async def test_a_refused_tunnel_names_the_proxy_and_what_it_said(answer: bytes, words: str) -> None:
    async def serve(peer: Peer) -> None:
        await peer.request()
        await peer.send(answer)
        peer.close()
        await peer.gone()

    async with serving(serve) as proxy, connecting(proxy, proxy=via(proxy, "u:secret@")) as connector:
        heard = await ask(connector, HTTPS)
        assert heard.events == ["failed"]
        assert isinstance(heard.error, UpstreamUnreachable)
        assert words in heard.error.message
        assert (
            f"at {HTTPS} (TEST_BASE_URL) by way of the proxy {proxy.origin}: the proxy {proxy.origin}"
            in heard.error.message
        )
        assert "secret" not in repr(heard.error)


@on_both_loops
async def test_a_proxy_that_says_nothing_is_a_connect_timeout() -> None:
    async def serve(peer: Peer) -> None:
        await peer.gone()

    async with serving(serve) as proxy, connecting(proxy, proxy=via(proxy)) as connector:
        heard = await ask(connector, HTTPS, connect_timeout_s=0.05)
        assert isinstance(heard.error, UpstreamTimeout)
        assert heard.error.phase == "connect"


@on_both_loops
async def test_abort_while_the_proxy_thinks() -> None:
    async def serve(peer: Peer) -> None:
        await peer.request()
        asked.set()
        gone.set_result(await peer.gone())

    asked = asyncio.Event()
    gone: asyncio.Future[float] = asyncio.get_running_loop().create_future()
    async with serving(serve) as proxy, connecting(proxy, proxy=via(proxy)) as connector:
        call, heard = start(connector, HTTPS)
        await within(asked.wait())
        call.abort()
        assert call.closed_at is not None
        assert await within(gone) - call.closed_at < RELEASED_WITHIN_S
        assert heard.events == []


@on_both_loops
async def test_an_http_origin_is_asked_for_in_absolute_form() -> None:
    async def serve(peer: Peer) -> None:
        while head := (await peer.request())[0]:
            heads.append(head)
            await peer.send(HELLO)

    heads: list[bytes] = []
    async with serving(serve) as proxy, connecting(proxy, proxy=via(proxy, "user:p%40ss:word@")) as connector:
        assert (await ask(connector, HTTP)).body == b"hello"
        assert heads[0].startswith(b"POST http://api.test:80/v1/chat HTTP/1.1\r\nhost: api.test\r\n")
        assert b"proxy-authorization: " + BASIC + b"\r\n" in heads[0]


@on_both_loops
async def test_an_excepted_host_is_reached_directly() -> None:
    async with (
        serving(answering(HELLO)) as upstream,
        serving(answering(b"HTTP/1.1 502 No\r\n\r\n")) as proxy,
    ):
        settings = ProxySettings(http=Proxy("127.0.0.1", proxy.origin.port), no_proxy=("127.0.0.0/8",))
        async with connecting(upstream, proxy=settings) as connector:
            assert (await ask(connector, upstream.origin)).body == b"hello"
        assert proxy.accepted == 0


# Settings.


@pytest.mark.parametrize(
    ("env", "origin", "expected"),
    [
        ({}, HTTPS, None),
        ({"https_proxy": "http://p:3128"}, HTTPS, Proxy("p", 3128)),
        ({"https_proxy": "http://p:3128"}, HTTP, None),
        ({"HTTPS_PROXY": "http://p:3128/"}, HTTPS, Proxy("p", 3128)),
        ({"HTTPS_PROXY": "http://upper:1", "https_proxy": "http://lower:2"}, HTTPS, Proxy("lower", 2)),
        ({"HTTP_PROXY": "p"}, HTTP, Proxy("p", 80)),
        ({"ALL_PROXY": "p:3128"}, HTTP, Proxy("p", 3128)),
        ({"all_proxy": "http://a:1", "https_proxy": "http://b:2"}, HTTPS, Proxy("b", 2)),
        ({"https_proxy": "  "}, HTTPS, None),
        ({"https_proxy": "http://[::1]:3128"}, HTTPS, Proxy("::1", 3128)),
        ({"https_proxy": "http://user:p%40ss:word@p:1"}, HTTPS, Proxy("p", 1, BASIC)),
        ({"https_proxy": "http://p:1", "NO_PROXY": "API.test"}, HTTPS, None),
    ],
)
def test_settings_from_an_environment(env: dict[str, str], origin: Origin, expected: Proxy | None) -> None:
    assert ProxySettings.from_mapping(env).proxy_for(origin) == expected


@pytest.mark.parametrize(
    ("entries", "host", "direct"),
    [
        ("*", "anything.test", True),
        ("api.test", "api.test", True),
        ("api.test", "eu.api.test", True),
        ("api.test", "notapi.test", False),
        (".api.test", "eu.api.test", True),
        ("a.test, b.test c.test", "c.test", True),
        ("api.test:443", "api.test", True),
        ("api.test:8443", "api.test", False),
        ("10.0.0.0/8", "10.1.2.3", True),
        ("10.0.0.0/8", "11.1.2.3", False),
        ("10.0.0.0/8", "api.test", False),
        ("10.1.2.3", "10.1.2.3", True),
        ("10.1.2.3:443", "10.1.2.3", True),
        ("::1", "::1", True),
        ("[::1]", "::1", True),
        ("[::1]:443", "::1", True),
        ("[::1]:444", "::1", False),
        ("fe80::/10", "10.1.2.3", False),
        ("", "api.test", False),
    ],
)
def test_what_no_proxy_excepts(entries: str, host: str, direct: bool) -> None:
    settings = ProxySettings.from_mapping({"all_proxy": "http://p:1", "no_proxy": entries})
    assert (settings.proxy_for(Origin("https", host, 443)) is None) is direct


@pytest.mark.parametrize(
    "url",
    ["https://u:secret@p:1", "socks5://u:secret@p:1", "http://u:secret@p:port", "http://", "http://u:secret@[::1"],
)
def test_what_is_no_http_proxy_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(ValueError, match="https_proxy") as caught:
        ProxySettings.from_mapping({"https_proxy": url})
    assert "secret" not in repr(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("say", [repr, str])
def test_nobody_says_the_password(say: Callable[[object], str]) -> None:
    proxy = Proxy("p", 3128, BASIC)
    for thing in (proxy, ProxySettings(http=proxy), Route(HTTP, proxy), Credential(HTTP, b"x", BASIC)):
        assert BASIC.decode()[6:] not in say(thing)


def test_routes_differ_by_proxy_and_by_who_asks_it() -> None:
    routes = {Route(HTTP), Route(HTTPS), Route(HTTP, Proxy("p", 1)), Route(HTTP, Proxy("p", 1, BASIC))}
    assert len(routes) == 4
    assert Route(HTTPS, Proxy("p", 1)).tunnelled
    assert Route(HTTP, Proxy("p", 1)).forwarded
    assert not Route(HTTP).tunnelled
    assert not Route(HTTPS).forwarded
