"""A scenario that is told again: in every dialect what was recorded in any, with its waits, and with every fault."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

import pytest
from msgspec.structs import replace

from tests.corpus.cases import Case, streams
from tests.simulator.talks import SCHEMAS, TALKS, Answer, Json, Talk, numbered_results, send
from thalweg.canon.errors import UpstreamBroke
from thalweg.canon.events import PartDelta, ResponseEnded, ResponseFailed
from thalweg.canon.finish import FinishReason
from thalweg.canon.parts import Reasoning, Refusal, Signature, Text, ToolCall
from thalweg.canon.response import Response
from thalweg.canon.scenario import (
    FORM,
    Begin,
    Counts,
    Failure,
    Finish,
    Say,
    Scenario,
    ScenarioError,
    Step,
)
from thalweg.canon.script import BreakOff, EndBody, RefuseConnection, SendBody, SendHead, Stall, Wait
from thalweg.client.scenario import Teller
from thalweg.dialects.registry import DIALECTS
from thalweg.simulator import FAULTS
from thalweg.simulator.faults.elsewhere import has_meaning
from thalweg.simulator.manners.table import MANNERS
from thalweg.simulator.provider import Simulator

each_dialect = pytest.mark.parametrize("dialect", DIALECTS)
each_way = pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])

SHOWN: dict[str, Json] = {
    "openai-chat": {},
    "openai-responses": {"reasoning": {"effort": "high", "summary": "auto"}},
    "anthropic": {"thinking": {"type": "enabled", "budget_tokens": 2000}},
    "gemini": {"generationConfig": {"thinkingConfig": {"includeThoughts": True}}},
    "dashscope-native": {},
}
"""How each dialect's clients ask to see thoughts."""
STEPS: tuple[Step, ...] = (
    Begin(part="reasoning", ms=800.0),
    Say(text="再想", ms=100.0),
    Say(text="一想", ms=30.0),
    Begin(part="text", ms=10.0),
    Say(text="Hello, ", ms=40.0),
    Say(text="深泓 🌊", ms=50.0),
    Begin(part="tool_call", name="get_weather", ms=200.0),
    Say(text='{"city": "', ms=5.0),
    Say(text='杭州"}', ms=6.0),
    Begin(part="tool_call", name="now"),
    Say(text="{}", ms=7.0),
    Finish(reason=FinishReason.TOOL_CALLS, ms=8.0),
)
USAGE = Counts(input_tokens=70, cached_input_tokens=20, output_tokens=50, reasoning_tokens=10)
WHOLE = Scenario(form=FORM, provider="ark", model="m", usage=USAGE, end_ms=9.0, steps=STEPS)
SAID: tuple[Step, ...] = (
    Begin(part="text", ms=300.0),
    *(Say(text=text, ms=20.0) for text in ("The ", "river ", "keeps ", "to ", "its ", "bed.")),
)
SPOKEN = Scenario(form=FORM, usage=USAGE, steps=(*SAID, Finish(reason=FinishReason.STOP)))


def telling(scenario: Scenario, dialect: str, knobs: str = "", **fields: Any) -> Talk:
    """A talk with a simulator that knows one scenario."""
    fields = SHOWN[dialect] | fields
    talk = TALKS[dialect](f"sim/scenario/x{knobs}", "whatever", **fields)
    talk.simulator = Simulator(DIALECTS, scenarios={"x": scenario})
    return talk


def ask(scenario: Scenario, dialect: str, knobs: str = "", *, stream: bool = True, **fields: Any) -> Answer:
    return telling(scenario, dialect, knobs, **fields).ask(stream=stream)


def read(scenario: Scenario, dialect: str, knobs: str = "", *, stream: bool = True, **fields: Any) -> Response:
    talk = telling(scenario, dialect, knobs, **fields)
    return talk.read(talk.ask(stream=stream), stream=stream)


