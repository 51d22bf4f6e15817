"""The form of a scenario: what is read as it was written, and what is none, with where it is wrong."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, get_args

import pytest

from thalweg.canon import errors
from thalweg.canon.finish import FinishReason
from thalweg.canon.scenario import (
    FORM,
    MOST_BYTES,
    Begin,
    Counts,
    Ending,
    Failure,
    Finish,
    Kind,
    PartName,
    Say,
    Scenario,
    ScenarioError,
    Step,
    read_scenario,
    write_scenario,
)
from thalweg.canon.usage import Usage

STEPS: tuple[Step, ...] = (
    Begin(part="reasoning", ms=812.5),
    Say(text="再想一想"),
    Begin(part="text", ms=3.0),
    Say(text="Hello, ", ms=20.001),
    Begin(part="text", choice=1),
    Say(text="深泓 🌊", choice=1),
    Say(text="深泓", ms=20.0),
    Begin(part="tool_call", name="get_weather"),
    Say(text='{"city": "', ms=1.0),
    Say(text='杭州"}', ms=1.0),
    Finish(reason=FinishReason.TOOL_CALLS, ms=2.0),
    Finish(reason=FinishReason.STOP_SEQUENCE, choice=1, stop_sequence="\n"),
)
WHOLE = Scenario(
    form=FORM,
    provider="ark",
    model="m",
    recorded_at="2026-11-29T12:00:00.000Z",
    usage=Counts(input_tokens=7, output_tokens=5, reasoning_tokens=0),
    end_ms=4.0,
    steps=STEPS,
)
BEGUN: tuple[Step, ...] = (Begin(part="text"), Say(text="Hel"))
ENDED = {
    "whole": WHOLE,
    "failed": Scenario(
        form=FORM, end="failed", error=Failure(kind="overloaded", message="Busy.", retry_after_s=2.5), steps=BEGUN
    ),
    "refused": Scenario(form=FORM, end="refused", error=Failure(kind="rate_limit", message="Slower.", status=429)),
    "cut": Scenario(form=FORM, end="cut", steps=BEGUN),
    "reset before anything": Scenario(form=FORM, end="reset"),
    "eof": Scenario(form=FORM, end="eof", steps=BEGUN, end_ms=9.0),
    "unreachable": Scenario(form=FORM, end="unreachable", end_ms=5000.0),
    "filtered without a word": Scenario(form=FORM, steps=(Finish(reason=FinishReason.CONTENT_FILTER),)),
}


@pytest.mark.parametrize("scenario", ENDED.values(), ids=ENDED)
def test_a_scenario_is_read_as_it_was_written(scenario: Scenario) -> None:
    assert read_scenario(write_scenario(scenario)) == scenario


def test_every_step_has_a_line_of_its_own() -> None:
    lines = [line.strip().rstrip(",") for line in write_scenario(WHOLE).decode().splitlines()]
    steps = [json.loads(line) for line in lines if line.startswith('{"type"')]
    assert len(steps) == len(STEPS)
    assert steps[0] == {"type": "begin", "part": "reasoning", "ms": 812.5}
    assert steps[6] == {"type": "say", "text": "深泓", "ms": 20.0}


def test_its_duration_is_all_of_its_waits() -> None:
    assert WHOLE.duration_ms == pytest.approx(812.5 + 3 + 20.001 + 20 + 1 + 1 + 2 + 4)


def test_what_nobody_told_is_not_told_as_zero() -> None:
    usage = Usage(input_tokens=7, cached_input_tokens=0)
    assert Counts.of(usage).usage == usage
    assert b"output_tokens" not in write_scenario(Scenario(form=FORM, usage=Counts.of(usage), end="cut"))


def tree(**changes: Any) -> Any:
    return json.loads(write_scenario(WHOLE)) | changes


def steps(*given: dict[str, Any]) -> Any:
    return tree(steps=list(given), end="cut")


BEGIN, SAY, FINISH = (
    {"type": "begin", "part": "text"},
    {"type": "say", "text": "x"},
    {"type": "finish", "reason": "stop"},
)
CALL = {"type": "begin", "part": "tool_call", "name": "f"}
WRONG: dict[str, tuple[Any, str]] = {
    "no JSON": (b"{", "no JSON"),
    "no object": ([], "object"),
    "without a form": ({}, "form"),
    "of a later form": ({"form": 2, "unheard": 1}, "up to 1"),
    "with an unknown field": (tree(signature="x"), "signature"),
    "with an unknown step": (steps({"type": "sing"}), r"steps\[0\]"),
    "with a wait that is negative": (steps(BEGIN, SAY | {"ms": -1}), r"steps\[1\].ms"),
    "with a wait of words": (steps(BEGIN | {"ms": "long"}), r"steps\[0\].ms"),
    "with an unknown part": (steps(BEGIN | {"part": "picture"}), r"steps\[0\].part"),
    "with an unknown finish": (steps(FINISH | {"reason": "bored"}), r"steps\[0\].reason"),
    "with an id": (steps(CALL | {"call_id": "call_1"}), "call_id"),
    "a call without a name": (steps({"type": "begin", "part": "tool_call"}), r"steps\[0\]: a tool_call needs a name"),
    "a text with a name": (steps(BEGIN | {"name": "f"}), r"steps\[0\]: only a tool_call"),
    "words before a part": (steps(SAY), r"steps\[0\]: no part of choice 0"),
    "words in another choice": (steps(BEGIN, SAY | {"choice": 1}), r"steps\[1\]: no part of choice 1"),
    "words after the finish": (steps(BEGIN, FINISH, SAY), r"steps\[2\]: no part"),
    "a part after the finish": (steps(FINISH, BEGIN), r"steps\[1\]: choice 0 is over"),
    "two finishes": (steps(FINISH, FINISH), r"steps\[1\]: choice 0 is over"),
    "whole without a finish": (tree(steps=[BEGIN, SAY]), "finish for each choice"),
    "whole without anything": (tree(steps=[]), "finish for each choice"),
    "failed without an error": (tree(end="failed"), "'failed' has an error"),
    "whole with an error": (tree(error={"kind": "server", "message": "x"}), "'whole' has no error"),
    "refused without a status": (
        tree(end="refused", steps=[], error={"kind": "server", "message": "x"}), "'refused' has a status",
    ),
    "failed with a status": (
        tree(end="failed", error={"kind": "server", "message": "x", "status": 500}), "'failed' has no status",
    ),
    "refused with a good status": (
        tree(end="refused", steps=[], error={"kind": "server", "message": "x", "status": 200}), r"error.status",
    ),
    "refused after words": (
        tree(end="refused", error={"kind": "server", "message": "x", "status": 500}), "'refused' has no steps",
    ),
    "with an unknown kind of error": (tree(end="failed", error={"kind": "sad", "message": "x"}), r"error.kind"),
    "with a negative count": (tree(usage={"input_tokens": -1}), r"usage.input_tokens"),
}  # fmt: skip


@pytest.mark.parametrize(("given", "said"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_said_with_its_place(given: Any, said: str) -> None:
    data = given if isinstance(given, bytes) else json.dumps(given).encode()
    with pytest.raises(ScenarioError, match=said):
        read_scenario(data)


def test_what_is_said_in_it_is_not_in_what_is_wrong() -> None:
    secret = "Confidential"
    for given in (steps(BEGIN, SAY | {"text": secret, "ms": secret}), steps({"type": "say", "text": [secret]})):
        with pytest.raises(ScenarioError) as raised:
            read_scenario(json.dumps(given).encode())
        assert secret not in str(raised.value)


def test_it_is_bounded_when_it_is_read_and_when_it_is_written() -> None:
    long = Scenario(form=FORM, end="cut", steps=(Begin(part="text"), Say(text="x" * MOST_BYTES)))
    with pytest.raises(ScenarioError, match="2,097,152"):
        write_scenario(long)
    with pytest.raises(ScenarioError, match="2,097,152"):
        read_scenario(b" " * (MOST_BYTES + 1))


def test_bottomless_json_is_no_scenario() -> None:
    with pytest.raises(ScenarioError):
        read_scenario(b'{"form": 1, "steps": ' + b"[" * 100_000)


def test_every_kind_of_our_errors_can_be_told() -> None:
    tree = [errors.GatewayError]
    for each in tree:
        tree += each.__subclasses__()
    assert {each.kind for each in tree} <= set(get_args(Kind))


PAGE = (Path(__file__).resolve().parents[2] / "docs" / "recordings.md").read_text(encoding="utf-8")


def test_the_example_of_the_page_is_a_scenario() -> None:
    (example,) = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    assert read_scenario(example.encode()).end == "whole"


@pytest.mark.parametrize("words", [Ending, Kind, PartName, FinishReason], ids=["ends", "kinds", "parts", "finishes"])
def test_the_page_has_every_word_of_the_form(words: Any) -> None:
    assert [word for word in get_args(words) or words if f"`{word}`" not in PAGE] == []


@pytest.mark.parametrize("form", [Scenario, Begin, Say, Finish, Failure, Counts])
def test_the_page_has_every_field_of_the_form(form: Any) -> None:
    assert [field for field in form.__struct_fields__ if f"`{field}`" not in PAGE] == []
