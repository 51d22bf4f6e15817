"""Writes the table of prices and facts that is shipped, `src/thalweg/catalogue/table.json`.

Prices, and the lengths of prompts, are those of the `genai-prices` package; the longest answers and the modalities are
those of the table in the `litellm` package. Both must be installed where this runs, in an environment of its own:
nothing of them is needed by what reads the table.

    python tools/build_catalogue.py [DATE]

What cannot be told exactly is left out: a price that hangs on tokens which no usage tells apart (images that are made),
or one that was reckoned from another currency. Of prices that change with the hour the highest is taken, and the row
says so. Rows of our own, with their source, are in `OWN`.
"""

from __future__ import annotations

import datetime
import json
import re
import sys
from collections.abc import Iterator
from decimal import ROUND_HALF_UP, Decimal
from importlib.metadata import distribution, version
from pathlib import Path
from typing import Any

from genai_prices.data import providers
from genai_prices.types import (
    ClauseAnd,
    ClauseContains,
    ClauseEndsWith,
    ClauseEquals,
    ClauseOr,
    ClauseRegex,
    ClauseStartsWith,
    ModelPrice,
    StartDateConstraint,
    TieredPrices,
    TimeOfDateConstraint,
)

TABLE = Path(__file__).resolve().parents[1] / "src" / "thalweg" / "catalogue" / "table.json"

LISTS = [
    ("openai", "openai", ["api.openai.com"]),
    ("anthropic", "anthropic", ["api.anthropic.com"]),
    ("google", "google", ["generativelanguage.googleapis.com"]),
    ("deepseek", "deepseek", ["api.deepseek.com"]),
    ("moonshot", "moonshotai", ["api.moonshot.ai"]),
    ("zhipu", "zai", ["api.z.ai"]),
    ("openrouter", "openrouter", ["openrouter.ai"]),
]
"""Our provider, theirs, and the addresses where its prices hold. All of them are in dollars."""

_ZHIPU = "genai-prices {version}, which names the rates of open.bigmodel.cn in CNY"
OWN: dict[str, tuple[str, list[str], list[dict[str, Any]]]] = {
    "zhipu": (
        "CNY",
        ["open.bigmodel.cn"],
        [
            {
                "match": ["glm-5.3"],
                "context_window": 1_000_000,
                "price": {"input": "8", "output": "28", "cached_input": "2"},
                "source": _ZHIPU,
            },
            {
                "match": ["glm-5.3-flash"],
                "context_window": 1_000_000,
                "price": {"input": "0.8", "output": "2.8", "cached_input": "0.23"},
                "source": _ZHIPU,
            },
        ],
    ),
}
"""Rows by hand: currency, addresses, models."""

FACTS = {
    "openai": ("openai", ""),
    "anthropic": ("anthropic", ""),
    "google": ("gemini", "gemini/"),
    "deepseek": ("deepseek", "deepseek/"),
    "moonshot": ("moonshot", "moonshot/"),
    "zhipu": ("zai", "zai/"),
    "dashscope": ("dashscope", "dashscope/"),
    "ark": ("volcengine", "volcengine/"),
}
"""Our provider, theirs in the table of facts, and how names begin there."""

_FACTS_FILE = "litellm/model_prices_and_context_window_backup.json"

KINDS = {
    "input_mtok": "input",
    "output_mtok": "output",
    "cache_read_mtok": "cached_input",
    "cache_write_mtok": "cache_write",
    "cache_write_1h_mtok": "cache_write_1h",
    "input_audio_mtok": "audio_input",
    "output_audio_mtok": "audio_output",
    "output_reasoning_mtok": "reasoning",
}
UNCOUNTED = ("output_image_mtok", "output_video_mtok", "input_image_mtok", "input_video_mtok")
"""Kinds of tokens with a price that no usage tells apart: the whole price is left out."""
BESIDE = ("web_searches_kcount", "storage_searches_kcount", "cache_audio_read_mtok", "cache_image_read_mtok")
"""Prices beside that of tokens, and of kinds too small to be told apart; what is not here either stops the build."""
MODALITIES = {"text": "text", "image": "image", "audio": "audio", "video": "video", "pdf": "document"}


