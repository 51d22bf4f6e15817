"""Knobs: where they may be turned, which place holds, and what is said of a wrong one."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.simulator.stage import CHAT, ask, bodies, deltas, events, status_of
from thalweg.canon.errors import InvalidRequest
from thalweg.canon.events import ResponseFailed
from thalweg.canon.script import BreakOff, Wait
from thalweg.dialects.registry import DIALECTS
from thalweg.simulator import FAULTS
from thalweg.simulator.knobs import ROWS, Knobs, read_knobs


def error_of(steps: list[Any]) -> dict[str, Any]:
    return msgspec.json.decode(b"".join(bodies(steps)))["error"]


def waits(steps: list[Any]) -> list[float]:
    return [step.seconds for step in steps if isinstance(step, Wait)]


def test_semicolons_do_for_a_question_mark_and_ampersands() -> None:
    """Google's SDKs let neither into a model's name."""
    queried, semicolons = (events(ask(model=f"text{query}")) for query in ("?seed=7&tokens=9", ";seed=7;tokens=9"))
    assert queried[1:] == semicolons[1:]


# In the field.


@pytest.mark.parametrize(
    ("field", "query"),
    [
        pytest.param({"seed": 7}, "seed=7", id="seed"),
        pytest.param({"ttft": 0.2, "pace": 50}, "ttft=0.2&pace=50", id="time"),
        pytest.param({"seed": 1, "jitter": 0.5}, "seed=1&jitter=0.5", id="jitter"),
        pytest.param({"chunk": 3, "tokens": 20}, "chunk=3&tokens=20", id="sizes"),
        pytest.param({"fault": ["crlf", "reset"], "at": 3}, "fault=crlf,reset&at=3", id="faults in a list"),
        pytest.param({"fault": "crlf,reset", "at": 3}, "fault=crlf,reset&at=3", id="faults in a string"),
        pytest.param({"fault": ["big-frame"], "size": 100}, "fault=big-frame&size=100", id="size"),
        pytest.param({"fault": ["http-503"], "retry_after": 9}, "fault=http-503&retry_after=9", id="retry after"),
    ],
)
def test_a_field_does_what_a_name_does(field: dict[str, Any], query: str) -> None:
    in_field = ask("text?seed=5", simulator=field) if "seed" not in field else ask("text", simulator=field)
    in_name = ask(f"text?{query}" if "seed" in field else f"text?seed=5&{query}")
    # An id follows from the name as well, so what differs is only that.
    assert [type(step) for step in in_field] == [type(step) for step in in_name]
    assert waits(in_field) == waits(in_name)
    if status_of(in_field) == 200:
        assert deltas(in_field) == deltas(in_name)
    assert dict(in_field[0].headers).get(b"retry-after") == dict(in_name[0].headers).get(b"retry-after")


def test_without_the_field_or_with_null_nothing_is_turned() -> None:
    plain = ask("text", seed=3)
    assert ask("text", seed=3, simulator=None) == plain
    assert ask("text", seed=3, simulator={}) == plain
    assert ask("text", seed=3, simulator={"pace": None, "fault": None}) == plain


def test_the_name_stands_above_the_field_knob_by_knob() -> None:
    steps = ask("text?pace=50&ttft=0", simulator={"pace": 10, "chunk": 2, "tokens": 8})
    assert waits(steps) == [0.02] * 3
    assert len(deltas(steps)) == 4
    assert error_of(ask("text?fault=http-503", simulator={"fault": ["http-429"]}))["message"].count("503")


def test_a_seed_is_looked_for_in_the_name_then_the_field_then_the_request() -> None:
    assert ask("text?seed=7", simulator={"seed": 3}, seed=4) == ask("text?seed=7", seed=99)
    assert ask("text", simulator={"seed": 3}, seed=4) == ask("text", simulator={"seed": 3}, seed=99)
    assert deltas(ask("text", simulator={"seed": 3})) == deltas(ask("text?seed=3"))


def test_a_models_own_faults_stay_when_others_are_added() -> None:
    steps = ask("error-midstream?at=3", simulator={"fault": ["usage-missing", "crlf"]})
    assert isinstance(events(steps)[-1], ResponseFailed)
    assert all(b"\r\n" in data for data in bodies(steps))
    steps = ask("error-reset?at=3&fault=comments", simulator={"fault": ["crlf"]})
    assert steps[-1] == BreakOff(reset=True)
    assert b": keep-alive\n\n" in bodies(steps)
    assert not any(b"\r\n" in data for data in bodies(steps))


# Wrong ones.

WRONG: list[tuple[Any, str, str]] = [
    (5, "simulator", "expected an object of knobs, got 5"),
    ("pace=3", "simulator", "expected an object of knobs, got 'pace=3'"),
    (["pace"], "simulator", "expected an object of knobs, got a list"),
    (True, "simulator", "expected an object of knobs, got true"),
    ({"tempo": 3}, "simulator.tempo", "unknown knob; there are seed, ttft,"),
    ({"pace": "fast"}, "simulator.pace", "must be a number from 0 to 1000000, not 'fast'"),
    ({"pace": "5"}, "simulator.pace", "must be a number from 0 to 1000000, not '5'"),
    ({"pace": True}, "simulator.pace", "must be a number from 0 to 1000000, not true"),
    ({"pace": -1}, "simulator.pace", "must be a number from 0 to 1000000, not -1"),
    ({"pace": [1]}, "simulator.pace", "not a list"),
    ({"jitter": 1.5}, "simulator.jitter", "must be a number from 0 to 1, not 1.5"),
    ({"chunk": 0}, "simulator.chunk", "must be a whole number from 1 to 1000000, not 0"),
    ({"chunk": 1.5}, "simulator.chunk", "must be a whole number"),
    ({"seed": "7"}, "simulator.seed", "must be a whole number"),
    ({"seed": {"a": 1}}, "simulator.seed", "not an object"),
    ({"tokens": 10**40}, "simulator.tokens", "must be a whole number"),
    ({"retry_after": 0}, "simulator.retry_after", "must be a whole number from 1 to 604800, not 0"),
    ({"fault": 5}, "simulator.fault", "must be a list of names, not 5"),
    ({"fault": [5]}, "simulator.fault", "must be a list of names, not a list"),
    ({"fault": ["flood"]}, "simulator.fault", "unknown fault 'flood'"),
    ({"fault": "reset,flood"}, "simulator.fault", "unknown fault 'flood'"),
]


@pytest.mark.parametrize(("field", "param", "said"), WRONG, ids=[repr(field)[:40] for field, _, _ in WRONG])
def test_a_wrong_field_is_refused_and_named(field: Any, param: str, said: str) -> None:
    steps = ask("text", simulator=field)
    assert status_of(steps) == 400
    error = error_of(steps)
    assert error["param"] == param
    assert error["message"].startswith(f"Invalid value for '{param}': ")
    assert said in error["message"]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        pytest.param("text?tempo=3", "'tempo' unknown knob", id="an unknown knob is named"),
        pytest.param("text?pace=fast", "'pace' must be a number", id="no number"),
        pytest.param("text?pace=-1", "'pace' must be a number from 0", id="too small"),
        pytest.param("text?ttft=nan", "'ttft' must be a number from 0", id="not a number"),
        pytest.param("text?ttft=inf", "'ttft' must be a number from 0", id="infinite"),
        pytest.param("text?chunk=0", "'chunk' must be a whole number from 1", id="no tokens in a delta"),
        pytest.param("text?seed=", "'seed' must be a whole number", id="an empty value"),
        pytest.param("text?fast", "knob=value", id="no value"),
        pytest.param("text?fault=flood", "'flood'", id="an unknown fault is named"),
    ],
)
def test_a_wrong_name_is_refused_with_a_reason(name: str, said: str) -> None:
    steps = ask(name)
    assert status_of(steps) == 400
    assert said in error_of(steps)["message"]
    assert error_of(steps)["param"] == "model"


def test_what_is_wrong_is_never_repeated_at_length() -> None:
    long = "x" * 10_000
    for steps in (
        ask(f"text?pace={long}"[:500]),
        ask("text", simulator={"pace": long}),
        ask("text", simulator={long: 1}),
    ):
        assert len(error_of(steps)["message"]) < 300


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(anything | st.dictionaries(st.sampled_from(sorted(ROWS)), anything, max_size=4))
def test_whatever_the_field_holds_it_is_taken_or_refused_with_400(field: Any) -> None:
    # Not played: a value that was taken may ask for an answer of a billion tokens.
    body = msgspec.json.encode({"model": "text", "messages": [{"role": "user", "content": "x"}], "simulator": field})
    asked = DIALECTS[CHAT].read_request(body).canon()
    try:
        _, turned = read_knobs(asked, FAULTS)
    except InvalidRequest as error:
        assert error.param and error.param.startswith("simulator")
    else:
        assert isinstance(Knobs().turned(turned), Knobs)


# What they say of themselves.


def test_every_knob_has_its_row() -> None:
    assert tuple(ROWS) == Knobs.__struct_encode_fields__
    assert all(row.says.endswith(".") for row in ROWS.values())
    assert tuple(row.default for row in ROWS.values()) == msgspec.structs.astuple(Knobs())
    assert ROWS["jitter"].wanted == "a number from 0 to 1"
    assert ROWS["fault"].wanted == "a list of names"
