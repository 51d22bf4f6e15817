"""An upstream's answer as it is heard: what the connector tells, gathered for whoever awaits it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from thalweg.canon.errors import GatewayError, UpstreamBroke, UpstreamTimeout
from thalweg.canon.events import Event, ResponseFailed
from thalweg.canon.fold import unfold
from thalweg.canon.policy import Timeouts
from thalweg.config import Buffers
from thalweg.dialects.base import UpstreamSide
from thalweg.framing.sse import SseDecoder
from thalweg.relay.translator import Reader
from thalweg.upstream.base import Call, ResponseHead

_MOST_WAITING_BYTES = 64 * 1024
"""What may have come and not been taken before the upstream is slowed down."""
_MOST_ERROR_BYTES = 64 * 1024


class Hearing:
    """A `upstream.base.Listener` of one call. Lives as long as the answer."""

    fast_path = None

    def __init__(self, upstream: UpstreamSide, reader: Reader, *, timeouts: Timeouts, buffers: Buffers) -> None:
        self._upstream = upstream
        self._reader = reader
        self._timeouts = timeouts
        self._buffers = buffers
        self._frames = SseDecoder(max_frame_bytes=buffers.frame_bytes)
        self._events: list[Event] = []
        self._waiting_bytes = 0
        self._paused = False
        self._kept: list[bytes] = []
        self._kept_bytes = 0
        self._head: ResponseHead | None = None
        self._hear: Callable[[bytes], None] = self._keep
        self._end: Callable[[], None] = self._end_whole
        self._woken = asyncio.Event()
        self._over = False
        self._began_at = time.monotonic()
        self.call: Call | None = None
        """Set by whoever has started it."""

    async def take(self) -> list[Event]:
        """What has come since, at least one event; nothing once the answer is over. Raises `UpstreamTimeout`."""
        while not self._events:
            if self._over:
                return []
            self._woken.clear()
            await self._wait()
        events, self._events, self._waiting_bytes = self._events, [], 0
        if self._paused and self.call is not None and not self._over:
            self._paused = False
            self.call.resume_reading()
        return events

    async def _wait(self) -> None:
        """Wait for anything, as long as that may take."""
        waits, name = self._timeouts, self._upstream.provider
        left_s = self._began_at + waits.whole_s - time.monotonic()
        silence_s = waits.first_byte_s + waits.connect_s if self._head is None else waits.gap_s
        try:
            async with asyncio.timeout(max(min(silence_s, left_s), 0.0)):
                await self._woken.wait()
        except TimeoutError:
            if left_s <= silence_s:
                text, phase = f"the answer took longer than {waits.whole_s:g} s", "whole"
            elif self._head is None:
                text, phase = f"{name} did not begin to answer within {waits.first_byte_s:g} s", "first_byte"
            else:
                text, phase = f"{name} sent nothing for {waits.gap_s:g} s", "gap"
            raise UpstreamTimeout(text, phase=phase, provider=name) from None

    # What the connector tells.

    def connected(self) -> None:
        """The request is being sent."""

    def head_received(self, head: ResponseHead) -> None:
        """The answer begins: choose how its body is read."""
        self._head = head
        kind = (head.get(b"content-type") or b"").lower()
        if head.status != 200:
            self._end = self._end_error
        elif b"json" not in kind and b"html" not in kind:
            self._hear, self._end = self._read, self._end_stream
        self._woken.set()

    def body_received(self, data: bytes) -> None:
        """Some of it came."""
        self._hear(data)
        self._woken.set()

    def body_ended(self) -> None:
        """It is whole."""
        self._end()
        self._stop()

    def call_failed(self, error: GatewayError) -> None:
        """It broke off. A refusal's status says more than how its body ended."""
        if self._head is not None and self._head.status != 200:
            self._end_error()
        else:
            self._fail(error)
        self._stop()

    def _read(self, data: bytes) -> None:
        self._events += self._reader.feed(self._frames.feed(data))
        self._waiting_bytes += len(data)
        if self._waiting_bytes > _MOST_WAITING_BYTES and not self._paused and self.call is not None:
            self._paused = True
            self.call.pause_reading()

    def _end_stream(self) -> None:
        self._events += self._reader.feed(self._frames.end())
        self._events += self._reader.end()

    def _keep(self, data: bytes) -> None:
        most = self._buffers.answer_bytes if self._head and self._head.status == 200 else _MOST_ERROR_BYTES
        self._kept_bytes += len(data)
        if self._kept_bytes <= most:
            self._kept.append(data)
        elif self._end == self._end_whole:
            name = self._upstream.provider
            self._fail(UpstreamBroke(f"{name} sent an answer of more than {most} bytes", provider=name))
            self._end, self._kept = lambda: None, []

    def _end_whole(self) -> None:
        try:
            answer = self._upstream.decode_answer(b"".join(self._kept))
        except GatewayError as error:
            self._fail(error)
        else:
            self._events += self._reader.take(unfold(answer))

    def _end_error(self) -> None:
        assert self._head is not None
        body = b"".join(self._kept)
        self._fail(self._upstream.decode_error(self._head.status, self._head.headers, body))

    def _fail(self, error: GatewayError) -> None:
        self._events.append(ResponseFailed(error=error))

    def _stop(self) -> None:
        self._over = True
        self._woken.set()
