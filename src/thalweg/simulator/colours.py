"""The mean colour of a PNG, read with nothing but zlib. Other formats would need a decoder of their own.

It is read while a server waits, so only so many bytes of pixels are: of a large picture the upper rows, of an
interlaced one its first pass, which has a pixel of each 8 × 8. Sources: PNG specification (third edition), sections 9
(filters), 8 (interlacing) and 11.2 (chunks).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator
from itertools import accumulate
from operator import mul
from typing import NamedTuple

_MOST_BYTES = 192 * 1024
"""Most bytes of unpacked pixels; some tens of milliseconds of work."""
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""Channels by colour type: grey, true colour, palette, grey with alpha, true colour with alpha."""
_DEPTHS = (1, 2, 4, 8, 16)
_PALETTE = 3
_WITH_ALPHA = (4, 6)

_NAMES: dict[str, tuple[int, int, int]] = {
    "black": (0, 0, 0),
    "dark grey": (64, 64, 64),
    "grey": (128, 128, 128),
    "light grey": (192, 192, 192),
    "white": (255, 255, 255),
    "red": (220, 20, 40),
    "dark red": (120, 10, 20),
    "orange": (250, 140, 20),
    "brown": (130, 80, 40),
    "beige": (235, 220, 190),
    "yellow": (250, 225, 40),
    "olive": (125, 125, 20),
    "green": (30, 160, 50),
    "light green": (150, 225, 140),
    "dark green": (10, 80, 30),
    "turquoise": (50, 205, 200),
    "light blue": (140, 195, 240),
    "blue": (30, 80, 220),
    "dark blue": (15, 25, 110),
    "violet": (125, 50, 180),
    "pink": (250, 150, 190),
    "magenta": (220, 30, 180),
}


class Shade(NamedTuple):
    """The mean colour of a picture, or of the part of it that was read."""

    red: int
    green: int
    blue: int
    even: bool
    """Whether every pixel that was read has this colour."""
    transparent: bool
    """Whether nothing of it can be seen, so that it has no colour."""
    rows: int | None
    """Rows that were read, from the top; `None` for all of them."""

    @property
    def hex(self) -> str:
        """As pages write it: `#1e50dc`."""
        return f"#{self.red:02x}{self.green:02x}{self.blue:02x}"

    @property
    def name(self) -> str:
        """The nearest of the colours that have a name here."""
        own = (self.red, self.green, self.blue)
        return min(_NAMES, key=lambda name: sum((a - b) ** 2 for a, b in zip(own, _NAMES[name], strict=True)))

    @property
    def where(self) -> str:
        """What was read, as the beginning of a sentence."""
        if self.rows is None:
            return "It"
        return "Its first row" if self.rows == 1 else f"The part in its first {self.rows} rows"


class _Header(NamedTuple):
    """IHDR."""

    width: int
    height: int
    depth: int
    colour_type: int
    compression: int
    filter: int
    interlaced: int


class _Packed(NamedTuple):
    """The chunks that count."""

    header: _Header
    palette: bytes
    alphas: bytes
    """Alpha of the palette's first colours."""
    pixels: bytes


def read_shade(data: bytes) -> Shade | None:
    """The mean colour; `None` for what is no PNG, is broken, or has rows of more bytes than are read."""
    if not data.startswith(b"\x89PNG\r\n\x1a\n"):
        return None
    try:
        return _shade(_unchunked(data))
    except (struct.error, zlib.error, IndexError, KeyError):
        return None


def _unchunked(data: bytes) -> _Packed:
    header, palette, alphas, at = _Header(*struct.unpack_from(">IIBBBBB", data, 16)), b"", b"", 33
    pixels: list[bytes] = []
    while at + 8 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        inside = data[at + 8 : at + 8 + size]
        if kind == b"PLTE":
            palette = inside
        elif kind == b"tRNS":
            alphas = inside
        elif kind == b"IDAT":
            pixels.append(inside)
        at += size + 12
    return _Packed(header, palette, alphas, b"".join(pixels))


