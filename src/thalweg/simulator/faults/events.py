"""Faults in what is said: errors, missing usage, arguments that are whole or broken. They know no wire format."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeGuard

from thalweg.canon.errors import GatewayError
from thalweg.canon.events import Event, PartDelta, PartEnded, PartStarted, ResponseFailed, UsageReported
from thalweg.simulator.performance import Beat

EventFault = Callable[[Iterator[Beat], int], Iterator[Beat]]


def _failed(number: int) -> Beat:
    return Beat(number, 0.0, ResponseFailed(error=GatewayError("The simulated model failed, as it was asked to.")))


def _error_first(_: Iterator[Beat], __: int) -> Iterator[Beat]:
    """An error is the first and only event after a good status."""
    yield _failed(0)


def _error_midstream(beats: Iterator[Beat], at: int) -> Iterator[Beat]:
    """An error comes in the place of delta `at`, and nothing after it."""
    for beat in beats:
        if beat.number >= at:
            yield _failed(beat.number)
            return
        yield beat


def _usage_missing(beats: Iterator[Beat], _: int) -> Iterator[Beat]:
    """No usage is reported, asked for or not."""
    return (beat for beat in beats if not isinstance(beat.event, UsageReported))


def _args_whole(beats: Iterator[Beat], _: int) -> Iterator[Beat]:
    """The arguments of each tool call come in one piece."""
    held: dict[int, list[Beat]] = {}
    for beat in beats:
        event = beat.event
        if _begins_call(event):
            held[event.index] = []
        elif isinstance(event, PartDelta) and event.index in held:
            held[event.index].append(beat)
            continue
        elif isinstance(event, PartEnded) and (pieces := held.pop(event.index, None)):
            yield _joined(pieces)
        yield beat


def _args_broken(beats: Iterator[Beat], _: int) -> Iterator[Beat]:
    """The arguments of each tool call are no JSON: their last character is missing."""
    held: dict[int, Beat | None] = {}
    for beat in beats:
        event = beat.event
        if _begins_call(event):
            held[event.index] = None
        elif isinstance(event, PartDelta) and event.index in held:
            last, held[event.index] = held[event.index], beat
            if last is not None:
                yield last
            continue
        elif isinstance(event, PartEnded) and (last := held.pop(event.index, None)):
            yield _with_text(last, _text(last)[:-1])
        yield beat


def without_arguments(beats: Iterator[Beat], _: int) -> Iterator[Beat]:
    """Every tool call ends without a word of its arguments."""
    calls: set[int] = set()
    for beat in beats:
        event = beat.event
        if _begins_call(event):
            calls.add(event.index)
        if not (isinstance(event, PartDelta) and event.index in calls):
            yield beat


def _begins_call(event: Event) -> TypeGuard[PartStarted]:
    return isinstance(event, PartStarted) and event.kind == "tool_call"


def _joined(beats: list[Beat]) -> Beat:
    """One delta for several, after all their time."""
    whole = _with_text(beats[-1], "".join(map(_text, beats)))
    return whole._replace(seconds=sum(beat.seconds for beat in beats))


def _text(beat: Beat) -> str:
    return beat.event.text if isinstance(beat.event, PartDelta) else ""


def _with_text(beat: Beat, text: str) -> Beat:
    if not isinstance(beat.event, PartDelta):
        return beat
    return beat._replace(event=PartDelta(index=beat.event.index, choice=beat.event.choice, text=text))


EVENT_FAULTS: dict[str, EventFault] = {
    "error-first": _error_first,
    "error-midstream": _error_midstream,
    "usage-missing": _usage_missing,
    "args-whole": _args_whole,
    "args-broken": _args_broken,
}
"""By name."""
