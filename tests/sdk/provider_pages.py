"""Writes the pages in `docs/providers` down to their notes: `python -m tests.sdk.provider_pages`.

A page is made of its provider's row; what stands below `## Good to know` is written by hand and kept.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from thalweg.profiles.base import Profile, Provider
from thalweg.profiles.providers import MODELS_DATE, PROVIDERS

PAGES = Path(__file__).resolve().parents[2] / "docs" / "providers"
NOTES = "\n## Good to know\n"
_CONTINUED = "[is gone on with](../attempts.md#a-text-that-broke-off), where that is switched on"

_SWITCHES = {
    "reasoning_effort": "`reasoning_effort`, as it comes",
    "thinking": '`thinking: {"type": "enabled"}` or `"disabled"`',
    "enable_thinking": "`enable_thinking: true` or `false`",
    "reasoning": "`reasoning: {…}`",
    "chat_template_kwargs": '`chat_template_kwargs: {"enable_thinking": …}`',
}
_DEFAULTS = {
    "unknown": "whatever the model does",
    "off": "it does not think",
    "on": "it thinks",
    "always": "it always thinks",
}


def render(row: Provider) -> str:
    """The made part of a page."""
    parts = [f"# {row.title}", _settings(row), _start(row), _first_call(row)]
    parts += ["## What the gateway does", _FACTS.get(row.dialect, _facts)(row)]
    if row.model_rows:
        parts.append(_models(row))
    for second in PROVIDERS:
        if second.sibling_of == row.name:
            parts += _second(row, second)
    return "\n\n".join(parts) + "\n"


def path_of(row: Provider) -> Path:
    return PAGES / f"{row.sibling_of or row.name}.md"


def _settings(row: Provider) -> str:
    lines = ["| set | to |", "| --- | --- |"]
    asked = "" if row.needs_key else "; not needed, unless the engine was started with one"
    for variable in row.key_variables:
        at = row.base_url_of_key.get(variable)
        lines.append(f"| `{variable}` | the key{f', for `{at}`' if at else ''}{asked} |")
    files = " or ".join(f"`{variable}_FILE`" for variable in row.key_variables)
    lines.append(f"| {files} | a file that holds it, instead |")
    lines.append(f"| `{row.base_url_variable}` | another address than `{row.base_url}` |")
    known = (
        ", ".join(f"`{row.name}/{model}`" for model in row.models) or f"`{row.name}/` and the name of what it serves"
    )
    lines.append(f"| model | {known}{f' ({MODELS_DATE}), or any other of its names' if row.models else ''} |")
    if row.model_prefixes:
        begun = ", ".join(f"`{prefix}…`" for prefix in row.model_prefixes)
        lines.append(f"| model, for short | names that begin with {begun} need no `{row.name}/` |")
    return "\n".join(lines)


def _start(row: Provider) -> str:
    start = "make serve" if not row.needs_key else f"{row.key_variable}=… make serve"
    found = "It is found on its usual port by itself.\n\n" if row.local else ""
    return f"{found}```sh\n{start}\n```"


_CHAT = """\
from openai import OpenAI

client = OpenAI(base_url="http://127.0.0.1:8080/v1", api_key="any")
stream = client.chat.completions.create(
    model="{model}",
    messages=[{{"role": "user", "content": "你好"}}],
    stream=True,
)
for chunk in stream:
    print(chunk.choices[0].delta.content or "", end="", flush=True)"""
_RESPONSES = """\
from openai import OpenAI

client = OpenAI(base_url="http://127.0.0.1:8080/v1", api_key="any")
for event in client.responses.create(model="{model}", input="你好", stream=True):
    if event.type == "response.output_text.delta":
        print(event.delta, end="", flush=True)"""
_ANTHROPIC = """\
from anthropic import Anthropic

