"""OpenAI. Sources: openai-python 3.51 types and recorded streams of 2024 to 2026, read 2026-11."""

from __future__ import annotations

from thalweg.simulator.manners import ids
from thalweg.simulator.manners.base import Listed, Manner
from thalweg.simulator.manners.checks import known, not_both, of_marked, one_of, options_only_in_streams, unless, within
from thalweg.simulator.manners.errors import Errors, Refusal
from thalweg.simulator.manners.form import Form
from thalweg.simulator.manners.shape import Or, Shape, Slot, of
from thalweg.simulator.manners.thinking import reasoning_effort

_LOGPROBS = {"logprobs": None}
_CALL = of(
    index=Slot.CALL_INDEX, id=Slot.CALL_ID, type="function", function=of(name=Slot.NAME, arguments=Slot.ARGUMENTS)
)
_CUSTOM = of(index=Slot.CALL_INDEX, id=Slot.CALL_ID, type="custom", custom=of(name=Slot.NAME, input=Slot.ARGUMENTS))
_USAGE = of(
    prompt_tokens=Slot.PROMPT,
    completion_tokens=Slot.COMPLETION,
    total_tokens=Slot.TOTAL,
    prompt_tokens_details=of(cached_tokens=Slot.CACHED, audio_tokens=0),
    completion_tokens_details=of(
        reasoning_tokens=Or(Slot.THOUGHT, 0),
        audio_tokens=0,
        accepted_prediction_tokens=0,
        rejected_prediction_tokens=0,
    ),
)


def _chunk(*choices: Shape, fingerprint: str | None) -> Shape:
    return of(
        id=Slot.ID,
        object="chat.completion.chunk",
        created=Slot.CREATED,
        model=Slot.MODEL,
        service_tier="default",
        system_fingerprint=fingerprint,
        choices=choices,
        usage=Slot.USAGE,
        obfuscation=Slot.PADDING,
    )


def _form(*, logprobs: bool, fingerprint: str | None) -> Form:
    """Models before gpt-5 say `logprobs` in every choice and have a fingerprint."""

    def chunk(delta: Shape) -> Shape:
        middle = _LOGPROBS if logprobs else {}
        choice = of(index=Slot.INDEX, delta=delta, **middle, finish_reason=Or(Slot.FINISH))
        return _chunk(choice, fingerprint=fingerprint)

    middle = _LOGPROBS if logprobs else {}
    return Form(
        answer_id=ids.letters(29, "chatcmpl-"),
        call_id=ids.call(ids.letters(24, "call_")),
        # No `reasoning`: this dialect of OpenAI's never shows it.
        frames={
            "first": chunk(of(role="assistant", content="", refusal=None)),
            "first call": chunk(of(role="assistant", content=None, tool_calls=(_CALL,), refusal=None)),
            "text": chunk(of(content=Slot.TEXT)),
            "call": chunk(of(tool_calls=(_CALL,))),
            "arguments": chunk(of(tool_calls=(of(index=Slot.CALL_INDEX, function=of(arguments=Slot.ARGUMENTS)),))),
            "custom call": chunk(of(tool_calls=(_CUSTOM,))),
            "custom input": chunk(of(tool_calls=(of(index=Slot.CALL_INDEX, custom=of(input=Slot.ARGUMENTS)),))),
            "finish": chunk(of()),
            "usage": _chunk(fingerprint=fingerprint),
        },
        usage=_USAGE,
        usage_null="asked",
        answer=of(
            id=Slot.ID,
            object="chat.completion",
            created=Slot.CREATED,
            model=Slot.MODEL,
            choices=Slot.CHOICES,
            usage=Slot.USAGE,
            service_tier="default",
            system_fingerprint=fingerprint,
        ),
        choice=of(
            index=Slot.INDEX,
            message=of(role="assistant", content=Or(Slot.TEXT), tool_calls=Slot.CALLS, refusal=None, annotations=()),
            **middle,
            finish_reason=Slot.FINISH,
        ),
        call=of(id=Slot.CALL_ID, type="function", function=of(name=Slot.NAME, arguments=Slot.ARGUMENTS)),
    )


_OLD = _form(logprobs=True, fingerprint="fp_0123456789")
_NEW = _form(logprobs=False, fingerprint=None)
_REASONING = frozenset({"reasoning"})

