"""Events written as an Anthropic client's stream."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec.structs import replace

from tests.dialects.anthropic_messages.streams import ANTHROPIC, ASKED, blocks_of, decode, read_strictly
from thalweg.canon.envelope import unwrap, wrap
from thalweg.canon.errors import Cancelled, GatewayError, Unavailable, UpstreamBroke, UpstreamFailed
from thalweg.canon.events import (
    ChoiceFinished,
    Event,
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
from thalweg.canon.fold import fold, unfold
from thalweg.canon.parts import Citation, Media, Opaque, Part, Reasoning, Refusal, Signature, Text, ToolCall
from thalweg.canon.request import ReasoningAsk, Request
from thalweg.canon.response import Choice, Response
from thalweg.canon.usage import Usage

OWN = Signature(vendor="anthropic", model="claude-1", kind="signature", data="c2ln")
REDACTED = Signature(vendor="anthropic", model="claude-1", kind="redacted", data="ZGF0")
GOOGLE = Signature(vendor="google", model="gemini-3", kind="thought", data="QUJD")
OPENAI = Signature(vendor="openai", model="gpt-5", kind="encrypted", data="RU5D", item_id="rs_1")
STARTED = ResponseStarted(response_id="resp-x", model="upstream-model")


def encoder(asked: Request = ASKED) -> Any:
    return ANTHROPIC.stream_encoder(asked, response_id="msg_ours", model="asked-model", created=7)


def written(events: list[Event], *, by_one: bool = False, asked: Request = ASKED) -> bytes:
    """The client's stream: of all events in one turn, or of each in its own."""
    writer = encoder(asked)
    turns = [[event] for event in events] if by_one else [events]
    return b"".join(piece for turn in turns for piece in writer.encode(turn))


def canonical(*parts: Part, reason: FinishReason = FinishReason.STOP, **more: Any) -> Response:
    choice = Choice(index=0, parts=parts, finish_reason=reason, **more)
    usage = Usage(input_tokens=9, cached_input_tokens=0, cache_write_tokens=0, output_tokens=5)
    return Response(response_id="msg_ours", model="asked-model", created=None, choices=(choice,), usage=usage)


def blocks(*parts: Part, by_one: bool = False) -> list[dict[str, Any]]:
    read = read_strictly(written(unfold(canonical(*parts)), by_one=by_one))
    assert read.stopped
    return read.blocks


def test_the_frames_of_a_text() -> None:
    usage = Usage(input_tokens=20, cached_input_tokens=4, cache_write_tokens=6, output_tokens=5, reasoning_tokens=2)
    events: list[Event] = [
        STARTED,
        PartStarted(index=0, kind="text"),
        PartDelta(index=0, text='Hel"lo\n'),
        PartDelta(index=0, text="世"),
        PartEnded(index=0),
        UsageReported(usage=usage),
        ChoiceFinished(reason=FinishReason.STOP, raw_reason="stop"),
        ResponseEnded(),
    ]
    assert blocks_of(written(events, by_one=True)) == [
        {
            "type": "message_start",
            "message": {
                "id": "msg_ours",
                "type": "message",
                "role": "assistant",
                "model": "asked-model",
                "content": [],
                "stop_reason": None,
                "stop_sequence": None,
                "usage": {
                    "input_tokens": 0,
                    "cache_creation_input_tokens": 0,
                    "cache_read_input_tokens": 0,
                    "output_tokens": 0,
                },
            },
        },
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": 'Hel"lo\n'}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "世"}},
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn", "stop_sequence": None},
            "usage": {
                "input_tokens": 10,
                "cache_creation_input_tokens": 6,
                "cache_read_input_tokens": 4,
                "output_tokens": 5,
                "output_tokens_details": {"thinking_tokens": 2},
            },
        },
        {"type": "message_stop"},
    ]