def content(answer: Response) -> dict[str, Any]:
    """What an answer says, whichever dialect it came in: how texts are cut into parts is the dialect's."""
    parts = answer.choices[0].parts if answer.choices else ()
    return {
        "thought": "".join(part.text for part in parts if isinstance(part, Reasoning)),
        "said": "".join(part.text for part in parts if isinstance(part, Text | Refusal)),
        "called": [(part.name, _plain(part.arguments)) for part in parts if isinstance(part, ToolCall)],
    }


def _plain(arguments: str) -> Any:
    try:
        return json.loads(arguments or "{}")
    except ValueError:
        return arguments


def told(scenario: Scenario, dialect: str = "") -> dict[str, Any]:
    """The same of a scenario's first choice, as far as a dialect can say it."""
    parts: list[tuple[Begin, list[str]]] = []
    for step in scenario.steps:
        if step.choice == 0 and isinstance(step, Begin):
            parts.append((step, []))
        elif step.choice == 0 and isinstance(step, Say):
            parts[-1][1].append(step.text)
    return {
        "thought": "".join("".join(text) for begin, text in parts if begin.part == "reasoning"),
        "said": "".join("".join(text) for begin, text in parts if begin.part in ("text", "refusal")),
        "called": [
            (begin.name, _wrapped("".join(text)) if begin.custom and dialect in NO_FREE_TEXT else _plain("".join(text)))
            for begin, text in parts
            if begin.part == "tool_call" and (dialect != "gemini" or _is_object("".join(text)))
        ],
    }


NO_FREE_TEXT = ("anthropic", "gemini")
"""Dialects in which a tool takes JSON alone."""


def _wrapped(text: str) -> Any:
    return {"input": text}


def _is_object(arguments: str) -> bool:
    """Whether Gemini's dialect can say it: one call that was cut in its arguments it cannot."""
    return isinstance(_plain(arguments), dict)


@each_dialect
@each_way
def test_it_says_the_same_in_every_dialect_whatever_is_asked(dialect: str, stream: bool) -> None:
    answer = read(WHOLE, dialect, stream=stream)
    assert content(answer) == told(WHOLE)
    assert answer.choices[0].finish_reason is FinishReason.TOOL_CALLS
    assert answer.usage is not None
    counts = answer.usage
    assert (counts.input_tokens, counts.cached_input_tokens) == (70, 20)
    assert (counts.output_tokens, counts.reasoning_tokens) == (50, 10)
    assert answer.complete


FILTERED, REFUSED = FinishReason.CONTENT_FILTER, FinishReason.REFUSAL
OTHER_WORDS: dict[tuple[Any, str], FinishReason] = {
    (FILTERED, "anthropic"): REFUSED,
    (REFUSED, "openai-chat"): FILTERED,
    (REFUSED, "openai-responses"): FILTERED,
    (REFUSED, "gemini"): FILTERED,
    (FILTERED, "dashscope-native"): FinishReason.STOP,
    (REFUSED, "dashscope-native"): FinishReason.STOP,
}
"""What a dialect says for a finish that it has no word for."""
RECORDED = {"text": "text", "reasoning": "reasoning", "tools": "tools", "agent": "agent", "filter": "filter"}


@each_dialect
@pytest.mark.parametrize("recorded", DIALECTS)
@pytest.mark.parametrize("model", RECORDED)
def test_what_was_recorded_in_one_dialect_is_told_in_another(recorded: str, model: str, dialect: str) -> None:
    talk = TALKS[recorded](model, "回声 🦜", tools=tuple(SCHEMAS), **SHOWN[recorded])
    answer = talk.ask(stream=True)
    teller = Teller(recorded)
    for at, step in enumerate(answer.steps):
        if isinstance(step, SendBody):
            teller.feed(at * 10.0, step.data)
    scenario = teller.end(len(answer.steps) * 10.0, "whole")
    before, after = talk.read(answer, stream=True), read(scenario, dialect)
    assert content(after) == content(before)
    reason = before.choices[0].finish_reason
    assert after.choices[0].finish_reason is OTHER_WORDS.get((reason, dialect), reason)
    assert after.usage is not None
    assert before.usage is not None
    assert after.usage.input_tokens == before.usage.input_tokens
    assert after.usage.output_tokens == before.usage.output_tokens
    assert after.complete
    # What is told again and recorded again is the same scenario.
    again = TALKS[recorded]("scenario/x", "x", **SHOWN[recorded])
    again.simulator = Simulator(DIALECTS, scenarios={"x": scenario})
    assert content(again.read(again.ask(stream=True), stream=True)) == content(before)


