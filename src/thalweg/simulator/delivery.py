"""Brings an answer's events to the wire: a stream of frames, or one whole body, as numbered steps."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import msgspec

from thalweg.canon.errors import InvalidRequest
from thalweg.canon.events import PartDelta
from thalweg.canon.fold import Fold
from thalweg.canon.response import Response
from thalweg.canon.script import EndBody, SendBody, SendHead, Step, Wait
from thalweg.dialects.base import Dialect, WireAnswer
from thalweg.simulator.performance import Beat, Order

Headers = tuple[tuple[bytes, bytes], ...]

WHOLE = sys.maxsize
"""The number of every step of an answer that does not stream: each delta is in it, so a fault anywhere hits it."""


MAX_WHOLE_CHARS = 4 * 1024 * 1024
"""The longest text that is kept for an answer that does not stream."""


class Sent(NamedTuple):
    """One step and the number of the delta it brings; 0 before the first."""

    number: int
    step: Step


class Style(msgspec.Struct, frozen=True, kw_only=True):
    """What an answer has around its content."""

    headers: Headers
    """Beside the content's type."""
    answer_type: bytes = b"application/json"
    opening: bytes = b""
    """What comes before the first frame of a stream."""
    keepalive: bytes = b""
    """What breaks a silence in a stream; nothing does where it is empty."""
    whole_keepalive: bytes = b""
    """What comes in each silence before a whole answer, whose head is then sent early."""
    keepalive_s: float = 0.0
    """How long a silence is before it is broken."""


def plain_style(order: Order) -> Style:
    """An answer that says its id, and nothing while it is silent."""
    name = order.response_id
    return Style(headers=((b"x-request-id", name.encode()), *order.vendor.headers(name)))


def deliver_stream(dialect: Dialect, order: Order, beats: Iterable[Beat], style: Style) -> Iterator[Sent]:
    """The head at once, then every frame in a write of its own."""
    encoder = dialect.stream_encoder(
        order.asked, response_id=order.response_id, model=order.asked.model, created=order.created
    )
    kind = (b"content-type", encoder.content_type)
    yield Sent(0, SendHead(200, (kind, (b"cache-control", b"no-cache"), *style.headers)))
    if style.opening:
        yield Sent(0, SendBody(style.opening))
    number = 0
    for number, seconds, event in beats:
        if style.keepalive and seconds > style.keepalive_s:
            # They belong to no delta, so that no fault is placed at one.
            yield from (Sent(max(number - 1, 0), step) for step in _kept_alive(seconds, style))
        elif seconds:
            yield Sent(number, Wait(seconds))
        for frame in encoder.encode([event]):
            yield Sent(number, SendBody(frame))
    yield Sent(number, EndBody())


def _kept_alive(seconds: float, style: Style) -> Iterator[Step]:
    """A wait with something in each of its silences."""
    while seconds > style.keepalive_s:
        yield Wait(style.keepalive_s)
        yield SendBody(style.keepalive)
        seconds -= style.keepalive_s
    yield Wait(seconds)


def deliver_whole(dialect: Dialect, order: Order, beats: Iterable[Beat], style: Style) -> Iterator[Sent]:
    """Nothing while the answer is made, then all of it; an error instead of one that is too long to be kept."""
    gathered, length, silent_s, begun = Fold(), 0, 0.0, False
    kind = (b"content-type", style.answer_type)
    for _, seconds, event in beats:
        gathered.feed([event])
        length += len(event.text) if isinstance(event, PartDelta) else 0
        if length > MAX_WHOLE_CHARS:
            break
        # A step for each event, though most of them take no time: whoever plays a long answer can do other things.
        yield Sent(WHOLE, Wait(seconds))
        silent_s += seconds
        if style.whole_keepalive and silent_s > style.keepalive_s:
            if not begun:
                yield Sent(WHOLE, SendHead(200, (kind, *style.headers)))
            yield Sent(WHOLE, SendBody(style.whole_keepalive))
            silent_s, begun = 0.0, True
    wire = _encode_whole(dialect, order, gathered.response(), kind, too_long=length > MAX_WHOLE_CHARS)
    steps = whole_answer(wire, *style.headers)
    yield from (Sent(WHOLE, step) for step in steps if not (begun and isinstance(step, SendHead)))


def _encode_whole(
    dialect: Dialect, order: Order, answer: Response, kind: tuple[bytes, bytes], *, too_long: bool
) -> WireAnswer:
    if too_long:
        message = f"The answer has more than {MAX_WHOLE_CHARS} characters: it must be streamed."
        return dialect.encode_error(InvalidRequest(message, param="stream"))
    if answer.error is not None:
        return dialect.encode_error(answer.error)
    return WireAnswer(200, (kind,), dialect.encode_answer(answer, order.asked))


def whole_answer(wire: WireAnswer, *more: tuple[bytes, bytes]) -> Iterator[Step]:
    """The steps of an answer that is already there."""
    yield SendHead(wire.status, (*wire.headers, *more))
    yield SendBody(wire.body)
    yield EndBody()
