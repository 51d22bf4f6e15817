"""Bounds of numbers in a call. A number outside is wrong usage, told in the reader's language by `mistakes`."""

from __future__ import annotations

from typing import Any

from cyclopts import Parameter


class OutOfBounds(ValueError):
    """What was given is not from `least` to `most`, both included."""

    def __init__(self, least: int, most: int) -> None:
        super().__init__(f"not from {least} to {most}")
        self.least = least
        self.most = most


def bounded(least: int, most: int) -> Parameter:
    """A parameter's bounds, both included, to stand in its `Annotated`."""

    def check(_kind: Any, value: Any) -> None:
        # Asked so that `nan` is outside.
        if value is not None and not least <= value <= most:
            raise OutOfBounds(least, most)

    return Parameter(validator=check)
