"""Who gets which connection. No connection here is real: the pool never looks inside of one."""

from __future__ import annotations

import asyncio

from thalweg.upstream.base import Origin
from thalweg.upstream.connection import Connection, ReceiveBuffer
from thalweg.upstream.pool import Pool
from thalweg.upstream.route import Route

ROUTE = Route(Origin("http", "a.test", 80))
OTHER = Route(Origin("http", "b.test", 80))


class Caller:
    def __init__(self, route: Route = ROUTE) -> None:
        self.route = route
        self.places = 0
        self.taken: list[Connection] = []

    def take(self, connection: Connection) -> None:
        self.taken.append(connection)

    def open(self) -> None:
        self.places += 1


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def pool_of(places: int = 2, *, idle: int = 2, clock: Clock | None = None) -> Pool:
    return Pool(max_per_route=places, max_idle_per_route=idle, keepalive_s=15, clock=clock or Clock())


def connection(pool: Pool, route: Route = ROUTE) -> Connection:
    """An open connection in use: a place was claimed, and the connection is adopted."""
    pool.claim(Caller(route))
    made = Connection(route, ReceiveBuffer())
    assert pool.adopt(made)
    return made


def counts(pool: Pool) -> tuple[int, int, int]:
    return pool.open_connections, pool.idle_connections, pool.waiting


async def test_an_idle_connection_goes_to_the_next_claim() -> None:
    pool = pool_of()
    made = connection(pool)
    pool.give_back(made)
    assert counts(pool) == (1, 1, 0)
    caller = Caller()
    pool.claim(caller)
    assert (caller.taken, caller.places) == ([made], 0)
    assert counts(pool) == (1, 0, 0)


async def test_the_newest_idle_connection_goes_first() -> None:
    pool = pool_of()
    old, new = connection(pool), connection(pool)
    pool.give_back(old)
    pool.give_back(new)
    caller = Caller()
    pool.claim(caller)
    assert caller.taken == [new]


async def test_routes_share_nothing() -> None:
    pool = pool_of(1)
    pool.give_back(connection(pool))
    caller = Caller(OTHER)
    pool.claim(caller)
    assert (caller.taken, caller.places) == ([], 1)


async def test_beyond_the_bound_callers_wait_in_order() -> None:
    pool = pool_of(1)
    made = connection(pool)
    callers = [Caller() for _ in range(3)]
    for caller in callers:
        pool.claim(caller)
    assert counts(pool) == (1, 0, 3)
    pool.withdraw(callers[1])
    pool.withdraw(callers[1])
    pool.give_back(made)
    assert [caller.taken for caller in callers] == [[made], [], []]
    made.lost = True
    pool.lost(made)
    assert [caller.places for caller in callers] == [0, 0, 1]
    assert counts(pool) == (1, 0, 0)


async def test_a_place_given_up_goes_to_the_next_who_waits() -> None:
    pool = pool_of(1)
    pool.claim(Caller())
    caller = Caller()
    pool.claim(caller)
    pool.vacate(ROUTE)
    assert caller.places == 1


async def test_a_second_try_comes_before_those_who_wait_and_holds_one_place() -> None:
    pool = pool_of(1)
    dying, waiting, trying = connection(pool), Caller(), Caller()
    pool.claim(waiting)
    pool.claim_place_again(trying)
    pool.lost(dying)
    assert (trying.places, waiting.places) == (1, 0)
    assert pool.open_connections == 1
    pool.vacate(ROUTE)
    assert waiting.places == 1


async def test_idle_connections_are_bounded() -> None:
    pool = pool_of(3, idle=1)
    kept, dropped = connection(pool), connection(pool)
    pool.give_back(kept)
    pool.give_back(dropped)
    assert (kept.closed, dropped.closed) == (False, True)
    assert counts(pool) == (2, 1, 0)
    pool.lost(dropped)
    assert counts(pool) == (1, 1, 0)


async def test_what_is_idle_for_too_long_is_not_given_to_anyone() -> None:
    clock = Clock()
    pool = pool_of(clock=clock)
    made = connection(pool)
    pool.give_back(made)
    clock.now = 15
    caller = Caller()
    pool.claim(caller)
    assert made.closed
    assert (caller.taken, caller.places) == ([], 1)


async def test_a_sweep_closes_what_is_idle_for_too_long_and_only_that() -> None:
    clock = Clock()
    pool = pool_of(clock=clock)
    old, new = connection(pool), connection(pool)
    pool.give_back(old)
    clock.now = 10
    pool.give_back(new)
    clock.now = 15
    pool.sweep()
    assert (old.closed, new.closed) == (True, False)


async def test_an_idle_connection_that_closed_itself_is_not_given_to_anyone() -> None:
    pool = pool_of()
    made = connection(pool)
    pool.give_back(made)
    made.abort()
    caller = Caller()
    pool.claim(caller)
    assert (caller.taken, caller.places) == ([], 1)


async def test_a_closed_connection_that_is_given_back_is_not_kept() -> None:
    pool = pool_of()
    made = connection(pool)
    made.abort()
    pool.give_back(made)
    assert pool.idle_connections == 0


async def test_a_connection_that_was_lost_before_it_was_counted_leaves_its_place() -> None:
    pool = pool_of()
    pool.claim(Caller())
    made = Connection(ROUTE, ReceiveBuffer())
    made.connection_lost(None)
    assert not pool.adopt(made)
    assert pool.open_connections == 0


async def test_a_lane_without_connections_is_forgotten() -> None:
    """Else a gateway that reaches many hosts, one after another, would grow."""
    pool = pool_of()
    pool.give_back(made := connection(pool))
    pool.lost(made)
    assert pool._lanes == {}


async def test_close_waits_for_the_last_connection() -> None:
    pool = pool_of()
    idle, used = connection(pool), connection(pool)
    pool.give_back(idle)
    closing = asyncio.ensure_future(pool.close())
    await asyncio.sleep(0)
    assert (idle.closed, used.closed, closing.done()) == (True, True, False)
    pool.lost(idle)
    pool.lost(used)
    await closing
    assert counts(pool) == (0, 0, 0)
    await pool.close()
