"""Usage objects of Chat's providers, in the canon's words."""

from __future__ import annotations

from typing import Any

import pytest

from thalweg.canon.usage import Usage
from thalweg.dialects.openai_chat.tables import usage_to_canon

WHOLE = {"prompt_tokens": 9, "completion_tokens": 4}


@pytest.mark.parametrize(
    ("said", "read"),
    [
        pytest.param({}, {}, id="the wholes alone"),
        pytest.param({"prompt_tokens_details": None, "completion_tokens_details": 7}, {}, id="details that are none"),
        pytest.param({"cached_tokens": 3}, {"cached_input_tokens": 3}, id="Moonshot's place"),
        pytest.param({"prompt_cache_hit_tokens": 2, "cached_tokens": 3}, {"cached_input_tokens": 2}, id="DeepSeek's"),
        pytest.param(
            {"prompt_tokens_details": {"cached_tokens": 0}, "prompt_cache_hit_tokens": 2},
            {"cached_input_tokens": 0},
            id="the details before all others, also where they say 0",
        ),
        pytest.param(
            {"prompt_tokens_details": {"cached_tokens": "many"}, "prompt_cache_hit_tokens": 2.0},
            {"cached_input_tokens": 2},
            id="but not where they say nothing",
        ),
        pytest.param(
            {"prompt_tokens_details": {"cache_creation_input_tokens": 5, "audio_tokens": 1}},
            {"cache_write_tokens": 5, "audio_input_tokens": 1},
            id="the other name of what was written",
        ),
        pytest.param(
            {"prompt_tokens_details": {"cache_write_tokens": 0, "cache_creation_input_tokens": 5}},
            {"cache_write_tokens": 0},
            id="which comes second",
        ),
        pytest.param({"reasoning_tokens": 3}, {"reasoning_tokens": 3}, id="reasoning beside the wholes"),
        pytest.param(
            {"completion_tokens_details": {"reasoning_tokens": 1, "audio_tokens": 2}, "reasoning_tokens": 3},
            {"reasoning_tokens": 1, "audio_output_tokens": 2},
            id="and within",
        ),
        pytest.param(
            {"cached_tokens": 10, "reasoning_tokens": 5, "prompt_tokens_details": {"cache_write_tokens": 11}},
            {"cached_input_tokens": 9, "cache_write_tokens": 9, "reasoning_tokens": 4},
            id="no part is more than its whole",
        ),
    ],
)
def test_each_count_is_read_from_the_first_place_that_has_it(said: dict[str, Any], read: dict[str, int]) -> None:
    assert usage_to_canon(WHOLE | said) == Usage(**({"input_tokens": 9, "output_tokens": 4} | read))
