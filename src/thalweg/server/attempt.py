"""How a client's request is put to an upstream: one attempt, from the way that was chosen to the pump that goes it."""

from __future__ import annotations

import re
import time
from functools import lru_cache
from urllib.parse import urlsplit

import msgspec
from msgspec.structs import asdict, replace

from thalweg.canon.errors import RequestError
from thalweg.canon.losses import Losses, Strictness
from thalweg.canon.policy import Leave, Timeouts, Waits
from thalweg.canon.request import Request
from thalweg.canon.turns import arrange
from thalweg.canon.usage import estimate_tokens
from thalweg.config import Key, ProviderSettings
from thalweg.dialects.base import (
    Continues,
    Dialect,
    Files,
    NamesFiles,
    UpstreamBody,
    UpstreamSide,
    WireRequest,
    count_chars,
)
from thalweg.ledger.entry import Reservation
from thalweg.profiles.base import Prefill, Profile
from thalweg.relay.attempts import Tries, Way
from thalweg.relay.budget import Share, no_room
from thalweg.relay.course import Guard
from thalweg.relay.exchange import Exchange
from thalweg.relay.media import wanted
from thalweg.relay.plan import Bounds, Plan, Timing
from thalweg.relay.pump import Pump
from thalweg.relay.seam import Beginning
from thalweg.relay.turns import TurnKeeper
from thalweg.server.auth import owner
from thalweg.server.house import House, unix_ms
from thalweg.server.meter import Meter, Observer
from thalweg.server.models import Target
from thalweg.server.streaming import AsgiClient, unless_gone
from thalweg.server.wire import HOP, Headers, Receive, Scope
from thalweg.server.wishes import Wishes
from thalweg.upstream.base import Origin, UpstreamRequest

Fields = dict[bytes, bytes]
"""A request's header by lower-case names; of one that comes twice, the last."""

_SIMULATED_ORIGIN = Origin("http", "simulator.invalid", 80)


_ONLY_WAY = Way(0, 0, "")
"""Of a request that is tried once."""
_NO_WAITS = Waits()


class Arrival(msgspec.Struct, frozen=True):
    """A request as it came in, before anything is known of its body."""

    scope: Scope
    fields: Fields
    stream_id: str
    headers: Headers
    """Headers of ours for its answer."""
    observer: Observer
    share: Share
    receive: Receive
    client: AsgiClient


