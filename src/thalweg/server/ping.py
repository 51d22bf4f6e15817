"""Asks providers for their lists of models: whether each can be reached, and takes its key. Only on an operator's wish.

It goes the way that requests go: the same connector, the same proxy and certificates, the key to its own origin only.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable

import msgspec

from thalweg.canon.errors import GatewayError
from thalweg.config import ProviderSettings
from thalweg.server.wire import HOP
from thalweg.upstream.base import Connector, ResponseHead, UpstreamRequest

PING_S = 10.0
"""How long a provider has for its whole answer."""
CONNECT_S = 5.0
_MOST_BYTES = 8 * 1024 * 1024
"""OpenRouter's list is of some hundred models, at a kilobyte or two each."""
_HEADERS = ((b"accept", b"application/json"), (b"user-agent", b"thalweg"), (HOP, b"1"))


class Pong(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it."""

    provider: str
    status: int | None
    """The HTTP status; `None` when none came."""
    error: str | None
    """Why none came; the connector's sentence, which names no key."""
    models: int | None
    """How many models it lists; `None` when what it answered is no list."""
    took_ms: float


async def ping(connector: Connector, providers: Iterable[ProviderSettings]) -> list[Pong]:
    """Ask these, all at once. Never raises for what the network or they do."""
    return list(await asyncio.gather(*(_ping(connector, provider) for provider in providers)))


async def _ping(connector: Connector, provider: ProviderSettings) -> Pong:
    ear, begun = _Ear(), time.monotonic()
    call = connector.start(
        UpstreamRequest(
            origin=provider.origin,
            method=b"GET",
            target=provider.base_path + provider.row.models_path.encode(),
            headers=_HEADERS,
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
        async with asyncio.timeout(PING_S):
            await ear.done
    except TimeoutError:
        error = f"no whole answer came within {PING_S:.0f} s"
    except GatewayError as failure:
        error = failure.message
    finally:
        call.abort()
    return Pong(
        provider=provider.row.name,
        status=ear.status,
        error=None if ear.status else error,
        models=ear.count(),
        took_ms=(time.monotonic() - begun) * 1000,
    )


class _Ear:
    """Listens to one call, and keeps what is said up to a bound."""

    def __init__(self) -> None:
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.status: int | None = None
        self._body = bytearray()

    def connected(self) -> None:
        pass

    def head_received(self, head: ResponseHead) -> None:
        self.status = head.status

    def body_received(self, data: bytes) -> None:
        self._body += data
        if len(self._body) > _MOST_BYTES:
            self._body.clear()
            self.body_ended()

    def body_ended(self) -> None:
        if not self.done.done():
            self.done.set_result(None)

    def call_failed(self, error: GatewayError) -> None:
        if not self.done.done():
            self.done.set_exception(error)

    def count(self) -> int | None:
        """How many models are in the list, where the answer is one."""
        try:
            listed = _decode_list(self._body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return None
        return len(listed.data)


class _List(msgspec.Struct, frozen=True):
    """A list of models, in the shape that all OpenAI-compatible providers have."""

    data: list[msgspec.Raw]


_decode_list = msgspec.json.Decoder(_List).decode
