"""A program: the official `openai` package reads one stream for each model named on standard input, and says what it read.

Runs in .venv-sdk. Adds chunks up as the corpus' `expected` was made (corpus/README.md), and as application code does.
"""

from __future__ import annotations

import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from openai import APIError, ContentFilterFinishReasonError, LengthFinishReasonError, OpenAI

AT_ONCE = 4


class Choice:
    """One choice's pieces. `None` means that none was sent."""

    def __init__(self) -> None:
        self.read: dict[str, Any] = {"text": None, "reasoning": None, "refusal": None, "finish_reason": None}
        self._calls: dict[int, dict[str, str]] = {}

    def take(self, choice: Any) -> None:
        delta = choice.delta
        assert isinstance(delta.content, str), "code that adds content up without a look would fail"
        self._add("text", delta.content)
        self._add("reasoning", getattr(delta, "reasoning_content", None) or getattr(delta, "reasoning", None))
        self._add("refusal", delta.refusal)
        for piece in delta.tool_calls or ():
            call = self._calls.setdefault(piece.index, {"id": "", "name": "", "arguments": ""})
            call["id"] = call["id"] or piece.id or ""
            call["name"] += (piece.function and piece.function.name) or ""
            call["arguments"] += (piece.function and piece.function.arguments) or ""
            # The package knows only functions here.
            custom = getattr(piece, "custom", None) or {}
            call["name"] += custom.get("name", "")
            call["arguments"] += custom.get("input", "")
        self.read["finish_reason"] = choice.finish_reason or self.read["finish_reason"]

    def _add(self, what: str, piece: str | None) -> None:
        if piece is not None:
            self.read[what] = (self.read[what] or "") + piece

    def told(self) -> dict[str, Any]:
        return self.read | {"tool_calls": [call for _, call in sorted(self._calls.items())]}


def read(client: OpenAI, model: str) -> dict[str, Any]:
    """What one stream says, and the error that ended it, if one did."""
    choices: dict[int, Choice] = {}
    usage, error = [], None
    try:
        with client.chat.completions.create(
            model=model,
            messages=[{"role": "user", "content": "Say it again."}],
            stream=True,
            stream_options={"include_usage": True},
        ) as stream:
            for chunk in stream:
                # Where a provider sends an empty object, the package makes one with all counts `None`.
                if chunk.usage and (counts := chunk.usage.to_dict()):
                    assert not chunk.choices, "code that looks for usage beside choices would not see it"
                    usage.append(counts)
                # The verdict of a moderation that was asked for has no choice either.
                told = chunk.choices or chunk.usage or getattr(chunk, "moderation", None)
                assert told, "code that takes the first choice would fail"
                for choice in chunk.choices:
                    choices.setdefault(choice.index, Choice()).take(choice)
    except APIError as raised:
        error = api_error(raised)
    except Exception as raised:  # noqa: BLE001  # whatever it is, the test is told
        error = other_error(raised)
    return {"choices": {at: choice.told() for at, choice in choices.items()}, "usage": usage, "error": error}


def gather(client: OpenAI, model: str) -> dict[str, Any]:
    """What the package's own stream helper makes of one stream."""
    try:
        with client.chat.completions.stream(
            model=model,
            messages=[{"role": "user", "content": "Say it again."}],
            stream_options={"include_usage": True},
        ) as stream:
            stream.until_done()
            final = stream.get_final_completion()
    except LengthFinishReasonError as raised:
        # By its design: an answer that was cut is none.
        final = raised.completion
    except ContentFilterFinishReasonError:
        # By its design, too.
        final = stream.current_completion_snapshot
    except APIError as raised:
        return {"choices": {}, "usage": [], "error": api_error(raised)}
    except Exception as raised:  # noqa: BLE001  # as above
        return {"choices": {}, "usage": [], "error": other_error(raised)}
    usage = final.usage.to_dict() if final.usage else None
    return {"choices": {c.index: gathered(c) for c in final.choices}, "usage": [usage] if usage else [], "error": None}


def gathered(choice: Any) -> dict[str, Any]:
    """One choice of the helper's in the same words."""
    message = choice.message
    calls = [
        {"id": call.id, "name": call.function.name, "arguments": call.function.arguments}
        for call in message.tool_calls or ()
    ]
    reasoning = getattr(message, "reasoning_content", None) or getattr(message, "reasoning", None)
    return {
        "text": message.content,
        "reasoning": reasoning,
        "refusal": message.refusal,
        "finish_reason": choice.finish_reason,
        "tool_calls": calls,
    }


def api_error(error: APIError) -> dict[str, Any]:
    return {
        "exception": type(error).__name__,
        "is_api_error": True,
        "message": error.message,
        "code": error.code,
        "type": error.type,
    }


def other_error(error: Exception) -> dict[str, Any]:
    return {"exception": type(error).__name__, "is_api_error": False, "message": str(error)}


def client(url: str) -> OpenAI:
    return OpenAI(base_url=f"{url}/v1", api_key="sk-nobody", max_retries=0, timeout=60)


WAYS = {"chat": read, "chat-helper": gather}
"""For `read_translated.py`."""


def main() -> None:
    client = OpenAI(base_url=os.environ["BASE_URL"], api_key=os.environ["API_KEY"], max_retries=0, timeout=60)
    way = {"chunks": read, "helper": gather}[sys.argv[1]]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        readings = list(pool.map(lambda model: way(client, model), json.load(sys.stdin)))
    json.dump(readings, sys.stdout)


if __name__ == "__main__":
    main()
