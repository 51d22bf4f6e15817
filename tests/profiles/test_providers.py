"""The rows of providers: that each is whole, that no two claim the same, and which facts hold for which model."""

from __future__ import annotations

import re
from collections import Counter
from itertools import product
from typing import Any
from urllib.parse import urlsplit

import pytest

from thalweg.dialects.anthropic_messages import tables as anthropic_tables
from thalweg.dialects.gemini import tables as gemini_tables
from thalweg.dialects.openai_chat import repairs as chat_repairs
from thalweg.dialects.openai_responses import repairs as responses_repairs
from thalweg.profiles.base import Profile, Provider, Thinking
from thalweg.profiles.providers import (
    ANTHROPIC_REPAIRS,
    CHAT_REPAIRS,
    GEMINI_REPAIRS,
    MODELS_DATE,
    PROVIDERS,
    RESPONSES_REPAIRS,
    SIMULATOR,
    SIMULATORS,
    compatible,
)

each = pytest.mark.parametrize("row", PROVIDERS, ids=lambda row: row.name)
NAMES = [row.name for row in PROVIDERS]
ROWS = {row.name: row for row in PROVIDERS}
MAIN = [row for row in PROVIDERS if not row.sibling_of]
SECOND = [row for row in PROVIDERS if row.sibling_of]
REPAIRS = {
    "openai-chat": CHAT_REPAIRS,
    "openai-responses": RESPONSES_REPAIRS,
    "anthropic": ANTHROPIC_REPAIRS,
    "gemini": GEMINI_REPAIRS,
    "dashscope-native": frozenset[str](),
}
"""What is mended of each dialect's streams."""


def test_these_are_the_providers() -> None:
    hosted = ["openai", "anthropic", "google", "ark", "ling", "dashscope", "deepseek", "moonshot", "zhipu"]
    relays, engines = ["openrouter", "siliconflow"], ["vllm", "ollama", "llamacpp", "lmstudio"]
    assert [row.name for row in MAIN] == [*hosted, *relays, *engines]
    assert {row.name: row.sibling_of for row in SECOND} == {
        "openai-responses": "openai",
        "ark-responses": "ark",
        "dashscope-native": "dashscope",
    }
    assert re.fullmatch(r"20\d\d-\d\d", MODELS_DATE)


@each
def test_a_row_is_whole(row: Provider) -> None:
    assert re.fullmatch(r"[a-z]+(-[a-z]+)?", row.name)
    assert row.title
    assert row.dialect in REPAIRS
    assert row.key_header == row.key_header.lower()
    assert row.base_url.startswith("https://" if row.needs_key else "http://127.0.0.1:")
    assert re.fullmatch(r"[A-Z_]+_BASE_URL", row.base_url_variable)
    assert row.key_variables
    assert all(re.fullmatch(r"[A-Z_]+_API_KEY", name) for name in row.key_variables)
    assert set(row.base_url_of_key) <= set(row.key_variables)
    assert (row.local is None) is row.needs_key
    assert all(prefix == prefix.lower() for prefix in row.model_prefixes)
    assert all(prefix == prefix.lower() for models in row.model_rows for prefix in models.prefixes)


def test_no_two_rows_have_a_name_a_variable_or_an_address_in_common() -> None:
    claimed = Counter(NAMES)
    for row in MAIN:
        claimed.update([row.base_url, row.base_url_variable, *row.key_variables, *row.base_url_of_key.values()])
    assert max(claimed.values()) == 1


@pytest.mark.parametrize("row", SECOND, ids=lambda row: row.name)
def test_a_second_dialect_is_of_the_same_host_with_the_same_key(row: Provider) -> None:
    main = ROWS[row.sibling_of]
    assert not main.sibling_of
    assert row.name.startswith(f"{main.name}-")
    assert row.dialect != main.dialect
    assert (row.key_variables, row.key_header, row.needs_key) == (main.key_variables, main.key_header, main.needs_key)
    assert urlsplit(row.base_url).netloc == urlsplit(main.base_url).netloc
    assert (row.base_url == main.base_url) is (row.base_url_variable == main.base_url_variable)
    # People are told of the main row's.
    assert (row.models, row.model_prefixes, row.local) == ((), (), None)


@pytest.mark.parametrize("name", ["ark-responses", "dashscope-native"])
def test_a_second_dialect_s_models_think_as_the_first_s_do(name: str) -> None:
    row = ROWS[name]
    main = ROWS[row.sibling_of]
    assert row.profile.thinking == main.profile.thinking
    assert _differing(row) == _differing(main)


def _differing(row: Provider) -> list[tuple[tuple[str, ...], Thinking, bool]]:
    """The models that think otherwise than the provider's others, or answer otherwise."""
    usual = (row.profile.thinking, row.profile.stream_only)
    rows = [(models.prefixes, models.profile.thinking, models.profile.stream_only) for models in row.model_rows]
    return [each for each in rows if each[1:] != usual]


def test_what_is_mended_is_what_the_dialects_can_mend() -> None:
    assert {row.name for row in chat_repairs.ROWS} == CHAT_REPAIRS
    assert {row.name for row in responses_repairs.ROWS} == RESPONSES_REPAIRS
    assert anthropic_tables.ANTHROPIC_REPAIRS == ANTHROPIC_REPAIRS
    assert gemini_tables.GEMINI_REPAIRS == GEMINI_REPAIRS


