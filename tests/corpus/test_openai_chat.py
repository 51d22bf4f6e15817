"""Every recorded Chat answer: what we read of it, and what a client reads of it through us.

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

from tests.dialects.openai_chat.streams import (
    CHAT,
    DONE,
    Relayed,
    calls_of,
    check_watch,
    cuts_of,
    decode,
    joined,
    read_strictly,
    relay,
)
from thalweg.canon.errors import UpstreamFailed, UpstreamRefused
from thalweg.canon.finish import FinishReason
from thalweg.canon.fold import fold
from thalweg.canon.parts import Opaque, Reasoning, Refusal, Text
from thalweg.canon.request import Request
from thalweg.canon.response import Choice, Response
from thalweg.dialects.base import watch_answer
from thalweg.dialects.openai_chat.relayer import ChatRelayer
from thalweg.framing.sse import SseDecoder
from thalweg.profiles.base import Profile
from thalweg.profiles.providers import CHAT_REPAIRS, COMPATIBLE, PROVIDERS

# Also known to conftest.py as the fixture `corpus_root`; here the names of the cases are the tests' ids.
ROOT = Path(os.environ.get("THALWEG_TEST_CORPUS") or Path(__file__).resolve().parents[3] / "shared" / "corpus")
ASKED = Request(model="m", messages=(), dialect="openai-chat")
BYTE_BY_BYTE = 64 * 1024

PROFILE_OF = {"volcengine-ark": "ark", "openai": "openai"}
"""The corpus' name of a provider: ours, where there is a row."""


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
        for _ in range(3):
            edges = sorted({0, len(self.body), *(draw.randrange(len(self.body)) for _ in range(9))})
            yield [self.body[a:b] for a, b in itertools.pairwise(edges)]


def cases(kind: str) -> list[Case]:
    index = ROOT / "index.json"
    if not index.is_file():
        return []
    folder = ROOT / ("errors/openai-chat" if kind == "error" else "openai-chat")
    found = [Case(path) for path in sorted(folder.iterdir())]
    return found if kind == "error" else [case for case in found if case.meta["kind"] == kind]


