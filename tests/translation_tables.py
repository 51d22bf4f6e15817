"""The tables of docs/translation.md, made by trying the code: what becomes of a field, of a wish, of an end, of an error.

A request is written for an upstream with the field and without it. What the writer says of it, and whether the two
bodies differ, is what the page says.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from msgspec.structs import replace

from tests.test_error_pages import KINDS, page_of
from thalweg.canon.effort import EFFORTS
from thalweg.canon.errors import UnsupportedParameter
from thalweg.canon.finish import FinishReason
from thalweg.canon.losses import Losses
from thalweg.canon.parts import Media, Text, ToolCall, ToolResult
from thalweg.canon.request import Message, OutputFormat, ReasoningAsk, Request, Sampling, Tool, ToolChoice
from thalweg.dialects.anthropic_messages.tables import FINISH_TO_WIRE as OF_ANTHROPIC
from thalweg.dialects.base import UpstreamBody
from thalweg.dialects.gemini.tables import FINISH_TO_WIRE as OF_GEMINI
from thalweg.dialects.openai_chat.tables import FINISH_TO_WIRE as OF_CHAT
from thalweg.dialects.openai_responses.tables import FINISH_TO_STATUS as OF_RESPONSES
from thalweg.dialects.registry import DIALECTS
from thalweg.profiles.base import Provider
from thalweg.profiles.providers import PROVIDERS
from thalweg.server.app import COUNTING_PATHS, GENERATION_PATHS
from thalweg.upstream.fetch import MIB, FetchLimits

ROWS: dict[str, Provider] = {row.name: row for row in PROVIDERS}
TITLES = {
    "openai-chat": "Chat",
    "openai-responses": "Responses",
    "anthropic": "Anthropic",
    "gemini": "Gemini",
    "dashscope-native": "DashScope",
}
FRONT = tuple(name for name in TITLES if name != "dashscope-native")
"""Dialects that clients speak here."""


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A table in Markdown."""
    lines = [list(head), *map(list, rows)]
    lines.insert(1, ["---"] * len(lines[0]))
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines).replace("|  |", "| |") + "\n"


class Told(Losses):
    """Losses that remember what each was."""

    def __init__(self) -> None:
        super().__init__()
        self.dropped = self.changed = False

    def drop(self, name: str, why: str = "") -> None:
        self.dropped = True
        super().drop(name, why)

    def approximate(self, name: str, why: str) -> None:
        self.changed = True
        super().approximate(name, why)


# Requests, field by field.


@dataclass(frozen=True)
class Case:
    """A row: a field, a request that has it, and one that has not."""

    field: str
    asked: Request
    plain: Request


UPSTREAMS: dict[str, tuple[tuple[str, str, str], ...]] = {
    "Chat": (("OpenAI", "openai", "gpt-5"), ("others", "deepseek", "deepseek-v4-pro")),
    "Responses": (("", "openai-responses", "gpt-5"),),
    "Anthropic": (("to 4.6", "anthropic", "claude-sonnet-4-6"), ("newer", "anthropic", "claude-sonnet-5-5")),
    "Gemini": (("2.5", "google", "gemini-2.5-flash"), ("3", "google", "gemini-3-pro")),
    "DashScope": (
        ("text models", "dashscope-native", "qwen-plus"),
        ("models that see", "dashscope-native", "qwen3-vl-plus"),
    ),
}
"""By column: what the page calls a kind of models, whose they are, and one of them."""


def user(*parts: Any, name: str | None = None) -> Message:
    return Message(role="user", parts=parts, name=name)


HI = user(Text(text="hi"))
SAID = Message(role="assistant", parts=(Text(text="Hello."),))
PLAIN = Request(model="m", messages=(HI,), dialect="openai-chat")
CLOSED = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": False}
BOUNDED = {"type": "object", "properties": {"a": {"type": "integer", "minimum": 3}}}
TOOL = Tool(name="f", parameters=CLOSED)
TOOLS = tuple(replace(TOOL, name=name) for name in "fgh")
CALL = Message(role="assistant", parts=(ToolCall(id="c1", name="f", arguments='{"a":"1"}'),))
BYTES = "aGk="


def asks(**fields: Any) -> Request:
    return replace(PLAIN, **fields)


def samples(**fields: Any) -> Request:
    return asks(sampling=Sampling(**fields))


def tools(**fields: Any) -> Request:
    return asks(**{"tools": TOOLS, **fields})


