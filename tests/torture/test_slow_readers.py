"""Law 5, invariants I9 and I10: readers that read nothing cost a bounded memory, stop their own upstreams and no one
else's, and leave nothing behind.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.torture.calls import Call, body_of, read_stream
from tests.torture.processes import Gateway, gateway, simulator_process
from tests.torture.sizes import both_sizes, percentile


class Counts(NamedTuple):
    stalled: int
    healthy: int
    seconds: float
    """How long the healthy ones are watched, without the stalled ones and beside them."""
    measures_gaps: bool
    """Only with full counts: a time to hold means little on a machine that runs other tests."""


COUNTS = {
    "sample": Counts(stalled=40, healthy=10, seconds=0.5, measures_gaps=False),
    "full": Counts(stalled=200, healthy=50, seconds=20, measures_gaps=True),
}
PACE = 20
"""Events a second of a healthy stream."""
STREAM_BYTES = 256 * 1024
REST_BYTES = 20 * 1024 * 1024
MORE_MS = 20.0
TRIES = 3
"""Of a timed comparison: another engineer's build may run beside it."""
MODEL = "ark/endless?pace=0&size=16384"


async def longest_gaps_ms(server: Gateway, counts: Counts, round_: str) -> list[float]:
    """The longest gap of each healthy stream, as its client sees it."""
    tokens = max(int(counts.seconds * PACE), 2)
    bodies = [
        body_of(f"openai/text?pace={PACE}&tokens={tokens}&seed={number}", user=f"{round_}-{number}")
        for number in range(counts.healthy)
    ]
    calls = []
    for body in bodies:
        calls.append(await Call.begin(server.port, body))
        # Not all in the same moment of each second: that would measure their own crowd.
        await asyncio.sleep(1 / PACE / counts.healthy)
    await asyncio.gather(*(call.over(counts.seconds + 30) for call in calls))
    for call in calls:
        assert read_stream(call.body).done
        call.drop()
    return [call.longest_gap_s * 1000 for call in calls]


@both_sizes(COUNTS)
async def test_they_cost_little_and_stop_nobody_else(
    tmp_path: Path, figures: Callable[..., None], counts: Counts
) -> None:
    async with (
        simulator_process() as upstream,
        gateway(tmp_path / "home", openai=upstream.url, ark=upstream.url) as server,
    ):
        await longest_gaps_ms(server, counts._replace(seconds=0.5), "warm-up")
        before_ms = await longest_gaps_ms(server, counts, "before")
        files, resident = server.open_files(), server.resident_bytes()
        idle = (await upstream.counters())["open_connections"]

        stalled = [await Call.begin(server.port, body_of(MODEL), reads=False) for _ in range(counts.stalled)]
        blocked_at = await upstream.until_blocked()
        assert (await upstream.counters())["open_answers"] == counts.stalled
        grown = server.resident_bytes() - resident
        figures(
            "memory of the gateway, grown by readers that read nothing",
            f"{counts.stalled} readers",
            worst=grown / 2**20,
            unit="MiB",
            note=f"bound {(counts.stalled * STREAM_BYTES + REST_BYTES) / 2**20:.0f} MiB; the simulator stopped after "
            f"{blocked_at / counts.stalled / 2**20:.1f} MiB a stream, the kernel's buffers on both sides included",
        )
        assert grown < counts.stalled * STREAM_BYTES + REST_BYTES

        for attempt in range(TRIES if counts.measures_gaps else 1):
            beside_ms = await longest_gaps_ms(server, counts, f"beside-{attempt}")
            more_ms = percentile(beside_ms, 0.99) - percentile(before_ms, 0.99)
            if more_ms <= MORE_MS:
                break
            before_ms = await _without(tmp_path / f"alone-{attempt}", upstream.url, counts)
        sent = (await upstream.counters())["bytes_sent"] - blocked_at
        healthy_bytes = counts.healthy * (attempt + 1) * (max(int(counts.seconds * PACE), 2) + 5) * 1024
        assert sent < healthy_bytes, "the stalled ones were sent more"
        figures(
            "longest gap of a healthy stream, the stalled ones beside it",
            f"{counts.healthy} streams, {PACE} events/s, {counts.seconds:g} s",
            p50=percentile(beside_ms, 0.5),
            p99=percentile(beside_ms, 0.99),
            worst=max(beside_ms),
            note=f"without them p50 {percentile(before_ms, 0.5):.1f}, p99 {percentile(before_ms, 0.99):.1f} ms",
        )

        for call in stalled:
            call.leave("close")
        await upstream.until_released(idle + counts.healthy)
        left = (await upstream.counters())["open_connections"]
        await _until_files(server, files + max(left - idle, 0))
        await server.settled()
        outcomes = [entry.outcome for entry in server.entries() if entry.upstream_model.startswith("endless")]
        assert outcomes == ["cancelled"] * counts.stalled
    if counts.measures_gaps:
        assert more_ms <= MORE_MS


async def _without(home: Path, url: str, counts: Counts) -> list[float]:
    """The same healthy streams alone, at a gateway of their own, in this moment of the machine."""
    async with gateway(home, openai=url) as server:
        await longest_gaps_ms(server, counts._replace(seconds=0.5), "warm-up")
        return await longest_gaps_ms(server, counts, "alone")


async def _until_files(server: Gateway, wanted: int) -> None:
    for _ in range(200):
        if server.open_files() <= wanted:
            return
        await asyncio.sleep(0.05)
    pytest.fail(f"{server.open_files()} files are open, {wanted} should be")
