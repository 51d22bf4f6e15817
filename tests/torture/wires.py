"""What an upstream of each dialect says, written by hand from the dialects' references, and what may be wrong with it.

The gateway's own encoders have no part in it: these streams would still be right if those were wrong.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

Tree = dict[str, Any]
Stage = Literal["start", "text", "finish", "usage", "end"]
"""`start` has no content yet; `text` is content; the last of `end` is what the dialect calls the end of a stream."""

SAID = ("深い水は", " runs still, ", "回声 🦜 ", "and on it goes.")
TEXT = "".join(SAID)
USAGE = (9, 5)
"""Tokens in and out, as sound answers report them."""
TOOL = "look_up_river"
ARGUMENTS = '{"place":"武汉","days":3}'


class Frame(NamedTuple):
    """One event of a stream. Text instead of a tree stands as it is behind `data: `."""

    stage: Stage
    tree: Tree | str
    named: bool = False
    """Whether the event has its type as its name, too."""

    @property
    def encoded(self) -> bytes:
        """Its bytes."""
        if isinstance(self.tree, str):
            return f"data: {self.tree}\n\n".encode()
        name = f"event: {self.tree['type']}\n" if self.named else ""
        return f"{name}data: {_json(self.tree)}\n\n".encode()


def _json(tree: Any) -> str:
    return json.dumps(tree, ensure_ascii=False, separators=(",", ":"))


class Wire(NamedTuple):
    """One dialect in the upstream position."""

    provider: str
    """By whose name the gateway calls it."""
    stream: Callable[[Sequence[str]], list[Frame]]
    """A sound stream with these pieces of text."""
    call: Callable[[str | None], list[Frame]]
    """A sound stream with a call of `TOOL`, of these arguments; `None` leaves them out."""
    report: Callable[[Any, Any], Frame]
    """An event that tells of usage, in the middle."""
    tell: Callable[[Tree, tuple[Any, Any] | None], None]
    """Change, or take out, what an event says of usage."""
    rename: Callable[[Tree, str], None]
    """Give an event another answer's id, where it has one."""
    error: Callable[[str], Tree]
    """The body of an error, and what an error in a stream says."""
    stranger: Frame
    """An event of a type that nobody knows."""
    idle: Frame
    """An event that the dialect has, and that says nothing."""
    error_named: bool = False
    """Whether an error in a stream has a name."""


# OpenAI Chat.


def _chunk(stage: Stage, delta: Tree, finish: str | None = None) -> Frame:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return Frame(stage, {**_CHUNK, "choices": [choice]})


_CHUNK = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m"}


def _chat_usage(took: Any, made: Any) -> Tree:
    total = took + made if isinstance(took, int) else took
    return {"prompt_tokens": took, "completion_tokens": made, "total_tokens": total}


def _chat_end(finish: str) -> list[Frame]:
    usage = Frame("usage", {**_CHUNK, "choices": [], "usage": _chat_usage(*USAGE)})
    return [_chunk("finish", {}, finish), usage, Frame("end", "[DONE]")]


def _chat(texts: Sequence[str]) -> list[Frame]:
    said = [_chunk("text", {"content": text}) for text in texts]
    return [_chunk("start", {"role": "assistant", "content": ""}), *said, *_chat_end("stop")]


def _chat_call(arguments: str | None) -> list[Frame]:
    call = {"index": 0, "id": "call_1", "type": "function", "function": {"name": TOOL, "arguments": ""}}
    more = {"index": 0, "function": {"arguments": arguments or ""}}
    said = [_chunk("text", {"tool_calls": [each]}) for each in (call, more)]
    return [_chunk("start", {"role": "assistant", "content": None}), *said, *_chat_end("tool_calls")]


def _chat_tell(tree: Tree, usage: tuple[Any, Any] | None) -> None:
    if tree.pop("usage", None) and usage:
        tree["usage"] = _chat_usage(*usage)


def _rename(tree: Tree, name: str) -> None:
    if "id" in tree:
        tree["id"] = name


CHAT = Wire(
    "plain",
    _chat,
    _chat_call,
    lambda took, made: Frame("usage", {**_CHUNK, "choices": [], "usage": _chat_usage(took, made)}),
    _chat_tell,
    _rename,
    lambda said: {"error": {"message": said, "type": "server_error", "param": None, "code": None}},
    Frame("text", {"object": "vendor.thing", "vendor": {"thing": [1, 2]}}),
    _chunk("start", {}),
)


# OpenAI Responses.


def _event(stage: Stage, kind: str, **more: Any) -> Frame:
    return Frame(stage, {"type": kind, **more}, named=True)


