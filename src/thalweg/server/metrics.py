"""What is counted, in Prometheus' text format. Nothing is counted for a chunk: all of it comes from reports at an end.

No label ever holds a key, a user, a request's id or a text. Each label's values are bounded: by tables of ours, or by
`MOST_MODELS`.
"""

from __future__ import annotations

import platform
import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import accumulate
from typing import Literal

import msgspec
from prometheus_client import CollectorRegistry, GCCollector, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from thalweg import __version__
from thalweg.canon.scrub import name_of
from thalweg.relay.taps import Report
from thalweg.simulator.knobs import bare_name

CONTENT_TYPE = b"text/plain; version=0.0.4; charset=utf-8"
MOST_MODELS = 200
"""Names that the label `model` may take; those after them are `other`."""
OTHER, NONE, REJECTED = "other", "none", "rejected"

_WAITS_S = tuple(0.01 * 2**power for power in range(14))
"""0.01 to 81.92 s: the buckets of OpenTelemetry's GenAI conventions for durations."""
_CLOSES_S = tuple(0.00025 * 2**power for power in range(14))
"""0.25 ms to 2 s: a connection is closed within a few of them, and 0.128 is next above what is promised."""
_MODEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,79}")


class Row(msgspec.Struct, frozen=True):
    """One metric of ours: its name without `thalweg_`, its kind, its labels, and what it says."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    labels: tuple[str, ...]
    help: str
    buckets: tuple[float, ...] = ()


METRICS: tuple[Row, ...] = (
    Row(
        "requests_total",
        "counter",
        ("dialect", "upstream", "model", "outcome"),
        "Generation requests by how they ended; those refused before any upstream was chosen have the outcome "
        "rejected.",
    ),
    Row(
        "rejections_total",
        "counter",
        ("dialect", "kind"),
        "Requests of any kind that the gateway itself refused, by the kind of error.",
    ),
    Row(
        "upstream_errors_total",
        "counter",
        ("upstream", "kind"),
        "Answers that failed or were refused upstream, by the kind of error.",
    ),
    Row(
        "failovers_total",
        "counter",
        ("upstream", "kind"),
        "Failures before the first content that the client was not told of, because another attempt followed.",
    ),
    Row(
        "continuations_total",
        "counter",
        ("upstream", "kind"),
        "Failures after the first content that the client was not told of, because another attempt goes on with it.",
    ),
    Row(
        "tokens_total",
        "counter",
        ("direction", "source"),
        "Tokens of all answers, simulated ones included, by how their number is known.",
    ),
    Row("repaired_frames_total", "counter", ("row",), "Frames that a repair row changed."),
    Row(
        "stream_ttft_seconds",
        "histogram",
        ("upstream",),
        "Of streams: from the request fully read to the first content handed to the client's socket.",
        _WAITS_S,
    ),
    Row(
        "stream_gap_seconds",
        "histogram",
        ("upstream",),
        "Of streams: the longest wait between two reads from the upstream, one for each stream.",
        _WAITS_S,
    ),
    Row(
        "stream_cancel_seconds",
        "histogram",
        ("upstream",),
        "Of cancelled answers: from the client's going to the upstream's connection being seen closed.",
        _CLOSES_S,
    ),
    Row("streams_open", "gauge", (), "Answers under way, whole ones included."),
    Row("buffer_bytes", "gauge", (), "Bytes held of requests and answers."),
    Row("buffer_limit_bytes", "gauge", (), "How many of them may be held (THALWEG_BUFFER_MB)."),
    Row("ledger_unsettled", "gauge", (), "Requests that are not settled on disk yet, those under way included."),
    Row("log_dropped_total", "counter", (), "Lines of the log that nobody took in time."),
    Row("build_info", "gauge", ("python", "version"), "1; the labels say what runs."),
)

Now = Mapping[str, Callable[[], float]]
"""The metrics without labels, which are asked for when somebody looks."""


class Metrics(Collector):
    """Counts, for one gateway, on the loop's thread; `exposition` may be asked for in another.

    The sums are plain numbers: prometheus_client's own have a lock for each addition and cost three times as much.
    """

    def __init__(self, now: Now) -> None:
        self._now = now
        self._sums = {row.name: Counter[tuple[str, ...]]() for row in METRICS if row.kind == "counter"}
        self._waits: dict[str, _Histograms] = {
            row.name: _Histograms(row.buckets) for row in METRICS if row.kind == "histogram"
        }
        self._models: set[str] = set()
        self._registry = CollectorRegistry()
        self._registry.register(self)
        ProcessCollector(registry=self._registry)
        GCCollector(registry=self._registry)

    def ended(self, *, dialect: str, upstream: str, model: str, stream: bool, report: Report) -> None:
        """Count an attempt that is over. `model` is the upstream's name for it."""
        named = self._model(model, report.upstream_status == 200)
        sums, waits = self._sums, self._waits
        sums["requests_total"][dialect, upstream, named, report.outcome] += 1
        if report.outcome in ("upstream_error", "refused"):
            sums["upstream_errors_total"][upstream, report.error_kind or NONE] += 1
        usage, source = report.usage, report.usage_source
        if usage.input_tokens:
            sums["tokens_total"]["input", source] += usage.input_tokens
        if usage.output_tokens:
            sums["tokens_total"]["output", source] += usage.output_tokens
        for row, frames in report.repaired.items():
            sums["repaired_frames_total"][row,] += frames
        if stream and report.ttft_ms is not None:
            waits["stream_ttft_seconds"][upstream].add(report.ttft_ms / 1000)
            waits["stream_gap_seconds"][upstream].add(report.longest_gap_ms / 1000)
        if report.upstream_closed_ms is not None:
            waits["stream_cancel_seconds"][upstream].add(report.upstream_closed_ms / 1000)

    def faltered(self, *, upstream: str, report: Report) -> None:
        """Count an attempt that another one follows."""
        name = "continuations_total" if report.broke_off else "failovers_total"
        self._sums[name][upstream, report.error_kind or NONE] += 1

    def rejected(self, dialect: str, kind: str) -> None:
        """Count a request that was refused before any upstream was chosen; `dialect` is `none` outside of them all."""
        self._sums["rejections_total"][dialect, kind] += 1
        if dialect != NONE:
            self._sums["requests_total"][dialect, NONE, NONE, REJECTED] += 1

    def abandoned(self, dialect: str) -> None:
        """Count a generation request whose client went before it was whole."""
        self._sums["requests_total"][dialect, NONE, NONE, "cancelled"] += 1

    def exposition(self) -> bytes:
        """Everything, as Prometheus reads it. Takes milliseconds."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """Each metric of ours as it is now, in the order of the table."""
        for row in METRICS:
            yield self._family(row)

    def _model(self, model: str, answered: bool) -> str:
        """The label for a model. A name that no upstream has answered to is only what some client wrote."""
        if model in self._models:
            return model
        name = bare_name(model)
        if name in self._models:
            return name
        if not answered or len(self._models) >= MOST_MODELS or not _MODEL.fullmatch(name) or name_of(name) != name:
            return OTHER
        self._models.add(name)
        return name

    def _family(self, row: Row) -> Metric:
        name = f"thalweg_{row.name}"
        if row.kind == "histogram":
            histogram = HistogramMetricFamily(name, row.help, labels=row.labels)
            for upstream, waits in list(self._waits[row.name].items()):
                histogram.add_metric([upstream], waits.buckets(), waits.total)
            return histogram
        family = _FAMILIES[row.kind](name, row.help, labels=row.labels)
        for labels, value in self._values(row):
            family.add_metric(labels, value)
        return family

    def _values(self, row: Row) -> Iterable[tuple[tuple[str, ...], float]]:
        if row.name in self._now:
            return [((), self._now[row.name]())]
        if row.name == "build_info":
            return [((platform.python_version(), __version__), 1)]
        # A copy, made in one step: the loop's thread goes on counting.
        return list(self._sums.get(row.name, {}).items())


class _Waits:
    """One histogram: how many waits fell between which bounds, and their sum in seconds."""

    __slots__ = ("_bounds", "_counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def add(self, seconds: float) -> None:
        """Count one."""
        self._counts[bisect_left(self._bounds, seconds)] += 1
        self.total += seconds

    def buckets(self) -> list[tuple[str, float]]:
        """The bounds with how many were at most so long, as Prometheus wants them."""
        names = [*map(floatToGoString, self._bounds), "+Inf"]
        return list(zip(names, accumulate(self._counts), strict=True))


class _Histograms(dict[str, _Waits]):
    """A histogram for each upstream that has one, or is asked for."""

    def __init__(self, bounds: tuple[float, ...]) -> None:
        super().__init__()
        self._bounds = bounds

    def __missing__(self, upstream: str) -> _Waits:
        waits = self[upstream] = _Waits(self._bounds)
        return waits


_FAMILIES: dict[str, type[CounterMetricFamily | GaugeMetricFamily]] = {
    "counter": CounterMetricFamily,
    "gauge": GaugeMetricFamily,
}
