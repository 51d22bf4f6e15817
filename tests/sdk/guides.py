"""The samples in providers' streaming guides, word for word: where each stands, and all that is changed before it runs.

The guides lie beside the project, in `shared/seeds`, or where `THALWEG_TEST_SEEDS` says. Nothing of them is kept here but
the words that a sample begins and ends with, and those that are replaced.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from types import MappingProxyType
from typing import Literal, NamedTuple

from tests.sdk.mending import Mend, comments_ended, fields_named, frames_parted, indented, statements_broken, unescaped

Kind = Literal["curl", "python", "javascript", "typescript", "go", "java", "server", "page", "events"]
"""How a sample is run. `server` is a back end, `page` a script for a browser; `events` are read instead."""


class Change(NamedTuple):
    """Words that are replaced, wherever they stand in a sample. `new` knows `{url}`, `{key}` and `{model}`."""

    what: Literal["base URL", "key", "model", "what the page forgot", "what the page says to do"]
    old: str
    new: str


class Part(NamedTuple):
    """A part of another sample: all of it, or from some words of it or up to some."""

    name: str
    since: str = ""
    until: str = ""


@dataclass(frozen=True)
class Sample:
    """One sample. The rows of a guide are in its own order."""

    name: str
    guide: str
    """How the name of the guide's file begins."""
    kind: Kind
    first: str
    """How it begins: it is the first such line behind the sample before it."""
    until: str
    """What stands behind its end; empty where the page ends with it."""
    changes: tuple[Change, ...] = ()
    mends: tuple[Mend, ...] = ()
    variable: str = ""
    """The variable of the environment that it takes the key from."""
    mount: str = "/v1/chat/completions"
    """The path that is asked in the end."""
    does: str = "text"
    """What the simulated model does."""
    prints: str = "(?P<answer>.*)"
    """All that it prints. `inputs` and `outputs` are the counts of tokens."""
    after: Part | None = None
    before: Part | None = None
    """What a piece of a program has in front of it, and behind."""
    stands_in: dict[str, str] = field(default_factory=dict)
    """Names that it does not define, as expressions in Python."""


IN_A_LITERAL = Mend(unescaped, "the page shows it inside a template literal of JavaScript")
COMMENTS = "the page shows it in one line, so that a comment takes in what follows"
ONE_LINE = (
    Mend(partial(comments_ended, mark="#"), COMMENTS),
    Mend(statements_broken, "the page shows it in one line"),
)
ONE_LINE_OF_JAVASCRIPT = (Mend(partial(comments_ended, mark="//"), COMMENTS),)


def at_the_margin(back: Mapping[str, int] = MappingProxyType({})) -> Mend:
    """`back` says what no rule can know: which line ends a block, and how far in it stands."""
    return Mend(partial(indented, back=back), "the page shows it without its indentation")


FLAT = (*ONE_LINE, at_the_margin())

ARK = (
    Change("base URL", "https://ark.cn-beijing.volces.com/api/v3", "{url}/api/v3"),
    Change("model", "doubao-seed-1-8-251215", "{model}"),
)
ARK_PATH = "/api/v3/chat/completions"
LING_URL = Change("base URL", "https://api.ant-ling.com/v1/", "{url}/v1/")
LING_KEY = Change("key", "YOUR_API_KEY", "{key}")
LING_MODEL = Change("model", "Ling-2.6-flash", "{model}")
LING = (LING_URL, LING_KEY, LING_MODEL)
RELAY_KEY = Change("key", "<你的 API_KEY>", "{key}")
RELAY_URL = Change("base URL", "https://www.ulovegpt.com", "{url}")
RELAY = (RELAY_URL, RELAY_KEY, Change("model", "openai/gpt-5.4-mini", "{model}"))
STUDIO_URL = Change("base URL", "https://dashscope.aliyuncs.com/compatible-mode/v1", "{url}/compatible-mode/v1")
STUDIO = (STUDIO_URL, Change("model", "qwen-plus", "{model}"))
STUDIO_SIGHT = (STUDIO_URL, Change("model", "qwen3-vl-plus", "{model}"))
STUDIO_PATH = "/compatible-mode/v1/chat/completions"
USAGE = r"AI: (?P<answer>.*)\n--- 请求用量 ---\n输入 Tokens: (?P<inputs>\d+)\n输出 Tokens: (?P<outputs>\d+)\n总计 Tokens: \d+\n"

_ESCAPED_FENCE, _FENCE = "\n\\`\\`\\`", "\n```"
_UNPARTED = "the page shows them without the blank lines between"

_ark = partial(
    Sample,
    guide="000",
    until=_ESCAPED_FENCE,
    changes=ARK,
    mends=(IN_A_LITERAL,),
    variable="ARK_API_KEY",
    mount=ARK_PATH,
)
_console = partial(Sample, guide="001")
_ling = partial(Sample, guide="002", until="\n")
_relay = partial(Sample, guide="003", changes=RELAY)
_studio = partial(Sample, guide="004", until=_FENCE, changes=STUDIO, variable="DASHSCOPE_API_KEY", mount=STUDIO_PATH)

