r"""Server-Sent Events, both directions, as bytes.

Source: WHATWG HTML, section 9.2 "Server-sent events", read 2026-11. Beyond the standard, because real upstreams do it:
a last frame that no blank line closes is still dispatched at the end of the body, and each frame remembers the very
bytes it was made of, so that a relay can pass them on.

Theory of operation. Nearly every upstream ends lines with a bare LF and puts one `data: ` line in a frame. As long as
no CR has been seen, a frame ends at the first `\n\n`, which one `find` locates. The first CR moves the decoder, for
good, to reading line by line. Either way `_searched` marks how far the buffer has been looked at, and no byte is
looked at again: feeding a frame byte by byte costs no more than feeding it whole.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

MAX_FRAME_BYTES = 16 * 1024 * 1024
"""The default bound on one frame. A longer one is skipped, and a frame with `dropped_bytes` stands in its place."""

_LINE_END = re.compile(rb"[\r\n]")
_ANY_LINE_END = re.compile(rb"\r\n|\r|\n")
_BOM = b"\xef\xbb\xbf"


class Frame(msgspec.Struct, frozen=True, gc=False):
    """One block of lines up to a blank line."""

    raw: bytes
    """The bytes as they came, the blank line included. Where a read ended within its CRLF, the LF is in the next frame;
    all frames' bytes, joined, are the body, but for such an LF at its very end and for what was dropped."""
    data: bytes | None
    """The payload, lines joined with LF; `None` when the block has no data line."""
    plain: bool = False
    """Whether `raw` is `data: `, the payload on one line, and an empty line, all with LF: what every reader takes."""
    event: bytes = b""
    lines: tuple[bytes, ...] = ()
    """The payload line by line, when there are several."""
    fields: tuple[tuple[bytes, bytes], ...] = ()
    """Every field but `data` and `event`, comments included (with an empty name), in order."""
    closed: bool = True
    """False for the last frame of a body that ended without its blank line."""
    dropped_bytes: int = 0
    """How many bytes were thrown away because the frame was over the bound; the payload is then `None`."""


def plain_payload(data: bytes) -> bytes | None:
    """The payload of bytes that are exactly one plain frame; `None` for any others.

    That is what nearly every read of a stream brings, so a relay may ask this before it asks a decoder.
    """
    line, _, rest = data.partition(b"\n")
    # Whether a number is in bytes is found out at once; whether bytes are, only after they have failed as a number.
    if rest != b"\n" or line[:6] != b"data: " or 0x0D in line:
        return None
    return line[6:]


def _usual_frames(data: bytes) -> list[Frame]:
    """The frames of bytes that are plain frames, or such behind one line with their name, and nothing else; of any
    others, none.
    """
    if not data.endswith(b"\n\n") or 0x0D in data:
        return []
    frames = []
    for block in data[:-2].split(b"\n\n"):
        name, line = b"", block
        if block[:7] == b"event: ":
            name, _, line = block[7:].partition(b"\n")
        if line[:6] != b"data: " or 0x0A in line:
            return []
        frames.append(Frame(block + b"\n\n", line[6:], line is block, name))
    return frames


def _crlf_frames(data: bytes) -> list[Frame]:
    """The frames of bytes that are one `data: ` line each and end with CRLF, as Google sends them, and nothing else."""
    if not data.endswith(b"\r\n\r\n"):
        return []
    frames = []
    for block in data[:-4].split(b"\r\n\r\n"):
        if block[:6] != b"data: " or 0x0A in block or 0x0D in block:
            return []
        frames.append(Frame(block + b"\r\n\r\n", block[6:]))
    return frames


