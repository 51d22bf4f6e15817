"""Whatever an upstream sends, nothing foreign is raised and memory stays in bound; whatever is encoded reads the same."""

from __future__ import annotations

import itertools
import random
import tracemalloc
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.dialects.openai_responses.streams import (
    ALL_ROWS,
    ASKED,
    CREATED,
    HELLO,
    RESPONSES,
    Relayed,
    added,
    call,
    check_watch,
    cuts_of,
    decode,
    delta,
    done,
    event,
    frame,
    message,
    output_text,
    read_strictly,
    reasoning,
    relay,
    stream,
    text,
)
from thalweg.canon.errors import UpstreamBroke, UpstreamError
from thalweg.canon.events import ResponseFailed
from thalweg.canon.finish import FinishReason
from thalweg.canon.fold import fold, unfold
from thalweg.canon.losses import Losses
from thalweg.canon.parts import Citation, Media, Opaque, Part, Reasoning, Refusal, Signature, Text, ToolCall, ToolResult
from thalweg.canon.request import Message, Request
from thalweg.canon.response import Choice, Response
from thalweg.canon.usage import Usage
from thalweg.dialects.base import watch_answer
from thalweg.dialects.openai_responses import RESPONSES_REPAIRS
from thalweg.framing.sse import SseDecoder
from thalweg.profiles.base import Profile

BITS = st.sampled_from(
    [*(frame(value | {"sequence_number": 1}) for value in (CREATED, *HELLO)), frame(CREATED, named=False),
     b"data: ", b"data:", b"\n", b"\n\n", b"\r\n", b"\r", b": hi\n\n", b"event: error\n", b"event: response.completed\n",
     b"id: 1\n", b"retry: 1\n\n", b"[DONE]", b"data: [DONE]\n\n", b"{}", b"null", b"5", b'"x"', b"[[[[", b"\xff",
     b"\xef\xbb\xbf", b'{"error":"m"}', b'{"type":"error"}', b'{"type":"response.completed"}',
     b'{"type":"response.failed"}', b'{"type":"response.completed","response":5}', b'{"response":{"output":[]},'],
)  # fmt: skip
BYTES = st.one_of(st.lists(BITS, max_size=10).map(b"".join), st.binary(max_size=60))


def assert_ours(relayed: Relayed, body: bytes) -> None:
    watch = relayed.watch
    assert watch.error is None or isinstance(watch.error, UpstreamError)
    assert watch.complete is (watch.error is None)
    check_watch(watch, decode(body))


@given(body=BYTES, cuts=st.lists(st.integers(0, 400), max_size=5), raw=st.booleans())
def test_any_bytes_are_decoded_and_relayed_without_a_foreign_error(body: bytes, cuts: list[int], raw: bool) -> None:
    edges = [0, *sorted(min(at, len(body)) for at in cuts), len(body)]
    pieces = [body[a:b] for a, b in itertools.pairwise(edges)]
    relayed, whole = relay(pieces, raw=raw), relay(body, raw=raw)
    assert_ours(relayed, body)
    if raw:
        # An LF after the last event's CR may come too late to be passed on.
        assert relayed.body.removesuffix(b"\n") == whole.body.removesuffix(b"\n")
        assert body.startswith(relayed.body)
    else:
        assert relayed.body == whole.body
    one, other = fold(decode(pieces)), fold(decode(body))
    assert (one.choices, one.usage, str(one.error)) == (other.choices, other.usage, str(other.error))


