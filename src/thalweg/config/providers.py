"""Every provider as it is configured: its row, its address, its keys."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

from msgspec.structs import replace

from thalweg.canon.origin import Credential, Origin
from thalweg.canon.policy import Waits
from thalweg.config.addresses import is_self, parse_base_url
from thalweg.config.errors import ConfigError
from thalweg.config.file import FileProvider
from thalweg.config.settings import Key, ProviderSettings, Settings
from thalweg.config.sources import Environment
from thalweg.config.values import is_key, secret
from thalweg.config.variables import OF_PROVIDER
from thalweg.profiles.base import Profile, Provider
from thalweg.profiles.providers import PROVIDERS, SIMULATORS, compatible

_NO_FILE: Mapping[str, FileProvider] = {}
_NOTHING = FileProvider()
_PLAIN = Profile()
_PROVIDER_NAME = re.compile(r"[A-Z0-9]+(?:_[A-Z0-9]+)*")


def rows(env: Mapping[str, str], said: Mapping[str, FileProvider] = _NO_FILE) -> Iterator[Provider]:
    """Every provider: those that are known, then those that the environment or the file adds. Raises `ConfigError`."""
    for row in PROVIDERS:
        yield said[row.name].profiled(row) if row.name in said else row
    found = [match for name in sorted(env) if (match := OF_PROVIDER.fullmatch(name)) and env[name].strip()]
    for stem in dict.fromkeys(match["name"] for match in found):
        yield _added_row(stem, env, said)


def _added_row(stem: str, env: Mapping[str, str], said: Mapping[str, FileProvider]) -> Provider:
    variable = f"THALWEG_PROVIDER_{stem}_BASE_URL"
    if not _PROVIDER_NAME.fullmatch(stem):
        raise ConfigError(f"{variable} needs a provider's name of A-Z, 0-9 and single underscores in it.")
    name = stem.lower().replace("_", "-")
    known = next((row for row in (*PROVIDERS, *SIMULATORS.values()) if row.name == name), None)
    if known is not None:
        instead = f"set {known.base_url_variable} and {known.key_variable}" if known.key_variable else "choose another"
        raise ConfigError(f"{variable}: {name!r} is the name of {known.title} already; {instead} instead.")
    if name == "replay":
        raise ConfigError(f"{variable}: {name!r} is the name of recordings already; choose another instead.")
    base = env.get(variable, "").strip()
    if not base:
        raise ConfigError(f"The provider {name!r} has a key and no address: set {variable}.")
    key_variable = f"THALWEG_PROVIDER_{stem}_API_KEY"
    row = compatible(name, base_url=base, base_url_variable=variable, key_variable=key_variable)
    return _as_said(row, said[name]) if name in said else row


def _as_said(row: Provider, said: FileProvider) -> Provider:
    """A new provider's row as the file has it: its dialect, with what is usual there."""
    usual = next(each for each in PROVIDERS if each.dialect == said.dialect)
    profile = row.profile if said.dialect == row.dialect else replace(_PLAIN, repairs=usual.profile.repairs)
    row = replace(
        row,
        title=said.title or row.title,
        dialect=said.dialect,
        key_header=said.key_header or usual.key_header,
        needs_key=bool(said.needs_key),
        models_path=usual.models_path,
        profile=profile,
    )
    return said.profiled(row)


def provider(
    row: Provider, env: Environment, settings: Settings, said: Mapping[str, FileProvider] = _NO_FILE
) -> ProviderSettings:
    """One provider's settings. Raises `ConfigError` where a variable leads back to our own listener."""
    key_name, key = _provider_key(row, env)
    given = env.get(row.base_url_variable, "").strip()
    base = given or _beside(row, env) or row.base_url_of_key.get(key_name.removesuffix("_FILE"), row.base_url)
    label = env.label(row.base_url_variable)
    origin, path = parse_base_url(base, label)
    if given and is_self(origin, settings):
        message = (
            f"{label} points at this gateway's own address ({origin}). "
            "Set it to the provider's, or let the gateway listen on another port (--port, THALWEG_PORT)."
        )
        raise ConfigError(message, code="own_address", name=label, origin=origin)
    own, main = said.get(row.name, _NOTHING), said.get(row.sibling_of, _NOTHING)
    of_keys = main if row.sibling_of else own
    if of_keys.key_name and (not key or env.is_from_file(key_name)):
        key_name = of_keys.key_name
    others = (each for each in of_keys.more_keys if each.value not in ("", key))
    return ProviderSettings(
        row=row,
        origin=origin,
        base_path=path,
        credential=_credential(row, origin, key) if key else None,
        key_name=key_name,
        placed=bool(given),
        is_self=is_self(origin, settings),
        more_keys=tuple(Key(each.name, _credential(row, origin, each.value)) for each in others),
        timeouts=Waits(**{**main.timeouts.said(), **own.timeouts.said()}),
        leave=own.leave or main.leave,
    )


def _credential(row: Provider, origin: Origin, key: str) -> Credential:
    header = row.key_header.encode()
    value = (b"Bearer " if header == b"authorization" else b"") + key.encode()
    return Credential(origin=origin, header=header, value=value)


def _beside(row: Provider, env: Mapping[str, str]) -> str:
    """Where a provider's other dialect is once its first one was placed: at the same host, for whom the key is."""
    main = next((each for each in PROVIDERS if each.name == row.sibling_of), None)
    given = env.get(main.base_url_variable, "").strip() if main else ""
    if main is None or not given:
        return ""
    origin, path = parse_base_url(given, main.base_url_variable)
    usual = urlsplit(main.base_url).path.encode()
    before = path.removesuffix(usual).decode() if path.endswith(usual) else ""
    return f"{origin}{before}{urlsplit(row.base_url).path}"


def _provider_key(row: Provider, env: Mapping[str, str]) -> tuple[str, str]:
    """The variable that holds the key, and the key; the first variable and nothing where none is set."""
    for name in row.key_variables:
        key = secret(name, env)
        if not is_key(key):
            raise ConfigError(f"{name} holds a character that no key has.")
        if key:
            return (f"{name}_FILE" if env.get(f"{name}_FILE") else name), key
    return row.key_variable, ""
