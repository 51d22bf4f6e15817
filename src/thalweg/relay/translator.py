"""The way of an answer between two dialects: an upstream's frames become events, and the events the client's stream."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Protocol

from msgspec.structs import replace

from thalweg.canon.errors import GatewayError
from thalweg.canon.events import (
    ChoiceFinished,
    Event,
    PartDelta,
    PartEnded,
    PartStarted,
    ResponseEnded,
    ResponseFailed,
    ResponseStarted,
    UsageReported,
)
from thalweg.canon.usage import Usage, estimate_tokens
from thalweg.dialects.base import StreamDecoder, StreamEncoder, Watch
from thalweg.framing.sse import Frame
from thalweg.relay.adapter import Adapter
from thalweg.relay.seam import Seam, unended


class Listener(Protocol):
    """Hears the events that the client reads, as they come."""

    def hear(self, events: list[Event]) -> None:
        """Some events."""

    def grow(self, event: PartDelta) -> None:
        """One event by which a part grows: what `hear` does, for the many."""


class Reader:
    """Reads an upstream's frames into the events that the client reads, and watches. One per answer."""

    __slots__ = (
        "_call",
        "_decoder",
        "_ends",
        "_grown",
        "_holds",
        "_leaves_open",
        "_prompt_chars",
        "_seam",
        "adapter",
        "call_chars",
        "listener",
        "watch",
    )

    def __init__(
        self,
        decoder: StreamDecoder,
        adapter: Adapter | None = None,
        listener: Listener | None = None,
        prompt_chars: Callable[[], tuple[int, int]] | None = None,
        seam: Seam | None = None,
        *,
        leaves_open: bool = False,
    ) -> None:
        """`prompt_chars` are those of the client's request, for a guess at usage that the upstream never told. With a
        `seam` this goes on with what another has begun; with `leaves_open` another may go on with this.
        """
        self.watch = Watch()
        self.watch.finishes = decoder.finishes
        self._decoder = decoder
        self.adapter = adapter
        self.listener = listener
        self._prompt_chars = prompt_chars
        self._seam = seam
        self._leaves_open = leaves_open
        self._ends: list[Event] = []
        """Of parts that were open when the stream failed."""
        self._grown = decoder.grown if seam is None else seam.growing(decoder.grown)
        self._call = -1
        """The call that is open."""
        self.call_chars = 0
        """How long its arguments are so far: some clients get a call when it is whole."""
        self._holds = adapter is not None and adapter.holds
        """Whether the adapter may have to hold or change a delta."""

    def grown(self, data: bytes) -> PartDelta | None:
        """The short way of the common frame; see `StreamDecoder.grown`."""
        if self._holds:
            return None
        event = self._grown(data)
        if event is not None:
            self.watch.saw_text(event.text)
            if event.index == self._call:
                self.call_chars += len(event.text)
            if self.listener is not None:
                self.listener.grow(event)
        return event

    def opened(self, frame: Frame) -> list[Event]:
        """The events in a frame that does not take the short way."""
        return self._taken(self._decoder.feed((frame,)))

    def feed(self, frames: Iterable[Frame]) -> list[Event]:
        """The events in these frames."""
        events: list[Event] = []
        for frame in frames:
            event = self.grown(frame.raw)
            if event is not None:
                events.append(event)
            else:
                events += self.opened(frame)
        return events

    def settle(self) -> None:
        """The stream is cut off: take what was put off into the watch."""
        if events := self._decoder.settle():
            self._taken(events)

    def end(self) -> list[Event]:
        """The body has ended as its framing says."""
        return self._taken(self._decoder.end())

    def take(self, events: list[Event]) -> list[Event]:
        """Events that come from elsewhere, such as a whole answer's."""
        return self._taken(events)

    def _measure(self, events: list[Event]) -> None:
        """How long the open call is. Asked before the adapter, which may hold its text back."""
        for event in events:
            if isinstance(event, PartDelta):
                if event.index == self._call:
                    self.call_chars += len(event.text)
            elif isinstance(event, PartStarted):
                self._call, self.call_chars = (event.index if event.kind == "tool_call" else -1), 0
            elif isinstance(event, PartEnded):
                self._call, self.call_chars = -1, 0

    def ends(self) -> list[Event]:
        """The ends that a failure brought, where they were left open and nobody goes on."""
        ends, self._ends, self._leaves_open = self._ends, [], False
        return self._taken(ends) if ends else []

    def _taken(self, events: list[Event]) -> list[Event]:
        if self._leaves_open:
            events, ends = unended(events)
            self._ends = ends or self._ends
        if self._seam is not None:
            events = self._seam.join(events)
        self._measure(events)
        adapter = self.adapter
        if adapter is not None:
            events = adapter.adapt(events)
            self.watch.cut, self._holds = adapter.cut, adapter.holds
        for event in events:
            step = _WATCHES.get(type(event))
            if step is not None:
                step(self.watch, event)
        if self.listener is not None:
            self.listener.hear(events)
        if events and type(events[-1]) is ResponseEnded and (self.watch.cut or self.watch.usage is None):
            events = self._with_guess(events)
        return events if self._seam is None else self._seam.summed(events)

    def _with_guess(self, events: list[Event]) -> list[Event]:
        """The end of an answer whose usage nobody has told, or not of all of it, with a guess at it. The watch, which
        knows what was told, is not shown it.
        """
        watch, chars = self.watch, self._prompt_chars
        if chars is None or not watch.deltas:
            return events
        told = watch.usage
        if told is None:
            made = estimate_tokens(watch.narrow_chars, watch.wide_chars)
            told = Usage(input_tokens=estimate_tokens(*chars()), output_tokens=max(made, 1))
        else:
            told = replace(told, output_tokens=(told.output_tokens or 0) + estimate_tokens(*watch.uncovered))
        ends = (at for at, event in enumerate(events) if type(event) is ChoiceFinished)
        at = next(ends, len(events) - 1)
        return [*events[:at], UsageReported(usage=told), *events[at:]]


