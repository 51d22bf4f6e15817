"""What reports say about a ledger that is known to the last token, also while it is written."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from thalweg.canon.usage import Usage
from thalweg.ledger import LedgerError, Reservation, Settlement, SqliteLedger, last_entries, usage_report
from thalweg.ledger.report import NOTHING, Group, Wanted, attempts_of, follow
from thalweg.ledger.store import connect_for_writing, migrate

NOON_MS = 1_764_072_000_000
"""2025-11-25 12:00 UTC."""
DAY_MS = 86_400_000

ASKED = Reservation(
    request_id="r1",
    attempt=1,
    at_ms=NOON_MS,
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
    at_ms=NOON_MS + 900,
    outcome="complete",
    usage=Usage(input_tokens=100, cached_input_tokens=40, output_tokens=10, reasoning_tokens=3),
    usage_source="reported",
)


@pytest.fixture
async def ledger(tmp_path: Path) -> AsyncIterator[SqliteLedger]:
    ledger = SqliteLedger(tmp_path / "ledger.db")
    yield ledger
    await ledger.close()


@pytest.fixture
def path(tmp_path: Path, ledger: SqliteLedger) -> Path:
    return tmp_path / "ledger.db"


async def keep(
    ledger: SqliteLedger, name: str, *, asked: dict[str, object], answered: dict[str, object] | None
) -> None:
    """Put one attempt into the ledger; `answered=None` leaves it open."""
    reservation = replace(ASKED, **({"request_id": name} | asked))
    await ledger.open(reservation)
    if answered is not None:
        own = {"request_id": name, "attempt": reservation.attempt}
        assert ledger.settle(replace(ANSWERED, **(own | answered)))
    await ledger.flush()


def by_label(groups: list[Group]) -> dict[str, Group]:
    return {group.label: group for group in groups}


def test_an_empty_ledger_has_totals_of_nothing(path: Path) -> None:
    report = usage_report(path)
    assert (report.totals, report.groups) == (NOTHING, [])
    assert report.totals.interrupted_share == 0.0


async def test_totals_add_up_what_is_known_and_say_how_well(path: Path, ledger: SqliteLedger) -> None:
    await keep(ledger, "a", asked={}, answered={"ttft_ms": 100.0})
    await keep(ledger, "b", asked={}, answered={"outcome": "cancelled", "usage_source": "counted", "ttft_ms": 300.0})
    unknown = {"outcome": "crashed", "usage": Usage(), "usage_source": "unknown"}
    await keep(ledger, "c", asked={}, answered=unknown)
    await keep(ledger, "d", asked={}, answered={"outcome": "refused", "usage": Usage(), "usage_source": "estimated"})
    await keep(ledger, "e", asked={}, answered=None)

    totals = usage_report(path).totals
    assert totals == Group(
        label="",
        requests=5,
        input_tokens=200,
        output_tokens=20,
        cached_input_tokens=80,
        reasoning_tokens=6,
        reported=1,
        counted=1,
        estimated=1,
        unknown=1,
        unfinished=1,
        interrupted=2,
        ttft_p50_ms=100.0,
        ttft_p95_ms=300.0,
    )
    assert totals.interrupted_share == 0.5


async def test_groups_by_model_and_outcome(path: Path, ledger: SqliteLedger) -> None:
    await keep(ledger, "a", asked={"model": "small"}, answered={})
    await keep(ledger, "b", asked={"model": "large"}, answered={"outcome": "gateway_error"})
    await keep(ledger, "c", asked={"model": "large"}, answered=None)

    models = usage_report(path, "model").groups
    outcomes = usage_report(path, "outcome").groups
    assert [(group.label, group.requests, group.input_tokens) for group in models] == [
        ("large", 2, 100),
        ("small", 1, 100),
    ]
    assert [group.label for group in outcomes] == ["complete", "gateway_error", "open"]


async def test_each_provider_gets_the_tokens_that_were_used_there(path: Path, ledger: SqliteLedger) -> None:
    failed = {"outcome": "upstream_error", "usage": Usage(input_tokens=7), "usage_source": "counted"}
    await keep(ledger, "a", asked={"provider": "ark"}, answered=failed)
    await keep(ledger, "a", asked={"provider": "ling", "attempt": 2}, answered={})

    report = usage_report(path, "provider")
    groups = by_label(report.groups)
    assert (groups["ark"].input_tokens, groups["ark"].interrupted) == (7, 1)
    assert (groups["ling"].input_tokens, groups["ling"].interrupted) == (100, 0)
    assert (report.totals.requests, report.totals.input_tokens, report.totals.interrupted) == (1, 107, 0)


async def test_a_range_has_its_beginning_and_not_its_end(path: Path, ledger: SqliteLedger) -> None:
    for number in range(4):
        await keep(ledger, f"r{number}", asked={"at_ms": NOON_MS + number}, answered={})

    report = usage_report(path, since_ms=NOON_MS + 1, until_ms=NOON_MS + 3)
    assert (report.totals.requests, report.since_ms, report.until_ms) == (2, NOON_MS + 1, NOON_MS + 3)


async def test_a_request_belongs_to_the_day_of_its_first_attempt(path: Path, ledger: SqliteLedger) -> None:
    await keep(ledger, "a", asked={}, answered={"outcome": "upstream_error"})
    await keep(ledger, "a", asked={"attempt": 2, "at_ms": NOON_MS + DAY_MS}, answered={})

    [group] = usage_report(path, zone=timezone.utc).groups  # noqa: UP017  # its name is what is tested elsewhere
    assert (group.label, group.requests, group.input_tokens) == ("2025-11-25", 1, 200)
    assert usage_report(path, since_ms=NOON_MS + 1).totals.requests == 0


ZONES = [
    pytest.param(timezone(timedelta(hours=8)), ["2025-11-25", "2025-11-26"], "UTC+08:00", id="east"),
    pytest.param(timezone(timedelta(hours=-10)), ["2025-11-24", "2025-11-25"], "UTC-10:00", id="west"),
    pytest.param(timezone(timedelta(hours=13, minutes=45)), ["2025-11-25", "2025-11-26"], "UTC+13:45", id="odd"),
    pytest.param(ZoneInfo("UTC"), ["2025-11-25"], "UTC", id="named"),
]


@pytest.mark.parametrize(("zone", "days", "name"), ZONES)
async def test_days_are_cut_in_the_zone_that_was_asked_for(
    path: Path, ledger: SqliteLedger, zone: timezone, days: list[str], name: str
) -> None:
    for request, hours in {"early": -11, "late": 11}.items():
        await keep(ledger, request, asked={"at_ms": NOON_MS + hours * 3_600_000}, answered={})

    report = usage_report(path, zone=zone)
    assert [group.label for group in report.groups] == days
    assert report.zone == name


@pytest.fixture
def in_auckland(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "NZST-12NZDT,M9.5.0,M4.1.0/3")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("in_auckland")
async def test_without_a_zone_days_are_the_machines_own_in_summer_and_winter(path: Path, ledger: SqliteLedger) -> None:
    summer = datetime.fromisoformat("2025-12-31T11:30:00+00:00")
    winter = datetime.fromisoformat("2025-06-30T11:30:00+00:00")
    for name, moment in {"summer": summer, "winter": winter}.items():
        await keep(ledger, name, asked={"at_ms": int(moment.timestamp() * 1000)}, answered={})

    report = usage_report(path)
    assert [group.label for group in report.groups] == ["2025-06-30", "2026-01-01"]
    assert report.zone == "local time"


def nearest_rank(values: list[float], percent: int) -> float | None:
    ordered = sorted(values)
    return ordered[-(-len(ordered) * percent // 100) - 1] if ordered else None


@given(values=st.lists(st.one_of(st.none(), st.floats(0, 1e6)), max_size=50))
def test_percentiles_are_nearest_ranks_over_those_that_began(
    tmp_path_factory: pytest.TempPathFactory, values: list[float | None]
) -> None:
    path = tmp_path_factory.mktemp("percentiles") / "ledger.db"

    async def fill() -> None:
        ledger = SqliteLedger(path)
        names = [f"r{number}" for number in range(len(values))]
        await asyncio.gather(*(ledger.open(replace(ASKED, request_id=name)) for name in names))
        for name, value in zip(names, values, strict=True):
            ledger.settle(replace(ANSWERED, request_id=name, ttft_ms=value))
        await ledger.close()

    asyncio.run(fill())
    known = [value for value in values if value is not None]
    totals = usage_report(path).totals
    assert (totals.ttft_p50_ms, totals.ttft_p95_ms) == (nearest_rank(known, 50), nearest_rank(known, 95))


async def test_the_last_entries_are_as_many_as_asked_for(path: Path, ledger: SqliteLedger) -> None:
    for number in range(5):
        await keep(ledger, f"r{number}", asked={"simulated": number == 4}, answered={})

    newest, older = last_entries(path, 2)
    assert (newest.request_id, newest.simulated, older.request_id, older.simulated) == ("r4", True, "r3", False)
    assert len(last_entries(path, 50)) == 5


WANTED = [
    pytest.param(Wanted(), ["d", "c-2", "b", "a"], id="everything"),
    pytest.param(Wanted(model="SMALL"), ["d", "a"], id="part of the name as asked for, in any case"),
    pytest.param(Wanted(model="ling/large"), ["b"], id="a name with its provider"),
    pytest.param(Wanted(model="%"), [], id="a sign that means something to SQL"),
    pytest.param(Wanted(outcome="cancelled"), ["b"], id="an outcome"),
    pytest.param(Wanted(outcome="open"), ["c-2"], id="open ones"),
    pytest.param(Wanted(since_ms=NOON_MS + 2), ["d", "c-2"], id="since then"),
    pytest.param(Wanted(since_ms=NOON_MS + 2, model="small"), ["d"], id="all conditions together"),
    pytest.param(Wanted(request="c"), ["c-2"], id="the beginning of an id"),
    pytest.param(Wanted(request="-"), [], id="not what stands in the middle of an id"),
    pytest.param(Wanted(request_end="-2"), ["c-2"], id="the end of an id"),
]


@pytest.mark.parametrize(("wanted", "names"), WANTED)
async def test_of_the_last_entries_those_that_are_wanted(
    path: Path, ledger: SqliteLedger, wanted: Wanted, names: list[str]
) -> None:
    await keep(ledger, "a", asked={"at_ms": NOON_MS}, answered={})
    other = {"model": "other", "provider": "ling", "upstream_model": "large"}
    await keep(ledger, "b", asked=other | {"at_ms": NOON_MS + 1}, answered={"outcome": "cancelled"})
    await keep(ledger, "c-2", asked={"at_ms": NOON_MS + 2, "model": "large", "upstream_model": "large"}, answered=None)
    await keep(ledger, "d", asked={"at_ms": NOON_MS + 3}, answered={})

    assert [entry.request_id for entry in last_entries(path, 50, wanted)] == names
    assert [entry.request_id for entry in last_entries(path, 1, wanted)] == names[:1]


async def test_the_attempts_of_a_request_each_have_their_own_figures(path: Path, ledger: SqliteLedger) -> None:
    await keep(ledger, "a", asked={"provider": "ark"}, answered={"outcome": "upstream_error", "usage": Usage()})
    await keep(ledger, "a", asked={"provider": "ling", "attempt": 2}, answered={})
    await keep(ledger, "b", asked={}, answered={})

    first, second = attempts_of(path, "a")
    assert (first.provider, first.outcome, first.usage.input_tokens) == ("ark", "upstream_error", None)
    assert (second.provider, second.outcome, second.usage.input_tokens) == ("ling", "complete", 100)
    assert attempts_of(path, "none") == []


async def test_who_follows_sees_each_request_when_it_is_settled(path: Path, ledger: SqliteLedger) -> None:
    await keep(ledger, "before", asked={}, answered={})
    await keep(ledger, "long", asked={}, answered=None)
    seen = follow(path, None)
    assert seen.entries == []

    await keep(ledger, "a", asked={}, answered={})
    await keep(ledger, "b", asked={}, answered={"outcome": "cancelled"})
    news = follow(path, seen.seq)
    assert [entry.request_id for entry in news.entries] == ["a", "b"]
    assert [entry.request_id for entry in follow(path, seen.seq, Wanted(outcome="cancelled")).entries] == ["b"]

    assert follow(path, news.seq).entries == []
    assert ledger.settle(replace(ANSWERED, request_id="long"))
    await ledger.flush()
    assert [entry.request_id for entry in follow(path, news.seq).entries] == ["long"]


async def test_groups_by_the_name_of_the_key(path: Path, ledger: SqliteLedger) -> None:
    await keep(ledger, "a", asked={"key_id": "one"}, answered={})
    await keep(ledger, "b", asked={"key_id": "two"}, answered={})
    await keep(ledger, "c", asked={"key_id": "one"}, answered={})
    assert [(group.label, group.requests) for group in usage_report(path, "key").groups] == [("one", 2), ("two", 1)]


async def test_reports_are_of_one_piece_while_the_ledger_is_written(path: Path, ledger: SqliteLedger) -> None:
    """Each report is a snapshot: its groups add up to its totals, and a later one never knows less."""

    async def write(writer: int) -> None:
        for number in range(40):
            name = f"{writer}-{number}"
            await ledger.open(replace(ASKED, request_id=name, at_ms=NOON_MS + number * DAY_MS))
            ledger.settle(replace(ANSWERED, request_id=name))

    writing = asyncio.gather(*map(write, range(10)))
    seen = [NOTHING]
    while not writing.done():
        report = await asyncio.to_thread(usage_report, path)
        assert sum(group.requests for group in report.groups) == report.totals.requests
        assert sum(group.input_tokens for group in report.groups) == report.totals.input_tokens
        assert report.totals.input_tokens == 100 * report.totals.reported
        seen.append(report.totals)
    await writing
    await ledger.flush()

    assert [totals.requests for totals in seen] == sorted(totals.requests for totals in seen)
    assert usage_report(path).totals.reported == 400


async def test_a_report_cannot_write(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it opens is read-only, so that it can never be the second writer."""
    opened: list[str] = []
    connect = sqlite3.connect

    def note(database: str, **options: Any) -> Any:
        opened.append(database)
        return connect(database, **options)

    monkeypatch.setattr(sqlite3, "connect", note)
    usage_report(path)

    [uri] = opened
    assert uri == f"{path.as_uri()}?mode=ro"
    reader = connect(uri, uri=True)
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        reader.execute("DELETE FROM posting")
    reader.close()


