"""Files that a Chat request names by their addresses, and their bytes put in the place of those."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw

from thalweg.dialects.base import Files
from thalweg.dialects.openai_chat.body import Body, Url

_FIELDS = ("image_url", "video_url")
_read_messages = msgspec.json.Decoder(list[dict[str, Raw]]).decode
_read_list = msgspec.json.Decoder(list[Raw]).decode
_read_object = msgspec.json.Decoder(dict[str, Raw]).decode
_read_any = msgspec.json.Decoder().decode


def names_files(body: Body) -> bool:
    """Whether any part of the talk is an address."""
    parts = (
        part for message in body.messages if not isinstance(message.content, str) for part in message.content or ()
    )
    return any(_is_address(value) for part in parts for value in (part.image_url, part.video_url))


def _is_address(value: Url | str | None) -> bool:
    url = value.url if isinstance(value, Url) else value
    return url is not None and url[:5].lower() != "data:"


def filled(messages: Raw, files: Files) -> Raw:
    """The messages with those files in them; every other value keeps its very bytes."""
    opened = _read_messages(messages)
    for message in opened:
        content = bytes(message.get("content", b""))
        if content.startswith(b"[") and any(f'"{name}"'.encode() in content for name in _FIELDS):
            message["content"] = Raw(msgspec.json.encode([_filled_part(part, files) for part in _read_list(content)]))
    return Raw(msgspec.json.encode(opened))


def _filled_part(part: Raw, files: Files) -> Raw:
    fields = _read_object(part)
    changed: dict[str, Any] = {}
    for name in fields.keys() & set(_FIELDS):
        value = _read_any(fields[name])
        url = value.get("url") if isinstance(value, dict) else value
        if isinstance(url, str) and (file := files.get(url)) is not None:
            data = f"data:{file[0]};base64,{file[1]}"
            changed[name] = _read_object(fields[name]) | {"url": data} if isinstance(value, dict) else data
    return Raw(msgspec.json.encode(fields | changed)) if changed else part
