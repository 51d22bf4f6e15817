"""Every recorded Anthropic answer: what we read of it, and what a client reads of it through us.

A deviation from what the provider's SDK reads is a row of a table with its reason. A row that is no longer needed
fails, so that the tables say what is true.
"""

from __future__ import annotations

import itertools
import json
import os
import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.dialects.anthropic_messages.streams import (
    ANTHROPIC,
    ASKED,
    MENDED,
    PLAIN,
    calls_of,
    check_watch,
    cuts_of,
    decode,
    joined,
    read_strictly,
    relay,
)
from thalweg.canon.errors import UpstreamBroke, UpstreamRefused
from thalweg.canon.fold import fold, unfold
from thalweg.canon.losses import Losses
from thalweg.canon.parts import Media, Opaque, Reasoning, Text
from thalweg.canon.response import Choice, Response
from thalweg.canon.turns import arrange
from thalweg.canon.usage import Usage
from thalweg.dialects.base import watch_answer
from thalweg.framing.sse import SseDecoder

# Also known to conftest.py as the fixture `corpus_root`; here the names of the cases are the tests' ids.
ROOT = Path(os.environ.get("THALWEG_TEST_CORPUS") or Path(__file__).resolve().parents[3] / "shared" / "corpus")
BYTE_BY_BYTE = 64 * 1024

SPLICED = "anthropic--claude-3-haiku-20240307-reasoning-parallel-tools-ab068f"
"""The upstream began again in the middle of a call: the SDK runs the two answers together, for us it is broken."""

DEVIATIONS = {
    ("anthropic--claude-fable-5-refusal-server-tool-b574a4", "usage"): "`iterations`, which the SDK leaves out",
    ("anthropic--claude-fable-5-server-tool-648cd2", "usage"): "`iterations`, which the SDK leaves out",
    ("anthropic--claude-sonnet-4-6-reasoning-server-tool-b16b1d", "usage"): "`iterations`, which the SDK leaves out",
    (
        "anthropic--claude-sonnet-4-5-20250929-server-tool-cec9dd",
        "server_tool_calls",
    ): "arguments of an `mcp_tool_use`, which the SDK does not add up",
    ("anthropic--claude-sonnet-4-5-text-3b4ccb", "usage"): "`fallback_credit`, which the SDK leaves out",
}
"""What we read otherwise than the SDK, and why. Numbers that are null are no numbers, on either side."""

REPAIRED = {"openrouter--claude-haiku-4.5-length-f692d4": {"done"}}
"""Streams that a row mends."""


@dataclass(frozen=True)
class Case:
    """One recorded answer."""

    folder: Path

    @property
    def name(self) -> str:
        return self.folder.name

    @cached_property
    def meta(self) -> dict[str, Any]:
        return json.loads((self.folder / "meta.json").read_bytes())

    @cached_property
    def body(self) -> bytes:
        (file,) = self.folder.glob("response.*")
        return file.read_bytes()

    @property
    def expected(self) -> dict[str, Any]:
        return self.meta["expected"]

    @property
    def provider(self) -> str:
        return self.meta["provider"]

    def cuttings(self, draw: random.Random) -> Iterator[list[bytes]]:
        yield [self.body]
        yield cuts_of(self.body, 1 if len(self.body) <= BYTE_BY_BYTE else 997)
        yield frames_of(self.body)
        for _ in range(3):
            edges = sorted({0, len(self.body), *(draw.randrange(len(self.body)) for _ in range(9))})
            yield [self.body[a:b] for a, b in itertools.pairwise(edges)]


def cases(kind: str) -> list[Case]:
    if not (ROOT / "index.json").is_file():
        return []
    folder = ROOT / ("errors/anthropic" if kind == "error" else "anthropic")
    found = [Case(path) for path in sorted(folder.iterdir())]
    return found if kind == "error" else [case for case in found if case.meta["kind"] == kind]


