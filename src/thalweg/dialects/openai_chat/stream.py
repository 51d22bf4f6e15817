"""Chat streams and events: a decoder for the upstream side, an encoder for the client side.

The decoder takes every oddity that the recordings hold (`accept` in one accumulator), the encoder writes the one form
that every known client reads (`content` always a string, a call's name and id once, usage in a chunk of its own).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from thalweg.canon.errors import GatewayError
from thalweg.canon.events import (
    ChoiceFinished,
    Event,
    PartDelta,
    PartEnded,
    PartStarted,
    Pinged,
    ResponseContinued,
    ResponseEnded,
    ResponseFailed,
    ResponseStarted,
    UsageReported,
)
from thalweg.canon.finish import FinishReason
from thalweg.canon.parts import PartKind, Signature
from thalweg.canon.request import Request
from thalweg.canon.usage import Usage
from thalweg.dialects.base import Around, Template
from thalweg.dialects.kit.common import Both, CommonFrames, usage_in
from thalweg.dialects.kit.decoder import FrameDecoder
from thalweg.dialects.kit.frames import BadFrame, check_size, is_json
from thalweg.dialects.kit.refusals import error_in_stream
from thalweg.dialects.kit.separators import escape_separators
from thalweg.dialects.openai_chat.calls import CallBook, CallSlot, custom_of, made_up_id
from thalweg.dialects.openai_chat.errors import encode_stream_error
from thalweg.dialects.openai_chat.signatures import call_extra, call_signature, text_detail, thought_detail
from thalweg.dialects.openai_chat.tables import (
    CHUNK_OBJECT,
    CONTENT_TYPE,
    DONE,
    DONE_FRAME,
    FINISH_TO_CANON,
    NAME,
    NOT_FINISHED,
    finish_to_wire,
    is_usage,
    usage_to_canon,
    usage_to_wire,
)
from thalweg.dialects.openai_chat.wire import (
    Chunk,
    ChunkChoice,
    Delta,
    FunctionPiece,
    LoneDelta,
    LonePiece,
    ToolPiece,
    arguments_of,
    read_any,
    read_chunk,
    read_counts,
    read_lone_chunk,
    reasoning_of,
    text_of,
    write_citation,
)
from thalweg.framing.sse import Frame, plain_payload


def payloads(frame: Frame) -> list[bytes]:
    """The JSON texts in a frame: one, or one a line where an upstream forgot the blank lines between its events."""
    check_size(frame)
    for name, value in frame.fields:
        if name == b"error":
            # Old llama.cpp servers say errors in an SSE field of that name, which no SDK sees.
            return [b'{"error":' + value + b"}"]
    if frame.data is None or not frame.data.strip():
        return []
    if frame.lines and not is_json(frame.data):
        return [line for line in frame.lines if line.strip()]
    # Line ends between the tokens of a JSON text are white space, and within them there are none.
    return [frame.data.replace(b"\n", b" ") if frame.lines else frame.data]


def read(payload: bytes, event: bytes = b"") -> Chunk:
    """One chunk. Raises `BadFrame` for what is none."""
    try:
        payload.decode()  # the decoder passes over the text of unknown fields
        chunk = read_chunk(payload)
    except msgspec.ValidationError as error:
        chunk = _read_leniently(payload, error)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise BadFrame("sent a frame that is not JSON") from error
    if chunk.error is None and (event == b"error" or chunk.object == "error"):
        chunk.error = read_any(payload)
    return chunk


def _read_leniently(payload: bytes, reason: Exception) -> Chunk:
    """What can be had of a chunk whose frame of lists and objects is not Chat's: its error, or nothing."""
    try:
        tree = read_any(payload)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise BadFrame("sent a frame that is not JSON") from error
    if isinstance(tree, dict) and (tree.get("error") or "choices" not in tree):
        return Chunk(**{key: tree.get(key) for key in ("id", "object", "model", "usage", "error", "message", "code")})
    raise BadFrame(f"sent a chunk of another shape ({reason})") from reason


