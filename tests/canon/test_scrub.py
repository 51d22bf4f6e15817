"""What a log may not have is taken out of a text, and of an exception only its type and our own places are said."""

from __future__ import annotations

import time

import pytest

from thalweg.canon.errors import Internal
from thalweg.canon.scrub import HIDDEN, MAX_TEXT, blame, name_of, one_line, path_of, scrub
from thalweg.framing.sse import encode_frame

OPENAI = "sk-proj-0123456789abcdefABCDEF"
BLOB = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg=="
TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U"


@pytest.mark.parametrize(
    "secret",
    [
        pytest.param(OPENAI, id="OpenAI's look"),
        pytest.param("sk-ant-api03-abcdef", id="Anthropic's"),
        pytest.param("AIzaSyA1234567890abcdef", id="Google's"),
        pytest.param("Bearer abc.def-0123", id="a bearer"),
        pytest.param("bEARER   abcdef", id="a bearer in any case"),
        pytest.param(BLOB, id="encoded bytes"),
        pytest.param(BLOB.replace("+", "-").replace("/", "_"), id="encoded for URLs"),
        pytest.param(f"data:image/png;base64,{BLOB}", id="a data URL"),
        pytest.param("data:text/plain,hello%20world", id="a data URL in plain text"),
        pytest.param(TOKEN, id="a JSON Web Token"),
        pytest.param("?key=short", id="a query"),
        pytest.param("?api-version=1&q=word", id="any query"),
    ],
)
@pytest.mark.parametrize("around", ["{}", "/v1/models/{}", "before {} after", "before\n{}\nafter"])
def test_what_looks_like_a_secret_is_hidden(secret: str, around: str) -> None:
    said = one_line(around.format(secret))
    assert HIDDEN in said
    for piece in secret.replace("?", " ").split():
        assert piece in {"Bearer", "bEARER"} or piece not in said


@pytest.mark.parametrize("head", ["sk-", "rk-", "pk-", "ak-", "AIza0123", "Bearer ", "BEARER\t"])
def test_each_look_of_a_credential_is_known_wherever_it_stands(head: str) -> None:
    assert scrub(f"x {head}abcdef9") == f"x {HIDDEN}"


@pytest.mark.parametrize("name", ["?key=", "&KEY=", "api_key=", "ApiKey="])
def test_so_is_each_name_that_a_key_stands_behind(name: str) -> None:
    assert scrub(f"x{name}abcdef9&y") == f"x{name}{HIDDEN}&y"


@pytest.mark.parametrize(
    "plain",
    [
        "/v1/chat/completions",
        "/v1/models/openai/gpt-5.4-mini",
        "01a1f95fa86ba67ecac81725c615ea3f8a9e8d29ed66",
        "4bf92f3577b34da6a3ce929d0e0e4736",
        "accounts/fireworks/models/llama-v3p1-405b-instruct",
        "stream 01a1f95fa86ba67ecac81725c615ea3f8a9e8d29ed66 failed: KeyError at relay/exchange.py:1",
        "回声 🦜",
        "",
    ],
)
def test_what_is_plain_stays(plain: str) -> None:
    assert one_line(plain) == plain


@pytest.mark.parametrize(
    "steering",
    ["a\nb", "a\r\nb", "a\x1b[31mb", "a\x00b", "a\x7fb", "a\x9bb", "a\u2028b", "a\u202eb", "a\ud800b", "a\u200bb"],
    ids=ascii,
)
def test_nothing_ends_a_line_or_steers_a_terminal(steering: str) -> None:
    said = one_line(steering)
    assert said.isprintable()
    assert said[0] == "a" and said[-1] == "b"
    said.encode()


@pytest.mark.parametrize("filler", ["x", "xX1", "aB3/", "sk-", "eyJ", "data:", "?", "a b ", "Bearer ", "\n"])
def test_a_long_text_is_cut_and_takes_no_time(filler: str) -> None:
    text = filler * (100_000 // len(filler))
    begun = time.thread_time()
    said = one_line(text)
    assert time.thread_time() - begun < 0.05
    assert len(said) <= MAX_TEXT


def test_a_secret_at_the_cut_is_hidden_whole() -> None:
    for start in range(MAX_TEXT - 60, MAX_TEXT + 5):
        said = one_line("x" * start + " " + OPENAI)
        assert "sk-" not in said


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("gpt-5.4-mini", "gpt-5.4-mini"),
        ("sim/text?seed=7&fault=reset", "sim/text"),
        ("ft:gpt-4o:org::id", "ft:gpt-4o:org::id"),
        ("DeepSeek-R1-Distill-Qwen-32B-Instruct-AWQ-Int4", "DeepSeek-R1-Distill-Qwen-32B-Instruct-AWQ-Int4"),
        ("anthropic.claude-3-5-sonnet-20240620-v1:0", "anthropic.claude-3-5-sonnet-20240620-v1:0"),
        ("Write me a poem about rivers.", HIDDEN),
        ("请帮我写一首诗", HIDDEN),
        ("a\nb", HIDDEN),
        ("x" * 101, HIDDEN),
        ("x" * 100_000, HIDDEN),
        ("", HIDDEN),
        ("-starts-with-a-dash", HIDDEN),
        ("aZ3" * 12, HIDDEN),
        (OPENAI, HIDDEN),
    ],
    ids=lambda text: text[:24],
)
def test_a_name_is_a_name_or_hidden(given: str, name: str) -> None:
    assert name_of(given) == name


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ("/v1/chat/completions", "/v1/chat/completions"),
        ("/v1beta/models/gemini-3.1-flash:generateContent", "/v1beta/models/gemini-3.1-flash:generateContent"),
        ("/", "/"),
        ("", ""),
        ("/v1/models/write me a poem", f"/v1/models/{HIDDEN}"),
        ("/v1/\nforged", f"/v1/{HIDDEN}"),
        ("/\x1b[2J", f"/{HIDDEN}"),
        ("no slash", f"/{HIDDEN}"),
        ("/a/" + "x" * 100_000, f"/a/{HIDDEN}"),
    ],
    ids=lambda text: ascii(text[:24]),
)
def test_a_path_is_shown_as_far_as_it_looks_like_one(given: str, path: str) -> None:
    assert path_of(given) == path


def test_scrubbing_an_error_leaves_its_words() -> None:
    assert (
        scrub(f"Incorrect API key provided: {OPENAI}. Find yours.")
        == f"Incorrect API key provided: {HIDDEN}. Find yours."
    )


# Exceptions.


def test_an_exception_is_told_by_type_and_place_alone() -> None:
    try:
        encode_frame(b"", event=b"canary\n")
    except ValueError as error:
        told = blame(error)
    assert "canary" not in told
    assert told.startswith("ValueError at framing/sse.py:")
    assert " < framing/sse.py:" in told, "the innermost first"


def test_its_cause_is_told_by_type() -> None:
    try:
        try:
            raise KeyError("canary")
        except KeyError as inner:
            raise Internal("canary") from inner
    except Internal as error:
        told = blame(error)
    assert told == "thalweg.canon.errors.Internal because of KeyError at a place that is not ours"


def test_an_exception_that_was_never_raised_has_no_place() -> None:
    assert blame(ValueError("canary")) == "ValueError at a place that is not ours"


def test_a_deep_one_is_told_by_its_innermost_places() -> None:
    def sink(depth: int) -> None:
        if depth:
            sink(depth - 1)
        encode_frame(b"", event=b"\n")

    try:
        sink(500)
    except ValueError as error:
        assert len(blame(error)) < MAX_TEXT
