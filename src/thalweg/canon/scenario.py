"""An answer that can be told again: its parts, when each piece of them came, and how it ended. It is in no dialect, and
nothing that only its vendor can make is in it: no ids, no signatures. No file is opened here.

A scenario is one JSON text. Its steps are in the order in which they happened. In each choice one part is open at a
time: the next `begin`, or the `finish`, ends it. Waits are milliseconds since the step before.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import UNSET, Meta, UnsetType

from thalweg.canon.finish import FinishReason
from thalweg.canon.usage import MOST_TOKENS, Usage

FORM = 1
"""The version of the form. A reader refuses a later one."""
MOST_BYTES = 2 * 1024 * 1024
"""The most that a scenario may have, which is some 40,000 pieces. It is read at once, in some 15 ms for each MiB."""
Ending = Literal["whole", "failed", "refused", "eof", "cut", "reset", "unreachable"]
"""How an answer ended: as it should; with an error in it; with a status that says no, and nothing else; with a body
that ends cleanly and too early; with a connection closed in the middle, or reset; before any connection was there."""
PartName = Literal["text", "reasoning", "refusal", "tool_call"]
Kind = Literal[
    "invalid_request", "unsupported", "context_length", "auth", "billing", "permission", "not_found", "request_timeout",
    "conflict", "too_large", "unsupported_media", "rate_limit", "cancelled", "upstream_bad", "unreachable",
    "upstream_error", "upstream_broke", "timeout", "overloaded", "server",
]  # fmt: skip
"""What kind of fault an error is: the words of `canon.errors`."""

_Ms = Annotated[float, Meta(ge=0, le=86_400_000)]
_Tokens = Annotated[int, Meta(ge=0, le=MOST_TOKENS)]
_Choice = Annotated[int, Meta(ge=0, le=127)]
_T = TypeVar("_T")


class ScenarioError(Exception):
    """A scenario is none. The message says where and why, and never what is said in it."""


class Begin(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True, tag="begin"):
    """A part begins, and the one before it in its choice has ended."""

    part: PartName
    ms: _Ms = 0.0
    choice: _Choice = 0
    name: Annotated[str, Meta(min_length=1)] | None = None
    """The tool's; no other part has one."""
    custom: bool = False
    """Whether what a tool is called with is free text, and not JSON."""
    redacted: bool = False
    """Whether of a thought nothing but its ciphertext may be seen."""


class Say(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True, tag="say"):
    """The open part grows: a piece of its text, or of a call's arguments."""

    text: str
    ms: _Ms = 0.0
    choice: _Choice = 0


class Finish(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True, tag="finish"):
    """A choice is over."""

    reason: FinishReason
    ms: _Ms = 0.0
    choice: _Choice = 0
    stop_sequence: str | None = None


Step = Begin | Say | Finish


