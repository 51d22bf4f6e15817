"""Settings that change while the server runs: read again on SIGHUP, and when one of their files has changed.

Streams that are open are not touched: each has what it needs. What is wrong is told, and what held goes on to hold.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Protocol

from msgspec.structs import replace

from thalweg.canon.scrub import blame
from thalweg.config import ConfigError, FileError, Settings
from thalweg.server.house import House
from thalweg.server.log import secrets_of

LOOK_S = 2.0
"""How often the files are looked at."""
_log = logging.getLogger("thalweg.server")

_AT_START = {
    "host": "server.host",
    "port": "server.port",
    "home": "server.home",
    "log": "server.log",
    "fetch_media": "server.fetch_media",
    "fetch_models": "server.fetch_models",
    "proxy_environment": "server.proxy",
    "ca_file": "server.ca_file",
    "buffers": "buffers",
    "recording": "recording",
}
"""What holds from a start to the end, by its field, as the file names it; and of the limits all but the drain."""
_UNTOLD = frozenset({"providers", "ignored", "warnings", "files"})


class Again(Protocol):
    """Reads the settings anew, as the start did. What is given stands in place of a flag. Raises `ConfigError`."""

    def __call__(self, **flags: Any) -> Settings:
        """The settings as they are now."""
        ...


class Stamp(tuple[int, ...]):
    """What of a file is another thing once it was written or replaced."""

    __slots__ = ()

    @classmethod
    def of(cls, path: Path) -> Stamp | None:
        """The stamp of a file; `None` where there is none."""
        try:
            found = path.stat()
        except OSError:
            return None
        return cls((found.st_mtime_ns, found.st_ino, found.st_size))


class Reloader:
    """Watches the files of the settings, and lets new ones hold. One task runs it for as long as the server serves."""

    def __init__(self, house: House, again: Again, *, look_s: float = LOOK_S) -> None:
        self._house = house
        self._again = again
        self._look_s = look_s
        self._asked = asyncio.Event()
        self._stamps: dict[Path, Stamp] = {}
        self._changed()

    def ask(self) -> None:
        """Have the settings read again, whether a file has changed or not."""
        self._asked.set()

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._look_s):
                    await self._asked.wait()
            asked, changed = self._asked.is_set(), self._changed()
            self._asked.clear()
            if asked or changed:
                await self._read()

    def _changed(self) -> bool:
        """Whether a file is another one than at the last look. One that has gone may be on its way back."""
        now = {path: stamp for path in self._house.settings.files if (stamp := Stamp.of(path)) is not None}
        changed = any(self._stamps.get(path, stamp) != stamp for path, stamp in now.items())
        self._stamps |= now
        return changed

    async def _read(self) -> None:
        held = self._house.settings
        try:
            # Not on the loop: it reads files, and looks into certificates.
            wanted = await asyncio.to_thread(self._again)
            # The same where we listen now: what is refused of a key or an address depends on that.
            new = await asyncio.to_thread(self._again, host=held.host, port=held.port, home=held.home)
        except ConfigError as error:
            for said in error.problems if isinstance(error, FileError) else (error,):
                _log.error("the settings stay as they were: %s", said)
            return
        except Exception as error:  # noqa: BLE001  # the edge of a task: a bug in reading may not end the server
            _log.error("the settings stay as they were: reading them failed: %s", blame(error))
            return
        self._take(held, wanted, new)

    def _take(self, held: Settings, wanted: Settings, new: Settings) -> None:
        kept = {field: getattr(held, field) for field in _AT_START}
        new = replace(new, **kept, limits=replace(held.limits, drain_s=new.limits.drain_s))
        self._house.log.hide(secrets_of(new))
        self._house.current.take(new)
        self._house.log.say(
            "info", f"settings read again; other ones now: {', '.join(_differing(held, new)) or 'none'}"
        )
        for warning in new.warnings:
            _log.warning("%s", warning)
        for name in _not_now(held, wanted):
            _log.warning("%s is another one now and holds from the next start on", name)


def _differing(held: Settings, new: Settings) -> Iterator[str]:
    """What is another thing in the new settings. Names only."""
    for name in sorted(held.providers.keys() | new.providers.keys()):
        if held.providers.get(name) != new.providers.get(name):
            yield f"providers.{name}"
    for field in held.__struct_fields__:
        if field not in _UNTOLD and getattr(held, field) != getattr(new, field):
            yield field


def _not_now(held: Settings, wanted: Settings) -> Iterator[str]:
    """What is wanted otherwise and cannot change while the server runs."""
    yield from (name for field, name in _AT_START.items() if getattr(held, field) != getattr(wanted, field))
    if replace(wanted.limits, drain_s=held.limits.drain_s) != held.limits:
        yield "limits"


@contextlib.asynccontextmanager
async def watching(reloader: Reloader | None) -> AsyncIterator[None]:
    """Watch for as long as the body runs."""
    if reloader is None:
        yield
        return
    task = asyncio.get_running_loop().create_task(reloader.run())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
