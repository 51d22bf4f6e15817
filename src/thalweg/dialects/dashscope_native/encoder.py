"""Events written as DashScope says them: a stream of frames, or a whole answer.

What a client asked for decides the form: increments or all so far, `message` or `text`, content as text or as a list.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Literal

import msgspec

from thalweg.canon.errors import GatewayError
from thalweg.canon.events import (
    ChoiceFinished,
    Event,
    PartDelta,
    PartEnded,
    PartStarted,
    Pinged,
    ResponseContinued,
    ResponseEnded,
    ResponseFailed,
    ResponseStarted,
    UsageReported,
)
from thalweg.canon.parts import Citation, Opaque, Part, Reasoning, Refusal, Text, ToolCall
from thalweg.canon.request import Request
from thalweg.canon.response import Choice, Response
from thalweg.dialects.base import Template
from thalweg.dialects.dashscope_native.errors import encode_stream_error
from thalweg.dialects.dashscope_native.tables import CONTENT_TYPE, FINISH_TO_WIRE, GOES_ON, NAME, usage_to_wire


class Form(msgspec.Struct, frozen=True, kw_only=True):
    """What form a client asked for."""

    incremental: bool = True
    result_format: Literal["message", "text"] = "message"
    content_list: bool = False


def form_of(asked: Request) -> Form:
    """The form of an answer. Of a request that came in another dialect, the one that we ask upstreams for."""
    if asked.dialect != NAME:
        return Form()
    said = asked.extensions
    content_list = bool(said.get("multimodal"))
    text = said.get("result_format", "text") == "text" and not content_list and not asked.tools
    return Form(
        incremental=said.get("incremental_output") is True,
        result_format="text" if text else "message",
        content_list=content_list,
    )


class _Said:
    """What one choice has said so far, for clients that are told all of it each time."""

    __slots__ = ("calls", "fields")

    def __init__(self) -> None:
        self.fields: dict[str, list[str]] = {}
        self.calls: list[dict[str, Any]] = []


class DashScopeStreamEncoder:
    """Writes one client's stream, one frame for each delta. Lives as long as the answer."""

    __slots__ = (
        "_begun",
        "_calls",
        "_calls_of",
        "_form",
        "_more",
        "_number",
        "_parts",
        "_request_id",
        "_said",
        "_usage",
    )

    content_type = CONTENT_TYPE
    error: GatewayError | None = None
    held_chars = 0

    def __init__(self, asked: Request, *, response_id: str) -> None:
        self._form = form_of(asked)
        self._request_id = response_id
        self._number = 0
        self._parts: dict[int, PartStarted] = {}
        self._calls: dict[int, int] = {}
        """The place of each call among its choice's, by its part."""
        self._calls_of: dict[int, int] = {}
        self._begun: set[int] = set()
        """Calls of which a frame has told."""
        self._said: dict[int, _Said] = {}
        self._usage: dict[str, Any] = {}
        self._more: dict[str, Any] = {}

    def encode(self, events: Iterable[Event]) -> list[bytes]:
        """The frames for these events."""
        frames: list[bytes] = []
        for event in events:
            frames += _WRITERS[type(event)](self, event)
        return frames

    def grow(self, event: PartDelta) -> bytes:
        """The frames for one event by which a part grows."""
        return b"".join(self.encode((event,)))

    def template(self, index: int) -> Template | None:
        """None: each frame has its number first, and the usage so far."""
        return None

    def templated(self, text: str, frames: int) -> None:
        """Nothing was."""

    def keepalive(self) -> bytes:
        """A comment: whatever is no id, event, status or data is passed over."""
        return b":keep-alive\n\n"

    def _frame(
        self, choice: int, message: dict[str, Any], *, finish: str = GOES_ON, logprobs: Any = None
    ) -> list[bytes]:
        self._number += 1
        output = self._output(choice, message, finish, logprobs)
        more, self._more = self._more, {}
        wire = {"output": output | more, "usage": self._usage_of(choice), "request_id": self._request_id}
        return [b"id:%d\nevent:result\n:HTTP_STATUS/200\ndata:%b\n\n" % (self._number, msgspec.json.encode(wire))]

    def _output(self, choice: int, message: dict[str, Any], finish: str, logprobs: Any) -> dict[str, Any]:
        if not self._form.incremental:
            message = self._so_far(choice, message)
        if self._form.result_format == "text":
            return {"finish_reason": finish, "text": message.get("content", "")}
        text, content = message.pop("content", ""), message.pop("others", [])
        wire: dict[str, Any] = {"content": _content(text, content) if self._form.content_list else text}
        body: dict[str, Any] = {
            "message": wire | message | {"role": "assistant"},
            "index": choice,
            "finish_reason": finish,
        }
        if logprobs is not None:
            body["logprobs"] = logprobs
        return {"choices": [body]}

    def _usage_of(self, choice: int) -> dict[str, Any]:
        """Whoever adds the choices' outputs up gets ours, which is told with the first."""
        if choice == 0 or not self._usage:
            return self._usage
        taken = self._usage["input_tokens"]
        return {"total_tokens": taken, "output_tokens": 0, "input_tokens": taken}

    def _so_far(self, choice: int, message: dict[str, Any]) -> dict[str, Any]:
        """All that was said, the message's own share included."""
        said = self._said.setdefault(choice, _Said())
        for call in message.get("tool_calls", ()):
            if call["index"] == len(said.calls):
                said.calls.append(call)
            else:
                function = said.calls[call["index"]]["function"]
                function["arguments"] += call["function"]["arguments"]
        for field in ("reasoning_content", "content"):
            if field in message:
                said.fields.setdefault(field, []).append(message[field])
        wire: dict[str, Any] = {field: "".join(pieces) for field, pieces in said.fields.items()}
        if said.calls:
            wire["tool_calls"] = said.calls
        return message | wire

    def _on_started(self, _: ResponseStarted) -> list[bytes]:
        return []

    def _on_part_started(self, event: PartStarted) -> list[bytes]:
        self._parts[event.index] = event
        if event.kind == "tool_call":
            self._calls[event.index] = number = self._calls_of.get(event.choice, 0)
            self._calls_of[event.choice] = number + 1
        return []

    def _on_part_delta(self, event: PartDelta) -> list[bytes]:
        kind = self._parts[event.index].kind
        if not event.text or kind in ("media", "opaque"):
            return []
        if kind == "tool_call":
            return self._call(event.index, event.choice, event.text)
        field = "reasoning_content" if kind == "reasoning" else "content"
        return self._frame(event.choice, {field: event.text}, logprobs=event.logprobs)

    def _on_part_ended(self, event: PartEnded) -> list[bytes]:
        started = self._parts[event.index]
        if started.kind == "tool_call" and event.index not in self._begun:
            # Many clients hand the arguments to a JSON parser, which takes no empty string.
            return self._call(event.index, event.choice, "{}")
        if started.kind == "opaque" and started.name == NAME and isinstance(event.raw, dict):
            if "tool_info" in event.raw:
                self._more |= event.raw
            elif self._form.content_list:
                return self._frame(event.choice, {"others": [event.raw.get("content")]})
        if event.citations:
            self._more["search_info"] = {"search_results": _search_results(event.citations)}
        return []

    def _call(self, index: int, choice: int, text: str) -> list[bytes]:
        """A piece of a call. Its first frame has its id, its name and its first arguments together."""
        started, number = self._parts[index], self._calls[index]
        first = index not in self._begun
        self._begun.add(index)
        function: dict[str, Any] = {"name": started.name} if first else {}
        piece = {
            "index": number,
            "id": started.call_id if first else "",
            "type": "function",
            "function": function | {"arguments": text},
        }
        return self._frame(choice, {"tool_calls": [piece]})

    def _on_usage(self, event: UsageReported) -> list[bytes]:
        self._usage = usage_to_wire(event.usage)
        return []

    def _on_finished(self, event: ChoiceFinished) -> list[bytes]:
        return self._frame(event.choice, {}, finish=FINISH_TO_WIRE[event.reason])

    def _on_ended(self, _: ResponseEnded) -> list[bytes]:
        return []

    def _on_failed(self, event: ResponseFailed) -> list[bytes]:
        self._number += 1
        return [encode_stream_error(event.error, self._number, self._request_id)]

    def _on_pinged(self, _: Pinged | ResponseContinued) -> list[bytes]:
        return []


