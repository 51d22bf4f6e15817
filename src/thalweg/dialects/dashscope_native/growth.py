"""Deltas out of frames that may hold the text since the last frame, or all of it so far.

Which of the two it is was said in the request (`incremental_output`), and some models do not heed it. So it is read off
the stream: where a field's text begins with what that field said before, and goes on, twice in a row, frames are
cumulative; where it does not, they are increments. The second text alone may be either and is held for one frame.
"""

from __future__ import annotations

from typing import Any

Field = tuple[int, Any]
"""A choice, and what of it."""
Grown = list[tuple[Field, str]]
"""Fields and what they grew by."""


class Growth:
    """The fields of one stream. Lives as long as the stream."""

    __slots__ = ("_held", "_whole", "cumulative")

    def __init__(self) -> None:
        self.cumulative: bool | None = None
        """Whether frames hold all text so far; `None` while nobody can know."""
        self._whole: dict[Field, str] = {}
        """All that each field has said, until it is known that frames are increments."""
        self._held: tuple[Field, str] | None = None
        """The newest text of a field, which may be an increment or all of it."""

    def take(self, field: Field, text: str, *, moved: bool = True) -> Grown:
        """What there is to say now that a frame has this text. `moved`: the field may have
        grown, because the frame counts more tokens than the last and has no later field.
        """
        if self.cumulative is False:
            return [(field, text)]
        if self.cumulative:
            return self._grown(field, text)
        before = self._settled_for(field)
        whole = self._whole.get(field)
        if whole is None:
            self._whole[field] = text
            return [*before, (field, text)]
        newest = self._held[1] if self._held else whole
        if self._held is None:
            if text == newest and not moved:
                return before
            if text != newest and text.startswith(newest):
                self._held = (field, text)
                return before
        elif text.startswith(newest):
            self._held, self.cumulative = None, True
            return [*before, *self._grown(field, text)]
        return [*before, *self._increments(field, text)]

    def settle(self) -> Grown:
        """Nothing more comes that could tell: what is held goes on where its field was."""
        if self._held is None:
            return []
        (field, text), self._held = self._held, None
        self.cumulative = True
        return self._grown(field, text)

    def _settled_for(self, field: Field) -> Grown:
        """What another field held, which this one must not overtake."""
        return self.settle() if self._held is not None and self._held[0] != field else []

    def _grown(self, field: Field, text: str) -> Grown:
        """What is new in a text of which a part was said. One that became shorter, or another, says nothing new."""
        said = self._whole.get(field, "")
        if len(text) <= len(said):
            return []
        self._whole[field] = text
        return [(field, text[len(said) :])]

    def _increments(self, field: Field, text: str) -> Grown:
        held, self._held = self._held, None
        self.cumulative = False
        self._whole.clear()
        return [held, (field, text)] if held else [(field, text)]
