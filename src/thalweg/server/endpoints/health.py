"""`/livez` and `/readyz`: for probes, without a key and without detail."""

from __future__ import annotations

from thalweg.server.house import House
from thalweg.server.wire import Receive, Scope, Send, send_json


async def livez(scope: Scope, receive: Receive, send: Send) -> None:
    """The loop runs, or this would not be answered."""
    await send_json(send, 200, {"status": "ok"})


class Readyz:
    """Whether new work is taken."""

    def __init__(self, house: House) -> None:
        self._house = house

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """200, or 503 with the reasons, in words that tell nothing else."""
        house = self._house
        signs = {
            "draining": house.live.draining,
            "the ledger cannot be written": not house.ledger.writable,
            "the buffers are full": house.budget.spent,
        }
        reasons = [reason for reason, holds in signs.items() if holds]
        status = {"status": "not ready" if reasons else "ok", "reasons": reasons}
        await send_json(send, 503 if reasons else 200, status)