def each(kind: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", cases(kind), ids=lambda case: case.name)


pytestmark = pytest.mark.usefixtures("corpus_root")

DEVIATIONS = {
    (
        "google-openai-compat--gemini-2.5-pro-preview-05-06-tool-call-json-42dcaa",
        "calls",
    ): "its id is empty, ours made up",
    ("openai--gpt-5-2025-08-07-tool-call-json-8b9a59", "calls"): "a custom tool, which `expected` does not read",
    ("snowflake--claude-sonnet-4-6-reasoning-logprobs-9fd08c", "reasoning"): "in `reasoning_details` only",
    (
        "snowflake--claude-sonnet-4-6-reasoning-tool-call-logprobs-json-e1300c",
        "reasoning",
    ): "in `reasoning_details` only",
    ("snowflake--claude-sonnet-4-6-reasoning-tool-call-logprobs-json-e1300c", "finish"): "an empty reason is none",
}
"""What we read otherwise than the SDK, and why."""

RELAY_DEVIATIONS = {
    key: why for key, why in DEVIATIONS.items() if not key[0].startswith(("google", "openai--gpt-5-2025", "snowflake"))
}


def parsed(arguments: str) -> Any:
    try:
        return json.loads(arguments)
    except ValueError:
        return {"_unparsed": arguments} if arguments else ""


def expected_choices(case: Case) -> dict[int, dict[str, Any]]:
    expected = case.expected
    rows = expected.get("choices") or [expected | {"index": 0}]
    if "tool_calls_by_id" in expected:
        rows = [row | {"tool_calls": expected["tool_calls_by_id"]} for row in rows]
    return {row["index"]: row for row in rows}


def differences(want: dict[str, Any], got: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    keys = {
        "text": "text",
        "reasoning": "reasoning",
        "refusal": "refusal",
        "calls": "tool_calls",
        "finish": "finish_reason",
    }
    pairs = {
        key: (want.get(name) or ("" if key in ("text", "reasoning", "refusal") else want.get(name)), got[key])
        for key, name in keys.items()
    }
    return {key: pair for key, pair in pairs.items() if pair[0] != pair[1]}


def shown(choice: Choice | None) -> dict[str, Any]:
    """A choice of ours in the words of `expected`."""
    choice = choice or Choice(index=0, parts=(), finish_reason=None)
    return {
        "text": joined(choice, Text),
        "reasoning": joined(choice, Reasoning),
        "refusal": joined(choice, Refusal),
        "calls": [
            {"name": c.name, "arguments": parsed(c.arguments), "id": c.id}
            for c in calls_of(choice)
            if c.kind != "legacy"
        ],
        "finish": choice.raw_finish_reason,
    }


def assert_reads_as_expected(case: Case, response: Response) -> None:
    found: dict[str, Any] = {}
    choices = {choice.index: choice for choice in response.choices}
    for at, want in expected_choices(case).items():
        found |= differences(want, shown(choices.get(at)))
    if case.expected["usage"] != response.raw_usage:
        found["usage"] = (case.expected["usage"], response.raw_usage)
    known = {key for name, key in DEVIATIONS if name == case.name}
    assert set(found) == known, found


# Reading.


@each("stream")
def test_a_stream_reads_as_the_sdk_reads_it_however_it_is_cut(case: Case, seeded_random: random.Random) -> None:
    first: Response | None = None
    for pieces in case.cuttings(seeded_random):
        response = fold(decode(pieces, provider=case.provider))
        if first is None:
            first = response
            error = case.expected.get("error")
            assert (response.error is not None) is bool(error)
            if error:
                assert_error_is(response.error, error)
            else:
                assert_reads_as_expected(case, response)
        else:
            assert same(response, first)


def same(one: Response, other: Response) -> bool:
    """Errors are compared by what they say."""
    pair = [msgspec.structs.replace(response, error=None) for response in (one, other)]
    return str(one.error) == str(other.error) and pair[0] == pair[1]


def assert_error_is(error: Any, expected: dict[str, Any]) -> None:
    assert isinstance(error, UpstreamFailed)
    assert error.message == expected["message"]
    assert error.code == expected.get("code")
    assert error.provider_type == expected.get("type")


@each("json")
def test_a_whole_answer_reads_as_the_sdk_reads_it(case: Case) -> None:
    assert_reads_as_expected(case, CHAT.decode_answer(case.body, profile=COMPATIBLE, provider=case.provider))


@each("json")
def test_a_whole_answer_written_anew_reads_the_same(case: Case) -> None:
    """Also the other way: what was streamed, folded, is what would have been sent whole."""
    read = CHAT.decode_answer(case.body, profile=COMPATIBLE, provider=case.provider)
    again = CHAT.decode_answer(CHAT.encode_answer(read, ASKED), profile=COMPATIBLE, provider=case.provider)
    assert again.response_id == read.response_id
    assert [shown(choice) | {"finish": None} for choice in again.choices] == [
        shown(choice) | {"finish": None} for choice in read.choices
    ]
    # Chat has no word for a reason that nobody gave.
    stop = {FinishReason.UNKNOWN: FinishReason.STOP}
    assert [choice.finish_reason for choice in again.choices] == [
        stop.get(c.finish_reason, c.finish_reason) for c in read.choices
    ]
    assert [choice.logprobs for choice in again.choices] == [choice.logprobs for choice in read.choices]


@each("json")
def test_a_whole_answer_sent_as_one_chunk_folds_to_the_same(case: Case) -> None:
    tree = json.loads(case.body)
    for choice in tree["choices"]:
        choice["delta"] = choice.pop("message", {})
        for i, call in enumerate(choice["delta"].get("tool_calls") or ()):
            call["index"] = i
    events = decode(b"data: " + json.dumps(tree).encode() + b"\n\n" + DONE, provider=case.provider)
    streamed = fold(events)
    whole = CHAT.decode_answer(case.body, profile=COMPATIBLE, provider=case.provider)
    assert without_empty_logprobs(streamed) == without_empty_logprobs(whole)


def without_empty_logprobs(response: Response) -> Response:
    """Fields of null say nothing; a stream does not say them."""

    def cleaned(choice: Choice) -> Choice:
        told = {field: tokens for field, tokens in (choice.logprobs or {}).items() if tokens}
        return msgspec.structs.replace(choice, logprobs=told or None)

    return msgspec.structs.replace(response, choices=tuple(map(cleaned, response.choices)))


@each("json")
def test_the_watch_of_a_whole_answer_agrees_with_its_reading(case: Case) -> None:
    read = CHAT.decode_answer(case.body, profile=COMPATIBLE, provider=case.provider)
    watch = watch_answer(CHAT, case.body, profile=COMPATIBLE, provider=case.provider)
    assert (watch.usage, watch.raw_usage, watch.model) == (read.usage, read.raw_usage, read.model)
    assert watch.complete
    assert watch.error is None
    assert watch.finished
    seen = watch.narrow_chars + watch.wide_chars
    texts = [joined(choice, kind) for choice in read.choices for kind in (Text, Reasoning, Refusal)]
    texts += [call.arguments for choice in read.choices for call in calls_of(choice)]
    assert seen == sum(map(len, texts))


# Relaying.


def profiles_of(case: Case) -> dict[str, Profile]:
    named = {row.name: row.profile for row in PROVIDERS}
    mine = PROFILE_OF.get(case.provider)
    return {"compatible": COMPATIBLE} | ({mine: named[mine]} if mine else {})


def split(body: bytes) -> list[bytes]:
    sse = SseDecoder()
    return [one.raw for one in [*sse.feed(body), *sse.end()]]


def relayed_one_by_one(
    case: Case, profile: Profile, *, include_usage: bool = True, raw: bool = False
) -> tuple[list[tuple[bytes, list[bytes], dict[str, int]]], Relayed]:
    """Each frame of the body, what left for it, and which rows that frame was changed by."""
    rows: list[tuple[bytes, list[bytes], dict[str, int]]] = []
    relayer = ChatRelayer(profile=profile, include_usage=include_usage, raw=raw, provider=case.provider)
    sse, out, before = SseDecoder(), [], dict[str, int]()
    for one in [*sse.feed(case.body), *sse.end()]:
        left = relayer.feed([one])
        out += left
        now = dict(relayer.watch.repaired)
        rows.append((one.raw, left, {row: n - before.get(row, 0) for row, n in now.items() if n != before.get(row, 0)}))
        before = now
    left = relayer.end()
    rows.append((b"", left, {}))
    return rows, Relayed(out + left, relayer.watch)


@each("stream")
@pytest.mark.parametrize("include_usage", [True, False], ids=["usage asked", "usage not asked"])
def test_only_frames_of_a_repair_row_change(case: Case, include_usage: bool, record_property: Any) -> None:
    """Every other byte is the provider's own. The rows are printed, to be read with -s, and recorded."""
    for profile_name, profile in profiles_of(case).items():
        rows, _ = relayed_one_by_one(case, profile, include_usage=include_usage)
        ended, failed = False, bool(case.expected.get("error"))
        for i, (came, left, repaired) in enumerate(rows):
            if repaired and include_usage:
                line = f"{case.name} {profile_name} {i} {'+'.join(sorted(repaired))}"
                print(line)
                record_property("repaired", line)
            assert set(repaired) <= profile.repairs
            if ended:
                assert not left
            elif came.startswith(b"data: [DONE]"):
                assert left[-1:] == [DONE]
                assert all(b'"choices":[]' in one.replace(b" ", b"") for one in left[:-1])
                ended = True
            elif failed and is_error(came):
                assert left == []
                ended = True
            elif i == len(rows) - 1:
                assert left in ([], [DONE]) or (include_usage and b'"usage"' in left[0] and left[1:] == [DONE])
            elif not repaired and left != [came]:
                assert_withheld(came, left, include_usage=include_usage)
        assert ended or not failed


def is_error(raw: bytes) -> bool:
    _, _, payload = raw.partition(b"data:")
    return b'"error"' in payload and bool(json.loads(payload).get("error"))


def assert_withheld(came: bytes, left: list[bytes], *, include_usage: bool) -> None:
    """A frame that no row has changed is held back, or has lost the usage that nobody asked for."""
    tree = json.loads(came.partition(b"data:")[2])
    assert tree["usage"]
    if not tree.get("choices"):
        # Withheld, or held back to be the last.
        assert left == []
        return
    assert not include_usage
    (one,) = left
    assert json.loads(one[6:]) == tree | {"usage": None}


def relay_expectation(case: Case, read: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for at, want in expected_choices(case).items():
        mine = read.choices[at]
        got = {
            "text": mine.text,
            "reasoning": mine.reasoning,
            "refusal": mine.refusal,
            "calls": [{"name": c.name, "arguments": parsed(c.arguments), "id": c.id} for c in mine.calls],
            "finish": mine.finish,
        }
        found |= differences(want, got)
    if case.expected["usage"] != read.usage:
        found["usage"] = (case.expected["usage"], read.usage)
    return found


@each("stream")
def test_a_client_reads_of_the_relayed_stream_what_it_would_have_read(case: Case) -> None:
    for profile in profiles_of(case).values():
        for include_usage in (True, False):
            relayed = relay(case.body, profile=profile, include_usage=include_usage, provider=case.provider)
            read = read_strictly(
                relayed.body,
                include_usage=include_usage,
                role_once="role" in profile.repairs,
                whole=relayed.watch.complete,
            )
            complete = not case.expected.get("error") and bool(relayed.watch.complete)
            assert read.done is complete
            if case.expected.get("error"):
                assert_error_is(relayed.watch.error, case.expected["error"])
                continue
            found = relay_expectation(case, read)
            if not include_usage:
                assert read.usage is None
                found.pop("usage", None)
            known = {key for name, key in RELAY_DEVIATIONS if name == case.name}
            assert set(found) == known, found


@each("stream")
def test_a_relayed_stream_is_the_same_however_it_is_cut(case: Case, seeded_random: random.Random) -> None:
    whole = relay(case.body, provider=case.provider)
    for pieces in case.cuttings(seeded_random):
        relayed = relay(pieces, provider=case.provider)
        assert relayed.body == whole.body
        for slot in ("usage", "finishes", "complete", "choices", "deltas", "narrow_chars", "wide_chars", "repaired"):
            if slot != "repaired":
                assert getattr(relayed.watch, slot) == getattr(whole.watch, slot), slot


@each("stream")
def test_the_short_cut_for_common_frames_changes_nothing(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    with_it = {name: relay(case.body, profile=profile) for name, profile in profiles_of(case).items()}
    monkeypatch.setattr(ChatRelayer, "pass_on", lambda *_: None)
    for name, profile in profiles_of(case).items():
        without = relay(case.body, profile=profile)
        assert with_it[name].frames == without.frames
        for slot in (
            "usage",
            "finishes",
            "complete",
            "choices",
            "deltas",
            "narrow_chars",
            "wide_chars",
            "content_seen",
            "model",
        ):
            assert getattr(with_it[name].watch, slot) == getattr(without.watch, slot), slot


@each("stream")
def test_raw_changes_no_byte(case: Case, seeded_random: random.Random) -> None:
    """But for an error, which the relay says in its own words, and what comes after it or after the end mark."""
    for pieces in case.cuttings(seeded_random):
        relayed = relay(pieces, raw=True)
        assert not relayed.watch.repaired
        assert case.body.startswith(relayed.body)
        if relayed.watch.error is None:
            assert relayed.body == case.body


@each("stream")
def test_raw_withholds_usage_that_nobody_asked_for_and_nothing_else(case: Case) -> None:
    rows, _ = relayed_one_by_one(case, COMPATIBLE, include_usage=False, raw=True)
    failed = bool(case.expected.get("error"))
    for came, left, _ in rows:
        if failed and is_error(came):
            assert left == []
            return
        if came and left != [came]:
            assert_withheld(came, left, include_usage=False)
        assert came or not left


@each("stream")
def test_the_watch_agrees_with_the_decoder(case: Case) -> None:
    events = decode(case.body, provider=case.provider)
    for raw in (False, True):
        for include_usage in (True, False):
            watch = relay(case.body, raw=raw, include_usage=include_usage, provider=case.provider).watch
            check_watch(watch, events)
            assert (watch.model or "") in {watch.model, fold(events).model}


@each("stream")
def test_a_stream_cut_anywhere_is_a_prefix_and_never_ends_like_a_good_one(
    case: Case, seeded_random: random.Random
) -> None:
    """Cut at every frame's border and at random bytes; of a long stream at some of the borders."""
    whole = without_end(relay(case.body, provider=case.provider).frames)
    edges = [0]
    for raw in split(case.body):
        edges.append(edges[-1] + len(raw))
    borders = edges if len(edges) <= 40 else seeded_random.sample(edges, 40)
    for at in [*borders, *(seeded_random.randrange(len(case.body)) for _ in range(20))]:
        relayed = relay(case.body[:at], provider=case.provider)
        events = decode(case.body[:at], provider=case.provider)
        check_watch(relayed.watch, events)
        part = without_end(relayed.frames)
        assert part == whole[: len(part)]
        read = read_strictly(relayed.body, whole=False)
        own = DONE in split(case.body[:at]) or any(one.startswith(b"data: [DONE]") for one in split(case.body[:at]))
        if read.done and not own:
            assert all(choice.finish for choice in read.choices.values())
        assert read.done is relayed.watch.complete
        if not read.done:
            assert relayed.watch.error is not None


def without_end(frames: list[bytes]) -> list[bytes]:
    """Without what is only sent at the end: the usage that was held back, and the mark."""
    kept = list(frames)
    if kept[-1:] == [DONE]:
        kept.pop()
        if kept and not json.loads(kept[-1][6:]).get("choices"):
            kept.pop()
    return kept


# Errors before the stream.

CREDENTIALS = {401, 402, 403}
STATUSES = {529: 503}


@each("error")
def test_an_error_is_passed_on_as_the_sdk_would_have_read_it(case: Case) -> None:
    status, expected = case.meta["status"], case.expected.get("error")
    if status == 200:
        with pytest.raises(UpstreamFailed):
            CHAT.decode_answer(case.body, profile=COMPATIBLE, provider=case.provider)
        return
    error = CHAT.decode_error(status, [], case.body, provider=case.provider, key_name="ACME_API_KEY")
    assert isinstance(error, UpstreamRefused)
    assert error.upstream_status == status
    wire = CHAT.encode_error(error)
    said = json.loads(wire.body)["error"]
    assert said["code"] is None or isinstance(said["code"], str)
    if status in CREDENTIALS:
        assert wire.status == 502
        assert case.provider in said["message"]
        assert "ACME_API_KEY" in said["message"]
        assert (b"x-should-retry", b"false") in wire.headers
        return
    assert wire.status == status
    _, found, told = expected["message"].partition(f"Error code: {status} - ")
    if found and not told.startswith("{"):
        # Where the SDK finds no message it shows the whole body, or nothing.
        assert said["message"] == told
    if expected.get("type"):
        assert said["type"] == expected["type"]
    if expected.get("code"):
        assert said["code"] == str(expected["code"])


# The tables.


def test_each_deviation_names_a_case() -> None:
    names = {case.name for kind in ("stream", "json") for case in cases(kind)}
    assert {name for name, _ in DEVIATIONS} <= names


def test_every_repair_row_is_needed_by_some_recording_or_is_known_to_be_needed_elsewhere() -> None:
    used: set[str] = set()
    for case in cases("stream"):
        used |= set(relay(case.body).watch.repaired)
    assert CHAT_REPAIRS - used == {"one-newline", "envelope"}


def test_opaque_parts_are_kept_in_their_place() -> None:
    """Annotations, which have no canonical meaning, pass through as they came."""
    kept = [
        part
        for case in cases("stream")
        for choice in fold(decode(case.body)).choices
        for part in choice.parts
        if isinstance(part, Opaque)
    ]
    assert any("annotations" in part.raw for part in kept)
