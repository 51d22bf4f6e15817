"""What every dialect offers, in both positions. Nothing here knows a wire format.

A dialect stands in front (it reads a client's request and writes the answer) and behind (it writes a request to an
upstream and reads the answer). Between two sides of one dialect a `Relayer` passes the original bytes and only watches.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

import msgspec

from thalweg.canon.errors import GatewayError, UpstreamError
from thalweg.canon.events import Event
from thalweg.canon.origin import Credential
from thalweg.canon.request import Request
from thalweg.canon.response import Response
from thalweg.canon.usage import Usage
from thalweg.framing.sse import Frame
from thalweg.profiles.base import Profile


class WireAnswer(msgspec.Struct, frozen=True):
    """A whole HTTP answer in some dialect: status, headers of the dialect's own, body."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes


class Watch:
    """What a relayed or translated answer has shown so far. One per attempt; written by the codec, read by the relay.

    Text is not kept: of each delta only its length is, so that an answer of any size costs the same.
    """

    __slots__ = (
        "choices",
        "complete",
        "content_seen",
        "created",
        "deltas",
        "done",
        "error",
        "finishes",
        "model",
        "narrow_chars",
        "narrow_covered",
        "raw_usage",
        "repaired",
        "response_id",
        "usage",
        "wide_chars",
        "wide_covered",
    )

    def __init__(self) -> None:
        self.content_seen = False
        """Whether anything that a person or program asked for has come: text, reasoning, a call, a finish reason."""
        self.done = False
        """Whether the dialect's end mark has come."""
        self.complete = False
        """Whether the answer is complete, as the dialect defines it (an error makes it incomplete for good)."""
        self.error: GatewayError | None = None
        self.usage: Usage | None = None
        self.raw_usage: Any = None
        self.choices: set[int] = set()
        """Choices that have begun."""
        self.finishes: dict[int, str] = {}
        """The wire's finish reason of each choice that has finished."""
        self.response_id: str | None = None
        self.model: str | None = None
        self.created: int | None = None
        self.deltas = 0
        self.narrow_chars = 0
        self.wide_chars = 0
        """Characters outside ASCII, which cost more tokens each."""
        self.narrow_covered: int | None = None
        """Of `narrow_chars`, how many had come when usage was reported; `None` where no stream has reported any."""
        self.wide_covered = 0
        self.repaired: dict[str, int] = {}
        """How many frames each repair row has changed."""

    @property
    def finished(self) -> bool:
        """Whether every choice that has begun has its finish reason."""
        return bool(self.finishes) and self.choices <= self.finishes.keys()

    def saw_text(self, text: str) -> None:
        """Count one delta's text."""
        self.content_seen = True
        self.deltas += 1
        if text.isascii():
            self.narrow_chars += len(text)
        else:
            narrow, wide = count_chars(text)
            self.narrow_chars += narrow
            self.wide_chars += wide

    def saw_usage(self, usage: Usage, raw: Any) -> None:
        """Take a stream's report on all that has come so far. A later one replaces it."""
        self.usage, self.raw_usage = usage, raw
        self.cover()

    def cover(self) -> None:
        """Note that a report covers all text so far."""
        self.narrow_covered, self.wide_covered = self.narrow_chars, self.wide_chars

    @property
    def uncovered(self) -> tuple[int, int]:
        """Characters inside and outside ASCII that came after the last report."""
        if self.narrow_covered is None:
            return 0, 0
        return self.narrow_chars - self.narrow_covered, self.wide_chars - self.wide_covered