def test_each_frame_says_its_name_and_is_one_piece() -> None:
    pieces = encoder().encode(unfold(canonical(Text(text="a"))))
    assert [piece.partition(b"\n")[0] for piece in pieces] == [
        b"event: message_start",
        b"event: content_block_start",
        b"event: content_block_delta",
        b"event: content_block_stop",
        b"event: message_delta",
        b"event: message_stop",
    ]
    assert all(piece.endswith(b"\n\n") and piece.count(b"\n") == 3 for piece in pieces)


def test_each_delta_leaves_in_its_own_turn() -> None:
    writer = encoder()
    writer.encode([STARTED, PartStarted(index=0, kind="text"), PartDelta(index=0, text="a")])
    assert len(writer.encode([PartDelta(index=0, text="b")])) == 1


def test_the_head_knows_the_prompts_tokens_if_they_came_in_the_same_turn() -> None:
    usage = UsageReported(usage=Usage(input_tokens=20, cached_input_tokens=4, output_tokens=3))
    (head,) = encoder().encode([STARTED, usage])
    said = json.loads(head.partition(b"data: ")[2])["message"]["usage"]
    assert said == {
        "input_tokens": 16,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 4,
        "output_tokens": 0,
    }


def test_a_keepalive_is_a_ping_also_before_the_answer() -> None:
    assert encoder().keepalive() == b'event: ping\ndata: {"type": "ping"}\n\n'
    assert encoder().encode([Pinged()]) == []


BLOCKS: list[tuple[str, tuple[Part, ...], list[dict[str, Any]]]] = [
    ("an empty text is none", (Text(text=""), Text(text="a")), [{"type": "text", "text": "a"}]),
    ("a refusal is text", (Refusal(text="no"),), [{"type": "text", "text": "no"}]),
    (
        "an own thought",
        (Reasoning(text="hm", form="summary", signature=OWN),),
        [{"type": "thinking", "thinking": "hm", "signature": "c2ln"}],
    ),
    (
        "an own thought that is not shown",
        (Reasoning(signature=OWN),),
        [{"type": "thinking", "thinking": "", "signature": "c2ln"}],
    ),
    (
        "an own redacted thought",
        (Reasoning(redacted=True, signature=REDACTED),),
        [{"type": "redacted_thinking", "data": "ZGF0"}],
    ),
    (
        "another vendor's thought",
        (Reasoning(text="hm", signature=OPENAI),),
        [{"type": "thinking", "thinking": "hm", "signature": wrap(OPENAI)}],
    ),
    (
        "another vendor's thought that is not shown",
        (Reasoning(signature=OPENAI),),
        [{"type": "thinking", "thinking": "", "signature": wrap(OPENAI)}],
    ),
    ("a thought of nothing", (Reasoning(),), []),
    (
        "a call",
        (ToolCall(id="call_1", name="look", arguments='{"a": 1}'),),
        [{"type": "tool_use", "id": "call_1", "name": "look", "input": {"a": 1}}],
    ),
    (
        "arguments in a string",
        (ToolCall(id="call_1", name="look", arguments='"{\\"a\\":1}"'),),
        [{"type": "tool_use", "id": "call_1", "name": "look", "input": {"a": 1}}],
    ),
    (
        "arguments that are no object",
        (ToolCall(id="call_1", name="look", arguments="[1]"),),
        [{"type": "tool_use", "id": "call_1", "name": "look", "input": {"_raw": "[1]"}}],
    ),
    (
        "arguments that are no JSON",
        (ToolCall(id="call_1", name="look", arguments="ls -l"),),
        [{"type": "tool_use", "id": "call_1", "name": "look", "input": {"_raw": "ls -l"}}],
    ),
    (
        "arguments of null",
        (ToolCall(id="call_1", name="look", arguments="null"),),
        [{"type": "tool_use", "id": "call_1", "name": "look", "input": {"_raw": "null"}}],
    ),
    (
        "a free text",
        (ToolCall(id="call_1", name="sh", arguments="ls -l", kind="custom"),),
        [{"type": "tool_use", "id": "call_1", "name": "sh", "input": {"input": "ls -l"}}],
    ),
    (
        "a citation",
        (Text(text="a", citations=(Citation(url="https://e.com", title="E", quote="q"),)),),
        [
            {
                "type": "text",
                "text": "a",
                "citations": [
                    {
                        "type": "web_search_result_location",
                        "url": "https://e.com",
                        "title": "E",
                        "cited_text": "q",
                        "encrypted_index": "gw1.",
                    }
                ],
            }
        ],
    ),
    (
        "a block of Anthropic's own",
        (Opaque(dialect="anthropic", raw={"type": "hologram", "depth": 3}),),
        [{"type": "hologram", "depth": 3}],
    ),
    ("what only another dialect knows", (Opaque(dialect="gemini", raw={"a": 1}), Media(kind="image", data="QQ==")), []),
]


