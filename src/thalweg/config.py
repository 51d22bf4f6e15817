"""Settings as one typed value. The only reader of the environment."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, cast, get_args
from urllib.parse import urlsplit

import msgspec
from msgspec.structs import replace

from thalweg.canon.origin import Credential, Origin
from thalweg.canon.policy import Alias, Attempts, Leave, Timeouts, Waits
from thalweg.profiles.base import Provider
from thalweg.profiles.providers import PROVIDERS, SIMULATORS, compatible

Language = Literal["en", "zh"]
LogForm = Literal["auto", "json", "pretty", "off"]


class ConfigError(Exception):
    """A setting is wrong. The message says which, what was expected, and how to mend it.

    The most common ones have a `code`, by which a reader's own language has the same sentence with the same `values`.
    """

    def __init__(self, message: str, *, code: str | None = None, **values: object) -> None:
        super().__init__(message)
        self.code = code
        self.values = values


class Key(msgspec.Struct, frozen=True):
    """One key of a provider, and the name of the setting that holds it."""

    name: str
    credential: Credential


class ProviderSettings(msgspec.Struct, frozen=True, kw_only=True):
    """One provider as configured: its row, where it is, and its key if there is one."""

    row: Provider
    origin: Origin
    base_path: bytes
    credential: Credential | None
    """`None` without a key: the models of a provider that needs one answer 404 and name the variable to set."""
    key_name: str
    """The variable that holds the key, or that is to be set."""
    placed: bool = False
    """Whether a variable gave its address."""
    is_self: bool = False
    """Whether its usual address is this gateway's own, so that nobody else is there."""
    more_keys: tuple[Key, ...] = ()
    """Further keys, taken in turn where the first one is refused or at its limit."""
    timeouts: Waits = Waits()
    leave: Leave | None = None
    """What becomes of its answers when their clients go; `None` for the gateway's rule."""

    @property
    def ready(self) -> bool:
        """Whether it can be asked: it has its key, or needs none."""
        return not self.is_self and (self.credential is not None or not self.row.needs_key)

    @property
    def configured(self) -> bool:
        """Whether somebody has set it up: a key, or the address of a provider that needs no key."""
        return self.ready and (self.credential is not None or self.placed)

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


class Buffers(msgspec.Struct, frozen=True, kw_only=True):
    """How many bytes may be held. The variables count in MiB."""

    frame_bytes: int = 16 * 1024 * 1024
    """One frame of an upstream."""
    answer_bytes: int = 32 * 1024 * 1024
    """One answer that is kept whole or folded."""
    total_bytes: int = 512 * 1024 * 1024
    """Everything together, requests' bodies included."""


