"""What each manner sends: frames, whole answers, refusals and errors, as tables of what must and must not be there."""

from __future__ import annotations

import itertools
import re
import tracemalloc
from typing import Any, NamedTuple, get_args

import pytest

from tests.dialects.openai_chat.streams import decode
from tests.simulator.manners_stage import (
    CREATED,
    MODELS,
    SIMULATORS,
    TWO_TOOLS,
    ask_as,
    body_bytes,
    chunks_of,
    headers_of,
    name_of,
    payloads_of,
    tree_of,
)
from tests.simulator.stage import CHAT, SIMULATOR, body_of, status_of
from thalweg.canon.fold import fold
from thalweg.canon.script import EndBody, SendBody, SendHead, Wait
from thalweg.simulator.manners.base import Listed, Manner
from thalweg.simulator.manners.form import Kind
from thalweg.simulator.manners.shape import Or, Shape, Slot, fill, of
from thalweg.simulator.manners.table import MANNERS

CALLS: dict[str, Any] = {"tools": TWO_TOOLS}
NO_USAGE: dict[str, Any] = {"stream_options": None}


class Frames(NamedTuple):
    """What a stream has, as texts in the JSON of its chunks."""

    says: str
    manner: str
    model: str
    fields: dict[str, Any]
    every: tuple[str, ...] = ()
    """In every chunk that has choices."""
    first: tuple[str, ...] = ()
    last: tuple[str, ...] = ()
    """In the last chunk before the end mark."""
    some: tuple[str, ...] = ()
    never: tuple[str, ...] = ()


