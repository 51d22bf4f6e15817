"""The simulator in every dialect: what its models promise holds in each."""

from __future__ import annotations

from typing import Any

import pytest

from tests.simulator.talks import CREATED, SCHEMAS, TALKS, AnthropicTalk, GeminiTalk, Talk, numbered_results, send
from thalweg.canon.events import PartDelta, ResponseEnded, ResponseFailed
from thalweg.canon.finish import FinishReason
from thalweg.canon.parts import Reasoning, Text, ToolCall
from thalweg.canon.response import Choice, Response
from thalweg.canon.script import Wait
from thalweg.dialects.registry import DIALECTS
from thalweg.simulator import LISTED

MARK = "回声 🦜 é ñ 🌈ok"
TOOLS = tuple(SCHEMAS)
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAIAAABLbSncAAAAEUlEQVR42mP4z8CAFTEMLQkAKP8/wc53yE8AAAAASUVORK5CYII="

each_dialect = pytest.mark.parametrize("dialect", DIALECTS)
each_way = pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])


def talk(dialect: str, model: str = "text", prompt: str = MARK, **fields: Any) -> Talk:
    return TALKS[dialect](model, prompt, **fields)


def first(answer: Response) -> Choice:
    return answer.choices[0]


def text_of(choice: Choice) -> str:
    return "".join(part.text for part in choice.parts if isinstance(part, Text))


def thought_of(choice: Choice) -> str:
    return "".join(part.text for part in choice.parts if isinstance(part, Reasoning))


def calls_of(choice: Choice) -> list[ToolCall]:
    return [part for part in choice.parts if isinstance(part, ToolCall)]


def asked(dialect: str, model: str = "text", *, stream: bool, **fields: Any) -> Response:
    one = talk(dialect, model, **fields)
    answer = one.ask(stream=stream)
    assert answer.status == 200, answer.body
    return one.read(answer, stream=stream)


def test_every_dialect_has_a_talk() -> None:
    assert list(TALKS) == list(DIALECTS)


@each_dialect
@each_way
def test_text_repeats_the_prompt_and_tells_usage(dialect: str, stream: bool) -> None:
    answer = asked(dialect, stream=stream)
    assert MARK in text_of(first(answer))
    assert first(answer).finish_reason is FinishReason.STOP
    assert answer.usage is not None
    assert answer.usage.input_tokens is not None
    assert answer.usage.output_tokens is not None
    assert answer.usage.output_tokens > 4
    assert answer.complete


@each_dialect
def test_a_stream_has_a_frame_for_each_delta_and_ends_well(dialect: str) -> None:
    one = talk(dialect)
    found = one.events(one.ask(stream=True))
    assert sum(isinstance(event, PartDelta) for event in found) >= 3
    assert isinstance(found[-1], ResponseEnded)


@each_dialect
@pytest.mark.parametrize("model", ["text", "reasoning", "tools", "agent", "redacted", "json", "filter"])
def test_a_whole_answer_says_what_the_stream_says(dialect: str, model: str) -> None:
    streamed, whole = (asked(dialect, model, stream=stream, tools=TOOLS) for stream in (True, False))
    one, other = first(streamed), first(whole)
    assert (text_of(one), thought_of(one)) == (text_of(other), thought_of(other))
    assert [(c.name, c.arguments) for c in calls_of(one)] == [(c.name, c.arguments) for c in calls_of(other)]
    assert one.finish_reason is other.finish_reason
    assert streamed.usage == whole.usage


@each_dialect
@each_way
@pytest.mark.parametrize("model", ["text", "reasoning", "tools", "agent", "redacted"])
def test_the_same_seed_gives_the_same_bytes(dialect: str, model: str, stream: bool) -> None:
    one, two = (talk(dialect, model, tools=TOOLS).ask(stream=stream, seed=9) for _ in range(2))
    assert one.steps == two.steps


CAPS: dict[str, dict[str, Any]] = {
    "openai-chat": {"max_tokens": 3},
    "openai-responses": {"max_output_tokens": 3},
    "anthropic": {"max_tokens": 3},
    "gemini": {"generationConfig": {"maxOutputTokens": 3}},
    "dashscope-native": {"parameters": {"result_format": "message", "incremental_output": True, "max_tokens": 3}},
}


