"""Events to Responses streams, as the strictest reader reads them; whole answers say the same."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec.structs import replace

from tests.dialects.openai_responses.streams import ASKED, RESPONSES, decode, encode, read_strictly
from thalweg.canon.envelope import unwrap
from thalweg.canon.errors import UpstreamBroke, UpstreamFailed
from thalweg.canon.events import (
    ChoiceFinished,
    Event,
    PartDelta,
    PartEnded,
    PartStarted,
    Pinged,
    ResponseEnded,
    ResponseFailed,
    ResponseStarted,
    UsageReported,
)
from thalweg.canon.finish import FinishReason
from thalweg.canon.fold import fold, unfold
from thalweg.canon.parts import Citation, Media, Opaque, Part, Reasoning, Refusal, Signature, Text, ToolCall
from thalweg.canon.request import OutputFormat, ReasoningAsk, Request, Sampling
from thalweg.canon.response import Choice, Response
from thalweg.canon.usage import Usage
from thalweg.dialects.openai_responses import encoder

GOOGLE = Signature(vendor="google", model="g", kind="thought", data="R2=")
OWN = Signature(vendor="openai", model="own", kind="encrypted", data="X", item_id="rs_1")


def answered(*parts: Part, reason: FinishReason = FinishReason.STOP, **more: Any) -> Response:
    choice = Choice(index=0, parts=parts, finish_reason=reason)
    return Response(response_id="r", model="m", created=1, choices=(choice,), usage=Usage(), complete=True, **more)


def streamed(*parts: Part, reason: FinishReason = FinishReason.STOP, asked: Request = ASKED) -> bytes:
    return encode(unfold(answered(*parts, reason=reason)), asked)


Shape = list[tuple[str, Any]]

ITEMS: dict[str, tuple[list[Part], Shape]] = {
    "text": ([Text(text="Hi")], [("message", ["Hi"])]),
    "texts in a row are one message": ([Text(text="a"), Text(text="b")], [("message", ["a", "b"])]),
    "a refusal": ([Refusal(text="No.")], [("message", ["No."])]),
    "text and a refusal": ([Text(text="a"), Refusal(text="No.")], [("message", ["a", "No."])]),
    "thoughts": ([Reasoning(text="hm")], [("reasoning", ["hm"])]),
    "a summary": ([Reasoning(text="hm", form="summary")], [("reasoning", ["hm"])]),
    "a call": ([ToolCall(id="c", name="f", arguments='{"a":1}')], [("function_call", '{"a":1}')]),
    "a call without arguments": ([ToolCall(id="c", name="f", arguments="")], [("function_call", "{}")]),
    "a call of the old kind": ([ToolCall(id="c", name="f", arguments="{}", kind="legacy")], [("function_call", "{}")]),
    "free text": ([ToolCall(id="c", name="f", arguments="a", kind="custom")], [("custom_tool_call", "a")]),
    "no free text": ([ToolCall(id="c", name="f", arguments="", kind="custom")], [("custom_tool_call", "")]),
    "everything in order": (
        [Reasoning(text="hm"), Text(text="a"), ToolCall(id="c", name="f", arguments="{}"), Text(text="b")],
        [("reasoning", ["hm"]), ("message", ["a"]), ("function_call", "{}"), ("message", ["b"])],
    ),
    "what is our own passes": (
        [Opaque(dialect="openai-responses", raw={"type": "web_search_call", "id": "ws"})],
        [("web_search_call", None)],
    ),
    "what is another dialect's does not": ([Opaque(dialect="gemini", raw={"type": "x"}), Text(text="a")],
        [("message", ["a"])],
    ),
    "pictures have no place": ([Media(kind="image", mime="image/png", data="AAAA"), Text(text="a")], [("message", ["a"])]),
    "nothing": ([], []),
}  # fmt: skip


def shape(item: dict[str, Any]) -> tuple[str, Any]:
    said = item.get("arguments", item.get("input"))
    if "content" in item or "summary" in item:
        content = [*item.get("summary", ()), *item.get("content", ())]
        said = [part.get("text", part.get("refusal")) for part in content]
    return item["type"], said


@pytest.mark.parametrize("case", ITEMS)
def test_items(case: str) -> None:
    parts, shapes = ITEMS[case]
    read = read_strictly(streamed(*parts))
    assert read.status == "completed"
    assert read.last is not None
    assert [shape(item) for item in read.last["output"]] == shapes


@pytest.mark.parametrize("case", ITEMS)
def test_a_whole_answer_says_what_the_stream_says(case: str) -> None:
    parts, shapes = ITEMS[case]
    whole = json.loads(RESPONSES.encode_answer(answered(*parts), ASKED))
    assert [shape(item) for item in whole["output"]] == shapes
    last = read_strictly(streamed(*parts)).last
    assert last is not None
    assert {**whole, "output": [], "id": "", "model": "", "created_at": 0} == {
        **last, "output": [], "id": "", "model": "", "created_at": 0
    }  # fmt: skip


@pytest.mark.parametrize(
    ("form", "show", "field"),
    [
        ("raw", "default", "content"),
        ("summary", "default", "summary"),
        ("raw", "summary", "summary"),
        ("raw", "auto", "summary"),
        ("raw", "none", "content"),
    ],
)
def test_who_asks_for_summaries_is_told_thoughts_as_one(form: Any, show: Any, field: str) -> None:
    asked = replace(ASKED, reasoning=ReasoningAsk(show=show))
    parts = [Reasoning(text="hm", form=form), Text(text="a")]
    wire = streamed(*parts, asked=asked)
    last = read_strictly(wire).last
    assert last is not None
    whole = json.loads(RESPONSES.encode_answer(answered(*parts), asked))
    for item in (last["output"][0], whole["output"][0]):
        assert [text["text"] for text in item.get(field, ())] == ["hm"]
        assert (len(item["summary"]), "content" in item) == ((1, False) if field == "summary" else (0, True))
    assert (b"reasoning_summary_text.delta" in wire) is (field == "summary")
    assert (b"response.reasoning_text.delta" in wire) is (field == "content")


@pytest.mark.parametrize(("target", "summary"), [(b"/api/v3/responses", True), (b"/v1/responses", False), (b"", False)])
def test_ark_s_clients_are_told_thoughts_as_a_summary_unasked(target: bytes, summary: bool) -> None:
    asked = RESPONSES.read_request(b'{"model":"m","input":"?"}', target).canon()
    parts = [Reasoning(text="hm"), Text(text="a")]
    wire = streamed(*parts, asked=asked)
    last = read_strictly(wire).last
    assert last is not None
    whole = json.loads(RESPONSES.encode_answer(answered(*parts), asked))
    for item in (last["output"][0], whole["output"][0]):
        assert (len(item["summary"]), "content" in item) == ((1, False) if summary else (0, True))
    assert (b'"reasoning_text"' not in wire) is summary
    assert last["reasoning"].get("summary") is None


def test_an_item_that_was_cut_says_so() -> None:
    for parts in ([Text(text="a")], [Text(text="a"), ToolCall(id="c", name="f", arguments='{"a')]):
        for last in (
            read_strictly(streamed(*parts, reason=FinishReason.LENGTH)).last,
            json.loads(RESPONSES.encode_answer(answered(*parts, reason=FinishReason.LENGTH), ASKED)),
        ):
            assert last is not None
            assert [item["status"] for item in last["output"]] == ["completed"] * (len(parts) - 1) + ["incomplete"]


STATUSES = {
    FinishReason.STOP: ("completed", None),
    FinishReason.STOP_SEQUENCE: ("completed", None),
    FinishReason.TOOL_CALLS: ("completed", None),
    FinishReason.LENGTH: ("incomplete", {"reason": "max_output_tokens"}),
    FinishReason.CONTEXT_OVERFLOW: ("incomplete", {"reason": "max_output_tokens"}),
    FinishReason.CONTENT_FILTER: ("incomplete", {"reason": "content_filter"}),
    FinishReason.REFUSAL: ("incomplete", {"reason": "content_filter"}),
    FinishReason.PAUSE: ("completed", None),
    FinishReason.MALFORMED_CALL: ("completed", None),
    FinishReason.UNKNOWN: ("completed", None),
}


@pytest.mark.parametrize("reason", FinishReason)
def test_statuses(reason: FinishReason) -> None:
    read = read_strictly(streamed(Text(text="a"), reason=reason))
    assert read.last is not None
    assert (read.status, read.last["incomplete_details"]) == STATUSES[reason]
    whole = json.loads(RESPONSES.encode_answer(answered(Text(text="a"), reason=reason), ASKED))
    assert (whole["status"], whole["incomplete_details"]) == STATUSES[reason]


def test_a_refusal_in_words_of_its_own_is_a_whole_answer() -> None:
    last = read_strictly(streamed(Refusal(text="no"), reason=FinishReason.REFUSAL)).last
    assert last is not None
    whole = json.loads(RESPONSES.encode_answer(answered(Refusal(text="no"), reason=FinishReason.REFUSAL), ASKED))
    assert (last["status"], whole["status"]) == ("completed", "completed")


def test_of_several_choices_it_is_the_first() -> None:
    events = unfold(answered(Text(text="first")))
    other = [
        PartStarted(index=1, kind="text", choice=1),
        PartDelta(index=1, text="second", choice=1),
        PartEnded(index=1, choice=1),
        ChoiceFinished(reason=FinishReason.LENGTH, choice=1),
    ]
    mixed = [*events[:2], other[0], events[2], *other[1:], *events[3:]]
    encoder_ = RESPONSES.stream_encoder(ASKED, response_id="r", model="m", created=1)
    read = read_strictly(b"".join(encoder_.encode(mixed)))
    assert read.last is not None
    assert read.status == "completed"
    assert [part["text"] for item in read.last["output"] for part in item["content"]] == ["first"]


def test_a_delta_leaves_as_one_frame_at_once() -> None:
    encoder_ = RESPONSES.stream_encoder(ASKED, response_id="r", model="m", created=1)
    encoder_.encode([ResponseStarted(response_id="", model=""), PartStarted(index=0, kind="text")])
    (frame,) = encoder_.encode([PartDelta(index=0, text="Hi\u2028")])
    head, _, data = frame.partition(b"\n")
    assert head == b"event: response.output_text.delta"
    assert json.loads(data[6:])["delta"] == "Hi\u2028"


# Signatures.


def test_a_foreign_signature_lies_in_an_envelope() -> None:
    read = read_strictly(streamed(Reasoning(text="hm", signature=GOOGLE), Text(text="a")))
    assert read.last is not None
    assert unwrap(read.last["output"][0]["encrypted_content"]) == (GOOGLE, "")


def test_our_vendor_s_cipher_passes_as_it_is_where_its_id_can_go_with_it() -> None:
    whole = json.loads(RESPONSES.encode_answer(answered(Reasoning(form="hidden", signature=OWN)), ASKED))
    assert (whole["output"][0]["id"], whole["output"][0]["encrypted_content"]) == ("rs_1", "X")
    # In a stream the id is said before the cipher is known.
    read = read_strictly(streamed(Reasoning(form="hidden", signature=OWN)))
    assert read.last is not None
    assert unwrap(read.last["output"][0]["encrypted_content"]) == (OWN, "")


@pytest.mark.parametrize(
    "part",
    [Text(text="a", signature=GOOGLE), ToolCall(id="c", name="f", arguments="{}", signature=GOOGLE)],
    ids=["text", "call"],
)
def test_the_signature_of_a_part_that_has_no_place_for_one_follows_it(part: Part) -> None:
    for output in (
        (read_strictly(streamed(part, Text(text="b"))).last or {})["output"],
        json.loads(RESPONSES.encode_answer(answered(part, Text(text="b")), ASKED))["output"],
    ):
        assert [item["type"] for item in output[1:]] == ["reasoning", "message"]
        assert unwrap(output[1]["encrypted_content"]) == (GOOGLE, "previous")
        asked = json.dumps({"model": "m", "input": [*output, {"role": "user", "content": "?"}]}).encode()
        said = RESPONSES.read_request(asked).canon().messages[0].parts
        assert said == (part, Text(text="b"))


# What the request said is repeated.


def test_the_response_repeats_what_was_asked() -> None:
    fields = {
        "instructions": "Be brief.",
        "tools": [{"type": "function", "name": "f", "parameters": {}, "strict": True}],
        "tool_choice": {"type": "function", "name": "f"},
        "metadata": {"a": "b"},
        "truncation": "auto",
        "prompt_cache_key": "k",
        "max_output_tokens": 5,
        "temperature": 0.5,
        "top_p": 0.9,
        "parallel_tool_calls": False,
        "user": "u",
        "service_tier": "flex",
    }
    asked = RESPONSES.read_request(json.dumps({"model": "m", "input": "?"} | fields).encode()).canon()
    read = read_strictly(streamed(Text(text="a"), asked=asked))
    assert read.last is not None
    assert {name: read.last[name] for name in fields} == fields


def test_no_enumeration_is_null() -> None:
    """Of ark-go's enumerations: it fails at the first event that has one."""
    body = json.dumps({"model": "m", "input": "?", "reasoning": {"effort": None, "summary": None}, "text": None,
                       "service_tier": None, "truncation": None, "tool_choice": None}).encode()  # fmt: skip
    read = read_strictly(streamed(Text(text="a"), asked=RESPONSES.read_request(body).canon()))
    assert read.last is not None
    assert read.last["reasoning"] == {}
    assert read.last["text"] == {"format": {"type": "text"}}
    assert "service_tier" not in read.last
    assert read.last["truncation"] == "disabled"
    assert read.last["tool_choice"] == "auto"


