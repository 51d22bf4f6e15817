"""OpenAI's SDK for Python: Chat and Responses, streams, whole answers, the stream helpers, synchronous and not."""

from __future__ import annotations

from typing import Any

from kit import BASE, KEY, TIMEOUT_S, Ask, Client, Got, Way, serve
from openai import AsyncOpenAI, OpenAI
from openai.lib.streaming.chat import ChunkEvent
from openai_turns import chat_request, response_request

SETTINGS: dict[str, Any] = {"base_url": f"{BASE}/v1", "api_key": KEY, "max_retries": 0, "timeout": TIMEOUT_S}


class Gathered:
    """An assistant's message as applications put it together: everything that the deltas had, also what is not theirs."""

    def __init__(self) -> None:
        self.message: dict[str, Any] = {"role": "assistant", "content": None}
        self.calls: dict[int, dict[str, Any]] = {}

    def add(self, delta: dict[str, Any]) -> None:
        for name, value in delta.items():
            if value is None or name in ("role", "tool_calls"):
                continue
            if isinstance(value, str | list):
                kept = self.message.get(name)
                self.message[name] = value if kept is None else kept + value
            else:
                self.message[name] = value
        for call in delta.get("tool_calls") or []:
            self._add_call(call)

    def _add_call(self, call: dict[str, Any]) -> None:
        kept = self.calls.setdefault(call["index"], {"function": {"name": "", "arguments": ""}})
        function = call.get("function") or {}
        kept["function"]["name"] = kept["function"]["name"] or function.get("name")
        kept["function"]["arguments"] += function.get("arguments") or ""
        kept |= {name: value for name, value in call.items() if name not in ("index", "function") and value is not None}

    def whole(self) -> dict[str, Any]:
        return self.message | ({"tool_calls": list(self.calls.values())} if self.calls else {})


def read_chat_chunk(chunk: Any, got: Got, gathered: Gathered) -> None:
    if chunk.usage:
        count_chat(got, chunk.usage)
    for choice in chunk.choices:
        delta = choice.delta
        got.say(delta.content)
        got.think(getattr(delta, "reasoning_content", None))
        for call in delta.tool_calls or []:
            got.call(
                call.index, call.id, call.function and call.function.name, call.function and call.function.arguments
            )
        gathered.add(delta.model_dump(exclude_unset=True) if hasattr(delta, "model_dump") else delta.to_dict())
        got.finish = choice.finish_reason or got.finish


def count_chat(got: Got, usage: Any) -> None:
    details = getattr(usage, "completion_tokens_details", None)
    got.count(usage.prompt_tokens, usage.completion_tokens, details and getattr(details, "reasoning_tokens", None))


def read_chat_whole(answer: Any, got: Got) -> None:
    if answer.usage:
        count_chat(got, answer.usage)
    (choice,) = answer.choices
    got.say(choice.message.content)
    got.think(getattr(choice.message, "reasoning_content", None))
    for at, call in enumerate(choice.message.tool_calls or []):
        got.call(at, call.id, call.function.name, call.function.arguments)
    got.finish = choice.finish_reason
    got.native = choice.message


class Chat(Client):
    """`chat.completions`, of this SDK and of those made after it."""

    def __init__(self, sync: Any, later: Any = None) -> None:
        super().__init__()
        self._sync = sync
        self._later = later

    def ways(self) -> dict[str, Way]:
        return {
            "stream": self.stream,
            "whole": self.whole,
            "async stream": self.stream_later,
            "async whole": self.whole_later,
            "helper": self.helper,
        }

    def request(self, ask: Ask) -> dict[str, Any]:
        return chat_request(ask, self.natives)

    def stream(self, ask: Ask, got: Got) -> None:
        gathered = Gathered()
        with self._sync.chat.completions.create(
            **self.request(ask), stream=True, stream_options={"include_usage": True}
        ) as stream:
            for chunk in stream:
                read_chat_chunk(chunk, got, gathered)
        got.native = gathered.whole()

    def whole(self, ask: Ask, got: Got) -> None:
        read_chat_whole(self._sync.chat.completions.create(**self.request(ask)), got)

    async def stream_later(self, ask: Ask, got: Got) -> None:
        gathered = Gathered()
        async for chunk in await self._later.chat.completions.create(
            **self.request(ask), stream=True, stream_options={"include_usage": True}
        ):
            read_chat_chunk(chunk, got, gathered)
        got.native = gathered.whole()

    async def whole_later(self, ask: Ask, got: Got) -> None:
        read_chat_whole(await self._later.chat.completions.create(**self.request(ask)), got)

    def helper(self, ask: Ask, got: Got) -> None:
        with self._sync.chat.completions.stream(**self.request(ask), stream_options={"include_usage": True}) as stream:
            for event in stream:
                if isinstance(event, ChunkEvent):
                    read_chat_chunk(event.chunk, got, Gathered())
            final = stream.get_final_completion()
        (choice,) = final.choices
        assert (choice.message.content or "") == got.text, "the helper's message is not what was streamed"
        got.native = choice.message

    def models(self) -> list[str]:
        return [model.id for model in self._sync.models.list()]


