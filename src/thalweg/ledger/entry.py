"""The ledger's words: what is posted, what is read back, and what a store promises. No SQL and no file lives here.

A request has one entry. The entry consists of postings, which are only ever added and never changed; sums are views.
A posting is keyed by (request, kind, attempt). An attempt is opened once (`reserved`) and settled once (`settled`);
whatever comes second is turned away, whoever sends it and whatever the clock says.
"""

from __future__ import annotations

from typing import Literal, Protocol

import msgspec

from thalweg.canon.usage import MOST_TOKENS, Usage, UsageSource

Outcome = Literal["complete", "cancelled", "upstream_error", "crashed", "refused", "gateway_error"]
"""How an attempt ended.

- `complete`: the dialect's own end came;
- `cancelled`: the client went, or it or an operator stopped the answer;
- `upstream_error`: the upstream could not be reached, broke off, or said an error after a good status;
- `crashed`: found open when a server started;
- `refused`: the upstream answered with an error status before any content;
- `gateway_error`: our fault.
"""

LAST_MS = 2**62
"""A time after all others, in unix milliseconds: the end of a range that has none."""


class LedgerError(Exception):
    """The ledger cannot be used as it is, and an operator has to act. Not an answer to a client.

    The most common one has a `code`, by which a reader's own language has the same sentence with the same `values`.
    """

    def __init__(self, message: str, *, code: str | None = None, **values: object) -> None:
        super().__init__(message)
        self.code = code
        self.values = values


class Reservation(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt is about to be made. Written before anything is asked of the upstream."""

    request_id: str
    attempt: int
    """Counts from 1 within its request."""
    at_ms: int
    """Unix time in milliseconds."""
    key_id: str
    """The name of the client's key, never the key."""
    dialect: str
    """The client's dialect."""
    endpoint: str
    """The path that the client called, without its query."""
    provider: str
    model: str
    """As the client asked for it."""
    upstream_model: str
    """As we ask the upstream for it."""
    stream: bool
    """Whether the client asked for a stream."""
    simulated: bool
    """Whether the upstream is our own simulator or a recording, so that nobody bills this."""
    continued: bool = False
    """Whether the attempt goes on with a text that broke off in the one before."""


class Settlement(msgspec.Struct, frozen=True, kw_only=True):
    """How one attempt ended and what it used. `None` means unknown, or that it never came to that."""

    request_id: str
    attempt: int
    at_ms: int
    """Unix time in milliseconds. May lie before the reservation's, as clocks do; durations do not come from it."""
    outcome: Outcome
    usage: Usage = Usage()
    usage_source: UsageSource = "unknown"
    finish_reason: str | None = None
    ttft_ms: float | None = None
    """From the request fully read to the first content delta handed to the client's socket."""
    upstream_ttft_ms: float | None = None
    """The same at the upstream's edge."""
    duration_ms: float | None = None
    """From the request fully read to the end of the attempt."""
    upstream_status: int | None = None
    """The upstream's HTTP status; `None` when none came."""
    error_kind: str | None = None
    """`kind` of the canonical error; `None` when there was none."""
    upstream_closed_ms: float | None = None
    """From the client's going to the upstream's connection closed."""


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One request as the ledger knows it: a view over its postings.

    Tokens are sums over all attempts and, where an attempt's usage is unknown, a lower bound; the rest tells of the
    last attempt.
    """

    request_id: str
    attempts: int
    opened_ms: int
    """When the first attempt was reserved, unix milliseconds."""
    settled_ms: int | None
    """When the last attempt was settled; `None` while it is open."""
    key_id: str
    dialect: str
    endpoint: str
    provider: str
    model: str
    upstream_model: str
    stream: bool
    simulated: bool
    outcome: Outcome | None
    """`None` while the last attempt is open."""
    usage: Usage
    usage_source: UsageSource | None
    """The weakest among the attempts that were settled and not refused (a refused one used nothing); of all settled
    ones if all were refused; `None` while none is settled."""
    finish_reason: str | None
    ttft_ms: float | None
    upstream_ttft_ms: float | None
    duration_ms: float | None
    upstream_status: int | None
    error_kind: str | None
    upstream_closed_ms: float | None
    continued: int = 0
    """How many of the attempts went on with a text that had broken off."""


class Store(Protocol):
    """What the gateway asks of a ledger. One event loop uses a store; only `settle` and the properties need no
    await.
    """

    @property
    def unsettled(self) -> int:
        """How many attempts opened here are not settled on disk yet: live ones, and settlements on their way."""

    @property
    def writable(self) -> bool:
        """Whether reservations are taken, as far as is known without trying."""

    async def open(self, reservation: Reservation) -> None:
        """Reserve. When it returns, the posting outlives `kill -9` and power loss.

        - `Unavailable`: it cannot be written, the ledger is closed, or too much is unsettled. Nothing was reserved.
        - `Conflict`: this attempt is in the ledger already, open or settled. It stays as it is.
        - When the waiting task is cancelled, the store settles by itself what was written all the same, as
          `cancelled` with nothing used.
        """

    def settle(self, settlement: Settlement) -> bool:
        """Take a settlement, to be written soon and retried until it is. Never waits, never raises.

        `False`: ignored, because this attempt is not open here. Either it was settled before (the first one wins), or
        `open` has not returned for it, or the store is closed.
        """

    async def flush(self) -> None:
        """Return when every settlement taken so far is on disk; while the disk fails, that is not at all.

        `Unavailable` when the ledger is closed, or is closed meanwhile without them.
        """

    async def recover(self) -> int:
        """Settle as `crashed`, usage unknown, what earlier runs left open; return how many. Own attempts are spared.

        `Unavailable` when that cannot be written, and then nothing was; it may be tried again.
        """

    async def close(self) -> None:
        """Write what is left and let go of the file. A second call does nothing.

        `Unavailable`: some settlements could not be written; the next `recover` finds their attempts open.
        """


def believable(settlement: Settlement) -> Settlement:
    """Return the settlement with only token counts that can be: those out of range become unknown.

    One that is so mended has the source `unknown`.
    """
    counts = msgspec.structs.astuple(settlement.usage)
    for count in counts:
        if count is not None and not 0 <= count <= MOST_TOKENS:
            break
    else:
        return settlement
    kept = (count if count is not None and 0 <= count <= MOST_TOKENS else None for count in counts)
    usage = Usage(**dict(zip(Usage.__struct_fields__, kept, strict=True)))
    return msgspec.structs.replace(settlement, usage=usage, usage_source="unknown")


def withdrawn(reservation: Reservation) -> Settlement:
    """Return the settlement of an attempt whose caller left before the upstream was asked: it used nothing."""
    return Settlement(
        request_id=reservation.request_id,
        attempt=reservation.attempt,
        at_ms=reservation.at_ms,
        outcome="cancelled",
        usage=Usage(input_tokens=0, output_tokens=0),
        usage_source="counted",
    )


def crashed(reservation: Reservation, at_ms: int) -> Settlement:
    """Return the settlement of an attempt that was found open when a server started."""
    return Settlement(request_id=reservation.request_id, attempt=reservation.attempt, at_ms=at_ms, outcome="crashed")
