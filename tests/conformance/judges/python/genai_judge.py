"""Google's SDK for Python: generateContent, streams, whole answers, chats, synchronous and not, and its own tool loop."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from google import genai
from google.genai import types
from kit import BASE, KEY, TIMEOUT_S, Ask, Client, Got, Way, png, serve, tools_results


def turn_content(turn: dict[str, Any], natives: dict[int, Any]) -> types.Content:
    if "user" in turn:
        pictures = [
            types.Part.from_bytes(data=png(picture), mime_type="image/png") for picture in turn.get("images", [])
        ]
        return types.Content(role="user", parts=[*pictures, types.Part(text=turn["user"])])
    if "echo" in turn:
        return natives[turn["echo"]]
    if "results" in turn:
        return types.Content(role="user", parts=[result_part(result) for result in turn["results"]])
    said = [types.Part(text=turn["said"])] if turn["said"] else []
    calls = [
        types.Part(function_call=types.FunctionCall(id=call["id"], name=call["name"], args=call["parsed"]))
        for call in turn["calls"]
    ]
    return types.Content(role="model", parts=[*said, *calls])


def result_part(result: dict[str, Any]) -> types.Part:
    return types.Part(
        function_response=types.FunctionResponse(
            id=result["id"], name=result["name"], response={"result": result["text"]}
        )
    )


def contents(ask: Ask, natives: dict[int, Any]) -> list[types.Content]:
    return [turn_content(turn, natives) for turn in ask["turns"]]


def config(ask: Ask) -> types.GenerateContentConfig:
    made: dict[str, Any] = {"automatic_function_calling": types.AutomaticFunctionCallingConfig(disable=True)}
    if ask.get("system"):
        made["system_instruction"] = ask["system"]
    if ask.get("tools"):
        declared = [
            types.FunctionDeclaration(name=t["name"], description=t["description"], parameters_json_schema=t["schema"])
            for t in ask["tools"]
        ]
        made["tools"] = [types.Tool(function_declarations=declared)]
    if ask.get("max_tokens"):
        made["max_output_tokens"] = ask["max_tokens"]
    if ask.get("stop"):
        made["stop_sequences"] = ask["stop"]
    if ask.get("thinking"):
        made["thinking_config"] = types.ThinkingConfig(include_thoughts=True, thinking_budget=1024)
    if ask.get("schema"):
        made["response_mime_type"] = "application/json"
        made["response_json_schema"] = ask["schema"]
    return types.GenerateContentConfig(**made)


class Parts:
    """The parts of a stream's chunks in their order: what an application keeps to send back."""

    def __init__(self) -> None:
        self.kept: list[types.Part] = []

    def take(self, chunk: types.GenerateContentResponse, got: Got) -> None:
        for candidate in chunk.candidates or []:
            for part in (candidate.content and candidate.content.parts) or []:
                self.kept.append(part)
                read_part(part, len(self.kept), got)
            if candidate.finish_reason:
                got.finish = candidate.finish_reason.value
        if chunk.prompt_feedback and chunk.prompt_feedback.block_reason:
            got.finish = f"blocked: {chunk.prompt_feedback.block_reason.value}"
        if usage := chunk.usage_metadata:
            thought = usage.thoughts_token_count or 0
            got.count(usage.prompt_token_count, (usage.candidates_token_count or 0) + thought, thought)
        got.native = types.Content(role="model", parts=self.kept)


def read_part(part: types.Part, key: int, got: Got) -> None:
    if part.text:
        (got.think if part.thought else got.say)(part.text)
    if part.function_call:
        got.call(key, part.function_call.id, part.function_call.name, part.function_call.args or {})


class Generate(Client):
    """`models` and `chats`."""

    def __init__(self) -> None:
        super().__init__()
        options = types.HttpOptions(base_url=BASE, timeout=int(TIMEOUT_S * 1000))
        self._client = genai.Client(http_options=options, api_key=KEY)
        self._chats: dict[int, Any] = {}

    def ways(self) -> dict[str, Way]:
        return {
            "stream": self.stream,
            "whole": self.whole,
            "async stream": self.stream_later,
            "async whole": self.whole_later,
            "chat": self.chat,
            "own loop": self.own_loop,
        }

    def _request(self, ask: Ask) -> dict[str, Any]:
        return {"model": ask["model"], "contents": contents(ask, self.natives), "config": config(ask)}

    def stream(self, ask: Ask, got: Got) -> None:
        parts = Parts()
        for chunk in self._client.models.generate_content_stream(**self._request(ask)):
            parts.take(chunk, got)

    def whole(self, ask: Ask, got: Got) -> None:
        Parts().take(self._client.models.generate_content(**self._request(ask)), got)

    async def stream_later(self, ask: Ask, got: Got) -> None:
        parts = Parts()
        async for chunk in await self._client.aio.models.generate_content_stream(**self._request(ask)):
            parts.take(chunk, got)

    async def whole_later(self, ask: Ask, got: Got) -> None:
        Parts().take(await self._client.aio.models.generate_content(**self._request(ask)), got)

    def chat(self, ask: Ask, got: Got) -> None:
        """The SDK keeps the history: only the last turn is said."""
        echoed = [turn["echo"] for turn in ask["turns"] if "echo" in turn]
        chat = self._chats[echoed[-1]] if echoed else self._client.chats.create(model=ask["model"], config=config(ask))
        parts = Parts()
        for chunk in chat.send_message_stream(turn_content(ask["turns"][-1], {}).parts):
            parts.take(chunk, got)
        self._chats[ask["id"]] = chat

    def own_loop(self, ask: Ask, got: Got) -> None:
        """The SDK calls the functions itself."""
        called: list[list[Any]] = []
        functions = [_function(tool, tools_results(ask)[tool["name"]], called) for tool in ask["tools"]]
        made = types.GenerateContentConfig(tools=functions)
        answer = self._client.models.generate_content(
            model=ask["model"], contents=contents(ask, self.natives), config=made
        )
        Parts().take(answer, got)
        got.more["called"] = called

    def models(self) -> list[str]:
        return [(model.name or "").removeprefix("models/") for model in self._client.models.list()]

    def count(self, ask: Ask) -> int | None:
        return self._client.models.count_tokens(model=ask["model"], contents=contents(ask, self.natives)).total_tokens


_TYPES: dict[str, Any] = {
    "string": str,
    "number": float,
    "integer": int,
    "boolean": bool,
    "array": list[str],
    "object": dict[str, Any],
}


def _function(tool: dict[str, Any], result: str, called: list[list[Any]]) -> Callable[..., str]:
    """A function with the signature that the tool's schema tells."""

    def function(**arguments: Any) -> str:
        called.append([tool["name"], arguments])
        return result

    function.__name__ = tool["name"]
    function.__doc__ = tool["description"]
    parameters = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=_TYPES[schema.get("type", "string")])
        for name, schema in tool["schema"].get("properties", {}).items()
    ]
    function.__signature__ = inspect.Signature(parameters, return_annotation=str)  # type: ignore[attr-defined]
    function.__annotations__ = {each.name: each.annotation for each in parameters} | {"return": str}
    return function


if __name__ == "__main__":
    serve({"gemini": Generate()}, ["google-genai"])
