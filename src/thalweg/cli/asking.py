"""One request to a gateway and its streamed answer, with a way to stop it. Nothing here knows a terminal."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections.abc import Sequence
from typing import Literal, Protocol

import httpx2
import msgspec

from thalweg.canon.events import Event, PartDelta, ResponseFailed
from thalweg.canon.fold import Fold
from thalweg.canon.response import Response
from thalweg.cli.connection import Gateway, Unreachable, why_not
from thalweg.dialects.registry import DIALECTS
from thalweg.framing.sse import SseDecoder
from thalweg.profiles.providers import COMPATIBLE

DIALECT = "openai-chat"
_TICK_S = 0.08
_CANCEL_S = 5.0
"""How long a gateway may take to answer a cancellation."""
_LAST_WORDS_S = 1.0
"""How long a cancelled stream may take to end."""
_MOST_ERROR_BYTES = 64 * 1024


class Show(Protocol):
    """Whoever shows an answer while it comes."""

    def began(self) -> None:
        """The request is on its way."""

    def took(self, events: Sequence[Event]) -> None:
        """This has come."""

    def tick(self) -> None:
        """Some time has passed."""

    def ended(self) -> None:
        """Nothing more comes."""


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """Why there is no whole answer."""

    kind: Literal["refused", "broke", "unreachable"]
    """Answered with an error; broken off; nobody there."""
    message: str
    code: str | None = None
    status: int | None = None
    retry_after: str | None = None


class Stopped(msgspec.Struct, frozen=True, kw_only=True):
    """The answer was stopped by its reader, and what the gateway said to that. `None` where it said nothing."""

    upstream_closed_ms: float | None = None
    tokens: int | None = None
    source: str | None = None


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a request."""

    response: Response
    """The answer, as far as it came."""
    stream_id: str | None
    """`None` before the answer's head, and where it is no gateway that answers."""
    request_id: str | None
    ttft_ms: float | None
    """From the request's sending to the first content here."""
    speaking_s: float
    """From the first content to the last."""
    failure: Failure | None = None
    stopped: Stopped | None = None

    @property
    def tokens_per_s(self) -> float | None:
        """Output tokens in a second, from the first content to the last; `None` where that cannot be said."""
        tokens = self.response.usage.output_tokens if self.response.usage else None
        return tokens / self.speaking_s if tokens and self.speaking_s > 0 else None


class _ErrorBody(msgspec.Struct):
    message: str = ""
    code: str | int | None = None


class _Refusal(msgspec.Struct):
    error: _ErrorBody


class Listed(msgspec.Struct, frozen=True):
    """A model as a gateway lists it."""

    id: str
    configured: bool = True
    """Whether somebody has set its provider up."""


class _Models(msgspec.Struct):
    data: list[Listed]


