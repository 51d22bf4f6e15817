"""Settings as one typed value. The only reader of the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from thalweg.canon.origin import Credential, Origin
from thalweg.profiles.base import Provider
from thalweg.profiles.providers import PROVIDERS


class ConfigError(Exception):
    """A setting is wrong. The message says which, what was expected, and how to mend it."""


class ProviderSettings(msgspec.Struct, frozen=True, kw_only=True):
    """One provider as configured: its row, where it is, and its key if there is one."""

    row: Provider
    origin: Origin
    base_path: bytes
    credential: Credential | None
    """`None` without a key: the provider's models answer 404 and name the variable to set."""

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        # Rich looks into every struct by itself and would find what a credential's own text hides.
        return [("row", self.row.name), ("origin", str(self.origin)), ("credential", str(self.credential))]


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What a client may send, in bytes, fields and seconds."""

    header_bytes: int = 32 * 1024
    header_fields: int = 100
    header_timeout_s: float = 10.0
    body_bytes: int = 20 * 1024 * 1024
    body_timeout_s: float = 30.0
    drain_s: float = 30.0
    """How long answers under way may go on after the first signal to stop."""


class Timeouts(msgspec.Struct, frozen=True, kw_only=True):
    """How long an upstream may take, in seconds. Long, because deep thinking is slow."""

    connect_s: float = 5.0
    first_byte_s: float = 600.0
    """From the request being sent to the first byte of the answer."""
    gap_s: float = 300.0
    """Between two reads of an answer."""
    whole_s: float = 3600.0


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that can be set, with its default."""

    host: str = "127.0.0.1"
    port: int = 8080
    api_key: str | None = None
    """The gateway's own key. Required on any address that is not loopback."""
    home: Path
    """Where the ledger lives."""
    providers: dict[str, ProviderSettings] = {}
    simulate: bool = False
    """Whether every name is answered by the simulator."""
    limits: Limits = Limits()
    timeouts: Timeouts = Timeouts()
    proxy_environment: dict[str, str] = {}
    """Proxy variables, when proxies are taken from the environment; empty otherwise."""
    ca_file: str | None = None
    """Certificates to trust for upstreams beside the system's."""

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach the listener."""
        return self.host in LOOPBACK_HOSTS

    def __repr__(self) -> str:
        return f"Settings({', '.join(f'{name}={value!r}' for name, value in self.__rich_repr__())})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [(name, getattr(self, name)) for name in self.__struct_fields__ if name not in _HIDDEN]


_HIDDEN = frozenset({"api_key", "proxy_environment"})
"""Settings that are never shown: a proxy's address may hold its password."""
LOOPBACK_HOSTS = frozenset({"127.0.0.1", "::1", "localhost"})
_LONGEST_TIMEOUT_S = 86_400.0
_PROXY_VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


def load(environment: Mapping[str, str] | None = None, **flags: object) -> Settings:
    """The settings: a flag that is not `None` before the environment, the environment before the default.

    Raises `ConfigError` for a value that cannot be.
    """
    env = os.environ if environment is None else environment
    given = {name: value for name, value in flags.items() if value is not None}
    settings = Settings(
        host=str(given.get("host") or env.get("THALWEG_HOST") or "127.0.0.1"),
        port=_port(given.get("port", env.get("THALWEG_PORT", "").strip() or "8080")),
        api_key=_api_key(env),
        home=_home(given.get("home"), env),
        providers={row.name: _provider(row, env) for row in PROVIDERS},
        simulate=bool(given.get("simulate", _truth("THALWEG_SIMULATE", env))),
        timeouts=_timeouts(env),
        proxy_environment=_proxies(env),
        limits=Limits(drain_s=_drain(env)),
        ca_file=_ca_file(env),
    )
    _refuse_open_door(settings)
    _refuse_loop(settings)
    return settings


def _port(value: object) -> int:
    text = str(value)
    port = int(text) if text.isascii() and text.isdigit() and len(text) <= 5 else -1
    if not 0 <= port <= 65535:
        raise ConfigError(f"THALWEG_PORT (or --port) must be a number from 0 to 65535, not {value!r}.")
    return port


def _api_key(env: Mapping[str, str]) -> str | None:
    key = env.get("THALWEG_API_KEY", "").strip()
    if file := env.get("THALWEG_API_KEY_FILE"):
        try:
            key = Path(file).read_text(encoding="utf-8").strip()
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is no text"
            raise ConfigError(f"THALWEG_API_KEY_FILE cannot be read: {why}.") from error
        if not key:
            raise ConfigError("THALWEG_API_KEY_FILE names an empty file; it must hold the key.")
    if key and (len(key) < 8 or not key.isascii() or not key.isprintable() or " " in key):
        raise ConfigError("THALWEG_API_KEY (or its file) must be at least 8 printable ASCII characters without spaces.")
    return key or None


def _home(flag: object, env: Mapping[str, str]) -> Path:
    try:
        if flag or env.get("THALWEG_HOME"):
            return Path(str(flag or env["THALWEG_HOME"])).expanduser()
        data = env.get("XDG_DATA_HOME")
        return (Path(data) if data else Path.home() / ".local" / "share") / "thalweg"
    except RuntimeError as error:
        raise ConfigError("THALWEG_HOME (or --home) must name a folder: whose '~' is meant is not known.") from error