def is_done(payload: bytes) -> bool:
    """Whether this is the end mark; the Ark SDK takes everything that begins so."""
    return payload.startswith(DONE)


def finish_of(choice: ChunkChoice) -> str | None:
    """The finish reason, or `None` while the choice goes on."""
    reason = choice.finish_reason
    return reason if isinstance(reason, str) and reason not in NOT_FINISHED else None


class UsageReports:
    """Which of a stream's usage reports counts. A report that rides on a chunk with choices is a count of what was made
    so far: it takes the place of one before it, unless it is of fewer tokens. A chunk of usage alone is the provider's
    word on the whole and takes the place of any. One per stream.
    """

    __slots__ = ("made",)

    def __init__(self) -> None:
        self.made = 0
        """Output tokens of the report that counts."""

    def read(self, chunk: Chunk) -> Usage | None:
        """The chunk's report, if it has one and that counts."""
        if not is_usage(chunk.usage):
            return None
        usage = usage_to_canon(chunk.usage)
        made = usage.output_tokens or 0
        if chunk.choices and made < self.made:
            return None
        self.made = made
        return usage


class _Part:
    """One part of a choice, open or waiting for the one before it to end."""

    __slots__ = ("call_kind", "index", "kind", "pieces", "raw", "signature", "slot")

    def __init__(self, kind: PartKind, slot: CallSlot | None = None, call_kind: str = "function") -> None:
        self.kind = kind
        self.slot = slot
        self.call_kind = call_kind
        self.index = -1
        """Its number once it is open."""
        self.pieces: list[tuple[str, Any]] = []
        """What waits to be said; of an open call, what was said, to know whether it is whole; with logprobs."""
        self.signature: Signature | None = None
        self.raw: Any = None
        """Of an opaque part: what it was on the wire."""

    @property
    def ready(self) -> bool:
        return self.slot is None or bool(self.slot.name)

    @property
    def closable(self) -> bool:
        """Whether nothing more can belong to it, now that something else has come."""
        if self.slot is None:
            return True
        # Free text is never known to be whole.
        return self.call_kind != "custom" and is_json("".join(text for text, _ in self.pieces))


class _ChoiceState:
    """The parts of one choice. The first of `queue` is open, the others wait, in order of appearance."""

    __slots__ = ("book", "finish", "legacy", "parts_of", "queue", "refused")

    def __init__(self) -> None:
        self.queue: deque[_Part] = deque()
        self.book = CallBook()
        self.parts_of: dict[CallSlot, _Part] = {}
        self.legacy: CallSlot | None = None
        self.finish: str | None = None
        self.refused = False


_GROWING = ("text", "reasoning")


class _CommonChunks(CommonFrames[_Part]):
    """The common chunks of one stream."""

    __slots__ = ("_reports",)

    def __init__(self, reports: UsageReports) -> None:
        super().__init__()
        self._reports = reports

    def read(self, data: bytes) -> Both | None:
        """By the parser, which looks only into fields that it knows."""
        payload = plain_payload(data)
        if payload is None or self.part is None:
            return None
        if not payload.isascii():
            payload.decode()
        chunk = read_lone_chunk(payload)
        return _lone_text(chunk.choices[0].delta, self.part), usage_in(chunk.usage)

    def counts(self, usage: bytes) -> bool:
        """Whether it is of no fewer tokens than the one before it."""
        made = read_counts(usage).completion_tokens
        if made < self._reports.made:
            return False
        self._reports.made = made
        return True


def _lone_text(delta: LoneDelta, part: _Part) -> str:
    """What a common chunk adds to the part that is open; empty where it adds nothing, or to anything else."""
    thought = delta.reasoning_content or delta.reasoning
    if delta.reasoning_details and not thought:
        return ""
    if part.slot is not None:
        return "" if delta.content or thought else _lone_arguments(delta.tool_calls, part.slot)
    text, other = (delta.content, thought) if part.kind == "text" else (thought, delta.content)
    return "" if other or delta.tool_calls else text or ""


