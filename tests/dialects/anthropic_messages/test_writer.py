"""Requests written for an Anthropic upstream."""

from __future__ import annotations

import base64
import json
from typing import Any, NamedTuple

import pytest

from tests.dialects.anthropic_messages.streams import ANTHROPIC, PLAIN
from thalweg.canon.errors import InvalidRequest, UnsupportedParameter
from thalweg.canon.losses import Losses, Strictness
from thalweg.canon.parts import Media, Opaque, Part, Reasoning, Refusal, Signature, Text, ToolCall, ToolResult
from thalweg.canon.request import Message, OutputFormat, ReasoningAsk, Request, Sampling, Tool, ToolChoice
from thalweg.dialects.anthropic_messages.schema import Subset
from thalweg.dialects.anthropic_messages.tables import MODEL_ROWS, OTHERS, row_of
from thalweg.dialects.base import UpstreamBody
from thalweg.profiles.base import Profile

OLD, BUDGET, OPUS45, BOTH, GATED, NEWEST, FABLE = (
    "claude-3-5-sonnet-20241022",
    "claude-sonnet-4-20250514",
    "claude-opus-4-5-20251101",
    "claude-sonnet-4-6",
    "claude-opus-4-7",
    "claude-opus-5",
    "claude-fable-5",
)
PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n0000").decode()
OWN = Signature(vendor="anthropic", model="", kind="signature", data="c2ln")
GOOGLE = Signature(vendor="google", model="g", kind="thought", data="QUJD")
HI = Message(role="user", parts=(Text(text="hi"),))
LOOK = Tool(name="look", description="Looks.", parameters={"type": "object", "properties": {"a": {"type": "string"}}})
FIND = Tool(name="find")


class Written(NamedTuple):
    """What came of a request."""

    wire: dict[str, Any]
    lost: tuple[str, ...]
    undo: UpstreamBody


def write(
    model: str = BUDGET,
    *,
    strictness: Strictness = "default",
    profile: Profile = PLAIN,
    stream: bool = True,
    **fields: Any,
) -> Written:
    asked = Request(**({"model": "m", "messages": (HI,), "stream": stream} | fields))
    losses = Losses(strictness)
    undo = ANTHROPIC.encode_request(asked, model=model, profile=profile, stream=stream, losses=losses)
    return Written(json.loads(undo.body), losses.names, undo)


def messages(*given: Message, model: str = BUDGET, **fields: Any) -> list[Any]:
    return write(model, messages=given, **fields).wire["messages"]


def user(*parts: Part) -> Message:
    return Message(role="user", parts=parts)


def assistant(*parts: Part) -> Message:
    return Message(role="assistant", parts=parts)


