"""Markdown is cut into its blocks while it comes, at any cut the same ones, and nothing is lost or added."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thalweg.cli.blocks import Blocks

CASES = [
    pytest.param(["one\n\n", "two\n"], id="an empty line ends a paragraph"),
    pytest.param(["one\ntwo\n"], id="a line's end does not"),
    pytest.param(["# Title\n", "text\n"], id="a heading is one by itself"),
    pytest.param(["text\n", "## Title\n", "text\n"], id="a heading ends a paragraph"),
    pytest.param(["#hashtag\ntext\n"], id="a heading has a blank behind its marks"),
    pytest.param(["```python\na\n\nb\n```\n", "text\n"], id="an empty line stays in a fence"),
    pytest.param(["text\n", "```\n# no heading\n```\n"], id="a fence ends a paragraph and holds what it likes"),
    pytest.param(["````\n```\ninner\n```\n````\n", "text\n"], id="a longer fence holds a shorter one"),
    pytest.param(["~~~\n```\n~~~\n"], id="a fence is closed by its own kind"),
    pytest.param(["```\nnever closed\n\n# no heading\n"], id="a fence that is not closed goes on"),
    pytest.param(["`code` in a line\n\n", "text\n"], id="code in a line is no fence"),
    pytest.param(["- a\n- b\n\n  more of b\n- c\n\n", "text\n"], id="a list with an empty line is one block"),
    pytest.param(["1. a\n\n2. b\n"], id="a loose list is one block, so that it counts on"),
    pytest.param(["- a\n\n  ```python\n  x\n\n  y\n  ```\n\n- b\n\n", "text\n"], id="a fence in a list"),
    pytest.param(["- ```\n  x\n\n  ```\n- b\n"], id="a fence behind a list's marker"),
    pytest.param(["- a\n", "```\nx\n```\n"], id="a fence at the left ends a list"),
    pytest.param(["> quote\n> more\n\n", "text\n"], id="a quote"),
    pytest.param(["| a | b |\n|---|---|\n| 1 | 2 |\n\n", "text\n"], id="a table"),
    pytest.param(["深泓\n\n", "网关\n"], id="wide characters"),
    pytest.param(["no line's end"], id="a text without a line's end"),
    pytest.param(["\n\none\n\n", "two\n"], id="empty lines ahead belong to what follows"),
    pytest.param([], id="nothing"),
]


def cut(text: str, size: int) -> list[str]:
    blocks, found = Blocks(), []
    for at in range(0, len(text), size):
        found += blocks.feed(text[at : at + size])
    return found + blocks.end()


@pytest.mark.parametrize("size", [1, 2, 7, 10_000])
@pytest.mark.parametrize("expected", CASES)
def test_a_text_has_these_blocks(expected: list[str], size: int) -> None:
    assert cut("".join(expected), size) == expected


def test_what_is_current_is_what_has_come_of_the_last_block() -> None:
    blocks = Blocks()
    assert blocks.feed("one\n\ntw") == []
    assert blocks.current == "one\n\ntw"
    assert blocks.feed("o\n") == ["one\n\n"]
    assert blocks.current == "two\n"
    assert blocks.end() == ["two\n"]
    assert blocks.current == ""


def test_a_fence_tells_that_it_is_open() -> None:
    blocks = Blocks()
    blocks.feed("```\nx\n")
    assert blocks.in_fence
    blocks.feed("```\n")
    assert not blocks.in_fence


MARKDOWN = st.text(alphabet="a #`~->1.|\n 深*", max_size=80)


@given(MARKDOWN, st.integers(1, 9))
def test_nothing_is_lost_and_the_cuts_do_not_matter(text: str, size: int) -> None:
    whole = cut(text, max(len(text), 1))
    assert "".join(whole) == text
    assert cut(text, size) == whole
