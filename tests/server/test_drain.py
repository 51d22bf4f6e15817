"""What a signal does to the real process (RELIABILITY, I17): no new work, an honest end for the old, exit code 0."""

from __future__ import annotations

import signal
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from tests.server.gateway import CHAT, Caller, ask, chat, events, request
from tests.server.process import Served, served
from thalweg.ledger import Entry, last_entries

NOT_READY_WITHIN_S = 0.1
ENDS_WITHIN_S = 3.0
"""For a process on a busy machine whose own waits come to 0.2 s."""

FINITE = "sim/text?pace=40&tokens=60&ttft=0"
"""Speaks for 1.5 s."""


def entries(home: Path) -> list[Entry]:
    """Every request of the ledger, each with as many settlements as reservations."""
    with closing(sqlite3.connect(f"file:{home / 'ledger.db'}?mode=ro", uri=True)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    found = last_entries(home / "ledger.db", 100)
    assert all(entry.settled_ms is not None for entry in found)
    return found


def readiness(server: Served) -> int:
    return ask(server.port, "/readyz", method="GET").status


def until_not_ready(server: Served) -> float:
    """The seconds until `/readyz` said so."""
    begun = time.monotonic()
    while readiness(server) != 503:
        assert time.monotonic() - begun < ENDS_WITHIN_S
    return time.monotonic() - begun


def test_while_a_stream_is_finished_nothing_new_is_begun(tmp_path: Path) -> None:
    with served(tmp_path) as server:
        assert readiness(server) == 200
        with Caller(server.port) as streaming, Caller(server.port) as whole, Caller(server.port) as late:
            streaming.send(request(CHAT, chat(FINITE, stream=True)))
            assert streaming.reply_head()[0] == 200
            chunks = streaming.chunks()
            read = next(chunks)
            whole.send(request(CHAT, chat(FINITE)))
            late.send(request(CHAT, chat())[:-1])
            assert readiness(server) == 200

            server.stop()
            took = until_not_ready(server)
            assert took < NOT_READY_WITHIN_S
            assert ask(server.port, "/readyz", method="GET").json == {"status": "not ready", "reasons": ["draining"]}
            assert ask(server.port, "/livez", method="GET").status == 200
            for refused in (ask(server.port, CHAT, chat()), late.send(b"}").reply()):
                assert refused.status == 503
                assert int(refused.headers["retry-after"]) >= 1
                assert refused.json["error"]["code"] == "overloaded"
            assert ask(server.port, CHAT, chat(), key=None).status == 401

            read += b"".join(chunks)
            assert read.endswith(b"data: [DONE]\n\n")
            assert whole.reply().json["choices"][0]["finish_reason"] == "stop"
        assert server.exit_code() == 0
    found = entries(tmp_path)
    assert [(entry.outcome, entry.usage_source) for entry in found] == [("complete", "reported")] * 2


def test_past_the_limit_a_stream_ends_with_an_error(tmp_path: Path) -> None:
    with served(tmp_path, THALWEG_DRAIN_S="0.3") as server, Caller(server.port) as caller:
        caller.send(request(CHAT, chat("sim/slow", stream=True)))
        assert caller.reply_head()[0] == 200
        chunks = caller.chunks()
        read = next(chunks)
        begun = time.monotonic()
        server.stop()
        read += b"".join(chunks)
        assert time.monotonic() - begun > 0.29  # uvloop counts in whole milliseconds
        *_, last = events(read)
        assert last["error"]["code"] == "overloaded"
        assert b"[DONE]" not in read
        assert server.exit_code() == 0
        assert "streams that were ended by the shutdown: 1" in "".join(server.printed)
    (entry,) = entries(tmp_path)
    assert (entry.outcome, entry.error_kind) == ("gateway_error", "overloaded")
    assert (entry.usage.output_tokens or 0) > 0


@pytest.mark.parametrize("first", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_at_once(tmp_path: Path, first: signal.Signals) -> None:
    with served(tmp_path) as server, Caller(server.port) as caller:
        caller.send(request(CHAT, chat("sim/slow", stream=True)))
        assert caller.reply_head()[0] == 200
        chunks = caller.chunks()
        read = next(chunks)
        server.stop(first)
        until_not_ready(server)
        begun = time.monotonic()
        server.stop(signal.SIGINT)
        read += b"".join(chunks)
        assert "error" in events(read)[-1]
        assert server.exit_code() == 0
        assert time.monotonic() - begun < ENDS_WITHIN_S
        assert '"level":"error"' not in "".join(server.printed), "to be told twice is no fault"
    assert [entry.outcome for entry in entries(tmp_path)] == ["gateway_error"]


def test_a_client_that_does_not_read_does_not_hold_up_the_second_signal(tmp_path: Path) -> None:
    with served(tmp_path) as server, Caller(server.port) as caller:
        caller.send(request(CHAT, chat("sim/endless?pace=0&size=65536&ttft=0", stream=True)))
        assert caller.reply_head()[0] == 200
        server.stop()
        until_not_ready(server)
        begun = time.monotonic()
        server.stop()
        assert server.exit_code() == 0
        assert time.monotonic() - begun < ENDS_WITHIN_S
    assert [entry.outcome for entry in entries(tmp_path)] == ["gateway_error"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_idle_server_goes_at_once(tmp_path: Path, number: signal.Signals) -> None:
    with served(tmp_path) as server, Caller(server.port) as idle, Caller(server.port) as silent:
        assert idle.send(request("/v1/models", method="GET")).reply().status == 200
        begun = time.monotonic()
        server.stop(number)
        assert server.exit_code() == 0
        assert time.monotonic() - begun < ENDS_WITHIN_S
        assert (idle.rest(), silent.rest()) == (b"", b"")
    assert entries(tmp_path) == []


def test_after_a_kill_the_next_start_settles_what_was_open(tmp_path: Path) -> None:
    with served(tmp_path) as server, Caller(server.port) as caller:
        caller.send(request(CHAT, chat("sim/slow", stream=True)))
        next(caller.chunks()) if caller.reply_head()[0] == 200 else None
        server.process.kill()
        server.process.wait()
    with served(tmp_path) as server:
        server.stop()
        assert server.exit_code() == 0
    assert "an earlier run that were found open and settled as crashed: 1" in "".join(server.printed)
    assert [entry.outcome for entry in entries(tmp_path)] == ["crashed"]
