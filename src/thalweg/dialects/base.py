"""What every dialect offers, in both positions. Nothing here knows a wire format.

A dialect stands in front (it reads a client's request and writes the answer) and behind (it writes a request to an
upstream and reads the answer). Between two sides of one dialect a `Relayer` passes the original bytes and only watches.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, Protocol, runtime_checkable

import msgspec

from thalweg.canon.errors import GatewayError, UpstreamError
from thalweg.canon.events import Event, PartDelta
from thalweg.canon.losses import Losses
from thalweg.canon.origin import Credential
from thalweg.canon.parts import ToolCall
from thalweg.canon.request import Request
from thalweg.canon.response import Response
from thalweg.canon.usage import Usage
from thalweg.dialects.kit.separators import escape_separators
from thalweg.framing.sse import Frame
from thalweg.profiles.base import Prefill, Profile

Headers = tuple[tuple[bytes, bytes], ...]


class WireAnswer(msgspec.Struct, frozen=True):
    """A whole HTTP answer in some dialect: status, headers of the dialect's own, body."""

    status: int
    headers: Headers
    body: bytes


class UpstreamBody(msgspec.Struct, frozen=True, kw_only=True):
    """A request written for an upstream of another dialect, and what is to be undone in its answer."""

    body: bytes
    stops: tuple[str, ...] = ()
    """Stop sequences that the upstream cannot be told of: they are looked for in its text."""
    tool_names: dict[str, str] = {}
    """What the client calls a tool, by what the upstream was told, where the two differ."""
    wrapped_tools: frozenset[str] = frozenset()
    """Tools, by the client's name, that take free text and were written as functions of one argument, `input`."""
    answer_tool: str | None = None
    """A tool whose arguments are the answer's text: how a schema is asked for where there is no other way."""


class Watch(msgspec.Struct, eq=False):
    """What a relayed or translated answer has shown so far. One per attempt; written by the codec, read by the relay.

    Text is not kept: of each delta only its length is, so that an answer of any size costs the same.
    """

    content_seen: bool = False
    """Whether anything that a person or program asked for has come: text, reasoning, a call, a finish reason."""
    done: bool = False
    """Whether the dialect's end mark has come."""
    complete: bool = False
    """Whether the answer is complete, as the dialect defines it (an error makes it incomplete for good)."""
    cut: bool = False
    """Whether the gateway itself has ended the answer, so that the upstream is still at it."""
    error: GatewayError | None = None
    usage: Usage | None = None
    raw_usage: Any = None
    choices: set[int] = set()
    """Choices that have begun."""
    finishes: dict[int, str] = {}
    """The wire's finish reason of each choice that has finished."""
    response_id: str | None = None
    model: str | None = None
    created: int | None = None
    deltas: int = 0
    narrow_chars: int = 0
    wide_chars: int = 0
    """Characters outside ASCII, which cost more tokens each."""
    narrow_covered: int | None = None
    """Of `narrow_chars`, how many had come when usage was reported; `None` where no stream has reported any."""
    wide_covered: int = 0
    repaired: dict[str, int] = {}
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

    def add(self, deltas: int, narrow_chars: int, wide_chars: int) -> None:
        """Count some deltas at once, with their characters inside and outside ASCII."""
        self.content_seen = True
        self.deltas += deltas
        self.narrow_chars += narrow_chars
        self.wide_chars += wide_chars

    def saw_usage(self, usage: Usage, raw: Any) -> None:
        """Take a stream's report on all that has come so far. A later one replaces it."""
        self.usage, self.raw_usage = usage, raw
        self.cover(usage.output_tokens)

    def cover(self, made: int | None) -> None:
        """Note that a report covers all text so far, if it says that anything was made; some count the prompt alone."""
        if made:
            self.narrow_covered, self.wide_covered = self.narrow_chars, self.wide_chars
        elif self.narrow_covered is None:
            self.narrow_covered = 0

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


