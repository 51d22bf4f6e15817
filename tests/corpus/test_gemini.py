"""Every recorded Gemini answer: what we read of it, and what a client reads of it through us.

A deviation from what google-genai reads is a row of a table with its reason. A row that is no longer needed fails, so
that the tables say what is true.
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

from tests.dialects.gemini.streams import (
    GEMINI,
    PROFILE,
    asking,
    calls_of,
    check_watch,
    cuts_of,
    decode,
    encode,
    joined,
    objects_of,
    read_strictly,
    relay,
)
from thalweg.canon.errors import UpstreamBroke, UpstreamRefused
from thalweg.canon.events import Pinged, ResponseFailed
from thalweg.canon.fold import fold, unfold
from thalweg.canon.parts import Media, Opaque, Reasoning, Text, ToolCall
from thalweg.canon.response import Choice, Response
from thalweg.dialects.base import watch_answer
from thalweg.dialects.gemini.array import ArrayDecoder
from thalweg.dialects.gemini.relayer import GeminiRelayer
from thalweg.dialects.gemini.tables import GEMINI_REPAIRS
from thalweg.framing.sse import SseDecoder

# Also known to conftest.py as the fixture `corpus_root`; here the names of the cases are the tests' ids.
ROOT = Path(os.environ.get("THALWEG_TEST_CORPUS") or Path(__file__).resolve().parents[3] / "shared" / "corpus")
BYTE_BY_BYTE = 64 * 1024


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

    @property
    def is_array(self) -> bool:
        return self.meta.get("stream_format") == "json-array"

    @cached_property
    def sse(self) -> bytes:
        """The body as it would have come with `alt=sse`."""
        if not self.is_array:
            return self.body
        objects = (json.dumps(each, separators=(",", ":")).encode() for each in json.loads(self.body))
        return b"".join(b"data: " + each + b"\r\n\r\n" for each in objects)

    def cuttings(self, draw: random.Random, body: bytes) -> Iterator[list[bytes]]:
        yield [body]
        yield cuts_of(body, 1 if len(body) <= BYTE_BY_BYTE else 997)
        for _ in range(3):
            edges = sorted({0, len(body), *(draw.randrange(len(body)) for _ in range(9))})
            yield [body[a:b] for a, b in itertools.pairwise(edges)]


def cases(kind: str) -> list[Case]:
    index = ROOT / "index.json"
    if not index.is_file():
        return []
    folder = ROOT / ("errors/gemini" if kind == "error" else "gemini")
    found = [Case(path) for path in sorted(folder.iterdir())]
    return found if kind == "error" else [case for case in found if case.meta["kind"] == kind]


def each(kind: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", cases(kind), ids=lambda case: case.name)


pytestmark = pytest.mark.usefixtures("corpus_root")

_IN_PIECES = "the SDK shows the pieces of a streamed call as calls of their own; ours is one, whole"
_ENUMS = "an enum as a number; ours is its digits"
_BLOCKED = "a blocked prompt: no candidate said why, the block does"
_NO_END = "the recording ends without a finishReason, which the SDK passes over (law 6)"
DEVIATIONS = {
    ("google--gemini-1.5-flash-text-array-d8c13e", "finish"): _ENUMS,
    ("google--gemini-2.0-flash-text-array-f70c76", "finish"): _ENUMS,
    ("vertex--gemini-2.5-pro-image-in-json-07de39", "finish"): _ENUMS,
    ("vertex--gemini-2.5-pro-text-json-c4f516", "finish"): _ENUMS,
    ("google--gemini-2.0-flash-text-json-ce5fbf", "finish"): _BLOCKED,
    ("vertex--gemini-2.5-flash-content-filter-json-dfe168", "finish"): _BLOCKED,
    ("vertex--model-content-filter-dedb36", "finish"): _BLOCKED,
    ("vertex--gemini-2.5-flash-content-filter-json-dfe168", "usage"): "an object without a count is no usage",
    ("google--gemini-3-flash-preview-parallel-tools-ac385f", "calls"): _IN_PIECES,
    ("google--gemini-3.1-pro-preview-parallel-tools-d0afc7", "calls"): _IN_PIECES,
    ("vertex--gemini-3.1-pro-preview-parallel-tools-bca2ba", "calls"): _IN_PIECES,
    ("vertex--model-text-b8438a", "error"): _NO_END,
    ("vertex--model-text-bb5fcf", "error"): _NO_END,
    ("vertex--model-mid-stream-error-5cc156", "finish"): "an answer that broke off has no finish reason",
}
"""What we read otherwise than the SDK, and why."""


def shown(choice: Choice | None) -> dict[str, Any]:
    """A choice of ours in the words of `expected`."""
    choice = choice or Choice(index=0, parts=(), finish_reason=None)
    return {
        "text": joined(choice, Text),
        "reasoning": joined(choice, Reasoning),
        "calls": [(c.name, json.loads(c.arguments)) for c in calls_of(choice)],
        "finish": choice.raw_finish_reason,
    }


def assert_reads_as_expected(case: Case, response: Response) -> None:
    want = case.expected
    choices = {choice.index: choice for choice in response.choices}
    got = shown(choices.get(0))
    wanted = {
        "text": want["text"] or "",
        "reasoning": want["reasoning"] or "",
        "calls": [(c["name"], c["arguments"]) for c in want["tool_calls"]],
        "finish": want["finish_reason"],
    }
    found: dict[str, Any] = {key: (wanted[key], got[key]) for key in wanted if wanted[key] != got[key]}
    # The SDK drops fields of usage that it does not know.
    said = response.raw_usage or {}
    if any(said.get(key) != value for key, value in (want["usage"] or {}).items()):
        found["usage"] = (want["usage"], response.raw_usage)
    if len(choices) > 1 or "other_candidates" in want:
        assert len(choices) - 1 == want["other_candidates"]
    if (response.error is not None) is not ("error" in want):
        found["error"] = response.error
    known = {key for name, key in DEVIATIONS if name == case.name}
    assert set(found) == known, found
    given = [call.id for call in calls_of(choices[0])] if 0 in choices else []
    assert all(given)
    assert len(set(given)) == len(given)


# Reading.


def same(one: Response, other: Response) -> bool:
    """Errors are compared by what they say."""
    pair = [msgspec.structs.replace(response, error=None) for response in (one, other)]
    return str(one.error) == str(other.error) and pair[0] == pair[1]


@each("stream")
def test_a_stream_reads_as_the_sdk_reads_it_however_it_is_cut(case: Case, seeded_random: random.Random) -> None:
    first: Response | None = None
    for pieces in case.cuttings(seeded_random, case.body):
        response = fold(decode(pieces, provider=case.provider, array=case.is_array))
        if first is None:
            first = response
            assert_reads_as_expected(case, response)
            if "error" in case.expected:
                assert_error_is(response.error, case.expected["error"])
        else:
            assert same(response, first)


def assert_error_is(error: Any, expected: dict[str, Any]) -> None:
    (frame,) = encode([ResponseFailed(error=error)])
    said = read_strictly(frame).error
    assert [said[key] for key in ("code", "status", "message")] == [
        expected[key] for key in ("code", "status", "message")
    ]


@each("stream")
def test_an_array_reads_as_the_same_stream_in_sse(case: Case) -> None:
    if case.is_array:
        assert same(fold(decode(case.body, array=True)), fold(decode(case.sse)))


@each("json")
def test_a_whole_answer_reads_as_the_sdk_reads_it(case: Case) -> None:
    assert_reads_as_expected(case, GEMINI.decode_answer(case.body, profile=PROFILE, provider=case.provider))


@each("json")
def test_a_whole_answer_sent_as_one_chunk_folds_to_the_same(case: Case) -> None:
    tree = json.loads(case.body)
    whole = GEMINI.decode_answer(case.body, profile=PROFILE, provider=case.provider)
    streamed = fold(decode(b"data: " + json.dumps(tree).encode() + b"\r\n\r\n", provider=case.provider))
    if all(candidate.get("finishReason") for candidate in tree.get("candidates", ())):
        assert [shown(one) for one in streamed.choices] == [shown(one) for one in whole.choices]
        assert streamed.raw_usage == whole.raw_usage
    else:
        assert isinstance(streamed.error, UpstreamBroke)


@each("json")
def test_the_watch_of_a_whole_answer_agrees_with_its_reading(case: Case) -> None:
    read = GEMINI.decode_answer(case.body, profile=PROFILE, provider=case.provider)
    watch = watch_answer(GEMINI, case.body, profile=PROFILE, provider=case.provider)
    assert (watch.usage, watch.raw_usage, watch.model) == (read.usage, read.raw_usage, read.model)
    assert watch.complete
    assert watch.finished
    assert watch.error is None


# Writing anew.


def as_streamed(choice: Choice) -> list[Any]:
    """The parts as far as a stream can carry them: a signed text comes as a text and a signature behind it."""
    kept: list[Any] = []
    for part in choice.parts:
        if not isinstance(part, Text):
            kept.append(part)
            continue
        before = kept[-1] if kept else None
        unsigned = msgspec.structs.replace(part, signature=None, citations=())
        if isinstance(before, Text) and before.signature is None:
            kept[-1] = msgspec.structs.replace(before, text=before.text + part.text)
        elif part.text:
            kept.append(unsigned)
        if part.signature is not None:
            kept.append(msgspec.structs.replace(unsigned, text="", signature=part.signature))
    return [without_model(part) for part in kept]


def without_model(part: Any) -> Any:
    """A part whose signature does not say which model made it, because the wire does not."""
    signature = getattr(part, "signature", None)
    if signature is not None:
        part = msgspec.structs.replace(part, signature=msgspec.structs.replace(signature, model=""))
    return (part.id, part.name, json.loads(part.arguments), part.signature) if isinstance(part, ToolCall) else part


def sources_of(choice: Choice) -> set[str]:
    return {citation.url for part in choice.parts if isinstance(part, Text) for citation in part.citations}


def assert_says_the_same(again: Response, response: Response) -> None:
    assert again.complete
    assert [choice.index for choice in again.choices] == [choice.index for choice in response.choices]
    for one, other in zip(again.choices, response.choices, strict=True):
        assert as_streamed(one) == as_streamed(other)
        assert sources_of(one) == sources_of(other)
        assert one.finish_reason == other.finish_reason
    assert (again.usage is None) is (response.usage is None)
    if response.usage is not None and again.usage is not None:
        assert again.usage.input_tokens == (response.usage.input_tokens or 0)
        assert again.usage.output_tokens == (response.usage.output_tokens or 0)
        assert again.usage.reasoning_tokens == response.usage.reasoning_tokens
        assert again.usage.cached_input_tokens == response.usage.cached_input_tokens


@each("stream")
@pytest.mark.parametrize("array", [False, True], ids=["sse", "array"])
def test_a_stream_written_anew_reads_the_same(case: Case, array: bool) -> None:
    events = [event for event in decode(case.body, array=case.is_array) if not isinstance(event, Pinged)]
    response = fold(events)
    body = b"".join(encode(events, array=array))
    read = read_strictly(body, array=array, ours=True)
    assert (read.error is None) is response.complete
    if response.complete:
        assert_says_the_same(fold(decode(body, array=array)), response)


@each("json")
def test_a_whole_answer_written_anew_reads_the_same(case: Case) -> None:
    response = GEMINI.decode_answer(case.body, profile=PROFILE, provider=case.provider)
    body = GEMINI.encode_answer(response, asking())
    read_strictly(b"data: " + body, ours=True)
    assert_says_the_same(GEMINI.decode_answer(body, profile=PROFILE, provider="acme"), response)
    streamed = b"".join(encode(unfold(response)))
    read_strictly(streamed, ours=True)
    assert_says_the_same(fold(decode(streamed)), response)


# Relaying.


def split(body: bytes) -> list[bytes]:
    sse = SseDecoder()
    return [one.raw for one in [*sse.feed(body), *sse.end()]]


NUMBERED = {"google--gemini-1.5-flash-text-array-d8c13e", "google--gemini-2.0-flash-text-array-f70c76"}


@each("stream")
def test_only_frames_of_a_repair_row_change(case: Case) -> None:
    """Every other byte is the provider's own."""
    relayer = GeminiRelayer(profile=PROFILE, framing="sse", raw=False, provider=case.provider)
    sse = SseDecoder()
    for one in [*sse.feed(case.sse), *sse.end()]:
        before = dict(relayer.watch.repaired)
        left = relayer.feed([one])
        if relayer.watch.error is not None:
            assert b'"error"' in one.raw
            assert left == []
        elif relayer.watch.repaired == before:
            assert left == [one.raw]
        else:
            assert case.name in NUMBERED
            assert set(relayer.watch.repaired) == {"numeric-enums"}
    assert relayer.end() == []


