"""Streams: frames in, events out, and back."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec.structs import replace

from tests.dialects.dashscope_native.streams import DASH, ID, USAGE, answer, call, decode, frame, said, stream, texts
from tests.dialects.openai_chat.streams import cuts_of
from thalweg.canon.errors import UpstreamBroke, UpstreamFailed, UpstreamRefused
from thalweg.canon.events import PartDelta, PartStarted, ResponseEnded, ResponseFailed
from thalweg.canon.finish import FinishReason
from thalweg.canon.fold import fold, unfold
from thalweg.canon.parts import Citation, Opaque, Reasoning, Refusal, Text, ToolCall
from thalweg.canon.request import Request
from thalweg.canon.response import Choice, Response
from thalweg.canon.usage import Usage
from thalweg.framing.sse import SseDecoder
from thalweg.profiles.providers import COMPATIBLE

SEARCH = {"search_results": [{"index": 1, "title": "T", "url": "https://a.example/", "site_name": "S"}]}


def with_output(payload: dict[str, Any], **output: Any) -> dict[str, Any]:
    return payload | {"output": payload["output"] | output}


# What the wire says, and the parts that are read.
READINGS = [
    pytest.param([said("He"), said("llo"), said("", finish="stop")], [Text(text="Hello")], "stop", id="increments"),
    pytest.param(
        [said("H"), said("Hel"), said("Hello", finish="stop")], [Text(text="Hello")], "stop", id="all text so far"
    ),
    pytest.param([texts("1"), texts("1,"), texts("1, 2", finish="stop")], [Text(text="1, 2")], "stop", id="text form"),
    pytest.param(
        [said([{"text": "a"}]), said([]), said([{"text": "b"}], finish="stop")],
        [Text(text="ab")],
        "stop",
        id="content is a list, perhaps empty",
    ),
    pytest.param(
        [said("", reasoning_content="hm"), said("yes", reasoning_content=""), said("", finish="stop")],
        [Reasoning(text="hm"), Text(text="yes")],
        "stop",
        id="reasoning and then text",
    ),
    pytest.param(
        [
            said("", tool_calls=[call(0, "call_1", '{"a":', "add")]),
            said("", tool_calls=[call(0, "", "1}"), call(1, "call_2", "", "sub")]),
            said("", finish="tool_calls", tool_calls=[call(1, "", "{}")]),
        ],
        [ToolCall(id="call_1", name="add", arguments='{"a":1}'), ToolCall(id="call_2", name="sub", arguments="{}")],
        "tool_calls",
        id="calls one after the other, the last piece beside the reason",
    ),
    pytest.param(
        [
            said("", tool_calls=[call(0, "call_1", "{", "add"), call(1, "call_2", "[", "sub")]),
            said("", tool_calls=[call(0, "", "}")]),
            said("", finish="tool_calls", tool_calls=[call(1, "", "]")]),
        ],
        [ToolCall(id="call_1", name="add", arguments="{}"), ToolCall(id="call_2", name="sub", arguments="[]")],
        "tool_calls",
        id="calls that interleave",
    ),
    pytest.param(
        [
            said("", tool_calls=[call(0, "call_1", '{"', "add")]),
            said("", tool_calls=[call(0, "call_1", '{"a"', "add")]),
            said("", finish="tool_calls", tool_calls=[call(0, "call_1", '{"a":1}', "add")]),
        ],
        [ToolCall(id="call_1", name="add", arguments='{"a":1}')],
        "tool_calls",
        id="all arguments so far",
    ),
    pytest.param(
        [said("", reasoning_content="h"), said("a", reasoning_content="h"), said("ab", reasoning_content="h", finish="stop")],
        [Reasoning(text="h"), Text(text="ab")],
        "stop",
        id="all so far of two fields",
    ),
    pytest.param(
        [said("", finish="stop", tool_calls=[call(0, "call_1", "{}", "add")])],
        [ToolCall(id="call_1", name="add", arguments="{}")],
        "stop",
        id="a forced call ends with stop",
    ),
    pytest.param(
        [
            with_output(said(""), search_info=SEARCH),
            with_output(said("a"), search_info={"search_results": []}),
            said("", finish="stop"),
        ],
        [Text(text="a", citations=(Citation(url="https://a.example/", title="T"),))],
        "stop",
        id="results of a search are the text's sources",
    ),
    pytest.param(
        [with_output(said("a"), tool_info=[{"type": "x"}]), with_output(said("b", finish="stop"), tool_info=[{"type": "x"}])],
        [Text(text="ab"), Opaque(dialect="dashscope-native", raw={"tool_info": [{"type": "x"}]})],
        "stop",
        id="what the provider ran is said once",
    ),
    pytest.param(
        [said([{"ocr_result": {"k": 1}, "text": "t"}], finish="stop")],
        [Text(text="t"), Opaque(dialect="dashscope-native", raw={"content": {"ocr_result": {"k": 1}}})],
        "stop",
        id="what is no text in a content is kept as it is",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("values", "parts", "finish"), READINGS)
def test_a_stream_is_read(values: list[Any], parts: list[Any], finish: str) -> None:
    read = answer(*values)
    (choice,) = read.choices
    assert list(choice.parts) == parts
    assert choice.raw_finish_reason == finish
    assert read.response_id == ID
    assert read.complete


@pytest.mark.parametrize(("values", "parts", "finish"), READINGS)
def test_however_it_is_cut_it_reads_the_same(values: list[Any], parts: list[Any], finish: str) -> None:
    body = stream(*values)
    whole = decode(body)
    for size in (1, 7, 100):
        assert fold(decode(cuts_of(body, size))) == fold(whole)


@pytest.mark.parametrize(("values", "parts", "finish"), READINGS)
def test_where_it_ends_early_it_is_broken(values: list[Any], parts: list[Any], finish: str) -> None:
    for until in range(len(values)):
        read = fold(decode(stream(*values[:until])))
        assert not read.complete
        assert isinstance(read.error, UpstreamBroke)
        assert read.error.message == "acme broke off before the answer was finished"


def test_frames_without_blank_lines_between_them_are_told_apart() -> None:
    body = stream(said("a"), said("b"), said("", finish="stop")).replace(b"\n\n", b"\n")
    assert fold(decode(body)).choices[0].parts == (Text(text="ab"),)


@pytest.mark.parametrize(
    "change",
    [
        lambda body: body.replace(b"data:", b"data: ").replace(b"event:", b"event: "),
        lambda body: b"\xef\xbb\xbf" + body,
        lambda body: b"\n" + body,
        lambda body: body + b"data: [DONE]\n\n",
        lambda body: body.replace(b"event:result\n", b"").replace(b":HTTP_STATUS/200\n", b""),
        lambda body: body.replace(b"id:2", b"status:200\nid:2"),
        lambda body: body.rstrip(b"\n"),
    ],
    ids=["blanks", "a mark of byte order", "a blank line", "an end mark", "data alone", "another line", "no last line"],
)
def test_oddities_of_framing_are_borne(change: Any) -> None:
    body = change(stream(said("a"), said("b", usage=USAGE), said("", finish="stop")))
    read = fold(decode(body))
    assert read.choices[0].parts == (Text(text="ab"),)
    assert read.complete


def test_usage_of_every_frame_replaces_the_one_before() -> None:
    read = answer(
        said("a", usage=USAGE), said("b", usage=USAGE | {"output_tokens": 9}), said("", finish="stop", usage={})
    )
    assert read.usage == Usage(input_tokens=3, output_tokens=9)
    assert read.raw_usage == USAGE | {"output_tokens": 9}


def test_choices_come_one_in_a_frame_and_their_outputs_are_added_up() -> None:
    read = answer(
        said("a", at=0, usage=USAGE),
        said("x", at=1, usage=USAGE | {"output_tokens": 7}),
        said("b", at=0, usage=USAGE | {"output_tokens": 6}, finish="stop"),
        said("y", at=1, usage=USAGE | {"output_tokens": 8}, finish="length"),
    )
    assert [(choice.parts, choice.finish_reason) for choice in read.choices] == [
        ((Text(text="ab"),), FinishReason.STOP),
        ((Text(text="xy"),), FinishReason.LENGTH),
    ]
    assert read.usage == Usage(input_tokens=3, output_tokens=14)


def test_an_answer_is_not_whole_before_every_choice_is() -> None:
    assert isinstance(decode(stream(said("a", at=0, finish="stop"), said("b", at=1)))[-1], ResponseFailed)


def test_log_probabilities_go_with_their_text() -> None:
    payload = said("a", finish="stop")
    payload["output"]["choices"][0]["logprobs"] = {"content": [{"token": "a", "logprob": -0.1}]}
    assert answer(payload).choices[0].logprobs == {"content": [{"token": "a", "logprob": -0.1}]}


def research(content: str, phase: str = "answer", status: str = "typing", **deep: Any) -> dict[str, Any]:
    extra = {"deep_research": deep}
    message = {"phase": phase, "role": "assistant", "content": content, "extra": extra, "status": status}
    return {
        "output": {"message": message, "fininshed": False, "fininshed_reason": "null"},
        "usage": {"input_tokens": 2, "output_tokens": 4},
        "request_id": ID,
    }


def test_a_deep_research_is_read_as_text_with_its_sources() -> None:
    read = answer(
        research("Plan. ", phase="ResearchPlanning"),
        research("", phase="WebResearch", status="streamingQueries"),
        research("ignored", phase="KeepAlive"),
        research("Found.", references=[{"url": "https://a.example/", "title": "T", "description": "D"}]),
        research("", status="finished"),
    )
    (choice,) = read.choices
    assert choice.parts == (
        Text(text="Plan. Found.", citations=(Citation(url="https://a.example/", title="T", quote="D"),)),
    )
    assert (choice.finish_reason, choice.raw_finish_reason) == (FinishReason.STOP, None)
    assert read.complete


def test_a_call_without_an_id_gets_the_same_one_each_time() -> None:
    values = [said("", finish="tool_calls", tool_calls=[call(0, "", "{}", "add")])]
    (one,), (other,) = answer(*values).choices[0].parts, answer(*values).choices[0].parts
    assert isinstance(one, ToolCall)
    assert one.id.startswith("call_")
    assert one == other


# Errors.

BAD = {"code": "InvalidParameter", "message": "Range of max_tokens should be [1, 8]", "request_id": ID}


def test_an_error_instead_of_an_answer_has_its_true_status() -> None:
    error = fold(decode(frame(BAD, event="error", status=400))).error
    assert isinstance(error, UpstreamRefused)
    assert (error.upstream_status, error.status, error.code) == (400, 400, "InvalidParameter")
    assert error.message == BAD["message"]


@pytest.mark.parametrize(
    "last",
    [
        frame(BAD, event="error", status=400),
        frame(BAD, event="error", status=400).replace(b"event:error", b"event: error"),
        frame(BAD),
        frame({"error": {"code": "InvalidParameter", "message": BAD["message"]}}),
        frame(BAD | {"output": 5}),
    ],
    ids=["an event", "with a blank", "a code in a plain frame", "an error object", "another shape"],
)
def test_an_error_after_text_ends_the_answer(last: bytes) -> None:
    events = decode(stream(said("a")) + last + stream(said("", finish="stop")))
    read = fold(events)
    assert isinstance(read.error, UpstreamFailed)
    assert (read.error.message, read.error.code) == (BAD["message"], "InvalidParameter")
    assert read.choices[0].parts == (Text(text="a"),)


def test_an_error_after_the_finish_makes_it_incomplete() -> None:
    assert not fold(decode(stream(said("a", finish="stop")) + frame(BAD, event="error", status=500))).complete


@pytest.mark.parametrize(
    "body",
    [b"data:{\n\n", b"data:5\n\n", b'data:{"output":{"choices":5}}\n\n', b"data:\xff\n\n", b"data:" + b"[" * 5000 + b"\n\n"],
    ids=["cut JSON", "a number", "another shape", "no UTF-8", "too deep"],
)  # fmt: skip
def test_what_is_no_answer_breaks_the_stream(body: bytes) -> None:
    assert isinstance(decode(body)[-1], ResponseFailed)
    assert isinstance(decode(stream(said("a")) + body)[-1].error, UpstreamBroke)  # type: ignore[union-attr]


def test_a_frame_that_the_end_cuts_short_is_no_fault_of_its_own() -> None:
    body = stream(said("a", finish="stop")) + b'id:2\nevent:result\ndata:{"outp'
    assert isinstance(decode(body)[-1], ResponseEnded)


# Encoding.

ASKED = Request(model="m", messages=(), dialect="dashscope-native")
INCREMENTS = replace(ASKED, extensions={"incremental_output": True, "result_format": "message"})
ALL_SO_FAR = replace(ASKED, extensions={"result_format": "message"})
LIST = replace(ASKED, extensions={"incremental_output": True, "multimodal": True})

FULL = Response(
    response_id=ID,
    model="",
    created=None,
    choices=(
        Choice(
            index=0,
            parts=(
                Reasoning(text="hm"),
                Text(text="a b", citations=(Citation(url="https://a.example/", title="T"),)),
                ToolCall(id="call_1", name="add", arguments='{"a":1}'),
                ToolCall(id="call_2", name="add", arguments='{"a":2}'),
            ),
            finish_reason=FinishReason.TOOL_CALLS,
            raw_finish_reason="tool_calls",
        ),
    ),
    usage=Usage(input_tokens=9, output_tokens=5, reasoning_tokens=2, cached_input_tokens=4, cache_write_tokens=1),
    complete=True,
)


def encode(response: Response, asked: Request, size: int = 1) -> list[bytes]:
    """An answer as a stream, its texts in deltas of so many characters."""
    encoder = DASH.stream_encoder(asked, response_id=ID, model="m", created=1)
    frames: list[bytes] = []
    for event in unfold(response):
        pieces = [event]
        if isinstance(event, PartDelta):
            pieces = [replace(event, text=event.text[at : at + size]) for at in range(0, len(event.text), size)]
        frames += encoder.encode(pieces)
    return frames


@pytest.mark.parametrize("asked", [INCREMENTS, ALL_SO_FAR, LIST, replace(ASKED, dialect="openai-chat")])
def test_what_is_written_reads_the_same(asked: Request) -> None:
    read = fold(decode(encode(FULL, asked)))
    assert replace(read, raw_usage=None) == FULL


@pytest.mark.parametrize("asked", [INCREMENTS, ALL_SO_FAR])
def test_several_choices_read_the_same(asked: Request) -> None:
    other = Choice(index=1, parts=(Text(text="xyz"),), finish_reason=FinishReason.LENGTH, raw_finish_reason="length")
    both = replace(FULL, choices=(*FULL.choices, other))
    assert replace(fold(decode(encode(both, asked))), raw_usage=None) == both


def test_frames_look_as_the_gateway_writes_them() -> None:
    frames = encode(FULL, INCREMENTS, size=2)
    for number, each in enumerate(frames, 1):
        first, event, comment, data, *rest = each.split(b"\n")
        assert (first, event, comment, rest) == (b"id:%d" % number, b"event:result", b":HTTP_STATUS/200", [b"", b""])
        assert data.startswith(b'data:{"output":')
    payloads = [json.loads(each.split(b"data:")[1]) for each in frames]
    finishes = [payload["output"]["choices"][0]["finish_reason"] for payload in payloads]
    assert finishes == ["null"] * (len(frames) - 1) + ["tool_calls"]
    assert {payload["request_id"] for payload in payloads} == {ID}
    assert {payload["output"]["choices"][0]["message"]["role"] for payload in payloads} == {"assistant"}
    assert payloads[-1]["usage"]["total_tokens"] == 14
    calls = [p["output"]["choices"][0]["message"].get("tool_calls") for p in payloads]
    pieces = [piece for piece in calls if piece]
    assert pieces[0] == [call(0, "call_1", '{"', "add")]
    assert pieces[1] == [call(0, "", 'a"')]


def test_the_text_form_says_all_text_so_far() -> None:
    text = replace(
        FULL, choices=(replace(FULL.choices[0], parts=(Text(text="abc"),), finish_reason=FinishReason.STOP),)
    )
    outputs = [json.loads(each.split(b"data:")[1])["output"] for each in encode(text, ASKED)]
    assert outputs == [
        {"finish_reason": "null", "text": "a"},
        {"finish_reason": "null", "text": "ab"},
        {"finish_reason": "null", "text": "abc"},
        {"finish_reason": "stop", "text": "abc"},
    ]


def test_tools_need_the_message_form() -> None:
    """As the provider has it: the text form cannot say a call."""
    from_tools = DASH.read_request(
        b'{"model":"m","input":{"prompt":"?"},"parameters":{"tools":[{"type":"function","function":{"name":"f"}}]}}'
    ).canon()
    assert b'"choices"' in b"".join(encode(FULL, from_tools))


def test_a_call_without_arguments_has_an_empty_object() -> None:
    bare = replace(FULL, choices=(replace(FULL.choices[0], parts=(ToolCall(id="c", name="f", arguments=""),)),))
    (part,) = fold(decode(encode(bare, INCREMENTS))).choices[0].parts
    assert part == ToolCall(id="c", name="f", arguments="{}")


def test_a_refusal_is_text() -> None:
    refused = replace(FULL, choices=(replace(FULL.choices[0], parts=(Refusal(text="no"),)),))
    assert fold(decode(encode(refused, INCREMENTS))).choices[0].parts == (Text(text="no"),)


def test_an_error_in_a_stream_is_an_event_with_its_status() -> None:
    encoder = DASH.stream_encoder(INCREMENTS, response_id=ID, model="m", created=1)
    encoder.encode([PartStarted(index=0, kind="text"), PartDelta(index=0, text="a")])
    (last,) = encoder.encode([ResponseFailed(error=UpstreamBroke("acme broke off"))])
    assert last == (
        b"id:2\nevent:error\n:HTTP_STATUS/502\n"
        b'data:{"code":"InternalError.Algo","message":"acme broke off","request_id":"%b"}\n\n' % ID.encode()
    )


def test_a_keepalive_is_read_as_nothing() -> None:
    encoder = DASH.stream_encoder(INCREMENTS, response_id=ID, model="m", created=1)
    body = encoder.keepalive() + stream(said("a"), said("", finish="stop"))
    assert fold(decode(body)).choices[0].parts == (Text(text="a"),)


# Relaying.


def test_a_relayer_passes_the_very_bytes_and_watches() -> None:
    asked = DASH.read_request(b'{"model":"m","input":{"prompt":"?"}}')
    body = stream(said("a深", usage=USAGE), said("", finish="stop", usage=USAGE))
    for size in (1, 50, len(body)):
        relayer = DASH.relayer(asked, profile=COMPATIBLE, raw=False, provider="acme", response_id="own", created=1)
        sse, out = SseDecoder(), []
        for piece in cuts_of(body, size):
            out += relayer.feed(sse.feed(piece))
        out += relayer.feed(sse.end()) + relayer.end()
        watch = relayer.watch
        assert b"".join(out) == body
        assert (watch.usage, watch.finishes, watch.complete) == (
            Usage(input_tokens=3, output_tokens=5),
            {0: "stop"},
            True,
        )
        assert (watch.narrow_chars, watch.wide_chars, watch.response_id) == (1, 1, ID)


def test_a_relayer_gives_out_nothing_of_an_error_and_says_our_own() -> None:
    asked = DASH.read_request(b'{"model":"m","input":{"prompt":"?"}}')
    relayer = DASH.relayer(asked, profile=COMPATIBLE, raw=False, provider="acme", response_id="own", created=1)
    first = stream(said("a"))
    out = relayer.feed(SseDecoder().feed(first + frame(BAD, event="error", status=400)))
    assert b"".join(out) == first
    assert isinstance(relayer.watch.error, UpstreamFailed)
    assert relayer.fail(relayer.watch.error).startswith(b"id:2\nevent:error\n")
    assert relayer.end() == []
    assert not relayer.watch.complete
