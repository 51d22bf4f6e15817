"""Streams have no character in them at which some reader ends a line that JSON does not."""

from __future__ import annotations

import pytest

from thalweg.canon.errors import UpstreamFailed
from thalweg.canon.events import Event, ResponseFailed
from thalweg.canon.finish import FinishReason
from thalweg.canon.fold import unfold
from thalweg.canon.parts import Part, Reasoning, Text, ToolCall
from thalweg.canon.request import Request
from thalweg.canon.response import Choice, Response
from thalweg.canon.usage import Usage
from thalweg.dialects.kit.separators import escape_separators, has_separators
from thalweg.dialects.registry import DIALECTS

ODD = 'a\u2028b\u2029c\u0085d "é" 深\n'
CLIENTS = ["openai-chat", "openai-responses", "anthropic", "gemini"]
PARTS: tuple[Part, ...] = (
    Reasoning(text=ODD),
    Text(text=ODD),
    ToolCall(id="c", name="f", arguments='{"a\u2028": "\u2029\u0085"}'),
)


@pytest.mark.parametrize("data", [b"", b"a", "é深".encode(), b'"\\u2028"'])
def test_what_has_none_stays(data: bytes) -> None:
    assert not has_separators(data)
    assert escape_separators(data) == data


def test_each_is_escaped() -> None:
    assert has_separators("\u0085".encode())
    assert escape_separators('"\u2028 \u2029 \u0085 é"'.encode()) == b'"\\u2028 \\u2029 \\u0085 \xc3\xa9"'


def stream(client: str, events: list[Event]) -> bytes:
    asked = Request(model="m", messages=(), stream=True, dialect=client)
    encoder = DIALECTS[client].stream_encoder(asked, response_id="r", model="m\u2028", created=1)
    return b"".join(encoder.encode(events))


@pytest.mark.parametrize("client", CLIENTS)
def test_no_stream_has_one(client: str) -> None:
    choice = Choice(index=0, parts=PARTS, finish_reason=FinishReason.TOOL_CALLS)
    answer = Response(response_id="r", model="m", created=1, choices=(choice,), usage=Usage(), complete=True)
    wire = stream(client, unfold(answer))
    assert wire.count(b"\\u2028") >= 3
    assert wire.decode().splitlines() == [line.decode() for line in wire.splitlines()]


@pytest.mark.parametrize("client", CLIENTS)
def test_no_error_has_one(client: str) -> None:
    started = unfold(Response(response_id="r", model="m", created=1, choices=(), usage=None, complete=True))[:1]
    wire = stream(client, [*started, ResponseFailed(error=UpstreamFailed(ODD))])
    assert b"\\u2029" in wire
    assert wire.decode().splitlines() == [line.decode() for line in wire.splitlines()]
