"""One answer, and its bodies in every dialect: written by the dialects themselves, so that a new one is in at once."""

from __future__ import annotations

from msgspec.structs import replace

from thalweg.canon.finish import FinishReason
from thalweg.canon.fold import unfold
from thalweg.canon.parts import Reasoning, Text, ToolCall
from thalweg.canon.request import ReasoningAsk, Request
from thalweg.canon.response import Choice, Response
from thalweg.canon.usage import Usage
from thalweg.dialects.registry import DIALECTS

ANSWER = Response(
    response_id="abc123",
    model="m-1",
    created=1765713048,
    choices=(
        Choice(
            index=0,
            parts=(
                Reasoning(text="I think so."),
                Text(text="深泓 flows."),
                ToolCall(id="call_1", name="add", arguments='{"a":1}'),
                ToolCall(id="call_2", name="add", arguments='{"a":2}'),
            ),
            finish_reason=FinishReason.TOOL_CALLS,
            raw_finish_reason="tool_calls",
        ),
    ),
    usage=Usage(input_tokens=11, output_tokens=7, reasoning_tokens=3),
    complete=True,
)
READ = tuple(DIALECTS)
"""What can be read."""
WRITTEN = tuple(name for name in DIALECTS if name != "dashscope-native")
"""What clients read."""


def asked(*, stream: bool) -> Request:
    return Request(model="m-1", messages=(), stream=stream, reasoning=ReasoningAsk(mode="auto", show="auto"))


def frames(name: str) -> list[bytes]:
    """The answer as a stream."""
    dialect = DIALECTS[name]
    encoder = dialect.stream_encoder(
        asked(stream=True), response_id=dialect.id_prefix + "abc123", model="m-1", created=1765713048
    )
    return encoder.encode(unfold(ANSWER))


def streamed(name: str) -> bytes:
    return b"".join(frames(name))


def whole(name: str) -> bytes:
    """The answer in one piece."""
    dialect = DIALECTS[name]
    named = replace(ANSWER, response_id=dialect.id_prefix + "abc123")
    return dialect.encode_answer(named, asked(stream=False))
