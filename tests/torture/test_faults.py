"""Law 6, invariants I1, I2, I4, I8: every fault of the simulator, and some that it cannot make, over real sockets.

Whatever the upstream does, the client gets the whole answer or an honest error, in a short time; its text is a prefix
of the answer without the fault; the ledger has one entry that says what happened; and nothing is left behind.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pytest

from tests.torture.calls import Call, Read, body_of, read_stream, read_whole
from tests.torture.processes import Gateway, gateway, until
from tests.torture.sizes import both_sizes, percentile
from tests.torture.upstreams import (
    RawConnection,
    RawUpstream,
    RememberedSimulator,
    Script,
    raw_upstream,
    reference,
    simulator,
)
from thalweg.ledger.entry import Entry
from thalweg.simulator.faults.table import FAULTS


class Counts(NamedTuple):
    cases: int | None
    """How many of all (fault, place, stream or whole) are drawn; `None` takes every one."""
    rounds: int
    """Each with seeds of its own."""
    warm: int
    """Sound requests before the memory is measured first: a gateway's grows for some 15,000 and then no more."""
    idle: bool
    """Whether to wait until also the connections kept for later are closed."""


COUNTS = {
    "sample": Counts(cases=120, rounds=1, warm=0, idle=False),
    "full": Counts(cases=None, rounds=30, warm=20_000, idle=True),
}
AT_ONCE = 16
SILENCE_S = 3.0
"""The gateway's patience with a silent upstream here, before the first byte and between two."""
MOST_S = 10.0
"""No case takes longer, those with a silence included."""
IDLE_S = 45.0
"""Longer than a connection to an upstream is kept for later, and the sweep after it."""
IDLE_LEAST_S = 30.0
"""How long nobody asks anything before it is looked at what is left."""
GROWN_MOST = 0.05
TIMEOUTS = {
    "THALWEG_TIMEOUT_CONNECT_S": "2",
    "THALWEG_TIMEOUT_FIRST_BYTE_S": str(SILENCE_S),
    "THALWEG_TIMEOUT_GAP_S": str(SILENCE_S),
    "THALWEG_TIMEOUT_WHOLE_S": "60",
}

TOKENS = 12
"""Of each answer, one to a delta."""
PLACES = {
    "before the first content": 1,
    "in the middle": 6,
    "at the finish": TOKENS + 1,
    "after the finish": TOKENS + 2,
}
Place = str
BEFORE, _, FINISH, AFTER = PLACES

End = int | Literal["complete", "error"]
"""An HTTP status that is no good one; a whole answer; an error after the answer has begun."""


class Fate(NamedTuple):
    """What must become of a request, by the place of its fault."""

    stream: Callable[[Place], End]
    whole: End
    same: bool = True
    """Whether a complete answer is the one without the fault."""
    usage: bool = True
    """Whether the upstream reports its usage."""


def always(end: End) -> Callable[[Place], End]:
    return lambda _: end


def broken(status: int, *, ends_well: tuple[Place, ...] = ()) -> Callable[[Place], End]:
    """A status before the first content, an error event after it; complete at these places."""
    return lambda place: "complete" if place in ends_well else status if place == BEFORE else "error"


def refused(status: int) -> Fate:
    return Fate(always(status), status)


