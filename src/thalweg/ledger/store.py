"""The ledger in one SQLite file. How the file is read is told in `report`; what may be asked is told in `entry`.

One thread owns the one connection that writes, so that no two ever write or checkpoint at once (SQLite before 3.51.3
can corrupt a WAL file when they do). It sleeps until something is queued, takes all that is queued, commits it
together, and wakes the event loop once.

Nobody waits for a settlement, so it wakes nobody: it lies until the thread is woken for a reservation, and rides in the
same commit, or until `SETTLE_WITHIN_S` is over. What dies meanwhile is found open, as `crashed`, by the next `recover`.

A batch is one INSERT of many rows and nothing else. sqlite3 lets go of the GIL for each step of a statement and must
win it back from the event loop afterwards; `executemany` would do that once for each row, and BEGIN and COMMIT would
do it twice more. Measured with 50 requests at once: 17 µs of CPU for a reservation and its settlement, against 20.

When a write fails, the reservations in it fail, the settlements are kept and tried again, and until they are on disk
nothing new is reserved. So at most as many settlements wait as attempts were open.
"""

from __future__ import annotations

import asyncio
import re
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from itertools import chain
from pathlib import Path
from queue import SimpleQueue
from types import MappingProxyType
from typing import Any

import msgspec
from msgspec.structs import astuple

from thalweg.canon.errors import Conflict, GatewayError, Unavailable
from thalweg.ledger.entry import LedgerError, Reservation, Settlement, believable, withdrawn

SOUND_SQLITE = (3, 51, 3)
"""The first SQLite in which two connections may write and checkpoint one WAL file at once."""
SOUND_BACKPORTS = ((3, 44, 6), (3, 50, 7))
"""The first ones of older lines that have the same mend (sqlite.org/wal.html, "The WAL-Reset Bug")."""
WITHDRAWN_SQLITE = (3, 52, 0)
"""Published on 2026-03-06 and taken back within a week. It has the mend, and faults of its own."""

BUSY_TIMEOUT_S = 0.8
"""How long to wait for somebody else's lock on the file. A client shall know within a second that we cannot write."""

MOST_UNSETTLED = 65_536
"""Attempts open or on their way to disk. Each may come to hold a row of about a kilobyte while the disk fails."""

ROWS_A_STATEMENT = 64
"""28 parameters each: far below SQLite's 32,766, and each smaller size is prepared once and kept."""

SETTLE_WITHIN_S = 0.05
"""How long a settlement may lie until the thread is woken for it alone."""

FIRST_PAUSE_S = 0.05
LONGEST_PAUSE_S = 1.0

Row = tuple[object, ...]
"""A posting in the order of the columns of `add_postings`."""

Key = tuple[str, int]
"""Request and attempt."""

# SQLite stores NaN as NULL (sqlite.org/floatingpoint.html). It is bound at once, where None takes the way through the
# adapter below, 1,400 instructions each time.
_NULL = float("nan")
_NO_RESERVATION = (_NULL,) * 9
_NO_SETTLEMENT = (_NULL,) * 16


def _itself(value: None) -> None:
    return value


# sqlite3 asks every parameter that is no number and no text how it wants to be stored, and for None looks for an answer
# in five places before it takes it as it is. A posting has up to 19 of them: 7 of 17 µs for a request's two.
sqlite3.register_adapter(type(None), _itself)


class NewerLedger(LedgerError):
    """The file was written by a newer Thalweg, and we do not know what its columns mean."""


