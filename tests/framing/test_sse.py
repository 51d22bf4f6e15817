"""Cutting bytes into SSE frames and back: every line end, every cut, the bound on one frame, and nothing foreign."""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thalweg.framing.sse import Frame, SseDecoder, encode_frame

LINE_END = re.compile(rb"\r\n|\r|\n")


class Said(NamedTuple):
    """What a frame means, without the bytes it came in."""

    data: bytes | None
    event: bytes = b""
    fields: tuple[tuple[bytes, bytes], ...] = ()
    closed: bool = True
    dropped: bool = False


def said(frames: Iterable[Frame]) -> list[Said]:
    """The meaning of all frames that hold anything: where empty lines stand depends on nothing a reader can see."""
    found = [Said(f.data, f.event, f.fields, f.closed, bool(f.dropped_bytes)) for f in frames]
    return [one for one in found if one != Said(None)]


def decode(pieces: Iterable[bytes], **options: int) -> list[Frame]:
    decoder = SseDecoder(**options)
    frames = [frame for piece in pieces for frame in decoder.feed(piece)]
    return frames + decoder.end()


def cut(body: bytes, *places: int) -> list[bytes]:
    edges = [0, *sorted(places), len(body)]
    return [body[a:b] for a, b in itertools.pairwise(edges)]


def every_cut(body: bytes, draw: random.Random) -> Iterator[list[bytes]]:
    """Whole, byte by byte, in two at each place, in three at each pair of places of a short body, and at random."""
    yield [body]
    yield [body[i : i + 1] for i in range(len(body))]
    yield from (cut(body, i) for i in range(len(body) + 1))
    if len(body) <= 40:
        yield from (cut(body, i, j) for i in range(len(body)) for j in range(i, len(body)))
    for _ in range(20):
        yield cut(body, *(draw.randrange(len(body) + 1) for _ in range(draw.randrange(6))))


def d(data: bytes, **more: object) -> Said:
    return Said(data, **more)  # type: ignore[arg-type]


COMMENT = ((b"", b"keep-alive"),)

