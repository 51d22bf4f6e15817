"""An upstream made of a script, for tests of whatever holds a `Connector`. It has no network, no loop and no timers.

Each call plays the next script, one step at a time, when the test says so. What a real upstream could not do, such as
sending a body to a call that has paused, the script does not do either.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import msgspec

from thalweg.canon.errors import UpstreamBroke, UpstreamError
from thalweg.upstream.base import Listener, ResponseHead, UpstreamRequest


class Connect(msgspec.Struct, frozen=True):
    """The connection opens and the request is sent."""

    def play(self, listener: Listener) -> None:
        """Tell it to the listener."""
        listener.connected()


class Head(msgspec.Struct, frozen=True):
    """The upstream answers with a status and headers."""

    status: int = 200
    headers: tuple[tuple[bytes, bytes], ...] = ()

    def play(self, listener: Listener) -> None:
        """Tell it to the listener."""
        listener.head_received(ResponseHead(self.status, self.headers))


class Body(msgspec.Struct, frozen=True):
    """The upstream sends some bytes of its answer; never none."""

    data: bytes

    def play(self, listener: Listener) -> None:
        """Tell it to the listener."""
        listener.body_received(self.data)


class End(msgspec.Struct, frozen=True):
    """The answer is whole."""

    def play(self, listener: Listener) -> None:
        """Tell it to the listener."""
        listener.body_ended()


class Fail(msgspec.Struct, frozen=True):
    """The call fails: the connection does not open, breaks HTTP, or breaks off."""

    error: UpstreamError

    def play(self, listener: Listener) -> None:
        """Tell it to the listener."""
        listener.call_failed(self.error)


Step = Connect | Head | Body | End | Fail

_HELD_BACK_BY_PAUSE = (Body, End)
_LAST = (End, Fail)


class ScriptedCall:
    """A `base.Call` that plays its script. Its public fields say what the listener's side did with it."""

    def __init__(
        self, request: UpstreamRequest, listener: Listener, script: Sequence[Step], clock: Callable[[], float]
    ) -> None:
        self.request = request
        self.listener = listener
        self.closed_at: float | None = None
        self.aborted = False
        self.released = False
        self.paused = False
        self.pauses = 0
        """How many times reading stopped; a second pause in a row is not counted."""
        self.fast_paths = 0
        """How many times it was told of a fast path."""
        self._left = list(script)
        self._clock = clock

    @property
    def left(self) -> tuple[Step, ...]:
        """The steps that are not yet played."""
        return tuple(self._left)

    @property
    def lost_at(self) -> float | None:
        """The same as `closed_at`: there is no connection."""
        return self.closed_at

    def when_lost(self, told: Callable[[], None]) -> None:
        """Call `told`: a call that is over is never closing."""
        told()

    def add(self, *steps: Step) -> None:
        """Write the script on."""
        self._left += steps

    def step(self) -> bool:
        """Play the next step. False, and nothing happens, when there is none, or it has to wait for a resume."""
        if self.closed_at is not None or not self._left:
            return False
        if self.paused and isinstance(self._left[0], _HELD_BACK_BY_PAUSE):
            return False
        played = self._left.pop(0)
        if isinstance(played, _LAST):
            self._close()
        played.play(self.listener)
        return True

    def play_all(self) -> int:
        """Play what can be played now; returns how many steps that were."""
        played = 0
        while self.step():
            played += 1
        return played

    def fail(self, error: UpstreamError) -> None:
        """Fail now, whatever the script says. Nothing happens when the call is over."""
        if self.closed_at is None:
            self._close()
            self.listener.call_failed(error)

    def abort(self) -> None:
        """Note it, and play no more."""
        if self.closed_at is None:
            self.aborted = True
            self._close()

    def release(self) -> None:
        """Note it, and play no more."""
        if self.closed_at is None:
            self.released = True
            self._close()

    def pause_reading(self) -> None:
        """Note it, and play no body until the resume."""
        self.pauses += not self.paused
        self.paused = True

    def resume_reading(self) -> None:
        """Note it."""
        self.paused = False

    def fast_path_opened(self) -> None:
        """Count it; what is played goes the long way."""
        self.fast_paths += 1

    def _close(self) -> None:
        self.closed_at = self._clock()


class ScriptedConnector:
    """A `base.Connector` whose calls play the given scripts, in order; the last one is played by all later calls.

    Without a script a call connects and hears nothing more, until the test adds steps to it.
    """

    def __init__(self, *scripts: Sequence[Step], clock: Callable[[], float] = time.monotonic) -> None:
        self.calls: list[ScriptedCall] = []
        """All calls that were started, the oldest first."""
        self.closed = False
        self._scripts = [tuple(script) for script in scripts] or [(Connect(),)]
        self._clock = clock

    @property
    def requests(self) -> list[UpstreamRequest]:
        """What was asked, the oldest first."""
        return [call.request for call in self.calls]

    def start(self, request: UpstreamRequest, listener: Listener) -> ScriptedCall:
        """Begin a call. Nothing is told to the listener until the test plays a step."""
        script = self._scripts[min(len(self.calls), len(self._scripts) - 1)]
        call = ScriptedCall(request, listener, script, self._clock)
        self.calls.append(call)
        return call

    def step(self) -> bool:
        """Play the next step of the call that was started last."""
        return bool(self.calls) and self.calls[-1].step()

    def play_all(self) -> int:
        """Play all calls, those started meanwhile too, as far as they go; returns how many steps that were."""
        played = 0
        for call in self.calls:
            played += call.play_all()
        return played

    async def close(self) -> None:
        """Fail the calls under way."""
        self.closed = True
        for call in self.calls:
            call.fail(UpstreamBroke("the gateway is closing its upstream connections", provider=call.request.provider))
