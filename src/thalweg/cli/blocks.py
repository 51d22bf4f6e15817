"""Cuts Markdown into its blocks while it comes, so that a finished one can be rendered once and never again.

No line is changed, lost or added: all blocks and what is current, joined, are the text. A list is one block with
everything in it; so is a fence, whatever stands between its marks. Source: CommonMark 0.31.2, sections 4 and 5.
"""

from __future__ import annotations

import re

_FENCE = re.compile(r"[ \t]*(?:(?:[-+*]|\d{1,9}[.)])[ \t]+)*(`{3,}(?=[^`]*$)|~{3,})")
"""An opening mark, also behind a list's marker; what follows backticks holds none."""
_HEADING = re.compile(r" {0,3}#{1,6}(?:[ \t]|$)")
_LIST = re.compile(r" {0,3}(?:[-+*]|\d{1,9}[.)])(?:[ \t]|$)")
_INDENTED = re.compile(r"[ ]{2}|\t")


class Blocks:
    """One text on its way. Holds the current block only."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._rest: list[str] = []
        """The pieces of a line that has not ended."""
        self._fence = ""
        """The mark that is open, and closed by one of its kind that is no shorter."""
        self._in_list = False
        self._after_blank = False

    @property
    def current(self) -> str:
        """What has come of the block that is not finished."""
        return "".join(self._lines) + "".join(self._rest)

    @property
    def in_fence(self) -> bool:
        """Whether the end of the text stands between the marks of a fence."""
        return bool(self._fence)

    def feed(self, text: str) -> list[str]:
        """Take in text, give out the blocks that it finishes."""
        if "\n" not in text:
            self._rest.append(text)
            return []
        *lines, rest = ("".join(self._rest) + text).split("\n")
        self._rest = [rest] if rest else []
        return [block for line in lines for block in self._line(line)]

    def end(self) -> list[str]:
        """The text is over: what there is of the current block."""
        last = self.current
        self.__init__()  # type: ignore[misc]  # a new text begins as the first one did
        return [last] if last else []

    def _line(self, line: str) -> list[str]:
        done = [] if self._fence or not self._begins_block(line) else self._take()
        if not self._lines:
            self._in_list = _LIST.match(line) is not None
        self._lines.append(line + "\n")
        if self._fence:
            return done + (self._take() if self._closes_fence(line) and not self._in_list else [])
        self._after_blank = not line.strip()
        if found := _FENCE.match(line):
            self._fence = found[1]
        elif _HEADING.match(line) and len(self._lines) == 1:
            return done + self._take()
        return done

    def _begins_block(self, line: str) -> bool:
        """Whether the block before this line is finished by it."""
        if not self._lines or not line.strip() or self._all_blank():
            return False
        if self._in_list and (_INDENTED.match(line) or _LIST.match(line)):
            return False
        interrupts = _HEADING.match(line) or (_FENCE.match(line) and not _LIST.match(line))
        return self._after_blank or interrupts is not None

    def _all_blank(self) -> bool:
        return not any(line.strip() for line in self._lines)

    def _closes_fence(self, line: str) -> bool:
        mark = line.strip()
        closes = len(mark) >= len(self._fence) and set(mark) == {self._fence[0]}
        if closes:
            self._fence = ""
        return closes

    def _take(self) -> list[str]:
        block = "".join(self._lines)
        self._lines, self._in_list, self._after_blank = [], False, False
        return [block]
