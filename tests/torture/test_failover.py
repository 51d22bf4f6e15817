"""A thousand streams whose first upstream fails: before the first word nobody notices, after it everybody is told."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Callable
from itertools import cycle
from pathlib import Path
from typing import Any, NamedTuple

from tests.torture.calls import Call, body_of, read_stream
from tests.torture.processes import Gateway, gateway
from tests.torture.sizes import both_sizes, percentile
from tests.torture.upstreams import RawConnection, Script, raw_upstream

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
TOP = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m"}


def _chunk(delta: dict[str, Any], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return b"data: " + json.dumps(TOP | {"choices": [choice]}).encode() + b"\n\n"


ROLE, HELLO = _chunk({"role": "assistant", "content": ""}), _chunk({"content": "Hello"})
USAGE = b"data: " + json.dumps(TOP | {"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 2}}).encode()
END = _chunk({"content": " there."}) + _chunk({}, "stop") + USAGE + b"\n\n" + b"data: [DONE]\n\n"
ERROR = b'data: {"error":{"message":"overloaded","type":"server_error","code":null}}\n\n'


def _status(code: int, more: str = "") -> bytes:
    body = b'{"error":{"message":"no","type":"t","code":null}}'
    return f"HTTP/1.1 {code} X\r\n{more}content-length: {len(body)}\r\nconnection: close\r\n\r\n".encode() + body


def _saying(*pieces: bytes) -> Script:
    async def script(connection: RawConnection) -> None:
        for piece in pieces:
            await connection.send(piece)

    return script


async def _silent(connection: RawConnection) -> None:
    await connection.stay()


async def _pings(connection: RawConnection) -> None:
    await connection.send(HEAD + ROLE)
    while True:
        await connection.send(b": ping\n\n")
        await asyncio.sleep(0.05)


BEFORE: dict[str, Script] = {
    **{f"status-{code}": _saying(_status(code)) for code in (401, 403, 404, 408, 409, 429, 500, 502, 503, 504, 529)},
    "429-for-an-hour": _saying(_status(429, "retry-after: 3600\r\n")),
    "closes": _saying(),
    "half-a-head": _saying(HEAD[:30]),
    "a-head-and-nothing": _saying(HEAD),
    "a-role-and-nothing": _saying(HEAD, ROLE),
    "half-a-frame": _saying(HEAD, ROLE, HELLO[:50]),
    "an-error-first": _saying(HEAD, ERROR),
    "an-error-after-the-role": _saying(HEAD, ROLE, ERROR),
    "no-json": _saying(HEAD, b"data: {oh\n\n"),
    "no-http": _saying(b"what?\r\n\r\n"),
    "silence": _silent,
    "pings-for-ever": _pings,
}
QUICK = [name for name in BEFORE if name not in ("silence", "pings-for-ever")]
"""Those that fail at once, and not when their time is over."""
AFTER: dict[str, Script] = {
    "a-cut": _saying(HEAD, ROLE, HELLO),
    "a-cut-in-a-frame": _saying(HEAD, ROLE, HELLO, HELLO[:50]),
    "an-error": _saying(HEAD, ROLE, HELLO, ERROR),
    "an-error-and-a-good-end": _saying(HEAD, ROLE, HELLO, ERROR, b"data: [DONE]\n\n"),
}
GOOD: Script = _saying(HEAD, ROLE, HELLO, END)
AT_ONCE = 25


class Counts(NamedTuple):
    streams: int


COUNTS = {"sample": Counts(streams=60), "full": Counts(streams=1000)}


def _settings(home: Path, routes: dict[str, list[str]], first: str, second: str) -> dict[str, str]:
    """A file with aliases and their routes. Nothing cools down, so that the first route is always asked first."""
    home.mkdir(parents=True, exist_ok=True)
    aliases = "".join(f'"{name}" = {json.dumps(models)}\n' for name, models in routes.items())
    file = home / "thalweg.toml"
    file.write_text(
        f"[attempts]\ncool_down_after = 0\nbackoff_s = 0.01\n[aliases]\n{aliases}"
        f'[providers.first]\nbase_url = "{first}"\ntimeouts = {{ first_byte_s = 0.5, first_content_s = 0.5 }}\n'
        f'[providers.second]\nbase_url = "{second}"\n'
    )
    return {"THALWEG_CONFIG": str(file), "THALWEG_ATTEMPTS": "3"}


async def _streams(server: Gateway, names: list[str], at_once: int = AT_ONCE) -> list[tuple[str, Call]]:
    """One stream of each name, so many at once."""
    made: list[tuple[str, Call]] = []

    async def one(name: str) -> None:
        call = await (await Call.begin(server.port, body_of(name))).over()
        made.append((name, call))
        call.drop()

    for at in range(0, len(names), at_once):
        await asyncio.gather(*map(one, names[at : at + at_once]))
    return made


def _first_ms(calls: list[tuple[str, Call]]) -> list[float]:
    return [(call.first_at - call.sent_at) * 1000 for _, call in calls]


def _attempts(server: Gateway) -> list[tuple[int, str | None]]:
    return [(entry.attempts, entry.outcome) for entry in server.entries()]


@both_sizes(COUNTS)
async def test_before_the_first_word_nobody_notices(
    tmp_path: Path, figures: Callable[..., None], counts: Counts
) -> None:
    kinds = list(BEFORE)
    names = [kinds[at % len(kinds)] for at in range(counts.streams)]
    async with raw_upstream(BEFORE) as first, raw_upstream({"good": GOOD}) as second:
        routes = {kind: [f"first/{kind}", "second/good"] for kind in kinds}
        settings = _settings(tmp_path / "home", routes, first.url, second.url)
        async with gateway(tmp_path / "home", **settings) as server:
            began = time.monotonic()
            calls = await _streams(server, names)
            took_s = time.monotonic() - began
            # One after the other: how long they wait for each other is nobody's failure.
            usual = _first_ms(await _streams(server, ["second/good"] * 50, at_once=1))
            added = _first_ms(await _streams(server, QUICK * 5, at_once=1))
            await server.settled()
            attempts = _attempts(server)[: counts.streams]
            assert first.open_connections == 0
    for name, call in calls:
        got = read_stream(call.body)
        assert (call.status, got.text, got.finish, got.error, got.done) == (200, "Hello there.", "stop", None, True), (
            name
        )
    assert Counter(attempts) == {(2, "complete"): counts.streams}
    quick = [ms - percentile(usual, 0.5) for ms in added]
    figures(
        "time to first content that a failed first route adds, its own waits aside",
        f"{counts.streams} streams, {len(kinds)} ways to fail, {AT_ONCE} at once",
        p50=percentile(quick, 0.5),
        p99=percentile(quick, 0.99),
        worst=max(quick),
        note=f"{len(calls)} of {counts.streams} answered by the second, in {took_s:.1f} s",
    )


@both_sizes(COUNTS)
async def test_after_the_first_word_everybody_is_told(
    tmp_path: Path, figures: Callable[..., None], counts: Counts
) -> None:
    """Of half of them the first route fails before its first word, so that it is the second that breaks off."""
    routes = {kind: [f"first/{kind}", "second/good"] for kind in AFTER}
    later = {f"{kind}-second": [f"first/{fails}", f"second/{kind}"] for kind, fails in zip(AFTER, cycle(QUICK))}
    kinds = [*routes, *later]
    names = [kinds[at % len(kinds)] for at in range(counts.streams)]
    async with raw_upstream(AFTER | BEFORE) as first, raw_upstream(AFTER | {"good": GOOD}) as second:
        settings = _settings(tmp_path / "home", routes | later, first.url, second.url)
        async with gateway(tmp_path / "home", **settings) as server:
            calls = await _streams(server, names)
            await server.settled()
            attempts = _attempts(server)
            asked = len(second.requests_seen)
    for name, call in calls:
        got = read_stream(call.body)
        assert (call.status, got.text, got.done) == (200, "Hello", False), name
        assert got.error is not None, name
    halves = Counter(2 if name in later else 1 for name in names)
    assert Counter(attempts) == {(made, "upstream_error"): count for made, count in halves.items()}
    assert asked == halves[2]
    figures(
        "streams that break",
        f"{counts.streams} streams, {len(AFTER)} ways to fail, by the first route or by the second",
        note=f"each told, none spliced; both attempts in the entry of the {halves[2]} whose first route failed before",
    )