def _shade(packed: _Packed) -> Shade | None:
    header = packed.header
    if header.depth not in _DEPTHS:
        return None
    width, height = header.width, header.height
    if header.interlaced:
        width, height = -(-width // 8), -(-height // 8)
    bits = _CHANNELS[header.colour_type] * header.depth
    line = -(-width * bits // 8)
    rows = min(height, _MOST_BYTES // (line + 1))
    if not rows:
        return None
    raw = zlib.decompressobj().decompress(packed.pixels, rows * (line + 1))
    read = len(raw) // (line + 1)
    if not read:
        return None
    lines = _unfiltered(raw, line, max(1, bits // 8))
    samples = b"".join(_samples(each, header)[: width * _CHANNELS[header.colour_type]] for each in lines)
    return _mean(*_channels(samples, packed), rows=None if read == height else read)


def _mean(red: bytes, green: bytes, blue: bytes, alpha: bytes | None, *, rows: int | None) -> Shade:
    channels = (red, green, blue)
    weight = len(red) if alpha is None else sum(alpha)
    if not weight:
        return Shade(0, 0, 0, even=True, transparent=True, rows=rows)
    means = [round(sum(each if alpha is None else map(mul, each, alpha)) / weight) for each in channels]
    even = all(min(each) == max(each) for each in (*channels, *([] if alpha is None else [alpha])))
    return Shade(means[0], means[1], means[2], even=even, transparent=False, rows=rows)


def _channels(samples: bytes, packed: _Packed) -> tuple[bytes, bytes, bytes, bytes | None]:
    """Red, green, blue, and alpha where there is one, each sample one byte."""
    kind = packed.header.colour_type
    if kind == _PALETTE:
        red, green, blue = (samples.translate(packed.palette[at::3].ljust(256, b"\0")) for at in range(3))
        return red, green, blue, samples.translate(packed.alphas.ljust(256, b"\xff")) if packed.alphas else None
    step = _CHANNELS[kind]
    colours = [samples[at::step] for at in range(step)]
    alpha = colours.pop() if kind in _WITH_ALPHA else None
    red, green, blue = colours * (3 // len(colours))
    return red, green, blue, alpha


def _samples(line: bytes, header: _Header) -> bytes:
    """One byte for each sample: of two the first, of a part of one the value, stretched unless it is an index."""
    if header.depth == 16:
        return line[::2]
    if header.depth == 8:
        return line
    most = (1 << header.depth) - 1
    stretch = 1 if header.colour_type == _PALETTE else 255 // most
    shifts = range(8 - header.depth, -1, -header.depth)
    return bytes((byte >> shift & most) * stretch for byte in line for shift in shifts)


def _unfiltered(raw: bytes, line: int, step: int) -> Iterator[bytes]:
    """The rows as they were before they were filtered."""
    above = bytes(line)
    for at in range(0, len(raw) - line, line + 1):
        above = _FILTERS[raw[at]](raw[at + 1 : at + 1 + line], above, step)
        yield above


def _none(row: bytes, _: bytes, __: int) -> bytes:
    return row


def _sub(row: bytes, _: bytes, step: int) -> bytes:
    made = bytearray(row)
    for at in range(step):
        made[at::step] = bytes(value & 255 for value in accumulate(row[at::step]))
    return bytes(made)


def _up(row: bytes, above: bytes, _: int) -> bytes:
    return bytes((a + b) & 255 for a, b in zip(row, above, strict=True))


def _average(row: bytes, above: bytes, step: int) -> bytes:
    made = bytearray(step)  # what is left of the first pixel counts as zero
    for value, up in zip(row, above, strict=True):
        made.append((value + (made[-step] + up) // 2) & 255)
    return bytes(made[step:])


def _paeth(row: bytes, above: bytes, step: int) -> bytes:
    made = bytearray(step)
    for value, up, corner in zip(row, above, bytes(step) + above, strict=False):
        left = made[-step]
        near, far, both = abs(up - corner), abs(left - corner), abs(left + up - 2 * corner)
        guess = left if near <= far and near <= both else up if far <= both else corner
        made.append((value + guess) & 255)
    return bytes(made[step:])


_FILTERS: dict[int, Callable[[bytes, bytes, int], bytes]] = {0: _none, 1: _sub, 2: _up, 3: _average, 4: _paeth}
