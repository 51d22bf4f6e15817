"""What the tests of this dialect share: streams in short words, the rules of events as a check, a strict reader.

The reader takes no oddity at all: what it reads, every known SDK and every tutorial's loop reads (`wire/clients.md`
section 3). It adds deltas up as openai-python 3.51 does, without that package.
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
from thalweg.canon.parts import Reasoning, Refusal, Text, ToolCall
from thalweg.canon.response import Choice, Response
from thalweg.dialects.base import Watch
from thalweg.dialects.openai_chat import OpenAIChat
from thalweg.framing.sse import Frame, SseDecoder
from thalweg.profiles.base import Profile
from thalweg.profiles.providers import COMPATIBLE

CHAT = OpenAIChat()
HEAD = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1700000000, "model": "m-1"}
DONE = b"data: [DONE]\n\n"


def frame(value: Any) -> bytes:
    """One plain frame."""
    return b"data: " + json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode() + b"\n\n"


def chunk(delta: Any = None, *, at: int = 0, finish: Any = None, logprobs: Any = None, **top: Any) -> dict[str, Any]:
    """A chunk with one choice."""
    choice: dict[str, Any] = {"index": at, "delta": {} if delta is None else delta, "finish_reason": finish}
    if logprobs is not None:
        choice["logprobs"] = logprobs
    return HEAD | {"choices": [choice]} | top


def usage_chunk(prompt: int = 3, completion: int = 5) -> dict[str, Any]:
    """A chunk of usage alone."""
    usage = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
    return HEAD | {"choices": [], "usage": usage}


def call(index: Any = 0, **piece: Any) -> dict[str, Any]:
    """A delta with one piece of a call; `name` and `arguments` go into its function."""
    function = {key: piece.pop(key) for key in ("name", "arguments") if key in piece}
    if function:
        piece["function"] = function
    return {"tool_calls": [({} if index is None else {"index": index}) | piece]}


def stream(*values: Any, done: bool = True) -> bytes:
    """A body of plain frames."""
    return b"".join(map(frame, values)) + (DONE if done else b"")


def cuts_of(body: bytes, size: int) -> list[bytes]:
    """The body in pieces of one size."""
    return [body[i : i + size] for i in range(0, len(body), size)] or [b""]


# Decoding.


def decode(pieces: bytes | Iterable[bytes], *, provider: str = "acme") -> list[Event]:
    """The events of a body, checked against the rules of events."""
    sse, decoder = SseDecoder(), CHAT.stream_decoder(profile=COMPATIBLE, provider=provider)
    events: list[Event] = []
    for piece in [pieces] if isinstance(pieces, bytes) else pieces:
        events += decoder.feed(sse.feed(piece))
    events += decoder.feed(sse.end())
    events += decoder.end()
    check_events(events)
    assert decoder.feed([Frame(DONE, b"[DONE]", True)]) == []
    assert decoder.end() == []
    return events


def answer(*values: Any, done: bool = True) -> Response:
    """What a stream of these chunks folds to."""
    return fold(decode(stream(*values, done=done)))


def joined(choice: Choice, kind: type[Text] | type[Reasoning] | type[Refusal]) -> str:
    """All text of one kind in a choice."""
    return "".join(part.text for part in choice.parts if isinstance(part, kind))


def calls_of(choice: Choice) -> list[ToolCall]:
    """The calls of a choice."""
    return [part for part in choice.parts if isinstance(part, ToolCall)]


def check_events(events: Sequence[Event]) -> None:
    """The numbered rules of `canon/events.py`. An answer may fail before it has started; nothing else may precede."""
    said = [event for event in events if not isinstance(event, Pinged)]
    assert said, "an answer ends"
    # 1
    starts = [i for i, event in enumerate(said) if isinstance(event, ResponseStarted)]
    assert starts == [0] or (not starts and len(said) == 1 and isinstance(said[0], ResponseFailed)), "1: started first"
    ends = [i for i, event in enumerate(said) if isinstance(event, ResponseEnded | ResponseFailed)]
    assert ends == [len(said) - 1], "1: ended or failed last, once"
    assert not isinstance(events[-1], Pinged)
    _check_parts(said)
    _check_finishes(said)


def _check_parts(events: Sequence[Event]) -> None:
    open_part: dict[int, int] = {}
    choice_of: dict[int, int] = {}
    for event in events:
        match event:
            case PartStarted(index=index, choice=choice):
                assert index == len(choice_of), "2: indexes count up from 0"
                assert choice not in open_part, "2: one part open in a choice"
                choice_of[index], open_part[choice] = choice, index
                assert (event.kind == "tool_call") is (event.call_id is not None)
            case PartDelta(index=index, choice=choice) | PartEnded(index=index, choice=choice):
                assert choice_of[index] == choice, "7: the part's own choice"
                assert open_part.get(choice) == index, "2, 3: only the open part grows and ends"
                if isinstance(event, PartEnded):
                    del open_part[choice]
                else:
                    assert event.text, "3: a delta adds something"
            case ChoiceFinished(choice=choice):
                assert choice not in open_part, "6: after its last part"
            case ResponseEnded() | ResponseFailed():
                assert not open_part, "every part ends"


def _check_finishes(events: Sequence[Event]) -> None:
    finished = [event.choice for event in events if isinstance(event, ChoiceFinished)]
    assert len(finished) == len(set(finished)), "6: once for each choice"
    begun = {event.choice for event in events if isinstance(event, PartStarted)}
    if isinstance(events[-1], ResponseEnded):
        assert begun <= set(finished), "6: every choice that has begun"
    else:
        assert not finished


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
    pieces: bytes | Iterable[bytes],
    *,
    profile: Profile = COMPATIBLE,
    include_usage: bool = True,
    raw: bool = False,
    provider: str = "acme",
    **options: bool,
) -> Relayed:
    """Pass a body through a relayer. `options` go into the request's `stream_options`."""
    asked: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "?"}], "stream": True}
    if include_usage or options:
        asked["stream_options"] = {"include_usage": include_usage} | options
    relayer = CHAT.relayer(
        CHAT.read_request(json.dumps(asked).encode()),
        profile=profile,
        raw=raw,
        provider=provider,
        response_id="chatcmpl-own",
        created=1,
    )
    sse, out = SseDecoder(), []
    for piece in [pieces] if isinstance(pieces, bytes) else pieces:
        out += relayer.feed(sse.feed(piece))
    out += relayer.feed(sse.end())
    out += relayer.end()
    assert relayer.feed([Frame(DONE, b"[DONE]", True)]) == []
    assert relayer.end() == []
    return Relayed(out, relayer.watch)


