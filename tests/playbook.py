"""Conversations as scripts: what happened at which time, and what the exchange wants then. No network, no sleep.

    play(
        connected(0.1) >> nothing,
        head(0.2) >> nothing,
        body(0.3, ROLE) >> nothing,                        # held
        body(0.4, text("Hi")) >> opens(ROLE, text("Hi")),  # the commit gate
        body(0.5, DONE) >> completes(DONE),
    )

A wish names everything that can be seen: status, bytes, `over`, what shall become of the upstream, the phase. What a
turn does not name has not changed, and nothing was sent. The client takes everything at once unless `reads` is false.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from thalweg.canon.errors import Cancelled, GatewayError, Unavailable, UpstreamBroke
from thalweg.dialects.base import Dialect, UpstreamSide
from thalweg.dialects.openai_chat import OpenAIChat
from thalweg.framing.chunked import chunk as chunked
from thalweg.profiles.base import Profile
from thalweg.profiles.providers import COMPATIBLE
from thalweg.relay.exchange import Exchange, Phase, Wish
from thalweg.relay.fastpath import FastPath, Line, PassingPath, TranslatingPath
from thalweg.relay.plan import Bounds, Headers, Plan, Timing
from thalweg.relay.taps import Report
from thalweg.relay.translator import Translator
from thalweg.upstream.base import ResponseHead

CHAT = OpenAIChat()
BEGIN = 1000.0
"""The monotonic time at which every conversation begins; turns count from there."""

# Frames of an upstream.

SSE: Headers = ((b"content-type", b"text/event-stream"),)
JSON: Headers = ((b"content-type", b"application/json; charset=utf-8"),)
HTML: Headers = ((b"content-type", b"text/html"),)
DONE = b"data: [DONE]\n\n"
_TOP = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1700000000, "model": "m-1"}


def frame(value: Any) -> bytes:
    """One plain frame."""
    return b"data: " + json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode() + b"\n\n"


def chunk(delta: dict[str, Any], *, at: int = 0, finish: str | None = None, **top: Any) -> bytes:
    """A frame with one choice."""
    return frame(_TOP | {"choices": [{"index": at, "delta": delta, "finish_reason": finish}]} | top)


def text(words: str, *, at: int = 0) -> bytes:
    """A frame that adds text."""
    return chunk({"content": words}, at=at)


def finish(reason: str = "stop", *, at: int = 0) -> bytes:
    """A frame with a finish reason."""
    return chunk({"content": ""}, at=at, finish=reason)


def usage(prompt: int = 3, completion: int = 5) -> bytes:
    """A frame of usage alone."""
    counts = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
    return frame(_TOP | {"choices": [], "usage": counts})


def fault(message: str = "the model fell over", code: str | None = None) -> bytes:
    """A frame with an error."""
    return frame({"error": {"message": message, "type": "server_error", "param": None, "code": code}})


def whole(content: str = "Hello.", **top: Any) -> bytes:
    """An answer that is no stream."""
    choice = {"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": "stop"}
    return json.dumps(_TOP | {"object": "chat.completion", "choices": [choice]} | top, indent=1).encode()


ROLE = chunk({"role": "assistant", "content": ""})
HELLO = ROLE + text("Hel") + text("lo") + finish() + DONE


# The fast path, whose client takes everything at once.


class Road:
    """An exchange's fast path, which tells it of a few frames at once."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._written: list[bytes] = []
        self._now = 0.0
        self._count = 0
        self._open = False
        self._path: FastPath | None = None

    def write(self, data: bytes) -> None:
        """What the client's transport does."""
        self._written.append(data)

    def passes(self, data: bytes, now: float) -> bytes | None:
        """What a read of this one transfer chunk becomes; `None` where it has to go the long way."""
        exchange, self._now = self._exchange, now
        if exchange.pending_bytes or exchange.passing is None:
            return None
        if self._path is None:
            kind = TranslatingPath if isinstance(exchange.passing, Translator) else PassingPath
            self._path = kind(exchange, Line(self, lambda told: False), _raise, lambda: self._now)
        if not self._open:
            self._path.open()
            self._open = True
        if not self._path.take(chunked(data)):
            return None
        self._count += 1
        if self._count % 3 == 0:
            self._path.publish()  # as the sweep has it do
        line, _, rest = b"".join(self._written).partition(b"\r\n")
        assert not self._written or (int(line, 16) == len(rest) - 2 and rest.endswith(b"\r\n"))
        self._written.clear()
        return rest[:-2]

    def shut(self) -> None:
        """Something else happens."""
        self._open = False
        if self._path is not None:
            self._path.shut()


def passes(exchange: Exchange, data: bytes, now: float) -> bytes | None:
    """What a read of this one transfer chunk becomes, and is told of at once; `None` where it goes the long way."""
    road = Road(exchange)
    passed = road.passes(data, now)
    road.shut()
    return passed


def queue(exchange: Exchange, passed: bytes) -> None:
    """Put what has passed in line, to be taken like all else."""
    exchange._say([passed])


