"""Makes a screenshot small: a PNG of at most 256 colours. The PNG specification (third edition), read 2026-11."""

from __future__ import annotations

import struct
import zlib
from collections import Counter
from collections.abc import Iterator

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_CHANNELS = {2: 3, 6: 4}
"""By colour type: RGB, and RGB with alpha (section 11.2.1)."""
MOST_COLOURS = 256

Colour = tuple[int, int, int]


def with_palette(png: bytes) -> bytes:
    """The same picture with the colours it has most of; each other one becomes the nearest of them.

    Takes what a browser writes: 8 bits a channel, not interlaced, nothing transparent.
    """
    width, height, channels, rows = _read(png)
    colours = [
        [(row[at], row[at + 1], row[at + 2]) for at in range(0, width * channels, channels)]
        for row in _unfiltered(rows, height, width * channels, channels)
    ]
    palette = _palette(Counter(colour for row in colours for colour in row))
    places = {colour: place for place, colour in enumerate(palette)}
    for colour in {colour for row in colours for colour in row} - places.keys():
        places[colour] = min(range(len(palette)), key=lambda place: _distance(colour, palette[place]))
    body = b"".join(b"\0" + bytes(places[colour] for colour in row) for row in colours)
    return _SIGNATURE + b"".join(
        (
            _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)),
            _chunk(b"PLTE", bytes(part for colour in palette for part in colour)),
            _chunk(b"IDAT", zlib.compress(body, 9)),
            _chunk(b"IEND", b""),
        )
    )


def _palette(counted: Counter[Colour]) -> list[Colour]:
    """The most frequent colours, but none that stands closer to a more frequent one than the eye can tell."""
    for apart in (0, 2, 4, 8, 16, 32, 64, 128, 256):
        chosen: list[Colour] = []
        for colour, _ in counted.most_common():
            if not apart or all(_distance(colour, other) > apart for other in chosen):
                chosen.append(colour)
            if len(chosen) > MOST_COLOURS:
                break
        if len(chosen) <= MOST_COLOURS:
            break
    return chosen[:MOST_COLOURS]


def _distance(one: Colour, other: Colour) -> int:
    return sum((first - second) ** 2 for first, second in zip(one, other, strict=True))


def _chunks(png: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = len(_SIGNATURE)
    while at < len(png):
        (length,) = struct.unpack_from(">I", png, at)
        yield png[at + 4 : at + 8], png[at + 8 : at + 8 + length]
        at += length + 12


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def _read(png: bytes) -> tuple[int, int, int, bytes]:
    if not png.startswith(_SIGNATURE):
        raise ValueError("no PNG")
    head, body = b"", b""
    for name, inside in _chunks(png):
        head = inside if name == b"IHDR" else head
        body += inside if name == b"IDAT" else b""
    width, height, depth, kind, *_, interlaced = struct.unpack(">IIBBBBB", head)
    if depth != 8 or kind not in _CHANNELS or interlaced:
        raise ValueError(f"a PNG of another kind: depth {depth}, colour type {kind}, interlaced {interlaced}")
    return width, height, _CHANNELS[kind], zlib.decompress(body)


def _unfiltered(data: bytes, height: int, length: int, step: int) -> Iterator[bytes]:
    """Section 9.2: each row says how its bytes depend on those to the left and above."""
    above = bytes(length)
    for begin in range(0, height * (length + 1), length + 1):
        above = _row(data[begin], bytearray(data[begin + 1 : begin + 1 + length]), above, step)
        yield above


def _row(kind: int, row: bytearray, above: bytes, step: int) -> bytes:
    for at in range(len(row)) if kind else ():
        left = row[at - step] if at >= step else 0
        corner = above[at - step] if at >= step else 0
        guess = (0, left, above[at], (left + above[at]) // 2, _paeth(left, above[at], corner))[kind]
        row[at] = (row[at] + guess) & 0xFF
    return bytes(row)


def _paeth(left: int, above: int, corner: int) -> int:
    guess = left + above - corner
    return min((left, above, corner), key=lambda each: abs(guess - each))
