"""Our frames have the structure of recorded ones: the same keys in the same order, null where theirs are null.

Both ways: each recorded chunk, reduced to its structure, is one that the manner makes for some answer; and each chunk of
our answer to a request like the recorded one is among the recorded. Where a recording has more than the manner, an
allowance says why; an allowance that no recording needs any more fails.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.simulator.manners_stage import (
    SIMULATORS,
    TWO_TOOLS,
    ask_as,
    body_bytes,
    chunks_of,
    head_of,
    headers_of,
    tree_of,
)

# Also known to conftest.py as the fixture `corpus_root`; here the names of the cases are the tests' ids.
ROOT = Path(os.environ.get("THALWEG_TEST_CORPUS") or Path(__file__).resolve().parents[3] / "shared" / "corpus")

pytestmark = pytest.mark.usefixtures("corpus_root")

Tree = dict[str, Any]


class Row(NamedTuple):
    """Recordings, by a pattern of their folder's name, and the model whose form they have."""

    pattern: str
    manner: str
    model: str


ROWS = (
    Row("openai--gpt-4o-2024-08-06-tool-call-*", "openai", "gpt-4o"),
    Row("openai--gpt-5-nano-2025-08-07-length-d*", "openai", "gpt-5"),
    Row("openai--o4-mini-2025-04-16-structured-output-*", "openai", "gpt-5"),
    Row("volcengine-ark--*", "ark", "doubao-seed-1-6-vision-250815"),
    Row("dashscope--qwen-plus-*", "dashscope", "qwen-plus"),
    Row("dashscope--qwen-turbo-t*", "dashscope", "qwen-turbo"),
    Row("dashscope--qwen-turbo-length-*", "dashscope", "qwen-turbo"),
    Row("dashscope--qwen3-max-*", "dashscope", "qwen3-max"),
    Row("deepseek--*", "deepseek", "deepseek-v4-flash"),
    Row("moonshot--kimi-k3-*", "moonshot", "kimi-k3"),
    Row("zai--glm-4.5-*", "zhipu", "glm-4.5"),
    Row("zai--glm-4.6-*", "zhipu", "glm-4.6"),
    Row("zai--glm-4.7-*", "zhipu", "glm-4.7"),
    Row("zai--glm-5*", "zhipu", "glm-5.3"),
    Row("openrouter--claude-4.5-haiku-*", "openrouter", "anthropic/claude-sonnet-4.6"),
    Row("openrouter--kimi-k2.5-*", "openrouter", "moonshotai/kimi-k2.5"),
    Row("openrouter--qwen3-235b-*", "openrouter", "deepseek/deepseek-chat-v3.1"),
    Row("openrouter--qwen3-coder-*", "openrouter", "deepseek/deepseek-chat-v3.1"),
    Row("openrouter--mistral-small-3.1-*", "openrouter", "deepseek/deepseek-chat-v3.1"),
    Row("crusoe--*", "vllm", "meta-llama/Llama-3.3-70B-Instruct"),
    Row("ollama--qwen3-*", "ollama", "qwen3"),
    Row("ollama--gpt-oss-*", "ollama", "gpt-oss:20b"),
    Row("ollama--granite*", "ollama", "llama3.2"),
    Row("llamacpp--*", "llamacpp", "Qwen3-1.7B-Q4_K_M"),
    Row("groq--gpt-oss-*", "groq", "openai/gpt-oss-20b"),
    Row("groq--kimi-*", "groq", "moonshotai/kimi-k2-instruct-0905"),
    Row("groq--llama-3*", "groq", "llama-3.3-70b-versatile"),
    Row("groq--qwen3-*", "groq", "qwen/qwen3-32b"),
    Row("mistral--mistral-*", "mistral", "mistral-small-latest"),
)

LEFT_OUT = {"logprobs", "multi_choice", "mid_stream_error"}
"""What is in a recording that the simulator has no counterpart for."""


