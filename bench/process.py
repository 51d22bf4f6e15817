"""Child processes on chosen cores, and what /proc and the CPU clock say of them. Linux only."""

import os
import random
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

ROOT = Path(__file__).resolve().parent.parent
"""The repository."""

_START_TIMEOUT_S = 20.0
_STOP_TIMEOUT_S = 10.0


class BenchError(Exception):
    """A measurement that cannot be made; the message says why."""


@dataclass(frozen=True, slots=True)
class Cores:
    """Which process runs where: what is measured has a core of its own from two cores on."""

    upstream: int
    load: int
    measured: int

    @classmethod
    def of_machine(cls) -> Self:
        """Spread over the cores this process may use."""
        cores = sorted(os.sched_getaffinity(0))
        return cls(upstream=cores[0], load=cores[1] if len(cores) > 2 else cores[0], measured=cores[-1])


@contextmanager
def pinned(core: int) -> Iterator[None]:
    """Stay on one core; a process started meanwhile, and all of its threads, stay there for good."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextmanager
def child(
    command: Sequence[str], *, core: int, log: Path, env: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command on one core with its output in a file, and end it with SIGTERM, then SIGKILL."""
    with log.open("ab") as output, pinned(core):
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=dict(os.environ if env is None else env),
            cwd=ROOT,
        )
    try:
        yield process
    finally:
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(_STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def wait_listening(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    """Return as soon as the port accepts; BenchError with the log's end when the process ends or is too late."""
    deadline_s = time.monotonic() + _START_TIMEOUT_S
    while time.monotonic() < deadline_s:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        if process.poll() is not None:
            break
        time.sleep(0.002)
    tail = log.read_text(errors="replace")[-2000:]
    raise BenchError(f"{process.args!r} does not listen on port {port}:\n{tail}")


def free_port() -> int:
    """Return a loopback port that nobody listens on.

    It lies below the ephemeral range: there, a poll for a server not yet listening can connect to itself.
    """
    while True:
        port = random.randrange(18000, 28000)
        with suppress(OSError), socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return port


def python(module: str, *arguments: str) -> list[str]:
    """Return the command that runs a module of this repository."""
    return [sys.executable, "-m", module, *arguments]


def raise_file_limit(needed: int) -> None:
    """Raise the soft limit of open files to the hard one; BenchError when that is not enough."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise BenchError(f"{needed} open files are needed and the hard limit is {hard}: raise it (ulimit -Hn)")


def children(pid: int) -> list[int]:
    """Return the process ids below one, at any depth."""
    direct = [int(child) for task in _tasks(pid) for child in (task / "children").read_text().split()]
    return direct + [below for child in direct for below in children(child)]


def _tasks(pid: int) -> list[Path]:
    return list(Path(f"/proc/{pid}/task").iterdir())


def cpu_ns(pids: Iterable[int]) -> int:
    """Return the CPU time of processes in ns: user and system, all threads, those that have ended included.

    This is the kernel's process clock (clock_getcpuclockid(3), whose formula the shift is): the same counter as
    /proc/PID/schedstat, which knows only live threads.
    """
    return sum(time.clock_gettime_ns((~pid << 3) | 2) for pid in pids)


def rss_bytes(pids: Iterable[int]) -> int:
    """Return the resident memory of processes; pages they share count in each."""
    return sum(_rss_bytes(pid) for pid in pids)


def _rss_bytes(pid: int) -> int:
    # smaps_rollup walks the pages; the counter in statm may lag by some hundred pages since Linux 6.2.
    return _number(Path(f"/proc/{pid}/smaps_rollup"), "Rss:") * 1024


def wakeups(pids: Iterable[int]) -> int:
    """Return how often live threads of processes gave up the CPU to wait, and so had to be woken."""
    tasks = [task for pid in pids for task in _tasks(pid)]
    return sum(_number(task / "status", "voluntary_ctxt_switches:") for task in tasks)


def _number(path: Path, name: str) -> int:
    """Return the first number of a line of a file in /proc; BenchError when no line has the name."""
    for line in path.read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1])
    raise BenchError(f"no {name!r} in {path}")
