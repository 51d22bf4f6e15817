"""What holds, setting by setting, and where each is from. No secret is in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import asdict

from thalweg.canon.policy import Leave
from thalweg.config.groups import Row, Table
from thalweg.config.kinds import key_of, shown
from thalweg.config.load import settle
from thalweg.config.settings import ProviderSettings, Settings
from thalweg.config.sources import Environment, Sources, gather
from thalweg.config.table import FILE

SET = "set"
"""What stands for a secret that there is."""
_MIB = 1024 * 1024


class Effective(msgspec.Struct, frozen=True):
    """One setting as it holds."""

    key: str
    value: Any
    """`None` where nothing is set."""
    origin: str
    """`flag --port`, `environment THALWEG_PORT`, `.env:3`, `thalweg.toml:4`, or `default`."""


class Overview(msgspec.Struct, frozen=True):
    """Everything that holds."""

    file: str | None
    """The file, where there is one."""
    settings: Settings
    rows: tuple[Effective, ...]


def overview(
    environment: Mapping[str, str] | None = None,
    *,
    config: Path | None = None,
    folder: Path | None = None,
    **flags: object,
) -> Overview:
    """What `load` makes of the same, told setting by setting. Raises `ConfigError`."""
    sources = gather(environment, config=config, folder=folder)
    settings = settle(sources, **flags)
    file = shown(sources.file.path) if sources.file is not None else None
    given = {name for name, value in flags.items() if value is not None}
    return Overview(file, settings, tuple(_rows(_Origins(sources, given), settings)))


class _Origins:
    """Finds where a setting is from."""

    def __init__(self, sources: Sources, flags: set[str]) -> None:
        self.environment: Environment = sources.environment
        self._flags = flags
        self._lines = sources.file.lines if sources.file is not None else {}
        self._name = shown(sources.file.path) if sources.file is not None else ""

    def of(self, key: str, *variables: str) -> str:
        """The origin of a setting with a key in the file, and variables that say the same."""
        flag = key.removeprefix("server.")
        if flag in self._flags:
            return f"flag --{flag}"
        for variable in variables:
            if self.environment.get(variable, "").strip():
                return self.environment.place(variable)
        return f"{self._name}:{self._lines[key]}" if key in self._lines else "default"


def _rows(origins: _Origins, settings: Settings) -> Iterator[Effective]:
    values = _values(settings)
    for section in FILE.rows:
        if isinstance(section.kind, Table):
            for row in section.kind.rows:
                yield _row(row, f"{section.name}.{row.name}", values, origins)
    yield Effective("leave", _leave(settings.leave), origins.of("leave"))
    for provider in settings.main_providers:
        yield from _provider(provider, origins)
    for alias in settings.aliases.values():
        key = key_of(("aliases", alias.name))
        yield Effective(key, [route.model for route in alias.routes], origins.of(key))
    for name, price in settings.prices.items():
        key = key_of(("prices", name))
        amounts = {field: _plain(each) for field, each in asdict(price).items() if each is not None}
        yield Effective(key, amounts, origins.of(key))


def _row(row: Row, key: str, values: Mapping[str, Any], origins: _Origins) -> Effective:
    variables = [row.variable] if row.variable else []
    if key == "server.api_key" and values[key] and not origins.environment.get(row.variable, "").strip():
        variables = [f"{row.variable}_FILE"]
    value = values[key]
    if key == "server.api_key_file":
        value = origins.environment.get(row.variable, "").strip() or None
    return Effective(key, value, origins.of(key, *variables))


def _values(settings: Settings) -> dict[str, Any]:
    """The value of every setting that has one place."""
    limits, buffers, recording = settings.limits, settings.buffers, settings.recording
    server = {
        "host": settings.host,
        "port": settings.port,
        "api_key": SET if settings.api_key else None,
        "api_key_file": None,
        "home": str(settings.home),
        "log": settings.log,
        "simulate": settings.simulate,
        "find_engines": settings.find_engines,
        "fetch_media": settings.fetch_media,
        "fetch_models": settings.fetch_models,
        "proxy": SET if settings.proxy_environment else None,
        "ca_file": settings.ca_file,
        "drain_s": limits.drain_s,
    }
    sections: dict[str, dict[str, Any]] = {
        "server": server,
        "limits": {
            "body_mb": limits.body_bytes / _MIB,
            "body_timeout_s": limits.body_timeout_s,
            "header_kb": limits.header_bytes // 1024,
            "header_fields": limits.header_fields,
            "header_timeout_s": limits.header_timeout_s,
        },
        "buffers": {
            "frame_mb": buffers.frame_bytes / _MIB,
            "answer_mb": buffers.answer_bytes / _MIB,
            "total_mb": buffers.total_bytes / _MIB,
        },
        "recording": {
            "folder": str(recording.folder) if recording.folder is not None else None,
            "most_mb": recording.most_bytes / _MIB,
            "replay": str(settings.replay_folder),
        },
        "timeouts": asdict(settings.timeouts),
        "attempts": asdict(settings.attempts),
    }
    return {f"{name}.{key}": _plain(value) for name, section in sections.items() for key, value in section.items()}


def _provider(provider: ProviderSettings, origins: _Origins) -> Iterator[Effective]:
    """One that somebody has set up, or of which the file speaks."""
    row, key = provider.row, f"providers.{provider.row.name}"
    spoken = origins.of(key) != "default"
    if provider.placed or spoken:
        address = f"{provider.origin}{provider.base_path.decode()}"
        yield Effective(f"{key}.base_url", address, origins.of(f"{key}.base_url", row.base_url_variable))
    if provider.credential is not None:
        names = [each for name in row.key_variables for each in (f"{name}_FILE", name)]
        yield Effective(f"{key}.api_key", SET, origins.of(f"{key}.api_key", *names))
    elif spoken and row.needs_key:
        yield Effective(f"{key}.api_key", None, origins.of(f"{key}.api_key"))
    if provider.more_keys:
        more = len(provider.more_keys) + (provider.credential is not None)
        yield Effective(f"{key}.api_keys", f"{more} {SET}", origins.of(f"{key}.api_keys"))
    for field, seconds in provider.timeouts.said().items():
        yield Effective(f"{key}.timeouts.{field}", _plain(seconds), origins.of(f"{key}.timeouts.{field}"))
    if provider.leave is not None:
        yield Effective(f"{key}.leave", _leave(provider.leave), origins.of(f"{key}.leave"))
    if origins.of(f"{key}.profile") != "default":
        yield Effective(f"{key}.profile", "others", origins.of(f"{key}.profile"))


def _leave(leave: Leave) -> str:
    """As it may be written."""
    bounds = [f"{leave.seconds:g}s"] if leave.seconds else []
    bounds += [f"{leave.tokens} tokens"] if leave.tokens else []
    return " ".join([leave.kind, *bounds])


def _plain(value: Any) -> Any:
    """Numbers without a fraction that is none."""
    if isinstance(value, Decimal):
        value = float(value)
    return int(value) if isinstance(value, float) and value.is_integer() else value
