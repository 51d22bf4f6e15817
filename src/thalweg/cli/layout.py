"""Columns, bars and figures as the command line shows them. Nothing here knows a command, a server or a ledger."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec
from rich.console import Console
from rich.text import Text

Cell = str | Text

GAP = "  "
_EIGHTHS = " ▏▎▍▌▋▊▉█"


class Column(msgspec.Struct, frozen=True, kw_only=True):
    """One column of a table."""

    heading: str
    right: bool = False
    """Whether its cells stand at the right, as figures do."""
    rank: int = 0
    """The highest rank is left out first where a window has no room; 0 stays."""
    least: int = 0
    """Room to keep for rows that are not there yet."""
    narrowest: int | None = None
    """To how many columns it may be cut before others are left out; `None` where nothing is cut."""


class Layout:
    """A table whose columns are chosen for a window: made of the rows that are there, good for more that come later."""

    def __init__(self, columns: Sequence[Column], rows: Sequence[Sequence[Cell]], room: int | None) -> None:
        """`room` is the window's width; without one nothing is cut or left out."""
        self._columns = columns
        self._widths = [
            max([column.least, _width(column.heading), *(_width(row[at]) for row in rows)])
            for at, column in enumerate(columns)
        ]
        self._cut = room is not None
        self._shown = list(range(len(columns)))
        if room is not None:
            self._leave_out(room)
            self._narrow(room)

    def _leave_out(self, room: int) -> None:
        """Leave columns out until the rest fits, each as narrow as it may be."""
        narrow = [
            width if column.narrowest is None else min(width, column.narrowest)
            for column, width in zip(self._columns, self._widths, strict=True)
        ]
        for at in sorted(self._shown, key=lambda at: self._columns[at].rank, reverse=True):
            if not self._columns[at].rank or self._needed(narrow) <= room:
                return
            self._shown.remove(at)

    def _narrow(self, room: int) -> None:
        for at in self._shown:
            narrowest, over = self._columns[at].narrowest, self._needed(self._widths) - room
            if narrowest is not None and over > 0:
                self._widths[at] = min(self._widths[at], max(self._widths[at] - over, narrowest))

    def _needed(self, widths: Sequence[int]) -> int:
        return sum(widths[at] + len(GAP) for at in self._shown) - len(GAP)

    @property
    def left_out(self) -> list[str]:
        """The headings that found no room."""
        return [column.heading for at, column in enumerate(self._columns) if at not in self._shown and column.heading]

    def heading(self) -> Text:
        """The first line."""
        return self.line([column.heading for column in self._columns], style="bold")

    def rule(self) -> Text:
        """A line between rows."""
        return Text("─" * self._needed(self._widths), style="dim")

    def line(self, cells: Sequence[Cell], *, style: str = "") -> Text:
        """One row. Where a later one is wider than its columns, what may be cut gives way."""
        line, over = Text(style=style), self._over(cells)
        for at in self._shown:
            column, width = self._columns[at], self._widths[at]
            cell = Text.assemble(cells[at])
            if self._cut and column.narrowest is not None:
                width, over = max(width - over, min(width, column.narrowest)), 0
                cell.truncate(width, overflow="ellipsis")
            blanks = " " * (width - _width(cell))
            line += Text.assemble(*((blanks, cell) if column.right else (cell, blanks)), GAP)
        line.rstrip()
        return line

    def _over(self, cells: Sequence[Cell]) -> int:
        """By how much the cells that are not cut are wider than their columns."""
        whole = (at for at in self._shown if self._columns[at].narrowest is None)
        return sum(max(_width(cells[at]) - self._widths[at], 0) for at in whole)


def _width(cell: Cell) -> int:
    return cell.cell_len if isinstance(cell, Text) else Text(cell).cell_len


class Paper:
    """Where a command prints: a terminal with its width and colours, or a pipe, which has neither."""

    def __init__(self, *, stderr: bool = False) -> None:
        self._stream = sys.stderr if stderr else sys.stdout
        self.is_terminal = self._stream.isatty()
        self._console = Console(stderr=stderr, highlight=False, markup=False, emoji=False)
        self.room = self._console.width if self.is_terminal else None
        """Columns of the window; `None` where there is none."""
        self._draws = "utf" in (self._stream.encoding or "").lower()

    def print(self, line: Cell = "", *, style: str = "") -> None:
        """Print one line, never broken."""
        text = line if isinstance(line, Text) else Text(line)
        text.end = "\n"
        if not self._draws:
            text = _plain_signs(text)
        self._console.print(text, style=style, soft_wrap=True)

    def table(self, columns: Sequence[Column], rows: Sequence[Sequence[Cell]], *, total: Sequence[Cell] = ()) -> Layout:
        """Print a table that fits, and return how it was laid out."""
        layout = Layout(columns, [*rows, total] if total else rows, self.room)
        self.print(layout.heading())
        for row in rows:
            self.print(layout.line(row))
        if total:
            self.print(layout.rule())
            self.print(layout.line(total, style="bold"))
        return layout


_PLAIN_SIGNS = str.maketrans(
    dict.fromkeys("█▉▊▋▌", "#")
    | dict.fromkeys("▍▎▏", " ")
    | dict.fromkeys("─━", "-")
    | dict.fromkeys("┃│├┤┼╿", "|")
    | {"✓": "+", "✗": "x", "▶": ">", "·": "-", "…": "~", "→": ">", "░": ".", "╌": "."}
)


def _plain_signs(text: Text) -> Text:
    """The same for a terminal that has no such signs; each stands in one column as before."""
    plain = text.copy()
    plain.plain = text.plain.translate(_PLAIN_SIGNS)
    return plain


def short_path(path: Path) -> str:
    """The path for people, their own folder as `~`."""
    try:
        below = path.relative_to(Path.home())
    except (ValueError, RuntimeError):
        return str(path)
    return "~" if below == Path() else f"~/{below}"


def bar(share: float, width: int) -> str:
    """A bar for a share of 1. What is more than nothing shows."""
    eighths = max(round(min(max(share, 0.0), 1.0) * width * 8), int(share > 0))
    full, rest = divmod(eighths, 8)
    return "█" * full + _EIGHTHS[rest].strip()


def milliseconds(value: float | None) -> str:
    """A duration for people; empty for `None`."""
    if value is None:
        return ""
    if value < 0.05:
        return "< 0.1 ms"
    if value < 10:
        return f"{value:.1f} ms"
    if value < 1000:
        return f"{value:.0f} ms"
    seconds = value / 1000
    if seconds < 100:
        return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.1f} s"
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {seconds:02} s"
