"""The page needs nobody but its gateway, and neither needs a network."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from playwright.async_api import expect

from tests.conftest import ROOT
from tests.pages.browser import BROWSER, require_chromium
from tests.pages.chat_page import FAST, ChatPage
from tests.pages.states import RICH

APART = ("unshare", "--map-root-user", "--net")
"""Runs a program in a network of its own."""

TEMPTING = """

![one](https://example.com/one.png) ![two](//example.com/two.png "two") <img src="https://example.com/three.png">
![three][3] <script src="https://example.com/four.js"></script> <link rel=stylesheet href=https://example.com/five.css>

[3]: https://example.com/six.png
"""


@pytest.fixture
def apart() -> tuple[str, ...]:
    """What runs a program without any network; skips the test where that is not allowed."""
    if shutil.which(APART[0]) is None or subprocess.run([*APART, "true"], check=False).returncode:
        pytest.skip("this machine lets nobody make a network of their own (unshare --map-root-user --net)")
    return APART


@pytest.mark.browser
def test_the_first_answer_comes_where_there_is_no_network(apart: tuple[str, ...], tmp_path: Path) -> None:
    require_chromium()
    command = [*apart, sys.executable, "-m", "tests.pages.offline", str(tmp_path)]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=90, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    told = json.loads(ran.stdout)
    assert "Yangtze" in told["text"]
    assert told["hosts"] == [told["host"]]


class TestAnswers:
    pytestmark = BROWSER

    async def test_an_answer_that_names_other_hosts_makes_the_page_ask_none(self, chat: ChatPage) -> None:
        """Each visit of these tests is held to that at its end (`browser.Watched`); this answer tempts it."""
        asked: list[str] = []
        chat.visit.context.on("request", lambda request: asked.append(request.url))
        await chat.ask(RICH + TEMPTING, model=FAST)
        answer = await chat.answered()
        await expect(answer.locator(".picture").first).to_be_visible()
        await answer.locator("a[href]").first.hover()
        await chat.reload()
        await chat.answered()
        assert len(asked) > 10
        assert {url for url in asked if not url.startswith(chat.visit.origin)} == set()
