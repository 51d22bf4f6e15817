"""What `thalweg serve` says of itself: where it is and what can be called, and at its end what is waited for.

On a terminal a page for people, with a clock while answers are finished; elsewhere plain lines, for logs.
"""

from __future__ import annotations

import socket
import sys
import threading
import time
import webbrowser
from collections.abc import Iterator

from rich.text import Text

from thalweg import __version__
from thalweg.cli.layout import Paper, short_path
from thalweg.cli.paragraph import width, wrap
from thalweg.cli.words import say
from thalweg.config import ProviderSettings, Settings
from thalweg.server.engines import Found
from thalweg.server.serve import address_of

_MOST_VARIABLES = 3
_MOST_MODELS = 3
_INDENT = "  "
_CLEAR_LINE = "\r\x1b[2K"


class Announcement:
    """Speaks for one server, from its start to its end."""

    def __init__(self, settings: Settings, paper: Paper, *, open_page: bool) -> None:
        self._settings = settings
        self._paper = paper
        self._open_page = open_page
        self._url = ""
        self._clock_runs = False

    def listening(self, listener: socket.socket) -> None:
        """Say where to call, and what can be called."""
        here, self._url = address_of(listener), _url(listener)
        if self._paper.is_terminal:
            self._print_page(here)
        else:
            self._paper.print(say("serve.listens", url=self._url))
            for label, value in self._rows(here):
                self._paper.print(_INDENT + say("serve.row", label=label, value=value))
        if self._open_page:
            # A browser in the terminal would hold up the gateway.
            threading.Thread(target=_open, args=(f"{here}/",), name="browser", daemon=True).start()

    def found(self, engines: Found) -> None:
        """Say which engines run on this machine. On a terminal that ends the page: they were looked for meanwhile."""
        for name, models in engines.items():
            label, value = say("serve.local"), _engine(name, models)
            if self._paper.is_terminal:
                self._print_row(label, value, self._label_width())
            else:
                self._paper.print(_INDENT + say("serve.row", label=label, value=value))
        if self._paper.is_terminal:
            self._paper.print()
            self._paper.print(_INDENT + say("serve.listens_until", url=self._url), style="dim")
            self._paper.print()

    def draining(self, count: int, left_s: float) -> None:
        """Say what is waited for: on a terminal by a clock, elsewhere once."""
        until = time.strftime("%H:%M:%S", time.localtime(time.time() + left_s))
        said = say("serve.draining_one" if count == 1 else "serve.draining", count=count, until=until)
        if self._paper.is_terminal:
            clock = Text(say("serve.clock", said=said, left=round(left_s)))
            clock.truncate((self._paper.room or 80) - 1, overflow="ellipsis")
            # What is logged meanwhile begins where the clock does, and takes its line.
            print(f"{_CLEAR_LINE}{clock}\r", end="", file=sys.stderr, flush=True)
        elif not self._clock_runs:
            self._paper.print(say("serve.second_signal", said=said))
        self._clock_runs = True

    def ended(self) -> None:
        """Leave the clock's line."""
        if self._paper.is_terminal:
            print(_CLEAR_LINE + say("serve.ended"), file=sys.stderr, flush=True)

    def _print_page(self, here: str) -> None:
        self._paper.print()
        self._paper.print(Text.assemble(_INDENT, ("Thalweg 深泓", "bold cyan"), f" {__version__}"))
        self._paper.print()
        for label, value in self._rows(here):
            self._print_row(label, value, self._label_width())

    def _label_width(self) -> int:
        return max(width(say(f"serve.{label}")) for label in _LABELS)

    def _print_row(self, label: str, value: str, label_width: int) -> None:
        style = "bold" if value.startswith("http") else ""
        lines = list(wrap(value, (self._paper.room or 80) - label_width - 3 * len(_INDENT)))
        for at, line in enumerate(lines):
            shown = label if at == 0 else ""
            blanks = " " * (label_width - width(shown))
            self._paper.print(Text.assemble(_INDENT, (shown, "dim"), blanks, _INDENT, (line, style)))

    def _rows(self, here: str) -> Iterator[tuple[str, str]]:
        settings = self._settings
        yield say("serve.page"), f"{here}/"
        yield say("serve.sdks"), say("serve.base_url" if settings.api_key else "serve.base_url_open", url=f"{here}/v1")
        if settings.simulate:
            yield say("serve.models"), say("serve.all_simulated")
        else:
            yield say("serve.models"), ", ".join(["sim/text", *map(_callable, self._configured())])
            if variables := self._missing():
                yield say("serve.more"), _to_set(variables)
        if settings.recording.folder is not None:
            yield say("serve.recorded"), say("serve.recorded_to", folder=short_path(settings.recording.folder))
        yield say("serve.ledger"), short_path(settings.home / "ledger.db")

    def _configured(self) -> list[ProviderSettings]:
        return [provider for provider in self._settings.main_providers if provider.configured]

    def _missing(self) -> list[str]:
        providers = self._settings.main_providers
        return [each.row.key_variable for each in providers if each.row.needs_key and not each.ready]


_LABELS = ("page", "sdks", "models", "more", "recorded", "ledger", "local")


def _callable(provider: ProviderSettings) -> str:
    name = f"{provider.row.name}/…"
    return say("serve.elsewhere", name=name, origin=provider.origin) if provider.placed else name


def _to_set(variables: list[str]) -> str:
    few = variables[:_MOST_VARIABLES]
    return say("serve.set" if len(variables) <= _MOST_VARIABLES else "serve.set_or_see", variables=", ".join(few))


def _engine(name: str, models: tuple[str, ...]) -> str:
    if not models:
        return say("serve.engine_empty", name=name)
    shown = ", ".join(f"{name}/{model}" for model in models[:_MOST_MODELS])
    more = len(models) - _MOST_MODELS
    return say("serve.engine_more", models=shown, more=more) if more > 0 else shown


def _url(listener: socket.socket) -> str:
    """The address as it was asked for: of all interfaces, if so."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _open(url: str) -> None:
    try:
        opened = webbrowser.open(url)
    except webbrowser.Error:
        opened = False
    if not opened:
        Paper(stderr=True).print(say("serve.no_browser", url=url))
