"""What the tests of this dialect share: streams in short words, the rules of events as a check, a strict reader.

The reader adds a stream up as anthropic-python 2.10 does, without that package, and bears nothing that any known SDK
does not (`wire/anthropic-messages.md` section 13.4).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from thalweg.canon.errors import GatewayError, UpstreamError
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
)
from thalweg.canon.fold import fold
from thalweg.canon.parts import Reasoning, Text, ToolCall
from thalweg.canon.request import ReasoningAsk, Request
from thalweg.canon.response import Choice, Response
from thalweg.dialects.anthropic_messages import AnthropicMessages
from thalweg.dialects.anthropic_messages.stream import AnthropicStreamDecoder
from thalweg.dialects.anthropic_messages.tables import ANTHROPIC_REPAIRS
from thalweg.dialects.base import Watch
from thalweg.framing.sse import Frame, SseDecoder
from thalweg.profiles.base import Profile

ANTHROPIC = AnthropicMessages()
PLAIN = Profile()
MENDED = Profile(repairs=ANTHROPIC_REPAIRS)
ASKED = Request(model="m", messages=(), reasoning=ReasoningAsk(mode="auto"))


def frame(value: dict[str, Any], *, name: str | None = None) -> bytes:
    """One frame, named as its data is unless it is given a name; an empty one leaves the line out."""
    called = value.get("type", "") if name is None else name
    head = b"event: " + called.encode() + b"\n" if called else b""
    return head + b"data: " + json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode() + b"\n\n"


def start(**more: Any) -> dict[str, Any]:
    """`message_start`."""
    message = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-1",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {"input_tokens": 3, "output_tokens": 1},
    }
    return {"type": "message_start", "message": message | more}


def begin(index: Any, kind: str, **more: Any) -> dict[str, Any]:
    """`content_block_start`."""
    skeleton: dict[str, Any] = {
        "text": {"text": ""},
        "thinking": {"thinking": "", "signature": ""},
        "tool_use": {"id": "toolu_1", "name": "look", "input": {}},
        "server_tool_use": {"id": "srvtoolu_1", "name": "web_search", "input": {}},
    }.get(kind, {})
    value = {"type": "content_block_start", "index": index, "content_block": {"type": kind} | skeleton | more}
    return value if index is not None else {key: value[key] for key in value if key != "index"}


def delta(index: Any, kind: str, text: Any) -> dict[str, Any]:
    """`content_block_delta`."""
    names = {
        "text_delta": "text",
        "thinking_delta": "thinking",
        "input_json_delta": "partial_json",
        "signature_delta": "signature",
        "citations_delta": "citation",
        "compaction_delta": "content",
    }
    value = {"type": "content_block_delta", "index": index, "delta": {"type": kind, names.get(kind, "x"): text}}
    return value if index is not None else {key: value[key] for key in value if key != "index"}


def stop(index: Any) -> dict[str, Any]:
    """`content_block_stop`."""
    return {"type": "content_block_stop", "index": index}


def text_block(index: int, *texts: str, **more: Any) -> list[dict[str, Any]]:
    """A whole block of text."""
    return [begin(index, "text", **more), *(delta(index, "text_delta", text) for text in texts), stop(index)]


def thought(index: int, *texts: str, signature: str = "") -> list[dict[str, Any]]:
    """A whole block of thinking."""
    said = [delta(index, "thinking_delta", text) for text in texts]
    signed = [delta(index, "signature_delta", signature)] if signature else []
    return [begin(index, "thinking"), *said, *signed, stop(index)]


def call(index: int, *pieces: str, **more: Any) -> list[dict[str, Any]]:
    """A whole call."""
    grown = [delta(index, "input_json_delta", piece) for piece in pieces]
    return [begin(index, "tool_use", **more), *grown, stop(index)]


def over(reason: Any = "end_turn", matched: Any = None, *, usage: Any = 5, **more: Any) -> list[dict[str, Any]]:
    """`message_delta` and `message_stop`."""
    counts = {"output_tokens": usage} if isinstance(usage, int) else usage
    said = {"type": "message_delta", "delta": {"stop_reason": reason, "stop_sequence": matched} | more}
    return [said | ({} if counts is None else {"usage": counts}), {"type": "message_stop"}]


def stream(*values: Any) -> bytes:
    """A body; lists are opened, bytes stand as they are."""
    flat: list[Any] = []
    for value in values:
        flat += value if isinstance(value, list) else [value]
    return b"".join(value if isinstance(value, bytes) else frame(value) for value in flat)


def cuts_of(body: bytes, size: int) -> list[bytes]:
    """The body in pieces of one size."""
    return [body[i : i + size] for i in range(0, len(body), size)] or [b""]


def blocks_of(body: bytes) -> list[dict[str, Any]]:
    """What each frame of a body holds."""
    return [frame_.data and json.loads(frame_.data) for frame_ in SseDecoder().feed(body)]


# Decoding.


def decode(pieces: bytes | Iterable[bytes], *, provider: str = "acme") -> list[Event]:
    """The events of a body, checked against the rules of events. Pieces that are one frame may take the short way."""
    sse, decoder = SseDecoder(), ANTHROPIC.stream_decoder(profile=PLAIN, provider=provider)
    events: list[Event] = []
    for piece in [pieces] if isinstance(pieces, bytes) else pieces:
        grown = decoder.grown(piece) if sse.between_frames else None
        events += decoder.feed(sse.feed(piece)) if grown is None else [grown]
    events += decoder.feed(sse.end())
    events += decoder.end()
    check_events(events, decoder)
    assert decoder.feed(SseDecoder().feed(frame({"type": "message_stop"}))) == []
    assert decoder.grown(frame(delta(0, "text_delta", "late"))) is None
    assert decoder.end() == []
    return events


def answer(*values: Any) -> Response:
    """What a stream of these events folds to."""
    return fold(decode(stream(*values)))


def parts(*values: Any) -> tuple[Any, ...]:
    """The parts of the one choice of such a stream, which is whole."""
    read = answer(start(), *values, over())
    assert read.error is None
    return read.choices[0].parts


def joined(choice: Choice, kind: type[Text] | type[Reasoning]) -> str:
    """All text of one kind in a choice."""
    return "".join(part.text for part in choice.parts if isinstance(part, kind))


def calls_of(choice: Choice) -> list[ToolCall]:
    """The calls of a choice."""
    return [part for part in choice.parts if isinstance(part, ToolCall)]


def check_events(events: Sequence[Event], decoder: AnthropicStreamDecoder | None = None) -> None:
    """The numbered rules of `canon/events.py`. An answer may fail before it has started; nothing else may precede."""
    said = [event for event in events if not isinstance(event, Pinged)]
    assert said, "an answer ends"
    starts = [i for i, event in enumerate(said) if isinstance(event, ResponseStarted)]
    assert starts == [0] or (not starts and len(said) == 1 and isinstance(said[0], ResponseFailed)), "1: started first"
    ends = [i for i, event in enumerate(said) if isinstance(event, ResponseEnded | ResponseFailed)]
    assert ends == [len(said) - 1], "1: ended or failed last, once"
    assert not isinstance(events[-1], Pinged)
    open_part, begun = None, 0
    for event in said:
        match event:
            case PartStarted(index=index):
                assert index == begun, "2: indexes count up from 0"
                assert open_part is None, "2: one part is open"
                open_part, begun = index, begun + 1
                assert (event.kind == "tool_call") is (event.call_id is not None)
            case PartDelta(index=index):
                assert index == open_part, "3: only the open part grows"
                assert event.text, "3: a delta adds something"
            case PartEnded(index=index):
                assert index == open_part, "3: only the open part ends"
                open_part = None
            case ResponseEnded() | ResponseFailed():
                assert open_part is None, "every part ends"
    finished = [event for event in said if isinstance(event, ChoiceFinished)]
    assert len(finished) == isinstance(said[-1], ResponseEnded), "6: once, of a whole answer"
    if finished:
        assert said[-2] is finished[0], "6: right before the end"
        if decoder is not None:
            assert decoder.finishes.get(0) == finished[0].raw_reason


# Relaying.


@dataclass
class Relayed:
    """What came out of a relayer."""

    frames: list[bytes]
    watch: Watch

    @property
    def body(self) -> bytes:
        return b"".join(self.frames)


def relay(
    pieces: bytes | Iterable[bytes], *, profile: Profile = MENDED, raw: bool = False, provider: str = "acme"
) -> Relayed:
    """Pass a body through a relayer, as the gateway does: the short way first where a read lies between two frames."""
    body = json.dumps({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "?"}]}).encode()
    relayer = ANTHROPIC.relayer(
        ANTHROPIC.read_request(body), profile=profile, raw=raw, provider=provider, response_id="msg_ours", created=7
    )
    sse, out = SseDecoder(), []
    for piece in [pieces] if isinstance(pieces, bytes) else pieces:
        passed = relayer.pass_on(piece) if sse.between_frames else None
        out += relayer.feed(sse.feed(piece)) if passed is None else [passed]
    out += relayer.feed(sse.end())
    out += relayer.end()
    relayer.settle()
    assert relayer.feed([Frame(b"data: {}\n\n", b"{}", True)]) == []
    assert relayer.end() == []
    return Relayed(out, relayer.watch)


def check_watch(watch: Watch, events: Sequence[Event]) -> None:
    """The watch of a relayed stream says what the decoder of the same bytes says."""
    response = fold(events)
    assert _words(watch.error) == _words(response.error)
    assert watch.complete is response.complete
    assert watch.usage == response.usage
    assert watch.raw_usage == response.raw_usage
    if response.complete:
        (choice,) = response.choices
        assert watch.finishes.get(0) == choice.raw_finish_reason
        assert watch.choices == {0}
    grown = any(isinstance(event, PartDelta) for event in events if event)
    kinds = {event.kind for event in events if isinstance(event, PartStarted)}
    assert watch.content_seen or not (watch.finishes or kinds & {"tool_call", "opaque"})
    assert not watch.content_seen or grown or kinds or watch.finishes


def _words(error: GatewayError | None) -> tuple[Any, ...] | None:
    if error is None:
        return None
    assert isinstance(error, UpstreamError)
    return type(error), error.kind, error.message, error.code, error.param, error.provider_type


# Reading strictly.


@dataclass
class StrictRead:
    """A stream as a client has added it up."""

    message: dict[str, Any] = field(default_factory=dict)
    blocks: list[dict[str, Any]] = field(default_factory=list)
    stopped: bool = False
    error: Any = None

    @property
    def text(self) -> str:
        return "".join(block["text"] for block in self.blocks if block["type"] == "text")

    @property
    def thinking(self) -> str:
        return "".join(block["thinking"] for block in self.blocks if block["type"] == "thinking")

    @property
    def calls(self) -> list[dict[str, Any]]:
        return [block for block in self.blocks if block["type"] == "tool_use"]


def read_strictly(body: bytes) -> StrictRead:
    """Read what left the gateway; every assertion is a crash or a loss in some client."""
    read = StrictRead()
    assert not body or body.endswith(b"\n\n"), "each frame is closed"
    grown: dict[int, str] = {}
    open_block: int | None = None
    for one in SseDecoder().feed(body):
        if one.data is None:
            continue
        value = json.loads(one.data)
        kind = value["type"]
        assert one.event == kind.encode(), "the SDKs go by the frame's name"
        assert not read.stopped, "nothing comes after the end"
        assert read.error is None, "nothing comes after an error"
        if kind == "ping":
            continue
        if kind == "error":
            read.error = value["error"]
            assert isinstance(read.error["type"], str)
            assert isinstance(read.error["message"], str)
            continue
        assert bool(read.message) is (kind != "message_start"), "one message_start, first"
        open_block = _read_event(read, value, grown, open_block)
    for index, text in grown.items():
        if text or read.blocks[index]["type"] == "tool_use":
            read.blocks[index]["input"] = _arguments(text, whole=read.message.get("stop_reason") == "tool_use")
    return read


def _arguments(text: str, *, whole: bool) -> Any:
    """A call's arguments; the text itself where they were cut, which the SDKs mend."""
    try:
        return json.loads(text) if text.strip() else {}
    except ValueError:
        assert not whole, "arguments of a turn of calls are JSON"
        return text