CASES: dict[str, tuple[bytes, list[Said]]] = {
    "one frame with LF": (b"data: a\n\n", [d(b"a")]),
    "two frames in one read": (b"data: a\n\ndata: b\n\n", [d(b"a"), d(b"b")]),
    "CRLF": (b"data: a\r\n\r\ndata: b\r\n\r\n", [d(b"a"), d(b"b")]),
    "bare CR": (b"data: a\r\rdata: b\r\r", [d(b"a"), d(b"b")]),
    "LF and then CRLF": (b"data: a\n\ndata: b\r\n\r\ndata: c\n\n", [d(b"a"), d(b"b"), d(b"c")]),
    "LF and then bare CR within one frame": (b"data: a\ndata: b\r\rdata: c\n\n", [d(b"a\nb"), d(b"c")]),
    "CRLF and then LF": (b"data: a\r\n\r\ndata: b\n\n", [d(b"a"), d(b"b")]),
    "a line's CRLF and an empty line's LF": (b"data: a\r\n\ndata: b\n\r\n", [d(b"a"), d(b"b")]),
    "an LF and a CR are two line ends": (b"data: a\n\rdata: b\n\r", [d(b"a"), d(b"b")]),
    "no space after the colon": (b"data:a\n\n", [d(b"a")]),
    "only one space is dropped": (b"data:  a \n\n", [d(b" a ")]),
    "a tab is no space": (b"data:\ta\n\n", [d(b"\ta")]),
    "several data lines": (b"data: a\ndata: b\ndata:\ndata: c\n\n", [d(b"a\nb\n\nc")]),
    "several data lines with CRLF": (b"data: a\r\ndata: b\r\n\r\n", [d(b"a\nb")]),
    "an empty data line": (b"data:\n\n", [d(b"")]),
    "a data field without colon": (b"data\n\n", [d(b"")]),
    "a payload with colons": (b'data: {"a": "b: c"}\n\n', [d(b'{"a": "b: c"}')]),
    "a comment of its own": (b": keep-alive\n\ndata: a\n\n", [Said(None, fields=COMMENT), d(b"a")]),
    "a comment glued to an event": (b":keep-alive\ndata: a\n\n", [d(b"a", fields=COMMENT)]),
    "event, id and retry": (
        b"event: error\nid: 7\nretry: 10\ndata: a\n\n",
        [d(b"a", event=b"error", fields=((b"id", b"7"), (b"retry", b"10")))],
    ),
    "DashScope's native frame": (
        b"id:1\nevent:result\n:HTTP_STATUS/200\ndata:{}\n\n",
        [d(b"{}", event=b"result", fields=((b"id", b"1"), (b"", b"HTTP_STATUS/200")))],
    ),
    "a field of another name": (b'error: {"code":1}\n\n', [Said(None, fields=((b"error", b'{"code":1}'),))]),
    "names are case-sensitive": (b"Data: a\n\n", [Said(None, fields=((b"Data", b"a"),))]),
    "a BOM": (b"\xef\xbb\xbfdata: a\n\ndata: b\n\n", [d(b"a"), d(b"b")]),
    "a BOM with CRLF": (b"\xef\xbb\xbfdata: a\r\n\r\n", [d(b"a")]),
    "a BOM later is part of a name": (
        b"data: a\n\n\xef\xbb\xbfdata: b\n\n",
        [d(b"a"), Said(None, fields=((b"\xef\xbb\xbfdata", b"b"),))],
    ),
    "empty lines before, between and after": (b"\n\n\ndata: a\n\n\n\n\ndata: b\n\n\n", [d(b"a"), d(b"b")]),
    "empty CRLF lines": (b"\r\n\r\ndata: a\r\n\r\n\r\n\r\ndata: b\r\n\r\n\r\n", [d(b"a"), d(b"b")]),
    "no empty line at the end": (b"data: a\n\ndata: b", [d(b"a"), d(b"b", closed=False)]),
    "one line end at the end": (b"data: a\n\ndata: b\n", [d(b"a"), d(b"b", closed=False)]),
    "one CR at the end": (b"data: a\r\rdata: b\r", [d(b"a"), d(b"b", closed=False)]),
    "one CRLF at the end": (b"data: a\r\n\r\ndata: b\r\n", [d(b"a"), d(b"b", closed=False)]),
    "cut inside a field's name": (b"data: a\n\nda", [d(b"a"), Said(None, fields=((b"da", b""),), closed=False)]),
    "U+2028, U+0085 and a vertical tab end no line": (
        "data: a\u2028b\u0085c\x0bd\x0ce\n\n".encode(),
        [d("a\u2028b\u0085c\x0bd\x0ce".encode())],
    ),
    "a NUL in the payload": (b"data: a\0b\n\n", [d(b"a\0b")]),
    "bytes that are no UTF-8": (b"data: \xff\xfe\n\n", [d(b"\xff\xfe")]),
    "nothing": (b"", []),
    "only line ends": (b"\n\r\r\n\n", []),
}


@pytest.mark.parametrize("case", CASES)
def test_each_case_reads_the_same_however_it_is_cut(case: str, seeded_random: random.Random) -> None:
    body, expected = CASES[case]
    for pieces in every_cut(body, seeded_random):
        frames = decode(pieces)
        assert said(frames) == expected, pieces
        assert_keeps_every_byte(frames, body)


def assert_keeps_every_byte(frames: list[Frame], body: bytes) -> None:
    """The frames' bytes, joined, are the body; only line ends that close nothing may be missing at its very end."""
    joined = b"".join(frame.raw for frame in frames)
    rest = body.removeprefix(joined)
    assert body.startswith(joined)
    assert rest in (b"", b"\n")
    if b"\r" not in body:
        assert not rest


def test_with_lf_only_also_the_bytes_of_each_frame_are_the_same(seeded_random: random.Random) -> None:
    body = b"\n\ndata: a\n\n: c\n\n\ndata: b\ndata: c\n\n\n\ndata:d\n\n"
    whole = decode([body])
    assert [frame.raw for frame in whole][2:4] == [b"data: a\n\n", b": c\n\n"]
    for pieces in every_cut(body, seeded_random):
        assert decode(pieces) == whole


