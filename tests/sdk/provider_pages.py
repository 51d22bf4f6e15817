"""Writes the pages in `docs/providers` down to their notes: `python -m tests.sdk.provider_pages`.

A page is made of its provider's row; what stands below `## Good to know` is written by hand and kept.
"""

from __future__ import annotations

from pathlib import Path

from thalweg.profiles.base import Profile, Provider
from thalweg.profiles.providers import MODELS_DATE, PROVIDERS

PAGES = Path(__file__).resolve().parents[2] / "docs" / "providers"
NOTES = "\n## Good to know\n"

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
    parts = [f"# {row.title}", _settings(row), _first_call(row), "## What the gateway does", _facts(row)]
    if row.model_rows:
        parts.append(_models(row))
    return "\n\n".join(parts) + "\n"


def path_of(row: Provider) -> Path:
    return PAGES / f"{row.name}.md"


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


def _first_call(row: Provider) -> str:
    model = f"{row.name}/{row.models[0] if row.models else 'NAME'}"
    start = "make serve" if not row.needs_key else f"{row.key_variable}=… make serve"
    found = "It is found on its usual port by itself.\n\n" if row.local else ""
    return (
        f"{found}```sh\n{start}\n```\n\n```python\nfrom openai import OpenAI\n\n"
        'client = OpenAI(base_url="http://127.0.0.1:8080/v1", api_key="any")\n'
        "stream = client.chat.completions.create(\n"
        f'    model="{model}",\n'
        '    messages=[{"role": "user", "content": "你好"}],\n'
        "    stream=True,\n"
        ")\n"
        "for chunk in stream:\n"
        '    print(chunk.choices[0].delta.content or "", end="", flush=True)\n```'
    )


def _facts(row: Provider) -> str:
    profile = row.profile
    lines = [
        "| about | what |",
        "| --- | --- |",
        f"| usage | {_usage(profile)} |",
        f"| thinking | {_thinking(profile)} |",
    ]
    lines.append(f"| thoughts | in `{profile.reasoning_field}` |")
    if profile.refused_fields:
        fields = ", ".join(f"`{field}`" for field in sorted(profile.refused_fields))
        lines.append(f"| left out of requests | {fields}; `x-thalweg-dropped` names what was |")
    lines.append("| streams | mended where they break clients: [repairs](../repairs.md) |")
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
    if thinking.efforts:
        changed = [f"`{asked}` as `{sent}`" for asked, sent in thinking.efforts.items() if asked != sent]
        said += f"; {', '.join(changed)}" if changed else ""
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
    return said


if __name__ == "__main__":
    for provider in PROVIDERS:
        page = path_of(provider)
        _, mark, notes = page.read_text(encoding="utf-8").partition(NOTES) if page.exists() else ("", "", "")
        page.write_text(render(provider) + mark + notes, encoding="utf-8")
