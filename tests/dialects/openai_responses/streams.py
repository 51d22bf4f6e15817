"""What the tests of this dialect share: streams in short words, the rules of events as a check, a strict reader.

The reader takes no oddity at all, and holds a stream to what openai-python 3.51's `responses.stream` helper holds it to
(`wire/openai-responses.md` section 5), without that package.
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
from thalweg.canon.parts import Part
from thalweg.canon.request import Request
from thalweg.canon.response import Response
from thalweg.dialects.base import Watch
from thalweg.dialects.openai_responses import RESPONSES_REPAIRS, OpenAIResponses
from thalweg.framing.sse import SseDecoder
from thalweg.profiles.base import Profile

RESPONSES = OpenAIResponses()
ALL_ROWS = Profile(repairs=RESPONSES_REPAIRS)
ASKED = Request(model="m", messages=())
USAGE = {
    "input_tokens": 3,
    "input_tokens_details": {"cached_tokens": 1, "cache_write_tokens": 0},
    "output_tokens": 5,
    "output_tokens_details": {"reasoning_tokens": 2},
    "total_tokens": 8,
}


def frame(value: dict[str, Any], *, named: bool = True) -> bytes:
    """One frame as OpenAI writes it."""
    name = f"event: {value['type']}\n".encode() if named else b""
    return name + b"data: " + json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode() + b"\n\n"


def response(status: str = "in_progress", **more: Any) -> dict[str, Any]:
    """A response object."""
    known = {"id": "resp_1", "object": "response", "created_at": 1700000000, "model": "m-1", "status": status}
    return known | {"output": [], "usage": None, "error": None, "incomplete_details": None} | more


def event(kind: str, **fields: Any) -> dict[str, Any]:
    """One event; `response.` is understood. Its number is given by `stream`."""
    return {"type": kind if kind == "error" else f"response.{kind}"} | fields


CREATED = event("created", response=response())


def added(item: dict[str, Any], at: int = 0) -> dict[str, Any]:
    """An item begins."""
    return event("output_item.added", output_index=at, item=item)


def done(item: dict[str, Any], at: int = 0) -> dict[str, Any]:
    """An item is whole."""
    return event("output_item.done", output_index=at, item=item)


def delta(kind: str, text: Any, at: int = 0, part: int = 0, **more: Any) -> dict[str, Any]:
    """An item grows."""
    place = {} if "arguments" in kind or "input" in kind else {_place_of(kind): part}
    return event(kind, item_id=f"it_{at}", output_index=at, delta=text, **place, **more)


def _place_of(kind: str) -> str:
    return "summary_index" if "summary" in kind else "content_index"


def text(words: str, at: int = 0, part: int = 0, **more: Any) -> dict[str, Any]:
    """Text that goes on."""
    return delta("output_text.delta", words, at, part, **more)


def message(*content: dict[str, Any], item_id: str = "it_0", status: str = "completed") -> dict[str, Any]:
    """A message item."""
    return {"id": item_id, "type": "message", "role": "assistant", "status": status, "content": list(content)}


def output_text(words: str, **more: Any) -> dict[str, Any]:
    """A text part."""
    return {"type": "output_text", "text": words, "annotations": []} | more


def call(name: str = "f", arguments: str = "", call_id: str = "call_1", at: int = 0, **more: Any) -> dict[str, Any]:
    """A function's call."""
    named = {"id": f"it_{at}", "type": "function_call", "call_id": call_id, "name": name}
    return named | {"arguments": arguments, "status": "completed"} | more


def reasoning(at: int = 0, **more: Any) -> dict[str, Any]:
    """A reasoning item."""
    return {"id": f"it_{at}", "type": "reasoning", "summary": []} | more


def completed(*output: dict[str, Any], usage: Any = USAGE, **more: Any) -> dict[str, Any]:
    """The last event of a good answer."""
    return event("completed", response=response("completed", output=list(output), usage=usage, **more))


