"""The chat page as a person uses it. Waits are for what is seen, never for a time."""

from __future__ import annotations

from typing import Any

from playwright.async_api import Locator, Page, expect

from tests.pages.browser import Watched

OVER = "[data-state]:not(.under-way)"
FAST = "sim/text?ttft=0&pace=0"
"""An answer that is there at once."""

_RESTS = """() => new Promise((resolve) => {
  const box = document.querySelector("[data-part=scroller]");
  const { scrollTop } = box;
  let frames = 0;
  const look = () => {
    frames += 1;
    if (frames > 10 || box.scrollTop !== scrollTop) resolve(box.scrollTop === scrollTop);
    else requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
})"""


class ChatPage:
    """One page, and the visit that it belongs to."""

    def __init__(self, page: Page, visit: Watched) -> None:
        self.page = page
        self.visit = visit

    # What is there

    @property
    def text(self) -> Locator:
        """Where one writes."""
        return self.page.locator("#composer-text")

    @property
    def questions(self) -> Locator:
        return self.page.locator(".message.user")

    @property
    def answers(self) -> Locator:
        return self.page.locator(".message.assistant")

    @property
    def answer(self) -> Locator:
        """The last answer."""
        return self.answers.last

    @property
    def body(self) -> Locator:
        """The text of the last answer."""
        return self.answer.locator(".body")

    def button(self, name: str, within: Locator | None = None) -> Locator:
        """A button by its name."""
        return (within or self.page).get_by_role("button", name=name, exact=True)

    # What one does

    async def choose(self, model: str) -> None:
        """Choose a model by its name, known or not."""
        await self.page.locator(".model").click()
        search = self.page.locator(".picker-search input")
        await search.fill(model)
        await self.page.locator(".picker-option", has=self.page.get_by_text(model, exact=True)).click()
        await expect(search).to_have_count(0)

    async def ask(self, text: str, *, model: str | None = None) -> None:
        """Ask, and wait for nothing."""
        if model is not None:
            await self.choose(model)
        await self.text.fill(text)
        await self.text.press("Enter")

    async def answered(self, state: str = "done", *, count: int | None = None) -> Locator:
        """Wait until the last answer is over, in this state, and there are so many; that answer."""
        if count is not None:
            await expect(self.answers).to_have_count(count)
        await expect(self.answer).to_have_attribute("data-state", state)
        return self.answer

    async def streaming(self) -> Locator:
        """Wait until the last answer has its first text."""
        await expect(self.answer).to_have_attribute("data-state", "streaming")
        await expect(self.body).not_to_be_empty()
        return self.answer

    async def at_rest(self) -> None:
        """Wait until the wheel's last pixels have come: many frames show the same place."""
        await self.page.wait_for_function(_RESTS)

    async def listed_anew(self) -> None:
        """Wait until no row at the side says that its answer is made: when that is over the row is made anew, and a
        press on the old one would be lost.
        """
        await expect(self.page.locator(".side-item.running")).to_have_count(0)

    async def hover(self, message: Locator, name: str) -> None:
        """Press one of a message's buttons, which show themselves to the pointer."""
        await message.hover()
        await self.button(name, message).click()

    async def reload(self) -> None:
        await self.page.reload()
        await is_ready(self.page)

    async def evaluate(self, script: str, argument: Any = None) -> Any:
        return await self.page.evaluate(script, argument)


async def is_ready(page: Page) -> None:
    """Wait until the page has its words, its conversations and the gateway's models."""
    await page.wait_for_selector("html[data-ready]", state="attached")


async def ready(visit: Watched, path: str = "/") -> ChatPage:
    """The chat page of a visit, ready to be used."""
    page = await visit.open(path)
    await is_ready(page)
    return ChatPage(page, visit)
