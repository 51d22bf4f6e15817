"""Writes a whole answer in a provider's form."""

from __future__ import annotations

import random
from typing import Any

import msgspec

from thalweg.canon.usage import Usage
from thalweg.simulator.manners.figures import usage_values
from thalweg.simulator.manners.form import Facts
from thalweg.simulator.manners.shape import Slot, fill


def write_answer(plain: bytes, facts: Facts, usage: Usage | None) -> bytes:
    """The dialect's own whole answer, put into the form."""
    rng = random.Random(f"answer {facts.seed}")
    values = facts.head()
    choices = msgspec.json.decode(plain)["choices"]
    if usage is not None:
        counts = usage_values(usage, thinks=facts.thinks)
        values[Slot.USAGE] = fill(facts.form.usage, values | counts)
    values[Slot.CHOICES] = [_choice(choice, facts, rng) for choice in choices]
    return msgspec.json.encode(fill(facts.form.answer, values))


def _choice(choice: dict[str, Any], facts: Facts, rng: random.Random) -> dict[str, Any]:
    message, form, reason = choice["message"], facts.form, choice["finish_reason"]
    values: dict[Slot, Any] = {Slot.INDEX: choice["index"], Slot.FINISH: reason}
    values[Slot.NATIVE] = form.native.get(reason, reason)
    if message.get("content"):
        values[Slot.TEXT] = message["content"]
    if message.get("reasoning_content"):
        values[Slot.REASONING] = message["reasoning_content"]
    if calls := message.get("tool_calls"):
        values[Slot.CALLS] = [_call(call, number, facts, rng) for number, call in enumerate(calls)]
    shape = form.thinking_choice if Slot.REASONING in values else None
    return fill(shape or form.choice, values)


def _call(call: dict[str, Any], number: int, facts: Facts, rng: random.Random) -> dict[str, Any]:
    body = call.get("function") or call["custom"]
    values: dict[Slot, Any] = {
        Slot.CALL_INDEX: number,
        Slot.CALL_ID: facts.form.call_id(rng, body["name"], number),
        Slot.NAME: body["name"],
        Slot.ARGUMENTS: body.get("arguments") or body.get("input") or "",
    }
    return fill(facts.form.call, values)
