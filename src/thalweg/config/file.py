"""Reads `thalweg.toml`: where it is, what it says, and everything that is wrong in it at once."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from thalweg.canon.policy import Alias, Attempts, Leave, PriceOverride, Waits
from thalweg.config.aliases import read_aliases
from thalweg.config.errors import FileError, Problem
from thalweg.config.keys import Secret
from thalweg.config.kinds import Reading, Spot, is_file, shown
from thalweg.config.positions import Path as Way
from thalweg.config.positions import lines_of
from thalweg.config.table import BUFFERS, FILE, RECORDING, SERVER
from thalweg.config.variables import OF_PROVIDER, nearest
from thalweg.profiles.base import ModelRow, Prefill, Profile, Provider
from thalweg.profiles.providers import PROVIDERS, SIMULATORS

NAME = "thalweg.toml"
_AT_LINE = re.compile(r" ?\(at (?:line (?P<line>\d+), column \d+|end of document)\)")
_PROVIDER_NAME = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_BUILT_IN = {*SIMULATORS, "replay"}
_OF_NEW = ("dialect", "title", "key_header", "needs_key")


class Given(msgspec.Struct, frozen=True):
    """What a file says in place of a variable."""

    text: str
    key: str
    line: int

    def __repr__(self) -> str:
        return f"Given(key={self.key!r}, line={self.line}, text=<hidden>)"


class FileProvider(msgspec.Struct, frozen=True, kw_only=True):
    """What a file says of a provider beside its address and its first key."""

    dialect: str = "openai-chat"
    title: str = ""
    key_header: str = ""
    needs_key: bool | None = None
    key_name: str = ""
    """What its key is called where the file gives one."""
    more_keys: tuple[Secret, ...] = ()
    """All of a list of keys."""
    timeouts: Waits = Waits()
    leave: Leave | None = None
    profile: Mapping[str, Any] = {}
    """Fields of a profile that are others."""

    def profiled(self, row: Provider) -> Provider:
        """The row with what the file says of its models."""
        if not self.profile:
            return row
        models = tuple(ModelRow(prefixes=each.prefixes, profile=self._over(each.profile)) for each in row.model_rows)
        return replace(row, profile=self._over(row.profile), model_rows=models)

    def _over(self, profile: Profile) -> Profile:
        fields = dict(self.profile)
        if "thinking" in fields:
            fields["thinking"] = replace(profile.thinking, **fields["thinking"])
        if "prefill" in fields:
            fields["prefill"] = replace(profile.prefill or Prefill(), **fields["prefill"])
        return replace(profile, **fields)


class FileSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that one file says."""

    path: Path
    variables: Mapping[str, Given] = {}
    """What has a variable, too, by that."""
    limits: Mapping[str, Any] = {}
    timeouts: Waits = Waits()
    attempts: Attempts = Attempts()
    leave: Leave | None = None
    providers: Mapping[str, FileProvider] = {}
    aliases: Mapping[str, Alias] = {}
    prices: Mapping[str, PriceOverride] = {}
    lines: Mapping[str, int] = {}
    """The line of every key that stands there."""
    warnings: tuple[Problem, ...] = ()


def find(named: str | None, environment: Mapping[str, str], folder: Path | None) -> Path | None:
    """The file that holds: the one that is named, else the working directory's, else the user's own."""
    if named:
        return Path(named).expanduser().absolute()
    places = [folder / NAME] if folder is not None else []
    if own := environment.get("XDG_CONFIG_HOME"):
        places.append(Path(own) / "thalweg" / NAME)
    elif user := environment.get("HOME"):
        places.append(Path(user) / ".config" / "thalweg" / NAME)
    return next((place.absolute() for place in places if is_file(place)), None)


def read_file(path: Path, environment: Mapping[str, str]) -> FileSettings:
    """What a file says. `environment` is asked for the variables that it names. Raises `FileError`."""
    raw, lines = _parsed(path)
    reading = Reading(path, lines, environment)
    tree = FILE.read(raw, top := Spot(reading))
    providers = _providers(tree.get("providers", {}), top.below("providers"))
    known = {row.name for row in PROVIDERS} | _BUILT_IN | tree.get("providers", {}).keys() | _added(environment)
    attempts = Attempts(**tree.get("attempts", {}))
    aliases = read_aliases(tree.get("aliases", {}), top.below("aliases"), known, attempts)
    prices = _prices(tree.get("prices", {}), top.below("prices"), known)
    if reading.problems:
        raise FileError(sorted(reading.problems, key=lambda problem: problem.line))
    return FileSettings(
        path=path,
        variables=_variables(tree, top),
        limits=tree.get("limits", {}),
        timeouts=Waits(**tree.get("timeouts", {})),
        attempts=attempts,
        leave=tree.get("leave"),
        providers=providers,
        aliases=aliases,
        prices=prices,
        lines={top.below(*way).key: line for way, line in reading.lines.items()},
        warnings=tuple(reading.warnings),
    )


def home_in(path: Path) -> str | None:
    """The home that a file names, for commands that need nothing else of it. Raises `FileError`."""
    server = _parsed(path)[0].get("server")
    home = server.get("home") if isinstance(server, dict) else None
    return SERVER_HOME.read(home, Spot(Reading(path, {}, {}))) if isinstance(home, str) and home else None


