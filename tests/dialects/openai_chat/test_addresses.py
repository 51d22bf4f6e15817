"""Files in the place of their addresses, in a Chat request that keeps every other byte."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.dialects.openai_chat.streams import CHAT

HERE, THERE = "https://a.example/x.png", "https://b.example/y.png"
DATA = "data:image/png;base64,AAAA"


def image(url: str, **more: Any) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url} | more}


@pytest.mark.parametrize(
    ("content", "named", "left"),
    [
        (HERE, False, HERE),
        (None, False, None),
        ([{"type": "text", "text": HERE}], False, [{"type": "text", "text": HERE}]),
        ([image(DATA)], False, [image(DATA)]),
        ([image("DATA:image/png;base64,AAAA")], False, [image("DATA:image/png;base64,AAAA")]),
        ([image(HERE, detail="low"), image(THERE)], True, [image(DATA, detail="low"), image(THERE)]),
        ([{"type": "image_url", "image_url": HERE}], True, [{"type": "image_url", "image_url": DATA}]),
        ([{"type": "video_url", "video_url": {"url": HERE}}], True, [{"type": "video_url", "video_url": {"url": DATA}}]),
    ],
    ids=["a text", "nothing", "a text part", "a data URL", "another", "one of two", "a string", "a film"],
)  # fmt: skip
def test_files_are_put_in_the_place_of_their_addresses(content: Any, named: bool, left: Any) -> None:
    first = {"role": "system", "content": "s", "x": 1.0}
    body = json.dumps({"model": "m", "messages": [first, {"role": "user", "content": content}], "top_p": 1.0}).encode()
    asked = CHAT.read_request(body)
    assert asked.names_files() is named
    filled = asked.filled(body, {HERE: ("image/png", "AAAA")})
    assert json.loads(filled)["messages"] == [first, {"role": "user", "content": left}]
    assert filled.count(b"1.0") == 2