@each("stream")
@pytest.mark.parametrize("array", [False, True], ids=["sse", "array"])
def test_a_client_reads_of_the_relayed_stream_what_it_would_have_read(case: Case, array: bool) -> None:
    relayed = relay(case.sse, array=array, provider=case.provider)
    read = read_strictly(relayed.body, array=array)
    want = case.expected
    mine = read.candidates.get(0)
    assert (mine.text if mine else "") == (want["text"] or "")
    assert (mine.thoughts if mine else "") == (want["reasoning"] or "")
    calls = mine.calls if mine else []
    assert [(c.get("name"), c.get("args") or None) for c in calls] == [
        (c["name"], c["arguments"] or None) for c in want["tool_calls"]
    ]
    assert read.blocked == want.get("block_reason")
    if case.name not in NUMBERED:
        assert (mine.finish if mine else None) == want["finish_reason"]
    if "error" in want:
        assert [read.error[key] for key in ("code", "status")] == [want["error"][key] for key in ("code", "status")]
    else:
        assert (read.error is not None) is ((case.name, "error") in DEVIATIONS)


@each("stream")
def test_an_array_has_the_original_objects(case: Case) -> None:
    if case.name in NUMBERED:
        return
    relayed = relay(case.sse, array=True, provider=case.provider)
    objects = [one for one in objects_of(relayed.body, array=True) if "error" not in one]
    sent = [json.loads(raw[6:]) for raw in split(case.sse) if raw.startswith(b"data: ")]
    assert objects == sent
    for raw in split(case.sse):
        if raw.startswith(b"data: "):
            assert raw[6:].strip() in relayed.body


