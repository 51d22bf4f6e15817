"""OpenRouter.

Sources: recorded streams, whole answers and errors of 2025 and 2026, and the documentation, read 2026-11. Two forms are
on record, and besides them that of Google's models, all of whose calls have the index 0. How often comments come is
assumed: recorded streams have from 1 to 30 of them.
"""

from __future__ import annotations

from thalweg.simulator.manners import ids
from thalweg.simulator.manners.base import Listed, Manner
from thalweg.simulator.manners.errors import Errors, Refusal
from thalweg.simulator.manners.form import Form, Kind
from thalweg.simulator.manners.shape import Or, Shape, Slot, of
from thalweg.simulator.manners.thinking import reasoning_effort, reasoning_object

_PROCESSING = b": OPENROUTER PROCESSING\n\n"
_OBJECT = "chat.completion.chunk"
_ERROR = of(code=Slot.STATUS, message=Slot.MESSAGE)

_USAGE = of(
    prompt_tokens=Slot.PROMPT,
    completion_tokens=Slot.COMPLETION,
    total_tokens=Slot.TOTAL,
    cost=Slot.COST,
    is_byok=False,
    prompt_tokens_details=of(cached_tokens=Slot.CACHED, cache_write_tokens=0, audio_tokens=0, video_tokens=0),
    cost_details=of(
        upstream_inference_cost=Slot.COST,
        upstream_inference_prompt_cost=Slot.COST,
        upstream_inference_completions_cost=0,
    ),
    completion_tokens_details=of(reasoning_tokens=Or(Slot.THOUGHT, 0), image_tokens=0, audio_tokens=0),
)
_CALL = of(
    index=Slot.CALL_INDEX, id=Slot.CALL_ID, type="function", function=of(name=Slot.NAME, arguments=Slot.ARGUMENTS)
)
_PIECE = of(index=Slot.CALL_INDEX, function=of(arguments=Slot.ARGUMENTS))
_THOUGHT = of(type="reasoning.text", text=Slot.REASONING, format="unknown", index=0)
_SILENT = of(content="", role="assistant")


def _choice(delta: Shape) -> Shape:
    return of(index=Slot.INDEX, delta=delta, finish_reason=Or(Slot.FINISH), native_finish_reason=Or(Slot.NATIVE))


def _delta(delta: Shape) -> Shape:
    return of(
        id=Slot.ID,
        object=_OBJECT,
        created=Slot.CREATED,
        model=Slot.MODEL,
        provider="Simulated",
        choices=(_choice(delta),),
    )


_FRAMES: dict[Kind, Shape] = {
    "reasoning": _delta(of(content="", role="assistant", reasoning=Slot.REASONING, reasoning_details=(_THOUGHT,))),
    "text": _delta(of(content=Slot.TEXT, role="assistant")),
    "call": _delta(of(content=None, role="assistant", tool_calls=(_CALL,))),
    "arguments": _delta(of(content=None, role="assistant", tool_calls=(_PIECE,))),
    "finish": _delta(_SILENT),
    # The finish comes again with usage.
    "usage": of(
        id=Slot.ID,
        object=_OBJECT,
        created=Slot.CREATED,
        model=Slot.MODEL,
        provider="Simulated",
        service_tier=None,
        choices=(_choice(_SILENT),),
        usage=Slot.USAGE,
    ),
    "error": of(
        id=Slot.ID,
        object=_OBJECT,
        created=Slot.CREATED,
        model=Slot.MODEL,
        provider="Simulated",
        error=_ERROR,
        choices=(of(index=0, delta=_SILENT, finish_reason="error", native_finish_reason="error"),),
    ),
}

_NEW = Form(
    answer_id=ids.generation,
    call_id=ids.call(ids.letters(24, "call_")),
    frames=_FRAMES,
    thinking={"finish": _delta(of(content="", role="assistant", reasoning=None))},
    usage=_USAGE,
    usage_alone="always",
    answer=of(
        id=Slot.ID,
        provider="Simulated",
        model=Slot.MODEL,
        object="chat.completion",
        created=Slot.CREATED,
        choices=Slot.CHOICES,
        system_fingerprint=None,
        usage=Slot.USAGE,
    ),
    choice=of(
        logprobs=None,
        finish_reason=Slot.FINISH,
        native_finish_reason=Slot.NATIVE,
        index=Slot.INDEX,
        message=of(
            role="assistant", content=Or(Slot.TEXT), refusal=None, reasoning=Or(Slot.REASONING), tool_calls=Slot.CALLS
        ),
    ),
    thinking_choice=of(
        logprobs=None,
        finish_reason=Slot.FINISH,
        native_finish_reason=Slot.NATIVE,
        index=Slot.INDEX,
        message=of(
            role="assistant",
            content=Or(Slot.TEXT),
            refusal=None,
            reasoning=Slot.REASONING,
            reasoning_details=(_THOUGHT,),
            tool_calls=Slot.CALLS,
        ),
    ),
    call=_CALL,
)


def _old(delta: Shape) -> Shape:
    return of(
        id=Slot.ID,
        provider="Simulated",
        model=Slot.MODEL,
        object=_OBJECT,
        created=Slot.CREATED,
        choices=(
            of(
                index=Slot.INDEX,
                delta=delta,
                finish_reason=Or(Slot.FINISH),
                native_finish_reason=Or(Slot.NATIVE),
                logprobs=None,
            ),
        ),
    )


