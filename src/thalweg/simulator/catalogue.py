"""Every simulated model by its name: those that give an answer, and one for each way of failing."""

from __future__ import annotations

from thalweg.simulator.faults.instead import INSTEAD
from thalweg.simulator.faults.table import FAULTS
from thalweg.simulator.knobs import Knobs
from thalweg.simulator.models import SPEAKERS, Model, speak_text

FAILURES = (*INSTEAD, "error-first", "error-midstream", "reset", "fin", "eof", "stall")
"""The faults that leave no answer whole, streamed or not."""

_LISTED = "error-midstream"
"""The one failure that is in the list of models: a list of all would be a list of failures."""


def failing_name(fault: str) -> str:
    """The model that has a fault: `error-429` for `http-429`."""
    return f"error-{fault.removeprefix('http-').removeprefix('error-')}"


FAILING: dict[str, Model] = {
    failing_name(fault): Model(speak_text, FAULTS[fault], Knobs(fault=(fault,)), hidden=fault != _LISTED)
    for fault in FAILURES
}
"""Those that fail, by name."""

MODELS: dict[str, Model] = SPEAKERS | FAILING
"""All models by name."""

LISTED: tuple[str, ...] = tuple(name for name, model in MODELS.items() if not model.hidden)
"""Those that are in lists of models."""