@each_dialect
@each_way
def test_a_cap_is_obeyed(dialect: str, stream: bool) -> None:
    answer = asked(dialect, stream=stream, **CAPS[dialect])
    assert first(answer).finish_reason is FinishReason.LENGTH
    assert answer.usage is not None
    assert answer.usage.output_tokens == 3


@each_dialect
@each_way
def test_every_tool_is_called_once_and_then_the_results_are_told(dialect: str, stream: bool) -> None:
    one = talk(dialect, "tools", tools=TOOLS)
    results = numbered_results()
    calls = one.go_on(stream=stream, results=results)
    assert [name for _, name, _ in calls] == list(TOOLS)
    assert [sorted(arguments) for _, _, arguments in calls] == [["city"], []]
    answer = one.read(one.ask(stream=stream), stream=stream)
    assert not calls_of(first(answer))
    assert all(f"7391-{at} 晴" in text_of(first(answer)) for at in (1, 2))


@each_dialect
@each_way
def test_the_agent_goes_through_its_steps_and_tells_every_result(dialect: str, stream: bool) -> None:
    one = talk(dialect, "agent", tools=TOOLS)
    results = numbered_results()
    steps = [one.go_on(stream=stream, results=results) for _ in range(3)]
    assert [[name for _, name, _ in calls] for calls in steps] == [["get_weather", "now"], ["now"], ["get_weather"]]
    assert steps[1][0][2] == {}
    nested = steps[2][0][2]
    assert isinstance(nested["city"], str)
    assert nested["détails 深泓"]["鱼"][0] == "🐟"
    assert nested["détails 深泓"]["nothing"] == [None, True, False, {}, [], ""]
    told = text_of(first(one.read(one.ask(stream=stream), stream=stream)))
    assert [told.index(f"7391-{at} 晴") for at in (1, 2, 3, 4)] == sorted(
        told.index(f"7391-{at} 晴") for at in (1, 2, 3, 4)
    )
    assert one.go_on(stream=stream, results=results) == []


@each_dialect
def test_the_agent_begins_anew_with_the_users_next_words(dialect: str) -> None:
    one = talk(dialect, "agent", tools=TOOLS)
    results = numbered_results()
    for _ in range(4):
        one.go_on(results=results)
    one.turns += one.user("again")
    assert len(one.go_on(results=results)) == 2


@each_dialect
def test_with_one_seed_the_calls_of_a_task_have_different_ids(dialect: str) -> None:
    one = talk(dialect, "agent?seed=4", tools=TOOLS)
    results = numbered_results()
    ids = [call for _ in range(3) for call, _, _ in one.go_on(results=results)]
    assert len(ids) == 4
    assert dialect == "gemini" or len(set(ids)) == 4


@each_dialect
@each_way
def test_an_agent_without_tools_answers(dialect: str, stream: bool) -> None:
    assert text_of(first(asked(dialect, "agent", stream=stream)))


SHOWN: dict[str, dict[str, Any]] = {
    "openai-chat": {},
    "openai-responses": {"reasoning": {"summary": "auto"}},
    "anthropic": {"thinking": {"type": "enabled", "budget_tokens": 1024}},
    "gemini": {"generationConfig": {"thinkingConfig": {"includeThoughts": True}}},
    "dashscope-native": {},
}
HIDDEN: dict[str, dict[str, Any]] = {
    "openai-chat": {"reasoning": {"exclude": True}},
    "openai-responses": {},
    "anthropic": {"thinking": {"type": "adaptive", "display": "omitted"}},
    "gemini": {},
}
OFF: dict[str, dict[str, Any]] = {
    "openai-chat": {"thinking": {"type": "disabled"}},
    "openai-responses": {"reasoning": {"effort": "none"}},
    "anthropic": {},
    "gemini": {"generationConfig": {"thinkingConfig": {"includeThoughts": True, "thinkingBudget": 0}}},
    "dashscope-native": {"parameters": {"result_format": "message", "enable_thinking": False}},
}


