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
from thalweg.dialects.registry import DIALECTS
from thalweg.server.wire import HOP, Headers
from thalweg.upstream.base import Connector, ResponseHead, UpstreamRequest

PING_S = 10.0
"""How long a provider has for its whole answer."""
CONNECT_S = 5.0
_MOST_BYTES = 8 * 1024 * 1024
"""OpenRouter's list is of some hundred models, at a kilobyte or two each."""
_NO_KEY = b"API_KEY_INVALID"
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
    refuses_key: bool = False
    """Whether it says so in other words than a status of its own: Google answers a wrong key with 400."""


async def ping(connector: Connector, providers: Iterable[ProviderSettings]) -> list[Pong]:
    """Ask these, all at once. Never raises for what the network or they do."""
    return list(await asyncio.gather(*(_ping(connector, provider) for provider in providers)))


async def _ping(connector: Connector, provider: ProviderSettings) -> Pong:
    ear, begun = _Ear(), time.monotonic()
    call = connector.start(
        UpstreamRequest(
            origin=provider.origin,
            method=b"GET",
            target=_target(provider),
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
        refuses_key=ear.status == 400 and ear.heard(_NO_KEY),
    )


def _target(provider: ProviderSettings) -> bytes:
    path = provider.row.models_path.encode()
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

    def heard(self, words: bytes) -> bool:
        """Whether this is in the answer."""
        return words in self._body

    def count(self) -> int | None:
        """How many models are in the list, where the answer is one."""
        try:
            listed = _decode_list(self._body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return None
        models = listed.models if listed.data is None else listed.data
        return None if models is None else len(models)


class _List(msgspec.Struct, frozen=True):
    """A list of models: `data` as OpenAI, Anthropic and their like say it, `models` as Google does."""

    data: list[msgspec.Raw] | None = None
    models: list[msgspec.Raw] | None = None


_decode_list = msgspec.json.Decoder(_List).decode
