"""The table that is shipped: what models cost at their providers and what they can take, as it was on its date.

`tools/build_catalogue.py` writes it. It is read when it is first asked for, one provider at a time. What is not in it
is not known: nothing here guesses from a similar name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache, lru_cache
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from thalweg.canon.policy import PriceOverride
from thalweg.catalogue.facts import Facts
from thalweg.catalogue.price import Price, Tier, overridden, rates_of
from thalweg.profiles.providers import PROVIDERS

TABLE = Path(__file__).with_name("table.json")
_MAIN = {row.name: row.sibling_of for row in PROVIDERS if row.sibling_of}
_HOSTS = {row.name: urlsplit(row.base_url).hostname or "" for row in PROVIDERS}
"""Where each provider is unless it was placed elsewhere."""


class _Row(msgspec.Struct, frozen=True, kw_only=True):
    """One model of a provider."""

    match: tuple[str, ...]
    """Its names: as they are, with `*` for anything, or an expression between slashes. In small letters."""
    context_window: int | None = None
    max_output_tokens: int | None = None
    input_modalities: tuple[str, ...] | None = None
    output_modalities: tuple[str, ...] | None = None
    price: dict[str, str] | None = None
    """Decimal amounts for a million tokens; `None` where it is not known, or hangs on what is not counted."""
    tiers: tuple[tuple[int, dict[str, str]], ...] = ()
    """Lengths of prompts, and the amounts above them."""
    source: str = ""
    """Who says so, where it is not the table's own source."""
    date: str = ""
    note: str = ""


class _List(msgspec.Struct, frozen=True, kw_only=True):
    """The prices of one provider at some of its addresses."""

    provider: str
    hosts: tuple[str, ...]
    currency: str
    models: msgspec.Raw


class _Table(msgspec.Struct, frozen=True, kw_only=True):
    """The whole file."""

    date: str
    source: str
    facts_source: str
    lists: tuple[_List, ...]


_decode_table = msgspec.json.Decoder(_Table).decode
_decode_rows = msgspec.json.Decoder(tuple[_Row, ...]).decode


def table_date() -> str:
    """The day of the table."""
    return _table().date


def table_source() -> str:
    """Where its prices were taken from."""
    return _table().source


def price_of(
    provider: str,
    model: str,
    *,
    host: str = "",
    listed: Price | None = None,
    overrides: Mapping[str, PriceOverride] | None = None,
) -> Price | None:
    """What a model costs, by its name at the provider; `None` where that is not known.

    A price is that of an address: `host` is where the provider really is, its usual address unless given. What the
    provider has `listed` itself comes before the table, and before that the operator's `overrides`: of their names,
    which are `provider/model` and may hold `*`, the longest that fits is taken.
    """
    main = _MAIN.get(provider, provider)
    known = _shipped(main, model.lower(), host or _HOSTS.get(provider, ""))
    if listed is not None and not _agree(listed, known):
        known = listed
    override = _override(f"{main}/{model}", overrides or {})
    return known if override is None else overridden(known, override)


def _agree(listed: Price, known: Price | None) -> bool:
    """Whether the table is right in what a list says. It may say more: a list knows no rates of long prompts."""
    if known is None or known.currency != listed.currency:
        return False
    return (known.rates.input, known.rates.output) == (listed.rates.input, listed.rates.output)


def facts_of(provider: str, model: str) -> Facts | None:
    """What a model can take, by its name at the provider; `None` where nothing is known of it."""
    return _facts(_MAIN.get(provider, provider), model.lower())


# What was looked up is kept: one model is asked for again and again. Bounded, because names come from clients.
@lru_cache(maxsize=4096)
def _shipped(provider: str, name: str, host: str) -> Price | None:
    book = next((each for each in _books(provider) if host in each.hosts), None)
    row = book.row(name) if book else None
    if book is None or row is None or row.price is None:
        return None
    return Price(
        currency=book.currency,
        rates=rates_of(row.price),
        tiers=tuple(Tier(above_input_tokens=above, rates=rates_of(amounts)) for above, amounts in row.tiers),
        source=row.source or table_source(),
        date=row.date or table_date(),
        note=row.note,
    )


@lru_cache(maxsize=4096)
def _facts(provider: str, name: str) -> Facts | None:
    rows = [row for book in _books(provider) if (row := book.row(name))]
    facts = Facts()
    for row in rows:
        facts = facts.filled(Facts(**{field: getattr(row, field) for field in Facts.__struct_fields__}))
    return facts if rows else None


def _override(name: str, overrides: Mapping[str, PriceOverride]) -> PriceOverride | None:
    fitting = [pattern for pattern in overrides if _expression(pattern.lower()).fullmatch(name.lower())]
    return overrides[max(fitting, key=len)] if fitting else None


def _expression(pattern: str) -> re.Pattern[str]:
    if pattern.startswith("/"):
        return re.compile(f"(?:{pattern[1:-1]}).*")
    return re.compile(".*".join(map(re.escape, pattern.split("*"))))


class _Book:
    """One list, made ready for looking names up: plain ones by a dictionary, others one after the other."""

    def __init__(self, listed: _List) -> None:
        self.hosts, self.currency = listed.hosts, listed.currency
        self._rows = _decode_rows(listed.models)
        self._plain: dict[str, int] = {}
        self._patterns: list[tuple[int, re.Pattern[str]]] = []
        for at, row in enumerate(self._rows):
            for pattern in row.match:
                if "*" in pattern or pattern.startswith("/"):
                    self._patterns.append((at, _expression(pattern)))
                else:
                    self._plain.setdefault(pattern, at)

    def row(self, name: str) -> _Row | None:
        """The first row that fits."""
        end = len(self._rows)
        plain = self._plain.get(name, end)
        at = next((at for at, pattern in self._patterns if at < plain and pattern.fullmatch(name)), plain)
        return self._rows[at] if at < end else None


@cache
def _table() -> _Table:
    return _decode_table(TABLE.read_bytes())


@cache
def _books(provider: str) -> tuple[_Book, ...]:
    return tuple(_Book(each) for each in _table().lists if each.provider == provider)
