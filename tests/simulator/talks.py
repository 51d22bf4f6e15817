"""Talks in every dialect, as its clients hold them: what was answered goes back as it came.

Made of JSON alone, so that what a vendor demands is proven without the dialects' own readers and writers.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import msgspec

from thalweg.canon.events import Event
from thalweg.canon.fold import fold
from thalweg.canon.response import Response
from thalweg.canon.script import SendBody, SendHead, Step
from thalweg.dialects.registry import DIALECTS
from thalweg.framing.sse import SseDecoder
from thalweg.profiles.base import Profile
from thalweg.simulator.provider import Simulator

Json = dict[str, Any]
Call = tuple[str, str, Any]
"""What a call is answered by, its name, its arguments."""

SIMULATOR = Simulator(DIALECTS)
CREATED = 1_700_000_000
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
SCHEMAS: dict[str, Json] = {"get_weather": CITY, "now": {"type": "object", "properties": {}}}


class Answer(NamedTuple):
    """What came: status, headers and bytes, and how they were sent."""

    status: int
    headers: dict[bytes, bytes]
    body: bytes
    steps: list[Step]

    @property
    def tree(self) -> Any:
        return msgspec.json.decode(self.body)

    @property
    def payloads(self) -> list[Json]:
        """The objects of a stream of events."""
        frames = SseDecoder().feed(self.body)
        return [msgspec.json.decode(frame.data) for frame in frames if frame.data and frame.data.startswith(b"{")]


def send(
    method: bytes,
    target: bytes,
    body: Any = b"",
    *,
    headers: Any = (),
    seed: int = 1,
    simulator: Simulator = SIMULATOR,
) -> Answer:
    data = body if isinstance(body, bytes) else msgspec.json.encode(body)
    steps = list(simulator.respond(method, target, data, seed=seed, created=CREATED, headers=headers))
    head = next((step for step in steps if isinstance(step, SendHead)), SendHead(0, ()))
    sent = b"".join(step.data for step in steps if isinstance(step, SendBody))
    return Answer(head.status, dict(head.headers), sent, steps)


class Talk:
    """One talk. `turns` are its messages, items or contents, and may be changed between two questions."""

    dialect = ""
    turns_field = "messages"
    stream_headers: tuple[tuple[bytes, bytes], ...] = ()
    simulator = SIMULATOR

    def __init__(self, model: str = "text", prompt: str = "hello", *, tools: Any = (), **fields: Any) -> None:
        self.model = model
        self.turns: list[Any] = self.user(prompt)
        self.tools = {name: SCHEMAS[name] for name in tools}
        self.fields = fields

    # What each dialect says for itself.

    def user(self, text: str) -> list[Any]:
        return [{"role": "user", "content": text}]

    def target(self, *, stream: bool) -> bytes:
        raise NotImplementedError

    def body(self, *, stream: bool) -> Json:
        raise NotImplementedError

    def said(self, answer: Answer, *, stream: bool) -> list[Any]:
        """The assistant's turn, as a client sends it back."""
        raise NotImplementedError

    def calls(self, said: list[Any]) -> list[Call]:
        raise NotImplementedError

    def results(self, calls: list[Call], results: Iterator[str]) -> list[Any]:
        raise NotImplementedError

    # What they share.

    def ask(self, *, stream: bool = False, seed: int = 1) -> Answer:
        headers = self.stream_headers if stream else ()
        body = self.body(stream=stream) | self.fields
        target = self.target(stream=stream)
        return send(b"POST", target, body, headers=headers, seed=seed, simulator=self.simulator)

    def go_on(self, *, stream: bool = False, results: Iterator[str], seed: int = 1) -> list[Call]:
        """One step: ask, take the answer in, answer its calls."""
        answer = self.ask(stream=stream, seed=seed)
        assert answer.status == 200, answer.body
        said = self.said(answer, stream=stream)
        calls = self.calls(said)
        self.turns += said
        if calls:
            self.turns += self.results(calls, results)
        return calls

    def read(self, answer: Answer, *, stream: bool) -> Response:
        """What the dialect's own reader makes of an answer."""
        dialect = DIALECTS[self.dialect]
        if not stream:
            return dialect.decode_answer(answer.body, profile=Profile(), provider="sim")
        return fold(self.events(answer))

    def events(self, answer: Answer) -> list[Event]:
        decoder, framing = DIALECTS[self.dialect].stream_decoder(profile=Profile(), provider="sim"), SseDecoder()
        frames = [frame for step in answer.steps if isinstance(step, SendBody) for frame in framing.feed(step.data)]
        return [*decoder.feed([*frames, *framing.end()]), *decoder.end()]


