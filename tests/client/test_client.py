"""The client: any provider's answer as events, without a server."""

from __future__ import annotations

import asyncio
import gc
import json
from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from tests.client.answers import WRITTEN, streamed, whole
from thalweg.canon.errors import (
    InvalidRequest,
    NotFound,
    UnsupportedParameter,
    UpstreamBroke,
    UpstreamRefused,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from thalweg.canon.events import PartDelta, ResponseEnded, ResponseStarted
from thalweg.canon.finish import FinishReason
from thalweg.canon.fold import fold
from thalweg.canon.parts import Reasoning, Text, ToolResult
from thalweg.canon.request import Message
from thalweg.canon.script import BreakOff, EndBody, RefuseConnection, SendBody, SendHead, Stall, Step
from thalweg.client.client import Client
from thalweg.config import Settings, load
from thalweg.dialects.registry import DIALECTS
from thalweg.profiles.providers import SIMULATORS
from thalweg.server.simulated import Play
from thalweg.upstream.base import UpstreamRequest
from thalweg.upstream.played import PlayedConnector

KEY = "sk-a-secret-of-ours"
MODELS = {"openai-chat": "openai/m", "openai-responses": "openai-responses/m", "anthropic": "anthropic/m",
          "gemini": "google/m", "dashscope-native": "dashscope-native/m"}  # fmt: skip
SSE = SendHead(200, ((b"content-type", b"text/event-stream"),))
JSON = SendHead(200, ((b"content-type", b"application/json"),))
TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}


def settings(**environment: str) -> Settings:
    keys = dict.fromkeys(("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY", "DASHSCOPE_API_KEY"), KEY)
    return load({"THALWEG_HOME": "/nowhere", "THALWEG_FIND_ENGINES": "0"} | keys | environment, port=0)


class Upstream:
    """An upstream that plays steps, and what it was asked."""

    def __init__(self, *steps: Step) -> None:
        self.requests: list[UpstreamRequest] = []
        self.connector = PlayedConnector(self._play)
        self._steps = steps

    def _play(self, request: UpstreamRequest) -> Iterator[Step]:
        self.requests.append(request)
        return iter(self._steps)

    def client(self, **environment: str) -> Client:
        return Client(settings(**environment), connector=self.connector)

    @property
    def body(self) -> dict[str, Any]:
        return json.loads(self.requests[-1].body)


