"""Where settings come from: the environment, `.env`, the file. Each is a layer, and the upper one holds."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from thalweg.config.dotenv import Line, parse
from thalweg.config.errors import Problem
from thalweg.config.file import FileSettings, Given, find, home_in, read_file
from thalweg.config.kinds import is_file, shown, working_folder
from thalweg.config.variables import OF_PROVIDER, of_kubernetes
from thalweg.profiles.providers import PROVIDERS

DOTENV = ".env"
_ONE_KEY = {name: row.key_variable for row in PROVIDERS for name in row.key_variables}
"""Variables that may hold the same key, by each of them: where one is set, no lower layer has a say."""


class Environment(Mapping[str, str]):
    """The environment with what `.env` and the file add to it. What is set to nothing is not set."""

    def __init__(self, real: Mapping[str, str], dotenv: Mapping[str, Line], dotenv_name: str = DOTENV) -> None:
        self._values = {name: each.value for name, each in dotenv.items()}
        self._places = {name: f"{dotenv_name}:{each.line}" for name, each in dotenv.items()}
        self._labels: dict[str, str] = {}
        self._cover(real, dict.fromkeys(real, ""))

    def below(self, file: FileSettings) -> Environment:
        """The same over a file."""
        made = Environment({}, {})
        name = shown(file.path)
        made._values = {variable: each.text for variable, each in file.variables.items()}
        made._places = {variable: f"{name}:{each.line}" for variable, each in file.variables.items()}
        made._labels = {variable: f"{name}:{each.line}: {each.key}" for variable, each in file.variables.items()}
        made._cover(self._values, self._places)
        return made

    def _cover(self, values: Mapping[str, str], places: Mapping[str, str]) -> None:
        said = {name: value for name, value in values.items() if value.strip() and not of_kubernetes(name, value)}
        keys = {_key_of(name) for name in said} - {""}
        for name in [name for name in self._values if name in said or _key_of(name) in keys]:
            del self._values[name]
            self._labels.pop(name, None)
        self._values |= said
        self._places |= {name: places.get(name, "") for name in said}
        for name, value in values.items():
            self._values.setdefault(name, value)

    def place(self, name: str) -> str:
        """Where a variable's value is from: a file with its line, or `environment NAME`."""
        return self._places.get(name) or f"environment {name}"

    def label(self, name: str) -> str:
        """What people know a value by: its variable, or its place in the file."""
        return self._labels.get(name, name)

    def is_from_file(self, name: str) -> bool:
        """Whether the file gave it."""
        return name in self._labels

    def __getitem__(self, name: str) -> str:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"Environment({sorted(self._values)})"


def _key_of(name: str) -> str:
    """What key a variable holds or leads to; empty where it is none's."""
    plain = name.removesuffix("_FILE")
    if plain == "THALWEG_API_KEY" or (OF_PROVIDER.fullmatch(name) and plain.endswith("_API_KEY")):
        return plain
    return _ONE_KEY.get(plain, "")


class Sources(msgspec.Struct, frozen=True):
    """Everything that settings are made of, but for flags."""

    environment: Environment
    file: FileSettings | None
    files: tuple[Path, ...]
    """The files that were read."""
    warnings: tuple[Problem, ...]


def environment_of(real: Mapping[str, str] | None, folder: Path | None) -> tuple[Environment, list[Problem]]:
    """The environment over the `.env` of a folder, and what could not be read in that. Without `real` they are this
    process' own, and the working directory's.
    """
    folder = working_folder() if real is None and folder is None else folder
    real = os.environ if real is None else real
    path = folder / DOTENV if folder is not None else None
    if path is None or not is_file(path):
        return Environment(real, {}), []
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        return Environment(real, {}), [Problem(shown(path), 0, "file_unreadable", {"why": error.strerror or ""})]
    lines, problems = parse(text, shown(path))
    return Environment(real, lines, shown(path)), problems


def gather(real: Mapping[str, str] | None, *, config: object = None, folder: Path | None = None) -> Sources:
    """Read what there is. Raises `FileError`."""
    environment, warnings = environment_of(real, folder)
    folder = working_folder() if real is None and folder is None else folder
    files = [] if folder is None or not is_file(folder / DOTENV) else [folder / DOTENV]
    path = find(str(config or environment.get("THALWEG_CONFIG", "").strip()), environment, folder)
    if path is None:
        return Sources(environment, None, tuple(files), tuple(warnings))
    file = read_file(path, environment)
    return Sources(environment.below(file), file, (path, *files), (*warnings, *file.warnings))


def with_home(real: Mapping[str, str] | None, *, folder: Path | None = None) -> Environment:
    """The environment with the home that the file names, for commands that need nothing else. Raises `FileError`."""
    environment, _ = environment_of(real, folder)
    folder = working_folder() if real is None and folder is None else folder
    path = find(environment.get("THALWEG_CONFIG", "").strip(), environment, folder)
    named = home_in(path) if path is not None else None
    if path is None or not named:
        return environment
    given = {"THALWEG_HOME": Given(named, "server.home", 0)}
    return environment.below(FileSettings(path=path, variables=given))
