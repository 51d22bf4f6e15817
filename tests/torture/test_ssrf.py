"""Requests by which a client might make the gateway reach what the client cannot: nothing of this side is connected to.

Every connection that this process makes, to wherever, leads to a canary on loopback, which counts it and keeps for whom
it was meant. The gateway is whole, its rule and its endpoints are the real ones; the name service alone is ours.
"""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import random
import socket
import struct
import time
import zlib
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from tests.server.gateway import settings_of
from tests.server.test_count import KEYS
from tests.server.test_media_way import GEMINI_ANSWER, Called, House
from tests.torture.sizes import both_sizes, percentile
from tests.upstream.test_fetch_ssrf import PNG, PUBLIC, VECTORS
from tests.upstream.test_public import NOT_PUBLIC, found_at
from thalweg.ledger import MemoryLedger
from thalweg.server.app import make_connector, make_gateway, make_simulator
from thalweg.upstream import dial
from thalweg.upstream.fetch import MediaFetcher

# The URLs

_HOSTS = (
    "127.0.0.1", "2130706433", "0x7f.1", "0177.0.0.1", "127.1", "[::1]", "[::ffff:7f00:1]", "[fd00:ec2::254]", "localhost",
    "169.254.169.254", "metadata.google.internal", "10.1", "192.168.257", "100.100.100.200", "①②⑦.⓪.⓪.①", "0",
)  # fmt: skip
_SCHEMES = ("http", "https", "HtTp")
_PORTS = ("", ":80", ":443", ":6379")
_USERS = ("", "a@", "a.example:80@")
_TAILS = ("/", "#@a.example/", "?@a.example/")


def urls() -> tuple[str, ...]:
    """All: those that the fetcher's own tests have, and each host by each scheme, port, user and fragment."""
    woven = (
        f"{scheme}://{user}{host}{port}{tail}"
        for scheme, user, host, port, tail in itertools.product(_SCHEMES, _USERS, _HOSTS, _PORTS, _TAILS)
    )
    return tuple(dict.fromkeys((*VECTORS, *woven)))