_FIELDS = frozenset({
    "audio", "frequency_penalty", "function_call", "functions", "logit_bias", "logprobs", "max_completion_tokens",
    "max_tokens", "messages", "metadata", "modalities", "model", "moderation", "n", "parallel_tool_calls", "prediction",
    "presence_penalty", "prompt_cache_key", "prompt_cache_options", "prompt_cache_retention", "reasoning_effort",
    "response_format", "safety_identifier", "seed", "service_tier", "stop", "store", "stream", "stream_options",
    "temperature", "tool_choice", "tools", "top_logprobs", "top_p", "user", "verbosity", "web_search_options",
})  # fmt: skip
_EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")

_OUT_OF_RANGE = "Invalid '{field}': {value} is out of range."
_ONLY_DEFAULT = (
    "Unsupported value: '{field}' does not support {value} with this model. Only the default (1) value is supported."
)

OPENAI = Manner(
    name="openai",
    title="OpenAI",
    base_paths=("/v1",),
    models=(
        Listed(name="gpt-4o", form=_OLD, shown="gpt-4o-2024-08-06"),
        Listed(name="gpt-4o-mini", form=_OLD, shown="gpt-4o-mini-2024-07-18"),
        Listed(name="gpt-4.1-mini", form=_OLD, shown="gpt-4.1-mini-2025-04-14"),
        Listed(name="gpt-5", thinks="always", shown="gpt-5-2025-08-07", marks=_REASONING),
        Listed(name="gpt-5-mini", thinks="always", shown="gpt-5-mini-2025-08-07", marks=_REASONING),
        Listed(name="gpt-5.4-mini", thinks="on", marks=_REASONING),
        Listed(name="o4-mini", thinks="always", shown="o4-mini-2025-04-16", marks=_REASONING),
    ),
    form=_NEW,
    errors=Errors(
        body=of(error=of(message=Slot.MESSAGE, type=Slot.TYPE, param=Or(Slot.PARAM), code=Slot.CODE)),
        words={
            "": ("invalid_request_error", None),
            "auth": ("invalid_request_error", "invalid_api_key"),
            "billing": ("insufficient_quota", "insufficient_quota"),
            "context_length": ("invalid_request_error", "context_length_exceeded"),
            "not_found": ("invalid_request_error", "model_not_found"),
            "rate_limit": ("requests", "rate_limit_exceeded"),
            "overloaded": ("server_error", None),
            "server": ("server_error", None),
        },
        no_key=Refusal(
            401,
            "You didn't provide an API key. You need to provide your API key in an Authorization header using Bearer "
            "auth (i.e. Authorization: Bearer YOUR_KEY).",
            type="invalid_request_error",
        ),
        wrong_key=Refusal(401, "Incorrect API key provided: sk-bad***.", kind="auth"),
        no_model=Refusal(404, "The model `{model}` does not exist or you do not have access to it.", kind="not_found"),
        no_path=Refusal(404, "Invalid URL.", kind="not_found", code="unknown_url"),
    ),
    switches=(reasoning_effort,),
    checks=(
        known(_FIELDS, Refusal(400, "Unknown parameter: '{field}'.", code="unknown_parameter")),
        unless(
            options_only_in_streams,
            Refusal(
                400, "The 'stream_options' parameter is only allowed when 'stream' is enabled.", param="stream_options"
            ),
        ),
        not_both(
            "max_tokens",
            "max_completion_tokens",
            Refusal(
                400,
                "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.",
                code="invalid_parameter_combination",
            ),
        ),
        of_marked(
            "reasoning",
            unless(
                lambda asked: asked.body.get("max_tokens") is None,
                Refusal(
                    400,
                    "Unsupported parameter: 'max_tokens' is not supported with this model. Use "
                    "'max_completion_tokens' instead.",
                    code="unsupported_parameter",
                    param="max_tokens",
                ),
            ),
        ),
        of_marked("reasoning", one_of("temperature", (1,), Refusal(400, _ONLY_DEFAULT, code="unsupported_value"))),
        of_marked("reasoning", one_of("top_p", (1,), Refusal(400, _ONLY_DEFAULT, code="unsupported_value"))),
        within("temperature", 0, 2, Refusal(400, _OUT_OF_RANGE, code="decimal_above_max_value")),
        within("top_p", 0, 1, Refusal(400, _OUT_OF_RANGE, code="decimal_above_max_value")),
        one_of("reasoning_effort", _EFFORTS, Refusal(400, _OUT_OF_RANGE, code="invalid_value")),
    ),
    request_id=ids.hexes(32, "req_"),
    stream_type=b"text/event-stream; charset=utf-8",
)
