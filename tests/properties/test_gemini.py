"""Whatever bytes a Gemini upstream sends: nothing foreign is raised, memory stays in bound, every cut reads the same."""

from __future__ import annotations

import itertools
import json
import random
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.dialects.gemini.streams import (
    GEMINI,
    LEAST,
    PROFILE,
    SSE_TARGET,
    USAGE,
    call,
    check_watch,
    chunk,
    decode,
    encode,
    frame,
    relay,
    stream,
    thought,
)
from thalweg.canon.errors import GatewayError, UpstreamError
from thalweg.canon.events import PartStarted, Pinged
from thalweg.canon.fold import fold
from thalweg.dialects.base import watch_answer
from thalweg.framing.sse import SseDecoder
from thalweg.profiles.base import Profile

GOOD = [
    chunk("a"),
    chunk("b", usageMetadata=USAGE),
    chunk(thought("t")),
    chunk({"text": "", "thoughtSignature": "AAEC"}),
    chunk(call(args={"x": 1})),
    chunk(call(willContinue=True)),
    chunk({"functionCall": {"partialArgs": [{"jsonPath": "$.a[0]", "stringValue": "x"}], "willContinue": True}}),
    chunk("", finish="STOP", usageMetadata=USAGE),
    chunk("é\u2028", at=1, finish="SAFETY"),
    {"promptFeedback": {"blockReason": "SAFETY"}},
]
BITS = st.sampled_from(
    [*map(frame, GOOD), frame(GOOD[0], b"\n\n"), b"data: [DONE]\n\n", b"data: ", b"data:", b"\n", b"\n\n", b"\r\n", b"\r", b": hi\n\n", b"event: error\n",
     b'{"candidates":[', b"{}", b"null", b"5", b'"x"', b"[[[[", b"\xff", b"\xef\xbb\xbf", b'{"error":{"code":5}}', b'{"error":"m"}\n\n', b'{"candidates":5,',
     b'{"candidates":[{"content":{"parts":[{"functionCall":{}}]}}]}', b'{"finishReason":3}', b'[{"candidates":[]}]'],
)  # fmt: skip
BYTES = st.one_of(st.lists(BITS, max_size=10).map(b"".join), st.binary(max_size=60))


def pieces_of(body: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(min(at, len(body)) for at in cuts), len(body)]
    return [body[a:b] for a, b in itertools.pairwise(edges)]


@given(body=BYTES, cuts=st.lists(st.integers(0, 400), max_size=5), raw=st.booleans(), array=st.booleans())
def test_any_bytes_are_decoded_and_relayed_without_a_foreign_error(
    body: bytes, cuts: list[int], raw: bool, array: bool
) -> None:
    pieces = pieces_of(body, cuts)
    relayed, whole = relay(pieces, raw=raw, array=array), relay(body, raw=raw, array=array)
    assert relayed.watch.error is None or isinstance(relayed.watch.error, UpstreamError)
    assert relayed.body.strip(b"\r\n") == whole.body.strip(b"\r\n")
    if array:
        json.loads(relayed.body)
    elif raw and relayed.watch.error is None:
        # But for a last frame that the body's end has torn.
        assert body.startswith(relayed.body.rstrip(b"\r\n"))
    one, other = fold(decode(pieces)), fold(decode(body))
    assert (one.choices, one.usage, str(one.error)) == (other.choices, other.usage, str(other.error))
    check_watch(relayed.watch, decode(body))


@given(body=BYTES, rows=st.sets(st.sampled_from(sorted(PROFILE.repairs))))
def test_any_set_of_rows_bears_any_bytes(body: bytes, rows: set[str]) -> None:
    relayed = relay(body, profile=Profile(repairs=frozenset(rows)))
    assert set(relayed.watch.repaired) <= rows


@given(body=BYTES)
def test_any_bytes_as_an_array_or_as_a_whole_answer(body: bytes) -> None:
    decode(body, array=True)
    watch = watch_answer(GEMINI, body, profile=PROFILE, provider="acme")
    assert watch.error is None or isinstance(watch.error, UpstreamError)
    assert isinstance(GEMINI.decode_error(400, [], body, provider="acme", key_name="K"), GatewayError)


@given(body=st.lists(BITS, max_size=10).map(b"".join), array=st.booleans(), shown=st.booleans())
def test_what_was_read_can_be_written(body: bytes, array: bool, shown: bool) -> None:
    events = [event for event in decode(body) if not isinstance(event, Pinged)]
    written = b"".join(encode(events, array=array, shown=shown))
    again = fold(decode(written, array=array))
    assert again.complete is fold(events).complete


