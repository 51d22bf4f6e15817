"""The gateway and the simulator as their users start them: programs of their own, on free ports.

Nothing here sleeps: a program's own words on standard error say that it listens, and how it ends says the rest. Only
the ledger of a running gateway is looked at again and again, because a settlement is written shortly after the answer.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Coroutine, Mapping, Sequence
from http.client import HTTPConnection
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from thalweg.ledger.entry import Entry
from thalweg.ledger.report import last_entries
from thalweg.profiles.providers import PROVIDERS
from thalweg.server.simulated import Play, SimulatorServer, serve_simulator
from thalweg.simulator.manners.table import MANNERS

ROOT = Path(__file__).resolve().parents[2]
KEY = "sk-test-gateway-key"
"""The key of the gateways under test. It opens nothing."""
START_S = 30.0
STOP_S = 45.0
"""How long a program may take to begin and to end. Longer is a hang, and a failure."""

_LISTENS = re.compile(r"listens on (http://\S+:\d+)")
_PROVIDERS = (
    "OPENAI|ARK|(ANT_)?LING|DASHSCOPE|DEEPSEEK|MOONSHOT|ZHIPUAI|ZAI|OPENROUTER|SILICONFLOW|ANTHROPIC|GOOGLE|GEMINI"
)
_ENGINES = "VLLM|OLLAMA|LLAMACPP|LMSTUDIO"
_FOREIGN = re.compile(rf"THALWEG_|({_PROVIDERS}|{_ENGINES})_|(http|https|all|no)_proxy$", re.I)
"""What a developer's own environment may not bring into a test."""
_EVERYTHING = 1_000_000


def clean_environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's environment without anybody's keys, addresses and proxies, and with what is given."""
    own = {name: value for name, value in os.environ.items() if not _FOREIGN.match(name)}
    # The programs are those of this tree, wherever the package was installed from.
    quiet = {
        "THALWEG_LANG": "en",
        "THALWEG_FIND_ENGINES": "0",
        "THALWEG_FETCH_MODELS": "0",
        "PYTHONPATH": str(ROOT / "src"),
    }
    return own | quiet | {"PYTHONUNBUFFERED": "1", "NO_PROXY": "*", "no_proxy": "*"} | dict(more or {})


class Program:
    """`python -m thalweg …` in a process of its own, which says where it listens.

    `url` is empty until it has said so. `log` is all that it has said so far, on either output.
    """

    def __init__(self, arguments: Sequence[str], environment: Mapping[str, str]) -> None:
        self.url = ""
        self._said: list[str] = []
        self._listens = threading.Event()
        self._ended = False
        self._process = subprocess.Popen(
            [sys.executable, "-m", "thalweg", *arguments],
            cwd=ROOT,
            env=clean_environment(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self._reader = threading.Thread(target=self._read, name=f"output of {arguments[0]}", daemon=True)
        self._reader.start()
        if not self._listens.wait(START_S) or not self.url:
            self.kill()
            raise AssertionError(f"thalweg {' '.join(arguments)} does not listen:\n{self.log}")

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    @property
    def log(self) -> str:
        return "".join(self._said)

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def signal(self, number: int) -> None:
        """Send a signal, and wait for nothing."""
        self._process.send_signal(number)

    def wait(self, timeout_s: float = STOP_S) -> int:
        """Wait until it has ended and all it said is read; its exit code."""
        code = self._process.wait(timeout_s)
        self._ended = True
        self._reader.join(STOP_S)
        if self._process.stdout is not None:
            self._process.stdout.close()
        return code

    def stop(self) -> None:
        """Ask it to end, and hold it to doing so well. Does nothing where the test has seen its end already."""
        if self._ended:
            return
        if self.running:
            self.signal(signal.SIGTERM)
        try:
            code = self.wait()
        except subprocess.TimeoutExpired:
            self.kill()
            raise
        assert code == 0, f"it ended with {code}:\n{self.log}"
        assert "Traceback" not in self.log and '"level":"error"' not in self.log, self.log

    def kill(self) -> None:
        """End it as a crash would: no signal handler, no last words."""
        if self.running:
            self._process.kill()
        self.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if kind is None:
            self.stop()
        else:
            self.kill()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._said.append(line.decode(errors="replace"))
            if not self.url and (found := _LISTENS.search(self._said[-1])):
                self.url = found[1]
                self._listens.set()
        self._listens.set()


class Gateway(Program):
    """`thalweg serve`, ready for requests. Without a `key` it is open to this machine only."""

    def __init__(
        self,
        home: Path,
        *,
        key: str | None = KEY,
        environment: Mapping[str, str] | None = None,
        arguments: Sequence[str] = (),
    ) -> None:
        self.home = home
        self.key = key or ""
        own = {"THALWEG_API_KEY": key} if key else {}
        super().__init__(["serve", "--port", "0", "--home", str(home), *arguments], own | dict(environment or {}))
        try:
            status, _, body = self.request("GET", "/readyz")
            assert status == 200, (status, body)
        except BaseException:
            self.kill()
            raise

    def request(
        self, method: str, path: str, body: Any = None, *, timeout_s: float = 30.0, **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        """One request with the key, and the whole answer: status, fields with names in small letters, body.

        `body` is sent as it is when it is bytes, else as JSON. A field's `_` stands for `-`.
        """
        data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        fields = {"authorization": f"Bearer {self.key}"} if self.key else {}
        fields |= {"content-type": "application/json"} if data is not None else {}
        fields |= {name.replace("_", "-"): value for name, value in headers.items()}
        connection = HTTPConnection("127.0.0.1", self.port, timeout=timeout_s)
        try:
            connection.request(method, path, data, fields)
            answer = connection.getresponse()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
        finally:
            connection.close()

    def entries(self) -> list[Entry]:
        """Every entry of the ledger as it is now, the newest first."""
        return last_entries(self.home / "ledger.db", _EVERYTHING)

    def settled(self, count: int | None = None, *, within_s: float = 20.0) -> list[Entry]:
        """The entries, the newest first, once none of them is open and there are at least `count`."""
        end, pause = time.monotonic() + within_s, threading.Event()
        while True:
            entries = self.entries()
            if all(entry.outcome for entry in entries) and len(entries) >= (count or 0):
                return entries
            assert time.monotonic() < end, f"{count} settled entries wanted, these are there: {entries}"
            pause.wait(0.01)

    def settled_since(self, before: int, count: int = 1) -> list[Entry]:
        """What has come to the ledger since it had `before` entries, the oldest first; exactly `count`, all settled."""
        entries = self.settled(before + count)
        assert len(entries) == before + count, entries[: len(entries) - before]
        return entries[:count][::-1]


def provider_environment(base_url: str, provider: str = "openai") -> dict[str, str]:
    """What makes a gateway find one of its providers, or one of any other name, at an address of the test's."""
    row = next((row for row in PROVIDERS if row.name == provider), None)
    added = f"THALWEG_PROVIDER_{provider.upper()}"
    place, key = (row.base_url_variable, row.key_variable) if row else (f"{added}_BASE_URL", f"{added}_API_KEY")
    return {place: base_url, key: f"sk-{provider}-for-tests"}


