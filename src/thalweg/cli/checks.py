"""What `thalweg doctor` looks at: one small function for each thing, in a table. Nothing here prints.

A function returns what it found, as codes and values; the sentences stand among the words, under `doctor.CODE`, and
what to do under `doctor.CODE_do`. Nothing calls a provider but `ping`, and that only when it is asked for.
"""

from __future__ import annotations

import asyncio
import errno
import os
import platform
import re
import resource
import shutil
import socket
import sqlite3
import ssl
import sys
import time
from collections.abc import Callable, Iterator
from functools import cached_property
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Literal

import httpx2
import msgspec

from thalweg import __version__
from thalweg.cli.connection import Gateway, why_not
from thalweg.cli.layout import short_path
from thalweg.cli.told import told
from thalweg.cli.visible import readable
from thalweg.config import ConfigError, ProviderSettings, Settings, load, proxy_variables
from thalweg.config import home as home_of
from thalweg.ledger.entry import Entry, LedgerError
from thalweg.ledger.lock import RunningServer, running_server
from thalweg.ledger.report import last_entries
from thalweg.ledger.store import SOUND_SQLITE, sqlite_version_warning
from thalweg.server.app import make_connector
from thalweg.server.engines import Found, find_engines
from thalweg.server.ping import Pong, ping

Status = Literal["ok", "note", "warn", "fail"]
"""`note` is neither good nor bad."""

LEAST_DISK = 1024**3
NO_DISK = 64 * 1024**2
LEAST_FILES = 4096
"""A stream takes two: its client's connection and its upstream's."""
_FIRST_YEAR, _LAST_YEAR = 2025, 2100
_FUTURE_MS = 5 * 60 * 1000
_ANSWER_S = 2.0
_MIB, _GIB = 1024**2, 1024**3


class Finding(msgspec.Struct, frozen=True):
    """One thing that was found."""

    status: Status
    code: str
    """Names the sentence."""
    values: dict[str, str | int] = {}
    """For the sentence's placeholders, and its advice's."""


class Machine:
    """What the checks look at. What takes time is looked at once, and only when a check wants it."""

    def __init__(self, *, home: Path | None, ping: bool) -> None:
        """Raises `ConfigError` when no home can be found."""
        self.home = home_of(home)
        self.pings = ping
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
    def pongs(self) -> list[Pong]:
        """What the providers that are set up answered."""
        return asyncio.run(self._ping())

    async def _ping(self) -> list[Pong]:
        assert self.settings is not None
        connector = make_connector(self.settings)
        try:
            return await ping(connector, self.set_up)
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


def python(_: Machine) -> Iterator[Finding]:
    """The versions that bug reports want."""
    system = f"{platform.system()} {platform.release()}"
    yield Finding("ok", "python", {"thalweg": __version__, "python": platform.python_version(), "system": system})


def packages(_: Machine) -> Iterator[Finding]:
    """The packages that this one rests on."""
    found, missing = [], []
    for name in _requirements():
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            missing.append(name)
    yield Finding("ok", "packages", {"packages": ", ".join(found)})
    if missing:
        yield Finding("fail", "packages_missing", {"packages": ", ".join(missing)})


def _requirements() -> list[str]:
    try:
        wanted = requires("thalweg") or []
    except PackageNotFoundError:
        return []
    found = (re.match(r"[\w.-]+", wish) for wish in wanted if "extra ==" not in wish)
    return sorted(match[0] for match in found if match)


def sqlite(_: Machine) -> Iterator[Finding]:
    """SQLite, which the ledger rests on."""
    old = sqlite_version_warning() is not None
    values: dict[str, str | int] = {"version": sqlite3.sqlite_version, "sound": ".".join(map(str, SOUND_SQLITE))}
    yield Finding("warn" if old else "ok", "sqlite_old" if old else "sqlite", values)


def settings(machine: Machine) -> Iterator[Finding]:
    """Whether the settings can be read."""
    if machine.settings is None:
        yield Finding("fail", "settings_wrong", {"why": machine.wrong_setting or ""})
        return
    yield Finding("ok", "settings")
    for name in machine.settings.ignored:
        yield Finding("warn", "settings_ignored", {"name": name})
    if not machine.settings.api_key:
        yield Finding("note", "key_none")
    if machine.settings.simulate:
        yield Finding("note", "settings_simulate")


