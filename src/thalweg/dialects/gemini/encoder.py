"""Events into a Gemini client's stream, of SSE or of one JSON array.

What google-genai bears and what it does not stands in the gemini dossier, section 8.5: no comments, no event lines, no
end mark, at least one part in every chunk, calls whole and with their arguments as an object, the finish reason and the
usage together on a chunk that has a text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Literal

import msgspec

from thalweg.canon.errors import GatewayError
from thalweg.canon.events import (
    ChoiceFinished,
    Event,
    PartDelta,
    PartEnded,
    PartStarted,
    ResponseContinued,
    ResponseEnded,
    ResponseFailed,
    UsageReported,
)
from thalweg.canon.finish import FinishReason
from thalweg.canon.parts import Citation, Signature, ToolCall
from thalweg.canon.request import Request
from thalweg.dialects.base import Template
from thalweg.dialects.gemini.arguments import Arguments, arguments_of
from thalweg.dialects.gemini.citations import grounding_of
from thalweg.dialects.gemini.errors import encode_stream_error
from thalweg.dialects.gemini.logprobs import logprobs_to_wire
from thalweg.dialects.gemini.signatures import is_foreign, write_signature
from thalweg.dialects.gemini.tables import JSON, NAME, SSE, usage_to_wire, wire_finish
from thalweg.dialects.kit.separators import escape_separators

KEEPALIVE = b"\r\n"
"""A blank line between events, and white space between the elements of an array."""
PartWire = dict[str, Any]
"""A part as it stands on the wire."""
_Placed = tuple[int, PartWire]
"""A part, and the choice that it belongs to."""
Said = Literal["text", "thought"]
"""As what a delta of text is said."""
_TEXT = b'{"candidates":[{"content":{"parts":[{"text":'
_BEFORE = b"data: " + _TEXT
CUT = (FinishReason.LENGTH, FinishReason.CONTEXT_OVERFLOW)
"""Why an answer may end in the middle of a call."""
_CALL_KINDS: dict[str, Any] = dict.fromkeys(("function", "legacy"), "function") | {
    "custom": "custom",
    "server": "server",
}

_encode = msgspec.json.Encoder().encode


class Framer:
    """Puts objects into a stream's frames. One per stream."""

    __slots__ = ("_begun", "array", "content_type")

    def __init__(self, *, array: bool) -> None:
        self.array = array
        self.content_type = JSON if array else SSE
        self._begun = False

    def frame(self, data: bytes) -> bytes:
        """The frame of one object."""
        if not self.array:
            return b"data: " + data + b"\n\n"
        mark, self._begun = b",\r\n" if self._begun else b"[", True
        return mark + data

    def end(self) -> bytes:
        """What follows the last frame, possibly nothing."""
        if not self.array:
            return b""
        return b"]" if self._begun else b"[]"


def shows_thoughts(asked: Request) -> bool:
    """Whether the client asked to see them."""
    return asked.reasoning.show in ("summary", "auto")


class _PartState:
    """One part while it is being written."""

    __slots__ = ("after", "index", "pieces", "placed", "started")

    def __init__(self, started: PartStarted) -> None:
        self.started = started
        self.pieces: list[str] = []
        """What is held until it is whole: a call's arguments, a file."""
        self.placed = True
        """Whether a text is ASCII so far."""
        self.index = started.index
        self.after = b""
        """What stands behind the text in a frame of SSE that only adds to it."""


class _ChoiceState:
    """What a choice has to say yet."""

    __slots__ = ("citations", "finished", "held", "placed", "proofs")

    def __init__(self) -> None:
        self.held: PartWire | None = None
        """A call whose arguments are no JSON: dropped if the answer was cut there."""
        self.citations: tuple[Citation, ...] = ()
        self.placed = True
        self.finished: ChoiceFinished | None = None
        self.proofs: list[PartWire] = []
        """What proves thoughts that are not shown, until it is known what they led to."""


