"""A whole answer, in no dialect."""

from __future__ import annotations

from typing import Any

import msgspec

from thalweg.canon.errors import GatewayError
from thalweg.canon.finish import FinishReason
from thalweg.canon.parts import Part, Reasoning, Text, ToolCall
from thalweg.canon.usage import Usage


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """One of the answers that were asked for; most requests ask for one."""

    index: int
    parts: tuple[Part, ...]
    finish_reason: FinishReason | None
    """`None` when the answer broke off before it said why."""
    raw_finish_reason: str | None = None
    stop_sequence: str | None = None
    logprobs: dict[str, Any] | None = None

    @property
    def text(self) -> str:
        """All its text, joined."""
        return "".join(part.text for part in self.parts if isinstance(part, Text))

    @property
    def reasoning(self) -> str:
        """All its reasoning, joined."""
        return "".join(part.text for part in self.parts if isinstance(part, Reasoning))

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """The calls in it, in order."""
        return tuple(part for part in self.parts if isinstance(part, ToolCall))


class Response(msgspec.Struct, frozen=True, kw_only=True):
    """A whole answer, or as much of it as there is."""

    response_id: str
    model: str
    created: int | None
    choices: tuple[Choice, ...]
    usage: Usage | None
    """`None` when none was reported."""
    raw_usage: Any = None
    error: GatewayError | None = None
    complete: bool = False
    """Whether the dialect's own end mark came and no error did."""
    extras: dict[str, Any] = {}

    @property
    def choice(self) -> Choice:
        """The first choice; one without parts where there is none."""
        return self.choices[0] if self.choices else Choice(index=0, parts=(), finish_reason=None)

    @property
    def text(self) -> str:
        """All text of the first choice."""
        return self.choice.text