@pytest.mark.parametrize("by_one", [False, True], ids=["in one turn", "each in its own"])
@pytest.mark.parametrize(("parts", "expected"), [row[1:] for row in BLOCKS], ids=[row[0] for row in BLOCKS])
def test_parts_become_blocks(parts: tuple[Part, ...], expected: list[dict[str, Any]], by_one: bool) -> None:
    assert blocks(*parts, by_one=by_one) == expected


@pytest.mark.parametrize("arguments", ["", "{}", " ", " {} "])
@pytest.mark.parametrize("by_one", [False, True], ids=["in one turn", "each in its own"])
def test_a_call_without_arguments_sends_one_empty_delta(arguments: str, by_one: bool) -> None:
    body = written(unfold(canonical(ToolCall(id="c", name="f", arguments=arguments))), by_one=by_one)
    deltas = [value["delta"] for value in blocks_of(body) if value["type"] == "content_block_delta"]
    assert deltas == [{"type": "input_json_delta", "partial_json": ""}]


def test_arguments_pass_as_they_come() -> None:
    writer = encoder()
    writer.encode([STARTED])
    started = PartStarted(index=0, kind="tool_call", call_id="c", name="f")
    assert len(writer.encode([started])) == 1
    sent = [writer.encode([PartDelta(index=0, text=text)]) for text in (" ", '{"a', '":"x')]
    assert [len(pieces) for pieces in sent] == [0, 1, 1]
    # Cut by the token limit: it is passed as it is, for the SDKs repair what is missing.
    assert writer.encode([PartEnded(index=0)]) == [
        b'event: content_block_stop\ndata: {"type":"content_block_stop","index":0}\n\n'
    ]


def test_a_thought_that_nobody_signed_gets_a_signature_that_says_so() -> None:
    (block,) = blocks(Reasoning(text="hm"))
    found = unwrap(block["signature"])
    assert found is not None
    assert found[0].data == ""


CARRIED: list[tuple[str, tuple[Part, ...], list[tuple[str, Any]], list[tuple[str, Any]]]] = [
    (
        "of a call",
        (ToolCall(id="c", name="f", arguments="{}", signature=GOOGLE), ToolCall(id="d", name="f", arguments="{}")),
        [("carrier", "next"), ("tool_use", "c"), ("tool_use", "d")],
        [("tool_use", "c"), ("carrier", "previous"), ("tool_use", "d")],
    ),
    (
        "of a text",
        (Text(text="a", signature=GOOGLE),),
        [("carrier", "next"), ("text", "a")],
        [("text", "a"), ("carrier", "previous")],
    ),
    (
        "of a text without a word",
        (Text(text="a"), Text(text="", signature=GOOGLE)),
        [("text", "a"), ("carrier", "text")],
        [("text", "a"), ("carrier", "text")],
    ),
]


