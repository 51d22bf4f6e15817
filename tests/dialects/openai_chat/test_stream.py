"""Chat streams to events and back: every way in which providers send calls, reasoning, usage, ends and errors."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.dialects.openai_chat.streams import (
    CHAT,
    DONE,
    HEAD,
    answer,
    call,
    calls_of,
    check_events,
    chunk,
    cuts_of,
    decode,
    frame,
    joined,
    read_strictly,
    stream,
    usage_chunk,
)
from thalweg.canon.errors import UpstreamBroke, UpstreamFailed
from thalweg.canon.events import (
    ChoiceFinished,
    Event,
    PartDelta,
    PartEnded,
    PartStarted,
    Pinged,
    ResponseEnded,
    ResponseFailed,
    ResponseStarted,
    UsageReported,
)
from thalweg.canon.finish import FinishReason
from thalweg.canon.fold import fold
from thalweg.canon.parts import Citation, Opaque, Reasoning, Refusal, Signature, Text, ToolCall
from thalweg.canon.request import Request
from thalweg.canon.response import Response
from thalweg.canon.usage import Usage
from thalweg.framing.sse import SseDecoder
from thalweg.profiles.providers import COMPATIBLE


def text(value: str) -> dict[str, Any]:
    return {"content": value}


def one_call(*deltas: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Id, name and arguments of each call that these deltas make."""
    response = answer(*map(chunk, deltas), chunk(finish="tool_calls"))
    assert response.complete
    return [(c.id, c.name, c.arguments) for c in calls_of(response.choices[0])]


# Calls: section 10 of the providers' dossier, and the recordings' oddities.

CALLS: dict[str, tuple[list[dict[str, Any]], list[tuple[str, str, str]]]] = {
    "id and name first, then pieces by index": (
        [
            call(0, id="c1", type="function", name="f", arguments=""),
            call(0, arguments='{"a"'),
            call(0, arguments=":1}"),
        ],
        [("c1", "f", '{"a":1}')],
    ),
    "an empty id and name later": (
        [call(0, id="c1", name="f", arguments=""), call(0, id="", name="", arguments="{}")],
        [("c1", "f", "{}")],
    ),
    "the id in every piece": (
        [call(0, id="c1", name="f", arguments="{"), call(0, id="c1", arguments="}")],
        [("c1", "f", "{}")],
    ),
    "the name in every piece": (
        [call(0, id="c1", name="f", arguments="{"), call(0, id="c1", name="f", arguments="}")],
        [("c1", "f", "{}")],
    ),
    "another id without a name continues": (
        [call(0, id="c1", name="f", arguments="{"), call(0, id="c2", arguments="}")],
        [("c1", "f", "{}")],
    ),
    "no index: another id is another call": (
        [call(None, id="c1", name="f", arguments="{}"), call(None, id="c2", name="g", arguments="[]")],
        [("c1", "f", "{}"), ("c2", "g", "[]")],
    ),
    "no index and no id: the call before goes on": (
        [call(None, id="c1", name="f", arguments="{"), call(None, arguments="}")],
        [("c1", "f", "{}")],
    ),
    "no index, no ids, two names": (
        [call(None, name="f", arguments="{}"), call(None, name="g", arguments="[]")],
        [("", "f", "{}"), ("", "g", "[]")],
    ),
    "one index for calls of different ids": (
        [call(0, id="c1", name="f", arguments="{}"), call(0, id="c2", name="f", arguments="[]")],
        [("c1", "f", "{}"), ("c2", "f", "[]")],
    ),
    "an index that begins at 1 and has gaps": (
        [call(1, id="c1", name="f", arguments="{}"), call(4, id="c2", name="g", arguments="[]")],
        [("c1", "f", "{}"), ("c2", "g", "[]")],
    ),
    "two calls in one delta": (
        [
            {
                "tool_calls": call(0, id="c1", name="f", arguments="{}")["tool_calls"]
                + call(1, id="c2", name="g", arguments="[]")["tool_calls"]
            }
        ],
        [("c1", "f", "{}"), ("c2", "g", "[]")],
    ),
    "interleaved 0, 1, 0": (
        [
            call(0, id="c1", name="f", arguments='{"a"'),
            call(1, id="c2", name="g", arguments="["),
            call(0, arguments=":1}"),
            call(1, arguments="]"),
        ],
        [("c1", "f", '{"a":1}'), ("c2", "g", "[]")],
    ),
    "interleaved where the first looks whole": (
        [
            call(0, id="c1", name="f", arguments="{}"),
            call(1, id="c2", name="g", arguments="["),
            call(0, arguments=""),
            call(1, arguments="]"),
        ],
        [("c1", "f", "{}"), ("c2", "g", "[]")],
    ),
    "arguments as an object": ([call(0, id="c1", name="f", arguments={"a": 1})], [("c1", "f", '{"a":1}')]),
    "arguments null": ([call(0, id="c1", name="f", arguments=None), call(0, arguments="{}")], [("c1", "f", "{}")]),
    "arguments absent": ([call(0, id="c1", name="f"), call(0, arguments="{}")], [("c1", "f", "{}")]),
    "no arguments at all": ([call(0, id="c1", name="f")], [("c1", "f", "")]),
    "arguments that are no JSON": ([call(0, id="c1", name="f", arguments='{"a":')], [("c1", "f", '{"a":')]),
    "the id after the first piece": (
        [call(0, name="f", arguments="{"), call(0, arguments="}")],
        [("", "f", "{}")],
    ),
    "the name after the arguments": (
        [call(0, id="c1", arguments="{"), call(0, name="f", arguments="}")],
        [("c1", "f", "{}")],
    ),
    "never a name": ([call(0, id="c1", arguments="{}")], [("c1", "", "{}")]),
    "an id that is a number": ([call(0, id=7, name="f", arguments="{}")], [("", "f", "{}")]),
    "an index that is a text": ([call("0", id="c1", name="f", arguments="{}")], [("c1", "f", "{}")]),
    "an empty custom beside the function": (
        [
            {
                "tool_calls": [
                    {
                        "index": 0,
                        "id": "c1",
                        "function": {"name": "f", "arguments": "{}"},
                        "custom": {"name": "", "input": ""},
                    }
                ]
            }
        ],
        [("c1", "f", "{}")],
    ),
    "tool_calls null and empty": (
        [{"tool_calls": None}, {"tool_calls": []}, call(0, id="c1", name="f", arguments="{}")],
        [("c1", "f", "{}")],
    ),
}


