"""Whole answers, both ways."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec.structs import replace

from tests.dialects.dashscope_native.streams import DASH, ID, USAGE, call, said, texts
from tests.dialects.dashscope_native.test_stream import ASKED, FULL, INCREMENTS, LIST
from thalweg.canon.errors import UpstreamBroke, UpstreamFailed
from thalweg.canon.finish import FinishReason
from thalweg.canon.parts import Citation, Opaque, Reasoning, Text, ToolCall
from thalweg.canon.response import Response
from thalweg.canon.usage import Usage
from thalweg.profiles.providers import COMPATIBLE


def decode(value: Any) -> Response:
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    return DASH.decode_answer(body, profile=COMPATIBLE, provider="acme")


@pytest.mark.parametrize(
    ("value", "parts", "reason", "raw"),
    [
        pytest.param(texts("hi", finish="stop"), [Text(text="hi")], FinishReason.STOP, "stop", id="the text form"),
        pytest.param(
            {"output": {"text": "hi"}, "request_id": ID}, [Text(text="hi")], FinishReason.UNKNOWN, None, id="no reason"
        ),
        pytest.param(
            said([{"text": "a"}, {"text": "b"}], finish="length", reasoning_content="hm"),
            [Reasoning(text="hm"), Text(text="ab")],
            FinishReason.LENGTH,
            "length",
            id="the message form, content a list",
        ),
        pytest.param(
            said("", finish="stop", tool_calls=[call(0, "c", '{"a":1}', "f"), call(1, "d", "", "g")]),
            [ToolCall(id="c", name="f", arguments='{"a":1}'), ToolCall(id="d", name="g", arguments="")],
            FinishReason.TOOL_CALLS,
            "stop",
            id="forced calls",
        ),
        pytest.param(
            {"output": {"text": "a", "finish_reason": "stop", "session_id": "s", "thoughts": [{"action": "rag"}]}},
            [Text(text="a")],
            FinishReason.STOP,
            "stop",
            id="an application",
        ),
    ],
)
def test_an_answer_is_read(value: Any, parts: list[Any], reason: FinishReason, raw: str | None) -> None:
    read = decode(value)
    (choice,) = read.choices
    assert (list(choice.parts), choice.finish_reason, choice.raw_finish_reason) == (parts, reason, raw)
    assert read.complete


def test_an_application_reports_its_models_and_they_are_added_up() -> None:
    usage = {"models": [{"input_tokens": 3, "output_tokens": 4}, {"input_tokens": 5, "output_tokens": 6}]}
    read = decode(texts("a", finish="stop", usage=usage))
    assert read.usage == Usage(input_tokens=8, output_tokens=10)
    assert read.raw_usage == usage


def test_every_count_has_its_place() -> None:
    usage = USAGE | {
        "input_tokens": 90,
        "output_tokens": 50,
        "output_tokens_details": {"reasoning_tokens": 20, "text_tokens": 30},
        "input_tokens_details": {"audio_tokens": 7, "text_tokens": 83},
        "prompt_tokens_details": {"cached_tokens": 40, "cache_creation_input_tokens": 2},
    }
    assert decode(said("a", finish="stop", usage=usage)).usage == Usage(
        input_tokens=90,
        cached_input_tokens=40,
        cache_write_tokens=2,
        audio_input_tokens=7,
        output_tokens=50,
        reasoning_tokens=20,
    )


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"{}", b'{"output":{}}', b'{"output":null,"code":""}', b"\xff"])
def test_what_is_no_answer_breaks(body: bytes) -> None:
    with pytest.raises(UpstreamBroke):
        decode(body)


@pytest.mark.parametrize("extra", [{}, {"output": {"choices": []}}])
def test_a_code_in_a_good_status_is_an_error(extra: dict[str, Any]) -> None:
    with pytest.raises(UpstreamFailed, match="too much") as caught:
        decode({"code": "Throttling", "message": "too much", "request_id": ID} | extra)
    assert caught.value.code == "Throttling"


@pytest.mark.parametrize("asked", [INCREMENTS, LIST, replace(ASKED, dialect="gemini")])
def test_what_is_written_reads_the_same(asked: Any) -> None:
    read = decode(DASH.encode_answer(FULL, asked))
    assert replace(read, raw_usage=None) == FULL


def test_what_only_this_dialect_knows_is_written_as_it_was() -> None:
    own = (
        Text(text="a", citations=(Citation(url="https://a.example/", title="T"),)),
        Opaque(dialect="dashscope-native", raw={"content": {"image": "https://a.example/x.png"}}),
        Opaque(dialect="dashscope-native", raw={"tool_info": [{"type": "x"}]}),
        Opaque(dialect="gemini", raw={"x": 1}),
    )
    whole = replace(FULL, choices=(replace(FULL.choices[0], parts=own, finish_reason=FinishReason.STOP),))
    wire = json.loads(DASH.encode_answer(whole, LIST))
    assert wire["output"]["choices"][0]["message"] == {
        "role": "assistant",
        "content": [{"text": "a"}, {"image": "https://a.example/x.png"}],
    }
    assert wire["output"]["tool_info"] == [{"type": "x"}]
    assert wire["output"]["search_info"]["search_results"] == [{"index": 1, "title": "T", "url": "https://a.example/"}]


def test_the_text_form_is_text_alone() -> None:
    wire = json.loads(DASH.encode_answer(FULL, ASKED))
    assert wire["output"].keys() == {"finish_reason", "text", "search_info"}
    assert wire["output"]["text"] == "a b"
    assert wire["request_id"] == ID
