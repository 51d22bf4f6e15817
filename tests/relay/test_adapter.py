"""What is undone in an upstream's answer before the client reads it."""

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
    ResponseEnded,
    ResponseStarted,
    UsageReported,
)
from thalweg.canon.finish import FinishReason
from thalweg.canon.fold import fold, unfold
from thalweg.canon.parts import Part, Reasoning, Signature, Text, ToolCall
from thalweg.canon.response import Choice, Response
from thalweg.canon.usage import Usage
from thalweg.dialects.base import UpstreamBody
from thalweg.relay.adapter import Adapter


def answer(*parts: Part, reason: FinishReason = FinishReason.STOP, response_id: str = "r-1") -> Response:
    choice = Choice(index=0, parts=parts, finish_reason=reason, raw_finish_reason="raw")
    usage = Usage(input_tokens=3, output_tokens=5)
    return Response(response_id=response_id, model="m", created=1, choices=(choice,), usage=usage, complete=True)


def adapted(said: Response, **sent: Any) -> Response:
    """The answer as the client reads it; the same however its events come."""
    at_once = fold(Adapter(UpstreamBody(body=b"", **sent)).adapt(unfold(said)))
    adapter, events = Adapter(UpstreamBody(body=b"", **sent)), list[Event]()
    for event in unfold(said):
        pieces = [event]
        if isinstance(event, PartDelta):
            pieces = [PartDelta(index=event.index, choice=event.choice, text=letter) for letter in event.text]
        for piece in pieces:
            events += adapter.adapt([piece])
    assert fold(events) == at_once
    return at_once


CALL = ToolCall(id="call_1", name="f", arguments='{"a":1}')


def test_what_needs_nothing_is_left_alone() -> None:
    said = answer(
        Reasoning(text="hm", signature=Signature(vendor="v", model="m", kind="k", data="d")), Text(text="a"), CALL
    )
    assert adapted(said) == said


@pytest.mark.parametrize("parts", [(), (Reasoning(text="hm"),)], ids=["nothing", "a thought"])
def test_a_call_that_nobody_can_read_and_nothing_beside_it_is_an_error(parts: tuple[Part, ...]) -> None:
    failed = fold(Adapter(UpstreamBody(body=b"")).adapt(unfold(answer(*parts, reason=FinishReason.MALFORMED_CALL))))
    assert isinstance(failed.error, UpstreamBroke)
    assert (failed.error.retryable, failed.error.status, failed.complete) == (True, 502, False)
    assert failed.usage == Usage(input_tokens=3, output_tokens=5)


@pytest.mark.parametrize("part", [Text(text="a"), CALL], ids=["a text", "a call"])
def test_beside_anything_else_it_is_not(part: Part) -> None:
    said = answer(part, reason=FinishReason.MALFORMED_CALL)
    assert adapted(said) == said


def test_names_of_tools_go_back_to_the_client_s() -> None:
    said = answer(ToolCall(id="c", name="my_tool_1a2b3c", arguments="{}"), CALL)
    (choice,) = adapted(said, tool_names={"my_tool_1a2b3c": "my tool"}).choices
    assert [part.name for part in choice.parts if isinstance(part, ToolCall)] == ["my tool", "f"]


def test_ids_of_calls_fit_everywhere_and_are_no_other_answer_s() -> None:
    def ids(response_id: str) -> list[str]:
        calls = [
            ToolCall(id="functions.f:0", name="f", arguments="{}"),
            ToolCall(id="", name="f", arguments="{}"),
            CALL,
        ]
        (choice,) = adapted(answer(*calls, response_id=response_id)).choices
        return [part.id for part in choice.parts if isinstance(part, ToolCall)]

    first, other = ids("r-1"), ids("r-2")
    assert first[2] == other[2] == "call_1", "what fits stays"
    assert len({*first, *other}) == 5
    assert all(len(each) <= 40 and each.replace("_", "").isalnum() for each in first)
    assert first == ids("r-1")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [('{"input":"SELECT 1;\\n"}', "SELECT 1;\n"), ('{"input":5}', '{"input":5}'), ("{", "{"), ("", "")],
)
def test_free_text_is_taken_out_of_the_argument_that_it_was_asked_for_in(arguments: str, text: str) -> None:
    said = answer(ToolCall(id="c", name="sql_1", arguments=arguments), CALL, reason=FinishReason.TOOL_CALLS)
    (choice,) = adapted(said, tool_names={"sql_1": "sql"}, wrapped_tools=frozenset({"sql"})).choices
    assert choice.parts == (ToolCall(id="c", name="sql", arguments=text, kind="custom"), CALL)


def test_a_tool_that_stands_for_the_answer_is_text() -> None:
    shaped = ToolCall(id="c", name="json_output", arguments='{"a":1}')
    got = adapted(answer(shaped, reason=FinishReason.TOOL_CALLS), answer_tool="json_output")
    assert got.choices[0].parts == (Text(text='{"a":1}'),)
    assert got.choices[0].finish_reason is FinishReason.STOP
    both = adapted(answer(CALL, reason=FinishReason.TOOL_CALLS), answer_tool="json_output")
    assert both.choices[0].finish_reason is FinishReason.TOOL_CALLS, "it called another"


def test_a_stop_sequence_ends_the_answer_here() -> None:
    said = answer(Reasoning(text="one END two"), Text(text="a EN b END c"), CALL)
    got = adapted(said, stops=("END", "never"))
    assert got.choices[0].parts == (Reasoning(text="one END two"), Text(text="a EN b "))
    assert (got.choices[0].finish_reason, got.choices[0].stop_sequence) == (FinishReason.STOP_SEQUENCE, "END")
    assert got.complete


def test_a_stop_sequence_that_does_not_come_ends_nothing() -> None:
    said = answer(Text(text="a EN"), CALL)
    assert adapted(said, stops=("END",)) == said


def test_after_the_cut_nothing_more_is_said() -> None:
    adapter = Adapter(UpstreamBody(body=b"", stops=("X",)))
    head: list[Event] = [ResponseStarted(response_id="r", model="m"), PartStarted(index=0, kind="text")]
    events = adapter.adapt([*head, PartDelta(index=0, text="aX"), PartDelta(index=0, text="b")])
    assert [type(event) for event in events] == [
        ResponseStarted, PartStarted, PartDelta, PartEnded, ChoiceFinished, ResponseEnded,
    ]  # fmt: skip
    assert adapter.cut
    assert adapter.adapt([PartDelta(index=0, text="c"), UsageReported(usage=Usage())]) == []
