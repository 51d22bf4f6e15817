"""What the ledger says: totals, groups and the last entries. Reads only, and while a server writes.

Each function opens the file read-only, reads one snapshot and closes it. They wait for the disk: on an event loop,
call them in a thread.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime, tzinfo
from pathlib import Path
from typing import Literal

import msgspec

from thalweg.canon.usage import Usage
from thalweg.ledger.entry import LAST_MS, Entry, LedgerError, Outcome
from thalweg.ledger.store import BUSY_TIMEOUT_S, missing_migrations, named_queries

By = Literal["day", "model", "provider", "key", "outcome"]

_LABELS: dict[By, str] = {
    "day": "day(opened_ms)",
    "model": "model",
    "provider": "provider",
    "key": "key_id",
    "outcome": "COALESCE(outcome, 'open')",
}

_VIEWS: dict[By, str] = {"provider": "attempt"}
"""Where a request was tried at two providers, each gets the tokens that were used there."""


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """Sums over some requests; in a group by provider, over the attempts made there."""

    label: str
    """The day as `2026-11-20`, the model as clients ask for it, the provider, the key's name or the outcome; empty for
    the totals."""
    requests: int
    input_tokens: int
    """What is known; the same for the other tokens. How well it is known, the four sources say."""
    output_tokens: int
    cached_input_tokens: int
    """Part of `input_tokens`."""
    reasoning_tokens: int
    """Part of `output_tokens`."""
    reported: int
    """Requests whose usage the upstream said."""
    counted: int
    estimated: int
    unknown: int
    unfinished: int
    """Requests that are open: live, or left by a crash and not recovered yet."""
    interrupted: int
    """Requests that ended otherwise than complete or refused."""
    ttft_p50_ms: float | None
    """Nearest rank, over those that delivered a first delta; `None` when none did."""
    ttft_p95_ms: float | None

    @property
    def interrupted_share(self) -> float:
        """Interrupted requests per request that ended, 0 to 1; 0 when none did."""
        ended = self.requests - self.unfinished
        return self.interrupted / ended if ended else 0.0


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """Totals and groups of one range, from one snapshot."""

    by: By
    since_ms: int
    until_ms: int
    zone: str
    """In which days are cut, to be shown beside them: `local time`, or the name of the zone that was given."""
    totals: Group
    groups: list[Group]
    """By label, ascending."""


def usage_report(
    path: Path, by: By = "day", *, since_ms: int = 0, until_ms: int = LAST_MS, zone: tzinfo | None = None
) -> Report:
    """Sum up the requests whose first attempt began at `since_ms` or later and before `until_ms`.

    `zone` cuts the days; `None` means the machine's own. `LedgerError` when the file cannot be read.
    """
    with _snapshot(path, zone) as connection:
        groups = _groups(connection, _LABELS[by], _VIEWS.get(by, "entry"), since_ms, until_ms)
        totals = _groups(connection, "''", "entry", since_ms, until_ms)
    return Report(
        by=by,
        since_ms=since_ms,
        until_ms=until_ms,
        zone="local time" if zone is None else str(zone),
        totals=totals[0] if totals else NOTHING,
        groups=groups,
    )


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which entries are asked for. `None` leaves a condition out; those that are given all hold."""

    since_ms: int | None = None
    """The first attempt began then or later."""
    model: str | None = None
    """Part of the model's name, as the client said it or as `provider/model`, in any case of letters."""
    outcome: Outcome | Literal["open"] | None = None
    request: str | None = None
    """The request's id, or its beginning."""
    request_end: str | None = None
    """The end of its id. There is no index for that: the whole ledger is looked through."""
    settled_after: int | None = None
    """Settled by a posting younger than this one, which `Followed` names."""


EVERYTHING = Wanted()

_CONDITIONS = {
    "since_ms": "opened_ms >= :since_ms",
    "model": "INSTR(LOWER(model || CHAR(10) || provider || '/' || upstream_model), LOWER(:model))",
    "outcome": "COALESCE(outcome, 'open') = :outcome",
    # No id holds a sign behind '~'.
    "request": "request_id BETWEEN :request AND :request || '~'",
    "request_end": "SUBSTR(request_id, -LENGTH(:request_end)) = :request_end",
    "settled_after": "request_id IN (SELECT request_id FROM posting WHERE kind = 'settled' AND seq > :settled_after)",
}


