"""Conversations: kept in the browser, found again, named, taken away and put back, carried out and in."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from playwright.async_api import Locator, expect

from tests.pages.browser import BROWSER, Watched
from tests.pages.chat_page import FAST, ChatPage, is_ready, ready

pytestmark = BROWSER


def listed(chat: ChatPage) -> Locator:
    return chat.page.locator(".side-open")


def asked(chat: ChatPage) -> Locator:
    return chat.page.locator(".bubble-text")


async def talk(chat: ChatPage, *questions: str) -> None:
    """Ask each in a conversation of its own."""
    await chat.choose(FAST)
    for question in questions:
        await chat.page.keyboard.press("Control+Shift+O")
        await expect(chat.page.locator(".welcome")).to_be_visible()
        await chat.ask(question)
        await chat.answered(count=1)
        await expect(listed(chat).first).to_have_text(question)
        await chat.listed_anew()


async def menu(chat: ChatPage, title: str, item: str) -> None:
    """Choose something in the menu of a listed conversation."""
    row = chat.page.locator(".side-item", has_text=title)
    await row.hover()
    await row.get_by_role("button").click()
    await chat.page.get_by_role("menuitem", name=item).click()


async def test_conversations_are_listed_opened_and_found(chat: ChatPage) -> None:
    await talk(chat, "about rivers", "about lakes", "about seas")
    await expect(listed(chat)).to_have_text(["about seas", "about lakes", "about rivers"])
    await listed(chat).last.click()
    await expect(asked(chat)).to_have_text("about rivers")
    await expect(chat.page.locator(".side-item.current")).to_have_text("about rivers")
    await chat.page.keyboard.press("Control+k")
    await expect(chat.page.get_by_role("searchbox")).to_be_focused()
    await chat.page.keyboard.type("LAKES")
    await expect(listed(chat)).to_have_text(["about lakes"])
    await chat.page.keyboard.press("Enter")
    await chat.page.keyboard.press("Enter")
    await expect(asked(chat)).to_have_text("about lakes")
    await chat.page.get_by_role("searchbox").fill("no such words")
    await expect(chat.page.get_by_text("Nothing found.")).to_be_visible()


async def test_a_reload_opens_what_was_open_with_its_draft(chat: ChatPage) -> None:
    await talk(chat, "kept")
    await chat.text.fill("half a thought")
    await chat.reload()
    await expect(asked(chat)).to_have_text("kept")
    await expect(chat.text).to_have_value("half a thought")
    await chat.page.keyboard.press("Control+Shift+O")
    await expect(chat.text).to_have_value("")
    await expect(chat.page.locator(".side-item.current")).to_have_count(0)
    await listed(chat).click()
    await expect(chat.text).to_have_value("half a thought")


async def test_back_and_forward_walk_the_conversations(chat: ChatPage) -> None:
    await talk(chat, "first", "second")
    await listed(chat).last.click()
    await expect(asked(chat)).to_have_text("first")
    await chat.page.go_back()
    await expect(asked(chat)).to_have_text("second")


async def test_a_conversation_is_renamed(chat: ChatPage) -> None:
    await talk(chat, "nameless")
    await menu(chat, "nameless", "Rename")
    field = chat.page.get_by_role("textbox", name="Name of the conversation")
    await field.fill("named <b>so</b>")
    await field.press("Enter")
    await expect(listed(chat)).to_have_text("named <b>so</b>")
    await expect(chat.page).to_have_title("named <b>so</b> · Thalweg")


async def test_a_conversation_is_deleted_and_put_back(chat: ChatPage) -> None:
    await talk(chat, "unwanted")
    await menu(chat, "unwanted", "Delete")
    await expect(listed(chat)).to_have_count(0)
    await expect(chat.page.locator(".welcome")).to_be_visible()
    await chat.button("Undo").click()
    await listed(chat).click()
    await expect(asked(chat)).to_have_text("unwanted")
    await expect(chat.answers).to_have_count(1)


async def saved(chat: ChatPage, act: Callable[[], Any], folder: Path) -> Path:
    """The file that an act saves."""
    async with chat.page.expect_download() as waiting:
        await act()
    download = await waiting.value
    path = folder / download.suggested_filename
    await download.save_as(path)
    return path


async def test_conversations_are_carried_from_browser_to_browser(
    visits: Callable[..., Any], chat: ChatPage, tmp_path: Path
) -> None:
    await talk(chat, "to be carried", "and another")
    await chat.hover(chat.answer, "Regenerate")
    await chat.answered(count=1)
    await chat.listed_anew()
    markdown = await saved(chat, lambda: menu(chat, "to be carried", "Save as Markdown"), tmp_path)
    assert "## You\n\nto be carried" in markdown.read_text()
    await chat.button("Settings").click()
    everything = await saved(chat, chat.button("Save all conversations").click, tmp_path)
    assert len(json.loads(everything.read_text())["conversations"]) == 2
    other = await ready(await visits())
    await other.page.set_input_files("[data-part=importFile]", [everything, markdown])
    await expect(listed(other)).to_have_count(3)
    # The first of them is opened, and so listed as the open one.
    await expect(other.page.locator(".side-item.current")).to_have_text("and another")
    await listed(other).get_by_text("and another").click()
    await expect(other.answer.locator(".branches")).to_contain_text("2/2")
    foreign = tmp_path / "foreign.json"
    foreign.write_text('{"a": 1}')
    await other.page.set_input_files("[data-part=importFile]", foreign)
    await expect(other.page.get_by_text("is not a file of conversations")).to_be_visible()


async def test_another_tab_sees_what_happens(visit: Watched, chat: ChatPage) -> None:
    page = await visit.open()
    await is_ready(page)
    other = ChatPage(page, visit)
    await chat.ask("seen from afar", model="sim/slow?pace=30")
    await chat.streaming()
    await expect(listed(other)).to_have_text("seen from afar")
    await listed(other).click()
    # It is another tab's answer: it grows here too, and nobody calls it broken.
    await expect(other.answer).to_have_attribute("data-state", "streaming")
    await expect(other.body).to_contain_text("seen from afar")
    await chat.page.keyboard.press("Escape")
    await chat.answered("stopped")
    await other.answered("stopped")


async def test_two_answers_run_side_by_side(chat: ChatPage) -> None:
    await chat.ask("in the background", model="sim/slow?pace=20")
    await chat.streaming()
    await chat.page.keyboard.press("Control+Shift+O")
    await chat.ask("in front", model=FAST)
    await chat.answered(count=1)
    # In a list of texts, the row of the answer that has just ended may still be there when it is looked at first.
    await expect(chat.page.locator(".side-item.running")).to_have_text(["in the background"])
    await listed(chat).get_by_text("in the background").click()
    await expect(chat.body).to_contain_text("in the background")
    await chat.page.keyboard.press("Escape")
    await chat.answered("stopped", count=1)


async def test_a_browser_that_keeps_nothing_still_talks(visits: Callable[..., Any]) -> None:
    visit: Watched = await visits()
    await visit.context.add_init_script(
        "Object.defineProperty(window, 'indexedDB', { get() { throw new DOMException('closed', 'SecurityError'); } });"
    )
    chat = await ready(visit)
    await expect(chat.page.get_by_text("This browser keeps nothing")).to_be_visible()
    await chat.ask("hello", model=FAST)
    await chat.answered()
    await expect(listed(chat)).to_have_text("hello")
