"""What holds several values: tables with known keys, tables with any, lists, and places that can be written short."""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec
from msgspec import UNSET

from thalweg.canon.policy import Leave
from thalweg.config.errors import Phrase
from thalweg.config.kinds import Kind, Spot


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One key of a table."""

    name: str
    kind: Kind
    says: str
    """What it is, for the page of the file and for editors."""
    default: Any = None
    """What holds without it; `None` for nothing, or what `says` tells."""
    variable: str = ""
    """The variable that says the same, and comes before the file."""
    needed: bool = False


class Table(msgspec.Struct, frozen=True):
    """A table whose keys are known. Read it is a dictionary of those that are there and right."""

    rows: tuple[Row, ...]

    def read(self, value: Any, spot: Spot) -> Any:
        """See `Kind`."""
        if not isinstance(value, dict):
            return spot.expected(Phrase("want_table"), value, private=True)
        rows = {row.name: row for row in self.rows}
        found = {}
        for name, each in value.items():
            at = spot.below(name)
            if name not in rows:
                at.unknown(rows, self._deeper(name) if not spot.way else None)
            elif (read := rows[name].kind.read(each, at)) is not UNSET:
                found[name] = read
        for row in self.rows:
            if row.needed and row.name not in value:
                spot.wrong("missing", name=row.name)
        return found

    def schema(self) -> dict[str, Any]:
        """See `Kind`."""
        properties = {row.name: _told(row) for row in self.rows}
        shape = {"type": "object", "properties": properties, "additionalProperties": False}
        needed = [row.name for row in self.rows if row.needed]
        return shape | ({"required": needed} if needed else {})

    def _deeper(self, name: str) -> str | None:
        """Where a key belongs that stands above every table."""
        owners = (row.name for row in self.rows if isinstance(row.kind, Table) and name in row.kind.names)
        return next((f"{owner}.{name}" for owner in owners), None)

    @property
    def names(self) -> list[str]:
        """Its keys."""
        return [row.name for row in self.rows]


def _told(row: Row) -> dict[str, Any]:
    said = {"description": row.says} | row.kind.schema()
    return said if row.default is None or isinstance(row.kind, Table) else said | {"default": row.default}


class Named(msgspec.Struct, frozen=True):
    """A table with any keys, all of one kind."""

    kind: Kind

    def read(self, value: Any, spot: Spot) -> Any:
        """See `Kind`."""
        if not isinstance(value, dict):
            return spot.expected(Phrase("want_table"), value, private=True)
        read = {name: self.kind.read(each, spot.below(name)) for name, each in value.items()}
        return {name: each for name, each in read.items() if each is not UNSET}

    def schema(self) -> dict[str, Any]:
        """See `Kind`."""
        return {"type": "object", "additionalProperties": self.kind.schema()}


class Several(msgspec.Struct, frozen=True):
    """A list, all of one kind."""

    kind: Kind

    def read(self, value: Any, spot: Spot) -> Any:
        """See `Kind`."""
        if not isinstance(value, list):
            return spot.expected(Phrase("want_list"), value, private=True)
        read = [self.kind.read(each, spot.below(position)) for position, each in enumerate(value)]
        return [each for each in read if each is not UNSET]

    def schema(self) -> dict[str, Any]:
        """See `Kind`."""
        return {"type": "array", "items": self.kind.schema()}


class Short(msgspec.Struct, frozen=True):
    """A table that may be written as less: as a text or a list. `full` makes the table of that."""

    kind: Table
    wanted: Phrase
    shorter: tuple[dict[str, Any], ...]
    """The shapes of what it may be written as."""
    full: Callable[[Any], Any]
    """The table for it; `None` for what is none."""
    make: Callable[[Any, Spot], Any] = lambda read, _: read
    """The setting of what was read."""

    def read(self, value: Any, spot: Spot) -> Any:
        """See `Kind`."""
        table = value if isinstance(value, dict) else self.full(value)
        if table is None:
            return spot.expected(self.wanted, value)
        before = len(spot.reading.problems)
        read = self.kind.read(table, spot)
        return self.make(read, spot) if len(spot.reading.problems) == before else UNSET

    def schema(self) -> dict[str, Any]:
        """See `Kind`."""
        return {"anyOf": [*self.shorter, self.kind.schema()]}


_LEAVE = re.compile(r"(?P<kind>cancel|linger|drain|keep)(?P<bounds>(?:\s+\d+(?:\.\d+)?\s*(?:s|tokens?))*)")
_BOUND = re.compile(r"(\d+(?:\.\d+)?)\s*(s|tokens?)")


def leave_table(value: Any) -> dict[str, Any] | None:
    """The table for `linger 5s`, `drain 30s 2000 tokens` and their like."""
    found = _LEAVE.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is None:
        return None
    table: dict[str, Any] = {"kind": found["kind"]}
    for amount, unit in _BOUND.findall(found["bounds"]):
        name = "seconds" if unit == "s" else "tokens"
        if name in table or (name == "tokens" and "." in amount):
            return None
        table[name] = Decimal(amount) if name == "seconds" else int(amount)
    return table


def make_leave(read: dict[str, Any], spot: Spot) -> Any:
    """The setting. A linger needs its seconds; a drain without a bound goes on to the end."""
    kind, seconds, tokens = read["kind"], read.get("seconds", 0.0), read.get("tokens", 0)
    if kind == "keep":
        return spot.wrong("keep_not_yet")
    fits = {"cancel": not seconds and not tokens, "linger": bool(seconds) and not tokens, "drain": True}
    if not fits[kind]:
        return spot.expected(Phrase("want_leave"), kind)
    return Leave(kind=kind, seconds=seconds, tokens=tokens)
