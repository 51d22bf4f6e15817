"""What a model's name can ask of the simulator, as a query: `text?seed=7&ttft=0.2&pace=50&fault=reset&at=3`."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl

import msgspec

from thalweg.canon.errors import InvalidRequest


class Knobs(msgspec.Struct, frozen=True, kw_only=True):
    """How an answer is made and delivered."""

    seed: int | None = None
    """Repeats an answer's random choices; `None` takes the request's own seed."""
    ttft: float = 0.02
    """Seconds before the first delta."""
    pace: float = 100.0
    """Deltas a second; 0 is as fast as they are taken."""
    jitter: float = 0.0
    """How far each gap may be off, as a part of it."""
    chunk: int = 1
    """Tokens in a delta."""
    tokens: int | None = None
    """Length of the answer's text; a longer one is the same text again, and the last words may be cut."""
    size: int | None = None
    """Characters in a token of `endless`; bytes that `big-frame` adds to a frame."""
    fault: tuple[str, ...] = ()
    """Faults by name, in the order they are applied."""
    at: int = 4
    """The delta a fault is placed at, counted from 1. Those before it arrive whole. A choice's finish counts as one
    more, and what follows the last finish as another; an answer that ends before it stays whole."""


_BOUNDS: dict[str, tuple[type[int] | type[float], float, float]] = {
    "seed": (int, 0, 2**63),
    "ttft": (float, 0, 3600),
    "pace": (float, 0, 1_000_000),
    "jitter": (float, 0, 1),
    "chunk": (int, 1, 1_000_000),
    "tokens": (int, 0, 1_000_000_000),
    "size": (int, 1, 64 * 1024 * 1024),
    "at": (int, 0, 1_000_000_000),
}


def read_name(model: str) -> tuple[str, dict[str, Any]]:
    """The model's bare name and the knobs that were turned. Raises `InvalidRequest` for an unknown knob or value."""
    name, _, query = model.partition("?")
    if not query:
        return name, {}
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=True, max_num_fields=32)
    except ValueError as error:
        raise _wrong(f"the query of the model's name is not of the form 'knob=value&knob=value': {query!r}") from error
    return name, {knob: _read(knob, value) for knob, value in pairs}


def _read(knob: str, text: str) -> Any:
    if knob == "fault":
        return tuple(filter(None, text.split(",")))
    if knob not in _BOUNDS:
        raise _wrong(f"unknown knob {knob!r}; there are {', '.join([*_BOUNDS, 'fault'])}")
    kind, least, most = _BOUNDS[knob]
    try:
        value = kind(text)
    except ValueError as error:
        raise _wrong(f"knob {knob!r} must be a number, not {text!r}") from error
    if not least <= value <= most:
        raise _wrong(f"knob {knob!r} must be from {least} to {most}, not {text}")
    return value


def _wrong(what: str) -> InvalidRequest:
    return InvalidRequest(f"Invalid value for 'model': {what}.", param="model", code="invalid_value")
