"""Fixtures for tests of the pages: one browser for all, one gateway for each file, one visit for each test.

`visit` is a watched context at the file's gateway; `chat` its chat page, ready; `visits` makes more of them, with other
options or at another gateway. What a visit saw is checked when its test is over (see `browser.Watched`).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser

from tests.live.conftest import start_gateway, watched_simulator
from tests.live.gateway import Gateway
from tests.pages.browser import Watched, launched, require_chromium, watched
from tests.pages.chat_page import ChatPage, ready

__all__ = ["browser", "chat", "gateway", "start_gateway", "visit", "visits", "watched_simulator"]

Visits = Callable[..., AbstractAsyncContextManager[Watched]]
"""Makes a visit: `await visits(color_scheme="dark")`, `await visits(origin=other.url)`."""


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    """One Chromium for the whole run."""
    require_chromium()
    async with launched() as started:
        yield started


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway without a key and with no provider but the simulator, for all tests of a file."""
    require_chromium()
    with Gateway(tmp_path_factory.mktemp("home"), key=None) as started:
        yield started


@pytest_asyncio.fixture(loop_scope="session")
async def visits(browser: Browser, gateway: Gateway) -> AsyncIterator[Callable[..., Any]]:
    """Makes visits that end with the test."""
    async with AsyncExitStack() as stack:

        async def make(origin: str | None = None, **options: Any) -> Watched:
            return await stack.enter_async_context(watched(browser, origin or gateway.url, **options))

        yield make


@pytest_asyncio.fixture(loop_scope="session")
async def visit(visits: Callable[..., Any]) -> Watched:
    """A first visit to the file's gateway."""
    made: Watched = await visits()
    return made


@pytest_asyncio.fixture(loop_scope="session")
async def chat(visit: Watched) -> ChatPage:
    """The chat page at a first visit, ready to be used."""
    return await ready(visit)
