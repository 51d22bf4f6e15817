"""A writer that is killed, at random and at named moments: what it acknowledged is there, and all is settled once.

Run as a program, this file is the writer: it says each thing on standard output once it is durable.
`THALWEG_TORTURE_KILLS` is the number of random kills.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from thalweg.ledger import Reservation, Settlement, SqliteLedger
from thalweg.ledger.store import connect_for_writing

KILLS = int(os.environ.get("THALWEG_TORTURE_KILLS") or 5)
KILLS_A_FILE = 5
WRITERS = 8
MOST_ACKNOWLEDGED = 600
"""Before a random kill. The writer goes on for ever."""


# The writer


def ask(name: str) -> Reservation:
    return Reservation(
        request_id=name,
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


def answer(name: str) -> Settlement:
    return Settlement(request_id=name, attempt=1, at_ms=1_764_000_003_000, outcome="complete")


def acknowledge(line: str) -> None:
    # One write of less than PIPE_BUF: a line arrives whole or not at all.
    os.write(1, f"{line}\n".encode())


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class Doomed(sqlite3.Connection):
    """A connection that kills its process before or after the n-th statement that begins so."""

    moment = ""
    beginning = ""
    left = 0

    def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
        if not sql.startswith(self.beginning):
            return super().execute(sql, *parameters)
        self.left -= 1
        if self.left == 0 and self.moment == "before":
            die()
        cursor = super().execute(sql, *parameters)
        if self.left == 0:
            die()
        return cursor


def doomed(path: Path, moment: str, beginning: str, count: str) -> sqlite3.Connection:
    connect_for_writing(path).close()
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, factory=Doomed)
    connection.execute("PRAGMA synchronous = FULL")
    connection.moment, connection.beginning, connection.left = moment, beginning, int(count)
    return connection


async def write(ledger: SqliteLedger, name: str) -> None:
    await ledger.open(ask(name))
    acknowledge(f"opened {name}")
    if name.endswith("0"):
        return  # Somebody has to be alive at every kill.
    ledger.settle(answer(name))
    await ledger.flush()
    acknowledge(f"settled {name}")


def restless(path: Path) -> sqlite3.Connection:
    """A connection that checkpoints all the time, so that kills meet it there."""
    connection = connect_for_writing(path)
    connection.execute("PRAGMA wal_autocheckpoint = 10")
    return connection


async def write_until_killed(path: Path, life: str, *doom: str) -> None:
    own = restless if int(life) % 2 else connect_for_writing
    ledger = SqliteLedger(path, connect=(lambda path: doomed(path, *doom)) if doom else own)
    acknowledge(f"recovered {await ledger.recover()}")

    async def go_on(writer: int) -> None:
        for number in range(100_000):
            await write(ledger, f"{life}-{writer}-{number}")

    await asyncio.gather(*map(go_on, range(1 if doom else WRITERS)))


# The one who kills, and counts afterwards


class Graveyard:
    """A ledger's file, and what its writers acknowledged before they died."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lives = 0
        self.opened: set[str] = set()
        self.settled: set[str] = set()

    def live(self, *doom: str, acknowledged: int | None = None) -> None:
        """Run a writer until it dies of its doom, or is killed after so many acknowledgements."""
        self.lives += 1
        command = [sys.executable, __file__, str(self.path), str(self.lives), *doom]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as process:
            assert process.stdout is not None
            for _ in range(acknowledged or 0):
                self._note(process.stdout.readline())
            if acknowledged is not None:
                process.kill()
            for line in process.stdout:
                self._note(line)
        assert process.returncode == -signal.SIGKILL

    def check(self) -> None:
        """What was acknowledged is there, nothing is there twice, and the file is sound."""
        with sqlite3.connect(self.path) as connection:
            [(verdict,)] = connection.execute("PRAGMA integrity_check").fetchall()
            found = connection.execute("SELECT kind, request_id, outcome FROM posting").fetchall()
        connection.close()
        assert verdict == "ok"
        assert max(Counter((kind, name) for kind, name, _ in found).values(), default=0) <= 1
        assert self.opened <= {name for kind, name, _ in found if kind == "reserved"}
        assert self.settled <= {name for kind, name, outcome in found if (kind, outcome) == ("settled", "complete")}

    async def bury(self) -> None:
        """Recover what is left; then every attempt is settled exactly once."""
        ledger = SqliteLedger(self.path)
        await ledger.recover()
        assert await ledger.recover() == 0
        await ledger.close()
        self.check()
        with sqlite3.connect(self.path) as connection:
            kinds = connection.execute("SELECT request_id, GROUP_CONCAT(kind) FROM posting GROUP BY request_id")
            assert {kind for _, kind in kinds} <= {"reserved,settled", "settled,reserved"}
        connection.close()

    def _note(self, line: Iterable[int]) -> None:
        verb, _, name = bytes(line).decode().strip().partition(" ")
        if verb == "opened":
            self.opened.add(name)
        elif verb == "settled":
            self.settled.add(name)
        else:
            assert verb == "recovered"


@pytest.mark.parametrize("file", range(-(-KILLS // KILLS_A_FILE)))
async def test_a_random_kill_loses_nothing_that_was_acknowledged(
    tmp_path: Path, seeded_random: random.Random, file: int
) -> None:
    graveyard = Graveyard(tmp_path / "ledger.db")
    for _ in range(min(KILLS_A_FILE, KILLS - file * KILLS_A_FILE)):
        graveyard.live(acknowledged=seeded_random.randrange(MOST_ACKNOWLEDGED))
        graveyard.check()
    await graveyard.bury()


MOMENTS = {
    "before the first migration": ("before", "BEGIN IMMEDIATE", "1"),
    "in the middle of a migration": ("after", "INSERT INTO recovered", "1"),
    "before a migration is committed": ("before", "COMMIT", "1"),
    "after a migration": ("after", "COMMIT", "1"),
    "before a reservation": ("before", "INSERT INTO posting (\n", "1"),
    "between a reservation and its acknowledgement": ("after", "INSERT INTO posting (\n", "1"),
    "before a settlement": ("before", "INSERT INTO posting (\n", "4"),
    "after a settlement": ("after", "INSERT INTO posting (\n", "4"),
    "after hundreds": ("after", "INSERT INTO posting (\n", "300"),
    "in the middle of a recovery": ("after", "INSERT INTO posting (kind", "1"),
    "before a recovery is committed": ("after", "UPDATE recovered", "1"),
}


@pytest.mark.parametrize("doom", MOMENTS.values(), ids=MOMENTS)
async def test_a_kill_at_a_named_moment(tmp_path: Path, doom: tuple[str, str, str]) -> None:
    graveyard = Graveyard(tmp_path / "ledger.db")
    if doom[1] in ("INSERT INTO posting (kind", "UPDATE recovered"):
        graveyard.live(acknowledged=50)  # There is something to recover.
    graveyard.live(*doom)
    if graveyard.opened:
        graveyard.check()
    await graveyard.bury()


if __name__ == "__main__":
    asyncio.run(write_until_killed(Path(sys.argv[1]), *sys.argv[2:]))
