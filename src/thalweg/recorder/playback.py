"""A recording as the steps of an upstream. Whoever plays them has the clock; this only says how long to wait."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

from thalweg.canon.script import BreakOff, EndBody, RefuseConnection, SendBody, SendHead, Step, Wait
from thalweg.recorder.form import MOST_HEADER_BYTES, EndKind, Header, Line, decode_header, decode_line

FASTEST = math.inf
"""The speed at which nothing is waited for."""
_ENDS: dict[EndKind | None, Step] = {
    "whole": EndBody(),
    "reset": BreakOff(reset=True),
    "cut": BreakOff(reset=False),
    # How it would have gone on, nobody knows: as it was heard, it is cut.
    "left": BreakOff(reset=False),
    None: BreakOff(reset=False),
}


def steps(file: Path, speed: float = 1.0) -> Iterator[Step]:
    """What the upstream did, at `speed` times its speed. Raises `RecordingError` and `OSError`, at whichever step.

    The file is read as it is played, and closed with the iterator.
    """
    with file.open("rb") as lines:
        header = decode_header(lines.readline(MOST_HEADER_BYTES))
        pace = _Pace(speed)
        end: Line | None = None
        if header.status is not None:
            yield from pace.until(header.head_ms)
            yield _head(header, header.status)
        for raw in lines:
            line = decode_line(raw)
            if line is None:
                break
            if line.end is not None:
                end = line
                break
            yield from pace.until(line.ms)
            yield SendBody(line.body())
        if end is not None and end.end == "unreachable":
            yield RefuseConnection()
            return
        if end is not None:
            yield from pace.until(end.ms)
        yield _ENDS[None if end is None else end.end]


class _Pace:
    """Where on the recording's clock the playback is."""

    def __init__(self, speed: float) -> None:
        self._speed = speed
        self._at_ms = 0.0

    def until(self, ms: float) -> Iterator[Step]:
        """The wait up to a time of the recording, if there is one."""
        wait_s = (ms - self._at_ms) / 1000 / self._speed
        self._at_ms = max(ms, self._at_ms)
        if wait_s > 0:
            yield Wait(wait_s)


def _head(header: Header, status: int) -> SendHead:
    return SendHead(status, tuple((name.encode("ascii"), value.encode("ascii")) for name, value in header.headers))
