"""Bodies of any dialect, read and rewritten. Bytes in, events or bytes out: no socket, no clock.

A body is a stream of server-sent events, one JSON text, or Gemini's array of answers; its first byte tells which.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple, Protocol

from msgspec.structs import replace

from thalweg.canon.errors import GatewayError, UpstreamError
from thalweg.canon.events import Event, PartDelta, PartEnded, PartStarted, ResponseFailed, ResponseStarted
from thalweg.canon.fold import Fold, fold, unfold
from thalweg.canon.request import ReasoningAsk, Request
from thalweg.canon.response import Response
from thalweg.dialects.base import Dialect, StreamDecoder, StreamEncoder, UpstreamBody
from thalweg.dialects.gemini.array import ArrayDecoder
from thalweg.dialects.registry import DIALECTS
from thalweg.framing.sse import Frame, SseDecoder
from thalweg.profiles.providers import COMPATIBLE
from thalweg.relay.adapter import Adapter

_BOM = b"\xef\xbb\xbf"
_ARRAYS = "gemini"
"""The dialect that has streams without events."""
_ONE_CHOICE = frozenset({"openai-responses", "anthropic"})
"""Dialects whose answers have no choices."""


class Framing(Protocol):
    """Cuts a body into frames."""

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that these bytes complete."""

    def end(self) -> list[Frame]:
        """What is left."""


def dialect(name: str) -> Dialect:
    """A dialect by its name. Raises `ValueError` that says which there are."""
    try:
        return DIALECTS[name]
    except KeyError:
        raise ValueError(f"there is no dialect {name!r}; there are {', '.join(DIALECTS)}") from None


class BodyReader:
    """Reads one body into events, as it comes. Lives as long as the body."""

    def __init__(self, source: Dialect, *, provider: str = "") -> None:
        self.whole = False
        """Whether the body is one JSON text; known once something but white space has come."""
        self.answer: Response | None = None
        """What a whole body says, once it has ended."""
        self._source = source
        self._provider = provider
        self._start: list[bytes] = []
        self._kept: list[bytes] = []
        self._framing: Framing | None = None
        self._decoder: StreamDecoder | None = None

    def feed(self, data: bytes) -> list[Event]:
        """The events in these bytes."""
        if self.whole:
            self._kept.append(data)
            return []
        if self._framing is None or self._decoder is None:
            data = b"".join([*self._start, data])
            first = data.removeprefix(_BOM).lstrip()[:1]
            if not first:
                self._start = [data]
                return []
            self._begin(first)
            return self.feed(data)
        return self._decoder.feed(self._framing.feed(data))

    def end(self) -> list[Event]:
        """The last events. The last one is `ResponseEnded` or `ResponseFailed`."""
        if self.whole:
            self.answer = self._read_whole()
            failed = ResponseFailed(error=self.answer.error) if self.answer.error else None
            return [failed] if failed and not self.answer.choices else unfold(self.answer)
        if self._framing is None or self._decoder is None:
            self._begin(b"")
            return self.end()
        return [*self._decoder.feed(self._framing.end()), *self._decoder.end()]

    def _begin(self, first: bytes) -> None:
        arrays = self._source.name == _ARRAYS
        self.whole = first == b"{" or (first == b"[" and not arrays)
        self._framing = ArrayDecoder() if first == b"[" else SseDecoder()
        self._decoder = self._source.stream_decoder(profile=COMPATIBLE, provider=self._provider)

    def _read_whole(self) -> Response:
        body = b"".join(self._kept).removeprefix(_BOM)
        try:
            return self._source.decode_answer(body, profile=COMPATIBLE, provider=self._provider)
        except UpstreamError as error:
            return Response(response_id="", model="", created=None, choices=(), usage=None, error=error)


def decode(body: bytes, source: str | Dialect) -> Response:
    """The answer in a body. What broke it off is in its `error`: nothing is raised for what a body holds."""
    reader = BodyReader(_named(source))
    events = [*reader.feed(body), *reader.end()]
    return fold(events) if reader.answer is None else reader.answer


def events(body: bytes, source: str | Dialect) -> list[Event]:
    """The events in a body; of a whole answer, those that make it."""
    reader = BodyReader(_named(source))
    return [*reader.feed(body), *reader.end()]


class Transcoded(NamedTuple):
    """A body in another dialect."""

    body: bytes
    error: GatewayError | None
    """Why the answer is not whole; `None` where it is."""


