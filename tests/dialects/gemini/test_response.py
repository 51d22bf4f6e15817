"""Whole answers, both ways."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.dialects.gemini.streams import GEMINI, HEAD, PROFILE, USAGE, asking, call, chunk, read_strictly, thought
from thalweg.canon.errors import UpstreamBroke, UpstreamFailed
from thalweg.canon.finish import FinishReason
from thalweg.canon.parts import Citation, Part, Reasoning, Signature, Text, ToolCall
from thalweg.canon.response import Choice, Response
from thalweg.canon.usage import Usage

OWN = Signature(vendor="google", model="gemini-3-flash", kind="thought", data="AAEC")


def decode(value: Any) -> Response:
    return GEMINI.decode_answer(json.dumps(value, indent=1).encode(), profile=PROFILE, provider="acme")


def test_an_answer_is_a_chunk() -> None:
    response = decode(chunk(thought("t"), "a", call(args={"x": 1}, id="c"), finish="STOP", usageMetadata=USAGE))
    assert response.response_id == "r-1"
    assert response.choices == (
        Choice(
            index=0,
            parts=(
                Reasoning(text="t", form="summary"),
                Text(text="a"),
                ToolCall(id="c", name="f", arguments='{"x":1}'),
            ),
            finish_reason=FinishReason.TOOL_CALLS,
            raw_finish_reason="STOP",
        ),
    )
    assert response.usage == Usage(input_tokens=3, output_tokens=5)
    assert response.complete


def test_an_answer_need_not_say_why_it_ended() -> None:
    (choice,) = decode(chunk("a")).choices
    assert (choice.finish_reason, choice.raw_finish_reason) == (FinishReason.UNKNOWN, None)


def test_content_may_be_missing() -> None:
    for content in ({}, {"content": None}, {"content": {}}, {"content": {"parts": []}}, {"content": {"role": "model"}}):
        (choice,) = decode({"candidates": [content | {"finishReason": "MAX_TOKENS"}]}).choices
        assert (choice.parts, choice.finish_reason) == ((), FinishReason.LENGTH)


def test_an_answer_in_an_array_is_one() -> None:
    assert decode([chunk("a", finish="STOP")]).choices[0].parts == (Text(text="a"),)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"x",
        b"{}",
        b"[]",
        b"5",
        b'{"candidates":5}',
        b'{"usageMetadata":{"totalTokenCount":1}}',
        b"\xff",
        b'{"a":' + b"[" * 5000,
    ],
)
def test_what_is_no_answer(body: bytes) -> None:
    with pytest.raises(UpstreamBroke) as caught:
        GEMINI.decode_answer(body, profile=PROFILE, provider="acme")
    assert "acme" in str(caught.value)


def test_a_call_that_was_none() -> None:
    with pytest.raises(UpstreamFailed):
        decode(chunk(finish="MALFORMED_FUNCTION_CALL"))


# Writing.


def encode(*parts: Part, shown: bool = True, **more: Any) -> dict[str, Any]:
    choice = Choice(**({"index": 0, "parts": parts, "finish_reason": FinishReason.STOP} | more))
    answer = Response(
        response_id="r-1", model="gemini-3-flash", created=1, choices=(choice,), usage=None, complete=True
    )
    body = GEMINI.encode_answer(answer, asking(shown=shown))
    read_strictly(b"data: " + body, ours=True)
    return json.loads(body)


def parts_of(*parts: Part, **more: Any) -> list[Any]:
    return encode(*parts, **more)["candidates"][0]["content"]["parts"]


def test_a_whole_answer() -> None:
    assert (
        encode(Text(text="a"))
        == {
            "candidates": [{"content": {"parts": [{"text": "a"}], "role": "model"}, "finishReason": "STOP", "index": 0}]
        }
        | HEAD
    )


def test_an_empty_answer_has_a_part() -> None:
    assert parts_of() == [{"text": ""}]


def test_signatures_stand_on_their_parts() -> None:
    parts = (
        Reasoning(text="t", signature=OWN),
        Text(text="a", signature=OWN),
        ToolCall(id="c", name="f", arguments="{}", signature=OWN),
    )
    assert [part["thoughtSignature"] for part in parts_of(*parts)] == ["AAEC"] * 3
    assert parts_of(*parts)[0] == {"text": "t", "thought": True, "thoughtSignature": "AAEC"}


def test_thoughts_that_nobody_asked_for_are_not_shown() -> None:
    assert parts_of(Reasoning(text="t"), Text(text="a"), shown=False) == [{"text": "a"}]
    assert parts_of(Reasoning(text="t", signature=OWN), shown=False) == [{"text": "", "thoughtSignature": "AAEC"}]


def test_a_call_that_the_limit_cut_is_dropped() -> None:
    cut = ToolCall(id="c", name="f", arguments='{"a')
    assert parts_of(Text(text="x"), cut, finish_reason=FinishReason.LENGTH) == [{"text": "x"}]
    assert parts_of(cut)[0]["functionCall"]["args"] == {"_raw": '{"a'}


def test_sources_and_their_places() -> None:
    cited = Text(text="abc", citations=(Citation(url="u", start=0, end=1),))
    candidate = encode(cited)["candidates"][0]
    assert candidate["groundingMetadata"]["groundingSupports"][0]["segment"] == {"startIndex": 0, "endIndex": 1}
    candidate = encode(Text(text="x"), cited, cited)["candidates"][0]
    assert candidate["groundingMetadata"] == {"groundingChunks": [{"web": {"uri": "u"}}]}
