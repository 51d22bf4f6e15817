"""The form of a recording: what its lines say, and how they are read. No file is opened here.

A recording is JSON, line by line: a `Header`, a `Line` for each read of the body, and a `Line` with an `end`. Times are
milliseconds since the request was sent. A recording without its last line was left unfinished.
"""

from __future__ import annotations

import base64
import binascii
import re
import time
from collections.abc import Iterable
from typing import Any, Literal

import msgspec

from thalweg.canon.scrub import HIDDEN, scrub

FORM = 1
"""The version of the form. A reader refuses a later one."""
EndKind = Literal["whole", "cut", "reset", "unreachable", "left"]
"""How a body ended: as its framing says, or as far as it was needed; with the connection closed in the middle; with a
reset; before any connection was there; or by ourselves, because the client had gone or a wait was over."""
MOST_HEADER_BYTES = 64 * 1024 * 1024
"""The most that a first line may have: requests are in it whole."""
_LEAST_SECRET = 8
"""A shorter word protects nothing and stands in ordinary text."""
_MOST_IN_NAME = 60
_NOT_IN_NAME = re.compile(r"[^A-Za-z0-9._]+")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")
_PASSED_HEADERS = frozenset(
    {"content-type", "retry-after", "retry-after-ms", "x-request-id", "request-id", "x-should-retry", "date", "server"}
)
_PASSED_PREFIXES = ("x-ratelimit-", "anthropic-ratelimit-", "openai-")


class RecordingError(Exception):
    """A recording cannot be read. The message says why, and never what is in it."""


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """The first line: what was asked, of whom, and how the answer began."""

    form: int = FORM
    recorded_at: str
    """When the request was sent, as RFC 3339 has it, in UTC."""
    provider: str
    dialect: str
    model: str
    """Its name at the provider."""
    path: str
    """Of the endpoint, without a query."""
    request: str | None
    """The request's body as it was sent, but for what looked like a key; `None` where it was left out."""
    status: int | None
    """`None` where no answer came."""
    headers: tuple[tuple[str, str], ...] = ()
    """The answer's, those that may be kept; names in small letters."""
    head_ms: float = 0.0
    """When the head came."""
    simulated: bool = False
    """Whether no provider said this: it is the simulator's, or made from another recording."""


class Line(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Every further line: a read, with its bytes as `text` or `base64`; or the end, with what follows."""

    ms: float = 0.0
    text: str | None = None
    base64: str | None = None
    end: EndKind | None = None
    error: str | None = None
    """Why it did not end well, in the gateway's words."""
    usage: dict[str, Any] | None = None
    """The last usage that was reported; `None` where none was."""

    def body(self) -> bytes:
        """A read's bytes. Raises `RecordingError`."""
        if self.text is not None:
            return self.text.encode("utf-8", "surrogatepass")
        try:
            return base64.b64decode(self.base64 or "", validate=True)
        except (binascii.Error, ValueError) as error:
            raise RecordingError("a line is not in Base64") from error


_read_header = msgspec.json.Decoder(Header).decode
_read_line = msgspec.json.Decoder(Line).decode


def encode(line: Header | Line) -> bytes:
    """One line, with its end."""
    return msgspec.json.encode(line) + b"\n"


def decode_header(line: bytes) -> Header:
    """The first line. Raises `RecordingError`."""
    try:
        header = _read_header(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise RecordingError("it does not begin as a recording does") from error
    if header.form > FORM:
        raise RecordingError(f"it is of form {header.form}, and this version reads up to {FORM}")
    if not all(_is_header(name, value) for name, value in header.headers):
        raise RecordingError("it has a header that HTTP does not allow")
    return header


def decode_line(line: bytes) -> Line | None:
    """Any other line; `None` for the last one of a recording that was left while it was written.

    Raises `RecordingError`.
    """
    if not line.endswith(b"\n"):
        return None
    try:
        return _read_line(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise RecordingError("a line is none of a recording's") from error


def read_line(ms: float, data: bytes, scrubber: Scrubber | None = None) -> Line:
    """The line of one read."""
    said = data.decode("utf-8", "surrogateescape")
    if scrubber is not None:
        said = scrubber(said)
    try:
        said.encode()
    except UnicodeEncodeError:  # bytes that are no UTF-8: a character that two reads share
        return Line(ms=ms, base64=base64.b64encode(said.encode("utf-8", "surrogateescape")).decode())
    return Line(ms=ms, text=said)


class Scrubber:
    """Takes keys out of texts: the known `secrets`, and what looks like one."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        known = {each for each in secrets if len(each) >= _LEAST_SECRET}
        self._known = sorted(known, key=len, reverse=True)

    def __call__(self, text: str) -> str:
        """The text without them."""
        for secret in self._known:
            if secret in text:
                text = text.replace(secret, HIDDEN)
        return scrub(text)


def kept_headers(headers: Iterable[tuple[bytes, bytes]], scrubber: Scrubber) -> tuple[tuple[str, str], ...]:
    """An answer's headers that a recording may have: never a cookie, nor one that nobody knows."""
    said = ((name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in headers)
    return tuple(
        (name, scrubber(value))
        for name, value in said
        if (name in _PASSED_HEADERS or name.startswith(_PASSED_PREFIXES)) and _is_header(name, value)
    )


def _is_header(name: str, value: str) -> bool:
    return bool(re.fullmatch(r"[a-z0-9-]+", name)) and value.isascii() and value.isprintable()


def stamp(at_ms: int) -> str:
    """A time as the header has it."""
    second, ms = divmod(at_ms, 1000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(second))}.{ms:03d}Z"


def new_name(at_ms: int, provider: str, model: str, unique: str) -> str:
    """A name that sorts by time and is safe as a file's and in a URL. All in small letters: what mixes them with big
    ones and digits is hidden in logs, as a key would be.
    """
    second, ms = divmod(at_ms, 1000)
    when = f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime(second))}-{ms:03d}"
    what = _NOT_IN_NAME.sub("-", f"{provider}-{model}".lower())[:_MOST_IN_NAME].strip("-.")
    return f"{when}-{what}-{unique}"


def is_name(text: str) -> bool:
    """Whether a recording may be called so."""
    return _NAME.fullmatch(text) is not None
