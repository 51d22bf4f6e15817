"""The load generator: opens streams or asks in a closed loop, and counts what arrives.

A process of its own (`python -m bench.load`): a `Plan` as JSON on stdin, an `Outcome` as JSON on stdout. It knows
nothing of dialects: it sends the request text it is given and looks for the upstream's marks in the answer.
"""

import asyncio
import gc
import re
import sys
import time
from array import array
from collections import Counter
from typing import cast

import httptools
import msgspec
import uvloop

from bench.stats import percentile

_MARK = re.compile(rb"@(\d{6})\.(\d{19})@")
_MARK_LENGTH = 28
_LATENCIES = {"p50": 50.0, "p99": 99.0, "max": 100.0}


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """One measurement as the load process runs it."""

    port: int
    request: str
    """The whole HTTP request, as it goes on the wire."""
    end_mark: str
    """What the last frame of a whole stream contains, e.g. `[DONE]`."""
    chunks: int
    """Content chunks that a whole stream has."""
    streams: int
    """Streams open at once, or connections of the closed loop."""
    requests: int = 0
    """Requests of the closed loop, over all connections; 0 opens each stream once, on its own connection."""
    ramp_s: float = 0.0
    """The openings are spread over it."""
    timeout_s: float = 60.0
    """What is not whole by then is lost."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What arrived."""

    whole: int
    """Streams with all their chunks, in order, and the end mark."""
    chunks: int
    """Content chunks received, those of broken streams included."""
    errors: dict[str, int]
    """Broken streams by cause; empty when all is well."""
    ttft_ms: list[float]
    """From the request written to the first content chunk, per stream."""
    gap_ms: list[float]
    """The largest silence between two content chunks, per stream of more than one chunk."""
    latency_ms: dict[str, float]
    """From the upstream's stamp to the client's read, over all content chunks: p50, p99, max; empty without any."""
    elapsed_s: float


class Tally:
    """Counts over the streams of one plan."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.end_mark = plan.end_mark.encode()
        self.whole = 0
        self.errors: Counter[str] = Counter()
        self.ttft_ms: list[float] = []
        self.gap_ms: list[float] = []
        self.latency_ns = array("q")

    def outcome(self, elapsed_s: float) -> Outcome:
        """Return the sums."""
        latencies = [latency / 1e6 for latency in self.latency_ns]
        return Outcome(
            whole=self.whole,
            chunks=len(latencies),
            errors=dict(self.errors),
            ttft_ms=self.ttft_ms,
            gap_ms=self.gap_ms,
            latency_ms={name: percentile(latencies, p) for name, p in _LATENCIES.items() if latencies},
            elapsed_s=elapsed_s,
        )


class Watch:
    """Watches one answer's body for marks; lives as long as the answer."""

    __slots__ = ("_carry", "_ended", "_largest_gap_ns", "_last_ns", "_seen", "_sent_ns", "_tally", "fault")

    def __init__(self, tally: Tally, sent_ns: int) -> None:
        self._tally = tally
        self._sent_ns = sent_ns
        self._last_ns = 0
        self._largest_gap_ns = 0
        self._seen = 0
        self._carry = b""
        self._ended = False
        self.fault = ""
        """The first thing that was wrong; empty while all is well."""

    def feed(self, body: bytes, now_ns: int) -> None:
        """Take body bytes at any cut."""
        text = self._carry + body
        end = 0
        for mark in _MARK.finditer(text):
            self._count(int(mark[1]), int(mark[2]), now_ns)
            end = mark.end()
        self._ended = self._ended or self._tally.end_mark in text
        # One byte less than a mark: a cut mark is kept, a whole one never counts twice.
        self._carry = text[max(end, len(text) - _MARK_LENGTH + 1) :]

    def _count(self, sequence: int, stamp_ns: int, now_ns: int) -> None:
        if self._seen == self._tally.plan.chunks:
            return  # Responses says the whole text again at its end.
        if sequence != self._seen:
            self.fault = self.fault or "out of order"
        if not self._seen:
            self._tally.ttft_ms.append((now_ns - self._sent_ns) / 1e6)
        elif now_ns - self._last_ns > self._largest_gap_ns:
            self._largest_gap_ns = now_ns - self._last_ns
        self._tally.latency_ns.append(now_ns - stamp_ns)
        self._last_ns = now_ns
        self._seen += 1

    def close(self) -> None:
        """Enter the stream into the tally, as whole or by its fault."""
        plan = self._tally.plan
        fault = self.fault
        if not fault and self._seen != plan.chunks:
            fault = "chunks missing"
        if not fault and not self._ended:
            fault = "no end mark"
        if fault:
            self._tally.errors[fault] += 1
        else:
            self._tally.whole += 1
        if self._seen > 1:
            self._tally.gap_ms.append(self._largest_gap_ns / 1e6)


