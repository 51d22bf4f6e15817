"""An upstream that is played from steps instead of called: the simulator, a recording, a test's script.

The listener hears the same callbacks, in the same order, as from a real connection. `Player` is the part that the
simulator's HTTP face shares: it walks the steps in time and tells a stage what to do.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from thalweg.canon.errors import UpstreamBroke, UpstreamError, UpstreamUnreachable
from thalweg.canon.script import BreakOff, EndBody, RefuseConnection, SendBody, SendHead, Stall, Step, Wait
from thalweg.upstream.base import Listener, ResponseHead, UpstreamRequest

# How much is played in one turn of the loop, so that an answer without pauses leaves time for everything else.
TURN_STEPS = 16
TURN_BYTES = 64 * 1024
_CUT = BreakOff(reset=False)


class Stage(Protocol):
    """Where steps take effect. Any of these may pause or stop the player."""

    def connect(self) -> None:
        """The first step is at hand, and it refuses no connection."""

    def send_head(self, step: SendHead) -> None:
        """The status and headers go out."""

    def send_body(self, step: SendBody) -> None:
        """Bytes go out."""

    def end_body(self, step: EndBody) -> None:
        """The body is whole. The player has stopped."""

    def break_off(self, step: BreakOff) -> None:
        """The connection ends. The player has stopped."""

    def refuse_connection(self, step: RefuseConnection) -> None:
        """There is no connection. The player has stopped."""

    def play_failed(self) -> None:
        """The script itself raised, which is a bug in it, and will be raised on. The player has stopped."""

    def abort(self) -> None:
        """The script or the stage raised, and it will be raised on: stop everything, and the player with it."""


class Player:
    """Plays steps on the running loop, from its next turn on. Lives as long as one answer."""

    def __init__(self, open_script: Callable[[], Iterator[Step]], stage: Stage) -> None:
        self._open_script = open_script
        self._stage = stage
        self._loop = asyncio.get_running_loop()
        self._steps: Iterator[Step] | None = None
        self._due = self._loop.time()
        self._turn: asyncio.Handle | None = self._loop.call_soon(self._play)
        """The next turn; `None` while nothing is to be done: paused, stalled, stopped."""
        self._connected = False
        self._playing = False
        self._paused = False
        self._over = False

    def pause(self) -> None:
        """Make no more steps. May be called twice."""
        self._paused = True

    def resume(self) -> None:
        """Go on. May be called twice."""
        if self._paused and self._turn is None and not (self._over or self._playing):
            self._turn = self._loop.call_soon(self._play)
        self._paused = False

    def stop(self) -> None:
        """Make no more steps, ever, and let go of their source. May be called twice."""
        self._over = True
        if self._turn is not None:
            self._turn.cancel()
            self._turn = None
        steps, self._steps = self._steps, None
        if (close := getattr(steps, "close", None)) is not None:
            close()

    def _play(self) -> None:
        """One turn."""
        self._turn, self._playing = None, True
        try:
            more = self._play_some()
        except BaseException:
            self._stage.abort()
            raise
        finally:
            self._playing = False
        if more:
            self._turn = self._loop.call_soon(self._play)

    def _play_some(self) -> bool:
        """Some steps, up to the first that takes time. Returns whether there is more to do at once."""
        sent_bytes = 0
        for _ in range(TURN_STEPS):
            if sent_bytes >= TURN_BYTES or not self._may_go_on():
                break
            step = self._next() if self._connected else self._first()
            if self._over or not _PLAYED[type(step)](self, step):
                return False
            sent_bytes += len(step.data) if isinstance(step, SendBody) else 0
        return self._may_go_on()

    def _may_go_on(self) -> bool:
        return not (self._paused or self._over)

    def _first(self) -> Step:
        """Connect, unless the first step refuses that. A stage that stops the player meanwhile gets no step."""
        step = self._next()
        self._connected = True
        if not isinstance(step, RefuseConnection):
            self._stage.connect()
        return step

    def _next(self) -> Step:
        """The next step; a script that simply stops ends with a cut."""
        try:
            if self._steps is None:
                self._steps = self._open_script()
            return next(self._steps, _CUT)
        except BaseException:
            self.stop()
            self._stage.play_failed()
            raise

    # One for each kind of step. Whether the turn goes on is what they return.

    def _wait(self, step: Wait) -> bool:
        """Wait from when the last step was due, not from when it was made: lateness does not add up."""
        now = self._loop.time()
        self._due = max(self._due + step.seconds, now)
        if self._due <= now:
            return True
        self._turn = self._loop.call_at(self._due, self._play)
        return False

    def _send_head(self, step: SendHead) -> bool:
        self._stage.send_head(step)
        return True

    def _send_body(self, step: SendBody) -> bool:
        if step.data:
            self._stage.send_body(step)
        return True

    def _end_body(self, step: EndBody) -> bool:
        self.stop()
        self._stage.end_body(step)
        return False

    def _break_off(self, step: BreakOff) -> bool:
        self.stop()
        self._stage.break_off(step)
        return False

    def _refuse(self, step: RefuseConnection) -> bool:
        self.stop()
        self._stage.refuse_connection(step)
        return False

    def _stall(self, _: Stall) -> bool:
        self.stop()
        return False


_PLAYED: dict[type, Callable[[Player, Any], bool]] = {
    Wait: Player._wait,
    SendHead: Player._send_head,
    SendBody: Player._send_body,
    EndBody: Player._end_body,
    BreakOff: Player._break_off,
    RefuseConnection: Player._refuse,
    Stall: Player._stall,
}


class PlayedConnector:
    """A `base.Connector` whose calls are played from steps. `play` is asked for them once a call begins."""

    def __init__(self, play: Callable[[UpstreamRequest], Iterator[Step]]) -> None:
        self._play = play
        self._calls: set[PlayedCall] = set()
        self._closed = False

    @property
    def open_calls(self) -> int:
        """Calls under way, those that have stalled included."""
        return len(self._calls)

    def start(self, request: UpstreamRequest, listener: Listener) -> PlayedCall:
        """Begin a call. Nothing is told to the listener before this returns."""
        call = PlayedCall(request, listener, self._play, self._calls.discard)
        self._calls.add(call)
        if self._closed:
            call.pause_reading()
            asyncio.get_running_loop().call_soon(call.fail, _closing(request))
        return call

    async def close(self) -> None:
        """Fail the calls under way, and those that are started later."""
        self._closed = True
        loop = asyncio.get_running_loop()
        for call in tuple(self._calls):
            # Each in a step of its own: a listener that raises must not keep the others from hearing it.
            loop.call_soon(call.fail, _closing(call.request))
        await asyncio.sleep(0)


class PlayedCall:
    """A `base.Call`, and the stage of its player. Over when `closed_at` is set."""

    def __init__(
        self,
        request: UpstreamRequest,
        listener: Listener,
        play: Callable[[UpstreamRequest], Iterator[Step]],
        forget: Callable[[PlayedCall], None],
    ) -> None:
        self.request = request
        self.closed_at: float | None = None
        self._listener = listener
        self._forget = forget
        self._player = Player(lambda: play(request), self)

    @property
    def lost_at(self) -> float | None:
        """The same as `closed_at`: there is no connection."""
        return self.closed_at

    # What the listener's side calls.

    def when_lost(self, told: Callable[[], None]) -> None:
        """Call `told`: a call that is over is never closing."""
        told()

    def abort(self) -> None:
        """Stop now, in whatever phase."""
        if self.closed_at is not None:
            return
        self.closed_at = time.monotonic()
        self._player.stop()
        self._forget(self)

    def release(self) -> None:
        """Stop: there is no connection that would be worth keeping."""
        self.abort()

    def pause_reading(self) -> None:
        """Make no more steps, as an upstream that is not read from cannot go on writing."""
        self._player.pause()

    def resume_reading(self) -> None:
        """Go on."""
        self._player.resume()

    def fast_path_opened(self) -> None:
        """Nothing: what is played goes the long way."""

    # What the connector calls.

    def fail(self, error: UpstreamError) -> None:
        """Stop, then tell the listener."""
        if self.closed_at is None:
            self.abort()
            self._listener.call_failed(error)

    # What the player calls.

    def connect(self) -> None:
        """Tell that the request is taken."""
        self._listener.connected()

    def send_head(self, step: SendHead) -> None:
        """Tell the status and headers."""
        self._listener.head_received(ResponseHead(step.status, step.headers))

    def send_body(self, step: SendBody) -> None:
        """Tell some bytes."""
        self._listener.body_received(step.data)

    def end_body(self, _: EndBody) -> None:
        """Tell that the body is whole."""
        self.abort()
        self._listener.body_ended()

    def break_off(self, step: BreakOff) -> None:
        """Tell that the connection ended in the middle."""
        how = "reset the connection" if step.reset else "closed the connection in the middle of its answer"
        self.fail(UpstreamBroke(f"{self._name} {how}", provider=self.request.provider))

    def refuse_connection(self, _: RefuseConnection) -> None:
        """Tell that there is no connection."""
        self.fail(UpstreamUnreachable(f"{self._name} refused the connection", provider=self.request.provider))

    def play_failed(self) -> None:
        """Tell that nothing more will come."""
        self.fail(UpstreamBroke(f"{self._name} failed for a reason of ours", provider=self.request.provider))

    @property
    def _name(self) -> str:
        return self.request.provider or str(self.request.origin)


def _closing(request: UpstreamRequest) -> UpstreamError:
    return UpstreamBroke("the gateway is closing its upstream connections", provider=request.provider)
