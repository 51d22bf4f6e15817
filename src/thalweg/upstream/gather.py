"""A whole answer, gathered: for what is small and is read at once, such as a file, a count or a list."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec

from thalweg.canon.errors import GatewayError, UpstreamBroke, UpstreamTimeout
from thalweg.upstream.base import Connector, ResponseHead, UpstreamRequest


class Gathered(msgspec.Struct, frozen=True):
    """An answer of any status."""

    head: ResponseHead
    body: bytes


class TooMuch(UpstreamBroke):
    """The answer is longer than it may be."""


async def gather(
    connector: Connector,
    request: UpstreamRequest,
    *,
    most_bytes: int,
    timeout_s: float,
    head_came: Callable[[ResponseHead], None] = lambda head: None,
    more_came: Callable[[int], None] = lambda size: None,
) -> Gathered:
    """Call, and wait for the whole answer, at most `most_bytes` of it and for `timeout_s` in all.

    `head_came` hears the head, `more_came` the size of each piece of body; what they raise ends the call and is raised
    here. Raises `UpstreamError`: `TooMuch`, or what the connector says. Whatever happens, the call is over then.
    """
    ear = _Ear(request.provider, most_bytes, head_came, more_came)
    call = connector.start(request, ear)
    try:
        async with asyncio.timeout(timeout_s):
            return await ear.done
    except TimeoutError as error:
        message = f"{request.provider or 'the upstream'} has not answered wholly within {timeout_s:g} s"
        raise UpstreamTimeout(message, phase="whole", provider=request.provider) from error
    finally:
        call.abort()


class _Ear:
    """Listens to one call."""

    fast_path = None

    def __init__(
        self,
        provider: str,
        most_bytes: int,
        head_came: Callable[[ResponseHead], None],
        more_came: Callable[[int], None],
    ) -> None:
        self.done: asyncio.Future[Gathered] = asyncio.get_running_loop().create_future()
        self._provider = provider
        self._most_bytes = most_bytes
        self._head_came = head_came
        self._more_came = more_came
        self._head: ResponseHead | None = None
        self._pieces: list[bytes] = []
        self._size = 0

    def connected(self) -> None:
        """Nothing is known yet."""

    def head_received(self, head: ResponseHead) -> None:
        """Have the head looked at; a body that says that it is too long is not waited for."""
        self._head = head
        length = head.get(b"content-length") or b""
        if length.isdigit() and int(length) > self._most_bytes:
            self._fail(self._too_much())
            return
        try:
            self._head_came(head)
        except GatewayError as error:
            self._fail(error)

    def body_received(self, data: bytes) -> None:
        """Keep a piece, if the whole is still wanted."""
        if self.done.done():
            return
        self._size += len(data)
        if self._size > self._most_bytes:
            self._fail(self._too_much())
            return
        try:
            self._more_came(len(data))
        except GatewayError as error:
            self._fail(error)
            return
        self._pieces.append(data)

    def body_ended(self) -> None:
        """The answer is whole."""
        if not self.done.done() and self._head is not None:
            self.done.set_result(Gathered(self._head, b"".join(self._pieces)))

    def call_failed(self, error: GatewayError) -> None:
        """There will be no whole answer."""
        self._fail(error)

    def _fail(self, error: GatewayError) -> None:
        self._pieces.clear()
        if not self.done.done():
            self.done.set_exception(error)

    def _too_much(self) -> TooMuch:
        who = self._provider or "the upstream"
        return TooMuch(f"{who} answered with more than {self._most_bytes} bytes", provider=self._provider)
