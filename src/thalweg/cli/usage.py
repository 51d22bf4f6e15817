"""`thalweg usage`: what the ledger knows, as a table or JSON."""

from __future__ import annotations

import sys
import time
from datetime import UTC
from pathlib import Path
from typing import Literal

import msgspec
from rich.console import Console
from rich.table import Table

from thalweg.config import ConfigError, load
from thalweg.ledger.entry import LedgerError
from thalweg.ledger.report import Group, Report, usage_report

_DAY_MS = 86_400_000


def usage(
    *,
    by: Literal["day", "model", "provider", "outcome"] = "day",
    days: int = 30,
    utc: bool = False,
    json: bool = False,
    home: Path | None = None,
) -> int:
    """Show requests and tokens from the ledger. Works while the server runs.

    Parameters
    ----------
    by
        What to group by.
    days
        How far back to look.
    utc
        Cut days in UTC instead of local time.
    json
        Print JSON.
    home
        Where the ledger lives [default: THALWEG_HOME, the XDG data directory].
    """
    try:
        settings = load(home=home)
        since_ms = time.time_ns() // 1_000_000 - days * _DAY_MS
        report = usage_report(settings.home / "ledger.db", by, since_ms=since_ms, zone=UTC if utc else None)
    except (ConfigError, LedgerError) as error:
        print(f"thalweg: {error}", file=sys.stderr)
        return 3 if isinstance(error, ConfigError) else 1
    if json:
        print(msgspec.json.encode(report).decode())
    else:
        # What is not a terminal has no width: nothing is cut there.
        Console(width=None if sys.stdout.isatty() else 200).print(_table(report))
    return 0


def _table(report: Report) -> Table:
    table = Table(title=f"Usage by {report.by} ({report.zone})", title_justify="left")
    table.add_column(report.by)
    for heading in ("requests", "input", "cached", "output", "reasoning", "not reported", "interrupted", "TTFT p50"):
        table.add_column(heading, justify="right")
    for group in report.groups:
        table.add_row(*_cells(group, group.label))
    table.add_section()
    table.add_row(*_cells(report.totals, "total"), style="bold")
    return table


def _cells(group: Group, label: str) -> list[str]:
    unsure = group.counted + group.estimated + group.unknown
    return [
        label,
        f"{group.requests:,}",
        f"{group.input_tokens:,}",
        f"{group.cached_input_tokens:,}",
        f"{group.output_tokens:,}",
        f"{group.reasoning_tokens:,}",
        f"{unsure:,}" if unsure else "",
        f"{group.interrupted:,} ({group.interrupted_share:.0%})" if group.interrupted else "",
        "" if group.ttft_p50_ms is None else f"{group.ttft_p50_ms:,.0f} ms",
    ]
