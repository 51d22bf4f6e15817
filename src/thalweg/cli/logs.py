"""`thalweg logs`: the last entries of the ledger, or what is settled from now on, or one of them on a card.

Prompts and answers are not there to be shown: the ledger has none.
"""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import msgspec
from cyclopts import Parameter

from thalweg.cli.bounds import bounded
from thalweg.cli.card import print_card
from thalweg.cli.figures import outcome_of, picture, rate, scale_of, tokens
from thalweg.cli.layout import Cell, Column, Layout, Paper, milliseconds
from thalweg.cli.main import FAILED, WRONG_USAGE
from thalweg.cli.told import told
from thalweg.cli.visible import readable
from thalweg.cli.words import explain, say
from thalweg.config import home as home_of
from thalweg.ledger.entry import Entry, LedgerError, Outcome
from thalweg.ledger.report import Wanted, attempts_of, follow, last_entries

LOOK_EVERY_S = 0.3
"""How often the file is looked at when it is followed. A look that finds nothing reads one row."""
_LAST = 20
_ALL = -1
_PICTURE_WIDTH = 20
_ID_CHARS = 8
_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def logs(
    request: Annotated[str | None, explain("logs.request")] = None,
    /,
    *,
    count: Annotated[
        int | None, Parameter(name=("--count", "-n"), metavar="N"), explain("logs.count"), bounded(0, 1_000_000)
    ] = None,
    follow: Annotated[bool, Parameter(name=("--follow", "-f"), negative=()), explain("logs.follow")] = False,
    model: Annotated[str | None, Parameter(metavar="TEXT"), explain("logs.model")] = None,
    outcome: Annotated[Outcome | Literal["open"] | None, Parameter(metavar="OUTCOME"), explain("logs.outcome")] = None,
    since: Annotated[str | None, Parameter(metavar="WHEN"), explain("logs.since")] = None,
    json: Annotated[bool, Parameter(negative=()), explain("logs.json")] = False,
    home: Annotated[Path | None, Parameter(metavar="FOLDER"), explain("usage.home")] = None,
) -> int:
    """Show the last requests from the ledger. Works while the server runs."""
    try:
        since_ms = None if since is None else _moment_ms(since)
    except ValueError:
        return _refuse(say("logs.no_time", value=since), WRONG_USAGE)
    ledger = home_of(home) / "ledger.db"
    wanted = Wanted(since_ms=since_ms, model=model and readable(model), outcome=outcome)
    if count is None:
        count = _LAST if since is None else _ALL
    try:
        if request is not None:
            return _one(ledger, readable(request), json=json)
        show = _print_json if json else _Rows(Paper()).print
        if follow:
            _follow(ledger, count, wanted, show)
        elif entries := last_entries(ledger, count, wanted)[::-1]:
            show(entries)
        else:
            print(say("logs.nothing"), file=sys.stderr)
    except LedgerError as error:
        return _refuse(told(error) if ledger.exists() else say("usage.no_ledger", path=str(ledger)), FAILED)
    return 0


def _refuse(why: str, code: int) -> int:
    print(f"thalweg: {why}", file=sys.stderr)
    return code


def _moment_ms(since: str) -> int:
    """The moment that `2h` ago was, or a date and time of this machine's clock. Raises `ValueError`."""
    if found := re.fullmatch(r"(\d{1,9}) ?([smhd])", since.strip()):
        return int((time.time() - int(found[1]) * _UNITS_S[found[2]]) * 1000)
    return int(datetime.fromisoformat(since.strip()).timestamp() * 1000)


def _one(ledger: Path, request: str, *, json: bool) -> int:
    found = last_entries(ledger, 3, Wanted(request=request)) or last_entries(ledger, 3, Wanted(request_end=request))
    if not found:
        return _refuse(say("logs.no_request", request=request), FAILED)
    if len(found) > 1:
        return _refuse(say("logs.many_requests", request=request), FAILED)
    attempts = attempts_of(ledger, found[0].request_id)
    if json:
        print(msgspec.json.encode(msgspec.to_builtins(found[0]) | {"each_attempt": attempts}).decode())
    else:
        print_card(found[0], attempts, Paper())
    return 0


