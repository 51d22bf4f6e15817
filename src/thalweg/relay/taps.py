"""Watchers of a relay, which cannot change what passes. The ledger's meter and the metrics fit `Tap`."""

from __future__ import annotations

from typing import Literal, Protocol

import msgspec

from thalweg.canon.usage import Usage, UsageSource

Outcome = Literal["complete", "cancelled", "upstream_error", "refused", "gateway_error"]
"""How an attempt ended: whole; stopped by the client or an operator; failed by the upstream, after or before it began
to answer; failed by us."""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of an attempt once it is over. Times are milliseconds on the monotonic clock."""

    outcome: Outcome
    status: int | None = None
    """The HTTP status that the client was told; `None` when it left before."""
    usage: Usage
    usage_source: UsageSource
    finish_reason: str | None
    ttft_ms: float | None
    """From the client's request fully read to the first content handed to the client's socket."""
    upstream_ttft_ms: float | None
    """From the request being sent upstream to the first content read from it."""
    duration_ms: float
    """From the client's request fully read to the end, for the client."""
    upstream_status: int | None
    error_kind: str | None
    deltas: int
    longest_gap_ms: float
    """The longest wait between two reads from the upstream."""
    upstream_closed_ms: float | None
    """From the client's going, or a cancelling, to the upstream's connection being seen closed; `None` where neither
    was. A connection that was still being opened, and the simulator in this process, count as closed when told to."""
    repaired: dict[str, int]
    """How many frames each repair row changed."""
    faltered: bool = False
    """Whether the client was told nothing of it, because another attempt follows."""
    broke_off: bool = False
    """Whether the one that follows goes on with what the client has had of this."""


class Tap(Protocol):
    """Hears of one attempt."""

    def ended(self, report: Report) -> None:
        """The attempt is over. Called exactly once."""