def incomplete(why: str | None = "max_output_tokens", *output: dict[str, Any]) -> dict[str, Any]:
    """The last event of an answer that was cut."""
    details = None if why is None else {"reason": why}
    return event("incomplete", response=response("incomplete", output=list(output), incomplete_details=details))


def stream(*values: dict[str, Any], named: bool = True, begun: bool = True) -> bytes:
    """A body: the answer's beginning, and these events, numbered."""
    all_values = [CREATED, *values] if begun else list(values)
    return b"".join(frame(value | {"sequence_number": i}, named=named) for i, value in enumerate(all_values))


HELLO = (
    added(message(status="in_progress")),
    event("content_part.added", item_id="it_0", output_index=0, content_index=0, part=output_text("")),
    text("Hel"),
    text("lo"),
    event("output_text.done", item_id="it_0", output_index=0, content_index=0, text="Hello"),
    event("content_part.done", item_id="it_0", output_index=0, content_index=0, part=output_text("Hello")),
    done(message(output_text("Hello"))),
    completed(message(output_text("Hello"))),
)
"""A good answer."""


def cuts_of(body: bytes, size: int) -> list[bytes]:
    """A body in pieces of that size."""
    return [body[i : i + size] for i in range(0, len(body), size)]


# Decoding.


def decode(pieces: bytes | Iterable[bytes], *, provider: str = "acme") -> list[Event]:
    """The events of a body, checked against the rules of events."""
    sse, decoder = SseDecoder(), RESPONSES.stream_decoder(profile=ALL_ROWS, provider=provider)
    events: list[Event] = []
    for piece in [pieces] if isinstance(pieces, bytes) else pieces:
        events += decoder.feed(sse.feed(piece))
    events += decoder.feed(sse.end())
    events += decoder.end()
    check_events(events)
    assert decoder.feed(SseDecoder().feed(stream(*HELLO))) == []
    assert decoder.end() == []
    return events


def answer(*values: dict[str, Any], **how: bool) -> Response:
    """What a stream of these events folds to."""
    return fold(decode(stream(*values, **how)))


def parts(*values: dict[str, Any]) -> tuple[Part, ...]:
    """The parts of a stream that ends well."""
    found = answer(*values, completed())
    assert found.complete, found.error
    return found.choices[0].parts


def check_events(events: Sequence[Event]) -> None:
    """The numbered rules of `canon/events.py`. An answer may fail before it has started; nothing else may precede."""
    said = [each for each in events if not isinstance(each, Pinged)]
    assert said, "an answer ends"
    starts = [i for i, each in enumerate(said) if isinstance(each, ResponseStarted)]
    assert starts == [0] or (not starts and len(said) == 1 and isinstance(said[0], ResponseFailed)), "1: started first"
    ends = [i for i, each in enumerate(said) if isinstance(each, ResponseEnded | ResponseFailed)]
    assert ends == [len(said) - 1], "1: ended or failed last, once"
    assert not isinstance(events[-1], Pinged)
    _check_parts(said)
    finishes = [i for i, each in enumerate(said) if isinstance(each, ChoiceFinished)]
    assert finishes == ([len(said) - 2] if isinstance(said[-1], ResponseEnded) else []), "6: right before the end"


def _check_parts(events: Sequence[Event]) -> None:
    open_part: int | None = None
    begun = 0
    for each in events:
        match each:
            case PartStarted():
                assert each.index == begun, "2: indexes count up from 0"
                assert open_part is None, "2: one part is open"
                assert (each.kind == "tool_call") is (each.call_id is not None)
                begun, open_part = begun + 1, each.index
            case PartDelta():
                assert open_part == each.index, "2, 3: only the open part grows"
                assert each.text, "3: a delta adds something"
            case PartEnded():
                assert open_part == each.index
                open_part = None
            case ChoiceFinished() | ResponseEnded() | ResponseFailed():
                assert open_part is None, "every part ends"


# Encoding.


