"""One server per home directory. The lock is on a file that names its holder; it knows nothing of ledgers."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Self

from thalweg.ledger.entry import LedgerError

LOCK_FILE = "server.lock"


class HomeLocked(LedgerError):
    """Another server uses this home. `pid` is its process; `None` when it has not written that yet."""

    def __init__(self, home: Path, pid: int | None) -> None:
        who = f"process {pid}" if pid is not None else "another process"
        super().__init__(f"{str(home)!r} is in use by {who}; one server per home")
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
            pid = _read_pid(descriptor)
            os.close(descriptor)
            raise HomeLocked(self._home, pid) from None
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor

    def release(self) -> None:
        """Give the lock back. Without one, nothing happens."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def _read_pid(descriptor: int) -> int | None:
    text = os.pread(descriptor, 32, 0).strip()
    return int(text) if text.isdigit() else None
