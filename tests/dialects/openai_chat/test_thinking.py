"""How each provider is told to think: what a client's `reasoning_effort` becomes, what passes, and what is left out."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.dialects.openai_chat.streams import CHAT
from thalweg.canon.losses import Losses
from thalweg.canon.parts import Reasoning, Text
from thalweg.canon.request import Message, ReasoningAsk, Request
from thalweg.dialects.openai_chat.thinking import say
from thalweg.profiles.base import Profile
from thalweg.profiles.providers import COMPATIBLE, PROVIDERS

LEAST: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "?"}]}
ROWS = {row.name: row for row in PROVIDERS}


def profile_of(name: str) -> Profile:
    provider, _, model = name.partition("/")
    return ROWS[provider].profile_of(model) if provider in ROWS else COMPATIBLE


def edited(profile: Profile, **fields: Any) -> tuple[dict[str, Any], tuple[str, ...]]:
    """What an upstream gets beside the least of a request, and what it does not get."""
    asked = CHAT.read_request(json.dumps(LEAST | fields).encode())
    sent = json.loads(asked.edited(model="m", profile=profile, stream=False))
    assert {name: sent.pop(name) for name in LEAST} == LEAST
    return sent, asked.left_out(profile)


OFF = {"thinking": {"type": "disabled"}}
ON = {"thinking": {"type": "enabled"}}
LOSS = ("reasoning_effort",)


def effort(value: str) -> dict[str, Any]:
    return {"reasoning_effort": value}


def budget(tokens: int | None) -> dict[str, Any]:
    return {"enable_thinking": True} | ({"thinking_budget": tokens} if tokens else {})


def template(on: bool) -> dict[str, Any]:
    return {"chat_template_kwargs": {"enable_thinking": on}}


# provider: what `none`, `minimal`, `low`, `medium`, `high`, `xhigh` and `max` become; in a tuple: with a loss.
EFFORTS: dict[str, list[Any]] = {
    "openai": [effort(each) for each in ("none", "minimal", "low", "medium", "high", "xhigh", "max")],
    "ling": [effort(each) for each in ("none", "minimal", "low", "medium", "high", "xhigh", "max")],
    "any-other": [effort(each) for each in ("none", "minimal", "low", "medium", "high", "xhigh", "max")],
    "ark": [
        OFF, effort("minimal"), effort("low"), effort("medium"), effort("high"), (effort("high"),), (effort("high"),),
    ],
    "dashscope": [
        {"enable_thinking": False}, budget(1024), budget(2048), budget(8192), budget(16384), budget(None), budget(None),
    ],
    "siliconflow": [
        {"enable_thinking": False}, budget(1024), budget(2048), budget(8192), budget(16384), budget(None), budget(None),
    ],
    "deepseek": [
        OFF, (effort("low"),), effort("low"), effort("medium"), effort("high"), effort("xhigh"), effort("max"),
    ],
    "deepseek/deepseek-chat": [
        OFF, (effort("low") | ON,), *(effort(each) | ON for each in ("low", "medium", "high", "xhigh", "max")),
    ],
    "moonshot": [
        OFF, (effort("low"),), effort("low"), (effort("high"),), effort("high"), (effort("max"),), effort("max"),
    ],
    "zhipu": [
        OFF, (effort("low"),), effort("low"), effort("medium"), effort("high"), (effort("high"),), (effort("high"),),
    ],
    "openrouter": [
        {"reasoning": {"enabled": False}},
        *({"reasoning": {"effort": each}} for each in ("minimal", "low", "medium", "high", "xhigh")),
        ({"reasoning": {"effort": "xhigh"}},),
    ],
    "vllm": [
        template(False),
        (effort("low") | template(True),),
        *(effort(each) | template(True) for each in ("low", "medium", "high")),
        (effort("high") | template(True),),
        (effort("high") | template(True),),
    ],
    "llamacpp": [
        template(False),
        (effort("low") | template(True),),
        *(effort(each) | template(True) for each in ("low", "medium", "high")),
        (effort("high") | template(True),),
        (effort("high") | template(True),),
    ],
    "ollama": [
        effort("none"), (effort("low"),), effort("low"), effort("medium"), effort("high"), (effort("high"),),
        (effort("high"),),
    ],
    "lmstudio": [
        *(effort(each) for each in ("none", "minimal", "low", "medium", "high", "xhigh")), (effort("xhigh"),),
    ],
    "deepseek/deepseek-reasoner": [
        ({},), (effort("low"),), effort("low"), effort("medium"), effort("high"), effort("xhigh"), effort("max"),
    ],
    "dashscope/qwq-plus": [
        ({},), budget(1024), budget(2048), budget(8192), budget(16384), budget(None), budget(None),
    ],
}  # fmt: skip
ASKED = ("none", "minimal", "low", "medium", "high", "xhigh", "max")


def test_every_provider_has_its_line() -> None:
    assert {name for name, row in ROWS.items() if row.dialect == "openai-chat"} <= set(EFFORTS)


@pytest.mark.parametrize(
    ("provider", "asked", "sent"),
    [(provider, asked, sent) for provider, line in EFFORTS.items() for asked, sent in zip(ASKED, line, strict=True)],
)
def test_an_effort_is_said_in_the_provider_s_words(provider: str, asked: str, sent: Any) -> None:
    wanted = (sent[0], LOSS) if isinstance(sent, tuple) else (sent, ())
    assert edited(profile_of(provider), reasoning_effort=asked) == wanted


@pytest.mark.parametrize("provider", EFFORTS)
@pytest.mark.parametrize("value", ["ultra", "", None])
def test_what_is_no_effort_passes_as_it_came(provider: str, value: str | None) -> None:
    assert edited(profile_of(provider), reasoning_effort=value) == ({"reasoning_effort": value}, ())


@pytest.mark.parametrize("provider", EFFORTS)
def test_who_says_nothing_of_thinking_has_nothing_said_for_him(provider: str) -> None:
    assert edited(profile_of(provider), temperature=0) == ({"temperature": 0}, ())


OWN: list[tuple[str, dict[str, Any]]] = [
    ("ark", {"thinking": {"type": "auto"}}),
    ("deepseek", {"thinking": {"type": "adaptive"}}),
    ("moonshot", {"thinking": {"type": "enabled", "budget_tokens": 2000, "keep": "all"}}),
    ("zhipu", {"thinking": {"type": "enabled", "clear_thinking": False}}),
    ("dashscope", {"enable_thinking": True, "thinking_budget": 500, "preserve_thinking": True}),
    ("dashscope", {"thinking_budget": 500}),
    ("siliconflow", {"enable_thinking": False}),
    ("openrouter", {"reasoning": {"max_tokens": 2000, "exclude": False}}),
    ("vllm", {"chat_template_kwargs": {"enable_thinking": False, "more": [1]}}),
    ("llamacpp", {"chat_template_kwargs": {"enable_thinking": True}, "reasoning_format": "none"}),
    ("ollama", {"think": False}),
    ("any-other", {"thinking": {"type": "disabled"}, "enable_thinking": True}),
    ("ling", {"thinking": {"type": "disabled"}, "enable_thinking": True}),
]


@pytest.mark.parametrize(("provider", "own"), OWN)
def test_a_provider_s_own_switch_passes_as_it_came(provider: str, own: dict[str, Any]) -> None:
    assert edited(profile_of(provider), **own) == (own, ())


@pytest.mark.parametrize(
    ("provider", "own", "asked", "left"),
    [
        ("dashscope", {"enable_thinking": True}, "none", False),
        ("dashscope", {"thinking_budget": 500}, "high", False),
        ("siliconflow", {"enable_thinking": False}, "high", False),
        ("openrouter", {"reasoning": {"enabled": True}}, "none", False),
        ("moonshot", {"thinking": {"type": "enabled"}}, "none", False),
        ("vllm", {"chat_template_kwargs": {"enable_thinking": True}}, "none", False),
        ("vllm", {"chat_template_kwargs": {"enable_thinking": True}}, "low", True),
        ("ark", {"thinking": {"type": "enabled"}}, "low", True),
        ("deepseek/deepseek-chat", {"thinking": {"type": "disabled"}}, "high", True),
    ],
)
def test_the_provider_s_own_switch_wins_over_an_effort(
    provider: str, own: dict[str, Any], asked: str, left: bool
) -> None:
    wanted = (own | effort(asked), ()) if left else (own, LOSS)
    assert edited(profile_of(provider), **own, reasoning_effort=asked) == wanted


def test_arguments_of_a_template_are_added_to() -> None:
    sent, left_out = edited(
        profile_of("vllm"), chat_template_kwargs={"a": 1, "enable_thinking": None}, reasoning_effort="none"
    )
    assert (sent, left_out) == ({"chat_template_kwargs": {"a": 1, "enable_thinking": False}}, ())


def test_everything_else_keeps_its_bytes_and_its_place() -> None:
    body = b'{"zz": 1.50, "reasoning_effort": "none", "model": "m", "messages": [{"role":"user","content":"\\u00e9"}]}'
    ark = CHAT.read_request(body).edited(model="n", profile=profile_of("ark"), stream=False)
    assert ark == (
        b'{"zz":1.50,"model":"n","messages":[{"role":"user","content":"\\u00e9"}],"thinking":{"type":"disabled"}}'
    )
    ollama = CHAT.read_request(body.replace(b"none", b"max")).edited(
        model="n", profile=profile_of("ollama"), stream=False
    )
    assert ollama.startswith(b'{"zz":1.50,"reasoning_effort":"high","model":"n"')


def test_openai_gets_no_switch_of_others_and_the_client_is_told() -> None:
    fields = {"thinking": {"type": "disabled"}, "enable_thinking": False, "thinking_budget": 1, "reasoning": {}}
    sent, left_out = edited(profile_of("openai"), **fields, chat_template_kwargs={}, reasoning_effort="low", top_k=1)
    assert sent == {"reasoning_effort": "low", "top_k": 1}
    assert left_out == ("chat_template_kwargs", "enable_thinking", "reasoning", "thinking", "thinking_budget")
    assert edited(profile_of("openai"), thinking=None) == ({}, ()), "nobody misses what was never said"


# From another dialect's client.

CANON: dict[str, list[tuple[ReasoningAsk, dict[str, Any], bool]]] = {
    "any-other": [
        (ReasoningAsk(), {}, True),
        (ReasoningAsk(mode="auto"), {}, True),
        (ReasoningAsk(mode="off"), effort("none"), True),
        (ReasoningAsk(mode="effort", effort="xhigh"), effort("xhigh"), True),
        (ReasoningAsk(mode="budget", budget_tokens=1024), effort("minimal"), False),
        (ReasoningAsk(mode="budget", budget_tokens=1025), effort("low"), False),
        (ReasoningAsk(mode="budget", budget_tokens=12288), effort("medium"), False),
        (ReasoningAsk(mode="budget", budget_tokens=24576), effort("high"), False),
        (ReasoningAsk(mode="budget", budget_tokens=24577), effort("xhigh"), False),
    ],
    "ark": [
        (ReasoningAsk(mode="auto"), ON, True),
        (ReasoningAsk(mode="off"), OFF, True),
        (ReasoningAsk(mode="budget", budget_tokens=99_999), effort("high"), False),
    ],
    "moonshot": [
        (ReasoningAsk(mode="budget", budget_tokens=5000), {"thinking": ON["thinking"] | {"budget_tokens": 5000}}, True),
        (ReasoningAsk(mode="budget", budget_tokens=9), {"thinking": ON["thinking"] | {"budget_tokens": 1024}}, False),
    ],
    "dashscope": [
        (ReasoningAsk(mode="auto"), budget(None), True),
        (ReasoningAsk(mode="budget", budget_tokens=9), budget(9), True),
    ],
    "siliconflow": [(ReasoningAsk(mode="budget", budget_tokens=9), budget(128), False)],
    "openrouter": [
        (ReasoningAsk(mode="auto"), {"reasoning": {"enabled": True}}, True),
        (ReasoningAsk(mode="off"), {"reasoning": {"enabled": False}}, True),
        (ReasoningAsk(mode="budget", budget_tokens=9), {"reasoning": {"max_tokens": 9}}, True),
    ],
    "vllm": [
        (ReasoningAsk(mode="auto"), template(True), True),
        (ReasoningAsk(mode="budget", budget_tokens=5000), effort("medium") | template(True), False),
    ],
    "ollama": [(ReasoningAsk(mode="off"), effort("none"), True), (ReasoningAsk(mode="auto"), {}, True)],
    "deepseek/deepseek-reasoner": [(ReasoningAsk(mode="off"), {}, False), (ReasoningAsk(mode="auto"), ON, True)],
}


@pytest.mark.parametrize(
    ("provider", "ask", "fields", "whole"),
    [(provider, *case) for provider, cases in CANON.items() for case in cases],
)
def test_a_wish_from_another_dialect_is_said_the_same_way(
    provider: str, ask: ReasoningAsk, fields: dict[str, Any], whole: bool
) -> None:
    profile = profile_of(provider)
    assert say(ask, profile.thinking) == (fields, whole)
    request = Request(model="m", messages=(Message(role="user", parts=(Text(text="?"),)),), reasoning=ask)
    sent = json.loads(CHAT.encode_request(request, model="m", profile=profile, stream=False, losses=Losses()).body)
    assert sent == LEAST | fields


@pytest.mark.parametrize("provider", [*EFFORTS, "any-other"])
def test_thoughts_go_back_under_the_name_that_the_provider_has_for_them(provider: str) -> None:
    profile = profile_of(provider)
    said = Message(role="assistant", parts=(Reasoning(text="why"), Text(text="so")))
    sent = json.loads(
        CHAT.encode_request(
            Request(model="m", messages=(said,)), model="m", profile=profile, stream=False, losses=Losses()
        ).body
    )
    field = "reasoning" if provider in ("openrouter", "ollama") else "reasoning_content"
    thought = {} if provider == "openai" else {field: "why"}
    assert sent["messages"] == [{"role": "assistant", "content": "so"} | thought]
