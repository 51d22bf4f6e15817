"""Percentiles, and what several runs say together. No I/O."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the smallest value that at least `percent` of all do not exceed (nearest rank); NaN for no values."""
    if not values:
        return math.nan
    rank = math.ceil(len(values) * percent / 100)
    return sorted(values)[max(rank, 1) - 1]


@dataclass(frozen=True, slots=True)
class Spread:
    """One figure over several runs."""

    median: float
    low: float
    high: float

    @classmethod
    def over(cls, values: Sequence[float]) -> Self | None:
        """Return the spread of the runs that have a value; None when none has."""
        known = [value for value in values if math.isfinite(value)]
        if not known:
            return None
        return cls(statistics.median(known), min(known), max(known))


def ratios(values: Sequence[float], yardstick: Sequence[float]) -> list[float]:
    """Divide run by run; a run whose yardstick is not above zero says nothing and gives NaN."""
    return [value / base if base > 0 else math.nan for value, base in zip(values, yardstick, strict=False)]
