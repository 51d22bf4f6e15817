"""Faults instead of an answer: no connection, no headers, or a status that says no."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec

from thalweg.canon.errors import GatewayError, UpstreamRefused
from thalweg.canon.script import RefuseConnection, Stall, Step
from thalweg.dialects.base import Dialect, WireAnswer
from thalweg.simulator.delivery import whole_answer
from thalweg.simulator.knobs import Knobs

Instead = Callable[[Dialect, Knobs], Iterator[Step]]

RETRY_AFTER_S = 1
"""What the `-retry-after` variants ask for unless the `retry_after` knob says otherwise."""

_KINDS = {
    400: "invalid_request",
    401: "auth",
    402: "billing",
    403: "permission",
    404: "not_found",
    408: "request_timeout",
    409: "conflict",
    413: "too_large",
    429: "rate_limit",
    500: "server",
    502: "upstream_bad",
    503: "overloaded",
    504: "timeout",
    529: "overloaded",
}
_WITH_RETRY_AFTER = (429, 503)


def _refuse(_: Dialect, __: Knobs) -> Iterator[Step]:
    """The connection is closed before anything is said."""
    yield RefuseConnection()


def _hang(_: Dialect, __: Knobs) -> Iterator[Step]:
    """The request is taken and never answered."""
    yield Stall()


def _status(status: int, retry_after_s: int | None = None) -> Instead:
    def refuse(dialect: Dialect, knobs: Knobs) -> Iterator[Step]:
        error = UpstreamRefused(
            f"The simulated provider answers with status {status}, as it was asked to.",
            upstream_status=status,
            kind=_KINDS[status],
            status=status,
            retryable=status in (408, 409, 429) or status >= 500,
        )
        error.retry_after_s = knobs.retry_after or retry_after_s
        return say_status(dialect, error, status)

    refuse.__doc__ = f"Status {status}{' with retry-after' if retry_after_s is not None else ''} instead of an answer."
    return refuse


def say_status(dialect: Dialect, error: GatewayError, status: int) -> Iterator[Step]:
    """The answer that is an error with exactly this status."""
    return whole_answer(_with_status(dialect.encode_error(error), status))


def _with_status(wire: WireAnswer, status: int) -> WireAnswer:
    """An error with exactly this status, whichever its dialect has for that kind of fault."""
    if wire.status == status:
        return wire
    tree = msgspec.json.decode(wire.body)
    error = tree.get("error")
    if isinstance(error, dict) and isinstance(error.get("code"), int):
        error["code"] = status
    return msgspec.structs.replace(wire, status=status, body=msgspec.json.encode(tree))


INSTEAD: dict[str, Instead] = {
    "refuse": _refuse,
    "hang": _hang,
    **{f"http-{status}": _status(status) for status in _KINDS},
    **{f"http-{status}-retry-after": _status(status, RETRY_AFTER_S) for status in _WITH_RETRY_AFTER},
}
"""By name."""
