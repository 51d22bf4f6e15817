"""Turns that are kept for clients which lose their proofs: found again by whose they are, and bounded."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from thalweg.canon.events import PartDelta
from thalweg.canon.fold import unfold
from thalweg.canon.parts import Part, Reasoning, Signature, Text, ToolCall, ToolResult
from thalweg.canon.request import Message
from thalweg.canon.response import Choice, Response
from thalweg.relay.turns import MOST_TURN_BYTES, TurnKeeper, TurnStore

OWNER, OTHER = b"o" * 32, b"x" * 32
SIGNATURE = Signature(vendor="anthropic", model="m", kind="signature", data="c2ln")
THOUGHT = Reasoning(text="hm", signature=SIGNATURE)
CALLS = (
    ToolCall(id="toolu_1", name="f", arguments='{"a": 1, "b": [2]}'),
    ToolCall(id="toolu_2", name="g", arguments=""),
)
TURN: tuple[Part, ...] = (THOUGHT, Text(text="Let me look. "), *CALLS)
USER = Message(role="user", parts=(Text(text="?"),))


def said(*parts: Part) -> tuple[Message, ...]:
    return USER, Message(role="assistant", parts=parts), USER


def stored(parts: tuple[Part, ...] = TURN, **settings: float) -> TurnStore:
    store = TurnStore(**settings)  # type: ignore[arg-type]
    store.keep(OWNER, parts, 0.0)
    return store


LOST = {
    "the thoughts": (Text(text="Let me look. "), *CALLS),
    "the white space around the text": (Text(text="Let me look."), *CALLS),
    "the text as well": CALLS,
    "the order of keys, and no arguments for empty ones": (
        Text(text="Let me look."),
        replace(CALLS[0], arguments='{"b":[2],"a":1}'),
        replace(CALLS[1], arguments="{}"),
    ),
    "its signature": (Reasoning(text="hm"), Text(text="Let me look. "), *CALLS),
}


@pytest.mark.parametrize("lost", LOST)
def test_what_a_client_has_lost_is_put_back(lost: str) -> None:
    messages = stored().restore(OWNER, said(*LOST[lost]), 1.0)
    assert messages[0] == messages[2] == USER
    parts = messages[1].parts
    assert parts[0] == THOUGHT
    assert parts[-2:] == CALLS, "as the model made them"


def test_a_client_without_ids_gets_them_back_with_its_results() -> None:
    blank = tuple(replace(call, id=f"call_{at}") for at, call in enumerate(CALLS))
    results = Message(role="user", parts=tuple(ToolResult(call_id=call.id, parts=()) for call in blank))
    messages = (USER, Message(role="assistant", parts=(Text(text="Let me look."), *blank)), results)
    _, turn, after = stored().restore(OWNER, messages, 1.0)
    assert turn.parts[-2:] == CALLS
    assert [part.call_id for part in after.parts if isinstance(part, ToolResult)] == ["toolu_1", "toolu_2"]


@pytest.mark.parametrize("own", [(), (Text(text="Let me look. "),)], ids=["nothing else", "a text"])
@pytest.mark.parametrize("joined", [False, True], ids=["apart", "in one"])
def test_thoughts_that_came_back_as_a_text_are_not_said_twice(own: tuple[Text, ...], joined: bool) -> None:
    turn = (THOUGHT, *own, *CALLS)
    told = "<think>\nhm\n</think>\n\n"
    texts = (Text(text=told + "".join(part.text for part in own)),) if joined else (Text(text=told), *own)
    assert stored(turn).restore(OWNER, said(*texts, *CALLS), 1.0)[1].parts == turn


def test_a_text_between_tags_that_is_not_the_turn_s_thought_stays() -> None:
    text = Text(text="<think>\nsomething else\n</think>")
    parts = stored((THOUGHT, *CALLS)).restore(OWNER, said(text, *CALLS), 1.0)[1].parts
    assert parts == (THOUGHT, text, *CALLS)


def test_a_turn_without_calls_is_found_by_its_text() -> None:
    turn = (THOUGHT, Text(text="The answer is 42."))
    (_, found, _) = stored(turn).restore(OWNER, said(Text(text=" The answer is 42.")), 1.0)
    assert found.parts[0] == THOUGHT


def test_what_came_back_in_another_order_is_put_in_its_own() -> None:
    """Chat has one string for all thoughts of an answer, ahead of its text."""
    second = replace(THOUGHT, text="and so", signature=replace(SIGNATURE, data="MnMy"))
    turn = (THOUGHT, Text(text="Let me look. "), second, *CALLS)
    for echoed in ((THOUGHT, second, *TURN[1:]), TURN):
        assert stored(turn).restore(OWNER, said(*echoed), 1.0)[1].parts == turn


CHANGED = {
    "another's": (OTHER, TURN[1:]),
    "other words": (OWNER, (Text(text="Something else."),)),
    "other arguments": (OWNER, (replace(CALLS[0], arguments='{"a":2}'), CALLS[1])),
    "one call less": (OWNER, CALLS[:1]),
    "another name": (OWNER, (replace(CALLS[0], name="h"), CALLS[1])),
}


@pytest.mark.parametrize("case", CHANGED)
def test_what_is_not_the_same_turn_or_not_the_same_caller_s_gets_nothing(case: str) -> None:
    owner, parts = CHANGED[case]
    assert stored().restore(owner, said(*parts), 1.0) == said(*parts)


def test_what_a_client_has_kept_is_its_own() -> None:
    kept = said(replace(THOUGHT, signature=replace(SIGNATURE, data="b3RoZXI")), *TURN[1:])
    assert stored().restore(OWNER, kept, 1.0) == kept


def test_a_turn_in_which_nothing_can_be_lost_is_not_kept() -> None:
    assert len(stored((Text(text="a"), *CALLS))) == 0


def test_a_turn_is_forgotten_after_its_time() -> None:
    store = stored(ttl_s=10.0)
    assert store.restore(OWNER, said(*CALLS), 9.0)[1].parts[0] == THOUGHT
    assert store.restore(OWNER, said(*CALLS), 11.0) == said(*CALLS)
    assert (len(store), store.held_bytes) == (0, 0)


def test_the_oldest_go_when_it_is_too_much() -> None:
    store = TurnStore(most_bytes=5000)
    for at in range(50):
        store.keep(OWNER, (replace(THOUGHT, text="x" * 1000), Text(text=str(at))), float(at))
        assert store.held_bytes <= 5000
    assert len(store) < 5
    assert store.restore(OWNER, said(Text(text="49")), 50.0)[1].parts[0] != Text(text="49")
    assert store.restore(OWNER, said(Text(text="0")), 50.0) == said(Text(text="0"))


def test_the_same_turn_again_takes_the_place_of_the_first() -> None:
    store = stored()
    held = store.held_bytes
    for _ in range(10):
        store.keep(OWNER, TURN, 1.0)
    assert (len(store), store.held_bytes) == (1, held)


def test_a_turn_too_long_is_not_kept() -> None:
    assert len(stored((replace(THOUGHT, text="x" * (MOST_TURN_BYTES + 1)), Text(text="a")))) == 0


@pytest.mark.parametrize("complete", [True, False])
def test_a_listener_keeps_an_answer_that_is_whole(complete: bool) -> None:
    store = TurnStore()
    keeper = TurnKeeper(store, OWNER, lambda: 0.0)
    choice = Choice(index=0, parts=TURN, finish_reason=None)
    response = Response(response_id="r", model="m", created=1, choices=(choice,), usage=None, complete=True)
    events = unfold(response)
    for event in events if complete else events[:-1]:
        if isinstance(event, PartDelta):
            keeper.grow(event)
        else:
            keeper.hear([event])
    assert len(store) == complete
    if complete:
        assert store.restore(OWNER, said(*CALLS), 0.0)[1].parts[0] == THOUGHT
