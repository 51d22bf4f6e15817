"""Amounts are exact from the decimal that was written to the decimal that is shown."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thalweg.canon.money import Money, decimal_text, nano_of


@pytest.mark.parametrize(
    ("written", "nano", "shown"),
    [
        ("0", 0, "0"),
        ("0.000000001", 1, "0.000000001"),
        ("0.75", 750_000_000, "0.75"),
        ("3", 3_000_000_000, "3"),
        ("10", 10_000_000_000, "10"),
        ("0.003625", 3_625_000, "0.003625"),
        ("1e-6", 1_000, "0.000001"),
        ("1.50", 1_500_000_000, "1.5"),
        ("1000000000", 10**18, "1000000000"),
        (Decimal("0.1"), 100_000_000, "0.1"),
        ("1.0000000000000000000000000000000000", 1_000_000_000, "1"),
    ],
)
def test_an_amount_is_taken_as_it_is_written(written: str | Decimal, nano: int, shown: str) -> None:
    assert nano_of(written) == nano
    assert decimal_text(nano) == shown


@pytest.mark.parametrize(
    "written",
    ["", "free", "-1", "-0.0", "nan", "inf", "1e10", "0.0000000001", "1e-999999999", "1e999999999",
     "0.5" + "0" * 40 + "1", "1,5", "$3"],
)  # fmt: skip
def test_what_is_no_amount_is_refused(written: str) -> None:
    with pytest.raises(ValueError):
        nano_of(written)


@given(st.integers(min_value=0, max_value=10**18))
def test_what_is_shown_can_be_read_again(nano: int) -> None:
    assert nano_of(decimal_text(nano)) == nano


def test_two_currencies_are_not_added() -> None:
    assert Money("USD", 1) + Money("USD", 2) == Money("USD", 3)
    with pytest.raises(ValueError, match="USD and CNY"):
        Money("USD", 1) + Money("CNY", 1)
    assert str(Money("CNY", 1_500_000_000)) == "1.5 CNY"
    assert str(Money("USD", -1)) == "-0.000000001 USD"