def result(**fields: Any) -> Request:
    return asks(tools=(TOOL,), messages=(HI, CALL, user(ToolResult(call_id="c1", **fields))))


def one_of(kind: Any, **fields: Any) -> Request:
    return asks(messages=(user(Text(text="hi"), Media(kind=kind, **fields)),))


def _cases() -> Iterator[Case]:
    for field, asked in (
        ("`max_tokens`", samples(max_tokens=9)),
        ("`temperature` to 1", samples(temperature=0.5)),
        ("`temperature` above 1", samples(temperature=1.7)),
        ("`top_p`", samples(top_p=0.5)),
        ("`top_k`", samples(top_k=5)),
        ("`presence_penalty`", samples(presence_penalty=1.0)),
        ("`frequency_penalty`", samples(frequency_penalty=1.0)),
        ("`seed`", samples(seed=3)),
        ("`logit_bias`", samples(logit_bias={"1": 1.0})),
        ("`logprobs`", samples(logprobs=True, top_logprobs=2)),
        ("`n` above 1", samples(n=2)),
        ("`stop`", samples(stop=("x",))),
        ("`tools`: functions", asks(tools=(TOOL,))),
    ):
        yield Case(field, asked, PLAIN)
    yield Case("… `strict`", asks(tools=(replace(TOOL, strict=True),)), asks(tools=(TOOL,)))
    custom = Tool(name="sh", kind="custom", raw={"name": "sh"})
    yield Case("… with free text (custom)", asks(tools=(custom,)), PLAIN)
    yield Case("… that a provider runs", asks(tools=(Tool(name="search", kind="hosted", raw={}),)), PLAIN)
    yield Case("`tool_choice`: none", tools(tool_choice=ToolChoice(mode="none")), tools())
    yield Case("… one of them", tools(tool_choice=ToolChoice(mode="required", names=("f",))), tools())
    yield Case("… any (required)", tools(tool_choice=ToolChoice(mode="required")), tools())
    yield Case("… some of them", tools(tool_choice=ToolChoice(mode="auto", names=("f", "g"))), tools())
    yield Case("`parallel_tool_calls: false`", tools(parallel_tool_calls=False), tools())
    schema = OutputFormat(format="json_schema", schema=CLOSED, strict=True)
    for field, asked in (
        ("`response_format`: JSON", asks(output=OutputFormat(format="json"))),
        ("… a schema", asks(output=schema)),
        ("… a schema with bounds", asks(output=replace(schema, schema=BOUNDED, strict=None))),
    ):
        yield Case(field, asked, PLAIN)
    yield Case("… a schema beside tools", tools(output=schema), tools())
    for field, asked in (
        ("`verbosity`", asks(output=OutputFormat(verbosity="low"))),
        ("`modalities` with sound", asks(output=OutputFormat(modalities=("text", "audio")))),
        ("`user`", asks(user="u1")),
        ("`metadata`", asks(metadata={"a": "b"})),
        ("`service_tier`: flex", asks(service_tier="flex")),
        ("… priority", asks(service_tier="priority")),
        ("cache marks", asks(messages=(user(Text(text="hi", cache="5m")),))),
        ("`name` of a message", asks(messages=(user(Text(text="hi"), name="bob"),))),
    ):
        yield Case(field, asked, PLAIN)
    told = Message(role="system", parts=(Text(text="Be brief."),))
    yield Case("an instruction between turns", asks(messages=(HI, SAID, HI, told)), asks(messages=(HI, SAID, HI)))
    yield Case("the assistant's turn last", asks(messages=(HI, SAID)), PLAIN)
    fine = result(parts=(Text(text="x"),))
    yield Case("a tool's result: it failed", result(parts=(Text(text="x"),), is_error=True), fine)
    yield Case(
        "… with a picture", result(parts=(Text(text="x"), Media(kind="image", mime="image/png", data=BYTES))), fine
    )
    png = one_of("image", mime="image/png", data=BYTES)
    yield Case("a picture", png, PLAIN)
    yield Case("… `detail`", one_of("image", mime="image/png", data=BYTES, detail="low"), png)
    for field, asked in (
        ("… neither JPEG, PNG, GIF nor WebP", one_of("image", mime="image/bmp", data=BYTES)),
        ("a PDF", one_of("document", mime="application/pdf", data=BYTES)),
        ("a text file", one_of("document", mime="text/plain", data=BYTES)),
        ("an office document", one_of("document", mime="application/msword", data=BYTES)),
        ("a sound", one_of("audio", mime="audio/wav", data=BYTES)),
        ("a film", one_of("video", mime="video/mp4", data=BYTES)),
        ("a file that lies with another provider", one_of("document", file_id="file_1", vendor="someone")),
    ):
        yield Case(field, asked, PLAIN)


