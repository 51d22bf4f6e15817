"""A client for any provider, in this process: the gateway's codecs and connections without the gateway.

Settings are the gateway's own, from the same variables. Nothing is metered, limited or written down.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from msgspec.structs import replace

from thalweg.canon.errors import GatewayError, UpstreamBroke
from thalweg.canon.events import Event, PartDelta, PartStarted, ResponseEnded, ResponseFailed
from thalweg.canon.fold import Fold
from thalweg.canon.losses import Losses, Strictness
from thalweg.canon.origin import Origin
from thalweg.canon.response import Response
from thalweg.canon.turns import arrange
from thalweg.client.asked import WORDS, Asked, Messages, ask
from thalweg.client.hearing import Hearing
from thalweg.config import Settings, load
from thalweg.dialects.base import UpstreamBody, UpstreamSide
from thalweg.dialects.registry import DIALECTS
from thalweg.relay.adapter import Adapter
from thalweg.relay.translator import Reader
from thalweg.server.models import Directory, Target
from thalweg.server.simulated import in_process
from thalweg.upstream.base import Connector, UpstreamRequest
from thalweg.upstream.connector import HttpConnector
from thalweg.upstream.proxy import ProxySettings

_SIMULATED_ORIGIN = Origin("http", "simulator.invalid", 80)
_SIMULATED_PATHS = {"anthropic": b"", "gemini": b"/v1beta", "dashscope-native": b"/api/v1"}
_LOOPBACK = ("localhost", "127.0.0.0/8", "::1")


class Client:
    """Asks models of any provider, by the gateway's names: `anthropic/claude-sonnet-4.6`, `sim/text`.

    Keeps connections between requests, and closes them at the end of an `async with`. Belongs to the event loop that
    it is first used on.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        connector: Connector | None = None,
        simulator: Connector | None = None,
    ) -> None:
        """Settings are those of the environment where none are given; connectors are for tests."""
        # Where a gateway would listen is nobody's concern here.
        self._settings = load(host="127.0.0.1", port=0) if settings is None else settings
        self._directory = Directory(self._settings)
        self._connector = connector
        self._simulator = simulator

    def stream(self, model: str, messages: Messages, *, strict: bool | None = None, **parameters: Any) -> Stream:
        """The answer as it is made. `parameters` are Chat's: `max_tokens`, `tools`, `reasoning_effort` and the rest.

        `strict`: refuse whatever the model's API cannot be told; `False`: leave out whatever can be left out. The call
        begins with the first `async for`. Raises `RequestError` at once for what cannot be asked.
        """
        return self._stream(model, messages, strict, parameters, owner=None)

    async def complete(
        self, model: str, messages: Messages, *, strict: bool | None = None, **parameters: Any
    ) -> Response:
        """The whole answer. Raises the `GatewayError` that kept it from being whole."""
        async with self.stream(model, messages, strict=strict, **parameters) as answer:
            return await answer.complete()

    async def close(self) -> None:
        """Close every connection. Answers under way fail."""
        for connector in (self._connector, self._simulator):
            if connector is not None:
                await connector.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def _stream(
        self, model: str, messages: Messages, strict: bool | None, parameters: dict[str, Any], *, owner: Client | None
    ) -> Stream:
        asked = ask(model, messages, parameters)
        target = self._directory.resolve(asked.wire, "", WORDS if asked.said_in_full else "")
        route = _Route(target, self._settings)
        body, dropped = route.written(asked, _STRICTNESS[strict])
        return Stream(lambda: self._connector_for(target), route, body, dropped, self._settings, owner=owner)

    def _connector_for(self, target: Target) -> Connector:
        """Made when it is first needed, because it belongs to an event loop."""
        if target.provider is None:
            if self._simulator is None:
                self._simulator = in_process(self._settings)
            return self._simulator
        if self._connector is None:
            self._connector = _connector(self._settings)
        return self._connector


_STRICTNESS: dict[bool | None, Strictness] = {None: "default", True: "strict", False: "lenient"}


def _connector(settings: Settings) -> HttpConnector:
    """As the gateway has it: a proxy is for other machines."""
    proxy = ProxySettings.from_mapping(settings.proxy_environment) if settings.proxy_environment else None
    if proxy is not None:
        proxy = replace(proxy, no_proxy=(*proxy.no_proxy, *_LOOPBACK))
    return HttpConnector(proxy=proxy, ca_file=settings.ca_file)


