"""Chat's own words and what they mean to us.

Sources: OpenAI API reference and openai-python 3.51 types, read 2026-11.
"""

from __future__ import annotations

from typing import Any

from thalweg.canon.finish import FinishReason
from thalweg.canon.usage import Usage
from thalweg.dialects.kit.numbers import count, counts, details, within

NAME = "openai-chat"
CONTENT_TYPE = b"text/event-stream; charset=utf-8"
CHUNK_OBJECT = "chat.completion.chunk"
DONE = b"[DONE]"
DONE_FRAME = b"data: [DONE]\n\n"

PREFILL_MARKS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "last": ({}, {}),
    "partial": ({"partial": True}, {}),
    "prefix": ({"prefix": True}, {}),
    "continue_final_message": ({}, {"continue_final_message": True, "add_generation_prompt": False}),
}
"""What says that the last message is the beginning of the answer: in it, and beside the messages."""

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
    FinishReason.REFUSAL: "content_filter",
    FinishReason.PAUSE: "stop",
    FinishReason.MALFORMED_CALL: "stop",
    FinishReason.UNKNOWN: "stop",
}


def finish_to_wire(reason: FinishReason, *, refused: bool) -> str:
    """`finish_reason`. A refusal is an end like any other where its own words stand in `refusal`, and only there."""
    return "stop" if refused and reason is FinishReason.REFUSAL else FINISH_TO_WIRE[reason]


NOT_FINISHED = (None, "", "null")
"""Values of `finish_reason` that mean: goes on. The string is what some relays make of null."""


def is_usage(raw: Any) -> bool:
    """Whether this is a usage object that says a number."""
    if not isinstance(raw, dict):
        return False
    return count(raw, "completion_tokens") is not None or count(raw, "prompt_tokens") is not None


def usage_to_canon(raw: dict[str, Any]) -> Usage:
    """Token counts of one usage object. Parts are held within their whole, because some servers report more."""
    total_in, total_out, hit, cached_beside, reasoning_beside = counts(raw, _COUNTS)
    cached, written, created, audio_in = counts(details(raw, "prompt_tokens_details"), _COUNTS_IN)
    reasoning, audio_out = counts(details(raw, "completion_tokens_details"), _COUNTS_OUT)
    if cached is None:
        cached = cached_beside if hit is None else hit
    written = created if written is None else written
    reasoning = reasoning_beside if reasoning is None else reasoning
    return Usage(
        input_tokens=total_in,
        cached_input_tokens=cached and within(cached, total_in),
        cache_write_tokens=written and within(written, total_in),
        audio_input_tokens=audio_in,
        output_tokens=total_out,
        reasoning_tokens=reasoning and within(reasoning, total_out),
        audio_output_tokens=audio_out,
    )


_COUNTS = ("prompt_tokens", "completion_tokens", "prompt_cache_hit_tokens", "cached_tokens", "reasoning_tokens")
_COUNTS_IN = ("cached_tokens", "cache_write_tokens", "cache_creation_input_tokens", "audio_tokens")
_COUNTS_OUT = ("reasoning_tokens", "audio_tokens")


def usage_to_wire(usage: Usage) -> dict[str, Any]:
    """A usage object with every whole, and those parts that are known."""
    total_in, total_out = usage.input_tokens or 0, usage.output_tokens or 0
    wire: dict[str, Any] = {
        "prompt_tokens": total_in,
        "completion_tokens": total_out,
        "total_tokens": total_in + total_out,
    }
    taken = {
        "cached_tokens": usage.cached_input_tokens,
        "cache_write_tokens": usage.cache_write_tokens,
        "audio_tokens": usage.audio_input_tokens,
    }
    made = {"reasoning_tokens": usage.reasoning_tokens, "audio_tokens": usage.audio_output_tokens}
    for key, parts in (("prompt_tokens_details", taken), ("completion_tokens_details", made)):
        if known := {name: tokens for name, tokens in parts.items() if tokens is not None}:
            wire[key] = known
    return wire
