"""Faults in every dialect: each does what it says, takes its nearest form, or is refused by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.simulator.talks import SCHEMAS, TALKS, Answer, Talk, numbered_results, send
from thalweg.canon.errors import UpstreamBroke
from thalweg.canon.events import PartDelta, ResponseEnded, ResponseFailed
from thalweg.canon.parts import ToolCall
from thalweg.canon.response import Response
from thalweg.canon.script import BreakOff, EndBody, RefuseConnection, SendBody, Stall
from thalweg.dialects.registry import DIALECTS
from thalweg.simulator import FAULTS
from thalweg.simulator.faults.elsewhere import _SENSELESS
from thalweg.simulator.faults.instead import INSTEAD

TOOLS = tuple(SCHEMAS)
MARK = "回声 🦜 é"

each_dialect = pytest.mark.parametrize("dialect", DIALECTS)
each_way = pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])


def faulty(dialect: str, fault: str, *, at: int = 4, model: str = "text", **fields: Any) -> Talk:
    return TALKS[dialect](f"{model}?fault={fault}&at={at}", MARK, **fields)


def streamed(one: Talk) -> Response:
    return one.read(one.ask(stream=True), stream=True)


def text_of(answer: Response) -> str:
    return "".join(getattr(part, "text", "") for part in answer.choices[0].parts)


def calls_of(answer: Response) -> list[ToolCall]:
    return [part for part in answer.choices[0].parts if isinstance(part, ToolCall)]


def good(dialect: str, model: str = "text", **fields: Any) -> Response:
    return streamed(TALKS[dialect](f"{model}?at=4", MARK, **fields))


# Instead of an answer.


STATUSES = [name for name in INSTEAD if name.startswith("http-")]


@each_dialect
@each_way
@pytest.mark.parametrize("fault", STATUSES)
def test_a_status_is_that_status_in_every_dialect(dialect: str, fault: str, stream: bool) -> None:
    answer = faulty(dialect, fault).ask(stream=stream)
    status = int(fault.split("-")[1])
    assert answer.status == status
    tree = answer.tree
    error = tree if dialect == "dashscope-native" else tree["error"]
    assert str(status) in error["message"]
    if dialect == "gemini":
        assert error["code"] == status
    if fault.endswith("retry-after"):
        assert answer.headers[b"retry-after"] == b"1"


@each_dialect
def test_no_connection_and_no_answer(dialect: str) -> None:
    assert faulty(dialect, "refuse").ask().steps == [RefuseConnection()]
    assert faulty(dialect, "hang").ask().steps == [Stall()]


# In frames.


@each_dialect
@pytest.mark.parametrize("fault", ["comments", "blanks", "crlf", "cr", "no-space", "multi-line", "trickle", "cut-utf8"])
def test_odd_framing_says_the_same(dialect: str, fault: str) -> None:
    one = faulty(dialect, fault)
    answer = one.ask(stream=True)
    plain = TALKS[dialect]("text?at=4", MARK).ask(stream=True)
    assert [step for step in answer.steps if isinstance(step, SendBody)] != [
        step for step in plain.steps if isinstance(step, SendBody)
    ]
    assert text_of(one.read(answer, stream=True)) == text_of(good(dialect))
    assert isinstance(one.events(answer)[-1], ResponseEnded)


@each_dialect
def test_what_odd_framing_looks_like(dialect: str) -> None:
    sent = {fault: faulty(dialect, fault).ask(stream=True).body for fault in ("crlf", "cr", "no-space", "multi-line")}
    assert b"\n" not in sent["crlf"].replace(b"\r\n", b"")
    assert b"\n" not in sent["cr"]
    assert b"data: " not in sent["no-space"]
    assert sent["multi-line"].count(b"\ndata:") > 20


@each_dialect
def test_json_that_breaks_off_fails_the_answer_and_leaves_what_came_before(dialect: str) -> None:
    one = faulty(dialect, "bad-json")
    found = one.events(one.ask(stream=True))
    assert isinstance(found[-1], ResponseFailed)
    assert sum(isinstance(event, PartDelta) for event in found) == 3


@each_dialect
def test_several_faults_of_frames_at_once(dialect: str) -> None:
    one = faulty(dialect, "multi-line,crlf,big-frame&size=100000")
    assert text_of(one.read(one.ask(stream=True), stream=True)) == text_of(good(dialect))


@each_dialect
def test_a_big_frame_is_still_read(dialect: str) -> None:
    one = faulty(dialect, "big-frame&size=100000")
    answer = one.ask(stream=True)
    assert max(len(step.data) for step in answer.steps if isinstance(step, SendBody)) > 100_000
    assert text_of(one.read(answer, stream=True)) == text_of(good(dialect))


LAST = {
    "openai-chat": b"[DONE]",
    "openai-responses": b"response.completed",
    "anthropic": b"message_stop",
    "gemini": b"finishReason",
    "dashscope-native": b'"finish_reason":"stop"',
}


@each_dialect
def test_the_last_frame_twice_or_not_at_all(dialect: str) -> None:
    twice, never = (faulty(dialect, fault).ask(stream=True) for fault in ("double-done", "no-done"))
    frames = [step.data for step in twice.steps if isinstance(step, SendBody)]
    assert frames[-1] == frames[-2]
    assert LAST[dialect] in frames[-1]
    assert LAST[dialect] not in never.body


@each_dialect
def test_an_answer_without_its_last_frame_is_complete_only_where_the_dialect_says_so(dialect: str) -> None:
    assert streamed(faulty(dialect, "no-done")).complete is (dialect in ("openai-chat", "anthropic"))


# Usage.


@each_dialect
@each_way
def test_usage_that_is_missing(dialect: str, stream: bool) -> None:
    one = faulty(dialect, "usage-missing")
    answer = one.ask(stream=stream)
    usage = one.read(answer, stream=stream).usage
    assert usage is None or (usage.input_tokens, usage.output_tokens) == (None, None)
    assert b"_tokens" not in answer.body.replace(b"max_output_tokens", b"")
    assert b"TokenCount" not in answer.body


@pytest.mark.parametrize("dialect", ["openai-chat", "anthropic", "gemini", "dashscope-native"])
def test_usage_that_comes_early_and_never_again(dialect: str) -> None:
    answer = faulty(dialect, "usage-early").ask(stream=True)
    told = [payload for payload in answer.payloads if usage_in(payload)]
    assert len(told) == 1
    at = answer.payloads.index(told[0])
    assert at < len(answer.payloads) - 3
    assert sorted(usage_in(told[0])) == [3, good(dialect).usage.input_tokens]  # type: ignore[union-attr]


@pytest.mark.parametrize("dialect", ["openai-chat", "anthropic", "gemini", "dashscope-native"])
def test_usage_that_shrinks(dialect: str) -> None:
    answer = faulty(dialect, "usage-shrinking").ask(stream=True)
    told = [usage_in(payload) for payload in answer.payloads if usage_in(payload)]
    assert len(told) == 2
    assert max(told[0]) == 1_000_000
    assert max(told[1]) < 1000


def usage_in(payload: dict[str, Any]) -> list[int]:
    """Input and output, wherever they are told."""
    found = payload.get("message", payload)
    usage = found.get("usage") or found.get("usageMetadata") or {}
    names = (
        "prompt_tokens",
        "completion_tokens",
        "input_tokens",
        "output_tokens",
        "promptTokenCount",
        "candidatesTokenCount",
    )
    return [usage[name] for name in names if name in usage]


# Calls.


@each_dialect
@each_way
def test_arguments_that_are_empty(dialect: str, stream: bool) -> None:
    """Of whole answers only where it is a matter of events: Chat's is one of frames."""
    one = faulty(dialect, "args-empty", model="tools", tools=TOOLS)
    calls = calls_of(one.read(one.ask(stream=stream), stream=stream))
    assert [call.name for call in calls] == list(TOOLS)
    kept = not stream and dialect in ("openai-chat", "dashscope-native")
    assert ({call.arguments for call in calls} <= {"", "{}"}) is not kept


