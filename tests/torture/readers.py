"""What clients of the four dialects ask, and a reader for the answer to each: strict, and none of the gateway's own."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, NamedTuple

from tests.torture.calls import Read
from tests.torture.wires import TOOL

Tree = dict[str, Any]
_PROMPT = "Say it again: 回声 🦜 and on it goes."
_SCHEMA = {
    "type": "object",
    "properties": {"place": {"type": "string"}, "days": {"type": "integer"}},
    "required": ["place", "days"],
}
_FUNCTION = {"name": TOOL, "description": "Tells of a river.", "parameters": _SCHEMA}


class Asked(NamedTuple):
    """A streamed request on its way: where to, and its body."""

    path: str
    body: bytes


class Client(NamedTuple):
    """One dialect in the client's position."""

    ask: Callable[[str, bool], Asked]
    """By the model's name; whether a tool is offered."""
    read: Callable[[bytes], Read]
    """A stream of one answer, whole or broken. Asserts that every frame is one, and that nothing follows the end."""
    error: Callable[[Tree], bool]
    """Whether the body of an error is one in this dialect."""


def _asked(path: str, tree: Tree) -> Asked:
    return Asked(path, json.dumps(tree, ensure_ascii=False).encode())


def _ask_chat(model: str, tools: bool) -> Asked:
    more: Tree = {"tools": [{"type": "function", "function": _FUNCTION}]} if tools else {}
    messages = [{"role": "user", "content": _PROMPT}]
    tree = {"model": model, "messages": messages, "stream": True, "stream_options": {"include_usage": True}}
    return _asked("/v1/chat/completions", tree | more)


def _ask_responses(model: str, tools: bool) -> Asked:
    more: Tree = {"tools": [{"type": "function", **_FUNCTION}]} if tools else {}
    return _asked("/v1/responses", {"model": model, "input": _PROMPT, "stream": True, "store": False} | more)


def _ask_messages(model: str, tools: bool) -> Asked:
    tool = {"name": TOOL, "description": "Tells of a river.", "input_schema": _SCHEMA}
    more: Tree = {"tools": [tool]} if tools else {}
    messages = [{"role": "user", "content": _PROMPT}]
    return _asked("/v1/messages", {"model": model, "max_tokens": 100, "messages": messages, "stream": True} | more)


def _ask_gemini(model: str, tools: bool) -> Asked:
    more: Tree = {"tools": [{"functionDeclarations": [_FUNCTION]}]} if tools else {}
    contents = [{"role": "user", "parts": [{"text": _PROMPT}]}]
    return _asked(f"/v1beta/models/{model}:streamGenerateContent?alt=sse", {"contents": contents} | more)


def _frames(body: bytes, *, named: bool, by_the_standard: bool = False) -> list[tuple[str | None, str]]:
    """The name and the data of each frame. Blank lines between them are what breaks a silence.

    `by_the_standard`: between two sides of this dialect the upstream's own bytes pass, with any line ends, comments and
    byte order mark that the standard of server-sent events lets a reader expect.
    """
    text = body.decode()
    if by_the_standard:
        text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    assert not text or text.endswith("\n\n"), f"half a frame: {text[-200:]!r}"
    found: list[tuple[str | None, str]] = []
    for frame in filter(None, (each.strip("\n") for each in text.split("\n\n"))):
        if by_the_standard and frame.startswith((":", "\ufeff")) and "\n" not in frame:
            continue
        lines = frame.split("\n")
        name = lines.pop(0).removeprefix("event: ") if named and lines[0].startswith("event: ") else None
        assert len(lines) == 1 and lines[0].startswith("data: "), f"no plain frame: {frame[:200]!r}"
        found.append((name, lines[0].removeprefix("data: ")))
    return found


class _Heard:
    """What has been heard of an answer so far."""

    def __init__(self) -> None:
        self.text: list[str] = []
        self.calls: dict[Any, list[str]] = {}
        self.finish: str | None = None
        self.usage: Tree | None = None
        self.error: Tree | None = None
        self.done = False
        self.frames = 0

    def count(self, data: str, *, after_error: bool = False) -> None:
        assert not self.done, f"after the end: {data[:200]!r}"
        assert not self.error or after_error, f"after an error: {data[:200]!r}"
        self.frames += 1

    def read(self) -> Read:
        calls = [(name, "".join(rest)) for name, *rest in self.calls.values()]
        return Read("".join(self.text), calls, self.finish, self.usage, self.error, self.done, self.frames)


