"""The way of an answer between two dialects: an upstream's frames become events, and the events the client's stream."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Protocol

import msgspec
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
from thalweg.dialects.base import (
    STRETCHED_CHARS,
    TEMPLATED_CHARS,
    StreamDecoder,
    StreamEncoder,
    Stretch,
    Template,
    Watch,
    count_chars,
    json_string,
)
from thalweg.framing.sse import Frame
from thalweg.relay.adapter import Adapter
from thalweg.relay.seam import Seam, unended

_encode = msgspec.json.Encoder().encode


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

    @property
    def grows(self) -> Callable[[bytes], str] | None:
        """The decoder's own short way, where its texts are the client's as they are; `grew` is to be told of them."""
        return self._decoder.grows if self._seam is None else None

    def stretch(self, template: Template) -> Stretch:
        """The frames that `grows` reads, written with this."""
        around = self._decoder.around()
        return Stretch(around, template, self._decoder if around is None else None)

    def took(self, texts: list[str], usage: bytes | None) -> None:
        """Take the texts of a stretch that the decoder has not read."""
        self._decoder.took(texts, usage)

    def grew(self, index: int, text: str) -> None:
        """Take texts by which a part has grown, joined; the watch has seen them."""
        if index == self._call:
            self.call_chars += len(text)
        if self.listener is not None:
            self.listener.grow(PartDelta(index=index, text=text))

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
    """A relayer between two dialects; see `dialects.base.Relayer`.

    Theory of operation. Most frames of a stream add a text to the part that the frame before has added to. Once one has
    gone through events, the next ones need none: what they become is known but for the text (`Template`). Reader and
    encoder are told of such texts later and of many at once, before anything else is asked of them (`_catch_up`).
    """

    __slots__ = (
        "_after",
        "_before",
        "_chars",
        "_encoder",
        "_grows",
        "_index",
        "_middle",
        "_number",
        "_reader",
        "_texts",
        "_unseen",
        "content_type",
        "watch",
    )

    def __init__(self, reader: Reader, encoder: StreamEncoder) -> None:
        self.watch = reader.watch
        self.content_type = encoder.content_type
        self._reader = reader
        self._encoder = encoder
        self._grows: Callable[[bytes], str] | None = None
        """Reads the text of a frame that a template is known for."""
        self._index = -1
        """The part that grows so."""
        self._before = self._after = self._middle = b""
        self._number = 0
        self._texts: list[str] = []
        """What reader and encoder are still to be told."""
        self._chars = 0
        """How much was written with the template."""
        self._unseen = False
        """Whether the decoder is still to be told of a stretch."""

    @property
    def reader(self) -> Reader:
        """What reads the upstream's stream, told of all that has come."""
        self._catch_up()
        return self._reader

    @property
    def encoder(self) -> StreamEncoder:
        """What writes the client's stream, told of all that was written."""
        self._catch_up()
        return self._encoder

    def pass_on(self, data: bytes) -> bytes | None:
        """The client's bytes for the common frame, by which a part grows."""
        grows = self._grows
        if grows is None:
            return self._pass_first(data)
        text = grows(data)
        if not text:
            return None
        # In one function: most chunks of most streams come here.
        chars = self._chars + len(text)
        if chars > TEMPLATED_CHARS:
            return self._pass_last(text)
        self._chars = chars
        self._texts.append(text)
        if text.isascii():
            string, watch = _encode(text), self.watch
            watch.deltas += 1
            watch.narrow_chars += len(text)
        else:
            self.watch.saw_text(text)
            string = json_string(text)
        if not self._middle:
            return self._before + string + self._after
        number = self._number
        self._number = number + 1
        return b"".join((self._before, b"%d" % number, self._middle, string, self._after))

    def _pass_first(self, data: bytes) -> bytes | None:
        """The same by way of the event; after that the template is known."""
        event = self._reader.grown(data) if self.encoder.error is None else None
        return None if event is None else self._grow(event)

    def _pass_last(self, text: str) -> bytes:
        """The same for a text with which the template's are too many. It is asked for anew."""
        self._step_out()
        self.watch.saw_text(text)
        self._reader.grew(self._index, text)
        return self._grow(PartDelta(index=self._index, text=text))

    def _grow(self, event: PartDelta) -> bytes:
        passed = self._encoder.grow(event)
        self._learn(event.index)
        return passed

    def _learn(self, index: int) -> None:
        """Ask for the template of the part that grows, and begin to count."""
        template = None if self._encoder.error is not None else self._encoder.template(index)
        if template is not None:
            self._grows, self._index, self._chars = self._reader.grows, index, 0
            self._before, self._after, self._middle, self._number = template

    def stretch(self) -> Stretch | None:
        """The frames of which nobody wants to be told one by one."""
        if self._grows is not None and not self._has_room:
            self._step_out()
            self._learn(self._index)
        if self._grows is None:
            return None
        stretch = self._reader.stretch(Template(self._before, self._after, self._middle, self._number))
        self._unseen = stretch.around is not None
        return stretch

    @property
    def _has_room(self) -> bool:
        """Whether as much may be written with the template as may be without a word."""
        return self._chars + STRETCHED_CHARS <= TEMPLATED_CHARS

    def took(self, texts: list[str], usage: bytes | None) -> bool:
        """Take what was written with a stretch's template."""
        if self._unseen:
            self._reader.took(texts, usage)
        narrow = wide = 0
        for text in texts:
            if text.isascii():
                narrow += len(text)
            else:
                more_narrow, more_wide = count_chars(text)
                narrow, wide = narrow + more_narrow, wide + more_wide
        self.watch.add(len(texts), narrow, wide)
        self._chars += narrow + wide
        self._texts += texts
        self._number += len(texts)
        # What is around may have been learnt meanwhile, where it was not known.
        return self._unseen and self._has_room

    def _catch_up(self) -> None:
        """Tell reader and encoder of what was written with the template."""
        if self._texts:
            text, frames = "".join(self._texts), len(self._texts)
            self._texts.clear()
            self._reader.grew(self._index, text)
            self._encoder.templated(text, frames)

    def _step_out(self) -> None:
        """The same, and something else happens."""
        self._catch_up()
        self._grows = None

    def feed(self, frames: Iterable[Frame]) -> list[bytes]:
        """The client's frames for an upstream's."""
        out: list[bytes] = []
        for frame in frames:
            passed = self.pass_on(frame.raw)
            if passed is None:
                self._step_out()
                out += self._written(self._reader.opened(frame))
            elif passed:
                out.append(passed)
        return out

    def end(self) -> list[bytes]:
        """What is still to be sent when the body has ended."""
        self._step_out()
        return self._written(self._reader.end())

    def take(self, events: list[Event]) -> list[bytes]:
        """The client's frames for a whole answer's events."""
        self._step_out()
        return self._written(self._reader.take(events))

    @property
    def held_bytes(self) -> int:
        """About how much of the answer is kept here: to be said again, or until a call is whole."""
        return self.encoder.held_chars + self._reader.call_chars

    def settle(self) -> None:
        """Nothing more comes: read the usage that the short way has put off."""
        self._step_out()
        self._reader.settle()

    def keepalive(self) -> bytes:
        """What breaks a silence."""
        self._step_out()
        return self._encoder.keepalive()

    def fail(self, error: GatewayError) -> bytes:
        """The end of a stream that will not be whole."""
        self._step_out()
        ends = self._encoder.encode(self._reader.ends()) if self._encoder.error is None else []
        return b"".join([*ends, *self._encoder.encode([ResponseFailed(error=error)])])

    def _written(self, events: list[Event]) -> list[bytes]:
        if events and isinstance(events[-1], ResponseFailed):
            # The relay says it, in its own time.
            events = events[:-1]
        frames = self._encoder.encode(events)
        if self._encoder.error is not None and self.watch.error is None:
            self.watch.error, self.watch.done, self.watch.complete = self._encoder.error, False, False
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
