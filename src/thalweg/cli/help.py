"""How a page of help looks: what it is for, examples, then one line for each option. No boxes; 中文 breaks anywhere."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from thalweg.cli.paragraph import width, wrap
from thalweg.cli.words import say

if TYPE_CHECKING:
    from cyclopts.help import HelpEntry, HelpPanel
    from rich.console import Console, ConsoleOptions

_WIDEST_PAGE = 80
_WIDEST_NAMES = 30
"""Names that are longer have their explanation on the next line."""
_LONGEST_CHOICES = 24
_NO_DEFAULTS = frozenset({"False", "None", "()"})


class PageFormatter:
    """Writes pages of help, in the shape of the parser's `HelpFormatter`."""

    def render_usage(self, console: Console, options: ConsoleOptions, usage: Any) -> None:
        """How the command is called."""
        console.print(say("main.usage", call=str(usage or "").strip()) + "\n", **_AS_IT_IS)

    def render_description(self, console: Console, options: ConsoleOptions, description: Any) -> None:
        """What it is for, and examples, on their own lines."""
        if text := _plain(description):
            console.print(f"{text}\n", **_AS_IT_IS)

    def __call__(self, console: Console, options: ConsoleOptions, panel: HelpPanel) -> None:
        """One group of options or commands."""
        if not panel.entries:
            return
        rows = [(_names(entry), _explanation(entry)) for entry in panel.entries]
        fitting = [width(names) for names, _ in rows if width(names) <= _WIDEST_NAMES]
        column = max(fitting, default=_WIDEST_NAMES) + 4
        console.print(_plain(panel.title), style="bold", **_AS_IT_IS)
        for names, explanation in rows:
            for line in _row(names, explanation, column, min(console.width, _WIDEST_PAGE)):
                console.print(line, **_AS_IT_IS)


_AS_IT_IS: dict[str, Any] = {"markup": False, "highlight": False, "soft_wrap": True}


def _plain(text: Any) -> str:
    """The text of whatever the parser hands out: its own inline text, rich text, or a string."""
    inner = getattr(text, "primary_renderable", text)
    return str(getattr(inner, "plain", inner) or "").strip()


def _names(entry: HelpEntry) -> str:
    """How an option or command is written. That a flag can also be switched off again is not worth a second name."""
    if entry.positional_label:
        return entry.positional_label
    value = entry.metavar or ""
    if entry.choices and len(value := "|".join(entry.choices)) > _LONGEST_CHOICES:
        value = entry.metavar or ""
    names = ", ".join((*entry.positive_shorts, *entry.positive_names))
    return f"{names} {value}" if value else names


def _explanation(entry: HelpEntry) -> str:
    said = _plain(entry.description)
    if entry.choices and len("|".join(entry.choices)) > _LONGEST_CHOICES:
        said = say("main.choices", said=said, choices=", ".join(entry.choices))
    if entry.default is not None and entry.default not in _NO_DEFAULTS:
        said = say("main.default", said=said, value=entry.default)
    return said.strip()


def _row(names: str, explanation: str, column: int, most: int) -> Iterator[str]:
    lines = list(wrap(explanation, max(most - column, 20)))
    first = f"  {names}"
    if width(first) + 2 > column:
        yield first
    else:
        yield (first + " " * (column - width(first)) + (lines.pop(0) if lines else "")).rstrip()
    for line in lines:
        yield " " * column + line
