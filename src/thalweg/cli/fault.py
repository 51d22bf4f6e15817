"""`thalweg fault`: what can go wrong with an answer, and whether a gateway or an application bears it."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from cyclopts import Parameter
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from thalweg.canon.policy import Waits
from thalweg.cli.bounds import bounded
from thalweg.cli.connection import Gateway, OwnGateway, Unreachable
from thalweg.cli.fault_cases import DIALECTS, Case, Dialect, cases_of
from thalweg.cli.fault_drive import CHECKS, Drive, NotASimulator, Verdict
from thalweg.cli.layout import Cell, Column, Paper
from thalweg.cli.main import FAILED, WRONG_SETTING, WRONG_USAGE
from thalweg.cli.mistakes import describe_choice
from thalweg.cli.words import explain, say
from thalweg.config import load, load_client
from thalweg.server.simulated import faults_of

Action = Literal["run", "list"]
_OWN_WAITS = Waits(connect_s=2.0, first_byte_s=1.0, gap_s=1.0, whole_s=30.0)
"""Of a gateway that is started for this: no silence of an upstream takes longer than it must."""
UNREACHABLE = 4
_NOTES = 20
"""How many failures are told in words, at most."""


def fault(
    action: Annotated[Action, explain("fault.action")],
    /,
    *,
    against: Annotated[str | None, Parameter(metavar="URL"), explain("fault.against")] = None,
    dialect: Annotated[list[Dialect] | None, Parameter(metavar="NAME", negative=()), explain("fault.dialect")] = None,
    fault: Annotated[list[str] | None, Parameter(metavar="NAME", negative=()), explain("fault.fault")] = None,
    every: Annotated[bool, Parameter(name="--all", negative=()), explain("fault.all")] = False,
    models: Annotated[str, Parameter(metavar="PREFIX"), explain("fault.models")] = "sim/",
    key_file: Annotated[Path | None, Parameter(metavar="FILE"), explain("fault.key_file")] = None,
    patience: Annotated[int, Parameter(metavar="SECONDS"), explain("fault.patience"), bounded(1, 86_400)] = 30,
    json: Annotated[bool, Parameter(negative=()), explain("fault.json")] = False,
) -> int:
    """Drive through faults, or list them: `fault.help` among the words says how."""
    known = faults_of()
    for name in fault or ():
        if name not in known:
            return _ended(WRONG_USAGE, describe_choice("--fault", name, tuple(known)))
    chosen = {name: says for name, says in known.items() if not fault or name in fault}
    if action == "list":
        return _list(chosen, json=json)
    dialects = DIALECTS if every else tuple(dialect or DIALECTS[:1])
    cases = cases_of(dialects, tuple(chosen), prefix=models)
    if not cases:
        return _ended(WRONG_USAGE, say("fault.no_cases"))
    try:
        with _gateway(against, key_file) as gateway:
            verdicts = _driven(Drive(gateway, patience_s=patience), cases, gateway.url)
    except Unreachable as error:
        return _ended(UNREACHABLE, say("models.unreachable", url=error.url, why=error.why))
    except NotASimulator as error:
        return _ended(FAILED, say("fault.no_simulator", why=error))
    except OSError as error:
        return _ended(WRONG_SETTING, f"{error.filename or against or ''}: {error.strerror or error}")
    broken = [verdict for verdict in verdicts if False in verdict.held.values()]
    (_print_json if json else _print)(verdicts, broken, dialects)
    return FAILED if broken else 0


def _ended(code: int, why: str) -> int:
    print(f"thalweg: {why}", file=sys.stderr)
    return code


def _list(chosen: dict[str, str], *, json: bool) -> int:
    if json:
        for name, says in chosen.items():
            print(msgspec.json.encode({"fault": name, "does": says, "model": f"sim/text?fault={name}"}).decode())
        return 0
    columns = [
        Column(heading=say("fault.col_fault")),
        Column(heading=say("fault.col_does"), narrowest=30),
        Column(heading=say("fault.col_model"), rank=1),
    ]
    Paper().table(columns, [[name, says, f"sim/{_model_of(name)}?fault={name}"] for name, says in chosen.items()])
    Paper(stderr=True).print(say("fault.place"), style="dim")
    return 0


def _model_of(name: str) -> str:
    return "tools" if name.startswith(("tool-", "args-")) else "text"


@contextlib.contextmanager
def _gateway(against: str | None, key_file: Path | None) -> Iterator[Gateway]:
    """The one that is named, or one of our own, which ends with this."""
    if against is not None:
        client = load_client(url=against)
        key = key_file.read_text(encoding="utf-8").strip() if key_file else client.api_key
        # Its path is kept: it may lie anywhere.
        yield Gateway(url=against.rstrip("/"), api_key=key, ca_file=client.ca_file)
        return
    with tempfile.TemporaryDirectory(prefix="thalweg-fault-") as home:
        settings = load(environment={}, host="127.0.0.1", port=0, home=home, simulate=True)
        timeouts = settings.timeouts.with_(_OWN_WAITS)
        own = OwnGateway(msgspec.structs.replace(settings, timeouts=timeouts, find_engines=False, log="off"))
        try:
            yield Gateway(url=own.url)
        finally:
            own.stop()
            own.join()


def _driven(drive: Drive, cases: list[Case], url: str) -> list[Verdict]:
    """Drive through all, and show how far it is while that lasts."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(say("fault.driving", url=url), total=len(cases))
        return asyncio.run(drive.run(cases, ended=lambda _: progress.advance(task)))


