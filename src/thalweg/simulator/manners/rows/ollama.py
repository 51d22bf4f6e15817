"""Ollama, its `/v1`.

Sources: recorded streams and whole answers of 2025, read 2026-11: ids that repeat, thoughts in `reasoning`, whole tool
calls; `enable_thinking` is passed over. Newer models say the role once. The shape of an error in a stream is assumed.
"""

from __future__ import annotations

from thalweg.simulator.manners import ids
from thalweg.simulator.manners.base import Listed, Manner
from thalweg.simulator.manners.errors import Errors, Refusal
from thalweg.simulator.manners.form import Form, Kind
from thalweg.simulator.manners.shape import Or, Shape, Slot, of
from thalweg.simulator.manners.thinking import reasoning_effort, reasoning_object

_CALL = of(
    id=Slot.CALL_ID, index=Slot.CALL_INDEX, type="function", function=of(name=Slot.NAME, arguments=Slot.ARGUMENTS)
)


def _chunk(*choices: Shape) -> Shape:
    return of(
        id=Slot.ID,
        object="chat.completion.chunk",
        created=Slot.CREATED,
        model=Slot.MODEL,
        system_fingerprint="fp_ollama",
        choices=choices,
        usage=Slot.USAGE,
    )


def _delta(delta: Shape) -> Shape:
    return _chunk(of(index=Slot.INDEX, delta=delta, finish_reason=Or(Slot.FINISH)))


_WITH_ROLE: dict[Kind, Shape] = {
    "reasoning": _delta(of(role="assistant", content="", reasoning=Slot.REASONING)),
    "text": _delta(of(role="assistant", content=Slot.TEXT)),
    "call": _delta(of(role="assistant", content="", tool_calls=(_CALL,))),
    "finish": _delta(of(role="assistant", content="")),
    "usage": _chunk(),
}
_ROLE_ONCE: dict[Kind, Shape] = {
    "first": _WITH_ROLE["finish"],
    "first text": _WITH_ROLE["text"],
    "first reasoning": _WITH_ROLE["reasoning"],
    "first call": _WITH_ROLE["call"],
    "reasoning": _delta(of(content="", reasoning=Slot.REASONING)),
    "text": _delta(of(content=Slot.TEXT)),
    "call": _delta(of(content="", tool_calls=(_CALL,))),
    "finish": _delta(of()),
    "usage": _chunk(),
}


def _form(frames: dict[Kind, Shape]) -> Form:
    return Form(
        answer_id=ids.one_of_a_thousand,
        call_id=ids.call(ids.small(8, "call_")),
        frames=frames,
        calls="whole",
        usage=of(prompt_tokens=Slot.PROMPT, completion_tokens=Slot.COMPLETION, total_tokens=Slot.TOTAL),
        answer=of(
            id=Slot.ID,
            object="chat.completion",
            created=Slot.CREATED,
            model=Slot.MODEL,
            system_fingerprint="fp_ollama",
            choices=Slot.CHOICES,
            usage=Slot.USAGE,
        ),
        choice=of(
            index=Slot.INDEX,
            message=of(role="assistant", content=Or(Slot.TEXT, ""), reasoning=Slot.REASONING, tool_calls=Slot.CALLS),
            finish_reason=Slot.FINISH,
        ),
        call=_CALL,
    )


OLLAMA = Manner(
    name="ollama",
    title="Ollama",
    base_paths=("/v1",),
    hosted=False,
    models=(
        Listed(name="qwen3", thinks="on"),
        Listed(name="qwen3:latest", thinks="on", hidden=True),
        Listed(name="gpt-oss:20b", thinks="on", form=_form(_ROLE_ONCE)),
        Listed(name="llama3.2"),
    ),
    form=_form(_WITH_ROLE),
    errors=Errors(
        body=of(error=of(message=Slot.MESSAGE, type=Slot.TYPE, param=Or(Slot.PARAM), code=None)),
        words={
            "": ("invalid_request_error", None),
            "auth": ("authentication_error", None),
            "not_found": ("not_found_error", None),
            "rate_limit": ("api_error", None),
            "overloaded": ("api_error", None),
            "server": ("api_error", None),
        },
        no_key=Refusal(401, "unauthorized", kind="auth"),
        wrong_key=Refusal(401, "unauthorized", kind="auth"),
        no_model=Refusal(404, 'model "{model}" not found, try pulling it first', kind="not_found"),
        no_path=Refusal(404, "404 page not found", body=Slot.MESSAGE),
    ),
    switches=(reasoning_effort, reasoning_object),
    model_row=of(id=Slot.MODEL, object="model", created=Slot.CREATED, owned_by="library"),
)
