"""What is known of a model as it is shown to people and programs: counts of tokens, and amounts as decimals."""

from __future__ import annotations

from typing import Any

import msgspec

from thalweg.catalogue.facts import Facts
from thalweg.catalogue.price import Price, amounts_of

PER_TOKENS = 1_000_000


class ShownRates(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Decimal amounts for a million tokens, of the kinds that have a price of their own."""

    input: str
    output: str
    cached_input: str | None = None
    cache_write: str | None = None
    cache_write_1h: str | None = None
    audio_input: str | None = None
    reasoning: str | None = None
    audio_output: str | None = None


class ShownTier(ShownRates, frozen=True, kw_only=True, omit_defaults=True):
    """The same for prompts that are longer."""

    above_input_tokens: int


class ShownPrice(ShownRates, frozen=True, kw_only=True, omit_defaults=True):
    """A price, and who says so."""

    currency: str
    per_tokens: int
    tiers: tuple[ShownTier, ...] = ()
    source: str = ""
    date: str | None = None
    """The day on which it was so; `None` for what is so now."""
    note: str | None = None


class About(Facts, frozen=True, kw_only=True):
    """What is known of one model. `None` means unknown."""

    price: ShownPrice | None = None

    def fields(self) -> dict[str, Any]:
        """Ours, by name; those that are unknown, too."""
        return {name: getattr(self, name) for name in self.__struct_fields__}


def about(facts: Facts, price: Price | None) -> About:
    """Both together, as they are shown."""
    return About(**msgspec.structs.asdict(facts), price=None if price is None else shown(price))


def shown(price: Price) -> ShownPrice:
    """A price as it is shown."""
    return ShownPrice(
        currency=price.currency,
        per_tokens=PER_TOKENS,
        tiers=tuple(
            ShownTier(above_input_tokens=tier.above_input_tokens, **amounts_of(tier.rates)) for tier in price.tiers
        ),
        source=price.source,
        date=price.date or None,
        note=price.note or None,
        **amounts_of(price.rates),
    )