@pytest.mark.parametrize("case", streams(), ids=lambda case: f"{case.dialect}/{case.folder.name}")
def test_a_recorded_stream_is_told_in_every_dialect(case: Case) -> None:
    teller = Teller(case.dialect)
    teller.feed(1.0, case.body)
    scenario = teller.end(2.0, "whole")
    for dialect in DIALECTS:
        answer = read(scenario, dialect)
        if scenario.end == "whole":
            assert content(answer) == told(scenario, dialect), dialect
        assert answer.complete == (scenario.end == "whole"), dialect


# Time.


def waits(answer: Answer) -> list[float]:
    """The milliseconds before each write that brings a delta or more; without those of nothing."""
    return [round(step.seconds * 1000, 3) for step in answer.steps if isinstance(step, Wait) and step.seconds]


@each_dialect
def test_each_event_comes_when_it_came(dialect: str) -> None:
    recorded = [step.ms for step in STEPS] + [9.0]
    answer = ask(WHOLE, dialect)
    assert sum(waits(answer)) == pytest.approx(sum(recorded))
    words = [step.text for step in STEPS if isinstance(step, Say)]
    at, due = 0.0, {}
    for step in STEPS:
        at += step.ms
        if isinstance(step, Say):
            due[step.text] = at
    now, came = 0.0, {}
    for each in answer.steps:
        now += each.seconds * 1000 if isinstance(each, Wait) else 0.0
        if isinstance(each, SendBody):
            said = each.data.decode()
            came |= {
                word: now for word in words if word not in came and json.dumps(word, ensure_ascii=False)[1:-1] in said
            }
    assert {word: came[word] for word in words[:4]} == pytest.approx({word: due[word] for word in words[:4]})


@each_dialect
def test_a_whole_answer_takes_as_long_as_it_took(dialect: str) -> None:
    assert sum(waits(ask(WHOLE, dialect, stream=False))) == pytest.approx(WHOLE.duration_ms)


TURNED: dict[str, tuple[str, list[float]]] = {
    "nothing": ("", [300.0, 20.0, 20.0, 20.0, 20.0, 20.0, 20.0]),
    "the first": ("?ttft=0.5", [500.0, 20.0, 20.0, 20.0, 20.0, 20.0]),
    "the pace": ("?pace=10", [300.0, 20.0, 100.0, 100.0, 100.0, 100.0, 100.0]),
    "both": ("?ttft=0&pace=0", []),
    "semicolons": (";ttft=1;pace=100", [1000.0, 10.0, 10.0, 10.0, 10.0, 10.0]),
}


@pytest.mark.parametrize(("knobs", "wanted"), TURNED.values(), ids=TURNED)
def test_knobs_stand_above_what_was_recorded(knobs: str, wanted: list[float]) -> None:
    assert waits(ask(SPOKEN, "openai-chat", knobs)) == wanted


def test_a_field_of_the_request_turns_them_too() -> None:
    assert waits(ask(SPOKEN, "openai-chat", simulator={"ttft": 0.1, "pace": 0})) == [100.0]


def test_jitter_moves_recorded_waits_by_its_part_and_the_same_each_time() -> None:
    one, two = (waits(ask(SPOKEN, "openai-chat", "?jitter=0.5&seed=3")) for _ in range(2))
    assert one == two
    assert one[:2] == [300.0, 20.0]
    assert all(10 <= ms <= 30 for ms in one[2:])
    assert len(set(one[2:])) == 5


@each_dialect
@each_way
def test_the_same_seed_gives_the_same_bytes(dialect: str, stream: bool) -> None:
    one, two = (ask(WHOLE, dialect, stream=stream) for _ in range(2))
    assert one.steps == two.steps


