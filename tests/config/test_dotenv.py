"""`.env`, line by line: what is a variable, what is none, and what is passed over."""

from __future__ import annotations

import pytest

from thalweg.config.dotenv import parse

LINES: dict[str, tuple[str, dict[str, tuple[str, int]]]] = {
    "nothing": ("", {}),
    "plain": ("A=1\nB = two words \nC=", {"A": ("1", 1), "B": ("two words", 2), "C": ("", 3)}),
    "export": ("export A=1\n  export\tB=2\nexported=3", {"A": ("1", 1), "B": ("2", 2), "exported": ("3", 3)}),
    "comments": ("# A=1\n\nB=1 # one\nC=a#b\nD=# nothing", {"B": ("1", 3), "C": ("a#b", 4), "D": ("", 5)}),
    "quotes": (
        'A="x # y" # z\nB=\'$x \\n\'\nC="a\\n\\t\\"\\\\\\$"\nD=""',
        {"A": ("x # y", 1), "B": ("$x \\n", 2), "C": ('a\n\t"\\$', 3), "D": ("", 4)},
    ),
    "a value of several lines": ('A="one\ntwo"\nB=3', {"A": ("one\ntwo", 1), "B": ("3", 3)}),
    "the last one holds": ("A=1\nA=2", {"A": ("2", 2)}),
    "lines of Windows, and its mark": ("\ufeffA=1\r\nB='2'\r\n", {"A": ("1", 1), "B": ("2", 2)}),
    "nothing is expanded": ("A=$B ${C} `d`", {"A": ("$B ${C} `d`", 1)}),
    "an equals sign": ("A=b=c==", {"A": ("b=c==", 1)}),
}


@pytest.mark.parametrize(("text", "found"), LINES.values(), ids=LINES)
def test_a_line_is_a_variable(text: str, found: dict[str, tuple[str, int]]) -> None:
    lines, problems = parse(text, ".env")
    assert lines == found
    assert problems == []


STRANGE: dict[str, tuple[str, str]] = {
    "no variable": ("A=1\nnonsense\nB=2", ".env:2: expected NAME=VALUE."),
    "a name that is none": ("A=1\n2B=1\nB=2", ".env:2: expected NAME=VALUE."),
    "a quote without an end": ("A=1\nC='s3cret\nB=2", ".env:2: C: the quote that begins its value does not end."),
}


@pytest.mark.parametrize(("text", "said"), STRANGE.values(), ids=STRANGE)
def test_a_strange_line_is_told_and_the_others_hold(text: str, said: str) -> None:
    lines, problems = parse(text, ".env")
    assert [str(problem) for problem in problems] == [said]
    assert {name: line.value for name, line in lines.items()} == {"A": "1", "B": "2"}
