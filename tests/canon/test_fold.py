"""Folding events into a whole answer: every kind of part, and the answer as far as it has come."""

from __future__ import annotations

from typing import Any

import pytest

from thalweg.canon.errors import UpstreamBroke
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
from thalweg.canon.fold import Fold, fold
from thalweg.canon.parts import Media, Opaque, Part, Reasoning, Refusal, Signature, Text, ToolCall
from thalweg.canon.response import Choice, Response
from thalweg.canon.usage import Usage

SIGNED = Signature(vendor="v", model="m", kind="k", data="s")
STARTED = ResponseStarted(response_id="r", model="m", created=7, extras={"a": 1})

PARTS: dict[str, tuple[PartStarted, list[str], PartEnded, Part]] = {
    "text": (
        PartStarted(index=0, kind="text"),
        ["a", "b"],
        PartEnded(index=0, signature=SIGNED),
        Text(text="ab", signature=SIGNED),
    ),
    "an empty text": (PartStarted(index=0, kind="text"), [], PartEnded(index=0), Text(text="")),
    "reasoning": (
        PartStarted(index=0, kind="reasoning", form="summary"),
        ["a"],
        PartEnded(index=0, signature=SIGNED, redacted=True),
        Reasoning(text="a", form="summary", signature=SIGNED, redacted=True),
    ),
    "a call": (
        PartStarted(index=0, kind="tool_call", call_id="c", name="f", call_kind="custom"),
        ["{", "}"],
        PartEnded(index=0),
        ToolCall(id="c", name="f", arguments="{}", kind="custom"),
    ),
    "a refusal": (PartStarted(index=0, kind="refusal"), ["no"], PartEnded(index=0), Refusal(text="no")),
    "media": (
        PartStarted(index=0, kind="media"),
        ["aG", "k="],
        PartEnded(index=0, raw="image/png"),
        Media(kind="image", data="aGk=", mime="image/png"),
    ),
    "an opaque part": (
        PartStarted(index=0, kind="opaque", name="d"),
        [],
        PartEnded(index=0, raw={"x": 1}),
        Opaque(dialect="d", raw={"x": 1}),
    ),
    "an opaque part of text": (
        PartStarted(index=0, kind="opaque", name="d"),
        ["x"],
        PartEnded(index=0),
        Opaque(dialect="d", raw="x"),
    ),
}


@pytest.mark.parametrize("case", PARTS)
def test_a_part_is_its_deltas_joined(case: str) -> None:
    started, texts, ended, part = PARTS[case]
    events: list[Event] = [STARTED, started, *(PartDelta(index=0, text=text) for text in texts), ended]
    assert fold(events).choices == (Choice(index=0, parts=(part,), finish_reason=None),)


def test_a_whole_answer() -> None:
    usage = Usage(input_tokens=1, output_tokens=2)
    response = fold(
        [
            Pinged(),
            STARTED,
            PartStarted(index=0, kind="text"),
            PartStarted(index=1, kind="text", choice=1),
            PartDelta(index=1, choice=1, text="x"),
            PartDelta(index=0, text="a"),
            UsageReported(usage=Usage(input_tokens=1), raw={"n": 1}),
            PartEnded(index=0),
            PartEnded(index=1, choice=1),
            UsageReported(usage=usage, raw={"n": 2}),
            ChoiceFinished(reason=FinishReason.STOP_SEQUENCE, raw_reason="stop", stop_sequence="!"),
            ChoiceFinished(reason=FinishReason.LENGTH, choice=1, raw_reason="length"),
            ResponseEnded(),
        ]
    )
    assert response == Response(
        response_id="r",
        model="m",
        created=7,
        choices=(
            Choice(
                index=0,
                parts=(Text(text="a"),),
                finish_reason=FinishReason.STOP_SEQUENCE,
                raw_finish_reason="stop",
                stop_sequence="!",
            ),
            Choice(index=1, parts=(Text(text="x"),), finish_reason=FinishReason.LENGTH, raw_finish_reason="length"),
        ),
        usage=usage,
        raw_usage={"n": 2},
        complete=True,
        extras={"a": 1},
    )


def test_the_answer_may_be_asked_for_at_any_time_and_grows() -> None:
    gathered = Fold()
    assert gathered.response() == Response(response_id="", model="", created=None, choices=(), usage=None)
    gathered.feed([STARTED, PartStarted(index=0, kind="text"), PartDelta(index=0, text="a")])
    assert gathered.response().choices[0].parts == (Text(text="a"),)
    assert gathered.response().choices[0].finish_reason is None
    gathered.feed([PartDelta(index=0, text="b")])
    assert gathered.response().choices[0].parts == (Text(text="ab"),)
    assert not gathered.response().complete


def test_a_failure_keeps_what_came_and_is_not_complete() -> None:
    error = UpstreamBroke("x")
    response = fold(
        [
            STARTED,
            PartStarted(index=0, kind="text"),
            PartDelta(index=0, text="a"),
            PartEnded(index=0),
            ResponseFailed(error=error),
        ]
    )
    assert response.error is error
    assert not response.complete
    assert response.choices[0].parts == (Text(text="a"),)


def test_a_choice_without_parts_is_there_once_it_has_finished() -> None:
    assert fold([STARTED, ChoiceFinished(reason=FinishReason.CONTENT_FILTER, choice=2)]).choices == (
        Choice(index=2, parts=(), finish_reason=FinishReason.CONTENT_FILTER),
    )


@pytest.mark.parametrize(
    ("told", "kept"),
    [
        ([{"content": [1]}, {"content": [2], "refusal": [3]}], {"content": [1, 2], "refusal": [3]}),
        ([{"content": None}, {"content": [1]}], {"content": [1]}),
        ([None, None], None),
        (["x", 5], None),
    ],
)
def test_logprobs_are_lists_that_are_joined(told: list[Any], kept: dict[str, Any] | None) -> None:
    events: list[Event] = [
        STARTED,
        PartStarted(index=0, kind="text"),
        *(PartDelta(index=0, text="a", logprobs=one) for one in told),
    ]
    assert fold(events).choices[0].logprobs == kept


def test_many_deltas_cost_what_they_weigh() -> None:
    """Text is gathered as a list and joined once."""
    gathered = Fold()
    gathered.feed([STARTED, PartStarted(index=0, kind="text")])
    gathered.feed(PartDelta(index=0, text="abcdefgh") for _ in range(100_000))
    (part,) = gathered.response().choices[0].parts
    assert part == Text(text="abcdefgh" * 100_000)
