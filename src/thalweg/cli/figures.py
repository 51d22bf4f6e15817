"""What an entry of the ledger looks like in figures, the same in a row and on a card."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from thalweg.ledger.entry import Entry

_MARKS = {"complete": ("✓", "green"), "cancelled": ("·", "yellow"), "refused": ("✗", "yellow"), "open": ("▶", "cyan")}
"""By outcome; what is not here went wrong."""
_MOST_OF_MIDDLE = 8
"""How many times the middle request the scale of pictures may be."""
_FEWEST_MS = 10.0
"""A rate over less than that says nothing."""


def outcome_of(entry: Entry) -> Text:
    """How it ended, with its sign and colour."""
    outcome = entry.outcome or "open"
    sign, colour = _MARKS.get(outcome, ("✗", "red"))
    return Text(f"{sign} {outcome}", style=colour)


def tokens(entry: Entry, count: int | None) -> str:
    """A count with how well it is known: `~` for an estimate, `?` where it is a lower bound or nothing."""
    if entry.usage_source == "unknown" and entry.outcome != "refused":
        return "?" if count is None else f"{count:,}?"
    if count is None:
        return ""
    return f"~{count:,}" if entry.usage_source == "estimated" else f"{count:,}"


def streaming_ms(entry: Entry) -> float | None:
    """From the first delta to the end; `None` where there was no delta, or no end yet."""
    if entry.duration_ms is None or entry.ttft_ms is None:
        return None
    return max(entry.duration_ms - entry.ttft_ms, 0.0)


def rate(entry: Entry) -> float | None:
    """Tokens a second while it streamed; of an answer sent whole, over all its time. `None` where it says nothing."""
    spent_ms = streaming_ms(entry) if entry.stream else entry.duration_ms
    count = entry.usage.output_tokens
    if not count or spent_ms is None or spent_ms < _FEWEST_MS:
        return None
    return count / spent_ms * 1000


def scale_of(entries: Sequence[Entry]) -> float:
    """The time that a picture's whole width stands for: the longest request, unless it dwarfs the others."""
    spent = sorted(entry.duration_ms for entry in entries if entry.duration_ms)
    return min(spent[-1], spent[len(spent) // 2] * _MOST_OF_MIDDLE) if spent else 0.0


def picture(entry: Entry, scale_ms: float, width: int) -> str:
    """Waiting and streaming, to scale; what took longer than the scale goes on beyond the edge."""
    if not entry.duration_ms or scale_ms <= 0:
        return ""
    cells = max(round(entry.duration_ms / scale_ms * width), 1)
    first = cells if entry.ttft_ms is None else min(round(entry.ttft_ms / scale_ms * width), cells)
    line = "░" * min(first, width) + "█" * (min(cells, width) - min(first, width))
    return line if cells <= width else f"{line[:-1]}▶"


def time_line(entry: Entry, width: int) -> tuple[str, int]:
    """The same as a line over the whole width, and the place of the first delta on it; the end where there was none."""
    share = 1.0
    if entry.ttft_ms is not None and entry.duration_ms:
        share = min(entry.ttft_ms / entry.duration_ms, 1.0)
    first = round(share * (width - 1))
    if entry.ttft_ms is None:
        return f"├{'╌' * (width - 2)}┤", width - 1
    first = min(max(first, 1), width - 2)
    return f"├{'╌' * (first - 1)}┼{'━' * (width - first - 2)}┤", first
