"""What a request's own headers say of its attempts: `x-thalweg-timeout` and `x-thalweg-policy`."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

import msgspec

from thalweg.canon.errors import InvalidRequest
from thalweg.canon.policy import Leave, Waits, leave_of

TIMEOUT = b"x-thalweg-timeout"
POLICY = b"x-thalweg-policy"

_WAIT = re.compile(r"(?:(?P<name>[a-z-]+)\s*=\s*)?(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>ms|s)?")
_WAITS = {name.removesuffix("_s").replace("_", "-"): name for name in Waits.__struct_fields__ if name.endswith("_s")}
_FLOOR = "floor"
_LONGEST_S = 86_400.0


class Wishes(msgspec.Struct, frozen=True):
    """What one request says of its attempts."""

    waits: Waits = Waits()
    leave: Leave | None = None


NO_WISHES = Wishes()


def wishes_of(fields: Mapping[bytes, bytes]) -> Wishes:
    """The wishes in a request's header. Raises `InvalidRequest` that names it."""
    timeout, policy = fields.get(TIMEOUT), fields.get(POLICY)
    if timeout is None and policy is None:
        return NO_WISHES
    return Wishes(
        Waits() if timeout is None else _waits(timeout.decode("latin-1")),
        None if policy is None else _leave(policy.decode("latin-1")),
    )


def _waits(text: str) -> Waits:
    """`30` for the whole answer, or a list such as `first-content=5s, gap=500ms, floor=10`. Seconds without a unit."""
    said: dict[str, float] = {}
    for part in text.split(","):
        match = _WAIT.fullmatch(part.strip().lower())
        name = match["name"] or "whole" if match else ""
        field = "floor_tokens_per_s" if name == _FLOOR else _WAITS.get(name)
        if match is None or field is None or (name == _FLOOR and match["unit"]):
            names = ", ".join([*_WAITS, _FLOOR])
            raise _wrong(TIMEOUT, f"must be seconds, or a list of NAME=SECONDS with names of: {names}")
        value = float(match["number"]) / (1000 if match["unit"] == "ms" else 1)
        if not 0 < value <= _LONGEST_S or not math.isfinite(value):
            raise _wrong(TIMEOUT, "must have values of more than 0 and up to a day")
        said[field] = value
    return Waits(**said)


def _leave(text: str) -> Leave:
    try:
        leave = leave_of(text)
    except ValueError as error:
        raise _wrong(POLICY, str(error)) from error
    if leave.kind == "keep":
        raise _wrong(POLICY, "cannot be 'keep': this gateway keeps no streams yet")
    return leave


def _wrong(header: bytes, what: str) -> InvalidRequest:
    name = header.decode()
    return InvalidRequest(f"The header {name} {what}.", param=name)
