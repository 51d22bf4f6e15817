"""All faults, and the order in which those of one answer are applied: events, frames, connection."""

from __future__ import annotations

from collections.abc import Iterator

from thalweg.canon.script import Step
from thalweg.dialects.base import Dialect
from thalweg.simulator.delivery import Sent
from thalweg.simulator.faults.connection import CONNECTION_FAULTS
from thalweg.simulator.faults.events import EVENT_FAULTS
from thalweg.simulator.faults.frames import FRAME_FAULTS
from thalweg.simulator.faults.instead import INSTEAD
from thalweg.simulator.performance import Beat, Order

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


def in_events(order: Order, beats: Iterator[Beat]) -> Iterator[Beat]:
    """The answer's events with its faults in them."""
    for name in order.knobs.fault:
        if name in EVENT_FAULTS:
            beats = EVENT_FAULTS[name](beats, order.knobs.at)
    return beats


def in_frames(dialect: Dialect, order: Order, sent: Iterator[Sent]) -> Iterator[Sent]:
    """A stream's steps with the faults of its frames in them."""
    for name in order.knobs.fault:
        if name in FRAME_FAULTS:
            sent = FRAME_FAULTS[name](sent, dialect, order)
    return sent


def on_connection(order: Order, sent: Iterator[Sent]) -> Iterator[Step]:
    """The steps with the faults of the connection in them; the numbers have done their service."""
    for name in order.knobs.fault:
        if name in CONNECTION_FAULTS:
            sent = CONNECTION_FAULTS[name](sent, order.knobs.at)
    return (each.step for each in sent)
