"""Recorded Chat streams, relayed by the gateway, read by the official `openai` package.

What it reads through us is what it read from the provider: the corpus' `expected` was made with the same package.
"""

from __future__ import annotations

import json
import random
import subprocess
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.live.gateway import Gateway, clean_environment, provider_environment
from tests.sdk.examples import sdk_program
from tests.sdk.player import Player, Recording
from thalweg.ledger.entry import Entry

pytestmark = [pytest.mark.sdk, pytest.mark.timeout(300)]

SAMPLE = 60
WAYS = ("chunks", "helper")
"""Chunk by chunk as application code does, and with the package's own `chat.completions.stream`."""
PROVIDER_OF = {"volcengine-ark": "ark"}
"""The corpus' name of a provider: ours, where there is a row. All others are some OpenAI-compatible address."""

DEVIATIONS = {
    ("helper", "openrouter--deepseek-chat-citations-f95371", "error"): "it wants an `index` in each of `annotations`",
    ("helper", "openrouter--qwen3-next-80b-a3b-thinking-reasoning-logprobs-d4e734", "error"): "`logprobs` is a number",
}
"""What is read otherwise through us, and why. On these the helper fails without a gateway as well, over fields of the
provider's own, which we pass on; and whoever adds chunks up loses nothing.
"""


class Reading(NamedTuple):
    """What the SDK made of a recording, and what the ledger says of it."""

    recording: Recording
    read: dict[str, Any]
    entry: Entry


def streams(root: Path) -> list[Recording]:
    folders = sorted(path.parent for path in (root / "openai-chat").glob("*/response.sse"))
    return [recording for recording in map(Recording, folders) if recording.meta["kind"] == "stream"]


def read_through_the_gateway(recordings: list[Recording], root: Path, home: Path, way: str) -> list[Reading]:
    """Play all of them to one gateway, and read them in one process."""
    models = [f"{PROVIDER_OF.get(one.meta['provider'], 'openai')}/{one.name}" for one in recordings]
    with ExitStack() as running:
        player = running.enter_context(Player(root / "openai-chat"))
        upstreams = provider_environment(player.base_url) | provider_environment(player.base_url, "ark")
        gateway = running.enter_context(Gateway(home, environment=upstreams))
        done = subprocess.run(
            [*sdk_program("read_streams.py"), way],
            input=json.dumps(models).encode(),
            env=clean_environment({"BASE_URL": f"{gateway.url}/v1", "API_KEY": gateway.key}),
            capture_output=True,
            timeout=240,
            check=False,
        )
        assert done.returncode == 0, done.stderr.decode(errors="replace")
        entries = {entry.upstream_model: entry for entry in gateway.settled_since(0, len(recordings))}
    assert all(asked["stream_options"]["include_usage"] for asked in player.requests)
    readings = json.loads(done.stdout)
    return [Reading(one, read, entries[one.name]) for one, read in zip(recordings, readings, strict=True)]


def differences(reading: Reading) -> dict[str, tuple[Any, Any]]:
    """What was not read as expected, each with what was wanted and what was read."""
    expected, read = reading.recording.meta["expected"], reading.read
    error = read["error"]
    if wanted := expected.get("error"):
        # What a provider says in its first event keeps its words, and has an HTTP status besides.
        same = error and error["is_api_error"] and error["message"].endswith(wanted["message"])
        return {} if same and error["code"] == wanted.get("code") else {"error": (wanted, error)}
    if error:
        return {"error": (None, error)}
    found = {}
    if read["usage"] != [usage for usage in [expected["usage"]] if usage]:
        found["usage"] = (expected["usage"], read["usage"])
    for want in expected.get("choices") or [expected | {"index": 0}]:
        got = read["choices"].get(str(want["index"]), {})
        calls = expected.get("tool_calls_by_id", want["tool_calls"])
        pairs = {what: (want.get(what) or "", got.get(what) or "") for what in ("text", "reasoning", "refusal")}
        pairs["tool_calls"] = (calls, [call | {"arguments": parsed(call["arguments"])} for call in got["tool_calls"]])
        pairs["finish_reason"] = (want["finish_reason"], got.get("finish_reason"))
        found |= {what: pair for what, pair in pairs.items() if pair[0] != pair[1]}
    return found


def in_the_ledger(reading: Reading) -> dict[str, tuple[Any, Any]]:
    """The entry tells of the same answer as what the client was given."""
    entry, read = reading.entry, reading.read
    broken = reading.recording.meta["expected"].get("error")
    outcomes = ("upstream_error", "refused") if broken else ("complete",)
    found = {} if entry.outcome in outcomes else {"outcome": (outcomes, entry.outcome)}
    if read["usage"]:
        counts = read["usage"][-1]
        said = (counts["prompt_tokens"], counts["completion_tokens"], "reported")
        told = (entry.usage.input_tokens, entry.usage.output_tokens, entry.usage_source)
        found |= {} if said == told else {"ledger": (said, told)}
    elif entry.usage_source == "reported" and not broken and not read["error"]:
        found["ledger"] = (None, entry.usage)
    return found


def parsed(arguments: str) -> Any:
    """As `expected` has it."""
    try:
        return json.loads(arguments)
    except ValueError:
        return {"_unparsed": arguments} if arguments else ""


def assert_as_expected(recordings: list[Recording], root: Path, home: Path, way: str) -> None:
    readings = read_through_the_gateway(recordings, root, home, way)
    found = {one.recording.name: differences(one) | in_the_ledger(one) for one in readings}
    known = {name: what for of, name, what in DEVIATIONS if of == way and name in found}
    assert {name: pairs for name, pairs in found.items() if set(pairs) != {known.get(name)} - {None}} == {}


@pytest.mark.parametrize("way", WAYS)
def test_a_sample_of_recorded_streams(
    corpus_root: Path, tmp_path: Path, way: str, seeded_random: random.Random
) -> None:
    everything = streams(corpus_root)
    assert_as_expected(seeded_random.sample(everything, SAMPLE), corpus_root, tmp_path, way)


@pytest.mark.torture
@pytest.mark.parametrize("way", WAYS)
def test_every_recorded_stream(corpus_root: Path, tmp_path: Path, way: str) -> None:
    everything = streams(corpus_root)
    assert {name for _, name, _ in DEVIATIONS} <= {recording.name for recording in everything}
    assert_as_expected(everything, corpus_root, tmp_path, way)