@given(body=BYTES, rows=st.sets(st.sampled_from(sorted(RESPONSES_REPAIRS))))
def test_any_set_of_rows_bears_any_bytes(body: bytes, rows: set[str]) -> None:
    relayed = relay(body, profile=Profile(repairs=frozenset(rows)))
    assert set(relayed.watch.repaired) <= rows
    assert_ours(relayed, body)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.sampled_from(["", "a", "message", "reasoning", "function_call"]),
    lambda inner: st.lists(inner, max_size=2)
    | st.dictionaries(
        st.sampled_from(["type", "id", "text", "content", "summary", "output", "status", "error", "usage", "name",
                         "call_id", "arguments", "encrypted_content", "annotations", "reasoning", "model"]),
        inner,
        max_size=4,
    ),
    max_leaves=10,
)  # fmt: skip
KINDS = st.sampled_from(sorted({value["type"] for value in HELLO} | {
    "response.created", "response.in_progress", "response.failed", "response.incomplete", "response.refusal.delta",
    "response.refusal.done", "response.reasoning_summary_text.delta", "response.reasoning_summary_text.done",
    "response.reasoning_text.delta", "response.reasoning_text.done", "response.function_call_arguments.delta",
    "response.function_call_arguments.done", "response.custom_tool_call_input.delta",
    "response.custom_tool_call_input.done", "response.output_text.annotation.added", "error", "response.new",
}))  # fmt: skip
EVENTS = st.builds(
    lambda kind, fields: {"type": kind} | fields,
    KINDS,
    st.dictionaries(
        st.sampled_from(["output_index", "content_index", "summary_index", "item_id", "delta", "text", "refusal",
                         "arguments", "input", "item", "part", "response", "annotation", "logprobs", "error", "code"]),
        JSON,
        max_size=5,
    ),
)  # fmt: skip


@given(values=st.lists(EVENTS, max_size=6))
def test_any_events_keep_the_rules_and_are_read_alike(values: list[dict[str, Any]]) -> None:
    body = b"".join(map(frame, values))
    relayed = relay(body)
    events = decode(body)
    check_watch(relayed.watch, events)
    assert relay(cuts_of(body, 5)).body == relayed.body


@given(tree=JSON)
def test_any_whole_answer_is_read_or_refused(tree: Any) -> None:
    body = msgspec.json.encode(tree)
    try:
        answer = RESPONSES.decode_answer(body, profile=ALL_ROWS, provider="acme")
    except UpstreamError:
        assert watch_answer(RESPONSES, body, profile=ALL_ROWS).error is not None
        return
    RESPONSES.encode_answer(answer, ASKED)


# Decode after encode is identity.

WORDS = st.text(min_size=1, max_size=8)
SIGNATURES = st.one_of(
    st.builds(
        Signature,
        vendor=st.sampled_from(["anthropic", "google", "openrouter"]),
        model=st.text(max_size=3),
        kind=st.sampled_from(["signature", "thought"]),
        data=WORDS,
        item_id=st.none() | st.just("x"),
    ),
    st.builds(
        Signature,
        vendor=st.just("openai"),
        model=st.just("own"),
        kind=st.just("encrypted"),
        data=WORDS,
        item_id=st.sampled_from(["rs_1", "x"]),
    ),
)
CITATIONS = st.builds(
    Citation,
    url=WORDS,
    title=st.none() | WORDS,
    start=st.integers(0, 9),
    end=st.integers(0, 9),
)
PARTS: st.SearchStrategy[Part] = st.one_of(
    st.builds(Text, text=WORDS, citations=st.lists(CITATIONS, max_size=2).map(tuple)),
    st.builds(Refusal, text=WORDS),
    st.builds(Reasoning, text=WORDS, form=st.sampled_from(["raw", "summary"]), signature=st.none() | SIGNATURES),
    st.builds(Reasoning, form=st.just("hidden"), signature=SIGNATURES),
    st.builds(ToolCall, id=WORDS, name=WORDS, arguments=WORDS, kind=st.sampled_from(["function", "custom"])),
    st.builds(
        Opaque,
        dialect=st.just("openai-responses"),
        raw=st.fixed_dictionaries({"type": st.sampled_from(["web_search_call", "mcp_call"]), "id": WORDS}),
    ),
)
ANSWERS = st.builds(
    lambda parts, usage, reason: Response(
        response_id="resp_own",
        model="own",
        created=7,
        choices=(Choice(index=0, parts=tuple(parts), finish_reason=reason),),
        usage=usage,
        complete=True,
    ),
    st.lists(PARTS, max_size=6),
    st.builds(
        Usage,
        input_tokens=st.integers(5, 9),
        cached_input_tokens=st.integers(0, 5),
        cache_write_tokens=st.integers(0, 5),
        output_tokens=st.integers(5, 9),
        reasoning_tokens=st.integers(0, 5),
    ),
    st.sampled_from(FinishReason),
)


def read_of(answer: Response) -> tuple[Any, ...]:
    return answer.choices[0].parts, answer.usage, answer.response_id, answer.model, answer.created, answer.complete


