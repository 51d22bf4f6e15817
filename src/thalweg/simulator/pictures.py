"""What can be told of a picture or another file in a request, from its bytes. Nothing is fetched."""

from __future__ import annotations

import base64
import binascii
import struct
from collections.abc import Callable
from typing import NamedTuple
from urllib.parse import urlsplit

from thalweg.canon.parts import Media
from thalweg.simulator.colours import Shade, read_shade

_READ_BASE64 = 4 * 1024 * 1024
"""Most characters of an inline file that are looked at; a JPEG's size stands behind its metadata."""
_MOST_FRAMES = 10_000


class Picture(NamedTuple):
    """What a picture's headers say."""

    format: str
    width: int
    height: int
    frames: int = 1
    """How many pictures are shown one after the other."""
    seconds: float = 0.0
    """How long they take; 0 where that is not said."""


def describe(media: Media) -> str:
    """One sentence with facts about a file in a request; of a URL only host and path are named."""
    inside = _decode(media.data) if media.kind == "image" and media.data else b""
    if picture := read_picture(inside):
        return f"The image is {_kind_and_size(picture)}."
    return _unread(media, f"There is {'an' if media.kind[0] in 'aeiou' else 'a'} {media.kind}")


def facts(image: Media, name: str) -> str:
    """All that can be read from an image, in a few sentences about `name`."""
    inside = _decode(image.data) if image.data else b""
    picture = read_picture(inside)
    if picture is None:
        return _unread(image, f"{name} is one")
    size = _size_of(image)
    sentences = [f"{name} is {_kind_and_size(picture)}, in {size:,} {'byte' if size == 1 else 'bytes'}."]
    if picture.frames > 1:
        sentences.append(_animation(picture, whole=len(image.data or "") <= _READ_BASE64))
    if shade := read_shade(inside):
        sentences.append(_colour(shade))
    return " ".join(sentences)


def read_picture(data: bytes) -> Picture | None:
    """What the headers of a PNG, JPEG, GIF or WebP say; `None` for anything else and for a broken header."""
    try:
        return next((read(data) for magic, read in _READERS if data.startswith(magic)), None)
    except (struct.error, IndexError):
        return None


def _unread(media: Media, what: str) -> str:
    """What can be said of a file whose inside is not known."""
    if media.url is not None:
        return f"{what} at {_place(media.url)}; I did not look at it."
    if media.data is None:
        return f"{what} that was uploaded before; I did not look at it."
    return f"{what} of {_size_of(media)} bytes ({media.mime or 'of no stated type'})."


def _size_of(media: Media) -> int:
    data = media.data or ""
    return len(data) * 3 // 4 - data[-2:].count("=")


def _kind_and_size(picture: Picture) -> str:
    return f"a {picture.format} of {picture.width} × {picture.height} pixels"


def _animation(picture: Picture, *, whole: bool) -> str:
    least = "" if whole and picture.frames < _MOST_FRAMES else "at least "
    time = f" in {picture.seconds:.2f} s" if picture.seconds else ""
    return f"It is animated: {least}{picture.frames} frames{time}."


def _colour(shade: Shade) -> str:
    if shade.transparent:
        return f"{shade.where} is wholly transparent."
    every = "is all" if shade.even else "is on average"
    return f"{shade.where} {every} {shade.hex}, {shade.name}."


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
    """PNG specification (third edition), section 11.2.1: IHDR is the first chunk; 11.3.6.1: acTL stands before IDAT."""
    width, height = struct.unpack_from(">II", data, 16)
    control = data.find(b"acTL", 33, max(33, data.find(b"IDAT", 33)))
    frames = struct.unpack_from(">I", data, control + 4)[0] if control > 0 else 1
    return Picture("PNG", width, height, max(1, frames))


def _gif(data: bytes) -> Picture:
    """GIF89a specification, sections 18 (logical screen), 20 (images) and 23 (graphic control)."""
    width, height = struct.unpack_from("<HH", data, 6)
    at, frames, hundredths = 13 + (_colour_table(data[10]) if len(data) > 10 else 0), 0, 0
    while at < len(data) and frames < _MOST_FRAMES:
        block = data[at]
        if block == 0x2C:
            frames += 1
            at = _after_blocks(data, at + 11 + (_colour_table(data[at + 9]) if at + 9 < len(data) else 0))
        elif block == 0x21:
            if data[at + 1 : at + 3] == b"\xf9\x04":
                hundredths += int.from_bytes(data[at + 4 : at + 6], "little")
            at = _after_blocks(data, at + 2)
        else:
            break
    return Picture("GIF", width, height, max(1, frames), hundredths / 100)


def _colour_table(packed: int) -> int:
    """Bytes of the colour table that these flags announce."""
    return 3 << (packed & 7) + 1 if packed & 0x80 else 0


def _after_blocks(data: bytes, at: int) -> int:
    """Where a row of sub-blocks ends."""
    while at < len(data) and data[at]:
        at += data[at] + 1
    return at + 1


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
        frames, milliseconds = _webp_frames(data)
        return Picture("WebP", _uint24(data, 24) + 1, _uint24(data, 27) + 1, max(1, frames), milliseconds / 1000)
    if data[12:16] == b"VP8L":
        bits = struct.unpack_from("<I", data, 21)[0]
        return Picture("WebP", (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1)
    width, height = struct.unpack_from("<HH", data, 26)
    return Picture("WebP", width & 0x3FFF, height & 0x3FFF)


def _webp_frames(data: bytes) -> tuple[int, int]:
    """How many frames there are, and their milliseconds: section 2.7.1.1, ANMF chunks."""
    at, frames, milliseconds = 12, 0, 0
    while at + 8 <= len(data) and frames < _MOST_FRAMES:
        size = struct.unpack_from("<I", data, at + 4)[0]
        if data[at : at + 4] == b"ANMF" and at + 23 <= len(data):
            frames += 1
            milliseconds += _uint24(data, at + 20)
        at += 8 + size + (size & 1)
    return frames, milliseconds


def _uint24(data: bytes, at: int) -> int:
    return data[at] | data[at + 1] << 8 | data[at + 2] << 16


_READERS: tuple[tuple[bytes, Callable[[bytes], Picture | None]], ...] = (
    (b"\x89PNG\r\n\x1a\n", _png),
    (b"\xff\xd8", _jpeg),
    (b"GIF8", _gif),
    (b"RIFF", _webp),
)
