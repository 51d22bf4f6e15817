"""Anthropic to Anthropic: the bytes pass, and what is watched is what the decoder reads."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.dialects.anthropic_messages.streams import (
    ANTHROPIC,
    MENDED,
    PLAIN,
    begin,
    blocks_of,
    call,
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
    text_block,
    thought,
)
from thalweg.canon.errors import UpstreamBroke, UpstreamFailed
from thalweg.dialects.anthropic_messages.relayer import AnthropicRelayer
from thalweg.dialects.anthropic_messages.tables import REPAIRS
from thalweg.framing.sse import SseDecoder
from thalweg.profiles.base import Profile

PADDED = (
    b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,'
    b'"delta":{"type":"text_delta","text":"%b"}%b}\n\n'
)
GOOD = stream(
    start(),
    {"type": "ping"},
    thought(0, "hm", "mm", signature="c2ln"),
    begin(1, "text"),
    *(PADDED.replace(b'"index":0', b'"index":1') % (text, b" " * i) for i, text in enumerate([b"a", b"b \\n", b"\xc3\xa9", b"d"])),
    stop(1),
    call(2, "", '{"a"', ":1}"),
    begin(3, "server_tool_use"),
    delta(3, "input_json_delta", "{}"),
    stop(3),
    begin(4, "web_search_tool_result", tool_use_id="srvtoolu_1", content=[]),
    stop(4),
    over("tool_use", usage={"output_tokens": 9, "input_tokens": 7}),
)  # fmt: skip


def cut(body: bytes) -> list[list[bytes]]:
    """The body whole, in small pieces, frame by frame, and in two at each place."""
    frames = [one.raw for one in SseDecoder().feed(body)]
    rest = body[sum(map(len, frames)) :]
    return [
        [body],
        cuts_of(body, 1),
        cuts_of(body, 37),
        [*frames, *([rest] if rest else [])],
        *([body[:at], body[at:]] for at in range(0, len(body), 29)),
    ]


def test_good_bytes_pass_however_they_are_cut() -> None:
    first = relay(GOOD).watch
    for pieces in cut(GOOD):
        relayed = relay(pieces)
        assert relayed.body == GOOD
        assert relayed.watch.repaired == {}
        check_watch(relayed.watch, decode(GOOD))
        assert (relayed.watch.deltas, relayed.watch.narrow_chars, relayed.watch.wide_chars) == (
            first.deltas, first.narrow_chars, first.wide_chars,
        )  # fmt: skip


def test_each_frame_leaves_in_its_own_turn() -> None:
    relayer = the_relayer()
    sse = SseDecoder()
    for one in sse.feed(GOOD):
        assert relayer.feed([one]) == [one.raw]


def the_relayer(profile: Profile = MENDED, *, raw: bool = False) -> AnthropicRelayer:
    body = json.dumps({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "?"}]}).encode()
    return ANTHROPIC.relayer(
        ANTHROPIC.read_request(body), profile=profile, raw=raw, provider="acme", response_id="msg_ours", created=7
    )


def test_what_is_watched() -> None:
    watch = relay(GOOD).watch
    assert (watch.response_id, watch.model, watch.choices, watch.finishes) == (
        "msg_1",
        "claude-1",
        {0},
        {0: "tool_use"},
    )
    assert (watch.done, watch.complete, watch.error) == (True, True, None)
    assert watch.raw_usage == {"input_tokens": 7, "output_tokens": 9}
    # hm mm a b-space-newline d {"a" :1} {} and the call itself
    assert watch.narrow_chars == 2 + 2 + 1 + 3 + 1 + 4 + 3 + 2
    assert watch.wide_chars == 1
    assert watch.uncovered == (0, 0)


def test_text_that_came_after_the_last_report_is_known() -> None:
    relayer = the_relayer()
    relayer.feed(SseDecoder().feed(stream(start(), begin(0, "text"), delta(0, "text_delta", "abc"))))
    assert relayer.watch.uncovered == (3, 0)


@pytest.mark.parametrize(
    ("values", "seen"),
    [
        ([start()], False),
        ([start(), {"type": "ping"}], False),
        ([start(), begin(0, "text")], False),
        ([start(), begin(0, "thinking")], False),
        ([start(), begin(0, "text"), delta(0, "text_delta", "")], False),
        ([start(), begin(0, "text"), delta(0, "text_delta", "a")], True),
        ([start(), begin(0, "thinking"), delta(0, "thinking_delta", "a")], True),
        ([start(), begin(0, "text", text="a")], True),
        ([start(), begin(0, "tool_use")], True),
        ([start(), begin(0, "redacted_thinking", data="x")], True),
        ([start(), begin(0, "hologram")], True),
        ([start(), over()[0]], True),
    ],
)
def test_when_the_commit_gate_may_open(values: list[Any], seen: bool) -> None:
    relayer = the_relayer()
    relayer.feed(SseDecoder().feed(stream(*values)))
    assert relayer.watch.content_seen is seen


# The short way.


def test_the_short_way_takes_common_frames_alone() -> None:
    relayer = the_relayer()
    common = PADDED % (b"a", b"  ")
    assert relayer.pass_on(common) is None, "nobody has begun the block"
    relayer.feed(SseDecoder().feed(stream(start(), begin(0, "text"))))
    for text in (b"", b"a", b"b", b"two words", b"\\u00e9", b"\xe4\xb8\x96", b"c\\\\", b'q\\"', b"d"):
        data = PADDED % (text, b"")
        assert relayer.pass_on(data) == data
    for uncommon in (
        common + common,
        common[:-1],
        common.replace(b"\n\n", b"\r\n\r\n"),
        common.replace(b'"index":0', b'"index":1'),
        common.replace(b"event: content_block_delta\n", b""),
        common.replace(b"text_delta", b"hologram_delta"),
        common.replace(b',"delta"', b',\n"delta"'),
        common.replace(b',"delta"', b',\r"delta"'),
        common.replace(b'"a"', b"5"),
        common.replace(b'"a"', b'"\xff"'),
        common.replace(b'"a"', b'"a\nb"'),
        common.replace(b'"a"', b'"a\x01"'),
        common.replace(b'"index":0', b'"error":{"message":"x"},"index":0'),
        frame({"type": "ping"}),
        frame(stop(0)),
    ):
        assert relayer.pass_on(uncommon) is None, uncommon
    relayer.feed(SseDecoder().feed(stream(stop(0))))
    assert relayer.pass_on(common) is None, "the block has ended"


def test_the_short_way_sees_what_the_long_one_does() -> None:
    texts = ["a", "", "wörter", "x\ny", '"', "\\", "\u2027", "世界", "z" * 5000, "end"]
    pieces = [frame(delta(0, "text_delta", text)) for text in texts]
    short, long = the_relayer(), the_relayer()
    for relayer in (short, long):
        relayer.feed(SseDecoder().feed(stream(start(), begin(0, "text"))))
    for piece in pieces:
        assert short.pass_on(piece) == piece
        assert long.feed(SseDecoder().feed(piece.replace(b"\n\n", b"\nid: 1\n\n"))) != []
    for name in ("deltas", "narrow_chars", "wide_chars", "content_seen"):
        assert getattr(short.watch, name) == getattr(long.watch, name)


# What the gateway itself says.


def test_our_own_words() -> None:
    relayer = the_relayer()
    assert relayer.keepalive() == b'event: ping\ndata: {"type": "ping"}\n\n'
    assert relayer.content_type == b"text/event-stream; charset=utf-8"
    assert relayer.fail(UpstreamBroke("acme broke off")) == (
        b'event: error\ndata: {"type":"error","error":{"type":"api_error","message":"acme broke off"}}\n\n'
    )


# Errors and ends.


@pytest.mark.parametrize("at", range(len(blocks_of(GOOD)) - 2))
def test_a_body_that_ends_early_never_ends_like_a_good_one(at: int) -> None:
    frames = [one.raw for one in SseDecoder().feed(GOOD)][:at]
    for raw in (False, True):
        relayed = relay(b"".join(frames), raw=raw)
        assert relayed.body == b"".join(frames)
        assert isinstance(relayed.watch.error, UpstreamBroke)
        assert relayed.watch.complete is False
        check_watch(relayed.watch, decode(b"".join(frames)))


def test_an_end_within_a_frame() -> None:
    relayed = relay(GOOD[:-10])
    assert relayed.watch.complete, "its stop reason had come"
    assert read_strictly(relayed.body).stopped
    relayed = relay(stream(start(), text_block(0, "a"))[:-10])
    assert isinstance(relayed.watch.error, UpstreamBroke)


@pytest.mark.parametrize(
    "raw",
    [
        frame({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}),
        frame({"type": "error", "error": {"type": "api_error", "message": "x"}}, name=""),
        b'data: {"error":"oops"}\n\n',
        b'event: error\ndata: "oops"\n\n',
    ],
)
def test_an_error_is_not_passed_on_but_told(raw: bytes) -> None:
    for before in (b"", stream(start()), stream(start(), text_block(0, "a"))):
        relayed = relay(before + raw + stream(over()))
        assert relayed.body == before
        assert isinstance(relayed.watch.error, UpstreamFailed)
        check_watch(relayed.watch, decode(before + raw + stream(over())))


@pytest.mark.parametrize(
    "broken",
    [
        b"data: {oops\n\n",
        b'data: {"type":"ping","x":"\xff"}\n\n',
        b"data: [1]\n\n",
        frame({"type": "content_block_start", "index": 0, "content_block": 5}),
        frame(delta(7, "input_json_delta", "{")),
        stream(text_block(0, "a"), delta(0, "text_delta", "b")),
        stream(text_block(0, "a"), start()),
    ],
)
def test_what_breaks_the_grammar_ends_the_stream(broken: bytes) -> None:
    body = stream(start()) + broken + stream(text_block(5, "never"), over())
    for raw in (False, True):
        relayed = relay(body, raw=raw)
        assert isinstance(relayed.watch.error, UpstreamBroke)
        assert body.startswith(relayed.body)
        assert b"never" not in relayed.body
        check_watch(relayed.watch, decode(body))


# Repairs.

MESSAGE = start()["message"]


def raw_separators(body: bytes) -> bytes:
    """The bytes with those characters as they are."""
    for char in "\u2028\u2029\u0085":
        body = body.replace(json.dumps(char)[1:-1].encode(), char.encode())
    return body


ROWS: list[tuple[str, bytes, set[str]]] = [
    ("no names", stream(start(), text_block(0, "a"), over()).replace(b"event: ", b"x: "), {"event"}),
    (
        "another name",
        stream(frame(start(), name="message_begin"), text_block(0, "a"), over()),
        {"event"},
    ),
    ("[DONE] behind", stream(start(), text_block(0, "a"), over(), b"event: data\ndata: [DONE]\n\n"), {"done"}),
    ("[DONE] in between", stream(start(), text_block(0, "a"), b"data: [DONE]\n\n", over()), {"done"}),
    (
        "[DONE] in place of message_stop",
        stream(start(), text_block(0, "a"), over()[0], b"data: [DONE]\n\n"),
        {"message-stop"},
    ),
    ("no message_stop", stream(start(), text_block(0, "a"), over()[0]), {"message-stop"}),
    ("no message_start", stream(text_block(0, "a"), over()), {"message-start"}),
    ("message_start without usage", stream(start(usage=None), text_block(0, "a"), over()), {"message-start"}),
    ("message_start without content", stream(start(content=None), text_block(0, "a"), over()), {"message-start"}),
    ("message_start without a message", stream({"type": "message_start"}, text_block(0, "a"), over()), {"message-start"}),
    ("two message_starts", stream(start(), start(id="msg_2"), text_block(0, "a"), over()), {"message-start"}),
    ("a text that nobody began", stream(start(), delta(0, "text_delta", "a"), stop(0), over()), {"block-start"}),
    ("a thought that nobody began", stream(start(), delta(0, "thinking_delta", "a"), stop(0), over()), {"block-start"}),
    ("the end of no block", stream(start(), stop(0), text_block(0, "a"), stop(7), over()), {"block-start"}),
    ("a text without its field", stream(start(), text_block(0, "a", text=None), over()), {"block-start"}),
    ("a call without its input", stream(start(), call(0, "{}", input=None), over("tool_use")), {"block-start"}),
    (
        "numbers with gaps",
        stream(start(), text_block(3, "a", "b"), call(5, '{"a":1}'), over("tool_use")),
        {"index"},
    ),
    (
        "no numbers",
        stream(start(), begin(None, "text"), delta(None, "text_delta", "a"), {"type": "content_block_stop"}, over()),
        {"index"},
    ),
    (
        "a number that is used again",
        stream(start(), text_block(0, "a"), text_block(0, "b"), over()),
        {"index"},
    ),
    ("no usage at the end", stream(start(), text_block(0, "a"), over(usage=None)), {"usage"}),
    ("usage that says nothing", stream(start(), text_block(0, "a"), over(usage={"x": 1})), {"usage"}),
    ("an unclosed end", stream(start(), text_block(0, "a"), over())[:-1], {"unclosed"}),
    (
        "separators in a text",
        raw_separators(stream(start(), text_block(0, "a", "b\u2028c", "d", "\u2029\u0085深"), over())),
        {"separators"},
    ),
    (
        "separators in what an event begins with",
        raw_separators(stream(start(model="a\u0085"), call(0, '{"a":"\u2028"}', name="f\u2029"), over("tool_use"))),
        {"separators"},
    ),
    (
        "nothing but the text",
        b'data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"a"}}\n\n'
        b'data: {"type":"message_delta","delta":{"stop_reason":"end_turn"}}\n\n',
        {"event", "message-start", "block-start", "usage", "message-stop"},
    ),
]  # fmt: skip


@pytest.mark.parametrize(("body", "rows"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_what_breaks_an_sdk_is_mended(body: bytes, rows: set[str]) -> None:
    relayed = relay(body)
    assert set(relayed.watch.repaired) == rows
    read = read_strictly(relayed.body)
    assert read.stopped
    assert read.error is None
    events = decode(body)
    check_watch(relayed.watch, events)
    again = decode(relayed.body)
    assert [event for event in again if type(event).__name__.startswith("Part")] == [
        event for event in events if type(event).__name__.startswith("Part")
    ]
    for pieces in cut(body):
        other = relay(pieces)
        assert other.body == relayed.body
        assert set(other.watch.repaired) == rows


def test_no_line_of_text_ends_within_a_frame() -> None:
    body = raw_separators(stream(start(), text_block(0, "a", "b\u2028c", "\u2029\u0085深"), over()))
    relayed = relay(body).body
    assert len(body.decode().splitlines()) > len(body.splitlines())
    assert relayed.decode().splitlines() == [line.decode() for line in relayed.splitlines()]
    assert read_strictly(relayed) == read_strictly(body)


@pytest.mark.parametrize(("body", "rows"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_a_row_that_is_off_changes_nothing(body: bytes, rows: set[str]) -> None:
    for relayed in (relay(body, raw=True), relay(body, profile=PLAIN)):
        assert body.startswith(relayed.body)
        assert relayed.body in (
            body,
            body.removesuffix(b"event: data\ndata: [DONE]\n\n"),
            body.removesuffix(b"data: [DONE]\n\n"),
        )
        assert relayed.watch.repaired == {}
    without = relay(body, profile=Profile(repairs=frozenset(REPAIRS) - rows))
    assert not set(without.watch.repaired) & rows


def test_every_row_is_needed_by_a_case() -> None:
    assert set().union(*(rows for _, _, rows in ROWS)) == set(REPAIRS)


def test_a_frame_that_needs_no_mend_keeps_its_bytes_beside_those_that_do() -> None:
    odd = b': hi\n\nid: 1\nevent: ping\ndata:{"type": "ping"}\n\n'
    padded = PADDED % (b"a", b"   ")
    body = stream(start(usage=None), odd, begin(0, "text"), padded, stop(0), over())
    relayed = relay(body)
    assert relayed.body == stream(
        start(usage={"input_tokens": 0, "output_tokens": 0}), odd, begin(0, "text"), padded, stop(0), over()
    )


def test_the_missing_head_is_the_gateways_own() -> None:
    (head, *_) = blocks_of(relay(stream(text_block(0, "a"), over())).body)
    assert (head["message"]["id"], head["message"]["model"], head["message"]["content"]) == ("msg_ours", "m", [])


def test_missing_usage_is_what_was_known() -> None:
    body = stream(start(usage={"input_tokens": 8, "output_tokens": 1}), text_block(0, "a"), over(usage=None))
    (*_, last, _) = blocks_of(relay(body).body)
    assert last["usage"] == {"input_tokens": 8, "output_tokens": 1}
