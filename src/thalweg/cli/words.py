"""What the command line says, in the reader's language. Nothing here knows a command.

The sentences stand in `words/en.toml` and `words/zh.toml`: flat, under keys `command.thing`, with the same keys and
the same placeholders in both. Codes, names of options and JSON are never translated, so they do not stand there.
"""

from __future__ import annotations

import functools
import tomllib
from pathlib import Path

from cyclopts import Parameter

from thalweg.config import Language
from thalweg.config import language as language_of_environment

_FOLDER = Path(__file__).with_suffix("")


@functools.cache
def language() -> Language:
    """The language of this process: `THALWEG_LANG`, `LC_ALL`, `LC_MESSAGES`, `LANG`, in that order."""
    return language_of_environment()


def say(key: str, /, **values: object) -> str:
    """The sentence of that key, with the values in its placeholders. Raises `KeyError` for a key that is not there."""
    return sentences(language())[key].format(**values)


def explain(key: str) -> Parameter:
    """A parameter's help, to stand in its `Annotated`: there it is looked up only when the command is wanted."""
    return Parameter(help=say(key))


@functools.cache
def sentences(which: Language) -> dict[str, str]:
    """Every sentence of a language by its key."""
    return tomllib.loads((_FOLDER / f"{which}.toml").read_text(encoding="utf-8"))