class Budget:
    """Requests left, shared by the connections of a closed loop."""

    def __init__(self, requests: int) -> None:
        self.left = requests

    def take(self) -> bool:
        """Take one request; False when none is left."""
        if not self.left:
            return False
        self.left -= 1
        return True


class ClientProtocol(asyncio.Protocol):
    """One connection that asks again as long as its budget has requests left."""

    def __init__(self, tally: Tally, budget: Budget) -> None:
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done when the connection is."""
        self._tally = tally
        self._request = tally.plan.request.encode()
        self._budget = budget
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._watch: Watch | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the first time."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by type.
        self._ask(self._transport)

    def _ask(self, transport: asyncio.Transport) -> None:
        if not self._budget.take():
            transport.close()
            return
        self._watch = Watch(self._tally, time.monotonic_ns())
        transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        """Feed the parser."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._break("no HTTP")

    def on_headers_complete(self) -> None:
        """Note a status that is not 200."""
        status = self._parser.get_status_code()
        if status != 200 and self._watch:
            self._watch.fault = f"status {status}"

    def on_body(self, body: bytes) -> None:
        """Watch it."""
        if self._watch:
            self._watch.feed(body, time.monotonic_ns())

    def on_message_complete(self) -> None:
        """Close the watch and ask again, where the server keeps the connection."""
        self._finish()
        if self._transport is None:
            return
        if self._parser.should_keep_alive():
            self._ask(self._transport)
        else:
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Count an answer cut short."""
        if self._watch:
            self._break("connection lost")
        if not self.closed.done():
            self.closed.set_result(None)

    def _finish(self) -> None:
        watch, self._watch = self._watch, None
        if watch:
            watch.close()

    def _break(self, fault: str) -> None:
        if self._watch:
            self._watch.fault = self._watch.fault or fault
        self._finish()
        if self._transport:
            self._transport.abort()


async def _lane(tally: Tally, budget: Budget, delay_s: float) -> None:
    """Run one connection to its end, and another while requests are left."""
    await asyncio.sleep(delay_s)
    loop = asyncio.get_running_loop()
    while budget.left:
        try:
            _, protocol = await loop.create_connection(
                lambda: ClientProtocol(tally, budget), "127.0.0.1", tally.plan.port
            )
        except OSError as error:
            tally.errors[f"connect: {error.strerror or error}"] += 1
            budget.take()
            continue
        await protocol.closed


def _lanes(tally: Tally) -> list[asyncio.Task[None]]:
    plan = tally.plan
    shared = Budget(plan.requests)
    pace_s = plan.ramp_s / plan.streams
    return [
        asyncio.ensure_future(_lane(tally, shared if plan.requests else Budget(1), index * pace_s))
        for index in range(plan.streams)
    ]


async def run(plan: Plan) -> Outcome:
    """Carry out a plan; returns when every stream has ended or the timeout is over."""
    tally = Tally(plan)
    start_s = time.monotonic()
    lanes = _lanes(tally)
    _, pending = await asyncio.wait(lanes, timeout=plan.timeout_s)
    elapsed_s = time.monotonic() - start_s
    for lane in pending:
        lane.cancel()
    if pending:
        tally.errors["not ended in time"] += len(pending)
    for result in await asyncio.gather(*lanes, return_exceptions=True):
        if isinstance(result, Exception):
            raise result
    return tally.outcome(elapsed_s)


if __name__ == "__main__":
    gc.disable()  # A pause of ours would be counted as the gateway's.
    given = msgspec.json.decode(sys.stdin.buffer.read(), type=Plan)
    sys.stdout.buffer.write(msgspec.json.encode(uvloop.run(run(given))))