# Thoughts.

HIDDEN: dict[str, Json] = {
    "openai-chat": {"thinking": {"type": "disabled"}},
    "openai-responses": {"reasoning": {"effort": "high"}},
    "anthropic": {"thinking": {"type": "disabled"}},
    "gemini": {"generationConfig": {}},
    "dashscope-native": {
        "parameters": {"result_format": "message", "incremental_output": True, "enable_thinking": False}
    },
}


@each_dialect
def test_thoughts_that_nobody_may_see_take_their_time(dialect: str) -> None:
    shown = content(read(WHOLE, dialect))
    talk = telling(WHOLE, dialect, **HIDDEN[dialect])
    answer = talk.ask(stream=True)
    assert "再想".encode() not in answer.body
    assert content(talk.read(answer, stream=True)) == shown | {"thought": ""}
    assert sum(waits(answer)) == pytest.approx(WHOLE.duration_ms)


def test_a_redacted_thought_is_redacted_still() -> None:
    scenario = Scenario(
        form=FORM,
        steps=(Begin(part="reasoning", redacted=True), *SAID, Finish(reason=FinishReason.STOP)),
    )
    blocks = ask(scenario, "anthropic", stream=False).tree["content"]
    assert [block["type"] for block in blocks] == ["redacted_thinking", "text"]
    assert blocks[0]["data"]


# Ids and signatures.


@pytest.mark.parametrize("dialect", ["anthropic", "openai-responses", "gemini", "openai-chat", "dashscope-native"])
@each_way
def test_a_talk_can_go_on_because_its_vendor_knows_what_it_signed(dialect: str, stream: bool) -> None:
    fields = {"include": ["reasoning.encrypted_content"]} if dialect == "openai-responses" else {}
    talk = telling(WHOLE, dialect, "?pace=0&ttft=0", tools=tuple(SCHEMAS), **fields)
    results: Iterator[str] = numbered_results()
    ids: set[str] = set()
    for _ in range(3):
        calls = talk.go_on(stream=stream, results=results)
        assert [call[1:] for call in calls] == [("get_weather", {"city": "杭州"}), ("now", {})]
        ids |= {call[0] for call in calls}
    if dialect != "gemini":
        assert len(ids) == 6


TWO_TEXTS = Scenario(
    form=FORM,
    steps=(
        Begin(part="reasoning"), Say(text="One"), Begin(part="reasoning"), Say(text="Two"),
        Begin(part="text"), Say(text="First. "), Begin(part="text"), Say(text="Second."),
        Finish(reason=FinishReason.STOP),
    ),
)  # fmt: skip


@each_dialect
@each_way
def test_parts_of_one_kind_in_a_row_are_signed_so_that_they_come_back(dialect: str, stream: bool) -> None:
    # In Responses a thought is never followed by another: its vendor would say that the first lacks what it led to.
    scenario = replace(TWO_TEXTS, steps=TWO_TEXTS.steps[2:]) if dialect == "openai-responses" else TWO_TEXTS
    talk = telling(scenario, dialect)
    for _ in range(2):
        assert talk.go_on(stream=stream, results=numbered_results()) == []
        talk.turns += talk.user("and?")
    answer = read(TWO_TEXTS, dialect, stream=stream)
    assert content(answer) == told(TWO_TEXTS)


def test_no_thought_is_made_up_before_calls_that_had_none() -> None:
    """So its vendor refuses what goes on after them, where a thought is asked for; without thinking it does not."""
    calls = replace(WHOLE, steps=STEPS[6:])
    thinking, plain = telling(calls, "anthropic"), telling(calls, "anthropic", thinking={"type": "disabled"})
    for talk in (thinking, plain):
        assert len(talk.go_on(results=numbered_results())) == 2
    assert (thinking.ask().status, plain.ask().status) == (400, 200)