LEAVES = st.one_of(st.none(), st.booleans(), st.integers(-5, 5), st.text(max_size=3), st.just("AAEC"), st.just("user"))
NAMES = ["parts", "role", "text", "thought", "thoughtSignature", "functionCall", "function_response", "name", "args", "id", "inline_data", "data", "fileData", "file_uri", "x"]  # fmt: skip
TREES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(NAMES), inner, max_size=4)),
    max_leaves=15,
)


@given(
    contents=TREES,
    more=st.dictionaries(
        st.sampled_from(["tools", "toolConfig", "generation_config", "systemInstruction", "model"]), TREES, max_size=2
    ),
)
def test_whatever_a_client_sends_is_read_or_refused(contents: Any, more: Any) -> None:
    body = json.dumps({"contents": contents} | more).encode()
    try:
        asked = GEMINI.read_request(body, SSE_TARGET)
        asked.canon()
    except GatewayError:
        return
    asked.edited(model="m", profile=PROFILE, stream=True)
    asked.prompt_chars()


@given(text=st.binary(max_size=40))
def test_whatever_a_client_asks_for_is_read_or_refused(text: bytes) -> None:
    for target in (text, b"/v1/models/" + text + b":generateContent", b"/v1/models/m:streamGenerateContent?" + text):
        try:
            GEMINI.read_request(json.dumps(LEAST).encode(), target)
        except GatewayError:
            continue


def is_text(body: bytes) -> bool:
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True


def test_recordings_with_flipped_bytes_raise_nothing_foreign(corpus_root: Path, seeded_random: random.Random) -> None:
    for folder in sorted(path for path in (corpus_root / "gemini").iterdir() if (path / "response.sse").is_file()):
        body = bytearray((folder / "response.sse").read_bytes()[:20_000])
        for _ in range(seeded_random.randrange(1, 6)):
            body[seeded_random.randrange(len(body))] = seeded_random.choice(b'\0\n\r"{}[]:,\\ \xff1')
        relayed = relay(bytes(body))
        if is_text(bytes(body)):
            check_watch(relayed.watch, decode(bytes(body)))
        decode(bytes(body), array=True)


def test_around_the_limit_of_depth_nothing_foreign_is_raised() -> None:
    """Reading, mending and writing reach the limit at different depths."""
    for depth in [*range(200, 850, 50), *range(850, 1000, 4)]:
        deep = b"[" * depth + b"]" * depth
        for place in (
            b'{"candidates":[{"content":{"parts":[{"functionCall":{"name":"f","args":{"a":%s}}}]},"finishReason":1}]}',
            b'{"candidates":[{"content":{"parts":[{"functionCall":{"name":"f","willContinue":true,"args":{"a":%s}}}]}}]}',
            b'{"candidates":[{"content":{"parts":[{"executableCode":%s}]}}]}',
            b'{"candidates":[{"content":{"parts":[{"text":"a"}]},"groundingMetadata":%s}]}',
            b'{"candidates":[{"content":{"parts":[{"text":"a"}]}}],"usageMetadata":{"promptTokenCount":1,"x":%s}}',
            b'{"error":%s}',
            b'{"candidates":5,"error":%s}',
        ):
            body = frame(chunk("a")) + b"data: " + place % deep + b"\n\n" + frame(chunk("", finish="STOP"))
            for array in (False, True):
                relay(body, array=array)
            encode([event for event in decode(body) if not isinstance(event, Pinged)])
            watch_answer(GEMINI, place % deep, profile=PROFILE, provider="acme")
            GEMINI.decode_error(400, [], place % deep, provider="acme", key_name="K")


@pytest.mark.parametrize(
    "value",
    [chunk("x" * 500), chunk(thought("x" * 500)), chunk({"executableCode": {"code": "x" * 500}}), chunk(call(args={"a": "x" * 500}))],
    ids=["text", "thoughts", "code", "a call"],
)  # fmt: skip
def test_what_has_been_passed_on_is_not_kept(value: Any) -> None:
    asked = GEMINI.read_request(json.dumps(LEAST).encode(), SSE_TARGET)
    relayer = GEMINI.relayer(asked, profile=PROFILE, raw=False, provider="", response_id="", created=0)
    decoder = GEMINI.stream_decoder(profile=PROFILE, provider="")
    encoder = GEMINI.stream_encoder(asked.canon(), response_id="", model="", created=0)
    for reader in (relayer.feed, lambda frames: encoder.encode(decoder.feed(frames))):
        sse, body = SseDecoder(), stream(value)
        tracemalloc.start()
        try:
            reader(sse.feed(body))
            before, _ = tracemalloc.get_traced_memory()
            for _ in range(1000):
                reader(sse.feed(body))
            grown = tracemalloc.get_traced_memory()[0] - before
        finally:
            tracemalloc.stop()
        assert grown < 50_000
    assert not any(isinstance(event, PartStarted) for event in decoder.end())