def said(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def test_the_plainest_request() -> None:
    written = write(system=(Text(text="Be brief."),))
    assert written.wire == {
        "model": BUDGET,
        "max_tokens": 32000,
        "system": [said("Be brief.")],
        "messages": [{"role": "user", "content": [said("hi")]}],
        "stream": True,
    }
    assert written.lost == ()
    assert "stream" not in write(stream=False).wire


def test_the_way_to_the_upstream() -> None:
    for base in (b"", b"/", b"/v1", b"/v1/"):
        assert ANTHROPIC.request_target(base, "m", stream=True) == b"/v1/messages"
    assert ANTHROPIC.request_target(b"/anthropic", "m", stream=False) == b"/anthropic/v1/messages"
    assert ANTHROPIC.request_headers(stream=True) == ((b"anthropic-version", b"2023-06-01"),)
    assert ANTHROPIC.passed_headers == {b"anthropic-version", b"anthropic-beta"}


# Models.


@pytest.mark.parametrize(
    ("name", "prefix"),
    [
        ("claude-3-opus-20240229", "claude-3-opus"),
        ("claude-3-5-haiku-latest", "claude-3-5"),
        ("claude-3.7-sonnet", "claude-3-7"),
        ("claude-sonnet-4-20250514", "claude-sonnet-4"),
        ("claude-opus-4-1-20250805", "claude-opus-4-1"),
        ("anthropic/claude-sonnet-4.5", "claude-sonnet-4-5"),
        ("us.anthropic.claude-opus-4-5-20251101-v1:0", "claude-opus-4-5"),
        ("claude-haiku-4-5@20251001", "claude-haiku-4-5"),
        ("claude-opus-4-6", "claude-opus-4-6"),
        ("claude-opus-4-7", "claude-opus-4-7"),
        ("claude-opus-4-8", "claude-opus-4-8"),
        ("claude-sonnet-5", "claude-sonnet-5"),
        ("claude-sonnet-5-5", "claude-sonnet-5-5"),
        ("claude-mythos-5", "claude-mythos"),
        ("claude-opus-5", "claude-"),
        ("claude-something-9", "claude-"),
        ("deepseek-chat", ""),
    ],
)
def test_a_models_row_is_found_by_its_name(name: str, prefix: str) -> None:
    assert prefix in row_of(name).prefixes
    assert (row_of(name) is OTHERS) is (prefix == "")


def test_no_row_hides_another() -> None:
    for row in MODEL_ROWS:
        for prefix in row.prefixes:
            assert row_of(prefix) is row


@pytest.mark.parametrize(
    ("model", "most"),
    [("claude-3-opus-20240229", 4096), (OLD, 8192), (BUDGET, 32000), (NEWEST, 32000), ("deepseek-chat", 8192)],
)
def test_without_a_cap_the_model_gets_one(model: str, most: int) -> None:
    assert write(model).wire["max_tokens"] == most
    assert write(model, sampling=Sampling(max_tokens=500_000)).wire["max_tokens"] == 500_000


# Thinking.


def ask(mode: Any, **more: Any) -> ReasoningAsk:
    return ReasoningAsk(mode=mode, **more)


SHOWN = {"type": "adaptive", "display": "summarized"}
THINKING: list[tuple[str, ReasoningAsk, Any, Any, bool]] = [
    (BUDGET, ask("default"), None, None, False),
    (BUDGET, ask("off"), None, None, False),
    (BUDGET, ask("auto"), 10_000, None, False),
    (BUDGET, ask("effort", effort="minimal"), 1024, None, False),
    (BUDGET, ask("effort", effort="low"), 2048, None, False),
    (BUDGET, ask("effort", effort="medium"), 10_000, None, False),
    (BUDGET, ask("effort", effort="high"), 16_384, None, False),
    (BUDGET, ask("effort", effort="xhigh"), 32_768, None, False),
    (BUDGET, ask("budget", budget_tokens=3000), 3000, None, False),
    (BUDGET, ask("budget", budget_tokens=10), 1024, None, False),
    (BUDGET, ask("budget", budget_tokens=0), None, None, False),
    ("claude-opus-4-1", ask("budget", budget_tokens=90_000), 32_000 - 1024, None, True),
    (OLD, ask("effort", effort="low"), None, None, True),
    (OLD, ask("off"), None, None, False),
    (BOTH, ask("default"), None, None, False),
    (BOTH, ask("off"), {"type": "disabled"}, None, False),
    (BOTH, ask("auto"), SHOWN, None, False),
    (BOTH, ask("effort", effort="minimal"), SHOWN, "low", False),
    (BOTH, ask("effort", effort="xhigh"), SHOWN, "max", False),
    (GATED, ask("effort", effort="xhigh"), SHOWN, "xhigh", False),
    (GATED, ask("effort", effort="max"), SHOWN, "max", False),
    (GATED, ask("budget", budget_tokens=9000), SHOWN, "medium", True),
    (GATED, ask("auto", show="none"), {"type": "adaptive", "display": "omitted"}, None, False),
    (GATED, ask("default", show="summary"), None, None, False),
    (NEWEST, ask("default"), None, None, False),
    (NEWEST, ask("default", show="summary"), SHOWN, None, False),
    (NEWEST, ask("off"), {"type": "disabled"}, None, False),
    (FABLE, ask("off"), None, "low", True),
    ("deepseek-chat", ask("effort", effort="low"), SHOWN, "low", False),
]


@pytest.mark.parametrize(("model", "asked", "thinking", "effort", "changed"), THINKING)
def test_how_much_it_shall_think(model: str, asked: ReasoningAsk, thinking: Any, effort: Any, changed: bool) -> None:
    written = write(model, reasoning=asked)
    if isinstance(thinking, int):
        thinking = {"type": "enabled", "budget_tokens": thinking}
    assert written.wire.get("thinking") == thinking
    assert written.wire.get("output_config", {}).get("effort") == effort
    assert ("reasoning" in written.lost) is changed


@pytest.mark.parametrize(
    ("given", "budget", "thought", "most"),
    [
        (None, 2048, 2048, 32_000),
        (None, 31_500, 31_500, 32_524),
        (None, 64_000, 64_000 - 1024, 64_000),
        (8000, 2048, 2048, 8000),
        (8000, 8000, 6976, 8000),
        (1500, 8000, 1024, 1500),
        (1025, 1024, 1024, 1025),
        (1024, 1024, None, 1024),
        (10, 1024, None, 10),
    ],
)
def test_thoughts_and_answer_share_one_cap(given: int | None, budget: int, thought: int | None, most: int) -> None:
    written = write(reasoning=ask("budget", budget_tokens=budget), sampling=Sampling(max_tokens=given))
    assert written.wire["max_tokens"] == most
    assert written.wire.get("thinking", {}).get("budget_tokens") == thought
    assert ("reasoning" in written.lost) is (thought != budget)


@pytest.mark.parametrize("model", [BUDGET, BOTH])
def test_with_thoughts_there_is_no_sampling(model: str) -> None:
    written = write(model, reasoning=ask("auto"), sampling=Sampling(temperature=0.5, top_p=0.9, top_k=4))
    assert not {"temperature", "top_p", "top_k"} & set(written.wire)
    assert set(written.lost) == {"temperature", "top_p", "top_k"}


def test_a_forced_tool_puts_an_end_to_thoughts_that_are_told_in_tokens() -> None:
    forced = {"tools": (LOOK,), "tool_choice": ToolChoice(mode="required"), "reasoning": ask("auto")}
    written = write(BUDGET, **forced)
    assert "thinking" not in written.wire
    assert written.wire["tool_choice"] == {"type": "any"}
    assert written.lost == ("reasoning",)
    written = write(GATED, **forced)
    assert (written.wire["thinking"], written.wire["tool_choice"], written.lost) == (SHOWN, {"type": "any"}, ())


def loop(*first: Part) -> tuple[Message, ...]:
    called = ToolCall(id="c", name="look", arguments="{}")
    return (HI, assistant(*first, called), user(ToolResult(call_id="c", parts=(Text(text="x"),))))


@pytest.mark.parametrize(
    ("first", "thinks"),
    [
        ((Reasoning(text="hm", signature=OWN),), True),
        (
            (Reasoning(redacted=True, signature=Signature(vendor="anthropic", model="", kind="redacted", data="Z")),),
            True,
        ),
        ((Reasoning(text="hm", signature=GOOGLE), Reasoning(text="hm", signature=OWN)), True),
        ((), False),
        ((Reasoning(text="hm"),), False),
        ((Reasoning(text="hm", signature=GOOGLE),), False),
        ((Text(text="a"), Reasoning(text="hm", signature=OWN)), False),
    ],
)
def test_a_turn_of_calls_without_its_own_thoughts_is_gone_on_with_without_any(
    first: tuple[Part, ...], thinks: bool
) -> None:
    written = write(messages=loop(*first), reasoning=ask("auto"))
    assert ("thinking" in written.wire) is thinks
    assert ("reasoning" in written.lost) is not thinks
    # Models that choose for themselves do not mind.
    assert write(GATED, messages=loop(*first), reasoning=ask("auto")).wire["thinking"] == SHOWN


def test_only_the_last_turn_counts() -> None:
    talk = (*loop(), assistant(Text(text="done")), HI)
    assert "thinking" in write(messages=talk, reasoning=ask("auto")).wire


# Sampling and the rest.

SAMPLING: list[tuple[str, Sampling, dict[str, Any], tuple[str, ...]]] = [
    (BUDGET, Sampling(temperature=0.0, top_k=4), {"temperature": 0.0, "top_k": 4}, ()),
    (BUDGET, Sampling(temperature=1.7), {"temperature": 1}, ("temperature",)),
    (BUDGET, Sampling(temperature=0.5, top_p=0.9), {"temperature": 0.5}, ("top_p",)),
    (BUDGET, Sampling(top_p=0.9), {"top_p": 0.9}, ()),
    ("deepseek-chat", Sampling(temperature=0.5, top_p=0.9), {"temperature": 0.5, "top_p": 0.9}, ()),
    (GATED, Sampling(temperature=0.5, top_p=0.9, top_k=4), {}, ("temperature", "top_p", "top_k")),
    (GATED, Sampling(temperature=1.0), {}, ()),
    (BUDGET, Sampling(seed=0, presence_penalty=1.0, frequency_penalty=1.0, logit_bias={"1": 1.0}), {},
     ("presence_penalty", "frequency_penalty", "seed", "logit_bias")),
    (BUDGET, Sampling(logprobs=True, top_logprobs=3), {}, ("logprobs", "top_logprobs")),
    (BUDGET, Sampling(logprobs=False, presence_penalty=0.0), {}, ()),
    (BUDGET, Sampling(stop=("a", "b c")), {"stop_sequences": ["a", "b c"]}, ()),
]  # fmt: skip
PLAINEST = {"model", "max_tokens", "messages", "stream"}


@pytest.mark.parametrize(("model", "sampling", "wire", "lost"), SAMPLING)
def test_sampling(model: str, sampling: Sampling, wire: dict[str, Any], lost: tuple[str, ...]) -> None:
    written = write(model, sampling=sampling)
    assert {name: value for name, value in written.wire.items() if name not in PLAINEST} == wire
    assert written.lost == lost


def test_stop_sequences_of_white_space_are_looked_for_here() -> None:
    written = write(sampling=Sampling(stop=("\n\n", "a", "", " ")))
    assert written.wire["stop_sequences"] == ["a"]
    assert written.undo.stops == ("\n\n", " ")


REST: list[tuple[dict[str, Any], dict[str, Any], tuple[str, ...]]] = [
    ({"user": "user-7"}, {"metadata": {"user_id": "user-7"}}, ()),
    ({"user": "a@example.com"}, {}, ("user",)),
    ({"user": "+49 (0) 30 1234-567"}, {}, ("user",)),
    ({"user": "1234"}, {"metadata": {"user_id": "1234"}}, ()),
    ({"service_tier": "auto"}, {"service_tier": "auto"}, ()),
    ({"service_tier": "default"}, {"service_tier": "standard_only"}, ()),
    ({"service_tier": "priority"}, {"service_tier": "auto"}, ("service_tier",)),
    ({"service_tier": "flex"}, {}, ("service_tier",)),
    ({"metadata": {"a": "b"}}, {}, ("metadata",)),
    ({"output": OutputFormat(verbosity="low", modalities=("text",))}, {}, ("verbosity",)),
]


@pytest.mark.parametrize(("fields", "wire", "lost"), REST)
def test_the_other_fields(fields: dict[str, Any], wire: dict[str, Any], lost: tuple[str, ...]) -> None:
    written = write(**fields)
    assert {name: value for name, value in written.wire.items() if name not in PLAINEST} == wire
    assert written.lost == lost


REFUSED: list[tuple[str, dict[str, Any]]] = [
    ("n", {"sampling": Sampling(n=2)}),
    ("modalities", {"output": OutputFormat(modalities=("text", "audio"))}),
    ("tools[1]", {"tools": (LOOK, Tool(name="web_search", kind="hosted", raw={"type": "web_search"}))}),
    ("messages", {"messages": (user(Text(text="a"), Media(kind="audio", mime="audio/wav", data="QQ==")),)}),
    ("messages", {"messages": (user(Text(text="a"), Media(kind="video", url="https://e.com/a.mp4")),)}),
    ("messages", {"messages": (user(Text(text="a"), Media(kind="image", mime="image/bmp", data="QQ==")),)}),
    ("messages", {"messages": (user(Text(text="a"), Media(kind="image", file_id="f", vendor="openai")),)}),
    ("messages", {"messages": (user(Text(text="a"), Media(kind="document", mime="application/msword", data="QQ==")),)}),
]


@pytest.mark.parametrize(("name", "fields"), REFUSED)
def test_what_would_change_the_meaning_is_refused(name: str, fields: dict[str, Any]) -> None:
    with pytest.raises(UnsupportedParameter) as caught:
        write(**fields)
    assert caught.value.param == name
    lenient = write(strictness="lenient", **fields)
    assert lenient.lost == (name,)
    assert len(lenient.wire["messages"][0]["content"]) == 1


def test_a_strict_client_loses_nothing_unawares() -> None:
    with pytest.raises(UnsupportedParameter, match="seed"):
        write(strictness="strict", sampling=Sampling(seed=1))
    with pytest.raises(UnsupportedParameter, match="temperature"):
        write(strictness="strict", sampling=Sampling(temperature=1.5))


def test_fields_that_a_provider_refuses() -> None:
    profile = Profile(refused_fields=frozenset({"metadata"}))
    assert "metadata" not in write(profile=profile, user="u").wire


# Tools.


def test_tools_and_their_schemas() -> None:
    union = Tool(name="union", parameters={"anyOf": [{"type": "object"}], "properties": {"a": {}}})
    written = write(tools=(LOOK, FIND, union))
    assert written.wire["tools"] == [
        {"name": "look", "description": "Looks.", "input_schema": LOOK.parameters},
        {"name": "find", "input_schema": {"type": "object", "properties": {}}},
        {"name": "union", "input_schema": {"type": "object", "properties": {"a": {}}}},
    ]
    assert written.lost == ("tools[2]",)
    assert "tool_choice" not in written.wire


def test_a_strict_tool() -> None:
    strict = Tool(
        name="f", strict=True, parameters={"type": "object", "properties": {"a": {"type": "integer", "minimum": 1}}}
    )
    written = write(OPUS45, tools=(strict,))
    (tool,) = written.wire["tools"]
    assert tool["strict"] is True
    assert tool["input_schema"] == {
        "type": "object",
        "properties": {"a": {"type": "integer", "description": "{minimum: 1}"}},
        "additionalProperties": False,
    }
    assert written.lost == ("tools[0]",)
    written = write(BUDGET, tools=(strict,))
    assert "strict" not in written.wire["tools"][0]
    assert written.lost == ("tools[0].strict",)


CHOICES: list[tuple[str, ToolChoice | None, bool | None, Any]] = [
    (BUDGET, None, None, None),
    (BUDGET, None, True, None),
    (BUDGET, None, False, {"type": "auto", "disable_parallel_tool_use": True}),
    (BUDGET, ToolChoice(mode="auto"), None, {"type": "auto"}),
    (BUDGET, ToolChoice(mode="none"), False, {"type": "none"}),
    (BUDGET, ToolChoice(mode="required"), None, {"type": "any"}),
    (BUDGET, ToolChoice(mode="required"), False, {"type": "any", "disable_parallel_tool_use": True}),
    (BUDGET, ToolChoice(mode="required", names=("look",)), None, {"type": "tool", "name": "look"}),
]


@pytest.mark.parametrize(("model", "choice", "parallel", "wire"), CHOICES)
def test_which_tool_must_be_called(model: str, choice: ToolChoice | None, parallel: bool | None, wire: Any) -> None:
    written = write(model, tools=(LOOK, FIND), tool_choice=choice, parallel_tool_calls=parallel)
    assert written.wire.get("tool_choice") == wire
    assert len(written.wire["tools"]) == 2
    assert written.lost == ()


def test_a_choice_without_tools_is_none() -> None:
    assert "tool_choice" not in write(tool_choice=ToolChoice(mode="auto"), parallel_tool_calls=False).wire


@pytest.mark.parametrize(("mode", "kind"), [("auto", "auto"), ("required", "any")])
def test_of_a_subset_the_others_are_left_out(mode: Any, kind: str) -> None:
    third = Tool(name="third")
    written = write(tools=(LOOK, FIND, third), tool_choice=ToolChoice(mode=mode, names=("look", "third")))
    assert [tool["name"] for tool in written.wire["tools"]] == ["look", "third"]
    assert written.wire["tool_choice"] == {"type": kind}
    assert written.lost == ("tool_choice",)


def test_a_model_that_cannot_be_forced_is_told_in_words() -> None:
    written = write(FABLE, tools=(LOOK,), tool_choice=ToolChoice(mode="required", names=("look",)))
    assert written.wire["tool_choice"] == {"type": "auto"}
    assert written.wire["system"] == [said("You must call the tool look.")]
    assert written.lost == ("tool_choice",)


def test_a_name_that_anthropic_refuses_gets_another_and_back() -> None:
    odd, long = "files.read:all", "x" * 200
    talk = (
        HI,
        assistant(ToolCall(id="c", name=odd, arguments="{}")),
        user(ToolResult(call_id="c", parts=(Text(text="x"),))),
    )
    tools = (Tool(name=odd), Tool(name=long))
    written = write(messages=talk, tools=tools, tool_choice=ToolChoice(mode="required", names=(odd,)))
    one, other = (tool["name"] for tool in written.wire["tools"])
    assert one.startswith("files_read_all_")
    assert len(other) == 128
    assert written.undo.tool_names == {one: odd, other: long}
    assert written.wire["tool_choice"] == {"type": "tool", "name": one}
    assert written.wire["messages"][1]["content"][0]["name"] == one
    assert write(tools=tools).undo.tool_names == written.undo.tool_names


def test_a_tool_that_takes_free_text() -> None:
    shell = Tool(name="shell", kind="custom", raw={"name": "shell", "description": "Runs."})
    talk = (
        HI,
        assistant(ToolCall(id="c", name="shell", arguments="ls", kind="custom")),
        user(ToolResult(call_id="c", parts=(Text(text="x"),))),
    )
    written = write(messages=talk, tools=(shell,))
    (tool,) = written.wire["tools"]
    assert tool["input_schema"]["required"] == ["input"]
    assert tool["description"] == "Runs."
    assert written.undo.wrapped_tools == {"shell"}
    assert written.wire["messages"][1]["content"][0]["input"] == {"input": "ls"}
    assert written.lost == ("tools[0]",)


# Structured output.

SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
JSON = OutputFormat(format="json_schema", name="thing", schema=SCHEMA)


@pytest.mark.parametrize("model", [OPUS45, NEWEST, "json?seed=1"])
def test_a_schema_where_the_model_knows_it(model: str) -> None:
    written = write(model, output=JSON)
    assert written.wire["output_config"] == {
        "format": {"type": "json_schema", "schema": SCHEMA | {"additionalProperties": False}}
    }
    assert written.undo.answer_tool is None
    assert written.lost == ()


def test_a_schema_and_an_effort_stand_together() -> None:
    written = write(GATED, output=JSON, reasoning=ask("effort", effort="low"))
    assert set(written.wire["output_config"]) == {"format", "effort"}


def test_a_schema_where_the_model_does_not_is_a_tools() -> None:
    written = write(BUDGET, output=JSON)
    (tool,) = written.wire["tools"]
    assert (tool["name"], tool["input_schema"]) == ("json_output", SCHEMA)
    assert written.wire["tool_choice"] == {"type": "tool", "name": "json_output", "disable_parallel_tool_use": True}
    assert written.undo.answer_tool == "json_output"


def test_beside_other_tools_the_model_may_call_those_first() -> None:
    written = write(BUDGET, output=JSON, tools=(LOOK, Tool(name="json_output")))
    assert [tool["name"] for tool in written.wire["tools"]] == ["look", "json_output", "json_output_"]
    assert written.wire["tool_choice"]["type"] == "any"
    assert written.undo.answer_tool == "json_output_"


def test_a_schema_that_is_no_objects_is_told_in_words() -> None:
    written = write(BUDGET, output=OutputFormat(format="json_schema", schema={"type": "array"}))
    assert '{"type":"array"}' in written.wire["system"][-1]["text"]
    assert written.lost == ("response_format",)


def test_json_without_a_schema_is_told_in_words() -> None:
    written = write(GATED, output=OutputFormat(format="json"))
    assert "JSON" in written.wire["system"][-1]["text"]
    assert written.lost == ("response_format",)


SCHEMAS: list[tuple[Any, Any, bool]] = [
    ({"type": "object"}, {"type": "object", "additionalProperties": False}, False),
    ({"type": "object", "additionalProperties": True}, {"type": "object", "additionalProperties": False}, True),
    ({"type": "string", "format": "date", "title": "T"}, {"type": "string", "format": "date", "title": "T"}, False),
    ({"type": "string", "format": "phone"}, {"type": "string", "description": "{format: phone}"}, True),
    (
        {"type": "integer", "minimum": 1, "maximum": 5, "description": "How many"},
        {"type": "integer", "description": "How many\n\n{minimum: 1, maximum: 5}"},
        True,
    ),
    ({"type": "array", "minItems": 1, "items": {"type": "object"}},
     {"type": "array", "minItems": 1, "items": {"type": "object", "additionalProperties": False}}, False),
    ({"type": "array", "minItems": 2}, {"type": "array", "description": "{minItems: 2}"}, True),
    ({"oneOf": [{"type": "string"}, {"const": None}]}, {"anyOf": [{"type": "string"}, {"const": None}]}, False),
    ({"$ref": "#/$defs/a", "description": "x"}, {"$ref": "#/$defs/a"}, False),
    ({"$schema": "x", "$defs": {"minimum": {"type": "object"}}},
     {"$defs": {"minimum": {"type": "object", "additionalProperties": False}}}, False),
    ({"properties": {"pattern": {"type": "string", "pattern": "a"}}},
     {"properties": {"pattern": {"type": "string", "description": "{pattern: a}"}}, "additionalProperties": False}, True),
    (True, True, False),
]  # fmt: skip


@pytest.mark.parametrize(("schema", "expected", "lost"), SCHEMAS)
def test_a_schema_is_put_into_the_subset(schema: Any, expected: Any, lost: bool) -> None:
    subset = Subset()
    assert subset.of(schema) == expected
    assert subset.lost is lost
    assert Subset().of(expected) == expected


# The talk.

PARTS: list[tuple[str, Part, Any]] = [
    ("text", Text(text="a", cache="5m"), said("a") | {"cache_control": {"type": "ephemeral"}}),
    ("an hour's", Text(text="a", cache="12h"), said("a") | {"cache_control": {"type": "ephemeral", "ttl": "1h"}}),
    (
        "picture",
        Media(kind="image", mime="image/png", data=PNG),
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}},
    ),
    (
        "picture of a type that nobody said",
        Media(kind="image", data=PNG),
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}},
    ),
    (
        "picture elsewhere",
        Media(kind="image", url="https://e.com/a"),
        {"type": "image", "source": {"type": "url", "url": "https://e.com/a"}},
    ),
    (
        "picture that was uploaded",
        Media(kind="image", file_id="f", vendor="anthropic"),
        {"type": "image", "source": {"type": "file", "file_id": "f"}},
    ),
    (
        "PDF",
        Media(kind="document", mime="application/pdf", data="QQ==", filename="a.pdf"),
        {
            "type": "document",
            "title": "a.pdf",
            "source": {"type": "base64", "media_type": "application/pdf", "data": "QQ=="},
        },
    ),
    (
        "document of text",
        Media(kind="document", mime="text/markdown", data=base64.b64encode("é".encode()).decode()),
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "é"}},
    ),
    (
        "PDF elsewhere",
        Media(kind="document", url="https://e.com/a"),
        {"type": "document", "source": {"type": "url", "url": "https://e.com/a"}},
    ),
]