async def test_a_ledger_that_no_server_has_open_can_be_read(path: Path, ledger: SqliteLedger) -> None:
    await keep(ledger, "a", asked={}, answered={})
    await ledger.close()

    assert usage_report(path).totals.requests == 1


async def test_a_path_with_odd_signs_can_be_read(tmp_path: Path) -> None:
    odd = tmp_path / "100% déjà?vu#.db"
    await SqliteLedger(odd).close()
    assert usage_report(odd).totals == NOTHING


def test_where_there_is_no_ledger_a_report_says_so_and_makes_none(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="there is no ledger at"):
        usage_report(tmp_path / "ledger.db")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_something_else_is_named(tmp_path: Path) -> None:
    (tmp_path / "ledger.db").write_bytes(b"certainly no database" * 100)
    with pytest.raises(LedgerError, match="cannot be read: file is not a database"):
        usage_report(tmp_path / "ledger.db")


@pytest.mark.parametrize(("version", "sentence"), [(0, "is not up to date"), (99, "a newer one wrote it")])
def test_a_ledger_of_another_version_is_not_guessed_at(tmp_path: Path, version: int, sentence: str) -> None:
    connection = connect_for_writing(tmp_path / "ledger.db")
    migrate(connection)
    connection.execute(f"PRAGMA user_version = {version}")
    connection.close()

    with pytest.raises(LedgerError, match=sentence):
        last_entries(tmp_path / "ledger.db", 1)
