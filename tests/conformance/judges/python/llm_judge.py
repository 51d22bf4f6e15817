"""`llm`, by its Python API: the model that an entry of extra-openai-models.yaml makes."""

from __future__ import annotations

from typing import Any

import llm
from kit import BASE, KEY, Ask, Client, Got, Way, png, serve, tools_results
from llm.default_plugins.openai_models import AsyncChat, Chat


class Llm(Client):
    """Prompts and conversations; it keeps the talk itself."""

    def ways(self) -> dict[str, Way]:
        return {
            "stream": self.stream,
            "whole": self.whole,
            "async stream": self.stream_later,
            "own loop": self.own_loop,
        }

    def _conversation(self, ask: Ask, kind: Any) -> Any:
        echoed = [turn["echo"] for turn in ask["turns"] if "echo" in turn]
        if echoed:
            return self.natives[echoed[-1]]
        model = kind(
            "thalweg",
            model_name=ask["model"],
            api_base=f"{BASE}/v1",
            vision=True,
            supports_schema=True,
            supports_tools=True,
        )
        model.key = KEY
        return model.conversation()

    def _prompt(self, ask: Ask) -> dict[str, Any]:
        last = ask["turns"][-1]
        made: dict[str, Any] = {"prompt": last["user"]}
        if ask.get("system"):
            made["system"] = ask["system"]
        if last.get("images"):
            made["attachments"] = [llm.Attachment(type="image/png", content=png(each)) for each in last["images"]]
        if ask.get("schema"):
            made["schema"] = ask["schema"]
        if ask.get("max_tokens"):
            made["max_tokens"] = ask["max_tokens"]
        if ask.get("stop"):
            made["stop"] = ask["stop"][0]
        return made

    def _ask(self, ask: Ask, got: Got, *, stream: bool) -> None:
        talk = self._conversation(ask, Chat)
        answer = talk.prompt(**self._prompt(ask), stream=stream)
        for piece in answer:
            got.say(piece)
        end(answer, talk, got)

    def stream(self, ask: Ask, got: Got) -> None:
        self._ask(ask, got, stream=True)

    def whole(self, ask: Ask, got: Got) -> None:
        self._ask(ask, got, stream=False)

    async def stream_later(self, ask: Ask, got: Got) -> None:
        talk = self._conversation(ask, AsyncChat)
        answer = talk.prompt(**self._prompt(ask))
        async for piece in answer:
            got.say(piece)
        got.count(answer.input_tokens, answer.output_tokens)
        got.native = talk

    def own_loop(self, ask: Ask, got: Got) -> None:
        called: list[list[Any]] = []
        got.more["called"] = called
        tools = [_tool(tool, tools_results(ask)[tool["name"]], called) for tool in ask["tools"]]
        for piece in self._conversation(ask, Chat).chain(ask["turns"][-1]["user"], tools=tools):
            got.say(piece)


def end(answer: Any, talk: Any, got: Got) -> None:
    got.count(answer.input_tokens, answer.output_tokens)
    got.native = talk


def _tool(tool: dict[str, Any], result: str, called: list[list[Any]]) -> llm.Tool:
    def run(**arguments: Any) -> str:
        called.append([tool["name"], arguments])
        return result

    return llm.Tool(name=tool["name"], description=tool["description"], input_schema=tool["schema"], implementation=run)


if __name__ == "__main__":
    serve({"openai-chat": Llm()}, ["llm"])
