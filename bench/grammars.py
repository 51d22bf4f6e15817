"""The other dialects that the paced upstream speaks: frames with the same marks, of about the size that each has.

Each class has what `bench.upstream.Frames` has: `opening`, `content(sequence)` and `closing(chunks)`.
"""

import json
import time
from typing import Any

_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ncache-control: no-cache\r\n"
    b"transfer-encoding: chunked\r\n\r\n"
)
_TEXT = " deep channel @%06d.%019d@"
_PROMPT = 24


def _chunked(body: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(body), body)


class Grammar:
    """One model's stream in one dialect; everything but the mark is made once."""

    head: tuple[dict[str, Any], ...] = ()
    named = True
    """Whether each frame has an `event:` line with its type."""

    def __init__(self, model: str) -> None:
        self._model = model
        opening = b"".join(map(self._frame, self._begin()))
        self.opening = _HEAD + (_chunked(opening) if opening else b"")
        template = self._frame(self._delta())
        size = len(template % (0, 0))
        self._content = b"%x\r\n%b\r\n" % (size, template)

    def content(self, sequence: int) -> bytes:
        """Return one content chunk, stamped now."""
        return self._content % (sequence, time.monotonic_ns())

    def closing(self, chunks: int, *, with_usage: bool = True) -> bytes:
        """Return what ends the stream, with usage, and the end of the body."""
        return b"".join(_chunked(self._frame(event)) for event in self._end(chunks)) + b"0\r\n\r\n"

    def _frame(self, event: dict[str, Any]) -> bytes:
        name = f"event: {event['type']}\n" if self.named else ""
        return f"{name}data: {json.dumps(event, separators=(',', ':'))}\n\n".encode()

    def _begin(self) -> list[dict[str, Any]]:
        return []

    def _delta(self) -> dict[str, Any]:
        raise NotImplementedError

    def _end(self, chunks: int) -> list[dict[str, Any]]:
        raise NotImplementedError


class Anthropic(Grammar):
    """Anthropic Messages."""

    def _begin(self) -> list[dict[str, Any]]:
        message = {
            "id": "msg_01BenchXJ4kQ2mV7tR9wLz0", "type": "message", "role": "assistant", "model": self._model,
            "content": [], "stop_reason": None, "stop_sequence": None,
            "usage": {"input_tokens": _PROMPT, "output_tokens": 1},
        }  # fmt: skip
        block = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
        return [{"type": "message_start", "message": message}, block]

    def _delta(self) -> dict[str, Any]:
        return {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": _TEXT}}

    def _end(self, chunks: int) -> list[dict[str, Any]]:
        delta = {"stop_reason": "end_turn", "stop_sequence": None}
        usage = {"input_tokens": _PROMPT, "output_tokens": chunks}
        stop = {"type": "content_block_stop", "index": 0}
        return [stop, {"type": "message_delta", "delta": delta, "usage": usage}, {"type": "message_stop"}]


class Responses(Grammar):
    """OpenAI Responses."""

    _item = "msg_BenchXJ4kQ2mV7tR9wLz0"

    def _response(self, status: str, output: list[Any], usage: Any = None) -> dict[str, Any]:
        return {
            "id": "resp_BenchXJ4kQ2mV7tR9wLz0", "object": "response", "created_at": 1764000000, "status": status,
            "model": self._model, "output": output, "usage": usage, "error": None, "incomplete_details": None,
            "instructions": None, "metadata": {}, "parallel_tool_calls": True, "temperature": 1.0, "tools": [],
            "tool_choice": "auto", "top_p": 1.0,
        }  # fmt: skip

    def _message(self, status: str, text: str | None) -> dict[str, Any]:
        content = [] if text is None else [self._part(text)]
        return {"id": self._item, "type": "message", "role": "assistant", "status": status, "content": content}

    def _part(self, text: str) -> dict[str, Any]:
        return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}

    def _at(self, **more: Any) -> dict[str, Any]:
        return {"item_id": self._item, "output_index": 0, "content_index": 0, **more}

    def _begin(self) -> list[dict[str, Any]]:
        created = self._response("in_progress", [])
        added = {"output_index": 0, "item": self._message("in_progress", None)}
        return [
            {"type": "response.created", "sequence_number": 0, "response": created},
            {"type": "response.in_progress", "sequence_number": 1, "response": created},
            {"type": "response.output_item.added", "sequence_number": 2, **added},
            {"type": "response.content_part.added", "sequence_number": 3, **self._at(part=self._part(""))},
        ]

    def _delta(self) -> dict[str, Any]:
        # The number does not go up, which would cost the upstream more than the gateway looks at it.
        return {"type": "response.output_text.delta", "sequence_number": 4, **self._at(delta=_TEXT, logprobs=[])}

    def _end(self, chunks: int) -> list[dict[str, Any]]:
        usage = {
            "input_tokens": _PROMPT, "input_tokens_details": {"cached_tokens": 0}, "output_tokens": chunks,
            "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": _PROMPT + chunks,
        }  # fmt: skip
        done = self._message("completed", "")
        return [
            {"type": "response.output_item.done", "sequence_number": 5, "output_index": 0, "item": done},
            {
                "type": "response.completed",
                "sequence_number": 6,
                "response": self._response("completed", [done], usage),
            },
        ]


class Gemini(Grammar):
    """Gemini generateContent, which reports usage in every chunk."""

    named = False

    def _chunk(self, text: str, made: int, **more: Any) -> dict[str, Any]:
        part = {"content": {"parts": [{"text": text}], "role": "model"}, **more, "index": 0}
        usage = {"promptTokenCount": _PROMPT, "candidatesTokenCount": made, "totalTokenCount": _PROMPT + made}
        head = {"modelVersion": self._model, "responseId": "BenchXJ4kQ2mV7tR9wLz0"}
        return {"candidates": [part], "usageMetadata": usage, **head}

    def _delta(self) -> dict[str, Any]:
        return self._chunk(_TEXT, 5)

    def _end(self, chunks: int) -> list[dict[str, Any]]:
        return [self._chunk("", chunks, finishReason="STOP")]


GRAMMARS: tuple[tuple[bytes, type[Grammar]], ...] = (
    (b"/messages", Anthropic),
    (b"/responses", Responses),
    (b":streamGenerateContent", Gemini),
)
"""By the end of the path that asks for them."""
