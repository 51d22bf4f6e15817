"""What happens while an answer is made. All four dialects meet here.

Rules that every decoder keeps, so that every encoder can stay simple:

1. `ResponseStarted` comes first. `ResponseEnded` or `ResponseFailed` comes last, exactly once.
2. Part indexes are counted from 0 in the order of first appearance, over all choices of the answer; within one
   choice one part is open at a time.
3. The deltas of a part, joined, are the part.
4. A signature comes with `PartEnded`.
5. `UsageReported` is a snapshot and replaces the one before.
6. `ChoiceFinished` comes once for each choice, after its last part has ended. Decoders put it right before
   `ResponseEnded`, after the last usage; encoders bear a usage that comes after it.
7. Events of several choices may interleave; each says its `choice`.
"""

from __future__ import annotations

from typing import Any

import msgspec

from thalweg.canon.errors import GatewayError
from thalweg.canon.finish import FinishReason
from thalweg.canon.parts import Citation, PartKind, Signature
from thalweg.canon.usage import Usage


class ResponseStarted(msgspec.Struct, frozen=True, kw_only=True):
    """The upstream began to answer."""

    response_id: str
    model: str
    created: int | None = None
    """Unix seconds, as the upstream said."""
    extras: dict[str, Any] = {}
    """What only the upstream's dialect knows, such as `system_fingerprint`."""


class PartStarted(msgspec.Struct, frozen=True, kw_only=True):
    """A part begins."""

    index: int
    kind: PartKind
    choice: int = 0
    call_id: str | None = None
    name: str | None = None
    call_kind: str = "function"
    form: str = "raw"
    """Of reasoning: `raw`, `summary` or `hidden`."""


class PartDelta(msgspec.Struct, frozen=True, kw_only=True):
    """A part grows: `text` is appended to its text, or to a tool call's arguments."""

    index: int
    text: str
    choice: int = 0
    logprobs: Any = None
    """Log probabilities of these tokens where asked for, as Chat has them: `{"content": [{"token", "logprob", …}]}`."""


class PartEnded(msgspec.Struct, frozen=True, kw_only=True):
    """A part is whole."""

    index: int
    choice: int = 0
    signature: Signature | None = None
    redacted: bool = False
    citations: tuple[Citation, ...] = ()
    """Of a text."""
    raw: Any = None
    """Of an opaque part: what it was on the wire; of media: its MIME type."""


class UsageReported(msgspec.Struct, frozen=True, kw_only=True):
    """Token counts so far. `raw` is what the provider sent."""

    usage: Usage
    raw: Any = None


class ChoiceFinished(msgspec.Struct, frozen=True, kw_only=True):
    """One choice has its last part."""

    reason: FinishReason
    choice: int = 0
    raw_reason: str | None = None
    stop_sequence: str | None = None


class ResponseEnded(msgspec.Struct, frozen=True, kw_only=True):
    """The answer is complete, as the dialect defines complete."""


class ResponseFailed(msgspec.Struct, frozen=True, kw_only=True):
    """The answer will not be complete."""

    error: GatewayError


class ResponseContinued(msgspec.Struct, frozen=True, kw_only=True):
    """The answer had broken off, and goes on here: another attempt, at the same model, was told its beginning."""

    attempt: int
    """The attempt that goes on with it."""
    characters: int
    """How long the text was when it broke off, in characters."""

    def mark(self) -> dict[str, int]:
        """What a client is told of it, as a field `thalweg` of the dialect's own envelope."""
        return {"continued_at": self.characters, "attempt": self.attempt}


class Pinged(msgspec.Struct, frozen=True, kw_only=True):
    """The upstream said that it is alive, and nothing else."""


Event = (
    ResponseStarted
    | PartStarted
    | PartDelta
    | PartEnded
    | UsageReported
    | ChoiceFinished
    | ResponseEnded
    | ResponseFailed
    | ResponseContinued
    | Pinged
)
