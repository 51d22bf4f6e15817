"""Generation: from a client's request to the pump that answers it. The one way for every dialect's endpoint."""

from __future__ import annotations

import logging
import re
import time
from typing import NamedTuple
from urllib.parse import urlsplit

from msgspec.structs import replace

from thalweg.canon.errors import (
    GatewayError,
    Internal,
    InvalidRequest,
    RequestError,
    TooLarge,
    Unavailable,
    UnsupportedMedia,
)
from thalweg.canon.losses import Losses, Strictness
from thalweg.canon.request import Request
from thalweg.canon.scrub import blame
from thalweg.canon.turns import arrange
from thalweg.config import ProviderSettings
from thalweg.dialects.base import Dialect, Files, NamesFiles, UpstreamBody, UpstreamSide, WireRequest
from thalweg.ledger.entry import Reservation
from thalweg.profiles.base import Profile
from thalweg.relay.budget import Share, no_room
from thalweg.relay.exchange import Bounds, Exchange, Plan, Timing
from thalweg.relay.media import wanted
from thalweg.relay.pump import Pump
from thalweg.relay.turns import TurnKeeper
from thalweg.server.auth import Identity, owner
from thalweg.server.house import House, new_stream_id, unix_ms
from thalweg.server.meter import Meter, Observer
from thalweg.server.models import Target
from thalweg.server.streaming import AsgiClient, ClientGone, read_body, unless_gone
from thalweg.server.wire import HOP, Headers, Receive, Scope, Send, send_answer
from thalweg.upstream.base import Origin, UpstreamRequest

_log = logging.getLogger("thalweg.server")
_SIMULATED_ORIGIN = Origin("http", "simulator.invalid", 80)
_MOST_ID_BYTES = 128

Fields = dict[bytes, bytes]
"""A request's header by lower-case names; of one that comes twice, the last."""


class LoopFound(InvalidRequest):
    """The request has been through this gateway already."""

    http_status = 508