@each_way
@pytest.mark.parametrize("dialect", SHOWN)
def test_thoughts_are_shown_where_they_are_asked_for(dialect: str, stream: bool) -> None:
    one = talk(dialect, "reasoning", **SHOWN[dialect])
    answer = one.ask(stream=stream)
    read = one.read(answer, stream=stream)
    assert [type(part) for part in first(read).parts][:2] == [Reasoning, Text]
    assert "First I look" in thought_of(first(read))
    assert read.usage is not None
    assert read.usage.reasoning_tokens


@each_way
@pytest.mark.parametrize("dialect", HIDDEN)
def test_thoughts_that_nobody_wants_to_see_are_counted_and_not_sent(dialect: str, stream: bool) -> None:
    answer = asked(dialect, "reasoning", stream=stream, **HIDDEN[dialect])
    assert thought_of(first(answer)) == ""
    assert answer.usage is not None
    assert answer.usage.reasoning_tokens


@each_way
@pytest.mark.parametrize("dialect", OFF)
def test_who_is_not_told_to_think_does_not(dialect: str, stream: bool) -> None:
    answer = asked(dialect, "reasoning", stream=stream, **OFF[dialect])
    assert not any(isinstance(part, Reasoning) for part in first(answer).parts)
    assert answer.usage is not None
    assert not answer.usage.reasoning_tokens


@each_way
def test_anthropic_calls_only_after_a_thought_where_thinking_is_on(stream: bool) -> None:
    thinking = SHOWN["anthropic"]
    assert [
        type(part) for part in first(asked("anthropic", "tools", stream=stream, tools=TOOLS, **thinking)).parts
    ] == [
        Reasoning,
        ToolCall,
        ToolCall,
    ]
    assert not thought_of(first(asked("anthropic", "tools", stream=stream, tools=TOOLS)))


# Paths.


PATHS: dict[str, tuple[bytes, ...]] = {
    "openai-chat": (b"/v1/chat/completions", b"/api/v3/chat/completions?x=1", b"/chat/completions"),
    "openai-responses": (b"/v1/responses", b"/api/v3/responses"),
    "anthropic": (b"/v1/messages", b"/anthropic/v1/messages?beta=true"),
    "gemini": (
        b"/v1beta/models/text:generateContent",
        b"/v1/models/sim/text:generateContent?key=k",
        b"/v1alpha/models/text%3AgenerateContent",
        b"/v1beta/sim/text:generateContent",
        b"/v1beta/models/sim%2Ftext%3Fpace=0:generateContent",
    ),
    "dashscope-native": (
        b"/api/v1/services/aigc/text-generation/generation",
        b"/api/v1/services/aigc/multimodal-generation/generation",
    ),
}


@pytest.mark.parametrize(("dialect", "path"), [(name, path) for name, paths in PATHS.items() for path in paths])
def test_a_request_finds_its_dialect_by_its_path(dialect: str, path: bytes) -> None:
    one = talk(dialect)
    answer = send(b"POST", path, one.body(stream=False) | one.fields)
    assert answer.status == 200, answer.body
    assert MARK.encode() in answer.body


def test_a_gemini_stream_is_an_array_unless_events_are_asked_for() -> None:
    one = talk("gemini")
    answer = send(b"POST", b"/v1beta/models/text:streamGenerateContent", one.body(stream=True))
    assert answer.headers[b"content-type"] == b"application/json"
    assert isinstance(answer.tree, list)
    said = "".join(part["text"] for chunk in answer.tree for part in chunk["candidates"][0]["content"]["parts"])
    assert MARK in said


def test_dashscope_streams_by_its_header_alone() -> None:
    one = talk("dashscope-native")
    body = one.body(stream=True)
    streamed = send(b"POST", one.target(stream=True), body, headers=((b"x-dashscope-sse", b"enable"),))
    assert streamed.headers[b"content-type"].startswith(b"text/event-stream")
    assert send(b"POST", one.target(stream=True), body).headers[b"content-type"] == b"application/json"


