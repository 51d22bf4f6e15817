from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

from tests.upstream.loopback import RELEASED_WITHIN_S, Recorder, asking, on_both_loops, unhandled
from thalweg.canon.errors import UpstreamBroke, UpstreamUnreachable
from thalweg.canon.script import BreakOff, EndBody, RefuseConnection, SendBody, SendHead, Stall, Step, Wait
from thalweg.upstream.base import Origin
from thalweg.upstream.played import TURN_BYTES, TURN_STEPS, PlayedCall, PlayedConnector

ORIGIN = Origin("http", "simulator.invalid", 80)
HEAD = SendHead(200, ((b"content-type", b"text/plain"),))
ENDLESS = itertools.chain([HEAD], itertools.repeat(SendBody(b"x")))


def start(steps: Iterable[Step], heard: Recorder | None = None) -> tuple[PlayedCall, Recorder]:
    heard = heard or Recorder()
    return PlayedConnector(lambda _: iter(steps)).start(asking(ORIGIN), heard), heard


async def turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


@on_both_loops
async def test_steps_become_callbacks_in_order() -> None:
    call, heard = start([HEAD, SendBody(b"one"), Wait(0.01), SendBody(b"two"), EndBody()])
    assert heard.events == []
    await heard.over()
    assert heard.events == ["connected", "head", "body", "body", "ended"]
    assert heard.head is not None
    assert heard.head.get(b"content-type") == b"text/plain"
    assert heard.pieces == [b"one", b"two"]
    assert call.closed_at is not None


@on_both_loops
async def test_the_request_is_handed_to_the_play() -> None:
    seen = []
    connector = PlayedConnector(lambda request: iter([seen.append(request), HEAD, EndBody()][1:]))
    request, heard = asking(ORIGIN, body=b"hello"), Recorder()
    connector.start(request, heard)
    assert seen == []
    await heard.over()
    assert seen == [request]
    assert connector.open_calls == 0


@on_both_loops
async def test_waits_are_kept_and_lateness_does_not_add_up() -> None:
    loop = asyncio.get_running_loop()
    begun = loop.time()
    _, heard = start([HEAD, *[Wait(0.03), SendBody(b"x")] * 20, EndBody()], Recorder(lambda *_: time.sleep(0.02)))
    await heard.over()
    assert 0.58 <= loop.time() - begun < 0.95


@on_both_loops
async def test_it_is_connected_before_a_wait_for_the_head() -> None:
    _, heard = start([Wait(30), HEAD])
    await turns(3)
    assert heard.events == ["connected"]


@pytest.mark.parametrize(
    ("steps", "shape", "error", "said"),
    [
        ([RefuseConnection()], ["failed"], UpstreamUnreachable, "refused the connection"),
        ([HEAD, SendBody(b"x"), BreakOff(reset=True)], ["connected", "head", "body", "failed"], UpstreamBroke, "reset"),
        ([HEAD, BreakOff(reset=False)], ["connected", "head", "failed"], UpstreamBroke, "in the middle"),
        ([HEAD], ["connected", "head", "failed"], UpstreamBroke, "in the middle"),
        ([], ["connected", "failed"], UpstreamBroke, "in the middle"),
    ],
    ids=["refused", "reset", "cut", "a script without an end", "an empty script"],
)
@on_both_loops
async def test_how_a_call_fails(steps: list[Step], shape: list[str], error: type, said: str) -> None:
    call, heard = start(steps)
    await heard.over()
    assert heard.shape == shape
    assert isinstance(heard.error, error)
    assert said in heard.error.message
    assert heard.error.provider == "test"
    assert call.closed_at is not None


@on_both_loops
async def test_a_stalled_call_stays_open_until_somebody_aborts() -> None:
    call, heard = start([HEAD, SendBody(b"x"), Stall(), SendBody(b"y")])
    await turns(10)
    assert heard.events == ["connected", "head", "body"]
    assert call.closed_at is None
    call.abort()
    assert call.closed_at is not None


@on_both_loops
async def test_an_answer_without_pauses_leaves_time_for_others() -> None:
    call, heard = start(ENDLESS)
    for _ in range(10):
        before = len(heard.pieces)
        await asyncio.sleep(0)
        assert len(heard.pieces) - before <= TURN_STEPS
    assert len(heard.pieces) > 9 * TURN_STEPS - 10
    call.abort()