def test_a_request_that_came_in_another_dialect_is_repeated_as_far_as_it_is_known() -> None:
    asked = Request(
        model="m",
        messages=(),
        sampling=Sampling(max_tokens=3, top_logprobs=2),
        reasoning=ReasoningAsk(mode="off", show="summary"),
        output=OutputFormat(format="json_schema", name="n", schema={"type": "object"}, strict=True, verbosity="low"),
    )
    last = read_strictly(streamed(Text(text="a"), asked=asked)).last
    assert last is not None
    assert last["reasoning"] == {"effort": "none", "summary": "auto"}
    shape_ = {"type": "json_schema", "name": "n", "schema": {"type": "object"}, "strict": True}
    assert last["text"] == {"format": shape_, "verbosity": "low"}
    assert (last["max_output_tokens"], last["top_logprobs"]) == (3, 2)


# Usage, citations, logprobs.


def test_usage_has_every_field() -> None:
    events: list[Event] = [
        ResponseStarted(response_id="r", model="m"),
        ChoiceFinished(reason=FinishReason.STOP),
        UsageReported(usage=Usage(input_tokens=9, cached_input_tokens=4, output_tokens=5, reasoning_tokens=2)),
        ResponseEnded(),
    ]
    last = read_strictly(encode(events)).last
    assert last is not None
    assert last["usage"] == {
        "input_tokens": 9,
        "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 0},
        "output_tokens": 5,
        "output_tokens_details": {"reasoning_tokens": 2},
        "total_tokens": 14,
    }


