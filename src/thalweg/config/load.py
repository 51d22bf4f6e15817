"""Settings, put together: a flag before the environment, the environment before `.env`, that before the file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from msgspec.structs import replace

from thalweg.canon.policy import Leave
from thalweg.config import addresses, values
from thalweg.config.errors import ConfigError
from thalweg.config.file import FileSettings
from thalweg.config.providers import provider, rows
from thalweg.config.settings import ClientSettings, Language, Limits, Settings
from thalweg.config.sources import Environment, Sources, environment_of, gather, with_home
from thalweg.config.variables import OF_PROVIDER, VARIABLES, ignored
from thalweg.profiles.providers import PROVIDERS, SIMULATORS

_LANGUAGE_VARIABLES = ("THALWEG_LANG", "LC_ALL", "LC_MESSAGES", "LANG")
_NOTHING = FileSettings(path=Path())


def load(
    environment: Mapping[str, str] | None = None,
    *,
    config: Path | None = None,
    folder: Path | None = None,
    **flags: object,
) -> Settings:
    """The settings: a flag that is not `None` before the environment, that before `.env`, the file, and the default.

    With an `environment` of its own the process' one is not looked at, nor the working directory; `folder` is where
    `.env` and `thalweg.toml` are then. Raises `ConfigError` for a value that cannot be.
    """
    return settle(gather(environment, config=config, folder=folder), **flags)


def settle(sources: Sources, **flags: object) -> Settings:
    """The settings that sources make, under the flags. Raises `ConfigError`."""
    env, file = sources.environment, sources.file or _NOTHING
    given = {name: value for name, value in flags.items() if value is not None}
    settings = Settings(
        host=str(given.get("host") or env.get("THALWEG_HOST") or "127.0.0.1"),
        port=values.port(given.get("port", values.port_variable(env) or "8080")),
        api_key=values.api_key(env),
        home=values.home(given.get("home"), env),
        simulate=bool(given.get("simulate", values.truth("THALWEG_SIMULATE", env))),
        find_engines=values.truth("THALWEG_FIND_ENGINES", env, default=True),
        fetch_media=values.truth("THALWEG_FETCH_MEDIA", env, default=True),
        fetch_models=values.truth("THALWEG_FETCH_MODELS", env, default=True),
        timeouts=values.timeouts(env, file.timeouts),
        attempts=values.attempts(env, file.attempts),
        leave=file.leave or Leave(),
        aliases=dict(file.aliases),
        prices=dict(file.prices),
        proxy_environment=addresses.proxies(env),
        limits=_limits(env, file),
        buffers=values.buffers(env),
        recording=values.recording(given, env),
        log=values.log(env),
        ca_file=_ca_file(env),
        ignored=ignored(env),
        warnings=sources.warnings,
        files=sources.files,
    )
    refuse_open_door(settings)
    found = {row.name: provider(row, env, settings, file.providers) for row in rows(env, file.providers)}
    return replace(settings, providers=found)


def home(flag: Path | None = None, environment: Mapping[str, str] | None = None) -> Path:
    """Where the ledger lives. For commands that only read it: no other setting is looked at.

    Raises `ConfigError`.
    """
    return values.home(flag, with_home(environment))


def proxy_variables(environment: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """Names of the usual proxy variables that are set, whether they are used or not."""
    return addresses.proxies_that_are_set(environment_of(environment, None)[0])


def set_variables(environment: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """Names of the variables that are set and mean something here, ours first. Never a value: some are keys."""
    env, _ = environment_of(environment, None)
    known = (*PROVIDERS, *SIMULATORS.values())
    theirs = {name for row in known for name in (row.base_url_variable, *row.key_variables)}
    theirs |= {f"{name}_FILE" for row in known for name in row.key_variables}
    added = [name for name in sorted(env) if OF_PROVIDER.fullmatch(name)]
    return tuple(name for name in (*VARIABLES, *sorted(theirs), *added) if name and env.get(name))


def load_client(
    environment: Mapping[str, str] | None = None, *, url: str | None = None, home: Path | None = None
) -> ClientSettings:
    """The settings of a command that calls a gateway. What is given comes before `THALWEG_URL` and `THALWEG_HOME`.

    Raises `ConfigError`.
    """
    env = gather(environment).environment
    base = url or env.get("THALWEG_URL", "").strip()
    if base:
        origin, path = addresses.parse_base_url(base, "THALWEG_URL (or --url)")
        # Many have the address with the path that SDKs want.
        base = f"{origin}{path.decode().removesuffix('/v1')}"
    return ClientSettings(
        url=base or None,
        api_key=values.api_key(env),
        model=env.get("THALWEG_MODEL", "").strip() or None,
        ca_file=_ca_file(env),
        home=values.home(home, env),
    )


def language(environment: Mapping[str, str] | None = None) -> Language:
    """The language of the command line: `THALWEG_LANG`, else the locale's variables in the order of POSIX.

    What is not Chinese is English.
    """
    env, _ = environment_of(environment, None)
    wish = next((env[name] for name in _LANGUAGE_VARIABLES if env.get(name)), "")
    return "zh" if wish.lower().startswith("zh") else "en"


def _ca_file(env: Environment) -> str | None:
    return values.ca_file(env, env.label("THALWEG_CA_FILE"))


def _limits(env: Mapping[str, str], file: FileSettings) -> Limits:
    said = dict(file.limits)
    if "header_kb" in said:
        said["header_bytes"] = said.pop("header_kb") * 1024
    if "body_mb" in said:
        said["body_bytes"] = max(int(said.pop("body_mb") * 1024 * 1024), 1)
    return Limits(**said, drain_s=values.drain(env))


def refuse_open_door(settings: Settings) -> None:
    """Raises `ConfigError` for settings that would let anybody in."""
    if settings.is_loopback or settings.api_key:
        return
    raise ConfigError(
        f"Listening on {settings.host} without a key would open the gateway to the network. Make one:\n"
        "    export THALWEG_API_KEY=$(python3 -c 'import secrets; print(\"sk-\" + secrets.token_urlsafe(32))')",
        code="open_door",
        host=settings.host,
    )