@each_dialect
def test_arguments_in_one_piece(dialect: str) -> None:
    one = faulty(dialect, "args-whole", model="tools", tools=TOOLS)
    found = one.events(one.ask(stream=True))
    assert sum(isinstance(event, PartDelta) for event in found) == 2
    assert [c.arguments for c in calls_of(streamed(one))] == [
        c.arguments for c in calls_of(good(dialect, "tools", tools=TOOLS))
    ]


@pytest.mark.parametrize("dialect", ["openai-chat", "openai-responses", "anthropic", "dashscope-native"])
def test_arguments_that_are_no_json(dialect: str) -> None:
    call = calls_of(streamed(faulty(dialect, "args-broken", model="tools", tools=TOOLS)))[0]
    with pytest.raises(msgspec.DecodeError):
        msgspec.json.decode(call.arguments)


@pytest.mark.parametrize("fault", ["tool-index-missing", "tool-index-repeated", "tool-index-interleaved"])
def test_dashscopes_calls_have_indexes(fault: str) -> None:
    answer = faulty("dashscope-native", fault, model="tools", tools=TOOLS).ask(stream=True)
    pieces = [
        piece
        for payload in answer.payloads
        for choice in payload["output"]["choices"]
        for piece in choice["message"].get("tool_calls", ())
    ]
    indexes = [piece.get("index") for piece in pieces]
    assert pieces
    wanted = {"tool-index-missing": {None}, "tool-index-repeated": {0}, "tool-index-interleaved": {0, 1}}
    assert set(indexes) == wanted[fault]
    if fault == "tool-index-interleaved":
        assert indexes[:2] == [0, 1]


