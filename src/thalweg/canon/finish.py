"""Why an answer ended, in our words. Each dialect's own words stay in its tables."""

from __future__ import annotations

from enum import StrEnum


class FinishReason(StrEnum):
    """Why one choice ended."""

    STOP = "stop"
    STOP_SEQUENCE = "stop_sequence"
    TOOL_CALLS = "tool_calls"
    LENGTH = "length"
    CONTEXT_OVERFLOW = "context_overflow"
    CONTENT_FILTER = "content_filter"
    REFUSAL = "refusal"
    PAUSE = "pause"
    MALFORMED_CALL = "malformed_call"
    UNKNOWN = "unknown"
