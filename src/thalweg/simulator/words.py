"""The simulator's own words: how it greets, quotes, ends and thinks, in the language of the prompt."""

from __future__ import annotations

import re

import msgspec


class Voice(msgspec.Struct, frozen=True, kw_only=True):
    """How it speaks in one language. Every closing has a Chinese character or two and an emoji, whatever the language:
    an answer always shows whether characters outside ASCII come through whole.
    """

    greeting: str
    openings: tuple[str, str, str]
    """What stands before the prompt's own words; each choice of an answer has another one."""
    closings: tuple[str, str, str]
    told: str
    """What stands before a tool's result."""


ENGLISH = Voice(
    greeting="Hello! ",
    openings=("You wrote: ", "Here are your words again: ", "This is what I have read: "),
    closings=(
        "A river keeps to its deepest channel. 河流总是沿着深泓流淌 🌊",
        "Flowing water does not go stale. 流水不腐，户枢不蠹 🏞️",
        "Many brooks make one great river. 海纳百川，有容乃大 🐟",
    ),
    told="The tool answered: ",
)
CHINESE = Voice(
    greeting="你好！",
    openings=("你写的是：", "把你的话再说一遍：", "我读到的是："),
    closings=("河流总是沿着深泓流淌。🌊", "流水不腐，户枢不蠹。🏞️", "海纳百川，有容乃大。🐟"),
    told="工具的回答是：",
)
JAPANESE = Voice(
    greeting="こんにちは！",
    openings=("お書きになったのは：", "お言葉をもう一度：", "このように読みました："),
    closings=(
        "川はいつも最も深い所を流れます。🌊",
        "流れる水は腐りません。🏞️",
        "小さな流れが集まって大河になります。🐟",
    ),
    told="ツールの答え：",
)
KOREAN = Voice(
    greeting="안녕하세요! ",
    openings=("이렇게 쓰셨습니다: ", "말씀을 다시 옮깁니다: ", "이렇게 읽었습니다: "),
    closings=(
        "강은 늘 가장 깊은 길로 흐릅니다. 深泓 🌊",
        "흐르는 물은 썩지 않습니다. 流水不腐 🏞️",
        "작은 시내가 모여 큰 강이 됩니다. 海納百川 🐟",
    ),
    told="도구의 답: ",
)
RUSSIAN = Voice(
    greeting="Здравствуйте! ",
    openings=("Вы написали: ", "Ваши слова ещё раз: ", "Вот что я прочёл: "),
    closings=(
        "Река держится самого глубокого русла. 深泓 🌊",
        "Проточная вода не портится. 流水不腐 🏞️",
        "Из ручьёв складывается река. 海纳百川 🐟",
    ),
    told="Инструмент ответил: ",
)

_BY_SCRIPT: tuple[tuple[re.Pattern[str], Voice], ...] = (
    # Japanese has Chinese characters too: its own come first.
    (re.compile("[\u3040-\u30ff]"), JAPANESE),
    (re.compile("[\uac00-\ud7a3]"), KOREAN),
    (re.compile("[\u4e00-\u9fff]"), CHINESE),
    (re.compile("[\u0400-\u04ff]"), RUSSIAN),
)
_LATIN = re.compile("[A-Za-z]")
_LOOKED_AT = 2_000
_FEW = 0.5
"""A prompt with a smaller share of another script's letters is taken for one in Latin letters that names something."""


def voice_for(prompt: str) -> Voice:
    """The voice in the language that the prompt's letters point to; English where they point to none."""
    looked_at = prompt[:_LOOKED_AT]
    latin = len(_LATIN.findall(looked_at))
    for script, voice in _BY_SCRIPT:
        letters = len(script.findall(looked_at))
        if letters and letters >= _FEW * latin:
            return voice
    return ENGLISH


_THOUGHTS = (
    "First I look at what was asked.",
    "再想一想：这句话要原样重复。",
    "A good answer repeats every word and adds little.",
    "I check that no character gets lost on the way.",
    "The emoji and the accents must stay whole, too.",
    "还要注意换行和标点。",
    "Nothing else seems to be hidden in it.",
    "Is there a shorter way to say it? Not without leaving something out.",
    "What would a careful reader miss? Perhaps a word of thanks.",
    "换一个角度看：读的人想要什么？",
    "Let me go through it once more, from the end to the beginning.",
    "The order of the words matters as much as the words.",
    "If a sentence can be misread, it will be.",
    "最后再核对一遍，一个字也不能少。",
    "I have weighed it from every side that I can think of.",
    "Now I am ready to answer.",
)
_THOUGHTS_OF_EFFORT = {"minimal": 1, "low": 2, "medium": 4, "high": 8, "xhigh": 12, "max": 16}


def thoughts(effort: str | None) -> str:
    """What is thought before an answer, the longer the higher the effort; an effort that nobody knows is medium."""
    return " ".join(_THOUGHTS[: _THOUGHTS_OF_EFFORT.get(effort or "medium", 4)])
