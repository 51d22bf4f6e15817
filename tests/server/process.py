"""`thalweg serve` as a process of its own, for what only a process can show: signals, exit codes, what it prints."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

from tests.server.gateway import KEY, PATIENCE_S

ROOT = Path(__file__).resolve().parents[2]


def environment(home: Path, **more: str) -> dict[str, str]:
    """An environment with nothing of this machine's own settings in it."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    base = {
        "PYTHONPATH": str(ROOT / "src"),
        "HOME": str(home),
        "THALWEG_HOME": str(home),
        "NO_COLOR": "1",
        "THALWEG_LANG": "en",
        "THALWEG_FIND_ENGINES": "0",
        "THALWEG_FETCH_MODELS": "0",
        "COLUMNS": "80",
    }
    return kept | base | more


def thalweg(*arguments: str, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    command = [sys.executable, "-m", "thalweg", *arguments]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=3 * PATIENCE_S, check=False)


class Served:
    """A server process. Made by `served`."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.port = 0
        self.printed: list[str] = []
        self._listens = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.printed.append(line)
            if found := re.search(r"listens on http://\S+:(\d+)", line):
                self.port = int(found[1])
                self._listens.set()

    def until_it_listens(self) -> None:
        assert self._listens.wait(3 * PATIENCE_S), self.printed

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        self.process.send_signal(number)

    def exit_code(self) -> int:
        code = self.process.wait(PATIENCE_S)
        self._reader.join(PATIENCE_S)
        return code


@contextlib.contextmanager
def served(home: Path, *arguments: str, **env: str) -> Iterator[Served]:
    """A server that listens on a port of its own choice, with the usual key."""
    command = [sys.executable, "-m", "thalweg", "serve", "--port", "0", *arguments]
    process = subprocess.Popen(
        command,
        env=environment(home, **{"THALWEG_API_KEY": KEY} | env),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    server = Served(process)
    try:
        server.until_it_listens()
        yield server
    finally:
        process.kill()
        process.wait()
        server._reader.join(PATIENCE_S)
        assert process.stdout is not None
        process.stdout.close()
