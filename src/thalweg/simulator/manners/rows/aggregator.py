"""An aggregator that resells models of many makers under `maker/model`.

Source: such a service's page on streaming, read 2026-11: chunks without `created` and `model`, usage in the last of
them. It must be the one with the finish, since the page's own clients read `choices[0]` of every chunk. Whole answers
and errors are assumed to be as OpenAI documents them.
"""

from __future__ import annotations

from thalweg.simulator.manners import ids
from thalweg.simulator.manners.base import Listed, Manner
from thalweg.simulator.manners.errors import Errors, Refusal
from thalweg.simulator.manners.form import Form
from thalweg.simulator.manners.shape import Or, Shape, Slot, of
from thalweg.simulator.manners.thinking import reasoning_effort


def _delta(delta: Shape) -> Shape:
    return of(
        id=Slot.ID,
        object="chat.completion.chunk",
        choices=(of(index=Slot.INDEX, delta=delta, finish_reason=Or(Slot.FINISH)),),
        usage=Slot.USAGE,
    )


_CALL = of(
    index=Slot.CALL_INDEX, id=Slot.CALL_ID, type="function", function=of(name=Slot.NAME, arguments=Slot.ARGUMENTS)
)
_PIECE = of(index=Slot.CALL_INDEX, function=of(arguments=Slot.ARGUMENTS))

_FORM = Form(
    answer_id=ids.small(12, "chatcmpl-"),
    call_id=ids.call(ids.letters(24, "call_")),
    frames={
        "first": _delta(of(role="assistant", content="")),
        "reasoning": _delta(of(reasoning_content=Slot.REASONING)),
        "text": _delta(of(content=Slot.TEXT)),
        "call": _delta(of(tool_calls=(_CALL,))),
        "arguments": _delta(of(tool_calls=(_PIECE,))),
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
        message=of(role="assistant", content=Or(Slot.TEXT), reasoning_content=Slot.REASONING, tool_calls=Slot.CALLS),
        finish_reason=Slot.FINISH,
    ),
    call=of(id=Slot.CALL_ID, type="function", function=of(name=Slot.NAME, arguments=Slot.ARGUMENTS)),
)

AGGREGATOR = Manner(
    name="aggregator",
    title="An aggregator",
    base_paths=("/v1",),
    models=(
        Listed(name="openai/gpt-5.4-mini"),
        Listed(name="anthropic/claude-sonnet-4.6"),
        Listed(name="google/gemini-3.1-flash"),
        Listed(name="deepseek/deepseek-r1", thinks="on"),
    ),
    form=_FORM,
    errors=Errors(
        body=of(error=of(message=Slot.MESSAGE, type=Slot.TYPE, param=Or(Slot.PARAM), code=Slot.CODE)),
        words={
            "": ("invalid_request_error", None),
            "auth": ("authentication_error", "invalid_api_key"),
            "not_found": ("invalid_request_error", "model_not_found"),
            "rate_limit": ("rate_limit_error", "rate_limit_exceeded"),
            "server": ("server_error", "internal_error"),
        },
        no_key=Refusal(401, "No API key was provided.", kind="auth"),
        wrong_key=Refusal(401, "The API key is invalid.", kind="auth"),
        no_model=Refusal(404, "The model {model} does not exist.", kind="not_found", param="model"),
        no_path=Refusal(404, "Not found.", kind="not_found", code="not_found"),
    ),
    switches=(reasoning_effort,),
)