class GeminiStreamEncoder:
    """Writes one client's Gemini stream, one frame for each delta of text. Lives as long as the answer."""

    held_chars = 0
    """Of a call that is not whole the relay itself knows how long it is."""
    __slots__ = (
        "_framer",
        "_growing",
        "_tail",
        "_usage",
        "_writer",
        "content_type",
        "error",
    )

    def __init__(self, asked: Request, *, response_id: str, model: str) -> None:
        self._writer = _PartWriter(shows_thoughts=shows_thoughts(asked))
        self._framer = Framer(array=asked.framing == "json-array")
        self.content_type = self._framer.content_type
        self.error: GatewayError | None = None
        self._tail = _tail(response_id, model)
        self._usage: UsageReported | None = None
        self._growing: _PartState | None = None
        """What grew last, in a stream of SSE."""

    def encode(self, events: Iterable[Event]) -> list[bytes]:
        """The frames for these events."""
        frames: list[bytes] = []
        for event in events:
            if (step := _STEPS.get(type(event))) is not None:
                frames += step(self, event)
            else:
                frames += [self._parts(choice, found) for choice, found in self._writer.take(event)]
        return frames

    def grow(self, event: PartDelta) -> bytes:
        """The frame for one event by which a part grows. All but its text is the same every time."""
        growing = self._growing
        if growing is None or growing.index != event.index or not event.text or event.logprobs:
            return b"".join(self._on_delta(event))
        text = _encode(event.text)
        if not text.isascii():
            growing.placed, text = False, escape_separators(text)
        return _BEFORE + text + growing.after

    def template(self, index: int) -> Template | None:
        """All of its frames but for their text."""
        growing = self._growing
        return Template(_BEFORE, growing.after) if growing is not None and growing.index == index else None

    def templated(self, text: str, frames: int) -> None:
        """Note whether its bytes are characters."""
        assert self._growing is not None
        if not text.isascii():
            self._growing.placed = False

    def keepalive(self) -> bytes:
        """A blank line."""
        return KEEPALIVE

    def _on_delta(self, event: PartDelta) -> list[bytes]:
        said = self._writer.said(event)
        if said is None:
            return []
        if said == "text" and event.logprobs and (logprobs := logprobs_to_wire(event.logprobs)):
            return [self._parts(event.choice, {"text": event.text}, logprobs)]
        after = self._after(said, event.choice)
        frame = self._framer.frame(_TEXT + escape_separators(_encode(event.text)) + after)
        if not self._framer.array:
            self._growing = self._writer.open[event.index]
            self._growing.after = after + b"\n\n"
        return [frame]

    def _after(self, said: Said, choice: int) -> bytes:
        """What stands behind a text; the same for all deltas of a part."""
        mark = b',"thought":true' if said == "thought" else b""
        return mark + b'}],"role":"model"},"index":%d}]' % choice + escape_separators(self._tail)

    def _parts(self, choice: int, part: PartWire, logprobs: Any = None) -> bytes:
        candidate = b'{"content":{"parts":[' + _encode(part) + b'],"role":"model"},"index":%d' % choice
        if logprobs is not None:
            candidate += b',"logprobsResult":' + _encode(logprobs)
        return self._chunk(candidate + b"}")

    def _chunk(self, candidates: bytes, more: bytes = b"") -> bytes:
        return self._framer.frame(escape_separators(b'{"candidates":[' + candidates + b"]" + more + self._tail))

    def _on_usage(self, event: UsageReported) -> list[bytes]:
        self._usage = event
        return []

    def _on_ended(self, _: ResponseEnded) -> list[bytes]:
        candidates = b",".join(_encode(candidate) for candidate in self._writer.last_candidates())
        usage = b"" if self._usage is None else b',"usageMetadata":' + _encode(usage_to_wire(self._usage.usage))
        return self._closed([self._chunk(candidates, usage)])

    def _on_continued(self, event: ResponseContinued) -> list[bytes]:
        """A chunk of an empty text, with the mark."""
        candidate = b'{"content":{"parts":[{"text":""}],"role":"model"},"index":0}'
        return [self._chunk(candidate, b',"thalweg":' + _encode(event.mark()))]

    def _on_failed(self, event: ResponseFailed) -> list[bytes]:
        return self._closed([self._framer.frame(encode_stream_error(event.error))])

    def _closed(self, frames: list[bytes]) -> list[bytes]:
        end = self._framer.end()
        return [*frames, end] if end else frames


