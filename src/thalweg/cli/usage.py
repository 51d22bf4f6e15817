"""`thalweg usage`: what the ledger knows, as a table or JSON."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from datetime import UTC
from pathlib import Path
from typing import Annotated, NamedTuple

import msgspec
from cyclopts import Parameter

from thalweg.cli.bounds import bounded
from thalweg.cli.layout import Column, Paper, bar, milliseconds
from thalweg.cli.told import told
from thalweg.cli.words import explain, say
from thalweg.config import home as home_of
from thalweg.ledger.entry import LedgerError
from thalweg.ledger.report import By, Group, Report, usage_report

_DAY_MS = 86_400_000
_BAR_WIDTH = 12


def usage(
    *,
    by: Annotated[By, Parameter(metavar="WHAT"), explain("usage.by")] = "day",
    days: Annotated[int, Parameter(metavar="N"), explain("usage.days"), bounded(0, 36_500)] = 30,
    utc: Annotated[bool, Parameter(negative=()), explain("usage.utc")] = False,
    json: Annotated[bool, Parameter(negative=()), explain("usage.json")] = False,
    home: Annotated[Path | None, Parameter(metavar="FOLDER"), explain("usage.home")] = None,
) -> int:
    """Show requests and tokens from the ledger. Works while the server runs."""
    ledger = home_of(home) / "ledger.db"
    since_ms = time.time_ns() // 1_000_000 - days * _DAY_MS
    try:
        report = usage_report(ledger, by, since_ms=since_ms, zone=UTC if utc else None)
    except LedgerError as error:
        why = told(error) if ledger.exists() else say("usage.no_ledger", path=str(ledger))
        print(f"thalweg: {why}", file=sys.stderr)
        return 1
    if json:
        print(msgspec.json.encode(report).decode())
    else:
        _print(report, days)
    return 0


def _print(report: Report, days: int) -> None:
    paper = Paper()
    zone = say("usage.local_time") if report.zone == "local time" else report.zone
    paper.print(say("usage.title", by=say(f"usage.by_{report.by}"), days=days, zone=zone), style="dim")
    paper.print()
    most = max(map(_tokens, report.groups), default=0)
    totals = msgspec.structs.replace(report.totals, label=say("usage.total"))
    rows = [[shown.cell(group, most) for shown in _SHOWN] for group in report.groups]
    layout = paper.table(
        [
            Column(heading=_heading(shown, report), right=shown.right, rank=shown.rank, narrowest=shown.narrowest)
            for shown in _SHOWN
        ],
        rows,
        total=[shown.cell(totals, 0) for shown in _SHOWN],
    )
    if layout.left_out:
        Paper(stderr=True).print(say("usage.left_out", columns=", ".join(layout.left_out)), style="dim")


def _heading(shown: _Shown, report: Report) -> str:
    return say(f"usage.by_{report.by}") if shown.word == "label" else say(f"usage.col_{shown.word}")


def _tokens(group: Group) -> int:
    return group.input_tokens + group.output_tokens


def _picture(group: Group, most: int) -> str:
    return bar(_tokens(group) / most, _BAR_WIDTH) if most else ""


def _not_reported(group: Group, _: int) -> str:
    unsure = group.counted + group.estimated + group.unknown
    return f"{unsure:,}" if unsure else ""


def _interrupted(group: Group, _: int) -> str:
    return f"{group.interrupted:,} ({group.interrupted_share:.0%})" if group.interrupted else ""


class _Shown(NamedTuple):
    """One column."""

    word: str
    rank: int
    """As in `Column`."""
    cell: Callable[[Group, int], str]
    """Its text for a group, and for the most tokens that any group has."""
    right: bool = True
    narrowest: int | None = None


_SHOWN = (
    _Shown("label", 0, lambda group, _: group.label, right=False, narrowest=16),
    _Shown("requests", 0, lambda group, _: f"{group.requests:,}"),
    _Shown("tokens", 2, _picture, right=False),
    _Shown("input", 0, lambda group, _: f"{group.input_tokens:,}"),
    _Shown("cached", 6, lambda group, _: f"{group.cached_input_tokens:,}"),
    _Shown("output", 0, lambda group, _: f"{group.output_tokens:,}"),
    _Shown("reasoning", 7, lambda group, _: f"{group.reasoning_tokens:,}"),
    _Shown("not_reported", 5, _not_reported),
    _Shown("interrupted", 3, _interrupted),
    _Shown("ttft", 4, lambda group, _: milliseconds(group.ttft_p50_ms)),
)