class SqliteLedger:
    """A ledger in one SQLite file, for one event loop. Lives from its making to `close`.

    `connect` makes the writing connection; `clock_ms` is asked by `recover` alone.
    Making one opens, or creates, and migrates the file, which takes some milliseconds: `LedgerError` when it cannot.
    """

    def __init__(
        self,
        path: Path,
        *,
        clock_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        connect: Callable[[Path], sqlite3.Connection] | None = None,
    ) -> None:
        connection = _open_file(path, connect or connect_for_writing)
        self._clock_ms = clock_ms
        self._found_seq: int = connection.execute(named_queries()["last_seq"]).fetchone()[0]
        self._writer = _Writer(connection, self._found_seq, self._opened)
        self._opening: set[Key] = set()
        self._open: set[Key] = set()
        self._taken = 0
        self._reminder: asyncio.TimerHandle | None = None
        """Wakes the writer for settlements, if nothing else has until then."""
        self._closed = False

    @property
    def unsettled(self) -> int:
        """How many attempts opened here are not settled on disk yet."""
        return len(self._opening) + len(self._open) + self._taken - self._writer.settled

    @property
    def writable(self) -> bool:
        """Whether the last write went well and not too much is unsettled."""
        return not self._closed and self._writer.fault is None and self.unsettled < MOST_UNSETTLED

    async def open(self, reservation: Reservation) -> None:
        """Reserve, durably when it returns. See `Store.open`."""
        key = (reservation.request_id, reservation.attempt)
        self._admit(key)
        waiter = asyncio.get_running_loop().create_future()
        opening = _Opening(key, _reserved(reservation), waiter, reservation)
        self._opening.add(key)
        self._writer.queue.put(opening)
        try:
            await waiter
        except asyncio.CancelledError:
            # Cancelled between the answer and the turn of the loop that would have brought it here.
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                self.settle(withdrawn(reservation))
            raise

    def settle(self, settlement: Settlement) -> bool:
        """Take a settlement and return at once. See `Store.settle`."""
        key = (settlement.request_id, settlement.attempt)
        if self._closed or key not in self._open:
            return False
        self._open.remove(key)
        self._taken += 1
        self._writer.settlements.append(_settled(believable(settlement)))
        if self._reminder is None:
            self._reminder = asyncio.get_running_loop().call_later(SETTLE_WITHIN_S, self._remind)
        return True

    async def flush(self) -> None:
        """Return when every settlement taken so far is on disk. See `Store.flush`."""
        await self._ask(_nothing)

    async def recover(self) -> int:
        """Settle as `crashed` what was open when this ledger was made; return how many. See `Store.recover`."""
        at_ms, last_seq = self._clock_ms(), self._found_seq
        found: int = await self._ask(lambda connection: _settle_crashed(connection, at_ms, last_seq))
        return found

    async def close(self) -> None:
        """Write what is left, checkpoint and stop the thread. See `Store.close`."""
        if self._closed:
            return
        self._closed = True
        if self._reminder is not None:
            self._reminder.cancel()
        ending = _Ending(asyncio.get_running_loop().create_future())
        self._writer.urge(ending)
        left = await ending.waiter
        self._writer.join()
        if left:
            raise Unavailable(f"the ledger was closed with {left} settlements unwritten")

    def _admit(self, key: Key) -> None:
        if self._closed:
            raise Unavailable("the ledger is closed")
        if self._writer.fault is not None:
            raise _unwritable(self._writer.fault)
        if self.unsettled >= MOST_UNSETTLED:
            raise Unavailable(f"{MOST_UNSETTLED} requests are not settled yet")
        if key in self._open or key in self._opening:
            raise _conflict(key)

    def _remind(self) -> None:
        self._reminder = None
        if self._writer.settlements:
            self._writer.queue.put(_Reminder())

    def _opened(self, opening: _Opening, error: GatewayError | None) -> None:
        """Take the writer's word on one reservation."""
        self._opening.remove(opening.key)
        if error is None:
            self._open.add(opening.key)
        if not opening.waiter.done():
            _conclude(opening.waiter, error)
        elif error is None:
            # The task that waited was cancelled, and nobody else knows of this attempt.
            self.settle(withdrawn(opening.reservation))

    async def _ask(self, run: Callable[[sqlite3.Connection], object]) -> Any:
        if self._closed:
            raise Unavailable("the ledger is closed")
        question = _Question(run, asyncio.get_running_loop().create_future())
        self._writer.urge(question)
        return await question.waiter


class _Opening(msgspec.Struct, frozen=True, eq=False):
    """A reservation to be written, and who waits for it."""

    key: Key
    row: Row
    waiter: asyncio.Future[None]
    reservation: Reservation


class _Reminder(msgspec.Struct, frozen=True):
    """There are settlements to be written. Nobody waits."""


class _Question(msgspec.Struct, frozen=True, eq=False):
    """Something to be done on the writing connection, once no settlement is waiting any more."""

    run: Callable[[sqlite3.Connection], object]
    waiter: asyncio.Future[Any]