FRAMES = (
    Frames(
        "text opens with a role, ends with an empty delta and usage alone",
        "openai",
        "gpt-4o",
        {},
        every=('"service_tier":"default"', '"logprobs":null', '"usage":null', '"obfuscation":"'),
        first=('"delta":{"role":"assistant","content":"","refusal":null}', '"id":"chatcmpl-'),
        last=('"choices":[]', '"accepted_prediction_tokens":0'),
        some=('"delta":{},"logprobs":null,"finish_reason":"stop"',),
        never=('"reasoning_content"',),
    ),
    Frames(
        "usage that was not asked for is not mentioned",
        "openai",
        "gpt-4o",
        NO_USAGE,
        never=('"usage"', '"choices":[]'),
        last=('"finish_reason":"stop"',),
    ),
    Frames(
        "thoughts are counted and not shown",
        "openai",
        "gpt-5",
        {"reasoning_effort": "high"},
        never=('"reasoning"', '"reasoning_content"', '"logprobs"'),
        last=('"choices":[]',),
    ),
    Frames(
        "the first call stands in the chunk that opens the choice",
        "openai",
        "gpt-4o",
        CALLS,
        first=('"delta":{"role":"assistant","content":null,"tool_calls":[{"index":0,"id":"call_', '"refusal":null'),
        some=('"delta":{"tool_calls":[{"index":1,"id":"call_', '"delta":{"tool_calls":[{"index":1,"function":{"arg'),
        never=('"content":""',),
    ),
    Frames(
        "padding can be switched off",
        "openai",
        "gpt-5",
        {"stream_options": {"include_usage": True, "include_obfuscation": False}},
        never=("obfuscation",),
    ),
    Frames(
        "every delta has role and content, and the finish reason is no key until the end",
        "ark",
        "doubao-1-5-pro-32k-250115",
        {},
        every=('"delta":{"content":"', '"role":"assistant"}', '"usage":null', '"service_tier":"default"'),
        first=('{"choices":[{"delta":{"content":"', '"id":"02'),
        last=('{"choices":[],"created":', '"usage":{"completion_tokens":'),
        some=('"delta":{"content":"","role":"assistant"},"finish_reason":"stop","index":0',),
        never=('"finish_reason":null', '"content":null', '"logprobs"'),
    ),
    Frames(
        "it thinks by default, with empty content beside",
        "ark",
        "doubao-seed-1-8-251215",
        {},
        first=('"delta":{"content":"","reasoning_content":"',),
        some=('"reasoning_tokens":',),
        never=('"reasoning_content":""', '"reasoning_content":null'),
    ),
    Frames(
        "it does not think when told so",
        "ark",
        "doubao-seed-1-8-251215",
        {"thinking": {"type": "disabled"}},
        never=("reasoning_content",),
    ),
    Frames(
        "calls come in pieces, with role and content",
        "ark",
        "doubao-1-5-pro-32k-250115",
        CALLS,
        every=('"delta":{"content":"","role":"assistant"',),
        some=('"tool_calls":[{"function":{"arguments":"","name":"now"},"id":"call_',),
        last=('"choices":[]',),
    ),
    Frames(
        "the last chunk before the end mark is the finish where no usage was asked for",
        "ark",
        "doubao-1-5-pro-32k-250115",
        NO_USAGE,
        every=('"usage":null',),
        last=('"finish_reason":"stop"',),
        never=('"choices":[]',),
    ),
    Frames(
        "the first delta has a role alone, and usage comes with the finish unasked",
        "ling",
        "Ling-2.6-flash",
        NO_USAGE,
        first=('"delta":{"role":"assistant"},"finish_reason":null',),
        last=('"delta":{},"finish_reason":"stop"}],"usage":{',),
        never=('"choices":[]', '"usage":null'),
    ),
    Frames(
        "the older models change the order of keys and null the role",
        "dashscope",
        "qwen-plus",
        {},
        every=('"usage":null',),
        first=('{"model":"qwen-plus","id":"chatcmpl-', '"choices":[{"logprobs":null,"index":0,"delta"'),
        some=('{"delta":{"content":"","role":null},"index":0,"finish_reason":"stop"}',),
        last=('"choices":[]', '"usage":{"total_tokens":'),
        never=('"finish_reason":null', "reasoning"),
    ),
    Frames(
        "usage is null in every chunk, asked or not",
        "dashscope",
        "qwen3-max",
        NO_USAGE,
        every=('"usage":null', '"system_fingerprint":null'),
        last=('"finish_reason":"stop"',),
        never=('"choices":[]',),
    ),
    Frames(
        "content and reasoning are null in turns",
        "dashscope",
        "qwen3-max",
        {"enable_thinking": True},
        first=('"delta":{"content":null,"role":"assistant","reasoning_content":""}',),
        some=(
            '"delta":{"content":null,"reasoning_content":"',
            '"reasoning_content":null},"finish_reason":null',
            '"delta":{"content":"","reasoning_content":null}',
        ),
        last=('"completion_tokens_details":{"reasoning_tokens":',),
    ),
    Frames(
        "later fragments of a call have an empty id, and one more is empty",
        "dashscope",
        "qwen3-max",
        CALLS,
        first=('"delta":{"content":null,"tool_calls":[{"index":0,"id":"call_', '"role":"assistant"}'),
        some=(
            '{"index":0,"id":"","type":"function","function":{"arguments":"',
            '"delta":{"tool_calls":[{"function":{"arguments":""},"index":1,"id":"","type":"function"}]},"index":0}]',
            '{"finish_reason":"tool_calls","delta":{},"index":0',
        ),
    ),
    Frames(
        "the older models repeat a call's id and empty its name",
        "dashscope",
        "qwen-turbo",
        CALLS,
        some=('"type":"function","function":{"name":"","arguments":"{"}}],"role":null}', '{"arguments":null}'),
    ),
    Frames(
        "usage stands in the finish chunk, and null before it",
        "deepseek",
        "deepseek-chat",
        {},
        first=('"delta":{"role":"assistant","content":""}', '"usage":null'),
        last=('"delta":{"content":""}', '"prompt_cache_hit_tokens":0,"prompt_cache_miss_tokens":'),
        never=('"choices":[]', "reasoning"),
    ),
    Frames(
        "usage stands in the finish chunk though nobody asked",
        "deepseek",
        "deepseek-chat",
        NO_USAGE,
        last=('"usage":{"prompt_tokens":',),
        never=('"usage":null', '"choices":[]'),
    ),
    Frames(
        "content and reasoning are null in turns",
        "deepseek",
        "deepseek-v4-flash",
        {},
        first=('"delta":{"role":"assistant","content":null,"reasoning_content":""}',),
        some=('"delta":{"content":null,"reasoning_content":"', '","reasoning_content":null}'),
        last=('"delta":{"content":"","reasoning_content":null}', '"completion_tokens_details":{"reasoning_tokens":'),
    ),
    Frames(
        "calls come in pieces, numbered in their ids",
        "deepseek",
        "deepseek-v4-flash",
        CALLS,
        some=('"tool_calls":[{"index":0,"id":"call_00_', '"tool_calls":[{"index":1,"id":"call_01_'),
        last=('"finish_reason":"tool_calls"',),
    ),
    Frames(
        "there is no object, and the role comes with the first thought",
        "moonshot",
        "kimi-k3",
        {},
        first=('"delta":{"role":"assistant","reasoning_content":"',),
        last=('"finish_reason":"stop"}],"usage":{', '"cached_tokens":0,'),
        never=('"object"', '"choices":[]'),
    ),
    Frames(
        "a call's id is made of its name and number",
        "moonshot",
        "kimi-k3",
        CALLS,
        some=('"id":"functions.weather:0"', '"id":"functions.now:1"'),
    ),
    Frames(
        "the older models put usage into the choice, and nowhere else unasked",
        "moonshot",
        "moonshot-v1-8k",
        NO_USAGE,
        last=('"finish_reason":"stop","usage":{"prompt_tokens":',),
        never=('],"usage"', '"choices":[]'),
    ),
    Frames(
        "the older models have no object, and no finish reason until the end",
        "zhipu",
        "glm-4.5",
        {},
        every=('"role":"assistant"',),
        first=('"delta":{"role":"assistant","reasoning_content":"',),
        last=('{"index":0,"finish_reason":"stop","delta":{"role":"assistant","content":""}}],"usage":{',),
        never=('"object"', '"finish_reason":null', '"choices":[]', '"reasoning_tokens"'),
    ),
    Frames(
        "the newer models have one",
        "zhipu",
        "glm-4.7",
        {"thinking": {"type": "disabled"}},
        every=('"object":"chat.completion.chunk"',),
        last=('"completion_tokens_details":{"reasoning_tokens":0}',),
        never=("reasoning_content",),
    ),
    Frames(
        "each call comes whole in a chunk, without a role",
        "zhipu",
        "glm-4.7",
        CALLS | {"thinking": {"type": "disabled"}},
        some=('"delta":{"tool_calls":[{"id":"call_', '"name":"weather","arguments":"{\\"city\\":'),
        never=('"arguments":""',),
    ),
    Frames(
        "the finish comes twice, the second time with usage that nobody asked for",
        "openrouter",
        "openai/gpt-5.4-mini",
        NO_USAGE,
        every=('"role":"assistant"', '"native_finish_reason":', '"provider":'),
        last=('"service_tier":null,"choices":[{"index":0,"delta":{"content":""', '"finish_reason":"stop"', '"cost":'),
        never=('"choices":[]', "reasoning_details"),
    ),
    Frames(
        "thoughts come flat and in details",
        "openrouter",
        "openai/gpt-5.4-mini",
        {"reasoning": {"effort": "low"}},
        first=(
            '"delta":{"content":"","role":"assistant","reasoning":"',
            '"reasoning_details":[{"type":"reasoning.text"',
        ),
        some=('"delta":{"content":"","role":"assistant","reasoning":null},"finish_reason":"stop"',),
    ),
    Frames(
        "thoughts can be left out",
        "openrouter",
        "moonshotai/kimi-k2.5",
        {"reasoning": {"exclude": True}},
        never=('"reasoning":"', "reasoning_details"),
    ),
    Frames(
        "the older form takes the finish back with usage",
        "openrouter",
        "deepseek/deepseek-chat-v3.1",
        {},
        last=('"finish_reason":null,"native_finish_reason":null,"logprobs":null}],"usage":{',),
    ),
    Frames(
        "Google's calls all have the index 0",
        "openrouter",
        "google/gemini-2.5-flash-lite",
        CALLS,
        some=('"tool_calls":[{"index":0,"id":"tool_0_', '"native_finish_reason":"STOP"'),
        never=('"tool_calls":[{"index":1',),
    ),
    Frames(
        "usage so far is in every chunk, asked or not",
        "siliconflow",
        "deepseek-ai/DeepSeek-V3.2",
        NO_USAGE,
        every=('"usage":{"prompt_tokens":', '"system_fingerprint":""', '"reasoning_content":null,"role":"assistant"'),
        never=('"usage":null', '"choices":[]'),
    ),
    Frames(
        "unset keys are left out, but for token ids",
        "vllm",
        "meta-llama/Llama-3.3-70B-Instruct",
        {},
        first=('"prompt_token_ids":null', '"delta":{"role":"assistant","content":""}'),
        last=('"choices":[],"usage":{', '"system_fingerprint":"vllm-'),
        some=('"finish_reason":"stop","stop_reason":null,"token_ids":null',),
        never=('"usage":null', '"reasoning'),
    ),
    Frames(
        "older releases call the field reasoning_content",
        "vllm",
        "Qwen/Qwen3-8B",
        {},
        some=('"delta":{"reasoning_content":"',),
        never=('"reasoning":',),
    ),
    Frames(
        "newer releases call the field reasoning",
        "vllm",
        "openai/gpt-oss-20b",
        {},
        some=('"delta":{"reasoning":"',),
        never=("reasoning_content",),
    ),
    Frames(
        "a call opens without arguments",
        "vllm",
        "meta-llama/Llama-3.3-70B-Instruct",
        CALLS,
        some=('"type":"function","index":1,"function":{"name":"now"}}', '"id":"chatcmpl-tool-'),
    ),
    Frames(
        "thoughts stand in reasoning, with the role in every delta",
        "ollama",
        "qwen3",
        {"enable_thinking": False},
        every=('"delta":{"role":"assistant","content":"', '"system_fingerprint":"fp_ollama"'),
        first=('"reasoning":"',),
        last=('"choices":[],"usage":{',),
        never=('"usage":null', "reasoning_content", "reasoning_tokens"),
    ),
    Frames(
        "newer models say the role once",
        "ollama",
        "gpt-oss:20b",
        {},
        first=('"delta":{"role":"assistant","content":"","reasoning":"',),
        some=('"delta":{},"finish_reason":"stop"', '"delta":{"content":"","reasoning":"'),
    ),
    Frames(
        "each call comes whole",
        "ollama",
        "llama3.2",
        CALLS,
        some=('"tool_calls":[{"id":"call_', '"index":1,"type":"function","function":{"name":"now","arguments":"{}"}'),
    ),
    Frames(
        "content opens with null, and usage comes with timings",
        "llamacpp",
        "whatever",
        {},
        first=('{"choices":[{"finish_reason":null,"index":0,"delta":{"role":"assistant","content":null}}]', ".gguf"),
        last=('"choices":[]', '"timings":{'),
        some=('"delta":{"reasoning_content":"', '"finish_reason":"stop","index":0,"delta":{}'),
        never=('"usage":null', "whatever"),
    ),
    Frames(
        "a call opens with its first piece",
        "llamacpp",
        "whatever",
        CALLS,
        some=('"function":{"name":"weather","arguments":"{"}',),
        never=('"arguments":""',),
    ),
    Frames(
        "the fingerprint is the model's name, and the role comes with the first words",
        "lmstudio",
        "gemma-3-12b-it",
        {},
        every=('"system_fingerprint":"gemma-3-12b-it"',),
        first=('"delta":{"role":"assistant","content":"',),
        never=('"content":""', '"usage":null'),
    ),
    Frames(
        "later fragments of a call have an empty name",
        "lmstudio",
        "gemma-3-12b-it",
        CALLS,
        some=('{"index":0,"type":"function","function":{"name":"","arguments":"{"}}',),
    ),
    Frames(
        "chunks have neither time nor model, and usage comes in the last of them",
        "aggregator",
        "openai/gpt-5.4-mini",
        NO_USAGE,
        first=('"delta":{"role":"assistant","content":""},"finish_reason":null',),
        last=('"delta":{},"finish_reason":"stop"}],"usage":{',),
        never=('"created"', '"model"', '"choices":[]'),
    ),
    Frames(
        "usage comes in three places",
        "groq",
        "llama-3.3-70b-versatile",
        {},
        first=('"x_groq":{"id":"req_01', '"seed":'),
        some=('"x_groq":{"id":"req_01', '"usage":{"queue_time":'),
        last=('"choices":[],"usage":{', '"service_tier":"on_demand"'),
        never=("reasoning",),
    ),
    Frames(
        "thoughts have a channel",
        "groq",
        "openai/gpt-oss-20b",
        {},
        some=('"delta":{"reasoning":"', '"channel":"analysis"'),
        last=('"completion_tokens_details":{"reasoning_tokens":',),
    ),
    Frames(
        "calls come whole, all of them in the chunk that finishes",
        "mistral",
        "mistral-large-latest",
        CALLS,
        first=('"delta":{"role":"assistant","content":""}',),
        last=(
            '"delta":{"tool_calls":[{"id":"',
            '"index":1,"type":"function"}]},"finish_reason":"tool_calls"}],"usage":',
        ),
    ),
    Frames(
        "content is a list while it thinks, and a text afterwards",
        "mistral",
        "magistral-medium-latest",
        {},
        some=('"delta":{"content":[{"type":"thinking","thinking":[{"type":"text","text":"', '"delta":{"content":"'),
        never=("reasoning",),
    ),
)