client = Anthropic(base_url="http://127.0.0.1:8080/anthropic", api_key="any")
with client.messages.stream(
    model="{model}",
    max_tokens=1024,
    messages=[{{"role": "user", "content": "你好"}}],
) as stream:
    for text in stream.text_stream:
        print(text, end="", flush=True)"""
_GEMINI = """\
from google import genai

client = genai.Client(api_key="any", http_options={{"base_url": "http://127.0.0.1:8080"}})
for chunk in client.models.generate_content_stream(model="{model}", contents="你好"):
    print(chunk.text or "", end="", flush=True)"""
_PROGRAMS = {"openai-responses": _RESPONSES, "anthropic": _ANTHROPIC, "gemini": _GEMINI}
"""By the dialect that a client speaks."""


def _first_call(row: Provider, dialect: str = "") -> str:
    model = f"{row.name}/{row.models[0] if row.models else 'NAME'}"
    program = _PROGRAMS.get(dialect or row.dialect, _CHAT).format(model=model)
    return f"```python\n{program}\n```"


def _second(row: Provider, second: Provider) -> list[str]:
    """The section on a provider's other dialect."""
    model = f"`{second.name}/{row.models[0]}`"
    if second.dialect == "dashscope-native":
        where = (
            f"The platform's own protocol, without the compatible mode: call {model} with any SDK, and the client's "
            f"dialect is translated. It is asked at `{second.base_url}`, or at that path of the host that "
            f"`{row.base_url_variable}` names, or where `{second.base_url_variable}` says."
        )
        facts = {"usage": "in every frame, unasked: the tokens of an answer that was cut are exact"}
        return [
            "## The native protocol",
            where,
            _table_of(facts | {"thinking": "as in the compatible mode"} | _WRITTEN),
        ]
    where = (
        f"A client of the Responses dialect that names `{row.name}/…` is served by the provider's own `/responses`, at "
        f"the same address and with the same key: what it sends and gets passes as it is. {model} is asked there for "
        "clients of every dialect."
    )
    facts = {"usage": "in the last event of every stream, unasked", "thinking": _effort(second.profile)}
    return ["## The Responses dialect", where, _first_call(row, second.dialect), _table_of(facts | _ALWAYS)]


def _effort(profile: Profile) -> str:
    beside = f", with {_SWITCHES['thinking']} beside it" if profile.thinking.switch == "thinking" else ""
    changed = ", ".join(_changed_efforts(profile))
    told = f"effort and budget become `reasoning.effort`{beside}{f'; {changed}' if changed else ''}"
    return f"{told}. A Responses client's own fields pass"


def _changed_efforts(profile: Profile) -> list[str]:
    efforts = profile.thinking.efforts or {}
    return [f"`{asked}` as `{sent}`" for asked, sent in efforts.items() if asked != sent]


_WRITTEN = {
    "thoughts": "in `reasoning_content` for clients of Chat",
    "left out of requests": "what this protocol cannot say; `x-thalweg-dropped` names what was",
}
_ALWAYS = {
    "thoughts": "in `reasoning_content` for clients of Chat; what signs them is kept for the next turn",
    "left out of requests": "what this dialect cannot say; `x-thalweg-dropped` names what was",
    "streams": "mended where they break clients: [repairs](../repairs.md)",
}
"""What is true of every provider whose clients may speak another dialect than it does."""


def _anthropic_facts(_: Provider) -> str:
    facts = {
        "usage": "in every stream, unasked; for clients of other dialects, tokens from the cache are part of the input",
        "thinking": "effort and budget become what the model takes: `output_config.effort` with adaptive thinking, or "
        '`thinking: {"type": "enabled", "budget_tokens": …}` before Claude 4.6. An Anthropic client\'s own fields pass',
        "version": "`anthropic-version` and `anthropic-beta` of an Anthropic client pass; for others it is `2023-06-01`",
    }
    return _table_of(facts | _ALWAYS)


