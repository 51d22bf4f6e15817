"""Groq. Sources: recorded streams, whole answers and errors of 2025 and 2026, read 2026-11. Its times are constants."""

from __future__ import annotations

from typing import Any

from thalweg.simulator.manners import ids
from thalweg.simulator.manners.base import Listed, Manner
from thalweg.simulator.manners.errors import Errors, Refusal
from thalweg.simulator.manners.form import Form, Kind
from thalweg.simulator.manners.shape import Or, Shape, Slot, of
from thalweg.simulator.manners.thinking import reasoning_effort

_FINGERPRINT = "fp_0123456789"
_CALL = of(
    id=Slot.CALL_ID, type="function", function=of(name=Slot.NAME, arguments=Slot.ARGUMENTS), index=Slot.CALL_INDEX
)


def _chunk(*choices: Shape, **end: Any) -> Shape:
    return of(
        id=Slot.ID,
        object="chat.completion.chunk",
        created=Slot.CREATED,
        model=Slot.MODEL,
        system_fingerprint=_FINGERPRINT,
        choices=choices,
        **end,
    )


def _delta(delta: Shape, **end: Any) -> Shape:
    choice = of(index=Slot.INDEX, delta=delta, logprobs=None, finish_reason=Or(Slot.FINISH))
    return _chunk(choice, **end)


_FRAMES: dict[Kind, Shape] = {
    "first": _delta(of(role="assistant", content=""), x_groq=of(id=Slot.REQUEST_ID, seed=1)),
    "reasoning": _delta(of(reasoning=Slot.REASONING)),
    "text": _delta(of(content=Slot.TEXT)),
    "call": _delta(of(tool_calls=(_CALL,))),
    # Usage stands in three places, where it was asked for.
    "finish": _delta(of(), x_groq=of(id=Slot.REQUEST_ID, usage=Slot.USAGE), usage=Slot.USAGE),
    "usage": _chunk(usage=Slot.USAGE, service_tier="on_demand"),
}


def _form(frames: dict[Kind, Shape], **details: Shape) -> Form:
    return Form(
        answer_id=ids.uuid("chatcmpl-"),
        call_id=ids.call(ids.small(9)),
        frames=frames,
        calls="whole",
        usage=of(
            queue_time=0.01,
            prompt_tokens=Slot.PROMPT,
            prompt_time=0.01,
            completion_tokens=Slot.COMPLETION,
            completion_time=0.01,
            total_tokens=Slot.TOTAL,
            total_time=0.02,
            **details,
        ),
        usage_in_finish="always",
        usage_alone="asked",
        answer=of(
            id=Slot.ID,
            object="chat.completion",
            created=Slot.CREATED,
            model=Slot.MODEL,
            choices=Slot.CHOICES,
            usage=Slot.USAGE,
            usage_breakdown=None,
            system_fingerprint=_FINGERPRINT,
            x_groq=of(id=Slot.REQUEST_ID, seed=1),
            service_tier="on_demand",
        ),
        choice=of(
            index=Slot.INDEX,
            message=of(role="assistant", content=Slot.TEXT, reasoning=Slot.REASONING, tool_calls=Slot.CALLS),
            logprobs=None,
            finish_reason=Slot.FINISH,
        ),
        call=of(id=Slot.CALL_ID, type="function", function=of(name=Slot.NAME, arguments=Slot.ARGUMENTS)),
    )


_GPT_OSS = _form(
    _FRAMES | {"reasoning": _delta(of(reasoning=Slot.REASONING, channel="analysis"))},
    completion_tokens_details=of(reasoning_tokens=Slot.THOUGHT),
)

GROQ = Manner(
    name="groq",
    title="Groq",
    base_paths=("/openai/v1",),
    models=(
        Listed(name="openai/gpt-oss-20b", thinks="on", form=_GPT_OSS),
        Listed(name="qwen/qwen3-32b", thinks="on"),
        Listed(name="llama-3.3-70b-versatile"),
        Listed(name="moonshotai/kimi-k2-instruct-0905"),
    ),
    form=_form(_FRAMES),
    errors=Errors(
        body=of(error=of(message=Slot.MESSAGE, type=Slot.TYPE, code=Slot.CODE)),
        words={
            "": ("invalid_request_error", "invalid_request"),
            "auth": ("invalid_request_error", "invalid_api_key"),
            "not_found": ("invalid_request_error", "model_not_found"),
            "rate_limit": ("tokens", "rate_limit_exceeded"),
            "overloaded": ("internal_server_error", "over_capacity"),
            "server": ("internal_server_error", "internal_server_error"),
        },
        event=b"error",
        no_key=Refusal(401, "Invalid API Key", kind="auth"),
        wrong_key=Refusal(401, "Invalid API Key", kind="auth"),
        no_model=Refusal(404, "The model `{model}` does not exist or you do not have access to it.", kind="not_found"),
        no_path=Refusal(404, "Unknown request URL.", kind="not_found", code="unknown_url"),
    ),
    switches=(reasoning_effort,),
    request_id=ids.small(24, "req_01"),
    model_row=of(id=Slot.MODEL, object="model", created=Slot.CREATED, owned_by="Groq", active=True),
)