class Recording(msgspec.Struct, frozen=True, kw_only=True):
    """What is recorded of upstreams' answers, and where recordings are played from."""

    folder: Path | None = None
    """Where answers are recorded to; `None` records nothing."""
    most_bytes: int = 1024 * 1024 * 1024
    """What the folder may take; nothing more is recorded then. The variable counts in MiB."""
    simulated: bool = False
    """Whether the simulator's answers are recorded, too."""
    replay: Path | None = None
    """Where `replay/NAME` looks; `None` is where answers are recorded to, else a folder of the home."""


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
    find_engines: bool = True
    """Whether engines on this machine are looked for at their usual ports."""
    fetch_media: bool = True
    """Whether files that a request names by public addresses are fetched for upstreams that take bytes alone."""
    limits: Limits = Limits()
    timeouts: Timeouts = Timeouts()
    attempts: Attempts = Attempts()
    leave: Leave = Leave()
    aliases: dict[str, Alias] = {}
    """By their names."""
    buffers: Buffers = Buffers()
    recording: Recording = Recording()
    log: LogForm = "auto"
    """The form of the log; `auto` is `pretty` on a terminal and `json` elsewhere, `off` leaves out requests."""
    proxy_environment: dict[str, str] = {}
    """Proxy variables, when proxies are taken from the environment; empty otherwise."""
    ca_file: str | None = None
    """Certificates to trust for upstreams beside the system's."""
    ignored: tuple[str, ...] = ()
    """Variables that begin like ours and mean nothing."""

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach the listener."""
        return self.host in LOOPBACK_HOSTS

    @property
    def replay_folder(self) -> Path:
        """Where recordings are played from."""
        return self.recording.replay or self.recording.folder or self.home / "recordings"

    @property
    def main_providers(self) -> list[ProviderSettings]:
        """Every provider once, for people: without the rows of second dialects, whose addresses and keys they share."""
        return [each for each in self.providers.values() if not each.row.sibling_of]

    def __repr__(self) -> str:
        return f"Settings({', '.join(f'{name}={value!r}' for name, value in self.__rich_repr__())})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [(name, getattr(self, name)) for name in self.__struct_fields__ if name not in _HIDDEN]


_HIDDEN = frozenset({"api_key", "proxy_environment"})
"""Settings that are never shown: a proxy's address may hold its password."""
LOOPBACK_HOSTS = frozenset({"127.0.0.1", "::1", "localhost"})
VARIABLES: dict[str, str] = {
    "THALWEG_HOST": "Address to listen on.",
    "THALWEG_PORT": "Port to listen on; 0 takes a free one.",
    "THALWEG_API_KEY": "The gateway's own key; needed on any address but loopback.",
    "THALWEG_API_KEY_FILE": "A file that holds it.",
    "THALWEG_HOME": "Folder of the ledger, and of conversations in a terminal.",
    "THALWEG_LOG": "Form of the log: auto, json, pretty, or off for none of requests.",
    "THALWEG_FRAME_MB": "MiB that one frame of an upstream may have.",
    "THALWEG_ANSWER_MB": "MiB that one answer may have that is kept whole.",
    "THALWEG_BUFFER_MB": "MiB that all requests and answers together may hold.",
    "THALWEG_RECORD": "Folder that every provider's answer is recorded to, prompts and answers included.",
    "THALWEG_RECORD_MB": "MiB that this folder may take; nothing more is recorded then.",
    "THALWEG_REPLAY": "Folder whose recordings answer as `replay/NAME`.",
    "THALWEG_URL": "The gateway that commands call, instead of one on this machine.",
    "THALWEG_MODEL": "The model that `thalweg chat` talks to where it is given none.",
    "THALWEG_LANG": "Language of the command line: en or zh.",
    "THALWEG_SIMULATE": "Whether the simulator answers every model's name.",
    "THALWEG_FIND_ENGINES": "Whether engines on this machine are looked for at their usual ports.",
    "THALWEG_FETCH_MEDIA": "Whether files at public addresses are fetched for providers that take bytes alone.",
    "THALWEG_PROXY": "An http:// proxy for upstreams, or `environment` to take it from the usual variables.",
    "THALWEG_CA_FILE": "Certificates to trust for upstreams beside the system's.",
    "THALWEG_DRAIN_S": "Seconds that answers may go on after the first signal to stop.",
    "THALWEG_TIMEOUT_CONNECT_S": "Seconds until an upstream must be connected.",
    "THALWEG_TIMEOUT_FIRST_BYTE_S": "Seconds until an upstream must begin to answer.",
    "THALWEG_TIMEOUT_FIRST_CONTENT_S": "Seconds until an upstream must have said something.",
    "THALWEG_TIMEOUT_GAP_S": "Seconds that an upstream may be silent in its answer.",
    "THALWEG_TIMEOUT_WHOLE_S": "Seconds that an answer may take in all.",
}
"""Every variable of ours that has one name; beside them there are the providers'."""
_OF_PROVIDER = re.compile(r"THALWEG_PROVIDER_(?P<name>.+)_(?:BASE_URL|API_KEY|API_KEY_FILE)")
_PROVIDER_NAME = re.compile(r"[A-Z0-9]+(?:_[A-Z0-9]+)*")
_OF_TESTS = "THALWEG_TEST_"
_LIKENESS = 0.75
"""How alike two names must be for one to be taken for the other misspelt: PROT and PORT are."""
_LONGEST_TIMEOUT_S = 86_400.0
_MOST_MIB = 1024 * 1024
_PROXY_VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
_LANGUAGE_VARIABLES = ("THALWEG_LANG", "LC_ALL", "LC_MESSAGES", "LANG")


def load(environment: Mapping[str, str] | None = None, **flags: object) -> Settings:
    """The settings: a flag that is not `None` before the environment, the environment before the default.

    Raises `ConfigError` for a value that cannot be.
    """
    env = os.environ if environment is None else environment
    given = {name: value for name, value in flags.items() if value is not None}
    settings = Settings(
        host=str(given.get("host") or env.get("THALWEG_HOST") or "127.0.0.1"),
        port=_port(given.get("port", _port_variable(env) or "8080")),
        api_key=_api_key(env),
        home=_home(given.get("home"), env),
        simulate=bool(given.get("simulate", _truth("THALWEG_SIMULATE", env))),
        find_engines=_truth("THALWEG_FIND_ENGINES", env, default=True),
        fetch_media=_truth("THALWEG_FETCH_MEDIA", env, default=True),
        timeouts=_timeouts(env),
        proxy_environment=_proxies(env),
        limits=Limits(drain_s=_drain(env)),
        buffers=_buffers(env),
        recording=_recording(given, env),
        log=_log(env),
        ca_file=_ca_file(env),
        ignored=_ignored(env),
    )
    _refuse_open_door(settings)
    return replace(settings, providers={row.name: _provider(row, env, settings) for row in _rows(env)})


