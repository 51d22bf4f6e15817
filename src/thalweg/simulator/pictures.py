"""What can be told of a picture or another file in a request, from its first bytes. Nothing is fetched."""

from __future__ import annotations

import base64
import binascii
import struct
from collections.abc import Callable
from typing import NamedTuple
from urllib.parse import urlsplit

from thalweg.canon.parts import Media

_READ_BASE64 = 4 * 1024 * 1024
"""Most characters of an inline file that are looked at; a JPEG's size stands behind its metadata."""


class Picture(NamedTuple):
    """What a picture's header says."""

    format: str
    width: int
    height: int


def describe(media: Media) -> str:
    """One sentence with facts about a file in a request; of a URL only host and path are named."""
    article = "an" if media.kind[0] in "aeiou" else "a"
    if media.url is not None:
        return f"There is {article} {media.kind} at {_place(media.url)}; I did not look at it."
    if media.data is None:
        return f"There is {article} {media.kind} that was uploaded before; I did not look at it."
    inside = _decode(media.data)
    if media.kind == "image" and (picture := read_picture(inside)):
        return f"The image is a {picture.format} of {picture.width} × {picture.height} pixels."
    size = len(media.data) * 3 // 4 - media.data[-2:].count("=")
    return f"There is {article} {media.kind} of {size} bytes ({media.mime or 'of no stated type'})."


def read_picture(data: bytes) -> Picture | None:
    """Format and size of a PNG, JPEG, GIF or WebP; `None` for anything else and for a broken header."""
    try:
        return next((read(data) for magic, read in _READERS if data.startswith(magic)), None)
    except (struct.error, IndexError):
        return None


def _decode(data: str) -> bytes:
    try:
        return base64.b64decode(data[:_READ_BASE64])
    except (binascii.Error, ValueError):
        return b""


def _place(url: str) -> str:
    """Host and path. What else a URL has may be a secret."""
    try:
        parts = urlsplit(url)
        return f"{parts.hostname or ''}{parts.path}" or "an address without a host"
    except ValueError:
        return "an address that is none"


def _png(data: bytes) -> Picture:
    """PNG specification, section 11.2.2: IHDR is the first chunk."""
    return Picture("PNG", *struct.unpack_from(">II", data, 16))


def _gif(data: bytes) -> Picture:
    """GIF89a specification, section 18: logical screen descriptor."""
    return Picture("GIF", *struct.unpack_from("<HH", data, 6))


def _jpeg(data: bytes) -> Picture | None:
    """ITU T.81, annex B: walks the segments to the frame header (SOF0 to SOF15 but for DHT, JPG and DAC)."""
    at = 2
    while data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:
            at += 1
            continue
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack_from(">HH", data, at + 5)
            return Picture("JPEG", width, height)
        at += 2 + struct.unpack_from(">H", data, at + 2)[0]
    return None


def _webp(data: bytes) -> Picture | None:
    """RFC 9649, sections 2.4 to 2.7."""
    if data[8:12] != b"WEBP":
        return None
    if data[12:16] == b"VP8X":
        return Picture("WebP", _uint24(data, 24) + 1, _uint24(data, 27) + 1)
    if data[12:16] == b"VP8L":
        bits = struct.unpack_from("<I", data, 21)[0]
        return Picture("WebP", (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1)
    width, height = struct.unpack_from("<HH", data, 26)
    return Picture("WebP", width & 0x3FFF, height & 0x3FFF)


def _uint24(data: bytes, at: int) -> int:
    return data[at] | data[at + 1] << 8 | data[at + 2] << 16


_READERS: tuple[tuple[bytes, Callable[[bytes], Picture | None]], ...] = (
    (b"\x89PNG\r\n\x1a\n", _png),
    (b"\xff\xd8", _jpeg),
    (b"GIF8", _gif),
    (b"RIFF", _webp),
)
