"""Anthropic streams read into events."""

from __future__ import annotations

from typing import Any

import pytest

from tests.dialects.anthropic_messages.streams import (
    answer,
    begin,
    call,
    cuts_of,
    decode,
    delta,
    frame,
    over,
    parts,
    start,
    stop,
    stream,
    text_block,
    thought,
)
from thalweg.canon.envelope import wrap
from thalweg.canon.errors import UpstreamBroke, UpstreamFailed
from thalweg.canon.events import (
    ChoiceFinished,
    PartDelta,
    PartEnded,
    PartStarted,
    Pinged,
    ResponseEnded,
    ResponseFailed,
    ResponseStarted,
    UsageReported,
)
from thalweg.canon.finish import FinishReason
from thalweg.canon.fold import fold
from thalweg.canon.parts import Citation, Opaque, Reasoning, Signature, Text, ToolCall
from thalweg.canon.usage import Usage
from thalweg.dialects.anthropic_messages.stream import AnthropicStreamDecoder
from thalweg.framing.sse import SseDecoder

THOUGHT = Signature(vendor="anthropic", model="claude-1", kind="signature", data="c2ln")
FOREIGN = Signature(vendor="google", model="gemini-3", kind="thought", data="QUJD")
WEB = {
    "type": "web_search_result_location",
    "url": "https://example.com/a",
    "title": "A",
    "cited_text": "words",
    "encrypted_index": "xyz",
}


def test_a_whole_stream_gives_its_events_in_order() -> None:
    body = stream(start(), text_block(0, "a", "b"), over())
    assert decode(body) == [
        ResponseStarted(response_id="msg_1", model="claude-1"),
        UsageReported(usage=Usage(input_tokens=3, output_tokens=1), raw={"input_tokens": 3, "output_tokens": 1}),
        PartStarted(index=0, kind="text"),
        PartDelta(index=0, text="a"),
        PartDelta(index=0, text="b"),
        PartEnded(index=0),
        UsageReported(usage=Usage(input_tokens=3, output_tokens=5), raw={"input_tokens": 3, "output_tokens": 5}),
        ChoiceFinished(reason=FinishReason.STOP, raw_reason="end_turn"),
        ResponseEnded(),
    ]


