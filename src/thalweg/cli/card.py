"""One request on a card: a time line, and all that the ledger knows of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from rich.text import Text

from thalweg.cli.figures import outcome_of, rate, streaming_ms, time_line, tokens
from thalweg.cli.layout import Column, Paper, milliseconds
from thalweg.cli.words import say
from thalweg.ledger.entry import Entry

_WIDEST = 76
_INDENT = "  "


def print_card(entry: Entry, attempts: Sequence[Entry], paper: Paper) -> None:
    """Print it. `attempts` are the request's own, the first one first."""
    paper.print(Text.assemble(outcome_of(entry), "  ", (entry.model, "bold")))
    paper.print(_INDENT + say(f"logs.outcome_{entry.outcome or 'open'}"), style="dim")
    paper.print()
    if entry.duration_ms is not None:
        for line in _time_line(entry, min(paper.room or _WIDEST, _WIDEST) - 2 * len(_INDENT)):
            paper.print(_INDENT + line)
        paper.print()
    facts = [(say(f"logs.fact_{word}"), fact(entry)) for word, fact in _FACTS]
    width = max(Text(name).cell_len for name, _ in facts)
    for name, value in facts:
        if value:
            paper.print(Text.assemble(_INDENT, (name + " " * (width - Text(name).cell_len), "dim"), "  ", value))
    if len(attempts) > 1:
        paper.print()
        paper.table(_attempt_columns(), [_attempt(at, each) for at, each in enumerate(attempts, 1)])


def _time_line(entry: Entry, width: int) -> list[str]:
    """The line, and below it what its pieces are; a word that finds no room is left out."""
    line, first = time_line(entry, width)
    waiting = say("logs.waiting", time=milliseconds(entry.duration_ms if entry.ttft_ms is None else entry.ttft_ms))
    if entry.ttft_ms is None:
        return [line, waiting]
    speed = rate(entry)
    streaming = say("logs.streaming", time=milliseconds(streaming_ms(entry)))
    if speed is not None:
        streaming = _joined(streaming, say("logs.speed", rate=f"{speed:,.0f}"))
    end = say("logs.end", time=milliseconds(entry.duration_ms))
    return [line, _beside(waiting, streaming, end, first, width)]


def _beside(left: str, middle: str, right: str, at: int, width: int) -> str:
    """Three words on one line: at its beginning, from `at` on if there is room, and at its end."""
    left_width, middle_width, right_width = (Text(word).cell_len for word in (left, middle, right))
    last = width - right_width - 2 - middle_width
    start = max(min(at, last), left_width + 2)
    line = left + " " * (start - left_width) + middle
    gap = width - Text(line).cell_len - right_width
    return line + " " * gap + right if gap >= 2 else line


def _joined(*parts: str) -> str:
    return say("logs.comma").join(part for part in parts if part)


def _part(key: str, count: int | None) -> str:
    return say(key, tokens=f"{count:,}") if count else ""


def _input(entry: Entry) -> str:
    usage = entry.usage
    return _joined(
        tokens(entry, usage.input_tokens),
        _part("logs.cached", usage.cached_input_tokens),
        _part("logs.cache_write", usage.cache_write_tokens),
        _part("logs.audio", usage.audio_input_tokens),
    )


def _output(entry: Entry) -> str:
    usage = entry.usage
    return _joined(
        tokens(entry, usage.output_tokens),
        _part("logs.reasoning", usage.reasoning_tokens),
        _part("logs.audio", usage.audio_output_tokens),
    )


def _source(entry: Entry) -> str:
    if entry.usage_source is None or (entry.usage_source == "unknown" and entry.outcome == "refused"):
        return ""  # where nothing was made there is nothing to know
    return say(f"logs.source_{entry.usage_source}")


def _time(at_ms: int | None) -> str:
    return "" if at_ms is None else datetime.fromtimestamp(at_ms / 1000).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]


def _provider(entry: Entry) -> str:
    plain = {entry.upstream_model, f"{entry.provider}/{entry.upstream_model}"}
    renamed = "" if entry.model in plain else say("logs.asked_as", model=entry.upstream_model)
    return _joined(entry.provider, renamed, say("logs.simulated") if entry.simulated else "")


def _call(entry: Entry) -> str:
    return _joined(f"{entry.dialect} {entry.endpoint}", say("logs.streamed" if entry.stream else "logs.whole"))


def _upstream_ttft(entry: Entry) -> str:
    return say("logs.upstream_ttft", time=milliseconds(entry.upstream_ttft_ms)) if entry.upstream_ttft_ms else ""


def _closed(entry: Entry) -> str:
    closed = entry.upstream_closed_ms
    return "" if closed is None else say("logs.closed_after", time=milliseconds(closed))


def _continued(entry: Entry) -> str:
    return say("logs.continued", count=entry.continued) if entry.continued else ""


_FACTS: tuple[tuple[str, Callable[[Entry], str]], ...] = (
    ("request", lambda entry: entry.request_id),
    ("began", lambda entry: _time(entry.opened_ms)),
    ("settled", lambda entry: _time(entry.settled_ms)),
    ("provider", _provider),
    ("call", _call),
    ("key", lambda entry: entry.key_id),
    ("input", _input),
    ("output", _output),
    ("source", _source),
    ("finish", lambda entry: entry.finish_reason or ""),
    ("ttft", lambda entry: _joined(milliseconds(entry.ttft_ms), _upstream_ttft(entry))),
    ("duration", lambda entry: milliseconds(entry.duration_ms)),
    ("status", lambda entry: "" if entry.upstream_status is None else f"HTTP {entry.upstream_status}"),
    ("error", lambda entry: entry.error_kind or ""),
    ("continued", _continued),
    ("closed", _closed),
)
"""Each fact's word, and what it says; nothing where it is not known."""


def _attempt_columns() -> list[Column]:
    words = (("attempt", 0), ("provider", 0), ("outcome", 0), ("status", 2), ("in", 3), ("out", 0), ("ttft", 1))
    return [
        Column(heading=say(f"logs.col_{word}"), right=word in {"attempt", "in", "out", "ttft", "duration"}, rank=rank)
        for word, rank in (*words, ("duration", 0))
    ]


def _attempt(number: int, entry: Entry) -> list[str | Text]:
    return [
        str(number),
        entry.provider,
        outcome_of(entry),
        "" if entry.upstream_status is None else str(entry.upstream_status),
        tokens(entry, entry.usage.input_tokens),
        tokens(entry, entry.usage.output_tokens),
        milliseconds(entry.ttft_ms),
        milliseconds(entry.duration_ms),
    ]
