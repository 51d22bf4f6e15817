"""Gemini streams into events: tables of wire and canon, and every cut of each."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.dialects.gemini.streams import (
    GEMINI,
    PROFILE,
    USAGE,
    answer,
    call,
    chunk,
    cuts_of,
    decode,
    frame,
    stream,
    thought,
)
from thalweg.canon.errors import UpstreamBroke, UpstreamFailed
from thalweg.canon.events import PartDelta, Pinged, ResponseFailed, ResponseStarted, UsageReported
from thalweg.canon.finish import FinishReason
from thalweg.canon.fold import fold
from thalweg.canon.parts import Citation, Media, Opaque, Part, Reasoning, Signature, Text, ToolCall
from thalweg.canon.response import Response
from thalweg.dialects.gemini.tables import FINISH_TO_CANON, NUMBERED_FINISH
from thalweg.framing.sse import Frame


def sig(data: str = "AAEC") -> Signature:
    return Signature(vendor="google", model="gemini-3-flash", kind="thought", data=data)


def parts(*values: Any) -> tuple[Part, ...]:
    return answer(*values).choices[0].parts


def thoughts(text: str, signature: Signature | None = None) -> Reasoning:
    return Reasoning(text=text, form="summary", signature=signature)


def tool(arguments: str = "{}", name: str = "f", call_id: str = "c1", signature: Signature | None = None) -> ToolCall:
    return ToolCall(id=call_id, name=name, arguments=arguments, signature=signature)


STOP = chunk("", finish="STOP")
PARTS: dict[str, tuple[list[Any], list[Part]]] = {
    "text goes on over chunks": ([chunk("a"), chunk("b"), chunk("c", finish="STOP")], [Text(text="abc")]),
    "several parts in one chunk": ([chunk("a", "b", finish="STOP")], [Text(text="ab")]),
    "an empty text is none": ([chunk(""), STOP], []),
    "thoughts, then text": ([chunk(thought("t")), chunk(thought("u"), "a"), STOP], [thoughts("tu"), Text(text="a")]),
    "text after thoughts again": (
        [chunk("a"), chunk(thought("t")), chunk("b"), STOP],
        [Text(text="a"), thoughts("t"), Text(text="b")],
    ),
    "a signature on an empty text is a text of its own": (
        [chunk("a"), chunk({"text": "", "thoughtSignature": "AAEC"}, finish="STOP")],
        [Text(text="a"), Text(text="", signature=sig())],
    ),
    "and what follows it is another": (
        [chunk("a"), chunk({"text": "", "thoughtSignature": "AAEC"}), chunk("b"), STOP],
        [Text(text="a"), Text(text="", signature=sig()), Text(text="b")],
    ),
    "two of them": (
        [chunk("a", {"text": "", "thoughtSignature": "AAEC"}, {"text": "", "thoughtSignature": "BBBB"}), STOP],
        [Text(text="a"), Text(text="", signature=sig()), Text(text="", signature=sig("BBBB"))],
    ),
    "a signed text stands alone": (
        [chunk("a"), chunk({"text": "b", "thoughtSignature": "AAEC"}), chunk("c"), STOP],
        [Text(text="a"), Text(text="b", signature=sig()), Text(text="c")],
    ),
    "an empty thought hands its signature on": (
        [chunk(thought("t")), chunk(thought("", thoughtSignature="AAEC"), "a"), STOP],
        [thoughts("t", sig()), Text(text="a")],
    ),
    "an empty thought after nothing": (
        [chunk(thought("", thoughtSignature="AAEC"), "a"), STOP],
        [thoughts("", sig()), Text(text="a")],
    ),
    "signed thoughts stand alone": (
        [chunk(thought("t"), thought("u", thoughtSignature="AAEC"), thought("v")), STOP],
        [thoughts("t"), thoughts("u", sig()), thoughts("v")],
    ),
    "a signature is kept in the standard alphabet": (
        [chunk({"text": "", "thoughtSignature": "_-8A"}, finish="STOP")],
        [Text(text="", signature=sig("/+8A"))],
    ),
    "a signature that is no base64 is none": (
        [chunk({"text": "a", "thoughtSignature": "?!"}, finish="STOP")],
        [Text(text="a")],
    ),
    "a call, whole": ([chunk(call(args={"a": 1}, id="c1"), finish="STOP")], [tool('{"a":1}')]),
    "its arguments keep their bytes": (
        [chunk(call(args={"n": 1.0, "big": 12345678901234567890, "s": "é"}, id="c1"), finish="STOP")],
        [tool('{"n":1.0,"big":12345678901234567890,"s":"é"}')],
    ),
    "a call without arguments": ([chunk(call(id="c1"), finish="STOP")], [tool()]),
    "a call with null arguments": (
        [chunk({"functionCall": {"name": "f", "args": None, "id": "c1"}}, finish="STOP")],
        [tool()],
    ),
    "a signed call": (
        [chunk(call(args={}, id="c1", thoughtSignature="AAEC"), call(name="g", id="c2")), STOP],
        [tool(signature=sig()), tool(name="g", call_id="c2")],
    ),
    "a call in pieces": (
        [
            chunk(call(id="c1", willContinue=True, thoughtSignature="AAEC")),
            chunk(pieces := {"functionCall": {"partialArgs": [{"jsonPath": "$.a.b[0]", "stringValue": "x"}], "willContinue": True}}),
            chunk({"functionCall": {"partialArgs": [{"jsonPath": "$.a.b[0]", "stringValue": "y"}, {"jsonPath": "$.a.b[1]", "numberValue": 2}, {"jsonPath": "$['k']", "boolValue": False}, {"jsonPath": "$.n", "nullValue": "NULL_VALUE"}], "willContinue": True}}),
            chunk({"functionCall": {}}, finish="STOP"),
        ],
        [tool('{"a":{"b":["xy",2]},"k":false,"n":null}', signature=sig())],
    ),
    "its end may be missing before another": (
        [chunk(call(id="c1", willContinue=True)), chunk(pieces), chunk(call(name="g", id="c2")), STOP],
        [tool('{"a":{"b":["x"]}}'), tool(name="g", call_id="c2")],
    ),
    "its end may be missing before a text": (
        [chunk(call(id="c1", willContinue=True)), chunk(pieces), chunk("a"), STOP],
        [tool('{"a":{"b":["x"]}}'), Text(text="a")],
    ),
    "the limit cuts it": (
        [chunk(call(id="c1", willContinue=True)), chunk(pieces, finish="MAX_TOKENS")],
        [tool('{"a":{"b":["x')],
    ),
    "a picture": (
        [chunk({"inlineData": {"mimeType": "image/png", "data": "AAEC"}}, finish="STOP")],
        [Media(kind="image", mime="image/png", data="AAEC")],
    ),
    "code that Google ran": (
        [chunk({"executableCode": {"code": "1"}, "thoughtSignature": "AAEC"}), chunk("a", finish="STOP")],
        [Opaque(dialect="gemini", raw={"executableCode": {"code": "1"}, "thoughtSignature": "AAEC"}), Text(text="a")],
    ),
    "an empty part is none": ([chunk({}, "a", finish="STOP")], [Text(text="a")]),
    "parts after the finish reason": ([chunk("a", finish="STOP"), chunk("b", finish="STOP")], [Text(text="ab")]),
    "no index": ([chunk("a", at=None, finish="STOP")], [Text(text="a")]),
}  # fmt: skip


@pytest.mark.parametrize("case", PARTS.values(), ids=PARTS)
def test_parts(case: tuple[list[Any], list[Part]]) -> None:
    values, expected = case
    response = answer(*values)
    assert response.complete
    assert list(response.choices[0].parts) == expected


@pytest.mark.parametrize("case", PARTS.values(), ids=PARTS)
def test_every_cut_reads_the_same(case: tuple[list[Any], list[Part]]) -> None:
    values, _ = case
    for end in (b"\r\n\r\n", b"\n\n", b"\r\r"):
        whole = stream(*values, end=end)
        assert fold(decode(cuts_of(whole, 1))) == fold(decode(whole))


@pytest.mark.parametrize("case", PARTS.values(), ids=PARTS)
def test_an_array_of_the_chunks_reads_the_same(case: tuple[list[Any], list[Part]]) -> None:
    values, _ = case
    body = json.dumps(values, separators=(",", ":"), ensure_ascii=False).encode()
    assert fold(decode(body, array=True)) == answer(*values)


def test_a_delta_leaves_with_its_chunk() -> None:
    events = decode(stream(chunk("a"), chunk("b"), STOP))
    assert [event.text for event in events if isinstance(event, PartDelta)] == ["a", "b"]


def test_calls_without_ids_get_some_that_are_the_same_every_time() -> None:
    first = parts(chunk(call(), call()), STOP)
    ids = [part.id for part in first if isinstance(part, ToolCall)]
    assert len(set(ids)) == 2
    assert first == parts(chunk(call(), call()), STOP)


def test_several_choices_keep_their_parts_apart() -> None:
    both = {
        "candidates": [
            chunk("a", at=0)["candidates"][0],
            chunk("x", at=1)["candidates"][0],
        ]
    }
    response = answer(both, chunk("b", finish="STOP"), chunk("y", at=1, finish="MAX_TOKENS"))
    assert [(c.index, c.parts, c.finish_reason) for c in response.choices] == [
        (0, (Text(text="ab"),), FinishReason.STOP),
        (1, (Text(text="xy"),), FinishReason.LENGTH),
    ]


def test_a_choice_that_has_not_finished_is_not_whole() -> None:
    response = answer(chunk("a", finish="STOP"), chunk("x", at=1))
    assert isinstance(response.error, UpstreamBroke)


# Why it ended.


@pytest.mark.parametrize(
    ("raw", "reason"),
    [*FINISH_TO_CANON.items(), ("PUP_LIMITED_DISABLED", FinishReason.UNKNOWN), ("NEW", FinishReason.UNKNOWN)],
)
def test_finish_reasons(raw: str, reason: FinishReason) -> None:
    choice = answer(chunk("a", finish=raw)).choices[0]
    assert (choice.finish_reason, choice.raw_finish_reason) == (reason, raw)


@pytest.mark.parametrize(("number", "word"), list(enumerate(NUMBERED_FINISH))[1:])
def test_finish_reasons_as_numbers(number: int, word: str) -> None:
    choice = answer(chunk("a", finish=number)).choices[0]
    assert choice.raw_finish_reason == str(number)
    assert choice.finish_reason == FINISH_TO_CANON[word]


@pytest.mark.parametrize("raw", [None, "", "FINISH_REASON_UNSPECIFIED", 0, [], True])
def test_what_says_no_reason_does_not_finish(raw: Any) -> None:
    assert isinstance(answer(chunk("a", finish=raw)).error, UpstreamBroke)


def test_stop_after_calls_means_calls() -> None:
    assert answer(chunk(call()), STOP).choices[0].finish_reason is FinishReason.TOOL_CALLS
    assert answer(chunk(call(), finish="MAX_TOKENS")).choices[0].finish_reason is FinishReason.LENGTH


def test_the_last_reason_counts() -> None:
    response = answer(chunk("a", finish="STOP"), chunk("b", finish="SAFETY"))
    assert response.choices[0].finish_reason is FinishReason.CONTENT_FILTER


def test_a_malformed_call_and_nothing_else_is_an_error_worth_another_try() -> None:
    response = answer(chunk(finish="MALFORMED_FUNCTION_CALL"))
    assert isinstance(response.error, UpstreamFailed)
    assert response.error.retryable
    assert response.error.code == "MALFORMED_FUNCTION_CALL"
    assert answer(chunk("a", finish="MALFORMED_FUNCTION_CALL")).complete


@pytest.mark.parametrize(
    ("feedback", "raw"),
    [
        ({"blockReason": "SAFETY"}, "SAFETY"),
        ({"blockReason": 1}, "1"),
        ({"blockReasonMessage": "m"}, "BLOCK_REASON_UNSPECIFIED"),
    ],
)
def test_a_blocked_prompt_is_an_answer_without_content(feedback: Any, raw: str) -> None:
    response = answer({"promptFeedback": feedback, "usageMetadata": {"promptTokenCount": 4, "totalTokenCount": 4}})
    assert response.complete
    (choice,) = response.choices
    assert (choice.parts, choice.finish_reason, choice.raw_finish_reason) == ((), FinishReason.CONTENT_FILTER, raw)
    assert response.usage is not None
    assert (response.usage.input_tokens, response.usage.output_tokens) == (4, 0)


def test_feedback_without_a_block_means_nothing() -> None:
    assert answer({"promptFeedback": {"safetyRatings": []}}).error is not None
    assert answer({"promptFeedback": {"safetyRatings": []}}, STOP).complete


# Usage.

USAGES = {
    "all of it": (
        {"promptTokenCount": 10, "cachedContentTokenCount": 4, "candidatesTokenCount": 5, "thoughtsTokenCount": 3, "toolUsePromptTokenCount": 2, "totalTokenCount": 20},
        (12, 4, 8, 3),
    ),
    "the sum alone says what was made": ({"promptTokenCount": 10, "totalTokenCount": 16}, (10, None, 6, None)),
    "no sum": ({"promptTokenCount": 10, "candidatesTokenCount": 5}, (10, None, 5, None)),
    "a sum without the thoughts": (
        {"promptTokenCount": 10, "candidatesTokenCount": 5, "thoughtsTokenCount": 3, "totalTokenCount": 15},
        (10, None, 8, 3),
    ),
    "a sum that is less than the prompt": ({"promptTokenCount": 10, "candidatesTokenCount": 5, "totalTokenCount": 2}, (10, None, 5, None)),
    "more cached than there is": ({"promptTokenCount": 1, "cachedContentTokenCount": 4, "candidatesTokenCount": 1}, (1, 1, 1, None)),
}  # fmt: skip


@pytest.mark.parametrize("case", USAGES.values(), ids=USAGES)
def test_usage(case: tuple[dict[str, int], tuple[int | None, ...]]) -> None:
    raw, expected = case
    usage = answer(chunk("a", finish="STOP", usageMetadata=raw)).usage
    assert usage is not None
    assert (usage.input_tokens, usage.cached_input_tokens, usage.output_tokens, usage.reasoning_tokens) == expected


def test_sound_is_counted_apart() -> None:
    details = [{"modality": "TEXT", "tokenCount": 2}, {"modality": "AUDIO", "tokenCount": 7}]
    usage = answer(chunk("a", finish="STOP", usageMetadata=USAGE | {"promptTokensDetails": details})).usage
    assert usage is not None
    assert usage.audio_input_tokens == 7


def test_the_last_report_counts_even_if_it_is_smaller_and_one_without_a_count_is_none() -> None:
    response = answer(
        chunk("a", usageMetadata=USAGE | {"totalTokenCount": 447}),
        chunk("b", usageMetadata=USAGE),
        chunk("c", finish="STOP", usageMetadata={"trafficType": "ON_DEMAND"}),
    )
    assert response.raw_usage == USAGE


def test_every_report_is_told_as_it_comes() -> None:
    events = decode(stream(chunk("a", usageMetadata=USAGE), chunk("b", usageMetadata=USAGE), STOP))
    assert len([event for event in events if isinstance(event, UsageReported)]) == 2


# Errors, and ends that are none.

ERROR = {"error": {"code": 503, "message": "busy", "status": "UNAVAILABLE"}}


@pytest.mark.parametrize(
    "body",
    [
        frame(ERROR),
        b"event: error\r\n" + frame(ERROR),
        json.dumps(ERROR, indent=2).encode() + b"\n\n",
        json.dumps([ERROR], indent=2).encode() + b"\r\n\r\n",
        b"data: [" + json.dumps(ERROR).encode() + b"]\n\n",
        frame(ERROR | {"candidates": 5}),
    ],
    ids=["a chunk", "an event", "bare JSON", "a bare array", "an array", "beside nonsense"],
)
def test_an_error_in_the_stream(body: bytes) -> None:
    response = fold(decode(stream(chunk("a"), STOP) + body + frame(chunk("z"))))
    assert isinstance(response.error, UpstreamFailed)
    assert (response.error.message, response.error.code, response.error.provider_type) == ("busy", "503", "UNAVAILABLE")
    assert response.choices[0].parts == (Text(text="a"),)


def test_an_error_says_when_to_come_back() -> None:
    detail = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34.4s"}
    response = answer({"error": ERROR["error"] | {"details": [detail]}})
    assert response.error is not None
    assert response.error.retry_after_s == 34.4


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"data: {}\n\n",
        stream(chunk("a")),
        stream(chunk(call(willContinue=True))),
        b"data: [DONE]\n\n",
        b": hi\n\n",
    ],
)
def test_a_clean_end_too_early_is_an_error(body: bytes) -> None:
    response = fold(decode(body))
    assert isinstance(response.error, UpstreamBroke)
    assert str(response.error) == "acme broke off before the answer was finished"


@pytest.mark.parametrize(
    "body", [b"data: {\n\n", b"data: x\n\n", b"data: 5\n\n", b'data: {"candidates":5}\n\n', b"data: \xff\n\n"]
)
def test_what_is_no_chunk_is_an_error(body: bytes) -> None:
    response = fold(decode(stream(chunk("a")) + body))
    assert isinstance(response.error, UpstreamBroke)
    assert "broke off" not in str(response.error)


def test_an_end_within_a_frame_is_no_fault_of_the_frame() -> None:
    body = stream(chunk("a"), STOP)
    assert fold(decode(body[:-8])).error is not None
    assert "broke off" in str(fold(decode(body[:-8])).error)
    # google-genai reads the last line also where no blank line follows.
    assert fold(decode(body.rstrip())).complete


def test_blank_lines_and_comments_are_signs_of_life() -> None:
    events = decode(b"\r\n: hi\r\n\r\n" + stream(STOP))
    assert any(isinstance(event, Pinged) for event in events)


def test_events_with_one_line_end_between_them_are_read() -> None:
    assert answer_of(b"".join(frame(value, b"\n") for value in (chunk("a"), chunk("b"), STOP)) + b"\n") == "ab"


def answer_of(body: bytes) -> str:
    return "".join(part.text for part in fold(decode(body)).choices[0].parts if isinstance(part, Text))


def test_a_frame_over_the_bound_is_an_error() -> None:
    decoder = GEMINI.stream_decoder(profile=PROFILE, provider="acme")
    (*_, failed) = decoder.feed([Frame(raw=b"", data=None, dropped_bytes=99)])
    assert isinstance(failed, ResponseFailed)
    assert "more than 99 bytes" in str(failed.error)


def test_the_answer_is_named_by_the_first_chunk_that_says_something() -> None:
    events = decode(stream({"x": 1}, chunk("a"), STOP))
    (started,) = [event for event in events if isinstance(event, ResponseStarted)]
    assert (started.response_id, started.model) == ("r-1", "gemini-3-flash")


# What goes with a text.


def grounding(*urls: str, supports: Any = ()) -> dict[str, Any]:
    chunks = [{"web": {"uri": url, "title": url.upper()}} for url in urls]
    return {"groundingMetadata": {"groundingChunks": chunks, "groundingSupports": list(supports)}}


def cited(response: Response) -> list[tuple[Citation, ...]]:
    return [part.citations for part in response.choices[0].parts if isinstance(part, Text)]


def test_sources_belong_to_the_text() -> None:
    support = {"segment": {"startIndex": 1, "endIndex": 3, "text": "bc"}, "groundingChunkIndices": [0, 7]}
    response = answer(chunk("abc"), chunk("", finish="STOP", candidate=grounding("u", "v", supports=[support])))
    assert cited(response) == [
        (Citation(url="u", title="U", start=1, end=3), Citation(url="v", title="V")),
    ]


def test_places_in_bytes_are_not_told_of_a_text_with_other_letters() -> None:
    support = {"segment": {"endIndex": 3}, "groundingChunkIndices": [0]}
    response = answer(chunk("äbc"), chunk("", finish="STOP", candidate=grounding("u", supports=[support])))
    assert cited(response) == [(Citation(url="u", title="U"),)]


def test_sources_that_come_after_the_signature_still_belong_to_the_text() -> None:
    response = answer(
        chunk("abc"),
        chunk({"text": "", "thoughtSignature": "AAEC"}),
        chunk("", finish="STOP", candidate=grounding("u")),
    )
    assert cited(response) == [(Citation(url="u", title="U"),), ()]


def test_recitations_are_sources_too() -> None:
    metadata = {"citationMetadata": {"citations": [{"endIndex": 2, "uri": "u", "title": ""}, {"uri": ""}, 5]}}
    response = answer(chunk("abc", finish="STOP", candidate=metadata))
    assert cited(response) == [(Citation(url="u", title="", start=0, end=2),)]


def test_log_probabilities_are_in_chats_shape() -> None:
    result = {
        "chosenCandidates": [{"token": "é", "logProbability": -0.5, "tokenId": 7}],
        "topCandidates": [{"candidates": [{"token": "é", "logProbability": -0.5}, {"token": "b"}]}],
    }
    response = answer(chunk("é", candidate={"logprobsResult": result}), chunk("b"), STOP)
    assert response.choices[0].logprobs == {
        "content": [
            {
                "token": "é",
                "logprob": -0.5,
                "bytes": [195, 169],
                "top_logprobs": [
                    {"token": "é", "logprob": -0.5, "bytes": [195, 169]},
                    {"token": "b", "logprob": 0.0, "bytes": [98]},
                ],
            }
        ]
    }