def test_a_crlf_cut_in_two_moves_its_lf_to_the_next_frame_and_nothing_else() -> None:
    body = b"data: a\r\n\r\ndata: b\r\n\r\n"
    at = body.index(b"\r\ndata") + 1
    assert [frame.raw for frame in decode(cut(body, at))] == [b"data: a\r\n\r", b"\ndata: b\r\n\r\n"]
    assert [frame.raw for frame in decode(cut(body, at - 2))] == [b"data: a\r\n\r\n", b"data: b\r\n\r\n"]


def test_a_frame_leaves_with_the_byte_that_completes_it() -> None:
    for end in (b"\n\n", b"\r\r", b"\r\n\r"):
        decoder = SseDecoder()
        body = b"data: a" + end
        assert all(not decoder.feed(body[i : i + 1]) for i in range(len(body) - 1))
        assert said(decoder.feed(body[-1:])) == [d(b"a")]
        assert decoder.held_bytes == 0


@pytest.mark.parametrize(
    ("raw", "plain"),
    [
        (b"data: a\n\n", True),
        (b"data: \n\n", True),
        (b"data:a\n\n", False),
        (b"data: a\ndata: b\n\n", False),
        (b": c\ndata: a\n\n", False),
        (b"event: x\ndata: a\n\n", False),
        (b"data: a\r\n\r\n", False),
        (b"data: a\n\r\n", False),
        (b"data: a", False),
    ],
)
def test_plain_is_one_data_line_with_its_space_and_lf(raw: bytes, plain: bool) -> None:
    for pieces in ([raw], [raw[i : i + 1] for i in range(len(raw))]):
        (frame,) = decode(pieces)
        assert frame.plain is plain


def test_lines_are_kept_where_there_are_several() -> None:
    assert decode([b"data: a\ndata: b\n\n"])[0].lines == (b"a", b"b")
    assert decode([b"data: a\n\n"])[0].lines == ()


# The bound on one frame.

BOUND = 32
ENDS = {"LF": b"\n", "CRLF": b"\r\n", "CR": b"\r"}


@pytest.mark.parametrize("end", ENDS)
def test_an_oversize_frame_is_dropped_and_the_next_one_read_at_every_cut(
    end: str, seeded_random: random.Random
) -> None:
    """Also where a line end stands within the bytes that are thrown away, or among the few that are kept."""
    line = ENDS[end]
    for middle in (b"x" * 80, b"x" * 40 + line + b"x" * 40, (b"x" * 3 + line) * 20 + b"x", b"x" + line + b"x" * 90):
        body = b"data: a" + line * 2 + b"data: " + middle + line * 2 + b"data: b" + line * 2
        expected = [d(b"a"), Said(None, dropped=True), d(b"b")]
        for pieces in [
            *every_cut(body, seeded_random),
            *([body[i : i + n] for i in range(0, len(body), n)] for n in range(1, 40)),
        ]:
            frames = decode(pieces, max_frame_bytes=BOUND)
            assert said(frames) == expected, pieces
            dropped = sum(frame.dropped_bytes for frame in frames)
            # One LF of a CRLF that a read has cut in two may be counted with the frame after it.
            assert abs(dropped - (len(middle) + 6 + 2 * len(line))) <= (1 if end == "CRLF" else 0)


@pytest.mark.parametrize("first", [b"\n", b"x\n", b"x\nx", b"\nx", b"xx"])
@pytest.mark.parametrize("then", [b"\r\r", b"x\r\r", b"\rx\r\n\r\n", b"x\r\n\r", b"x\n\r\n"])
def test_the_first_cr_may_come_within_a_frame_that_is_being_dropped(first: bytes, then: bytes) -> None:
    """No empty line is seen where the beginning of a line has been thrown away."""
    head, tail = b"data: " + b"x" * 60, b"data: b\n\n"
    body = head + first + then + tail
    want = said(decode([body], max_frame_bytes=BOUND))
    assert want[-1] == d(b"b")
    for size in range(1, len(body)):
        pieces = [body[i : i + size] for i in range(0, len(body), size)]
        assert said(decode(pieces, max_frame_bytes=BOUND)) == want, size
    for i in range(len(body)):
        assert said(decode(cut(body, i), max_frame_bytes=BOUND)) == want, i


