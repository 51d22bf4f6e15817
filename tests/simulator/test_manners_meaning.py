"""In whatever manner an answer is sent, it says the same: to our decoder, and to a strict client behind a relay."""

from __future__ import annotations

from typing import Any

import pytest

from tests.dialects.openai_chat.streams import calls_of, decode, joined, read_strictly, relay
from tests.simulator.manners_stage import CREATED, MODELS, TWO_TOOLS, ask_as, body_bytes, name_of
from tests.simulator.stage import CHAT, body_of, status_of, whole
from thalweg.canon.fold import fold
from thalweg.canon.parts import Reasoning, Text
from thalweg.canon.response import Response
from thalweg.canon.usage import Usage
from thalweg.dialects.registry import DIALECTS
from thalweg.simulator.faults.table import FAULTS
from thalweg.simulator.knobs import read_knobs
from thalweg.simulator.manners import house
from thalweg.simulator.manners.base import Listed, Manner
from thalweg.simulator.manners.errors import Refusal
from thalweg.simulator.manners.form import Form
from thalweg.simulator.manners.shape import Shape, Slot
from thalweg.simulator.performance import Order, perform

ASKS: dict[str, dict[str, Any]] = {
    "text": {},
    "two calls": {"tools": TWO_TOOLS},
    "two choices": {"n": 2},
    "cut short": {"max_completion_tokens": 3},
    "no text": {"simulator": {"tokens": 0}},
    "deltas of three tokens": {"simulator": {"chunk": 3}, "tools": TWO_TOOLS[:1]},
}

each_model = pytest.mark.parametrize(
    ("manner", "listed"), MODELS, ids=[f"{manner.name}: {listed.name}" for manner, listed in MODELS]
)
each_ask = pytest.mark.parametrize("ask", ASKS.values(), ids=ASKS)


def truth(manner: Manner, listed: Listed, ask: dict[str, Any], *, stream: bool = True) -> Response:
    """The answer itself, before any manner has shaped it."""
    body = body_of(name_of(listed), stream=stream, **ask)
    asked = DIALECTS[CHAT].read_request(body).canon()
    taken = house.take(manner, asked, name_of(listed), None, body)
    assert not isinstance(taken, Refusal), taken
    knobs = taken.model.knobs.turned(read_knobs(asked, FAULTS)[1])
    order = Order(asked=taken.asked, model=taken.model, knobs=knobs, seed=1, created=CREATED)
    return fold([beat.event for beat in perform(order)])


def content(response: Response) -> list[tuple[Any, ...]]:
    """What each choice says, and why it ends."""
    return [
        (
            joined(choice, Text),
            joined(choice, Reasoning),
            [(call.name, call.arguments) for call in calls_of(choice)],
            choice.raw_finish_reason or choice.finish_reason,
        )
        for choice in response.choices
    ]


def reports(form: Form, slot: Slot) -> bool:
    def within(shape: Shape) -> bool:
        values = [value for _, value in shape.fields]
        return any(
            getattr(value, "slot", value) is slot or (isinstance(value, Shape) and within(value)) for value in values
        )

    return within(form.usage)


def check_usage(found: Usage | None, wanted: Usage | None, form: Form) -> None:
    assert found is not None
    assert wanted is not None
    assert (found.input_tokens, found.output_tokens) == (wanted.input_tokens, wanted.output_tokens)
    if reports(form, Slot.THOUGHT):
        assert (found.reasoning_tokens or 0) == wanted.reasoning_tokens


def without_reasons(found: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    return [each[:3] for each in found]


@each_ask
@each_model
def test_a_stream_says_what_the_answer_is(manner: Manner, listed: Listed, ask: dict[str, Any]) -> None:
    response = fold(decode(body_bytes(ask_as(manner.name, name_of(listed), **ask))))
    wanted = truth(manner, listed, ask)
    assert without_reasons(content(response)) == without_reasons(content(wanted))
    assert [choice.finish_reason for choice in response.choices] == [
        "stop" if choice.finish_reason == "stop_sequence" else choice.finish_reason for choice in wanted.choices
    ]
    assert response.complete
    check_usage(response.usage, wanted.usage, listed.form or manner.form)


REFUSE_TO_BE_WHOLE = {"qwen3-32b", "qwen3-235b-a22b", "qwq-plus", "qvq-max"}
"""Models that answer in streams only, or only if they need not think."""


@each_ask
@each_model
def test_a_whole_answer_says_what_the_answer_is(manner: Manner, listed: Listed, ask: dict[str, Any]) -> None:
    steps = ask_as(manner.name, name_of(listed), stream=False, **ask)
    if listed.name in REFUSE_TO_BE_WHOLE:
        assert status_of(steps) == 400
        return
    response, wanted = whole(steps), truth(manner, listed, ask, stream=False)
    assert without_reasons(content(response)) == without_reasons(content(wanted))
    check_usage(response.usage, wanted.usage, listed.form or manner.form)


@pytest.mark.parametrize("asked", [True, False], ids=["usage asked", "usage not asked"])
@each_ask
@each_model
def test_a_strict_client_behind_a_relay_reads_it(
    manner: Manner, listed: Listed, ask: dict[str, Any], asked: bool
) -> None:
    """The repairs that are made for any compatible provider are enough for every manner."""
    options = {"stream_options": {"include_usage": True}}  # as the relay asks its upstream, whatever its client wants
    passed = relay(body_bytes(ask_as(manner.name, name_of(listed), **options, **ask)), include_usage=asked)
    read, wanted = read_strictly(passed.body, include_usage=asked), truth(manner, listed, ask)
    assert read.done
    assert [
        (choice.text, choice.reasoning, [(call.name, call.arguments) for call in choice.calls])
        for choice in read.choices.values()
    ] == without_reasons(content(wanted))
    check_usage(passed.watch.usage, wanted.usage, listed.form or manner.form)
