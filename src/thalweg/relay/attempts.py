"""Which upstream is asked, and which one next where that fails. Decides; does no I/O and reads no clock.

A request has *ways*: each of its routes with each key. It goes the first one. After a failure before the first content
it goes on: with another key where the key was at fault, then along the routes that were not tried, at once; when all
have been tried, once more where that makes sense, after a pause. `Health` remembers from one request to the next what
fails, so that it is not asked first again.

What cannot be in here: a provider's name, a sleep.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from enum import Enum

import msgspec

from thalweg.canon.errors import GatewayError, UpstreamError, UpstreamRefused, UpstreamTimeout
from thalweg.canon.policy import Attempts, Route

LONGEST_COOL_DOWN_S = 300.0
MOST_NAMES = 4096
"""How many names are remembered; the oldest is forgotten first."""


class Verdict(Enum):
    """What a failure says of another attempt."""

    FINAL = "final"
    """None: whoever is asked, the answer would be the same."""
    KEY = "key"
    """The key is refused: another one, or another route."""
    LIMIT = "limit"
    """The key is at its limit: the same, or the same key later."""
    ELSEWHERE = "elsewhere"
    """Another route alone."""
    AGAIN = "again"
    """Another route, or the same one after a pause."""


_OF_STATUS = {401: Verdict.KEY, 402: Verdict.KEY, 403: Verdict.KEY, 404: Verdict.ELSEWHERE, 429: Verdict.LIMIT}


def verdict(error: GatewayError) -> Verdict:
    """What an error before the first content says of another attempt."""
    if not isinstance(error, UpstreamError):
        return Verdict.FINAL
    if isinstance(error, UpstreamRefused):
        usual = Verdict.AGAIN if error.retryable else Verdict.FINAL
        found = _OF_STATUS.get(error.upstream_status, usual)
        return Verdict.ELSEWHERE if found is Verdict.LIMIT and not error.retryable else found
    if isinstance(error, UpstreamTimeout):
        # Another wait of the same length for the same upstream would be the client's, not ours.
        return Verdict.FINAL if error.phase == "whole" else Verdict.ELSEWHERE
    return Verdict.AGAIN if error.retryable else Verdict.FINAL


class Way(msgspec.Struct, frozen=True, cache_hash=True):
    """One route with one key."""

    route: int
    """Its place among the request's routes."""
    key: int
    """The key's place among those of the route's provider; 0 also where there is none."""
    upstream: str
    """What its health is remembered by."""
    key_name: str = ""
    """What the key's health is remembered by; empty without a key."""


class _Pulse:
    """What is remembered of one upstream, or of one key."""

    __slots__ = ("failures", "pause_s", "until")

    def __init__(self) -> None:
        self.failures = 0
        self.pause_s = 0.0
        self.until = 0.0


class Health:
    """What has failed of late, by name. One for the server's life; times are monotonic seconds.

    A name that failed too often in a row cools down. When its time is over, the first request that takes it probes it,
    and it goes on cooling for the others until the probe has worked.
    """

    def __init__(self) -> None:
        self._pulses: dict[str, _Pulse] = {}
        self._turns: dict[str, int] = {}

    def cools(self, name: str, now: float) -> bool:
        """Whether it is rather not asked now."""
        pulse = self._pulses.get(name)
        return pulse is not None and now < pulse.until

    def take(self, name: str, now: float) -> None:
        """It is asked now. Where it has just cooled down, that is the probe."""
        pulse = self._pulses.get(name)
        if pulse is not None and pulse.pause_s and now >= pulse.until:
            pulse.until = now + pulse.pause_s

    def worked(self, name: str) -> None:
        """It answered."""
        self._pulses.pop(name, None)

    def failed(self, name: str, rules: Attempts, now: float) -> None:
        """It failed. After so many times in a row it cools down, each time for twice as long."""
        pulse = self._pulse(name)
        pulse.failures += 1
        if rules.cool_down_after and pulse.failures >= rules.cool_down_after:
            pulse.pause_s = min(pulse.pause_s * 2 or rules.cool_down_s, LONGEST_COOL_DOWN_S)
            pulse.until = now + pulse.pause_s

    def rests(self, name: str, seconds: float, now: float) -> None:
        """It said itself for how long it is not to be asked."""
        pulse = self._pulse(name)
        pulse.until = max(pulse.until, now + min(seconds, LONGEST_COOL_DOWN_S))

    def _pulse(self, name: str) -> _Pulse:
        # Clients choose names of models: what is remembered of them has a bound.
        if name not in self._pulses and len(self._pulses) >= MOST_NAMES:
            self._pulses.pop(next(iter(self._pulses)))
        return self._pulses.setdefault(name, _Pulse())

    def turn(self, name: str, among: int) -> int:
        """Whose turn it is of so many keys: each request begins with the next one."""
        at = self._turns.get(name, 0) % among
        self._turns[name] = at + 1
        return at

    def cooling(self, now: float) -> dict[str, float]:
        """What cools down, and for how many seconds more."""
        return {name: pulse.until - now for name, pulse in self._pulses.items() if now < pulse.until}


