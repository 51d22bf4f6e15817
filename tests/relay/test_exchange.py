"""Every law that an exchange carries, as conversations: what happened, and what it wants then."""

from __future__ import annotations

import gc
import json
import weakref
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any, NamedTuple

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec.structs import replace

from tests.playbook import (
    BEGIN,
    DONE,
    HELLO,
    HTML,
    JSON,
    ROLE,
    SSE,
    Happened,
    Played,
    Turn,
    Wants,
    answers,
    body,
    breaks,
    cancelled,
    chunk,
    completes,
    connected,
    cut,
    ended,
    fault,
    finish,
    frame,
    given_up,
    head,
    left,
    lingers,
    nothing,
    opens,
    opens_and_breaks,
    opens_and_completes,
    passes,
    plan,
    play,
    queue,
    refuses,
    sends,
    shut_down,
    stops,
    text,
    tick,
    usage,
    whole,
)
from thalweg.canon.errors import Cancelled, Unavailable, UpstreamBroke, UpstreamTimeout, UpstreamUnreachable
from thalweg.canon.policy import Leave
from thalweg.canon.usage import Usage
from thalweg.profiles.base import Profile
from thalweg.profiles.providers import CHAT_REPAIRS
from thalweg.relay.exchange import LINGER_S, MAX_ERROR_BYTES, MAX_HELD_BYTES, Exchange, Phase, Wish
from thalweg.relay.plan import Bounds, Headers, Plan, Timing
from thalweg.upstream.base import ResponseHead

# The usual beginnings, so that each test tells what is its own.

ASKED = (connected(0.1) >> nothing,)
ANSWERED = (*ASKED, head(0.2) >> nothing)
BEGUN = (*ANSWERED, body(0.3, ROLE, text("Hel")) >> opens(ROLE, text("Hel")))
FINISHED = (*BEGUN, body(0.4, finish()) >> sends(finish()))

KEPT_ALIVE = frame(
    {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1700000000,
        "model": "m-1",
        "choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": None}],
    }
)


# The commit gate.


def test_nothing_leaves_before_the_first_content() -> None:
    play(
        connected(0.1) >> nothing,
        head(0.2) >> nothing,
        body(0.3, ROLE) >> nothing,
        body(0.4, b": waiting\n\n") >> nothing,
        body(0.5, text("Hel")) >> opens(ROLE, text("Hel")),
        body(0.6, text("lo")) >> sends(text("lo")),
        body(0.7, finish()) >> sends(finish()),
        body(0.8, DONE) >> completes(DONE),
    )


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(text("x"), id="text"),
        pytest.param(chunk({"content": "", "reasoning_content": "x"}), id="reasoning"),
        pytest.param(chunk({"content": "", "refusal": "no"}), id="a refusal"),
        pytest.param(
            chunk({"content": "", "tool_calls": [{"index": 0, "id": "c", "type": "function",
                                                  "function": {"name": "f", "arguments": ""}}]}),
            id="a call's name",
        ),
        pytest.param(finish("length"), id="a finish reason alone"),
        pytest.param(text("x", at=1), id="another choice"),
    ],
)  # fmt: skip
def test_any_content_opens_the_gate(content: bytes) -> None:
    play(*ANSWERED, body(0.3, ROLE) >> nothing, body(0.4, content) >> opens(ROLE, content))


@pytest.mark.parametrize(
    "nothing_yet",
    [
        pytest.param(chunk({"content": ""}), id="empty text"),
        pytest.param(chunk({"role": "assistant", "content": ""}), id="a role"),
        pytest.param(b": comment\n\n", id="a comment"),
        pytest.param(usage(), id="usage"),
    ],
)
def test_what_is_no_content_does_not(nothing_yet: bytes) -> None:
    play(*ANSWERED, body(0.3, nothing_yet) >> nothing, body(0.4, nothing_yet) >> nothing)


def test_a_whole_stream_in_one_read_goes_out_at_once() -> None:
    play(*ANSWERED, body(0.3, HELLO) >> opens_and_completes(HELLO))


def test_an_answer_without_any_content_is_passed_on_as_it_is() -> None:
    play(*ANSWERED, body(0.3, ROLE) >> nothing, body(0.4, DONE) >> opens_and_completes(ROLE, DONE))


def test_the_head_carries_ours_and_the_few_of_the_upstream() -> None:
    upstream = (
        (b"content-type", b"text/event-stream"),
        (b"x-ratelimit-remaining-requests", b"9"),
        (b"x-ratelimit-huge", b"9" * 257),
        (b"x-request-id", b"req_up"),
        (b"set-cookie", b"a=b"),
        (b"server", b"acme"),
    )
    played = play(
        connected(0.1) >> nothing, head(0.2, headers=upstream) >> nothing, body(0.3, text("x")) >> opens(text("x"))
    )
    assert played.heads == [
        (
            200,
            (
                (b"content-type", b"text/event-stream; charset=utf-8"),
                (b"cache-control", b"no-cache"),
                (b"x-accel-buffering", b"no"),
                (b"x-thalweg-stream", b"str_1"),
                (b"x-ratelimit-remaining-requests", b"9"),
                (b"x-upstream-request-id", b"req_up"),
            ),
        )
    ]


def test_an_upstream_cannot_make_the_head_large() -> None:
    many = SSE + tuple((b"x-ratelimit-%d" % i, b"9") for i in range(100))
    played = play(
        connected(0.1) >> nothing, head(0.2, headers=many) >> nothing, body(0.3, text("x")) >> opens(text("x"))
    )
    assert len(played.heads[0][1]) == 4 + 16


@pytest.mark.parametrize(
    "before", [pytest.param((), id="at once"), pytest.param((ROLE, b": wait\n\n"), id="after a role and a comment")]
)
def test_an_error_before_content_becomes_an_http_error(before: tuple[bytes, ...]) -> None:
    held = tuple(body(0.3, piece) >> nothing for piece in before)
    refused = refuses(502, "upstream_error", "the model fell over")
    report = play(*ANSWERED, *held, body(0.5, fault()) >> refused).report
    assert (report.outcome, report.error_kind, report.ttft_ms) == ("upstream_error", "upstream_error", None)


def test_an_error_behind_a_role_in_one_read_is_an_http_error_too() -> None:
    play(*ANSWERED, body(0.3, ROLE, fault(code="boom")) >> refuses(502, "boom"))


def test_content_and_an_error_in_one_read_go_out_in_this_order() -> None:
    both = opens_and_breaks("upstream_error", "fell over", after=ROLE + text("Hel"))
    play(*ANSWERED, body(0.3, ROLE, text("Hel"), fault()) >> both)


@pytest.mark.parametrize("junk", [b"data: {nonsense\n\n", b"data: []\n\n", b"data: \xff\n\n"])
def test_a_frame_that_is_no_chunk_is_an_error(junk: bytes) -> None:
    play(*ANSWERED, body(0.3, junk) >> refuses(502, "upstream_broke_off", "acme sent"))
    play(*BEGUN, body(0.4, junk) >> breaks("upstream_broke_off", "acme sent"))


def test_the_gate_opens_after_a_while_with_what_was_held() -> None:
    play(
        *ANSWERED,
        body(0.3, ROLE) >> nothing,
        tick(9.99) >> nothing,
        tick(10.0) >> opens(ROLE),
        body(11.0, text("Hel")) >> sends(text("Hel")),
    )


def test_the_gate_opens_after_a_while_with_nothing() -> None:
    play(*ANSWERED, tick(10.0) >> opens(), body(11.0, ROLE) >> sends(ROLE), body(12.0, text("x")) >> sends(text("x")))


def test_the_gate_opens_by_time_even_before_the_head() -> None:
    """Clients give up on silence. A refusal that comes later is an event."""
    play(*ASKED, tick(9.9) >> nothing, tick(10.0) >> opens(), head(11.0, 429, JSON) >> nothing, ended(11.1) >> breaks(
        "rate_limit_exceeded", wish=Wish.RELEASE))  # fmt: skip


