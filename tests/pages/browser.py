"""A real Chromium and what is looked for on every page in it: no outside host, no breach of the policy, no error.

A test file here says `pytestmark = BROWSER`: its tests share one browser and so one event loop.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page, Request, async_playwright, expect

BROWSER = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]
"""The marks of a file of browser tests."""

CHROMIUM = os.environ.get("THALWEG_TEST_CHROMIUM") or shutil.which("chromium") or "/usr/bin/chromium"
ARGUMENTS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # Whatever else might be asked for is not found: a name is never looked up.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
)
TIMEOUT_MS = 20_000
expect.set_options(timeout=TIMEOUT_MS)

_WATCH = """
window.seenViolations = [];
document.addEventListener("securitypolicyviolation", (event) =>
  window.seenViolations.push(`${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}:${event.lineNumber}`));
"""


def require_chromium() -> None:
    """Skip the test where there is no Chromium."""
    if not os.access(CHROMIUM, os.X_OK):
        pytest.skip(f"no Chromium at {CHROMIUM}; THALWEG_TEST_CHROMIUM names another")


@asynccontextmanager
async def launched() -> AsyncIterator[Browser]:
    """A browser."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=list(ARGUMENTS))
        try:
            yield browser
        finally:
            await browser.close()


class Watched:
    """A browser context whose pages are watched. `assert_clean` tells what was seen.

    `allow` takes a pattern for what the browser itself writes to the console about an answer that a test wants, such as
    `status of 401`.
    """

    def __init__(self, context: BrowserContext, origin: str) -> None:
        self.context = context
        self.origin = origin
        self.foreign: list[str] = []
        self.errors: list[str] = []
        self._allowed: list[str] = []
        context.on("request", self._requested)
        context.on("console", self._said)
        context.on("weberror", lambda error: self.errors.append(f"uncaught: {error.error}"))

    async def open(self, path: str = "/") -> Page:
        """A new page at a path of the gateway."""
        page = await self.context.new_page()
        page.set_default_timeout(TIMEOUT_MS)
        await page.goto(self.origin + path)
        return page

    def allow(self, pattern: str) -> None:
        """Lines on the console that match this are no fault."""
        self._allowed.append(pattern)

    async def assert_clean(self) -> None:
        """Nothing was asked of another host, nothing broke the policy, nothing was said on the console."""
        violations = [
            each for page in self.context.pages for each in await page.evaluate("window.seenViolations ?? []")
        ]
        errors = [each for each in self.errors if not any(re.search(allowed, each) for allowed in self._allowed)]
        assert (self.foreign, violations, errors) == ([], [], [])

    def _requested(self, request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme not in ("data", "blob") and f"{parts.scheme}://{parts.netloc}" != self.origin:
            self.foreign.append(request.url)

    def _said(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.errors.append(f"{message.type}: {message.text}")


@asynccontextmanager
async def watched(browser: Browser, origin: str, **options: Any) -> AsyncIterator[Watched]:
    """A fresh context, as a person's first visit: English, light, a wide window; held to `assert_clean` at its end.

    `options` are Playwright's for a new context.
    """
    usual = {"locale": "en-US", "viewport": {"width": 1280, "height": 800}, "color_scheme": "light"}
    context = await browser.new_context(**(usual | options))
    try:
        await context.add_init_script(_WATCH)
        seen = Watched(context, origin)
        yield seen
        await seen.assert_clean()
    finally:
        await context.close()