def home(machine: Machine) -> Iterator[Finding]:
    """Whether the ledger's folder can be written, and has room."""
    folder = next(each for each in (machine.home, *machine.home.parents) if each.exists())
    values: dict[str, str | int] = {
        "home": readable(short_path(machine.home)),
        "folder": readable(short_path(folder)),
        "path": readable(str(machine.home)),
    }
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        yield Finding("fail", "home_closed", values)
        return
    free = shutil.disk_usage(folder).free
    values["free"] = f"{free / _GIB:,.1f} GiB" if free >= _GIB else f"{free / _MIB:,.0f} MiB"
    if free < LEAST_DISK:
        yield Finding("fail" if free < NO_DISK else "warn", "home_full", values)
    else:
        yield Finding("ok", "home" if folder == machine.home else "home_new", values)


def ledger(machine: Machine) -> Iterator[Finding]:
    """Whether the ledger can be read."""
    if not machine.ledger.exists():
        yield Finding("note", "ledger_none")
        return
    try:
        entry = machine.last_entry
    except LedgerError as error:
        yield Finding("fail", "ledger_broken", {"why": told(error)})
        return
    size = sum(file.stat().st_size for file in machine.home.glob("ledger.db*"))
    last = time.strftime("%Y-%m-%d %H:%M", time.localtime(entry.opened_ms / 1000)) if entry else "–"
    yield Finding("ok", "ledger", {"size": f"{size / _MIB:,.1f} MiB", "last": last})


def files(_: Machine) -> Iterator[Finding]:
    """How many files and connections this user may have open."""
    soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        yield Finding("ok", "files_unlimited")
    else:
        few = soft < LEAST_FILES
        yield Finding("warn" if few else "ok", "files_few" if few else "files", {"limit": soft, "streams": soft // 2})


def server(machine: Machine) -> Iterator[Finding]:
    """Whether a server runs on this home, and takes requests."""
    running = machine.server
    if running is None:
        yield Finding("note", "server_none")
        return
    values: dict[str, str | int] = {"pid": running.pid, "url": running.address or "–"}
    try:
        answered = asyncio.run(_readiness(running.address)) if running.address else 0
    except httpx2.HTTPError as error:
        yield Finding("fail", "server_silent", values | {"why": why_not(error)})
        return
    status, code = _OF_READINESS.get(answered, ("fail", "server_odd"))
    yield Finding(status, code, values | {"status": answered})


_OF_READINESS: dict[int, tuple[Status, str]] = {
    0: ("warn", "server_starting"),
    200: ("ok", "server"),
    503: ("warn", "server_ending"),
}


async def _readiness(url: str) -> int:
    async with Gateway(url=url).client() as client:
        return (await client.get(f"{url}/readyz", timeout=_ANSWER_S)).status_code


def port(machine: Machine) -> Iterator[Finding]:
    """Whether the port that a server would take is free, or ours already."""
    if machine.settings is None or not machine.settings.port:
        return
    host, number = machine.settings.host, machine.settings.port
    values: dict[str, str | int] = {"host": host, "port": number}
    ours = machine.server is not None and (machine.server.address or "").endswith(f":{number}")
    why = _why_taken(host, number)
    if why is None:
        yield Finding("ok", "port", values)
    elif ours:
        yield Finding("ok", "port_ours", values)
    else:
        code = "port_taken" if why == errno.EADDRINUSE else "port_refused"
        yield Finding("fail", code, values | {"why": os.strerror(why)})


def _why_taken(host: str, number: int) -> int | None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, number))
            probe.listen()
        except socket.gaierror:
            return errno.EADDRNOTAVAIL
        except OSError as error:
            return error.errno
    return None


def providers(machine: Machine) -> Iterator[Finding]:
    """Which providers are set up, by which variable, and which could be."""
    set_up, told = machine.set_up, set[str]()
    for each in machine.providers:
        variable = each.row.base_url_variable
        if each in set_up:
            name = each.key_name if each.credential else variable
            yield Finding("ok", "provider", {"title": each.row.title, "name": each.row.name, "variable": name})
        if each.placed and variable not in told:
            told.add(variable)
            yield Finding("note", "provider_placed", _place(each))
    missing = dict.fromkeys(
        each.row.key_variable for each in machine.providers if each.row.needs_key and not each.ready
    )
    if missing:
        yield Finding("note", "providers_more", {"variables": ", ".join(missing)})


def _place(provider: ProviderSettings) -> dict[str, str | int]:
    url = f"{provider.origin}{provider.base_path.decode()}"
    return {"title": provider.row.title, "url": url, "variable": provider.row.base_url_variable}


def engines(machine: Machine) -> Iterator[Finding]:
    """Which engines run on this machine."""
    for name, models in machine.engines.items():
        yield Finding(
            "ok" if models else "warn",
            "engine" if models else "engine_empty",
            {"title": _title(machine, name), "count": len(models), "models": ", ".join(models[:3])},
        )
    if machine.engines or machine.settings is None:
        return
    if machine.settings.find_engines:
        own = (each for each in machine.providers if each.row.local and not each.is_self)
        places = ", ".join(f"{each.row.title} {each.origin.port}" for each in own)
        yield Finding("note", "engines_none", {"places": places})
    else:
        yield Finding("note", "engines_off")


