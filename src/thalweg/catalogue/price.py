"""Prices as values: what a million tokens of each kind cost, and from how long a prompt on another rate holds."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

import msgspec
from msgspec.structs import asdict, replace

from thalweg.canon.money import decimal_text, nano_of
from thalweg.canon.policy import PriceOverride


class Rates(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a million tokens cost, in 10⁻⁹ of a currency unit. `None`: no price of its own, that of its side holds."""

    input: int
    output: int
    cached_input: int | None = None
    """Input that came from the provider's cache."""
    cache_write: int | None = None
    """Input that was written to it; where it is kept for a time of choice, for the shortest."""
    cache_write_1h: int | None = None
    """Input that was written to it for an hour."""
    audio_input: int | None = None
    reasoning: int | None = None
    audio_output: int | None = None


class Tier(msgspec.Struct, frozen=True, kw_only=True):
    """The rates of a long prompt. They hold for all its tokens, not only for those beyond the bound."""

    above_input_tokens: int
    rates: Rates


class Price(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a model costs at a provider."""

    currency: str
    """Its three letters."""
    rates: Rates
    tiers: tuple[Tier, ...] = ()
    """From the lowest bound to the highest."""
    source: str = ""
    """Who says so."""
    date: str = ""
    """The day on which it was so; empty for what is asked of the provider, and for the operator's own."""
    note: str = ""
    """What this price leaves out."""

    def rates_of(self, input_tokens: int) -> Rates:
        """The rates of a prompt of that length."""
        held = [tier.rates for tier in self.tiers if input_tokens > tier.above_input_tokens]
        return held[-1] if held else self.rates


RATES = Rates.__struct_fields__
"""Every kind of token that may have a price of its own."""
OVERRIDDEN = "configuration"
"""The source of a price that the operator gave."""


def rates_of(amounts: Mapping[str, str | Decimal | None]) -> Rates:
    """Rates from decimal amounts for a million tokens. Raises `ValueError` for an amount that cannot be.

    What is not there, or is `None`, has no price of its own. Raises `ValueError` without `input` and `output`, too.
    """
    given = {name: amount for name in RATES if (amount := amounts.get(name)) is not None}
    if missing := {"input", "output"} - given.keys():
        raise ValueError(f"A price needs {' and '.join(sorted(missing))}.")
    return Rates(**{name: nano_of(amount) for name, amount in given.items()})


def amounts_of(rates: Rates) -> dict[str, str]:
    """The rates as decimal amounts, of the kinds that have one."""
    return {name: decimal_text(nano) for name, nano in asdict(rates).items() if nano is not None}


def overridden(price: Price | None, override: PriceOverride) -> Price:
    """The operator's price. What it does not say stays as it is known, where that is in the same currency.

    It holds at every length of a prompt. Raises `ValueError` for an amount that cannot be.
    """
    said = {name: amount for name, amount in asdict(override).items() if name in RATES and amount is not None}
    own = rates_of(said)
    if price is not None and price.currency == override.currency:
        own = replace(price.rates, **{name: getattr(own, name) for name in said})
    return Price(currency=override.currency, rates=own, source=OVERRIDDEN)
