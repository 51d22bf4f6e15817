"""What every ledger store promises (`ledger/entry.Store`), held against each of them."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal, Protocol

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from thalweg.canon.errors import Conflict, Unavailable
from thalweg.canon.usage import MOST_TOKENS, Usage, UsageSource
from thalweg.ledger import Entry, MemoryLedger, Outcome, Reservation, Settlement, SqliteLedger, Store, last_entries
from thalweg.ledger.memory import Posting

NOW_MS = 1_764_000_000_000
RECOVERY_MS = NOW_MS + 60_000

ASKED = Reservation(
    request_id="r1",
    attempt=1,
    at_ms=NOW_MS,
    key_id="key-a",
    dialect="openai_chat",
    endpoint="/v1/chat/completions",
    provider="ark",
    model="small",
    upstream_model="small-2026",
    stream=True,
    simulated=False,
)
ANSWERED = Settlement(
    request_id="r1",
    attempt=1,
    at_ms=NOW_MS + 3_000,
    outcome="complete",
    usage=Usage(input_tokens=10, cached_input_tokens=4, output_tokens=7, reasoning_tokens=0),
    usage_source="reported",
    finish_reason="stop",
    ttft_ms=120.5,
    upstream_ttft_ms=118.25,
    duration_ms=2_900.75,
    upstream_status=200,
)


class House(Protocol):
    """A place where ledgers of one kind live one after the other, over the same postings."""

    ledger: Store

    def crash(self) -> None:
        """Lose whatever a killed process loses, and start a new ledger on what is left."""

    def entries(self) -> list[Entry]:
        """Every entry, the newest first."""

    async def close(self) -> None:
        """Close what this house has opened."""


class MemoryHouse:
    def __init__(self, _folder: Path) -> None:
        self._postings: list[Posting] = []
        self.crash()

    def crash(self) -> None:
        self.ledger: Store = MemoryLedger(self._postings, clock_ms=lambda: RECOVERY_MS)

    def entries(self) -> list[Entry]:
        return MemoryLedger(self._postings).last_entries(1_000)

    async def close(self) -> None:
        await self.ledger.close()


class SqliteHouse:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lives: list[SqliteLedger] = []
        self._begin()

    def crash(self) -> None:
        """Go on with a copy of the file and its WAL as they are now, however far the writer has come."""
        left = self._path
        self._folder = self._folder / "next"
        self._folder.mkdir()
        # Nothing here is large enough for a checkpoint between the two copies.
        for source in (left, left.with_name("ledger.db-wal")):
            if source.exists():
                shutil.copy(source, self._folder)
        self._begin()

    def entries(self) -> list[Entry]:
        return last_entries(self._path, 1_000)

    async def close(self) -> None:
        for ledger in self._lives:
            await ledger.close()

    @property
    def _path(self) -> Path:
        return self._folder / "ledger.db"

    def _begin(self) -> None:
        self._lives.append(SqliteLedger(self._path, clock_ms=lambda: RECOVERY_MS))
        self.ledger: Store = self._lives[-1]


HOUSES: dict[str, Callable[[Path], House]] = {"memory": MemoryHouse, "sqlite": SqliteHouse}


@pytest.fixture(params=list(HOUSES))
async def house(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[House]:
    house = HOUSES[request.param](tmp_path)
    yield house
    await house.close()


async def test_an_open_reservation_is_an_entry_without_an_outcome(house: House) -> None:
    await house.ledger.open(ASKED)

    [entry] = house.entries()
    assert entry == Entry(
        request_id="r1",
        attempts=1,
        opened_ms=NOW_MS,
        settled_ms=None,
        key_id="key-a",
        dialect="openai_chat",
        endpoint="/v1/chat/completions",
        provider="ark",
        model="small",
        upstream_model="small-2026",
        stream=True,
        simulated=False,
        outcome=None,
        usage=Usage(),
        usage_source=None,
        finish_reason=None,
        ttft_ms=None,
        upstream_ttft_ms=None,
        duration_ms=None,
        upstream_status=None,
        error_kind=None,
        upstream_closed_ms=None,
    )


async def test_a_settled_request_is_one_entry_with_all_that_was_said(house: House) -> None:
    said = replace(ANSWERED, error_kind="timeout", upstream_closed_ms=0.5)
    await house.ledger.open(ASKED)
    assert house.ledger.settle(said)
    await house.ledger.flush()

    [entry] = house.entries()
    for name in ("outcome", "usage", "usage_source", "finish_reason", "ttft_ms", "upstream_ttft_ms", "duration_ms"):
        assert getattr(entry, name) == getattr(said, name)
    for name in ("upstream_status", "error_kind", "upstream_closed_ms"):
        assert getattr(entry, name) == getattr(said, name)
    assert (entry.opened_ms, entry.settled_ms) == (ASKED.at_ms, said.at_ms)


async def test_unknown_is_kept_apart_from_zero(house: House) -> None:
    await house.ledger.open(ASKED)
    house.ledger.settle(replace(ANSWERED, usage=Usage(input_tokens=0), usage_source="estimated"))
    await house.ledger.flush()

    assert house.entries()[0].usage == Usage(input_tokens=0, output_tokens=None)


async def test_the_first_settlement_wins_and_the_second_is_ignored(house: House) -> None:
    await house.ledger.open(ASKED)

    assert house.ledger.settle(ANSWERED) is True
    assert house.ledger.settle(replace(ANSWERED, outcome="cancelled")) is False
    await house.ledger.flush()
    assert house.ledger.settle(replace(ANSWERED, outcome="gateway_error")) is False
    await house.ledger.flush()

    assert [entry.outcome for entry in house.entries()] == ["complete"]


async def test_a_settlement_without_a_reservation_is_ignored(house: House) -> None:
    assert house.ledger.settle(ANSWERED) is False
    await house.ledger.flush()

    assert house.entries() == []


async def test_a_settlement_that_comes_before_its_reservation_is_ignored(house: House) -> None:
    assert house.ledger.settle(ANSWERED) is False
    await house.ledger.open(ASKED)
    await house.ledger.flush()

    assert [entry.outcome for entry in house.entries()] == [None]


async def test_another_attempt_of_the_same_request_is_not_settled_with_it(house: House) -> None:
    await house.ledger.open(ASKED)
    assert house.ledger.settle(replace(ANSWERED, attempt=2)) is False


@pytest.mark.parametrize("settled", [False, True], ids=["still open", "settled"])
async def test_an_attempt_that_is_in_the_ledger_cannot_be_opened_again(house: House, settled: bool) -> None:
    await house.ledger.open(ASKED)
    if settled:
        house.ledger.settle(ANSWERED)
    await house.ledger.flush()

    with pytest.raises(Conflict, match="attempt 1 of request 'r1'"):
        await house.ledger.open(replace(ASKED, model="other"))
    assert [entry.model for entry in house.entries()] == ["small"]


async def test_an_attempt_of_an_earlier_run_cannot_be_opened_again(house: House) -> None:
    await house.ledger.open(ASKED)
    house.crash()

    with pytest.raises(Conflict):
        await house.ledger.open(ASKED)
    assert house.ledger.settle(ANSWERED) is False
    assert await house.ledger.recover() == 1


async def test_of_many_that_open_the_same_attempt_at_once_one_may(house: House) -> None:
    answers = await asyncio.gather(*(house.ledger.open(ASKED) for _ in range(20)), return_exceptions=True)

    assert answers.count(None) == 1
    assert sum(isinstance(answer, Conflict) for answer in answers) == 19


async def test_a_conflict_does_not_hurt_those_who_open_beside_it(house: House) -> None:
    await house.ledger.open(ASKED)
    house.crash()
    others = [replace(ASKED, request_id=f"beside-{number}") for number in range(30)]
    answers = await asyncio.gather(*map(house.ledger.open, [*others, ASKED]), return_exceptions=True)

    assert answers[:-1] == [None] * 30
    assert isinstance(answers[-1], Conflict)
    assert len(house.entries()) == 31


async def test_two_attempts_are_one_entry_with_the_facts_of_the_last_and_the_tokens_of_both(house: House) -> None:
    await house.ledger.open(ASKED)
    house.ledger.settle(
        replace(ANSWERED, outcome="upstream_error", usage=Usage(input_tokens=10), usage_source="counted", ttft_ms=None)
    )
    await house.ledger.open(replace(ASKED, attempt=2, at_ms=NOW_MS + 5_000, provider="ling"))
    house.ledger.settle(replace(ANSWERED, attempt=2, at_ms=NOW_MS + 9_000))
    await house.ledger.flush()

    [entry] = house.entries()
    assert (entry.attempts, entry.opened_ms, entry.settled_ms) == (2, NOW_MS, NOW_MS + 9_000)
    assert (entry.provider, entry.outcome, entry.ttft_ms) == ("ling", "complete", 120.5)
    assert entry.usage == Usage(input_tokens=20, cached_input_tokens=4, output_tokens=7, reasoning_tokens=0)
    assert entry.usage_source == "counted"


async def test_an_entry_says_how_often_a_text_was_gone_on_with(house: House) -> None:
    for attempt, goes_on in enumerate((False, True, True), start=1):
        await house.ledger.open(replace(ASKED, attempt=attempt, continued=goes_on))
        house.ledger.settle(replace(ANSWERED, attempt=attempt))
    await house.ledger.open(replace(ASKED, request_id="another"))
    await house.ledger.flush()
    house.crash()

    assert [(entry.request_id, entry.attempts, entry.continued) for entry in house.entries()] == [
        ("another", 1, 0),
        ("r1", 3, 2),
    ]


SOURCES = [
    pytest.param([("upstream_error", "unknown"), ("complete", "reported")], "unknown", id="the weakest counts"),
    pytest.param([("upstream_error", "estimated"), ("complete", "counted")], "estimated", id="estimated under counted"),
    pytest.param([("refused", "unknown"), ("complete", "reported")], "reported", id="a refused one used nothing"),
    pytest.param([("refused", "unknown"), ("refused", "counted")], "unknown", id="all were refused"),
    pytest.param([("upstream_error", "reported"), None], "reported", id="an open one says nothing yet"),
]


@pytest.mark.parametrize(("attempts", "expected"), SOURCES)
async def test_the_source_of_several_attempts(
    house: House, attempts: list[tuple[Outcome, UsageSource] | None], expected: str
) -> None:
    for number, ending in enumerate(attempts, start=1):
        await house.ledger.open(replace(ASKED, attempt=number))
        if ending:
            outcome, source = ending
            house.ledger.settle(replace(ANSWERED, attempt=number, outcome=outcome, usage_source=source))
    await house.ledger.flush()

    assert house.entries()[0].usage_source == expected


async def test_while_its_last_attempt_is_open_a_request_is_open(house: House) -> None:
    await house.ledger.open(ASKED)
    house.ledger.settle(replace(ANSWERED, outcome="refused"))
    await house.ledger.open(replace(ASKED, attempt=2))
    await house.ledger.flush()

    [entry] = house.entries()
    assert (entry.attempts, entry.outcome, entry.settled_ms) == (2, None, None)


@pytest.mark.parametrize("nonsense", [-1, MOST_TOKENS + 1, 2**63, 2**200])
async def test_a_token_count_that_cannot_be_is_unknown(house: House, nonsense: int) -> None:
    await house.ledger.open(ASKED)
    house.ledger.settle(replace(ANSWERED, usage=Usage(input_tokens=nonsense, output_tokens=7)))
    await house.ledger.flush()

    [entry] = house.entries()
    assert (entry.usage, entry.usage_source) == (Usage(input_tokens=None, output_tokens=7), "unknown")


async def test_text_of_any_kind_is_kept(house: House) -> None:
    odd = "深泓 \x00 \u2028 🐟 '; DROP TABLE posting; --"
    await house.ledger.open(replace(ASKED, model=odd))

    assert house.entries()[0].model == odd


async def test_entries_come_newest_first_whatever_the_clock_says(house: House) -> None:
    for number, at_ms in enumerate((NOW_MS, NOW_MS - 86_400_000, NOW_MS + 1)):
        await house.ledger.open(replace(ASKED, request_id=f"r{number}", at_ms=at_ms))

    assert [entry.request_id for entry in house.entries()] == ["r2", "r1", "r0"]


async def test_a_clock_that_goes_back_changes_nothing_but_the_times(house: House) -> None:
    await house.ledger.open(ASKED)
    assert house.ledger.settle(replace(ANSWERED, at_ms=NOW_MS - 3_600_000))
    await house.ledger.flush()

    [entry] = house.entries()
    assert (entry.outcome, entry.duration_ms, entry.settled_ms) == ("complete", 2_900.75, NOW_MS - 3_600_000)


async def test_unsettled_counts_until_all_is_on_disk(house: House) -> None:
    assert house.ledger.unsettled == 0
    await house.ledger.open(ASKED)
    await house.ledger.open(replace(ASKED, request_id="r2"))
    assert house.ledger.unsettled == 2

    house.ledger.settle(ANSWERED)
    await house.ledger.flush()
    assert house.ledger.unsettled == 1


async def test_what_a_crash_left_open_is_settled_once_as_crashed(house: House) -> None:
    await house.ledger.open(ASKED)
    await house.ledger.open(replace(ASKED, request_id="r2"))
    house.ledger.settle(ANSWERED)
    await house.ledger.flush()
    house.crash()

    assert await house.ledger.recover() == 1
    assert await house.ledger.recover() == 0
    crashed, complete = house.entries()
    assert (crashed.outcome, crashed.usage, crashed.usage_source) == ("crashed", Usage(), "unknown")
    assert (crashed.settled_ms, crashed.duration_ms) == (RECOVERY_MS, None)
    assert complete.outcome == "complete"


async def test_recovery_spares_the_attempts_of_its_own_run(house: House) -> None:
    await house.ledger.open(ASKED)

    assert await house.ledger.recover() == 0
    assert house.ledger.settle(ANSWERED)


async def test_an_attempt_of_an_earlier_run_is_recovered_even_when_a_later_attempt_is_alive(house: House) -> None:
    await house.ledger.open(ASKED)
    house.crash()
    await house.ledger.open(replace(ASKED, attempt=2))

    assert await house.ledger.recover() == 1
    assert house.entries()[0].outcome is None
    assert house.ledger.settle(replace(ANSWERED, attempt=2))


async def test_a_closed_ledger_takes_nothing(house: House) -> None:
    await house.ledger.open(ASKED)
    await house.ledger.close()
    await house.ledger.close()

    for attempt in (
        lambda: house.ledger.open(replace(ASKED, request_id="r2")),
        house.ledger.flush,
        house.ledger.recover,
    ):
        with pytest.raises(Unavailable, match="closed"):
            await attempt()
    assert house.ledger.settle(ANSWERED) is False
    assert [entry.outcome for entry in house.entries()] == [None]


async def test_close_writes_what_was_taken(house: House) -> None:
    await house.ledger.open(ASKED)
    house.ledger.settle(ANSWERED)
    await house.ledger.close()

    assert house.ledger.unsettled == 0
    assert [entry.outcome for entry in house.entries()] == ["complete"]


async def test_what_was_live_at_close_is_found_by_the_next_run(house: House) -> None:
    await house.ledger.open(ASKED)
    await house.ledger.close()
    house.crash()

    assert await house.ledger.recover() == 1


# Any interleaving: a step is a verb and whom it is about.

Verb = Literal["open", "settle", "flush", "crash", "recover"]
Key = tuple[str, int]

KEYS = st.tuples(st.sampled_from("abc"), st.integers(1, 3))
STEPS = st.lists(st.tuples(st.sampled_from(["open", "open", "settle", "settle", "flush", "crash", "recover"]), KEYS))


class Run:
    """A house, and beside it what a client of it may count on."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.opened: set[Key] = set()
        self.live: set[Key] = set()
        self.taken: set[Key] = set()
        self.settled: set[Key] = set()
        """Settled for certain: a flush of the same life has seen them. What was merely taken, a crash may lose."""
        self.queued: set[Key] = set()
        self.recovered = 0

    async def do(self, verb: Verb, key: Key) -> None:
        steps: dict[str, Callable[[Key], Awaitable[None]]] = {
            "open": self._open,
            "settle": self._settle,
            "flush": self._flush,
            "crash": self._crash,
            "recover": self._recover,
        }
        await steps[verb](key)

    async def _open(self, key: Key) -> None:
        try:
            await self.house.ledger.open(replace(ASKED, request_id=key[0], attempt=key[1]))
        except Conflict:
            assert key in self.opened
        else:
            assert key not in self.opened
            self.opened.add(key)
            self.live.add(key)

    async def _settle(self, key: Key) -> None:
        taken = self.house.ledger.settle(replace(ANSWERED, request_id=key[0], attempt=key[1]))
        assert taken == (key in self.live)
        if taken:
            self.live.remove(key)
            self.taken.add(key)
            self.queued.add(key)

    async def _flush(self, _key: Key) -> None:
        await self.house.ledger.flush()
        self.settled |= self.queued

    async def _crash(self, _key: Key) -> None:
        self.house.crash()
        self.live, self.queued = set(), set()

    async def _recover(self, _key: Key) -> None:
        self.recovered += await self.house.ledger.recover()


async def live_through(house: House, steps: list[tuple[Verb, Key]]) -> None:
    run = Run(house)
    for verb, key in [*steps, ("crash", ("a", 1)), ("recover", ("a", 1))]:
        await run.do(verb, key)

    entries = house.entries()
    assert sum(entry.attempts for entry in entries) == len(run.opened)
    assert sorted(entry.request_id for entry in entries) == sorted({name for name, _ in run.opened})
    assert len(run.opened - run.taken) <= run.recovered <= len(run.opened - run.settled)
    for entry in entries:
        last = (entry.request_id, max(attempt for name, attempt in run.opened if name == entry.request_id))
        allowed = {"complete"} if last in run.settled else {"complete", "crashed"} if last in run.taken else {"crashed"}
        assert entry.outcome in allowed


@pytest.mark.parametrize("kind", list(HOUSES))
@given(steps=STEPS)
def test_whatever_happens_each_attempt_is_settled_exactly_once(kind: str, steps: list[tuple[Verb, Key]]) -> None:
    async def live() -> None:
        with TemporaryDirectory() as folder:
            house = HOUSES[kind](Path(folder))
            try:
                await live_through(house, steps)
            finally:
                await house.close()

    asyncio.run(live())
