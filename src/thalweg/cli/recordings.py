"""`thalweg recordings`: which recordings there are, as a table or JSON."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import msgspec
from cyclopts import Parameter

from thalweg.cli.layout import Column, Paper, milliseconds, short_path
from thalweg.cli.main import FAILED
from thalweg.cli.visible import visible
from thalweg.cli.words import explain, say
from thalweg.config import load
from thalweg.recorder.form import RecordingError
from thalweg.recorder.shelf import Kept, Shelf, look


def recordings(
    folder: Annotated[Path | None, Parameter(metavar="FOLDER"), explain("recordings.folder")] = None,
    /,
    *,
    json: Annotated[bool, Parameter(negative=()), explain("recordings.json")] = False,
) -> int:
    """List recordings, the last ones first. What cannot be read is named on standard error."""
    shelf = Shelf(load(host="127.0.0.1", port=0, replay=folder).replay_folder)
    found, broken = _looked_through(shelf)
    for name, why in broken:
        print(f"thalweg: {say('recordings.unreadable', name=name, why=why)}", file=sys.stderr)
    if json:
        for kept in found:
            print(msgspec.json.encode(_described(kept)).decode())
    elif found:
        _print(found)
    elif not broken:
        print(f"thalweg: {say('recordings.none', folder=short_path(shelf.folder))}", file=sys.stderr)
    return FAILED if broken else 0


def told_end(kept: Kept) -> str:
    """How a recording ends, for people; a refusal by its status."""
    status = kept.header.status
    if status is not None and status >= 400 and kept.end == "whole":
        return say("recordings.refused", status=status)
    return say(f"recordings.end_{kept.end or 'unfinished'}")


def _looked_through(shelf: Shelf) -> tuple[list[Kept], list[tuple[str, str]]]:
    found, broken = [], []
    for name in shelf.names():
        file = shelf.find(name)
        try:
            if file is not None:
                found.append(look(file))
        except (OSError, RecordingError) as error:
            broken.append((name, str(error.strerror if isinstance(error, OSError) else error)))
    return found, broken


def _described(kept: Kept) -> dict[str, object]:
    header = kept.header
    return {
        "name": kept.name,
        "recorded_at": header.recorded_at,
        "provider": header.provider,
        "dialect": header.dialect,
        "model": header.model,
        "status": header.status,
        "end": kept.end,
        "error": kept.error,
        "reads": kept.reads,
        "body_bytes": kept.body_bytes,
        "duration_ms": kept.duration_ms,
        "usage": kept.usage,
        "simulated": header.simulated,
    }


def _print(found: list[Kept]) -> None:
    columns = [
        Column(heading=say("recordings.name")),
        Column(heading=say("recordings.provider"), rank=2),
        Column(heading=say("recordings.model"), rank=3, narrowest=12),
        Column(heading=say("recordings.bytes"), right=True, rank=1),
        Column(heading=say("recordings.took"), right=True, rank=1),
        Column(heading=say("recordings.end")),
    ]
    Paper().table(columns, [_row(kept) for kept in found])


def _row(kept: Kept) -> list[str]:
    return [
        kept.name,
        visible(kept.header.provider),
        visible(kept.header.model),
        f"{kept.body_bytes:,}",
        milliseconds(kept.duration_ms),
        told_end(kept),
    ]
