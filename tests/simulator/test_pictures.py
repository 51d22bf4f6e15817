from __future__ import annotations

import base64
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thalweg.canon.parts import Media
from thalweg.simulator.pictures import Picture, describe, facts, read_picture

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


def gif(*delays: int, table: bool = True) -> bytes:
    """A GIF with a frame for each delay, in hundredths of a second."""
    control = b"".join(
        b"\x21\xf9\x04\0" + struct.pack("<H", delay) + b"\0\0"
        + b"\x2c" + bytes(8) + (b"\x81" + bytes(12) if table else b"\0")
        + b"\x08" + b"\x03abc" + b"\x02de" + b"\0"
        for delay in delays
    )  # fmt: skip
    head = b"GIF89a" + struct.pack("<HH", 640, 480) + (b"\x91\0\0" + bytes(12) if table else b"\0\0\0")
    return head + b"\x21\xff\x0bNETSCAPE2.0\x03\x01\0\0\0" + control + b"\x3b"


def webp(*durations: int) -> bytes:
    frames = b"".join(
        b"ANMF" + struct.pack("<I", 17) + bytes(12) + duration.to_bytes(3, "little") + b"\0" + b"x" + b"\0"
        for duration in durations
    )
    return VP8X[:16] + struct.pack("<I", 10) + VP8X[20:] + frames


APNG = PNG + bytes(4) + struct.pack(">I4sII", 8, b"acTL", 12, 0) + bytes(4) + struct.pack(">I4s", 4, b"IDAT") + b"acTL"


@pytest.mark.parametrize(
    ("data", "picture"),
    [
        pytest.param(gif(10, 25), Picture("GIF", 640, 480, 2, 0.35), id="a GIF of two frames"),
        pytest.param(gif(10, 25, 5, table=False), Picture("GIF", 640, 480, 3, 0.4), id="without colour tables"),
        pytest.param(gif(10), Picture("GIF", 640, 480, 1, 0.1), id="a GIF that stands still"),
        pytest.param(gif(10, 25)[:-8], Picture("GIF", 640, 480, 2, 0.35), id="a GIF that is cut"),
        pytest.param(webp(40, 60), Picture("WebP", 640, 480, 2, 0.1), id="an animated WebP"),
        pytest.param(APNG, Picture("PNG", 640, 480, 12), id="an animated PNG"),
    ],
)
def test_frames_are_counted(data: bytes, picture: Picture) -> None:
    assert read_picture(data) == picture


@given(st.binary(max_size=60), st.sampled_from([gif(1, 2), webp(1, 2), APNG]), st.integers(0, 80))
def test_nothing_is_raised_for_an_animation_that_breaks_off(tail: bytes, data: bytes, at: int) -> None:
    read_picture(data[:at] + tail)


def test_a_gif_of_very_many_frames_is_not_counted_to_the_end() -> None:
    said = facts(Media(kind="image", data=base64.b64encode(gif(*[1] * 10_001)).decode()), "It")
    assert "at least 10000 frames" in said


CLEAR = "iVBORw0KGgoAAAANSUhEUgAAAAIAAAABCAYAAAD0In+KAAAAC0lEQVR4nGNggAIAAAkAAftSuKkAAAAASUVORK5CYII="
RED = "iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAIAAABLbSncAAAAEUlEQVR42mP4z8CAFTEMLQkAKP8/wc53yE8AAAAASUVORK5CYII="


@pytest.mark.parametrize(
    ("media", "said"),
    [
        pytest.param(
            Media(kind="image", data=RED),
            "It is a PNG of 8 × 8 pixels, in 74 bytes. It is all #ff0000, red.",
            id="a PNG has a colour",
        ),
        pytest.param(
            Media(kind="image", data=CLEAR),
            "It is a PNG of 2 × 1 pixels, in 68 bytes. It is wholly transparent.",
            id="a PNG may be clear",
        ),
        pytest.param(
            Media(kind="image", data=base64.b64encode(JPEG).decode()),
            f"It is a JPEG of 640 × 480 pixels, in {len(JPEG)} bytes.",
            id="a JPEG has a size",
        ),
        pytest.param(
            Media(kind="image", data=base64.b64encode(gif(10, 25)).decode()),
            f"It is a GIF of 640 × 480 pixels, in {len(gif(10, 25))} bytes. It is animated: 2 frames in 0.35 s.",
            id="a GIF may be animated",
        ),
        pytest.param(
            Media(kind="image", data=base64.b64encode(APNG).decode()),
            f"It is a PNG of 640 × 480 pixels, in {len(APNG)} bytes. It is animated: 12 frames.",
            id="how long it takes is not always said",
        ),
        pytest.param(
            Media(kind="image", mime="image/avif", data="AAAA"), "It is one of 3 bytes (image/avif).", id="unknown"
        ),
        pytest.param(
            Media(kind="image", url="https://h/p/x.png?k=1"),
            "It is one at h/p/x.png; I did not look at it.",
            id="a URL",
        ),
        pytest.param(
            Media(kind="image", file_id="f"), "It is one that was uploaded before; I did not look at it.", id="a file"
        ),
    ],
)
def test_facts(media: Media, said: str) -> None:
    assert facts(media, "It") == said


def test_only_the_beginning_of_a_very_large_file_is_looked_at() -> None:
    large = gif(*[1] * 9_000) + bytes(4 * 1024 * 1024)
    said = facts(Media(kind="image", data=base64.b64encode(large).decode()), "It")
    assert f"in {len(large):,} bytes" in said
    assert "at least 9000 frames" in said
