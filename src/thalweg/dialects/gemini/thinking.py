"""How much a model of Gemini can be told to think, by generation: budgets in 2.5, levels from 3 on, nothing before.

Rows: mapping, section 10, and the gemini dossier, section 5, read 2026-11.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from thalweg.canon.effort import effort_of_budget
from thalweg.canon.request import ReasoningAsk

Generation = tuple[int, int]
LATEST: Generation = (3, 7)
"""What a name without a number means, and one that is not known here."""

_NUMBER = re.compile(r"gemini-(\d{1,2})(?:\.(\d{1,2}))?(?=[-@:]|$)")
_NO_GEMINI = ("gemma-", "learnlm-", "imagen-", "veo-", "lyria-", "aqa", "text-", "embedding-")
"""How names of Google's other models begin."""
_UNTHINKING = ("-image", "-tts", "-audio", "-embedding", "-live")
_BUDGETS = {"minimal": 1024, "low": 2048, "medium": 8192, "high": 16384}
"""Above `high` the model's own bound holds."""
_LEVELS = {"minimal": "MINIMAL", "low": "LOW", "medium": "MEDIUM", "high": "HIGH", "xhigh": "HIGH", "max": "HIGH"}
_MOST_FLASH, _MOST_PRO, _LEAST_PRO, _LEAST_LITE = 24_576, 32_768, 128, 512


class Said(NamedTuple):
    """`thinkingConfig`, and whether nothing of the wish is left out."""

    config: dict[str, Any]
    whole: bool = True


def generation(model: str) -> Generation | None:
    """The generation of a model, by its name; `None` where it is known to be no Gemini."""
    name = model.lower().rpartition("/")[2]
    if found := _NUMBER.match(name):
        return int(found[1]), int(found[2] or 0)
    return None if name.startswith(_NO_GEMINI) else LATEST


def say(ask: ReasoningAsk, model: str, *, shown: bool) -> Said:
    """The wish in this model's words; `shown` asks for the thoughts too."""
    born, name = generation(model), model.lower()
    thinks = born is not None and born >= (2, 5) and not any(mark in name for mark in _UNTHINKING)
    if not thinks or born is None:
        return Said({}, whole=ask.mode in ("default", "off", "auto") and ask.show in ("default", "none"))
    said = _level(ask, born, name) if born >= (3, 0) else _budget(ask, name)
    return Said(said.config | ({"includeThoughts": True} if shown else {}), said.whole)


def _level(ask: ReasoningAsk, born: Generation, name: str) -> Said:
    """Such a model cannot be told not to think."""
    least = "MINIMAL" if "flash" in name and born < (3, 7) else "LOW"
    if ask.mode == "off":
        return Said({"thinkingLevel": least}, whole=False)
    effort = effort_of_budget(ask.budget_tokens) if ask.mode == "budget" and ask.budget_tokens else ask.effort
    if ask.mode not in ("effort", "budget") or effort is None:
        return Said({})
    level = _LEVELS.get(effort, "HIGH")
    level = least if level == "MINIMAL" else level
    return Said({"thinkingLevel": level}, whole=level == (ask.effort or "").upper())


def _budget(ask: ReasoningAsk, name: str) -> Said:
    pro = "pro" in name
    most = _MOST_PRO if pro else _MOST_FLASH
    if ask.mode == "off":
        return Said({"thinkingBudget": _LEAST_PRO if pro else 0}, whole=not pro)
    if ask.mode == "auto":
        return Said({"thinkingBudget": -1})
    if ask.mode == "effort":
        return Said({"thinkingBudget": _BUDGETS.get(ask.effort or "", most)})
    if ask.mode == "budget" and ask.budget_tokens:
        least = _LEAST_PRO if pro else _LEAST_LITE if "lite" in name else 1
        budget = min(max(ask.budget_tokens, least), most)
        return Said({"thinkingBudget": budget}, whole=budget == ask.budget_tokens)
    return Said({})
