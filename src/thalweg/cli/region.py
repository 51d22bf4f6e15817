"""A part of the terminal that is written anew in place. Text in, control sequences out; nothing is written here.

The region is the last thing on the screen. It is never higher than the screen, so what scrolls off has been final
when it was written, and stands in the scroll-back once. Source of the sequences: ECMA-48; the synchronized update
(`CSI ? 2026`), which terminals that do not know it pass over: the terminal-wg specification, read 2026-11.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

_BEGIN, _END = "\x1b[?2026h", "\x1b[?2026l"
_CLEAR_BELOW, _UP = "\x1b[J", "\x1b[A"


class Line(NamedTuple):
    """One row: what is written, and how many columns it takes."""

    text: str
    columns: int


class Size(NamedTuple):
    """A terminal's."""

    columns: int
    rows: int


class Region:
    """The region's state. The cursor rests in its last line; without lines, at the start of a row."""

    def __init__(self, size: Callable[[], Size]) -> None:
        self._size = size
        self._shown: list[Line] = []

    def update(self, lines: Sequence[Line]) -> str:
        """Show these lines, as many of the last ones as there is room for."""
        return self._write(list(lines)[-max(self._size().rows - 1, 1) :])

    def commit(self, lines: Sequence[Line]) -> str:
        """Leave these lines instead of what was shown, all of them, and begin a new region below."""
        out = self._write(list(lines))
        if self._shown:
            out += "\r\n"
        self._shown = []
        return out

    def _write(self, lines: list[Line]) -> str:
        same = 0
        for old, new in zip(self._shown, lines, strict=False):
            if old != new:
                break
            same += 1
        if same == len(self._shown) == len(lines):
            return ""
        out = self._back_to(same) + "\r\n".join(line.text for line in lines[same:])
        if lines and same == len(lines):
            out += _UP  # what was below is gone, and the last line is the one above
        self._shown = lines
        return f"{_BEGIN}{out}{_END}"

    def _back_to(self, line: int) -> str:
        """To the start of this line, with nothing below; the line behind the last one is a new row."""
        if line == len(self._shown):
            return "\r\n" if self._shown else ""
        # A window that has become narrower has broken lines into several rows.
        columns = max(self._size().columns, 1)
        up = sum(max(-(-shown.columns // columns), 1) for shown in self._shown[line:]) - 1
        return "\r" + (f"\x1b[{up}A" if up else "") + _CLEAR_BELOW
