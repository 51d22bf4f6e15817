"""Requests: read from a client, and written for an upstream."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec.structs import replace

from tests.dialects.dashscope_native.streams import DASH
from thalweg.canon.errors import InvalidRequest, UnsupportedParameter
from thalweg.canon.losses import Losses, Strictness
from thalweg.canon.parts import Media, Opaque, Reasoning, Signature, Text, ToolCall, ToolResult
from thalweg.canon.request import Message, OutputFormat, ReasoningAsk, Request, Sampling, Tool, ToolChoice
from thalweg.dialects.base import UpstreamBody
from thalweg.dialects.dashscope_native.request import DashScopeRequest
from thalweg.dialects.dashscope_native.tables import is_multimodal
from thalweg.profiles.base import Profile, Thinking
from thalweg.profiles.providers import COMPATIBLE

TEXT = b"/api/v1/services/aigc/text-generation/generation"
SEES = b"/api/v1/services/aigc/multimodal-generation/generation"


def read(parameters: Any = None, *, target: bytes = TEXT, **asked: Any) -> DashScopeRequest:
    body: dict[str, Any] = {"model": "qwen-plus", "input": {"messages": [{"role": "user", "content": "?"}]}} | asked
    if parameters is not None:
        body["parameters"] = parameters
    return DASH.read_request(json.dumps(body).encode(), target)


# Reading.


def test_messages_are_read() -> None:
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"image": "https://a.example/x.png"}, {"text": "What?"}]},
        {
            "role": "assistant",
            "content": "",
            "reasoning_content": "hm",
            "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}],
        },
        {"role": "tool", "content": "4", "tool_call_id": "c", "name": "f"},
        {"role": "user", "content": [{"audio": "data:audio/wav;base64,UklGRg=="}, {"video": ["a", "b"]}]},
    ]
    asked = read(input={"messages": messages}).canon()
    assert asked.system == (Text(text="Be brief."),)
    assert asked.messages == (
        Message(role="user", parts=(Media(kind="image", url="https://a.example/x.png"), Text(text="What?"))),
        Message(role="assistant", parts=(Reasoning(text="hm"), ToolCall(id="c", name="f", arguments='{"a":1}'))),
        Message(role="user", parts=(ToolResult(call_id="c", name="f", parts=(Text(text="4"),)),)),
        Message(
            role="user",
            parts=(
                Media(kind="audio", mime="audio/wav", data="UklGRg=="),
                Opaque(dialect="dashscope-native", raw={"video": ["a", "b"]}),
            ),
        ),
    )


def test_a_prompt_is_a_message_and_old_turns_come_before_it() -> None:
    asked = read(input={"prompt": "And?", "history": [{"user": "Hi", "bot": "Ho"}]}).canon()
    said = [(message.role, message.parts[0].text) for message in asked.messages]  # type: ignore[union-attr]
    assert said == [("user", "Hi"), ("assistant", "Ho"), ("user", "And?")]


def test_parameters_are_read() -> None:
    asked = read(
        {
            "max_completion_tokens": 9,
            "temperature": 0.5,
            "top_p": 0.9,
            "top_k": 7,
            "seed": 3,
            "presence_penalty": 1.2,
            "n": 2,
            "stop": ["a", [37763, 367]],
            "tools": [{"type": "function", "function": {"name": "f", "description": "d", "parameters": {"x": 1}}}],
            "tool_choice": {"type": "function", "function": {"name": "f"}},
            "parallel_tool_calls": True,
            "response_format": {"type": "json_object"},
            "thinking_budget": 500,
            "repetition_penalty": 1.1,
            "enable_search": True,
            "logprobs": True,
            "top_logprobs": 2,
        }
    ).canon()
    assert asked.sampling == Sampling(
        max_tokens=9,
        temperature=0.5,
        top_p=0.9,
        top_k=7,
        seed=3,
        presence_penalty=1.2,
        n=2,
        stop=("a",),
        logprobs=True,
        top_logprobs=2,
    )
    assert asked.tools == (Tool(name="f", description="d", parameters={"x": 1}),)
    assert asked.tool_choice == ToolChoice(mode="required", names=("f",))
    assert asked.parallel_tool_calls
    assert asked.output.format == "json"
    assert asked.reasoning == ReasoningAsk(mode="budget", budget_tokens=500)
    assert asked.extensions == {"repetition_penalty": 1.1, "enable_search": True, "stop": ["a", [37763, 367]]}
    assert asked.essential == ("enable_search",)


@pytest.mark.parametrize(
    ("parameters", "query", "stream"),
    [
        ({}, b"", False),
        ({}, b"?X-DashScope-SSE=enable", True),
        ({"incremental_output": True}, b"", True),
        ({"incremental_output": True}, b"?x-dashscope-sse=disable", False),
        ({"incremental_output": True, "stream": False}, b"", False),
        ({"stream": True}, b"", True),
    ],
)
def test_a_stream_is_asked_for_by_the_header(parameters: dict[str, Any], query: bytes, stream: bool) -> None:
    asked = read(parameters, target=TEXT + query)
    assert asked.stream is stream
    assert asked.canon().stream is stream


@pytest.mark.parametrize(
    ("parameters", "ask"),
    [
        ({}, ReasoningAsk()),
        ({"enable_thinking": True}, ReasoningAsk(mode="auto")),
        ({"enable_thinking": False, "thinking_budget": 5}, ReasoningAsk(mode="off")),
        ({"reasoning_effort": "xhigh"}, ReasoningAsk(mode="effort", effort="xhigh")),
    ],
)
def test_thinking_is_read(parameters: dict[str, Any], ask: ReasoningAsk) -> None:
    assert read(parameters).canon().reasoning == ask


@pytest.mark.parametrize(
    ("asked", "param"),
    [
        ({"input": {}}, "input.messages"),
        ({"model": ""}, "model"),
        ({"input": {"messages": [{"role": "robot", "content": "?"}]}}, "input.messages[0].role"),
        ({"input": {"messages": [{"role": "tool", "content": "?"}]}}, "input.messages[0].tool_call_id"),
        ({"parameters": {"n": 5}}, "n"),
        ({"parameters": {"tools": [{"type": "function"}]}}, "parameters.tools[0].function"),
        ({"parameters": {"tool_choice": "sometimes"}}, "parameters.tool_choice"),
        ({"parameters": {"top_p": "x"}}, "parameters.top_p"),
        ({"input": {"messages": [{"role": "user", "content": [{"image": "data:x"}]}]}}, "input.messages[0].content[0].image"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(asked: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read(**asked).canon()
    assert caught.value.param == param


def test_the_body_for_the_same_dialect_is_the_original_with_another_model() -> None:
    body = b'{"zz": 1.50, "model":"a","input":{"prompt":"?"},"parameters":{"top_p":0.10}}'
    edited = DASH.read_request(body).edited(model="b", profile=COMPATIBLE, stream=True)
    assert edited == b'{"zz":1.50,"model":"b","input":{"prompt":"?"},"parameters":{"top_p":0.10}}'


def test_characters_of_the_prompt_are_counted() -> None:
    assert read(input={"messages": [{"role": "user", "content": [{"text": "ab深"}]}]}).prompt_chars() == (2, 1)


# Writing.

HI = (Message(role="user", parts=(Text(text="Hi"),)),)


def written(
    model: str = "qwen-plus", *, profile: Profile = COMPATIBLE, strictness: Strictness = "default", stream: bool = True, **asked: Any
) -> tuple[dict[str, Any], UpstreamBody, tuple[str, ...]]:  # fmt: skip
    losses = Losses(strictness)
    request = Request(model="x", dialect="openai-chat", **({"messages": HI} | asked))
    body = DASH.encode_request(request, model=model, profile=profile, stream=stream, losses=losses)
    return json.loads(body.body), body, losses.names


def test_a_request_always_asks_for_messages_and_increments() -> None:
    wire, _, lost = written()
    assert wire == {
        "model": "qwen-plus",
        "input": {"messages": [{"role": "user", "content": "Hi"}]},
        "parameters": {"result_format": "message", "incremental_output": True},
    }
    assert lost == ()
    assert written(stream=False)[0]["parameters"] == {"result_format": "message"}


@pytest.mark.parametrize(
    ("model", "sees"),
    [
        ("qwen-plus", False),
        ("qwen3-max", False),
        ("qwen3.5-plus", True),
        ("qwen3.6-plus", True),
        ("qwen3-vl-plus", True),
        ("qwen2.5-vl-72b-instruct", True),
        ("qwen2.5-72b-instruct", False),
        ("qvq-max", True),
        ("qwen3-omni-flash", True),
        ("qwen-vl-ocr-latest", True),
        ("deepseek-v4-pro", False),
        ("qwen-turbo", False),
        ("codeqwen1.5-7b-chat", False),
        ("antdigital/Ling-3.1-flash", False),
        ("Moonshot-Kimi-K2-Instruct", False),
        ("kimi-k3", False),
        ("vision?seed=1", True),
        ("something-new", True),
    ],
)
def test_the_family_decides_the_path_and_the_content(model: str, sees: bool) -> None:
    assert is_multimodal(model) is sees
    assert DASH.request_target(b"/api/v1/", model, stream=True) == (SEES if sees else TEXT)
    content = written(model)[0]["input"]["messages"][0]["content"]
    assert content == ([{"text": "Hi"}] if sees else "Hi")


def test_a_stream_is_asked_for_in_a_header() -> None:
    assert DASH.request_headers(stream=True) == ((b"x-dashscope-sse", b"enable"),)
    assert DASH.request_headers(stream=False) == ()


def test_a_talk_is_written() -> None:
    talk = (
        Message(role="user", parts=(Media(kind="image", mime="image/png", data="AAAA"), Text(text="What?", cache="5m"))),
        Message(
            role="assistant",
            parts=(
                Reasoning(text="foreign", signature=Signature(vendor="openai", model="", kind="encrypted", data="x")),
                Reasoning(text="hm"),
                Text(text="Look:"),
                ToolCall(id="c", name="f", arguments=""),
            ),
        ),
        Message(
            role="user",
            parts=(
                ToolResult(call_id="c", parts=(Text(text="4"), Media(kind="image", url="https://a.example/")), is_error=True),
                Text(text="And?"),
            ),
        ),
        Message(role="system", parts=(Text(text="Mind."),)),
    )  # fmt: skip
    wire, _, lost = written("qwen3.6-plus", messages=talk, system=(Text(text="One."), Text(text="Two.")))
    assert wire["input"]["messages"] == [
        {"role": "system", "content": [{"text": "One."}, {"text": "Two."}]},
        {
            "role": "user",
            "content": [
                {"image": "data:image/png;base64,AAAA"},
                {"text": "What?", "cache_control": {"type": "ephemeral"}},
            ],
        },
        {
            "role": "assistant",
            "content": [{"text": "Look:"}],
            "reasoning_content": "hm",
            "tool_calls": [{"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
        },
        {"role": "tool", "content": [{"text": "Error: 4"}], "tool_call_id": "c"},
        {"role": "user", "content": [{"image": "https://a.example/"}, {"text": "And?"}]},
        {"role": "system", "content": [{"text": "Mind."}]},
    ]
    assert lost == ("is_error", "tool_result")
    plain = written(messages=talk[:1], system=(Text(text="One."), Text(text="Two.")), strictness="lenient")[0]
    assert plain["input"]["messages"] == [
        {"role": "system", "content": "One.\n\nTwo."},
        {"role": "user", "content": "What?"},
    ]


def test_a_model_that_reads_text_only_refuses_a_picture() -> None:
    talk = (Message(role="user", parts=(Media(kind="image", url="https://a.example/"),)),)
    with pytest.raises(UnsupportedParameter):
        written(messages=talk)


@pytest.mark.parametrize(
    ("asked", "parameters", "lost"),
    [
        ({"sampling": Sampling(max_tokens=5, top_k=3, stop=("a",), n=2)}, {"max_tokens": 5, "top_k": 3, "stop": ["a"], "n": 2}, ()),
        ({"sampling": Sampling(temperature=2.0)}, {"temperature": 1.99}, ("temperature",)),
        ({"sampling": Sampling(frequency_penalty=1.0, logit_bias={"1": 1})}, {}, ("frequency_penalty", "logit_bias")),
        ({"user": "u", "metadata": {"a": "b"}, "service_tier": "flex"}, {}, ("user", "metadata", "service_tier")),
        ({"output": OutputFormat(format="json")}, {"response_format": {"type": "json_object"}}, ()),
        (
            {"output": OutputFormat(format="json_schema", schema={"type": "object"}, strict=True)},
            {"response_format": {"type": "json_schema", "json_schema": {"name": "output", "schema": {"type": "object"}, "strict": True}}},
            (),
        ),
        ({"reasoning": ReasoningAsk(mode="off")}, {"enable_thinking": False}, ()),
        ({"reasoning": ReasoningAsk(mode="auto")}, {"enable_thinking": True}, ()),
        ({"reasoning": ReasoningAsk(mode="budget", budget_tokens=9)}, {"enable_thinking": True, "thinking_budget": 9}, ()),
        (
            {"reasoning": ReasoningAsk(mode="effort", effort="low")},
            {"enable_thinking": True, "thinking_budget": 2048},
            ("reasoning_effort",),
        ),
        ({"reasoning": ReasoningAsk(mode="effort", effort="max")}, {"enable_thinking": True}, ("reasoning_effort",)),
    ],
)  # fmt: skip
def test_parameters_are_written(asked: dict[str, Any], parameters: dict[str, Any], lost: tuple[str, ...]) -> None:
    wire, _, names = written(stream=False, **asked)
    assert wire["parameters"] == {"result_format": "message"} | parameters
    assert names == lost


def test_an_effort_that_the_provider_takes_is_said_as_it_is() -> None:
    profile = replace(COMPATIBLE, thinking=Thinking(efforts={"max": "xhigh"}))
    wire, _, lost = written(profile=profile, stream=False, reasoning=ReasoningAsk(mode="effort", effort="max"))
    assert wire["parameters"]["reasoning_effort"] == "xhigh"
    assert lost == ()


@pytest.mark.parametrize(
    "asked",
    [
        {"sampling": Sampling(n=5)},
        {"output": OutputFormat(modalities=("text", "audio"))},
        {"tools": (Tool(name="web_search", kind="hosted"),)},
    ],
    ids=["n", "audio", "a hosted tool"],
)
def test_what_would_change_the_answer_is_refused(asked: dict[str, Any]) -> None:
    with pytest.raises(UnsupportedParameter):
        written(**asked)
    assert written(strictness="lenient", **asked)[2]


TOOLS = (Tool(name="f", parameters={"type": "object"}), Tool(name="a.b", kind="custom", raw={"name": "a.b"}))


def test_tools_are_written_with_names_that_pass() -> None:
    wire, body, _ = written(
        tools=TOOLS,
        messages=(*HI, Message(role="assistant", parts=(ToolCall(id="c", name="a.b", arguments="x", kind="custom"),))),
    )
    first, second = wire["parameters"]["tools"]
    assert first == {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
    alias = second["function"]["name"]
    assert body.tool_names == {alias: "a.b"}
    assert body.wrapped_tools == {"a.b"}
    (said,) = wire["input"]["messages"][1]["tool_calls"]
    assert said["function"] == {"name": alias, "arguments": '{"input":"x"}'}


@pytest.mark.parametrize(
    ("choice", "wire_choice", "tools", "lost"),
    [
        (ToolChoice(mode="auto"), "auto", 2, ()),
        (ToolChoice(mode="none"), "none", 2, ()),
        (ToolChoice(mode="required"), "auto", 2, ("tool_choice",)),
        (ToolChoice(mode="required", names=("f",)), {"type": "function", "function": {"name": "f"}}, 2, ()),
        (ToolChoice(mode="auto", names=("f",)), "auto", 1, ("tool_choice",)),
        (ToolChoice(mode="required", names=("f", "a.b")), "auto", 2, ("tool_choice",)),
    ],
)
def test_a_choice_of_tools_is_written(choice: ToolChoice, wire_choice: Any, tools: int, lost: tuple[str, ...]) -> None:
    wire, _, names = written(tools=TOOLS, tool_choice=choice)
    assert wire["parameters"]["tool_choice"] == wire_choice
    assert len(wire["parameters"]["tools"]) == tools
    assert names == lost


def test_what_is_written_is_read_as_it_was() -> None:
    asked = Request(
        model="qwen-plus",
        messages=(
            *HI,
            Message(role="assistant", parts=(Reasoning(text="hm"), ToolCall(id="c", name="f", arguments='{"a":1}'))),
            Message(role="user", parts=(ToolResult(call_id="c", parts=(Text(text="4"),)),)),
        ),
        system=(Text(text="Be brief."),),
        tools=TOOLS[:1],
        tool_choice=ToolChoice(mode="auto"),
        sampling=Sampling(max_tokens=5, temperature=0.5, top_k=3, seed=1, stop=("x",)),
        reasoning=ReasoningAsk(mode="budget", budget_tokens=77),
        output=OutputFormat(format="json"),
        stream=True,
    )
    body = DASH.encode_request(asked, model="qwen-plus", profile=COMPATIBLE, stream=True, losses=Losses("strict"))
    again = DASH.read_request(body.body, TEXT).canon()
    assert replace(again, dialect="", extensions={}) == asked
