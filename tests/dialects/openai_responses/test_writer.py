"""Requests for an upstream of this dialect, out of the canon, and what they lose."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

import pytest

from thalweg.canon.errors import RequestError, UnsupportedParameter
from thalweg.canon.losses import Losses, Strictness
from thalweg.canon.parts import Media, Opaque, Part, Reasoning, Refusal, Signature, Text, ToolCall, ToolResult
from thalweg.canon.request import Message, OutputFormat, ReasoningAsk, Request, Sampling, Tool, ToolChoice
from thalweg.dialects.base import UpstreamBody
from thalweg.dialects.openai_responses import OpenAIResponses
from thalweg.profiles.base import Profile, Thinking

RESPONSES = OpenAIResponses()
OWN = Signature(vendor="openai", model="m", kind="encrypted", data="X", item_id="rs_1")
FOREIGN = Signature(vendor="anthropic", model="c", kind="signature", data="S")
CLOSED = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": False}
OPEN = {"type": "object", "properties": {"a": {"type": "string"}}}


def written(
    *messages: Message,
    model: str = "gpt-4.1",
    profile: Profile | None = None,
    stream: bool = False,
    strictness: Strictness = "default",
    **fields: Any,
) -> tuple[UpstreamBody, tuple[str, ...]]:
    losses = Losses(strictness)
    asked = Request(model="m", messages=messages, **({"dialect": "anthropic"} | fields))
    body = RESPONSES.encode_request(asked, model=model, profile=profile or Profile(), stream=stream, losses=losses)
    return body, losses.names


def wire(*messages: Message, **how: Any) -> dict[str, Any]:
    tree: dict[str, Any] = json.loads(written(*messages, **how)[0].body)
    return tree


def user(*parts: Part) -> Message:
    return Message(role="user", parts=parts)


def assistant(*parts: Part) -> Message:
    return Message(role="assistant", parts=parts)


def test_the_least() -> None:
    assert wire(user(Text(text="Hi"))) == {
        "model": "gpt-4.1",
        "store": False,
        "input": [{"role": "user", "content": "Hi"}],
    }
    assert wire(user(Text(text="Hi")), stream=True)["stream"] is True


TURNS: dict[str, tuple[list[Message], list[dict[str, Any]]]] = {
    "several parts": (
        [user(Text(text="a"), Media(kind="image", url="https://a.example/b.png", detail="low"), Text(text="b"))],
        [{"role": "user", "content": [
            {"type": "input_text", "text": "a"},
            {"type": "input_image", "image_url": "https://a.example/b.png", "detail": "low"},
            {"type": "input_text", "text": "b"},
        ]}],
    ),
    "an image's bytes": (
        [user(Media(kind="image", mime="image/jpeg", data="AAAA"))],
        [{"role": "user", "content": [
            {"type": "input_image", "image_url": "data:image/jpeg;base64,AAAA", "detail": "auto"}]}],
    ),
    "an image of the provider's": (
        [user(Media(kind="image", file_id="file-1", vendor="openai"))],
        [{"role": "user", "content": [{"type": "input_image", "file_id": "file-1", "detail": "auto"}]}],
    ),
    "a file's bytes": (
        [user(Media(kind="document", mime="application/pdf", data="JVBE"))],
        [{"role": "user", "content": [
            {"type": "input_file", "filename": "document.pdf", "file_data": "data:application/pdf;base64,JVBE"}]}],
    ),
    "a file's address": (
        [user(Media(kind="document", url="https://a.example/b.pdf"))],
        [{"role": "user", "content": [{"type": "input_file", "file_url": "https://a.example/b.pdf"}]}],
    ),
    "a file of the provider's": (
        [user(Media(kind="document", file_id="file-1", vendor="openai"))],
        [{"role": "user", "content": [{"type": "input_file", "file_id": "file-1"}]}],
    ),
    "instructions in the middle": (
        [Message(role="system", parts=(Text(text="a"),)), Message(role="system", parts=())],
        [{"role": "system", "content": "a"}],
    ),
    "the model's texts": (
        [assistant(Text(text="a"), Text(text="b")), assistant(Refusal(text="n"))],
        [
            {"type": "message", "role": "assistant", "content": [
                {"type": "output_text", "text": "a"}, {"type": "output_text", "text": "b"}]},
            {"type": "message", "role": "assistant", "content": [{"type": "refusal", "refusal": "n"}]},
        ],
    ),
    "calls and their results": (
        [
            assistant(Text(text="a"), ToolCall(id="c1", name="f", arguments=""),
                      ToolCall(id="c2", name="g", arguments="SELECT", kind="custom")),
            user(ToolResult(call_id="c1", parts=(Text(text="5"), Text(text="6"))),
                 ToolResult(call_id="c2", parts=()), Text(text="b")),
        ],
        [
            {"role": "assistant", "content": "a"},
            {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"},
            {"type": "custom_tool_call", "call_id": "c2", "name": "g", "input": "SELECT"},
            {"type": "function_call_output", "call_id": "c1", "output": "56"},
            {"type": "custom_tool_call_output", "call_id": "c2", "output": ""},
            {"role": "user", "content": "b"},
        ],
    ),
    "a result with an image": (
        [user(ToolResult(call_id="c", parts=(Text(text="a"), Media(kind="image", url="https://a.example/b.png"))))],
        [{"type": "function_call_output", "call_id": "c", "output": [
            {"type": "input_text", "text": "a"},
            {"type": "input_image", "image_url": "https://a.example/b.png", "detail": "auto"}]}],
    ),
    "reasoning goes before what it led to": (
        [assistant(Reasoning(text="hm", form="summary", signature=OWN), ToolCall(id="c", name="f", arguments="{}"))],
        [
            {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "hm"}],
             "encrypted_content": "X"},
            {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
        ],
    ),
    "thoughts are not told as a summary": (
        [assistant(Reasoning(text="hm", signature=OWN), Text(text="a"))],
        [
            {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "X"},
            {"role": "assistant", "content": "a"},
        ],
    ),
    "reasoning that led to nothing": ([assistant(Text(text="a"), Reasoning(signature=OWN))],
        [{"role": "assistant", "content": "a"}],
    ),
    "reasoning of two steps": (
        [assistant(Reasoning(signature=OWN), Text(text="a"), Reasoning(signature=OWN), Text(text="b"))],
        [
            {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "X"},
            {"role": "assistant", "content": "a"},
            {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "X"},
            {"role": "assistant", "content": "b"},
        ],
    ),
    "another vendor's reasoning is nothing here": (
        [assistant(Reasoning(text="hm", signature=FOREIGN), Reasoning(text="hm"), Text(text="a", signature=FOREIGN))],
        [{"role": "assistant", "content": "a"}],
    ),
    "a tool that the provider ran": ([assistant(Text(text="a"), ToolCall(id="c", name="f", arguments="", kind="server"))],
        [{"role": "assistant", "content": "a"}],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", TURNS)
def test_turns(case: str) -> None:
    messages, items = TURNS[case]
    assert wire(*messages)["input"] == items


@pytest.mark.parametrize("case", TURNS)
def test_what_is_written_can_be_read(case: str) -> None:
    body, _ = written(*TURNS[case][0])
    read = RESPONSES.read_request(body.body).canon()
    calls = [
        part for each in TURNS[case][0] for part in each.parts if isinstance(part, ToolCall) and part.kind != "server"
    ]
    found = [part for each in read.messages for part in each.parts if isinstance(part, ToolCall)]
    assert [(call.id, call.name) for call in found] == [(call.id, call.name) for call in calls]


FIELDS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "instructions": ({"system": (Text(text="a"), Text(text="b"))}, {"instructions": "a\n\nb"}),
    "sampling": (
        {"sampling": Sampling(max_tokens=5, temperature=0.5, top_p=0.9)},
        {"max_output_tokens": 5, "temperature": 0.5, "top_p": 0.9},
    ),
    "logprobs": (
        {"sampling": Sampling(logprobs=True, top_logprobs=3)},
        {"top_logprobs": 3, "include": ["message.output_text.logprobs"]},
    ),
    "JSON": ({"output": OutputFormat(format="json")}, {"text": {"format": {"type": "json_object"}}}),
    "verbosity": ({"output": OutputFormat(verbosity="low")}, {"text": {"verbosity": "low"}}),
    "a schema that can be held to": (
        {"output": OutputFormat(format="json_schema", schema=CLOSED)},
        {"text": {"format": {"type": "json_schema", "name": "output", "schema": CLOSED, "strict": True}}},
    ),
    "a schema that cannot": (
        {"output": OutputFormat(format="json_schema", schema=OPEN, strict=True)},
        {"text": {"format": {"type": "json_schema", "name": "output", "schema": OPEN, "strict": False}}},
    ),
    "a schema of OpenAI's": (
        {"dialect": "openai-chat", "output": OutputFormat(format="json_schema", name="n", schema=OPEN, description="d")},
        {"text": {"format": {"type": "json_schema", "name": "n", "schema": OPEN, "description": "d"}}},
    ),
    "a function": (
        {"tools": (Tool(name="f", description="d", parameters=OPEN),)},
        {"tools": [{"type": "function", "name": "f", "description": "d", "parameters": OPEN, "strict": False}]},
    ),
    "a function of no parameters": (
        {"tools": (Tool(name="f"),)},
        {"tools": [{"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}},
                    "strict": False}]},
    ),
    "a function that can be held to its schema": (
        {"tools": (Tool(name="f", parameters=CLOSED, strict=True),)},
        {"tools": [{"type": "function", "name": "f", "parameters": CLOSED, "strict": True}]},
    ),
    "a function that cannot": (
        {"tools": (Tool(name="f", parameters=OPEN, strict=True),)},
        {"tools": [{"type": "function", "name": "f", "parameters": OPEN, "strict": False}]},
    ),
    "what OpenAI's client said is true": (
        {"dialect": "openai-chat", "tools": (Tool(name="f", parameters=OPEN, strict=True),)},
        {"tools": [{"type": "function", "name": "f", "parameters": OPEN, "strict": True}]},
    ),
    "free text": (
        {"tools": (Tool(name="f", kind="custom", raw={"name": "f", "description": "d", "format": {
            "type": "grammar", "grammar": {"syntax": "lark", "definition": "x"}}}),)},
        {"tools": [{"type": "custom", "name": "f", "description": "d",
                    "format": {"type": "grammar", "syntax": "lark", "definition": "x"}}]},
    ),
    "a choice of one": (
        {"tools": (Tool(name="f", parameters=CLOSED),), "tool_choice": ToolChoice(mode="required", names=("f",)),
         "parallel_tool_calls": False},
        {"tools": [{"type": "function", "name": "f", "parameters": CLOSED, "strict": False}],
         "tool_choice": {"type": "function", "name": "f"}, "parallel_tool_calls": False},
    ),
    "a choice of some": (
        {"tools": (Tool(name="f", parameters=CLOSED), Tool(name="g", kind="custom")),
         "tool_choice": ToolChoice(mode="auto", names=("f", "g"))},
        {"tools": [{"type": "function", "name": "f", "parameters": CLOSED, "strict": False},
                   {"type": "custom", "name": "g"}],
         "tool_choice": {"type": "allowed_tools", "mode": "auto",
                         "tools": [{"type": "function", "name": "f"}, {"type": "custom", "name": "g"}]}},
    ),
    "a mode": (
        {"tools": (Tool(name="f", parameters=CLOSED),), "tool_choice": ToolChoice(mode="none")},
        {"tools": [{"type": "function", "name": "f", "parameters": CLOSED, "strict": False}], "tool_choice": "none"},
    ),
    "a choice without tools": ({"tool_choice": ToolChoice(mode="auto")}, {}),
    "identity": (
        {"user": "u", "metadata": {"a": "b"}, "service_tier": "flex"},
        {"user": "u", "metadata": {"a": "b"}, "service_tier": "flex"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", FIELDS)
def test_fields(case: str) -> None:
    fields, want = FIELDS[case]
    body, names = written(user(Text(text="Hi")), **fields)
    tree = json.loads(body.body)
    for known in ("model", "store", "input"):
        del tree[known]
    assert tree == want
    assert names == ()


# How much to think.

EFFORT = Thinking()
ARK = Thinking(switch="thinking")
CIPHER = ["reasoning.encrypted_content"]
ASKS: dict[str, tuple[ReasoningAsk, Thinking, str, dict[str, Any]]] = {
    "nothing, of a model that may": (ReasoningAsk(), EFFORT, "gpt-5.4", {"include": CIPHER}),
    "nothing, of one that does not": (ReasoningAsk(), EFFORT, "gpt-4o", {}),
    "nothing, of one whose profile says so": (ReasoningAsk(), Thinking(default="off"), "x", {}),
    "off": (ReasoningAsk(mode="off"), EFFORT, "gpt-5.4", {"reasoning": {"effort": "none"}}),
    "an effort": (
        ReasoningAsk(mode="effort", effort="high"),
        EFFORT,
        "gpt-5.4",
        {"reasoning": {"effort": "high", "summary": "auto"}, "include": CIPHER},
    ),
    "an effort, unseen": (
        ReasoningAsk(mode="effort", effort="high", show="none"),
        EFFORT,
        "gpt-5.4",
        {"reasoning": {"effort": "high"}, "include": CIPHER},
    ),
    "an effort that the provider says otherwise": (
        ReasoningAsk(mode="effort", effort="max", show="none"),
        Thinking(efforts={"max": "xhigh"}),
        "gpt-5.4",
        {"reasoning": {"effort": "xhigh"}, "include": CIPHER},
    ),
    "a budget": (
        ReasoningAsk(mode="budget", budget_tokens=10_000),
        EFFORT,
        "gpt-5.4",
        {"reasoning": {"effort": "medium", "summary": "auto"}, "include": CIPHER},
    ),
    "some": (ReasoningAsk(mode="auto"), EFFORT, "gpt-5.4", {"reasoning": {"summary": "auto"}, "include": CIPHER}),
    "to see it": (
        ReasoningAsk(show="summary"),
        EFFORT,
        "gpt-5.4",
        {"reasoning": {"summary": "auto"}, "include": CIPHER},
    ),
    "Ark, to see it": (ReasoningAsk(show="summary"), ARK, "doubao", {"include": CIPHER}),
    "Ark, some": (ReasoningAsk(mode="auto"), ARK, "doubao", {"thinking": {"type": "enabled"}, "include": CIPHER}),
    "Ark, off": (ReasoningAsk(mode="off"), ARK, "doubao", {"thinking": {"type": "disabled"}}),
    "Ark, an effort": (
        ReasoningAsk(mode="effort", effort="low"),
        ARK,
        "doubao",
        {"thinking": {"type": "enabled"}, "reasoning": {"effort": "low"}, "include": CIPHER},
    ),
    "off, where that cannot be": (ReasoningAsk(mode="off"), Thinking(default="always"), "x", {"include": CIPHER}),
}


@pytest.mark.parametrize("case", ASKS)
def test_how_much_to_think(case: str) -> None:
    ask, thinking, model, want = ASKS[case]
    tree = wire(user(Text(text="Hi")), reasoning=ask, profile=Profile(thinking=thinking), model=model)
    assert {name: tree[name] for name in ("reasoning", "thinking", "include") if name in tree} == want


# Losses.

LOST: dict[str, tuple[dict[str, Any], str]] = {
    "top_k": ({"sampling": Sampling(top_k=5)}, "top_k"),
    "presence": ({"sampling": Sampling(presence_penalty=0.5)}, "presence_penalty"),
    "frequency": ({"sampling": Sampling(frequency_penalty=0.5)}, "frequency_penalty"),
    "seed": ({"sampling": Sampling(seed=5)}, "seed"),
    "bias": ({"sampling": Sampling(logit_bias={"5": 1.0})}, "logit_bias"),
    "a tier": ({"service_tier": "standard_only"}, "service_tier"),
    "a budget": ({"reasoning": ReasoningAsk(mode="budget", budget_tokens=5)}, "reasoning"),
    "an error of a tool": ({"messages": (user(ToolResult(call_id="c", parts=(), is_error=True)),)}, "messages"),
    "a text document": (
        {"messages": (user(Media(kind="document", mime="text/plain", data="aGk=")),)},
        "messages",
    ),
    "what only another understands": ({"messages": (user(Opaque(dialect="anthropic", raw={})),)}, "messages"),
}
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "several answers": ({"sampling": Sampling(n=2)}, "n"),
    "sound": ({"output": OutputFormat(modalities=("text", "audio"))}, "modalities"),
    "another provider's tool": ({"tools": (Tool(name="web_search", kind="hosted"),)}, "tools[0]"),
    "another provider's file": ({"messages": (user(Media(kind="image", file_id="f", vendor="google")),)}, "messages"),
    "another provider's document": (
        {"messages": (user(Media(kind="document", file_id="f", vendor="anthropic")),)},
        "messages",
    ),
    "an address of another kind": ({"messages": (user(Media(kind="document", url="gs://b/c")),)}, "messages"),
    "a sound": ({"messages": (user(Media(kind="audio", data="AAAA")),)}, "messages"),
    "a film": ({"messages": (user(Media(kind="video", url="https://a.example/b.mp4")),)}, "messages"),
}


def lossy(fields: dict[str, Any], strictness: Strictness) -> tuple[UpstreamBody, tuple[str, ...]]:
    messages = fields.get("messages", (user(Text(text="Hi")),))
    rest = {name: value for name, value in fields.items() if name != "messages"}
    return written(*messages, strictness=strictness, **rest)


@pytest.mark.parametrize("case", LOST)
def test_what_is_lost_is_named_and_refused_to_the_strict(case: str) -> None:
    fields, name = LOST[case]
    assert lossy(fields, "default")[1] == (name,)
    with pytest.raises(UnsupportedParameter) as caught:
        lossy(fields, "strict")
    assert caught.value.param == name


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_done_without_is_refused_to_all_but_the_lenient(case: str) -> None:
    fields, name = REFUSED[case]
    body, names = lossy(fields, "lenient")
    assert names == (name,)
    assert json.loads(body.body)["input"] in ([{"role": "user", "content": "Hi"}], [])
    with pytest.raises(UnsupportedParameter) as caught:
        lossy(fields, "default")
    assert caught.value.param == name


def test_an_error_of_a_tool_is_said_in_words() -> None:
    items = wire(user(ToolResult(call_id="c", parts=(Text(text="no"),), is_error=True)))["input"]
    assert items == [{"type": "function_call_output", "call_id": "c", "output": "Error: no"}]


def test_a_text_document_is_text() -> None:
    media = Media(kind="document", mime="text/plain", data=b64encode("né".encode()).decode(), filename="a.txt")
    assert wire(user(media))["input"] == [{"role": "user", "content": "a.txt\n\nné"}]
    with pytest.raises(RequestError):
        wire(user(Media(kind="document", mime="text/plain", data="?")))


# What is to be undone.


def test_stop_sequences_are_left_to_the_relay() -> None:
    body, names = written(user(Text(text="Hi")), sampling=Sampling(stop=("a", "b")))
    assert body.stops == ("a", "b")
    assert b"stop" not in body.body
    assert names == ()


def test_names_that_are_not_taken_have_the_same_alias_everywhere_and_always() -> None:
    name = "weather.of:" + "x" * 100
    messages = [assistant(ToolCall(id="c", name=name, arguments="{}")), user(ToolResult(call_id="c", parts=()))]
    how: dict[str, Any] = {
        "tools": (Tool(name=name), Tool(name="fine")),
        "tool_choice": ToolChoice(mode="required", names=(name,)),
    }
    body, _ = written(*messages, **how)
    tree = json.loads(body.body)
    (alias,) = body.tool_names
    assert body.tool_names == {alias: name}
    assert len(alias) <= 64
    assert alias.replace("_", "").isalnum()
    assert [tool["name"] for tool in tree["tools"]] == [alias, "fine"]
    assert tree["tool_choice"]["name"] == alias
    assert tree["input"][0]["name"] == alias
    assert written(*messages, **how)[0] == body
    assert written(assistant(ToolCall(id="c", name=name + "y", arguments="")))[0].tool_names.keys() != {alias}


def test_a_profile_may_refuse_fields() -> None:
    profile = Profile(refused_fields=frozenset({"store", "include"}))
    tree = wire(user(Text(text="Hi")), profile=profile, model="gpt-5.4")
    assert "store" not in tree
    assert "include" not in tree


def test_the_address() -> None:
    assert RESPONSES.request_target(b"/v1", "m", stream=True) == b"/v1/responses"
    assert RESPONSES.request_target(b"/api/v3/", "m", stream=False) == b"/api/v3/responses"
    assert RESPONSES.request_headers(stream=True) == ()


def test_a_film_goes_to_who_takes_films() -> None:
    profile = Profile(media_urls=frozenset({"video"}))
    films = (Media(kind="video", url="https://a.example/b.mp4"), Media(kind="video", mime="video/mp4", data="AAAA"))
    assert wire(user(*films), profile=profile)["input"][0]["content"] == [
        {"type": "input_video", "video_url": "https://a.example/b.mp4"},
        {"type": "input_video", "video_url": "data:video/mp4;base64,AAAA"},
    ]


def test_depth_is_refused() -> None:
    deep: Any = {}
    for _ in range(5000):
        deep = {"properties": {"a": deep}}
    with pytest.raises(RequestError):
        wire(user(Text(text="Hi")), tools=(Tool(name="f", parameters=deep, strict=True),))
