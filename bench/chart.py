"""Bars as SVG, by hand: a panel per metric, a bar per target. No I/O."""

from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

_WIDTH = 720
_LEFT = 165
_BAR_WIDTH = 375
_BAR_HEIGHT = 20
_STEP = 28
_PANEL_HEAD = 34
_PANEL_GAP = 14

# Shown as an image, a page's style does not reach in: the picture follows the reader's scheme itself.
_STYLE = """\
text { font: 13px system-ui, sans-serif; fill: #1f2933 }
.title { font-weight: 600 }
.value { font-variant-numeric: tabular-nums }
.bar0 { fill: #8a97a6 } .bar1 { fill: #0b7fab } .bar2 { fill: #b4662a } .bar3 { fill: #6b5fb5 }
.range { stroke: #1f2933; stroke-width: 1.5; opacity: .55 }
@media (prefers-color-scheme: dark) {
  text { fill: #e4e9ee }
  .bar0 { fill: #76828f } .bar1 { fill: #38a9d6 } .bar2 { fill: #d98b4f } .bar3 { fill: #9a90e0 }
  .range { stroke: #e4e9ee }
}"""


@dataclass(frozen=True, slots=True)
class BarMark:
    """One bar: the median, and the range over the runs as a line on it."""

    name: str
    value: float
    low: float
    high: float
    label: str


@dataclass(frozen=True, slots=True)
class Panel:
    """Bars that share a unit and a scale."""

    title: str
    bars: Sequence[BarMark]


def draw(title: str, panels: Sequence[Panel]) -> str:
    """Return the picture as an SVG document; each panel has its own scale, from zero."""
    pieces: list[str] = []
    top = 8
    for panel in panels:
        pieces += _panel(panel, top)
        top += _panel_height(panel)
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {top}" width="{_WIDTH}" height="{top}" '
        f'role="img" aria-label="{escape(title, {chr(34): "&quot;"})}">'
    )
    return "\n".join([head, f"<title>{escape(title)}</title>", f"<style>{_STYLE}</style>", *pieces, "</svg>", ""])


def _panel_height(panel: Panel) -> int:
    return _PANEL_HEAD + _STEP * len(panel.bars) + _PANEL_GAP


def _panel(panel: Panel, top: int) -> list[str]:
    largest = max((bar.high for bar in panel.bars), default=0.0)
    scale = _BAR_WIDTH / largest if largest > 0 else 0.0
    pieces = [f'<text class="title" x="8" y="{top + 18}">{escape(panel.title)}</text>']
    for index, bar in enumerate(panel.bars):
        pieces += _bar(bar, index, top + _PANEL_HEAD + index * _STEP, scale)
    return pieces


def _bar(bar: BarMark, index: int, top: int, scale: float) -> list[str]:
    middle = top + _BAR_HEIGHT / 2
    low, high = (_LEFT + max(edge, 0.0) * scale for edge in (bar.low, bar.high))
    return [
        f'<text x="8" y="{middle + 4.5:g}">{escape(bar.name)}</text>',
        f'<rect class="bar{index % 4}" x="{_LEFT}" y="{top}" width="{max(bar.value, 0.0) * scale:.1f}" '
        f'height="{_BAR_HEIGHT}" rx="2"/>',
        f'<line class="range" x1="{low:.1f}" x2="{high:.1f}" y1="{middle:g}" y2="{middle:g}"/>',
        f'<text class="value" x="{_LEFT + _BAR_WIDTH + 12}" y="{middle + 4.5:g}">{escape(bar.label)}</text>',
    ]
