"""One client request through its attempts: a pump after the other, and the pauses between them.

While a pump runs, everything that happens is its business. Between two of them nobody listens to the client, so that
its leaving, a cancelling and a shut-down are noticed here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from thalweg.canon.errors import Cancelled, GatewayError, OurError
from thalweg.relay.exchange import Exchange
from thalweg.relay.pump import Pump
from thalweg.upstream.base import Call

T = TypeVar("T")


class Left(Exception):
    """The client went, or the answer was stopped, between two attempts."""


class Course:
    """Carries one request. `run` owns it; nothing of it is left when that returns."""

    __slots__ = ("_gone", "_next", "_pause", "_pump", "_stopped")

    def __init__(self, first: Pump, after: Callable[[Course], Awaitable[Pump]]) -> None:
        self._pump = first
        self._next: Callable[[Course], Awaitable[Pump]] | None = after
        self._pause: asyncio.Future[None] | None = None
        """What is waited for between two attempts."""
        self._gone = False
        self._stopped: GatewayError | None = None

    async def run(self) -> GatewayError | None:
        """Carry the request through. Returns what the client is still to be told: why no further attempt was made.

        Raises `Left` where there is nobody to tell.
        """
        while True:
            await self._pump.run()
            exchange = self._pump.exchange
            tries = exchange.plan.tries
            if tries is not None and exchange.first_content_at is not None and exchange.error is None:
                tries.worked()
            if not exchange.faltered:
                return None
            assert tries is not None and self._next is not None
            try:
                await self._wait(tries.pause_s)
                self._pump = await self._next(self)
            except Left:
                if self._gone:
                    raise
                return self._stopped
            except GatewayError as error:
                # That a request cannot be put to the next one is no news to the client; what failed before is.
                return error if isinstance(error, OurError) else exchange.error

    async def unless_left(self, work: Coroutine[Any, Any, T]) -> T:
        """What `work` comes to, between two attempts. Raises what it raises, and `Left`."""
        task = asyncio.ensure_future(work)
        await self._until(task)
        return await task

    async def _wait(self, seconds: float) -> None:
        if not (self._gone or self._stopped) and not seconds:
            return
        loop = asyncio.get_running_loop()
        over: asyncio.Future[None] = loop.create_future()
        timer = loop.call_later(seconds, lambda: None if over.done() else over.set_result(None))
        try:
            await self._until(over)
        finally:
            timer.cancel()

    async def _until(self, over: asyncio.Future[Any]) -> None:
        """Wait for that, unless the client leaves or the answer is stopped; then it is cancelled."""
        self._pause = asyncio.get_running_loop().create_future()
        try:
            if not (self._gone or self._stopped):
                await asyncio.wait([over, self._pause], return_when=asyncio.FIRST_COMPLETED)
            if self._gone or self._stopped:
                over.cancel()
                await asyncio.wait([over])
                raise Left
        finally:
            self._pause = None
            over.cancel()

    # What others ask and tell, on the loop's thread.

    @property
    def exchange(self) -> Exchange:
        """The exchange of the attempt under way, or of the last one."""
        return self._pump.exchange

    @property
    def call(self) -> Call | None:
        """Its upstream call, once it was started."""
        return self._pump.call

    async def seen_closed(self) -> float | None:
        """When its upstream's connection was seen closed; see `Pump.seen_closed`."""
        return await self._pump.seen_closed()

    def client_left(self) -> None:
        """The client closed its connection."""
        self._gone = True
        self._wake()
        self._pump.client_left()

    def cancel(self, error: Cancelled) -> None:
        """Stop the answer; the client is told."""
        self._stop(error)
        self._pump.cancel(error)

    def shut_down(self, error: GatewayError) -> None:
        """The gateway goes away."""
        self._stop(error)
        self._pump.shut_down(error)

    def tick(self, now: float) -> None:
        """Time passed."""
        self._pump.tick(now)

    def _stop(self, error: GatewayError) -> None:
        self._stopped = self._stopped or error
        self._wake()

    def _wake(self) -> None:
        if self._pause is not None and not self._pause.done():
            self._pause.set_result(None)
