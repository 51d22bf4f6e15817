"""Law 4, invariant I7: a client that goes, in whatever phase and way, takes its upstream connection with it.

Client and simulator are on one loop here, so that both ends of a time are read off one clock.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from tests.torture.calls import WAYS, Call, Way, body_of, read_stream
from tests.torture.processes import Gateway, gateway, until
from tests.torture.sizes import both_sizes, percentile
from tests.torture.upstreams import (
    Played,
    RawConnection,
    RememberedSimulator,
    connecting_to,
    deaf_listener,
    raw_upstream,
    reference,
    simulator,
)
from thalweg.canon.usage import estimate_tokens
from thalweg.dialects.base import count_chars
from thalweg.ledger.entry import Entry


class Counts(NamedTuple):
    rounds: int
    """Of every phase in every way: 21 tries each."""
    at_once: int
    """Clients that go in the same moment."""


COUNTS = {"sample": Counts(rounds=1, at_once=50), "full": Counts(rounds=10, at_once=1000)}
RELEASED_WITHIN_MS = 100.0
"""p99. DESIGN section 2, law 4."""
RELEASED_AT_WORST_MS = 250.0
LINGER_S = 1.0


class Phase(NamedTuple):
    """A moment in which the client goes."""

    model: str
    stream: bool
    come: Callable[[Played, Call], bool]
    """Whether the moment has come."""
    text: bool
    """Whether the gateway has read some of the answer's text by then."""
    reads: bool = True
    again: bool = False
    """Whether it is the second request on its connection."""


def _asked(played: Played, _: Call) -> bool:
    return True


def _begun(played: Played, _: Call) -> bool:
    return bool(played.pieces)


def _reading(_: Played, call: Call) -> bool:
    return call.body.count(b"\n\n") > 4


def _sending_much(played: Played, _: Call) -> bool:
    return played.sent_bytes > 1_000_000


PHASES = {
    "waiting for headers": Phase("text?fault=hang", True, _asked, text=False),
    "between head and first content": Phase("text?ttft=600", True, _begun, text=False),
    "streaming": Phase("text?tokens=3000&pace=200", True, _reading, text=True),
    "streaming, second request of its connection": Phase("text?tokens=3000&pace=200", True, _reading, True, again=True),
    "paused by back-pressure": Phase("endless?pace=0&size=16384", True, _sending_much, text=True, reads=False),
    "whole, before the head": Phase("text?ttft=600", False, _asked, text=False),
    "whole, after the head": Phase("text?fault=stall&at=0", False, lambda played, _: bool(played.status), text=False),
}


async def leave_in(
    phase: Phase, way: Way, model: str, *, port: int, upstream: RememberedSimulator, rng: random.Random
) -> tuple[float, Call]:
    """One try: seconds from the client's going to the upstream's seeing it, and what the client had by then."""
    body = body_of(f"openai/{model}", stream=phase.stream)
    if phase.again:
        call = await (await Call.begin(port, body_of("openai/text?pace=0"))).over()
        call.again(body)
    else:
        call = await Call.begin(port, body, reads=phase.reads)
    await until(lambda: (played := upstream.last(model)) is not None and phase.come(played, call))
    if not phase.reads:
        await _until_blocked(upstream, model)
    await asyncio.sleep(rng.uniform(0.002, 0.03))
    seen = len(upstream.server.closes_seen)
    left_at = call.leave(way)
    try:
        await until(lambda: len(upstream.server.closes_seen) > seen, 10, every_s=0.001, what=f"release, {model}, {way}")
    finally:
        call.drop()
    return upstream.server.closes_seen[-1] - left_at, call


async def _until_blocked(upstream: RememberedSimulator, model: str) -> None:
    played = upstream.last(model)
    assert played is not None
    sent = -1
    while sent != played.sent_bytes:
        sent = played.sent_bytes
        await asyncio.sleep(0.1)


def _tokens(text: str) -> int:
    return estimate_tokens(*count_chars(text))


def check_entry(entry: Entry, phase: Phase, call: Call, played: Played) -> None:
    """It says cancelled, and holds what was read: at least what the client got, at most what was sent."""
    assert entry.outcome == "cancelled", entry
    if not phase.text:
        assert entry.usage_source in ("unknown", "counted"), entry
        assert not entry.usage.output_tokens
        return
    got = read_stream(call.body, strict=phase.reads) if call.body else None
    assert entry.usage_source == "estimated"
    assert entry.usage.output_tokens is not None and entry.usage.input_tokens
    assert entry.usage.output_tokens >= max(_tokens(got.text) if got else 0, 1)
    if played.pieces:
        sent = read_stream(played.stream).text
        assert got is not None and sent.startswith(got.text)
        assert reference(played.asked, f"{played.model}&pace=0").text.startswith(got.text)
        assert entry.usage.output_tokens <= _tokens(sent)
    else:
        assert entry.usage.output_tokens <= _tokens("x" * played.sent_bytes)