def test_no_provider_has_one_dialect_twice() -> None:
    spoken = Counter((row.sibling_of or row.name, row.dialect) for row in PROVIDERS)
    assert max(spoken.values()) == 1


@pytest.mark.parametrize(
    ("name", "header"), [("openai", "authorization"), ("anthropic", "x-api-key"), ("google", "x-goog-api-key")]
)
def test_some_have_a_header_of_their_own_for_the_key(name: str, header: str) -> None:
    assert ROWS[name].key_header == header
    assert (header == "authorization") is (ROWS[name].dialect.startswith("openai"))


def test_no_family_is_two_providers() -> None:
    families = [(row.name, prefix) for row in PROVIDERS for prefix in row.model_prefixes]
    assert not [
        (one, other)
        for (one, a), (other, b) in product(families, families)
        if one != other and (a.startswith(b) or b.startswith(a))
    ]


@each
def test_a_model_that_is_named_bare_leads_back_to_its_row(row: Provider) -> None:
    for model in row.models:
        if row.model_prefixes and "/" not in model:
            assert model.lower().startswith(row.model_prefixes), model


@each
def test_every_mend_is_on_but_ark_s_repeated_role(row: Provider) -> None:
    without = {"role"} if row.name == "ark" else set()
    assert row.profile.repairs == REPAIRS[row.dialect] - without
    assert all(models.profile.repairs == row.profile.repairs for models in row.model_rows)


@each
def test_usage_is_asked_of_everyone_and_in_every_chunk_where_there_is_a_word_for_it(row: Provider) -> None:
    assert row.profile.asks_usage
    words = {"ark": "chunk_include_usage", "vllm": "continuous_usage_stats"}
    assert row.profile.chunk_usage == words.get(row.name)


STREAM_ONLY = {
    ("dashscope", "qwq-32b"): True,
    ("dashscope", "QwQ-Plus"): True,
    ("dashscope", "qvq-max"): True,
    ("dashscope", "qwen-omni-turbo"): True,
    ("dashscope", "qwen2.5-omni-7b"): True,
    ("dashscope", "qwen3-omni-flash"): True,
    ("dashscope", "qwen3-235b-a22b"): True,
    ("dashscope", "qwen3-0.6b"): True,
    ("dashscope", "qwen3-next-80b-a3b-thinking"): True,
    ("dashscope", "qwen3-vl-235b-a22b-thinking"): True,
    ("dashscope", "qwen-plus"): False,
    ("dashscope", "qwen3-max"): False,
    ("dashscope", "qwen3-vl-plus"): False,
    ("dashscope", "antdigital/Ling-3.1-flash"): False,
    ("siliconflow", "Qwen/QwQ-32B"): False,
    ("openai", "qwq-32b"): False,
}


@pytest.mark.parametrize(("provider", "model"), STREAM_ONLY)
def test_some_models_only_stream(provider: str, model: str) -> None:
    for row in PROVIDERS:
        if provider in (row.name, row.sibling_of):
            assert row.profile_of(model).stream_only is STREAM_ONLY[provider, model]


@pytest.mark.parametrize(
    ("provider", "model", "default"),
    [
        ("deepseek", "deepseek-v4-flash", "on"),
        ("deepseek", "deepseek-reasoner", "always"),
        ("deepseek", "deepseek-chat", "off"),
        ("dashscope", "qwen-plus", "off"),
        ("dashscope", "qwen3-8b", "on"),
        ("dashscope", "qwq-plus", "always"),
        ("openai", "gpt-5.4-mini", "unknown"),
    ],
)
def test_some_models_think_unasked(provider: str, model: str, default: str) -> None:
    for row in PROVIDERS:
        if provider in (row.name, row.sibling_of):
            assert row.profile_of(model).thinking.default == default


def test_an_added_provider_takes_nothing_for_granted() -> None:
    row = compatible("relay", base_url="http://relay/v1", base_url_variable="A", key_variable="B")
    assert (row.needs_key, row.key_variable, row.models, row.model_prefixes) == (False, "B", (), ())
    assert row.profile == Profile(repairs=CHAT_REPAIRS)


def test_the_simulator_has_no_variable_and_no_address() -> None:
    for row in SIMULATORS.values():
        assert (row.key_variable, row.base_url_variable, row.needs_key) == ("", "", False)
        assert ".invalid" in row.base_url
        assert not row.models


def test_the_simulator_speaks_whatever_its_client_does_or_each_dialect_under_a_name_of_its_own() -> None:
    assert (SIMULATORS["sim"], SIMULATOR.dialect) == (SIMULATOR, "")
    assert {row.dialect for row in SIMULATORS.values()} == {"", *REPAIRS}
    assert not SIMULATORS.keys() & set(NAMES)
    assert all(row.profile.repairs == frozenset[str]().union(*REPAIRS.values()) for row in SIMULATORS.values())


def test_the_simulator_opens_the_addresses_that_its_dialect_has_words_for() -> None:
    google = next(row.profile for row in PROVIDERS if row.name == "google")
    for row in SIMULATORS.values():
        taken = (row.profile.media_urls, row.profile.media_url_prefixes)
        if row.dialect == "gemini":
            assert taken == (google.media_urls, google.media_url_prefixes)
        else:
            assert taken == ({"image", "audio", "video", "document"}, ())


@each
def test_rows_are_values(row: Any) -> None:
    with pytest.raises(AttributeError):
        row.name = "other"