def reason_of(answer: Response) -> FinishReason:
    """Our reason as far as the dialect can say it."""
    said = answer.choices[0].finish_reason
    if said in (FinishReason.LENGTH, FinishReason.CONTEXT_OVERFLOW):
        return FinishReason.LENGTH
    kinds = {type(part) for part in answer.choices[0].parts}
    if said is FinishReason.CONTENT_FILTER or (said is FinishReason.REFUSAL and Refusal not in kinds):
        return FinishReason.CONTENT_FILTER
    return (
        FinishReason.TOOL_CALLS
        if ToolCall in kinds
        else FinishReason.REFUSAL
        if Refusal in kinds
        else FinishReason.STOP
    )


@given(answer=ANSWERS, keepalives=st.integers(0, 3))
def test_a_stream_that_is_encoded_reads_the_same(answer: Response, keepalives: int) -> None:
    encoder = RESPONSES.stream_encoder(ASKED, response_id="resp_own", model="own", created=7)
    body = b"".join(encoder.keepalive() for _ in range(keepalives))
    for one in unfold(answer):
        body += b"".join(encoder.encode([one]))
    read_strictly(body)
    again = fold(decode(body))
    assert read_of(again) == read_of(answer)
    assert again.choices[0].finish_reason is reason_of(answer)
    assert relay(body).body == body


@given(answer=ANSWERS)
def test_a_whole_answer_that_is_encoded_reads_the_same(answer: Response) -> None:
    again = RESPONSES.decode_answer(RESPONSES.encode_answer(answer, ASKED), profile=ALL_ROWS, provider="")
    assert read_of(again) == read_of(answer)
    assert again.choices[0].finish_reason is reason_of(answer)


@given(answer=ANSWERS, at=st.integers(0, 12))
def test_a_stream_that_fails_is_a_prefix_and_says_so(answer: Response, at: int) -> None:
    events = unfold(answer)[: at + 1]
    encoder = RESPONSES.stream_encoder(ASKED, response_id="resp_own", model="own", created=7)
    whole = b"".join(
        RESPONSES.stream_encoder(ASKED, response_id="resp_own", model="own", created=7).encode(unfold(answer))
    )
    begun = b"".join(encoder.encode(events))
    assert whole.startswith(begun)
    if begun == whole:
        return
    body = begun + b"".join(encoder.encode([ResponseFailed(error=UpstreamBroke("It broke off."))]))
    read = read_strictly(body)
    assert read.status == "failed"
    assert str(fold(decode(body)).error) == "It broke off."


@given(answer=ANSWERS)
def test_what_a_client_sends_back_is_what_was_said(answer: Response) -> None:
    """The items of an answer, as the SDKs send them again, are the same parts; the ciphers of all vendors among them."""
    output = msgspec.json.decode(RESPONSES.encode_answer(answer, ASKED))["output"]
    body = msgspec.json.encode({"model": "m", "input": [*output, {"role": "user", "content": "?"}]})
    messages = RESPONSES.read_request(body).canon().messages
    said = [part for each in messages[:-1] for part in each.parts]
    assert [without_citations(part) for part in said] == [without_citations(part) for part in answer.choices[0].parts]


def without_citations(part: Part) -> Part:
    """What a request does not say again: citations, and who made its own vendor's ciphers."""
    if isinstance(part, Text):
        return Text(text=part.text)
    if isinstance(part, Reasoning) and part.signature is not None and part.signature.vendor == "openai":
        own = msgspec.structs.replace(part.signature, model="")
        return msgspec.structs.replace(part, signature=own)
    return part


# Requests.

TALK = st.lists(
    st.one_of(
        st.builds(
            lambda parts: Message(role="user", parts=tuple(parts)),
            st.lists(
                st.one_of(
                    st.builds(Text, text=WORDS),
                    st.builds(Media, kind=st.just("image"), url=st.just("https://a.example/b"), detail=st.just("low")),
                    st.builds(ToolResult, call_id=WORDS, parts=st.tuples(st.builds(Text, text=WORDS))),
                ),
                min_size=1,
                max_size=3,
            ),
        ),
        st.builds(
            lambda parts: Message(role="assistant", parts=tuple(parts)),
            st.lists(
                st.one_of(
                    st.builds(Text, text=WORDS),
                    st.builds(ToolCall, id=WORDS, name=st.just("f"), arguments=WORDS,
                              kind=st.sampled_from(["function", "custom"])),
                ),
                min_size=1,
                max_size=3,
            ),
        ),
    ),
    max_size=4,
)  # fmt: skip


