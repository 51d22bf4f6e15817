"""A dialect with a vendor's accent: its frames and answers, changed where they leave."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

from thalweg.canon.errors import GatewayError
from thalweg.canon.events import Event, PartDelta
from thalweg.canon.request import Request
from thalweg.canon.response import Response
from thalweg.dialects.base import Dialect, StreamEncoder, WireAnswer
from thalweg.simulator.vendors.base import Spoken


class Accent:
    """What one vendor does to one answer; this one does nothing. Lives as long as the answer."""

    def __init__(self, spoken: Spoken) -> None:
        self.spoken = spoken

    def events(self, events: list[Event]) -> list[Event]:
        """What is encoded in the place of these events."""
        return events

    def frame(self, data: bytes) -> bytes:
        """What is sent in the place of a frame."""
        return data

    def body(self, data: bytes) -> bytes:
        """What is sent in the place of a whole answer."""
        return data


class Accented:
    """Stands in the place of the dialect, for one answer."""

    def __init__(self, plain: Dialect, accent: Accent) -> None:
        self._plain = plain
        self._accent = accent
        self.name = plain.name

    def as_dialect(self) -> Dialect:
        """The same for those who want a dialect. It has only what answering asks for, so this is not checked."""
        return cast(Dialect, self)

    def stream_encoder(self, asked: Request, *, response_id: str, model: str, created: int) -> StreamEncoder:
        """An encoder for one stream."""
        plain = self._plain.stream_encoder(asked, response_id=response_id, model=model, created=created)
        return AccentedEncoder(plain, self._accent)

    def encode_answer(self, answer: Response, asked: Request) -> bytes:
        """A whole answer."""
        return self._accent.body(self._plain.encode_answer(answer, asked))

    def encode_error(self, error: GatewayError) -> WireAnswer:
        """An error before the answer has begun."""
        return self._plain.encode_error(error)


class AccentedEncoder:
    """Encodes one stream."""

    def __init__(self, plain: StreamEncoder, accent: Accent) -> None:
        self._plain = plain
        self._accent = accent
        self.content_type = plain.content_type
        self.error: GatewayError | None = None
        self.held_chars = 0

    def encode(self, events: Iterable[Event]) -> list[bytes]:
        """One piece of bytes for each frame."""
        return [self._accent.frame(frame) for frame in self._plain.encode(self._accent.events(list(events)))]

    def grow(self, event: PartDelta) -> bytes:
        """The frames for one event by which a part grows."""
        return b"".join(self.encode([event]))

    def template(self, index: int) -> None:
        """None: frames are changed one by one."""

    def templated(self, text: str, frames: int) -> None:
        """Nothing was."""

    def keepalive(self) -> bytes:
        """What breaks a silence."""
        return self._plain.keepalive()
