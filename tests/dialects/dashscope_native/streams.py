"""What the tests of this dialect share: frames in short words, and a reading that checks the rules of events."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from tests.dialects.openai_chat.streams import check_events
from thalweg.canon.events import Event
from thalweg.canon.fold import fold
from thalweg.canon.response import Response
from thalweg.dialects.dashscope_native import DashScopeNative
from thalweg.framing.sse import Frame, SseDecoder
from thalweg.profiles.providers import COMPATIBLE

DASH = DashScopeNative()
ID = "7865ae43-8379-9c79-bef6-95050868bc52"
USAGE = {"input_tokens": 3, "output_tokens": 5, "total_tokens": 8}


def frame(value: Any, *, number: int = 1, event: str = "result", status: int = 200) -> bytes:
    """One frame as the gateway writes it."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return f"id:{number}\nevent:{event}\n:HTTP_STATUS/{status}\ndata:{text}\n\n".encode()


def said(
    content: Any = "", *, at: int | None = None, finish: str | None = "null", usage: Any = None, **message: Any
) -> dict[str, Any]:
    """A payload with one choice. `message` are further fields of its message."""
    choice: dict[str, Any] = {"message": {"content": content, "role": "assistant"} | message, "finish_reason": finish}
    if at is not None:
        choice["index"] = at
    return {"output": {"choices": [choice]}, "usage": {} if usage is None else usage, "request_id": ID}


def texts(text: str, *, finish: str = "null", usage: Any = None) -> dict[str, Any]:
    """A payload of the result format `text`."""
    return {"output": {"finish_reason": finish, "text": text}, "usage": usage or {}, "request_id": ID}


def call(index: int, call_id: str = "", arguments: str = "", name: str | None = None) -> dict[str, Any]:
    """A piece of a call."""
    function = {} if name is None else {"name": name}
    return {"index": index, "id": call_id, "type": "function", "function": function | {"arguments": arguments}}


def stream(*values: Any) -> bytes:
    """A body of frames."""
    return b"".join(frame(value, number=at) for at, value in enumerate(values, 1))


def decode(pieces: bytes | Iterable[bytes], *, provider: str = "acme") -> list[Event]:
    """The events of a body, checked against the rules of events."""
    sse, decoder = SseDecoder(), DASH.stream_decoder(profile=COMPATIBLE, provider=provider)
    events: list[Event] = []
    for piece in [pieces] if isinstance(pieces, bytes) else pieces:
        events += decoder.feed(sse.feed(piece))
    events += decoder.feed(sse.end())
    events += decoder.end()
    check_events(events)
    assert decoder.feed([Frame(b"data:{}\n\n", b"{}")]) == []
    assert decoder.end() == []
    return events


def answer(*values: Any) -> Response:
    """What a stream of these payloads folds to."""
    return fold(decode(stream(*values)))
