"""A scenario made of a recorded body: what is told and when, what is left out, and how each body ends."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.corpus.cases import Case, streams
from thalweg.canon.finish import FinishReason
from thalweg.canon.parts import Reasoning, Refusal, Text, ToolCall
from thalweg.canon.scenario import (
    Begin,
    Counts,
    Failure,
    Finish,
    Say,
    Scenario,
    ScenarioError,
    read_scenario,
    write_scenario,
)
from thalweg.client import codecs
from thalweg.client.scenario import Close, Teller

CHAT = "openai-chat"


def chunk(delta: dict[str, Any], finish: str | None = None, **more: Any) -> bytes:
    choices = [{"index": 0, "delta": delta, "finish_reason": finish}]
    return b"data: " + json.dumps({"id": "x", "created": 1, "model": "m", "choices": choices} | more).encode() + b"\n\n"


def call(at: int, arguments: str, **more: Any) -> dict[str, Any]:
    return {"tool_calls": [{"index": at, "function": {"arguments": arguments} | more}]}


USAGE = {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12}
DONE = b"data: [DONE]\n\n"
TALK = [
    (100.0, chunk({"role": "assistant", "content": ""})),
    (900.0, chunk({"reasoning_content": "Hm"})),
    (920.0, chunk({"content": "Hel"}) + chunk({"content": "lo"})),
    (950.25, chunk(call(0, "", name="f") | {"x": 1})),
    (951.0, b": waiting\n\n"),
    (960.0, chunk(call(0, '{"a":'))),
    (970.0, chunk(call(0, "1}"))[:30]),
    (975.0, chunk(call(0, "1}"))[30:]),
    (990.0, chunk({}, "tool_calls")),
    (995.0, chunk({}, usage=USAGE, choices=[])),
    (999.0, DONE),
]


def told(reads: list[tuple[float, bytes]], ms: float, close: Close = "whole", dialect: str = CHAT) -> Scenario:
    teller = Teller(dialect, provider="ark", model="m", recorded_at="2026-11-29T12:00:00.000Z")
    for at, data in reads:
        teller.feed(at, data)
    return teller.end(ms, close)


def test_each_piece_is_told_with_the_wait_before_it() -> None:
    assert told(TALK, 1000.0) == Scenario(
        form=1,
        provider="ark",
        model="m",
        recorded_at="2026-11-29T12:00:00.000Z",
        usage=Counts(input_tokens=7, output_tokens=5),
        end="whole",
        end_ms=0.0,
        steps=(
            Begin(part="reasoning", ms=900.0),
            Say(text="Hm"),
            Begin(part="text", ms=20.0),
            Say(text="Hel"),
            Say(text="lo"),
            Begin(part="tool_call", name="f", ms=30.25),
            Say(text='{"a":', ms=9.75),
            Say(text="1}", ms=15.0),
            Finish(reason=FinishReason.TOOL_CALLS, ms=24.0),
        ),
    )


def test_all_the_time_is_in_it_whatever_is_left_out() -> None:
    assert told(TALK, 1000.0).duration_ms == pytest.approx(999.0)
    assert told(TALK[:4], 1000.0, "reset").duration_ms == pytest.approx(1000.0)


def test_a_time_that_runs_backwards_is_none() -> None:
    reads = [(100.0, TALK[1][1]), (50.0, TALK[2][1]), (120.0, TALK[3][1])]
    assert told(reads, 90.0, "cut").duration_ms == pytest.approx(120.0)


STREAM_ERROR = b'data: {"error": {"message": "Too much.", "type": "server_error", "code": "overloaded"}}\n\n'
ENDS: dict[str, tuple[list[tuple[float, bytes]], Close, str]] = {
    "whole": (TALK, "whole", "whole"),
    "reset behind its end": (TALK, "reset", "whole"),
    "finished without [DONE]": (TALK[:-1], "whole", "whole"),
    "reset": (TALK[:4], "reset", "reset"),
    "cut": (TALK[:4], "cut", "cut"),
    "cut before anything": ([], "cut", "cut"),
    "ended early": (TALK[:4], "whole", "eof"),
    "an error in it": ([*TALK[:4], (980.0, STREAM_ERROR), (981.0, DONE)], "whole", "failed"),
    "no grammar": ([*TALK[:4], (980.0, b"data: {\n\n")], "whole", "failed"),
}


@pytest.mark.parametrize(("reads", "close", "end"), ENDS.values(), ids=ENDS)
def test_it_ends_as_its_body_did(reads: list[tuple[float, bytes]], close: Close, end: str) -> None:
    scenario = told(reads, 1000.0, close)
    assert scenario.end == end
    assert read_scenario(write_scenario(scenario)) == scenario
    said = [step for step in scenario.steps if not isinstance(step, Finish)]
    assert said == list(told(TALK, 1000.0).steps[: len(said)])
    assert (scenario.error is not None) == (end == "failed")


def test_an_error_in_a_stream_is_told_by_its_kind_and_words() -> None:
    error = told([(1.0, STREAM_ERROR)], 2.0).error
    assert error is not None
    assert (error.message, error.status) == ("Too much.", None)


@pytest.mark.parametrize(
    ("dialect", "status", "headers", "body", "failure"),
    [
        (
            CHAT, 429, [(b"retry-after", b"7")],
            b'{"error": {"message": "Slower.", "type": "rate_limit_error", "code": "x", "param": null}}',
            Failure(kind="rate_limit", message="Slower.", status=429, retry_after_s=7.0),
        ),
        (
            "anthropic", 529, [], b'{"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}',
            Failure(kind="overloaded", message="Overloaded", status=529),
        ),
        (
            "gemini", 400, [], b'{"error": {"code": 400, "message": "No.", "status": "INVALID_ARGUMENT"}}',
            Failure(kind="invalid_request", message="No.", status=400),
        ),
    ],
    ids=["chat", "anthropic", "gemini"],
)  # fmt: skip
def test_a_refusal_is_told_with_its_status(
    dialect: str, status: int, headers: list[tuple[bytes, bytes]], body: bytes, failure: Failure
) -> None:
    scenario = Teller(dialect).refused(12.5, status, headers, body)
    assert (scenario.end, scenario.end_ms, scenario.error, scenario.steps) == ("refused", 12.5, failure, ())


def test_a_refused_key_names_nobodys_variable() -> None:
    error = Teller(CHAT, provider="ark").refused(1.0, 401, [], b'{"error": {"message": "Bad key sk-1234"}}').error
    assert error is not None
    assert (error.kind, error.status, "sk-1234" in error.message) == ("auth", 401, False)


def test_no_connection_is_told_with_the_time_it_took() -> None:
    scenario = Teller(CHAT).unreachable(5000.0)
    assert (scenario.end, scenario.end_ms) == ("unreachable", 5000.0)


def test_a_whole_answer_has_each_part_in_one_piece() -> None:
    message = {"role": "assistant", "content": "Hello", "reasoning_content": "Hm"}
    body = {
        "id": "x",
        "created": 1,
        "model": "m",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
    }
    scenario = told([(50.0, json.dumps(body).encode())], 60.0)
    assert scenario.steps == (
        Begin(part="reasoning", ms=60.0),
        Say(text="Hm"),
        Begin(part="text"),
        Say(text="Hello"),
        Finish(reason=FinishReason.STOP),
    )


def event(kind: str, **fields: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind} | fields)}\n\n".encode()


def test_what_only_its_vendor_can_make_is_not_told() -> None:
    """Of a thought that is redacted stays that it was there; of a server's tool that something was left out."""
    usage = {"input_tokens": 3, "output_tokens": 1}
    body = b"".join(
        [
            event("message_start", message={"id": "msg_secret", "model": "m", "content": [], "usage": usage}),
            event("content_block_start", index=0, content_block={"type": "redacted_thinking", "data": "c2VjcmV0"}),
            event("content_block_stop", index=0),
            event("content_block_start", index=1, content_block={"type": "thinking", "thinking": "", "signature": ""}),
            event("content_block_delta", index=1, delta={"type": "thinking_delta", "thinking": "Hm"}),
            event("content_block_delta", index=1, delta={"type": "signature_delta", "signature": "c2VjcmV0"}),
            event("content_block_stop", index=1),
            event(
                "content_block_start", index=2,
                content_block={"type": "server_tool_use", "id": "srvtoolu_secret", "name": "web_search", "input": {}},
            ),
            event("content_block_stop", index=2),
            event(
                "content_block_start", index=3,
                content_block={"type": "tool_use", "id": "toolu_secret", "name": "f", "input": {}},
            ),
            event("content_block_stop", index=3),
            event("message_delta", delta={"stop_reason": "tool_use"}, usage={"output_tokens": 9}),
            event("message_stop"),
        ]
    )  # fmt: skip
    teller = Teller("anthropic")
    teller.feed(1.0, body)
    scenario = teller.end(2.0, "whole")
    written = write_scenario(scenario)
    assert b"secret" not in written
    assert b"c2VjcmV0" not in written
    assert [step for step in scenario.steps if isinstance(step, Begin)] == [
        Begin(part="reasoning", ms=1.0, redacted=True),
        Begin(part="reasoning"),
        Begin(part="tool_call", name="f"),
    ]
    assert teller.left_out == 1


