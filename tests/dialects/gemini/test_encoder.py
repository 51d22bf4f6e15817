"""Events into a client's stream: what google-genai bears, and what it must never get."""

from __future__ import annotations

import itertools
import json
from base64 import b64decode, b64encode
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from tests.dialects.gemini.streams import GEMINI, asking, decode, encode, objects_of, read_strictly
from thalweg.canon.envelope import unwrap
from thalweg.canon.errors import RateLimited, UpstreamBroke
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
from thalweg.canon.response import Choice, Response
from thalweg.canon.usage import Usage
from thalweg.dialects.kit.separators import escape_separators

OWN = Signature(vendor="google", model="", kind="thought", data="AAEC")
FOREIGN = Signature(vendor="anthropic", model="claude", kind="signature", data="EqoB+/=")
USED = Usage(input_tokens=5, output_tokens=7, reasoning_tokens=2, cached_input_tokens=1)


def response(
    *parts: Part, reason: FinishReason = FinishReason.STOP, raw: str | None = None, usage: Usage | None = USED
) -> Response:
    choice = Choice(index=0, parts=parts, finish_reason=reason, raw_finish_reason=raw)
    return Response(response_id="x", model="y", created=1, choices=(choice,), usage=usage, complete=True)


def written(*parts: Part, shown: bool = True, **more: Any) -> list[Any]:
    """The parts of all chunks but the last."""
    body = b"".join(encode(unfold(response(*parts, **more)), shown=shown))
    read = read_strictly(body, ours=True)
    return read.candidates[0].parts[:-1]


def test_a_stream_as_a_whole() -> None:
    frames = encode(unfold(response(Text(text="a"))))
    assert frames == [
        b'data: {"candidates":[{"content":{"parts":[{"text":"a"}],"role":"model"},"index":0}],"modelVersion":"gemini-3-flash","responseId":"r-1"}\n\n',
        b'data: {"candidates":[{"content":{"parts":[{"text":""}],"role":"model"},"finishReason":"STOP","index":0}],"usageMetadata":{"promptTokenCount":5,"candidatesTokenCount":5,"totalTokenCount":12,"thoughtsTokenCount":2,"cachedContentTokenCount":1},"modelVersion":"gemini-3-flash","responseId":"r-1"}\n\n',
    ]


def test_an_array_as_a_whole() -> None:
    frames = encode(unfold(response(Text(text="a"))), array=True)
    assert [frame[:1] for frame in frames] == [b"[", b",", b"]"]
    plain = objects_of(b"".join(encode(unfold(response(Text(text="a"))))), array=False)
    assert json.loads(b"".join(frames)) == plain


def test_content_types() -> None:
    types = [
        GEMINI.stream_encoder(asking(array=array), response_id="", model="", created=0).content_type
        for array in (False, True)
    ]
    assert types == [b"text/event-stream", b"application/json"]


def test_each_delta_leaves_at_once() -> None:
    started: list[Event] = [ResponseStarted(response_id="x", model="y"), PartStarted(index=0, kind="text")]
    assert encode(started) == []
    assert len(encode([*started, PartDelta(index=0, text="a")])) == 1