@pytest.mark.parametrize(("parts", "at_once", "later"), [row[1:] for row in CARRIED], ids=[row[0] for row in CARRIED])
def test_a_signature_without_a_slot_gets_a_carrier(
    parts: tuple[Part, ...], at_once: list[tuple[str, Any]], later: list[tuple[str, Any]]
) -> None:
    for by_one, expected in ((False, at_once), (True, later)):
        shown: list[tuple[str, Any]] = []
        for block in blocks(*parts, by_one=by_one):
            if block["type"] == "thinking":
                found = unwrap(block["signature"])
                assert found is not None
                assert (found[0], block["thinking"]) == (GOOGLE, "")
                shown.append(("carrier", found[1]))
            else:
                shown.append((block["type"], block.get("id") or block.get("text")))
        assert shown == expected


@pytest.mark.parametrize("mode", ["default", "off"])
def test_who_did_not_ask_for_thoughts_finds_the_text_in_the_first_block(mode: Any) -> None:
    """As every tutorial looks for it. A call's signature, which Google asks for, is carried all the same."""
    asked = replace(ASKED, reasoning=ReasoningAsk(mode=mode))
    for parts, kinds in (
        ((Text(text="a", signature=GOOGLE),), ["text"]),
        ((Text(text="a"), Text(text="", signature=GOOGLE)), ["text"]),
        ((ToolCall(id="c", name="f", arguments="{}", signature=GOOGLE),), ["thinking", "tool_use"]),
    ):
        said = canonical(*parts)
        whole = json.loads(ANTHROPIC.encode_answer(said, asked))["content"]
        streamed = read_strictly(written(unfold(said), asked=asked)).blocks
        assert [block["type"] for block in whole] == [block["type"] for block in streamed] == kinds


@pytest.mark.parametrize(
    ("reason", "parts", "said"),
    [
        (FinishReason.STOP, (Text(text="a"),), "end_turn"),
        (FinishReason.LENGTH, (Text(text="a"),), "max_tokens"),
        (FinishReason.CONTEXT_OVERFLOW, (), "model_context_window_exceeded"),
        (FinishReason.CONTENT_FILTER, (), "refusal"),
        (FinishReason.REFUSAL, (Text(text="no"),), "refusal"),
        (FinishReason.STOP, (Refusal(text="no"),), "refusal"),
        (FinishReason.PAUSE, (), "pause_turn"),
        (FinishReason.MALFORMED_CALL, (), "end_turn"),
        (FinishReason.UNKNOWN, (), "end_turn"),
        (FinishReason.STOP, (ToolCall(id="c", name="f", arguments="{}"),), "tool_use"),
        (FinishReason.UNKNOWN, (ToolCall(id="c", name="f", arguments="{}"),), "tool_use"),
        (FinishReason.TOOL_CALLS, (ToolCall(id="c", name="f", arguments="{}"),), "tool_use"),
        (FinishReason.LENGTH, (ToolCall(id="c", name="f", arguments="{}"),), "max_tokens"),
        (FinishReason.TOOL_CALLS, (Text(text="a"),), "end_turn"),
        (FinishReason.STOP_SEQUENCE, (Text(text="a"),), "end_turn"),
    ],
)
def test_why_it_stopped(reason: FinishReason, parts: tuple[Part, ...], said: str) -> None:
    read = read_strictly(written(unfold(canonical(*parts, reason=reason))))
    whole = json.loads(ANTHROPIC.encode_answer(canonical(*parts, reason=reason), ASKED))
    for message in (read.message, whole):
        assert message["stop_reason"] == said
        assert message["stop_sequence"] is None
        assert ("stop_details" in message) is (said == "refusal")


def test_the_matched_stop_sequence_is_told() -> None:
    response = canonical(Text(text="a"), reason=FinishReason.STOP_SEQUENCE, stop_sequence="###")
    read = read_strictly(written(unfold(response)))
    assert (read.message["stop_reason"], read.message["stop_sequence"]) == ("stop_sequence", "###")


