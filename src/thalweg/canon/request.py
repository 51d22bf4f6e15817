"""What a client asks for, in no dialect. Every optional field's `None` means the client did not say."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from thalweg.canon.parts import Part, Text


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """One turn, or one instruction in the middle of the talk."""

    role: Literal["user", "assistant", "system"]
    parts: tuple[Part, ...]
    name: str | None = None


class Tool(msgspec.Struct, frozen=True, kw_only=True):
    """A tool the model may call. `parameters` is a JSON Schema; `hosted` ones are run by the provider."""

    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None
    kind: Literal["function", "custom", "hosted"] = "function"
    raw: Any = None
    """The definition as it came, for custom and hosted tools."""
    cache: str | None = None
    """As a part's: how long the prompt up to here shall be cached."""


class ToolChoice(msgspec.Struct, frozen=True, kw_only=True):
    """Whether tools must be called. `names` is the one function asked for, or the allowed subset."""

    mode: Literal["auto", "none", "required"]
    names: tuple[str, ...] = ()


class Sampling(msgspec.Struct, frozen=True, kw_only=True):
    """How the answer is drawn."""

    max_tokens: int | None = None
    """Most tokens to make, reasoning included."""
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    seed: int | None = None
    logit_bias: dict[str, float] | None = None
    n: int = 1
    stop: tuple[str, ...] = ()
    logprobs: bool | None = None
    top_logprobs: int | None = None


class ReasoningAsk(msgspec.Struct, frozen=True, kw_only=True):
    """How much the model shall think, and whether the thinking is shown."""

    mode: Literal["default", "off", "auto", "effort", "budget"] = "default"
    effort: str | None = None
    """`minimal`, `low`, `medium`, `high`, `xhigh` or `max`, with mode `effort`."""
    budget_tokens: int | None = None
    """With mode `budget`."""
    show: Literal["default", "none", "summary", "auto"] = "default"


class OutputFormat(msgspec.Struct, frozen=True, kw_only=True):
    """The shape of the answer."""

    format: Literal["text", "json", "json_schema"] = "text"
    name: str | None = None
    schema: Any = None
    strict: bool | None = None
    description: str | None = None
    modalities: tuple[str, ...] = ()
    verbosity: str | None = None


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One generation request."""

    model: str
    messages: tuple[Message, ...]
    system: tuple[Text, ...] = ()
    """Instructions that stand before every message."""
    stream: bool = False
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    sampling: Sampling = Sampling()
    reasoning: ReasoningAsk = ReasoningAsk()
    output: OutputFormat = OutputFormat()
    user: str | None = None
    metadata: dict[str, str] | None = None
    include_usage: bool = True
    """Whether the client's stream carries usage; only Chat clients can say no."""
    service_tier: str | None = None
    """`auto`, `default`, `flex` or `priority`."""
    framing: Literal["sse", "json-array"] = "sse"
    """How the client's stream is framed; Gemini's clients alone have a choice."""
    dialect: str = ""
    """The dialect it came in."""
    extensions: dict[str, Any] = {}
    """Fields only that dialect knows, by name. Another dialect drops them, and says so."""
    essential: tuple[str, ...] = ()
    """Names of such fields without which the answer would mean something else: another dialect refuses them."""
