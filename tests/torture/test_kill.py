"""Law 3, invariants I4, I5, I16: `kill -9` of the gateway with streams under way, again and again in one home.

The simulator and the clients are in this process and outlive the gateway, so that what it did can be counted twice.
"""

from __future__ import annotations

import asyncio
import random
import sqlite3
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from tests.torture.calls import Call, body_of, read_stream, read_whole
from tests.torture.processes import Gateway, gateway
from tests.torture.sizes import both_sizes, percentile
from tests.torture.upstreams import RememberedSimulator, simulator
from thalweg.ledger.entry import Entry


class Counts(NamedTuple):
    kills: int
    streams: int
    """Live ones at each kill, or nearly so: some end before it."""


COUNTS = {"sample": Counts(kills=3, streams=20), "full": Counts(kills=100, streams=20)}
LATEST_KILL_S = 0.8
SETTLED_WITHIN_S = 1.0
"""A stream that its client saw end so long before the kill must be in the ledger as complete."""


class Sent(NamedTuple):
    """One request, and its client's side."""

    model: str
    stream: bool
    call: Call


async def send_many(port: int, life: int, counts: Counts, rng: random.Random) -> list[Sent]:
    """Streams and whole answers, some of which will end before the kill."""
    sent = []
    for number in range(counts.streams):
        tokens, pace = rng.choice((5, 20, 60, 1000)), rng.choice((50, 200, 1000))
        model = f"text?tokens={tokens}&pace={pace}&seed={life * 1000 + number}"
        sent.append((model, rng.random() < 0.8))
    calls = await asyncio.gather(*(Call.begin(port, body_of(f"openai/{m}", stream=stream)) for m, stream in sent))
    return [Sent(model, stream, call) for (model, stream), call in zip(sent, calls, strict=True)]


def said_by(upstream: RememberedSimulator, sent: Sent) -> tuple[int, int]:
    """The simulator's own count of an answer that it has said to its end."""
    played = upstream.last(sent.model)
    assert played is not None
    usage = (read_stream if sent.stream else read_whole)(played.stream).usage
    assert usage is not None, sent.model
    return usage["prompt_tokens"], usage["completion_tokens"]


def check_file(server: Gateway) -> None:
    """The file is sound, and every request has one reservation and one settlement."""
    uri = f"file:{server.home / 'ledger.db'}?mode=ro"
    with closing(sqlite3.connect(uri, uri=True)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        postings = connection.execute("SELECT request_id, kind FROM posting").fetchall()
    assert max(Counter(postings).values()) == 1
    assert len(postings) == 2 * len({request_id for request_id, _ in postings})


def check_life(entries: dict[str, list[Entry]], all_sent: list[Sent], upstream: RememberedSimulator) -> int:
    """What the simulator saw has one entry, and one that is complete says what the simulator says. How many crashed."""
    crashed = 0
    for sent in all_sent:
        found = entries.get(sent.model, [])
        assert len(found) <= 1, found
        assert found or sent.model not in upstream.play.played, f"lost: {sent.model}"
        assert found or not sent.call.body, f"lost: {sent.model}"
        for entry in found:
            assert entry.outcome in ("complete", "crashed"), entry
            crashed += entry.outcome == "crashed"
            if entry.outcome == "complete":
                assert entry.usage_source == "reported"
                assert (entry.usage.input_tokens, entry.usage.output_tokens) == said_by(upstream, sent)
    return crashed


@both_sizes(COUNTS)
async def test_no_entry_is_lost_and_none_is_there_twice(
    tmp_path: Path, seeded_random: random.Random, figures: Callable[..., None], counts: Counts
) -> None:
    requests = crashed = 0
    unsettled_ms: list[float] = []
    starts: list[float] = []
    async with simulator() as upstream, gateway(tmp_path / "home", openai=upstream.url) as server:
        for life in range(counts.kills):
            all_sent = await send_many(server.port, life, counts, seeded_random)
            await asyncio.sleep(seeded_random.uniform(0.0, LATEST_KILL_S))
            visible = {entry.request_id: entry for entry in server.entries() if entry.outcome}
            await server.kill()
            killed_at = time.monotonic()
            await asyncio.gather(*(sent.call.over() for sent in all_sent))
            await server.start()
            starts.append((time.monotonic() - killed_at) * 1000)
            check_file(server)
            entries = server.entries()
            assert visible.items() <= {entry.request_id: entry for entry in entries}.items()
            by_model = server.entries_by_model()
            crashed += check_life(by_model, all_sent, upstream)
            requests += len(all_sent)
            for sent in all_sent:
                if sent.call.whole and sent.call.status == 200 and by_model[sent.model][0].outcome == "crashed":
                    unsettled_ms.append((killed_at - sent.call.last_at) * 1000)
                sent.call.drop()
        assert "crashed" in server.log
    ended = (
        f"{len(unsettled_ms)} had ended for their client up to {max(unsettled_ms, default=0):.0f} ms before the kill"
    )
    figures(
        "kill -9 until it listens again, recovery included",
        f"{counts.kills} kills, {requests} requests",
        p50=percentile(starts, 0.5),
        p99=percentile(starts, 0.99),
        worst=max(starts),
        note=f"0 lost, 0 twice; {crashed} settled as crashed, of which {ended}",
    )
    assert max(unsettled_ms, default=0) <= SETTLED_WITHIN_S * 1000
