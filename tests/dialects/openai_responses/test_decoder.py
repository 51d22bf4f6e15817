"""Responses streams to events: every way in which servers begin, grow and end items, and every end."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.dialects.openai_responses.streams import (
    CREATED,
    HELLO,
    USAGE,
    added,
    answer,
    call,
    completed,
    cuts_of,
    decode,
    delta,
    done,
    event,
    frame,
    incomplete,
    message,
    output_text,
    parts,
    reasoning,
    response,
    stream,
    text,
)
from thalweg.canon.envelope import wrap
from thalweg.canon.errors import UpstreamBroke, UpstreamFailed
from thalweg.canon.events import PartDelta, PartEnded, PartStarted, Pinged, ResponseFailed, ResponseStarted
from thalweg.canon.finish import FinishReason
from thalweg.canon.fold import fold
from thalweg.canon.parts import Citation, Opaque, Part, Reasoning, Refusal, Signature, Text, ToolCall
from thalweg.canon.usage import Usage

Row = tuple[list[dict[str, Any]], list[Part]]

BROKE_OFF = "acme broke off before the answer was finished"


def encrypted(data: str, item_id: str = "it_0") -> Signature:
    return Signature(vendor="openai", model="m-1", kind="encrypted", data=data, item_id=item_id)


def url_citation(**more: Any) -> dict[str, Any]:
    return {"type": "url_citation", "url": "https://a.example", "title": "A", "start_index": 1, "end_index": 3} | more


A = Citation(url="https://a.example", title="A", start=1, end=3)

PARTS: dict[str, Row] = {
    "text": (list(HELLO[:-1]), [Text(text="Hello")]),
    "text of an item that was never announced": ([text("Hi")], [Text(text="Hi")]),
    "text that came only when it was done": (
        [event("output_text.done", item_id="it_0", output_index=0, content_index=0, text="Hi")],
        [Text(text="Hi")],
    ),
    "text that came only with its part": (
        [event("content_part.done", item_id="it_0", output_index=0, content_index=0, part=output_text("Hi"))],
        [Text(text="Hi")],
    ),
    "text that came only with its item": ([done(message(output_text("Hi")))], [Text(text="Hi")]),
    "what is said again at every end counts once": (
        [
            text("Hi"),
            event("output_text.done", item_id="it_0", output_index=0, content_index=0, text="Hi"),
            event("content_part.done", item_id="it_0", output_index=0, content_index=0, part=output_text("Hi")),
            done(message(output_text("Hi"))),
            done(message(output_text("Hi"))),
        ],
        [Text(text="Hi")],
    ),
    "an empty text is no part": ([added(message()), text(""), done(message(output_text("")))], []),
    "a delta that is no text": ([text("a"), text(5), text(None), text("b")], [Text(text="ab")]),
    "two texts of one message": (
        [text("a"), event("content_part.done", output_index=0, content_index=0, part=output_text("a")), text("b", 0, 1)],
        [Text(text="a"), Text(text="b")],
    ),
    "two messages": (
        [text("a"), done(message(output_text("a"))), text("b", 1), done(message(output_text("b")), 1)],
        [Text(text="a"), Text(text="b")],
    ),
    "places are told by the item's id where they are missing": (
        [added(message(item_id="x"), 4), {"type": "response.output_text.delta", "item_id": "x", "delta": "a"}],
        [Text(text="a")],
    ),
    "ids that change with every event": (
        [added(message(item_id="p")), text("a") | {"item_id": "q"}, text("b") | {"item_id": "r"}],
        [Text(text="ab")],
    ),
    "a citation as it comes": (
        [text("abcd"), event("output_text.annotation.added", output_index=0, content_index=0, annotation=url_citation())],
        [Text(text="abcd", citations=(A,))],
    ),
    "the whole item's citations replace those before": (
        [
            text("abcd"),
            event("output_text.annotation.added", output_index=0, content_index=0, annotation=url_citation()),
            done(message(output_text("abcd", annotations=[url_citation()]))),
        ],
        [Text(text="abcd", citations=(A,))],
    ),
    "a file is cited nowhere else": (
        [done(message(output_text("a", annotations=[{"type": "file_citation", "file_id": "f", "index": 0}])))],
        [Text(text="a")],
    ),
    "a refusal": (
        [delta("refusal.delta", "I "), delta("refusal.delta", "won't.")],
        [Refusal(text="I won't.")],
    ),
    "a refusal that came whole": (
        [event("refusal.done", output_index=0, content_index=0, refusal="No.")],
        [Refusal(text="No.")],
    ),
    "a refusal after a text": ([text("a"), done(message(output_text("a"), {"type": "refusal", "refusal": "No."}))],
        [Text(text="a"), Refusal(text="No.")],
    ),
    "a summary": (
        [added(reasoning()), delta("reasoning_summary_text.delta", "hm"), done(reasoning())],
        [Reasoning(text="hm", form="summary")],
    ),
    "two summaries of one item": (
        [
            delta("reasoning_summary_text.delta", "a"),
            delta("reasoning_summary_text.delta", "b"),
            delta("reasoning_summary_text.delta", "c", 0, 1),
        ],
        [Reasoning(text="ab\n\nc", form="summary")],
    ),
    "a summary of which only the second came in pieces": (
        [
            event("reasoning_summary_text.done", output_index=0, summary_index=0, text="a"),
            delta("reasoning_summary_text.delta", "b", 0, 1),
            event("reasoning_summary_text.done", output_index=0, summary_index=1, text="b"),
        ],
        [Reasoning(text="a\n\nb", form="summary")],
    ),
    "thoughts": (
        [delta("reasoning_text.delta", "hm"), done(reasoning(content=[{"type": "reasoning_text", "text": "hm"}]))],
        [Reasoning(text="hm")],
    ),
    "thoughts that came whole": ([event("reasoning_text.done", output_index=0, content_index=0, text="hm")],
        [Reasoning(text="hm")],
    ),
    "thoughts that came with their item": (
        [done(reasoning(content=[{"type": "reasoning_text", "text": "hm"}]))],
        [Reasoning(text="hm")],
    ),
    "summaries that came with their item": (
        [done(reasoning(summary=[{"type": "summary_text", "text": "a"}, {"type": "summary_text", "text": "b"}]))],
        [Reasoning(text="a\n\nb", form="summary")],
    ),
    "thoughts and their summary are said once": (
        [delta("reasoning_text.delta", "hm"), delta("reasoning_summary_text.delta", "hm"), done(reasoning())],
        [Reasoning(text="hm")],
    ),
    "the cipher of the whole item counts": (
        [added(reasoning(encrypted_content="early")), done(reasoning(encrypted_content="late"))],
        [Reasoning(form="hidden", signature=encrypted("late"))],
    ),
    "a summary and its cipher": (
        [delta("reasoning_summary_text.delta", "hm"), done(reasoning(encrypted_content="X"))],
        [Reasoning(text="hm", form="summary", signature=encrypted("X"))],
    ),
    "reasoning that says nothing is no part": ([added(reasoning()), done(reasoning())], []),
    "another vendor's signature comes out of its envelope": (
        [done(reasoning(encrypted_content=wrap(Signature(vendor="google", model="g", kind="thought", data="X"))))],
        [Reasoning(form="hidden", signature=Signature(vendor="google", model="g", kind="thought", data="X"))],
    ),
    "a signature that belongs to another part is left out": (
        [done(reasoning(encrypted_content=wrap(encrypted("X"), "previous")))],
        [],
    ),
    "a call": (
        [
            added(call()),
            delta("function_call_arguments.delta", '{"a"'),
            delta("function_call_arguments.delta", ":1}"),
            event("function_call_arguments.done", output_index=0, arguments='{"a":1}'),
            done(call(arguments='{"a":1}')),
        ],
        [ToolCall(id="call_1", name="f", arguments='{"a":1}')],
    ),
    "a call whose arguments came at once": (
        [added(call()), event("function_call_arguments.done", output_index=0, arguments="{}")],
        [ToolCall(id="call_1", name="f", arguments="{}")],
    ),
    "a call that came whole": ([done(call(arguments="{}"))], [ToolCall(id="call_1", name="f", arguments="{}")]),
    "a call that was never announced": (
        [delta("function_call_arguments.delta", "{}"), done(call(arguments="{}"))],
        [ToolCall(id="call_1", name="f", arguments="{}")],
    ),
    "a call without arguments": ([added(call()), done(call())], [ToolCall(id="call_1", name="f", arguments="")]),
    "a custom tool's call": (
        [
            added({"id": "it_0", "type": "custom_tool_call", "call_id": "c", "name": "sql", "input": ""}),
            delta("custom_tool_call_input.delta", "SEL"),
            delta("custom_tool_call_input.delta", "ECT"),
            event("custom_tool_call_input.done", output_index=0, input="SELECT"),
        ],
        [ToolCall(id="c", name="sql", arguments="SELECT", kind="custom")],
    ),
    "parallel calls": (
        [done(call(arguments="{}")), done(call("g", "[]", "call_2", 1), 1)],
        [ToolCall(id="call_1", name="f", arguments="{}"), ToolCall(id="call_2", name="g", arguments="[]")],
    ),
    "two calls at once": (
        [
            added(call()),
            added(call("g", "", "call_2", 1), 1),
            delta("function_call_arguments.delta", '{"a"', 0),
            delta("function_call_arguments.delta", "[", 1),
            delta("function_call_arguments.delta", ":1}", 0),
            delta("function_call_arguments.delta", "]", 1),
        ],
        [ToolCall(id="call_1", name="f", arguments='{"a":1}'), ToolCall(id="call_2", name="g", arguments="[]")],
    ),
    "reasoning that stays open does not hold up the answer": (
        [
            delta("reasoning_text.delta", "hm", 0),
            text("Hi", 1),
            done(message(output_text("Hi")), 1),
            event("reasoning_text.done", output_index=0, content_index=0, text="hm"),
            done(reasoning(encrypted_content="X"), 0),
        ],
        [Reasoning(text="hm"), Text(text="Hi"), Reasoning(form="hidden", signature=encrypted("X"))],
    ),
    "a provider's own tool": (
        [
            added({"id": "ws", "type": "web_search_call", "status": "in_progress"}),
            event("web_search_call.searching", output_index=0, item_id="ws"),
            done({"id": "ws", "type": "web_search_call", "status": "completed"}),
        ],
        [Opaque(dialect="openai-responses", raw={"id": "ws", "type": "web_search_call", "status": "completed"})],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", PARTS)
def test_parts(case: str) -> None:
    wire, canon = PARTS[case]
    assert list(parts(*wire)) == canon


@pytest.mark.parametrize("case", PARTS)
def test_parts_are_the_same_however_the_stream_is_cut_and_framed(case: str) -> None:
    wire = [*PARTS[case][0], completed()]
    whole = fold(decode(stream(*wire)))
    for body in (stream(*wire), stream(*wire, named=False), stream(*wire).replace(b"\n", b"\r\n")):
        for size in (1, 7):
            assert fold(decode(cuts_of(body, size))) == whole


@pytest.mark.parametrize("case", PARTS)
def test_a_stream_that_breaks_off_says_so_and_keeps_what_came(case: str) -> None:
    wire = PARTS[case][0]
    found = answer(*wire)
    assert isinstance(found.error, UpstreamBroke)
    assert found.error.message == BROKE_OFF
    assert not found.complete
    said = "".join(getattr(part, "text", "") for part in found.choices[0].parts) if found.choices else ""
    whole = "".join(getattr(part, "text", "") for part in PARTS[case][1])
    assert said == whole


def test_every_delta_leaves_at_once() -> None:
    decoder_events = decode(stream(*HELLO))
    deltas = [each.text for each in decoder_events if isinstance(each, PartDelta)]
    assert deltas == ["Hel", "lo"]


def test_the_text_behind_reasoning_that_stays_open_leaves_at_once() -> None:
    events = decode(stream(delta("reasoning_text.delta", "hm", 0), text("Hi", 1), text("!", 1)))
    before_failure = events[:-1]
    assert [each.text for each in before_failure if isinstance(each, PartDelta)] == ["hm", "Hi", "!"]
    first_end = next(i for i, each in enumerate(events) if isinstance(each, PartEnded))
    assert isinstance(events[first_end + 1], PartStarted)
    assert events[first_end + 2] == PartDelta(index=1, text="Hi")


@pytest.mark.parametrize(
    "value",
    [
        text("b", 1),
        text("b", 0, 1),
        text(""),
        text(None),
        text("b", logprobs=[{"token": "b", "logprob": -1.0}]),
        text("b") | {"error": {"message": "m"}},
        text("b") | {"zz": 1},
        done(message(output_text("a"))),
        event("output_text.done", output_index=0, content_index=0, text="a"),
        delta("refusal.delta", "b"),
        event("new"),
    ],
)
def test_the_short_way_of_text_that_goes_on_comes_to_the_same(value: dict[str, Any]) -> None:
    body = stream(text("a"), value, text("c"), completed(message(output_text("?"))))
    with_it = fold(decode(body))
    without = fold(decode(body.replace(b'"content_index":0', b'"content_index":0.0')))
    assert str(with_it.error) == str(without.error)
    assert with_it.choices == without.choices


# The last event.


def test_an_answer_that_only_the_last_event_tells() -> None:
    found = answer(completed(message(output_text("Hi")), call(arguments="{}")))
    assert found.choices[0].parts == (Text(text="Hi"), ToolCall(id="call_1", name="f", arguments="{}"))


def test_items_that_came_are_not_taken_again_from_the_last_event_whatever_their_ids() -> None:
    found = answer(
        text("Hi", 3),
        done(message(output_text("Hi"), item_id="a"), 3),
        completed(message(output_text("Hi"), item_id="b")),
    )
    assert found.choices[0].parts == (Text(text="Hi"),)


def test_an_item_that_was_never_done_is_completed_by_the_last_event() -> None:
    found = answer(added(call()), completed(call(arguments="{}")))
    assert found.choices[0].parts == (ToolCall(id="call_1", name="f", arguments="{}"),)


def test_one_more_item_of_a_kind_in_the_last_event() -> None:
    found = answer(done(call(arguments="{}")), completed(call(arguments="{}"), call("g", "[]", "call_2", 1)))
    assert [part.name for part in found.choices[0].parts if isinstance(part, ToolCall)] == ["f", "g"]


def test_a_last_event_without_output_leaves_what_came() -> None:
    assert answer(text("Hi"), event("completed", response={"id": "r", "output": []})).choices[0].parts == (
        Text(text="Hi"),
    )


REASONS: dict[str, tuple[list[dict[str, Any]], FinishReason, str]] = {
    "text": ([text("a"), completed()], FinishReason.STOP, "completed"),
    "nothing": ([completed()], FinishReason.STOP, "completed"),
    "a call": ([done(call(arguments="{}")), completed()], FinishReason.TOOL_CALLS, "completed"),
    "a refusal": ([delta("refusal.delta", "No."), completed()], FinishReason.REFUSAL, "completed"),
    "a refusal and a call": (
        [delta("refusal.delta", "No."), done(call(arguments="{}"), 1), completed()],
        FinishReason.TOOL_CALLS,
        "completed",
    ),
    "a cap": ([text("a"), incomplete()], FinishReason.LENGTH, "incomplete"),
    "a cap within a call": ([added(call()), incomplete()], FinishReason.LENGTH, "incomplete"),
    "a filter": ([text("a"), incomplete("content_filter")], FinishReason.CONTENT_FILTER, "incomplete"),
    "a reason that is new": ([text("a"), incomplete("steered")], FinishReason.LENGTH, "incomplete"),
    "no reason": ([text("a"), incomplete(None)], FinishReason.LENGTH, "incomplete"),
    "completed, but not complete": (
        [
            text("a"),
            event("completed", response=response("incomplete", incomplete_details={"reason": "content_filter"})),
        ],
        FinishReason.CONTENT_FILTER,
        "incomplete",
    ),
}


@pytest.mark.parametrize("case", REASONS)
def test_finish_reasons(case: str) -> None:
    wire, reason, raw = REASONS[case]
    found = answer(*wire)
    assert found.complete
    assert found.choices[0].finish_reason is reason
    assert found.choices[0].raw_finish_reason == raw


USAGES: dict[str, tuple[Any, Usage | None]] = {
    "all of it": (
        USAGE,
        Usage(input_tokens=3, cached_input_tokens=1, cache_write_tokens=0, output_tokens=5, reasoning_tokens=2),
    ),
    "two numbers": ({"input_tokens": 3, "output_tokens": 5}, Usage(input_tokens=3, output_tokens=5)),
    "more reasoning than output": (
        {"input_tokens": 1, "output_tokens": 5, "output_tokens_details": {"reasoning_tokens": 9}},
        Usage(input_tokens=1, output_tokens=5, reasoning_tokens=5),
    ),
    "sound": (
        {"input_tokens": 9, "output_tokens": 1, "input_tokens_details": {"audio_tokens": 4}},
        Usage(input_tokens=9, output_tokens=1, audio_input_tokens=4),
    ),
    "none": (None, None),
    "no numbers": ({"input_tokens": "3"}, None),
    "a list": ([], None),
}


@pytest.mark.parametrize("case", USAGES)
def test_usage(case: str) -> None:
    raw, usage = USAGES[case]
    found = answer(text("a"), completed(usage=raw))
    assert found.usage == usage
    assert found.raw_usage == (raw if usage else None)


def test_the_answer_s_beginning() -> None:
    started = decode(stream(*HELLO))[0]
    assert started == ResponseStarted(response_id="resp_1", model="m-1", created=1700000000)
    floating = event("created", response=response(created_at=1700000000.9))
    assert decode(stream(floating, *HELLO, begun=False))[0] == started
    late = decode(stream(event("in_progress", response=response()), *HELLO, begun=False))
    assert late[0] == started
    nameless = decode(stream(*HELLO, begun=False))
    assert nameless[0] == ResponseStarted(response_id="", model="")


def test_logprobs() -> None:
    tokens = [{"token": "Hi", "logprob": -0.5, "top_logprobs": []}]
    found = answer(text("Hi", logprobs=tokens), text("!", logprobs=[]), completed())
    assert found.choices[0].logprobs == {"content": tokens}


# Errors.

SAID = {"type": "server_error", "code": "overloaded", "message": "It fell over.", "param": None}
ERRORS: dict[str, tuple[list[dict[str, Any]], str | None, str | None]] = {
    "nested": ([event("error", error=SAID)], "overloaded", "server_error"),
    "flat": ([event("error", code="overloaded", message="It fell over.", param=None)], "overloaded", None),
    "both": ([event("error", code="x", message="y", param=None, error=SAID)], "overloaded", "server_error"),
    "of another type": ([{"type": "chunk", "error": SAID}], "overloaded", "server_error"),
    "without a type": ([{"error": SAID}], "overloaded", "server_error"),
    "failed alone": (
        [event("failed", response=response("failed", error={"code": "overloaded", "message": "It fell over."}))],
        "overloaded",
        None,
    ),
    "an error in a completed answer": (
        [event("completed", response=response("failed", error={"code": "overloaded", "message": "It fell over."}))],
        "overloaded",
        None,
    ),
    "after it, failed": (
        [event("error", error=SAID), event("failed", response=response("failed", error=SAID))],
        "overloaded",
        "server_error",
    ),
    "after it, completed": ([event("error", error=SAID), completed()], "overloaded", "server_error"),
}  # fmt: skip


@pytest.mark.parametrize("case", ERRORS)
def test_errors_in_the_stream(case: str) -> None:
    wire, code, kind = ERRORS[case]
    body = stream(CREATED, text("a"), begun=False) + b"".join(
        b"data: " + json.dumps(value).encode() + b"\n\n" for value in wire
    )
    found = fold(decode(body))
    assert isinstance(found.error, UpstreamFailed)
    assert found.error.message == "It fell over."
    assert found.error.code == code
    assert found.error.provider_type == kind
    assert found.choices[0].parts == (Text(text="a"),)
    assert found.choices[0].finish_reason is None


def test_what_a_failed_answer_used_is_reported() -> None:
    failed = event("failed", response=response("failed", usage=USAGE, error={"code": "x", "message": "y"}))
    assert answer(failed).raw_usage == USAGE


BROKEN: dict[str, tuple[bytes, str]] = {
    "no JSON": (b"data: {\n\n", "acme sent a frame that is not JSON"),
    "a list": (b"data: []\n\n", "acme sent an event of another shape"),
    "a response that is no object": (
        b'data: {"type":"response.created","response":5}\n\n',
        "acme sent an event of another shape",
    ),
    "no UTF-8": (b'data: {"type":"x","y":"\xff"}\n\n', "acme sent a frame that is not JSON"),
    "an end mark before the end": (b"data: [DONE]\n\n", BROKE_OFF),
    "nothing": (b"", BROKE_OFF),
    "a frame that the body's end cut": (b'data: {"type":"response.comp', BROKE_OFF),
}


@pytest.mark.parametrize("case", BROKEN)
def test_what_is_no_stream_of_this_dialect(case: str) -> None:
    body, told = BROKEN[case]
    *_, failed = decode(frame(CREATED) + body)
    assert isinstance(failed, ResponseFailed)
    assert isinstance(failed.error, UpstreamBroke)
    assert failed.error.message.startswith(told)


def test_an_event_line_says_the_type_where_the_data_does_not() -> None:
    body = stream(*HELLO)
    for value in HELLO:
        body = body.replace(f'"type":"{value["type"]}",'.encode(), b"", 1)
    found = fold(decode(body))
    assert found.choices[0].parts == (Text(text="Hello"),)
    assert found.complete


def test_events_that_say_nothing_are_pings() -> None:
    events = decode(frame(CREATED) + b": hi\n\n" + frame({"type": "response.new_thing"}) + stream(*HELLO, begun=False))
    assert sum(isinstance(each, Pinged) for each in events) >= 2
    assert fold(events).choices[0].parts == (Text(text="Hello"),)


def test_a_last_event_without_its_blank_line_counts() -> None:
    assert fold(decode(stream(*HELLO)[:-2])).complete