def test_a_citation_has_every_field() -> None:
    body = streamed(Text(text="abc", citations=(Citation(url="u"), Citation(url="v", title="t", start=1, end=2))))
    read = read_strictly(body)
    assert read.last is not None
    annotations = read.last["output"][0]["content"][0]["annotations"]
    assert annotations == [
        {"type": "url_citation", "start_index": 0, "end_index": 3, "url": "u", "title": ""},
        {"type": "url_citation", "start_index": 1, "end_index": 2, "url": "v", "title": "t"},
    ]
    assert read.kinds.count("response.output_text.annotation.added") == 2


def test_logprobs_have_every_field() -> None:
    tokens = {"content": [{"token": "é", "logprob": -1.0, "top_logprobs": [{"token": "e", "logprob": -2.0}]}]}
    events: list[Event] = [
        ResponseStarted(response_id="r", model="m"),
        PartStarted(index=0, kind="text"),
        PartDelta(index=0, text="é", logprobs=tokens),
        PartEnded(index=0),
        ChoiceFinished(reason=FinishReason.STOP),
        ResponseEnded(),
    ]
    told = [
        {
            "token": "é",
            "logprob": -1.0,
            "bytes": [195, 169],
            "top_logprobs": [{"token": "e", "logprob": -2.0, "bytes": [101]}],
        }
    ]
    body = encode(events)
    last = read_strictly(body).last
    assert last is not None
    assert last["output"][0]["content"][0]["logprobs"] == told
    assert fold(decode(body)).choices[0].logprobs == {"content": told}
    whole = json.loads(RESPONSES.encode_answer(fold(events), ASKED))
    assert whole["output"][0]["content"][0]["logprobs"] == told


