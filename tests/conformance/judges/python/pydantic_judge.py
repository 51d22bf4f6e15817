"""Pydantic AI: its models for the four dialects, streamed and whole, and the agent's own loop."""

from __future__ import annotations

import json
from typing import Any

from anthropic import AsyncAnthropic
from kit import BASE, KEY, TIMEOUT_S, Ask, Client, Got, Way, png, serve, tools_results
from openai import AsyncOpenAI
from pydantic_ai import Agent, BinaryContent, Tool, ToolDefinition
from pydantic_ai.direct import model_request, model_request_stream
from pydantic_ai.messages import (
    ModelMessage,
    ModelRequest,
    ModelResponse,
    PartDeltaEvent,
    PartStartEvent,
    SystemPromptPart,
    TextPart,
    TextPartDelta,
    ThinkingPart,
    ThinkingPartDelta,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)
from pydantic_ai.models import Model, ModelRequestParameters
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.models.google import GoogleModel
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.output import OutputObjectDefinition
from pydantic_ai.providers.anthropic import AnthropicProvider
from pydantic_ai.providers.google import GoogleProvider
from pydantic_ai.providers.openai import OpenAIProvider
from pydantic_ai.settings import ModelSettings

# Their own retries would only make a refusal take longer.
OPENAI = OpenAIProvider(openai_client=AsyncOpenAI(base_url=f"{BASE}/v1", api_key=KEY, max_retries=0))
ANTHROPIC = AnthropicProvider(anthropic_client=AsyncAnthropic(base_url=f"{BASE}/anthropic", api_key=KEY, max_retries=0))
GOOGLE = GoogleProvider(base_url=BASE, api_key=KEY)

MODELS: dict[str, Any] = {
    "openai-chat": lambda name: OpenAIChatModel(name, provider=OPENAI),
    "openai-responses": lambda name: OpenAIResponsesModel(name, provider=OPENAI),
    "anthropic": lambda name: AnthropicModel(name, provider=ANTHROPIC),
    "gemini": lambda name: GoogleModel(name, provider=GOOGLE),
}
THINKING: dict[str, dict[str, Any]] = {
    "openai-chat": {"openai_reasoning_effort": "low"},
    "openai-responses": {"openai_reasoning_effort": "low", "openai_reasoning_summary": "auto"},
    "anthropic": {"anthropic_thinking": {"type": "enabled", "budget_tokens": 1024}, "max_tokens": 4096},
    "gemini": {"google_thinking_config": {"include_thoughts": True, "thinking_budget": 1024}},
}


def turn_message(turn: dict[str, Any], natives: dict[int, Any]) -> ModelMessage:
    if "user" in turn:
        pictures = [BinaryContent(png(picture), media_type="image/png") for picture in turn.get("images", [])]
        return ModelRequest([UserPromptPart([turn["user"], *pictures] if pictures else turn["user"])])
    if "echo" in turn:
        return natives[turn["echo"]]
    if "results" in turn:
        return ModelRequest(
            [
                ToolReturnPart(tool_name=result["name"], content=result["text"], tool_call_id=result["id"])
                for result in turn["results"]
            ]
        )
    said = [TextPart(turn["said"])] if turn["said"] else []
    calls = [ToolCallPart(call["name"], call["arguments"], tool_call_id=call["id"]) for call in turn["calls"]]
    return ModelResponse([*said, *calls])


class Pydantic(Client):
    """One dialect."""

    def __init__(self, dialect: str) -> None:
        super().__init__()
        self._dialect = dialect

    def ways(self) -> dict[str, Way]:
        return {"stream": self.stream, "whole": self.whole, "own loop": self.own_loop}

    def _model(self, ask: Ask) -> Model:
        return MODELS[self._dialect](ask["model"])

    def _messages(self, ask: Ask) -> list[ModelMessage]:
        system = [ModelRequest([SystemPromptPart(ask["system"])])] if ask.get("system") else []
        return [*system, *(turn_message(turn, self.natives) for turn in ask["turns"])]

    def _settings(self, ask: Ask) -> ModelSettings:
        made: dict[str, Any] = {"timeout": TIMEOUT_S}
        if ask.get("thinking"):
            made |= THINKING[self._dialect]
        if ask.get("max_tokens"):
            made["max_tokens"] = ask["max_tokens"]
        if ask.get("stop"):
            made["stop_sequences"] = ask["stop"]
        if self._dialect == "openai-responses":
            made["openai_store"] = False
        return ModelSettings(**made)  # type: ignore[typeddict-item]

    def _parameters(self, ask: Ask) -> ModelRequestParameters:
        tools = [
            ToolDefinition(name=t["name"], description=t["description"], parameters_json_schema=t["schema"])
            for t in ask.get("tools") or []
        ]
        if not ask.get("schema"):
            return ModelRequestParameters(function_tools=tools)
        shape = OutputObjectDefinition(json_schema=ask["schema"], name="answer", strict=True)
        return ModelRequestParameters(output_mode="native", output_object=shape, allow_text_output=True)

    async def stream(self, ask: Ask, got: Got) -> None:
        async with model_request_stream(
            self._model(ask),
            self._messages(ask),
            model_settings=self._settings(ask),
            model_request_parameters=self._parameters(ask),
        ) as stream:
            async for event in stream:
                read_event(event, got)
            end(stream.get(), got)

    async def whole(self, ask: Ask, got: Got) -> None:
        answer = await model_request(
            self._model(ask),
            self._messages(ask),
            model_settings=self._settings(ask),
            model_request_parameters=self._parameters(ask),
        )
        for part in answer.parts:
            if isinstance(part, TextPart):
                got.say(part.content)
            elif isinstance(part, ThinkingPart):
                got.think(part.content)
        end(answer, got)

    async def own_loop(self, ask: Ask, got: Got) -> None:
        """The framework calls the functions itself."""
        called: list[list[Any]] = []
        got.more["called"] = called
        tools = [_tool(tool, tools_results(ask)[tool["name"]], called) for tool in ask["tools"]]
        agent = Agent(self._model(ask), tools=tools, model_settings=self._settings(ask), retries=0)
        async with agent.run_stream(ask["turns"][0]["user"]) as answer:
            async for piece in answer.stream_text(delta=True):
                got.say(piece)


def _tool(tool: dict[str, Any], result: str, called: list[list[Any]]) -> Tool[None]:
    def function(**arguments: Any) -> str:
        called.append([tool["name"], arguments])
        return result

    return Tool.from_schema(function, tool["name"], tool["description"], tool["schema"])


def read_event(event: Any, got: Got) -> None:
    if isinstance(event, PartStartEvent):
        if isinstance(event.part, TextPart):
            got.say(event.part.content)
        elif isinstance(event.part, ThinkingPart):
            got.think(event.part.content)
    elif isinstance(event, PartDeltaEvent):
        if isinstance(event.delta, TextPartDelta):
            got.say(event.delta.content_delta)
        elif isinstance(event.delta, ThinkingPartDelta):
            got.think(event.delta.content_delta)


def end(answer: ModelResponse, got: Got) -> None:
    for at, part in enumerate(answer.parts):
        if isinstance(part, ToolCallPart):
            arguments = part.args if isinstance(part.args, dict) else json.loads(part.args or "{}")
            got.call(at, part.tool_call_id, part.tool_name, arguments)
    got.finish = answer.finish_reason
    got.count(answer.usage.input_tokens, answer.usage.output_tokens, answer.usage.details.get("reasoning_tokens"))
    got.native = answer


if __name__ == "__main__":
    serve({dialect: Pydantic(dialect) for dialect in MODELS}, ["pydantic-ai-slim"])
