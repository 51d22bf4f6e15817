"""Responses streams to events.

Events of the wire name their item by its place in the output, and their part by its place in the item. Ids are not
looked at: relays are known that give every event new ones. A part of ours begins with its first text, not with the
item, so that an item which says nothing is none; it ends when the wire says so. Where the wire has two items open at
once, what belongs to the later one waits, but for reasoning: it never holds up the answer, and the signature that comes
after it was cut short becomes a part of its own.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Raw

from thalweg.canon.events import (
    ChoiceFinished,
    PartDelta,
    PartEnded,
    PartStarted,
    Pinged,
    ResponseEnded,
    ResponseStarted,
    UsageReported,
)
from thalweg.canon.parts import Citation, PartKind, Signature
from thalweg.dialects.base import Around
from thalweg.dialects.kit.body import NULL
from thalweg.dialects.kit.decoder import BROKE_OFF, FrameDecoder
from thalweg.dialects.kit.envelope import UNREADABLE, Lessons, find_numbered
from thalweg.dialects.kit.frames import BadFrame, broke, is_json, is_line, one_payload
from thalweg.dialects.kit.refusals import error_in_stream
from thalweg.dialects.openai_responses import tables
from thalweg.dialects.openai_responses.errors import error_said
from thalweg.dialects.openai_responses.items import (
    Item,
    citations_of,
    id_of_call,
    logprobs_of,
    signature_of,
)
from thalweg.dialects.openai_responses.response import created_of, why_incomplete
from thalweg.dialects.openai_responses.tables import (
    NAME,
    SUMMARY_SEPARATOR,
    canonical_finish,
    is_usage,
    usage_to_canon,
)
from thalweg.dialects.openai_responses.wire import (
    ResponseHead,
    WireEvent,
    objects,
    read_event,
    read_growth,
    read_response,
    string,
)
from thalweg.framing.sse import Frame

Key = tuple[str, int]
"""What and which part of its item."""


def is_done(payload: bytes) -> bool:
    """Whether this is the end mark that some relays send, which this dialect has not."""
    return payload.startswith(tables.DONE)


def read(payload: bytes, name: bytes = b"") -> WireEvent:
    """One event; `name` is what the frame calls it, for those that do not say their type. Raises `BadFrame`."""
    try:
        payload.decode()  # the decoder passes over the text of unknown fields
        event = read_event(payload)
    except msgspec.ValidationError as error:
        raise BadFrame("sent an event of another shape") from error
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise BadFrame("sent a frame that is not JSON") from error
    if not isinstance(event.type, str):
        event.type = "error" if event.error else name.decode("latin-1")
    return event


def head_of(response: Raw) -> ResponseHead:
    """What is read of an event's response; an empty one where it has none. Raises `BadFrame`."""
    if response == NULL:
        return ResponseHead()
    try:
        return read_response(response)
    except msgspec.ValidationError as error:
        raise BadFrame("sent an event of another shape") from error
    except RecursionError as error:
        # It passed when it was read, from a place nearer to the limit's beginning.
        raise BadFrame("sent a frame that is nested too deeply") from error


class _Part:
    """One part, open or waiting for the one before it to end."""

    __slots__ = ("call", "citations", "done", "form", "index", "kind", "pieces", "places", "raw", "signature", "spoke")

    def __init__(self, kind: PartKind, form: str = "raw", call: _Call | None = None) -> None:
        self.kind = kind
        self.form = form
        self.call = call
        self.index = -1
        """Its number once it is open."""
        self.pieces: list[tuple[str, Any]] = []
        """What waits to be said, with logprobs; of an open call, what was said, to know whether it is whole."""
        self.places: set[int] = set()
        """Of reasoning: the summaries or contents that have said something."""
        self.spoke = False
        self.done = False
        """Whether the wire has said that it is whole."""
        self.citations: list[Citation] = []
        self.signature: Signature | None = None
        self.raw: Any = None

    @property
    def ready(self) -> bool:
        return self.call is None or bool(self.call.name)

    @property
    def closable(self) -> bool:
        """Whether it may end, now that another part waits."""
        if self.kind == "reasoning":
            return True
        # Free text is never known to be whole.
        return self.call is not None and not self.call.custom and is_json("".join(text for text, _ in self.pieces))


