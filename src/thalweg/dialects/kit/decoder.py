"""What the decoders of all dialects share: how a stream is fed, cut off and ended, and what an error does to it."""

from __future__ import annotations

from collections.abc import Iterable

from thalweg.canon.errors import GatewayError
from thalweg.canon.events import Event, PartDelta, ResponseFailed
from thalweg.dialects.base import Around
from thalweg.dialects.kit.frames import BadFrame, broke, cut_short
from thalweg.framing.sse import Frame

BROKE_OFF = "broke off before the answer was finished"


class FrameDecoder:
    """Reads one upstream's stream, frame by frame. A dialect says what they mean. Lives as long as the stream."""

    __slots__ = ("_events", "_over", "_provider", "finishes", "growing")

    def __init__(self, provider: str) -> None:
        self._provider = provider
        self._events: list[Event] = []
        """What was read and not yet given out."""
        self._over = False
        """Whether the answer has ended, well or not."""
        self.finishes: dict[int, str] = {}
        self.growing = -1
        """The part that the common frames go on with."""

    def grows(self, data: bytes) -> str:
        """The text of the common frame, by which that part grows; empty for any other."""
        raise NotImplementedError

    def grown(self, data: bytes) -> PartDelta | None:
        """The event of the common frame."""
        text = self.grows(data)
        return PartDelta(index=self.growing, text=text) if text else None

    def around(self) -> Around | None:
        """None: each frame has something of its own."""
        return None

    def took(self, texts: list[str], usage: bytes | None) -> None:
        """Nothing is kept of them."""

    def feed(self, frames: Iterable[Frame]) -> list[Event]:
        """The events in these frames."""
        self._catch_up()
        for frame in frames:
            if self._over:
                break
            try:
                self._frame(frame)
            except BadFrame as error:
                if not cut_short(frame):
                    self._fail(broke(self._provider, error))
        self._follow()
        return self._taken()

    def settle(self) -> list[Event]:
        """What was put off, where the stream is cut off."""
        self._catch_up()
        return self._taken()

    def end(self) -> list[Event]:
        """The body is over: the last events."""
        if self._over:
            return []
        self._catch_up()
        if self._is_whole():
            self._complete()
        else:
            self._fail(broke(self._provider, BROKE_OFF))
        self._follow()
        return self._taken()

    def _taken(self) -> list[Event]:
        events, self._events = self._events, []
        return events

    def _fail(self, error: GatewayError) -> None:
        """Give out what was held, then the error: text that came is never lost."""
        self._over = True
        self._flush()
        self._events.append(ResponseFailed(error=error))

    # What a dialect says.

    def _frame(self, frame: Frame) -> None:
        """Read one frame. May raise `BadFrame`."""
        raise NotImplementedError

    def _is_whole(self) -> bool:
        """Whether a body that ends here was complete."""
        raise NotImplementedError

    def _complete(self) -> None:
        """End a complete answer."""
        raise NotImplementedError

    def _flush(self) -> None:
        """Say and end everything that was begun."""
        raise NotImplementedError

    def _follow(self) -> None:
        """Look which part the common frames may go on with."""
        raise NotImplementedError

    def _catch_up(self) -> None:
        """Say what was put off."""
