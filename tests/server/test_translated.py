"""Requests from one dialect to another through the whole gateway: what is told of losses, and to whom things belong."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.server.gateway import KEY, Running, ask, running, settings_of

CHAT, RESPONSES, MESSAGES = "/v1/chat/completions", "/v1/responses", "/v1/messages"
GEMINI = "/v1beta/models/{}:generateContent"
USER = {"role": "user", "content": "Hello."}


@pytest.fixture(scope="module")
def gateway() -> Iterator[Running]:
    with running(settings_of(THALWEG_FETCH_MEDIA="0")) as found:
        yield found


def chat(model: str, **fields: Any) -> bytes:
    return json.dumps({"model": f"{model};pace=0;ttft=0", "messages": [USER]} | fields).encode()


def messages(model: str, **fields: Any) -> bytes:
    return json.dumps({"model": f"{model};pace=0;ttft=0", "max_tokens": 64, "messages": [USER]} | fields).encode()


LOST: dict[str, tuple[str, bytes, str]] = {
    "a field without a place": (CHAT, chat("sim-anthropic/text", seed=7, logit_bias={"5": 1}), "seed, logit_bias"),
    "a field that only one API knows": (CHAT, chat("sim-gemini/text", prediction={"type": "content"}), "prediction"),
    "a field that no API knows": (CHAT, chat("sim-anthropic/text", min_p=0.1, nothing=None), "min_p"),
    "a value out of range": (CHAT, chat("sim-anthropic/text", temperature=1.5), "temperature"),
}


@pytest.mark.parametrize("case", LOST)
def test_what_is_lost_is_named_and_refused_on_demand(gateway: Running, case: str) -> None:
    path, body, names = LOST[case]
    reply = ask(gateway.port, path, body)
    assert reply.status == 200, reply.body
    assert set(names.split(", ")) <= set(reply.headers["x-thalweg-dropped"].split(", "))
    strict = ask(gateway.port, path, body, headers={"x-thalweg-strict": "1"})
    assert strict.status == 400
    error = strict.json["error"]
    assert (error["code"], error["param"]) == ("unsupported_parameter", names.split(", ")[0])
    assert names.split(", ")[0] in error["message"]


ESSENTIAL: dict[str, tuple[str, bytes, str]] = {
    "several answers": (CHAT, chat("sim-anthropic/text", n=2), "n"),
    "nothing but a warm cache": (MESSAGES, messages("sim-responses/text", max_tokens=0), "max_tokens"),
    "a search by the provider": (CHAT, chat("sim-gemini/text", web_search_options={}), "web_search_options"),
    "a talk that lies at the provider": (
        RESPONSES,
        json.dumps({"model": "sim-chat/text;pace=0", "input": "Hello.", "previous_response_id": "resp_1"}).encode(),
        "previous_response_id",
    ),
    "a tool that its provider runs": (
        MESSAGES,
        messages("sim-chat/text", tools=[{"type": "web_search_20250305", "name": "web_search"}]),
        "tools[0]",
    ),
}


@pytest.mark.parametrize("case", ESSENTIAL)
def test_what_would_change_the_answer_is_refused_but_for_the_lenient(gateway: Running, case: str) -> None:
    path, body, name = ESSENTIAL[case]
    reply = ask(gateway.port, path, body)
    assert reply.status == 400
    assert name in reply.said
    lenient = ask(gateway.port, path, body, headers={"x-thalweg-strict": "0"})
    assert lenient.status == 200, lenient.body
    assert name in lenient.headers["x-thalweg-dropped"]


def test_nothing_is_said_of_losses_where_there_are_none(gateway: Running) -> None:
    for model in ("sim/text", "sim-chat/text", "sim-anthropic/text", "sim-gemini/text", "sim-responses/text"):
        reply = ask(gateway.port, CHAT, chat(model, temperature=0.5, max_tokens=50))
        assert reply.status == 200, reply.body
        assert "x-thalweg-dropped" not in reply.headers, model
        assert ask(gateway.port, CHAT, chat(model), headers={"x-thalweg-strict": "1"}).status == 200


def test_a_client_s_own_words_come_back_in_no_header(gateway: Running) -> None:
    """A name of a field may be anything; what ends a header's line is not sent."""
    body = json.loads(messages("sim-chat/text"))
    body["metadata"] = {"user_id": "u\r\nx-evil: 1"}
    body["x\r\nx-evil: 1"] = {"a\r\nx-evil: 1": 1}
    reply = ask(gateway.port, MESSAGES, json.dumps(body).encode())
    assert reply.status == 200
    assert "x-evil" not in reply.headers
    assert "evil: 1" not in reply.headers.get("x-thalweg-dropped", "")


def test_files_are_not_fetched_where_that_is_switched_off(gateway: Running) -> None:
    picture = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
    asked = [{"role": "user", "content": [{"type": "text", "text": "?"}, picture]}]
    reply = ask(gateway.port, CHAT, chat("sim-gemini/vision", messages=asked))
    assert reply.status == 400
    assert "fetches none" in reply.said


@pytest.mark.parametrize("key", [None, "sk-wrong-key-1"])
@pytest.mark.parametrize("carrier", ["authorization", "x-api-key", "x-goog-api-key", "api-key", "query"])
@pytest.mark.parametrize("path", [CHAT, RESPONSES, MESSAGES, GEMINI.format("sim-chat/text")])
def test_every_carrier_of_a_key_means_the_same(gateway: Running, path: str, carrier: str, key: str | None) -> None:
    given = key or KEY
    headers = {} if carrier == "query" else {carrier: f"Bearer {given}" if carrier == "authorization" else given}
    target = f"{path}?key={given}" if carrier == "query" else path
    bodies = {
        CHAT: chat("sim-gemini/text"),
        RESPONSES: b'{"model":"sim-gemini/text;pace=0","input":"Hi."}',
        MESSAGES: messages("sim-gemini/text"),
    }
    body = bodies.get(path, b'{"contents":[{"role":"user","parts":[{"text":"Hi."}]}]}')
    reply = ask(gateway.port, target, body, key=None, headers=headers)
    assert reply.status == (401 if key else 200), reply.body


def test_another_caller_gets_nothing_of_a_kept_turn() -> None:
    """On an open gateway the credential that a client presents tells its turns from another's."""
    tools = [{"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}]
    with running(settings_of(key=None)) as gateway:

        def asked(key: str, history: list[Any]) -> Any:
            body = chat("sim-anthropic/agent", messages=history, tools=tools, reasoning_effort="low")
            return ask(gateway.port, CHAT, body, key=key)

        first = asked("sk-one-12345678", [USER]).json["choices"][0]["message"]
        calls = [{k: call[k] for k in ("id", "type", "function")} for call in first["tool_calls"]]
        results = [{"role": "tool", "tool_call_id": call["id"], "content": "7391"} for call in calls]
        history = [USER, {"role": "assistant", "content": None, "tool_calls": calls}, *results]
        house = gateway.gateway.house
        restored = []
        kept = house.turns.restore

        def noted(owner: bytes, given: Any, now: float) -> Any:
            found = kept(owner, given, now)
            restored.append(any(getattr(p, "signature", None) for message in found for p in message.parts))
            return found

        house.turns.restore = noted  # type: ignore[method-assign]
        mine, others = asked("sk-one-12345678", history), asked("sk-two-12345678", history)
        assert (mine.status, others.status) == (200, 200), others.body
        assert restored == [True, False]