@pytest.mark.parametrize(("part", "block"), [row[1:] for row in PARTS], ids=[row[0] for row in PARTS])
def test_a_users_parts(part: Part, block: Any) -> None:
    assert messages(user(part)) == [{"role": "user", "content": [block]}]


def test_the_detail_of_a_picture_is_lost() -> None:
    picture = Media(kind="image", url="https://e.com/a", detail="high")
    assert write(messages=(user(picture),)).lost == ("detail",)


def test_an_assistants_parts_keep_their_order() -> None:
    parts = (
        Reasoning(text="hm", signature=OWN),
        Reasoning(redacted=True, signature=Signature(vendor="anthropic", model="", kind="redacted", data="Z")),
        Reasoning(text="theirs", signature=GOOGLE),
        Reasoning(text="nobody's"),
        Text(text="a"),
        ToolCall(id="c", name="look", arguments=' {"b": 1.50}', signature=GOOGLE),
        Refusal(text="no"),
        Text(text=" \n"),
    )
    _, turn, _ = messages(HI, assistant(*parts), user(ToolResult(call_id="c", parts=(Text(text="x"),))))
    assert turn["content"] == [
        {"type": "thinking", "thinking": "hm", "signature": "c2ln"},
        {"type": "redacted_thinking", "data": "Z"},
        said("a"),
        {"type": "tool_use", "id": "c", "name": "look", "input": {"b": 1.5}},
        said("no"),
    ]