class Case:
    """One recorded answer, and the manner it is held against."""

    def __init__(self, row: Row, folder: Path) -> None:
        self.row = row
        self.name = folder.name
        self.folder = folder
        self.meta = json.loads((folder / "meta.json").read_bytes())
        asked = folder / "request.json"
        self.request = json.loads(asked.read_bytes()) if asked.exists() else {}
        self.features = set(self.meta["features"])

    @property
    def ordered(self) -> bool:
        """Whether the keys stand as the provider sent them."""
        return "keys sorted" not in self.meta["provenance"] and not self.meta["json_reserialised"]

    @property
    def options(self) -> list[Tree | None]:
        """The `stream_options` it may have been asked with."""
        if "stream_options" in self.request:
            return [self.request["stream_options"]]
        return [None] if self.request else [None, {"include_usage": True}]

    @property
    def body(self) -> bytes:
        (file,) = self.folder.glob("response.*")
        return file.read_bytes()

    @property
    def chunks(self) -> Iterator[Tree]:
        lines = self.body.replace(b"\r\n", b"\n").split(b"\n")
        return (json.loads(line[6:]) for line in lines if line.startswith(b"data: {"))


def cases(kind: str) -> list[Case]:
    if not (ROOT / "index.json").is_file():
        return []
    folders = sorted((ROOT / "openai-chat").iterdir())
    found = [Case(row, folder) for row in ROWS for folder in folders if fnmatchcase(folder.name, row.pattern)]
    return [case for case in found if case.meta["kind"] == kind and not case.features & LEFT_OUT]