def test_a_whole_answer_is_not_begun_by_time() -> None:
    play(*ASKED, tick(30.0) >> nothing, head(31.0, 429, JSON) >> nothing, ended(31.1) >> refuses(
        429, "rate_limit_exceeded", wish=Wish.RELEASE), stream=False)  # fmt: skip


def test_a_refusal_that_dawdles_keeps_its_status() -> None:
    play(
        *ASKED,
        head(0.2, 500, JSON) >> nothing,
        body(0.3, b"{") >> nothing,
        tick(15.0) >> nothing,
        ended(16.0) >> refuses(500, "upstream_error", wish=Wish.RELEASE),
    )


def test_an_error_after_the_gate_was_opened_by_time_is_an_event() -> None:
    play(*ANSWERED, body(0.3, ROLE) >> nothing, tick(10.0) >> opens(ROLE), body(11.0, fault()) >> breaks(
        "upstream_error"))  # fmt: skip


def test_what_is_held_is_bounded() -> None:
    """An upstream that sends much and says nothing."""
    role = chunk({"role": "assistant", "content": "", "pad": "x" * 4000})
    fits = MAX_HELD_BYTES // len(role)
    turns = [body(0.3 + i / 1000, role) >> nothing for i in range(fits)]
    play(
        *ANSWERED, *turns, body(0.9, role) >> opens(role * (fits + 1)), profile=Profile()
    )  # no repairs, so that roles pass


def test_an_error_with_too_much_held_is_still_an_http_error() -> None:
    role = chunk({"role": "assistant", "content": "", "pad": "x" * MAX_HELD_BYTES})
    play(*ANSWERED, body(0.3, role, fault()) >> refuses(502, "upstream_error"))


# Keep-alives.


def test_silence_is_broken_in_the_dialects_own_form() -> None:
    play(
        *BEGUN,
        tick(10.2) >> nothing,
        tick(10.4) >> sends(KEPT_ALIVE),
        tick(20.3) >> nothing,
        tick(20.5) >> sends(KEPT_ALIVE),
        body(25.0, text("lo")) >> sends(text("lo")),
        tick(34.9) >> nothing,
        tick(35.0) >> sends(KEPT_ALIVE),
    )


def test_silence_before_anything_is_known_is_broken_too() -> None:
    played = play(*ANSWERED, tick(10.0) >> opens(), tick(19.9) >> nothing)
    played.exchange.ticked(BEGIN + 20.0, reading=True)
    said = json.loads(played.takes(20.0)[6:])
    assert (said["id"], said["model"], said["created"]) == ("chatcmpl-str_1", "m", 1700000001)
    assert said["choices"] == [{"index": 0, "delta": {"content": ""}, "finish_reason": None}]


def test_no_keepalive_follows_a_finish_reason() -> None:
    """A usage chunk may take its time; an SDK that has seen the finish reason wants nothing else."""
    play(*FINISHED, tick(30.0) >> nothing, tick(60.0) >> nothing, body(70.0, DONE) >> completes(DONE))


def test_no_keepalive_stands_in_line_behind_bytes() -> None:
    played = play(*ANSWERED, body(0.3, ROLE, text("Hel")) >> Wants(status=200, phase=Phase.SENDING), reads=False)
    for at in (20.0, 40.0, 60.0):
        played.exchange.ticked(BEGIN + at, reading=True)
    assert played.takes(61.0) == ROLE + text("Hel")


def test_no_keepalive_stands_in_line_behind_bytes_that_are_on_their_way() -> None:
    """The client does not read: what was taken for it is not yet with its socket."""
    exchange = play(*BEGUN).exchange
    exchange.body_received(text("lo"), BEGIN + 1)
    assert exchange.take() == text("lo")
    exchange.ticked(BEGIN + 20, reading=True)
    assert exchange.pending_bytes == 0
    exchange.delivered(BEGIN + 21)
    exchange.ticked(BEGIN + 30.9, reading=True)
    assert exchange.pending_bytes == 0
    exchange.ticked(BEGIN + 31, reading=True)
    assert exchange.take() == KEPT_ALIVE


def test_a_keepalive_never_stands_within_a_frame() -> None:
    half, rest = text("long")[:20], text("long")[20:]
    play(*BEGUN, body(1.0, half) >> nothing, tick(12.0) >> sends(KEPT_ALIVE), body(13.0, rest) >> sends(text("long")))


def test_a_whole_answer_is_waited_for_in_silence() -> None:
    play(*ASKED, head(0.2, 200, JSON) >> nothing, tick(100.0) >> nothing, stream=False)


# Timeouts.

TIMING = Timing(first_byte_s=20, gap_s=5, whole_s=60, commit_after_s=100, keepalive_s=100)


@pytest.mark.parametrize(
    ("turns", "phase"),
    [
        pytest.param(
            (*ASKED, tick(20.1) >> nothing, tick(20.2) >> refuses(504, "timeout", "did not begin")),
            "first_byte",
            id="no head",
        ),
        pytest.param(
            (*ANSWERED, tick(5.2) >> nothing, tick(5.3) >> refuses(504, "timeout", "sent nothing for 5 s")),
            "gap",
            id="a head and no body",
        ),
        pytest.param(
            (*BEGUN, tick(5.3) >> nothing, tick(5.4) >> breaks("timeout", "sent nothing for 5 s")),
            "gap",
            id="content and then nothing",
        ),
        pytest.param(
            (*FINISHED, tick(5.4) >> nothing, tick(5.5) >> breaks("timeout", "sent nothing for 5 s")),
            "gap",
            id="a finish reason and no end",
        ),
        pytest.param(
            (*BEGUN, *(body(t, text("x")) >> sends(text("x")) for t in range(5, 60, 5)),
             tick(60.0) >> nothing, tick(60.1) >> breaks("timeout", "longer than 60 s")),
            "whole",
            id="it never stops",
        ),
        pytest.param(
            (tick(59.0) >> nothing, tick(61.0) >> refuses(504, "timeout", "longer than 60 s")),
            "whole",
            id="no connection, which is the connector's own wait",
        ),
        pytest.param(
            (*ASKED, head(0.2, 500, JSON) >> nothing, tick(5.3) >> refuses(504, "timeout")),
            "gap",
            id="a refusal that never comes",
        ),
    ],
)  # fmt: skip
def test_each_wait_has_its_timeout(turns: tuple[Turn, ...], phase: str) -> None:
    played = play(*turns, timing=TIMING)
    error = played.exchange.error
    assert isinstance(error, UpstreamTimeout)
    assert (error.phase, error.provider) == (phase, "acme")
    assert (played.report.outcome, played.report.error_kind) == ("upstream_error", "timeout")


FIRST = Timing(first_content_s=3, gap_s=100, whole_s=200, commit_after_s=100, keepalive_s=100)


def test_a_role_and_comments_are_no_content() -> None:
    signs = (body(0.3, ROLE) >> nothing, body(2.0, b": alive\n\n") >> nothing)
    played = play(*ANSWERED, *signs, tick(3.0) >> nothing, tick(3.2) >> refuses(504, "timeout", "3 s"), timing=FIRST)
    assert isinstance(played.exchange.error, UpstreamTimeout)
    assert played.exchange.error.phase == "first_content"


def test_the_first_content_is_waited_for_once() -> None:
    play(*BEGUN, tick(50.0) >> nothing, timing=FIRST)


def test_a_whole_answer_of_an_upstream_that_does_not_stream_has_no_first_content() -> None:
    waiting = (*ASKED, head(0.2, 200, JSON) >> nothing, body(0.3, b"{") >> nothing)
    play(*waiting, tick(50.0) >> nothing, stream=False, timing=FIRST)


FLOOR = Timing(floor_tokens_per_s=2, floor_window_s=5, gap_s=100, whole_s=200, keepalive_s=100)
WORD = text("a word or two ")


def test_an_answer_that_trickles_is_ended() -> None:
    fast = tuple(body(t, WORD) >> sends(WORD) for t in (1.0, 2.0, 3.0, 4.0, 5.0))
    played = play(
        *BEGUN,
        tick(0.5) >> nothing,
        *fast,
        tick(5.6) >> nothing,
        body(6.0, text("a")) >> sends(text("a")),
        tick(10.5) >> nothing,
        tick(10.7) >> breaks("timeout", "below 2 tokens a second"),
        timing=FLOOR,
    )
    assert isinstance(played.exchange.error, UpstreamTimeout)
    assert played.exchange.error.phase == "floor"