class ChatTalk(Talk):
    dialect = "openai-chat"

    def target(self, *, stream: bool) -> bytes:
        return b"/v1/chat/completions"

    def body(self, *, stream: bool) -> Json:
        body: Json = {"model": self.model, "messages": self.turns, "stream": stream}
        if stream:
            body["stream_options"] = {"include_usage": True}
        if self.tools:
            functions = [{"name": name, "parameters": schema} for name, schema in self.tools.items()]
            body["tools"] = [{"type": "function", "function": function} for function in functions]
        return body

    def said(self, answer: Answer, *, stream: bool) -> list[Any]:
        if not stream:
            return [answer.tree["choices"][0]["message"]]
        text, calls = "", {}
        for payload in answer.payloads:
            for choice in payload["choices"]:
                text += choice["delta"].get("content") or ""
                for piece in choice["delta"].get("tool_calls", ()):
                    call = calls.setdefault(piece["index"], piece)
                    if call is not piece:
                        call["function"]["arguments"] += piece["function"]["arguments"]
        message: Json = {"role": "assistant", "content": text}
        return [message | ({"tool_calls": list(calls.values())} if calls else {})]

    def calls(self, said: list[Any]) -> list[Call]:
        found = [call for message in said for call in message.get("tool_calls") or ()]
        return [(c["id"], c["function"]["name"], msgspec.json.decode(c["function"]["arguments"])) for c in found]

    def results(self, calls: list[Call], results: Iterator[str]) -> list[Any]:
        return [{"role": "tool", "tool_call_id": call[0], "content": next(results)} for call in calls]


class ResponsesTalk(Talk):
    dialect = "openai-responses"
    turns_field = "input"

    def target(self, *, stream: bool) -> bytes:
        return b"/v1/responses"

    def body(self, *, stream: bool) -> Json:
        tools = [{"type": "function", "name": name, "parameters": schema} for name, schema in self.tools.items()]
        body: Json = {"model": self.model, "input": self.turns, "stream": stream}
        return body | ({"tools": tools} if tools else {})

    def said(self, answer: Answer, *, stream: bool) -> list[Any]:
        whole: Any = answer.payloads[-1]["response"] if stream else answer.tree
        output: list[Any] = whole["output"]
        return output

    def calls(self, said: list[Any]) -> list[Call]:
        found = [item for item in said if item["type"] == "function_call"]
        return [(call["call_id"], call["name"], msgspec.json.decode(call["arguments"])) for call in found]

    def results(self, calls: list[Call], results: Iterator[str]) -> list[Any]:
        return [{"type": "function_call_output", "call_id": call[0], "output": next(results)} for call in calls]


class AnthropicTalk(Talk):
    dialect = "anthropic"

    def target(self, *, stream: bool) -> bytes:
        return b"/v1/messages"

    def body(self, *, stream: bool) -> Json:
        body: Json = {"model": self.model, "max_tokens": 4096, "messages": self.turns, "stream": stream}
        tools = [{"name": name, "input_schema": schema} for name, schema in self.tools.items()]
        return body | ({"tools": tools} if tools else {})

    def said(self, answer: Answer, *, stream: bool) -> list[Any]:
        content = list(_blocks(answer.payloads)) if stream else answer.tree["content"]
        return [{"role": "assistant", "content": content}]

    def calls(self, said: list[Any]) -> list[Call]:
        blocks = [block for message in said for block in message["content"] if block["type"] == "tool_use"]
        return [(block["id"], block["name"], block["input"]) for block in blocks]

    def results(self, calls: list[Call], results: Iterator[str]) -> list[Any]:
        found = [{"type": "tool_result", "tool_use_id": call[0], "content": next(results)} for call in calls]
        return [{"role": "user", "content": found}]