def _lone_arguments(pieces: list[LonePiece] | None, slot: CallSlot) -> str:
    if pieces is None or len(pieces) != 1:
        return ""
    piece = pieces[0]
    known = piece.index == slot.wire_index and (not piece.id or piece.id == slot.call_id)
    return piece.function.arguments if known else ""


class ChatStreamDecoder(FrameDecoder):
    """Reads one upstream's Chat stream. Lives as long as the stream."""

    __slots__ = (
        "_choices",
        "_common",
        "_model",
        "_next_index",
        "_reports",
        "_response_id",
    )

    def __init__(self, *, provider: str = "") -> None:
        super().__init__(provider)
        self._choices: dict[int, _ChoiceState] = {}
        self._next_index = 0
        self._response_id: str | None = None
        self._model = ""
        self._reports = UsageReports()
        self._common = _CommonChunks(self._reports)

    def grows(self, data: bytes) -> str:
        """The text in bytes that are one common chunk, by which the one open part grows."""
        part = self._common.part
        text = self._common.text_in(data) if part is not None else ""
        if part is None or not text:
            return ""
        if part.slot is not None:
            part.pieces.append((text, None))
        return text

    def around(self) -> Around | None:
        """The common chunk's."""
        return None if self._common.part is None else self._common.around

    def took(self, texts: list[str], usage: bytes | None) -> None:
        """Keep arguments, and the usage until something else comes."""
        part = self._common.part
        if part is not None and part.slot is not None:
            part.pieces += [(text, None) for text in texts]
        self._common.unread = usage

    def _catch_up(self) -> None:
        if (unread := self._common.take()) is not None:
            raw = read_any(unread)
            self._events.append(UsageReported(usage=usage_to_canon(raw), raw=raw))

    def _follow(self) -> None:
        part = self._lone_part()
        self._common.follow(part)
        if part is not None:
            self.growing = part.index

    def _lone_part(self) -> _Part | None:
        """The open part of the first choice, if there is nothing else that could grow."""
        if len(self._choices) != 1 or self._over or (state := self._choices.get(0)) is None:
            return None
        if len(state.queue) != 1 or state.finish is not None:
            return None
        part = state.queue[0]
        if part.kind == "tool_call":
            grows = part.call_kind == "function" and part.slot is state.book.slots[-1]
        else:
            grows = part.kind in _GROWING
        return part if part.index >= 0 and grows else None

    def _is_whole(self) -> bool:
        return bool(self._choices) and all(state.finish for state in self._choices.values())

    def _frame(self, frame: Frame) -> None:
        found = payloads(frame)
        if not found:
            self._events.append(Pinged())
        for payload in found:
            if self._over:
                return
            if is_done(payload):
                self._complete()
            else:
                self._chunk(read(payload, frame.event))

    def _complete(self) -> None:
        self._over = True
        self._begin(Chunk())
        self._flush()
        for at, state in self._choices.items():
            reason = canonical_finish(state.finish, has_calls=bool(state.book.slots), has_refusal=state.refused)
            self._events.append(ChoiceFinished(reason=reason, choice=at, raw_reason=state.finish))
        self._events.append(ResponseEnded())

    def _flush(self) -> None:
        for at, state in self._choices.items():
            while state.queue:
                if state.queue[0].index < 0:
                    self._open(at, state.queue[0])
                self._shut(at, state.queue.popleft())

    def _chunk(self, chunk: Chunk) -> None:
        self._start(chunk)
        for choice in chunk.choices or ():
            self._choice(choice)
        if usage := self._reports.read(chunk):
            self._events.append(UsageReported(usage=usage, raw=chunk.usage))
        if chunk.error:
            self._fail(error_in_stream(chunk.error, provider=self._provider))

    def _start(self, chunk: Chunk) -> None:
        """Announce the answer at the first chunk that says an id, a choice or usage (Azure's first says nothing)."""
        if chunk.choices or chunk.id or is_usage(chunk.usage):
            self._begin(chunk)

    def _begin(self, chunk: Chunk) -> None:
        if self._response_id is not None:
            return
        self._response_id = chunk.id if isinstance(chunk.id, str) else ""
        self._model = chunk.model if isinstance(chunk.model, str) else ""
        named = {"system_fingerprint": chunk.system_fingerprint, "service_tier": chunk.service_tier}
        self._events.append(
            ResponseStarted(
                response_id=self._response_id,
                model=self._model,
                created=chunk.created if isinstance(chunk.created, int) else None,
                extras={name: value for name, value in named.items() if isinstance(value, str)},
            )
        )

    def _choice(self, choice: ChunkChoice) -> None:
        at = choice.index if isinstance(choice.index, int) and choice.index >= 0 else 0
        state = self._choices.setdefault(at, _ChoiceState())
        if choice.delta is not None:
            self._delta(at, state, choice.delta, choice.logprobs)
        if reason := finish_of(choice):
            state.finish = self.finishes[at] = reason

    def _delta(self, at: int, state: _ChoiceState, delta: Delta, logprobs: Any) -> None:
        if reasoning := reasoning_of(delta):
            self._grow(at, state, "reasoning", reasoning)
        if isinstance(delta.reasoning_details, list):
            self._sign(at, state, delta.reasoning_details)
        if text := text_of(delta.content):
            self._grow(at, state, "text", text, logprobs)
        if isinstance(delta.refusal, str) and delta.refusal:
            state.refused = True
            self._grow(at, state, "refusal", delta.refusal, logprobs)
        for piece in delta.tool_calls or ():
            self._call_piece(at, state, piece)
        if delta.function_call is not None:
            self._legacy_piece(at, state, delta.function_call)
        for name, value in (("audio", delta.audio), ("annotations", delta.annotations)):
            if value and (not isinstance(value, dict) or any(value.values())):
                self._opaque(at, state, {name: value})

    def _grow(self, at: int, state: _ChoiceState, kind: PartKind, text: str, logprobs: Any = None) -> None:
        if not state.queue or state.queue[-1].kind != kind:
            state.queue.append(_Part(kind))
        part = state.queue[-1]
        self._say(at, part, text, logprobs)
        self._advance(at, state)

    def _say(self, at: int, part: _Part, text: str, logprobs: Any = None) -> None:
        if part.index < 0 or part.slot is not None:
            part.pieces.append((text, logprobs))
        if part.index >= 0:
            self._events.append(PartDelta(index=part.index, choice=at, text=text, logprobs=logprobs))

    def _advance(self, at: int, state: _ChoiceState) -> None:
        """Open what can be open, end what cannot grow any more."""
        queue = state.queue
        while queue:
            if queue[0].index < 0:
                if not queue[0].ready:
                    return
                self._open(at, queue[0])
            if queue[0].kind != "opaque" and (len(queue) == 1 or not queue[0].closable):
                return
            self._shut(at, queue.popleft())

    def _open(self, at: int, part: _Part) -> None:
        part.index, self._next_index = self._next_index, self._next_index + 1
        slot = part.slot
        call_id = slot.call_id or made_up_id(self._response_id or "", at, slot.number) if slot else None
        if slot and part.call_kind == "legacy":
            call_id = f"legacy_{slot.name}"
        self._events.append(
            PartStarted(
                index=part.index,
                choice=at,
                kind=part.kind,
                call_id=call_id,
                name=slot.name if slot else NAME if part.kind == "opaque" else None,
                call_kind=part.call_kind,
            )
        )
        for text, logprobs in part.pieces:
            self._events.append(PartDelta(index=part.index, choice=at, text=text, logprobs=logprobs))
        if slot is None:
            part.pieces.clear()

    def _shut(self, at: int, part: _Part) -> None:
        self._events.append(PartEnded(index=part.index, choice=at, signature=part.signature, raw=part.raw))

    def _sign(self, at: int, state: _ChoiceState, details: list[Any]) -> None:
        """Keep the last signature or ciphertext of a reasoning part until the part ends."""
        if (signature := signature_of(details, self._model)) is None:
            return
        if not state.queue or state.queue[-1].kind != "reasoning":
            state.queue.append(_Part("reasoning"))
            self._advance(at, state)
        state.queue[-1].signature = signature

    def _call_piece(self, at: int, state: _ChoiceState, piece: ToolPiece) -> None:
        slot = state.book.place(piece)
        function = piece.function or FunctionPiece()
        arguments, kind = arguments_of(function.arguments), "function"
        if custom := custom_of(piece):
            arguments, kind = arguments_of(custom.get("input")), "custom"
        self._call_text(at, state, slot, arguments, kind)
        if piece.extra_content is not None and (signature := call_signature(piece.extra_content, self._model)):
            state.parts_of[slot].signature = signature

    def _legacy_piece(self, at: int, state: _ChoiceState, piece: FunctionPiece) -> None:
        """Chat's old `function_call`: one call, without id or index."""
        if state.legacy is None:
            if not piece.name and not piece.arguments:
                return  # some servers have every key in every delta
            state.legacy = state.book.place(ToolPiece(index=-1, function=piece))
        state.legacy.name = state.legacy.name or (piece.name if isinstance(piece.name, str) else "")
        self._call_text(at, state, state.legacy, arguments_of(piece.arguments), "legacy")

    def _call_text(self, at: int, state: _ChoiceState, slot: CallSlot, text: str, kind: str) -> None:
        part = state.parts_of.get(slot)
        if part is None:
            part = state.parts_of[slot] = _Part("tool_call", slot, kind)
            state.queue.append(part)
        elif part not in state.queue:
            return  # it was whole when the next part came: only empty trailing pieces get here
        if text:
            self._say(at, part, text)
        self._advance(at, state)

    def _opaque(self, at: int, state: _ChoiceState, raw: Any) -> None:
        """Something with no canonical meaning: a part of its own, whole at once."""
        part = _Part("opaque")
        part.raw = raw
        state.queue.append(part)
        self._advance(at, state)


