"""Every provider's row against a simulated provider of that manner: the real gateway, called by the real `openai` package.

One gateway has the keys of all providers, a second one wrong keys. The table of cases is called once, at the start; each
test looks at what one call has said.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from msgspec.structs import replace

from tests.live.gateway import Gateway, WatchedSimulator, clean_environment, provider_environment
from tests.sdk.examples import python_command
from thalweg.config import load, parse_base_url
from thalweg.ledger.entry import Entry
from thalweg.profiles.providers import PROVIDERS
from thalweg.server.engines import find_engines

pytestmark = pytest.mark.sdk

PROMPT = "浪花 🌊 — what carries a boat?"
FIRST_THOUGHT = "First I look at what was asked."


class Row(NamedTuple):
    """A provider as it is tried: a model of its own, and what can be seen of that model's thinking."""

    provider: str
    model: str
    shows: bool = True
    thinks: bool = True


ROWS = (
    Row("openai", "gpt-5.4-mini", shows=False),
    Row("ark", "doubao-seed-1-8-251215"),
    Row("ling", "Ling-2.6-flash", shows=False, thinks=False),
    Row("dashscope", "qwen-plus"),
    Row("deepseek", "deepseek-v4-flash"),
    Row("moonshot", "kimi-k3"),
    Row("zhipu", "glm-4.7"),
    Row("openrouter", "anthropic/claude-sonnet-4.6"),
    Row("siliconflow", "Qwen/Qwen3-8B"),
    Row("vllm", "Qwen/Qwen3-8B"),
    Row("ollama", "qwen3"),
    Row("llamacpp", "Qwen3-1.7B-Q4_K_M"),
    Row("lmstudio", "qwen3-8b"),
    Row("aggregator", "deepseek/deepseek-r1"),
)
BY_NAME = {row.provider: row for row in ROWS}
METERED = ("ark", "vllm")
"""Who can report usage in every chunk."""

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": name,
            "parameters": {"type": "object", "properties": {field: {"type": "string"}}, "required": [field]},
        },
    }
    for name, field in (("water_level", "river"), ("sluice", "gate"))
]
STREAM = {"stream": True}
ASKED = {"stream_options": {"include_usage": True}}
OFF, ON = {"reasoning_effort": "none"}, {"reasoning_effort": "high"}
CASES: dict[str, dict[str, Any]] = {
    "a stream": STREAM | OFF | ASKED,
    "a stream without usage": STREAM | OFF,
    "a whole answer": OFF,
    "a stream with thoughts": STREAM | ON | ASKED,
    "a whole answer with thoughts": ON,
    "a stream of calls": STREAM | OFF | {"tools": TOOLS},
    "calls at once": OFF | {"tools": TOOLS},
}
CUT: dict[str, dict[str, Any]] = {
    # The answer has some twenty deltas.
    "cut in a frame": {"fault": ["fin"], "at": 6},
    "ended early": {"fault": ["eof"], "at": 6},
    "reset": {"fault": ["reset"], "at": 6},
}
STREAM_ONLY = ("qwq-plus", "qwen3-32b")

Told = dict[tuple[str, str], dict[str, Any]]


def order(row: Row, case: str, model: str, **ask: Any) -> str:
    knobs = {"pace": 0, "ttft": 0, "seed": 7} | ask.pop("simulator", {})
    fields = {"model": f"{row.provider}/{model}", "messages": [{"role": "user", "content": PROMPT}]} | ask
    return json.dumps({"id": [row.provider, case], "ask": fields | {"extra_body": {"simulator": knobs}}})


def orders() -> Iterator[str]:
    for row in ROWS:
        for case, ask in CASES.items():
            yield order(row, case, row.model, **ask)
        for cut, knobs in CUT.items():
            yield order(row, cut, row.model, **STREAM, **OFF, simulator=knobs)
    for model in STREAM_ONLY:
        yield order(BY_NAME["dashscope"], f"{model} whole", model)
        yield order(BY_NAME["dashscope"], f"{model} streamed", model, **STREAM)


