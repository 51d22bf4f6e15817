"""What to do with one client request, first byte to last. Decides; does no I/O and reads no clock.

Theory of operation. The pump tells what happened (the methods named by participles), each time with the monotonic
time; the exchange changes its state and leaves what is to be done in plain fields: `head` and the bytes of `take()`
go to the client, `over` means that the client's answer ends after them, `wish` says what shall become of the upstream
call. An exchange has two sides that end apart: `over` for the client's, `settled` for the upstream's; when both are
true there is a `report`, and nothing changes any more.

    HOLDING    nothing was sent to the client; frames before the first content are held (the commit gate)
    SENDING    the head is out, frames pass as they come
    LINGERING  the client has left; what is still to come is read for the ledger: the usage that follows the finish
               reason, or as much as the plan's `leave` says
    ENDED      nothing more will be read

What cannot be in here: a socket, a task, a dialect's words.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum

import msgspec

from thalweg.canon.errors import Cancelled, GatewayError, OurError, UpstreamBroke, UpstreamError, UpstreamTimeout
from thalweg.canon.events import Event, ResponseEnded, ResponseFailed
from thalweg.canon.fold import Fold, unfold
from thalweg.canon.response import Response
from thalweg.canon.usage import WEAKEST_FIRST, Usage, UsageSource, estimate_tokens
from thalweg.dialects.base import Relayer, Watch, watch_of
from thalweg.framing.sse import Frame, SseDecoder
from thalweg.relay.adapter import Adapter
from thalweg.relay.budget import SMALL_BYTES, Share, no_room
from thalweg.relay.memory import SoFar, memory_for, seam_of
from thalweg.relay.plan import Headers, Plan
from thalweg.relay.seam import Beginning
from thalweg.relay.taps import Outcome, Report
from thalweg.relay.translator import Reader, Translator
from thalweg.upstream.base import ResponseHead

MAX_ERROR_BYTES = 64 * 1024
MAX_HELD_BYTES = 64 * 1024
"""How much may come before the first content until the commit gate opens all the same."""
LINGER_S = 1.0
"""How long the usage is waited for when the client has left after the finish reason."""


class Wish(Enum):
    """What shall become of the upstream call."""

    ABORT = "abort"
    RELEASE = "release"


class Phase(Enum):
    """Where the exchange stands; see the theory of operation."""

    HOLDING = "holding"
    SENDING = "sending"
    LINGERING = "lingering"
    ENDED = "ended"


# Named here because each look-up in an Enum costs as much as a call, and a stream takes some thirty.
_HOLDING, _SENDING, _LINGERING, _ENDED = Phase
_ABORT, _RELEASE = Wish


class Exchange:
    """One client request and its one attempt at an upstream."""

    __slots__ = (
        "__weakref__",
        "_body",
        "_content_underway",
        "_decoder",
        "_drains",
        "_end",
        "_floor",
        "_fold",
        "_held",
        "_held_bytes",
        "_kept",
        "_kept_bytes",
        "_linger_until",
        "_out",
        "_reader",
        "_relayer",
        "_translator",
        "_underway",
        "_upstream_headers",
        "beginning",
        "client_gone",
        "due_at",
        "ended_at",
        "error",
        "faltered",
        "first_content_at",
        "first_delivered_at",
        "head",
        "heard_at",
        "longest_gap_s",
        "memory",
        "outcome",
        "over",
        "passing",
        "pending_bytes",
        "phase",
        "plan",
        "said_at",
        "sent_at",
        "settled",
        "share",
        "speaks",
        "started_at",
        "status",
        "upstream_status",
        "watch",
        "wish",
    )

    def __init__(self, plan: Plan, *, now: float, share: Share | None = None) -> None:
        self.plan = plan
        self.share = share or Share()
        """What it has of the bytes that may be held."""
        # For the client.
        self.head: tuple[int, Headers] | None = None
        """Status and headers to be sent, until the pump takes them."""
        self.pending_bytes = 0
        """Bytes that wait for the client."""
        self.over = False
        """Whether the client's answer ends after what is pending."""
        self.client_gone = False
        """Whether nothing can be sent to the client any more."""
        # For the upstream.
        self.wish: Wish | None = None
        self.settled = False
        # What is known.
        self.phase, self.watch = _HOLDING, Watch()
        self.outcome: Outcome | None = None
        self.error: GatewayError | None = None
        self.faltered = False
        """Whether it ended before the first content, the client was told nothing, and another attempt follows or goes
        on beside it."""
        self.beginning: Beginning | None = None
        """Of an answer that broke off and is gone on with, what the next attempt needs."""
        self.speaks: Callable[[], None] | None = None
        """Called once before anything is said to the client, where another attempt runs beside this one."""
        self.upstream_status: int | None = None
        self.status: int | None = None
        """The HTTP status that the client was told."""
        # Times, all monotonic.
        self.started_at = self.heard_at = self.said_at = now
        self.sent_at: float | None = None
        self.first_content_at: float | None = None
        self.first_delivered_at: float | None = None
        self.ended_at: float | None = None
        self.longest_gap_s = self.due_at = 0.0  # before `due_at` nothing is to be decided by the time alone
        # For the fast path: the relayer, while what comes next begins a frame and is for the client; and where what
        # passes is kept, if it may have to be gone on with.
        self.passing: Relayer | None = None
        self.memory = memory_for(plan)
        # Inner workings.
        self._out: list[bytes] = []
        self._held, self._held_bytes, self._kept, self._kept_bytes = list[bytes](), 0, list[bytes](), 0
        self._underway, self._content_underway = 0, False
        """Bytes that were taken and are not yet delivered; whether what was last taken came with or after the first
        content."""
        self._linger_until, self._drains, self._floor = 0.0, False, (now, 0)
        """Until when it lingers; whether its client left before the answer was over; since when the throughput is
        looked at, and the tokens that had come by then."""
        self._upstream_headers: Headers = ()
        self._decoder = SseDecoder(max_frame_bytes=plan.bounds.frame_bytes)
        self._relayer: Relayer | None = None
        """What writes the client's stream, once one is to be written."""
        self._translator: Translator | None = None  # the same, where it translates
        self._reader: Reader | None = None
        self._fold: Fold | None = None
        # Functions, not bound methods: those would make a cycle, and every exchange work for the collector.
        self._body: Callable[[Exchange, bytes, float], None] = Exchange._keep
        self._end: Callable[[Exchange, float], None] = Exchange._whole_ended
        if plan.beginning is not None:
            self._go_on(plan.beginning)

    def _go_on(self, beginning: Beginning) -> None:
        """Begin where the attempt before broke off: the client has had the head, and some of the stream."""
        self.phase, self.status, self.said_at = _SENDING, 200, beginning.said_at
        self.first_delivered_at = beginning.first_delivered_at
        self._writer()

    # What the pump takes.

    def peek(self) -> bytes:
        """The bytes that wait for the client, joined. They wait on."""
        out = self._out
        return out[0] if len(out) == 1 else b"".join(out)

    def take(self) -> bytes:
        """The bytes that wait for the client, joined. They wait no more."""
        out, self._out = self._out, []
        self._underway, self._content_underway = self.pending_bytes, self.first_content_at is not None
        self.pending_bytes = 0
        return out[0] if len(out) == 1 else b"".join(out)

    def passed_on(self, now: float) -> None:
        """What was peeked at is with the client's socket now."""
        self._out = []
        self.pending_bytes = 0
        self._content_underway = self.first_content_at is not None
        self.delivered(now)

    def delivered(self, now: float) -> None:
        """The bytes just taken were handed to the client's socket."""
        self.said_at, self._underway = now, 0
        if self.first_delivered_at is None and self._content_underway:
            self.first_delivered_at = now
        if self.over:
            self.ended_at = now
            if self.beginning is not None:
                times = {"first_delivered_at": self.first_delivered_at, "said_at": now}
                self.beginning = msgspec.structs.replace(self.beginning, **times)
        if self.share.answer_bytes:
            self._weigh(now)

    @property
    def held_bytes(self) -> int:
        """What is held of the answer: gathered, kept, and not yet taken by the client."""
        held = self._decoder.held_bytes + self._held_bytes + self._kept_bytes + self.pending_bytes + self._underway
        if self._translator is not None:
            held += self._translated_bytes
        return held if self.memory is None else held + self.memory.held_bytes

    @property
    def _translated_bytes(self) -> int:
        """What a translation keeps of a stream."""
        translator = self._translator
        return 0 if translator is None or self.phase is _ENDED else translator.held_bytes

    @property
    def _memory_bytes(self) -> int:
        """What is kept of a stream that may have to be gone on with."""
        return 0 if self.memory is None else self.memory.held_bytes

    @property
    def finished(self) -> bool:
        """Whether both sides are done."""
        return self.settled and (self.over or self.client_gone)

    # What happened upstream.

    def connected(self, now: float) -> None:
        """The request is being sent."""
        self.sent_at = self.heard_at = now

    def head_received(self, head: ResponseHead, now: float) -> None:
        """The upstream answers: choose how its body is read."""
        self.heard_at = now
        self.upstream_status = head.status
        self._upstream_headers = head.headers
        if head.status != 200:
            self._body, self._end = Exchange._keep_error, Exchange._error_ended
        elif _is_whole(head, streamed=self.plan.upstream_streams):
            self._body, self._end = Exchange._keep, Exchange._whole_ended
        elif self.plan.asked.stream:
            self._writer()
            self._body, self._end = Exchange._relay, Exchange._relay_ended
        else:
            self._reader, self._fold = _reader(self.plan), Fold()
            self.watch = self._reader.watch
            self._body, self._end = Exchange._gather, Exchange._gather_ended

    def body_received(self, data: bytes, now: float) -> None:
        """Some of the body came."""
        gap = now - self.heard_at
        if gap > self.longest_gap_s:  # noqa: PLR1730  # most would call `max` for nothing
            self.longest_gap_s = gap
        self.heard_at = now
        self._body(self, data, now)

    def body_ended(self, now: float) -> None:
        """The body is whole."""
        self.heard_at = now
        self._end(self, now)

    def call_failed(self, error: GatewayError, now: float) -> None:
        """The call broke off. An answer whose every choice had finished is whole all the same only if its body ended
        as its framing says, so this is always a failure; a refusal is one already by its status, which is kept.
        """
        if self.upstream_status is not None and self.upstream_status >= 400:
            self._error_ended(now)
        else:
            self._fail(error, now)

    # What happened on our side.

    def client_left(self, now: float) -> None:
        """The client closed its connection."""
        if self.client_gone:
            return
        self.client_gone = True
        if self.head is not None:
            self.head = self.status = None  # it was never sent
        self._out, self.pending_bytes = [], 0
        if self.share.answer_bytes:
            self._weigh(now)
        if self.phase is _ENDED:
            return
        if self.watch.finished and self._body is Exchange._relay:
            self._linger(LINGER_S, now)
            return
        leave = self.plan.leave
        if leave.kind in ("linger", "drain") and self.error is None and self.sent_at is not None:
            self._drains = True
            self._linger(leave.seconds or self.plan.timing.whole_s, now)
            return
        self._finish("cancelled", _ABORT, now)

    def _linger(self, seconds: float, now: float) -> None:
        """Read on without a client."""
        self.phase, self._linger_until, self.passing = _LINGERING, now + seconds, None
        self.ended_at, self.due_at = now, 0.0

    def cancelled(self, error: Cancelled, now: float) -> None:
        """Somebody with a right to it stops this answer; the client is told."""
        self._fail(error, now, outcome="cancelled")

    def shut_down(self, error: GatewayError, now: float) -> None:
        """The gateway goes away before this answer is whole."""
        self._fail(error, now, outcome="gateway_error")

    def yielded(self, now: float) -> None:
        """Another attempt has spoken first: this one ends, and nobody hears of it."""
        if self.phase is not _ENDED:
            self.faltered = self.client_gone = True
            self._finish("cancelled", _ABORT, now)

    def give_up(self, now: float) -> None:
        """The pump stops; if nothing else has ended the exchange, that is our fault."""
        self.client_gone = True
        self._finish("gateway_error", _ABORT, now)

    def ticked(self, now: float, *, reading: bool) -> None:
        """Time passed. `reading` is false while we ourselves hold the upstream back."""
        if self.phase is Phase.ENDED:
            return
        if self.phase is Phase.LINGERING:
            if now >= self._linger_until or self._drained() or self._late(now, reading=reading) is not None:
                self._finish("cancelled", Wish.ABORT, now)
            return
        kept = self._translated_bytes
        if kept + self._memory_bytes > SMALL_BYTES and not self._fits(kept, now):
            return
        if (late := self._late(now, reading=reading)) is not None:
            self._fail(late, now)
        elif self.phase is Phase.HOLDING:
            # Also before the upstream's head: clients give up on a connection that stays silent for minutes. A refusal
            # whose head is there keeps its status, however long its body takes.
            streams = self.plan.asked.stream
            may_open = (
                self.upstream_status in (None, 200) if streams else self._fold is not None and self.watch.content_seen
            )
            if may_open and now - self.started_at >= self.plan.timing.commit_after_s:
                if streams:
                    self._commit(now)
                else:
                    self._commit_whole(now)
        elif now - self.said_at >= self.plan.timing.keepalive_s and not (
            self.pending_bytes or self._underway or self.watch.finishes
        ):
            self._say_alive(now)
        self.due_at = self._due_at()

    def _due_at(self) -> float:
        """The next time at which something may be due. What comes meanwhile only puts it off."""
        timing = self.plan.timing
        if self.phase is not _SENDING or self.first_content_at is None or timing.floor_tokens_per_s:
            return 0.0
        due_at = self.said_at + timing.keepalive_s
        if timing.gap_s:
            due_at = min(due_at, self.heard_at + timing.gap_s)
        return min(due_at, self.started_at + timing.whole_s) if timing.whole_s else due_at

    def _drained(self) -> bool:
        """Whether as much was read without a client as its plan allows."""
        most = self.plan.leave.tokens
        return bool(most) and self._drains and not self.watch.finished and self._tokens() >= most

    def _tokens(self) -> int:
        """Output tokens that were read, estimated."""
        return estimate_tokens(self.watch.narrow_chars, self.watch.wide_chars)

    def _late(self, now: float, *, reading: bool) -> UpstreamTimeout | None:
        """The wait that took too long, if one did."""
        timing, provider = self.plan.timing, self.plan.upstream.provider
        if _over(timing.whole_s, now - self.started_at):
            text = f"the answer took longer than {timing.whole_s:g} s"
            return UpstreamTimeout(text, phase="whole", provider=provider)
        if self.sent_at is None or not reading:
            self._floor = (now, self._tokens())
            return None
        silent = now - self.heard_at
        if self.upstream_status is None:
            if _over(timing.first_byte_s, silent):
                text = f"{provider} did not begin to answer within {timing.first_byte_s:g} s"
                return UpstreamTimeout(text, phase="first_byte", provider=provider)
        elif _over(timing.gap_s, silent):
            text = f"{provider} sent nothing for {timing.gap_s:g} s"
            return UpstreamTimeout(text, phase="gap", provider=provider)
        if not self.plan.upstream_streams:
            return None
        if self.first_content_at is None:
            self._floor = (now, 0)
            if _over(timing.first_content_s, now - self.sent_at):
                text = f"{provider} had said nothing within {timing.first_content_s:g} s"
                return UpstreamTimeout(text, phase="first_content", provider=provider)
            return None
        return self._too_slow(now) if timing.floor_tokens_per_s else None

    def _too_slow(self, now: float) -> UpstreamTimeout | None:
        """Whether the answer has fallen below the throughput that is asked of it."""
        timing, (since, before) = self.plan.timing, self._floor
        if now - since < timing.floor_window_s or self.watch.finished:
            return None
        made, self._floor = self._tokens() - before, (now, self._tokens())
        if made >= timing.floor_tokens_per_s * (now - since):
            return None
        provider = self.plan.upstream.provider
        text = f"{provider} fell below {timing.floor_tokens_per_s:g} tokens a second for {timing.floor_window_s:g} s"
        return UpstreamTimeout(text, phase="floor", provider=provider)

    # Streams.

    def _writer(self) -> Relayer:
        """What writes the client's stream, made when it is first needed."""
        if self._relayer is None:
            relayer = self._relayer = _relayer(self.plan)
            self.watch = relayer.watch
            if isinstance(relayer, Translator):
                self._translator = relayer
        return self._relayer

    def _relay(self, data: bytes, now: float) -> None:
        relayer = self._relayer
        assert relayer is not None
        if self.memory is not None:
            self.memory.keep(data)
        out = relayer.feed(self._decoder.feed(data))
        watch, between = self.watch, self._decoder.between_frames
        if self.first_content_at is None and watch.content_seen:
            self.first_content_at = now
        if out:
            self._say(out)
        if watch.error is not None:
            ours = isinstance(watch.error, OurError)
            self._fail(watch.error, now, outcome="gateway_error" if ours else "upstream_error")
        elif watch.done:
            self._complete(now)
        elif not between and self._decoder.dropping:
            # The end of such a frame may never come: what is lost is lost already.
            text = f"{self.plan.upstream.provider} sent a frame of more than {self.plan.bounds.frame_bytes} bytes"
            self._fail(self._too_large(text), now)
        elif self.phase is _HOLDING and (watch.content_seen or self._held_bytes > MAX_HELD_BYTES):
            self._commit(now)
        kept = 0 if self._translator is None else self._translated_bytes
        unfinished = 0 if between else self._decoder.held_bytes
        if unfinished + self.pending_bytes + kept > SMALL_BYTES or self.share.answer_bytes:
            self._fits(kept, now)
        self.passing = relayer if between and self.phase is _SENDING and watch.content_seen else None

    def _relay_ended(self, now: float) -> None:
        assert self._relayer is not None
        if self.memory is not None:
            self.memory.keep(b"\n\n")  # as the end of the body ends the last frame
        frames = self._decoder.end()
        said, more = self._relayer.feed(frames), self._relayer.end()
        if said and self.watch.error is not None:
            said = _closed(said, frames[-1])
        self._say(said + more)
        if self.watch.error is not None:
            self._fail(self.watch.error, now)
        else:
            self._complete(now)

    # Streams that become a whole answer.

    def _gather(self, data: bytes, now: float) -> None:
        assert self._reader is not None
        self._kept_bytes += len(data)
        if not self._too_much(now) and self._weigh(now):
            self._take_in(self._reader.feed(self._decoder.feed(data)), now)

    def _gather_ended(self, now: float) -> None:
        assert self._reader is not None
        self._take_in(self._reader.feed(self._decoder.end()) + self._reader.end(), now)

    def _take_in(self, events: list[Event], now: float) -> None:
        """Fold events. The one that ends the answer is not followed by a wait for the body's end, which some upstreams
        put off.
        """
        assert self._fold is not None
        self._fold.feed(events)
        if self.first_content_at is None and self.watch.content_seen:
            self.first_content_at = now
        if events and isinstance(events[-1], ResponseEnded | ResponseFailed):
            self._folded(self._fold.response(), now)

    def _folded(self, answer: Response, now: float) -> None:
        if answer.error is not None:
            self._fail(answer.error, now)
            return
        self._give_whole(self._written(answer), now)

    def _written(self, answer: Response) -> bytes:
        """A whole answer in the client's dialect; where that is not the upstream's, in our name."""
        plan = self.plan
        if plan.sent is not None:
            answer = msgspec.structs.replace(
                answer, response_id=plan.answer_id, model=plan.asked.model, created=plan.created
            )
        return plan.dialect.encode_answer(answer, plan.canon())

    # Whole answers.

    def _keep(self, data: bytes, now: float) -> None:
        self._kept.append(data)
        self._kept_bytes += len(data)
        if not self._too_much(now):
            self._weigh(now)

    def _too_much(self, now: float) -> bool:
        most = self.plan.bounds.answer_bytes
        if self._kept_bytes <= most:
            return False
        text = f"{self.plan.upstream.provider} sent a whole answer of more than {most} bytes"
        self._fail(self._too_large(text), now)
        return True

    def _too_large(self, text: str) -> UpstreamBroke:
        """An answer that is more than we hold. It would be the same once more."""
        error = UpstreamBroke(text, provider=self.plan.upstream.provider)
        error.retryable = False
        return error

    def _whole_ended(self, now: float) -> None:
        body = b"".join(self._kept)
        self._kept.clear()
        self._kept_bytes = 0
        if self.plan.sent is None and not self.plan.asked.stream:
            self._pass_whole(body, now)
            return
        try:
            answer = self.plan.upstream.decode_answer(body)
        except UpstreamError as error:
            self._fail(error, now)
            return
        if self.plan.asked.stream:
            self._whole_to_stream(answer, now)
        else:
            self._reader, self._fold = _reader(self.plan), Fold()
            self.watch = self._reader.watch
            self._take_in(self._reader.take(unfold(answer)), now)

    def _pass_whole(self, body: bytes, now: float) -> None:
        """Both sides speak one dialect: the very bytes pass."""
        self.watch = self.plan.upstream.watch_answer(body)
        if self.watch.error is not None:
            self._fail(self.watch.error, now)
            return
        self._give_whole(body, now)

    def _give_whole(self, body: bytes, now: float) -> None:
        if self.first_content_at is None:
            self.first_content_at = now
        if self.phase is _SENDING:
            self._say([body])
        else:
            self._answer(200, (_JSON,), body)
        self._finish("complete", _ABORT if self.watch.cut else _RELEASE, now)

    def _whole_to_stream(self, answer: Response, now: float) -> None:
        """The upstream answered whole though it was asked to stream: the client still gets a stream."""
        plan, relayer = self.plan, self._writer()
        if isinstance(relayer, Translator):
            frames = relayer.take(unfold(answer))
        else:
            self.watch = watch_of(answer)
            encoder = plan.dialect.stream_encoder(
                plan.canon(),
                response_id=answer.response_id,
                model=answer.model,
                created=answer.created or plan.created,
            )
            frames = encoder.encode(unfold(answer))
        self.first_content_at = now
        if self.phase is _HOLDING:
            self._commit(now)
        self._say(frames)
        self._finish("complete", _RELEASE, now)

    # Refusals.

    def _keep_error(self, data: bytes, now: float) -> None:
        self._kept.append(data)
        self._kept_bytes += len(data)
        if self._kept_bytes > MAX_ERROR_BYTES:
            self._error_ended(now)

    def _error_ended(self, now: float) -> None:
        assert self.upstream_status is not None
        status, plan = self.upstream_status, self.plan
        if status < 400:
            text = f"{plan.upstream.provider} answered with status {status}, which is no answer"
            self._fail(UpstreamBroke(text, provider=plan.upstream.provider), now)
            return
        body = b"".join(self._kept)[:MAX_ERROR_BYTES]
        error = plan.upstream.decode_error(status, self._upstream_headers, body)
        whole = self._kept_bytes <= MAX_ERROR_BYTES
        self._fail(error, now, outcome="refused", wish=_RELEASE if whole else _ABORT)

    # Ends.

    def _complete(self, now: float) -> None:
        if self.phase is _HOLDING:
            self._commit(now)
        self._finish("complete", _ABORT if self.watch.cut else _RELEASE, now)

    def _fail(
        self, error: GatewayError, now: float, *, outcome: Outcome = "upstream_error", wish: Wish = _ABORT
    ) -> None:
        """End with an error: with its HTTP status while nothing was sent, else in the dialect's words."""
        if self.phase is _ENDED:
            return
        self.plan.upstream.conceal(error)
        if self.plan.sent is not None and isinstance(error, UpstreamError):
            # Another vendor's words mean nothing to this client's programs, and its fields are not the client's.
            error.provider_type = error.code = error.param = None
        self.error = error
        self.faltered = self._gives_way(error, outcome, now)
        if not (self.client_gone or self.faltered):
            self._tell(self._first_said(error))
        self._finish(outcome, wish, now)

    def _first_said(self, error: GatewayError) -> GatewayError:
        """What the client is told: of an attempt that came to nothing, why there had to be one."""
        beginning = self.plan.beginning
        if beginning is None or self.watch.content_seen or isinstance(error, OurError):
            return error
        return beginning.error

    def _gives_way(self, error: GatewayError, outcome: Outcome, now: float) -> bool:
        """Whether the client, who knows of nothing yet, is not told of this either, because another attempt follows."""
        tries = self.plan.tries
        if tries is None or self.client_gone or outcome not in ("upstream_error", "refused"):
            return False
        if self.phase is not _HOLDING or self.watch.content_seen or self.first_content_at is not None:
            tries.broke(error, now)
            return self._is_gone_on_with(error, now)
        return tries.another(error, now)

    def _is_gone_on_with(self, error: GatewayError, now: float) -> bool:
        """Whether the answer, of which the client has seen, goes on in another attempt."""
        tries, memory, relayer = self.plan.tries, self.memory, self._relayer
        if tries is None or memory is None or relayer is None or self.watch.finishes:
            return False
        relayer.settle()
        so_far = SoFar(*self.account(), error, self.first_delivered_at, self.said_at)
        beginning = memory.beginning(self.plan, relayer, so_far)
        if beginning is None or not tries.goes_on_with(error, now, advanced=self.watch.content_seen):
            return False
        self.beginning = beginning
        if self.phase is _HOLDING:
            self._commit(now)
        return True

    def breaks_off(self, error: GatewayError) -> None:
        """What was to be gone on with is not, after all: the client is told."""
        assert self.beginning is not None
        self.faltered = self.client_gone = False
        relayer = self._relayer
        if isinstance(relayer, Translator):
            self._say([relayer.fail(error)])
        else:
            self._say(self.beginning.encoder.encode([ResponseFailed(error=error)]))

    def _tell(self, error: GatewayError) -> None:
        if self.phase is _SENDING and not self.plan.asked.stream:
            # White space has gone out in the name of a good answer: nothing but a cut is understood as a failure.
            self.client_gone = True
            return
        if self.phase is _HOLDING and not self._has_content():
            said = self.plan.dialect.encode_error(error)
            self._answer(said.status, said.headers, said.body)
            return
        if self.phase is _HOLDING:
            self._commit(self.heard_at)
        self._say([self._writer().fail(error)])

    def _has_content(self) -> bool:
        return self.watch.content_seen and bool(self._held)

    def _finish(self, outcome: Outcome, wish: Wish, now: float) -> None:
        if self.phase is _ENDED:
            return
        if self.phase is _LINGERING:
            # The client's leaving was the end, whatever becomes of the wait for what was still to come.
            outcome = "complete" if self.watch.done and not self._drains else "cancelled"
        else:
            self.ended_at = now
        self.phase, self.outcome, self.wish = _ENDED, outcome, wish
        self.over = self.settled = True
        self.passing = None
        if self._relayer is not None:
            self._relayer.settle()
        if self.held_bytes > self.pending_bytes:
            self._let_go(now)

    def _let_go(self, now: float) -> None:
        """Hold no more than what the client is still to get, which may take its time."""
        self._kept, self._kept_bytes, self._held, self._held_bytes = [], 0, [], 0
        self._decoder, self._fold, self.memory = SseDecoder(), None, None
        if self.share.answer_bytes:
            self._weigh(now)

    def _fits(self, kept: int, now: float) -> bool:
        """Whether what a translation keeps is within its bound, and there is room for all; else the answer ends."""
        most = self.plan.bounds.answer_bytes
        if kept > most and self.phase is not _ENDED:
            text = f"{self.plan.upstream.provider} sent more than {most} bytes that must be kept for this client"
            self._fail(self._too_large(text), now)
            return False
        return self._weigh(now)

    def _weigh(self, now: float) -> bool:
        """Ask for room for what is held; where there is none, the answer ends, and `False`."""
        held = self.held_bytes
        if self.share.hold_answer(held if held > SMALL_BYTES else 0) or self.phase is _ENDED:
            return True
        if self._memory_bytes:
            self.memory = None
            return self._weigh(now)
        self._fail(no_room(), now, outcome="gateway_error")
        return False

    # Saying things.

    def _commit(self, now: float) -> None:
        """Open the gate: the head goes out, and with it what was held."""
        self._about_to_speak()
        self.phase, self.said_at = _SENDING, now
        held, self._held, self._held_bytes = self._held, [], 0
        stream = ((b"content-type", (self._relayer or self._writer()).content_type), *_STREAM_HEADERS)
        self.head = (200, stream + self.plan.headers + _passed(self._upstream_headers))
        self.status = 200
        self._say(held)

    def _commit_whole(self, now: float) -> None:
        """A whole answer is on its way, and takes long: its head goes out, and now and then white space, which every
        reader of JSON passes over. From now on it can only be cut off.
        """
        self._about_to_speak()
        self.phase, self.said_at = _SENDING, now
        self.head = (200, (_JSON, *_STREAM_HEADERS, *self.plan.headers, *_passed(self._upstream_headers)))
        self.status = 200
        self._say([_WHOLE_KEEPALIVE])

    def _answer(self, status: int, headers: Headers, body: bytes) -> None:
        if self.client_gone:
            return
        self._about_to_speak()
        length = (b"content-length", b"%d" % len(body))
        passed = _passed(self._upstream_headers)
        self.head = (status, (*headers, length, *self.plan.headers, *passed))
        self.status = status
        self.phase = _SENDING
        self._say([body])

    def _about_to_speak(self) -> None:
        speaks, self.speaks = self.speaks, None
        if speaks is not None:
            speaks()

    def _say(self, pieces: list[bytes]) -> None:
        """Put frames in line for the client; before the commit they are held."""
        if self.client_gone:
            return
        if self.phase is _HOLDING:
            self._held += pieces
            self._held_bytes += sum(map(len, pieces))
            return
        self._out += pieces
        for piece in pieces:
            self.pending_bytes += len(piece)

    def _say_alive(self, now: float) -> None:
        self._say([self._writer().keepalive() if self.plan.asked.stream else _WHOLE_KEEPALIVE])
        self.said_at = now

    # The account.

    def report(self, closed_at: float | None = None) -> Report:
        """What is to be said of this attempt, once it has ended; its connection was seen closed at `closed_at`."""
        assert self.outcome is not None and self.ended_at is not None
        usage, source = self._usage()
        first, sent = self.first_content_at, self.sent_at
        return Report(
            outcome=self.outcome,
            status=self.status,
            usage=usage,
            usage_source=source,
            finish_reason=(self.watch.finishes[min(self.watch.finishes)] or None) if self.watch.finishes else None,
            ttft_ms=_ms(self.started_at, self.first_delivered_at),
            upstream_ttft_ms=_ms(sent, first),
            duration_ms=_ms(self.started_at, self.ended_at) or 0.0,
            upstream_status=self.upstream_status,
            error_kind=self.error.kind if self.error else None,
            deltas=self.watch.deltas,
            longest_gap_ms=self.longest_gap_s * 1000,
            upstream_closed_ms=_ms(self.ended_at, closed_at) if self.outcome == "cancelled" else None,
            repaired=self.watch.repaired,
            faltered=self.faltered,
            broke_off=self.beginning is not None,
        )

    def account(self) -> tuple[Usage, UsageSource]:
        """What the answer has used so far, and how well that is known: this attempt, and those that it goes on with."""
        usage, source = self._usage()
        beginning = self.plan.beginning
        if beginning is None:
            return usage, source
        # Who refused has used nothing.
        sources = [beginning.usage_source] + ([source] if (self.upstream_status or 0) < 400 else [])
        return beginning.usage.plus(usage), min(sources, key=WEAKEST_FIRST.index)

    def _usage(self) -> tuple[Usage, UsageSource]:
        """What the upstream said, nothing where it was never asked, else a guess from what was read of it, if any."""
        if self.watch.usage is not None:
            return self._reported(self.watch.usage)
        if self.sent_at is None:
            return Usage(input_tokens=0, output_tokens=0), "counted"
        if not self.watch.deltas:
            return Usage(), "unknown"
        made = estimate_tokens(self.watch.narrow_chars, self.watch.wide_chars)
        read = estimate_tokens(*self.plan.prompt_chars())
        return Usage(input_tokens=read, output_tokens=max(made, 1)), "estimated"

    def _reported(self, usage: Usage) -> tuple[Usage, UsageSource]:
        """What the upstream said; of an answer that was cut off, with a guess for the text that came after that."""
        complete = self.outcome == "complete" and not self.watch.cut
        if complete or not (rest := estimate_tokens(*self.watch.uncovered)):
            return usage, "reported"
        made = (usage.output_tokens or 0) + rest
        return msgspec.structs.replace(usage, output_tokens=made), "estimated"


