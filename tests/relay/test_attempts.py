"""Which way is gone next: tables of failures, and what is remembered of them."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thalweg.canon.errors import (
    Cancelled,
    GatewayError,
    Internal,
    UpstreamBroke,
    UpstreamFailed,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from thalweg.canon.policy import Attempts, Leave, Route, Timeouts, Waits, leave_of
from thalweg.dialects.kit.refusals import decode_error
from thalweg.relay.attempts import LONGEST_COOL_DOWN_S, MOST_NAMES, Health, Tries, Verdict, Way, drawn, verdict

NOW = 1000.0
RULES = Attempts(most=10, each=2, backoff_s=1, backoff_most_s=8, cool_down_after=3, cool_down_s=10)


def refused(status: int, *, after: float | None = None, should: bytes | None = None) -> GatewayError:
    """What an upstream's answer with that status comes to."""
    headers = [(b"retry-after", str(after).encode())] if after is not None else []
    headers += [(b"x-should-retry", should)] if should is not None else []
    return decode_error(status, headers, b"{}", provider="acme", key_name="ACME_API_KEY")


def late(phase: str) -> UpstreamTimeout:
    return UpstreamTimeout("late", phase=phase)


def ways(*keys: int) -> list[Way]:
    """Routes a, b, … with so many keys each."""
    return [
        Way(route, key, f"{'abcdef'[route]}/m", f"{'abcdef'[route]} K{key}")
        for route, count in enumerate(keys)
        for key in range(count)
    ]


def tries(*keys: int, rules: Attempts = RULES, health: Health | None = None, now: float = NOW) -> Tries:
    return Tries(ways(*keys), rules, health or Health(), random.Random(7), now)


def name(way: Way) -> str:
    return f"{'abcdef'[way.route]}{way.key}"


VERDICTS: list[tuple[GatewayError, Verdict]] = [
    *((refused(status), Verdict.FINAL) for status in (400, 413, 422, 418)),
    *((refused(status), Verdict.KEY) for status in (401, 402, 403)),
    (refused(404), Verdict.ELSEWHERE),
    (refused(429), Verdict.LIMIT),
    (refused(429, should=b"false"), Verdict.ELSEWHERE),
    *((refused(status), Verdict.AGAIN) for status in (408, 409, 500, 502, 503, 504, 529, 599)),
    (refused(503, should=b"false"), Verdict.FINAL),
    (refused(400, should=b"true"), Verdict.AGAIN),
    (UpstreamUnreachable("x"), Verdict.AGAIN),
    (UpstreamBroke("x"), Verdict.AGAIN),
    (UpstreamFailed("x"), Verdict.AGAIN),
    *((late(phase), Verdict.ELSEWHERE) for phase in ("connect", "first_byte", "first_content", "gap", "floor")),
    (late("whole"), Verdict.FINAL),
    (Cancelled("x"), Verdict.FINAL),
    (Internal("x"), Verdict.FINAL),
]


@pytest.mark.parametrize(
    ("error", "expected"), VERDICTS, ids=[f"{type(error).__name__}-{at}" for at, (error, _) in enumerate(VERDICTS)]
)
def test_what_a_failure_says(error: GatewayError, expected: Verdict) -> None:
    assert verdict(error) is expected


def test_what_can_be_the_same_once_more_is_final() -> None:
    error = UpstreamBroke("an answer of more bytes than we hold")
    error.retryable = False
    assert verdict(error) is Verdict.FINAL


COURSES: list[tuple[str, tuple[int, ...], list[GatewayError], list[str]]] = [
    ("other routes come before the same one", (1, 1, 1), [refused(500)] * 9, ["a0", "b0", "c0", "a0", "b0", "c0"]),
    ("one route alone is asked once more", (1,), [refused(503)] * 9, ["a0", "a0"]),
    ("a refused key is followed by the next one", (3, 1), [refused(401)] * 9, ["a0", "a1", "a2", "b0"]),
    ("a limit is followed by the next key", (2,), [refused(429), refused(500)], ["a0", "a1", "a0"]),
    ("a fault of the upstream is none of its keys'", (2, 1), [refused(500)] * 2, ["a0", "b0", "a0"]),
    ("an unknown model is looked for elsewhere", (2, 1), [refused(404)] * 9, ["a0", "b0"]),
    ("who is slow is not waited for once more", (1, 1), [late("first_byte")] * 9, ["a0", "b0"]),
    ("what is the client's is not tried elsewhere", (1, 1), [refused(400)] * 9, ["a0"]),
    ("a refused key is not shown again", (1, 1), [refused(401), refused(500), refused(500)], ["a0", "b0", "b0"]),
]


