"""Whatever bytes an upstream sends or a client asks with: nothing foreign is raised, memory stays in bound, every cut
reads the same, and what is written is read back.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import random
import re
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from tests.dialects.anthropic_messages.streams import (
    ANTHROPIC,
    ASKED,
    MENDED,
    PLAIN,
    Relayed,
    begin,
    check_watch,
    cuts_of,
    decode,
    delta,
    frame,
    over,
    read_strictly,
    relay,
    start,
    stop,
    stream,
)
from thalweg.canon.envelope import wrap
from thalweg.canon.errors import RequestError, UpstreamBroke, UpstreamError
from thalweg.canon.events import Event, ResponseFailed
from thalweg.canon.finish import FinishReason
from thalweg.canon.fold import fold, unfold
from thalweg.canon.losses import Losses
from thalweg.canon.parts import Citation, Part, Reasoning, Signature, Text, ToolCall, ToolResult
from thalweg.canon.request import Message, ReasoningAsk, Request, Sampling, Tool, ToolChoice
from thalweg.canon.response import Choice, Response
from thalweg.canon.turns import arrange
from thalweg.canon.usage import Usage
from thalweg.dialects.anthropic_messages.tables import REPAIRS
from thalweg.framing.sse import SseDecoder
from thalweg.profiles.base import Profile

GOOD: list[dict[str, Any]] = [
    start(),
    start(usage=None),
    {"type": "ping"},
    begin(0, "text"),
    begin(1, "tool_use"),
    begin(2, "thinking"),
    begin(0, "server_tool_use"),
    delta(0, "text_delta", "a"),
    delta(0, "input_json_delta", '{"a"'),
    delta(1, "input_json_delta", ":1}"),
    delta(2, "thinking_delta", "hm"),
    delta(2, "signature_delta", "c2ln"),
    delta(None, "text_delta", "b"),
    stop(0),
    stop(1),
    stop(2),
    *over(),
    over("tool_use", usage=None)[0],
    {"type": "error", "error": {"type": "overloaded_error", "message": "m"}},
]
BITS = st.sampled_from(
    [*map(frame, GOOD), *(frame(value, name="") for value in GOOD[:5]), b"data: [DONE]\n\n", b"data: ", b"data:", b"\n",
     b"\n\n", b"\r\n", b"\r", b": hi\n\n", b"event: error\n", b"event: content_block_delta\n", b"{}", b"null", b"5",
     b"[[[[", b"\xff", b"\xef\xbb\xbf", b'{"type":"message_start","message":5}', b'{"error":"m"}', b'{"type":5}'],
)  # fmt: skip
BYTES = st.one_of(
    st.lists(BITS, max_size=14).map(b"".join),
    st.lists(st.sampled_from([*map(frame, GOOD)]), max_size=10).map(lambda frames: frame(start()) + b"".join(frames)),
    st.binary(max_size=60),
)


def pieces_of(body: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(min(at, len(body)) for at in cuts), len(body)]
    return [body[a:b] for a, b in itertools.pairwise(edges)]


def assert_ours(relayed: Relayed, body: bytes) -> None:
    watch = relayed.watch
    assert watch.error is None or isinstance(watch.error, UpstreamError)
    assert watch.complete is (watch.error is None)
    check_watch(watch, decode(body))


def lines(body: bytes) -> list[bytes]:
    return [line for line in re.split(rb"[\r\n]", body) if line]


CUTS = st.lists(st.integers(0, 900), max_size=6)


@given(body=BYTES, cuts=CUTS, raw=st.booleans())
def test_any_bytes_are_decoded_and_relayed_without_a_foreign_error(body: bytes, cuts: list[int], raw: bool) -> None:
    pieces = pieces_of(body, cuts)
    relayed = relay(pieces, raw=raw)
    assert_ours(relayed, body)
    # Where a CRLF was cut in two its LF is in the next frame, which may be mended or come too late.
    assert lines(relayed.body) == lines(relay(body, raw=raw).body)
    if raw:
        assert body.startswith(relayed.body)
    one, other = fold(decode(pieces)), fold(decode(body))
    assert (one.choices, one.usage, str(one.error)) == (other.choices, other.usage, str(other.error))


@given(body=BYTES, rows=st.sets(st.sampled_from(sorted(REPAIRS))))
def test_any_set_of_rows_bears_any_bytes(body: bytes, rows: set[str]) -> None:
    relayed = relay(body, profile=Profile(repairs=frozenset(rows)))
    assert set(relayed.watch.repaired) <= rows
    assert_ours(relayed, body)


@given(frames=st.lists(st.sampled_from([*map(frame, GOOD)]), max_size=12), named=st.booleans())
def test_what_is_mended_breaks_no_sdk(frames: list[bytes], named: bool) -> None:
    """A stream that is whole and mended is one that the strictest client reads."""
    body = b"".join(frames)
    if not named:
        body = b"".join(line + b"\n" for line in body.split(b"\n")[:-1] if not line.startswith(b"event:"))
    relayed = relay(body)
    if not relayed.watch.complete or b"signature_delta" in body or not relayed.body:
        return
    if b"input_json_delta" in body:
        return  # arguments that are no JSON are the model's own
    read = read_strictly(relayed.body)
    assert read.stopped
    response = fold(decode(body))
    assert read.text == "".join(part.text for part in response.choices[0].parts if isinstance(part, Text))


@given(body=BYTES)
def test_any_bytes_are_a_whole_answer_or_our_error(body: bytes) -> None:
    with contextlib.suppress(UpstreamError):
        ANTHROPIC.decode_answer(body, profile=PLAIN, provider="acme")
    ANTHROPIC.decode_error(400, [], body, provider="acme", key_name="K")


def test_recordings_with_flipped_bytes_raise_nothing_foreign(
    corpus_root: Path, seeded_random: random.Random, full_counts: bool
) -> None:
    folders = sorted(path for path in (corpus_root / "anthropic").iterdir() if (path / "response.sse").is_file())
    for folder in folders if full_counts else seeded_random.sample(folders, 40):
        body = bytearray((folder / "response.sse").read_bytes()[:20_000])
        for _ in range(seeded_random.randrange(1, 6)):
            body[seeded_random.randrange(len(body))] = seeded_random.choice(b'\0\n\r"{}[]:,\\ \xff1')
        assert_ours(relay(bytes(body)), bytes(body))
        relay(cuts_of(bytes(body), 997), raw=True)


@pytest.mark.parametrize(
    "piece",
    [b"data: " + b"x" * 994, b"x\n" * 500, b": hi\n" * 200, b"data: [\n" * 100, b"\xff" * 1000],
    ids=["one line", "lines", "comments", "data lines", "no UTF-8"],
)
def test_endless_data_without_a_frame_costs_no_more_than_the_bound(piece: bytes) -> None:
    """And where the bound is passed, the stream breaks as soon as the frame's end is seen."""
    sse = SseDecoder(max_frame_bytes=100_000)
    decoder = ANTHROPIC.stream_decoder(profile=PLAIN, provider="acme")
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


