"""Asks providers for their lists of models: whether each can be reached, and takes its key. Only on an operator's wish.

A provider without such a list is asked for an answer of one token instead, which is the least that can be asked.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable

import msgspec

from thalweg.canon.losses import Losses
from thalweg.canon.parts import Text
from thalweg.canon.request import Message, Request, Sampling
from thalweg.config import ProviderSettings
from thalweg.dialects.registry import DIALECTS
from thalweg.server.asking import ask, for_models, request_to
from thalweg.upstream.base import Connector, UpstreamRequest

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
    is_page: bool = False
    """Whether the answer is a web page: something else is at that address."""
    date: str | None = None
    """The answer's `date`, by the provider's clock."""
    asked_at_s: float = 0.0
    """When the answer had come, by this machine's clock."""
    refuses_key: bool = False
    """Whether it says so in other words than a status of its own: Google answers a wrong key with 400."""


async def ping(connector: Connector, providers: Iterable[ProviderSettings]) -> list[Pong]:
    """Ask these, all at once. Never raises for what the network or they do."""
    return list(await asyncio.gather(*(_ping(connector, provider) for provider in providers)))


async def _ping(connector: Connector, provider: ProviderSettings) -> Pong:
    begun = time.monotonic()
    heard = await ask(connector, _question(provider), within_s=PING_S)
    return Pong(
        provider=provider.row.name,
        status=heard.status,
        error=None if heard.status else heard.error,
        models=_count(heard.body),
        took_ms=(time.monotonic() - begun) * 1000,
        is_page=heard.is_page,
        date=heard.date,
        asked_at_s=time.time(),
        refuses_key=heard.status == 400 and _NO_KEY in heard.body,
    )


def asks_for_a_token(provider: ProviderSettings) -> bool:
    """Whether it has no list of models, so that its key is tried by an answer of one token, which costs that much."""
    return not provider.row.models_path and bool(provider.row.models) and provider.row.dialect in DIALECTS


def _question(provider: ProviderSettings) -> UpstreamRequest:
    if asks_for_a_token(provider):
        return request_to(provider, _token_target(provider), _token_body(provider))
    return for_models(provider)


def _token_target(provider: ProviderSettings) -> bytes:
    dialect = DIALECTS[provider.row.dialect]
    return dialect.request_target(provider.base_path, provider.row.models[0], stream=False)


def _token_body(provider: ProviderSettings) -> bytes:
    """The shortest question, in the provider's dialect."""
    model, profile = provider.row.models[0], provider.row.profile_of(provider.row.models[0])
    message = Message(role="user", parts=(Text(text="Hi"),))
    asked = Request(model=model, messages=(message,), sampling=Sampling(max_tokens=1))
    dialect = DIALECTS[provider.row.dialect]
    return dialect.encode_request(asked, model=model, profile=profile, stream=False, losses=Losses()).body


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
