"""`/metrics`, in Prometheus' text format: for local programs, and elsewhere for those with the gateway's key."""

from __future__ import annotations

import asyncio

from thalweg.server.house import House
from thalweg.server.metrics import CONTENT_TYPE
from thalweg.server.wire import Receive, Scope, Send, send_answer


class MetricsPage:
    """`GET /metrics`."""

    def __init__(self, house: House) -> None:
        self._metrics = house.metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with everything that is counted."""
        # In another thread: with many models it takes as long as thousands of chunks.
        body = await asyncio.to_thread(self._metrics.exposition)
        await send_answer(send, 200, ((b"content-type", CONTENT_TYPE), (b"cache-control", b"no-store")), body)