def home(flag: Path | None = None, environment: Mapping[str, str] | None = None) -> Path:
    """Where the ledger lives. For commands that only read it: no other setting is looked at.

    Raises `ConfigError`.
    """
    return _home(flag, os.environ if environment is None else environment)


def proxy_variables(environment: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """Names of the usual proxy variables that are set, whether they are used or not."""
    env = os.environ if environment is None else environment
    return tuple(name for each in _PROXY_VARIABLES for name in (each, each.upper()) if env.get(name))


class ClientSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What a command needs that calls a gateway."""

    url: str | None
    """Where the gateway is, without `/v1`; `None` to look for one on this machine."""
    api_key: str | None
    model: str | None
    """The model to talk to where the command names none."""
    ca_file: str | None
    home: Path
    """Whose server is looked for, and where conversations are kept."""

    def __repr__(self) -> str:
        return f"ClientSettings(url={self.url!r}, model={self.model!r}, home={self.home!r})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("url", self.url), ("model", self.model), ("home", self.home)]


def load_client(
    environment: Mapping[str, str] | None = None, *, url: str | None = None, home: Path | None = None
) -> ClientSettings:
    """The settings of a command that calls a gateway. What is given comes before `THALWEG_URL` and `THALWEG_HOME`.

    Raises `ConfigError`.
    """
    env = os.environ if environment is None else environment
    base = url or env.get("THALWEG_URL", "").strip()
    if base:
        origin, path = parse_base_url(base, "THALWEG_URL (or --url)")
        # Many have the address with the path that SDKs want.
        base = f"{origin}{path.decode().removesuffix('/v1')}"
    return ClientSettings(
        url=base or None,
        api_key=_api_key(env),
        model=env.get("THALWEG_MODEL", "").strip() or None,
        ca_file=_ca_file(env),
        home=_home(home, env),
    )


def language(environment: Mapping[str, str] | None = None) -> Language:
    """The language of the command line: `THALWEG_LANG`, else the locale's variables in the order of POSIX.

    What is not Chinese is English.
    """
    env = os.environ if environment is None else environment
    wish = next((env[name] for name in _LANGUAGE_VARIABLES if env.get(name)), "")
    return "zh" if wish.lower().startswith("zh") else "en"


def _port_variable(env: Mapping[str, str]) -> str:
    """`THALWEG_PORT`, unless it is what Kubernetes puts there for a service of that name: `tcp://10.0.0.1:8080`."""
    value = env.get("THALWEG_PORT", "").strip()
    return "" if value.startswith("tcp://") else value


def _port(value: object) -> int:
    text = str(value)
    port = int(text) if text.isascii() and text.isdigit() and len(text) <= 5 else -1
    if not 0 <= port <= 65535:
        message = f"THALWEG_PORT (or --port) must be a number from 0 to 65535, not {text!r}."
        raise ConfigError(message, code="port", value=text)
    return port


def _api_key(env: Mapping[str, str]) -> str | None:
    key = _secret("THALWEG_API_KEY", env)
    if key and (len(key) < 8 or not _is_key(key) or " " in key):
        message = "THALWEG_API_KEY (or its file) must be at least 8 printable ASCII characters without spaces."
        raise ConfigError(message, code="api_key")
    return key or None


def _secret(name: str, env: Mapping[str, str]) -> str:
    """A secret of that name, from the file that `…_FILE` names or from the variable; empty where there is none."""
    file = env.get(f"{name}_FILE")
    if not file:
        return env.get(name, "").strip()
    try:
        secret = Path(file).read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text"
        raise ConfigError(f"{name}_FILE cannot be read: {why}.") from error
    if not secret:
        raise ConfigError(f"{name}_FILE names an empty file; it must hold the key.")
    return secret


def _is_key(key: str) -> bool:
    return key.isascii() and key.isprintable()


def _home(flag: object, env: Mapping[str, str]) -> Path:
    try:
        home = _home_named(flag, env)
    except RuntimeError as error:
        raise ConfigError("THALWEG_HOME (or --home) must name a folder: whose '~' is meant is not known.") from error
    if home.is_file():
        raise ConfigError(f"THALWEG_HOME (or --home) must name a folder, and {str(home)!r} is a file.")
    return home


def _home_named(flag: object, env: Mapping[str, str]) -> Path:
    if flag or env.get("THALWEG_HOME"):
        return Path(str(flag or env["THALWEG_HOME"])).expanduser()
    data = env.get("XDG_DATA_HOME")
    return (Path(data) if data else Path.home() / ".local" / "share") / "thalweg"


def _truth(name: str, env: Mapping[str, str], *, default: bool = False) -> bool:
    value = env.get(name, "").strip().lower()
    if value not in ("", "0", "1", "false", "true", "no", "yes"):
        raise ConfigError(f"{name} must be 0 or 1, not {value!r}.")
    return value in ("1", "true", "yes") if value else default


def _timeouts(env: Mapping[str, str]) -> Timeouts:
    """`THALWEG_TIMEOUT_CONNECT_S` and its like, one for each field."""
    names = {field: f"THALWEG_TIMEOUT_{field.upper()}" for field in Timeouts.__struct_fields__}
    names = {field: name for field, name in names.items() if name in VARIABLES}
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


def _buffers(env: Mapping[str, str]) -> Buffers:
    names = {"frame_bytes": "THALWEG_FRAME_MB", "answer_bytes": "THALWEG_ANSWER_MB", "total_bytes": "THALWEG_BUFFER_MB"}
    return Buffers(**{field: _mebibytes(name, env[name]) for field, name in names.items() if env.get(name, "").strip()})


def _recording(given: Mapping[str, object], env: Mapping[str, str]) -> Recording:
    most = str(given.get("record_max_mb") or env.get("THALWEG_RECORD_MB", "")).strip()
    return Recording(
        folder=_folder("THALWEG_RECORD (or --record)", given.get("record"), env.get("THALWEG_RECORD", "")),
        most_bytes=_mebibytes("THALWEG_RECORD_MB (or --record-max-mb)", most) if most else Recording().most_bytes,
        simulated=bool(given.get("record_simulated", False)),
        replay=_folder("THALWEG_REPLAY (or --replay)", given.get("replay"), env.get("THALWEG_REPLAY", "")),
    )


def _folder(name: str, flag: object, variable: str) -> Path | None:
    wish = str(flag or variable).strip()
    if not wish:
        return None
    try:
        folder = Path(wish).expanduser()
    except RuntimeError as error:
        raise ConfigError(f"{name} must name a folder: whose '~' is meant is not known.") from error
    if folder.is_file():
        raise ConfigError(f"{name} must name a folder, and {wish!r} is a file.")
    return folder


def _mebibytes(name: str, text: str) -> int:
    try:
        size = float(text)
    except ValueError:
        size = -1.0
    if not 0 < size <= _MOST_MIB:
        raise ConfigError(f"{name} must be a number of MiB, more than 0 and up to {_MOST_MIB:,}, not {text!r}.")
    return max(int(size * 1024 * 1024), 1)


def _log(env: Mapping[str, str]) -> LogForm:
    wish = env.get("THALWEG_LOG", "").strip().lower() or "auto"
    for form in get_args(LogForm):
        if wish == form:
            return cast(LogForm, form)
    raise ConfigError(f"THALWEG_LOG must be one of {', '.join(get_args(LogForm))}, not {wish!r}.")


def _drain(env: Mapping[str, str]) -> float:
    """`THALWEG_DRAIN_S`; 0 ends every answer at the first signal."""
    text = env.get("THALWEG_DRAIN_S", "").strip()
    return _seconds("THALWEG_DRAIN_S", text, or_none=True) if text else Limits().drain_s


def _ca_file(env: Mapping[str, str]) -> str | None:
    file = env.get("THALWEG_CA_FILE")
    if not file:
        return None
    if not Path(file).is_file():
        raise ConfigError(f"THALWEG_CA_FILE names no file: {file!r}.")
    import ssl  # every command reads settings, and few are given certificates

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=file)
    except OSError as error:  # a file that is not to be read, and one with no certificate in it
        why = "it holds no certificates in PEM form" if isinstance(error, ssl.SSLError) else error.strerror
        raise ConfigError(f"THALWEG_CA_FILE cannot be used: {why}: {file!r}.") from error
    return file


def _rows(env: Mapping[str, str]) -> Iterator[Provider]:
    """Every provider: those that are known, then those that the environment adds. Raises `ConfigError`."""
    yield from PROVIDERS
    found = [match for name in sorted(env) if (match := _OF_PROVIDER.fullmatch(name)) and env[name].strip()]
    for stem in dict.fromkeys(match["name"] for match in found):
        yield _added_row(stem, env)


def _added_row(stem: str, env: Mapping[str, str]) -> Provider:
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
    return compatible(name, base_url=base, base_url_variable=variable, key_variable=key_variable)


def _provider(row: Provider, env: Mapping[str, str], settings: Settings) -> ProviderSettings:
    """One provider's settings. Raises `ConfigError` where a variable leads back to our own listener."""
    key_name, credential_value = _provider_key(row, env)
    given = env.get(row.base_url_variable, "").strip()
    base = given or _beside(row, env) or row.base_url_of_key.get(key_name.removesuffix("_FILE"), row.base_url)
    origin, path = parse_base_url(base, row.base_url_variable)
    if given and _is_self(origin, settings):
        message = (
            f"{row.base_url_variable} points at this gateway's own address ({origin}). "
            "Set it to the provider's, or let the gateway listen on another port (--port, THALWEG_PORT)."
        )
        raise ConfigError(message, code="own_address", name=row.base_url_variable, origin=origin)
    header = row.key_header.encode()
    value = (b"Bearer " if header == b"authorization" else b"") + credential_value.encode()
    return ProviderSettings(
        row=row,
        origin=origin,
        base_path=path,
        credential=Credential(origin=origin, header=header, value=value) if credential_value else None,
        key_name=key_name,
        placed=bool(given),
        is_self=_is_self(origin, settings),
    )


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
        key = _secret(name, env)
        if not _is_key(key):
            raise ConfigError(f"{name} holds a character that no key has.")
        if key:
            return (f"{name}_FILE" if env.get(f"{name}_FILE") else name), key
    return row.key_variable, ""


def _is_self(origin: Origin, settings: Settings) -> bool:
    """Whether that is our own listener: a request there would go round and round."""
    own = LOOPBACK_HOSTS | {settings.host, "0.0.0.0", "::"}  # noqa: S104  # compared with, not bound to
    return bool(settings.port) and origin.port == settings.port and origin.host in own


def _ignored(env: Mapping[str, str]) -> tuple[str, ...]:
    """Variables that begin like ours and mean nothing. Raises `ConfigError` for one that is a misspelt setting.

    A setting that silently does not hold may be a key or a bound. But what resembles no setting need not be meant for
    us: for a service named thalweg, Kubernetes puts THALWEG_SERVICE_HOST and its like into every container.
    """
    ignored = []
    for name in sorted(env):
        if not name.startswith("THALWEG_") or name in VARIABLES or name.startswith(_OF_TESTS):
            continue
        if name.startswith("THALWEG_PROVIDER_"):
            if not _OF_PROVIDER.fullmatch(name):
                raise ConfigError(f"{name} is no setting: a provider has _BASE_URL, _API_KEY and _API_KEY_FILE.")
        elif near := nearest(name.removeprefix("THALWEG_"), [known.removeprefix("THALWEG_") for known in VARIABLES]):
            message = f"{name} is no setting. Is it THALWEG_{near}?"
            raise ConfigError(message, code="misspelt", name=name, near=f"THALWEG_{near}")
        else:
            ignored.append(name)
    return tuple(ignored)


def nearest(word: str, words: list[str]) -> str | None:
    """Of the words the one that was likely meant by a misspelt one."""
    return next(iter(get_close_matches(word, words, 1, _LIKENESS)), None)


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


def _proxies(env: Mapping[str, str]) -> dict[str, str]:
    """The proxy variables, only when `THALWEG_PROXY=environment` says to use them, or one proxy for everything."""
    wish = env.get("THALWEG_PROXY", "").strip()
    if not wish:
        return {}
    if wish == "environment":
        found = [(name, key) for name in _PROXY_VARIABLES for key in (name.upper(), name) if env.get(key)]
        for name, key in found:
            if name != "no_proxy" and not _is_proxy(env[key]):
                raise ConfigError(f"{key} must be http://HOST:PORT: the gateway speaks to no other kind of proxy.")
        return {name: env[key] for name, key in found}
    if not _is_proxy(wish) or not wish.startswith("http://"):
        raise ConfigError("THALWEG_PROXY must be 'environment' or an http:// URL of a proxy.")
    return {"all_proxy": wish}


def _is_proxy(value: str) -> bool:
    """Whether that can be a proxy's address, with or without `http://`. It may hold a password."""
    try:
        parts = urlsplit(value if "://" in value else f"http://{value}")
        return parts.scheme == "http" and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _refuse_open_door(settings: Settings) -> None:
    if settings.is_loopback or settings.api_key:
        return
    raise ConfigError(
        f"Listening on {settings.host} without a key would open the gateway to the network. Make one:\n"
        "    export THALWEG_API_KEY=$(python3 -c 'import secrets; print(\"sk-\" + secrets.token_urlsafe(32))')",
        code="open_door",
        host=settings.host,
    )
