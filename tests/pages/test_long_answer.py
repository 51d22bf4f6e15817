"""A long answer while it streams: text is only added, nothing that is there moves, and a selection stays.

What it costs is measured and printed. Only the full test, 20,000 tokens at 200 a second, holds the page to a time; it
writes the table in docs/performance.md.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.async_api import Browser, Page, expect

from tests.live.gateway import Gateway
from tests.pages.browser import BROWSER
from tests.pages.chat_page import OVER, ChatPage
from tests.pages.long_answer import (
    MOST_MS,
    Figures,
    Meter,
    kept_text,
    publish,
    render_at_once,
    rendered,
    seen,
    table,
    watch,
)

pytestmark = BROWSER

QUESTION = "The river is wide, and deep, and slow; 水往低处流。"
ANSWERS = {"long": "an article in Markdown", "text": "plain paragraphs"}
SAMPLE = "tokens=2000&pace=1000"
FULL = "tokens=20000&pace=200"
FULL_MS = 400_000


@pytest.fixture(scope="module")
def noted(browser: Browser) -> Iterator[dict[str, Figures]]:
    """The figures of full runs; when there is one of each answer, they go into docs/performance.md."""
    figures: dict[str, Figures] = {}
    yield figures
    if set(figures) == set(ANSWERS.values()):
        publish(figures, browser.version)


def whole_answer(gateway: Gateway, model: str) -> str:
    """The same answer, asked for in one piece."""
    body = {"model": model, "messages": [{"role": "user", "content": QUESTION}]}
    status, _, answer = gateway.request("POST", "/v1/chat/completions", body)
    assert status == 200, answer
    text: str = json.loads(answer)["choices"][0]["message"]["content"]
    return text


def assert_only_added(found: dict[str, Any]) -> None:
    """Nothing was taken away or written anew, no finished text moved, and the end was always in sight."""
    assert (found["faults"], found["moved"]) == ([], [])
    assert max(found["below"]) <= 1


async def assert_is(page: Page, text: str, html: str) -> None:
    """The page has the text, and shows it as if it had come in one piece."""
    assert await kept_text(page) == text
    assert await rendered(page) == html


@pytest.mark.parametrize("kind", ANSWERS)
async def test_text_is_only_added_and_finished_text_stays_in_its_place(
    chat: ChatPage, gateway: Gateway, seed: int, kind: str
) -> None:
    model = f"sim/{kind}?ttft=0&seed={seed}&{SAMPLE}"
    whole = whole_answer(gateway, f"sim/{kind}?ttft=0&seed={seed}&tokens=2000&pace=0")
    html = (await render_at_once(chat.page, whole))["html"]
    await chat.choose(model)
    await watch(chat.page)
    meter = await Meter.start(chat)
    await chat.ask(QUESTION)
    await chat.answered()
    assert_only_added(await seen(chat.page))
    await assert_is(chat.page, whole, html)
    print(table({ANSWERS[kind]: await meter.finish()}))


@pytest.mark.torture
@pytest.mark.timeout(900)
@pytest.mark.parametrize("kind", ANSWERS)
async def test_20_000_tokens_at_200_a_second_cost_less_than_4_ms_of_script_in_a_frame(
    *,
    browser: Browser,
    chat: ChatPage,
    gateway: Gateway,
    seed: int,
    kind: str,
    noted: dict[str, Figures],
    capsys: pytest.CaptureFixture[str],
) -> None:
    whole = whole_answer(gateway, f"sim/{kind}?ttft=0&seed={seed}&tokens=20000&pace=0")
    made = await render_at_once(chat.page, whole)
    await chat.choose(f"sim/{kind}?ttft=0&seed={seed}&{FULL}")
    await watch(chat.page)
    meter = await Meter.start(chat)
    await chat.ask(QUESTION)
    await meter.trace_last(browser, made["chars"] * 0.9, chat.answer.and_(chat.page.locator(OVER)), FULL_MS)
    await chat.answered()
    figures = await meter.finish()
    with capsys.disabled():
        print(f"\n{table({ANSWERS[kind]: figures})}")
    assert_only_added(await seen(chat.page))
    await assert_is(chat.page, whole, made["html"])
    assert figures.writing.p99 <= MOST_MS
    assert figures.script is not None
    assert figures.script.p99 <= MOST_MS
    noted[ANSWERS[kind]] = figures


_SELECTED = """() => {
  const { anchorNode, anchorOffset, focusNode, focusOffset } = getSelection();
  const now = [anchorNode, anchorOffset, focusNode, focusOffset];
  window.held ??= now;
  return [getSelection().toString(), now.every((each, at) => each === window.held[at]), anchorNode.isConnected];
}"""


_PARAGRAPHS = """() => {
  const box = document.querySelector("[data-part=scroller]").getBoundingClientRect();
  const middle = (box.top + box.bottom) / 2;
  return [...document.querySelectorAll(".body p")]
    .filter((each) => each.textContent.length > 40)
    .map((each) => [each.getBoundingClientRect(), Math.abs(each.getBoundingClientRect().top - middle)])
    .sort(([, one], [, other]) => one - other)
    .map(([{ x, y, width, height }]) => ({ x, y, width, height }));
}"""


async def select_with_the_mouse(page: Page) -> str:
    """Draw the mouse over a paragraph in the middle of the window, and what is under it.

    Where the page follows the end, it moves on below the mouse, which may meet a gap or a button instead: then it is
    drawn again, as a person would.
    """
    text = ""
    while len(text) <= 15:
        at = (await page.evaluate(_PARAGRAPHS))[0]
        await page.mouse.move(at["x"] + 4, at["y"] + 14)
        await page.mouse.down()
        await page.mouse.move(at["x"] + 150, at["y"] + 14, steps=3)
        await page.mouse.move(at["x"] + 250, at["y"] + at["height"] + 4, steps=3)
        await page.mouse.up()
        text = await page.evaluate("getSelection().toString()")
    return str((await page.evaluate(_SELECTED))[0])


async def until_it_overflows(page: Page, times: float) -> None:
    """Wait until the conversation is so many windows high."""
    script = "(times) => { const { scrollHeight: all, clientHeight: seen } = document.querySelector('.scroller'); return all > times * seen; }"
    await page.wait_for_function(script, arg=times)


@pytest.mark.parametrize("scrolled_up", [False, True], ids=["while the page follows the end", "while scrolled up"])
async def test_a_selection_over_streaming_text_stays_as_it_was_made(
    chat: ChatPage, seed: int, scrolled_up: bool
) -> None:
    await chat.ask(QUESTION, model=f"sim/long?ttft=0&seed={seed}&tokens=4000&pace=500")
    await until_it_overflows(chat.page, 1.5)
    if scrolled_up:
        await chat.page.locator("[data-part=scroller]").hover()
        await chat.page.mouse.wheel(0, -300)
        await expect(chat.button("Go to the end")).to_be_visible()
        await chat.at_rest()
    text = await select_with_the_mouse(chat.page)
    assert await chat.answer.get_attribute("data-state") == "streaming"
    await chat.answered()
    assert await chat.evaluate(_SELECTED) == [text, True, True]


_SIGHT = """(script) => {
  const box = document.querySelector("[data-part=scroller]");
  const seen = (window.sight = []);
  const top = box.getBoundingClientRect().top;
  const block = [...document.querySelectorAll(".body > .chunk > *")].find((each) => each.getBoundingClientRect().bottom > top);
  const note = () => seen.push(`${box.scrollTop} ${block.isConnected} ${block.getBoundingClientRect().top}`);
  note();
  new ResizeObserver(note).observe(document.querySelector("[data-part=thread]"));
}"""


async def test_who_scrolls_up_is_left_there_and_comes_back_by_the_button(chat: ChatPage, seed: int) -> None:
    await chat.ask(QUESTION, model=f"sim/long?ttft=0&seed={seed}&tokens=20000&pace=300")
    await until_it_overflows(chat.page, 1.5)
    await watch(chat.page)
    jump = chat.button("Go to the end")
    await expect(jump).to_be_hidden()
    await chat.page.locator("[data-part=scroller]").hover()
    await chat.page.mouse.wheel(0, -200)
    await expect(jump).to_be_visible()
    await chat.at_rest()
    await chat.evaluate(_SIGHT)
    await until_it_overflows(chat.page, 3)
    await chat.page.wait_for_function("() => window.sight.length > 10")
    places = await chat.evaluate("window.sight")
    assert set(places) == {places[0]}
    await jump.click()
    await expect(jump).to_be_hidden()
    await chat.evaluate("window.seen.below.length = 0")
    await chat.page.wait_for_function("() => window.seen.below.length > 10")
    await chat.page.keyboard.press("Escape")
    await chat.answered("stopped")
    assert_only_added(await seen(chat.page))


_BURST = """async () => {
  const { StickyScroll } = await import(document.querySelector('[href$="/chat/scroll.js"]').href);
  const frame = () => new Promise((resolve) => requestAnimationFrame(resolve));
  const box = document.body.appendChild(document.createElement("div"));
  const inside = box.appendChild(document.createElement("div"));
  Object.assign(box.style, { height: "100px", overflow: "auto" });
  inside.style.height = "150px";
  const told = [];
  new StickyScroll(box, inside, (sticks) => told.push(sticks));
  await frame();
  await frame();
  inside.style.height = "200px";
  await new Promise((resolve) => setTimeout(resolve));
  // It has been moved to the end, and the browser tells of that with the next frame.
  inside.style.height = "600px";
  for (let frames = 0; frames < 5; frames += 1) await frame();
  const below = box.scrollHeight - box.clientHeight - box.scrollTop;
  box.remove();
  return [below, told];
}"""


async def test_what_grows_by_windows_at_once_is_followed(chat: ChatPage) -> None:
    assert await chat.evaluate(_BURST) == [0, []]


_STEP = 240
_TURN = """async (step) => {
  const frame = () => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)));
  const box = document.querySelector("[data-part=scroller]");
  const { top, bottom } = box.getBoundingClientRect();
  const off = [];
  while (box.scrollTop > step) {
    const middle = (top + bottom) / 2;
    const block = [...document.querySelectorAll(".body > .chunk > *")].find((each) => each.getBoundingClientRect().bottom > middle);
    const before = block.getBoundingClientRect().top;
    box.scrollBy(0, -step);
    await frame();
    off.push(Math.round(block.getBoundingClientRect().top - before - step));
  }
  return off;
}"""


async def test_a_long_answer_that_is_opened_again_is_scrolled_through_without_a_jump(chat: ChatPage, seed: int) -> None:
    await chat.ask(QUESTION, model=f"sim/long?ttft=0&seed={seed}&tokens=6000&pace=0")
    await chat.answered()
    await chat.reload()
    await chat.answered()
    await chat.at_rest()
    off = await chat.evaluate(_TURN, _STEP)
    assert len(off) > 10
    assert set(off) == {0}