def encode(events: Iterable[Event], asked: Request = ASKED) -> bytes:
    """A client's stream."""
    encoder = RESPONSES.stream_encoder(asked, response_id="resp_own", model="own", created=7)
    return b"".join(encoder.encode(events))


# Relaying.


@dataclass
class Relayed:
    """What came out of a relayer."""

    frames: list[bytes]
    watch: Watch
    failure: bytes = b""

    @property
    def body(self) -> bytes:
        return b"".join(self.frames)


def relay(
    pieces: bytes | Iterable[bytes],
    *,
    profile: Profile = ALL_ROWS,
    raw: bool = False,
    provider: str = "acme",
    short: bool = False,
    **asked: Any,
) -> Relayed:
    """Pass a body through a relayer; with `short`, each piece that is one common frame on the short way."""
    request = RESPONSES.read_request(json.dumps({"model": "m", "input": "?", "stream": True} | asked).encode())
    relayer = RESPONSES.relayer(request, profile=profile, raw=raw, provider=provider, response_id="resp_own", created=1)
    sse, out = SseDecoder(), []
    for piece in [pieces] if isinstance(pieces, bytes) else pieces:
        passed = relayer.pass_on(piece) if short and sse.between_frames else None
        out += relayer.feed(sse.feed(piece)) if passed is None else [passed]
    out += relayer.feed(sse.end())
    out += relayer.end()
    assert relayer.end() == []
    failure = b"" if relayer.watch.error is None else relayer.fail(relayer.watch.error)
    return Relayed(out, relayer.watch, failure)


def check_watch(watch: Watch, events: Sequence[Event]) -> None:
    """The watch of a relayed stream says what the decoder of the same bytes says."""
    found = fold(events)
    assert (watch.error is None) is (found.error is None), (watch.error, found.error)
    if watch.error is not None and found.error is not None:
        assert isinstance(watch.error, UpstreamError)
        assert type(watch.error) is type(found.error)
        assert _words(watch.error) == _words(found.error)
    assert watch.complete is found.complete
    assert watch.usage == found.usage
    assert watch.raw_usage == found.raw_usage
    if found.complete:
        assert watch.finishes == {0: found.choices[0].raw_finish_reason}
        assert watch.choices == {0}
        assert watch.done
    if any(isinstance(each, PartDelta) for each in events) and found.error is None:
        assert watch.content_seen


def _words(error: GatewayError) -> tuple[Any, ...]:
    return error.message, error.code, error.param, getattr(error, "provider_type", None)


# Reading strictly.


@dataclass
class StrictRead:
    """A whole stream as a client has added it up."""

    items: dict[int, dict[str, Any]] = field(default_factory=dict)
    """Whole items, by their place."""
    text: str = ""
    reasoning: str = ""
    refusal: str = ""
    last: dict[str, Any] | None = None
    """The response of the last event."""
    error: dict[str, Any] | None = None
    kinds: list[str] = field(default_factory=list)

    @property
    def status(self) -> str | None:
        return None if self.last is None else self.last["status"]


