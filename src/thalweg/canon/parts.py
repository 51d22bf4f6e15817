"""The typed pieces a message is made of. Order is kept; nothing is hoisted."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

PartKind = Literal["text", "reasoning", "tool_call", "refusal", "media", "opaque"]
"""What a part that is being streamed is."""


class Signature(msgspec.Struct, frozen=True, kw_only=True):
    """A provider's proof over a part. It means something only to the vendor that made it."""

    vendor: str
    model: str
    kind: str
    """What the vendor calls it: `signature`, `redacted`, `encrypted`, `thought`."""
    data: str
    """The value exactly as it was on the wire."""
    item_id: str | None = None
    """The upstream's own name of the item it proves, where it must go back with it (OpenAI's Responses)."""


class Citation(msgspec.Struct, frozen=True, kw_only=True):
    """Where a text comes from, as far as every dialect can say it."""

    url: str
    title: str | None = None
    quote: str | None = None
    """The words of the source."""
    start: int | None = None
    """The first character of the text that it is about."""
    end: int | None = None
    """The character behind the last one."""


class Text(msgspec.Struct, frozen=True, kw_only=True, tag="text"):
    """Plain text, possibly empty."""

    text: str
    signature: Signature | None = None
    citations: tuple[Citation, ...] = ()
    cache: str | None = None
    """How long the provider is asked to cache the prompt up to here (`5m`, `1h`, `30m`); `None`: not asked."""


class Media(msgspec.Struct, frozen=True, kw_only=True, tag="media"):
    """An image, a sound, a film or a document. Exactly one of `data`, `url` and `file_id` is set."""

    kind: Literal["image", "audio", "video", "document"]
    mime: str | None = None
    data: str | None = None
    """Standard base64 with padding."""
    url: str | None = None
    file_id: str | None = None
    vendor: str | None = None
    """Who issued `file_id`."""
    detail: str | None = None
    filename: str | None = None
    cache: str | None = None


class Reasoning(msgspec.Struct, frozen=True, kw_only=True, tag="reasoning"):
    """What the model thought. `text` may be empty where only a signature or a ciphertext was sent."""

    text: str = ""
    form: Literal["raw", "summary", "hidden"] = "raw"
    signature: Signature | None = None
    redacted: bool = False


class ToolCall(msgspec.Struct, frozen=True, kw_only=True, tag="tool_call"):
    """The model wants a tool to be run. Arguments are kept as the text that came, valid JSON or not."""

    id: str
    name: str
    arguments: str
    kind: Literal["function", "custom", "legacy", "server"] = "function"
    """`legacy` is Chat's old `function_call`, which has no id of its own."""
    signature: Signature | None = None
    cache: str | None = None


class ToolResult(msgspec.Struct, frozen=True, kw_only=True, tag="tool_result"):
    """What a tool answered."""

    call_id: str
    parts: tuple[Text | Media, ...]
    name: str | None = None
    is_error: bool = False
    cache: str | None = None


class Refusal(msgspec.Struct, frozen=True, kw_only=True, tag="refusal"):
    """The model's own words of refusal."""

    text: str


class Opaque(msgspec.Struct, frozen=True, kw_only=True, tag="opaque"):
    """Something only its own dialect understands. It is dropped, by name, towards any other."""

    dialect: str
    raw: Any


Part = Text | Media | Reasoning | ToolCall | ToolResult | Refusal | Opaque
