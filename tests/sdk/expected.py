"""What a client of one dialect is to read of a recording in another: the corpus' `expected`, mapped.

The tables are those of the mapping between the dialects, its sections 15 (why an answer ended) and 16 (usage), written
down a second time and apart from the gateway's.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

FITS = re.compile(r"[A-Za-z0-9_-]{1,40}")
"""Ids of calls that every client takes as they are."""

REASONS = {
    "openai-chat": {
        "stop": "stop",
        "length": "length",
        "tool_calls": "tool_calls",
        "function_call": "tool_calls",
        "content_filter": "content_filter",
        "": "unknown",
    },
    "openai-responses": {
        "completed": "stop",
        "incomplete max_output_tokens": "length",
        "incomplete content_filter": "content_filter",
    },
    "anthropic": {
        "end_turn": "stop",
        "stop_sequence": "stop_sequence",
        "tool_use": "tool_calls",
        "max_tokens": "length",
        "refusal": "refusal",
        "pause_turn": "pause",
    },
    "gemini": {
        "STOP": "stop",
        "1": "stop",
        "MAX_TOKENS": "length",
        "SAFETY": "content_filter",
        "RECITATION": "content_filter",
        "blocked": "content_filter",
        "FAKE_ENUM": "unknown",
    },
    "dashscope-native": {"stop": "stop", "length": "length", "tool_calls": "tool_calls", "": "unknown"},
}
"""Why an answer ended: the provider's word, and ours."""

WORDS = {
    "stop": ("stop", "completed", "end_turn", "STOP"),
    "stop_sequence": ("stop", "completed", "stop_sequence", "STOP"),
    "tool_calls": ("tool_calls", "completed", "tool_use", "STOP"),
    "length": ("length", "incomplete max_output_tokens", "max_tokens", "MAX_TOKENS"),
    "content_filter": ("content_filter", "incomplete content_filter", "refusal", "SAFETY"),
    "refusal": ("stop", "completed", "refusal", "SAFETY"),
    "wordless refusal": ("content_filter", "incomplete content_filter", "refusal", "SAFETY"),
    "pause": ("stop", "completed", "pause_turn", "STOP"),
    "unknown": ("stop", "completed", "end_turn", "OTHER"),
}
"""Ours, and the words of clients of Chat, Responses, Anthropic and Gemini."""

CLIENTS = ("openai-chat", "openai-responses", "anthropic", "gemini")

Counts = dict[str, int]
"""Tokens by what they were. What was not said is not in it."""
Choice = dict[str, Any]

PATHS: dict[str, dict[str, tuple[str, ...]]] = {
    "openai-chat": {
        "input": ("prompt_tokens",),
        "cached": ("prompt_tokens_details.cached_tokens", "prompt_cache_hit_tokens", "cached_tokens"),
        "written": ("prompt_tokens_details.cache_write_tokens", "prompt_tokens_details.cache_creation_input_tokens"),
        "audio_input": ("prompt_tokens_details.audio_tokens",),
        "output": ("completion_tokens",),
        "reasoning": ("completion_tokens_details.reasoning_tokens", "reasoning_tokens"),
        "audio_output": ("completion_tokens_details.audio_tokens",),
    },
    "openai-responses": {
        "input": ("input_tokens",),
        "cached": ("input_tokens_details.cached_tokens",),
        "written": ("input_tokens_details.cache_write_tokens",),
        "audio_input": ("input_tokens_details.audio_tokens",),
        "output": ("output_tokens",),
        "reasoning": ("output_tokens_details.reasoning_tokens",),
        "audio_output": ("output_tokens_details.audio_tokens",),
    },
    "anthropic": {
        "input": ("input_tokens",),
        "cached": ("cache_read_input_tokens",),
        "written": ("cache_creation_input_tokens",),
        "output": ("output_tokens",),
        "reasoning": ("output_tokens_details.thinking_tokens",),
    },
    "gemini": {
        "input": ("promptTokenCount",),
        "tools": ("toolUsePromptTokenCount",),
        "cached": ("cachedContentTokenCount",),
        "output": ("candidatesTokenCount",),
        "reasoning": ("thoughtsTokenCount",),
        "total": ("totalTokenCount",),
    },
    "dashscope-native": {
        "input": ("input_tokens",),
        "cached": ("prompt_tokens_details.cached_tokens",),
        "audio_input": ("input_tokens_details.audio_tokens",),
        "output": ("output_tokens",),
        "reasoning": ("output_tokens_details.reasoning_tokens",),
        "audio_output": ("output_tokens_details.audio_tokens",),
    },
}
"""Where each dialect says them; the first that is there counts."""