def _reader(plan: Plan) -> Reader:
    # One dialect on both sides says what its provider says, and no more.
    chars = None if plan.sent is None else plan.prompt_chars
    decoder, beginning = plan.upstream.stream_decoder(), plan.beginning
    if beginning is None:
        adapter = None if plan.sent is None else Adapter(plan.sent)
        return Reader(decoder, adapter, plan.listener, chars, leaves_open=plan.goes_on)
    seam = seam_of(plan, beginning)
    return Reader(decoder, beginning.adapter, beginning.listener, chars, seam, leaves_open=plan.goes_on)


def _relayer(plan: Plan) -> Relayer:
    """What writes the client's stream: the upstream's bytes where both sides speak one dialect, else a translation."""
    if plan.beginning is not None:
        return Translator(_reader(plan), plan.beginning.encoder)
    if plan.sent is None:
        return plan.upstream.relayer(plan.asked, raw=plan.raw, response_id=plan.answer_id, created=plan.created)
    encoder = plan.dialect.stream_encoder(
        plan.canon(), response_id=plan.answer_id, model=plan.asked.model, created=plan.created
    )
    return Translator(_reader(plan), encoder)


_JSON = (b"content-type", b"application/json")
_WHOLE_KEEPALIVE = b"\n"
_BLANK_LINES = (b"\n\n", b"\r\n\r\n", b"\r\r")
_STREAM_HEADERS: Headers = ((b"cache-control", b"no-cache"), (b"x-accel-buffering", b"no"))


