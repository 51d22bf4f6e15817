"""Writes events as a client's Anthropic stream: one block at a time, numbered from 0.

Where signatures go. A thought has a slot for one; a vendor's that is not Anthropic's lies there in an envelope
(`canon.envelope`). A text or a call has none, so a thought without a word, the carrier, stands beside it. A signature
comes when its part ends. If that is in the same turn in which the part began (Gemini sends calls whole), the carrier
stands before the part and says `next`; else the part has been sent, and the carrier stands after it and says
`previous`. Nothing is held back for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from thalweg.canon.envelope import wrap
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
from thalweg.canon.parts import Signature
from thalweg.canon.request import Request
from thalweg.canon.usage import Usage
from thalweg.dialects.anthropic_messages.blocks import (
    ALONE,
    NEXT,
    PREVIOUS,
    Block,
    object_of,
    slot_of,
    write_citations,
)
from thalweg.dialects.anthropic_messages.errors import encode_stream_error
from thalweg.dialects.anthropic_messages.frames import PING, write
from thalweg.dialects.anthropic_messages.tables import (
    CONTENT_TYPE,
    NAME,
    VENDOR,
    finish_to_wire,
    usage_to_wire,
)
from thalweg.dialects.base import Template
from thalweg.dialects.kit.separators import escape_separators

_encode = msgspec.json.Encoder().encode
STOP_FRAME = write("message_stop", {})
_DELTA_HEAD = b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,"delta":{"type":%b:'
_DELTA_END = b"}}\n\n"
_DELTA_FIELDS = {
    "text": b'"text_delta","text"',
    "refusal": b'"text_delta","text"',
    "reasoning": b'"thinking_delta","thinking"',
    "tool_call": b'"input_json_delta","partial_json"',
}
_SKELETONS: dict[str, Block] = {
    "text": {"type": "text", "text": ""},
    "refusal": {"type": "text", "text": ""},
    "reasoning": {"type": "thinking", "thinking": "", "signature": ""},
}


class AnthropicStreamEncoder:
    """Writes one client's stream, one frame for each delta. Lives as long as the answer."""

    __slots__ = (
        "_called",
        "_carried",
        "_carries_of_texts",
        "_finished",
        "_head",
        "_held",
        "_hides",
        "_model",
        "_next_block",
        "_open",
        "_part",
        "_plain",
        "_refused",
        "_response_id",
        "_said",
        "_signature",
        "_usage",
    )

    content_type = CONTENT_TYPE
    error: GatewayError | None = None
    held_chars = 0

    def __init__(self, *, response_id: str, model: str, hides: bool = False, carries_of_texts: bool = True) -> None:
        """`hides`: the client wants no word of the thoughts, only what proves them. `carries_of_texts`: it bears a
        thought where there is nothing but a text that is signed.
        """
        self._carries_of_texts = carries_of_texts
        self._response_id, self._model = response_id, model
        self._hides = hides
        self._next_block = 0
        self._part: PartStarted | None = None
        """The part that is open; of choices, the first alone has a place in this dialect."""
        self._open = False
        """Whether its block has begun."""
        self._head = b""
        """What its deltas begin with."""
        self._plain = False
        """Whether its deltas go out as they come."""
        self._held: list[str] | None = None
        """Arguments that are no JSON object as they come, until they are whole."""
        self._signature: Signature | None = None
        """The part's signature, if it is known before the part is sent."""
        self._carried = False
        self._said = False
        """Whether any of a call's arguments have been sent."""
        self._called = self._refused = False
        self._finished: ChoiceFinished | None = None
        self._usage = Usage()

    def encode(self, events: Iterable[Event]) -> list[bytes]:
        """The frames for these events."""
        batch = events if isinstance(events, list | tuple) else list(events)
        frames: list[bytes] = []
        for at, event in enumerate(batch):
            if type(event) is PartDelta:
                if event.choice == 0 and event.text:
                    frames += self._grow(event.text)
            else:
                frames += _WRITERS[type(event)](self, event, batch, at)
        return frames

    def grow(self, event: PartDelta) -> bytes:
        """The frame for one event by which a part grows."""
        if self._plain and event.text and not event.choice:
            return self._delta(event.text)
        return b"".join(self.encode((event,)))

    def template(self, index: int) -> Template | None:
        """All of its deltas but for their text."""
        part = self._part
        if not self._plain or part is None or part.index != index or part.choice:
            return None
        return Template(self._head, _DELTA_END)

    def templated(self, text: str, frames: int) -> None:
        """Nothing is kept of it."""

    def keepalive(self) -> bytes:
        """A ping."""
        return PING

    # The answer.

    def _on_started(self, _: ResponseStarted, batch: Sequence[Event], at: int) -> list[bytes]:
        """The head, with the tokens of the prompt where they are known already. Output counts up from 0."""
        known = next((event.usage for event in batch[at:] if isinstance(event, UsageReported)), Usage())
        usage = usage_to_wire(replace(known, output_tokens=0, reasoning_tokens=None))
        message: dict[str, Any] = {
            "id": self._response_id,
            "type": "message",
            "role": "assistant",
            "model": self._model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": usage,
        }
        return [write("message_start", {"message": message})]

    def _on_usage(self, event: UsageReported, _: Sequence[Event], __: int) -> list[bytes]:
        self._usage = event.usage
        return []

    def _on_finished(self, event: ChoiceFinished, _: Sequence[Event], __: int) -> list[bytes]:
        if event.choice == 0:
            self._finished = event
        return []

    def _on_ended(self, _: ResponseEnded, __: Sequence[Event], ___: int) -> list[bytes]:
        finished = self._finished
        reason = finish_to_wire(
            finished.reason if finished else None,
            has_calls=self._called,
            refused=self._refused,
            matched=finished.stop_sequence if finished else None,
        )
        delta = stop_of(reason, finished.stop_sequence if finished else None)
        return [write("message_delta", {"delta": delta, "usage": usage_to_wire(self._usage)}), STOP_FRAME]

    def _on_failed(self, event: ResponseFailed, _: Sequence[Event], __: int) -> list[bytes]:
        return [encode_stream_error(event.error)]

    def _on_continued(self, event: ResponseContinued, _: Sequence[Event], __: int) -> list[bytes]:
        """A ping, with the mark."""
        return [write("ping", {"thalweg": event.mark()})]

    def _on_pinged(self, _: Pinged, __: Sequence[Event], ___: int) -> list[bytes]:
        return []

    # Parts.

    def _on_part_started(self, event: PartStarted, batch: Sequence[Event], at: int) -> list[bytes]:
        if event.choice:
            return []
        self._part, self._open, self._carried, self._said, self._held = event, False, False, False, None
        self._plain = False
        signed = event.kind == "tool_call" or (event.kind == "text" and self._carries_of_texts)
        self._signature = _signature_ahead(event, batch, at) if signed else None
        self._refused = self._refused or event.kind == "refusal"
        if event.kind != "tool_call":
            return []  # begun with its first word: an empty block would be refused when it comes back
        self._called = True
        if event.call_kind == "custom":
            self._held = []
        return [*self._carry(NEXT), *self._begin(call_block(event.call_id, event.name, {}))]

    def _carry(self, place: str) -> list[bytes]:
        """The carrier of the part's signature, where it has one that was not carried yet."""
        if self._signature is None or self._carried:
            return []
        self._carried = True
        return self._whole_thought(wrap(self._signature, place))

    def _begin(self, block: Block) -> list[bytes]:
        assert self._part is not None
        self._open = True
        self._head = _DELTA_HEAD % (self._next_block, _DELTA_FIELDS[self._part.kind])
        return [write("content_block_start", {"index": self._next_block, "content_block": block})]

    def _grow(self, text: str) -> list[bytes]:
        part = self._part
        assert part is not None
        if part.kind == "tool_call":
            return self._grow_call(text)
        if self._open:
            self._plain = True
            return [self._delta(text)]
        if part.kind not in _SKELETONS or (self._hides and part.kind == "reasoning"):
            return []  # media, and what only another dialect understands
        return [*self._carry(NEXT), *self._begin(_SKELETONS[part.kind]), self._delta(text)]

    def _grow_call(self, text: str) -> list[bytes]:
        """Arguments pass as they come if they begin like an object; any others are made one when they are whole."""
        if self._held is not None:
            self._held.append(text)
            return []
        if not self._said and (text.lstrip()[:1] != "{" or text.strip() == "{}"):
            self._held = [text] if text.strip() else None
            return []
        self._said = self._plain = True
        return [self._delta(text)]

    def _delta(self, text: str) -> bytes:
        said = _encode(text)
        return self._head + (said if said.isascii() else escape_separators(said)) + _DELTA_END

    def _on_part_ended(self, event: PartEnded, _: Sequence[Event], __: int) -> list[bytes]:
        part = self._part
        if part is None or event.choice:
            return []
        self._part, self._plain = None, False
        return _ENDINGS[part.kind](self, part, event)

    def _end_text(self, _: PartStarted, event: PartEnded) -> list[bytes]:
        self._signature = event.signature if self._carries_of_texts else None
        if not self._open:
            return self._carry(ALONE)
        cited = [
            self._block_delta({"type": "citations_delta", "citation": citation})
            for citation in write_citations(event.citations)
        ]
        return [*cited, self._stop(), *self._carry(PREVIOUS)]

    def _end_call(self, part: PartStarted, event: PartEnded) -> list[bytes]:
        self._signature = event.signature
        frames = [] if self._said else [self._delta(self._arguments(part))]
        return [*frames, self._stop(), *self._carry(PREVIOUS)]

    def _arguments(self, part: PartStarted) -> str:
        """What was held, as one object; of a call without arguments, nothing, as Anthropic says it."""
        text = "".join(self._held or ())
        if part.call_kind == "custom":
            return msgspec.json.encode({"input": text}).decode()
        given = bytes(object_of(text)).decode()
        return "" if given.strip() == "{}" else given

    def _end_reasoning(self, _: PartStarted, event: PartEnded) -> list[bytes]:
        signature = event.signature
        if self._open:
            return [self._sign(slot_of(signature)), self._stop()]
        if signature is None:
            return []
        if event.redacted and signature.vendor == VENDOR:
            return self._whole({"type": "redacted_thinking", "data": signature.data})
        return self._whole_thought(slot_of(signature))

    def _end_opaque(self, part: PartStarted, event: PartEnded) -> list[bytes]:
        if part.name != NAME or not isinstance(event.raw, dict):
            return []
        try:
            return self._whole(event.raw)
        except RecursionError:
            return []  # it was read, from a place nearer to the limit's beginning

    def _end_nothing(self, _: PartStarted, __: PartEnded) -> list[bytes]:
        return []

    def _whole_thought(self, slot: str) -> list[bytes]:
        """A thought without a word, signed."""
        start = write("content_block_start", {"index": self._next_block, "content_block": _SKELETONS["reasoning"]})
        return [start, self._sign(slot), self._stop()]

    def _whole(self, block: Block) -> list[bytes]:
        """A block that comes in one piece."""
        return [write("content_block_start", {"index": self._next_block, "content_block": block}), self._stop()]

    def _sign(self, value: str) -> bytes:
        return self._block_delta({"type": "signature_delta", "signature": value})

    def _block_delta(self, delta: Block) -> bytes:
        return write("content_block_delta", {"index": self._next_block, "delta": delta})

    def _stop(self) -> bytes:
        frame = write("content_block_stop", {"index": self._next_block})
        self._next_block += 1
        return frame


