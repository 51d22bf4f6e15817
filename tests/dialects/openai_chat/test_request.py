"""Chat requests: every field's types, what null means, bodies that attack, edits in place, the canon and back."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.dialects.openai_chat.streams import CHAT
from thalweg.canon.errors import GatewayError, InvalidRequest, RequestError, UnsupportedParameter
from thalweg.canon.losses import Losses
from thalweg.canon.parts import Media, Opaque, Reasoning, Refusal, Text, ToolCall, ToolResult
from thalweg.canon.request import Message, OutputFormat, ReasoningAsk, Request, Sampling, Tool, ToolChoice
from thalweg.dialects.openai_chat.request import ChatRequest
from thalweg.profiles.base import Profile
from thalweg.profiles.providers import COMPATIBLE

USER = {"role": "user", "content": "?"}
LEAST: dict[str, Any] = {"model": "m", "messages": [USER]}


def body(**fields: Any) -> bytes:
    return json.dumps(LEAST | fields).encode()


def read(**fields: Any) -> ChatRequest:
    return CHAT.read_request(body(**fields))


def canon(**fields: Any) -> Request:
    return read(**fields).canon()


def refused(raw: bytes) -> InvalidRequest:
    """The refusal of a body, wherever it comes: reading, translating or editing."""
    with pytest.raises(InvalidRequest) as caught:
        CHAT.read_request(raw).canon()
    assert caught.value.status == 400
    wire = json.loads(CHAT.encode_error(caught.value).body)["error"]
    assert wire["type"] == "invalid_request_error"
    assert wire["param"] == caught.value.param
    return caught.value


# Types.

WRONG: dict[str, tuple[Any, ...]] = {
    "model": (5, [], {}, True, 0.5, None),
    "messages": (5, "x", {}, True, None),
    "stream": ("true", 1, 0, [], {}),
    "stream_options": (True, "x", [], 5),
    "n": ("1", 1.5, True, [], {}),
    "max_tokens": ("1", 1.5, True, []),
    "max_completion_tokens": ("1", 1.5, True, {}),
    "temperature": ("1", True, [], {}),
    "top_p": ("1", True, []),
    "top_k": ("1", 0.5, True),
    "presence_penalty": ("1", True),
    "frequency_penalty": ("1", {}),
    "seed": ("1", 0.5, []),
    "logit_bias": ([], "x", 5),
    "logprobs": (1, "true"),
    "top_logprobs": ("1", True),
    "stop": (5, True, {}),
    "tools": ({}, "x", 5),
    "functions": ({}, "x"),
    "tool_choice": (5, True, []),
    "function_call": (5, True, []),
    "parallel_tool_calls": (1, "x"),
    "reasoning_effort": (1, {}, True),
    "thinking": (True, "x", []),
    "enable_thinking": (1, "x"),
    "thinking_budget": ("1", 0.5),
    "reasoning": (True, "low", []),
    "chat_template_kwargs": (True, "x", []),
    "response_format": ("json", [], 5),
    "modalities": ("text", {}),
    "verbosity": (1, []),
    "user": (1, {}),
    "metadata": ([], "x"),
    "service_tier": (1, {}),
    # Whatever they hold, only their own provider minds.
    **dict.fromkeys(
        (
            "simulator",
            "audio",
            "prediction",
            "web_search_options",
            "store",
            "moderation",
            "prompt_cache_key",
            "prompt_cache_options",
            "prompt_cache_retention",
            "safety_identifier",
        ),
        (),
    ),
}


def test_every_field_that_is_read_has_its_row_of_wrong_types() -> None:
    names = {field.name for field in msgspec.structs.fields(type(read().body))}
    assert set(WRONG) == names


@pytest.mark.parametrize(("field", "value"), [(field, value) for field, values in WRONG.items() for value in values])
def test_a_wrong_type_is_refused_and_its_field_named(field: str, value: Any) -> None:
    error = refused(body(**{field: value}))
    assert error.param == field
    assert repr(field).strip("'") in error.message


INNER = {
    "stream_options.include_usage": {"stream_options": {"include_usage": "yes"}},
    "messages[0].role": {"messages": [{"role": 5}]},
    "messages[0].content": {"messages": [{"role": "user", "content": 5}]},
    "messages[0].content[0].type": {"messages": [{"role": "user", "content": [{"type": 5}]}]},
    "messages[0].content[0].text": {"messages": [{"role": "user", "content": [{"type": "text", "text": 5}]}]},
    "messages[0].content[0].image_url": {
        "messages": [{"role": "user", "content": [{"type": "image_url", "image_url": 5}]}]
    },
    "messages[0].content[0].image_url.url": {
        "messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]
    },
    "messages[0].content[0].input_audio.data": {
        "messages": [{"role": "user", "content": [{"type": "input_audio", "input_audio": {}}]}]
    },
    "messages[0].name": {"messages": [USER | {"name": 5}]},
    "messages[0].tool_calls": {"messages": [{"role": "assistant", "tool_calls": {}}]},
    "messages[0].tool_calls[0].function.name": {
        "messages": [{"role": "assistant", "tool_calls": [{"id": "c", "function": {}}]}]
    },
    "messages[0].tool_calls[0].function.arguments": {
        "messages": [{"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": 5}}]}]
    },
    "messages[0].tool_call_id": {"messages": [{"role": "tool", "tool_call_id": 5}]},
    "messages[0].reasoning_content": {"messages": [{"role": "assistant", "reasoning_content": []}]},
    "tools[0].function.name": {"tools": [{"type": "function", "function": {}}]},
    "tools[0].function.parameters": {"tools": [{"type": "function", "function": {"name": "f", "parameters": "x"}}]},
    "tools[0].type": {"tools": [{"type": 5}]},
    "thinking.type": {"thinking": {}},
    "thinking.budget_tokens": {"thinking": {"type": "enabled", "budget_tokens": "x"}},
    "reasoning.max_tokens": {"reasoning": {"max_tokens": "9"}},
    "reasoning.exclude": {"reasoning": {"exclude": 1}},
    "stop[0]": {"stop": [5]},
    "modalities[0]": {"modalities": [5]},
    "metadata[]": {"metadata": {"a": 5}},
    "logit_bias[]": {"logit_bias": {"1": "x"}},
    # These are told where they are translated, with their place in the list.
    "messages[1].role": {"messages": [USER, {"role": "robot"}]},
    "messages[1].tool_call_id": {"messages": [USER, {"role": "tool", "content": "x"}]},
    "messages[1].tool_calls[1].function": {
        "messages": [USER, {"role": "assistant", "tool_calls": [{"function": {"name": "f"}}, {"id": "c"}]}]
    },
    "messages[0].content[1].image_url": {
        "messages": [{"role": "user", "content": [{"type": "text", "text": ""}, {"type": "image_url"}]}]
    },
    "messages[1].content[0].text": {"messages": [USER, {"role": "user", "content": [{"type": "text"}]}]},
    "tools[1].function": {"tools": [{"type": "function", "function": {"name": "f"}}, {"type": "function"}]},
    "tool_choice": {"tool_choice": "sometimes"},
    "tool_choice.allowed_tools.tools": {"tool_choice": {"type": "allowed_tools", "allowed_tools": {"tools": 5}}},
}


@pytest.mark.parametrize("param", INNER)
def test_a_fault_within_names_its_path(param: str) -> None:
    error = refused(body(**INNER[param]))
    assert error.param == param
    assert param in error.message


@pytest.mark.parametrize(
    "choice",
    [
        {},
        {"type": "function"},
        {"type": "function", "function": {}},
        {"type": "function", "function": 5},
        {"function": {"name": 5}},
        {"type": "allowed_tools"},
    ],
)
def test_a_tool_choice_must_name_a_tool(choice: Any) -> None:
    assert refused(body(tool_choice=choice)).param == "tool_choice"


@pytest.mark.parametrize("missing", ["model", "messages"])
def test_what_must_be_there_is_named(missing: str) -> None:
    raw = json.dumps({name: value for name, value in LEAST.items() if name != missing}).encode()
    error = refused(raw)
    assert (error.param, error.code) == (missing, "missing_required_parameter")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("model", ""), ("model", "a\0b"), ("model", "x" * 513), ("messages", []), ("n", 0), ("n", -1), ("n", 129), ("n", 10**30),
        ("max_tokens", 0), ("max_tokens", -5), ("max_completion_tokens", 0), ("top_logprobs", -1),
    ],
)  # fmt: skip
def test_bounds(field: str, value: Any) -> None:
    assert refused(body(**{field: value})).param == field


def test_null_means_absent_for_every_optional_field() -> None:
    nulls = {name: None for name in WRONG if name not in ("model", "messages")}
    assert canon(**nulls) == canon()
    message = {
        "role": "assistant",
        "content": None,
        "name": None,
        "tool_calls": None,
        "function_call": None,
        "refusal": None,
        "reasoning_content": None,
    }
    assert canon(messages=[USER, message]).messages[1] == Message(role="assistant", parts=())
    inner = canon(
        stream_options={"include_usage": None},
        tools=[
            {"type": "function", "function": {"name": "f", "description": None, "parameters": None, "strict": None}}
        ],
    )
    assert not inner.include_usage
    assert inner.tools == (Tool(name="f"),)


# Bodies that are none, and bodies that attack.

M = body()[:-1] + b","
BODIES = {
    "nothing": b"",
    "a space": b" ",
    "half an object": body()[:-1],
    "two objects": body() * 2,
    "a comma too many": M + b"}",
    "single quotes": b"{'model':'m'}",
    "a comment": b"/* */" + body(),
    "a BOM": b"\xef\xbb\xbf" + body(),
    "UTF-16": body().decode().encode("utf-16"),
    "a NUL": body() + b"\0",
    "NaN": M + b'"temperature":NaN}',
    "NaN in a field we do not know": M + b'"zz":NaN}',
    "Infinity": M + b'"temperature":Infinity}',
    "-Infinity in a field we do not know": M + b'"zz":-Infinity}',
    "a number out of range": M + b'"temperature":1e400}',
    "a whole number of 5000 digits": M + b'"seed":' + b"1" * 5000 + b"}",
    "bytes that are no UTF-8": M + b'"user":"\xff"}',
    "bytes that are no UTF-8 in a field we do not know": M + b'"zz":"\xff"}',
    "a name that is no UTF-8": M + b'"\xff":1}',
    "a lone surrogate as bytes": M + b'"zz":"\xed\xa0\x80"}',
    "a lone high surrogate": M + b'"zz":"\\ud800x"}',
    "a lone low surrogate": M + b'"user":"\\udc00x"}',
    "a control character in a text": M + b'"zz":"a\nb"}',
    "a list": b"[]",
    "a text": b'"x"',
    "null": b"null",
}


@pytest.mark.parametrize("case", BODIES)
def test_a_body_that_is_no_request_is_refused(case: str) -> None:
    error = refused(BODIES[case])
    assert "xx" not in error.message


@pytest.mark.parametrize("depth", [10, 100, 1000, 10_000, 100_000, 1_000_000])
@pytest.mark.parametrize("mark", ["[]", "{}"])
def test_a_depth_bomb_is_read_or_refused(depth: int, mark: str) -> None:
    opening, closing = (b"[", b"]") if mark == "[]" else (b'{"a":', b"}")
    value = opening * depth + b"1" + closing * depth
    for raw in (
        M + b'"zz":' + value + b"}",
        M + b'"user":"model","zz":' + value + b"}",
        M + b'"response_format":{"a":' + value + b"}}",
        M + b'"tools":[{"type":"function","function":{"name":"f","parameters":{"a":' + value + b"}}}]}",
        M + b'"zz":' + opening * depth,
    ):
        try:
            request = CHAT.read_request(raw)
            request.canon()
            request.edited(model="x", profile=COMPATIBLE, stream=True)
        except InvalidRequest:
            assert depth > 100 or raw.endswith(opening)
        else:
            assert depth < 1000


def test_around_the_limit_of_depth_nothing_foreign_is_raised() -> None:
    """Reading, the search for repeated names, translating and editing reach the limit at different depths."""

    def deeper(frames: int, raw: bytes) -> None:
        if frames:
            deeper(frames - 1, raw)
            return
        try:
            request = CHAT.read_request(raw)
        except InvalidRequest:
            return
        for frames_more in range(0, 60, 3):
            try:
                edit_deeper(request, frames_more)
            except InvalidRequest:
                return

    def edit_deeper(request: ChatRequest, frames: int) -> None:
        if frames:
            edit_deeper(request, frames - 1)
        else:
            request.edited(model="x", profile=COMPATIBLE, stream=True)
            request.canon()

    for depth in range(850, 1001, 2):
        deeper(10, M + b'"user":"model","zz":' + b"[" * depth + b"]" * depth + b"}")


@pytest.mark.parametrize("name", ["model", "stream", "max_tokens", "max_completion_tokens", "messages"])
@pytest.mark.parametrize("spelt", ["plain", "escaped"])
def test_a_name_that_stands_twice_is_refused(name: str, spelt: str) -> None:
    values = {
        "model": b'"n"',
        "stream": b"true",
        "max_tokens": b"5",
        "max_completion_tokens": b"5",
        "messages": json.dumps([USER]).encode(),
    }
    first = b"" if name in LEAST else b'"%s":%s,' % (name.encode(), values[name])
    again = name.encode() if spelt == "plain" else name.replace("m", "\\u006d").replace("s", "\\u0073").encode()
    error = refused(M + first + b'"%s":%s}' % (again, values[name]))
    assert (error.param, error.code) == (name, "duplicate_key")


@pytest.mark.parametrize(
    "more",
    [
        b'"user":"model"',
        b'"zz":{"model":1,"model":2}',
        b'"zz":"\\"model\\":\\"model\\""',
        b'"tools":[{"type":"function","function":{"name":"f","parameters":{"properties":{"model":{},"messages":{}}}}}]',
        b'"zz":"\\u006dodel"',
        b'"temperature":0.5,"temperature":0.7',
        b'"user":"model","zz":' + b"1" * 5000,
        b'"user":"model","zz":1e400',
    ],
)
def test_names_that_only_look_as_if_they_stood_twice_are_fine(more: bytes) -> None:
    assert CHAT.read_request(M + more + b"}").model == "m"


@given(st.binary(max_size=40) | st.text(max_size=40).map(str.encode))
def test_any_bytes_are_read_or_refused(raw: bytes) -> None:
    for whole in (raw, M + b'"zz":' + raw + b"}", M + raw + b"}"):
        try:
            request = CHAT.read_request(whole)
            request.canon()
            request.edited(model="x", profile=COMPATIBLE, stream=True)
        except GatewayError as error:
            assert isinstance(error, RequestError)


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 10**20) | st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from(["", "x", "auto", "function", "text", "allowed_tools"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["type", "name", "function", "custom", "text", "json_schema", "tools", "mode", "allowed_tools", "content", "role"]), inner, max_size=4),
    max_leaves=8,
)  # fmt: skip


@given(field=st.sampled_from(sorted(WRONG)), value=ANY_JSON)
def test_any_value_in_any_field_is_read_or_refused(field: str, value: Any) -> None:
    try:
        request = read(**{field: value})
        CHAT.encode_request(request.canon(), model="x", profile=COMPATIBLE, stream=True, losses=Losses())
        request.edited(model="x", profile=COMPATIBLE, stream=False)
    except RequestError as error:
        assert error.param is None or error.param.startswith(field)


# Editing in place.


def edited(raw: bytes, *, model: str = "p", profile: Profile = COMPATIBLE, stream: bool = True) -> bytes:
    return CHAT.read_request(raw).edited(model=model, profile=profile, stream=stream)


def test_editing_keeps_order_and_the_very_bytes_of_every_other_value() -> None:
    raw = b'{"zz": {"b" : 1.10e+1 ,"a":[ 1, 2]},\n "messages":[ {"content":"\\u4f60 \xe4\xbd\xa0\\/","role":"user"} ],"top_k":5,"model":"m","seed":18446744073709551616000,"y":null}'
    assert edited(raw, stream=False) == (
        b'{"zz":{"b" : 1.10e+1 ,"a":[ 1, 2]},"messages":[ {"content":"\\u4f60 \xe4\xbd\xa0\\/","role":"user"} ],"top_k":5,"model":"p","seed":18446744073709551616000,"y":null}'
    )


@pytest.mark.parametrize(
    ("came", "stream", "left"),
    [
        ({}, False, {}),
        ({}, True, {"stream": True, "stream_options": {"include_usage": True}}),
        ({"stream": True}, False, {"stream": False}),
        (
            {"stream": True, "stream_options": {"include_usage": False}},
            True,
            {"stream": True, "stream_options": {"include_usage": True}},
        ),
        ({"stream_options": {"include_usage": False}, "stream": True}, False, {"stream": False}),
        (
            {"stream_options": {"include_obfuscation": False}, "stream": True},
            True,
            {"stream_options": {"include_obfuscation": False, "include_usage": True}, "stream": True},
        ),
        ({"stream_options": None, "stream": None}, True, {"stream_options": {"include_usage": True}, "stream": True}),
        ({"stream": False}, False, {"stream": False}),
        ({"stream": None}, False, {"stream": None}),
    ],
)
def test_stream_and_its_options_are_merged(came: dict[str, Any], stream: bool, left: dict[str, Any]) -> None:
    result = json.loads(edited(body(**came), stream=stream))
    assert result == LEAST | {"model": "p"} | left
    assert list(result) == [*LEAST, *left]


@pytest.mark.parametrize("option", ["chunk_include_usage", "continuous_usage_stats"])
def test_usage_in_every_chunk_is_asked_for_where_a_profile_has_a_word_for_it(option: str) -> None:
    profile = Profile(chunk_usage=option)
    both = {"include_usage": True, option: True}
    for came, left in (
        ({}, both),
        ({"stream_options": {option: False, "x": [1]}}, {option: True, "x": [1], "include_usage": True}),
        ({"n": 1}, both),
        ({"n": 2}, {"include_usage": True}),
    ):
        result = json.loads(edited(body(**came), profile=profile, stream=True))
        assert result["stream_options"] == left
        assert list(result["stream_options"]) == list(left)
    assert "stream_options" not in json.loads(edited(body(), profile=profile, stream=False))
    assert "stream_options" not in json.loads(edited(body(), profile=Profile(asks_usage=False), stream=True))
    for count, left in ((1, both), (3, {"include_usage": True})):
        asked = canon(stream=True, n=count)
        assert (
            json.loads(CHAT.encode_request(asked, model="m", profile=profile, stream=True, losses=Losses()).body)[
                "stream_options"
            ]
            == left
        )
        assert "stream_options" not in json.loads(
            CHAT.encode_request(asked, model="m", profile=profile, stream=False, losses=Losses()).body
        )


def test_the_client_s_own_wish_for_it_is_remembered_by_whichever_word() -> None:
    for options, wish in (
        (None, False),
        ({"include_usage": True}, False),
        ({"chunk_include_usage": True}, True),
        ({"continuous_usage_stats": True}, True),
        ({"chunk_include_usage": False, "continuous_usage_stats": None}, False),
    ):
        assert ChatRequest(body(stream_options=options)).chunk_usage is wish


def test_a_profile_may_refuse_fields() -> None:
    profile = Profile(asks_usage=False, refused_fields=frozenset({"zz", "user"}))
    assert json.loads(edited(body(zz=1, user="u", top_p=1), profile=profile)) == LEAST | {
        "model": "p",
        "top_p": 1,
        "stream": True,
    }


@given(
    st.dictionaries(
        st.text(max_size=5).filter(lambda key: key not in WRONG),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(max_size=5),
            lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=3), inner),
            max_leaves=6,
        ),
        max_size=5,
    )
)
def test_unknown_fields_pass_untouched(more: dict[str, Any]) -> None:
    raw = body(**more)
    result = edited(raw, stream=False)
    assert json.loads(result) == json.loads(raw) | {"model": "p"}
    assert list(json.loads(result)) == list(json.loads(raw))


# To the canon.


def message(**fields: Any) -> Message:
    return canon(messages=[USER, fields]).messages[1]


def user_part(part: dict[str, Any]) -> Any:
    (made,) = message(role="user", content=[part]).parts
    return made


DATA = "data:image/png;base64,aGk="
PARTS: list[tuple[dict[str, Any], Any]] = [
    ({"type": "text", "text": "a"}, Text(text="a")),
    ({"type": "text", "text": ""}, Text(text="")),
    ({"type": "refusal", "refusal": "no"}, Refusal(text="no")),
    (
        {"type": "image_url", "image_url": {"url": "https://x/y", "detail": "low"}},
        Media(kind="image", url="https://x/y", detail="low"),
    ),
    ({"type": "image_url", "image_url": "https://x/y"}, Media(kind="image", url="https://x/y")),
    ({"type": "image_url", "image_url": {"url": DATA}}, Media(kind="image", mime="image/png", data="aGk=")),
    ({"type": "video_url", "video_url": {"url": "https://x/y", "fps": 2}}, Media(kind="video", url="https://x/y")),
    (
        {"type": "input_audio", "input_audio": {"data": "aGk=", "format": "mp3"}},
        Media(kind="audio", mime="audio/mp3", data="aGk="),
    ),
    ({"type": "input_audio", "input_audio": {"data": "aGk="}}, Media(kind="audio", mime="audio/wav", data="aGk=")),
    ({"type": "file", "file": {"file_id": "file-1"}}, Media(kind="document", file_id="file-1", vendor="openai")),
    (
        {"type": "file", "file": {"file_data": "data:application/pdf;base64,aGk=", "filename": "a.pdf"}},
        Media(kind="document", mime="application/pdf", data="aGk=", filename="a.pdf"),
    ),
    ({"type": "hologram", "hologram": 1}, Opaque(dialect="openai-chat", raw="hologram")),
]


@pytest.mark.parametrize(("wire", "part"), PARTS)
def test_parts(wire: dict[str, Any], part: Any) -> None:
    assert user_part(wire) == part


def test_roles() -> None:
    assert message(role="user", content="a", name="bob") == Message(role="user", parts=(Text(text="a"),), name="bob")
    assert message(role="system", content="a") == Message(role="system", parts=(Text(text="a"),))
    assert message(role="developer", content="a") == Message(role="system", parts=(Text(text="a"),))
    assert message(role="assistant", content="") == Message(role="assistant", parts=())
    assert message(role="assistant") == Message(role="assistant", parts=())
    assert message(role="tool", tool_call_id="c", content="r") == Message(
        role="user", parts=(ToolResult(call_id="c", parts=(Text(text="r"),)),)
    )
    assert message(role="function", name="f", content="r").parts == (
        ToolResult(call_id="legacy_f", name="f", parts=(Text(text="r"),)),
    )


def test_an_assistants_turn_keeps_its_order() -> None:
    made = message(
        role="assistant",
        reasoning_content="why",
        content="so",
        refusal="no",
        tool_calls=[
            {"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}},
            {"id": "d", "type": "custom", "custom": {"name": "g", "input": "x"}},
            {"function": {"name": "h", "arguments": {"a": 1}}},
        ],
        function_call={"name": "i", "arguments": None},
    )
    assert made.parts == (
        Reasoning(text="why"),
        Text(text="so"),
        Refusal(text="no"),
        ToolCall(id="c", name="f", arguments='{"a": 1}'),
        ToolCall(id="d", name="g", arguments="x", kind="custom"),
        ToolCall(id="call_1_2", name="h", arguments='{"a":1}'),
        ToolCall(id="legacy_i", name="i", arguments="", kind="legacy"),
    )


def test_leading_instructions_stand_apart_and_later_ones_in_their_place() -> None:
    made = canon(
        messages=[
            {"role": "system", "content": "a"},
            {"role": "developer", "content": [{"type": "text", "text": "b"}]},
            USER,
            {"role": "system", "content": "c"},
        ]
    )
    assert made.system == (Text(text="a"), Text(text="b"))
    assert [m.role for m in made.messages] == ["user", "system"]


SCALARS: list[tuple[dict[str, Any], str, Any]] = [
    ({"max_tokens": 5}, "sampling", Sampling(max_tokens=5)),
    ({"max_tokens": 5, "max_completion_tokens": 7}, "sampling", Sampling(max_tokens=7)),
    ({"stop": "a", "n": 2, "seed": 1, "top_k": 3}, "sampling", Sampling(stop=("a",), n=2, seed=1, top_k=3)),
    (
        {"stop": ["a", "b"], "logprobs": True, "top_logprobs": 0},
        "sampling",
        Sampling(stop=("a", "b"), logprobs=True, top_logprobs=0),
    ),
    (
        {"temperature": 0, "top_p": 1, "logit_bias": {"5": -1}},
        "sampling",
        Sampling(temperature=0, top_p=1, logit_bias={"5": -1}),
    ),
    ({"reasoning_effort": "high"}, "reasoning", ReasoningAsk(mode="effort", effort="high")),
    ({"reasoning_effort": "none"}, "reasoning", ReasoningAsk(mode="off")),
    ({"thinking": {"type": "enabled"}}, "reasoning", ReasoningAsk(mode="auto")),
    ({"thinking": {"type": "disabled"}, "reasoning_effort": "high"}, "reasoning", ReasoningAsk(mode="off")),
    ({"thinking": {"type": "enabled", "budget_tokens": 9}}, "reasoning", ReasoningAsk(mode="budget", budget_tokens=9)),
    ({"enable_thinking": True, "thinking_budget": 9}, "reasoning", ReasoningAsk(mode="budget", budget_tokens=9)),
    ({"enable_thinking": False, "thinking_budget": 9}, "reasoning", ReasoningAsk(mode="off")),
    ({"enable_thinking": True}, "reasoning", ReasoningAsk(mode="auto")),
    ({"thinking": {"type": "auto"}}, "reasoning", ReasoningAsk(mode="auto")),
    ({"thinking": {"type": "disabled", "budget_tokens": 9}}, "reasoning", ReasoningAsk(mode="off")),
    ({"thinking_budget": 0}, "reasoning", ReasoningAsk(mode="off")),
    ({"thinking_budget": -1, "enable_thinking": True}, "reasoning", ReasoningAsk(mode="auto")),
    ({"chat_template_kwargs": {"enable_thinking": False, "x": 1}}, "reasoning", ReasoningAsk(mode="off")),
    ({"chat_template_kwargs": {"enable_thinking": True}}, "reasoning", ReasoningAsk(mode="auto")),
    ({"chat_template_kwargs": {}, "reasoning": {}}, "reasoning", ReasoningAsk()),
    ({"reasoning": {"effort": "low"}}, "reasoning", ReasoningAsk(mode="effort", effort="low")),
    ({"reasoning": {"effort": "none"}}, "reasoning", ReasoningAsk(mode="off")),
    ({"reasoning": {"enabled": False, "effort": "high"}}, "reasoning", ReasoningAsk(mode="off")),
    ({"reasoning": {"enabled": True}}, "reasoning", ReasoningAsk(mode="auto")),
    (
        {"reasoning": {"max_tokens": 9, "exclude": True}},
        "reasoning",
        ReasoningAsk(mode="budget", budget_tokens=9, show="none"),
    ),
    ({"reasoning": {"exclude": True}}, "reasoning", ReasoningAsk(show="none")),
    ({"simulator": {"pace": 0}}, "extensions", {"simulator": {"pace": 0}}),
    ({"simulator": None}, "extensions", {}),
    ({"response_format": {"type": "text"}}, "output", OutputFormat()),
    ({"response_format": {"type": []}}, "output", OutputFormat()),
    ({"response_format": {"type": "json_object"}}, "output", OutputFormat(format="json")),
    (
        {"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {}, "strict": True}}},
        "output",
        OutputFormat(format="json_schema", name="n", schema={}, strict=True),
    ),
    ({"modalities": ["text"], "verbosity": "low"}, "output", OutputFormat(modalities=("text",), verbosity="low")),
    ({"tool_choice": "none"}, "tool_choice", ToolChoice(mode="none")),
    (
        {"tool_choice": {"type": "function", "function": {"name": "f"}}},
        "tool_choice",
        ToolChoice(mode="required", names=("f",)),
    ),
    (
        {"tool_choice": {"type": "custom", "custom": {"name": "f"}}},
        "tool_choice",
        ToolChoice(mode="required", names=("f",)),
    ),
    (
        {
            "tool_choice": {
                "type": "allowed_tools",
                "allowed_tools": {
                    "mode": "auto",
                    "tools": [{"type": "function", "function": {"name": "f"}}, {"name": "g"}],
                },
            }
        },
        "tool_choice",
        ToolChoice(mode="auto", names=("f", "g")),
    ),
    ({"function_call": {"name": "f"}}, "tool_choice", ToolChoice(mode="required", names=("f",))),
    ({"functions": [{"name": "f"}]}, "tools", (Tool(name="f"),)),
    (
        {"tools": [{"type": "custom", "custom": {"name": "g", "format": {}}}]},
        "tools",
        (Tool(name="g", kind="custom", raw={"name": "g", "format": {}}),),
    ),
    ({"user": "u"}, "user", "u"),
    ({"metadata": {"a": "b"}}, "metadata", {"a": "b"}),
    ({"parallel_tool_calls": False}, "parallel_tool_calls", False),
    ({"stream": True}, "stream", True),
    ({"stream_options": {"include_usage": True}}, "include_usage", True),
]


@pytest.mark.parametrize(("fields", "name", "value"), SCALARS)
def test_fields(fields: dict[str, Any], name: str, value: Any) -> None:
    assert getattr(canon(**fields), name) == value


# From the canon and back.

TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
NAME = st.text(st.sampled_from("abcXYZ_-9"), min_size=1, max_size=8)
MEDIA = st.one_of(
    st.builds(lambda u, d: Media(kind="image", url=f"https://x/{u}", detail=d), NAME, st.none() | st.just("low")),
    st.just(Media(kind="image", mime="image/png", data="aGk=")),
    st.just(Media(kind="audio", mime="audio/mp3", data="aGk=")),
    st.just(Media(kind="video", url="https://x/v.mp4")),
    st.just(Media(kind="document", file_id="file-1", vendor="openai")),
    st.just(Media(kind="document", mime="application/pdf", data="aGk=", filename="a.pdf")),
)
USERS = st.lists(st.builds(Text, text=TEXT) | MEDIA, min_size=1, max_size=3).map(
    lambda parts: Message(role="user", parts=tuple(parts))
)
RESULTS = st.builds(
    lambda i, t: Message(role="user", parts=(ToolResult(call_id=i, parts=(Text(text=t),)),)), NAME, TEXT
)
SYSTEMS = TEXT.map(lambda text: Message(role="system", parts=(Text(text=text),)))
CALLS = st.builds(
    lambda i, n, a, k: ToolCall(id=i, name=n, arguments=a, kind=k),
    NAME,
    NAME,
    TEXT,
    st.sampled_from(["function", "custom"]),
)


@st.composite
def assistants(draw: st.DrawFn) -> Message:
    parts: list[Any] = []
    if draw(st.booleans()):
        parts.append(Reasoning(text=draw(TEXT)))
    if draw(st.booleans()):
        parts.append(Text(text=draw(TEXT)))
    if draw(st.booleans()):
        parts.append(Refusal(text=draw(TEXT)))
    return Message(role="assistant", parts=(*parts, *draw(st.lists(CALLS, max_size=2))))


TOOLS = st.one_of(
    st.builds(
        lambda n, d, s: Tool(name=n, description=d, parameters={"type": "object"}, strict=s),
        NAME,
        st.none() | TEXT,
        st.none() | st.booleans(),
    ),
    NAME.map(lambda name: Tool(name=name, kind="custom", raw={"name": name, "format": {"type": "text"}})),
)
NUMBERS = st.none() | st.floats(0, 2)
SAMPLINGS = st.builds(
    Sampling, max_tokens=st.none() | st.integers(1, 10**6), temperature=NUMBERS, top_p=NUMBERS, presence_penalty=NUMBERS,
    frequency_penalty=NUMBERS, seed=st.none() | st.integers(), logit_bias=st.none() | st.dictionaries(NAME, st.floats(-100, 100), max_size=2),
    n=st.integers(1, 4), stop=st.lists(TEXT, max_size=4).map(tuple), logprobs=st.none() | st.booleans(), top_logprobs=st.none() | st.integers(0, 20),
)  # fmt: skip
OUTPUTS = st.one_of(
    st.just(OutputFormat()),
    st.just(OutputFormat(format="json", verbosity="low")),
    st.builds(
        lambda n, s, d: OutputFormat(format="json_schema", name=n, schema={"type": "object"}, strict=s, description=d),
        NAME,
        st.none() | st.booleans(),
        st.none() | TEXT,
    ),
)


@st.composite
def requests(draw: st.DrawFn) -> Request:
    """Whatever Chat can say: one leading instruction, no name on a message, no thinking budget."""
    tools = tuple(draw(st.lists(TOOLS, max_size=3, unique_by=lambda tool: tool.name)))
    choices = [None, ToolChoice(mode="auto"), ToolChoice(mode="none"), ToolChoice(mode="required")]
    choices += [ToolChoice(mode="required", names=(tool.name,)) for tool in tools]
    choices += [ToolChoice(mode="auto", names=tuple(tool.name for tool in tools))]
    stream = draw(st.booleans())
    first = draw(USERS | assistants() | RESULTS)
    return Request(
        model="m",
        messages=(first, *draw(st.lists(USERS | assistants() | RESULTS | SYSTEMS, max_size=4))),
        system=tuple(draw(st.lists(st.builds(Text, text=TEXT), max_size=1))),
        stream=stream,
        tools=tools,
        tool_choice=draw(st.sampled_from(choices)) if tools else None,
        parallel_tool_calls=draw(st.none() | st.booleans()) if tools else None,
        sampling=draw(SAMPLINGS),
        reasoning=draw(
            st.sampled_from([ReasoningAsk(), ReasoningAsk(mode="off"), ReasoningAsk(mode="effort", effort="high")])
        ),
        output=draw(OUTPUTS),
        user=draw(st.none() | TEXT),
        metadata=draw(st.none() | st.dictionaries(NAME, TEXT, max_size=2)),
        include_usage=stream,
        dialect="openai-chat",
    )


@given(asked=requests(), field=st.sampled_from(["max_tokens", "max_completion_tokens"]))
def test_what_is_written_for_an_upstream_is_read_as_the_same_request(asked: Request, field: str) -> None:
    wire = CHAT.encode_request(
        asked, model="m", profile=Profile(max_tokens_field=field), stream=asked.stream, losses=Losses()
    ).body
    assert CHAT.read_request(wire).canon() == asked


def test_what_chat_cannot_say_is_said_as_well_as_it_can() -> None:
    asked = Request(
        model="m",
        system=(Text(text="a"), Text(text="b")),
        messages=(
            Message(
                role="user",
                parts=(
                    Text(text="q"),
                    ToolResult(
                        call_id="c",
                        is_error=True,
                        parts=(Text(text="no"), Media(kind="image", mime="image/png", data="aGk=")),
                    ),
                ),
            ),
        ),
        tools=(Tool(name="web_search", kind="hosted"),),
        sampling=Sampling(stop=tuple("abcdef")),
    )
    losses = Losses("lenient")
    profile = Profile(refused_fields=frozenset({"stop"}))
    sent = CHAT.encode_request(asked, model="m", profile=profile, stream=False, losses=losses)
    assert sent.stops == tuple("abcdef"), "they are looked for in the answer"
    assert losses.names == ("messages[0].is_error", "messages[0].content", "tools[0]")
    with pytest.raises(UnsupportedParameter, match="web_search"):
        CHAT.encode_request(asked, model="m", profile=profile, stream=False, losses=Losses())
    wire = json.loads(sent.body)
    assert wire == {
        "model": "m",
        "messages": [
            {"role": "system", "content": "a\n\nb"},
            {"role": "tool", "tool_call_id": "c", "content": "Error: no"},
            {
                "role": "user",
                "content": [{"type": "image_url", "image_url": {"url": DATA}}, {"type": "text", "text": "q"}],
            },
        ],
    }
    assert (
        len(
            json.loads(
                CHAT.encode_request(asked, model="m", profile=COMPATIBLE, stream=False, losses=Losses("lenient")).body
            )["stop"]
        )
        == 4
    )
