"""Recordings that are made of what is there already, imported or changed, and scenarios that are made of recordings."""

from __future__ import annotations

import itertools
import os
import secrets
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

from thalweg.canon.scenario import Scenario, write_scenario
from thalweg.recorder.form import Header, Line, encode
from thalweg.recorder.scenarios import SCENARIO
from thalweg.recorder.shelf import SUFFIX


def make_folder(folder: Path) -> None:
    """See to it that a folder is there and can be written. One that is there keeps its mode.

    Raises `OSError`, with the folder's name.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not folder.is_dir():
        raise NotADirectoryError(20, os.strerror(20), str(folder))
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(13, os.strerror(13), str(folder))


def begin_file(path: Path) -> BinaryIO:
    """A new file that its owner alone may read. Raises `OSError` where something is there."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0), 0o600)
    return os.fdopen(descriptor, "wb")


def finish_file(file: BinaryIO, part: Path, whole: Path) -> None:
    """Give a file its name, once all of it is on the disk. Raises `OSError`, also where something has that name."""
    file.flush()
    os.fsync(file.fileno())
    file.close()
    # A link, because a rename would replace what somebody has put there meanwhile.
    os.link(part, whole)
    part.unlink()


def keep(folder: Path, name: str, header: Header, lines: Iterable[Line]) -> Path:
    """Write a whole recording; the file. Where the name is taken, something is added to it. Raises `OSError`."""
    return _kept(folder, name, SUFFIX, itertools.chain((encode(header),), map(encode, lines)))


def keep_scenario(folder: Path, name: str, scenario: Scenario) -> Path:
    """Write a scenario; the file. Where the name is taken, something is added to it.

    Raises `OSError`, and `ScenarioError` for one that cannot be written.
    """
    return _kept(folder, name, SCENARIO, (write_scenario(scenario),))


def _kept(folder: Path, name: str, suffix: str, pieces: Iterable[bytes]) -> Path:
    make_folder(folder)
    if (folder / f"{name}{suffix}").exists():
        name = f"{name}-{secrets.token_hex(3)}"
    whole = folder / f"{name}{suffix}"
    part = whole.with_name(f"{whole.name}.part")
    with begin_file(part) as file:
        file.writelines(pieces)
        finish_file(file, part, whole)
    return whole
