"""Bodies of every dialect, read and rewritten in every other."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.client.answers import ANSWER, READ, WRITTEN, frames, streamed, whole
from thalweg.canon.events import ResponseEnded, ResponseFailed
from thalweg.canon.fold import fold
from thalweg.canon.parts import Reasoning, Text, ToolCall
from thalweg.canon.response import Response
from thalweg.client.codecs import BodyReader, Transcoder, decode, dialect, events, transcode
from thalweg.dialects.registry import DIALECTS

FORMS = {"a stream": streamed, "a whole answer": whole}


def shown(answer: Response) -> dict[str, Any]:
    """What every dialect can say of an answer."""
    (choice,) = answer.choices
    assert answer.usage is not None
    return {
        "text": "".join(part.text for part in choice.parts if isinstance(part, Text)),
        "reasoning": "".join(part.text for part in choice.parts if isinstance(part, Reasoning)),
        "calls": [
            (part.id, part.name, json.loads(part.arguments)) for part in choice.parts if isinstance(part, ToolCall)
        ],
        "finish": choice.finish_reason,
        "tokens": (answer.usage.input_tokens, answer.usage.output_tokens),
        "complete": answer.complete,
    }


@pytest.mark.parametrize("name", READ)
@pytest.mark.parametrize("body", FORMS.values(), ids=FORMS)
def test_a_body_is_read(name: str, body: Any) -> None:
    assert shown(decode(body(name), name)) == shown(ANSWER)
    assert shown(decode(body(name), DIALECTS[name])) == shown(ANSWER)


@pytest.mark.parametrize("name", READ)
@pytest.mark.parametrize("body", FORMS.values(), ids=FORMS)
def test_its_events_are_the_answer(name: str, body: Any) -> None:
    found = events(b"\xef\xbb\xbf \n" + body(name), name)
    assert isinstance(found[-1], ResponseEnded)
    assert shown(fold(found)) == shown(ANSWER)


@pytest.mark.parametrize("source", READ)
@pytest.mark.parametrize("target", WRITTEN)
@pytest.mark.parametrize("body", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("stream", [None, True, False])
def test_a_body_is_rewritten(source: str, target: str, body: Any, stream: bool | None) -> None:
    written, error = transcode(body(source), source, target, stream=stream)
    assert error is None
    assert shown(decode(written, target)) == shown(ANSWER)
    reader = BodyReader(dialect(target))
    reader.feed(written)
    assert reader.whole is (body is whole if stream is None else not stream)


@pytest.mark.parametrize("source", READ)
@pytest.mark.parametrize("target", WRITTEN)
def test_byte_by_byte_it_is_the_same(source: str, target: str) -> None:
    body = streamed(source)
    transcoder = Transcoder(source, target)
    pieces = [transcoder.feed(body[at : at + 1]) for at in range(len(body))]
    assert b"".join(pieces) + transcoder.end() == transcode(body, source, target).body


@pytest.mark.parametrize("source", READ)
@pytest.mark.parametrize("target", WRITTEN)
def test_a_delta_leaves_before_the_next_one_comes(source: str, target: str) -> None:
    """The text is written long before the stream's end is there."""
    transcoder, out = Transcoder(source, target), b""
    for frame in frames(source):
        out += transcoder.feed(frame)
        if b"flows" in frame:
            break
    assert b"flows" in out


@pytest.mark.parametrize("source", READ)
@pytest.mark.parametrize("target", WRITTEN)
def test_of_a_broken_stream_comes_what_could_be_read_and_then_the_error(source: str, target: str) -> None:
    cut = b"".join(frames(source)[:-3]).partition(b"flows.")
    body = cut[0] + cut[1]
    written, error = transcode(body, source, target)
    assert error is not None
    assert "broke off" in error.message
    read = decode(written, target)
    assert read.error is not None
    assert not read.complete
    assert not read.choices or read.choices[0].finish_reason is None


@pytest.mark.parametrize("target", WRITTEN)
@pytest.mark.parametrize("stream", [True, False])
def test_an_error_is_said_in_the_other_dialects_words(target: str, stream: bool) -> None:
    body = b'{"error":{"message":"too many","type":"engine_overloaded","code":"zzz","param":"q"}}'
    written, error = transcode(body, "openai-chat", target, stream=stream)
    assert error is not None
    assert b"too many" in written
    assert b"zzz" not in written
    assert b"engine_overloaded" not in written


@pytest.mark.parametrize("name", READ)
@pytest.mark.parametrize("body", [b"", b" \n", b"{", b"[", b"[]", b"nonsense", b"data: {\n\n", b"\xff\xfe", b"{}"])
def test_whatever_it_is_it_is_read_and_fails(name: str, body: bytes) -> None:
    assert decode(body, name).error is not None
    assert isinstance(events(body, name)[-1], ResponseFailed)


def test_gemini_streams_arrays_too() -> None:
    payloads = [frame.split(b"data: ", 1)[1].strip() for frame in frames("gemini") if b"data: " in frame]
    body = b"[" + b",\r\n".join(payloads) + b"]"
    assert shown(decode(body, "gemini")) == shown(ANSWER)
    cut = decode(body[: len(body) // 2], "gemini")
    assert cut.error is not None
    assert cut.choices


def test_the_name_begins_as_names_do_there() -> None:
    for target in WRITTEN:
        assert decode(transcode(streamed("openai-chat"), "openai-chat", target).body, target).response_id == (
            DIALECTS[target].id_prefix + "abc123"
        )


def test_ids_of_calls_are_put_into_a_form_that_fits_everywhere() -> None:
    body = streamed("openai-chat").replace(b"call_1", b"functions.add:0")
    written = decode(transcode(body, "openai-chat", "openai-chat").body, "openai-chat")
    call = next(part for part in written.choices[0].parts if isinstance(part, ToolCall))
    assert call.id.startswith("call_")
    assert "." not in call.id


@pytest.mark.parametrize("target", WRITTEN)
def test_of_several_choices_the_first_is_kept_where_there_is_but_one(target: str) -> None:
    chunks = [
        {"id": "c", "choices": [{"index": at, "delta": {"content": text}, "finish_reason": finish}]}
        for at, text, finish in ((1, "x", None), (0, "a", None), (1, "y", "stop"), (0, "b", "stop"))
    ]
    body = b"".join(b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks)
    written, error = transcode(body, "openai-chat", target)
    assert error is None
    texts = [choice.parts[0] for choice in decode(written, target).choices]
    one = target in ("anthropic", "openai-responses")
    assert texts == [Text(text="ab")] if one else [Text(text="ab"), Text(text="xy")]


def test_log_probabilities_survive_a_whole_answer() -> None:
    tree = json.loads(whole("openai-chat"))
    tree["choices"][0]["logprobs"] = {"content": [{"token": "a", "logprob": -1.0}]}
    written = json.loads(transcode(json.dumps(tree).encode(), "openai-chat", "openai-chat").body)
    assert written["choices"][0]["logprobs"] == tree["choices"][0]["logprobs"]


def test_a_dialect_that_is_not_there_is_named_with_those_that_are() -> None:
    with pytest.raises(ValueError, match=r"'smoke'.*openai-chat"):
        dialect("smoke")
