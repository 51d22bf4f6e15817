"""Events to a Responses stream.

Every item is begun, grown and ended in order, each event says its number, and the last one repeats the whole answer:
that is what the SDKs' helpers hold us to. Texts in a row are one message. An item's last event waits for the one that
shows whether it is the answer's last, because only that says whether it was cut.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import msgspec
from msgspec.structs import replace

from thalweg.canon.errors import GatewayError, Internal
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
from thalweg.canon.parts import Signature, ToolCall
from thalweg.canon.request import Request
from thalweg.canon.usage import Usage
from thalweg.dialects.base import TEMPLATED_CHARS, Template, json_string
from thalweg.dialects.openai_responses import tables
from thalweg.dialects.openai_responses.errors import encode_stream_error, failure_of, write_event
from thalweg.dialects.openai_responses.items import (
    PREFIXES,
    Item,
    type_of_call,
    write_call,
    write_carrier,
    write_message,
    write_reasoning,
    write_refusal,
    write_signature,
    write_text,
    write_token,
)
from thalweg.dialects.openai_responses.response import Page, shown_form
from thalweg.dialects.openai_responses.tables import CONTENT_TYPE, MOST_KEPT_CHARS, NAME, status_of
from thalweg.dialects.openai_responses.wire import CallGrown, ContentGrown, SummaryGrown, TextGrown

_encode = msgspec.json.Encoder().encode
_MARK = "\ue000"
"""Stands where the text is to be."""


class _Open:
    """The item that is being written, and the part in it."""

    __slots__ = (
        "content",
        "item_id",
        "kind",
        "logprobs",
        "part",
        "pieces",
        "place",
        "said",
        "template",
        "templated",
        "whole",
    )

    def __init__(self, kind: str, place: int, item_id: str) -> None:
        self.kind = kind
        self.place = place
        self.item_id = item_id
        self.content: list[dict[str, Any]] = []
        """The parts of a message that are whole."""
        self.part: PartStarted | None = None
        self.pieces: list[str] = []
        self.logprobs: list[Any] = []
        self.said = False
        """Whether the part has been announced."""
        self.template = b"", b"", b""
        """An event that only adds to a part: what is before its number, between that and the text, and behind it."""
        self.templated = -1
        """The part that it is for."""
        self.whole: Callable[[str], Item] | None = None
        """Writes the item with a status, once all of it has come."""


class ResponsesStreamEncoder:
    """Writes one client's Responses stream, one frame for each delta. Lives as long as the answer.

    Keeps the answer's text, because the last events repeat it; an answer that is too long to be kept fails.
    """

    __slots__ = (
        "_announced",
        "_asked",
        "_finish",
        "_opaque",
        "_open",
        "_output",
        "_over",
        "_page",
        "_places",
        "_refused",
        "_room",
        "_sequence",
        "_usage",
        "error",
    )

    content_type = CONTENT_TYPE

    def __init__(self, asked: Request, *, response_id: str, model: str, created: int) -> None:
        self._asked = asked
        self._page = Page(asked, response_id=response_id, model=model, created=created)
        self._sequence = 0
        self._announced = False
        self._over = False
        self.error: GatewayError | None = None
        self._output: list[Item] = []
        self._places = 0
        self._open: _Open | None = None
        self._opaque: set[int] = set()
        """Parts that are items of this dialect as they came."""
        self._refused = False
        """Whether the model has said a refusal in words of its own."""
        self._usage: Usage | None = None
        self._finish: FinishReason | None = None
        self._room = MOST_KEPT_CHARS

    def encode(self, events: Iterable[Event]) -> list[bytes]:
        """The frames for these events."""
        frames: list[bytes] = []
        for event in events:
            # Of choices, the first alone has a place in this dialect.
            if self._over or getattr(event, "choice", 0) != 0:
                continue
            if self.error is None or type(event) is ResponseFailed:
                frames += _WRITERS[type(event)](self, event)
        return frames

    def grow(self, event: PartDelta) -> bytes:
        """The event for one by which a part grows. All but its number and its text is the same every time."""
        open_, text = self._open, event.text
        room = self._room - len(text)
        if open_ is None or open_.templated != event.index or event.logprobs is not None or not text or room < 0:
            return b"".join(self.encode((event,)))
        self._room = room
        open_.pieces.append(text)
        number = self._sequence
        self._sequence = number + 1
        before, middle, after = open_.template
        return b"".join((before, b"%d" % number, middle, json_string(text), after))

    def template(self, index: int) -> Template | None:
        """All of its events but for their number and their text, while there is room."""
        open_ = self._open
        if open_ is None or open_.templated != index or self._room < TEMPLATED_CHARS:
            return None
        before, middle, after = open_.template
        return Template(before, after, middle, self._sequence)

    def templated(self, text: str, frames: int) -> None:
        """Keep what was said with it, to say it again."""
        assert self._open is not None
        self._open.pieces.append(text)
        self._room -= len(text)
        self._sequence += frames

    @property
    def held_chars(self) -> int:
        """The text so far, which is said again at the end."""
        return MOST_KEPT_CHARS - self._room

    def keepalive(self) -> bytes:
        """The answer's beginning, again or for the first time."""
        return b"".join(self._announce() or [self._lifecycle(tables.IN_PROGRESS)])

    # Events of the wire.

    def _number(self) -> int:
        number = self._sequence
        self._sequence = number + 1
        return number

    def _event(self, kind: str, **fields: Any) -> bytes:
        return write_event(kind, {"type": kind, "sequence_number": self._number()} | fields)

    def _lifecycle(self, kind: str, **fields: Any) -> bytes:
        return self._event(kind, response=self._page.write("in_progress", []), **fields)

    def _announce(self) -> list[bytes]:
        if self._announced:
            return []
        self._announced = True
        return [self._lifecycle(tables.CREATED), self._lifecycle(tables.IN_PROGRESS)]

    def _item_event(self, kind: str, place: int, item: Item) -> bytes:
        return self._event(kind, output_index=place, item=item)

    def _in_item(self, kind: str, open_: _Open, **fields: Any) -> bytes:
        return self._event(kind, item_id=open_.item_id, output_index=open_.place, **fields)

    # Items.

    def _begin(self, kind: str, skeleton: Callable[[str], Item]) -> tuple[_Open, list[bytes]]:
        """End the item before, begin one."""
        frames = self._announce() + self._shut()
        open_ = self._open = _Open(kind, self._places, self._page.ids.next(PREFIXES[kind]))
        self._places += 1
        return open_, [*frames, self._item_event(tables.ITEM_ADDED, open_.place, skeleton(open_.item_id))]

    def _shut(self, status: str = "completed") -> list[bytes]:
        open_, self._open = self._open, None
        if open_ is None:
            return []
        frames: list[bytes] = []
        if open_.part is not None:
            frames += _ENDERS[open_.part.kind](self, open_, PartEnded(index=open_.part.index))
        if open_.whole is None:
            return frames
        item = open_.whole(status)
        self._output.append(item)
        return [*frames, self._item_event(tables.ITEM_DONE, open_.place, item)]

    def _whole_item(self, item: Item) -> list[bytes]:
        """An item that comes in one piece."""
        frames = self._announce() + self._shut()
        place, self._places = self._places, self._places + 1
        self._output.append(item)
        frames.append(self._item_event(tables.ITEM_ADDED, place, item))
        return [*frames, self._item_event(tables.ITEM_DONE, place, item)]

    def _carry(self, signature: Signature | None) -> list[bytes]:
        """Send the signature of a part that has no place for one, behind its item."""
        if signature is None:
            return []
        return self._whole_item(write_carrier(self._page.ids.next("rs_"), signature))

    # Parts.

    def _on_part_started(self, event: PartStarted) -> list[bytes]:
        return _STARTERS[event.kind](self, event)

    def _start_content(self, event: PartStarted) -> list[bytes]:
        frames: list[bytes] = []
        open_ = self._open
        if open_ is None or open_.kind != "message":
            open_, frames = self._begin("message", lambda item_id: write_message(item_id, [], "in_progress"))
        open_.part, open_.pieces, open_.logprobs, open_.templated = event, [], [], -1
        open_.whole = lambda status: write_message(open_.item_id, open_.content, status)
        self._refused = self._refused or event.kind == "refusal"
        part = write_text("") if event.kind == "text" else write_refusal("")
        return [*frames, self._in_item(tables.PART_ADDED, open_, content_index=len(open_.content), part=part)]

    def _start_reasoning(self, event: PartStarted) -> list[bytes]:
        open_, frames = self._begin("reasoning", lambda item_id: write_reasoning(item_id, "hidden", ""))
        open_.part = replace(event, form=shown_form(event.form, self._asked))
        return frames

    def _start_call(self, event: PartStarted) -> list[bytes]:
        kind = type_of_call(event.call_kind)

        def skeleton(item_id: str) -> Item:
            item = write_call(item_id, _call_of(event, ""), "in_progress")
            return item | {"arguments": ""} if "arguments" in item else item

        open_, frames = self._begin(kind, skeleton)
        open_.part = event
        return frames

    def _start_opaque(self, event: PartStarted) -> list[bytes]:
        if event.name == NAME:
            self._opaque.add(event.index)
        return []

    def _on_part_delta(self, event: PartDelta) -> list[bytes]:
        open_ = self._open
        if open_ is None or open_.part is None or open_.part.index != event.index or not event.text:
            return []
        self._room -= len(event.text)
        if self._room < 0:
            self.error = Internal("The answer is too long to be kept, and this API repeats it at its end.")
            return []
        open_.pieces.append(event.text)
        frames = _GROWERS[open_.part.kind](self, open_, event)
        if open_.templated != event.index:
            open_.template, open_.templated = self._template(open_, open_.part), event.index
        return frames

    def _template(self, open_: _Open, part: PartStarted) -> tuple[bytes, bytes, bytes]:
        number = self._sequence
        (frame,) = _GROWERS[part.kind](self, open_, PartDelta(index=part.index, text=_MARK))
        self._sequence = number
        before, name, rest = frame.partition(b'"sequence_number":')
        # The last one: what comes before it may hold anything.
        middle, _, after = rest[len(b"%d" % number) :].rpartition(_encode(_MARK))
        return before + name, middle, after

    def _grow_text(self, open_: _Open, event: PartDelta) -> list[bytes]:
        logprobs: list[Any] = []
        if event.logprobs is not None:
            logprobs = [write_token(token) for token in event.logprobs.get("content") or ()]
            open_.logprobs += logprobs
        place = len(open_.content)
        grown = TextGrown(tables.TEXT_DELTA, self._number(), open_.item_id, open_.place, place, event.text, logprobs)
        return [write_event(tables.TEXT_DELTA, grown)]

    def _grow_refusal(self, open_: _Open, event: PartDelta) -> list[bytes]:
        kind, place = tables.REFUSAL_DELTA, len(open_.content)
        return [write_event(kind, ContentGrown(kind, self._number(), open_.item_id, open_.place, place, event.text))]

    def _grow_reasoning(self, open_: _Open, event: PartDelta) -> list[bytes]:
        frames: list[bytes] = []
        summary = open_.part is not None and open_.part.form == "summary"
        if not open_.said:
            open_.said = True
            frames.append(self._announce_reasoning(open_, summary=summary))
        if summary:
            kind = tables.SUMMARY_DELTA
            told = SummaryGrown(kind, self._number(), open_.item_id, open_.place, 0, event.text)
            return [*frames, write_event(kind, told)]
        kind = tables.REASONING_DELTA
        return [
            *frames,
            write_event(kind, ContentGrown(kind, self._number(), open_.item_id, open_.place, 0, event.text)),
        ]

    def _announce_reasoning(self, open_: _Open, *, summary: bool) -> bytes:
        if summary:
            part = {"type": "summary_text", "text": ""}
            return self._in_item(tables.SUMMARY_ADDED, open_, summary_index=0, part=part)
        part = {"type": "reasoning_text", "text": ""}
        return self._in_item(tables.PART_ADDED, open_, content_index=0, part=part)

    def _grow_call(self, open_: _Open, event: PartDelta) -> list[bytes]:
        kind = tables.INPUT_DELTA if open_.kind == "custom_tool_call" else tables.ARGUMENTS_DELTA
        return [write_event(kind, CallGrown(kind, self._number(), open_.item_id, open_.place, event.text))]

    def _on_part_ended(self, event: PartEnded) -> list[bytes]:
        open_ = self._open
        if open_ is None or open_.part is None or open_.part.index != event.index:
            own = event.index in self._opaque and isinstance(event.raw, dict)
            return self._whole_item(event.raw) if own else []
        open_.templated = -1
        return _ENDERS[open_.part.kind](self, open_, event)

    def _end_text(self, open_: _Open, event: PartEnded) -> list[bytes]:
        text, place, logprobs = "".join(open_.pieces), len(open_.content), open_.logprobs
        part = write_text(text, event.citations)
        frames = [
            self._in_item(tables.ANNOTATION, open_, content_index=place, annotation_index=i, annotation=annotation)
            for i, annotation in enumerate(part["annotations"])
        ]
        part["logprobs"] = logprobs
        frames += [
            self._in_item(tables.TEXT_DONE, open_, content_index=place, text=text, logprobs=logprobs),
            self._in_item(tables.PART_DONE, open_, content_index=place, part=part),
        ]
        self._end_content(open_, part)
        return frames + self._carry(event.signature)

    def _end_refusal(self, open_: _Open, _: PartEnded) -> list[bytes]:
        text, place = "".join(open_.pieces), len(open_.content)
        part = write_refusal(text)
        self._end_content(open_, part)
        return [
            self._in_item(tables.REFUSAL_DONE, open_, content_index=place, refusal=text),
            self._in_item(tables.PART_DONE, open_, content_index=place, part=part),
        ]

    def _end_content(self, open_: _Open, part: dict[str, Any]) -> None:
        open_.content.append(part)
        open_.part, open_.pieces, open_.logprobs = None, [], []

    def _end_reasoning(self, open_: _Open, event: PartEnded) -> list[bytes]:
        started, open_.part = open_.part, None
        text, form = "".join(open_.pieces), started.form if started else "raw"
        encrypted = None if event.signature is None else write_signature(event.signature, open_.item_id)
        item = write_reasoning(open_.item_id, form, text, encrypted)
        open_.whole = lambda _: item
        if not open_.said:
            return []
        if form == "summary":
            part = {"type": "summary_text", "text": text}
            return [
                self._in_item(tables.SUMMARY_DONE, open_, summary_index=0, text=text),
                self._in_item(tables.SUMMARY_PART_DONE, open_, summary_index=0, part=part),
            ]
        part = {"type": "reasoning_text", "text": text}
        return [
            self._in_item(tables.REASONING_DONE, open_, content_index=0, text=text),
            self._in_item(tables.PART_DONE, open_, content_index=0, part=part),
        ]

    def _end_call(self, open_: _Open, event: PartEnded) -> list[bytes]:
        started, open_.part = open_.part, None
        if started is None:
            return []
        frames: list[bytes] = []
        custom = started.call_kind == "custom"
        if not open_.pieces and not custom:
            # Many clients hand the arguments to a JSON parser, which takes no empty string.
            open_.pieces.append("{}")
            frames = self._grow_call(open_, PartDelta(index=event.index, text="{}"))
        call = _call_of(started, "".join(open_.pieces))
        open_.whole = lambda status: write_call(open_.item_id, call, status)
        if custom:
            frames.append(self._in_item(tables.INPUT_DONE, open_, input=call.arguments))
        else:
            frames.append(self._in_item(tables.ARGUMENTS_DONE, open_, arguments=call.arguments, name=call.name))
        return frames + self._carry(event.signature)

    def _on_usage(self, event: UsageReported) -> list[bytes]:
        self._usage = event.usage
        return []

    # The end.

    def _on_started(self, _: ResponseStarted) -> list[bytes]:
        return self._announce()

    def _on_finished(self, event: ChoiceFinished) -> list[bytes]:
        self._finish = self._finish or event.reason
        return self._shut(status_of(self._finish, refused=self._refused)[0])

    def _on_ended(self, _: ResponseEnded) -> list[bytes]:
        status, why = status_of(self._finish, refused=self._refused)
        frames = self._announce() + self._shut(status)
        self._over = True
        response = self._page.write(status, self._output, why=why, usage=self._usage or Usage())
        return [*frames, self._event(tables.ENDED[status], response=response)]

    def _on_failed(self, event: ResponseFailed) -> list[bytes]:
        return self._fail(event.error)

    def _fail(self, error: GatewayError) -> list[bytes]:
        """Items that are not whole stay open, as the answer does."""
        self._over = True
        said = encode_stream_error(error, self._number())
        response = self._page.write("failed", self._output, error=failure_of(error), usage=self._usage)
        return [said, self._event(tables.FAILED, response=response)]

    def _on_continued(self, event: ResponseContinued) -> list[bytes]:
        """What breaks a silence, with the mark."""
        return [*self._announce(), self._lifecycle(tables.IN_PROGRESS, thalweg=event.mark())]

    def _on_pinged(self, _: Pinged) -> list[bytes]:
        return []


