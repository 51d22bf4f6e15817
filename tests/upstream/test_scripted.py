"""The double keeps the contract of `base`, and notes what was done to it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.upstream.loopback import Recorder, asking
from thalweg.canon.errors import UpstreamBroke, UpstreamUnreachable
from thalweg.upstream.base import Connector, Origin
from thalweg.upstream.scripted import Body, Connect, End, Fail, Head, ScriptedCall, ScriptedConnector

ORIGIN = Origin("https", "api.test", 443)
ANSWER = (Connect(), Head(200), Body(b"hel"), Body(b"lo"), End())


def started(connector: ScriptedConnector, recorder: Recorder | None = None) -> tuple[ScriptedCall, Recorder]:
    heard = recorder or Recorder()
    return connector.start(asking(ORIGIN), heard), heard


def test_it_is_a_connector() -> None:
    connector: Connector = ScriptedConnector()
    assert connector.start(asking(ORIGIN), Recorder()).closed_at is None


def test_steps_are_played_one_at_a_time() -> None:
    call, heard = started(ScriptedConnector(ANSWER))
    assert heard.events == []
    for expected in ("connected", "head", "body", "body", "ended"):
        assert call.step()
        assert heard.events[-1] == expected
    assert not call.step()
    assert heard.body == b"hello"
    assert call.left == ()


def test_a_call_is_closed_by_its_last_step() -> None:
    connector = ScriptedConnector(ANSWER, clock=lambda: 42.0)
    call, _ = started(connector)
    connector.play_all()
    assert call.closed_at == 42.0
    call.abort()
    call.release()
    assert not call.aborted
    assert not call.released


def test_each_call_plays_the_next_script_and_the_last_is_repeated() -> None:
    refused = Fail(UpstreamUnreachable("no"))
    connector = ScriptedConnector([refused], ANSWER)
    recorders = [started(connector)[1] for _ in range(3)]
    assert connector.play_all() == 1 + 5 + 5
    assert [heard.events[-1] for heard in recorders] == ["failed", "ended", "ended"]
    assert recorders[0].error is refused.error
    assert connector.requests == [asking(ORIGIN)] * 3


def test_calls_started_by_a_listener_are_played_too() -> None:
    connector = ScriptedConnector([Fail(UpstreamUnreachable("no"))], ANSWER)
    second = Recorder()

    def again(event: str, _: Any) -> None:
        connector.start(asking(ORIGIN), second)

    started(connector, Recorder(again))
    connector.play_all()
    assert second.body == b"hello"


@pytest.mark.parametrize("stop", ["abort", "release"])
def test_nothing_is_played_after_a_stop(stop: str) -> None:
    connector = ScriptedConnector(ANSWER)
    call, heard = started(connector)
    connector.step()
    getattr(call, stop)()
    assert connector.play_all() == 0
    assert not connector.step()
    assert heard.events == ["connected"]
    assert (call.aborted, call.released) == (stop == "abort", stop == "release")
    assert call.closed_at is not None


def test_no_body_is_played_while_paused() -> None:
    call, heard = started(ScriptedConnector(ANSWER))
    call.pause_reading()
    call.pause_reading()
    assert call.play_all() == 2
    assert heard.events == ["connected", "head"]
    call.resume_reading()
    call.play_all()
    assert heard.body == b"hello"
    assert call.pauses == 1


def test_a_script_can_be_written_on() -> None:
    call, heard = started(ScriptedConnector())
    assert call.play_all() == 1
    call.add(Head(500), End())
    call.play_all()
    assert heard.events == ["connected", "head", "ended"]


def test_nothing_to_play_is_no_step() -> None:
    assert not ScriptedConnector().step()


async def test_close_fails_what_is_under_way() -> None:
    connector = ScriptedConnector(ANSWER, [Connect()])
    done, under_way = started(connector)[1], started(connector)[1]
    connector.play_all()
    await connector.close()
    assert connector.closed
    assert done.events[-1] == "ended"
    assert isinstance(under_way.error, UpstreamBroke)
