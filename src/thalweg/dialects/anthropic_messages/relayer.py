"""The way of an Anthropic stream between two sides of this dialect: the original bytes pass, a typed reader watches.

A frame is changed only by a repair row of the provider's profile (`tables.REPAIRS`), or because it holds an error,
which is said in the one form that the SDKs read. Comments, CRLF and identifiers pass: every known client bears them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from thalweg.canon.errors import GatewayError
from thalweg.dialects.anthropic_messages.common import CommonFrames
from thalweg.dialects.anthropic_messages.encoder import STOP_FRAME
from thalweg.dialects.anthropic_messages.errors import encode_stream_error, read_stream_error
from thalweg.dialects.anthropic_messages.frames import (
    PING,
    block_index,
    is_done,
    read,
    write,
)
from thalweg.dialects.anthropic_messages.stream import BLOCK_OF_DELTA, ENDED, SPLICED, UNBEGUN
from thalweg.dialects.anthropic_messages.tables import (
    ANTHROPIC_REPAIRS,
    CONTENT_TYPE,
    is_usage,
    merge_usage,
    usage_to_canon,
    usage_to_wire,
)
from thalweg.dialects.anthropic_messages.wire import (
    CommonEvent,
    Delta,
    StreamEvent,
    read_any,
    text_in,
)
from thalweg.dialects.base import Stretch, Watch
from thalweg.dialects.kit.decoder import BROKE_OFF
from thalweg.dialects.kit.frames import BadFrame, broke, cut_short, one_payload
from thalweg.dialects.kit.relaying import FrameRelayer, stretch_of
from thalweg.dialects.kit.separators import escape_separators, has_separators
from thalweg.framing.sse import Frame

_SKELETONS: dict[str, dict[str, Any]] = {
    "text": {"text": ""},
    "thinking": {"thinking": "", "signature": ""},
    "tool_use": {"input": {}},
    "server_tool_use": {"input": {}},
}
"""What a block must begin with, for the SDKs to add to it."""


class AnthropicRelayer(FrameRelayer):
    """One stream's relayer. Gives out whole frames; after an error or the end, nothing."""

    __slots__ = (
        "_blocks",
        "_common",
        "_edited",
        "_ended",
        "_escapes",
        "_last",
        "_model",
        "_next",
        "_over",
        "_plain",
        "_provider",
        "_raw_usage",
        "_repairs",
        "_response_id",
        "_seen",
        "_started",
        "watch",
    )

    content_type = CONTENT_TYPE

    def __init__(
        self, *, repairs: frozenset[str], raw: bool, provider: str = "", response_id: str = "", model: str = ""
    ) -> None:
        self.watch = Watch()
        self._provider = provider
        self._response_id, self._model = response_id, model
        self._repairs = frozenset[str]() if raw else repairs & ANTHROPIC_REPAIRS
        self._escapes = "separators" in self._repairs
        self._started = False
        """Whether the client has been told that the answer begins."""
        self._blocks: dict[int, int] = {}
        """Blocks that have begun, by the wire's number: the client's number."""
        self._plain: set[int] = set()
        """Those of them whose deltas need no look: they go on, and are numbered alike on both sides."""
        self._common = CommonFrames()
        self._ended: set[int] = set()
        self._last: int | None = None
        """The wire's number of the block that began last."""
        self._next = 0
        self._seen = False
        """Whether any block has begun on the wire."""
        self._raw_usage: dict[str, Any] = {}
        self._edited: dict[str, Any] | None = None
        """The event's JSON as it is mended, where a row has changed it."""
        self._over = False

    def feed(self, frames: Iterable[Frame]) -> list[bytes]:
        """The bytes for the client."""
        out: list[bytes] = []
        for frame in frames:
            if self._over:
                if frame.data is not None and is_done(frame.data) and self.watch.error is None:
                    self._note("done")
                continue
            if (passed := self.pass_on(frame.raw)) is not None:
                out.append(passed)
                continue
            try:
                out += self._frame(frame)
            except BadFrame as error:
                if not cut_short(frame):
                    self._fail(broke(self._provider, error))
        return out

    def end(self) -> list[bytes]:
        """The body is over. A complete answer that lacked its `message_stop` gets one."""
        if self._over:
            return []
        if self.watch.finished:
            return self._finish()
        self._fail(broke(self._provider, BROKE_OFF))
        return []

    def settle(self) -> None:
        """Nothing was put off."""

    def keepalive(self) -> bytes:
        """A ping."""
        return PING

    def fail(self, error: GatewayError) -> bytes:
        """The error's frame."""
        return encode_stream_error(error)

    def pass_on(self, data: bytes) -> bytes | None:
        """The short way of the common frame: a delta that adds to a block, in bytes that need no repair."""
        common = self._common
        text = common.envelope.text_in(data) if common.envelope is not None else None
        if text is None:
            text = common.text_in(data, self._is_plain)
            if text is None:
                return None
        if not data.isascii() and self._escapes and has_separators(data):
            return None
        if text:
            self.watch.saw_text(text)
        return data

    def stretch(self) -> Stretch | None:
        """The known envelope."""
        return None if self._over else stretch_of(self._common.envelope)

    def _is_plain(self, event: CommonEvent) -> bool:
        return event.index in self._plain

    def _frame(self, frame: Frame) -> list[bytes]:
        """Any frame but the common one."""
        payload = one_payload(frame)
        if payload is None:
            return [frame.raw]
        if is_done(payload):
            if self.watch.finished:
                return self._finish()
            return [] if self._note("done") else [frame.raw]
        event = read(payload, frame.event)
        self._begin_frame()
        before = _STEPS.get(event.type, AnthropicRelayer._on_other)(self, event, payload)
        if before is None or self.watch.error is not None:
            return []
        if self._edited is not None:
            return [*before, write(event.type, self._edited)]
        named = frame.event.decode("latin-1") == event.type
        if (not named and self._note("event")) or (not frame.closed and self._note("unclosed")):
            return [*before, self._escaped(b"event: " + event.type.encode() + b"\ndata: " + payload + b"\n\n")]
        return [*before, self._escaped(frame.raw)]

    def _escaped(self, raw: bytes) -> bytes:
        return escape_separators(raw) if has_separators(raw) and self._note("separators") else raw

    def _begin_frame(self) -> None:
        self._edited = None

    def _note(self, row: str) -> bool:
        """Count a repair, if the row is on."""
        if row not in self._repairs:
            return False
        self.watch.repaired[row] = self.watch.repaired.get(row, 0) + 1
        return True

    def _draft(self, payload: bytes) -> dict[str, Any]:
        """The event's JSON, to be mended."""
        if self._edited is None:
            try:
                self._edited = read_any(payload)
            except RecursionError as error:
                # It passed when it was read, from a place nearer to the limit's beginning.
                raise BadFrame("sent a frame that is nested too deeply") from error
        return self._edited

    def _close(self) -> None:
        self._over = True
        self._plain.clear()
        self._common.forget()

    def _fail(self, error: GatewayError) -> None:
        self._close()
        self.watch.complete = False
        self.watch.error = error

    def _finish(self) -> list[bytes]:
        """The end of a complete answer that did not say so."""
        self._close()
        self.watch.done = self.watch.complete = True
        return [STOP_FRAME] if self._note("message-stop") else []

    # Events. Each gives out what must stand before its frame; `None` where the frame itself is left out.

    def _on_start(self, event: StreamEvent, payload: bytes) -> list[bytes] | None:
        watch = self.watch
        if self._seen:
            raise BadFrame(SPLICED)
        message = event.message if isinstance(event.message, dict) else {}
        again, self._started = self._started, True
        watch.choices.add(0)
        watch.response_id = watch.response_id or text_in(message.get("id")) or None
        watch.model = watch.model or text_in(message.get("model")) or None
        self._report(message.get("usage"))
        content = message.get("content")
        for block in content if isinstance(content, list) else ():
            if isinstance(block, dict):
                self._see_block(block)
        self._stop(message.get("stop_reason"))
        if again and self._note("message-start"):
            return None
        lacks = not isinstance(content, list) or not is_usage(message.get("usage"))
        if lacks and self._note("message-start"):
            self._draft(payload)["message"] = self._head() | {k: v for k, v in message.items() if v is not None}
        return []

    def _head(self) -> dict[str, Any]:
        """The message that an answer begins with."""
        return {
            "id": self._response_id,
            "type": "message",
            "role": "assistant",
            "model": self._model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": {"input_tokens": 0, "output_tokens": 0},
        }

    def _started_before(self) -> list[bytes]:
        """The beginning of an answer that had none."""
        self.watch.choices.add(0)
        if self._started:
            return []
        self._started = True
        return [write("message_start", {"message": self._head()})] if self._note("message-start") else []

    def _see_block(self, block: dict[str, Any]) -> None:
        """Watch how a block begins: a call or anything that comes whole is content, an empty text is none yet."""
        self._seen = True
        kind = block.get("type")
        for field in ("text", "thinking"):
            if text := text_in(block.get(field)):
                self.watch.saw_text(text)
        if kind == "tool_use":
            self.watch.saw_text("")
        elif kind not in ("text", "thinking"):
            self.watch.content_seen = True

    def _on_block_start(self, event: StreamEvent, payload: bytes) -> list[bytes]:
        block = event.content_block
        if not isinstance(block, dict):
            raise BadFrame("began a block without saying what it is")
        before = self._started_before()
        self._see_block(block)
        self._number(event, payload)
        skeleton = _SKELETONS.get(text_in(block.get("type")), {})
        lacking = {name: value for name, value in skeleton.items() if block.get(name) is None and name != "signature"}
        if lacking and self._note("block-start"):
            self._draft(payload)["content_block"] |= {k: v for k, v in skeleton.items() if block.get(k) is None}
        return before

    def _number(self, event: StreamEvent, payload: bytes) -> None:
        """Give a block that begins its number."""
        index = block_index(event)
        wire = max(self._blocks, default=-1) + 1 if index is None else index
        self._last = wire
        self._ended.discard(wire)
        self._common.forget()
        mine = self._next
        self._next += 1
        if index != mine and not self._note("index"):
            mine = wire
        self._blocks[wire] = mine
        if index == mine:
            self._plain.add(wire)
        else:
            self._plain.discard(wire)
            if "index" in self._repairs:
                self._draft(payload)["index"] = mine

    def _about(self, event: StreamEvent) -> int | None:
        """The wire's number of the block that an event is about; without one it is the last. `None`: not begun."""
        index = block_index(event)
        wire = self._last if index is None else index
        return wire if wire in self._blocks else None

    def _renumber(self, event: StreamEvent, payload: bytes, wire: int) -> None:
        """Put the client's number into an event about a block that has begun."""
        mine = self._blocks[wire]
        if mine != block_index(event) and self._note("index"):
            self._draft(payload)["index"] = mine

    def _on_block_delta(self, event: StreamEvent, payload: bytes) -> list[bytes]:
        delta = event.delta
        if delta is None:
            return []
        before: list[bytes] = []
        wire = self._about(event)
        if wire is None:
            before = self._begin_block(event, delta, payload)
        elif wire in self._ended:
            raise BadFrame(ENDED)
        else:
            self._renumber(event, payload, wire)
        _see_delta(self.watch, delta)
        return before

    def _begin_block(self, event: StreamEvent, delta: Delta, payload: bytes) -> list[bytes]:
        """A block that some servers do not begin."""
        kind = BLOCK_OF_DELTA.get(delta.type)
        if kind is None:
            raise BadFrame(UNBEGUN)
        before = self._started_before()
        self._seen = True
        self._number(event, payload)
        if not self._note("block-start"):
            return before
        block = {"type": kind} | _SKELETONS[kind]
        return [*before, write("content_block_start", {"index": self._next - 1, "content_block": block})]

    def _on_block_stop(self, event: StreamEvent, payload: bytes) -> list[bytes] | None:
        wire = self._about(event)
        if wire is None:
            return None if self._note("block-start") else []
        self._renumber(event, payload, wire)
        self._ended.add(wire)
        self._plain.discard(wire)
        self._common.forget()
        return []

    def _on_delta(self, event: StreamEvent, payload: bytes) -> list[bytes]:
        before = self._started_before()
        self._report(event.usage)
        if event.delta is not None:
            self._stop(event.delta.stop_reason)
        usage = event.usage if isinstance(event.usage, dict) else {}
        if type(usage.get("output_tokens")) is not int and self._note("usage"):
            known = self._raw_usage or usage_to_wire(usage_to_canon({}))
            self._draft(payload)["usage"] = {"output_tokens": 0} | known | _without_nulls(usage)
        return before

    def _on_stop(self, _: StreamEvent, __: bytes) -> list[bytes]:
        before = self._started_before()
        self._close()
        self.watch.done = self.watch.complete = True
        return before

    def _on_error(self, event: StreamEvent, _: bytes) -> None:
        self._fail(read_stream_error(event.error, provider=self._provider))

    def _on_other(self, _: StreamEvent, __: bytes) -> list[bytes]:
        return []

    def _report(self, raw: Any) -> None:
        if is_usage(raw):
            self._raw_usage = merge_usage(self._raw_usage, raw)
            self.watch.saw_usage(usage_to_canon(self._raw_usage), self._raw_usage)

    def _stop(self, reason: Any) -> None:
        if isinstance(reason, str) and reason:
            self.watch.finishes[0] = reason
            self.watch.content_seen = True


def _see_delta(watch: Watch, delta: Delta) -> None:
    for value in (delta.text, delta.thinking, delta.partial_json):
        if text := text_in(value):
            watch.saw_text(text)


def _without_nulls(raw: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in raw.items() if value is not None}


_STEPS: dict[str, Callable[[AnthropicRelayer, StreamEvent, bytes], list[bytes] | None]] = {
    "message_start": AnthropicRelayer._on_start,
    "content_block_start": AnthropicRelayer._on_block_start,
    "content_block_delta": AnthropicRelayer._on_block_delta,
    "content_block_stop": AnthropicRelayer._on_block_stop,
    "message_delta": AnthropicRelayer._on_delta,
    "message_stop": AnthropicRelayer._on_stop,
    "error": AnthropicRelayer._on_error,
}