def _call_of(started: PartStarted, arguments: str) -> ToolCall:
    kind: Any = started.call_kind
    return ToolCall(id=started.call_id or "", name=started.name or "", arguments=arguments, kind=kind)


_STARTERS: dict[str, Callable[[ResponsesStreamEncoder, PartStarted], list[bytes]]] = {
    "text": ResponsesStreamEncoder._start_content,
    "refusal": ResponsesStreamEncoder._start_content,
    "reasoning": ResponsesStreamEncoder._start_reasoning,
    "tool_call": ResponsesStreamEncoder._start_call,
    "opaque": ResponsesStreamEncoder._start_opaque,
    "media": ResponsesStreamEncoder._start_opaque,
}
_GROWERS: dict[str, Callable[[ResponsesStreamEncoder, _Open, PartDelta], list[bytes]]] = {
    "text": ResponsesStreamEncoder._grow_text,
    "refusal": ResponsesStreamEncoder._grow_refusal,
    "reasoning": ResponsesStreamEncoder._grow_reasoning,
    "tool_call": ResponsesStreamEncoder._grow_call,
}
_ENDERS: dict[str, Callable[[ResponsesStreamEncoder, _Open, PartEnded], list[bytes]]] = {
    "text": ResponsesStreamEncoder._end_text,
    "refusal": ResponsesStreamEncoder._end_refusal,
    "reasoning": ResponsesStreamEncoder._end_reasoning,
    "tool_call": ResponsesStreamEncoder._end_call,
}
_WRITERS: dict[type, Callable[[ResponsesStreamEncoder, Any], list[bytes]]] = {
    ResponseStarted: ResponsesStreamEncoder._on_started,
    PartStarted: ResponsesStreamEncoder._on_part_started,
    PartDelta: ResponsesStreamEncoder._on_part_delta,
    PartEnded: ResponsesStreamEncoder._on_part_ended,
    UsageReported: ResponsesStreamEncoder._on_usage,
    ChoiceFinished: ResponsesStreamEncoder._on_finished,
    ResponseEnded: ResponsesStreamEncoder._on_ended,
    ResponseFailed: ResponsesStreamEncoder._on_failed,
    ResponseContinued: ResponsesStreamEncoder._on_continued,
    Pinged: ResponsesStreamEncoder._on_pinged,
}