class Simulator(Program):
    """`thalweg simulate`: a provider on a port of its own. `base_url` is what a provider's setting wants.

    With a `manner` it behaves as that provider does (`thalweg simulate --as`), at that provider's path.
    """

    def __init__(self, manner: str | None = None) -> None:
        super().__init__(["simulate", "--port", "0", *(["--as", manner] if manner else [])], {})
        self.base_url = f"{self.url}{MANNERS[manner].base_paths[0] if manner else '/v1'}"

    def environment(self, provider: str = "openai") -> dict[str, str]:
        """What makes a gateway take this simulator for one of its providers."""
        return provider_environment(self.base_url, provider)


class WatchedSimulator:
    """The same on a loop in a thread of this process, so that a test sees what it sees: `server` has its counters."""

    def __init__(self, manner: str | None = None) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="simulator", daemon=True)
        self._thread.start()
        self.server: SimulatorServer = self._run(serve_simulator(play=Play(manner=manner)))
        self.base_url = f"http://127.0.0.1:{self.server.port}{self.server.play.base_path}"

    def environment(self, provider: str = "openai") -> dict[str, str]:
        """What makes a gateway take this simulator for one of its providers."""
        return provider_environment(self.base_url, provider)

    def until_seen(self, closes: int, *, within_s: float = 20.0) -> None:
        """Wait until so many answers were left by their client, and none is under way."""
        end, pause = time.monotonic() + within_s, threading.Event()
        while len(self.server.closes_seen) < closes or self.server.open_answers:
            assert time.monotonic() < end, (len(self.server.closes_seen), self.server.open_answers)
            pause.wait(0.005)

    def stop(self) -> None:
        """Drop every connection and end the thread."""
        self._run(self.server.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(STOP_S)
        self._loop.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _run(self, what: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(what, self._loop).result(START_S)