HARMLESS = Fate(always("complete"), "complete")
FATES: dict[str, Fate] = {
    "refuse": refused(502),
    "hang": refused(504),
    **{f"http-{status}": refused(status) for status in (400, 404, 408, 409, 413, 429, 500, 502, 503, 504)},
    **{f"http-{status}": refused(502) for status in (401, 402, 403)},
    "http-529": refused(503),
    "http-429-retry-after": refused(429),
    "http-503-retry-after": refused(503),
    "error-first": Fate(always(502), 500),
    "error-midstream": Fate(broken(502), 500),
    "usage-missing": HARMLESS._replace(usage=False),
    "args-whole": HARMLESS,
    "args-broken": HARMLESS._replace(same=False),
    "args-empty": HARMLESS._replace(same=False),
    **dict.fromkeys(("comments", "blanks", "crlf", "cr", "no-space", "multi-line", "big-frame"), HARMLESS),
    **dict.fromkeys(("double-done", "no-done"), HARMLESS),
    **dict.fromkeys(("usage-early", "usage-shrinking", "usage-beside-finish"), HARMLESS),
    **dict.fromkeys(("tool-index-missing", "tool-index-repeated", "tool-index-interleaved"), HARMLESS),
    **dict.fromkeys(("trickle", "cut-utf8"), HARMLESS),
    # A frame is broken in a stream only.
    "bad-json": Fate(broken(502), "complete"),
    "reset": Fate(broken(502), 502),
    "fin": Fate(broken(502), 502),
    # A body that ends as its framing says, after every choice has finished, is whole.
    "eof": Fate(broken(502, ends_well=(AFTER,)), 502),
    "stall": Fate(broken(504), 504),
}
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": name,
            "parameters": {
                "type": "object",
                "properties": {"place": {"type": "string"}, "days": {"type": "integer"}},
                "required": ["place", "days"],
            },
        },
    }
    for name in ("look_up_weather", "look_up_river")
]


def test_every_fault_has_its_fate() -> None:
    assert FATES.keys() == FAULTS.keys()


class Case(NamedTuple):
    fault: str
    place: Place
    stream: bool
    seed: int
    include_usage: bool

    @property
    def with_tools(self) -> bool:
        return self.fault.startswith(("tool-", "args-"))

    @property
    def sound(self) -> str:
        """The model without its fault."""
        name = "tools?pace=0" if self.with_tools else f"text?pace=0&tokens={TOKENS}"
        return f"{name}&ttft=0&seed={self.seed}"

    @property
    def model(self) -> str:
        size = "&size=2000000" if self.fault == "big-frame" else ""
        return f"{self.sound}&fault={self.fault}&at={PLACES[self.place]}{size}"

    @property
    def body(self) -> bytes:
        fields: dict[str, Any] = {"tools": TOOLS} if self.with_tools else {}
        if self.stream and self.include_usage:
            fields["stream_options"] = {"include_usage": True}
        return body_of(f"openai/{self.model}", stream=self.stream, **fields)

    @property
    def end(self) -> End:
        fate = FATES[self.fault]
        return fate.stream(self.place) if self.stream else fate.whole


def drawn(counts: Counts, round_: int, rng: random.Random) -> list[Case]:
    """The cases of one round, in any order."""
    every = [(fault, place, stream) for fault in FATES for place in PLACES for stream in (True, False)]
    chosen = rng.sample(every, counts.cases or len(every))
    return [
        Case(*each, seed=round_ * 10_000 + number, include_usage=rng.random() < 0.5)
        for number, each in enumerate(chosen)
    ]


class Ended(NamedTuple):
    """One case, and what its client got."""

    case: Case
    call: Call
    took_s: float


async def run(cases: list[Case], server: Gateway) -> list[Ended]:
    """All cases, some at once."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(case: Case) -> Ended:
        async with gate:
            call = await Call.begin(server.port, case.body)
            try:
                await call.over(MOST_S)
            except TimeoutError:
                pytest.fail(f"hangs: {case}, {call.status}, {bytes(call.body[-300:])!r}")
            finally:
                call.drop()
            return Ended(case, call, (call.last_at or call.lost_at or 0.0) - call.sent_at)

    return await asyncio.gather(*map(one, cases))


def check_error(error: dict[str, Any] | None) -> None:
    """It is said in the client's dialect."""
    assert error is not None
    assert error.keys() >= {"message", "type", "param", "code"}
    assert error["message"] and isinstance(error["type"], str)