def written(asked: Request, provider: str, model: str, losses: Losses) -> UpstreamBody:
    """A request as an upstream gets it."""
    row = ROWS[provider]
    return DIALECTS[row.dialect].encode_request(
        asked, model=model, profile=row.profile_of(model), stream=False, losses=losses
    )


def outcome(case: Case, provider: str, model: str) -> str:
    """What becomes of a field, in the page's words."""
    losses = Told()
    try:
        sent = written(case.asked, provider, model, losses)
    except UnsupportedParameter:
        return "refused"
    if losses.dropped:
        return "left out"
    if losses.changed:
        return "changed"
    if sent.stops:
        return "here"
    if sent.body == written(case.plain, provider, model, Losses()).body:
        return "left out, unnamed"
    return "changed, unnamed" if sent.wrapped_tools else "yes"


def _cell(case: Case, variants: tuple[tuple[str, str, str], ...]) -> str:
    found = {kind: outcome(case, provider, model) for kind, provider, model in variants}
    if len(set(found.values())) == 1:
        return next(iter(found.values()))
    return "; ".join(f"{kind}: {word}" for kind, word in found.items())


def fields() -> str:
    """By field and upstream."""
    rows = ((case.field, *(_cell(case, variants) for variants in UPSTREAMS.values())) for case in _cases())
    return table(("field", *UPSTREAMS), rows)


# How much to think.

THINKERS: tuple[tuple[str, str, str], ...] = (
    ("OpenAI", "openai", "gpt-5"),
    ("OpenAI, Responses", "openai-responses", "gpt-5"),
    ("Claude 3.7 to 4.5", "anthropic", "claude-sonnet-4-5"),
    ("Claude 4.6", "anthropic", "claude-sonnet-4-6"),
    ("Claude, newer", "anthropic", "claude-sonnet-5-5"),
    ("Claude Fable, Mythos", "anthropic", "claude-mythos-1"),
    ("Gemini 2.5 Flash", "google", "gemini-2.5-flash"),
    ("Gemini 2.5 Pro", "google", "gemini-2.5-pro"),
    ("Gemini 3 Pro", "google", "gemini-3-pro"),
    ("Gemini 3 Flash", "google", "gemini-3-flash"),
    ("Ark", "ark", "doubao-seed-1-8-251215"),
    ("Ark, Responses", "ark-responses", "doubao-seed-1-8-251215"),
    ("Ant Ling, any compatible address", "ling", "Ling-2.6-1T"),
    ("Model Studio", "dashscope", "qwen-plus"),
    ("Model Studio, QwQ and QVQ", "dashscope", "qwq-plus"),
    ("Model Studio, DashScope", "dashscope-native", "qwen-plus"),
    ("DeepSeek", "deepseek", "deepseek-v4-pro"),
    ("DeepSeek, `deepseek-chat`", "deepseek", "deepseek-chat"),
    ("DeepSeek, `deepseek-reasoner`", "deepseek", "deepseek-reasoner"),
    ("Moonshot AI", "moonshot", "kimi-k2.6"),
    ("Zhipu", "zhipu", "glm-5.3"),
    ("OpenRouter", "openrouter", "qwen/qwen3-max"),
    ("SiliconFlow", "siliconflow", "Qwen/Qwen3-8B"),
    ("vLLM, llama.cpp", "vllm", "Qwen/Qwen3-8B"),
    ("Ollama", "ollama", "qwen3"),
    ("LM Studio", "lmstudio", "qwen3-8b"),
)
_SHOWING = frozenset({"display", "summary", "includeThoughts"})
"""Fields that ask to see thoughts; the page has a table of its own for them."""
_SHORT = ("generationConfig.", "thinkingConfig.", "parameters.")
"""Beginnings of paths that say nothing here."""
_NAMED = "\\*"
"""Behind what `x-thalweg-dropped` names."""


