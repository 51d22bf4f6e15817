"""`thalweg recordings`: which recordings and scenarios there are, as a table or JSON."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Any, NamedTuple, TypeVar

import msgspec
from cyclopts import Parameter

from thalweg.canon.scenario import Say, Scenario, ScenarioError
from thalweg.cli.layout import Column, Paper, milliseconds, short_path
from thalweg.cli.main import FAILED
from thalweg.cli.visible import visible
from thalweg.cli.words import explain, say
from thalweg.config import load
from thalweg.recorder.form import RecordingError
from thalweg.recorder.scenarios import ScenarioShelf, load_scenario
from thalweg.recorder.shelf import Kept, Shelf, look

_T = TypeVar("_T")


def recordings(
    folder: Annotated[Path | None, Parameter(metavar="FOLDER"), explain("recordings.folder")] = None,
    /,
    *,
    json: Annotated[bool, Parameter(negative=()), explain("recordings.json")] = False,
) -> int:
    """List recordings, the last ones first, and scenarios. What cannot be read is named on standard error."""
    kept_in = load(host="127.0.0.1", port=0, replay=folder).replay_folder
    found, broken = _looked_through(kept_in)
    for name, why in broken:
        print(f"thalweg: {say('recordings.unreadable', name=name, why=why)}", file=sys.stderr)
    if json:
        for item in found:
            print(msgspec.json.encode(item.described).decode())
    elif found:
        _print(found)
    elif not broken:
        print(f"thalweg: {say('recordings.none', folder=short_path(kept_in))}", file=sys.stderr)
    return FAILED if broken else 0


def told_end(kept: Kept) -> str:
    """How a recording ends, for people; a refusal by its status."""
    status = kept.header.status
    if status is not None and status >= 400 and kept.end == "whole":
        return say("recordings.refused", status=status)
    return say(f"recordings.end_{kept.end or 'unfinished'}")


def told_scenario_end(scenario: Scenario) -> str:
    """How a scenario ends, for people; a refusal by its status."""
    if scenario.error is not None and scenario.error.status is not None:
        return say("recordings.refused", status=scenario.error.status)
    return say(f"recordings.end_{scenario.end}")


class _Item(NamedTuple):
    """One file, as it is listed."""

    described: dict[str, object]
    row: list[str]


def _looked_through(folder: Path) -> tuple[list[_Item], list[tuple[str, str]]]:
    shelf, scenarios = Shelf(folder), ScenarioShelf(folder)
    broken: list[tuple[str, str]] = []
    found = [_recording(kept) for _, kept in _read(shelf.names(), shelf.find, look, broken)]
    told = _read(scenarios.names(), scenarios.find, load_scenario, broken)
    return found + [_scenario(name, scenario) for name, scenario in told], broken


def _read(
    names: Iterable[str], find: Callable[[str], Path | None], read: Callable[[Path], _T], broken: list[tuple[str, str]]
) -> list[tuple[str, _T]]:
    """What is in the files of these names; the others go to the `broken`, each with the reason."""
    found = []
    for name in names:
        file = find(name)
        try:
            if file is not None:
                found.append((name, read(file)))
        except (OSError, RecordingError, ScenarioError) as error:
            broken.append((name, str(error.strerror if isinstance(error, OSError) else error)))
    return found


def _recording(kept: Kept) -> _Item:
    header = kept.header
    described: dict[str, Any] = {
        "name": kept.name,
        "kind": "recording",
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
    row = [
        kept.name,
        say("recordings.kind_recording"),
        visible(header.provider),
        visible(header.model),
        f"{kept.body_bytes:,}",
        milliseconds(kept.duration_ms),
        told_end(kept),
    ]
    return _Item(described, row)


def _scenario(name: str, scenario: Scenario) -> _Item:
    pieces = sum(isinstance(step, Say) for step in scenario.steps)
    described: dict[str, Any] = {
        "name": name,
        "kind": "scenario",
        "recorded_at": scenario.recorded_at,
        "provider": scenario.provider,
        "model": scenario.model,
        "end": scenario.end,
        "error": None if scenario.error is None else scenario.error.message,
        "pieces": pieces,
        "duration_ms": scenario.duration_ms,
        "usage": scenario.usage,
    }
    row = [
        name,
        say("recordings.kind_scenario"),
        visible(scenario.provider),
        visible(scenario.model),
        say("recordings.pieces", pieces=f"{pieces:,}"),
        milliseconds(scenario.duration_ms),
        told_scenario_end(scenario),
    ]
    return _Item(described, row)


def _print(found: list[_Item]) -> None:
    columns = [
        Column(heading=say("recordings.name")),
        Column(heading=say("recordings.kind"), rank=1),
        Column(heading=say("recordings.provider"), rank=3),
        Column(heading=say("recordings.model"), rank=4, narrowest=12),
        Column(heading=say("recordings.bytes"), right=True, rank=2),
        Column(heading=say("recordings.took"), right=True, rank=2),
        Column(heading=say("recordings.end")),
    ]
    Paper().table(columns, [item.row for item in found])
