"""The gateway and the simulator as processes of their own, and what the system says about them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, Self

from tests.live.gateway import ROOT, clean_environment
from thalweg.ledger.entry import Entry
from thalweg.ledger.report import last_entries

KEY = "sk-torture-0123456789"
"""The gateway's own. It opens nothing."""
PATIENCE_S = 20.0
"""How long a test waits for what must come. A hang becomes a failure."""
_LISTENS = re.compile(r"listens on http://[\d.]+:(\d+)")
_EVERYTHING = 1_000_000
_ALL_SETTLED = "SELECT SUM(kind = 'reserved') = SUM(kind = 'settled') FROM posting"


async def until(
    reached: Callable[[], Any], within_s: float = PATIENCE_S, *, every_s: float = 0.002, what: str = "this"
) -> None:
    """Wait until something is so."""
    end = time.monotonic() + within_s
    while not reached():
        if time.monotonic() > end:
            raise AssertionError(f"{what}: not within {within_s:g} s")
        await asyncio.sleep(every_s)


class Gateway:
    """`thalweg serve` on a free port, in a home of its own. May be killed and started again in the same home."""

    def __init__(
        self,
        home: Path,
        *,
        openai: str = "",
        ark: str = "",
        anthropic: str = "",
        google: str = "",
        command: tuple[str, ...] = (),
        **more: str,
    ) -> None:
        self.home = home
        self.key = KEY
        self.port = 0
        self.starts = 0
        self._command = command or ("-m", "thalweg", "serve")
        self._process: subprocess.Popen[bytes] | None = None
        # What a fault comes to is looked at once; who tests further attempts says so.
        once = {"THALWEG_ATTEMPTS": "1"}
        self._env = {"THALWEG_API_KEY": KEY, "THALWEG_HOME": str(home), "THALWEG_PORT": "0", **once, **more}
        for name, url in (("OPENAI", openai), ("ARK", ark), ("ANTHROPIC", anthropic), ("GEMINI", google)):
            if url:
                self._env |= {f"{name}_BASE_URL": url, f"{name}_API_KEY": f"sk-{name.lower()}-canary-4711"}

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        """Everything it has said, over all its lives."""
        return "".join(path.read_text() for path in sorted(self.home.glob("said.*")))

    async def start(self) -> Self:
        """Start it and wait until it listens."""
        self.starts += 1
        self.home.mkdir(parents=True, exist_ok=True)
        said = self.home / f"said.{self.starts:04}"
        self._process = self._spawn(said)
        found: list[str] = []

        def listens() -> bool:
            assert self._process is not None
            if self._process.poll() is not None:
                raise AssertionError(f"the gateway ended at its start: {said.read_text()}")
            found[:] = _LISTENS.findall(said.read_text())
            return bool(found)

        await until(listens, every_s=0.01)
        self.port = int(found[0])
        return self

    def _spawn(self, said: Path) -> subprocess.Popen[bytes]:
        with said.open("wb") as log:
            return subprocess.Popen(
                [sys.executable, *self._command], cwd=ROOT, env=clean_environment(self._env), stdout=log, stderr=log
            )

    async def stop(self) -> int:
        """SIGTERM; its exit code."""
        return await self._end(signal.SIGTERM)

    async def kill(self) -> int:
        """SIGKILL."""
        return await self._end(signal.SIGKILL)

    async def _end(self, number: int) -> int:
        process = self._process
        assert process is not None
        if process.poll() is None:
            process.send_signal(number)
        await until(lambda: process.poll() is not None, 45)
        return int(process.returncode)

    def entries(self, last: int = _EVERYTHING) -> list[Entry]:
        """The last entries of the ledger, or all of them, the oldest first."""
        return last_entries(self.home / "ledger.db", last)[::-1]

    def entries_by_model(self, last: int = _EVERYTHING) -> dict[str, list[Entry]]:
        """The same by the upstream's name of the model, which each test makes unique."""
        found: dict[str, list[Entry]] = {}
        for entry in self.entries(last):
            found.setdefault(entry.upstream_model, []).append(entry)
        return found

    async def settled(self, within_s: float = PATIENCE_S) -> None:
        """Wait until nothing is open."""
        uri = f"file:{self.home / 'ledger.db'}?mode=ro"
        with contextlib.closing(sqlite3.connect(uri, uri=True)) as connection:
            await until(lambda: connection.execute(_ALL_SETTLED).fetchone() == (1,), within_s, every_s=0.02)

    def resident_bytes(self) -> int:
        """What the process holds in memory."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def open_files(self) -> int:
        """Its descriptors, sockets included."""
        return len(list(Path(f"/proc/{self.pid}/fd").iterdir()))

    def assert_quiet(self) -> None:
        """Nothing unforeseen was logged."""
        log = self.log
        assert "Traceback" not in log, log[-4000:]
        assert '"level":"error"' not in log, log[-4000:]
        assert "canary" not in log and KEY not in log


@contextlib.asynccontextmanager
async def gateway(home: Path, **settings: Any) -> AsyncIterator[Gateway]:
    """A gateway that runs; afterwards it is stopped, and must have logged nothing unforeseen."""
    made = Gateway(home, **settings)
    try:
        await made.start()
        yield made
        assert await made.stop() == 0
        made.assert_quiet()
    finally:
        if made._process is not None and made._process.poll() is None:
            await made.kill()


class SimulatorProcess:
    """The simulator's HTTP face in a process of its own, so that its work is not the clients' work."""

    def __init__(self, process: asyncio.subprocess.Process, port: int) -> None:
        self._process = process
        self.url = f"http://127.0.0.1:{port}/v1"

    async def counters(self) -> dict[str, int]:
        """`requests_seen`, `bytes_sent`, `open_connections`, `open_answers`, as of now."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(b"\n")
        return dict(json.loads(await asyncio.wait_for(self._process.stdout.readline(), PATIENCE_S)))

    async def until_blocked(self, still_s: float = 1.0, within_s: float = 120.0) -> int:
        """Wait until it sends nothing any more; what it had sent by then."""
        end, sent, since = time.monotonic() + within_s, -1, time.monotonic()
        while time.monotonic() < end:
            now = (await self.counters())["bytes_sent"]
            if now != sent:
                sent, since = now, time.monotonic()
            elif time.monotonic() - since >= still_s:
                return sent
            await asyncio.sleep(0.05)
        raise AssertionError(f"it still sends after {within_s:g} s")

    async def until_released(self, open_connections: int, within_s: float = PATIENCE_S) -> None:
        """Wait until so many connections are open and no answer is under way."""
        end = time.monotonic() + within_s
        while (seen := await self.counters())["open_answers"] or seen["open_connections"] > open_connections:
            assert time.monotonic() < end, seen
            await asyncio.sleep(0.05)


@contextlib.asynccontextmanager
async def simulator_process() -> AsyncIterator[SimulatorProcess]:
    """A simulator that runs, beside this process."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(Path(__file__).with_name("simulator_process.py")),
        cwd=ROOT,
        env=clean_environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        port = int(await asyncio.wait_for(process.stdout.readline(), PATIENCE_S))
        yield SimulatorProcess(process, port)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        # Or its pipes' transports are found open when the loop is gone.
        process._transport.close()  # type: ignore[attr-defined]
