from __future__ import annotations

import random
import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thalweg.simulator.markdown import article


def written(length: int, *, prompt: str = "What is a thalweg?", seed: int = 1) -> str:
    return "".join(article(prompt, random.Random(seed), length))


@given(st.integers(0, 3000), st.text(max_size=300), st.integers(0, 5))
def test_an_article_has_exactly_as_many_tokens_as_are_asked_for(length: int, prompt: str, seed: int) -> None:
    tokens = list(article(prompt, random.Random(seed), length))
    assert len(tokens) == length
    assert all(tokens)


@pytest.mark.parametrize(
    "found",
    [
        pytest.param(r"(?m)^# ", id="a title"),
        pytest.param(r"(?m)^> What is a thalweg\?$", id="the prompt, quoted"),
        pytest.param(r"(?m)^## 3\. ", id="numbered sections"),
        pytest.param(r"(?m)^### ", id="smaller headings"),
        pytest.param(r"(?m)^- .*\n  - .*\n", id="a list in a list"),
        pytest.param(r"(?m)^1\. .*\n2\. ", id="a numbered list"),
        pytest.param(r"(?m)^- \[x\] ", id="a list of tasks"),
        pytest.param(r"(?m)^\| :--- \| ---: \|", id="a table with its alignment"),
        pytest.param(r"\[.+\]\(https://example\.com/.+\)", id="a link"),
        pytest.param(r"(?m)^\$\$\nv = \\frac", id="a formula"),
        pytest.param(r"\$n = 0\.0\d+\$", id="a formula in a line"),
        pytest.param(r"(?m)^> > ", id="a quote in a quote"),
        pytest.param(r"\*\*.+\*\*", id="bold"),
        pytest.param(r"~~.+~~", id="struck out"),
        pytest.param(r"`.+`", id="code in a line"),
        pytest.param("[\u4e00-\u9fff]{5}", id="Chinese"),
        pytest.param("[\u0600-\u06ff]{4}", id="Arabic"),
        pytest.param("👩‍👩‍👧", id="a joined emoji"),
        pytest.param("<script>", id="what must not run"),
    ],
)
def test_everything_is_in_it_that_a_page_must_show(found: str) -> None:
    assert re.search(found, written(4000))


def test_its_code_is_in_several_languages_and_never_cut() -> None:
    for length in (500, 1500, 4000, 20_000):
        fences = re.findall(r"(?m)^```(\w*)$", written(length))
        assert fences[1::2] == [""] * (len(fences) // 2)
        assert len(fences) % 2 == 0
    assert set(fences[0::2]) == {"python", "sql", "javascript", "rust", "html", "bash", "diff", "json"}


def test_no_block_is_said_twice_in_a_row_and_no_section_twice_at_all() -> None:
    blocks = re.split(r"\n\n+", written(30_000))
    assert len(blocks) > 400
    assert all(one != other for one, other in pairwise(blocks))
    sections = re.split(r"(?m)^##+ ", written(30_000))
    assert len(set(sections)) == len(sections) > 60


def test_every_blank_is_filled() -> None:
    assert "«" not in written(30_000)


def test_a_seed_repeats_it() -> None:
    assert written(2000) == written(2000)
    assert written(2000) != written(2000, seed=2)
