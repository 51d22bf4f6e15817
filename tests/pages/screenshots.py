"""`python -m tests.pages.screenshots`: pictures of the page for the docs, into docs/screenshots.

Starts a gateway, brings the page into the states below, and takes them as they are; the simulator's answers are the same
each time, the figures are not. Names on the command line take only those.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, Route, expect

from tests.conftest import ROOT
from tests.live.gateway import Gateway
from tests.pages.browser import launched, watched
from tests.pages.chat_page import ChatPage, ready
from tests.pages.palette import with_palette
from tests.pages.states import part

FOLDER = ROOT / "docs" / "screenshots"
MOST_BYTES = 150_000
WIDE: Mapping[str, Any] = {"viewport": {"width": 1280, "height": 800}}
TALL: Mapping[str, Any] = {"viewport": {"width": 1280, "height": 1000}}
PHONE: Mapping[str, Any] = {
    "viewport": {"width": 390, "height": 844},
    "has_touch": True,
    "is_mobile": True,
    "device_scale_factor": 1.5,
}
SIMULATOR = {"seed": 5, "ttft": 0.08, "pace": 250}
"""Put into each request, so that the page shows the model's plain name."""


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture."""

    name: str
    locale: str
    scheme: str
    window: Mapping[str, Any]
    bring: Callable[[ChatPage], Awaitable[None]]
    """Brings the fresh page into the state."""


async def nothing(chat: ChatPage) -> None:
    await expect(chat.page.locator(".suggestion").first).to_be_visible()


async def suggested(chat: ChatPage, number: int, state: str = "done") -> None:
    await chat.page.locator(".suggestion").nth(number).click()
    await chat.answered(state)


async def answer(chat: ChatPage) -> None:
    await suggested(chat, 0)
    await chat.page.wait_for_function("() => [...CSS.highlights.values()].some(({ size }) => size > 0)")


async def thoughts(chat: ChatPage) -> None:
    await suggested(chat, 1)
    await chat.page.locator(".thoughts:not([hidden]) summary").click()


async def calls(chat: ChatPage) -> None:
    await suggested(chat, 2)
    await chat.answer.locator("textarea").first.fill('{"level": 1842, "unit": "cm"}')


async def cut(chat: ChatPage) -> None:
    await suggested(chat, 3, "cut")


async def failed(chat: ChatPage) -> None:
    chat.visit.allow("status of 404")
    await chat.ask("有人在吗？", model="ark/doubao-seed-1-8")
    await chat.answered("failed")


async def settings(chat: ChatPage) -> None:
    await suggested(chat, 0)
    await chat.page.locator(part("openSettings")).click()


async def parameters(chat: ChatPage) -> None:
    await suggested(chat, 1)
    await chat.page.locator(part("openPanel")).click()
    await chat.page.locator(part("effort")).select_option("high")
    await chat.page.locator(part("scroller")).click(position={"x": 5, "y": 5})


async def picker(chat: ChatPage) -> None:
    await chat.page.locator(part("pickModel")).click()


async def drawer(chat: ChatPage) -> None:
    for number in range(3):
        await suggested(chat, number)
        await chat.page.locator(part("newChatNarrow")).click()
        await nothing(chat)
    await chat.page.locator(part("openSide")).click()
    await expect(chat.page.locator(part("openSettings"))).to_be_in_viewport(ratio=1)


PICTURES = (
    Picture("empty", "en-US", "light", WIDE, nothing),
    Picture("empty-zh-dark", "zh-CN", "dark", WIDE, nothing),
    Picture("answer", "en-US", "light", TALL, answer),
    Picture("answer-dark", "en-US", "dark", TALL, answer),
    Picture("answer-zh", "zh-CN", "light", TALL, answer),
    Picture("thoughts", "en-US", "light", WIDE, thoughts),
    Picture("calls-zh", "zh-CN", "light", TALL, calls),
    Picture("cut", "en-US", "light", WIDE, cut),
    Picture("failed-zh-dark", "zh-CN", "dark", WIDE, failed),
    Picture("settings", "en-US", "light", WIDE, settings),
    Picture("parameters-zh-dark", "zh-CN", "dark", WIDE, parameters),
    Picture("phone-empty-zh", "zh-CN", "light", PHONE, nothing),
    Picture("phone-answer-dark", "en-US", "dark", PHONE, answer),
    Picture("phone-drawer", "en-US", "light", PHONE, drawer),
)


async def seeded(route: Route) -> None:
    """Let a request go on with the simulator's settings in it."""
    body = json.loads(route.request.post_data or "{}") | {"simulator": SIMULATOR}
    await route.continue_(post_data=json.dumps(body))


async def take(picture: Picture, browser: Browser, gateway: Gateway) -> bytes:
    """The picture, small."""
    options = {"locale": picture.locale, "color_scheme": picture.scheme, "reduced_motion": "reduce", **picture.window}
    async with watched(browser, gateway.url, **options) as visit:
        await visit.context.route("**/v1/chat/completions", seeded)
        chat = await ready(visit)
        await picture.bring(chat)
        await chat.page.mouse.move(2, picture.window["viewport"]["height"] - 100)
        taken = await chat.page.screenshot(caret="hide", animations="disabled")
    return with_palette(taken)


async def main(names: list[str]) -> None:
    """Take all pictures, or those that are named."""
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as home, Gateway(Path(home), key=None) as gateway:
        async with launched() as browser:
            for picture in PICTURES:
                if names and picture.name not in names:
                    continue
                png = await take(picture, browser, gateway)
                if len(png) > MOST_BYTES:
                    raise ValueError(f"{picture.name} has {len(png):,} bytes, more than {MOST_BYTES:,}")
                (FOLDER / f"{picture.name}.png").write_bytes(png)
                print(f"{picture.name}.png: {len(png):,} bytes")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
