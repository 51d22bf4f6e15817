"""The page's words: the same keys in every language, none unused, none missing, and no text anywhere else."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

WEB = Path(__file__).resolve().parents[2] / "src" / "thalweg" / "web"
WORDS = {file.stem: json.loads(file.read_text(encoding="utf-8")) for file in (WEB / "words").glob("*.json")}
PAGE = (WEB / "chat.html").read_text(encoding="utf-8")
SOURCES = {
    str(path.relative_to(WEB)): path.read_text(encoding="utf-8")
    for path in WEB.rglob("*.js")
    if "vendor" not in path.parts
}
COUNTED = re.compile(r"_(one|other)$")


def base(key: str) -> str:
    return COUNTED.sub("", key)


def test_there_are_both_languages() -> None:
    assert set(WORDS) == {"en", "zh"}


def test_both_languages_have_the_same_keys_in_the_same_order() -> None:
    assert list(WORDS["en"]) == list(WORDS["zh"])


def test_no_key_is_unused() -> None:
    """Keys are only ever written out, so that they can be looked for."""
    written = set(re.findall(r'"([a-z][a-z0-9_]*)"', PAGE + "".join(SOURCES.values())))
    assert [key for key in WORDS["en"] if key not in written and base(key) not in written] == []


def test_no_key_is_missing() -> None:
    asked = set(re.findall(r'\bt\("([a-z0-9_]+)"', "".join(SOURCES.values())))
    asked |= set(re.findall(r'data-t(?:-[a-z]+)?="([a-z0-9_]+)"', PAGE))
    there = set(WORDS["en"]) | {base(key) for key in WORDS["en"]}
    assert len(asked) > 100
    assert asked - there == set()


@pytest.mark.parametrize("key", WORDS["en"])
def test_a_key_has_words_and_the_same_values_everywhere(key: str) -> None:
    values = {language: set(re.findall(r"\{(\w+)\}", words[key])) for language, words in WORDS.items()}
    assert all(words[key].strip() for words in WORDS.values())
    # A language with one plural form may leave the number out of neither.
    assert values["en"] == values["zh"]


def test_counted_words_have_both_forms() -> None:
    for key in filter(COUNTED.search, WORDS["en"]):
        assert {f"{base(key)}_one", f"{base(key)}_other"} <= set(WORDS["en"])


MIXED = re.compile(r"[\u4e00-\u9fff][A-Za-z]|[A-Za-z][\u4e00-\u9fff]")
HALF_WIDTH = re.compile(r"[\u4e00-\u9fff][,;:!?]|[,;:!?][\u4e00-\u9fff]")


def test_chinese_is_set_as_chinese_is() -> None:
    """Full-width punctuation, and a space between Chinese and Latin letters. What a person would send is theirs."""
    prose = {key: words for key, words in WORDS["zh"].items() if not key.endswith("_prompt")}
    assert {key: words for key, words in prose.items() if HALF_WIDTH.search(words) or MIXED.search(words)} == {}


class _Texts(HTMLParser):
    """The texts and the spoken attributes that stand in a page itself."""

    SPOKEN = frozenset({"aria-label", "title", "placeholder", "alt"})
    WITHOUT_TEXT = frozenset({"title", "noscript"})
    """The page's name before its words are there, and what is said where nothing can be fetched."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._inside: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._inside.append(tag)
        self.found += [f"{tag} {name}={value}" for name, value in attrs if name in self.SPOKEN and value]

    def handle_endtag(self, tag: str) -> None:
        while self._inside and self._inside.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if data.strip() and not self.WITHOUT_TEXT & set(self._inside):
            self.found.append(data.strip())


def test_the_page_itself_says_nothing() -> None:
    texts = _Texts()
    texts.feed(PAGE)
    assert texts.found == []


SAYING = re.compile(
    r'(?:textContent = |text: |label: |"aria-label": |placeholder: |title: |\.say\()"([^"]*[A-Za-z]{2}[^"]*)"'
)


def test_no_module_says_anything_itself() -> None:
    keys = set(WORDS["en"]) | {base(key) for key in WORDS["en"]}
    said = {(path, text) for path, source in SOURCES.items() for text in SAYING.findall(source) if text not in keys}
    assert said == set()
