"""A folder of recordings: which there are, and what each is. It is read anew each time; nothing is kept."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import msgspec

from thalweg.recorder.form import MOST_HEADER_BYTES, EndKind, Header, Line, decode_header, decode_line, is_name

SUFFIX = ".jsonl"
PART = ".jsonl.part"
"""How the file of an unfinished recording ends: one under way, or left by a crash."""


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """One recording, looked through."""

    name: str
    header: Header
    end: EndKind | None
    """`None` where it is unfinished."""
    error: str | None
    usage: dict[str, Any] | None
    reads: int
    body_bytes: int
    duration_ms: float
    """Up to its end, or to the last read."""


class Shelf:
    """The recordings of one folder, which need not be there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def names(self, most: int | None = None) -> list[str]:
        """Names, the last ones first: they sort by time, unless somebody has renamed them."""
        try:
            files = [file.name for file in self.folder.iterdir()]
        except OSError:
            return []
        names = {name for file in files if (name := _name_of(file)) is not None}
        return sorted(names, reverse=True)[:most]

    def find(self, name: str) -> Path | None:
        """The file of a recording, whole or not; `None` where there is none of that name."""
        if not is_name(name):
            return None
        # It becomes whole under another name, perhaps between two looks: so a third is taken.
        files = (self.folder / f"{name}{end}" for end in (SUFFIX, PART, SUFFIX))
        return next((file for file in files if file.is_file()), None)

    def header(self, name: str) -> Header:
        """What a recording says at its beginning. Raises `RecordingError`, and `OSError` for a file that is gone."""
        file = self.find(name)
        if file is None:
            raise FileNotFoundError(2, os.strerror(2), str(self.folder / f"{name}{SUFFIX}"))
        return header_of(file)


def _name_of(file: str) -> str | None:
    for end in (PART, SUFFIX):
        if file.endswith(end):
            name = file.removesuffix(end)
            return name if is_name(name) else None
    return None


def name_of(file: Path) -> str:
    """What a recording's file is called without its ending."""
    return _name_of(file.name) or file.stem


def header_of(file: Path) -> Header:
    """A file's first line. Raises `RecordingError` and `OSError`."""
    with file.open("rb") as lines:
        return decode_header(lines.readline(MOST_HEADER_BYTES))


def look(file: Path) -> Kept:
    """Read a recording through. Raises `RecordingError` and `OSError`."""
    reads, size, last = 0, 0, 0.0
    end: Line | None = None
    with file.open("rb") as lines:
        header = decode_header(lines.readline(MOST_HEADER_BYTES))
        for raw in lines:
            line = decode_line(raw)
            if line is None:
                break
            last = max(last, line.ms)
            if line.end is not None:
                end = line
                break
            reads, size = reads + 1, size + len(line.body())
    return Kept(
        name=name_of(file),
        header=header,
        end=None if end is None else end.end,
        error=None if end is None else end.error,
        usage=None if end is None else end.usage,
        reads=reads,
        body_bytes=size,
        duration_ms=last or header.head_ms,
    )
