"""Token counts. `None` means unknown, never zero."""

from __future__ import annotations

from typing import Literal

import msgspec

UsageSource = Literal["reported", "counted", "estimated", "unknown"]
"""How we know: the upstream said it; we counted tokens in what we read; we estimated from text; nobody knows."""
WEAKEST_FIRST: tuple[UsageSource, ...] = ("unknown", "estimated", "counted", "reported")
"""A sum is known as well as the weakest of its parts."""


MOST_TOKENS = 10**12
"""More than any one answer can use. A larger count is an upstream's nonsense, and would make a later sum overflow."""


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """What one answer used so far. A later snapshot replaces an earlier one; those of one attempt are never added."""

    input_tokens: int | None = None
    """All tokens read, those served from a cache and those written to one included."""
    cached_input_tokens: int | None = None
    """Part of `input_tokens` that came from the provider's prompt cache."""
    cache_write_tokens: int | None = None
    """Part of `input_tokens` that was written to the provider's prompt cache."""
    audio_input_tokens: int | None = None
    """Part of `input_tokens` that was audio."""
    output_tokens: int | None = None
    """All tokens made, reasoning included."""
    reasoning_tokens: int | None = None
    """Part of `output_tokens` that was reasoning."""
    audio_output_tokens: int | None = None
    """Part of `output_tokens` that was audio."""

    @property
    def total_tokens(self) -> int | None:
        """Input and output together, or `None` where either is unknown."""
        if self.input_tokens is None or self.output_tokens is None:
            return None
        return self.input_tokens + self.output_tokens

    def plus(self, other: Usage) -> Usage:
        """What two attempts used together. What only one of them knows is a lower bound."""
        pairs = zip(self.__struct_fields__, msgspec.structs.astuple(self), msgspec.structs.astuple(other), strict=True)
        return Usage(**{name: one if two is None else (one or 0) + two for name, one, two in pairs})


def estimate_tokens(narrow_chars: int, wide_chars: int) -> int:
    """A guess from characters, for text whose real count never came.

    ASCII text has about four characters to a token in today's vocabularies, CJK about 0.7 tokens to a character.
    Good to some 15 % on prose; anything made of it is marked `estimated`.
    """
    return -(-(narrow_chars * 25 + wide_chars * 70) // 100)
