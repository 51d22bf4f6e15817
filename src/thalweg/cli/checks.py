"""What `thalweg doctor` looks at: one small function for each thing, in a table. Nothing here prints.

A function returns what it found, as codes and values; the sentences stand among the words, under `doctor.CODE`, and
what to do under `doctor.CODE_do`. Nothing calls a provider but `network` and `ping`, and these only once
somebody has agreed.
"""

from __future__ import annotations

import asyncio
import errno
import os
import platform
import re
import socket
import ssl
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version

import httpx2

from thalweg import __version__
from thalweg.cli.connection import Gateway, why_not
from thalweg.cli.hardware import files, loop, memory
from thalweg.cli.machine import Check, Finding, Machine, Status
from thalweg.cli.reached import clock, network, pings
from thalweg.cli.storage import disk, home, ledger, sqlite
from thalweg.config import ProviderSettings, proxy_variables, set_variables

_ANSWER_S = 2.0


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


def settings(machine: Machine) -> Iterator[Finding]:
    """Whether the settings can be read."""
    if machine.settings is None:
        yield Finding("fail", "settings_wrong", {"why": machine.wrong_setting or ""})
        return
    yield Finding("ok", "settings")
    if found := set_variables():
        yield Finding("note", "settings_set", {"names": ", ".join(found)})
    for name in machine.settings.ignored:
        yield Finding("warn", "settings_ignored", {"name": name})
    if not machine.settings.api_key:
        yield Finding("note", "key_none")
    if machine.settings.simulate:
        yield Finding("note", "settings_simulate")


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


def terminal(_: Machine) -> Iterator[Finding]:
    """Whether what is printed can be read."""
    encoding = (sys.stdout.encoding or "?").upper()
    good = "UTF" in encoding
    yield Finding("ok" if good else "warn", "terminal" if good else "terminal_poor", {"encoding": encoding})


CHECKS: tuple[Check[Machine], ...] = (
    Check("python", python),
    Check("packages", packages),
    Check("sqlite", sqlite),
    Check("settings", settings),
    Check("home", home),
    Check("disk", disk, slow=True),
    Check("ledger", ledger, slow=True),
    Check("files", files),
    Check("memory", memory),
    Check("loop", loop),
    Check("server", server, slow=True),
    Check("port", port),
    Check("providers", providers),
    Check("engines", engines, slow=True),
    Check("proxies", proxies),
    Check("certificates", certificates),
    Check("terminal", terminal),
    Check("network", network, slow=True),
    Check("ping", pings, slow=True),
    Check("clock", clock),
)
"""In the order in which they are shown."""
