"""The result in its forms: one table for the terminal and the page, JSON for the record, bars for the eye."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import msgspec
from rich.table import Table

from bench.chart import BarMark, Panel, draw
from bench.metrics import BARS, METRICS, Bar, Metric, Samples
from bench.phases import Settings
from bench.process import ROOT
from bench.stats import Spread
from bench.targets import DIRECT, SUBJECT, YARDSTICK

BEGIN = "<!-- bench:begin -->"
END = "<!-- bench:end -->"

_TITLE = "Cost of the relay against nginx"
_MOST_COLUMNS = 8
_COSTS = (("chunk_cpu_us", 1), ("steady_chunk_cpu_us", 1), ("stream_cpu_us", 0))
_CHARTED = ("chunk_cpu_us", "request_cpu_us", "stream_kib", "added_latency_p50_ms")


@dataclass(frozen=True, slots=True)
class Report:
    """All that a bench found, and where."""

    samples: Samples
    settings: Settings
    errors: list[str]
    date: str
    commit: str
    machine: dict[str, str]
    versions: dict[str, str]

    def columns(self) -> list[str]:
        """Return the header of the table."""
        ratios = [f"{name} ÷ {YARDSTICK}" for name in self._compared()]
        return ["", *self._measured(), *ratios]

    def rows(self) -> Iterator[list[str]]:
        """Yield the table's rows as text; a metric nobody was measured by is left out."""
        for metric in METRICS:
            spreads = [self.samples.spread(name, metric.key) for name in self._measured()]
            ratios = [self.samples.ratio(name, metric.key, YARDSTICK) for name in self._compared()]
            if any(spreads):
                figures = [_text(spread, metric.digits) for spread in spreads]
                yield [_label(metric), *figures, *(_text(ratio, 2) for ratio in ratios)]

    def chunks(self) -> Iterator[list[str]]:
        """Yield for each target what a chunk costs, and a stream, and that against the yardstick."""
        for name in self._measured():
            cells = [name]
            for key, digits in _COSTS:
                cells.append(_text(self.samples.spread(name, key), digits))
                cells.append(_text(self.samples.ratio(name, key, YARDSTICK), 2))
            yield cells

    def bars(self) -> Iterator[tuple[Bar, float, bool]]:
        """Yield the bars that were measured: the bar, Thalweg's figure, whether it holds."""
        for bar in BARS:
            figure = self.samples.figure(bar, SUBJECT, YARDSTICK)
            if figure is not None and self.settings.open_seconds >= bar.open_s:
                yield bar, figure, figure <= bar.limit

    def baseline(self) -> str:
        """Return a line on the base line that added times refer to; empty when it was not measured."""
        shown = {"TTFT p50": "ttft_p50_ms", "TTFT p99": "ttft_p99_ms", "largest gap p99": "gap_p99_ms"}
        spreads = {label: self.samples.spread(DIRECT, key) for label, key in shown.items()}
        figures = [f"{label} {spread.median:.2f} ms" for label, spread in spreads.items() if spread]
        return f"Without any gateway: {', '.join(figures)}." if figures else ""

    def _measured(self) -> list[str]:
        return [name for name in self.samples.targets() if name != DIRECT]

    def _compared(self) -> list[str]:
        return [name for name in self._measured() if name != YARDSTICK and YARDSTICK in self._measured()]


def _label(metric: Metric) -> str:
    return f"{metric.label} ({metric.unit})" if metric.unit else metric.label


def _text(spread: Spread | None, digits: int) -> str:
    if spread is None:
        return "–"
    median, low, high = (f"{value:,.{digits}f}" for value in (spread.median, spread.low, spread.high))
    return median if low == high else f"{median} ({low}–{high})"


