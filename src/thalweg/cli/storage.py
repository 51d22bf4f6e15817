"""What `thalweg doctor` finds where the ledger lives: SQLite, the folder, and the file in it."""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
from collections.abc import Iterator

from thalweg.cli.layout import short_path
from thalweg.cli.machine import Finding, Machine
from thalweg.cli.told import told
from thalweg.cli.visible import readable
from thalweg.ledger.entry import LedgerError
from thalweg.ledger.store import SOUND_SQLITE, sqlite_version_warning

LEAST_DISK = 1024**3
NO_DISK = 64 * 1024**2
_MIB, _GIB = 1024**2, 1024**3


def sqlite(_: Machine) -> Iterator[Finding]:
    """SQLite, which the ledger rests on."""
    old = sqlite_version_warning() is not None
    values: dict[str, str | int] = {"version": sqlite3.sqlite_version, "sound": ".".join(map(str, SOUND_SQLITE))}
    yield Finding("warn" if old else "ok", "sqlite_old" if old else "sqlite", values)


def home(machine: Machine) -> Iterator[Finding]:
    """Whether the ledger's folder can be written, and has room."""
    folder = next(each for each in (machine.home, *machine.home.parents) if each.exists())
    values: dict[str, str | int] = {
        "home": readable(short_path(machine.home)),
        "folder": readable(short_path(folder)),
        "path": readable(str(machine.home)),
    }
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        yield Finding("fail", "home_closed", values)
        return
    free = shutil.disk_usage(folder).free
    values["free"] = f"{free / _GIB:,.1f} GiB" if free >= _GIB else f"{free / _MIB:,.0f} MiB"
    if free < LEAST_DISK:
        yield Finding("fail" if free < NO_DISK else "warn", "home_full", values)
    else:
        yield Finding("ok", "home" if folder == machine.home else "home_new", values)


def ledger(machine: Machine) -> Iterator[Finding]:
    """Whether the ledger can be read."""
    if not machine.ledger.exists():
        yield Finding("note", "ledger_none")
        return
    try:
        entry = machine.last_entry
    except LedgerError as error:
        yield Finding("fail", "ledger_broken", {"why": told(error)})
        return
    size = sum(file.stat().st_size for file in machine.home.glob("ledger.db*"))
    last = time.strftime("%Y-%m-%d %H:%M", time.localtime(entry.opened_ms / 1000)) if entry else "–"
    yield Finding("ok", "ledger", {"size": f"{size / _MIB:,.1f} MiB", "last": last})