def _print(verdicts: Sequence[Verdict], broken: Sequence[Verdict], dialects: Sequence[Dialect]) -> None:
    paper, aside = Paper(), Paper(stderr=True)
    columns = [Column(heading=say("fault.col_fault")), Column(heading=say("fault.col_cases"), right=True)]
    columns += [Column(heading=say(f"fault.{check}")) for check in CHECKS]
    paper.table(columns, [_row(name, of) for name, of in _by_fault(verdicts).items()])
    for verdict in broken[:_NOTES]:
        case = verdict.case
        way = say("fault.streamed") if case.stream else say("fault.whole")
        place = say(f"fault.at_{case.place}")
        aside.print(f"✗ {case.fault} · {case.dialect} · {way} · {place}: {verdict.why}  {case.model}")
    if len(broken) > _NOTES:
        aside.print(say("fault.more", count=len(broken) - _NOTES))
    key = "fault.all_held" if not broken else "fault.some_broke"
    said = say(key, cases=len(verdicts), broken=len(broken), dialects=", ".join(dialects))
    paper.print()
    paper.print(said, style="bold")


def _by_fault(verdicts: Sequence[Verdict]) -> dict[str, list[Verdict]]:
    found: dict[str, list[Verdict]] = {}
    for verdict in verdicts:
        found.setdefault(verdict.case.fault, []).append(verdict)
    return found


def _row(name: str, verdicts: Sequence[Verdict]) -> list[Cell]:
    """A fault's name, how many cases it had, and a sign for each thing that must hold."""
    signs: list[Cell] = []
    for check in CHECKS:
        held = [verdict.held[check] for verdict in verdicts]
        wrong = held.count(False)
        if wrong:
            signs.append(Text(f"✗ {wrong}", style="bold red"))
        else:
            signs.append(Text("✓", style="green") if True in held else Text("–", style="dim"))
    return [name, str(len(verdicts)), *signs]


def _print_json(verdicts: Sequence[Verdict], broken: Sequence[Verdict], dialects: Sequence[Dialect]) -> None:
    """One object: the sums by fault, and every case that did not hold."""
    told = {
        "held": not broken,
        "cases": len(verdicts),
        "dialects": list(dialects),
        "faults": [
            {"fault": name, "cases": len(of)}
            | {check: _sum([verdict.held[check] for verdict in of]) for check in CHECKS}
            for name, of in _by_fault(verdicts).items()
        ],
        "broken": [
            {
                "fault": verdict.case.fault,
                "dialect": verdict.case.dialect,
                "place": verdict.case.place,
                "stream": verdict.case.stream,
                "model": verdict.case.model,
                "checks": [check for check in CHECKS if verdict.held[check] is False],
                "why": verdict.why,
            }
            for verdict in broken
        ],
    }
    print(msgspec.json.encode(told).decode())


def _sum(held: Sequence[bool | None]) -> bool | None:
    """Whether it held wherever there was something to hold."""
    return False if False in held else True if True in held else None
