"""Looks for stop sequences in text that comes in pieces, and keeps back no more than the beginning of one."""

from __future__ import annotations

from collections.abc import Iterable


class StopMatcher:
    """Of one text. The sequence that is whole first ends it, however the text is cut into pieces."""

    __slots__ = ("_stops", "_tail", "found")

    def __init__(self, stops: Iterable[str]) -> None:
        self._stops = tuple(stop for stop in stops if stop)
        self._tail = ""
        self.found: str | None = None
        """The sequence that has come; nothing after it is text."""

    def feed(self, text: str) -> str:
        """What can be said now."""
        if self.found is not None:
            return ""
        text = self._tail + text
        places = [(at + len(stop), at, stop) for stop in self._stops if (at := text.find(stop)) >= 0]
        if places:
            _, at, self.found = min(places)
            self._tail = ""
            return text[:at]
        keep = max((_begun(text, stop) for stop in self._stops), default=0)
        self._tail = text[len(text) - keep :]
        return text[: len(text) - keep]

    def end(self) -> str:
        """The text is over: what was kept back."""
        rest, self._tail = self._tail, ""
        return rest


def _begun(text: str, stop: str) -> int:
    """How long the longest end of the text is that begins the sequence."""
    most = min(len(stop) - 1, len(text))
    return next((size for size in range(most, 0, -1) if stop.startswith(text[-size:])), 0)