class Asking:
    """One client's request, ready to be put to any of its routes."""

    def __init__(
        self, house: House, dialect: Dialect, arrival: Arrival, *, asked: WireRequest, body: bytes, wishes: Wishes
    ) -> None:
        self._house = house
        self._dialect = dialect
        self._arrival = arrival
        self._asked = asked
        self._body = body
        self._wishes = wishes
        self._started = time.monotonic()
        self._routes = house.current.directory.routes(asked, arrival.scope["path"], dialect.name)
        self._raw = arrival.fields.get(b"x-thalweg-raw") == b"1"
        """Whether the client wants no repairs."""
        self._tries = self._make_tries()
        """Of the first attempt, and those that follow it."""

    async def first(self) -> Pump:
        """The pump of the first attempt. Raises `GatewayError` where no route can be asked, and `ClientGone`."""
        arrival = self._arrival
        return await self.pump(self._tries, lambda work: unless_gone(arrival.client, arrival.receive, work))

    def _make_tries(self) -> Tries | None:
        """`None` where there is only the simulator: what it does, it does again."""
        house, routes = self._house, self._routes
        if len(routes.targets) == 1 and routes.targets[0].provider is None:
            return None
        ways: list[Way] = []
        for route in range(len(routes.targets)):
            ways += self._ways(route)
        return Tries(
            ways,
            routes.attempts or house.current.settings.attempts,
            house.health,
            house.chance,
            self._started,
        )

    def _ways(self, route: int) -> list[Way]:
        """A route with each of its keys, beginning with the one whose turn it is."""
        target = self._routes.targets[route]
        keys, name = target.keys, target.row.name
        upstream = f"{name}/{target.upstream_model}"
        if len(keys) < 2:
            return [Way(route, 0, upstream, f"{name} {keys[0].name}" if keys else "")]
        first = self._house.health.turn(name, len(keys))
        order = [*range(first, len(keys)), *range(first)]
        return [Way(route, at, upstream, f"{name} {keys[at].name}") for at in order]

    async def pump(self, tries: Tries | None, guarded: Guard, beginning: Beginning | None = None) -> Pump:
        """The pump of an attempt, at the whole answer or the rest of one; a route that cannot be told what the client
        wants is passed over.

        Raises `GatewayError`, and whatever `guarded` does.
        """
        said: RequestError | None = None
        while True:
            try:
                return await self._pump_on(tries, guarded, beginning)
            except RequestError as error:
                said = said or error
                if tries is None or beginning is not None or not tries.skip(time.monotonic()):
                    raise said from None

    async def _pump_on(self, tries: Tries | None, guarded: Guard, beginning: Beginning | None) -> Pump:
        """Write the request for this way, reserve its entry, and make the pump."""
        house, arrival, asked = self._house, self._arrival, self._asked
        way, number = (_ONLY_WAY, 1) if tries is None else (tries.way, tries.number)
        target = self._routes.targets[way.route]
        key = target.keys[way.key] if target.keys else None
        route = Upstream(target, house.dialects[target.row.dialect or self._dialect.name], key)
        # A translated answer is always streamed to us: what was read of it counts, also if it is never whole.
        stream = asked.stream or route.profile.stream_only or route.dialect is not self._dialect
        written = await self._written(route, guarded, stream=stream)
        told = ""
        if beginning is not None:
            told, body = route.continued(written.body, beginning.text)
            written = replace(written, body=body)
        timing = self._timing(way.route)
        request = route.request(
            written.body,
            stream=stream,
            more=written.headers + (arrival.observer.trace.headers() if arrival.observer.trace is not None else ()),
            connect_timeout_s=timing.connect_s,
            goes_on=beginning is not None,
        )
        if not arrival.share.hold_request(len(self._body) + len(request.body)):
            raise no_room()
        reservation = self._reservation(route, number, continued=beginning is not None)
        await house.ledger.open(reservation)
        plan = self._plan(route, written, timing, tries, stream=stream)
        if beginning is not None:
            plan = replace(plan, beginning=beginning, told=told)
        return Pump(
            Exchange(plan, now=self._started, share=arrival.share),
            connector=house.simulator if target.provider is None else house.connector,
            request=request,
            client=arrival.client,
            taps=(Meter(house.ledger, arrival.stream_id, number), arrival.observer.attempt(reservation)),
        )

    def _plan(self, route: Upstream, written: _Written, timing: Timing, tries: Tries | None, *, stream: bool) -> Plan:
        house, arrival = self._house, self._arrival
        dropped = ((b"x-thalweg-dropped", _shown(written.lost)),) if written.lost else ()
        buffers = house.current.settings.buffers
        return Plan(
            stream_id=arrival.stream_id,
            asked=self._asked,
            dialect=self._dialect,
            upstream=route.upstream_side(),
            upstream_streams=stream,
            sent=written.sent,
            request=written.request,
            listener=None if written.sent is None else TurnKeeper(house.turns, owner(arrival.scope), time.monotonic),
            raw=self._raw,
            created=int(time.time()),
            headers=arrival.headers + route.headers + dropped,
            timing=timing,
            bounds=Bounds(frame_bytes=buffers.frame_bytes, answer_bytes=buffers.answer_bytes),
            leave=self._leave(route),
            tries=tries,
            # Who wants the provider's very frames wants none of ours.
            continues=self._asked.stream and route.prefill is not None and not self._raw,
        )

    def _timing(self, route: int) -> Timing:
        """How long this attempt may take: the gateway's times, the provider's, the route's; a request only tightens."""
        settings, provider = self._house.current.settings, self._routes.targets[route].provider
        rules = self._routes.attempts or settings.attempts
        own = _NO_WAITS if provider is None else provider.timeouts
        return timing_of(settings.timeouts, own, self._routes.waits[route], self._wishes.waits, rules.commit_after_s)

    def _leave(self, route: Upstream) -> Leave:
        """What becomes of the answer when its client goes: the request, the alias, the provider or the gateway says."""
        return self._wishes.leave or self._routes.leave or route.leave or self._house.current.settings.leave

    async def _written(self, route: Upstream, guarded: Guard, *, stream: bool) -> _Written:
        """The upstream's request: the client's own bytes where both sides speak one dialect, else written anew."""
        model, profile, asked, fields = route.model, route.profile, self._asked, self._arrival.fields
        if route.dialect is self._dialect:
            names = self._dialect.passed_headers
            passed = tuple([(name, value) for name, value in fields.items() if name in names]) if names else ()
            if self._raw:
                profile = replace(profile, repairs=frozenset())
            body = asked.edited(model=model, profile=profile, stream=stream)
            if not profile.media_urls and isinstance(asked, NamesFiles) and asked.names_files():
                files = await self._files(route, guarded)
                body = asked.filled(body, files) if files else body
            return _Written(body, None, None, asked.left_out(profile), passed)
        house, losses = self._house, Losses(_strictness(fields))
        request = asked.canon()
        _note_foreign(request, losses)
        turns = house.turns.restore(owner(self._arrival.scope), request.messages, time.monotonic())
        request = replace(request, messages=arrange(turns, losses))
        if wanted(request, taken=profile.media_urls, prefixes=profile.media_url_prefixes):
            request = await guarded(house.media.fill(request, profile, share=self._arrival.share))
        sent = route.dialect.encode_request(request, model=model, profile=profile, stream=stream, losses=losses)
        return _Written(sent.body, sent, request, losses.names, ())

    async def _files(self, route: Upstream, guarded: Guard) -> Files:
        """The files that a request names, for an upstream of its own dialect that opens no addresses. Where they cannot
        be told, it says so itself.
        """
        if route.simulated or not self._house.media.allowed:
            return {}
        try:
            request = self._asked.canon()
        except RequestError:
            return {}
        files: Files = await guarded(self._house.media.files(request, route.profile, share=self._arrival.share))
        return files

    def _reservation(self, route: Upstream, number: int, *, continued: bool) -> Reservation:
        arrival, caller = self._arrival, self._arrival.observer.caller
        assert caller is not None
        return Reservation(
            request_id=arrival.stream_id,
            attempt=number,
            at_ms=unix_ms(),
            key_id=caller.key_id,
            dialect=self._dialect.name,
            endpoint=arrival.scope["path"],
            provider=route.name,
            model=self._asked.model,
            upstream_model=route.model,
            stream=self._asked.stream,
            simulated=route.simulated,
            continued=continued,
        )


