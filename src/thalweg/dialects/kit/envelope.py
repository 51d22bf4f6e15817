"""What stands around the text in a stream's common frames: nearly always the same bytes from frame to frame.

Theory of operation. A frame has been parsed and found to be a common one. Where in its bytes the text stands is then
tried out: with a probe in that place the parser must find the probe for the text. That proves that the bytes before end
where the string that is the text begins, and that the bytes after begin behind it. So the same bytes around anything
that is one JSON string are the same frame with that text, and of the parser only its reader of strings is needed.

Two kinds of frames are the same but for more than the text. Anthropic puts a random number of spaces before the last
brace; where nothing but the end of two objects follows the text, spaces there mean nothing. And some providers report
usage in every frame, or a number and a string that hides how long the text is: more probes prove where those stand.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import msgspec

from thalweg.dialects.base import Around

_PROBE = "thalweg probes"
_USAGE_PROBE = b'{"thalweg":1}'
_QUOTE = 0x22
_ENDS = b"}}\n\n"

_read_string = msgspec.json.Decoder(str).decode
UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What a parser of bytes may raise."""
_UNREADABLE_OR_EMPTY = (*UNREADABLE, IndexError)
T = TypeVar("T")

ReadText = Callable[[bytes], str | None]
"""Says the text of a frame by the parser, and `None` for any but a common one."""
ReadBoth = Callable[[bytes], tuple[str, bytes] | None]
"""The same with the JSON text of its usage."""


def _string(data: bytes) -> str | None:
    """The string that is all of these bytes; `None` where they are none. No string holds a line's end."""
    try:
        # A string may stand between white space, and that may be a line's end.
        return _read_string(data) if data[0] == _QUOTE == data[-1] else None
    except _UNREADABLE_OR_EMPTY:
        return None


class Envelope:
    """The bytes before and after the text's string. Immutable."""

    _padded = False

    __slots__ = ("_after", "_before", "_edges", "_inner", "_start")

    def __init__(self, before: bytes, after: bytes) -> None:
        self._before = before + b'"'
        self._after = b'"' + after
        self._start = len(before)
        # Made once: every chunk of every stream is cut by them.
        self._edges = slice(len(before) + 1), slice(-len(after) - 1, None)
        self._inner = slice(len(before), -len(after))

    @property
    def around(self) -> Around:
        """Both, with the quotes."""
        return Around(self._before, self._after, self._padded)

    def text_in(self, data: bytes) -> str | None:
        """The text in this envelope, perhaps an empty one; `None` where the parser has to look."""
        head, tail = self._edges
        if data[head] != self._before or data[tail] != self._after:
            return None
        try:
            return _read_string(data[self._inner])
        except UNREADABLE:
            return None


class PaddedEnvelope(Envelope):
    """One in which spaces may stand between the last two braces."""

    __slots__ = ()

    _padded = True

    def text_in(self, data: bytes) -> str | None:
        """The text, as in any envelope."""
        head, _ = self._edges
        if data[head] != self._before:
            return None
        inner, quote, tail = data[self._start :].rpartition(b'"')
        return _string(inner + quote) if tail == _ENDS or tail.replace(b" ", b"") == _ENDS else None


class MeteredEnvelope:
    """The bytes before, between and after the text's string and the usage. Immutable."""

    __slots__ = ("_after", "_before", "_between", "_edges", "_inner")

    def __init__(self, before: bytes, between: bytes, after: bytes) -> None:
        self._before = before + b'"'
        self._between = b'"' + between
        self._after = after
        self._edges = slice(len(before) + 1), slice(-len(after), None)
        self._inner = slice(len(before), -len(after))

    @property
    def parts(self) -> tuple[bytes, bytes, bytes]:
        """All three, with the quotes."""
        return self._before, self._between, self._after

    def both_in(self, data: bytes) -> tuple[str, bytes] | None:
        """The text in this envelope, and what stands where the usage should: a line, of which nobody has read anything.
        `None` where the parser has to look.
        """
        head, tail = self._edges
        if data[head] != self._before or data[tail] != self._after:
            return None
        # A string that holds these bytes would hold a bare quote, and be none.
        string, between, usage = data[self._inner].partition(self._between)
        if not between or not usage.isascii() or 0x0A in usage or 0x0D in usage:
            return None
        try:
            return _read_string(string + b'"'), usage
        except UNREADABLE:
            return None


def find_envelope(data: bytes, text: str, read: ReadText) -> Envelope | None:
    """The envelope of a frame with that text, if it can be proven."""
    at, size = _place(data, text)
    if not at:
        return None
    before, after = data[:at], data[at + size :]
    if _said(read, before + b'"%b"' % _PROBE.encode() + after) != _PROBE:
        return None
    return PaddedEnvelope(before, after) if after.replace(b" ", b"") == _ENDS else Envelope(before, after)


def find_metered(data: bytes, text: str, usage: bytes, read: ReadBoth) -> MeteredEnvelope | None:
    """The envelope of a frame with that text and that usage, if it can be proven. The usage stands behind the text."""
    at, size = _place(data, text)
    end = data.rfind(usage)
    if not at or end < at + size:
        return None
    before, between, after = data[:at], data[at + size : end], data[end + len(usage) :]
    probed = b"".join([before, b'"%b"' % _PROBE.encode(), between, _USAGE_PROBE, after])
    return MeteredEnvelope(before, between, after) if _said(read, probed) == (_PROBE, _USAGE_PROBE) else None


def find_numbered(data: bytes, text: str, read: ReadText, *, number: bytes, padding: bytes) -> Around | None:
    """What is around the text of a frame that has a number, too, and perhaps behind the text a string of padding, if it
    can be proven. Both are named by what stands before them; the parser does not look at either.
    """
    at, size = _place(data, text)
    front, named, rest = data[:at].partition(number)
    before = rest.lstrip(b"0123456789")
    if not (at and named) or len(before) == len(rest):
        return None
    front, (between, padded, behind) = front + named, data[at + size :].partition(padding)
    _, _, after = behind[1:].partition(b'"')
    probes = [front, b"987654321", before, b'"%b"' % _PROBE.encode(), between]
    if padded:
        between, probes = between + padded, [*probes, padded, b'"%b"' % _PROBE.encode()]
    if _said(read, b"".join([*probes, after])) != _PROBE:
        return None
    before += b'"'
    if not padded:
        return Around(before, b'"' + between, front=front)
    return Around(before, after, between=b'"' + between, covers=_is_string, front=front)


def _is_string(data: bytes) -> bool:
    """Whether this is a JSON string. Raises as parsers do."""
    return _string(data) is not None


def _place(data: bytes, text: str) -> tuple[int, int]:
    """Where the text's string begins, and its length; 0 where it is not as it stands, or is the probe itself."""
    string = b'"%b"' % text.encode()
    at = data.find(string) if text and text != _PROBE else -1
    return max(at, 0), len(string)


def _said(read: Callable[[bytes], T | None], data: bytes) -> T | None:
    try:
        return read(data)
    except UNREADABLE:
        return None


class Lessons:
    """When to look for an envelope: in the first common frame that the parser has read, the second, the fourth and so
    on. Where no two frames have the same that costs next to nothing, and where it changes it is soon known.
    """

    __slots__ = ("_read",)

    def __init__(self) -> None:
        self._read = 0

    def due(self) -> bool:
        """The parser has read one more: whether to look in it."""
        self._read += 1
        return not self._read & (self._read - 1)
