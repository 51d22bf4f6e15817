"""Whatever bytes an upstream sends: nothing foreign is raised, memory stays in bound, every cut reads the same."""

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

from tests.dialects.openai_chat.streams import CHAT, DONE, Relayed, chunk, cuts_of, decode, frame, relay, usage_chunk
from thalweg.canon.errors import UpstreamBroke, UpstreamError
from thalweg.canon.events import ResponseFailed
from thalweg.canon.fold import fold
from thalweg.dialects.base import watch_answer
from thalweg.framing.sse import SseDecoder
from thalweg.profiles.base import Profile
from thalweg.profiles.providers import COMPATIBLE

GOOD = [
    chunk({"role": "assistant", "content": ""}),
    chunk({"content": "a"}),
    chunk({"content": ""}, finish="stop"),
    usage_chunk(),
    chunk({"content": "a"}, usage={"prompt_tokens": 3, "completion_tokens": 5}),
]
METERED = Profile(repairs=COMPATIBLE.repairs, chunk_usage="chunk_include_usage", unasked_usage="absent")
BITS = st.sampled_from(
    [*map(frame, GOOD), DONE, b"data: ", b"data:", b"\n", b"\n\n", b"\r\n", b"\r", b": hi\n\n", b"event: error\n", b"error: ", b"[DONE]",
     b'{"choices":[', b"{}", b"null", b"5", b'"x"', b"[[[[", b"\xff", b"\xef\xbb\xbf", b'{"error":"m"}', b'{"choices":5,', b'{"choices":[{"delta":'],
)  # fmt: skip
BYTES = st.one_of(st.lists(BITS, max_size=10).map(b"".join), st.binary(max_size=60))


def assert_ours(relayed: Relayed, body: bytes) -> None:
    watch = relayed.watch
    assert watch.error is None or isinstance(watch.error, UpstreamError)
    assert watch.complete is (watch.error is None)
    events = decode(body)
    assert (events and isinstance(events[-1], ResponseFailed)) is (watch.error is not None)


@given(body=BYTES, cuts=st.lists(st.integers(0, 400), max_size=5), raw=st.booleans(), include_usage=st.booleans())
def test_any_bytes_are_decoded_and_relayed_without_a_foreign_error(
    body: bytes, cuts: list[int], raw: bool, include_usage: bool
) -> None:
    edges = [0, *sorted(min(at, len(body)) for at in cuts), len(body)]
    pieces = [body[a:b] for a, b in itertools.pairwise(edges)]
    relayed = relay(pieces, raw=raw, include_usage=include_usage)
    assert_ours(relayed, body)
    whole = relay(body, raw=raw, include_usage=include_usage)
    if raw:
        # An LF after the end mark's or the error's CR may come too late to be passed on.
        assert relayed.body.removesuffix(b"\n") == whole.body.removesuffix(b"\n")
    else:
        assert relayed.body == whole.body
    if raw and include_usage:
        assert body.startswith(relayed.body)
    one, other = fold(decode(pieces)), fold(decode(body))
    assert (one.choices, one.usage, str(one.error)) == (other.choices, other.usage, str(other.error))


@given(
    body=BYTES,
    profile=st.builds(
        lambda rows, option: Profile(repairs=frozenset(rows), chunk_usage=option),
        st.sets(st.sampled_from(sorted(COMPATIBLE.repairs))),
        st.sampled_from([None, "chunk_include_usage"]),
    ),
)
def test_any_set_of_rows_bears_any_bytes(body: bytes, profile: Profile) -> None:
    relayed = relay(body, profile=profile)
    assert set(relayed.watch.repaired) <= profile.repairs
    assert_ours(relayed, body)


def is_text(body: bytes) -> bool:
    """Text that is no UTF-8, in a field that nobody reads, passes on the short way and breaks the long one."""
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True


def test_recordings_with_flipped_bytes_raise_nothing_foreign(
    corpus_root: Path, seeded_random: random.Random, full_counts: bool
) -> None:
    folders = sorted(path for path in (corpus_root / "openai-chat").iterdir() if (path / "response.sse").is_file())
    for folder in folders if full_counts else seeded_random.sample(folders, 60):
        body = bytearray((folder / "response.sse").read_bytes()[:20_000])
        for _ in range(seeded_random.randrange(1, 6)):
            body[seeded_random.randrange(len(body))] = seeded_random.choice(b'\0\n\r"{}[]:,\\ \xff1')
        relayed = relay(bytes(body))
        if is_text(bytes(body)):
            assert_ours(relayed, bytes(body))
        relay(cuts_of(bytes(body), 997), raw=True)