def signature_of(details: Any, model: str) -> Signature | None:
    """The last signature or ciphertext in `reasoning_details`."""
    for detail in reversed(details) if isinstance(details, list) else ():
        data = detail.get("signature") or detail.get("data") if isinstance(detail, dict) else None
        if isinstance(data, str) and data:
            kind = detail.get("format") or detail.get("type") or "signature"
            return Signature(vendor="openrouter", model=model, kind=str(kind), data=data)
    return None


def canonical_finish(raw: str | None, *, has_calls: bool, has_refusal: bool = False) -> FinishReason:
    """Our reason. Whether it is a turn with tools is decided by the calls, not by the provider's word; a refusal has no
    word of its own.
    """
    reason = FINISH_TO_CANON.get(raw or "", FinishReason.UNKNOWN if raw is None else FinishReason.STOP)
    if reason in (FinishReason.STOP, FinishReason.UNKNOWN) and (has_calls or has_refusal):
        return FinishReason.TOOL_CALLS if has_calls else FinishReason.REFUSAL
    if not has_calls and reason is FinishReason.TOOL_CALLS:
        return FinishReason.STOP
    return reason


class _Around:
    """What stands before and after the text in a chunk that only adds to a part."""

    __slots__ = ("after", "before", "index", "length")

    def __init__(self, index: int, before: bytes, after: bytes, length: int) -> None:
        self.index = index
        """The part."""
        self.before = before
        self.after = after
        self.length = length
        """Characters of the part so far."""


