"""The SQLite ledger beyond the contract: groups, failing disks, odd files, migrations."""

from __future__ import annotations

import asyncio
import sqlite3
import stat
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from msgspec.structs import astuple, replace

from thalweg.canon.errors import Conflict, Unavailable
from thalweg.canon.usage import Usage
from thalweg.ledger import LedgerError, NewerLedger, Reservation, Settlement, SqliteLedger, last_entries, store
from thalweg.ledger.store import connect_for_writing, migrate, missing_migrations, sqlite_version_warning

ASKED = Reservation(
    request_id="r1",
    attempt=1,
    at_ms=1_764_000_000_000,
    key_id="key-a",
    dialect="openai_chat",
    endpoint="/v1/chat/completions",
    provider="ark",
    model="small",
    upstream_model="small-2026",
    stream=True,
    simulated=False,
)
ANSWERED = Settlement(request_id="r1", attempt=1, at_ms=1_764_000_003_000, outcome="complete")

PATIENCE_S = 10


class Disk(sqlite3.Connection):
    """A writing connection that a test can hold up, break and count on. It does so on the writer's own thread."""

    commits = 0
    """How often something reached the disk, since the ledger was made."""
    fault: str | None = None
    """A statement that makes the disk fail before each write, or `raise` for a foreign exception."""

    def __init__(self, *arguments: object, **options: object) -> None:
        super().__init__(*arguments, **options)  # type: ignore[arg-type]  # as sqlite3.connect calls it
        self.may_write = threading.Event()
        self.may_write.set()
        self.tries = threading.Semaphore(0)
        """Released for each write that is about to be tried."""

    def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
        if sql == "BEGIN IMMEDIATE" or (sql.startswith("INSERT") and not self.in_transaction):
            self.tries.release()
            assert self.may_write.wait(PATIENCE_S)
            self._break()
        cursor = super().execute(sql, *parameters)
        self.commits += sql.startswith(("INSERT", "COMMIT")) and not self.in_transaction
        return cursor

    def _break(self) -> None:
        if self.fault == "raise":
            raise RuntimeError("nobody expects this")
        if self.fault:
            super().execute(self.fault)

    async def tried(self) -> None:
        """Return when the writer is about to try one more write."""
        assert await asyncio.to_thread(self.tries.acquire, timeout=PATIENCE_S)


