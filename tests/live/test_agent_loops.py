"""Agents whose client speaks one dialect and whose model another: each step's thoughts and calls go back as they must.

The upstream is the simulator in its strict self: it signs what it says, and answers 400 when a signature or an id comes
back changed, missing or misplaced. An echoing client sends back all that it read; a careless one rebuilds its history
from text and calls alone. The clients here read and write by our own codecs; `tests/conformance` has the real SDKs.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from msgspec.structs import replace

from tests.server.gateway import Running, ask, running, settings_of
from thalweg.canon.events import Event
from thalweg.canon.finish import FinishReason
from thalweg.canon.fold import Fold
from thalweg.canon.losses import Losses
from thalweg.canon.parts import Part, Text, ToolCall, ToolResult
from thalweg.canon.request import Message, ReasoningAsk, Request, Sampling, Tool
from thalweg.canon.response import Response
from thalweg.dialects.registry import DIALECTS
from thalweg.framing.sse import SseDecoder
from thalweg.profiles.base import Profile

CLIENTS = {
    "openai-chat": "/v1",
    "openai-responses": "/v1",
    "anthropic": "/anthropic",
    "gemini": "/v1beta",
}
UPSTREAMS = ("sim-chat", "sim-responses", "sim-anthropic", "sim-gemini", "sim-dashscope")
NATIVE = {"sim-anthropic": "anthropic", "sim-gemini": "gemini", "sim-responses": "openai-responses"}

TOOLS = (
    Tool(
        name="get_weather",
        description="The weather of a city.",
        parameters={"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    ),
    Tool(name="list_files", description="All files.", parameters={"type": "object", "properties": {}}),
    Tool(
        name="book",
        description="Books a trip.",
        parameters={
            "type": "object",
            "properties": {
                "trip": {
                    "type": "object",
                    "properties": {"to": {"type": "string"}, "days": {"type": "array", "items": {"type": "integer"}}},
                    "required": ["to", "days"],
                }
            },
            "required": ["trip"],
        },
    ),
)
PROFILE = Profile(optional_fields=frozenset())
MOST_STEPS = 6


@pytest.fixture(scope="module")
def gateway() -> Iterator[Running]:
    with running(settings_of(key=None, THALWEG_SIMULATE="1")) as found:
        yield found


def one_answer(gateway: Running, client: str, request: Request, *, stream: bool) -> Response:
    dialect = DIALECTS[client]
    body = dialect.encode_request(request, model=request.model, profile=PROFILE, stream=stream, losses=Losses()).body
    target = dialect.request_target(CLIENTS[client].encode(), request.model, stream=stream).decode()
    headers = {name.decode(): value.decode() for name, value in dialect.request_headers(stream=stream)}
    reply = ask(gateway.port, target, body, key=None, headers=headers)
    assert reply.status == 200, reply.body
    if not stream:
        return dialect.decode_answer(reply.body, profile=PROFILE, provider="gateway")
    frames, decoder, fold = SseDecoder(), dialect.stream_decoder(profile=PROFILE, provider="gateway"), Fold()
    events: list[Event] = decoder.feed(frames.feed(reply.body)) + decoder.feed(frames.end()) + decoder.end()
    fold.feed(events)
    return fold.response()


def careless(part: Part) -> Part | None:
    """What a client keeps that knows text and calls alone."""
    if isinstance(part, Text):
        return Text(text=part.text) if part.text else None
    return replace(part, signature=None) if isinstance(part, ToolCall) else None


def loop(gateway: Running, client: str, upstream: str, *, stream: bool, echoes: bool) -> list[Response]:
    """Run an agent to its end; its answers."""
    request = Request(
        model=f"{upstream}/agent?pace=0&ttft=0",
        messages=(Message(role="user", parts=(Text(text="去上海三天。Plan it."),)),),
        tools=TOOLS,
        sampling=Sampling(max_tokens=4096),
        reasoning=ReasoningAsk(mode="effort", effort="medium", show="summary"),
        stream=stream,
    )
    answers: list[Response] = []
    while len(answers) < MOST_STEPS:
        answer = one_answer(gateway, client, request, stream=stream)
        assert answer.error is None
        assert answer.complete
        answers.append(answer)
        (choice,) = answer.choices
        calls = [part for part in choice.parts if isinstance(part, ToolCall)]
        if not calls:
            assert choice.finish_reason is FinishReason.STOP
            return answers
        assert choice.finish_reason is FinishReason.TOOL_CALLS
        kept = choice.parts if echoes else tuple(filter(None, map(careless, choice.parts)))
        results = tuple(
            ToolResult(call_id=call.id, name=call.name, parts=(Text(text=f"7391-{call.name}"),)) for call in calls
        )
        more = (Message(role="assistant", parts=kept), Message(role="user", parts=results))
        request = replace(request, messages=request.messages + more)
    raise AssertionError("it never answered")


def arguments(answers: list[Response]) -> list[list[tuple[str, Any]]]:
    return [
        [
            (part.name, json.loads(part.arguments or "{}"))
            for part in answer.choices[0].parts
            if isinstance(part, ToolCall)
        ]
        for answer in answers
    ]


@pytest.mark.parametrize("echoes", [True, False], ids=["echoing", "careless"])
@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
@pytest.mark.parametrize("upstream", UPSTREAMS)
@pytest.mark.parametrize("client", CLIENTS)
def test_an_agent_comes_to_its_end(gateway: Running, client: str, upstream: str, stream: bool, echoes: bool) -> None:
    answers = loop(gateway, client, upstream, stream=stream, echoes=echoes)
    steps = arguments(answers)
    assert [len(step) for step in steps] == [2, 1, 1, 0], "two calls at once, then one after the other"
    assert steps[1][0][1] == {}, "a call without arguments"
    ((_, nested),) = steps[2]
    assert nested["détails 深泓"]["鱼"] == ["🐟", "e\u0301", 'a "quote", a \\ and a\nline', "\u2028"]
    assert nested["détails 深泓"]["numbers"] == [0, -7, 2.5, 1e21, 9007199254740991]
    assert nested["détails 深泓"]["nothing"] == [None, True, False, {}, [], ""]
    text = "".join(part.text for part in answers[-1].choices[0].parts if isinstance(part, Text))
    assert "7391" in text, "it has read the results"
