"""The measurements: start a server, load it, read its counters. Blocking; one thing at a time."""

import math
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import msgspec

from bench.load import Outcome, Plan
from bench.metrics import Samples
from bench.process import ROOT, child, free_port, pinned, python, wait_listening
from bench.server import Server, Site
from bench.stats import percentile
from bench.targets import DIRECT, PHASES, Target
from bench.upstream import Script

_START_S = 1.0
"""How long the load process may take to start."""
_SETTLE_S = 0.5
"""After a load, before a counter is read: what a gateway writes late belongs to it."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What the command line decides."""

    gateway: str
    """The command that serves."""
    phases: tuple[str, ...] = PHASES
    runs: int = 5
    seconds: int = 10
    """Length of each stream in the chunks phase."""
    streams: int = 200
    rate: int = 50
    """Chunks a second and stream."""
    requests: int = 10_000
    connections: int = 50
    open_streams: int = 2_000
    open_seconds: int = 60
    pairs: bool = False
    """Whether each pair of two dialects is measured, too."""

    @property
    def is_full(self) -> bool:
        """Whether the result is worth publishing: every phase, and nothing shortened."""
        full = Settings(self.gateway)
        sizes = ("runs", "seconds", "open_seconds", "requests")
        return (
            self.phases == PHASES
            and not self.pairs
            and all(getattr(self, size) >= getattr(full, size) for size in sizes)
        )


class Bench:
    """One bench under way: its upstream runs, its samples grow; lives from start to report."""

    def __init__(self, settings: Settings, site: Site, tell: Callable[[str], None]) -> None:
        self.settings = settings
        self.samples = Samples()
        self.errors: list[str] = []
        """What makes a figure doubtful, in words."""
        self._site = site
        self._tell = tell

    def run(self, targets: list[Target]) -> None:
        """Run all phases over all targets, interleaved; the first target is the base line of added times."""
        cpu_phases = [phase for phase in ("chunks", "short") if phase in self.settings.phases]
        for index in range(self.settings.runs if cpu_phases else 0):
            for target in targets:
                if phases := [phase for phase in cpu_phases if phase in target.phases]:
                    self._tell(f"run {index + 1} of {self.settings.runs}: {target.name}: {', '.join(phases)}")
                    self._measure(target, phases)
        if "open" in self.settings.phases:
            for target in targets:
                if target.name != DIRECT and "open" in target.phases:
                    self._tell(f"{target.name}: {self.settings.open_streams} open streams")
                    self._measure(target, ["open"])

    def _measure(self, target: Target, phases: Sequence[str]) -> None:
        measures = {"chunks": self._chunks, "short": self._short, "open": self._open}
        with target.start(self._site) as server:
            self._warm_up(target, server)
            for phase in phases:
                measures[phase](target, server)

    def _warm_up(self, target: Target, server: Server) -> None:
        self._load(target.plan(Script(50, 20), server.port, streams=50, ramp_s=0.2), target)
        self._load(target.plan(Script(0, 1), server.port, streams=10, requests=200), target)
        if not server.pids:
            return
        time.sleep(_SETTLE_S)
        self.samples.add(target.name, "listening_ms", server.listening_ms)
        self.samples.add(target.name, "idle_mb", server.rss_bytes() / 1e6)
        if server.ready_ms is not None:
            self.samples.add(target.name, "ready_ms", server.ready_ms)

    def _chunks(self, target: Target, server: Server) -> None:
        settings = self.settings
        script = Script(settings.rate, settings.rate * settings.seconds)
        plan = target.plan(script, server.port, streams=settings.streams, ramp_s=min(2.0, settings.seconds / 4))
        wakeups, clock = server.wakeups(), _Clock(server)
        outcome, cpu_ns = self._load_and_cpu(plan, target, server, clock.sample)
        if server.pids:
            self.samples.add(target.name, "chunk_cpu_us", cpu_ns / 1000 / max(outcome.chunks, 1))
            # All streams are open between the end of the ramp and the first stream's end.
            busy = used(clock.samples, plan.ramp_s + _START_S, settings.seconds)
            steady_us = busy * 1e6 / (settings.streams * settings.rate)
            self.samples.add(target.name, "steady_chunk_cpu_us", steady_us)
            rest_us = cpu_ns / 1000 - steady_us * outcome.chunks
            self.samples.add(target.name, "stream_cpu_us", rest_us / settings.streams)
            self.samples.add(target.name, "wakeups_per_chunk", (server.wakeups() - wakeups) / max(outcome.chunks, 1))
        for metric, value in _times(outcome).items():
            self.samples.add(target.name, metric, value)
            if target.name != DIRECT:
                self.samples.add(target.name, f"added_{metric}", value - self.samples.last(DIRECT, metric))

    def _short(self, target: Target, server: Server) -> None:
        if not server.pids:
            return
        settings = self.settings
        plan = target.plan(Script(0, 1), server.port, streams=settings.connections, requests=settings.requests)
        outcome, cpu_ns = self._load_and_cpu(plan, target, server)
        self.samples.add(target.name, "request_cpu_us", cpu_ns / 1000 / max(outcome.whole, 1))
        self.samples.add(target.name, "requests_per_s", outcome.whole / outcome.elapsed_s)

    def _open(self, target: Target, server: Server) -> None:
        settings = self.settings
        ramp_s = settings.open_streams / 500
        script = Script(1, settings.open_seconds)
        plan = target.plan(script, server.port, streams=settings.open_streams, ramp_s=ramp_s)
        idle = server.rss_bytes()
        watched = _Memory(server)
        outcome = self._load(plan, target, watched.sample)
        # All streams are open between the end of the ramp and the first stream's end.
        resident = watched.between(ramp_s + 1, settings.open_seconds - 1)
        self.samples.add(target.name, "stream_kib", (resident - idle) / 1024 / settings.open_streams)
        self.samples.add(target.name, "lost_streams", settings.open_streams - outcome.whole)

    def _load_and_cpu(
        self, plan: Plan, target: Target, server: Server, sample: Callable[[], None] | None = None
    ) -> tuple[Outcome, int]:
        before_ns = server.cpu_ns()
        outcome = self._load(plan, target, sample)
        time.sleep(_SETTLE_S)
        return outcome, server.cpu_ns() - before_ns

    def _load(self, plan: Plan, target: Target, sample: Callable[[], None] | None = None) -> Outcome:
        outcome = run_load(plan, self._site.cores.load, sample)
        self.errors.extend(f"{target.name}: {count} × {fault}" for fault, count in outcome.errors.items())
        return outcome


