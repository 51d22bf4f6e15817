"""An Anthropic client's request: checked, edited in place, read into the canon."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from msgspec.structs import replace

from tests.dialects.anthropic_messages.streams import ANTHROPIC, PLAIN
from thalweg.canon.envelope import wrap
from thalweg.canon.errors import InvalidRequest
from thalweg.canon.parts import Citation, Media, Opaque, Part, Reasoning, Signature, Text, ToolCall, ToolResult
from thalweg.canon.request import Message, OutputFormat, ReasoningAsk, Request, Sampling, Tool, ToolChoice
from thalweg.dialects.anthropic_messages.blocks import UNSIGNED
from thalweg.dialects.anthropic_messages.request import AnthropicRequest
from thalweg.profiles.base import Profile

PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n0000").decode()
GOOGLE = Signature(vendor="google", model="gemini-3", kind="thought", data="QUJD")
OPENAI = Signature(vendor="openai", model="gpt-5", kind="encrypted", data="RU5D", item_id="rs_1")
OWN = Signature(vendor="anthropic", model="", kind="signature", data="c2ln")


def request(**fields: Any) -> dict[str, Any]:
    return {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]} | fields


def read(**fields: Any) -> AnthropicRequest:
    return ANTHROPIC.read_request(json.dumps(request(**fields)).encode())


def canon(**fields: Any) -> Request:
    return read(**fields).canon()


def parts_of(*blocks: Any, role: str = "user") -> tuple[Part, ...]:
    (message,) = canon(messages=[{"role": role, "content": list(blocks)}]).messages
    return message.parts


# Checking.

MISTAKES: list[tuple[str, bytes, str | None, str]] = [
    ("no JSON", b"{", None, "not valid JSON"),
    ("no object", b"[]", None, "valid dictionary"),
    ("no model", json.dumps({"max_tokens": 1, "messages": []}).encode(), "model", "Field required"),
]
FIELDS: list[tuple[dict[str, Any], str, str]] = [
    ({"model": 5}, "model", "Input should be a valid string"),
    ({"model": ""}, "model", "String should be a model's name"),
    ({"max_tokens": None}, "max_tokens", "Field required"),
    ({"max_tokens": "9"}, "max_tokens", "Input should be a valid integer"),
    ({"max_tokens": -1}, "max_tokens", "Input should be greater than or equal to 0"),
    ({"messages": "not a list"}, "messages", "Input should be a valid list"),
    ({"messages": []}, "messages", "at least one message is required"),
    ({"messages": [{"role": "user", "content": "a"}, {"content": "b"}]}, "messages.1.role", "Field required"),
    ({"messages": [{"role": "tool", "content": "a"}]}, "messages.0.role", "Input should be 'user', 'assistant' or 'system'"),
    ({"messages": [{"role": "user"}]}, "messages.0.content", "Field required"),
    ({"messages": [{"role": "user", "content": 5}]}, "messages.0.content", "Input does not match the expected shape."),
    ({"messages": [{"role": "user", "content": [{"text": "a"}]}]}, "messages.0.content.0.type", "Field required"),
    ({"messages": [{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": 5}]}]},
     "messages.0.content.1.text", "Input should be a valid string"),
    ({"temperature": "hot"}, "temperature", "Input should be a valid number"),
    ({"stream": "yes"}, "stream", "Input should be a valid boolean"),
    ({"tools": [{"name": "a", "input_schema": {}}, {"name": 3}]}, "tools.1.name", "Input should be a valid string"),
    ({"stop_sequences": ["a", 5]}, "stop_sequences.1", "Input should be a valid string"),
    ({"metadata": {"user_id": 5}}, "metadata.user_id", "Input should be a valid string"),
]  # fmt: skip
LATER: list[tuple[dict[str, Any], str, str]] = [
    ({"system": [{"type": "text"}]}, "system.0.text", "Field required"),
    ({"system": [{"type": "image"}]}, "system.0.type", "Input should be 'text'"),
    ({"thinking": {"type": "enabled"}}, "thinking.enabled.budget_tokens", "Field required"),
    ({"thinking": {"type": "deep"}}, "thinking.type", "Input should be 'adaptive'"),
    ({"tool_choice": {"type": "some"}}, "tool_choice.type", "Input should be 'auto'"),
    ({"tool_choice": {"type": "tool"}}, "tool_choice.tool.name", "Field required"),
    ({"tools": [{"name": "a"}]}, "tools.0.custom.input_schema", "Field required"),
    ({"tools": [{"input_schema": {}}]}, "tools.0.custom.name", "Field required"),
    ({"output_config": {"format": {"type": "xml"}}}, "output_config.format.type", "Input should be 'json_schema'"),
    ({"output_format": {"type": "json_schema"}}, "output_format.schema", "Field required"),
]
BLOCKS: list[tuple[dict[str, Any], str, str]] = [
    ({"type": "text"}, "text", "Field required"),
    ({"type": "thinking", "signature": "x"}, "thinking", "Field required"),
    ({"type": "redacted_thinking"}, "data", "Field required"),
    ({"type": "tool_use", "name": "f", "input": {}}, "id", "Field required"),
    ({"type": "tool_use", "id": "c", "input": {}}, "name", "Field required"),
    ({"type": "tool_use", "id": "c", "name": "f", "input": "x"}, "input", "Input should be a valid dictionary"),
    ({"type": "tool_result"}, "tool_use_id", "Field required"),
    ({"type": "tool_result", "tool_use_id": "c", "content": 5}, "content", "Input does not match"),
    ({"type": "tool_result", "tool_use_id": "c", "content": [{"type": "text"}]}, "content.0.text", "Field required"),
    ({"type": "image"}, "source", "Field required"),
    ({"type": "image", "source": {"type": "ftp"}}, "source.type", "Input should be 'base64', 'url' or 'file'"),
    ({"type": "image", "source": {"type": "base64", "media_type": "image/png"}}, "source.data", "Field required"),
    ({"type": "image", "source": {"type": "base64", "data": "*"}}, "source.data", "not base64"),
    ({"type": "image", "source": {"type": "url"}}, "source.url", "Field required"),
    ({"type": "image", "source": {"type": "file"}}, "source.file_id", "Field required"),
    ({"type": "document", "source": {"type": "text"}}, "source.data", "Field required"),
    ({"type": "document", "source": {"type": "ftp"}}, "source.type", "Input should be 'base64', 'content'"),
]


@pytest.mark.parametrize(("body", "param", "words"), [row[1:] for row in MISTAKES], ids=[row[0] for row in MISTAKES])
def test_a_body_that_is_none(body: bytes, param: str | None, words: str) -> None:
    with pytest.raises(InvalidRequest, match=words) as caught:
        ANTHROPIC.read_request(body)
    assert caught.value.param == param


@pytest.mark.parametrize(("fields", "param", "words"), FIELDS, ids=[row[1] for row in FIELDS])
def test_a_wrong_field_is_named_as_anthropic_names_it(fields: dict[str, Any], param: str, words: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read(**fields)
    assert caught.value.param == param
    assert caught.value.message == f"{param}: {words}"


@pytest.mark.parametrize(("fields", "param", "words"), LATER, ids=[row[1] for row in LATER])
def test_what_only_another_dialect_must_understand_is_checked_for_it(
    fields: dict[str, Any], param: str, words: str
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        canon(**fields)
    assert caught.value.param == param
    assert caught.value.message.startswith(f"{param}: {words}")


@pytest.mark.parametrize(("block", "param", "words"), BLOCKS, ids=[f"{row[0]['type']} {row[1]}" for row in BLOCKS])
def test_a_wrong_block_is_named_by_its_path(block: dict[str, Any], param: str, words: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parts_of({"type": "text", "text": "a"}, block)
    assert caught.value.param == f"messages.0.content.1.{param}"
    assert words in caught.value.message


def test_a_complaint_quotes_nothing() -> None:
    secret = "sk-ant-secret"
    for fields in ({"messages": secret}, {"thinking": {"type": secret}}, {"tool_choice": {"type": secret}}):
        with pytest.raises(InvalidRequest) as caught:
            canon(**fields)
        assert secret not in caught.value.message


def test_null_means_absent() -> None:
    names = [
        "system", "stream", "stop_sequences", "temperature", "top_p", "top_k", "tools", "tool_choice", "thinking",
        "output_config", "output_format", "metadata", "service_tier", "container", "mcp_servers",
    ]  # fmt: skip
    assert canon(**dict.fromkeys(names)) == canon()


def test_a_count_of_tokens_needs_no_cap() -> None:
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "hi"}]}).encode()
    assert ANTHROPIC.read_request(body, b"/v1/messages/count_tokens?beta=true").max_output_tokens is None
    with pytest.raises(InvalidRequest):
        ANTHROPIC.read_request(body, b"/v1/messages?beta=true")


def test_what_the_gateway_needs_to_know() -> None:
    asked = read(stream=True, max_tokens=0)
    assert (asked.model, asked.stream, asked.max_output_tokens) == ("m", True, 0)


def test_every_text_of_the_prompt_is_counted() -> None:
    blocks = [
        {"type": "thinking", "thinking": "ab", "signature": "x"},
        {"type": "tool_result", "tool_use_id": "c", "content": "abc"},
        {"type": "tool_result", "tool_use_id": "c", "content": [{"type": "text", "text": "世界"}]},
        {"type": "image", "source": {"type": "base64", "data": PNG}},
        {"type": "hologram", "content": {"depth": 3}},
    ]
    assert read(system="a", messages=[{"role": "user", "content": blocks}]).prompt_chars() == (6, 2)
    assert read(system=[{"type": "text", "text": "ab"}]).prompt_chars() == (4, 0)


# Editing in place.


def edited(body: bytes, *, model: str = "m2", profile: Profile = PLAIN, stream: bool = True) -> bytes:
    return ANTHROPIC.read_request(body).edited(model=model, profile=profile, stream=stream)


def test_only_the_gateways_own_fields_change() -> None:
    body = (
        b'{"messages":[ {"role":"user","content":[{"type":"hologram","x":1.50}]} ], "max_tokens":9,'
        b'"model":"m","weather":{"a" : "\\u00e9"}}'
    )
    assert edited(body) == (
        b'{"messages":[ {"role":"user","content":[{"type":"hologram","x":1.50}]} ],"max_tokens":9,'
        b'"model":"m2","weather":{"a" : "\\u00e9"},"stream":true}'
    )
    assert b"stream" not in edited(body, stream=False)
    assert b'"stream":false' in edited(body[:-1] + b',"stream":true}', stream=False)


def test_a_refused_field_is_left_out_and_named() -> None:
    profile = Profile(refused_fields=frozenset({"top_k", "metadata", "container"}))
    asked = read(top_k=3, metadata=None)
    assert b"top_k" not in asked.edited(model="m", profile=profile, stream=False)
    assert asked.left_out(profile) == ("top_k",)


def messages_after(*blocks: Any) -> list[Any]:
    history = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": list(blocks)}]
    body = json.dumps(request(messages=[*history, {"role": "user", "content": "gw1. is a word"}])).encode()
    return json.loads(edited(body))["messages"]


def test_other_vendors_signatures_do_not_go_to_anthropic() -> None:
    theirs = {"type": "thinking", "thinking": "hm", "signature": wrap(OPENAI)}
    hidden = {"type": "redacted_thinking", "data": wrap(OPENAI)}
    unsigned = {"type": "thinking", "thinking": "hm", "signature": wrap(UNSIGNED)}
    own = {"type": "thinking", "thinking": "about gw1.", "signature": "c2ln"}
    text = {"type": "text", "text": "a gw1. b"}
    cited = text | {"citations": [{"url": "https://e.com", "encrypted_index": "gw1."}]}
    both = text | {"citations": [{"encrypted_index": "gw1."}, {"encrypted_index": "x"}]}
    call = {"type": "tool_use", "id": "c", "name": "f", "input": {"a": "gw1."}}
    _, assistant, last = messages_after(theirs, own, hidden, text, cited, both, unsigned, call)
    assert assistant["content"] == [own, text, text, text | {"citations": [{"encrypted_index": "x"}]}, call]
    assert last == {"role": "user", "content": "gw1. is a word"}


def test_a_message_of_nothing_but_others_signatures_is_left_out() -> None:
    assert len(messages_after({"type": "thinking", "thinking": "", "signature": wrap(OPENAI)})) == 2


# Reading into the canon.


def test_the_plainest_request() -> None:
    assert canon(system="Be brief.", stream=True) == Request(
        model="m",
        messages=(Message(role="user", parts=(Text(text="hi"),)),),
        system=(Text(text="Be brief."),),
        stream=True,
        sampling=Sampling(max_tokens=9),
        dialect="anthropic",
    )


CACHED = {"cache_control": {"type": "ephemeral"}}
USER_BLOCKS: list[tuple[str, dict[str, Any], Part]] = [
    ("text", {"type": "text", "text": "a"} | CACHED, Text(text="a", cache="5m")),
    (
        "text for an hour",
        {"type": "text", "text": "a", "cache_control": {"type": "ephemeral", "ttl": "1h"}},
        Text(text="a", cache="1h"),
    ),
    (
        "picture",
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}} | CACHED,
        Media(kind="image", mime="image/png", data=PNG, cache="5m"),
    ),
    (
        "picture without a type, URL-safe and without padding",
        {"type": "image", "source": {"type": "base64", "data": PNG.rstrip("=").replace("+", "-")}},
        Media(kind="image", mime="image/png", data=PNG),
    ),
    (
        "picture elsewhere",
        {"type": "image", "source": {"type": "url", "url": "https://e.com/a.png"}},
        Media(kind="image", url="https://e.com/a.png"),
    ),
    (
        "picture that was uploaded",
        {"type": "image", "source": {"type": "file", "file_id": "file_1"}},
        Media(kind="image", file_id="file_1", vendor="anthropic"),
    ),
    (
        "PDF",
        {
            "type": "document",
            "title": "T",
            "source": {"type": "base64", "media_type": "application/pdf", "data": "QQ=="},
        },
        Media(kind="document", mime="application/pdf", data="QQ==", filename="T"),
    ),
    (
        "PDF elsewhere",
        {"type": "document", "source": {"type": "url", "url": "https://e.com/a"}},
        Media(kind="document", mime="application/pdf", url="https://e.com/a"),
    ),
    (
        "document of text",
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "é"}},
        Media(kind="document", mime="text/plain", data=base64.b64encode("é".encode()).decode()),
    ),
    (
        "search result",
        {"type": "search_result", "source": "https://e.com", "title": "E", "content": [{"type": "text", "text": "a"}]},
        Text(text="E\nhttps://e.com\na"),
    ),
    (
        "result",
        {"type": "tool_result", "tool_use_id": "c", "content": "done", "is_error": False} | CACHED,
        ToolResult(call_id="c", parts=(Text(text="done"),), cache="5m"),
    ),
    ("result of nothing", {"type": "tool_result", "tool_use_id": "c"}, ToolResult(call_id="c", parts=())),
    (
        "result with a picture, of an error",
        {
            "type": "tool_result",
            "tool_use_id": "c",
            "is_error": True,
            "content": [{"type": "text", "text": "a"}, {"type": "image", "source": {"type": "base64", "data": PNG}}],
        },
        ToolResult(call_id="c", parts=(Text(text="a"), Media(kind="image", mime="image/png", data=PNG)), is_error=True),
    ),
    (
        "what only Anthropic knows",
        {"type": "container_upload", "file_id": "file_1"},
        Opaque(dialect="anthropic", raw={"type": "container_upload", "file_id": "file_1"}),
    ),
]


@pytest.mark.parametrize(("block", "part"), [row[1:] for row in USER_BLOCKS], ids=[row[0] for row in USER_BLOCKS])
def test_a_users_blocks(block: dict[str, Any], part: Part) -> None:
    assert parts_of(block) == (part,)


def test_a_document_of_blocks_stands_in_its_place() -> None:
    content = [{"type": "text", "text": "a"}, {"type": "image", "source": {"type": "base64", "data": PNG}}]
    block = {"type": "document", "title": "T", "source": {"type": "content", "content": content}} | CACHED
    assert parts_of(block) == (
        Text(text="T"),
        Text(text="a"),
        Media(kind="image", mime="image/png", data=PNG, cache="5m"),
    )
    block = {"type": "document", "source": {"type": "content", "content": "a"}}
    assert parts_of(block) == (Text(text="a"),)


THOUGHT = {"type": "thinking", "thinking": "hm"}
CALL = {"type": "tool_use", "id": "c", "name": "f", "input": {"a": 1}}
CALLED = ToolCall(id="c", name="f", arguments='{"a": 1}')
ASSISTANT_BLOCKS: list[tuple[str, list[Any], tuple[Part, ...]]] = [
    ("thought", [THOUGHT | {"signature": "c2ln"}], (Reasoning(text="hm", form="summary", signature=OWN),)),
    ("unsigned thought", [THOUGHT | {"signature": ""}], (Reasoning(text="hm"),)),
    ("thought without the field", [THOUGHT], (Reasoning(text="hm"),)),
    ("thought that we marked as unsigned", [THOUGHT | {"signature": wrap(UNSIGNED)}], (Reasoning(text="hm"),)),
    (
        "redacted thought",
        [{"type": "redacted_thinking", "data": "ZGF0"}],
        (
            Reasoning(
                form="hidden",
                redacted=True,
                signature=Signature(vendor="anthropic", model="", kind="redacted", data="ZGF0"),
            ),
        ),
    ),
    (
        "another vendor's thought",
        [THOUGHT | {"signature": wrap(OPENAI)}],
        (Reasoning(text="hm", form="summary", signature=OPENAI),),
    ),
    (
        "another vendor's thought without a word",
        [{"type": "thinking", "thinking": "", "signature": wrap(OPENAI)}, CALL],
        (Reasoning(form="summary", signature=OPENAI), CALLED),
    ),
    ("a broken envelope", [THOUGHT | {"signature": "gw1.???"}, CALL], (CALLED,)),
    (
        "a carrier before a call",
        [{"type": "thinking", "thinking": "", "signature": wrap(GOOGLE, "next")}, CALL, CALL],
        (ToolCall(id="c", name="f", arguments='{"a": 1}', signature=GOOGLE), CALLED),
    ),
    (
        "a carrier behind a text",
        [{"type": "text", "text": "a"}, {"type": "thinking", "thinking": "", "signature": wrap(GOOGLE, "previous")}],
        (Text(text="a", signature=GOOGLE),),
    ),
    (
        "a carrier of a text without a word",
        [{"type": "thinking", "thinking": "", "signature": wrap(GOOGLE, "text")}, CALL],
        (Text(text="", signature=GOOGLE), CALLED),
    ),
    (
        "a carrier of nothing",
        [{"type": "thinking", "thinking": "", "signature": wrap(GOOGLE, "previous")}],
        (),
    ),
    ("a call", [CALL], (CALLED,)),
    ("a call without input", [{"type": "tool_use", "id": "c", "name": "f"}], (ToolCall(id="c", name="f", arguments="{}"),)),
    (
        "a citation",
        [{"type": "text", "text": "a", "citations": [{"url": "https://e.com", "title": "E", "cited_text": "q"}, {"x": 1}]}],
        (Text(text="a", citations=(Citation(url="https://e.com", title="E", quote="q"),)),),
    ),
    (
        "a server's call and its result",
        [{"type": "server_tool_use", "id": "srvtoolu_1", "name": "n", "input": {}},
         {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": {"type": "error"}}],
        (
            Opaque(dialect="anthropic", raw={"type": "server_tool_use", "id": "srvtoolu_1", "name": "n", "input": {}}),
            Opaque(
                dialect="anthropic",
                raw={"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": {"type": "error"}},
            ),
        ),
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    ("blocks", "parts"), [row[1:] for row in ASSISTANT_BLOCKS], ids=[row[0] for row in ASSISTANT_BLOCKS]
)
def test_an_assistants_blocks(blocks: list[Any], parts: tuple[Part, ...]) -> None:
    assert parts_of(*blocks, role="assistant") == parts


def test_an_instruction_between_the_turns() -> None:
    (_, message) = canon(
        messages=[{"role": "user", "content": "a"}, {"role": "system", "content": [{"type": "text", "text": "b"}]}]
    ).messages
    assert message == Message(role="system", parts=(Text(text="b"),))


def test_the_system_prompt_in_blocks() -> None:
    blocks = [{"type": "text", "text": "a"} | CACHED, {"type": "text", "text": "b"}]
    assert canon(system=blocks).system == (Text(text="a", cache="5m"), Text(text="b"))
    assert canon(system="").system == ()


FIELDS_READ: list[tuple[dict[str, Any], dict[str, Any]]] = [
    (
        {"temperature": 0.5, "top_p": 0.9, "top_k": 5, "stop_sequences": ["a", "b"]},
        {"sampling": Sampling(max_tokens=9, temperature=0.5, top_p=0.9, top_k=5, stop=("a", "b"))},
    ),
    ({"metadata": {"user_id": "u"}}, {"user": "u"}),
    ({"service_tier": "auto"}, {"service_tier": "auto"}),
    ({"service_tier": "standard_only"}, {"service_tier": "default"}),
    (
        {"tools": [{"name": "f", "description": "d", "input_schema": {"type": "object"}, "strict": True} | CACHED]},
        {"tools": (Tool(name="f", description="d", parameters={"type": "object"}, strict=True, cache="5m"),)},
    ),
    (
        {"tools": [{"type": "custom", "name": "f", "input_schema": {}}]},
        {"tools": (Tool(name="f", parameters={}),)},
    ),
    (
        {"tools": [{"type": "web_search_20250305", "name": "web_search", "max_uses": 3}]},
        {
            "tools": (
                Tool(
                    name="web_search",
                    kind="hosted",
                    raw={"type": "web_search_20250305", "name": "web_search", "max_uses": 3},
                ),
            )
        },
    ),
    ({"tool_choice": {"type": "auto"}}, {"tool_choice": ToolChoice(mode="auto")}),
    ({"tool_choice": {"type": "none"}}, {"tool_choice": ToolChoice(mode="none")}),
    ({"tool_choice": {"type": "any"}}, {"tool_choice": ToolChoice(mode="required")}),
    ({"tool_choice": {"type": "tool", "name": "f"}}, {"tool_choice": ToolChoice(mode="required", names=("f",))}),
    (
        {"tool_choice": {"type": "auto", "disable_parallel_tool_use": True}},
        {"tool_choice": ToolChoice(mode="auto"), "parallel_tool_calls": False},
    ),
    (
        {"tool_choice": {"type": "auto", "disable_parallel_tool_use": False}},
        {"tool_choice": ToolChoice(mode="auto"), "parallel_tool_calls": True},
    ),
    ({"thinking": {"type": "disabled"}}, {"reasoning": ReasoningAsk(mode="off")}),
    (
        {"thinking": {"type": "enabled", "budget_tokens": 2048}},
        {"reasoning": ReasoningAsk(mode="budget", budget_tokens=2048, show="auto")},
    ),
    (
        {"thinking": {"type": "adaptive", "display": "summarized"}},
        {"reasoning": ReasoningAsk(mode="auto", show="summary")},
    ),
    (
        {"thinking": {"type": "adaptive", "display": "omitted"}, "output_config": {"effort": "high"}},
        {"reasoning": ReasoningAsk(mode="effort", effort="high", show="none")},
    ),
    ({"output_config": {"effort": "low"}}, {"reasoning": ReasoningAsk(mode="effort", effort="low")}),
    (
        {"thinking": {"type": "disabled"}, "output_config": {"effort": "low"}},
        {"reasoning": ReasoningAsk(mode="off")},
    ),
    (
        {"thinking": {"type": "between_tools"}},
        {"reasoning": ReasoningAsk(mode="off"), "extensions": {"thinking": "between_tools"}},
    ),
    (
        {"output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}}},
        {"output": OutputFormat(format="json_schema", schema={"type": "object"}, strict=True)},
    ),
    (
        {"output_format": {"type": "json_schema", "schema": {"type": "object"}}},
        {"output": OutputFormat(format="json_schema", schema={"type": "object"}, strict=True)},
    ),
    ({"output_config": {"task_budget": {"a": 1}}}, {"extensions": {"output_config.task_budget": {"a": 1}}}),
    (
        {"cache_control": {"type": "ephemeral"}, "container": "c", "speed": "fast", "weather": [1], "inference_geo": None},
        {
            "extensions": {
                "cache_control": {"type": "ephemeral"}, "container": "c", "speed": "fast", "weather": [1],
            }
        },
    ),
    (
        {"mcp_servers": [{"url": "https://e.com"}]},
        {"extensions": {"mcp_servers": [{"url": "https://e.com"}]}, "essential": ("mcp_servers",)},
    ),
    ({"mcp_servers": []}, {"extensions": {"mcp_servers": []}}),
    ({"max_tokens": 0}, {"sampling": Sampling(), "extensions": {"max_tokens": 0}, "essential": ("max_tokens",)}),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "expected"), FIELDS_READ, ids=lambda value: "+".join(value)[:40])
def test_the_other_fields(fields: dict[str, Any], expected: dict[str, Any]) -> None:
    assert canon(**fields) == replace(canon(), **expected)


def test_what_no_other_dialect_has_is_put_by_under_its_path() -> None:
    document = {
        "type": "document",
        "context": "from a book",
        "citations": {"enabled": True},
        "source": {"type": "url", "url": "https://e.com"},
    }
    result = {"type": "tool_result", "tool_use_id": "c", "content": [{"type": "tool_reference", "tool_name": "f"}]}
    asked = canon(messages=[{"role": "user", "content": [document, result]}])
    assert asked.extensions == {
        "messages.0.content.0.context": "from a book",
        "messages.0.content.0.citations": True,
        "messages.0.content.1.content.0": "tool_reference",
    }
