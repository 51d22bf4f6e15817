"""Every recorded Responses answer: what we read of it, and what a client reads of it through us.

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

from tests.dialects.openai_responses.streams import (
    ALL_ROWS,
    ASKED,
    RESPONSES,
    Relayed,
    check_watch,
    cuts_of,
    decode,
    encode,
    read_strictly,
    relay,
)
from thalweg.canon.errors import UpstreamBroke, UpstreamFailed, UpstreamRefused
from thalweg.canon.events import Event, PartDelta
from thalweg.canon.fold import fold
from thalweg.canon.parts import Opaque, Part, Reasoning, Refusal, Signature, Text, ToolCall
from thalweg.canon.response import Choice, Response
from thalweg.dialects.base import watch_answer
from thalweg.dialects.openai_responses import RESPONSES_REPAIRS
from thalweg.framing.sse import SseDecoder
from thalweg.profiles.base import Profile

# Also known to conftest.py as the fixture `corpus_root`; here the names of the cases are the tests' ids.
ROOT = Path(os.environ.get("THALWEG_TEST_CORPUS") or Path(__file__).resolve().parents[3] / "shared" / "corpus")
BYTE_BY_BYTE = 32 * 1024


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

    @cached_property
    def frames(self) -> list[bytes]:
        sse = SseDecoder()
        return [one.raw for one in [*sse.feed(self.body), *sse.end()]]

    @cached_property
    def values(self) -> list[dict[str, Any]]:
        """The events of a stream."""
        sse = SseDecoder()
        payloads = [one.data for one in [*sse.feed(self.body), *sse.end()]]
        return [json.loads(data) for data in payloads if data and data != b"[DONE]"]

    @property
    def last(self) -> dict[str, Any] | None:
        """The response of a stream's last event, where it has ended well."""
        value = self.values[-1]
        return value["response"] if value["type"] in ("response.completed", "response.incomplete") else None

    def cuttings(self, draw: random.Random) -> Iterator[list[bytes]]:
        yield [self.body]
        yield cuts_of(self.body, 1 if len(self.body) <= BYTE_BY_BYTE else 997)
        for _ in range(3):
            edges = sorted({0, len(self.body), *(draw.randrange(len(self.body)) for _ in range(9))})
            yield [self.body[a:b] for a, b in itertools.pairwise(edges)]


def cases(kind: str) -> list[Case]:
    if not (ROOT / "index.json").is_file():
        return []
    folder = ROOT / ("errors/openai-responses" if kind == "error" else "openai-responses")
    found = [Case(path) for path in sorted(folder.iterdir())]
    return found if kind == "error" else [case for case in found if case.meta["kind"] == kind]


