"""The ledger in memory beyond the contract: its list of postings, which stands for a file."""

from __future__ import annotations

from msgspec.structs import replace

from thalweg.ledger import MemoryLedger, Reservation, Settlement
from thalweg.ledger.memory import Posting

ASKED = Reservation(
    request_id="r1",
    attempt=1,
    at_ms=5,
    key_id="key-a",
    dialect="openai_chat",
    endpoint="/v1/chat/completions",
    provider="ark",
    model="small",
    upstream_model="small-2026",
    stream=True,
    simulated=False,
)
ANSWERED = Settlement(request_id="r1", attempt=1, at_ms=9, outcome="complete")


async def test_postings_are_kept_in_the_order_they_came() -> None:
    ledger = MemoryLedger()
    await ledger.open(ASKED)
    ledger.settle(ANSWERED)

    assert ledger.postings == [ASKED, ANSWERED]


async def test_a_list_that_is_handed_on_is_the_same_ledger() -> None:
    postings: list[Posting] = [ASKED]
    ledger = MemoryLedger(postings, clock_ms=lambda: 77)

    assert await ledger.recover() == 1
    assert postings[1:] == [Settlement(request_id="r1", attempt=1, at_ms=77, outcome="crashed")]


async def test_as_many_entries_as_were_asked_for() -> None:
    ledger = MemoryLedger()
    for number in range(5):
        await ledger.open(replace(ASKED, request_id=f"r{number}"))

    assert [entry.request_id for entry in ledger.last_entries(2)] == ["r4", "r3"]
    assert len(ledger.last_entries(50)) == 5
    assert ledger.last_entries(0) == []