CALL = {"functionCall": {"name": "f", "args": {"a": 1}, "id": "c"}}
WRITTEN: dict[str, tuple[list[Part], list[Any]]] = {
    "thoughts": ([Reasoning(text="t")], [{"text": "t", "thought": True}]),
    "signed thoughts": (
        [Reasoning(text="t", signature=OWN)],
        [{"text": "t", "thought": True}, {"text": "", "thought": True, "thoughtSignature": "AAEC"}],
    ),
    "a refusal": ([Refusal(text="no")], [{"text": "no"}]),
    "a call": ([ToolCall(id="c", name="f", arguments='{"a": 1}')], [CALL]),
    "a signed call": ([ToolCall(id="c", name="f", arguments='{"a":1}', signature=OWN)], [CALL | {"thoughtSignature": "AAEC"}]),
    "no arguments": ([ToolCall(id="c", name="f", arguments="")], [{"functionCall": {"name": "f", "args": {}, "id": "c"}}]),
    "arguments as a string of JSON": ([ToolCall(id="c", name="f", arguments='"{\\"a\\":1}"')], [CALL]),
    "arguments over several lines": ([ToolCall(id="c", name="f", arguments='{\r\n "a": 1\n}')], [CALL]),
    "arguments that are no object": (
        [ToolCall(id="c", name="f", arguments="[1]")],
        [{"functionCall": {"name": "f", "args": {"_raw": "[1]"}, "id": "c"}}],
    ),
    "broken arguments before something else": (
        [ToolCall(id="c", name="f", arguments='{"a'), Text(text="x")],
        [{"functionCall": {"name": "f", "args": {"_raw": '{"a'}, "id": "c"}}, {"text": "x"}],
    ),
    "free text": (
        [ToolCall(id="c", name="f", arguments="x", kind="custom")],
        [{"functionCall": {"name": "f", "args": {"input": "x"}, "id": "c"}}],
    ),
    "a call that was run already": ([ToolCall(id="c", name="f", arguments="{}", kind="server"), Text(text="x")], [{"text": "x"}]),
    "a picture": (
        [Media(kind="image", mime="image/png", data="AAEC")],
        [{"inlineData": {"mimeType": "image/png", "data": "AAEC"}}],
    ),
    "Gemini's own": ([Opaque(dialect="gemini", raw={"toolCall": {}})], [{"toolCall": {}}]),
    "another's own": ([Opaque(dialect="anthropic", raw={"x": 1}), Text(text="x")], [{"text": "x"}]),
}  # fmt: skip


@pytest.mark.parametrize("case", WRITTEN.values(), ids=WRITTEN)
def test_parts(case: tuple[list[Part], list[Any]]) -> None:
    parts, expected = case
    assert written(*parts) == expected


def test_thoughts_are_shown_to_those_who_asked_and_signatures_come_back_either_way() -> None:
    parts = written(Reasoning(text="t", signature=FOREIGN), Text(text="a"), shown=False)
    assert [set(part) for part in parts] == [{"text", "thoughtSignature"}, {"text"}]
    assert [part["text"] for part in parts] == ["", "a"]
    opened = unwrap(b64decode(parts[0]["thoughtSignature"]).decode())
    assert opened is not None
    assert opened[0] == FOREIGN


LED = ToolCall(id="c", name="f", arguments="{}")
SECOND = Signature(vendor="openai", model="gpt", kind="encrypted", data="Zm9v", item_id="rs_1")
HIDDEN: dict[str, tuple[list[Part], list[str]]] = {
    "to a call": ([Reasoning(text="t", signature=FOREIGN), LED, LED], ["call, signed", "call"]),
    "to a text": ([Reasoning(text="t", signature=FOREIGN), Text(text="a"), LED], ["text, signed", "text", "call"]),
    "after a text": ([Text(text="a"), Reasoning(signature=FOREIGN), LED], ["text", "call, signed"]),
    "to nothing": ([Reasoning(text="t", signature=FOREIGN)], ["text, signed"]),
    "two thoughts": (
        [Reasoning(text="t", signature=FOREIGN), Reasoning(signature=SECOND), LED],
        ["text, signed", "call, signed"],
    ),
    "to a call that Google signed": (
        [Reasoning(text="t", signature=FOREIGN), replace(LED, signature=OWN)],
        ["text, signed", "call, signed"],
    ),
    "to a call of broken arguments": (
        [Reasoning(signature=FOREIGN), replace(LED, arguments='{"a')],
        ["call, signed"],
    ),
    "to one that was run already": (
        [Reasoning(signature=FOREIGN), replace(LED, kind="server"), Text(text="a")],
        ["text, signed", "text"],
    ),
}