@both_sizes(COUNTS)
async def test_the_upstream_sees_it_in_every_phase(
    tmp_path: Path, seeded_random: random.Random, figures: Callable[..., None], counts: Counts
) -> None:
    tries = [(name, way) for name in PHASES for way in WAYS] * counts.rounds
    seeded_random.shuffle(tries)
    took: dict[str, list[float]] = {name: [] for name in PHASES}
    known: list[tuple[str, Phase, Call]] = []
    late: list[tuple[str, Way, float]] = []
    async with simulator() as upstream, gateway(tmp_path / "home", openai=upstream.url) as server:
        for number, (name, way) in enumerate(tries):
            phase = PHASES[name]
            model = f"{phase.model}&seed={number}"
            seconds, call = await leave_in(phase, way, model, port=server.port, upstream=upstream, rng=seeded_random)
            took[name].append(seconds * 1000)
            known.append((model, phase, call))
            if seconds * 1000 > RELEASED_WITHIN_MS:
                late.append((name, way, seconds))
        await server.settled()
        entries = server.entries_by_model()
        for model, phase, call in known:
            played = upstream.last(model)
            assert played is not None
            [entry] = entries[model]
            check_entry(entry, phase, call, played)
        assert upstream.server.open_answers == 0
    for name, each in took.items():
        figures(name, f"{len(each)} tries", p50=percentile(each, 0.5), p99=percentile(each, 0.99), worst=max(each))
    every = [value for each in took.values() for value in each]
    figures(
        "all phases", f"{len(every)} tries", p50=percentile(every, 0.5), p99=percentile(every, 0.99), worst=max(every)
    )
    assert percentile(every, 0.99) <= RELEASED_WITHIN_MS, late
    assert max(every) <= RELEASED_AT_WORST_MS, late


@both_sizes(COUNTS)
async def test_many_clients_that_go_at_once(tmp_path: Path, figures: Callable[..., None], counts: Counts) -> None:
    async with simulator() as upstream, gateway(tmp_path / "home", openai=upstream.url) as server:
        calls: list[Call] = []
        for first in range(0, counts.at_once, 50):
            numbers = range(first, min(first + 50, counts.at_once))
            bodies = [body_of(f"openai/text?tokens=3000&pace=1&seed={number}") for number in numbers]
            begun = await asyncio.gather(*(Call.begin(server.port, body) for body in bodies))
            await _until_all_speak(begun)
            calls += begun
        left = sorted(call.leave(WAYS[number % len(WAYS)]) for number, call in enumerate(calls))
        try:
            await until(lambda: len(upstream.server.closes_seen) == len(calls))
        finally:
            for call in calls:
                call.drop()
        # The n-th close against the n-th going: which is whose cannot be told, and for the sums it does not matter.
        took = [(seen - at) * 1000 for seen, at in zip(sorted(upstream.server.closes_seen), left, strict=True)]
        figures(
            "all at once",
            f"{len(took)} clients",
            p50=percentile(took, 0.5),
            p99=percentile(took, 0.99),
            worst=max(took),
        )
        await server.settled()
        entries = server.entries()
        assert {entry.outcome for entry in entries} == {"cancelled"}
        assert len({entry.request_id for entry in entries}) == len(calls)
    assert max(took) <= RELEASED_AT_WORST_MS


async def _until_all_speak(calls: Sequence[Call]) -> None:
    await until(lambda: all(call.body for call in calls))


async def test_while_the_ledger_is_busy(tmp_path: Path) -> None:
    """The upstream is never asked."""
    async with simulator() as upstream, gateway(tmp_path / "home", openai=upstream.url) as server:
        for way in WAYS:
            with contextlib.closing(sqlite3.connect(server.home / "ledger.db", isolation_level=None)) as busy:
                busy.execute("BEGIN IMMEDIATE")
                call = await Call.begin(server.port, body_of(f"openai/text?seed={WAYS.index(way)}"))
                await asyncio.sleep(0.1)
                call.leave(way)
                await asyncio.sleep(0.1)
                busy.execute("ROLLBACK")
            call.drop()
        await until(lambda: list(_outcomes(server).values()) == ["cancelled"] * len(WAYS), every_s=0.02)
        assert not any(entry.usage.output_tokens for entry in server.entries())
        assert upstream.server.requests_seen == 0


