"""Cells as a table and as a picture: a square for each, coloured by how it ended. No I/O."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple
from xml.sax.saxutils import escape

Mark = Literal["complete", "error", "status", "wrong"]
"""How a cell ended; `wrong` where that was not as it should be."""
SIGNS: Mapping[Mark, str] = {"complete": "●", "error": "◐", "status": "○", "wrong": "✗"}
TITLES = {"openai-chat": "Chat", "openai-responses": "Responses", "anthropic": "Anthropic", "gemini": "Gemini"}


class Where(NamedTuple):
    """The place of a cell in its table."""

    kind: str
    client: str
    place: str


@dataclass
class CellTable:
    """Cells by kind, client dialect and place."""

    title: str
    kinds: Sequence[str]
    places: Sequence[str]
    marks: Mapping[Where, Mark]

    def lines(self) -> list[str]:
        """The lines of the table: in each of its cells a sign for each place."""
        head = f"| {self.title} | {' | '.join(TITLES.values())} |"
        lines = [head, "| --- |" + " --- |" * len(TITLES)]
        for kind in self.kinds:
            signs = ["".join(self._sign(kind, client, place) for place in self.places) for client in TITLES]
            lines.append(f"| {kind} | {' | '.join(signs)} |")
        return lines

    def _sign(self, kind: str, client: str, place: str) -> str:
        mark = self.marks.get(Where(kind, client, place))
        return SIGNS[mark] if mark else "·"


_LEFT, _SIDE, _STEP, _GAP, _NARROWEST = 206, 13, 15, 14, 62
_HEAD, _ROW, _BETWEEN = 84, 17, 26
_WORDS: Mapping[Mark, str] = {
    "complete": "the whole answer",
    "error": "an error after it has begun",
    "status": "an error with its own status",
    "wrong": "not as it should be",
}
# Shown as an image, a page's style does not reach in: the picture follows the reader's scheme itself. Each end has its
# shape as well, for those who do not see the colours.
_STYLE = """\
text { font: 12px system-ui, sans-serif; fill: #1f2933 }
.title { font-weight: 600 } .small { font-size: 10px }
.complete { fill: #2f8f5b } .error { fill: #0b7fab } .status { fill: #c9a227 } .wrong { fill: #c0362c }
.none { fill: none; stroke: #8a97a6; stroke-width: .5 }
.hole { fill: #fff }
@media (prefers-color-scheme: dark) {
  text { fill: #e4e9ee }
  .complete { fill: #4fbf83 } .error { fill: #38a9d6 } .status { fill: #e0bf4c } .wrong { fill: #ef6a5f }
  .hole { fill: #10151a }
}"""


def draw(tables: Sequence[CellTable]) -> str:
    """The tables under each other, as an SVG document."""
    pieces: list[str] = []
    top, width = 8, 0
    for table in tables:
        pieces += _drawn(table, top)
        top += _HEAD + _ROW * len(table.kinds) + _BETWEEN
        width = max(width, _column(table, len(TITLES)))
    pieces += _legend(top)
    size = (width + 8, top + 2 * _ROW + 8)
    title = "How each cell ended: " + ", ".join(f"{len(table.marks)} of {table.title}" for table in tables)
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size[0]} {size[1]}" width="{size[0]}" '
        f'height="{size[1]}" role="img" aria-label="{escape(title)}">'
    )
    return "\n".join([head, f"<title>{escape(title)}</title>", f"<style>{_STYLE}</style>", *pieces, "</svg>", ""])


def _column(table: CellTable, client: int) -> int:
    return _LEFT + client * (max(_STEP * len(table.places), _NARROWEST) + _GAP)


def _drawn(table: CellTable, top: int) -> Iterator[str]:
    yield f'<text class="title" x="8" y="{top + 14}">{escape(table.title)}: {len(table.marks)} cells</text>'
    for at, title in enumerate(TITLES.values()):
        left = _column(table, at)
        yield f'<text x="{left}" y="{top + 14}">{title}</text>'
        for number, place in enumerate(table.places):
            x, y = left + number * _STEP + 10, top + _HEAD - 6
            said = escape(TITLES.get(place, place))
            yield f'<text class="small" transform="translate({x} {y}) rotate(-90)">{said}</text>'
    for row, kind in enumerate(table.kinds):
        y = top + _HEAD + row * _ROW
        yield f'<text x="8" y="{y + 11}">{escape(kind)}</text>'
        for at, client in enumerate(TITLES):
            for number, place in enumerate(table.places):
                mark = table.marks.get(Where(kind, client, place))
                yield _square(mark, _column(table, at) + number * _STEP, y)


def _square(mark: Mark | None, x: int, y: int) -> str:
    name = mark or "none"
    square = f'<rect class="{name}" x="{x}" y="{y}" width="{_SIDE}" height="{_SIDE}" rx="2"/>'
    if mark == "error":
        return square + f'<rect class="hole" x="{x + 7}" y="{y + 3}" width="4" height="7"/>'
    if mark == "status":
        return square + f'<rect class="hole" x="{x + 4}" y="{y + 4}" width="5" height="5"/>'
    return square


def _legend(top: int) -> Iterator[str]:
    """In two columns, so that it is no wider than the tables."""
    for at, (mark, said) in enumerate(_WORDS.items()):
        x, y = 8 + at % 2 * 220, top + at // 2 * _ROW
        yield _square(mark, x, y)
        yield f'<text x="{x + 19}" y="{y + 11}">{said}</text>'