class Translator:
    """A relayer between two dialects; see `dialects.base.Relayer`."""

    __slots__ = (
        "content_type",
        "encoder",
        "reader",
        "watch",
    )

    def __init__(self, reader: Reader, encoder: StreamEncoder) -> None:
        self.watch = reader.watch
        self.content_type = encoder.content_type
        self.reader = reader
        self.encoder = encoder

    def pass_on(self, data: bytes) -> bytes | None:
        """The client's bytes for the common frame, by which a part grows."""
        encoder = self.encoder
        event = self.reader.grown(data) if encoder.error is None else None
        return None if event is None else encoder.grow(event)

    def feed(self, frames: Iterable[Frame]) -> list[bytes]:
        """The client's frames for an upstream's."""
        out: list[bytes] = []
        for frame in frames:
            passed = self.pass_on(frame.raw)
            if passed is None:
                out += self._written(self.reader.opened(frame))
            elif passed:
                out.append(passed)
        return out

    def end(self) -> list[bytes]:
        """What is still to be sent when the body has ended."""
        return self._written(self.reader.end())

    def take(self, events: list[Event]) -> list[bytes]:
        """The client's frames for a whole answer's events."""
        return self._written(self.reader.take(events))

    @property
    def held_bytes(self) -> int:
        """About how much of the answer is kept here: to be said again, or until a call is whole."""
        return self.encoder.held_chars + self.reader.call_chars

    def settle(self) -> None:
        """Nothing more comes: read the usage that the short way has put off."""
        self.reader.settle()

    def keepalive(self) -> bytes:
        """What breaks a silence."""
        return self.encoder.keepalive()

    def fail(self, error: GatewayError) -> bytes:
        """The end of a stream that will not be whole."""
        ends = self.encoder.encode(self.reader.ends()) if self.encoder.error is None else []
        return b"".join([*ends, *self.encoder.encode([ResponseFailed(error=error)])])

    def _written(self, events: list[Event]) -> list[bytes]:
        if events and isinstance(events[-1], ResponseFailed):
            # The relay says it, in its own time.
            events = events[:-1]
        frames = self.encoder.encode(events)
        if self.encoder.error is not None and self.watch.error is None:
            self.watch.error, self.watch.done, self.watch.complete = self.encoder.error, False, False
        return frames


def _on_started(watch: Watch, event: ResponseStarted) -> None:
    watch.response_id, watch.model, watch.created = event.response_id, event.model, event.created


def _on_part_started(watch: Watch, event: PartStarted) -> None:
    watch.choices.add(event.choice)
    if event.kind in ("tool_call", "media", "opaque"):
        watch.saw_text("")


def _on_delta(watch: Watch, event: PartDelta) -> None:
    watch.saw_text(event.text)


def _on_usage(watch: Watch, event: UsageReported) -> None:
    watch.saw_usage(event.usage, event.raw)


def _on_finished(watch: Watch, event: ChoiceFinished) -> None:
    watch.choices.add(event.choice)
    watch.finishes.setdefault(event.choice, event.raw_reason or event.reason.value)
    watch.content_seen = True


def _on_ended(watch: Watch, _: ResponseEnded) -> None:
    watch.done = watch.complete = True


def _on_failed(watch: Watch, event: ResponseFailed) -> None:
    watch.error = event.error


_WATCHES: dict[type, Callable[[Watch, Any], None]] = {
    ResponseStarted: _on_started,
    PartStarted: _on_part_started,
    PartDelta: _on_delta,
    UsageReported: _on_usage,
    ChoiceFinished: _on_finished,
    ResponseEnded: _on_ended,
    ResponseFailed: _on_failed,
}
