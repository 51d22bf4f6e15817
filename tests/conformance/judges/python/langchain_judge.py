"""LangChain: its models for Chat, Responses and Anthropic, streamed and whole, synchronous and not."""

from __future__ import annotations

from typing import Any

from kit import BASE, KEY, TIMEOUT_S, Ask, Client, Got, Way, serve
from langchain_anthropic import ChatAnthropic
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_openai import ChatOpenAI


def messages(ask: Ask, natives: dict[int, Any]) -> list[BaseMessage]:
    told: list[BaseMessage] = [SystemMessage(ask["system"])] if ask.get("system") else []
    for turn in ask["turns"]:
        if "user" in turn:
            pictures = [
                {"type": "image", "source_type": "base64", "mime_type": "image/png", "data": picture}
                for picture in turn.get("images", [])
            ]
            told.append(HumanMessage([{"type": "text", "text": turn["user"]}, *pictures] if pictures else turn["user"]))
        elif "echo" in turn:
            told.append(natives[turn["echo"]])
        elif "results" in turn:
            told += [
                ToolMessage(result["text"], tool_call_id=result["id"], name=result["name"])
                for result in turn["results"]
            ]
        else:
            calls = [{"id": c["id"], "name": c["name"], "args": c["parsed"]} for c in turn["calls"]]
            told.append(AIMessage(turn["said"], tool_calls=calls))
    return told


class LangChain(Client):
    """One kind of model; a request makes its own, as its settings are the model's."""

    def ways(self) -> dict[str, Way]:
        return {
            "stream": self.stream,
            "whole": self.whole,
            "async stream": self.stream_later,
            "async whole": self.whole_later,
        }

    def model(self, ask: Ask) -> Any:
        raise NotImplementedError

    def _runnable(self, ask: Ask) -> Any:
        model = self.model(ask)
        if ask.get("tools"):
            functions = [
                {
                    "type": "function",
                    "function": {"name": t["name"], "description": t["description"], "parameters": t["schema"]},
                }
                for t in ask["tools"]
            ]
            model = model.bind_tools(functions)
        if ask.get("stop"):
            model = model.bind(stop=ask["stop"])
        return model

    def stream(self, ask: Ask, got: Got) -> None:
        whole: AIMessageChunk | None = None
        for chunk in self._runnable(ask).stream(messages(ask, self.natives)):
            read_pieces(chunk, got)
            whole = chunk if whole is None else whole + chunk
        assert whole is not None, "not one chunk came"
        end(whole, got)

    async def stream_later(self, ask: Ask, got: Got) -> None:
        whole: AIMessageChunk | None = None
        async for chunk in self._runnable(ask).astream(messages(ask, self.natives)):
            read_pieces(chunk, got)
            whole = chunk if whole is None else whole + chunk
        assert whole is not None, "not one chunk came"
        end(whole, got)

    def whole(self, ask: Ask, got: Got) -> None:
        message = self._runnable(ask).invoke(messages(ask, self.natives))
        read_pieces(message, got)
        end(message, got)

    async def whole_later(self, ask: Ask, got: Got) -> None:
        message = await self._runnable(ask).ainvoke(messages(ask, self.natives))
        read_pieces(message, got)
        end(message, got)


def read_pieces(message: AIMessage, got: Got) -> None:
    for block in message.content_blocks:
        if block["type"] == "text":
            got.say(block["text"])
        elif block["type"] == "reasoning":
            got.think(block.get("reasoning"))


def end(message: AIMessage, got: Got) -> None:
    for at, call in enumerate(message.tool_calls):
        got.call(at, call["id"], call["name"], call["args"])
    for at, call in enumerate(message.invalid_tool_calls):
        got.call(f"invalid {at}", call["id"], call["name"], {"_unparsed": call["args"]})
    said = message.response_metadata
    got.finish = said.get("finish_reason") or said.get("stop_reason") or said.get("status")
    incomplete = said.get("incomplete_details")
    if got.finish == "incomplete" and incomplete:
        got.finish = f"incomplete: {incomplete['reason']}"
    if usage := message.usage_metadata:
        details = usage.get("output_token_details") or {}
        got.count(usage["input_tokens"], usage["output_tokens"], details.get("reasoning"))
    got.native = message


class OpenAIModel(LangChain):
    def __init__(self, *, responses: bool) -> None:
        super().__init__()
        self._responses = responses

    def model(self, ask: Ask) -> ChatOpenAI:
        made: dict[str, Any] = {
            "base_url": f"{BASE}/v1",
            "api_key": KEY,
            "model": ask["model"],
            "stream_usage": True,
            "max_retries": 0,
            "timeout": TIMEOUT_S,
        }
        if ask.get("max_tokens"):
            made["max_tokens"] = ask["max_tokens"]
        if self._responses:
            made |= {"use_responses_api": True, "store": False, "include": ["reasoning.encrypted_content"]}
            made |= {"output_version": "responses/v1"}
            if ask.get("thinking"):
                made["reasoning"] = {"effort": "low", "summary": "auto"}
        elif ask.get("thinking"):
            made["reasoning_effort"] = "low"
        model = ChatOpenAI(**made)
        if ask.get("schema"):
            shape = {"name": "answer", "schema": ask["schema"], "strict": True}
            return model.bind(response_format={"type": "json_schema", "json_schema": shape})  # type: ignore[return-value]
        return model


class AnthropicModel(LangChain):
    def model(self, ask: Ask) -> ChatAnthropic:
        made: dict[str, Any] = {
            "base_url": f"{BASE}/anthropic",
            "api_key": KEY,
            "model": ask["model"],
            "max_tokens": ask.get("max_tokens") or 4096,
            "max_retries": 0,
            "timeout": TIMEOUT_S,
        }
        if ask.get("thinking"):
            made["thinking"] = {"type": "enabled", "budget_tokens": 1024}
        if ask.get("schema"):
            made["model_kwargs"] = {"output_config": {"format": {"type": "json_schema", "schema": ask["schema"]}}}
        return ChatAnthropic(**made)


if __name__ == "__main__":
    serve(
        {
            "openai-chat": OpenAIModel(responses=False),
            "openai-responses": OpenAIModel(responses=True),
            "anthropic": AnthropicModel(),
        },
        ["langchain-openai", "langchain-anthropic"],
    )