def test_a_dialect_that_nobody_reads_is_named() -> None:
    with pytest.raises(ScenarioError, match="telepathy"):
        Teller("telepathy")


def test_a_name_that_a_tool_does_not_have_does_not_spoil_it() -> None:
    scenario = told([(1.0, chunk(call(0, "{}"))), (2.0, chunk({}, "tool_calls")), (3.0, DONE)], 4.0)
    assert read_scenario(write_scenario(scenario)) == scenario


_NAMES = {Text: "text", Reasoning: "reasoning", Refusal: "refusal", ToolCall: "tool_call"}


@pytest.mark.parametrize("case", streams(), ids=lambda case: f"{case.dialect}/{case.folder.name}")
def test_a_recorded_stream_is_told_as_its_dialect_reads_it(case: Case) -> None:
    answer = codecs.decode(case.body, case.dialect)
    size = len(case.body) // 50 + 1
    reads = [(float(at), case.body[at : at + size]) for at in range(0, len(case.body), size)]
    scenario = told(reads, 1e7, dialect=case.dialect)
    assert read_scenario(write_scenario(scenario)) == scenario
    parts: list[list[str]] = []
    for step in scenario.steps:
        if isinstance(step, Begin) and step.choice == 0:
            parts.append([step.part, ""])
        elif isinstance(step, Say) and step.choice == 0:
            parts[-1][1] += step.text
    read = answer.choices[0].parts if answer.choices else ()
    assert parts == [
        [_NAMES[type(part)], part.arguments if isinstance(part, ToolCall) else part.text]  # type: ignore[union-attr]
        for part in read
        if type(part) in _NAMES
    ]
    assert (scenario.end == "whole") == answer.complete
    if answer.usage is not None:
        assert scenario.usage is not None
        assert scenario.usage.usage == answer.usage
