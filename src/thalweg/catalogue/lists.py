"""Providers' own lists of models, page by page: bytes in, what is known of each model out.

Three shapes, as OpenAI, Anthropic and Google have them. Beside its id every provider says what it likes of a model; the
names by which we look are gathered here. Nothing that is odd stops the reading: a field that is no number is unknown.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import ROUND_HALF_UP, Decimal, DecimalException
from typing import Any, Literal
from urllib.parse import quote

import msgspec

from thalweg.catalogue.facts import Facts
from thalweg.catalogue.price import Rates, rates_of

Shape = Literal["openai", "anthropic", "gemini"]

MOST_NAME_CHARS = 200
_MOST_TOKENS = 1_000_000_000
_NOT_FOR_TALK = (
    "embed", "whisper", "tts", "transcribe", "dall-e", "moderation", "sora-", "gpt-image", "chatgpt-image", "rerank",
    "realtime", "babbage", "davinci-002", "stable-diffusion", "flux", "seedream", "seedance", "imagen", "veo-", "wan2",
)  # fmt: skip
"""Parts of the names of models that answer no request of ours, where a list says nothing of what they make."""


class ListedModel(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One model as its provider lists it."""

    id: str
    """Its name there."""
    facts: Facts = Facts()
    rates: Rates | None = None
    """What it costs, where the list says so."""


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """One page of a list."""

    models: tuple[ListedModel, ...]
    more: str = ""
    """What to add to the query to have the next page; empty for the last one."""


class NotAList(Exception):
    """What was answered is no list of models."""


