"""A function call whose arguments come in pieces, each with the path of the value that it adds to.

Vertex does so where `streamFunctionCallArguments` is asked for (gemini dossier, section 8.3).
"""

from __future__ import annotations

import re
from typing import Any

import msgspec
from msgspec.structs import replace

from thalweg.canon.parts import ToolCall

_STEP = re.compile(r"\.([^.\[\]]+)|\[(\d+)\]|\['([^']*)'\]|\[\"([^\"]*)\"\]")
_VALUES = ("numberValue", "boolValue")
_MOST_GAP = 1024
"""How far beyond its end a list may be written to."""


class StreamedCall:
    """One such call while it grows."""

    __slots__ = ("_args", "_begun", "_strings")

    def __init__(self, begun: ToolCall) -> None:
        self._begun = begun
        args = msgspec.json.decode(begun.arguments)
        self._args: dict[str, Any] = args if isinstance(args, dict) else {}
        self._strings: dict[str, list[str]] = {}
        """Pieces of strings, by path."""

    def add(self, pieces: Any) -> None:
        """Take in one `partialArgs`."""
        for piece in pieces if isinstance(pieces, list) else ():
            if isinstance(piece, dict) and isinstance(piece.get("jsonPath"), str):
                self._add(piece["jsonPath"], piece)

    def _add(self, path: str, piece: dict[str, Any]) -> None:
        text = piece.get("stringValue")
        if not isinstance(text, str):
            self._put(path, next((piece[key] for key in _VALUES if key in piece), None))
        elif (known := self._strings.get(path)) is not None:
            known.append(text)
        else:
            self._strings[path] = [text]
            self._put(path, "")  # keeps its place

    def whole(self, *, cut: bool = False) -> ToolCall:
        """The call with all its arguments; of one that was `cut`, without their end, so that none takes it as whole."""
        for path, pieces in self._strings.items():
            self._put(path, "".join(pieces))
        text = msgspec.json.encode(self._args).decode()
        return replace(self._begun, arguments=text.rstrip('}]"') if cut else text)

    def _put(self, path: str, value: Any) -> None:
        steps = _steps(path)
        place: Any = self._args
        for at, step in enumerate(steps):
            last = at + 1 == len(steps)
            fresh = value if last else [] if isinstance(steps[at + 1], int) else {}
            if not _has(place, step):
                if not _make(place, step, fresh):
                    return
            elif last:
                place[step] = value
            place = place[step]


def _steps(path: str) -> list[str | int]:
    found = _STEP.finditer(path)
    return [int(step[2]) if step[2] else step[1] or step[3] or step[4] or "" for step in found]


def _has(place: Any, step: str | int) -> bool:
    if isinstance(place, list):
        return isinstance(step, int) and step < len(place)
    return isinstance(place, dict) and step in place


def _make(place: Any, step: str | int, value: Any) -> bool:
    """Put a value where there was none; whether that could be."""
    if isinstance(place, dict) and isinstance(step, str):
        place[step] = value
        return True
    if isinstance(place, list) and isinstance(step, int) and step - len(place) < _MOST_GAP:
        place += [None] * (step - len(place)) + [value]
        return True
    return False
