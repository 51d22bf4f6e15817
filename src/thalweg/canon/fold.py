"""Make a whole answer out of events. What we stream, folded, equals what we would have sent whole."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

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
from thalweg.canon.parts import Media, Opaque, Part, Reasoning, Refusal, Signature, Text, ToolCall
from thalweg.canon.response import Choice, Response
from thalweg.canon.usage import Usage


class _OpenPart:
    """One part while it grows. Its text is gathered as a list and joined once."""

    __slots__ = ("ended", "pieces", "started")

    def __init__(self, started: PartStarted) -> None:
        self.started = started
        self.pieces: list[str] = []
        self.ended: PartEnded | None = None

    def part(self) -> Part:
        return _MAKERS[self.started.kind](self.started, "".join(self.pieces), self.ended)


def _signature(ended: PartEnded | None) -> Signature | None:
    return ended.signature if ended else None


def _text(_: PartStarted, text: str, ended: PartEnded | None) -> Part:
    return Text(text=text, signature=_signature(ended), citations=ended.citations if ended else ())


def _reasoning(started: PartStarted, text: str, ended: PartEnded | None) -> Part:
    form: Any = started.form
    return Reasoning(text=text, form=form, signature=_signature(ended), redacted=bool(ended and ended.redacted))


def _tool_call(started: PartStarted, text: str, ended: PartEnded | None) -> Part:
    kind: Any = started.call_kind
    return ToolCall(
        id=started.call_id or "",
        name=started.name or "",
        arguments=text,
        kind=kind,
        signature=_signature(ended),
    )


def _refusal(_: PartStarted, text: str, __: PartEnded | None) -> Part:
    return Refusal(text=text)


def _media(_: PartStarted, text: str, ended: PartEnded | None) -> Part:
    mime = ended.raw if ended and isinstance(ended.raw, str) else None
    return Media(kind="audio" if mime and mime.startswith("audio/") else "image", data=text, mime=mime)


def _opaque(started: PartStarted, text: str, ended: PartEnded | None) -> Part:
    return Opaque(dialect=started.name or "", raw=ended.raw if ended and ended.raw is not None else text)


_MAKERS: dict[str, Callable[[PartStarted, str, PartEnded | None], Part]] = {
    "text": _text,
    "reasoning": _reasoning,
    "tool_call": _tool_call,
    "refusal": _refusal,
    "media": _media,
    "opaque": _opaque,
}


class Fold:
    """Gathers one answer. Feed it every event in order, then ask for `response()`; it may be asked at any time."""

    __slots__ = (
        "_choices",
        "_ended",
        "_error",
        "_finished",
        "_logprobs",
        "_parts",
        "_raw_usage",
        "_started",
        "_usage",
    )

    def __init__(self) -> None:
        self._started: ResponseStarted | None = None
        self._parts: dict[int, _OpenPart] = {}
        self._logprobs: dict[int, dict[str, list[Any]]] = {}
        self._finished: dict[int, ChoiceFinished] = {}
        self._choices: dict[int, None] = {}
        self._usage: Usage | None = None
        self._raw_usage: Any = None
        self._error: GatewayError | None = None
        self._ended = False

    def feed(self, events: Iterable[Event]) -> None:
        """Take in events."""
        for event in events:
            _STEPS[type(event)](self, event)

    def pieces_of(self, part: int) -> list[str]:
        """The texts of a part that has begun, to be added to: what `feed` does with a delta, for the many."""
        return self._parts[part].pieces

    def response(self) -> Response:
        """The answer so far. Parts that have not ended are in it as far as they have come."""
        started = self._started or ResponseStarted(response_id="", model="")
        return Response(
            response_id=started.response_id,
            model=started.model,
            created=started.created,
            choices=tuple(self._choice(index) for index in sorted(self._choices)),
            usage=self._usage,
            raw_usage=self._raw_usage,
            error=self._error,
            complete=self._ended and self._error is None,
            extras=started.extras,
        )

    def _choice(self, index: int) -> Choice:
        finished = self._finished.get(index)
        return Choice(
            index=index,
            parts=tuple(p.part() for p in self._parts.values() if p.started.choice == index),
            finish_reason=finished.reason if finished else None,
            raw_finish_reason=finished.raw_reason if finished else None,
            stop_sequence=finished.stop_sequence if finished else None,
            logprobs=dict(self._logprobs[index]) if index in self._logprobs else None,
        )

    def _on_started(self, event: ResponseStarted) -> None:
        self._started = event

    def _on_part_started(self, event: PartStarted) -> None:
        self._choices.setdefault(event.choice)
        self._parts[event.index] = _OpenPart(event)

    def _on_part_delta(self, event: PartDelta) -> None:
        self._parts[event.index].pieces.append(event.text)
        if isinstance(event.logprobs, dict):
            kept = self._logprobs.setdefault(event.choice, {})
            for field, tokens in event.logprobs.items():
                if isinstance(tokens, list):
                    kept.setdefault(field, []).extend(tokens)

    def _on_part_ended(self, event: PartEnded) -> None:
        self._parts[event.index].ended = event

    def _on_usage(self, event: UsageReported) -> None:
        self._usage, self._raw_usage = event.usage, event.raw

    def _on_finished(self, event: ChoiceFinished) -> None:
        self._choices.setdefault(event.choice)
        self._finished[event.choice] = event

    def _on_ended(self, _: ResponseEnded) -> None:
        self._ended = True

    def _on_failed(self, event: ResponseFailed) -> None:
        self._error = event.error

    def _on_pinged(self, _: Pinged | ResponseContinued) -> None:
        pass


_STEPS: dict[type, Callable[[Fold, Any], None]] = {
    ResponseStarted: Fold._on_started,
    PartStarted: Fold._on_part_started,
    PartDelta: Fold._on_part_delta,
    PartEnded: Fold._on_part_ended,
    UsageReported: Fold._on_usage,
    ChoiceFinished: Fold._on_finished,
    ResponseEnded: Fold._on_ended,
    ResponseFailed: Fold._on_failed,
    Pinged: Fold._on_pinged,
    ResponseContinued: Fold._on_pinged,
}


def fold(events: Iterable[Event]) -> Response:
    """The whole answer that these events make."""
    gathered = Fold()
    gathered.feed(events)
    return gathered.response()


def unfold(response: Response) -> list[Event]:
    """The events that make this answer: each part in one delta, choice after choice. The inverse of `fold`."""
    events: list[Event] = [
        ResponseStarted(
            response_id=response.response_id, model=response.model, created=response.created, extras=response.extras
        )
    ]
    index = 0
    for choice in response.choices:
        for part in choice.parts:
            events += _unfold_part(index, choice.index, part)
            index += 1
    if response.usage is not None:
        events.append(UsageReported(usage=response.usage, raw=response.raw_usage))
    events += [
        ChoiceFinished(
            reason=choice.finish_reason or FinishReason.UNKNOWN,
            choice=choice.index,
            raw_reason=choice.raw_finish_reason,
            stop_sequence=choice.stop_sequence,
        )
        for choice in response.choices
    ]
    events.append(ResponseFailed(error=response.error) if response.error else ResponseEnded())
    return events


def _unfold_part(index: int, choice: int, part: Part) -> list[Event]:
    started, text, ended = _OPENERS[type(part)](index, choice, part)
    return [started, PartDelta(index=index, choice=choice, text=text), ended] if text else [started, ended]


_Unfolded = tuple[PartStarted, str, PartEnded]


def _open_text(index: int, choice: int, part: Any) -> _Unfolded:
    ended = PartEnded(index=index, choice=choice, signature=part.signature, citations=part.citations)
    return PartStarted(index=index, choice=choice, kind="text"), part.text, ended


def _open_reasoning(index: int, choice: int, part: Any) -> _Unfolded:
    ended = PartEnded(index=index, choice=choice, signature=part.signature, redacted=part.redacted)
    return PartStarted(index=index, choice=choice, kind="reasoning", form=part.form), part.text, ended


def _open_call(index: int, choice: int, part: Any) -> _Unfolded:
    started = PartStarted(
        index=index, choice=choice, kind="tool_call", call_id=part.id, name=part.name, call_kind=part.kind
    )
    return started, part.arguments, PartEnded(index=index, choice=choice, signature=part.signature)


def _open_refusal(index: int, choice: int, part: Any) -> _Unfolded:
    return PartStarted(index=index, choice=choice, kind="refusal"), part.text, PartEnded(index=index, choice=choice)


def _open_media(index: int, choice: int, part: Any) -> _Unfolded:
    ended = PartEnded(index=index, choice=choice, raw=part.mime)
    return PartStarted(index=index, choice=choice, kind="media"), part.data or "", ended


def _open_opaque(index: int, choice: int, part: Any) -> _Unfolded:
    ended = PartEnded(index=index, choice=choice, raw=part.raw)
    return PartStarted(index=index, choice=choice, kind="opaque", name=part.dialect), "", ended


_OPENERS: dict[type, Callable[[int, int, Any], _Unfolded]] = {
    Text: _open_text,
    Reasoning: _open_reasoning,
    ToolCall: _open_call,
    Refusal: _open_refusal,
    Media: _open_media,
    Opaque: _open_opaque,
}
