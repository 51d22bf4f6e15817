"""Writes recordings, on a thread of its own. Whoever tells it something never waits for the disk.

What is told goes into a queue of bounded bytes. Where the disk is too slow for it, whole recordings are dropped, not
bytes of them. A file has its name once it is whole; until then it is a `.part`, which a crash leaves behind.
"""

from __future__ import annotations

import logging
import os
import queue
import secrets as random_secrets
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import msgspec

from thalweg.recorder.form import (
    EndKind,
    Header,
    Line,
    Scrubber,
    encode,
    kept_headers,
    new_name,
    read_line,
    stamp,
)
from thalweg.recorder.keeping import begin_file, finish_file, make_folder
from thalweg.recorder.shelf import PART, SUFFIX

_log = logging.getLogger("thalweg.recorder")
QUEUE_BYTES = 32 * 1024 * 1024
"""The most that waits for the disk."""
DEFAULT_MOST_BYTES = 1024 * 1024 * 1024
_SIMULATED = (b"x-thalweg-simulated", b"1")
"""What another gateway says of an answer that is nobody's."""
_COSTS = 256
"""What anything in the queue takes beside its bytes."""
_BATCH = 256
_HELD_BYTES = 64 * 1024
_TELL_EVERY_S = 10.0


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A request whose answer is to be recorded."""

    provider: str
    dialect: str
    model: str
    path: str
    body: bytes
    secrets: tuple[str, ...] = ()
    """The keys that go with it."""
    simulated: bool = False


class Reading(Protocol):
    """Looks for the usage in an answer."""

    def feed(self, data: bytes) -> None:
        """More of the body."""

    def usage(self) -> dict[str, Any] | None:
        """What was reported last, once the body is over."""


class Taking:
    """One recording, as the loop's thread sees it: it says what happens, in the order in which that happens."""

    def __init__(self, asked: Asked, put: Callable[[Taking, _Told], bool]) -> None:
        self.asked = asked
        self.at_ms = time.time_ns() // 1_000_000
        self.dropped = False
        self._put = put
        self._began = time.monotonic()
        self._over = False

    def sent(self) -> None:
        """The request is being sent: times count from here."""
        self.at_ms, self._began = time.time_ns() // 1_000_000, time.monotonic()

    def head(self, status: int, headers: tuple[tuple[bytes, bytes], ...]) -> None:
        """The answer's head came."""
        self._tell(_Told(self._ms(), status=status, headers=headers))

    def read(self, data: bytes) -> None:
        """Some of its body came."""
        self._tell(_Told(self._ms(), data=data))

    def ended(self, end: EndKind, error: str | None = None) -> None:
        """Nothing more comes. What is said after this is not heard."""
        self._tell(_Told(self._ms(), end=end, error=error))
        self._over = True

    def _tell(self, told: _Told) -> None:
        if not (self._over or self.dropped):
            self.dropped = not self._put(self, told)

    def _ms(self) -> float:
        return int((time.monotonic() - self._began) * 1_000_000) / 1000


class _Told:
    """One thing that happened to one recording."""

    __slots__ = ("data", "end", "error", "headers", "ms", "status")

    def __init__(
        self,
        ms: float,
        *,
        data: bytes = b"",
        status: int | None = None,
        headers: tuple[tuple[bytes, bytes], ...] = (),
        end: EndKind | None = None,
        error: str | None = None,
    ) -> None:
        self.ms = ms
        self.data = data
        self.status = status
        self.headers = headers
        self.end = end
        self.error = error