def _title(machine: Machine, name: str) -> str:
    return next(each.row.title for each in machine.providers if each.row.name == name)


def proxies(machine: Machine) -> Iterator[Finding]:
    """Whether proxies would be used, and whether some are set that are not."""
    if machine.settings is None:
        return
    there = proxy_variables()
    if machine.settings.proxy_environment:
        yield Finding("ok", "proxies_used", {"variables": ", ".join(there) or "THALWEG_PROXY"})
    elif any(not name.lower().startswith("no_") for name in there):
        yield Finding("note", "proxies_unused", {"variables": ", ".join(there)})
    else:
        yield Finding("ok", "proxies_none")


def certificates(machine: Machine) -> Iterator[Finding]:
    """Whether there is anything to verify providers by."""
    paths = ssl.get_default_verify_paths()
    own = machine.settings.ca_file if machine.settings else None
    found = [path for path in (own, paths.cafile, paths.capath) if path]
    if found:
        yield Finding("ok", "certificates", {"paths": ", ".join(found)})
    else:
        yield Finding("warn", "certificates_none")


def clock(machine: Machine) -> Iterator[Finding]:
    """Whether the wall clock can be right."""
    now_ms = time.time_ns() // 1_000_000
    values: dict[str, str | int] = {"now": time.strftime("%Y-%m-%d %H:%M:%S %z")}
    try:
        last_ms = machine.last_entry.opened_ms if machine.ledger.exists() and machine.last_entry else 0
    except LedgerError:
        last_ms = 0
    if not _FIRST_YEAR <= time.gmtime().tm_year < _LAST_YEAR:
        yield Finding("fail", "clock_wrong", values)
    elif last_ms > now_ms + _FUTURE_MS:
        yield Finding("warn", "clock_back", values)
    else:
        yield Finding("ok", "clock", values)


def terminal(_: Machine) -> Iterator[Finding]:
    """Whether what is printed can be read."""
    encoding = (sys.stdout.encoding or "?").upper()
    good = "UTF" in encoding
    yield Finding("ok" if good else "warn", "terminal" if good else "terminal_poor", {"encoding": encoding})


def pings(machine: Machine) -> Iterator[Finding]:
    """Whether the providers that are set up can be reached, and take their keys."""
    if not machine.pings or machine.settings is None:
        return
    settled = {each.row.name: each for each in machine.providers}
    for pong in machine.pongs:
        yield _judge(pong, settled[pong.provider])
    if not machine.pongs:
        yield Finding("note", "ping_nobody")


def _judge(pong: Pong, provider: ProviderSettings) -> Finding:
    values: dict[str, str | int] = {
        "title": provider.row.title,
        "status": pong.status or 0,
        "variable": provider.key_name or provider.row.base_url_variable,
        "base_url": provider.row.base_url_variable,
        "count": pong.models or 0,
        "time": round(pong.took_ms),
        "why": pong.error or "",
    }
    if pong.status is None:
        return Finding("fail", "ping_unreachable", values)
    if pong.refuses_key:
        return Finding("fail", "ping_refused", values)
    if pong.status == 200:
        return Finding("ok", "ping", values) if pong.models is not None else Finding("warn", "ping_odd", values)
    status, code = _OF_STATUS.get(pong.status, ("warn", "ping_status"))
    return Finding(status, code, values)


_OF_STATUS: dict[int, tuple[Status, str]] = {
    401: ("fail", "ping_refused"),
    402: ("warn", "ping_unpaid"),
    403: ("fail", "ping_refused"),
    404: ("warn", "ping_no_list"),
    429: ("ok", "ping_busy"),
}


class Check(msgspec.Struct, frozen=True):
    """One row of the table."""

    name: str
    run: Callable[[Machine], Iterator[Finding]]
    slow: bool = False
    """Whether somebody who waits wants to know for what."""


CHECKS: tuple[Check, ...] = (
    Check("python", python),
    Check("packages", packages),
    Check("sqlite", sqlite),
    Check("settings", settings),
    Check("home", home),
    Check("ledger", ledger),
    Check("files", files),
    Check("server", server, slow=True),
    Check("port", port),
    Check("providers", providers),
    Check("engines", engines, slow=True),
    Check("proxies", proxies),
    Check("certificates", certificates),
    Check("clock", clock),
    Check("terminal", terminal),
    Check("ping", pings, slow=True),
)
"""In the order in which they are shown."""