class Generation:
    """An ASGI application for one dialect's generation endpoint."""

    def __init__(self, house: House, dialect: Dialect) -> None:
        self._house = house
        self._dialect = dialect
        self._most_bytes = house.settings.limits.body_bytes
        buffers = house.settings.buffers
        self._bounds = Bounds(frame_bytes=buffers.frame_bytes, answer_bytes=buffers.answer_bytes)

    @property
    def _timing(self) -> Timing:
        waits = self._house.settings.timeouts
        return Timing(
            connect_s=waits.connect_s, first_byte_s=waits.first_byte_s, gap_s=waits.gap_s, whole_s=waits.whole_s
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; every error is said in the dialect."""
        stream_id = new_stream_id()
        fields: Fields = dict(scope["headers"])
        headers = _own_headers(fields, stream_id)
        observer = Observer(self._house, scope, stream_id, headers, self._dialect.name)
        share = Share(self._house.budget)
        arrival = _Arrival(scope, fields, stream_id, headers, observer, share, receive)
        client = AsgiClient(scope, send)
        try:
            pump = await self._taken(arrival, client, receive, send)
            if pump is not None:
                await self._run(pump, arrival, client, receive)
        finally:
            share.close()

    async def _taken(self, arrival: _Arrival, client: AsgiClient, receive: Receive, send: Send) -> Pump | None:
        """The pump for a request; `None` where it was refused, or its client has gone."""
        observer, stream_id = arrival.observer, arrival.stream_id
        try:
            if b"traceparent" in arrival.fields:
                observer.traced()
            observer.caller = self._house.doorkeeper.identify(arrival.scope)
            self._refuse_early(arrival.fields)
            body = await read_body(receive, most_bytes=self._most_bytes, share=arrival.share)
            return await self._prepare(arrival, observer.caller, client, body)
        except ClientGone:
            observer.abandoned()
        except GatewayError as error:
            observer.rejected(error, await self._refuse(send, error, arrival.headers))
        except Exception as error:  # noqa: BLE001  # the edge of the request: a bug becomes an id, its text goes nowhere
            _log.error("request %s failed: %s", stream_id, blame(error), extra={"stream_id": stream_id})
            bug = Internal(f"Something went wrong here. Look for {stream_id} in the log.")
            observer.rejected(bug, await self._refuse(send, bug, arrival.headers))
        return None

    async def _run(self, pump: Pump, arrival: _Arrival, client: AsgiClient, receive: Receive) -> None:
        live, caller = self._house.live, arrival.observer.caller
        assert caller is not None
        live.add(arrival.stream_id, pump, caller, client)
        end_watch = client.watch(receive, pump.client_left)
        try:
            await pump.run()
        finally:
            end_watch()
            live.remove(arrival.stream_id)

    def _refuse_early(self, fields: Fields) -> None:
        """What can be refused before the body is read."""
        self._refuse_when_draining()
        if self._house.budget.spent:
            raise no_room()
        if HOP in fields:
            raise LoopFound("The request has come back to this gateway: an upstream's address leads here.")
        if fields.get(b"content-encoding", b"identity") != b"identity":
            raise UnsupportedMedia("Compressed request bodies are not taken.")
        length = fields.get(b"content-length", b"")
        if length.isdigit() and int(length) > self._most_bytes:
            raise TooLarge(f"The request's body is larger than {self._most_bytes} bytes.")

    def _refuse_when_draining(self) -> None:
        if self._house.live.draining:
            error = Unavailable("The gateway is shutting down.")
            error.retry_after_s = 1
            raise error

    async def _prepare(self, arrival: _Arrival, caller: Identity, client: AsgiClient, body: bytes) -> Pump:
        """Decide, reserve, and make the pump."""
        house, started = self._house, time.monotonic()
        self._refuse_when_draining()  # once more: a body may take its time
        asked = self._dialect.read_request(body, _target(arrival.scope))
        arrival.observer.model = asked.model
        target = house.directory.resolve(asked, arrival.scope["path"], self._dialect.name)
        route = _Route(target, house.dialects[target.row.dialect or self._dialect.name])
        # A translated answer is always streamed to us: what was read of it counts, also if it is never whole.
        stream = asked.stream or route.profile.stream_only or route.dialect is not self._dialect
        written = await self._written(arrival, client, route, asked, stream=stream)
        dropped = ((b"x-thalweg-dropped", _shown(written.lost)),) if written.lost else ()
        plan = Plan(
            stream_id=arrival.stream_id,
            asked=asked,
            dialect=self._dialect,
            upstream=route.upstream_side(),
            upstream_streams=stream,
            sent=written.sent,
            request=written.request,
            listener=None if written.sent is None else TurnKeeper(house.turns, owner(arrival.scope), time.monotonic),
            raw=_is_raw(arrival),
            created=int(time.time()),
            headers=arrival.headers + route.headers + dropped,
            timing=self._timing,
            bounds=self._bounds,
        )
        request = route.request(
            written.body,
            stream=stream,
            more=written.headers + (arrival.observer.trace.headers() if arrival.observer.trace is not None else ()),
            connect_timeout_s=self._timing.connect_s,
        )
        if not arrival.share.hold_request(len(body) + len(request.body)):
            raise no_room()
        arrival.observer.reservation = reservation = self._reservation(arrival, caller, asked, route)
        await house.ledger.open(reservation)
        return Pump(
            Exchange(plan, now=started, share=arrival.share),
            connector=house.simulator if target.provider is None else house.connector,
            request=request,
            client=client,
            taps=(Meter(house.ledger, arrival.stream_id, 1), arrival.observer),
        )

    async def _written(
        self, arrival: _Arrival, client: AsgiClient, route: _Route, asked: WireRequest, *, stream: bool
    ) -> _Written:
        """The upstream's request: the client's own bytes where both sides speak one dialect, else written anew."""
        model, profile = route.model, route.profile
        if route.dialect is self._dialect:
            passed = tuple(
                (name, value) for name, value in arrival.fields.items() if name in self._dialect.passed_headers
            )
            if _is_raw(arrival):
                profile = replace(profile, repairs=frozenset())
            body = asked.edited(model=model, profile=profile, stream=stream)
            if not profile.media_urls and isinstance(asked, NamesFiles) and asked.names_files():
                files = await self._files(arrival, client, route, asked)
                body = asked.filled(body, files) if files else body
            return _Written(body, None, None, asked.left_out(profile), passed)
        house, losses = self._house, Losses(_strictness(arrival.fields))
        request = asked.canon()
        _note_foreign(request, losses)
        turns = house.turns.restore(owner(arrival.scope), request.messages, time.monotonic())
        request = replace(request, messages=arrange(turns, losses))
        if wanted(request, taken=profile.media_urls, prefixes=profile.media_url_prefixes):
            filling = house.media.fill(request, profile, share=arrival.share)
            request = await unless_gone(client, arrival.receive, filling)
        sent = route.dialect.encode_request(request, model=model, profile=profile, stream=stream, losses=losses)
        return _Written(sent.body, sent, request, losses.names, ())

    async def _files(self, arrival: _Arrival, client: AsgiClient, route: _Route, asked: WireRequest) -> Files:
        """The files that a request names, for an upstream of its own dialect that opens no addresses. Where they cannot
        be told, it says so itself.
        """
        if route.simulated or not self._house.media.allowed:
            return {}
        try:
            request = asked.canon()
        except RequestError:
            return {}
        fetching = self._house.media.files(request, route.profile, share=arrival.share)
        return await unless_gone(client, arrival.receive, fetching)

    def _reservation(self, arrival: _Arrival, caller: Identity, asked: WireRequest, route: _Route) -> Reservation:
        return Reservation(
            request_id=arrival.stream_id,
            attempt=1,
            at_ms=unix_ms(),
            key_id=caller.key_id,
            dialect=self._dialect.name,
            endpoint=arrival.scope["path"],
            provider=route.name,
            model=asked.model,
            upstream_model=route.model,
            stream=asked.stream,
            simulated=route.simulated,
        )

    async def _refuse(self, send: Send, error: GatewayError, headers: Headers) -> int:
        """Say the error; the status that it was said with."""
        said = self._dialect.encode_error(error)
        await send_answer(send, said.status, said.headers + headers, said.body)
        return said.status


class _Arrival(NamedTuple):
    """A request as it came in, before anything is known of its body."""

    scope: Scope
    fields: Fields
    stream_id: str
    headers: Headers
    """Headers of ours for its answer."""
    observer: Observer
    share: Share
    receive: Receive


class _Written(NamedTuple):
    """A request as the upstream gets it."""

    body: bytes
    sent: UpstreamBody | None
    """`None` where both sides speak one dialect."""
    request: Request | None
    lost: tuple[str, ...]
    """Names of the client's fields that it has only in part, or not."""
    headers: Headers
    """Of the client's, those that go with it."""


class _Route:
    """One target, as the rest of the request needs it."""

    def __init__(self, target: Target, dialect: Dialect) -> None:
        row = target.row
        self._target = target
        self.dialect = dialect
        """What the upstream speaks."""
        self.name = row.name
        self.key_name = _key_name(target.provider)
        self.profile: Profile = row.profile_of(target.upstream_model)
        self.model = target.upstream_model
        self.simulated = target.provider is None
        self._credential = target.provider.credential if target.provider else None
        self.headers: Headers = ((b"x-thalweg-simulated", b"1"),) if self.simulated else ()

    def upstream_side(self) -> UpstreamSide:
        """The codec's upstream position for this target."""
        return UpstreamSide(
            self.dialect, self.profile, provider=self.name, key_name=self.key_name, credential=self._credential
        )

    def request(self, body: bytes, *, stream: bool, more: Headers, connect_timeout_s: float) -> UpstreamRequest:
        """The HTTP request for this upstream; of its headers, `more` stand above the dialect's own."""
        provider = self._target.provider
        said = {name for name, _ in more}
        own = tuple(pair for pair in self.dialect.request_headers(stream=stream) if pair[0] not in said)
        return UpstreamRequest(
            origin=provider.origin if provider else _SIMULATED_ORIGIN,
            method=b"POST",
            target=self.dialect.request_target(self._base_path(), self.model, stream=stream),
            headers=_UPSTREAM_HEADERS[stream] + own + more,
            body=body,
            credential=self._credential,
            connect_timeout_s=connect_timeout_s,
            provider=self.name,
            setting=provider.row.base_url_variable if provider else "",
        )

    def _base_path(self) -> bytes:
        if self._target.provider is not None:
            return self._target.provider.base_path
        if not self._target.row.dialect:
            # The simulator speaks whatever its client does, at the path where that is usual.
            return _USUAL_PATHS.get(self.dialect.name, b"/v1")
        return urlsplit(self._target.row.base_url).path.encode()


_USUAL_PATHS = {"anthropic": b"", "gemini": b"/v1beta"}


def _shown(names: tuple[str, ...]) -> bytes:
    """Names of fields in a header. Some are a client's own words: what no field's name needs is not sent back."""
    shown = [_NO_NAME.sub("_", name[:_MOST_NAME]) for name in names[:_MOST_NAMES]]
    return ", ".join([*shown, "..."] if len(names) > _MOST_NAMES else shown).encode()


_NO_NAME = re.compile(r"[^A-Za-z0-9_.\-\[\]]")
_MOST_NAME = 80
_MOST_NAMES = 32


def _target(scope: Scope) -> bytes:
    """Path and query as they came."""
    path: bytes = scope.get("raw_path") or scope["path"].encode()
    query: bytes = scope["query_string"]
    return path + b"?" + query if query else path


def _is_raw(arrival: _Arrival) -> bool:
    """Whether the client wants no repairs."""
    return arrival.fields.get(b"x-thalweg-raw") == b"1"


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


def _key_name(provider: ProviderSettings | None) -> str:
    """What an upstream refuses when it refuses our key, for people."""
    if provider is None or provider.credential is not None:
        return provider.key_name if provider else ""
    return f"a request without a key (set {provider.key_name})"


def _upstream_headers(accept: bytes) -> Headers:
    return (
        (b"content-type", b"application/json"),
        (b"accept", accept),
        (b"user-agent", b"thalweg"),
        (HOP, b"1"),
    )


_UPSTREAM_HEADERS = {True: _upstream_headers(b"text/event-stream"), False: _upstream_headers(b"application/json")}


def _own_headers(fields: Fields, stream_id: str) -> Headers:
    """The headers that every answer carries: the stream's name, and the request's ids."""
    name = stream_id.encode()
    return ((b"x-thalweg-stream", name), *request_ids(fields, name))


def request_ids(fields: Fields, own: bytes) -> Headers:
    """The ids that the client sent, to go back to it; without one of its own the request has ours."""
    request_id, client_id = fields.get(b"x-request-id", own), fields.get(b"x-client-request-id")
    ids: Headers = ((b"x-request-id", request_id if request_id is own or _is_id(request_id) else own),)
    return ids if client_id is None or not _is_id(client_id) else (*ids, (b"x-client-request-id", client_id))


def _is_id(value: bytes) -> bool:
    return 0 < len(value) <= _MOST_ID_BYTES and value.isascii() and all(0x20 < byte < 0x7F for byte in value)
