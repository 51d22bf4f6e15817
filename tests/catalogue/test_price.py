"""Prices from decimals and back, and the operator's own in the place of those that are known."""

from __future__ import annotations

from decimal import Decimal

import pytest

from thalweg.canon.policy import PriceOverride
from thalweg.catalogue.price import OVERRIDDEN, Price, Rates, Tier, amounts_of, overridden, rates_of

KNOWN = Price(
    currency="USD",
    rates=rates_of({"input": "3", "output": "15", "cached_input": "0.3", "cache_write_1h": "6"}),
    tiers=(Tier(above_input_tokens=200_000, rates=rates_of({"input": "6", "output": "22.5"})),),
    source="somebody",
    date="2026-11-29",
)


def test_rates_are_read_and_shown_as_decimals() -> None:
    amounts = {"input": "0.75", "output": "4.5", "cached_input": "0.075"}
    assert rates_of(amounts) == Rates(input=750_000_000, output=4_500_000_000, cached_input=75_000_000)
    assert amounts_of(rates_of(amounts)) == amounts


@pytest.mark.parametrize(
    ("amounts", "said"),
    [
        ({"input": "1"}, "needs output"),
        ({}, "needs input and output"),
        ({"input": "1", "output": "-1"}, "no amount"),
        ({"input": "x", "output": "1"}, "no decimal"),
    ],
)
def test_a_price_that_is_none_is_refused(amounts: dict[str, str], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        rates_of(amounts)


def override(currency: str = "USD", **amounts: str) -> PriceOverride:
    given = {"input": "1", "output": "2"} | amounts
    return PriceOverride(currency=currency, **{name: Decimal(amount) for name, amount in given.items()})


@pytest.mark.parametrize(
    ("known", "own", "rates"),
    [
        pytest.param(None, override(), {"input": "1", "output": "2"}, id="of a model nobody knows"),
        pytest.param(
            KNOWN, override(), {"input": "1", "output": "2", "cached_input": "0.3", "cache_write_1h": "6"}, id="the rest stays"
        ),
        pytest.param(
            KNOWN, override(cached_input="0"), {"input": "1", "output": "2", "cached_input": "0", "cache_write_1h": "6"},
            id="nothing is an amount",
        ),
        pytest.param(KNOWN, override("CNY"), {"input": "1", "output": "2"}, id="nothing stays in another currency"),
    ],
)  # fmt: skip
def test_the_operators_price_comes_first(known: Price | None, own: PriceOverride, rates: dict[str, str]) -> None:
    found = overridden(known, own)
    assert (found.currency, amounts_of(found.rates), found.tiers) == (own.currency, rates, ())
    assert (found.source, found.date) == (OVERRIDDEN, "")