class _Written(msgspec.Struct, frozen=True):
    """A request as the upstream gets it."""

    body: bytes
    sent: UpstreamBody | None
    """`None` where both sides speak one dialect."""
    request: Request | None
    lost: tuple[str, ...]
    """Names of the client's fields that it has only in part, or not."""
    headers: Headers
    """Of the client's, those that go with it."""


class Upstream:
    """One target with one key, as the rest of the request needs it."""

    def __init__(self, target: Target, dialect: Dialect, key: Key | None) -> None:
        row = target.row
        self._target = target
        self.dialect = dialect
        """What the upstream speaks."""
        self.name = row.name
        self.key_name = key.name if key is not None else _keyless(target.provider)
        self.profile: Profile = row.profile_of(target.upstream_model)
        self.model = target.upstream_model
        self.simulated = target.provider is None
        self.leave = target.provider.leave if target.provider else None
        self._credential = key.credential if key else None
        self.headers: Headers = ((b"x-thalweg-simulated", b"1"),) if self.simulated else ()

    def upstream_side(self) -> UpstreamSide:
        """The codec's upstream position for this target."""
        return UpstreamSide(
            self.dialect, self.profile, provider=self.name, key_name=self.key_name, credential=self._credential
        )

    @property
    def prefill(self) -> Prefill | None:
        """How it is told the beginning of its answer; `None` where that cannot be."""
        prefill = self.profile.prefill
        # Few have one, and asking a protocol costs as much as reading the whole request.
        return prefill if prefill is not None and isinstance(self.dialect, Continues) else None

    def continued(self, body: bytes, beginning: str) -> tuple[str, bytes]:
        """A request for the rest of an answer: the beginning as it is told, and the body. Raises `RequestError`."""
        prefill = self.prefill
        assert prefill is not None and isinstance(self.dialect, Continues)
        told = beginning.rstrip() if prefill.trims else beginning
        tokens = estimate_tokens(*count_chars(beginning))
        return told, self.dialect.continued(body, told, tokens=tokens, prefill=prefill)

    def request(
        self, body: bytes, *, stream: bool, more: Headers, connect_timeout_s: float, goes_on: bool = False
    ) -> UpstreamRequest:
        """The HTTP request for this upstream, for a whole answer or the rest of one; of its headers, `more` stand above
        the dialect's own.
        """
        provider = self._target.provider
        own = self.dialect.request_headers(stream=stream)
        if more:
            said = {name for name, _ in more}
            own = tuple(pair for pair in own if pair[0] not in said)
        return UpstreamRequest(
            origin=provider.origin if provider else _SIMULATED_ORIGIN,
            method=b"POST",
            target=self.dialect.request_target(
                self._base_path(goes_on=goes_on) if goes_on or provider is None else provider.base_path,
                self.model,
                stream=stream,
            ),
            headers=_UPSTREAM_HEADERS[stream] + own + more,
            body=body,
            credential=self._credential,
            connect_timeout_s=connect_timeout_s,
            provider=self.name,
            setting=provider.row.base_url_variable if provider else "",
        )

    def _base_path(self, *, goes_on: bool) -> bytes:
        if goes_on and self.prefill is not None and self.prefill.base_path:
            return self.prefill.base_path.encode()
        if self._target.provider is not None:
            return self._target.provider.base_path
        if not self._target.row.dialect:
            # The simulator speaks whatever its client does, at the path where that is usual.
            return _USUAL_PATHS.get(self.dialect.name, b"/v1")
        return urlsplit(self._target.row.base_url).path.encode()