SAMPLES = (
    _ark("Ark, curl", kind="curl", first="curl "),
    _ark("Ark, Python", kind="python", first="import os"),
    _ark(
        "Ark, Go",
        kind="go",
        first="package main",
        prints="----- standard request -----\n(?P<answer>.*)stream error: EOF\n",
    ),
    _ark("Ark, Java", kind="java", first="package com."),
    _ark("Ark, OpenAI's SDK, thinking", kind="python", first="import os", does="reasoning"),
    _ark(
        "Ark, the events",
        kind="events",
        first="data: {",
        until=_FENCE,
        changes=(),
        mends=(Mend(frames_parted, _UNPARTED),),
    ),
    _console(
        "Ark's console, Python",
        kind="python",
        first="import os",
        until="\n\n\n## response",
        changes=(
            # It leaves the address to the SDK, which has Ark's own.
            Change("base URL", "Ark(api_key=", 'Ark(base_url="{url}/api/v3", api_key='),
            Change("model", "doubao-1-5-pro-32k-250115", "{model}"),
        ),
        variable="ARK_API_KEY",
        mount=ARK_PATH,
    ),
    _console(
        "Ark's console, the events",
        kind="events",
        first='{"choices"',
        until="",
        mends=(Mend(fields_named, "the page shows what they hold, without the name of its field"),),
    ),
    _ling("Ling, quick start", kind="python", first="from openai", changes=LING, mends=FLAT),
    _ling(
        "Ling, the events",
        kind="events",
        first="data: {",
        mends=(Mend(frames_parted, "the page shows them in one line"),),
    ),
    _ling(
        "Ling, a chat's back end",
        kind="server",
        first="import express",
        changes=(
            LING_URL,
            LING_MODEL,
            # Express reads no body by itself, so that `req.body` would be undefined.
            Change("what the page forgot", "app.post(", "app.use(express.json()); app.post("),
        ),
        mends=ONE_LINE_OF_JAVASCRIPT,
        variable="ANT_LING_API_KEY",
    ),
    _ling("Ling, a chat's page", kind="page", first="async function", mends=ONE_LINE_OF_JAVASCRIPT),
    _ling(
        "Ling, asynchronous",
        kind="python",
        first="import asyncio",
        changes=LING,
        mends=(*ONE_LINE, at_the_margin({"asyncio.run": 0})),
    ),
    _ling(
        "Ling, cancelling",
        kind="python",
        first="from openai",
        changes=LING,
        mends=(*ONE_LINE, at_the_margin({"if user_clicked_stop": 2})),
        # The page leaves it to its reader. Here somebody clicks after the fifth chunk.
        stands_in={"user_clicked_stop": "map(5 .__eq__, itertools.count(1)).__next__"},
    ),
    _ling("Ling, errors", kind="python", first="from openai", changes=LING, mends=FLAT),
    _ling(
        "Ling, empty contents",
        kind="python",
        first="for chunk",
        mends=FLAT,
        after=Part("Ling, quick start", until="for chunk"),
    ),
    _ling(
        "Ling, a longer timeout",
        kind="python",
        first="from openai",
        changes=(LING_URL, LING_KEY),
        mends=FLAT,
        before=Part("Ling, quick start", since="response = "),
    ),
    _ling(
        "Ling, buffered drawing",
        kind="page",
        first="let buffer",
        mends=ONE_LINE_OF_JAVASCRIPT,
        after=Part("Ling, a chat's page"),
    ),
    _ling(
        "Ling, end",
        kind="python",
        first="for chunk",
        mends=(*ONE_LINE, at_the_margin({"finish_reason": 1})),
        after=Part("Ling, quick start", until="for chunk"),
        prints="(?P<answer>.*)\n生成结束,原因: stop\n",
    ),
    _relay("a relay, curl", kind="curl", first="curl ", until="PythonPython"),
    _relay(
        "a relay, Python", kind="python", first="from openai", until="TypeScriptTypescript", mends=(at_the_margin(),)
    ),
    _relay("a relay, TypeScript", kind="typescript", first="import OpenAI", until="Anthropic 协议"),
    _relay(
        "a relay, Anthropic's SDK",
        kind="python",
        first="import anthropic",
        until="Gemini 协议",
        changes=(RELAY_URL, RELAY_KEY, Change("model", "anthropic/claude-sonnet-4.6", "{model}")),
        mends=(at_the_margin(),),
        mount="/anthropic/v1/messages",
    ),
    _relay(
        "a relay, Google's SDK",
        kind="python",
        first="from google",
        until="流式事件格式",
        changes=(
            # The page's own has no scheme, and the SDK calls none without.
            Change("base URL", "www.ulovegpt.com", "{url}"),
            RELAY_KEY,
            Change("model", "google/gemini-3.1-flash", "{model}"),
        ),
        mends=(at_the_margin(),),
        mount="/v1/models",
    ),
    _relay(
        "a relay, the events",
        kind="events",
        first="data: {",
        until="最佳实践",
        changes=(),
        mends=(Mend(frames_parted, _UNPARTED),),
    ),
    _studio("Model Studio, Python", kind="python", first="import os", prints=USAGE),
    _studio("Model Studio, JavaScript", kind="javascript", first="import OpenAI", prints=USAGE),
    _studio(
        "Model Studio, Python, a picture",
        kind="python",
        first="from openai",
        changes=STUDIO_SIGHT,
        prints="流式输出内容为：\n.*完整内容为：(?P<answer>.*)\n",
    ),
    _studio(
        "Model Studio, JavaScript, a picture",
        kind="javascript",
        first="import OpenAI",
        changes=STUDIO_SIGHT,
        prints="流式输出内容为：\n.*完整输出内容为：(?P<answer>.*)\n",
    ),
)

