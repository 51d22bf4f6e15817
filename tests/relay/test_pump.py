"""The loop that moves bytes: order, back-pressure, and that it ends, tells and lets go whatever happens."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.playbook import CUT, DONE, HELLO, JSON, ROLE, SSE, fault, finish, plan, text, usage, whole
from thalweg.canon.errors import Cancelled, InvalidRequest, Unavailable, UpstreamBroke
from thalweg.canon.script import EndBody, SendBody, SendHead
from thalweg.canon.script import Step as PlayedStep
from thalweg.canon.usage import estimate_tokens
from thalweg.dialects.base import Relayer
from thalweg.dialects.openai_chat import OpenAIChat
from thalweg.dialects.openai_chat.errors import encode_stream_error
from thalweg.dialects.openai_chat.relayer import ChatRelayer
from thalweg.framing.chunked import chunk as chunked
from thalweg.profiles.providers import COMPATIBLE
from thalweg.relay import exchange as exchange_module
from thalweg.relay import fastpath as fastpath_module
from thalweg.relay import pump as pump_module
from thalweg.relay.exchange import LINGER_S, Exchange, Phase
from thalweg.relay.fastpath import FastPath, Line
from thalweg.relay.memory import Memory
from thalweg.relay.plan import Headers, Plan, Timing
from thalweg.relay.pump import SLICE_BYTES, Pump
from thalweg.relay.taps import Report
from thalweg.upstream.base import Connector, Origin, UpstreamRequest
from thalweg.upstream.played import PlayedConnector
from thalweg.upstream.scripted import Body, Connect, End, Fail, Head, ScriptedCall, ScriptedConnector, Step

REQUEST = UpstreamRequest(
    origin=Origin("https", "api.acme.test", 443), method=b"POST", target=b"/v1", headers=(), body=b"{}", provider="acme"
)
BEGIN = (Connect(), Head(200, SSE))
MOST_HELD_BYTES = 256 * 1024


class Client:
    """Who gets the answer. Takes everything at once until it is told to block; sends wait then, as a server's do."""

    def __init__(self) -> None:
        self.heads: list[tuple[int, Headers]] = []
        self.pieces: list[bytes] = []
        self.ways: list[str] = []
        """By which way each piece came."""
        self.ended = 0
        self.gone = False
        self.writes_now = True
        self.fault: BaseException | None = None
        """What the next send raises."""
        self.waiting = 0
        """Sends that are blocked."""
        self._free = asyncio.Event()
        self._free.set()
        self.told_full: Callable[[bool], None] | None = None
        self.line: Line | None = Line(self, self._watch)

    def _watch(self, told: Callable[[bool], None] | None) -> bool:
        self.told_full = told
        return not self._free.is_set()

    def write(self, data: bytes) -> None:
        """One transfer chunk, as it stands on the wire."""
        assert not self.waiting, "nothing may overtake a send that waits"
        line, _, rest = data.partition(b"\r\n")
        assert int(line, 16) == len(rest) - 2
        self._take(rest[:-2], "fast")

    @property
    def got(self) -> bytes:
        return b"".join(self.pieces)

    def block(self) -> None:
        self._free.clear()

    def unblock(self) -> None:
        self._free.set()

    def leave(self) -> None:
        """The connection is lost: as with uvicorn, sends return and do nothing."""
        self.gone = True
        self._free.set()

    async def send_head(self, status: int, headers: Headers) -> None:
        await self._room()
        assert not self.heads, "one head"
        if not self.gone:
            self.heads.append((status, headers))

    def write_now(self, data: bytes) -> bool:
        if self.fault is not None:
            raise self.fault
        assert not self.waiting, "nothing may overtake a send that waits"
        if not self.writes_now or not self._free.is_set() or self.gone:
            return False
        self._take(data, "now")
        return True

    async def send_body(self, data: bytes, *, more: bool) -> None:
        await self._room()
        if self.gone:
            return
        self._take(data, "task")
        self.ended += not more

    async def _room(self) -> None:
        if self.fault is not None:
            raise self.fault
        self.waiting += 1
        assert self.waiting == 1, "one send at a time"
        try:
            await self._free.wait()
        finally:
            self.waiting -= 1

    def _take(self, data: bytes, way: str) -> None:
        assert self.heads, "the head comes first"
        assert not self.ended, "nothing after the end"
        assert len(data) <= SLICE_BYTES or way == "now"
        self.pieces.append(data)
        self.ways.append(way)


class Tap:
    """Notes what it is told."""

    def __init__(self, fault: Exception | None = None) -> None:
        self.reports: list[Report] = []
        self._fault = fault

    def ended(self, report: Report) -> None:
        self.reports.append(report)
        if self._fault is not None:
            raise self._fault


class Stage:
    """A pump under way, with everything around it."""

    def __init__(self, *script: Step, given: Plan | None = None, connector: Connector | None = None) -> None:
        self.scripted = ScriptedConnector(script or BEGIN)
        self.client = Client()
        self.taps = [Tap(), Tap()]
        self.exchange = Exchange(given or plan(), now=pump_module._now())
        self.pump = Pump(
            self.exchange,
            connector=connector or self.scripted,
            request=REQUEST,
            client=self.client,
            taps=self.taps,
        )
        self.task: asyncio.Task[None] | None = None

    @property
    def call(self) -> ScriptedCall:
        return self.scripted.calls[0]

    @property
    def report(self) -> Report:
        return self.taps[0].reports[0]

    async def start(self) -> None:
        self.task = asyncio.get_running_loop().create_task(self.pump.run())
        await turns()

    async def feed(self, *pieces: bytes) -> None:
        """The upstream sends, and the loop turns."""
        self.call.add(*map(Body, pieces))
        self.call.play_all()
        await turns()

    async def over(self) -> None:
        """Wait for the pump; it must not hang."""
        assert self.task is not None
        async with asyncio.timeout(5):
            await self.task


