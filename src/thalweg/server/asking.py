"""One question to a provider beside its requests to generate, as for its list of models.

It goes the way that requests go: the same connector, the same proxy and certificates, the key to its own origin only.
"""

from __future__ import annotations

import asyncio

import msgspec

from thalweg.canon.errors import GatewayError
from thalweg.config import ProviderSettings
from thalweg.dialects.registry import DIALECTS
from thalweg.server.wire import HOP
from thalweg.upstream.base import Connector, ResponseHead, UpstreamRequest

CONNECT_S = 5.0
MOST_BYTES = 8 * 1024 * 1024
"""OpenRouter's list is of some hundred models, at a kilobyte or two each."""
_PAGE_BEGINS = (b"<html", b"<!doc")
_JSON = (b"content-type", b"application/json")
_HEADERS = ((b"accept", b"application/json"), (b"user-agent", b"thalweg"), (HOP, b"1"))


class Heard(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it."""

    status: int | None
    """The HTTP status; `None` when none came."""
    error: str | None
    """Why the answer is not whole; the connector's sentence, which names no key."""
    body: bytes
    """Empty where it was longer than it may be."""
    date: str | None
    """What the provider's clock said; `None` of an answer that somebody on the way has kept."""
    is_page: bool
    """Whether it is a page for people."""


async def ask(connector: Connector, request: UpstreamRequest, *, within_s: float) -> Heard:
    """Ask once, and wait for the whole answer. Never raises for what the network or they do."""
    ear = _Ear()
    call = connector.start(request, ear)
    error = None
    try:
        async with asyncio.timeout(within_s):
            await ear.done
    except TimeoutError:
        error = f"no whole answer came within {within_s:.0f} s"
    except GatewayError as failure:
        error = failure.message
    finally:
        call.abort()
    return Heard(status=ear.status, error=error, body=bytes(ear.body), date=ear.date, is_page=ear.is_page)


def for_models(provider: ProviderSettings, query: str = "") -> UpstreamRequest:
    """The request for a provider's list of models, with something added to its query."""
    path = provider.row.models_path.encode()
    if query:
        path += (b"&" if b"?" in path else b"?") + query.encode()
    # The bases of some are written without their `/v1`, and often with it.
    base = provider.base_path.removesuffix(b"/v1") if path.startswith(b"/v1/") else provider.base_path
    return request_to(provider, base + path)


def request_to(provider: ProviderSettings, target: bytes, body: bytes = b"") -> UpstreamRequest:
    """A request to a provider: to generate where there is a body, else to look."""
    dialect = DIALECTS.get(provider.row.dialect)
    # What a provider wants of every request, but for the key.
    own = tuple(dialect.request_headers(stream=False)) if dialect else ()
    return UpstreamRequest(
        origin=provider.origin,
        method=b"POST" if body else b"GET",
        target=target,
        headers=(*_HEADERS, *((_JSON,) if body else ()), *own),
        body=body,
        credential=provider.credential,
        connect_timeout_s=CONNECT_S,
        provider=provider.row.name,
        setting=provider.row.base_url_variable,
    )


class _Ear:
    """Listens to one call, and keeps what is said up to a bound."""

    fast_path = None

    def __init__(self) -> None:
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.status: int | None = None
        self.date: str | None = None
        self.is_page = False
        self.body = bytearray()

    def connected(self) -> None:
        pass

    def head_received(self, head: ResponseHead) -> None:
        self.status = head.status
        kept = head.get(b"age") is not None
        self.date = None if kept else (head.get(b"date") or b"").decode("latin-1") or None
        self.is_page = (head.get(b"content-type") or b"").lower().startswith(b"text/html")

    def body_received(self, data: bytes) -> None:
        self.body += data
        if len(self.body) > MOST_BYTES:
            self.body.clear()
            self.body_ended()

    def body_ended(self) -> None:
        self.is_page = self.is_page or self.body.lstrip()[:5].lower() in _PAGE_BEGINS
        if not self.done.done():
            self.done.set_result(None)

    def call_failed(self, error: GatewayError) -> None:
        if not self.done.done():
            self.done.set_exception(error)
