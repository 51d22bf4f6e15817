"""The scenarios that lie beside the recordings of a folder. The folder is read anew each time; what was read of a file
is kept as long as the file is the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from thalweg.canon.scenario import MOST_BYTES, Scenario, read_scenario
from thalweg.recorder.form import is_name

SCENARIO = ".scenario.json"
"""How the file of a scenario ends."""
MOST_LISTED = 200
_MOST_KEPT = 4
"""Scenarios that are kept when they were read: the largest takes some ten times its file."""


class _Stamp(NamedTuple):
    """What tells one state of a file from another."""

    inode: int
    size: int
    changed_ns: int


class ScenarioShelf(Mapping[str, Scenario]):
    """The scenarios of one folder by name, which need not be there. As a mapping it lists the last ones, and has all.

    Reading one raises `KeyError` where there is none of that name, `ScenarioError` where it is none, and `OSError`.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._read: dict[str, tuple[_Stamp, Scenario]] = {}

    def names(self, most: int | None = None) -> list[str]:
        """Names, the last ones first: they sort by time, unless somebody has renamed them."""
        try:
            files = [file.name for file in self.folder.iterdir() if file.name.endswith(SCENARIO)]
        except OSError:
            return []
        names = (file.removesuffix(SCENARIO) for file in files)
        return sorted(filter(is_name, names), reverse=True)[:most]

    def find(self, name: str) -> Path | None:
        """The file of a scenario; `None` where there is none of that name."""
        file = self.folder / f"{name}{SCENARIO}"
        return file if is_name(name) and file.is_file() else None

    def __getitem__(self, name: str) -> Scenario:
        file = self.find(name)
        if file is None:
            raise KeyError(name)
        stamp = _stamp_of(file)
        kept = self._read.pop(name, None)
        if kept is None or kept[0] != stamp:
            kept = stamp, load_scenario(file)
        self._read[name] = kept  # the last that was asked for is the last to go
        while len(self._read) > _MOST_KEPT:
            del self._read[next(iter(self._read))]
        return kept[1]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.find(name) is not None

    def __iter__(self) -> Iterator[str]:
        return iter(self.names(MOST_LISTED))

    def __len__(self) -> int:
        return len(self.names(MOST_LISTED))


def load_scenario(file: Path) -> Scenario:
    """Read a file. Raises `ScenarioError` and `OSError`."""
    with file.open("rb") as opened:
        return read_scenario(opened.read(MOST_BYTES + 1))


def _stamp_of(file: Path) -> _Stamp:
    state = file.stat()
    return _Stamp(state.st_ino, state.st_size, state.st_mtime_ns)
