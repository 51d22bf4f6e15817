"""Every simulated model by its name: those that give an answer, one for each way of failing, one for each scenario."""

from __future__ import annotations

from collections.abc import Mapping

from thalweg.canon.errors import NotFound
from thalweg.canon.scenario import Scenario, ScenarioError
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

SCENARIOS = "scenario/"
"""How the names of those models begin that tell a scenario."""
_TELLS = "Tells a recorded answer again, whatever is asked."


class Repertoire:
    """The models that can be asked for. Scenarios are looked up when they are, so that a new one is there at once.

    Of `scenarios` a lookup may raise `ScenarioError` and `OSError` beside `KeyError`.
    """

    def __init__(self, scenarios: Mapping[str, Scenario]) -> None:
        self._scenarios = scenarios

    def find(self, name: str) -> Model:
        """A model by its name, with the provider's before it or without. Raises `NotFound`."""
        own = own_name(name)
        if own.startswith(SCENARIOS):
            return self._telling(name, own.removeprefix(SCENARIOS))
        if own not in MODELS:
            raise NotFound(f"The simulator has no model {name!r}; there are {', '.join(LISTED)}.", param="model")
        return MODELS[own]

    def get(self, name: str) -> Model | None:
        """The same, where there is one of that name. Raises `NotFound` for a scenario alone."""
        return self.find(name) if own_name(name).startswith(SCENARIOS) else MODELS.get(own_name(name))

    def listed(self) -> dict[str, str]:
        """What is in lists of models: names, and what each does. No scenario is read for it."""
        told = dict.fromkeys((SCENARIOS + name for name in self._scenarios), _TELLS)
        return {name: MODELS[name].says for name in LISTED} | told

    def _telling(self, name: str, scenario: str) -> Model:
        try:
            return Model(speak_text, _TELLS, scenario=self._scenarios[scenario])
        except KeyError as error:
            message = f"The simulator has no model {name[:200]!r}: there is no such scenario here."
            raise NotFound(message, param="model") from error
        except (ScenarioError, OSError) as error:
            why = error.strerror if isinstance(error, OSError) else error
            raise NotFound(f"The scenario {scenario!r} cannot be told: {why}.", param="model") from error


def own_name(name: str) -> str:
    """A model's name without the provider's."""
    return name.removeprefix("sim/")
