"""Gathers what the tests of this folder have measured, and writes it into docs/reliability.md after a full run.

A run that left out some of the tests changes nothing there, and neither does a sample.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path

from bench.machine import commit, describe_machine, today
from tests.torture.grid import TITLES, CellTable, draw

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reliability.md"
BEGIN, END = "<!-- torture: begin -->", "<!-- torture: end -->"

CELLS_BEGIN, CELLS_END = "<!-- cells: begin -->", "<!-- cells: end -->"
_PLACES = {"upstream bytes": "phase", "upstream meaning": "the upstream's dialect"}
PICTURE = PAGE.with_suffix(".svg")


@dataclass
class Row:
    """One line of the table. Times are in milliseconds unless `unit` says otherwise."""

    what: str
    counts: str
    p50: float | None = None
    p99: float | None = None
    worst: float | None = None
    unit: str = "ms"
    note: str = ""


@dataclass
class Outcome:
    """What became of one test."""

    test: str
    passed: bool = True
    seconds: float = 0.0
    rows: list[Row] = field(default_factory=list)


class Results:
    """Everything of one session, by test."""

    def __init__(self) -> None:
        self.outcomes: dict[str, Outcome] = {}
        self.cells: dict[str, CellTable] = {}
        """By title; those of full runs."""
        self._began = time.monotonic()

    def outcome(self, test: str) -> Outcome:
        """The outcome of a test, which may have rows before it has ended."""
        return self.outcomes.setdefault(test, Outcome(test))

    def table(self) -> list[str]:
        """The lines of the table."""
        lines = ["| test | what | counts | p50 | p99 | worst | result |", "| --- | --- | --- | --- | --- | --- | --- |"]
        for outcome in self.outcomes.values():
            said = "held" if outcome.passed else "**failed**"
            for row in outcome.rows or [Row("–", "–")]:
                figures = " | ".join(_figure(value, row.unit) for value in (row.p50, row.p99, row.worst))
                note = f"; {row.note}" if row.note else ""
                lines.append(f"| `{outcome.test}` | {row.what} | {row.counts} | {figures} | {said}{note} |")
        return lines

    def section(self, seed: int) -> str:
        """What stands between the marks."""
        machine = describe_machine()
        failed = sum(not outcome.passed for outcome in self.outcomes.values())
        minutes = (time.monotonic() - self._began) / 60
        verdict = "All tests held." if not failed else f"**{failed} of {len(self.outcomes)} tests failed.**"
        head = [
            f"{verdict} {today()}, commit `{commit()}`, seed {seed}, {minutes:.1f} minutes on {machine['cores']} cores "
            f"({machine['cpu']}, {machine['memory']}), Linux {machine['kernel']}, Python {machine['python']}. Gateway, "
            "simulator and clients shared the machine.",
            "",
        ]
        return "\n".join(head + self.table())

    def cells_section(self) -> str:
        """What stands between the marks of the cells."""
        machine = describe_machine()
        count = sum(len(table.marks) for table in self.cells.values())
        wrong = sum(mark == "wrong" for table in self.cells.values() for mark in table.marks.values())
        verdict = "All of them held." if not wrong else f"**{wrong} of them did not hold.**"
        head = [
            f"{count} cells. {verdict} {today()}, commit `{commit()}`, Linux {machine['kernel']}, Python "
            f"{machine['python']}.",
            "",
            f"![How each cell ended, by kind, dialect and place]({PICTURE.name})",
        ]
        places = {title: ", ".join(TITLES.get(each, each) for each in table.places) for title, table in self._sorted()}
        for title, table in self._sorted():
            head += ["", f"The signs of a cell, by {_PLACES[title]}: {places[title]}.", "", *table.lines()]
        return "\n".join(head)

    def _sorted(self) -> list[tuple[str, CellTable]]:
        return sorted(self.cells.items())


def _figure(value: float | None, unit: str) -> str:
    if value is None:
        return ""
    return f"{value:,.0f} {unit}" if abs(value) >= 100 else f"{value:,.1f} {unit}"


def write(results: Results, seed: int, page: Path = PAGE) -> None:
    """Put the results between the marks of the page."""
    _put(page, BEGIN, results.section(seed), END)


def write_cells(results: Results, page: Path = PAGE) -> None:
    """Put the cells between their marks, and their picture beside the page."""
    _put(page, CELLS_BEGIN, results.cells_section(), CELLS_END)
    tables = [table for _, table in sorted(results.cells.items())]
    page.with_suffix(".svg").write_text(draw(tables), encoding="utf-8")


def _put(page: Path, begin: str, said: str, end: str) -> None:
    before, _, rest = page.read_text(encoding="utf-8").partition(begin)
    _, _, after = rest.partition(end)
    page.write_text(f"{before}{begin}\n{said}\n{end}{after}", encoding="utf-8")
