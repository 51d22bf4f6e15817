"""The programs in `examples/curl`: what is on the wire, without any SDK."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.sdk.examples import Examples
from tests.sdk.readings import assert_complete, in_and_out

FAST = "sim/text?pace=0&seed=1"
QUESTION = "哪些河流入海？🌊"


def events_of(said: str) -> list[dict[str, Any]]:
    """The payloads of a stream that has nothing but data lines, each alone, and the end mark last."""
    *frames, done, rest = said.split("\n\n")
    assert (done, rest) == ("data: [DONE]", "")
    assert all(frame.startswith("data: {") and "\n" not in frame for frame in frames), said
    return [json.loads(frame.removeprefix("data: ")) for frame in frames]


@pytest.mark.parametrize("mount", ["/v1", "/api/v3"])
def test_a_stream_is_plain_data_lines_and_an_end_mark(examples: Examples, mount: str) -> None:
    ran = examples.run("stream.sh", MODEL=FAST, mount=mount)
    events = events_of(ran.said)
    assert {event["object"] for event in events} == {"chat.completion.chunk"}
    assert len({event["id"] for event in events}) == 1
    # Nobody asked for usage, so that no chunk is without a choice.
    choices = [choice for event in events for choice in event["choices"]]
    assert len(choices) == len(events)
    assert QUESTION in "".join(choice["delta"]["content"] for choice in choices)
    assert [choice["finish_reason"] for choice in choices] == [None] * (len(choices) - 1) + ["stop"]
    assert_complete(ran.entry)


def test_a_whole_answer_is_one_object(examples: Examples) -> None:
    ran = examples.run("whole.sh", MODEL=FAST)
    answer = json.loads(ran.said)
    assert answer["object"] == "chat.completion"
    assert QUESTION in answer["choices"][0]["message"]["content"]
    assert (answer["usage"]["prompt_tokens"], answer["usage"]["completion_tokens"]) == in_and_out(ran.entry)
    assert_complete(ran.entry)


def test_usage_comes_once_in_the_last_event(examples: Examples) -> None:
    ran = examples.run("usage.sh", MODEL=FAST)
    (line,) = ran.said.splitlines()
    usage = json.loads(line)["usage"]
    assert (usage["prompt_tokens"], usage["completion_tokens"]) == in_and_out(ran.entry)
    assert_complete(ran.entry)


def typed_events(said: str) -> list[dict[str, Any]]:
    """The payloads of a stream whose events have names, each the type of what follows."""
    *frames, rest = said.split("\n\n")
    assert rest == ""
    events = []
    for frame in frames:
        name, data = frame.split("\n")
        events.append(json.loads(data.removeprefix("data: ")))
        assert name == f"event: {events[-1]['type']}"
    return events


def test_the_events_of_responses_are_numbered_and_named(examples: Examples) -> None:
    ran = examples.run("responses.sh", MODEL=FAST)
    events = typed_events(ran.said)
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert (events[0]["type"], events[-1]["type"]) == ("response.created", "response.completed")
    said = "".join(event["delta"] for event in events if event["type"] == "response.output_text.delta")
    assert QUESTION in said
    usage = events[-1]["response"]["usage"]
    assert (usage["input_tokens"], usage["output_tokens"]) == in_and_out(ran.entry)
    assert_complete(ran.entry)


def test_the_events_of_anthropic_are_named(examples: Examples) -> None:
    ran = examples.run("anthropic.sh", MODEL=FAST, mount="/anthropic")
    events = [event for event in typed_events(ran.said) if event["type"] != "ping"]
    assert (events[0]["type"], events[-1]["type"]) == ("message_start", "message_stop")
    assert QUESTION in "".join(event["delta"].get("text", "") for event in events if "delta" in event)
    assert_complete(ran.entry)


def test_the_events_of_gemini_are_plain_data_lines_without_an_end_mark(examples: Examples) -> None:
    ran = examples.run("gemini.sh", MODEL="sim/text;pace=0;seed=1", mount="")
    *frames, rest = ran.said.replace("\r\n", "\n").split("\n\n")
    assert rest == ""
    chunks = [json.loads(frame.removeprefix("data: ")) for frame in frames]
    parts = [part for chunk in chunks for part in chunk["candidates"][0]["content"]["parts"]]
    assert QUESTION in "".join(part.get("text", "") for part in parts)
    assert chunks[-1]["candidates"][0]["finishReason"] == "STOP"
    assert_complete(ran.entry)