def _read_event(read: StrictRead, value: dict[str, Any], grown: dict[int, str], open_block: int | None) -> int | None:
    kind = value["type"]
    if kind == "message_start":
        read.message = value["message"]
        assert isinstance(read.message["content"], list)
        assert isinstance(read.message["usage"]["input_tokens"], int)
        assert isinstance(read.message["usage"]["output_tokens"], int)
        read.blocks += read.message["content"]
    elif kind == "content_block_start":
        assert value["index"] == len(read.blocks), "indexes follow on"
        block = dict(value["content_block"])
        for name in {"text": ("text",), "thinking": ("thinking",), "tool_use": ("id", "name", "input")}.get(
            block["type"], ()
        ):
            assert block[name] is not None
        read.blocks.append(block)
        return value["index"]
    elif kind == "content_block_delta":
        assert 0 <= value["index"] < len(read.blocks), "a delta is of a block that has begun"
        _read_delta(read.blocks[value["index"]], value["delta"], grown, value["index"])
    elif kind == "message_delta":
        assert isinstance(value["usage"]["output_tokens"], int)
        assert value["usage"]["output_tokens"] >= 0
        read.message["usage"] = read.message["usage"] | {k: v for k, v in value["usage"].items() if v is not None}
        read.message |= value["delta"]
    elif kind == "message_stop":
        read.stopped = True
    return open_block


def _read_delta(block: dict[str, Any], given: dict[str, Any], grown: dict[int, str], index: int) -> None:
    match given["type"]:
        case "text_delta" if block["type"] == "text":
            block["text"] += given["text"]
        case "thinking_delta" if block["type"] == "thinking":
            block["thinking"] += given["thinking"]
        case "signature_delta":
            assert not block.get("signature"), "a second signature takes the first one's place"
            block["signature"] = given["signature"]
        case "input_json_delta" if "input" in block:
            grown[index] = grown.get(index, "") + given["partial_json"]
        case "citations_delta":
            block["citations"] = [*(block.get("citations") or []), given["citation"]]
        case "compaction_delta":
            block["content"] = given["content"]
