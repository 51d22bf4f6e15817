from __future__ import annotations

import re
from collections.abc import Callable
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
from thalweg.simulator import FINGERPRINT, LISTED, MODELS
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


OFF: dict[str, dict[str, Any]] = {
    "Ark's thinking": {"thinking": {"type": "disabled"}},
    "Ark's thinking, with a budget": {"thinking": {"type": "disabled", "budget_tokens": 100}},
    "Model Studio's enable_thinking": {"enable_thinking": False, "thinking_budget": 100},
    "a budget of nothing": {"thinking_budget": 0},
    "OpenAI's effort": {"reasoning_effort": "none"},
    "OpenRouter's switch": {"reasoning": {"enabled": False, "effort": "high"}},
    "OpenRouter's effort": {"reasoning": {"effort": "none"}},
    "vLLM's template": {"chat_template_kwargs": {"enable_thinking": False}},
}
ON: dict[str, dict[str, Any]] = {
    "Ark's thinking": {"thinking": {"type": "enabled"}},
    "Ark's thinking, by itself": {"thinking": {"type": "auto"}},
    "Model Studio's enable_thinking": {"enable_thinking": True},
    "OpenAI's effort": {"reasoning_effort": "medium"},
    "OpenRouter's switch": {"reasoning": {"enabled": True}},
    "OpenRouter's effort": {"reasoning": {"effort": "medium"}},
    "vLLM's template": {"chat_template_kwargs": {"enable_thinking": True}},
}
BUDGETS: dict[str, Callable[[int], dict[str, Any]]] = {
    "Ark's thinking": lambda most: {"thinking": {"type": "enabled", "budget_tokens": most}},
    "Model Studio's thinking_budget": lambda most: {"enable_thinking": True, "thinking_budget": most},
    "OpenRouter's max_tokens": lambda most: {"reasoning": {"max_tokens": most}},
}
EFFORTS = ("minimal", "low", "medium", "high", "xhigh", "max")


def reasoning_tokens(model: str = "reasoning", **fields: Any) -> int:
    """What usage says, which is what was sent."""
    steps = ask(model, **fields)
    thoughts = {e.index for e in events(steps) if isinstance(e, PartStarted) and e.kind == "reasoning"}
    sent = sum(isinstance(e, PartDelta) and e.index in thoughts for e in events(steps))
    assert response(steps).usage.reasoning_tokens == sent
    return sent


@pytest.mark.parametrize("fields", OFF.values(), ids=OFF)
@pytest.mark.parametrize("stream", [True, False])
def test_reasoning_obeys_when_it_is_switched_off(fields: dict[str, Any], stream: bool) -> None:
    steps = ask("reasoning", stream=stream, **fields)
    found = response(steps) if stream else whole(steps)
    assert [type(part) for part in found.choices[0].parts] == [Text]
    assert found.usage.reasoning_tokens == 0


@pytest.mark.parametrize("fields", ON.values(), ids=ON)
def test_switched_on_it_thinks_as_it_does_by_default(fields: dict[str, Any]) -> None:
    assert reasoning_tokens(**fields) == reasoning_tokens() > 2


@pytest.mark.parametrize("asked", BUDGETS.values(), ids=BUDGETS)
@pytest.mark.parametrize("most", [1, 5, 50, 150])
def test_a_budget_is_used_up_and_never_passed(asked: Callable[[int], dict[str, Any]], most: int) -> None:
    assert reasoning_tokens(**asked(most)) == most
    assert said(ask("reasoning", MARK, **asked(most))).count(MARK) == 1


def test_a_large_budget_is_no_duty() -> None:
    assert reasoning_tokens(thinking_budget=100_000) == reasoning_tokens(reasoning_effort="max")


@pytest.mark.parametrize("asked", [lambda e: {"reasoning_effort": e}, lambda e: {"reasoning": {"effort": e}}])
def test_the_higher_the_effort_the_longer_it_thinks(asked: Callable[[str], dict[str, Any]]) -> None:
    lengths = [reasoning_tokens(**asked(effort)) for effort in EFFORTS]
    assert lengths == sorted(set(lengths))
    assert reasoning_tokens(**asked("some day")) == reasoning_tokens(**asked("medium"))


