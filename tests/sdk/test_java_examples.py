"""The programs in `examples/java`: OpenAI's Java SDK, and Ark's."""

from __future__ import annotations

import subprocess

import pytest

from tests.sdk.examples import RUN_S, Examples
from tests.sdk.readings import assert_complete, assert_stopped, in_and_out, numbers

pytestmark = pytest.mark.java

FAST = "sim/text?pace=0&seed=1"
QUESTION = "水边 🌿 é — what lives in a river?"


@pytest.mark.parametrize("mount", ["/v1", "/api/v3", "/compatible-mode/v1"])
def test_a_stream_is_read_whole_with_its_tokens(examples: Examples, mount: str) -> None:
    ran = examples.run("Stream.java", QUESTION, MODEL=FAST, mount=mount)
    assert QUESTION in ran.said
    assert numbers(r"tokens: (\d+) in, (\d+) out", ran) == in_and_out(ran.entry)
    assert_complete(ran.entry)


@pytest.mark.parametrize("upstream", ["sim", "sim-anthropic"])
def test_responses_are_read_whole_with_their_tokens(examples: Examples, upstream: str) -> None:
    ran = examples.run("Answer.java", QUESTION, MODEL=f"{upstream}/text?pace=0&seed=1")
    assert QUESTION in ran.said
    assert numbers(r"tokens: (\d+) in, (\d+) out", ran) == in_and_out(ran.entry)
    assert_complete(ran.entry)


@pytest.mark.parametrize("upstream", ["sim", "sim-responses", "sim-anthropic", "sim-gemini", "sim-dashscope"])
def test_ark_s_plainest_loop_prints_no_null(examples: Examples, upstream: str) -> None:
    ran = examples.run("ark/Plain.java", MODEL=f"{upstream}/text?pace=0&seed=1", mount="/api/v3")
    assert "水边有哪些植物？🌿" in ran.said
    assert "null" not in ran.said
    assert_complete(ran.entry)


def test_leaving_the_block_cancels_the_answer(examples: Examples) -> None:
    ran = examples.run("Stop.java")
    assert "[stopped after 5 pieces]" in ran.said
    assert_stopped(ran.entry)


def test_an_error_in_the_stream_keeps_what_came_and_is_the_sdk_s_own(examples: Examples) -> None:
    before = len(examples.gateway.entries())
    environment = examples.environment(MODEL="sim/error-midstream?at=6&pace=0&seed=1")
    command = examples.command("Stream.java", QUESTION)
    done = subprocess.run(command, env=environment, capture_output=True, timeout=RUN_S, check=False)
    assert done.returncode == 1
    assert done.stdout
    assert b"The simulated model failed" in done.stderr
    (entry,) = examples.gateway.settled_since(before, 1)
    assert entry.outcome == "upstream_error"
