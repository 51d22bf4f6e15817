"""One transfer chunk to a read: what is taken for one, the parser of HTTP takes for the same."""

from __future__ import annotations

import httptools
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thalweg.framing.chunked import LAST_TWO, LINE_END, LINES, MOST_BYTES, SHAPES, chunk

HEAD = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
ODD_LINES = [
    b"5",
    b"05",
    b"0x5",
    b"5;a=b",
    b"5 ",
    b" 5",
    b"+5",
    b"5_0",
    b"-5",
    b"a",
    b"A",
    b"0000005",
    b"5\n",
    b"",
    b"0",
]


def data_in(read: bytes) -> bytes | None:
    """The data of a read that is one chunk; `None` for any other."""
    line, first, at = SHAPES[len(read)]
    return read[at:-2] if read[first] == line and read[LAST_TWO] == LINE_END else None


def parsed(read: bytes) -> tuple[bytes, int]:
    """What the parser finds between two chunks: the data, and how many chunks end."""

    class Heard:
        body, ends = b"", 0

        def on_body(self, data: bytes) -> None:
            self.body += data

        def on_chunk_complete(self) -> None:
            self.ends += 1

    heard = Heard()
    parser = httptools.HttpResponseParser(heard)
    parser.feed_data(HEAD)
    parser.feed_data(read)
    assert not heard.ends or heard.body
    parser.feed_data(b"1\r\n.\r\n")  # it stands between two chunks still
    return heard.body[:-1], heard.ends - 1


@pytest.mark.parametrize("size", [1, 9, 10, 15, 16, 17, 254, 255, 256, 257, 4000, 4095, 4096, 5000, 70000])
def test_a_chunk_is_what_the_parser_reads(size: int) -> None:
    data = b"x" * size
    assert parsed(chunk(data)) == (data, 1)


def test_each_chunk_that_is_short_enough_is_known_by_its_length() -> None:
    for size in range(1, MOST_BYTES):
        data = b"x" * (size - 2) + b"\r\n" if size > 2 else b"x" * size
        read = chunk(data)
        if len(read) < MOST_BYTES:
            assert data_in(read) == data
    assert len(SHAPES) == len(LINES) == MOST_BYTES


def test_the_end_of_the_body_is_none() -> None:
    assert data_in(b"0\r\n\r\n") is None
    assert data_in(b"") is None


@given(st.lists(st.tuples(st.sampled_from(ODD_LINES), st.binary(max_size=12)), min_size=1, max_size=2))
def test_odd_chunks_are_not_taken_for_other_ones(chunks: list[tuple[bytes, bytes]]) -> None:
    read = b"".join(b"%b\r\n%b\r\n" % one for one in chunks)
    data = data_in(read)
    if data is not None:
        assert parsed(read) == (data, 1)


@given(st.binary(max_size=300))
def test_any_bytes_are_taken_for_a_chunk_only_where_they_are_one(read: bytes) -> None:
    data = data_in(read)
    if data is not None:
        assert parsed(read) == (data, 1)
