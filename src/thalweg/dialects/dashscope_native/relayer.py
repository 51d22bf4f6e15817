"""The way of a DashScope stream between two sides of this dialect: the bytes pass, a decoder watches."""

from __future__ import annotations

from collections.abc import Iterable

from thalweg.canon.errors import GatewayError
from thalweg.canon.events import (
    ChoiceFinished,
    Event,
    PartDelta,
    PartStarted,
    ResponseEnded,
    ResponseFailed,
    ResponseStarted,
    UsageReported,
)
from thalweg.dialects.base import Watch
from thalweg.dialects.dashscope_native.decoder import DashScopeStreamDecoder
from thalweg.dialects.dashscope_native.errors import encode_stream_error
from thalweg.dialects.dashscope_native.tables import CONTENT_TYPE
from thalweg.dialects.kit.relaying import FrameRelayer
from thalweg.framing.sse import Frame


class DashScopeRelayer(FrameRelayer):
    """One stream's relayer. Nothing in these streams is known to need a repair."""

    content_type = CONTENT_TYPE

    def __init__(self, *, provider: str = "", response_id: str = "") -> None:
        self.watch = Watch()
        self._decoder = DashScopeStreamDecoder(provider=provider)
        self._request_id = response_id
        self._frames = 0

    def pass_on(self, data: bytes) -> bytes | None:
        """No frame of this dialect is a plain one."""
        return None

    def feed(self, frames: Iterable[Frame]) -> list[bytes]:
        """The frames' own bytes, up to an error."""
        out: list[bytes] = []
        for frame in frames:
            if self.watch.error is not None:
                break
            self._observe(self._decoder.feed([frame]))
            if self.watch.error is None:
                self._frames += 1
                out.append(frame.raw)
        return out

    def end(self) -> list[bytes]:
        """The body is over."""
        self._observe(self._decoder.end())
        return []

    def settle(self) -> None:
        """Nothing is put off."""

    def keepalive(self) -> bytes:
        """A comment, which every reader passes over."""
        return b":keep-alive\n\n"

    def fail(self, error: GatewayError) -> bytes:
        """The error's frame."""
        return encode_stream_error(error, self._frames + 1, self.watch.response_id or self._request_id)

    def _observe(self, events: list[Event]) -> None:
        watch = self.watch
        watch.finishes.update(self._decoder.finishes)
        if watch.finishes:
            watch.content_seen = True
        for event in events:
            match event:
                case PartDelta():
                    watch.saw_text(event.text)
                case PartStarted() | ChoiceFinished():
                    watch.choices.add(event.choice)
                    watch.content_seen = True
                case UsageReported():
                    watch.saw_usage(event.usage, event.raw)
                case ResponseStarted():
                    watch.response_id, watch.model = event.response_id or None, event.model or None
                case ResponseEnded():
                    watch.done = watch.complete = True
                case ResponseFailed():
                    watch.error = event.error
        watch.choices |= watch.finishes.keys()