@pytest.mark.parametrize(
    ("arguments", "value", "changed"),
    [
        ("", {}, False),
        ('"{\\"a\\":1}"', {"a": 1}, False),
        ("[1]", {"_raw": "[1]"}, True),
        ('{"a":', {"_raw": '{"a":'}, True),
        ('{"_raw": 1}', {"_raw": 1}, False),
    ],
)
def test_a_calls_arguments_are_an_object(arguments: str, value: Any, changed: bool) -> None:
    talk = (HI, assistant(ToolCall(id="c", name="look", arguments=arguments)), user(ToolResult(call_id="c", parts=())))
    written = write(messages=talk)
    assert written.wire["messages"][1]["content"][0]["input"] == value
    assert bool(written.lost) is changed


def test_results() -> None:
    result = ToolResult(
        call_id="c",
        parts=(Text(text="a"), Text(text=" "), Media(kind="image", mime="image/png", data=PNG)),
        is_error=True,
        cache="5m",
    )
    (_, _, turn) = messages(HI, assistant(ToolCall(id="c", name="f", arguments="")), user(result, Text(text="b")))
    assert turn["content"] == [
        {
            "type": "tool_result",
            "tool_use_id": "c",
            "content": [
                said("a"),
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}},
            ],
            "is_error": True,
            "cache_control": {"type": "ephemeral"},
        },
        said("b"),
    ]


