"""The JSON array of a stream without `alt=sse`, cut into its objects."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.dialects.gemini.streams import cuts_of
from thalweg.dialects.gemini.array import ArrayDecoder, begins_array
from thalweg.framing.sse import Frame

VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(), st.sampled_from(['"', "\\", "{[", "]}", '\\"'])),
    lambda inner: st.one_of(st.lists(inner), st.dictionaries(st.text(), inner)),
    max_leaves=10,
)


def cut(pieces: list[bytes]) -> list[Frame]:
    decoder = ArrayDecoder()
    return [frame for piece in pieces for frame in decoder.feed(piece)] + decoder.end()


@given(objects=st.lists(st.dictionaries(st.text(), VALUES)), size=st.integers(1, 20), indent=st.sampled_from([None, 2]))
def test_the_objects_come_out_however_it_is_cut(objects: list[Any], size: int, indent: int | None) -> None:
    texts = [json.dumps(each, indent=indent, ensure_ascii=False).encode() for each in objects]
    body = b"[" + b"\r\n,\r\n".join(texts) + b"]"
    frames = cut(cuts_of(body, size))
    assert [frame.data for frame in frames] == texts
    assert all(frame.closed and frame.raw == frame.data for frame in frames)


@given(body=st.binary(max_size=60), size=st.integers(1, 5))
def test_any_bytes_cut_the_same(body: bytes, size: int) -> None:
    assert cut(cuts_of(body, size)) == cut([body])


def test_a_single_object_is_one_frame() -> None:
    (frame,) = cut([b' {"error":{}}\n'])
    assert frame.data == b'{"error":{}}'


def test_an_object_that_ends_early_is_not_closed() -> None:
    first, second = cut([b'[{"a":1},{"b":"}'])
    assert first.closed
    assert (second.data, second.closed) == (b'{"b":"}', False)


def test_nothing_is_nothing() -> None:
    assert cut([b"", b"[", b"]"]) == []


def test_an_object_over_the_bound_is_dropped_and_the_next_is_read() -> None:
    decoder = ArrayDecoder(max_frame_bytes=100)
    long = b'{"a":"' + b"x" * 500 + b'"}'
    frames = [frame for piece in cuts_of(b"[" + long + b',{"b":1}]', 10) for frame in decoder.feed(piece)]
    assert [frame.data for frame in frames] == [None, b'{"b":1}']
    assert frames[0].dropped_bytes == len(long)
    assert decoder.held_bytes == 0


def test_an_endless_object_costs_no_more_than_the_bound() -> None:
    decoder = ArrayDecoder(max_frame_bytes=1000)
    decoder.feed(b'[{"a":"')
    for _ in range(1000):
        decoder.feed(b"x" * 100)
        assert decoder.held_bytes <= 1100
    assert not decoder.between_frames
    (frame,) = decoder.end()
    assert frame.dropped_bytes > 100_000
    assert not frame.closed


@pytest.mark.parametrize(
    ("body", "is_array"), [(b"[{", True), (b" \n[", True), (b'{"error"', True), (b"data: {", False), (b"", False)]
)
def test_an_array_is_told_by_its_beginning(body: bytes, is_array: bool) -> None:
    assert begins_array(body) is is_array