def test_a_thought_is_signed_for_the_call_that_it_led_to() -> None:
    thought_and_call = replace(WHOLE, steps=(*STEPS[:3], *STEPS[6:]))
    talk = telling(thought_and_call, "anthropic")
    talk.go_on(results=numbered_results())
    assert talk.ask().status == 200
    talk.turns[1]["content"].insert(1, {"type": "text", "text": "Something else."})
    assert talk.ask().status == 400


def test_a_signature_is_the_simulators_own() -> None:
    thought = read(WHOLE, "anthropic").choices[0].parts[0]
    assert isinstance(thought, Reasoning)
    assert isinstance(thought.signature, Signature)


# Ends.

CUT = {
    "cut": BreakOff(reset=False),
    "reset": BreakOff(reset=True),
    "eof": EndBody(),
}


@each_dialect
@each_way
@pytest.mark.parametrize("end", CUT)
def test_it_breaks_off_where_it_broke_off(dialect: str, stream: bool, end: Any) -> None:
    scenario = Scenario(form=FORM, end=end, end_ms=500.0, steps=SAID)
    answer = ask(scenario, dialect, stream=stream)
    assert answer.steps[-1] == CUT[end]
    assert sum(waits(answer)) == pytest.approx(scenario.duration_ms)
    if stream:
        talk = telling(scenario, dialect)
        found = talk.events(answer)
        assert "".join(event.text for event in found if isinstance(event, PartDelta)) == told(scenario)["said"]
        assert isinstance(found[-1], ResponseFailed)
        assert isinstance(found[-1].error, UpstreamBroke)
    else:
        with pytest.raises(ValueError, match=r"."):
            json.loads(answer.body)


OVERLOADED = {
    "openai-chat": b'"code":"overloaded"',
    "openai-responses": b'"code":"overloaded"',
    "anthropic": b'"type":"overloaded_error"',
    "gemini": b'"status":"UNAVAILABLE"',
    "dashscope-native": b'"code":"ServiceUnavailable"',
}
"""Each dialect's word for it."""


@each_dialect
@each_way
def test_it_fails_where_it_failed(dialect: str, stream: bool) -> None:
    failure = Failure(kind="overloaded", message="Busy just now.")
    answer = ask(Scenario(form=FORM, end="failed", error=failure, steps=SAID), dialect, stream=stream)
    assert b"Busy just now." in answer.body
    assert OVERLOADED[dialect] in answer.body
    assert answer.steps[-1] == EndBody()
    if stream:
        found = telling(SPOKEN, dialect).events(answer)
        assert "".join(event.text for event in found if isinstance(event, PartDelta)) == told(SPOKEN)["said"]
        assert isinstance(found[-1], ResponseFailed)
        assert not any(isinstance(event, ResponseEnded) for event in found)
    else:
        assert answer.status >= 500


@each_dialect
@each_way
def test_it_refuses_as_it_was_refused(dialect: str, stream: bool) -> None:
    failure = Failure(kind="rate_limit", message="Slower.", status=429, retry_after_s=7.0)
    scenario = Scenario(form=FORM, end="refused", end_ms=40.0, error=failure)
    answer = ask(scenario, dialect, stream=stream)
    assert (answer.status, answer.headers[b"retry-after"]) == (429, b"7")
    assert waits(answer) == [40.0]
    error = DIALECTS[dialect].decode_error(
        429, list(answer.headers.items()), answer.body, provider="sim", key_name="a key"
    )
    assert (error.kind, error.message) == ("rate_limit", "Slower.")
    assert ask(scenario, dialect, "?retry_after=3", stream=stream).headers[b"retry-after"] == b"3"


@each_dialect
@pytest.mark.parametrize("status", [401, 418, 503, 529])
def test_a_refusal_has_the_very_status(dialect: str, status: int) -> None:
    failure = Failure(kind="server", message="No.", status=status)
    assert ask(Scenario(form=FORM, end="refused", error=failure), dialect).status == status


@each_dialect
def test_no_connection_is_no_connection(dialect: str) -> None:
    answer = ask(Scenario(form=FORM, end="unreachable", end_ms=9.0), dialect)
    assert answer.steps == [RefuseConnection()]