class _Reader:
    def __init__(self) -> None:
        self.read = StrictRead()
        self.open: dict[int, dict[str, Any]] = {}
        self.grown: dict[tuple[int, str, int], str] = {}
        self.response_id: str | None = None

    def take(self, block: bytes, number: int) -> None:
        name, _, data = block.partition(b"\n")
        assert name.startswith(b"event: "), block[:80]
        assert data.startswith(b"data: "), block[:80]
        assert b"\n" not in data
        assert b"\r" not in block
        value = json.loads(data[6:])
        kind = value["type"]
        assert name[7:].decode() == kind
        assert value["sequence_number"] == number, "numbered from 0 without gaps"
        assert self.read.last is None, "nothing comes after the last event"
        self.read.kinds.append(kind)
        assert number or kind == "response.created", "an answer is created first"
        if kind == "error":
            assert value["error"]["message"] == value["message"], "both forms say the same"
            assert set(value["error"]) == {"message", "type", "param", "code"}
            self.read.error = value["error"]
        elif "response" in value:
            self._lifecycle(kind, value["response"])
        else:
            self._grow(kind, value)

    def _lifecycle(self, kind: str, found: dict[str, Any]) -> None:
        self.response_id = self.response_id or found["id"]
        assert found["id"] == self.response_id
        assert found["object"] == "response"
        assert type(found["created_at"]) is int
        assert "effort" not in found["reasoning"] or found["reasoning"]["effort"] is not None
        for must in ("model", "parallel_tool_calls", "tool_choice", "tools", "output"):
            assert found[must] is not None
        if kind in ("response.created", "response.in_progress"):
            assert found["status"] == "in_progress"
            return
        assert kind == f"response.{found['status']}"
        assert (found["error"] is not None) is (kind == "response.failed")
        if kind != "response.failed":
            assert self.read.error is None
            assert not self.open, "every item is done"
            assert set(found["usage"]["input_tokens_details"]) >= {"cached_tokens", "cache_write_tokens"}
            assert "reasoning_tokens" in found["usage"]["output_tokens_details"]
            assert found["output"] == [self.read.items[at] for at in sorted(self.read.items)]
        self.read.last = found

    def _grow(self, kind: str, value: dict[str, Any]) -> None:
        at = value["output_index"]
        if kind == "response.output_item.added":
            assert at == len(self.open) + len(self.read.items), "places count up"
            assert not self.open, "one item at a time"
            self.open[at] = value["item"]
            return
        item = self.open[at]
        assert item["id"] == value["item"]["id"] if "item" in value else value["item_id"] == item["id"]
        if kind == "response.output_item.done":
            self._check_item(at, value["item"])
            self.read.items[at] = self.open.pop(at) | value["item"]
            return
        part = value.get("content_index", value.get("summary_index", 0))
        verb = kind.rpartition(".")[2]
        what = kind.rpartition(".")[0]
        if verb == "added" and "annotation" not in kind:
            assert (at, what, part) not in self.grown
            self.grown[at, what, part] = ""
        elif verb == "delta":
            self._delta(what, at, part, value)
        elif verb == "done" and "part" not in kind:
            whole = next(value[name] for name in ("text", "refusal", "arguments", "input") if name in value)
            assert self.grown.get((at, what, part), "") == whole

    def _delta(self, what: str, at: int, part: int, value: dict[str, Any]) -> None:
        assert isinstance(value["delta"], str)
        if "output_text" in what:
            assert isinstance(value["logprobs"], list)
        if "call" not in what:
            announced = {"response.reasoning_summary_text": "response.reasoning_summary_part"}
            assert (at, announced.get(what, "response.content_part"), part) in self.grown, "begun before it grows"
        self.grown[at, what, part] = self.grown.get((at, what, part), "") + value["delta"]
        for name, field_name in (("output_text", "text"), ("reasoning", "reasoning"), ("refusal", "refusal")):
            if name in what:
                setattr(self.read, field_name, getattr(self.read, field_name) + value["delta"])

    def _check_item(self, at: int, item: dict[str, Any]) -> None:
        """The whole item says what its deltas said."""
        if item["type"] == "message":
            for part, content in enumerate(item["content"]):
                name = "refusal" if content["type"] == "refusal" else "text"
                what = "response.refusal" if name == "refusal" else "response.output_text"
                assert content[name] == self.grown.get((at, what, part), "")
        elif item["type"] in ("function_call", "custom_tool_call"):
            name = "input" if item["type"] == "custom_tool_call" else "arguments"
            what = "custom_tool_call_input" if name == "input" else "function_call_arguments"
            assert item[name] == self.grown.get((at, f"response.{what}", 0), "")


def read_strictly(body: bytes) -> StrictRead:
    """Read what left an encoder; every assertion is a crash or a loss in some client."""
    assert body.endswith(b"\n\n"), "each frame is closed"
    reader = _Reader()
    for number, block in enumerate(body.split(b"\n\n")[:-1]):
        reader.take(block, number)
    return reader.read
