"""A body with nobody's words: what stays of it, what goes, and that it is a body still."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import pytest

from tests.corpus.cases import Case, streams
from thalweg.canon.events import PartDelta, PartStarted
from thalweg.canon.parts import Part, Text, ToolCall
from thalweg.canon.response import Response
from thalweg.client import codecs
from thalweg.client.anonymous import Anonymiser, Words, refusal
from thalweg.server.simulated import OWN_WORDS
from thalweg.server.simulated import Play as Simulated
from thalweg.upstream.base import Origin, UpstreamRequest

WORDS = Words("A river keeps to its bed. ", "深泓")
SECRETS = ("Confidential", "机密文件", "get_payroll", "call_0123456789", "Zürich", "fp_secret")


def changed(pieces: Iterable[bytes], source: str) -> bytes:
    anonymiser = Anonymiser(source, WORDS)
    return b"".join([*(anonymiser.feed(piece) for piece in pieces), anonymiser.end()])


def chunk(delta: dict[str, Any], finish: str | None = None) -> bytes:
    data = {
        "id": "chatcmpl-Confidential",
        "object": "chat.completion.chunk",
        "created": 7,
        "model": "m",
        "system_fingerprint": "fp_secret",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
    }
    return f"data: {json.dumps(data)}\n\n".encode()


def call(arguments: str, **more: Any) -> dict[str, Any]:
    return {"tool_calls": [{"index": 0, "function": {"arguments": arguments} | more}]}


TALK = [
    chunk({"role": "assistant", "content": ""}),
    chunk({"reasoning_content": "Confidential"}),
    chunk({"content": "机密文件 of Confidential 🤐"}),
    chunk(
        {
            "tool_calls": [
                {
                    "index": 0,
                    "id": "call_0123456789",
                    "type": "function",
                    "function": {"name": "get_payroll", "arguments": ""},
                }
            ]
        }
    ),
    chunk(call('{"Confidential": ["Z\\u00fc')),
    chunk(call('rich", -10.50e3, true, null, "\\\\\\"机密文件"]')),
    chunk(call("}")),
    chunk({}, "tool_calls"),
    b"data: [DONE]\n\n",
]


def parts_of(answer: Response) -> list[Part]:
    return [part for choice in answer.choices for part in choice.parts]


def test_nothing_of_what_was_said_is_left_and_its_shape_is() -> None:
    body = b"".join(TALK)
    made = changed(TALK, "openai-chat")
    assert not [secret for secret in SECRETS if secret.encode() in made or json.dumps(secret)[1:-1].encode() in made]
    before, after = codecs.decode(body, "openai-chat"), codecs.decode(made, "openai-chat")
    assert after.complete
    assert [type(part) for part in parts_of(before)] == [type(part) for part in parts_of(after)]
    deltas = [[len(e.text) for e in codecs.events(b, "openai-chat") if isinstance(e, PartDelta)] for b in (body, made)]
    assert deltas[0] == deltas[1]
    (text,) = [part.text for part in parts_of(after) if isinstance(part, Text)]
    assert (text[:4], text[-1]) == ("深泓深泓", "🌊")


def test_arguments_are_json_as_before_with_other_words_in_them() -> None:
    (made,) = [
        p for p in parts_of(codecs.decode(changed(TALK, "openai-chat"), "openai-chat")) if isinstance(p, ToolCall)
    ]
    ((key, (text, number, yes, nothing, escaped)),) = json.loads(made.arguments).items()
    assert (len(key), len(text), yes, nothing) == (12, 6, True, None)
    assert number == -11.11e1
    assert escaped == '\\"深深深深'
    assert made.name == "tool_1"
    assert made.id == "call_0000000001"


def test_a_stream_that_was_cut_is_cut_still() -> None:
    made = changed(TALK[:3], "openai-chat")
    assert b"[DONE]" not in made
    assert b'"error"' not in made
    assert not codecs.decode(made, "openai-chat").complete


@pytest.mark.parametrize("model", ["text", "reasoning", "tools"])
@pytest.mark.parametrize("whole", [False, True])
def test_whole_answers_and_streams_keep_kinds_lengths_finish_and_usage(model: str, whole: bool) -> None:
    tools = [{"type": "function", "function": {"name": "get_payroll", "parameters": {"type": "object"}}}]
    asked = {"model": f"{model}?seed=3", "messages": [{"role": "user", "content": "Confidential"}], "tools": tools}
    asked |= {} if whole else {"stream": True, "stream_options": {"include_usage": True}}
    request = UpstreamRequest(
        origin=Origin("http", "s", 1), method=b"POST", target=b"/v1/chat/completions", headers=(),
        body=json.dumps(asked).encode(),
    )  # fmt: skip
    body = b"".join(step.data for step in Simulated()(request) if hasattr(step, "data"))
    made = changed([body], "openai-chat")
    assert b"Confidential" not in made
    assert shape(codecs.decode(made, "openai-chat")) == shape(codecs.decode(body, "openai-chat"))


def shape(answer: Response) -> Any:
    parts = [(type(part).__name__, len(getattr(part, "text", ""))) for part in parts_of(answer)]
    return parts, [choice.finish_reason for choice in answer.choices], answer.usage, answer.complete


@pytest.mark.parametrize("case", streams(), ids=lambda case: f"{case.dialect}/{case.folder.name}")
def test_recorded_streams_lose_their_words_and_nothing_else(case: Case) -> None:
    made = changed([case.body], case.dialect)
    before, after = codecs.events(case.body, case.dialect), codecs.events(made, case.dialect)
    assert kinds(before) == kinds(after)
    told = "".join(event.text for event in before if isinstance(event, PartDelta))
    # Words that no grammar has.
    words = [word for word in told.split() if len(word) > 8 and word.isalpha() and word not in _OF_GRAMMARS]
    assert not [word for word in words if word.encode() in made or json.dumps(word)[1:-1].encode() in made]


_OF_GRAMMARS = frozenset({"temperature", "instructions", "instruction", "assistant", "arguments", "reasoning"})


def kinds(found: Iterable[Any]) -> list[str]:
    """The parts by their kinds, without those that say nothing, and those that run into the one before."""
    said = {event.index for event in found if isinstance(event, PartDelta)}
    starts = [event for event in found if isinstance(event, PartStarted)]
    parts = [event.kind for event in starts if event.index in said or event.kind == "tool_call"]
    named = [kind for kind in parts if kind != "opaque"]
    return [kind for at, kind in enumerate(named) if at == 0 or kind == "tool_call" or kind != named[at - 1]]


def test_a_refusal_is_of_its_kind_and_says_nothing() -> None:
    body = json.dumps({"error": {"message": "Confidential", "type": "rate_limit_error", "code": "x"}}).encode()
    said = refusal("openai-chat", 429, (), body)
    assert b"Confidential" not in said.body
    assert b"rate_limit" in said.body


def test_the_simulators_words_are_of_both_kinds() -> None:
    words = Words(*OWN_WORDS)
    assert words.plain.isascii()
    assert not any(char.isascii() for char in words.wide)