def check_watch(watch: Watch, events: Sequence[Event]) -> None:
    """The watch of a relayed stream says what the decoder of the same bytes says."""
    response = fold(events)
    assert (watch.error is None) is (response.error is None)
    if watch.error is not None and response.error is not None:
        assert type(watch.error) is type(response.error)
        assert isinstance(watch.error, UpstreamError)
        assert isinstance(response.error, UpstreamError)
        assert _words(watch.error) == _words(response.error)
    assert watch.complete is response.complete
    assert watch.usage == response.usage
    assert watch.raw_usage == response.raw_usage
    if response.complete:
        raw = {choice.index: choice.raw_finish_reason for choice in response.choices}
        assert watch.finishes == {at: reason for at, reason in raw.items() if reason}
        assert watch.choices == set(raw)
    grown = any(isinstance(event, PartDelta) for event in events)
    begun = {event.kind for event in events if isinstance(event, PartStarted)}
    assert watch.content_seen or not (grown or "tool_call" in begun or watch.finishes)
    # Sound and annotations are one kind of part; a signature alone is nothing that anybody reads.
    assert not watch.content_seen or grown or begun & {"tool_call", "opaque"} or watch.finishes


def _words(error: GatewayError) -> tuple[Any, ...]:
    return error.message, error.code, error.param, getattr(error, "provider_type", None)


# Reading strictly.


@dataclass
class Call:
    """A call as a client has added it up."""

    id: str | None = None
    type: str | None = None
    name: str = ""
    arguments: str = ""


@dataclass
class Read:
    """One choice as a client has added it up."""

    text: str = ""
    reasoning: str = ""
    details: str = ""
    refusal: str = ""
    calls: list[Call] = field(default_factory=list)
    legacy: Call | None = None
    finish: str | None = None
    roles: list[str] = field(default_factory=list)


@dataclass
class StrictRead:
    """A whole stream as a client has added it up."""

    choices: dict[int, Read] = field(default_factory=dict)
    usage: Any = None
    done: bool = False
    error: Any = None