def check_answer(ended: Ended, end: End, sound: Read, *, same: bool = True) -> Read | None:
    """No false end, an honest error, and never more or else than the answer without the fault."""
    case, call = ended.case, ended.call
    assert call.whole, case
    if isinstance(end, int):
        assert call.status == end, (case, call.status, bytes(call.body[:500]))
        check_error(json.loads(call.body)["error"])
        return None
    assert call.status == 200, (case, call.status, bytes(call.body[:500]))
    got = read_stream(call.body) if case.stream else read_whole(call.body)
    assert sound.text.startswith(got.text), case
    for (name, arguments), (sound_name, sound_arguments) in zip(got.calls, sound.calls, strict=False):
        assert sound_name == name and sound_arguments.startswith(arguments), (case, got.calls)
    if end == "error":
        assert not got.done, case
        check_error(got.error)
        return got
    assert got.error is None and (got.done or not case.stream), (case, got)
    assert got.text == sound.text and got.finish == sound.finish and len(got.calls) == len(sound.calls), (case, got)
    assert not same or got.calls == sound.calls, (case, got.calls)
    return got


def check_entry(ended: Ended, entries: list[Entry], said: Read | None, got: Read | None) -> None:
    """One entry, settled, with the right outcome, and with the simulator's own count where that has come."""
    case, end = ended.case, ended.case.end
    assert len(entries) == 1, (case, entries)
    [entry] = entries
    answered = case.fault.startswith("http-") or (not case.stream and case.fault.startswith("error-"))
    outcome = "complete" if end == "complete" else "refused" if answered else "upstream_error"
    assert entry.outcome == outcome, (case, entry)
    if end == "complete" and FATES[case.fault].usage and not (case.fault == "eof" and case.stream):
        assert said is not None and said.usage is not None, case
        assert entry.usage_source == "reported", (case, entry)
        counted = (said.usage["prompt_tokens"], said.usage["completion_tokens"])
        assert (entry.usage.input_tokens, entry.usage.output_tokens) == counted, (case, entry)
    elif got is not None and got.text:
        assert entry.usage_source in ("estimated", "reported") and entry.usage.output_tokens, (case, entry)


def said_by(upstream: RememberedSimulator, case: Case) -> Read | None:
    """What the simulator has said, faults included, where that can be read."""
    played = upstream.last(case.model)
    if played is None or case.end != "complete":
        return None
    if not case.stream:
        return read_whole(played.stream)
    plain = played.stream.replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b"data:{", b"data: {")
    frames = [frame for frame in plain.split(b"\n\n") if frame.startswith(b"data: {")]
    lines = [b"".join(line.removeprefix(b"data: ") for line in frame.split(b"\n")) for frame in frames]
    return read_stream(b"".join(b"data: " + line + b"\n\n" for line in lines if b'"tool_calls"' not in line))


async def nothing_left(
    server: Gateway, files: int, resident: int, counts: Counts, *upstreams: Callable[[], int]
) -> float:
    """Descriptors are back to where they were, but for connections kept for later; by how much memory has grown."""
    if counts.idle:
        began = time.monotonic()
        await until(lambda: not sum(open_() for open_ in upstreams), IDLE_S, every_s=0.5)
        await until(lambda: time.monotonic() - began >= IDLE_LEAST_S, IDLE_S, every_s=0.5)
    await until(lambda: server.open_files() <= files + sum(open_() for open_ in upstreams), every_s=0.05)
    return server.resident_bytes() / resident - 1