def test_what_we_hold_back_ourselves_does_not_trickle() -> None:
    held = tuple(tick(float(t), reading=False) >> nothing for t in range(1, 60))
    play(*BEGUN, *held, tick(60.0) >> nothing, tick(63.9) >> nothing, timing=FLOOR)


def test_an_answer_that_has_finished_is_not_hurried() -> None:
    play(*FINISHED, tick(0.5) >> nothing, tick(90.0) >> nothing, timing=FLOOR)


# What follows when the client leaves.


def leaving(leave: Leave, *turns: Turn, stream: bool = True) -> Played:
    return play(*turns, given=replace(plan(stream=stream), leave=leave))


def test_a_drain_reads_to_the_end_for_the_ledger() -> None:
    report = leaving(
        Leave(kind="drain"),
        *BEGUN,
        left(0.5) >> lingers(),
        body(1.0, text("lo")) >> nothing,
        tick(30.0) >> nothing,
        body(40.0, finish(), usage(30, 50)) >> nothing,
        body(40.1, DONE) >> stops(Wish.RELEASE),
    ).report
    assert (report.outcome, report.usage_source, report.usage.output_tokens) == ("cancelled", "reported", 50)
    assert report.duration_ms == pytest.approx(500)


def test_who_left_after_the_finish_reason_had_it_all_whatever_the_policy() -> None:
    report = leaving(
        Leave(kind="drain"), *FINISHED, left(0.5) >> lingers(), body(0.6, usage(30, 50), DONE) >> stops(Wish.RELEASE)
    ).report
    assert (report.outcome, report.usage.output_tokens) == ("complete", 50)


def test_a_drain_of_tokens_ends_when_they_have_come() -> None:
    more = tuple(body(1.0 + t, WORD) >> nothing for t in range(3))
    report = leaving(Leave(kind="drain", tokens=8), *BEGUN, left(0.5) >> lingers(), *more, tick(5.0) >> stops()).report
    assert (report.outcome, report.usage_source) == ("cancelled", "estimated")


@pytest.mark.parametrize("leave", [Leave(kind="linger", seconds=3), Leave(kind="drain", seconds=3)])
def test_time_ends_it_too(leave: Leave) -> None:
    leaving(leave, *BEGUN, left(0.5) >> lingers(), tick(3.4) >> nothing, tick(3.6) >> stops())


def test_also_before_the_first_word_and_for_whole_answers() -> None:
    for stream in (True, False):
        report = leaving(
            Leave(kind="drain"),
            *ASKED,
            left(0.2) >> lingers(),
            head(0.3, 200, JSON) >> nothing,
            body(0.4, whole("Hello.", usage={"prompt_tokens": 3, "completion_tokens": 4})) >> nothing,
            ended(0.5) >> stops(Wish.RELEASE),
            stream=stream,
        ).report
        assert (report.outcome, report.usage_source, report.usage.output_tokens) == ("cancelled", "reported", 4)
        assert report.status is None


def test_an_upstream_that_fails_then_is_nobodys_news() -> None:
    report = leaving(Leave(kind="drain"), *BEGUN, left(0.5) >> lingers(), cut(1.0) >> stops()).report
    assert report.outcome == "cancelled"


def test_what_was_never_asked_is_not_drained() -> None:
    leaving(Leave(kind="drain"), left(0.05) >> stops())


def test_a_comment_is_a_sign_of_life() -> None:
    keep = tuple(body(0.2 + 4 * i, b": alive\n\n") >> nothing for i in range(1, 5))
    play(*ANSWERED, *keep, tick(17.0) >> nothing, timing=TIMING)


def test_no_gap_is_counted_while_we_hold_the_upstream_back() -> None:
    play(
        *BEGUN,
        tick(30.0, reading=False) >> nothing,
        tick(60.0, reading=False) >> nothing,
        tick(60.1, reading=False) >> breaks("timeout", "longer than 60 s"),
        timing=TIMING,
    )


def test_a_whole_answer_has_the_same_timeouts() -> None:
    waiting = (*ASKED, head(0.2, 200, JSON) >> nothing, body(0.3, b"{") >> nothing)
    play(*waiting, tick(5.3) >> nothing, tick(5.4) >> refuses(504, "timeout"), stream=False, timing=TIMING)


# Honest ends.


@pytest.mark.parametrize(
    "last",
    [
        pytest.param(cut, id="the connection breaks"),
        pytest.param(ended, id="the body ends in order"),
    ],
)
def test_a_stream_that_breaks_off_never_ends_like_a_good_one(last: Callable[[float], Happened]) -> None:
    broke = "upstream_broke_off"
    for turns in (
        (*ANSWERED, last(1.0) >> refuses(502, broke)),
        (*ANSWERED, body(0.3, ROLE) >> nothing, last(1.0) >> refuses(502, broke)),
        (*ANSWERED, tick(10.0) >> opens(), last(11.0) >> breaks(broke)),
        (*BEGUN, last(1.0) >> breaks(broke)),
        (*BEGUN, body(0.4, text("lo")[:30]) >> nothing, last(1.0) >> breaks(broke)),
    ):
        played = play(*turns)
        assert DONE not in played.sent
        assert played.report.outcome == "upstream_error"


def test_a_cut_before_the_head_is_an_http_error() -> None:
    refused = UpstreamUnreachable("acme refused the connection", provider="acme")
    report = play(cut(0.1, refused) >> refuses(502, "upstream_unreachable")).report
    assert (report.upstream_status, report.upstream_ttft_ms, report.usage_source) == (None, None, "counted")
    assert (report.usage.input_tokens, report.usage.output_tokens) == (0, 0), "it was never asked"
    play(*ASKED, cut(0.3) >> refuses(502, "upstream_broke_off"))


def test_a_finished_answer_whose_connection_breaks_is_not_complete() -> None:
    report = play(*FINISHED, cut(1.0) >> breaks("upstream_broke_off")).report
    assert (report.outcome, report.finish_reason) == ("upstream_error", "stop")


def test_a_finished_answer_gets_the_end_mark_it_lacked() -> None:
    assert play(*FINISHED, ended(1.0) >> completes(DONE)).report.outcome == "complete"


def test_one_unfinished_choice_is_enough_to_lack_the_end() -> None:
    play(*FINISHED, body(0.5, text("x", at=1)) >> sends(text("x", at=1)), ended(1.0) >> breaks("upstream_broke_off"))


def test_a_frame_that_no_blank_line_closed_still_counts() -> None:
    play(*BEGUN, body(0.4, finish()[:-2]) >> nothing, ended(0.5) >> completes(finish(), DONE))
    play(*FINISHED, body(0.5, b"data: [DONE]") >> nothing, ended(0.6) >> completes(DONE))


def test_an_error_in_a_frame_that_no_blank_line_closed_is_one() -> None:
    play(*FINISHED, body(0.5, fault()[:-2]) >> nothing, ended(0.6) >> breaks("upstream_error"))


def test_an_untouched_stream_gets_no_end_mark() -> None:
    play(*FINISHED, ended(1.0) >> completes(), raw=True)


def test_an_error_ends_the_stream_and_an_end_mark_after_it_is_dropped() -> None:
    played = play(*BEGUN, body(0.4, fault(code="boom"), text("more"), DONE) >> breaks("boom", "fell over"))
    assert DONE not in played.sent
    assert b"more" not in played.sent


def test_an_error_after_the_finish_reason_makes_it_incomplete() -> None:
    report = play(*FINISHED, body(0.5, fault(), DONE) >> breaks("upstream_error")).report
    assert report.outcome == "upstream_error"


def test_nothing_follows_the_end_mark() -> None:
    played = play(*FINISHED, body(0.5, DONE, text("more"), fault(), b"data: garbage\n\n", DONE) >> completes(DONE))
    assert played.report.outcome == "complete"


