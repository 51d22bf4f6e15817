"""Asks providers for their lists of models: whether each can be reached, and takes its key. Only on a wish."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable

import msgspec

from thalweg.config import ProviderSettings
from thalweg.server.asking import ask
from thalweg.upstream.base import Connector

PING_S = 10.0
"""How long a provider has for its whole answer."""
_NO_KEY = b"API_KEY_INVALID"


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
    begun = time.monotonic()
    heard = await ask(connector, provider, within_s=PING_S)
    return Pong(
        provider=provider.row.name,
        status=heard.status,
        error=None if heard.status else heard.error,
        models=_count(heard.body),
        took_ms=(time.monotonic() - begun) * 1000,
        refuses_key=heard.status == 400 and _NO_KEY in heard.body,
    )


def _count(body: bytes) -> int | None:
    """How many models are in the list, where the answer is one."""
    try:
        listed = _decode_list(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    models = listed.models if listed.data is None else listed.data
    return None if models is None else len(models)


class _List(msgspec.Struct, frozen=True):
    """A list of models: `data` as OpenAI, Anthropic and their like say it, `models` as Google does."""

    data: list[msgspec.Raw] | None = None
    models: list[msgspec.Raw] | None = None


_decode_list = msgspec.json.Decoder(_List).decode
