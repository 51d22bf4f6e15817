"""What `thalweg doctor` finds where the ledger lives: SQLite, the folder and its disk, and the file in it."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from thalweg.cli.layout import short_path
from thalweg.cli.machine import Finding, Machine, Status
from thalweg.cli.told import told
from thalweg.cli.visible import readable
from thalweg.ledger.entry import LedgerError
from thalweg.ledger.health import Health, look
from thalweg.ledger.store import SOUND_BACKPORTS, SOUND_SQLITE, WITHDRAWN_SQLITE, is_sound_sqlite

LEAST_DISK = 1024**3
NO_DISK = 64 * 1024**2
SLOW_MS = 30.0
"""A request waits for one write like this before its upstream is asked."""
_MIB, _GIB = 1024**2, 1024**3
_WRITES = 20
_PAGE = 4096
_LONGEST_S = 2.0
_MUCH_FREE = 0.25
_LARGE_WAL = 256 * _MIB
_NETWORKED = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "ceph", "glusterfs", "fuse.sshfs", "fuse.s3fs"})
"""File systems on which SQLite's WAL does not work: its index is memory that processes of one machine share."""


def sqlite(_: Machine) -> Iterator[Finding]:
    """SQLite, which the ledger rests on."""
    status: Status = "ok"
    code = "sqlite"
    if sqlite3.sqlite_version_info == WITHDRAWN_SQLITE:
        status, code = "warn", "sqlite_withdrawn"
    elif not is_sound_sqlite(sqlite3.sqlite_version_info):
        status, code = "warn", "sqlite_old"
    sound = ".".join(map(str, SOUND_SQLITE))
    lines = ", ".join(".".join(map(str, each)) for each in SOUND_BACKPORTS)
    values: dict[str, str | int] = {"version": sqlite3.sqlite_version, "sound": sound, "lines": lines}
    yield Finding(status, code, values)


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


def disk(machine: Machine) -> Iterator[Finding]:
    """How long the disk takes to keep a page for good, and whether it is one that a ledger can live on."""
    if not machine.home.is_dir() or not os.access(machine.home, os.W_OK | os.X_OK):
        return
    values: dict[str, str | int] = {"home": readable(short_path(machine.home)), "kind": _file_system(machine.home)}
    if values["kind"] in _NETWORKED:
        yield Finding("fail", "disk_networked", values)
        return
    try:
        took_ms = _write_times_ms(machine.home)
    except OSError as error:
        yield Finding("fail", "disk_broken", values | {"why": error.strerror or str(error)})
        return
    middle = median(took_ms)
    values |= {"middle": f"{middle:,.1f}", "worst": f"{max(took_ms):,.1f}"}
    yield Finding("warn" if middle > SLOW_MS else "ok", "disk_slow" if middle > SLOW_MS else "disk", values)


def _write_times_ms(folder: Path) -> list[float]:
    """Of writing a page and having it on disk, some times over. The file has no name and leaves nothing behind."""
    took_ms, end = [], time.monotonic() + _LONGEST_S
    with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
        for _ in range(_WRITES):
            begun = time.perf_counter()
            file.write(os.urandom(_PAGE))
            os.fsync(file.fileno())
            took_ms.append((time.perf_counter() - begun) * 1000)
            if time.monotonic() > end:
                break
    return took_ms


def _file_system(folder: Path) -> str:
    """The kind of the file system that a folder is on; `?` where this system does not say."""
    try:
        lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return "?"
    best, kind, path = "", "?", folder.resolve()
    for line in lines:
        before, _, after = line.partition(" - ")
        # Blanks in names stand there in octal (proc(5)).
        place = before.split()[4].replace("\\040", " ")
        if len(place) >= len(best) and path.is_relative_to(place):
            best, kind = place, after.split()[0]
    return kind


def ledger(machine: Machine) -> Iterator[Finding]:
    """Whether the ledger is whole, and up to date."""
    if not machine.ledger.exists():
        yield Finding("note", "ledger_none")
        return
    try:
        health = look(machine.ledger)
        entry = None if health.behind or health.faults else machine.last_entry
    except LedgerError as error:
        yield Finding("fail", "ledger_broken", {"why": told(error)})
        return
    size = sum(file.stat().st_size for file in machine.home.glob("ledger.db*"))
    last = time.strftime("%Y-%m-%d %H:%M", time.localtime(entry.opened_ms / 1000)) if entry else "–"
    found = list(_worse(health, readable(str(machine.ledger))))
    if not any(each.status == "fail" for each in found):
        code = "ledger" if health.read_whole else "ledger_large"
        yield Finding("ok", code, {"size": f"{size / _MIB:,.1f} MiB", "last": last, "journal": health.journal.upper()})
    yield from found


def _worse(health: Health, path: str) -> Iterator[Finding]:
    """What is not as it should be."""
    if health.faults:
        yield Finding("fail", "ledger_damaged", {"why": "; ".join(health.faults), "path": path})
    if health.behind:
        yield Finding("note", "ledger_behind", {"count": health.behind})
    if health.journal != "wal":
        yield Finding("warn", "ledger_journal", {"journal": health.journal, "path": path})
    if health.free_pages > _MUCH_FREE * health.pages and health.free_pages * health.page_bytes > 16 * _MIB:
        free = f"{health.free_pages * health.page_bytes / _MIB:,.0f} MiB"
        yield Finding("note", "ledger_free", {"free": free, "path": path})
    if health.wal_bytes > _LARGE_WAL:
        yield Finding("warn", "ledger_wal", {"size": f"{health.wal_bytes / _MIB:,.0f} MiB"})
