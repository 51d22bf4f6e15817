"""Every sample in providers' streaming guides, word for word but for base URL, key and model: each answer is whole.

`guides` has the samples and all that is changed in them, `mending` what their pages did to them.
"""

from __future__ import annotations

import ast
import http.client
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Browser, Page, Route, expect

from tests.live.gateway import Gateway
from tests.pages.browser import BROWSER, watched
from tests.pages.conftest import browser
from tests.sdk.guide_programs import run, served, streamed
from tests.sdk.guides import BUFFERED, SAMPLES, Guides, Sample, named
from tests.sdk.readings import assert_complete, assert_stopped, in_and_out
from thalweg.client import codecs

__all__ = ["browser"]

MARKS = {
    "python": pytest.mark.sdk,
    "javascript": pytest.mark.node,
    "typescript": pytest.mark.node,
    "go": pytest.mark.go,
    "java": pytest.mark.java,
}
CANCELS = "Ling, cancelling"
BACK_END, PAGE, BUFFER = "Ling, a chat's back end", "Ling, a chat's page", "Ling, buffered drawing"
RUN = [
    pytest.param(sample, id=sample.name, marks=MARKS.get(sample.kind, ()))
    for sample in SAMPLES
    if sample.kind not in ("events", "page", "server") and sample.name != CANCELS
]
GEMINI = "/v1/models"
SETTLED = "pace=0&seed=1"
QUESTION = re.compile(r"""(?:contents?"?\s*[:=]\s*|text"?:\s*|String\(|content\()["']([^"']+)["']""")
PICTURE = re.compile(r'"image_url": \{"url": "([^"]+)"\}')
HTML = """\
<!doctype html>
<meta charset="utf-8">
<link rel="icon" href="data:,">
<p id="chat-output"></p>
<script>{script}</script>
"""
"""The page that the guide's script is for, which the guide does not show."""


@pytest.fixture(scope="module")
def guides(seeds_root: Path) -> Guides:
    return Guides(seeds_root)


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway that answers every model's name from the simulator."""
    with Gateway(tmp_path_factory.mktemp("home"), arguments=("--simulate",)) as started:
        yield started


def model_of(sample: Sample) -> str:
    """A model that says the same again."""
    knobs = f";{SETTLED.replace('&', ';')}" if sample.mount == GEMINI else f"?{SETTLED}"
    return f"sim/{sample.does}{knobs}"


def program_of(guides: Guides, sample: Sample, gateway: Gateway, model: str | None) -> str:
    return guides.program(sample, url=gateway.url, key=gateway.key, model=model)


def asked_whole(gateway: Gateway, question: str, *, picture: str | None = None, does: str = "text") -> str:
    """What the model thinks and says where it is asked the same without a stream."""
    shown = [{"type": "image_url", "image_url": {"url": picture}}, {"type": "text", "text": question}]
    messages = [{"role": "user", "content": shown if picture else question}]
    body = {"model": f"sim/{does}?{SETTLED}", "messages": messages}
    status, _, answer = gateway.request("POST", "/v1/chat/completions", body)
    assert status == 200, answer
    message = json.loads(answer)["choices"][0]["message"]
    return str(message.get("reasoning_content") or "") + str(message["content"])


def question_in(program: str) -> str:
    """What the user asks there: the last of the messages."""
    return QUESTION.findall(program)[-1]


def answer_in(sample: Sample, said: str) -> tuple[str, tuple[int, int] | None]:
    """The answer that it printed, and the tokens."""
    if sample.kind == "curl":
        return streamed(said), None
    printed = re.fullmatch(sample.prints, said, re.DOTALL)
    assert printed, said
    counts = printed.groupdict()
    return counts["answer"], (int(counts["inputs"]), int(counts["outputs"])) if "inputs" in counts else None


def test_every_sample_in_the_guides_has_its_row(guides: Guides) -> None:
    assert set(guides.texts) == {sample.guide for sample in SAMPLES}
    assert {guide: guides.unclaimed(guide) for guide in guides.texts} == {guide: [] for guide in guides.texts}
    assert len({guides.cut(sample) for sample in SAMPLES}) == len(SAMPLES)


@pytest.mark.parametrize("sample", [pytest.param(sample, id=sample.name) for sample in SAMPLES])
def test_a_sample_without_a_row_is_seen(seeds_root: Path, sample: Sample) -> None:
    others = [other for other in SAMPLES if other is not sample]
    assert Guides(seeds_root, others).unclaimed(sample.guide)


@pytest.mark.parametrize("sample", [pytest.param(sample, id=sample.name) for sample in SAMPLES if sample.mends])
def test_what_is_mended_is_white_space_and_what_the_page_had_put_before_a_character(
    guides: Guides, sample: Sample
) -> None:
    shown, mended = (re.sub(r"\s|\\|data: ", "", text) for text in (guides.cut(sample), guides.mended(sample)))
    assert mended == shown
    if sample.kind == "python":
        ast.parse(guides.mended(sample))


