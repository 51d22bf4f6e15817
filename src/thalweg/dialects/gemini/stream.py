"""Gemini streams into events. A whole answer is one chunk of the same shape, and takes the same way.

Each chunk is a whole response whose parts are added to those before. Text goes on as long as its parts have no
signature; a signed part stands alone, because its signature is void on any other (gemini dossier, section 5). Only an
empty thought hands its signature to the thoughts before it: that is how this gateway's own streams carry one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from thalweg.canon.errors import UpstreamFailed
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
from thalweg.canon.ids import call_id
from thalweg.canon.parts import PartKind, Signature, ToolCall
from thalweg.dialects.base import Around
from thalweg.dialects.gemini.citations import Found, canonical, found_in
from thalweg.dialects.gemini.errors import error_in_stream
from thalweg.dialects.gemini.logprobs import logprobs_to_canon
from thalweg.dialects.gemini.signatures import read_signature
from thalweg.dialects.gemini.streamed_call import StreamedCall
from thalweg.dialects.gemini.tables import NAME, canonical_finish, finish_word, is_usage, usage_to_canon
from thalweg.dialects.gemini.wire import (
    Candidate,
    Chunk,
    FunctionCall,
    Part,
    args_text,
    block_of,
    index_of,
    only_payload,
    payloads,
    raw_part,
    read,
    read_any,
    read_counts,
    read_text_chunk,
    says_what_was_made,
)
from thalweg.dialects.kit.common import Both, CommonFrames, usage_in
from thalweg.dialects.kit.decoder import FrameDecoder
from thalweg.dialects.kit.frames import broke
from thalweg.framing.sse import Frame


class _Open:
    """The text or the thoughts of a choice that are being said."""

    __slots__ = ("first", "index", "kind", "placed")

    def __init__(self, kind: PartKind, index: int, *, first: bool) -> None:
        self.kind = kind
        self.index = index
        self.first = first
        """Whether it is the choice's first text, from which its sources count."""
        self.placed = True
        """Whether all of it is ASCII, so that bytes are characters."""

    def take(self, text: str) -> None:
        """It goes on."""
        if self.placed and not text.isascii():
            self.placed = False


class _ChoiceState:
    """One choice while it is being made."""

    __slots__ = ("calls", "finish", "found", "logprobs", "open", "parts", "streamed", "texts", "waiting")

    def __init__(self) -> None:
        self.open: _Open | None = None
        self.waiting: Signature | None = None
        """Of the empty text behind the open one, which stays open: its sources may come after that."""
        self.streamed: StreamedCall | None = None
        self.calls = 0
        self.parts = 0
        self.texts = 0
        self.finish: str | None = None
        self.found: list[Found] = []
        """Sources that no text has taken yet."""
        self.logprobs: dict[str, Any] | None = None


class _CommonChunks(CommonFrames[_Open]):
    """The common chunks of one stream."""

    __slots__ = ()

    def read(self, data: bytes) -> Both | None:
        """By the parser, which looks only into fields that it knows."""
        payload = only_payload(data)
        if payload is None or self.part is None:
            return None
        if not payload.isascii():
            payload.decode()
        chunk = read_text_chunk(payload)
        part = chunk.candidates[0].content.parts[0]
        kind = "reasoning" if part.thought else "text"
        return (part.text, usage_in(chunk.usageMetadata)) if kind == self.part.kind else None

    covers = staticmethod(says_what_was_made)

    def counts(self, usage: bytes) -> bool | None:
        """Whether it says a number; many of Vertex's do not."""
        counts = read_counts(usage)
        if self.unread is not None and not counts.made:
            return None  # what the one before it covers must be noted first
        return counts.any


