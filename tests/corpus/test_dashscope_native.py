"""Every recorded answer in DashScope's native protocol, against what its own SDK reads of it."""

from __future__ import annotations

import itertools
import json
import os
import random
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from tests.dialects.dashscope_native.streams import DASH, decode
from tests.dialects.openai_chat.streams import cuts_of
from thalweg.canon.errors import UpstreamBroke, UpstreamRefused
from thalweg.canon.fold import fold
from thalweg.canon.parts import Reasoning, Text, ToolCall
from thalweg.canon.request import Request
from thalweg.canon.response import Choice, Response
from thalweg.framing.sse import SseDecoder
from thalweg.profiles.providers import COMPATIBLE

# Also known to conftest.py as the fixture `corpus_root`; here the names of the cases are the tests' ids.
ROOT = Path(os.environ.get("THALWEG_TEST_CORPUS") or Path(__file__).resolve().parents[3] / "shared" / "corpus")
PLAIN = Request(model="m", messages=())


@dataclass(frozen=True)
class Case:
    """One recorded answer."""

    folder: Path

    @cached_property
    def meta(self) -> dict[str, Any]:
        return json.loads((self.folder / "meta.json").read_bytes())

    @cached_property
    def body(self) -> bytes:
        (file,) = self.folder.glob("response.*")
        return file.read_bytes()

    @property
    def is_part(self) -> bool:
        """A single frame out of the middle of a deep research."""
        return "deep_research" in self.meta["features"] and b'"status":"finished"' not in self.body


def cases(kind: str) -> list[Case]:
    folder = ROOT / ("errors/dashscope-native" if kind == "error" else "dashscope-native")
    found = [Case(path) for path in sorted(folder.iterdir())] if folder.is_dir() else []
    return [case for case in found if case.meta["kind"] == kind]


def each(kind: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", cases(kind), ids=lambda case: case.folder.name)


pytestmark = pytest.mark.usefixtures("corpus_root")


def joined(choice: Choice, kind: type[Text] | type[Reasoning]) -> str:
    return "".join(part.text for part in choice.parts if isinstance(part, kind))


def shown(response: Response) -> dict[str, Any]:
    """Ours in the words of `expected`."""
    choice = response.choices[0] if response.choices else Choice(index=0, parts=(), finish_reason=None)
    calls = [part for part in choice.parts if isinstance(part, ToolCall)]
    return {
        "text": joined(choice, Text),
        "reasoning": joined(choice, Reasoning),
        "tool_calls": [{"name": c.name, "arguments": json.loads(c.arguments), "id": c.id} for c in calls],
        "finish_reason": choice.raw_finish_reason,
        "usage": response.raw_usage,
    }


def wanted(case: Case) -> dict[str, Any]:
    expected = {
        key: case.meta["expected"][key] for key in ("text", "reasoning", "tool_calls", "finish_reason", "usage")
    }
    usage = expected["usage"]
    if usage and "characters" in usage:  # the SDK's own default, not on the wire
        usage = {key: value for key, value in usage.items() if key != "characters"}
    return expected | {"text": expected["text"] or "", "reasoning": expected["reasoning"] or "", "usage": usage}


@each("stream")
def test_a_stream_reads_as_the_sdk_reads_it_however_it_is_cut(case: Case, seeded_random: random.Random) -> None:
    read = fold(decode(case.body))
    assert shown(read) == wanted(case)
    if error := case.meta["expected"].get("error"):
        assert isinstance(read.error, UpstreamRefused)
        assert (read.error.upstream_status, read.error.code) == (error["status_code"], error["code"])
        assert read.error.message == error["message"]
    else:
        assert isinstance(read.error, UpstreamBroke) is case.is_part
    for _ in range(3):
        edges = sorted({0, len(case.body), *(seeded_random.randrange(len(case.body)) for _ in range(9))})
        again = fold(decode([case.body[a:b] for a, b in itertools.pairwise(edges)]))
        assert replace(again, error=None) == replace(read, error=None)
    if len(case.body) < 16_000:
        assert replace(fold(decode(cuts_of(case.body, 1))), error=None) == replace(read, error=None)


@each("stream")
def test_a_stream_that_ends_early_is_broken_at_every_frame(case: Case) -> None:
    sse = SseDecoder()
    frames = [frame.raw for frame in [*sse.feed(case.body), *sse.end()]]
    for until in range(len(frames)):
        assert not fold(decode(b"".join(frames[:until]))).complete


@each("json")
def test_a_whole_answer_reads_as_the_sdk_reads_it(case: Case) -> None:
    read = DASH.decode_answer(case.body, profile=COMPATIBLE, provider="acme")
    assert shown(read) == wanted(case)
    assert read.complete


@each("json")
def test_a_whole_answer_written_anew_reads_the_same(case: Case) -> None:
    read = DASH.decode_answer(case.body, profile=COMPATIBLE, provider="acme")
    again = DASH.decode_answer(DASH.encode_answer(read, PLAIN), profile=COMPATIBLE, provider="acme")
    left_out = {"finish_reason", "usage"}
    assert {k: v for k, v in shown(again).items() if k not in left_out} == {
        k: v for k, v in shown(read).items() if k not in left_out
    }
    assert again.usage == read.usage
    assert again.choices[0].logprobs == read.choices[0].logprobs


@each("stream")
def test_a_stream_passes_a_relayer_unchanged(case: Case) -> None:
    asked = DASH.read_request(b'{"model":"m","input":{"prompt":"?"}}')
    relayer = DASH.relayer(asked, profile=COMPATIBLE, raw=False, provider="acme", response_id="own", created=1)
    sse = SseDecoder()
    out = relayer.feed(sse.feed(case.body)) + relayer.feed(sse.end()) + relayer.end()
    read = fold(decode(case.body))
    assert relayer.watch.complete is read.complete
    assert relayer.watch.usage == read.usage
    if isinstance(read.error, UpstreamRefused):
        assert out == []
    else:
        assert b"".join(out) == case.body


@each("error")
def test_an_error_reads_as_the_sdk_reads_it(case: Case) -> None:
    error = DASH.decode_error(case.meta["status"], (), case.body, provider="acme", key_name="ACME_KEY")
    assert isinstance(error, UpstreamRefused)
    assert (error.upstream_status, error.code) == (401, case.meta["expected"]["error"]["code"])


def recorded_requests() -> list[Case]:
    return [case for kind in ("stream", "json") for case in cases(kind) if (case.folder / "request.json").is_file()]


@pytest.mark.parametrize("case", recorded_requests(), ids=lambda case: case.folder.name)
def test_a_recorded_request_is_read(case: Case) -> None:
    body = (case.folder / "request.json").read_bytes()
    if not {"model", "input"} <= json.loads(body).keys():
        pytest.xfail("an application's, which names no model, or none that was ever sent")
    asked = DASH.read_request(body, case.meta["path"].encode()).canon()
    assert asked.messages
