"""Whole Anthropic answers, both ways."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.dialects.anthropic_messages.streams import ANTHROPIC, ASKED, PLAIN
from thalweg.canon.errors import UpstreamBroke, UpstreamFailed
from thalweg.canon.finish import FinishReason
from thalweg.canon.parts import Citation, Opaque, Reasoning, Signature, Text, ToolCall
from thalweg.canon.response import Choice, Response
from thalweg.canon.usage import Usage

SIGNED = Signature(vendor="anthropic", model="claude-1", kind="signature", data="c2ln")
WIRE: dict[str, Any] = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-1",
    "content": [
        {"type": "thinking", "thinking": "hm", "signature": "c2ln"},
        {"type": "redacted_thinking", "data": "ZGF0"},
        {"type": "text", "text": "a", "citations": [{"type": "web_search_result_location", "url": "https://e.com"}]},
        {"type": "server_tool_use", "id": "srvtoolu_1", "name": "n", "input": {"q": 1}},
        {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"b": [1, {"c": None}]}},
        {"type": "tool_use", "id": "toolu_2", "name": "g", "input": {}},
    ],
    "stop_reason": "tool_use",
    "stop_sequence": None,
    "usage": {
        "input_tokens": 3,
        "cache_creation_input_tokens": 4,
        "cache_read_input_tokens": 5,
        "output_tokens": 6,
        "service_tier": "standard",
    },
}


def decode(wire: Any) -> Response:
    body = wire if isinstance(wire, bytes) else json.dumps(wire).encode()
    return ANTHROPIC.decode_answer(body, profile=PLAIN, provider="acme")


def test_a_whole_answer() -> None:
    read = decode(WIRE)
    assert read == Response(
        response_id="msg_1",
        model="claude-1",
        created=None,
        choices=(
            Choice(
                index=0,
                parts=(
                    Reasoning(text="hm", form="summary", signature=SIGNED),
                    Reasoning(
                        form="hidden",
                        redacted=True,
                        signature=Signature(vendor="anthropic", model="claude-1", kind="redacted", data="ZGF0"),
                    ),
                    Text(text="a", citations=(Citation(url="https://e.com"),)),
                    Opaque(dialect="anthropic", raw=WIRE["content"][3]),
                    ToolCall(id="toolu_1", name="f", arguments='{"b":[1,{"c":null}]}'),
                    ToolCall(id="toolu_2", name="g", arguments="{}"),
                ),
                finish_reason=FinishReason.TOOL_CALLS,
                raw_finish_reason="tool_use",
            ),
        ),
        usage=Usage(input_tokens=12, cached_input_tokens=5, cache_write_tokens=4, output_tokens=6),
        raw_usage=WIRE["usage"],
        complete=True,
    )


def test_a_whole_answer_for_a_client() -> None:
    written = json.loads(ANTHROPIC.encode_answer(decode(WIRE), ASKED))
    usage = {name: value for name, value in WIRE["usage"].items() if name != "service_tier"}
    citation = WIRE["content"][2]["citations"][0] | {"title": None, "cited_text": "", "encrypted_index": "gw1."}
    content = [*WIRE["content"][:2], {"type": "text", "text": "a", "citations": [citation]}, *WIRE["content"][3:]]
    assert written == WIRE | {"usage": usage, "content": content}


def test_an_answer_of_nothing() -> None:
    empty = Response(response_id="msg_1", model="m", created=None, choices=(), usage=None, complete=True)
    assert json.loads(ANTHROPIC.encode_answer(empty, ASKED)) == {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": [],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {
            "input_tokens": 0,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "output_tokens": 0,
        },
    }


@pytest.mark.parametrize(
    "change",
    [{"stop_reason": None}, {"usage": None}, {"id": None}, {"model": 5}, {"content": []}, {"content": ["x", None]}],
)
def test_what_is_missing_is_borne(change: dict[str, Any]) -> None:
    assert decode(WIRE | change).complete


@pytest.mark.parametrize(
    ("wire", "message", "kind"),
    [
        ({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}, "Overloaded", "overloaded"),
        ({"error": {"message": "oops"}}, "oops", "upstream_error"),
        ({"error": "oops"}, "oops", "upstream_error"),
        ({"message": "oops"}, "oops", "upstream_error"),
        ({"detail": "oops"}, "oops", "upstream_error"),
    ],
)
def test_an_error_in_a_good_status(wire: Any, message: str, kind: str) -> None:
    with pytest.raises(UpstreamFailed) as caught:
        decode(wire)
    assert (caught.value.message, caught.value.kind, caught.value.provider) == (message, kind, "acme")
    assert ANTHROPIC.decode_error(529, [], json.dumps(wire).encode(), provider="acme", key_name="K").message == message


@pytest.mark.parametrize("wire", [b"", b"{", b"<html>", b"[]", b"5", b"{}", b'{"content":"x"}', b'{"x":"\xff"}'])
def test_what_is_no_answer(wire: bytes) -> None:
    with pytest.raises(UpstreamBroke, match="acme"):
        decode(wire)


def test_white_space_ahead_of_a_slow_answer_is_borne() -> None:
    assert decode(b"\n \n" + json.dumps(WIRE).encode()).complete
