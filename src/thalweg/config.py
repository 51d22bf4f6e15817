"""Settings as one typed value. The only reader of the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
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


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What a client may send, in bytes, fields and seconds."""

    header_bytes: int = 32 * 1024
    header_fields: int = 100
    header_timeout_s: float = 10.0
    body_bytes: int = 20 * 1024 * 1024
    body_timeout_s: float = 30.0
    drain_s: float = 30.0
    """How long answers under way may go on after the first signal to stop."""


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
    proxy_environment: dict[str, str] = {}
    """Proxy variables, when proxies are taken from the environment; empty otherwise."""
    ca_file: str | None = None
    """Certificates to trust for upstreams beside the system's."""

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach the listener."""
        return self.host in LOOPBACK_HOSTS


LOOPBACK_HOSTS = frozenset({"127.0.0.1", "::1", "localhost"})
_PROXY_VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


def load(environment: Mapping[str, str] | None = None, **flags: object) -> Settings:
    """The settings: a flag that is not `None` before the environment, the environment before the default.

    Raises `ConfigError` for a value that cannot be.
    """
    env = os.environ if environment is None else environment
    given = {name: value for name, value in flags.items() if value is not None}
    settings = Settings(
        host=str(given.get("host") or env.get("THALWEG_HOST") or "127.0.0.1"),
        port=_port(given.get("port", env.get("THALWEG_PORT", "8080"))),
        api_key=_api_key(env),
        home=_home(given.get("home"), env),
        providers={row.name: _provider(row, env) for row in PROVIDERS},
        simulate=bool(given.get("simulate", _truth("THALWEG_SIMULATE", env))),
        proxy_environment=_proxies(env),
        ca_file=env.get("THALWEG_CA_FILE") or None,
    )
    _refuse_open_door(settings)
    _refuse_loop(settings)
    return settings


def _port(value: object) -> int:
    try:
        port = int(str(value))
    except ValueError:
        port = -1
    if not 0 <= port <= 65535:
        raise ConfigError(f"THALWEG_PORT (or --port) must be a number from 0 to 65535, not {value!r}.")
    return port


def _api_key(env: Mapping[str, str]) -> str | None:
    key = env.get("THALWEG_API_KEY", "").strip()
    if file := env.get("THALWEG_API_KEY_FILE"):
        try:
            key = Path(file).read_text(encoding="utf-8").strip()
        except OSError as error:
            raise ConfigError(f"THALWEG_API_KEY_FILE cannot be read: {error.strerror}.") from error
    if key and (len(key) < 8 or not key.isascii() or not key.isprintable() or " " in key):
        raise ConfigError("THALWEG_API_KEY must be at least 8 printable ASCII characters without spaces.")
    return key or None


def _home(flag: object, env: Mapping[str, str]) -> Path:
    if flag or env.get("THALWEG_HOME"):
        return Path(str(flag or env["THALWEG_HOME"])).expanduser()
    data = env.get("XDG_DATA_HOME")
    return (Path(data) if data else Path.home() / ".local" / "share") / "thalweg"


def _truth(name: str, env: Mapping[str, str]) -> bool:
    value = env.get(name, "").strip().lower()
    if value not in ("", "0", "1", "false", "true", "no", "yes"):
        raise ConfigError(f"{name} must be 0 or 1, not {value!r}.")
    return value in ("1", "true", "yes")


def _provider(row: Provider, env: Mapping[str, str]) -> ProviderSettings:
    base = env.get(row.base_url_variable, "").strip() or row.base_url
    origin, path = parse_base_url(base, row.base_url_variable)
    key = env.get(row.key_variable, "").strip()
    if any(ch in key for ch in "\r\n\0") or not key.isascii():
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
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError(f"{name} must begin with http:// or https:// and name a host, not {url!r}.")
    if parts.username is not None or parts.query or parts.fragment:
        raise ConfigError(f"{name} may hold no user, query or fragment; the key goes into its own variable.")
    host = parts.hostname.encode("idna").decode() if not parts.hostname.isascii() else parts.hostname
    origin = Origin(parts.scheme, host.lower(), port or (443 if parts.scheme == "https" else 80))
    return origin, parts.path.rstrip("/").encode("ascii", "strict")


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
    own = LOOPBACK_HOSTS | {settings.host, "0.0.0.0"}  # noqa: S104  # compared with, not bound to
    for provider in settings.providers.values():
        if settings.port and provider.origin.port == settings.port and provider.origin.host in own:
            name = provider.row.base_url_variable
            raise ConfigError(f"{name} points at this gateway's own address ({provider.origin}).")