def _read_chat(body: bytes) -> Read:
    heard = _Heard()
    for _, data in _frames(body, named=False):
        heard.count(data)
        if data == "[DONE]":
            heard.done = True
            continue
        tree = json.loads(data)
        heard.error, heard.usage = tree.get("error"), tree.get("usage") or heard.usage
        for choice in tree.get("choices") or ():
            heard.finish = choice.get("finish_reason") or heard.finish
            delta = choice.get("delta") or {}
            heard.text.append(delta.get("content") or "")
            for piece in delta.get("tool_calls") or ():
                function = piece.get("function") or {}
                call = heard.calls.setdefault(piece["index"], [function.get("name")])
                call.append(function.get("arguments") or "")
    return heard.read()


def _read_responses(body: bytes) -> Read:
    heard = _Heard()
    for name, data in _frames(body, named=True):
        tree = json.loads(data)
        kind = tree["type"]
        assert name == kind, f"{name!r} is not {kind!r}"
        heard.count(data, after_error=kind == "response.failed")
        if kind == "response.output_text.delta":
            heard.text.append(tree["delta"])
        elif kind == "response.output_item.added" and tree["item"]["type"] == "function_call":
            heard.calls[tree["output_index"]] = [tree["item"]["name"]]
        elif kind == "response.function_call_arguments.delta":
            heard.calls[tree["output_index"]].append(tree["delta"])
        elif kind == "error":
            heard.error = tree
        elif kind == "response.failed":
            heard.error = tree["response"]["error"]
        elif kind in ("response.completed", "response.incomplete"):
            heard.done, heard.finish, heard.usage = True, kind, tree["response"].get("usage")
    return heard.read()


def _read_messages(body: bytes) -> Read:
    heard = _Heard()
    for name, data in _frames(body, named=True, by_the_standard=True):
        tree = json.loads(data)
        kind = tree["type"]
        assert name == kind, f"{name!r} is not {kind!r}"
        heard.count(data)
        if kind == "content_block_start" and tree["content_block"]["type"] == "tool_use":
            heard.calls[tree["index"]] = [tree["content_block"]["name"]]
        elif kind == "content_block_delta":
            delta = tree["delta"]
            heard.text.append(delta.get("text", ""))
            if "partial_json" in delta:
                heard.calls[tree["index"]].append(delta["partial_json"])
        elif kind == "message_start":
            heard.usage = tree["message"].get("usage")
        elif kind == "message_delta":
            heard.finish = tree["delta"].get("stop_reason") or heard.finish
            heard.usage = (heard.usage or {}) | (tree.get("usage") or {})
        elif kind == "message_stop":
            heard.done = True
        elif kind == "error":
            heard.error = tree["error"]
    return heard.read()


def _read_gemini(body: bytes) -> Read:
    """Its end is the body's, after a finish reason."""
    heard = _Heard()
    for _, data in _frames(body, named=False, by_the_standard=True):
        heard.count(data)
        tree = json.loads(data)
        heard.error, heard.usage = tree.get("error"), tree.get("usageMetadata") or heard.usage
        for candidate in tree.get("candidates") or ():
            heard.finish = candidate.get("finishReason") or heard.finish
            for part in candidate.get("content", {}).get("parts") or ():
                heard.text.append(part.get("text", ""))
                if "functionCall" in part:
                    call = part["functionCall"]
                    heard.calls[len(heard.calls)] = [call["name"], json.dumps(call.get("args"))]
    heard.done = heard.finish is not None and heard.error is None
    return heard.read()


def _is_openai_error(tree: Tree) -> bool:
    return tree["error"].keys() >= {"message", "type", "param", "code"}


def _is_messages_error(tree: Tree) -> bool:
    return bool(tree["type"] == "error" and tree["error"]["type"] and tree["error"]["message"])


def _is_gemini_error(tree: Tree) -> bool:
    return isinstance(tree["error"]["code"], int) and bool(tree["error"]["status"] and tree["error"]["message"])


CLIENTS = {
    "openai-chat": Client(_ask_chat, _read_chat, _is_openai_error),
    "openai-responses": Client(_ask_responses, _read_responses, _is_openai_error),
    "anthropic": Client(_ask_messages, _read_messages, _is_messages_error),
    "gemini": Client(_ask_gemini, _read_gemini, _is_gemini_error),
}
"""By the dialect's name."""

TOKENS = {
    "openai-chat": ("prompt_tokens", "completion_tokens"),
    "openai-responses": ("input_tokens", "output_tokens"),
    "anthropic": ("input_tokens", "output_tokens"),
    "gemini": ("promptTokenCount", "candidatesTokenCount"),
}
"""What usage is called by a client's dialect."""