def read_strictly(body: bytes, *, include_usage: bool = True, role_once: bool = True, whole: bool = True) -> StrictRead:
    """Read what left the gateway; every assertion is a crash or a loss in some client.

    `role_once` off: the provider repeats the role and its own SDKs bear it. `whole` off: the stream was cut.
    """
    read = StrictRead()
    if body:
        assert body.endswith(b"\n\n"), "each frame is closed"
    blocks = body.split(b"\n\n")[:-1]
    for i, block in enumerate(blocks):
        assert block.startswith(b"data: "), block[:80]
        assert b"\n" not in block
        assert b"\r" not in block
        assert not read.done, "nothing comes after the end mark"
        assert read.error is None, "nothing comes after an error"
        if block == b"data: [DONE]":
            read.done = True
            continue
        value = json.loads(block[6:])
        assert isinstance(value, dict)
        if value.get("error"):
            assert block.startswith(b'data: {"error":{'), "ark-go reads no other beginning"
            assert list(value) == ["error"]
            read.error = value["error"]
            assert isinstance(read.error["message"], str)
            assert isinstance(read.error["code"], str | None)
            continue
        _read_chunk(read, value, include_usage=include_usage, last=i >= len(blocks) - 2)
    for choice in read.choices.values():
        assert len(choice.roles) <= 1 or not role_once, "roles add up to assistantassistant"
        assert all(a.type and a.name for a in choice.calls) or not whole
    return read


def _read_chunk(read: StrictRead, value: dict[str, Any], *, include_usage: bool, last: bool) -> None:
    assert value["object"] == "chat.completion.chunk"
    assert isinstance(value["id"], str)
    assert isinstance(value["model"], str)
    assert type(value["created"]) is int
    choices = value["choices"]
    if not choices and "moderation" not in value:
        assert include_usage, "a chunk without choices, and nobody asked for usage"
        assert read.usage is None, "usage comes once"
        assert last, "usage is the last chunk"
        read.usage = value["usage"]
        assert isinstance(read.usage, dict)
        return
    assert not value.get("usage"), "usage beside choices is not seen"
    for choice in choices:
        _read_choice(read.choices, choice)


def _read_choice(choices: dict[int, Read], choice: dict[str, Any]) -> None:
    at = choice["index"]
    assert type(at) is int
    assert isinstance(choice["delta"], dict)
    delta = choice["delta"]
    mine = choices.setdefault(at, Read())
    assert isinstance(delta["content"], str), "text += delta.content"
    mine.text += delta["content"]
    if delta.get("role") is not None:
        assert delta["role"] == "assistant"
        mine.roles.append(delta["role"])
    spoken = delta.get("reasoning_content") or delta.get("reasoning") or ""
    mine.reasoning += spoken
    if not spoken:
        mine.details += "".join((d.get("text") or d.get("summary") or "") for d in delta.get("reasoning_details") or ())
    mine.refusal += delta.get("refusal") or ""
    for piece in delta.get("tool_calls") or ():
        _read_piece(mine.calls, piece)
    if legacy := delta.get("function_call"):
        mine.legacy = mine.legacy or Call()
        mine.legacy.name += legacy.get("name") or ""
        mine.legacy.arguments += legacy.get("arguments") or ""
    reason = choice.get("finish_reason")
    assert isinstance(reason, str | None)
    mine.finish = reason or mine.finish


def _read_piece(calls: list[Call], piece: dict[str, Any]) -> None:
    index = piece["index"]
    assert type(index) is int
    assert 0 <= index <= len(calls), "indexes count up without gaps"
    first = index == len(calls)
    if first:
        calls.append(Call(id=piece.get("id"), type=piece["type"]))
    mine = calls[index]
    if not first and piece.get("id"):
        # openai-python's helper adds ids up, like every string but `index` and `type`.
        assert mine.id is None, f"the id is said once, not {mine.id!r} and {piece['id']!r}"
        mine.id = piece["id"]
    assert piece.get("type") in (None, mine.type)
    function, text = ("custom", "input") if mine.type == "custom" else ("function", "arguments")
    assert isinstance(piece[function], dict)
    name = piece[function].get("name")
    if name:
        assert not mine.name, "the name is said once"
        mine.name = name
    grown = piece[function].get(text)
    assert isinstance(grown, str) or not (first or text in piece[function]), "arguments are text"
    mine.arguments += grown or ""