class Around(NamedTuple):
    """What stands around the text in frames that are alike but for that: a JSON string with its quotes."""

    before: bytes
    """The opening quote included."""
    after: bytes
    """The closing quote included."""
    padded: bool = False
    """Whether spaces may stand anywhere in `after`."""
    between: bytes = b""
    """Where something else comes with the text, such as usage, what stands between the two, the closing quote included;
    `after` follows it.
    """
    covers: Callable[[bytes], bool] | None = None
    """Whether such a thing, a line of ASCII, takes the place of those before it. May raise as parsers do."""
    front: bytes = b""
    """Where each frame has a number, a whole one from 0, what stands before that; `before` follows it."""


class Grows(Protocol):
    """Reads common frames."""

    def grows(self, data: bytes) -> str:
        """See `StreamDecoder.grows`."""


class Stretch(NamedTuple):
    """Frames that are alike but for one text, which is not empty, and perhaps for what comes with it: how they come,
    and what becomes of them.
    """

    around: Around | None
    """`None` where that is not always the same."""
    template: Template | None = None
    """`None` where they pass as they are: only those in which there are no separators."""
    decoder: Grows | None = None
    """With a template and nothing around, what reads the text."""
    behind: bytes = b""
    """Of frames that pass but for what stands behind the text: what is to stand there, the closing quote included."""


class Relayer(Protocol):
    """Makes a client's stream of an upstream's frames, and watches."""

    watch: Watch
    content_type: bytes
    """Of the client's stream."""

    def pass_on(self, data: bytes) -> bytes | None:
        """The client's bytes, if these, read between two frames, are exactly one common frame.

        If so it has been watched; if not, nothing has happened. The short way: `feed` would come to the same.
        """

    def stretch(self) -> Stretch | None:
        """What the common frames are like from here on, where that is known and nothing need be done about each: who
        passes them on without `pass_on` tells the watch, or `took`, before anything else is asked of this.
        """

    def took(self, texts: list[str], usage: bytes | None) -> bool:
        """These texts were written with the template of the last `stretch`, `STRETCHED_CHARS` at most. The usage is the
        last that came with them; nobody has read it. Returns whether that stretch goes on, its numbers counted up.
        """

    def feed(self, frames: Iterable[Frame]) -> list[bytes]:
        """The bytes that these frames become, possibly none. Sets `watch.error` instead of raising, and gives out
        nothing more from then on.
        """

    def end(self) -> list[bytes]:
        """The body has ended as its framing says: what is still to be sent. Settles `watch.complete`."""

    def settle(self) -> None:
        """Nothing more will be fed, whether the body has ended or not: write what was put off into the watch."""

    def keepalive(self) -> bytes:
        """What breaks a silence, in the form that this dialect's clients bear."""

    def fail(self, error: GatewayError) -> bytes:
        """The end of a stream that has begun and will not be whole. Nothing follows it."""


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


Files = Mapping[str, tuple[str, str]]
"""Files by their addresses: of each the MIME type, and the bytes in standard base64."""


@runtime_checkable
class NamesFiles(Protocol):
    """A request of a dialect among whose upstreams are some that open no addresses."""

    def names_files(self) -> bool:
        """Whether it names any file by an address."""

    def filled(self, body: bytes, files: Files) -> bytes:
        """The body, edited already, with those files in the place of their addresses; all else keeps its bytes."""


@runtime_checkable
class Continues(Protocol):
    """A dialect among whose upstreams are some that can be told how their answer begins."""

    def continued(self, body: bytes, beginning: str, *, tokens: int, prefill: Prefill) -> bytes:
        """A request for the rest of an answer: `body`, written already, with the text that came and the estimate of its
        tokens. Raises `InvalidRequest` where the request leaves no place for it.
        """


STRETCHED_CHARS = 128 * 1024
"""The most text that is written without a word to the relayer."""
TEMPLATED_CHARS = 256 * 1024
"""The most text that is written with a template before its encoder is told."""


