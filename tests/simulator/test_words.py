from __future__ import annotations

import re

import pytest

from thalweg.simulator.words import CHINESE, ENGLISH, JAPANESE, KOREAN, RUSSIAN, Voice, thoughts, voice_for


@pytest.mark.parametrize(
    ("prompt", "voice"),
    [
        pytest.param("", ENGLISH, id="nothing"),
        pytest.param("1 + 1 = ?", ENGLISH, id="no letters"),
        pytest.param("¿Qué es un río?", ENGLISH, id="Latin letters"),
        pytest.param("河流", CHINESE, id="Chinese"),
        pytest.param("請用 Python 寫一個函數", CHINESE, id="Chinese with a name in Latin letters"),
        pytest.param("What does 深泓 mean?", ENGLISH, id="English with a Chinese word"),
        pytest.param("川の流れ", JAPANESE, id="Japanese with Chinese characters"),
        pytest.param("강의 흐름", KOREAN, id="Korean"),
        pytest.param("Река Волга", RUSSIAN, id="Russian"),
        pytest.param("x" * 5000 + "河" * 9000, ENGLISH, id="only the beginning is looked at"),
    ],
)
def test_the_letters_say_which_language(prompt: str, voice: Voice) -> None:
    assert voice_for(prompt) is voice


@pytest.mark.parametrize("voice", [ENGLISH, CHINESE, JAPANESE, KOREAN, RUSSIAN], ids=lambda voice: voice.greeting)
def test_each_way_to_end_has_chinese_characters_and_an_emoji(voice: Voice) -> None:
    for closing in voice.closings:
        assert re.search("[\u4e00-\u9fff]", closing)
        assert any(ord(char) > 0xFFFF for char in closing)
    assert len(set(voice.openings)) == len(set(voice.closings)) == 3


def test_higher_efforts_begin_as_lower_ones_do() -> None:
    one, other = thoughts("low"), thoughts("high")
    assert other.startswith(one)
    assert len(other) > len(one)
    assert thoughts(None) == thoughts("medium") == thoughts("of a new kind")
