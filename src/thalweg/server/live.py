"""The streams under way, by id. One sweep gives all of them the time, and adds up the bytes that they hold."""

from __future__ import annotations

import asyncio
import time

import msgspec

from thalweg.canon.errors import Cancelled, NotFound, Unavailable
from thalweg.relay.budget import Budget
from thalweg.relay.course import Course
from thalweg.server.auth import Identity
from thalweg.server.streaming import AsgiClient

SWEEP_S = 0.25


class _Live(msgspec.Struct, frozen=True):
    """A stream under way."""

    course: Course
    owner: Identity
    client: AsgiClient


class LiveStreams:
    """Every course that is run, with its owner. Lives as long as the server."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._streams: dict[str, _Live] = {}
        self._idle = asyncio.Event()
        self._idle.set()
        self._sweep: asyncio.Task[None] | None = None
        self.draining = False

    def __len__(self) -> int:
        return len(self._streams)

    @property
    def ids(self) -> tuple[str, ...]:
        """The streams under way, the oldest first."""
        return tuple(self._streams)

    def add(self, stream_id: str, course: Course, owner: Identity, client: AsgiClient) -> None:
        """Enter a stream. The sweep runs as long as there is one."""
        if not self._streams:
            self._idle.clear()
        self._streams[stream_id] = _Live(course, owner, client)
        if self._sweep is None:
            self._sweep = asyncio.get_running_loop().create_task(self._ticking())

    def remove(self, stream_id: str) -> None:
        """Take a stream off the list."""
        self._streams.pop(stream_id, None)
        if not self._streams:
            self._idle.set()
            self._budget.surveyed_bytes = 0

    def find(self, stream_id: str, caller: Identity) -> Course:
        """The caller's stream of that id. Raises `NotFound`, the same for another's as for none."""
        live = self._streams.get(stream_id)
        if live is None or live.owner != caller:
            raise NotFound("There is no such stream under way.", code="stream_not_found")
        return live.course

    def cancel(self, stream_id: str, caller: Identity) -> Course:
        """Stop a stream and return its course, over."""
        course = self.find(stream_id, caller)
        course.cancel(Cancelled("The stream was cancelled."))
        return course

    async def drain(self, timeout_s: float) -> int:
        """Wait for every stream to end, then end the rest honestly. Returns how many had to be ended."""
        self.draining = True
        try:
            async with asyncio.timeout(timeout_s):
                await self._idle.wait()
        except TimeoutError:
            left = [live.course for live in self._streams.values()]
            for course in left:
                course.shut_down(Unavailable("The gateway is shutting down."))
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
            if not self._streams:
                # The next stream starts the sweep again: an idle gateway has no timer.
                self._sweep = None
                return
            now, loose_bytes = time.monotonic(), 0
            for live in list(self._streams.values()):
                loose_bytes += live.course.tick(now) + live.client.unsent_bytes
            self._budget.surveyed_bytes = loose_bytes