def test_around_the_limit_of_depth_nothing_foreign_is_raised() -> None:
    """Reading, mending and writing reach the limit at different depths."""
    for depth in range(850, 1000, 2):
        deep = b"[" * depth + b"]" * depth
        for place in (
            b'{"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"c","name":"f","input":{"a":%s}}}',
            b'{"type":"content_block_start","index":7,"content_block":{"type":"x","y":%s}}',
            b'{"type":"content_block_delta","index":0,"delta":{"type":"citations_delta","citation":%s}}',
            b'{"type":"message_start","message":{"usage":{"output_tokens":1,"x":%s}}}',
            b'{"type":"message_start","message":{"x":%s}}',
            b'{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"x":%s}}',
            b'{"zz":%s,"type":"message_delta","delta":{}}',
            b'{"error":%s}',
            b'{"delta":5,"error":%s}',
        ):
            body = b"data: " + place % deep + b"\n\n" + stream(stop(0), over())
            relay(body)
            relay(stream(start(), begin(0, "text")) + body)
            events = decode(body)
            encoder = ANTHROPIC.stream_encoder(ASKED, response_id="x", model="m", created=0)
            encoder.encode(events)
            ANTHROPIC.decode_error(400, [], place % deep, provider="acme", key_name="K")
        body = b'{"model":"m","max_tokens":1,"messages":[{"role":"user","content":[{"type":"x","y":%s}]}],"z":%s}'
        with contextlib.suppress(RequestError):
            ANTHROPIC.read_request(body % (deep, deep)).canon()
        with contextlib.suppress(RequestError):
            ANTHROPIC.read_request(body % (deep, b'"gw1."')).edited(model="m", profile=PLAIN, stream=True)


