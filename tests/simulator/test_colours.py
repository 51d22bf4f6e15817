"""Colours of PNGs that are written here with every filter, depth and kind that the format has."""

from __future__ import annotations

import random
import struct
import time
import zlib
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thalweg.simulator.colours import Shade, read_shade

GREY, TRUE, PALETTE, GREY_ALPHA, TRUE_ALPHA = 0, 2, 3, 4, 6
CHANNELS = {GREY: 1, TRUE: 3, PALETTE: 1, GREY_ALPHA: 2, TRUE_ALPHA: 4}
DEPTHS = {GREY: (1, 2, 4, 8, 16), TRUE: (8, 16), PALETTE: (1, 2, 4, 8), GREY_ALPHA: (8, 16), TRUE_ALPHA: (8, 16)}


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(size: tuple[int, int], depth: int, kind: int, rows: bytes, *, interlaced: int = 0, more: bytes = b"") -> bytes:
    header = struct.pack(">IIBBBBB", *size, depth, kind, 0, 0, interlaced)
    packed = zlib.compress(rows)
    data = chunk(b"IDAT", packed[:7]) + chunk(b"IDAT", packed[7:])
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + more + data + chunk(b"IEND", b"")


def paeth(left: int, up: int, corner: int) -> int:
    guess = left + up - corner
    return min((left, up, corner), key=lambda value: abs(guess - value))


def filtered(rows: list[bytes], step: int, kinds: Iterable[int]) -> bytes:
    """The rows as an encoder filters them, straight from the specification."""
    made, above = b"", bytes(len(rows[0]))
    for row, kind in zip(rows, kinds, strict=False):
        left, corner = bytes(step) + row, bytes(step) + above
        guesses = {
            0: lambda at: 0,
            1: lambda at, left=left: left[at],
            2: lambda at, above=above: above[at],
            3: lambda at, left=left, above=above: (left[at] + above[at]) // 2,
            4: lambda at, left=left, above=above, corner=corner: paeth(left[at], above[at], corner[at]),
        }
        made += bytes([kind]) + bytes((value - guesses[kind](at)) & 255 for at, value in enumerate(row))
        above = row
    return made


def one_colour(red: int, green: int, blue: int, **more: Any) -> Shade:
    return Shade(red, green, blue, **({"even": True, "transparent": False, "rows": None} | more))


