"""SiliconFlow.

Known, from public bug reports and from streams of its that OpenRouter passed on, read 2026-11: the bodies and status of
a refused key and of an unknown model, an empty `system_fingerprint`, `reasoning_content`, `enable_thinking` and
`thinking_budget`. Assumed: the rest, as with DeepSeek, but for the role in every delta and usage so far in every chunk;
the numbers of the other errors.
"""

from __future__ import annotations

from thalweg.simulator.manners import ids
from thalweg.simulator.manners.base import Listed, Manner
from thalweg.simulator.manners.checks import within
from thalweg.simulator.manners.errors import Errors, Refusal
from thalweg.simulator.manners.form import Form, always
from thalweg.simulator.manners.shape import Or, Shape, Slot, of
from thalweg.simulator.manners.thinking import enable_thinking

_MOST_THOUGHT = 32_768

_CALL = of(
    index=Slot.CALL_INDEX, id=Slot.CALL_ID, type="function", function=of(name=Slot.NAME, arguments=Slot.ARGUMENTS)
)
_PIECE = of(index=Slot.CALL_INDEX, id=None, type="function", function=of(arguments=Slot.ARGUMENTS))


def _delta(delta: Shape) -> Shape:
    return of(
        id=Slot.ID,
        object="chat.completion.chunk",
        created=Slot.CREATED,
        model=Slot.MODEL,
        choices=(of(index=Slot.INDEX, delta=delta, finish_reason=Or(Slot.FINISH)),),
        system_fingerprint="",
        usage=Slot.USAGE,
    )


_FORM = Form(
    answer_id=ids.hexes(32),
    call_id=ids.call(ids.hexes(32)),
    frames={
        "first": _delta(of(content="", reasoning_content=None, role="assistant")),
        "reasoning": _delta(of(content=None, reasoning_content=Slot.REASONING, role="assistant")),
        "text": _delta(of(content=Slot.TEXT, reasoning_content=None, role="assistant")),
        "call": _delta(of(content=None, reasoning_content=None, role="assistant", tool_calls=(_CALL,))),
        "arguments": _delta(of(content=None, reasoning_content=None, role="assistant", tool_calls=(_PIECE,))),
        "finish": _delta(of(content="", reasoning_content=None, role="assistant")),
    },
    usage=of(
        prompt_tokens=Slot.PROMPT,
        completion_tokens=Slot.COMPLETION,
        total_tokens=Slot.TOTAL,
        completion_tokens_details=of(reasoning_tokens=Slot.THOUGHT),
    ),
    usage_in_finish="always",
    usage_alone="never",
    usage_in_each=always,
    answer=of(
        id=Slot.ID,
        object="chat.completion",
        created=Slot.CREATED,
        model=Slot.MODEL,
        choices=Slot.CHOICES,
        usage=Slot.USAGE,
        system_fingerprint="",
    ),
    choice=of(
        index=Slot.INDEX,
        message=of(
            role="assistant", content=Or(Slot.TEXT, ""), reasoning_content=Slot.REASONING, tool_calls=Slot.CALLS
        ),
        finish_reason=Slot.FINISH,
    ),
    call=of(id=Slot.CALL_ID, type="function", function=of(name=Slot.NAME, arguments=Slot.ARGUMENTS)),
)

SILICONFLOW = Manner(
    name="siliconflow",
    title="SiliconFlow",
    base_paths=("/v1",),
    models=(
        Listed(name="deepseek-ai/DeepSeek-V3.2", thinks="off"),
        Listed(name="Qwen/Qwen3-8B", thinks="on"),
        Listed(name="zai-org/GLM-4.6", thinks="off"),
        Listed(name="moonshotai/Kimi-K2-Instruct-0905"),
    ),
    form=_FORM,
    errors=Errors(
        body=of(code=Slot.CODE, message=Slot.MESSAGE, data=None),
        words={
            "": (None, 20015),
            "not_found": (None, 20012),
            "billing": (None, 30001),
            "rate_limit": (None, 50501),
            "overloaded": (None, 50505),
            "server": (None, 50500),
        },
        # These two are no object but a text.
        no_key=Refusal(401, "Invalid token", body=Slot.MESSAGE),
        wrong_key=Refusal(401, "Api key is invalid", body=Slot.MESSAGE),
        no_model=Refusal(400, "Model does not exist. Please check it carefully.", kind="not_found"),
        no_path=Refusal(404, "404 page not found", body=Slot.MESSAGE),
    ),
    switches=(enable_thinking,),
    checks=(within("thinking_budget", 128, _MOST_THOUGHT, Refusal(400, "thinking_budget is out of range: {value}")),),
    headers=((b"x-siliconcloud-trace-id", Slot.REQUEST_ID),),
    model_row=of(id=Slot.MODEL, object="model", created=0, owned_by=""),
)