async def turns(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


def timers() -> list[asyncio.TimerHandle]:
    loop: Any = asyncio.get_running_loop()
    return [timer for timer in loop._scheduled if not timer.cancelled()]


@asynccontextmanager
async def staged(*script: Step, **how: Any) -> AsyncIterator[Stage]:
    """A stage; at its end nothing may be left of the pump, and each tap was told once."""
    before, waiting = asyncio.all_tasks(), timers()
    stage = Stage(*script, **how)
    yield stage
    if stage.task is not None:
        with suppress(asyncio.CancelledError):
            await stage.over()
    assert asyncio.all_tasks() == before
    assert timers() == waiting
    assert [len(tap.reports) for tap in stage.taps] == [1, 1]
    assert all(call.closed_at is not None for call in stage.scripted.calls)
    assert stage.exchange.settled
    assert stage.exchange.phase is Phase.ENDED
    stage.pump.tick()
    stage.pump.client_left()
    assert timers() == waiting
    assert [len(tap.reports) for tap in stage.taps] == [1, 1]


def error_of(got: bytes) -> dict[str, Any]:
    """The error that a stream ends with."""
    last = got.split(b"\n\n")[-2]
    return dict(json.loads(last.removeprefix(b"data: "))["error"])


async def test_a_head_alone_wakes_nobody() -> None:
    async with staged(Connect()) as stage:
        await stage.start()
        waiter = stage.pump._waiter
        stage.call.add(Head(200, SSE))
        stage.call.play_all()
        assert waiter is not None and stage.pump._waiter is waiter and not waiter.done()
        await stage.feed(ROLE, text("a"), finish(), DONE)
        await stage.over()
        assert stage.client.got == ROLE + text("a") + finish() + DONE


# The fast path.


async def speaking(stage: Stage) -> FastPath:
    """The fast path of a stream under way."""
    await stage.start()
    assert stage.pump.fast_path is None, "no answer"
    await stage.feed(ROLE)
    assert stage.pump.fast_path is None, "no content"
    await stage.feed(text("a"), text("b"))
    path = stage.pump.fast_path
    assert path is not None
    return path


async def test_the_call_is_told_of_the_fast_path_as_soon_as_the_head_is_out() -> None:
    async with staged() as stage:
        await stage.start()
        await stage.feed(ROLE)
        assert stage.call.fast_paths == 0, "no content"
        await stage.feed(text("a"))
        assert stage.client.heads and stage.call.fast_paths == 1
        assert stage.pump.fast_path is not None
        await stage.feed(finish(), DONE)
        await stage.over()
        assert stage.call.fast_paths == 1


async def test_a_common_read_goes_from_connection_to_connection() -> None:
    async with staged() as stage:
        path = await speaking(stage)
        assert path.take(chunked(text("c")))
        assert path.take(chunked(text("好")))
        assert stage.client.pieces[-2:] == [text("c"), text("好")]
        assert stage.client.ways[-2:] == ["fast", "fast"]
        for odd in (finish(), DONE, text("x", at=1), text("a")[:-1], text("a") * 2):
            assert not path.take(chunked(odd)), "that is to be looked at"
        for odd in (
            chunked(text("a"))[:-1],
            chunked(text("a"))[:-2] + b"..",
            b"0" + chunked(text("a")),
            b"f" + chunked(text("a"))[1:],
            b"0\r\n\r\n",
            b"",
        ):
            assert not path.take(odd), "and that is no whole chunk"
        await stage.feed(finish(), DONE)
        await stage.over()
        assert stage.client.got == ROLE + text("a") + text("b") + text("c") + text("好") + finish() + DONE
        assert (stage.report.deltas, stage.report.outcome) == (4, "complete")


@pytest.mark.parametrize("how", ["leaves", "cancelled", "shut down", "broke off"])
async def test_what_took_the_fast_path_is_in_the_account_however_it_ends(how: str) -> None:
    async with staged() as stage:
        path = await speaking(stage)
        for _ in range(3):
            assert path.take(chunked(text("word ")))
        if how == "leaves":
            stage.client.leave()
            stage.pump.client_left()
        elif how == "cancelled":
            stage.pump.cancel(Cancelled("Enough."))
        elif how == "shut down":
            stage.pump.shut_down(Unavailable("Closing."))
        else:
            stage.call.add(Fail(UpstreamBroke("it broke")))
            stage.call.play_all()
        assert not path.take(chunked(text("late"))), "the path is shut in the same moment"
        await stage.over()
        assert stage.report.deltas == 5
        assert stage.report.usage.output_tokens == estimate_tokens(len("ab" + "word " * 3), 0)
        assert stage.client.told_full is None, "nobody is told any more"
        assert stage.pump.fast_path is None


async def test_nothing_overtakes_what_waits_for_the_client() -> None:
    async with staged() as stage:
        path = await speaking(stage)
        stage.client.writes_now = False
        stage.call.add(Body(finish(at=1)))
        stage.call.play_all()
        assert stage.pump.fast_path is None
        assert not path.take(chunked(text("c"))), "the task has not written yet"
        await turns()
        assert path.take(chunked(text("c"))), "now it has"
        assert stage.client.pieces[-2:] == [finish(at=1), text("c")]
        stage.client.writes_now = True
        await stage.feed(finish(), DONE)


async def test_a_full_client_shuts_the_fast_path() -> None:
    async with staged() as stage:
        path = await speaking(stage)
        assert stage.client.told_full is not None
        assert path.take(chunked(text("c")))
        stage.client.told_full(True)
        assert not path.take(chunked(text("d")))
        assert stage.exchange.watch.deltas == 3
        stage.client.told_full(False)
        assert path.take(chunked(text("d")))
        await stage.feed(finish(), DONE)
        await stage.over()
        assert stage.report.deltas == 4


async def test_a_client_that_is_full_within_a_write() -> None:
    """As uvloop says it: what is being written counts once, and nothing follows it."""

    class Filling(Client):
        def write(self, data: bytes) -> None:
            super().write(data)
            assert self.told_full is not None
            self.told_full(True)

    async with staged() as stage:
        stage.client = Filling()
        stage.pump._client = stage.client
        path = await speaking(stage)
        assert path.take(chunked(text("c")))
        assert not path.take(chunked(text("d")))
        assert stage.client.told_full is not None
        stage.client.told_full(False)
        assert path.take(chunked(text("d")))
        await stage.feed(finish(), DONE)
        await stage.over()
        assert stage.report.deltas == 4


async def test_a_silence_is_counted_from_the_last_chunk_of_the_fast_path(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 5000.0
    monkeypatch.setattr(pump_module, "_now", lambda: now)
    monkeypatch.setattr(fastpath_module, "_clock", lambda: now)
    async with staged() as stage:
        path = await speaking(stage)
        for _ in range(4):
            now += 6
            assert path.take(chunked(text("c")))
            stage.pump.tick(now)
            await turns()
        stage.pump.tick(now + 9.9)
        await turns()
        assert b'"delta":{"content":""}' not in stage.client.pieces[-1], "it is not silent"
        assert (stage.exchange.heard_at, stage.exchange.said_at, stage.exchange.longest_gap_s) == (now, now, 6)
        stage.pump.tick(now + 10)
        await turns()
        assert b'"delta":{"content":""}' in stage.client.pieces[-1]
        await stage.feed(finish(), DONE)


@pytest.mark.parametrize(
    ("timing", "late_s"),
    [
        (Timing(gap_s=5), 5.5),
        (Timing(whole_s=5), 5.5),
        (Timing(floor_tokens_per_s=100, floor_window_s=2), 3),
    ],
    ids=["a gap", "the whole", "the floor"],
)
async def test_no_sweep_leaves_out_a_stream_whose_time_is_over(timing: Timing, late_s: float) -> None:
    async with staged(given=plan(timing=timing)) as stage:
        path = await speaking(stage)
        began = stage.exchange.heard_at
        assert path.take(chunked(text("c")))
        stage.pump.tick(began + 0.5)
        stage.pump.tick(began + 1)
        assert stage.exchange.phase is Phase.SENDING
        stage.pump.tick(began + late_s)
        await stage.over()
        assert stage.report.error_kind == "timeout"


async def test_no_sweep_leaves_out_a_stream_that_is_only_waited_for() -> None:
    async with staged() as stage:
        await speaking(stage)
        stage.pump.tick(stage.exchange.heard_at)
        await stage.feed(finish())
        stage.client.leave()
        stage.pump.client_left()
        assert stage.exchange.phase is Phase.LINGERING
        stage.pump.tick(stage.exchange.heard_at + LINGER_S + 0.5)
        assert stage.exchange.settled


async def test_no_sweep_leaves_out_a_stream_that_has_come_to_hold_much() -> None:
    async with staged() as stage:
        path = await speaking(stage)
        stage.pump.tick(stage.exchange.heard_at)
        stage.exchange.memory = Memory(80_000)
        assert path.take(chunked(text("c")))
        loose_bytes = stage.pump.tick(stage.exchange.heard_at + 1)
        assert (loose_bytes, stage.exchange.share.answer_bytes) == (0, stage.exchange.held_bytes)
        await stage.feed(finish(), DONE)


async def test_what_a_client_has_not_taken_is_surveyed_though_there_is_a_fast_path() -> None:
    async with staged() as stage:
        path = await speaking(stage)
        stage.pump.tick(stage.exchange.heard_at)
        path.shut()
        stage.exchange._say([b"x" * 100])
        assert stage.pump.tick(stage.exchange.heard_at + 1) == 100
        await stage.feed(finish(), DONE)


async def test_a_bug_on_the_fast_path_ends_the_stream_and_says_so() -> None:
    async with staged() as stage:
        path = await speaking(stage)

        class Buggy:
            watch, settle, fail = (getattr(stage.exchange._relayer, name) for name in ("watch", "settle", "fail"))

            def stretch(self) -> None:
                return None

            def pass_on(self, data: bytes) -> bytes:
                raise KeyError(data)

        stage.exchange.passing = stage.exchange._relayer = cast("Relayer", Buggy())
        path.open()
        assert path.take(chunked(text("c"))), "whoever asks can do nothing about it"
        await stage.over()
        assert stage.report.outcome == "gateway_error"
        assert "str_1" in error_of(stage.client.got)["message"]


async def test_a_client_without_a_line_has_no_fast_path() -> None:
    async with staged() as stage:
        stage.client.line = None
        await stage.start()
        await stage.feed(ROLE, text("a"), text("b"))
        assert stage.pump.fast_path is None
        await stage.feed(finish(), DONE)


# The good way.


async def test_a_stream_is_carried_through() -> None:
    async with staged(*BEGIN, Body(HELLO), End()) as stage:
        await stage.start()
        stage.scripted.play_all()
        await stage.over()
        assert stage.client.got == HELLO
        assert (stage.client.heads[0][0], stage.client.ended) == (200, 1)
        assert (stage.report.outcome, stage.call.released) == ("complete", True)
        assert stage.pump.call is stage.call
        assert stage.pump.aborted_at is None


async def test_a_frame_is_with_the_client_before_its_callback_returns() -> None:
    async with staged() as stage:
        await stage.start()
        await stage.feed(ROLE, text("a"))
        stage.call.add(Body(text("b")), Body(text("c") + text("d")))
        stage.call.step()
        assert stage.client.pieces[-1] == text("b")
        stage.call.step()
        assert stage.client.pieces[-1] == text("c") + text("d"), "several frames in one read leave in one write"
        assert stage.client.ways[-2:] == ["now", "now"]
        await stage.feed(finish(), DONE)


async def test_what_a_busy_client_cannot_take_goes_in_one_piece() -> None:
    async with staged() as stage:
        await stage.start()
        await stage.feed(ROLE, text("a"))
        stage.client.writes_now = False
        stage.call.add(Body(text("b")), Body(text("c")), Body(finish()))
        stage.call.play_all()
        await turns()
        assert stage.client.pieces[-1] == text("b") + text("c") + finish()
        assert stage.client.ways[-1] == "task"
        stage.client.writes_now = True
        await stage.feed(DONE)


@pytest.mark.parametrize("size", [0, 1, SLICE_BYTES - 200, SLICE_BYTES, 3 * SLICE_BYTES + 1])
async def test_a_whole_answer_leaves_in_slices(size: int) -> None:
    body = whole("x" * size)
    async with staged(Connect(), Head(200, JSON), Body(body), End(), given=plan(stream=False)) as stage:
        await stage.start()
        stage.scripted.play_all()
        await stage.over()
        assert stage.client.got == body
        assert stage.client.ended == 1
        assert len(stage.client.pieces) == -(-len(body) // SLICE_BYTES)


async def test_an_end_without_bytes_still_ends_the_body() -> None:
    """An untouched stream that lacks its end mark."""
    async with staged(given=plan(raw=True)) as stage:
        await stage.start()
        await stage.feed(ROLE, text("a"), finish())
        assert stage.client.ended == 0
        stage.call.add(End())
        stage.call.play_all()
        await stage.over()
        assert (stage.client.got, stage.client.ended) == (ROLE + text("a") + finish(), 1)


async def test_an_end_without_bytes_that_comes_during_a_send_ends_the_body_too() -> None:
    async with staged(given=plan(raw=True)) as stage:
        await stage.start()
        stage.client.block()
        await stage.feed(ROLE, text("a"), finish())
        stage.call.add(End())
        stage.call.play_all()
        stage.client.unblock()
        await stage.over()
        assert stage.client.ended == 1


@pytest.mark.parametrize("stream", [True, False])
async def test_an_error_is_a_whole_answer(stream: bool) -> None:
    async with staged(Connect(), Fail(UpstreamBroke("it broke")), given=plan(stream=stream)) as stage:
        await stage.start()
        stage.scripted.play_all()
        await stage.over()
        assert (stage.client.heads[0][0], stage.client.ended) == (502, 1)
        assert json.loads(stage.client.got)["error"]["message"] == "it broke"
        error = stage.exchange.error
        assert isinstance(error, UpstreamBroke)
        assert error.provider == "acme", "who it was is known here, if not there"


async def test_time_opens_the_gate_and_breaks_silences() -> None:
    async with staged() as stage:
        await stage.start()
        await stage.feed(ROLE)
        begun = stage.exchange.started_at
        stage.pump.tick(begun + 9)
        await turns()
        assert not stage.client.heads
        stage.pump.tick(begun + 10)
        await turns()
        assert stage.client.got == ROLE
        stage.exchange.said_at = begun + 10
        stage.pump.tick(begun + 21)
        await turns()
        assert stage.client.got.startswith(ROLE)
        assert b'"delta":{"content":""}' in stage.client.pieces[-1]
        stage.pump.cancel(Cancelled("Enough."))
        await stage.over()
        assert error_of(stage.client.got)["code"] == "cancelled"


async def test_the_gate_opens_by_time_with_nothing_held() -> None:
    async with staged() as stage:
        await stage.start()
        stage.scripted.play_all()
        stage.pump.tick(stage.exchange.started_at + 10)
        await turns()
        assert (len(stage.client.heads), stage.client.got) == (1, b"")
        await stage.feed(ROLE)
        assert stage.client.got == ROLE
        stage.pump.shut_down(Unavailable("Closing."))
        await stage.over()
        assert stage.report.outcome == "gateway_error"


# Order.

ACTS = ["upstream"] * 6 + ["turn"] * 4 + ["block", "unblock", "busy", "free", "tick"]


@given(
    acts=st.lists(st.sampled_from(ACTS), max_size=60),
    sizes=st.lists(st.integers(1, 400), min_size=1, max_size=8),
    words=st.integers(0, 30),
)
def test_the_order_is_kept_by_whichever_way(acts: list[str], sizes: list[int], words: int) -> None:
    asyncio.run(_ordered(acts, sizes, words))


async def _ordered(acts: list[str], sizes: list[int], words: int) -> None:
    """Any mixture of reads, loop turns, and a client that takes, waits and refuses: the same bytes."""
    body = ROLE + b"".join(text(f"word {i} ") for i in range(words)) + finish() + DONE
    async with staged() as stage:
        await stage.start()
        stage.call.add(*map(Body, _cut(body, sizes)), End())
        for act in acts:
            if act == "upstream":
                stage.call.step()
            elif act == "turn":
                await asyncio.sleep(0)
            elif act == "tick":
                stage.pump.tick()
            elif act in ("busy", "free"):
                stage.client.writes_now = act == "free"
            else:
                getattr(stage.client, act)()
            assert body.startswith(stage.client.got)
        stage.client.unblock()
        stage.call.play_all()
        await stage.over()
        assert (stage.client.got, stage.client.ended) == (body, 1)


def _cut(body: bytes, sizes: list[int]) -> Iterator[bytes]:
    at = number = 0
    while at < len(body):
        size = sizes[number % len(sizes)]
        yield body[at : at + size]
        at, number = at + size, number + 1


# Back-pressure.

BIG = text("x" * 16_000)


async def test_a_client_that_does_not_read_holds_its_upstream_back() -> None:
    async with staged() as stage:
        await stage.start()
        await stage.feed(ROLE, text("a"))
        stage.client.block()
        got = len(stage.client.got)
        stage.call.add(*[Body(BIG)] * 1000)
        read = 0
        while stage.call.step():
            read += 1
            await turns(2)
        assert stage.call.paused
        assert read * len(BIG) <= MOST_HELD_BYTES
        assert read * len(BIG) > 64 * 1024, "not by the first byte either"
        assert stage.exchange.pending_bytes <= 64 * 1024 + len(BIG)
        for _ in range(20):
            stage.pump.tick(stage.exchange.heard_at + 301)
        assert stage.exchange.phase is Phase.SENDING, "the silence is ours"
        assert len(stage.client.got) == got
        stage.pump.cancel(Cancelled("Enough."))
        assert stage.call.aborted, "at once, though the client does not read"
        stage.client.unblock()
        await stage.over()
        assert stage.client.got == ROLE + text("a") + BIG * read + stage.client.got[-len(_CANCELLED) :]
        assert stage.client.got.endswith(_CANCELLED)


_CANCELLED = encode_stream_error(Cancelled("Enough."))


async def test_a_burst_in_one_turn_is_held_back_too() -> None:
    async with staged() as stage:
        await stage.start()
        await stage.feed(ROLE, text("a"))
        stage.client.writes_now = False
        stage.call.add(*[Body(BIG)] * 100, Body(finish() + DONE))
        read = stage.call.play_all()
        assert stage.call.paused
        assert stage.exchange.pending_bytes <= 64 * 1024 + len(BIG)
        assert read == -(-64 * 1024 // len(BIG))
        for _ in range(1000):
            stage.call.play_all()
            await asyncio.sleep(0)
        await stage.over()
        assert stage.client.got == ROLE + text("a") + BIG * 100 + finish() + DONE
        assert stage.call.pauses > 10


async def test_reading_goes_on_below_the_low_mark() -> None:
    async with staged() as stage:
        await stage.start()
        await stage.feed(ROLE, text("a"))
        stage.client.block()
        stage.client.writes_now = False
        stage.call.add(*[Body(BIG)] * 30, Body(finish() + DONE))
        while not stage.call.paused:
            assert stage.call.step()
        heard_at = stage.exchange.heard_at
        await turns()
        assert stage.call.paused, "it is taken, but not delivered"
        stage.client.unblock()
        await turns()
        assert not stage.call.paused
        assert stage.exchange.heard_at > heard_at, "the wait was ours, and is no gap"
        stage.client.writes_now = True
        stage.call.play_all()
        await stage.over()
        assert stage.client.got == ROLE + text("a") + BIG * 30 + finish() + DONE
        assert stage.client.ways[-2] == "now", "a client that is fast again gets the fast way"
        assert stage.report.longest_gap_ms < 1000


async def test_a_slow_client_that_reads_now_and_then_gets_everything() -> None:
    async with staged() as stage:
        await stage.start()
        stage.call.add(Body(ROLE), *[Body(BIG)] * 60, Body(finish() + DONE))
        most = 0
        while not stage.exchange.settled:
            stage.client.block()
            stage.call.play_all()
            await turns()
            most = max(most, stage.exchange.pending_bytes)
            stage.client.unblock()
            await turns(1)
        await stage.over()
        assert stage.client.got == ROLE + BIG * 60 + finish() + DONE
        assert most <= 64 * 1024 + len(BIG)


# The client leaves.


async def test_the_upstream_is_closed_before_leaving_returns() -> None:
    async with staged() as stage:
        await stage.start()
        await stage.feed(ROLE, text("a"))
        stage.pump.client_left()
        assert stage.call.aborted
        assert stage.pump.aborted_at is not None
        await stage.over()
        assert (stage.report.outcome, stage.client.ended) == ("cancelled", 0)


@pytest.mark.parametrize("place", ["connecting", "waiting", "holding", "in the head", "in a send"])
async def test_a_client_leaves_in_each_place(place: str) -> None:
    script: dict[str, tuple[Step, ...]] = {
        "connecting": (),
        "waiting": (Connect(),),
        "holding": (*BEGIN, Body(ROLE)),
        "in the head": (*BEGIN, Body(ROLE + text("a"))),
        "in a send": (*BEGIN, Body(ROLE + text("a"))),
    }
    async with staged(*script[place] or (Connect(),)) as stage:
        await stage.start()
        if place == "in the head":
            stage.client.block()
        if script[place]:
            stage.scripted.play_all()
            await turns()
        if place == "in a send":
            stage.client.block()
            await stage.feed(text("b"))
        assert stage.client.waiting == (place.startswith("in "))
        stage.pump.client_left()
        assert stage.call.aborted
        await turns()
        stage.client.leave()
        await stage.over()
        assert stage.report.outcome == "cancelled"
        assert stage.client.got == (ROLE + text("a") if place == "in a send" else b"")


async def test_a_client_that_left_before_the_pump_ran_starts_no_call() -> None:
    async with staged() as stage:
        stage.pump.client_left()
        await stage.start()
        await stage.over()
        assert stage.scripted.calls == []
        assert stage.client.heads == []
        assert stage.report.outcome == "cancelled"


async def test_an_answer_that_was_cancelled_before_the_pump_ran_is_told_so() -> None:
    async with staged() as stage:
        stage.pump.cancel(Cancelled("Enough."))
        await stage.start()
        await stage.over()
        assert stage.scripted.calls == []
        assert (stage.client.heads[0][0], stage.client.ended) == (499, 1)


async def test_after_the_finish_reason_the_usage_is_waited_for() -> None:
    async with staged() as stage:
        await stage.start()
        await stage.feed(ROLE, text("a"), finish())
        stage.pump.client_left()
        stage.pump.client_left()
        stage.client.leave()
        assert stage.call.closed_at is None
        await stage.feed(usage(30, 50))
        await stage.feed(DONE)
        await stage.over()
        assert (stage.report.outcome, stage.report.usage_source) == ("complete", "reported")
        assert stage.call.released
        assert stage.client.got == ROLE + text("a") + finish()


async def test_but_not_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """A timer of its own, so that it is not the sweep's next turn that ends it."""
    for module in (exchange_module, pump_module):
        monkeypatch.setattr(module, "LINGER_S", 0.01)
    async with staged() as stage:
        await stage.start()
        await stage.feed(ROLE, text("a"), finish())
        stage.pump.client_left()
        stage.pump.client_left()
        await stage.over()
        assert (stage.report.outcome, stage.call.aborted) == ("cancelled", True)


async def test_an_upstream_that_was_held_back_is_read_while_lingering() -> None:
    """Else the usage could not come."""
    async with staged() as stage:
        await stage.start()
        await stage.feed(ROLE, text("a"))
        stage.client.writes_now = False
        stage.call.add(Body(BIG * 10 + finish()), Body(usage(30, 50)), Body(DONE))
        stage.call.play_all()
        assert stage.call.paused
        stage.client.leave()
        stage.pump.client_left()
        assert not stage.call.paused
        stage.call.play_all()
        await stage.over()
        assert (stage.report.outcome, stage.report.usage.output_tokens) == ("complete", 50)


async def test_a_client_that_leaves_with_the_answer_in_line_is_let_go() -> None:
    async with staged() as stage:
        await stage.start()
        stage.client.block()
        await stage.feed(HELLO)
        assert stage.call.released
        stage.pump.client_left()
        stage.client.leave()
        await stage.over()
        assert stage.report.outcome == "complete"
        assert stage.client.got == b""


@pytest.mark.parametrize("last", [text("b"), finish(), finish() + DONE, fault()])
async def test_a_server_may_say_by_a_send_that_raises_that_the_client_is_gone(last: bytes) -> None:
    async with staged() as stage:
        await stage.start()
        await stage.feed(ROLE, text("a"))
        stage.client.writes_now = False
        stage.call.add(Body(last))
        stage.call.play_all()
        stage.client.fault = ConnectionResetError("gone")
        await turns()
        if last == finish():
            stage.client.fault = None
            await stage.feed(usage(30, 50), DONE)
        await stage.over()
        outcomes = {text("b"): "cancelled", fault(): "upstream_error"}
        assert stage.report.outcome == outcomes.get(last, "complete")
        assert stage.client.got == ROLE + text("a")


# Cancellation of the task.


@pytest.mark.parametrize("place", ["just begun", "waiting", "in the head", "in a send", "in a slice", "lingering"])
async def test_a_task_that_is_cancelled_leaves_nothing(place: str) -> None:
    async with staged() as stage:
        if place == "just begun":
            stage.task = asyncio.get_running_loop().create_task(stage.pump.run())
        else:
            await stage.start()
        if place == "in the head":
            stage.client.block()
            await stage.feed(ROLE + text("a"))
        elif place in ("in a send", "in a slice"):
            await stage.feed(ROLE + text("a"))
            stage.client.block()
            await stage.feed(text("b" * (200_000 if place == "in a slice" else 1)))
        elif place == "lingering":
            await stage.feed(ROLE, text("a"), finish())
            stage.pump.client_left()
        assert stage.client.waiting == place.startswith("in ")
        assert stage.task is not None
        if place == "just begun":
            await turns(1)
        stage.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await stage.over()
        assert stage.report.outcome == ("cancelled" if place == "lingering" else "gateway_error")
        assert stage.call.aborted
        assert stage.client.ended == 0


async def test_a_task_that_is_cancelled_twice_tells_once() -> None:
    async with staged() as stage:
        await stage.start()
        assert stage.task is not None
        stage.task.cancel()
        stage.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await stage.over()


async def test_a_client_double_that_is_broken_is_our_fault() -> None:
    """A bug in the server's side is raised on, and all is closed before."""
    async with staged() as stage:
        await stage.start()
        stage.client.fault = RuntimeError("no such message")
        stage.call.add(Body(ROLE + text("a")))
        stage.call.play_all()
        with pytest.raises(RuntimeError, match="no such message"):
            await stage.over()
        stage.task = None
        assert (stage.report.outcome, stage.call.aborted) == ("gateway_error", True)


# Frames of which there is nothing to say.


class QuietRelayer(ChatRelayer):
    """Understands a frame, and has nothing to say of it: as a translator that gathers a call for a Gemini client."""

    __slots__ = ()

    def pass_on(self, data: bytes) -> bytes | None:
        return b"" if b"QUIET" in data else super().pass_on(data)


@pytest.mark.parametrize("writes_now", [True, False])
async def test_a_frame_of_which_nothing_is_said_ends_no_body(writes_now: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty chunk is how HTTP ends a body."""
    dialect = OpenAIChat()
    relayer = QuietRelayer(profile=COMPATIBLE, include_usage=True, raw=False, provider="acme")
    monkeypatch.setattr(dialect, "relayer", lambda *_, **__: relayer)
    async with staged(given=plan(dialect=dialect)) as stage:
        await stage.start()
        await stage.feed(ROLE, text("a"))
        stage.client.writes_now = writes_now
        sends = len(stage.client.ways)
        await stage.feed(text("QUIET"))
        assert len(stage.client.ways) == sends
        await stage.feed(text("b"))
        await stage.feed(finish() + DONE)
        await stage.over()
        assert stage.client.got == ROLE + text("a") + text("b") + finish() + DONE


# Bugs of ours.


class Bug(Exception):
    """What should not have happened."""


def bug(*_: Any, **__: Any) -> Any:
    raise Bug("the text of it is for nobody")


class BuggyRelayer(ChatRelayer):
    """Raises at the frame that says so, and at the end if it is told to."""

    __slots__ = ()

    def feed(self, frames: Any) -> list[bytes]:
        frames = list(frames)
        out = super().feed(frames)
        return bug() if any(b"BUG" in frame.raw for frame in frames) else out

    def pass_on(self, data: bytes) -> bool:
        return bug() if b"SHORT" in data else super().pass_on(data)

    def end(self) -> list[bytes]:
        return bug()


class DumbRelayer(BuggyRelayer):
    """Cannot say what the gateway itself has to say."""

    __slots__ = ()

    def keepalive(self) -> bytes:
        return bug()

    def fail(self, error: Any) -> bytes:
        return bug()


@pytest.fixture
def buggy(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Plan]:
    """A plan in whose dialect these methods raise; `relayer` makes one that raises on cue."""

    def make(*methods: str, made: type[BuggyRelayer] = BuggyRelayer, **changes: Any) -> Plan:
        dialect = OpenAIChat()
        for method in methods:
            monkeypatch.setattr(dialect, method, bug, raising=True)
        if "relayer" not in methods:
            relayer = made(profile=COMPATIBLE, include_usage=True, raw=False, provider="acme")
            monkeypatch.setattr(dialect, "relayer", lambda *_, **__: relayer)
        return plan(dialect=dialect, **changes)

    return make


def said_in(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What was logged, without the places."""
    return [record.getMessage().partition(": ")[0] for record in caplog.records]


def check_named(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    """The client is told an id, the log has it with the reason, and the upstream is closed."""
    said = stage.client.got
    assert b"str_1" in said
    assert b"the text of it" not in said
    assert (stage.report.outcome, stage.report.error_kind) == ("gateway_error", "server")
    logged = [record for record in caplog.records if record.name == "thalweg.relay"]
    assert len(logged) == 1
    assert logged[0].levelno == logging.ERROR
    said, _, why = logged[0].getMessage().partition(": ")
    assert said == "stream str_1 failed"
    # Its type and the places of ours, and nothing that it says or that a formatter could add.
    assert re.fullmatch(r"\S+\.Bug at [a-z_/0-9]+\.py:\d+( < [a-z_/0-9]+\.py:\d+)*", why), why
    assert logged[0].exc_info is None
    assert "the text of it" not in caplog.text


@pytest.mark.parametrize("piece", [text("BUG") + text("b"), text("SHORT")])
async def test_a_bug_in_mid_stream_ends_it_with_an_error(
    buggy: Callable[..., Plan], caplog: pytest.LogCaptureFixture, piece: bytes
) -> None:
    async with staged(given=buggy()) as stage:
        await stage.start()
        await stage.feed(ROLE, text("a"))
        stage.call.add(Body(piece), Body(text("b")))
        stage.call.step()
        assert stage.call.aborted, "in the same turn"
        await stage.over()
        assert stage.client.got.startswith(ROLE + text("a") + b'data: {"error":{')
        assert error_of(stage.client.got)["code"] == "internal_error"
        assert stage.client.ended == 1
        check_named(stage, caplog)


BUGS: list[Any] = [
    pytest.param(("relayer",), {}, (*BEGIN,), id="a relayer cannot be made"),
    pytest.param((), {}, (*BEGIN, Body(text("BUG"))), id="in the first frame"),
    pytest.param((), {}, (*BEGIN, Body(ROLE), End()), id="at the end of the body"),
    pytest.param(("stream_decoder",), {"stream": False}, (*BEGIN,), id="a decoder cannot be made"),
    pytest.param(("encode_answer",), {"stream": False}, (*BEGIN, Body(HELLO)), id="a folded answer cannot be written"),
    pytest.param(
        ("decode_answer",), {"stream": False}, (Connect(), Head(200, JSON), Body(whole()), End()), id="whole, unread"
    ),
    pytest.param(
        ("stream_encoder",), {}, (Connect(), Head(200, JSON), Body(whole()), End()), id="whole, cannot be streamed"
    ),
    pytest.param(("decode_error",), {}, (Connect(), Head(500, JSON), End()), id="an upstream's error is not read"),
]


@pytest.mark.parametrize(("methods", "changes", "script"), BUGS)
async def test_a_bug_before_the_answer_is_an_http_error(
    buggy: Callable[..., Plan],
    caplog: pytest.LogCaptureFixture,
    methods: tuple[str, ...],
    changes: dict[str, Any],
    script: tuple[Step, ...],
) -> None:
    async with staged(*script, given=buggy(*methods, **changes)) as stage:
        await stage.start()
        stage.scripted.play_all()
        await stage.over()
        assert (stage.client.heads[0][0], stage.client.ended) == (500, 1)
        assert json.loads(stage.client.got)["error"]["code"] == "internal_error"
        check_named(stage, caplog)


async def test_a_bug_in_a_tick_harms_no_other_stream(
    buggy: Callable[..., Plan], caplog: pytest.LogCaptureFixture
) -> None:
    class MuteRelayer(BuggyRelayer):
        __slots__ = ()

        def keepalive(self) -> bytes:
            return bug()

    async with staged(given=buggy(made=MuteRelayer)) as stage:
        await stage.start()
        await stage.feed(ROLE, text("a"))
        stage.pump.tick(stage.exchange.said_at + 11)
        assert stage.call.aborted
        await stage.over()
        check_named(stage, caplog)


@pytest.mark.parametrize("method", ["encode_error", "fail"])
@pytest.mark.parametrize("cause", ["cut", "cancel", "shut_down", "tick"])
async def test_an_error_that_cannot_be_said_cuts_the_connection(
    buggy: Callable[..., Plan], caplog: pytest.LogCaptureFixture, method: str, cause: str
) -> None:
    given = buggy(made=DumbRelayer) if method == "fail" else buggy(method)
    async with staged(given=given) as stage:
        await stage.start()
        if method == "fail":
            await stage.feed(ROLE, text("a"))
        {
            "cut": lambda: stage.call.fail(CUT),
            "cancel": lambda: stage.pump.cancel(Cancelled("Enough.")),
            "shut_down": lambda: stage.pump.shut_down(Unavailable("Closing.")),
            "tick": lambda: stage.pump.tick(stage.exchange.started_at + 3601),
        }[cause]()
        await stage.over()
        assert stage.client.ended == 0, "so that the server closes the connection"
        assert stage.report.outcome == "gateway_error"
        assert said_in(caplog) == ["stream str_1 failed", "stream str_1 failed to say so"]


async def test_an_error_that_is_no_bug_is_said_in_its_own_words(
    buggy: Callable[..., Plan], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A request that an upstream takes and the canon does not, when the answer must be written by us."""
    given = buggy()

    def refuse() -> Any:
        raise InvalidRequest("There is no such role.", param="messages[0].role")

    monkeypatch.setattr(given.asked, "canon", refuse)
    async with staged(Connect(), Head(200, JSON), Body(whole()), End(), given=given) as stage:
        await stage.start()
        stage.scripted.play_all()
        await stage.over()
        assert stage.client.heads[0][0] == 400
        assert json.loads(stage.client.got)["error"]["param"] == "messages[0].role"
        assert not caplog.records


async def test_a_call_that_cannot_be_started_is_an_error_like_others(caplog: pytest.LogCaptureFixture) -> None:
    class Unstartable(ScriptedConnector):
        start = bug

    async with staged(connector=Unstartable()) as stage:
        await stage.start()
        await stage.over()
        assert stage.client.heads[0][0] == 500
        check_named(stage, caplog)


async def test_a_write_that_raises_ends_the_answer(caplog: pytest.LogCaptureFixture) -> None:
    async with staged() as stage:
        await stage.start()
        await stage.feed(ROLE, text("a"))
        stage.client.fault = Bug()
        stage.call.add(Body(text("b")))
        stage.call.step()
        assert stage.call.aborted
        stage.client.fault = None
        await stage.over()
        check_named(stage, caplog)


@pytest.mark.parametrize("method", ["abort", "release", "pause_reading"])
async def test_a_call_that_raises_does_not_hang_the_client(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, method: str
) -> None:
    async with staged() as stage:
        await stage.start()
        await stage.feed(ROLE, text("a"))
        monkeypatch.setattr(stage.call, method, bug)
        piece = {"abort": fault(), "release": finish() + DONE, "pause_reading": BIG * 10}[method]
        stage.client.writes_now = method != "pause_reading"
        stage.call.add(Body(piece))
        stage.call.play_all()
        await stage.over()
        assert stage.client.ended == 1
        assert said_in(caplog) == ["stream str_1 failed"]
        monkeypatch.undo()
        stage.call.abort()


class Closing(ScriptedConnector):
    """Its connections take until `lost` is set to close."""

    def __init__(self, *scripts: Any) -> None:
        super().__init__(*scripts)
        self.lost: asyncio.Event = asyncio.Event()
        self.lost_at: float | None = None

    def start(self, request: UpstreamRequest, listener: Any) -> Any:
        connector = self

        class Call(ScriptedCall):
            @property
            def lost_at(self) -> float | None:
                return connector.lost_at

            def when_lost(self, told: Callable[[], None]) -> None:
                connector.told = told

        call = Call(request, listener, self._scripts[0], self._clock)
        self.calls.append(call)
        return call

    def told(self) -> None:
        raise AssertionError("nobody has asked")

    def close_now(self) -> None:
        self.lost_at = time.monotonic()
        self.told()


@pytest.mark.parametrize("by", ["the client", "an operator"])
async def test_a_cancelled_answer_is_over_when_its_connection_is_seen_closed(by: str) -> None:
    connector = Closing(BEGIN)
    async with staged(connector=connector) as stage:
        stage.scripted = connector
        await stage.start()
        await stage.feed(ROLE, text("a"))
        begun = time.monotonic()
        stage.pump.client_left() if by == "the client" else stage.pump.cancel(Cancelled("Enough."))
        await turns(20)
        assert connector.calls[0].closed_at is not None
        assert stage.task is not None
        assert not stage.task.done(), "it was told to close, and nobody has seen it closed"
        await asyncio.sleep(0.01)
        connector.close_now()
        await stage.over()
        closed_ms = stage.report.upstream_closed_ms
        assert closed_ms is not None
        assert 10 <= closed_ms <= (time.monotonic() - begun) * 1000


async def test_a_connection_that_does_not_close_is_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pump_module, "CLOSING_S", 0.01)
    connector = Closing(BEGIN)
    async with staged(connector=connector) as stage:
        stage.scripted = connector
        await stage.start()
        await stage.feed(ROLE, text("a"))
        stage.pump.client_left()
        await stage.over()
        assert (stage.report.outcome, stage.report.upstream_closed_ms) == ("cancelled", None)


async def test_the_other_taps_are_told_when_one_fails(caplog: pytest.LogCaptureFixture) -> None:
    async with staged(*BEGIN, Body(HELLO)) as stage:
        stage.pump._taps = (Tap(Bug()), *stage.taps)
        await stage.start()
        stage.scripted.play_all()
        await stage.over()
        assert stage.client.got == HELLO
        assert said_in(caplog) == ["a tap of stream str_1 failed"]


async def test_a_bug_does_not_reach_a_real_connector(
    buggy: Callable[..., Plan], caplog: pytest.LogCaptureFixture
) -> None:
    """The played one stops silently and raises in the loop's own callback when a listener raises."""
    loop, unhandled = asyncio.get_running_loop(), list[Any]()
    loop.set_exception_handler(lambda _, context: unhandled.append(context))

    def steps(_: UpstreamRequest) -> Iterator[PlayedStep]:
        yield SendHead(200, SSE)
        for piece in (ROLE, text("a"), text("BUG") + text("b"), finish() + DONE):
            yield SendBody(piece)
        yield EndBody()

    connector = PlayedConnector(steps)
    async with staged(connector=connector, given=buggy()) as stage:
        await stage.start()
        await stage.over()
        assert error_of(stage.client.got)["code"] == "internal_error"
        check_named(stage, caplog)
    assert unhandled == []
    assert connector.open_calls == 0