class Template(NamedTuple):
    """What a client's frames by which one part grows are made of, but for their text. That stands in them as a JSON
    string (`json_string`).
    """

    before: bytes
    after: bytes
    middle: bytes = b""
    """Where each frame has its number: that stands behind `before`, then this and the string."""
    number: int = 0
    """Of the next frame."""


def json_string(text: str) -> bytes:
    """A text as it stands in frames that are made with a template."""
    return escape_separators(msgspec.json.encode(text))


def json_string_as_it_came(string: bytes) -> bytes:
    """The same of a JSON string in which nothing is escaped."""
    return escape_separators(string)


class StreamDecoder(Protocol):
    """Reads an upstream's stream into events."""

    finishes: dict[int, str]
    """The wire's finish reason of each choice that has one, as soon as it came; its `ChoiceFinished` may come later."""

    growing: int
    """The part that `grows` is of; the same from one `feed` to the next."""

    def grows(self, data: bytes) -> str:
        """The text in these bytes, if they, read between two frames, are exactly one common frame, by which the open
        part of the first choice grows. If not, it is empty, and nothing has happened. `feed` would come to the same.
        """

    def grown(self, data: bytes) -> PartDelta | None:
        """The one event of such bytes."""

    def around(self) -> Around | None:
        """What is around the text in such frames, where that is known. Whoever reads them by it tells `took`, before
        anything else is asked of this.
        """

    def took(self, texts: list[str], usage: bytes | None) -> None:
        """Texts that came in such frames, and the last usage that came with them, which nobody has read."""

    def feed(self, frames: Iterable[Frame]) -> list[Event]:
        """The events in these frames. Never raises for what the upstream sent."""

    def settle(self) -> list[Event]:
        """What `grown` has put off, where the stream is cut off: usage that rides on common frames."""

    def end(self) -> list[Event]:
        """The body has ended: the last events, with exactly one `ResponseEnded` or `ResponseFailed` over all calls."""


class StreamEncoder(Protocol):
    """Writes events as a client's stream."""

    content_type: bytes
    error: GatewayError | None
    """Why it can write no more, where that is its own fault; the relay says so by `ResponseFailed`."""

    @property
    def held_chars(self) -> int:
        """Characters of the answer that it keeps to say them again; those of an open call are the relay's to count."""

    def encode(self, events: Iterable[Event]) -> list[bytes]:
        """One piece of bytes for each frame."""

    def grow(self, event: PartDelta) -> bytes:
        """What `encode` makes of one event by which a part grows, joined: the short way, for the many."""

    def template(self, index: int) -> Template | None:
        """What `grow` puts around the texts of that part, until anything else happens; `None` where it does more than
        that.
        """

    def templated(self, text: str, frames: int) -> None:
        """Texts, here joined, were written with the last `template`: so many frames, of `TEMPLATED_CHARS` at most."""

    def keepalive(self) -> bytes:
        """What breaks a silence; also before the first event."""