_USUAL_PATHS = {"anthropic": b"", "gemini": b"/v1beta"}


@lru_cache(maxsize=256)
def timing_of(timeouts: Timeouts, provider: Waits, route: Waits, asked: Waits, commit_after_s: float) -> Timing:
    """The waits of one attempt. Nearly all requests have the same."""
    tightened = timeouts.with_(provider).with_(route).within(asked)
    return Timing(**asdict(tightened), commit_after_s=commit_after_s)


def _shown(names: tuple[str, ...]) -> bytes:
    """Names of fields in a header. Some are a client's own words: what no field's name needs is not sent back."""
    shown = [_NO_NAME.sub("_", name[:_MOST_NAME]) for name in names[:_MOST_NAMES]]
    return ", ".join([*shown, "..."] if len(names) > _MOST_NAMES else shown).encode()


_NO_NAME = re.compile(r"[^A-Za-z0-9_.\-\[\]]")
_MOST_NAME = 80
_MOST_NAMES = 32

_STRICTNESS: dict[bytes, Strictness] = {b"1": "strict", b"0": "lenient"}


def _strictness(fields: Fields) -> Strictness:
    return _STRICTNESS.get(fields.get(b"x-thalweg-strict", b""), "default")


def _note_foreign(request: Request, losses: Losses) -> None:
    """Fields that only the client's dialect knows."""
    for name in request.essential:
        losses.refuse(name, "only the API that it belongs to knows it")
    for name in request.extensions:
        if name not in request.essential:
            losses.drop(name, "only the API that it belongs to knows it")


def _keyless(provider: ProviderSettings | None) -> str:
    """What an upstream refuses where there is no key to be refused, for people."""
    return "" if provider is None else f"a request without a key (set {provider.key_name})"


def _upstream_headers(accept: bytes) -> Headers:
    return (
        (b"content-type", b"application/json"),
        (b"accept", accept),
        (b"user-agent", b"thalweg"),
        (HOP, b"1"),
    )


_UPSTREAM_HEADERS = {True: _upstream_headers(b"text/event-stream"), False: _upstream_headers(b"application/json")}