# What has no meaning.


@pytest.mark.parametrize(("fault", "dialect"), [(fault, name) for fault, names in _SENSELESS.items() for name in names])
def test_a_fault_without_a_meaning_is_refused_and_the_dialect_named(fault: str, dialect: str) -> None:
    answer = faulty(dialect, fault).ask(stream=True)
    assert answer.status == 400
    error = answer.tree.get("error", answer.tree)
    assert f"'{fault}' has no meaning in the dialect {dialect}" in error["message"]


@each_dialect
@each_way
@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault not in INSTEAD])
def test_every_fault_is_refused_or_ends_somehow(dialect: str, fault: str, stream: bool) -> None:
    one = faulty(dialect, fault, model="tools", tools=TOOLS)
    one.model += "&size=10"
    answer = one.ask(stream=stream)
    refused = dialect in _SENSELESS.get(fault, {})
    assert answer.status == (400 if refused else 500 if "error" in fault and not stream else 200), answer.body
    assert isinstance(answer.steps[-1], EndBody | BreakOff | Stall)


ARRAY = b"/v1beta/models/text%%3Ffault=%s%%26at=4:streamGenerateContent"


def array(fault: str) -> Answer:
    return send(b"POST", ARRAY % fault.encode(), TALKS["gemini"]("text", MARK).body(stream=True))


@pytest.mark.parametrize("fault", ["comments", "crlf", "cr", "no-space", "multi-line"])
def test_an_array_has_no_lines_of_events(fault: str) -> None:
    answer = array(fault)
    assert answer.status == 400
    assert "JSON array" in answer.tree["error"]["message"]


def test_faults_in_an_array() -> None:
    said = [chunk["candidates"] for chunk in array("trickle").tree]
    assert [chunk["candidates"] for chunk in array("blanks").tree] == said
    assert len(array("big-frame%26size=10").body) - len(array("blanks").body.replace(b"\n\n", b"")) > 10
    assert not array("no-done").body.endswith(b"]")
    assert array("double-done").body.endswith(b"]]")
    early = array("usage-early").tree
    assert [at for at, chunk in enumerate(early) if "usageMetadata" in chunk] == [3]
    with pytest.raises(msgspec.DecodeError):
        assert array("bad-json").tree
    assert "error" in array("error-midstream").tree[-1]


# On the connection.


@each_dialect
@pytest.mark.parametrize("fault", ["reset", "fin", "eof"])
def test_a_stream_that_ends_too_early_is_not_complete(dialect: str, fault: str) -> None:
    one = faulty(dialect, fault)
    answer = one.ask(stream=True)
    found = one.events(answer)
    assert isinstance(found[-1], ResponseFailed)
    assert isinstance(found[-1].error, UpstreamBroke)
    assert sum(isinstance(event, PartDelta) for event in found) == 3
    assert isinstance(answer.steps[-1], EndBody if fault == "eof" else BreakOff)


@each_dialect
def test_a_client_can_go_on_after_a_fault_that_left_the_answer_whole(dialect: str) -> None:
    results = numbered_results()
    one = faulty(dialect, "trickle", model="agent", tools=TOOLS)
    for _ in range(3):
        one.go_on(stream=True, results=results)
    assert one.go_on(stream=True, results=results) == []


def test_the_page_says_which_faults_are_refused_where() -> None:
    page = (Path(__file__).parents[2] / "docs" / "simulator.md").read_text(encoding="utf-8")
    rows = [line for line in page.splitlines() if line.startswith("| `") and "efused" in line]
    for fault in (*_SENSELESS, "comments", "crlf", "cr", "no-space", "multi-line"):
        assert any(f"`{fault}`" in row.split("|")[1] for row in rows), fault
