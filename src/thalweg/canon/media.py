"""Files inside JSON: data URLs and base64, as clients write them, put as every upstream takes them."""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from typing import Literal

MediaKind = Literal["image", "audio", "video", "document"]

_SYNONYMS = {"image/jpg": "image/jpeg", "audio/x-wav": "audio/wav", "audio/mp3": "audio/mpeg"}
_MARKS: tuple[tuple[bytes, str], ...] = (
    (b"\x89PNG", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
    (b"II*\0", "image/tiff"),
    (b"MM\0*", "image/tiff"),
    (b"%PDF", "application/pdf"),
    (b"ID3", "audio/mpeg"),
    (b"\xff\xfb", "audio/mpeg"),
    (b"\xff\xf3", "audio/mpeg"),
    (b"\xff\xf1", "audio/aac"),
    (b"\xff\xf9", "audio/aac"),
    (b"fLaC", "audio/flac"),
    (b"OggS", "audio/ogg"),
    (b"\x1aE\xdf\xa3", "video/webm"),
)
_RIFF = {b"WEBP": "image/webp", b"WAVE": "audio/wav", b"AVI ": "video/x-msvideo"}
# ISO 14496-12: the brand behind `ftyp`; what is in none of these is a film.
_BRANDS = {
    b"avif": "image/avif",
    b"avis": "image/avif",
    b"heic": "image/heic",
    b"heix": "image/heic",
    b"mif1": "image/heif",
    b"M4A ": "audio/mp4",
    b"qt  ": "video/quicktime",
}
MARKED = frozenset({mime for _, mime in _MARKS} | {*_RIFF.values(), *_BRANDS.values(), "video/mp4"})
"""Types that `sniff` knows by their first bytes."""
_ALPHABET = re.compile(r"[A-Za-z0-9+/]*={0,2}")


def data_url(url: str) -> tuple[str | None, str] | None:
    """MIME type and standard base64 of a `data:` URL; `None` for any other. Raises `ValueError` for a broken one."""
    if url[:5].lower() != "data:":
        return None
    head, comma, payload = url[5:].partition(",")
    if not comma:
        raise ValueError("a data URL has a comma before its data")
    mime, *flags = head.split(";")
    if "base64" not in (flag.strip().lower() for flag in flags):
        raise ValueError("a data URL must be base64")
    data = standard_base64(payload)
    return mime_of(mime, data), data


def standard_base64(text: str) -> str:
    """Base64 with the standard alphabet and its padding. Raises `ValueError` for what is none."""
    text = "".join(text.split()).replace("-", "+").replace("_", "/").rstrip("=")
    text += "=" * (-len(text) % 4)
    if len(text) % 4 or text.endswith("===") or not _ALPHABET.fullmatch(text):
        raise ValueError("the data is not base64")
    return text


def mime_of(said: str | None, data: str) -> str | None:
    """The MIME type as it is usually written; of data that nobody named, what its first bytes say."""
    mime = (said or "").partition(";")[0].strip().lower()
    if mime and mime != "application/octet-stream":
        return _SYNONYMS.get(mime, mime)
    return sniff(b64decode(data[:24]))


def sniff(first: bytes) -> str | None:
    """The MIME type that the first twelve bytes of a file show; `None` for what shows none."""
    if first[:4] == b"RIFF":
        return _RIFF.get(first[8:12])
    if first[4:8] == b"ftyp":
        return _BRANDS.get(first[8:12], "video/mp4")
    return next((found for mark, found in _MARKS if first.startswith(mark)), None)


def kind_of(mime: str | None) -> MediaKind:
    """What a file of this type is."""
    head = (mime or "").partition("/")[0]
    kinds: dict[str, MediaKind] = {"image": "image", "audio": "audio", "video": "video"}
    return kinds.get(head, "document")


def encode_base64(data: bytes) -> str:
    """Standard base64 with padding."""
    return b64encode(data).decode()
