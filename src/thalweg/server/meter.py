"""What hears of a request's end: the ledger's tap, which settles its entry, and the one that counts it and logs it."""

from __future__ import annotations

import time
from collections.abc import Sequence

import msgspec
from msgspec.structs import replace

from thalweg.canon.errors import GatewayError
from thalweg.canon.scrub import name_of, path_of
from thalweg.ledger.entry import Reservation, Settlement, Store
from thalweg.relay.taps import Report, Tap
from thalweg.server.auth import Identity
from thalweg.server.guard import REFUSAL
from thalweg.server.house import House, unix_ms
from thalweg.server.log import Line
from thalweg.server.metrics import REJECTED
from thalweg.server.shapes import dialect_of
from thalweg.server.trace import Trace, trace_of
from thalweg.server.wire import Headers, Scope


class Meter(msgspec.Struct, frozen=True):
    """Settles one attempt."""

    ledger: Store
    request_id: str
    number: int

    def ended(self, report: Report) -> None:
        """Post the settlement; the writer keeps it until it is on disk."""
        self.ledger.settle(
            Settlement(
                request_id=self.request_id,
                attempt=self.number,
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


class Observer:
    """Counts one generation request and writes its line, at its end; also where no attempt is made."""

    __slots__ = (
        "_began",
        "_continued",
        "_dialect",
        "_faltered",
        "_headers",
        "_house",
        "_scope",
        "_stream_id",
        "caller",
        "model",
        "reservation",
        "trace",
    )

    def __init__(self, house: House, scope: Scope, stream_id: str, headers: Headers, dialect: str) -> None:
        self._house = house
        self._scope = scope
        self._stream_id = stream_id
        self._headers = headers
        self._dialect = dialect
        self._began = time.monotonic()
        self._faltered: tuple[Reservation, Report] | None = None
        self._continued = 0
        """Attempts that go on with a text that broke off."""
        self.trace: Trace | None = None
        """Its place in a trace; `None` where the client sent none."""
        self.caller: Identity | None = None
        """Whose it is, once that is known."""
        self.model: str | None = None
        """The model that was asked for, once its request was read."""
        self.reservation: Reservation | None = None
        """The attempt that is told of, once there is to be one."""

    def traced(self) -> None:
        """The client sent a `traceparent`."""
        self.trace = trace_of(self._scope["headers"])

    def attempt(self, reservation: Reservation) -> Tap:
        """A tap for an attempt that is to be made."""
        self.reservation = self.reservation or reservation
        self._continued += reservation.continued
        return _Attempt(self, reservation)

    def ended(self, asked: Reservation, report: Report) -> None:
        """An attempt is over. One that another follows, or overtook, is counted; the line is for the last."""
        house = self._house
        if report.faltered:
            self._faltered = (asked, report)
            if report.error_kind is not None:
                house.metrics.faltered(upstream=asked.provider, report=report)
            return
        self.reservation, self._faltered = asked, None
        house.metrics.ended(
            dialect=self._dialect,
            upstream=asked.provider,
            model=asked.upstream_model,
            stream=asked.stream,
            report=report,
        )
        if house.log.requests:
            line = self._line(report.status, report.outcome)
            line.attempts, line.continued = asked.attempt, self._continued
            _tell(line, report)
            house.log.request(line)

    def given_up(self, status: int | None) -> None:
        """The attempt that was to follow could not be made, or nobody wants it any more; the client was told this
        status.
        """
        if self._faltered is not None:
            asked, report = self._faltered
            self.ended(asked, replace(report, faltered=False, status=status))

    def rejected(self, error: GatewayError, status: int) -> None:
        """It was refused before any upstream was asked."""
        self._house.metrics.rejected(self._dialect, error.kind)
        self._unattempted(status, REJECTED, error.kind)

    def abandoned(self) -> None:
        """The client went before it had sent all of it, or took so long that the guard sent it away."""
        refusal: GatewayError | None = self._scope.get(REFUSAL)
        if refusal is not None:
            self.rejected(refusal, refusal.status)
            return
        self._house.metrics.abandoned(self._dialect)
        self._unattempted(None, "cancelled", None)

    def _unattempted(self, status: int | None, outcome: str, error_kind: str | None) -> None:
        if self._house.log.requests:
            line = self._line(status, outcome)
            line.error_kind, line.duration_ms = error_kind, _since(self._began)
            self._house.log.request(line)

    def _line(self, status: int | None, outcome: str) -> Line:
        asked, own = self.reservation, self._stream_id
        request_id, client_request_id = _ids(self._headers, own)
        line = Line(
            request_id=request_id,
            stream_id=own,
            client_request_id=client_request_id,
            trace_id=None if self.trace is None else self.trace.trace_id.decode(),
            key_id=None if self.caller is None else self.caller.key_id,
            method=self._scope["method"],
            path=path_of(self._scope["path"]),
            status=status,
            dialect=self._dialect,
            model=None if self.model is None else name_of(self.model),
            outcome=outcome,
        )
        if asked is not None:
            line.provider, line.upstream_model = asked.provider, name_of(asked.upstream_model)
            line.stream, line.simulated = asked.stream, asked.simulated
        return line


class _Attempt(msgspec.Struct, frozen=True):
    """Hears of one attempt for its request's observer."""

    observer: Observer
    asked: Reservation

    def ended(self, report: Report) -> None:
        """The attempt is over."""
        self.observer.ended(self.asked, report)


def _tell(line: Line, report: Report) -> None:
    """Add what is known of an attempt."""
    usage, reason = report.usage, report.finish_reason
    line.finish_reason = None if reason is None else name_of(reason)
    line.error_kind = report.error_kind
    line.upstream_status = report.upstream_status
    line.input_tokens, line.output_tokens = usage.input_tokens, usage.output_tokens
    line.usage_source = report.usage_source
    waits = report.ttft_ms, report.upstream_ttft_ms, report.duration_ms, report.longest_gap_ms
    line.ttft_ms, line.upstream_ttft_ms, line.duration_ms, line.longest_gap_ms = _rounded(waits)
    if report.upstream_closed_ms is not None:
        (line.upstream_closed_ms,) = _rounded((report.upstream_closed_ms,))
    line.deltas, line.repairs = report.deltas, report.repaired


def _rounded(waits: Sequence[float | None]) -> list[float | None]:
    """To microseconds; `round` would take twice as long."""
    return [None if ms is None else int(ms * 1000 + 0.5) / 1000 for ms in waits]


def _since(began: float) -> float | None:
    return _rounded([(time.monotonic() - began) * 1000])[0]


def _ids(headers: Headers, own: str | None) -> tuple[str, str | None]:
    """The request's id and the client's, from the headers that the answer carries, as far as they look like ids."""
    said = dict(headers)
    request_id, client_id = said[b"x-request-id"].decode("ascii"), said.get(b"x-client-request-id")
    # The same object where it is ours, so that nobody looks into it for a stranger's words.
    named = own if own is not None and request_id == own else name_of(request_id)
    return named, None if client_id is None else name_of(client_id.decode("ascii"))


def note_other(
    house: House, scope: Scope, *, ids: Headers, status: int | None, error: GatewayError | None, began: float
) -> None:
    """Count and log a request of any endpoint that generates nothing, and every request that leads nowhere."""
    if error is not None:
        house.metrics.rejected(dialect_of(scope["path"]), error.kind)
    if house.log.requests:
        caller: Identity | None = scope.get("thalweg.caller")
        request_id, client_request_id = _ids(ids, None)
        house.log.request(
            Line(
                request_id=request_id,
                client_request_id=client_request_id,
                key_id=None if caller is None else caller.key_id,
                method=scope["method"],
                path=path_of(scope["path"]),
                status=status,
                outcome="complete" if error is None else REJECTED,
                error_kind=None if error is None else error.kind,
                duration_ms=_since(began),
            )
        )


def note_refused(house: House, path: str, error: GatewayError) -> None:
    """Count and log what the guard refused: all that is known of it is its path, if that."""
    house.metrics.rejected(dialect_of(path), error.kind)
    if house.log.requests:
        house.log.request(Line(path=path_of(path), status=error.status, outcome=REJECTED, error_kind=error.kind))
