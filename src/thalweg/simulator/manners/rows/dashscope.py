"""Alibaba Model Studio (DashScope), compatible mode.

Sources: recorded streams, whole answers and 401s of qwen-turbo, qwen-plus and qwen3-max, and the vendor's pages on
thinking, on error codes and on Ling models, read 2026-11. Two forms are on record: the one of qwen-turbo and qwen-plus,
whose keys change their order within a stream, and that of qwen3-max. Assumed: calls after thinking look as those
without, and the older models think in the newer form.
"""

from __future__ import annotations

from thalweg.simulator.manners import ids
from thalweg.simulator.manners.base import Asked, Listed, Manner
from thalweg.simulator.manners.checks import of_marked, streams, unless, within
from thalweg.simulator.manners.errors import Errors, Refusal
from thalweg.simulator.manners.form import Form, Kind
from thalweg.simulator.manners.shape import Or, Shape, Slot, of
from thalweg.simulator.manners.thinking import enable_thinking

_OBJECT = "chat.completion.chunk"


def _new_chunk(*choices: Shape) -> Shape:
    return of(
        choices=choices,
        object=_OBJECT,
        usage=Slot.USAGE,
        created=Slot.CREATED,
        system_fingerprint=None,
        model=Slot.MODEL,
        id=Slot.ID,
    )


def _new(delta: Shape) -> Shape:
    return _new_chunk(of(delta=delta, finish_reason=None, index=Slot.INDEX, logprobs=None))


def _new_first(delta: Shape) -> Shape:
    return _new_chunk(of(delta=delta, index=Slot.INDEX, logprobs=None, finish_reason=None))


def _new_finish(delta: Shape) -> Shape:
    return _new_chunk(of(finish_reason=Slot.FINISH, delta=delta, index=Slot.INDEX, logprobs=None))


def _old_first(delta: Shape) -> Shape:
    return of(
        model=Slot.MODEL,
        id=Slot.ID,
        created=Slot.CREATED,
        object=_OBJECT,
        usage=Slot.USAGE,
        choices=(of(logprobs=None, index=Slot.INDEX, delta=delta),),
    )


def _old_chunk(*choices: Shape) -> Shape:
    return of(model=Slot.MODEL, id=Slot.ID, choices=choices, created=Slot.CREATED, object=_OBJECT, usage=Slot.USAGE)


def _old(delta: Shape) -> Shape:
    return _old_chunk(of(delta=delta, index=Slot.INDEX, finish_reason=Slot.FINISH))


_OPENED = of(index=Slot.CALL_INDEX, id=Slot.CALL_ID, type="function", function=of(name=Slot.NAME, arguments=""))
_AGAIN = of(index=Slot.CALL_INDEX, id=Slot.CALL_ID, type="function", function=of(name="", arguments=Slot.ARGUMENTS))
_PIECE = of(index=Slot.CALL_INDEX, id="", type="function", function=of(arguments=Slot.ARGUMENTS))

_THINKING: dict[Kind, Shape] = {
    "first": _new_first(of(content=None, role="assistant", reasoning_content="")),
    "first call": _new(of(content=None, tool_calls=(_OPENED,), role="assistant")),
    "reasoning": _new(of(content=None, reasoning_content=Slot.REASONING)),
    "text": _new(of(content=Slot.TEXT, reasoning_content=None)),
    "finish": _new_finish(of(content="", reasoning_content=None)),
}

_NEW = Form(
    answer_id=ids.uuid("chatcmpl-"),
    call_id=ids.call(ids.hexes(24, "call_")),
    frames={
        "first": _new_first(of(content="", role="assistant")),
        "first call": _new(of(content=None, tool_calls=(_OPENED,), role="assistant")),
        "text": _new(of(content=Slot.TEXT)),
        "call": _new(of(content=None, tool_calls=(_OPENED,))),
        "arguments": _new(of(content=None, tool_calls=(_PIECE,))),
        "closing": _new_chunk(
            of(
                delta=of(tool_calls=(of(function=of(arguments=""), index=Slot.CALL_INDEX, id="", type="function"),)),
                index=Slot.INDEX,
            )
        ),
        "finish": _new_finish(of(content="")),
        "finish after calls": _new_finish(of()),
        "usage": _new_chunk(),
    },
    thinking=_THINKING,
    usage=of(
        prompt_tokens=Slot.PROMPT,
        completion_tokens=Slot.COMPLETION,
        total_tokens=Slot.TOTAL,
        completion_tokens_details=of(reasoning_tokens=Slot.THOUGHT),
        prompt_tokens_details=of(cached_tokens=Slot.CACHED),
    ),
    usage_null="always",
    answer=of(
        choices=Slot.CHOICES,
        object="chat.completion",
        usage=Slot.USAGE,
        created=Slot.CREATED,
        system_fingerprint=None,
        model=Slot.MODEL,
        id=Slot.ID,
    ),
    choice=of(
        message=of(
            content=Or(Slot.TEXT, ""), reasoning_content=Slot.REASONING, role="assistant", tool_calls=Slot.CALLS
        ),
        finish_reason=Slot.FINISH,
        index=Slot.INDEX,
        logprobs=None,
    ),
    call=of(
        function=of(arguments=Slot.ARGUMENTS, name=Slot.NAME), id=Slot.CALL_ID, index=Slot.CALL_INDEX, type="function"
    ),
)

