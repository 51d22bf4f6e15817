"""Two thousand streams in one process, each with an event a second: none is lost, and each says what it should."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tests.torture.calls import Call, body_of, read_stream
from tests.torture.processes import gateway, simulator_process
from tests.torture.sizes import both_sizes, percentile
from tests.torture.upstreams import reference


class Counts(NamedTuple):
    streams: int
    seconds: int


COUNTS = {"sample": Counts(streams=100, seconds=3), "full": Counts(streams=2000, seconds=60)}
AT_ONCE = 50
"""Connections that are opened together."""
_SPARE_S = 60


@both_sizes(COUNTS)
async def test_none_is_lost(tmp_path: Path, figures: Callable[..., None], counts: Counts) -> None:
    models = [f"text?pace=1&tokens={counts.seconds}&seed={number}" for number in range(counts.streams)]
    bodies = [body_of(f"openai/{model}", stream_options={"include_usage": True}) for model in models]
    async with simulator_process() as upstream, gateway(tmp_path / "home", openai=upstream.url) as server:
        warm = await (await Call.begin(server.port, body_of("openai/text?pace=0"))).over()
        warm.drop()
        resident = server.resident_bytes()
        calls: list[Call] = []
        opening = time.monotonic()
        for first in range(0, len(bodies), AT_ONCE):
            calls += await asyncio.gather(*(Call.begin(server.port, body) for body in bodies[first : first + AT_ONCE]))
        async with asyncio.timeout(_SPARE_S):
            while not all(call.body for call in calls):
                await asyncio.sleep(0.02)
        opened_s = time.monotonic() - opening
        live = (await upstream.counters())["open_answers"]
        grown = server.resident_bytes() - resident
        await asyncio.gather(*(call.over(counts.seconds + _SPARE_S) for call in calls))
        for call in calls:
            call.drop()
        await server.settled()
        entries = server.entries_by_model()
    assert live == counts.streams or opened_s > counts.seconds - 1
    for model, call in zip(models, calls, strict=True):
        got = read_stream(call.body)
        assert got.done and got.error is None, model
        asked = {"messages": _MESSAGES, "stream": True, "stream_options": {"include_usage": True}}
        assert got == reference(asked, model.replace("pace=1", "pace=0&ttft=0")), model
        [entry] = entries[model]
        assert (entry.outcome, entry.usage_source, entry.usage.output_tokens) == (
            "complete",
            "reported",
            counts.seconds,
        )
    assert Counter(call.status for call in calls) == {200: counts.streams}
    gaps = [call.longest_gap_s * 1000 for call in calls]
    first_ms = [(call.first_at - call.sent_at) * 1000 for call in calls]
    size = f"{counts.streams} streams, 1 event/s, {counts.seconds} s"
    figures(
        "longest gap of a stream (1,000 ms is exact)",
        size,
        p50=percentile(gaps, 0.5),
        p99=percentile(gaps, 0.99),
        worst=max(gaps),
        note=f"0 lost, all texts and counts exact; {live} open at once, opened in {opened_s:.1f} s",
    )
    figures(
        "first content, while all are opened",
        size,
        p50=percentile(first_ms, 0.5),
        p99=percentile(first_ms, 0.99),
        worst=max(first_ms),
    )
    figures("memory of the gateway", size, worst=grown / counts.streams / 1024, unit="KiB", note="for each stream")


_MESSAGES = [{"role": "user", "content": "Say it again: 回声 🦜 and on it goes."}]
