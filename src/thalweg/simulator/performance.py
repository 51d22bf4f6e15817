"""Turns what a model says into canonical events with times between them. Lazy: nothing is made before it is asked for.

Theory of operation. A model gives passages for each choice. A choice cuts them at its token budget and its stop
sequences, groups their tokens into deltas and has its vendor sign them; the choices take turns, event by event; every
event gets the time that passes before it and a number, by which faults find their place.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterable, Iterator
from hashlib import sha256
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
from thalweg.canon.parts import Signature
from thalweg.canon.request import Request
from thalweg.canon.usage import Usage
from thalweg.simulator.beginning import rest_of
from thalweg.simulator.knobs import Knobs
from thalweg.simulator.models import Model, Passage, Scene
from thalweg.simulator.tokens import StopSearch
from thalweg.simulator.turn import input_tokens, last_turn
from thalweg.simulator.vendors.base import PLAIN, Asking, Prover, Tree, Vendor
from thalweg.simulator.vendors.proofs import A_TEXT, ANYTHING, Follower, a_call

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
    vendor: Vendor = PLAIN
    tree: Tree = {}
    """The request as it came, for the vendor."""
    beginning: str = ""
    """What the answer has said already: the last message."""
    turned: frozenset[str] = frozenset()
    """The names of the knobs that were turned for this answer."""

    @property
    def response_id(self) -> str:
        """The same for the same seed, model name and talk; no two turns of one talk have one id."""
        rng = random.Random(f"id {self.entropy} {self.asked.model}")
        if self.vendor.response_id is not None:
            return self.vendor.response_id(rng)
        return f"sim-{rng.getrandbits(96):024x}"

    def prover(self, choice: int) -> Prover | None:
        """Who names and signs the parts of a choice; `None` where nobody does."""
        if self.vendor.prover is None:
            return None
        return self.vendor.prover(Asking(f"{self.entropy} {choice}", self.tree))

    @property
    def entropy(self) -> str:
        """What ids and signatures are made of: another turn of the talk has others, whatever the seed."""
        talk = [self.tree.get(name) for name in ("messages", "input", "contents")]
        return f"{self.seed} {sha256(msgspec.json.encode(talk)).hexdigest()}"

    @property
    def arguments_arrive(self) -> bool:
        """Whether no fault changes what is called."""
        return _CHANGE_ARGUMENTS.isdisjoint(self.knobs.fault)


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
    return numbered(_timed(_events(order, tally), order.knobs, random.Random(f"time {order.seed}")))


def _events(order: Order, tally: Tally) -> Iterator[Event | _Silence]:
    yield ResponseStarted(
        response_id=order.response_id,
        model=order.asked.model,
        created=order.created,
        extras={"system_fingerprint": FINGERPRINT},
    )
    asked = order.asked
    if order.beginning:
        # As it was asked before it had said anything.
        asked = msgspec.structs.replace(asked, messages=asked.messages[:-1])
    indexes, turn = itertools.count(), last_turn(asked.messages)
    choices = []
    for at in range(order.asked.sampling.n):
        rng = random.Random(f"choice {at} {order.seed}")
        scene = Scene(asked, turn, order.knobs, at, rng, must_think=order.vendor.must_think)
        passages = rest_of(order.model.speak(scene), order.beginning)
        choices.append(_Choice(at, order, tally, indexes).events(passages))
    finished: list[Event] = []
    for event in _in_turns(choices):
        if isinstance(event, ChoiceFinished) and not order.vendor.usage_last:
            finished.append(event)
        else:
            yield event
    yield UsageReported(usage=tally.usage())
    yield from finished
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


_CHANGE_ARGUMENTS = frozenset({"args-broken", "args-empty"})
"""Faults after which a call is not what was said."""


class _Heard:
    """What a part has said, as far as its proof needs it: thoughts, which are short, and of a text only its digest."""

    def __init__(self, kind: str, *, kept: bool) -> None:
        self._pieces: list[str] | None = [] if kept and kind == "reasoning" else None
        self._digest = sha256() if kept and kind == "text" else None

    def add(self, text: str) -> None:
        """Take in a delta."""
        if self._pieces is not None:
            self._pieces.append(text)
        elif self._digest is not None:
            self._digest.update(text.encode("utf-8", "surrogatepass"))

    def text(self) -> str:
        """All of a thought."""
        return "".join(self._pieces or ())

    def digest(self) -> str:
        """Of a text."""
        return self._digest.hexdigest() if self._digest is not None else ""


class _Ahead:
    """Passages, of which the next can be looked at."""

    def __init__(self, passages: Iterable[Passage]) -> None:
        self._passages = iter(passages)
        self._seen: list[Passage] = []

    def __iter__(self) -> Iterator[Passage]:
        while (passage := self.next()) is not None:
            yield passage

    def next(self) -> Passage | None:
        """Take the next."""
        return self._seen.pop() if self._seen else next(self._passages, None)

    def peek(self) -> Passage | None:
        """The next; a call has its tokens as a list then."""
        passage = self.next()
        if passage is None:
            return None
        if passage.kind == "tool_call":
            passage = msgspec.structs.replace(passage, tokens=list(passage.tokens))
        self._seen.append(passage)
        return passage


class _Choice:
    """One choice while it is made: how many tokens it has left, and why it ends."""

    def __init__(self, at: int, order: Order, tally: Tally, indexes: Iterator[int]) -> None:
        sampling = order.asked.sampling
        self._at = at
        self._chunk = order.knobs.chunk
        self._vendor = order.vendor
        self._prover = order.prover(at)
        self._arguments_arrive = order.arguments_arrive
        self._tally = tally
        self._indexes = indexes
        self._left: float = math.inf if sampling.max_tokens is None else sampling.max_tokens
        self._stop = StopSearch(sampling.stop)
        self._reason = FinishReason.STOP

    def events(self, passages: Iterable[Passage]) -> Iterator[Event | _Silence]:
        ahead = _Ahead(passages)
        for passage in ahead:
            if self._left <= 0:
                self._reason = FinishReason.LENGTH
            if self._reason in _LAST_REASONS:
                break
            if passage.kind == "tool_call":
                self._reason = FinishReason.TOOL_CALLS
            yield from (self._hidden if passage.hidden else self._part)(passage, ahead)
            if passage.finish is not None and self._reason not in _LAST_REASONS:
                self._reason = passage.finish
                break
        yield ChoiceFinished(reason=self._reason, choice=self._at, stop_sequence=self._stop.found)

    def _part(self, passage: Passage, ahead: _Ahead) -> Iterator[Event]:
        index = next(self._indexes)
        arguments: str | None = None
        if self._prover is not None and passage.kind == "tool_call":
            passage, arguments = self._named(self._prover, passage)
        yield PartStarted(
            index=index,
            kind=passage.kind,
            choice=self._at,
            call_id=passage.call_id,
            name=passage.name,
            call_kind=passage.call_kind,
            form=self._vendor.form,
        )
        heard = _Heard(passage.kind, kept=self._prover is not None)
        tokens = self._within(passage)
        while delta := list(itertools.islice(tokens, self._chunk)):
            self._tally.add(passage, len(delta))
            text = "".join(delta)
            heard.add(text)
            yield PartDelta(index=index, choice=self._at, text=text)
        signature = self._sign(passage, heard, arguments, ahead)
        yield PartEnded(index=index, choice=self._at, signature=signature)

    def _named(self, prover: Prover, passage: Passage) -> tuple[Passage, str | None]:
        """A call with its vendor's id, and its arguments if they arrive as they are said."""
        tokens = list(passage.tokens)
        arguments = self._arriving(tokens)
        call_id = prover.call_id(passage.name or "", arguments)
        return msgspec.structs.replace(passage, tokens=tokens, call_id=call_id), arguments

    def _arriving(self, tokens: list[str]) -> str | None:
        return "".join(tokens) if self._arguments_arrive and len(tokens) <= self._left else None

    def _sign(self, passage: Passage, heard: _Heard, arguments: str | None, ahead: _Ahead) -> Signature | None:
        """The proof of a part that has been said."""
        if self._prover is None:
            return None
        if passage.kind == "reasoning":
            return self._prover.sign_reasoning(heard.text(), self._follower(ahead), redacted=passage.redacted)
        if passage.kind == "tool_call":
            return self._prover.sign_call(passage.name or "", arguments)
        whole = passage.finish is None and self._reason in (FinishReason.STOP, FinishReason.STOP_SEQUENCE)
        return self._prover.sign_text(heard.digest()) if passage.kind == "text" and whole else None

    def _follower(self, ahead: _Ahead) -> Follower:
        """What will be said after this part."""
        passage = ahead.peek()
        if passage is None or self._left <= 0:
            return ANYTHING
        if passage.kind != "tool_call":
            return A_TEXT
        arguments = self._arriving(list(passage.tokens))
        return ANYTHING if arguments is None else a_call(passage.name or "", arguments)

    def _hidden(self, passage: Passage, ahead: _Ahead) -> Iterator[Event | _Silence]:
        """A thought that is not shown; to some vendors' clients it is a part without a text."""
        if self._prover is None or not self._vendor.hidden_parts:
            yield self._silence(passage)
            return
        index = next(self._indexes)
        yield PartStarted(index=index, kind=passage.kind, choice=self._at, form="hidden")
        yield self._silence(passage)
        signature = self._prover.sign_reasoning("", self._follower(ahead), redacted=passage.redacted)
        yield PartEnded(index=index, choice=self._at, signature=signature, redacted=passage.redacted)

    def _silence(self, passage: Passage) -> _Silence:
        tokens = sum(1 for _ in self._within(passage))
        self._tally.add(passage, tokens)
        return _Silence(-(-tokens // self._chunk))

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


def _timed(events: Iterable[Event | _Silence], knobs: Knobs, rng: random.Random) -> Iterator[tuple[float, Event]]:
    """Put the time between the deltas: each event, and the seconds before it."""
    waiting = knobs.ttft
    gap = 1 / knobs.pace if knobs.pace else 0.0
    for event in events:
        if isinstance(event, _Silence):
            waiting += gap * event.deltas
        elif isinstance(event, PartDelta):
            yield waiting, event
            waiting = gap * (1 + knobs.jitter * rng.uniform(-1, 1)) if knobs.jitter else gap
        else:
            yield 0.0, event


_COUNTED = (PartDelta, ChoiceFinished, UsageReported)
"""Events that have a number of their own; any other has that of the one before it."""


def numbered(timed: Iterable[tuple[float, Event]]) -> Iterator[Beat]:
    """Number the events, each with the seconds before it."""
    number = 0
    for seconds, event in timed:
        number += isinstance(event, _COUNTED)
        yield Beat(number, seconds, event)
