"""The two files of words hold the same sentences, all of them are said somewhere, and none is missing."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from string import Formatter
from typing import NamedTuple

import pytest

from thalweg.cli import words
from thalweg.cli.words import sentences
from thalweg.config import language

CLI = Path(words.__file__).parent
SAYING = {"say", "explain"}
KEY = re.compile(r"[a-z_]+\.[a-z_0-9]+(\.[a-z_0-9]+)*")


class Said(NamedTuple):
    """One call of `say` or `explain`."""

    place: str
    key: str
    """The key, or a pattern for keys where part of it is made on the spot."""
    values: frozenset[str] | None
    """The placeholders that are filled; `None` when that cannot be read from the call."""


def calls() -> Iterator[Said]:
    for path in sorted(CLI.glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Call(func=ast.Name(id=name), args=[first, *_], keywords=given) if name in SAYING:
                    if (key := pattern(first)) is not None:
                        names = [keyword.arg for keyword in given]
                        values = None if None in names else frozenset(str(name) for name in names)
                        yield Said(f"{path.name}:{node.lineno}", key, values)


def pattern(node: ast.expr) -> str | None:
    match node:
        case ast.Constant(value=str(key)):
            return re.escape(key)
        case ast.JoinedStr(values=parts):
            return "".join(re.escape(p.value) if isinstance(p, ast.Constant) else r"[a-z_0-9.]+" for p in parts)
    return None


def constants() -> set[str]:
    """Every string in the code that could be a key, since a table may hold keys too."""
    found = set()
    for path in CLI.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and KEY.fullmatch(node.value):
                found.add(node.value)
    return found


def placeholders(sentence: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(sentence) if name is not None}


def test_both_languages_have_the_same_keys_in_the_same_order() -> None:
    assert list(sentences("en")) == list(sentences("zh"))


def test_keys_are_flat() -> None:
    for key, sentence in sentences("en").items():
        assert KEY.fullmatch(key), key
        assert isinstance(sentence, str), key


@pytest.mark.parametrize("key", sentences("en"))
def test_both_languages_have_the_same_placeholders(key: str) -> None:
    assert placeholders(sentences("en")[key]) == placeholders(sentences("zh")[key])


def test_every_sentence_is_said_somewhere() -> None:
    patterns = [re.compile(said.key) for said in calls()]
    named = constants()
    unused = [key for key in sentences("en") if key not in named and not any(p.fullmatch(key) for p in patterns)]
    assert not unused


def test_everything_that_is_said_is_there() -> None:
    said = list(calls())
    assert len(said) > 10
    missing = [f"{s.place}: {s.key}" for s in said if not any(re.fullmatch(s.key, key) for key in sentences("en"))]
    assert not missing


def test_every_placeholder_is_filled_and_nothing_else_is_given() -> None:
    wrong = []
    for said in calls():
        key = said.key.replace("\\", "")
        # A key that is made on the spot stands for several sentences, which may take different values.
        if said.values is not None and key in sentences("en") and placeholders(sentences("en")[key]) != said.values:
            wrong.append(f"{said.place}: {key} takes {placeholders(sentences('en')[key])}")
    assert not wrong


def test_english_is_in_ascii_but_for_signs_and_chinese_is_chinese() -> None:
    for key, sentence in sentences("en").items():
        assert not re.search(r"[\u3000-\u9fff\uff00-\uffef]", sentence), key
    for key, sentence in sentences("zh").items():
        # One word is said in English in both languages.
        same = sentence == sentences("en")[key] or re.fullmatch(r"tokens?(/s)?", sentence)
        assert same or re.search(r"[\u4e00-\u9fff\uff00-\uffef]", sentence), key


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        pytest.param({}, "en", id="nothing set"),
        pytest.param({"LANG": "zh_CN.UTF-8"}, "zh", id="a Chinese locale"),
        pytest.param({"LANG": "zh_TW.UTF-8"}, "zh", id="any Chinese locale"),
        pytest.param({"LANG": "en_GB.UTF-8"}, "en", id="an English locale"),
        pytest.param({"LANG": "fr_FR.UTF-8"}, "en", id="a language that is not there"),
        pytest.param({"LANG": "C.UTF-8"}, "en", id="no locale"),
        pytest.param({"LANG": "en_US.UTF-8", "LC_MESSAGES": "zh_CN"}, "zh", id="messages before the rest"),
        pytest.param({"LC_MESSAGES": "zh_CN", "LC_ALL": "C"}, "en", id="all before messages"),
        pytest.param({"LC_ALL": "", "LANG": "zh_CN"}, "zh", id="what is empty is not set"),
        pytest.param({"THALWEG_LANG": "zh", "LC_ALL": "en_US.UTF-8"}, "zh", id="our own variable before all"),
        pytest.param({"THALWEG_LANG": "en", "LANG": "zh_CN.UTF-8"}, "en", id="our own variable, the other way"),
    ],
)
def test_the_language_comes_from_the_environment(environment: dict[str, str], expected: str) -> None:
    assert language(environment) == expected
