"""Asks providers for their lists of models: whether each can be reached, and takes its key. Only on an operator's wish.

A provider without such a list is asked for an answer of one token instead, which is the least that can be asked. It
goes the way that requests go: the same connector, the same proxy and certificates, the key to its own origin only.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable

import msgspec

from thalweg.canon.errors import GatewayError
from thalweg.canon.losses import Losses
from thalweg.canon.parts import Text
from thalweg.canon.request import Message, Request, Sampling
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
_PAGE_BEGINS = (b"<html", b"<!doc")
_JSON = (b"content-type", b"application/json")
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
    ear, begun = _Ear(), time.monotonic()
    call = connector.start(_question(provider), ear)
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
        is_page=ear.is_page,
        date=ear.date,
        asked_at_s=time.time(),
        refuses_key=ear.status == 400 and ear.heard(_NO_KEY),
    )


def asks_for_a_token(provider: ProviderSettings) -> bool:
    """Whether it has no list of models, so that its key is tried by an answer of one token, which costs that much."""
    return not provider.row.models_path and bool(provider.row.models) and provider.row.dialect in DIALECTS


def _question(provider: ProviderSettings) -> UpstreamRequest:
    generates = asks_for_a_token(provider)
    return UpstreamRequest(
        origin=provider.origin,
        method=b"POST" if generates else b"GET",
        target=_token_target(provider) if generates else _target(provider),
        headers=(*_HEADERS, *((_JSON,) if generates else ()), *_own_headers(provider)),
        body=_token_body(provider) if generates else b"",
        credential=provider.credential,
        connect_timeout_s=CONNECT_S,
        provider=provider.row.name,
        setting=provider.row.base_url_variable,
    )


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
        self.date: str | None = None
        self.is_page = False
        self._body = bytearray()

    def connected(self) -> None:
        pass

    def head_received(self, head: ResponseHead) -> None:
        self.status = head.status
        self.date = (head.get(b"date") or b"").decode("latin-1") or None
        if head.get(b"age") is not None:
            self.date = None  # an answer kept by somebody on the way tells the time of its making
        self.is_page = (head.get(b"content-type") or b"").lower().startswith(b"text/html")

    def body_received(self, data: bytes) -> None:
        self._body += data
        if len(self._body) > _MOST_BYTES:
            self._body.clear()
            self.body_ended()

    def body_ended(self) -> None:
        self.is_page = self.is_page or self._body.lstrip()[:5].lower() in _PAGE_BEGINS
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