def _raise(error: Exception) -> None:
    raise error


# Plans.


def asking(*, stream: bool = True, include_usage: bool = False, **fields: Any) -> bytes:
    """A client's request."""
    asked: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "Say hello."}], "stream": stream}
    if include_usage:
        asked["stream_options"] = {"include_usage": True}
    return json.dumps(asked | fields).encode()


def plan(
    *,
    stream: bool = True,
    include_usage: bool = False,
    upstream_streams: bool | None = None,
    dialect: Dialect = CHAT,
    profile: Profile = COMPATIBLE,
    timing: Timing | None = None,
    bounds: Bounds | None = None,
    raw: bool = False,
    **fields: Any,
) -> Plan:
    """A plan whose provider is acme, with its key in ACME_API_KEY. `fields` go into the request."""
    return Plan(
        stream_id="str_1",
        asked=dialect.read_request(asking(stream=stream, include_usage=include_usage, **fields)),
        dialect=dialect,
        upstream=UpstreamSide(dialect, profile, provider="acme", key_name="ACME_API_KEY"),
        upstream_streams=stream if upstream_streams is None else upstream_streams,
        raw=raw,
        created=1700000001,
        headers=((b"x-thalweg-stream", b"str_1"),),
        timing=timing or Timing(),
        bounds=bounds or Bounds(),
    )


# What is wanted.


class ErrorSaid(msgspec.Struct, frozen=True):
    """An error in the client's words: a whole body, or one frame after `before`."""

    code: str | None
    says: str = ""
    """Something that the message contains."""
    before: bytes = b""
    framed: bool = False

    def complaint(self, sent: bytes) -> str | None:
        """What is wrong with what was sent, if anything is."""
        if not sent.startswith(self.before):
            return f"the error should follow {self.before!r}"
        rest = sent[len(self.before) :]
        if self.framed:
            if not (rest.startswith(b'data: {"error":{') and rest.endswith(b"}\n\n") and rest.count(b"\n") == 2):
                return "no single error frame"
            rest = rest[6:-2]
        said = json.loads(rest)["error"]
        if said["code"] != self.code or self.says not in said["message"]:
            return f"the error is {said!r}"
        return None


@dataclass(frozen=True)
class Wants:
    """What the exchange wants after a turn."""

    status: int | None = None
    """The head that goes out now; `None` for no head."""
    sends: bytes | ErrorSaid = b""
    wish: Wish | None = None
    phase: Phase | None = None
    """`None`: as after the turn before."""
    headers: Headers = ()
    """Some of the head's."""


nothing = Wants()


def sends(*frames: bytes) -> Wants:
    """Bytes go out, in the phase there was."""
    return Wants(sends=b"".join(frames))


def opens(*frames: bytes) -> Wants:
    """The commit gate opens."""
    return Wants(status=200, sends=b"".join(frames), phase=Phase.SENDING, headers=((b"x-accel-buffering", b"no"),))


def completes(*frames: bytes) -> Wants:
    """The answer is whole."""
    return Wants(sends=b"".join(frames), wish=Wish.RELEASE, phase=Phase.ENDED)


def opens_and_completes(*frames: bytes) -> Wants:
    """All of a stream goes out at once."""
    return replace(opens(*frames), wish=Wish.RELEASE, phase=Phase.ENDED)


def answers(body: bytes) -> Wants:
    """A whole answer goes out."""
    length = (b"content-length", b"%d" % len(body))
    kind = (b"content-type", b"application/json")
    return Wants(status=200, sends=body, wish=Wish.RELEASE, phase=Phase.ENDED, headers=(kind, length))


def refuses(status: int, code: str | None, says: str = "", *, wish: Wish = Wish.ABORT, headers: Headers = ()) -> Wants:
    """An error goes out with its HTTP status."""
    return Wants(status=status, sends=ErrorSaid(code, says), wish=wish, phase=Phase.ENDED, headers=headers)


def breaks(code: str | None, says: str = "", *, after: bytes = b"", wish: Wish = Wish.ABORT) -> Wants:
    """The stream ends with an error frame."""
    return Wants(sends=ErrorSaid(code, says, after, framed=True), wish=wish, phase=Phase.ENDED)


def opens_and_breaks(code: str | None, says: str = "", *, after: bytes = b"") -> Wants:
    """Content and an error came at once."""
    return replace(breaks(code, says, after=after), status=200)


def lingers() -> Wants:
    """The client has left and the usage is waited for."""
    return Wants(phase=Phase.LINGERING)


def stops(wish: Wish = Wish.ABORT) -> Wants:
    """It is over and nobody is told."""
    return Wants(wish=wish, phase=Phase.ENDED)


# What happened.


@dataclass(frozen=True)
class Turn:
    """Something that happened, and what is wanted then."""

    happened: Happened
    wants: Wants


