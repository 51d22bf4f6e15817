"""vLLM's server.

Sources: a recorded stream of version 0.24, its documentation and source on errors and `continuous_usage_stats`, and
streams quoted in public bug reports, read 2026-11. Newer releases call the field of thoughts `reasoning`; one model
here does. Assumed: a call's first fragment has no arguments at all.
"""

from __future__ import annotations

from typing import Any

from thalweg.simulator.manners import ids
from thalweg.simulator.manners.base import Listed, Manner
from thalweg.simulator.manners.checks import options_only_in_streams, unless, within
from thalweg.simulator.manners.errors import Errors, Refusal
from thalweg.simulator.manners.form import Form, where
from thalweg.simulator.manners.shape import Or, Shape, Slot, of
from thalweg.simulator.manners.thinking import chat_template


def _chunk(*choices: Shape, **end: Any) -> Shape:
    return of(
        id=Slot.ID,
        object="chat.completion.chunk",
        created=Slot.CREATED,
        model=Slot.MODEL,
        choices=choices,
        usage=Slot.USAGE,
        **end,
    )


def _delta(delta: Shape) -> Shape:
    return _chunk(of(index=Slot.INDEX, delta=delta, logprobs=None, finish_reason=None, token_ids=None))


_OPENED = of(id=Slot.CALL_ID, type="function", index=Slot.CALL_INDEX, function=of(name=Slot.NAME))
_PIECE = of(index=Slot.CALL_INDEX, function=of(arguments=Slot.ARGUMENTS))


_USAGE = of(
    prompt_tokens=Slot.PROMPT,
    total_tokens=Slot.TOTAL,
    completion_tokens=Slot.COMPLETION,
    prompt_tokens_details=of(cached_tokens=Slot.CACHED),
    completion_tokens_details=of(reasoning_tokens=Slot.THOUGHT),
)
_ANSWER = of(
    id=Slot.ID,
    object="chat.completion",
    created=Slot.CREATED,
    model=Slot.MODEL,
    choices=Slot.CHOICES,
    service_tier=None,
    system_fingerprint="vllm-0.0.0-sim",
    usage=Slot.USAGE,
    prompt_logprobs=None,
    prompt_token_ids=None,
    kv_transfer_params=None,
)
_FIRST = _chunk(
    of(index=Slot.INDEX, delta=of(role="assistant", content=""), logprobs=None, finish_reason=None),
    prompt_token_ids=None,
    prompt_text=None,
)
_FINISH = _chunk(
    of(
        index=Slot.INDEX,
        delta=of(),
        logprobs=None,
        finish_reason=Slot.FINISH,
        stop_reason=None,
        token_ids=None,
    )
)


def _form(thoughts: str) -> Form:
    """Unset keys are left out, but those of the newer releases' token ids."""
    return Form(
        answer_id=ids.hexes(16, "chatcmpl-"),
        call_id=ids.call(ids.hexes(32, "chatcmpl-tool-")),
        frames={
            "first": _FIRST,
            "reasoning": _delta(of(**{thoughts: Slot.REASONING})),
            "text": _delta(of(content=Slot.TEXT)),
            "call": _delta(of(tool_calls=(_OPENED,))),
            "arguments": _delta(of(tool_calls=(_PIECE,))),
            "finish": _FINISH,
            "usage": _chunk(system_fingerprint="vllm-0.0.0-sim"),
        },
        usage=_USAGE,
        usage_in_each=where("include_usage", "continuous_usage_stats"),
        answer=_ANSWER,
        choice=of(
            index=Slot.INDEX,
            message=of(
                role="assistant",
                content=Or(Slot.TEXT),
                refusal=None,
                annotations=None,
                audio=None,
                function_call=None,
                tool_calls=Or(Slot.CALLS, ()),
                **{thoughts: Or(Slot.REASONING)},
            ),
            logprobs=None,
            finish_reason=Slot.FINISH,
            stop_reason=None,
            token_ids=None,
        ),
        call=of(id=Slot.CALL_ID, type="function", function=of(name=Slot.NAME, arguments=Slot.ARGUMENTS)),
    )


VLLM = Manner(
    name="vllm",
    title="vLLM",
    base_paths=("/v1",),
    hosted=False,
    models=(
        Listed(name="Qwen/Qwen3-8B", thinks="on"),
        Listed(name="openai/gpt-oss-20b", thinks="on", form=_form("reasoning")),
        Listed(name="meta-llama/Llama-3.3-70B-Instruct"),
    ),
    form=_form("reasoning_content"),
    errors=Errors(
        body=of(error=of(message=Slot.MESSAGE, type=Slot.TYPE, param=Or(Slot.PARAM), code=Slot.STATUS)),
        words={
            "": ("BadRequestError", None),
            "auth": ("Unauthorized", None),
            "not_found": ("NotFoundError", None),
            "rate_limit": ("TooManyRequestsError", None),
            "overloaded": ("ServiceUnavailableError", None),
            "server": ("InternalServerError", None),
        },
        done_after=True,
        no_key=Refusal(401, "Unauthorized", kind="auth", body=of(error=Slot.MESSAGE)),
        wrong_key=Refusal(401, "Unauthorized", kind="auth", body=of(error=Slot.MESSAGE)),
        no_model=Refusal(404, "The model `{model}` does not exist.", kind="not_found", param="model"),
        no_path=Refusal(404, "Not Found", body=of(detail=Slot.MESSAGE)),
    ),
    switches=(chat_template,),
    checks=(
        unless(
            options_only_in_streams,
            Refusal(400, "Stream options can only be defined when `stream=True`.", param="stream_options"),
        ),
        within("temperature", 0, 2, Refusal(400, "temperature must be non-negative and at most 2, got {value}.")),
        within("top_p", 0, 1, Refusal(400, "top_p must be in (0, 1], got {value}."), without_least=True),
    ),
    stream_type=b"text/event-stream; charset=utf-8",
    model_row=of(id=Slot.MODEL, object="model", created=Slot.CREATED, owned_by="vllm", root=Slot.MODEL, parent=None),
)