# Faults.


def test_a_fault_is_placed_at_a_recorded_delta() -> None:
    answer = ask(SPOKEN, "openai-chat", "?fault=reset&at=4")
    assert b'"keeps "' in answer.body
    assert b'"its "' not in answer.body
    assert answer.steps[-1] == BreakOff(reset=True)


ENDINGS = {
    "reset": BreakOff(reset=True),
    "fin": BreakOff(reset=False),
    "eof": EndBody(),
    "stall": Stall(),
    "refuse": RefuseConnection(),
    "hang": Stall(),
}


@each_dialect
@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_is_the_same_as_any_models(dialect: str, fault: str) -> None:
    # In the field, so that the answers have one name and differ by their faults alone.
    knobs = {"at": 2, "size": 1000}
    answer = ask(WHOLE, dialect, simulator=knobs | {"fault": [fault]})
    if not has_meaning(fault, dialect):
        assert (answer.status, b"has no meaning" in answer.body) == (400, True)
    elif fault.startswith("http-"):
        assert answer.status == int(fault.split("-")[1])
    elif fault in ENDINGS:
        assert answer.steps[-1] == ENDINGS[fault]
    elif fault.startswith("error-"):
        assert "再想".encode() in answer.body or fault == "error-first"
        assert "深泓".encode() not in answer.body
    else:
        assert (answer.steps != ask(WHOLE, dialect, simulator=knobs).steps) == ((fault, dialect) not in UNFELT)


UNFELT = {("no-space", "dashscope-native")}
"""What a dialect has by itself."""


def test_a_fault_comes_before_the_end_that_was_recorded() -> None:
    reset = Scenario(form=FORM, end="reset", steps=SAID)
    assert ask(reset, "openai-chat", "?fault=stall&at=2").steps[-1] == Stall()
    refused = Scenario(form=FORM, end="refused", error=Failure(kind="server", message="No.", status=500))
    assert ask(refused, "openai-chat", "?fault=http-404").status == 404


# Choices, manners, names.

CHOICES = Scenario(
    form=FORM,
    steps=(
        Begin(part="text", ms=10.0), Say(text="one"), Begin(part="text", choice=1, ms=10.0), Say(text="two", choice=1),
        Finish(reason=FinishReason.LENGTH, choice=1, ms=10.0), Begin(part="tool_call", name="f", ms=10.0),
        Finish(reason=FinishReason.TOOL_CALLS),
    ),
)  # fmt: skip


@each_dialect
def test_choices_are_told_where_a_dialect_has_them(dialect: str) -> None:
    answer = ask(CHOICES, dialect)
    found = telling(CHOICES, dialect).read(answer, stream=True)
    assert (content(found)["said"], content(found)["called"]) == ("one", [("f", {})])
    has_one = dialect in ("anthropic", "openai-responses")
    assert (b'two"' in answer.body) != has_one
    assert sum(waits(answer)) == pytest.approx(40.0)
    if not has_one:
        assert [choice.finish_reason for choice in found.choices] == [FinishReason.TOOL_CALLS, FinishReason.LENGTH]
    else:
        places = [payload.get("index", payload.get("output_index")) for payload in answer.payloads]
        assert {place for place in places if place is not None} == {0, 1}


def test_what_a_dialect_has_no_choice_for_is_no_delta_of_its_answers() -> None:
    broken = "?fault=error-midstream&at=2"
    assert b'"tool_use"' in ask(CHOICES, "anthropic", broken).body
    assert b'"tool_calls"' not in ask(CHOICES, "openai-chat", broken).body


def test_a_finish_comes_when_it_came_where_usage_comes_after_it() -> None:
    steps = ask(CHOICES, "openai-chat").steps
    finish = next(at for at, step in enumerate(steps) if isinstance(step, SendBody) and b'"length"' in step.data)
    assert sum(step.seconds for step in steps[:finish] if isinstance(step, Wait)) == pytest.approx(0.03)


