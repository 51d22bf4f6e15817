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
        """200, or 503 with the reasons."""
        reasons = ["draining"] if self._house.live.draining else []
        status = {"status": "not ready" if reasons else "ok", "reasons": reasons}
        await send_json(send, 503 if reasons else 200, status)