class Failure(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """The error that an answer ended with, or that stood in its place."""

    kind: Kind
    message: str
    status: Annotated[int, Meta(ge=400, le=599)] | None = None
    """Of a refusal."""
    retry_after_s: Annotated[float, Meta(ge=0, le=604_800)] | None = None


class Counts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """The tokens of an answer as its provider told them last, by the names of `canon.usage`; what is not here nobody
    told.
    """

    input_tokens: _Tokens | UnsetType = UNSET
    cached_input_tokens: _Tokens | UnsetType = UNSET
    cache_write_tokens: _Tokens | UnsetType = UNSET
    audio_input_tokens: _Tokens | UnsetType = UNSET
    output_tokens: _Tokens | UnsetType = UNSET
    reasoning_tokens: _Tokens | UnsetType = UNSET
    audio_output_tokens: _Tokens | UnsetType = UNSET

    @classmethod
    def of(cls, usage: Usage) -> Counts:
        """What is known of a usage."""
        return cls(**{name: count for name, count in msgspec.structs.asdict(usage).items() if count is not None})

    @property
    def usage(self) -> Usage:
        """The same as the canon has it."""
        return Usage(**{name: count for name, count in msgspec.structs.asdict(self).items() if count is not UNSET})


class Scenario(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """One answer to be told again. Made by `read_scenario`, or checked by `check` before it is used."""

    form: int
    provider: str = ""
    """Who gave the answer; for people."""
    model: str = ""
    recorded_at: str = ""
    """When, as RFC 3339 has it, in UTC."""
    usage: Counts | None = None
    """`None` where none was told, and none will be."""
    end: Ending = "whole"
    end_ms: _Ms = 0.0
    """The wait before the end, or before the status of a refusal."""
    error: Failure | None = None
    steps: tuple[Step, ...] = ()

    @property
    def duration_ms(self) -> float:
        """All its waits together."""
        return sum(step.ms for step in self.steps) + self.end_ms


class _Form(msgspec.Struct, frozen=True):
    form: int


def read_scenario(data: bytes) -> Scenario:
    """A scenario of its JSON text. Raises `ScenarioError` that says where it is wrong."""
    if len(data) > MOST_BYTES:
        raise ScenarioError(f"it has more than {MOST_BYTES:,} bytes")
    form = _decoded(data, _Form).form
    if form > FORM:
        raise ScenarioError(f"it is of form {form}, and this version reads up to {FORM}")
    scenario = _decoded(data, Scenario)
    check(scenario)
    return scenario


def write_scenario(scenario: Scenario) -> bytes:
    """Its JSON text, each step on a line of its own, so that it can be read and changed by hand. Raises `ScenarioError`
    for what `read_scenario` would not take.
    """
    check(scenario)
    head = msgspec.json.format(msgspec.json.encode(msgspec.structs.replace(scenario, steps=())), indent=1)
    steps = b",\n".join(b"  " + msgspec.json.encode(step) for step in scenario.steps)
    listed = b"[\n" + steps + b"\n ]" if steps else b"[]"
    data = head.removesuffix(b"\n}") + b',\n "steps": ' + listed + b"\n}\n"
    if len(data) > MOST_BYTES:
        raise ScenarioError(f"it would have more than {MOST_BYTES:,} bytes")
    return data


def _decoded(data: bytes, wanted: type[_T]) -> _T:
    try:
        return msgspec.json.decode(data, type=wanted)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        # What msgspec says names a place and types, and of values those alone that stand where the form has words.
        raise ScenarioError(_told(error)) from error


def _told(error: Exception) -> str:
    if isinstance(error, msgspec.ValidationError):
        return str(error)
    return "it is no JSON" if not isinstance(error, RecursionError) else "it is nested too deeply"


def check(scenario: Scenario) -> None:
    """Hold a scenario to what its form cannot say. Raises `ScenarioError`."""
    state = _State()
    for at, step in enumerate(scenario.steps):
        if (wrong := _RULES[type(step)](state, step)) is not None:
            raise ScenarioError(f"steps[{at}]: {wrong}")
    if (wrong := _wrong_end(scenario, state)) is not None:
        raise ScenarioError(wrong)


class _State:
    """Which choices have an open part, and which are over."""

    def __init__(self) -> None:
        self.open: set[int] = set()
        self.begun: set[int] = set()
        self.finished: set[int] = set()


def _begin_rule(state: _State, step: Begin) -> str | None:
    if step.choice in state.finished:
        return f"choice {step.choice} is over"
    if (step.part == "tool_call") != (step.name is not None):
        return "a tool_call needs a name" if step.name is None else "only a tool_call has a name"
    state.open.add(step.choice)
    state.begun.add(step.choice)
    return None


def _say_rule(state: _State, step: Say) -> str | None:
    return None if step.choice in state.open else f"no part of choice {step.choice} is open"


def _finish_rule(state: _State, step: Finish) -> str | None:
    if step.choice in state.finished:
        return f"choice {step.choice} is over"
    state.open.discard(step.choice)
    state.finished.add(step.choice)
    return None


_RULES: dict[type, Callable[[_State, Any], str | None]] = {Begin: _begin_rule, Say: _say_rule, Finish: _finish_rule}


def _wrong_end(scenario: Scenario, state: _State) -> str | None:
    end, error = scenario.end, scenario.error
    if (error is not None) != (end in ("failed", "refused")):
        return f"an answer whose end is {end!r} has {'an' if error is None else 'no'} error"
    if error is not None and (error.status is not None) != (end == "refused"):
        return f"the error of an answer whose end is {end!r} has {'a' if end == 'refused' else 'no'} status"
    if end in ("refused", "unreachable") and scenario.steps:
        return f"an answer whose end is {end!r} has no steps"
    if end == "whole" and (not state.finished or state.begun - state.finished):
        return "an answer whose end is 'whole' has a finish for each choice"
    return None
