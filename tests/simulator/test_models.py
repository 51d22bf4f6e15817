from __future__ import annotations

import re
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.simulator.stage import ask, bodies, choice, deltas, events, response, said, status_of, tool, whole
from thalweg.canon.errors import UpstreamFailed
from thalweg.canon.events import PartDelta, PartStarted, ResponseFailed
from thalweg.canon.finish import FinishReason
from thalweg.canon.parts import Reasoning, Text, ToolCall
from thalweg.canon.script import EndBody, Wait
from thalweg.simulator import FINGERPRINT, MODELS
from thalweg.simulator.tokens import count

MARK = "回声 🦜 é ñ 🌈ok"
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAIAAABLbSncAAAAEUlEQVR42mP4z8CAFTEMLQkAKP8/wc53yE8AAAAASUVORK5CYII="
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOLS = [tool("get_weather", CITY), tool("get_time", CITY)]
RESULT = '{"reading": "7391", "sky": "晴"}'

# What JSON can carry: any text but lone surrogates.
any_text = st.text(st.characters(exclude_categories=["Cs"]))


def after_tools(calls: list[ToolCall]) -> list[dict[str, Any]]:
    said = [{"id": c.id, "type": "function", "function": {"name": c.name, "arguments": c.arguments}} for c in calls]
    return [
        {"role": "user", "content": "weather?"},
        {"role": "assistant", "content": None, "tool_calls": said},
        *({"role": "tool", "tool_call_id": call.id, "content": RESULT} for call in calls),
    ]


def calls(steps: list[Any]) -> list[ToolCall]:
    return [part for part in choice(steps).parts if isinstance(part, ToolCall)]


@given(any_text, st.integers(0, 5), st.integers(1, 4))
def test_text_repeats_any_prompt_and_cuts_no_character(prompt: str, seed: int, chunk: int) -> None:
    steps = ask(f"text?chunk={chunk}", prompt, seed=seed)
    for data in bodies(steps):
        data.decode()
    assert prompt in said(steps)
    assert said(steps) == "".join(deltas(steps))


@given(any_text)
def test_a_whole_answer_is_the_streamed_one_folded(prompt: str) -> None:
    streamed, at_once = response(ask("text", prompt)), whole(ask("text", prompt, stream=False))
    assert at_once.choices[0].parts == streamed.choices[0].parts
    assert at_once.usage == streamed.usage
    assert at_once.extras == streamed.extras == {"system_fingerprint": FINGERPRINT}


def test_text_has_at_least_three_deltas_and_more_than_four_tokens_for_no_prompt_at_all() -> None:
    steps = ask("text", "")
    assert len(deltas(steps)) >= 3
    usage = response(steps).usage
    assert usage is not None
    assert usage.output_tokens is not None
    assert usage.output_tokens > 4
    assert choice(steps).finish_reason is FinishReason.STOP


def test_text_has_cjk_and_an_emoji_whatever_is_asked() -> None:
    text = said(ask("text", "hi"))
    assert any("\u4e00" <= char <= "\u9fff" for char in text)
    assert any(ord(char) > 0xFFFF for char in text)


def test_what_shall_be_repeated_exactly_is() -> None:
    assert MARK in said(ask("text", "Repeat exactly: " + MARK))


def test_only_the_last_turn_is_repeated_and_system_prompts_only_cost_tokens() -> None:
    talk = [{"role": "user", "content": "first"}, {"role": "assistant", "content": "well"}]
    last = [{"role": "user", "content": "second"}, {"role": "user", "content": "third"}]
    plain = ask("text", messages=[*talk, *last])
    told = ask("text", messages=[{"role": "system", "content": "Say nothing."}, *talk, *last])
    assert "second\nthird" in said(plain)
    assert "first" not in said(plain)
    assert said(told) == said(plain)
    assert response(told).usage.input_tokens == response(plain).usage.input_tokens + count("Say nothing.")


def test_an_assistants_unfinished_words_do_not_hide_the_users() -> None:
    steps = ask("text", messages=[{"role": "user", "content": "go on"}, {"role": "assistant", "content": "Well, "}])
    assert "go on" in said(steps)


@pytest.mark.parametrize("field", ["max_tokens", "max_completion_tokens"])
@pytest.mark.parametrize("model", ["text", "reasoning", "tools", "slow"])
@pytest.mark.parametrize("cap", [1, 4])
def test_a_cap_ends_the_answer_with_length(model: str, cap: int, field: str) -> None:
    steps = ask(model, "hello there", tools=TOOLS, **{field: cap})
    found = response(steps)
    assert found.choices[0].finish_reason is FinishReason.LENGTH
    assert found.usage.output_tokens == cap == len(deltas(steps))


