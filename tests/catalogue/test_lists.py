"""Providers' lists of models: what each says of a model, how pages go on, and what is odd."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thalweg.catalogue.facts import Facts
from thalweg.catalogue.lists import ListedModel, NotAList, Page, Shape, read_page
from thalweg.catalogue.price import amounts_of


def page(value: Any, shape: Shape = "openai") -> Page:
    return read_page(json.dumps(value).encode(), shape)


def one(shape: Shape, **fields: Any) -> ListedModel | None:
    listed = {"models": [fields]} if shape == "gemini" else {"data": [fields]}
    models = page(listed, shape).models
    return models[0] if models else None


MODELS: list[tuple[str, Shape, dict[str, Any], str, Facts]] = [
    ("OpenAI, a name alone", "openai", {"id": "gpt-5", "object": "model", "created": 1, "owned_by": "openai"}, "gpt-5", Facts()),
    ("OpenRouter", "openai",
     {"id": "a/b", "context_length": 1000000, "top_provider": {"context_length": 200000, "max_completion_tokens": 64000},
      "architecture": {"input_modalities": ["text", "image", "file", "smell"], "output_modalities": ["text"]}},
     "a/b", Facts(context_window=1000000, max_output_tokens=64000, input_modalities=("text", "image", "document"),
                  output_modalities=("text",))),
    ("Moonshot", "openai", {"id": "kimi-k3", "context_length": 262144, "supports_image_in": True, "supports_video_in": False},
     "kimi-k3", Facts(context_window=262144, input_modalities=("text", "image"))),
    ("Ark", "openai",
     {"id": "doubao-x", "status": "Retiring", "modalities": {"input_modalities": ["text", "image"], "output_modalities": ["text"]},
      "token_limits": {"context_window": 262144, "max_output_token_length": 65536}},
     "doubao-x", Facts(context_window=262144, max_output_tokens=65536, input_modalities=("text", "image"),
                       output_modalities=("text",))),
    ("vLLM", "openai", {"id": "m", "max_model_len": 4096}, "m", Facts(context_window=4096)),
    ("Groq", "openai", {"id": "m", "context_window": 131072, "max_completion_tokens": 32768}, "m",
     Facts(context_window=131072, max_output_tokens=32768)),
    ("Anthropic", "anthropic",
     {"type": "model", "id": "claude-x", "max_input_tokens": 1000000, "max_tokens": 128000,
      "capabilities": {"image_input": {"supported": True}, "pdf_input": {"supported": False}}},
     "claude-x", Facts(context_window=1000000, max_output_tokens=128000, input_modalities=("text", "image"))),
    ("Anthropic, of old", "anthropic", {"type": "model", "id": "claude-x"}, "claude-x", Facts()),
    ("Google", "gemini",
     {"name": "models/gemini-x", "inputTokenLimit": 1048576, "outputTokenLimit": 65536,
      "supportedGenerationMethods": ["generateContent", "countTokens"]},
     "gemini-x", Facts(context_window=1048576, max_output_tokens=65536)),
    ("counts that are none", "openai", {"id": "m", "context_length": "many", "max_model_len": -1, "context_window": True,
                                        "max_context_length": 10**30, "top_provider": [], "architecture": "x"}, "m", Facts()),
]  # fmt: skip


@pytest.mark.parametrize(("_", "shape", "fields", "name", "facts"), MODELS, ids=[row[0] for row in MODELS])
def test_what_a_provider_says_of_a_model_is_read(
    _: str, shape: Shape, fields: dict[str, Any], name: str, facts: Facts
) -> None:
    model = one(shape, **fields)
    assert model is not None
    assert (model.id, model.facts) == (name, facts)


@pytest.mark.parametrize(
    ("shape", "fields"),
    [
        pytest.param("openai", {"id": "text-embedding-3-large"}, id="embeddings"),
        pytest.param("openai", {"id": "gpt-4o-transcribe"}, id="transcription"),
        pytest.param("openai", {"id": "x", "architecture": {"output_modalities": ["image"]}}, id="pictures"),
        pytest.param("openai", {"id": "doubao-old", "status": "Shutdown"}, id="shut down"),
        pytest.param("openai", {"id": 7}, id="no name"),
        pytest.param("openai", {"id": ""}, id="an empty name"),
        pytest.param("openai", {"id": "a\nb"}, id="a name of two lines"),
        pytest.param("openai", {"id": "x" * 201}, id="a name without end"),
        pytest.param("anthropic", {"display_name": "x"}, id="no name at Anthropic"),
        pytest.param("gemini", {"name": "models/embed", "supportedGenerationMethods": ["embedContent"]}, id="no way to talk"),
        pytest.param("gemini", {"name": "models/x"}, id="no ways"),
        pytest.param("gemini", {"name": "models/x-tts", "supportedGenerationMethods": ["generateContent"]}, id="speech"),
    ],
)  # fmt: skip
def test_who_cannot_be_talked_to_is_left_out(shape: Shape, fields: dict[str, Any]) -> None:
    assert one(shape, **fields) is None


def test_a_model_that_makes_text_is_kept_whatever_its_name() -> None:
    assert one("openai", id="x/tts-talker", architecture={"output_modalities": ["text", "audio"]}) is not None


@pytest.mark.parametrize(
    ("shape", "value", "more"),
    [
        ("openai", {"data": []}, ""),
        ("openai", {"data": None}, ""),
        ("openai", {"data": [], "has_more": True, "last_id": "a/b c"}, "after=a%2Fb%20c"),
        ("openai", {"data": [], "has_more": "yes", "last_id": "x"}, ""),
        ("anthropic", {"data": [], "has_more": True, "last_id": "claude&x"}, "after_id=claude%26x"),
        ("anthropic", {"data": [], "has_more": True, "last_id": None}, ""),
        ("anthropic", {"data": [], "has_more": False, "last_id": "x"}, ""),
        ("gemini", {"models": [], "nextPageToken": "a=b/c"}, "pageToken=a%3Db%2Fc"),
        ("gemini", {"models": [], "nextPageToken": ""}, ""),
        ("gemini", {}, ""),
    ],
)
def test_a_page_says_what_follows(shape: Shape, value: Any, more: str) -> None:
    assert page(value, shape).more == more


def test_a_name_that_comes_twice_is_there_once() -> None:
    assert [model.id for model in page({"data": [{"id": "a"}, {"id": "b"}, {"id": "a"}]}).models] == ["a", "b"]


@pytest.mark.parametrize(
    ("pricing", "amounts"),
    [
        pytest.param(
            {"prompt": "0.000003", "completion": "0.000015", "input_cache_read": "0.0000003", "input_cache_write": "0.00000375"},
            {"input": "3", "output": "15", "cached_input": "0.3", "cache_write": "3.75"}, id="for one token each",
        ),
        pytest.param({"prompt": "0", "completion": "0"}, {"input": "0", "output": "0"}, id="free"),
        pytest.param(
            {"prompt": "0.000001", "completion": "0.000002", "internal_reasoning": "0", "input_cache_read": "0", "request": "0"},
            {"input": "1", "output": "2"}, id="a zero beside it is no price",
        ),
        pytest.param(
            {"prompt": "0.00000033333333333333", "completion": "1e-6"}, {"input": "0.333333333", "output": "1"}, id="a quotient",
        ),
        pytest.param({"prompt": "-1", "completion": "-1"}, None, id="whoever is chosen"),
        pytest.param({"prompt": "0.000001"}, None, id="half a price"),
        pytest.param({"prompt": "0.000001", "completion": "0.000002", "request": "0.01"}, None, id="by the request"),
        pytest.param({"prompt": 0.1, "completion": 0.2}, None, id="floats"),
        pytest.param({"prompt": "a", "completion": "b"}, None, id="words"),
        pytest.param({"prompt": "1e999999", "completion": "1e-999999999"}, None, id="out of all bounds"),
        pytest.param("free", None, id="no object"),
    ],
)  # fmt: skip
def test_prices_for_a_token_become_prices_for_a_million(pricing: Any, amounts: dict[str, str] | None) -> None:
    model = one("openai", id="m", pricing=pricing)
    assert model is not None
    assert (None if model.rates is None else amounts_of(model.rates)) == amounts


@pytest.mark.parametrize("shape", ["openai", "anthropic", "gemini"])
@pytest.mark.parametrize(
    "body", [b"", b"[]", b"<html>", b'{"data":7,"models":7}', b'{"data":[7],"models":[7]}', b"\xff", b"[" * 100_000]
)
def test_what_is_no_list_is_said_to_be_none(shape: Shape, body: bytes) -> None:
    with pytest.raises(NotAList):
        read_page(body, shape)


def test_a_list_of_another_shape_is_none() -> None:
    with pytest.raises(NotAList):
        page({"error": {"message": "no"}})


_NAMES = [*Facts.__struct_fields__, "id", "name", "context_length", "pricing", "architecture", "modalities", "token_limits",
          "top_provider", "capabilities", "supportedGenerationMethods", "status", "max_tokens"]  # fmt: skip
_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*_NAMES, "prompt", "completion"]), inner, max_size=4),
    max_leaves=8,
)  # fmt: skip


@given(
    st.lists(st.dictionaries(st.sampled_from(_NAMES), _values), max_size=4),
    st.sampled_from(["openai", "anthropic", "gemini"]),
)
def test_nothing_that_is_odd_in_a_model_stops_the_reading(models: list[dict[str, Any]], shape: Shape) -> None:
    for model in page({"data": models, "models": models}, shape).models:
        assert model.id
