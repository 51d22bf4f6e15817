"""What is kept of a stream that may have to be gone on with, and how another attempt's beginning is made of it."""

from __future__ import annotations

from typing import NamedTuple

from thalweg.canon.errors import GatewayError, RequestError
from thalweg.canon.events import Event, PartStarted, ResponseFailed
from thalweg.canon.usage import Usage, UsageSource
from thalweg.dialects.base import Relayer, StreamEncoder, Watch
from thalweg.framing.sse import SseDecoder
from thalweg.relay.plan import Plan
from thalweg.relay.seam import Beginning, Seam, text_of, unended
from thalweg.relay.translator import Translator

MOST_BYTES = 4 * 1024 * 1024
"""Of a longer stream, as it came from the upstream after the text of the attempts before it, nothing is kept, and it
cannot be gone on with."""


class SoFar(NamedTuple):
    """What an exchange knows of an attempt that broke off."""

    usage: Usage
    """Also of those that it went on with."""
    usage_source: UsageSource
    error: GatewayError
    first_delivered_at: float | None
    said_at: float


class Memory:
    """The bytes of one attempt's stream, as they came. Lives as long as it may break off."""

    __slots__ = ("_pieces", "held_bytes")

    def __init__(self, begun_bytes: int) -> None:
        """`begun_bytes` are those of the text that the attempts before have come to."""
        self._pieces: list[bytes] | None = []
        self.held_bytes = begun_bytes

    def keep(self, data: bytes) -> None:
        """Keep one read."""
        if self._pieces is None:
            return
        self._pieces.append(data)
        self.held_bytes += len(data)
        if self.held_bytes > MOST_BYTES:
            self._pieces, self.held_bytes = None, 0

    def beginning(self, plan: Plan, relayer: Relayer, so_far: SoFar) -> Beginning | None:
        """What another attempt could go on with; `None` where it is no free text, or not known any more."""
        if self._pieces is None:
            return None
        before = plan.beginning
        try:
            asked, events = plan.canon(), _events(plan, self._pieces)
            text = text_of(events)
            if text is None or asked.sampling.n > 1 or asked.output.format != "text":
                return None
            text = text if before is None else before.text + text
            if not text.strip():
                return None
            if isinstance(relayer, Translator):
                encoder, adapter, listener = relayer.encoder, relayer.reader.adapter, relayer.reader.listener
            else:
                encoder, adapter, listener = _encoder(plan, relayer.watch, events), None, None
        except RequestError:
            return None  # this client's request can be passed to its own dialect alone
        advanced = before is None or relayer.watch.content_seen
        return Beginning(
            text=text,
            encoder=encoder,
            adapter=adapter,
            listener=listener,
            usage=so_far.usage,
            usage_source=so_far.usage_source,
            error=so_far.error if before is None or advanced else before.error,
            first_delivered_at=so_far.first_delivered_at,
            said_at=so_far.said_at,
        )


def memory_for(plan: Plan) -> Memory | None:
    """A memory for an attempt that could be gone on with."""
    if not plan.goes_on:
        return None
    return Memory(0 if plan.beginning is None else len(plan.beginning.text.encode()))


def seam_of(plan: Plan, beginning: Beginning) -> Seam:
    """The joint at which this attempt goes on."""
    assert plan.tries is not None
    return Seam(beginning, attempt=plan.tries.number, told=plan.told)


def _events(plan: Plan, pieces: list[bytes]) -> list[Event]:
    """What the attempt has come to, in the numbers that the client knows: also what was held back of it."""
    decoder, frames = plan.upstream.stream_decoder(), SseDecoder(max_frame_bytes=plan.bounds.frame_bytes)
    read = [event for data in pieces for event in decoder.feed(frames.feed(data))]
    events, _ = unended(read + decoder.end())
    if plan.beginning is None:
        return events
    return [PartStarted(index=0, kind="text"), *seam_of(plan, plan.beginning).join(events)]


def _encoder(plan: Plan, watch: Watch, events: list[Event]) -> StreamEncoder:
    """An encoder that has written what the upstream's own bytes have said, and can go on. Raises `RequestError`."""
    encoder = plan.dialect.stream_encoder(
        plan.canon(),
        response_id=watch.response_id or plan.answer_id,
        model=watch.model or plan.asked.model,
        created=watch.created or plan.created,
    )
    encoder.encode([event for event in events if not isinstance(event, ResponseFailed)])
    return encoder
