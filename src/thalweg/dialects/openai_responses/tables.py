"""Responses' own words and what they mean to us.

Sources: OpenAI API reference, openai-python 3.51 types and recorded streams, read 2026-11.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from thalweg.canon.finish import FinishReason
from thalweg.canon.parts import Part, Refusal, ToolCall
from thalweg.canon.usage import Usage
from thalweg.dialects.kit.numbers import count, details, within

NAME = "openai-responses"
VENDOR = "openai"
"""Who makes the ciphertexts of reasoning items in this dialect."""
CONTENT_TYPE = b"text/event-stream; charset=utf-8"
DONE = b"[DONE]"

CREATED = "response.created"
QUEUED = "response.queued"
IN_PROGRESS = "response.in_progress"
COMPLETED = "response.completed"
INCOMPLETE = "response.incomplete"
FAILED = "response.failed"
ITEM_ADDED = "response.output_item.added"
ITEM_DONE = "response.output_item.done"
PART_ADDED = "response.content_part.added"
PART_DONE = "response.content_part.done"
TEXT_DELTA = "response.output_text.delta"
TEXT_DONE = "response.output_text.done"
ANNOTATION = "response.output_text.annotation.added"
REFUSAL_DELTA = "response.refusal.delta"
REFUSAL_DONE = "response.refusal.done"
SUMMARY_ADDED = "response.reasoning_summary_part.added"
SUMMARY_PART_DONE = "response.reasoning_summary_part.done"
SUMMARY_DELTA = "response.reasoning_summary_text.delta"
SUMMARY_DONE = "response.reasoning_summary_text.done"
REASONING_DELTA = "response.reasoning_text.delta"
REASONING_DONE = "response.reasoning_text.done"
ARGUMENTS_DELTA = "response.function_call_arguments.delta"
ARGUMENTS_DONE = "response.function_call_arguments.done"
INPUT_DELTA = "response.custom_tool_call_input.delta"
INPUT_DONE = "response.custom_tool_call_input.done"

PREVIOUS = "previous"
"""The place in an envelope that says: it belongs to the part before it. (A signature comes last, when its part's item
is on its way already, so that the item which carries it can only follow.)"""
OUR_MARK = "gw"
"""How the middle of an item's id begins where we made it."""
SUMMARY_SEPARATOR = "\n\n"
"""What stands between two summaries of one reasoning item."""
MOST_KEPT_CHARS = 32 * 1024 * 1024
"""The longest answer whose text is kept for the events that repeat it."""

RESPONSES_REPAIRS = frozenset(
    {"comments", "framing", "done", "type", "null-effort", "identity", "output"},
)
"""Every mend of Responses streams that is known to be needed by some SDK."""

FINISH_TO_STATUS: dict[FinishReason, tuple[str, str | None]] = {
    FinishReason.STOP: ("completed", None),
    FinishReason.STOP_SEQUENCE: ("completed", None),
    FinishReason.TOOL_CALLS: ("completed", None),
    FinishReason.LENGTH: ("incomplete", "max_output_tokens"),
    FinishReason.CONTEXT_OVERFLOW: ("incomplete", "max_output_tokens"),
    FinishReason.CONTENT_FILTER: ("incomplete", "content_filter"),
    FinishReason.REFUSAL: ("completed", None),
    FinishReason.PAUSE: ("completed", None),
    FinishReason.MALFORMED_CALL: ("completed", None),
    FinishReason.UNKNOWN: ("completed", None),
}
"""Our reason: the response's status, and why it is incomplete."""

ENDED = {"completed": COMPLETED, "incomplete": INCOMPLETE}
"""Statuses of whole answers, and the event that says so."""


def status_of(reason: FinishReason | None, *, refused: bool) -> tuple[str, str | None]:
    """The status, and why it is incomplete. A refusal without words of its own (`refused`) must not look like a good
    end.
    """
    if reason is FinishReason.REFUSAL and not refused:
        reason = FinishReason.CONTENT_FILTER
    return FINISH_TO_STATUS[reason or FinishReason.UNKNOWN]


def canonical_finish(status: str, why: str | None, *, has_calls: bool, has_refusal: bool) -> FinishReason:
    """Our reason. Whatever we do not know an answer is incomplete for, it was cut, and its reader must know."""
    if status == "incomplete":
        return FinishReason.CONTENT_FILTER if why == "content_filter" else FinishReason.LENGTH
    if has_calls:
        return FinishReason.TOOL_CALLS
    return FinishReason.REFUSAL if has_refusal else FinishReason.STOP


def finish_of_parts(status: str, why: str | None, parts: Iterable[Part]) -> FinishReason:
    """The same for parts that are known."""
    kinds = {type(part) for part in parts}
    return canonical_finish(status, why, has_calls=ToolCall in kinds, has_refusal=Refusal in kinds)


def is_usage(raw: Any) -> bool:
    """Whether this is a usage object that says a number."""
    if not isinstance(raw, dict):
        return False
    return count(raw, "output_tokens") is not None or count(raw, "input_tokens") is not None


def usage_to_canon(raw: dict[str, Any]) -> Usage:
    """Token counts of one usage object. Parts are held within their whole, because some servers report more."""
    taken, made = details(raw, "input_tokens_details"), details(raw, "output_tokens_details")
    total_in, total_out = count(raw, "input_tokens"), count(raw, "output_tokens")
    return Usage(
        input_tokens=total_in,
        cached_input_tokens=within(count(taken, "cached_tokens"), total_in),
        cache_write_tokens=within(count(taken, "cache_write_tokens"), total_in),
        audio_input_tokens=within(count(taken, "audio_tokens"), total_in),
        output_tokens=total_out,
        reasoning_tokens=within(count(made, "reasoning_tokens"), total_out),
        audio_output_tokens=within(count(made, "audio_tokens"), total_out),
    )


def usage_to_wire(usage: Usage) -> dict[str, Any]:
    """A usage object. The SDKs' types want all of its fields, so that what is unknown is 0."""
    total_in, total_out = usage.input_tokens or 0, usage.output_tokens or 0
    taken = {"cached_tokens": usage.cached_input_tokens or 0, "cache_write_tokens": usage.cache_write_tokens or 0}
    made = {"reasoning_tokens": usage.reasoning_tokens or 0}
    if usage.audio_input_tokens:
        taken["audio_tokens"] = usage.audio_input_tokens
    if usage.audio_output_tokens:
        made["audio_tokens"] = usage.audio_output_tokens
    return {
        "input_tokens": total_in,
        "input_tokens_details": taken,
        "output_tokens": total_out,
        "output_tokens_details": made,
        "total_tokens": total_in + total_out,
    }