@pytest.mark.parametrize("case", CALLS)
def test_calls_are_told_apart(case: str) -> None:
    deltas, expected = CALLS[case]
    found = one_call(*deltas)
    assert [(c[1], c[2]) for c in found] == [(c[1], c[2]) for c in expected]
    for got, want in zip(found, expected, strict=True):
        if want[0]:
            assert got[0] == want[0]
        else:
            assert got[0].startswith("call_"), "made up"
    assert len({c[0] for c in found}) == len(found)


def test_a_made_up_id_is_the_same_for_the_same_answer() -> None:
    first, again = (one_call(call(0, name="f", arguments="{}")) for _ in range(2))
    assert first == again


def test_a_call_in_the_finish_chunk() -> None:
    response = answer(chunk(text("a")), chunk(call(0, id="c1", name="f", arguments="{}"), finish="tool_calls"))
    assert [c.id for c in calls_of(response.choices[0])] == ["c1"]
    assert response.choices[0].finish_reason is FinishReason.TOOL_CALLS


def test_interleaved_deltas_wait_until_the_open_call_is_whole() -> None:
    decoder, sse = CHAT.stream_decoder(profile=COMPATIBLE, provider=""), SseDecoder()

    def feed(delta: dict[str, Any]) -> list[str]:
        return [
            type(e).__name__ for e in decoder.feed(sse.feed(frame(chunk(delta)))) if not isinstance(e, ResponseStarted)
        ]

    assert feed(call(0, id="c1", name="f", arguments="{")) == ["PartStarted", "PartDelta"]
    assert feed(call(1, id="c2", name="g", arguments="[")) == []
    assert feed(call(0, arguments="}")) == ["PartDelta", "PartEnded", "PartStarted", "PartDelta"]
    assert feed(call(1, arguments="]")) == ["PartDelta"]


def test_free_text_of_a_custom_tool_is_never_taken_for_whole() -> None:
    """Its input may be JSON by chance, and go on."""

    def piece(index: int, **custom: str) -> dict[str, Any]:
        return {"tool_calls": [{"index": index, "id": f"c{index}", "type": "custom", "custom": custom}]}

    response = answer(
        chunk(piece(0, name="math", input="4")),
        chunk(piece(1, name="math", input="5")),
        chunk(piece(0, input=" + 4")),
        chunk(piece(1, input=" + 5"), finish="tool_calls"),
    )
    assert [(c.kind, c.name, c.arguments) for c in calls_of(response.choices[0])] == [
        ("custom", "math", "4 + 4"),
        ("custom", "math", "5 + 5"),
    ]


def test_the_old_function_call_is_one_call_with_an_id_of_its_name() -> None:
    response = answer(
        chunk({"content": None, "function_call": {"name": "f", "arguments": ""}}),
        chunk({"function_call": {"arguments": "{}"}}),
        chunk(finish="function_call"),
    )
    assert calls_of(response.choices[0]) == [ToolCall(id="legacy_f", name="f", arguments="{}", kind="legacy")]
    assert response.choices[0].finish_reason is FinishReason.TOOL_CALLS


def test_an_empty_function_call_beside_everything_else_is_none() -> None:
    response = answer(chunk({"content": "a", "function_call": {"name": "", "arguments": ""}}, finish="stop"))
    assert calls_of(response.choices[0]) == []
    assert response.choices[0].finish_reason is FinishReason.STOP


# Text, reasoning, refusals and the rest.


@pytest.mark.parametrize(
    "delta",
    [
        {"reasoning_content": "why"},
        {"reasoning": "why"},
        {
            "reasoning_details": [
                {"type": "reasoning.text", "text": "wh"},
                {"type": "reasoning.summary", "summary": "y"},
            ]
        },
        {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "why"}]}]},
        {"content": [{"type": "thinking", "thinking": "why"}]},
        {"reasoning_content": "why", "reasoning": "why", "reasoning_details": [{"text": "why"}]},
        {"reasoning_content": "", "reasoning": "why"},
        {"reasoning_content": None, "reasoning": "why", "content": None},
    ],
)
def test_reasoning_is_read_from_one_of_its_places_and_never_added(delta: dict[str, Any]) -> None:
    response = answer(chunk(delta), chunk(text("so"), finish="stop"))
    assert response.choices[0].parts == (Reasoning(text="why"), Text(text="so"))


