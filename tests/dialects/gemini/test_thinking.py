"""How much each generation can be told to think."""

from __future__ import annotations

from typing import Any

import pytest

from thalweg.canon.request import ReasoningAsk
from thalweg.dialects.gemini.thinking import LATEST, Generation, generation, say

OFF, AUTO = ReasoningAsk(mode="off"), ReasoningAsk(mode="auto")


def effort(step: str) -> ReasoningAsk:
    return ReasoningAsk(mode="effort", effort=step)


def budget(tokens: int) -> ReasoningAsk:
    return ReasoningAsk(mode="budget", budget_tokens=tokens)


@pytest.mark.parametrize(
    ("model", "born"),
    [
        ("gemini-2.5-flash", (2, 5)),
        ("gemini-2.0-flash-001", (2, 0)),
        ("gemini-3-pro-preview", (3, 0)),
        ("google/gemini-3.1-flash", (3, 1)),
        ("models/gemini-1.5-pro-002", (1, 5)),
        ("Gemini-3", (3, 0)),
        ("gemini-flash-latest", LATEST),
        ("gemini-pro-latest", LATEST),
        ("gemma-3-27b-it", None),
        ("text-embedding-005", None),
        ("tunedModels/my-own-1", LATEST),
        ("reasoning?seed=1", LATEST),
    ],
)
def test_a_models_generation(model: str, born: Generation | None) -> None:
    assert generation(model) == born


SAID: list[tuple[str, ReasoningAsk, dict[str, Any], bool]] = [
    ("gemini-2.5-flash", ReasoningAsk(), {}, True),
    ("gemini-2.5-flash", OFF, {"thinkingBudget": 0}, True),
    ("gemini-2.5-pro", OFF, {"thinkingBudget": 128}, False),
    ("gemini-2.5-flash", AUTO, {"thinkingBudget": -1}, True),
    ("gemini-2.5-flash", effort("minimal"), {"thinkingBudget": 1024}, True),
    ("gemini-2.5-flash", effort("low"), {"thinkingBudget": 2048}, True),
    ("gemini-2.5-flash", effort("medium"), {"thinkingBudget": 8192}, True),
    ("gemini-2.5-flash", effort("high"), {"thinkingBudget": 16384}, True),
    ("gemini-2.5-flash", effort("xhigh"), {"thinkingBudget": 24576}, True),
    ("gemini-2.5-pro", effort("max"), {"thinkingBudget": 32768}, True),
    ("gemini-2.5-flash", budget(5000), {"thinkingBudget": 5000}, True),
    ("gemini-2.5-flash", budget(99999), {"thinkingBudget": 24576}, False),
    ("gemini-2.5-flash-lite", budget(100), {"thinkingBudget": 512}, False),
    ("gemini-2.5-pro", budget(1), {"thinkingBudget": 128}, False),
    ("gemini-3-pro", ReasoningAsk(), {}, True),
    ("gemini-3-pro", OFF, {"thinkingLevel": "LOW"}, False),
    ("gemini-3-flash", OFF, {"thinkingLevel": "MINIMAL"}, False),
    ("gemini-3.7-flash", OFF, {"thinkingLevel": "LOW"}, False),
    ("gemini-3.1-pro", effort("minimal"), {"thinkingLevel": "LOW"}, False),
    ("gemini-3-flash", effort("minimal"), {"thinkingLevel": "MINIMAL"}, True),
    ("gemini-3-pro", effort("low"), {"thinkingLevel": "LOW"}, True),
    ("gemini-3-pro", effort("medium"), {"thinkingLevel": "MEDIUM"}, True),
    ("gemini-3-pro", effort("high"), {"thinkingLevel": "HIGH"}, True),
    ("gemini-3-pro", effort("xhigh"), {"thinkingLevel": "HIGH"}, False),
    ("gemini-3-pro", effort("max"), {"thinkingLevel": "HIGH"}, False),
    ("gemini-3-pro", AUTO, {}, True),
    ("gemini-3-pro", budget(3000), {"thinkingLevel": "LOW"}, False),
    ("gemini-3-pro", budget(99999), {"thinkingLevel": "HIGH"}, False),
    ("gemini-2.0-flash", effort("high"), {}, False),
    ("gemini-2.0-flash", OFF, {}, True),
    ("gemma-3-27b-it", budget(100), {}, False),
    ("reasoning", effort("low"), {"thinkingLevel": "LOW"}, True),
    ("gemini-2.5-flash-image", effort("low"), {}, False),
]


@pytest.mark.parametrize(("model", "ask", "config", "whole"), SAID, ids=lambda value: str(value)[:40])
def test_what_is_said(model: str, ask: ReasoningAsk, config: dict[str, Any], whole: bool) -> None:
    assert say(ask, model, shown=False) == (config, whole)


@pytest.mark.parametrize(("model", "ask", "config", "whole"), SAID, ids=lambda value: str(value)[:40])
def test_never_a_budget_and_a_level_and_nothing_to_models_that_do_not_think(
    model: str, ask: ReasoningAsk, config: dict[str, Any], whole: bool
) -> None:
    said = say(ask, model, shown=True).config
    assert len(said.keys() & {"thinkingBudget", "thinkingLevel"}) <= 1
    thinks = model.startswith(("gemini-2.5", "gemini-3", "reasoning")) and "image" not in model
    assert said.get("includeThoughts", False) is thinks
