"""The ledger's tap: settles the entry of an attempt when the relay reports its end."""

from __future__ import annotations

from thalweg.ledger.entry import Settlement, Store
from thalweg.relay.taps import Report
from thalweg.server.house import unix_ms


class Meter:
    """Settles one attempt."""

    __slots__ = ("_attempt", "_ledger", "_request_id")

    def __init__(self, ledger: Store, request_id: str, attempt: int) -> None:
        self._ledger = ledger
        self._request_id = request_id
        self._attempt = attempt

    def ended(self, report: Report) -> None:
        """Post the settlement; the writer keeps it until it is on disk."""
        self._ledger.settle(
            Settlement(
                request_id=self._request_id,
                attempt=self._attempt,
                at_ms=unix_ms(),
                outcome=report.outcome,
                usage=report.usage,
                usage_source=report.usage_source,
                finish_reason=report.finish_reason,
                ttft_ms=report.ttft_ms,
                upstream_ttft_ms=report.upstream_ttft_ms,
                duration_ms=report.duration_ms,
                upstream_status=report.upstream_status,
                error_kind=report.error_kind,
                upstream_closed_ms=report.upstream_closed_ms,
            )
        )