def test_a_signature_comes_with_the_end_of_its_reasoning() -> None:
    response = answer(
        chunk({"reasoning": "why", "reasoning_details": [{"type": "reasoning.text", "text": "why"}]}),
        chunk({"reasoning_details": [{"type": "reasoning.text", "signature": "s1", "format": "anthropic-claude-v1"}]}),
        chunk(text("so")),
        chunk({"reasoning_details": [{"type": "reasoning.encrypted", "data": "e1"}]}, finish="stop"),
    )
    first, so, second = response.choices[0].parts
    assert first == Reasoning(
        text="why", signature=Signature(vendor="openrouter", model="m-1", kind="anthropic-claude-v1", data="s1")
    )
    assert so == Text(text="so")
    assert second == Reasoning(
        text="", signature=Signature(vendor="openrouter", model="m-1", kind="reasoning.encrypted", data="e1")
    )


@pytest.mark.parametrize(
    "details", [[None], ["x"], [{}], [{"text": 5}], [{"signature": 5}], [{"signature": ""}], "x", {}]
)
def test_details_of_another_shape_say_nothing(details: Any) -> None:
    assert answer(chunk({"content": "a", "reasoning_details": details}, finish="stop")).choices[0].parts == (
        Text(text="a"),
    )


@pytest.mark.parametrize(
    ("content", "read"),
    [
        ("a", "a"),
        ([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}], "ab"),
        ([{"type": "image_url"}, {"type": "text", "text": "a"}, {"type": "text"}, None, 5], "a"),
        (None, ""),
        ([], ""),
        (5, ""),
        ({"type": "text"}, ""),
    ],
)
def test_content_is_a_string_or_a_list_of_parts(content: Any, read: str) -> None:
    assert joined(answer(chunk({"content": content}, finish="stop")).choices[0], Text) == read


def test_a_refusal_is_a_part_of_its_own() -> None:
    response = answer(
        chunk({"refusal": ""}), chunk({"refusal": "I "}), chunk({"refusal": "won't"}), chunk(finish="stop")
    )
    assert response.choices[0].parts == (Refusal(text="I won't"),)


def test_annotations_and_sound_are_kept_as_they_came_and_break_no_open_part() -> None:
    events = decode(
        stream(
            chunk(text("a")),
            chunk({"annotations": [{"type": "url_citation"}]}),
            chunk(text("b")),
            chunk({"audio": {"id": "x"}, "annotations": []}),
            chunk({"audio": {"id": None}}),
            chunk(finish="stop"),
        )
    )
    parts = fold(events).choices[0].parts
    assert parts == (
        Text(text="a"),
        Opaque(dialect="openai-chat", raw={"annotations": [{"type": "url_citation"}]}),
        Text(text="b"),
        Opaque(dialect="openai-chat", raw={"audio": {"id": "x"}}),
    )


def test_an_opaque_part_is_whole_at_once() -> None:
    decoder, sse = CHAT.stream_decoder(profile=COMPATIBLE, provider=""), SseDecoder()
    events = decoder.feed(sse.feed(frame(chunk({"audio": {"id": "x"}}))))
    assert [type(event) for event in events] == [ResponseStarted, PartStarted, PartEnded]


def test_every_delta_keeps_its_logprobs_the_first_one_too() -> None:
    def tokens(token: str) -> dict[str, Any]:
        return {"content": [{"token": token, "logprob": -0.5}], "refusal": None}

    response = answer(
        chunk({"role": "assistant", "content": ""}, logprobs={"content": []}),
        chunk(text("a"), logprobs=tokens("a")),
        chunk(text("b"), logprobs=tokens("b")),
        chunk(finish="stop"),
    )
    assert response.choices[0].logprobs == {"content": [{"token": t, "logprob": -0.5} for t in "ab"]}


def test_choices_are_kept_apart() -> None:
    response = answer(
        chunk(text("a"), at=0),
        chunk(text("x"), at=1),
        chunk(text("b"), at=0),
        chunk(finish="stop", at=0),
        chunk(text("y"), at=1, finish="length"),
    )
    assert [(c.index, joined(c, Text), c.raw_finish_reason) for c in response.choices] == [
        (0, "ab", "stop"),
        (1, "xy", "length"),
    ]


@pytest.mark.parametrize("index", [None, "0", -1, 1.5])
def test_a_choice_without_a_good_index_is_the_first(index: Any) -> None:
    assert answer(chunk(text("a"), at=index, finish="stop")).choices[0].index == 0


# The head.


def test_azures_first_chunk_does_not_begin_the_answer() -> None:
    azure = {"id": "", "object": "", "created": 0, "model": "", "choices": [], "prompt_filter_results": []}
    events = decode(stream(azure, chunk(text("a"), finish="stop", system_fingerprint="fp", service_tier="default")))
    assert events[0] == ResponseStarted(
        response_id="chatcmpl-1",
        model="m-1",
        created=1700000000,
        extras={"system_fingerprint": "fp", "service_tier": "default"},
    )


@pytest.mark.parametrize("value", [5, ["x"], {"a": 1}, True])
def test_a_head_of_wrong_types_is_read_as_an_empty_one(value: Any) -> None:
    response = answer(chunk(text("a"), finish="stop", id=value, model=value, system_fingerprint=value))
    assert (response.response_id, response.model, response.extras) == ("", "", {})