SERVER_HOME = next(row.kind for row in SERVER.rows if row.name == "home")


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig").replace("\r\n", "\n")
    except FileNotFoundError as error:
        raise FileError([Problem(shown(path), 0, "file_missing")]) from error
    except OSError as error:
        raise FileError(
            [Problem(shown(path), 0, "file_unreadable", {"why": error.strerror or "it is no file"})]
        ) from error
    except ValueError as error:
        raise FileError([Problem(shown(path), 0, "file_no_text")]) from error


def _parsed(path: Path) -> tuple[dict[str, Any], dict[Way, int]]:
    """The file's tree, and the line of everything in it. Raises `FileError`."""
    text = _text(path)
    try:
        return tomllib.loads(text, parse_float=Decimal), lines_of(text)
    except (ValueError, ArithmeticError, RecursionError) as error:
        # Beside what the reader finds wrong: numbers that are too long, and lists that are too deep.
        said = str(error) if isinstance(error, tomllib.TOMLDecodeError) else "a number or a list in it is too large"
        at = _AT_LINE.search(said)
        line = int(at["line"]) if at and at["line"] else (text.count("\n") + 1 if at else 0)
        why = _AT_LINE.sub("", said)
        raise FileError([Problem(shown(path), line, "file_no_toml", {"why": why[:1].lower() + why[1:]})]) from error


def _added(environment: Mapping[str, str]) -> set[str]:
    """Names of the providers that the environment adds."""
    found = filter(None, map(OF_PROVIDER.fullmatch, environment))
    return {match["name"].lower().replace("_", "-") for match in found}


def _providers(tree: Mapping[str, dict[str, Any]], spot: Spot) -> dict[str, FileProvider]:
    rows = {row.name: row for row in PROVIDERS}
    made = {}
    for name, said in tree.items():
        at = spot.below(name)
        if name in _BUILT_IN:
            at.wrong("provider_simulator", name=name)
        elif not _PROVIDER_NAME.fullmatch(name):
            at.wrong("provider_name")
        elif name in rows:
            _check_known(rows[name], said, at)
        elif "base_url" not in said and (*spot.way, name, "base_url") not in spot.reading.lines:
            near = nearest(name, list(rows))
            at.wrong("provider_place_near", near=f"providers.{near}") if near else at.wrong("provider_place")
        made[name] = _made(said, at)
    return made


def _check_known(row: Provider, said: Mapping[str, Any], at: Spot) -> None:
    for field in _OF_NEW:
        if field in said:
            at.below(field).wrong("provider_field", title=row.title)
    main = next((each for each in PROVIDERS if each.name == row.sibling_of), None)
    if main is None:
        return
    shared = ["api_key", "api_keys"] + (["base_url"] if row.base_url_variable == main.base_url_variable else [])
    for field in shared:
        if field in said:
            at.below(field).wrong("provider_sibling", main=main.name)


def _made(said: Mapping[str, Any], at: Spot) -> FileProvider:
    if "api_key" in said and "api_keys" in said:
        at.below("api_keys").wrong("secret_twice", name="api_key", other="api_keys")
    keys = _keys(said)
    profile = dict(said.get("profile", {}))
    for field in ("refused_fields", "optional_fields"):
        if field in profile:
            profile[field] = frozenset(profile[field])
    return FileProvider(
        **{field: said[field] for field in _OF_NEW if field in said},
        key_name=keys[0].name if keys else "",
        more_keys=tuple(keys) if "api_keys" in said else (),
        timeouts=Waits(**said.get("timeouts", {})),
        leave=said.get("leave"),
        profile=profile,
    )


def _keys(said: Mapping[str, Any]) -> list[Secret]:
    """A provider's keys that there are; where there is none, the one that is to be set."""
    keys = [said["api_key"]] if "api_key" in said else said.get("api_keys", [])
    return [key for key in keys if key.value] or keys[:1]


def _prices(tree: Mapping[str, dict[str, Any]], spot: Spot, known: set[str]) -> dict[str, PriceOverride]:
    for name in tree:
        provider, slash, model = name.partition("/")
        if not slash or not model or (provider not in known and "*" not in provider):
            spot.below(name).wrong("price_name")
    if spot.reading.problems:
        return {}
    return {name: PriceOverride(**said) for name, said in tree.items()}


def _variables(tree: Mapping[str, Any], top: Spot) -> dict[str, Given]:
    """What the file says in place of variables."""
    given = {}
    for section, table in (("server", SERVER), ("buffers", BUFFERS), ("recording", RECORDING)):
        for row in table.rows:
            if row.variable and row.name in (said := tree.get(section, {})):
                given[row.variable] = _given(said[row.name], top.below(section, row.name))
    known = {each.name: each for each in PROVIDERS}
    for name, said in tree.get("providers", {}).items():
        at, own, stem = top.below("providers", name), known.get(name), name.upper().replace("-", "_")
        place = own.base_url_variable if own else f"THALWEG_PROVIDER_{stem}_BASE_URL"
        key = own.key_variable if own else f"THALWEG_PROVIDER_{stem}_API_KEY"
        if "base_url" in said:
            given[place] = _given(said["base_url"], at.below("base_url"))
        if "api_key" in said:
            given[key] = _given(said["api_key"], at.below("api_key"))
        elif keys := _keys(said):
            given[key] = _given(keys[0], at.below("api_keys"))
    return {name: each for name, each in given.items() if each.text}


def _given(value: Any, spot: Spot) -> Given:
    text = value.value if isinstance(value, Secret) else str(value).lower() if isinstance(value, bool) else str(value)
    return Given(text, spot.key, spot.line)
