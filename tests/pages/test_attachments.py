"""Pictures and text files go along with a question, as data in it."""

from __future__ import annotations

import base64
import json
import struct
import zlib
from typing import Any

import pytest
from playwright.async_api import Request, expect

from tests.pages.browser import BROWSER
from tests.pages.chat_page import FAST, ChatPage

pytestmark = BROWSER


def png(width: int = 3, height: int = 2) -> bytes:
    """A grey picture."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\0" + b"\x80" * width for _ in range(height))
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


PNG = png()

HAND_OVER = """async ([how, name, type, base64]) => {
  const bytes = Uint8Array.from(atob(base64), (char) => char.charCodeAt(0));
  const data = new DataTransfer();
  data.items.add(new File([bytes], name, { type }));
  const [target, event] = how === "paste"
    ? [document.querySelector("#composer-text"), new ClipboardEvent("paste", { clipboardData: data, bubbles: true, cancelable: true })]
    : [document.querySelector(".main"), new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true })];
  target.dispatchEvent(event);
}"""


async def attach(chat: ChatPage, how: str, name: str, kind: str, content: bytes) -> None:
    if how == "button":
        await chat.page.set_input_files("[data-part=files]", {"name": name, "mimeType": kind, "buffer": content})
    else:
        await chat.evaluate(HAND_OVER, [how, name, kind, base64.b64encode(content).decode()])


def content_of(request: Request) -> Any:
    body = json.loads(request.post_data or "")
    return body["messages"][-1]["content"]


@pytest.mark.parametrize("how", ["paste", "drop", "button"])
async def test_a_picture_goes_along(chat: ChatPage, how: str) -> None:
    await chat.choose(FAST)
    await attach(chat, how, "river.png", "image/png", PNG)
    await expect(chat.page.locator(".attachments img")).to_have_attribute("alt", "river.png")
    async with chat.page.expect_request("**/v1/chat/completions") as waiting:
        await chat.ask("what is it?")
    url = f"data:image/png;base64,{base64.b64encode(PNG).decode()}"
    assert content_of(await waiting.value) == [
        {"type": "text", "text": "what is it?"},
        {"type": "image_url", "image_url": {"url": url}},
    ]
    await chat.answered()
    await expect(chat.body).to_contain_text("a PNG of 3 × 2 pixels")
    await expect(chat.page.locator(".attachments")).to_be_hidden()
    await chat.reload()
    await expect(chat.questions.locator("img")).to_have_attribute("src", url)


async def test_a_picture_alone_is_a_question(chat: ChatPage) -> None:
    await chat.choose(FAST)
    await attach(chat, "button", "a.png", "image/png", PNG)
    await chat.button("Send").click()
    await chat.answered()
    await expect(chat.page.locator(".side-open")).to_have_text("a.png")


async def test_a_text_file_stands_in_the_question(chat: ChatPage) -> None:
    await chat.choose(FAST)
    await attach(chat, "drop", "bed.py", "", b"depth = 3\n")
    await expect(chat.page.locator(".attachment")).to_contain_text("10 B")
    async with chat.page.expect_request("**/v1/chat/completions") as waiting:
        await chat.ask("read it")
    assert content_of(await waiting.value) == "bed.py\n```\ndepth = 3\n\n```\n\nread it"
    await chat.answered()
    await expect(chat.questions).to_contain_text("bed.py")


async def test_what_was_attached_can_be_removed(chat: ChatPage) -> None:
    await attach(chat, "button", "a.png", "image/png", PNG)
    await chat.button("Remove a.png").click()
    await expect(chat.page.locator(".attachments")).to_be_hidden()
    await expect(chat.button("Send")).to_be_disabled()


REFUSED = {
    "too large a picture": ("big.png", "image/png", PNG + b"\0" * 6_000_000, "6.0 MB is the most"),
    "too long a text": ("big.txt", "text/plain", b"x" * 400_001, "400 kB is the most"),
    "another kind of picture": ("a.tiff", "image/tiff", b"II*\0", "PNG, JPEG, GIF and WebP work"),
    "bytes that are no text": ("a.bin", "application/octet-stream", bytes(range(256)), "neither a picture nor text"),
}


@pytest.mark.parametrize(("name", "kind", "content", "why"), REFUSED.values(), ids=REFUSED.keys())
async def test_it_says_why_it_takes_no(chat: ChatPage, name: str, kind: str, content: bytes, why: str) -> None:
    await attach(chat, "button", name, kind, content)
    toast = chat.page.locator(".toast")
    await expect(toast).to_contain_text(f'"{name}"')
    await expect(toast).to_contain_text(why)
    await expect(chat.page.locator(".attachments")).to_be_hidden()