@pytest.mark.parametrize("case", FRAMES, ids=lambda case: f"{case.manner}: {case.says}")
def test_a_stream_has_what_it_must_and_nothing_else(case: Frames) -> None:
    steps = ask_as(case.manner, case.model, **case.fields)
    assert status_of(steps) == 200, body_bytes(steps)
    *chunks, done = [payload.decode() for payload in payloads_of(steps)]
    assert done == "[DONE]"
    for chunk in chunks:
        assert '"choices":[]' in chunk or all(text in chunk for text in _but_usage(case, chunk)), chunk
    assert all(text in chunks[0] for text in case.first), chunks[0]
    assert all(text in chunks[-1] for text in case.last), chunks[-1]
    for text in case.some:
        assert any(text in chunk for chunk in chunks), text
    for text in case.never:
        assert not any(text in chunk for chunk in chunks), text


def _but_usage(case: Frames, chunk: str) -> tuple[str, ...]:
    """Usage that is null everywhere else stands in the last chunk."""
    return tuple(text for text in case.every if text != '"usage":null' or '"usage":{' not in chunk)


class Whole(NamedTuple):
    """What a whole answer has."""

    says: str
    manner: str
    model: str
    fields: dict[str, Any]
    has: tuple[str, ...]
    lacks: tuple[str, ...] = ()
    content_type: str = "application/json"


WHOLE = (
    Whole("content is null beside calls", "openai", "gpt-4o", CALLS, ('"content":null', '"refusal":null')),
    Whole("thoughts are not shown", "openai", "gpt-5", {}, ('"reasoning_tokens":',), ('"reasoning_content"',)),
    Whole("thoughts", "ark", "doubao-seed-1-8-251215", {}, ('"reasoning_content":"', '"service_tier":"default"')),
    Whole("text", "ling", "Ling-2.6-flash", {}, ('"object":"chat.completion"', '"usage":{')),
    Whole("calls have an index", "dashscope", "qwen-plus", CALLS, ('"content":"","tool_calls":[{"index":0,',)),
    Whole("calls have an index", "dashscope", "qwen3-max", CALLS, ('"index":1,"type":"function"}]}',)),
    Whole("thoughts", "deepseek", "deepseek-v4-pro", {}, ('"reasoning_content":"', '"prompt_cache_hit_tokens":0')),
    Whole("ids", "moonshot", "kimi-k3", CALLS, ('"id":"functions.weather:0"', '"cached_tokens":0')),
    Whole(
        "a request id stands inside",
        "zhipu",
        "glm-4.7",
        {},
        ('"request_id":"', '"reasoning_content":"'),
        content_type="application/json; charset=UTF-8",
    ),
    Whole("no object", "zhipu", "glm-4.5", {}, (), ('"object"',), content_type="application/json; charset=UTF-8"),
    Whole(
        "thoughts twice",
        "openrouter",
        "z-ai/glm-4.6",
        {},
        ('"reasoning":"', '"reasoning_details":[{"type":"reasoning.text"', '"native_finish_reason":"stop"', '"cost":'),
    ),
    Whole("thoughts", "siliconflow", "Qwen/Qwen3-8B", {}, ('"reasoning_content":"',)),
    Whole("keys are null", "vllm", "Qwen/Qwen3-8B", {}, ('"stop_reason":null', '"tool_calls":[]', '"kv_transfer_')),
    Whole("thoughts", "ollama", "qwen3", {}, ('"reasoning":"',), ("reasoning_content",)),
    Whole(
        "timings",
        "llamacpp",
        "whatever",
        {},
        ('"timings":{', '"reasoning_content":"'),
        content_type="application/json; charset=utf-8",
    ),
    Whole("stats", "lmstudio", "qwen3-8b", {}, ('"stats":{}',)),
    Whole("text", "aggregator", "google/gemini-3.1-flash", {}, ('"model":"google/gemini-3.1-flash"', '"usage":{')),
    Whole("no content beside calls", "groq", "llama-3.3-70b-versatile", CALLS, ('"x_groq":{"id"',), ('"content"',)),
    Whole("content is a list", "mistral", "magistral-medium-latest", {}, ('"content":[{"type":"thinking"',)),
)