UNKNOWN = {
    "openai-chat": (b"/v1/embeddings", "message"),
    "openai-responses": (b"/v1/files", "message"),
    "anthropic": (b"/anthropic/v1/complete", "message"),
    "gemini": (b"/v1beta/models/text:embedContent", "message"),
}


@pytest.mark.parametrize("dialect", UNKNOWN)
def test_what_is_not_there_is_404_in_the_paths_dialect(dialect: str) -> None:
    answer = send(b"POST", UNKNOWN[dialect][0], {})
    assert answer.status == 404
    assert "no POST" in answer.tree["error"]["message"]
    assert ("type" in answer.tree) is (dialect == "anthropic")
    assert ("status" in answer.tree["error"]) is (dialect == "gemini")


@each_dialect
def test_an_unknown_model_is_404_in_the_dialects_shape(dialect: str) -> None:
    one = talk(dialect, "sim/no-such-model")
    answer = one.ask()
    assert answer.status == 404
    assert b"no-such-model" in answer.body


@each_dialect
def test_a_body_that_is_no_json_is_400(dialect: str) -> None:
    assert send(b"POST", talk(dialect).target(stream=False), b"{").status == 400
    assert send(b"POST", talk(dialect).target(stream=False), b"[" * 100_000).status == 400


@each_dialect
def test_get_is_405(dialect: str) -> None:
    assert send(b"GET", talk(dialect).target(stream=False)).status in (404, 405)


# Counts and models.


def test_anthropic_counts() -> None:
    body = {"model": "text", "messages": [{"role": "user", "content": "one two"}], "system": "three"}
    assert send(b"POST", b"/v1/messages/count_tokens", body).tree == {"input_tokens": 3}
    assert send(b"POST", b"/v1/messages/count_tokens", body | {"model": "nobody"}).status == 404
    assert send(b"POST", b"/v1/messages/count_tokens", {"model": "text"}).status == 400