def _response(status: str, *, usage: Tree | None = None, output: list[Tree] | None = None) -> Tree:
    asked = {"tools": [], "tool_choice": "auto", "parallel_tool_calls": True, "metadata": {}, "error": None}
    made = {"id": "resp_1", "object": "response", "created_at": 1, "status": status, "model": "m"}
    return {**made, **asked, "incomplete_details": None, "output": output or [], "usage": usage}


def _responses_usage(took: Any, made: Any) -> Tree:
    total = took + made if isinstance(took, int) else took
    return {
        "input_tokens": took,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": made,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": total,
    }


_PART = {"item_id": "msg_1", "output_index": 0, "content_index": 0}


def _responses(texts: Sequence[str]) -> list[Frame]:
    part = {"type": "output_text", "text": "", "annotations": []}
    whole = {**part, "text": "".join(texts)}
    item = {"id": "msg_1", "type": "message", "role": "assistant", "status": "in_progress", "content": []}
    done = {**item, "status": "completed", "content": [whole]}
    return _numbered(
        [
            *_responses_start(item),
            _event("start", "response.content_part.added", **_PART, part=part),
            *(_event("text", "response.output_text.delta", **_PART, delta=text, logprobs=[]) for text in texts),
            _event("finish", "response.output_text.done", **_PART, text="".join(texts), logprobs=[]),
            _event("finish", "response.content_part.done", **_PART, part=whole),
            *_responses_end(done),
        ]
    )


def _responses_start(item: Tree) -> list[Frame]:
    return [
        _event("start", "response.created", response=_response("in_progress")),
        _event("start", "response.in_progress", response=_response("in_progress")),
        _event("start", "response.output_item.added", output_index=0, item=item),
    ]


def _responses_end(item: Tree) -> list[Frame]:
    answer = _response("completed", usage=_responses_usage(*USAGE), output=[item])
    return [
        _event("finish", "response.output_item.done", output_index=0, item=item),
        _event("end", "response.completed", response=answer),
    ]


def _responses_call(arguments: str | None) -> list[Frame]:
    item = {"id": "fc_1", "type": "function_call", "status": "in_progress", "call_id": "call_1", "name": TOOL}
    place, said = {"item_id": "fc_1", "output_index": 0}, arguments or ""
    return _numbered(
        [
            *_responses_start({**item, "arguments": ""}),
            _event("text", "response.function_call_arguments.delta", **place, delta=said),
            _event("finish", "response.function_call_arguments.done", **place, arguments=said),
            *_responses_end({**item, "status": "completed", "arguments": said}),
        ]
    )


def _numbered(frames: list[Frame]) -> list[Frame]:
    for number, frame in enumerate(frames):
        assert isinstance(frame.tree, dict)
        frame.tree["sequence_number"] = number
    return frames


def _responses_tell(tree: Tree, usage: tuple[Any, Any] | None) -> None:
    if tree.get("response", {}).get("usage"):
        tree["response"]["usage"] = usage and _responses_usage(*usage)


def _responses_rename(tree: Tree, name: str) -> None:
    if "response" in tree:
        tree["response"]["id"] = name


RESPONSES = Wire(
    "openai-responses",
    _responses,
    _responses_call,
    lambda took, made: _event(
        "usage", "response.in_progress", response=_response("in_progress", usage=_responses_usage(took, made))
    ),
    _responses_tell,
    _responses_rename,
    lambda said: {"type": "error", "code": "server_error", "message": said, "param": None, "sequence_number": 99},
    _event("text", "response.vendor.thing", vendor=[1, 2]),
    _event("start", "keepalive", sequence_number=0),
    error_named=True,
)


# Anthropic Messages.


def _messages_usage(took: Any, made: Any) -> Tree:
    return {"input_tokens": took, "output_tokens": made}


def _messages_start() -> Frame:
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": []}
    usage = _messages_usage(USAGE[0], 1)
    return _event("start", "message_start", message={**message, "stop_reason": None, "usage": usage})


def _messages_end(reason: str | None, usage: Tree) -> Frame:
    delta = {"stop_reason": reason, "stop_sequence": None}
    return _event("finish", "message_delta", delta=delta, usage=usage)


def _messages_block(block: Tree, deltas: list[Tree], reason: str) -> list[Frame]:
    return [
        _messages_start(),
        _event("start", "content_block_start", index=0, content_block=block),
        *(_event("text", "content_block_delta", index=0, delta=delta) for delta in deltas),
        _event("finish", "content_block_stop", index=0),
        _messages_end(reason, _messages_usage(*USAGE)),
        _event("end", "message_stop"),
    ]


def _messages(texts: Sequence[str]) -> list[Frame]:
    deltas = [{"type": "text_delta", "text": text} for text in texts]
    return _messages_block({"type": "text", "text": ""}, deltas, "end_turn")


def _messages_call(arguments: str | None) -> list[Frame]:
    block = {"type": "tool_use", "id": "toolu_1", "name": TOOL, "input": {}}
    return _messages_block(block, [{"type": "input_json_delta", "partial_json": arguments or ""}], "tool_use")


