"""What is undone in an upstream's answer before a client of another dialect reads it.

Names of tools go back to the client's, ids of calls get a form that every client takes, free text that was asked for as
an argument is taken out of it, and stop sequences that the upstream could not be told of end the answer here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import msgspec
from msgspec.structs import replace

from thalweg.canon.errors import UpstreamBroke
from thalweg.canon.events import (
    ChoiceFinished,
    Event,
    PartDelta,
    PartEnded,
    PartStarted,
    ResponseEnded,
    ResponseFailed,
    ResponseStarted,
)
from thalweg.canon.finish import FinishReason
from thalweg.canon.ids import call_id
from thalweg.dialects.base import UpstreamBody
from thalweg.relay.stops import StopMatcher


class Adapter:
    """Adapts the events of one answer. Lives as long as it."""

    __slots__ = (
        "_answers",
        "_calls",
        "_failed",
        "_response_id",
        "_sent",
        "_spoke",
        "_stops",
        "_wrapped",
        "cut",
        "holds",
    )

    def __init__(self, sent: UpstreamBody) -> None:
        self._sent = sent
        self._response_id = ""
        self._wrapped: dict[int, list[str]] = {}
        """Arguments of open calls whose free text is still inside, by part."""
        self._answers: set[int] = set()
        """Parts that are calls of the answer tool."""
        self._calls: set[int] = set()
        """Choices that have called a tool of the client's."""
        self._stops: dict[int, StopMatcher] = {}
        """Of open texts, by part."""
        self.holds = False
        """Whether a delta may have to wait or to change."""
        self.cut = False
        """Whether a stop sequence has ended the answer."""
        self._spoke = self._failed = False
        """Whether there is anything but thoughts; whether the answer has become an error."""

    def adapt(self, events: Iterable[Event]) -> list[Event]:
        """The events as the client is to read them."""
        out: list[Event] = []
        for event in events:
            if self.cut or self._failed:
                break
            step = _STEPS.get(type(event))
            if step is None:
                out.append(event)
            else:
                out += step(self, event)
        return out

    def _on_started(self, event: ResponseStarted) -> list[Event]:
        self._response_id = event.response_id
        return [event]

    def _on_part_started(self, event: PartStarted) -> list[Event]:
        self._spoke = self._spoke or event.kind != "reasoning"
        if event.kind == "text" and self._sent.stops:
            self._stops[event.index] = StopMatcher(self._sent.stops)
            self.holds = True
        if event.kind != "tool_call":
            return [event]
        name = event.name or ""
        if name == self._sent.answer_tool:
            self._answers.add(event.index)
            return [PartStarted(index=event.index, kind="text", choice=event.choice)]
        self._calls.add(event.choice)
        name = self._sent.tool_names.get(name, name)
        kind = event.call_kind
        if name in self._sent.wrapped_tools:
            self._wrapped[event.index] = []
            self.holds = True
            kind = "custom"
        own = call_id(event.call_id, self._response_id, event.index)
        return [replace(event, name=name, call_kind=kind, call_id=own)]

    def _on_delta(self, event: PartDelta) -> list[Event]:
        if (held := self._wrapped.get(event.index)) is not None:
            held.append(event.text)
            return []
        matcher = self._stops.get(event.index)
        if matcher is None:
            return [event]
        said = matcher.feed(event.text)
        out: list[Event] = [replace(event, text=said)] if said else []
        if matcher.found is not None:
            self.cut = True
            out.append(PartEnded(index=event.index, choice=event.choice))
            reason, found = FinishReason.STOP_SEQUENCE, matcher.found
            out.append(
                ChoiceFinished(reason=reason, choice=event.choice, raw_reason="stop_sequence", stop_sequence=found)
            )
            out.append(ResponseEnded())
        return out

    def _on_part_ended(self, event: PartEnded) -> list[Event]:
        out: list[Event] = [event]
        if (held := self._wrapped.pop(event.index, None)) is not None:
            out.insert(0, PartDelta(index=event.index, choice=event.choice, text=_free_text("".join(held))))
        matcher = self._stops.pop(event.index, None)
        if matcher is not None and (rest := matcher.end()):
            out.insert(0, PartDelta(index=event.index, choice=event.choice, text=rest))
        return out

    def _on_finished(self, event: ChoiceFinished) -> list[Event]:
        """Whoever called the answer tool alone has answered. A call that nobody can read, and nothing beside it, is no
        answer: another attempt may bring one.
        """
        if event.reason is FinishReason.MALFORMED_CALL and not self._spoke:
            self._failed = True
            said = f"the model made a call that cannot be read, and said nothing else ({event.raw_reason})"
            return [ResponseFailed(error=UpstreamBroke(said))]
        if self._answers and event.reason is FinishReason.TOOL_CALLS and event.choice not in self._calls:
            return [replace(event, reason=FinishReason.STOP)]
        return [event]


def _free_text(arguments: str) -> str:
    """The one argument of a free text tool; of anything else, all of it."""
    try:
        tree = msgspec.json.decode(arguments)
    except (msgspec.DecodeError, RecursionError):
        return arguments
    found = tree.get("input") if isinstance(tree, dict) else None
    return found if isinstance(found, str) else arguments


_STEPS: dict[type, Callable[[Adapter, Any], list[Event]]] = {
    ResponseStarted: Adapter._on_started,
    PartStarted: Adapter._on_part_started,
    PartDelta: Adapter._on_delta,
    PartEnded: Adapter._on_part_ended,
    ChoiceFinished: Adapter._on_finished,
}
