"""LiteLLM as a client, in three of the dialects that it speaks."""

from __future__ import annotations

import os
from typing import Any

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # it would fetch a list of prices

import litellm
from kit import BASE, KEY, TIMEOUT_S, Ask, Client, Got, Way, serve
from openai_turns import careful_messages, chat_request

litellm.telemetry = False
litellm.suppress_debug_info = True

PROVIDERS = {
    "openai-chat": ("openai", f"{BASE}/v1"),
    "anthropic": ("anthropic", f"{BASE}/anthropic"),
    "gemini": ("gemini", f"{BASE}/v1beta"),
}


class LiteLLM(Client):
    """One provider of LiteLLM's; everything is Chat to its user."""

    def __init__(self, dialect: str) -> None:
        super().__init__()
        self._dialect = dialect

    def ways(self) -> dict[str, Way]:
        return {
            "stream": self.stream,
            "whole": self.whole,
            "async stream": self.stream_later,
            "async whole": self.whole_later,
        }

    def _request(self, ask: Ask) -> dict[str, Any]:
        provider, base = PROVIDERS[self._dialect]
        request = chat_request(ask, self.natives) | {
            "model": f"{provider}/{ask['model']}",
            "api_base": base,
            "api_key": KEY,
            "timeout": TIMEOUT_S,
            "num_retries": 0,
            "max_retries": 0,
        }
        if request.pop("reasoning_effort", None):
            request |= (
                {"thinking": {"type": "enabled", "budget_tokens": 1024}, "allowed_openai_params": ["thinking"]}
                if self._dialect == "anthropic"
                else {"reasoning_effort": "low", "allowed_openai_params": ["reasoning_effort"]}
            )
        if self._dialect == "anthropic":
            request.setdefault("max_tokens", 4096)
        return request

    def stream(self, ask: Ask, got: Got) -> None:
        chunks = []
        for chunk in litellm.completion(**self._request(ask), stream=True, stream_options={"include_usage": True}):
            read_chunk(chunk, got)
            chunks.append(chunk)
        end(litellm.stream_chunk_builder(chunks), got)

    async def stream_later(self, ask: Ask, got: Got) -> None:
        chunks = []
        request = self._request(ask)
        async for chunk in await litellm.acompletion(**request, stream=True, stream_options={"include_usage": True}):
            read_chunk(chunk, got)
            chunks.append(chunk)
        end(litellm.stream_chunk_builder(chunks), got)

    def whole(self, ask: Ask, got: Got) -> None:
        read_whole(litellm.completion(**self._request(ask)), got)

    async def whole_later(self, ask: Ask, got: Got) -> None:
        read_whole(await litellm.acompletion(**self._request(ask)), got)


def read_chunk(chunk: Any, got: Got) -> None:
    for choice in chunk.choices:
        got.say(choice.delta.content)
        got.think(getattr(choice.delta, "reasoning_content", None))


def read_whole(answer: Any, got: Got) -> None:
    message = answer.choices[0].message
    got.say(message.content)
    got.think(getattr(message, "reasoning_content", None))
    end(answer, got)


def end(answer: Any, got: Got) -> None:
    (choice,) = answer.choices
    for at, call in enumerate(choice.message.tool_calls or []):
        got.call(at, call.id, call.function.name, call.function.arguments)
    got.finish = choice.finish_reason
    usage = answer.usage
    details = getattr(usage, "completion_tokens_details", None)
    got.count(usage.prompt_tokens, usage.completion_tokens, details and details.reasoning_tokens)
    got.native = careful_messages(choice.message)


if __name__ == "__main__":
    serve({dialect: LiteLLM(dialect) for dialect in PROVIDERS}, ["litellm"])
