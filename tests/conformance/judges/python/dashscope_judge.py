"""DashScope's SDK for Python, in its OpenAI-compatible protocol."""

from __future__ import annotations

from typing import Any

from dashscope import Client as DashScope
from kit import BASE, KEY, TIMEOUT_S, Ask, Client, Got, Way, serve
from openai_turns import chat_request


class Compatible(Client):
    """`chat.completions` of its client."""

    def __init__(self) -> None:
        super().__init__()
        self._sdk = DashScope(
            base_url=f"{BASE}/compatible-mode/v1", protocol="openai", api_key=KEY, timeout=TIMEOUT_S, max_retries=0
        )

    def ways(self) -> dict[str, Way]:
        return {"stream": self.stream, "whole": self.whole}

    def _request(self, ask: Ask) -> dict[str, Any]:
        request = chat_request(ask, self.natives)
        if request.pop("reasoning_effort", None):
            request["enable_thinking"] = True
        return request

    def stream(self, ask: Ask, got: Got) -> None:
        message: dict[str, Any] = {"role": "assistant", "content": ""}
        calls: dict[int, dict[str, Any]] = {}
        for chunk in self._sdk.chat.completions.create(**self._request(ask), stream=True):
            if chunk.usage:
                count(chunk.usage, got)
            for choice in chunk.choices or []:
                read_delta(choice.delta, got, calls)
                got.finish = choice.finish_reason or got.finish
        message["content"] = got.text
        got.native = message | ({"tool_calls": list(calls.values())} if calls else {})

    def whole(self, ask: Ask, got: Got) -> None:
        answer = self._sdk.chat.completions.create(**self._request(ask))
        (choice,) = answer.choices
        message = choice.message
        got.say(message.content)
        got.think(getattr(message, "reasoning_content", None))
        calls = []
        for at, call in enumerate(message.tool_calls or []):
            got.call(at, call.id, call.function.name, call.function.arguments)
            calls.append(called(call.id, call.function.name, call.function.arguments))
        got.finish = choice.finish_reason
        count(answer.usage, got)
        native: dict[str, Any] = {"role": "assistant", "content": message.content or ""}
        got.native = native | ({"tool_calls": calls} if calls else {})


def read_delta(delta: Any, got: Got, calls: dict[int, dict[str, Any]]) -> None:
    got.say(delta.content)
    got.think(getattr(delta, "reasoning_content", None))
    for call in delta.tool_calls or []:
        function = call.function
        got.call(call.index, call.id, function and function.name, function and function.arguments)
        kept = calls.setdefault(call.index, called("", "", ""))
        kept["id"] = kept["id"] or call.id
        if function:
            kept["function"]["name"] = kept["function"]["name"] or function.name
            kept["function"]["arguments"] += function.arguments or ""


def called(call_id: str, name: str, arguments: str) -> dict[str, Any]:
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


def count(usage: Any, got: Got) -> None:
    got.count(usage.input_tokens, usage.output_tokens)


if __name__ == "__main__":
    serve({"openai-chat": Compatible()}, ["dashscope"])
