"""A ledger in memory, for tests and for runs that keep nothing. It promises what `Store` promises, but no disk.

Its postings are a list that may be handed from one ledger to the next, as a file would be.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

import msgspec
from msgspec.structs import asdict

from thalweg.canon.errors import Conflict, Unavailable
from thalweg.canon.usage import WEAKEST_FIRST, Usage, UsageSource
from thalweg.ledger.entry import Entry, Reservation, Settlement, believable, crashed

Posting = Reservation | Settlement


class MemoryLedger:
    """A ledger in a list of postings, which outlives it where the caller keeps the list."""

    def __init__(
        self,
        postings: list[Posting] | None = None,
        *,
        clock_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self.postings: list[Posting] = [] if postings is None else postings
        self._clock_ms = clock_ms
        self._reserved = _keys(self.postings, Reservation)
        self._open: set[tuple[str, int]] = set()
        self._closed = False

    @property
    def unsettled(self) -> int:
        """How many attempts opened here are not settled yet."""
        return len(self._open)

    @property
    def writable(self) -> bool:
        """Whether it is open."""
        return not self._closed

    async def open(self, reservation: Reservation) -> None:
        """Reserve. See `Store.open`."""
        key = _key(reservation)
        if self._closed:
            raise Unavailable("the ledger is closed")
        if key in self._reserved:
            raise Conflict(f"attempt {key[1]} of request {key[0]!r} is in the ledger already")
        self.postings.append(reservation)
        self._reserved.add(key)
        self._open.add(key)

    def settle(self, settlement: Settlement) -> bool:
        """Add a settlement, or ignore it. See `Store.settle`."""
        key = _key(settlement)
        if self._closed or key not in self._open:
            return False
        self._open.remove(key)
        self.postings.append(believable(settlement))
        return True

    async def flush(self) -> None:
        """Do nothing: all that was taken is where it belongs."""
        if self._closed:
            raise Unavailable("the ledger is closed")

    async def recover(self) -> int:
        """Settle as `crashed` what was opened elsewhere and never settled. See `Store.recover`."""
        if self._closed:
            raise Unavailable("the ledger is closed")
        settled = _keys(self.postings, Settlement) | self._open
        found = [each for each in self.postings if isinstance(each, Reservation) and _key(each) not in settled]
        at_ms = self._clock_ms()
        self.postings.extend(crashed(reservation, at_ms) for reservation in found)
        return len(found)

    async def close(self) -> None:
        """Take nothing more."""
        self._closed = True

    def last_entries(self, count: int) -> list[Entry]:
        """Return the entries of the last requests to come in, the newest first."""
        requests = list(dict.fromkeys(each.request_id for each in self.postings))
        newest = requests[: -count - 1 : -1]
        return [_entry([each for each in self.postings if each.request_id == name]) for name in newest]


def _key(posting: Posting) -> tuple[str, int]:
    return (posting.request_id, posting.attempt)


def _keys(postings: Iterable[Posting], kind: type[Posting]) -> set[tuple[str, int]]:
    return {_key(each) for each in postings if isinstance(each, kind)}


def _entry(postings: list[Posting]) -> Entry:
    """Join the postings of one request. What is not a sum comes from its last attempt."""
    reserved = sorted((each for each in postings if isinstance(each, Reservation)), key=_key)
    settled = [each for each in postings if isinstance(each, Settlement)]
    last = next((each for each in settled if _key(each) == _key(reserved[-1])), None)
    ending = asdict(last) if last else dict.fromkeys(Settlement.__struct_fields__)
    sums = {
        "attempts": len(reserved),
        "continued": sum(each.continued for each in reserved),
        "opened_ms": reserved[0].at_ms,
        "settled_ms": ending["at_ms"],
        "usage": _sum(settled),
        "usage_source": _weakest(settled),
    }
    facts = ending | asdict(reserved[-1]) | sums
    return msgspec.convert({name: facts[name] for name in Entry.__struct_fields__}, Entry)


def _sum(settled: list[Settlement]) -> Usage:
    return Usage(
        **{name: _sum_known(getattr(each.usage, name) for each in settled) for name in Usage.__struct_fields__}
    )


def _sum_known(counts: Iterable[int | None]) -> int | None:
    known = [count for count in counts if count is not None]
    return sum(known) if known else None


def _weakest(settled: list[Settlement]) -> UsageSource | None:
    served = [each for each in settled if each.outcome != "refused"] or settled
    return min((each.usage_source for each in served), key=WEAKEST_FIRST.index, default=None)
