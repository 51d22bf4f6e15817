"""The streams under way, by id. One sweep gives all of them the time."""

from __future__ import annotations

import asyncio
import time

from thalweg.canon.errors import Cancelled, NotFound, Unavailable
from thalweg.relay.pump import Pump
from thalweg.server.auth import Identity

SWEEP_S = 0.25


class LiveStreams:
    """Every pump that runs, with its owner. Lives as long as the server."""

    def __init__(self) -> None:
        self._pumps: dict[str, tuple[Pump, Identity]] = {}
        self._idle = asyncio.Event()
        self._idle.set()
        self._sweep: asyncio.Task[None] | None = None
        self.draining = False

    def __len__(self) -> int:
        return len(self._pumps)

    def add(self, stream_id: str, pump: Pump, owner: Identity) -> None:
        """Enter a stream. The sweep runs as long as there is one."""
        self._pumps[stream_id] = (pump, owner)
        self._idle.clear()
        if self._sweep is None:
            self._sweep = asyncio.get_running_loop().create_task(self._ticking())

    def remove(self, stream_id: str) -> None:
        """Take a stream off the list."""
        self._pumps.pop(stream_id, None)
        if not self._pumps:
            self._idle.set()

    def find(self, stream_id: str, caller: Identity) -> Pump:
        """The caller's stream of that id. Raises `NotFound`, the same for another's as for none."""
        pump, owner = self._pumps.get(stream_id, (None, None))
        if pump is None or owner != caller:
            raise NotFound("There is no such stream under way.", code="stream_not_found")
        return pump

    def cancel(self, stream_id: str, caller: Identity) -> Pump:
        """Stop a stream and return its pump, over."""
        pump = self.find(stream_id, caller)
        pump.cancel(Cancelled("The stream was cancelled."))
        return pump

    async def drain(self, timeout_s: float) -> int:
        """Wait for every stream to end, then end the rest honestly. Returns how many had to be ended."""
        self.draining = True
        try:
            async with asyncio.timeout(timeout_s):
                await self._idle.wait()
        except TimeoutError:
            left = [pump for pump, _ in self._pumps.values()]
            for pump in left:
                pump.shut_down(Unavailable("The gateway is shutting down."))
            return len(left)
        return 0

    async def close(self) -> None:
        """Stop the sweep."""
        if self._sweep is not None:
            self._sweep.cancel()
            await asyncio.gather(self._sweep, return_exceptions=True)
            self._sweep = None

    async def _ticking(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_S)
            if not self._pumps:
                # The next stream starts the sweep again: an idle gateway has no timer.
                self._sweep = None
                return
            now = time.monotonic()
            for pump, _ in list(self._pumps.values()):
                pump.tick(now)
