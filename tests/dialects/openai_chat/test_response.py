"""Whole Chat answers, both ways, and what they show for accounting."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.dialects.openai_chat.streams import CHAT, HEAD
from tests.dialects.openai_chat.test_stream import ASKED, answers, comparable
from thalweg.canon.errors import UpstreamBroke, UpstreamError, UpstreamFailed
from thalweg.canon.events import Event, PartStarted
from thalweg.canon.finish import FinishReason
from thalweg.canon.fold import fold
from thalweg.canon.parts import Opaque, Part, Reasoning, Refusal, Signature, Text, ToolCall
from thalweg.canon.response import Choice, Response
from thalweg.canon.usage import Usage
from thalweg.dialects.base import watch_answer
from thalweg.profiles.providers import COMPATIBLE


def whole(message: Any, *, finish: Any = "stop", **more: Any) -> bytes:
    return json.dumps(
        HEAD
        | {"object": "chat.completion", "choices": [{"index": 0, "message": message, "finish_reason": finish}]}
        | more
    ).encode()


def read(raw: bytes) -> Response:
    return CHAT.decode_answer(raw, profile=COMPATIBLE, provider="acme")


FUNCTION = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
MESSAGES: dict[str, tuple[dict[str, Any], tuple[Part, ...]]] = {
    "text": ({"content": "a"}, (Text(text="a"),)),
    "nothing": ({"content": None}, ()),
    "a list of parts": (
        {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "r"}]}, {"type": "text", "text": "a"}]},
        (Reasoning(text="r"), Text(text="a")),
    ),
    "reasoning": ({"content": "a", "reasoning_content": "r"}, (Reasoning(text="r"), Text(text="a"))),
    "reasoning elsewhere": (
        {"content": "a", "reasoning": "r", "reasoning_details": [{"text": "r"}]},
        (Reasoning(text="r"), Text(text="a")),
    ),
    "a signature alone": (
        {"content": "a", "reasoning_details": [{"type": "reasoning.encrypted", "data": "e"}]},
        (
            Reasoning(signature=Signature(vendor="openrouter", model="m-1", kind="reasoning.encrypted", data="e")),
            Text(text="a"),
        ),
    ),
    "a refusal": ({"content": None, "refusal": "no"}, (Refusal(text="no"),)),
    "a call": ({"content": None, "tool_calls": [FUNCTION]}, (ToolCall(id="c", name="f", arguments="{}"),)),
    "a call with an object": (
        {"tool_calls": [{"id": "c", "function": {"name": "f", "arguments": {"a": 1}}}]},
        (ToolCall(id="c", name="f", arguments='{"a":1}'),),
    ),
    "a custom call": (
        {"tool_calls": [{"id": "c", "type": "custom", "custom": {"name": "f", "input": "x"}}]},
        (ToolCall(id="c", name="f", arguments="x", kind="custom"),),
    ),
    "the old function call": (
        {"function_call": {"name": "f", "arguments": "{}"}},
        (ToolCall(id="legacy_f", name="f", arguments="{}", kind="legacy"),),
    ),
    "an empty function call": ({"content": "a", "function_call": {"name": "", "arguments": ""}}, (Text(text="a"),)),
    "annotations": (
        {"content": "a", "annotations": [{"type": "url_citation"}]},
        (Text(text="a"), Opaque(dialect="openai-chat", raw={"annotations": [{"type": "url_citation"}]})),
    ),
    "empty sound": ({"content": "a", "audio": {"id": "", "data": ""}, "annotations": []}, (Text(text="a"),)),
}


@pytest.mark.parametrize("case", MESSAGES)
def test_messages(case: str) -> None:
    message, parts = MESSAGES[case]
    assert read(whole(message)).choices[0].parts == parts


@pytest.mark.parametrize("case", MESSAGES)
def test_a_message_written_anew_reads_the_same(case: str) -> None:
    first = read(whole(MESSAGES[case][0]))
    again = read(CHAT.encode_answer(first, ASKED)).choices[0].parts
    assert again == first.choices[0].parts


def test_a_call_without_an_id_gets_one_that_stays_the_same() -> None:
    raw = whole(
        {
            "tool_calls": [
                {"function": {"name": "f", "arguments": "{}"}},
                {"id": "", "function": {"name": "f", "arguments": "{}"}},
            ]
        }
    )
    first, second = read(raw).choices[0].parts
    assert isinstance(first, ToolCall)
    assert isinstance(second, ToolCall)
    assert first.id != second.id
    assert read(raw) == read(raw)


@pytest.mark.parametrize(
    ("finish", "reason", "raw"),
    [
        ("stop", FinishReason.STOP, "stop"),
        (None, FinishReason.UNKNOWN, None),
        ("", FinishReason.UNKNOWN, None),
        (5, FinishReason.UNKNOWN, None),
        ("eos", FinishReason.STOP, "eos"),
    ],
)
def test_the_finish(finish: Any, reason: FinishReason, raw: str | None) -> None:
    choice = read(whole({"content": "a"}, finish=finish)).choices[0]
    assert (choice.finish_reason, choice.raw_finish_reason) == (reason, raw)


def test_a_refusal_is_known_by_its_words() -> None:
    assert read(whole({"content": None, "refusal": "no"})).choices[0].finish_reason is FinishReason.REFUSAL


FAILURES: dict[str, tuple[Any, type[UpstreamError], str]] = {
    "an error object": ({"error": {"message": "m", "code": 502}}, UpstreamFailed, "m"),
    "an error beside choices": (
        HEAD | {"choices": [{"index": 0, "message": {"content": "a"}}], "error": {"message": "m"}},
        UpstreamFailed,
        "m",
    ),
    "an error text": ({"error": "m"}, UpstreamFailed, "m"),
    "a flat message": ({"code": "c", "message": "m"}, UpstreamFailed, "m"),
    "a detail": ({"detail": "m"}, UpstreamFailed, "m"),
    "no choices": ({"id": "x"}, UpstreamBroke, "no answer"),
    "a list": ([], UpstreamBroke, "no answer"),
    "choices of another shape": ({"choices": "x"}, UpstreamBroke, "no answer"),
}


@pytest.mark.parametrize("case", FAILURES)
def test_an_answer_that_is_none(case: str) -> None:
    value, kind, message = FAILURES[case]
    raw = json.dumps(value).encode()
    with pytest.raises(kind) as caught:
        read(raw)
    assert message in caught.value.message
    watch = watch_answer(CHAT, raw, profile=COMPATIBLE, provider="acme")
    assert type(watch.error) is kind
    assert not watch.complete


@pytest.mark.parametrize(
    "raw", [b"", b"<html>", b"\xff", b'{"id":', b"[" * 100_000, b'{"choices":[{"message":{"content":' + b"[" * 100_000]
)
def test_a_body_that_is_no_json(raw: bytes) -> None:
    with pytest.raises(UpstreamBroke):
        read(raw)


def test_white_space_ahead_of_a_slow_answer_is_borne() -> None:
    assert read(b"\n\n  \n" + whole({"content": "a"}) + b"\n").choices[0].parts == (Text(text="a"),)


def test_an_answer_without_choices_is_an_answer() -> None:
    assert read(json.dumps(HEAD | {"choices": []}).encode()).choices == ()


def test_what_is_written_has_every_key_that_the_sdks_know_as_always_there() -> None:
    response = Response(
        response_id="x", model="m", created=None, choices=(Choice(index=0, parts=(ToolCall(id="c", name="f", arguments=""),), finish_reason=FinishReason.TOOL_CALLS),),
        usage=Usage(input_tokens=3, output_tokens=5, cached_input_tokens=1), extras={"system_fingerprint": "fp"},
    )  # fmt: skip
    assert json.loads(CHAT.encode_answer(response, ASKED)) == {
        "id": "x", "object": "chat.completion", "created": 0, "model": "m", "system_fingerprint": "fp",
        "choices": [{"index": 0, "finish_reason": "tool_calls", "logprobs": None,
                     "message": {"role": "assistant", "content": None, "refusal": None, "tool_calls": [FUNCTION]}}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8, "prompt_tokens_details": {"cached_tokens": 1}},
    }  # fmt: skip


@given(events=answers())
def test_a_folded_stream_written_whole_reads_the_same(events: list[Event]) -> None:
    """Kind for kind: a whole message says text, reasoning and calls in its own order."""
    streamed = fold(events)
    again = read(CHAT.encode_answer(streamed, ASKED))
    assert (again.response_id, again.model, again.created, again.usage) == (
        streamed.response_id,
        streamed.model,
        streamed.created,
        streamed.usage,
    )
    kinds: tuple[type[Any], ...] = (Text, Reasoning, Refusal)
    for mine, theirs in zip(again.choices, streamed.choices, strict=True):
        for kind in kinds:
            assert "".join(p.text for p in mine.parts if isinstance(p, kind)) == "".join(
                p.text for p in theirs.parts if isinstance(p, kind)
            )
        assert [p for p in mine.parts if isinstance(p, ToolCall)] == [
            p for p in theirs.parts if isinstance(p, ToolCall)
        ]
        assert (mine.finish_reason, mine.logprobs) == (theirs.finish_reason, theirs.logprobs)
    assert comparable(again).complete


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["choices", "message", "content", "tool_calls", "function", "name", "arguments", "error", "usage", "index", "detail", "custom", "reasoning_details", "logprobs", "finish_reason"]), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@given(st.binary(max_size=40) | JSON.map(lambda value: json.dumps(value).encode()))
def test_any_body_is_an_answer_or_an_error_of_ours(raw: bytes) -> None:
    watch = watch_answer(CHAT, raw, profile=COMPATIBLE, provider="acme")
    try:
        response = read(raw)
    except UpstreamError as error:
        assert str(watch.error) == str(error)
    else:
        assert watch.complete
        CHAT.encode_answer(response, ASKED)


def test_the_parts_of_events_are_numbered_over_all_choices() -> None:
    """The strategy that these tests draw from keeps the rules itself."""

    @given(events=answers())
    def check(events: list[Event]) -> None:
        assert [e.index for e in events if isinstance(e, PartStarted)] == list(
            range(sum(isinstance(e, PartStarted) for e in events))
        )

    check()
