"""How the official `anthropic` package reads a Messages stream: event by event, and with its accumulator."""

from __future__ import annotations

import json
from typing import Any

from anthropic import Anthropic, APIError

ASKED: dict[str, Any] = {
    "max_tokens": 4096,
    "messages": [{"role": "user", "content": "Say it again."}],
    "thinking": {"type": "enabled", "budget_tokens": 1024},
}
TEXTS = {"text_delta": "text", "thinking_delta": "reasoning"}


class Grown:
    """What deltas add up to."""

    def __init__(self) -> None:
        self.texts = {"text": "", "reasoning": "", "refusal": ""}
        self.calls: dict[int, dict[str, str]] = {}
        self.usage: dict[str, Any] = {}
        self.finish: str | None = None
        self.ended = False
        self._blocks = 0
        self._open: int | None = None

    def take(self, event: Any) -> None:
        assert not self.ended, "nothing comes after the last event"
        kind = event.type
        if kind == "message_start":
            self.usage |= event.message.usage.to_dict()
        elif kind == "content_block_start":
            assert (self._open, event.index) == (None, self._blocks), "one block at a time, in their order"
            self._open, self._blocks = event.index, self._blocks + 1
            if event.content_block.type == "tool_use":
                block = event.content_block
                assert block.input == {}, "arguments come in deltas"
                self.calls[event.index] = {"id": block.id, "name": block.name, "arguments": ""}
        elif kind == "content_block_delta":
            assert event.index == self._open, "a delta is of the block that is open"
            self._grow(event.index, event.delta)
        elif kind == "content_block_stop":
            assert event.index == self._open, "what ends is open"
            self._open = None
        elif kind == "message_delta":
            assert self._open is None, "all blocks have ended"
            self.usage |= event.usage.to_dict()
            self.finish = event.delta.stop_reason
        self.ended = kind == "message_stop"

    def _grow(self, index: int, delta: Any) -> None:
        if delta.type == "input_json_delta":
            self.calls[index]["arguments"] += delta.partial_json
        elif delta.type in TEXTS:
            self.texts[TEXTS[delta.type]] += delta.text if delta.type == "text_delta" else delta.thinking


def read(client: Anthropic, model: str) -> dict[str, Any]:
    """What one stream says, and the error that ended it, if one did."""
    grown, error = Grown(), None
    try:
        with client.messages.create(model=model, stream=True, **ASKED) as stream:
            for event in stream:
                grown.take(event)
        assert grown.ended, "no last event"
    except Exception as raised:  # noqa: BLE001  # whatever it is, the test is told
        error = told_error(raised)
    # As the accumulator has it: no arguments are an empty object.
    calls = [call | {"arguments": call["arguments"] or "{}"} for call in grown.calls.values()]
    choice = grown.texts | {"finish_reason": grown.finish, "tool_calls": calls}
    return {"choices": {0: choice}, "usage": [grown.usage] if grown.ended else [], "error": error}


def gather(client: Anthropic, model: str) -> dict[str, Any]:
    """What the package's accumulator makes of one stream."""
    try:
        with client.messages.stream(model=model, **ASKED) as stream:
            said = "".join(stream.text_stream)
            message = stream.get_final_message()
    except Exception as raised:  # noqa: BLE001  # as above
        return {"choices": {}, "usage": [], "error": told_error(raised)}
    of = {kind: [block for block in message.content if block.type == kind] for kind in ("text", "thinking", "tool_use")}
    choice = {
        "text": said,
        "reasoning": "".join(block.thinking for block in of["thinking"]),
        "refusal": "",
        "finish_reason": message.stop_reason,
        "tool_calls": [{"id": b.id, "name": b.name, "arguments": json.dumps(b.input)} for b in of["tool_use"]],
    }
    differs = said != "".join(block.text for block in of["text"])
    error = told_error(AssertionError("the text's stream differs from the message")) if differs else None
    return {"choices": {0: choice}, "usage": [message.usage.to_dict()], "error": error}


def told_error(error: Exception) -> dict[str, Any]:
    body = getattr(error, "body", None)
    said = body.get("error", {}) if isinstance(body, dict) else {}
    return {
        "exception": type(error).__name__,
        "is_api_error": isinstance(error, APIError),
        "message": said.get("message", str(error)),
        "code": getattr(error, "status_code", None),
        "type": said.get("type"),
    }


def client(url: str) -> Anthropic:
    return Anthropic(base_url=url, api_key="sk-nobody", max_retries=0, timeout=60)


WAYS = {"messages": read, "messages-helper": gather}
