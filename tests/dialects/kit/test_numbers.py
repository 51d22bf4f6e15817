"""Counts as upstreams write them."""

from __future__ import annotations

from typing import Any

import pytest

from thalweg.canon.usage import MOST_TOKENS
from thalweg.dialects.kit.numbers import count, counts


@pytest.mark.parametrize(
    ("said", "read"),
    [
        (None, None),
        (0, 0),
        (7, 7),
        (7.0, 7),
        (MOST_TOKENS, MOST_TOKENS),
        pytest.param(MOST_TOKENS + 1, None, id="more than any answer has"),
        pytest.param(2**200, None, id="longer than a word"),
        pytest.param(1e300, None, id="a float out of all bounds"),
        pytest.param(float("nan"), None, id="no number"),
        pytest.param(-1, None, id="negative"),
        pytest.param(True, None, id="a truth"),
        pytest.param("7", None, id="a string"),
    ],
)
def test_a_count_is_one_that_can_be(said: Any, read: int | None) -> None:
    assert count({"tokens": said}, "tokens") == read
    assert counts({"tokens": said, "good": 3}, ("good", "tokens", "none")) == [3, read, None]