def _follow(ledger: Path, count: int, wanted: Wanted, show: Callable[[list[Entry]], None]) -> None:
    """Show the last entries, then each one when it is settled, until Ctrl-C."""
    seq = follow(ledger, None).seq
    known = [entry for entry in last_entries(ledger, count, wanted)[::-1] if entry.outcome]
    show(known)
    # Between the two looks something may have been settled: the second one has shown it already.
    shown = {entry.request_id for entry in known}
    while True:
        time.sleep(LOOK_EVERY_S)
        news = follow(ledger, seq, wanted)
        if new := [entry for entry in news.entries if entry.outcome and entry.request_id not in shown]:
            show(new)
        seq, shown = news.seq, set()


def _print_json(entries: list[Entry]) -> None:
    for entry in entries:
        print(msgspec.json.encode(entry).decode(), flush=True)


class _Rows:
    """A table that goes on: what comes later stands under the headings of what came first."""

    def __init__(self, paper: Paper) -> None:
        self._paper = paper
        self._layout: Layout | None = None
        self._scale = _Scale("", 0.0, cut=paper.is_terminal)

    def print(self, entries: list[Entry]) -> None:
        """Print these, after a heading if they are the first."""
        if self._layout is None:
            self._begin(entries)
        assert self._layout is not None
        for entry in entries:
            self._paper.print(self._layout.line(self._cells(entry)))

    def _begin(self, entries: list[Entry]) -> None:
        today = all(datetime.fromtimestamp(entry.opened_ms / 1000).date() == datetime.now().date() for entry in entries)
        self._scale = _Scale("%H:%M:%S" if today else "%m-%d %H:%M:%S", scale_of(entries), cut=self._paper.is_terminal)
        columns = [
            Column(
                heading=say(f"logs.col_{shown.word}"),
                right=shown.right,
                rank=shown.rank,
                least=shown.least,
                narrowest=shown.narrowest,
            )
            for shown in _SHOWN
        ]
        self._layout = Layout(columns, [self._cells(entry) for entry in entries], self._paper.room)
        self._paper.print(self._layout.heading())

    def _cells(self, entry: Entry) -> Sequence[Cell]:
        return [shown.cell(entry, self._scale) for shown in _SHOWN]


class _Scale(NamedTuple):
    """What the rows of one table have in common."""

    time_format: str
    picture_ms: float
    cut: bool
    """Whether long names are cut, because there is a window."""


def _time(entry: Entry, scale: _Scale) -> str:
    return datetime.fromtimestamp(entry.opened_ms / 1000).strftime(scale.time_format)


def _rate(entry: Entry) -> str:
    speed = rate(entry)
    return "" if speed is None else f"{speed:,.0f}"


def _short_id(entry: Entry, scale: _Scale) -> str:
    return entry.request_id[-_ID_CHARS:] if scale.cut else entry.request_id


class _Shown(NamedTuple):
    """One column."""

    word: str
    rank: int
    """As in `Column`."""
    cell: Callable[[Entry, _Scale], Cell]
    right: bool = False
    least: int = 0
    narrowest: int | None = None


_SHOWN = (
    _Shown("time", 0, _time, least=8),
    _Shown("model", 0, lambda entry, _: entry.model, least=20, narrowest=16),
    _Shown("provider", 8, lambda entry, _: entry.provider, least=8),
    _Shown("outcome", 0, lambda entry, _: outcome_of(entry), least=11),
    _Shown("in", 4, lambda entry, _: tokens(entry, entry.usage.input_tokens), right=True, least=6),
    _Shown("out", 1, lambda entry, _: tokens(entry, entry.usage.output_tokens), right=True, least=6),
    _Shown("ttft", 3, lambda entry, _: milliseconds(entry.ttft_ms), right=True, least=6),
    _Shown("duration", 2, lambda entry, _: milliseconds(entry.duration_ms), right=True, least=6),
    _Shown("rate", 7, lambda entry, _: _rate(entry), right=True, least=5),
    _Shown("picture", 9, lambda entry, scale: picture(entry, scale.picture_ms, _PICTURE_WIDTH), least=_PICTURE_WIDTH),
    _Shown("key", 10, lambda entry, _: entry.key_id),
    _Shown("id", 0, _short_id, least=_ID_CHARS),
)