def test_a_frame_at_the_bound_passes_and_one_byte_more_does_not() -> None:
    for extra, dropped in ((0, 0), (1, BOUND + 1)):
        body = b"data: " + b"x" * (BOUND - 8 + extra) + b"\n\n"
        for size in range(1, len(body) + 1):
            (frame,) = decode([body[i : i + size] for i in range(0, len(body), size)], max_frame_bytes=BOUND)
            assert frame.dropped_bytes == dropped
            assert (frame.data is None) is bool(dropped)


def test_an_oversize_frame_that_never_ends_is_told_at_the_end() -> None:
    (frame,) = decode([b"data: " + b"x" * 100], max_frame_bytes=BOUND)
    assert (frame.dropped_bytes, frame.closed, frame.data) == (106, False, None)


@pytest.mark.parametrize("data", [b"x" * 100, b"x\n" * 50, b"x\r\n" * 40, b"x\r" * 50, b":\n" * 50])
def test_endless_data_without_an_empty_line_is_held_up_to_the_bound_only(data: bytes) -> None:
    decoder = SseDecoder(max_frame_bytes=1000)
    for _ in range(200):
        assert decoder.feed(data) == []
        assert decoder.held_bytes <= 1000
    assert decoder.end()[0].dropped_bytes == 200 * len(data)


# The cost.


class Counted:
    """Stands in for the decoder's buffer and counts how many bytes each search looks at."""

    def __init__(self) -> None:
        self.held = bytearray()
        self.looked_at = 0

    def __iadd__(self, data: bytes) -> Counted:
        self.held += data
        return self

    def __len__(self) -> int:
        return len(self.held)

    def __getitem__(self, at: int | slice) -> int | bytearray:
        return self.held[at]

    def __delitem__(self, at: slice) -> None:
        del self.held[at]

    def startswith(self, start: bytes, at: int) -> bool:
        self.looked_at += len(start)
        return self.held.startswith(start, at)

    def find(self, what: bytes, start: int) -> int:
        found = self.held.find(what, start)
        self.looked_at += (len(self.held) if found < 0 else found + len(what)) - start
        return found

    def rfind(self, what: bytes) -> int:
        self.looked_at += len(self.held)
        return self.held.rfind(what)


@pytest.mark.parametrize("size", [1, 16, 1000])
def test_no_byte_of_an_lf_frame_is_searched_twice(size: int) -> None:
    body = b"data: " + b"x" * (1 << 18) + b"\n\n"
    decoder = SseDecoder()
    decoder._buffer = counted = Counted()  # type: ignore[assignment]
    frames = [f for i in range(0, len(body), size) for f in decoder.feed(body[i : i + size])]
    assert said(frames) == [d(body[6:-2])]
    # Each read looks once more at the last byte it has seen, and at the frame's first.
    reads = len(body) / size
    assert counted.looked_at <= len(body) + 3 * reads


@pytest.mark.parametrize("end", ENDS)
def test_a_frame_of_a_mebibyte_in_small_pieces_moves_the_mark_with_every_byte(end: str) -> None:
    """After each read everything held has been searched: the next search begins at the new bytes."""
    line = ENDS[end]
    body = (b"data: " + b"x" * 1018 + line) * 1024
    decoder = SseDecoder()
    for i in range(0, len(body), 16):
        assert decoder.feed(body[i : i + 16]) == []
        assert decoder._searched == decoder.held_bytes
    (frame,) = decoder.feed(line)
    assert frame.data is not None
    assert len(frame.lines) == 1024


# Writing.


def test_a_frame_is_written_with_lf_and_one_space() -> None:
    assert encode_frame(b"a") == b"data: a\n\n"
    assert encode_frame(b"a", event=b"e", event_id=b"1", retry_ms=5) == b"event: e\nid: 1\nretry: 5\ndata: a\n\n"


@pytest.mark.parametrize("data", [b"a\nb", b"a\r\nb", b"a\rb"])
def test_line_ends_in_the_payload_become_data_lines(data: bytes) -> None:
    assert encode_frame(data) == b"data: a\ndata: b\n\n"


