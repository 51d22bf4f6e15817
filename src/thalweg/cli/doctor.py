"""`thalweg doctor`: looks at the installation and its settings, and says what to do."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import msgspec
from cyclopts import Parameter
from rich.text import Text

from thalweg.cli.bounds import bounded
from thalweg.cli.checks import CHECKS
from thalweg.cli.connection import Gateway
from thalweg.cli.layout import Paper
from thalweg.cli.machine import Asking, Check, Finding, Machine, Status, Subject
from thalweg.cli.main import FAILED
from thalweg.cli.paragraph import wrap
from thalweg.cli.passage import FRONT_CHECKS, Front
from thalweg.cli.words import explain, language, say, sentences
from thalweg.config import load_client
from thalweg.server.ping import asks_for_a_token

_MARKS: dict[Status, tuple[str, str]] = {
    "ok": ("✓", "green"),
    "note": ("·", "dim"),
    "warn": ("!", "bold yellow"),
    "fail": ("✗", "bold red"),
}
_NAME_WIDTH = max(*(len(each.name) for each in CHECKS), *(len(each.name) for each in FRONT_CHECKS))
_INDENT = "  "
Found = tuple[str, Finding]
"""What was found, and by which check."""
_WIDEST = 100
_UNBROKEN = 100_000
_CLEAR_LINE = "\r\x1b[2K"


def doctor(
    *,
    yes: Annotated[bool, Parameter(negative=()), explain("doctor.yes_flag")] = False,
    offline: Annotated[bool, Parameter(negative=()), explain("doctor.offline_flag")] = False,
    url: Annotated[str | None, Parameter(metavar="URL"), explain("doctor.url_flag")] = None,
    long: Annotated[int | None, Parameter(metavar="SECONDS"), bounded(1, 3600), explain("doctor.long_flag")] = None,
    json: Annotated[bool, Parameter(negative=()), explain("doctor.json")] = False,
    home: Annotated[Path | None, Parameter(metavar="FOLDER"), explain("doctor.home_flag")] = None,
) -> int:
    """Check this installation: `doctor.help` among the words says how."""
    if url is not None:
        client = load_client(url=url, home=home)
        gateway = Gateway(url=client.url or url, api_key=client.api_key, ca_file=client.ca_file)
        return _examine(FRONT_CHECKS, Front(gateway, silence_s=long), json=json)
    machine = Machine(home=home, asking="offline" if offline else "unasked")
    if not offline:
        machine.asking = _agreed(machine, yes=yes, can_ask=not json and sys.stdin.isatty() and sys.stderr.isatty())
    return _examine(CHECKS, machine, json=json)


def _examine(checks: tuple[Check[Subject], ...], subject: Subject, *, json: bool) -> int:
    """Run the checks, show what they find while they do, and judge all of it; the exit code."""
    found: list[Found] = []
    paper = Paper()
    for name, finding in _findings(checks, subject):
        found.append((name, finding))
        if not json:
            _print(paper, name, finding, is_first=len(found) < 2 or found[-2][0] != name)
    failed = _count(found, "fail")
    if json:
        described = [_described(name, finding) for name, finding in found]
        print(msgspec.json.encode({"ok": not failed, "checks": described}).decode())
    else:
        paper.print()
        paper.print(_INDENT + say(_verdict(found), failed=failed, warned=_count(found, "warn")))
    return FAILED if failed else 0


def _agreed(machine: Machine, *, yes: bool, can_ask: bool) -> Asking:
    """Whether the providers may be asked: says what is sent to whom and what it costs, and waits for a word."""
    if not machine.set_up or not (yes or can_ask):
        return "yes" if yes else "unasked"
    paper = Paper(stderr=True)
    for key, costs in (("doctor.asking", False), ("doctor.asking_tokens", True)):
        if asked := [each.row.title for each in machine.set_up if asks_for_a_token(each) is costs]:
            for line in wrap(say(key, providers=", ".join(asked)), paper.room or _UNBROKEN):
                paper.print(line, style="dim")
    if yes:
        return "yes"
    print(say("doctor.question"), end=" ", file=sys.stderr, flush=True)
    word = sys.stdin.readline()
    return "yes" if word and word.strip().lower() in _AGREED else "offline"


_AGREED = ("", "y", "yes", "是", "好")


def _findings(checks: tuple[Check[Subject], ...], subject: Subject) -> Iterator[Found]:
    """Run every check; on a terminal say what a slow one looks at."""
    shown = sys.stderr.isatty()
    for check in checks:
        if check.slow and shown:
            print(say("doctor.looking", check=check.name), end="", file=sys.stderr, flush=True)
        findings = list(check.run(subject))
        if check.slow and shown:
            print(_CLEAR_LINE, end="", file=sys.stderr, flush=True)
        yield from ((check.name, finding) for finding in findings)


def _said(finding: Finding) -> str:
    return say(f"doctor.{finding.code}", **finding.values)


def _advice(finding: Finding) -> str | None:
    key = f"doctor.{finding.code}_do"
    return say(key, **finding.values) if key in sentences(language()) else None


def _print(paper: Paper, check: str, finding: Finding, *, is_first: bool) -> None:
    sign, style = _MARKS[finding.status]
    name = (check if is_first else "").ljust(_NAME_WIDTH)
    before = len(_INDENT) + 2 + _NAME_WIDTH + len(_INDENT)
    room = min(paper.room, _WIDEST) - before if paper.room else _UNBROKEN
    first, *rest = list(wrap(_said(finding), room)) or [""]
    paper.print(Text.assemble(_INDENT, (sign, style), " ", (name, "bold"), _INDENT, first))
    for line in rest:
        paper.print(" " * before + line)
    if advice := _advice(finding):
        for at, line in enumerate(wrap(advice, room - 2)):
            paper.print(Text.assemble(" " * before, ("→ " if at == 0 else "  ", style), line))


def _described(check: str, finding: Finding) -> dict[str, Any]:
    return {
        "check": check,
        "status": finding.status,
        "code": finding.code,
        "values": finding.values,
        "message": _said(finding),
        "do": _advice(finding),
    }


def _count(found: list[Found], status: Status) -> int:
    return sum(finding.status == status for _, finding in found)


def _verdict(found: list[Found]) -> str:
    if _count(found, "fail"):
        return "doctor.verdict_fail"
    return "doctor.verdict_warn" if _count(found, "warn") else "doctor.verdict_ok"
