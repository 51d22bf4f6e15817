"""Shows an answer while it comes: as it is on a pipe, with Markdown in place on a terminal, or not at all.

Standard output gets the answer's text and, where it is not a terminal, nothing else.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol, TextIO

import msgspec

from thalweg.canon.events import Event, PartDelta, PartEnded, PartStarted
from thalweg.cli.blocks import Blocks
from thalweg.cli.paragraph import Flow
from thalweg.cli.region import Line, Region, Size
from thalweg.cli.visible import visible
from thalweg.cli.words import say

if TYPE_CHECKING:
    from thalweg.cli.markdown import Renderer

_FRAME_S = 0.07
"""The least time between two pictures of one block."""
_PATIENCE_S = 0.3
"""How long a wait may be before it is shown."""
_LARGE_CHARS = 6_000
"""A block that is larger is shown by its end, as plain text, until it is finished."""
_DIM, _BOLD, _OFF = "\x1b[2m", "\x1b[1m", "\x1b[0m"
_CLEAR_ROW = "\r\x1b[2K"
_SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_TEXT_KINDS = frozenset({"text", "refusal"})


class Waiting:
    """Says on a terminal's standard error that something is awaited, and for how long. Elsewhere it does nothing."""

    def __init__(self, out: TextIO, *, on: bool) -> None:
        self._out = out
        self._on = on
        self._since = 0.0
        self._shown = False
        self._turn = 0

    def begin(self) -> None:
        """From now on."""
        self._since = time.monotonic()

    def tick(self) -> None:
        """Show how long it has been."""
        waited = time.monotonic() - self._since
        if not self._on or not self._since or waited < _PATIENCE_S:
            return
        self._turn += 1
        sign = _SPINNER[self._turn % len(_SPINNER)]
        self._out.write(f"{_CLEAR_ROW}{_DIM}{sign} {say('chat.waiting', seconds=f'{waited:.1f}')}{_OFF}")
        self._out.flush()
        self._shown = True

    def end(self) -> None:
        """It is here, or will not come."""
        self._since = 0.0
        if self._shown:
            self._out.write(_CLEAR_ROW)
            self._out.flush()
            self._shown = False


class SilentShow:
    """Shows nothing but that one waits."""

    def __init__(self, waiting: Waiting) -> None:
        self._waiting = waiting

    def began(self) -> None:
        """The request is on its way."""
        self._waiting.begin()

    def took(self, events: Sequence[Event]) -> None:
        """This has come."""

    def tick(self) -> None:
        """Some time has passed."""
        self._waiting.tick()

    def ended(self) -> None:
        """Nothing more comes."""
        self._waiting.end()


class PlainShow(SilentShow):
    """The text as it came and nothing else. Tool calls, which are no text, are named on standard error."""

    def __init__(self, waiting: Waiting, out: TextIO, *, closes_line: bool) -> None:
        super().__init__(waiting)
        self._out = out
        self._closes_line = closes_line
        """Whether the last line is ended where the answer does not: a prompt would stand behind it."""
        self._parts: dict[int, PartStarted] = {}
        self._arguments: dict[int, list[str]] = {}
        self._last = "\n"

    def took(self, events: Sequence[Event]) -> None:
        """Write the text in these events."""
        for event in events:
            if isinstance(event, PartStarted):
                self._parts[event.index] = event
            elif isinstance(event, PartDelta):
                self._delta(event)
            elif isinstance(event, PartEnded) and event.index in self._arguments:
                name = self._parts[event.index].name or ""
                self._waiting.end()
                call = say("chat.tool_call", name=name, arguments="".join(self._arguments.pop(event.index)))
                print(call, file=sys.stderr)
        self._out.flush()

    def ended(self) -> None:
        """Nothing more comes."""
        super().ended()
        if self._closes_line and self._last != "\n":
            self._out.write("\n")
        self._out.flush()

    def _delta(self, event: PartDelta) -> None:
        kind = self._parts[event.index].kind
        if kind == "tool_call":
            self._arguments.setdefault(event.index, []).append(event.text)
        elif kind in _TEXT_KINDS and event.text:
            self._waiting.end()
            self._out.write(event.text)
            self._last = event.text[-1]


