"""What stands around the text in a stream's common chunks: nearly always the same bytes from chunk to chunk.

Theory of operation. A chunk has been parsed and found to be a common one. Where in its bytes the text stands is then
tried out: with a probe in that place the parser must find the probe for the text. That proves that the bytes before end
within the string that is the text, and that the bytes after begin at its end. So the same bytes around anything that is
a JSON string as it stands (UTF-8, no quote, no backslash, no control character) are the same chunk with that text, and
need no parser to say so.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

_PROBE = "thalweg probes"
_QUOTE, _BACKSLASH = b'"\\'


class Envelope:
    """The bytes before and after the text. Immutable."""

    __slots__ = ("_after", "_before", "_length")

    def __init__(self, before: bytes, after: bytes) -> None:
        self._before = before
        self._after = after
        self._length = len(before) + len(after)

    def text_in(self, data: bytes) -> str | None:
        """The text in this envelope, perhaps an empty one; `None` where the parser has to look."""
        inner = data.removeprefix(self._before).removesuffix(self._after)
        if len(data) - len(inner) != self._length or _QUOTE in inner or _BACKSLASH in inner:
            return None
        try:
            text = inner.decode()
        except UnicodeDecodeError:
            return None
        # Control characters are not printable; that some others are not either costs them the short cut, no more.
        return text if text.isprintable() else None


def find_envelope(
    data: bytes, text: str, read: Callable[[bytes], str | None], *, end: int | None = None
) -> Envelope | None:
    """The envelope of a chunk with that text, up to `end`. `read` says the text of a whole chunk, if it is common."""
    inner = text.encode()
    at = data.find(b'"%b"' % inner, 0, end) + 1
    if not inner or not at or text == _PROBE:
        return None
    before, after = data[:at], data[at + len(inner) : end]
    rest = b"" if end is None else data[end:]
    try:
        found = read(before + _PROBE.encode() + after + rest)
    except msgspec.MsgspecError:
        return None
    return Envelope(before, after) if found == _PROBE else None