def test_gemini_counts() -> None:
    contents = [{"role": "user", "parts": [{"text": "one two three"}]}]
    counted = {"totalTokens": 3, "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 3}]}
    target = b"/v1beta/models/sim/text:countTokens"
    assert send(b"POST", target, {"contents": contents}).tree == counted
    inside = {"generateContentRequest": {"model": "models/sim/text", "contents": contents}}
    assert send(b"POST", target, inside).tree == counted
    assert send(b"POST", b"/v1beta/models/nobody:countTokens", {"contents": contents}).status == 404


def test_responses_counts() -> None:
    counted = {"object": "response.input_tokens", "input_tokens": 2}
    assert send(b"POST", b"/v1/responses/input_tokens", {"input": "one two"}).tree == counted
    assert send(b"POST", b"/v1/responses/input_tokens", {"model": "text", "input": "one two"}).tree == counted
    assert send(b"POST", b"/v1/responses/input_tokens", b"no json").status == 400
    assert send(b"POST", b"/v1/responses/input_tokens", b'{"input":' + b"[" * 100_000).status == 400


COUNTED = {
    "anthropic": b"/v1/messages/count_tokens",
    "gemini": b"/v1beta/models/text:countTokens",
    "openai-responses": b"/v1/responses/input_tokens",
}


@pytest.mark.parametrize("dialect", COUNTED)
def test_a_count_is_what_an_answer_is_charged(dialect: str) -> None:
    one = talk(dialect, tools=TOOLS)
    usage = one.read(one.ask(), stream=False).usage
    assert usage is not None
    tree = send(b"POST", COUNTED[dialect], one.body(stream=False)).tree
    assert usage.input_tokens in (tree.get("input_tokens"), tree.get("totalTokens"))


ANTHROPIC_HEADERS = ((b"anthropic-version", b"2023-06-01"),)
GOOGLE_HEADERS = ((b"x-goog-api-key", b"k"),)


@pytest.mark.parametrize(
    ("path", "headers", "shape"),
    [
        (b"/v1/models", (), "openai"),
        (b"/api/v3/models", (), "openai"),
        (b"/v1/models", ANTHROPIC_HEADERS, "anthropic"),
        (b"/anthropic/v1/models", (), "anthropic"),
        (b"/v1beta/models", (), "gemini"),
        (b"/v1/models", GOOGLE_HEADERS, "gemini"),
        (b"/v1/models?key=k", (), "gemini"),
    ],
)
def test_models_are_listed_in_the_shape_that_is_asked_for(path: bytes, headers: Any, shape: str) -> None:
    tree = send(b"GET", path, headers=headers).tree
    rows = tree["models"] if shape == "gemini" else tree["data"]
    names = [row["name"].removeprefix("models/") if shape == "gemini" else row["id"] for row in rows]
    assert names == list(LISTED)
    if shape == "openai":
        assert tree["object"] == "list"
        assert rows[0] == {"id": "text", "object": "model", "created": CREATED, "owned_by": "thalweg-simulator"}
    elif shape == "anthropic":
        assert (tree["has_more"], tree["first_id"], tree["last_id"]) == (False, names[0], names[-1])
        assert rows[0]["created_at"] == "2023-11-14T22:13:20Z"
    else:
        assert "generateContent" in rows[0]["supportedGenerationMethods"]
    name = b"/sim/text?" if b"?" in path else b"/sim/text"
    one = path.partition(b"?")[0] + name + path.partition(b"?")[2]
    assert send(b"GET", one, headers=headers).tree == rows[0]
    assert send(b"GET", path.partition(b"?")[0] + b"/nobody", headers=headers).status == 404


# Other models and knobs.


def test_images_are_seen_by_anthropics_and_geminis_clients() -> None:
    source = {"type": "base64", "media_type": "image/png", "data": PNG}
    one = AnthropicTalk("vision", tools=())
    one.turns = [{"role": "user", "content": [{"type": "image", "source": source}, {"type": "text", "text": "what?"}]}]
    other = GeminiTalk("vision")
    inline = {"inlineData": {"mimeType": "image/png", "data": PNG}}
    other.turns = [{"role": "user", "parts": [inline, {"text": "what?"}]}]
    for each in (one, other):
        told = text_of(first(each.read(each.ask(), stream=False)))
        assert "image" in told
        assert "8" in told


def test_json_of_a_schema_in_each_dialect_that_has_schemas() -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    asks: dict[str, dict[str, Any]] = {
        "openai-responses": {"text": {"format": {"type": "json_schema", "name": "a", "schema": schema}}},
        "anthropic": {"output_config": {"format": {"type": "json_schema", "schema": schema}}},
        "gemini": {"generationConfig": {"responseMimeType": "application/json", "responseJsonSchema": schema}},
    }
    for dialect, fields in asks.items():
        assert text_of(first(asked(dialect, stream=False, **fields))) == '{"n":7}', dialect


@each_dialect
def test_knobs_are_turned_by_name_and_by_field(dialect: str) -> None:
    for one in (talk(dialect, "text?pace=0&ttft=0"), talk(dialect, simulator={"pace": 0, "ttft": 0})):
        assert not any(isinstance(step, Wait) for step in one.ask(stream=True).steps)
    assert talk(dialect, simulator={"pace": "fast"}).ask().status == 400
    assert talk(dialect, simulator="fast").ask().status == 400


def test_the_manners_are_of_chat_alone() -> None:
    for dialect in DIALECTS:
        assert talk(dialect, simulator={"as": "deepseek"}).ask().status == (200 if dialect == "openai-chat" else 400)


# Errors in the middle.


@each_dialect
@pytest.mark.parametrize("model", ["error-midstream?at=4", "error-first"])
def test_an_error_in_a_stream_is_in_the_vendors_shape(dialect: str, model: str) -> None:
    one = talk(dialect, model)
    answer = one.ask(stream=True)
    assert answer.status == 200
    found = one.events(answer)
    assert sum(isinstance(event, PartDelta) for event in found) == (3 if "midstream" in model else 0)
    assert isinstance(found[-1], ResponseFailed)
    assert "as it was asked to" in found[-1].error.message
