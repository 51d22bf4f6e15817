"""One server per home directory. The lock is on a file that names its holder; it knows nothing of ledgers.

The file's first line is the holder's process, its second one where the holder listens, once it does.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from thalweg.ledger.entry import LedgerError

LOCK_FILE = "server.lock"
_MOST_BYTES = 1024


class RunningServer(NamedTuple):
    """Who holds a home."""

    pid: int
    address: str | None
    """Where it listens, as a URL; `None` before it does."""


class HomeLocked(LedgerError):
    """Another server uses this home. `pid` is its process; `None` when it has not written that yet."""

    def __init__(self, home: Path, pid: int | None) -> None:
        who = f"process {pid}" if pid is not None else "another process"
        super().__init__(
            f"{str(home)!r} is in use by {who}; one server per home",
            code="home_locked" if pid is not None else "home_taken",
            home=str(home),
            pid=pid,
        )
        self.home = home
        self.pid = pid


class HomeLock:
    """The right to be the one server of a home, from `acquire` to `release` or the end of the process.

    The operating system gives the lock back however the process ends, `kill -9` included. The file stays: to remove
    it would let two servers hold the locks of two files of one name.
    """

    def __init__(self, home: Path) -> None:
        self._home = home
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Take the lock, or raise `HomeLocked` at once. A home that is not there yet is made."""
        self._home.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self._home / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        except BlockingIOError:
            holder = _read_holder(descriptor)
            os.close(descriptor)
            raise HomeLocked(self._home, holder.pid if holder else None) from None
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor

    def announce(self, address: str) -> None:
        """Say where the holder listens, for `running_server`. The file is never without its first line meanwhile."""
        assert self._descriptor is not None, "only the holder announces itself"
        text = f"{os.getpid()}\n{address}\n".encode()
        os.pwrite(self._descriptor, text, 0)
        os.ftruncate(self._descriptor, len(text))

    def release(self) -> None:
        """Give the lock back, and the name with it. Without one, nothing happens."""
        if self._descriptor is not None:
            os.ftruncate(self._descriptor, 0)
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def running_server(home: Path) -> RunningServer | None:
    """Who holds the home at this moment; `None` when nobody does. What a dead holder left in the file is no holder."""
    try:
        descriptor = os.open(home / LOCK_FILE, os.O_RDONLY)
    except OSError:
        return None
    try:
        holder = _read_holder(descriptor)
        if holder is None or not _lives(holder.pid) or not _is_locked(descriptor):
            return None
        return holder
    finally:
        os.close(descriptor)


def _read_holder(descriptor: int) -> RunningServer | None:
    pid, _, rest = os.pread(descriptor, _MOST_BYTES, 0).decode("ascii", "replace").partition("\n")
    return RunningServer(int(pid), rest.strip() or None) if pid.isascii() and pid.isdigit() else None


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:  # it is another user's
        return True
    return True


def _is_locked(descriptor: int) -> bool:
    """Whether somebody holds it. Asked of a living process's lock only: for an instant it is taken to find out."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False
