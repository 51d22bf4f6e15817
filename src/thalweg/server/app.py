"""The application: the one place where the gateway is put together.

Generation endpoints are found in a dictionary, ahead of everything; the rest goes through Starlette's router. Every
route says in the table below who may call it; there is no way to add one that does not.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Iterable
from typing import Literal

import msgspec
from starlette.routing import Route, Router

from thalweg.canon.errors import GatewayError, Internal, MethodNotAllowed, NotFound
from thalweg.canon.scrub import blame
from thalweg.config import Settings
from thalweg.dialects.registry import DIALECTS
from thalweg.ledger.entry import Store
from thalweg.relay.attempts import Health
from thalweg.relay.budget import Budget
from thalweg.relay.turns import TurnStore
from thalweg.server.catalogue import Catalogue
from thalweg.server.endpoints.count import CountTokens
from thalweg.server.endpoints.generate import Generation, request_ids
from thalweg.server.endpoints.health import Readyz, livez
from thalweg.server.endpoints.metrics import MetricsPage
from thalweg.server.endpoints.models import ModelList, OneModel, ProviderList
from thalweg.server.endpoints.pages import MOUNT, PAGES, Assets, page
from thalweg.server.endpoints.streams import CancelStream
from thalweg.server.engines import Engines
from thalweg.server.house import Current, House, new_stream_id
from thalweg.server.live import LiveStreams
from thalweg.server.log import Log, silent
from thalweg.server.media import MediaFiller
from thalweg.server.meter import note_other, note_refused
from thalweg.server.metrics import Metrics
from thalweg.server.shapes import encode_error, is_gemini_call, is_gemini_count, is_gemini_generation
from thalweg.server.simulated import in_process
from thalweg.server.wire import App, Headers, Message, Receive, Scope, Send, send_answer
from thalweg.upstream.base import Connector
from thalweg.upstream.connector import HttpConnector
from thalweg.upstream.fetch import MediaFetcher
from thalweg.upstream.proxy import ProxySettings

_log = logging.getLogger("thalweg.server")

_OPENAI_MOUNTS = ("/v1", "/api/v3", "/compatible-mode/v1", "/openai/v1")
GENERATION_PATHS: dict[str, tuple[str, ...]] = {
    "openai-chat": tuple(f"{mount}/chat/completions" for mount in _OPENAI_MOUNTS),
    "openai-responses": tuple(f"{mount}/responses" for mount in _OPENAI_MOUNTS),
    "anthropic": ("/anthropic/v1/messages", "/v1/messages"),
}
"""Where requests to generate come in, by dialect; Gemini's have the model's name in their path."""
COUNTING_PATHS: dict[str, tuple[str, ...]] = {
    "openai-responses": tuple(f"{mount}/responses/input_tokens" for mount in _OPENAI_MOUNTS),
    "anthropic": ("/anthropic/v1/messages/count_tokens", "/v1/messages/count_tokens"),
}
"""Where a prompt's tokens are counted; Gemini's have the model's name in their path."""
CHAT_PATHS = GENERATION_PATHS["openai-chat"]
MODEL_MOUNTS = ("/v1", "/api/v3", "/compatible-mode/v1", "/openai/v1", "/anthropic/v1", "/v1beta")

_QUIET = "thalweg.quiet"
"""Where a scope says that a good answer needs no line in the log: probes, pages, and those who read the metrics."""
_LOOPBACK = ("localhost", "127.0.0.0/8", "::1")
Access = Literal["anyone", "caller"]


class Endpoint(msgspec.Struct, frozen=True):
    """One route: where, how, who may call it, and what answers."""

    path: str
    method: str
    access: Access
    make: Callable[[House], App]


def _livez(_: House) -> App:
    return livez


