"""The page for everyone, in each of its states: axe, the keyboard alone, narrow windows, large type, longer words."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, Route, expect

from tests.conftest import ROOT
from tests.live.gateway import Gateway
from tests.pages.browser import ARGUMENTS, BROWSER, CHROMIUM, Watched, watched
from tests.pages.chat_page import FAST, ChatPage, ready
from tests.pages.states import OVERLAYS, conversation, opened, states

pytestmark = BROWSER

AXE = ROOT / "tests" / "node" / "node_modules" / "axe-core" / "axe.min.js"

# All rules, the best practices among them. Told to ignore pseudo-elements the check of contrast decides where it would
# only doubt: the line beside an answer is one, and stands on no text. The rest are the check's own defaults.
_RUN = """async () => {
  const contrast = {
    ignoreUnicode: true, ignoreLength: false, ignorePseudo: true, boldValue: 700, boldTextPt: 14, largeTextPt: 18,
    contrastRatio: { normal: { expected: 4.5 }, large: { expected: 3 } }, pseudoSizeThreshold: 0.25,
  };
  axe.configure({ checks: [{ id: "color-contrast", options: contrast }] });
  const { violations, passes } = await axe.run(document, { resultTypes: ["violations"] });
  const said = violations.flatMap(({ id, nodes }) => nodes.map(({ html, failureSummary }) => [id, html, failureSummary]));
  return { said, checked: passes.map(({ id }) => id) };
}"""


@pytest.fixture(scope="module")
def axe() -> str:
    """The source of axe-core."""
    if not AXE.is_file():
        pytest.skip("axe-core is not installed; `make node` does")
    return AXE.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("locale", "scheme", "width"),
    [
        pytest.param("zh-CN", "light", 1280),
        pytest.param("en-US", "dark", 320),
        pytest.param("zh-CN", "dark", 320, marks=pytest.mark.torture),
        pytest.param("en-US", "light", 1280, marks=pytest.mark.torture),
    ],
)
async def test_no_state_hides_anything_from_anybody(
    visits: Callable[..., Any], axe: str, locale: str, scheme: str, width: int
) -> None:
    """axe finds nothing, nothing but code and tables is wider than the window, and no control lies over another."""
    visit = await visits(locale=locale, color_scheme=scheme, viewport={"width": width, "height": 720})
    chat = await ready(visit)
    await chat.evaluate(f"{axe}; 0")
    found: dict[str, Any] = {}
    async for state in states(chat):
        result = await chat.evaluate(_RUN)
        assert "color-contrast" in result["checked"], state
        found[state] = result["said"] + await chat.evaluate(_WIDER) + await chat.evaluate(_COVERED)
    assert {state: said for state, said in found.items() if said} == {}
    assert len(found) > 15


# What lies in something that scrolls sideways by itself may be wide; a menu that is being put in its place may not.
_WIDER = """() => {
  const wide = [];
  const aside = document.documentElement.dataset.drawer === "open" ? ".aside-is-seen" : ".side";
  for (const each of document.querySelectorAll("body *")) {
    const { left, right, width, height } = each.getBoundingClientRect();
    if (!width || !height || each.closest(`.out-of-sight, .sprite, [inert], .river, ${aside}`) || !each.checkVisibility()) continue;
    const inScroller = each.closest("pre, .table, .picker, .menu") !== null;
    if (!inScroller && (right > innerWidth + 1 || left < -1)) wide.push(["sticks out", each.outerHTML.slice(0, 120), [left, right]]);
  }
  for (const each of [document.documentElement, document.body, document.querySelector(".scroller")]) {
    if (each.scrollWidth > each.clientWidth) wide.push(["scrolls sideways", each.className || each.tagName, each.scrollWidth]);
  }
  return wide;
}"""

_COVERED = """() => {
  const rows = ".composer-row, .bar, .foot, .side-top, .side-item, .panel-top, .notice-row, .dialog-row";
  const common = (one, other, from, to) => Math.min(one[to], other[to]) - Math.max(one[from], other[from]) > 1;
  const covered = [];
  for (const row of document.querySelectorAll(rows)) {
    const placed = [...row.querySelectorAll("button, a, h1, h2, .live")].filter((each) => each.checkVisibility());
    const boxes = placed.map((each) => [each, each.getBoundingClientRect()]);
    boxes.forEach(([one, box], at) => boxes.slice(at + 1).forEach(([other, its]) => {
      const meet = common(box, its, "left", "right") && common(box, its, "top", "bottom");
      if (meet && !one.contains(other)) covered.push(["covers", one.outerHTML.slice(0, 120), other.outerHTML.slice(0, 120)]);
    }));
  }
  return covered;
}"""


# By the keyboard

# What may have focus now, in the open dialog if there is one. The way to the end goes when focus has come there.
_REACHABLE = """() => {
  const within = document.querySelector("dialog:modal") ?? document.body;
  const all = "button, a[href], input, select, textarea, summary, [tabindex='0']";
  const group = (each) => each.type === "radio" && !each.checked && document.querySelector(`[name=${each.name}]:checked`);
  return [...within.querySelectorAll(all)].filter((each) =>
    !each.disabled && !each.closest("[inert]") && each.checkVisibility({ visibilityProperty: true }) && !group(each) &&
    !each.closest("[role=menu], [role=listbox], .jump"));
}"""
_BEGIN_TABS = f"""async () => {{
  window.wanted = new Set(({_REACHABLE})());
  window.unseen = [];
  document.activeElement.blur();
  window.frame = () => new Promise((resolve) => requestAnimationFrame(resolve));
  // Even what changes its look at once may do so with one of the next frames.
  for (let frames = 0; frames < 3; frames += 1) await window.frame();
  const look = (each) => {{
    const around = [each, each.parentElement, each.closest("form, label"), each.nextElementSibling].filter(Boolean);
    return around.map((one) => {{
      const {{ outlineStyle, outlineColor, boxShadow, borderColor, backgroundColor }} = getComputedStyle(one);
      return [outlineStyle, outlineColor, boxShadow, borderColor, backgroundColor].join();
    }}).join();
  }};
  window.blurred = new Map([...window.wanted].map((each) => [each, look(each)]));
  window.isSeen = (each) => window.blurred.get(each) !== look(each);
}}"""
_AFTER_TAB = """async () => {
  const each = document.activeElement;
  window.wanted.delete(each);
  if (each === document.body) return;
  for (let frames = 0; frames < 10 && !window.isSeen(each); frames += 1) await window.frame();
  if (!window.isSeen(each)) window.unseen.push(each.outerHTML.slice(0, 160));
}"""
_LEFT_OUT = "() => [[...window.wanted].map((each) => each.outerHTML.slice(0, 160)), window.unseen]"


async def assert_tab_reaches_everything(page: Page) -> None:
    """Tab goes to everything that can be used, and each of them shows that it has focus."""
    await page.evaluate(_BEGIN_TABS)
    for _ in range(4 + await page.evaluate("window.wanted.size")):
        await page.keyboard.press("Tab")
        await page.evaluate(_AFTER_TAB)
    assert await page.evaluate(_LEFT_OUT) == [[], []]


@pytest_asyncio.fixture(loop_scope="session")
async def still(visits: Callable[..., Any]) -> ChatPage:
    """The chat page of somebody who wants no motion: what changes its look has changed it at once."""
    return await ready(await visits(reduced_motion="reduce"))


async def test_tab_reaches_everything_and_shows_where_it_is(still: ChatPage) -> None:
    still.visit.allow("status of 404")
    await still.page.locator(".bring summary").click()
    await assert_tab_reaches_everything(still.page)
    await conversation(still)
    await still.page.locator(".thoughts:not([hidden]) summary").click()
    await assert_tab_reaches_everything(still.page)
    for button, shown in (OVERLAYS["the parameters"], OVERLAYS["the settings"]):
        async with opened(still, button, shown):
            await assert_tab_reaches_everything(still.page)


@pytest.mark.parametrize("name", OVERLAYS)
async def test_what_was_opened_by_a_key_gives_the_focus_back(chat: ChatPage, name: str) -> None:
    await chat.ask("hello", model=FAST)
    await chat.answered()
    button, shown = (chat.page.locator(each) for each in OVERLAYS[name])
    await button.focus()
    await chat.page.keyboard.press("Enter")
    await expect(shown).to_be_visible()
    await expect(button).not_to_be_focused()
    await chat.page.keyboard.press("Escape")
    await expect(shown).to_be_hidden()
    await expect(button).to_be_focused()


async def test_a_conversation_by_the_keyboard_alone(chat: ChatPage) -> None:
    keyboard = chat.page.keyboard
    await expect(chat.text).to_be_focused()
    await keyboard.type("two")
    await keyboard.press("Shift+Enter")
    await keyboard.type("lines")
    await keyboard.press("Enter")
    await expect(chat.questions.last.locator(".bubble-text")).to_have_text("two\nlines")
    await chat.answered()
    await expect(chat.text).to_be_focused()
    await keyboard.press("Shift+Control+O")
    await expect(chat.answers).to_have_count(0)
    await expect(chat.text).to_be_focused()
    await keyboard.press("Shift+Tab")
    await keyboard.press("Control+K")
    await keyboard.type("lines")
    await expect(chat.page.locator(".side-open")).to_have_count(1)
    await keyboard.press("Enter")
    await keyboard.press("Enter")
    await expect(chat.questions).to_have_count(1)


async def test_escape_closes_what_is_open_before_it_stops_an_answer(chat: ChatPage) -> None:
    await chat.ask("on and on", model="sim/slow?ttft=0&tokens=600")
    await chat.streaming()
    for button, shown in OVERLAYS.values():
        if "facts" not in button:
            async with opened(chat, button, shown):
                pass
    assert await chat.answer.get_attribute("data-state") == "streaming"
    await chat.page.keyboard.press("Escape")
    await chat.answered("stopped")


# Large type


LARGE = "# Large\n\n```python\nprint('wide' * 100)\n```\n\n| a | b |\n| --- | --- |\n| 1 | 2 |"


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def large_type(browser: Browser) -> AsyncIterator[Browser]:
    """A browser that is set to type of twice the size: widths in rem, where the page changes its form, follow."""
    arguments = [*ARGUMENTS, "--blink-settings=defaultFontSize=32"]
    large = await browser.browser_type.launch(executable_path=CHROMIUM, args=arguments)
    yield large
    await large.close()


@pytest.mark.parametrize("width", [1280, 640])
async def test_type_twice_as_large_leaves_everything_usable(large_type: Browser, gateway: Gateway, width: int) -> None:
    async with watched(large_type, gateway.url, viewport={"width": width, "height": 720}) as visit:
        chat = await ready(visit)
        assert await chat.evaluate("getComputedStyle(document.documentElement).fontSize") == "32px"
        assert await chat.evaluate(_WIDER) == []
        await chat.ask(LARGE, model=FAST)
        await chat.answered()
        assert await chat.evaluate(_WIDER) == []
        await expect(chat.text).to_be_in_viewport(ratio=1)
        await expect(chat.button("Send")).to_be_in_viewport(ratio=1)
        await expect(chat.answer.locator(".facts")).to_be_in_viewport()
        for button, shown in (OVERLAYS["the parameters"], OVERLAYS["the picker of models"]):
            async with opened(chat, button, shown):
                assert await chat.evaluate(_WIDER) == []


# Colours that axe cannot see

_CONTRASTS = """() => {
  const style = getComputedStyle(document.documentElement);
  const light = (colour) => {
    const parts = colour.trim().slice(1).match(/../g).map((each) => Number.parseInt(each, 16) / 255);
    const [r, g, b] = parts.map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const contrast = (one, other) => {
    const [dark, bright] = [one, other].map((name) => light(style.getPropertyValue(name))).sort((a, b) => a - b);
    return (bright + 0.05) / (dark + 0.05);
  };
  const names = ["keyword", "string", "number", "comment", "name", "type", "meta", "added", "removed"];
  const texts = names.map((name) => [`--code-${name}`, "--ground-code", 4.5]);
  const grounds = ["--ground", "--ground-raised", "--ground-side"];
  const controls = grounds.flatMap((ground) => ["--focus", "--line-strong"].map((name) => [name, ground, 3]));
  return [...texts, ...controls].map(([one, other, least]) => [one, other, contrast(one, other), least]);
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_code_and_the_edges_of_controls_stand_out(visits: Callable[..., Any], scheme: str) -> None:
    chat = await ready(await visits(color_scheme=scheme))
    contrasts = await chat.evaluate(_CONTRASTS)
    assert [each for each in contrasts if each[2] < each[3]] == []


# Other words

_LETTERS = dict(zip("aceinosuyzAEINOSU", "áçéíñöšúýžÁÉÍÑÖŠÚ", strict=True))


def longer(words: str) -> str:
    """Longer by a third, in other letters, between marks; what is put in stays as it is."""
    text = "".join(
        piece if piece.startswith("{") else "".join(_LETTERS.get(letter, letter) for letter in piece)
        for piece in re.split(r"(\{\w+\})", words)
    )
    return f"⟦{text}{('~~~~~~ ' * len(words))[: len(words) // 3]}⟧"


async def speak_longer(route: Route) -> None:
    """Answer with the page's English words, longer."""
    words = json.loads((ROOT / "src" / "thalweg" / "web" / "words" / "en.json").read_text(encoding="utf-8"))
    asked = re.compile("try_.*_prompt")
    await route.fulfill(json={key: text if asked.fullmatch(key) else longer(text) for key, text in words.items()})


# Names, figures, code and what people and models said are no words of the page.
_UNWORDED = """() => {
  const foreign = "code, kbd, pre, script, style, noscript, template, .md, .bubble, .bar-title, .who-model, .model-name, " +
    ".picker-name, .picker-group, .provider > span, .side-open, .call-name, .call-said, .attachment-name, .notice-said, " +
    ".branches > span, textarea, .details dd, .out-of-sight p";
  const bare = (text) => {
    const less = text.replaceAll(/⟦[^⟦⟧]*⟧/g, "");
    return less === text ? text : bare(less);
  };
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    if (!node.parentElement.closest(foreign) && /\\p{L}/u.test(bare(node.data))) found.push(["text", node.data]);
  }
  for (const each of document.querySelectorAll("body [aria-label], body [title], body [placeholder]")) {
    if (each.closest(".md, .side-open")) continue;
    for (const name of ["aria-label", "title", "placeholder"]) {
      if (/\\p{L}/u.test(bare(each.getAttribute(name) ?? ""))) found.push([name, each.getAttribute(name)]);
    }
  }
  return found;
}"""

# An ellipsis is meant where a name of any length stands; everything else has to fit.
_CLIPPED = """() => [...document.querySelectorAll("body *")]
  .filter((each) => each.checkVisibility() && !each.closest("[inert], .out-of-sight, .sprite, pre, .table"))
  .filter((each) => !each.matches(".side-open, .bar-title, .who-model, .model-name, .attachment-name, .bubble-text"))
  .filter((each) => {
    const [across, down] = ["overflowX", "overflowY"].map((name) => /hidden|clip/.test(getComputedStyle(each)[name]));
    return (across && each.scrollWidth > each.clientWidth + 1) || (down && each.scrollHeight > each.clientHeight + 1);
  })
  .map((each) => [each.className || each.tagName, each.textContent.slice(0, 60)])"""


@pytest.mark.parametrize("width", [1280, pytest.param(390, marks=pytest.mark.torture)])
async def test_every_word_comes_from_the_words_file_and_longer_ones_fit(visits: Callable[..., Any], width: int) -> None:
    visit: Watched = await visits(viewport={"width": width, "height": 800})
    await visit.context.route(re.compile(r"/words/en\.json"), speak_longer)
    chat = await ready(visit)
    found: dict[str, Any] = {}
    async for state in states(chat):
        found[state] = [await chat.evaluate(each) for each in (_UNWORDED, _CLIPPED, _WIDER, _COVERED)]
    assert {state: said for state, said in found.items() if any(said)} == {}