def patterns(clause: Any) -> Iterator[str]:
    """The names that a clause stands for, as the table writes them."""
    match clause:
        case ClauseOr():
            for each in clause.or_:
                yield from patterns(each)
        case ClauseEquals():
            yield clause.equals.lower()
        case ClauseStartsWith():
            yield f"{clause.starts_with.lower()}*"
        case ClauseEndsWith():
            yield f"*{clause.ends_with.lower()}"
        case ClauseContains():
            yield f"*{clause.contains.lower()}*"
        case ClauseRegex():
            yield f"/{clause.regex.lstrip('^')}/" if clause.regex.startswith("^") else f"/.*(?:{clause.regex})/"
        case ClauseAnd():
            yield f"/{''.join(f'(?={_whole(each)})' for each in clause.and_)}/"
        case _:
            raise TypeError(f"unknown clause: {clause!r}")


def _whole(clause: Any) -> str:
    """The start of an expression that a name must fit; for clauses that are joined."""
    match clause:
        case ClauseStartsWith():
            return re.escape(clause.starts_with.lower())
        case ClauseRegex() if clause.regex.startswith("^"):
            return str(clause.regex[1:])
        case _:
            raise TypeError(f"cannot be joined: {clause!r}")


def present(model: Any, day: datetime.date) -> tuple[ModelPrice, str]:
    """The price that holds on that day, at its highest hour, and what is to be said of it."""
    if isinstance(model.prices, ModelPrice):
        return model.prices, ""
    hours = [each for each in model.prices if isinstance(each.constraint, TimeOfDateConstraint)]
    if hours:
        return hours[-1].prices, "The rates of the peak hours; at other hours it costs less."
    for each in reversed(model.prices):
        started = isinstance(each.constraint, StartDateConstraint) and each.constraint.start_date <= day
        if each.constraint is None or started:
            return each.prices, ""
    return model.prices[0].prices, ""


def amounts(price: ModelPrice, above: int) -> dict[str, str]:
    """The amounts for prompts longer than `above`, by our names of kinds."""
    found = {}
    for theirs, ours in KINDS.items():
        value = getattr(price, theirs)
        if isinstance(value, TieredPrices):
            value = next((t.price for t in reversed(value.tiers) if t.start <= above), value.base)
        if value is not None:
            # Some are quotients, with as many digits as a float has.
            found[ours] = f"{value.quantize(Decimal('1e-9'), ROUND_HALF_UP).normalize():f}"
    return found


def priced(model: Any, day: datetime.date) -> dict[str, Any]:
    """The part of a row that is about money."""
    price, note = present(model, day)
    kinds = {kind: value for kind, value in vars(price).items() if value is not None}
    if unknown := kinds.keys() - KINDS.keys() - set(UNCOUNTED) - set(BESIDE):
        return {"note": f"Also priced by {', '.join(sorted(unknown))}."}
    if uncounted := [kind.removesuffix("_mtok") for kind in UNCOUNTED if kind in kinds]:
        return {"note": f"Hangs on tokens that no usage tells apart: {', '.join(uncounted)}."}
    starts = {t.start for value in kinds.values() if isinstance(value, TieredPrices) for t in value.tiers}
    row: dict[str, Any] = {"price": amounts(price, -1)}
    if starts:
        row["tiers"] = [[start, amounts(price, start)] for start in sorted(starts)]
    return row | ({"note": note} if note else {})


