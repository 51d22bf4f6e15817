"""Turns what a model says into canonical events with times between them. Lazy: nothing is made before it is asked for.

Theory of operation. A model gives passages for each choice. A choice cuts them at its token budget and its stop
sequences and groups their tokens into deltas; the choices take turns, event by event; every event gets the time that
passes before it and a number, by which faults find their place.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import msgspec

from thalweg.canon.events import (
    ChoiceFinished,
    Event,
    PartDelta,
    PartEnded,
    PartStarted,
    ResponseEnded,
    ResponseStarted,
    UsageReported,
)
from thalweg.canon.finish import FinishReason
from thalweg.canon.request import Request, Sampling
from thalweg.canon.usage import Usage
from thalweg.simulator.knobs import Knobs
from thalweg.simulator.models import Model, Passage, Scene
from thalweg.simulator.tokens import StopSearch
from thalweg.simulator.turn import input_tokens, last_turn

FINGERPRINT = "fp_thalweg_sim"
"""The `system_fingerprint` of every simulated answer."""


class Beat(NamedTuple):
    """One event, the time before it, and where it stands: 0 before the first delta, then the delta's number."""

    number: int
    seconds: float
    event: Event


class _Silence(NamedTuple):
    """The time that some deltas would have taken: what is thought and not shown."""

    deltas: int


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """An answer that is to be made."""

    asked: Request
    model: Model
    knobs: Knobs
    seed: int
    created: int

    @property
    def response_id(self) -> str:
        """The same for the same seed and model name."""
        return f"sim-{random.Random(f'id {self.seed} {self.asked.model}').getrandbits(96):024x}"


class Tally:
    """Counts the tokens of one answer, over all its choices."""

    def __init__(self, input_tokens: int) -> None:
        self.input_tokens = input_tokens
        self.output_tokens = 0
        self.reasoning_tokens = 0

    def add(self, passage: Passage, tokens: int) -> None:
        """Count tokens that were said."""
        self.output_tokens += tokens
        if passage.kind == "reasoning":
            self.reasoning_tokens += tokens

    def usage(self) -> Usage:
        """The counts so far."""
        return Usage(
            input_tokens=self.input_tokens,
            cached_input_tokens=0,
            output_tokens=self.output_tokens,
            reasoning_tokens=self.reasoning_tokens,
        )


def perform(order: Order, tally: Tally | None = None) -> Iterator[Beat]:
    """The whole answer: events in the order that `canon.events` demands. The `tally` is always as far as they are."""
    tally = tally or Tally(input_tokens(order.asked))
    return _timed(_events(order, tally), order.knobs, random.Random(f"time {order.seed}"))


def _events(order: Order, tally: Tally) -> Iterator[Event | _Silence]:
    yield ResponseStarted(
        response_id=order.response_id,
        model=order.asked.model,
        created=order.created,
        extras={"system_fingerprint": FINGERPRINT},
    )
    indexes, turn = itertools.count(), last_turn(order.asked.messages)
    choices = []
    for at in range(order.asked.sampling.n):
        scene = Scene(order.asked, turn, order.knobs, at, random.Random(f"choice {at} {order.seed}"))
        said = order.model.speak(scene)
        choices.append(_Choice(at, order.asked.sampling, order.knobs.chunk, tally, indexes).events(said))
    yield from _in_turns(choices)
    yield UsageReported(usage=tally.usage())
    yield ResponseEnded()


def _in_turns(choices: list[Iterator[Event | _Silence]]) -> Iterator[Event | _Silence]:
    """One event of each in turn, until all are over."""
    while choices:
        for choice in tuple(choices):
            event = next(choice, None)
            if event is None:
                choices.remove(choice)
            else:
                yield event


_LAST_REASONS = (FinishReason.LENGTH, FinishReason.STOP_SEQUENCE)
"""Reasons after which a choice says nothing more."""


class _Choice:
    """One choice while it is made: how many tokens it has left, and why it ends."""

    def __init__(self, at: int, sampling: Sampling, chunk: int, tally: Tally, indexes: Iterator[int]) -> None:
        self._at = at
        self._chunk = chunk
        self._tally = tally
        self._indexes = indexes
        self._left: float = math.inf if sampling.max_tokens is None else sampling.max_tokens
        self._stop = StopSearch(sampling.stop)
        self._reason = FinishReason.STOP

    def events(self, passages: Iterable[Passage]) -> Iterator[Event | _Silence]:
        for passage in passages:
            if self._left <= 0:
                self._reason = FinishReason.LENGTH
            if self._reason in _LAST_REASONS:
                break
            if passage.kind == "tool_call":
                self._reason = FinishReason.TOOL_CALLS
            yield from (self._silence if passage.hidden else self._part)(passage)
            if passage.finish is not None and self._reason not in _LAST_REASONS:
                self._reason = passage.finish
                break
        yield ChoiceFinished(reason=self._reason, choice=self._at, stop_sequence=self._stop.found)

    def _part(self, passage: Passage) -> Iterator[Event]:
        index = next(self._indexes)
        yield PartStarted(
            index=index,
            kind=passage.kind,
            choice=self._at,
            call_id=passage.call_id,
            name=passage.name,
            call_kind=passage.call_kind,
        )
        tokens = self._within(passage)
        while delta := list(itertools.islice(tokens, self._chunk)):
            self._tally.add(passage, len(delta))
            yield PartDelta(index=index, choice=self._at, text="".join(delta))
        yield PartEnded(index=index, choice=self._at)

    def _silence(self, passage: Passage) -> Iterator[_Silence]:
        tokens = sum(1 for _ in self._within(passage))
        self._tally.add(passage, tokens)
        yield _Silence(-(-tokens // self._chunk))

    def _within(self, passage: Passage) -> Iterator[str]:
        """The tokens that stop sequences and the budget leave."""
        searched = passage.kind == "text"
        for token in self._stop.cut(passage.tokens) if searched else passage.tokens:
            if self._left <= 0:
                self._reason = FinishReason.LENGTH
                return
            self._left -= 1
            yield token
        if searched and self._stop.found is not None:
            self._reason = FinishReason.STOP_SEQUENCE


def _timed(events: Iterable[Event | _Silence], knobs: Knobs, rng: random.Random) -> Iterator[Beat]:
    """Number the events and put the time between the deltas."""
    number, waiting = 0, knobs.ttft
    gap = 1 / knobs.pace if knobs.pace else 0.0
    for event in events:
        if isinstance(event, _Silence):
            waiting += gap * event.deltas
        elif isinstance(event, PartDelta):
            number += 1
            yield Beat(number, waiting, event)
            waiting = gap * (1 + knobs.jitter * rng.uniform(-1, 1)) if knobs.jitter else gap
        else:
            number += isinstance(event, ChoiceFinished | UsageReported)
            yield Beat(number, 0.0, event)
