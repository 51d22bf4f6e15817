"""What stands in a usage object."""

from __future__ import annotations

from typing import Any

from thalweg.canon.usage import Usage
from thalweg.simulator.manners.shape import Slot

_COST_OF_TOKEN = 1e-6


def usage_values(usage: Usage, *, thinks: bool) -> dict[Slot, Any]:
    """The counts by slot."""
    total_in, total_out, cached = usage.input_tokens or 0, usage.output_tokens or 0, usage.cached_input_tokens or 0
    values: dict[Slot, Any] = {
        Slot.PROMPT: total_in,
        Slot.COMPLETION: total_out,
        Slot.TOTAL: total_in + total_out,
        Slot.CACHED: cached,
        Slot.MISSED: total_in - cached,
        Slot.COST: round((total_in + total_out) * _COST_OF_TOKEN, 9),
    }
    if thinks:
        values[Slot.THOUGHT] = usage.reasoning_tokens or 0
    return values
