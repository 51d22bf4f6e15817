"""The programs in `examples/node`, a chat's back end and its page among them."""

from __future__ import annotations

import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.sdk.examples import Examples, Ran
from tests.sdk.readings import assert_complete, assert_stopped, in_and_out, numbers

pytestmark = pytest.mark.node

FAST = "sim/text?pace=0&seed=1"
QUESTION = "浪花 🌊 é ñ 👩‍🚀 — what carries a boat?"


def test_a_stream_is_shown_while_it_is_made(examples: Examples) -> None:
    ran = examples.run("stream.mjs", QUESTION, MODEL=FAST)
    assert QUESTION in ran.said
    assert_complete(ran.entry)
    assert ran.entry.stream


def test_typescript_holds_to_the_sdk_s_types_and_reads_the_same(examples: Examples) -> None:
    ran = examples.run("stream.ts", QUESTION, MODEL=FAST)
    assert QUESTION in ran.said
    assert numbers(r"tokens: (\d+) in, (\d+) out", ran) == in_and_out(ran.entry)
    assert_complete(ran.entry)


def test_leaving_the_loop_cancels(examples: Examples) -> None:
    ran = examples.run("stop.mjs")
    assert "[stopped after 5 pieces]" in ran.said
    assert_stopped(ran.entry)


def test_usage_comes_in_a_chunk_of_its_own_and_equals_the_ledger_s(examples: Examples) -> None:
    ran = examples.run("usage.mjs", MODEL=FAST, mount="/compatible-mode/v1")
    (into,) = numbers(r"\[input tokens: (\d+)\]", ran)
    (out,) = numbers(r"\[output tokens: (\d+)\]", ran)
    assert numbers(r"\[all tokens: (\d+)\]", ran) == (into + out,)
    assert numbers(r"\[characters: (\d+)\]", ran) == (len(ran.said.partition("\n[input")[0]),)
    assert_complete(ran.entry)
    assert (into, out) == in_and_out(ran.entry)


@pytest.mark.parametrize(
    ("arguments", "seen"),
    [
        ((), "The image is a PNG of 8 × 8 pixels."),
        (("https://example.com/boats.png?signature=secret",), "There is an image at example.com/boats.png;"),
    ],
    ids=["sent along", "at an address"],
)
def test_code_that_adds_up_what_is_not_null_reads_what_is_said_of_a_picture(
    examples: Examples, arguments: tuple[str, ...], seen: str
) -> None:
    ran = examples.run("picture.mjs", *arguments, MODEL=FAST)
    assert seen in ran.said
    assert_complete(ran.entry)


def test_the_sdk_s_helper_gathers_what_was_streamed(examples: Examples) -> None:
    ran = examples.run("helper.mjs", MODEL=FAST)
    assert "[assistant, ended: stop, the same text: true]" in ran.said
    assert numbers(r"tokens: (\d+) in, (\d+) out", ran) == in_and_out(ran.entry)
    assert_complete(ran.entry)


@pytest.mark.parametrize(
    ("example", "mount", "model"),
    [
        ("responses.mjs", "/v1", FAST),
        ("anthropic.mjs", "/anthropic", FAST),
        ("genai.mjs", "", "sim/text;pace=0;seed=1"),
        ("responses.mjs", "/v1", "sim-gemini/text?pace=0&seed=1"),
        ("anthropic.mjs", "/anthropic", "sim-responses/text?pace=0&seed=1"),
        ("genai.mjs", "", "sim-anthropic/text;pace=0;seed=1"),
    ],
)
def test_other_dialects_are_read_with_their_tokens(examples: Examples, example: str, mount: str, model: str) -> None:
    ran = examples.run(example, QUESTION, MODEL=model, mount=mount)
    assert QUESTION in ran.said
    assert numbers(r"tokens: (\d+) in, (\d+) out", ran) == in_and_out(ran.entry)
    assert_complete(ran.entry)


@contextmanager
def chat_server(examples: Examples, model: str) -> Iterator[str]:
    """The back end, running; its address."""
    server = subprocess.Popen(
        examples.command("chat_server.mjs"),
        env=examples.environment(MODEL=model, PORT="0"),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert server.stdout is not None
    try:
        # It ends where it cannot listen, and then this is empty.
        listens = re.search(r"http://\S+", server.stdout.readline().decode())
        assert listens
        yield listens[0]
        server.send_signal(signal.SIGTERM)
        assert server.wait(20) == 0
    finally:
        if server.poll() is None:
            server.kill()
            server.wait()
        server.stdout.close()


def visit(examples: Examples, model: str, *more: str) -> Ran:
    """One question on the page."""
    with chat_server(examples, model) as address:
        return examples.run("chat_page.mjs", address, QUESTION, *more)


def test_a_chat_s_back_end_and_page(examples: Examples) -> None:
    ran = visit(examples, FAST)
    assert QUESTION in ran.said
    assert ran.said.endswith("\n[done]\n")
    assert_complete(ran.entry)


def test_a_page_learns_that_the_answer_broke_off(examples: Examples) -> None:
    ran = visit(examples, "sim/error-midstream?at=12&pace=0&seed=1")
    assert QUESTION[:5] in ran.said
    assert "\n[error: " in ran.said
    assert "[done]" not in ran.said
    assert ran.entry.outcome == "upstream_error"
    assert ran.entry.usage.output_tokens


def test_a_page_that_goes_cancels_through_its_back_end(examples: Examples) -> None:
    ran = visit(examples, "sim/slow", "4")
    assert "[left after 4 pieces]" in ran.said
    assert_stopped(ran.entry)
    # The model would have gone on for twelve seconds.
    assert (ran.entry.duration_ms or 0) < 8_000
