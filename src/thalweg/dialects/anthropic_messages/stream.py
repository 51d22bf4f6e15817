"""Reads an upstream's Anthropic stream into events.

Blocks that are open side by side, which is outside the documented flow, wait for one another. A second `message_start`
is a retry that the upstream spliced in: before any content it is passed over, after it the answer is broken.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

import msgspec

from thalweg.canon.events import (
    ChoiceFinished,
    Event,
    PartDelta,
    PartEnded,
    PartStarted,
    Pinged,
    ResponseEnded,
    ResponseStarted,
    UsageReported,
)
from thalweg.canon.ids import call_id
from thalweg.canon.parts import PartKind, Signature
from thalweg.dialects.anthropic_messages.blocks import ALONE, NEXT, citations_of, opened
from thalweg.dialects.anthropic_messages.common import CommonFrames
from thalweg.dialects.anthropic_messages.errors import read_stream_error
from thalweg.dialects.anthropic_messages.frames import block_index, is_done, read
from thalweg.dialects.anthropic_messages.tables import (
    NAME,
    finish_to_canon,
    is_usage,
    merge_usage,
    usage_to_canon,
)
from thalweg.dialects.anthropic_messages.wire import (
    CommonEvent,
    Delta,
    InputDelta,
    StreamEvent,
    TextDelta,
    ThinkingDelta,
    json_text,
    read_any,
    text_in,
)
from thalweg.dialects.base import Around
from thalweg.dialects.kit.decoder import FrameDecoder
from thalweg.dialects.kit.frames import BadFrame, one_payload
from thalweg.framing.sse import Frame

SPLICED = "began its answer a second time"
ENDED = "went on with a block that had ended"
UNBEGUN = "went on with a block that it had not begun"
_KINDS: dict[str, PartKind] = {
    "text": "text",
    "thinking": "reasoning",
    "redacted_thinking": "reasoning",
    "tool_use": "tool_call",
}
"""Types of blocks that mean something in every dialect; all others are opaque."""
BLOCK_OF_DELTA = {"text_delta": "text", "thinking_delta": "thinking"}
"""Which block a delta is of that nobody has begun."""
_DELTA_OF_KIND = {"text": TextDelta, "reasoning": ThinkingDelta, "tool_call": InputDelta}


class _Block:
    """One block, open or waiting for the one before it to end."""

    __slots__ = ("arguments", "citations", "done", "index", "kind", "pieces", "raw", "signature")

    def __init__(self, raw: dict[str, Any]) -> None:
        self.raw = raw
        """As it began; of an opaque one, as it grew."""
        self.kind: PartKind = _KINDS.get(text_in(raw.get("type")), "opaque")
        self.index = -1
        """Its number once it is open."""
        self.done = False
        self.pieces: list[str] = []
        """Text that waits to be said."""
        self.arguments = False
        """Whether any argument has come."""
        self.signature = text_in(raw.get("signature"))
        found = raw.get("citations")
        self.citations: list[Any] = list(found) if isinstance(found, list) else []


class AnthropicStreamDecoder(FrameDecoder):
    """Reads one upstream's stream. Lives as long as the stream."""

    __slots__ = (
        "_blocks",
        "_called",
        "_carried",
        "_common",
        "_growing",
        "_last",
        "_matched",
        "_model",
        "_next_index",
        "_queue",
        "_response_id",
        "_started",
        "_usage",
    )

    def __init__(self, *, provider: str = "") -> None:
        super().__init__(provider)
        self._queue: deque[_Block] = deque()
        self._blocks: dict[int, _Block] = {}
        self._last: _Block | None = None
        self._next_index = 0
        self._called = False
        self._started = False
        self._response_id = self._model = ""
        self._usage: dict[str, Any] = {}
        self._matched: str | None = None
        self._carried: Signature | None = None
        """Of the part that comes next."""
        self._common = CommonFrames()
        self._growing: _Block | None = None
        """The one block that may grow, where there is but one."""

    def grows(self, data: bytes) -> str:
        """The text by which the one open block grows."""
        block = self._growing
        if block is None:
            return ""
        common = self._common
        text = common.envelope.text_in(data) if common.envelope is not None else None
        if text is None:
            text = common.text_in(data, self._goes_on)
        if not text:
            return ""
        block.arguments = True  # where it is a call
        return text

    def around(self) -> Around | None:
        """The open block's, which is known from its first delta on."""
        envelope = self._common.envelope
        return None if self._growing is None or envelope is None else envelope.around

    def _goes_on(self, event: CommonEvent) -> bool:
        """Whether a delta is the open block's and of its kind."""
        block = self._queue[0]
        return self._blocks.get(event.index) is block and type(event.delta) is _DELTA_OF_KIND[block.kind]

    def _follow(self) -> None:
        self._growing = self._lone_block()
        if self._growing is not None:
            self.growing = self._growing.index

    def _lone_block(self) -> _Block | None:
        """The open block, if none waits for it to end."""
        if self._over or len(self._queue) != 1:
            return None
        block = self._queue[0]
        return None if block.index < 0 or block.done or block.kind not in _DELTA_OF_KIND else block

    def _is_whole(self) -> bool:
        """It has said why it stopped."""
        return bool(self.finishes)

    def _frame(self, frame: Frame) -> None:
        payload = one_payload(frame)
        if payload is None:
            self._events.append(Pinged())
        elif is_done(payload):
            if self.finishes:
                self._complete()
        else:
            event = read(payload, frame.event)
            _STEPS.get(event.type, AnthropicStreamDecoder._on_unknown)(self, event)

    def _complete(self) -> None:
        self._over = True
        self._begin({})
        self._flush()
        raw = self.finishes.get(0)
        reason = finish_to_canon(raw, has_calls=self._called)
        self._events.append(ChoiceFinished(reason=reason, raw_reason=raw, stop_sequence=self._matched))
        self._events.append(ResponseEnded())

    def _flush(self) -> None:
        while self._queue:
            if self._queue[0].index < 0:
                self._open(self._queue[0])
            self._shut(self._queue.popleft())

    # Events.

    def _on_start(self, event: StreamEvent) -> None:
        message = event.message if isinstance(event.message, dict) else {}
        if self._next_index or self._queue:
            raise BadFrame(SPLICED)
        self._begin(message)
        self._report(message.get("usage"))
        content = message.get("content")
        for raw in content if isinstance(content, list) else ():
            if isinstance(raw, dict):
                # A turn that was put off comes whole.
                self._add(raw).done = True
                self._advance()
        self._stop(message.get("stop_reason"), message.get("stop_sequence"))

    def _begin(self, message: dict[str, Any]) -> None:
        if self._started:
            return
        self._started = True
        self._response_id, self._model = text_in(message.get("id")), text_in(message.get("model"))
        self._events.append(ResponseStarted(response_id=self._response_id, model=self._model))

    def _on_block_start(self, event: StreamEvent) -> None:
        raw = event.content_block
        if not isinstance(raw, dict):
            raise BadFrame("began a block without saying what it is")
        self._begin({})
        self._common.forget()
        self._blocks[self._place(event)] = self._add(raw)
        self._advance()

    def _place(self, event: StreamEvent) -> int:
        """The wire's number of a block that begins; one that has none follows on."""
        index = block_index(event)
        return max(self._blocks, default=-1) + 1 if index is None else index

    def _add(self, raw: dict[str, Any]) -> _Block:
        block = self._last = _Block(raw)
        self._queue.append(block)
        text = text_in(raw.get({"text": "text", "reasoning": "thinking"}.get(block.kind, "")))
        if text:
            block.pieces.append(text)
        return block

    def _on_block_delta(self, event: StreamEvent) -> None:
        delta = event.delta
        if delta is None:
            return
        index = block_index(event)
        block = self._last if index is None else self._blocks.get(index)
        if block is None:
            block = self._unbegun(event, delta)
        if block.done:
            raise BadFrame(ENDED)
        _DELTAS.get(delta.type, AnthropicStreamDecoder._grow_unknown)(self, block, delta)

    def _unbegun(self, event: StreamEvent, delta: Delta) -> _Block:
        """A block that some servers do not begin."""
        kind = BLOCK_OF_DELTA.get(delta.type)
        if kind is None:
            raise BadFrame(UNBEGUN)
        self._begin({})
        self._common.forget()
        block = self._blocks[self._place(event)] = self._add({"type": kind})
        self._advance()
        return block

    def _grow_text(self, block: _Block, delta: Delta) -> None:
        self._grow(block, "text", "text", delta.text)

    def _grow_thinking(self, block: _Block, delta: Delta) -> None:
        self._grow(block, "reasoning", "thinking", delta.thinking)

    def _grow_input(self, block: _Block, delta: Delta) -> None:
        text = text_in(delta.partial_json)
        if text and block.kind in ("tool_call", "opaque"):
            block.arguments = True
            self._say(block, text)

    def _grow(self, block: _Block, kind: PartKind, field: str, value: Any) -> None:
        """Add a text to a block of its kind; as the SDKs do, pass over one that is not."""
        text = text_in(value)
        if block.kind == "opaque":
            block.raw[field] = text_in(block.raw.get(field)) + text
        elif text and block.kind == kind:
            self._say(block, text)

    def _sign(self, block: _Block, delta: Delta) -> None:
        block.signature = text_in(delta.signature) or block.signature

    def _cite(self, block: _Block, delta: Delta) -> None:
        block.citations.append(delta.citation)

    def _grow_unknown(self, block: _Block, delta: Delta) -> None:
        if block.kind == "opaque" and delta.content is not None:
            block.raw["content"] = delta.content

    def _on_block_stop(self, event: StreamEvent) -> None:
        index = block_index(event)
        block = self._last if index is None else self._blocks.get(index)
        if block is not None:
            self._common.forget()
            block.done = True
            self._advance()

    def _on_delta(self, event: StreamEvent) -> None:
        self._begin({})
        self._report(event.usage)
        if event.delta is not None:
            self._stop(event.delta.stop_reason, event.delta.stop_sequence)

    def _stop(self, reason: Any, matched: Any) -> None:
        if isinstance(reason, str) and reason:
            self.finishes[0] = reason
            self._matched = matched if isinstance(matched, str) else None

    def _report(self, raw: Any) -> None:
        if is_usage(raw):
            self._usage = merge_usage(self._usage, raw)
            self._events.append(UsageReported(usage=usage_to_canon(self._usage), raw=self._usage))

    def _on_stop(self, _: StreamEvent) -> None:
        self._complete()

    def _on_error(self, event: StreamEvent) -> None:
        self._fail(read_stream_error(event.error, provider=self._provider))

    def _on_unknown(self, _: StreamEvent) -> None:
        self._events.append(Pinged())

    # Parts.

    def _say(self, block: _Block, text: str) -> None:
        if block.index >= 0 and block.kind != "opaque":
            self._events.append(PartDelta(index=block.index, text=text))
            return
        block.pieces.append(text)
        self._advance()

    def _advance(self) -> None:
        """Open what can be open, end what has ended. A thought is opened with its first word: what comes without one
        may be a carrier.
        """
        queue = self._queue
        while queue:
            block = queue[0]
            if block.index < 0:
                if block.kind == "reasoning" and not block.pieces and not block.done:
                    return
                self._open(block)
            if not block.done:
                return
            self._shut(queue.popleft())

    def _open(self, block: _Block) -> None:
        if block.kind == "reasoning" and not block.pieces and self._carry(block):
            return
        block.index, self._next_index = self._next_index, self._next_index + 1
        self._events.append(self._opening(block))
        if block.kind != "opaque":
            for text in block.pieces:
                self._events.append(PartDelta(index=block.index, text=text))
            block.pieces.clear()

    def _opening(self, block: _Block) -> PartStarted:
        if block.kind == "opaque":
            return PartStarted(index=block.index, kind="opaque", name=NAME)
        if block.kind == "reasoning":
            hidden = block.raw.get("type") == "redacted_thinking"
            return PartStarted(index=block.index, kind="reasoning", form="hidden" if hidden else "summary")
        if block.kind == "text":
            return PartStarted(index=block.index, kind="text")
        self._called = True
        wire_id = text_in(block.raw.get("id")) or call_id(None, self._response_id, block.index)
        return PartStarted(index=block.index, kind="tool_call", call_id=wire_id, name=text_in(block.raw.get("name")))

    def _carry(self, block: _Block) -> bool:
        """Whether a thought without a word is another gateway's carrier. If so, its signature is kept for its part."""
        found = opened(block.signature, "signature") if block.done else None
        if found is None or not found[1]:
            return False
        signature, place = found
        if place == NEXT:
            self._carried = signature
        elif place == ALONE:
            index, self._next_index = self._next_index, self._next_index + 1
            self._events.append(PartStarted(index=index, kind="text"))
            self._events.append(PartEnded(index=index, signature=signature))
        return True

    def _shut(self, block: _Block) -> None:
        if block.index >= 0:
            self._events += _ENDINGS[block.kind](self, block)

    def _end_text(self, block: _Block) -> list[Event]:
        signature, self._carried = self._carried, None
        return [PartEnded(index=block.index, signature=signature, citations=citations_of(block.citations))]

    def _end_call(self, block: _Block) -> list[Event]:
        signature, self._carried = self._carried, None
        ended = PartEnded(index=block.index, signature=signature)
        if block.arguments:
            return [ended]
        given = block.raw.get("input")
        text = json_text(given) if isinstance(given, dict) and given else ""
        return [PartDelta(index=block.index, text=text or "{}"), ended]

    def _end_reasoning(self, block: _Block) -> list[Event]:
        if block.raw.get("type") == "redacted_thinking":
            found = opened(text_in(block.raw.get("data")), "redacted", self._model)
            return [PartEnded(index=block.index, signature=found[0] if found else None, redacted=True)]
        found = opened(block.signature, "signature", self._model)
        return [PartEnded(index=block.index, signature=found[0] if found else None)]

    def _end_opaque(self, block: _Block) -> list[Event]:
        if block.arguments:
            text = "".join(block.pieces)
            try:
                block.raw["input"] = read_any(text)
            except (msgspec.MsgspecError, RecursionError):
                block.raw["input"] = {"_raw": text}
        if block.citations:
            block.raw["citations"] = block.citations
        return [PartEnded(index=block.index, raw=block.raw)]


