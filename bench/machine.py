"""Where and on what a bench ran, for the record."""

import datetime
import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path

from bench.nginx import find_nginx, nginx_version
from bench.process import ROOT

_PACKAGES = ("uvicorn", "uvloop", "httptools", "msgspec", "starlette")


def describe_machine() -> dict[str, str]:
    """Return CPU model, cores, memory, kernel and Python."""
    return {
        "cpu": _field("/proc/cpuinfo", "model name"),
        "cores": str(os.cpu_count()),
        "memory": _field("/proc/meminfo", "MemTotal"),
        "kernel": platform.release(),
        "python": platform.python_version(),
    }


def describe_versions() -> dict[str, str]:
    """Return the versions of what carries the load; packages that are not installed are left out."""
    installed = {dist.metadata["Name"]: dist.version for dist in metadata.distributions()}
    versions = {name: installed[name] for name in _PACKAGES if name in installed}
    binary = find_nginx()
    return versions | ({"nginx": nginx_version(binary)} if binary else {})


def commit() -> str:
    """Return the checked-out commit, marked `-dirty` where files differ; `none` outside a repository or before one."""
    command = ["git", "--no-optional-locks", "describe", "--always", "--dirty", "--abbrev=12"]
    shown = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=10)
    return shown.stdout.strip() or "none"


def today() -> str:
    """Return the date in UTC."""
    return datetime.datetime.now(datetime.UTC).date().isoformat()


def _field(path: str, name: str) -> str:
    for line in Path(path).read_text().splitlines():
        if line.startswith(name):
            return line.partition(":")[2].strip()
    return "unknown"