@pytest.mark.parametrize("sample", RUN)
def test_a_sample_shows_the_answer_that_is_given_whole(
    guides: Guides, gateway: Gateway, tmp_path: Path, sample: Sample
) -> None:
    text = program_of(guides, sample, gateway, model_of(sample))
    picture = PICTURE.search(text)
    whole = asked_whole(gateway, question_in(text), picture=picture[1] if picture else None, does=sample.does)
    before = len(gateway.settled())
    answer, tokens = answer_in(sample, run(sample, text, tmp_path, gateway))
    assert answer == whole
    (entry,) = gateway.settled_since(before)
    assert_complete(entry)
    assert entry.stream
    assert entry.endpoint.startswith(sample.mount)
    assert tokens in (None, in_and_out(entry))


@pytest.mark.parametrize("sample", RUN)
def test_a_sample_may_keep_the_model_s_name(guides: Guides, gateway: Gateway, tmp_path: Path, sample: Sample) -> None:
    text = program_of(guides, sample, gateway, None)
    before = len(gateway.settled())
    answer, tokens = answer_in(sample, run(sample, text, tmp_path, gateway))
    assert question_in(text) in answer
    (entry,) = gateway.settled_since(before)
    assert_complete(entry)
    assert tokens in (None, in_and_out(entry))


@pytest.mark.sdk
def test_the_one_that_cancels_leaves_at_a_click(guides: Guides, gateway: Gateway, tmp_path: Path) -> None:
    sample = named(CANCELS)
    text = program_of(guides, sample, gateway, f"sim/slow?{SETTLED.replace('pace=0', 'pace=20')}")
    before = len(gateway.settled())
    said = run(sample, text, tmp_path, gateway)
    assert said
    assert asked_whole(gateway, question_in(text)).startswith(said)
    cancelled, _ = gateway.settled_since(before, 2)
    assert_stopped(cancelled)


@pytest.mark.sdk
@pytest.mark.parametrize("model", [f"sim/error-midstream?at=6&{SETTLED}", "sim/nobody-made-this"])
def test_the_one_on_errors_catches_those_in_a_stream_and_those_instead_of_it(
    guides: Guides, gateway: Gateway, tmp_path: Path, model: str
) -> None:
    sample = named("Ling, errors")
    said = run(sample, program_of(guides, sample, gateway, model), tmp_path, gateway)
    answer, caught, error = said.partition("API 错误: ")
    assert caught
    assert error.strip()
    assert bool(answer) is ("midstream" in model)


@pytest.mark.node
def test_a_chat_s_back_end_hands_on_the_answer(guides: Guides, gateway: Gateway, tmp_path: Path) -> None:
    sample, question = named(BACK_END), "浪花 🌊 — what carries a boat?"
    text = program_of(guides, sample, gateway, model_of(sample))
    with served(sample, text, tmp_path, gateway) as address:
        connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=30)
        body = json.dumps({"messages": [{"role": "user", "content": question}]})
        connection.request("POST", "/chat", body, {"content-type": "application/json"})
        answer = connection.getresponse()
        said = answer.read().decode()
        connection.close()
    assert answer.headers["content-type"] == "text/event-stream"
    *events, done, rest = said.split("\n\n")
    assert (done, rest) == ("data: [DONE]", "")
    contents = [json.loads(event.removeprefix("data: "))["content"] for event in events]
    assert "".join(contents) == asked_whole(gateway, question)


async def ask_on_page(page: Page, origin: str, script: str, question: str) -> None:
    """Let the guide's script, in a page of its back end's origin, ask and show."""

    async def show(route: Route) -> None:
        await route.fulfill(body=HTML.format(script=script), content_type="text/html")

    await page.route(f"{origin}/", show)
    await page.goto(f"{origin}/")
    await page.evaluate("(messages) => sendMessage(messages)", [{"role": "user", "content": question}])


@BROWSER[0]
@BROWSER[1]
@pytest.mark.node
@pytest.mark.parametrize("name", [PAGE, BUFFER])
async def test_a_chat_s_page_shows_the_answer(
    browser: Browser, guides: Guides, gateway: Gateway, tmp_path: Path, name: str
) -> None:
    back_end, question = named(BACK_END), "浪花 — what carries a boat?"
    script = program_of(guides, named(name), gateway, None)
    if name == BUFFER:
        assert BUFFERED.old in script
        script = script.replace(BUFFERED.old, BUFFERED.new)
    whole = asked_whole(gateway, question)
    text = program_of(guides, back_end, gateway, model_of(back_end))
    with served(back_end, text, tmp_path, gateway) as address:
        async with watched(browser, address) as visit:
            page = await visit.context.new_page()
            await ask_on_page(page, address, script, question)
            await expect(page.locator("#chat-output")).to_have_text(whole)


@pytest.mark.parametrize(
    "sample", [pytest.param(sample, id=sample.name) for sample in SAMPLES if sample.kind == "events"]
)
def test_the_events_that_a_guide_shows_are_read_as_it_says(guides: Guides, sample: Sample) -> None:
    stream = guides.mended(sample)
    shown: list[dict[str, Any]] = [
        json.loads(data)["choices"][0]["delta"] for data in re.findall(r"^data: (\{.*\})$", stream, re.MULTILINE)
    ]
    (choice,) = codecs.decode(stream.encode(), "openai-chat").choices
    said = "".join(part.text for part in choice.parts)
    assert shown
    assert said == "".join(delta.get("reasoning_content") or delta.get("content") or "" for delta in shown)