_OLD = Form(
    answer_id=_NEW.answer_id,
    call_id=_NEW.call_id,
    frames={
        "first": _old_first(of(content="", role="assistant")),
        "first call": _old_first(of(content="", role="assistant", tool_calls=(_OPENED,))),
        "text": _old(of(content=Slot.TEXT, role=None)),
        "call": _old(of(content="", tool_calls=(_OPENED,), role=None)),
        "first arguments": _old(of(content="", tool_calls=(_AGAIN,), role=None)),
        "arguments": _old(of(content="", tool_calls=(_PIECE,), role=None)),
        "closing": _old(
            of(
                tool_calls=(of(function=of(arguments=None), index=Slot.CALL_INDEX, id="", type="function"),),
                content="",
            )
        ),
        "finish": _old(of(content="", role=None)),
        "finish after calls": _old(of()),
        "usage": _old_chunk(),
    },
    thinking=_THINKING,
    usage=of(
        total_tokens=Slot.TOTAL,
        completion_tokens=Slot.COMPLETION,
        prompt_tokens=Slot.PROMPT,
        completion_tokens_details=of(reasoning_tokens=Slot.THOUGHT),
        prompt_tokens_details=of(cached_tokens=Slot.CACHED),
    ),
    usage_null="always",
    answer=of(
        model=Slot.MODEL,
        id=Slot.ID,
        choices=Slot.CHOICES,
        created=Slot.CREATED,
        object="chat.completion",
        usage=Slot.USAGE,
    ),
    choice=of(
        message=of(
            content=Or(Slot.TEXT, ""), reasoning_content=Slot.REASONING, tool_calls=Slot.CALLS, role="assistant"
        ),
        index=Slot.INDEX,
        finish_reason=Slot.FINISH,
    ),
    call=of(
        index=Slot.CALL_INDEX, id=Slot.CALL_ID, type="function", function=of(name=Slot.NAME, arguments=Slot.ARGUMENTS)
    ),
)

_MOST_TOKENS = 32_768
"""One cap for all; the real ones differ from model to model."""

_OPEN_SOURCE = frozenset({"open source"})
_STREAM_ONLY = frozenset({"stream only"})
_LING = frozenset({"ling"})


def _reports_usage(asked: Asked) -> bool:
    options = asked.body.get("stream_options")
    return not isinstance(options, dict) or options.get("include_usage") is not False


DASHSCOPE = Manner(
    name="dashscope",
    title="Alibaba Model Studio",
    base_paths=("/compatible-mode/v1",),
    models=(
        Listed(name="qwen-plus", thinks="off", form=_OLD),
        Listed(name="qwen-turbo", thinks="off", form=_OLD),
        Listed(name="qwen-flash", thinks="off"),
        Listed(name="qwen3-max", thinks="off"),
        Listed(name="qwen3-coder-plus"),
        Listed(name="qwen3-32b", thinks="on", marks=_OPEN_SOURCE),
        Listed(name="qwen3-235b-a22b", thinks="on", marks=_OPEN_SOURCE),
        Listed(name="qwq-plus", thinks="always", marks=_STREAM_ONLY),
        Listed(name="qvq-max", thinks="always", marks=_STREAM_ONLY),
        Listed(name="antdigital/Ling-3.1-flash", thinks="on", marks=_LING),
    ),
    form=_NEW,
    errors=Errors(
        body=of(
            error=of(message=Slot.MESSAGE, type=Slot.TYPE, param=Or(Slot.PARAM), code=Slot.CODE),
            request_id=Slot.REQUEST_ID,
        ),
        words={
            "": ("invalid_request_error", "invalid_parameter_error"),
            "no key": ("invalid_request_error", None),
            "auth": ("invalid_request_error", "invalid_api_key"),
            "billing": ("Arrearage", "Arrearage"),
            "permission": ("permission_denied", "access_denied"),
            "not_found": ("invalid_request_error", "model_not_found"),
            "rate_limit": ("limit_requests", "limit_requests"),
            "overloaded": ("service_unavailable", "service_unavailable"),
            "server": ("internal_error", "internal_error"),
            "timeout": ("request_timeout", "request_timeout"),
        },
        no_key=Refusal(
            401,
            "You didn't provide an API key. You need to provide your API key in an Authorization header using Bearer "
            "auth (i.e. Authorization: Bearer YOUR_KEY). ",
            kind="no key",
        ),
        wrong_key=Refusal(401, "Incorrect API key provided. ", kind="auth"),
        no_model=Refusal(404, "The model `{model}` does not exist or you do not have access to it.", kind="not_found"),
        no_path=Refusal(404, "Not Found", kind="not_found", code="not_found"),
    ),
    switches=(enable_thinking,),
    checks=(
        of_marked(
            "stream only",
            unless(
                streams,
                Refusal(
                    400, "This model only support stream mode, please enable the stream parameter to access the model."
                ),
            ),
        ),
        of_marked(
            "open source",
            unless(
                lambda asked: asked.request.stream or not asked.thinks,
                Refusal(400, "parameter.enable_thinking must be set to false for non-streaming calls"),
            ),
        ),
        of_marked("ling", unless(_reports_usage, Refusal(400, "stream_options.include_usage only supports true."))),
        within(
            "temperature", 0, 2, Refusal(400, "'temperature' must be in the range [0, 2): {value}."), without_most=True
        ),
        within("top_p", 0, 1, Refusal(400, "Range of top_p should be (0.0, 1.0]"), without_least=True),
        within("presence_penalty", -2, 2, Refusal(400, "Range of presence_penalty should be [-2.0, 2.0]")),
        within("n", 1, 4, Refusal(400, "Range of n should be [1, 4]")),
        within("max_tokens", 1, _MOST_TOKENS, Refusal(400, f"Range of max_tokens should be [1, {_MOST_TOKENS}]")),
        within(
            "thinking_budget", 1, _MOST_TOKENS, Refusal(400, f"Range of thinking_budget should be [1, {_MOST_TOKENS}]")
        ),
    ),
    stream_type=b"text/event-stream;charset=UTF-8",
)
