"""DashScope's own words and what they mean to us.

Sources: dashscope 2.0.2 (Python SDK), help.aliyun.com/zh/model-studio, recorded streams; read 2026-11.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from thalweg.canon.finish import FinishReason
from thalweg.canon.usage import Usage
from thalweg.dialects.kit.numbers import count, details, first, within

NAME = "dashscope-native"
CONTENT_TYPE = b"text/event-stream;charset=UTF-8"
"""As recorded: no blank before the character set."""
SSE_HEADER = b"x-dashscope-sse"
"""The header that asks for a stream; there is no field in the body."""

TEXT_PATH = b"/services/aigc/text-generation/generation"
MULTIMODAL_PATH = b"/services/aigc/multimodal-generation/generation"

_MULTIMODAL = re.compile(r"(^|[-/.])(vl|omni|audio|ocr|asr|captioner|gui)([-.\d]|$)|(^|/)qvq|livetranslate|qwen-image")
_QWEN_VERSION = re.compile(r"(?:^|/)qwen(\d+)\.(\d+)(?=-|$)")
_FIRST_MULTIMODAL = (3, 5)
_TEXT = re.compile(
    r"(^|/)(code)?(qwen|qwq|deepseek|glm|chatglm|kimi|moonshot|minimax|abab|llama|baichuan|yi-|ling-|ring-|mimo"
    r"|tongyi|farui|gpt-oss|hunyuan|internlm|mistral)"
)
"""How names of families begin of which most read texts alone."""


def is_multimodal(model: str) -> bool:
    """Whether this model is asked on the multimodal path, where content is a list; the other path refuses it. One of a
    family that is not known here is taken for a new one, and new ones see.
    """
    name = model.lower()
    if _MULTIMODAL.search(name):
        return True
    if version := _QWEN_VERSION.search(name):
        return (int(version[1]), int(version[2])) >= _FIRST_MULTIMODAL
    return _TEXT.search(name) is None


RESEARCHED = "finished"
"""The status of a deep research whose answer is whole, which gives no other reason."""

FINISH_TO_CANON = {
    "stop": FinishReason.STOP,
    "length": FinishReason.LENGTH,
    "tool_calls": FinishReason.TOOL_CALLS,
    RESEARCHED: FinishReason.STOP,
}

FINISH_TO_WIRE = {
    FinishReason.STOP: "stop",
    FinishReason.STOP_SEQUENCE: "stop",
    FinishReason.TOOL_CALLS: "tool_calls",
    FinishReason.LENGTH: "length",
    FinishReason.CONTEXT_OVERFLOW: "length",
    FinishReason.CONTENT_FILTER: "stop",
    FinishReason.REFUSAL: "stop",
    FinishReason.PAUSE: "stop",
    FinishReason.MALFORMED_CALL: "stop",
    FinishReason.UNKNOWN: "stop",
}
"""A filtered answer is an error there, not a finish."""

GOES_ON = "null"
"""The string that stands in `finish_reason` until the last frame."""
NOT_FINISHED = (None, "", GOES_ON)


def canonical_finish(raw: str | None, *, has_calls: bool) -> FinishReason:
    """Our reason. Whether it is a turn with tools is decided by the calls: a forced call ends with `stop`."""
    reason = FINISH_TO_CANON.get(raw or "", FinishReason.UNKNOWN)
    if has_calls and reason in (FinishReason.STOP, FinishReason.UNKNOWN):
        return FinishReason.TOOL_CALLS
    if not has_calls and reason is FinishReason.TOOL_CALLS:
        return FinishReason.STOP
    return reason


def is_usage(raw: Any) -> bool:
    """Whether this is a usage object that says a number; the first frame of a search has an empty one."""
    if not isinstance(raw, dict):
        return False
    raw = _summed(raw)
    return count(raw, "input_tokens") is not None or count(raw, "output_tokens") is not None


def usage_to_canon(raw: dict[str, Any]) -> Usage:
    """Token counts of one usage object. Parts are held within their whole."""
    raw = _summed(raw)
    taken, made = details(raw, "input_tokens_details"), details(raw, "output_tokens_details")
    cache = details(raw, "prompt_tokens_details")
    total_in, total_out = count(raw, "input_tokens"), count(raw, "output_tokens")
    return Usage(
        input_tokens=total_in,
        cached_input_tokens=within(first((cache, "cached_tokens"), (taken, "cached_tokens")), total_in),
        cache_write_tokens=within(count(cache, "cache_creation_input_tokens"), total_in),
        audio_input_tokens=first((taken, "audio_tokens"), (raw, "audio_tokens")),
        output_tokens=total_out,
        reasoning_tokens=within(count(made, "reasoning_tokens"), total_out),
        audio_output_tokens=count(made, "audio_tokens"),
    )


def usage_to_wire(usage: Usage) -> dict[str, Any]:
    """A usage object with every whole, and those parts that are known."""
    total_in, total_out = usage.input_tokens or 0, usage.output_tokens or 0
    wire: dict[str, Any] = {
        "total_tokens": total_in + total_out,
        "output_tokens": total_out,
        "input_tokens": total_in,
    }
    cache = {
        "cached_tokens": usage.cached_input_tokens,
        "cache_creation_input_tokens": usage.cache_write_tokens,
    }
    made = {"reasoning_tokens": usage.reasoning_tokens, "audio_tokens": usage.audio_output_tokens}
    taken = {"audio_tokens": usage.audio_input_tokens}
    for key, parts in (
        ("output_tokens_details", made),
        ("input_tokens_details", taken),
        ("prompt_tokens_details", cache),
    ):
        if known := {name: tokens for name, tokens in parts.items() if tokens is not None}:
            wire[key] = known
    return wire


def together(reports: dict[int, dict[str, Any]]) -> dict[str, Any]:
    """One usage object of several choices' reports: each counts its own output, and all the same input."""
    all_reports = list(reports.values())
    if len(all_reports) == 1:
        return all_reports[0]
    merged = {key: value for each in all_reports for key, value in each.items()}
    merged["output_tokens"] = made = _sum(all_reports, "output_tokens")
    merged["total_tokens"] = (count(merged, "input_tokens") or 0) + made
    if "output_tokens_details" in merged:
        parts = [details(each, "output_tokens_details") for each in all_reports]
        merged["output_tokens_details"] = {key: _sum(parts, key) for each in parts for key in each}
    return merged


def _sum(counts: Iterable[dict[str, Any]], key: str) -> int:
    return sum(count(each, key) or 0 for each in counts)


def _summed(raw: dict[str, Any]) -> dict[str, Any]:
    """An application reports each model that it has asked."""
    models = raw.get("models")
    if not isinstance(models, list):
        return raw
    read = [each for each in models if isinstance(each, dict)]
    return {key: _sum(read, key) for key in ("input_tokens", "output_tokens")}