class SseDecoder:
    """Cuts one body into frames. Lives as long as the body; holds at most one unfinished frame."""

    __slots__ = ("_buffer", "_dropped", "_first", "_lf_only", "_line_start", "_searched", "_skip_lf", "max_frame_bytes")

    def __init__(self, *, max_frame_bytes: int = MAX_FRAME_BYTES) -> None:
        self.max_frame_bytes = max_frame_bytes
        self._buffer = bytearray()
        self._searched = 0
        self._line_start = 0
        self._dropped = 0
        self._first = True
        self._skip_lf = False
        self._lf_only = True

    @property
    def held_bytes(self) -> int:
        """How many bytes of an unfinished frame are held."""
        return len(self._buffer)

    @property
    def between_frames(self) -> bool:
        """Whether the next byte begins a frame."""
        return not self._buffer and not self._skip_lf

    @property
    def dropping(self) -> bool:
        """Whether the frame that is being read is over the bound and is being thrown away."""
        return self._dropped > 0

    def feed(self, data: bytes) -> list[Frame]:
        """Take in bytes, give out the frames that they complete."""
        frames: list[Frame] = []
        if not self._buffer and not self._skip_lf and len(data) <= self.max_frame_bytes:
            # The common read, of one frame or some, never touches the buffer.
            payload = plain_payload(data)
            frames = [Frame(data, payload, True)] if payload is not None else _usual_frames(data) or _crlf_frames(data)
            if frames:
                self._first = False
                return frames
        if self._lf_only and (at := data.find(b"\r")) >= 0:
            # Up to there all line ends are LF, however the reads were cut.
            self._buffer += data[:at]
            frames += self._blocks()
            self._lf_only, self._line_start = False, self._last_line()
            data = data[at:]
        self._buffer += data
        frames += self._blocks() if self._lf_only else self._lines()
        if len(self._buffer) > self.max_frame_bytes:
            self._drop()
        return frames

    def end(self) -> list[Frame]:
        """The body is over: give out what no blank line closed, if it holds anything."""
        rest = bytes(self._buffer)
        self._buffer.clear()
        if self._dropped:
            return [Frame(raw=b"", data=None, closed=False, dropped_bytes=self._dropped + len(rest))]
        if not rest.strip(b"\r\n"):
            return []
        return [msgspec.structs.replace(self._frame(rest), plain=False, closed=False)]

    def _blocks(self) -> Iterator[Frame]:
        """Every frame in the buffer, while all line ends are LF."""
        buffer = self._buffer
        start, search = 0, max(self._searched - 1, 0)
        while True:
            if not self._dropped and buffer.startswith(b"\n", start):
                end = start + 1  # an empty line of its own, as `_lines` reads it
            elif (at := buffer.find(b"\n\n", search)) >= 0:
                end = at + 2
            else:
                break
            yield self._take(bytes(buffer[start:end]))
            start = search = end
        del buffer[:start]
        self._searched = len(buffer)

    def _lines(self) -> Iterator[Frame]:
        """Every frame in the buffer, when line ends may be CR, LF or CRLF."""
        buffer = self._buffer
        self._pass_lf()
        while found := _LINE_END.search(buffer, self._searched):
            at, end = found.start(), found.end()
            if buffer[at] == 0x0D:
                # A CR ends the line now; whether an LF belongs to it may only show in the next read.
                if end < len(buffer):
                    end += buffer[end] == 0x0A
                else:
                    self._skip_lf = True
            empty = at == self._line_start
            self._searched = self._line_start = end
            if empty:
                yield self._take(bytes(buffer[:end]))
                del buffer[:end]
                self._searched = self._line_start = 0
        self._searched = len(buffer)

    def _pass_lf(self) -> None:
        """Pass over the LF that completes a CR which ended the last read: it ends no line, but its byte is kept."""
        if not self._skip_lf or self._searched >= len(self._buffer):
            return
        if self._buffer[self._searched] == 0x0A:
            self._searched = self._line_start = self._searched + 1
        self._skip_lf = False

    def _last_line(self) -> int:
        """Where the last line in the buffer begins. Where its beginning was thrown away that is 0, before the mark, so
        that the rest of it is not taken for an empty line.
        """
        return max(self._buffer.rfind(b"\n"), self._buffer.rfind(b"\r")) + 1

    def _drop(self) -> None:
        """Throw away an oversize frame's bytes, but for the last two, which may begin its end."""
        keep = min(2, len(self._buffer))
        self._dropped += len(self._buffer) - keep
        del self._buffer[:-keep]
        self._searched = keep
        self._line_start = self._last_line()

    def _take(self, raw: bytes) -> Frame:
        if self._dropped:
            size, self._dropped = self._dropped + len(raw), 0
            return Frame(raw=b"", data=None, dropped_bytes=size)
        if len(raw) > self.max_frame_bytes:
            return Frame(raw=b"", data=None, dropped_bytes=len(raw))
        return self._frame(raw)

    def _frame(self, raw: bytes) -> Frame:
        if raw.startswith(b"data: ") and raw.endswith(b"\n\n"):
            data = raw[6:-2]
            if 0x0A not in data and 0x0D not in data:
                self._first = False
                return Frame(raw, data, True)
        elif raw.startswith(b"event: ") and raw.endswith(b"\n\n"):
            # The usual frame of the dialects that name their events.
            name, _, rest = raw[7:-2].partition(b"\n")
            if rest[:6] == b"data: " and 0x0A not in rest and 0x0D not in raw:
                self._first = False
                return Frame(raw, rest[6:], False, name)
        return self._mixed_frame(raw)

    def _mixed_frame(self, raw: bytes) -> Frame:
        """A frame with anything but one plain data line."""
        text = raw.removeprefix(_BOM) if self._first else raw
        self._first = False
        event, lines, fields = b"", [], []
        for line in _ANY_LINE_END.split(text):
            name, colon, value = line.partition(b":")
            value = value.removeprefix(b" ")
            if name == b"data":
                lines.append(value)
            elif name == b"event":
                event = value
            elif name or colon:
                fields.append((name, value))
        return Frame(
            raw=raw,
            data=b"\n".join(lines) if lines else None,
            event=event,
            lines=tuple(lines) if len(lines) > 1 else (),
            fields=tuple(fields),
        )


def encode_frame(
    data: bytes, *, event: bytes = b"", event_id: bytes | None = None, retry_ms: int | None = None
) -> bytes:
    """One frame with LF line ends. Line ends inside `data` become several data lines.

    Raises `ValueError` for a CR or LF in `event` or `event_id`, or a NUL in the latter: there they would forge fields.
    """
    lines = []
    if event:
        lines.append(b"event: " + _one_line(event, "event"))
    if event_id is not None:
        lines.append(b"id: " + _one_line(event_id, "event_id"))
    if retry_ms is not None:
        lines.append(b"retry: %d" % _natural(retry_ms))
    lines += [b"data: " + line for line in _ANY_LINE_END.split(data)]
    return b"\n".join(lines) + b"\n\n"


def _one_line(value: bytes, name: str) -> bytes:
    if b"\r" in value or b"\n" in value or (name == "event_id" and b"\0" in value):
        raise ValueError(f"{name} may not hold CR, LF or NUL: {value!r}")
    return value


def _natural(value: int) -> int:
    if type(value) is not int or value < 0:
        raise ValueError(f"retry_ms must be a whole number of milliseconds, not {value!r}")
    return value