class _Call:
    """What is known of a call."""

    __slots__ = ("call_id", "custom", "name")

    def __init__(self, *, custom: bool) -> None:
        self.custom = custom
        self.call_id = ""
        self.name = ""


class _WireItem:
    """One output item."""

    __slots__ = ("done", "kind", "parts", "place")

    def __init__(self, place: int, kind: str) -> None:
        self.place = place
        self.kind = kind
        """Its type, as far as it is known."""
        self.parts: dict[Key, _Part] = {}
        self.done = False


class _Growing:
    """A part that goes on: what its events say of it, and what their frames are like."""

    __slots__ = ("around", "content_place", "head", "kind", "lessons", "part", "place", "summary_place")

    def __init__(self, event: WireEvent, part: _Part, head: bytes) -> None:
        self.part = part
        self.head = head
        self.around: Around | None = None
        self.lessons = Lessons()
        self.kind = event.type
        self.place = event.output_index
        self.content_place = _place(event.content_index)
        self.summary_place = _place(event.summary_index)

    def text_in(self, data: bytes) -> str | None:
        """The text of the common event; `None` for any other. May raise as parsers do."""
        payload = data.removeprefix(self.head)
        if len(data) - len(payload) != len(self.head) or not is_line(payload):
            return None
        if not payload.isascii():
            payload.decode()
        event = read_growth(payload)
        if event.type != self.kind or event.output_index != self.place:
            return None
        if event.content_index != self.content_place or event.summary_index != self.summary_place:
            return None
        return event.delta

    def learn(self, data: bytes, text: str) -> None:
        """Look for what is around the text of such an event."""
        found = find_numbered(data, text, self.text_in, number=b'"sequence_number":', padding=b'"obfuscation":')
        self.around = found or self.around


