"""LM Studio's server.

Source: streams quoted in its public bug reports, read 2026-11: `system_fingerprint` is the model's name, the role comes
with the first words, later fragments of a call have an empty name. Assumed: thoughts stand in `reasoning_content`, an
error in a stream is an event of its own, and a name it does not know is answered by the model that is loaded.
"""

from __future__ import annotations

from thalweg.simulator.manners import ids
from thalweg.simulator.manners.base import Listed, Manner
from thalweg.simulator.manners.errors import Errors, Refusal
from thalweg.simulator.manners.form import Form
from thalweg.simulator.manners.shape import Or, Shape, Slot, of
from thalweg.simulator.manners.thinking import chat_template, reasoning_effort


def _chunk(*choices: Shape) -> Shape:
    return of(
        id=Slot.ID,
        object="chat.completion.chunk",
        created=Slot.CREATED,
        model=Slot.MODEL,
        system_fingerprint=Slot.MODEL,
        choices=choices,
        usage=Slot.USAGE,
    )


def _delta(delta: Shape) -> Shape:
    return _chunk(of(index=Slot.INDEX, delta=delta, logprobs=None, finish_reason=Or(Slot.FINISH)))


_CALL = of(
    index=Slot.CALL_INDEX, id=Slot.CALL_ID, type="function", function=of(name=Slot.NAME, arguments=Slot.ARGUMENTS)
)
_PIECE = of(index=Slot.CALL_INDEX, type="function", function=of(name="", arguments=Slot.ARGUMENTS))

_FORM = Form(
    answer_id=ids.small(22, "chatcmpl-"),
    call_id=ids.call(ids.hexes(9)),
    frames={
        "first": _delta(of(role="assistant", content="")),
        "first text": _delta(of(role="assistant", content=Slot.TEXT)),
        "first reasoning": _delta(of(role="assistant", reasoning_content=Slot.REASONING)),
        "first call": _delta(of(role="assistant", tool_calls=(_CALL,))),
        "reasoning": _delta(of(reasoning_content=Slot.REASONING)),
        "text": _delta(of(content=Slot.TEXT)),
        "call": _delta(of(tool_calls=(_CALL,))),
        "arguments": _delta(of(tool_calls=(_PIECE,))),
        "finish": _delta(of()),
        "usage": _chunk(),
    },
    usage=of(
        prompt_tokens=Slot.PROMPT,
        completion_tokens=Slot.COMPLETION,
        total_tokens=Slot.TOTAL,
        completion_tokens_details=of(reasoning_tokens=Slot.THOUGHT),
    ),
    answer=of(
        id=Slot.ID,
        object="chat.completion",
        created=Slot.CREATED,
        model=Slot.MODEL,
        choices=Slot.CHOICES,
        usage=Slot.USAGE,
        stats=of(),
        system_fingerprint=Slot.MODEL,
    ),
    choice=of(
        index=Slot.INDEX,
        message=of(
            role="assistant",
            content=Or(Slot.TEXT, ""),
            reasoning_content=Slot.REASONING,
            tool_calls=Or(Slot.CALLS, ()),
        ),
        logprobs=None,
        finish_reason=Slot.FINISH,
    ),
    call=of(type="function", id=Slot.CALL_ID, function=of(name=Slot.NAME, arguments=Slot.ARGUMENTS)),
)

LMSTUDIO = Manner(
    name="lmstudio",
    title="LM Studio",
    base_paths=("/v1",),
    hosted=False,
    models=(Listed(name="qwen3-8b", thinks="on"), Listed(name="gemma-3-12b-it")),
    any_model=Listed(name="*", thinks="on", shown="qwen3-8b"),
    form=_FORM,
    errors=Errors(
        body=of(error=of(message=Slot.MESSAGE, type=Slot.TYPE, param=Or(Slot.PARAM), code=Slot.CODE)),
        words={
            "": ("invalid_request_error", None),
            "auth": ("invalid_request_error", "invalid_api_key"),
            "not_found": ("invalid_request_error", "model_not_found"),
            "server": ("internal_error", None),
        },
        event=b"error",
        no_key=Refusal(401, "An API token is needed.", kind="auth"),
        wrong_key=Refusal(401, "The API token is not valid.", kind="auth"),
        no_model=Refusal(404, "Model {model} not found.", kind="not_found"),
        no_path=Refusal(200, "Unexpected endpoint or method.", body=of(error=Slot.MESSAGE)),
    ),
    switches=(chat_template, reasoning_effort),
    headers=(),
    model_row=of(id=Slot.MODEL, object="model", owned_by="organization_owner"),
)