@pytest.mark.parametrize("body", [DONE, frame(usage_chunk() | {"id": None}) + DONE, b": hi\n\n" + DONE])
def test_an_answer_of_nothing_still_starts(body: bytes) -> None:
    assert fold(decode(body)).complete


# Usage.

COUNTS = {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8}
USAGE_PLACES: dict[str, list[dict[str, Any]]] = {
    "a chunk of its own": [chunk(text("a"), finish="stop"), HEAD | {"choices": [], "usage": COUNTS}],
    "the finish chunk": [chunk(text("a"), finish="stop", usage=COUNTS)],
    "null before": [chunk(text("a"), usage=None), chunk(finish="stop", usage=COUNTS)],
    "every chunk, growing": [
        chunk(text("a"), usage=COUNTS | {"completion_tokens": 1}),
        chunk(finish="stop", usage=COUNTS),
    ],
    "twice": [chunk(text("a"), finish="stop", usage=COUNTS), HEAD | {"choices": [], "usage": COUNTS}],
    "a chunk without choices": [chunk(text("a"), finish="stop"), HEAD | {"usage": COUNTS}],
    "before the first text": [HEAD | {"choices": [], "usage": COUNTS}, chunk(text("a"), finish="stop")],
    "then an empty one": [chunk(text("a"), finish="stop", usage=COUNTS), HEAD | {"choices": [], "usage": {}}],
    "then null": [chunk(text("a"), finish="stop", usage=COUNTS), HEAD | {"choices": [], "usage": None}],
}


@pytest.mark.parametrize("place", USAGE_PLACES)
def test_usage_is_the_last_one_with_numbers_wherever_it_rides(place: str) -> None:
    response = answer(*USAGE_PLACES[place])
    assert response.usage == Usage(input_tokens=3, output_tokens=5)
    assert response.raw_usage == COUNTS


@pytest.mark.parametrize(
    ("raw", "usage"),
    [
        (
            {"prompt_tokens": 9, "completion_tokens": 4, "prompt_tokens_details": {"cached_tokens": 8}},
            Usage(input_tokens=9, cached_input_tokens=8, output_tokens=4),
        ),
        (
            {"prompt_tokens": 9, "completion_tokens": 4, "prompt_cache_hit_tokens": 2},
            Usage(input_tokens=9, cached_input_tokens=2, output_tokens=4),
        ),
        (
            {"prompt_tokens": 9, "completion_tokens": 4, "completion_tokens_details": {"reasoning_tokens": 3}},
            Usage(input_tokens=9, output_tokens=4, reasoning_tokens=3),
        ),
        (
            {
                "prompt_tokens": 9,
                "completion_tokens": 4,
                "prompt_tokens_details": None,
                "completion_tokens_details": None,
            },
            Usage(input_tokens=9, output_tokens=4),
        ),
        ({"prompt_tokens": "9", "completion_tokens": True, "total_tokens": 4}, None),
        ({"prompt_tokens": -1, "completion_tokens": 4}, Usage(output_tokens=4)),
        ("x", None),
        ([], None),
        (7, None),
    ],
)
def test_usage_of_any_shape(raw: Any, usage: Usage | None) -> None:
    response = answer(chunk(text("a"), finish="stop", usage=raw))
    assert response.complete
    assert response.usage == usage


# Ends.

FINISHES = [
    ("stop", FinishReason.STOP),
    ("length", FinishReason.LENGTH),
    ("content_filter", FinishReason.CONTENT_FILTER),
    ("sensitive", FinishReason.CONTENT_FILTER),
    ("tool_calls", FinishReason.STOP),
    ("model_context_window_exceeded", FinishReason.CONTEXT_OVERFLOW),
    ("eos", FinishReason.STOP),
]


@pytest.mark.parametrize(("raw", "reason"), FINISHES)
def test_the_reason_is_ours_and_the_word_is_kept(raw: str, reason: FinishReason) -> None:
    choice = answer(chunk(text("a"), finish=raw)).choices[0]
    assert (choice.finish_reason, choice.raw_finish_reason) == (reason, raw)


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ("stop", FinishReason.REFUSAL),
        ("length", FinishReason.LENGTH),
        ("content_filter", FinishReason.CONTENT_FILTER),
    ],
)
def test_a_refusal_is_known_by_its_words(raw: str, reason: FinishReason) -> None:
    assert answer(chunk({"refusal": "no"}, finish=raw)).choices[0].finish_reason is reason


@pytest.mark.parametrize("raw", [None, "", "null", 5, True, {}])
def test_what_is_no_reason_does_not_end_a_choice(raw: Any) -> None:
    assert fold(decode(stream(chunk(text("a"), finish=raw), done=False))).error is not None
    choice = answer(chunk(text("a"), finish=raw)).choices[0]
    assert (choice.finish_reason, choice.raw_finish_reason) == (FinishReason.UNKNOWN, None)


@pytest.mark.parametrize(
    ("raw", "reason"),
    [("stop", FinishReason.TOOL_CALLS), (None, FinishReason.TOOL_CALLS), ("length", FinishReason.LENGTH)],
)
def test_a_turn_with_calls_is_known_by_its_calls(raw: str | None, reason: FinishReason) -> None:
    assert answer(chunk(call(0, id="c", name="f", arguments="{}"), finish=raw)).choices[0].finish_reason is reason


