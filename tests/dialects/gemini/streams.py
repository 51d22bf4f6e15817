"""What the tests of this dialect share: streams in short words, the rules of events as a check, a strict reader.

The reader bears no more than google-genai 3.3's synchronous client and @google/genai 2.32 do (`wire/clients.md` section
6, gemini dossier section 8.5).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from thalweg.canon.errors import UpstreamError
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
from thalweg.canon.media import standard_base64
from thalweg.canon.parts import Reasoning, Text, ToolCall
from thalweg.canon.request import ReasoningAsk, Request
from thalweg.canon.response import Choice, Response
from thalweg.dialects.base import Watch
from thalweg.dialects.gemini import Gemini
from thalweg.dialects.gemini.array import ArrayDecoder
from thalweg.dialects.gemini.tables import GEMINI_REPAIRS
from thalweg.framing.sse import Frame, SseDecoder
from thalweg.profiles.base import Profile

GEMINI = Gemini()
PROFILE = Profile(repairs=GEMINI_REPAIRS)
LEAST: dict[str, Any] = {"contents": [{"role": "user", "parts": [{"text": "?"}]}]}
SSE_TARGET = b"/v1beta/models/gemini-3-flash:streamGenerateContent?alt=sse"
ARRAY_TARGET = b"/v1beta/models/gemini-3-flash:streamGenerateContent"
WHOLE_TARGET = b"/v1beta/models/gemini-3-flash:generateContent"
HEAD = {"modelVersion": "gemini-3-flash", "responseId": "r-1"}
USAGE = {"promptTokenCount": 3, "candidatesTokenCount": 5, "totalTokenCount": 8}


def frame(value: Any, end: bytes = b"\r\n\r\n") -> bytes:
    """One frame as Google sends it."""
    return b"data: " + json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode() + end


def chunk(*parts: Any, at: int | None = 0, finish: Any = None, candidate: Any = None, **top: Any) -> dict[str, Any]:
    """A chunk with one candidate. A string is a text."""
    written = [{"text": part} if isinstance(part, str) else part for part in parts]
    made: dict[str, Any] = {"content": {"parts": written, "role": "model"}}
    if at is not None:
        made["index"] = at
    if finish is not None:
        made["finishReason"] = finish
    return {"candidates": [made | (candidate or {})]} | HEAD | top


def thought(text: str, **more: Any) -> dict[str, Any]:
    """A part of thoughts."""
    return {"text": text, "thought": True} | more


def call(name: str = "f", args: Any = None, **more: Any) -> dict[str, Any]:
    """A part that is a call; `thoughtSignature` goes beside it."""
    signature = {"thoughtSignature": more.pop("thoughtSignature")} if "thoughtSignature" in more else {}
    return {"functionCall": {"name": name} | ({} if args is None else {"args": args}) | more} | signature


def stream(*values: Any, end: bytes = b"\r\n\r\n") -> bytes:
    """A body of such frames."""
    return b"".join(frame(value, end) for value in values)


def cuts_of(body: bytes, size: int) -> list[bytes]:
    """The body in pieces of one size."""
    return [body[i : i + size] for i in range(0, len(body), size)] or [b""]


# Decoding.


def decode(pieces: bytes | Iterable[bytes], *, provider: str = "acme", array: bool = False) -> list[Event]:
    """The events of a body, checked against the rules of events."""
    framing: Any = ArrayDecoder() if array else SseDecoder()
    decoder = GEMINI.stream_decoder(profile=PROFILE, provider=provider)
    events: list[Event] = []
    for piece in [pieces] if isinstance(pieces, bytes) else pieces:
        events += decoder.feed(framing.feed(piece))
    events += decoder.feed(framing.end())
    events += decoder.end()
    check_events(events)
    assert decoder.feed([Frame(frame(chunk("x")), b"{}")]) == []
    assert decoder.end() == []
    return events


def answer(*values: Any) -> Response:
    """What a stream of these chunks folds to."""
    return fold(decode(stream(*values)))


def joined(choice: Choice, kind: type[Text] | type[Reasoning]) -> str:
    """All text of one kind in a choice."""
    return "".join(part.text for part in choice.parts if isinstance(part, kind))


def calls_of(choice: Choice) -> list[ToolCall]:
    """The calls of a choice."""
    return [part for part in choice.parts if isinstance(part, ToolCall)]


def check_events(events: Sequence[Event]) -> None:
    """The numbered rules of `canon/events.py`. An answer may fail before it has started; nothing else may precede."""
    said = [event for event in events if not isinstance(event, Pinged)]
    assert said, "an answer ends"
    starts = [i for i, event in enumerate(said) if isinstance(event, ResponseStarted)]
    assert starts == [0] or (not starts and len(said) == 1 and isinstance(said[0], ResponseFailed)), "1: started first"
    ends = [i for i, event in enumerate(said) if isinstance(event, ResponseEnded | ResponseFailed)]
    assert ends == [len(said) - 1], "1: ended or failed last, once"
    assert not isinstance(events[-1], Pinged)
    open_part: dict[int, int] = {}
    choice_of: dict[int, int] = {}
    for event in said:
        match event:
            case PartStarted(index=index, choice=at):
                assert index == len(choice_of), "2: indexes count up from 0"
                assert at not in open_part, "2: one part open in a choice"
                choice_of[index], open_part[at] = at, index
                assert (event.kind == "tool_call") is bool(event.call_id)
            case PartDelta(index=index, choice=at) | PartEnded(index=index, choice=at):
                assert choice_of[index] == at, "7: the part's own choice"
                assert open_part.get(at) == index, "2, 3: only the open part grows and ends"
                if isinstance(event, PartEnded):
                    del open_part[at]
                else:
                    assert event.text, "3: a delta adds something"
            case ChoiceFinished(choice=at):
                assert at not in open_part, "6: after its last part"
            case ResponseEnded() | ResponseFailed():
                assert not open_part, "every part ends"
    finished = [event.choice for event in said if isinstance(event, ChoiceFinished)]
    assert len(finished) == len(set(finished)), "6: once for each choice"
    if isinstance(said[-1], ResponseEnded):
        assert set(choice_of.values()) <= set(finished), "6: every choice that has begun"
    else:
        assert not finished


# Encoding.


def asking(*, array: bool = False, shown: bool = True) -> Request:
    """A client's request, as far as an encoder looks at it."""
    show: Any = "summary" if shown else "none"
    return Request(model="m", messages=(), framing="json-array" if array else "sse", reasoning=ReasoningAsk(show=show))