@pytest.mark.parametrize("case", WHOLE, ids=lambda case: f"{case.manner} {case.model}: {case.says}")
def test_a_whole_answer_has_what_it_must_and_nothing_else(case: Whole) -> None:
    steps = ask_as(case.manner, case.model, stream=False, **case.fields)
    body = body_bytes(steps).decode()
    assert status_of(steps) == 200, body
    assert headers_of(steps)["content-type"] == case.content_type
    assert all(text in body for text in case.has), body
    assert not any(text in body for text in case.lacks), body


class Refused(NamedTuple):
    """A request that a provider refuses, and with what."""

    says: str
    manner: str
    model: str
    fields: dict[str, Any]
    status: int
    has: tuple[str, ...]
    content_type: str = "application/json"


OCTETS = "application/octet-stream"
NOT_STREAMED: dict[str, Any] = {"stream": False}
IMAGE = [{"type": "image_url", "image_url": {"url": "https://images.invalid/a.png"}}]
A_CALL = {"id": "c", "type": "function", "function": {"name": "now", "arguments": "{}"}}
WITHOUT_THOUGHTS = [
    {"role": "user", "content": "?"},
    {"role": "assistant", "content": "", "tool_calls": [A_CALL]},
    {"role": "tool", "tool_call_id": "c", "content": "12:00"},
]
WITH_THOUGHTS = [WITHOUT_THOUGHTS[0], WITHOUT_THOUGHTS[1] | {"reasoning_content": "…"}, WITHOUT_THOUGHTS[2]]

REFUSED = (
    Refused("a field it does not know", "openai", "gpt-4o", {"thinking": {"type": "enabled"}}, 400, ('"param":"thinking"', '"code":"unknown_parameter"')),
    Refused("another", "openai", "gpt-4o", {"enable_thinking": False}, 400, ("Unknown parameter: 'enable_thinking'.",)),
    Refused("the older cap", "openai", "gpt-5", {"max_tokens": 9}, 400, ('"code":"unsupported_parameter"', '"param":"max_tokens"')),
    Refused("both caps", "openai", "gpt-4o", {"max_tokens": 9, "max_completion_tokens": 9}, 400, ('"code":"invalid_parameter_combination"',)),
    Refused("a temperature of a model that thinks", "openai", "gpt-5", {"temperature": 0.5}, 400, ('"param":"temperature"',)),
    Refused("a temperature above its bound", "openai", "gpt-4o", {"temperature": 2.5}, 400, ('"code":"decimal_above_max_value"',)),
    Refused("stream options without a stream", "openai", "gpt-4o", NOT_STREAMED | {"stream_options": {"include_usage": True}}, 400, ('"param":"stream_options"',)),
    Refused("an effort it does not know", "ark", "doubao-seed-1-8-251215", {"reasoning_effort": "none"}, 400, ('"code":"InvalidParameter"', '"type":"BadRequest"', "Request id: ")),
    Refused("a type of thinking it does not know", "ark", "doubao-seed-1-8-251215", {"thinking": {"type": "adaptive"}}, 400, ('"param":"thinking.type"',)),
    Refused("five stops", "ark", "doubao-seed-1-8-251215", {"stop": list("abcde")}, 400, ('"param":"stop"',)),
    Refused("129 tools", "ark", "doubao-seed-1-8-251215", {"tools": TWO_TOOLS[:1] * 129}, 400, ('"param":"tools"',)),
    Refused("both caps", "ark", "ep-1", {"max_tokens": 9, "max_completion_tokens": 9}, 400, ('"param":"max_tokens"',)),
    Refused("no stream of a model that only streams", "dashscope", "qwq-plus", NOT_STREAMED, 400, ("This model only support stream mode", '"request_id":"')),
    Refused("thoughts without a stream", "dashscope", "qwen3-32b", NOT_STREAMED, 400, ("parameter.enable_thinking must be set to false for non-streaming calls", '"code":"invalid_parameter_error"')),
    Refused("no usage of Ling", "dashscope", "antdigital/Ling-3.1-flash", {"stream_options": {"include_usage": False}}, 400, ("include_usage",)),
    Refused("a temperature of 2", "dashscope", "qwen-plus", {"temperature": 2}, 400, ('"param":"temperature"',)),
    Refused("a top_p of 0", "dashscope", "qwen-plus", {"top_p": 0}, 400, ("(0.0, 1.0]",)),
    Refused("five choices", "dashscope", "qwen-plus", {"n": 5}, 400, ("Range of n should be [1, 4]",)),
    Refused("too many tokens", "dashscope", "qwen-plus", {"max_tokens": 1_000_000}, 400, ("Range of max_tokens should be [1, ",)),
    Refused("no budget of thought", "dashscope", "qwen-plus", {"thinking_budget": 0}, 400, ("thinking_budget",)),
    Refused("a call that is forced while it thinks", "deepseek", "deepseek-v4-flash", CALLS | {"tool_choice": "required"}, 400, ("Thinking mode does not support this tool_choice",), OCTETS),
    Refused("a named call while it thinks", "deepseek", "deepseek-v4-pro", CALLS | {"tool_choice": {"type": "function", "function": {"name": "now"}}}, 400, ("tool_choice",), OCTETS),
    Refused("an image", "deepseek", "deepseek-v4-flash", {"prompt": IMAGE}, 400, ("Failed to deserialize the JSON body",)),
    Refused("a turn with tools without its thoughts", "deepseek", "deepseek-v4-flash", {"messages": WITHOUT_THOUGHTS}, 400, ("`reasoning_content`",), OCTETS),
    Refused("no effort", "moonshot", "kimi-k3", {"reasoning_effort": "none"}, 400, ('"type":"invalid_request_error"',)),
    Refused("a middle effort", "moonshot", "kimi-k3", {"reasoning_effort": "medium"}, 400, ("reasoning_effort",)),
    Refused("a small budget", "moonshot", "kimi-k3", {"thinking": {"type": "enabled", "budget_tokens": 100}}, 400, ("1024",)),
    Refused("what an older model does not keep", "moonshot", "kimi-k2.5", {"thinking": {"type": "enabled", "keep": "all"}}, 400, ("thinking.keep",)),
    Refused("a type of thinking it does not know", "zhipu", "glm-4.7", {"thinking": {"type": "auto"}}, 400, ('"code":"1214"',)),
    Refused("stream options without a stream", "vllm", "Qwen/Qwen3-8B", NOT_STREAMED | {"stream_options": {"include_usage": True}}, 400, ('"type":"BadRequestError"', '"code":400', "`stream=True`")),
    Refused("a small budget", "siliconflow", "Qwen/Qwen3-8B", {"thinking_budget": 1}, 400, ('"code":20015', '"data":null')),
)  # fmt: skip


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: f"{case.manner}: {case.says}")
def test_what_a_provider_does_not_take_it_refuses_in_its_words(case: Refused) -> None:
    steps = ask_as(case.manner, case.model, **case.fields)
    assert status_of(steps) == case.status
    assert headers_of(steps)["content-type"] == case.content_type
    body = body_bytes(steps).decode()
    assert all(text in body for text in case.has), body