def test_a_reason_said_twice_finishes_once_and_text_after_it_is_kept() -> None:
    response = answer(chunk(text("a"), finish="stop"), chunk(text("b")), chunk(finish="stop", usage=COUNTS))
    assert joined(response.choices[0], Text) == "ab"
    assert response.complete


def test_without_the_end_mark_an_answer_is_complete_once_every_choice_has_finished() -> None:
    assert fold(decode(stream(chunk(text("a"), finish="stop"), done=False))).complete
    assert not fold(decode(stream(chunk(text("a"), finish="stop"), chunk(text("b"), at=1), done=False))).complete


def test_a_stream_that_ends_early_after_any_frame_broke_off_unless_every_choice_had_finished() -> None:
    values = [
        chunk({"role": "assistant", "content": ""}),
        chunk({"reasoning_content": "r"}),
        chunk(text("a")),
        chunk(call(0, id="c1", name="f", arguments="{")),
        chunk(call(1, id="c2", name="g", arguments="{}")),
        chunk(call(0, arguments="}")),
        chunk(text("x"), at=1),
        chunk(finish="tool_calls"),
        chunk(finish="stop", at=1),
        usage_chunk(),
    ]
    for n in range(len(values) + 1):
        response = fold(decode(stream(*values[:n], done=False)))
        assert response.complete is (n >= 9), n
        if n < 9:
            assert isinstance(response.error, UpstreamBroke), n
            assert "acme" in response.error.message
        if n >= 4:
            assert [c.name for c in calls_of(response.choices[0])] == ["f", "g"][: n - 3], "what came is never lost"


def test_the_end_of_a_body_within_a_frame_is_no_bad_frame() -> None:
    """SDKs never see a frame that no empty line closes: it counts for nothing unless it is whole."""
    body = stream(chunk(text("a"), finish="stop"), usage_chunk())
    first = len(stream(chunk(text("a"), finish="stop"), done=False))
    for at in range(first, len(body) + 1):
        response = fold(decode(body[:at]))
        assert response.complete, at
    for at in range(first - 2):
        response = fold(decode(body[:at]))
        assert isinstance(response.error, UpstreamBroke)
        assert "broke off" in response.error.message


def test_what_comes_after_the_end_mark_is_nothing() -> None:
    response = fold(decode(stream(chunk(text("a"), finish="stop")) + frame(chunk(text("b"))) + b"data: junk\n\n"))
    assert joined(response.choices[0], Text) == "a"
    assert response.complete


# Errors: section 7.2 of the dossier.

ERRORS: dict[str, tuple[bytes, tuple[str, str | None, str | None]]] = {
    "an object": (frame({"error": {"message": "m", "type": "t", "code": "c"}}), ("m", "t", "c")),
    "an object with a number as code": (frame({"error": {"message": "m", "code": 502}}), ("m", None, "502")),
    "a text": (frame({"error": "m"}), ("m", None, None)),
    "beside choices": (frame(chunk(text("b")) | {"error": {"message": "m", "code": 400}}), ("m", None, "400")),
    "an event line": (b"event: error\n" + frame({"error": {"message": "m", "type": "t"}}), ("m", "t", None)),
    "an event line and a flat object": (b"event: error\n" + frame({"message": "m", "code": "c"}), ("m", None, "c")),
    "a field named error": (b'error: {"code":500,"message":"m"}\n\n', ("m", None, "500")),
    "vLLM's flat object": (frame({"object": "error", "message": "m", "type": "t", "code": 400}), ("m", "t", "400")),
    "choices of a shape that is none": (frame({"choices": 5, "error": {"message": "m"}}), ("m", None, None)),
    "no message": (frame({"error": {"code": "c"}}), ("the upstream gave no reason", None, "c")),
    "neither object nor text": (
        frame({"error": [1]}),
        ("the upstream reported an error and gave no reason", None, None),
    ),
    "a key in the message": (
        frame({"error": {"message": "bad key sk-abcdef123456"}}),
        ("bad key [hidden]", None, None),
    ),
}


@pytest.mark.parametrize("case", ERRORS)
@pytest.mark.parametrize("finished", [False, True], ids=["in the middle", "after the finish"])
def test_an_error_in_the_stream_ends_it_and_the_end_mark_after_it_is_nothing(case: str, finished: bool) -> None:
    wire, said = ERRORS[case]
    events = decode(stream(chunk(text("a"), finish="stop" if finished else None), done=False) + wire + DONE)
    response = fold(events)
    error = response.error
    assert isinstance(error, UpstreamFailed)
    assert (error.message, error.provider_type, error.code) == said
    assert joined(response.choices[0], Text).startswith("a")
    assert not response.complete


@pytest.mark.parametrize("value", [None, {}, "", False, 0, []])
def test_an_error_that_is_empty_is_none(value: Any) -> None:
    assert answer(chunk(text("a"), finish="stop", error=value)).complete


