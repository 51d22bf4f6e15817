"""Anthropic's own words and what they mean to us, and what its models take.

Sources: anthropic-sdk-python 2.10 types, platform.claude.com documentation, recorded exchanges; read 2026-11.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from thalweg.canon.errors import GatewayError
from thalweg.canon.finish import FinishReason
from thalweg.canon.usage import Usage
from thalweg.dialects.kit.numbers import count, details, within

NAME = "anthropic"
VENDOR = "anthropic"
"""Who makes the signatures that go out as they are."""
VERSION = b"2023-06-01"
"""The version that we speak upstream: the only one that takes sampling parameters."""
CONTENT_TYPE = b"text/event-stream; charset=utf-8"
DONE = b"[DONE]"
"""Not Anthropic's, but some who speak its dialect end with it."""
MINUTES = "5m"
HOUR = "1h"

FINISH_TO_CANON = {
    "end_turn": FinishReason.STOP,
    "max_tokens": FinishReason.LENGTH,
    "stop_sequence": FinishReason.STOP_SEQUENCE,
    "tool_use": FinishReason.TOOL_CALLS,
    "pause_turn": FinishReason.PAUSE,
    "compaction": FinishReason.PAUSE,
    "refusal": FinishReason.REFUSAL,
    "model_context_window_exceeded": FinishReason.CONTEXT_OVERFLOW,
}
"""Any other word means that the turn is over."""

FINISH_TO_WIRE = {
    FinishReason.STOP: "end_turn",
    FinishReason.STOP_SEQUENCE: "stop_sequence",
    FinishReason.TOOL_CALLS: "tool_use",
    FinishReason.LENGTH: "max_tokens",
    FinishReason.CONTEXT_OVERFLOW: "model_context_window_exceeded",
    FinishReason.CONTENT_FILTER: "refusal",
    FinishReason.REFUSAL: "refusal",
    FinishReason.PAUSE: "pause_turn",
    FinishReason.MALFORMED_CALL: "end_turn",
    FinishReason.UNKNOWN: "end_turn",
}


def finish_to_canon(raw: str | None, *, has_calls: bool) -> FinishReason:
    """Our reason. Whether it is a turn with tools is decided by the calls, not by the provider's word."""
    reason = FinishReason.UNKNOWN if raw is None else FINISH_TO_CANON.get(raw, FinishReason.STOP)
    if has_calls and reason in (FinishReason.STOP, FinishReason.UNKNOWN):
        return FinishReason.TOOL_CALLS
    if not has_calls and reason is FinishReason.TOOL_CALLS:
        return FinishReason.STOP
    return reason


def finish_to_wire(reason: FinishReason | None, *, has_calls: bool, refused: bool, matched: str | None) -> str:
    """`stop_reason`. Agents go on only where it says `tool_use`, so any call makes a plain end one."""
    plain = reason in (None, FinishReason.STOP, FinishReason.UNKNOWN)
    if has_calls and plain:
        return "tool_use"
    if refused and plain:
        return "refusal"
    if reason is FinishReason.TOOL_CALLS and not has_calls:
        return "end_turn"
    if reason is FinishReason.STOP_SEQUENCE and matched is None:
        return "end_turn"
    return FINISH_TO_WIRE[reason or FinishReason.STOP]


def is_usage(raw: Any) -> bool:
    """Whether this is a usage object that says a number."""
    if not isinstance(raw, dict):
        return False
    return count(raw, "output_tokens") is not None or count(raw, "input_tokens") is not None


def merge_usage(before: dict[str, Any], raw: dict[str, Any]) -> dict[str, Any]:
    """What two reports of one answer say together. Each value is a total so far: the last that is no null counts, also
    where it is smaller, for a compaction takes tokens away.
    """
    return before | {name: value for name, value in raw.items() if value is not None or name not in before}


