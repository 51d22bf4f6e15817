"""The programs in `examples/python`: they print what was said, and the ledger says the same."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live.conftest import StartGateway
from tests.live.gateway import Gateway, WatchedSimulator, clean_environment
from tests.sdk.examples import EXAMPLES, RUN_S, Examples, Ran
from tests.sdk.readings import assert_complete, assert_stopped, in_and_out, numbers

pytestmark = pytest.mark.sdk

FAST = "sim/text?pace=0&seed=1"
THINKS_FAST = "sim/reasoning?pace=0&seed=1"
QUESTION = "浪花 🌊 é ñ 👩‍🚀 — what carries a boat?"
MOUNTS = ("/v1", "/v1/", "/api/v3", "/compatible-mode/v1", "/openai/v1")


@pytest.fixture(scope="module")
def whole(examples: Examples) -> Ran:
    return examples.run("whole.py", QUESTION, MODEL=FAST)


def test_a_whole_answer_and_its_tokens(whole: Ran) -> None:
    assert QUESTION in whole.said
    assert "[ended: stop]" in whole.said
    assert_complete(whole.entry)
    assert not whole.entry.stream
    assert numbers(r"tokens: (\d+) in, (\d+) out", whole) == in_and_out(whole.entry)


@pytest.mark.parametrize("mount", MOUNTS)
def test_a_stream_says_the_same_as_the_whole_answer_on_every_mount(examples: Examples, whole: Ran, mount: str) -> None:
    ran = examples.run("stream.py", QUESTION, MODEL=FAST, mount=mount)
    assert ran.said == whole.said.partition("[tokens")[0]
    assert_complete(ran.entry)
    assert ran.entry.stream
    assert ran.entry.usage.output_tokens == whole.entry.usage.output_tokens
    assert ran.entry.endpoint == mount.rstrip("/") + "/chat/completions"


def test_leaving_the_with_block_cancels(examples: Examples) -> None:
    ran = examples.run("stop.py")
    assert "[stopped after 5 pieces]" in ran.said
    assert_stopped(ran.entry)
    # The model would have gone on for twelve seconds.
    assert (ran.entry.duration_ms or 0) < 8_000


def test_leaving_the_with_block_closes_the_provider_s_connection(
    start_gateway: StartGateway, watched_simulator: WatchedSimulator, tmp_path: Path
) -> None:
    gateway = start_gateway(environment=watched_simulator.environment())
    ran = Examples(gateway, tmp_path).run("stop.py", MODEL="openai/slow")
    watched_simulator.until_seen(closes=1, within_s=2)
    assert watched_simulator.server.requests_seen == 1
    assert_stopped(ran.entry)
    assert ran.entry.provider == "openai"


def test_unguarded_code_reads_reasoning_and_then_content(examples: Examples) -> None:
    """Content is added up without a look whether it is there, as providers teach it."""
    ran = examples.run("thinking.py", MODEL=THINKS_FAST)
    thoughts, _, answer = ran.said.partition("\n---\n")
    assert thoughts.startswith("First I look")
    assert "会思考的模型和不思考的模型有什么不同？" in answer
    assert numbers(r"\[(\d+) characters thought", ran) == (len(thoughts),)
    assert_complete(ran.entry)
    assert ran.entry.usage.reasoning_tokens


def test_usage_comes_in_a_chunk_of_its_own_and_equals_the_ledger_s(examples: Examples) -> None:
    ran = examples.run("usage.py", MODEL=FAST)
    (into,) = numbers(r"\[input tokens: (\d+)\]", ran)
    (out,) = numbers(r"\[output tokens: (\d+)\]", ran)
    assert numbers(r"\[all tokens: (\d+)\]", ran) == (into + out,)
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
def test_code_that_compares_content_with_the_empty_string_reads_what_is_said_of_a_picture(
    examples: Examples, arguments: tuple[str, ...], seen: str
) -> None:
    ran = examples.run("picture.py", *arguments, MODEL=FAST)
    assert seen in ran.said
    assert_complete(ran.entry)


def test_several_asynchronous_streams_at_once_do_not_mix(examples: Examples) -> None:
    ran = examples.run("at_once.py", MODEL="sim/text?pace=500", entries=3)
    answers = ran.said.split("\n---\n")[:-1]
    questions = ("讲一个渡口的故事", "Tell of a ferry 🛶", "Erzähle von einer Fähre")
    assert sorted(sum(question in answer for answer in answers) for question in questions) == [1, 1, 1]
    for entry in ran.entries:
        assert_complete(entry)


def test_a_bound_on_the_length(examples: Examples) -> None:
    ran = examples.run("length.py", MODEL=FAST)
    assert "… [cut]" in ran.said
    assert numbers(r"\[output tokens: (\d+)\]", ran) == (8,)
    assert_complete(ran.entry, "length")
    assert ran.entry.usage.output_tokens == 8


def test_calls_are_put_together_and_their_results_are_used(examples: Examples) -> None:
    ran = examples.run("tools.py", MODEL="sim/tools?pace=0&seed=1", entries=2)
    assert "[ended: tool_calls]" in ran.said
    called = dict(re.findall(r"\[(\w+) → (.*)\]", ran.said))
    assert set(called) == {"water_level", "sluice"}
    assert json.loads(called["sluice"])["opening"] in ("open", "closed")
    assert '"level_cm": 4711' in ran.said.rpartition("工具的回答是")[0]
    assert_complete(ran.entries[0], "tool_calls")
    assert_complete(ran.entries[1])


def test_each_error_has_its_class_and_keeps_what_was_said(examples: Examples) -> None:
    ran = examples.run("errors.py", MODEL=FAST, entries=3)
    well, key, model, request, broken = ran.said.splitlines()
    assert well.startswith("all is well: '")
    assert key.startswith("the key is wrong (401): ")
    assert "sk-nobody" not in key
    assert model.startswith("there is no such model (404): ")
    assert "nobody-made-this" in model
    assert request.startswith("the request is wrong (400, messages): ")
    told = re.fullmatch(r"the answer broke off after '(.+)': (.+)", broken)
    assert told, broken
    # A wrong key and a request without a meaning never become requests to a provider.
    complete, refused, failed = ran.entries
    assert_complete(complete)
    assert (refused.outcome, refused.upstream_status) == ("refused", 404)
    assert (failed.outcome, failed.upstream_status) == ("upstream_error", 200)
    assert failed.usage.output_tokens


def test_the_sdk_s_helper_gathers_what_was_streamed(examples: Examples) -> None:
    ran = examples.run("helper.py", MODEL=FAST)
    assert "[assistant, ended: stop, the same text: True]" in ran.said
    assert numbers(r"tokens: (\d+) in, (\d+) out", ran) == in_and_out(ran.entry)
    assert_complete(ran.entry)


@pytest.mark.parametrize("thinking", ["enabled", "disabled"])
def test_ark_s_sdk_and_its_switch_for_thinking(examples: Examples, thinking: str) -> None:
    ran = examples.run("ark_chat.py", MODEL=THINKS_FAST, THINKING=thinking, mount="/api/v3")
    (thought,) = numbers(r"\[(\d+) characters thought\]", ran)
    assert bool(thought) is (thinking == "enabled")
    assert "水边长什么植物？" in ran.said
    assert numbers(r"tokens: (\d+) in, (\d+) out", ran) == in_and_out(ran.entry)
    assert_complete(ran.entry)
    assert bool(ran.entry.usage.reasoning_tokens) is (thinking == "enabled")
    assert ran.entry.endpoint == "/api/v3/chat/completions"


def test_ark_s_asynchronous_sdk_streams_stops_and_takes_whole(examples: Examples) -> None:
    ran = examples.run("ark_async.py", MODEL=FAST, mount="/api/v3", entries=3)
    streamed, _, rest = ran.said.partition("\n---\n")
    assert "讲讲三峡 ⛰️" in streamed
    assert rest == f"[stopped after 3 pieces]\n{streamed}\n"
    assert_complete(ran.entries[0])
    assert_stopped(ran.entries[1])
    assert_complete(ran.entries[2])


@pytest.mark.parametrize("plain", ["", "1"])
def test_ark_s_plainest_loops_print_no_none(examples: Examples, plain: str) -> None:
    ran = examples.run("ark_plain.py", MODEL=FAST, PLAIN=plain, mount="/api/v3")
    assert "水边有哪些植物？🌿" in ran.said
    assert "None" not in ran.said
    assert_complete(ran.entry)


def test_ark_s_responses(examples: Examples) -> None:
    ran = examples.run("ark_responses.py", MODEL="sim-chat/reasoning?pace=0&seed=1", mount="/api/v3")
    (thought,) = numbers(r"\[(\d+) characters thought\]", ran)
    assert thought
    assert "水边长什么植物？🌿" in ran.said
    assert numbers(r"tokens: (\d+) in, (\d+) out", ran) == in_and_out(ran.entry)
    assert_complete(ran.entry)


UPSTREAMS = ("sim", "sim-chat", "sim-responses", "sim-anthropic", "sim-gemini", "sim-dashscope")
"""The simulator in the client's dialect, and in every other."""


