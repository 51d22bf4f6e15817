"""Volcengine Ark.

Sources: recorded streams of 2025 (without usage and reasoning), the vendor's page on streaming output, and the types of
its Python SDK 5.0.54, read 2026-11. The errors are from its documentation: their shape and codes, not each wording.
"""

from __future__ import annotations

from thalweg.simulator.manners import ids
from thalweg.simulator.manners.base import Listed, Manner
from thalweg.simulator.manners.checks import at_most, not_both, one_of, within
from thalweg.simulator.manners.errors import Errors, Refusal
from thalweg.simulator.manners.form import Form, where
from thalweg.simulator.manners.shape import Shape, Slot, of
from thalweg.simulator.manners.thinking import reasoning_effort, thinking_object


def _chunk(*choices: Shape) -> Shape:
    return of(
        choices=choices,
        created=Slot.CREATED,
        id=Slot.ID,
        model=Slot.MODEL,
        service_tier="default",
        object="chat.completion.chunk",
        usage=Slot.USAGE,
    )


def _delta(delta: Shape) -> Shape:
    return _chunk(of(delta=delta, finish_reason=Slot.FINISH, index=Slot.INDEX))


_CALL = of(
    function=of(arguments=Slot.ARGUMENTS, name=Slot.NAME), id=Slot.CALL_ID, index=Slot.CALL_INDEX, type="function"
)
_PIECE = of(function=of(arguments=Slot.ARGUMENTS), index=Slot.CALL_INDEX)

_FORM = Form(
    answer_id=ids.ark,
    call_id=ids.call(ids.small(24, "call_")),
    # No `first`: every delta has role and content.
    frames={
        "reasoning": _delta(of(content="", reasoning_content=Slot.REASONING, role="assistant")),
        "text": _delta(of(content=Slot.TEXT, role="assistant")),
        "call": _delta(of(content="", role="assistant", tool_calls=(_CALL,))),
        "arguments": _delta(of(content="", role="assistant", tool_calls=(_PIECE,))),
        "finish": _delta(of(content="", role="assistant")),
        "usage": _chunk(),
    },
    usage=of(
        completion_tokens=Slot.COMPLETION,
        prompt_tokens=Slot.PROMPT,
        total_tokens=Slot.TOTAL,
        prompt_tokens_details=of(cached_tokens=Slot.CACHED),
        completion_tokens_details=of(reasoning_tokens=Slot.THOUGHT),
    ),
    usage_null="always",
    usage_in_each=where("chunk_include_usage"),
    answer=of(
        choices=Slot.CHOICES,
        created=Slot.CREATED,
        id=Slot.ID,
        model=Slot.MODEL,
        service_tier="default",
        object="chat.completion",
        usage=Slot.USAGE,
    ),
    choice=of(
        finish_reason=Slot.FINISH,
        index=Slot.INDEX,
        logprobs=None,
        message=of(content=Slot.TEXT, reasoning_content=Slot.REASONING, role="assistant", tool_calls=Slot.CALLS),
    ),
    call=of(function=of(arguments=Slot.ARGUMENTS, name=Slot.NAME), id=Slot.CALL_ID, type="function"),
)

_WRONG = "The parameter `{field}` specified in the request are not valid: {value}."

ARK = Manner(
    name="ark",
    title="Volcengine Ark",
    base_paths=("/api/v3",),
    models=(
        Listed(name="doubao-seed-1-8-251215", thinks="on"),
        Listed(name="doubao-seed-1-6-251015", thinks="on"),
        Listed(name="doubao-seed-1-6-vision-250815", thinks="on"),
        Listed(name="doubao-1-5-thinking-vision-pro-250428", thinks="on"),
        Listed(name="doubao-1-5-pro-32k-250115"),
        Listed(name="ep-*", thinks="on", hidden=True),
    ),
    form=_FORM,
    errors=Errors(
        body=of(error=of(code=Slot.CODE, message=Slot.MESSAGE, param=Slot.PARAM, type=Slot.TYPE)),
        words={
            "": ("BadRequest", "InvalidParameter"),
            "auth": ("Unauthorized", "AuthenticationError"),
            "billing": ("Forbidden", "AccountOverdueError"),
            "permission": ("Forbidden", "AccessDenied"),
            "not_found": ("NotFound", "InvalidEndpointOrModel.NotFound"),
            "rate_limit": ("TooManyRequests", "RateLimitExceeded.EndpointRPMExceeded"),
            "overloaded": ("TooManyRequests", "ServerOverloaded"),
            "server": ("InternalServerError", "InternalServiceError"),
        },
        message="{message} Request id: {request_id}",
        no_key=Refusal(401, "The API key or AK/SK in the request is missing or invalid.", kind="auth", param=""),
        wrong_key=Refusal(401, "The API key or AK/SK in the request is missing or invalid.", kind="auth", param=""),
        no_model=Refusal(
            404,
            "The model or endpoint {model} does not exist or you do not have access to it.",
            kind="not_found",
            param="",
        ),
        no_path=Refusal(404, "The requested path does not exist.", kind="not_found", code="NotFound", param=""),
    ),
    switches=(thinking_object, reasoning_effort),
    checks=(
        within("temperature", 0, 2, Refusal(400, _WRONG)),
        within("top_p", 0, 1, Refusal(400, _WRONG)),
        at_most("tools", 128, Refusal(400, _WRONG)),
        at_most("stop", 4, Refusal(400, _WRONG)),
        not_both("max_tokens", "max_completion_tokens", Refusal(400, _WRONG)),
        one_of("thinking.type", ("enabled", "disabled", "auto"), Refusal(400, _WRONG)),
        one_of("reasoning_effort", ("minimal", "low", "medium", "high"), Refusal(400, _WRONG)),
    ),
)