def _leaves(tree: Any, path: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(tree, dict):
        for name, inner in tree.items():
            if name not in _SHOWING and path + name != "max_tokens":
                yield from _leaves(inner, path if f"{name}." in _SHORT else f"{path}{name}.")
    elif not isinstance(tree, list):
        yield path.removesuffix("."), json.dumps(tree).strip('"')


def _wish(ask: ReasoningAsk, provider: str, model: str) -> tuple[dict[str, str], str]:
    """What is written of a wish, and the mark of what is named as changed."""
    losses = Told()
    asked = set(_leaves(json.loads(written(asks(reasoning=ask), provider, model, losses).body)))
    plain = set(_leaves(json.loads(written(PLAIN, provider, model, Losses()).body)))
    return dict(sorted(asked - plain)), _NAMED if losses.names else ""


def _told(fields: dict[str, str], mark: str) -> str:
    return (", ".join(f"`{name}: {value}`" for name, value in fields.items()) or "nothing") + mark


def _steps(provider: str, model: str) -> str:
    """The efforts from the least to the most, in one field's words; beside it, what goes with all of them."""
    wishes = [_wish(ReasoningAsk(mode="effort", effort=effort), provider, model) for effort in EFFORTS]
    grown = {name for fields, _ in wishes for name in fields if len({each.get(name) for each, _ in wishes}) > 1}
    (field,) = grown
    steps = " · ".join(fields.get(field, "–") + mark for fields, mark in wishes)
    rest = {name: value for name, value in wishes[0][0].items() if name != field}
    return f"`{field}`: {steps}" + (f", with {_told(rest, '')}" if rest else "")


def thinking() -> str:
    """By upstream: no thinking, an effort, a number of tokens. For requests that set no bound to the answer."""
    off, budget = ReasoningAsk(mode="off"), ReasoningAsk(mode="budget", budget_tokens=5000)
    rows = (
        (title, _told(*_wish(off, name, model)), _steps(name, model), _told(*_wish(budget, name, model)))
        for title, name, model in THINKERS
    )
    return table(("upstream", "off", f"effort: {' · '.join(EFFORTS)}", "5,000 tokens"), rows)


# Files.

KINDS_OF_FILES = {"image": "image/png", "document": "application/pdf", "audio": "audio/wav", "video": "video/mp4"}
OPENERS: tuple[tuple[str, str, str], ...] = (
    ("OpenAI", "openai", "gpt-5"),
    ("OpenAI, Responses", "openai-responses", "gpt-5"),
    ("Anthropic", "anthropic", "claude-sonnet-4-6"),
    ("Google", "google", "gemini-3-pro"),
    ("Ark", "ark", "doubao-seed-1-8-251215"),
    ("Ark, Responses", "ark-responses", "doubao-seed-1-8-251215"),
    ("Model Studio", "dashscope", "qwen3-vl-plus"),
    ("Model Studio, DashScope", "dashscope-native", "qwen3-vl-plus"),
    ("Moonshot AI, Ollama, LM Studio", "moonshot", "kimi-k2.6"),
    ("any other", "ling", "Ling-2.6-1T"),
)


def _opened(kind: Any, provider: str, model: str) -> str:
    taken = kind in ROWS[provider].profile_of(model).media_urls
    held = {"url": "https://files.example/a"} if taken else {"mime": KINDS_OF_FILES[kind], "data": BYTES}
    if outcome(Case("", one_of(kind, **held), PLAIN), provider, model) == "refused":
        return "refused"
    return "address" if taken else "fetched"


def files() -> str:
    """What becomes of an address of a file."""
    heads = {"image": "picture", "document": "PDF", "audio": "sound", "video": "film"}
    rows = ((title, *(_opened(kind, provider, model) for kind in heads)) for title, provider, model in OPENERS)
    return table(("upstream", *heads.values()), rows)


def limits() -> str:
    """How much is fetched for one request."""
    of = FetchLimits()
    ports = " and ".join(map(str, sorted(of.ports)))
    rows = (
        ("files of one request", f"{of.files}, {of.at_once} at the same time"),
        ("files of all requests, at the same time", str(of.in_all)),
        ("one file", f"{of.file_bytes // MIB} MiB, {of.whole_s:g} s, {of.connect_s:g} s to connect"),
        ("all files of one request", f"{of.request_bytes // MIB} MiB"),
        ("ports", ports),
    )
    return table(("what", "at most"), rows)


# Answers.


def finishes() -> str:
    """Every end, in the words of each dialect that clients speak."""
    rows = []
    for reason in FinishReason:
        status, why = OF_RESPONSES[reason]
        rows.append(
            (
                f"`{reason}`",
                f"`{OF_CHAT[reason]}`",
                f"`{status}`" + (f", `{why}`" if why else ""),
                f"`{OF_ANTHROPIC[reason]}`",
                f"`{OF_GEMINI[reason]}`",
            )
        )
    return table(("end", *(TITLES[name] for name in FRONT)), rows)


def _words(dialect: str, kind: str) -> str:
    said = DIALECTS[dialect].encode_error(KINDS[kind][0])
    error = json.loads(said.body)["error"]
    names = [error.get(field) for field in (("status",) if dialect == "gemini" else ("type", "code"))]
    return f"{said.status} " + " ".join(f"`{name}`" for name in names if name)


def errors() -> str:
    """Every kind of fault, as each dialect says it before an answer has begun."""
    shown = ("openai-chat", "anthropic", "gemini")
    rows = (
        (f"[{kind}](errors/{page_of(kind).name})", *(_words(each, kind) for each in shown))
        for kind in sorted(KINDS, key=lambda kind: (KINDS[kind][0].status, kind))
    )
    return table(("fault", "Chat and Responses", "Anthropic", "Gemini"), rows)


# Paths.


def _paths(paths: Iterable[str]) -> str:
    return ", ".join(f"`{path}`" for path in paths)


def paths() -> str:
    """Where requests come in."""
    model = "/v1beta/models/{model}"
    generating = {**GENERATION_PATHS, "gemini": (f"{model}:generateContent", f"{model}:streamGenerateContent")}
    counting = {**COUNTING_PATHS, "gemini": (f"{model}:countTokens",)}
    rows = ((TITLES[name], _paths(generating[name]), _paths(counting.get(name, ()))) for name in FRONT)
    return table(("dialect", "to generate", "to count tokens"), rows)


# Fields of one dialect alone.

HELLO = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
BODIES: dict[str, tuple[dict[str, Any], bytes]] = {
    "openai-chat": (HELLO, b""),
    "openai-responses": ({"model": "m", "input": "hi"}, b""),
    "anthropic": ({**HELLO, "max_tokens": 9}, b""),
    "gemini": ({"contents": [{"parts": [{"text": "hi"}]}]}, b"/v1beta/models/m:generateContent"),
}
OWN: dict[str, dict[str, Any]] = {
    "openai-chat": {
        "audio": {},
        "prediction": {},
        "web_search_options": {},
        "store": True,
        "prompt_cache_key": "k",
        "prompt_cache_retention": "24h",
        "safety_identifier": "s",
    },
    "openai-responses": {
        "previous_response_id": "r",
        "conversation": "c",
        "prompt": {"id": "p"},
        "background": True,
        "store": True,
        "truncation": "auto",
        "include": ["file_search_call.results"],
        "max_tool_calls": 3,
        "prompt_cache_key": "k",
        "safety_identifier": "s",
    },
    "anthropic": {
        "mcp_servers": [{"type": "url"}],
        "max_tokens": 0,
        "container": "c",
        "context_management": {"edits": []},
        "inference_geo": "us",
        "speed": "fast",
    },
    "gemini": {
        "cachedContent": "cachedContents/c",
        "safetySettings": [{"category": "c"}],
        "generationConfig": {"speechConfig": {"a": 1}},
        "store": True,
    },
}
"""Fields that no other dialect has, by whose they are; each with a value that means something."""


def _own(dialect: str) -> tuple[str, str]:
    left_out: list[str] = []
    refused: list[str] = []
    body, target = BODIES[dialect]
    for name, value in OWN[dialect].items():
        asked = DIALECTS[dialect].read_request(json.dumps({**body, name: value}).encode(), target).canon()
        for found in asked.extensions:
            shown = f"`{found}: {value}`" if value in (0, True) and found in asked.essential else f"`{found}`"
            (refused if found in asked.essential else left_out).append(shown.replace("True", "true"))
    return ", ".join(left_out), ", ".join(refused)


def own() -> str:
    """Fields that no other dialect has."""
    return table(("client", "left out", "refused"), ((TITLES[name], *_own(name)) for name in FRONT))


TABLES: dict[str, Callable[[], str]] = {
    "paths": paths,
    "fields": fields,
    "own": own,
    "thinking": thinking,
    "files": files,
    "limits": limits,
    "finishes": finishes,
    "errors": errors,
}
"""By the mark on the page, in its order."""
