"""What an envelope says of a frame without a parser, a parser would have said."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thalweg.dialects.kit.envelope import Envelope, Lessons, MeteredEnvelope, find_envelope, find_metered

# A grammar made for this: the text is `said`, the usage `used`, and a frame that is `over` is none of the common ones.


class Told(msgspec.Struct):
    said: str
    over: None = None


class Metered(msgspec.Struct):
    said: str
    used: msgspec.Raw
    over: None = None


def read(data: bytes) -> str:
    return msgspec.json.decode(data[6:-2], type=Told).said


def read_both(data: bytes) -> tuple[str, bytes]:
    told = msgspec.json.decode(data[6:-2], type=Metered)
    return told.said, bytes(told.used)


def frame(value: Any, *, escaped: bool = False) -> bytes:
    return b"data: " + json.dumps(value, ensure_ascii=escaped, separators=(",", ":")).encode() + b"\n\n"


def told(said: str, **more: Any) -> dict[str, Any]:
    return {"id": "m-1", "said": said, "at": 0} | more


def envelope_of(said: str, **more: Any) -> Envelope | None:
    return find_envelope(frame(told(said, **more)), said, read)


def learnt(said: str = "Hello", **more: Any) -> Envelope:
    envelope = envelope_of(said, **more)
    assert envelope is not None
    return envelope


PLAIN = ["", " ", "Hello", "你好", "🌊", "a" * 5000, "/", "'", "{}", "data: ", "thalweg probes", "\u2028", "\x7f"]
ESCAPED = ['"', "\\", "\n", "\r\n", "\t", "\0", "\x1f", 'a "word" and\n', "\\u0041"]


@pytest.mark.parametrize("text", PLAIN + ESCAPED)
def test_the_same_bytes_around_another_text_are_that_text(text: str) -> None:
    assert learnt().text_in(frame(told(text))) == text
    assert learnt().text_in(frame(told(text), escaped=True)) == text


@pytest.mark.parametrize(
    "inner",
    [
        b'a"',
        b'","x":"',
        b'","at":0}\n\ndata: {"id":"m-1","said":"',
        b"\xff",
        b"\xe4\xbd",
        b"\xed\xa0\x80",
        b"\n\n",
        b"\r",
        b"\x01",
        b"\\",
        b"\\x",
        b"\\ud83d",
    ],
)
def test_bytes_that_are_no_string_are_left_to_the_parser(inner: bytes) -> None:
    assert learnt().text_in(frame(told("@")).replace(b"@", inner)) is None


@pytest.mark.parametrize("value", [b"", b'"', b"null", b"1", b'["a"]', b' "a"', b'"a" ', b'\n"a"', b'"a"\n', b'"a""b"'])
def test_values_that_are_not_one_string_are_left_to_the_parser(value: bytes) -> None:
    """White space around a string means nothing to JSON, but a line's end means something to a stream."""
    assert learnt().text_in(frame(told("Hello")).replace(b'"Hello"', value)) is None


def test_other_bytes_around_it_are_left_to_the_parser() -> None:
    whole = frame(told("Hello"))
    for other in (
        frame(told("Hello", at=1)),
        frame(told("Hello", more=1)),
        whole[:-1],
        whole[1:],
        whole + b"\n",
        whole * 2,
        b"",
    ):
        assert learnt().text_in(other) is None


def test_the_text_is_found_where_it_is_and_not_where_its_bytes_come_first() -> None:
    """Where they come somewhere else first, there is no envelope yet; another frame will have another text."""
    assert envelope_of("m-1") is None
    assert envelope_of("said") is None
    assert envelope_of("x", more="x") is not None
    behind = learnt("x", more={"said": "x"})
    assert behind.text_in(frame(told("y", more={"said": "x"}))) == "y"
    assert behind.text_in(frame(told("x", more={"said": "y"}))) is None


@pytest.mark.parametrize("text", ["", 'a"b', "a\\b", "a\nb", "thalweg probes"])
def test_some_texts_show_no_envelope(text: str) -> None:
    assert envelope_of(text) is None


def test_what_the_parser_refuses_has_no_envelope() -> None:
    assert envelope_of("Hello", over=True) is None


# Anthropic's padding.

PADDED = b'data: {"at":0,"delta":{"said":"%b"}%b}\n\n'


def read_inner(data: bytes) -> str:
    return msgspec.json.decode(msgspec.json.decode(data[6:-2], type=dict[str, msgspec.Raw])["delta"], type=Told).said


@pytest.mark.parametrize("spaces", [0, 1, 9])
@pytest.mark.parametrize("text", ["b", "", "two words", "é世界", "}}", '\\"}}'])
def test_spaces_before_the_last_brace_mean_nothing(text: str, spaces: int) -> None:
    envelope = find_envelope(PADDED % (b"a", b"   "), "a", read_inner)
    assert envelope is not None
    assert envelope.text_in(PADDED % (text.encode(), b" " * spaces)) == text.replace("\\", "")


@pytest.mark.parametrize(
    "data",
    [
        PADDED % (b'a"', b""),
        PADDED % (b'a","x":"y', b""),
        PADDED % (b"\xff", b""),
        PADDED % (b"a\n", b""),
        (PADDED % (b"a", b"")).replace(b'"at":0', b'"at":1'),
        (PADDED % (b"a", b""))[:-1],
        (PADDED % (b"a", b"")) + PADDED % (b"b", b""),
        PADDED % (b"a", b',"x":1'),
        PADDED % (b"a", b"\n"),
        PADDED % (b"a", b"}"),
        (PADDED % (b"a", b"")).replace(b"}}", b"}"),
        (PADDED % (b"a", b"")).replace(b"}}", b" }}"),
        b"",
    ],
)
def test_anything_else_than_padding_is_the_parsers(data: bytes) -> None:
    envelope = find_envelope(PADDED % (b"a", b"  "), "a", read_inner)
    assert envelope is not None
    said = envelope.text_in(data)
    assert said is None or (said == "a" and read_inner(data) == "a" and data.count(b"\n") == 2)


