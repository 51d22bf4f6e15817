"""Reads `.env`: a NAME=VALUE on each line, as shells and other programs have it. Nothing is expanded or run."""

from __future__ import annotations

import re
from typing import NamedTuple

from thalweg.config.errors import Problem

_ASSIGNMENT = re.compile(r"[ \t]*(?:export[ \t]+)?(?P<name>[A-Za-z_][A-Za-z0-9_]*)[ \t]*=[ \t]*")
_NOTHING = re.compile(r"[ \t]*(?:#.*)?$")
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t"}
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_QUOTED = {"'": re.compile(r"'([^']*)'"), '"': re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)}
_COMMENT = re.compile(r"(?:^|[ \t]+)#.*$")


class Line(NamedTuple):
    """One variable of the file."""

    value: str
    line: int


def parse(text: str, file: str) -> tuple[dict[str, Line], list[Problem]]:
    """Its variables, the last of a name, and the lines that are none. A quoted value may go over several lines.

    Other programs read the same file: a line that we do not understand is passed over.
    """
    found: dict[str, Line] = {}
    problems: list[Problem] = []
    rest, at = text.removeprefix("\ufeff").replace("\r\n", "\n"), 1
    while rest:
        line, _, after = rest.partition("\n")
        said = _ASSIGNMENT.match(line)
        if said is None:
            if not _NOTHING.match(line):
                problems.append(Problem(file, at, "env_line"))
            rest, at = after, at + 1
            continue
        value, length = _value(rest[said.end() :])
        if value is None:
            problems.append(Problem(file, at, "env_quote", {"name": said["name"]}))
        else:
            found[said["name"]] = Line(value, at)
        taken = rest[: said.end() + length]
        at += taken.count("\n") + 1
        rest = rest[len(taken) :].partition("\n")[2]
    return found, problems


def _value(rest: str) -> tuple[str | None, int]:
    """The value that a text begins with, and how many characters it takes; `None` for a quote without an end."""
    line = rest.partition("\n")[0]
    if line[:1] not in _QUOTED:
        return _COMMENT.sub("", line).strip(), len(line)
    quoted = _QUOTED[line[0]].match(rest)
    if quoted is None:
        return None, len(line)
    text = quoted[1]
    if line[0] == '"':
        text = _ESCAPE.sub(lambda found: _ESCAPES.get(found[1], found[1]), text)
    return text, quoted.end()
