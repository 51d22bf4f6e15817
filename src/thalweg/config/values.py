"""Single values as the environment gives them, each checked and named by its variable."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import cast, get_args

from msgspec.structs import replace

from thalweg.canon.policy import Attempts, Timeouts, Waits
from thalweg.config.errors import ConfigError
from thalweg.config.settings import Buffers, Limits, LogForm, Recording
from thalweg.config.variables import VARIABLES, of_kubernetes

LONGEST_S = 86_400.0
MOST_MIB = 1024 * 1024
LEAST_KEY = 8
MOST_ATTEMPTS = 100


def port_variable(env: Mapping[str, str]) -> str:
    """`THALWEG_PORT`, where it is a port."""
    value = env.get("THALWEG_PORT", "").strip()
    return "" if of_kubernetes("THALWEG_PORT", value) else value


def port(value: object) -> int:
    """A port's number. Raises `ConfigError`."""
    text = str(value)
    number = int(text) if text.isascii() and text.isdigit() and len(text) <= 5 else -1
    if not 0 <= number <= 65535:
        message = f"THALWEG_PORT (or --port) must be a number from 0 to 65535, not {text!r}."
        raise ConfigError(message, code="port", value=text)
    return number


def api_key(env: Mapping[str, str]) -> str | None:
    """The gateway's own key. Raises `ConfigError`."""
    key = secret("THALWEG_API_KEY", env)
    if key and (len(key) < LEAST_KEY or not is_key(key) or " " in key):
        message = "THALWEG_API_KEY (or its file) must be at least 8 printable ASCII characters without spaces."
        raise ConfigError(message, code="api_key")
    return key or None


def secret(name: str, env: Mapping[str, str]) -> str:
    """A secret of that name, from the file that `…_FILE` names or from the variable; empty where there is none."""
    file = env.get(f"{name}_FILE")
    if not file:
        return env.get(name, "").strip()
    try:
        text = Path(file).read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text"
        raise ConfigError(f"{name}_FILE cannot be read: {why}.") from error
    if not text:
        raise ConfigError(f"{name}_FILE names an empty file; it must hold the key.")
    return text


def is_key(key: str) -> bool:
    """Whether a header can carry it."""
    return key.isascii() and key.isprintable()


def home(flag: object, env: Mapping[str, str]) -> Path:
    """Where the ledger lives. Raises `ConfigError`."""
    try:
        folder = _home_named(flag, env)
    except RuntimeError as error:
        raise ConfigError("THALWEG_HOME (or --home) must name a folder: whose '~' is meant is not known.") from error
    if folder.is_file():
        raise ConfigError(f"THALWEG_HOME (or --home) must name a folder, and {str(folder)!r} is a file.")
    return folder


def _home_named(flag: object, env: Mapping[str, str]) -> Path:
    if flag or env.get("THALWEG_HOME"):
        return Path(str(flag or env["THALWEG_HOME"])).expanduser()
    data = env.get("XDG_DATA_HOME")
    return (Path(data) if data else Path.home() / ".local" / "share") / "thalweg"


def truth(name: str, env: Mapping[str, str], *, default: bool = False) -> bool:
    """A variable that is 0 or 1. Raises `ConfigError`."""
    value = env.get(name, "").strip().lower()
    if value not in ("", "0", "1", "false", "true", "no", "yes"):
        raise ConfigError(f"{name} must be 0 or 1, not {value!r}.")
    return value in ("1", "true", "yes") if value else default


def timeouts(env: Mapping[str, str], said: Waits = Waits()) -> Timeouts:  # noqa: B008  # a value that never changes
    """`THALWEG_TIMEOUT_CONNECT_S` and its like, over what is `said` below them."""
    names = {field: f"THALWEG_TIMEOUT_{field.upper()}" for field in Timeouts.__struct_fields__}
    names = {field: name for field, name in names.items() if name in VARIABLES}
    given = {field: _seconds(name, env[name]) for field, name in names.items() if env.get(name, "").strip()}
    return Timeouts(**{**said.said(), **given})


def attempts(env: Mapping[str, str], said: Attempts) -> Attempts:
    """`THALWEG_ATTEMPTS`, over what is `said` below it."""
    text = env.get("THALWEG_ATTEMPTS", "").strip()
    if not text:
        return said
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= MOST_ATTEMPTS):
        raise ConfigError(f"THALWEG_ATTEMPTS must be a number from 1 to {MOST_ATTEMPTS}, not {text!r}.")
    return replace(said, most=int(text))


def recording(given: Mapping[str, object], env: Mapping[str, str]) -> Recording:
    """What is recorded and played. Raises `ConfigError`."""
    most = str(given.get("record_max_mb") or env.get("THALWEG_RECORD_MB", "")).strip()
    return Recording(
        folder=_folder("THALWEG_RECORD (or --record)", given.get("record"), env.get("THALWEG_RECORD", "")),
        most_bytes=mebibytes("THALWEG_RECORD_MB (or --record-max-mb)", most) if most else Recording().most_bytes,
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


def _seconds(name: str, text: str, *, or_none: bool = False) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not (0 < seconds <= LONGEST_S or (or_none and seconds == 0)):
        least = "0 or more" if or_none else "more than 0"
        raise ConfigError(f"{name} must be a number of seconds, {least} and up to a day, not {text!r}.")
    return seconds


def buffers(env: Mapping[str, str]) -> Buffers:
    """How much may be held. Raises `ConfigError`."""
    names = {"frame_bytes": "THALWEG_FRAME_MB", "answer_bytes": "THALWEG_ANSWER_MB", "total_bytes": "THALWEG_BUFFER_MB"}
    return Buffers(**{field: mebibytes(name, env[name]) for field, name in names.items() if env.get(name, "").strip()})


def mebibytes(name: str, text: str) -> int:
    """Bytes of a number of MiB. Raises `ConfigError`."""
    try:
        size = float(text)
    except ValueError:
        size = -1.0
    if not 0 < size <= MOST_MIB:
        raise ConfigError(f"{name} must be a number of MiB, more than 0 and up to {MOST_MIB:,}, not {text!r}.")
    return max(int(size * 1024 * 1024), 1)


def log(env: Mapping[str, str]) -> LogForm:
    """The form of the log. Raises `ConfigError`."""
    wish = env.get("THALWEG_LOG", "").strip().lower() or "auto"
    for form in get_args(LogForm):
        if wish == form:
            return cast(LogForm, form)
    raise ConfigError(f"THALWEG_LOG must be one of {', '.join(get_args(LogForm))}, not {wish!r}.")


def drain(env: Mapping[str, str]) -> float:
    """`THALWEG_DRAIN_S`; 0 ends every answer at the first signal."""
    text = env.get("THALWEG_DRAIN_S", "").strip()
    return _seconds("THALWEG_DRAIN_S", text, or_none=True) if text else Limits().drain_s


def ca_file(env: Mapping[str, str], label: str = "THALWEG_CA_FILE") -> str | None:
    """Certificates to trust, looked into. `label` is what people know the setting by. Raises `ConfigError`."""
    file = env.get("THALWEG_CA_FILE")
    if not file:
        return None
    if not Path(file).is_file():
        raise ConfigError(f"{label} names no file: {file!r}.")
    import ssl  # every command reads settings, and few are given certificates

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=file)
    except OSError as error:  # a file that is not to be read, and one with no certificate in it
        why = "it holds no certificates in PEM form" if isinstance(error, ssl.SSLError) else error.strerror
        raise ConfigError(f"{label} cannot be used: {why}: {file!r}.") from error
    return file
