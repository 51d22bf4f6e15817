"""Ant Ling, at its own address.

Source: the vendor's page on streaming output, read 2026-11: the chunks, the first with the role alone, usage usually in
the last. What it does not say is assumed to be as in OpenAI's documentation: tool calls, whole answers, the shape of
errors and their codes. Its models are taken for ones that do not think. The same maker's models as Model Studio sells
them are in the manner `dashscope`.
"""

from __future__ import annotations

from thalweg.simulator.manners import ids
from thalweg.simulator.manners.base import Listed, Manner
from thalweg.simulator.manners.errors import Errors, Refusal
from thalweg.simulator.manners.form import Form
from thalweg.simulator.manners.shape import Or, Shape, Slot, of

_CALL = of(
    index=Slot.CALL_INDEX, id=Slot.CALL_ID, type="function", function=of(name=Slot.NAME, arguments=Slot.ARGUMENTS)
)


def _delta(delta: Shape) -> Shape:
    return of(
        id=Slot.ID,
        object="chat.completion.chunk",
        created=Slot.CREATED,
        model=Slot.MODEL,
        choices=(of(index=Slot.INDEX, delta=delta, finish_reason=Or(Slot.FINISH)),),
        usage=Slot.USAGE,
    )


_FORM = Form(
    answer_id=ids.hexes(32, "chatcmpl-"),
    call_id=ids.call(ids.hexes(24, "call_")),
    frames={
        "first": _delta(of(role="assistant")),
        "text": _delta(of(content=Slot.TEXT)),
        "call": _delta(of(tool_calls=(_CALL,))),
        "arguments": _delta(of(tool_calls=(of(index=Slot.CALL_INDEX, function=of(arguments=Slot.ARGUMENTS)),))),
        "finish": _delta(of()),
    },
    usage=of(prompt_tokens=Slot.PROMPT, completion_tokens=Slot.COMPLETION, total_tokens=Slot.TOTAL),
    usage_in_finish="always",
    usage_alone="never",
    answer=of(
        id=Slot.ID,
        object="chat.completion",
        created=Slot.CREATED,
        model=Slot.MODEL,
        choices=Slot.CHOICES,
        usage=Slot.USAGE,
    ),
    choice=of(
        index=Slot.INDEX,
        message=of(role="assistant", content=Or(Slot.TEXT), tool_calls=Slot.CALLS),
        finish_reason=Slot.FINISH,
    ),
    call=of(id=Slot.CALL_ID, type="function", function=of(name=Slot.NAME, arguments=Slot.ARGUMENTS)),
)

LING = Manner(
    name="ling",
    title="Ant Ling",
    base_paths=("/v1",),
    models=(Listed(name="Ling-2.6-flash"), Listed(name="Ling-2.6-1T")),
    form=_FORM,
    errors=Errors(
        body=of(error=of(message=Slot.MESSAGE, type=Slot.TYPE, param=Or(Slot.PARAM), code=Slot.CODE)),
        words={
            "": ("invalid_request_error", None),
            "auth": ("authentication_error", "invalid_api_key"),
            "not_found": ("invalid_request_error", "model_not_found"),
            "rate_limit": ("rate_limit_error", "rate_limit_exceeded"),
            "overloaded": ("server_error", "overloaded"),
            "server": ("server_error", "internal_error"),
        },
        no_key=Refusal(401, "No API key was provided.", kind="auth"),
        wrong_key=Refusal(401, "The API key is invalid.", kind="auth"),
        no_model=Refusal(404, "The model {model} does not exist.", kind="not_found", param="model"),
        no_path=Refusal(404, "Not found.", kind="not_found", code="not_found"),
    ),
)
