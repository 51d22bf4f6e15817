"""Brings an answer's events to the wire: a stream of frames, or one whole body, as numbered steps."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import NamedTuple

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


def deliver_stream(dialect: Dialect, order: Order, beats: Iterable[Beat]) -> Iterator[Sent]:
    """The head at once, then every frame in a write of its own."""
    encoder = dialect.stream_encoder(
        order.asked, response_id=order.response_id, model=order.asked.model, created=order.created
    )
    kind = (b"content-type", dialect.stream_content_type)
    yield Sent(0, SendHead(200, (kind, (b"cache-control", b"no-cache"), _request_id(order))))
    number = 0
    for number, seconds, event in beats:
        if seconds:
            yield Sent(number, Wait(seconds))
        for frame in encoder.encode([event]):
            yield Sent(number, SendBody(frame))
    yield Sent(number, EndBody())


def deliver_whole(dialect: Dialect, order: Order, beats: Iterable[Beat]) -> Iterator[Sent]:
    """Nothing while the answer is made, then all of it; an error instead of one that is too long to be kept."""
    gathered, length = Fold(), 0
    for _, seconds, event in beats:
        gathered.feed([event])
        length += len(event.text) if isinstance(event, PartDelta) else 0
        if length > MAX_WHOLE_CHARS:
            break
        # A step for each event, though most of them take no time: whoever plays a long answer can do other things.
        yield Sent(WHOLE, Wait(seconds))
    wire = _encode_whole(dialect, gathered.response(), too_long=length > MAX_WHOLE_CHARS)
    yield from (Sent(WHOLE, step) for step in whole_answer(wire, _request_id(order)))


def _encode_whole(dialect: Dialect, answer: Response, *, too_long: bool) -> WireAnswer:
    if too_long:
        message = f"The answer has more than {MAX_WHOLE_CHARS} characters: it must be streamed."
        return dialect.encode_error(InvalidRequest(message, param="stream"))
    if answer.error is not None:
        return dialect.encode_error(answer.error)
    return WireAnswer(200, ((b"content-type", b"application/json"),), dialect.encode_answer(answer))


def whole_answer(wire: WireAnswer, *more: tuple[bytes, bytes]) -> Iterator[Step]:
    """The steps of an answer that is already there."""
    yield SendHead(wire.status, (*wire.headers, *more))
    yield SendBody(wire.body)
    yield EndBody()


def _request_id(order: Order) -> tuple[bytes, bytes]:
    return b"x-request-id", order.response_id.encode()