class ResponsesStreamDecoder(FrameDecoder):
    """Reads one upstream's Responses stream. Lives as long as the stream."""

    __slots__ = (
        "_calls",
        "_growing",
        "_items",
        "_model",
        "_next_index",
        "_place_of",
        "_queue",
        "_refusals",
        "_response_id",
    )

    def __init__(self, *, provider: str = "") -> None:
        super().__init__(provider)
        self._items: dict[int, _WireItem] = {}
        self._place_of: dict[str, int] = {}
        self._queue: deque[_Part] = deque()
        self._growing: _Growing | None = None
        """The part that grew last, if it is open and alone: of it most events are."""
        self._next_index = 0
        self._calls = self._refusals = 0
        self._response_id: str | None = None
        self._model = ""

    def grows(self, data: bytes) -> str:
        """The text of the common event, by which the one open part grows."""
        growing = self._growing
        if growing is None:
            return ""
        try:
            text = growing.text_in(data) or ""
        except UNREADABLE:
            return ""
        if text:
            if growing.part.call is not None:
                growing.part.pieces.append((text, None))
            if growing.lessons.due():
                growing.learn(data, text)
        return text

    def around(self) -> Around | None:
        """The common event's, of which neither number nor obfuscation is looked at."""
        return None if self._growing is None else self._growing.around

    def took(self, texts: list[str], usage: bytes | None) -> None:
        """Keep the pieces of a call."""
        if self._growing is not None and self._growing.part.call is not None:
            self._growing.part.pieces += [(text, None) for text in texts]

    def _is_whole(self) -> bool:
        """Its last event says so, and nothing else."""
        return False

    def _follow(self) -> None:
        if self._over:
            self._growing = None

    def _frame(self, frame: Frame) -> None:
        self._growing = None
        payload = one_payload(frame)
        if payload is None:
            self._events.append(Pinged())
        elif is_done(payload):
            self._fail(broke(self._provider, BROKE_OFF))
        else:
            event = read(payload, frame.event)
            self._event(event)
            self._learn(event, frame)

    def _event(self, event: WireEvent) -> None:
        step = _STEPS.get(event.type)
        if event.error:
            self._on_error(event)
        elif step is not None:
            step(self, event)
        else:
            self._events.append(Pinged())

    def _learn(self, event: WireEvent, frame: Frame) -> None:
        """If this event made the one open part grow, look for more of its kind in frames of this form."""
        key, part = _GROWTHS.get(event.type), self._queue[0] if len(self._queue) == 1 else None
        if key is None or part is None or part.index < 0 or part.done or type(event.output_index) is not int:
            return
        item = self._items.get(event.output_index)
        at = _place(event.content_index) if key == "text" else 0
        if item is None or item.parts.get((key, at)) is not part or part.form != _FORMS.get(event.type, part.form):
            return
        if frame.data is not None and not frame.lines:
            self._growing = _Growing(event, part, frame.raw.partition(frame.data)[0])
            self.growing = part.index

    # The answer as a whole.

    def _begin(self, response: ResponseHead | None) -> None:
        if self._response_id is not None:
            return
        response = response or ResponseHead()
        self._response_id, self._model = string(response.id), string(response.model)
        self._events.append(
            ResponseStarted(response_id=self._response_id, model=self._model, created=created_of(response))
        )

    def _on_begun(self, event: WireEvent) -> None:
        self._begin(head_of(event.response))

    def _on_ended(self, event: WireEvent) -> None:
        response = head_of(event.response)
        if response.error:
            self._on_failed(event)
            return
        self._begin(response)
        self._take_output(objects(response.output))
        self._over = True
        self._flush()
        self._report(response)
        status = "incomplete" if event.type == tables.INCOMPLETE or response.status == "incomplete" else "completed"
        self.finishes[0] = status
        why = why_incomplete(response)
        reason = canonical_finish(status, why, has_calls=self._calls > 0, has_refusal=self._refusals > 0)
        self._events += [ChoiceFinished(reason=reason, raw_reason=status), ResponseEnded()]

    def _on_failed(self, event: WireEvent) -> None:
        response = head_of(event.response)
        self._begin(response)
        self._report(response)
        self._fail(error_in_stream(response.error, provider=self._provider))

    def _on_error(self, event: WireEvent) -> None:
        self._fail(error_said(event, self._provider))

    def _report(self, response: ResponseHead) -> None:
        if is_usage(response.usage):
            self._events.append(UsageReported(usage=usage_to_canon(response.usage), raw=response.usage))

    def _take_output(self, output: list[Item]) -> None:
        """What only the last event says: items that never came, or never ended. The kth of a type is the kth of it."""
        seen: dict[str, list[_WireItem]] = {}
        for place in sorted(self._items):
            seen.setdefault(self._items[place].kind, []).append(self._items[place])
        for raw in output:
            known = seen.get(string(raw.get("type")))
            item = known.pop(0) if known else self._item_at(self._next_place(), string(raw.get("type")))
            if not item.done:
                self._complete_item(item, raw)

    # Items.

    def _item(self, event: WireEvent, kind: str) -> _WireItem:
        """The item of an event: by its place, else by its id, else the last one."""
        self._begin(None)
        place = event.output_index
        if type(place) is not int:
            known = self._place_of.get(string(event.item_id))
            place = known if known is not None else max(self._items, default=0)
        return self._item_at(place, kind)

    def _next_place(self) -> int:
        return max(self._items, default=-1) + 1

    def _item_at(self, place: int, kind: str) -> _WireItem:
        item = self._items.get(place)
        if item is None:
            item = self._items[place] = _WireItem(place, kind)
        return item

    def _on_item_added(self, event: WireEvent) -> None:
        self._begin(None)
        raw = event.item if isinstance(event.item, dict) else {}
        kind = string(raw.get("type"))
        place = event.output_index if type(event.output_index) is int else self._next_place()
        item = self._item_at(place, kind)
        item.kind = kind or item.kind
        if item_id := string(raw.get("id")):
            self._place_of[item_id] = place
        if kind in _CALLS:
            self._call_part(item, raw)
            self._advance()

    def _on_item_done(self, event: WireEvent) -> None:
        raw = event.item if isinstance(event.item, dict) else {}
        kind = string(raw.get("type"))
        item = self._item(event, kind)
        item.kind = kind or item.kind
        if not item.done:
            self._complete_item(item, raw)

    def _complete_item(self, item: _WireItem, raw: Item) -> None:
        item.done = True
        _COMPLETERS.get(item.kind, ResponsesStreamDecoder._complete_opaque)(self, item, raw)
        for part in item.parts.values():
            part.done = True
        item.parts.clear()
        self._advance()

    def _complete_message(self, item: _WireItem, raw: Item) -> None:
        for i, content in enumerate(objects(raw.get("content"))):
            self._complete_content(item, i, content)

    def _complete_content(self, item: _WireItem, at: int, content: Item) -> None:
        for field, kind in (("text", "text"), ("refusal", "refusal")):
            text = string(content.get(field))
            part = item.parts.get((kind, at))
            if text and (part is None or not part.spoke):
                self._say(self._part(item, (kind, at)), text, logprobs_of(content.get("logprobs")))
                part = item.parts[kind, at]
            if part is not None and (found := citations_of(content.get("annotations"))):
                part.citations = list(found)

    def _complete_reasoning(self, item: _WireItem, raw: Item) -> None:
        part = item.parts.get(("reasoning", 0))
        if part is None or not part.spoke:
            for form, field in (("raw", "content"), ("summary", "summary")):
                for at, content in enumerate(objects(raw.get(field))):
                    self._think(item, form, at, string(content.get("text")))
        signature = signature_of(raw, self._model)
        if signature is not None:
            part = item.parts.get(("reasoning", 0))
            if part is None or part.done:
                part = self._part(item, ("reasoning", 0), form="hidden")
            part.signature = signature

    def _complete_call(self, item: _WireItem, raw: Item) -> None:
        part = self._call_part(item, raw)
        field = "input" if part.call is not None and part.call.custom else "arguments"
        if not part.spoke and (text := string(raw.get(field))):
            self._say(part, text)

    def _complete_opaque(self, _: _WireItem, raw: Item) -> None:
        if raw:
            part = _Part("opaque")
            part.raw, part.done = raw, True
            self._queue.append(part)

    # Parts.

    def _part(self, item: _WireItem, key: Key, *, form: str = "raw") -> _Part:
        """The part that an item grows by; a new one where that one has ended."""
        part = item.parts.get(key)
        if part is None or part.done:
            kind: Any = key[0]
            part = item.parts[key] = _Part(kind, form)
            self._queue.append(part)
            self._refusals += kind == "refusal"
        return part

    def _call_part(self, item: _WireItem, raw: Item) -> _Part:
        part = item.parts.get(("tool_call", 0))
        if part is None:
            part = item.parts["tool_call", 0] = _Part("tool_call", call=_Call(custom=item.kind == "custom_tool_call"))
            self._queue.append(part)
            self._calls += 1
        call = part.call
        if call is not None and raw:
            call.name = call.name or string(raw.get("name"))
            call.call_id = call.call_id or id_of_call(raw, (self._response_id, item.place))
        return part

    def _say(self, part: _Part, text: str, logprobs: Any = None) -> None:
        part.spoke = True
        if part.index < 0 or part.call is not None:
            part.pieces.append((text, logprobs))
        if part.index >= 0:
            self._events.append(PartDelta(index=part.index, text=text, logprobs=logprobs))

    def _think(self, item: _WireItem, form: str, at: int, text: str) -> None:
        """Reasoning is one part, in the form that came first: some say both the thoughts and their summary."""
        known = item.parts.get(("reasoning", 0))
        if not text or (known is not None and known.spoke and known.form != form):
            return
        part = self._part(item, ("reasoning", 0), form=form)
        if at not in part.places:
            text = SUMMARY_SEPARATOR + text if part.places else text
            part.places.add(at)
        self._say(part, text)

    def _advance(self) -> None:
        """Open what can be open, end what is whole."""
        queue = self._queue
        while queue:
            part = queue[0]
            if part.index < 0:
                if not part.ready:
                    return
                self._open(part)
            if not part.done and not (len(queue) > 1 and part.closable):
                return
            self._shut(queue.popleft())

    def _open(self, part: _Part) -> None:
        part.index, self._next_index = self._next_index, self._next_index + 1
        call = part.call
        self._events.append(
            PartStarted(
                index=part.index,
                kind=part.kind,
                call_id=call.call_id if call else None,
                name=call.name if call else NAME if part.kind == "opaque" else None,
                call_kind="custom" if call and call.custom else "function",
                form=part.form,
            )
        )
        for text, logprobs in part.pieces:
            self._events.append(PartDelta(index=part.index, text=text, logprobs=logprobs))
        if call is None:
            part.pieces.clear()

    def _shut(self, part: _Part) -> None:
        part.done = True
        signature = part.signature
        self._events.append(
            PartEnded(
                index=part.index,
                signature=signature,
                redacted=signature is not None and signature.kind == "redacted",
                citations=tuple(part.citations),
                raw=part.raw,
            )
        )

    def _flush(self) -> None:
        while self._queue:
            if self._queue[0].index < 0:
                self._open(self._queue[0])
            self._shut(self._queue.popleft())

    # Growing.

    def _on_text(self, event: WireEvent) -> None:
        self._grow(event, "text", event.delta, logprobs_of(event.logprobs))

    def _on_refusal(self, event: WireEvent) -> None:
        self._grow(event, "refusal", event.delta)

    def _grow(self, event: WireEvent, kind: str, text: Any, logprobs: Any = None) -> None:
        item = self._item(event, "message")
        if not isinstance(text, str) or not text or item.done:
            return
        part = self._part(item, (kind, _place(event.content_index)))
        self._say(part, text, logprobs)
        self._advance()

    def _on_text_done(self, event: WireEvent) -> None:
        self._say_whole(event, "text", event.text)

    def _on_refusal_done(self, event: WireEvent) -> None:
        self._say_whole(event, "refusal", event.refusal)

    def _say_whole(self, event: WireEvent, kind: str, text: Any) -> None:
        """A text that came whole, without deltas."""
        item = self._item(event, "message")
        part = item.parts.get((kind, _place(event.content_index)))
        if part is None or not part.spoke:
            self._grow(event, kind, text, logprobs_of(event.logprobs))

    def _on_annotation(self, event: WireEvent) -> None:
        part = self._item(event, "message").parts.get(("text", _place(event.content_index)))
        if part is not None:
            part.citations += citations_of([event.annotation])

    def _on_part_done(self, event: WireEvent) -> None:
        item = self._item(event, "message")
        content = event.part if isinstance(event.part, dict) else {}
        if item.done or content.get("type") not in ("output_text", "refusal"):
            return
        at = _place(event.content_index)
        self._complete_content(item, at, content)
        for kind in ("text", "refusal"):
            if (part := item.parts.get((kind, at))) is not None:
                part.done = True
        self._advance()

    def _on_summary(self, event: WireEvent) -> None:
        self._reason(event, "summary", _place(event.summary_index), event.delta)

    def _on_reasoning(self, event: WireEvent) -> None:
        self._reason(event, "raw", _place(event.content_index), event.delta)

    def _reason(self, event: WireEvent, form: str, at: int, text: Any) -> None:
        item = self._item(event, "reasoning")
        if not item.done:
            self._think(item, form, at, string(text))
            self._advance()

    def _on_summary_done(self, event: WireEvent) -> None:
        self._reason_whole(event, "summary", _place(event.summary_index), event.text)

    def _on_reasoning_done(self, event: WireEvent) -> None:
        self._reason_whole(event, "raw", _place(event.content_index), event.text)

    def _reason_whole(self, event: WireEvent, form: str, at: int, text: Any) -> None:
        part = self._item(event, "reasoning").parts.get(("reasoning", 0))
        if part is None or at not in part.places:
            self._reason(event, form, at, text)

    def _on_arguments(self, event: WireEvent) -> None:
        self._call_text(event, "function_call", event.delta)

    def _on_input(self, event: WireEvent) -> None:
        self._call_text(event, "custom_tool_call", event.delta)

    def _call_text(self, event: WireEvent, kind: str, text: Any) -> None:
        item = self._item(event, kind)
        if item.done:
            return
        part = self._call_part(item, {})
        if isinstance(text, str) and text and not part.done:
            self._say(part, text)
        self._advance()

    def _on_arguments_done(self, event: WireEvent) -> None:
        self._call_whole(event, "function_call", event.arguments)

    def _on_input_done(self, event: WireEvent) -> None:
        self._call_whole(event, "custom_tool_call", event.input)

    def _call_whole(self, event: WireEvent, kind: str, text: Any) -> None:
        part = self._item(event, kind).parts.get(("tool_call", 0))
        if part is None or not part.spoke:
            self._call_text(event, kind, text)


