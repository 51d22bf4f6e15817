"""All faults, and the order in which those of one answer are applied: events, frames, connection."""

from __future__ import annotations

from collections.abc import Iterator

from thalweg.canon.script import Step
from thalweg.dialects.base import Dialect
from thalweg.simulator.delivery import Sent
from thalweg.simulator.faults.connection import CONNECTION_FAULTS
from thalweg.simulator.faults.elsewhere import EVENTS_ELSEWHERE, FRAMES_ELSEWHERE, WHOLE_ELSEWHERE, check
from thalweg.simulator.faults.events import EVENT_FAULTS
from thalweg.simulator.faults.frames import FRAME_FAULTS
from thalweg.simulator.faults.instead import INSTEAD
from thalweg.simulator.performance import Beat, Order

__all__ = ["FAULTS", "check", "in_events", "in_frames", "in_whole", "instead", "on_connection"]

FAULTS: dict[str, str] = {
    name: (fault.__doc__ or "").partition("\n")[0]
    for table in (INSTEAD, EVENT_FAULTS, FRAME_FAULTS, CONNECTION_FAULTS)
    for name, fault in table.items()
}
"""Every fault's name and what it does."""


def instead(dialect: Dialect, order: Order) -> Iterator[Step] | None:
    """What happens instead of an answer; `None` where no fault asks for that."""
    name = next((name for name in order.knobs.fault if name in INSTEAD), None)
    return None if name is None else INSTEAD[name](dialect, order.knobs)


def in_events(dialect: str, order: Order, beats: Iterator[Beat]) -> Iterator[Beat]:
    """The answer's events with its faults in them."""
    for name in order.knobs.fault:
        fault = EVENTS_ELSEWHERE.get((name, dialect)) or EVENT_FAULTS.get(name)
        beats = fault(beats, order.knobs.at) if fault is not None else beats
    return beats


def in_frames(dialect: Dialect, order: Order, sent: Iterator[Sent]) -> Iterator[Sent]:
    """A stream's steps with the faults of its frames in them."""
    for name in order.knobs.fault:
        if (name, dialect.name) in EVENTS_ELSEWHERE:
            continue
        fault = FRAMES_ELSEWHERE.get((name, dialect.name)) or FRAME_FAULTS.get(name)
        sent = fault(sent, dialect, order) if fault is not None else sent
    return sent


def in_whole(dialect: Dialect, order: Order, sent: Iterator[Sent]) -> Iterator[Sent]:
    """A whole answer's steps with the faults of its body in them."""
    for name in order.knobs.fault:
        fault = WHOLE_ELSEWHERE.get((name, dialect.name))
        sent = fault(sent, dialect, order) if fault is not None else sent
    return sent


def on_connection(order: Order, sent: Iterator[Sent]) -> Iterator[Step]:
    """The steps with the faults of the connection in them; the numbers have done their service."""
    for name in order.knobs.fault:
        if name in CONNECTION_FAULTS:
            sent = CONNECTION_FAULTS[name](sent, order.knobs.at)
    return (each.step for each in sent)
