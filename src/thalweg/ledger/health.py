"""How a ledger's file is: whole or not, how large, how far behind. Reads only, and while a server writes."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from pathlib import Path

import msgspec

from thalweg.ledger.entry import LedgerError
from thalweg.ledger.store import BUSY_TIMEOUT_S, missing_migrations

CHECK_S = 20.0
"""How long the file may be read; `quick_check` takes about a second for a GiB that the disk has at hand."""
_STEPS = 10_000
"""Of SQLite's machine, between two looks at the clock."""
_MOST_FAULTS = 3
_PRIMARY = 0xFF
"""Of an extended error code, the part that is the primary one."""


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """What was found in the file."""

    behind: int = 0
    """How many migrations it lacks."""
    journal: str = "wal"
    """`wal`, as the ledger sets it, or what somebody else has made of it."""
    pages: int = 0
    free_pages: int = 0
    """Pages that hold nothing: `VACUUM` gives them back."""
    page_bytes: int = 0
    wal_bytes: int = 0
    faults: tuple[str, ...] = ()
    """What SQLite found wrong, in its words; empty where the file is whole as far as it was read."""
    read_whole: bool = True
    """Whether there was time for all of it."""


def look(path: Path, *, within_s: float = CHECK_S) -> Health:
    """Read the file through. `LedgerError` when it is none, cannot be read, or was written by a newer Thalweg."""
    uri = f"{path.resolve().as_uri()}?mode=ro"
    try:
        with closing(sqlite3.connect(uri, uri=True, timeout=BUSY_TIMEOUT_S, isolation_level=None)) as connection:
            behind = missing_migrations(connection)
            faults, read_whole = _faults(connection, within_s)
            return Health(
                behind=behind,
                journal=str(_pragma(connection, "journal_mode")),
                pages=int(_pragma(connection, "page_count")),
                free_pages=int(_pragma(connection, "freelist_count")),
                page_bytes=int(_pragma(connection, "page_size")),
                wal_bytes=_size(path.with_name(path.name + "-wal")),
                faults=faults,
                read_whole=read_whole,
            )
    except sqlite3.Error as fault:
        if fault.sqlite_errorcode & _PRIMARY == sqlite3.SQLITE_CORRUPT:
            # So broken that not even the table of tables can be read.
            return Health(faults=(str(fault),), wal_bytes=_size(path.with_name(path.name + "-wal")))
        raise LedgerError(f"the ledger {str(path)!r} cannot be read: {fault}") from fault


def _pragma(connection: sqlite3.Connection, name: str) -> str | int:
    value: str | int = connection.execute(f"PRAGMA {name}").fetchone()[0]
    return value


def _faults(connection: sqlite3.Connection, within_s: float) -> tuple[tuple[str, ...], bool]:
    """What `quick_check` says, and whether it came to its end."""
    end = time.monotonic() + within_s
    connection.set_progress_handler(lambda: time.monotonic() > end, _STEPS)
    try:
        rows = connection.execute(f"PRAGMA quick_check({_MOST_FAULTS})").fetchall()
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_INTERRUPT:
            raise
        return (), False
    finally:
        connection.set_progress_handler(None, 0)
    said = tuple(str(row[0]) for row in rows)
    return (() if said == ("ok",) else said), True


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