_OLD_FRAMES: dict[Kind, Shape] = {
    "first": _old(of(role="assistant", content="")),
    "text": _old(of(role="assistant", content=Slot.TEXT)),
    "call": _old(of(role="assistant", content=None, tool_calls=(_CALL,))),
    "arguments": _old(
        of(
            role="assistant",
            content=None,
            tool_calls=(of(index=Slot.CALL_INDEX, id=None, type="function", function=of(arguments=Slot.ARGUMENTS)),),
        )
    ),
    "finish": _old(of(role="assistant", content="")),
    # Here the last chunk takes the finish back.
    "usage": of(
        id=Slot.ID,
        provider="Simulated",
        model=Slot.MODEL,
        object=_OBJECT,
        created=Slot.CREATED,
        choices=(
            of(
                index=Slot.INDEX,
                delta=of(role="assistant", content=""),
                finish_reason=None,
                native_finish_reason=None,
                logprobs=None,
            ),
        ),
        usage=Slot.USAGE,
    ),
    "error": of(
        id=Slot.ID,
        provider="Simulated",
        error=_ERROR,
        model=Slot.MODEL,
        object=_OBJECT,
        created=Slot.CREATED,
        choices=(
            of(
                index=0,
                delta=of(role="assistant", content=""),
                finish_reason=None,
                native_finish_reason=None,
                logprobs=None,
            ),
        ),
    ),
}

_OLD_USAGE = of(
    prompt_tokens=Slot.PROMPT,
    completion_tokens=Slot.COMPLETION,
    total_tokens=Slot.TOTAL,
    cost=Slot.COST,
    is_byok=False,
    prompt_tokens_details=of(cached_tokens=Slot.CACHED, audio_tokens=0),
    cost_details=of(
        upstream_inference_cost=None,
        upstream_inference_prompt_cost=Slot.COST,
        upstream_inference_completions_cost=0,
    ),
    completion_tokens_details=of(reasoning_tokens=Or(Slot.THOUGHT, 0), image_tokens=0),
)

_OLD = Form(
    answer_id=ids.generation,
    call_id=_NEW.call_id,
    frames=_OLD_FRAMES,
    thinking={
        "first": _old(of(role="assistant", content="", reasoning=None, reasoning_details=())),
        "reasoning": _old(of(role="assistant", content="", reasoning=Slot.REASONING, reasoning_details=())),
        "text": _old(of(role="assistant", content=Slot.TEXT, reasoning=None, reasoning_details=())),
        "finish": _old(of(role="assistant", content="", reasoning=None, reasoning_details=())),
    },
    usage=_OLD_USAGE,
    usage_alone="always",
    answer=_NEW.answer,
    choice=_NEW.choice,
    thinking_choice=_NEW.thinking_choice,
    call=_CALL,
)

_GOOGLE = Form(
    answer_id=ids.generation,
    call_id=ids.call(ids.small(8, "tool_0_")),
    frames=_FRAMES
    | {
        "call": _delta(
            of(
                content=None,
                role="assistant",
                tool_calls=(
                    of(
                        index=0,
                        id=Slot.CALL_ID,
                        type="function",
                        function=of(name=Slot.NAME, arguments=Slot.ARGUMENTS),
                    ),
                ),
            )
        )
    },
    thinking=_NEW.thinking,
    calls="whole",
    usage=_USAGE,
    usage_alone="always",
    answer=_NEW.answer,
    choice=_NEW.choice,
    thinking_choice=_NEW.thinking_choice,
    call=_CALL,
    native={"stop": "STOP", "tool_calls": "STOP", "length": "MAX_TOKENS"},
)

OPENROUTER = Manner(
    name="openrouter",
    title="OpenRouter",
    base_paths=("/api/v1",),
    models=(
        Listed(name="openai/gpt-5.4-mini", thinks="off"),
        Listed(name="anthropic/claude-sonnet-4.6", thinks="off"),
        Listed(name="google/gemini-2.5-flash-lite", thinks="off", form=_GOOGLE),
        Listed(name="deepseek/deepseek-chat-v3.1", thinks="off", form=_OLD),
        Listed(name="moonshotai/kimi-k2.5", thinks="on"),
        Listed(name="qwen/qwen3-max", thinks="off"),
        Listed(name="z-ai/glm-4.6", thinks="on"),
    ),
    form=_NEW,
    errors=Errors(
        body=of(error=of(message=Slot.MESSAGE, code=Slot.STATUS)),
        words={"": (None, None)},
        done_after=True,
        no_key=Refusal(401, "Missing Authentication header"),
        wrong_key=Refusal(401, "User not found."),
        no_model=Refusal(400, "{model} is not a valid model ID"),
        no_path=Refusal(404, "Not Found"),
    ),
    switches=(reasoning_object, reasoning_effort),
    headers=((b"x-generation-id", Slot.ID),),
    opening=_PROCESSING,
    keepalive=_PROCESSING,
    keepalive_s=0.5,
    model_row=of(id=Slot.MODEL, name=Slot.MODEL, created=Slot.CREATED, context_length=131072),
    model_list=of(data=Slot.CHOICES),
)