@each("stream")
@pytest.mark.parametrize("array", [False, True], ids=["sse", "array"])
def test_a_relayed_stream_is_the_same_however_it_is_cut(case: Case, array: bool, seeded_random: random.Random) -> None:
    whole = relay(case.sse, array=array, provider=case.provider)
    for pieces in [*case.cuttings(seeded_random, case.sse), split(case.sse)]:
        relayed = relay(pieces, array=array, provider=case.provider)
        assert relayed.body.rstrip(b"\r\n") == whole.body.rstrip(b"\r\n")
        for slot in ("usage", "raw_usage", "finishes", "complete", "choices", "deltas", "narrow_chars", "wide_chars"):
            assert getattr(relayed.watch, slot) == getattr(whole.watch, slot), slot


@each("stream")
def test_the_short_cut_for_common_frames_changes_nothing(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    with_it = relay(split(case.sse))
    monkeypatch.setattr(GeminiRelayer, "pass_on", lambda *_: None)
    without = relay(split(case.sse))
    assert with_it.frames == without.frames
    for slot in (
        "usage",
        "raw_usage",
        "finishes",
        "complete",
        "choices",
        "deltas",
        "narrow_chars",
        "wide_chars",
        "content_seen",
        "model",
        "narrow_covered",
    ):
        assert getattr(with_it.watch, slot) == getattr(without.watch, slot), slot


@each("stream")
def test_raw_changes_no_byte(case: Case, seeded_random: random.Random) -> None:
    """But for an error, which the relay says in its own words."""
    for pieces in case.cuttings(seeded_random, case.sse):
        relayed = relay(pieces, raw=True)
        assert not relayed.watch.repaired
        if relayed.watch.error is None:
            # The last LF may come when nothing waits for it any more.
            assert relayed.body.rstrip(b"\r\n") == case.sse.rstrip(b"\r\n")


@each("stream")
def test_the_watch_agrees_with_the_decoder(case: Case) -> None:
    for raw in (False, True):
        watch = relay(case.sse, raw=raw, provider=case.provider).watch
        check_watch(watch, decode(case.sse, provider=case.provider))


@each("stream")
def test_a_stream_that_ends_early_never_ends_like_a_good_one(case: Case, seeded_random: random.Random) -> None:
    """Cut at every frame's border and at random bytes."""
    whole = relay(case.sse, provider=case.provider)
    edges = list(itertools.accumulate(map(len, split(case.sse)), initial=0))
    for at in [*edges, *(seeded_random.randrange(len(case.sse)) for _ in range(20))]:
        relayed = relay(case.sse[:at], provider=case.provider)
        check_watch(relayed.watch, decode(case.sse[:at], provider=case.provider))
        read = read_strictly(relayed.body)
        finished = read.blocked or any(one.finish for one in read.candidates.values())
        assert (read.error is None) is relayed.watch.complete
        assert relayed.watch.complete is bool(finished and relayed.watch.error is None)
        if relayed.watch.complete:
            assert whole.body.startswith(relayed.body.rstrip(b"\r\n"))
        elif not finished:
            assert isinstance(relayed.watch.error, UpstreamBroke)
            assert "broke off" in str(relayed.watch.error)


@each("stream")
def test_an_array_that_ends_early_is_broken_off(case: Case) -> None:
    if not case.is_array:
        return
    cutter = ArrayDecoder()
    objects = [one.raw for one in cutter.feed(case.body)]
    for upto in range(len(objects)):
        body = b"[" + b",".join(objects[:upto])
        events = decode(body, array=True)
        done = any(b"finishReason" in one for one in objects[:upto])
        assert fold(events).complete is done


# Errors before the stream.


@each("error")
def test_an_error_is_passed_on_as_the_sdk_would_have_read_it(case: Case) -> None:
    status, expected = case.meta["status"], case.expected["error"]
    error = GEMINI.decode_error(status, [], case.body, provider=case.provider, key_name="ACME_API_KEY")
    assert isinstance(error, UpstreamRefused)
    wire = GEMINI.encode_error(error)
    said = json.loads(wire.body)["error"]
    assert said["code"] == wire.status
    if status in (401, 402, 403) or "API_KEY_INVALID" in case.body.decode():
        assert wire.status == 500
        assert error.status == 502
        assert case.provider in said["message"]
        assert "ACME_API_KEY" in said["message"]
        assert (b"x-should-retry", b"false") in wire.headers
        return
    assert wire.status == status
    assert (said["message"], said["status"]) == (expected["message"], expected["status"])


# The tables.


def test_each_deviation_names_a_case() -> None:
    names = {case.name for kind in ("stream", "json") for case in cases(kind)}
    assert {name for name, _ in DEVIATIONS} <= names


def test_rows_that_no_recording_needs_are_needed_elsewhere() -> None:
    used: set[str] = set()
    for case in cases("stream"):
        used |= set(relay(case.sse).watch.repaired)
    assert GEMINI_REPAIRS - used == {"framing", "separators", "lost-signature"}


def test_parts_without_a_meaning_elsewhere_are_kept_in_their_place() -> None:
    """Code that Google ran, its results, its searches; and pictures."""
    kept = [
        part
        for case in cases("stream")
        for choice in fold(decode(case.body, array=case.is_array)).choices
        for part in choice.parts
        if isinstance(part, Opaque)
    ]
    assert {key for part in kept for key in part.raw} >= {"executableCode", "codeExecutionResult", "toolCall"}
    pictures = [
        part
        for case in cases("json")
        for choice in GEMINI.decode_answer(case.body, profile=PROFILE, provider="").choices
        for part in choice.parts
        if isinstance(part, Media)
    ]
    assert pictures
