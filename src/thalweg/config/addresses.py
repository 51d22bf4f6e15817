"""Addresses: what a base URL is made of, which is our own, and what can be a proxy."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from thalweg.canon.origin import Origin
from thalweg.config.errors import ConfigError
from thalweg.config.settings import LOOPBACK_HOSTS, Settings

_PROXY_VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


def parse_base_url(url: str, name: str) -> tuple[Origin, bytes]:
    """Origin and path of a base URL. Raises `ConfigError` naming the setting `name`."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ConfigError(f"{name} is no URL: its host or its port cannot be.") from None
    # What was given is not repeated, as the parser does: it may hold a password, and a key is often pasted into the
    # wrong variable.
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


def is_self(origin: Origin, settings: Settings) -> bool:
    """Whether that is our own listener: a request there would go round and round."""
    own = LOOPBACK_HOSTS | {settings.host, "0.0.0.0", "::"}  # noqa: S104  # compared with, not bound to
    return bool(settings.port) and origin.port == settings.port and origin.host in own


def proxies_that_are_set(env: Mapping[str, str]) -> tuple[str, ...]:
    """Names of the usual proxy variables that are set, whether they are used or not."""
    return tuple(name for each in _PROXY_VARIABLES for name in (each, each.upper()) if env.get(name))


def proxies(env: Mapping[str, str]) -> dict[str, str]:
    """The proxy variables, only when `THALWEG_PROXY=environment` says to use them, or one proxy for everything."""
    wish = env.get("THALWEG_PROXY", "").strip()
    if not wish:
        return {}
    if wish == "environment":
        found = [(name, key) for name in _PROXY_VARIABLES for key in (name.upper(), name) if env.get(key)]
        for name, key in found:
            if name != "no_proxy" and not is_proxy(env[key]):
                raise ConfigError(f"{key} must be http://HOST:PORT: the gateway speaks to no other kind of proxy.")
        return {name: env[key] for name, key in found}
    if not is_proxy(wish) or not wish.startswith("http://"):
        raise ConfigError("THALWEG_PROXY must be 'environment' or an http:// URL of a proxy.")
    return {"all_proxy": wish}


def is_proxy(value: str) -> bool:
    """Whether that can be a proxy's address, with or without `http://`. It may hold a password."""
    try:
        parts = urlsplit(value if "://" in value else f"http://{value}")
        return parts.scheme == "http" and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
