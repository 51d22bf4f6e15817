"""Gathers what the tests of this folder have measured, and writes it into docs/reliability.md after a full run.

A run that left out some of the tests changes nothing there, and neither does a sample.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path

from bench.machine import commit, describe_machine, today

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reliability.md"
BEGIN, END = "<!-- torture: begin -->", "<!-- torture: end -->"


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


def _figure(value: float | None, unit: str) -> str:
    if value is None:
        return ""
    return f"{value:,.0f} {unit}" if abs(value) >= 100 else f"{value:,.1f} {unit}"


def write(results: Results, seed: int, page: Path = PAGE) -> None:
    """Put the results between the marks of the page."""
    before, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    page.write_text(f"{before}{BEGIN}\n{results.section(seed)}\n{END}{after}", encoding="utf-8")