class Canvas:
    """The terminal as the parts of one answer share it: where to write, how large it is, how to render."""

    def __init__(self, out: TextIO, size: Callable[[], Size]) -> None:
        self._out = out
        self.size = size
        self.region = Region(size)
        self._renderer: Renderer | None = None
        self.used = False
        """Whether something of this answer is on the screen."""

    @property
    def renderer(self) -> Renderer:
        """Made when it is first wanted."""
        if self._renderer is None:
            from thalweg.cli.markdown import Renderer  # slow to load; an answer is on its way meanwhile

            self._renderer = Renderer()
        return self._renderer

    def write(self, text: str) -> None:
        """Write control sequences and text that is safe."""
        if text:
            self._out.write(text)
            self._out.flush()

    def gap(self) -> list[Line]:
        """The empty line between what was shown and what comes next; none before the first."""
        return [Line("", 0)] if self.used else []

    def commit(self, lines: list[Line]) -> None:
        """Leave these lines for good, with a gap before them."""
        if lines:
            self.write(self.region.commit([*self.gap(), *lines]))
            self.used = True


class PartView(Protocol):
    """One part of an answer on the canvas."""

    def took(self, text: str) -> None:
        """It grows."""

    def tick(self) -> None:
        """Some time has passed."""

    def ended(self) -> None:
        """It is whole, or will not be."""


class MarkdownView:
    """Text as Markdown: finished blocks for good, the current one anew in place."""

    def __init__(self, canvas: Canvas) -> None:
        self._canvas = canvas
        self._blocks = Blocks()
        self._drawn_at = 0.0
        self._stale = False

    def took(self, text: str) -> None:
        """Render what this finishes, and the current block if it has not been for a while."""
        for block in self._blocks.feed(text):
            self._commit(block)
        self._stale = True
        self.tick()

    def tick(self) -> None:
        """Render the current block, at most so many times a second."""
        now = time.monotonic()
        if self._stale and now - self._drawn_at >= _FRAME_S:
            canvas = self._canvas
            lines = self._picture(self._blocks.current)
            canvas.write(canvas.region.update([*canvas.gap(), *lines] if lines else []))
            self._drawn_at, self._stale = now, False

    def ended(self) -> None:
        """Render what is left."""
        for block in self._blocks.end():
            self._commit(block)
        self._canvas.write(self._canvas.region.update([]))

    def _commit(self, block: str) -> None:
        self._canvas.commit(self._canvas.renderer.block(block, self._canvas.size().columns))

    def _picture(self, block: str) -> list[Line]:
        columns, rows = self._canvas.size()
        if len(block) <= _LARGE_CHARS:
            return self._canvas.renderer.block(block, columns)
        end = block[-columns * rows :]
        return self._canvas.renderer.plain(end.partition("\n")[2] or end, columns)


class VerbatimView:
    """Text as it is, but for control characters. It is written at once, and broken by the terminal."""

    def __init__(self, canvas: Canvas) -> None:
        self._canvas = canvas
        self._begun = False
        self._last = "\n"

    def took(self, text: str) -> None:
        """Write it."""
        self._write(visible(text), "")

    def tick(self) -> None:
        """Some time has passed."""

    def ended(self) -> None:
        """End the line."""
        if self._last != "\n":
            self._write("\n", "")

    def _write(self, text: str, style: str) -> None:
        text = text if self._begun else text.lstrip("\n")
        if not text:
            return
        if not self._begun and self._canvas.used:
            self._canvas.write("\r\n")
        self._canvas.used = self._begun = True
        self._last = text[-1]
        shown = text.replace("\n", "\r\n")
        self._canvas.write(f"{style}{shown}{_OFF}" if style else shown)


