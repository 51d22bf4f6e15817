"""What stands around the text in a block's common deltas: the same bytes from frame to frame, but for padding.

Theory of operation. A frame has been parsed and found to be a common one. Where in its bytes the text stands is then
tried out: with a probe in that place the parser must find the probe for the text. That proves that the bytes before end
within the string that is the text, and that the bytes after begin at its end. So the same bytes around anything that is
a JSON string as it stands (UTF-8, no quote, no backslash, no control character) are the same frame with that text, and
need no parser to say so. Anthropic puts a random number of spaces before the last brace; where nothing but the end of
two objects follows the text, spaces there mean nothing.
"""

from __future__ import annotations

from collections.abc import Callable

_PROBE = "thalweg probes"
_BACKSLASH = 0x5C
_ENDS = b"}}\n\n"


class Envelope:
    """The bytes before and after the text. Immutable."""

    __slots__ = ("_after", "_before", "_length", "_padded")

    def __init__(self, before: bytes, after: bytes) -> None:
        """`after` begins behind the quote that ends the text."""
        self._before = before
        self._length = len(before)
        self._padded = after.replace(b" ", b"") == _ENDS
        self._after = _ENDS if self._padded else after

    def text_in(self, data: bytes) -> str | None:
        """The text in this envelope, perhaps an empty one; `None` where the parser has to look."""
        if not data.startswith(self._before):
            return None
        inner, _, tail = data[self._length :].partition(b'"')
        if tail != self._after and (not self._padded or tail.replace(b" ", b"") != _ENDS):
            return None
        if _BACKSLASH in inner:
            return None
        try:
            text = inner.decode()
        except UnicodeDecodeError:
            return None
        # Control characters are not printable; that some others are not either costs them the short cut, no more.
        return text if text.isprintable() else None


def find_envelope(data: bytes, text: str, read: Callable[[bytes], str | None]) -> Envelope | None:
    """The envelope of a frame with that text. `read` says the text of a frame, `None` of any but a common one."""
    inner = text.encode()
    at = data.find(b'"%b"' % inner) + 1
    if not inner or not at or text == _PROBE:
        return None
    before, after = data[:at], data[at + len(inner) :]
    if read(before + _PROBE.encode() + after) != _PROBE:
        return None
    return Envelope(before, after[1:])