def _tail(response_id: str, model: str) -> bytes:
    """What every chunk ends with."""
    return b',"modelVersion":' + _encode(model) + b',"responseId":' + _encode(response_id) + b"}"


class _PartWriter:
    """Turns events into parts, and keeps what is to be said at the end."""

    __slots__ = (
        "_choices",
        "_shows_thoughts",
        "open",
    )

    def __init__(self, *, shows_thoughts: bool) -> None:
        self._shows_thoughts = shows_thoughts
        self.open: dict[int, _PartState] = {}
        self._choices: dict[int, _ChoiceState] = {}

    def take(self, event: Event) -> list[_Placed]:
        """The parts of any event but a delta."""
        step = _WRITERS.get(type(event))
        return step(self, event) if step is not None else []

    def said(self, event: PartDelta) -> Said | None:
        """As what a delta is said; `None` for one that is held, or not shown."""
        state = self.open[event.index]
        kind = state.started.kind
        if kind in ("text", "refusal"):
            if state.placed and not event.text.isascii():
                state.placed = False
            return "text" if event.text else None
        if kind == "reasoning":
            return "thought" if self._shows_thoughts and event.text else None
        state.pieces.append(event.text)
        return None

    def last_candidates(self) -> list[dict[str, Any]]:
        """Every choice once more, with why it ended. A call that could not be read is dropped or said before."""
        states = self._choices or {0: _ChoiceState()}
        return [_last(at, state) for at, state in states.items()]

    def _on_started(self, event: PartStarted) -> list[_Placed]:
        self.open[event.index] = _PartState(event)
        leads_on = event.kind in ("reasoning", "tool_call")
        return self._release(event.choice) + ([] if leads_on else self._proven(event.choice))

    def _proven(self, choice: int) -> list[_Placed]:
        """What proves thoughts that led to no call."""
        state = self._choices.setdefault(choice, _ChoiceState())
        proofs, state.proofs = state.proofs, []
        return [(choice, proof) for proof in proofs]

    def _release(self, choice: int) -> list[_Placed]:
        """Something comes after the call that is held, so it was not cut."""
        state = self._choices.setdefault(choice, _ChoiceState())
        held, state.held = state.held, None
        return [(choice, held)] if held is not None else []

    def _on_ended(self, event: PartEnded) -> list[_Placed]:
        state = self.open.pop(event.index)
        part = _ENDS[state.started.kind](self, state, event)
        before = self._proven(event.choice) if state.started.kind == "tool_call" else []
        return [*before, (event.choice, part)] if part is not None else before

    def _end_text(self, state: _PartState, event: PartEnded) -> PartWire | None:
        choice = self._choices[event.choice]
        if event.citations:
            choice.placed = choice.placed and state.placed and not choice.citations
            choice.citations += event.citations
        return signed({"text": ""}, event.signature)

    def _end_reasoning(self, _: _PartState, event: PartEnded) -> PartWire | None:
        """A signature goes with the thoughts where they are shown. Else it goes with the call that they led to, or on a
        text: a chunk of thoughts alone is printed as "None" by those who did not ask for any.
        """
        part = signed(thought_part("", shown=self._shows_thoughts), event.signature)
        if part is None or self._shows_thoughts or not is_foreign(part["thoughtSignature"]):
            return part
        self._choices[event.choice].proofs.append(part)
        return None

    def _end_call(self, state: _PartState, event: PartEnded) -> PartWire | None:
        started = state.started
        call = ToolCall(
            id=started.call_id or "",
            name=started.name or "",
            arguments="".join(state.pieces),
            kind=_CALL_KINDS[started.call_kind],
            signature=event.signature,
        )
        part, whole = call_part(call)
        part = proving(part, self._choices[event.choice].proofs)
        if not whole:
            self._choices[event.choice].held = part
        return part if whole else None

    def _end_media(self, state: _PartState, event: PartEnded) -> PartWire | None:
        return media_part("".join(state.pieces), event.raw if isinstance(event.raw, str) else None)

    def _end_opaque(self, state: _PartState, event: PartEnded) -> PartWire | None:
        return opaque_part(state.started.name, event.raw)

    def _on_finished(self, event: ChoiceFinished) -> list[_Placed]:
        state = self._choices.setdefault(event.choice, _ChoiceState())
        state.finished = event
        if event.reason in CUT:
            state.held = None
        return self._proven(event.choice) + self._release(event.choice)