@pytest.mark.parametrize("case", HIDDEN)
def test_what_proves_hidden_thoughts_lies_on_the_call_that_they_led_to(case: str) -> None:
    """An empty text before a call is taken for the beginning of an answer by agents, as pydantic-ai's is one."""
    parts, kinds = HIDDEN[case]
    streamed = written(*parts, shown=False)
    whole = json.loads(GEMINI.encode_answer(response(*parts), asking(shown=False)))["candidates"][0]["content"]["parts"]
    for wire in (streamed, whole):
        assert [
            ("call" if "functionCall" in part else "text") + (", signed" if "thoughtSignature" in part else "")
            for part in wire
        ] == kinds
        body = {"contents": [{"parts": [{"text": "?"}]}, {"role": "model", "parts": wire}]}
        read = GEMINI.read_request(json.dumps({"model": "m"} | body).encode()).canon().messages[1].parts
        signatures = [part.signature for part in parts if getattr(part, "signature", None)]
        assert [part.signature for part in read if getattr(part, "signature", None)] == signatures
        assert [type(part) for part in read if not isinstance(part, Text)] == [
            type(part) for part in parts if not isinstance(part, Text) and getattr(part, "kind", "") != "server"
        ]


def test_another_vendors_signature_of_a_call() -> None:
    (part,) = written(ToolCall(id="c", name="f", arguments="{}", signature=FOREIGN))
    opened = unwrap(b64decode(part["thoughtSignature"]).decode())
    assert opened is not None
    assert opened[0] == FOREIGN


def test_a_signature_that_would_kill_the_stream_is_left_out() -> None:
    broken = Signature(vendor="google", model="", kind="thought", data="?!")
    assert written(ToolCall(id="c", name="f", arguments='{"a":1}', signature=broken)) == [CALL]


@pytest.mark.parametrize("reason", [FinishReason.LENGTH, FinishReason.CONTEXT_OVERFLOW])
def test_a_call_that_the_limit_cut_is_dropped(reason: FinishReason) -> None:
    assert written(Text(text="x"), ToolCall(id="c", name="f", arguments='{"a'), reason=reason) == [{"text": "x"}]
    assert len(written(ToolCall(id="c", name="f", arguments='{"a":1}'), reason=reason)) == 1


def test_broken_arguments_at_the_end_of_any_other_answer_are_said() -> None:
    (part,) = written(ToolCall(id="c", name="f", arguments='{"a'), reason=FinishReason.TOOL_CALLS)
    assert part["functionCall"]["args"] == {"_raw": '{"a'}


@pytest.mark.parametrize("text", ["\u2028", "\u2029", "\u0085", 'a\u2028b\n\r"\\', "深泓"])
def test_nothing_in_a_text_ends_a_line(text: str) -> None:
    for part in (Text(text=text), ToolCall(id="c", name=text, arguments=json.dumps({"a": text}, ensure_ascii=False))):
        body = b"".join(encode(unfold(response(part))))
        assert len(body.decode().splitlines()) == 4
        read = read_strictly(body, ours=True).candidates[0]
        assert read.text == text or read.calls[0]["args"] == {"a": text}


@pytest.mark.parametrize(
    ("reason", "raw", "word"),
    [
        (FinishReason.STOP, None, "STOP"),
        (FinishReason.STOP, "stop", "STOP"),
        (FinishReason.TOOL_CALLS, "tool_calls", "STOP"),
        (FinishReason.STOP_SEQUENCE, None, "STOP"),
        (FinishReason.LENGTH, "length", "MAX_TOKENS"),
        (FinishReason.CONTEXT_OVERFLOW, None, "MAX_TOKENS"),
        (FinishReason.CONTENT_FILTER, "content_filter", "SAFETY"),
        (FinishReason.CONTENT_FILTER, "RECITATION", "RECITATION"),
        (FinishReason.REFUSAL, "refusal", "SAFETY"),
        (FinishReason.PAUSE, "CONTINUATION", "STOP"),
        (FinishReason.MALFORMED_CALL, None, "MALFORMED_FUNCTION_CALL"),
        (FinishReason.UNKNOWN, None, "OTHER"),
    ],
)
def test_why_it_ended(reason: FinishReason, raw: str | None, word: str) -> None:
    body = b"".join(encode(unfold(response(Text(text="a"), reason=reason, raw=raw))))
    assert read_strictly(body, ours=True).candidates[0].finish == word


