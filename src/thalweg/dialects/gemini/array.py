"""A stream without `alt=sse`: one JSON array, sent object by object. Cuts it into frames as `framing.sse` does events.

Theory of operation. Outside of strings only brackets and braces matter, and inside only the quote that ends it. A
regular expression finds the next of those; depth and place are kept between reads, and no byte is looked at twice.
"""

from __future__ import annotations

import re

from thalweg.framing.sse import MAX_FRAME_BYTES, Frame

_MARK = re.compile(rb'["{}\[\]]')
_STRING_END = re.compile(rb'"|\\')
_QUOTE, _BACKSLASH = b'"\\'
_OPENERS = b"{["


class ArrayDecoder:
    """Cuts one array into a frame for each object. A single object, an error say, is one frame too. Lives as long as
    the body; holds at most one unfinished object.
    """

    __slots__ = ("_at", "_buffer", "_depth", "_dropped", "_in_string", "_start", "max_frame_bytes")

    def __init__(self, *, max_frame_bytes: int = MAX_FRAME_BYTES) -> None:
        self.max_frame_bytes = max_frame_bytes
        self._buffer = bytearray()
        self._at = 0
        """How far the buffer has been looked at."""
        self._start = -1
        """Where the open object begins; -1 between objects."""
        self._depth = 0
        self._in_string = False
        self._dropped = 0

    @property
    def held_bytes(self) -> int:
        """How many bytes of an unfinished object are held."""
        return len(self._buffer)

    @property
    def between_frames(self) -> bool:
        """Whether the next byte begins an object, or the white space before it."""
        return self._start < 0 and not self._dropped

    def feed(self, data: bytes) -> list[Frame]:
        """Take in bytes, give out the objects that they complete."""
        self._buffer += data
        frames: list[Frame] = []
        while self._step(frames):
            pass
        if self._start < 0:
            self._buffer.clear()
            self._at = 0
        elif len(self._buffer) > self.max_frame_bytes:
            self._dropped += self._at - self._start
            del self._buffer[: self._at]
            self._at = self._start = 0
        return frames

    def end(self) -> list[Frame]:
        """The body is over: an object that was begun is given out as it stands."""
        rest = bytes(self._buffer[max(self._start, 0) :])
        started = self._start >= 0
        self._buffer.clear()
        self._start = -1
        if self._dropped:
            return [Frame(raw=b"", data=None, closed=False, dropped_bytes=self._dropped + len(rest))]
        return [Frame(raw=rest, data=rest, closed=False)] if started else []

    def _step(self, frames: list[Frame]) -> bool:
        """Go to the next mark; whether there was one."""
        buffer = self._buffer
        found = (_STRING_END if self._in_string else _MARK).search(buffer, self._at)
        if found is None:
            self._at = len(buffer)
            return False
        at, mark = found.start(), buffer[found.start()]
        if mark == _BACKSLASH:
            if at + 1 == len(buffer):
                self._at = at  # what it escapes has not come
                return False
            self._at = at + 2
            return True
        self._at = at + 1
        if mark == _QUOTE:
            self._in_string = not self._in_string
        elif mark in _OPENERS:
            self._open(at, mark)
        else:
            self._close(frames)
        return True

    def _open(self, at: int, mark: int) -> None:
        if self._start < 0:
            if mark != _OPENERS[0]:
                return  # the array's own
            self._start = at
        self._depth += 1

    def _close(self, frames: list[Frame]) -> None:
        if self._start < 0:
            return
        self._depth -= 1
        if self._depth:
            return
        frames.append(self._frame(bytes(self._buffer[self._start : self._at])))
        del self._buffer[: self._at]
        self._at, self._start = 0, -1

    def _frame(self, data: bytes) -> Frame:
        size, self._dropped = self._dropped + len(data), 0
        if size > len(data) or size > self.max_frame_bytes:
            return Frame(raw=b"", data=None, dropped_bytes=size)
        return Frame(raw=data, data=data)


def begins_array(data: bytes) -> bool:
    """Whether a body that begins so is an array, and no SSE."""
    return data.lstrip()[:1] in (b"[", b"{")
