"""Counting a prompt's tokens: by the provider that will read it, the simulator too, or by a guess. Nothing is generated
or booked.

`POST …/v1/messages/count_tokens`, `…/models/{model}:countTokens` and `…/responses/input_tokens`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec
from msgspec import Raw

from thalweg.canon.errors import GatewayError, InvalidRequest, TooLarge, Unavailable, UnsupportedMedia
from thalweg.config import ProviderSettings
from thalweg.dialects.base import Dialect, UpstreamSide, WireRequest
from thalweg.dialects.kit.body import read_body as check_body
from thalweg.relay.budget import Share, no_room
from thalweg.server.endpoints.generate import LoopFound
from thalweg.server.estimate import Estimate, estimate
from thalweg.server.house import House
from thalweg.server.models import Target
from thalweg.server.streaming import AsgiClient, ClientGone, read_body, unless_gone
from thalweg.server.wire import HOP, Headers, Receive, Scope, Send, send_answer
from thalweg.simulator.turn import input_tokens
from thalweg.upstream.base import UpstreamRequest
from thalweg.upstream.gather import gather

WHOLE_S = 30.0
"""How long a provider has for its whole answer."""
_MOST_ANSWER_BYTES = 1024 * 1024
_JSON = (b"content-type", b"application/json")
_OUR_HEADERS: Headers = (_JSON, (b"accept", b"application/json"), (b"user-agent", b"thalweg"), (HOP, b"1"))
_NO_SUCH_PATH = frozenset({404, 405, 501})


class CountTokens:
    """An ASGI application for one dialect's counting endpoint.

    Like all endpoints that generate nothing, it raises its errors; the application says them in the path's dialect.
    """

    def __init__(self, house: House, dialect: Dialect) -> None:
        self._house = house
        self._dialect = dialect
        self._form = FORMS[dialect.name]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request. Raises `GatewayError`."""
        self._house.doorkeeper.identify(scope)
        fields: dict[bytes, bytes] = dict(scope["headers"])
        self._refuse_early(fields)
        share = Share(self._house.budget)
        try:
            most = self._house.settings.limits.body_bytes
            body = await read_body(receive, most_bytes=most, share=share)
            client = AsgiClient(scope, send)
            answer = await unless_gone(client, receive, self._count(scope, fields, body))
        except ClientGone:
            return
        finally:
            share.close()
        await send_answer(send, 200, answer.headers, answer.body)

    def _refuse_early(self, fields: dict[bytes, bytes]) -> None:
        """What can be refused before the body is read."""
        if self._house.live.draining:
            error = Unavailable("The gateway is shutting down.")
            error.retry_after_s = 1
            raise error
        if self._house.budget.spent:
            raise no_room()
        if HOP in fields:
            raise LoopFound("The request has come back to this gateway: an upstream's address leads here.")
        if fields.get(b"content-encoding", b"identity") != b"identity":
            raise UnsupportedMedia("Compressed request bodies are not taken.")
        length, most = fields.get(b"content-length", b""), self._house.settings.limits.body_bytes
        if length.isdigit() and int(length) > most:
            raise TooLarge(f"The request's body is larger than {most} bytes.")

    async def _count(self, scope: Scope, fields: dict[bytes, bytes], body: bytes) -> _Answer:
        opened = self._form.open(body)
        asked = self._dialect.read_request(opened.body, self._form.asked_at(_target(scope)))
        target = self._house.directory.resolve(asked, scope["path"], self._dialect.name)
        provider = target.provider
        if provider is not None and target.row.dialect == self._dialect.name:
            passed = tuple((name, value) for name, value in fields.items() if name in self._dialect.passed_headers)
            counted = await self._counted(target, provider, asked, opened, passed)
            if counted is not None:
                return _Answer((_JSON,), counted)
        if provider is None:
            counted_here = Estimate(input_tokens(asked.canon()), {})
            return _Answer((_JSON, (b"x-thalweg-simulated", b"1")), self._said(counted_here))
        return _Answer((_JSON, (b"x-thalweg-estimated", b"1")), self._said(estimate(asked.canon())))

    async def _counted(
        self, target: Target, provider: ProviderSettings, asked: WireRequest, opened: _Opened, passed: Headers
    ) -> bytes | None:
        """The provider's own answer; `None` where it has no such endpoint. Raises `GatewayError`."""
        profile, model = target.row.profile_of(target.upstream_model), target.upstream_model
        side = UpstreamSide(
            self._dialect, profile, provider=target.row.name, key_name=provider.key_name, credential=provider.credential
        )
        said = {name for name, _ in passed}
        own = tuple(pair for pair in self._dialect.request_headers(stream=False) if pair[0] not in said)
        request = UpstreamRequest(
            origin=provider.origin,
            method=b"POST",
            target=self._form.counted_at(self._dialect.request_target(provider.base_path, model, stream=False)),
            headers=_OUR_HEADERS + own + passed,
            body=opened.close(asked.edited(model=model, profile=profile, stream=False)),
            credential=provider.credential,
            connect_timeout_s=self._house.settings.timeouts.connect_s,
            provider=target.row.name,
            setting=target.row.base_url_variable,
        )
        try:
            answer = await gather(self._house.connector, request, most_bytes=_MOST_ANSWER_BYTES, timeout_s=WHOLE_S)
            if answer.head.status == 200:
                return answer.body
            error = side.decode_error(answer.head.status, answer.head.headers, answer.body)
            if _means_no_such_path(answer.head.status, error):
                return None
            raise error
        except GatewayError as error:
            side.conceal(error)
            raise

    def _said(self, counted: Estimate) -> bytes:
        return msgspec.json.encode(self._form.answer(counted))