def test_a_frame_over_the_bound_breaks_the_stream() -> None:
    small = Bounds(frame_bytes=1000)
    long = text("x" * 2000)
    play(
        *BEGUN,
        body(0.4, long[:900]) >> nothing,
        body(0.5, long[900:1800]) >> breaks("upstream_broke_off", "a frame of more than"),
        bounds=small,
    )


# The client leaves.


@pytest.mark.parametrize(
    "turns",
    [
        pytest.param((left(0.05) >> stops(),), id="before the connection"),
        pytest.param((*ASKED, left(0.15) >> stops()), id="before the head"),
        pytest.param((*ANSWERED, left(0.25) >> stops()), id="before the body"),
        pytest.param((*ANSWERED, body(0.3, ROLE) >> nothing, left(0.4) >> stops()), id="while frames are held"),
        pytest.param((*BEGUN, left(0.5) >> stops()), id="while frames pass"),
        pytest.param((*ASKED, head(0.2, 500) >> nothing, left(0.5) >> stops()), id="in a refusal"),
    ],
)
def test_a_client_that_leaves_ends_the_upstream_call(turns: tuple[Turn, ...]) -> None:
    played = play(*turns)
    assert played.report.outcome == "cancelled"
    assert played.report.error_kind is None
    played.go_on(left(1.0) >> nothing, tick(100.0) >> nothing, given_up(100.0) >> nothing)


@pytest.mark.parametrize(
    "turns",
    [
        pytest.param((*ASKED, left(0.15) >> stops()), id="before the head"),
        pytest.param(
            (*ASKED, head(0.2, 200, JSON) >> nothing, body(0.3, b"{") >> nothing, left(0.4) >> stops()),
            id="in a whole answer",
        ),
        pytest.param(
            (*ASKED, head(0.2) >> nothing, body(0.3, ROLE, text("Hel"), finish()) >> nothing, left(0.4) >> stops()),
            id="in a stream that is folded",
        ),
    ],
)
def test_so_it_is_for_an_answer_that_does_not_stream(turns: tuple[Turn, ...]) -> None:
    assert play(*turns, stream=False).report.outcome == "cancelled"


def test_what_waits_for_a_client_that_has_left_is_dropped() -> None:
    exchange = play(*ANSWERED, body(0.3, text("x")) >> Wants(status=200, phase=Phase.SENDING), reads=False).exchange
    exchange.client_left(BEGIN + 0.4)
    assert (exchange.head, exchange.pending_bytes, exchange.take()) == (None, 0, b"")


def test_a_client_that_leaves_after_the_finish_reason_is_outlived_for_the_usage() -> None:
    played = play(
        *FINISHED,
        left(0.5) >> lingers(),
        tick(0.9) >> nothing,
        left(0.95) >> nothing,
        body(1.0, usage(30, 50)) >> nothing,
        body(1.1, DONE) >> stops(Wish.RELEASE),
    )
    report = played.report
    assert (report.outcome, report.usage_source) == ("complete", "reported")
    assert report.usage == Usage(input_tokens=30, output_tokens=50)
    assert report.duration_ms == pytest.approx(500), "for the client it ended when the client left"


def test_it_is_outlived_until_the_body_ends_if_there_is_no_end_mark() -> None:
    report = play(*FINISHED, left(0.5) >> lingers(), ended(1.0) >> stops(Wish.RELEASE)).report
    assert report.outcome == "complete"


def test_it_is_outlived_for_a_second_and_no_longer() -> None:
    played = play(
        *FINISHED, left(0.5) >> lingers(), tick(0.5 + LINGER_S - 0.01) >> nothing, tick(0.5 + LINGER_S) >> stops()
    )
    assert played.report.outcome == "cancelled"


def test_usage_without_an_end_is_counted_all_the_same() -> None:
    played = play(
        *FINISHED, left(0.5) >> lingers(), body(0.6, usage(30, 50)) >> nothing, tick(0.5 + LINGER_S) >> stops()
    )
    assert (played.report.outcome, played.report.usage_source) == ("cancelled", "reported")


@pytest.mark.parametrize(
    "last",
    [
        pytest.param(cut(0.6), id="the upstream breaks"),
        pytest.param(body(0.6, fault()), id="the upstream says an error"),
        pytest.param(cancelled(0.6), id="it is cancelled"),
        pytest.param(shut_down(0.6), id="the gateway goes"),
        pytest.param(given_up(0.6), id="the pump stops"),
    ],
)
def test_whatever_ends_the_wait_it_was_the_client_who_left(last: Happened) -> None:
    report = play(*FINISHED, left(0.5) >> lingers(), last >> stops()).report
    assert report.outcome == "cancelled"
    assert report.duration_ms == pytest.approx(500)


def test_a_choice_that_goes_on_is_not_waited_for() -> None:
    play(
        *BEGUN,
        body(0.4, text("x", at=1), finish()) >> sends(text("x", at=1), finish()),
        left(0.5) >> stops(),
    )


@pytest.mark.parametrize(
    "turns",
    [
        pytest.param((*FINISHED, body(0.5, DONE) >> completes(DONE)), id="a whole stream"),
        pytest.param((*BEGUN, cut(0.5) >> breaks("upstream_broke_off")), id="a broken stream"),
        pytest.param((*ASKED, cut(0.5) >> refuses(502, "upstream_broke_off")), id="a refusal"),
    ],
)
def test_leaving_after_the_end_changes_nothing(turns: tuple[Turn, ...]) -> None:
    played = play(*turns)
    before = played.report
    played.go_on(left(1.0) >> nothing, left(2.0) >> nothing, given_up(3.0) >> nothing)
    assert played.report == before


# The account.


@pytest.mark.parametrize("asked", [True, False])
def test_usage_is_sent_to_who_asked_for_it_and_known_anyhow(asked: bool) -> None:
    end = (usage(30, 50), DONE) if asked else (DONE,)
    played = play(
        *FINISHED, body(0.5, usage(30, 50)) >> nothing, body(0.6, DONE) >> completes(*end), include_usage=asked
    )
    report = played.report
    assert (report.usage, report.usage_source) == (Usage(input_tokens=30, output_tokens=50), "reported")


def test_usage_on_a_chunk_with_choices_is_taken_off() -> None:
    counts = {"prompt_tokens": 30, "completion_tokens": 50}
    riding = chunk({"content": ""}, finish="stop", usage=counts)
    withheld = chunk({"content": ""}, finish="stop", usage=None)
    played = play(*BEGUN, body(0.4, riding) >> sends(withheld), body(0.5, DONE) >> completes(DONE))
    assert played.report.usage.output_tokens == 50


def test_the_numbers_of_a_whole_stream() -> None:
    played = play(
        connected(0.5) >> nothing,
        head(1.0) >> nothing,
        body(1.25, ROLE) >> nothing,
        body(1.5, text("Hel")) >> opens(ROLE, text("Hel")),
        body(3.5, text("lo")) >> sends(text("lo")),
        body(4.0, finish("length"), usage(30, 50), DONE) >> completes(finish("length"), DONE),
    )
    report = played.report
    assert report.outcome == "complete"
    assert report.ttft_ms == pytest.approx(1500)
    assert report.upstream_ttft_ms == pytest.approx(1000)
    assert report.duration_ms == pytest.approx(4000)
    assert report.longest_gap_ms == pytest.approx(2000)
    assert (report.deltas, report.finish_reason, report.upstream_status) == (2, "length", 200)
    assert (report.error_kind, report.repaired) == (None, {})


def test_ttft_is_when_content_was_delivered_not_when_it_came() -> None:
    played = play(*ANSWERED, tick(10.0) >> Wants(status=200, phase=Phase.SENDING), reads=False)
    exchange = played.exchange
    exchange.body_received(ROLE, BEGIN + 11)
    assert exchange.take() == ROLE
    exchange.body_received(text("Hel"), BEGIN + 12)
    exchange.delivered(BEGIN + 13)
    assert exchange.first_delivered_at is None, "so far it was the role"
    assert exchange.take() == text("Hel")
    exchange.delivered(BEGIN + 14)
    exchange.body_received(finish() + DONE, BEGIN + 15)
    exchange.take()
    exchange.delivered(BEGIN + 17)
    report = played.report
    assert (report.ttft_ms, report.upstream_ttft_ms) == (pytest.approx(14000), pytest.approx(11900))
    assert report.duration_ms == pytest.approx(17000), "for the client it ended with its last byte"


