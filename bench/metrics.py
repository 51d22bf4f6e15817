"""What is measured, in which unit, and the bars that Thalweg is to hold. No I/O."""

import math
from bisect import bisect
from dataclasses import dataclass

from bench.stats import Spread, ratios


@dataclass(frozen=True, slots=True)
class Metric:
    """One row of the table."""

    key: str
    label: str
    unit: str
    digits: int = 1


METRICS = (
    Metric("chunk_cpu_us", "CPU per chunk", "µs"),
    Metric("steady_chunk_cpu_us", "the same while all streams are open", "µs"),
    Metric("stream_cpu_us", "CPU per stream opened and ended", "µs", 0),
    Metric("wakeups_per_chunk", "wake-ups per chunk", "", 2),
    Metric("request_cpu_us", "CPU per short request", "µs"),
    Metric("added_ttft_p50_ms", "added TTFT, p50", "ms", 2),
    Metric("added_ttft_p99_ms", "added TTFT, p99", "ms", 2),
    Metric("added_latency_p50_ms", "added time per chunk, p50", "ms", 2),
    Metric("added_latency_p99_ms", "added time per chunk, p99", "ms", 2),
    Metric("gap_p99_ms", "largest gap of a stream, p99", "ms"),
    Metric("added_gap_p99_ms", "the same, added", "ms"),
    Metric("stream_kib", "memory per open stream", "KiB"),
    Metric("idle_mb", "memory at rest", "MB"),
    Metric("lost_streams", "open streams lost", "", 0),
    Metric("listening_ms", "start to listening", "ms", 0),
    Metric("ready_ms", "start to ready", "ms", 0),
)


@dataclass(frozen=True, slots=True)
class Bar:
    """A limit for Thalweg's median."""

    metric: str
    text: str
    limit: float
    is_ratio: bool = False
    """Whether the limit is a multiple of nginx's figure in the same run."""
    open_s: int = 0
    """How long the open phase must last to say anything about it."""


BARS = (
    Bar("chunk_cpu_us", "passthrough: CPU per chunk at most 1.5 × nginx", 1.5, is_ratio=True),
    Bar("request_cpu_us", "at most 150 µs of CPU per short request", 150),
    Bar("lost_streams", "2,000 open streams at 1 event/s for 60 s in one process, none lost", 0, open_s=60),
    Bar("idle_mb", "at most 80 MB at rest", 80),
    Bar("listening_ms", "listening within 1 s", 1000),
)


class Samples:
    """The figures of all runs by target and metric; a run adds one to each."""

    def __init__(self) -> None:
        self._values: dict[str, dict[str, list[tuple[int, float]]]] = {}
        """Each with its place among all that was added."""
        self._added = 0

    def add(self, target: str, metric: str, value: float) -> None:
        """Add one run's figure."""
        self._values.setdefault(target, {}).setdefault(metric, []).append((self._added, value))
        self._added += 1

    def last(self, target: str, metric: str) -> float:
        """Return the figure of the latest run; KeyError before the first."""
        return self._values[target][metric][-1][1]

    def targets(self) -> list[str]:
        """Return the targets in the order in which they came."""
        return list(self._values)

    def metrics(self, target: str) -> list[str]:
        """Return the keys that a target was measured by."""
        return list(self._values.get(target, {}))

    def values(self, target: str, metric: str) -> list[float]:
        """Return the figures run by run; empty where it was not measured."""
        return [value for _, value in self._values.get(target, {}).get(metric, [])]

    def spread(self, target: str, metric: str) -> Spread | None:
        """Return the spread over the runs."""
        return Spread.over(self.values(target, metric))

    def ratio(self, target: str, metric: str, yardstick: str) -> Spread | None:
        """Return the spread of the ratio, each figure's to the one that the yardstick had last before it."""
        known = self._values.get(yardstick, {}).get(metric, [])
        befores = [bisect(known, (at,)) for at, _ in self._values.get(target, {}).get(metric, [])]
        bases = [known[before - 1][1] if before else math.nan for before in befores]
        return Spread.over(ratios(self.values(target, metric), bases))

    def figure(self, bar: Bar, target: str, yardstick: str) -> float | None:
        """Return what a bar is about; None where it was not measured."""
        spread = self.ratio(target, bar.metric, yardstick) if bar.is_ratio else self.spread(target, bar.metric)
        return spread.median if spread else None