class _Answer(NamedTuple):
    headers: Headers
    body: bytes


def _means_no_such_path(status: int, error: GatewayError) -> bool:
    """Whether a refusal is of the path. A 404 may be of the model as well, and then says so."""
    return status in _NO_SUCH_PATH and "model" not in f"{error.message} {error.code}".lower()


def _target(scope: Scope) -> bytes:
    """The path as it came."""
    path: bytes = scope.get("raw_path") or scope["path"].encode()
    return path.partition(b"?")[0]


class _Opened(NamedTuple):
    """A client's body: the generation request in it, and how one is put back into the same wrapping."""

    body: bytes
    close: Callable[[bytes], bytes]


def _as_it_is(body: bytes) -> _Opened:
    return _Opened(body, lambda edited: edited)


_WRAPPINGS = ("generateContentRequest", "generate_content_request")
_decode_top = msgspec.json.Decoder(dict[str, Raw]).decode


def _unwrapped(body: bytes) -> _Opened:
    """Of Gemini's two forms the one without a wrapping has contents alone, or all of a generation request."""
    top = check_body(body, _decode_top, once=_WRAPPINGS)
    found = [name for name in _WRAPPINGS if name in top]
    if not found:
        return _as_it_is(body)
    if len(found) > 1 or "contents" in top:
        raise InvalidRequest(
            "'generateContentRequest' stands alone or not at all.", param="generateContentRequest", code="invalid_value"
        )
    inner = bytes(top[found[0]])
    return _Opened(inner, lambda edited: msgspec.json.encode({found[0]: Raw(edited)}))


class _Form(NamedTuple):
    """How one dialect counts."""

    open: Callable[[bytes], _Opened]
    asked_at: Callable[[bytes], bytes]
    """The client's path as the dialect's reader of generation requests takes it."""
    counted_at: Callable[[bytes], bytes]
    """Where a provider counts, from where it generates."""
    answer: Callable[[Estimate], Any]


def _gemini_answer(counted: Estimate) -> dict[str, Any]:
    tokens = {"TEXT": counted.text_tokens} | {kind.upper(): each for kind, each in counted.media_tokens.items()}
    details = [{"modality": modality, "tokenCount": count} for modality, count in tokens.items()]
    return {"totalTokens": counted.tokens, "promptTokensDetails": details}


FORMS: dict[str, _Form] = {
    "anthropic": _Form(
        open=_as_it_is,
        asked_at=lambda path: path,
        counted_at=lambda target: target + b"/count_tokens",
        answer=lambda counted: {"input_tokens": counted.tokens},
    ),
    "gemini": _Form(
        open=_unwrapped,
        asked_at=lambda path: path.removesuffix(b":countTokens") + b":generateContent",
        counted_at=lambda target: target.removesuffix(b":generateContent") + b":countTokens",
        answer=_gemini_answer,
    ),
    "openai-responses": _Form(
        open=_as_it_is,
        asked_at=lambda path: path,
        counted_at=lambda target: target + b"/input_tokens",
        answer=lambda counted: {"object": "response.input_tokens", "input_tokens": counted.tokens},
    ),
}
"""The dialects that have such an endpoint; Chat has none."""
