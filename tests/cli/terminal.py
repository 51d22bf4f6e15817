"""The command line as its users have it: a program of its own, on pipes or on a terminal whose screen can be read.

This file imports nothing of the gateway, so that what it runs is all there is.
"""

from __future__ import annotations

import codecs
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pexpect
import pyte

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 30.0


def own_environment(home: Path, more: Mapping[str, str] | None = None) -> dict[str, str]:
    """An environment with nothing of this machine's own settings in it."""
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT / "src"),
        "PYTHONUNBUFFERED": "1",
        "HOME": str(home),
        "THALWEG_HOME": str(home),
        "LC_ALL": "C.UTF-8",
        "THALWEG_LANG": "en",
        "THALWEG_FETCH_MODELS": "0",
        "COLUMNS": "80",
        "NO_PROXY": "*",
    } | dict(more or {})


def thalweg(
    home: Path, *arguments: str, stdin: str | bytes | None = None, **env: str
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end; what it prints is read as UTF-8. Without `stdin` there is nothing to read there."""
    data = stdin.encode() if isinstance(stdin, str) else stdin
    done = subprocess.run(
        [sys.executable, "-m", "thalweg", *arguments],
        env=own_environment(home, env),
        input=b"" if data is None else data,
        capture_output=True,
        timeout=2 * PATIENCE_S,
        check=False,
    )
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


class Terminal:
    """A command on a terminal of its own. What it writes goes to a screen, and to a scroll-back above it."""

    def __init__(
        self, home: Path, *arguments: str, rows: int = 24, columns: int = 80, env: Mapping[str, str] | None = None
    ) -> None:
        environment = own_environment(home, {"TERM": "xterm-256color"} | dict(env or {}))
        environment.pop("COLUMNS")
        self._screen = pyte.HistoryScreen(columns, rows, history=10_000, ratio=0.5)
        self._stream = pyte.Stream(self._screen)
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self.raw = b""
        """Every byte that it has written."""
        self._child = pexpect.spawn(
            sys.executable,
            ["-m", "thalweg", *arguments],
            env=environment,  # type: ignore[arg-type]  # os._Environ in the stub, any mapping in fact
            dimensions=(rows, columns),
            timeout=PATIENCE_S,
        )
        # What is asked for shall be seen when it is there, not 50 ms later.
        self._child.delaybeforesend = None

    @property
    def pid(self) -> int:
        return int(self._child.pid)

    def type(self, text: str) -> None:
        """Press these keys."""
        self._child.send(text)

    def line(self, text: str) -> None:
        """Type a line and press the enter key."""
        self._child.send(text + "\r")

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        self._child.sendintr()

    def resize(self, rows: int, columns: int) -> None:
        """Change the window's size."""
        self._child.setwinsize(rows, columns)
        self._screen.resize(rows, columns)

    @property
    def rows(self) -> list[str]:
        """The screen, row by row, without the blanks at their ends."""
        return [row.rstrip() for row in self._screen.display]

    @property
    def everything(self) -> list[str]:
        """What has scrolled off and the screen, row by row."""
        above = ["".join(line[x].data for x in range(self._screen.columns)) for line in self._screen.history.top]
        return [row.rstrip() for row in above] + self.rows

    @property
    def text(self) -> str:
        """Everything, as one text."""
        return "\n".join(self.everything).rstrip()

    def cell(self, row: int, column: int) -> Any:
        """One character of the screen with its colours."""
        return self._screen.buffer[row][column]

    def until(self, seen: Callable[[str], Any] | str, *, within_s: float = PATIENCE_S) -> None:
        """Read until the text, or what is asked of it, is there."""
        test = seen if callable(seen) else lambda text: seen in text
        end = time.monotonic() + within_s
        while not test(self.text):
            assert time.monotonic() < end, f"not seen: {seen}\n{self.text}"
            if not self._read():
                assert test(self.text), f"it ended without {seen}:\n{self.text}"

    def exit_code(self) -> int:
        """Read until it has ended; its exit code."""
        end = time.monotonic() + PATIENCE_S
        while self._read():
            assert time.monotonic() < end, f"it does not end:\n{self.text}"
        self._child.close()
        return int(self._child.exitstatus if self._child.exitstatus is not None else -self._child.signalstatus)

    def close(self) -> None:
        """End it, if it has not ended."""
        self._child.close(force=True)

    def _read(self) -> bool:
        try:
            data = self._child.read_nonblocking(65536, timeout=0.1)
        except pexpect.TIMEOUT:
            return True
        except pexpect.EOF:
            return False
        self.raw += data
        self._stream.feed(self._decoder.decode(data))
        return True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.close()