@on_both_loops
async def test_big_bodies_end_a_turn_sooner() -> None:
    call, heard = start(itertools.chain([HEAD], itertools.repeat(SendBody(bytes(TURN_BYTES // 2)))))
    for _ in range(10):
        before = len(heard.pieces)
        await asyncio.sleep(0)
        assert len(heard.pieces) - before <= 2
    call.abort()


@on_both_loops
async def test_a_paused_call_makes_no_more_steps_until_it_is_resumed() -> None:
    made = itertools.count()
    call, heard = start(itertools.chain([HEAD], (SendBody(b"%d" % next(made)) for _ in range(100)), [EndBody()]))
    await turns(2)
    call.pause_reading()
    call.pause_reading()
    await asyncio.sleep(0.02)
    frozen = len(heard.pieces)
    assert next(made) == frozen
    await asyncio.sleep(0.02)
    assert len(heard.pieces) == frozen
    call.resume_reading()
    call.resume_reading()
    assert len(heard.pieces) == frozen
    await heard.over()
    assert len(heard.pieces) == 100


@on_both_loops
async def test_a_call_may_be_paused_before_it_begins_and_within_a_callback() -> None:
    def pause(event: str, _: Any) -> None:
        if event == "body":
            call.pause_reading()

    call, heard = start([HEAD, SendBody(b"1"), SendBody(b"2"), EndBody()], Recorder(pause))
    call.pause_reading()
    await turns(5)
    assert heard.events == []
    for expected in (["connected", "head", "body"], ["connected", "head", "body", "body"]):
        call.resume_reading()
        await turns(5)
        assert heard.events == expected


@on_both_loops
async def test_pausing_and_resuming_in_one_callback_keeps_the_order() -> None:
    def hesitate(_: str, __: Any) -> None:
        call.pause_reading()
        call.resume_reading()

    bodies = [SendBody(b"%d," % at) for at in range(50)]
    call, heard = start(
        [HEAD, *itertools.chain(*([body, Wait(0.0002)] for body in bodies)), EndBody()], Recorder(hesitate)
    )
    await heard.over()
    assert heard.pieces == [body.data for body in bodies]


@on_both_loops
async def test_a_wait_that_ends_while_paused_is_not_lost() -> None:
    call, heard = start([HEAD, Wait(0.2), SendBody(b"x"), EndBody()])
    await turns(2)
    call.pause_reading()
    await asyncio.sleep(0.25)
    assert heard.events == ["connected", "head"]
    call.resume_reading()
    await heard.over()
    assert heard.pieces == [b"x"]


@pytest.mark.parametrize("end", [PlayedCall.abort, PlayedCall.release], ids=["abort", "release"])
@pytest.mark.parametrize("moment", [None, "connected", "head", "body"], ids=str)
@on_both_loops
async def test_after_abort_and_release_nothing_is_told(end: Callable[[PlayedCall], None], moment: str | None) -> None:
    def stop(event: str, _: Any) -> None:
        if event == moment:
            end(call)

    call, heard = start([HEAD, SendBody(b"x"), SendBody(b"y"), EndBody()], Recorder(stop))
    if moment is None:
        end(call)
    await turns(5)
    assert heard.events == [] if moment is None else heard.events[-1:] == [moment]
    first = call.closed_at
    call.abort()
    call.resume_reading()
    await turns(5)
    assert call.closed_at == first is not None


@on_both_loops
async def test_a_long_wait_is_given_up_at_once_and_the_script_closed() -> None:
    closed = []

    def script() -> Iterator[Step]:
        try:
            yield HEAD
            yield Wait(3600)
        finally:
            closed.append(time.monotonic())

    call, _ = start(script())
    await turns(3)
    asked = time.monotonic()
    call.abort()
    assert closed
    assert call.closed_at is not None
    assert call.closed_at - asked < RELEASED_WITHIN_S


@on_both_loops
async def test_closing_the_connector_fails_its_calls_and_later_ones() -> None:
    connector = PlayedConnector(lambda _: iter([HEAD, Stall()]))
    early, late = Recorder(), Recorder()
    connector.start(asking(ORIGIN), early)
    await turns(3)
    await connector.close()
    assert early.events == ["connected", "head", "failed"]
    connector.start(asking(ORIGIN), late)
    assert late.events == []
    await late.over()
    assert late.events == ["failed"]
    assert connector.open_calls == 0


@on_both_loops
async def test_a_script_that_raises_fails_its_call_and_is_reported() -> None:
    call, heard = start(iter(lambda: 1 // 0, None))
    await heard.over()
    assert heard.events == ["failed"]
    assert isinstance(heard.error, UpstreamBroke)
    assert call.closed_at is not None
    assert [type(each["exception"]) for each in unhandled] == [ZeroDivisionError]
    unhandled.clear()


@pytest.mark.parametrize("moment", ["connected", "head", "body", "ended"])
@on_both_loops
async def test_a_listener_that_raises_ends_its_call_and_is_reported(moment: str) -> None:
    def burst(event: str, _: Any) -> None:
        if event == moment:
            raise ZeroDivisionError

    call, heard = start([HEAD, SendBody(b"x"), EndBody()], Recorder(burst))
    await turns(5)
    assert heard.events[-1] == moment
    assert call.closed_at is not None
    assert [type(each["exception"]) for each in unhandled] == [ZeroDivisionError]
    unhandled.clear()
