"""Ark's SDK for Python: Chat and Responses, whole and streamed, synchronous and not."""

from __future__ import annotations

from typing import Any

from kit import BASE, KEY, TIMEOUT_S, Ask, Got, Way, serve
from openai_judge import Chat, Responses
from openai_turns import chat_request, response_request
from volcenginesdkarkruntime import Ark, AsyncArk

SETTINGS: dict[str, Any] = {"base_url": f"{BASE}/api/v3", "api_key": KEY, "max_retries": 0, "timeout": TIMEOUT_S}


class ArkChat(Chat):
    def ways(self) -> dict[str, Way]:
        return {name: way for name, way in super().ways().items() if name != "helper"}

    def request(self, ask: Ask) -> dict[str, Any]:
        request = chat_request(ask, self.natives)
        if request.pop("reasoning_effort", None):
            request["thinking"] = {"type": "enabled"}
        return request

    def whole(self, ask: Ask, got: Got) -> None:
        super().whole(ask, got)
        got.native = got.native.model_dump(exclude_none=True)

    async def whole_later(self, ask: Ask, got: Got) -> None:
        await super().whole_later(ask, got)
        got.native = got.native.model_dump(exclude_none=True)


class ArkResponses(Responses):
    def ways(self) -> dict[str, Way]:
        return {name: way for name, way in super().ways().items() if name != "helper"}

    def request(self, ask: Ask) -> dict[str, Any]:
        request = response_request(ask, self.natives)
        del request["include"]
        if request.pop("reasoning", None):
            request["thinking"] = {"type": "enabled"}
        return request


if __name__ == "__main__":
    made = {"sync": Ark(**SETTINGS), "later": AsyncArk(**SETTINGS)}
    serve(
        {"openai-chat": ArkChat(**made), "openai-responses": ArkResponses(**made)},
        ["volcengine-python-sdk"],
    )