TAKEN = (
    ("openai", "gpt-4o", {"simulator": {"pace": 0}}),
    ("openai", "gpt-5.4-mini", {"reasoning_effort": "none"}),
    ("ark", "doubao-seed-1-8-251215", {"reasoning_effort": "minimal"}),
    ("ark", "ep-m-20250510145437-5sxhs", {}),
    ("dashscope", "qwen3-32b", NOT_STREAMED | {"enable_thinking": False}),
    ("dashscope", "antdigital/Ling-3.1-flash", {}),
    ("dashscope", "antdigital/Ling-3.1-flash", NO_USAGE),
    ("deepseek", "deepseek-v4-flash", CALLS | {"tool_choice": "required", "thinking": {"type": "disabled"}}),
    ("deepseek", "deepseek-v4-flash", {"messages": WITH_THOUGHTS}),
    ("deepseek", "deepseek-v4-flash", {"messages": WITHOUT_THOUGHTS, "thinking": {"type": "disabled"}}),
    ("moonshot", "kimi-k3", {"thinking": {"type": "enabled", "keep": "all", "budget_tokens": 1024}}),
    ("ollama", "qwen3", {"enable_thinking": False, "thinking": {"type": "adaptive"}}),
    ("llamacpp", "any-name", {}),
    ("lmstudio", "any-name", {}),
)


@pytest.mark.parametrize(("manner", "model", "fields"), TAKEN)
def test_what_a_provider_takes_it_answers(manner: str, model: str, fields: dict[str, Any]) -> None:
    assert status_of(ask_as(manner, model, **fields)) == 200


NO_SUCH_MODEL: dict[str, tuple[int, str, str]] = {
    "openai": (404, '"code":"model_not_found"', "application/json"),
    "ark": (404, '"code":"InvalidEndpointOrModel.NotFound"', "application/json"),
    "ling": (404, '"code":"model_not_found"', "application/json"),
    "dashscope": (404, '"code":"model_not_found"', "application/json"),
    "deepseek": (400, "but you passed nobody's", OCTETS),
    "moonshot": (404, '"type":"resource_not_found_error"', "application/json"),
    "zhipu": (400, '"code":"1211"', "application/json"),
    "openrouter": (400, '"nobody\'s is not a valid model ID","code":400', "application/json"),
    "siliconflow": (400, '"code":20012', "application/json"),
    "vllm": (404, '"type":"NotFoundError"', "application/json"),
    "ollama": (404, "try pulling it first", "application/json"),
    "aggregator": (404, '"code":"model_not_found"', "application/json"),
    "groq": (404, '"code":"model_not_found"', "application/json"),
    "mistral": (400, '"type":"invalid_model"', "application/json"),
}


@pytest.mark.parametrize(
    "manner", [manner for manner in MANNERS.values() if manner.any_model is None], ids=lambda m: m.name
)
def test_an_unknown_model_is_refused_as_the_provider_does(manner: Manner) -> None:
    status, text, content_type = NO_SUCH_MODEL[manner.name]
    steps = ask_as(manner.name, "nobody's")
    assert (status_of(steps), headers_of(steps)["content-type"]) == (status, content_type)
    assert text in body_bytes(steps).decode()


KEYS: dict[str, tuple[str, str]] = {
    "openai": ("You didn't provide an API key", '"code":"invalid_api_key"'),
    "ark": ('"code":"AuthenticationError"', '"type":"Unauthorized"'),
    "ling": ('"code":"invalid_api_key"', '"code":"invalid_api_key"'),
    "dashscope": ("You didn't provide an API key", '"code":"invalid_api_key"'),
    "deepseek": ('"type":"authentication_error"', '"type":"authentication_error"'),
    "moonshot": ('"type":"invalid_authentication_error"', '"message":"Invalid Authentication"'),
    "zhipu": ('"code":"1001"', '"code":"401"'),
    "openrouter": ('"message":"Missing Authentication header","code":401', '"code":401'),
    "siliconflow": ('"Invalid token"', '"Api key is invalid"'),
    "vllm": ("", '{"error":"Unauthorized"}'),
    "ollama": ("", "unauthorized"),
    "llamacpp": ("", '"code":401,"message":"Invalid API Key","type":"authentication_error"'),
    "lmstudio": ("", '"code":"invalid_api_key"'),
    "aggregator": ('"code":"invalid_api_key"', '"code":"invalid_api_key"'),
    "groq": ('"code":"invalid_api_key"', '"code":"invalid_api_key"'),
    "mistral": ('{"detail":"Unauthorized"}', '{"detail":"Invalid API Key"}'),
}
"""What is said to a missing key (nothing where none is needed) and to a wrong one."""


@pytest.mark.parametrize("manner", MANNERS)
def test_keys_are_refused_as_the_provider_does(manner: str) -> None:
    simulator, (missing, wrong) = SIMULATORS[manner], KEYS[manner]
    for authorization in (None, b"", b"Bearer ", b"Basic abc"):
        refused = list(simulator.refuse_key(authorization, seed=1) or ())
        assert bool(refused) == bool(missing)
        assert not refused or (status_of(refused) == 401 and missing in body_bytes(refused).decode())
    refused = list(simulator.refuse_key(b"Bearer sk-bad-and-secret", seed=1) or ())
    assert status_of(refused) == 401
    assert wrong in body_bytes(refused).decode()
    assert b"and-secret" not in body_bytes(refused)
    assert simulator.refuse_key(b"Bearer sk-anything", seed=1) is None
    assert SIMULATOR.refuse_key(None, seed=1) is None


# Templates.

INNER = of(a=Slot.TEXT, b=Slot.NAME)


@pytest.mark.parametrize(
    ("shape", "values", "filled"),
    [
        pytest.param(of(b=1, a=None), {}, {"b": 1, "a": None}, id="constants keep their order, null among them"),
        pytest.param(of(a=Slot.TEXT), {Slot.TEXT: ""}, {"a": ""}, id="an empty value is a value"),
        pytest.param(of(a=Slot.TEXT, b=2), {}, {"b": 2}, id="a slot without a value leaves its key out"),
        pytest.param(of(a=Or(Slot.TEXT), b=Or(Slot.NAME, 0)), {}, {"a": None, "b": 0}, id="or has its own"),
        pytest.param(of(a=Or(Slot.TEXT)), {Slot.TEXT: "x"}, {"a": "x"}, id="or takes the value that is there"),
        pytest.param(of(i=INNER), {Slot.NAME: "n"}, {"i": {"b": "n"}}, id="an object within loses keys of its own"),
        pytest.param(of(i=INNER, z=1), {}, {"z": 1}, id="an object that loses every key is left out"),
        pytest.param(of(i=of()), {}, {"i": {}}, id="an object that never had a key stays"),
        pytest.param(of(x=(INNER, 1)), {Slot.TEXT: "t"}, {"x": [{"a": "t"}, 1]}, id="a list has each of its members"),
    ],
)
def test_a_template_is_filled(shape: Shape, values: dict[Slot, Any], filled: dict[str, Any]) -> None:
    found = fill(shape, values)
    assert found == filled
    assert list(found) == list(filled)


