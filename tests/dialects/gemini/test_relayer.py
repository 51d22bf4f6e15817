"""The way between two sides of this dialect: which bytes pass, which change, and what the watch sees."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.dialects.gemini.streams import (
    ARRAY_TARGET,
    GEMINI,
    LEAST,
    PROFILE,
    SSE_TARGET,
    USAGE,
    call,
    check_watch,
    chunk,
    decode,
    frame,
    objects_of,
    read_strictly,
    relay,
    stream,
    thought,
)
from thalweg.canon.errors import UpstreamBroke, UpstreamFailed
from thalweg.dialects.gemini.relayer import GeminiRelayer
from thalweg.dialects.gemini.repairs import words_for_numbers
from thalweg.framing.sse import SseDecoder
from thalweg.profiles.base import Profile

STOP = chunk("", finish="STOP", usageMetadata=USAGE)
NO_REPAIRS = Profile()


def relayer(*, array: bool = False, raw: bool = False) -> GeminiRelayer:
    asked = GEMINI.read_request(json.dumps(LEAST).encode(), ARRAY_TARGET if array else SSE_TARGET)
    return GEMINI.relayer(asked, profile=PROFILE, raw=raw, provider="acme", response_id="own", created=1)


@pytest.mark.parametrize("end", [b"\r\n\r\n", b"\n\n", b"\r\r"], ids=["CRLF", "LF", "CR"])
def test_bytes_pass(end: bytes) -> None:
    body = stream(chunk("a"), chunk(thought("t"), call(args={"x": 1})), chunk('深"\\'), STOP, end=end)
    relayed = relay(body)
    assert relayed.body == body
    assert relayed.watch.repaired == {}
    assert relayed.watch.complete


def test_an_array_is_made_of_the_same_bytes() -> None:
    values = [chunk("a"), chunk("b"), chunk(call()), STOP]
    frames = relay(stream(*values), array=True).frames
    written = [json.dumps(value, separators=(",", ":")).encode() for value in values]
    assert frames == [b"[" + written[0], *(b",\r\n" + each for each in written[1:]), b"]"]
    assert relayer(array=True).content_type == b"application/json"
    assert relayer().content_type == b"text/event-stream"


def test_blank_lines_pass_in_a_stream_and_not_into_an_array() -> None:
    body = b"\r\n" + stream(chunk("a")) + b"\r\n\r\n" + stream(STOP)
    assert relay(body).body == body
    assert objects_of(relay(body, array=True).body, array=True) == [chunk("a"), STOP]


# Repairs.

GOOD = json.dumps(chunk("a"), separators=(",", ":")).encode()
FRAMES: dict[str, tuple[bytes, list[Any]]] = {
    "a comment": (b": hi\n\n", []),
    "an event without data": (b"event: ping\n\n", []),
    "an event line": (b"event: message\ndata: " + GOOD + b"\n\n", [chunk("a")]),
    "an id line": (b"id: 1\r\ndata: " + GOOD + b"\r\n\r\n", [chunk("a")]),
    "a comment in front": (b": hi\ndata: " + GOOD + b"\n\n", [chunk("a")]),
    "no space": (b"data:" + GOOD + b"\n\n", [chunk("a")]),
    "the end mark": (b"data: [DONE]\n\n", []),
    "data over several lines": (
        b"".join(b"data: " + line + b"\n" for line in json.dumps(chunk("a"), indent=1).encode().split(b"\n")) + b"\n",
        [chunk("a")],
    ),
    "two events with one line end between": (b"data: " + GOOD + b"\ndata: " + GOOD + b"\n\n", [chunk("a"), chunk("a")]),
    "bare JSON": (json.dumps(chunk("a"), indent=1).encode() + b"\n\n", [chunk("a")]),
    "an array": (b"data: [" + GOOD + b"]\n\n", [chunk("a")]),
}


@pytest.mark.parametrize("case", FRAMES.values(), ids=FRAMES)
@pytest.mark.parametrize("array", [False, True], ids=["sse", "array"])
def test_frames_that_break_sdks_are_mended(case: tuple[bytes, list[Any]], array: bool) -> None:
    odd, left = case
    body = stream(chunk("x")) + odd + stream(STOP)
    relayed = relay(body, array=array)
    assert objects_of(relayed.body, array=array) == [chunk("x"), *left, STOP]
    if not array:
        assert relayed.watch.repaired == {"framing": 1}
        assert relay(body, raw=True).body == body
        assert relay(body, profile=NO_REPAIRS).body == body
    check_watch(relayed.watch, decode(body))


def test_separators_are_escaped_where_a_line_would_be_cut() -> None:
    body = stream(chunk("x"), chunk("a\u2028b\u2029\u0085"), STOP)
    relayed = relay(body)
    assert relayed.watch.repaired == {"separators": 1}
    assert read_strictly(relayed.body).candidates[0].text == "xa\u2028b\u2029\u0085"
    assert relay(body, raw=True).body == body
    assert "\u2028".encode() in relay(body, array=True).body


NUMBERED = {
    "candidates": [
        {
            "content": {"parts": [{"functionCall": {"name": "f", "args": {"category": 3, "finishReason": 1}}}]},
            "finishReason": 1,
            "safetyRatings": [{"category": 8, "probability": 1}, {"category": 99, "probability": 2}],
        }
    ],
    "promptFeedback": {"blockReason": 1},
    "usageMetadata": {"promptTokensDetails": [{"modality": 1, "tokenCount": 2}], "totalTokenCount": 2},
}


def test_numbers_become_words_and_arguments_stay() -> None:
    read = read_strictly(relay(stream(chunk("x"), NUMBERED)).body)
    (worded,) = read.chunks[1:]
    (candidate,) = worded["candidates"]
    assert candidate["finishReason"] == "STOP"
    assert candidate["content"] == NUMBERED["candidates"][0]["content"]
    assert candidate["safetyRatings"] == [
        {"category": "HARM_CATEGORY_HATE_SPEECH", "probability": "NEGLIGIBLE"},
        {"category": "HARM_CATEGORY_UNSPECIFIED", "probability": "LOW"},
    ]
    assert worded["promptFeedback"] == {"blockReason": "SAFETY"}
    assert worded["usageMetadata"]["promptTokensDetails"][0]["modality"] == "TEXT"
    assert relay(stream(NUMBERED), raw=True).body == stream(NUMBERED)


def test_numbers_in_arguments_alone_are_no_reason_to_change_anything() -> None:
    body = stream(chunk(call(args={"category": 3})), STOP)
    assert relay(body).body == body
    assert words_for_numbers(json.dumps(chunk(call(args={"category": 3}))).encode()) is None


def test_after_a_number_common_chunks_are_looked_at_too() -> None:
    details = {"promptTokensDetails": [{"modality": 1, "tokenCount": 2}], "promptTokenCount": 2, "totalTokenCount": 2}
    body = stream(*(chunk("a", usageMetadata=details) for _ in range(4)), STOP)
    assert relay(body).watch.repaired == {"numeric-enums": 4}


# Errors and ends.

ERROR = {"error": {"code": 503, "message": "busy", "status": "UNAVAILABLE"}}


@pytest.mark.parametrize("array", [False, True], ids=["sse", "array"])
@pytest.mark.parametrize("odd", [frame(ERROR), b"event: error\n" + frame(ERROR), json.dumps(ERROR, indent=2).encode()])
def test_an_error_is_said_in_the_one_form_that_every_client_reads(odd: bytes, array: bool) -> None:
    relayed = relay(stream(chunk("a"), STOP) + odd, array=array)
    read = read_strictly(relayed.body, array=array)
    assert read.error == ERROR["error"]
    assert read.candidates[0].text == "a"
    assert isinstance(relayed.watch.error, UpstreamFailed)
    assert not relayed.watch.complete


@pytest.mark.parametrize("array", [False, True], ids=["sse", "array"])
@pytest.mark.parametrize(
    "body", [b"", stream(chunk("a")), stream(chunk("a")).rstrip(), stream(chunk("a")) + b"data: {"]
)
def test_a_clean_end_too_early_is_said(body: bytes, array: bool) -> None:
    relayed = relay(body, array=array)
    read = read_strictly(relayed.body, array=array)
    assert read.error["message"] == "acme broke off before the answer was finished"
    assert isinstance(relayed.watch.error, UpstreamBroke)


def test_a_last_frame_without_its_end_still_counts() -> None:
    body = stream(chunk("a"), STOP).rstrip()
    relayed = relay(body)
    assert relayed.body == body
    assert relayed.watch.complete


def test_what_is_no_chunk_ends_the_stream() -> None:
    relayed = relay(stream(chunk("a")) + b"data: {]\n\n" + stream(chunk("b"), STOP))
    assert read_strictly(relayed.body).candidates[0].text == "a"
    assert "not JSON" in str(relayed.watch.error)


def test_a_blocked_prompt_is_complete() -> None:
    body = stream({"promptFeedback": {"blockReason": "SAFETY"}})
    relayed = relay(body)
    assert relayed.body == body
    assert relayed.watch.complete
    assert relayed.watch.finishes == {0: "SAFETY"}


def test_a_silence_is_broken_by_a_blank_line_also_before_anything_was_said() -> None:
    for array in (False, True):
        one = relayer(array=array)
        out = [one.keepalive()]
        for part in (chunk("a"), STOP):
            out += [*one.feed(SseDecoder().feed(frame(part))), one.keepalive()]
        out += one.end()
        assert read_strictly(b"".join(out), array=array).candidates[0].finish == "STOP"


# The short way.


@pytest.mark.parametrize("end", [b"\r\n\r\n", b"\n\n"])
def test_the_short_way_takes_text_that_goes_on(end: bytes) -> None:
    one = relayer()
    assert one.pass_on(frame(chunk("a"), end)) is None, "not before the answer is known"
    one.feed(SseDecoder().feed(frame(chunk("a"), end)))
    assert one.pass_on(frame(chunk("bc", usageMetadata=USAGE), end)) == frame(chunk("bc", usageMetadata=USAGE), end)
    assert one.pass_on(frame(chunk(thought("t"), at=None), end)) is not None
    assert one.watch.narrow_chars == 4
    one.settle()
    assert one.watch.raw_usage == USAGE


NOT_COMMON: dict[str, bytes] = {
    "the last": frame(chunk("a", finish="STOP")),
    "another choice": frame(chunk("a", at=1)),
    "a call": frame(chunk(call())),
    "a signature": frame(chunk({"text": "a", "thoughtSignature": "AAEC"})),
    "two parts": frame(chunk("a", "b")),
    "sources": frame(chunk("a", candidate={"groundingMetadata": {"groundingChunks": []}})),
    "an error": frame(ERROR),
    "a block": frame(chunk("a", promptFeedback={"blockReason": "SAFETY"})),
    "a count that is none": frame(chunk("a", usageMetadata={"promptTokenCount": "x"})),
    "separators": frame(chunk("\u2028")),
    "no UTF-8": frame(chunk("a", x="é")).replace("é".encode(), b"\xff"),
    "two frames": frame(chunk("a")) + frame(chunk("b")),
    "half a frame": frame(chunk("a"))[:-1],
    "one line end too many": frame(chunk("a")) + b"\r\n",
    "an event line": b"event: x\r\n" + frame(chunk("a")),
    "nothing": b"",
}


@pytest.mark.parametrize("data", NOT_COMMON.values(), ids=NOT_COMMON)
def test_the_short_way_leaves_everything_else_alone(data: bytes) -> None:
    one = relayer()
    one.feed(SseDecoder().feed(frame(chunk("a"))))
    before = one.watch.narrow_chars, one.watch.usage
    assert one.pass_on(data) is None
    assert (one.watch.narrow_chars, one.watch.usage) == before


# What the watch knows.


def test_text_that_no_report_covers_is_known() -> None:
    first = {"promptTokenCount": 9, "totalTokenCount": 9}
    one = relayer()
    for value in (chunk("abc", usageMetadata=first), chunk("def", usageMetadata=first)):
        one.feed(SseDecoder().feed(frame(value)))
    assert one.watch.uncovered == (6, 0), "a first report counts the prompt alone"
    one.feed(SseDecoder().feed(frame(chunk("ghi", usageMetadata=USAGE))))
    assert one.watch.uncovered == (0, 0)
    one.feed(SseDecoder().feed(frame(chunk("jk"))))
    assert one.watch.uncovered == (2, 0)
    one.settle()
    assert one.watch.raw_usage == USAGE


def test_a_report_without_a_count_replaces_none() -> None:
    body = stream(
        chunk("a"),
        chunk("b", usageMetadata=USAGE),
        chunk("c", usageMetadata={"trafficType": "X"}),
        chunk("", finish="STOP"),
    )
    watch = relay(body).watch
    assert watch.raw_usage == USAGE
    check_watch(watch, decode(body))


def test_what_has_been_seen() -> None:
    watch = relay(stream(chunk("ab"), chunk(call(args={"x": 1})), STOP)).watch
    assert (watch.response_id, watch.model) == ("r-1", "gemini-3-flash")
    assert watch.choices == {0}
    assert watch.finishes == {0: "STOP"}
    assert watch.narrow_chars == 2 + len('{"x":1}')
    assert watch.content_seen
    assert watch.done


@pytest.mark.parametrize(
    "part", [call(), {"inlineData": {"mimeType": "image/png", "data": "AAEC"}}, {"executableCode": {}}, "a"]
)
def test_content_is_whatever_somebody_asked_for(part: Any) -> None:
    one = relayer()
    one.feed(SseDecoder().feed(frame({"usageMetadata": USAGE})))
    assert not one.watch.content_seen
    one.feed(SseDecoder().feed(frame(chunk(part))))
    assert one.watch.content_seen