def _counting(name: str) -> Callable[[House], App]:
    return lambda house: CountTokens(house, house.dialects[name])


ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint("/livez", "GET", "anyone", _livez),
    Endpoint("/readyz", "GET", "anyone", Readyz),
    Endpoint("/metrics", "GET", "caller", MetricsPage),
    *(Endpoint(f"{mount}/models", "GET", "caller", ModelList) for mount in MODEL_MOUNTS),
    *(Endpoint(f"{mount}/models/{{model:path}}", "GET", "caller", OneModel) for mount in MODEL_MOUNTS),
    Endpoint("/providers", "GET", "caller", ProviderList),
    Endpoint("/streams/{stream_id}", "DELETE", "caller", CancelStream),
    *(Endpoint(path, "POST", "caller", _counting(name)) for name, paths in COUNTING_PATHS.items() for path in paths),
    # Pages hold no data: what they show they ask for with their caller's key.
    *(Endpoint(path, "GET", "anyone", page(path)) for path in PAGES),
    Endpoint(f"{MOUNT}{{file:path}}", "GET", "anyone", Assets),
)
"""Every route but the generation endpoints, which check their caller themselves before they read the body."""

_PATHS = tuple(dict.fromkeys(endpoint.path for endpoint in ENDPOINTS))


class Gateway:
    """The ASGI application."""

    def __init__(self, house: House) -> None:
        self.house = house
        self._generation: dict[str, App] = {}
        for name, paths in GENERATION_PATHS.items():
            self._generation |= dict.fromkeys(paths, Generation(house, house.dialects[name]))
        self._gemini = Generation(house, house.dialects["gemini"])
        self._gemini_count = CountTokens(house, house.dialects["gemini"])
        # All methods lead to us: Starlette's own answer to a wrong one would be for anyone, and no dialect's.
        self._router = Router([Route(path, _Guarded(path, house)) for path in _PATHS], redirect_slashes=False)
        self._router.default = self._nothing_here

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Find the endpoint. Doubled slashes in a path count as one, because SDKs make them of a base URL's end."""
        if scope["type"] != "http":
            return
        path = scope["path"]
        if "//" in path:
            path = scope["path"] = _single_slashes(path)
        generation = self._generation.get(path)
        if generation is None and is_gemini_generation(path):
            generation = self._gemini
        if generation is not None and scope["method"] == "POST":
            await generation(scope, receive, send)
            return
        await self._other(scope, receive, send)

    def refused(self, error: GatewayError, path: str) -> None:
        """The guard refused a request before it was one."""
        note_refused(self.house, path, error)

    async def _other(self, scope: Scope, receive: Receive, send: Send) -> None:
        name, began = new_stream_id(), time.monotonic()
        send = noted = _Noted(send, request_ids(dict(scope["headers"]), name.encode()))
        refusal: GatewayError | None = None
        try:
            if scope["path"] in self._generation or is_gemini_generation(scope["path"]):
                self.house.doorkeeper.identify(scope)
                raise _WrongMethod(scope, ["POST"])
            if not is_gemini_call(scope["path"]):
                await self._router(scope, receive, send)
            elif is_gemini_count(scope["path"]):
                await self._count_for_gemini(scope, receive, send)
            else:
                await self._nothing_here(scope, receive, send)
        except GatewayError as error:
            refusal = error
        except Exception as error:  # noqa: BLE001  # the edge of the request: a bug becomes an id, its text goes nowhere
            _log.error("request %s failed: %s", name, blame(error), extra={"stream_id": name})
            refusal = Internal(f"Something went wrong here. Look for {name} in the log.")
        if refusal is not None:
            await _refuse(scope, send, refusal)
        elif scope.get(_QUIET):
            return
        note_other(self.house, scope, ids=noted.ids, status=noted.status, error=refusal, began=began)

    async def _count_for_gemini(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.house.doorkeeper.identify(scope)
        if scope["method"] != "POST":
            raise _WrongMethod(scope, ["POST"])
        await self._gemini_count(scope, receive, send)

    async def _nothing_here(self, scope: Scope, receive: Receive, send: Send) -> None:
        """A path that leads nowhere: 401 without a key, 404 with one."""
        scope["thalweg.caller"] = self.house.doorkeeper.identify(scope)
        raise NotFound(f"There is no {scope['method']} {scope['path']} here.", code="not_found")


class _WrongMethod(MethodNotAllowed):
    """The path is there, the method is not. `allowed` are those that are."""

    def __init__(self, scope: Scope, allowed: Iterable[str]) -> None:
        self.allowed = ", ".join(allowed)
        super().__init__(f"{scope['path']} takes {self.allowed}, not {scope['method']}.")


class _Guarded:
    """The endpoints of one path behind their access rule."""

    def __init__(self, path: str, house: House) -> None:
        endpoints = [endpoint for endpoint in ENDPOINTS if endpoint.path == path]
        self._apps = {endpoint.method: endpoint.make(house) for endpoint in endpoints}
        if "GET" in self._apps:
            self._apps["HEAD"] = self._apps["GET"]
        self._checks = any(endpoint.access == "caller" for endpoint in endpoints)
        self._is_quiet = not self._checks or path == "/metrics"
        self._house = house

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope[_QUIET] = self._is_quiet
        if self._checks:
            scope["thalweg.caller"] = self._house.doorkeeper.identify(scope)
        app = self._apps.get(scope["method"])
        if app is None:
            raise _WrongMethod(scope, self._apps)
        await app(scope, receive, send)


async def _refuse(scope: Scope, send: Send, error: GatewayError) -> None:
    said = encode_error(scope["path"], error, headers=scope["headers"], query=scope["query_string"])
    allow: Headers = ((b"allow", error.allowed.encode()),) if isinstance(error, _WrongMethod) else ()
    await send_answer(send, said.status, said.headers + allow, said.body)


class _Noted:
    """A `send` that puts the request's ids on the answer, and keeps the status that it was given."""

    def __init__(self, send: Send, ids: Headers) -> None:
        self.ids = ids
        self.status: int | None = None
        self._send = send

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message["headers"] = [*message["headers"], *self.ids]
        await self._send(message)


def _single_slashes(path: str) -> str:
    while "//" in path:
        path = path.replace("//", "/")
    return path


def proxies_of(settings: Settings) -> ProxySettings | None:
    """The proxies on the way to upstreams. A proxy is for other machines: its loopback is not ours."""
    if not settings.proxy_environment:
        return None
    proxy = ProxySettings.from_mapping(settings.proxy_environment)
    return msgspec.structs.replace(proxy, no_proxy=(*proxy.no_proxy, *_LOOPBACK))


def make_connector(settings: Settings) -> HttpConnector:
    """The connector for real upstreams."""
    return HttpConnector(proxy=proxies_of(settings), ca_file=settings.ca_file)


def make_fetcher(settings: Settings) -> MediaFetcher:
    """What fetches files that clients name by their addresses."""
    proxy = ProxySettings.from_mapping(settings.proxy_environment) if settings.proxy_environment else None
    return MediaFetcher(proxy=proxy, ca_file=settings.ca_file)


def make_simulator(settings: Settings) -> Connector:
    """The simulator, and recordings, as an upstream in this process."""
    return in_process(settings)


def make_gateway(
    settings: Settings,
    *,
    ledger: Store,
    connector: Connector,
    simulator: Connector,
    log: Log | None = None,
    fetcher: MediaFetcher | None = None,
) -> Gateway:
    """Put the gateway together. Without a `log`, requests leave no lines; `fetcher` stands in for the usual one."""
    engines, catalogue = Engines(settings), Catalogue(settings)
    log, budget = log or silent(), Budget(settings.buffers.total_bytes)
    live = LiveStreams(budget)
    now: dict[str, Callable[[], float]] = {
        "streams_open": lambda: len(live),
        "buffer_bytes": lambda: budget.held_bytes,
        "buffer_limit_bytes": lambda: budget.limit_bytes,
        "ledger_unsettled": lambda: ledger.unsettled,
        "log_dropped_total": log.dropped,
    }
    return Gateway(
        House(
            current=Current(settings, engines, catalogue),
            dialects=DIALECTS,
            engines=engines,
            catalogue=catalogue,
            connector=connector,
            simulator=simulator,
            ledger=ledger,
            live=live,
            budget=budget,
            turns=TurnStore(),
            media=MediaFiller(fetcher or make_fetcher(settings), allowed=settings.fetch_media),
            metrics=Metrics(now),
            log=log,
            health=Health(),
            chance=random.Random(),  # noqa: S311  # it spreads load and pauses
        )
    )
