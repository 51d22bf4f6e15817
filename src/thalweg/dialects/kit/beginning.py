"""Telling an upstream how its answer begins: the last message of the request is what the assistant has said so far."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import Raw

from thalweg.canon.errors import InvalidRequest
from thalweg.dialects.kit.body import open_top

_messages = msgspec.json.Decoder(list[Raw]).decode
_message = msgspec.json.Decoder(dict[str, Any]).decode
_number = msgspec.json.Decoder(int).decode


def with_beginning(
    body: bytes, beginning: str, *, tokens: int, caps: Iterable[str], mark: dict[str, Any], more: dict[str, Any]
) -> bytes:
    """A request, written already, for the rest of an answer that began so. All else keeps its bytes.

    `tokens` were made so far: the `caps` on them, where the request has any, are lowered by as much. `mark` stands in
    the message, `more` beside the messages. A request that brought a beginning of its own goes on from both together.

    Raises `InvalidRequest` where its last message cannot be gone on with.
    """
    top = open_top(body)
    messages = _messages(top["messages"])
    last = _message(messages[-1]) if messages else {}
    if last.get("role") == "assistant":
        if not isinstance(last.get("content"), str) or last.get("tool_calls") or last.get("function_call"):
            raise InvalidRequest("The last message is the assistant's, and no text alone.", param="messages")
        beginning = last["content"] + beginning
        messages.pop()
    else:
        last = {}
    messages.append(Raw(msgspec.json.encode(last | {"role": "assistant", "content": beginning} | mark)))
    top["messages"] = Raw(msgspec.json.encode(messages))
    for name in caps:
        if name in top and bytes(top[name]) != b"null":
            top[name] = Raw(b"%d" % max(_number(top[name]) - tokens, 1))
    return msgspec.json.encode(top | more)