def read_page(body: bytes, shape: Shape) -> Page:
    """One page. Models that make no text are left out. Raises `NotAList`."""
    try:
        return _READERS[shape](body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise NotAList("It is no list of models.") from error


class _Model(msgspec.Struct, frozen=True):
    """The fields of a model that we look at, of every provider together. What else there is, is not read."""

    id: Any = None
    name: Any = None
    context_length: Any = None
    """OpenRouter, Moonshot, SiliconFlow."""
    context_window: Any = None
    """Groq."""
    max_model_len: Any = None
    """vLLM."""
    max_context_length: Any = None
    """Mistral."""
    max_completion_tokens: Any = None
    """Groq."""
    max_input_tokens: Any = None
    max_tokens: Any = None
    """Anthropic, with the one above: the longest prompt and the longest answer."""
    inputTokenLimit: Any = None  # noqa: N815  # Google's name
    outputTokenLimit: Any = None  # noqa: N815  # Google's name
    supportedGenerationMethods: Any = None  # noqa: N815  # Google's name
    token_limits: Any = None
    modalities: Any = None
    """Ark, with the one above."""
    status: Any = None
    """Ark: `Shutdown` for a model that answers no more."""
    top_provider: Any = None
    architecture: Any = None
    pricing: Any = None
    """OpenRouter, with the two above."""
    supports_image_in: Any = None
    supports_video_in: Any = None
    """Moonshot."""
    capabilities: Any = None
    """Anthropic."""


class _List(msgspec.Struct, frozen=True):
    data: list[_Model] | None
    has_more: Any = None
    last_id: Any = None


class _GoogleList(msgspec.Struct, frozen=True):
    models: list[_Model] = []
    nextPageToken: Any = None  # noqa: N815  # Google's name


_decode = msgspec.json.Decoder(_List).decode
_decode_google = msgspec.json.Decoder(_GoogleList).decode


def _openai(body: bytes) -> Page:
    page = _decode(body)
    return Page(models=_known(page.data or [], _plain), more=_after(page, "after"))


def _anthropic(body: bytes) -> Page:
    page = _decode(body)
    return Page(models=_known(page.data or [], _of_anthropic), more=_after(page, "after_id"))


def _gemini(body: bytes) -> Page:
    page = _decode_google(body)
    token = page.nextPageToken
    more = f"pageToken={quote(token, safe='')}" if isinstance(token, str) and token else ""
    return Page(models=_known(page.models, _of_google), more=more)


_READERS: dict[Shape, Callable[[bytes], Page]] = {"openai": _openai, "anthropic": _anthropic, "gemini": _gemini}


def _after(page: _List, name: str) -> str:
    last = page.last_id
    return f"{name}={quote(last, safe='')}" if page.has_more is True and isinstance(last, str) and last else ""


def _known(models: list[_Model], read: Callable[[_Model], ListedModel | None]) -> tuple[ListedModel, ...]:
    found = {model.id: model for each in models if (model := read(each)) is not None and _is_name(model.id)}
    return tuple(found.values())


def _is_name(name: str) -> bool:
    return 0 < len(name) <= MOST_NAME_CHARS and name.isprintable()


def _plain(model: _Model) -> ListedModel | None:
    if not isinstance(model.id, str) or model.status == "Shutdown":
        return None
    limits, top = _object(model.token_limits), _object(model.top_provider)
    facts = Facts(
        context_window=_first(
            model.context_length,
            model.context_window,
            model.max_model_len,
            model.max_context_length,
            limits.get("context_window"),
            top.get("context_length"),
        ),
        max_output_tokens=_first(
            model.max_completion_tokens, limits.get("max_output_token_length"), top.get("max_completion_tokens")
        ),
        input_modalities=_modalities(model, "input") or _of_moonshot(model),
        output_modalities=_modalities(model, "output"),
    )
    if not _is_for_talk(model.id, facts):
        return None
    return ListedModel(id=model.id, facts=facts, rates=_rates(_object(model.pricing)))


def _is_for_talk(name: str, facts: Facts) -> bool:
    if facts.output_modalities is not None:
        return "text" in facts.output_modalities
    small = name.lower()
    return not any(part in small for part in _NOT_FOR_TALK)


def _of_anthropic(model: _Model) -> ListedModel | None:
    if not isinstance(model.id, str):
        return None
    can = _object(model.capabilities)
    kinds = {"image": "image_input", "document": "pdf_input"}
    told = [kind for kind, name in kinds.items() if _object(can.get(name)).get("supported") is True]
    facts = Facts(
        context_window=_first(model.max_input_tokens),
        max_output_tokens=_first(model.max_tokens),
        input_modalities=("text", *told) if can else None,
    )
    return ListedModel(id=model.id, facts=facts)


def _of_google(model: _Model) -> ListedModel | None:
    ways = model.supportedGenerationMethods
    if not isinstance(model.name, str) or not isinstance(ways, list) or "generateContent" not in ways:
        return None
    name = model.name.removeprefix("models/")
    facts = Facts(context_window=_first(model.inputTokenLimit), max_output_tokens=_first(model.outputTokenLimit))
    return ListedModel(id=name, facts=facts) if _is_for_talk(name, facts) else None


def _modalities(model: _Model, side: str) -> tuple[str, ...] | None:
    """What a list names itself; OpenRouter says `file` for documents."""
    for told in (_object(model.architecture), _object(model.modalities)):
        named = told.get(f"{side}_modalities")
        if isinstance(named, list):
            kinds = ("document" if kind == "file" else kind for kind in named if isinstance(kind, str))
            return tuple(kind for kind in kinds if kind in ("text", "image", "audio", "video", "document"))
    return None


def _of_moonshot(model: _Model) -> tuple[str, ...] | None:
    flags = {"image": model.supports_image_in, "video": model.supports_video_in}
    if not any(isinstance(flag, bool) for flag in flags.values()):
        return None
    return ("text", *(kind for kind, flag in flags.items() if flag is True))


_PRICED = {
    "input": "prompt",
    "output": "completion",
    "cached_input": "input_cache_read",
    "cache_write": "input_cache_write",
    "reasoning": "internal_reasoning",
}
"""Our kinds by OpenRouter's names (openrouter.ai/docs, models, read 2026-11)."""


def _rates(pricing: dict[str, Any]) -> Rates | None:
    """Amounts for a million tokens from those for one. A zero beside a price says that there is no other rate."""
    told = {ours: amount for ours, theirs in _PRICED.items() if (amount := _amount(pricing.get(theirs))) is not None}
    if not {"input", "output"} <= told.keys() or (_amount(pricing.get("request")) or 0):
        return None
    try:
        return rates_of({kind: amount for kind, amount in told.items() if amount or kind in ("input", "output")})
    except ValueError:
        return None  # -1, as for a router, whose price is that of whom it chooses


def _amount(told: Any) -> Decimal | None:
    if not isinstance(told, str) or len(told) > 40:
        return None
    try:
        value = Decimal(told) * 1_000_000
        return value.quantize(Decimal("1e-9"), ROUND_HALF_UP)
    except DecimalException:
        return None


def _first(*told: Any) -> int | None:
    """The first that is a count of tokens."""
    return next((each for each in told if type(each) is int and 0 < each <= _MOST_TOKENS), None)


def _object(told: Any) -> dict[str, Any]:
    return told if isinstance(told, dict) else {}