def held_after(values: list[dict[str, Any]], times: int) -> tuple[int, int]:
    """The bytes that a decoder and a relayer hold after so many rounds of the same frames, their output thrown away."""
    body = b"".join(map(frame, values))
    asked = ANTHROPIC.read_request(
        json.dumps({"model": "m", "max_tokens": 1, "messages": [{"role": "user", "content": "?"}]}).encode()
    )
    sizes = []
    tracemalloc.start()
    try:
        for reader in (
            ANTHROPIC.stream_decoder(profile=PLAIN, provider=""),
            ANTHROPIC.relayer(asked, profile=MENDED, raw=False, provider="", response_id="m", created=0),
        ):
            sse = SseDecoder()
            reader.feed(sse.feed(stream(start(), begin(0, "text"), begin(1, "thinking"), begin(2, "tool_use"))))
            before, _ = tracemalloc.get_traced_memory()
            for _ in range(times):
                reader.feed(sse.feed(body))
            sizes.append(tracemalloc.get_traced_memory()[0] - before)
    finally:
        tracemalloc.stop()
    return sizes[0], sizes[1]


@pytest.mark.parametrize("value", [delta(0, "text_delta", "x" * 500), {"type": "ping", "x": "y" * 500}])
def test_what_has_been_passed_on_is_not_kept(value: dict[str, Any]) -> None:
    decoded, relayed = held_after([value], 2000)
    assert decoded < 50_000
    assert relayed < 50_000


# What is written is read back.

WORDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
MODEL = "claude-1"
OWN = st.builds(
    Signature,
    vendor=st.just("anthropic"),
    model=st.just(MODEL),
    kind=st.just("signature"),
    data=st.from_regex(r"[A-Za-z0-9+/]{1,20}", fullmatch=True),
)
FOREIGN = st.builds(
    Signature,
    vendor=st.sampled_from(["google", "openai"]),
    model=WORDS,
    kind=st.sampled_from(["thought", "encrypted"]),
    data=WORDS,
    item_id=st.none() | WORDS,
)
CITED = st.builds(
    Citation, url=WORDS.map(lambda text: f"https://e.com/{text}"), title=st.none() | WORDS, quote=st.none() | WORDS
)
TREES = st.dictionaries(WORDS, st.none() | st.integers(-99, 99) | WORDS | st.lists(WORDS, max_size=2), max_size=3)
TEXTS = st.builds(Text, text=WORDS, citations=st.lists(CITED, max_size=2).map(tuple))
SIGNED_TEXTS = st.builds(Text, text=st.just("") | WORDS, signature=FOREIGN)
THOUGHTS = st.builds(Reasoning, text=st.just("") | WORDS, form=st.just("summary"), signature=OWN | FOREIGN)
REDACTED = OWN.map(
    lambda signature: Reasoning(form="hidden", redacted=True, signature=replace(signature, kind="redacted"))
)
CALLS = st.builds(
    ToolCall,
    id=st.from_regex(r"[A-Za-z0-9_-]{1,20}", fullmatch=True),
    name=st.from_regex(r"[A-Za-z0-9_-]{1,20}", fullmatch=True),
    arguments=TREES.map(lambda tree: json.dumps(tree, ensure_ascii=False, separators=(",", ":"))),
    signature=st.none() | FOREIGN,
)  # fmt: skip
PARTS = st.one_of(TEXTS, SIGNED_TEXTS, THOUGHTS, REDACTED, CALLS)
REASONS = {
    FinishReason.STOP: "end_turn",
    FinishReason.LENGTH: "max_tokens",
    FinishReason.PAUSE: "pause_turn",
    FinishReason.REFUSAL: "refusal",
    FinishReason.CONTEXT_OVERFLOW: "model_context_window_exceeded",
}


