"""Who gets which connection. All of it is decided here, synchronously; nothing here is opened, sent or awaited.

A lane is what belongs to one route. A place in it is held from the moment a call begins to connect until that
connection is closed; between calls it is held by the idle connection. A call waits only while all places of its lane
are held by others, and then in the order of arrival.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Protocol

from thalweg.upstream.connection import Connection
from thalweg.upstream.route import Route


class Claimant(Protocol):
    """A call that wants a connection."""

    @property
    def route(self) -> Route:
        """Where it wants to go."""

    def take(self, connection: Connection) -> None:
        """This open connection is yours. Hand it to `Pool.give_back`, or abort it."""

    def open(self) -> None:
        """This place is yours: connect. Hand the connection to `Pool.adopt`, or the place to `Pool.vacate`."""


class _Lane:
    """The connections of one route, and who waits for one."""

    __slots__ = ("idle", "places", "waiting")

    def __init__(self) -> None:
        self.idle: dict[Connection, float] = {}
        """With the time each was given back; the oldest first."""
        self.places = 0
        self.waiting: dict[Claimant, None] = {}


class Pool:
    """All lanes of a connector.

    `max_per_route` bounds the places of a lane, `max_idle_per_route` and `keepalive_s` what is kept in it for later.
    """

    def __init__(
        self,
        *,
        max_per_route: int,
        max_idle_per_route: int,
        keepalive_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._max_per_route = max_per_route
        self._max_idle_per_route = max_idle_per_route
        self._keepalive_s = keepalive_s
        self._clock = clock
        self._lanes: dict[Route, _Lane] = {}
        self._adopted: set[Connection] = set()
        self._sweep_timer: asyncio.TimerHandle | None = None
        self._emptied: asyncio.Future[None] | None = None
        """Set once the pool is closing; done when the last connection is lost."""

    @property
    def open_connections(self) -> int:
        """Connections that are open, opening or closing; the idle ones are among them."""
        return sum(lane.places for lane in self._lanes.values())

    @property
    def idle_connections(self) -> int:
        """Open connections that nobody uses."""
        return sum(len(lane.idle) for lane in self._lanes.values())

    @property
    def waiting(self) -> int:
        """Calls that wait for a place."""
        return sum(len(lane.waiting) for lane in self._lanes.values())

    def claim(self, claimant: Claimant) -> None:
        """Give the claimant an idle connection, or a place to open one, or have it wait."""
        lane = self._lanes.get(claimant.route)
        if lane is None:
            lane = self._lanes[claimant.route] = _Lane()
        connection = self._newest_idle(lane)
        if connection is not None:
            claimant.take(connection)
        elif lane.places < self._max_per_route:
            lane.places += 1
            claimant.open()
        else:
            lane.waiting[claimant] = None

    def claim_place_again(self, claimant: Claimant) -> None:
        """Have a claimant whose connection is being lost open another, before anyone who waits.

        The dying connection still holds its place, so for a moment the lane has one too many.
        """
        self._lanes[claimant.route].places += 1
        claimant.open()

    def withdraw(self, claimant: Claimant) -> None:
        """The claimant waits no longer."""
        lane = self._lanes.get(claimant.route)
        if lane is not None:
            lane.waiting.pop(claimant, None)

    def adopt(self, connection: Connection) -> bool:
        """Count a connection that was opened on a place. False, and the place is free, when it is lost already."""
        if connection.lost:
            self.vacate(connection.route)
            return False
        connection.owner = self
        self._adopted.add(connection)
        return True

    def give_back(self, connection: Connection) -> None:
        """The connection is whole and its user is done: the next who waits has it, or it is kept."""
        lane = self._lanes[connection.route]
        if self._emptied is not None or connection.closed:
            connection.abort()
        elif lane.waiting:
            _next_waiting(lane).take(connection)
        elif len(lane.idle) < self._max_idle_per_route:
            lane.idle[connection] = self._clock()
            self._arm_sweep()
        else:
            connection.abort()

    def lost(self, connection: Connection) -> None:
        """An adopted connection is closed for good: its place is free."""
        self._adopted.discard(connection)
        self._lanes[connection.route].idle.pop(connection, None)
        self.vacate(connection.route)
        self._note_emptied()

    def vacate(self, route: Route) -> None:
        """A place is free: the next who waits has it."""
        lane = self._lanes[route]
        lane.places -= 1
        if lane.waiting and lane.places < self._max_per_route:
            lane.places += 1
            _next_waiting(lane).open()
        elif not lane.places:
            del self._lanes[route]

    def sweep(self) -> None:
        """Close what has been idle for too long."""
        for lane in self._lanes.values():
            for connection in [kept for kept in lane.idle if self._expired(lane, kept)]:
                del lane.idle[connection]
                connection.abort()

    async def close(self) -> None:
        """Close every connection and wait until they are closed. Calls are aborted by their owner before."""
        self._emptied = self._emptied or asyncio.get_running_loop().create_future()
        if self._sweep_timer is not None:
            self._sweep_timer.cancel()
        for connection in self._adopted:
            connection.abort()
        self._note_emptied()
        await asyncio.shield(self._emptied)

    def _newest_idle(self, lane: _Lane) -> Connection | None:
        # The newest is the least likely to have been closed by the upstream; the oldest may then age and go.
        while lane.idle:
            connection, since = lane.idle.popitem()
            if not connection.closed and self._clock() - since < self._keepalive_s:
                return connection
            connection.abort()
        return None

    def _expired(self, lane: _Lane, connection: Connection) -> bool:
        return self._clock() - lane.idle[connection] >= self._keepalive_s

    def _arm_sweep(self) -> None:
        if self._sweep_timer is None:
            self._sweep_timer = asyncio.get_running_loop().call_later(self._keepalive_s, self._sweep_again)

    def _sweep_again(self) -> None:
        self._sweep_timer = None
        self.sweep()
        if self.idle_connections:
            self._arm_sweep()

    def _note_emptied(self) -> None:
        if self._emptied is not None and not self._adopted and not self._emptied.done():
            self._emptied.set_result(None)


def _next_waiting(lane: _Lane) -> Claimant:
    claimant = next(iter(lane.waiting))
    del lane.waiting[claimant]
    return claimant
