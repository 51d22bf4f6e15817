"""How hard to think, in steps and in tokens. The budgets are rules of ours where a vendor has only one of the two."""

from __future__ import annotations

EFFORTS = ("minimal", "low", "medium", "high", "xhigh", "max")
"""From the least to the most."""

_MOST_TOKENS = ((1024, "minimal"), (4096, "low"), (12288, "medium"), (24576, "high"))


def effort_of_budget(tokens: int) -> str:
    """The step that a budget of so many tokens comes nearest to."""
    return next((effort for most, effort in _MOST_TOKENS if tokens <= most), "xhigh")