def _place(value: Any) -> int:
    return value if type(value) is int else 0


_CALLS = ("function_call", "custom_tool_call")

_GROWTHS = {
    tables.TEXT_DELTA: "text",
    tables.SUMMARY_DELTA: "reasoning",
    tables.REASONING_DELTA: "reasoning",
    tables.ARGUMENTS_DELTA: "tool_call",
    tables.INPUT_DELTA: "tool_call",
}
"""Events by which a part grows, and what they are kept by."""
_FORMS = {tables.SUMMARY_DELTA: "summary", tables.REASONING_DELTA: "raw"}
"""Of reasoning, the form that they say it in: a part takes but one."""

_COMPLETERS: dict[str, Callable[[ResponsesStreamDecoder, _WireItem, Item], None]] = {
    "message": ResponsesStreamDecoder._complete_message,
    "reasoning": ResponsesStreamDecoder._complete_reasoning,
    "function_call": ResponsesStreamDecoder._complete_call,
    "custom_tool_call": ResponsesStreamDecoder._complete_call,
}

_STEPS: dict[str, Callable[[ResponsesStreamDecoder, WireEvent], None]] = {
    tables.TEXT_DELTA: ResponsesStreamDecoder._on_text,
    tables.SUMMARY_DELTA: ResponsesStreamDecoder._on_summary,
    tables.REASONING_DELTA: ResponsesStreamDecoder._on_reasoning,
    tables.ARGUMENTS_DELTA: ResponsesStreamDecoder._on_arguments,
    tables.INPUT_DELTA: ResponsesStreamDecoder._on_input,
    tables.REFUSAL_DELTA: ResponsesStreamDecoder._on_refusal,
    tables.CREATED: ResponsesStreamDecoder._on_begun,
    tables.QUEUED: ResponsesStreamDecoder._on_begun,
    tables.IN_PROGRESS: ResponsesStreamDecoder._on_begun,
    tables.ITEM_ADDED: ResponsesStreamDecoder._on_item_added,
    tables.ITEM_DONE: ResponsesStreamDecoder._on_item_done,
    tables.PART_DONE: ResponsesStreamDecoder._on_part_done,
    tables.TEXT_DONE: ResponsesStreamDecoder._on_text_done,
    tables.REFUSAL_DONE: ResponsesStreamDecoder._on_refusal_done,
    tables.ANNOTATION: ResponsesStreamDecoder._on_annotation,
    tables.SUMMARY_DONE: ResponsesStreamDecoder._on_summary_done,
    tables.REASONING_DONE: ResponsesStreamDecoder._on_reasoning_done,
    tables.ARGUMENTS_DONE: ResponsesStreamDecoder._on_arguments_done,
    tables.INPUT_DONE: ResponsesStreamDecoder._on_input_done,
    tables.COMPLETED: ResponsesStreamDecoder._on_ended,
    tables.INCOMPLETE: ResponsesStreamDecoder._on_ended,
    tables.FAILED: ResponsesStreamDecoder._on_failed,
    "error": ResponsesStreamDecoder._on_error,
}