BAD_FRAMES = {
    "no JSON": b"data: hello\n\n",
    "half an object": b'data: {"id":\n\n',
    "two spaces before the end mark": b"data:  [DONE]\n\n",
    "the end mark in small letters": b"data: [done]\n\n",
    "a list": b"data: []\n\n",
    "a number": b"data: 5\n\n",
    "null": b"data: null\n\n",
    "choices that are a number": b'data: {"choices":5}\n\n',
    "a wrong shape and no JSON after it": b'data: {"choices":5,\n\n',
    "a choice that is null": b'data: {"choices":[null]}\n\n',
    "a delta that is a text": b'data: {"choices":[{"delta":"x"}]}\n\n',
    "bytes that are no UTF-8": b'data: {"id":"\xff","choices":[]}\n\n',
    "bytes that are no UTF-8 in a field that nobody reads": b'data: {"id":"x","zz":"\xff","choices":[]}\n\n',
    "a depth bomb": b'data: {"id":' + b"[" * 100_000 + b"\n\n",
    "a deep value": b'data: {"id":' + b"[" * 100_000 + b"]" * 100_000 + b"}\n\n",
    "NaN": b'data: {"created":NaN}\n\n',
}


@pytest.mark.parametrize("case", BAD_FRAMES)
def test_a_frame_that_is_no_chunk_breaks_the_stream(case: str) -> None:
    events = decode(frame(chunk(text("a"))) + BAD_FRAMES[case] + DONE)
    assert isinstance(events[-1], ResponseFailed)
    assert isinstance(events[-1].error, UpstreamBroke)
    assert "a" in joined(fold(events).choices[0], Text)


def test_an_oversize_frame_breaks_the_stream() -> None:
    sse, decoder = SseDecoder(max_frame_bytes=300), CHAT.stream_decoder(profile=COMPATIBLE, provider="acme")
    events = decoder.feed(sse.feed(frame(chunk(text("a"))) + frame(chunk(text("x" * 300)))))
    assert isinstance(events[-1], ResponseFailed)
    assert "more than" in events[-1].error.message


# Framing that is not OpenAI's.


@pytest.mark.parametrize(
    "body",
    [
        stream(chunk(text("a")), chunk(text("b"), finish="stop")).replace(b"\n", b"\r\n"),
        stream(chunk(text("a")), chunk(text("b"), finish="stop")).replace(b"\n", b"\r"),
        stream(chunk(text("a")), chunk(text("b"), finish="stop")).replace(b"data: ", b"data:"),
        stream(chunk(text("a")), chunk(text("b"), finish="stop")).replace(
            b"data: ", b": c\nid: 4\nevent: message\ndata: "
        ),
        stream(chunk(text("a")), chunk(text("b"), finish="stop")).replace(b"\n\n", b"\n") + b"\n",
        stream(chunk(text("a")), chunk(text("b"), finish="stop")).replace(b"\n\n", b"\n"),
        stream(chunk(text("a")), chunk(text("b"), finish="stop"))[:-2],
        b"\xef\xbb\xbf" + stream(chunk(text("a")), chunk(text("b"), finish="stop")),
        b"".join(
            b"data: " + line + b"\n"
            for line in json.dumps(chunk(text("ab"), finish="stop"), indent=1).encode().split(b"\n")
        )
        + b"\n"
        + DONE,
        b"data:\n\n: x\n\n" + stream(chunk(text("a")), chunk(text("b"), finish="stop")),
        stream(chunk(text("a")), chunk(text("b"), finish="stop")).replace(b"[DONE]", b"[DONE] bye"),
    ],
    ids=[
        "CRLF",
        "CR",
        "no space",
        "more fields",
        "one newline",
        "one newline, unclosed",
        "unclosed",
        "BOM",
        "one chunk on many lines",
        "empty frames",
        "more after the mark",
    ],
)
def test_framing_of_every_kind_is_read(body: bytes) -> None:
    for size in (len(body), 1, 7):
        response = fold(decode(cuts_of(body, size)))
        assert joined(response.choices[0], Text) == "ab"
        assert response.complete


def test_a_comment_is_a_ping() -> None:
    events = decode(b": x\n\n" + stream(chunk(text("a"), finish="stop")))
    assert isinstance(events[0], Pinged)


# Encoding.

ASKED = Request(model="m", messages=(), include_usage=True, stream=True, dialect="openai-chat")


def encode(events: list[Event], *, include_usage: bool = True) -> list[bytes]:
    asked = msgspec.structs.replace(ASKED, include_usage=include_usage)
    encoder = CHAT.stream_encoder(asked, response_id="chatcmpl-1", model="m-1", created=1700000000)
    return [piece for event in events for piece in encoder.encode([event])]


@pytest.mark.parametrize(
    ("kind", "said", "piece"),
    [
        ("function", '{"a":1}', {"function": {"arguments": ""}}),
        ("function", "", {"function": {"arguments": "{}"}}),
        ("custom", "free", {"custom": {"input": ""}}),
    ],
    ids=["a call", "a call without arguments", "a call of free text"],
)
def test_a_signed_call_ends_with_a_piece_that_every_reader_takes(kind: Any, said: str, piece: dict[str, Any]) -> None:
    """Tutorials add up `function.arguments` of every piece without a look whether `function` is there."""
    signature = Signature(vendor="google", model="", kind="thought_signature", data="c2ln")
    started = PartStarted(index=0, choice=0, kind="tool_call", call_id="call_1", name="f", call_kind=kind)
    deltas = [PartDelta(index=0, choice=0, text=said)] if said else []
    *_, last = encode([started, *deltas, PartEnded(index=0, choice=0, signature=signature)])
    (call,) = json.loads(last.removeprefix(b"data: "))["choices"][0]["delta"]["tool_calls"]
    assert call == {"index": 0, "extra_content": {"google": {"thought_signature": "c2ln"}}, **piece}