_STEPS: dict[str, Callable[[AnthropicStreamDecoder, StreamEvent], None]] = {
    "message_start": AnthropicStreamDecoder._on_start,
    "content_block_start": AnthropicStreamDecoder._on_block_start,
    "content_block_delta": AnthropicStreamDecoder._on_block_delta,
    "content_block_stop": AnthropicStreamDecoder._on_block_stop,
    "message_delta": AnthropicStreamDecoder._on_delta,
    "message_stop": AnthropicStreamDecoder._on_stop,
    "error": AnthropicStreamDecoder._on_error,
}
_DELTAS: dict[str, Callable[[AnthropicStreamDecoder, _Block, Delta], None]] = {
    "text_delta": AnthropicStreamDecoder._grow_text,
    "thinking_delta": AnthropicStreamDecoder._grow_thinking,
    "input_json_delta": AnthropicStreamDecoder._grow_input,
    "signature_delta": AnthropicStreamDecoder._sign,
    "citations_delta": AnthropicStreamDecoder._cite,
}
_ENDINGS: dict[PartKind, Callable[[AnthropicStreamDecoder, _Block], list[Event]]] = {
    "text": AnthropicStreamDecoder._end_text,
    "tool_call": AnthropicStreamDecoder._end_call,
    "reasoning": AnthropicStreamDecoder._end_reasoning,
    "opaque": AnthropicStreamDecoder._end_opaque,
}


def whole_events(message: dict[str, Any]) -> list[Event]:
    """The events of a whole answer: a stream whose first event says everything."""
    decoder = AnthropicStreamDecoder()
    decoder._on_start(StreamEvent(message=message))
    decoder._complete()
    return decoder._taken()
