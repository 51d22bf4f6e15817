"""How a provider is told whether and how much to think: one small function for each switch that a profile may name.

More can be asked for than a provider takes. Then the nearest is said, and `Said.whole` is false.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from thalweg.canon.effort import effort_of_budget
from thalweg.canon.request import ReasoningAsk
from thalweg.profiles.base import Switch, Thinking

EFFORTS = frozenset({"none", "minimal", "low", "medium", "high", "xhigh", "max"})
"""The values of `reasoning_effort` that are known; any other is the provider's own and passes."""

_BUDGETS = {"minimal": 1024, "low": 2048, "medium": 8192, "high": 16384}
"""Tokens for an effort, where a budget is all that can be given; above `high` the model's own bound holds."""


class Said(NamedTuple):
    """The fields that say a wish."""

    fields: dict[str, Any]
    whole: bool = True
    """Whether nothing of the wish is left out."""


def say(ask: ReasoningAsk, thinking: Thinking) -> Said:
    """The wish in this provider's words; no fields where nothing was asked or nothing can be said."""
    if ask.mode == "default":
        return Said({})
    if ask.mode == "off" and thinking.default == "always":
        return Said({}, whole=False)
    return _SWITCHES[thinking.switch](ask, thinking)


def takes_effort(effort: str, thinking: Thinking) -> bool:
    """Whether `reasoning_effort` of that value is a field of the provider's own."""
    if thinking.efforts is None:
        return True
    return thinking.switch != "reasoning" and thinking.efforts.get(effort) == effort


def _say_effort(ask: ReasoningAsk, thinking: Thinking) -> Said:
    return Said({"reasoning_effort": "none"}) if ask.mode == "off" else _effort(ask, thinking)


def _say_thinking(ask: ReasoningAsk, thinking: Thinking) -> Said:
    if ask.mode == "off":
        return Said({"thinking": {"type": "disabled"}})
    enabled = {"type": "enabled"}
    if ask.budget_tokens and thinking.least_budget:
        budget = max(ask.budget_tokens, thinking.least_budget)
        return Said({"thinking": enabled | {"budget_tokens": budget}}, budget == ask.budget_tokens)
    effort = _effort(ask, thinking)
    if effort.fields and not thinking.on_with_effort:
        return effort
    return Said(effort.fields | {"thinking": enabled}, effort.whole)


def _say_enable_thinking(ask: ReasoningAsk, thinking: Thinking) -> Said:
    if ask.mode == "off":
        return Said({"enable_thinking": False})
    asked = ask.budget_tokens or _BUDGETS.get(ask.effort or "")
    budget = asked and max(asked, thinking.least_budget or 0)
    return Said({"enable_thinking": True} | ({"thinking_budget": budget} if budget else {}), budget == asked)


def _say_reasoning(ask: ReasoningAsk, thinking: Thinking) -> Said:
    if ask.budget_tokens:
        return Said({"reasoning": {"max_tokens": ask.budget_tokens}})
    effort = _effort(ask, thinking)
    if sent := effort.fields.get("reasoning_effort"):
        return Said({"reasoning": {"effort": sent}}, effort.whole)
    return Said({"reasoning": {"enabled": ask.mode != "off"}})


def _say_to_template(ask: ReasoningAsk, thinking: Thinking) -> Said:
    if ask.mode == "off":
        return Said({"chat_template_kwargs": {"enable_thinking": False}})
    effort = _effort(ask, thinking)
    return Said(effort.fields | {"chat_template_kwargs": {"enable_thinking": True}}, effort.whole)


_SWITCHES: dict[Switch, Callable[[ReasoningAsk, Thinking], Said]] = {
    "reasoning_effort": _say_effort,
    "thinking": _say_thinking,
    "enable_thinking": _say_enable_thinking,
    "reasoning": _say_reasoning,
    "chat_template_kwargs": _say_to_template,
}


def _effort(ask: ReasoningAsk, thinking: Thinking) -> Said:
    """`reasoning_effort` as the provider takes it; nothing where no strength is asked for, or none is taken."""
    asked = ask.effort or (None if ask.budget_tokens is None else effort_of_budget(ask.budget_tokens))
    if asked is None:
        return Said({})
    sent = asked if thinking.efforts is None else thinking.efforts.get(asked)
    return Said({"reasoning_effort": sent} if sent else {}, sent == ask.effort)
