"""A gateway with a key asks for it, and the page keeps it in its tab alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.async_api import expect

from tests.live.gateway import KEY, Gateway
from tests.pages.browser import BROWSER, Watched
from tests.pages.chat_page import FAST, ChatPage

pytestmark = BROWSER


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway with a key."""
    with Gateway(tmp_path_factory.mktemp("home")) as started:
        yield started


async def arrive(visits: Callable[..., Any], keyed: Gateway) -> tuple[ChatPage, Watched]:
    visit: Watched = await visits(keyed.url)
    visit.allow("status of 401")
    return ChatPage(await visit.open(), visit), visit


async def enter(chat: ChatPage, key: str) -> None:
    dialog = chat.page.locator("#key-dialog")
    await expect(dialog).to_be_visible()
    await dialog.get_by_label("Key", exact=True).fill(key)
    await chat.button("Go on", dialog).click()


async def test_a_key_is_asked_for_and_kept_in_the_tab(visits: Callable[..., Any], keyed: Gateway) -> None:
    chat, visit = await arrive(visits, keyed)
    await enter(chat, "sk-wrong")
    await expect(chat.page.get_by_text("That key was refused.")).to_be_visible()
    await enter(chat, KEY)
    await expect(chat.page.locator("#key-dialog")).to_be_hidden()
    await chat.ask("hi", model=FAST)
    await chat.answered()
    await chat.reload()
    await chat.ask("still in?")
    await chat.answered(count=2)
    kept = await chat.evaluate("() => [JSON.stringify({ ...localStorage }), location.href, document.cookie]")
    assert KEY not in "".join(kept)
    assert await chat.evaluate("(key) => Object.values({ ...sessionStorage }).includes(key)", KEY)
    # Another tab is another stranger.
    other = ChatPage(await visit.open(), visit)
    await expect(other.page.locator("#key-dialog")).to_be_visible()


async def test_without_the_key_a_question_waits_for_it(visits: Callable[..., Any], keyed: Gateway) -> None:
    chat, _ = await arrive(visits, keyed)
    await chat.button("Not now").click()
    await chat.ask("hi", model=FAST)
    await chat.answered("failed")
    await enter(chat, KEY)
    await chat.answered(count=1)
    await expect(chat.body).to_contain_text("hi")


async def test_the_key_is_forgotten_on_demand(visits: Callable[..., Any], keyed: Gateway) -> None:
    chat, _ = await arrive(visits, keyed)
    await enter(chat, KEY)
    await expect(chat.page.locator("#key-dialog")).to_be_hidden()
    await chat.button("Settings").click()
    await chat.button("Forget the gateway's key").click()
    await expect(chat.page.locator("#key-dialog")).to_be_visible()
    assert KEY not in await chat.evaluate("() => JSON.stringify({ ...sessionStorage })")


async def test_the_key_is_no_part_of_what_is_copied(visits: Callable[..., Any], keyed: Gateway) -> None:
    visit: Watched = await visits(keyed.url, permissions=["clipboard-read", "clipboard-write"])
    visit.allow("status of 401")
    chat = ChatPage(await visit.open(), visit)
    await enter(chat, KEY)
    await chat.ask("hi", model=FAST)
    answer = await chat.answered()
    await answer.locator(".facts").click()
    await chat.button("Copy as curl").click()
    command = await chat.evaluate("() => navigator.clipboard.readText()")
    assert "$THALWEG_API_KEY" in command
    assert KEY not in command
