"""An answer's Markdown as elements: what it looks like, and what it cannot do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.async_api import expect

from tests.pages.browser import BROWSER, Watched
from tests.pages.chat_page import FAST, ChatPage, ready

pytestmark = BROWSER

PIXEL = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII="
)


async def answered(chat: ChatPage, markdown: str) -> Any:
    await chat.ask(f"x\n\n{markdown}", model=FAST)
    await chat.answered()
    return chat.body


ELEMENTS = {
    "a heading": ("## Title", "h4", "Title"),
    "strong words": ("some **strong** ones", "strong", "strong"),
    "a list": ("- one\n- two", "ul > li:first-child", "one"),
    "a numbered list from seven": ("7. seven\n8. eight", 'ol[start="7"] > li:first-child', "seven"),
    "a task": ("- [x] done", 'li.task input[type="checkbox"]:checked:disabled', ""),
    "a quote": ("> said", "blockquote", "said"),
    "code in a line": ("run `make`", "p > code", "make"),
    "a block of code": ("```go\nfunc main() {}\n```", ".code pre code", "func main() {}"),
    "a table's head": ("| a | b |\n| --- | --- |\n| 1 | 2 |", ".table thead th:first-child", " a "),
    "a table's body": ("| a | b |\n| --- | --- |\n| 1 | 2 |", ".table tbody td:last-child", " 2 "),
    "a link": ("[here](https://a.example/b)", 'a[href="https://a.example/b"][rel="noopener noreferrer"]', "here"),
    "an address": ("at https://a.example/b_c.", 'a[href="https://a.example/b_c"]', "https://a.example/b_c."),
    "a formula": ("so $x^2$ it is", ".formula", "x^2"),
}


@pytest.mark.parametrize(("markdown", "selector", "text"), ELEMENTS.values(), ids=ELEMENTS.keys())
async def test_it_shows(chat: ChatPage, markdown: str, selector: str, text: str) -> None:
    found = (await answered(chat, markdown)).locator(selector)
    await expect(found).to_have_count(1)
    assert (await found.text_content() or "").strip() == text.strip()


HOSTILE = """
<script>window.owned = 1</script>
<img src=x onerror="window.owned = 1">
[a](javascript:window.owned=1) [b](data:text/html,<script>window.owned=1</script>) [c](vbscript:x)
![d](https://outside.example/x.png) ![e](javascript:window.owned=1)
<a href="javascript:window.owned=1">f</a> <iframe src="https://outside.example"></iframe>
| <b onclick="window.owned=1">g</b> |
| --- |
```"><script>window.owned=1</script>
<script>window.owned = 1</script>
```
<style>body { display: none }</style>
"""


async def test_hostile_text_is_text(chat: ChatPage) -> None:
    body = await answered(chat, HOSTILE)
    for element in ("script", "img", "iframe", "style", "b", "[onclick]", "[onerror]"):
        await expect(body.locator(element)).to_have_count(0)
    hrefs = await body.locator("a[href]").evaluate_all("(links) => links.map((link) => link.protocol)")
    assert set(hrefs) == {"https:"}
    for link in await body.locator("a:not([href])").all():
        await link.click()
    assert await chat.evaluate("() => window.owned") is None
    assert "<script>window.owned = 1</script>" in await body.inner_text()


async def test_a_picture_from_elsewhere_is_a_link_and_is_not_fetched(chat: ChatPage) -> None:
    body = await answered(chat, "![a river](https://outside.example/r.png)")
    link = body.locator("a.picture")
    await expect(link).to_have_text("a river")
    await expect(link).to_have_attribute("href", "https://outside.example/r.png")
    await expect(link).to_have_attribute("target", "_blank")


async def test_a_picture_in_the_text_itself_is_shown(chat: ChatPage) -> None:
    body = await answered(chat, f"![a pixel]({PIXEL})")
    image = body.locator("img")
    await expect(image).to_have_attribute("alt", "a pixel")
    assert await image.evaluate("(image) => image.decode().then(() => image.naturalWidth)") == 1


async def test_code_is_copied_as_it_was_written(visits: Callable[..., Any]) -> None:
    visit: Watched = await visits(permissions=["clipboard-read", "clipboard-write"])
    chat = await ready(visit)
    body = await answered(chat, "```python\ndef f(a_b):\n    return '<&>'\n```")
    await body.get_by_role("button", name="Copy code").click()
    # It says so for a moment only.
    await expect(body.get_by_role("button", name="Copied")).to_be_visible()
    assert await chat.evaluate("() => navigator.clipboard.readText()") == "def f(a_b):\n    return '<&>'"
    await chat.hover(chat.answer, "Copy")
    assert "```python\ndef f(a_b):" in await chat.evaluate("() => navigator.clipboard.readText()")


async def test_a_wide_table_and_long_code_scroll_and_the_page_does_not(visits: Callable[..., Any]) -> None:
    chat = await ready(await visits(viewport={"width": 320, "height": 640}))
    cells = " | ".join(f"column number {n}" for n in range(12))
    rule = " | ".join(["---"] * 12)
    await answered(chat, f"| {cells} |\n| {rule} |\n| {cells} |\n\n```\n{'long ' * 60}\n```\n\n{'x' * 300}")
    for box in (".table", ".code pre"):
        wider = "(box) => box.scrollWidth > box.clientWidth"
        assert await chat.body.locator(box).evaluate(wider)
    assert await chat.evaluate("() => document.documentElement.scrollWidth") == 320
    assert await chat.page.locator(".scroller").evaluate("(box) => box.scrollWidth === box.clientWidth")


async def test_colours_are_painted_over_the_code(chat: ChatPage) -> None:
    await answered(chat, "```python\nx = 'text'  # comment\n```")
    await chat.page.wait_for_function("() => CSS.highlights.get('code-comment').size === 1")
    said = await chat.evaluate(
        "() => [...CSS.highlights.get('code-string')].map((range) => range.startContainer.data.slice(range.startOffset, range.endOffset))"
    )
    assert said == ["'text'"]
    await chat.page.keyboard.press("Control+Shift+O")
    await chat.page.wait_for_function("() => CSS.highlights.get('code-comment').size === 0")


async def test_a_language_that_nobody_knows_has_its_name_and_no_colours(chat: ChatPage) -> None:
    body = await answered(chat, "```klingon\nqapla'\n```")
    await expect(body.locator(".code-language")).to_have_text("klingon")
    await expect(body.locator("code")).to_have_text("qapla'")


async def test_long_code_is_selected_and_coloured_as_one(chat: ChatPage) -> None:
    """It stands in parts, so that a line more is no work for a thousand; nobody else sees them."""
    code = "".join(f"x{n} = {n}\n" + ("\n" if n % 7 == 0 else "") for n in range(200)) + '"""a\nb"""'
    body = await answered(chat, f"```python\n{code}\n```")
    assert await body.locator(".code-part").count() > 2
    selected = """() => {
      getSelection().selectAllChildren(document.querySelector(".body pre code"));
      return String(getSelection());
    }"""
    shown = await chat.evaluate(selected)
    sent = await body.locator("code").text_content() or ""
    assert shown == sent
    assert code.startswith(sent[:500])
    await chat.page.wait_for_function("() => CSS.highlights.get('code-number').size > 100")