@pytest.mark.parametrize(("keys", "errors", "expected"), [row[1:] for row in COURSES], ids=[row[0] for row in COURSES])
def test_the_way_that_is_gone(keys: tuple[int, ...], errors: list[GatewayError], expected: list[str]) -> None:
    going = tries(*keys)
    gone = [name(going.way)]
    for at, error in enumerate(errors):
        # Each attempt takes longer than any pause.
        if not going.another(error, NOW + 10 * at):
            break
        gone.append(name(going.way))
    assert gone == expected
    assert going.number == len(gone)


def test_there_are_no_more_attempts_than_allowed() -> None:
    going = tries(1, 1, 1, rules=Attempts(most=2))
    assert going.another(refused(500), NOW)
    assert not going.another(refused(500), NOW)
    assert not tries(1, 1, rules=Attempts(most=1)).another(refused(500), NOW)


def test_other_routes_are_asked_at_once_and_the_same_one_after_a_pause() -> None:
    going = tries(1, 1)
    assert going.another(refused(500), NOW) and going.pause_s == 0
    assert going.another(refused(500), NOW)
    assert 0.5 <= going.pause_s <= 1


def test_pauses_grow_and_are_not_the_same_for_all() -> None:
    pauses = set()
    for seed in range(50):
        going = Tries(
            ways(1), Attempts(most=9, each=9, backoff_s=1, backoff_most_s=4), Health(), random.Random(seed), NOW
        )
        bounds = [(0.5, 1), (1, 2), (2, 4), (2, 4)]
        for low, high in bounds:
            assert going.another(refused(500), NOW)
            assert low <= going.pause_s <= high
        pauses.add(going.pause_s)
    assert len(pauses) == 50


@pytest.mark.parametrize(("after", "waits"), [(0.1, False), (3, True), (8, True)])
def test_retry_after_is_honoured(after: float, waits: bool) -> None:
    going = tries(1)
    assert going.another(refused(429, after=after), NOW)
    assert going.pause_s == after if waits else 0.5 <= going.pause_s <= 1


@pytest.mark.parametrize("status", [429, 503])
def test_who_wants_to_be_left_alone_for_long_is(status: int) -> None:
    assert not tries(1).another(refused(status, after=9), NOW)
    going = tries(1, 1)
    assert going.another(refused(status, after=3600), NOW)
    assert (name(going.way), going.pause_s) == ("b0", 0)


def test_a_route_that_cannot_be_told_the_request_costs_no_attempt() -> None:
    going = tries(2, 1, rules=Attempts(most=2))
    assert going.skip(NOW) and name(going.way) == "b0" and going.number == 1
    assert not going.skip(NOW)


# What is remembered.


def fail(health: Health, times: int, now: float = NOW) -> None:
    for _ in range(times):
        health.failed("a/m", RULES, now)


def test_who_fails_in_a_row_cools_down_and_is_asked_last() -> None:
    health = Health()
    fail(health, 2)
    assert name(tries(1, 1, health=health).way) == "a0"
    fail(health, 1)
    assert health.cools("a/m", NOW) and not health.cools("b/m", NOW)
    assert name(tries(1, 1, health=health).way) == "b0"
    assert name(tries(1, health=health).way) == "a0", "who has no choice is not refused"


def test_what_works_is_forgiven() -> None:
    health = Health()
    fail(health, 2)
    tries(1, health=health).worked()
    fail(health, 2)
    assert not health.cools("a/m", NOW)


def test_one_request_probes_what_has_cooled_down() -> None:
    health = Health()
    fail(health, 3)
    later = NOW + 10
    probe = tries(1, 1, health=health, now=later)
    assert name(probe.way) == "a0"
    assert name(tries(1, 1, health=health, now=later).way) == "b0", "the others wait for what it says"
    probe.worked()
    assert name(tries(1, 1, health=health, now=later).way) == "a0"


def test_a_probe_that_fails_doubles_the_time_up_to_a_bound() -> None:
    health, now, pauses = Health(), NOW, []
    fail(health, 3)
    for _ in range(8):
        pauses.append(health.cooling(now)["a/m"])
        now += pauses[-1]
        assert name(tries(1, health=health, now=now).way) == "a0"
        fail(health, 1, now)
    assert pauses == [10, 20, 40, 80, 160, LONGEST_COOL_DOWN_S, LONGEST_COOL_DOWN_S, LONGEST_COOL_DOWN_S]


def test_a_probe_that_nobody_finished_does_not_close_the_way_for_ever() -> None:
    health = Health()
    fail(health, 3)
    tries(1, 1, health=health, now=NOW + 10)
    assert name(tries(1, 1, health=health, now=NOW + 20.1).way) == "a0"


def test_a_key_at_its_limit_rests_for_as_long_as_it_said() -> None:
    health = Health()
    tries(2, health=health).another(refused(429, after=30), NOW)
    assert name(tries(2, health=health, now=NOW + 29).way) == "a1"
    assert name(tries(2, health=health, now=NOW + 30).way) == "a0"


def test_a_cut_in_the_middle_counts_as_a_failure() -> None:
    health = Health()
    for _ in range(3):
        tries(1, health=health).broke(UpstreamBroke("cut"), NOW)
    assert health.cools("a/m", NOW)


