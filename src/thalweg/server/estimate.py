"""How many tokens a prompt has, by a guess, where nobody who knows can be asked."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterator
from typing import Any

import msgspec

from thalweg.canon.parts import Media, Opaque, Part, Reasoning, Refusal, Text, ToolCall, ToolResult
from thalweg.canon.request import Request, Tool
from thalweg.canon.usage import estimate_tokens
from thalweg.dialects.base import count_chars

MEDIA_TOKENS = 1_000
"""For any file that is no text. A picture of 1,000 by 1,000 points costs 765 with OpenAI, 1,032 with Gemini, and 1,334
with Anthropic."""
MESSAGE_TOKENS = 4
"""For the marks around each message and each tool."""
_LONGEST_TEXT = 4 * 1024 * 1024


class Estimate(msgspec.Struct, frozen=True):
    """What a prompt may cost."""

    text_tokens: int
    """Texts, calls, results and the definitions of tools."""
    media_tokens: dict[str, int]
    """Files by their kind."""

    @property
    def tokens(self) -> int:
        """All together."""
        return self.text_tokens + sum(self.media_tokens.values())


def estimate(request: Request) -> Estimate:
    """A guess at the tokens of a request's prompt."""
    narrow = wide = 0
    for text in _texts(request):
        plain, other = count_chars(text)
        narrow, wide = narrow + plain, wide + other
    marks = MESSAGE_TOKENS * (len(request.messages) + len(request.tools) + bool(request.system))
    media: dict[str, int] = {}
    for file in _files(request):
        media[file.kind] = media.get(file.kind, 0) + MEDIA_TOKENS
    return Estimate(estimate_tokens(narrow, wide) + marks, media)


def _texts(request: Request) -> Iterator[str]:
    yield from (part.text for part in request.system)
    for message in request.messages:
        for part in message.parts:
            yield from _texts_of(part)
    for tool in request.tools:
        yield from _texts_of_tool(tool)
    if request.output.schema is not None:
        yield _as_json(request.output.schema)


def _texts_of(part: Part) -> Iterator[str]:
    match part:
        case Text() | Reasoning() | Refusal():
            yield part.text
        case ToolCall():
            yield part.name
            yield part.arguments
        case ToolResult():
            for each in part.parts:
                yield from _texts_of(each)
        case Media() if _is_text(part):
            yield _text_in(part.data or "")
        case Opaque():
            yield _as_json(part.raw)


def _texts_of_tool(tool: Tool) -> Iterator[str]:
    yield tool.name
    yield tool.description or ""
    if tool.parameters is not None:
        yield _as_json(tool.parameters)
    elif tool.raw is not None:
        yield _as_json(tool.raw)


def _files(request: Request) -> Iterator[Media]:
    for message in request.messages:
        for part in message.parts:
            for each in part.parts if isinstance(part, ToolResult) else (part,):
                if isinstance(each, Media) and not _is_text(each):
                    yield each


def _is_text(media: Media) -> bool:
    return media.data is not None and (media.mime or "").startswith("text/")


def _text_in(data: str) -> str:
    try:
        return b64decode(data[:_LONGEST_TEXT]).decode("utf-8", "replace")
    except ValueError:
        return ""


def _as_json(value: Any) -> str:
    try:
        return msgspec.json.encode(value).decode()
    except (TypeError, RecursionError):
        return ""