class _Route:
    """One target, and the request as it gets it."""

    def __init__(self, target: Target, settings: Settings) -> None:
        provider, row = target.provider, target.row
        self._target = target
        self._connect_s = settings.timeouts.connect_s
        self.dialect = DIALECTS[row.dialect or WORDS]
        self.profile = row.profile_of(target.upstream_model)
        self.sent: UpstreamBody | None = None
        """What was written anew, and is to be undone in the answer."""
        key_name = provider.key_name if provider else ""
        if provider is not None and provider.credential is None:
            key_name = f"a request without a key (set {key_name})"
        self.upstream = UpstreamSide(
            self.dialect,
            self.profile,
            provider=row.name,
            key_name=key_name,
            credential=provider.credential if provider else None,
        )

    def written(self, asked: Asked, strictness: Strictness) -> tuple[bytes, tuple[str, ...]]:
        """The upstream's body, and the names of what it says in part or not at all."""
        model = self._target.upstream_model
        if self.dialect.name == WORDS and asked.said_in_full:
            body = asked.wire.edited(model=model, profile=self.profile, stream=True)
            return body, asked.wire.left_out(self.profile)
        losses, request = Losses(strictness), asked.request
        if self.dialect.name != WORDS:
            for name in request.essential:
                losses.refuse(name, "only the API that it belongs to knows it")
            for name in request.extensions:
                if name not in request.essential:
                    losses.drop(name, "only the API that it belongs to knows it")
        request = replace(request, stream=True, messages=arrange(request.messages, losses))
        self.sent = self.dialect.encode_request(request, model=model, profile=self.profile, stream=True, losses=losses)
        return self.sent.body, losses.names

    def request(self, body: bytes) -> UpstreamRequest:
        """The HTTP request."""
        provider = self._target.provider
        model = self._target.upstream_model
        return UpstreamRequest(
            origin=provider.origin if provider else _SIMULATED_ORIGIN,
            method=b"POST",
            target=self.dialect.request_target(self._base_path(), model, stream=True),
            headers=(
                (b"content-type", b"application/json"),
                (b"accept", b"text/event-stream"),
                (b"user-agent", b"thalweg"),
                *self.dialect.request_headers(stream=True),
            ),
            body=body,
            credential=provider.credential if provider else None,
            connect_timeout_s=self._connect_s,
            provider=self._target.row.name,
            setting=provider.row.base_url_variable if provider else "",
        )

    def _base_path(self) -> bytes:
        if self._target.provider is not None:
            return self._target.provider.base_path
        if not self._target.row.dialect:
            return _SIMULATED_PATHS.get(self.dialect.name, b"/v1")
        return urlsplit(self._target.row.base_url).path.encode()


class Stream:
    """One answer as it is made: `async for event in stream`. Every error is raised, by the step that meets it.

    Leaving it early, by `break` or at the end of an `async with`, closes the call, and so ends the provider's work.
    """

    def __init__(
        self,
        connector: Callable[[], Connector],
        route: _Route,
        body: bytes,
        dropped: tuple[str, ...],
        settings: Settings,
        *,
        owner: Client | None = None,
    ) -> None:
        self.dropped = dropped
        """Names of the parameters that the model's API has only in part, or not at all."""
        self._connector = connector
        self._route = route
        self._body = body
        self._settings = settings
        self._fold = Fold()
        self._owner = owner
        self._events = self._run()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        return await anext(self._events)

    @property
    def response(self) -> Response:
        """The answer as far as it has come."""
        return self._fold.response()

    async def texts(self) -> AsyncIterator[str]:
        """The text of the first choice, piece by piece, and nothing else."""
        texts: set[int] = set()
        async for event in self:
            if isinstance(event, PartStarted) and event.kind == "text" and event.choice == 0:
                texts.add(event.index)
            elif isinstance(event, PartDelta) and event.index in texts:
                yield event.text

    async def complete(self) -> Response:
        """The whole answer, once it is there."""
        async for _ in self:
            pass
        return self.response

    async def aclose(self) -> None:
        """End the call, wherever it stands."""
        await self._events.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def _run(self) -> AsyncGenerator[Event, None]:
        settings, route = self._settings, self._route
        reader = Reader(route.upstream.stream_decoder(), None if route.sent is None else Adapter(route.sent))
        hearing = Hearing(route.upstream, reader, timeouts=settings.timeouts, buffers=settings.buffers)
        call = self._connector().start(route.request(self._body), hearing)
        hearing.call = call
        chars, ended = 0, False
        try:
            while events := await hearing.take():
                for event in events:
                    if isinstance(event, ResponseFailed):
                        raise self._failure(event.error)
                    chars += len(event.text) if isinstance(event, PartDelta) else 0
                    if chars > settings.buffers.answer_bytes:
                        raise self._failure(UpstreamBroke("the answer is longer than THALWEG_ANSWER_MB allows"))
                    self._fold.feed([event])
                    ended = isinstance(event, ResponseEnded)
                    yield event
                    if ended:
                        return
        finally:
            if ended and not reader.watch.cut:
                call.release()
            else:
                call.abort()
            if self._owner is not None:
                await self._owner.close()

    def _failure(self, error: GatewayError) -> GatewayError:
        self._route.upstream.conceal(error)
        self._fold.feed([ResponseFailed(error=error)])
        return error


def stream(model: str, messages: Messages, *, strict: bool | None = None, **parameters: Any) -> Stream:
    """One answer as it is made, by a client of its own; see `Client.stream`."""
    client = Client()
    return client._stream(model, messages, strict, parameters, owner=client)


async def complete(model: str, messages: Messages, *, strict: bool | None = None, **parameters: Any) -> Response:
    """One whole answer, by a client of its own; see `Client.complete`."""
    async with Client() as client:
        return await client.complete(model, messages, strict=strict, **parameters)