def test_thinking_that_shall_not_be_shown_is_counted_and_takes_its_time() -> None:
    shown, hidden = (ask("reasoning?ttft=0.5&pace=100&seed=1", reasoning={"exclude": hide}) for hide in (False, True))
    assert [type(part) for part in choice(hidden).parts] == [Text]
    assert choice(hidden).parts == choice(shown).parts[1:]
    assert response(hidden).usage == response(shown).usage
    before = next(step.seconds for step in hidden if isinstance(step, Wait))
    assert before == pytest.approx(0.5 + response(shown).usage.reasoning_tokens / 100)
    assert sum(s.seconds for s in hidden if isinstance(s, Wait)) == pytest.approx(
        sum(s.seconds for s in shown if isinstance(s, Wait))
    )


def test_a_cap_counts_what_is_thought_unseen() -> None:
    steps = ask("reasoning", reasoning={"exclude": True}, max_tokens=5)
    assert deltas(steps) == []
    assert choice(steps).finish_reason is FinishReason.LENGTH
    assert response(steps).usage.output_tokens == response(steps).usage.reasoning_tokens == 5


@pytest.mark.parametrize("model", ["json", "vision", "long"])
def test_some_think_only_when_they_are_told_to(model: str) -> None:
    assert reasoning_tokens(f"{model}?pace=0") == 0
    assert reasoning_tokens(f"{model}?pace=0", thinking={"type": "enabled"}) == reasoning_tokens()
    assert reasoning_tokens(f"{model}?pace=0", reasoning_effort="none") == 0


@pytest.mark.parametrize("model", ["text", "tools", "slow", "filter", "stream-only"])
def test_others_never_think(model: str) -> None:
    assert reasoning_tokens(f"{model}?pace=0", thinking={"type": "enabled"}) == 0


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


def test_a_tools_result_is_told_in_the_language_of_the_question() -> None:
    messages = after_tools(calls(ask("tools", tools=TOOLS)))
    messages[0]["content"] = "杭州天气怎么样？"
    assert "工具的回答是：" + RESULT in said(ask("tools", messages=messages, tools=TOOLS))


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
    for model in ("text", "reasoning", "tools", "json", "vision", "long", "stream-only"):
        loose = said(ask(f"{model}?tokens=3", MARK, response_format={"type": "json_object"}))
        assert MARK in msgspec.json.decode(loose)["answer"]
        assert list(msgspec.json.decode(said(ask(model, response_format=schema_format(CITY))))) == ["city"]


def schema_format(schema: Any) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema, "strict": True}}


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("model", ["json", "json?tokens=1", "json?chunk=7"])
def test_json_answers_with_json_though_nobody_asked(model: str, stream: bool) -> None:
    steps = ask(model, MARK, stream=stream)
    (text,) = (response(steps) if stream else whole(steps)).choices[0].parts
    assert msgspec.json.decode(text.text) == {
        "answer": msgspec.json.decode(text.text)["answer"],
        "characters": len(MARK),
    }
    assert MARK in text.text


@pytest.mark.parametrize(
    ("schema", "kind"),
    [
        pytest.param(CITY, dict, id="an object"),
        pytest.param({"type": "array", "items": {"type": "integer"}}, list, id="a list"),
        pytest.param({"type": "string", "enum": ["a", "b"]}, str, id="a string"),
        pytest.param({"type": "boolean"}, bool, id="yes or no"),
        pytest.param({}, dict, id="no word"),
        pytest.param(None, dict, id="no schema"),
    ],
)
def test_json_is_of_the_schema_whatever_its_root(schema: Any, kind: type) -> None:
    assert type(msgspec.json.decode(said(ask("json", response_format=schema_format(schema))))) is kind


def test_a_cap_cuts_json_and_says_so() -> None:
    steps = ask("json", max_tokens=4)
    assert choice(steps).finish_reason is FinishReason.LENGTH
    with pytest.raises(msgspec.DecodeError):
        msgspec.json.decode(said(steps))


# Vision, long, filter.