def test_the_short_way_out_counts_as_delivered() -> None:
    exchange = play(*ANSWERED, reads=False).exchange
    exchange.body_received(text("Hel"), BEGIN + 1)
    assert exchange.peek() == text("Hel")
    exchange.passed_on(BEGIN + 1)
    assert (exchange.first_delivered_at, exchange.said_at, exchange.pending_bytes) == (BEGIN + 1, BEGIN + 1, 0)


def test_usage_that_never_came_is_estimated_from_what_was_read() -> None:
    words = text("a" * 400)
    report = play(*ANSWERED, body(0.3, words) >> opens(words), left(0.5) >> stops()).report
    assert report.usage_source == "estimated"
    assert report.usage == Usage(input_tokens=3, output_tokens=100)


METERED = Profile(repairs=CHAT_REPAIRS, chunk_usage="continuous_usage_stats", unasked_usage="absent")
ENDINGS = [
    pytest.param(left(0.9), "cancelled", id="the client leaves"),
    pytest.param(cancelled(0.9), "cancelled", id="it is cancelled"),
    pytest.param(cut(0.9), "upstream_error", id="the upstream breaks"),
    pytest.param(ended(0.9), "upstream_error", id="the body ends too early"),
    pytest.param(body(0.9, fault()), "upstream_error", id="the upstream says an error"),
    pytest.param(tick(400), "upstream_error", id="the upstream stalls"),
    pytest.param(shut_down(0.9), "gateway_error", id="the gateway goes"),
    pytest.param(given_up(0.9), "gateway_error", id="the pump stops"),
]


def metered(words: str, made: int) -> bytes:
    """Text, in a chunk that says how many tokens it makes in all."""
    counts = {"prompt_tokens": 30, "completion_tokens": made, "total_tokens": 30 + made}
    return chunk({"content": words}, usage=counts)


@pytest.mark.parametrize(("last", "outcome"), ENDINGS)
def test_a_cut_answer_with_usage_in_every_chunk_is_counted_exactly(last: Happened, outcome: str) -> None:
    exchange = Exchange(plan(profile=METERED), now=BEGIN)
    for happened in (
        *(turn.happened for turn in ANSWERED),
        body(0.3, ROLE, metered("Hel", 7)),
        body(0.4, metered("lo", 9)),
        body(0.5, metered(", ", 10), metered("wor", 12), metered("ld", 13)[:-10]),
        body(0.6, metered("ld", 13)[-10:]),
        body(0.7, metered("!", 15)),
        last,
    ):
        happened.tell(exchange, BEGIN + happened.at)
        exchange.take()
    report = exchange.report()
    assert (report.outcome, report.usage_source) == (outcome, "reported")
    assert report.usage == Usage(input_tokens=30, output_tokens=15)


@pytest.mark.parametrize(("last", "outcome"), ENDINGS)
def test_text_after_the_last_report_is_estimated_on_top_of_it(last: Happened, outcome: str) -> None:
    exchange = Exchange(plan(profile=METERED), now=BEGIN)
    for happened in (
        *(turn.happened for turn in ANSWERED),
        body(0.3, ROLE, metered("Hel", 7)),
        body(0.4, metered("lo", 9)),
        body(0.5, text("b" * 100)),
        body(0.6, text("c" * 100)),
        last,
    ):
        happened.tell(exchange, BEGIN + happened.at)
        exchange.take()
    report = exchange.report()
    assert (report.outcome, report.usage_source) == (outcome, "estimated")
    assert report.usage == Usage(input_tokens=30, output_tokens=9 + 50)


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "folded"])
def test_of_a_whole_answer_the_last_report_holds_whatever_came_after_it(stream: bool) -> None:
    exchange = Exchange(plan(profile=METERED, stream=stream, upstream_streams=True), now=BEGIN)
    for happened in (
        *(turn.happened for turn in ANSWERED),
        body(0.3, ROLE, metered("Hel", 7), text("b" * 100)),
        body(0.4, finish(), DONE),
    ):
        happened.tell(exchange, BEGIN + happened.at)
    report = exchange.report()
    assert (report.outcome, report.usage_source, report.usage.output_tokens) == ("complete", "reported", 7)


@pytest.mark.parametrize(("after", "source", "made"), [("", "reported", 9), ("b" * 100, "estimated", 34)])
def test_an_answer_that_is_folded_is_counted_likewise_when_its_client_leaves(
    after: str, source: str, made: int
) -> None:
    exchange = Exchange(plan(profile=METERED, stream=False, upstream_streams=True), now=BEGIN)
    for happened in (
        *(turn.happened for turn in ANSWERED),
        body(0.3, ROLE, metered("Hel", 7), metered("lo", 9), text(after)),
        left(0.9),
    ):
        happened.tell(exchange, BEGIN + happened.at)
    report = exchange.report()
    assert (report.outcome, report.usage_source, report.usage.output_tokens) == ("cancelled", source, made)


def test_a_single_delta_is_never_nothing() -> None:
    call = chunk({"content": "", "tool_calls": [{"index": 0, "id": "c", "type": "function",
                                                 "function": {"name": "f", "arguments": ""}}]})  # fmt: skip
    report = play(*ANSWERED, body(0.3, call) >> opens(call), left(0.5) >> stops()).report
    assert (report.usage_source, report.usage.output_tokens) == ("estimated", 1)


def test_of_an_answer_that_never_came_nothing_is_known() -> None:
    report = play(*ANSWERED, body(0.3, ROLE) >> nothing, left(0.5) >> stops()).report
    assert (report.usage, report.usage_source, report.finish_reason) == (Usage(), "unknown", None)


def test_repairs_are_counted() -> None:
    bare = frame({"id": "c", "created": 1, "model": "m", "choices": [{"index": 0, "delta": {"content": "x"}}]})
    played = play(*ANSWERED)
    played.exchange.body_received(bare, BEGIN + 1)
    played.exchange.give_up(BEGIN + 2)
    assert played.report.repaired == {"object": 1}


# Answers that do not stream.

WHOLE = whole(usage={"prompt_tokens": 3, "completion_tokens": 2})


def test_a_whole_answer_passes_byte_for_byte() -> None:
    report = play(
        *ASKED,
        head(0.2, 200, JSON) >> nothing,
        body(0.3, WHOLE[:20]) >> nothing,
        body(0.8, WHOLE[20:]) >> nothing,
        ended(0.9) >> answers(WHOLE),
        stream=False,
    ).report
    assert (report.outcome, report.finish_reason, report.usage_source) == ("complete", "stop", "reported")
    assert report.ttft_ms == pytest.approx(900)
    assert report.upstream_ttft_ms == pytest.approx(800)
    assert report.duration_ms == pytest.approx(900)


def test_white_space_around_a_whole_answer_is_the_upstreams() -> None:
    body_ = b"\n\n  " + WHOLE + b"\n"
    play(*ASKED, head(0.2, 200, ()) >> nothing, body(0.3, body_) >> nothing, ended(0.4) >> answers(body_), stream=False)


def test_a_whole_answer_without_usage_is_estimated() -> None:
    report = play(
        *ASKED,
        head(0.2, 200, JSON) >> nothing,
        body(0.3, whole("a" * 40)) >> nothing,
        ended(0.4) >> answers(whole("a" * 40)),
        stream=False,
    ).report
    assert (report.usage_source, report.usage.output_tokens) == ("estimated", 10)


