"""A judge: a program with a real SDK that asks the gateway what it is told to, and tells what the SDK read.

It runs in an environment of its own and speaks in lines of JSON. Its first line says which versions it has:

    {"versions": {"openai": "3.51.0"}}

Each line to it is one request:

| field | meaning |
| --- | --- |
| `id` | a number, by which a later request may echo this one's answer |
| `client` | which of the judge's clients: a dialect, or a name of the judge's own |
| `way` | how: `stream`, `whole`, `helper`, ...; or `models`, `count` |
| `model`, `system`, `max_tokens`, `stop`, `schema`, `thinking` | the usual; absent is not asked for |
| `tools` | `name`, `description`, `schema`, and `result` for an SDK that runs the loop itself |
| `turns` | the talk so far, each one of: `{"user", "images"}`; `{"echo": id}`, the answer to that request as the SDK gave it; `{"said", "calls"}`, an answer rebuilt from text and calls alone; `{"results": [{"id", "name", "text"}]}` |

Each line from it is what came of it: `id`, `text`, `deltas` (how many pieces), `reasoning`, `thoughts` (pieces), `calls`
(`id`, `name`, `arguments`), `finish` in the SDK's word, `usage` (`input`, `output`, `reasoning`), and `error` (`kinds`:
its class and their bases; `status`, `message`), beside what was read before it.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import queue
import subprocess
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ANSWER_S = 45.0
"""How long one answer may take. A judge waits itself for 30 s at most."""
START_S = 120.0


class JudgeDied(Exception):
    """It said nothing within its time, or ended. The next request starts it anew."""


@dataclass(frozen=True)
class Call:
    id: str | None
    name: str
    arguments: Any


@dataclass(frozen=True)
class Error:
    kinds: list[str]
    status: int | None
    message: str

    def __str__(self) -> str:
        return f"{self.kinds[0] if self.kinds else 'error'} {self.status or ''}: {self.message[:160]}"


@dataclass(frozen=True)
class Got:
    """What an SDK read of one answer."""

    id: int
    text: str = ""
    deltas: int = 0
    reasoning: str = ""
    thoughts: int = 0
    calls: list[Call] = field(default_factory=list)
    finish: str | None = None
    usage: dict[str, int | None] | None = None
    error: Error | None = None
    more: dict[str, Any] = field(default_factory=dict)


class Judge:
    """One judge's process, started when it is first asked."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], folder: Path) -> None:
        self.versions: dict[str, str] = {}
        self._command = list(command)
        self._environment = dict(environment)
        self._folder = folder
        self._ids = itertools.count(1)
        self._process: subprocess.Popen[str] | None = None
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._complaints: list[str] = []
        self._readers: list[threading.Thread] = []

    def start(self) -> None:
        """Start it and read its versions. Raises `JudgeDied` with its last words."""
        lines: queue.Queue[str | None] = queue.Queue()
        process = subprocess.Popen(
            self._command,
            cwd=self._folder,
            env=self._environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            errors="replace",
        )
        self._process, self._lines, self._complaints = process, lines, []
        self._readers = [
            threading.Thread(target=self._read, args=(process, lines), daemon=True),
            threading.Thread(target=self._listen, args=(process, self._complaints), daemon=True),
        ]
        for reader in self._readers:
            reader.start()
        self.versions = self._next(START_S)["versions"]

    def ask(self, client: str, way: str, **asked: Any) -> Got:
        """One request and what came of it."""
        if self._process is None:
            self.start()
        number = next(self._ids)
        line = json.dumps({"id": number, "client": client, "way": way} | asked)
        assert self._process is not None
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()
        except OSError as broken:
            raise self._died("it has ended") from broken
        return _got(self._next(ANSWER_S))

    def stop(self) -> None:
        """End it."""
        process, self._process = self._process, None
        if process is None:
            return
        assert process.stdin is not None
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            process.stdin.close()
            process.wait(5)
        self._end(process)

    def _end(self, process: subprocess.Popen[str]) -> None:
        """Leave nothing of it: no process, no open pipe."""
        process.kill()
        process.wait()
        for reader in self._readers:
            reader.join(5)
        if process.stdin is not None:
            with contextlib.suppress(OSError):
                process.stdin.close()

    def _next(self, within_s: float) -> dict[str, Any]:
        try:
            line = self._lines.get(timeout=within_s)
        except queue.Empty:
            raise self._died(f"it said nothing for {within_s:.0f} s") from None
        if line is None:
            raise self._died("it has ended")
        try:
            told: dict[str, Any] = json.loads(line)
        except ValueError:
            raise self._died(f"it said {line[:120]!r}") from None
        return told

    def _died(self, why: str) -> JudgeDied:
        process, self._process = self._process, None
        if process is not None:
            self._end(process)
        last = [line.strip() for line in self._complaints if line.strip()]
        return JudgeDied(": ".join([why, *last[-1:]])[:300])

    @staticmethod
    def _read(process: subprocess.Popen[str], lines: queue.Queue[str | None]) -> None:
        assert process.stdout is not None
        with process.stdout:
            for line in process.stdout:
                lines.put(line)
        lines.put(None)

    @staticmethod
    def _listen(process: subprocess.Popen[str], complaints: list[str]) -> None:
        assert process.stderr is not None
        with process.stderr:
            for line in process.stderr:
                complaints.append(line)
                del complaints[:-200]

    @property
    def complaints(self) -> str:
        """The last it said on standard error."""
        return "".join(self._complaints)


_FIELDS = ("text", "deltas", "reasoning", "thoughts", "finish", "usage")


def _got(told: dict[str, Any]) -> Got:
    calls = [Call(each.get("id"), each["name"], each["arguments"]) for each in told.get("calls") or []]
    error = told.get("error")
    return Got(
        id=told["id"],
        calls=calls,
        error=Error(error["kinds"], error.get("status"), error["message"]) if error else None,
        more={name: value for name, value in told.items() if name not in (*_FIELDS, "id", "calls", "error")},
        **{name: told[name] for name in _FIELDS if name in told},
    )