@pytest.mark.parametrize("manner", MANNERS)
def test_it_is_told_in_the_manner_of_any_provider(manner: str) -> None:
    answer = read(WHOLE, "openai-chat", f"?as={manner}")
    assert content(answer) | {"thought": ""} == told(WHOLE) | {"thought": ""}
    assert answer.complete


def test_a_provider_with_its_manner_tells_it_too() -> None:
    simulator = Simulator(DIALECTS, MANNERS["deepseek"], scenarios={"x": WHOLE})
    body = {"model": "scenario/x", "messages": [{"role": "user", "content": "x"}], "stream": True}
    assert "再想".encode() in send(b"POST", b"/chat/completions", body, simulator=simulator).body


@each_dialect
def test_a_name_that_is_none_is_named_in_the_callers_dialect(dialect: str) -> None:
    talk = TALKS[dialect]("sim/scenario/nothing")
    answer = talk.ask(stream=True)
    assert answer.status == 404
    error = DIALECTS[dialect].decode_error(404, (), answer.body, provider="sim", key_name="a key")
    assert "scenario/nothing" in error.message


class _Broken(Mapping[str, Scenario]):
    """Scenarios that cannot be read."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def __getitem__(self, name: str) -> Scenario:
        raise self._error

    def __iter__(self) -> Iterator[str]:
        return iter(["x"])

    def __len__(self) -> int:
        return 1


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ScenarioError("steps[3]: no part"), "steps[3]: no part"),
        (PermissionError(13, "Permission denied"), "Permission"),
    ],
    ids=["not a scenario", "not readable"],
)
@each_dialect
def test_a_file_that_is_none_is_told_with_the_reason(dialect: str, error: Exception, said: str) -> None:
    talk = TALKS[dialect]("scenario/x")
    talk.simulator = Simulator(DIALECTS, scenarios=_Broken(error))
    answer = talk.ask()
    assert answer.status == 404
    assert said in answer.body.decode()


def test_scenarios_are_in_the_lists_of_models() -> None:
    simulator = Simulator(DIALECTS, scenarios=MappingProxyType({"x": WHOLE, "y": SPOKEN}))
    names = [row["id"] for row in send(b"GET", b"/v1/models", simulator=simulator).tree["data"]]
    assert names[-2:] == ["scenario/x", "scenario/y"]
    rows = send(b"GET", b"/v1beta/models", simulator=simulator).tree["models"]
    assert (rows[-1]["name"], bool(rows[-1]["description"])) == ("models/scenario/y", True)
    assert send(b"GET", b"/v1/models/scenario/x", simulator=simulator).tree["id"] == "scenario/x"
    assert send(b"GET", b"/v1/models/scenario/z", simulator=simulator).status == 404


def test_the_tokens_so_far_are_told_where_a_provider_tells_them_early() -> None:
    start = ask(WHOLE, "anthropic").payloads[0]
    assert start["message"]["usage"]["output_tokens"] == 0
    silent = Scenario(form=FORM, steps=WHOLE.steps)
    assert read(silent, "openai-chat").usage is None


def test_a_manner_that_tells_usage_in_each_chunk_tells_it_so_far() -> None:
    options = {"include_usage": True, "continuous_usage_stats": True}
    chunks = ask(SPOKEN, "openai-chat", "?as=vllm", stream_options=options).payloads
    counts = [chunk["usage"]["completion_tokens"] for chunk in chunks]
    assert counts == sorted(counts)
    assert (counts[0], counts[-1]) == (0, 50)
    assert len(set(counts)) > 5


def test_a_fault_that_moves_usage_takes_no_time_away() -> None:
    answer = ask(WHOLE, "openai-chat", "?fault=usage-beside-finish")
    assert sum(waits(answer)) == pytest.approx(WHOLE.duration_ms)
    finish = next(payload for payload in answer.payloads if payload["choices"][0]["finish_reason"])
    assert finish["usage"]["prompt_tokens"] == 70


def test_a_head_is_sent_at_once() -> None:
    assert isinstance(ask(WHOLE, "openai-chat").steps[0], SendHead)
