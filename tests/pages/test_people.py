"""The page for everybody: two languages, light and dark, the keyboard alone, a screen reader, any width."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page, Route, expect

from tests.pages.browser import BROWSER, Watched
from tests.pages.chat_page import FAST, ChatPage, ready

pytestmark = BROWSER

WORDS = Path(__file__).resolve().parents[2] / "src" / "thalweg" / "web" / "words"
EN, ZH = (json.loads((WORDS / f"{language}.json").read_text(encoding="utf-8")) for language in ("en", "zh"))
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}


# Languages


@pytest.mark.parametrize(("locale", "words"), [("en-GB", EN), ("de-DE", EN), ("zh-CN", ZH), ("zh-TW", ZH)])
async def test_the_page_speaks_the_browsers_language(visits: Callable[..., Any], locale: str, words: Any) -> None:
    chat = await ready(await visits(locale=locale))
    await expect(chat.page.locator(".welcome-title")).to_have_text(words["welcome"])
    await expect(chat.text).to_have_attribute("placeholder", words["ask"])
    assert await chat.evaluate("() => document.documentElement.lang") == ("en" if words is EN else "zh-CN")


async def test_the_language_can_be_chosen_and_stays(chat: ChatPage) -> None:
    await chat.ask("hello", model="sim/slow?pace=30")
    await chat.streaming()
    await chat.button("Settings").click()
    await chat.page.get_by_label("中文").check()
    # In the middle of an answer, which goes on.
    await expect(chat.page.get_by_role("heading", name=ZH["settings"])).to_be_visible()
    await expect(chat.page.locator(".live")).to_contain_text("正在流式输出")
    await chat.page.keyboard.press("Escape")
    await chat.page.keyboard.press("Escape")
    await chat.answered("stopped")
    await expect(chat.answer.locator(".notice")).to_contain_text("已停止")
    await chat.reload()
    await expect(chat.text).to_have_attribute("placeholder", ZH["ask"])


def pseudo(words: dict[str, str]) -> dict[str, str]:
    """Words that can be told from any other text."""
    return {key: f"⟦{text}⟧" for key, text in words.items()}


SEEN_TEXTS = """() => {
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const texts = [];
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    if (node.parentElement.closest("script, style, template, noscript, kbd, code, .md, .bubble-text, .side-open, .who-model, .model-name, .bar-title, .call-name, .notice-said, .details dd, .provider, .picker-name")) continue;
    if (/\\p{L}/u.test(node.data) && node.parentElement.checkVisibility()) texts.push(node.data);
  }
  for (const each of document.querySelectorAll("[aria-label], [title], [placeholder]")) {
    if (each.closest("template, .md, .side-open")) continue;
    for (const name of ["aria-label", "title", "placeholder"]) if (each.getAttribute(name)) texts.push(each.getAttribute(name));
  }
  return texts;
}"""


async def test_every_text_on_the_page_comes_from_the_words(visits: Callable[..., Any]) -> None:
    visit: Watched = await visits()

    async def translate(route: Route) -> None:
        await route.fulfill(json=pseudo(EN))

    await visit.context.route("**/words/en.json", translate)
    chat = await ready(visit)
    visit.allow("status of 404")

    async def check(page: Page) -> None:
        texts = await page.evaluate(SEEN_TEXTS)
        assert len(texts) > 20
        assert [text for text in texts if "⟦" not in text and not re.fullmatch(r"[\d/\s]+", text)] == []

    await check(chat.page)
    await chat.page.locator("[data-part=openPanel]").click()
    await chat.page.locator("[data-part=openSettings]").click()
    await check(chat.page)
    await chat.page.keyboard.press("Escape")
    await chat.page.locator(".suggestion").nth(2).click()
    await chat.answered()
    await check(chat.page)
    await chat.answer.locator(".facts").click()
    await check(chat.page)
    await chat.page.keyboard.press("Escape")
    await chat.ask("x", model="nobody/nothing")
    await chat.answered("failed")
    await check(chat.page)


# Light and dark

CONTRASTS = """() => {
  const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const rgba = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const light = ([r, g, b]) => {
    const part = (value) => ((value /= 255) <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
    return 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b);
  };
  const ground = (each) => {
    for (let here = each; here; here = here.parentElement) {
      const colour = rgba(getComputedStyle(here).backgroundColor);
      if (colour[3] === 255) return colour;
    }
    return [255, 255, 255, 255];
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const poor = [];
  let seen = 0;
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const each = node.parentElement;
    if (!node.data.trim() || !each.checkVisibility({ opacityProperty: true }) || each.closest(".out-of-sight, .skip, :disabled, noscript, template")) continue;
    const [one, other] = [light(rgba(getComputedStyle(each).color)), light(ground(each))].sort((a, b) => b - a);
    seen += 1;
    if ((one + 0.05) / (other + 0.05) < 4.5) poor.push(`${node.data.trim().slice(0, 40)}: ${((one + 0.05) / (other + 0.05)).toFixed(2)}`);
  }
  return { seen, poor };
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_text_stands_out_from_its_ground(visits: Callable[..., Any], scheme: str) -> None:
    visit: Watched = await visits(color_scheme=scheme)
    visit.allow("status of 404")
    chat = await ready(visit)

    async def check() -> None:
        found = await chat.evaluate(CONTRASTS)
        assert found["seen"] > 10
        assert found["poor"] == []

    await chat.page.locator(".bring summary").click()
    await check()
    await chat.page.locator(".suggestion").nth(2).click()
    await chat.answered()
    await check()
    await chat.ask("## Title\n\n> said\n\n`code` and [a link](https://a.example)\n\n```\ncode\n```", model=FAST)
    await chat.answered(count=2)
    await chat.ask("x", model="nobody/nothing")
    await chat.answered("failed", count=3)
    await chat.ask("x", model="sim/error-midstream?pace=0")
    await chat.answered("cut", count=4)
    await check()
    await chat.page.locator("[data-part=openPanel]").click()
    await chat.page.locator("[data-part=openSettings]").click()
    await check()


async def test_the_theme_can_be_chosen_and_is_there_before_the_first_paint(chat: ChatPage) -> None:
    ground = "() => getComputedStyle(document.body).backgroundColor"
    painted = "() => performance.getEntriesByType('paint').length > 0"
    light = await chat.evaluate(ground)
    await chat.button("Settings").click()
    await chat.page.get_by_label("Dark").check()
    dark = await chat.evaluate(ground)
    assert dark != light
    await chat.page.reload(wait_until="commit")
    await chat.page.wait_for_function(painted)
    assert await chat.evaluate(ground) == dark
    assert await chat.evaluate("() => document.documentElement.dataset.theme") == "dark"


# The keyboard


async def test_everything_works_by_the_keyboard(chat: ChatPage) -> None:
    page = chat.page
    await expect(chat.text).to_be_focused()
    await page.keyboard.press("Control+b")
    await expect(page.locator(".side")).to_be_hidden()
    await page.keyboard.press("Control+b")
    await expect(page.locator(".side")).to_be_visible()
    await page.keyboard.press("/")
    await expect(chat.text).to_be_focused()
    await page.locator(".model").focus()
    await page.keyboard.press("Enter")
    await page.keyboard.type("sim/rea")
    await page.keyboard.press("Enter")
    await expect(page.locator(".model-name")).to_have_text("sim/reasoning")
    await expect(chat.text).to_be_focused()
    await page.keyboard.type("one")
    await page.keyboard.press("Shift+Enter")
    await page.keyboard.type("two")
    await page.keyboard.press("Enter")
    await chat.answered()
    await expect(page.locator(".bubble-text")).to_have_text("one\ntwo")
    await page.locator(".thoughts summary").focus()
    await page.keyboard.press("Enter")
    await expect(page.locator(".thoughts-text")).to_be_visible()
    await page.keyboard.press("?")
    dialog = page.get_by_role("dialog")
    await expect(dialog).to_contain_text("Ctrl")
    await page.get_by_label("Shortcuts are on").uncheck()
    await page.keyboard.press("Escape")
    await expect(dialog).to_have_count(0)
    await page.keyboard.press("Control+b")
    await expect(page.locator(".side")).to_be_visible()


async def test_enter_sends_nothing_while_an_input_method_is_at_work(chat: ChatPage) -> None:
    await chat.text.fill("ni hao")
    await chat.text.evaluate(
        "(field) => field.dispatchEvent(new KeyboardEvent('keydown', { key: 'Enter', isComposing: true, bubbles: true }))"
    )
    await expect(chat.questions).to_have_count(0)
    await expect(chat.text).to_have_value("ni hao")


UNFOCUSED = """() => {
  if (document.activeElement === document.body) return null;
  const style = getComputedStyle(document.activeElement);
  const shown = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2;
  const around = document.activeElement.closest(".composer, .side-search, .switch, .segments label, .picker-search, .edit");
  return shown || around ? null : document.activeElement.outerHTML.slice(0, 120);
}"""


async def test_the_focus_is_seen_wherever_it_goes(chat: ChatPage) -> None:
    await chat.ask("hi", model=FAST)
    await chat.answered()
    await chat.page.locator("[data-part=openPanel]").click()
    await chat.page.locator(".skip").focus()
    places = set()
    for _ in range(40):
        await chat.page.keyboard.press("Tab")
        assert await chat.evaluate(UNFOCUSED) is None
        places.add(await chat.evaluate("() => document.activeElement.outerHTML.slice(0, 200)"))
    assert len(places) > 20


# Screen readers

NAMELESS = """() => [...document.querySelectorAll("button, a[href], input, textarea, select, summary, [role=region], dialog[open] *[role]")]
  .filter((each) => each.checkVisibility() && !each.closest("template"))
  .filter((each) => !(each.getAttribute("aria-label") || each.getAttribute("aria-labelledby") || each.textContent.trim()
    || each.labels?.length || each.title))
  .map((each) => each.outerHTML.slice(0, 160))"""


async def test_every_control_has_a_name(chat: ChatPage) -> None:
    assert await chat.evaluate(NAMELESS) == []
    await chat.page.locator(".suggestion").nth(2).click()
    await chat.answered()
    await chat.page.locator("[data-part=openPanel]").click()
    assert await chat.evaluate(NAMELESS) == []
    await chat.button("Settings").click()
    assert await chat.evaluate(NAMELESS) == []


async def test_an_answer_is_announced_in_sentences_and_not_by_word(chat: ChatPage) -> None:
    live = chat.page.locator("[data-part=announcer]")
    await expect(live).to_have_attribute("aria-live", "polite")
    await chat.ask("First sentence. Second sentence! 第三句。 And a fourth?", model="sim/text?pace=15")
    await chat.streaming()
    assert await chat.body.get_attribute("aria-live") is None
    await chat.answered()
    await expect(live).to_contain_text("The answer is complete.")
    lines = [line for line in await live.locator("p").all_text_contents() if line]
    assert 2 <= len(lines) <= 6
    assert "".join(lines[:-1]).replace(" ", "").startswith("".join((await chat.body.inner_text()).split())[:20])


async def test_it_announces_only_the_end_where_that_is_wanted(chat: ChatPage) -> None:
    await chat.button("Settings").click()
    await chat.page.get_by_label("Only the end").check()
    await chat.page.keyboard.press("Escape")
    await chat.ask("A sentence. Another one.", model=FAST)
    await chat.answered()
    await expect(chat.page.locator("[data-part=announcer] p")).to_have_text(["The answer is complete."])


async def test_messages_run_in_their_own_direction(chat: ChatPage) -> None:
    await chat.ask("שלום עולם", model=FAST)
    await chat.answered()
    for text in (chat.page.locator(".bubble-text"), chat.body):
        assert await text.get_attribute("dir") == "auto"
    assert await chat.page.locator(".bubble-text").evaluate("(each) => getComputedStyle(each).direction") == "rtl"


async def test_nothing_moves_for_those_who_want_it_so(visits: Callable[..., Any]) -> None:
    chat = await ready(await visits(reduced_motion="reduce"))
    running = "() => document.getAnimations().filter((each) => each.playState === 'running').length"
    await chat.page.wait_for_function(f"() => ({running})() === 0")
    await chat.ask("hi", model="sim/slow?pace=20")
    await chat.streaming()
    await chat.page.wait_for_function(f"() => ({running})() === 0")
    await chat.page.keyboard.press("Escape")
    await chat.answered("stopped")


# Widths


@pytest.mark.parametrize("width", [320, 390, 768, 1024, 1920])
async def test_the_page_fits_its_window(visits: Callable[..., Any], width: int) -> None:
    chat = await ready(await visits(viewport={"width": width, "height": 700}))
    fits = "() => document.documentElement.scrollWidth <= innerWidth && document.querySelector('.scroller').scrollWidth <= innerWidth"
    assert await chat.evaluate(fits)
    await chat.page.locator(".suggestion").nth(2).click()
    await chat.answered()
    assert await chat.evaluate(fits)
    outside = """() => [...document.querySelectorAll("button, textarea")].filter((each) => each.checkVisibility())
      .filter((each) => { const box = each.getBoundingClientRect(); return box.width && (box.left < -1 || box.right > innerWidth + 1); })
      .map((each) => each.outerHTML.slice(0, 100))"""
    assert await chat.evaluate(outside) == []


async def test_on_a_phone_the_side_bar_is_a_drawer(visits: Callable[..., Any]) -> None:
    chat = await ready(await visits(**PHONE))
    side = chat.page.locator(".side")
    await expect(side).to_be_hidden()
    await chat.button("Show side bar").click()
    await expect(side).to_be_visible()
    assert await chat.page.locator(".main").evaluate("(main) => main.inert")
    await chat.page.mouse.click(380, 400)
    await expect(side).to_be_hidden()
    # On glass, Enter makes a line.
    await chat.ask("from a phone\n", model=FAST)
    await expect(chat.questions).to_have_count(0)
    await chat.button("Send").click()
    await chat.answered()
    await chat.listed_anew()
    await chat.button("Show side bar").click()
    await side.get_by_role("link", name="from a phone").click()
    await expect(side).to_be_hidden()
    # Whatever is typed in has 16 px, or the phone zooms in on it.
    assert await chat.text.evaluate("(field) => parseFloat(getComputedStyle(field).fontSize)") >= 16
