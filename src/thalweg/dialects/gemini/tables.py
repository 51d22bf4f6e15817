"""Gemini's own words and what they mean to us.

Sources: google-genai 3.3 types, ai.google.dev API reference, read 2026-11.
"""

from __future__ import annotations

from typing import Any

from thalweg.canon.finish import FinishReason
from thalweg.canon.usage import Usage
from thalweg.dialects.kit.numbers import count, within

NAME = "gemini"
VENDOR = "google"
"""Who signs here."""
SIGNATURE_KIND = "thought"
SSE = b"text/event-stream"
JSON = b"application/json"

FINISH_TO_CANON = {
    "STOP": FinishReason.STOP,
    "MAX_TOKENS": FinishReason.LENGTH,
    "CONTINUATION": FinishReason.PAUSE,
    "OTHER": FinishReason.UNKNOWN,
} | (
    dict.fromkeys(
        (
            "SAFETY",
            "RECITATION",
            "LANGUAGE",
            "BLOCKLIST",
            "PROHIBITED_CONTENT",
            "SPII",
            "IMAGE_SAFETY",
            "IMAGE_PROHIBITED_CONTENT",
            "IMAGE_RECITATION",
            "MODEL_ARMOR",
            "ESCALATION",
        ),
        FinishReason.CONTENT_FILTER,
    )
    | dict.fromkeys(
        (
            "MALFORMED_FUNCTION_CALL",
            "UNEXPECTED_TOOL_CALL",
            "MALFORMED_RESPONSE",
            "TOO_MANY_TOOL_CALLS",
            "MISSING_THOUGHT_SIGNATURE",
            "NO_IMAGE",
            "IMAGE_OTHER",
        ),
        FinishReason.MALFORMED_CALL,
    )
)
"""Any other word means that nobody said why."""

FINISH_TO_WIRE = {
    FinishReason.STOP: "STOP",
    FinishReason.STOP_SEQUENCE: "STOP",
    FinishReason.TOOL_CALLS: "STOP",
    FinishReason.LENGTH: "MAX_TOKENS",
    FinishReason.CONTEXT_OVERFLOW: "MAX_TOKENS",
    FinishReason.CONTENT_FILTER: "SAFETY",
    FinishReason.REFUSAL: "SAFETY",
    FinishReason.PAUSE: "STOP",
    FinishReason.MALFORMED_CALL: "MALFORMED_FUNCTION_CALL",
    FinishReason.UNKNOWN: "OTHER",
}

NUMBERED_FINISH = (
    "FINISH_REASON_UNSPECIFIED",
    "STOP",
    "MAX_TOKENS",
    "SAFETY",
    "RECITATION",
    "OTHER",
    "LANGUAGE",
    "BLOCKLIST",
    "PROHIBITED_CONTENT",
    "SPII",
    "MALFORMED_FUNCTION_CALL",
    "IMAGE_SAFETY",
    "UNEXPECTED_TOOL_CALL",
    "TOO_MANY_TOOL_CALLS",
)
"""Finish reasons by the number that is sent for them when a client asks for enums as integers (v1beta's proto)."""
NUMBERED_CATEGORY = (
    "HARM_CATEGORY_UNSPECIFIED",
    "HARM_CATEGORY_DEROGATORY",
    "HARM_CATEGORY_TOXICITY",
    "HARM_CATEGORY_VIOLENCE",
    "HARM_CATEGORY_SEXUAL",
    "HARM_CATEGORY_MEDICAL",
    "HARM_CATEGORY_DANGEROUS",
    "HARM_CATEGORY_HARASSMENT",
    "HARM_CATEGORY_HATE_SPEECH",
    "HARM_CATEGORY_SEXUALLY_EXPLICIT",
    "HARM_CATEGORY_DANGEROUS_CONTENT",
    "HARM_CATEGORY_CIVIC_INTEGRITY",
)
NUMBERED_PROBABILITY = ("HARM_PROBABILITY_UNSPECIFIED", "NEGLIGIBLE", "LOW", "MEDIUM", "HIGH")
NUMBERED_MODALITY = ("MODALITY_UNSPECIFIED", "TEXT", "IMAGE", "VIDEO", "AUDIO", "DOCUMENT")
NUMBERED_BLOCK = (
    "BLOCK_REASON_UNSPECIFIED",
    "SAFETY",
    "OTHER",
    "BLOCKLIST",
    "PROHIBITED_CONTENT",
    "IMAGE_SAFETY",
)

NOT_FINISHED = frozenset({"", "FINISH_REASON_UNSPECIFIED"})

