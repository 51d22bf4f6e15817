"""Counting endpoints: whose count is given, what the provider is sent, and what a guess is made of."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from tests.server.gateway import KEY, Reply, settings_of
from thalweg.canon.errors import GatewayError, UpstreamUnreachable
from thalweg.ledger import MemoryLedger
from thalweg.server.app import make_gateway, make_simulator
from thalweg.server.endpoints.count import FORMS, CountTokens
from thalweg.server.estimate import MEDIA_TOKENS
from thalweg.server.shapes import encode_error
from thalweg.upstream.base import Listener, ResponseHead, UpstreamRequest

AN, GE, RS = "/v1/messages/count_tokens", "/v1beta/models/{}:countTokens", "/v1/responses/input_tokens"
KEYS = {
    "ANTHROPIC_API_KEY": "5e1f0a9d.of-no-known-look",
    "GEMINI_API_KEY": "AIza-5e1f0a9d-5e1f0a9d",
    "OPENAI_API_KEY": "sk-openai-5e1f0a9d",
    "DEEPSEEK_API_KEY": "sk-deepseek-5e1f0a9d",
}
GUESSED = "deepseek/deepseek-chat"
"""A model of a provider who speaks no dialect that counts."""
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


class Provider:
    """Every provider at once: it answers each request in the same way, or never."""

    def __init__(self) -> None:
        self.asked: list[UpstreamRequest] = []
        self.aborted = 0
        self.answer: tuple[int, bytes] | GatewayError | None = (500, b"")

    def start(self, request: UpstreamRequest, listener: Listener) -> Provider:
        self.asked.append(request)
        asyncio.get_running_loop().call_soon(self._play, listener)
        return self

    def abort(self) -> None:
        self.aborted += 1

    async def close(self) -> None:
        pass

    def _play(self, listener: Listener) -> None:
        if isinstance(self.answer, GatewayError):
            listener.call_failed(self.answer)
        elif self.answer is not None:
            status, body = self.answer
            listener.connected()
            listener.head_received(ResponseHead(status, ((b"content-type", b"application/json"),)))
            if body:
                listener.body_received(body)
            listener.body_ended()


class Counting:
    """The endpoints of a gateway, called as the application calls them."""

    def __init__(self, **env: str) -> None:
        self.provider = Provider()
        self.ledger = MemoryLedger()
        settings = settings_of(**(KEYS | env))
        self.house = make_gateway(
            settings,
            ledger=self.ledger,
            connector=self.provider,  # type: ignore[arg-type]  # its calls are itself
            simulator=make_simulator(settings),
        ).house
        self.gone = asyncio.Event()

    async def ask(self, path: str, body: Any, *, key: str | None = KEY, **headers: str) -> Reply:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        fields = {"host": "127.0.0.1", "content-type": "application/json", "content-length": str(len(raw))}
        fields |= {name.replace("_", "-"): value for name, value in headers.items()}
        if key is not None:
            fields["authorization"] = f"Bearer {key}"
        scope = {
            "type": "http",
            "method": "POST",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "headers": [(name.encode(), value.encode()) for name, value in fields.items()],
        }
        messages = [{"type": "http.request", "body": raw}]
        sent: list[Any] = []

        async def receive() -> Any:
            if messages:
                return messages.pop()
            await self.gone.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message)

        name = "gemini" if path.endswith(":countTokens") else "anthropic" if "messages" in path else "openai-responses"
        try:
            await CountTokens(self.house, self.house.dialects[name])(scope, receive, send)
        except GatewayError as error:
            said = encode_error(path, error)
            return Reply(said.status, {}, said.body)
        if not sent:
            raise EOFError
        head, tail = sent
        return Reply(head["status"], {k.decode(): v.decode() for k, v in head["headers"]}, tail["body"])


def messages(model: str, content: Any = "How many tokens are in this?", **more: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": content}], **more}


def contents(text: str = "How many tokens are in this?", **more: Any) -> dict[str, Any]:
    return {"contents": [{"role": "user", "parts": [{"text": text}]}], **more}


def test_every_dialect_but_chat_and_dashscope_counts() -> None:
    assert FORMS.keys() == {"anthropic", "gemini", "openai-responses"}


@pytest.mark.parametrize(
    ("path", "body", "target", "sent", "answer"),
    [
        pytest.param(
            "/anthropic" + AN,
            messages("anthropic/claude-x", thinking={"type": "adaptive"}, unheard_of=[1, 2]),
            b"/v1/messages/count_tokens",
            messages("claude-x", thinking={"type": "adaptive"}, unheard_of=[1, 2]),
            b'{"input_tokens": 14, "context_management": null}',
            id="Anthropic",
        ),
        pytest.param(
            GE.format("gemini-x"),
            contents(),
            b"/v1beta/models/gemini-x:countTokens",
            contents(),
            b'{"totalTokens": 9, "promptTokensDetails": []}',
            id="Gemini",
        ),
        pytest.param(
            "/v1/google/gemini-x:countTokens",
            contents(),
            b"/v1beta/models/gemini-x:countTokens",
            contents(),
            b'{"totalTokens": 9}',
            id="Gemini by vendor and model",
        ),
        pytest.param(
            GE.format("google/gemini-x"),
            {"generateContentRequest": contents(model="models/google/gemini-x", tools=[{"googleSearch": {}}])},
            b"/v1beta/models/gemini-x:countTokens",
            {"generateContentRequest": contents(model="models/gemini-x", tools=[{"googleSearch": {}}])},
            b'{"totalTokens": 9}',
            id="Gemini, wrapped",
        ),
        pytest.param(
            GE.format("gemini-x"),
            {"generate_content_request": contents(model="gemini-x")},
            b"/v1beta/models/gemini-x:countTokens",
            {"generate_content_request": contents(model="models/gemini-x")},
            b'{"totalTokens": 9}',
            id="Gemini, wrapped, in snakes",
        ),
        pytest.param(
            RS,
            {"model": "openai-responses/gpt-x", "input": "How many?", "truncation": "auto"},
            b"/v1/responses/input_tokens",
            {"model": "gpt-x", "input": "How many?", "truncation": "auto"},
            b'{"object":"response.input_tokens","input_tokens":11}',
            id="Responses",
        ),
        pytest.param(
            RS,
            {"model": "openai/gpt-x", "instructions": "Be brief."},
            b"/v1/responses/input_tokens",
            {"model": "gpt-x", "instructions": "Be brief."},
            b'{"object":"response.input_tokens","input_tokens":11}',
            id="Responses, of a provider that speaks it beside Chat; no input",
        ),
    ],
)
async def test_a_provider_of_the_dialect_counts(path: str, body: Any, target: bytes, sent: Any, answer: bytes) -> None:
    """It has the client's own body but for the model's name, its own key, and the client its own answer."""
    counting = Counting()
    counting.provider.answer = (200, answer)
    reply = await counting.ask(path, body)
    assert (reply.status, reply.body) == (200, answer)
    assert "x-thalweg-estimated" not in reply.headers
    (asked,) = counting.provider.asked
    assert (asked.method, asked.target, json.loads(asked.body)) == (b"POST", target, sent)
    assert asked.credential is not None
    assert asked.credential.origin == asked.origin
    assert KEY.encode() not in asked.body + b"".join(value for _, value in asked.headers)
    assert dict(asked.headers)[b"x-thalweg-hop"] == b"1"
    assert (counting.ledger.unsettled, counting.provider.aborted) == (0, 1)


async def test_the_dialect_s_headers_go_along() -> None:
    counting = Counting()
    counting.provider.answer = (200, b'{"input_tokens":1}')
    await counting.ask(AN, messages("claude-x"))
    await counting.ask(AN, messages("claude-x"), anthropic_version="2024-01-01", anthropic_beta="a,b", x_other="c")
    first, second = (dict(asked.headers) for asked in counting.provider.asked)
    assert first[b"anthropic-version"] == b"2023-06-01"
    assert (second[b"anthropic-version"], second[b"anthropic-beta"]) == (b"2024-01-01", b"a,b")
    assert b"x-other" not in second


@pytest.mark.parametrize(
    ("path", "body", "read"),
    [
        (AN, messages("deepseek/deepseek-chat"), lambda tree: tree["input_tokens"]),
        (GE.format("deepseek/deepseek-chat"), contents(), lambda tree: tree["totalTokens"]),
        (
            RS,
            {"model": "deepseek/deepseek-chat", "input": "How many tokens are in this?"},
            lambda tree: tree["input_tokens"],
        ),
    ],
    ids=["Anthropic", "Gemini", "Responses"],
)
async def test_for_other_providers_it_is_guessed(path: str, body: Any, read: Any) -> None:
    counting = Counting()
    reply = await counting.ask(path, body)
    assert (reply.status, reply.headers["x-thalweg-estimated"]) == (200, "1")
    assert read(reply.json) == 11
    assert counting.provider.asked == []
    assert counting.ledger.unsettled == 0


async def test_the_shapes_of_a_guess() -> None:
    """As the official SDKs read them."""
    counting = Counting()
    picture = {"inlineData": {"mimeType": "image/png", "data": PIXEL}}
    body = {"contents": [{"role": "user", "parts": [{"text": "What is this?"}, picture, picture]}]}
    reply = await counting.ask(GE.format(GUESSED), body)
    assert reply.json == {
        "totalTokens": 8 + 2 * MEDIA_TOKENS,
        "promptTokensDetails": [
            {"modality": "TEXT", "tokenCount": 8},
            {"modality": "IMAGE", "tokenCount": 2 * MEDIA_TOKENS},
        ],
    }
    assert (await counting.ask(AN, messages(GUESSED, "hi"))).json == {"input_tokens": 5}
    reply = await counting.ask(RS, {"model": GUESSED, "input": "hi"})
    assert reply.json == {"object": "response.input_tokens", "input_tokens": 5}


async def test_the_simulator_counts_as_it_bills() -> None:
    counting = Counting()
    reply = await counting.ask(AN, messages("sim-chat/text", "浪花 🌊 é ñ 👩‍🚀 — what carries a boat?"))
    assert (reply.json, reply.headers["x-thalweg-simulated"]) == ({"input_tokens": 16}, "1")
    assert "x-thalweg-estimated" not in reply.headers
    assert counting.provider.asked == []


TOOL = {"name": "weather", "description": "d" * 400, "input_schema": {"type": "object", "properties": {"c" * 400: {}}}}


@pytest.mark.parametrize(
    ("body", "least", "most"),
    [
        pytest.param(messages(GUESSED, "x" * 4000), 1000, 1010, id="plain text"),
        pytest.param(messages(GUESSED, "深" * 1000), 700, 710, id="Chinese"),
        pytest.param(messages(GUESSED, "hi", system="y" * 4000), 1000, 1015, id="instructions"),
        pytest.param(messages(GUESSED, "hi", tools=[TOOL]), 200, 240, id="a tool's definition"),
        pytest.param(
            messages(GUESSED, [{"type": "image", "source": {"type": "url", "url": "https://a.example/x.png"}}]),
            MEDIA_TOKENS,
            MEDIA_TOKENS + 5,
            id="a picture, wherever it is",
        ),
        pytest.param(
            messages(GUESSED, [{"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "z" * 4000}}]),
            1000,
            1010,
            id="a document of text is its text",
        ),
        pytest.param(
            {
                "model": GUESSED,
                "messages": [
                    {"role": "user", "content": "hi"},
                    {"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": "weather", "input": {"q": "x" * 400}}]},
                    {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "y" * 400}]},
                ],
            },
            200,
            225,
            id="a call and its result",
        ),
    ],
)  # fmt: skip
async def test_what_a_guess_counts(body: Any, least: int, most: int) -> None:
    reply = await Counting().ask(AN, body)
    assert reply.status == 200
    assert least <= reply.json["input_tokens"] <= most


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (404, b"<html>not found</html>"),
        (404, b'{"detail":"Not Found"}'),
        (405, b'{"detail":"Method Not Allowed"}'),
        (501, b""),
    ],
)
async def test_a_provider_without_the_endpoint_is_guessed_for(status: int, body: bytes) -> None:
    counting = Counting()
    counting.provider.answer = (status, body)
    reply = await counting.ask(AN, messages("claude-x"))
    assert (reply.status, reply.headers["x-thalweg-estimated"]) == (200, "1")


@pytest.mark.parametrize(
    ("answer", "status", "words"),
    [
        ((404, b'{"type":"error","error":{"type":"not_found_error","message":"model: claude-x"}}'), 404, "model: claude-x"),
        ((400, b'{"type":"error","error":{"type":"invalid_request_error","message":"thinking: no"}}'), 400, "thinking: no"),
        ((401, b'{"type":"error","error":{"type":"authentication_error","message":"no"}}'), 502, "refused ANTHROPIC_API_KEY"),
        ((429, b'{"type":"error","error":{"type":"rate_limit_error","message":"slow"}}'), 429, "slow"),
        ((400, b'{"error":{"message":"bad key 5e1f0a9d.of-no-known-look"}}'), 400, "[hidden]"),
        ((302, b""), 502, "anthropic answered with status 302"),
        ((200, b"x" * (1024 * 1024 + 1)), 502, "more than"),
        (UpstreamUnreachable("anthropic cannot be reached"), 502, "cannot be reached"),
    ],
    ids=["no such model", "a wrong field", "our key", "too many", "a key repeated", "a redirect", "too long", "nobody there"],
)  # fmt: skip
async def test_a_provider_s_errors(answer: Any, status: int, words: str) -> None:
    counting = Counting()
    counting.provider.answer = answer
    reply = await counting.ask(AN, messages("claude-x"))
    assert (reply.status, reply.json["type"]) == (status, "error")
    assert words in reply.said
    assert KEYS["ANTHROPIC_API_KEY"] not in reply.said


@pytest.mark.parametrize(
    ("path", "body", "status", "words"),
    [
        (AN, b"{", 400, "JSON"),
        (AN, {"model": "claude-x"}, 400, "messages"),
        (AN, messages("nobody/x"), 404, "nobody/x"),
        (GE.format("gemini-x"), {}, 400, "contents"),
        (GE.format("gemini-x"), {"generateContentRequest": None}, 400, "JSON object"),
        (GE.format("gemini-x"), {"generateContentRequest": contents(), "contents": []}, 400, "stands alone"),
        (GE.format("gemini-x"), {"generateContentRequest": contents(model="models/other")}, 400, "model"),
        (GE.format("gemini-x"), b'{"generateContentRequest":{},"generateContentRequest":{}}', 400, "more than once"),
        (RS, {"input": "hi"}, 400, "model"),
        (RS, {"model": "openai/gpt-x", "input": 5}, 400, "input"),
        (RS, b"\xff", 400, "JSON"),
    ],
)  # fmt: skip
async def test_wrong_requests(path: str, body: Any, status: int, words: str) -> None:
    counting = Counting()
    reply = await counting.ask(path, body)
    assert reply.status == status
    assert words in reply.said
    assert counting.provider.asked == []


@pytest.mark.parametrize("path", [AN, GE.format("gemini-x"), RS])
async def test_the_key_comes_first(path: str) -> None:
    counting = Counting()
    for key in (None, "sk-wrong-key"):
        reply = await counting.ask(path, b"{", key=key)
        assert reply.status == 401
        assert "API key" in reply.said


@pytest.mark.parametrize(
    ("headers", "status"),
    [({"x_thalweg_hop": "1"}, 508), ({"content_encoding": "gzip"}, 415), ({"content_length": "99999999999"}, 413)],
)
async def test_refused_before_the_body_is_read(headers: dict[str, str], status: int) -> None:
    assert (await Counting().ask(RS, b"{", **headers)).status == status


async def test_a_gateway_that_shuts_down_counts_no_more() -> None:
    counting = Counting()
    counting.house.live.draining = True
    assert (await counting.ask(RS, {"model": "sim/text", "input": "hi"})).status == 503


async def test_a_client_that_leaves_ends_the_call() -> None:
    counting = Counting()
    counting.provider.answer = None
    task = asyncio.create_task(counting.ask(AN, messages("claude-x")))
    while not counting.provider.asked:
        await asyncio.sleep(0)
    counting.gone.set()
    with pytest.raises(EOFError):
        await task
    assert counting.provider.aborted == 1
    assert counting.house.budget.held_bytes == 0