def each(kind: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", cases(kind), ids=lambda case: case.name)


pytestmark = pytest.mark.usefixtures("corpus_root")


def frames_of(body: bytes) -> list[bytes]:
    sse = SseDecoder()
    return [one.raw for one in [*sse.feed(body), *sse.end()]]


def parsed(arguments: str) -> Any:
    try:
        return json.loads(arguments)
    except ValueError:
        return {"_unparsed": arguments}


def shown(choice: Choice | None) -> dict[str, Any]:
    """A choice of ours in the words of `expected`."""
    choice = choice or Choice(index=0, parts=(), finish_reason=None)
    return {
        "text": joined(choice, Text),
        "reasoning": joined(choice, Reasoning),
        "tool_calls": [{"name": c.name, "arguments": parsed(c.arguments), "id": c.id} for c in calls_of(choice)],
        "finish_reason": choice.raw_finish_reason,
        "stop_sequence": choice.stop_sequence,
        "server_tool_calls": [
            {"name": raw["name"], "arguments": raw["input"], "id": raw["id"]}
            for part in choice.parts
            if isinstance(part, Opaque)
            for raw in [part.raw]
            if raw["type"] in ("server_tool_use", "mcp_tool_use")
        ],
    }


def numbers(raw: Any) -> Any:
    """Usage without what is null, which the SDK has or has not by where it stood."""
    return {name: value for name, value in (raw or {}).items() if value is not None}


def wanted(case: Case) -> dict[str, Any]:
    expected = case.expected
    calls = expected["tool_calls"]
    if "length" in case.meta["features"]:
        # The SDK mends arguments that were cut; we say what came.
        calls = None
    return {
        "text": expected["text"] or "",
        "reasoning": expected["reasoning"] or "",
        "tool_calls": calls,
        "finish_reason": expected["finish_reason"],
        "stop_sequence": expected.get("stop_sequence"),
        "server_tool_calls": expected.get("server_tool_calls") or [],
    }


def assert_reads_as_expected(case: Case, got: dict[str, Any], usage: Any) -> None:
    want = wanted(case)
    found = {name: (want[name], got[name]) for name in want if want[name] != got[name] and want[name] is not None}
    if numbers(case.expected["usage"]) != numbers(usage):
        found["usage"] = (case.expected["usage"], usage)
    known = {key for name, key in DEVIATIONS if name == case.name}
    assert set(found) == known, found


def same(one: Response, other: Response) -> bool:
    """Errors are compared by what they say."""
    pair = [msgspec.structs.replace(response, error=None) for response in (one, other)]
    return str(one.error) == str(other.error) and pair[0] == pair[1]


# Reading.


@each("stream")
def test_a_stream_reads_as_the_sdk_reads_it_however_it_is_cut(case: Case, seeded_random: random.Random) -> None:
    first = fold(decode(case.body, provider=case.provider))
    if case.name == SPLICED:
        assert isinstance(first.error, UpstreamBroke)
        assert "a second time" in first.error.message
    else:
        assert first.complete
        assert_reads_as_expected(case, shown(first.choices[0]), first.raw_usage)
    for pieces in case.cuttings(seeded_random):
        assert same(fold(decode(pieces, provider=case.provider)), first)


@each("json")
def test_a_whole_answer_reads_as_the_sdk_reads_it(case: Case) -> None:
    read = ANTHROPIC.decode_answer(case.body, profile=PLAIN, provider=case.provider)
    assert_reads_as_expected(case, shown(read.choices[0]), read.raw_usage)


@each("json")
def test_the_watch_of_a_whole_answer_agrees_with_its_reading(case: Case) -> None:
    read = ANTHROPIC.decode_answer(case.body, profile=PLAIN, provider=case.provider)
    watch = watch_answer(ANTHROPIC, case.body, profile=PLAIN, provider=case.provider)
    assert (watch.usage, watch.raw_usage, watch.model) == (read.usage, read.raw_usage, read.model)
    assert watch.complete
    assert watch.finished


@each("json")
def test_a_whole_answer_read_as_a_stream_is_the_same(case: Case) -> None:
    """A stream whose first event says everything, as those of turns that were put off."""
    tree = json.loads(case.body)
    start = b'event: message_start\ndata: {"type":"message_start","message":' + msgspec.json.encode(tree) + b"}\n\n"
    streamed = fold(decode(start + b'event: message_stop\ndata: {"type":"message_stop"}\n\n'))
    assert streamed == ANTHROPIC.decode_answer(case.body, profile=PLAIN, provider=case.provider)


@each("error")
def test_an_error_reads_as_it_was_said(case: Case) -> None:
    status = case.meta["status"]
    said = json.loads(case.body)["error"]
    error = ANTHROPIC.decode_error(status, [], case.body, provider="acme", key_name="ACME_API_KEY")
    assert isinstance(error, UpstreamRefused)
    assert error.upstream_status == status
    if status == 401:
        assert (error.status, error.message) == (502, "acme refused ACME_API_KEY")
    else:
        assert (error.status, error.message, error.provider_type) == (status, said["message"], said["type"])
        told = ANTHROPIC.encode_error(error)
        assert told.status == status
        assert json.loads(told.body)["error"] == {"type": said["type"], "message": said["message"]}


# Writing anew.


def comparable(response: Response) -> Any:
    """Without what this dialect cannot say again: numbers that were unknown are nought, and empty texts are none."""
    usage = response.usage or Usage()
    known = msgspec.structs.replace(
        usage, cached_input_tokens=usage.cached_input_tokens or 0, cache_write_tokens=usage.cache_write_tokens or 0
    )
    choices = [
        msgspec.structs.replace(choice, parts=tuple(p for p in choice.parts if not isinstance(p, Text) or p.text))
        for choice in response.choices
    ]
    return choices, known


@each("stream")
def test_a_stream_written_anew_reads_the_same(case: Case) -> None:
    events = decode(case.body, provider=case.provider)
    before = fold(events)
    for turns in ([events], [[event] for event in events]):
        encoder = ANTHROPIC.stream_encoder(ASKED, response_id=before.response_id, model=before.model, created=0)
        body = b"".join(piece for turn in turns for piece in encoder.encode(turn))
        after = fold(decode(body))
        strict = read_strictly(body)
        if case.name == SPLICED:
            assert strict.error is not None
            assert after.error is not None
            continue
        assert comparable(after) == comparable(before)
        assert strict.stopped
        assert (strict.text, strict.thinking) == (joined(before.choices[0], Text), joined(before.choices[0], Reasoning))
        assert strict.message["stop_reason"] == case.expected["finish_reason"]


@each("json")
def test_a_whole_answer_written_anew_reads_the_same(case: Case) -> None:
    before = ANTHROPIC.decode_answer(case.body, profile=PLAIN, provider=case.provider)
    whole = ANTHROPIC.decode_answer(ANTHROPIC.encode_answer(before, ASKED), profile=PLAIN, provider="")
    encoder = ANTHROPIC.stream_encoder(ASKED, response_id=before.response_id, model=before.model, created=0)
    streamed = fold(decode(b"".join(encoder.encode(unfold(before)))))
    for after in (whole, streamed):
        assert comparable(after) == comparable(before)
        assert after.response_id == before.response_id


# Relaying.


@each("stream")
def test_only_frames_of_a_repair_row_change(case: Case, seeded_random: random.Random) -> None:
    events = decode(case.body, provider=case.provider)
    for pieces in case.cuttings(seeded_random):
        relayed = relay(pieces, provider=case.provider)
        check_watch(relayed.watch, events)
        assert case.body.startswith(relayed.body)
        rest = case.body[len(relayed.body) :]
        if case.name == SPLICED:
            assert rest.startswith(b"event: message_start")
        else:
            assert rest.strip() in (b"", b"event: data\ndata: [DONE]")
            assert relayed.watch.complete
    assert set(relay(case.body, provider=case.provider).watch.repaired) == REPAIRED.get(case.name, set())


@each("stream")
def test_a_client_reads_of_the_relayed_stream_what_it_would_have_read(case: Case) -> None:
    read = read_strictly(relay(case.body, provider=case.provider).body)
    if case.name == SPLICED:
        assert not read.stopped
        return
    for block in read.blocks:
        assert isinstance(block.get("input", {}), dict) or "length" in case.meta["features"]
    got = {
        "text": read.text,
        "reasoning": read.thinking,
        "tool_calls": [{"name": c["name"], "arguments": c["input"], "id": c["id"]} for c in read.calls],
        "finish_reason": read.message["stop_reason"],
        "stop_sequence": read.message["stop_sequence"],
        "server_tool_calls": [
            {"name": b["name"], "arguments": b["input"], "id": b["id"]}
            for b in read.blocks
            if b["type"] in ("server_tool_use", "mcp_tool_use")
        ],
    }
    assert_reads_as_expected(case, got, read.message["usage"])


@each("stream")
def test_a_stream_that_ends_early_never_ends_like_a_good_one(case: Case) -> None:
    """At every frame before the one that says why it stopped; from there on it is whole."""
    frames = frames_of(case.body)
    for at in range(len(frames)):
        body = b"".join(frames[:at])
        response = fold(decode(body, provider=case.provider))
        relayed = relay(body, profile=MENDED, provider=case.provider)
        whole = any(b'"message_delta"' in one and b'"stop_reason":null' not in one for one in frames[:at])
        if case.name == SPLICED:
            whole = False
        assert response.complete is relayed.watch.complete is whole
        if not whole:
            assert isinstance(response.error, UpstreamBroke)
            assert isinstance(relayed.watch.error, UpstreamBroke)
            assert not read_strictly(relayed.body).stopped
            assert body.startswith(relayed.body)


# Requests.


def requests() -> list[Path]:
    folder = ROOT / "anthropic"
    return sorted(folder.glob("*/request.json")) if folder.is_dir() else []


@pytest.mark.parametrize("path", requests(), ids=lambda path: path.parent.name)
def test_a_recorded_request_is_taken_and_written_anew(path: Path) -> None:
    """Vertex and Bedrock say the model in the path, so one is put in."""
    tree = {"model": "claude-sonnet-4-5"} | json.loads(path.read_bytes())
    body = json.dumps(tree).encode()
    asked = ANTHROPIC.read_request(body)
    assert json.loads(asked.edited(model=tree["model"], profile=PLAIN, stream=asked.stream)) == tree | (
        {"stream": True} if asked.stream else {}
    )
    if json.loads((path.parent / "meta.json").read_bytes())["request_trimmed"]:
        return  # what is left of its pictures is no base64
    canon = asked.canon()
    losses = Losses("lenient")
    arranged = msgspec.structs.replace(canon, messages=arrange(canon.messages, losses))
    written = ANTHROPIC.encode_request(arranged, model=tree["model"], profile=PLAIN, stream=asked.stream, losses=losses)
    again = ANTHROPIC.read_request(written.body).canon()
    assert plain_texts(again) == plain_texts(canon)
    assert again.sampling.max_tokens == canon.sampling.max_tokens
    assert [tool.name for tool in again.tools] == [tool.name for tool in canon.tools if tool.kind != "hosted"]


def plain_texts(request: Any) -> list[Any]:
    """What was said, by whom, without what only one vendor's model takes."""
    said = [("system", part.text) for part in request.system]
    for message in request.messages:
        said += [(message.role, part.text) for part in message.parts if isinstance(part, Text) and part.text.strip()]
        said += [(message.role, part.data or part.url) for part in message.parts if isinstance(part, Media)]
    return said
