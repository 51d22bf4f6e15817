"""Writes a request for an Anthropic upstream, from another dialect's client.

What one field may be hangs on others and on the model: thinking in tokens forbids sampling and a forced tool, and wants
its signed thoughts back. So tools come first, then the plan for thinking, then everything else.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from thalweg.canon.losses import Losses
from thalweg.canon.request import Request
from thalweg.dialects.anthropic_messages.blocks import Block
from thalweg.dialects.anthropic_messages.history import History, is_unsigned, write_text
from thalweg.dialects.anthropic_messages.marks import limit
from thalweg.dialects.anthropic_messages.schema import Subset
from thalweg.dialects.anthropic_messages.tables import ModelRow, row_of
from thalweg.dialects.anthropic_messages.thinking import Plan, plan_thinking
from thalweg.dialects.anthropic_messages.tools import Toolbox
from thalweg.dialects.base import UpstreamBody
from thalweg.dialects.kit.body import too_deep
from thalweg.profiles.base import Profile

_JSON_ONLY = "Answer with one JSON object only, without any other text."
_SCHEMA_ONLY = "Answer with JSON only, without any other text, that fits this JSON Schema:\n"
_PERSONAL = re.compile(r".*@.*|\+?[\d\s().-]{7,}", re.DOTALL)
"""A mail address or a telephone number: Anthropic forbids both as names of users."""
_TIERS = {"auto": "auto", "default": "standard_only", "priority": "auto"}


def encode_request(asked: Request, *, model: str, profile: Profile, stream: bool, losses: Losses) -> UpstreamBody:
    """A request for an upstream, and what is to be undone in its answer."""
    try:
        return _encode(asked, model=model, profile=profile, stream=stream, losses=losses)
    except RecursionError as error:
        raise too_deep() from error


def _encode(asked: Request, *, model: str, profile: Profile, stream: bool, losses: Losses) -> UpstreamBody:
    row = row_of(model)
    toolbox = Toolbox(asked, row, losses)
    plan = plan_thinking(asked, row, forced=toolbox.forced, unsigned=is_unsigned(asked.messages), losses=losses)
    history = History(row, toolbox.names.alias, toolbox.wrapped, losses)
    messages = history.write(asked.messages)
    output, words = _output(asked, row, toolbox, losses)
    notes = [note for note in (toolbox.note, words) if note]
    system = [block for part in asked.system for block in write_text(part)] + history.system
    system += [{"type": "text", "text": note} for note in notes]
    if plan.effort is not None:
        output["effort"] = plan.effort
    wire: dict[str, Any] = {"model": model, "max_tokens": plan.max_tokens}
    optional: dict[str, Any] = {
        "system": system,
        "tools": toolbox.wire,
        "tool_choice": toolbox.choice,
        "thinking": plan.thinking,
        "output_config": output,
    }
    wire |= {name: value for name, value in optional.items() if value} | {"messages": messages}
    wire |= _sampling(asked, plan, row, losses) | _identity(asked, losses)
    if stream:
        wire["stream"] = True
    _leave_out(asked, losses)
    contents: list[Block] = [block for message in messages for block in message["content"]]
    limit([*toolbox.wire, *system, *contents], losses)
    for field in profile.refused_fields:
        wire.pop(field, None)
    return UpstreamBody(
        body=msgspec.json.encode(wire),
        stops=tuple(stop for stop in asked.sampling.stop if stop and not stop.strip()),
        tool_names=toolbox.names.back,
        wrapped_tools=frozenset(toolbox.wrapped),
        answer_tool=toolbox.answer_tool,
    )


def _output(asked: Request, row: ModelRow, toolbox: Toolbox, losses: Losses) -> tuple[dict[str, Any], str | None]:
    """`output_config`, and what of the answer's shape must be said in words."""
    output = asked.output
    if set(output.modalities) - {"text"}:
        losses.refuse("modalities", "the model answers in text only")
    if output.format == "json":
        losses.approximate("response_format", "the model is told in words")
        return {}, _JSON_ONLY
    if output.format != "json_schema" or toolbox.answer_tool:
        return {}, None
    if not row.structured:
        losses.approximate("response_format", "the model is told in words")
        return {}, _SCHEMA_ONLY + msgspec.json.encode(output.schema).decode()
    subset = Subset()
    schema = subset.of(output.schema)
    if subset.lost:
        losses.approximate("response_format", "its schema can say less")
    return {"format": {"type": "json_schema", "schema": schema}}, None


def _sampling(asked: Request, plan: Plan, row: ModelRow, losses: Losses) -> dict[str, Any]:
    sampling = asked.sampling
    wire: dict[str, Any] = {}
    stops = [stop for stop in sampling.stop if stop.strip()]
    if stops:
        wire["stop_sequences"] = stops
    given = {"temperature": sampling.temperature, "top_p": sampling.top_p, "top_k": sampling.top_k}
    for name, value in given.items():
        if value is None or (name == "temperature" and value == 1):
            continue  # 1 is the temperature that holds where none is said
        if plan.is_on or not row.samples:
            losses.drop(name, "the model does not take it" if not row.samples else "it may not stand with thinking")
        elif name == "top_p" and "temperature" in wire and not row.samples_both:
            losses.drop(name, "it may not stand with temperature")
        elif name == "temperature" and value > 1:
            losses.approximate(name, "it is at most 1")
            wire[name] = 1
        else:
            wire[name] = value
    return wire


def _identity(asked: Request, losses: Losses) -> dict[str, Any]:
    wire: dict[str, Any] = {}
    if asked.user and _PERSONAL.fullmatch(asked.user):
        losses.drop("user", "a mail address or telephone number may not be sent")
    elif asked.user:
        wire["metadata"] = {"user_id": asked.user}
    tier = asked.service_tier
    if tier in ("flex", "priority"):
        losses.approximate("service_tier", "the model's API has no such tier")
    if tier in _TIERS:
        wire["service_tier"] = _TIERS[tier]
    return wire


def _leave_out(asked: Request, losses: Losses) -> None:
    """Name what this dialect has no field for."""
    sampling = asked.sampling
    if sampling.n > 1:
        losses.refuse("n", "the model's API gives one answer at a time")
    lost: dict[str, Any] = {
        "presence_penalty": sampling.presence_penalty,
        "frequency_penalty": sampling.frequency_penalty,
        "seed": sampling.seed is not None,
        "logit_bias": sampling.logit_bias,
        "logprobs": sampling.logprobs,
        "top_logprobs": sampling.top_logprobs,
        "verbosity": asked.output.verbosity,
        "metadata": asked.metadata,
    }
    for name, value in lost.items():
        if value:
            losses.drop(name)