class ReasoningView(VerbatimView):
    """What the model thinks, dimmed and broken between words, and how long it thought."""

    def __init__(self, canvas: Canvas) -> None:
        super().__init__(canvas)
        self._flow = Flow(canvas.size().columns)
        self._since = time.monotonic()

    def took(self, text: str) -> None:
        """Write what is whole of it."""
        self._write(self._flow.feed(visible(text)), _DIM)

    def ended(self) -> None:
        """Say how long it took."""
        self._write(self._flow.end(), _DIM)
        super().ended()
        thought = say("chat.thought_for", seconds=f"{time.monotonic() - self._since:.1f}")
        self._write(f"{thought}\n", _DIM)


class CallView:
    """A tool call as a card: its name, and its arguments as they come."""

    def __init__(self, canvas: Canvas, name: str) -> None:
        self._canvas = canvas
        self._name = name
        self._arguments: list[str] = []
        self._stale = True

    def took(self, text: str) -> None:
        """More of the arguments."""
        self._arguments.append(text)
        self._stale = True

    def tick(self) -> None:
        """Show the card as it is."""
        if self._stale:
            canvas = self._canvas
            canvas.write(canvas.region.update([*canvas.gap(), *self._card()]))
            self._stale = False

    def ended(self) -> None:
        """Leave the card."""
        self._canvas.commit(self._card())

    def _card(self) -> list[Line]:
        renderer, columns = self._canvas.renderer, self._canvas.size().columns
        head = renderer.plain(say("chat.calls", name=self._name.replace("\n", " ")), columns - 2)
        arguments = renderer.code(_indented("".join(self._arguments)), "json", columns - 2)
        bar = f"{_DIM}│{_OFF} "
        return [
            *(Line(f"{_DIM}╭{_OFF} {_BOLD}{line.text}{_OFF}", line.columns + 2) for line in head),
            *(Line(bar + line.text, line.columns + 2) for line in arguments),
            Line(f"{_DIM}╰{_OFF}", 1),
        ]


def _indented(arguments: str) -> str:
    try:
        return msgspec.json.format(arguments, indent=2)
    except msgspec.DecodeError:  # they are on their way, or no JSON
        return arguments


class TerminalShow(SilentShow):
    """An answer on a terminal, part after part."""

    def __init__(self, waiting: Waiting, out: TextIO, size: Callable[[], Size], *, markdown: bool) -> None:
        super().__init__(waiting)
        self._canvas = Canvas(out, size)
        self._markdown = markdown
        self._views: dict[int, PartView] = {}

    def tick(self) -> None:
        """Let what is on the screen catch up with what has come; get ready meanwhile."""
        super().tick()
        _ = self._canvas.renderer
        for view in self._views.values():
            view.tick()

    def took(self, events: Sequence[Event]) -> None:
        """Show these events."""
        for event in events:
            if isinstance(event, PartStarted):
                self._waiting.end()
                self._views[event.index] = self._view(event)
            elif isinstance(event, PartDelta):
                self._views[event.index].took(event.text)
            elif isinstance(event, PartEnded):
                self._views.pop(event.index).ended()

    def ended(self) -> None:
        """Leave what is there of parts that did not end."""
        super().ended()
        for view in self._views.values():
            view.ended()
        self._views.clear()

    def _view(self, part: PartStarted) -> PartView:
        if part.kind == "reasoning":
            return ReasoningView(self._canvas)
        if part.kind == "tool_call":
            return CallView(self._canvas, part.name or "")
        if part.kind in _TEXT_KINDS:
            return MarkdownView(self._canvas) if self._markdown else VerbatimView(self._canvas)
        return _NoView()


class _NoView:
    """A part that a terminal cannot show."""

    def took(self, text: str) -> None:
        pass

    def tick(self) -> None:
        pass

    def ended(self) -> None:
        pass
