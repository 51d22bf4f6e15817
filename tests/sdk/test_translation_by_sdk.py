"""Every recorded stream in every other dialect, read by that dialect's official SDK.

What a client reads through us is what the provider's own SDK read of the recording, as far as the client's dialect can
say it: text, thoughts, calls, the reason why it ended, usage, errors. What breaks off is an error for all of them.
"""

from __future__ import annotations

import json
import random
import re
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.live.gateway import clean_environment
from tests.sdk.examples import sdk_program
from tests.sdk.expected import Wanted, differences
from tests.sdk.player import Recording
from tests.sdk.translating_player import TranslatingPlayer

pytestmark = [pytest.mark.sdk, pytest.mark.timeout(600)]

WAYS = {
    "openai-chat": ("chat", "chat-helper"),
    "openai-responses": ("responses", "responses-helper"),
    "anthropic": ("messages", "messages-helper"),
    "gemini": ("gemini", "gemini-chat"),
}
"""By the client's dialect: how its SDK is used, event by event and with what it has for convenience."""
CLIENT_OF = {way: client for client, ways in WAYS.items() for way in ways}
DIALECTS = (*WAYS, "dashscope-native")
WITHOUT_THOUGHTS = ("gemini-chat",)
"""Where nobody asks for any."""
CUTS = {False: 1, True: 6}
"""How often each stream is cut, for each way to read it: in a sample, and when all is tried."""

BROKE_OFF = {"error": {"message": "acme broke off before the answer was finished"}}
_IN_PIECES = "the SDK shows the pieces of a streamed call as calls of their own; ours is one, whole"
_PART = "a single frame out of the middle of a research"
_NO_END = "ends without a finishReason, which the SDK passes over"
CORRECTED: dict[str, tuple[dict[str, Any], str]] = {
    "openai--gpt-5-2025-08-07-text-6c8ed0": (BROKE_OFF, "ends without a last event, which the SDK passes over"),
    "anthropic--claude-3-haiku-20240307-reasoning-parallel-tools-ab068f": (
        {"error": {"message": "acme began its answer a second time"}},
        "two answers, which the SDK runs together",
    ),
    "openrouter--claude-haiku-4.5-length-f692d4": ({"error": None}, "`[DONE]` at the end, on which the SDK fails"),
    "snowflake--claude-sonnet-4-6-reasoning-logprobs-9fd08c": (
        {"reasoning": "15 * 27 = 405"},
        "in `reasoning_details` only",
    ),
    "dashscope--model-text-4d529a": ({"finish_reason": "stop"}, "the end of a research is a `status`"),
    "google--gemini-3.1-pro-preview-parallel-tools-d0afc7": (
        {
            "tool_calls": [
                {"name": "getWeather", "arguments": {"location": city}, "id": ""}
                for city in ("Boston", "San Francisco")
            ]
        },
        _IN_PIECES,
    ),
    "vertex--model-text-b8438a": (BROKE_OFF, _NO_END),
    "vertex--model-text-bb5fcf": (BROKE_OFF, _NO_END),
    "dashscope--model-text-73e94b": (BROKE_OFF, _PART),
    "dashscope--model-text-8a154b": (BROKE_OFF, _PART),
    "dashscope--model-text-bbf40b": (BROKE_OFF, _PART),
    "dashscope--model-text-e5618a": (BROKE_OFF, _PART),
    "dashscope--qwen-deep-research-text-9b7428": (BROKE_OFF, _PART),
}
"""Where `expected` has an SDK's mistake, or what it passed over: what it is instead, and why."""

_REPAIRED = "a call that was cut: the accumulator makes an object of its beginning"
DEVIATIONS = {
    ("", "google--gemini-3-flash-preview-parallel-tools-ac385f", "tool_calls"): _IN_PIECES,
    ("", "vertex--gemini-3.1-pro-preview-parallel-tools-bca2ba", "tool_calls"): _IN_PIECES,
    ("", "anthropic--claude-3-7-sonnet-20250219-tool-call-length-86a106", "tool_calls"): _REPAIRED,
    ("messages-helper", "deepseek--deepseek-v4-flash-reasoning-tool-call-length-7dc253", "tool_calls"): _REPAIRED,
    ("messages-helper", "llamacpp--qwen3-8b-q4-k-m.gguf-tool-call-length-f47dc2", "tool_calls"): _REPAIRED,
    ("messages-helper", "openai--gpt-5.6-sol-tool-call-length-d48a1a", "tool_calls"): _REPAIRED,
    ("chat-helper", "xai--grok-4-fast-reasoning-tool-call-citations-8527dc", "error"): "it knows no tools of free text",
}
"""What is read otherwise, for all clients or one way to read, and why."""