def test_vision_tells_what_it_finds_in_each_image_and_repeats_the_prompt() -> None:
    second = {"type": "image_url", "image_url": {"url": "https://example.com/cat.png?sig=secret"}}
    text = said(ask("vision", [*image(f"data:image/png;base64,{PNG}"), second]))
    assert "What is it?" in text
    assert "Image 1 of 2 is a PNG of 8 × 8 pixels, in 74 bytes. It is all #ff0000, red." in text
    assert "Image 2 of 2 is one at example.com/cat.png; I did not look at it." in text
    assert "secret" not in text


def test_vision_without_an_image_says_so() -> None:
    assert "There is no image in your last message" in said(ask("vision", "What is it?"))
    talk = [{"role": "user", "content": image(f"data:image/png;base64,{PNG}")}, {"role": "assistant", "content": "red"}]
    assert "There is no image" in said(ask("vision", messages=[*talk, {"role": "user", "content": "and now?"}]))


def test_vision_names_other_files_too() -> None:
    audio = {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}
    assert "There is an audio of 3 bytes (audio/wav)." in said(ask("vision", [audio]))


@pytest.mark.parametrize(
    ("knobs", "length"), [("", 4000), ("&tokens=1", 1), ("&tokens=250", 250), ("&tokens=20500", 20_500)]
)
def test_long_is_as_long_as_it_is_told_to_be(knobs: str, length: int) -> None:
    steps = ask(f"long?pace=0{knobs}")
    assert response(steps).usage.output_tokens == len(deltas(steps)) == length
    assert choice(steps).finish_reason is FinishReason.STOP


@pytest.mark.parametrize("stream", [True, False])
def test_filter_says_something_and_is_cut_short(stream: bool) -> None:
    steps = ask("filter?seed=1", MARK, stream=stream)
    found = response(steps) if stream else whole(steps)
    (text,) = found.choices[0].parts
    assert found.choices[0].finish_reason is FinishReason.CONTENT_FILTER
    assert b'"finish_reason":"content_filter"' in b"".join(bodies(steps))
    assert said(ask("text?seed=1", MARK)).startswith(text.text)
    assert len(text.text) > 10


def test_what_ends_an_answer_earlier_stands_above_the_filter() -> None:
    assert choice(ask("filter", max_tokens=2)).finish_reason is FinishReason.LENGTH
    assert choice(ask("filter?tokens=3")).finish_reason is FinishReason.CONTENT_FILTER
    assert b'"finish_reason":"stop"' in b"".join(bodies(ask("filter", "hello", stop=["hello"])))


# All of them.


def test_only_what_is_made_for_tests_is_hidden() -> None:
    hidden = [name for name, model in MODELS.items() if model.hidden]
    assert hidden == ["endless", *(name for name in MODELS if name.startswith("error-") and name != "error-midstream")]
    assert list(LISTED) == [name for name in MODELS if name not in hidden]


def test_every_model_says_in_a_sentence_what_it_does() -> None:
    assert all(model.says.endswith(".") for model in MODELS.values())


@pytest.mark.parametrize(
    ("prompt", "greeting"),
    [
        ("Hi there", "Hello! "),
        ("Hello, 深泓", "Hello! "),
        ("你好，深泓", "你好！"),
        ("请讲一讲 Thalweg 这个词", "你好！"),
        ("こんにちは、世界", "こんにちは！"),
        ("안녕하세요", "안녕하세요! "),
        ("Привет, river", "Здравствуйте! "),
        ("123 🌈", "Hello! "),
    ],
)
def test_a_short_first_prompt_is_greeted_in_its_language_and_repeated(prompt: str, greeting: str) -> None:
    text = said(ask("text", prompt))
    assert text.startswith(greeting)
    assert prompt in text
    assert re.search("[\u4e00-\u9fff]", text) and any(ord(char) > 0xFFFF for char in text)


def test_of_a_very_long_prompt_both_ends_are_repeated() -> None:
    text = said(ask("text", "beginning " * 300 + "end"))
    assert text.count("beginning") < 250
    assert re.search(r"You wrote|your words|what I have read", text)
    assert "[…]" in text and "beginning end" in text


def test_only_the_first_prompt_is_greeted_and_no_long_one() -> None:
    talk = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "x"}, {"role": "user", "content": "Hi"}]
    assert "Hello" not in said(ask("text", messages=talk))
    assert "Hello" not in said(ask("text", "word " * 20))
