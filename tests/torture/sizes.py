"""The two sizes of a test: a sample with every run, and full counts under `make torture`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pytest


def both_sizes(counts: Mapping[str, Any]) -> pytest.MarkDecorator:
    """Run the test as `sample` and, where torture is asked for, as `full`. The test takes `counts`."""
    return pytest.mark.parametrize(
        "counts",
        [
            pytest.param(counts["sample"], id="sample"),
            pytest.param(counts["full"], id="full", marks=[pytest.mark.torture, pytest.mark.timeout(1800)]),
        ],
    )


def percentile(values: Sequence[float], share: float) -> float:
    """The nearest rank."""
    ranked = sorted(values)
    return ranked[max(math.ceil(len(ranked) * share) - 1, 0)]
