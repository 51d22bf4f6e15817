"""Breaks text into lines of a terminal: at blanks, and between wide characters, which have none between them."""

from __future__ import annotations

from collections.abc import Iterator

_NO_BREAK = "\N{NO-BREAK SPACE}"
_NOT_FIRST = frozenset(_NO_BREAK + "，。、；：！？）」』】》…,.;:!?)]}")
"""What may not begin a line."""


def wrap(text: str, most: int) -> Iterator[str]:
    """Lines of at most `most` columns, broken at spaces and between wide characters."""
    yield from (line.rstrip().replace(_NO_BREAK, " ") for line in _broken(text, most))


def _broken(text: str, most: int) -> Iterator[str]:
    line = ""
    for piece in _pieces(text):
        if line and width(line) + width(piece.rstrip()) > most:
            yield line
            line = piece.lstrip(" ")
        else:
            line += piece
    if line.strip():
        yield line


def _pieces(text: str) -> Iterator[str]:
    """What must stay together: a word with the spaces after it, a wide character with the marks after it."""
    piece = ""
    for char in text:
        wide = width(char) > 1
        after_wide = bool(piece) and width(piece[-1]) > 1
        if piece and char != " " and char not in _NOT_FIRST and (wide or after_wide or piece[-1] == " "):
            yield piece
            piece = ""
        piece += char
    if piece:
        yield piece


def width(text: str) -> int:
    """Columns on a terminal."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len  # tables of widths, wanted only where there are wide characters

    return cell_len(text)


class Flow:
    """Breaks text while it comes. A word is held back until its end is there, so that it is never cut."""

    def __init__(self, columns: int) -> None:
        self._columns = columns
        self._at = 0
        self._held = ""
        self._blanks = ""

    def feed(self, text: str) -> str:
        """What can be written now."""
        *lines, rest = (self._held + text).split("\n")
        *words, self._held = _pieces(rest) if rest else ("",)
        done = [self._line(list(_pieces(line))) + "\n" for line in lines]
        return "".join(done) + self._line(words, ends=False)

    def end(self) -> str:
        """What was held back."""
        held, self._held = self._held, ""
        return self._line([held] if held else [])

    def _line(self, words: list[str], *, ends: bool = True) -> str:
        out = ""
        for word in words:
            body = word.rstrip(" ")
            if self._at and self._at + len(self._blanks) + width(body) > self._columns:
                out, self._at = out + "\n", 0
            else:
                out, self._at = out + self._blanks, self._at + len(self._blanks)
            out += body
            self._at += width(body)
            # Behind a full line they would begin the next one.
            self._blanks = word[len(body) :]
        if ends:
            self._at, self._blanks = 0, ""
        return out
