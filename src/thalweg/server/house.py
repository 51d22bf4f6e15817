"""What every endpoint may use, put together once at start."""

from __future__ import annotations

import random
import secrets
import time
from collections.abc import Mapping

import msgspec

from thalweg.config import Settings
from thalweg.dialects.base import Dialect
from thalweg.ledger.entry import Store
from thalweg.relay.attempts import Health
from thalweg.relay.budget import Budget
from thalweg.relay.turns import TurnStore
from thalweg.server.auth import Doorkeeper
from thalweg.server.catalogue import Catalogue
from thalweg.server.engines import Engines
from thalweg.server.live import LiveStreams
from thalweg.server.log import Log
from thalweg.server.media import MediaFiller
from thalweg.server.metrics import Metrics
from thalweg.server.models import Directory
from thalweg.upstream.base import Connector


class Current:
    """What holds now, and may be another thing for the next request: the settings, and what is made of them.

    All of it changes in one step between two turns of the loop. A request under way keeps what it has taken.
    """

    def __init__(self, settings: Settings, engines: Engines, catalogue: Catalogue) -> None:
        self._engines = engines
        self._catalogue = catalogue
        self.take(settings)

    def take(self, settings: Settings) -> None:
        """Let other settings hold from now on."""
        doorkeeper, directory = Doorkeeper(settings), Directory(settings, self._engines, self._catalogue)
        self._engines.use(settings)
        self._catalogue.use(settings)
        self.settings, self.doorkeeper, self.directory = settings, doorkeeper, directory


class House(msgspec.Struct, frozen=True, kw_only=True):
    """The gateway's parts."""

    current: Current
    dialects: Mapping[str, Dialect]
    engines: Engines
    catalogue: Catalogue
    connector: Connector
    simulator: Connector
    ledger: Store
    live: LiveStreams
    budget: Budget
    turns: TurnStore
    media: MediaFiller
    metrics: Metrics
    log: Log
    health: Health
    """What has failed of late."""
    chance: random.Random
    """Draws spread load; nothing about them is secret."""

    @property
    def settings(self) -> Settings:
        """The settings, as they are now."""
        return self.current.settings

    @property
    def doorkeeper(self) -> Doorkeeper:
        """Who checks callers now."""
        return self.current.doorkeeper

    @property
    def directory(self) -> Directory:
        """What names mean now."""
        return self.current.directory


class IdSource:
    """Makes names of a time and 128 random bits.

    The time comes first, because the ledger's index grows at its end for about half of what it costs in the middle.
    Random bytes are asked for many at once: one ask costs more than the rest of an id.
    """

    def __init__(self) -> None:
        self._pool = b""
        self._used = 0

    def __call__(self) -> str:
        """A new name."""
        if self._used == len(self._pool):
            self._pool, self._used = secrets.token_bytes(4096), 0
        begin, self._used = self._used, self._used + 16
        return f"{time.time_ns() // 1_000_000:012x}{self._pool[begin : self._used].hex()}"


def unix_ms() -> int:
    """The wall clock, for stamps only; durations come from the monotonic one."""
    return time.time_ns() // 1_000_000


new_stream_id = IdSource()
