"""Looks for engines that run on this machine, at their usual ports or where a variable says.

Only loopback is asked, by plain HTTP, without a proxy and without following where an answer points. A program at a
usual port that does not say that it is the engine is another one, and is left alone.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Mapping
from typing import Any

import httpx2
import msgspec

from thalweg.config import LOOPBACK_HOSTS, ProviderSettings, Settings
from thalweg.profiles.base import Local
from thalweg.server.wire import HOP

LOOK_S = 0.3
"""How long an engine has to answer. On this machine that is long."""
FRESH_S = 10.0
"""How long what was found holds."""
MOST_CONNECTIONS = 4
MOST_ANSWER_BYTES = 1024 * 1024
MOST_MODELS = 500
_MOST_NAME_CHARS = 200

Found = Mapping[str, tuple[str, ...]]
"""The engines that answered, by the name of their provider, and the names of the models that each has."""


class Engines:
    """What was found last. Asks only when it is asked, and then seldom."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = asyncio.Lock()
        self._stale_at = 0.0
        self.found: Found = {}

    def use(self, settings: Settings) -> None:
        """Look by other settings from now on; what was found where they lead nowhere any more is forgotten."""
        self._settings, self._stale_at = settings, 0.0
        self.found = {name: models for name, models in self.found.items() if name in settings.providers}

    async def look(self) -> Found:
        """What is there now, or was a few seconds ago. Several that look at once look together."""
        async with self._lock:
            if time.monotonic() >= self._stale_at:
                self.found = await find_engines(self._settings)
                self._stale_at = time.monotonic() + FRESH_S
        return self.found


async def find_engines(settings: Settings) -> Found:
    """Ask every engine that may be there, all at once. Never raises for what it hears."""
    asked = [each for each in settings.providers.values() if _may_be_asked(each, settings)]
    if not asked:
        return {}
    # Nothing here speaks TLS: a bare context spares the reading of all certificates.
    transport = httpx2.AsyncHTTPTransport(
        verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
        trust_env=False,
        limits=httpx2.Limits(max_connections=MOST_CONNECTIONS),
    )
    async with httpx2.AsyncClient(transport=transport, trust_env=False, follow_redirects=False) as client:
        answers = await asyncio.gather(*(_ask(client, provider) for provider in asked))
    pairs = zip(asked, answers, strict=True)
    return {provider.row.name: models for provider, models in pairs if models is not None}


def _may_be_asked(provider: ProviderSettings, settings: Settings) -> bool:
    """Whether it is an engine on this machine: at its usual port, or where a variable says."""
    if settings.simulate or provider.is_self or provider.row.needs_key:
        return False
    origin = provider.origin
    here = origin.scheme == "http" and origin.host in LOOPBACK_HOSTS
    return here and (provider.placed or settings.find_engines)


async def _ask(client: httpx2.AsyncClient, provider: ProviderSettings) -> tuple[str, ...] | None:
    """The models of one engine; `None` where it is not."""
    base = f"{provider.origin}{provider.base_path.decode()}"
    try:
        async with asyncio.timeout(LOOK_S):
            listed = _read_list(await _get(client, base + provider.row.models_path, provider))
            if listed is None or not await _is_it(client, provider, listed):
                return None
    except (httpx2.HTTPError, TimeoutError):
        return None
    return tuple(model.id for model in listed if len(model.id) <= _MOST_NAME_CHARS and model.id.isprintable())


async def _is_it(client: httpx2.AsyncClient, provider: ProviderSettings, listed: list[_Listed]) -> bool:
    """Whether the engine says that it is the one; at an address that was given nobody doubts it."""
    local: Local | None = provider.row.local
    if provider.placed or local is None or any(model.owned_by in local.owned_by for model in listed):
        return True
    if local.version_path is None:
        return False
    return _has_version(await _get(client, f"{provider.origin}{local.version_path}", provider))


async def _get(client: httpx2.AsyncClient, url: str, provider: ProviderSettings) -> bytes:
    """A body, as it came; empty for any other status than 200 and for one that is too long."""
    headers = {HOP: b"1", b"accept-encoding": b"identity", b"user-agent": b"thalweg"}
    if provider.credential is not None:
        headers[provider.credential.header] = provider.credential.value
    body = b""
    async with client.stream("GET", url, headers=headers) as answer:
        if answer.status_code != 200:
            return b""
        async for piece in answer.aiter_raw():
            body += piece
            if len(body) > MOST_ANSWER_BYTES:
                return b""
    return body


class _Listed(msgspec.Struct, frozen=True):
    """One model in an engine's list."""

    id: str
    owned_by: str | None = None


class _List(msgspec.Struct, frozen=True):
    """An engine's list. Ollama without a model says null."""

    data: list[_Listed] | None


_decode_list = msgspec.json.Decoder(_List).decode
_decode_object = msgspec.json.Decoder(dict[str, Any]).decode
_NO_JSON = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


def _read_list(body: bytes) -> list[_Listed] | None:
    try:
        return (_decode_list(body).data or [])[:MOST_MODELS]
    except _NO_JSON:
        return None


def _has_version(body: bytes) -> bool:
    try:
        return isinstance(_decode_object(body).get("version"), str)
    except _NO_JSON:
        return False