@pytest.mark.parametrize("value", [b"a\nb", b"a\rb", b"\r\n", b"x\n"])
def test_line_ends_elsewhere_are_refused(value: bytes) -> None:
    with pytest.raises(ValueError, match="event may not hold"):
        encode_frame(b"", event=value)
    with pytest.raises(ValueError, match="id may not hold"):
        encode_frame(b"", event_id=value)


def test_a_nul_in_an_id_is_refused() -> None:
    with pytest.raises(ValueError, match="NUL"):
        encode_frame(b"", event_id=b"a\0")


@pytest.mark.parametrize("retry", [-1, 1.5, True, "1"])
def test_retry_is_a_natural_number(retry: object) -> None:
    with pytest.raises(ValueError, match="retry_ms"):
        encode_frame(b"", retry_ms=retry)  # type: ignore[arg-type]


# Properties.

ALPHABET = st.sampled_from(
    [
        b"\n",
        b"\n\n",
        b"\r",
        b"\r\n",
        b"data: ",
        b"data:",
        b"data",
        b"event: e",
        b"event: e\ndata: x\n\n",
        b"id: 1",
        b": c",
        b"\xef\xbb\xbf",
        b"x",
        b" ",
    ]
)
STREAMS = st.one_of(st.lists(ALPHABET, max_size=24).map(b"".join), st.binary(max_size=60))


@given(body=STREAMS, cuts=st.lists(st.integers(0, 200), max_size=8))
def test_any_bytes_give_the_same_frames_under_any_cutting(body: bytes, cuts: list[int]) -> None:
    pieces = cut(body, *(min(at, len(body)) for at in cuts))
    whole, parts = decode([body]), decode(pieces)
    assert said(parts) == said(whole)
    assert_keeps_every_byte(parts, body)
    assert_keeps_every_byte(whole, body)
    if b"\r" not in body:
        assert parts == whole


@given(body=st.lists(ALPHABET, max_size=6).map(b"".join).map(lambda body: body + b"\n\n"))
def test_the_short_way_of_usual_frames_reads_what_the_long_one_does(body: bytes) -> None:
    """An empty line before them that ends with CR sends all frames the long way."""
    body = body.replace(b"\xef\xbb\xbf", b"")  # means something at the very beginning alone
    assert said(decode([body])) == said(decode([b"\r\n", body]))


@given(body=STREAMS, cuts=st.lists(st.integers(0, 200), max_size=8), bound=st.integers(8, 30))
def test_any_bytes_stay_within_the_bound(body: bytes, cuts: list[int], bound: int) -> None:
    decoder = SseDecoder(max_frame_bytes=bound)
    for piece in cut(body, *(min(at, len(body)) for at in cuts)):
        for frame in decoder.feed(piece):
            assert len(frame.raw) <= bound
        assert decoder.held_bytes <= bound
    decoder.end()


@given(
    body=st.lists(st.one_of(ALPHABET, st.just(b"x" * 9)), max_size=24).map(b"".join),
    cuts=st.lists(st.integers(0, 300), max_size=8),
)
def test_oversize_frames_fall_where_they_fall_under_any_cutting(body: bytes, cuts: list[int]) -> None:
    """For LF streams, and for mixed ones in which no frame is within one byte of the bound (a cut CRLF's LF counts
    with the frame after it)."""
    bound = 24
    sizes = [len(frame.raw) for frame in decode([body])]
    if b"\r" in body and any(abs(size - bound) <= 1 for size in sizes):
        return
    pieces = cut(body, *(min(at, len(body)) for at in cuts))
    assert said(decode(pieces, max_frame_bytes=bound)) == said(decode([body], max_frame_bytes=bound))


ONE_LINE = st.binary(max_size=20).filter(lambda value: not LINE_END.search(value))


@given(data=st.binary(max_size=60), event=ONE_LINE, id_=st.none() | ONE_LINE.filter(lambda value: b"\0" not in value))
def test_what_is_written_is_read_back(data: bytes, event: bytes, id_: bytes | None) -> None:
    """Line ends in the payload come back as LF: the format cannot say which they were."""
    (frame,) = decode([encode_frame(data, event=event, event_id=id_)])
    assert frame.data == LINE_END.sub(b"\n", data)
    assert frame.event == event
    assert frame.fields == (() if id_ is None else ((b"id", id_),))
    assert frame.closed