class Simulated(Upstream):
    """The simulator, and what it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self._simulate = Play()

    def _play(self, request: UpstreamRequest) -> Iterator[Step]:
        self.requests.append(request)
        return self._simulate(request)

    def client(self, **environment: str) -> Client:
        return Client(settings(**environment), simulator=self.connector)


def answering(body: bytes) -> Upstream:
    return Upstream(SSE, SendBody(body), EndBody())


async def turns(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


# Answers.


@pytest.mark.parametrize("name", SIMULATORS)
async def test_the_simulator_answers_in_every_dialect(name: str) -> None:
    async with Client(settings()) as client:
        stream = client.stream(f"{name}/text?pace=0", "浪花 and foam")
        found = [event async for event in stream]
        assert isinstance(found[0], ResponseStarted)
        assert isinstance(found[-1], ResponseEnded)
        assert fold(found) == stream.response
        assert "浪花 and foam" in stream.response.text
        assert stream.response.usage is not None
        assert stream.response.complete


@pytest.mark.parametrize("name", SIMULATORS)
async def test_a_model_calls_a_tool_and_reads_its_result(name: str) -> None:
    async with Client(settings()) as client:
        talk: list[Any] = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Weather?"}]
        first = await client.complete(f"{name}/tools?pace=0", talk, tools=[TOOL])
        assert first.choice.finish_reason is FinishReason.TOOL_CALLS
        (call, *_) = first.choice.tool_calls
        assert call.name == "weather"
        talk.append(Message(role="assistant", parts=first.choice.parts))
        results = tuple(ToolResult(call_id=each.id, parts=(Text(text="sunny"),)) for each in first.choice.tool_calls)
        talk.append(Message(role="user", parts=results))
        second = await client.complete(f"{name}/tools?pace=0", talk, tools=[TOOL])
        assert second.choice.finish_reason is FinishReason.STOP


@pytest.mark.parametrize("name", DIALECTS)
@pytest.mark.parametrize("as_stream", [True, False])
async def test_a_provider_answers(name: str, as_stream: bool) -> None:
    steps = (SSE, SendBody(streamed(name))) if as_stream else (JSON, SendBody(whole(name)))
    upstream = Upstream(*steps, EndBody())
    async with upstream.client() as client:
        answer = await client.complete(MODELS[name], "Hi")
    assert (answer.text, answer.choice.reasoning) == ("深泓 flows.", "I think so.")
    assert [(call.id, call.arguments) for call in answer.choice.tool_calls] == [
        ("call_1", '{"a":1}'),
        ("call_2", '{"a":2}'),
    ]
    (request,) = upstream.requests
    assert request.credential is not None
    assert KEY.encode() in request.credential.value
    base = settings().providers[MODELS[name].partition("/")[0]].base_path
    assert request.target == DIALECTS[name].request_target(base, "m", stream=True)
    assert upstream.connector.open_calls == 0


async def test_texts_are_the_first_choices_text_alone() -> None:
    async with answering(streamed("openai-chat")).client() as client:
        assert [text async for text in client.stream("openai/m", "Hi").texts()] == ["深泓 flows."]


async def test_bytes_that_come_one_by_one_read_the_same() -> None:
    body = streamed("anthropic")
    upstream = Upstream(SSE, *(SendBody(body[at : at + 1]) for at in range(len(body))), EndBody())
    async with upstream.client() as client:
        assert (await client.complete("anthropic/m", "Hi")).text == "深泓 flows."


# Requests.


async def test_what_chat_alone_knows_goes_to_a_chat_provider_as_it_is() -> None:
    upstream = answering(streamed("openai-chat"))
    async with upstream.client() as client:
        await client.complete("openai/m", [{"role": "user", "content": "Hi", "zz": 1}], prediction={"x": 1}, top_p=0.5)
    assert upstream.body["prediction"] == {"x": 1}
    assert upstream.body["messages"] == [{"role": "user", "content": "Hi", "zz": 1}]
    assert (upstream.body["model"], upstream.body["stream"]) == ("m", True)


async def test_to_another_api_it_is_left_out_and_named() -> None:
    upstream = answering(streamed("anthropic"))
    async with upstream.client() as client:
        stream = client.stream("anthropic/m", "Hi", max_tokens=9, logit_bias={"1": 1}, prediction={"x": 1})
        assert set(stream.dropped) == {"logit_bias", "prediction"}
        await stream.complete()
        assert upstream.body["max_tokens"] == 9
        with pytest.raises(UnsupportedParameter):
            client.stream("anthropic/m", "Hi", logit_bias={"1": 1}, strict=True)


async def test_signatures_go_back_to_who_made_them() -> None:
    body = b"".join(
        b"event: %b\ndata: %b\n\n" % (json.loads(data)["type"].encode(), data)
        for data in (
            b'{"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"m",'
            b'"content":[],"usage":{"input_tokens":1,"output_tokens":1}}}',
            b'{"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":""}}',
            b'{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"hm"}}',
            b'{"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"U0lH"}}',
            b'{"type":"content_block_stop","index":0}',
            b'{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":2}}',
            b'{"type":"message_stop"}',
        )
    )
    upstream = answering(body)
    async with upstream.client() as client:
        answer = await client.complete("anthropic/m", "Hi", reasoning_effort="low")
        assert isinstance(answer.choice.parts[0], Reasoning)
        parts = (*answer.choice.parts, Text(text="So."))
        talk = [{"role": "user", "content": "Hi"}, Message(role="assistant", parts=parts)]
        await client.complete("anthropic/m", [*talk, {"role": "user", "content": "And?"}], reasoning_effort="low")
        assert {"type": "thinking", "thinking": "hm", "signature": "U0lH"} in upstream.body["messages"][1]["content"]


async def test_a_stop_sequence_that_cannot_be_told_ends_the_answer_here() -> None:
    upstream = answering(streamed("openai-responses"))
    async with upstream.client() as client:
        answer = await client.complete("openai-responses/m", "Hi", stop=[" flows"])
    assert answer.text == "深泓"
    assert answer.choice.finish_reason is FinishReason.STOP_SEQUENCE
    assert answer.choice.stop_sequence == " flows"


@pytest.mark.parametrize(
    ("model", "messages", "parameters", "param"),
    [
        ("openai/m", [], {}, "messages"),
        ("openai/m", [{"role": "robot", "content": "x"}], {}, "messages[0].role"),
        ("openai/m", "Hi", {"temperature": "hot"}, "temperature"),
        ("openai/m", "Hi", {"stream": True}, "stream"),
        ("openai/m", "Hi", {"user": object()}, None),
        ("", "Hi", {}, "model"),
    ],
)
def test_what_cannot_be_asked_is_refused_at_once(model: str, messages: Any, parameters: Any, param: str | None) -> None:
    with pytest.raises(InvalidRequest) as caught:
        Client(settings()).stream(model, messages, **parameters)
    assert caught.value.param == param


@pytest.mark.parametrize(
    ("model", "says"),
    [("ark/m", "ARK_API_KEY"), ("opennai/m", "openai/m"), ("nobody-knows", "provider/model")],
)
def test_a_model_that_is_not_there_says_what_to_do(model: str, says: str) -> None:
    with pytest.raises(NotFound, match=says):
        Client(settings()).stream(model, "Hi")


# What goes wrong.


def failing(*steps: Step) -> Iterable[Step]:
    return steps


@pytest.mark.parametrize(
    ("steps", "kind", "says"),
    [
        pytest.param(failing(RefuseConnection()), UpstreamUnreachable, "refused", id="nobody there"),
        pytest.param(
            failing(SendHead(401, ()), SendBody(b'{"error":{"message":"bad key"}}'), EndBody()),
            UpstreamRefused,
            "openai refused OPENAI_API_KEY",
            id="a key refused",
        ),
        pytest.param(
            failing(SendHead(429, ((b"retry-after", b"7"),)), SendBody(b'{"error":{"message":"slowly"}}'), EndBody()),
            UpstreamRefused,
            "slowly",
            id="too many requests",
        ),
        pytest.param(failing(SendHead(503, ()), BreakOff(reset=True)), UpstreamRefused, "503", id="a refusal cut off"),
        pytest.param(failing(SSE, SendBody(b"data: {\n\n"), EndBody()), UpstreamBroke, "not JSON", id="no chunk"),
        pytest.param(failing(SSE, BreakOff(reset=False)), UpstreamBroke, "closed", id="cut off"),
        pytest.param(failing(SSE, EndBody()), UpstreamBroke, "broke off before", id="an empty stream"),
        pytest.param(failing(JSON, SendBody(b"nope"), EndBody()), UpstreamBroke, "no answer", id="no JSON"),
    ],
)
async def test_an_error_is_raised(steps: Iterable[Step], kind: type[Exception], says: str) -> None:
    upstream = Upstream(*steps)
    async with upstream.client() as client:
        with pytest.raises(kind, match=says) as caught:
            await client.complete("openai/m", "Hi")
    assert KEY not in str(caught.value)
    assert upstream.connector.open_calls == 0


async def test_our_own_key_is_hidden_where_an_upstream_repeats_it() -> None:
    said = b'{"error":{"message":"what is sk-a-secret-of-ours?"}}'
    async with Upstream(SendHead(400, ()), SendBody(said), EndBody()).client() as client:
        with pytest.raises(UpstreamRefused) as caught:
            await client.complete("openai/m", "Hi")
    assert KEY not in str(caught.value)


async def test_what_came_before_the_error_is_kept() -> None:
    body = streamed("openai-chat").partition(b"flows.")
    upstream = Upstream(SSE, SendBody(body[0] + body[1] + b'"}}]}\n\n'), BreakOff(reset=True))
    async with upstream.client() as client:
        stream = client.stream("openai/m", "Hi")
        with pytest.raises(UpstreamBroke):
            await stream.complete()
        assert stream.response.text == "深泓 flows."
        assert not stream.response.complete
        assert isinstance(stream.response.error, UpstreamBroke)


@pytest.mark.parametrize(
    ("steps", "phase"),
    [((Stall(),), "first_byte"), ((SSE, Stall()), "gap"), ((SSE, SendBody(b": hi\n\n"), Stall()), "whole")],
)
async def test_a_silence_ends(steps: tuple[Step, ...], phase: str) -> None:
    waits = {"THALWEG_TIMEOUT_CONNECT_S": "0.001", f"THALWEG_TIMEOUT_{phase.upper()}_S": "0.02"}
    upstream = Upstream(*steps)
    async with upstream.client(**waits) as client:
        with pytest.raises(UpstreamTimeout) as caught:
            await client.complete("openai/m", "Hi")
    assert caught.value.phase == phase
    assert upstream.connector.open_calls == 0


# Leaving.

ENDLESS = [SSE, SendBody(streamed("openai-chat").partition(b"\n\n")[0] + b"\n\n"), Stall()]


async def test_leaving_closes_the_call() -> None:
    upstream = Upstream(*ENDLESS)
    async with upstream.client() as client:
        async with client.stream("openai/m", "Hi") as stream:
            async for _ in stream:
                assert upstream.connector.open_calls == 1
                break
        assert upstream.connector.open_calls == 0


async def test_a_stream_that_is_forgotten_closes_its_call() -> None:
    upstream = Upstream(*ENDLESS)
    async with upstream.client() as client:
        async for _ in client.stream("openai/m", "Hi"):
            break
        gc.collect()
        await turns()
        assert upstream.connector.open_calls == 0


async def test_cancelling_closes_the_call() -> None:
    upstream = Upstream(*ENDLESS)
    async with upstream.client() as client:
        task = asyncio.get_running_loop().create_task(client.complete("openai/m", "Hi"))
        while not upstream.connector.open_calls:
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert upstream.connector.open_calls == 0


async def test_nothing_is_asked_before_the_first_step() -> None:
    upstream = answering(streamed("openai-chat"))
    async with upstream.client() as client:
        async with client.stream("openai/m", "Hi"):
            await turns()
        assert upstream.requests == []


async def test_who_reads_slowly_slows_the_upstream() -> None:
    delta = b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"%b"}}]}\n\n' % (b"x" * 4000)
    sent: list[Step] = []

    def play(_: UpstreamRequest) -> Iterator[Step]:
        yield SSE
        while len(sent) < 1000:
            sent.append(SendBody(delta))
            yield sent[-1]
        yield SendBody(streamed("openai-chat"))
        yield EndBody()

    connector = PlayedConnector(play)
    async with Client(settings(), connector=connector) as client:
        stream = client.stream("openai/m", "Hi")
        await anext(stream)
        await turns(200)
        assert len(sent) < 100
        assert len((await stream.complete()).text) > 4_000_000 - 100


async def test_an_answer_without_end_is_bounded() -> None:
    delta = b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"%b"}}]}\n\n' % (b"x" * 60_000)

    def play(_: UpstreamRequest) -> Iterator[Step]:
        yield SSE
        while True:
            yield SendBody(delta)

    connector = PlayedConnector(play)
    async with Client(settings(THALWEG_ANSWER_MB="1"), connector=connector) as client:
        with pytest.raises(UpstreamBroke, match="THALWEG_ANSWER_MB"):
            await client.complete("openai/m", "Hi")
    assert connector.open_calls == 0


async def test_deltas_come_as_they_are_made() -> None:
    """The first is there while the upstream has not sent the second."""
    first, *_ = streamed("openai-chat").partition(b"\n\n")
    text = b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"a"}}]}\n\n'
    client = Upstream(SSE, SendBody(first + b"\n\n" + text), Stall()).client()
    async with client, client.stream("openai/m", "Hi") as stream:
        async for event in stream:
            if isinstance(event, PartDelta):
                assert event.text == "a"
                break


@pytest.mark.parametrize("name", WRITTEN)
async def test_what_the_upstream_is_asked_streams(name: str) -> None:
    upstream = Simulated()
    row = next(row.name for row in SIMULATORS.values() if row.dialect == name)
    async with upstream.client() as client:
        await client.complete(f"{row}/text?pace=0", "Hi", max_tokens=5)
    (request,) = upstream.requests
    assert (b"accept", b"text/event-stream") in request.headers
    target = DIALECTS[name].request_target(b"/", "text", stream=True)
    assert request.target.partition(b"?")[2] == target.partition(b"?")[2]
    assert b"stream" in (request.body + request.target).lower()
