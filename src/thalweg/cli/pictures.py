"""Images from files, as requests carry them. What a file is, its first bytes say, and not its name."""

from __future__ import annotations

import base64
from pathlib import Path

from thalweg.cli.session import Image
from thalweg.cli.visible import readable
from thalweg.cli.words import say

MOST_BYTES = 14 * 1024 * 1024
"""In base64, with the rest of a request, that stays below what a gateway takes."""

_MARKS: tuple[tuple[bytes, int, str], ...] = (
    (b"\x89PNG\r\n\x1a\n", 0, "image/png"),
    (b"\xff\xd8\xff", 0, "image/jpeg"),
    (b"GIF87a", 0, "image/gif"),
    (b"GIF89a", 0, "image/gif"),
    (b"WEBP", 8, "image/webp"),
    (b"BM", 0, "image/bmp"),
)
"""What a file begins with, where that stands, and what it is then."""


class NoImage(Exception):
    """The file cannot be sent as an image. The message names it and says why."""


def read_image(file: Path) -> Image:
    """The image in a file. Raises `NoImage`."""
    try:
        data = file.read_bytes()
    except OSError as error:
        raise NoImage(say("chat.image_unread", file=file, why=error.strerror)) from error
    mime = next((mime for mark, at, mime in _MARKS if data[at : at + len(mark)] == mark), None)
    if mime is None:
        raise NoImage(say("chat.image_unknown", file=file))
    if len(data) > MOST_BYTES:
        raise NoImage(say("chat.image_large", file=file, most=MOST_BYTES // 1024 // 1024))
    return Image(name=readable(file.name), url=f"data:{mime};base64,{base64.b64encode(data).decode()}")
