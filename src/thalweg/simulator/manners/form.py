"""What answers look like: the chunks of a stream, by kind, and a whole answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import msgspec

from thalweg.simulator.manners.ids import AnswerId, CallId
from thalweg.simulator.manners.shape import Shape, Slot

When = Literal["never", "asked", "always"]
"""Whether something is there of itself, or because the request asked for usage."""

Kind = Literal[
    "first",
    "first text",
    "first reasoning",
    "first call",
    "reasoning",
    "text",
    "call",
    "first arguments",
    "arguments",
    "closing",
    "custom call",
    "custom input",
    "finish",
    "finish after calls",
    "finish with calls",
    "usage",
    "error",
]
"""What a chunk brings.

`first` opens a choice. Where a provider sends what comes first in the chunk that opens the choice, `first text` and its
like stand in the place of `first` and of that chunk. `call` opens a tool call, `arguments` are its further pieces, of
which the first may look otherwise, `closing` comes after the last one. A kind that a form lacks is not sent; a special
finish stands in the place of `finish`.
"""

Options = Mapping[str, Any]
"""A request's `stream_options`."""


def never(_: Options) -> bool:
    """No chunk but the last has usage."""
    return False


def always(_: Options) -> bool:
    """Every chunk has usage, asked or not."""
    return True


def where(*members: str) -> Callable[[Options], bool]:
    """Every chunk has usage where the request sets all of these members of `stream_options`."""
    return lambda options: all(options.get(member) is True for member in members)


class Form(msgspec.Struct, frozen=True, kw_only=True):
    """The look of one provider's answers, or of those of some of its models."""

    answer_id: AnswerId
    call_id: CallId
    frames: Mapping[Kind, Shape]
    thinking: Mapping[Kind, Shape] = {}
    """What is otherwise in an answer that thinks."""
    calls: Literal["pieces", "opened", "whole", "with finish"] = "pieces"
    """Tool calls come opened without arguments and then in pieces; opened with the first piece; each in one chunk; or
    all in the chunk that finishes the choice."""
    usage: Shape
    usage_in_finish: When = "never"
    usage_alone: When = "asked"
    """In a chunk after the last finish."""
    usage_null: When = "never"
    """Whether chunks without usage say so with null; else they lack the key."""
    usage_in_each: Callable[[Options], bool] = never
    answer: Shape
    choice: Shape
    """One choice of a whole answer, its message in it."""
    thinking_choice: Shape | None = None
    """The same where the choice has reasoning; `None` where that is no other shape."""
    call: Shape
    """A whole tool call, of a whole answer or in the chunk that finishes a choice."""
    native: Mapping[str, str] = {}
    """Finish reasons in the words of whoever made the model, where they differ from Chat's."""

    @property
    def shows_reasoning(self) -> bool:
        """Whether thoughts are sent, or only counted."""
        return "reasoning" in self.frames or "reasoning" in self.thinking


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """One answer that is to be written in a form."""

    form: Form
    response_id: str
    created: int
    model: str
    """As the provider shows it."""
    request_id: str
    seed: int
    thinks: bool
    usage_asked: bool
    usage_in_each: bool
    padded: bool
    """Whether chunks may hold padding."""

    def wants(self, when: When) -> bool:
        """Whether that holds for this answer."""
        return when == "always" or (when == "asked" and self.usage_asked)

    def head(self) -> dict[Slot, Any]:
        """What is the same in every frame."""
        return {
            Slot.ID: self.response_id,
            Slot.CREATED: self.created,
            Slot.MODEL: self.model,
            Slot.REQUEST_ID: self.request_id,
        }