def each(kind: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", cases(kind), ids=lambda case: case.name)


def structure(value: Any, *, ordered: bool) -> Any:
    """What a value is like: keys and their order, null, empty or not; of a list, its different members."""
    if isinstance(value, dict):
        pairs = [(key, structure(each, ordered=ordered)) for key, each in value.items()]
        return tuple(pairs if ordered else sorted(pairs, key=lambda pair: pair[0]))
    if isinstance(value, list):
        return ("list", *dict.fromkeys(structure(each, ordered=ordered) for each in value))
    if isinstance(value, str):
        return "text" if value else "empty"
    return "number" if isinstance(value, int | float) and not isinstance(value, bool) else repr(value)


class Allowance(NamedTuple):
    """A way in which recordings go beyond the manner."""

    pattern: str
    why: str
    change: Callable[[Tree], Tree | None]
    """The chunk as the manner would send it, or `None` where it would send none."""


def delta_of(chunk: Tree) -> Tree:
    return chunk["choices"][0]["delta"] if chunk.get("choices") else {}


def finish_of(chunk: Tree) -> Any:
    return chunk["choices"][0].get("finish_reason") if chunk.get("choices") else None


def without_empty(chunk: Tree) -> Tree | None:
    empty = delta_of(chunk).get("content") == "" and set(delta_of(chunk)) <= {"content", "role"}
    return None if empty and not finish_of(chunk) and "usage" not in {k for k, v in chunk.items() if v} else chunk


def without_text_at_the_end(chunk: Tree) -> Tree | None:
    return None if finish_of(chunk) and delta_of(chunk).get("content") else chunk


def without_empty_content(chunk: Tree) -> Tree:
    if delta_of(chunk).get("reasoning_content") and delta_of(chunk).get("content") == "":
        del delta_of(chunk)["content"]
    return chunk


def with_closing_null(chunk: Tree) -> Tree:
    if list(delta_of(chunk)) == ["tool_calls", "content"]:
        delta_of(chunk)["tool_calls"][0]["function"]["arguments"] = None
    return chunk


def with_first_arguments(chunk: Tree) -> Tree:
    for call in delta_of(chunk).get("tool_calls") or ():
        if call["function"].get("name") == "":
            call["function"]["arguments"] = "{"
    return chunk


def in_the_usual_order(chunk: Tree) -> Tree:
    if chunk["choices"] and next(iter(chunk["choices"][0])) == "finish_reason" and not finish_of(chunk):
        choice = chunk["choices"][0]
        chunk["choices"] = [{key: choice[key] for key in ("delta", "finish_reason", "index", "logprobs")}]
    return chunk


def with_service_tier(chunk: Tree) -> Tree:
    if "usage" not in chunk:
        return chunk
    head = {key: chunk.pop(key) for key in ("id", "object", "created", "model", "provider")}
    return head | {"service_tier": None} | chunk


def without_prompt_details(chunk: Tree) -> Tree:
    for usage in (chunk.get("usage"), chunk.get("x_groq", {}).get("usage")):
        if usage:
            usage.pop("prompt_tokens_details", None)
    return chunk


def with_empty_content_and_seed(chunk: Tree) -> Tree:
    if delta_of(chunk).get("role"):
        delta_of(chunk)["content"] = ""
        chunk["x_groq"]["seed"] = 1
    return chunk


def without_this(_: Tree) -> None:
    return None


ALLOWANCES = (
    Allowance("volcengine-ark--*-vision-*-text-*", "an empty chunk may come first", without_empty),
    Allowance("dashscope--qwen-plus-*", "the last arguments may stand in the closing fragment", with_closing_null),
    Allowance("dashscope--qwen-turbo-tool-*", "the first arguments may be empty", with_first_arguments),
    Allowance("dashscope--qwen3-max-*", "the second chunk has an order of its own", in_the_usual_order),
    Allowance("moonshot--*", "by hand: text in the last chunk, usage without cached tokens", without_text_at_the_end),
    Allowance("zai--glm-4.*", "there may be empty content beside reasoning", without_empty_content),
    Allowance("zai--glm-4.7-*", "an empty chunk may come before the finish", without_empty),
    Allowance("openrouter--kimi-*", "service_tier may be missing", with_service_tier),
    Allowance("ollama--gpt-oss-*", "an empty chunk may come before the finish", without_empty),
    Allowance("groq--gpt-oss-*", "it knows what was cached", without_prompt_details),
    Allowance("groq--*-tool-call-*", "content is null, not empty, before calls alone", with_empty_content_and_seed),
    Allowance("mistral--mistral-*", "the last text stands in the finish chunk", without_text_at_the_end),
    Allowance("mistral--*-text-6abf31", "thoughts begin unclosed and end beside text, and may be empty", without_this),
    Allowance("mistral--*-tool-call-ae9f5f", "an older form of calls", without_this),
    Allowance("mistral--mistral-tiny-*", "usage of an old model has no details", without_this),
)


def allowed(case: Case, chunk: Tree | None, allowances: Iterable[Allowance] = ALLOWANCES) -> Tree | None:
    """The chunk as the manner would send it."""
    for allowance in allowances:
        if chunk is not None and fnmatchcase(case.name, allowance.pattern):
            found = allowance.change(chunk)
            if found is None:
                return None
            chunk = found
    return chunk


THINKING: tuple[Tree, ...] = (
    {},
    {"enable_thinking": True},
    {"thinking": {"type": "enabled"}},
    {"reasoning_effort": "high"},
)
SILENT: tuple[Tree, ...] = (
    {"thinking": {"type": "disabled"}},
    {"reasoning_effort": "none"},
    {"chat_template_kwargs": {"enable_thinking": False}},
    {"enable_thinking": False},
)
OUTPUTS: tuple[Tree, ...] = ({}, {"tools": TWO_TOOLS}, {"max_completion_tokens": 2})


@cache
def _frames(row: Row, fields: str) -> tuple[Tree, ...]:
    steps = ask_as(row.manner, row.model, **json.loads(fields))
    return tuple(chunks_of(steps)) if head_of(steps).status == 200 else ()


def ours(case: Case, fields: Tree) -> set[Any]:
    chunks = _frames(case.row, json.dumps(fields))
    return {structure(chunk, ordered=case.ordered) for chunk in chunks}


def theirs(case: Case) -> set[Any]:
    chunks = (allowed(case, chunk) for chunk in case.chunks)
    return {structure(chunk, ordered=case.ordered) for chunk in chunks if chunk is not None}


def asks(case: Case, outputs: tuple[Tree, ...], switches: tuple[Tree, ...]) -> Iterator[Tree]:
    for options in case.options:
        for output in outputs:
            for switch in switches:
                yield {"stream_options": options} | output | switch


ONLY_OURS = {
    "dashscope--qwen-plus-*": "their arguments are too short to have a piece in the middle",
    "moonshot--*": "by hand: its last text is in the finish chunk",
    "openrouter--qwen3-*": "whether an empty chunk comes first depends on who answers behind it",
    "mistral--*": "their last text may be in the finish chunk",
}
"""Chunks that we make for a request like the recorded one, and that are not in the recording."""

OTHER_TYPES = {
    "dashscope--qwen-turbo-tool-call-*": "text/event-stream;charset=utf-8",
    "deepseek--deepseek-*": "text/event-stream",
}
"""Content types that some recordings have, where others of the same provider have ours."""


def named(case: Case, table: dict[str, str]) -> list[str]:
    return [why for pattern, why in table.items() if fnmatchcase(case.name, pattern)]


@each("stream")
def test_every_recorded_chunk_is_one_that_we_make(case: Case) -> None:
    made = set().union(*(ours(case, fields) for fields in asks(case, OUTPUTS, THINKING + SILENT)))
    assert theirs(case) <= made


def like(case: Case) -> Iterator[Tree]:
    """Requests whose answers have what the recorded one has."""
    tools = {"tools": TWO_TOOLS if "parallel_tools" in case.features else TWO_TOOLS[:1]}
    yield from asks(
        case,
        (tools,) if "tool_call" in case.features else ({},),
        THINKING if "reasoning" in case.features else SILENT,
    )


def is_like_ours(case: Case) -> bool:
    """Whether it has but one thing beside reasoning: ours never speak before they call, and are not cut short here."""
    return len(case.features & {"text", "tool_call"}) == 1 and not case.features & {"length", "refusal"}


@pytest.mark.parametrize("case", [case for case in cases("stream") if is_like_ours(case)], ids=lambda case: case.name)
def test_every_chunk_of_a_like_answer_is_recorded(case: Case) -> None:
    missing = [made - theirs(case) for fields in like(case) if (made := ours(case, fields))]
    assert missing
    assert set() in missing or named(case, ONLY_OURS)


@each("stream")
def test_the_content_type_is_the_recorded_one(case: Case) -> None:
    if not case.meta["reframed"]:
        sent = headers_of(ask_as(case.row.manner, case.row.model))["content-type"]
        assert case.meta["content_type"] in [sent, *named(case, OTHER_TYPES)]


def test_comments_are_where_they_are_recorded() -> None:
    """Only OpenRouter's recordings have comments, and nearly all of them begin with one."""
    assert {case.row.manner for case in cases("stream") if case.body.startswith(b": ")} == {"openrouter"}
    for manner in {row.manner: row for row in ROWS}.values():
        assert body_bytes(ask_as(manner.manner, manner.model)).startswith(b": ") == (manner.manner == "openrouter")


def changes(allowance: Allowance, tree: Tree) -> bool:
    return json.dumps(allowance.change(json.loads(json.dumps(tree)))) != json.dumps(tree)


@pytest.mark.parametrize("allowance", ALLOWANCES, ids=lambda allowance: f"{allowance.pattern}: {allowance.why}")
def test_each_allowance_is_needed(allowance: Allowance) -> None:
    matching = [case for case in cases("stream") if fnmatchcase(case.name, allowance.pattern)]
    assert any(changes(allowance, chunk) for case in matching for chunk in case.chunks)


def with_cached_count(answer: Tree) -> Tree:
    usage = {"prompt_tokens_details": {"cached_tokens": 0}} | answer["usage"]
    order = ("prompt_tokens", "completion_tokens", "total_tokens", "prompt_tokens_details")
    answer["usage"] = {key: usage[key] for key in (*order, *(key for key in usage if key not in order))}
    return answer


def without_text_beside_calls(answer: Tree) -> Tree:
    message = answer["choices"][0]["message"]
    if message.get("tool_calls"):
        message["content"] = ""
    return answer


def without_content_beside_calls(answer: Tree) -> Tree:
    if answer["choices"][0]["message"].get("tool_calls"):
        del answer["choices"][0]["message"]["content"]
    return answer


def with_thoughts(answer: Tree) -> Tree:
    if answer["choices"][0]["message"].get("reasoning_content") == "":
        answer["choices"][0]["message"]["reasoning_content"] = "so"
    return answer


def as_qwen_plus_orders_it(answer: Tree) -> Tree:
    choice = {key: answer["choices"][0][key] for key in ("message", "index", "finish_reason")}
    usage = {
        key: answer["usage"][key]
        for key in ("total_tokens", "completion_tokens", "prompt_tokens", "prompt_tokens_details")
    }
    answer |= {"choices": [choice], "usage": usage}
    return {key: answer[key] for key in ("model", "id", "choices", "created", "object", "usage")}


WHOLE_ALLOWANCES = (
    Allowance("dashscope--qwen-turbo-*", "some are sent with sorted keys", as_qwen_plus_orders_it),
    Allowance("deepseek--deepseek-chat-text-*", "older ones say less of the cache", with_cached_count),
    Allowance("deepseek--*-reasoning-tool-call-*", "there may be text beside a call", without_text_beside_calls),
    Allowance("deepseek--*-json-c3a59b", "the thoughts may be empty", with_thoughts),
    Allowance("groq--kimi-*", "there may be text beside a call", without_content_beside_calls),
)


@each("json")
def test_every_whole_answer_is_one_that_we_make(case: Case) -> None:
    steps = [
        ask_as(case.row.manner, case.row.model, stream=False, **output, **switch)
        for output in OUTPUTS
        for switch in THINKING + SILENT
    ]
    made = {structure(tree_of(each), ordered=case.ordered) for each in steps if head_of(each).status == 200}
    recorded = allowed(case, json.loads(case.body), WHOLE_ALLOWANCES)
    assert structure(recorded, ordered=case.ordered) in made


@pytest.mark.parametrize("allowance", WHOLE_ALLOWANCES, ids=lambda allowance: f"{allowance.pattern}: {allowance.why}")
def test_each_allowance_for_whole_answers_is_needed(allowance: Allowance) -> None:
    matching = [case for case in cases("json") if fnmatchcase(case.name, allowance.pattern)]
    assert any(changes(allowance, json.loads(case.body)) for case in matching)


class Refused(NamedTuple):
    """A recorded refusal, and a request to us that gets the same."""

    case: str
    manner: str
    fields: Tree
    authorization: bytes | None = b"Bearer sk-1"


BAD_KEY = b"Bearer sk-bad-key"
NO_MODEL: Tree = {"model": "definitely-not-a-model"}
REFUSALS = (
    Refused("dashscope--qwen-turbo-401-7a8c62", "dashscope", {}, None),
    Refused("deepseek--deepseek-chat-401-6dc79c", "deepseek", {}, BAD_KEY),
    Refused("deepseek--deepseek-v9-nonexistent-400-468be9", "deepseek", NO_MODEL),
    Refused(
        "deepseek--deepseek-v4-flash-400-989a00",
        "deepseek",
        {"prompt": [{"type": "image_url", "image_url": {"url": "https://images.invalid/a.png"}}]},
    ),
    Refused("doubleword--definitely-not-a-doubleword-model-404-d9a834", "openai", NO_MODEL),
    Refused(
        "openai--gpt-5-chat-latest-400-610333",
        "openai",
        {"model": "gpt-5", "max_tokens": 5, "max_completion_tokens": 5},
    ),
    Refused("openai--model-400-d6c4bb", "openai", {"model": "gpt-5", "max_tokens": 5}),
    Refused("openrouter--claude-haiku-4.5-401-f377f7", "openrouter", {}, None),
    Refused("mistral--definitely-not-a-model-400-9b0a3b", "mistral", NO_MODEL),
    Refused("mistral--mistral-small-latest-401-e5212d", "mistral", {}, BAD_KEY),
    Refused("llamacpp--qwen3-vl-2b-instruct-q8-0-500-72f442", "llamacpp", {"model": "text?fault=http-500"}),
    Refused("groq--qwen-qwq-32b-400-db8331", "groq", {"model": "text?fault=http-400"}),
)


@pytest.mark.parametrize("refused", REFUSALS, ids=lambda refused: refused.case)
def test_a_refusal_has_the_recorded_status_type_and_structure(refused: Refused) -> None:
    folder = ROOT / "errors" / "openai-chat" / refused.case
    meta = json.loads((folder / "meta.json").read_bytes())
    (file,) = folder.glob("response.*")
    ordered = "keys sorted" not in meta["provenance"] and not meta["json_reserialised"]
    fields = {"model": "text"} | refused.fields
    simulator = SIMULATORS[refused.manner]
    steps = list(simulator.refuse_key(refused.authorization, seed=1) or ask_as(refused.manner, **fields))
    assert head_of(steps).status == meta["status"]
    assert headers_of(steps)["content-type"] == (meta["content_type"] or "application/json")
    recorded, said = json.loads(file.read_bytes()), tree_of(steps)
    assert structure(said, ordered=ordered) == structure(recorded, ordered=ordered)
    inner = said.get("error", said)
    for field in {"type", "code", "param"} & set(recorded.get("error", recorded)):
        if "fault" not in fields["model"]:
            assert inner[field] == recorded.get("error", recorded)[field], field