@given(
    rows=st.integers(1, 6).flatmap(
        lambda width: st.lists(st.binary(min_size=width * 3, max_size=width * 3), min_size=1, max_size=6)
    ),
    kinds=st.lists(st.integers(0, 4), min_size=6, max_size=6),
)
def test_the_mean_is_the_mean_of_the_pixels_whatever_the_filters(rows: list[bytes], kinds: list[int]) -> None:
    shade = read_shade(png((len(rows[0]) // 3, len(rows)), 8, TRUE, filtered(rows, 3, kinds)))
    flat = b"".join(rows)
    assert shade is not None
    means = [sum(flat[at::3]) / (len(flat) // 3) for at in range(3)]
    assert [shade.red, shade.green, shade.blue] == [round(mean) for mean in means]
    assert shade.even == (flat == flat[:3] * (len(flat) // 3))


@pytest.mark.parametrize(("kind", "depth"), [(kind, depth) for kind, depths in DEPTHS.items() for depth in depths])
@pytest.mark.parametrize("filter_", range(5))
def test_every_kind_and_depth_is_read(kind: int, depth: int, filter_: int) -> None:
    width, height, most = 5, 4, (1 << depth) - 1
    sample = most  # white; of a palette the last colour
    bits = f"{sample:0{depth}b}" * CHANNELS[kind] * width
    row = int(bits.ljust(-(-len(bits) // 8) * 8, "0"), 2).to_bytes(-(-len(bits) // 8), "big")
    more = chunk(b"PLTE", b"\0\0\0" * most + b"\xff\xff\xff") if kind == PALETTE else b""
    step = max(1, CHANNELS[kind] * depth // 8)
    data = png((width, height), depth, kind, filtered([row] * height, step, [filter_] * height), more=more)
    assert read_shade(data) == one_colour(255, 255, 255)


def test_a_palette_is_looked_up_and_may_have_alpha() -> None:
    palette = chunk(b"PLTE", bytes([255, 0, 0, 0, 0, 255]))
    rows = filtered([bytes([0b01010000])], 1, [0])
    assert read_shade(png((4, 1), 1, PALETTE, rows, more=palette)) == one_colour(128, 0, 128, even=False)
    # The first colour cannot be seen, so the second is all there is.
    with_alpha = palette + chunk(b"tRNS", b"\0")
    assert read_shade(png((4, 1), 1, PALETTE, rows, more=with_alpha)) == one_colour(0, 0, 255, even=False)


def test_pixels_count_by_what_can_be_seen_of_them() -> None:
    rows = filtered([bytes([200, 100, 0, 255, 0, 0, 0, 0])], 4, [0])
    assert read_shade(png((2, 1), 8, TRUE_ALPHA, rows)) == one_colour(200, 100, 0, even=False)
    nothing = read_shade(png((2, 1), 8, TRUE_ALPHA, filtered([bytes(8)], 4, [0])))
    assert nothing is not None
    assert nothing.transparent


def test_of_an_interlaced_picture_the_first_pass_is_read() -> None:
    first = filtered([bytes([10, 20, 30]) * 2] * 2, 3, [1, 2])
    data = png((9, 16), 8, TRUE, first + b"what the other passes are", interlaced=1)
    assert read_shade(data) == one_colour(10, 20, 30)


def test_of_a_large_picture_the_upper_rows_are_read() -> None:
    row = bytes([0, 0, 200]) * 2000
    shade = read_shade(png((2000, 5000), 8, TRUE, filtered([row] * 40, 3, [0] * 40)))
    assert shade == one_colour(0, 0, 200, rows=32)
    assert shade is not None
    assert shade.where == "The part in its first 32 rows"


def test_of_a_picture_that_breaks_off_what_is_there_is_read() -> None:
    shade = read_shade(png((2, 9), 8, TRUE, filtered([bytes(6)], 3, [0])))
    assert shade == one_colour(0, 0, 0, rows=1)
    assert shade is not None
    assert shade.where == "Its first row"


def test_a_picture_that_unpacks_to_very_much_takes_little_time_and_memory() -> None:
    bomb = png((60_000, 60_000), 8, TRUE, bytes(180_001 * 100))
    began = time.perf_counter()
    assert read_shade(bomb) == one_colour(0, 0, 0, rows=1)
    assert time.perf_counter() - began < 2
    assert read_shade(png((2**31 - 1, 1), 16, TRUE_ALPHA, bytes(1000))) is None


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"GIF89a", id="no PNG"),
        pytest.param(png((2, 2), 8, TRUE, b""), id="no pixels"),
        pytest.param(png((2, 2), 8, 5, bytes(100)), id="a kind that is none"),
        pytest.param(png((2, 2), 8, TRUE, b"\x09" + bytes(20)), id="a filter that is none"),
        pytest.param(png((0, 0), 8, TRUE, bytes(20)), id="no size"),
        pytest.param(png((2, 2), 0, GREY, bytes(20)), id="no depth"),
        pytest.param(png((2, 2), 3, GREY, bytes(20)), id="a depth that is none"),
        pytest.param(png((2, 2), 8, TRUE, bytes(20)).replace(b"IDAT", b"IDAX"), id="no data"),
        pytest.param(png((2, 2), 8, TRUE, bytes(20))[:40], id="cut off"),
    ],
)
def test_what_cannot_be_read_has_no_colour(data: bytes) -> None:
    assert read_shade(data) is None


good = png((4, 4), 8, TRUE, filtered([random.Random(1).randbytes(12)] * 4, 3, [1, 2, 3, 4]))


@given(st.lists(st.tuples(st.integers(8, len(good) - 1), st.integers(0, 255)), max_size=6), st.integers(0, len(good)))
def test_nothing_is_raised_for_a_damaged_picture(damage: list[tuple[int, int]], length: int) -> None:
    data = bytearray(good)
    for at, value in damage:
        data[at] = value
    read_shade(bytes(data[:length]))


def test_each_colour_has_the_name_of_its_nearest() -> None:
    named = {
        "red": (255, 0, 0),
        "green": (0, 170, 40),
        "blue": (0, 0, 255),
        "white": (250, 250, 250),
        "black": (4, 4, 4),
    }
    assert {name: one_colour(*colour).name for name, colour in named.items()} == {name: name for name in named}
    assert one_colour(1, 171, 255).hex == "#01abff"