def call(gateway: Gateway, lines: list[str]) -> Told:
    """What the package says to each order."""
    done = subprocess.run(
        [python_command(), str(Path(__file__).with_name("call_providers.py"))],
        input="\n".join(lines),
        env=clean_environment({"BASE_URL": f"{gateway.url}/v1", "API_KEY": gateway.key, "PYTHONUTF8": "1"}),
        capture_output=True,
        encoding="utf-8",
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said = [json.loads(line) for line in done.stdout.splitlines()]
    return {tuple(each["id"]): each for each in said}


@pytest.fixture(scope="module")
def providers() -> Iterator[dict[str, WatchedSimulator]]:
    """One simulated provider of each manner."""
    with ExitStack() as running:
        yield {row.provider: running.enter_context(WatchedSimulator(row.provider)) for row in ROWS}


@pytest.fixture(scope="module")
def gateway(providers: dict[str, WatchedSimulator], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway with every provider's address and key."""
    environment: dict[str, str] = {}
    for name, provider in providers.items():
        environment |= provider_environment(provider.base_url, name)
    with Gateway(tmp_path_factory.mktemp("home"), environment=environment) as started:
        yield started


@pytest.fixture(scope="module")
def told(gateway: Gateway) -> Told:
    """What every case has said."""
    return call(gateway, list(orders()))


@pytest.fixture(scope="module")
def entries(gateway: Gateway, told: Told) -> dict[tuple[str, str], Entry]:
    """The ledger's entry of every case."""
    by_id = {entry.request_id: entry for entry in gateway.settled(len(told))}
    return {case: by_id[said["headers"]["x-thalweg-stream"]] for case, said in told.items()}


each = pytest.mark.parametrize("row", ROWS, ids=lambda row: row.provider)
Entries = dict[tuple[str, str], Entry]


def counted(usage: dict[str, Any]) -> tuple[int, int]:
    return usage["prompt_tokens"], usage["completion_tokens"]


def assert_reported(entry: Entry, row: Row) -> None:
    assert (entry.outcome, entry.usage_source, entry.provider) == ("complete", "reported", row.provider)


@each
def test_text_is_streamed_and_is_what_a_whole_answer_says(row: Row, told: Told, entries: Entries) -> None:
    streamed, whole = told[row.provider, "a stream"], told[row.provider, "a whole answer"]
    assert (streamed["error"], whole["error"]) == (None, None)
    assert PROMPT in streamed["text"]
    assert streamed["text"] == whole["text"]
    assert streamed["chunks"] > 10
    assert (streamed["finish"], whole["finish"]) == ("stop", "stop")
    assert_reported(entries[row.provider, "a stream"], row)
    assert_reported(entries[row.provider, "a whole answer"], row)


@each
@pytest.mark.parametrize("case", ["a stream", "a whole answer"])
def test_thinking_that_is_switched_off_is_off(row: Row, case: str, told: Told, entries: Entries) -> None:
    said = told[row.provider, case]
    assert said["thoughts"] == ""
    assert FIRST_THOUGHT not in said["text"]
    assert not entries[row.provider, case].usage.reasoning_tokens
    assert "x-thalweg-dropped" not in said["headers"]


@each
@pytest.mark.parametrize("case", ["a stream with thoughts", "a whole answer with thoughts"])
def test_thoughts_and_text_never_mix(row: Row, case: str, told: Told, entries: Entries) -> None:
    said, entry = told[row.provider, case], entries[row.provider, case]
    assert said["error"] is None
    assert PROMPT in said["text"]
    assert FIRST_THOUGHT not in said["text"]
    assert said["thoughts"].startswith(FIRST_THOUGHT) is row.shows
    assert said["thoughts"].count(FIRST_THOUGHT) == row.shows
    assert PROMPT not in said["thoughts"]
    plain = entries[row.provider, "a stream"]
    assert ((entry.usage.output_tokens or 0) > (plain.usage.output_tokens or 0)) is row.thinks
    assert_reported(entry, row)


@each
@pytest.mark.parametrize("case", ["a stream of calls", "calls at once"])
def test_two_calls_are_made_and_told_apart(row: Row, case: str, told: Told, entries: Entries) -> None:
    said = told[row.provider, case]
    assert said["error"] is None
    assert [call["name"] for call in said["calls"]] == ["water_level", "sluice"]
    assert [list(json.loads(call["arguments"])) for call in said["calls"]] == [["river"], ["gate"]]
    assert len({call["id"] for call in said["calls"]} - {""}) == 2
    assert said["finish"] == "tool_calls"
    assert_reported(entries[row.provider, case], row)


@each
def test_usage_that_is_asked_for_comes_once_and_alone(row: Row, told: Told, entries: Entries) -> None:
    for case in ("a stream", "a stream with thoughts"):
        (usage,) = told[row.provider, case]["usage"]
        assert usage["alone"]
        used = entries[row.provider, case].usage
        assert counted(usage) == (used.input_tokens, used.output_tokens)


@each
def test_usage_that_is_not_asked_for_stays_away_and_is_known_all_the_same(
    row: Row, told: Told, entries: Entries
) -> None:
    for case in ("a stream without usage", "a stream of calls"):
        assert told[row.provider, case]["usage"] == []
        assert_reported(entries[row.provider, case], row)
    (asked,) = told[row.provider, "a stream"]["usage"]
    unasked = entries[row.provider, "a stream without usage"].usage
    assert counted(asked) == (unasked.input_tokens, unasked.output_tokens)


@pytest.mark.parametrize("model", STREAM_ONLY)
def test_a_model_that_only_streams_answers_whole(model: str, told: Told, entries: Entries) -> None:
    whole, streamed = told["dashscope", f"{model} whole"], told["dashscope", f"{model} streamed"]
    assert whole["error"] is None
    assert PROMPT in whole["text"]
    assert whole["thoughts"].startswith(FIRST_THOUGHT)
    assert (whole["text"], whole["thoughts"]) == (streamed["text"], streamed["thoughts"])
    entry = entries["dashscope", f"{model} whole"]
    assert (entry.stream, entry.outcome, entry.usage_source) == (False, "complete", "reported")
    assert counted(whole["usage"][0]) == (entry.usage.input_tokens, entry.usage.output_tokens)


@each
@pytest.mark.parametrize("cut", CUT)
def test_a_cut_stream_ends_with_an_error_and_its_tokens_are_known_somehow(
    row: Row, cut: str, told: Told, entries: Entries
) -> None:
    said, entry = told[row.provider, cut], entries[row.provider, cut]
    assert said["error"] is not None, said
    assert said["finish"] is None
    whole = told[row.provider, "a stream"]["text"]
    assert said["text"]
    assert whole.startswith(said["text"])
    assert len(said["text"]) < len(whole)
    assert entry.outcome == "upstream_error"
    assert entry.usage_source in ("estimated", "reported", "counted")
    assert entry.usage.output_tokens


@pytest.mark.parametrize("provider", METERED)
@pytest.mark.parametrize("cut", CUT)
def test_a_cut_stream_has_exact_usage(provider: str, cut: str, told: Told, entries: Entries) -> None:
    """Where every chunk reports usage, the last one that came is the truth: five deltas of one token each."""
    entry = entries[provider, cut]
    assert (entry.usage_source, entry.usage.output_tokens) == ("reported", 5)
    assert entry.usage.input_tokens == entries[provider, "a stream"].usage.input_tokens
    assert told[provider, cut]["usage"] == []


def test_keys_that_are_refused_are_named_by_their_variable(
    providers: dict[str, WatchedSimulator], tmp_path_factory: pytest.TempPathFactory
) -> None:
    environment: dict[str, str] = {}
    variables = {}
    for name, provider in providers.items():
        place, key = provider_environment(provider.base_url, name)
        environment |= {place: provider.base_url, key: "sk-bad-key-of-this-test"}
        variables[name] = key
    lines = [order(row, kind, row.model, **ask) for row in ROWS for kind, ask in (("whole", {}), ("stream", STREAM))]
    with Gateway(tmp_path_factory.mktemp("home"), environment=environment) as started:
        told = call(started, lines)
        for (provider, _), said in told.items():
            error = said["error"]
            assert (error["status"], error["body"]["message"]) == (502, f"{provider} refused {variables[provider]}")
            assert said["headers"]["x-should-retry"] == "false"
        assert "sk-bad" not in json.dumps(list(told.values()))
        assert "sk-bad" not in started.log


# Engines.

LOCAL = [row.name for row in PROVIDERS if row.local]


@pytest.mark.parametrize("name", LOCAL)
def test_an_engine_is_known_by_what_it_says_and_taken_for_no_other(
    name: str, providers: dict[str, WatchedSimulator]
) -> None:
    origin, path = parse_base_url(providers[name].base_url, "x")
    settings = load({}, port=1)
    others = {each.row.name: each for each in settings.providers.values() if each.row.local}
    everywhere = {each: replace(provider, origin=origin, base_path=path) for each, provider in others.items()}
    found = asyncio.run(find_engines(replace(settings, providers=everywhere)))
    assert list(found) == [name]
    assert BY_NAME[name].model in found[name]


def test_engines_are_announced_listed_and_answer_by_their_bare_names(
    providers: dict[str, WatchedSimulator], tmp_path_factory: pytest.TempPathFactory
) -> None:
    environment = {row.base_url_variable: providers[row.name].base_url for row in PROVIDERS if row.local}
    with Gateway(tmp_path_factory.mktemp("home"), environment=environment) as started:
        rows = json.loads(started.request("GET", "/v1/models")[2])["data"]
        assert {
            name: f"{name}/{BY_NAME[name].model}" in {row["id"] for row in rows} for name in LOCAL
        } == dict.fromkeys(LOCAL, True)
        # A family's name by its beginning, but that family has no key here, and an engine has the model.
        body = {"model": "gpt-oss:20b", "messages": [{"role": "user", "content": PROMPT}]}
        status, _, answer = started.request("POST", "/v1/chat/completions", body)
        assert (status, json.loads(answer)["model"]) == (200, "gpt-oss:20b")
        (entry,) = started.settled(1)
        assert (entry.provider, entry.upstream_model) == ("ollama", "gpt-oss:20b")
    # Read when it has ended: they are told of a moment after the address.
    for name in LOCAL:
        assert f"{name}/{BY_NAME[name].model}" in started.log


# Providers that speak another dialect than Chat: the same calls, translated. The simulator has no manner of theirs.

BASES = {
    "openai-responses": "/v1",
    "ark-responses": "/v1",
    "anthropic": "",
    "google": "/v1beta",
    "dashscope-native": "/api/v1",
}
"""Where the simulator has each one's dialect, below its address."""
KNOBS = "?pace=0&ttft=0&seed=7"
OTHER_CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "a stream": (f"text{KNOBS}", STREAM | ASKED),
    "a stream without usage": (f"text{KNOBS}", STREAM),
    "a whole answer": (f"text{KNOBS}", {}),
    "a stream of calls": (f"tools{KNOBS}", STREAM | {"tools": TOOLS}),
    "calls at once": (f"tools{KNOBS}", {"tools": TOOLS}),
    "cut in a frame": (f"text{KNOBS}&fault=fin&at=6", STREAM),
    "ended early": (f"text{KNOBS}&fault=eof&at=6", STREAM),
}


@pytest.fixture(scope="module")
def translated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Told, dict[tuple[str, str], Entry]]]:
    """What the package says to each provider's cases, and what the ledger does."""
    with WatchedSimulator() as simulator:
        origin = simulator.base_url.removesuffix("/v1")
        environment: dict[str, str] = {}
        for name, path in BASES.items():
            environment |= provider_environment(f"{origin}{path}", name)
        lines = [
            json.dumps({"id": [name, case], "ask": {"model": f"{name}/{model}", "messages": SAID} | ask})
            for name in BASES
            for case, (model, ask) in OTHER_CASES.items()
        ]
        with Gateway(tmp_path_factory.mktemp("home"), environment=environment) as started:
            said = call(started, lines)
            by_id = {entry.request_id: entry for entry in started.settled(len(said))}
    yield said, {case: by_id[each["headers"]["x-thalweg-stream"]] for case, each in said.items()}


