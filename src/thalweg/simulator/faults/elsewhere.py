"""Faults that take another form in another dialect than Chat's, and those that have none there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import msgspec

from thalweg.canon.errors import InvalidRequest
from thalweg.canon.script import SendBody
from thalweg.canon.usage import Usage
from thalweg.dialects.base import Dialect
from thalweg.simulator.delivery import Sent
from thalweg.simulator.faults.events import EventFault, without_arguments
from thalweg.simulator.faults.frames import FrameFault, edited
from thalweg.simulator.paths import ANTHROPIC, DASHSCOPE, GEMINI, RESPONSES
from thalweg.simulator.performance import Order
from thalweg.simulator.turn import input_tokens

Tree = dict[str, Any]

_LATE = "usage is told at the end alone there"
_SO_ALWAYS = "it is always so there"
_NO_INDEX = "a call has no index of its own there"
_OBJECTS = "arguments are an object there"
_NO_LINES = "its stream is a JSON array, which has no lines of events"

_SENSELESS: dict[str, dict[str, str]] = {
    "usage-early": {RESPONSES: _LATE},
    "usage-shrinking": {RESPONSES: _LATE},
    "usage-beside-finish": dict.fromkeys((RESPONSES, ANTHROPIC, GEMINI, DASHSCOPE), _SO_ALWAYS),
    "tool-index-missing": dict.fromkeys((RESPONSES, ANTHROPIC, GEMINI), _NO_INDEX),
    "tool-index-repeated": dict.fromkeys((RESPONSES, ANTHROPIC, GEMINI), _NO_INDEX),
    "tool-index-interleaved": dict.fromkeys((RESPONSES, ANTHROPIC, GEMINI), _NO_INDEX),
    "args-broken": {GEMINI: _OBJECTS},
}
"""Faults without a meaning, by dialect, and why."""
_OF_LINES = ("comments", "crlf", "cr", "no-space", "multi-line")


def has_meaning(fault: str, dialect: str) -> bool:
    """Whether a fault can be asked for in a dialect."""
    return dialect not in _SENSELESS.get(fault, {})


def check(dialect: str, order: Order) -> None:
    """Refuse faults that have no meaning in a dialect. Raises `InvalidRequest`."""
    for fault in order.knobs.fault:
        why = _SENSELESS.get(fault, {}).get(dialect)
        if why is None and order.asked.framing == "json-array" and order.asked.stream and fault in _OF_LINES:
            why = _NO_LINES
        if why is not None:
            message = f"The fault '{fault}' has no meaning in the dialect {dialect}: {why}."
            raise InvalidRequest(message, code="invalid_value")


class _Reports(NamedTuple):
    """How usage is told in the frames of a dialect."""

    tell: Callable[[Tree, Usage], bool]
    """Put it into a frame; whether this is the place."""
    leave_out: Callable[[Tree], None]


def _tell_at_start(tree: Tree, usage: Usage) -> bool:
    if tree.get("type") != "message_start":
        return False
    tree["message"]["usage"] |= {"input_tokens": usage.input_tokens, "output_tokens": usage.output_tokens}
    return True


def _leave_out_of_delta(tree: Tree) -> None:
    if tree.get("type") == "message_delta":
        tree.pop("usage", None)


def _tell_in_chunk(tree: Tree, usage: Usage) -> bool:
    taken, made = usage.input_tokens or 0, usage.output_tokens or 0
    told = {"promptTokenCount": taken, "candidatesTokenCount": made, "totalTokenCount": taken + made}
    tree["usageMetadata"] = told
    return True


def _leave_out_of_chunk(tree: Tree) -> None:
    tree.pop("usageMetadata", None)


def _tell_in_frame(tree: Tree, usage: Usage) -> bool:
    taken, made = usage.input_tokens or 0, usage.output_tokens or 0
    tree["usage"] = {"total_tokens": taken + made, "output_tokens": made, "input_tokens": taken}
    return True


def _leave_out_of_frame(tree: Tree) -> None:
    tree["usage"] = {}


_REPORTS = {
    ANTHROPIC: _Reports(_tell_at_start, _leave_out_of_delta),
    GEMINI: _Reports(_tell_in_chunk, _leave_out_of_chunk),
    DASHSCOPE: _Reports(_tell_in_frame, _leave_out_of_frame),
}


def _usage_early(sent: Iterator[Sent], dialect: Dialect, order: Order) -> Iterator[Sent]:
    usage = Usage(input_tokens=input_tokens(order.asked), output_tokens=max(1, order.knobs.at - 1))
    reports = _REPORTS[dialect.name]
    return _told(sent, dialect.name, order, usage, reports.leave_out)


def _usage_shrinking(sent: Iterator[Sent], dialect: Dialect, order: Order) -> Iterator[Sent]:
    usage = Usage(input_tokens=input_tokens(order.asked) * 2, output_tokens=1_000_000)
    return _told(sent, dialect.name, order, usage, lambda _: None)


def _told(
    sent: Iterator[Sent], dialect: str, order: Order, usage: Usage, afterwards: Callable[[Tree], None]
) -> Iterator[Sent]:
    """Usage in the frame of delta `at`, or in the first that has a place for it."""
    tell, told = _REPORTS[dialect].tell, False
    at = 0 if dialect == ANTHROPIC else order.knobs.at

    def change(tree: Tree) -> None:
        nonlocal told
        if told:
            afterwards(tree)
        else:
            told = tell(tree, usage)

    for each in sent:
        if isinstance(each.step, SendBody) and each.number >= at:
            yield Sent(each.number, SendBody(edited(each.step.data, change)))
        else:
            yield each


def _forget_message(tree: Tree) -> None:
    tree.pop("usage", None)
    if isinstance(tree.get("message"), dict):
        tree["message"].pop("usage", None)


def _forget_response(tree: Tree) -> None:
    for place in (tree, tree.get("response")):
        if isinstance(place, dict) and place.get("usage") is not None:
            place["usage"] = None


_FORGET: dict[str, Callable[[Tree], None]] = {ANTHROPIC: _forget_message, RESPONSES: _forget_response}


def _usage_missing(sent: Iterator[Sent], dialect: Dialect, order: Order) -> Iterator[Sent]:
    """No number at all, where the dialect would say zeros."""
    forget = _FORGET[dialect.name]
    change = edited if order.asked.stream else _edited_whole
    for number, step in sent:
        yield Sent(number, SendBody(change(step.data, forget)) if isinstance(step, SendBody) else step)


def _edited_whole(body: bytes, edit: Callable[[Tree], None]) -> bytes:
    tree = msgspec.json.decode(body)
    edit(tree)
    return msgspec.json.encode(tree)


FRAMES_ELSEWHERE: dict[tuple[str, str], FrameFault] = {
    **dict.fromkeys((("usage-early", dialect) for dialect in _REPORTS), _usage_early),
    **dict.fromkeys((("usage-shrinking", dialect) for dialect in _REPORTS), _usage_shrinking),
    **dict.fromkeys((("usage-missing", dialect) for dialect in _FORGET), _usage_missing),
}
"""By name and dialect. What else is here for another dialect is not applied to it."""

WHOLE_ELSEWHERE: dict[tuple[str, str], FrameFault] = dict.fromkeys(
    (("usage-missing", dialect) for dialect in _FORGET), _usage_missing
)
"""Those that whole answers have, too."""

EVENTS_ELSEWHERE: dict[tuple[str, str], EventFault] = dict.fromkeys(
    (("args-empty", dialect) for dialect in (RESPONSES, ANTHROPIC, GEMINI)), without_arguments
)
"""Those that are a matter of events there."""