def _gemini_facts(_: Provider) -> str:
    facts = {
        "usage": "in every stream, unasked; for clients of other dialects, thoughts are part of the output",
        "thinking": "effort and budget become `thinkingBudget` for Gemini 2.5, and `thinkingLevel` from Gemini 3 on, "
        "which cannot be told not to think. A Gemini client's own fields pass",
    }
    return _table_of(facts | _ALWAYS)


_FACTS: dict[str, Callable[[Provider], str]] = {"anthropic": _anthropic_facts, "gemini": _gemini_facts}


def _table_of(facts: dict[str, str]) -> str:
    return "\n".join(["| about | what |", "| --- | --- |", *(f"| {about} | {what} |" for about, what in facts.items())])


def _facts(row: Provider) -> str:
    profile = row.profile
    lines = [
        "| about | what |",
        "| --- | --- |",
        f"| usage | {_usage(profile)} |",
        f"| thinking | {_thinking(profile)} |",
    ]
    told = f"in `{profile.reasoning_field}`" if profile.reasoning_field else "not told in this dialect"
    lines.append(f"| thoughts | {told} |")
    if profile.refused_fields:
        fields = ", ".join(f"`{field}`" for field in sorted(profile.refused_fields))
        lines.append(f"| left out of requests | {fields}; `x-thalweg-dropped` names what was |")
    lines.append("| streams | mended where they break clients: [repairs](../repairs.md) |")
    if profile.prefill is not None:
        lines.append(f"| a text that broke off | {_CONTINUED} |")
    return "\n".join(lines)


def _usage(profile: Profile) -> str:
    if not profile.asks_usage:
        return "not asked for: it refuses the field"
    if profile.chunk_usage is None:
        return "asked for in every stream; passed on only where the client asked for it, too"
    return (
        f"asked for in every chunk (`{profile.chunk_usage}`) and cut out where the client did not ask: the tokens of an "
        "answer that was cut are exact"
    )


def _thinking(profile: Profile) -> str:
    thinking = profile.thinking
    said = f"`reasoning_effort` is written as {_SWITCHES[thinking.switch]}"
    if thinking.switch == "reasoning_effort":
        said = "`reasoning_effort` passes"
    if changed := _changed_efforts(profile):
        said += f"; {', '.join(changed)}"
    return f"{said}. Unasked, {_DEFAULTS[thinking.default]}. The provider's own fields pass, and come first"


def _models(row: Provider) -> str:
    lines = ["| models | differ in |", "| --- | --- |"]
    for model_row in row.model_rows:
        names = ", ".join(_shortened(model_row.prefixes))
        lines.append(f"| {names} | {'; '.join(_differences(row.profile, model_row.profile))} |")
    return "\n".join(lines)


def _shortened(prefixes: tuple[str, ...]) -> list[str]:
    """Ten prefixes that differ in their last digit are one."""
    digits = {prefix[:-1] for prefix in prefixes if prefix[-1].isdigit()}
    whole = {base for base in digits if sum(prefix[:-1] == base for prefix in prefixes) == 10}
    return [
        *(f"`{base}` and a digit" for base in sorted(whole)),
        *(f"`{prefix}…`" for prefix in prefixes if prefix[:-1] not in whole),
    ]


def _differences(common: Profile, own: Profile) -> list[str]:
    said = []
    if own.stream_only and not common.stream_only:
        said.append("they only stream; who does not ask for a stream gets the answer whole all the same")
    if own.thinking.default != common.thinking.default:
        said.append(f"unasked, {_DEFAULTS[own.thinking.default]}")
    if own.thinking.on_with_effort != common.thinking.on_with_effort:
        said.append("an effort switches thinking on")
    if own.prefill is not None and common.prefill is None:
        said.append(f"a text that broke off {_CONTINUED}")
    return said


if __name__ == "__main__":
    for provider in PROVIDERS:
        if provider.sibling_of:
            continue
        page = path_of(provider)
        _, mark, notes = page.read_text(encoding="utf-8").partition(NOTES) if page.exists() else ("", "", "")
        page.write_text(render(provider) + mark + notes, encoding="utf-8")
