"""The switches by which providers let a model think: each reads one field of a request's body.

`None` means that the request does not say. Where a manner has several switches, the first that says something holds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from thalweg.canon.request import ReasoningAsk

Body = Mapping[str, Any]
Switch = Callable[[Body], ReasoningAsk | None]

OFF = ReasoningAsk(mode="off")
ON = ReasoningAsk(mode="auto")


def thinking_object(body: Body) -> ReasoningAsk | None:
    """`thinking`: an object with a `type`, and maybe `budget_tokens`."""
    asked = body.get("thinking")
    if not isinstance(asked, dict):
        return None
    if asked.get("type") == "disabled":
        return OFF
    return _within(asked.get("budget_tokens"))


def enable_thinking(body: Body) -> ReasoningAsk | None:
    """`enable_thinking`, and maybe `thinking_budget`."""
    asked = body.get("enable_thinking")
    if asked is None:
        return None
    return _within(body.get("thinking_budget")) if asked is True else OFF


def reasoning_effort(body: Body) -> ReasoningAsk | None:
    """`reasoning_effort`: a word; `none` is off."""
    return _effort(body.get("reasoning_effort"))


def reasoning_object(body: Body) -> ReasoningAsk | None:
    """`reasoning`: an object with an effort, a budget or a switch, and whether the thoughts are left out."""
    asked = body.get("reasoning")
    if not isinstance(asked, dict):
        return None
    if asked.get("enabled") is False:
        return OFF
    found = _effort(asked.get("effort")) or _within(asked.get("max_tokens"))
    if not asked.get("exclude"):
        return found
    return ReasoningAsk(mode=found.mode, effort=found.effort, budget_tokens=found.budget_tokens, show="none")


def chat_template(body: Body) -> ReasoningAsk | None:
    """`chat_template_kwargs.enable_thinking`: what the model's template makes of it."""
    asked = body.get("chat_template_kwargs")
    switch = asked.get("enable_thinking") if isinstance(asked, dict) else None
    return None if switch is None else ON if switch else OFF


def _effort(effort: Any) -> ReasoningAsk | None:
    if not isinstance(effort, str):
        return None
    return OFF if effort == "none" else ReasoningAsk(mode="effort", effort=effort)


def _within(budget: Any) -> ReasoningAsk:
    return ReasoningAsk(mode="budget", budget_tokens=budget) if isinstance(budget, int) and budget > 0 else ON
