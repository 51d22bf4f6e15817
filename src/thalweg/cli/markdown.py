"""Renders one block of Markdown for a terminal. Loaded only where there is one: it is slow to load.

An address is always shown, never hidden behind a word.
"""

from __future__ import annotations

import io
import re
from typing import ClassVar

from markdown_it import MarkdownIt
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token
from rich.cells import cell_len
from rich.color import ColorSystem
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.markdown import CodeBlock, Heading, ImageItem, Markdown, MarkdownElement
from rich.segment import Segment
from rich.style import Style
from rich.syntax import Syntax
from rich.text import Text
from rich.theme import Theme

from thalweg.cli.region import Line
from thalweg.cli.visible import visible

_THEME = Theme(
    {
        "markdown.code": "cyan",
        "markdown.code_block": "none",
        "markdown.h1": "bold underline",
        "markdown.h2": "bold",
        "markdown.h3": "bold",
        "markdown.h4": "bold",
        "markdown.h5": "bold",
        "markdown.h6": "bold",
        "markdown.block_quote": "italic",
        "markdown.hr": "dim",
        "markdown.table.border": "dim",
        "markdown.table.header": "bold",
        "markdown.item.bullet": "bold",
        "markdown.item.number": "bold",
        "markdown.link": "underline",
        "markdown.link_url": "blue",
    }
)
_WIDEST = 100
"""Columns of text that can be read with ease; a wider window is not filled."""


class _LeftHeading(Heading):
    """At the left, with the marks that say its level."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        level = int(self.tag.removeprefix("h"))
        yield Text.assemble(("#" * level + " ", "dim"), self.text)


class _BareCode(CodeBlock):
    """Between its marks, without a frame or blanks around it, so that it can be copied."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        name = "" if self.lexer_name == "text" else self.lexer_name
        yield Text(f"```{name}", style="dim")
        if code := str(self.text).rstrip():
            yield _highlighted(code, self.lexer_name)
        yield Text("```", style="dim")


def _highlighted(code: str, language: str) -> Syntax:
    return Syntax(code, language, theme="ansi_dark", background_color="default", word_wrap=True)


class _NamedImage(ImageItem):
    """What it shows and where it would be fetched from."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Text.assemble(self.text or "", " (", (str(self.destination), "blue"), ")")


class _Answer(Markdown):
    """Markdown as models mean it: a line's end is one, and HTML is text."""

    elements: ClassVar[dict[str, type[MarkdownElement]]] = Markdown.elements | {
        "heading_open": _LeftHeading,
        "fence": _BareCode,
        "code_block": _BareCode,
        "image": _NamedImage,
    }

    def __init__(self, markup: str) -> None:
        super().__init__(markup, hyperlinks=False)
        self.parsed = _PARSER.parse(markup)
        for token in self.parsed:
            _keep_line_ends(token)


_FORMULA = re.compile(r"\$\$.+?\$\$|\$(?=\S)[^$\n]*?[^\s\\$]\$(?!\d)", re.DOTALL)
"""TeX between dollars, as models write it. Amounts are none: a blank before the second dollar or a digit behind it."""


def _formula(state: StateInline, silent: bool) -> bool:
    """Leave a formula as it is: what is a sign of Markdown elsewhere, a backslash first of all, is TeX in there."""
    found = _FORMULA.match(state.src, state.pos)
    if found is None:
        return False
    if not silent:
        state.push("text", "", 0).content = found[0]
    state.pos = found.end()
    return True


_PARSER = MarkdownIt("commonmark", {"html": False}).enable(["strikethrough", "table"])
_PARSER.inline.ruler.before("escape", "formula", _formula)


def _keep_line_ends(token: Token) -> None:
    for child in token.children or ():
        if child.type == "softbreak":
            child.type = "hardbreak"


class Renderer:
    """Renders for one kind of terminal. Colours are what the environment says of it, `NO_COLOR` included."""

    def __init__(self) -> None:
        self._console = Console(file=io.StringIO(), force_terminal=True, theme=_THEME, legacy_windows=False)

    def block(self, text: str, columns: int) -> list[Line]:
        """One block's lines, without empty ones around them."""
        return self._lines(_Answer(visible(text)), columns)

    def plain(self, text: str, columns: int) -> list[Line]:
        """Text as it is, broken into lines."""
        return self._lines(Text(visible(text)), columns)

    def code(self, text: str, language: str, columns: int) -> list[Line]:
        """Code, highlighted."""
        return self._lines(_highlighted(visible(text), language), columns)

    def _lines(self, what: RenderableType, columns: int) -> list[Line]:
        """Anything that rich can render, without empty lines around it."""
        options = self._console.options.update(width=max(min(columns, _WIDEST), 1), height=None)
        lines = [self._line(line) for line in self._console.render_lines(what, options, pad=False)]
        while lines and not lines[0].columns:
            lines.pop(0)
        while lines and not lines[-1].columns:
            lines.pop()
        return lines

    def _line(self, segments: list[Segment]) -> Line:
        kept = _without_blanks_at_the_end(segments)
        return Line("".join(map(self._styled, kept)), sum(cell_len(segment.text) for segment in kept))

    def _styled(self, segment: Segment) -> str:
        style = segment.style
        if style is None or not segment.text:
            return segment.text
        style = style.without_color if self._console.no_color else style
        return style.render(segment.text, color_system=_COLOURS.get(self._console.color_system or "", _STANDARD))


_STANDARD = ColorSystem.STANDARD
_COLOURS = {"256": ColorSystem.EIGHT_BIT, "truecolor": ColorSystem.TRUECOLOR}
"""What the console calls them; whatever else there is has the standard ones."""


def _without_blanks_at_the_end(segments: list[Segment]) -> list[Segment]:
    kept = [segment for segment in segments if not segment.control]
    while kept and not kept[-1].text.rstrip(" ") and not _is_seen(kept[-1].style):
        kept.pop()
    if kept and not _is_seen(kept[-1].style):
        last = kept.pop()
        kept.append(Segment(last.text.rstrip(" "), last.style))
    return kept


def _is_seen(style: Style | None) -> bool:
    """Whether blanks in this style can be told from none."""
    return style is not None and bool(style.bgcolor or style.underline or style.reverse)