def _signature_ahead(started: PartStarted, batch: Sequence[Event], at: int) -> Signature | None:
    """The signature of a part that also ends in this turn."""
    for event in batch[at + 1 :]:
        if isinstance(event, PartEnded) and event.index == started.index:
            return event.signature
    return None


def wants_thoughts(asked: Request) -> bool:
    """Whether the client told the model to think. Who did not may look for a text in the first block, and would find a
    thought there that carries a text's signature. Google wants such back, but does not ask for it.
    """
    return asked.reasoning.mode not in ("default", "off")


def call_block(call_id: str | None, name: str | None, arguments: Any) -> Block:
    """A call."""
    return {"type": "tool_use", "id": call_id or "", "name": name or "", "input": arguments}


def stop_of(reason: str, matched: str | None) -> Block:
    """Why the answer stopped, as the end of a stream and a whole answer say it."""
    said: Block = {"stop_reason": reason, "stop_sequence": matched if reason == "stop_sequence" else None}
    if reason == "refusal":
        said["stop_details"] = {"type": "refusal", "category": None, "explanation": None}
    return said


_ENDINGS: dict[str, Callable[[AnthropicStreamEncoder, PartStarted, PartEnded], list[bytes]]] = {
    "text": AnthropicStreamEncoder._end_text,
    "refusal": AnthropicStreamEncoder._end_text,
    "reasoning": AnthropicStreamEncoder._end_reasoning,
    "tool_call": AnthropicStreamEncoder._end_call,
    "opaque": AnthropicStreamEncoder._end_opaque,
    "media": AnthropicStreamEncoder._end_nothing,
}

_WRITERS: dict[type, Callable[[AnthropicStreamEncoder, Any, Sequence[Event], int], list[bytes]]] = {
    ResponseStarted: AnthropicStreamEncoder._on_started,
    PartStarted: AnthropicStreamEncoder._on_part_started,
    PartEnded: AnthropicStreamEncoder._on_part_ended,
    UsageReported: AnthropicStreamEncoder._on_usage,
    ChoiceFinished: AnthropicStreamEncoder._on_finished,
    ResponseEnded: AnthropicStreamEncoder._on_ended,
    ResponseFailed: AnthropicStreamEncoder._on_failed,
    ResponseContinued: AnthropicStreamEncoder._on_continued,
    Pinged: AnthropicStreamEncoder._on_pinged,
}
