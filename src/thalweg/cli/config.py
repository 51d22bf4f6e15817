"""`thalweg config`: whether the settings are right, what holds and where it is from, and a schema for editors."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from cyclopts import Parameter

from thalweg.cli.layout import Column, Paper
from thalweg.cli.main import FAILED, WRONG_USAGE
from thalweg.cli.told import told, told_problem
from thalweg.cli.words import explain, say
from thalweg.config import ConfigError
from thalweg.config.effective import SET, Effective, Overview, overview
from thalweg.config.schema import schema

Action = Literal["check", "show", "schema"]


def config(
    action: Annotated[Action, explain("config.action")],
    file: Annotated[Path | None, explain("config.file")] = None,
    /,
    *,
    origin: Annotated[bool, Parameter(negative=()), explain("config.origin")] = False,
    host: Annotated[str | None, Parameter(metavar="ADDRESS"), explain("serve.host")] = None,
    port: Annotated[int | None, Parameter(metavar="PORT"), explain("serve.port")] = None,
    home: Annotated[Path | None, Parameter(metavar="FOLDER"), explain("serve.home")] = None,
    simulate: Annotated[bool | None, explain("serve.simulate")] = None,
    json: Annotated[bool, Parameter(negative=()), explain("config.json")] = False,
) -> int:
    """Check, show or describe the settings: `config.help` among the words says how."""
    if action == "schema":
        if file is not None:
            print(f"thalweg: {say('main.too_many', words=file)}", file=sys.stderr)
            return WRONG_USAGE
        print(_encoded(schema()))
        return 0
    flags: dict[str, Any] = {"host": host, "port": port, "home": home, "simulate": simulate}
    if action == "check":
        return _check(file, flags, json=json)
    _show(overview(config=file, **flags), origin=origin, json=json)
    return 0


def _check(file: Path | None, flags: dict[str, Any], *, json: bool) -> int:
    """Say everything that is wrong, and what is to be warned of."""
    try:
        found = overview(config=file, **flags)
    except ConfigError as error:
        problems = [_described(each) for each in getattr(error, "problems", ())] or [{"message": told(error)}]
        lines = [told_problem(each) for each in getattr(error, "problems", ())] or [told(error)]
        print(_encoded({"ok": False, "problems": problems, "warnings": []}) if json else "\n".join(lines))
        return FAILED
    warnings = found.settings.warnings
    if json:
        print(_encoded({"ok": True, "problems": [], "warnings": [_described(each) for each in warnings]}))
        return 0
    for warning in warnings:
        print(say("config.warning", said=told_problem(warning)))
    print(say("config.right", file=found.file) if found.file else say("config.no_file"))
    return 0


def _described(problem: Any) -> dict[str, Any]:
    message = told_problem(problem).removeprefix(f"{problem.place}: ")
    return {"file": problem.file, "line": problem.line or None, "code": problem.code, "message": message}


def _show(found: Overview, *, origin: bool, json: bool) -> None:
    if json:
        rows = [{"key": row.key, "value": row.value, "origin": row.origin} for row in found.rows]
        print(_encoded({"file": found.file, "settings": rows}))
        return
    columns = [Column(heading=say("config.col_key")), Column(heading=say("config.col_value"), narrowest=12)]
    columns += [Column(heading=say("config.col_origin"))] if origin else []
    paper = Paper()
    paper.table(columns, [_cells(row, origin=origin) for row in found.rows])
    said = say("config.from_file", file=found.file) if found.file else say("config.no_file")
    Paper(stderr=True).print(said, style="dim")


def _cells(row: Effective, *, origin: bool) -> list[str]:
    return [row.key, _shown(row.value), *([_origin(row.origin)] if origin else [])]


def _shown(value: Any) -> str:
    if value is None:
        return say("config.unset")
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return ", ".join(map(str, value))
    if isinstance(value, dict):
        return ", ".join(f"{name} {each}" for name, each in value.items())
    return say("config.set") if value == SET else str(value)


def _origin(origin: str) -> str:
    """A file's name and line are the same in every language."""
    if origin == "default":
        return say("config.of_default")
    kind, _, name = origin.partition(" ")
    how = {"environment": "config.of_environment", "flag": "config.of_flag"}.get(kind)
    return say(how, name=name) if how else origin


def _encoded(value: Any) -> str:
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
