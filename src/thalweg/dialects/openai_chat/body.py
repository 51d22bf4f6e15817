"""The shape of a Chat request's body."""

from __future__ import annotations

from typing import Any

import msgspec


class StreamOptions(msgspec.Struct, frozen=True):
    """`stream_options`."""

    include_usage: bool | None = None
    chunk_include_usage: bool | None = None
    """Ark's word for usage in every chunk."""
    continuous_usage_stats: bool | None = None
    """vLLM's."""


class Url(msgspec.Struct, frozen=True):
    """`image_url` as an object."""

    url: str
    detail: str | None = None


class Audio(msgspec.Struct, frozen=True):
    """`input_audio`."""

    data: str
    format: str | None = None


class File(msgspec.Struct, frozen=True):
    """`file`."""

    file_data: str | None = None
    file_id: str | None = None
    filename: str | None = None


class ContentPart(msgspec.Struct, frozen=True):
    """One part of a message's content; which fields it has follows from its type."""

    type: str
    text: str | None = None
    refusal: str | None = None
    image_url: Url | str | None = None
    video_url: Url | str | None = None
    input_audio: Audio | None = None
    file: File | None = None


class Function(msgspec.Struct, frozen=True):
    """`function` of a call in the history. Some clients send the arguments as an object."""

    name: str
    arguments: str | dict[str, Any] | None = None


class Custom(msgspec.Struct, frozen=True):
    """`custom` of a call in the history."""

    name: str
    input: str = ""


class Call(msgspec.Struct, frozen=True):
    """A tool call in the history."""

    id: str | None = None
    type: str | None = None
    function: Function | None = None
    custom: Custom | None = None
    extra_content: Any = None


class WireMessage(msgspec.Struct, frozen=True):
    """One message."""

    role: str
    content: str | list[ContentPart] | None = None
    name: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    reasoning_details: Any = None
    refusal: str | None = None
    tool_calls: list[Call] | None = None
    function_call: Function | None = None
    tool_call_id: str | None = None


class FunctionTool(msgspec.Struct, frozen=True):
    """`function` of a tool's definition."""

    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class WireTool(msgspec.Struct, frozen=True):
    """A tool's definition."""

    type: str = "function"
    function: FunctionTool | None = None
    custom: dict[str, Any] | None = None


class Thinking(msgspec.Struct, frozen=True):
    """`thinking`, as Ark, DeepSeek, Zhipu and Moonshot have it."""

    type: str
    budget_tokens: int | None = None


class AskedReasoning(msgspec.Struct, frozen=True):
    """`reasoning`, as OpenRouter has it."""

    effort: str | None = None
    max_tokens: int | None = None
    exclude: bool | None = None
    enabled: bool | None = None


class TemplateArguments(msgspec.Struct, frozen=True):
    """`chat_template_kwargs`, as vLLM and llama.cpp have it. What it holds is between client and template."""

    enable_thinking: Any = None


class Body(msgspec.Struct, frozen=True):
    """A request's body. Null means absent; fields that are not here pass to an upstream of the same dialect."""

    model: str
    messages: list[WireMessage]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: int | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    seed: int | None = None
    logit_bias: dict[str, float] | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    stop: str | list[str] | None = None
    tools: list[WireTool] | None = None
    functions: list[FunctionTool] | None = None
    tool_choice: str | dict[str, Any] | None = None
    function_call: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    reasoning_effort: str | None = None
    thinking: Thinking | None = None
    enable_thinking: bool | None = None
    thinking_budget: int | None = None
    reasoning: AskedReasoning | None = None
    chat_template_kwargs: TemplateArguments | None = None
    response_format: dict[str, Any] | None = None
    modalities: list[str] | None = None
    verbosity: str | None = None
    user: str | None = None
    service_tier: str | None = None
    audio: Any = None
    prediction: Any = None
    web_search_options: Any = None
    store: Any = None
    moderation: Any = None
    prompt_cache_key: Any = None
    prompt_cache_options: Any = None
    prompt_cache_retention: Any = None
    safety_identifier: Any = None
    metadata: dict[str, str] | None = None
    simulator: Any = None
    """For the simulator alone, which checks it; no other upstream's concern."""
