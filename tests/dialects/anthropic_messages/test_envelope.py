"""What stands around the text of a block's common deltas."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thalweg.dialects.anthropic_messages.common import text_in
from thalweg.dialects.anthropic_messages.envelope import Envelope, find_envelope

HEAD = (
    b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"'
)
SORTED = b'event: content_block_delta\ndata: {"delta":{"text":"%b","type":"text_delta"},"index":0,"type":"content_block_delta"}\n\n'


def padded(text: bytes, spaces: int = 0) -> bytes:
    return HEAD + text + b'"}' + b" " * spaces + b"}\n\n"


def learnt(data: bytes, text: str) -> Envelope:
    envelope = find_envelope(data, text, text_in)
    assert envelope is not None
    return envelope


@pytest.mark.parametrize("text", ["b", "", "two words", "é世界", "}}", "thalweg probes"])
@pytest.mark.parametrize("spaces", [0, 1, 9])
def test_a_frame_in_the_envelope_needs_no_parser(text: str, spaces: int) -> None:
    assert learnt(padded(b"a", 3), "a").text_in(padded(text.encode(), spaces)) == text


def test_the_order_of_members_is_learnt_too() -> None:
    envelope = learnt(SORTED % b"a", "a")
    assert envelope.text_in(SORTED % b"bc") == "bc"
    assert envelope.text_in(padded(b"bc")) is None
    assert envelope.text_in((SORTED % b"bc").replace(b"}\n", b" }\n")) is None, "no spaces but Anthropic's own"


@pytest.mark.parametrize(
    "data",
    [
        padded(b"\\n"),
        padded(b'a"'),
        padded(b'a","x":"y'),
        padded(b"\xff"),
        padded(b"a\x00"),
        padded(b"a\n"),
        padded(b"\xe2\x80\xa8"),
        padded(b"a").replace(b'"index":0', b'"index":1'),
        padded(b"a")[:-1],
        padded(b"a") + padded(b"b"),
        padded(b"a").replace(b"}}", b'},"x":1}'),
        b"",
    ],
)
def test_anything_else_is_the_parsers(data: bytes) -> None:
    assert learnt(padded(b"a", 2), "a").text_in(data) is None


def test_a_text_that_stands_in_the_frame_elsewhere_too() -> None:
    data = HEAD.replace(b'"index":0', b'"note":"index","index":0') + b'index"}}\n\n'
    assert find_envelope(data, "index", text_in) is None
    assert find_envelope(padded(b""), "", text_in) is None
    assert find_envelope(padded(b"thalweg probes"), "thalweg probes", text_in) is None


@given(text=st.text(max_size=20), spaces=st.integers(0, 5), learn=st.text(min_size=1, max_size=5))
def test_what_it_says_is_what_the_parser_says(text: str, spaces: int, learn: str) -> None:
    plain = json.dumps(learn, ensure_ascii=False)[1:-1].encode("utf-8", "surrogatepass")
    try:
        envelope = find_envelope(padded(plain), learn, text_in)
    except UnicodeEncodeError:
        return
    data = padded(json.dumps(text, ensure_ascii=False)[1:-1].encode("utf-8", "surrogatepass"), spaces)
    if envelope is not None and (said := envelope.text_in(data)) is not None:
        assert said == text == text_in(data)