@dataclass(frozen=True)
class Happened:
    """Something that happened at a time, in seconds after the beginning."""

    what: str
    at: float
    tell: Callable[[Exchange, float], None]

    def __rshift__(self, wants: Wants) -> Turn:
        return Turn(self, wants)


def connected(at: float) -> Happened:
    """The request is being sent."""
    return Happened("connected", at, lambda exchange, now: exchange.connected(now))


def head(at: float, status: int = 200, headers: Headers = SSE) -> Happened:
    """The upstream's status and headers came."""
    said = ResponseHead(status, headers)
    return Happened(f"head({status})", at, lambda exchange, now: exchange.head_received(said, now))


def body(at: float, *frames: bytes) -> Happened:
    """One read of the upstream's body came; the way that a pump takes, the short one first."""

    def tell(exchange: Exchange, now: float) -> None:
        data = b"".join(frames)
        passed = passes(exchange, data, now)
        if passed is not None:
            queue(exchange, passed)
        else:
            exchange.body_received(data, now)

    return Happened(f"body({b''.join(frames)[:60]!r})", at, tell)


def ended(at: float) -> Happened:
    """The upstream's body is whole."""
    return Happened("ended", at, lambda exchange, now: exchange.body_ended(now))


CUT = UpstreamBroke("acme broke off in the middle of its answer", provider="acme")


def cut(at: float, error: GatewayError = CUT) -> Happened:
    """The call failed."""
    return Happened("cut", at, lambda exchange, now: exchange.call_failed(error, now))


def left(at: float) -> Happened:
    """The client closed its connection."""
    return Happened("left", at, lambda exchange, now: exchange.client_left(now))


def tick(at: float, *, reading: bool = True) -> Happened:
    """Time passed."""
    return Happened("tick", at, lambda exchange, now: exchange.ticked(now, reading=reading))


def cancelled(at: float) -> Happened:
    """Somebody stopped the answer."""
    return Happened("cancelled", at, lambda exchange, now: exchange.cancelled(Cancelled("Enough."), now))


def shut_down(at: float) -> Happened:
    """The gateway goes away."""
    error = Unavailable("The gateway is shutting down.")
    return Happened("shut_down", at, lambda exchange, now: exchange.shut_down(error, now))


def given_up(at: float) -> Happened:
    """The pump stops."""
    return Happened("given_up", at, lambda exchange, now: exchange.give_up(now))


# The play.


@dataclass
class Played:
    """A conversation so far."""

    exchange: Exchange
    reads: bool = True
    """Whether the client takes what there is for it."""
    heads: list[tuple[int, Headers]] = field(default_factory=list)
    pieces: list[bytes] = field(default_factory=list)

    @property
    def sent(self) -> bytes:
        """All that the client got."""
        return b"".join(self.pieces)

    @property
    def report(self) -> Report:
        """What is said of the attempt."""
        return self.exchange.report()

    def go_on(self, *turns: Turn) -> Played:
        """Play some turns; the first that goes otherwise is named with its place."""
        for number, turn in enumerate(turns, 1):
            self._play(turn, f"turn {number}, {turn.happened.what} at {turn.happened.at:g}")
        return self

    def takes(self, at: float) -> bytes:
        """The client takes what waits for it."""
        exchange = self.exchange
        if exchange.head is not None:
            self.heads.append(exchange.head)
            exchange.head = None
        if not exchange.pending_bytes:
            return b""
        self.pieces.append(exchange.take())
        exchange.delivered(BEGIN + at)
        return self.pieces[-1]

    def _play(self, turn: Turn, place: str) -> None:
        exchange, wants = self.exchange, turn.wants
        phase = exchange.phase
        turn.happened.tell(exchange, BEGIN + turn.happened.at)
        status = exchange.head[0] if exchange.head else None
        headers = exchange.head[1] if exchange.head else ()
        sent = self.takes(turn.happened.at) if self.reads else b""
        wish, exchange.wish = exchange.wish, None
        assert exchange.phase is (wants.phase or phase), f"{place}: the phase is {exchange.phase.name}, sent {sent!r}"
        assert status == wants.status, f"{place}: the status is {status}, sent {sent!r}"
        missing = set(wants.headers) - set(headers)
        assert not missing, f"{place}: {missing} not in {headers}"
        if isinstance(wants.sends, ErrorSaid):
            complaint = wants.sends.complaint(sent)
            assert complaint is None, f"{place}: {complaint}, in {sent!r}"
        else:
            assert sent == wants.sends, f"{place}: sent {sent!r}, not {wants.sends!r}"
        assert wish is wants.wish, f"{place}: the wish is {wish}"
        over = exchange.phase is Phase.ENDED
        assert (exchange.over, exchange.settled, exchange.finished) == (over,) * 3, f"{place}: over or not?"


def play(*turns: Turn, reads: bool = True, given: Plan | None = None, **changes: Any) -> Played:
    """Begin a conversation and play it; `changes` are those of `plan`."""
    return Played(Exchange(given or plan(**changes), now=BEGIN), reads=reads).go_on(*turns)