def test_elsewhere_spaces_do_not_come_and_go() -> None:
    assert learnt().text_in(frame(told("Hello")).replace(b"}\n", b" }\n")) is None


# Usage in every frame.


def metered(said: str, used: Any, **more: Any) -> dict[str, Any]:
    return {"id": "m-1", "said": said, "at": 0, "used": used} | more


def measured(said: str = "Hello", used: Any = (1,), **more: Any) -> MeteredEnvelope | None:
    data = frame(metered(said, used, **more))
    return find_metered(data, said, json.dumps(used, separators=(",", ":")).encode(), read_both)


USAGES = [{"n": 1}, {"n": 1234, "more": {"said": "x", "used": [1]}}, {}]


@pytest.mark.parametrize("used", USAGES)
@pytest.mark.parametrize("text", PLAIN + ESCAPED)
@pytest.mark.parametrize("more", [{}, {"model": "m", "last": [1]}])
def test_a_frame_with_usage_is_its_text_and_its_usage(text: str, used: Any, more: dict[str, Any]) -> None:
    envelope = measured("Hello", {"n": 7}, **more)
    assert envelope is not None
    assert envelope.both_in(frame(metered(text, used, **more))) == (text, frame(used)[6:-2])


@pytest.mark.parametrize(
    "data",
    [
        frame(told("a")),
        frame(metered("a", {"n": 1}))[:-1],
        frame(metered("a", {"n": 1})) * 2,
        frame(metered("a", {"n": "é"})),
        frame(metered("a", {"n": 1})).replace(b'"n":1', b'"n":\n1'),
        frame(metered("a", {"n": 1})).replace(b'"n":1', b'"n":\r1'),
        frame(metered("a", {"n": 1})).replace(b'"a"', b'"a"b"'),
        frame(metered("a", {"n": 1})).replace(b'"a"', b"null"),
        frame(metered("a", {"n": 1})).replace(b'"a"', b""),
        b"",
    ],
)
def test_any_other_frame_with_usage_is_the_parsers(data: bytes) -> None:
    envelope = measured()
    assert envelope is not None
    assert envelope.both_in(data) is None


def test_a_text_that_looks_like_what_stands_behind_it() -> None:
    envelope = measured()
    assert envelope is not None
    for text in ('","at":0,"used":', '"', ',"at":0,"used":{"n":2}}'):
        assert envelope.both_in(frame(metered(text, {"n": 1}))) == (text, b'{"n":1}')


def test_usage_that_stands_before_the_text_has_no_envelope() -> None:
    data = frame({"used": {"n": 1}, "said": "Hello"})
    assert find_metered(data, "Hello", b'{"n":1}', read_both) is None


# What it says is what the parser says.

WORDS = st.text(st.sampled_from('ab":{},[]\\ \n\x01你🌊\u2028'), max_size=6) | st.sampled_from(["said", "x", "m-1"])


@given(first=WORDS, second=WORDS, extra=WORDS, inner=st.binary(max_size=8), escaped=st.booleans())
def test_it_never_says_anything_but_what_the_parser_says(
    first: str, second: str, extra: str, inner: bytes, escaped: bool
) -> None:
    def written(text: str) -> bytes:
        return frame(told(text, extra=extra) | {"more": {"said": extra}}, escaped=escaped)

    envelope = find_envelope(written(first), first, read)
    if envelope is None:
        return
    assert envelope.text_in(written(second)) in (second, None)
    raw = written("@").replace(b'"@"', b'"' + inner + b'"', 1)
    if (text := envelope.text_in(raw)) is not None:
        raw[6:-2].decode()
        assert read(raw) == text
        assert msgspec.json.decode(raw[6:-2]) == json.loads(written(text)[6:-2])


@given(first=WORDS, extra=WORDS, inner=st.binary(max_size=8), used=st.binary(max_size=12), last=st.booleans())
def test_nor_does_one_with_usage(first: str, extra: str, inner: bytes, used: bytes, last: bool) -> None:
    def written(text: str) -> bytes:
        more = {} if last else {"more": {"said": extra, "used": {}}}
        return frame(metered(text, {"n": 1}, extra=extra) | more)

    envelope = find_metered(written(first), first, b'{"n":1}', read_both)
    if envelope is None:
        return
    raw = written("@").replace(b'"@"', b'"' + inner + b'"', 1).replace(b'{"n":1}', used, 1)
    if (found := envelope.both_in(raw)) is not None:
        text, usage = found
        try:
            assert isinstance(msgspec.json.decode(usage), dict)
        except (msgspec.MsgspecError, AssertionError):
            return  # who takes it for usage has to read it
        raw[6:-2].decode()
        assert read_both(raw)[0] == text
        assert msgspec.json.decode(read_both(raw)[1]) == msgspec.json.decode(usage)


def test_it_is_looked_for_ever_more_seldom() -> None:
    lessons = Lessons()
    assert [number for number in range(1, 40) if lessons.due()] == [1, 2, 4, 8, 16, 32]