def _messages_tell(tree: Tree, usage: tuple[Any, Any] | None) -> None:
    holder = tree.get("message", tree)
    if holder.pop("usage", None) and usage:
        holder["usage"] = _messages_usage(*usage)


def _messages_rename(tree: Tree, name: str) -> None:
    if "message" in tree:
        tree["message"]["id"] = name


MESSAGES = Wire(
    "anthropic",
    _messages,
    _messages_call,
    lambda took, made: _messages_end(None, _messages_usage(took, made)),
    _messages_tell,
    _messages_rename,
    lambda said: {"type": "error", "error": {"type": "api_error", "message": said}},
    _event("text", "vendor_thing", vendor=[1, 2]),
    _event("start", "ping"),
    error_named=True,
)


# Gemini.


def _gemini_chunk(stage: Stage, parts: list[Tree], **more: Any) -> Frame:
    candidate = {"content": {"parts": parts, "role": "model"}, "index": 0, **more}
    return Frame(stage, {"candidates": [candidate], "modelVersion": "m", "responseId": "r1"})


def _gemini_usage(took: Any, made: Any) -> Tree:
    total = took + made if isinstance(took, int) else took
    return {"promptTokenCount": took, "candidatesTokenCount": made, "totalTokenCount": total}


def _gemini_end() -> Frame:
    end = _gemini_chunk("end", [{"text": ""}], finishReason="STOP")
    assert isinstance(end.tree, dict)
    end.tree["usageMetadata"] = _gemini_usage(*USAGE)
    return end


def _gemini(texts: Sequence[str]) -> list[Frame]:
    start = Frame("start", {"usageMetadata": _gemini_usage(USAGE[0], 0), "modelVersion": "m", "responseId": "r1"})
    return [start, *(_gemini_chunk("text", [{"text": text}]) for text in texts), _gemini_end()]


def _gemini_call(arguments: str | None) -> list[Frame]:
    call: Tree = {"name": TOOL} if arguments is None else {"name": TOOL, "args": json.loads(arguments)}
    return [_gemini_chunk("text", [{"functionCall": call}]), _gemini_end()]


def _gemini_tell(tree: Tree, usage: tuple[Any, Any] | None) -> None:
    if tree.pop("usageMetadata", None) and usage:
        tree["usageMetadata"] = _gemini_usage(*usage)


def _gemini_rename(tree: Tree, name: str) -> None:
    tree["responseId"] = name


GEMINI = Wire(
    "google",
    _gemini,
    _gemini_call,
    lambda took, made: Frame(
        "usage", {"usageMetadata": _gemini_usage(took, made), "modelVersion": "m", "responseId": "r1"}
    ),
    _gemini_tell,
    _gemini_rename,
    lambda said: {"error": {"code": 500, "message": said, "status": "INTERNAL"}},
    Frame("text", {"vendorThing": [1, 2]}),
    Frame("start", {"usageMetadata": _gemini_usage(USAGE[0], 0)}),
)

WIRES = {"openai-chat": CHAT, "openai-responses": RESPONSES, "anthropic": MESSAGES, "gemini": GEMINI}
"""By the dialect's name."""


_WORDS: dict[int, tuple[str, str, str]] = {
    401: ("invalid_request_error", "authentication_error", "UNAUTHENTICATED"),
    403: ("permission_error", "permission_error", "PERMISSION_DENIED"),
    404: ("invalid_request_error", "not_found_error", "NOT_FOUND"),
    408: ("invalid_request_error", "timeout_error", "DEADLINE_EXCEEDED"),
    413: ("invalid_request_error", "request_too_large", "INVALID_ARGUMENT"),
    429: ("rate_limit_error", "rate_limit_error", "RESOURCE_EXHAUSTED"),
    500: ("server_error", "api_error", "INTERNAL"),
    502: ("server_error", "api_error", "INTERNAL"),
    503: ("server_error", "overloaded_error", "UNAVAILABLE"),
    529: ("server_error", "overloaded_error", "UNAVAILABLE"),
}
"""What OpenAI, Anthropic and Google call the faults of a status."""


def refusal_of(dialect: str, said: str, status: int) -> bytes:
    """The body of an answer with an error status."""
    of_openai, of_anthropic, of_google = _WORDS[status]
    if dialect == "gemini":
        return _json({"error": {"code": status, "message": said, "status": of_google}}).encode()
    if dialect == "anthropic":
        return _json({"type": "error", "error": {"type": of_anthropic, "message": said}}).encode()
    return _json({"error": {"message": said, "type": of_openai, "param": None, "code": None}}).encode()


def error_frame(dialect: str, said: str) -> Frame:
    """An error in a stream."""
    return Frame("end", WIRES[dialect].error(said), named=WIRES[dialect].error_named)
