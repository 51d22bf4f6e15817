"""One question to a provider beside its requests to generate, as for its list of models.

It goes the way that requests go: the same connector, the same proxy and certificates, the key to its own origin only.
"""

from __future__ import annotations

import asyncio

import msgspec

from thalweg.canon.errors import GatewayError
from thalweg.config import ProviderSettings
from thalweg.dialects.registry import DIALECTS
from thalweg.server.wire import HOP, Headers
from thalweg.upstream.base import Connector, ResponseHead, UpstreamRequest

CONNECT_S = 5.0
MOST_BYTES = 8 * 1024 * 1024
"""OpenRouter's list is of some hundred models, at a kilobyte or two each."""
_HEADERS = ((b"accept", b"application/json"), (b"user-agent", b"thalweg"), (HOP, b"1"))


class Heard(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it."""

    status: int | None
    """The HTTP status; `None` when none came."""
    error: str | None
    """Why the answer is not whole; the connector's sentence, which names no key."""
    body: bytes
    """Empty where it was longer than it may be."""


async def ask(connector: Connector, provider: ProviderSettings, *, query: str = "", within_s: float) -> Heard:
    """Ask for the list of models, with something added to its query. Never raises for what the network or they do."""
    ear = _Ear()
    call = connector.start(
        UpstreamRequest(
            origin=provider.origin,
            method=b"GET",
            target=_target(provider, query),
            headers=_HEADERS + _own_headers(provider),
            body=b"",
            credential=provider.credential,
            connect_timeout_s=CONNECT_S,
            provider=provider.row.name,
            setting=provider.row.base_url_variable,
        ),
        ear,
    )
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
    return Heard(status=ear.status, error=error, body=bytes(ear.body))


def _target(provider: ProviderSettings, query: str) -> bytes:
    path = provider.row.models_path.encode()
    if query:
        path += (b"&" if b"?" in path else b"?") + query.encode()
    # The bases of some are written without their `/v1`, and often with it.
    return (provider.base_path.removesuffix(b"/v1") if path.startswith(b"/v1/") else provider.base_path) + path


def _own_headers(provider: ProviderSettings) -> Headers:
    """What a provider wants of every request, but for the key."""
    dialect = DIALECTS.get(provider.row.dialect)
    return tuple(dialect.request_headers(stream=False)) if dialect else ()


class _Ear:
    """Listens to one call, and keeps what is said up to a bound."""

    def __init__(self) -> None:
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.status: int | None = None
        self.body = bytearray()

    def connected(self) -> None:
        pass

    def head_received(self, head: ResponseHead) -> None:
        self.status = head.status

    def body_received(self, data: bytes) -> None:
        self.body += data
        if len(self.body) > MOST_BYTES:
            self.body.clear()
            self.body_ended()

    def body_ended(self) -> None:
        if not self.done.done():
            self.done.set_result(None)

    def call_failed(self, error: GatewayError) -> None:
        if not self.done.done():
            self.done.set_exception(error)