class GeminiStreamDecoder(FrameDecoder):
    """Reads one upstream's Gemini stream. Lives as long as the stream."""

    __slots__ = (
        "_blocked",
        "_choices",
        "_common",
        "_model",
        "_next_index",
        "_response_id",
    )

    def __init__(self, *, provider: str = "") -> None:
        super().__init__(provider)
        self._choices: dict[int, _ChoiceState] = {}
        self._next_index = 0
        self._response_id: str | None = None
        self._model = ""
        self._blocked: str | None = None
        self._common = _CommonChunks()

    def grows(self, data: bytes) -> str:
        """The text by which the open text or thoughts go on."""
        opened = self._common.part
        text = self._common.text_in(data) if opened is not None else ""
        if opened is None or not text:
            return ""
        opened.take(text)
        return text

    def around(self) -> Around | None:
        """The common chunk's."""
        return None if self._common.part is None else self._common.around

    def took(self, texts: list[str], usage: bytes | None) -> None:
        """Look at the texts, and keep the usage until something else comes."""
        opened = self._common.part
        if opened is not None:
            opened.take("".join(texts))
        self._common.unread = usage

    def _catch_up(self) -> None:
        if (unread := self._common.take()) is not None:
            self._usage(read_any(unread))

    def feed_whole(self, body: bytes) -> list[Event]:
        """The events of a whole answer, its end included. Raises `BadFrame` for what is none."""
        self._chunk(body, read(body))
        if not self._over:
            if self._choices or self._blocked:
                self._complete()
            else:
                self._fail(broke(self._provider, "sent JSON that is no answer"))
        return self._taken()

    def _is_whole(self) -> bool:
        """Every choice has finished, or the prompt was blocked."""
        return bool(self.finishes) and self._choices.keys() <= self.finishes.keys()

    def _follow(self) -> None:
        opened = self._lone()
        self._common.follow(opened)
        if opened is not None:
            self.growing = opened.index

    def _lone(self) -> _Open | None:
        """The open text or thoughts of the first choice, if nothing else there waits to be said."""
        state = self._choices.get(0)
        if self._over or state is None or state.waiting is not None or state.streamed is not None:
            return None
        return state.open

    # Chunks.

    def _frame(self, frame: Frame) -> None:
        found = payloads(frame)
        if not found:
            self._events.append(Pinged())
        for payload in found:
            if self._over:
                return
            self._chunk(payload, read(payload))

    def _chunk(self, payload: bytes, chunk: Chunk) -> None:
        self._begin(chunk)
        for place, candidate in enumerate(chunk.candidates or ()):
            self._candidate(payload, place, candidate)
        if (blocked := block_of(chunk)) is not None:
            self._blocked = blocked
            self.finishes.setdefault(0, blocked)
        self._usage(chunk.usageMetadata)
        if chunk.error:
            self._fail(error_in_stream(chunk.error, provider=self._provider))

    def _begin(self, chunk: Chunk) -> None:
        """Announce the answer at the first chunk that says something about it."""
        if self._response_id is not None:
            return
        if not (chunk.candidates or chunk.responseId or chunk.promptFeedback or is_usage(chunk.usageMetadata)):
            return
        self._response_id = chunk.responseId if isinstance(chunk.responseId, str) else ""
        self._model = chunk.modelVersion if isinstance(chunk.modelVersion, str) else ""
        self._events.append(ResponseStarted(response_id=self._response_id, model=self._model))

    def _usage(self, raw: Any) -> None:
        if is_usage(raw):
            self._events.append(UsageReported(usage=usage_to_canon(raw), raw=raw))

    def _candidate(self, payload: bytes, place: int, candidate: Candidate) -> None:
        at = index_of(candidate)
        state = self._choices.setdefault(at, _ChoiceState())
        # Before the parts: the sources of a text may come with what ends it.
        state.found += found_in(candidate.groundingMetadata, candidate.citationMetadata)
        state.logprobs = logprobs_to_canon(candidate.logprobsResult)
        parts = candidate.content.parts if candidate.content else None
        for number, part in enumerate(parts or ()):
            kind = _kind_of(part)
            if kind != "call":
                self._close_call(at, state)
            _PARTS[kind](self, at, state, part, (payload, place, number))
        if reason := finish_word(candidate.finishReason):
            state.finish = self.finishes[at] = reason
            self._close_call(at, state, cut=canonical_finish(reason, has_calls=True) is FinishReason.LENGTH)

    # Parts.

    def _on_text(self, at: int, state: _ChoiceState, part: Part, _: _Where) -> None:
        text = part.text if isinstance(part.text, str) else ""
        thought = part.thought is True
        signature = read_signature(part.thoughtSignature, self._model) if _is_text(part.thoughtSignature) else None
        kind: PartKind = "reasoning" if thought else "text"
        if signature is None:
            if text:
                self._say(at, self._opened(at, state, kind), text, state)
            return
        if thought and not text and state.open is not None and state.open.kind == kind:
            self._close(at, state, signature)
            return
        if not (thought or text) and state.waiting is None and state.open is not None and state.open.kind == kind:
            state.waiting = signature
            return
        self._close(at, state)
        opened = self._opened(at, state, kind)
        if text:
            self._say(at, opened, text, state)
        self._close(at, state, signature)

    def _on_call(self, at: int, state: _ChoiceState, part: Part, _: _Where) -> None:
        call = part.functionCall
        assert call is not None
        name = call.name if isinstance(call.name, str) else ""
        signature = read_signature(part.thoughtSignature, self._model) if _is_text(part.thoughtSignature) else None
        if not name:
            self._go_on(at, state, call)
            return
        self._close_call(at, state)
        own_id = call.id if isinstance(call.id, str) else ""
        whole = ToolCall(id=own_id, name=name, arguments=args_text(call), signature=signature)
        if not (call.willContinue or call.partialArgs):
            self._call(at, state, whole)
            return
        state.streamed = StreamedCall(whole)
        self._go_on(at, state, call)

    def _go_on(self, at: int, state: _ChoiceState, call: FunctionCall) -> None:
        """A piece of a call that is being streamed. One that promises no more ends it."""
        if state.streamed is None:
            return
        state.streamed.add(call.partialArgs)
        if not call.willContinue:
            self._close_call(at, state)

    def _on_media(self, at: int, state: _ChoiceState, part: Part, _: _Where) -> None:
        blob = part.inlineData
        assert blob is not None
        index = self._start(at, state, "media")
        if _is_text(blob.data):
            self._events.append(PartDelta(index=index, choice=at, text=blob.data))
        mime = blob.mimeType if isinstance(blob.mimeType, str) else None
        self._events.append(PartEnded(index=index, choice=at, raw=mime))

    def _on_opaque(self, at: int, state: _ChoiceState, _: Part, where: _Where) -> None:
        raw = raw_part(*where)
        if raw:
            index = self._start(at, state, "opaque")
            self._events.append(PartEnded(index=index, choice=at, raw=raw))

    def _opened(self, at: int, state: _ChoiceState, kind: PartKind) -> _Open:
        if state.open is None or state.open.kind != kind or state.waiting is not None:
            index = self._start(at, state, kind)
            state.open = _Open(kind, index, first=not state.texts)
            state.texts += kind == "text"
        return state.open

    def _start(self, at: int, state: _ChoiceState, kind: PartKind, **more: Any) -> int:
        """End what is open and begin another part."""
        self._close(at, state)
        index, self._next_index = self._next_index, self._next_index + 1
        state.parts += 1
        if kind == "reasoning":
            more["form"] = "summary"
        elif kind == "opaque":
            more["name"] = NAME
        self._events.append(PartStarted(index=index, choice=at, kind=kind, **more))
        return index

    def _say(self, at: int, opened: _Open, text: str, state: _ChoiceState) -> None:
        opened.take(text)
        logprobs = None
        if opened.kind == "text":
            logprobs, state.logprobs = state.logprobs, None
        self._events.append(PartDelta(index=opened.index, choice=at, text=text, logprobs=logprobs))

    def _close(self, at: int, state: _ChoiceState, signature: Signature | None = None) -> None:
        opened, state.open = state.open, None
        if opened is None:
            return
        found: list[Found] = []
        if opened.kind == "text":
            found, state.found = state.found, []
        cited = canonical(found, placed=opened.placed and opened.first)
        self._events.append(PartEnded(index=opened.index, choice=at, signature=signature, citations=cited))
        waiting, state.waiting = state.waiting, None
        if waiting is not None:
            index = self._start(at, state, "text")
            self._events.append(PartEnded(index=index, choice=at, signature=waiting))

    def _call(self, at: int, state: _ChoiceState, call: ToolCall) -> None:
        given = call.id or call_id(None, self._response_id, at, state.calls, call.name)
        state.calls += 1
        index = self._start(at, state, "tool_call", call_id=given, name=call.name)
        if call.arguments:
            self._events.append(PartDelta(index=index, choice=at, text=call.arguments))
        self._events.append(PartEnded(index=index, choice=at, signature=call.signature))

    def _close_call(self, at: int, state: _ChoiceState, *, cut: bool = False) -> None:
        """A call that was streamed is whole, unless it was cut; its last piece may never have come."""
        streamed, state.streamed = state.streamed, None
        if streamed is not None:
            self._call(at, state, streamed.whole(cut=cut))

    # The end.

    def _complete(self) -> None:
        self._over = True
        if self._blocked is not None:
            self._choices.setdefault(0, _ChoiceState())
        self._flush(cut=False)
        finished = [(at, state.finish, self._reason(state)) for at, state in self._choices.items()]
        if all(reason is FinishReason.MALFORMED_CALL for _, _, reason in finished) and not self._next_index:
            self._events.append(ResponseFailed(error=self._malformed(finished[0][1])))
            return
        for at, raw, reason in finished:
            self._events.append(ChoiceFinished(reason=reason, choice=at, raw_reason=raw or self._blocked))
        self._events.append(ResponseEnded())

    def _reason(self, state: _ChoiceState) -> FinishReason:
        if state.finish is None and self._blocked is not None:
            return FinishReason.CONTENT_FILTER
        return canonical_finish(state.finish, has_calls=state.calls > 0)

    def _malformed(self, word: str | None) -> UpstreamFailed:
        """An answer without content because the model's call was no call: another try may go better."""
        text = f"{self._provider or 'the upstream'} gave no answer: the model's call was malformed ({word})"
        return UpstreamFailed(text, provider=self._provider, code=word)

    def _flush(self, *, cut: bool = True) -> None:
        for at, state in self._choices.items():
            self._close_call(at, state, cut=cut)
            self._close(at, state)


_Where = tuple[bytes, int, int]
"""A part's chunk, its candidate's place there, and its own place."""


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and value != ""


def _kind_of(part: Part) -> str:
    """Which of the kinds that the canon has a part is."""
    if part.functionCall is not None:
        return "call"
    if part.inlineData is not None and part.thought is not True:
        return "media"
    if isinstance(part.text, str):
        return "text"
    return "opaque"


_PARTS: dict[str, Callable[[GeminiStreamDecoder, int, _ChoiceState, Part, _Where], None]] = {
    "call": GeminiStreamDecoder._on_call,
    "media": GeminiStreamDecoder._on_media,
    "text": GeminiStreamDecoder._on_text,
    "opaque": GeminiStreamDecoder._on_opaque,
}
