"""The programs in `examples/go`: Ark's Go SDK."""

from __future__ import annotations

import subprocess

import pytest

from tests.sdk.examples import RUN_S, Examples
from tests.sdk.readings import assert_complete, assert_stopped, in_and_out, numbers

pytestmark = pytest.mark.go

QUESTION = "水边 🌿 é — what lives in a river?"


@pytest.mark.parametrize("model", ["sim/text?pace=0&seed=1", "sim/reasoning?pace=0&seed=1"])
def test_a_stream_is_read_whole_with_its_tokens(examples: Examples, model: str) -> None:
    ran = examples.run("stream.go", QUESTION, MODEL=model, mount="/api/v3")
    assert QUESTION in ran.said
    assert numbers(r"tokens: (\d+) in, (\d+) out", ran) == in_and_out(ran.entry)
    assert_complete(ran.entry)


def test_the_plainest_loop_meets_no_chunk_without_a_choice(examples: Examples) -> None:
    ran = examples.run("plain.go", MODEL="sim/text?pace=0&seed=1", mount="/api/v3")
    assert "水边有哪些植物？🌿" in ran.said
    assert ran.said.endswith("[ended: EOF]\n")
    assert_complete(ran.entry)


@pytest.mark.parametrize("upstream", ["sim", "sim-chat", "sim-anthropic", "sim-gemini", "sim-dashscope"])
def test_responses_are_read_whole_with_their_tokens(examples: Examples, upstream: str) -> None:
    ran = examples.run("responses.go", QUESTION, MODEL=f"{upstream}/text?pace=0&seed=1", mount="/api/v3")
    assert QUESTION in ran.said
    assert numbers(r"tokens: (\d+) in, (\d+) out", ran) == in_and_out(ran.entry)
    assert_complete(ran.entry)


def test_a_cancelled_context_cancels_the_answer(examples: Examples) -> None:
    ran = examples.run("stop.go", mount="/api/v3")
    assert "[stopped after 5 pieces]" in ran.said
    assert_stopped(ran.entry)


def test_an_error_in_the_stream_is_the_sdk_s_own(examples: Examples) -> None:
    before = len(examples.gateway.entries())
    environment = examples.environment("/api/v3", MODEL="sim/error-midstream?at=6&pace=0&seed=1")
    command = examples.command("stream.go", QUESTION)
    done = subprocess.run(command, env=environment, capture_output=True, timeout=RUN_S, check=False)
    assert done.returncode == 1
    assert done.stdout
    assert b"The simulated model failed" in done.stderr
    (entry,) = examples.gateway.settled_since(before, 1)
    assert entry.outcome == "upstream_error"
