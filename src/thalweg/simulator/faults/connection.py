"""Faults in how bytes travel: a connection that ends or falls silent too early, and writes of awkward sizes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise

from thalweg.canon.script import BreakOff, EndBody, SendBody, Stall, Step
from thalweg.simulator.delivery import Sent

ConnectionFault = Callable[[Iterator[Sent], int], Iterator[Sent]]

_WIDE = re.compile(rb"[\xc2-\xf4]")
"""The first byte of a character of several."""


def _reset(sent: Iterator[Sent], at: int) -> Iterator[Sent]:
    """The connection is reset in the middle of the frame of delta `at`."""
    return _end_with((BreakOff(reset=True),), sent, at, half=True)


def _fin(sent: Iterator[Sent], at: int) -> Iterator[Sent]:
    """The connection is closed in the middle of the frame of delta `at`, and the body is cut."""
    return _end_with((BreakOff(reset=False),), sent, at, half=True)


def _eof(sent: Iterator[Sent], at: int) -> Iterator[Sent]:
    """The body ends cleanly in the place of delta `at`, without a terminal event."""
    return _end_with((EndBody(),), sent, at, half=False)


def _stall(sent: Iterator[Sent], at: int) -> Iterator[Sent]:
    """Nothing more comes in the place of delta `at`, and the connection stays open."""
    return _end_with((Stall(),), sent, at, half=False)


def _end_with(last: tuple[Step, ...], sent: Iterator[Sent], at: int, *, half: bool) -> Iterator[Sent]:
    for number, step in sent:
        if number >= at and isinstance(step, SendBody):
            if half:
                yield Sent(number, SendBody(step.data[: len(step.data) // 2]))
            yield from (Sent(number, each) for each in last)
            return
        yield Sent(number, step)


def _trickle(sent: Iterator[Sent], _: int) -> Iterator[Sent]:
    """Every byte is written alone."""
    return _split(sent, lambda data: range(1, len(data)))


def _cut_utf8(sent: Iterator[Sent], _: int) -> Iterator[Sent]:
    """Every frame with a character outside ASCII is written in two, cut inside the first such character."""
    return _split(sent, _inside_first_wide)


def _inside_first_wide(data: bytes) -> Iterable[int]:
    found = _WIDE.search(data)
    return (found.end(),) if found else ()


def _split(sent: Iterator[Sent], cuts: Callable[[bytes], Iterable[int]]) -> Iterator[Sent]:
    """Each body in several writes, with a cut before each of these offsets."""
    for number, step in sent:
        if not isinstance(step, SendBody):
            yield Sent(number, step)
            continue
        edges = [0, *cuts(step.data), len(step.data)]
        yield from (Sent(number, SendBody(step.data[a:b])) for a, b in pairwise(edges))


CONNECTION_FAULTS: dict[str, ConnectionFault] = {
    "reset": _reset,
    "eof": _eof,
    "fin": _fin,
    "stall": _stall,
    "trickle": _trickle,
    "cut-utf8": _cut_utf8,
}
"""By name."""
