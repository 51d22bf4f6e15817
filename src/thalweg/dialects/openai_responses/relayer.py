"""The way of a Responses stream between two sides of this dialect: the original bytes pass, a narrow decoder watches.

A frame is changed only by a repair row of the provider's profile, or because it holds an error, which is said in the
form that every client understands.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import msgspec
from msgspec import Raw

from thalweg.canon.errors import GatewayError
from thalweg.canon.request import Request
from thalweg.dialects.base import Watch
from thalweg.dialects.kit.body import NULL
from thalweg.dialects.kit.decoder import BROKE_OFF
from thalweg.dialects.kit.frames import BadFrame, broke, cut_short, one_payload
from thalweg.dialects.kit.refusals import error_in_stream
from thalweg.dialects.kit.relaying import FrameRelayer
from thalweg.dialects.openai_responses import tables
from thalweg.dialects.openai_responses.decoder import head_of, is_done
from thalweg.dialects.openai_responses.errors import encode_stream_error, error_said, failure_of, write_event
from thalweg.dialects.openai_responses.repairs import MENDS, Draft, Memory, Mend, is_sound, without_null_effort
from thalweg.dialects.openai_responses.response import Page, created_of
from thalweg.dialects.openai_responses.tables import CONTENT_TYPE, is_usage, usage_to_canon
from thalweg.dialects.openai_responses.wire import (
    WatchedEvent,
    read_common,
    read_item_head,
    read_watched,
    string,
)
from thalweg.framing.sse import Frame
from thalweg.profiles.base import Profile

_GROWING = frozenset(
    (
        tables.TEXT_DELTA,
        tables.SUMMARY_DELTA,
        tables.REASONING_DELTA,
        tables.REFUSAL_DELTA,
        tables.ARGUMENTS_DELTA,
        tables.INPUT_DELTA,
    )
)
"""Events that add text."""
_COMMON = {f"event: {kind}".encode(): kind for kind in _GROWING}
"""The first lines of the common frames."""
_ENDINGS = {tables.COMPLETED: "completed", tables.INCOMPLETE: "incomplete"}
_LIFECYCLE = frozenset((tables.CREATED, tables.QUEUED, tables.IN_PROGRESS, tables.FAILED, *_ENDINGS))
"""Events that describe the whole answer."""
_SAYING_NOTHING = ("message", "reasoning")
"""Types of items that say nothing yet when they are begun."""

_object = msgspec.json.Decoder(dict[str, Raw]).decode


class ResponsesRelayer(FrameRelayer):
    """One stream's relayer. Gives out whole frames; after an error or the last event, nothing."""

    __slots__ = (
        "_announced",
        "_created",
        "_items",
        "_memory",
        "_mends",
        "_model",
        "_over",
        "_pins",
        "_provider",
        "_repairs",
        "_response",
        "_response_id",
        "_sequence",
        "_stored",
        "_tail",
        "watch",
    )

    content_type = CONTENT_TYPE

    def __init__(
        self,
        *,
        profile: Profile,
        raw: bool,
        provider: str = "",
        stored: bool = True,
        response_id: str = "",
        model: str = "",
        created: int = 0,
    ) -> None:
        """`stored`: the provider may keep the answer, so that its id must reach the client as it is."""
        self.watch = Watch()
        self._provider = provider
        self._response_id, self._model, self._created = response_id, model, created
        self._stored = stored
        self._repairs = frozenset[str]() if raw else profile.repairs
        self._mends = _mends_of(self._repairs)
        self._pins = "identity" in self._repairs
        self._memory = Memory()
        self._items = self._memory.items
        self._response: Raw | None = None
        """The answer as the upstream described it last."""
        self._sequence = -1
        """The number of the last event."""
        self._announced = False
        """Whether an answer was begun in our name, before the upstream said anything."""
        self._over = False
        self._tail = raw
        """Whether what has no meaning still passes behind the last event."""

    def feed(self, frames: Iterable[Frame]) -> list[bytes]:
        """The bytes for the client."""
        out: list[bytes] = []
        for frame in frames:
            if self._over:
                out += self._after(frame)
                continue
            passed = self.pass_on(frame.raw) if frame.closed else None
            if passed is not None:
                out.append(passed)
                continue
            try:
                out += self._frame(frame)
            except BadFrame as error:
                if not cut_short(frame):
                    self._fail(broke(self._provider, error))
        return out

    def end(self) -> list[bytes]:
        """The body is over. Unless the response had ended, it broke off."""
        if not self._over:
            self._fail(broke(self._provider, BROKE_OFF))
        return []

    def settle(self) -> None:
        """Nothing is put off."""

    def keepalive(self) -> bytes:
        """The answer's state again, with the number of the last event: it is none of the stream's own."""
        number = max(self._sequence, 0)
        if self._response is not None:
            return write_event(tables.IN_PROGRESS, _lifecycle(tables.IN_PROGRESS, number, self._opened()))
        response = self._page().write("in_progress", [])
        frames = [write_event(tables.IN_PROGRESS, _lifecycle(tables.IN_PROGRESS, number, response))]
        if not self._announced:
            self._announced = True
            if not self._stored and self._pins:
                self._memory.response_id = self._response_id
            frames.insert(0, write_event(tables.CREATED, _lifecycle(tables.CREATED, number, response)))
        return b"".join(frames)

    def fail(self, error: GatewayError) -> bytes:
        """The error's event, and the answer as failed."""
        number = self._sequence + 1
        if self._response is None:
            response = self._page().write("failed", [], error=failure_of(error))
        else:
            response = self._opened() | {"status": "failed", "error": failure_of(error)}
        failed = _lifecycle(tables.FAILED, number + 1, response)
        return encode_stream_error(error, number) + write_event(tables.FAILED, failed)

    def pass_on(self, data: bytes) -> bytes | None:
        """The short way of the common frame: text that goes on."""
        line, _, rest = data.partition(b"\ndata: ")
        kind = _COMMON.get(line)
        if kind is None or self._over:
            return None
        payload, _, end = rest.partition(b"\n")
        # Whether a number is in bytes is found out at once; whether bytes are, only after they have failed as a number.
        if end != b"\n" or 0x0D in payload:
            return None
        try:
            # The parser looks only into fields that it knows, but no byte of any field may break the client's decoder.
            if not payload.isascii():
                payload.decode()
            event = read_common(payload)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return None
        if event.type != kind or (self._pins and self._items.get(event.output_index) != event.item_id):
            return None
        self._sequence = event.sequence_number
        if event.delta:
            self.watch.saw_text(event.delta)
        return data

    # Frames that are not common.

    def _frame(self, frame: Frame) -> list[bytes]:
        payload = one_payload(frame)
        if payload is None:
            return [] if self._note(_row_of(frame)) else [frame.raw]
        if is_done(payload):
            self._fail(broke(self._provider, BROKE_OFF))
            return []
        event = _read(payload)
        kind = event.type if isinstance(event.type, str) else frame.event.decode("latin-1")
        if kind == "error" or event.error:
            self._fail(error_said(event, self._provider))
            return []
        self._observe(kind, event)
        if self.watch.error is not None:
            return []
        if kind == tables.FAILED:
            head = head_of(event.response)
            self._fail(error_in_stream(head.error, provider=self._provider))
            return []
        if self._repairs and not frame.closed and kind not in _ENDINGS:
            # The body ended here, and something of the frame may lack: no SDK sees such a one.
            return []
        mended = self._mended(payload, event, frame.event)
        if mended is None and not _is_tidy(frame) and self._note(_row_of(frame)):
            mended = payload
        if mended is None:
            return [frame.raw]
        # Not as the frame says: the body may have ended within its name.
        name = b"event: %b\n" % kind.encode("utf-8", "replace") if frame.event else b""
        return [name + b"data: " + mended + b"\n\n"]

    def _after(self, frame: Frame) -> list[bytes]:
        """What comes behind the last event: nothing, or what has no meaning."""
        if self.watch.error is not None or not (frame.data is None or is_done(frame.data)):
            self._tail = False
            return []
        if self._tail:
            return [frame.raw]
        if frame.data is not None:
            self._note("done")
        return []

    def _note(self, row: str) -> bool:
        """Count a repair, if the row is on."""
        if row not in self._repairs:
            return False
        self.watch.repaired[row] = self.watch.repaired.get(row, 0) + 1
        return True

    def _fail(self, error: GatewayError) -> None:
        self._over = True
        self.watch.complete = False
        self.watch.error = error

    # Watching.

    def _observe(self, kind: str, event: WatchedEvent) -> None:
        watch = self.watch
        if type(event.sequence_number) is int:
            self._sequence = event.sequence_number
        if kind in _LIFECYCLE:
            self._take_response(kind, event)
        elif kind in _GROWING:
            watch.choices.add(0)
            if isinstance(event.delta, str) and event.delta:
                watch.saw_text(event.delta)
        elif kind == tables.ITEM_ADDED and event.item != NULL:
            watch.choices.add(0)
            if _item_type(event.item) not in _SAYING_NOTHING:
                watch.content_seen = True
        elif kind == tables.ITEM_DONE and event.item != NULL and "output" in self._repairs:
            place = event.output_index
            self._memory.keep(place if type(place) is int else len(self._memory.outputs), event.item)

    def _take_response(self, kind: str, event: WatchedEvent) -> None:
        """Learn from an event that describes the whole answer."""
        watch, head = self.watch, head_of(event.response)
        if event.response != NULL:
            self._response = event.response
        watch.choices.add(0)
        watch.response_id = watch.response_id or string(head.id) or None
        watch.model = watch.model or string(head.model) or None
        if watch.created is None:
            watch.created = created_of(head)
        if is_usage(head.usage):
            watch.saw_usage(usage_to_canon(head.usage), head.usage)
        if kind in _ENDINGS:
            if head.error:
                self._fail(error_in_stream(head.error, provider=self._provider))
                return
            said = "incomplete" if head.status == "incomplete" else _ENDINGS[kind]
            watch.finishes[0] = said
            watch.content_seen = watch.done = watch.complete = self._over = True

    # Changing.

    def _mended(self, payload: bytes, event: WatchedEvent, name: bytes) -> bytes | None:
        """The payload after every row that applies, or `None` where none changed it."""
        memory = self._memory
        if not self._mends or is_sound(payload, event, memory):
            if self._pins and event.response != NULL:
                memory.response_id = memory.response_id or self.watch.response_id
            return None
        try:
            draft = Draft(payload, event, name)
            changed = [row for row, mend in self._mends if mend(draft, memory)]
            for row in changed:
                self._note(row)
            return draft.payload() if changed else None
        except (msgspec.MsgspecError, RecursionError) as error:
            raise BadFrame("sent a frame that is nested too deeply") from error
        finally:
            if self._pins and event.response != NULL:
                memory.response_id = memory.response_id or self.watch.response_id

    def _opened(self) -> dict[str, Any]:
        """The answer as it was described last, to be said again."""
        response: dict[str, Any] = _object(self._response or b"{}")
        if "null-effort" in self._repairs:
            without_null_effort(response)
        if self._pins and self._memory.response_id is not None:
            response["id"] = self._memory.response_id
        return response

    def _page(self) -> Page:
        asked = Request(model=self._model, messages=())
        return Page(asked, response_id=self._response_id, model=self._model, created=self._created)


