"""What `thalweg doctor` looks at, and how it tells what it found. What takes time is looked at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Generic, Literal, TypeVar

import msgspec

from thalweg.cli.told import told
from thalweg.config import ConfigError, ProviderSettings, Settings, load
from thalweg.config import home as home_of
from thalweg.ledger.entry import Entry
from thalweg.ledger.lock import RunningServer, running_server
from thalweg.ledger.report import last_entries
from thalweg.server.app import make_connector, proxies_of
from thalweg.server.engines import Found, find_engines
from thalweg.server.ping import Pong, ping
from thalweg.server.reach import Reached, reach

Status = Literal["ok", "note", "warn", "fail"]
"""`note` is neither good nor bad."""


Asking = Literal["yes", "offline", "unasked"]
"""Whether providers are asked: somebody agreed, somebody said no, or there was nobody to ask."""


class Finding(msgspec.Struct, frozen=True):
    """One thing that was found."""

    status: Status
    code: str
    """Names the sentence."""
    values: dict[str, str | int] = {}
    """For the sentence's placeholders, and its advice's."""


Subject = TypeVar("Subject")


class Check(msgspec.Struct, Generic[Subject], frozen=True):
    """One row of a table of checks: what it is called, and what it looks at."""

    name: str
    run: Callable[[Subject], Iterator[Finding]]
    slow: bool = False
    """Whether somebody who waits wants to know for what."""


class Machine:
    """What the checks look at. What takes time is looked at once, and only when a check wants it."""

    def __init__(self, *, home: Path | None, asking: Asking = "unasked") -> None:
        """Raises `ConfigError` when no home can be found."""
        self.home = home_of(home)
        self.asking: Asking = asking
        self.wrong_setting: str | None = None
        self.settings: Settings | None = None
        try:
            self.settings = load(home=home)
        except ConfigError as error:
            self.wrong_setting = told(error)

    @property
    def providers(self) -> list[ProviderSettings]:
        """All of them, second dialects too; none where a setting is wrong."""
        return list(self.settings.providers.values()) if self.settings else []

    @property
    def set_up(self) -> list[ProviderSettings]:
        """Those that somebody has set up, each once."""
        return [each for each in self.settings.main_providers if each.configured] if self.settings else []

    @cached_property
    def server(self) -> RunningServer | None:
        """Who holds the home."""
        return running_server(self.home)

    @cached_property
    def engines(self) -> Found:
        """The engines on this machine."""
        return asyncio.run(find_engines(self.settings)) if self.settings else {}

    @cached_property
    def reached(self) -> list[Reached]:
        """How far the way went to each provider that is set up; nothing where nobody is to be asked."""
        if self.settings is None or self.asking != "yes":
            return []
        return asyncio.run(reach(self.set_up, proxies_of(self.settings), self.settings.ca_file))

    @cached_property
    def pongs(self) -> list[Pong]:
        """What the providers answered to which there is a way."""
        there = {name for each in self.reached if each.failed is None for name in each.providers}
        return asyncio.run(self._ping([each for each in self.set_up if each.row.name in there])) if there else []

    async def _ping(self, asked: list[ProviderSettings]) -> list[Pong]:
        assert self.settings is not None
        connector = make_connector(self.settings)
        try:
            return await ping(connector, asked)
        finally:
            await connector.close()

    @cached_property
    def last_entry(self) -> Entry | None:
        """The ledger's last one. Raises `LedgerError`."""
        return next(iter(last_entries(self.ledger, 1)), None)

    @property
    def ledger(self) -> Path:
        """The ledger's file."""
        return self.home / "ledger.db"
