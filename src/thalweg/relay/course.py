"""One client request through its attempts: a pump after the other, and the pauses between them; or two side by side.

An attempt follows one that failed before its first content, or goes on with one that broke off after it.

While a pump runs, everything that happens is its business. Between two of them nobody listens to the client, so that
its leaving, a cancelling and a shut-down are noticed here.

Where a request is hedged, a second pump starts when the first has been silent for a while. The one that speaks first
has the client; the other ends in the same moment, having said nothing.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Protocol, TypeVar

from thalweg.canon.errors import Cancelled, GatewayError, OurError
from thalweg.relay.attempts import Tries
from thalweg.relay.exchange import Exchange, Phase
from thalweg.relay.pump import Pump
from thalweg.relay.seam import Beginning
from thalweg.upstream.base import Call

T = TypeVar("T")


class Left(Exception):
    """The client went, or the answer was stopped, between two attempts."""


class Guard(Protocol):
    """Waits for something as long as the client is there. Raises what it raises, and `Left`."""

    def __call__(self, work: Coroutine[Any, Any, T], /) -> Awaitable[T]:
        """What `work` comes to."""


Make = Callable[[Tries, Guard, Beginning | None], Awaitable[Pump]]
"""Makes the pump of an attempt that was decided upon, for a whole answer or the rest of one. Raises `GatewayError`, and
`Left`.
"""


class Course:
    """Carries one request. `run` owns it; nothing of it is left when that returns."""

    __slots__ = ("_gone", "_make", "_pause", "_pump", "_rival", "_stopped")

    def __init__(self, first: Pump, make: Make) -> None:
        self._pump = first
        self._rival: Pump | None = None
        """What runs beside it."""
        self._make = make
        self._pause: asyncio.Future[None] | None = None
        """What is waited for between two attempts."""
        self._gone = False
        self._stopped: GatewayError | None = None

    async def run(self) -> GatewayError | None:
        """Carry the request through. Returns why no further attempt was made, where one was decided upon: the client is
        still to be told, unless it has had the beginning of an answer (`exchange.status`).

        Raises `Left` where there is nobody to tell.
        """
        while True:
            tries = self._pump.exchange.plan.tries
            if tries is None or not tries.hedge_after_s:
                await self._pump.run()
            else:
                await self._hedged(tries)
            exchange = self._pump.exchange
            tries = exchange.plan.tries
            if tries is not None and exchange.first_content_at is not None and exchange.error is None:
                tries.worked()
            if not exchange.faltered:
                return None
            assert tries is not None
            # A send may have said it before the server did.
            self._gone = self._gone or self._pump.lost
            try:
                await self._wait(tries.pause_s)
                self._pump = await self._make(tries, self.unless_left, exchange.beginning)
            except Left:
                if self._gone:
                    raise
                error = self._stopped
            except GatewayError as failed:
                # That a request cannot be put to the next one is no news to the client; what failed before is.
                error = failed if isinstance(failed, OurError) else exchange.error
            else:
                self._catch_up()
                continue
            if exchange.beginning is not None and error is not None:
                await self._pump.break_off(error)
            return error

    def _catch_up(self) -> None:
        """Tell a pump that was just made what has happened while it was."""
        if self._gone:
            self._pump.client_left()
        elif isinstance(self._stopped, Cancelled):
            self._pump.cancel(self._stopped)
        elif self._stopped is not None:
            self._pump.shut_down(self._stopped)

    async def unless_left(self, work: Coroutine[Any, Any, T]) -> T:
        """What `work` comes to, between two attempts. Raises what it raises, and `Left`."""
        task = asyncio.ensure_future(work)
        await self._until(task)
        return await task

    # Two side by side.

    async def _hedged(self, tries: Tries) -> None:
        """Run the pump, and one beside it where it is silent for too long. Then `_pump` is the one that counts."""
        first = asyncio.create_task(self._pump.run())
        try:
            await asyncio.wait([first], timeout=tries.hedge_after_s)
            rival = await self._make_rival(tries) if self._is_silent(self._pump) else None
            if rival is None:
                await first
            else:
                await self._race(first, rival)
        finally:
            if not first.done():
                first.cancel()
                await asyncio.wait([first])

    def _is_silent(self, pump: Pump) -> bool:
        """Whether nothing was said, and there is nothing to say, so that another may."""
        exchange = pump.exchange
        waits = exchange.phase is Phase.HOLDING and not exchange.watch.content_seen
        return waits and not (self._gone or self._stopped)

    async def _make_rival(self, tries: Tries) -> Pump | None:
        """The pump for another route; `None` where there is none, or it cannot be asked."""
        rival = tries.rival(time.monotonic())
        if rival is None:
            return None
        try:
            return await self._make(rival, _simply, None)
        except (GatewayError, Left):
            rival.withdrawn()
            return None

    async def _race(self, first: asyncio.Task[None], rival: Pump) -> None:
        pump = self._pump
        if not self._is_silent(pump):
            rival.yields()  # it was reserved, and is settled as never asked
        self._rival = rival
        pump.exchange.speaks = rival.yields
        rival.exchange.speaks = lambda: self._won_by(rival)
        second = asyncio.create_task(rival.run())
        try:
            await asyncio.wait([first, second])
            await asyncio.gather(first, second)
        finally:
            if not second.done():
                second.cancel()
                await asyncio.wait([second])
            pump.exchange.speaks = rival.exchange.speaks = None
            self._rival = None
        # Of two that failed, the one that failed last decided what follows; but not where the other had the client
        # already, and broke off.
        last = rival.exchange.plan.tries
        if (
            pump.exchange.faltered
            and pump.exchange.beginning is None
            and last is not None
            and (not rival.exchange.faltered or last.goes_on)
        ):
            self._pump = rival

    def _won_by(self, rival: Pump) -> None:
        loser, self._pump, self._rival = self._pump, rival, None
        loser.yields()

    # Pauses.

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
        self._end_rival()
        self._pump.client_left()

    def cancel(self, error: Cancelled) -> None:
        """Stop the answer; the client is told."""
        self._stop(error)
        self._pump.cancel(error)

    def shut_down(self, error: GatewayError) -> None:
        """The gateway goes away."""
        self._stop(error)
        self._pump.shut_down(error)

    def tick(self, now: float) -> int:
        """Time passed. Returns how many bytes are held that the budget was not asked for."""
        loose_bytes = self._pump.tick(now)
        if self._rival is not None:
            loose_bytes += self._rival.tick(now)
        return loose_bytes

    def _stop(self, error: GatewayError) -> None:
        self._stopped = self._stopped or error
        self._wake()
        self._end_rival()

    def _end_rival(self) -> None:
        rival, self._rival = self._rival, None
        if rival is not None:
            rival.yields()

    def _wake(self) -> None:
        if self._pause is not None and not self._pause.done():
            self._pause.set_result(None)


async def _simply(work: Coroutine[Any, Any, T]) -> T:
    """Wait for it. Beside an attempt under way the client's leaving is that one's to notice."""
    return await work