def _truth(name: str, env: Mapping[str, str]) -> bool:
    value = env.get(name, "").strip().lower()
    if value not in ("", "0", "1", "false", "true", "no", "yes"):
        raise ConfigError(f"{name} must be 0 or 1, not {value!r}.")
    return value in ("1", "true", "yes")


def _timeouts(env: Mapping[str, str]) -> Timeouts:
    """`THALWEG_TIMEOUT_CONNECT_S` and its like, one for each field."""
    names = {field: f"THALWEG_TIMEOUT_{field.upper()}" for field in Timeouts.__struct_fields__}
    given = {field: _seconds(name, env[name]) for field, name in names.items() if env.get(name, "").strip()}
    return Timeouts(**given)


def _seconds(name: str, text: str, *, or_none: bool = False) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not (0 < seconds <= _LONGEST_TIMEOUT_S or (or_none and seconds == 0)):
        least = "0 or more" if or_none else "more than 0"
        raise ConfigError(f"{name} must be a number of seconds, {least} and up to a day, not {text!r}.")
    return seconds


def _drain(env: Mapping[str, str]) -> float:
    """`THALWEG_DRAIN_S`; 0 ends every answer at the first signal."""
    text = env.get("THALWEG_DRAIN_S", "").strip()
    return _seconds("THALWEG_DRAIN_S", text, or_none=True) if text else Limits().drain_s


def _ca_file(env: Mapping[str, str]) -> str | None:
    file = env.get("THALWEG_CA_FILE")
    if file and not Path(file).is_file():
        raise ConfigError(f"THALWEG_CA_FILE names no file: {file!r}.")
    return file or None


def _provider(row: Provider, env: Mapping[str, str]) -> ProviderSettings:
    base = env.get(row.base_url_variable, "").strip() or row.base_url
    origin, path = parse_base_url(base, row.base_url_variable)
    key = env.get(row.key_variable, "").strip()
    if not (key.isascii() and key.isprintable()):
        raise ConfigError(f"{row.key_variable} holds a character that no key has.")
    header = b"Bearer " + key.encode()
    credential = Credential(origin=origin, header=b"authorization", value=header) if key else None
    return ProviderSettings(row=row, origin=origin, base_path=path, credential=credential)


def parse_base_url(url: str, name: str) -> tuple[Origin, bytes]:
    """Origin and path of a base URL. Raises `ConfigError` naming the setting `name`."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ConfigError(f"{name} is not a URL: {error}.") from error
    # What was given is not repeated: it may hold a password, and a key is often pasted into the wrong variable.
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise ConfigError(f"{name} must begin with http:// or https:// and name a host.")
    if "@" in parts.netloc or "?" in url or "#" in url:
        raise ConfigError(f"{name} may hold no user, query or fragment; the key goes into its own variable.")
    host, path = _ascii_host(parts.hostname, name), parts.path.rstrip("/")
    if not (path.isascii() and path.isprintable()) or " " in path:
        raise ConfigError(f"{name} has a path with characters that must be escaped.")
    origin = Origin(parts.scheme, host, port or (443 if parts.scheme == "https" else 80))
    return origin, path.encode("ascii")


def _ascii_host(host: str, name: str) -> str:
    try:
        host = host.encode("idna").decode() if not host.isascii() else host
    except UnicodeError as error:
        raise ConfigError(f"{name} has a host that is no name: {error}.") from error
    if not all(ch.isalnum() or ch in "-._~:" for ch in host):
        raise ConfigError(f"{name} has a host that is no name.")
    return host.lower()


def _proxies(env: Mapping[str, str]) -> dict[str, str]:
    """The proxy variables, only when `THALWEG_PROXY=environment` says to use them, or one proxy for everything."""
    wish = env.get("THALWEG_PROXY", "").strip()
    if not wish:
        return {}
    if wish == "environment":
        return {name: env[key] for name in _PROXY_VARIABLES for key in (name, name.upper()) if env.get(key)}
    if not wish.startswith("http://"):
        raise ConfigError("THALWEG_PROXY must be 'environment' or an http:// URL of a proxy.")
    return {"all_proxy": wish}


def _refuse_open_door(settings: Settings) -> None:
    if settings.is_loopback or settings.api_key:
        return
    raise ConfigError(
        f"Listening on {settings.host} without a key would open the gateway to the network. Make one:\n"
        "    export THALWEG_API_KEY=$(python3 -c 'import secrets; print(\"sk-\" + secrets.token_urlsafe(32))')"
    )


def _refuse_loop(settings: Settings) -> None:
    """A base URL that is our own listener would send every request round and round."""
    own = LOOPBACK_HOSTS | {settings.host, "0.0.0.0", "::"}  # noqa: S104  # compared with, not bound to
    for provider in settings.providers.values():
        if settings.port and provider.origin.port == settings.port and provider.origin.host in own:
            name = provider.row.base_url_variable
            raise ConfigError(f"{name} points at this gateway's own address ({provider.origin}).")