# Its house: paths and models.


@pytest.mark.parametrize("manner", MANNERS.values(), ids=lambda manner: manner.name)
def test_a_provider_answers_below_its_own_paths_only(manner: Manner) -> None:
    simulator, body = SIMULATORS[manner.name], body_of("text")
    for base in manner.base_paths:
        for path in (f"{base}/chat/completions", f"{base}//chat/completions?x=1"):
            assert status_of(simulator.respond(b"POST", path.encode(), body, seed=1, created=1)) == 200
        assert status_of(simulator.respond(b"GET", f"{base}/models".encode(), b"", seed=1, created=1)) == 200
    for method, path in ((b"POST", b"/elsewhere/chat/completions"), (b"GET", b"/"), (b"POST", b"/v1/messages")):
        refused = list(simulator.respond(method, path, body, seed=1, created=1))
        assert status_of(refused) == manner.errors.no_path.status
        assert body_bytes(refused)


@pytest.mark.parametrize("manner", MANNERS.values(), ids=lambda manner: manner.name)
def test_the_listed_models_are_real_names_that_answer(manner: Manner) -> None:
    path = f"{manner.base_paths[0]}/models".encode()
    listed = tree_of(SIMULATORS[manner.name].respond(b"GET", path, b"", seed=1, created=CREATED))["data"]
    names = [row["id"] for row in listed]
    assert names == [model.name for model in manner.models if not model.hidden]
    assert len(names) >= 1
    assert all(status_of(ask_as(manner.name, name)) == 200 for name in names)


@pytest.mark.parametrize("manner", MANNERS)
@pytest.mark.parametrize("model", ["text", "reasoning", "tools", "sim/text", "slow?tokens=1&pace=0", "json"])
def test_the_simulators_own_models_answer_in_every_manner(manner: str, model: str) -> None:
    steps = ask_as(manner, model, tools=TWO_TOOLS)
    assert status_of(steps) == 200
    assert payloads_of(steps)[-1] == b"[DONE]"


def test_a_name_with_knobs_is_shown_without_them() -> None:
    assert {chunk["model"] for chunk in chunks_of(ask_as("dashscope", "qwen-plus?chunk=9"))} == {"qwen-plus"}


def test_a_model_may_show_another_name() -> None:
    assert {chunk["model"] for chunk in chunks_of(ask_as("openai", "gpt-4o"))} == {"gpt-4o-2024-08-06"}


# Thinking.

SWITCHES = (
    ("ark", "doubao-seed-1-8-251215", {"thinking": {"type": "disabled"}}, False),
    ("ark", "doubao-seed-1-8-251215", {"thinking": {"type": "auto"}}, True),
    ("ark", "doubao-seed-1-8-251215", {"enable_thinking": False}, True),
    ("ark", "doubao-1-5-pro-32k-250115", {"thinking": {"type": "enabled"}}, False),
    ("dashscope", "qwen-plus", {}, False),
    ("dashscope", "qwen-plus", {"enable_thinking": True}, True),
    ("dashscope", "qwen-plus", {"thinking": {"type": "enabled"}}, False),
    ("dashscope", "qwen-plus", {"reasoning_effort": "high"}, False),
    ("dashscope", "qwen3-32b", {}, True),
    ("dashscope", "qwen3-32b", {"enable_thinking": False}, False),
    ("dashscope", "qwq-plus", {"enable_thinking": False}, True),
    ("deepseek", "deepseek-v4-flash", {"thinking": {"type": "disabled"}}, False),
    ("deepseek", "deepseek-v4-flash", {"thinking": {"type": "disabled"}, "reasoning_effort": "high"}, False),
    ("deepseek", "deepseek-reasoner", {"thinking": {"type": "disabled"}}, True),
    ("deepseek", "deepseek-chat", {"reasoning_effort": "high"}, True),
    ("moonshot", "kimi-k3", {"thinking": {"type": "disabled"}}, False),
    ("zhipu", "glm-4.7", {"thinking": {"type": "disabled"}}, False),
    ("zhipu", "glm-4.7", {"reasoning_effort": "none"}, True),
    ("openrouter", "openai/gpt-5.4-mini", {"reasoning": {"max_tokens": 20}}, True),
    ("openrouter", "openai/gpt-5.4-mini", {"reasoning_effort": "low"}, True),
    ("openrouter", "moonshotai/kimi-k2.5", {"reasoning": {"enabled": False}}, False),
    ("openrouter", "moonshotai/kimi-k2.5", {"reasoning": {"effort": "none"}}, False),
    ("openrouter", "moonshotai/kimi-k2.5", {"thinking": {"type": "disabled"}}, True),
    ("siliconflow", "Qwen/Qwen3-8B", {"enable_thinking": False}, False),
    ("vllm", "Qwen/Qwen3-8B", {"chat_template_kwargs": {"enable_thinking": False}}, False),
    ("vllm", "Qwen/Qwen3-8B", {"enable_thinking": False}, True),
    ("ollama", "qwen3", {"reasoning_effort": "none"}, False),
    ("ollama", "qwen3", {"enable_thinking": False}, True),
    ("llamacpp", "x", {"chat_template_kwargs": {"enable_thinking": False}}, False),
    ("lmstudio", "qwen3-8b", {"reasoning_effort": "none"}, False),
    ("groq", "qwen/qwen3-32b", {"reasoning_effort": "none"}, False),
    ("mistral", "mistral-small-latest", {"reasoning_effort": "high"}, True),
    ("mistral", "magistral-medium-latest", {"reasoning_effort": "none"}, True),
)


@pytest.mark.parametrize(("manner", "model", "fields", "thinks"), SWITCHES)
def test_a_provider_reads_its_own_switches_and_passes_over_others(
    manner: str, model: str, fields: dict[str, Any], thinks: bool
) -> None:
    body = body_bytes(ask_as(manner, model, **fields))
    assert any(mark in body for mark in (b'"reasoning_content":"', b'"reasoning":"', b'"thinking":[')) == thinks


def test_a_budget_caps_the_thoughts() -> None:
    usage = chunks_of(ask_as("dashscope", "qwen-plus", enable_thinking=True, thinking_budget=7))[-1]["usage"]
    assert usage["completion_tokens_details"] == {"reasoning_tokens": 7}


# Usage so far.

EACH = (
    ("ark", "doubao-seed-1-8-251215", {"chunk_include_usage": True}),
    ("vllm", "Qwen/Qwen3-8B", {"include_usage": True, "continuous_usage_stats": True}),
    ("siliconflow", "Qwen/Qwen3-8B", {}),
)


