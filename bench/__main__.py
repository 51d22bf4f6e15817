"""`python -m bench`: the command line of the bench. Progress goes to stderr, the table to stdout."""

import argparse
import signal
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from bench import machine, targets
from bench.gateway import default_command
from bench.nginx import find_nginx
from bench.phases import Bench, Settings, upstream
from bench.process import ROOT, BenchError, Cores, raise_file_limit
from bench.report import Report, as_json, publish, terminal_table
from bench.server import Site

_RESULTS = ROOT / "bench" / "results"
_PAGE = ROOT / "docs" / "performance.md"
_PICTURE = ROOT / "docs" / "performance.svg"

_progress = Console(stderr=True, highlight=False, soft_wrap=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure what the relay costs against nginx.")
    parser.add_argument("--quick", action="store_true", help="a smoke test of about a minute; publishes nothing")
    parser.add_argument("--only", metavar="PHASES", help=f"some of {','.join(targets.PHASES)}; publishes nothing")
    parser.add_argument(
        "--pairs", action="store_true", help="each pair of dialects, and a bare relay; publishes nothing"
    )
    parser.add_argument("--runs", type=int, help="interleaved runs of each target (5)")
    parser.add_argument("--seconds", type=int, help="length of each stream in the chunks phase (10)")
    parser.add_argument(
        "--gateway", metavar="COMMAND", help="another gateway, e.g. an older checkout; publishes nothing"
    )
    return parser


def _settings(options: argparse.Namespace) -> Settings:
    settings = Settings(gateway=options.gateway or default_command())
    if options.quick:
        settings = replace(settings, runs=1, seconds=4, requests=3_000, open_seconds=10)
    if options.only:
        settings = replace(settings, phases=_phases(options.only))
    given = {name: getattr(options, name) for name in ("runs", "seconds", "pairs") if getattr(options, name)}
    return replace(settings, **given)


def _phases(text: str) -> tuple[str, ...]:
    chosen = tuple(name.strip() for name in text.split(","))
    if unknown := set(chosen) - set(targets.PHASES):
        raise BenchError(f"expected phases of {', '.join(targets.PHASES)}, got {', '.join(sorted(unknown))}")
    return chosen


def _rows(settings: Settings) -> list[targets.Target]:
    name = targets.SUBJECT if settings.gateway == default_command() else "gateway"
    ours = [targets.gateway(settings.gateway, name), targets.metered(settings.gateway, name)]
    if settings.pairs:
        ours = [targets.bare(), *ours, *targets.pairs(settings.gateway, name)]
    rows = [targets.direct(), targets.nginx(), *ours]
    if find_nginx():
        return _with_yardsticks(rows) if settings.pairs else rows
    _progress.print("[bold]nginx is not installed:[/] no figure is compared (Debian: apt-get install nginx-light)")
    return [row for row in rows if row.name != targets.YARDSTICK]


def _with_yardsticks(rows: list[targets.Target]) -> list[targets.Target]:
    """The rows with nginx again before every third: a run over all pairs is long, and the machine's minutes differ."""
    again = replace(targets.nginx(), phases=("chunks",))
    return [each for at, row in enumerate(rows) for each in ([again, row] if at > 2 and at % 3 == 0 else [row])]


def _measure(settings: Settings) -> Report:
    cores = Cores.of_machine()
    raise_file_limit(2 * settings.open_streams + 500)
    with tempfile.TemporaryDirectory(prefix="thalweg-bench-") as name:
        directory = Path(name)
        with upstream(cores.upstream, directory) as port:
            bench = Bench(settings, Site(port, cores, directory), _progress.print)
            bench.run(_rows(settings))
    return Report(
        samples=bench.samples,
        settings=settings,
        errors=bench.errors,
        date=machine.today(),
        commit=machine.commit(),
        machine=machine.describe_machine(),
        versions=machine.describe_versions(),
    )


def _is_published(report: Report) -> bool:
    """Only a full bench, of this checkout, without errors and with its yardstick, is published."""
    rows = {targets.SUBJECT, targets.YARDSTICK}
    return report.settings.is_full and not report.errors and rows <= set(report.samples.targets())


def _show(report: Report) -> None:
    console = Console(width=None if sys.stdout.isatty() else 120)
    console.print(terminal_table(report))
    for bar, figure, holds in report.bars():
        console.print(f"{'holds' if holds else 'DOES NOT HOLD'}: {bar.text}: {figure:,.2f}", highlight=False)
    for error in report.errors:
        _progress.print(f"[bold]doubtful:[/] {error}")


def _keep(report: Report) -> None:
    published = _is_published(report)
    path = _RESULTS / ("latest.json" if published else "partial.json")
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(as_json(report))
    if published:
        publish(report, _PAGE, _PICTURE)
    _progress.print(f"written: {path.relative_to(ROOT)}" + (", docs/performance.md and .svg" if published else ""))


def main() -> int:
    """Run the bench; 1 when streams were broken or nothing could be measured, never for a slow figure."""
    options = _parser().parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # Through the `finally` of every server.
    try:
        report = _measure(_settings(options))
    except BenchError as error:
        _progress.print(f"bench: {error}", markup=False)
        return 1
    except KeyboardInterrupt:
        return 130
    _show(report)
    _keep(report)
    return 1 if report.errors else 0


if __name__ == "__main__":
    sys.exit(main())