NAMES = st.text(st.sampled_from("abc_"), min_size=1, max_size=5)
TEXTS = st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=6), min_size=1, max_size=4)
ARGUMENTS = st.dictionaries(st.text(max_size=3), st.integers() | st.text(max_size=4), min_size=1, max_size=3)
LOGPROBS = st.none() | st.just({"content": [{"token": "t", "logprob": -1.0}]})


@st.composite
def parts(draw: st.DrawFn, index: int, choice: int) -> list[Event]:
    kind = draw(st.sampled_from(["text", "reasoning", "refusal", "tool_call", "opaque"]))
    if kind == "tool_call":
        call_kind = draw(st.sampled_from(["function", "custom"]))
        written = json.dumps(draw(ARGUMENTS)) if call_kind == "function" else "".join(draw(TEXTS))
        size = draw(st.integers(1, 8))
        started = PartStarted(
            index=index, choice=choice, kind="tool_call", call_id=f"call_{index}", name=draw(NAMES), call_kind=call_kind
        )
        deltas = [
            PartDelta(index=index, choice=choice, text=written[i : i + size]) for i in range(0, len(written), size)
        ]
        return [started, *deltas, PartEnded(index=index, choice=choice)]
    if kind == "opaque":
        raw = {"annotations": [{"type": "url_citation", "index": index}]}
        return [
            PartStarted(index=index, choice=choice, kind="opaque", name="openai-chat"),
            PartEnded(index=index, choice=choice, raw=raw),
        ]
    deltas = [
        PartDelta(index=index, choice=choice, text=t, logprobs=draw(LOGPROBS) if kind in ("text", "refusal") else None)
        for t in draw(TEXTS)
    ]
    signature = None
    if kind == "reasoning" and draw(st.booleans()):
        signature = Signature(vendor="openrouter", model="m-1", kind="k", data="s")
    return [
        PartStarted(index=index, choice=choice, kind=kind),
        *deltas,
        PartEnded(index=index, choice=choice, signature=signature),
    ]


REASONS = {FinishReason.STOP: "stop", FinishReason.LENGTH: "length", FinishReason.CONTENT_FILTER: "content_filter"}
USAGES = st.builds(
    lambda i, o, c, r, a: Usage(
        input_tokens=i + (c or 0),
        output_tokens=o + (r or 0),
        cached_input_tokens=c,
        reasoning_tokens=r,
        audio_input_tokens=a,
        audio_output_tokens=a,
    ),
    *[st.integers(0, 99)] * 2,
    *[st.none() | st.integers(0, 9)] * 3,
)


@st.composite
def answers(draw: st.DrawFn) -> list[Event]:
    """One answer as events, by the rules: one choice after the other, no two like parts side by side."""
    events: list[Event] = [
        ResponseStarted(
            response_id="chatcmpl-1",
            model="m-1",
            created=1700000000,
            extras=draw(st.sampled_from([{}, {"system_fingerprint": "fp"}])),
        )
    ]
    index = 0
    ends: list[Event] = []
    for choice in range(draw(st.integers(1, 3))):
        kinds: list[str] = []
        for _ in range(draw(st.integers(0, 4))):
            made = draw(parts(index, choice))
            kind = made[0].kind  # type: ignore[union-attr]
            if kinds and kind == kinds[-1] and kind not in {"tool_call", "opaque"}:
                continue
            kinds.append(kind)
            events += made
            index += 1
        reason = draw(st.sampled_from(list(REASONS)))
        raw = REASONS[reason]
        if "tool_call" in kinds and reason is FinishReason.STOP:
            reason, raw = FinishReason.TOOL_CALLS, "tool_calls"
        elif "refusal" in kinds and reason is FinishReason.STOP:
            reason = FinishReason.REFUSAL
        ends.append(ChoiceFinished(reason=reason, choice=choice, raw_reason=raw))
    if draw(st.booleans()):
        events.append(UsageReported(usage=draw(USAGES)))
    return [*events, *ends, ResponseEnded()]


def comparable(response: Response) -> Any:
    return msgspec.structs.replace(response, raw_usage=None)


@given(events=answers())
def test_what_is_encoded_is_decoded_to_the_same_answer(events: list[Event]) -> None:
    check_events(events)
    wire = encode(events)
    assert comparable(fold(decode(wire))) == comparable(fold(events))


@given(events=answers(), include_usage=st.booleans())
def test_what_is_encoded_reads_well_in_every_client(events: list[Event], include_usage: bool) -> None:
    """Section 10, "Emit": one plain frame for each piece, the same head throughout, the finish once, the mark last."""
    wire = encode(events, include_usage=include_usage)
    read = read_strictly(b"".join(wire), include_usage=include_usage)
    assert read.done
    assert (read.usage is not None) is (include_usage and any(isinstance(e, UsageReported) for e in events))
    folded = fold(events)
    for choice in folded.choices:
        mine = read.choices[choice.index]
        assert mine.text == joined(choice, Text)
        assert mine.reasoning == joined(choice, Reasoning)
        assert mine.refusal == joined(choice, Refusal)
        assert [(c.id, c.name, c.arguments) for c in mine.calls] == [
            (c.id, c.name, c.arguments) for c in calls_of(choice)
        ]
        assert mine.finish == choice.raw_finish_reason
        assert mine.roles == ["assistant"]
    values = [json.loads(piece[6:]) for piece in wire[:-1]]
    heads = {
        tuple(str(value.get(key)) for key in ("id", "object", "created", "model", "system_fingerprint"))
        for value in values
    }
    assert len(heads) == 1
    finishes = [(c["index"], c["finish_reason"]) for value in values for c in value["choices"]]
    assert all("finish_reason" in c for value in values for c in value["choices"])
    for at in read.choices:
        mine_only = [reason for index, reason in finishes if index == at]
        assert mine_only[-1] is not None
        assert not any(mine_only[:-1])
    assert all(("usage" in value) is include_usage for value in values)


