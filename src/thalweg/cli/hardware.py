"""What `thalweg doctor` finds of the machine itself: descriptors, memory, cores, and the loop that it runs on."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from thalweg.cli.machine import Finding, Machine

LEAST_FILES = 4096
"""A stream takes two: its client's connection and its upstream's."""
_OWN_BYTES = 128 * 1024**2
"""What a gateway takes beside its budget: the program, and what each stream holds by itself."""
_MIB = 1024**2
_PROC = Path("/proc")
_GROUP = Path("/sys/fs/cgroup")


def files(_: Machine) -> Iterator[Finding]:
    """How many files and connections this user may have open."""
    soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        yield Finding("ok", "files_unlimited")
    else:
        few = soft < LEAST_FILES
        yield Finding("warn" if few else "ok", "files_few" if few else "files", {"limit": soft, "streams": soft // 2})


def memory(machine: Machine) -> Iterator[Finding]:
    """Whether there is room for what a gateway may hold at most."""
    free = _free_bytes()
    if free is None or machine.settings is None:
        return
    wanted = machine.settings.buffers.total_bytes + _OWN_BYTES
    values: dict[str, str | int] = {"free": f"{free / _MIB:,.0f} MiB", "wanted": f"{wanted / _MIB:,.0f} MiB"}
    # A gateway that runs has taken its part already.
    little = free < wanted and machine.server is None
    yield Finding("warn" if little else "ok", "memory_little" if little else "memory", values)


def _free_bytes() -> int | None:
    """What this process could still take: the machine's, or its control group's where that is less."""
    try:
        lines = (_PROC / "meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    free = next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")), None)
    most, used = (_number(_GROUP / name) for name in ("memory.max", "memory.current"))
    if free is None or most is None or used is None:
        return free
    return min(free, max(most - used, 0))


def _number(file: Path) -> int | None:
    try:
        text = file.read_text(encoding="ascii").strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None


def loop(_: Machine) -> Iterator[Finding]:
    """The cores, and the event loop: a gateway is one process on one core."""
    values: dict[str, str | int] = {"cores": _cores()}
    try:
        yield Finding("ok", "loop", values | {"loop": f"uvloop {version('uvloop')}"})
    except PackageNotFoundError:
        yield Finding("fail", "loop_missing", values)


def _cores() -> int:
    """Those that this process may run on, where the system says."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
