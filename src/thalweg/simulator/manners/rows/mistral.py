"""Mistral. Sources: recorded streams, whole answers and errors of 2025 and 2026, read 2026-11."""

from __future__ import annotations

from typing import Any

from thalweg.simulator.manners import ids
from thalweg.simulator.manners.base import Listed, Manner
from thalweg.simulator.manners.errors import Errors, Refusal
from thalweg.simulator.manners.form import Form
from thalweg.simulator.manners.shape import Or, Shape, Slot, of
from thalweg.simulator.manners.thinking import reasoning_effort


def _delta(delta: Shape, **end: Any) -> Shape:
    return of(
        id=Slot.ID,
        object="chat.completion.chunk",
        created=Slot.CREATED,
        model=Slot.MODEL,
        choices=(of(index=Slot.INDEX, delta=delta, finish_reason=Or(Slot.FINISH)),),
        **end,
    )


_THOUGHT = of(type="thinking", thinking=(of(type="text", text=Slot.REASONING),), closed=True)
_END = {"usage": Slot.USAGE, "p": Slot.PADDING}

_FORM = Form(
    answer_id=ids.hexes(32),
    call_id=ids.call(ids.letters(9)),
    frames={
        "first": _delta(of(role="assistant", content="")),
        "reasoning": _delta(of(content=(_THOUGHT,)), p=Slot.PADDING),
        "text": _delta(of(content=Slot.TEXT), p=Slot.PADDING),
        "finish": _delta(of(content=""), **_END),
        "finish with calls": _delta(of(tool_calls=Slot.CALLS), **_END),
    },
    calls="with finish",
    usage=of(
        prompt_tokens=Slot.PROMPT,
        total_tokens=Slot.TOTAL,
        completion_tokens=Slot.COMPLETION,
        prompt_tokens_details=of(cached_tokens=Slot.CACHED),
        service_tier="standard",
    ),
    usage_in_finish="always",
    usage_alone="never",
    answer=of(
        id=Slot.ID,
        created=Slot.CREATED,
        model=Slot.MODEL,
        usage=Slot.USAGE,
        object="chat.completion",
        choices=Slot.CHOICES,
    ),
    choice=of(
        index=Slot.INDEX,
        finish_reason=Slot.FINISH,
        message=of(role="assistant", tool_calls=Or(Slot.CALLS), content=Or(Slot.TEXT, "")),
    ),
    thinking_choice=of(
        index=Slot.INDEX,
        finish_reason=Slot.FINISH,
        message=of(
            role="assistant",
            tool_calls=Or(Slot.CALLS),
            content=(_THOUGHT, of(type="text", text=Or(Slot.TEXT, ""))),
        ),
    ),
    call=of(
        id=Slot.CALL_ID,
        function=of(name=Slot.NAME, arguments=Slot.ARGUMENTS),
        index=Slot.CALL_INDEX,
        type="function",
    ),
)

MISTRAL = Manner(
    name="mistral",
    title="Mistral AI",
    base_paths=("/v1",),
    models=(
        Listed(name="mistral-large-latest"),
        Listed(name="mistral-small-latest", thinks="off"),
        Listed(name="magistral-medium-latest", thinks="always"),
    ),
    form=_FORM,
    errors=Errors(
        body=of(
            object="error",
            message=Slot.MESSAGE,
            type=Slot.TYPE,
            param=Or(Slot.PARAM),
            code=Slot.CODE,
            raw_status_code=Slot.STATUS,
        ),
        words={
            "": ("invalid_request", "3000"),
            "not_found": ("invalid_model", "1500"),
            "rate_limit": ("rate_limited", "1300"),
            "overloaded": ("service_unavailable", "1000"),
            "server": ("internal_server_error", "1000"),
        },
        no_key=Refusal(401, "Unauthorized", body=of(detail=Slot.MESSAGE)),
        wrong_key=Refusal(401, "Invalid API Key", body=of(detail=Slot.MESSAGE)),
        no_model=Refusal(400, "Invalid model: {model}", kind="not_found"),
        no_path=Refusal(404, "no Route matched with those values", body=of(message=Slot.MESSAGE)),
    ),
    switches=(reasoning_effort,),
    stream_type=b"text/event-stream; charset=utf-8",
    model_row=of(id=Slot.MODEL, object="model", created=Slot.CREATED, owned_by="mistralai"),
)
