"""`examples/node/chat_page.html` in a real browser, served by its back end, which calls the gateway."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Browser, Page, expect

from tests.pages.browser import BROWSER, watched
from tests.pages.conftest import browser
from tests.sdk.examples import Examples
from tests.sdk.readings import assert_complete, assert_stopped
from tests.sdk.test_node_examples import QUESTION, chat_server

__all__ = ["browser"]

pytestmark = [*BROWSER, pytest.mark.node]

HAS_MORE = "(seen) => document.getElementById('answer').textContent.length > seen"


@asynccontextmanager
async def opened(browser: Browser, examples: Examples, model: str) -> AsyncIterator[Page]:
    """The page, with its back end running and asking that model."""
    with chat_server(examples, model) as address:
        parts = urlsplit(address)
        async with watched(browser, f"{parts.scheme}://{parts.netloc}") as visit:
            # A browser asks each site for its picture, and this one has none.
            visit.allow("status of 404")
            yield await visit.open()


async def ask(page: Page, question: str) -> None:
    await page.get_by_label("Question").fill(question)
    await page.get_by_role("button", name="Send").click()


async def test_an_answer_is_shown_while_it_comes(browser: Browser, examples: Examples) -> None:
    before = len(examples.gateway.entries())
    async with opened(browser, examples, "sim/text?pace=15&seed=1") as page:
        answer, state = page.locator("#answer"), page.get_by_role("status")
        await ask(page, QUESTION)
        await page.wait_for_function(HAS_MORE, arg=0)
        await page.wait_for_function(HAS_MORE, arg=len(await answer.inner_text()))
        await expect(state).to_have_text("…")
        await expect(page.get_by_role("button", name="Send")).to_be_disabled()
        await expect(state).to_have_text("done")
        await expect(answer).to_contain_text(QUESTION)
        await ask(page, "And then?")
        await expect(answer).to_contain_text("And then?")
        await expect(state).to_have_text("done")
    for entry in examples.gateway.settled_since(before, 2):
        assert_complete(entry)


async def test_stop_cancels_through_to_the_ledger(browser: Browser, examples: Examples) -> None:
    before = len(examples.gateway.entries())
    async with opened(browser, examples, "sim/slow?pace=40") as page:
        await ask(page, QUESTION)
        await page.wait_for_function(HAS_MORE, arg=10)
        await page.get_by_role("button", name="Stop").click()
        await expect(page.get_by_role("status")).to_have_text("stopped")
        shown = await page.locator("#answer").inner_text()
        assert shown
        (entry,) = examples.gateway.settled_since(before)
        assert_stopped(entry)
        # The model would have gone on for twelve seconds.
        assert (entry.duration_ms or 0) < 8_000
        assert await page.locator("#answer").inner_text() == shown
        await expect(page.get_by_role("button", name="Send")).to_be_enabled()


@pytest.mark.parametrize(
    ("model", "said", "kept"),
    [
        ("sim/error-midstream?at=12&pace=0&seed=1", "error: ", True),
        ("nobody/nothing", "'nobody/nothing' is not known here", False),
    ],
    ids=["after some of it", "instead of it"],
)
async def test_an_error_is_shown_and_what_had_come_stays(
    browser: Browser, examples: Examples, model: str, said: str, kept: bool
) -> None:
    async with opened(browser, examples, model) as page:
        await ask(page, QUESTION)
        await expect(page.get_by_role("status")).to_contain_text(said)
        assert bool(await page.locator("#answer").inner_text()) == kept
        await expect(page.get_by_role("button", name="Send")).to_be_enabled()
        await expect(page.get_by_role("button", name="Stop")).to_be_disabled()