def usage_to_canon(raw: dict[str, Any]) -> Usage:
    """Token counts of one usage object. Anthropic counts cached input beside `input_tokens`, we within."""
    fresh, made = count(raw, "input_tokens"), count(raw, "output_tokens")
    cached, written = count(raw, "cache_read_input_tokens"), count(raw, "cache_creation_input_tokens")
    return Usage(
        input_tokens=None if fresh is None else fresh + (cached or 0) + (written or 0),
        cached_input_tokens=cached,
        cache_write_tokens=written,
        output_tokens=made,
        reasoning_tokens=within(count(details(raw, "output_tokens_details"), "thinking_tokens"), made),
    )


def usage_to_wire(usage: Usage) -> dict[str, Any]:
    """A usage object with every number that the SDKs read, so that what came first is not taken for the last word."""
    cached, written = usage.cached_input_tokens or 0, usage.cache_write_tokens or 0
    wire: dict[str, Any] = {
        "input_tokens": max((usage.input_tokens or 0) - cached - written, 0),
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": cached,
        "output_tokens": usage.output_tokens or 0,
    }
    if usage.reasoning_tokens is not None:
        wire["output_tokens_details"] = {"thinking_tokens": usage.reasoning_tokens}
    return wire


# Errors.

ERROR_TYPES = {
    "invalid_request": "invalid_request_error",
    "unsupported": "invalid_request_error",
    "context_length": "invalid_request_error",
    "auth": "authentication_error",
    "billing": "billing_error",
    "permission": "permission_error",
    "not_found": "not_found_error",
    "request_timeout": "timeout_error",
    "conflict": "conflict_error",
    "too_large": "request_too_large",
    "unsupported_media": "invalid_request_error",
    "rate_limit": "rate_limit_error",
    "cancelled": "invalid_request_error",
    "upstream_bad": "api_error",
    "unreachable": "api_error",
    "upstream_error": "api_error",
    "upstream_broke": "api_error",
    "timeout": "timeout_error",
    "overloaded": "overloaded_error",
    "server": "api_error",
}
"""Our kind of fault: `error.type`. The SDKs choose their exception by the status, frameworks by this word."""

KIND_OF_STREAM_ERROR = {
    "overloaded_error": "overloaded",
    "rate_limit_error": "rate_limit",
    "timeout_error": "timeout",
}
"""Faults in a stream that another attempt may not meet; the others stay what every such error is."""

OVERLOADED_STATUS = 529
CONTEXT_MARK = "prompt is too long"
"""The words by which Claude Code and its like know that they must shorten the talk."""


def status_of(error: GatewayError) -> int:
    """The status that Anthropic has for it."""
    return OVERLOADED_STATUS if error.kind == "overloaded" else error.status


# Repairs of streams between two Anthropic sides.

REPAIRS = {
    "event": "The SDKs read no frame without an `event:` line, and old ones none whose name is not `data.type`.",
    "done": "`data: [DONE]` under a name raises in anthropic-python at the end of a good stream. Left out.",
    "message-start": "`message_start` missing, or without `content` or `usage`, raises in anthropic-python and -node. "
                     "A second one before any content is left out.",
    "block-start": "`content_block_start` missing, or without its empty `text`, `thinking` or `input`, raises at the "
                   "first delta. The end of a block that never began is left out.",
    "index": "A block's index that does not follow on raises in anthropic-python.",
    "usage": "`message_delta` without `usage.output_tokens` raises in anthropic-python and -node.",
    "unclosed": "By the standard a last frame that no blank line closes is no event.",
    "separators": "Who goes through lines of text cuts at U+2028, U+2029 and U+0085, as httpx' `iter_lines` and with "
                  "it LiteLLM, and reads neither half. Sent escaped.",
    "message-stop": "Without `message_stop` anthropic-node raises and the AI SDK loses the usage. Added to an answer "
                    "that has its `stop_reason`.",
}  # fmt: skip
"""Every row by name, and why it is needed."""

ANTHROPIC_REPAIRS = frozenset(REPAIRS)
"""Every mend of Anthropic streams that is known to be needed by some SDK."""


# What models take.