def proving(call: PartWire | None, proofs: list[PartWire]) -> PartWire | None:
    """A call with the last of those that prove the thoughts before it, which it takes; one that has a signature of its
    own stays as it is.
    """
    if call is None or not proofs or "thoughtSignature" in call:
        return call
    return call | {"thoughtSignature": proofs.pop()["thoughtSignature"]}


def signed(part: PartWire, signature: Signature | None) -> PartWire | None:
    """A part with its signature; `None` where there is none that can be written."""
    value = write_signature(signature) if signature is not None else None
    return part | {"thoughtSignature": value} if value is not None else None


def thought_part(text: str, *, shown: bool) -> PartWire:
    """A part of thoughts; where these are not shown, an empty text in its place."""
    return {"text": text, "thought": True} if shown else {"text": ""}


def call_part(call: ToolCall) -> tuple[PartWire | None, bool]:
    """A call, and whether its arguments could be read. One that was run already is none, or the client would run it."""
    if call.kind == "server":
        return None, True
    free = call.kind == "custom"
    read = Arguments({"input": call.arguments}, whole=True) if free else arguments_of(call.arguments)
    part: PartWire = {"functionCall": {"name": call.name, "args": read.value, "id": call.id}}
    return signed(part, call.signature) or part, read.whole


def media_part(data: str | None, mime: str | None) -> PartWire | None:
    """A file; `None` for one without bytes."""
    return {"inlineData": {"mimeType": mime or "image/png", "data": data}} if data else None


def opaque_part(dialect: str | None, raw: Any) -> PartWire | None:
    """A part that only Gemini knows, as it was; `None` for another dialect's."""
    return raw if dialect == NAME and isinstance(raw, dict) else None


def _last(at: int, state: _ChoiceState) -> dict[str, Any]:
    finished = state.finished
    reason = finished.reason if finished else FinishReason.UNKNOWN
    word = wire_finish(reason, finished.raw_reason if finished else None)
    return candidate_of(at, [{"text": ""}], word) | grounded(state.citations, placed=state.placed)


def candidate_of(at: int, parts: list[PartWire], finish: str) -> dict[str, Any]:
    """A candidate that has ended."""
    return {"content": {"parts": parts, "role": "model"}, "finishReason": finish, "index": at}


def grounded(citations: tuple[Citation, ...], *, placed: bool) -> dict[str, Any]:
    """The field that says where the text comes from, where anything is to be said."""
    return {"groundingMetadata": grounding_of(citations, placed=placed)} if citations else {}


_STEPS: dict[type, Callable[[GeminiStreamEncoder, Any], list[bytes]]] = {
    PartDelta: GeminiStreamEncoder._on_delta,
    UsageReported: GeminiStreamEncoder._on_usage,
    ResponseEnded: GeminiStreamEncoder._on_ended,
    ResponseFailed: GeminiStreamEncoder._on_failed,
    ResponseContinued: GeminiStreamEncoder._on_continued,
}

_WRITERS: dict[type, Callable[[_PartWriter, Any], list[_Placed]]] = {
    PartStarted: _PartWriter._on_started,
    PartEnded: _PartWriter._on_ended,
    ChoiceFinished: _PartWriter._on_finished,
}

_ENDS: dict[str, Callable[[_PartWriter, _PartState, PartEnded], PartWire | None]] = {
    "text": _PartWriter._end_text,
    "refusal": _PartWriter._end_text,
    "reasoning": _PartWriter._end_reasoning,
    "tool_call": _PartWriter._end_call,
    "media": _PartWriter._end_media,
    "opaque": _PartWriter._end_opaque,
}
