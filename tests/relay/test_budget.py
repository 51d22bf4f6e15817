"""The bytes that everything together may hold: what counts against them, when it is given back, who must stop."""

from __future__ import annotations

import pytest

from tests.playbook import DONE, JSON, ROLE, SSE, finish, plan, text, whole
from thalweg.relay.budget import MIB, SMALL_BYTES, Budget, Share
from thalweg.relay.exchange import Exchange
from thalweg.upstream.base import ResponseHead

BIG = text("x" * (SMALL_BYTES - 300))
"""A frame that a stream may hold without asking, and two of them not."""


def begun(budget: Budget, headers: tuple[tuple[bytes, bytes], ...] = SSE, *, stream: bool = True) -> Exchange:
    """An exchange whose upstream has just answered with a head."""
    exchange = Exchange(plan(stream=stream, upstream_streams=headers is SSE), now=0.0, share=Share(budget))
    exchange.connected(0.1)
    exchange.head_received(ResponseHead(200, headers), 0.2)
    return exchange


def said(exchange: Exchange) -> bytes:
    """What the client is to get now."""
    return exchange.take() if exchange.pending_bytes else b""


# The budget itself.


def test_shares_take_and_give_back() -> None:
    budget = Budget(100)
    one, other = Share(budget), Share(budget)
    assert one.hold_request(40) and other.hold_answer(50)
    assert (budget.held_bytes, budget.spent) == (90, False)
    assert not one.hold_answer(20), "there is no room"
    assert (one.answer_bytes, budget.held_bytes) == (0, 90), "and nothing has changed"
    assert one.hold_answer(10)
    assert budget.spent
    assert one.hold_request(10), "less is always possible"
    one.close()
    one.close()
    assert (budget.held_bytes, budget.spent) == (50, False)
    other.close()
    assert budget.held_bytes == 0


def test_what_was_surveyed_counts() -> None:
    budget = Budget(100)
    budget.surveyed_bytes = 80
    assert not Share(budget).hold_request(30)
    assert Share(budget).hold_request(20)


def test_the_last_part_is_for_those_under_way() -> None:
    budget = Budget(1600)
    share = Share(budget)
    assert share.hold_request(1500)
    assert budget.spent, "for new requests"
    assert share.hold_answer(100), "but not for this one"


# What an exchange holds.


def test_a_short_answer_asks_for_nothing() -> None:
    """Also where the budget is spent: otherwise the small would die of the large."""
    budget = Budget(0)
    exchange = begun(budget)
    for piece in (ROLE, text("Hello"), finish(), DONE):
        exchange.body_received(piece, 0.3)
    assert exchange.outcome == "complete"
    assert said(exchange) == ROLE + text("Hello") + finish() + DONE


@pytest.mark.parametrize("stream", [True, False])
def test_a_short_whole_answer_asks_for_nothing_either(stream: bool) -> None:
    exchange = begun(Budget(0), JSON, stream=stream)
    exchange.body_received(whole("Hello"), 0.3)
    exchange.body_ended(0.4)
    assert exchange.outcome == "complete"
    assert b"Hello" in said(exchange)


def test_a_frame_that_is_gathered_counts_while_it_is_held() -> None:
    budget = Budget(MIB)
    exchange = begun(budget)
    exchange.body_received(ROLE + text("Hi"), 0.3)
    said(exchange)
    exchange.delivered(0.3)
    frame = text("x" * 300_000)
    for at in range(0, len(frame), 100_000):
        exchange.body_received(frame[at : at + 100_000], 0.4)
    assert exchange.pending_bytes == len(frame)
    assert budget.taken_bytes == len(frame), "as long as it waits for the client"
    exchange.take()
    assert budget.taken_bytes == len(frame), "and while it is being sent"
    exchange.delivered(0.5)
    assert budget.taken_bytes == 0


@pytest.mark.parametrize(
    ("headers", "stream", "piece"),
    [
        pytest.param(SSE, True, b"data: " + b"x" * 90_000, id="a frame without an end"),
        pytest.param(SSE, False, BIG, id="an answer that is folded"),
        pytest.param(JSON, False, b'{"choices": ' + b" " * 90_000, id="a whole answer"),
        pytest.param(JSON, True, b'{"choices": ' + b" " * 90_000, id="a whole answer for a stream"),
    ],
)
def test_who_would_hold_too_much_is_ended(headers: tuple[tuple[bytes, bytes], ...], stream: bool, piece: bytes) -> None:
    budget = Budget(10 * SMALL_BYTES)
    other = Share(budget)
    assert other.hold_answer(8 * SMALL_BYTES)
    exchange = begun(budget, headers, stream=stream)
    for count in range(5):
        exchange.body_received(piece, 0.3 + count)
        if exchange.over:
            break
    assert (exchange.outcome, exchange.error and exchange.error.kind) == ("gateway_error", "overloaded")
    assert exchange.head is not None
    status, fields = exchange.head
    assert (status, dict(fields)[b"retry-after"]) == (503, b"1")
    assert b"THALWEG_BUFFER_MB" in said(exchange)
    assert budget.taken_bytes == other.answer_bytes, "what it had gathered is let go at once"


def test_a_stream_that_has_begun_ends_with_an_error_event() -> None:
    budget = Budget(2 * SMALL_BYTES)
    exchange = begun(budget)
    exchange.body_received(ROLE + text("Hi"), 0.3)
    assert said(exchange) == ROLE + text("Hi")
    exchange.delivered(0.3)
    exchange.body_received(b"data: " + b"x" * 3 * SMALL_BYTES, 0.4)
    ending = said(exchange)
    assert ending.startswith(b'data: {"error":')
    assert b"overloaded" in ending
    assert exchange.outcome == "gateway_error"
    assert exchange.held_bytes == len(ending), "only what it still has to say"


def test_a_client_that_leaves_gives_back_what_it_did_not_take() -> None:
    budget = Budget(MIB)
    exchange = begun(budget)
    exchange.body_received(ROLE + text("x" * 200_000), 0.3)
    assert budget.taken_bytes > 200_000
    exchange.client_left(0.4)
    assert (exchange.held_bytes, budget.taken_bytes) == (0, 0)
