"""Whole answers, and errors before the stream."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.dialects.openai_responses.streams import (
    ALL_ROWS,
    ASKED,
    RESPONSES,
    USAGE,
    answer,
    call,
    completed,
    incomplete,
    message,
    output_text,
    reasoning,
    response,
)
from thalweg.canon.errors import NotFound, RateLimited, UpstreamBroke, UpstreamFailed, UpstreamRefused
from thalweg.canon.finish import FinishReason
from thalweg.canon.parts import Reasoning, Signature, Text, ToolCall
from thalweg.canon.response import Response


def read(tree: Any) -> Response:
    body = tree if isinstance(tree, bytes) else json.dumps(tree).encode()
    return RESPONSES.decode_answer(body, profile=ALL_ROWS, provider="acme")


ANSWERS = {
    "text": completed(message(output_text("Hi"))),
    "everything": completed(
        reasoning(summary=[{"type": "summary_text", "text": "a"}], encrypted_content="X"),
        message(output_text("Hi", logprobs=[{"token": "Hi", "logprob": -1.0}]), {"type": "refusal", "refusal": "n"}),
        call(arguments="{}"),
        {"id": "ct", "type": "custom_tool_call", "call_id": "c", "name": "g", "input": "SELECT"},
        {"id": "ws", "type": "web_search_call", "status": "completed"},
    ),
    "nothing": completed(),
    "cut": incomplete("max_output_tokens", message(output_text("Hi"))),
    "filtered": incomplete("content_filter"),
    "without usage": completed(message(output_text("Hi")), usage=None),
    "with floats": completed(message(output_text("Hi")), created_at=1700000000.5),
}


@pytest.mark.parametrize("case", ANSWERS)
def test_a_whole_answer_is_what_its_stream_folds_to(case: str) -> None:
    whole = read(ANSWERS[case]["response"])
    streamed = answer(ANSWERS[case], begun=False)
    assert whole.choices == streamed.choices
    assert (whole.response_id, whole.model, whole.created) == ("resp_1", "m-1", 1700000000)
    assert (whole.usage, whole.complete) == (streamed.usage, streamed.complete)


@pytest.mark.parametrize("case", ANSWERS)
def test_a_whole_answer_written_anew_reads_the_same(case: str) -> None:
    whole = read(ANSWERS[case]["response"])
    again = read(RESPONSES.encode_answer(whole, ASKED))
    parts = [
        [part if not isinstance(part, Text) else part.text for part in one.choices[0].parts] for one in (whole, again)
    ]
    assert parts[0] == parts[1]
    assert again.choices[0].finish_reason is whole.choices[0].finish_reason
    assert (again.response_id, again.model, again.created) == ("resp_1", "m-1", 1700000000)


def test_both_thoughts_and_summary_are_said_once() -> None:
    both = reasoning(
        content=[{"type": "reasoning_text", "text": "hm"}], summary=[{"type": "summary_text", "text": "hm"}]
    )
    assert read(response("completed", output=[both])).choices[0].parts == (Reasoning(text="hm"),)


def test_a_call_without_an_id_gets_one() -> None:
    nameless = {"type": "function_call", "name": "f", "arguments": "{}"}
    ids = {
        part.id
        for part in read(response("completed", output=[nameless, nameless])).choices[0].parts
        if isinstance(part, ToolCall)
    }
    assert len(ids) == 2
    assert "" not in ids


def test_the_cipher_s_item_keeps_its_name() -> None:
    (part,) = read(response("completed", output=[reasoning(7, encrypted_content="X")])).choices[0].parts
    assert part == Reasoning(
        form="hidden", signature=Signature(vendor="openai", model="m-1", kind="encrypted", data="X", item_id="it_7")
    )


@pytest.mark.parametrize("status", ["queued", "in_progress"])
def test_an_answer_that_is_still_being_made(status: str) -> None:
    found = read(response(status))
    assert not found.complete
    assert found.choices[0].finish_reason is None


FAILED = [
    response("failed", error={"code": "server_error", "message": "It fell over."}),
    {"error": {"message": "It fell over.", "type": "t", "code": "server_error", "param": None}},
    response("completed", error={"code": "server_error", "message": "It fell over."}),
]


@pytest.mark.parametrize("tree", FAILED)
def test_a_failed_answer_raises(tree: Any) -> None:
    with pytest.raises(UpstreamFailed) as caught:
        read(tree)
    assert (caught.value.message, caught.value.code) == ("It fell over.", "server_error")


def test_a_cancelled_answer_raises() -> None:
    with pytest.raises(UpstreamFailed, match="cancelled"):
        read(response("cancelled"))


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"5", b"{}", b'{"choices":[]}', b'{"x":"\xff"}', b"[" * 5000])
def test_what_is_no_answer_raises(body: bytes) -> None:
    with pytest.raises(UpstreamBroke):
        read(body)


def test_what_was_said_of_usage() -> None:
    watch = RESPONSES_WATCH(
        json.dumps(response("completed", usage=USAGE, output=[message(output_text("é!"))])).encode()
    )
    assert watch.raw_usage == USAGE
    assert (watch.narrow_chars, watch.wide_chars, watch.finishes) == (1, 1, {0: "completed"})


def RESPONSES_WATCH(body: bytes) -> Any:  # noqa: N802  # it stands for a method of the dialect
    from thalweg.dialects.base import watch_answer

    return watch_answer(RESPONSES, body, profile=ALL_ROWS)


def test_an_empty_answer_can_be_written() -> None:
    empty = Response(response_id="r", model="m", created=None, choices=(), usage=None)
    wire = json.loads(RESPONSES.encode_answer(empty, ASKED))
    assert (wire["status"], wire["output"], wire["created_at"]) == ("completed", [], 0)
    assert read(wire).choices[0].finish_reason is FinishReason.STOP


# Errors before the stream.


def test_an_upstream_s_error_keeps_its_words_and_its_status() -> None:
    body = json.dumps({"error": {"message": "m", "type": "t", "param": "input", "code": "c"}}).encode()
    error = RESPONSES.decode_error(400, [], body, provider="acme", key_name="K")
    assert isinstance(error, UpstreamRefused)
    wire = RESPONSES.encode_error(error)
    assert wire.status == 400
    assert json.loads(wire.body) == {"error": {"message": "m", "type": "t", "param": "input", "code": "c"}}


def test_our_own_errors_are_in_openai_s_words() -> None:
    wire = RESPONSES.encode_error(NotFound("No such model."))
    assert wire.status == 404
    assert json.loads(wire.body)["error"]["code"] == "model_not_found"
    limited = RateLimited("Too much.")
    limited.retry_after_s = 3
    assert (b"retry-after", b"3") in RESPONSES.encode_error(limited).headers