class ModelRow(msgspec.Struct, frozen=True, kw_only=True):
    """What is true of some models, by the beginnings of their names."""

    prefixes: tuple[str, ...]
    thinking: Literal["none", "budget", "adaptive"] = "adaptive"
    """`budget`: told in tokens (`enabled`); `adaptive`: by effort."""
    samples: bool = False
    """Whether it takes temperature, top_p and top_k."""
    samples_both: bool = False
    """Whether temperature and top_p may stand together."""
    xhigh: bool = True
    """Whether it knows the effort between `high` and `max`."""
    forced_choice: bool = True
    """Whether a tool may be forced at all."""
    can_be_off: bool = True
    """Whether thinking can be disabled."""
    thinks_unasked: bool = False
    structured: bool = True
    """Whether it takes `output_config.format` and strict tools."""
    system_inside: bool = False
    """Whether it honours `role: system` between the messages."""
    prefill: bool = False
    """Whether the last message may be the assistant's."""
    most_output: int = 128_000


_NEWEST = ModelRow(prefixes=("claude-",), thinks_unasked=True, system_inside=True)
_OLD = ModelRow(
    prefixes=("claude-3-haiku", "claude-3-opus", "claude-3-sonnet", "claude-2", "claude-instant"),
    thinking="none", samples=True, structured=False, prefill=True, most_output=4096,
)  # fmt: skip

MODEL_ROWS: tuple[ModelRow, ...] = (
    _OLD,
    ModelRow(
        prefixes=("claude-3-5",),
        thinking="none", samples=True, structured=False, prefill=True, most_output=8192,
    ),
    ModelRow(
        prefixes=("claude-3-7",),
        thinking="budget", samples=True, structured=False, prefill=True, most_output=64_000,
    ),
    ModelRow(
        prefixes=("claude-opus-4-1",),
        thinking="budget", samples=True, prefill=True, most_output=32_000,
    ),
    ModelRow(
        prefixes=("claude-opus-4-5", "claude-sonnet-4-5", "claude-haiku-4-5"),
        thinking="budget", samples=True, prefill=True, most_output=64_000,
    ),
    ModelRow(prefixes=("claude-opus-4-6", "claude-sonnet-4-6"), samples=True, xhigh=False),
    ModelRow(prefixes=("claude-opus-4-7",)),
    ModelRow(prefixes=("claude-opus-4-8",), system_inside=True),
    ModelRow(
        prefixes=("claude-opus-4",),
        thinking="budget", samples=True, structured=False, prefill=True, most_output=32_000,
    ),
    ModelRow(
        prefixes=("claude-sonnet-4",),
        thinking="budget", samples=True, structured=False, prefill=True, most_output=64_000,
    ),
    ModelRow(prefixes=("claude-sonnet-5-5",), thinks_unasked=True, system_inside=True),
    # It answers 200 to `role: system` between the messages, and does not heed it.
    ModelRow(prefixes=("claude-sonnet-5",), thinks_unasked=True),
    ModelRow(
        prefixes=("claude-fable", "claude-mythos"),
        forced_choice=False, can_be_off=False, thinks_unasked=True, system_inside=True,
    ),
    _NEWEST,
)  # fmt: skip
"""The first row that fits holds. A name of Claude's that none knows is taken for the newest."""

OTHERS = ModelRow(
    prefixes=("",),
    samples=True, samples_both=True, prefill=True, most_output=8192,
)  # fmt: skip
"""Models under names that are not known here, and of other makers that speak this dialect: told to think and to keep to
a schema as the newest are, and with the fields that only the newest refuse.
"""

DEFAULT_MOST_OUTPUT = 32_000
"""The cap on answers of models that may make more, where the client says none: Anthropic demands one."""

BUDGETS = {"minimal": 1024, "low": 2048, "medium": 10_000, "high": 16_384, "xhigh": 32_768, "max": 32_768}
"""Thinking in tokens, for models that know no effort."""
AUTO_BUDGET = 10_000
LEAST_BUDGET = 1024

IMAGE_TYPES = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})


def row_of(model: str) -> ModelRow:
    """What is true of a model, under whichever name a provider has for it."""
    name = model.lower().replace(".", "-")
    at = name.find("claude-")
    if at < 0:
        return OTHERS
    return next(row for row in MODEL_ROWS if name.startswith(row.prefixes, at))