class Asking:
    """One request. The first interruption stops the answer and still hears what that came to; a second one leaves."""

    def __init__(self, gateway: Gateway, show: Show) -> None:
        self._gateway = gateway
        self._show = show
        self._fold = Fold()
        self._stream_id: str | None = None
        self._request_id: str | None = None
        self._answered = False
        """Whether a head has come. Not everything that can be talked to names its streams."""
        self._sent_at = self._first_at = self._last_at = 0.0
        self._failure: Failure | None = None
        self._stopped: Stopped | None = None
        self._reading: asyncio.Task[None] | None = None
        self._stopping: asyncio.Task[None] | None = None

    async def ask(self, body: bytes) -> Outcome:
        """The answer to a request in Chat's words. Takes Ctrl-C for itself meanwhile."""
        loop = asyncio.get_running_loop()
        async with self._gateway.client() as client:
            self._reading = loop.create_task(self._read(client, body))
            ticking = loop.create_task(self._tick())
            loop.add_signal_handler(signal.SIGINT, self._interrupted, client)
            try:
                await asyncio.wait([self._reading])
                if self._stopping is not None:
                    await asyncio.wait([self._stopping])
            finally:
                loop.remove_signal_handler(signal.SIGINT)
                ticking.cancel()
                self._show.ended()
            with contextlib.suppress(asyncio.CancelledError):
                self._reading.result()
        return self._outcome()

    async def _read(self, client: httpx2.AsyncClient, body: bytes) -> None:
        self._show.began()
        self._sent_at = time.monotonic()
        try:
            url = f"{self._gateway.url}/v1/chat/completions"
            headers = {"content-type": "application/json", "accept": "text/event-stream"}
            async with client.stream("POST", url, content=body, headers=headers) as answer:
                self._stream_id = answer.headers.get("x-thalweg-stream")
                self._request_id = answer.headers.get("x-request-id")
                self._answered = True
                if answer.is_success:
                    await self._decode(answer)
                else:
                    self._failure = await _refusal(answer)
        except httpx2.TransportError as error:
            if not self._answered:
                self._failure = Failure(kind="unreachable", message=f"{self._gateway.url}: {why_not(error)}")
            else:
                self._failure = Failure(kind="broke", message=why_not(error))

    async def _decode(self, answer: httpx2.Response) -> None:
        frames = SseDecoder()
        decoder = DIALECTS[DIALECT].stream_decoder(profile=COMPATIBLE, provider="")
        async for data in answer.aiter_raw():
            self._take(decoder.feed(frames.feed(data)))
        self._take([*decoder.feed(frames.end()), *decoder.end()])

    def _take(self, events: Sequence[Event]) -> None:
        self._fold.feed(events)
        for event in events:
            if isinstance(event, PartDelta):
                self._last_at = time.monotonic()
                self._first_at = self._first_at or self._last_at
            elif isinstance(event, ResponseFailed):
                self._failure = Failure(kind="broke", message=event.error.message, code=event.error.code)
        self._show.took(events)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(_TICK_S)
            self._show.tick()

    def _interrupted(self, client: httpx2.AsyncClient) -> None:
        assert self._reading is not None
        if self._stopped is None:
            self._stopped = Stopped()
            if self._stream_id is not None:
                self._stopping = asyncio.get_running_loop().create_task(self._stop(client, self._stream_id))
                return
        # There is no name yet to stop it by, or no patience left: the gateway sees that we go.
        self._reading.cancel()
        if self._stopping is not None:
            self._stopping.cancel()

    async def _stop(self, client: httpx2.AsyncClient, stream_id: str) -> None:
        assert self._reading is not None
        try:
            answer = await client.delete(f"{self._gateway.url}/streams/{stream_id}", timeout=_CANCEL_S)
            if answer.is_success:
                self._stopped = msgspec.json.decode(answer.content, type=Stopped)
            await asyncio.wait([self._reading], timeout=_LAST_WORDS_S)
        except (httpx2.HTTPError, msgspec.DecodeError):
            pass  # the gateway sees that we go
        finally:
            self._reading.cancel()

    def _outcome(self) -> Outcome:
        return Outcome(
            response=self._fold.response(),
            stream_id=self._stream_id,
            request_id=self._request_id,
            ttft_ms=(self._first_at - self._sent_at) * 1000 if self._first_at else None,
            speaking_s=self._last_at - self._first_at,
            # That a stopped answer is not whole is no failure.
            failure=self._failure if self._stopped is None else None,
            stopped=self._stopped,
        )


async def _refusal(answer: httpx2.Response) -> Failure:
    body = b""
    async for data in answer.aiter_raw():
        body += data
        if len(body) > _MOST_ERROR_BYTES:
            break
    try:
        said = msgspec.json.decode(body, type=_Refusal).error
    except (msgspec.DecodeError, RecursionError):
        said = _ErrorBody()
    return Failure(
        kind="refused",
        message=said.message or f"{answer.status_code} {answer.reason_phrase}",
        code=None if said.code is None else str(said.code),
        status=answer.status_code,
        retry_after=answer.headers.get("retry-after"),
    )


async def list_models(gateway: Gateway) -> list[Listed]:
    """The models that can be called. Raises `Unreachable`; a gateway that does not tell has none."""
    async with gateway.client() as client:
        try:
            answer = await client.get(f"{gateway.url}/v1/models", timeout=_CANCEL_S)
        except httpx2.TransportError as error:
            raise Unreachable(gateway.url, why_not(error)) from error
    try:
        return msgspec.json.decode(answer.content, type=_Models).data
    except (msgspec.DecodeError, RecursionError):
        return []