def transcode(body: bytes, source: str | Dialect, target: str | Dialect, *, stream: bool | None = None) -> Transcoded:
    """A body of one dialect in another. `stream`: whether it shall be a stream; as it came where that is `None`.

    Of a body that is broken, what could be read is written, and then the error as the other dialect has it.
    """
    transcoder = Transcoder(source, target, stream=stream)
    return Transcoded(transcoder.feed(body) + transcoder.end(), transcoder.error)


class Transcoder:
    """Rewrites one body as it comes. Lives as long as the body."""

    def __init__(self, source: str | Dialect, target: str | Dialect, *, stream: bool | None = None) -> None:
        self._source, self._target = _named(source), _named(target)
        self._body = BodyReader(self._source)
        # Ids of calls get the form that a client of the gateway would read: one that fits everywhere.
        self._adapter = Adapter(UpstreamBody(body=b""))
        self._stream = stream
        self._first = _FirstChoice() if self._target.name in _ONE_CHOICE else None
        self._fold = Fold()
        self._encoder: StreamEncoder | None = None
        self.error: GatewayError | None = None
        """Why the answer is not whole; `None` while nothing is wrong."""

    def feed(self, data: bytes) -> bytes:
        """What these bytes become; nothing where a whole answer is to be written."""
        return self._written(self._body.feed(data))

    def end(self) -> bytes:
        """The rest."""
        out = self._written(self._body.end())
        return out if self.streams else self._whole()

    @property
    def streams(self) -> bool:
        """Whether a stream is written; settled once the body has begun."""
        return not self._body.whole if self._stream is None else self._stream

    def _written(self, found: list[Event]) -> bytes:
        out: list[bytes] = []
        events = self._adapter.adapt(found)
        for event in events if self._first is None else self._first.of(events):
            if isinstance(event, ResponseFailed):
                self.error = _without_words(event.error)
            self._fold.feed([event])
            if self.streams:
                encoder = self._encoder_for(event)
                out += encoder.encode([event])
                if encoder.error is not None and self.error is None:
                    self.error = encoder.error
                    out += encoder.encode([ResponseFailed(error=encoder.error)])
        return b"".join(out)

    def _encoder_for(self, event: Event) -> StreamEncoder:
        """The encoder, made of the first event, which names the answer unless it failed before it had a name."""
        if self._encoder is None:
            started = event if isinstance(event, ResponseStarted) else ResponseStarted(response_id="", model="")
            self._encoder = self._target.stream_encoder(
                self._asked(started.model),
                response_id=self._renamed(started.response_id),
                model=started.model,
                created=started.created or 0,
            )
        return self._encoder

    def _whole(self) -> bytes:
        if self.error is not None:
            return self._target.encode_error(self.error).body
        answer = self._fold.response()
        logprobs = {choice.index: choice.logprobs for choice in (self._body.answer or answer).choices}
        answer = replace(
            answer,
            response_id=self._renamed(answer.response_id),
            created=answer.created or 0,
            choices=tuple(replace(choice, logprobs=logprobs.get(choice.index)) for choice in answer.choices),
        )
        return self._target.encode_answer(answer, self._asked(answer.model))

    def _renamed(self, response_id: str) -> str:
        """The answer's name, beginning as names do in the other dialect."""
        return self._target.id_prefix + (response_id.removeprefix(self._source.id_prefix) or "0")

    def _asked(self, model: str) -> Request:
        """What a client would have asked: for everything that there is to be shown."""
        return Request(model=model, messages=(), stream=self.streams, reasoning=ReasoningAsk(mode="auto", show="auto"))


class _FirstChoice:
    """Leaves of an answer's events those of its first choice, and numbers their parts anew."""

    def __init__(self) -> None:
        self._index: dict[int, int] = {}

    def of(self, events: Iterable[Event]) -> Iterator[Event]:
        """The events that stay."""
        for event in events:
            if getattr(event, "choice", 0) != 0:
                continue
            if isinstance(event, PartStarted):
                self._index[event.index] = len(self._index)
            if isinstance(event, PartStarted | PartDelta | PartEnded):
                yield replace(event, index=self._index[event.index])
            else:
                yield event


def _without_words(error: GatewayError) -> GatewayError:
    """The error without the other vendor's words, which would mean something else, or nothing."""
    if isinstance(error, UpstreamError):
        error.provider_type = error.code = error.param = None
    return error


def _named(source: str | Dialect) -> Dialect:
    return dialect(source) if isinstance(source, str) else source