def _anthropic(counts: Counts) -> Counts:
    """What came from a cache or went to one stands beside the rest."""
    return counts | {"input": sum(counts.get(each, 0) for each in ("input", "cached", "written"))}


def _gemini(counts: Counts) -> Counts:
    """Thoughts stand beside what was said, prompts of tools beside the prompt; the total is the last word."""
    read = counts.get("input", 0) + counts.pop("tools", 0)
    made = counts.get("output", 0) + counts.get("reasoning", 0)
    return counts | {"input": read, "output": max(made, counts.pop("total", 0) - read)}


WHOLES: dict[str, Callable[[Counts], Counts]] = {"anthropic": _anthropic, "gemini": _gemini}
PARTS = {"cached": "input", "written": "input", "reasoning": "output"}
"""What is part of which whole, and never more."""
SAID = {
    "openai-chat": {"input", "cached", "written", "audio_input", "output", "reasoning", "audio_output"},
    "openai-responses": {"input", "cached", "written", "audio_input", "output", "reasoning", "audio_output"},
    "anthropic": {"input", "cached", "written", "output", "reasoning"},
    "gemini": {"input", "cached", "output", "reasoning"},
}
"""What each dialect has a word for."""


def counts_of(dialect: str, usage: dict[str, Any] | None) -> Counts:
    """The numbers other than 0 of a usage object."""
    found: Counts = {}
    for name, paths in PATHS[dialect].items():
        numbers = (number for path in paths if (number := at(usage, path)) is not None)
        found[name] = next(numbers, 0)
    found = WHOLES.get(dialect, Counts)(found)
    found |= {part: min(found.get(part, 0), found[whole]) for part, whole in PARTS.items()}
    return {name: number for name, number in found.items() if number}


def at(tree: Any, path: str) -> int | None:
    """The number at a path of names."""
    for name in path.split("."):
        tree = tree.get(name) if isinstance(tree, dict) else None
    return tree if isinstance(tree, int) else None


