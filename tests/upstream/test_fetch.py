"""Fetching a file: what is sent, what is taken for one, and how each failure sounds. SSRF has a file of its own."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.upstream.loopback import (
    CA,
    PATIENCE_S,
    Peer,
    Upstream,
    answering,
    answering_once,
    certified,
    hanging,
    on_both_loops,
    serving,
    until,
    unused_port,
    within,
)
from tests.upstream.test_public import found_at
from thalweg import __version__
from thalweg.canon.errors import InvalidRequest, Unavailable
from thalweg.relay.budget import no_room
from thalweg.upstream import dial
from thalweg.upstream.fetch import Fetched, FetchLimits, MediaFetcher
from thalweg.upstream.proxy import Proxy, ProxySettings

PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 24
JPEG = b"\xff\xd8\xff\xe0" + b"\0" * 24
WEBP = b"RIFF\x10\0\0\0WEBPVP8 "
MP4 = b"\0\0\0\x18ftypisom" + b"\0" * 24
PDF = b"%PDF-1.7\n"
PICTURES = frozenset({"image/png", "image/jpeg", "image/webp"})
EVERY_PORT = frozenset(range(1, 65536))


def told(body: bytes, kind: str | None = "image/png", status: int = 200, more: bytes = b"") -> bytes:
    """An answer on the wire."""
    said = b"" if kind is None else b"content-type: %b\r\n" % kind.encode()
    return b"HTTP/1.1 %d X\r\n%b%bcontent-length: %d\r\n\r\n%b" % (status, said, more, len(body), body)


@contextlib.asynccontextmanager
async def fetching(upstream: Upstream | None = None, **settings: Any) -> AsyncIterator[MediaFetcher]:
    """A fetcher to which every name is this machine, and this machine is allowed."""

    async def resolve(host: str, port: int) -> list[dial.Address]:
        return found_at("127.0.0.1", port=port)

    limits = {"ports": EVERY_PORT, "whole_s": PATIENCE_S} | settings.pop("limits", {})
    fetcher = MediaFetcher(
        FetchLimits(**limits),
        **{"resolve": resolve, "allow": lambda address: address == ipaddress.ip_address("127.0.0.1")} | settings,
    )
    try:
        yield fetcher
    finally:
        await fetcher.close()
        if upstream is not None:
            await upstream.all_gone()


def url_of(upstream: Upstream, rest: str = "/x.png?token=s3cret") -> str:
    return f"{upstream.origin.scheme}://files.example:{upstream.origin.port}{rest}"


async def refusal(fetcher: MediaFetcher, url: str, **how: Any) -> str:
    """What a fetch is refused with, behind the words that all have in common."""
    with pytest.raises(InvalidRequest) as raised:
        await within(fetcher.fetch(url, **{"accepts": PICTURES, "param": "messages[0].content[1]"} | how))
    error = raised.value
    assert (error.status, error.param, error.code) == (400, "messages[0].content[1]", "invalid_value")
    start, _, why = error.message.partition(" cannot be fetched: ")
    assert start.startswith("Invalid value for 'messages[0].content[1]': the file")
    assert not any(word in error.message for word in ("s3cret", "127.0.0.1", "/x.png"))
    return why.removesuffix(".")


@on_both_loops
async def test_what_is_sent() -> None:
    """Nothing that tells who asks, or for whom, and no key."""
    heads: list[bytes] = []

    async def serve(peer: Peer) -> None:
        heads.append((await peer.request())[0])
        await peer.send(told(PNG))
        await peer.gone()

    async with serving(serve) as upstream, fetching(upstream) as fetcher:
        fetched = await fetcher.fetch(url_of(upstream, "/a%20b.png?x=1#part"), accepts={"image/webp", "image/png"})
        assert fetched == Fetched("image/png", PNG)
    assert heads == [
        b"GET /a%%20b.png?x=1 HTTP/1.1\r\nhost: files.example:%d\r\naccept: image/png, image/webp\r\n"
        b"user-agent: thalweg/%b (media fetch)\r\naccept-encoding: identity\r\n\r\n"
        % (upstream.origin.port, __version__.encode())
    ]


@on_both_loops
async def test_nothing_is_kept_for_the_next() -> None:
    """No cookie, and no connection."""
    heads: list[bytes] = []

    async def serve(peer: Peer) -> None:
        while head := (await peer.request())[0]:
            heads.append(head)
            await peer.send(told(PNG, more=b"set-cookie: a=b\r\n"))

    async with serving(serve) as upstream, fetching(upstream) as fetcher:
        for _ in range(2):
            await fetcher.fetch(url_of(upstream), accepts=PICTURES)
        assert upstream.accepted == 2
    assert heads[0] == heads[1]


@pytest.mark.parametrize("status", [300, 301, 302, 303, 304, 307, 308])
@on_both_loops
async def test_redirects_are_not_followed(status: int) -> None:
    async with serving(answering(told(PNG))) as elsewhere:
        more = b"location: %b\r\n" % url_of(elsewhere).encode()
        async with serving(answering(told(b"", status=status, more=more))) as upstream, fetching(upstream) as fetcher:
            assert await refusal(fetcher, url_of(upstream)) == "its server redirects, and redirects are not followed"
        assert elsewhere.accepted == 0


@pytest.mark.parametrize("status", [201, 204, 206, 400, 401, 403, 404, 407, 429, 500, 503])
@on_both_loops
async def test_other_statuses(status: int) -> None:
    answer = told(b"" if status == 204 else PNG, status=status)
    async with serving(answering(answer)) as upstream, fetching(upstream) as fetcher:
        assert await refusal(fetcher, url_of(upstream)) == f"its server answered with status {status}"


@pytest.mark.parametrize(
    ("said", "data", "accepts", "mime"),
    [
        pytest.param("image/png", PNG, {"image/png"}, "image/png", id="as it says"),
        pytest.param("image/png; charset=utf-8", PNG, {"image/png"}, "image/png", id="with parameters"),
        pytest.param("IMAGE/PNG", PNG, {"image/png"}, "image/png", id="in capitals"),
        pytest.param("image/jpg", JPEG, {"image/jpeg"}, "image/jpeg", id="by a common wrong name"),
        pytest.param("image/png", JPEG, PICTURES, "image/jpeg", id="the bytes are right where both are taken"),
        pytest.param(None, WEBP, PICTURES, "image/webp", id="nothing said"),
        pytest.param("application/octet-stream", PNG, PICTURES, "image/png", id="anything said"),
        pytest.param("binary/octet-stream", PNG, PICTURES, "image/png", id="as S3 says it"),
        pytest.param("image/png", PNG, {"image/*"}, "image/png", id="a family is taken"),
        pytest.param("audio/mp4", MP4, {"audio/*"}, "audio/mp4", id="a container of sound"),
        pytest.param("video/mp4", MP4, {"video/*"}, "video/mp4", id="of film"),
        pytest.param(None, MP4, {"video/*"}, "video/mp4", id="a film nothing is said of"),
        pytest.param("audio/mpeg", b"\0" * 32, {"audio/*"}, "audio/mpeg", id="sound from its middle"),
        pytest.param("text/plain; charset=utf-8", "你好".encode(), {"text/*"}, "text/plain", id="text"),
        pytest.param("application/pdf", PDF, {"application/pdf", "text/*"}, "application/pdf", id="a document"),
        pytest.param("application/json", b"{}", {"application/json"}, "application/json", id="JSON"),
    ],
)
@on_both_loops
async def test_types(said: str | None, data: bytes, accepts: set[str], mime: str) -> None:
    async with serving(answering(told(data, said))) as upstream, fetching(upstream) as fetcher:
        assert await fetcher.fetch(url_of(upstream), accepts=accepts) == Fetched(mime, data)


@pytest.mark.parametrize(
    ("said", "data", "why"),
    [
        pytest.param("text/html", b"<html>", "it is not of a type that is taken here (text/html)", id="a page"),
        pytest.param("image/svg+xml", b"<svg>", "it is not of a type that is taken here (image/svg+xml)", id="a drawing"),
        pytest.param("image/png", b"<html>", "it is not image/png, as its server says", id="a page as a picture"),
        pytest.param("image/png", PDF, "it is not of a type that is taken here (application/pdf)", id="a PDF as one"),
        pytest.param("image/png", b"\x89PN", "it is not image/png, as its server says", id="three bytes"),
        pytest.param(None, b"<html>", "neither its server nor its first bytes say of which type it is", id="unknown"),
        pytest.param("application/octet-stream", PDF, "it is not of a type that is taken here (application/pdf)", id="other"),
        pytest.param("image", PNG, "it is not of a type that is taken here (an unknown one)", id="half a type"),
        pytest.param("image/<b>", PNG, "it is not of a type that is taken here (an unknown one)", id="no type"),
        pytest.param("x/" + "y" * 500, PNG, "it is not of a type that is taken here (an unknown one)", id="a long one"),
        pytest.param("image/png", b"", "it is empty", id="nothing"),
    ],
)  # fmt: skip
@on_both_loops
async def test_types_that_are_refused(said: str | None, data: bytes, why: str) -> None:
    async with serving(answering(told(data, said))) as upstream, fetching(upstream) as fetcher:
        assert await refusal(fetcher, url_of(upstream)) == why


@on_both_loops
async def test_binary_text_is_refused() -> None:
    async with serving(answering(told(b"a\0b", "text/plain"))) as upstream, fetching(upstream) as fetcher:
        assert (
            await refusal(fetcher, url_of(upstream), accepts={"text/*"}) == "it is not text/plain, as its server says"
        )


@on_both_loops
async def test_too_large_by_its_own_word() -> None:
    """The body is not waited for: this one never comes."""

    async def serve(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 X\r\ncontent-type: image/png\r\ncontent-length: 1001\r\n\r\n")
        await peer.gone()

    async with serving(serve) as upstream, fetching(upstream) as fetcher:
        assert await refusal(fetcher, url_of(upstream), most_bytes=1000) == "it is larger than 1000 bytes"


@on_both_loops
async def test_too_large_without_an_end() -> None:
    async def serve(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 X\r\ncontent-type: image/png\r\ntransfer-encoding: chunked\r\n\r\n")
        while True:
            await peer.send(b"400\r\n" + PNG[:8] + b"\0" * 1016 + b"\r\n")

    async with serving(serve) as upstream, fetching(upstream) as fetcher:
        assert await refusal(fetcher, url_of(upstream), most_bytes=100_000) == "it is larger than 100000 bytes"


@on_both_loops
async def test_the_largest_that_is_taken() -> None:
    data = PNG + b"\0" * (1000 - len(PNG))
    async with serving(answering(told(data))) as upstream, fetching(upstream) as fetcher:
        assert (await fetcher.fetch(url_of(upstream), accepts=PICTURES, most_bytes=1000)).data == data


@pytest.mark.parametrize(
    "before",
    [b"", b"HTTP/1.1 200 X\r\n", b"HTTP/1.1 200 X\r\ncontent-type: image/png\r\ncontent-length: 99\r\n\r\n" + PNG],
    ids=["no answer", "half a head", "half a body"],
)
@on_both_loops
async def test_a_server_that_stalls(before: bytes) -> None:
    async def serve(peer: Peer) -> None:
        await peer.request()
        await peer.send(before)
        await peer.gone()

    async with serving(serve) as upstream, fetching(upstream) as fetcher:
        assert await refusal(fetcher, url_of(upstream), timeout_s=0.1) in (
            "it did not come within 0.1 s",
            "it did not come in time",
        )


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"HTTP/1.1 200 X\r\ncontent-type: image/png\r\ncontent-length: 99\r\n\r\n" + PNG,
        b"HTTP/1.1 200 X\r\ncontent-type: image/png\r\ntransfer-encoding: chunked\r\n\r\n20\r\n" + PNG,
        told(PNG, more=b"content-encoding: gzip\r\n"),
        b"HTTP/1.1 101 X\r\nupgrade: h2c\r\n\r\n",
        b"HTTP/1.1 200 X\r\n" + b"x: y\r\n" * 1000 + b"\r\n",
    ],
    ids=["nothing", "no HTTP", "half a body", "half a chunk", "compressed", "another protocol", "an endless head"],
)
@on_both_loops
async def test_a_server_that_breaks(answer: bytes) -> None:
    async with serving(answering_once(answer)) as upstream, fetching(upstream) as fetcher:
        assert await refusal(fetcher, url_of(upstream)) == "its server did not answer wholly, or not in HTTP"


@on_both_loops
async def test_nobody_is_there() -> None:
    async with fetching() as fetcher:
        why = await refusal(fetcher, f"http://files.example:{unused_port()}/?s3cret")
        assert why == "its server cannot be reached (Connection refused)"


@on_both_loops
async def test_tls_is_checked(ca_file: str) -> None:
    tls = certified()
    async with serving(answering(told(PNG)), tls=tls) as upstream, fetching(upstream, ca_file=ca_file) as fetcher:
        why = await refusal(fetcher, url_of(upstream))
        assert why.startswith("its server cannot be reached (its certificate is refused (Hostname mismatch")


@on_both_loops
async def test_by_tls_the_name_is_the_url_s(ca_file: str) -> None:
    """The connection is to an address, the certificate is for the name."""
    tls = certified(CA, "files.example")
    async with serving(answering(told(PNG)), tls=tls) as upstream, fetching(upstream, ca_file=ca_file) as fetcher:
        assert (await fetcher.fetch(url_of(upstream), accepts=PICTURES)).data == PNG


@on_both_loops
async def test_cancelling_closes_the_connection() -> None:
    async with serving(hanging) as upstream, fetching(upstream) as fetcher:
        task = asyncio.create_task(fetcher.fetch(url_of(upstream), accepts=PICTURES))
        await within(until(lambda: upstream.open == 1))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await upstream.all_gone()


@on_both_loops
async def test_who_counts_the_bytes_may_end_it() -> None:
    sizes: list[int] = []

    def count(size: int) -> None:
        sizes.append(size)
        if sum(sizes) > 2000:
            raise no_room()

    async def serve(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 X\r\ncontent-type: image/png\r\n\r\n" + PNG)
        with contextlib.suppress(ConnectionError):
            while True:
                await peer.send(b"\0" * 1000)

    async with serving(serve) as upstream, fetching(upstream) as fetcher:
        with pytest.raises(Unavailable):
            await within(fetcher.fetch(url_of(upstream), accepts=PICTURES, more_came=count))


@on_both_loops
async def test_so_many_at_once_and_no_more() -> None:
    """The others wait, and their time runs."""
    async with serving(hanging) as upstream, fetching(limits={"in_all": 2, "whole_s": 0.2}) as fetcher:
        fetches = [asyncio.create_task(fetcher.fetch(url_of(upstream), accepts=PICTURES)) for _ in range(20)]
        for outcome in await within(asyncio.gather(*fetches, return_exceptions=True)):
            assert isinstance(outcome, InvalidRequest)
            assert "it did not come" in outcome.message
        # The time of all is over in one moment, in which a few may still get a place.
        assert upstream.accepted <= 10


@on_both_loops
async def test_only_https_goes_through_a_proxy_and_to_the_checked_address() -> None:
    heads: list[bytes] = []

    async def serve(peer: Peer) -> None:
        heads.append((await peer.request())[0])
        await peer.send(b"HTTP/1.1 403 X\r\n\r\n")
        await peer.gone()

    async with serving(serve) as upstream:
        proxy = Proxy("127.0.0.1", upstream.origin.port)
        async with fetching(proxy=ProxySettings(http=proxy, https=proxy)) as fetcher:
            # Nothing of the proxy is told.
            assert await refusal(fetcher, "https://files.example/?s3cret") == "its server cannot be reached"
            assert await refusal(fetcher, "http://files.example/") == "its address does not begin with https://"
    assert [head.partition(b"\r\n")[0] for head in heads] == [b"CONNECT 127.0.0.1:443 HTTP/1.1"]


async def test_the_environment_s_proxies_are_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{unused_port()}")
    async with serving(answering(told(PNG))) as upstream, fetching(upstream) as fetcher:
        assert (await fetcher.fetch(url_of(upstream), accepts=PICTURES)).data == PNG


async def test_without_a_field_the_sentence_stands_alone() -> None:
    async with fetching() as fetcher:
        with pytest.raises(InvalidRequest) as raised:
            await fetcher.fetch("ftp://files.example/", accepts=PICTURES)
    assert raised.value.message == ("The file cannot be fetched: its address does not begin with http:// or https://.")


async def test_only_the_usual_ports_unless_others_are_set() -> None:
    def never(*_: object) -> Any:
        raise AssertionError("a name was looked up")

    fetcher = MediaFetcher(resolve=never)
    why = await refusal(fetcher, "http://files.example:8080/?s3cret")
    assert why == "its address names a port that nothing is fetched from"
    await fetcher.close()


async def test_a_fetcher_that_was_never_used_is_closed() -> None:
    await MediaFetcher().close()


def test_by_default_nothing_of_this_machine_is_allowed() -> None:
    allow = MediaFetcher()._allow
    assert not allow(ipaddress.ip_address("127.0.0.1"))
    assert allow(ipaddress.ip_address(socket.inet_ntoa(b"\x01\x01\x01\x01")))
