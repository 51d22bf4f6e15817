"""What a name means: which provider is called, with which model; and what `--simulate` makes of any name."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.server.gateway import CHAT, MESSAGES, Running, Upstream, answer, ask, chat, running, settings_of
from thalweg.canon.errors import NotFound
from thalweg.dialects.openai_chat.request import ChatRequest
from thalweg.server.models import Directory

KEYS = {"OPENAI_API_KEY": "sk-openai-1", "ARK_API_KEY": "ark-key-1"}
ONE = {"ARK_API_KEY": "ark-key-1"}


def resolve(name: str, path: str = CHAT, **env: str) -> tuple[str | None, str]:
    target = Directory(settings_of(**env)).resolve(ChatRequest(chat(name)), path, "openai-chat")
    return (target.provider.row.name if target.provider else None, target.upstream_model)


@pytest.mark.parametrize(
    ("name", "path", "env", "target"),
    [
        ("sim/text", CHAT, {}, (None, "text")),
        ("sim/text?pace=0", CHAT, {}, (None, "text?pace=0")),
        ("sim/a/b", CHAT, {}, (None, "a/b")),
        ("sim/text", CHAT, KEYS, (None, "text")),
        ("openai/gpt-5.4-mini", CHAT, KEYS, ("openai", "gpt-5.4-mini")),
        ("openai/org/model", CHAT, KEYS, ("openai", "org/model")),
        ("openai/sim/text", CHAT, KEYS, ("openai", "sim/text")),
        ("ark/doubao-1", CHAT, KEYS, ("ark", "doubao-1")),
        ("gpt-5.4-mini", CHAT, KEYS, ("openai", "gpt-5.4-mini")),
        ("doubao-1", CHAT, KEYS, ("ark", "doubao-1")),
        ("ep-1", CHAT, KEYS, ("ark", "ep-1")),
        ("some-model", "/api/v3/chat/completions", KEYS, ("ark", "some-model")),
        ("some-model", "/openai/v1/chat/completions", KEYS, ("openai", "some-model")),
        ("gpt-5.4-mini", "/api/v3/chat/completions", KEYS, ("ark", "gpt-5.4-mini")),
        ("org/model", "/api/v3/chat/completions", KEYS, ("ark", "org/model")),
        ("openai/x", "/api/v3/chat/completions", KEYS, ("openai", "x")),
        ("some-model", CHAT, ONE, ("ark", "some-model")),
    ],
)
def test_a_name_leads_to_a_provider(name: str, path: str, env: dict[str, str], target: tuple[str | None, str]) -> None:
    assert resolve(name, path, **env) == target


@pytest.mark.parametrize(
    ("name", "env", "said"),
    [
        ("some-model", KEYS, "provider/model"),
        ("nobody/some-model", KEYS, "openai, ark, sim"),
        ("nobody/some-model", ONE, "provider/model"),
        ("gpt-5.4-mini", ONE, "OPENAI_API_KEY"),
        ("openai/", KEYS, "no model"),
        ("sim/", KEYS, "no model"),
        ("OpenAI/gpt-5.4-mini", KEYS, "provider/model"),
    ],
)
def test_a_name_that_leads_nowhere_says_what_to_do(name: str, env: dict[str, str], said: str) -> None:
    with pytest.raises(NotFound, match=re.escape(said)) as caught:
        resolve(name, **env)
    assert caught.value.param == "model"


def test_the_upstream_gets_its_own_name_its_own_key_and_the_hop_mark() -> None:
    whole = {"id": "x", "object": "chat.completion", "created": 1, "model": "m", "choices": []}
    with Upstream(lambda _: answer(200, json.dumps(whole).encode())) as upstream:
        settings = settings_of(OPENAI_API_KEY="sk-openai-1", OPENAI_BASE_URL=upstream.url)
        headers = {"cookie": "x", "x-api-key": settings.api_key or "", "x-other": "y", "organization": "z"}
        with running(settings) as gateway:
            assert ask(gateway.port, CHAT, chat("openai/org/model"), headers=headers).status == 200
    (asked,) = upstream.requests
    head, _, body = asked.partition(b"\r\n\r\n")
    assert json.loads(body)["model"] == "org/model"
    assert head.startswith(b"POST /v1/chat/completions HTTP/1.1\r\n")
    names = {line.partition(b":")[0].lower() for line in head.split(b"\r\n")[1:]}
    own = {b"host", b"content-length", b"content-type", b"accept", b"accept-encoding", b"user-agent", b"authorization"}
    assert names - {b"connection"} == own | {b"x-thalweg-hop"}
    assert b"Bearer sk-openai-1" in head


# Every name, simulated


@pytest.fixture(scope="module")
def simulating() -> Iterator[Running]:
    with running(settings_of(THALWEG_SIMULATE="1", **KEYS)) as gateway:
        yield gateway


TOOL = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
CALLED = [
    *MESSAGES,
    {
        "role": "assistant",
        "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}],
    },
    {"role": "tool", "tool_call_id": "c1", "content": "7391"},
]

PICTURE = [
    {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://example.com/river.png"}}]},
]


@pytest.mark.parametrize(
    ("fields", "model"),
    [
        ({}, "text"),
        ({"tools": []}, "text"),
        ({"tools": [TOOL]}, "tools"),
        ({"functions": [TOOL["function"]]}, "tools"),
        ({"tools": [TOOL], "tool_choice": "required"}, "tools"),
        ({"tools": [TOOL], "tool_choice": "none"}, "text"),
        ({"tools": [TOOL], "messages": CALLED}, "text"),
        ({"tools": [TOOL], "messages": [*CALLED, {"role": "assistant", "content": "x"}, *MESSAGES]}, "tools"),
        ({"tools": [{"type": "web_search"}]}, "text"),
        ({"reasoning_effort": "high"}, "reasoning"),
        ({"reasoning_effort": "none"}, "text"),
        ({"thinking": {"type": "enabled"}}, "reasoning"),
        ({"thinking": {"type": "disabled"}}, "text"),
        ({"enable_thinking": True}, "reasoning"),
        ({"enable_thinking": False}, "text"),
        ({"thinking_budget": 100}, "reasoning"),
        ({"tools": [TOOL], "reasoning_effort": "high"}, "tools"),
        ({"tools": [TOOL], "reasoning_effort": "high", "messages": CALLED}, "reasoning"),
        ({"reasoning": {"max_tokens": 100}}, "reasoning"),
        ({"reasoning": {"enabled": False}}, "text"),
        ({"chat_template_kwargs": {"enable_thinking": True}}, "reasoning"),
        ({"response_format": {"type": "json_object"}}, "json"),
        ({"response_format": {"type": "json_schema", "json_schema": {"schema": {}}}}, "json"),
        ({"response_format": {"type": "text"}}, "text"),
        ({"response_format": {"type": "json_object"}, "reasoning_effort": "low", "messages": PICTURE}, "json"),
        ({"response_format": {"type": "json_object"}, "tools": [TOOL]}, "tools"),
        ({"messages": PICTURE}, "vision"),
        ({"messages": PICTURE, "tools": [TOOL]}, "tools"),
        ({"messages": [*PICTURE, {"role": "assistant", "content": "x"}, *MESSAGES]}, "text"),
    ],
)
def test_the_simulator_stands_in_with_what_the_request_is_out_for(fields: dict[str, Any], model: str) -> None:
    directory = Directory(settings_of(THALWEG_SIMULATE="1", **KEYS))
    target = directory.resolve(ChatRequest(chat("gpt-5.4-mini", **fields)), CHAT, "openai-chat")
    assert (target.provider, target.upstream_model) == (None, model)


@pytest.mark.parametrize(
    "name", ["gpt-5.4-mini", "openai/gpt-5.4-mini", "nobody/some-model", "模型", "a/b/c", "openai/"]
)
def test_every_name_is_answered(simulating: Running, name: str) -> None:
    reply = ask(simulating.port, CHAT, chat(name))
    assert (reply.status, reply.headers["x-thalweg-simulated"]) == (200, "1")
    assert reply.json["choices"][0]["message"]["content"]
    assert simulating.ledger.last_entries(1)[0].model == name


def test_tools_are_called_and_thinking_is_shown(simulating: Running) -> None:
    message = ask(simulating.port, CHAT, chat("gpt-5.4-mini", tools=[TOOL])).json["choices"][0]["message"]
    assert [call["function"]["name"] for call in message["tool_calls"]] == ["weather"]
    assert "city" in json.loads(message["tool_calls"][0]["function"]["arguments"])
    message = ask(simulating.port, CHAT, chat("o3", reasoning_effort="low")).json["choices"][0]["message"]
    assert message["reasoning_content"]
    assert message["content"]
    message = ask(simulating.port, CHAT, chat("o3", tools=[TOOL], messages=CALLED)).json["choices"][0]["message"]
    assert "7391" in message["content"]


@pytest.mark.parametrize("name", ["sim/nothing", "sim/", "sim/gpt-5.4-mini"])
def test_an_unknown_name_of_the_simulators_own_stays_unknown(simulating: Running, name: str) -> None:
    assert ask(simulating.port, CHAT, chat(name)).status == 404


def test_a_request_without_meaning_is_the_callers_fault(simulating: Running) -> None:
    reply = ask(simulating.port, CHAT, chat("gpt-5.4-mini", messages=[{"role": "root", "content": "x"}]))
    assert (reply.status, reply.json["error"]["param"]) == (400, "messages[0].role")