class ChatStreamEncoder:
    """Writes one client's Chat stream, one frame for each delta. Lives as long as the answer."""

    __slots__ = (
        "_around",
        "_calls",
        "_calls_of",
        "_cited",
        "_growing",
        "_head",
        "_include_usage",
        "_parts",
        "_roles",
        "_signed",
        "_spoke",
        "_usage",
    )

    content_type = CONTENT_TYPE
    error: GatewayError | None = None
    held_chars = 0

    def __init__(self, request: Request, *, response_id: str, model: str, created: int) -> None:
        self._include_usage = request.include_usage
        self._head: dict[str, Any] = {
            "id": response_id,
            "object": CHUNK_OBJECT,
            "created": created,
            "model": model,
        }
        self._around: dict[int, _Around] = {}
        """Of each part that has said something and goes on."""
        self._growing: _Around | None = None
        """Of the one that grew last."""
        self._roles: set[int] = set()
        self._calls: dict[int, int] = {}
        self._calls_of: dict[int, int] = {}
        self._parts: dict[int, PartStarted] = {}
        self._spoke: set[int] = set()
        self._signed = 0
        self._cited: dict[int, int] = {}
        """Citations of each choice so far."""
        self._usage: UsageReported | None = None

    def encode(self, events: Iterable[Event]) -> list[bytes]:
        """The frames for these events."""
        frames: list[bytes] = []
        for event in events:
            frames += _WRITERS[type(event)](self, event)
        return frames

    def grow(self, event: PartDelta) -> bytes:
        """The chunk for one event by which a part grows. All but its text is the same every time."""
        growing = self._growing
        if growing is None or growing.index != event.index or event.logprobs is not None or not event.text:
            return b"".join(self._on_part_delta(event))
        growing.length += len(event.text)
        text = _encode(event.text)
        return growing.before + (text if text.isascii() else escape_separators(text)) + growing.after

    def template(self, index: int) -> Template | None:
        """All of its chunks but for their text."""
        growing = self._growing
        return Template(growing.before, growing.after) if growing is not None and growing.index == index else None

    def templated(self, text: str, frames: int) -> None:
        """Count what was said with it."""
        assert self._growing is not None
        self._growing.length += len(text)

    def keepalive(self) -> bytes:
        """A chunk that says nothing."""
        return keepalive(self._head["id"], self._head["model"], self._head["created"])

    def _frame(self, choice: int, delta: dict[str, Any], *, finish: str | None = None, logprobs: Any = None) -> bytes:
        """One chunk. The first of a choice says the role; each says `content`, if only as an empty string."""
        wire: dict[str, Any] = {}
        if choice not in self._roles:
            self._roles.add(choice)
            wire["role"] = "assistant"
        wire["content"] = ""
        wire |= delta
        body: dict[str, Any] = {"index": choice, "delta": wire, "finish_reason": finish}
        if logprobs is not None:
            body["logprobs"] = logprobs
        return self._chunk([body])

    def _chunk(self, choices: list[Any], usage: Any = None) -> bytes:
        wire = self._head | {"choices": choices}
        if self._include_usage:
            wire["usage"] = usage
        return _data(wire)

    def _on_started(self, event: ResponseStarted) -> list[bytes]:
        self._head |= {name: value for name, value in event.extras.items() if name in _HEAD_EXTRAS}
        return [self._frame(0, {})]

    def _on_part_started(self, event: PartStarted) -> list[bytes]:
        self._parts[event.index] = event
        if event.kind != "tool_call":
            return []
        number = self._calls_of.get(event.choice, 0)
        self._calls_of[event.choice] = number + 1
        self._calls[event.index] = number
        return [self._frame(event.choice, _CALL_STARTS[event.call_kind](number, event))]

    def _on_part_delta(self, event: PartDelta) -> list[bytes]:
        if not event.text:
            return []
        growing = self._around.get(event.index)
        if growing is not None and event.logprobs is None:
            self._growing = growing
            return [self.grow(event)]
        started, number = self._parts[event.index], self._calls.get(event.index, 0)
        self._spoke.add(event.index)
        delta = _DELTAS[started.kind](number, started, event.text)
        if not delta:
            return []
        frame = self._frame(event.choice, delta, logprobs=event.logprobs)
        if growing is None:
            # The last one: a model's name, which comes before it, may hold anything.
            mark = self._frame(event.choice, _DELTAS[started.kind](number, started, _MARK))
            before, _, after = mark.rpartition(_MARK_BYTES)
            self._growing = self._around[event.index] = _Around(event.index, before, after, len(event.text))
        return [frame]

    def _on_part_ended(self, event: PartEnded) -> list[bytes]:
        started = self._parts[event.index]
        around, self._growing = self._around.pop(event.index, None), None
        if started.kind == "tool_call":
            return self._call_ended(started, event)
        if started.kind == "reasoning":
            return self._thought_ended(started, event, around.length if around else 0)
        if event.signature or event.citations:
            return self._proofs(event)
        if started.kind == "opaque" and started.name == NAME and isinstance(event.raw, dict):
            return [self._frame(event.choice, event.raw)]
        return []

    def _call_ended(self, started: PartStarted, event: PartEnded) -> list[bytes]:
        """What a call without arguments takes instead, and what proves it. Each piece has its `function`, for readers
        who look for nothing else.
        """
        silent = event.index not in self._spoke and started.call_kind != "custom"
        signature = None if started.call_kind == "legacy" else event.signature
        if not silent and signature is None:
            return []
        # Many clients hand the arguments to a JSON parser, which takes no empty string.
        delta = _call_delta(self._calls[event.index], started, "{}" if silent else "")
        if signature is not None:
            delta["tool_calls"][0]["extra_content"] = call_extra(signature)
        return [self._frame(event.choice, delta)]

    def _thought_ended(self, started: PartStarted, event: PartEnded, length: int) -> list[bytes]:
        if event.signature is None:
            return []
        detail = thought_detail(event.signature, length, self._signed, redacted=event.redacted, form=started.form)
        self._signed += 1
        return [self._frame(event.choice, {"reasoning_details": [detail]})]

    def _proofs(self, event: PartEnded) -> list[bytes]:
        """What proves a text: its signature, and where it comes from."""
        frames: list[bytes] = []
        if event.citations:
            # Numbered: OpenAI's own stream helper adds up no list whose entries have no `index`.
            first = self._cited.get(event.choice, 0)
            self._cited[event.choice] = first + len(event.citations)
            cited = [{"index": first + i} | write_citation(each) for i, each in enumerate(event.citations)]
            frames.append(self._frame(event.choice, {"annotations": cited}))
        if event.signature:
            detail = text_detail(event.signature, self._signed, empty=event.index not in self._spoke)
            self._signed += 1
            frames.append(self._frame(event.choice, {"reasoning_details": [detail]}))
        return frames

    def _on_usage(self, event: UsageReported) -> list[bytes]:
        self._usage = event
        return []

    def _on_finished(self, event: ChoiceFinished) -> list[bytes]:
        refused = any(
            part.kind == "refusal" and part.choice == event.choice and index in self._spoke
            for index, part in self._parts.items()
        )
        return [self._frame(event.choice, {}, finish=finish_to_wire(event.reason, refused=refused))]

    def _on_ended(self, _: ResponseEnded) -> list[bytes]:
        frames = []
        if self._include_usage and self._usage:
            frames.append(self._chunk([], usage_to_wire(self._usage.usage)))
        return [*frames, DONE_FRAME]

    def _on_failed(self, event: ResponseFailed) -> list[bytes]:
        return [encode_stream_error(event.error)]

    def _on_continued(self, event: ResponseContinued) -> list[bytes]:
        """A chunk that says nothing but that."""
        body = {"index": 0, "delta": {"content": ""}, "finish_reason": None}
        return [_data(self._head | {"choices": [body], "thalweg": event.mark()})]

    def _on_pinged(self, _: Pinged) -> list[bytes]:
        return []