def count_chars(text: str) -> tuple[int, int]:
    """Characters inside and outside ASCII, the latter from the length in UTF-8 (most take three bytes)."""
    wide = min(-(-(len(text.encode("utf-8", "replace")) - len(text)) // 2), len(text))
    return len(text) - wide, wide


class Relayer(Protocol):
    """Turns an upstream's frames into the bytes for the client, and watches."""

    watch: Watch

    def pass_on(self, data: bytes) -> bytes | None:
        """The client's bytes, if these, read between two frames, are exactly one common frame.

        If so it has been watched; if not, nothing has happened. The short way: `feed` would come to the same.
        """

    def feed(self, frames: Iterable[Frame]) -> list[bytes]:
        """The bytes that these frames become, possibly none. Sets `watch.error` instead of raising, and gives out
        nothing more from then on.
        """

    def end(self) -> list[bytes]:
        """The body has ended as its framing says: what is still to be sent. Settles `watch.complete`."""

    def settle(self) -> None:
        """Nothing more will be fed, whether the body has ended or not: write what was put off into the watch."""


class WireRequest(Protocol):
    """A client's request, checked field by field, and the bytes it came in."""

    model: str
    stream: bool
    max_output_tokens: int | None

    def prompt_chars(self) -> tuple[int, int]:
        """Characters of text in the prompt, ASCII and others, for estimates."""

    def canon(self) -> Request:
        """The request in no dialect. Raises `RequestError` for what has no meaning there."""

    def edited(self, *, model: str, profile: Profile, stream: bool) -> bytes:
        """The body for an upstream of the same dialect: the original but for the fields the gateway owns."""

    def left_out(self, profile: Profile) -> tuple[str, ...]:
        """Names of the client's fields that `edited` leaves out, or of which it can only say a part."""


class StreamDecoder(Protocol):
    """Reads an upstream's stream into events."""

    def feed(self, frames: Iterable[Frame]) -> list[Event]:
        """The events in these frames. Never raises for what the upstream sent."""

    def end(self) -> list[Event]:
        """The body has ended: the last events, with exactly one `ResponseEnded` or `ResponseFailed` over all calls."""


class StreamEncoder(Protocol):
    """Writes events as a client's stream."""

    def encode(self, events: Iterable[Event]) -> list[bytes]:
        """One piece of bytes for each frame."""


class Dialect(Protocol):
    """One grammar, in both positions."""

    name: str
    stream_content_type: bytes

    def read_request(self, body: bytes) -> WireRequest:
        """Check a client's body. Raises `RequestError` that names the field."""

    def request_target(self, base_path: bytes, model: str, *, stream: bool) -> bytes:
        """Path and query of a generation request below a provider's base path."""

    def encode_request(self, asked: Request, *, model: str, profile: Profile, stream: bool) -> bytes:
        """A request for an upstream of this dialect, from another dialect's client."""

    def relayer(self, asked: WireRequest, *, profile: Profile, raw: bool, provider: str) -> Relayer:
        """A relayer for a stream between two sides of this dialect; `raw` switches repairs off."""

    def stream_decoder(self, *, profile: Profile, provider: str) -> StreamDecoder:
        """A decoder for one upstream stream."""

    def stream_encoder(self, asked: Request, *, response_id: str, model: str, created: int) -> StreamEncoder:
        """An encoder for one client's stream."""

    def decode_answer(self, body: bytes, *, profile: Profile, provider: str) -> Response:
        """A whole answer. Raises `UpstreamError` where it holds an error or breaks the grammar."""

    def encode_answer(self, answer: Response) -> bytes:
        """A whole answer for a client. The answer has no error."""

    def watch_answer(self, body: bytes, *, provider: str) -> Watch:
        """What a whole answer of this dialect shows, for accounting."""

    def decode_error(
        self, status: int, headers: Iterable[tuple[bytes, bytes]], body: bytes, *, provider: str, key_name: str
    ) -> GatewayError:
        """What an upstream's answer with an error status means."""

    def encode_error(self, error: GatewayError) -> WireAnswer:
        """An error before the answer has begun."""

    def encode_stream_error(self, error: GatewayError) -> bytes:
        """An error after the stream has begun."""

    def keepalive(self, response_id: str, model: str, created: int) -> bytes:
        """What breaks a silence, in the form that this dialect's clients bear."""


class UpstreamSide:
    """A dialect in the upstream position, bound to what is known of one upstream. One per request."""

    __slots__ = ("_credential", "_dialect", "_key_name", "_profile", "name", "provider")

    def __init__(
        self, dialect: Dialect, profile: Profile, *, provider: str, key_name: str, credential: Credential | None = None
    ) -> None:
        self._dialect = dialect
        self._profile = profile
        self._key_name = key_name
        self._credential = credential
        self.name = dialect.name
        self.provider = provider
        """Who runs the upstream, for messages."""

    def conceal(self, error: GatewayError) -> None:
        """Take our key out of an error, where the upstream repeats it; keys of known looks are out already."""
        if self._credential is None or not isinstance(error, UpstreamError):
            return
        key = self._credential.value.rpartition(b" ")[2].decode("latin-1")
        for field in ("message", "param", "code", "provider_type"):
            value = getattr(error, field)
            if value is not None and key in value:
                setattr(error, field, value.replace(key, "[hidden]"))

    def relayer(self, asked: WireRequest, *, raw: bool) -> Relayer:
        """A relayer to a client of the same dialect."""
        return self._dialect.relayer(asked, profile=self._profile, raw=raw, provider=self.provider)

    def stream_decoder(self) -> StreamDecoder:
        """A decoder for one stream."""
        return self._dialect.stream_decoder(profile=self._profile, provider=self.provider)

    def decode_answer(self, body: bytes) -> Response:
        """A whole answer. Raises `UpstreamError`."""
        return self._dialect.decode_answer(body, profile=self._profile, provider=self.provider)

    def watch_answer(self, body: bytes) -> Watch:
        """What a whole answer shows, for accounting."""
        return self._dialect.watch_answer(body, provider=self.provider)

    def decode_error(self, status: int, headers: Iterable[tuple[bytes, bytes]], body: bytes) -> GatewayError:
        """What an answer with an error status means."""
        return self._dialect.decode_error(status, headers, body, provider=self.provider, key_name=self._key_name)
