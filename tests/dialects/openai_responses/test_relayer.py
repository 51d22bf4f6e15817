"""One dialect through: each repair row alone, the frames that no row touches, ends, errors, and the watch."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.dialects.openai_responses import streams
from tests.dialects.openai_responses.streams import (
    ALL_ROWS,
    CREATED,
    HELLO,
    RESPONSES,
    USAGE,
    Relayed,
    added,
    call,
    check_watch,
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
    read_strictly,
    reasoning,
    relay,
    response,
    stream,
    text,
)
from thalweg.canon.errors import Cancelled, UpstreamBroke, UpstreamFailed
from thalweg.canon.usage import Usage
from thalweg.dialects.openai_responses import RESPONSES_REPAIRS
from thalweg.dialects.openai_responses.relayer import ResponsesRelayer
from thalweg.dialects.openai_responses.repairs import ROWS
from thalweg.framing.sse import SseDecoder
from thalweg.profiles import providers
from thalweg.profiles.base import Profile


def only(*rows: str) -> Profile:
    return Profile(repairs=frozenset(rows))


def frames_of(body: bytes) -> list[bytes]:
    sse = SseDecoder()
    return [one.raw for one in [*sse.feed(body), *sse.end()]]


GOOD = stream(*HELLO)


# Nothing changes.


def test_a_good_stream_passes_byte_for_byte() -> None:
    for profile in (ALL_ROWS, Profile()):
        relayed = relay(GOOD, profile=profile)
        assert relayed.frames == frames_of(GOOD)
        assert not relayed.watch.repaired
        assert relayed.watch.complete


def test_frames_without_names_pass_byte_for_byte() -> None:
    body = stream(*HELLO, named=False)
    assert relay(body).body == body


def test_the_watch() -> None:
    watch = relay(GOOD).watch
    assert (watch.response_id, watch.model, watch.created) == ("resp_1", "m-1", 1700000000)
    assert watch.usage == Usage(
        input_tokens=3, cached_input_tokens=1, cache_write_tokens=0, output_tokens=5, reasoning_tokens=2
    )
    assert watch.raw_usage == USAGE
    assert watch.finishes == {0: "completed"}
    assert watch.finished
    assert watch.done
    assert (watch.deltas, watch.narrow_chars, watch.wide_chars) == (2, 5, 0)
    check_watch(watch, decode(GOOD))


CONTENT: dict[str, tuple[dict[str, Any], bool]] = {
    "a message begins": (added(message()), False),
    "reasoning begins": (added(reasoning()), False),
    "a call begins": (added(call()), True),
    "a provider's tool begins": (added({"id": "ws", "type": "web_search_call"}), True),
    "text": (text("a"), True),
    "no text": (text(""), False),
    "a summary": (delta("reasoning_summary_text.delta", "a"), True),
    "thoughts": (delta("reasoning_text.delta", "a"), True),
    "a refusal": (delta("refusal.delta", "a"), True),
    "arguments": (delta("function_call_arguments.delta", "a"), True),
    "free text": (delta("custom_tool_call_input.delta", "a"), True),
    "an end": (incomplete(), True),
}


@pytest.mark.parametrize("case", CONTENT)
def test_what_counts_as_content(case: str) -> None:
    value, counts = CONTENT[case]
    assert relay(stream(value)).watch.content_seen is counts
    assert not relay(stream()).watch.content_seen


# Rows.


def renamed(value: dict[str, Any], item_id: str) -> dict[str, Any]:
    return value | ({"item": value["item"] | {"id": item_id}} if "item" in value else {"item_id": item_id})


EFFORT = event("in_progress", response=response(reasoning={"effort": None, "summary": None}))
BEFORE: dict[str, list[dict[str, Any]]] = {"identity": [added(message())], "output": [done(message(output_text("a")))]}
EDITS: dict[str, list[tuple[dict[str, Any], dict[str, Any]]]] = {
    "null-effort": [
        (EFFORT, event("in_progress", response=response(reasoning={"summary": None}))),
        (
            completed(reasoning={"effort": None, "context": "auto"}),
            completed(reasoning={"context": "auto"}),
        ),
    ],
    "identity": [
        (renamed(text("a"), "x"), text("a")),
        (renamed(done(message()), "x"), done(message())),
        (event("in_progress", response=response(id="x")), event("in_progress", response=response())),
        (completed(id="x"), completed()),
    ],
    "output": [
        (completed(), completed(message(output_text("a")))),
        (
            event("incomplete", response=response("incomplete", usage=USAGE)),
            event("incomplete", response=response("incomplete", output=[message(output_text("a"))], usage=USAGE)),
        ),
    ],
}
SOUND: dict[str, list[dict[str, Any]]] = {
    "null-effort": [
        event("in_progress", response=response(reasoning={"effort": "low"})),
        event("in_progress", response=response(reasoning=None)),
        event("in_progress", response=response(metadata={"a": '"effort":null'})),
        event("in_progress", response=response(tools=[{"parameters": {"effort": None}}])),
    ],
    "identity": [text("a"), text("a", 5), done(message()), {**text("a"), "item_id": None}, {"type": "response.x"}],
    "output": [completed(message(output_text("b"))), event("in_progress", response=response())],
}


@pytest.mark.parametrize("row", EDITS)
def test_a_row_mends_what_it_names_and_nothing_when_it_is_off(row: str) -> None:
    for came, left in EDITS[row]:
        body = stream(*BEFORE.get(row, []), came)
        relayed = relay(body, profile=only(row))
        assert relayed.frames[-1] == frames_of(stream(*BEFORE.get(row, []), left))[-1]
        assert relayed.frames[:-1] == frames_of(body)[:-1]
        assert relayed.watch.repaired == {row: 1}
        without = relay(body, profile=Profile(repairs=RESPONSES_REPAIRS - {row}))
        assert without.body == body
        assert not without.watch.repaired
        assert relay(body, raw=True).body == body


@pytest.mark.parametrize("row", SOUND)
def test_a_row_leaves_alone_what_does_not_need_it(row: str) -> None:
    for value in SOUND[row]:
        body = stream(*BEFORE.get(row, []), value)
        relayed = relay(body, profile=only(row))
        assert relayed.body == body
        assert not relayed.watch.repaired


def test_an_event_that_says_its_type_in_the_event_line_alone_gets_it() -> None:
    whole = frames_of(GOOD)[3]
    lacking = whole.replace(b'"type":"response.output_text.delta",', b"")
    assert lacking != whole
    relayed = relay(frame(CREATED) + lacking, profile=only("type"))
    assert json.loads(relayed.frames[1].split(b"data: ")[1]) == json.loads(whole.split(b"data: ")[1])
    assert relayed.watch.repaired == {"type": 1}
    assert relay(frame(CREATED) + lacking, profile=Profile()).frames[1] == lacking


FRAMINGS: dict[str, tuple[bytes, bytes, str]] = {
    "a comment": (b": hi\n\n", b"", "comments"),
    "an empty comment": (b": \n\n", b"", "comments"),
    "a comment within": (b": hi\n" + frame(text("a")), frame(text("a")), "comments"),
    "an empty line": (b"\n", b"", "framing"),
    "a retry": (b"retry: 5\n\n", b"", "framing"),
    "an id": (b"id: 5\n" + frame(text("a")), frame(text("a")), "framing"),
    "CRLF": (frame(text("a")).replace(b"\n", b"\r\n"), frame(text("a")), "framing"),
    "no space": (frame(text("a")).replace(b": ", b":"), frame(text("a")), "framing"),
    "data first": (
        b"data: " + json.dumps(text("a")).encode() + b"\nevent: response.output_text.delta\n\n",
        b"event: response.output_text.delta\ndata: " + json.dumps(text("a")).encode() + b"\n\n",
        "framing",
    ),
    "two lines": (
        b'event: x\ndata: {"type":\ndata: "x"}\n\n',
        b'event: x\ndata: {"type": "x"}\n\n',
        "framing",
    ),
}


@pytest.mark.parametrize("case", FRAMINGS)
def test_framing_becomes_the_one_that_everybody_reads(case: str) -> None:
    came, left, row = FRAMINGS[case]
    body = frame(CREATED) + came
    relayed = relay(body, profile=only(row))
    assert relayed.body == frame(CREATED) + left
    assert relayed.watch.repaired == {row: 1}
    for other in (relay(body, profile=Profile(repairs=RESPONSES_REPAIRS - {row})), relay(body, raw=True)):
        assert other.body == body
        assert not other.watch.repaired


def test_a_last_event_that_no_blank_line_closes_is_closed() -> None:
    relayed = relay(GOOD[:-1], profile=only("framing"))
    assert relayed.body == GOOD
    assert relayed.watch.complete
    assert relay(GOOD[:-1], raw=True).body == GOOD[:-1]


def test_a_name_within_which_the_body_ended_is_not_passed_on() -> None:
    last = b"data: " + json.dumps(completed()).encode() + b"\nevent: response.comp"
    relayed = relay(frame(CREATED) + last, profile=only("framing"))
    assert relayed.frames[1] == b"event: response.completed\ndata: " + json.dumps(completed()).encode() + b"\n\n"
    assert relayed.watch.complete


def test_an_event_that_no_blank_line_closes_is_lost_as_it_is_to_every_sdk() -> None:
    body = stream(text("a"))
    assert relay(body[:-1], profile=only("framing")).body == stream()
    assert relay(body[:-1], profile=Profile()).body == relay(body[:-1], raw=True).body == body[:-1]


def test_an_end_mark_that_this_dialect_has_not_is_dropped() -> None:
    body = stream(*HELLO, named=False) + b"data: [DONE]\n\n"
    relayed = relay(body)
    assert relayed.body == stream(*HELLO, named=False)
    assert relayed.watch.repaired == {"done": 1}
    assert relay(body, raw=True).body == body


def test_values_that_no_row_touches_keep_their_bytes_and_places() -> None:
    came = (
        b'event: response.in_progress\ndata: {"zz": 1.0e3, "response": {"id": "resp_1", "q": "\\u00e9",'
        b' "reasoning": {"a":1.50, "effort": null}}, "sequence_number": 1, "type": "response.in_progress"}\n\n'
    )
    relayed = relay(frame(CREATED) + came, profile=only("null-effort"))
    assert relayed.frames[1] == (
        b'event: response.in_progress\ndata: {"zz":1.0e3,"response":{"id":"resp_1","q":"\\u00e9",'
        b'"reasoning":{"a":1.50}},"sequence_number":1,"type":"response.in_progress"}\n\n'
    )


def test_every_row_has_its_reason_and_the_profiles_name_rows_that_exist() -> None:
    assert {row.name for row in ROWS} == RESPONSES_REPAIRS == providers.RESPONSES_REPAIRS
    assert all(row.why.endswith(".") for row in ROWS)


# Ends.


@pytest.mark.parametrize("at", range(1, len(HELLO) + 1))
def test_a_stream_that_breaks_off_is_never_whole(at: int) -> None:
    frames = frames_of(GOOD)
    relayed = relay(b"".join(frames[:at]))
    assert relayed.frames == frames[:at]
    assert isinstance(relayed.watch.error, UpstreamBroke)
    assert relayed.watch.error.message == "acme broke off before the answer was finished"
    assert not relayed.watch.complete
    assert not relayed.watch.done
    read = read_strictly_failed(relayed)
    assert read["error"]["code"] == "upstream_broke_off"


def read_strictly_failed(relayed: Relayed) -> dict[str, Any]:
    """The failed response at the end of a stream, whose numbers go on."""
    frames = frames_of(relayed.body + relayed.failure)
    values = [json.loads(one.split(b"data: ")[1]) for one in frames]
    assert [value["sequence_number"] for value in values] == list(range(len(values)))
    assert [value["type"] for value in values[-2:]] == ["error", "response.failed"]
    assert values[-2]["error"]["message"] == values[-2]["message"] == values[-1]["response"]["error"]["message"]
    assert frames[-2].startswith(b"event: error\n")
    failed: dict[str, Any] = values[-1]["response"]
    assert failed["status"] == "failed"
    return failed


def test_a_failed_answer_is_the_one_that_was_begun() -> None:
    relayed = relay(stream(event("in_progress", response=response(zz=1, reasoning={"effort": None})), text("a")))
    failed = read_strictly_failed(relayed)
    assert (failed["id"], failed["zz"], failed["reasoning"]) == ("resp_1", 1, {})


def test_a_failure_before_anything_came() -> None:
    relayed = relay(b"")
    failed = read_strictly_failed(relayed)
    assert (failed["id"], failed["model"], failed["created_at"]) == ("resp_own", "m", 1)


def test_what_else_ends_an_answer_is_said_the_same_way() -> None:
    relayer = RESPONSES.relayer(
        RESPONSES.read_request(b'{"model":"m","input":"?"}'),
        profile=ALL_ROWS, raw=False, provider="acme", response_id="resp_own", created=1,
    )  # fmt: skip
    body = stream(text("a"))
    out = b"".join(relayer.feed(SseDecoder().feed(body)))
    failed = read_strictly_failed(Relayed([out], relayer.watch, relayer.fail(Cancelled("Somebody stopped it."))))
    assert failed["error"] == {"code": "cancelled", "message": "Somebody stopped it."}


SAID = {"type": "tokens", "code": "rate_limit_exceeded", "message": "Too much.", "param": None}
FAILED = event("failed", response=response("failed", error={"code": "x", "message": "Too much."}, usage=USAGE, zz=1))
ERRORS: dict[str, list[dict[str, Any]]] = {
    "nested": [event("error", error=SAID), FAILED],
    "flat": [event("error", code="rate_limit_exceeded", message="Too much.", param=None), FAILED],
    "failed": [FAILED],
    "failed, then an error": [FAILED, event("error", error=SAID)],
    "without a type": [{"type": "x", "error": SAID}],
    "an error in a completed answer": [event("completed", response=response("failed", error=SAID))],
}


@pytest.mark.parametrize("case", ERRORS)
@pytest.mark.parametrize("raw", [False, True])
def test_an_error_is_said_in_the_form_that_every_client_reads(case: str, raw: bool) -> None:
    body = stream(text("a"), *ERRORS[case])
    relayed = relay(body, raw=raw)
    assert relayed.frames == frames_of(body)[:2]
    assert isinstance(relayed.watch.error, UpstreamFailed)
    assert relayed.watch.error.message == "Too much."
    assert not relayed.watch.complete
    check_watch(relayed.watch, decode(body))


def test_what_the_provider_said_of_the_failed_answer_is_kept() -> None:
    relayed = relay(stream(text("a"), FAILED))
    failed = json.loads(frames_of(relayed.failure)[1].split(b"data: ")[1])["response"]
    assert (failed["zz"], failed["usage"]) == (1, USAGE)


def test_nothing_follows_the_end() -> None:
    for body in (GOOD + stream(*HELLO), stream(event("error", error=SAID)) + GOOD):
        relayed = relay(body)
        assert relayed.body in (GOOD, stream())


@pytest.mark.parametrize(
    ("came", "told"),
    [
        (b"data: {\n\n", "not JSON"),
        (b"data: []\n\n", "another shape"),
        (b'data: {"type":"response.created","response":5}\n\n', "another shape"),
        (b'event: response.output_text.delta\ndata: {"delta":"\xff"}\n\n', "not JSON"),
        (b"data: [DONE]\n\n", "broke off"),
    ],
)
def test_what_is_no_stream_of_this_dialect_ends_it(came: bytes, told: str) -> None:
    body = frame(CREATED) + came + stream(*HELLO)
    relayed = relay(body)
    assert relayed.body == frame(CREATED)
    assert isinstance(relayed.watch.error, UpstreamBroke)
    assert told in relayed.watch.error.message
    check_watch(relayed.watch, decode(body))


def test_behind_the_end_raw_passes_what_has_no_meaning_up_to_what_has_one() -> None:
    body = GOOD + b": hi\n\ndata: [DONE]\n\n"
    assert relay(body + frame(text("a")) + b": ho\n\n", raw=True).body == body
    assert relay(body + frame(text("a")) + b": ho\n\n").body == GOOD


def test_an_item_that_is_no_object_passes() -> None:
    body = stream(event("output_item.added", output_index=0, item=[]), event("content_part.added", item="x"), *HELLO)
    assert relay(body).body == body


# Keep-alives.


def relayer_of(*, raw: bool = False, **asked: Any) -> ResponsesRelayer:
    request = RESPONSES.read_request(json.dumps({"model": "m", "input": "?"} | asked).encode())
    return RESPONSES.relayer(request, profile=ALL_ROWS, raw=raw, provider="acme", response_id="resp_own", created=5)


def values_of(body: bytes) -> list[dict[str, Any]]:
    return [json.loads(one.split(b"data: ")[1]) for one in frames_of(body)]


def test_a_keepalive_repeats_the_answer_s_state_with_the_last_number() -> None:
    relayer = relayer_of()
    progress = event("in_progress", response=response(reasoning={"effort": None}, zz=1))
    relayer.feed(SseDecoder().feed(stream(progress, text("a"))))
    (value,) = values_of(relayer.keepalive())
    assert value == {
        "type": "response.in_progress", "sequence_number": 2, "response": response(reasoning={}, zz=1),
    }  # fmt: skip
    assert relayer.keepalive() == relayer.keepalive()


def test_before_the_answer_has_a_name_a_keepalive_begins_it_in_ours() -> None:
    relayer = relayer_of()
    created, progress = values_of(relayer.keepalive())
    assert (created["type"], progress["type"]) == ("response.created", "response.in_progress")
    assert created["response"]["id"] == "resp_own"
    assert [value["type"] for value in values_of(relayer.keepalive())] == ["response.in_progress"]


@pytest.mark.parametrize(("stored", "shown"), [(False, "resp_own"), (True, "resp_1")])
def test_an_answer_begun_in_our_name_keeps_it_unless_the_provider_keeps_the_answer(stored: bool, shown: str) -> None:
    relayer = relayer_of(store=stored)
    relayer.keepalive()
    out = b"".join(relayer.feed(SseDecoder().feed(GOOD)))
    ids = {value["response"]["id"] for value in values_of(out) if "response" in value}
    assert ids == {shown}
    assert relayer.watch.response_id == "resp_1"


# The short way.


def test_common_frames_take_the_short_way() -> None:
    relayer = relayer_of()
    relayer.feed(SseDecoder().feed(stream(added(message()))))
    common = frame(text("a") | {"sequence_number": 2})
    assert relayer.pass_on(common) == common
    assert relayer.watch.narrow_chars == 1


@pytest.mark.parametrize(
    "data",
    [
        frame(text("a")),
        frame(text("a") | {"sequence_number": 2}, named=False),
        frame(text("a") | {"sequence_number": 2})[:-1],
        frame(text("a") | {"sequence_number": 2}) * 2,
        frame(text("a") | {"sequence_number": 2}).replace(b"\n", b"\r\n"),
        frame(text("a") | {"sequence_number": 2}).replace(b"data: ", b"data:"),
        frame(text("a") | {"sequence_number": 2}).replace(b'"type":"response.output_text', b'"type":"response.refusal'),
        frame(text("a") | {"sequence_number": 2, "item_id": "other"}),
        frame(text("a", 5) | {"sequence_number": 2}),
        frame(text("a") | {"sequence_number": 2, "error": SAID}),
        frame(text("a") | {"sequence_number": 2, "response": {}}),
        frame(text(5) | {"sequence_number": 2}),
        frame(text("a") | {"sequence_number": 2, "zz": "?"}).replace(b"?", b"\xff"),
        frame(done(message(output_text("a"))) | {"sequence_number": 2}),
        b": hi\n\n",
        b"",
    ],
)
def test_all_other_bytes_do_not_and_nothing_has_happened(data: bytes) -> None:
    relayer = relayer_of()
    relayer.feed(SseDecoder().feed(stream(added(message()))))
    assert relayer.pass_on(data) is None
    assert not relayer.watch.deltas
    assert relayer.watch.error is None


def test_after_the_end_nothing_takes_the_short_way() -> None:
    relayer = relayer_of()
    relayer.feed(SseDecoder().feed(GOOD))
    assert relayer.pass_on(frames_of(GOOD)[3]) is None


VALUES = st.sampled_from(
    [
        *HELLO, EFFORT, FAILED, text("é"), text("", 3), renamed(text("b"), "x"), renamed(done(message()), "y"),
        delta("reasoning_text.delta", "h", 1), delta("function_call_arguments.delta", "{", 2), added(call(at=2), 2),
        done(call(at=2), 2), done(reasoning(1), 1), completed(), incomplete(), event("error", error=SAID),
        {"type": "response.x"}, {"type": None}, text(5), event("in_progress", response=response(id="z")),
        event("completed", response=None), event("completed"), done({}), added(None), {"type": "response.created"},
    ]
)  # fmt: skip


@given(values=st.lists(VALUES, max_size=8), named=st.booleans(), raw=st.booleans())
def test_any_events_are_relayed_and_decoded_alike_and_the_short_way_comes_to_the_same(
    values: list[dict[str, Any]], named: bool, raw: bool
) -> None:
    body = b"".join(
        frame(value | {"sequence_number": i}, named=named and isinstance(value["type"], str))
        for i, value in enumerate(values)
    )
    long = relay(body, raw=raw)
    short = relay(frames_of(body), raw=raw, short=True)
    assert short.frames == long.frames
    for slot in ("usage", "finishes", "complete", "choices", "deltas", "narrow_chars", "wide_chars", "content_seen"):
        assert getattr(short.watch, slot) == getattr(long.watch, slot), slot
    assert short.failure == long.failure
    check_watch(long.watch, decode(body))
    assert relay(cuts_of(body, 3), raw=raw).frames == long.frames
    if raw and long.watch.error is None:
        assert long.body == body[: len(long.body)]


@given(values=st.lists(VALUES, max_size=8))
def test_what_one_client_got_is_a_prefix(values: list[dict[str, Any]]) -> None:
    whole = relay(stream(*values)).frames
    for at in range(len(values)):
        part = relay(stream(*values[:at])).frames
        assert part == whole[: len(part)]


def test_an_empty_output_is_not_filled_from_an_answer_that_is_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("thalweg.dialects.openai_responses.repairs.MOST_KEPT_CHARS", 10)
    body = stream(done(message(output_text("a" * 20))), completed())
    assert relay(body).body == body


def test_what_an_encoder_writes_passes_as_it_is() -> None:
    events = decode(GOOD)
    body = streams.encode(events)
    read_strictly(body)
    relayed = relay(body)
    assert relayed.body == body
    assert not relayed.watch.repaired