@pytest.mark.parametrize(
    "piece",
    [b"data: " + b"x" * 994, b"x\n" * 500, b": hi\n" * 200, b"data: [\n" * 100, b"\xff" * 1000],
    ids=["one line", "lines", "comments", "data lines", "no UTF-8"],
)
def test_endless_data_without_a_frame_costs_no_more_than_the_bound(piece: bytes) -> None:
    """And where the bound is passed, the stream breaks as soon as the frame's end is seen."""
    sse = SseDecoder(max_frame_bytes=100_000)
    decoder = CHAT.stream_decoder(profile=COMPATIBLE, provider="acme")
    tracemalloc.start()
    try:
        for _ in range(2000):
            decoder.feed(sse.feed(piece))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 600_000
    (*_, failed) = decoder.feed(sse.feed(b"\n\n"))
    assert isinstance(failed, ResponseFailed)
    assert isinstance(failed.error, UpstreamBroke)
    assert "more than" in failed.error.message


_COMMON = frame(chunk({"content": "b"}))[6:-3]


def test_around_the_limit_of_depth_nothing_foreign_is_raised() -> None:
    """Reading, mending and writing reach the limit at different depths."""
    for depth in range(850, 1000, 2):
        deep = b"[" * depth + b"]" * depth
        for place in (
            b'{"choices":[{"delta":{"tool_calls":[{"id":"c","function":{"name":"f","arguments":%s}}]}}]}',
            b'{"choices":[{"delta":{"annotations":%s}}],"id":"x"}',
            b'{"zz":%s,"choices":[{"delta":{"content":null}}]}',
            b'{"choices":[],"usage":{"prompt_tokens":1,"x":%s}}',
            b'{"choices":[{"index":0,"delta":{}}],"usage":{"prompt_tokens":1,"x":%s}}',
            _COMMON + b',"usage":{"prompt_tokens":1,"completion_tokens":1,"x":%s}}',
            b'{"error":%s}',
            b'{"choices":5,"error":%s}',
        ):
            body = b"data: " + place % deep + b"\n\n" + DONE
            relay(body)
            relay(frame(chunk({"content": "a"})) + body, profile=METERED)
            decode(body)
            CHAT.decode_error(400, [], place % deep, provider="acme", key_name="K")
            watch_answer(CHAT, place % deep, profile=COMPATIBLE, provider="acme")
        CHAT.decode_error(400, [], b'{"detail":%s}' % deep, provider="acme", key_name="K")


def held_after(values: list[dict[str, Any]], times: int) -> tuple[int, int]:
    """The bytes that a decoder and a relayer hold after so many rounds of the same chunks, their output thrown away."""
    body = b"".join(map(frame, values))
    asked = CHAT.read_request(json.dumps({"model": "m", "messages": [{"role": "user", "content": "?"}]}).encode())
    sizes = []
    tracemalloc.start()
    try:
        for reader in (
            CHAT.stream_decoder(profile=COMPATIBLE, provider=""),
            CHAT.relayer(asked, profile=COMPATIBLE, raw=False, provider="", response_id="x", created=1),
        ):
            sse = SseDecoder()
            before, _ = tracemalloc.get_traced_memory()
            for _ in range(times):
                reader.feed(sse.feed(body))
            sizes.append(tracemalloc.get_traced_memory()[0] - before)
    finally:
        tracemalloc.stop()
    return sizes[0], sizes[1]


@pytest.mark.parametrize(
    "delta",
    [
        {"content": "x" * 500},
        {"reasoning_content": "x" * 500, "content": ""},
        {"refusal": "x" * 500},
        {"annotations": [{"a": "x" * 500}]},
    ],
    ids=["text", "reasoning", "refusal", "annotations"],
)
def test_what_has_been_passed_on_is_not_kept(delta: dict[str, Any]) -> None:
    decoded, relayed = held_after([chunk(delta)], 2000)
    assert decoded < 50_000
    assert relayed < 50_000