def test_a_call_without_arguments_is_sent_as_an_empty_object() -> None:
    wire = encode(
        [
            ResponseStarted(response_id="x", model="m"),
            PartStarted(index=0, kind="tool_call", call_id="c", name="f"),
            PartEnded(index=0),
            ChoiceFinished(reason=FinishReason.TOOL_CALLS),
            ResponseEnded(),
        ]
    )
    assert read_strictly(b"".join(wire)).choices[0].calls[0].arguments == "{}"


def test_the_old_function_call_is_written_as_such() -> None:
    events = decode(
        stream(
            chunk({"function_call": {"name": "f", "arguments": "{"}}),
            chunk({"function_call": {"arguments": "}"}}, finish="function_call"),
        )
    )
    legacy = read_strictly(b"".join(encode(events))).choices[0].legacy
    assert legacy is not None
    assert (legacy.name, legacy.arguments) == ("f", "{}")
    assert comparable(fold(decode(encode(events)))).choices[0].parts == fold(events).choices[0].parts


@pytest.mark.parametrize("reason", list(FinishReason))
def test_every_reason_has_a_word_that_chat_knows(reason: FinishReason) -> None:
    wire = encode([ResponseStarted(response_id="x", model="m"), ChoiceFinished(reason=reason), ResponseEnded()])
    assert read_strictly(b"".join(wire)).choices[0].finish in {"stop", "length", "tool_calls", "content_filter"}


@pytest.mark.parametrize(
    ("said", "finish"),
    [((), "content_filter"), (("text",), "content_filter"), (("text", "refusal"), "stop"), (("refusal",), "stop")],
    ids=str,
)
def test_a_refusal_is_a_good_end_only_where_it_has_words_of_its_own(said: tuple[Any, ...], finish: str) -> None:
    events: list[Event] = [ResponseStarted(response_id="x", model="m")]
    for index, kind in enumerate(said):
        events += [PartStarted(index=index, kind=kind), PartDelta(index=index, text="no"), PartEnded(index=index)]
    events += [ChoiceFinished(reason=FinishReason.REFUSAL), ResponseEnded()]
    assert read_strictly(b"".join(encode(events))).choices[0].finish == finish
    whole = json.loads(CHAT.encode_answer(fold(events), ASKED))
    assert whole["choices"][0]["finish_reason"] == finish


def test_citations_are_numbered_through_each_choice() -> None:
    """OpenAI's own stream helper adds up no list whose entries have no `index`."""
    cited = [Citation(url=f"https://a.example/{i}") for i in range(3)]
    events: list[Event] = [ResponseStarted(response_id="x", model="m")]
    for index, (choice, found) in enumerate([(0, cited[:2]), (0, cited[2:]), (1, cited[:1])]):
        events += [
            PartStarted(index=index, kind="text", choice=choice),
            PartDelta(index=index, choice=choice, text="a"),
            PartEnded(index=index, choice=choice, citations=tuple(found)),
        ]
    choices = [json.loads(one[6:])["choices"][0] for one in encode(events)]
    places = [
        (choice["index"], [(each["index"], each["url_citation"]["url"][-1]) for each in annotations])
        for choice in choices
        if (annotations := choice["delta"].get("annotations"))
    ]
    assert places == [(0, [(0, "0"), (1, "1")]), (0, [(2, "2")]), (1, [(0, "0")])]


def test_parts_that_chat_has_no_place_for_are_left_out() -> None:
    wire = encode(
        [
            ResponseStarted(response_id="x", model="m"),
            PartStarted(index=0, kind="media"),
            PartDelta(index=0, text="aGk="),
            PartEnded(index=0, raw="image/png"),
            PartStarted(index=1, kind="opaque", name="gemini"),
            PartEnded(index=1, raw={"executableCode": {}}),
            Pinged(),
            ChoiceFinished(reason=FinishReason.STOP),
            ResponseEnded(),
        ]
    )
    assert len(wire) == 3


def test_a_failure_is_said_and_no_end_mark_follows() -> None:
    wire = encode([ResponseStarted(response_id="x", model="m"), ResponseFailed(error=UpstreamBroke("acme broke off"))])
    read = read_strictly(b"".join(wire))
    assert read.error == {
        "message": "acme broke off",
        "type": "server_error",
        "param": None,
        "code": "upstream_broke_off",
    }
    assert not read.done


def test_a_keepalive_is_read_as_nothing_by_every_client() -> None:
    body = CHAT.stream_encoder(ASKED, response_id="chatcmpl-1", model="m-1", created=1700000000).keepalive()
    read = read_strictly(body, include_usage=False)
    assert read.choices[0].text == ""
    assert read.choices[0].roles == []
    assert read.choices[0].finish is None
    assert not any(isinstance(e, PartStarted) for e in decode(body + stream(chunk(finish="stop"))))