def test_a_cap_that_is_just_enough_ends_with_stop() -> None:
    enough = response(ask("text")).usage.output_tokens
    assert choice(ask("text", max_tokens=enough)).finish_reason is FinishReason.STOP
    assert choice(ask("text", max_tokens=enough - 1)).finish_reason is FinishReason.LENGTH


@pytest.mark.parametrize("model", ["text", "reasoning", "tools"])
@given(prompt=any_text, n=st.integers(1, 3), cap=st.none() | st.integers(1, 30))
def test_usage_is_the_tokens_emitted(model: str, prompt: str, n: int, cap: int | None) -> None:
    steps = ask(f"{model}?chunk=1", prompt, n=n, max_tokens=cap, tools=TOOLS)
    usage = response(steps).usage
    emitted = [event for event in events(steps) if isinstance(event, PartDelta)]
    thoughts = {e.index for e in events(steps) if isinstance(e, PartStarted) and e.kind == "reasoning"}
    assert usage.output_tokens == len(emitted)
    assert usage.reasoning_tokens == sum(event.index in thoughts for event in emitted)


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_the_size_of_a_delta_changes_no_text_and_no_count(size: int) -> None:
    fine, coarse = ask("text?chunk=1&seed=5", MARK), ask(f"text?chunk={size}&seed=5", MARK)
    assert said(fine) == said(coarse)
    assert response(fine).usage == response(coarse).usage
    assert len(deltas(coarse)) == -(-len(deltas(fine)) // size)


@pytest.mark.parametrize("length", [0, 1, 7, 500])
def test_an_answer_can_be_made_of_any_length(length: int) -> None:
    assert len(deltas(ask(f"text?tokens={length}"))) == length


def test_several_choices_differ_and_come_in_turns() -> None:
    steps = ask("text", n=3)
    assert len({said(steps, at) for at in range(3)}) == 3
    order = [event.choice for event in events(steps) if isinstance(event, PartDelta)]
    assert order[:6] == [0, 1, 2, 0, 1, 2]
    assert {each.finish_reason for each in response(steps).choices} == {FinishReason.STOP}


@given(st.text("ab ", min_size=1, max_size=4), st.text("ab ", max_size=30))
def test_a_stop_sequence_ends_the_text_before_its_first_appearance(stop: str, prompt: str) -> None:
    full = said(ask("text?seed=1", prompt))
    steps = ask("text?seed=1", prompt, stop=[stop, "no such thing"])
    assert said(steps) == full.partition(stop)[0]


def test_a_stop_sequence_does_not_touch_reasoning_or_arguments() -> None:
    thought = choice(ask("reasoning", stop=["a"])).parts[0]
    assert isinstance(thought, Reasoning)
    assert "a" in thought.text
    assert msgspec.json.decode(calls(ask("tools", tools=TOOLS, stop=['"']))[0].arguments)


def test_reasoning_comes_first_and_is_not_repeated() -> None:
    steps = ask("reasoning", MARK)
    thought, text = choice(steps).parts
    assert isinstance(thought, Reasoning)
    assert isinstance(text, Text)
    assert sum(isinstance(e, PartDelta) and e.index == 0 for e in events(steps)) >= 2
    assert thought.text.strip() not in text.text
    assert MARK in text.text


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"thinking": {"type": "disabled"}}, id="Ark's thinking"),
        pytest.param({"enable_thinking": False}, id="Model Studio's enable_thinking"),
        pytest.param({"reasoning_effort": "none"}, id="OpenAI's effort"),
    ],
)
def test_reasoning_obeys_when_it_is_switched_off(fields: dict[str, Any]) -> None:
    steps = ask("reasoning", **fields)
    assert [type(part) for part in choice(steps).parts] == [Text]
    assert response(steps).usage.reasoning_tokens == 0


def test_reasoning_obeys_effort_and_budget() -> None:
    def thought(**fields: Any) -> int:
        return response(ask("reasoning", **fields)).usage.reasoning_tokens

    assert thought(reasoning_effort="low") < thought(reasoning_effort="medium") < thought(reasoning_effort="high")
    assert thought(thinking={"type": "enabled", "budget_tokens": 5}) == 5