BUFFERED = Change("what the page says to do", "appendToChat(parsed.content)", "bufferContent(parsed.content)")
"""How a chat's page comes to draw what it gets through the buffer."""

_CODE = re.compile(
    r"^(curl|data:|package|import|from \w+ import|client|\{\")|\b(const|let|await|async|def|func|print|console)\b.*[(={;]"
    r"|\w+\.\w+\(|[;{(]$",
    re.ASCII,
)
"""What only a line of code has."""
_TABS = re.compile(r"^(<|`\}>|return \(<Tabs)|^\\`with .*\*\*exit")
"""What a page's own tabs are made of, between its samples, and the one note on a sample that has code in it."""
_LABEL = re.compile(r"^(?:.*\\`\\`\\`\w+|```(?!mixin-react)\w+|.*(?:Bash|Python|Typescript|Text))\n", re.MULTILINE)
"""A line that only a sample stands under: a fence that says the language, or a tab's name with the language behind it.

The fence `mixin-react` holds the tabs themselves: a component of the page, with the samples in its strings."""


class Guides:
    """The guides in a folder, and the programs that their samples make."""

    def __init__(self, folder: Path, samples: Sequence[Sample] = SAMPLES) -> None:
        self._folder = folder
        self._samples = samples

    @cached_property
    def texts(self) -> dict[str, str]:
        """Every guide, by how the name of its file begins."""
        return {path.name[:3]: path.read_text(encoding="utf-8") for path in sorted(self._folder.glob("*.txt"))}

    def cut(self, sample: Sample) -> str:
        """The sample as the page has it."""
        start, end = self._spans(sample.guide)[sample.name]
        return self.texts[sample.guide][start:end]

    def mended(self, sample: Sample) -> str:
        """The sample with what the page did to it undone. That takes away nothing but what a `Mend` says."""
        text = self.cut(sample)
        for mend in sample.mends:
            text = mend.rule(text)
        return text

    def program(self, sample: Sample, *, url: str, key: str, model: str | None) -> str:
        """The sample with its changes, and the parts of others that make a whole of it. `None` leaves the model's name."""
        text = self.mended(sample)
        for change in sample.changes:
            assert change.old in text, (sample.name, change)
            if change.what != "model" or model is not None:
                text = text.replace(change.old, change.new.format(url=url, key=key, model=model))
        parts = [self._part(part, url=url, key=key, model=model) for part in (sample.after, sample.before)]
        return f"{parts[0]}{text}\n{parts[1]}"

    def unclaimed(self, guide: str) -> list[str]:
        """Lines that look like code, or stand under the label of a sample, and are no sample's."""
        text, spans = self.texts[guide], self._spans(guide).values()
        starts = {start for start, _ in spans}
        labelled = [label[0] for label in _LABEL.finditer(text) if label.end() not in starts]
        for start, end in sorted(spans, reverse=True):
            text = f"{text[:start]}\n{text[end:]}"
        return labelled + [line for line in text.split("\n") if _CODE.search(line) and not _TABS.search(line)]

    def _part(self, part: Part | None, *, url: str, key: str, model: str | None) -> str:
        if part is None:
            return ""
        whole = self.program(named(part.name), url=url, key=key, model=model)
        start = whole.index(part.since)
        return whole[start : whole.index(part.until, start)] if part.until else whole[start:]

    def _spans(self, guide: str) -> dict[str, tuple[int, int]]:
        """From where to where each sample goes, in the guide's order."""
        text, at, spans = self.texts[guide], 0, {}
        for sample in self._samples:
            if sample.guide != guide:
                continue
            start = text.index(f"\n{sample.first}", at) + 1
            at = text.index(sample.until, start) if sample.until else len(text)
            spans[sample.name] = (start, at)
        return spans


def named(name: str) -> Sample:
    (sample,) = (sample for sample in SAMPLES if sample.name == name)
    return sample
