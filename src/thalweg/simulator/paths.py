"""Which dialect a request is in, and what it wants, by its path and its headers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Literal, NamedTuple
from urllib.parse import parse_qs, unquote_to_bytes

Headers = Iterable[tuple[bytes, bytes]]
Wish = Literal["answer", "count", "models", "nothing"]

CHAT, RESPONSES, ANTHROPIC, GEMINI, DASHSCOPE = (
    "openai-chat",
    "openai-responses",
    "anthropic",
    "gemini",
    "dashscope-native",
)

_ENDS: dict[bytes, tuple[Wish, str]] = {
    b"/chat/completions": ("answer", CHAT),
    b"/responses": ("answer", RESPONSES),
    b"/responses/input_tokens": ("count", RESPONSES),
    b"/messages": ("answer", ANTHROPIC),
    b"/messages/count_tokens": ("count", ANTHROPIC),
    b":generateContent": ("answer", GEMINI),
    b":streamGenerateContent": ("answer", GEMINI),
    b":countTokens": ("count", GEMINI),
    b"/services/aigc/text-generation/generation": ("answer", DASHSCOPE),
    b"/services/aigc/multimodal-generation/generation": ("answer", DASHSCOPE),
}
_MODELS = re.compile(rb"/models(?:/(.+))?$")
_LOOKS: tuple[tuple[bytes, str], ...] = (
    (b"/v1beta/", GEMINI),
    (b"/v1beta1/", GEMINI),
    (b"/v1alpha/", GEMINI),
    (b"/anthropic/", ANTHROPIC),
    (b"/services/aigc/", DASHSCOPE),
)
"""What a path has in it that no other dialect's has."""
_SSE = b"x-dashscope-sse"


class Place(NamedTuple):
    """What lies at a path."""

    wish: Wish
    dialect: str
    model: str = ""
    """The one that is asked about, of the list of models; empty for all."""


def find(target: bytes, headers: Headers) -> Place:
    """What a request wants. Its dialect is a guess where it is in none."""
    path = unquote_to_bytes(target.partition(b"?")[0])
    for end, (wish, dialect) in _ENDS.items():
        if path.endswith(end):
            return Place(wish, dialect)
    said = dict(headers)
    look = next((dialect for part, dialect in _LOOKS if part in path), None)
    if look is None:
        look = ANTHROPIC if b"anthropic-version" in said else GEMINI if _has_google_key(target, said) else CHAT
    if found := _MODELS.search(path):
        return Place("models", look, (found[1] or b"").decode("latin-1"))
    return Place("nothing", look)


def _has_google_key(target: bytes, said: Mapping[bytes, bytes]) -> bool:
    return b"x-goog-api-key" in said or b"key" in parse_qs(target.partition(b"?")[2])


def told_target(place: Place, target: bytes, headers: Headers) -> bytes:
    """The target, with what a dialect's reader wants to know of the headers in its query."""
    if place.dialect != DASHSCOPE:
        return target
    asked = dict(headers).get(_SSE, b"").lower() == b"enable"
    mark = b"&" if b"?" in target else b"?"
    return target + mark + _SSE + (b"=enable" if asked else b"=no")
