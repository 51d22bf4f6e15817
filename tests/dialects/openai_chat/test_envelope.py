"""What an envelope says of a frame without a parser, a parser would have said."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.dialects.openai_chat.streams import chunk, frame
from thalweg.dialects.openai_chat.envelope import Envelope, find_envelope
from thalweg.dialects.openai_chat.wire import read_text_chunk_with_role


def read(data: bytes) -> str | None:
    """The text of a whole frame."""
    return read_text_chunk_with_role(data[6:-2]).choices[0].delta.content


def envelope_of(value: dict[str, Any], **edges: int) -> Envelope | None:
    return find_envelope(frame(value), value["choices"][0]["delta"]["content"], read, **edges)


def test_the_same_bytes_around_another_text_are_that_text() -> None:
    envelope = envelope_of(chunk({"content": "Hello"}, system_fingerprint="fp"))
    assert envelope is not None
    for text in ("", " ", "Hello", "Hallo", "你好", "🌊", "a" * 5000, "/", "'", "{}", "data: ", "thalweg probes"):
        assert envelope.text_in(frame(chunk({"content": text}, system_fingerprint="fp"))) == text


@pytest.mark.parametrize("text", ['"', "\\", "\n", "\r", "\t", "\0", "\x1f", "\x7f", "\u2028", "a\u200db"])
def test_a_text_that_is_no_plain_string_is_left_to_the_parser(text: str) -> None:
    envelope = envelope_of(chunk({"content": "Hello"}))
    assert envelope is not None
    for word in (text, f"a{text}b"):
        assert envelope.text_in(frame(chunk({"content": word}))) is None


@pytest.mark.parametrize(
    "inner",
    [b'a"', b'","x":"', b'"},"finish_reason":null},{"delta":{"content":"', b"\xff", b"\xe4\xbd", b"\xed\xa0\x80", b"\n\n", b"\r", b"\x01"],
)  # fmt: skip
def test_bytes_that_are_no_string_are_left_to_the_parser(inner: bytes) -> None:
    envelope = envelope_of(chunk({"content": "Hello"}))
    assert envelope is not None
    assert envelope.text_in(frame(chunk({"content": "@"})).replace(b"@", inner)) is None


def test_other_bytes_around_it_are_left_to_the_parser() -> None:
    whole = frame(chunk({"content": "Hello"}))
    envelope = envelope_of(chunk({"content": "Hello"}))
    assert envelope is not None
    for other in (
        frame(chunk({"content": "Hello"}, finish="stop")),
        frame(chunk({"content": "Hello"}, created=1)),
        frame(chunk({"content": "Hello", "role": "assistant"})),
        whole[:-1],
        whole[1:],
        whole + b"\n",
        whole * 2,
        whole.replace(b'"Hello"', b'"'),
        whole.replace(b'"Hello"', b""),
        whole.replace(b'"Hello"', b"null"),
        b"",
    ):
        assert envelope.text_in(other) is None


def test_the_text_is_found_where_it_is_and_not_where_its_bytes_come_first() -> None:
    """Where they come somewhere else first, there is no envelope yet; another chunk will have another text."""
    assert envelope_of(chunk({"content": "m-1"})) is None
    assert envelope_of(chunk({"content": "content"})) is None
    assert envelope_of(chunk({"content": "x"}, system_fingerprint="x")) is not None
    behind = chunk({"content": "x"}) | {"zz": {"content": "x"}}
    envelope = envelope_of(behind)
    assert envelope is not None
    assert envelope.text_in(frame(behind | {"choices": chunk({"content": "y"})["choices"]})) == "y"
    assert envelope.text_in(frame(behind | {"zz": {"content": "y"}})) is None


@pytest.mark.parametrize("text", ["", 'a"b', "a\\b", "a\nb", "thalweg probes"])
def test_some_texts_show_no_envelope(text: str) -> None:
    assert envelope_of(chunk({"content": text})) is None


def test_what_the_parser_refuses_has_no_envelope() -> None:
    value = chunk({"content": "Hello"}, finish="stop")
    assert envelope_of(value) is None


def test_an_envelope_may_end_before_the_frame_does() -> None:
    whole = frame(chunk({"content": "Hello"}, pad=[1, 2]))
    end = whole.index(b',"pad"')
    envelope = find_envelope(whole, "Hello", read, end=end)
    assert envelope is not None
    assert envelope.text_in(whole[:end]) == "Hello"
    assert envelope.text_in(whole) is None


WORDS = st.text(st.sampled_from('ab":{},[]\\ \n\x01你🌊\u2028'), max_size=6) | st.sampled_from(["content", "x", "m-1"])


@given(first=WORDS, second=WORDS, extra=WORDS, inner=st.binary(max_size=8), escaped=st.booleans())
def test_it_never_says_anything_but_what_the_parser_says(
    first: str, second: str, extra: str, inner: bytes, escaped: bool
) -> None:
    def written(text: str) -> bytes:
        value = chunk({"content": text}, extra=extra) | {"more": {"content": extra}}
        return b"data: " + json.dumps(value, ensure_ascii=escaped).encode() + b"\n\n"

    envelope = find_envelope(written(first), first, read)
    if envelope is None:
        return
    assert envelope.text_in(written(second)) in (second, None)
    raw = written("@").replace(b'"@"', b'"' + inner + b'"', 1)
    if (text := envelope.text_in(raw)) is not None:
        raw[6:-2].decode()
        assert read(raw) == text
        assert msgspec.json.decode(raw[6:-2]) == json.loads(written(text)[6:-2])
