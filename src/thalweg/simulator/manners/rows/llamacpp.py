"""llama.cpp's server.

Sources: recorded streams and errors of builds b7010 and b10499, read 2026-11. The times in `timings` are constants.
With several choices the server reports usage once for each; here it is reported once for all.
"""

from __future__ import annotations

from typing import Any

from thalweg.simulator.manners import ids
from thalweg.simulator.manners.base import Listed, Manner
from thalweg.simulator.manners.errors import Errors, Refusal
from thalweg.simulator.manners.form import Form
from thalweg.simulator.manners.shape import Or, Shape, Slot, of
from thalweg.simulator.manners.thinking import chat_template

_BUILD = "b1-0123456"
_TIMINGS = of(
    cache_n=0,
    prompt_n=1,
    prompt_ms=10.0,
    prompt_per_token_ms=10.0,
    prompt_per_second=100.0,
    predicted_n=1,
    predicted_ms=10.0,
    predicted_per_token_ms=10.0,
    predicted_per_second=100.0,
)


def _chunk(*choices: Shape, **end: Any) -> Shape:
    return of(
        choices=choices,
        created=Slot.CREATED,
        id=Slot.ID,
        model=Slot.MODEL,
        system_fingerprint=_BUILD,
        object="chat.completion.chunk",
        **end,
    )


def _delta(delta: Shape) -> Shape:
    return _chunk(of(finish_reason=Or(Slot.FINISH), index=Slot.INDEX, delta=delta))


_CALL = of(
    index=Slot.CALL_INDEX, id=Slot.CALL_ID, type="function", function=of(name=Slot.NAME, arguments=Slot.ARGUMENTS)
)
_PIECE = of(index=Slot.CALL_INDEX, function=of(arguments=Slot.ARGUMENTS))

_FORM = Form(
    answer_id=ids.letters(32, "chatcmpl-"),
    call_id=ids.call(ids.letters(32)),
    frames={
        "first": _delta(of(role="assistant", content=None)),
        "reasoning": _delta(of(reasoning_content=Slot.REASONING)),
        "text": _delta(of(content=Slot.TEXT)),
        "call": _delta(of(tool_calls=(_CALL,))),
        "arguments": _delta(of(tool_calls=(_PIECE,))),
        "finish": _delta(of()),
        "usage": _chunk(usage=Slot.USAGE, timings=_TIMINGS),
    },
    calls="opened",
    usage=of(
        completion_tokens=Slot.COMPLETION,
        prompt_tokens=Slot.PROMPT,
        total_tokens=Slot.TOTAL,
        prompt_tokens_details=of(cached_tokens=Slot.CACHED),
    ),
    answer=of(
        choices=Slot.CHOICES,
        created=Slot.CREATED,
        model=Slot.MODEL,
        system_fingerprint=_BUILD,
        object="chat.completion",
        usage=Slot.USAGE,
        id=Slot.ID,
        timings=_TIMINGS,
    ),
    choice=of(
        finish_reason=Slot.FINISH,
        index=Slot.INDEX,
        message=of(role="assistant", reasoning_content=Slot.REASONING, content=Or(Slot.TEXT), tool_calls=Slot.CALLS),
    ),
    call=of(type="function", function=of(name=Slot.NAME, arguments=Slot.ARGUMENTS), id=Slot.CALL_ID),
)

LLAMACPP = Manner(
    name="llamacpp",
    title="llama.cpp",
    base_paths=("/v1", ""),
    hosted=False,
    models=(Listed(name="Qwen3-1.7B-Q4_K_M", thinks="on"),),
    # One model is loaded; its name in a request is not looked at.
    any_model=Listed(name="*", thinks="on", shown="Qwen3-1.7B-Q4_K_M.gguf"),
    form=_FORM,
    errors=Errors(
        body=of(error=of(code=Slot.STATUS, message=Slot.MESSAGE, type=Slot.TYPE)),
        words={
            "": ("invalid_request_error", None),
            "auth": ("authentication_error", None),
            "permission": ("permission_error", None),
            "not_found": ("not_found_error", None),
            "context_length": ("exceed_context_size_error", None),
            "overloaded": ("unavailable_error", None),
            "server": ("server_error", None),
        },
        content_type=b"application/json; charset=utf-8",
        no_key=Refusal(401, "Invalid API Key", kind="auth"),
        wrong_key=Refusal(401, "Invalid API Key", kind="auth"),
        no_model=Refusal(404, "model not found", kind="not_found"),
        no_path=Refusal(404, "File Not Found", kind="not_found"),
    ),
    switches=(chat_template,),
    answer_type=b"application/json; charset=utf-8",
    headers=(),
    keepalive=b":\n\n",
    keepalive_s=30.0,
    model_row=of(id=Slot.MODEL, object="model", created=Slot.CREATED, owned_by="llamacpp"),
)