def test_what_only_another_dialect_knows_is_left_out() -> None:
    written = write(messages=(HI, assistant(Text(text="a"), Opaque(dialect="gemini", raw={})), HI))
    assert written.wire["messages"][1]["content"] == [said("a")]
    assert written.lost == ("messages",)


def test_a_message_of_nothing_is_left_out() -> None:
    assert messages(HI, assistant(Reasoning(text="hm")), HI) == [{"role": "user", "content": [said("hi"), said("hi")]}]
    assert messages(user(Text(text=" "))) == [{"role": "user", "content": [said(".")]}]


def test_a_names_owner_is_lost() -> None:
    assert write(messages=(Message(role="user", parts=(Text(text="a"),), name="bob"),)).lost == ("messages.name",)


@pytest.mark.parametrize(("model", "begun"), [(BUDGET, True), (OPUS45, True), (BOTH, False), (NEWEST, False)])
def test_an_answer_that_was_begun(model: str, begun: bool) -> None:
    written = write(model, messages=(HI, assistant(Text(text="Once upon \n"))))
    if begun:
        assert written.wire["messages"][-1] == {"role": "assistant", "content": [said("Once upon")]}
        assert written.lost == ()
    else:
        assert written.wire["messages"][-1] == {"role": "user", "content": [said("Continue.")]}
        assert written.lost == ("messages",)


