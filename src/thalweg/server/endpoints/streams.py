"""`/streams/{id}`: stop a stream under way."""

from __future__ import annotations

import time

from thalweg.server.auth import Identity
from thalweg.server.house import House
from thalweg.server.wire import Receive, Scope, Send, send_json


class CancelStream:
    """`DELETE /streams/{id}`: close the upstream, tell the client, and say what it came to."""

    def __init__(self, house: House) -> None:
        self._house = house

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer once the upstream's connection is seen closed; without one that is at once."""
        caller: Identity = scope["thalweg.caller"]
        asked_at = time.monotonic()
        course = self._house.live.cancel(scope["path_params"]["stream_id"], caller)
        closed_at = asked_at if course.call is None else await course.seen_closed()
        usage, source = course.exchange.account()
        await send_json(
            send,
            200,
            {
                "upstream_closed_ms": None if closed_at is None else round(max(closed_at - asked_at, 0.0) * 1000, 3),
                "tokens": usage.output_tokens,
                "source": source,
            },
        )
