from __future__ import annotations

import base64
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thalweg.canon.parts import Media
from thalweg.simulator.pictures import Picture, describe, read_picture

PNG = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", 640, 480) + b"\x08\x02\0\0\0"
JPEG = (
    b"\xff\xd8"
    + b"\xff\xe0\0\x10JFIF\0"
    + b"\0" * 9
    + b"\xff\xff\xc2\0\x11\x08"
    + struct.pack(">HH", 480, 640)
    + b"\x03"
)
GIF = b"GIF89a" + struct.pack("<HH", 640, 480)
VP8 = b"RIFF\0\0\0\0WEBPVP8 \0\0\0\0\0\0\0\x9d\x01\x2a" + struct.pack("<HH", 640 | 0x4000, 480)
VP8L = b"RIFF\0\0\0\0WEBPVP8L\0\0\0\0\x2f" + struct.pack("<I", 639 | 479 << 14)
VP8X = b"RIFF\0\0\0\0WEBPVP8X\0\0\0\0\0\0\0\0" + (639).to_bytes(3, "little") + (479).to_bytes(3, "little")


@pytest.mark.parametrize(
    ("data", "name"),
    [(PNG, "PNG"), (JPEG, "JPEG"), (GIF, "GIF"), (VP8, "WebP"), (VP8L, "WebP"), (VP8X, "WebP")],
)
def test_the_size_is_read_from_the_header(data: bytes, name: str) -> None:
    assert read_picture(data) == Picture(name, 640, 480)


@given(st.binary(max_size=40), st.sampled_from([b"", PNG[:12], JPEG[:9], GIF[:4], VP8[:16], VP8L[:16], VP8X[:16]]))
def test_nothing_is_raised_for_whatever_says_it_is_a_picture(data: bytes, head: bytes) -> None:
    read_picture(head + data)


@pytest.mark.parametrize("data", [b"BM", b"", PNG[:20], JPEG[:20], b"RIFF\0\0\0\0WAVEfmt "])
def test_what_is_no_picture_or_cut_is_not_taken_for_one(data: bytes) -> None:
    assert read_picture(data) is None


@pytest.mark.parametrize(
    ("media", "said"),
    [
        (Media(kind="image", data=base64.b64encode(GIF).decode()), "The image is a GIF of 640 × 480 pixels."),
        (Media(kind="image", data="!!"), "There is an image of 1 bytes (of no stated type)."),
        (Media(kind="image", data="A"), "There is an image of 0 bytes (of no stated type)."),
        (Media(kind="image", data="图图图图"), "There is an image of 3 bytes (of no stated type)."),
        (Media(kind="image", url="http://h/p/x.png?k=1#f"), "There is an image at h/p/x.png; I did not look at it."),
        (Media(kind="image", url="http://[bad"), "There is an image at an address that is none; I did not look at it."),
        (Media(kind="document", file_id="f"), "There is a document that was uploaded before; I did not look at it."),
        (Media(kind="audio", mime="audio/wav", data="AAAA"), "There is an audio of 3 bytes (audio/wav)."),
    ],
)
def test_describe(media: Media, said: str) -> None:
    assert describe(media) == said