def test_last_calls_without_results_get_some() -> None:
    written = write(messages=(HI, assistant(ToolCall(id="c", name="f", arguments="{}"))))
    (result,) = written.wire["messages"][-1]["content"]
    assert (result["type"], result["tool_use_id"], result["is_error"]) == ("tool_result", "c", True)
    assert written.lost == ("messages",)


def instruction(text: str) -> Message:
    return Message(role="system", parts=(Text(text=text),))


def roles(written: list[Any]) -> list[tuple[str, list[str]]]:
    return [(turn["role"], [block["text"] for block in turn["content"]]) for turn in written]


SAID = assistant(Text(text="so"))
WRAPPED = "<system>\nbe kind\n</system>"
PLACES: list[tuple[tuple[Message, ...], list[tuple[str, list[str]]], list[tuple[str, list[str]]]]] = [
    (
        (HI, instruction("be kind")),
        [("user", ["hi"]), ("system", ["be kind"])],
        [("user", ["hi", WRAPPED])],
    ),
    (
        (HI, instruction("be kind"), SAID, HI),
        [("user", ["hi"]), ("system", ["be kind"]), ("assistant", ["so"]), ("user", ["hi"])],
        [("user", ["hi", WRAPPED]), ("assistant", ["so"]), ("user", ["hi"])],
    ),
    (
        (HI, instruction("be kind"), HI, SAID, HI),
        [("user", ["hi", "hi"]), ("system", ["be kind"]), ("assistant", ["so"]), ("user", ["hi"])],
        [("user", ["hi", WRAPPED, "hi"]), ("assistant", ["so"]), ("user", ["hi"])],
    ),
    (
        (HI, SAID, instruction("be kind"), SAID, HI),
        [("user", ["hi"]), ("assistant", ["so"]), ("user", [WRAPPED]), ("assistant", ["so"]), ("user", ["hi"])],
        [("user", ["hi"]), ("assistant", ["so"]), ("user", [WRAPPED]), ("assistant", ["so"]), ("user", ["hi"])],
    ),
    (
        (HI, SAID, instruction("be kind"), HI),
        [("user", ["hi"]), ("assistant", ["so"]), ("user", ["hi"]), ("system", ["be kind"])],
        [("user", ["hi"]), ("assistant", ["so"]), ("user", [WRAPPED, "hi"])],
    ),
]