@pytest.mark.parametrize(("manner", "model", "options"), EACH)
@pytest.mark.parametrize(
    "fields", [{}, CALLS, {"n": 2}, {"simulator": {"chunk": 4}}], ids=["text", "calls", "n", "chunks"]
)
def test_usage_in_every_chunk_is_what_was_sent_so_far(
    manner: str, model: str, options: dict[str, bool], fields: dict[str, Any]
) -> None:
    chunks = chunks_of(ask_as(manner, model, stream_options=options, **fields))
    usages = [chunk["usage"] for chunk in chunks]
    made = [usage["completion_tokens"] for usage in usages]
    assert made == sorted(made)
    assert all(usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"] for usage in usages)
    spoken = [chunk for chunk in chunks if chunk["choices"] and _spoken(chunk["choices"][0]["delta"])]
    steps = [b["usage"]["completion_tokens"] - a["usage"]["completion_tokens"] for a, b in itertools.pairwise(spoken)]
    size = fields.get("simulator", {}).get("chunk", 1)
    assert all(0 < step <= size for step in steps)
    assert spoken[-1]["usage"]["completion_tokens"] == made[-1]


def _spoken(delta: dict[str, Any]) -> bool:
    calls = delta.get("tool_calls") or [{}]
    return bool(delta.get("content") or delta.get("reasoning_content") or calls[0].get("function", {}).get("arguments"))


@pytest.mark.parametrize(
    ("manner", "options"),
    [("vllm", {"continuous_usage_stats": True}), ("ark", {"include_usage": True}), ("openai", {"include_usage": True})],
)
def test_usage_is_not_in_every_chunk_where_that_is_not_asked_for(manner: str, options: dict[str, bool]) -> None:
    assert sum(1 for chunk in chunks_of(ask_as(manner, "text", stream_options=options)) if chunk.get("usage")) <= 1


# Errors.

IN_STREAM: dict[str, tuple[bytes, bool]] = {
    "openai": (b'data: {"error":{"message":', False),
    "ark": (b'data: {"error":{"code":"InternalServiceError","message":', False),
    "ling": (b'data: {"error":{"message":', False),
    "dashscope": (b'data: {"error":{"message":', False),
    "deepseek": (b'data: {"error":{"message":', False),
    "moonshot": (b'data: {"error":{"message":', False),
    "zhipu": (b'data: {"error":{"code":"500","message":', False),
    "openrouter": (b'"error":{"code":500,"message":', True),
    "siliconflow": (b'data: {"code":50500,"message":', False),
    "vllm": (b'data: {"error":{"message":', True),
    "ollama": (b'data: {"error":{"message":', False),
    "llamacpp": (b'data: {"error":{"code":500,"message":', False),
    "lmstudio": (b'event: error\ndata: {"error":{', False),
    "aggregator": (b'data: {"error":{"message":', False),
    "groq": (b'event: error\ndata: {"error":{', False),
    "mistral": (b'data: {"object":"error","message":', False),
}
"""How an error in a stream begins, and whether the end mark follows it."""


@pytest.mark.parametrize("manner", MANNERS)
def test_an_error_in_a_stream_is_said_as_the_provider_says_it(manner: str) -> None:
    said, done = IN_STREAM[manner]
    body = body_bytes(ask_as(manner, "text?fault=error-midstream&at=3"))
    *_, before_last, last, end = body.split(b"\n\n")
    assert end == b""
    assert said in (before_last if done else last) + b"\n\n"
    assert (last == b"data: [DONE]") == done
    assert body_bytes(ask_as(manner, "text")).startswith(body[:60])


STATUSES: dict[str, tuple[str, str]] = {
    "openai": ('"code":"rate_limit_exceeded"', '"type":"server_error"'),
    "ark": ('"type":"TooManyRequests"', '"type":"InternalServerError"'),
    "ling": ('"code":"rate_limit_exceeded"', '"type":"server_error"'),
    "dashscope": ('"code":"limit_requests"', '"code":"internal_error"'),
    "deepseek": ('"type":"rate_limit_error"', '"type":"server_error"'),
    "moonshot": ('"type":"rate_limit_reached_error"', '"type":"server_error"'),
    "zhipu": ('"code":"1302"', '"code":"500"'),
    "openrouter": ('"code":429', '"code":502'),
    "siliconflow": ('"code":50501', '"code":50500'),
    "vllm": ('"code":429', '"type":"InternalServerError"'),
    "ollama": ('"type":"api_error"', '"type":"api_error"'),
    "llamacpp": ('"code":429', '"type":"server_error"'),
    "lmstudio": ('"type":"invalid_request_error"', '"type":"internal_error"'),
    "aggregator": ('"code":"rate_limit_exceeded"', '"type":"server_error"'),
    "groq": ('"code":"rate_limit_exceeded"', '"type":"internal_server_error"'),
    "mistral": ('"raw_status_code":429', '"raw_status_code":502'),
}


@pytest.mark.parametrize("manner", MANNERS)
def test_a_fault_with_a_status_is_said_in_the_providers_words(manner: str) -> None:
    for fault, status, text in zip(("http-429-retry-after", "http-502"), (429, 502), STATUSES[manner], strict=True):
        steps = ask_as(manner, f"text?fault={fault}")
        assert status_of(steps) == status
        assert text in body_bytes(steps).decode()
    assert headers_of(ask_as(manner, "text?fault=http-429-retry-after"))["retry-after"] == "1"


@pytest.mark.parametrize("manner", MANNERS)
def test_a_broken_request_is_refused_in_the_providers_shape(manner: str) -> None:
    simulator = SIMULATORS[manner]
    steps = list(simulator.answer(CHAT, b'{"model":"text","messages":"no list"}', seed=1, created=1))
    assert status_of(steps) == 400
    assert tree_of(steps).keys() == tree_of(ask_as(manner, "text?fault=http-400")).keys()


# Comments and keep-alives.


def test_openrouter_says_that_it_is_processing() -> None:
    body = body_bytes(ask_as("openrouter", "text?ttft=2.2"))
    comment = b": OPENROUTER PROCESSING\n\n"
    assert body.startswith(comment * 5 + b"data: {")
    assert body.count(comment) == 5


@pytest.mark.parametrize(
    ("manner", "ttft", "keepalive", "times"),
    [
        ("deepseek", 31, b": keep-alive\n\n", 2),
        ("llamacpp", 61, b":\n\n", 2),
        ("llamacpp", 29, b":\n\n", 0),
        ("openai", 100, b":", 0),
    ],
)
def test_a_long_silence_is_broken_and_no_shorter(manner: str, ttft: float, keepalive: bytes, times: int) -> None:
    steps = ask_as(manner, f"text?ttft={ttft}&pace=0")
    written = [step.data for step in steps if isinstance(step, SendBody)]
    assert written.count(keepalive) == times
    assert sum(step.seconds for step in steps if isinstance(step, Wait)) == pytest.approx(ttft)


def test_a_fault_is_placed_at_a_delta_and_at_no_comment() -> None:
    body = body_bytes(ask_as("openrouter", "text?ttft=2.2&fault=reset&at=1"))
    *comments, broken = body.split(b"\n\n")
    assert comments == [b": OPENROUTER PROCESSING"] * 5
    assert broken.startswith(b'data: {"id"')


def test_deepseek_sends_blank_lines_before_a_whole_answer() -> None:
    steps = ask_as("deepseek", "text?ttft=40&pace=0", stream=False)
    heads = [at for at, step in enumerate(steps) if isinstance(step, SendHead)]
    assert len(heads) == 1
    assert steps[heads[0] + 1] == SendBody(b"\n")
    assert body_bytes(steps).startswith(b"\n{")
    assert tree_of(steps)["choices"][0]["message"]["content"]
    assert isinstance(steps[-1], EndBody)


# Ids and headers.

IDS: dict[str, str] = {
    "openai": r"chatcmpl-\w{29}",
    "ark": r"021700000000\d{3}[0-9a-f]{38}",
    "ling": r"chatcmpl-[0-9a-f]{32}",
    "dashscope": r"chatcmpl-[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
    "deepseek": r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
    "moonshot": r"chatcmpl-\w{24}",
    "zhipu": r"20231115061320[0-9a-f]{16}",
    "openrouter": r"gen-1700000000-\w{20}",
    "siliconflow": r"[0-9a-f]{32}",
    "vllm": r"chatcmpl-[0-9a-f]{16}",
    "ollama": r"chatcmpl-\d{1,3}",
    "llamacpp": r"chatcmpl-\w{32}",
    "lmstudio": r"chatcmpl-\w{22}",
    "aggregator": r"chatcmpl-\w{12}",
    "groq": r"chatcmpl-[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
    "mistral": r"[0-9a-f]{32}",
}


@pytest.mark.parametrize("manner", MANNERS)
def test_ids_have_the_providers_form_and_are_one_in_an_answer(manner: str) -> None:
    (found,) = {chunk["id"] for chunk in chunks_of(ask_as(manner, "text"))}
    assert re.fullmatch(IDS[manner], found)
    assert re.fullmatch(IDS[manner], tree_of(ask_as(manner, "text", stream=False))["id"])


def test_ollamas_ids_collide() -> None:
    found = [chunks_of(ask_as("ollama", "text?tokens=1", seed=seed))[0]["id"] for seed in range(200)]
    assert len(set(found)) < 200


@pytest.mark.parametrize(
    ("manner", "header", "value"),
    [
        ("openai", "content-type", r"text/event-stream; charset=utf-8"),
        ("dashscope", "content-type", r"text/event-stream;charset=UTF-8"),
        ("ark", "content-type", r"text/event-stream"),
        ("deepseek", "x-ds-trace-id", r"[0-9a-f-]{36}"),
        ("openrouter", "x-generation-id", r"gen-.*"),
        ("dashscope", "x-request-id", r"[0-9a-f-]{36}"),
        ("openai", "x-request-id", r"req_[0-9a-f]{32}"),
    ],
)
def test_headers_are_the_providers(manner: str, header: str, value: str) -> None:
    assert re.fullmatch(value, headers_of(ask_as(manner, "text"))[header])


# What holds for all.


@pytest.mark.parametrize("manner", MANNERS)
@pytest.mark.parametrize("fields", [{}, CALLS, NOT_STREAMED, {"n": 2}], ids=["text", "calls", "whole", "two choices"])
def test_the_same_seed_gives_the_same_bytes(manner: str, fields: dict[str, Any]) -> None:
    one, two = (ask_as(manner, "tools", seed=7, **fields) for _ in range(2))
    assert one == two
    assert body_bytes(ask_as(manner, "tools", seed=8, **fields)) != body_bytes(one) or manner == "ollama"


@pytest.mark.parametrize("manner", MANNERS)
def test_an_endless_answer_is_made_as_it_is_taken(manner: str) -> None:
    steps = SIMULATORS[manner].answer(CHAT, body_of("endless?pace=0&size=65536"), seed=1, created=1)
    tracemalloc.start()
    taken = sum(len(step.data) for step in itertools.islice(steps, 300) if isinstance(step, SendBody))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert taken > 15_000_000
    assert peak < 2_000_000


@pytest.mark.parametrize("manner", MANNERS)
@pytest.mark.parametrize(
    "fault",
    ["comments", "crlf", "no-space", "multi-line", "trickle", "cut-utf8", "no-done", "double-done", "args-whole"],
)
def test_a_fault_is_laid_over_a_manner(manner: str, fault: str) -> None:
    plain = fold(decode(body_bytes(ask_as(manner, "tools", tools=TWO_TOOLS))))
    faulty = ask_as(manner, f"tools?fault={fault}", tools=TWO_TOOLS)
    read = fold(decode([step.data for step in faulty if isinstance(step, SendBody)]))
    assert [part.arguments for part in read.choices[0].parts] == [part.arguments for part in plain.choices[0].parts]
    assert read.complete
    assert read.usage == plain.usage
    assert body_bytes(faulty) != body_bytes(ask_as(manner, "tools", tools=TWO_TOOLS)) or fault in (
        "trickle",
        "cut-utf8",
        "args-whole",
    )


@pytest.mark.parametrize("manner", MANNERS)
def test_a_stream_that_is_cut_has_no_end(manner: str) -> None:
    whole = body_bytes(ask_as(manner, "text"))
    cut = body_bytes(ask_as(manner, "text?fault=eof&at=3"))
    assert whole.startswith(cut)
    assert b"[DONE]" not in cut
    assert cut.endswith(b"\n\n")


@pytest.mark.parametrize(("manner", "listed"), MODELS, ids=[f"{m.name}: {listed.name}" for m, listed in MODELS])
def test_every_form_has_what_every_answer_needs(manner: Manner, listed: Listed) -> None:
    form = listed.form or manner.form
    assert {"text", "finish"} <= form.frames.keys()
    assert set(form.frames) | set(form.thinking) <= set(get_args(Kind))
    assert ("usage" in form.frames) == (form.usage_alone != "never")
    assert status_of(ask_as(manner.name, name_of(listed))) == 200


# By a knob.


@pytest.mark.parametrize("model", ["text?as=deepseek", "sim/text?as=deepseek&pace=0"])
def test_a_knob_asks_for_a_manner(model: str) -> None:
    steps = list(SIMULATOR.answer(CHAT, body_of(model), seed=1, created=CREATED))
    assert '"prompt_cache_hit_tokens"' in payloads_of(steps)[-2].decode()
    assert {chunk["model"] for chunk in chunks_of(steps)} <= {"text", "sim/text"}


def test_a_field_asks_for_a_manner_and_its_models_are_there() -> None:
    body = body_of("qwen3-32b", stream=False, simulator={"as": "dashscope"})
    steps = list(SIMULATOR.answer(CHAT, body, seed=1, created=CREATED))
    assert status_of(steps) == 400
    assert b"enable_thinking" in body_bytes(steps)


def test_a_knob_stands_above_the_simulators_own_manner() -> None:
    assert b'"reasoning_content"' not in body_bytes(ask_as("dashscope", "reasoning?as=ollama"))


def test_an_unknown_manner_is_refused_and_the_known_are_named() -> None:
    steps = list(SIMULATOR.answer(CHAT, body_of("text?as=nobody"), seed=1, created=1))
    assert status_of(steps) == 400
    assert b"openrouter, siliconflow" in body_bytes(steps)