def test_turns_go_round() -> None:
    health = Health()
    assert [health.turn("a", 3) for _ in range(7)] == [0, 1, 2, 0, 1, 2, 0]
    assert health.turn("b", 2) == 0


def test_what_is_remembered_has_a_bound() -> None:
    health = Health()
    for at in range(MOST_NAMES + 10):
        health.failed(f"a/{at}", Attempts(cool_down_after=1), NOW)
    assert len(health.cooling(NOW)) == MOST_NAMES
    assert not health.cools("a/0", NOW) and health.cools(f"a/{MOST_NAMES}", NOW)


def test_nothing_cools_down_where_that_is_switched_off() -> None:
    health = Health()
    for _ in range(100):
        health.failed("a/m", Attempts(cool_down_after=0), NOW)
    assert not health.cools("a/m", NOW)


def test_routes_are_drawn_by_their_weights() -> None:
    routes = [Route(model="a/m", weight=3), Route(model="b/m", weight=1), Route(model="c/m", weight=0)]
    chance = random.Random(1)
    firsts = Counter(drawn(routes, chance)[0].model for _ in range(4000))
    assert 2850 < firsts["a/m"] < 3150 and firsts["c/m"] == 0
    assert {route.model for route in drawn(routes, chance)} == {"a/m", "b/m", "c/m"}
    assert drawn(routes, chance)[-1].model == "c/m"


ERRORS = st.sampled_from([error for error, _ in VERDICTS] + [refused(429, after=2), refused(503, after=100)])


@given(
    st.lists(st.integers(1, 3), min_size=1, max_size=4),
    st.lists(ERRORS, max_size=30),
    st.integers(1, 8),
    st.integers(1, 4),
)
def test_attempts_end(keys: list[int], errors: list[GatewayError], most: int, each: int) -> None:
    rules = Attempts(most=most, each=each, backoff_s=1, backoff_most_s=8)
    going = tries(*keys, rules=rules)
    made, now = Counter([going.way]), NOW
    for error in errors:
        if not going.another(error, now):
            break
        assert 0 <= going.pause_s <= rules.backoff_most_s
        now += going.pause_s
        made[going.way] += 1
    assert sum(made.values()) == going.number <= most
    assert max(made.values()) <= each


# Policies.


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("cancel", Leave()),
        (" Cancel ", Leave()),
        ("linger 5s", Leave(kind="linger", seconds=5)),
        ("linger=2.5", Leave(kind="linger", seconds=2.5)),
        ("drain", Leave(kind="drain")),
        ("drain 30s", Leave(kind="drain", seconds=30)),
        ("drain 2000 tokens", Leave(kind="drain", tokens=2000)),
        ("keep", Leave(kind="keep")),
    ],
)
def test_a_policy_is_read(text: str, expected: Leave) -> None:
    assert leave_of(text) == expected


@pytest.mark.parametrize(
    "text", ["", "linger", "cancel 5s", "drain tokens", "drain 1.5 tokens", "linger 5 tokens", "stay"]
)
def test_a_policy_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must be one of"):
        leave_of(text)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"gap_s": 5}, {"gap_s": 5}),
        ({"gap_s": 900}, {}),
        ({"first_content_s": 7}, {"first_content_s": 7}),
        ({"floor_tokens_per_s": 3}, {"floor_tokens_per_s": 3}),
        ({}, {}),
    ],
)
def test_a_request_tightens_and_never_loosens(said: dict[str, Any], expected: dict[str, Any]) -> None:
    assert Timeouts().within(Waits(**said)) == Timeouts(**expected)


def test_what_is_configured_stands_in_the_place_of_the_usual() -> None:
    assert Timeouts().with_(Waits(gap_s=900, first_content_s=2)) == Timeouts(gap_s=900, first_content_s=2)


# Two side by side.


def test_a_rival_goes_another_route_and_counts() -> None:
    first = tries(2, 1, rules=Attempts(most=2, hedge_after_s=1))
    rival = first.rival(NOW)
    assert rival is not None and (name(rival.way), rival.number) == ("b0", 2)
    assert first.rival(NOW) is None, "no more than allowed"
    assert tries(2).rival(NOW) is None, "no other route"


def test_of_two_the_one_that_fails_last_decides() -> None:
    first = tries(1, 1, 1)
    rival = first.rival(NOW)
    assert rival is not None
    assert rival.another(refused(500), NOW) and not rival.goes_on
    assert first.another(refused(500), NOW) and first.goes_on
    assert (name(first.way), first.number) == ("c0", 3)


def test_a_rival_that_could_not_be_made_is_not_waited_for() -> None:
    first = tries(1, 1, rules=Attempts(most=2))
    rival = first.rival(NOW)
    assert rival is not None
    rival.withdrawn()
    rival.withdrawn()
    assert not first.another(refused(500), NOW), "it was the last one allowed"
