"""Repair rows: each names one way in which a provider's Responses frames break SDKs, and the mend.

A row says which events need it and edits only those, only there: the JSON is opened level by level, and every value
that no row touches keeps its very bytes and its place.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Raw

from thalweg.dialects.kit.body import NULL
from thalweg.dialects.openai_responses.tables import ITEM_ADDED, MOST_KEPT_CHARS
from thalweg.dialects.openai_responses.wire import WatchedEvent, read_item_head, string

_object = msgspec.json.Decoder(dict[str, Raw]).decode
_EMPTY = Raw(b"[]")
_NO_EFFORT = (b'"effort":null', b'"effort": null')
Tree = dict[str, Any]
"""A JSON object opened one level: names to raw values, or to what a row put there."""


class Memory:
    """What the rows must remember through the stream."""

    __slots__ = ("items", "kept_bytes", "outputs", "response_id")

    def __init__(self) -> None:
        self.response_id: str | None = None
        """The one that the client was told first."""
        self.items: dict[int, str] = {}
        """The ids that it was told of items, by their place."""
        self.outputs: dict[int, Raw] = {}
        """Items that are whole, by their place."""
        self.kept_bytes = 0

    def knows(self, place: int, item_id: str) -> bool:
        """Whether an item is called so here; one of which nothing was said is."""
        return self.items.get(place, item_id) == item_id

    def keep(self, place: int, item: Raw) -> None:
        """Keep a whole item, up to the bound of what is kept of an answer."""
        self.kept_bytes += len(item)
        if self.kept_bytes <= MOST_KEPT_CHARS:
            self.outputs[place] = item
        else:
            self.outputs.clear()


class Draft:
    """One event being mended: as it was read, and its JSON opened."""

    __slots__ = ("event", "name", "top")

    def __init__(self, payload: bytes, event: WatchedEvent, name: bytes) -> None:
        self.event = event
        self.name = name
        """What the frame calls it."""
        self.top: Tree = _object(payload)

    def payload(self) -> bytes:
        """The JSON again."""
        return msgspec.json.encode(self.top)

    def opened(self, name: str) -> Tree | None:
        """A member that is an object, opened."""
        value = self.top.get(name)
        if isinstance(value, dict):
            return value
        if value is None or not _is_object(value):
            return None
        inner: Tree = _object(value)
        return inner


def _is_object(value: Raw) -> bool:
    return bytes(memoryview(value)[:1]) == b"{"


def _mend_type(draft: Draft, _: Memory) -> bool:
    if isinstance(draft.event.type, str) or not draft.name:
        return False
    draft.top["type"] = draft.name.decode("latin-1")
    return True


def _mend_effort(draft: Draft, _: Memory) -> bool:
    response = draft.opened("response")
    if response is None or not without_null_effort(response):
        return False
    draft.top["response"] = response
    return True


def without_null_effort(response: Tree) -> bool:
    """Leave out an effort that is null; says whether there was one."""
    raw = response.get("reasoning", NULL)
    if not _is_object(raw):
        return False
    reasoning = _object(raw)
    if reasoning.get("effort") != NULL:
        return False
    del reasoning["effort"]
    response["reasoning"] = Raw(msgspec.json.encode(reasoning))
    return True


def _mend_identity(draft: Draft, memory: Memory) -> bool:
    """One id for the answer and for each item, from the first event that says it to the last."""
    event = draft.event
    mended = _mend_response_id(draft, memory)
    place = event.output_index
    if type(place) is not int:
        return mended
    if event.item != NULL:
        said = _id_of(event.item)
        if event.type == ITEM_ADDED and said:
            memory.items.setdefault(place, said)
        if said and not memory.knows(place, said) and (item := draft.opened("item")) is not None:
            item["id"] = memory.items[place]
            draft.top["item"] = item
            mended = True
    if isinstance(event.item_id, str) and not memory.knows(place, event.item_id):
        draft.top["item_id"] = memory.items[place]
        mended = True
    return mended


def _id_of(item: Raw) -> str:
    return string(read_item_head(item).id) if _is_object(item) else ""


def _mend_response_id(draft: Draft, memory: Memory) -> bool:
    if draft.event.response == NULL or (response := draft.opened("response")) is None:
        return False
    said = response.get("id")
    if memory.response_id is None or said is None or said == Raw(msgspec.json.encode(memory.response_id)):
        return False
    response["id"] = memory.response_id
    draft.top["response"] = response
    return True


def _mend_output(draft: Draft, memory: Memory) -> bool:
    response = draft.opened("response")
    if response is None or not memory.outputs or response.get("output") != _EMPTY:
        return False
    if draft.event.type not in ("response.completed", "response.incomplete"):
        return False
    response["output"] = [memory.outputs[place] for place in sorted(memory.outputs)]
    draft.top["response"] = response
    return True


Mend = Callable[[Draft, Memory], bool]
"""Edits a draft, and says whether it changed anything."""


class Row:
    """One repair: its name, why it is needed, and its mend, where it is one that edits events."""

    __slots__ = ("mend", "name", "why")

    def __init__(self, name: str, why: str, mend: Mend | None = None) -> None:
        self.name = name
        self.why = why
        self.mend = mend


def is_sound(payload: bytes, event: WatchedEvent, memory: Memory) -> bool:
    """Whether no row can want to change this event, seen without opening its JSON. `False` may be a false alarm."""
    if not isinstance(event.type, str) or event.item != NULL:
        return False
    if event.response != NULL:
        # Answers are said three times in a stream, and the ids of all must be one.
        remembers = memory.response_id is not None or memory.outputs
        return not remembers and not any(mark in payload for mark in _NO_EFFORT)
    place, item_id = event.output_index, event.item_id
    return type(place) is not int or not isinstance(item_id, str) or memory.knows(place, item_id)


ROWS: tuple[Row, ...] = (
    Row("comments", "An SSE comment is a JSON error in ark-go and an exception in ark-java. Left out."),
    Row("framing", "CR line ends, `id:` and `retry:` lines, empty frames and an unclosed last frame lose events in "
                   "openai-python, or break Ark's clients. Sent as one event line and one data line."),
    Row("done", "A `[DONE]` at the end, which this dialect has not, is no JSON to readers that look at every frame. "
                "Left out."),
    Row("type", "An event that says its type in the event line alone is unusable in openai-python.", _mend_type),
    Row("null-effort", "`reasoning.effort: null` fails ark-go at the first event, whose enumerations take no null. "
                       "Left out.",
        _mend_effort),
    Row("identity", "openai-python's helper raises when the id of an answer or of an item changes in mid-stream.",
        _mend_identity),
    Row("output", "An empty `output` in the last event makes openai-python's final text empty. Filled with the items "
                  "that came.",
        _mend_output),
)  # fmt: skip
"""Every row, in the order in which they are applied."""

MENDS: tuple[Row, ...] = tuple(row for row in ROWS if row.mend is not None)
"""The rows that edit an event; the others are the relayer's own."""
