"""The parts of one choice, in order of first appearance, of which one is open at a time."""

from __future__ import annotations

from collections import deque
from typing import Any

from thalweg.canon.events import Event, PartDelta, PartEnded, PartStarted
from thalweg.canon.parts import Citation, PartKind
from thalweg.dialects.dashscope_native.tables import NAME
from thalweg.dialects.kit.frames import is_json


class Part:
    """One part, open or waiting."""

    __slots__ = ("call_id", "index", "kind", "name", "pieces", "raw")

    def __init__(self, kind: PartKind, *, call_id: str | None = None, name: str | None = None, raw: Any = None) -> None:
        self.kind = kind
        self.call_id = call_id
        self.name = name
        self.raw = raw
        """Of an opaque part: what it was on the wire."""
        self.index = -1
        """Its number once it is open."""
        self.pieces: list[tuple[str, Any]] = []
        """What waits to be said, with log probabilities; of an open call, what was said."""

    @property
    def closable(self) -> bool:
        """Whether nothing more can belong to it, now that something else has come."""
        return self.kind != "tool_call" or is_json("".join(text for text, _ in self.pieces))


class Counter:
    """Numbers the parts of all choices."""

    __slots__ = ("next",)

    def __init__(self) -> None:
        self.next = 0

    def take(self) -> int:
        """The next number."""
        self.next += 1
        return self.next - 1


class Line:
    """The parts of one choice: the first of `queue` is open, the others wait for it to end."""

    __slots__ = ("_choice", "_counter", "_queue", "calls", "sources")

    def __init__(self, choice: int, counter: Counter) -> None:
        self._choice = choice
        self._counter = counter
        self._queue: deque[Part] = deque()
        self.calls: list[Part] = []
        self.sources: list[Citation] = []
        """What the next text that ends rests on."""

    @property
    def alone(self) -> Part | None:
        """The open part, if no other waits for it to end."""
        part = self._queue[0] if len(self._queue) == 1 else None
        return None if part is None or part.index < 0 else part

    def grow(self, kind: PartKind, text: str, events: list[Event], logprobs: Any = None) -> None:
        """Text or reasoning goes on, or begins where something else was said last."""
        if not self._queue or self._queue[-1].kind != kind:
            self._queue.append(Part(kind))
        self._say(self._queue[-1], text, logprobs, events)
        self._advance(events)

    def begin_call(self, call_id: str, name: str, events: list[Event]) -> Part:
        """A call begins."""
        part = Part("tool_call", call_id=call_id, name=name)
        self.calls.append(part)
        self._queue.append(part)
        self._advance(events)
        return part

    def grow_call(self, part: Part, text: str, events: list[Event]) -> None:
        """A call's arguments go on. One that was whole when the next part came has nothing more to say."""
        if part in self._queue:
            self._say(part, text, None, events)
            self._advance(events)

    def add_opaque(self, raw: Any, events: list[Event]) -> None:
        """Something with no canonical meaning, whole at once."""
        self._queue.append(Part("opaque", name=NAME, raw=raw))
        self._advance(events)

    def flush(self, events: list[Event]) -> None:
        """End every part."""
        while self._queue:
            if self._queue[0].index < 0:
                self._open(self._queue[0], events)
            self._shut(self._queue.popleft(), events)

    def _say(self, part: Part, text: str, logprobs: Any, events: list[Event]) -> None:
        if part.index < 0 or part.kind == "tool_call":
            part.pieces.append((text, logprobs))
        if part.index >= 0:
            events.append(PartDelta(index=part.index, choice=self._choice, text=text, logprobs=logprobs))

    def _advance(self, events: list[Event]) -> None:
        """Open what can be open, end what cannot grow any more."""
        queue = self._queue
        while queue:
            if queue[0].index < 0:
                self._open(queue[0], events)
            if queue[0].kind != "opaque" and (len(queue) == 1 or not queue[0].closable):
                return
            self._shut(queue.popleft(), events)

    def _open(self, part: Part, events: list[Event]) -> None:
        part.index = self._counter.take()
        events.append(
            PartStarted(index=part.index, choice=self._choice, kind=part.kind, call_id=part.call_id, name=part.name)
        )
        for text, logprobs in part.pieces:
            events.append(PartDelta(index=part.index, choice=self._choice, text=text, logprobs=logprobs))
        if part.kind != "tool_call":
            part.pieces.clear()

    def _shut(self, part: Part, events: list[Event]) -> None:
        sources: list[Citation] = []
        if part.kind == "text":
            sources, self.sources = self.sources, []
        events.append(PartEnded(index=part.index, choice=self._choice, raw=part.raw, citations=tuple(sources)))