BLOCKS: list[tuple[str, list[Any], tuple[Any, ...]]] = [
    ("text", text_block(0, "Hel", "lo"), (Text(text="Hello"),)),
    ("an empty text", text_block(0), (Text(text=""),)),
    ("a text that begins with words", text_block(0, "b", text="a"), (Text(text="ab"),)),
    (
        "a signed thought",
        thought(0, "hm", "m", signature="c2ln"),
        (Reasoning(text="hmm", form="summary", signature=THOUGHT),),
    ),
    ("an unsigned thought", thought(0, "hm"), (Reasoning(text="hm", form="summary"),)),
    (
        "a thought that is not shown",
        thought(0, signature="c2ln"),
        (Reasoning(text="", form="summary", signature=THOUGHT),),
    ),
    (
        "a redacted thought",
        [begin(0, "redacted_thinking", data="ZGF0"), stop(0)],
        (
            Reasoning(
                form="hidden",
                redacted=True,
                signature=Signature(vendor="anthropic", model="claude-1", kind="redacted", data="ZGF0"),
            ),
        ),
    ),
    ("a call", call(0, "", '{"a"', ":1}"), (ToolCall(id="toolu_1", name="look", arguments='{"a":1}'),)),
    ("a call without arguments", call(0, ""), (ToolCall(id="toolu_1", name="look", arguments="{}"),)),
    ("a call without any delta", call(0), (ToolCall(id="toolu_1", name="look", arguments="{}"),)),
    (
        "a call that begins whole",
        call(0, input={"a": [1]}),
        (ToolCall(id="toolu_1", name="look", arguments='{"a":[1]}'),),
    ),
    (
        "deltas win over what a call begins with",
        call(0, '{"b":2}', input={"a": 1}),
        (ToolCall(id="toolu_1", name="look", arguments='{"b":2}'),),
    ),
    ("arguments that are cut", call(0, '{"a":"x'), (ToolCall(id="toolu_1", name="look", arguments='{"a":"x'),)),
    (
        "a citation before the text",
        [begin(0, "text", citations=[]), delta(0, "citations_delta", WEB), delta(0, "text_delta", "a"), stop(0)],
        (Text(text="a", citations=(Citation(url="https://example.com/a", title="A", quote="words"),)),),
    ),
    (
        "a citation of a document has no address",
        [begin(0, "text"), delta(0, "text_delta", "a"), delta(0, "citations_delta", {"cited_text": "x"}), stop(0)],
        (Text(text="a"),),
    ),
    (
        "a server's tool and its result",
        [
            begin(0, "server_tool_use"),
            delta(0, "input_json_delta", ""),
            delta(0, "input_json_delta", '{"query":"x"}'),
            stop(0),
            begin(1, "web_search_tool_result", tool_use_id="srvtoolu_1", content=[{"type": "web_search_result"}]),
            stop(1),
        ],
        (
            Opaque(
                dialect="anthropic",
                raw={"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "x"}},
            ),
            Opaque(
                dialect="anthropic",
                raw={
                    "type": "web_search_tool_result",
                    "tool_use_id": "srvtoolu_1",
                    "content": [{"type": "web_search_result"}],
                },
            ),
        ),
    ),
    (
        "a compaction",
        [begin(0, "compaction", content=None), delta(0, "compaction_delta", "short"), stop(0)],
        (Opaque(dialect="anthropic", raw={"type": "compaction", "content": "short"}),),
    ),
    (
        "a block of a kind that nobody knows",
        [begin(0, "hologram", depth=3), delta(0, "hologram_delta", 1), stop(0)],
        (Opaque(dialect="anthropic", raw={"type": "hologram", "depth": 3}),),
    ),
    (
        "several blocks, their numbers with gaps",
        [*thought(1, "hm", signature="c2ln"), *text_block(4, "a"), *call(9, "{}")],
        (
            Reasoning(text="hm", form="summary", signature=THOUGHT),
            Text(text="a"),
            ToolCall(id="toolu_1", name="look", arguments="{}"),
        ),
    ),
    (
        "a number that is used again",
        [*text_block(0, "a"), *call(0, "{}")],
        (Text(text="a"), ToolCall(id="toolu_1", name="look", arguments="{}")),
    ),
    (
        "blocks without numbers",
        [begin(None, "text"), delta(None, "text_delta", "a"), begin(None, "tool_use"), stop(None)],
        (Text(text="a"), ToolCall(id="toolu_1", name="look", arguments="{}")),
    ),
    (
        "blocks that are open side by side",
        [
            begin(0, "tool_use"),
            begin(1, "tool_use", id="toolu_2"),
            delta(0, "input_json_delta", '{"a":'),
            delta(1, "input_json_delta", '{"b":'),
            delta(0, "input_json_delta", "1}"),
            delta(1, "input_json_delta", "2}"),
            stop(1),
            stop(0),
        ],
        (
            ToolCall(id="toolu_1", name="look", arguments='{"a":1}'),
            ToolCall(id="toolu_2", name="look", arguments='{"b":2}'),
        ),
    ),
    ("a text that nobody began", [delta(0, "text_delta", "a"), stop(0)], (Text(text="a"),)),
    (
        "a thought that nobody began",
        [delta(0, "thinking_delta", "hm"), stop(0)],
        (Reasoning(text="hm", form="summary"),),
    ),
    (
        "deltas of another kind than their block",
        [
            begin(0, "text"),
            delta(0, "input_json_delta", "{}"),
            delta(0, "thinking_delta", "hm"),
            delta(0, "text_delta", "a"),
            stop(0),
        ],
        (Text(text="a"),),
    ),
    (
        "another gateway's carrier before a call",
        [*thought(0, signature=wrap(FOREIGN, "next")), *call(1, '{"a":1}')],
        (ToolCall(id="toolu_1", name="look", arguments='{"a":1}', signature=FOREIGN),),
    ),
    (
        "another gateway's carrier of an empty text",
        [*thought(0, signature=wrap(FOREIGN, "text")), *text_block(1, "a")],
        (Text(text="", signature=FOREIGN), Text(text="a")),
    ),
    (
        "another gateway's carrier that comes too late",
        [*text_block(0, "a"), *thought(1, signature=wrap(FOREIGN, "previous"))],
        (Text(text="a"),),
    ),
    (
        "another vendor's thought",
        thought(0, "hm", signature=wrap(FOREIGN)),
        (Reasoning(text="hm", form="summary", signature=FOREIGN),),
    ),
    (
        "a broken envelope",
        thought(0, "hm", signature="gw1.!!!"),
        (Reasoning(text="hm", form="summary"),),
    ),
]


@pytest.mark.parametrize(("blocks", "expected"), [row[1:] for row in BLOCKS], ids=[row[0] for row in BLOCKS])
def test_blocks_become_parts(blocks: list[Any], expected: tuple[Any, ...]) -> None:
    assert parts(blocks) == expected


@pytest.mark.parametrize("blocks", [row[1] for row in BLOCKS], ids=[row[0] for row in BLOCKS])
def test_the_cuts_of_a_body_do_not_matter(blocks: list[Any]) -> None:
    body = stream(start(), {"type": "ping"}, blocks, over())
    whole = fold(decode(body))
    for size in (1, 2, 7, 64):
        assert fold(decode(cuts_of(body, size))) == whole
    assert fold(decode([one.raw for one in SseDecoder().feed(body)])) == whole
    for at in range(len(body)):
        assert fold(decode([body[:at], body[at:]])) == whole


def test_text_leaves_in_the_turn_in_which_it_came() -> None:
    sse, decoder = SseDecoder(), AnthropicStreamDecoder()
    decoder.feed(sse.feed(stream(start(), begin(0, "thinking"))))
    assert decoder.feed(sse.feed(frame(delta(0, "thinking_delta", "h")))) == [
        PartStarted(index=0, kind="reasoning", form="summary"),
        PartDelta(index=0, text="h"),
    ]
    assert decoder.feed(sse.feed(frame(delta(0, "thinking_delta", "m")))) == [PartDelta(index=0, text="m")]


def test_the_short_way_of_the_common_frame() -> None:
    sse, decoder = SseDecoder(), AnthropicStreamDecoder()
    decoder.feed(sse.feed(stream(start(), begin(0, "text"))))
    for text in ("a", "b\n", "c", "世", "d"):
        assert decoder.grown(frame(delta(0, "text_delta", text))) == PartDelta(index=0, text=text)
    for other in (
        delta(1, "text_delta", "a"),
        delta(0, "text_delta", ""),
        delta(0, "thinking_delta", "a"),
        delta(0, "input_json_delta", "a"),
        stop(0),
    ):
        assert decoder.grown(frame(other)) is None
    decoder.feed(sse.feed(frame(begin(1, "tool_use"))))
    assert decoder.grown(frame(delta(0, "text_delta", "a"))) is None, "another waits"
    decoder.feed(sse.feed(frame(stop(0))))
    assert decoder.grown(frame(delta(0, "text_delta", "a"))) is None, "it has ended"
    assert decoder.grown(frame(delta(1, "input_json_delta", "{"))) == PartDelta(index=1, text="{")
    assert decoder.feed(sse.feed(frame(stop(1)))) == [PartEnded(index=1)], "it has its arguments"


FINISHES = [
    ("end_turn", [], FinishReason.STOP),
    ("max_tokens", [], FinishReason.LENGTH),
    ("stop_sequence", [], FinishReason.STOP_SEQUENCE),
    ("pause_turn", [], FinishReason.PAUSE),
    ("compaction", [], FinishReason.PAUSE),
    ("refusal", [], FinishReason.REFUSAL),
    ("model_context_window_exceeded", [], FinishReason.CONTEXT_OVERFLOW),
    ("something_new", [], FinishReason.STOP),
    ("tool_use", [], FinishReason.STOP),
    ("tool_use", call(0, "{}"), FinishReason.TOOL_CALLS),
    ("end_turn", call(0, "{}"), FinishReason.TOOL_CALLS),
    ("max_tokens", call(0, '{"a'), FinishReason.LENGTH),
]


@pytest.mark.parametrize(("raw", "blocks", "reason"), FINISHES)
def test_why_it_stopped(raw: str, blocks: list[Any], reason: FinishReason) -> None:
    (choice,) = answer(start(), blocks, over(raw)).choices
    assert (choice.finish_reason, choice.raw_finish_reason) == (reason, raw)


def test_the_matched_stop_sequence_is_told() -> None:
    (choice,) = answer(start(), text_block(0, "a"), over("stop_sequence", "###")).choices
    assert (choice.finish_reason, choice.stop_sequence) == (FinishReason.STOP_SEQUENCE, "###")


def test_the_finish_reason_is_known_before_the_end() -> None:
    sse, decoder = SseDecoder(), AnthropicStreamDecoder()
    decoder.feed(sse.feed(stream(start(), text_block(0, "a"), over("max_tokens")[0])))
    assert decoder.finishes == {0: "max_tokens"}


USAGES: list[tuple[dict[str, Any], Any, Usage]] = [
    ({"input_tokens": 3, "output_tokens": 1}, {"output_tokens": 9}, Usage(input_tokens=3, output_tokens=9)),
    (
        {"input_tokens": 3, "output_tokens": 1},
        {"input_tokens": 61, "output_tokens": 9},
        Usage(input_tokens=61, output_tokens=9),
    ),
    # A compaction makes it less, and that is no mistake.
    (
        {"input_tokens": 60385, "output_tokens": 1},
        {"input_tokens": 612, "output_tokens": 9},
        Usage(input_tokens=612, output_tokens=9),
    ),
    (
        {"input_tokens": 3, "cache_creation_input_tokens": 4, "cache_read_input_tokens": 5, "output_tokens": 1},
        {"output_tokens": 9, "input_tokens": None, "output_tokens_details": {"thinking_tokens": 7}},
        Usage(input_tokens=12, cached_input_tokens=5, cache_write_tokens=4, output_tokens=9, reasoning_tokens=7),
    ),
    (
        {"input_tokens": 3, "output_tokens": 1},
        {"output_tokens": 2, "output_tokens_details": {"thinking_tokens": 7}},
        Usage(input_tokens=3, output_tokens=2, reasoning_tokens=2),
    ),
    ({"input_tokens": 3, "output_tokens": 1}, None, Usage(input_tokens=3, output_tokens=1)),
    ({"input_tokens": 3, "output_tokens": 1}, {}, Usage(input_tokens=3, output_tokens=1)),
    ({"input_tokens": -3, "output_tokens": True}, {"output_tokens": 2.0}, Usage(output_tokens=2)),
]


@pytest.mark.parametrize(("first", "last", "expected"), USAGES)
def test_of_each_number_the_last_counts(first: dict[str, Any], last: Any, expected: Usage) -> None:
    assert answer(start(usage=first), text_block(0, "a"), over(usage=last)).usage == expected


def test_several_message_deltas() -> None:
    first = {"type": "message_delta", "delta": {"stop_reason": None}, "usage": {"output_tokens": 2}}
    read = answer(start(), text_block(0, "a"), first, over("max_tokens", usage=4))
    assert read.usage == Usage(input_tokens=3, output_tokens=4)
    assert read.choices[0].raw_finish_reason == "max_tokens"


def test_an_answer_without_any_block() -> None:
    read = answer(start(), {"type": "ping"}, over("refusal", stop_details={"type": "refusal"}))
    assert read.complete
    assert read.choices[0].parts == ()
    assert read.choices[0].finish_reason is FinishReason.REFUSAL


def test_a_turn_that_was_put_off_comes_whole_in_its_first_event() -> None:
    content = [{"type": "text", "text": "a"}, {"type": "tool_use", "id": "toolu_9", "name": "f", "input": {"b": 1}}]
    read = answer(start(content=content, stop_reason="tool_use"), {"type": "message_stop"})
    assert read.complete
    assert read.choices[0].parts == (Text(text="a"), ToolCall(id="toolu_9", name="f", arguments='{"b":1}'))
    assert read.choices[0].finish_reason is FinishReason.TOOL_CALLS


def test_pings_comments_and_unknown_events_say_that_the_upstream_lives() -> None:
    body = stream(start(), {"type": "ping"}, b": hi\n\n", {"type": "weather"}, text_block(0, "a"), over())
    events = decode(body)
    assert sum(isinstance(event, Pinged) for event in events) == 3
    assert fold(events).complete


@pytest.mark.parametrize(
    "change",
    [
        lambda body: body.replace(b"\n", b"\r\n"),
        lambda body: body.replace(b"data: ", b"data:"),
        lambda body: body.replace(b"data: ", b"id: 1\ndata: "),
        lambda body: b"".join(line + b"\n" for line in body.split(b"\n")[:-1] if not line.startswith(b"event:")),
        lambda body: body.replace(b"event: ", b"event: x_"),
        lambda body: body.replace(b"}\n", b"   }\n"),
        lambda body: body.replace(b'{"type"', b'{\ndata: "type"'),
        lambda body: body + b"event: data\ndata: [DONE]\n\n",
        lambda body: body.removesuffix(b"\n\n"),
        lambda body: body.replace(b'event: message_stop\ndata: {"type":"message_stop"}\n\n', b""),
        lambda body: body.replace(b'event: message_stop\ndata: {"type":"message_stop"}\n\n', b"data: [DONE]\n\n"),
    ],
    ids=[
        "CRLF",
        "no space",
        "ids",
        "no names",
        "other names",
        "padding",
        "several data lines",
        "[DONE] behind",
        "unclosed",
        "no message_stop",
        "[DONE] in its place",
    ],
)
def test_manners_of_writing_do_not_matter(change: Any) -> None:
    body = stream(start(), text_block(0, "a"), call(1, '{"b":1}'), over("tool_use"))
    assert fold(decode(change(body))) == fold(decode(body))


def test_types_may_stand_in_the_frames_names_alone() -> None:
    body = stream(start(), text_block(0, "a"), over())
    for kind in (b"message_start", b"content_block_stop", b"message_stop"):
        body = body.replace(b'data: {"type":"' + kind + b'",', b"data: {").replace(
            b'data: {"type":"' + kind + b'"}', b"data: {}"
        )
    assert fold(decode(body)).choices[0].parts == (Text(text="a"),)


# What goes wrong.


def failure(*values: Any) -> Any:
    (*_, last) = decode(stream(*values))
    assert isinstance(last, ResponseFailed)
    return last.error


@pytest.mark.parametrize(
    "values",
    [
        [],
        [start()],
        [start(), begin(0, "text"), delta(0, "text_delta", "a")],
        [start(), *text_block(0, "a")],
        [start(), *text_block(0, "a"), {"type": "message_delta", "delta": {"stop_reason": None}}],
        [start(), *text_block(0, "a"), b"data: [DONE]\n\n"],
    ],
)
def test_an_end_before_the_stop_reason_is_a_break(values: list[Any]) -> None:
    error = failure(*values)
    assert isinstance(error, UpstreamBroke)
    assert error.message == "acme broke off before the answer was finished"


def test_what_came_before_the_break_is_given_out() -> None:
    read = answer(start(), begin(0, "text"), delta(0, "text_delta", "a"), begin(1, "tool_use"))
    assert read.error is not None
    assert read.choices[0].parts[0] == Text(text="a")


BROKEN: list[tuple[str, list[Any], str]] = [
    ("no JSON", [b"data: {oops\n\n"], "not JSON"),
    ("no UTF-8", [b'data: {"type":"ping","x":"\xff"}\n\n'], "not JSON"),
    ("no object", [b"data: [1]\n\n"], "another shape"),
    ("a delta that is none", [b'data: {"type":"content_block_delta","delta":5}\n\n'], "another shape"),
    ("a block that is none", [{"type": "content_block_start", "index": 0, "content_block": 5}], "without saying"),
    ("arguments of nothing", [delta(0, "input_json_delta", "{")], "not begun"),
    ("more of a block that had ended", [*text_block(0, "a"), delta(0, "text_delta", "b")], "had ended"),
    ("a second beginning", [*text_block(0, "a"), start(id="msg_2")], "a second time"),
    ("a second beginning within a block", [begin(0, "tool_use"), start(id="msg_2")], "a second time"),
]


@pytest.mark.parametrize(("values", "words"), [row[1:] for row in BROKEN], ids=[row[0] for row in BROKEN])
def test_what_breaks_the_grammar_ends_the_answer(values: list[Any], words: str) -> None:
    error = failure(start(), *values, *text_block(5, "never"), *over())
    assert isinstance(error, UpstreamBroke)
    assert words in error.message
    assert error.provider == "acme"


def test_a_frame_that_the_body_cut_is_no_fault() -> None:
    body = stream(start(), text_block(0, "a"), over()[0]) + b'event: message_stop\ndata: {"typ'
    assert fold(decode(body)).complete


def test_a_second_beginning_before_any_content_is_passed_over() -> None:
    read = answer(start(), start(id="msg_2", usage={"input_tokens": 4, "output_tokens": 2}), text_block(0, "a"), over())
    assert read.complete
    assert (read.response_id, read.usage) == ("msg_1", Usage(input_tokens=4, output_tokens=5))


ERRORS: list[tuple[str, bytes, tuple[str, str | None, str]]] = [
    (
        "as documented",
        frame({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}),
        ("Overloaded", "overloaded_error", "overloaded"),
    ),
    (
        "of rates",
        frame({"type": "error", "error": {"type": "rate_limit_error", "message": "slow"}}),
        ("slow", "rate_limit_error", "rate_limit"),
    ),
    (
        "of the request",
        frame({"type": "error", "error": {"type": "invalid_request_error", "message": "bad"}}),
        ("bad", "invalid_request_error", "upstream_error"),
    ),
    (
        "without a name",
        frame({"type": "error", "error": {"type": "api_error", "message": "oops"}}, name=""),
        ("oops", "api_error", "upstream_error"),
    ),
    ("a bare text", frame({"type": "error", "error": "oops"}), ("oops", None, "upstream_error")),
    ("flat", b'event: error\ndata: {"message":"oops","type":"api_error"}\n\n', ("oops", "api_error", "upstream_error")),
    ("OpenAI's", b'data: {"error":{"message":"oops","code":"x"}}\n\n', ("oops", None, "upstream_error")),
    ("no object", b'event: error\ndata: "oops"\n\n', ("oops", None, "upstream_error")),
]


@pytest.mark.parametrize(("raw", "said"), [row[1:] for row in ERRORS], ids=[row[0] for row in ERRORS])
@pytest.mark.parametrize("before", [[], [start()], [start(), *text_block(0, "a")]], ids=["first", "second", "later"])
def test_an_error_ends_the_answer(raw: bytes, said: tuple[str, str | None, str], before: list[Any]) -> None:
    error = failure(*before, raw, *over())
    assert isinstance(error, UpstreamFailed)
    assert (error.message, error.provider_type, error.kind) == said


def test_an_error_after_the_stop_reason_makes_the_answer_incomplete() -> None:
    error = failure(start(), *text_block(0, "a"), over()[0], frame({"type": "error", "error": {"message": "oops"}}))
    assert error.message == "oops"