class Recorder:
    """Takes recordings into one folder until `close`. Its thread owns the files, the loop's thread the counts of what
    was told.

    Raises `OSError`, with the folder's name, where the folder cannot be made or written.
    """

    def __init__(
        self,
        folder: Path,
        *,
        most_bytes: int = DEFAULT_MOST_BYTES,
        secrets: Iterable[str] = (),
        reading: Callable[[str], Reading | None] = lambda _dialect: None,
        queue_bytes: int = QUEUE_BYTES,
    ) -> None:
        self.folder = folder
        self.dropped = 0
        """Recordings that were given up because the disk was too slow."""
        self.written: list[Path] = []
        """The last files that became whole, at most a few."""
        self._queue: queue.SimpleQueue[tuple[Taking, _Told | None] | None] = queue.SimpleQueue()
        self._queue_bytes = queue_bytes
        # Each is written by one thread alone; their difference is what waits.
        self._put_bytes = self._taken_bytes = 0
        make_folder(folder)
        self._desk = _Desk(folder, most_bytes, tuple(secrets), reading, self.written)
        self._told_dropped, self._told_at = 0, 0.0
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)
        self._thread.start()

    def take(self, asked: Asked) -> Taking:
        """Begin a recording."""
        return Taking(asked, self._put)

    def close(self) -> None:
        """Write what was told, and end. A recording under way stays unfinished."""
        self._queue.put(None)
        self._thread.join()

    def _put(self, taking: Taking, told: _Told) -> bool:
        """Hand it to the thread; whether there was room."""
        size = len(told.data) + _COSTS
        if self._put_bytes - self._taken_bytes + size > self._queue_bytes:
            self.dropped += 1
            self._queue.put((taking, None))
            return False
        self._put_bytes += size
        self._queue.put((taking, told))
        return True

    # On its own thread.

    def _run(self) -> None:
        while True:
            batch = [self._queue.get()]
            while len(batch) < _BATCH and not self._queue.empty():
                batch.append(self._queue.get())
            for each in batch:
                if each is None:
                    self._desk.close()
                    self._tell_dropped(time.monotonic())
                    return
                self._do(*each)
            self._desk.flush()
            if self.dropped > self._told_dropped and time.monotonic() >= self._told_at:
                self._tell_dropped(time.monotonic())

    def _do(self, taking: Taking, told: _Told | None) -> None:
        if told is None:
            self._desk.forget(taking)
            return
        self._desk.write(taking, told)
        self._taken_bytes += len(told.data) + _COSTS

    def _tell_dropped(self, now: float) -> None:
        if count := self.dropped - self._told_dropped:
            _log.warning("recordings that were dropped because the disk is too slow: %d", count)
            self._told_dropped, self._told_at = self._told_dropped + count, now + _TELL_EVERY_S


class _Sheet:
    """One file that is being written."""

    def __init__(self, name: str, path: Path, file: BinaryIO, scrubber: Scrubber, reading: Reading | None) -> None:
        self.name = name
        self.path = path
        self.file = file
        self.scrubber = scrubber
        self.reading = reading
        self.size = 0
        self.held: list[bytes] | None = None
        """The body of a refusal, which is written in one piece: an upstream may repeat a key in it, and two reads may
        share that."""