def facts_of(entry: dict[str, Any]) -> dict[str, Any]:
    """What the other table says of a model; no modalities where it does not speak of them."""
    found: dict[str, Any] = {}
    if entry.get("max_input_tokens"):
        found["context_window"] = int(entry["max_input_tokens"])
    if entry.get("max_output_tokens"):
        found["max_output_tokens"] = int(entry["max_output_tokens"])
    taken = [MODALITIES[each] for each in entry.get("supported_modalities", ()) if each in MODALITIES]
    if not taken and entry.get("supports_vision"):
        taken = ["text", "image"]
    flags = {"image": "vision", "audio": "audio_input", "video": "video_input", "document": "pdf_input"}
    taken += [kind for kind, flag in flags.items() if taken and entry.get(f"supports_{flag}") and kind not in taken]
    given = [MODALITIES[each] for each in entry.get("supported_output_modalities", ()) if each in MODALITIES]
    return found | ({"input_modalities": taken} if taken else {}) | ({"output_modalities": given} if given else {})


def shipped(theirs: str, known: dict[str, dict[str, Any]], day: datetime.date) -> list[dict[str, Any]]:
    """The rows of one provider. `known` has the facts by names; what is used of it is taken out."""
    rows = []
    for model in next(each for each in providers if each.id == theirs).models:
        price, _ = present(model, day)
        if price.input_mtok is None or price.output_mtok is None:
            continue  # It makes no text.
        names = list(dict.fromkeys(patterns(model.match)))
        fitting = [name for name in sorted(known, key=len) if model.is_match(name)]
        facts = known[fitting[0]] if fitting else {}
        length = {"context_window": model.context_window} if model.context_window else {}
        rows.append({"match": names} | facts | length | priced(model, day))
    return rows


def known_facts(provider: str) -> dict[str, dict[str, Any]]:
    """What the table of facts has of a provider, by names in small letters."""
    theirs, start = FACTS[provider]
    # Read where it lies: the package itself would bring all that it needs.
    table = json.loads(distribution("litellm").locate_file(_FACTS_FILE).read_text(encoding="utf-8"))
    chats = {
        name.removeprefix(start).lower(): facts_of(entry)
        for name, entry in table.items()
        if entry.get("litellm_provider") == theirs and entry.get("mode") in ("chat", "responses")
    }
    return {name: facts for name, facts in chats.items() if facts}


def main(day: datetime.date) -> None:
    """Write the table."""
    prices, litellm = f"genai-prices {version('genai-prices')}", f"litellm {version('litellm')}"
    lists = []
    for provider, (currency, hosts, own) in OWN.items():
        rows = [row | {"source": row["source"].format(version=version("genai-prices"))} for row in own]
        lists.append({"provider": provider, "hosts": hosts, "currency": currency, "models": rows})
    for provider, theirs, hosts in LISTS:
        known = known_facts(provider) if provider in FACTS else {}
        rows = shipped(theirs, known, day)
        lists.append({"provider": provider, "hosts": hosts, "currency": "USD", "models": rows})
    for provider in FACTS.keys() - {each["provider"] for each in lists}:
        rows = [{"match": [name]} | facts for name, facts in sorted(known_facts(provider).items())]
        lists.append({"provider": provider, "hosts": [], "currency": "", "models": rows})
    lists.sort(key=lambda each: (each["provider"], each["currency"]))
    head = {"date": day.isoformat(), "source": prices, "facts_source": litellm}
    # A model has a line, so that a new table shows what became of each.
    text = ",\n".join(
        json.dumps({key: each[key] for key in ("provider", "hosts", "currency")})[:-1]
        + ', "models": [\n'
        + ",\n".join(json.dumps(row, ensure_ascii=False, separators=(",", ":")) for row in each["models"])
        + "\n]}"
        for each in lists
    )
    TABLE.write_text(json.dumps(head)[:-1] + ', "lists": [\n' + text + "\n]}\n", encoding="utf-8")


if __name__ == "__main__":
    main(datetime.date.fromisoformat(sys.argv[1]) if len(sys.argv) > 1 else datetime.date.today())
