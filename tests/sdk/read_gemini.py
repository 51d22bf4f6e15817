"""How the official `google-genai` package reads a stream: chunk by chunk with the thoughts asked for, and as a chat that
keeps its history, where nobody asked for any thoughts.
"""

from __future__ import annotations

import json
from typing import Any

from google import genai
from google.genai import types
from google.genai.errors import APIError

THOUGHTS = types.GenerateContentConfig(thinking_config=types.ThinkingConfig(include_thoughts=True))


class Choice:
    """What one candidate's parts add up to."""

    def __init__(self) -> None:
        self.texts = {"text": "", "reasoning": "", "refusal": ""}
        self.calls: list[dict[str, str]] = []
        self.finish: str | None = None

    def take(self, candidate: types.Candidate) -> None:
        assert self.finish is None, "nothing comes after the finish reason"
        assert candidate.content, "code that takes the first part would fail"
        self.add(candidate.content)
        if candidate.finish_reason:
            self.finish = candidate.finish_reason.name

    def add(self, content: types.Content) -> None:
        assert content.parts, "code that takes the first part would fail"
        for part in content.parts:
            if part.function_call:
                call = part.function_call
                assert isinstance(call.args, dict), "code that looks for arguments would fail"
                self.calls.append({"id": call.id or "", "name": call.name or "", "arguments": json.dumps(call.args)})
            elif part.text is not None:
                self.texts["reasoning" if part.thought else "text"] += part.text

    def told(self) -> dict[str, Any]:
        return self.texts | {"finish_reason": self.finish, "tool_calls": self.calls}


class Grown:
    """What chunks add up to."""

    def __init__(self) -> None:
        self.choices: dict[int, Choice] = {}
        self.usage: list[dict[str, Any]] = []

    def take(self, chunk: types.GenerateContentResponse) -> None:
        assert chunk.candidates, "code that takes the first candidate would fail"
        for candidate in chunk.candidates:
            self.choices.setdefault(candidate.index or 0, Choice()).take(candidate)
        if chunk.usage_metadata:
            self.usage = [chunk.usage_metadata.model_dump(mode="json", by_alias=True, exclude_none=True)]

    def told(self, error: dict[str, Any] | None = None) -> dict[str, Any]:
        told = {at: choice.told() for at, choice in self.choices.items()}
        return {"choices": told, "usage": self.usage, "error": error}


def read(client: genai.Client, model: str) -> dict[str, Any]:
    """What one stream says, and the error that ended it, if one did."""
    grown = Grown()
    try:
        for chunk in client.models.generate_content_stream(model=model, contents="Say it again.", config=THOUGHTS):
            grown.take(chunk)
    except Exception as raised:  # noqa: BLE001  # whatever it is, the test is told
        return grown.told(told_error(raised))
    return grown.told()


def converse(client: genai.Client, model: str) -> dict[str, Any]:
    """The same as a chat's turn. What it puts in its history is what it read."""
    grown, kept = Grown(), Choice()
    try:
        chat = client.chats.create(model=model)
        for chunk in chat.send_message_stream("Say it again."):
            grown.take(chunk)
        for content in chat.get_history()[1:]:
            kept.add(content)
        # Of several choices it keeps now this one's pieces, now that one's.
        if len(grown.choices) == 1:
            (only,) = grown.choices.values()
            assert (kept.texts, kept.calls) == (only.texts, only.calls), "the history differs"
    except Exception as raised:  # noqa: BLE001  # as above
        return grown.told(told_error(raised))
    return grown.told()


def told_error(error: Exception) -> dict[str, Any]:
    return {
        "exception": type(error).__name__,
        "is_api_error": isinstance(error, APIError),
        "message": getattr(error, "message", None) or str(error),
        "code": getattr(error, "code", None),
        "type": getattr(error, "status", None),
    }


def client(url: str) -> genai.Client:
    return genai.Client(api_key="nobody", http_options=types.HttpOptions(base_url=url, timeout=60_000))


WAYS = {"gemini": read, "gemini-chat": converse}
