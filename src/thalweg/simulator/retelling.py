"""Tells a scenario again: its events with the times between them, whatever was asked. As `performance` does of a model,
so that vendors sign it, faults break it and any dialect brings it to the wire.

What was recorded holds: pieces, finish, usage, end, and the waits, until knobs say otherwise. Thoughts are shown where
the request lets them be; where not, they take their time.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator
from hashlib import sha256
from typing import Any

from msgspec.structs import replace

from thalweg.canon.errors import UpstreamFailed, UpstreamRefused
from thalweg.canon.events import (
    ChoiceFinished,
    Event,
    PartDelta,
    PartEnded,
    PartStarted,
    ResponseEnded,
    ResponseFailed,
    ResponseStarted,
    UsageReported,
)
from thalweg.canon.finish import FinishReason
from thalweg.canon.parts import Signature
from thalweg.canon.scenario import Begin, Failure, Finish, Say, Scenario
from thalweg.canon.script import BreakOff, EndBody, RefuseConnection, SendBody, Step, Wait
from thalweg.canon.usage import Usage
from thalweg.dialects.base import Dialect
from thalweg.simulator.delivery import WHOLE, Sent
from thalweg.simulator.faults.instead import say_status
from thalweg.simulator.performance import FINGERPRINT, Beat, Order, Tally, numbered
from thalweg.simulator.tokens import count
from thalweg.simulator.vendors.base import Prover
from thalweg.simulator.vendors.proofs import A_TEXT, ANYTHING, Follower, a_call

_SIGNED_TEXTS = (FinishReason.STOP, FinishReason.STOP_SEQUENCE)
_SPOKEN = ("text", "refusal")
"""Parts that come back as texts."""


def instead(dialect: Dialect, order: Order) -> Iterator[Step] | None:
    """What is told in the place of an answer: a status, or no connection; `None` where there is an answer."""
    scenario = order.model.scenario
    tell = None if scenario is None else _INSTEAD.get(scenario.end)
    return None if scenario is None or tell is None else tell(dialect, order, scenario)


def _refused(dialect: Dialect, order: Order, scenario: Scenario) -> Iterator[Step]:
    failure = scenario.error
    assert failure is not None and failure.status is not None, "the form says so"
    error = UpstreamRefused(
        failure.message,
        upstream_status=failure.status,
        kind=failure.kind,
        status=failure.status,
        retryable=failure.status in (408, 409, 429) or failure.status >= 500,
    )
    error.retry_after_s = order.knobs.retry_after or failure.retry_after_s
    yield Wait(_first_wait_s(order, scenario))
    yield from say_status(dialect, error, failure.status)


def _unreachable(_: Dialect, __: Order, ___: Scenario) -> Iterator[Step]:
    yield RefuseConnection()


_INSTEAD: dict[str, Callable[[Dialect, Order, Scenario], Iterator[Step]]] = {
    "refused": _refused,
    "unreachable": _unreachable,
}


def _first_wait_s(order: Order, scenario: Scenario) -> float:
    return order.knobs.ttft if "ttft" in order.turned else scenario.end_ms / 1000


_BREAKS: dict[str, Step] = {"cut": BreakOff(reset=False), "reset": BreakOff(reset=True), "eof": EndBody()}


def as_it_ended(order: Order, sent: Iterator[Sent]) -> Iterator[Sent]:
    """The steps of an answer with the end of its scenario, where that broke off: of one that does not stream, half."""
    scenario = order.model.scenario
    last = None if scenario is None else _BREAKS.get(scenario.end)
    return sent if scenario is None or last is None else _broken(sent, last, order, scenario)


def _broken(sent: Iterator[Sent], last: Step, order: Order, scenario: Scenario) -> Iterator[Sent]:
    number = 0
    for number, step in sent:
        if isinstance(step, EndBody):
            break
        if number == WHOLE and isinstance(step, SendBody):
            yield Sent(number, SendBody(step.data[: len(step.data) // 2]))
            break
        yield Sent(number, step)
    if "pace" not in order.turned:
        yield Sent(number, Wait(scenario.end_ms / 1000))
    yield Sent(number, last)


class RetoldTally(Tally):
    """Tells the tokens that the provider told; before the end as many of them as were said."""

    def __init__(self, scenario: Scenario) -> None:
        super().__init__(0)
        self._told = Usage() if scenario.usage is None else scenario.usage.usage
        self._over = False

    def heard(self, part: str, text: str) -> None:
        """Count a piece."""
        tokens = count(text)
        self.output_tokens += tokens
        self.reasoning_tokens += tokens if part == "reasoning" else 0

    def over(self) -> None:
        """Everything was said."""
        self._over = True

    def usage(self) -> Usage:
        """The counts so far."""
        told = self._told
        if self._over:
            return told
        return replace(
            told,
            output_tokens=_at_most(self.output_tokens, told.output_tokens),
            reasoning_tokens=_at_most(self.reasoning_tokens, told.reasoning_tokens),
        )


def _at_most(so_far: int, told: int | None) -> int | None:
    return None if told is None else min(so_far, told)


def retell(order: Order, scenario: Scenario, tally: RetoldTally) -> Iterator[Beat]:
    """The events of a scenario, in the order that `canon.events` demands."""
    return numbered(_Telling(order, scenario, tally).events())


class _Part:
    """One part of a scenario, seen as a whole."""

    __slots__ = ("after", "begin", "index", "pieces", "shown")

    def __init__(self, begin: Begin) -> None:
        self.begin = begin
        self.pieces: list[str] = []
        self.after: _Part | Finish | None = None
        """What comes next in its choice; `None` where the answer breaks off in it."""
        self.index: int | None = None
        """In the answer that is told; `None` where it has no place there."""
        self.shown = False
        """Whether what is said in it is told."""

    @property
    def text(self) -> str:
        return "".join(self.pieces)


def _parts_of(scenario: Scenario) -> dict[int, _Part]:
    """The parts, by the place of the step that begins them."""
    parts: dict[int, _Part] = {}
    last: dict[int, _Part] = {}
    for at, step in enumerate(scenario.steps):
        before = last.get(step.choice)
        if isinstance(step, Say):
            if before is not None:
                before.pieces.append(step.text)
            continue
        after = step if isinstance(step, Finish) else _Part(step)
        if before is not None:
            before.after = after
        if isinstance(after, _Part):
            parts[at] = last[step.choice] = after
    return parts


class _ChoiceTold:
    """One choice while it is told: its open part, and who names and signs what is in it."""

    def __init__(self, prover: Prover | None, rng: random.Random) -> None:
        self.part: _Part | None = None
        self.prover = prover
        self.said = sha256()
        """All its texts so far: a signature behind the last one is for all of them."""
        self._rng = rng

    def call_id(self, part: _Part, *, arrives: bool) -> str | None:
        """The id of a call."""
        if self.prover is None:
            return f"call_{self._rng.getrandbits(96):024x}"
        return self.prover.call_id(part.begin.name or "", part.text if arrives else None)

    def sign(self, part: _Part, *, arrives: bool) -> Signature | None:
        """The proof of a part that has been said."""
        if self.prover is None:
            return None
        if part.begin.part == "reasoning":
            seen = part.text if part.shown else ""
            return self.prover.sign_reasoning(seen, _follower(part, arrives=arrives), redacted=part.begin.redacted)
        if part.begin.part == "tool_call":
            return self.prover.sign_call(part.begin.name or "", part.text if arrives else None)
        last = isinstance(part.after, Finish) and part.after.reason in _SIGNED_TEXTS
        return self.prover.sign_text(self.said.hexdigest()) if part.begin.part == "text" and last else None


def _follower(part: _Part, *, arrives: bool) -> Follower:
    """What is said after a thought, as far as its signature may cover it."""
    after = part.after
    if not isinstance(after, _Part) or not after.pieces:
        return ANYTHING
    if after.begin.part == "tool_call":
        return a_call(after.begin.name or "", after.text) if arrives else ANYTHING
    return A_TEXT if after.begin.part == "text" else ANYTHING


class _Clock:
    """The time before each event: as it was, or as the knobs `ttft`, `pace` and `jitter` say."""

    def __init__(self, order: Order) -> None:
        knobs = order.knobs
        self._ttft_s = knobs.ttft if "ttft" in order.turned else None
        self._gap_s = (1 / knobs.pace if knobs.pace else 0.0) if "pace" in order.turned else None
        self._jitter = knobs.jitter
        self._rng = random.Random(f"time {order.seed}")
        self._begun = False
        """Whether a delta has been told."""
        self._passed_s = 0.0
        """Recorded time since the last event."""
        self._unseen = 0
        """Deltas since then that are not shown."""

    def passes(self, ms: float, *, delta: bool = False) -> None:
        """Time goes by without an event."""
        self._passed_s += ms / 1000
        self._unseen += delta

    def before(self, event: Event) -> float:
        """Seconds up to this event."""
        delta = isinstance(event, PartDelta)
        wait = self._delta_wait() if delta else self._other_wait()
        self._passed_s = 0.0
        if delta:
            self._begun, self._unseen = True, 0
        return wait

    def _delta_wait(self) -> float:
        if not self._begun:
            return self._passed_s if self._ttft_s is None else self._ttft_s
        wait = self._passed_s if self._gap_s is None else self._gap_s * (1 + self._unseen)
        return wait * (1 + self._jitter * self._rng.uniform(-1, 1)) if self._jitter else wait

    def _other_wait(self) -> float:
        turned = self._gap_s if self._begun else self._ttft_s
        return self._passed_s if turned is None else 0.0


class _Telling:
    """One answer while it is told."""

    def __init__(self, order: Order, scenario: Scenario, tally: RetoldTally) -> None:
        self._order = order
        self._vendor = order.vendor
        self._scenario = scenario
        self._tally = tally
        self._clock = _Clock(order)
        self._parts = _parts_of(scenario)
        self._indexes = itertools.count()
        self._ids = random.Random(f"call {order.entropy}")
        self._choices: dict[int, _ChoiceTold] = {}
        self._finished: list[Event] = []
        """Finishes that wait for the usage."""
        self._rows: dict[type, Callable[[int, Any], list[Event]]] = {
            Begin: self._begin,
            Say: self._say,
            Finish: self._finish,
        }

    def events(self) -> Iterator[tuple[float, Event]]:
        """Each event, and the seconds before it."""
        order = self._order
        started = ResponseStarted(
            response_id=order.response_id,
            model=order.asked.model,
            created=order.created,
            extras={"system_fingerprint": FINGERPRINT},
        )
        yield 0.0, started
        for at, step in enumerate(self._scenario.steps):
            # Where a dialect has one choice, the others take their time.
            told = [] if step.choice and self._vendor.one_choice else self._rows[type(step)](at, step)
            self._clock.passes(step.ms, delta=isinstance(step, Say) and not told)
            for event in told:
                yield self._clock.before(event), event
        self._clock.passes(self._scenario.end_ms)
        for event in self._end():
            yield self._clock.before(event), event

    def _choice(self, at: int) -> _ChoiceTold:
        if at not in self._choices:
            self._choices[at] = _ChoiceTold(self._order.prover(at), self._ids)
        return self._choices[at]

    def _begin(self, at: int, step: Begin) -> list[Event]:
        choice, part = self._choice(step.choice), self._parts[at]
        told = self._close(step.choice)
        choice.part = part
        part.shown = self._shows(part)
        if not (part.shown or self._keeps_hidden):
            return told
        part.index = next(self._indexes)
        call = step.part == "tool_call"
        started = PartStarted(
            index=part.index,
            kind=step.part,
            choice=step.choice,
            call_id=choice.call_id(part, arrives=self._order.arguments_arrive) if call else None,
            name=step.name,
            call_kind="custom" if step.custom else "function",
            form=self._vendor.form if part.shown else "hidden",
        )
        return [*told, started]

    def _shows(self, part: _Part) -> bool:
        """Whether the words of a part may be seen."""
        if part.begin.part != "reasoning":
            return True
        asked = self._order.asked.reasoning
        return bool(part.pieces) and not part.begin.redacted and asked.mode != "off" and asked.show != "none"

    @property
    def _keeps_hidden(self) -> bool:
        """Whether a thought that is not shown is a part all the same."""
        vendor = self._vendor
        return vendor.hidden_parts and vendor.prover is not None and self._order.asked.reasoning.mode != "off"

    def _say(self, _: int, step: Say) -> list[Event]:
        choice = self._choice(step.choice)
        part = choice.part
        assert part is not None, "the form says so"
        self._tally.heard(part.begin.part, step.text)
        if part.begin.part in _SPOKEN:
            choice.said.update(step.text.encode("utf-8", "surrogatepass"))
        if part.index is None or not part.shown:
            return []
        return [PartDelta(index=part.index, choice=step.choice, text=step.text)]

    def _close(self, at: int) -> list[Event]:
        """The end of the part that is open, if one is."""
        choice = self._choice(at)
        part, choice.part = choice.part, None
        if part is None or part.index is None:
            return []
        signature = choice.sign(part, arrives=self._order.arguments_arrive)
        return [PartEnded(index=part.index, choice=at, signature=signature, redacted=part.begin.redacted)]

    def _finish(self, _: int, step: Finish) -> list[Event]:
        told = self._close(step.choice)
        finished = ChoiceFinished(reason=step.reason, choice=step.choice, stop_sequence=step.stop_sequence)
        if self._vendor.usage_last:
            return [*told, finished]
        self._finished.append(finished)
        return told

    def _end(self) -> list[Event]:
        return _ENDS[self._scenario.end](self) if self._scenario.end in _ENDS else []

    def _whole(self) -> list[Event]:
        self._tally.over()
        usage = [] if self._scenario.usage is None else [UsageReported(usage=self._tally.usage())]
        return [*usage, *self._finished, ResponseEnded()]

    def _failed(self) -> list[Event]:
        assert self._scenario.error is not None, "the form says so"
        return [ResponseFailed(error=_error_of(self._scenario.error))]


_ENDS: dict[str, Callable[[_Telling], list[Event]]] = {"whole": _Telling._whole, "failed": _Telling._failed}


def _error_of(failure: Failure) -> UpstreamFailed:
    error = UpstreamFailed(failure.message)
    error.kind, error.retry_after_s = failure.kind, failure.retry_after_s
    return error