@both_sizes(COUNTS)
async def test_every_fault_of_the_simulator_at_every_place(
    tmp_path: Path, seeded_random: random.Random, figures: Callable[..., None], counts: Counts
) -> None:
    took: list[float] = []
    ends: dict[End, int] = {}
    async with simulator() as upstream, gateway(tmp_path / "home", openai=upstream.url, **TIMEOUTS) as server:
        files = server.open_files()
        await run(drawn(counts, counts.rounds, seeded_random), server)
        for first in range(0, counts.warm, 500):
            await run(
                [Case("comments", BEFORE, True, 10**8 + number, False) for number in range(first, first + 500)], server
            )
            upstream.play.played.clear()
        await server.settled()
        resident = server.resident_bytes()
        for round_ in range(counts.rounds):
            cases = drawn(counts, round_, seeded_random)
            done = await run(cases, server)
            await server.settled()
            entries = server.entries_by_model(last=2 * len(cases))
            for ended in done:
                case = ended.case
                sound = reference(json.loads(case.body), case.sound)
                got = check_answer(ended, case.end, sound, same=FATES[case.fault].same)
                check_entry(ended, entries.get(case.model, []), said_by(upstream, case), got)
                assert len(upstream.play.played[case.model]) <= 2
                took.append(ended.took_s * 1000)
                kind: End = case.end if isinstance(case.end, str) else 0
                ends[kind] = ends.get(kind, 0) + 1
            upstream.play.played.clear()
        grown = await nothing_left(server, files, resident, counts, lambda: upstream.server.open_connections)
    figures(
        "time of a case",
        f"{len(took)} requests, {len(FATES)} faults × {len(PLACES)} places × stream and whole",
        p50=percentile(took, 0.5),
        p99=percentile(took, 0.99),
        worst=max(took),
        note=f"0 false ends, 0 hangs: {ends.get('complete', 0)} complete, {ends.get(0, 0)} with an error status, "
        f"{ends.get('error', 0)} with an error event; memory {grown:+.1%}, descriptors back to base",
    )
    if counts.idle:
        assert grown <= GROWN_MOST


# What the simulator cannot do.

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\n"
SSE, JSON = b"text/event-stream", b"application/json"
CHUNKED = b"transfer-encoding: chunked\r\n\r\n"


def kind_of(connection: RawConnection) -> bytes:
    return SSE if connection.asked.get("stream") else JSON


def chunk(text: str, *, role: bool = False, finish: str | None = None) -> bytes:
    delta = {"role": "assistant", "content": text} if role else {"content": text} if text else {}
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    tree = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}
    return b"data: " + json.dumps(tree, separators=(",", ":")).encode() + b"\n\n"


def stream_of(*texts: str) -> bytes:
    chunks = [chunk(text, role=not at) for at, text in enumerate(texts)]
    return b"".join(chunks) + chunk("", finish="stop") + b"data: [DONE]\n\n"


