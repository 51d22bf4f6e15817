"""A server under measurement: who it is, where it listens, how long it took."""

from dataclasses import dataclass
from pathlib import Path

from bench.process import Cores, cpu_ns, rss_bytes, wakeups


@dataclass(frozen=True, slots=True)
class Site:
    """What every server of a bench is started with."""

    upstream_port: int
    cores: Cores
    directory: Path
    """For configuration, data and logs; gone when the bench ends."""


@dataclass(frozen=True, slots=True)
class Server:
    """A running server."""

    port: int
    pids: tuple[int, ...]
    """The processes that relay; empty for the upstream itself, which is not measured."""
    listening_ms: float
    """From the start of the process to the first accepted connection."""
    ready_ms: float | None = None
    """From the start of the process to the first 200 of its readiness probe; None without one."""

    def cpu_ns(self) -> int:
        """Return the CPU time used so far."""
        return cpu_ns(self.pids)

    def wakeups(self) -> int:
        """Return how often its threads have gone to sleep so far."""
        return wakeups(self.pids)

    def rss_bytes(self) -> int:
        """Return the resident memory now."""
        return rss_bytes(self.pids)
