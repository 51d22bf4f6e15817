"""What a request loses on its way into another dialect, and whether that may be."""

from __future__ import annotations

from typing import Literal

from thalweg.canon.errors import UnsupportedParameter

Strictness = Literal["lenient", "default", "strict"]
"""`default`: drop and approximate, but refuse where the answer would mean something else. `strict`: refuse whatever is
lost or changed. `lenient`: refuse only what cannot be answered at all."""


class Losses:
    """Gathers the names of what one request loses. An encoder of requests tells it; the client is told the names."""

    __slots__ = ("_names", "strictness")

    def __init__(self, strictness: Strictness = "default") -> None:
        self.strictness = strictness
        self._names: dict[str, None] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """Paths of the fields that were dropped or approximated, in the client's own words, in order."""
        return tuple(self._names)

    def drop(self, name: str, why: str = "the model's API has no such field") -> None:
        """The field is left out. Raises `UnsupportedParameter` where that may not be."""
        self._lose(name, f"'{name}' cannot be carried to this model: {why}.")

    def approximate(self, name: str, why: str) -> None:
        """The field is carried in part, or changed. Raises `UnsupportedParameter` where that may not be."""
        self._lose(name, f"'{name}' cannot be carried to this model as it is: {why}.")

    def refuse(self, name: str, why: str) -> None:
        """The field is left out only for a lenient client; else `UnsupportedParameter` is raised."""
        if self.strictness != "lenient":
            raise unsupported(name, f"'{name}' cannot be carried to this model: {why}.")
        self._names[name] = None

    def _lose(self, name: str, message: str) -> None:
        if self.strictness == "strict":
            raise unsupported(name, message)
        self._names[name] = None


def unsupported(name: str, message: str) -> UnsupportedParameter:
    """The refusal of a field that is well formed and cannot be honoured."""
    return UnsupportedParameter(message, param=name, code="unsupported_parameter")