def terminal_table(report: Report) -> Table:
    """Return the table for the terminal: a line a figure; where there are too many targets for that, a line a target
    with what a chunk costs.
    """
    columns, rows = report.columns(), list(report.rows())
    if len(columns) > _MOST_COLUMNS:
        against = f"÷ {YARDSTICK}"
        columns = ["", "CPU per chunk (µs)", against, "all open (µs)", against, "per stream (µs)", against]
        rows = list(report.chunks())
    table = Table(title="median over the runs (lowest–highest)", title_justify="left")
    for index, column in enumerate(columns):
        table.add_column(column, justify="right" if index else "left")
    for row in rows:
        table.add_row(*row)
    return table


def markdown(report: Report) -> str:
    """Return what stands between the markers of the page."""
    columns = report.columns()
    lines = [_line(columns), _line(["---", *["---:"] * (len(columns) - 1)]), *map(_line, report.rows())]
    picture = f"![{_TITLE}](performance.svg)"
    return "\n".join([_provenance(report), "", picture, "", *lines, "", report.baseline(), "", *_bar_lines(report)])


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _provenance(report: Report) -> str:
    machine = report.machine
    versions = ", ".join(f"{name} {version}" for name, version in report.versions.items())
    return (
        f"{report.date}, commit `{report.commit}`, {machine['cpu']}, {machine['cores']} cores, "
        f"Linux {machine['kernel']}, Python {machine['python']}; {versions}. "
        f"{report.settings.runs} runs each: median (lowest–highest)."
    )


def _bar_lines(report: Report) -> list[str]:
    lines = ["| bar | measured | |", "| --- | ---: | --- |"]
    return lines + [
        _line([bar.text, f"{figure:,.2f}".rstrip("0").rstrip("."), "holds" if holds else "**does not hold**"])
        for bar, figure, holds in report.bars()
    ]


def rewrite(page: str, block: str) -> str:
    """Return the page with what stands between the markers replaced; ValueError when a marker is missing."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"expected {BEGIN!r} and {END!r} in the page")
    return f"{before}{BEGIN}\n{block}\n{END}{after}"


def as_json(report: Report) -> bytes:
    """Return the record: every run's figures beside what they say together."""
    samples = report.samples
    targets = {
        name: {metric: _record(samples, name, metric) for metric in samples.metrics(name)} for name in samples.targets()
    }
    record = {
        "date": report.date,
        "commit": report.commit,
        "machine": report.machine,
        "versions": report.versions,
        # Of the command, not where it lies: the file is kept with the project.
        "settings": asdict(report.settings) | {"gateway": report.settings.gateway.replace(f"{ROOT}/", "")},
        "targets": targets,
        "bars": [
            {"text": bar.text, "limit": bar.limit, "measured": figure, "holds": holds}
            for bar, figure, holds in report.bars()
        ],
        "errors": report.errors,
    }
    return msgspec.json.format(msgspec.json.encode(record), indent=1) + b"\n"


def _record(samples: Samples, target: str, metric: str) -> dict[str, object]:
    return {
        "runs": samples.values(target, metric),
        "over_runs": samples.spread(target, metric),
        "to_nginx": None if target in (YARDSTICK, DIRECT) else samples.ratio(target, metric, YARDSTICK),
    }


def chart(report: Report) -> str:
    """Return the picture."""
    panels = [_panel(report.samples, metric) for metric in METRICS if metric.key in _CHARTED]
    return draw(f"{_TITLE}, {report.date}", [panel for panel in panels if panel.bars])


def _panel(samples: Samples, metric: Metric) -> Panel:
    spreads = {name: samples.spread(name, metric.key) for name in samples.targets() if name != DIRECT}
    bars = [
        BarMark(name, spread.median, spread.low, spread.high, _text(spread, metric.digits))
        for name, spread in spreads.items()
        if spread
    ]
    return Panel(_label(metric), bars)


def publish(report: Report, page: Path, picture: Path) -> None:
    """Write the table into the page and the picture beside it."""
    page.write_text(rewrite(page.read_text(), markdown(report)))
    picture.write_text(chart(report))