@pytest.mark.parametrize(("talk", "native", "wrapped"), PLACES)
def test_an_instruction_between_the_turns(talk: tuple[Message, ...], native: Any, wrapped: Any) -> None:
    assert roles(messages(*talk, model=NEWEST)) == native
    written = write(BUDGET, messages=talk)
    assert roles(written.wire["messages"]) == wrapped
    assert written.lost == ("messages",)


def test_an_instruction_before_every_turn_is_the_systems() -> None:
    written = write(messages=(instruction("be kind"), HI), system=(Text(text="a"),))
    assert written.wire["system"] == [said("a"), said("be kind")]
    assert written.lost == ()


def test_no_more_than_four_marks_for_the_cache() -> None:
    tools = (Tool(name="a", cache="5m"), Tool(name="b", cache="5m"))
    written = write(
        tools=tools,
        system=(Text(text="s", cache="1h"),),
        messages=(user(*(Text(text=str(i), cache="5m") for i in range(3))),),
    )
    marked = [*written.wire["tools"], *written.wire["system"], *written.wire["messages"][0]["content"]]
    assert ["cache_control" in block for block in marked] == [False, False, True, True, True, True]
    assert written.lost == ("cache_control",)


def test_a_schema_that_nests_too_deeply_is_refused() -> None:
    deep: Any = {}
    for _ in range(3000):
        deep = {"items": deep}
    with pytest.raises(InvalidRequest, match="nested too deeply"):
        write(OPUS45, output=OutputFormat(format="json_schema", schema=deep))