def test_a_finish_reason_that_was_not_said_is_not_made_up() -> None:
    said = json.loads(WHOLE)
    said["choices"][0]["finish_reason"] = None
    body_ = json.dumps(said).encode()
    report = play(
        *ASKED, head(0.2, 200, JSON) >> nothing, body(0.3, body_) >> nothing, ended(0.4) >> answers(body_), stream=False
    ).report
    assert report.finish_reason is None


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("headers", "said", "code", "says"),
    [
        pytest.param(JSON, fault()[6:-2], "upstream_error", "fell over", id="an error in a good status"),
        pytest.param(JSON, b'{"detail":"no such model"}', "upstream_error", "no such model", id="a flat error"),
        pytest.param(HTML, b"<html>Please log in</html>", "upstream_broke_off", "no answer", id="a page"),
        pytest.param(JSON, b"", "upstream_broke_off", "no answer", id="nothing"),
        pytest.param(JSON, b'{"id":"x"}', "upstream_broke_off", "no answer", id="something else"),
        pytest.param(JSON, WHOLE[:-5], "upstream_broke_off", "no answer", id="half of an answer"),
    ],
)
def test_what_is_no_answer_is_an_error(stream: bool, headers: Headers, said: bytes, code: str, says: str) -> None:
    came = (body(0.3, said) >> nothing,) if said else ()
    report = play(
        *ASKED, head(0.2, 200, headers) >> nothing, *came, ended(0.4) >> refuses(502, code, says), stream=stream
    ).report
    assert report.outcome == "upstream_error"


@pytest.mark.parametrize("stream", [True, False])
def test_a_whole_answer_is_bounded(stream: bool) -> None:
    half = b'"' + b"x" * 999
    play(
        *ASKED,
        head(0.2, 200, JSON) >> nothing,
        body(0.3, half) >> nothing,
        body(0.4, half) >> nothing,
        body(0.5, b"x") >> refuses(502, "upstream_broke_off", "more than 2000 bytes"),
        stream=stream,
        bounds=Bounds(answer_bytes=2000),
    )


def test_a_whole_answer_that_is_cut_is_an_error() -> None:
    report = play(
        *ASKED,
        head(0.2, 200, JSON) >> nothing,
        body(0.3, WHOLE[:20]) >> nothing,
        cut(0.4) >> refuses(502, "upstream_broke_off"),
        stream=False,
    ).report
    assert (report.outcome, report.usage_source) == ("upstream_error", "unknown")


def frames_of(stream: bytes) -> list[dict[str, Any]]:
    blocks = stream.split(b"\n\n")
    assert blocks[-2:] == [b"data: [DONE]", b""]
    return [json.loads(block.removeprefix(b"data: ")) for block in blocks[:-2]]


@pytest.mark.parametrize("asked", [True, False])
def test_a_whole_answer_to_a_request_for_a_stream_becomes_one(asked: bool) -> None:
    played = play(
        *ASKED,
        head(0.2, 200, JSON) >> nothing,
        body(0.3, WHOLE) >> nothing,
        tick(20.0) >> opens(),
        include_usage=asked,
    )
    played.exchange.body_ended(BEGIN + 21)
    assert played.exchange.wish is Wish.RELEASE
    said = frames_of(played.takes(21))
    assert played.heads[0][0] == 200
    assert dict(played.heads[0][1])[b"content-type"].startswith(b"text/event-stream")
    deltas = [frame_["choices"][0]["delta"] for frame_ in said if frame_["choices"]]
    assert "".join(delta.get("content") or "" for delta in deltas) == "Hello."
    assert deltas[0]["role"] == "assistant"
    assert [frame_["usage"]["completion_tokens"] for frame_ in said if frame_.get("usage")] == ([2] if asked else [])
    assert {frame_["id"] for frame_ in said} == {"chatcmpl-1"}
    assert (played.report.outcome, played.report.usage_source) == ("complete", "reported")


FOLDED = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1700000000,
    "model": "m-1",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "Hello", "refusal": None},
            "logprobs": None,
            "finish_reason": "stop",
        }
    ],
}


@pytest.mark.parametrize(
    "last",
    [
        pytest.param((body(0.6, finish(), DONE),), id="an end mark, and the body goes on"),
        pytest.param((body(0.6, finish(), DONE, b"garbage\n\n"),), id="an end mark and garbage"),
        pytest.param((body(0.6, finish()), ended(0.7)), id="no end mark"),
        pytest.param((body(0.6, finish(), DONE[:-2]), ended(0.7)), id="an end mark that no blank line closed"),
    ],
)
def test_a_stream_that_nobody_asked_for_is_folded(last: tuple[Happened, ...]) -> None:
    """Providers that only stream; the answer does not wait for a body that ends late or never."""
    played = play(
        *ANSWERED, body(0.3, ROLE) >> nothing, body(0.4, text("Hel")) >> nothing, body(0.5, text("lo")) >> nothing,
        *(turn >> nothing for turn in last[:-1]),
        stream=False,
        upstream_streams=True,
    )  # fmt: skip
    last[-1].tell(played.exchange, BEGIN + last[-1].at)
    assert (played.exchange.wish, played.exchange.finished) == (Wish.RELEASE, True)
    assert json.loads(played.takes(1.0)) == FOLDED
    assert (b"content-type", b"application/json") in played.heads[0][1]
    report = played.report
    assert (report.outcome, report.finish_reason, report.deltas) == ("complete", "stop", 2)
    assert report.upstream_ttft_ms == pytest.approx(300), "the role is no content"
    assert report.ttft_ms == pytest.approx(1000)


def test_usage_of_a_folded_stream_is_reported() -> None:
    played = play(*ANSWERED, stream=False)
    played.exchange.body_received(ROLE + text("Hello") + finish() + usage(30, 50) + DONE, BEGIN + 1)
    said = json.loads(played.takes(1.0))
    assert (said["usage"]["prompt_tokens"], said["usage"]["completion_tokens"]) == (30, 50)
    assert (played.report.usage.output_tokens, played.report.usage_source) == (50, "reported")


@pytest.mark.parametrize(
    ("last", "outcome", "wants"),
    [
        pytest.param(cut(1.0), "upstream_error", refuses(502, "upstream_broke_off"), id="the connection breaks"),
        pytest.param(ended(1.0), "upstream_error", refuses(502, "upstream_broke_off"), id="the body ends"),
        pytest.param(body(1.0, fault()), "upstream_error", refuses(502, "upstream_error"), id="an error, body goes on"),
        pytest.param(left(1.0), "cancelled", stops(), id="the client leaves"),
        pytest.param(tick(400.0), "upstream_error", refuses(504, "timeout"), id="it stalls"),
        pytest.param(
            body(1.0, text("x" * 9000)), "upstream_error", refuses(502, "upstream_broke_off", "bytes"), id="too large"
        ),
    ],
)
def test_what_was_read_of_a_folded_stream_counts_if_it_fails(last: Happened, outcome: str, wants: Wants) -> None:
    call = chunk({"content": "", "tool_calls": [{"index": 0, "id": "c", "type": "function",
                                                 "function": {"name": "f", "arguments": "{}"}}]})  # fmt: skip
    came = body(0.5, ROLE, text("a" * 398), call) >> nothing
    report = play(*ANSWERED, came, last >> wants, stream=False, bounds=Bounds(answer_bytes=8000)).report
    assert report.outcome == outcome
    assert report.usage_source == "estimated"
    assert report.usage.output_tokens == 100


def test_a_call_without_arguments_is_something_too() -> None:
    call = chunk({"content": "", "tool_calls": [{"index": 0, "id": "c", "type": "function",
                                                 "function": {"name": "f"}}]})  # fmt: skip
    report = play(*ANSWERED, body(0.5, call) >> nothing, left(1.0) >> stops(), stream=False).report
    assert (report.usage_source, report.usage.output_tokens) == ("estimated", 1)
    assert report.upstream_ttft_ms == pytest.approx(400)


def test_an_exchange_is_no_work_for_the_collector() -> None:
    """It ends by the thousand, and a cycle would wait for the collector's slowest round."""
    gc.disable()
    try:
        for stream, said_ in ((True, HELLO), (False, HELLO), (True, fault())):
            exchange = Exchange(plan(stream=stream), now=BEGIN)
            exchange.connected(BEGIN)
            exchange.head_received(ResponseHead(200, SSE), BEGIN)
            exchange.body_received(said_, BEGIN)
            assert exchange.finished
            there = weakref.ref(exchange)
            del exchange
            assert there() is None
    finally:
        gc.enable()