class Wanted:
    """What a client is to read of a recording in `dialect`, of which the provider's SDK read what is `expected`."""

    def __init__(self, dialect: str, expected: dict[str, Any], client: str, *, thoughts: bool = True) -> None:
        self.dialect = dialect
        self.error: dict[str, Any] | None = expected.get("error")
        self._expected = expected
        self.client = client
        self._thoughts = thoughts

    def usage(self) -> list[Counts]:
        """Two dialects have no answer without a usage: there, what is not known is 0."""
        client, counts = self.client, counts_of(self.dialect, self._expected["usage"])
        if not counts and client in ("openai-chat", "gemini"):
            return []
        return [{name: number for name, number in counts.items() if name in SAID[client]}]

    def choices(self) -> dict[int, Choice]:
        """Each in the words of its SDK's reading. Two dialects have but one."""
        rows = self._expected.get("choices") or [self._expected | {"index": 0}]
        if self.client in ("openai-responses", "anthropic"):
            rows = rows[:1]
        return {row["index"]: self._choice(row) for row in rows}

    def _choice(self, row: dict[str, Any]) -> Choice:
        """One choice. Two dialects have no other place for a refusal than the text."""
        text, reasoning, refusal = (row.get(name) or "" for name in ("text", "reasoning", "refusal"))
        reason, client = self._reason(row), self.client
        if client in ("anthropic", "gemini"):
            text, refusal = text + refusal, ""
        calls = [call_for(client, call) for call in self._expected.get("tool_calls_by_id", row["tool_calls"])]
        if client == "gemini" and reason == "length":
            calls = [call for call in calls if "_raw" not in call["arguments"]]
        return {
            "text": text,
            "reasoning": reasoning if self._thoughts else "",
            "refusal": refusal,
            "finish_reason": WORDS[reason][CLIENTS.index(client)],
            "tool_calls": calls,
        }

    def _reason(self, row: dict[str, Any]) -> str:
        """Why it ended, in our word. Whether tools are called is decided by the calls, a refusal by its words."""
        said = "blocked" if self._expected.get("block_reason") else row["finish_reason"]
        if why := row.get("incomplete_reason"):
            said = f"{said} {why}"
        reason = REASONS[self.dialect]["" if said is None else str(said)]
        if reason in ("stop", "unknown", "tool_calls"):
            if row["tool_calls"]:
                return "tool_calls"
            return "refusal" if row.get("refusal") else reason.replace("tool_calls", "stop")
        return "wordless refusal" if reason == "refusal" and not row.get("refusal") else reason


def call_for(client: str, call: dict[str, Any]) -> dict[str, Any]:
    """A call. No arguments are an empty object; what is none has a form of its own where only objects are taken."""
    arguments = call["arguments"]
    if call.get("custom"):
        arguments = {"input": arguments} if client in ("anthropic", "gemini") else arguments
    elif arguments == "":
        arguments = {}
    elif isinstance(arguments, dict) and "_unparsed" in arguments and client == "gemini":
        arguments = {"_raw": arguments["_unparsed"]}
    return {"id": call["id"], "name": call["name"], "arguments": arguments}


def parsed(arguments: str) -> Any:
    """Arguments as `expected` has them."""
    try:
        return json.loads(arguments)
    except ValueError:
        return {"_unparsed": arguments}


def differences(wanted: Wanted, reading: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """What was not read as it was to be, each with what was wanted and what was read."""
    error = reading["error"]
    if wanted.error:
        said = error and error["is_api_error"] and error["message"].endswith(wanted.error["message"])
        return {} if said else {"error": (wanted.error, error)}
    if error:
        return {"error": (None, error)}
    found: dict[str, tuple[Any, Any]] = {}
    usage = [counts_of(wanted.client, each) for each in reading["usage"]]
    # Where no provider has told it, the gateway says its guess.
    guessed = not any(wanted.usage()) and len(usage) == 1 and usage[0].keys() <= {"input", "output"}
    if wanted.usage() != usage and not guessed:
        found["usage"] = (wanted.usage(), usage)
    choices, got = wanted.choices(), {int(index): choice for index, choice in reading["choices"].items()}
    if choices.keys() != got.keys():
        found["choices"] = (list(choices), list(got))
    for index, choice in choices.items():
        found |= choice_differences(choice, got.get(index, {}))
    return found


def choice_differences(want: Choice, got: Choice) -> dict[str, tuple[Any, Any]]:
    pairs = {name: (want[name], got.get(name) or "") for name in ("text", "reasoning", "refusal", "finish_reason")}
    wanted, read = want["tool_calls"], got.get("tool_calls", [])
    said = [(call["name"], parsed(call["arguments"])) for call in read]
    for at, (one, other) in enumerate(zip(wanted, read, strict=False)):
        if isinstance(one["arguments"], str):
            # Free text, whatever it looks like.
            said[at] = other["name"], other["arguments"]
        if FITS.fullmatch(one["id"] or "") and one["id"] != other["id"]:
            pairs["id"] = one["id"], other["id"]
    pairs["tool_calls"] = [(call["name"], call["arguments"]) for call in wanted], said
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}