# Ends.


def test_an_error_ends_the_stream() -> None:
    error = UpstreamFailed("It fell over.", provider="acme", code="boom", provider_type="server_error")
    events: list[Event] = [
        ResponseStarted(response_id="r", model="m"),
        PartStarted(index=0, kind="text"),
        PartDelta(index=0, text="a"),
        PartEnded(index=0),
        PartStarted(index=1, kind="reasoning"),
        PartDelta(index=1, text="h"),
        ResponseFailed(error=error),
        ResponseEnded(),
    ]
    read = read_strictly(encode(events))
    assert read.kinds[-2:] == ["error", "response.failed"]
    assert read.error == {"message": "It fell over.", "type": "server_error", "param": None, "code": "boom"}
    assert read.last is not None
    assert read.last["error"] == {"code": "boom", "message": "It fell over."}
    assert [item["type"] for item in read.last["output"]] == ["message"]


def test_an_error_before_anything_was_said() -> None:
    body = encode([ResponseFailed(error=UpstreamBroke("It broke off."))])
    assert body.startswith(b"event: error\n")
    assert body.count(b"\n\n") == 2


def test_an_answer_that_is_too_long_to_be_kept_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoder, "MOST_KEPT_CHARS", 10)
    events = unfold(answered(Text(text="123456"), Text(text="78901"), Text(text="2")))
    writer = RESPONSES.stream_encoder(ASKED, response_id="r", model="m", created=1)
    body = b"".join(writer.encode(events))
    assert writer.error is not None
    assert writer.encode(events) == [], "it writes no more"
    body += b"".join(writer.encode([ResponseFailed(error=writer.error)]))
    read = read_strictly(body)
    assert read.error is not None
    assert read.status == "failed"
    assert read.text == "123456"


# Keep-alives.


def test_a_keepalive_repeats_the_answer_s_state_within_the_numbers() -> None:
    encoder_ = RESPONSES.stream_encoder(ASKED, response_id="r", model="m", created=1)
    body = encoder_.keepalive() + encoder_.keepalive()
    events = unfold(answered(Text(text="a"), Text(text="b")))
    for event in events:
        body += b"".join(encoder_.encode([event, Pinged()]))
        if not isinstance(event, ResponseEnded):
            body += encoder_.keepalive()
    read = read_strictly(body)
    assert read.text == "ab"
    assert read.kinds[:3] == ["response.created", "response.in_progress", "response.in_progress"]
    assert read.kinds.count("response.created") == 1


def test_errors_before_the_stream_are_openai_s() -> None:
    wire = RESPONSES.encode_error(UpstreamBroke("It broke off."))
    assert wire.status == 502
    assert json.loads(wire.body)["error"]["message"] == "It broke off."