@pytest.mark.parametrize("upstream", UPSTREAMS)
def test_responses_and_a_second_question_that_the_answer_is_sent_along_with(examples: Examples, upstream: str) -> None:
    ran = examples.run("responses.py", QUESTION, MODEL=f"{upstream}/reasoning?pace=0&seed=1", entries=2)
    assert QUESTION in ran.said
    assert "And what does it say in one word?" in ran.said
    assert ran.said.count("[completed; tokens: ") == 2
    for entry in ran.entries:
        assert_complete(entry)


@pytest.mark.parametrize("mount", ["/anthropic", ""])
def test_anthropic_s_text_stream_and_final_message(examples: Examples, mount: str) -> None:
    ran = examples.run("anthropic_stream.py", QUESTION, MODEL=FAST, mount=mount)
    assert QUESTION in ran.said
    assert "[ended: end_turn; " in ran.said
    assert numbers(r"tokens: (\d+) in, (\d+) out", ran) == in_and_out(ran.entry)
    assert_complete(ran.entry)
    assert ran.entry.endpoint == f"{mount}/v1/messages"


@pytest.mark.parametrize("upstream", UPSTREAMS)
def test_an_agent_with_anthropic_s_sdk(examples: Examples, upstream: str) -> None:
    ran = examples.run("anthropic_tools.py", MODEL=f"{upstream}/agent?pace=0&seed=1", mount="/anthropic", entries=4)
    assert ran.said.count("[calls: ") == 3
    assert "4711" in ran.said.rpartition("[calls: ")[2]
    assert ran.said.endswith("[ended: end_turn]\n")
    for entry in ran.entries[:3]:
        assert_complete(entry, "tool_calls")
    assert_complete(ran.entries[3])


