"""What is decided of an attempt beside its words: how long it may take, how often it is made, and what follows when its
client leaves.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Literal, get_args

import msgspec
from msgspec.structs import asdict, replace


class Timeouts(msgspec.Struct, frozen=True, kw_only=True, cache_hash=True):
    """How long an upstream may take, in seconds; 0 where a wait has no bound. Long, because deep thinking is slow."""

    connect_s: float = 5.0
    first_byte_s: float = 600.0
    """From the request being sent to the first byte of the answer."""
    first_content_s: float = 0.0
    """From the request being sent to the first text, thought or call: a role or a ping is none."""
    gap_s: float = 300.0
    """Between two reads of an answer."""
    whole_s: float = 3600.0
    floor_tokens_per_s: float = 0.0
    """Output tokens a second, estimated, that an answer must keep up once it has begun; 0 asks for none."""
    floor_window_s: float = 30.0
    """Over how long that is looked at."""

    def with_(self, other: Waits) -> Timeouts:
        """The same with what `other` says in its place."""
        return replace(self, **other.said()) if other.said() else self

    def within(self, other: Waits) -> Timeouts:
        """The same where `other` says nothing shorter: a request may tighten, never loosen."""
        said = {name: self._tighter(name, value) for name, value in other.said().items()}
        return replace(self, **said) if said else self

    def _tighter(self, name: str, value: float) -> float:
        own: float = getattr(self, name)
        if name == "floor_tokens_per_s":
            return max(own, value)
        return min(own, value) if own and value else own or value


class Waits(msgspec.Struct, frozen=True, kw_only=True, cache_hash=True):
    """Some of `Timeouts`: what a provider, a route or a request says of them. `None` says nothing."""

    connect_s: float | None = None
    first_byte_s: float | None = None
    first_content_s: float | None = None
    gap_s: float | None = None
    whole_s: float | None = None
    floor_tokens_per_s: float | None = None
    floor_window_s: float | None = None

    def said(self) -> Mapping[str, float]:
        """What it says, by field."""
        return {name: value for name, value in asdict(self).items() if value is not None}


LeaveKind = Literal["cancel", "linger", "drain", "keep"]


class Leave(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of the upstream's answer when its client has gone.

    `cancel` closes the connection at once. `linger` reads on for `seconds`, so that an answer that is nearly over is
    reported. `drain` reads on to the end, to `tokens` or `seconds`, whichever is first, where the upstream bills the
    whole answer anyway and the entry is to say what it was. `keep` is for streams that can be taken up again.
    """

    kind: LeaveKind = "cancel"
    seconds: float = 0.0
    tokens: int = 0
    """Output tokens, estimated, after which a drain ends; 0 for no such bound."""


class Attempts(msgspec.Struct, frozen=True, kw_only=True):
    """How often a request is tried before its client is told of a failure. All of it before the first content."""

    most: int = 4
    """Attempts in all, over every route and key."""
    each: int = 2
    """Attempts at one route with one key."""
    backoff_s: float = 0.25
    """The wait before the second attempt at a route; it doubles each time, and a random half of it is taken."""
    backoff_most_s: float = 4.0
    """The longest wait, Retry-After included: what asks for more is passed over for the next route."""
    cool_down_after: int = 3
    """Failures in a row after which a route's upstream is not asked any more for a while; 0 for never."""
    cool_down_s: float = 15.0
    """For how long; then one request probes it. It doubles with each probe that fails, up to five minutes."""
    commit_after_s: float = 10.0
    """After how long without content the answer begins all the same, so that nothing between us and the client gives it
    up; from then on a failure is told."""
    hedge_after_s: float = 0.0
    """After how long without content the next route is asked, too, and the slower of the two cancelled; 0 for never."""
    continuations: int = 0
    """How often a text that broke off is gone on with by the same model, where its provider takes a beginning; 0 for
    never."""


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """One way to have an alias answered."""

    model: str
    """`provider/model`."""
    weight: int = 1
    """Its share, where an alias' routes are chosen by weight."""
    timeouts: Waits = Waits()


class Alias(msgspec.Struct, frozen=True, kw_only=True):
    """A name of the operator's own for models, wherever they can be had."""

    name: str
    routes: tuple[Route, ...]
    order: Literal["ordered", "weighted"] = "ordered"
    """`ordered`: the first route that works. `weighted`: the first one is drawn, the others follow by weight."""
    attempts: Attempts | None = None
    """Its own, or the gateway's."""
    leave: Leave | None = None


class PriceOverride(msgspec.Struct, frozen=True, kw_only=True):
    """What the operator pays for a model: amounts of `currency` for a million tokens. `None` says nothing."""

    currency: str
    """Its three letters."""
    input: Decimal
    output: Decimal
    cached_input: Decimal | None = None
    cache_write: Decimal | None = None
    reasoning: Decimal | None = None


_LEAVE = re.compile(r"(?P<kind>[a-z]+)(?:[ =]+(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>s|tokens)?)?")


def leave_of(text: str) -> Leave:
    """What is written as `cancel`, `linger 5s`, `drain`, `drain 30s`, `drain 2000 tokens` or `keep`.

    Raises `ValueError` that says what was expected.
    """
    match = _LEAVE.fullmatch(text.strip().lower())
    kind, number, unit = (match["kind"], match["number"], match["unit"] or "s") if match else ("", None, "s")
    for known in get_args(LeaveKind):
        if kind != known:
            continue
        if (known == "linger") != (number is not None) and known != "drain":
            break
        if unit == "tokens" and (known != "drain" or number is None or "." in number):
            break
        value = float(number or 0)
        return Leave(kind=known, tokens=int(value)) if unit == "tokens" else Leave(kind=known, seconds=value)
    raise ValueError("must be one of: cancel, linger 5s, drain, drain 30s, drain 2000 tokens")