def last_entries(path: Path, count: int, wanted: Wanted = EVERYTHING) -> list[Entry]:
    """Return the entries of the last requests to come in, the newest first. `LedgerError` as in `usage_report`."""
    with _snapshot(path, None) as connection:
        return _entries(connection, "entry", count, wanted)


def attempts_of(path: Path, request_id: str) -> list[Entry]:
    """Return a request's attempts, the first one first; each as if it were all of the request."""
    with _snapshot(path, None) as connection:
        return _entries(connection, "attempt", _ALL, Wanted(request=request_id))[::-1]


class Followed(msgspec.Struct, frozen=True, kw_only=True):
    """What was settled since the last look, and from where to look on."""

    entries: list[Entry]
    """In the order in which the requests came in."""
    seq: int
    """The youngest posting of this snapshot."""


def follow(path: Path, seq: int | None, wanted: Wanted = EVERYTHING) -> Followed:
    """Return what was settled after the posting `seq`; with `None` nothing, but from where to look on.

    A request that is tried again after the look at its first attempt comes twice.
    """
    with _snapshot(path, None) as connection:
        youngest: int = connection.execute(named_queries()["last_seq"]).fetchone()[0]
        new = seq is not None and youngest > seq
        since = msgspec.structs.replace(wanted, settled_after=seq)
        return Followed(entries=_entries(connection, "entry", _ALL, since)[::-1] if new else [], seq=youngest)


_ALL = -1
"""No limit, to SQLite."""


def _entries(connection: sqlite3.Connection, view: str, count: int, wanted: Wanted) -> list[Entry]:
    values = {name: value for name, value in msgspec.structs.asdict(wanted).items() if value is not None}
    condition = " AND ".join(_CONDITIONS[name] for name in values) or "TRUE"
    query = named_queries()["last_entries"].format(view=view, condition=condition)
    return [_entry(row) for row in connection.execute(query, values | {"count": count})]


NOTHING = Group(
    label="",
    requests=0,
    input_tokens=0,
    output_tokens=0,
    cached_input_tokens=0,
    reasoning_tokens=0,
    reported=0,
    counted=0,
    estimated=0,
    unknown=0,
    unfinished=0,
    interrupted=0,
    ttft_p50_ms=None,
    ttft_p95_ms=None,
)
"""The totals of no requests."""


@contextmanager
def _snapshot(path: Path, zone: tzinfo | None) -> Iterator[sqlite3.Connection]:
    """Open the file read-only, in one transaction, with a function `day(unix_ms)`."""
    if not path.exists():
        raise LedgerError(f"there is no ledger at {str(path)!r} yet")
    uri = f"{path.resolve().as_uri()}?mode=ro"
    try:
        with closing(sqlite3.connect(uri, uri=True, timeout=BUSY_TIMEOUT_S, isolation_level=None)) as connection:
            connection.execute("BEGIN")
            if missing_migrations(connection):
                raise LedgerError(
                    f"the ledger {str(path)!r} is not up to date; a server brings it there when it starts"
                )
            connection.create_function("day", 1, lambda at_ms: _day(at_ms, zone), deterministic=True)
            connection.row_factory = sqlite3.Row
            yield connection
    except sqlite3.Error as fault:
        raise LedgerError(f"the ledger {str(path)!r} cannot be read: {fault}") from fault


def _day(at_ms: int, zone: tzinfo | None) -> str:
    return datetime.fromtimestamp(at_ms / 1000, zone).date().isoformat()


def _groups(connection: sqlite3.Connection, label: str, view: str, since_ms: int, until_ms: int) -> list[Group]:
    query = named_queries()["usage"].format(label=label, view=view)
    rows = connection.execute(query, {"since_ms": since_ms, "until_ms": until_ms})
    return [Group(**row) for row in rows]


def _entry(row: sqlite3.Row) -> Entry:
    values = dict(row)
    usage = {name: values.pop(name) for name in Usage.__struct_fields__}
    return msgspec.convert(values | {"usage": usage}, Entry, strict=False)