def _chat(part: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    body = {"model": "google/gemini-x", "messages": [{"role": "user", "content": [part]}]}
    return "/v1/chat/completions", body


def _responses(part: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    return "/v1/responses", {"model": "google/gemini-x", "input": [{"role": "user", "content": [part]}]}


def _messages(part: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    body = {"model": "google/gemini-x", "max_tokens": 9, "messages": [{"role": "user", "content": [part]}]}
    return "/v1/messages", body


def _gemini(mime: str, url: str) -> tuple[str, dict[str, Any]]:
    parts = [{"fileData": {"fileUri": url, "mimeType": mime}}]
    return "/v1beta/models/gemini-x:generateContent", {"contents": [{"role": "user", "parts": parts}]}


SHAPES: dict[str, Callable[[str], tuple[str, dict[str, Any]]]] = {
    "chat: image": lambda url: _chat({"type": "image_url", "image_url": {"url": url}}),
    "chat: video": lambda url: _chat({"type": "video_url", "video_url": {"url": url}}),
    "chat: file": lambda url: _chat({"type": "file", "file": {"file_data": url}}),
    "chat: audio": lambda url: _chat({"type": "input_audio", "input_audio": {"data": url, "format": "wav"}}),
    "responses: image": lambda url: _responses({"type": "input_image", "image_url": url}),
    "responses: file": lambda url: _responses({"type": "input_file", "file_url": url}),
    "messages: image": lambda url: _messages({"type": "image", "source": {"type": "url", "url": url}}),
    "messages: document": lambda url: _messages({"type": "document", "source": {"type": "url", "url": url}}),
    "gemini: image": lambda url: _gemini("image/png", url),
    "gemini: document": lambda url: _gemini("application/pdf", url),
    "gemini: audio": lambda url: _gemini("audio/wav", url),
}
"""Every way in which a client of each dialect names a file by its address."""


# The canary


class Canary:
    """What must never be reached, and the name service."""

    def __init__(self) -> None:
        self.port = 0
        self.meant: list[tuple[str, int]] = []
        """For whom each connection was."""
        self.lookups = 0
        self.found: Callable[[str, int], list[dial.Address]] = lambda host, port: found_at(PUBLIC, port=port)
        self.answer = b"HTTP/1.1 200 OK\r\ncontent-type: image/png\r\ncontent-length: %d\r\n\r\n" % len(PNG) + PNG

    async def resolve(self, host: str, port: int) -> list[dial.Address]:
        self.lookups += 1
        return self.found(host, port)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(self.answer)
        await writer.drain()
        writer.close()


@pytest.fixture
async def canary(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Canary]:
    canary = Canary()
    server = await asyncio.start_server(canary.serve, "127.0.0.1", 0)
    canary.port = server.sockets[0].getsockname()[1]
    connect_to = dial._connect_to

    async def divert(address: dial.Address) -> socket.socket:
        canary.meant.append(address[4][:2])
        return await connect_to((socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", canary.port)))

    in_words = dial._where

    def divert_lone(way: socket.socket | dial.Address) -> dict[str, Any]:
        if isinstance(way, socket.socket):
            return in_words(way)
        canary.meant.append(way[4][:2])
        return in_words((socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", canary.port)))

    monkeypatch.setattr(dial, "_connect_to", divert)
    monkeypatch.setattr(dial, "_where", divert_lone)
    yield canary
    server.close()
    await server.wait_closed()


@pytest.fixture
async def house(canary: Canary) -> AsyncIterator[House]:
    """The whole gateway, whose providers take bytes alone and answer; what it fetches, it fetches by the real rule."""
    provider, ledger = Called(), MemoryLedger()
    provider.answer = (200, GEMINI_ANSWER)
    settings = settings_of(**KEYS, THALWEG_ATTEMPTS="1")
    gateway = make_gateway(
        settings,
        ledger=ledger,
        connector=provider,  # type: ignore[arg-type]  # its calls are itself
        simulator=make_simulator(settings),
        fetcher=MediaFetcher(resolve=canary.resolve),
    )
    yield House(gateway, provider, ledger)
    await gateway.house.media.close()
    await gateway.house.live.close()
    assert gateway.house.budget.held_bytes == 0


_SEED = 74


def sampled(vectors: tuple[str, ...], counts: int | None) -> tuple[str, ...]:
    return vectors if counts is None else tuple(random.Random(_SEED).sample(vectors, counts))


async def test_the_canary_sings(house: House, canary: Canary) -> None:
    """What the other tests rely on: in every way of naming a file, one at a public address is fetched."""
    for what, shape in SHAPES.items():
        before = len(canary.meant)
        path, body = shape("http://a.example/x.png")
        await house.ask(path, body)
        assert (len(canary.meant) > before) is (what not in NOT_FETCHED), what
    assert set(canary.meant) == {(PUBLIC, 80)}


NOT_FETCHED = frozenset({"chat: audio", "chat: file"})
"""Their fields hold bytes, and an address is none."""


# 0 connects


@both_sizes({"sample": 30, "full": None})
async def test_no_url_connects(counts: int | None, house: House, canary: Canary, figures: Callable[..., None]) -> None:
    """Hosts, schemes, ports, users, fragments; every name is public, so that a host misread for a name would connect."""
    vectors = sampled(urls(), counts)
    answers: Counter[int] = Counter()
    took_ms = []
    for what, shape in SHAPES.items():
        for url in vectors:
            path, body = shape(url)
            begun = time.perf_counter()
            reply = await house.ask(path, body)
            took_ms.append((time.perf_counter() - begun) * 1000)
            answers[reply.status] += 1
            assert reply.status in (200, 400), (what, url, reply.said)
    assert (canary.meant, canary.lookups) == ([], 0)
    assert not any(token in body.body for body in house.provider.asked for token in (b"93.184", b"root:"))
    figures(
        "time of a request",
        f"{len(vectors)} URLs × {len(SHAPES)} ways of naming a file, four dialects",
        p50=percentile(took_ms, 0.5),
        p99=percentile(took_ms, 0.99),
        worst=max(took_ms),
        note=f"0 connections, 0 lookups; {answers[400]} refused, {answers[200]} passed on or inline",
    )


def _answers_of_names() -> Iterator[tuple[str, ...]]:
    for address in NOT_PUBLIC:
        if "%" not in address:
            yield (address,)
            yield (PUBLIC, address)
            yield (address, "2606:4700::1")
            yield ("2606:4700::1", PUBLIC, address)


@both_sizes({"sample": 40, "full": None})
async def test_no_name_connects_that_has_an_address_of_this_side(
    counts: int | None, house: House, canary: Canary, figures: Callable[..., None]
) -> None:
    """AAAA and A mixed, in several orders, public ones among them."""
    answers = list(dict.fromkeys(_answers_of_names()))[:counts]
    shapes = [shape for what, shape in SHAPES.items() if what not in NOT_FETCHED]
    for number, found in enumerate(answers):
        canary.found = lambda host, port, found=found: found_at(*found, port=port)  # type: ignore[misc]
        path, body = shapes[number % len(shapes)]("https://a.example/x.png")
        reply = await house.ask(path, body)
        assert reply.status == 400, (found, reply.said)
        assert not any(address in reply.said for address in found), "what a name means is not told"
    assert canary.meant == []
    figures("names", f"{len(answers)} answers of a name service", note="0 connections")


@both_sizes({"sample": 5, "full": 200})
async def test_a_name_that_changes_its_meaning_is_connected_to_as_it_was_checked(
    counts: int, house: House, canary: Canary, figures: Callable[..., None]
) -> None:
    """Rebinding: each lookup finds something else, public and not in turns."""
    turns = itertools.cycle((PUBLIC, "127.0.0.1", "169.254.169.254", PUBLIC, "10.0.0.1"))
    canary.found = lambda host, port: found_at(next(turns), port=port)
    for number in range(counts):
        for what, shape in SHAPES.items():
            if what not in NOT_FETCHED:
                path, body = shape(f"http://a{number % 3}.example/{number}.png")
                await house.ask(path, body)
    assert set(canary.meant) == {(PUBLIC, 80)}
    figures("rebinding", f"{canary.lookups} lookups", note=f"{len(canary.meant)} connections, all to the public one")


@pytest.mark.parametrize("status", [300, 301, 302, 303, 307, 308])
@pytest.mark.parametrize(
    "to", ["http://127.0.0.1/", "http://b.example/", "//169.254.169.254/", "/y.png", "file:///etc/passwd", "https://a.example/"]
)  # fmt: skip
async def test_no_redirect_is_followed(status: int, to: str, house: House, canary: Canary) -> None:
    canary.answer = f"HTTP/1.1 {status} X\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n".encode()
    for what, shape in SHAPES.items():
        if what not in NOT_FETCHED:
            canary.meant.clear()
            path, body = shape("http://a.example/x.png")
            assert (await house.ask(path, body)).status == 400
            assert canary.meant == [(PUBLIC, 80)], "the one that was asked for, once"


# Every field

NOWHERE = "http://93.184.216.35/x"
"""In digits and public: nothing but nobody's wish to go there keeps it from being connected to."""
_STRANGE = (
    "base_url", "api_base", "api_host", "endpoint", "url", "webhook", "webhook_url", "callback_url", "proxy", "origin",
    "api_key", "provider", "upstream", "host", "target", "extra_body", "extra_headers", "schema_url", "server_url",
)  # fmt: skip
"""Names by which one gateway or another takes an address from its clients."""
FULL: dict[str, tuple[str, dict[str, Any]]] = {
    "chat": (
        "/v1/chat/completions",
        {
            "model": "openai/gpt-x",
            "messages": [
                {"role": "system", "content": "s", "name": "n"},
                {"role": "user", "content": [{"type": "text", "text": "t"}]},
                {
                    "role": "assistant",
                    "content": "c",
                    "tool_calls": [{"id": "i", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
                },
                {"role": "tool", "tool_call_id": "i", "content": "r"},
            ],
            "tools": [{"type": "function", "function": {"name": "f", "description": "d", "parameters": {"$ref": "x"}}}],
            "tool_choice": "auto",
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "n", "schema": {"$id": "x", "$ref": "y"}},
            },
            "user": "u",
            "stop": ["s"],
            "metadata": {"k": "v"},
            "service_tier": "auto",
            "web_search_options": {"user_location": {"type": "approximate"}},
        },
    ),
    "responses": (
        "/v1/responses",
        {
            "model": "openai/gpt-x",
            "input": [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "t"}]}],
            "instructions": "i",
            "previous_response_id": "p",
            "prompt_cache_key": "k",
            "tools": [
                {"type": "function", "name": "f", "description": "d", "parameters": {"$ref": "x"}},
                {"type": "mcp", "server_label": "l", "server_url": "https://mcp.example", "headers": {"h": "v"}},
            ],
            "text": {"format": {"type": "text"}},
            "metadata": {"k": "v"},
            "user": "u",
        },
    ),
    "messages": (
        "/v1/messages",
        {
            "model": "anthropic/claude-x",
            "max_tokens": 9,
            "system": [{"type": "text", "text": "s"}],
            "messages": [{"role": "user", "content": [{"type": "text", "text": "t"}]}],
            "tools": [{"name": "f", "description": "d", "input_schema": {"type": "object", "$ref": "x"}}],
            "mcp_servers": [{"type": "url", "url": "https://mcp.example", "name": "n", "authorization_token": "t"}],
            "stop_sequences": ["s"],
            "metadata": {"user_id": "u"},
        },
    ),
    "gemini": (
        "/v1beta/models/gemini-x:generateContent",
        {
            "contents": [{"role": "user", "parts": [{"text": "t"}]}],
            "systemInstruction": {"parts": [{"text": "s"}]},
            "tools": [{"functionDeclarations": [{"name": "f", "description": "d", "parameters": {"type": "OBJECT"}}]}],
            "generationConfig": {"stopSequences": ["s"], "responseMimeType": "text/plain"},
            "cachedContent": "c",
            "labels": {"k": "v"},
        },
    ),
}


def poisoned(body: Any) -> Iterator[Any]:
    """The body with the URL in the place of each value in turn, and under each strange name in each object."""
    if isinstance(body, dict):
        for name, value in body.items():
            for other in (NOWHERE, [NOWHERE], {"url": NOWHERE}, *poisoned(value)):
                yield body | {name: other}
            yield body | {NOWHERE: value}
        for name in _STRANGE:
            yield body | {name: NOWHERE}
    elif isinstance(body, list):
        for at, value in enumerate(body):
            for other in (NOWHERE, *poisoned(value)):
                yield [*body[:at], other, *body[at + 1 :]]


_FIELDS = (
    "x-forwarded-host", "x-forwarded-for", "forwarded", "x-original-url", "x-rewrite-url", "x-base-url", "x-upstream",
    "x-thalweg-upstream", "x-thalweg-provider", "x-api-base", "x-api-key", "openai-base-url", "openai-organization", "origin",
    "referer", "via", "x-goog-api-client", "x-goog-user-project", "anthropic-beta", "traceparent", "cookie", "proxy",
    "x-http-host", "x-thalweg-policy", "x-thalweg-keep", "x-request-id", "user-agent", "accept", "content-location",
)  # fmt: skip


@pytest.fixture
async def real(canary: Canary) -> AsyncIterator[House]:
    places = {f"{name}_BASE_URL": "http://127.0.0.9:9" for name in ("OPENAI", "ANTHROPIC", "GEMINI")}
    settings = settings_of(**KEYS, **places, THALWEG_ATTEMPTS="1")
    connector = make_connector(settings)
    gateway = make_gateway(
        settings,
        ledger=MemoryLedger(),
        connector=connector,
        simulator=make_simulator(settings),
        fetcher=MediaFetcher(resolve=canary.resolve),
    )
    canary.answer = b"HTTP/1.1 402 X\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}"
    yield House(gateway, Called(), MemoryLedger())
    await gateway.house.media.close()
    await gateway.house.live.close()
    await connector.close()


@both_sizes({"sample": 60, "full": None})
async def test_no_field_leads_elsewhere(
    counts: int | None, real: House, canary: Canary, figures: Callable[..., None]
) -> None:
    """A provider is where its setting says, whatever stands in a body or a head; a file alone is fetched."""
    cases = [
        (path, body, {}) for path, whole in FULL.values() for body in dict.fromkeys(map(json.dumps, poisoned(whole)))
    ]
    cases += [(path, json.dumps(body), {name: NOWHERE}) for path, body in FULL.values() for name in _FIELDS]
    chosen = cases if counts is None else random.Random(_SEED).sample(cases, counts)
    statuses: Counter[int] = Counter()
    for path, body, fields in chosen:
        reply = await real.ask(path, json.loads(body), fields=fields)
        statuses[reply.status] += 1
        # It is refused, or the provider's 402 comes back. What was to go where its key does not belong is a bug's 500.
        assert reply.status in (400, 401, 404) or "wants payment" in reply.said, (body, reply.status, reply.said)
    assert set(canary.meant) <= {("127.0.0.9", 9)}
    assert canary.lookups == 0
    assert len(canary.meant) > len(chosen) / 10, "most reach their provider"
    figures(
        "bodies and heads with a URL in them",
        f"{len(chosen)} requests, every field of four dialects",
        note=f"0 connections but to the provider's own address ({len(canary.meant)})",
    )


# Bytes in the request


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int) -> bytes:
    """One that says to be of this size, and holds nothing."""
    head = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", head) + _chunk(b"IDAT", zlib.compress(b"")) + _chunk(b"IEND", b"")


def apng(frames: int) -> bytes:
    head = struct.pack(">IIBBBBB", 1, 1, 8, 6, 0, 0, 0)
    every = b"".join(_chunk(b"fcTL", struct.pack(">IIIIIHHBB", n, 1, 1, 0, 0, 0, 0, 0, 0)) for n in range(frames))
    begin = b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", head) + _chunk(b"acTL", struct.pack(">II", frames, 0))
    return begin + every + _chunk(b"IEND", b"")


def gif(frames: int, width: int = 1, height: int = 1) -> bytes:
    head = b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80, 0, 0) + b"\0\0\0\xff\xff\xff"
    one = b"\x21\xf9\x04\0\0\0\0\0" + b"\x2c\0\0\0\0\x01\0\x01\0\0" + b"\x02\x02\x44\x01\0"
    return head + one * frames + b"\x3b"


PICTURES: dict[str, tuple[str, bytes]] = {
    "a GIF of 10,000 frames": ("image/gif", gif(10_000)),
    "an APNG of 10,000 frames": ("image/png", apng(10_000)),
    "a PNG of 2^31 - 1 on each side": ("image/png", png(2**31 - 1, 2**31 - 1)),
    "a PNG of 0 by 0": ("image/png", png(0, 0)),
    "a GIF of 65,535 on each side": ("image/gif", gif(1, 65_535, 65_535)),
    "HTML as PNG": ("image/png", b"<html><script>alert(1)</script></html>"),
    "SVG": ("image/svg+xml", b'<svg xmlns="http://www.w3.org/2000/svg"><image href="http://127.0.0.1/"/></svg>'),
    "an XML with an entity of a file": ("image/svg+xml", b'<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>'),
    "a PNG that says JPEG": ("image/jpeg", png(1, 1)),
    "a ZIP bomb's beginning": ("image/png", b"PK\x03\x04" + b"\0" * 64),
    "no type": ("", png(1, 1)),
    "text": ("text/html", b"<img src=http://127.0.0.1/>"),
    "a PNG cut in its head": ("image/png", png(1, 1)[:20]),
    "nothing": ("image/png", b""),
    "10 MiB of zeros": ("image/png", bytes(10 * 1024 * 1024)),
    "a PNG whose chunk is of 4 GiB": ("image/png", b"\x89PNG\r\n\x1a\n\xff\xff\xff\xffIHDR" + bytes(13)),
}  # fmt: skip
ONE_PICTURE_S = 10.0
"""10 MiB take about a second, on the way through two dialects; what grew with what a picture says would take hours."""


@pytest.mark.parametrize("model", ["sim/vision", "google/gemini-x"])
@pytest.mark.parametrize("what", PICTURES)
async def test_pictures_as_bytes(what: str, model: str, house: House, canary: Canary) -> None:
    """Nobody here draws them: they cost their reading, whatever they say to be."""
    mime, data = PICTURES[what]
    url = f"data:{mime};base64,{base64.b64encode(data).decode()}"
    begun = time.monotonic()
    for what_else in ("chat: image", "responses: image"):
        path, body = SHAPES[what_else](url)
        reply = await house.ask(path, body | {"model": model})
        assert reply.status in (200, 400), reply.said
        assert b"root:" not in reply.body
    assert time.monotonic() - begun < ONE_PICTURE_S
    assert (canary.meant, canary.lookups) == ([], 0)


def test_there_are_more_than_five_hundred() -> None:
    assert len(urls()) > 500
    assert sum(1 for _, body in FULL.values() for _ in poisoned(body)) > 500