def encode(events: Iterable[Event], *, array: bool = False, shown: bool = True) -> list[bytes]:
    """The frames of one answer."""
    encoder = GEMINI.stream_encoder(
        asking(array=array, shown=shown), response_id="r-1", model="gemini-3-flash", created=1
    )
    return encoder.encode(events)


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
    profile: Profile = PROFILE,
    raw: bool = False,
    array: bool = False,
    provider: str = "acme",
) -> Relayed:
    """Pass a body of SSE through a relayer, as the exchange does; an error is said at the end."""
    asked = GEMINI.read_request(json.dumps(LEAST).encode(), ARRAY_TARGET if array else SSE_TARGET)
    relayer = GEMINI.relayer(asked, profile=profile, raw=raw, provider=provider, response_id="own", created=1)
    sse, out = SseDecoder(), []
    for piece in [pieces] if isinstance(pieces, bytes) else pieces:
        passed = relayer.pass_on(piece) if sse.between_frames else None
        out += relayer.feed(sse.feed(piece)) if passed is None else [passed]
    out += relayer.feed(sse.end())
    out += relayer.end()
    assert relayer.feed([Frame(frame(chunk("x")), b"{}")]) == []
    assert relayer.end() == []
    if relayer.watch.error is not None:
        out.append(relayer.fail(relayer.watch.error))
    return Relayed(out, relayer.watch)


def check_watch(watch: Watch, events: Sequence[Event]) -> None:
    """The watch of a relayed stream says what the decoder of the same bytes says."""
    response = fold(events)
    empty = isinstance(response.error, UpstreamError) and "no answer" in str(response.error)
    if not empty:  # an answer of nothing is passed on, and refused where it is translated
        assert str(watch.error) == str(response.error)
        assert watch.complete is response.complete
    assert watch.usage == response.usage
    assert watch.raw_usage == response.raw_usage
    if response.complete:
        raw = {choice.index: choice.raw_finish_reason for choice in response.choices}
        assert watch.finishes == raw
    # A signature alone is nothing that anybody reads.
    begun = {event.kind for event in events if isinstance(event, PartStarted)} & {"tool_call", "media", "opaque"}
    assert watch.content_seen or not (begun or any(isinstance(event, PartDelta) for event in events))


# Reading strictly.


@dataclass
class Read:
    """One candidate as a client has added it up."""

    text: str = ""
    thoughts: str = ""
    calls: list[dict[str, Any]] = field(default_factory=list)
    parts: list[dict[str, Any]] = field(default_factory=list)
    finish: Any = None


@dataclass
class StrictRead:
    """A whole stream as a client has added it up."""

    candidates: dict[int, Read] = field(default_factory=dict)
    chunks: list[dict[str, Any]] = field(default_factory=list)
    usage: Any = None
    error: Any = None
    blocked: Any = None


def objects_of(body: bytes, *, array: bool) -> list[Any]:
    """The objects in a client's stream; every assertion is a crash or a loss in some SDK."""
    if array:
        found = json.loads(body)
        assert isinstance(found, list)
        return found
    found = []
    for line in body.decode().splitlines():  # also at U+2028: the synchronous client does so
        if line:
            assert line.startswith("data: "), line[:60]
            found.append(json.loads(line.removeprefix("data: ")))
    return found


def read_strictly(body: bytes, *, array: bool = False, ours: bool = False) -> StrictRead:
    """Read what left the gateway. `ours`: it was written by the encoder, which owes more than an upstream does."""
    read = StrictRead()
    for each in objects_of(body, array=array):
        assert read.error is None, "nothing follows an error"
        if next(iter(each)) == "error":
            assert type(each["error"]["code"]) is int
            assert isinstance(each["error"]["status"], str)
            read.error = each["error"]
            continue
        assert "error" not in each, "silently an empty chunk"
        read.chunks.append(each)
        read.usage = each.get("usageMetadata") or read.usage
        read.blocked = (each.get("promptFeedback") or {}).get("blockReason") or read.blocked
        for candidate in each.get("candidates") or ():
            _add(read.candidates.setdefault(candidate.get("index", 0), Read()), candidate, ours=ours)
    return read


def _add(into: Read, candidate: dict[str, Any], *, ours: bool) -> None:
    parts = (candidate.get("content") or {}).get("parts") or []
    assert parts or not ours, "google-genai's chat forgets the turn"
    for part in parts:
        into.parts.append(part)
        if "thoughtSignature" in part:
            standard_base64(part["thoughtSignature"])
        if "functionCall" in part:
            assert isinstance(part["functionCall"].get("args") or {}, dict), "a ValidationError"
            into.calls.append(part["functionCall"])
        elif part.get("thought"):
            into.thoughts += part.get("text", "")
        else:
            into.text += part.get("text") or ""
    reason = candidate.get("finishReason")
    assert reason is None or isinstance(reason, str), "'int' object has no attribute 'upper'"
    into.finish = reason or into.finish