REPAIRS = {
    "framing": "Comments, event and id lines, `data:` without its space, several data lines, JSON without `data:`, and "
               "`[DONE]` raise in google-genai or in @google/genai. Sent as one line of `data: ` each, or left out.",
    "numeric-enums": "Numbers where words belong, as `finishReason: 1`, are no word that the SDKs know. Sent as words.",
    "separators": "At U+2028, U+2029 and U+0085 google-genai cuts the line, and reads neither half. Sent escaped.",
    "lost-signature": "In a request: from Gemini 3 on, a step's first call in the turn that is going on is refused "
                      "without its signature, which clients lose that keep text and calls alone. Sent with "
                      "Google's mark for that, `skip_thought_signature_validator`.",
}  # fmt: skip
"""Every row by name, and why it is needed: what google-genai 3.3 or @google/genai 2.32 stumble over (run 2026-11)."""

GEMINI_REPAIRS = frozenset(REPAIRS)
"""Every mend of Gemini streams that is known to be needed by some SDK."""


def finish_word(value: Any) -> str | None:
    """A finish reason as a word, its number as digits; `None` while the candidate goes on."""
    if isinstance(value, str):
        return None if value in NOT_FINISHED else value
    if type(value) is int and value > 0:
        return str(value)
    return None


def canonical_finish(raw: str | None, *, has_calls: bool) -> FinishReason:
    """Our reason. Gemini has none for a turn that calls functions: it says STOP."""
    word = raw or ""
    if word.isdecimal() and len(word) < 3 and int(word) < len(NUMBERED_FINISH):
        word = NUMBERED_FINISH[int(word)]
    reason = FINISH_TO_CANON.get(word, FinishReason.UNKNOWN)
    return FinishReason.TOOL_CALLS if has_calls and reason is FinishReason.STOP else reason


def wire_finish(reason: FinishReason, raw: str | None) -> str:
    """Gemini's word: the upstream's own where it is one and means the same."""
    if raw is not None and raw != "CONTINUATION" and FINISH_TO_CANON.get(raw) is reason:
        return raw
    return FINISH_TO_WIRE[reason]


def is_usage(raw: Any) -> bool:
    """Whether this is a usage object that says a number; Vertex sends many that do not."""
    if not isinstance(raw, dict):
        return False
    return any(count(raw, key) is not None for key in ("promptTokenCount", "candidatesTokenCount", "totalTokenCount"))


def usage_to_canon(raw: dict[str, Any]) -> Usage:
    """Token counts of one `usageMetadata`. What was made follows from the sum: a last chunk may lack the parts."""
    prompt, tools = count(raw, "promptTokenCount"), count(raw, "toolUsePromptTokenCount")
    visible, thoughts = count(raw, "candidatesTokenCount"), count(raw, "thoughtsTokenCount")
    total = count(raw, "totalTokenCount")
    total_in = None if prompt is None else prompt + (tools or 0)
    total_out = None if visible is None and thoughts is None else (visible or 0) + (thoughts or 0)
    if total is not None and total_in is not None and total >= total_in:
        total_out = max(total - total_in, total_out or 0)
    return Usage(
        input_tokens=total_in,
        cached_input_tokens=within(count(raw, "cachedContentTokenCount"), total_in),
        audio_input_tokens=_modality(raw, "promptTokensDetails", "AUDIO"),
        output_tokens=total_out,
        reasoning_tokens=within(thoughts, total_out),
        audio_output_tokens=_modality(raw, "candidatesTokensDetails", "AUDIO"),
    )


def _modality(raw: dict[str, Any], key: str, modality: str) -> int | None:
    found = raw.get(key)
    for row in found if isinstance(found, list) else ():
        if isinstance(row, dict) and row.get("modality") == modality:
            return count(row, "tokenCount")
    return None


def usage_to_wire(usage: Usage) -> dict[str, Any]:
    """`usageMetadata` with every whole, and those parts that are known."""
    total_in, total_out = usage.input_tokens or 0, usage.output_tokens or 0
    thoughts = within(usage.reasoning_tokens, total_out)
    wire: dict[str, Any] = {
        "promptTokenCount": total_in,
        "candidatesTokenCount": total_out - (thoughts or 0),
        "totalTokenCount": total_in + total_out,
    }
    if thoughts is not None:
        wire["thoughtsTokenCount"] = thoughts
    if usage.cached_input_tokens is not None:
        wire["cachedContentTokenCount"] = usage.cached_input_tokens
    for key, audio, rest in (
        ("promptTokensDetails", usage.audio_input_tokens, total_in),
        ("candidatesTokensDetails", usage.audio_output_tokens, total_out - (thoughts or 0)),
    ):
        if audio is not None:
            wire[key] = [
                {"modality": "TEXT", "tokenCount": max(rest - audio, 0)},
                {"modality": "AUDIO", "tokenCount": audio},
            ]
    return wire
