"""A request between two attempts, with a client double. What goes through the whole gateway is in `tests/server`."""

from __future__ import annotations

import asyncio
import random
from typing import Any, NoReturn

import pytest
from msgspec.structs import replace

from tests.playbook import ROLE, SSE, plan, text
from tests.relay.test_pump import REQUEST, Client, Tap, turns
from thalweg.canon.errors import UpstreamBroke
from thalweg.canon.policy import Attempts
from thalweg.relay import pump as pump_module
from thalweg.relay.attempts import Health, Tries, Way
from thalweg.relay.course import Course, Left
from thalweg.relay.exchange import Exchange
from thalweg.relay.pump import Pump
from thalweg.upstream.scripted import Body, Connect, Fail, Head, ScriptedConnector


async def _nobody(*_: Any) -> NoReturn:
    pytest.fail("nobody is there for another attempt")


async def test_where_a_send_says_that_the_client_is_gone_nobody_goes_on() -> None:
    now = pump_module._now()
    tries = Tries([Way(0, 0, "acme")], Attempts(continuations=2), Health(), random.Random(1), now)
    script, client, tap = ScriptedConnector((Connect(), Head(200, SSE), Body(ROLE + text("a")))), Client(), Tap()
    exchange = Exchange(replace(plan(), tries=tries, continues=True), now=now)
    course = Course(Pump(exchange, connector=script, request=REQUEST, client=client, taps=(tap,)), _nobody)
    task = asyncio.create_task(course.run())
    await turns()
    script.calls[0].play_all()
    await turns()
    client.writes_now = False
    script.calls[0].add(Body(text("b")), Fail(UpstreamBroke("acme broke off", provider="acme")))
    script.calls[0].play_all()
    client.fault = ConnectionResetError("gone")
    with pytest.raises(Left):
        await asyncio.wait_for(task, 5)
    assert exchange.beginning is not None
    assert [report.outcome for report in tap.reports] == ["upstream_error"]