_WRITERS: dict[type, Callable[[DashScopeStreamEncoder, Any], list[bytes]]] = {
    ResponseStarted: DashScopeStreamEncoder._on_started,
    PartStarted: DashScopeStreamEncoder._on_part_started,
    PartDelta: DashScopeStreamEncoder._on_part_delta,
    PartEnded: DashScopeStreamEncoder._on_part_ended,
    UsageReported: DashScopeStreamEncoder._on_usage,
    ChoiceFinished: DashScopeStreamEncoder._on_finished,
    ResponseEnded: DashScopeStreamEncoder._on_ended,
    ResponseFailed: DashScopeStreamEncoder._on_failed,
    Pinged: DashScopeStreamEncoder._on_pinged,
    ResponseContinued: DashScopeStreamEncoder._on_pinged,
}


def encode_answer(answer: Response, asked: Request) -> bytes:
    """A whole answer for a client."""
    form = form_of(asked)
    first = answer.choices[0] if answer.choices else Choice(index=0, parts=(), finish_reason=None)
    output: dict[str, Any]
    if form.result_format == "text":
        output = {"finish_reason": _finish(first), "text": _text(first.parts)}
    else:
        output = {"choices": [_write_choice(choice, form) for choice in answer.choices]}
    cited = [citation for part in first.parts if isinstance(part, Text) for citation in part.citations]
    if cited:
        output["search_info"] = {"search_results": _search_results(cited)}
    for raw in _own(first.parts):
        output |= {key: value for key, value in raw.items() if key == "tool_info"}
    usage = usage_to_wire(answer.usage) if answer.usage else {}
    return msgspec.json.encode({"output": output, "usage": usage, "request_id": answer.response_id})