@st.composite
def answers(draw: st.DrawFn) -> Response:
    parts = tuple(draw(st.lists(PARTS, max_size=5)))
    reason, raw = draw(st.sampled_from(list(REASONS.items())))
    if reason is FinishReason.STOP and any(isinstance(part, ToolCall) for part in parts):
        reason, raw = FinishReason.TOOL_CALLS, "tool_use"
    made = draw(st.integers(0, 99))
    usage = Usage(
        input_tokens=draw(st.integers(10, 99)),
        cached_input_tokens=draw(st.integers(0, 5)),
        cache_write_tokens=draw(st.integers(0, 5)),
        output_tokens=made,
        reasoning_tokens=draw(st.none() | st.integers(0, made)),
    )
    choice = Choice(index=0, parts=parts, finish_reason=reason, raw_finish_reason=raw)
    return Response(response_id="msg_1", model=MODEL, created=None, choices=(choice,), usage=usage, complete=True)


def written(turns: list[list[Event]]) -> bytes:
    encoder = ANTHROPIC.stream_encoder(ASKED, response_id="msg_1", model=MODEL, created=0)
    return b"".join(piece for turn in turns for piece in encoder.encode(turn))


@given(answer=answers(), cuts=CUTS)
def test_a_streamed_answer_is_read_back(answer: Response, cuts: list[int]) -> None:
    body = written([unfold(answer)])
    assert replace(fold(decode(pieces_of(body, cuts))), raw_usage=None) == answer
    assert read_strictly(body).stopped
    assert relay(body).watch.repaired == {}
    whole = ANTHROPIC.decode_answer(ANTHROPIC.encode_answer(answer, ASKED), profile=PLAIN, provider="")
    assert replace(whole, raw_usage=None) == answer


@given(answer=answers(), at_once=st.booleans())
def test_a_client_that_sends_an_answer_back_brings_every_signature(answer: Response, at_once: bool) -> None:
    """Whether its carriers stand before or behind their parts."""
    events = unfold(answer)
    read = read_strictly(written([events] if at_once else [[event] for event in events]))
    if not read.blocks:
        return
    body = {"model": "m", "max_tokens": 9, "messages": [{"role": "assistant", "content": read.blocks}]}
    (message,) = ANTHROPIC.read_request(json.dumps(body).encode()).canon().messages
    assert [untied(part) for part in message.parts] == [untied(part) for part in answer.choices[0].parts]


def untied(part: Part) -> Part:
    """Without what a request does not say: the model of an own signature, and the spaces of arguments."""
    if isinstance(part, ToolCall):
        part = replace(part, arguments=json.dumps(json.loads(part.arguments)))
    if isinstance(part, Text | Reasoning | ToolCall) and part.signature and part.signature.vendor == "anthropic":
        part = replace(part, signature=replace(part.signature, model=""))
    return part


# Requests.

JUNK = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from(["", "a", "text", "gw1.x", "auto", wrap(Signature(vendor="x", model="", kind="", data="d"))]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["type", "text", "content", "role", "source", "id", "name", "input", "tool_use_id", "thinking", "signature", "data", "cache_control", "citations"]),
        inner,
        max_size=4,
    ),
    max_leaves=12,
)  # fmt: skip
TYPES = st.sampled_from(
    ["text", "image", "document", "thinking", "redacted_thinking", "tool_use", "tool_result", "search_result", "x"]
)
JUNK_BLOCKS = st.lists(
    st.builds(
        lambda kind, rest: {**rest, "type": kind},
        TYPES,
        st.dictionaries(
            st.sampled_from(
                [
                    "text",
                    "source",
                    "thinking",
                    "signature",
                    "data",
                    "id",
                    "name",
                    "input",
                    "tool_use_id",
                    "content",
                    "citations",
                    "title",
                ]
            ),
            JUNK,
            max_size=4,
        ),
    ),
    max_size=3,
)
FIELDS = st.dictionaries(
    st.sampled_from(
        [
            "system",
            "tools",
            "tool_choice",
            "thinking",
            "output_config",
            "output_format",
            "metadata",
            "stop_sequences",
            "temperature",
            "service_tier",
            "mcp_servers",
            "weather",
        ]
    ),
    JUNK,
    max_size=3,
)