async def test_while_it_is_queued(tmp_path: Path) -> None:
    """Behind another call for the only connection: the upstream hears nothing of it, and the other goes on."""
    command = (str(Path(__file__).with_name("bounded_gateway.py")),)
    async with (
        simulator() as upstream,
        gateway(tmp_path / "home", openai=upstream.url, command=command) as server,
    ):
        first = await Call.begin(server.port, body_of("openai/text?tokens=150&pace=100&seed=100"))
        await until(lambda: first.body)
        queued = [
            (await Call.begin(server.port, body_of(f"openai/text?seed={number}")), way)
            for number, way in enumerate(WAYS)
        ]
        await until(lambda: len(server.entries()) == 1 + len(WAYS))
        for call, way in queued:
            call.leave(way)
        await until(lambda: list(_outcomes(server).values()).count("cancelled") == len(WAYS), 1, every_s=0.02)
        assert not first.whole
        await first.over()
        last = await (await Call.begin(server.port, body_of("openai/text?seed=101&pace=0"))).over()
        for call in (first, last, *(call for call, _ in queued)):
            call.drop()
        assert read_stream(first.body).done
        assert read_stream(last.body).done
        assert set(upstream.play.played) == {"text?tokens=150&pace=100&seed=100", "text?seed=101&pace=0"}


async def test_while_it_connects(tmp_path: Path) -> None:
    """To a host that does not answer: the attempt to connect ends with the client."""
    with deaf_listener() as port:
        own = connecting_to(port)
        async with gateway(tmp_path / "home", openai=f"http://127.0.0.1:{port}/v1") as server:
            files = server.open_files()
            for way in WAYS:
                call = await Call.begin(server.port, body_of("openai/text"))
                await until(lambda: connecting_to(port) - own)
                call.leave(way)
                await until(lambda: not connecting_to(port) - own, 0.25)
                call.drop()
            await until(lambda: server.open_files() <= files)
            await server.settled(1)
            assert [entry.outcome for entry in server.entries()] == ["cancelled"] * len(WAYS)
            assert not any(entry.usage.output_tokens for entry in server.entries())


def _outcomes(server: Gateway) -> dict[str, str | None]:
    return {entry.upstream_model: entry.outcome for entry in server.entries()}


async def test_with_a_second_request_sent_ahead(tmp_path: Path) -> None:
    async with simulator() as upstream, gateway(tmp_path / "home", openai=upstream.url) as server:
        call = await Call.begin(server.port, body_of("openai/text?fault=hang&seed=1"))
        await until(lambda: upstream.last("text?fault=hang&seed=1"))
        call.send(body_of("openai/text?seed=2"))
        await asyncio.sleep(0.1)
        call.leave("close")
        try:
            await until(lambda: upstream.server.closes_seen, 1)
        except AssertionError:
            await server.kill()
            raise


HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
CHUNK = b'data: {"id":"c1","object":"chat.completion.chunk","created":1,"model":"m","choices":[%b]}\n\n'
DELTA = CHUNK % b'{"index":0,"delta":{"role":"assistant","content":"deep water"},"finish_reason":null}'
FINISH = CHUNK % b'{"index":0,"delta":{},"finish_reason":"stop"}'
USAGE = (
    b'data: {"id":"c1","object":"chat.completion.chunk","created":1,"model":"m","choices":[],'
    b'"usage":{"prompt_tokens":11,"completion_tokens":4711,"total_tokens":4722}}\n\n'
)


async def _usage_soon(connection: RawConnection) -> None:
    await _finished(connection)
    await asyncio.sleep(0.3)
    await connection.send_chunk(USAGE)
    await connection.send_chunk(b"data: [DONE]\n\n")
    await connection.send(b"0\r\n\r\n")


async def _usage_never(connection: RawConnection) -> None:
    await _finished(connection)
    await connection.stay()


async def _finished(connection: RawConnection) -> None:
    await connection.send(HEAD)
    await connection.send_chunk(DELTA)
    await connection.send_chunk(FINISH)


AFTER_FINISH = {"soon": _usage_soon, "never": _usage_never}


async def test_after_the_finish_reason_the_usage_is_waited_for(tmp_path: Path) -> None:
    async with (
        raw_upstream(AFTER_FINISH) as upstream,
        gateway(tmp_path / "home", openai=upstream.url) as server,
    ):
        calls = {
            (name, way): await Call.begin(server.port, body_of(f"openai/{name}?{way}"))
            for name in AFTER_FINISH
            for way in WAYS
        }
        await until(lambda: all(b'"stop"' in call.body for call in calls.values()))
        left_at = [call.leave(way) for (_, way), call in calls.items()]
        await until(lambda: len(upstream.closes_seen) == len(WAYS))
        for call in calls.values():
            call.drop()
        await server.settled()
        assert len(server.entries()) == len(calls)
        for entry in server.entries():
            if entry.upstream_model.startswith("soon"):
                assert entry.usage_source == "reported"
                assert (entry.usage.input_tokens, entry.usage.output_tokens) == (11, 4711)
                assert entry.finish_reason == "stop"
            else:
                assert entry.outcome == "cancelled"
                assert entry.usage_source == "estimated"
                assert entry.usage.output_tokens
        assert min(upstream.closes_seen) >= min(left_at) + LINGER_S - 0.05
        assert max(upstream.closes_seen) <= max(left_at) + LINGER_S + 0.25