# Statuses of the upstream.

NO_RETRY = (b"x-should-retry", b"false")


def said(message: str, **more: Any) -> bytes:
    return json.dumps({"error": {"message": message, "type": "t", "param": None} | more}).encode()


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("status", "headers", "came", "wants"),
    [
        pytest.param(301, (), b"", refuses(502, "upstream_broke_off", "status 301"), id="301"),
        pytest.param(304, (), b"", refuses(502, "upstream_broke_off", "status 304"), id="304"),
        pytest.param(201, JSON, WHOLE, refuses(502, "upstream_broke_off", "status 201"), id="201"),
        pytest.param(204, (), b"", refuses(502, "upstream_broke_off", "status 204"), id="204"),
        pytest.param(
            400, JSON, said("bad value", param="n", code="x"), refuses(400, "x", "bad value", wish=Wish.RELEASE),
            id="400",
        ),
        pytest.param(
            400, JSON, said("maximum context length is 8"), refuses(400, "context_length_exceeded", wish=Wish.RELEASE),
            id="400 of a long prompt",
        ),
        pytest.param(
            401, JSON, said("bad key sk-123456789012345678901234"),
            refuses(502, "upstream_error", "acme refused ACME_API_KEY", wish=Wish.RELEASE, headers=(NO_RETRY,)),
            id="401 names the variable",
        ),
        pytest.param(
            402, JSON, said("pay"), refuses(502, "upstream_error", "payment for ACME_API_KEY", wish=Wish.RELEASE,
                                            headers=(NO_RETRY,)), id="402",
        ),
        pytest.param(
            403, JSON, said("no"), refuses(502, "upstream_error", "ACME_API_KEY", wish=Wish.RELEASE,
                                           headers=(NO_RETRY,)), id="403",
        ),
        pytest.param(404, JSON, said("no model"), refuses(404, "model_not_found", wish=Wish.RELEASE), id="404"),
        pytest.param(
            429, (*JSON, (b"retry-after", b"7"), (b"x-ratelimit-reset", b"7")), said("slow down"),
            refuses(429, "rate_limit_exceeded", "slow down", wish=Wish.RELEASE,
                    headers=((b"retry-after", b"7"), (b"x-ratelimit-reset", b"7"))), id="429 with retry-after",
        ),
        pytest.param(500, HTML, b"<h1>oops", refuses(500, "upstream_error", "500", wish=Wish.RELEASE), id="500"),
        pytest.param(500, SSE, fault(), refuses(500, "upstream_error", "500", wish=Wish.RELEASE), id="500 as a stream"),
        pytest.param(503, (), b"", refuses(503, "overloaded", "503", wish=Wish.RELEASE), id="503"),
        pytest.param(529, JSON, said("busy"), refuses(503, "overloaded", "busy", wish=Wish.RELEASE), id="529"),
    ],
)  # fmt: skip
def test_a_status_of_the_upstream(stream: bool, status: int, headers: Headers, came: bytes, wants: Wants) -> None:
    pieces = (body(0.3, came) >> nothing,) if came else ()
    played = play(*ASKED, head(0.2, status, headers) >> nothing, *pieces, ended(0.4) >> wants, stream=stream)
    assert played.report.upstream_status == status
    assert played.report.outcome == ("refused" if status >= 400 else "upstream_error")
    assert b"sk-1234" not in played.sent


@pytest.mark.parametrize("status", [500, 302])
def test_no_more_is_read_of_an_error_than_is_needed(status: int) -> None:
    text_ = refuses(502, "upstream_broke_off") if status < 400 else refuses(500, "upstream_error")
    play(
        *ASKED,
        head(0.2, status, JSON) >> nothing,
        body(0.3, b"x" * MAX_ERROR_BYTES) >> nothing,
        body(0.4, b"x") >> text_,
    )


def test_a_refusal_that_is_cut_is_one_still() -> None:
    """Its status and its headers came: the client must know to come back later, or not to."""
    retry = (b"retry-after", b"7")
    report = play(
        *ASKED,
        head(0.2, 429, (*JSON, retry)) >> nothing,
        body(0.3, said("slow down")[:10]) >> nothing,
        cut(0.4) >> refuses(429, "rate_limit_exceeded", "429", wish=Wish.RELEASE, headers=(retry,)),
    ).report
    assert (report.outcome, report.upstream_status, report.error_kind) == ("refused", 429, "rate_limit")


# Cancelled, shut down, given up.

PLACES = [
    pytest.param((), False, id="before the connection"),
    pytest.param(ASKED, False, id="before the head"),
    pytest.param(ANSWERED, False, id="before the body"),
    pytest.param((*ANSWERED, body(0.3, ROLE) >> nothing), False, id="while frames are held"),
    pytest.param((*ASKED, head(0.2, 500) >> nothing), False, id="in a refusal"),
    pytest.param((*ASKED, head(0.2, 200, JSON) >> nothing, body(0.3, b"{") >> nothing), False, id="in a whole answer"),
    pytest.param((*ANSWERED, tick(10.0) >> opens()), True, id="after the gate opened by time"),
    pytest.param(BEGUN, True, id="while frames pass"),
    pytest.param(FINISHED, True, id="after the finish reason"),
]


@pytest.mark.parametrize(("turns", "committed"), PLACES)
def test_a_cancelled_answer_says_so(turns: tuple[Turn, ...], committed: bool) -> None:
    played = play(*turns, cancelled(50.0) >> (breaks("cancelled") if committed else refuses(499, "cancelled")))
    assert (played.report.outcome, played.report.error_kind) == ("cancelled", "cancelled")


@pytest.mark.parametrize(("turns", "committed"), PLACES)
def test_an_answer_that_is_shut_down_says_so(turns: tuple[Turn, ...], committed: bool) -> None:
    played = play(*turns, shut_down(50.0) >> (breaks("overloaded") if committed else refuses(503, "overloaded")))
    assert (played.report.outcome, played.report.error_kind) == ("gateway_error", "overloaded")


@pytest.mark.parametrize(("turns", "_committed"), PLACES)
def test_an_answer_that_is_given_up_is_our_fault(turns: tuple[Turn, ...], _committed: bool) -> None:
    played = play(*turns, given_up(50.0) >> stops())
    assert (played.report.outcome, played.report.duration_ms) == ("gateway_error", pytest.approx(50000))


@pytest.mark.parametrize(
    "turns",
    [
        pytest.param((*FINISHED, body(0.5, DONE) >> completes(DONE)), id="complete"),
        pytest.param((*BEGUN, cut(0.5) >> breaks("upstream_broke_off")), id="broken"),
        pytest.param((*ASKED, cut(0.5) >> refuses(502, "upstream_broke_off")), id="refused"),
        pytest.param((*BEGUN, left(0.5) >> stops()), id="left"),
        pytest.param((*BEGUN, cancelled(0.5) >> breaks("cancelled")), id="cancelled"),
        pytest.param((given_up(0.5) >> stops(),), id="given up"),
    ],
)
def test_after_the_end_nothing_changes_any_more(turns: tuple[Turn, ...]) -> None:
    played = play(*turns)
    before = played.report
    played.go_on(
        tick(20.0) >> nothing,
        tick(10_000.0) >> nothing,
        cancelled(10_001.0) >> nothing,
        shut_down(10_002.0) >> nothing,
        cut(10_003.0) >> nothing,
        left(10_004.0) >> nothing,
        given_up(10_005.0) >> nothing,
    )
    assert played.report == before


# Any conversation.

PIECES = [ROLE, text("Hel"), text("lo, 世界"), text("x", at=1), finish(), finish(at=1), usage(), DONE, fault(),
          b": comment\n\n", b"data: {nonsense\n\n", chunk({"content": None}),
          chunk({"content": "", "reasoning_content": "hm"})]  # fmt: skip
TELLING = Timing(first_byte_s=30, gap_s=20, whole_s=90, commit_after_s=3, keepalive_s=2)