class Dialect(Protocol):
    """One grammar, in both positions. Stateless; its decoders, encoders and relayers hold what one answer needs."""

    name: str
    id_prefix: str
    """How names of answers begin, where we make them."""
    passed_headers: frozenset[bytes]
    """Request headers of a client, in small letters, that go to an upstream of the same dialect."""

    # In front.

    def read_request(self, body: bytes, target: bytes = b"") -> WireRequest:
        """Check a client's body; `target` is the path and query it came to, where some dialects say half of it.

        Raises `RequestError` that names the field.
        """

    def stream_encoder(self, asked: Request, *, response_id: str, model: str, created: int) -> StreamEncoder:
        """An encoder for one client's stream. `response_id` is used as it is."""

    def encode_answer(self, answer: Response, asked: Request) -> bytes:
        """A whole answer for a client; its id and model are used as they are. The answer has no error."""

    def encode_error(self, error: GatewayError) -> WireAnswer:
        """An error before the answer has begun."""

    # Behind.

    def request_target(self, base_path: bytes, model: str, *, stream: bool) -> bytes:
        """Path and query of a generation request below a provider's base path."""

    def request_headers(self, *, stream: bool) -> Headers:
        """Headers that an upstream of this dialect wants, but for the key's."""

    def encode_request(
        self, asked: Request, *, model: str, profile: Profile, stream: bool, losses: Losses
    ) -> UpstreamBody:
        """A request for an upstream of this dialect, from another dialect's client. The messages are arranged
        (`canon.turns`). What cannot be carried is told to `losses`, which may raise `UnsupportedParameter`.
        """

    def stream_decoder(self, *, profile: Profile, provider: str) -> StreamDecoder:
        """A decoder for one upstream stream."""

    def decode_answer(self, body: bytes, *, profile: Profile, provider: str) -> Response:
        """A whole answer. Raises `UpstreamError` where it holds an error or breaks the grammar."""

    def decode_error(
        self, status: int, headers: Iterable[tuple[bytes, bytes]], body: bytes, *, provider: str, key_name: str
    ) -> GatewayError:
        """What an upstream's answer with an error status means."""

    # Both sides.

    def relayer(
        self, asked: WireRequest, *, profile: Profile, raw: bool, provider: str, response_id: str, created: int
    ) -> Relayer:
        """A relayer for a stream between two sides of this dialect; `raw` switches repairs off. `response_id` and
        `created` are for what the gateway itself must say before the upstream has named its answer.
        """


class UpstreamSide:
    """A dialect in the upstream position, bound to what is known of one upstream. One per request."""

    __slots__ = ("_credential", "_dialect", "_key_name", "name", "profile", "provider")

    def __init__(
        self, dialect: Dialect, profile: Profile, *, provider: str, key_name: str, credential: Credential | None = None
    ) -> None:
        self._dialect = dialect
        self._key_name = key_name
        self._credential = credential
        self.name = dialect.name
        self.profile = profile
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

    def relayer(self, asked: WireRequest, *, raw: bool, response_id: str, created: int) -> Relayer:
        """A relayer to a client of the same dialect."""
        return self._dialect.relayer(
            asked,
            profile=self.profile,
            raw=raw,
            provider=self.provider,
            response_id=response_id,
            created=created,
        )

    def stream_decoder(self) -> StreamDecoder:
        """A decoder for one stream."""
        return self._dialect.stream_decoder(profile=self.profile, provider=self.provider)

    def decode_answer(self, body: bytes) -> Response:
        """A whole answer. Raises `UpstreamError`."""
        return self._dialect.decode_answer(body, profile=self.profile, provider=self.provider)

    def watch_answer(self, body: bytes) -> Watch:
        """What a whole answer shows, for accounting. Of one that holds an error, `error` is set."""
        return watch_answer(self._dialect, body, profile=self.profile, provider=self.provider)

    def decode_error(self, status: int, headers: Iterable[tuple[bytes, bytes]], body: bytes) -> GatewayError:
        """What an answer with an error status means."""
        return self._dialect.decode_error(status, headers, body, provider=self.provider, key_name=self._key_name)


def watch_answer(dialect: Dialect, body: bytes, *, profile: Profile, provider: str = "") -> Watch:
    """What a whole answer in some dialect shows."""
    try:
        response = dialect.decode_answer(body, profile=profile, provider=provider)
    except UpstreamError as error:
        watch = Watch()
        watch.error = error
        return watch
    return watch_of(response)


def watch_of(response: Response) -> Watch:
    """What a whole answer without an error shows."""
    watch = Watch()
    watch.usage, watch.raw_usage, watch.model = response.usage, response.raw_usage, response.model
    watch.done = watch.complete = watch.content_seen = True
    for choice in response.choices:
        watch.choices.add(choice.index)
        watch.finishes[choice.index] = choice.raw_finish_reason or ""
        for part in choice.parts:
            watch.saw_text(part.arguments if isinstance(part, ToolCall) else getattr(part, "text", ""))
    return watch