class House:
    """A ledger on such a disk."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.disk = Disk(path, timeout=0, isolation_level=None, check_same_thread=False)
        self.disk.execute("PRAGMA journal_mode = WAL")
        self.ledger = SqliteLedger(path, connect=lambda _path: self.disk)
        self.disk.commits, self.disk.tries = 0, threading.Semaphore(0)

    def outcomes(self) -> dict[str, str | None]:
        return {entry.request_id: entry.outcome for entry in last_entries(self.path, 1_000)}


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    house = House(tmp_path / "ledger.db")
    yield house
    house.disk.may_write.set()
    house.disk.fault = None
    await house.ledger.close()


def ask(number: int) -> Reservation:
    return replace(ASKED, request_id=f"r{number}")


def answer(number: int) -> Settlement:
    return replace(ANSWERED, request_id=f"r{number}")


def files_in(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


# Groups


async def test_what_comes_during_a_commit_is_committed_together(house: House) -> None:
    house.disk.may_write.clear()
    first = asyncio.create_task(house.ledger.open(ask(0)))
    await house.disk.tried()
    others = [asyncio.create_task(house.ledger.open(ask(number))) for number in range(1, 51)]
    await asyncio.sleep(0)  # One turn of the loop, in which each of them queues its row.
    house.disk.may_write.set()
    await asyncio.gather(first, *others)

    assert house.disk.commits == 2


async def test_the_loop_is_woken_once_for_each_group(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    house.disk.may_write.clear()
    first = asyncio.create_task(house.ledger.open(ask(0)))
    await house.disk.tried()
    others = [asyncio.create_task(house.ledger.open(ask(number))) for number in range(1, 51)]
    await asyncio.sleep(0)
    loop = asyncio.get_running_loop()
    wake = Mock(wraps=loop.call_soon_threadsafe)
    monkeypatch.setattr(loop, "call_soon_threadsafe", wake)
    house.disk.may_write.set()
    await asyncio.gather(first, *others)

    assert wake.call_count == 2


@pytest.mark.parametrize("many", [64, 65, 300])
async def test_a_group_of_more_rows_than_a_statement_takes_is_one_transaction(house: House, many: int) -> None:
    house.disk.may_write.clear()
    first = asyncio.create_task(house.ledger.open(ask(0)))
    await house.disk.tried()
    others = [asyncio.create_task(house.ledger.open(ask(number))) for number in range(1, many + 1)]
    await asyncio.sleep(0)
    house.disk.may_write.set()
    await asyncio.gather(first, *others)

    assert house.disk.commits == 2
    assert len(house.outcomes()) == many + 1


async def test_settlements_ride_with_reservations(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "SETTLE_WITHIN_S", PATIENCE_S)
    await asyncio.gather(*(house.ledger.open(ask(number)) for number in range(20)))
    before = house.disk.commits
    for number in range(20):
        house.ledger.settle(answer(number))
        await asyncio.sleep(0.001)
    await house.ledger.open(ask(20))

    assert house.disk.commits == before + 1
    assert list(house.outcomes().values()) == [None] + ["complete"] * 20


async def test_settlements_that_nothing_else_follows_are_written_soon(house: House) -> None:
    """Those of a moment together, and those of another moment once more; nobody asks for them."""
    await asyncio.gather(*(house.ledger.open(ask(number)) for number in range(20)))
    before = house.disk.commits
    for moment in range(1, 3):
        for number in range(10 * (moment - 1), 10 * moment):
            house.ledger.settle(answer(number))
        async with asyncio.timeout(PATIENCE_S):
            while house.ledger.unsettled > 20 - 10 * moment:
                await asyncio.sleep(0.001)
        assert house.disk.commits == before + moment

    assert set(house.outcomes().values()) == {"complete"}


async def test_a_reservation_is_on_disk_when_open_returns(house: House) -> None:
    """Another connection sees it at once, though nothing was flushed."""
    await house.ledger.open(ASKED)
    with sqlite3.connect(house.path) as other:
        assert other.execute("SELECT kind, request_id FROM posting").fetchall() == [("reserved", "r1")]
    other.close()


async def test_what_a_posting_is_not_about_is_null(house: House) -> None:
    await house.ledger.open(ASKED)
    house.ledger.settle(ANSWERED)
    await house.ledger.flush()
    with sqlite3.connect(house.path) as other:
        for kind, foreign in (("reserved", Settlement), ("settled", Reservation)):
            names = set(foreign.__struct_fields__) - {"request_id", "attempt", "at_ms", "usage"}
            names |= set(Usage.__struct_fields__) if foreign is Settlement else set()
            types = ", ".join(f"typeof({name})" for name in sorted(names))
            found = other.execute(f"SELECT {types} FROM posting WHERE kind = '{kind}'").fetchone()
            assert set(found) == {"null"}
    other.close()


# Cancelled while waiting


async def test_a_reservation_whose_caller_left_is_settled_as_cancelled_with_nothing_used(house: House) -> None:
    house.disk.may_write.clear()
    opening = asyncio.create_task(house.ledger.open(ASKED))
    await house.disk.tried()
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    assert house.ledger.settle(ANSWERED) is False
    house.disk.may_write.set()
    await house.ledger.flush()
    # Its settlement was queued when the loop heard of the reservation, which the first flush made sure of.
    await house.ledger.flush()

    [entry] = last_entries(house.path, 10)
    assert (entry.outcome, entry.usage, entry.usage_source) == (
        "cancelled",
        Usage(input_tokens=0, output_tokens=0),
        "counted",
    )
    assert house.ledger.unsettled == 0


@pytest.mark.parametrize("fault", [None, "raise"], ids=["written", "failed"])
async def test_a_caller_may_leave_in_the_very_turn_in_which_the_answer_comes(
    house: House, monkeypatch: pytest.MonkeyPatch, fault: str | None
) -> None:
    house.disk.fault = fault
    loop = asyncio.get_running_loop()
    opening = loop.create_task(house.ledger.open(ASKED))
    call_soon = loop.call_soon_threadsafe

    def answer_and_leave(call: Callable[..., None], *arguments: object) -> None:
        call(*arguments)
        opening.cancel()

    with monkeypatch.context() as patched:
        patched.setattr(loop, "call_soon_threadsafe", lambda *call: call_soon(answer_and_leave, *call))
        with pytest.raises(asyncio.CancelledError):
            await opening
    await house.ledger.flush()

    assert house.outcomes() == ({} if fault else {"r1": "cancelled"})
    assert house.ledger.unsettled == 0


async def test_a_reservation_whose_caller_left_and_that_failed_leaves_nothing(house: House) -> None:
    house.disk.fault = "raise"
    house.disk.may_write.clear()
    opening = asyncio.create_task(house.ledger.open(ASKED))
    await house.disk.tried()
    opening.cancel()
    await asyncio.wait([opening])
    house.disk.may_write.set()
    await house.ledger.flush()

    assert (house.outcomes(), house.ledger.unsettled) == ({}, 0)


def test_a_loop_that_ended_without_closing_harms_neither_thread_nor_file(tmp_path: Path) -> None:
    house = House(tmp_path / "ledger.db")

    async def leave() -> None:
        house.disk.may_write.clear()
        opening = asyncio.create_task(house.ledger.open(ASKED))
        await house.disk.tried()
        opening.cancel()

    asyncio.run(leave())
    house.disk.may_write.set()
    asyncio.run(house.ledger.close())

    assert house.outcomes() == {"r1": None}


# Disks that fail

FAULTS = {
    "disk full": ("PRAGMA max_page_count = 1", "PRAGMA max_page_count = 4294967294"),
    "read-only": ("PRAGMA query_only = ON", "PRAGMA query_only = OFF"),
    "anything else": ("raise", None),
}
LONG = "x" * 20_000
"""Needs pages that the file does not have."""


@pytest.mark.parametrize(("fault", "mend"), FAULTS.values(), ids=FAULTS)
async def test_nothing_is_reserved_on_a_failing_disk(house: House, fault: str, mend: str | None) -> None:
    house.disk.fault = fault
    with pytest.raises(Unavailable, match="the ledger cannot be written"):
        await house.ledger.open(replace(ASKED, model=LONG))
    assert (house.outcomes(), house.ledger.unsettled) == ({}, 0)

    house.disk.fault = mend
    await house.ledger.open(ASKED)
    assert house.outcomes() == {"r1": None}


@pytest.mark.parametrize(("fault", "mend"), FAULTS.values(), ids=FAULTS)
async def test_settlements_outlast_a_failing_disk(house: House, fault: str, mend: str | None) -> None:
    await asyncio.gather(*(house.ledger.open(ask(number)) for number in range(3)))
    house.disk.fault, house.disk.tries = fault, threading.Semaphore(0)
    for number in range(3):
        assert house.ledger.settle(replace(answer(number), finish_reason=LONG))
    flushing = asyncio.create_task(house.ledger.flush())
    # When it tries for the second time it has failed once.
    await house.disk.tried()
    await house.disk.tried()

    with pytest.raises(Unavailable, match="the ledger cannot be written"):
        await house.ledger.open(ask(3))
    assert house.ledger.settle(answer(0)) is False
    assert house.ledger.unsettled == 3
    assert not flushing.done()

    house.disk.fault = mend
    await flushing
    await house.ledger.open(ask(3))
    assert house.outcomes() == {"r3": None, "r2": "complete", "r1": "complete", "r0": "complete"}
    assert house.ledger.unsettled == 1


async def test_a_settlement_is_tried_again_until_the_disk_is_back(house: House) -> None:
    await house.ledger.open(ASKED)
    await house.disk.tried()
    house.disk.fault = "raise"
    house.ledger.settle(ANSWERED)
    for _ in range(4):
        await house.disk.tried()
    house.disk.fault = None
    await house.ledger.flush()

    assert house.outcomes() == {"r1": "complete"}


async def test_what_a_strangers_exception_says_is_not_passed_on(house: House) -> None:
    house.disk.fault = "raise"
    with pytest.raises(Unavailable) as refused:
        await house.ledger.open(ASKED)

    assert refused.value.message == "the ledger cannot be written: RuntimeError"
    assert isinstance(refused.value.__cause__, RuntimeError)


async def test_a_lock_that_somebody_else_holds_is_waited_out(house: House) -> None:
    await house.ledger.open(ASKED)
    await house.disk.tried()
    other = sqlite3.connect(house.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(Unavailable, match="locked"):
        await house.ledger.open(ask(2))
    await house.disk.tried()
    house.ledger.settle(ANSWERED)
    for _ in range(2):
        await house.disk.tried()
    other.execute("ROLLBACK")
    other.close()
    await house.ledger.flush()

    assert house.outcomes() == {"r1": "complete"}


async def test_reservations_that_were_queued_when_the_disk_failed_are_refused(house: House) -> None:
    await house.ledger.open(ASKED)
    await house.disk.tried()
    house.disk.may_write.clear()
    house.disk.fault = "raise"
    house.ledger.settle(ANSWERED)
    await house.disk.tried()
    queued = [asyncio.create_task(house.ledger.open(ask(number))) for number in range(2, 5)]
    await asyncio.sleep(0)
    house.disk.may_write.set()

    answers = await asyncio.gather(*queued, return_exceptions=True)
    assert [type(answer) for answer in answers] == [Unavailable] * 3


async def test_close_on_a_failing_disk_ends_and_says_what_is_left(tmp_path: Path) -> None:
    house = House(tmp_path / "ledger.db")
    await house.ledger.open(ask(0))
    await house.ledger.open(ask(1))
    house.disk.fault = "PRAGMA query_only = ON"
    house.ledger.settle(answer(0))
    flushing = asyncio.create_task(house.ledger.flush())
    await asyncio.sleep(0)
    with pytest.raises(Unavailable, match="1 settlements unwritten"):
        await house.ledger.close()
    with pytest.raises(Unavailable, match="cannot be written"):
        await flushing

    after = SqliteLedger(house.path)
    assert await after.recover() == 2
    await after.close()


async def test_recovery_on_a_failing_disk_says_so_and_can_be_repeated(house: House) -> None:
    house.disk.fault = "PRAGMA query_only = ON"
    with pytest.raises(Unavailable, match="cannot be written"):
        await house.ledger.recover()
    house.disk.fault = "PRAGMA query_only = OFF"
    assert await house.ledger.recover() == 0


async def test_no_more_is_opened_than_may_be_unsettled(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "MOST_UNSETTLED", 2)
    await house.ledger.open(ask(0))
    await house.ledger.open(ask(1))
    with pytest.raises(Unavailable, match="2 requests are not settled yet"):
        await house.ledger.open(ask(2))
    house.ledger.settle(answer(0))
    await house.ledger.flush()
    await house.ledger.open(ask(2))


# Odd values

ODD = {
    "half a surrogate pair": replace(ANSWERED, error_kind="\ud800"),
    "an integer of more than 64 bits": replace(ANSWERED, upstream_status=2**70),
}


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
async def test_a_value_that_sqlite_cannot_hold_keeps_no_other_row_from_the_disk(house: House, odd: Settlement) -> None:
    await house.ledger.open(ASKED)
    await house.ledger.open(ask(2))
    house.ledger.settle(odd)
    house.ledger.settle(answer(2))
    await house.ledger.flush()

    assert house.outcomes() == {"r2": "complete", "r1": "complete"}


async def test_nor_does_it_when_the_group_is_several_statements(house: House) -> None:
    """The transaction that has begun is taken back before the group is tried anew."""
    house.disk.may_write.clear()
    first = asyncio.create_task(house.ledger.open(ASKED))
    await house.disk.tried()
    others = [asyncio.create_task(house.ledger.open(ask(number))) for number in range(2, 100)]
    odd = asyncio.create_task(house.ledger.open(replace(ask(100), model="\udfff!")))
    await asyncio.sleep(0)
    house.disk.may_write.set()
    await asyncio.gather(first, *others, odd)

    assert len(house.outcomes()) == 100


async def test_a_request_of_odd_text_is_in_the_ledger(house: House) -> None:
    await house.ledger.open(replace(ASKED, model="\udfff!"))

    assert last_entries(house.path, 1)[0].model == "\\udfff!"


# Recovery


async def test_recovery_looks_only_at_what_came_after_the_last_one(tmp_path: Path) -> None:
    """A ledger of years must not slow down the start."""
    path = tmp_path / "ledger.db"
    for life in range(3):
        ledger = SqliteLedger(path)
        assert await ledger.recover() == (1 if life else 0)
        await ledger.open(ask(life))
        await ledger.close()

    with sqlite3.connect(path) as connection:
        # Three reservations and two settlements; the last life found four of these postings.
        assert connection.execute("SELECT seq FROM recovered").fetchall() == [(3,)]
    connection.close()


async def test_what_an_earlier_recovery_has_seen_is_not_looked_at_again(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    ledger = SqliteLedger(path)
    await ledger.open(ASKED)
    await ledger.close()
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("UPDATE recovered SET seq = 1")
    connection.close()

    ledger = SqliteLedger(path)
    assert await ledger.recover() == 0
    await ledger.close()


async def test_recovery_asks_the_clock_it_was_given(tmp_path: Path) -> None:
    for _ in range(2):
        ledger = SqliteLedger(tmp_path / "ledger.db", clock_ms=lambda: 7)
        await ledger.recover()
        if not last_entries(tmp_path / "ledger.db", 1):
            await ledger.open(ASKED)
        await ledger.close()

    assert last_entries(tmp_path / "ledger.db", 1)[0].settled_ms == 7


# The file


async def test_the_settings_that_durability_rests_on(tmp_path: Path) -> None:
    connection = connect_for_writing(tmp_path / "ledger.db")
    wanted = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "mmap_size": 0, "wal_autocheckpoint": 1000}
    assert {name: connection.execute(f"PRAGMA {name}").fetchone()[0] for name in wanted} == wanted
    connection.close()


async def test_the_file_is_its_owners_alone(tmp_path: Path) -> None:
    ledger = SqliteLedger(tmp_path / "ledger.db")
    await ledger.open(ASKED)
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in files_in(tmp_path)}
    await ledger.close()

    assert modes == {"ledger.db": 0o600, "ledger.db-shm": 0o600, "ledger.db-wal": 0o600}


async def test_the_ledger_makes_one_connection_that_writes(tmp_path: Path) -> None:
    made: list[sqlite3.Connection] = []

    def connect(path: Path) -> sqlite3.Connection:
        made.append(connect_for_writing(path))
        return made[-1]

    ledger = SqliteLedger(tmp_path / "ledger.db", connect=connect)
    await ledger.recover()
    await ledger.open(ASKED)
    ledger.settle(ANSWERED)
    await ledger.close()

    assert len(made) == 1


async def test_close_leaves_one_file_with_everything_in_it(tmp_path: Path) -> None:
    ledger = SqliteLedger(tmp_path / "ledger.db")
    await ledger.open(ASKED)
    await ledger.close()

    assert [file.name for file in files_in(tmp_path)] == ["ledger.db"]
    assert len(last_entries(tmp_path / "ledger.db", 10)) == 1


async def test_close_empties_the_wal_though_a_reader_keeps_the_file_open(house: House) -> None:
    await house.ledger.open(ASKED)
    reader = sqlite3.connect(house.path, isolation_level=None)
    reader.execute("SELECT * FROM posting").fetchall()
    await house.ledger.close()
    size = house.path.with_name("ledger.db-wal").stat().st_size
    reader.close()

    assert size == 0


async def test_a_reader_in_the_way_of_the_last_checkpoint_costs_nothing_but_the_wal(house: House) -> None:
    await house.ledger.open(ASKED)
    reader = sqlite3.connect(house.path, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM posting").fetchall()
    await house.ledger.open(ask(2))
    await house.ledger.close()
    reader.close()

    assert len(house.outcomes()) == 2


async def test_the_wal_stays_bounded(tmp_path: Path) -> None:
    ledger = SqliteLedger(tmp_path / "ledger.db")
    for start in range(0, 3_000, 300):
        numbers = range(start, start + 300)
        await asyncio.gather(*(ledger.open(replace(ask(number), model="m" * 4_000)) for number in numbers))
    wal = (tmp_path / "ledger.db-wal").stat().st_size
    await ledger.close()

    # 12 MB were written. A checkpoint is due every 1,000 pages of 4 KiB, after the batch that reaches them.
    assert wal < 8 * 1024 * 1024


BROKEN: dict[str, Callable[[Path], object]] = {
    "a folder": lambda path: path.mkdir(),
    "something else": lambda path: path.write_bytes(b"no database at all, but long enough for a header" * 100),
}


@pytest.mark.parametrize("breaking", BROKEN.values(), ids=BROKEN)
def test_a_file_that_is_no_ledger_is_refused(tmp_path: Path, breaking: Callable[[Path], object]) -> None:
    breaking(tmp_path / "ledger.db")
    with pytest.raises(LedgerError, match=r"ledger\.db"):
        SqliteLedger(tmp_path / "ledger.db")


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match=r"nowhere/ledger\.db' cannot be opened"):
        SqliteLedger(tmp_path / "nowhere" / "ledger.db")


async def test_a_file_that_is_read_only_reserves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    await SqliteLedger(path).close()

    def connect(path: Path) -> sqlite3.Connection:
        return sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, isolation_level=None, check_same_thread=False)

    ledger = SqliteLedger(path, connect=connect)
    with pytest.raises(Unavailable, match="readonly"):
        await ledger.open(ASKED)
    await ledger.close()


# Migrations


def schema(connection: sqlite3.Connection) -> list[tuple[str, str, str]]:
    return connection.execute("SELECT type, name, sql FROM sqlite_schema ORDER BY name").fetchall()


def test_migration_makes_a_ledger_of_an_empty_file_and_changes_it_no_more(tmp_path: Path) -> None:
    connection = connect_for_writing(tmp_path / "ledger.db")
    behind = missing_migrations(connection)
    migrate(connection)
    first = schema(connection)
    migrate(connection)

    assert behind > 0
    assert missing_migrations(connection) == 0
    assert schema(connection) == first
    assert {"posting", "attempt", "entry"} <= {name for _, name, _ in first}
    connection.close()


def test_a_ledger_of_a_newer_version_is_refused_and_not_touched(tmp_path: Path) -> None:
    connection = connect_for_writing(tmp_path / "ledger.db")
    connection.execute("PRAGMA user_version = 99")
    connection.close()

    with pytest.raises(NewerLedger, match="schema 99, this Thalweg knows 2"):
        SqliteLedger(tmp_path / "ledger.db")
    connection = sqlite3.connect(tmp_path / "ledger.db")
    assert schema(connection) == []
    connection.close()


def test_a_migration_that_fails_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = "CREATE TABLE one (a);\n-- a comment; with a semicolon\nCREATE TABLE two (a);\nCREATE TABLE one (a);\n"
    monkeypatch.setattr(store, "_migrations", lambda: (script,))
    with pytest.raises(LedgerError, match="cannot be brought up to date"):
        SqliteLedger(tmp_path / "ledger.db")

    connection = sqlite3.connect(tmp_path / "ledger.db")
    assert schema(connection) == []
    assert connection.execute("PRAGMA user_version").fetchone() == (0,)
    connection.close()


def test_migrations_go_on_where_the_file_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "_migrations", lambda: ("CREATE TABLE one (a);",))
    connection = connect_for_writing(tmp_path / "ledger.db")
    migrate(connection)
    monkeypatch.setattr(store, "_migrations", lambda: ("CREATE TABLE one (a);", "ALTER TABLE one ADD b;"))
    migrate(connection)

    assert [row[1] for row in connection.execute("PRAGMA table_info (one)")] == ["a", "b"]
    connection.close()


async def test_a_file_from_before_texts_were_gone_on_with_is_brought_up_to_date(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    all_steps = store._migrations()
    path = tmp_path / "ledger.db"
    monkeypatch.setattr(store, "_migrations", lambda: all_steps[:1])
    old = connect_for_writing(path)
    migrate(old)
    names = [row[1] for row in old.execute("PRAGMA table_info (posting)") if row[1] != "seq"]
    assert "continued" not in names
    told = dict(zip(Reservation.__struct_fields__, astuple(ASKED), strict=True)) | {"kind": "reserved"}
    values = [told.get(name) for name in names]
    old.execute(f"INSERT INTO posting ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})", values)
    old.close()
    monkeypatch.setattr(store, "_migrations", lambda: all_steps)

    ledger = SqliteLedger(path)
    await ledger.recover()
    await ledger.open(replace(ASKED, request_id="new"))
    await ledger.open(replace(ASKED, request_id="new", attempt=2, continued=True))
    await ledger.close()
    entries = {entry.request_id: entry for entry in last_entries(path, 10)}
    assert {name: (entry.attempts, entry.continued) for name, entry in entries.items()} == {
        ASKED.request_id: (1, 0),
        "new": (2, 1),
    }


async def test_the_columns_for_money_wait_unused(house: House) -> None:
    await house.ledger.open(ASKED)
    connection = sqlite3.connect(house.path)
    row = connection.execute("SELECT cost_nano, currency, price_version FROM posting").fetchone()
    connection.close()

    assert row == (None, None, None)


@pytest.mark.parametrize(
    ("version", "warned"), [((3, 40, 1), True), ((3, 51, 2), True), ((3, 51, 3), False), ((3, 52, 0), False)]
)
def test_an_unsound_sqlite_is_named(version: tuple[int, ...], warned: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite3, "sqlite_version_info", version)
    monkeypatch.setattr(sqlite3, "sqlite_version", ".".join(map(str, version)))
    sentence = sqlite_version_warning()

    assert (sentence is not None) == warned
    if sentence:
        assert sentence.startswith(f"SQLite {'.'.join(map(str, version))} can corrupt")


async def test_a_conflict_is_found_in_a_file_too_old_to_be_remembered(house: House) -> None:
    await house.ledger.open(ASKED)
    house.ledger.settle(ANSWERED)
    for number in range(2, 200):
        await house.ledger.open(ask(number))

    with pytest.raises(Conflict):
        await house.ledger.open(ASKED)
