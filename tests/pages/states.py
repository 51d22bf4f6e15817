"""The states of the chat page, one after the other: for whatever looks at all of them."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from playwright.async_api import FilePayload, Page, expect

from tests.pages.chat_page import ChatPage

ALLOWED = r"status of 40[14]|ERR_INTERNET_DISCONNECTED"
"""What the browser says on its console of the failures that are among the states (`Watched.allow`)."""

RICH = """## Begins in the middle

#### and goes deeper than it should

1. one, with `code`
2. two
   - [x] done
   - [ ] to do

> said

```python
def thalweg(bed: list[float]) -> int:
    \"\"\"The deepest point.\"\"\"
    return min(range(len(bed)), key=bed.__getitem__)  # a comment that is longer than the window of a telephone is wide
```

| river | length | a column with a long name | and another with a long name |
| --- | ---: | --- | --- |
| Yangtze | 6,300 km | one two three four | five six seven eight |

A [link](https://example.com), a picture ![of a river](https://example.com/river.png), and a word that has no end:
Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft."""

PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c6360606060000000050001"
    "a5f645400000000049454e44ae426082"
)


def part(name: str) -> str:
    """What finds a named part of the page, whatever its language."""
    return f"[data-part={name}]"


async def offer_tools(page: Page) -> None:
    """Switch the example tools on, and ask for little effort: both are told below the text that one writes."""
    await page.locator(part("openPanel")).click()
    await page.locator(".switch", has=page.locator(part("exampleTools"))).click()
    await page.locator(part("effort")).select_option("low")
    await page.locator(part("panel")).locator(part("close")).click()


async def conversation(chat: ChatPage) -> None:
    """A conversation with an answer of every kind but one under way: whole, with thoughts, failed, stopped, cut, calls."""
    page = chat.page
    await chat.ask(RICH, model="sim/text?ttft=0&pace=0&seed=1")
    await chat.answered(count=1)
    await chat.ask("why?", model="sim/reasoning?ttft=0&pace=0&seed=1")
    await chat.answered(count=2)
    await chat.ask("who?", model="nobody/nothing")
    await chat.answered("failed", count=3)
    await chat.ask("on and on", model="sim/slow?ttft=0&seed=1")
    await chat.streaming()
    await page.keyboard.press("Escape")
    await chat.answered("stopped", count=4)
    await offer_tools(page)
    await chat.ask("call", model="sim/tools?ttft=0&pace=0&seed=1")
    await chat.answered(count=5)
    await chat.answer.locator("textarea").first.fill("one")
    await chat.answer.locator("textarea").last.fill("two")
    await chat.answer.locator(".calls-send").click()
    await chat.answered(count=6)
    await chat.ask("call again")
    await chat.answered(count=7)
    await chat.ask("the sea", model="sim/error-midstream?ttft=0&pace=0&seed=1")
    await chat.answered("cut", count=8)
    await chat.listed_anew()


async def is_narrow(page: Page) -> bool:
    """Whether the conversations are in a drawer."""
    narrow: bool = await page.evaluate("matchMedia('(max-width: 47.99rem)').matches")
    return narrow


@asynccontextmanager
async def opened(chat: ChatPage, button: str, shown: str) -> AsyncIterator[None]:
    """Open something by its button, wait for it, and close it with Escape."""
    await chat.page.locator(button).click()
    await expect(chat.page.locator(shown)).to_be_visible()
    yield
    await chat.page.keyboard.press("Escape")
    await expect(chat.page.locator(shown)).to_be_hidden()


OVERLAYS = {
    "the picker of models": (part("pickModel"), ".picker"),
    "the conversation's menu": (part("openMenu"), ".menu"),
    "the details of an answer": (".assistant .facts >> nth=0", ".details"),
    "the parameters": (part("openPanel"), part("panel")),
    "the settings": (part("openSettings"), "#settings-dialog"),
}
"""By what they are called: the button, and what it opens."""


async def states(chat: ChatPage) -> AsyncIterator[str]:
    """Bring the page from one state into the next, and tell each."""
    page = chat.page
    chat.visit.allow(ALLOWED)
    yield "empty"
    await page.locator(".bring summary").click()
    yield "how to bring models"
    await page.locator(part("files")).set_input_files(
        [
            FilePayload(name="river.png", mimeType="image/png", buffer=PNG),
            FilePayload(name="notes.txt", mimeType="text/plain", buffer=b"deep"),
            FilePayload(name="song.mp3", mimeType="audio/mpeg", buffer=b"\xff\xfb\x00"),
        ]
    )
    await expect(page.locator(".toast")).to_be_visible()
    yield "files that go along, and one that cannot"
    await offer_tools(page)
    await chat.ask("slow", model="sim/slow?ttft=60")
    await expect(chat.answer).to_have_attribute("data-state", "waiting")
    yield "waiting"
    await page.keyboard.press("Escape")
    await chat.answered("stopped")
    # Long enough for whoever takes a long look.
    await chat.ask(RICH, model="sim/slow?ttft=0&pace=60&seed=1&tokens=6000")
    await chat.streaming()
    yield "streaming"
    await page.keyboard.press("Escape")
    await chat.answered("stopped", count=2)
    await page.keyboard.press("Shift+Control+O")
    await expect(chat.answers).to_have_count(0)
    await conversation(chat)
    yield "every kind of answer"
    await page.locator(".thoughts:not([hidden]) summary").click()
    yield "thoughts unfolded"
    for name, (button, shown) in OVERLAYS.items():
        if await is_narrow(page) and button == part("openSettings"):
            await page.locator(part("openSide")).click()
            await expect(page.locator(button)).to_be_in_viewport()
            yield "the drawer"
        async with opened(chat, button, shown):
            yield name
    await page.locator(part("scroller")).click(position={"x": 5, "y": 5})
    await page.keyboard.press("?")
    await expect(page.locator("#shortcuts-dialog")).to_be_visible()
    yield "the list of keys"
    await page.keyboard.press("Escape")
    await page.locator(part("openMenu")).click()
    await page.get_by_role("menuitem").first.click()
    await expect(page.locator("#rename-dialog")).to_be_visible()
    yield "another name"
    await page.keyboard.press("Escape")
    await expect(page.locator("#rename-dialog")).to_be_hidden()
    await chat.text.focus()
    await chat.text.press("ArrowUp")
    await expect(page.locator(".edit")).to_be_visible()
    yield "a question edited"
    await page.keyboard.press("Escape")
    await chat.answer.hover()
    await chat.answer.locator(".actions button").last.click()
    await expect(page.locator(".toast button")).to_be_visible()
    # The way back is there for some seconds only, so it may be gone after a long look.
    yield "an answer deleted"
    refused = re.compile("/v1/(chat|models)")
    await page.route(refused, lambda route: route.fulfill(status=401, json={"error": {"message": "no"}}))
    await chat.ask("let me in")
    await expect(page.locator("#key-dialog")).to_be_visible()
    yield "the key asked for"
    await page.keyboard.press("Escape")
    await page.unroute(refused)
    await chat.visit.context.set_offline(True)
    await chat.ask("are you there?")
    await expect(page.locator(".banner")).to_be_visible()
    yield "the gateway away"
