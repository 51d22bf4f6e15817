"""Files by their addresses, and counts of tokens, through the whole application: from a client's request to a provider."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import ipaddress
import json
from collections.abc import AsyncIterator, Callable, Mapping
from types import MappingProxyType
from typing import Any

import pytest

from tests.server.gateway import KEY, Reply, settings_of
from tests.server.test_count import KEYS, Provider
from tests.upstream.loopback import Serve, Upstream, answering, hanging, serving, until, within
from tests.upstream.test_public import found_at
from thalweg.ledger import MemoryLedger
from thalweg.server.app import Gateway, make_gateway, make_simulator
from thalweg.upstream import dial
from thalweg.upstream.fetch import FetchLimits, MediaFetcher

PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 24
SERVED = b"HTTP/1.1 200 X\r\ncontent-type: image/png\r\ncontent-length: %d\r\n\r\n" % len(PNG) + PNG
GEMINI_ANSWER = json.dumps(
    {
        "candidates": [
            {"content": {"role": "model", "parts": [{"text": "A cat."}]}, "finishReason": "STOP", "index": 0}
        ],
        "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 2, "totalTokenCount": 5},
    }
).encode()


class Called(Provider):
    """The same as the pump needs it."""

    closed_at = lost_at = 0.0

    def release(self) -> None:
        """It is over anyway."""

    pause_reading = resume_reading = fast_path_opened = release

    def when_lost(self, told: Callable[[], None]) -> None:
        told()


class House:
    """A gateway whose providers are a double, whose names are all this machine, and which may fetch from it."""

    def __init__(self, gateway: Gateway, provider: Provider, ledger: MemoryLedger) -> None:
        self.gateway = gateway
        self.provider = provider
        self.ledger = ledger
        self.gone = asyncio.Event()

    async def ask(
        self,
        path: str,
        body: Any,
        *,
        method: str = "POST",
        key: str | None = KEY,
        fields: Mapping[str, str] = MappingProxyType({}),
    ) -> Reply:
        raw = json.dumps(body).encode()
        own = {"host": "127.0.0.1", "content-type": "application/json", "content-length": str(len(raw))}
        fields = own | dict(fields)
        if key is not None:
            fields["authorization"] = f"Bearer {key}"
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "headers": [(name.encode(), value.encode()) for name, value in fields.items()],
        }
        left = [{"type": "http.request", "body": raw}]
        sent: list[Any] = []

        async def receive() -> Any:
            if left:
                return left.pop()
            await self.gone.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message)

        await within(self.gateway(scope, receive, send))
        if not sent:
            raise EOFError
        headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
        return Reply(sent[0]["status"], headers, b"".join(message["body"] for message in sent[1:]))


@contextlib.asynccontextmanager
async def house(serve: Serve | None = None) -> AsyncIterator[tuple[House, Upstream]]:
    async def resolve(host: str, port: int) -> list[dial.Address]:
        return found_at("10.0.0.1" if host.startswith("private") else "127.0.0.1", port=port)

    provider, ledger = Called(), MemoryLedger()
    provider.answer = (200, GEMINI_ANSWER)
    async with serving(serve or answering(SERVED)) as upstream:
        fetcher = MediaFetcher(
            FetchLimits(ports=frozenset({upstream.origin.port})),
            resolve=resolve,
            allow=lambda address: address == ipaddress.ip_address("127.0.0.1"),
        )
        settings = settings_of(**KEYS, MOONSHOT_API_KEY="sk-moonshot-5e1f0a9d", THALWEG_ATTEMPTS="1")
        gateway = make_gateway(
            settings,
            ledger=ledger,
            connector=provider,  # type: ignore[arg-type]  # its calls are itself
            simulator=make_simulator(settings),
            fetcher=fetcher,
        )
        yield House(gateway, provider, ledger), upstream
        await gateway.house.media.close()
        await gateway.house.live.close()
        await upstream.all_gone()
        assert gateway.house.budget.held_bytes == 0


def asking(model: str, url: str) -> dict[str, Any]:
    parts = [{"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": {"url": url}}]
    return {
        "model": model,
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": parts}],
    }


def url_of(upstream: Upstream, host: str = "files.example") -> str:
    return f"http://{host}:{upstream.origin.port}/cat.png?token=s3cret"


async def test_a_provider_that_opens_no_addresses_has_the_bytes() -> None:
    async with house() as (gateway, upstream):
        reply = await gateway.ask("/v1/chat/completions", asking("google/gemini-x", url_of(upstream)))
        assert (reply.status, reply.json["choices"][0]["message"]["content"]) == (200, "A cat.")
        (asked,) = gateway.provider.asked
        (content,) = json.loads(asked.body)["contents"]
        assert content["parts"][1] == {"inlineData": {"mimeType": "image/png", "data": base64.b64encode(PNG).decode()}}
        assert upstream.accepted == 1


@pytest.mark.parametrize(
    "shape", [lambda url: {"url": url, "detail": "low"}, lambda url: url], ids=["object", "string"]
)
async def test_one_of_the_client_s_own_dialect_has_them_too(shape: Any) -> None:
    async with house() as (gateway, upstream):
        gateway.provider.answer = (500, b"")
        body = asking("moonshot/kimi-k3", url_of(upstream))
        body["messages"][1]["content"][1]["image_url"] = shape(url_of(upstream))
        body["messages"].append({"role": "user", "content": "https://a.example/x.png", "x": 1.0})
        await gateway.ask("/v1/chat/completions", body)
        (asked,) = gateway.provider.asked
        sent = json.loads(asked.body)
        data = "data:image/png;base64," + base64.b64encode(PNG).decode()
        body["messages"][1]["content"][1]["image_url"] = shape(data)
        assert sent["messages"] == body["messages"]
        assert b'"x":1.0' in asked.body.replace(b" ", b"")
        assert upstream.accepted == 1


async def test_google_has_them_from_google_s_clients_too() -> None:
    async with house() as (gateway, upstream):
        own = {"fileData": {"fileUri": "https://www.youtube.com/watch?v=x"}}
        pieces = [{"text": "?"}, {"file_data": {"file_uri": url_of(upstream), "mime_type": "image/png"}}, own]
        await gateway.ask("/v1beta/models/gemini-x:generateContent", {"contents": [{"role": "user", "parts": pieces}]})
        (asked,) = gateway.provider.asked
        (content,) = json.loads(asked.body)["contents"]
        inline = {"inlineData": {"mimeType": "image/png", "data": base64.b64encode(PNG).decode()}}
        assert content["parts"] == [{"text": "?"}, inline, own]
        assert upstream.accepted == 1


@pytest.mark.parametrize("model", ["openai/gpt-x", "deepseek/deepseek-chat"])
async def test_one_of_the_client_s_own_dialect_that_opens_them_has_the_address(model: str) -> None:
    async with house() as (gateway, upstream):
        gateway.provider.answer = (500, b"")
        body = asking(model, url_of(upstream))
        await gateway.ask("/v1/chat/completions", body)
        (asked,) = gateway.provider.asked
        assert json.loads(asked.body)["messages"] == body["messages"]
        assert upstream.accepted == 0


async def test_one_that_opens_them_has_the_address() -> None:
    async with house() as (gateway, upstream):
        gateway.provider.answer = (500, b"")
        await gateway.ask("/v1/chat/completions", asking("anthropic/claude-x", url_of(upstream)))
        (asked,) = gateway.provider.asked
        assert json.loads(asked.body)["messages"][0]["content"][1]["source"] == {"type": "url", "url": url_of(upstream)}
        assert upstream.accepted == 0


@pytest.mark.parametrize("host", ["private.example", "localhost", "127.0.0.2", "[::1]", "169.254.169.254"])
async def test_an_address_of_this_side_is_the_client_s_mistake(host: str) -> None:
    async with house() as (gateway, upstream):
        reply = await gateway.ask("/v1/chat/completions", asking("google/gemini-x", url_of(upstream, host)))
        assert (reply.status, reply.json["error"]["type"]) == (400, "invalid_request_error")
        assert reply.said.endswith("cannot be fetched: its host has no public address.")
        assert "s3cret" not in reply.said
        assert "10.0.0.1" not in reply.said
        assert reply.json["error"]["param"] == "messages[1].content[1]"
        assert (gateway.provider.asked, upstream.accepted, gateway.ledger.unsettled) == ([], 0, 0)


async def test_a_file_that_is_none_is_a_400_in_every_dialect() -> None:
    async with house(answering(b"HTTP/1.1 503 X\r\ncontent-length: 0\r\n\r\n")) as (gateway, upstream):
        url, source = url_of(upstream), "its server answered with status 503"
        anthropic = [{"type": "image", "source": {"type": "url", "url": url}}]
        responses = [{"role": "user", "content": [{"type": "input_image", "image_url": url}]}]
        for path, body in (
            (
                "/v1/messages",
                {"model": "google/x", "max_tokens": 9, "messages": [{"role": "user", "content": anthropic}]},
            ),
            ("/v1/responses", {"model": "google/x", "input": responses}),
        ):
            reply = await gateway.ask(path, body)
            assert reply.status == 400
            assert source in reply.said
        assert gateway.provider.asked == []


async def test_a_client_that_leaves_ends_the_fetch() -> None:
    async with house(hanging) as (gateway, upstream):
        body = asking("google/gemini-x", url_of(upstream))
        task = asyncio.create_task(gateway.ask("/v1/chat/completions", body))
        await within(until(lambda: upstream.open == 1))
        gateway.gone.set()
        with pytest.raises(EOFError):
            await task
        await upstream.all_gone()
        assert (gateway.provider.asked, gateway.ledger.unsettled) == ([], 0)


CONTENTS = {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}
MESSAGES = {"model": "sim/text", "messages": [{"role": "user", "content": "hi"}]}
COUNTS = [
    ("/v1/messages/count_tokens", MESSAGES, {"input_tokens": 1}),
    ("/anthropic/v1/messages/count_tokens", MESSAGES, {"input_tokens": 1}),
    ("/v1/responses/input_tokens", {"model": "sim/text", "input": "hi"}, {"input_tokens": 1}),
    ("/openai/v1/responses/input_tokens", {"model": "sim/text", "input": "hi"}, {"input_tokens": 1}),
    ("/v1beta/models/sim/text:countTokens", CONTENTS, {"totalTokens": 1}),
    ("/v1/models/sim/text:countTokens", CONTENTS, {"totalTokens": 1}),
    ("/v1alpha/models/sim/text:countTokens", CONTENTS, {"totalTokens": 1}),
    ("/v1beta1/publishers/google/models/sim/text:countTokens", CONTENTS, {"totalTokens": 1}),
    ("/v1beta/sim/text:countTokens", CONTENTS, {"totalTokens": 1}),
]


@pytest.mark.parametrize(("path", "body", "told"), COUNTS, ids=[path for path, *_ in COUNTS])
async def test_tokens_are_counted_at(path: str, body: Any, told: dict[str, int]) -> None:
    async with house() as (gateway, _):
        reply = await gateway.ask(path, body)
        assert (reply.status, reply.headers["x-thalweg-simulated"]) == (200, "1")
        assert told.items() <= reply.json.items()
        assert reply.headers["x-request-id"]
        assert (await gateway.ask(path, body, key=None)).status == 401
        assert (await gateway.ask(path, body, method="PUT")).status == 405
        assert (await gateway.ask(path, {})).status == 400
