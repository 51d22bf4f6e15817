"""Whether and how much a model shall think, in the words it takes: by effort, or in tokens."""

from __future__ import annotations

from typing import Any

import msgspec

from thalweg.canon.effort import effort_of_budget
from thalweg.canon.losses import Losses
from thalweg.canon.request import ReasoningAsk, Request
from thalweg.dialects.anthropic_messages.tables import (
    AUTO_BUDGET,
    BUDGETS,
    DEFAULT_MOST_OUTPUT,
    LEAST_BUDGET,
    ModelRow,
)

_FIELD = "reasoning"
"""What it is called where it is lost."""
_EFFORTS = {"minimal": "low", "low": "low", "medium": "medium", "high": "high", "xhigh": "xhigh", "max": "max"}


class Plan(msgspec.Struct, frozen=True):
    """What a request says of thinking, and how much may be made."""

    max_tokens: int
    thinking: dict[str, Any] | None = None
    effort: str | None = None

    @property
    def is_on(self) -> bool:
        """Whether the model is told to think."""
        return self.thinking is not None and self.thinking["type"] != "disabled"


def plan_thinking(asked: Request, row: ModelRow, *, forced: bool, unsigned: bool, losses: Losses) -> Plan:
    """The plan for one request. `forced`: a tool must be called. `unsigned`: the last turn called tools, and has no
    thought of Anthropic's at its beginning. Neither bears thinking in tokens.
    """
    ask, given = asked.reasoning, asked.sampling.max_tokens
    most = min(row.most_output, DEFAULT_MOST_OUTPUT) if given is None else given
    if ask.mode == "budget" and (ask.budget_tokens or 0) <= 0:
        ask = ReasoningAsk(mode="off")
    if row.thinking == "adaptive":
        thinking, effort = _adaptive(ask, row, losses)
        return Plan(most, thinking, effort)
    if ask.mode in ("default", "off"):
        return Plan(most)
    reason = _hindrance(row, given, forced=forced, unsigned=unsigned)
    if reason is not None:
        losses.approximate(_FIELD, reason)
        return Plan(most)
    wanted = max(_tokens(ask), LEAST_BUDGET)
    room = row.most_output if given is None else given
    budget = min(wanted, max(room - LEAST_BUDGET, LEAST_BUDGET))
    if budget < wanted:
        losses.approximate(_FIELD, f"of {room} tokens no more than {budget} can be thought")
    if given is None:
        most = min(max(most, budget + LEAST_BUDGET), row.most_output)
    return Plan(most, {"type": "enabled", "budget_tokens": budget})


def _hindrance(row: ModelRow, given: int | None, *, forced: bool, unsigned: bool) -> str | None:
    """Why a model that is told in tokens cannot think this time."""
    if row.thinking == "none":
        return "the model does not think"
    if given is not None and given <= LEAST_BUDGET:
        return f"thinking takes more than {LEAST_BUDGET} tokens"
    if forced:
        return "the model may not think where a tool is forced"
    if unsigned:
        return "the thoughts behind the last tool calls are not this model's"
    return None


def _tokens(ask: ReasoningAsk) -> int:
    if ask.mode == "budget":
        return ask.budget_tokens or AUTO_BUDGET
    return BUDGETS.get(ask.effort or "", AUTO_BUDGET) if ask.mode == "effort" else AUTO_BUDGET


def _adaptive(ask: ReasoningAsk, row: ModelRow, losses: Losses) -> tuple[dict[str, Any] | None, str | None]:
    """`thinking` and the effort, for a model that chooses how much."""
    if ask.mode == "off":
        if row.can_be_off:
            return {"type": "disabled"}, None
        losses.approximate(_FIELD, "the model cannot be told not to think")
        return None, "low"
    if ask.mode == "default":
        # Unasked these models think and do not show it.
        shown = row.thinks_unasked and ask.show in ("summary", "auto")
        return (_shown(ask) if shown else None), None
    return _shown(ask), _effort(ask, row, losses)


def _shown(ask: ReasoningAsk) -> dict[str, Any]:
    return {"type": "adaptive", "display": "omitted" if ask.show == "none" else "summarized"}


def _effort(ask: ReasoningAsk, row: ModelRow, losses: Losses) -> str | None:
    if ask.mode == "auto":
        return None
    wanted = ask.effort
    if ask.mode == "budget":
        losses.approximate(_FIELD, "the model takes an effort and no budget")
        wanted = effort_of_budget(ask.budget_tokens or 0)
    effort = _EFFORTS.get(wanted or "")
    return "max" if effort == "xhigh" and not row.xhigh else effort