LAST = {
    "openai-chat": re.compile(rb'"finish_reason":\s*"(?!null")[^"]|data: \[DONE\]'),
    "openai-responses": re.compile(rb'"type":\s*"response\.(completed|incomplete)"'),
    "anthropic": re.compile(rb'"stop_reason":\s*"|"message_stop"'),
    "gemini": re.compile(rb'"finishReason":|"blockReason":'),
    "dashscope-native": re.compile(rb'"finish_reason":\s*"(?!null")[^"]|"status":\s*"finished"'),
}
"""Before a frame with this, no answer is whole."""


class Asked(NamedTuple):
    """One stream, to be read in one way."""

    way: str
    recording: Recording
    model: str
    cut: bool

    def wanted(self) -> Wanted:
        expected = self.recording.meta["expected"] | CORRECTED.get(self.recording.name, ({}, ""))[0]
        thoughts = self.way not in WITHOUT_THOUGHTS
        return Wanted(self.recording.meta["dialect"], expected, CLIENT_OF[self.way], thoughts=thoughts)

    def known(self) -> set[str]:
        """What is read otherwise."""
        return {what for way, name, what in DEVIATIONS if name == self.recording.name and way in ("", self.way)}


Readings = list[tuple[Asked, dict[str, Any]]]


def unfinished(recording: Recording) -> range:
    """How many frames there may be of a stream that is not whole."""
    last = LAST[recording.meta["dialect"]]
    ends = (at for at, frame in enumerate(recording.frames) if last.search(frame))
    return range(next(ends, len(recording.frames) - 1) + 1)


@pytest.fixture(scope="module")
def recordings(corpus_root: Path) -> list[Recording]:
    """Every stream."""
    folders = [folder for dialect in DIALECTS for folder in sorted((corpus_root / dialect).iterdir())]
    return [recording for recording in map(Recording, folders) if recording.meta["kind"] == "stream"]


@pytest.fixture(scope="module", params=WAYS)
def readings(recordings: list[Recording], request: pytest.FixtureRequest, seed: int, full_counts: bool) -> Readings:
    """All that one SDK reads, in one process."""
    client, draw = request.param, random.Random(f"{seed} {request.param}")
    asked: list[Asked] = []
    for place, recording in enumerate(recordings):
        if recording.meta["dialect"] == client:
            continue
        for way in WAYS[client]:
            # Once in the network reads of its source, once frame by frame.
            whole = f"{place}.{len(recording.frames)}" if way.endswith(("helper", "gemini-chat")) else f"{place}"
            asked.append(Asked(way, recording, whole, cut=False))
            cuts = draw.sample(unfinished(recording), min(CUTS[full_counts], len(unfinished(recording))))
            asked += [Asked(way, recording, f"{place}.{cut}", cut=True) for cut in cuts]
    models = {way: [each.model for each in asked if each.way == way] for way in WAYS[client]}
    with TranslatingPlayer(recordings) as player:
        done = subprocess.run(
            sdk_program("read_translated.py"),
            input=json.dumps(models).encode(),
            env=clean_environment({"BASE_URL": player.url}),
            capture_output=True,
            timeout=580,
            check=False,
        )
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    read = {way: iter(found) for way, found in json.loads(done.stdout).items()}
    return [(each, next(read[each.way])) for each in asked]


def test_a_client_reads_what_the_provider_s_own_reads(readings: Readings) -> None:
    found = {}
    for asked, reading in readings:
        if not asked.cut and (differs := differences(asked.wanted(), reading)).keys() != asked.known():
            found[asked.way, asked.recording.name] = differs or asked.known()
    assert found == {}


def test_what_breaks_off_is_an_error_whenever_it_does(readings: Readings) -> None:
    """None of what came before is lost, and nothing is made up."""
    whole = {(asked.way, asked.recording.name): texts_of(reading) for asked, reading in readings if not asked.cut}
    found = {}
    for asked, reading in readings:
        if asked.cut:
            begun, said = whole[asked.way, asked.recording.name], texts_of(reading)
            error = reading["error"]
            if not error or not error["is_api_error"] or not all(map(str.startswith, begun, said)):
                found[asked.way, asked.recording.name, asked.model] = error, said
    assert found == {}


def texts_of(reading: dict[str, Any]) -> list[str]:
    """What the first choice says, and thinks."""
    choice = reading["choices"].get("0", {})
    return [choice.get(name) or "" for name in ("text", "reasoning", "refusal")]


def test_every_row_is_about_a_recording(recordings: list[Recording]) -> None:
    names = {recording.name for recording in recordings}
    assert {*CORRECTED, *(name for _, name, _ in DEVIATIONS)} <= names
