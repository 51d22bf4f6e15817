"""Increments or all so far: read off the texts, since not every model heeds what it was asked."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thalweg.dialects.dashscope_native.growth import Growth

FIELD = (0, "text")


def joined(pieces: list[str], *, moved: bool = True) -> str:
    growth = Growth()
    grown = [each for text in pieces for each in growth.take(FIELD, text, moved=moved)] + growth.settle()
    assert all(field == FIELD and text for field, text in grown)
    return "".join(text for _, text in grown)


@pytest.mark.parametrize(
    ("pieces", "whole"),
    [
        pytest.param(["1", "1,", "1, 2"], "1, 2", id="all so far, from one letter on"),
        pytest.param(["1", "1,"], "1,", id="two frames that grow are all so far"),
        pytest.param(["1", "10", " is"], "110 is", id="what grows once only is an increment"),
        pytest.param(["ha", "ha", "ha"], "hahaha", id="the same again is an increment"),
        pytest.param(["a", "b", "ab"], "abab", id="increments stay increments"),
        pytest.param(["a", "ab", "abc", "abc", "abcd"], "abcd", id="all so far may stand still"),
        pytest.param(["a", "ab", "abc", "xyz", "abcd"], "abcd", id="what does not go on says nothing"),
        pytest.param(["one"], "one", id="one frame"),
        pytest.param([], "", id="none"),
    ],
)
def test_pieces_are_joined(pieces: list[str], whole: str) -> None:
    assert joined(pieces) == whole


def test_the_same_text_with_no_token_more_is_said_once() -> None:
    assert joined(["Hi", "Hi"], moved=False) == "Hi"


def test_what_is_held_is_not_overtaken_by_another_field() -> None:
    growth = Growth()
    assert growth.take(FIELD, "a") == [(FIELD, "a")]
    assert growth.take(FIELD, "ab") == []
    assert growth.take((0, "call"), "{") == [(FIELD, "b"), ((0, "call"), "{")]


def test_at_most_one_text_is_ever_held() -> None:
    growth = Growth()
    growth.take(FIELD, "a")
    assert growth.take(FIELD, "ab") == []
    assert growth.take(FIELD, "abc") == [(FIELD, "bc")]
    assert growth.take(FIELD, "abcd") == [(FIELD, "d")]


@given(st.lists(st.text(min_size=1, max_size=5), min_size=1, max_size=12))
def test_all_so_far_joins_to_the_last(pieces: list[str]) -> None:
    so_far = ["".join(pieces[: at + 1]) for at in range(len(pieces))]
    assert joined(so_far) == so_far[-1]


@given(st.lists(st.sampled_from(["x", "yy", "z ", "深", "。"]), min_size=1, max_size=12).filter(lambda p: len(p) > 2))
def test_increments_join_to_all_of_them(pieces: list[str]) -> None:
    """None of these texts begins another, so nothing about them is in doubt."""
    assert joined(pieces) == "".join(pieces)