def read_response_event(event: Any, got: Got) -> None:
    kind = event.type
    if kind == "response.output_text.delta":
        got.say(event.delta)
    elif kind in ("response.reasoning_summary_text.delta", "response.reasoning_text.delta"):
        got.think(event.delta)
    elif kind == "response.output_item.added" and event.item.type == "function_call":
        got.call(event.output_index, event.item.call_id, event.item.name, "")
    elif kind == "response.function_call_arguments.delta":
        got.call(event.output_index, None, None, event.delta)
    elif kind in ("response.completed", "response.incomplete"):
        read_response_end(event.response, got)
    elif kind == "response.failed":
        raise RuntimeError(f"response.failed: {event.response.error}")


def read_response_end(answer: Any, got: Got) -> None:
    details = getattr(answer, "incomplete_details", None)
    got.finish = f"incomplete: {details.reason}" if answer.status == "incomplete" and details else answer.status
    got.native = [item.to_dict() if hasattr(item, "to_dict") else item for item in answer.output]
    if answer.usage:
        thought = answer.usage.output_tokens_details
        got.count(answer.usage.input_tokens, answer.usage.output_tokens, thought and thought.reasoning_tokens)


def read_response_whole(answer: Any, got: Got) -> None:
    for at, item in enumerate(answer.output):
        if item.type == "message":
            for part in item.content:
                got.say(getattr(part, "text", None))
        elif item.type == "reasoning":
            for part in [*(item.summary or []), *(getattr(item, "content", None) or [])]:
                # Ark's SDK leaves what it has no type for as it came.
                got.think(part["text"] if isinstance(part, dict) else part.text)
        elif item.type == "function_call":
            got.call(at, item.call_id, item.name, item.arguments)
    read_response_end(answer, got)


class Responses(Client):
    """`responses`, without anything stored."""

    def __init__(self, sync: Any, later: Any = None) -> None:
        super().__init__()
        self._sync = sync
        self._later = later

    def ways(self) -> dict[str, Way]:
        return {
            "stream": self.stream,
            "whole": self.whole,
            "async stream": self.stream_later,
            "async whole": self.whole_later,
            "helper": self.helper,
        }

    def request(self, ask: Ask) -> dict[str, Any]:
        return response_request(ask, self.natives)

    def stream(self, ask: Ask, got: Got) -> None:
        with self._sync.responses.create(**self.request(ask), stream=True) as stream:
            for event in stream:
                read_response_event(event, got)

    def whole(self, ask: Ask, got: Got) -> None:
        read_response_whole(self._sync.responses.create(**self.request(ask)), got)

    async def stream_later(self, ask: Ask, got: Got) -> None:
        async for event in await self._later.responses.create(**self.request(ask), stream=True):
            read_response_event(event, got)

    async def whole_later(self, ask: Ask, got: Got) -> None:
        read_response_whole(await self._later.responses.create(**self.request(ask)), got)

    def helper(self, ask: Ask, got: Got) -> None:
        with self._sync.responses.stream(**self.request(ask)) as stream:
            for event in stream:
                read_response_event(event, got)
            final = stream.get_final_response()
        assert final.output_text == got.text, "the helper's text is not what was streamed"
        got.native = [item.to_dict() for item in final.output]

    def models(self) -> list[str]:
        return [model.id for model in self._sync.models.list()]


def main() -> None:
    sync, later = OpenAI(**SETTINGS), AsyncOpenAI(**SETTINGS)
    serve({"openai-chat": Chat(sync, later), "openai-responses": Responses(sync, later)}, ["openai"])


if __name__ == "__main__":
    main()