def _read(payload: bytes) -> WatchedEvent:
    try:
        payload.decode()
        return read_watched(payload)
    except msgspec.ValidationError as error:
        raise BadFrame("sent an event of another shape") from error
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise BadFrame("sent a frame that is not JSON") from error


def _item_type(item: Raw) -> str:
    try:
        return string(read_item_head(item).type)
    except (msgspec.MsgspecError, RecursionError):
        return ""


def _lifecycle(kind: str, number: int, response: dict[str, Any]) -> dict[str, Any]:
    return {"type": kind, "sequence_number": number, "response": response}


def _is_tidy(frame: Frame) -> bool:
    """Whether a frame is one event line, if any, and one data line: what every reader takes."""
    if frame.plain:
        return True
    if frame.data is None or not frame.closed or frame.lines:
        return False
    return frame.raw == b"event: %b\ndata: %b\n\n" % (frame.event, frame.data)


def _row_of(frame: Frame) -> str:
    """The row that mends a frame which is not tidy."""
    return "comments" if any(not name for name, _ in frame.fields) else "framing"


@lru_cache(maxsize=64)
def _mends_of(repairs: frozenset[str]) -> tuple[tuple[str, Mend], ...]:
    """The rows that edit an event, of those that are on; there are as many sets as there are profiles."""
    return tuple((row.name, row.mend) for row in MENDS if row.name in repairs and row.mend)