def each(kind: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", cases(kind), ids=lambda case: case.name)


pytestmark = pytest.mark.usefixtures("corpus_root")

DEVIATIONS = {
    ("openai--gpt-5-2025-08-07-text-6c8ed0", "reasoning"): "breaks off; `expected` has only what had ended",
    ("openai--gpt-5-2025-08-07-text-6c8ed0", "error"): "breaks off, which the SDK passes over",
}
"""What we read otherwise than the SDK, and why."""


def parsed(arguments: str) -> Any:
    try:
        return json.loads(arguments)
    except ValueError:
        return {"_unparsed": arguments} if arguments else ""


def joined(parts: tuple[Part, ...], kind: type[Text] | type[Reasoning] | type[Refusal]) -> str:
    return "".join(part.text for part in parts if isinstance(part, kind))


def shown(response: Response) -> dict[str, Any]:
    """An answer of ours in the words of `expected`."""
    choice = response.choices[0] if response.choices else Choice(index=0, parts=(), finish_reason=None)
    calls = [part for part in choice.parts if isinstance(part, ToolCall)]
    return {
        "text": joined(choice.parts, Text),
        "reasoning": joined(choice.parts, Reasoning),
        "refusal": joined(choice.parts, Refusal),
        "tool_calls": [shown_call(call) for call in calls],
        "finish_reason": choice.raw_finish_reason,
        "usage": response.raw_usage,
    }


def shown_call(call: ToolCall) -> dict[str, Any]:
    if call.kind == "custom":
        return {"name": call.name, "arguments": call.arguments, "id": call.id, "custom": True}
    return {"name": call.name, "arguments": parsed(call.arguments), "id": call.id}


def assert_reads_as_expected(case: Case, response: Response) -> None:
    found = {}
    for name, got in shown(response).items():
        want = case.expected.get(name)
        want = want or "" if name in ("text", "reasoning", "refusal") else want
        if want != got:
            found[name] = (want, got)
    if (response.error is not None) is not bool(case.expected.get("error")):
        found["error"] = (case.expected.get("error"), response.error)
    known = {key for name, key in DEVIATIONS if name == case.name}
    assert set(found) == known, found


def same(one: Response, other: Response) -> bool:
    """Errors are compared by what they say."""
    pair = [msgspec.structs.replace(response, error=None) for response in (one, other)]
    return str(one.error) == str(other.error) and pair[0] == pair[1]


# Reading.


@each("stream")
def test_a_stream_reads_as_the_sdk_reads_it_however_it_is_cut(case: Case, seeded_random: random.Random) -> None:
    first: Response | None = None
    for pieces in case.cuttings(seeded_random):
        response = fold(decode(pieces, provider=case.provider))
        if first is None:
            first = response
            assert_reads_as_expected(case, response)
            if error := case.expected.get("error"):
                assert_error_is(response.error, error)
        else:
            assert same(response, first)


def assert_error_is(error: Any, expected: dict[str, Any]) -> None:
    assert isinstance(error, UpstreamFailed)
    assert error.message == expected["message"]
    assert error.code == expected.get("code")
    assert error.provider_type == expected.get("type")


@each("json")
def test_a_whole_answer_reads_as_the_sdk_reads_it(case: Case) -> None:
    assert_reads_as_expected(case, RESPONSES.decode_answer(case.body, profile=ALL_ROWS, provider=case.provider))


def without_ciphers(parts: tuple[Part, ...]) -> list[Part]:
    """Parts without their ciphers: providers encrypt anew for the last event, so that it has others than the items."""
    return list(map(without_cipher, parts))


def without_cipher(part: Part) -> Part:
    if isinstance(part, Reasoning) and part.signature is not None:
        return msgspec.structs.replace(part, signature=msgspec.structs.replace(part.signature, data=""))
    if isinstance(part, Opaque):
        raw = {name: value for name, value in part.raw.items() if name not in ("encrypted_content", "fingerprint")}
        return Opaque(dialect=part.dialect, raw=raw)
    return part


@each("stream")
def test_a_stream_folds_to_the_whole_answer_that_it_ends_with(case: Case) -> None:
    if case.last is None or not case.last.get("output"):
        return
    streamed = fold(decode(case.body))
    whole = RESPONSES.decode_answer(json.dumps(case.last).encode(), profile=ALL_ROWS, provider=case.provider)
    assert without_ciphers(streamed.choices[0].parts) == without_ciphers(whole.choices[0].parts)
    assert streamed.choices[0].finish_reason is whole.choices[0].finish_reason
    assert (streamed.usage, streamed.response_id) == (whole.usage, whole.response_id)
    # Some round what they stream otherwise than what they sum up.
    tokens = [
        [token["token"] for token in (one.choices[0].logprobs or {}).get("content", ())] for one in (streamed, whole)
    ]
    assert tokens[0] == tokens[1]


@each("stream")
def test_a_stream_whose_only_words_are_its_last_event_s_reads_the_same(case: Case) -> None:
    if case.last is None or not case.last.get("output"):
        return
    alone = fold(decode(case.frames[0] + case.frames[-1 if b"[DONE]" not in case.frames[-1] else -2]))
    whole = fold(decode(case.body))
    assert without_ciphers(alone.choices[0].parts) == without_ciphers(whole.choices[0].parts)


@each("stream")
def test_text_leaves_with_the_frame_that_brings_it(case: Case) -> None:
    """But for what another item holds up, which no recording has."""
    decoder, sse = RESPONSES.stream_decoder(profile=ALL_ROWS, provider=case.provider), SseDecoder()
    for raw in case.frames:
        for one in sse.feed(raw):
            value = json.loads(one.data) if one.data and one.data != b"[DONE]" else {}
            said = [event.text for event in decoder.feed([one]) if isinstance(event, PartDelta)]
            growing = value.get("type", "").removeprefix("response.")
            if growing in (
                "output_text.delta",
                "reasoning_text.delta",
                "refusal.delta",
                "function_call_arguments.delta",
            ):
                assert said == [value["delta"]] * bool(value["delta"])


# Writing anew.


def normal(response: Response) -> Response:
    """Without what the dialect cannot say twice: where nobody said what a citation is about."""

    def told(part: Part) -> Part:
        if not isinstance(part, Text):
            return part
        cited = [
            msgspec.structs.replace(one, start=one.start or 0, end=one.end or len(part.text)) for one in part.citations
        ]
        return msgspec.structs.replace(part, citations=tuple(cited))

    choices = [
        msgspec.structs.replace(choice, parts=tuple(map(told, choice.parts)), raw_finish_reason=None)
        for choice in response.choices
    ]
    return msgspec.structs.replace(
        response, choices=tuple(choices), response_id="", model="", created=None, raw_usage=None, usage=None
    )


@each("stream")
def test_a_stream_written_anew_reads_the_same(case: Case) -> None:
    events = decode(case.body, provider=case.provider)
    body = encode(events)
    read = read_strictly(body)
    again, before = fold(decode(body)), fold(events)
    if before.error is not None:
        assert read.status == "failed"
        assert read.error is not None
        assert read.error["message"] == before.error.message
        return
    assert same(normal(again), normal(before))
    assert read.text == joined(before.choices[0].parts, Text)
    assert read.reasoning == joined(before.choices[0].parts, Reasoning)
    if before.usage is not None:
        assert again.usage is not None
        assert (again.usage.input_tokens, again.usage.output_tokens, again.usage.reasoning_tokens or 0) == (
            before.usage.input_tokens, before.usage.output_tokens, before.usage.reasoning_tokens or 0
        )  # fmt: skip


@each("json")
def test_a_whole_answer_written_anew_reads_the_same(case: Case) -> None:
    read = RESPONSES.decode_answer(case.body, profile=ALL_ROWS, provider=case.provider)
    again = RESPONSES.decode_answer(RESPONSES.encode_answer(read, ASKED), profile=ALL_ROWS, provider="")
    assert again.response_id == read.response_id
    assert same(normal(again), normal(read))


@each("json")
def test_the_watch_of_a_whole_answer_agrees_with_its_reading(case: Case) -> None:
    read = RESPONSES.decode_answer(case.body, profile=ALL_ROWS, provider=case.provider)
    watch = watch_answer(RESPONSES, case.body, profile=ALL_ROWS, provider=case.provider)
    assert (watch.usage, watch.raw_usage, watch.model) == (read.usage, read.raw_usage, read.model)
    assert watch.error is None
    assert watch.finished


# Relaying.


def relayed_one_by_one(case: Case, profile: Profile) -> list[tuple[bytes, list[bytes], dict[str, int]]]:
    """Each frame of the body, what left for it, and which rows that frame was changed by."""
    rows: list[tuple[bytes, list[bytes], dict[str, int]]] = []
    request = RESPONSES.read_request(b'{"model":"m","input":"?"}')
    relayer = RESPONSES.relayer(
        request, profile=profile, raw=False, provider=case.provider, response_id="resp_own", created=1
    )
    before = dict[str, int]()
    sse = SseDecoder()
    for one in [*sse.feed(case.body), *sse.end()]:
        left = relayer.feed([one])
        now = dict(relayer.watch.repaired)
        rows.append((one.raw, left, {row: n - before.get(row, 0) for row, n in now.items() if n != before.get(row, 0)}))
        before = now
    assert relayer.end() == []
    return rows


@each("stream")
def test_only_frames_of_a_repair_row_change(case: Case, record_property: Any) -> None:
    """Every other byte is the provider's own. The rows are printed, to be read with -s, and recorded."""
    failed = False
    for i, (came, left, repaired) in enumerate(relayed_one_by_one(case, ALL_ROWS)):
        if repaired:
            line = f"{case.name} {i} {'+'.join(sorted(repaired))}"
            print(line)
            record_property("repaired", line)
        failed = failed or b'"type":"error"' in came
        if failed or b"data:" not in came or b"[DONE]" in came:
            assert left == []
            assert repaired or failed
        elif not repaired:
            assert left == [came]
        else:
            (one,) = left
            assert one != came


@each("stream")
def test_a_client_reads_of_the_relayed_stream_what_it_would_have_read(case: Case) -> None:
    relayed = relay(case.body, provider=case.provider)
    again = fold(decode(relayed.body, provider=case.provider))
    whole = fold(decode(case.body, provider=case.provider))
    if case.expected.get("error"):
        assert_error_is(relayed.watch.error, case.expected["error"])
        failed = fold(decode(relayed.body + relayed.failure, provider=case.provider))
        assert_error_is(failed.error, case.expected["error"])
        return
    assert same(again, whole)
    assert relayed.watch.complete is whole.complete


@each("stream")
def test_a_relayed_stream_is_the_same_however_it_is_cut(case: Case, seeded_random: random.Random) -> None:
    whole = relay(case.body, provider=case.provider)
    for pieces in case.cuttings(seeded_random):
        assert_same_relay(relay(pieces, provider=case.provider), whole)


@each("stream")
def test_the_short_way_comes_to_the_same(case: Case) -> None:
    for raw in (False, True):
        assert_same_relay(relay(case.frames, raw=raw, short=True), relay(case.body, raw=raw))


def assert_same_relay(one: Relayed, other: Relayed) -> None:
    assert one.body == other.body
    assert one.failure == other.failure
    for slot in ("usage", "finishes", "complete", "choices", "deltas", "narrow_chars", "wide_chars", "content_seen"):
        assert getattr(one.watch, slot) == getattr(other.watch, slot), slot


@each("stream")
def test_raw_changes_no_byte(case: Case, seeded_random: random.Random) -> None:
    """But for an error, which the relay says in its own words, and what comes after it."""
    for pieces in case.cuttings(seeded_random):
        relayed = relay(pieces, raw=True)
        assert not relayed.watch.repaired
        assert case.body.startswith(relayed.body)
        if relayed.watch.error is None:
            assert relayed.body == case.body


@each("stream")
def test_the_watch_agrees_with_the_decoder(case: Case) -> None:
    events = decode(case.body, provider=case.provider)
    for raw in (False, True):
        watch = relay(case.body, raw=raw, provider=case.provider).watch
        check_watch(watch, events)
        assert (watch.model or "") == fold(events).model
        assert watch.narrow_chars + watch.wide_chars == sum(len(text) for text in grown(events))


def grown(events: list[Event]) -> list[str]:
    return [event.text for event in events if isinstance(event, PartDelta)]


@each("stream")
def test_a_stream_that_ends_early_is_a_prefix_and_never_ends_like_a_good_one(
    case: Case, seeded_random: random.Random
) -> None:
    """Cut before every frame, and at random bytes; of a long stream at some of them."""
    whole = relay(case.body, provider=case.provider)
    edges = list(itertools.accumulate(map(len, case.frames), initial=0))
    last = next((i for i, one in enumerate(case.frames) if b'"type":"response.' in one and is_end(one)), len(edges) - 1)
    borders = edges[: last + 1] if last <= 60 else [*seeded_random.sample(edges[:last], 60), edges[last]]
    for at in [*borders, *(seeded_random.randrange(edges[last] + 1) for _ in range(20))]:
        relayed = relay(case.body[:at], provider=case.provider)
        events = decode(case.body[:at], provider=case.provider)
        check_watch(relayed.watch, events)
        assert relayed.frames == whole.frames[: len(relayed.frames)]
        assert not relayed.watch.complete
        error = relayed.watch.error
        assert isinstance(error, UpstreamFailed | UpstreamBroke if case.expected.get("error") else UpstreamBroke)
        assert relayed.failure.startswith(b"event: error\n")
        failed = fold(decode(relayed.body + relayed.failure, provider=case.provider))
        assert failed.error is not None
        assert failed.error.message == error.message


def is_end(frame: bytes) -> bool:
    return any(f'"type":"response.{kind}"'.encode() in frame for kind in ("completed", "incomplete", "failed"))


# Errors before the stream.


@each("error")
def test_an_error_is_passed_on_as_the_sdk_would_have_read_it(case: Case) -> None:
    status, expected = case.meta["status"], case.expected.get("error")
    error = RESPONSES.decode_error(status, [], case.body, provider=case.provider, key_name="ACME_API_KEY")
    assert isinstance(error, UpstreamRefused)
    assert error.upstream_status == status
    wire = RESPONSES.encode_error(error)
    said = json.loads(wire.body)["error"]
    assert said["code"] is None or isinstance(said["code"], str)
    if status == 401:
        assert wire.status == 502
        assert "ACME_API_KEY" in said["message"]
        assert (b"x-should-retry", b"false") in wire.headers
        return
    assert wire.status == status
    told = json.loads(case.body)["error"]
    assert said["message"] == told["message"]
    assert said["param"] == told["param"]
    if expected.get("type"):
        assert said["type"] == expected["type"]
    if expected.get("code"):
        assert said["code"] == str(expected["code"])


# Requests.


def requests() -> list[Path]:
    folders = (ROOT / "openai-responses", ROOT / "errors" / "openai-responses")
    return sorted(path for folder in folders if folder.is_dir() for path in folder.glob("*/request.json"))


@pytest.mark.parametrize("path", requests(), ids=lambda path: path.parent.name)
def test_a_recorded_request_is_read_and_passes_to_its_own_dialect_as_it_is(path: Path) -> None:
    raw = path.read_bytes()
    tree = json.loads(raw)
    if tree.get("model") is None:
        return
    request = RESPONSES.read_request(raw)
    edited = json.loads(request.edited(model="other", profile=Profile(), stream=bool(tree.get("stream"))))
    assert edited == tree | {"model": "other"} | ({"stream": tree["stream"]} if tree.get("stream") else {})
    asked = request.canon()
    assert asked.messages or tree.get("prompt") or not tree.get("input")
    assert len(asked.tools) == len(tree.get("tools") or ())
    narrow, wide = request.prompt_chars()
    assert narrow + wide > 0 or b"input_image" in raw


# The tables.


def test_each_deviation_names_a_case() -> None:
    names = {case.name for kind in ("stream", "json") for case in cases(kind)}
    assert {name for name, _ in DEVIATIONS} <= names


def test_every_repair_row_is_needed_by_some_recording_or_is_known_to_be_needed_elsewhere() -> None:
    used: set[str] = set()
    for case in cases("stream"):
        used |= set(relay(case.body).watch.repaired)
    assert RESPONSES_REPAIRS - used == {"type", "identity"}


def test_ciphers_are_kept_with_the_name_of_their_item() -> None:
    kept: list[Signature] = [
        part.signature
        for case in cases("stream")
        for choice in fold(decode(case.body)).choices
        for part in choice.parts
        if isinstance(part, Reasoning) and part.signature is not None
    ]
    assert len(kept) >= 10
    assert all(signature.vendor == "openai" and signature.item_id for signature in kept)