def _closed(said: list[bytes], last: Frame) -> list[bytes]:
    """What was said of a frame within which the body ended, so that something of ours can follow."""
    if not (last.data or b"").strip():
        return []
    return said if said[-1].endswith(_BLANK_LINES) else [*said, b"\n\n"]


def _over(most_s: float, waited_s: float) -> bool:
    """Whether a wait was longer than it may be; 0 sets no bound."""
    return bool(most_s) and waited_s > most_s


def _ms(begin: float | None, end: float | None) -> float | None:
    return None if begin is None or end is None else max(end - begin, 0.0) * 1000


def _is_whole(head: ResponseHead, *, streamed: bool) -> bool:
    """Whether a good answer's body is one JSON text: by its content type, or by what was asked where there is none."""
    kind = (head.get(b"content-type") or b"").lower()
    # Not `in`: of bytes in bytes that makes an error first, and drops it.
    if kind.find(b"event-stream") >= 0:
        return False
    if kind.find(b"json") >= 0 or kind.find(b"html") >= 0:
        return True
    return not streamed


def _passed(headers: Headers) -> Headers:
    """The few upstream headers that are the client's business: its rate limits and the upstream's request id."""
    own = [header for header in headers if header[0][:2] == b"x-"]
    if not own:
        return ()
    passed = [(name, value) for name, value in own if name.startswith(b"x-ratelimit-")]
    passed += [(b"x-upstream-request-id", value) for name, value in own if name == b"x-request-id"]
    return tuple((name, value) for name, value in passed[:16] if len(value) <= 256)
