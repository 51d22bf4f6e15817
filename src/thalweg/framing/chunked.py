"""Transfer chunks of HTTP/1.1 (RFC 9112, section 7.1), one to a read or a write, as a stream's mostly are. As bytes.

What every chunk of every stream needs is looked up: to say a size in hexadecimal takes longer than to join the pieces.
"""

from __future__ import annotations

LINE_END = b"\r\n"
LAST_TWO = slice(-2, None)
MOST_BYTES = 4096
"""A read that is shorter may take the short way. Longer ones are few, and have more to do."""


Shape = tuple[bytes, slice, int]
"""What a read is made of, if it is exactly one chunk without an extension, as everybody writes them: the line that says
its size, where that line stands, and where the data begins. The `LAST_TWO` bytes must be a line's end.

A plain tuple: one whose fields have names is taken apart by way of an iterator.
"""

MOST_LINE_BYTES = len(b"%x\r\n" % MOST_BYTES)
LINES: tuple[bytes, ...] = tuple(b"%x\r\n" % size for size in range(MOST_BYTES))
"""The line before a chunk, by the size of its data."""


def _shapes() -> tuple[Shape, ...]:
    cuts = [slice(at) for at in range(MOST_LINE_BYTES + 1)]
    shapes: list[Shape] = [(b"none", cuts[0], 0)] * MOST_BYTES
    # Without the chunk of size 0, which is the end of the body.
    for size, line in enumerate(LINES[1:], 1):
        if (length := len(line) + size + 2) < MOST_BYTES:
            shapes[length] = (line, cuts[len(line)], len(line))
    return tuple(shapes)


SHAPES: tuple[Shape, ...] = _shapes()
"""By the length of the whole read; where no chunk is so long, one that fits none."""


def chunk(data: bytes) -> bytes:
    """One chunk of this data, which is not empty."""
    size = len(data)
    return (LINES[size] if size < MOST_BYTES else b"%x\r\n" % size) + data + LINE_END