def test_the_last_chunk_has_a_text_the_reason_and_the_usage_together() -> None:
    events = unfold(response(Text(text="a")))
    usage = next(event for event in events if isinstance(event, UsageReported))
    late = [event for event in events[:-1] if event is not usage] + [usage, events[-1]]
    assert encode(late) == encode(events)


def test_no_usage_is_none() -> None:
    body = b"".join(encode(unfold(response(Text(text="a"), usage=None))))
    assert b"usageMetadata" not in body


def test_several_choices_end_in_one_chunk() -> None:
    events: list[Event] = [ResponseStarted(response_id="x", model="y")]
    for at in (0, 1):
        events += [PartStarted(index=at, kind="text", choice=at), PartDelta(index=at, text=f"t{at}", choice=at)]
    events += [PartEnded(index=at, choice=at) for at in (1, 0)]
    events += [ChoiceFinished(reason=FinishReason.STOP, choice=at) for at in (0, 1)]
    frames = encode([*events, ResponseEnded()])
    assert len(frames) == 3
    read = read_strictly(b"".join(frames), ours=True)
    assert {at: (one.text, one.finish) for at, one in read.candidates.items()} == {0: ("t0", "STOP"), 1: ("t1", "STOP")}


def test_an_empty_answer_still_says_why_it_ended() -> None:
    (frame,) = encode(unfold(response(reason=FinishReason.CONTENT_FILTER)))
    assert read_strictly(frame, ours=True).candidates[0].finish == "SAFETY"
    read = read_strictly(b"".join(encode([ResponseStarted(response_id="", model=""), ResponseEnded()])), ours=True)
    assert read.candidates[0].finish == "OTHER"


def test_an_error_comes_first_in_its_object_and_last_in_the_stream() -> None:
    for array in (False, True):
        events: list[Event] = [ResponseStarted(response_id="x", model="y"), PartStarted(index=0, kind="text")]
        events += [PartDelta(index=0, text="a"), ResponseFailed(error=UpstreamBroke("acme broke off"))]
        read = read_strictly(b"".join(encode(events, array=array)), array=array, ours=True)
        assert read.error == {"code": 500, "message": "acme broke off", "status": "INTERNAL"}
        assert read.candidates[0].finish is None
        alone = b"".join(encode([ResponseFailed(error=RateLimited("slow"))], array=array))
        assert read_strictly(alone, array=array).error["code"] == 429


def test_a_silence_is_broken_by_a_blank_line() -> None:
    for array in (False, True):
        encoder = GEMINI.stream_encoder(asking(array=array), response_id="", model="", created=0)
        alive = encoder.keepalive()
        frames = encoder.encode(unfold(response(Text(text="a"))))
        assert not alive.strip()
        read = read_strictly(alive + alive.join(frames) + alive, array=array, ours=True)
        assert read.candidates[0].finish == "STOP"
    assert encode([Pinged()]) == []


def test_sources_stand_on_the_last_chunk() -> None:
    cited = Text(text="abc", citations=(Citation(url="u", title="T", start=0, end=2), Citation(url="v")))
    frames = encode(unfold(response(cited)))
    (candidate,) = json.loads(frames[-1][6:])["candidates"]
    assert candidate["groundingMetadata"] == {
        "groundingChunks": [{"web": {"uri": "u", "title": "T"}}, {"web": {"uri": "v"}}],
        "groundingSupports": [{"segment": {"startIndex": 0, "endIndex": 2}, "groundingChunkIndices": [0]}],
    }
    wide = Text(text="äbc", citations=cited.citations)
    assert b"groundingSupports" not in b"".join(encode(unfold(response(wide))))


