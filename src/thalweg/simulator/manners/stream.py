"""Writes a stream in a provider's form.

The dialect's own encoder makes the plain chunks; what each of them brings is put into the shape that the form has for
it. What is kept of an answer: one tool call, where calls are not sent in pieces, and the last chunk of a choice, where
usage stands in it.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from thalweg.canon.errors import GatewayError
from thalweg.canon.events import Event, PartDelta, PartEnded, ResponseFailed, UsageReported
from thalweg.canon.usage import Usage
from thalweg.dialects.base import StreamEncoder
from thalweg.simulator.manners.errors import Errors, refusal_of
from thalweg.simulator.manners.figures import usage_values
from thalweg.simulator.manners.form import Facts, Kind
from thalweg.simulator.manners.shape import Shape, Slot, fill

_DONE = b"data: [DONE]\n\n"
_LAZY: tuple[Kind, ...] = ("first text", "first reasoning", "first call")
_AFTER_CALLS: tuple[Kind, ...] = ("finish with calls", "finish after calls")

Values = dict[Slot, Any]


class _Call:
    """A tool call that is being sent."""

    __slots__ = ("call_id", "index", "name", "opened", "pieces")

    def __init__(self, index: int, call_id: str, name: str) -> None:
        self.index = index
        self.call_id = call_id
        self.name = name
        self.opened = False
        self.pieces: list[str] = []

    def values(self, arguments: str) -> Values:
        return {
            Slot.CALL_INDEX: self.index,
            Slot.CALL_ID: self.call_id,
            Slot.NAME: self.name,
            Slot.ARGUMENTS: arguments,
        }


class MannerEncoder:
    """Writes one stream. Lives as long as the answer."""

    def __init__(
        self, plain: StreamEncoder, facts: Facts, errors: Errors, spent: Callable[[], Usage], content_type: bytes
    ) -> None:
        self.content_type = content_type
        self.error: GatewayError | None = None
        self.held_chars = 0
        self._plain = plain
        self._facts = facts
        self._form = facts.form
        self._errors = errors
        self._spent = spent
        self._rng = random.Random(f"frames {facts.seed}")
        self._head = facts.head()
        self._begun: set[int] = set()
        self._calls: dict[int, _Call] = {}
        """The open call of each choice."""
        self._called: dict[int, list[_Call]] = {}
        """The calls of each choice that are whole."""
        self._held: Values | None = None
        """The finish that waits for usage."""
        self._last_finish: Values = {}
        self._usage: Usage | None = None

    def keepalive(self) -> bytes:
        """Silences are broken by the manner's style."""
        return self._plain.keepalive()

    def encode(self, events: Iterable[Event]) -> list[bytes]:
        """The frames for these events."""
        frames: list[bytes] = []
        for event in events:
            if isinstance(event, ResponseFailed):
                frames += self._failed(event.error)
                continue
            if isinstance(event, UsageReported):
                self._usage = event.usage
            for frame in self._plain.encode([event]):
                frames += self._reshaped(frame)
            if isinstance(event, PartEnded):
                frames += self._close_call(event.choice)
        return frames

    def grow(self, event: PartDelta) -> bytes:
        """The frames for one event by which a part grows."""
        return b"".join(self.encode([event]))

    def template(self, index: int) -> None:
        """None: frames are changed one by one."""

    def templated(self, text: str, frames: int) -> None:
        """Nothing was."""

    def _reshaped(self, frame: bytes) -> list[bytes]:
        if frame == _DONE:
            return [*self._let_go(None), _DONE]
        choices = msgspec.json.decode(frame[len(b"data: ") :])["choices"]
        return self._choice(choices[0]) if choices else self._ended()

    def _choice(self, choice: dict[str, Any]) -> list[bytes]:
        """One plain chunk of one choice."""
        at, delta = choice["index"], choice["delta"]
        if choice["finish_reason"]:
            return self._finish(at, choice["finish_reason"])
        if delta.get("reasoning_content"):
            return self._say("reasoning", at, {Slot.REASONING: delta["reasoning_content"]})
        if delta.get("tool_calls"):
            return self._call_piece(at, delta["tool_calls"][0])
        if delta.get("content"):
            return self._say("text", at, {Slot.TEXT: delta["content"]})
        return [] if any(map(self._shape, _LAZY)) else self._open(at)

    def _say(self, kind: Kind, at: int, values: Values) -> list[bytes]:
        """A chunk that adds to a choice, and before it the one that opens the choice."""
        if self._shape(kind) is None:
            return []
        if at not in self._begun:
            first: Any = f"first {kind}"
            if self._shape(first) is None:
                return [*self._open(at), *self._sent(kind, at, values)]
            self._begun.add(at)
            kind = first
        return self._sent(kind, at, values)

    def _open(self, at: int) -> list[bytes]:
        if at in self._begun:
            return []
        self._begun.add(at)
        return self._sent("first", at, {})

    def _call_piece(self, at: int, piece: dict[str, Any]) -> list[bytes]:
        custom = "custom" in piece and self._shape("custom call") is not None
        body = piece.get("function") or piece.get("custom") or {}
        text = body.get("arguments") or body.get("input") or ""
        if "id" in piece:
            call_id = self._form.call_id(self._rng, body["name"], piece["index"])
            call = self._calls[at] = _Call(piece["index"], call_id, body["name"])
            return self._open_call(at, call, custom=custom)
        call = self._calls[at]
        if self._form.calls == "opened" and not call.opened:
            call.opened = True
            return self._say("call", at, call.values(text))
        if self._form.calls in ("whole", "with finish"):
            call.pieces.append(text)
            return []
        kind: Kind = "custom input" if custom else "arguments"
        if not call.opened and self._shape("first arguments") is not None:
            kind = "first arguments"
        call.opened = True
        return self._say(kind, at, call.values(text))

    def _open_call(self, at: int, call: _Call, *, custom: bool) -> list[bytes]:
        if self._form.calls != "pieces":
            return []
        return self._say("custom call" if custom else "call", at, call.values(""))

    def _close_call(self, at: int) -> list[bytes]:
        """The part that was open is whole."""
        if (call := self._calls.pop(at, None)) is None:
            return []
        self._called.setdefault(at, []).append(call)
        if self._form.calls == "whole":
            return self._say("call", at, call.values("".join(call.pieces)))
        return [] if self._form.calls == "with finish" else self._say("closing", at, call.values(""))

    def _finish(self, at: int, reason: str) -> list[bytes]:
        frames = [*self._let_go(None), *self._open(at)]
        values: Values = {Slot.INDEX: at, Slot.FINISH: reason, Slot.NATIVE: self._form.native.get(reason, reason)}
        if calls := self._called.pop(at, []):
            values[Slot.CALLS] = [fill(self._form.call, call.values("".join(call.pieces))) for call in calls]
        self._last_finish = self._held = values
        # Whether usage follows is only known when it comes.
        return frames if self._facts.wants(self._form.usage_in_finish) else [*frames, *self._let_go(None)]

    def _let_go(self, usage: Usage | None) -> list[bytes]:
        """Send the finish that was held."""
        values, self._held = self._held, None
        if values is None:
            return []
        kind: Kind = "finish"
        if Slot.CALLS in values:
            kind = next((each for each in _AFTER_CALLS if self._shape(each)), kind)
        return self._sent(kind, values[Slot.INDEX], values, usage)

    def _ended(self) -> list[bytes]:
        """Usage has come, after the last finish."""
        frames = self._let_go(self._usage)
        if self._facts.wants(self._form.usage_alone):
            frames += self._sent("usage", self._last_finish.get(Slot.INDEX, 0), self._last_finish, self._usage)
        return frames

    def _failed(self, error: GatewayError) -> list[bytes]:
        """The error as it stands in a stream, and what this provider sends after it."""
        frames = self._let_go(None)
        said = self._errors.values(refusal_of(error), self._facts.request_id)
        if self._shape("error") is None:
            frames.append(self._frame(fill(self._errors.body, said), event=self._errors.event))
        else:
            frames += self._sent("error", 0, said)
        return [*frames, _DONE] if self._errors.done_after else frames

    def _shape(self, kind: Kind) -> Shape | None:
        thinking = self._form.thinking.get(kind) if self._facts.thinks else None
        return thinking or self._form.frames.get(kind)

    def _sent(self, kind: Kind, at: int, values: Values, usage: Usage | None = None) -> list[bytes]:
        shape = self._shape(kind)
        if shape is None:
            return []
        filled = self._head | {Slot.INDEX: at} | values | self._usage_value(usage)
        if self._facts.padded:
            filled[Slot.PADDING] = f"{self._rng.getrandbits(64):016x}"[: self._rng.randint(1, 16)]
        tree = fill(shape, filled)
        return [self._frame(tree, event=self._errors.event if kind == "error" else b"")]

    def _usage_value(self, usage: Usage | None) -> Values:
        if usage is None and self._facts.usage_in_each:
            usage = self._spent()
        if usage is None:
            return {Slot.USAGE: None} if self._facts.wants(self._form.usage_null) else {}
        values = usage_values(usage, thinks=self._facts.thinks)
        return {Slot.USAGE: fill(self._form.usage, self._head | values)}

    def _frame(self, tree: Any, *, event: bytes = b"") -> bytes:
        return (b"event: " + event + b"\n" if event else b"") + b"data: " + msgspec.json.encode(tree) + b"\n\n"