_encode = msgspec.json.Encoder().encode
_MARK = "\ue000"
_MARK_BYTES = msgspec.json.encode(_MARK)
"""Stands where the text is to be."""
_HEAD_EXTRAS = ("system_fingerprint", "service_tier")


def _call_start(number: int, event: PartStarted) -> dict[str, Any]:
    call = {"index": number, "id": event.call_id, "type": "function"}
    return {"tool_calls": [call | {"function": {"name": event.name, "arguments": ""}}]}


def _custom_start(number: int, event: PartStarted) -> dict[str, Any]:
    call = {"index": number, "id": event.call_id, "type": "custom", "custom": {"name": event.name, "input": ""}}
    return {"tool_calls": [call]}


def _legacy_start(_: int, event: PartStarted) -> dict[str, Any]:
    return {"function_call": {"name": event.name, "arguments": ""}}


_CALL_STARTS: dict[str, Callable[[int, PartStarted], dict[str, Any]]] = {
    "function": _call_start,
    "server": _call_start,
    "custom": _custom_start,
    "legacy": _legacy_start,
}


def _text_delta(_: int, __: PartStarted, text: str) -> dict[str, Any]:
    return {"content": text}


def _reasoning_delta(_: int, __: PartStarted, text: str) -> dict[str, Any]:
    return {"reasoning_content": text}