def _write_choice(choice: Choice, form: Form) -> dict[str, Any]:
    text = _text(choice.parts)
    others = [raw["content"] for raw in _own(choice.parts) if "content" in raw]
    message: dict[str, Any] = {"role": "assistant", "content": _content(text, others) if form.content_list else text}
    if reasoning := "".join(part.text for part in choice.parts if isinstance(part, Reasoning)):
        message["reasoning_content"] = reasoning
    calls = [part for part in choice.parts if isinstance(part, ToolCall)]
    if calls:
        message["tool_calls"] = [_write_call(call, at) for at, call in enumerate(calls)]
    wire: dict[str, Any] = {"finish_reason": _finish(choice), "index": choice.index, "message": message}
    if choice.logprobs is not None:
        wire["logprobs"] = choice.logprobs
    return wire


def _finish(choice: Choice) -> str:
    return FINISH_TO_WIRE[choice.finish_reason] if choice.finish_reason else GOES_ON


def _write_call(call: ToolCall, at: int) -> dict[str, Any]:
    function = {"name": call.name, "arguments": call.arguments or "{}"}
    return {"function": function, "index": at, "id": call.id, "type": "function"}


def _text(parts: tuple[Part, ...]) -> str:
    return "".join(part.text for part in parts if isinstance(part, Text | Refusal))


def _own(parts: tuple[Part, ...]) -> list[dict[str, Any]]:
    return [part.raw for part in parts if isinstance(part, Opaque) and part.dialect == NAME and type(part.raw) is dict]


def _content(text: str, others: list[Any]) -> list[Any]:
    return [*([{"text": text}] if text else []), *others]


def _search_results(citations: Iterable[Citation]) -> list[dict[str, Any]]:
    return [{"index": at, "title": each.title or "", "url": each.url} for at, each in enumerate(citations, 1)]
