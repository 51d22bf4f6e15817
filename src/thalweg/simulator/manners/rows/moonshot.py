"""Moonshot (Kimi).

Sources: the vendor's documentation and the settings of a public SDK, and errors as quoted in public bug reports, read
2026-11. There is no recording of its own endpoint: the chunks follow a stream that was made by hand, without `object`,
the role in the first chunk that says something. The older models' form, with usage within the choice, is reported and
was not verified.
"""

from __future__ import annotations

from thalweg.simulator.manners import ids
from thalweg.simulator.manners.base import Listed, Manner
from thalweg.simulator.manners.checks import of_marked, one_of, unless
from thalweg.simulator.manners.errors import Errors, Refusal
from thalweg.simulator.manners.form import Form
from thalweg.simulator.manners.shape import Or, Shape, Slot, of
from thalweg.simulator.manners.thinking import reasoning_effort, thinking_object

_LEAST_BUDGET = 1024

_CALL = of(
    index=Slot.CALL_INDEX, id=Slot.CALL_ID, type="function", function=of(name=Slot.NAME, arguments=Slot.ARGUMENTS)
)
_PIECE = of(index=Slot.CALL_INDEX, function=of(arguments=Slot.ARGUMENTS))


def _delta(delta: Shape) -> Shape:
    return of(
        id=Slot.ID,
        created=Slot.CREATED,
        model=Slot.MODEL,
        choices=(of(index=Slot.INDEX, delta=delta, finish_reason=Or(Slot.FINISH)),),
        usage=Slot.USAGE,
    )


_USAGE = of(
    prompt_tokens=Slot.PROMPT,
    completion_tokens=Slot.COMPLETION,
    total_tokens=Slot.TOTAL,
    cached_tokens=Slot.CACHED,
    completion_tokens_details=of(reasoning_tokens=Slot.THOUGHT),
)
_ANSWER = of(
    id=Slot.ID,
    object="chat.completion",
    created=Slot.CREATED,
    model=Slot.MODEL,
    choices=Slot.CHOICES,
    usage=Slot.USAGE,
)
_CHOICE = of(
    index=Slot.INDEX,
    message=of(role="assistant", content=Or(Slot.TEXT, ""), reasoning_content=Slot.REASONING, tool_calls=Slot.CALLS),
    finish_reason=Slot.FINISH,
)

_FORM = Form(
    answer_id=ids.letters(24, "chatcmpl-"),
    call_id=ids.named_call,
    frames={
        "first": _delta(of(role="assistant", content="")),
        "first text": _delta(of(role="assistant", content=Slot.TEXT)),
        "first reasoning": _delta(of(role="assistant", reasoning_content=Slot.REASONING)),
        "first call": _delta(of(role="assistant", tool_calls=(_CALL,))),
        "reasoning": _delta(of(reasoning_content=Slot.REASONING)),
        "text": _delta(of(content=Slot.TEXT)),
        "call": _delta(of(tool_calls=(_CALL,))),
        "arguments": _delta(of(tool_calls=(_PIECE,))),
        "finish": _delta(of(content="")),
    },
    usage=_USAGE,
    usage_in_finish="always",
    usage_alone="never",
    answer=_ANSWER,
    choice=_CHOICE,
    call=_CALL,
)


def _old_chunk(*choices: Shape, usage: Slot | None = None) -> Shape:
    end = {} if usage is None else {"usage": usage}
    return of(
        id=Slot.ID,
        object="chat.completion.chunk",
        created=Slot.CREATED,
        model=Slot.MODEL,
        choices=choices,
        **end,
    )


def _old(delta: Shape) -> Shape:
    return _old_chunk(of(index=Slot.INDEX, delta=delta, finish_reason=Or(Slot.FINISH), usage=Slot.USAGE))


_OLD = Form(
    answer_id=ids.hexes(32, "chatcmpl-"),
    call_id=ids.named_call,
    frames={
        "first": _old(of(role="assistant", content="")),
        "text": _old(of(content=Slot.TEXT)),
        "call": _old(of(tool_calls=(_CALL,))),
        "arguments": _old(of(tool_calls=(_PIECE,))),
        "finish": _old(of()),
        "usage": _old_chunk(usage=Slot.USAGE),
    },
    usage=_USAGE,
    usage_in_finish="always",
    usage_alone="asked",
    answer=_ANSWER,
    choice=_CHOICE,
    call=_CALL,
)

_KEEPS = frozenset({"keeps"})
_THINKS = frozenset({"thinks"})

MOONSHOT = Manner(
    name="moonshot",
    title="Moonshot AI",
    base_paths=("/v1",),
    models=(
        Listed(name="kimi-k3", thinks="on", marks=_KEEPS | _THINKS),
        Listed(name="kimi-k2.7-code", thinks="on", marks=_KEEPS | _THINKS),
        Listed(name="kimi-k2.6", thinks="on", marks=_KEEPS | _THINKS),
        Listed(name="kimi-k2.5", thinks="on", marks=_THINKS),
        Listed(name="moonshot-v1-8k", form=_OLD),
        Listed(name="moonshot-v1-128k", form=_OLD),
    ),
    form=_FORM,
    errors=Errors(
        body=of(error=of(message=Slot.MESSAGE, type=Slot.TYPE)),
        words={
            "": ("invalid_request_error", None),
            "auth": ("invalid_authentication_error", None),
            "billing": ("exceeded_current_quota_error", None),
            "permission": ("permission_denied_error", None),
            "not_found": ("resource_not_found_error", None),
            "rate_limit": ("rate_limit_reached_error", None),
            "overloaded": ("engine_overloaded_error", None),
            "server": ("server_error", None),
        },
        no_key=Refusal(401, "Invalid Authentication", kind="auth"),
        wrong_key=Refusal(401, "Invalid Authentication", kind="auth"),
        no_model=Refusal(404, "Not found the model {model} or Permission denied", kind="not_found"),
        no_path=Refusal(404, "The requested resource was not found", kind="not_found"),
    ),
    switches=(thinking_object, reasoning_effort),
    checks=(
        one_of(
            "reasoning_effort",
            ("low", "high", "max"),
            Refusal(400, "invalid reasoning_effort: only low, high and max are allowed"),
        ),
        one_of("thinking.type", ("enabled", "disabled"), Refusal(400, "invalid thinking.type: {value}")),
        unless(
            lambda asked: _budget(asked.body.get("thinking")) >= _LEAST_BUDGET,
            Refusal(400, f"thinking.budget_tokens must be at least {_LEAST_BUDGET}"),
        ),
        unless(
            lambda asked: "keeps" in asked.listed.marks or _kept(asked.body.get("thinking")) is None,
            Refusal(400, "thinking.keep is not supported by this model"),
        ),
        of_marked(
            "keeps", one_of("thinking.keep", ("all",), Refusal(400, "invalid thinking.keep: only all is allowed"))
        ),
    ),
    model_row=of(id=Slot.MODEL, object="model", created=Slot.CREATED, owned_by="moonshot"),
)


def _budget(thinking: object) -> int:
    value = thinking.get("budget_tokens") if isinstance(thinking, dict) else None
    return value if isinstance(value, int) else _LEAST_BUDGET


def _kept(thinking: object) -> object:
    return thinking.get("keep") if isinstance(thinking, dict) else None