def drawn(routes: Sequence[Route], chance: random.Random) -> list[Route]:
    """The routes in an order drawn by their weights; those of no weight come last."""
    left, order = list(routes), []
    while any(route.weight for route in left):
        chosen = chance.choices(left, [route.weight for route in left])[0]
        left.remove(chosen)
        order.append(chosen)
    return order + left


class _Shared:
    """What the attempts of one request know together."""

    __slots__ = ("again_at", "chance", "continued", "health", "made", "number", "rules", "under_way", "ways")

    def __init__(self, ways: Sequence[Way], rules: Attempts, health: Health, chance: random.Random) -> None:
        self.rules = rules
        self.health = health
        self.chance = chance
        self.ways = ways
        self.made = dict.fromkeys(ways, 0)
        self.again_at: dict[Way, float] = {}
        """From when on a way that failed may be gone once more; one that may not is not there."""
        self.number = 0
        self.continued = 0
        self.under_way = 0


class Tries:
    """The attempts of one request. `way` is where it stands; `another` is asked after each failure before content.

    Where a second attempt runs beside the first (`rival`), each has its own, and they share what they know.
    """

    __slots__ = ("_shared", "_under_way", "goes_on", "number", "pause_s", "way")

    def __init__(self, ways: Sequence[Way], rules: Attempts, health: Health, chance: random.Random, now: float) -> None:
        if len(ways) > 1:
            ways = sorted(ways, key=lambda way: health.cools(way.upstream, now) or health.cools(way.key_name, now))
        self._shared = _Shared(ways, rules, health, chance)
        self.number = 0
        """Of the attempt under way; from 1 on."""
        self.pause_s = 0.0
        """How long to wait before the attempt that was chosen last."""
        self.goes_on = True
        """Whether this one makes the next attempt; not where another one is still under way beside it."""
        self._under_way = False
        self.way = self._shared.ways[0]
        self._go(self.way, 0.0, now)

    @property
    def hedge_after_s(self) -> float:
        """After how long without content a second attempt runs beside the first; 0 for never."""
        return self._shared.rules.hedge_after_s

    def rival(self, now: float) -> Tries | None:
        """An attempt on another route, to run beside this one; `None` where there is none."""
        found = self._untried(Verdict.ELSEWHERE, now) if self._shared.number < self._shared.rules.most else None
        if found is None:
            return None
        other = object.__new__(Tries)
        other._shared, other.goes_on, other._under_way = self._shared, True, False
        other._go(*found, now)
        return other

    def another(self, error: GatewayError, now: float) -> bool:
        """Whether another attempt is to be made after this failure; if so, `way` and `pause_s` say which and when."""
        shared, said = self._shared, verdict(error)
        self._remember(said, error, now)
        self.withdrawn()
        if shared.under_way:
            self.goes_on = False
            return True
        if said is Verdict.FINAL or shared.number >= shared.rules.most:
            return False
        found = self._untried(said, now) or self._once_more(now)
        if found is None:
            return False
        self._go(*found, now)
        return True

    def skip(self, now: float) -> bool:
        """The attempt that was chosen cannot be made there; whether there is another route."""
        shared = self._shared
        shared.number -= 1
        self.withdrawn()
        shared.made = {way: (1 if way.route == self.way.route else made) for way, made in shared.made.items()}
        found = self._untried(Verdict.ELSEWHERE, now)
        if found is None:
            return False
        self._go(*found, now)
        return True

    def withdrawn(self) -> None:
        """The attempt is under way no more."""
        if self._under_way:
            self._under_way = False
            self._shared.under_way -= 1

    def worked(self) -> None:
        """The way answered."""
        self._shared.health.worked(self.way.upstream)
        self._shared.health.worked(self.way.key_name)

    def broke(self, error: GatewayError, now: float) -> None:
        """It failed when the client had seen of its answer already."""
        self._remember(verdict(error), error, now)

    @property
    def may_continue(self) -> bool:
        """Whether an answer that breaks off now may be gone on with, if that can be done."""
        return self._shared.continued < self._shared.rules.continuations

    def goes_on_with(self, error: GatewayError, now: float, *, advanced: bool) -> bool:
        """Whether an answer that the client has seen of, and that broke off, is gone on with: the same way, at once if
        the attempt has `advanced` it, else after a pause, and never sooner than it said itself.
        """
        said = verdict(error)
        broke_off = said is Verdict.AGAIN or (said is Verdict.ELSEWHERE and isinstance(error, UpstreamTimeout))
        pause_s = max(0.0 if advanced else self._backoff_s(self.way), error.retry_after_s or 0.0)
        if not broke_off or not self.may_continue or pause_s > self._shared.rules.backoff_most_s:
            return False
        self._shared.continued += 1
        self.withdrawn()
        self._go(self.way, pause_s, now)
        return True

    def _go(self, way: Way, pause_s: float, now: float) -> None:
        shared = self._shared
        shared.number += 1
        shared.under_way += 1
        self._under_way = True
        shared.made[way] += 1
        shared.again_at.pop(way, None)
        shared.health.take(way.upstream, now)
        shared.health.take(way.key_name, now)
        self.way, self.pause_s, self.number = way, pause_s, shared.number

    def _is_cool(self, way: Way, now: float) -> bool:
        health = self._shared.health
        return health.cools(way.upstream, now) or health.cools(way.key_name, now)

    def _untried(self, said: Verdict, now: float) -> tuple[Way, float] | None:
        """A way that was not gone yet: with another key where the key was at fault, else another route."""
        made = self._shared.made
        fresh = [way for way in self._shared.ways if not made[way]]
        beside = [way for way in fresh if way.route == self.way.route]
        others = [way for way in fresh if way.route not in {tried.route for tried, count in made.items() if count}]
        found = (beside if said in (Verdict.KEY, Verdict.LIMIT) else []) + others
        found.sort(key=lambda way: self._is_cool(way, now))
        return (found[0], 0.0) if found else None

    def _once_more(self, now: float) -> tuple[Way, float] | None:
        """The way that may be gone once more soonest, if that is soon enough."""
        shared = self._shared
        pauses = {
            way: max(shared.again_at[way] - now, 0.0)
            for way in shared.ways
            if way in shared.again_at and shared.made[way] < shared.rules.each
        }
        soonest = min(pauses, key=lambda way: pauses[way], default=None)
        if soonest is None or pauses[soonest] > shared.rules.backoff_most_s:
            return None
        return soonest, pauses[soonest]

    def _remember(self, said: Verdict, error: GatewayError, now: float) -> None:
        way, rules, health = self.way, self._shared.rules, self._shared.health
        if said in (Verdict.AGAIN, Verdict.LIMIT):
            self._shared.again_at[way] = now + max(self._backoff_s(way), error.retry_after_s or 0.0)
        if said in (Verdict.KEY, Verdict.LIMIT) and way.key_name:
            health.rests(way.key_name, error.retry_after_s or rules.cool_down_s, now)
        elif said is Verdict.AGAIN or (said is Verdict.ELSEWHERE and isinstance(error, UpstreamTimeout)):
            health.failed(way.upstream, rules, now)
            if error.retry_after_s:
                health.rests(way.upstream, error.retry_after_s, now)

    def _backoff_s(self, way: Way) -> float:
        """Twice as long each time, and a random half of it: so that those who failed together do not come together."""
        rules, times = self._shared.rules, self._shared.made[way]
        whole: float = min(rules.backoff_s * 2 ** (times - 1), rules.backoff_most_s)
        return whole * (0.5 + self._shared.chance.random() / 2)
