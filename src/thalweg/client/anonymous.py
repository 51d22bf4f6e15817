"""A body with nobody's words in it: the same events, each of its size, at the same places. Bytes in, bytes out.

It is read into events and written anew, in its own dialect, so that nothing passes that is not understood: what only
the provider knows is gone, and so are names, ids and proofs. Kinds, lengths, order, finish and usage stay.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from msgspec.structs import replace

from thalweg.canon.errors import GatewayError, UpstreamError, UpstreamRefused
from thalweg.canon.events import (
    ChoiceFinished,
    Event,
    PartDelta,
    PartEnded,
    PartStarted,
    Pinged,
    ResponseEnded,
    ResponseFailed,
    ResponseStarted,
    UsageReported,
)
from thalweg.canon.fold import Fold
from thalweg.canon.parts import Signature
from thalweg.canon.request import ReasoningAsk, Request
from thalweg.client.codecs import BodyReader, dialect
from thalweg.dialects.base import StreamEncoder, WireAnswer

_LEFT_OUT = frozenset({"opaque"})
"""Parts that are whatever their provider makes of them."""
_MESSAGE = "What the provider said is left out."


class Words(NamedTuple):
    """What is said instead: one text of ASCII characters, one of others. Both are begun again at their ends."""

    plain: str
    wide: str


class Anonymiser:
    """Rewrites one body as it comes. Lives as long as the body."""

    def __init__(self, source: str, words: Words) -> None:
        self._dialect = dialect(source)
        self._body = BodyReader(self._dialect)
        self._masks = _Masks(words)
        self._encoder: StreamEncoder | None = None
        self._fold = Fold()

    def feed(self, data: bytes) -> bytes:
        """What these bytes become; nothing where they complete no frame."""
        return self._written(self._body.feed(data))

    def end(self) -> bytes:
        """The rest. A body that was cut stays cut: its end is not made up."""
        events = self._body.end()
        if not self._body.whole:
            return self._written(event for event in events if not isinstance(event, ResponseFailed))
        if events and isinstance(events[-1], ResponseFailed):
            return self._dialect.encode_error(_without_words(events[-1].error)).body
        self._fold.feed(self._masks.of(events))
        answer = self._fold.response()
        return self._dialect.encode_answer(replace(answer, created=answer.created or 0), _asked(answer.model))

    def _written(self, events: Iterable[Event]) -> bytes:
        out: list[bytes] = []
        for event in self._masks.of(events):
            if self._encoder is None:
                self._encoder = self._new_encoder(event)
            out += self._encoder.encode([event])
        return b"".join(out)

    def _new_encoder(self, event: Event) -> StreamEncoder:
        """The encoder, made of the first event, which names the answer unless it failed before it had a name."""
        started = event if isinstance(event, ResponseStarted) else ResponseStarted(response_id="", model="")
        return self._dialect.stream_encoder(
            _asked(started.model),
            response_id=self._dialect.id_prefix + "0" * 24,
            model=started.model,
            created=started.created or 0,
        )


def refusal(source: str, status: int, headers: Iterable[tuple[bytes, bytes]], body: bytes) -> WireAnswer:
    """A refusal without its words: of the same kind, with the status that the dialect has for that."""
    found = dialect(source).decode_error(status, headers, body, provider="", key_name="a key")
    return dialect(source).encode_error(_without_words(found))


def _without_words(error: GatewayError) -> GatewayError:
    error.message = _MESSAGE
    error.args = (_MESSAGE,)
    if not isinstance(error, UpstreamRefused):
        error.param = None
    if isinstance(error, UpstreamError):
        error.provider = None
    return error


def _asked(model: str) -> Request:
    """What a client would have asked: for everything that there is to be shown."""
    return Request(model=model, messages=(), stream=True, reasoning=ReasoningAsk(mode="auto", show="auto"))


class _Masks:
    """Changes events one by one. Keeps what the parts of one answer need to stay consistent."""

    def __init__(self, words: Words) -> None:
        self._plain = itertools.cycle(words.plain)
        self._wide = itertools.cycle(words.wide)
        self._names: dict[str, str] = {}
        self._ids: dict[str, str] = {}
        self._parts: dict[int, Callable[[str], str]] = {}
        """How the text of each open part is changed; none for parts that are left out."""
        self._rows: dict[type, Callable[[Any], Event]] = {
            ResponseStarted: self._started,
            PartStarted: self._part_started,
            PartDelta: self._delta,
            PartEnded: self._part_ended,
            UsageReported: lambda event: replace(event, raw=None),
            ChoiceFinished: lambda event: replace(
                event, stop_sequence=None if event.stop_sequence is None else self._text(event.stop_sequence)
            ),
            ResponseFailed: lambda event: replace(event, error=_without_words(event.error)),
            ResponseEnded: lambda event: event,
            Pinged: lambda event: event,
        }

    def of(self, events: Iterable[Event]) -> Iterator[Event]:
        """The events that stay, changed."""
        for event in events:
            if isinstance(event, PartStarted) and event.kind in _LEFT_OUT:
                continue
            if isinstance(event, PartDelta | PartEnded) and event.index not in self._parts:
                continue
            yield self._rows[type(event)](event)

    def _started(self, event: ResponseStarted) -> Event:
        return replace(event, response_id="", extras={})

    def _part_started(self, event: PartStarted) -> Event:
        self._parts[event.index] = self._mask_of(event)
        name = None if event.name is None else self._names.setdefault(event.name, f"tool_{len(self._names) + 1}")
        call_id = None if event.call_id is None else self._id(event.call_id)
        return replace(event, name=name, call_id=call_id)

    def _mask_of(self, event: PartStarted) -> Callable[[str], str]:
        if event.kind == "tool_call" and event.call_kind != "custom":
            return _JsonMask()
        return _in_base64 if event.kind == "media" else self._text

    def _delta(self, event: PartDelta) -> Event:
        return replace(event, text=self._parts[event.index](event.text), logprobs=None)

    def _part_ended(self, event: PartEnded) -> Event:
        del self._parts[event.index]
        signature = None if event.signature is None else self._signature(event.signature)
        return replace(event, signature=signature, citations=())

    def _signature(self, signature: Signature) -> Signature:
        item = None if signature.item_id is None else self._id(signature.item_id)
        return replace(signature, data=_in_base64(signature.data), item_id=item)

    def _id(self, name: str) -> str:
        """A name of the same length and beginning, the same for the same."""
        if name not in self._ids:
            head = name.partition("_")[0] + "_" if "_" in name[:8] else "id_"
            number = str(len(self._ids) + 1)
            self._ids[name] = head + number.rjust(max(len(name) - len(head), 1), "0")
        return self._ids[name]

    def _text(self, text: str) -> str:
        """Other characters, as many, and as wide in UTF-8 but for some."""
        return "".join(self._instead(char) for char in text)

    def _instead(self, char: str) -> str:
        if char.isascii():
            return next(self._plain)
        return next(self._wide) if ord(char) <= 0xFFFF else "🌊"


def _in_base64(text: str) -> str:
    return "A" * len(text.rstrip("=")) + "=" * (len(text) - len(text.rstrip("=")))


_STRUCTURE = frozenset('{}[]:,"-+. \t\r\n' + "truefalsenE")
"""What may stand outside strings in JSON, but for digits: signs, and the letters of its three words."""


class _JsonMask:
    """Changes the names and values in JSON that comes in pieces, and leaves it JSON. Lives as long as one call."""

    def __init__(self) -> None:
        self._in_string = False
        self._escaped = False
        self._hex_left = 0
        self._letters = itertools.cycle("thalweg")

    def __call__(self, text: str) -> str:
        return "".join(map(self._char, text))

    def _char(self, char: str) -> str:
        if not self._in_string:
            self._in_string = char == '"'
            return char if char in _STRUCTURE else "1"
        if self._hex_left:
            self._hex_left -= 1
            return "6df1"[3 - self._hex_left]
        if self._escaped:
            self._escaped = False
            self._hex_left = 4 if char == "u" else 0
            return char
        return self._in_words(char)

    def _in_words(self, char: str) -> str:
        if char == "\\":
            self._escaped = True
        elif char == '"':
            self._in_string = False
        else:
            return next(self._letters) if char.isascii() else "深"
        return char