def test_every_offered_tool_is_called_once_with_what_its_schema_requires() -> None:
    steps = ask("tools", tools=TOOLS)
    found = calls(steps)
    assert [call.name for call in found] == ["get_weather", "get_time"]
    assert len({call.id for call in found}) == 2
    for at, call in enumerate(found):
        assert re.search("[\u4e00-\u9fff]", msgspec.json.decode(call.arguments)["city"])
        assert sum(isinstance(e, PartDelta) and e.index == at for e in events(steps)) >= 2
    assert choice(steps).finish_reason is FinishReason.TOOL_CALLS


@pytest.mark.parametrize(
    ("fields", "names"),
    [
        pytest.param({"tool_choice": "auto"}, ["get_weather", "get_time"], id="auto"),
        pytest.param({"tool_choice": "none"}, [], id="none"),
        pytest.param(
            {"tool_choice": {"type": "function", "function": {"name": "get_time"}}}, ["get_time"], id="one function"
        ),
        pytest.param({"parallel_tool_calls": False}, ["get_weather"], id="one at a time"),
    ],
)
def test_tools_obeys_the_choice(fields: dict[str, Any], names: list[str]) -> None:
    assert [call.name for call in calls(ask("tools", tools=TOOLS, **fields))] == names


def test_a_custom_tool_is_called_with_text() -> None:
    custom = {"type": "custom", "custom": {"name": "write"}}
    assert [(call.name, call.kind) for call in calls(ask("tools", tools=[custom]))] == [("write", "custom")]


def test_each_choice_calls_with_ids_of_its_own() -> None:
    found = response(ask("tools", tools=TOOLS, n=2)).choices
    assert len({part.id for each in found for part in each.parts if isinstance(part, ToolCall)}) == 4


def test_after_a_tool_result_it_answers_in_text_and_quotes_it() -> None:
    steps = ask("tools", messages=after_tools(calls(ask("tools", tools=TOOLS))), tools=TOOLS)
    assert calls(steps) == []
    assert said(steps).count("7391") == 2


def test_without_tools_it_is_text() -> None:
    assert MARK in said(ask("tools", MARK))


def image(url: str) -> list[dict[str, Any]]:
    return [{"type": "text", "text": "What is it?"}, {"type": "image_url", "image_url": {"url": url}}]


def test_an_inline_image_is_looked_at() -> None:
    assert "The image is a PNG of 8 × 8 pixels." in said(ask("text", image(f"data:image/png;base64,{PNG}")))


def test_an_image_behind_a_url_is_named_and_not_looked_at() -> None:
    text = said(ask("text", image("https://user:pw@example.com/cat.png?sig=secret")))
    assert "There is an image at example.com/cat.png; I did not look at it." in text
    assert "secret" not in text
    assert "pw" not in text


@pytest.mark.parametrize("knobs", ["", "?pace=20", "?chunk=3", "?pace=0"])
def test_slow_speaks_for_ten_seconds_several_times_a_second(knobs: str) -> None:
    steps = ask(f"slow{knobs}", "hi")
    waits = [step.seconds for step in steps if isinstance(step, Wait)]
    if knobs != "?pace=0":
        assert sum(waits) >= 10
    assert max(waits) <= 0.34
    assert len(deltas(steps)) >= 60


def test_slow_is_slow_for_those_who_do_not_stream_too() -> None:
    assert sum(step.seconds for step in ask("slow", stream=False) if isinstance(step, Wait)) >= 10


def test_error_midstream_says_something_then_fails_without_an_end_mark() -> None:
    steps = ask("error-midstream")
    assert deltas(steps)
    last = events(steps)[-1]
    assert isinstance(last, ResponseFailed)
    assert isinstance(last.error, UpstreamFailed)
    assert not any(b"[DONE]" in data for data in bodies(steps))
    assert steps[-1] == EndBody()


def test_error_midstream_is_an_error_status_for_those_who_do_not_stream() -> None:
    assert status_of(ask("error-midstream", stream=False)) == 500


def test_json_is_answered_where_it_was_asked_for() -> None:
    loose = said(ask("text", MARK, response_format={"type": "json_object"}))
    assert MARK in msgspec.json.decode(loose)["answer"]
    schema = {"type": "json_schema", "json_schema": {"name": "city", "schema": CITY}}
    assert list(msgspec.json.decode(said(ask("text", response_format=schema)))) == ["city"]


def test_every_model_is_known_and_only_the_endless_one_hidden() -> None:
    assert [name for name, model in MODELS.items() if model.hidden] == ["endless"]
