"""An answer that broke off in its text, and the joint at which another attempt goes on with it.

The next attempt asks the same model for the rest (`profiles.Prefill`). Its events are read as if nothing had happened:
its text belongs to the part that was open, its further parts are counted on from there, and its usage is added to what
the attempts before it have cost. Only a text is gone on with, the first thing that the answer said: no provider takes
the beginning of a thought or of a call.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from thalweg.canon.errors import GatewayError
from thalweg.canon.events import (
    ChoiceFinished,
    Event,
    PartDelta,
    PartEnded,
    PartStarted,
    Pinged,
    ResponseContinued,
    ResponseFailed,
    ResponseStarted,
    UsageReported,
)
from thalweg.canon.usage import Usage, UsageSource
from thalweg.dialects.base import StreamEncoder
from thalweg.relay.adapter import Adapter

_TEXT = 0
"""The index of the one part that is gone on with."""
_PASSED_OVER = (Pinged, UsageReported, ResponseStarted, ResponseFailed, ResponseContinued)


class Beginning(msgspec.Struct, frozen=True, kw_only=True):
    """What the client has had of an answer that broke off, and what writes the rest."""

    text: str
    """All of it, as the upstreams said it."""
    encoder: StreamEncoder
    """In the state in which it has written that."""
    adapter: Adapter | None
    listener: Any
    usage: Usage
    """What the attempts so far have cost, as far as is known."""
    usage_source: UsageSource
    error: GatewayError
    """Why it broke off first: what the client is told if it is not gone on with after all."""
    first_delivered_at: float | None
    said_at: float
    """When the client was last told anything."""


def text_of(events: Iterable[Event]) -> str | None:
    """The text that an answer has said when it broke off in it; `None` where it said, or was at, anything else."""
    pieces: list[str] = []
    open_ = False
    for event in events:
        if isinstance(event, PartStarted) and event.index == _TEXT and event.kind == "text" and not event.choice:
            open_ = True
        elif isinstance(event, PartDelta) and open_ and event.logprobs is None:
            pieces.append(event.text)
        elif type(event) not in _PASSED_OVER:
            return None
    return "".join(pieces) if open_ else None


def unended(events: list[Event]) -> tuple[list[Event], list[Event]]:
    """The events of a failure without the ends that it brought, and those: what may be gone on with has not ended."""
    if not events or not isinstance(events[-1], ResponseFailed):
        return events, []
    kept = len(events) - 1
    while kept and isinstance(events[kept - 1], PartEnded):
        kept -= 1
    return [*events[:kept], events[-1]], events[kept:-1]


class Seam:
    """Joins the events of one attempt to those before it. Lives as long as the attempt."""

    __slots__ = ("_beginning", "_mark", "_offset", "_open", "_spare")

    def __init__(self, beginning: Beginning, *, attempt: int, told: str) -> None:
        """`told` is the text that the upstream was told. Where white space was taken off its end, the upstream is
        likely to say it again.
        """
        self._beginning = beginning
        self._mark = ResponseContinued(attempt=attempt, characters=len(beginning.text))
        self._spare = beginning.text[len(told) :]
        """What of the beginning the upstream may repeat, as far as it has not."""
        self._open = True
        """Whether the text that broke off is still open."""
        self._offset: int | None = None
        """What is added to the upstream's indexes, once it is known how it begins."""

    def join(self, events: Iterable[Event]) -> list[Event]:
        """The events, as those of one answer."""
        joined: list[Event] = []
        for event in events:
            step = _STEPS.get(type(event))
            if step is None:
                joined.append(event)
            else:
                joined += step(self, event)
        return joined

    def growing(self, grown: Callable[[bytes], PartDelta | None]) -> Callable[[bytes], PartDelta | None]:
        """The short way of a decoder, joined."""

        def joined(data: bytes) -> PartDelta | None:
            event = grown(data)
            if event is None or not (self._spare or self._offset):
                return event
            return replace(event, index=event.index + (self._offset or 0), text=self._unrepeated(event.text))

        return joined

    def summed(self, events: Sequence[Event]) -> list[Event]:
        """The events with the usage of all attempts in the place of this one's."""
        before = self._beginning.usage
        return [
            replace(event, usage=before.plus(event.usage)) if isinstance(event, UsageReported) else event
            for event in events
        ]

    def _on_started(self, _: ResponseStarted) -> list[Event]:
        return [self._mark]

    def _on_part_started(self, event: PartStarted) -> list[Event]:
        if self._offset is None:
            goes_on = event.kind == "text" and not event.choice
            self._offset = 0 if goes_on else 1
            if goes_on:
                return []
        return [*self._shut(), replace(event, index=event.index + self._offset)]

    def _on_delta(self, event: PartDelta) -> list[Event]:
        text = self._unrepeated(event.text)
        return [replace(event, index=event.index + (self._offset or 0), text=text)] if text else []

    def _on_part_ended(self, event: PartEnded) -> list[Event]:
        index = event.index + (self._offset or 0)
        self._open = self._open and index != _TEXT
        return [replace(event, index=index)]

    def _on_finished(self, event: ChoiceFinished) -> list[Event]:
        return [*self._shut(), event]

    def _shut(self) -> list[Event]:
        """The end of the text that broke off, where nothing came to it."""
        was_open, self._open = self._open, False
        return [PartEnded(index=_TEXT)] if was_open else []

    def _unrepeated(self, text: str) -> str:
        """A delta without the white space that was said before the break."""
        if not self._spare:
            return text
        same = 0
        while same < min(len(text), len(self._spare)) and text[same] == self._spare[same]:
            same += 1
        self._spare = self._spare[same:] if same == len(text) else ""
        return text[same:]


_STEPS: dict[type, Callable[[Seam, Any], list[Event]]] = {
    ResponseStarted: Seam._on_started,
    PartStarted: Seam._on_part_started,
    PartDelta: Seam._on_delta,
    PartEnded: Seam._on_part_ended,
    ChoiceFinished: Seam._on_finished,
}