class _Ending(msgspec.Struct, frozen=True, eq=False):
    """The last thing in the queue. Answered with the number of settlements that could not be written."""

    waiter: asyncio.Future[int]


_Work = _Opening | _Reminder | _Question | _Ending


class _Writer:
    """The thread that owns the writing connection, and what it has taken from the queue and not finished.

    The event loop touches `queue`, `settlements` and `urge`, and reads `fault` and `settled`. All else belongs to the
    thread.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        last_seq: int,
        opened: Callable[[_Opening, GatewayError | None], None],
    ) -> None:
        self.queue: SimpleQueue[_Work] = SimpleQueue()
        self.settlements: deque[Row] = deque()
        """What the thread takes along whenever it is awake."""
        self.fault: Exception | None = None
        """Why settlements are waiting for another try; `None` when all goes well."""
        self.settled = 0
        """How many settlements are on disk."""

        self._connection = connection
        self._last_seq = last_seq
        self._opened = opened
        self._openings: list[_Opening] = []
        self._settlings: list[Row] = []
        self._questions: list[_Question] = []
        self._ending: _Ending | None = None
        self._pause_s = FIRST_PAUSE_S
        self._urged = threading.Event()

        self._thread = threading.Thread(target=self._run, name="thalweg-ledger", daemon=True)
        self._thread.start()

    def urge(self, work: _Work) -> None:
        """Queue this, and cut short a pause after a failure."""
        self.queue.put(work)
        self._urged.set()

    def join(self) -> None:
        """Wait for the thread to end, as it does after an `_Ending`."""
        self._thread.join()

    def _run(self) -> None:
        while self._ending is None:
            self._take()
            self._write()
            self._answer()
        self._finish(self._ending)

    def _take(self) -> None:
        """Sleep until there is something to do, then take all there is."""
        if self.fault is None:
            self._keep(self.queue.get())
        else:
            self._urged.wait(self._pause_s)
            self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)
        self._urged.clear()
        # Nobody else takes from the queue, so what it holds now can be had without waiting.
        for _ in range(self.queue.qsize()):
            self._keep(self.queue.get())
        self._settlings += [self.settlements.popleft() for _ in range(len(self.settlements))]

    def _keep(self, work: _Work) -> None:
        if isinstance(work, _Opening):
            self._openings.append(work)
        elif isinstance(work, _Question):
            self._questions.append(work)
        elif isinstance(work, _Ending):
            self._ending = work

    def _write(self) -> None:
        """Commit all that was taken, or none of it."""
        if not (self._openings or self._settlings):
            return
        try:
            refused = self._commit()
        except Exception as fault:  # noqa: BLE001  # The edge of the thread: if it died, every request would hang.
            self.fault = fault if self._settlings else None
            self._tell([(opening, _unwritable(fault)) for opening in self._openings])
        else:
            self.fault, self._pause_s = None, FIRST_PAUSE_S
            self.settled += len(self._settlings)
            self._settlings = []
            self._tell([(opening, refused.get(opening.key)) for opening in self._openings])
        self._openings = []

    def _commit(self) -> dict[Key, GatewayError]:
        """Write one batch; return the reservations that were in the ledger already."""
        rows = self._settlings + [opening.row for opening in self._openings]
        try:
            added, last_seq = _insert(self._connection, rows)
        except (UnicodeError, OverflowError):
            added, last_seq = _insert(self._connection, [_storable(row) for row in rows])
        refused = self._find_repeated() if added < len(rows) else {}
        self._last_seq = max(self._last_seq, last_seq)
        return refused

    def _find_repeated(self) -> dict[Key, GatewayError]:
        refused: dict[Key, GatewayError] = {}
        for opening in self._openings:
            wanted = (*opening.key, self._last_seq)
            if self._connection.execute(named_queries()["reserved_since"], wanted).fetchone() is None:
                refused[opening.key] = _conflict(opening.key)
        return refused

    def _tell(self, news: list[tuple[_Opening, GatewayError | None]]) -> None:
        """Wake the event loop, once for all who wait there."""
        if news:
            _call_soon(news[0][0].waiter, self._tell_each, news)

    def _tell_each(self, news: list[tuple[_Opening, GatewayError | None]]) -> None:
        for opening, error in news:
            self._opened(opening, error)

    def _answer(self) -> None:
        """Do what was asked, unless settlements wait for another try: `flush` waits with them."""
        if self._settlings and self._ending is None:
            return
        for question in self._questions:
            self._answer_one(question)
        self._questions = []

    def _answer_one(self, question: _Question) -> None:
        try:
            if self.fault is not None:
                raise self.fault
            answer = question.run(self._connection)
        except Exception as fault:  # noqa: BLE001  # As in `_write`.
            _call_soon(question.waiter, _conclude, question.waiter, _unwritable(fault))
        else:
            _call_soon(question.waiter, _conclude, question.waiter, None, answer)

    def _finish(self, ending: _Ending) -> None:
        try:
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except sqlite3.Error:
            pass  # The WAL stays, and with it all that was committed; the next to open the file checkpoints it.
        finally:
            self._connection.close()
            _call_soon(ending.waiter, _conclude, ending.waiter, None, len(self._settlings))


def is_sound_sqlite(version: tuple[int, ...]) -> bool:
    """Whether two connections may write and checkpoint one WAL file at once."""
    lines: dict[tuple[int, ...], tuple[int, ...]] = {sound[:2]: sound for sound in SOUND_BACKPORTS}
    return version >= lines.get(version[:2], SOUND_SQLITE)


def sqlite_version_warning() -> str | None:
    """Return a sentence when this SQLite is older than is sound, else `None`."""
    if is_sound_sqlite(sqlite3.sqlite_version_info):
        return None
    sound = ".".join(map(str, SOUND_SQLITE))
    return (
        f"SQLite {sqlite3.sqlite_version} can corrupt a ledger that two programs write at once (fixed in {sound}); "
        "let nothing but the server write to it."
    )


def connect_for_writing(path: Path) -> sqlite3.Connection:
    """Open the file, or create it for its owner alone, with the settings that durability rests on.

    Statements commit by themselves (`isolation_level=None`), each commit reaches the disk (`synchronous=FULL`), and
    checkpoints come every 1,000 pages, on this connection (`wal_autocheckpoint`, the default).
    """
    path.touch(mode=0o600)
    connection = sqlite3.connect(
        path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False, cached_statements=256
    )
    for setting in (
        "journal_mode = WAL",
        "synchronous = FULL",
        "foreign_keys = ON",
        "mmap_size = 0",
        # What a long reader made the WAL grow to is given back at the next reset.
        "journal_size_limit = 16777216",
    ):
        connection.execute(f"PRAGMA {setting}").close()
    return connection


def migrate(connection: sqlite3.Connection) -> None:
    """Bring the file to the newest schema, each numbered step in a transaction of its own.

    `NewerLedger` when the file is ahead of us; it is not touched.
    """
    steps = _migrations()
    for number in range(len(steps) - missing_migrations(connection) + 1, len(steps) + 1):
        with _transaction(connection):
            for statement in _statements(steps[number - 1]):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {number}")


def missing_migrations(connection: sqlite3.Connection) -> int:
    """Return how many steps the file is behind. `NewerLedger` when it is ahead."""
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    known = len(_migrations())
    if version > known:
        raise NewerLedger(f"the ledger has schema {version}, this Thalweg knows {known}; a newer one wrote it")
    return known - version


@cache
def named_queries() -> Mapping[str, str]:
    """Return the statements of queries.sql by name, without their comments."""
    text = (files("thalweg.ledger") / "queries.sql").read_text("utf-8")
    pieces = re.split(r"(?m)^-- (\w+) --\n", text)
    statements = (re.sub(r"(?m)^--.*\n", "", piece).strip() for piece in pieces[2::2])
    return MappingProxyType(dict(zip(pieces[1::2], statements, strict=True)))


@cache
def _migrations() -> tuple[str, ...]:
    """Return the scripts in order; the n-th leads from schema n-1 to n."""
    scripts = sorted(
        (each for each in (files("thalweg.ledger") / "migrations").iterdir() if each.name.endswith(".sql")), key=_number
    )
    if [_number(script) for script in scripts] != list(range(1, len(scripts) + 1)):
        raise LedgerError("the migrations are not numbered 1, 2, 3 …")
    return tuple(script.read_text("utf-8") for script in scripts)


def _number(script: Traversable) -> int:
    return int(script.name.partition("_")[0])


def _statements(script: str) -> Iterator[str]:
    """Cut a script where a statement is complete. `executescript` would commit the transaction around it."""
    gathered = ""
    for line in script.splitlines(keepends=True):
        gathered += line
        if sqlite3.complete_statement(gathered):
            yield gathered
            gathered = ""


def _open_file(path: Path, connect: Callable[[Path], sqlite3.Connection]) -> sqlite3.Connection:
    try:
        connection = connect(path)
    except (OSError, sqlite3.Error) as fault:
        raise LedgerError(f"the ledger {str(path)!r} cannot be opened: {fault}") from fault
    try:
        migrate(connection)
    except sqlite3.Error as fault:
        connection.close()
        raise LedgerError(f"the ledger {str(path)!r} cannot be brought up to date: {fault}") from fault
    except BaseException:
        connection.close()
        raise
    return connection


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    finally:
        # Some failures, a full disk among them, have rolled back already.
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def _insert(connection: sqlite3.Connection, rows: list[Row]) -> tuple[int, int]:
    """Write all rows or none; return how many were new and the `seq` of the last new one."""
    if len(rows) <= ROWS_A_STATEMENT:
        return _insert_few(connection, rows)
    with _transaction(connection):
        done = [
            _insert_few(connection, rows[start : start + ROWS_A_STATEMENT])
            for start in range(0, len(rows), ROWS_A_STATEMENT)
        ]
    return sum(added for added, _ in done), max(last_seq for _, last_seq in done)


def _insert_few(connection: sqlite3.Connection, rows: list[Row]) -> tuple[int, int]:
    cursor = connection.execute(_insert_statement(len(rows)), tuple(chain.from_iterable(rows)))
    return cursor.rowcount, cursor.lastrowid or 0


@cache
def _insert_statement(rows: int) -> str:
    query = named_queries()["add_postings"]
    width = 1 + len(Reservation.__struct_fields__) + len(_NO_SETTLEMENT)
    one = f"({', '.join('?' * width)})"
    return query.format(rows=", ".join([one] * rows))


def _settle_crashed(connection: sqlite3.Connection, at_ms: int, last_seq: int) -> int:
    queries, values = named_queries(), {"at_ms": at_ms, "last_seq": last_seq}
    with _transaction(connection):
        found = connection.execute(queries["settle_crashed"], values).rowcount
        connection.execute(queries["remember_recovery"], values)
    return found


def _nothing(_connection: sqlite3.Connection) -> None:
    return None


def _reserved(reservation: Reservation) -> Row:
    *values, stream, simulated, continued = astuple(reservation)
    # sqlite3 binds an int at once; for a bool it first searches for an adapter.
    return ("reserved", *values, int(stream), int(simulated), int(continued), *_NO_SETTLEMENT)


def _settled(settlement: Settlement) -> Row:
    request_id, attempt, at_ms, outcome, usage, *rest = astuple(settlement)
    return ("settled", request_id, attempt, at_ms, *_NO_RESERVATION, outcome, *rest, *astuple(usage))


def _storable(row: Row) -> Row:
    """Return the row as SQLite can hold it: text in UTF-8, integers in 64 bits.

    JSON and paths can hold half a surrogate pair, and one such text must not keep a whole batch from the disk.
    """
    return tuple(_storable_value(value) for value in row)


def _storable_value(value: object) -> object:
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode("utf-8")
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        return None
    return value


def _unwritable(fault: Exception) -> Unavailable:
    # What SQLite says of itself may be told; the text of a stranger's exception may hold anything.
    reason = str(fault) if isinstance(fault, sqlite3.Error) else type(fault).__name__
    error = Unavailable(f"the ledger cannot be written: {reason}")
    error.__cause__ = fault
    return error


def _conflict(key: Key) -> Conflict:
    request_id, attempt = key
    return Conflict(f"attempt {attempt} of request {request_id!r} is in the ledger already")


def _call_soon(waiter: asyncio.Future[Any], call: Callable[..., None], *args: object) -> None:
    # A closed loop raises RuntimeError; whoever waited there is gone.
    with suppress(RuntimeError):
        waiter.get_loop().call_soon_threadsafe(call, *args)


def _conclude(waiter: asyncio.Future[Any], error: GatewayError | None, answer: object = None) -> None:
    if waiter.done():
        return
    if error is None:
        waiter.set_result(answer)
    else:
        waiter.set_exception(error)
