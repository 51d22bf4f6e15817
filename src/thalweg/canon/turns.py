"""Puts the talk of a request into the order that every upstream takes, whoever's dialect it came in.

Messages of one role in a row become one. All results of an assistant's calls stand directly after it, first in the
user's turn, in the order of the calls; a call that nobody answered gets a result that says so. Ids of calls get a form
that fits everywhere.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from msgspec.structs import replace

from thalweg.canon.errors import InvalidRequest
from thalweg.canon.ids import call_id
from thalweg.canon.losses import Losses
from thalweg.canon.parts import Part, Text, ToolCall, ToolResult
from thalweg.canon.request import Message

NO_RESULT = "No result was provided."
"""What stands in the place of a result that is missing."""


def arrange(messages: Iterable[Message], losses: Losses) -> tuple[Message, ...]:
    """The messages in order. A missing result is approximated; one without its call is refused, and for a lenient
    client becomes text.
    """
    merged = tuple(_merged(replace(each, parts=tuple(map(_with_ids, each.parts))) for each in messages))
    out: list[Message] = []
    at = 0
    while at < len(merged):
        message = merged[at]
        at += 1
        if message.role != "assistant":
            out.append(_without_orphans(message, losses))
            continue
        following: list[Message] = []
        while at < len(merged) and merged[at].role != "assistant":
            following.append(merged[at])
            at += 1
        out.append(message)
        out += _answered(message, following, losses)
    return tuple(_merged(each for each in out if each.parts))


def _merged(messages: Iterable[Message]) -> Iterator[Message]:
    """One message for each run of one role and name. Instructions stay apart."""
    held: Message | None = None
    for message in messages:
        if held is not None and held.role == message.role != "system" and held.name == message.name:
            held = replace(held, parts=held.parts + message.parts)
            continue
        if held is not None:
            yield held
        held = message
    if held is not None:
        yield held


def _with_ids(part: Part) -> Part:
    if isinstance(part, ToolCall):
        return replace(part, id=call_id(part.id))
    if isinstance(part, ToolResult):
        return replace(part, call_id=call_id(part.call_id))
    return part


def _answered(said: Message, following: list[Message], losses: Losses) -> list[Message]:
    """What comes after an assistant's turn, its results first."""
    calls = [part for part in said.parts if isinstance(part, ToolCall) and part.kind != "server"]
    if not following:
        return []
    found: dict[str, list[ToolResult]] = {call.id: [] for call in calls}
    rest: list[Message] = []
    for message in following:
        kept: list[Part] = []
        for part in message.parts:
            if not isinstance(part, ToolResult):
                kept.append(part)
            elif part.call_id in found:
                found[part.call_id].append(part)
            else:
                kept += _orphan(part, losses)
        rest.append(replace(message, parts=tuple(kept)))
    left = Counter(call.id for call in calls)
    results = tuple(_taken(call, found[call.id], left, losses) for call in calls)
    return [Message(role="user", parts=results), *rest] if results else rest


def _taken(call: ToolCall, found: list[ToolResult], left: Counter[str], losses: Losses) -> ToolResult:
    """The result of a call: of several, the next one; the last call of its id gets all that are left, in one."""
    left[call.id] -= 1
    if not found:
        losses.approximate("messages", "a tool call has no result")
        return ToolResult(call_id=call.id, parts=(Text(text=NO_RESULT),), name=call.name, is_error=True)
    taken = found.pop(0)
    while found and not left[call.id]:
        more = found.pop(0)
        taken = replace(taken, parts=taken.parts + more.parts, is_error=taken.is_error or more.is_error)
    return taken


def _without_orphans(message: Message, losses: Losses) -> Message:
    if not any(isinstance(part, ToolResult) for part in message.parts):
        return message
    kept: list[Part] = []
    for part in message.parts:
        kept += _orphan(part, losses) if isinstance(part, ToolResult) else [part]
    return replace(message, parts=tuple(kept))


def _orphan(part: ToolResult, losses: Losses) -> list[Part]:
    if losses.strictness != "lenient":
        what = "a tool result belongs to no tool call of the assistant's turn before it"
        raise InvalidRequest(f"Invalid value for 'messages': {what}.", param="messages", code="invalid_value")
    losses.approximate("messages", "a tool result has no call")
    return list(part.parts)