def test_unguarded_code_prints_the_text_of_every_chunk_of_gemini_s_and_no_none(examples: Examples) -> None:
    ran = examples.run("genai_stream.py", QUESTION, MODEL="sim/text;pace=0;seed=1", mount="")
    assert QUESTION in ran.said
    assert "None" not in ran.said
    assert_complete(ran.entry)


@pytest.mark.parametrize("upstream", UPSTREAMS)
def test_google_s_sdk_keeps_a_talk(examples: Examples, upstream: str) -> None:
    ran = examples.run("genai_chat.py", MODEL=f"{upstream}/reasoning;pace=0;seed=1", mount="", entries=2)
    assert "Which rivers flow into the Baltic?" in ran.said
    assert "那么哪条最长？🌊" in ran.said
    assert ran.said.count("characters thought") == 2
    # Anthropic thinks only where it is told to, and who asks for thoughts tells it to.
    assert "[0 characters" not in ran.said
    for entry in ran.entries:
        assert_complete(entry)


@pytest.mark.parametrize(
    ("example", "mount", "model", "said"),
    [
        ("usage.py", "/compatible-mode/v1", "qwen-plus", "你好，请问你是谁？"),
        ("thinking.py", "/api/v3", "doubao-seed-1-8-251215", "会思考的模型"),
        ("ark_chat.py", "/api/v3", "doubao-seed-1-8-251215", "characters thought"),
        ("picture.py", "/compatible-mode/v1", "qwen3-vl-plus", "PNG of 8 × 8"),
        ("stream.py", "/v1", "openai/gpt-5.4-mini", "[ended: stop]"),
        ("ark_plain.py", "/api/v3", "doubao-1-5-pro-32k-250115", "水边有哪些植物"),
        ("stream.py", "/v1/", "Ling-2.6-flash", "[ended: stop]"),
        ("anthropic_stream.py", "/anthropic", "anthropic/claude-sonnet-4.6", "[ended: end_turn; "),
        ("genai_stream.py", "", "google/gemini-3.1-flash", "请写两行关于大江的诗 🌊"),
        ("responses.py", "/v1", "openai/gpt-5.4-mini", "[completed; "),
    ],
)
def test_a_simulating_gateway_takes_the_providers_own_model_names(
    simulating: Examples, example: str, mount: str, model: str, said: str
) -> None:
    """Only the base URL and the key are new."""
    ran = simulating.run(example, MODEL=model, mount=mount, entries=2 if example == "responses.py" else 1)
    assert said in ran.said
    for entry in ran.entries:
        assert_complete(entry)
        assert (entry.model, entry.simulated) == (model, True)


@pytest.fixture(scope="module")
def simulating(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Examples]:
    with Gateway(tmp_path_factory.mktemp("home"), arguments=["--simulate"]) as gateway:
        yield Examples(gateway, tmp_path_factory.mktemp("examples"))


def test_on_loopback_a_gateway_without_a_key_takes_any(start_gateway: StartGateway, tmp_path: Path) -> None:
    ran = Examples(start_gateway(key=None), tmp_path).run("stream.py", MODEL=FAST)
    assert "[ended: stop]" in ran.said
    assert_complete(ran.entry)
    assert ran.entry.key_id == "local"


def test_a_provider_is_asked_without_a_gateway(tmp_path: Path) -> None:
    """By the package itself, so in its own Python."""
    environment = clean_environment() | {"THALWEG_HOME": str(tmp_path), "MODEL": FAST}
    command = [sys.executable, EXAMPLES / "python" / "in_process.py", QUESTION]
    ran = subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=RUN_S)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert QUESTION in ran.stdout
    assert re.search(r"\[ended: stop, tokens: \d+\]", ran.stdout)


def test_every_example_is_run_by_a_test() -> None:
    tests = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*_examples.py"))
    programs = [path.name for suffix in ("py", "mjs", "sh") for path in EXAMPLES.glob(f"*/*.{suffix}")]
    assert [name for name in programs if f'"{name}"' not in tests] == []
