"""Ledgers with entries that a test has chosen, down to the token."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from thalweg.canon.usage import Usage
from thalweg.ledger import Reservation, Settlement, SqliteLedger

NOW_MS = time.time_ns() // 1_000_000

ASKED = Reservation(
    request_id="r",
    attempt=1,
    at_ms=NOW_MS,
    key_id="main",
    dialect="openai-chat",
    endpoint="/v1/chat/completions",
    provider="ark",
    model="ark/a-model-with-a-long-name-251215",
    upstream_model="a-model-with-a-long-name-251215",
    stream=True,
    simulated=False,
)
ANSWERED = Settlement(
    request_id="r",
    attempt=1,
    at_ms=NOW_MS + 5000,
    outcome="complete",
    usage=Usage(input_tokens=1_000_000, output_tokens=2000, cached_input_tokens=7, reasoning_tokens=11),
    usage_source="reported",
    finish_reason="stop",
    ttft_ms=1234.0,
    upstream_ttft_ms=1230.0,
    duration_ms=5234.0,
    upstream_status=200,
)

Attempt = tuple[dict[str, Any], dict[str, Any] | None]
"""What differs from `ASKED` and from `ANSWERED`; without the latter it stays open."""


def fill(home: Path, attempts: Sequence[Attempt]) -> None:
    """Put these attempts into the ledger of a home, in this order."""

    async def write() -> None:
        ledger = SqliteLedger(home / "ledger.db")
        for asked, answered in attempts:
            reservation = replace(ASKED, **asked)
            await ledger.open(reservation)
            if answered is not None:
                own = {"request_id": reservation.request_id, "attempt": reservation.attempt}
                assert ledger.settle(replace(ANSWERED, **(own | answered)))
        await ledger.close()

    asyncio.run(write())
