from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thalweg.simulator.tokens import StopSearch, count, split


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        pytest.param("", [], id="nothing"),
        pytest.param("Hello world", ["Hello", " world"], id="a space goes with the word after it"),
        pytest.param("understanding", ["unders", "tandin", "g"], id="a long word is pieces"),
        pytest.param("春天，好", ["春", "天", "，", "好"], id="each CJK character is one"),
        pytest.param("12345", ["123", "45"], id="three digits"),
        pytest.param("e\u0301a\u0301", ["e\u0301", "a\u0301"], id="combining marks stay"),
        pytest.param("👩‍👩‍👧👍🏽", ["👩‍👩‍👧", "👍🏽"], id="joined emoji and skin tones stay"),
        pytest.param("🇨🇳🇫🇷", ["🇨🇳", "🇫🇷"], id="a flag is one"),
        pytest.param("🏞️ok", ["🏞️", "ok"], id="a variation selector stays"),
    ],
)
def test_split(text: str, tokens: list[str]) -> None:
    assert list(split(text)) == tokens


@given(st.text())
def test_tokens_joined_are_the_text_and_none_is_empty(text: str) -> None:
    tokens = list(split(text))
    assert "".join(tokens) == text
    assert all(tokens)
    assert count(text) == len(tokens)


@given(st.text(st.characters(categories=["Ll", "Lo", "Mn", "Mc", "So"]), max_size=40))
def test_no_token_but_the_first_begins_with_a_mark(text: str) -> None:
    assert not any(unicodedata.category(token[0])[0] == "M" for token in list(split(text))[1:])


@given(st.text("ab", max_size=40), st.lists(st.text("ab", max_size=3), max_size=3), st.integers(1, 4))
def test_a_text_is_cut_before_the_stop_that_is_complete_first(text: str, stops: list[str], size: int) -> None:
    search = StopSearch(stops)
    cut = "".join(search.cut(text[i : i + size] for i in range(0, len(text), size)))
    ends = [text.find(stop) + len(stop) for stop in stops if stop and stop in text]
    assert len(cut + (search.found or "")) == min(ends, default=len(text))
    assert (search.found is None) == (not ends)
    assert text.startswith(cut + (search.found or ""))
