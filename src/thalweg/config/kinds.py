"""What may stand in a place of the file: how it is read, and how editors are told of it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any, Protocol

import msgspec
from msgspec import UNSET, UnsetType

from thalweg.canon.money import nano_of
from thalweg.canon.scrub import scrub
from thalweg.config.addresses import parse_base_url
from thalweg.config.errors import ConfigError, Phrase, Problem
from thalweg.config.positions import Path as Way
from thalweg.config.values import LONGEST_S, MOST_MIB
from thalweg.config.variables import nearest

_WITH_PASSWORD = re.compile(r"//[^/\s]*@")
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_MOST_SHOWN = 40
_MOST_KNOWN = 12


class Reading:
    """One reading of one file: what is asked on the way, and what was found wrong."""

    def __init__(self, path: Path, lines: Mapping[Way, int], environment: Mapping[str, str]) -> None:
        self.path = path
        self.lines = lines
        self.environment = environment
        self.problems: list[Problem] = []
        self.warnings: list[Problem] = []

    @property
    def name(self) -> str:
        """The file as people are told of it: without the folder where it is the working one."""
        return shown(self.path)


def shown(path: Path) -> str:
    """A file as people are told of it: without the folder where that is the working one."""
    here = working_folder()
    return str(path.relative_to(here)) if here is not None and path.is_relative_to(here) else str(path)


def working_folder() -> Path | None:
    """The working directory; `None` where it has been removed."""
    try:
        return Path.cwd()
    except OSError:
        return None


def is_file(path: Path) -> bool:
    """Whether there is such a file, for us to see."""
    try:
        return path.is_file()
    except OSError:  # its folder is closed to us
        return False


class Spot(msgspec.Struct, frozen=True):
    """One place in the file that is being read."""

    reading: Reading
    way: Way = ()

    @property
    def key(self) -> str:
        """The key as it would be written in one piece."""
        return key_of(self.way)

    @property
    def line(self) -> int:
        """Its line, or that of the table it is missing in."""
        way, lines = self.way, self.reading.lines
        while way and way not in lines:
            way = way[:-1]
        return lines.get(way, 0)

    def below(self, *names: str | int) -> Spot:
        """A place within it."""
        return Spot(self.reading, (*self.way, *names))

    def wrong(self, code: str, **values: Any) -> UnsetType:
        """Note a problem; it has no value then."""
        self.reading.problems.append(self.problem(code, **values))
        return UNSET

    def warn(self, code: str, **values: Any) -> None:
        """Note what may be, and is not well."""
        self.reading.warnings.append(self.problem(code, **values))

    def problem(self, code: str, **values: Any) -> Problem:
        """What is said of this place. A key may stand where none belongs: what looks like one is hidden."""
        said = {"key": self.key, **values}
        clean = {name: scrub(each) if isinstance(each, str) else each for name, each in said.items()}
        return Problem(self.reading.name, self.line, code, clean)

    def expected(self, wanted: Phrase, value: Any, *, private: bool = False) -> UnsetType:
        """Note that something else stands there. What may be secret is not repeated."""
        return self.wrong("wrong", wanted=wanted, found=_found(value, private=private))

    def unknown(self, known: Iterable[str], near: str | None = None) -> UnsetType:
        """Note that there is no such key, and which was likely meant."""
        names = list(known)
        if near := near or nearest(str(self.way[-1]), names):
            return self.wrong("unknown_near", near=near)
        if len(names) <= _MOST_KNOWN:
            return self.wrong("unknown_known", known=", ".join(names))
        return self.wrong("unknown")


def key_of(way: Way) -> str:
    """A way as it would be written in one piece: `aliases.fast.routes[0].model`."""
    text = ""
    for part in way:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            quoted = part if _BARE.fullmatch(part) else json.dumps(part, ensure_ascii=False)
            text += f".{quoted}" if text else quoted
    return text


def _found(value: Any, *, private: bool) -> Phrase:
    if isinstance(value, bool):
        return Phrase("found_this", {"value": str(value).lower()})
    if isinstance(value, str):
        if private or _WITH_PASSWORD.search(value):
            return Phrase("found_text")
        value = scrub(value)
        cut = value if len(value) <= _MOST_SHOWN else value[:_MOST_SHOWN] + "…"
        return Phrase("found_this", {"value": json.dumps(cut, ensure_ascii=False)})
    if isinstance(value, int | Decimal):
        return Phrase("found_this", {"value": str(value)[:_MOST_SHOWN]})
    kinds = {list: "found_list", dict: "found_table", datetime: "found_time", date: "found_time", time: "found_time"}
    return Phrase(kinds.get(type(value), "found_other"))


class Kind(Protocol):
    """What may stand in a place."""

    def read(self, value: Any, spot: Spot) -> Any:
        """The value as the settings have it; `UNSET` where it is wrong, which was noted."""
        ...

    def schema(self) -> dict[str, Any]:
        """The same in JSON Schema."""
        ...


class Scalar(msgspec.Struct, frozen=True, kw_only=True):
    """One value. `take` makes the setting of it, and `UNSET` of what cannot be."""

    wanted: Phrase
    take: Callable[[Any], Any]
    shape: dict[str, Any]
    private: bool = False
    """Whether it may hold what nobody is to see."""

    def read(self, value: Any, spot: Spot) -> Any:
        """See `Kind`."""
        taken = self.take(value)
        return spot.expected(self.wanted, value, private=self.private) if taken is UNSET else taken

    def schema(self) -> dict[str, Any]:
        """See `Kind`."""
        return dict(self.shape)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | Decimal) and not isinstance(value, bool)


def _text(value: Any) -> Any:
    return value if isinstance(value, str) and value.strip() else UNSET


TEXT = Scalar(wanted=Phrase("want_text"), take=_text, shape={"type": "string", "minLength": 1})
ANY_TEXT = Scalar(
    wanted=Phrase("want_text"), take=lambda value: value if isinstance(value, str) else UNSET, shape={"type": "string"}
)
FLAG = Scalar(
    wanted=Phrase("want_flag"),
    take=lambda value: value if isinstance(value, bool) else UNSET,
    shape={"type": "boolean"},
)


def whole(least: int, most: int) -> Scalar:
    """A whole number."""

    def take(value: Any) -> Any:
        good = isinstance(value, int) and not isinstance(value, bool) and least <= value <= most
        return value if good else UNSET

    shape = {"type": "integer", "minimum": least, "maximum": most}
    return Scalar(wanted=Phrase("want_whole", {"least": least, "most": most}), take=take, shape=shape)


def number(least: float, most: float) -> Scalar:
    """Any number, as a float."""
    shape = {"type": "number", "minimum": least, "maximum": most}
    wanted = Phrase("want_number", {"least": f"{least:g}", "most": f"{most:g}"})
    return Scalar(wanted=wanted, take=lambda value: _between(value, least, most), shape=shape)


def _between(value: Any, least: float, most: float, *, above: bool = False) -> Any:
    if not _is_number(value) or (isinstance(value, Decimal) and not value.is_finite()):
        return UNSET
    return float(value) if least <= value <= most and not (above and value == least) else UNSET


SECONDS = Scalar(
    wanted=Phrase("want_seconds"),
    take=lambda value: _between(value, 0, LONGEST_S, above=True),
    shape={"type": "number", "exclusiveMinimum": 0, "maximum": LONGEST_S},
)
SECONDS_OR_0 = Scalar(
    wanted=Phrase("want_seconds_or_0"),
    take=lambda value: _between(value, 0, LONGEST_S),
    shape={"type": "number", "minimum": 0, "maximum": LONGEST_S},
)
MIB = Scalar(
    wanted=Phrase("want_mib", {"most": MOST_MIB}),
    take=lambda value: _between(value, 0, MOST_MIB, above=True),
    shape={"type": "number", "exclusiveMinimum": 0, "maximum": MOST_MIB},
)


def _price(value: Any) -> Any:
    if not _is_number(value):
        return UNSET
    amount = Decimal(value)
    try:
        nano_of(amount)
    except ValueError:
        return UNSET
    return amount


PRICE = Scalar(wanted=Phrase("want_price"), take=_price, shape={"type": "number", "minimum": 0})
CURRENCY = Scalar(
    wanted=Phrase("want_currency"),
    take=lambda value: value if isinstance(value, str) and re.fullmatch("[A-Z]{3}", value) else UNSET,
    shape={"type": "string", "pattern": "^[A-Z]{3}$"},
)
HEADER = Scalar(
    wanted=Phrase("want_name"),
    take=lambda value: (
        value.lower() if isinstance(value, str) and re.fullmatch(r"[A-Za-z0-9-]{1,64}", value) else UNSET
    ),
    shape={"type": "string", "pattern": "^[A-Za-z0-9-]{1,64}$"},
)


def choice(*names: str) -> Scalar:
    """One of some words."""
    return Scalar(
        wanted=Phrase("want_choice", {"choices": ", ".join(names)}),
        take=lambda value: value if isinstance(value, str) and value in names else UNSET,
        shape={"type": "string", "enum": list(names)},
    )


class Choices(msgspec.Struct, frozen=True):
    """Some of some words, as a set."""

    names: tuple[str, ...]

    def read(self, value: Any, spot: Spot) -> Any:
        """See `Kind`."""
        if not isinstance(value, list):
            return spot.expected(Phrase("want_names", {"choices": ", ".join(self.names)}), value)
        one = choice(*self.names)
        return frozenset(one.read(each, spot.below(position)) for position, each in enumerate(value))

    def schema(self) -> dict[str, Any]:
        """See `Kind`."""
        return {"type": "array", "items": {"enum": list(self.names)}, "uniqueItems": True}


def _texts(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) and all(isinstance(each, str) for each in value) else UNSET


TEXTS = Scalar(wanted=Phrase("want_texts"), take=_texts, shape={"type": "array", "items": {"type": "string"}})


def _words(value: Any) -> Any:
    good = isinstance(value, dict) and all(isinstance(each, str) for each in value.values())
    return dict(value) if good else UNSET


WORDS = Scalar(
    wanted=Phrase("want_map"),
    take=_words,
    shape={"type": "object", "additionalProperties": {"type": "string"}},
)


class FilePath(msgspec.Struct, frozen=True):
    """A file or folder; a relative one is looked for where the configuration lies."""

    def read(self, value: Any, spot: Spot) -> Any:
        """See `Kind`."""
        if _text(value) is UNSET:
            return spot.expected(Phrase("want_text"), value)
        return str(located(value, spot))

    def schema(self) -> dict[str, Any]:
        """See `Kind`."""
        return {"type": "string", "minLength": 1}


def located(path: str, spot: Spot) -> Path:
    """A path of the file's, from the file's own folder."""
    if path.startswith("~"):
        try:
            return Path(path).expanduser()
        except RuntimeError:  # nobody of that name
            return Path(path)
    return spot.reading.path.parent / path


class Url(msgspec.Struct, frozen=True):
    """A base URL. It is not repeated: a key is often pasted into the wrong place."""

    def read(self, value: Any, spot: Spot) -> Any:
        """See `Kind`."""
        if not isinstance(value, str):
            return spot.expected(Phrase("want_url"), value, private=True)
        try:
            parse_base_url(value, spot.key)
        except ConfigError as error:
            return spot.wrong("provider_address", why=str(error).removeprefix(spot.key).strip())
        return value

    def schema(self) -> dict[str, Any]:
        """See `Kind`."""
        return {"type": "string", "pattern": "^https?://"}