@given(fields=FIELDS, content=JUNK | JUNK_BLOCKS, role=st.sampled_from(["user", "assistant", "system"]))
def test_any_request_is_taken_or_refused_in_our_words(fields: dict[str, Any], content: Any, role: str) -> None:
    body = {"model": "m", "max_tokens": 9, "messages": [{"role": role, "content": content}]} | fields
    try:
        asked = ANTHROPIC.read_request(json.dumps(body).encode())
        asked.prompt_chars()
        edited = asked.edited(model="m2", profile=PLAIN, stream=True)
        assert b"gw1." not in edited or "gw1." in json.dumps(body)
        asked.canon()
    except RequestError as error:
        assert error.status == 400
        assert "gw1." not in error.message


@given(raw=st.binary(max_size=60))
def test_any_body_is_taken_or_refused_in_our_words(raw: bytes) -> None:
    with contextlib.suppress(RequestError):
        ANTHROPIC.read_request(raw)


SAID = st.lists(st.one_of(TEXTS, SIGNED_TEXTS, THOUGHTS, CALLS), max_size=4)


@st.composite
def talks(draw: st.DrawFn) -> tuple[Message, ...]:
    messages: list[Message] = []
    for at in range(draw(st.integers(1, 5))):
        role: Any = draw(st.sampled_from(["user", "assistant", "system"]))
        parts: list[Part] = [Text(text=draw(WORDS))]
        if role == "assistant":
            parts = [
                replace(p, id=f"call_{at}_{i}") if isinstance(p, ToolCall) else p for i, p in enumerate(draw(SAID))
            ]
        calls = [part for part in parts if isinstance(part, ToolCall)]
        messages.append(Message(role=role, parts=tuple(parts)))
        if calls and draw(st.booleans()):
            results = tuple(ToolResult(call_id=call.id, parts=(Text(text="x"),)) for call in reversed(calls))
            messages.append(Message(role="user", parts=results))
    return tuple(messages)


@given(
    talk=talks(),
    model=st.sampled_from(["claude-3-5-haiku", "claude-sonnet-4", "claude-opus-4-5", "claude-sonnet-4-6", "claude-opus-5", "claude-fable-5", "glm-5"]),
    mode=st.sampled_from(["default", "off", "auto"]),
    choice=st.sampled_from([None, "auto", "none", "required"]),
    most=st.sampled_from([None, 10, 2000]),
)  # fmt: skip
def test_any_talk_is_written_as_anthropic_takes_it(
    talk: tuple[Message, ...], model: str, mode: Any, choice: Any, most: int | None
) -> None:
    losses = Losses("lenient")
    asked = Request(
        model="m",
        messages=arrange(talk, losses),
        tools=(Tool(name="f"),),
        tool_choice=ToolChoice(mode=choice) if choice else None,
        reasoning=ReasoningAsk(mode=mode),
        sampling=Sampling(max_tokens=most, temperature=0.5),
    )
    wire = json.loads(ANTHROPIC.encode_request(asked, model=model, profile=PLAIN, stream=True, losses=losses).body)
    assert_lawful(wire)


def assert_lawful(wire: dict[str, Any]) -> None:
    """What Anthropic answers with 400 otherwise (`wire/anthropic-messages.md` sections 5 to 8, 11)."""
    assert wire["messages"]
    waiting: list[str] = []
    before = ""
    for turn in wire["messages"]:
        assert turn["content"], "no turn is empty"
        results = [block["tool_use_id"] for block in turn["content"] if block["type"] == "tool_result"]
        assert sorted(results) == sorted(waiting), "each call has its result in the very next turn"
        assert [block["type"] for block in turn["content"][: len(results)]] == ["tool_result"] * len(results)
        waiting = [block["id"] for block in turn["content"] if block["type"] == "tool_use"]
        assert turn["role"] != before or turn["role"] == "system"
        assert turn["role"] != "system" or before == "user"
        assert not (before == "system" and turn["role"] == "user")
        before = turn["role"]
        for block in turn["content"]:
            assert block["type"] != "text" or block["text"].strip()
            assert block["type"] != "thinking" or not block["signature"].startswith("gw1.")
            assert block["type"] != "tool_use" or isinstance(block["input"], dict)
    assert not waiting
    thinking = wire.get("thinking", {"type": "disabled"})
    if thinking["type"] == "enabled":
        assert 1024 <= thinking["budget_tokens"] < wire["max_tokens"]
        assert wire.get("tool_choice", {}).get("type") not in ("any", "tool")
    if thinking["type"] != "disabled":
        assert "temperature" not in wire