def _times(outcome: Outcome) -> dict[str, float]:
    return {
        "ttft_p50_ms": percentile(outcome.ttft_ms, 50),
        "ttft_p99_ms": percentile(outcome.ttft_ms, 99),
        "latency_p50_ms": outcome.latency_ms.get("p50", math.nan),
        "latency_p99_ms": outcome.latency_ms.get("p99", math.nan),
        "gap_p99_ms": percentile(outcome.gap_ms, 99),
    }


class _Clock:
    """Samples of a server's CPU clock, from its making on."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._start_s = time.monotonic()
        self.samples: list[tuple[float, int]] = []
        """Seconds since then, and nanoseconds of CPU."""

    def sample(self) -> None:
        """Take one."""
        self.samples.append((time.monotonic() - self._start_s, self._server.cpu_ns()))


def used(samples: Sequence[tuple[float, int]], from_s: float, until_s: float) -> float:
    """Return the part of a core that was used in a span; NaN when it was not sampled twice."""
    inside = [sample for sample in samples if from_s <= sample[0] <= until_s]
    if len(inside) < 2:
        return math.nan
    (from_s, from_ns), (until_s, until_ns) = inside[0], inside[-1]
    return (until_ns - from_ns) / 1e9 / (until_s - from_s)


class _Memory:
    """Samples of a server's memory, from its making on."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._start_s = time.monotonic()
        self._samples: list[tuple[float, int]] = []

    def sample(self) -> None:
        """Take one."""
        self._samples.append((time.monotonic() - self._start_s, self._server.rss_bytes()))

    def between(self, from_s: float, until_s: float) -> float:
        """Return the median of a span; NaN when nothing was sampled in it."""
        sizes = [size for at_s, size in self._samples if from_s <= at_s <= until_s]
        return median(sizes) if sizes else math.nan


def run_load(plan: Plan, core: int, sample: Callable[[], None] | None = None) -> Outcome:
    """Run the load process to its end, calling `sample` every half second meanwhile."""
    with pinned(core):
        process = subprocess.Popen(python("bench.load"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT)
    given: bytes | None = msgspec.json.encode(plan)
    try:
        while True:
            try:
                answer, _ = process.communicate(given, timeout=0.5)
                return msgspec.json.decode(answer, type=Outcome)
            except subprocess.TimeoutExpired:
                given = None
                if sample:
                    sample()
    finally:
        process.kill()
        process.wait()


@contextmanager
def upstream(core: int, directory: Path) -> Iterator[int]:
    """Run the upstream process; yields its port."""
    port = free_port()
    log = directory / "upstream.log"
    with child(python("bench.upstream", str(port)), core=core, log=log) as process:
        wait_listening(process, port, log)
        yield port
