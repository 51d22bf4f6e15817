"""Chat's own words and what they mean to us.

Sources: OpenAI API reference and openai-python 3.51 types, read 2026-11.
"""

from __future__ import annotations

from typing import Any

from thalweg.canon.finish import FinishReason
from thalweg.canon.usage import Usage

NAME = "openai-chat"
CHUNK_OBJECT = "chat.completion.chunk"
DONE = b"[DONE]"
DONE_FRAME = b"data: [DONE]\n\n"

FINISH_TO_CANON = {
    "stop": FinishReason.STOP,
    "length": FinishReason.LENGTH,
    "tool_calls": FinishReason.TOOL_CALLS,
    "function_call": FinishReason.TOOL_CALLS,
    "content_filter": FinishReason.CONTENT_FILTER,
    "sensitive": FinishReason.CONTENT_FILTER,
    "model_context_window_exceeded": FinishReason.CONTEXT_OVERFLOW,
}

FINISH_TO_WIRE = {
    FinishReason.STOP: "stop",
    FinishReason.STOP_SEQUENCE: "stop",
    FinishReason.TOOL_CALLS: "tool_calls",
    FinishReason.LENGTH: "length",
    FinishReason.CONTEXT_OVERFLOW: "length",
    FinishReason.CONTENT_FILTER: "content_filter",
    FinishReason.REFUSAL: "stop",
    FinishReason.PAUSE: "stop",
    FinishReason.MALFORMED_CALL: "stop",
    FinishReason.UNKNOWN: "stop",
}

NOT_FINISHED = (None, "", "null")
"""Values of `finish_reason` that mean: goes on. The string is what some relays make of null."""


def is_usage(raw: Any) -> bool:
    """Whether this is a usage object that says a number."""
    if not isinstance(raw, dict):
        return False
    return _count(raw, "completion_tokens") is not None or _count(raw, "prompt_tokens") is not None


def usage_to_canon(raw: dict[str, Any]) -> Usage:
    """Token counts of one usage object. Parts are held within their whole, because some servers report more."""
    details = _details(raw, "prompt_tokens_details")
    made = _details(raw, "completion_tokens_details")
    total_in, total_out = _count(raw, "prompt_tokens"), _count(raw, "completion_tokens")
    cached = _first((details, "cached_tokens"), (raw, "prompt_cache_hit_tokens"), (raw, "cached_tokens"))
    written = _first((details, "cache_write_tokens"), (details, "cache_creation_input_tokens"))
    reasoning = _first((made, "reasoning_tokens"), (raw, "reasoning_tokens"))
    return Usage(
        input_tokens=total_in,
        cached_input_tokens=_within(cached, total_in),
        cache_write_tokens=_within(written, total_in),
        audio_input_tokens=_count(details, "audio_tokens"),
        output_tokens=total_out,
        reasoning_tokens=_within(reasoning, total_out),
        audio_output_tokens=_count(made, "audio_tokens"),
    )


def usage_to_wire(usage: Usage) -> dict[str, Any]:
    """A usage object with every whole, and those parts that are known."""
    total_in, total_out = usage.input_tokens or 0, usage.output_tokens or 0
    wire: dict[str, Any] = {
        "prompt_tokens": total_in,
        "completion_tokens": total_out,
        "total_tokens": total_in + total_out,
    }
    details = {"cached_tokens": usage.cached_input_tokens, "cache_write_tokens": usage.cache_write_tokens}
    made = {"reasoning_tokens": usage.reasoning_tokens}
    for key, parts in (("prompt_tokens_details", details), ("completion_tokens_details", made)):
        if known := {name: count for name, count in parts.items() if count is not None}:
            wire[key] = known
    return wire


def _details(raw: dict[str, Any], key: str) -> dict[str, Any]:
    found = raw.get(key)
    return found if isinstance(found, dict) else {}


def _count(raw: dict[str, Any], key: str) -> int | None:
    value = raw.get(key)
    if value is None or (type(value) is int and value >= 0):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        return None
    return int(value)


def _first(*places: tuple[dict[str, Any], str]) -> int | None:
    for raw, key in places:
        if (count := _count(raw, key)) is not None:
            return count
    return None


def _within(part: int | None, whole: int | None) -> int | None:
    return part if part is None or whole is None else min(part, whole)