def test_log_probabilities_go_with_their_text() -> None:
    token = {
        "token": "a",
        "logprob": -0.5,
        "bytes": [97],
        "top_logprobs": [{"token": "b", "logprob": -1.5, "bytes": [98]}],
    }
    events: list[Event] = [ResponseStarted(response_id="x", model="y"), PartStarted(index=0, kind="text")]
    events += [PartDelta(index=0, text="a", logprobs={"content": [token]}), PartEnded(index=0)]
    events += [ChoiceFinished(reason=FinishReason.STOP), ResponseEnded()]
    again = fold(decode(b"".join(encode(events))))
    assert again.choices[0].logprobs == {"content": [token]}


# There and back.

TEXTS = st.text(min_size=1, max_size=20)
SIGNATURES = st.one_of(
    st.none(), st.binary(min_size=1, max_size=9).map(lambda data: Signature(vendor="google", model="gemini-3-flash", kind="thought", data=b64encode(data).decode()))
)  # fmt: skip


def as_streamed(arguments: Any) -> str:
    """Arguments as a stream has them: the characters at which readers of lines cut are escaped."""
    return escape_separators(json.dumps(arguments, ensure_ascii=False, separators=(",", ":")).encode()).decode()


ARGUMENTS = st.dictionaries(st.text(max_size=5), st.one_of(st.integers(), st.text(max_size=5), st.none()), max_size=3)
PARTS = st.one_of(
    TEXTS.map(lambda text: Text(text=text)),
    SIGNATURES.filter(bool).map(lambda found: Text(text="", signature=found)),
    st.builds(lambda text, found: Reasoning(text=text, form="summary", signature=found), TEXTS, SIGNATURES),
    st.builds(
        lambda args, found, number: ToolCall(id=f"c{number}", name="f", arguments=as_streamed(args), signature=found),
        ARGUMENTS, SIGNATURES, st.integers(0, 99),
    ),
    st.just(Media(kind="image", mime="image/png", data="AAEC")),
    st.just(Opaque(dialect="gemini", raw={"executableCode": {"code": "1"}})),
)  # fmt: skip


def is_sayable(parts: list[Part]) -> bool:
    """Without two parts in a row that the wire cannot tell apart."""
    for one, other in itertools.pairwise(parts):
        if type(one) is type(other) and isinstance(one, Text | Reasoning) and one.signature is None:
            if isinstance(one, Reasoning) or not (isinstance(other, Text) and other.signature):
                return False
    return True


@given(
    choices=st.lists(st.lists(PARTS, max_size=6).filter(is_sayable), min_size=1, max_size=3),
    counts=st.tuples(st.integers(0, 99), st.integers(0, 99), st.integers(0, 99)),
    array=st.booleans(),
)
def test_what_is_written_is_read_again(choices: list[list[Part]], counts: tuple[int, int, int], array: bool) -> None:
    taken, made, thought = counts
    answer = Response(
        response_id="r-1",
        model="gemini-3-flash",
        created=None,
        choices=tuple(
            Choice(
                index=at,
                parts=tuple(parts),
                finish_reason=FinishReason.TOOL_CALLS if any(isinstance(p, ToolCall) for p in parts) else FinishReason.STOP,
                raw_finish_reason="STOP",
            )
            for at, parts in enumerate(choices)
        ),
        usage=Usage(input_tokens=taken, output_tokens=made + thought, reasoning_tokens=thought),
        complete=True,
    )  # fmt: skip
    body = b"".join(encode(unfold(answer), array=array))
    read_strictly(body, array=array, ours=True)
    again = fold(decode(body, array=array))
    assert again.choices == answer.choices
    assert again.usage == answer.usage
    assert (again.response_id, again.model, again.complete) == ("r-1", "gemini-3-flash", True)
