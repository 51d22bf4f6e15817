"""The body of an Anthropic request, typed as far as the gateway reads it."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw


class CacheControl(msgspec.Struct, frozen=True):
    """`cache_control`."""

    type: str = "ephemeral"
    ttl: str | None = None


class Block(msgspec.Struct, frozen=True):
    """One block of content; which fields it has follows from its type. Those of unknown types pass as they are."""

    type: str
    text: str | None = None
    thinking: str | None = None
    signature: str | None = None
    data: Any = None
    id: str | None = None
    name: str | None = None
    input: Raw = Raw()
    tool_use_id: str | None = None
    content: Raw = Raw()
    is_error: bool | None = None
    source: Raw = Raw()
    title: Any = None
    context: Any = None
    citations: Raw = Raw()
    cache_control: CacheControl | None = None


class WireMessage(msgspec.Struct, frozen=True):
    """One turn, or an instruction between turns."""

    role: str
    content: str | list[Block]


class WireTool(msgspec.Struct, frozen=True):
    """A tool's definition; one that Anthropic runs has a dated type, and fields of its own."""

    name: str | None = None
    type: str | None = None
    description: str | None = None
    input_schema: dict[str, Any] | None = None
    strict: bool | None = None
    cache_control: CacheControl | None = None


class WireChoice(msgspec.Struct, frozen=True):
    """`tool_choice`."""

    type: str
    name: str | None = None
    disable_parallel_tool_use: bool | None = None


class Thinking(msgspec.Struct, frozen=True):
    """`thinking`."""

    type: str
    budget_tokens: int | None = None
    display: str | None = None


class OutputConfig(msgspec.Struct, frozen=True):
    """`output_config`."""

    effort: str | None = None
    format: dict[str, Any] | None = None
    task_budget: Any = None


class Metadata(msgspec.Struct, frozen=True):
    """`metadata`."""

    user_id: str | None = None


class Body(msgspec.Struct, frozen=True):
    """A request's body. Null means absent; fields that are not here pass to an upstream of the same dialect."""

    model: str
    messages: list[WireMessage]
    max_tokens: int | None = None
    system: str | list[Block] | None = None
    stream: bool | None = None
    stop_sequences: list[str] | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    tools: list[WireTool] | None = None
    tool_choice: WireChoice | None = None
    thinking: Thinking | None = None
    output_config: OutputConfig | None = None
    output_format: dict[str, Any] | None = None
    metadata: Metadata | None = None
    service_tier: str | None = None