def _blocks(payloads: list[Json]) -> Iterator[Json]:
    """The blocks of a stream, put together as the SDK does it."""
    block: Json = {}
    arguments = ""
    for payload in payloads:
        if payload["type"] == "content_block_start":
            block, arguments = payload["content_block"], ""
        elif payload["type"] == "content_block_delta":
            delta = payload["delta"]
            arguments += delta.get("partial_json", "")
            for field in ("text", "thinking", "signature"):
                if field in delta:
                    block[field] += delta[field]
        elif payload["type"] == "content_block_stop":
            if block["type"] == "tool_use":
                block["input"] = msgspec.json.decode(arguments or "{}")
            yield block


class GeminiTalk(Talk):
    dialect = "gemini"
    turns_field = "contents"

    def user(self, text: str) -> list[Any]:
        return [{"role": "user", "parts": [{"text": text}]}]

    def target(self, *, stream: bool) -> bytes:
        model = self.model.replace("?", "%3F").encode()
        return b"/v1beta/models/" + model + (b":streamGenerateContent?alt=sse" if stream else b":generateContent")

    def body(self, *, stream: bool) -> Json:
        functions = [{"name": name, "parametersJsonSchema": schema} for name, schema in self.tools.items()]
        tools = {"tools": [{"functionDeclarations": functions}]} if functions else {}
        return {"contents": self.turns} | tools

    def said(self, answer: Answer, *, stream: bool) -> list[Any]:
        # The SDK's chat keeps one content for each chunk.
        chunks = answer.payloads if stream else [answer.tree]
        return [chunk["candidates"][0]["content"] for chunk in chunks]

    def calls(self, said: list[Any]) -> list[Call]:
        found = [part["functionCall"] for content in said for part in content["parts"] if "functionCall" in part]
        return [(call["name"], call["name"], call["args"]) for call in found]

    def results(self, calls: list[Call], results: Iterator[str]) -> list[Any]:
        answers = [{"name": call[0], "response": {"output": next(results)}} for call in calls]
        return [{"role": "user", "parts": [{"functionResponse": answer} for answer in answers]}]


class DashScopeTalk(Talk):
    dialect = "dashscope-native"
    stream_headers = ((b"x-dashscope-sse", b"enable"),)

    def target(self, *, stream: bool) -> bytes:
        return b"/api/v1/services/aigc/text-generation/generation"

    def body(self, *, stream: bool) -> Json:
        functions = [{"name": name, "parameters": schema} for name, schema in self.tools.items()]
        tools = [{"type": "function", "function": function} for function in functions]
        parameters: Json = {"result_format": "message", "incremental_output": stream}
        parameters |= {"tools": tools} if tools else {}
        return {"model": self.model, "input": {"messages": self.turns}, "parameters": parameters}

    def said(self, answer: Answer, *, stream: bool) -> list[Any]:
        if not stream:
            return [answer.tree["output"]["choices"][0]["message"]]
        read = self.read(answer, stream=True).choices[0]
        calls = [
            {"id": c.id, "type": "function", "function": {"name": c.name, "arguments": c.arguments}}  # type: ignore[union-attr]
            for c in read.parts
            if hasattr(c, "arguments")
        ]
        text = "".join(part.text for part in read.parts if type(part).__name__ == "Text")  # type: ignore[union-attr]
        return [{"role": "assistant", "content": text} | ({"tool_calls": calls} if calls else {})]

    def calls(self, said: list[Any]) -> list[Call]:
        found = [call for message in said for call in message.get("tool_calls") or ()]
        return [(c["id"], c["function"]["name"], msgspec.json.decode(c["function"]["arguments"])) for c in found]

    def results(self, calls: list[Call], results: Iterator[str]) -> list[Any]:
        return [{"role": "tool", "tool_call_id": call[0], "content": next(results)} for call in calls]


TALKS: dict[str, type[Talk]] = {
    talk.dialect: talk for talk in (ChatTalk, ResponsesTalk, AnthropicTalk, GeminiTalk, DashScopeTalk)
}

Change = Callable[[list[Any]], None]


def numbered_results() -> Iterator[str]:
    """Results that can be told apart."""
    return (f"7391-{at} 晴" for at in range(1, 100))


def changed(turns: list[Any], change: Change) -> list[Any]:
    """A talk with something in it changed."""
    turns = copy.deepcopy(turns)
    change(turns)
    return turns
