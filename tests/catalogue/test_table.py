"""The table that is shipped: whole, dated, and found by the names that models have."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from thalweg.canon.policy import PriceOverride
from thalweg.catalogue.price import RATES, Price, amounts_of
from thalweg.catalogue.table import TABLE, facts_of, price_of, table_date, table_source
from thalweg.profiles.providers import PROVIDERS

RAW: dict[str, Any] = json.loads(TABLE.read_text(encoding="utf-8"))
ROWS = [(each, row) for each in RAW["lists"] for row in each["models"]]


def test_it_says_when_and_from_where_it_is() -> None:
    assert re.fullmatch(r"2026-\d\d-\d\d", table_date())
    assert re.fullmatch(r"genai-prices \d+\.\d+\.\d+", table_source())
    assert table_date() in (Path(__file__).parents[2] / "docs" / "prices.md").read_text(encoding="utf-8")


def test_every_row_can_be_read_and_makes_sense() -> None:
    """All rows: each is looked up as its users do, by names that it says are its own."""
    known = {row.name for row in PROVIDERS}
    assert len(ROWS) > 900
    for listed, row in ROWS:
        assert listed["provider"] in known
        assert listed["currency"] in ("USD", "CNY") or not any("price" in each for each in listed["models"])
        assert row["match"]
        assert all(pattern == pattern.lower() or pattern.startswith("/") for pattern in row["match"])
        for amounts in [row.get("price", {}), *(amounts for _, amounts in row.get("tiers", []))]:
            assert amounts.keys() <= set(RATES)
            # The dearest model of its day took 600 dollars for a million tokens.
            assert all(0 <= Decimal(amount) <= 1000 for amount in amounts.values())
        assert [above for above, _ in row.get("tiers", [])] == sorted({above for above, _ in row.get("tiers", [])})
        for name in [pattern for pattern in row["match"] if pattern[0] != "/" and "*" not in pattern]:
            assert facts_of(listed["provider"], name) is not None
            for host in listed["hosts"]:
                price_of(listed["provider"], name, host=host)


def test_no_row_of_ours_is_without_its_source() -> None:
    assert all(row["source"] for listed, row in ROWS if listed["currency"] == "CNY")


def test_prices_of_the_providers_that_are_known_are_there() -> None:
    for provider, model in [("openai", "gpt-5"), ("anthropic", "claude-sonnet-4-6"), ("google", "gemini-2.5-pro"),
                            ("deepseek", "deepseek-v4-pro"), ("moonshot", "kimi-k3"), ("zhipu", "glm-5.3"),
                            ("openrouter", "anthropic/claude-sonnet-4.6")]:  # fmt: skip
        found = price_of(provider, model)
        assert found is not None
        assert found.rates.output >= found.rates.input > 0
        assert found.date == table_date()


FOUND = [
    ("openai", "gpt-5", "", "USD", {"input": "1.25", "output": "10", "cached_input": "0.125"}),
    ("openai", "GPT-5", "", "USD", {"input": "1.25", "output": "10", "cached_input": "0.125"}),
    ("openai-responses", "gpt-5", "", "USD", {"input": "1.25", "output": "10", "cached_input": "0.125"}),
    ("anthropic", "claude-sonnet-4-6-20260101", "", "USD",
     {"input": "3", "output": "15", "cached_input": "0.3", "cache_write": "3.75", "cache_write_1h": "6"}),
    ("zhipu", "glm-5.3", "", "CNY", {"input": "8", "output": "28", "cached_input": "2"}),
    ("zhipu", "glm-5.3", "open.bigmodel.cn", "CNY", {"input": "8", "output": "28", "cached_input": "2"}),
    ("zhipu", "glm-5.3", "api.z.ai", "USD", {"input": "1.4", "output": "4.4", "cached_input": "0.26"}),
]  # fmt: skip


@pytest.mark.parametrize(("provider", "model", "host", "currency", "amounts"), FOUND)
def test_a_price_is_found_by_the_name_that_a_model_has_there(
    provider: str, model: str, host: str, currency: str, amounts: dict[str, str]
) -> None:
    found = price_of(provider, model, host=host)
    assert found is not None
    assert (found.currency, amounts_of(found.rates)) == (currency, amounts)


@pytest.mark.parametrize(
    ("provider", "model", "host"),
    [
        ("openai", "gpt-5", "relay.example"),
        ("openai", "", ""),
        ("openai", "gpt-unheard-of", ""),
        ("openai", "openai/gpt-5", ""),
        ("openai", "gpt-image-2", ""),
        ("google", "gemini-2.5-flash-image", ""),
        ("moonshot", "kimi-k3", "api.moonshot.cn"),
        ("zhipu", "glm-4.7", ""),
        ("dashscope", "qwen-plus", ""),
        ("nobody", "gpt-5", ""),
        ("vllm", "gpt-5", ""),
    ],
)
def test_what_is_not_known_is_not_guessed(provider: str, model: str, host: str) -> None:
    assert price_of(provider, model, host=host) is None


def test_a_long_prompt_has_its_own_rates() -> None:
    found = price_of("google", "gemini-2.5-pro")
    assert found is not None
    (tier,) = found.tiers
    assert tier.above_input_tokens == 200_000
    assert found.rates_of(200_000) == found.rates
    assert found.rates_of(200_001) == tier.rates
    assert tier.rates.input > found.rates.input


def test_a_price_of_the_peak_hours_says_so() -> None:
    found = price_of("deepseek", "deepseek-v4-pro")
    assert found is not None
    assert "peak" in found.note


def test_facts_hold_wherever_a_provider_is() -> None:
    facts = facts_of("zhipu", "glm-4.7")
    assert facts is not None
    assert facts.context_window == 200_000
    known = facts_of("openai-responses", "gpt-5.4-mini")
    assert known is not None
    assert known.input_modalities is not None
    assert "image" in known.input_modalities
    assert facts_of("openai", "gpt-unheard-of") is None


OVERRIDE = PriceOverride(currency="CNY", input=Decimal("0.8"), output=Decimal(2))
CHEAPER = PriceOverride(currency="CNY", input=Decimal("0.5"), output=Decimal(1))


@pytest.mark.parametrize(
    ("name", "found"),
    [
        (("dashscope", "qwen-plus"), "0.8"),
        (("dashscope-native", "qwen-plus"), "0.8"),
        (("dashscope", "QWEN-PLUS"), "0.8"),
        (("dashscope", "qwen-max"), "0.5"),
        (("dashscope", "org/qwen"), "0.5"),
        (("ark", "qwen-plus"), None),
    ],
)
def test_the_longest_override_that_fits_is_taken(name: tuple[str, str], found: str | None) -> None:
    price: Price | None = price_of(*name, overrides={"dashscope/*": CHEAPER, "dashscope/qwen-plus": OVERRIDE})
    assert (price and amounts_of(price.rates)["input"]) == found