class Actor:
    """Tells an exchange what a test draws, in an order that a connector and a pump would keep."""

    def __init__(self, drawn: list[tuple[str, float]], pieces: list[bytes], how: str, given: Plan) -> None:
        self.exchange = Exchange(given, now=BEGIN)
        self.now = BEGIN
        self.heads: list[tuple[int, Headers]] = []
        self.sent = b""
        self.came = b""
        self.body_over = False
        self._pieces = pieces
        self._how = how
        self._upstream = iter(self._legal())
        for what, after in drawn:
            self.now += after
            getattr(self, what)()
            self._check()
        self.give_up()
        self._check()
        assert self.exchange.settled

    def _legal(self) -> Iterator[Callable[[], None]]:
        exchange = self.exchange
        yield lambda: exchange.connected(self.now)
        status, headers = {"refuse": (429, JSON), "json": (200, JSON)}.get(self._how, (200, SSE))
        yield lambda: exchange.head_received(ResponseHead(status, headers), self.now)
        for piece in self._pieces:
            yield lambda piece=piece: self._body(piece)
        if self._how == "cut":
            yield lambda: exchange.call_failed(UpstreamBroke("acme broke off", provider="acme"), self.now)
        yield self._ended

    def _body(self, piece: bytes) -> None:
        self.came += piece
        if passes(self.exchange, piece, self.now):
            queue(self.exchange, piece)
        else:
            self.exchange.body_received(piece, self.now)

    def _ended(self) -> None:
        self.body_over = True
        self.exchange.body_ended(self.now)

    def upstream(self) -> None:
        """The next thing the upstream does; nothing once the call was aborted or released."""
        if not self.exchange.settled and (step := next(self._upstream, None)) is not None:
            step()

    def fail(self) -> None:
        if not self.exchange.settled:
            self._upstream = iter(())
            self.exchange.call_failed(UpstreamBroke("acme broke off", provider="acme"), self.now)

    def tick(self) -> None:
        self.exchange.ticked(self.now, reading=True)

    def tick_held(self) -> None:
        self.exchange.ticked(self.now, reading=False)

    def leave(self) -> None:
        self.exchange.client_left(self.now)

    def cancel(self) -> None:
        self.exchange.cancelled(Cancelled("Enough."), self.now)

    def shut_down(self) -> None:
        self.exchange.shut_down(Unavailable("Closing."), self.now)

    def take(self) -> None:
        exchange = self.exchange
        if exchange.head is not None:
            self.heads.append(exchange.head)
            exchange.head = None
        if exchange.pending_bytes:
            self.sent += exchange.take()
            exchange.delivered(self.now)

    def give_up(self) -> None:
        self.take()
        self.exchange.give_up(self.now)

    def _check(self) -> None:
        exchange = self.exchange
        ended_ = exchange.phase is Phase.ENDED
        assert exchange.settled is exchange.over is exchange.finished is ended_
        assert (exchange.wish is not None) is ended_
        assert exchange.pending_bytes == sum(map(len, exchange._out))
        assert not (exchange.client_gone and (exchange.pending_bytes or exchange.head))
        assert sum(map(len, exchange._held)) <= MAX_HELD_BYTES + 4096
        if ended_:
            report = exchange.report()
            assert report.duration_ms >= 0
            silent = exchange.watch.usage is None and not exchange.watch.deltas
            nothing_known = "unknown" if exchange.sent_at is not None else "counted"
            assert (report.usage_source == nothing_known) is silent


CALLS = ["upstream"] * 8 + ["take"] * 3 + ["tick"] * 2 + ["tick_held", "leave", "cancel", "shut_down", "fail"]
DRAWN = st.lists(st.tuples(st.sampled_from(CALLS), st.sampled_from([0.0, 0.1, 1.0, 3.0, 25.0])), max_size=40)


def whole_of(stream: bytes, *, cut_off: bool, asked: Plan) -> tuple[bytes, Any]:
    """What the gateway would send of a stream if nothing but the stream itself happened, errors left out."""
    relayer = asked.upstream.relayer(asked.asked, raw=False, response_id="x", created=1)
    actor = Exchange(asked, now=BEGIN)  # for its decoder only
    out = relayer.feed(actor._decoder.feed(stream))
    if not cut_off:
        out += relayer.feed(actor._decoder.end()) + relayer.end()
    return b"".join(out), relayer.watch


def without_keepalives(sent: bytes) -> list[bytes]:
    """Frames, but those that we put in to break a silence."""
    return [block for block in sent.split(b"\n\n")[:-1] if block + b"\n\n" not in _KEEPALIVES]


_KEEPALIVES = (
    KEPT_ALIVE,
    frame(json.loads(KEPT_ALIVE[6:]) | {"id": "chatcmpl-str_1", "model": "m", "created": 1700000001}),
)


class Case(NamedTuple):
    """What an upstream says, and to whom."""

    pieces: list[bytes]
    how: str = "end"
    stream: bool = True
    include_usage: bool = True


CASES = st.builds(
    Case,
    st.lists(st.sampled_from(PIECES), max_size=9),
    st.sampled_from(["end", "end", "end", "cut", "refuse", "json"]),
    st.sampled_from([True, True, True, False]),
    st.booleans(),
)


@given(drawn=DRAWN, case=CASES, cuts=st.sets(st.integers(0, 2000), max_size=8))
@example([("upstream", 0.1)] * 9, Case([ROLE, text("x"), finish(), DONE]), set())
def test_any_conversation_keeps_the_laws(drawn: list[tuple[str, float]], case: Case, cuts: set[int]) -> None:
    pieces, how, stream, include_usage = case
    said_ = b"".join(pieces)
    if how == "json" or (not stream and how == "refuse"):
        said_ = WHOLE
    given_ = plan(stream=stream, include_usage=include_usage, timing=TELLING)
    places = [0, *sorted(cut_ for cut_ in cuts if 0 < cut_ < len(said_)), len(said_)]
    actor = Actor(drawn, [said_[a:b] for a, b in pairwise(places) if b > a], how, given_)
    assert len(actor.heads) <= 1
    if not actor.heads:
        assert not actor.sent
    elif stream and how not in ("refuse", "json") and actor.heads[0][0] == 200:
        _check_stream(actor, given_)
    elif actor.sent and actor.heads[0][0] == 200 and how == "refuse":
        said = without_keepalives(actor.sent)
        assert len(said) <= 1, "the gate was opened by time, and nothing but the error came"
        assert all(block.startswith(b'data: {"error":') for block in said)
    elif actor.sent and how != "json":
        json.loads(actor.sent)


def _check_stream(actor: Actor, given_: Plan) -> None:
    """Prefix, and honest end."""
    expected, watch = whole_of(actor.came, cut_off=not actor.body_over, asked=given_)
    blocks, whole_blocks = without_keepalives(actor.sent), without_keepalives(expected)
    assert actor.sent == b"" or actor.sent.endswith(b"\n\n")
    errors = [block for block in blocks if block.startswith(b'data: {"error":')]
    assert errors in ([], blocks[-1:]), "one error at most, and nothing after it"
    passed = [block for block in blocks if block not in errors]
    assert passed == whole_blocks[: len(passed)], "a prefix, nothing doubled and nothing reordered"
    done = DONE[:-2] in passed
    assert not (done and errors)
    assert not done or watch.done, "an end mark only where one came, or where every choice had finished"
    report = actor.exchange.report()
    if report.outcome == "complete" and not actor.exchange.client_gone:
        assert done
    if done:
        assert report.outcome == "complete"
        assert passed == whole_blocks


def test_the_play_itself_notices() -> None:
    """A playbook that never fails proves nothing."""
    for wrong in (sends(b"x"), opens(), completes(), Wants(phase=Phase.ENDED), refuses(400, None)):
        with pytest.raises(AssertionError, match="turn 2, body"):
            play(connected(0.1) >> nothing, body(0.2, b"") >> wrong)
    with pytest.raises(AssertionError, match="the error is"):
        play(cut(0.1) >> refuses(502, "another_code"))
    with pytest.raises(AssertionError, match="no single error frame"):
        play(cut(0.1) >> Wants(502, sends=breaks("x").sends, wish=Wish.ABORT, phase=Phase.ENDED))
    assert isinstance(play(), Played)