def whole_of(text: str) -> bytes:
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    tree = {"id": "c1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], "usage": usage}
    return json.dumps(tree).encode()


SAID = ("deep", " water", " runs", " still")
TEXT = "".join(SAID)
TINY = 100_000
BIG = "x" * (10 * 1024 * 1024)


def body_for(connection: RawConnection, *texts: str) -> bytes:
    return stream_of(*texts) if connection.asked.get("stream") else whole_of("".join(texts))


async def _garbage(connection: RawConnection) -> None:
    await connection.send(b"\x16\x03\x01\x02\x00\x01\x00" + bytes(range(256)) * 8)
    await connection.stay()


async def _half_head(connection: RawConnection) -> None:
    await connection.send(HEAD % kind_of(connection) + b"x-half")


async def _half_head_and_silence(connection: RawConnection) -> None:
    await _half_head(connection)
    await connection.stay()


async def _bad_chunk_size(connection: RawConnection) -> None:
    await connection.send(HEAD % kind_of(connection) + CHUNKED)
    await connection.send_chunk(body_for(connection, *SAID)[:300])
    await connection.send(b"zz\r\nnonsense\r\n")
    await connection.stay()


async def _short_length(connection: RawConnection) -> None:
    body = body_for(connection, *SAID)
    await connection.send(
        HEAD % kind_of(connection) + b"content-length: %d\r\n\r\n" % len(body) + body[: len(body) // 2]
    )


async def _long_body(connection: RawConnection) -> None:
    body = body_for(connection, *SAID)
    await connection.send(HEAD % kind_of(connection) + b"content-length: %d\r\n\r\n" % len(body) + body + body)
    await connection.stay()


async def _length_that_cuts(connection: RawConnection) -> None:
    body = body_for(connection, *SAID)
    await connection.send(HEAD % kind_of(connection) + b"content-length: %d\r\n\r\n" % (len(body) // 2) + body)
    await connection.stay()


async def _gzip(connection: RawConnection) -> None:
    head = HEAD % kind_of(connection) + b"content-encoding: gzip\r\n" + CHUNKED
    await connection.send(head)
    await connection.send_chunk(b"\x1f\x8b\x08\x00" + bytes(64))
    await connection.stay()


async def _huge_header(connection: RawConnection) -> None:
    await connection.send(HEAD % kind_of(connection) + b"x-huge: ")
    for _ in range(1024):
        await connection.send(b"x" * 1024)
    await connection.send(b"\r\n" + CHUNKED)
    await connection.stay()


async def _endless_header(connection: RawConnection) -> None:
    await connection.send(HEAD % kind_of(connection))
    while True:
        await connection.send(b"x-more: %b\r\n" % (b"x" * 256))


async def _many_interim(connection: RawConnection) -> None:
    while True:
        await connection.send(b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n")


async def _big_event(connection: RawConnection) -> None:
    await connection.send(HEAD % kind_of(connection) + CHUNKED)
    await connection.send_chunk(body_for(connection, BIG))
    await connection.send(b"0\r\n\r\n")


async def _too_big_event(connection: RawConnection) -> None:
    """Twice what one frame may have."""
    await connection.send(HEAD % kind_of(connection) + CHUNKED)
    await connection.send_chunk(chunk("deep", role=True) if connection.asked.get("stream") else b" ")
    for _ in range(4):
        await connection.send_chunk(b"data: " + b"x" * len(BIG))
    await connection.stay()


async def _tiny_events(connection: RawConnection) -> None:
    await connection.send(HEAD % kind_of(connection) + CHUNKED)
    if connection.asked.get("stream"):
        await connection.send_chunk(chunk("x", role=True))
        for _ in range(TINY // 100):
            await connection.send_chunk(_HUNDRED)
        await connection.send_chunk(chunk("", finish="stop") + b"data: [DONE]\n\n")
    else:
        await connection.send_chunk(whole_of("x" * (TINY + 1)))
    await connection.send(b"0\r\n\r\n")


_HUNDRED = chunk("x") * 100


async def _comments_then_silence(connection: RawConnection) -> None:
    await connection.send(HEAD % SSE + CHUNKED)
    for _ in range(100):
        await connection.send_chunk(b": still here\n\n")
    await connection.stay()


async def _slow_head(connection: RawConnection) -> None:
    """A byte now and then, for ever: no gap is ever too long."""
    for byte in HEAD % kind_of(connection) + b"x-slow: " + b"x" * 10_000:
        await connection.send(bytes([byte]))
        await asyncio.sleep(0.4)


async def _page(connection: RawConnection) -> None:
    page = b"<html><body>Sign in to the network</body></html>"
    await connection.send(HEAD % b"text/html" + b"content-length: %d\r\n\r\n" % len(page) + page)


async def _redirect(connection: RawConnection) -> None:
    await connection.send(b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n")


async def _after_done(connection: RawConnection) -> None:
    """Text after the end mark, and a body that does not end."""
    await connection.send(HEAD % kind_of(connection) + CHUNKED)
    await connection.send_chunk(body_for(connection, *SAID))
    if connection.asked.get("stream"):
        await connection.send_chunk(chunk(" and more"))
        await connection.stay()
    await connection.send(b"0\r\n\r\n")


async def _done_after_error(connection: RawConnection) -> None:
    await connection.send(HEAD % kind_of(connection) + CHUNKED)
    error = b'{"error":{"message":"out of memory","type":"server_error","param":null,"code":null}}'
    if connection.asked.get("stream"):
        await connection.send_chunk(chunk("deep", role=True) + b"data: " + error + b"\n\n" + stream_of())
    else:
        await connection.send_chunk(error)
    await connection.send(b"0\r\n\r\n")


class Raw(NamedTuple):
    """What an upstream says, and what must become of it."""

    script: Script
    stream: End
    whole: End
    text: str = TEXT
    """Of the whole answer."""


RAW: dict[str, Raw] = {
    "garbage": Raw(_garbage, 502, 502),
    "half-a-head": Raw(_half_head, 502, 502),
    "half-a-head-and-silence": Raw(_half_head_and_silence, 504, 504),
    "bad-chunk-size": Raw(_bad_chunk_size, "error", 502),
    "body-shorter-than-its-length": Raw(_short_length, "error", 502),
    "body-longer-than-its-length": Raw(_long_body, "complete", "complete"),
    "length-that-cuts-the-body": Raw(_length_that_cuts, "error", 502),
    "gzip": Raw(_gzip, 502, 502),
    "header-of-1-MiB": Raw(_huge_header, 502, 502),
    "endless-header": Raw(_endless_header, 502, 502),
    "endless-interim-answers": Raw(_many_interim, 502, 502),
    "event-of-10-MiB": Raw(_big_event, "complete", "complete", BIG),
    "event-of-40-MiB": Raw(_too_big_event, "error", 502),
    "100,000-tiny-events": Raw(_tiny_events, "complete", "complete", "x" * (TINY + 1)),
    "comments-then-silence": Raw(_comments_then_silence, 504, 504),
    "a-head-byte-by-byte-for-ever": Raw(_slow_head, 504, 504),
    "html-page": Raw(_page, 502, 502),
    "redirect": Raw(_redirect, 502, 502),
    "text-after-the-end": Raw(_after_done, "complete", "complete"),
    "end-mark-after-an-error": Raw(_done_after_error, "error", 502),
}
RAW_ROUNDS = {"sample": Counts(None, 1, warm=0, idle=False), "full": Counts(None, 10, warm=0, idle=True)}


@both_sizes(RAW_ROUNDS)
async def test_upstreams_that_break_http(tmp_path: Path, figures: Callable[..., None], counts: Counts) -> None:
    took: dict[str, list[float]] = {}
    scripts = {name: raw.script for name, raw in RAW.items()}
    async with raw_upstream(scripts) as upstream, gateway(tmp_path / "home", openai=upstream.url, **TIMEOUTS) as server:
        files = server.open_files()
        await _raw_round(server, upstream, counts.rounds, took)
        resident = server.resident_bytes()
        took.clear()
        for round_ in range(counts.rounds):
            await _raw_round(server, upstream, round_, took)
        grown = await nothing_left(server, files, resident, counts, lambda: upstream.open_connections)
    every = [each for some in took.values() for each in some]
    slowest = max(took, key=lambda name: max(took[name]))
    figures(
        "time of a case",
        f"{len(every)} requests, {len(RAW)} kinds × stream and whole",
        p50=percentile(every, 0.5),
        p99=percentile(every, 0.99),
        worst=max(every),
        note=f"the slowest is {slowest}; descriptors back to base; memory from {resident / 2**20:.0f} to "
        f"{resident * (1 + grown) / 2**20:.0f} MiB",
    )


async def _raw_round(server: Gateway, upstream: RawUpstream, round_: int, took: dict[str, list[float]]) -> None:
    cases = [
        Case(name, f"{name}?{round_}-{stream}", stream, seed=0, include_usage=False)
        for name in RAW
        for stream in (True, False)
    ]
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(case: Case) -> Ended:
        async with gate:
            call = await Call.begin(server.port, body_of(f"openai/{case.place}", stream=case.stream))
            try:
                await call.over(MOST_S)
            except TimeoutError:
                pytest.fail(f"hangs: {case}, {call.status}, {bytes(call.body[-300:])!r}")
            finally:
                call.drop()
            return Ended(case, call, call.last_at - call.sent_at)

    done = await asyncio.gather(*map(one, cases))
    await server.settled()
    entries = server.entries_by_model()
    for ended in done:
        case, raw = ended.case, RAW[ended.case.fault]
        end = raw.stream if case.stream else raw.whole
        got = check_answer(ended, end, Read(raw.text, [], "stop", None, None, True, 0))
        [entry] = entries[case.place]
        assert entry.outcome == ("complete" if end == "complete" else "upstream_error"), (case, entry)
        if got is not None and got.text:
            assert entry.usage.output_tokens, (case, entry)
        took.setdefault(case.fault, []).append(ended.took_s * 1000)