SAID = [{"role": "user", "content": PROMPT}]
Translated = tuple[Told, dict[tuple[str, str], Entry]]


@pytest.mark.parametrize("name", BASES)
def test_a_translated_stream_says_what_a_translated_answer_does(name: str, translated: Translated) -> None:
    told, entries = translated
    streamed, whole = told[name, "a stream"], told[name, "a whole answer"]
    assert (streamed["error"], whole["error"]) == (None, None)
    assert PROMPT in streamed["text"]
    assert streamed["text"] == whole["text"]
    assert streamed["chunks"] > 10
    assert (streamed["finish"], whole["finish"]) == ("stop", "stop")
    (usage,) = streamed["usage"]
    assert usage["alone"]
    assert told[name, "a stream without usage"]["usage"] == []
    for case in ("a stream", "a stream without usage", "a whole answer"):
        entry = entries[name, case]
        assert (entry.outcome, entry.usage_source, entry.provider) == ("complete", "reported", name)
        assert counted(usage) == (entry.usage.input_tokens, entry.usage.output_tokens)


@pytest.mark.parametrize("name", BASES)
@pytest.mark.parametrize("case", ["a stream of calls", "calls at once"])
def test_translated_calls_are_made_and_told_apart(name: str, case: str, translated: Translated) -> None:
    said = translated[0][name, case]
    assert said["error"] is None
    assert [call["name"] for call in said["calls"]] == ["water_level", "sluice"]
    assert [list(json.loads(call["arguments"])) for call in said["calls"]] == [["river"], ["gate"]]
    assert len({call["id"] for call in said["calls"]} - {""}) == 2
    assert said["finish"] == "tool_calls"


@pytest.mark.parametrize("name", BASES)
@pytest.mark.parametrize("cut", ["cut in a frame", "ended early"])
def test_a_translated_stream_that_is_cut_ends_with_an_error(name: str, cut: str, translated: Translated) -> None:
    told, entries = translated
    said, entry = told[name, cut], entries[name, cut]
    assert said["error"] is not None, said
    assert said["finish"] is None
    assert said["text"]
    assert told[name, "a stream"]["text"].startswith(said["text"])
    assert entry.outcome == "upstream_error"
    assert entry.usage.output_tokens


def test_every_row_is_tried() -> None:
    assert {row.name for row in PROVIDERS} | {"aggregator"} == BY_NAME.keys() | BASES.keys()