def _refusal_delta(_: int, __: PartStarted, text: str) -> dict[str, Any]:
    return {"refusal": text}


def _call_delta(number: int, started: PartStarted, text: str) -> dict[str, Any]:
    if started.call_kind == "legacy":
        return {"function_call": {"arguments": text}}
    if started.call_kind == "custom":
        return {"tool_calls": [{"index": number, "custom": {"input": text}}]}
    return {"tool_calls": [{"index": number, "function": {"arguments": text}}]}


def _nothing(_: int, __: PartStarted, ___: str) -> dict[str, Any]:
    return {}


_DELTAS: dict[str, Callable[[int, PartStarted, str], dict[str, Any]]] = {
    "text": _text_delta,
    "reasoning": _reasoning_delta,
    "refusal": _refusal_delta,
    "tool_call": _call_delta,
    "media": _nothing,
    "opaque": _nothing,
}

_WRITERS: dict[type, Callable[[ChatStreamEncoder, Any], list[bytes]]] = {
    ResponseStarted: ChatStreamEncoder._on_started,
    PartStarted: ChatStreamEncoder._on_part_started,
    PartDelta: ChatStreamEncoder._on_part_delta,
    PartEnded: ChatStreamEncoder._on_part_ended,
    UsageReported: ChatStreamEncoder._on_usage,
    ChoiceFinished: ChatStreamEncoder._on_finished,
    ResponseEnded: ChatStreamEncoder._on_ended,
    ResponseFailed: ChatStreamEncoder._on_failed,
    ResponseContinued: ChatStreamEncoder._on_continued,
    Pinged: ChatStreamEncoder._on_pinged,
}


def _data(wire: dict[str, Any]) -> bytes:
    return b"data: " + escape_separators(_encode(wire)) + b"\n\n"


def keepalive(response_id: str, model: str, created: int) -> bytes:
    """A chunk that every client reads as nothing new: empty content, no role, no finish."""
    choice = {"index": 0, "delta": {"content": ""}, "finish_reason": None}
    head = {"id": response_id, "object": CHUNK_OBJECT, "created": created, "model": model}
    return b"data: " + msgspec.json.encode(head | {"choices": [choice]}) + b"\n\n"
