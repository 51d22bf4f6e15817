"""The lines of a recording: what is kept of an answer, what is taken out, and what cannot be read."""

from __future__ import annotations

import pytest

from thalweg.recorder.form import (
    FORM,
    Header,
    Line,
    RecordingError,
    Scrubber,
    decode_header,
    decode_line,
    encode,
    is_name,
    kept_headers,
    new_name,
    read_line,
)

HEADER = Header(
    recorded_at="2026-11-29T12:00:00.000Z",
    provider="ark",
    dialect="openai-chat",
    model="m",
    path="/v1/chat/completions",
    request="{}",
    status=200,
    headers=(("content-type", "text/event-stream"),),
    head_ms=1.5,
)
SECRET = "opaque+secret/0123456789"
LOOKS = "sk-abcdef0123456789"


def test_a_header_is_read_as_it_was_written() -> None:
    assert decode_header(encode(HEADER)) == HEADER


@pytest.mark.parametrize(
    ("data", "has_text"),
    [
        pytest.param("data: 深泓 🌊\n\n".encode(), True, id="text"),
        pytest.param("深".encode()[:2], False, id="half a character"),
        pytest.param(b"\x00\xff\r\n", False, id="no text at all"),
        pytest.param(b'"\\ud83e"\x1f', True, id="escapes and control characters"),
    ],
)
def test_a_read_keeps_its_bytes(data: bytes, has_text: bool) -> None:
    line = decode_line(encode(read_line(2.25, data, Scrubber())))
    assert line is not None
    assert (line.ms, line.body(), line.text is not None) == (2.25, data, has_text)


@pytest.mark.parametrize("secret", [SECRET, LOOKS, "Bearer abcdef012345"])
def test_a_key_is_taken_out_of_text_and_of_what_is_no_text(secret: str) -> None:
    scrubber = Scrubber([SECRET, "short"])
    for data in (f"x {secret} short".encode(), b"\xff " + secret.encode() + b" \xff"):
        body = read_line(0, data, scrubber).body()
        assert secret.encode() not in body
        assert b"[hidden]" in body
    assert read_line(0, b"short", scrubber).body() == b"short"


def test_headers_that_may_pass_pass_and_no_others() -> None:
    said = [
        (b"content-type", b"text/event-stream"),
        (b"x-ratelimit-remaining", b"3"),
        (b"anthropic-ratelimit-requests-limit", b"5"),
        (b"x-request-id", f"id {SECRET}".encode()),
        (b"set-cookie", b"session=1"),
        (b"authorization", b"Bearer x"),
        (b"x-unknown", b"1"),
        (b"retry-after", b"5\xe9"),
    ]
    assert kept_headers(said, Scrubber([SECRET])) == (
        ("content-type", "text/event-stream"),
        ("x-ratelimit-remaining", "3"),
        ("anthropic-ratelimit-requests-limit", "5"),
        ("x-request-id", "id [hidden]"),
    )


@pytest.mark.parametrize(
    ("line", "said"),
    [
        pytest.param(b"", "does not begin", id="nothing"),
        pytest.param(b"data: {}\n", "does not begin", id="a raw stream"),
        pytest.param(b"\xff\xfe\n", "does not begin", id="no text"),
        pytest.param(b"[" * 100_000, "does not begin", id="deep"),
        pytest.param(encode(HEADER).replace(b'"form":1', b'"form":9'), f"up to {FORM}", id="a later form"),
        pytest.param(encode(HEADER).replace(b"event-stream", b"a\\r\\nb: c"), "HTTP", id="a header of two lines"),
    ],
)
def test_what_is_no_recording_is_refused_and_not_repeated(line: bytes, said: str) -> None:
    with pytest.raises(RecordingError, match=said):
        decode_header(line)


def test_a_torn_line_is_the_end_and_a_wrong_one_an_error() -> None:
    assert decode_line(b'{"ms":1,"te') is None
    for wrong in (b"nonsense\n", b'{"ms":"x"}\n', b'{"end":"maybe"}\n'):
        with pytest.raises(RecordingError):
            decode_line(wrong)
    with pytest.raises(RecordingError):
        Line(base64="?").body()


def test_names_are_safe_and_sort_by_time() -> None:
    names = [new_name(at, "ark", "ep/../Doubao?seed=1 深", "00ff") for at in (0, 999, 1000, 1_795_955_423_855)]
    assert names == sorted(names)
    assert names[-1] == "20261129-123023-855-ark-ep-..-doubao-seed-1-00ff"
    assert all(map(is_name, names))
    assert is_name(new_name(1, "p", "m" * 500, "aa"))
    assert not any(map(is_name, ["", ".", "..", ".x", "a/b", "a\\b", "a b", "a" * 201, "a\0", "深"]))
