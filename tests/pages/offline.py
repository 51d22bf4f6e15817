"""A visit where there is no network at all: `unshare --map-root-user --net python -m tests.pages.offline HOME`.

Starts the gateway as a person does and opens its page in a browser, both in a network of their own in which there is
nothing but themselves. Prints what the page showed, as JSON.
"""

from __future__ import annotations

import asyncio
import errno
import json
import socket
import sys
from pathlib import Path
from typing import Any

from playwright.async_api import expect

from bench.first_token import raise_loopback
from tests.live.gateway import Gateway
from tests.pages.browser import launched, watched
from tests.pages.chat_page import ready


def assert_alone() -> None:
    """There is no way to anywhere."""
    assert [name for _, name in socket.if_nameindex()] == ["lo"]
    with socket.socket() as outside:
        outside.settimeout(5)
        assert outside.connect_ex(("192.0.2.1", 80)) == errno.ENETUNREACH


async def visit(gateway: Gateway) -> dict[str, Any]:
    """Open the page, take its first suggestion, and wait for the first text and for the end."""
    async with launched() as browser, watched(browser, gateway.url) as seen:
        chat = await ready(seen)
        await chat.page.locator(".suggestion").first.click()
        await chat.streaming()
        answer = await chat.answered()
        await expect(answer.locator("table")).to_be_visible()
        hosts = await chat.evaluate("performance.getEntriesByType('resource').map(({ name }) => new URL(name).host)")
        return {"text": await chat.body.inner_text(), "hosts": sorted(set(hosts)), "host": gateway.url.split("//")[1]}


def main(home: Path) -> None:
    raise_loopback()
    assert_alone()
    # As anybody's first start: local engines are looked for, too.
    with Gateway(home, key=None, environment={"THALWEG_FIND_ENGINES": "1"}) as gateway:
        print(json.dumps(asyncio.run(visit(gateway))))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