class _Desk:
    """The files under way, and how much the folder may still take. Belongs to the writer's thread.

    The system's errors end recordings, never the thread: each is told once until something can be written again.
    """

    def __init__(
        self,
        folder: Path,
        most_bytes: int,
        secrets: tuple[str, ...],
        reading: Callable[[str], Reading | None],
        written: list[Path],
    ) -> None:
        self._folder = folder
        self._most_bytes = most_bytes
        self._secrets = secrets
        self._reading = reading
        self._written = written
        self._sheets: dict[Taking, _Sheet | None] = {}
        """By their recordings; `None` for one that was given up."""
        self._used = _bytes_in(folder)
        self._told: set[str] = set()

    def write(self, taking: Taking, told: _Told) -> None:
        """Put down one thing that happened."""
        try:
            if taking not in self._sheets:
                self._sheets[taking] = self._begin(taking, told)
            sheet = self._sheets[taking]
            if sheet is not None:
                self._note(sheet, told)
        except OSError as error:
            self.drop(taking)
            self._tell(f"{error.strerror or error}")
        if told.end is not None:
            self._sheets.pop(taking, None)

    def flush(self) -> None:
        """Hand what is buffered to the system, so that a crash of ours leaves it."""
        for taking, sheet in tuple(self._sheets.items()):
            if sheet is None:
                continue
            try:
                sheet.file.flush()
            except OSError as error:
                self.drop(taking)
                self._tell(f"{error.strerror or error}")

    def drop(self, taking: Taking) -> None:
        """Give a recording up, and remove what there is of it."""
        sheet = self._sheets.get(taking)
        self._sheets[taking] = None
        if sheet is None:
            return
        self._used -= sheet.size
        for undo in (sheet.file.close, sheet.path.unlink):
            try:
                undo()
            except OSError:
                _log.debug("a recording that was given up could not be removed")

    def forget(self, taking: Taking) -> None:
        """Give up a recording of which nothing more will be heard."""
        self.drop(taking)
        del self._sheets[taking]

    def close(self) -> None:
        """Leave what is under way as it is."""
        for sheet in self._sheets.values():
            if sheet is not None:
                try:
                    sheet.file.close()
                except OSError as error:
                    self._tell(f"{error.strerror or error}")
        self._sheets.clear()

    def _begin(self, taking: Taking, told: _Told) -> _Sheet:
        """The file, with its first line."""
        asked = taking.asked
        scrubber = Scrubber((*self._secrets, *asked.secrets))
        header = Header(
            recorded_at=stamp(taking.at_ms),
            provider=asked.provider,
            dialect=asked.dialect,
            model=scrubber(asked.model),
            path=scrubber(asked.path),
            request=scrubber(asked.body.decode("utf-8", "replace")),
            status=told.status,
            headers=kept_headers(told.headers, scrubber),
            head_ms=told.ms if told.status is not None else 0.0,
            simulated=asked.simulated or _SIMULATED in told.headers,
        )
        name = new_name(taking.at_ms, asked.provider, header.model, random_secrets.token_hex(3))
        path = self._folder / f"{name}{PART}"
        sheet = _Sheet(name, path, begin_file(path), scrubber, self._reading(asked.dialect))
        if told.status is not None and told.status >= 400:
            sheet.held = []
        self._sheets[taking] = sheet
        self._put(sheet, encode(header))
        return sheet

    def _note(self, sheet: _Sheet, told: _Told) -> None:
        if told.data:
            self._note_read(sheet, told)
        if told.end is None:
            return
        self._release_held(sheet, told.ms)
        usage = None if sheet.reading is None else sheet.reading.usage()
        error = None if told.error is None else sheet.scrubber(told.error)
        end = Line(ms=told.ms, end=told.end, error=error, usage=usage)
        self._put(sheet, encode(end))
        self._finish(sheet)

    def _note_read(self, sheet: _Sheet, told: _Told) -> None:
        if sheet.held is not None:
            sheet.held.append(told.data)
            if sum(map(len, sheet.held)) > _HELD_BYTES:
                self._release_held(sheet, told.ms)
            return
        self._put(sheet, encode(read_line(told.ms, told.data, sheet.scrubber)))
        if sheet.reading is not None:
            sheet.reading.feed(told.data)

    def _release_held(self, sheet: _Sheet, ms: float) -> None:
        held, sheet.held = sheet.held, None
        if held:
            self._put(sheet, encode(read_line(ms, b"".join(held), sheet.scrubber)))

    def _put(self, sheet: _Sheet, line: bytes) -> None:
        if self._used + len(line) > self._most_bytes:
            self._used = _bytes_in(self._folder)  # somebody may have made room
        if self._used + len(line) > self._most_bytes:
            raise self._full()
        sheet.file.write(line)
        sheet.size += len(line)
        self._used += len(line)

    def _finish(self, sheet: _Sheet) -> None:
        whole = self._folder / f"{sheet.name}{SUFFIX}"
        finish_file(sheet.file, sheet.path, whole)
        self._told.clear()
        self._written.append(whole)
        del self._written[:-16]

    def _tell(self, why: str) -> None:
        if why not in self._told:
            self._told.add(why)
            _log.warning("cannot record to %s: %s; answers go on and are not recorded", self._folder, why)

    def _full(self) -> _Full:
        return _Full(f"the folder has the {self._most_bytes / (1024 * 1024):g} MiB that it may have")


class _Full(OSError):
    """The folder may not grow any more."""


def _bytes_in(folder: Path) -> int:
    """What the recordings of a folder take, unfinished ones included."""
    try:
        with os.scandir(folder) as files:
            ours = (each for each in files if each.name.endswith((SUFFIX, PART)))
            return sum(each.stat(follow_symlinks=False).st_size for each in ours)
    except OSError:
        return 0