def test_a_client_that_wants_no_thoughts_gets_their_proofs() -> None:
    asked = Request(model="m", messages=(), reasoning=ReasoningAsk(mode="auto", show="none"))
    response = canonical(Reasoning(text="hm", signature=OWN), Reasoning(text="hm"), Text(text="a"))
    expected = [{"type": "thinking", "thinking": "", "signature": "c2ln"}, {"type": "text", "text": "a"}]
    assert read_strictly(written(unfold(response), asked=asked)).blocks == expected
    assert json.loads(ANTHROPIC.encode_answer(response, asked))["content"] == expected


def test_of_several_choices_the_first_is_told() -> None:
    events: list[Event] = [
        STARTED,
        PartStarted(index=0, kind="text"),
        PartStarted(index=1, kind="text", choice=1),
        PartDelta(index=0, text="a"),
        PartDelta(index=1, text="b", choice=1),
        PartEnded(index=1, choice=1),
        PartEnded(index=0),
        ChoiceFinished(reason=FinishReason.LENGTH),
        ChoiceFinished(reason=FinishReason.STOP, choice=1),
        ResponseEnded(),
    ]
    read = read_strictly(written(events))
    assert (read.text, read.message["stop_reason"]) == ("a", "max_tokens")


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (UpstreamBroke("acme broke off"), "api_error"),
        (UpstreamFailed("oops", provider_type="overloaded_error"), "overloaded_error"),
        (Unavailable("going down"), "overloaded_error"),
        (Cancelled("somebody cancelled"), "invalid_request_error"),
    ],
)
def test_an_error_ends_the_stream(error: GatewayError, kind: str) -> None:
    events: list[Event] = [STARTED, PartStarted(index=0, kind="text"), PartDelta(index=0, text="a")]
    read = read_strictly(written([*events, ResponseFailed(error=error)]))
    assert read.error == {"type": kind, "message": error.message}
    assert not read.stopped
    alone = encoder().encode([ResponseFailed(error=error)])
    assert read_strictly(b"".join(alone)).error == {"type": kind, "message": error.message}


ROUND: list[tuple[Part, ...]] = [
    (Text(text="a"),),
    (Reasoning(text="hm", form="summary", signature=Signature(vendor="anthropic", model="asked-model", kind="signature", data="c2ln")), Text(text="a\n\"b\u2028")),
    (Reasoning(form="hidden", redacted=True, signature=Signature(vendor="anthropic", model="asked-model", kind="redacted", data="ZGF0")),),
    (Reasoning(text="hm", form="summary", signature=OPENAI), ToolCall(id="c", name="f", arguments='{"a":1}', signature=GOOGLE)),
    (Text(text="a", citations=(Citation(url="https://e.com", title="E", quote="q"),)), ToolCall(id="c", name="f", arguments="{}")),
    (Opaque(dialect="anthropic", raw={"type": "server_tool_use", "id": "s", "name": "n", "input": {"q": 1}}), Text(text="b")),
    (Text(text="", signature=GOOGLE), Text(text="x", signature=GOOGLE)),
]  # fmt: skip


@pytest.mark.parametrize("parts", ROUND)
@pytest.mark.parametrize("by_one", [False, True], ids=["in one turn", "each in its own"])
def test_what_is_written_is_read_back(parts: tuple[Part, ...], by_one: bool) -> None:
    carries = any(isinstance(part, Text | ToolCall) and part.signature for part in parts)
    if by_one and carries:
        return  # a carrier behind its part comes too late for who reads the stream; a request's reader has it
    reason = FinishReason.TOOL_CALLS if isinstance(parts[-1], ToolCall) else FinishReason.STOP
    before = canonical(*parts, reason=reason)
    after = fold(decode(written(unfold(before), by_one=by_one)))
    whole = ANTHROPIC.decode_answer(ANTHROPIC.encode_answer(before, ASKED), profile=None, provider="")  # type: ignore[arg-type]
    for read in (after, whole):
        assert read.choices[0].parts == parts
        assert read.choices[0].finish_reason is reason
        assert (read.response_id, read.model, read.usage) == ("msg_ours", "asked-model", before.usage)
