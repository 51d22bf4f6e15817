"""DeepSeek.

Sources: recorded streams, whole answers and errors of 2025 and 2026 (the content types of the latter, too), and the
vendor's pages on thinking and on keep-alives, read 2026-11. The keep-alives are documented, not recorded; their times
are assumed, and so are the words for what is no client's fault.
"""

from __future__ import annotations

from typing import Any

from thalweg.simulator.manners import ids
from thalweg.simulator.manners.base import Asked, Listed, Manner
from thalweg.simulator.manners.checks import forces_no_call, unless
from thalweg.simulator.manners.errors import Errors, Refusal
from thalweg.simulator.manners.form import Form
from thalweg.simulator.manners.shape import Or, Shape, Slot, of
from thalweg.simulator.manners.thinking import reasoning_effort, thinking_object

_OCTETS = b"application/octet-stream"
"""What the type of some errors is, though they are JSON: those that are found after the body was read."""
_FINGERPRINT = "fp_0123456789_prod"


def _delta(delta: Shape) -> Shape:
    return of(
        id=Slot.ID,
        object="chat.completion.chunk",
        created=Slot.CREATED,
        model=Slot.MODEL,
        system_fingerprint=_FINGERPRINT,
        choices=(of(index=Slot.INDEX, delta=delta, logprobs=None, finish_reason=Or(Slot.FINISH)),),
        usage=Slot.USAGE,
    )


_CALL = of(
    index=Slot.CALL_INDEX, id=Slot.CALL_ID, type="function", function=of(name=Slot.NAME, arguments=Slot.ARGUMENTS)
)
_PIECE = of(index=Slot.CALL_INDEX, function=of(arguments=Slot.ARGUMENTS))

_FORM = Form(
    answer_id=ids.uuid(),
    call_id=ids.numbered_call("call_", 20),
    frames={
        "first": _delta(of(role="assistant", content="")),
        "text": _delta(of(content=Slot.TEXT)),
        "call": _delta(of(tool_calls=(_CALL,))),
        "arguments": _delta(of(tool_calls=(_PIECE,))),
        "finish": _delta(of(content="")),
    },
    thinking={
        "first": _delta(of(role="assistant", content=None, reasoning_content="")),
        "reasoning": _delta(of(content=None, reasoning_content=Slot.REASONING)),
        "text": _delta(of(content=Slot.TEXT, reasoning_content=None)),
        "finish": _delta(of(content="", reasoning_content=None)),
    },
    usage=of(
        prompt_tokens=Slot.PROMPT,
        completion_tokens=Slot.COMPLETION,
        total_tokens=Slot.TOTAL,
        prompt_tokens_details=of(cached_tokens=Slot.CACHED),
        completion_tokens_details=of(reasoning_tokens=Slot.THOUGHT),
        prompt_cache_hit_tokens=Slot.CACHED,
        prompt_cache_miss_tokens=Slot.MISSED,
    ),
    usage_in_finish="always",
    usage_alone="never",
    usage_null="asked",
    answer=of(
        id=Slot.ID,
        object="chat.completion",
        created=Slot.CREATED,
        model=Slot.MODEL,
        choices=Slot.CHOICES,
        usage=Slot.USAGE,
        system_fingerprint=_FINGERPRINT,
    ),
    choice=of(
        index=Slot.INDEX,
        message=of(
            role="assistant", content=Or(Slot.TEXT, ""), reasoning_content=Slot.REASONING, tool_calls=Slot.CALLS
        ),
        logprobs=None,
        finish_reason=Slot.FINISH,
    ),
    call=_CALL,
)


def _says_text_only(asked: Asked) -> bool:
    return all(part.get("type") == "text" for message in _messages(asked) for part in _parts(message))


def _keeps_its_thoughts(asked: Asked) -> bool:
    """Whether each call since the user spoke has the reasoning that led to it, where the model thinks."""
    if not asked.thinks:
        return True
    turn: list[dict[str, Any]] = []
    for message in _messages(asked):
        turn = [] if message.get("role") == "user" else [*turn, message]
    return all(isinstance(each.get("reasoning_content"), str) for each in turn if each.get("tool_calls"))


def _messages(asked: Asked) -> list[dict[str, Any]]:
    return [message for message in asked.body["messages"] if isinstance(message, dict)]


def _parts(message: dict[str, Any]) -> list[dict[str, Any]]:
    content = message.get("content")
    return [part for part in content if isinstance(part, dict)] if isinstance(content, list) else []


DEEPSEEK = Manner(
    name="deepseek",
    title="DeepSeek",
    base_paths=("/v1", ""),
    models=(
        Listed(name="deepseek-v4-flash", thinks="on"),
        Listed(name="deepseek-v4-pro", thinks="on"),
        Listed(name="deepseek-chat", thinks="off", hidden=True),
        Listed(name="deepseek-reasoner", thinks="always", hidden=True),
    ),
    form=_FORM,
    errors=Errors(
        body=of(error=of(message=Slot.MESSAGE, type=Slot.TYPE, param=Or(Slot.PARAM), code=Slot.CODE)),
        words={
            "": ("invalid_request_error", "invalid_request_error"),
            "auth": ("authentication_error", "invalid_request_error"),
            "billing": ("unknown_error", "invalid_request_error"),
            "rate_limit": ("rate_limit_error", "rate_limit_error"),
            "overloaded": ("server_error", "server_overloaded"),
            "server": ("server_error", "internal_server_error"),
        },
        no_key=Refusal(401, "Authentication Fails (auth header format should be Bearer sk-...)", kind="auth"),
        wrong_key=Refusal(401, "Authentication Fails, Your api key: ****-bad is invalid", kind="auth"),
        no_model=Refusal(
            400,
            "The supported API model names are deepseek-v4-pro or deepseek-v4-flash, but you passed {model}.",
            content_type=_OCTETS,
        ),
        no_path=Refusal(404, "Not Found", kind="not_found"),
    ),
    switches=(thinking_object, reasoning_effort),
    checks=(
        unless(
            _says_text_only,
            Refusal(
                400,
                "Failed to deserialize the JSON body into the target type: messages: unknown variant, expected `text`",
            ),
        ),
        unless(
            lambda asked: forces_no_call(asked) or not asked.thinks,
            Refusal(400, "Thinking mode does not support this tool_choice", content_type=_OCTETS),
        ),
        unless(
            _keeps_its_thoughts,
            Refusal(
                400,
                "The `reasoning_content` in the thinking mode must be passed back to the API.",
                content_type=_OCTETS,
            ),
        ),
    ),
    stream_type=b"text/event-stream; charset=utf-8",
    headers=((b"x-ds-trace-id", Slot.REQUEST_ID),),
    keepalive=b": keep-alive\n\n",
    whole_keepalive=b"\n",
    model_row=of(id=Slot.MODEL, object="model", owned_by="deepseek"),
)
