"""Money as whole numbers of 10⁻⁹ of a currency unit. No float comes near it."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from fractions import Fraction

import msgspec

NANO = 1_000_000_000
"""How many of the smallest amounts make one unit of a currency."""
_MOST = Decimal(1_000_000_000)
"""More than that nobody asks for a million tokens: it is a slip of the pen."""
_FINEST = -9
"""The exponent of the smallest amount."""


class Money(msgspec.Struct, frozen=True):
    """An amount of one currency."""

    currency: str
    """Its three letters."""
    nano: int

    def __add__(self, other: Money) -> Money:
        """Both together. Raises `ValueError` for two currencies: nobody here knows what one is worth in the other."""
        if other.currency != self.currency:
            raise ValueError(f"{self.currency} and {other.currency} cannot be added.")
        return Money(self.currency, self.nano + other.nano)

    def __str__(self) -> str:
        return f"{decimal_text(self.nano)} {self.currency}"


def nano_of(amount: str | Decimal) -> int:
    """A decimal amount, exactly. Raises `ValueError` for what is none, is negative, or is finer than 10⁻⁹."""
    try:
        value = Decimal(amount)
    except InvalidOperation:
        raise ValueError(f"{amount!r} is no decimal number.") from None
    if not value.is_finite() or value.is_signed() or value > _MOST:
        raise ValueError(f"{str(amount)!r} is no amount of money: 0 or more is expected, up to {_MOST:,}.")
    if not value:
        return 0
    # A fraction, because a decimal's own product would be rounded to the 28 digits of its context. The exponent is
    # looked at first: the fraction of 1e-999999999 would take all memory.
    nano = Fraction(value) * NANO if value.adjusted() >= _FINEST else Fraction(1, 2)
    if nano.denominator != 1:
        raise ValueError(f"{str(amount)!r} has more than nine decimal places.")
    return int(nano)


def decimal_text(nano: int) -> str:
    """The amount as a decimal number, without zeros that say nothing: `0.75`, `3`."""
    sign, (whole, rest) = "-" if nano < 0 else "", divmod(abs(nano), NANO)
    return f"{sign}{whole}.{rest:09}".rstrip("0").rstrip(".")