@given(talk=TALK)
def test_a_talk_that_is_written_reads_the_same(talk: list[Message]) -> None:
    asked = Request(model="m", messages=tuple(talk), dialect="openai-chat")
    body = RESPONSES.encode_request(asked, model="n", profile=Profile(), stream=True, losses=Losses("strict"))
    read = RESPONSES.read_request(body.body)
    assert read.stream
    said = [(each.role, part) for each in read.canon().messages for part in each.parts]
    assert said == [(each.role, part) for each in talk for part in each.parts]


# Recordings and bounds.


def test_recordings_with_flipped_bytes_raise_nothing_foreign(
    corpus_root: Path, seeded_random: random.Random, full_counts: bool
) -> None:
    folders = sorted(path for path in (corpus_root / "openai-responses").iterdir() if (path / "response.sse").is_file())
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
    decoder = RESPONSES.stream_decoder(profile=ALL_ROWS, provider="acme")
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
    for depth in (*range(180, 220, 2), *range(850, 1000, 2)):
        deep = b"[" * depth + b"]" * depth
        for place in (
            b'{"type":"response.output_item.done","output_index":0,"item":{"type":"x","y":%s}}',
            b'{"type":"response.output_item.added","output_index":0,"item":{"id":"a","y":%s}}',
            b'{"type":"response.in_progress","response":{"id":"r","reasoning":{"effort":null,"x":%s}}}',
            b'{"type":"response.completed","response":{"id":"r","output":[],"usage":{"input_tokens":1,"x":%s}}}',
            b'{"type":"response.output_text.delta","delta":"a","logprobs":[%s]}',
            b'{"type":"response.new","x":%s}',
            b'{"type":"error","error":%s}',
        ):
            body = frame(CREATED) + b"data: " + place % deep + b"\n\n" + stream(*HELLO)
            relay(body)
            relay(body, raw=True)
            decode(body)
            RESPONSES.decode_error(400, [], place % deep, provider="acme", key_name="K")
        for place in (b'{"status":"completed","output":[{"type":"x","y":%s}]}', b'{"output":[],"usage":%s}'):
            watch_answer(RESPONSES, place % deep, profile=ALL_ROWS)


@pytest.mark.parametrize(
    "values",
    [
        [text("x" * 500)],
        [delta("reasoning_text.delta", "x" * 500)],
        [delta("reasoning_summary_text.delta", "x" * 500)],
        [delta("refusal.delta", "x" * 500)],
        [event("web_search_call.searching", item_id="x" * 500)],
        [event("in_progress", response={"id": "r", "x": "y" * 500})],
        [added(message()), text("x" * 500), done(message(output_text("x" * 500)))],
        [added(reasoning()), delta("reasoning_text.delta", "x" * 500), done(reasoning())],
        [added(call()), delta("function_call_arguments.delta", "x" * 500), done(call(arguments="x" * 500))],
    ],
    ids=["text", "thoughts", "summary", "refusal", "pings", "state", "messages", "reasonings", "calls"],
)
def test_what_has_been_passed_on_is_not_kept(values: list[dict[str, Any]]) -> None:
    """But for the whole items, which the `output` row keeps up to its bound."""
    asked = RESPONSES.read_request(b'{"model":"m","input":"?"}')
    profile = Profile(repairs=RESPONSES_REPAIRS - {"output"})
    body = b"".join(frame(value | {"sequence_number": 1}) for value in values)
    tracemalloc.start()
    try:
        for reader in (
            RESPONSES.stream_decoder(profile=profile, provider=""),
            RESPONSES.relayer(asked, profile=profile, raw=False, provider="", response_id="r", created=1),
        ):
            sse = SseDecoder()
            reader.feed(sse.feed(frame(CREATED)))
            before, _ = tracemalloc.get_traced_memory()
            for _ in range(2000):
                reader.feed(sse.feed(body))
            assert tracemalloc.get_traced_memory()[0] - before < 50_000
    finally:
        tracemalloc.stop()
