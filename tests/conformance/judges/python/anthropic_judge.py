"""Anthropic's SDK for Python: Messages as events, whole, with the stream helper, synchronous and not."""

from __future__ import annotations

from typing import Any

from anthropic import Anthropic, AsyncAnthropic
from kit import BASE, KEY, TIMEOUT_S, Ask, Client, Got, Way, serve

SETTINGS: dict[str, Any] = {
    "base_url": f"{BASE}/anthropic",
    "api_key": KEY,
    "max_retries": 0,
    "timeout": TIMEOUT_S,
}


def messages(ask: Ask, natives: dict[int, Any]) -> list[dict[str, Any]]:
    told: list[dict[str, Any]] = []
    for turn in ask["turns"]:
        if "user" in turn:
            pictures = [
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": picture}}
                for picture in turn.get("images", [])
            ]
            text = {"type": "text", "text": turn["user"]}
            told.append({"role": "user", "content": [*pictures, text] if pictures else turn["user"]})
        elif "echo" in turn:
            told.append({"role": "assistant", "content": natives[turn["echo"]]})
        elif "results" in turn:
            results = [
                {"type": "tool_result", "tool_use_id": result["id"], "content": result["text"]}
                for result in turn["results"]
            ]
            told.append({"role": "user", "content": results})
        else:
            said = [{"type": "text", "text": turn["said"]}] if turn["said"] else []
            calls = [
                {"type": "tool_use", "id": call["id"], "name": call["name"], "input": call["parsed"]}
                for call in turn["calls"]
            ]
            told.append({"role": "assistant", "content": [*said, *calls]})
    return told


def request(ask: Ask, natives: dict[int, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {
        "model": ask["model"],
        "messages": messages(ask, natives),
        "max_tokens": ask.get("max_tokens") or 4096,
    }
    if ask.get("system"):
        made["system"] = ask["system"]
    if ask.get("tools"):
        made["tools"] = [
            {"name": t["name"], "description": t["description"], "input_schema": t["schema"]} for t in ask["tools"]
        ]
    if ask.get("stop"):
        made["stop_sequences"] = ask["stop"]
    if ask.get("thinking"):
        made["thinking"] = {"type": "enabled", "budget_tokens": 1024}
    if ask.get("schema"):
        made["output_config"] = {"format": {"type": "json_schema", "schema": ask["schema"]}}
    return made


def read_event(event: Any, got: Got) -> None:
    if event.type == "content_block_start" and event.content_block.type == "tool_use":
        got.call(event.index, event.content_block.id, event.content_block.name, "")
    elif event.type == "content_block_delta":
        delta = event.delta
        if delta.type == "text_delta":
            got.say(delta.text)
        elif delta.type == "thinking_delta":
            got.think(delta.thinking)
        elif delta.type == "input_json_delta":
            got.call(event.index, None, None, delta.partial_json)
    elif event.type == "message_delta":
        got.finish = event.delta.stop_reason


def read_message(message: Any, got: Got) -> None:
    for at, block in enumerate(message.content):
        if block.type == "text":
            got.say(block.text)
        elif block.type == "thinking":
            got.think(block.thinking)
        elif block.type == "tool_use":
            got.call(at, block.id, block.name, block.input)
    end(message, got)


def end(message: Any, got: Got) -> None:
    got.finish = message.stop_reason
    got.native = message.content
    usage = message.usage
    cached = (usage.cache_read_input_tokens or 0) + (usage.cache_creation_input_tokens or 0)
    details = getattr(usage, "output_tokens_details", None)
    got.count(usage.input_tokens + cached, usage.output_tokens, details and details.thinking_tokens)


class Messages(Client):
    """`messages`."""

    def __init__(self) -> None:
        super().__init__()
        self._sync = Anthropic(**SETTINGS)
        self._later = AsyncAnthropic(**SETTINGS)

    def ways(self) -> dict[str, Way]:
        return {
            "helper": self.helper,
            "whole": self.whole,
            "stream": self.stream,
            "async helper": self.helper_later,
            "async whole": self.whole_later,
        }

    def helper(self, ask: Ask, got: Got) -> None:
        with self._sync.messages.stream(**request(ask, self.natives)) as stream:
            for event in stream:
                read_event(event, got)
            end(stream.get_final_message(), got)

    async def helper_later(self, ask: Ask, got: Got) -> None:
        async with self._later.messages.stream(**request(ask, self.natives)) as stream:
            async for event in stream:
                read_event(event, got)
            end(await stream.get_final_message(), got)

    def stream(self, ask: Ask, got: Got) -> None:
        """Without the helper: usage is put together, and the blocks are not given back."""
        into = 0
        with self._sync.messages.create(**request(ask, self.natives), stream=True) as stream:
            for event in stream:
                read_event(event, got)
                if event.type == "message_start":
                    into = event.message.usage.input_tokens
                elif event.type == "message_delta":
                    got.count(event.usage.input_tokens or into, event.usage.output_tokens)

    def whole(self, ask: Ask, got: Got) -> None:
        read_message(self._sync.messages.create(**request(ask, self.natives)), got)

    async def whole_later(self, ask: Ask, got: Got) -> None:
        read_message(await self._later.messages.create(**request(ask, self.natives)), got)

    def models(self) -> list[str]:
        return [model.id for model in self._sync.models.list()]

    def count(self, ask: Ask) -> int:
        made = request(ask, self.natives)
        made.pop("max_tokens")
        return self._sync.messages.count_tokens(**made).input_tokens


if __name__ == "__main__":
    serve({"anthropic": Messages()}, ["anthropic"])
