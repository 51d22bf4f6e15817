"""Requests: what is refused and how it is named, what passes to the same dialect, and what is read into the canon."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thalweg.canon.envelope import wrap
from thalweg.canon.errors import InvalidRequest, RequestError
from thalweg.canon.parts import Media, Opaque, Part, Reasoning, Refusal, Signature, Text, ToolCall, ToolResult
from thalweg.canon.request import Message, OutputFormat, ReasoningAsk, Request, Sampling, Tool, ToolChoice
from thalweg.dialects.openai_responses import OpenAIResponses
from thalweg.profiles.base import Profile

RESPONSES = OpenAIResponses()
NAME = "openai-responses"


def body(**fields: Any) -> bytes:
    return json.dumps({"model": "m", "input": "Hi"} | fields).encode()


def canon(**fields: Any) -> Request:
    return RESPONSES.read_request(body(**fields)).canon()


def refusal(**fields: Any) -> RequestError:
    with pytest.raises(RequestError) as caught:
        canon(**fields)
    return caught.value


# What is refused.

WRONG: dict[str, Any] = {
    "model": 5,
    "input": 5,
    "instructions": 5,
    "stream": "yes",
    "max_output_tokens": "many",
    "temperature": "hot",
    "top_p": "all",
    "top_logprobs": 1.5,
    "tools": {},
    "tool_choice": 5,
    "parallel_tool_calls": "no",
    "reasoning": "much",
    "thinking": "yes",
    "text": "plain",
    "include": "all",
    "store": "yes",
    "background": 1,
    "truncation": 5,
    "service_tier": 5,
    "metadata": {"a": 5},
    "user": 5,
    "safety_identifier": 5,
}


@pytest.mark.parametrize("field", WRONG)
def test_a_wrong_type_is_refused_and_its_field_named(field: str) -> None:
    error = refusal(**{field: WRONG[field]})
    assert isinstance(error, InvalidRequest)
    assert (error.param or "").startswith(field)


@pytest.mark.parametrize("field", [name for name in WRONG if name not in ("model", "input")])
def test_null_means_absent(field: str) -> None:
    assert canon(**{field: None}) == canon()


def test_a_body_of_nulls_is_read() -> None:
    """As ark-py sends it."""
    nulls = dict.fromkeys([*(name for name in WRONG if name not in ("model", "input")), "caching", "expire_at", "zz"])
    assert canon(**nulls) == canon()
    assert not canon(**nulls).extensions


FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "no model": ({"model": ""}, "model"),
    "no tokens": ({"max_output_tokens": 0}, "max_output_tokens"),
    "an item that is no object": ({"input": ["Hi"]}, "input[0]"),
    "an item of no type": ({"input": [{"content": "Hi"}]}, "input[0].type"),
    "a role that is none": ({"input": [{"role": "tool", "content": "Hi"}]}, "input[0].role"),
    "no content": ({"input": [{"role": "user"}]}, "input[0].content"),
    "content that is a number": ({"input": [{"role": "user", "content": 5}]}, "input[0].content"),
    "a part that is no object": ({"input": [{"role": "user", "content": [5]}]}, "input[0].content[0]"),
    "a part of no type": ({"input": [{"role": "user", "content": [{"text": "a"}]}]}, "input[0].content[0].type"),
    "a text part without text": (
        {"input": [{"role": "user", "content": [{"type": "input_text"}]}]},
        "input[0].content[0].text",
    ),
    "an image that is nowhere": (
        {"input": [{"role": "user", "content": [{"type": "input_image"}]}]},
        "input[0].content[0].image_url",
    ),
    "an image that is no base64": (
        {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "data:image/png;base64,?"}]}]},
        "input[0].content[0].image_url",
    ),
    "a file that is nowhere": (
        {"input": [{"role": "user", "content": [{"type": "input_file"}]}]},
        "input[0].content[0].file_data",
    ),
    "a file that is no base64": (
        {"input": [{"role": "user", "content": [{"type": "input_file", "file_data": "?"}]}]},
        "input[0].content[0].file_data",
    ),
    "a call without a name": ({"input": [{"type": "function_call", "call_id": "c", "arguments": ""}]}, "input[0].name"),
    "a call without an id": ({"input": [{"type": "function_call", "name": "f", "arguments": ""}]}, "input[0].call_id"),
    "a call without arguments": ({"input": [{"type": "function_call", "call_id": "c", "name": "f"}]},
        "input[0].arguments",
    ),
    "a result of no call": ({"input": [{"type": "function_call_output", "output": ""}]}, "input[0].call_id"),
    "a result of nothing": ({"input": [{"type": "function_call_output", "call_id": "c"}]}, "input[0].output"),
    "a tool of no type": ({"tools": [{"name": "f"}]}, "tools[0].type"),
    "a tool of no name": ({"tools": [{"type": "function"}]}, "tools[0].name"),
    "a tool whose name is a number": ({"tools": [{"type": "function", "name": 5}]}, "tools[0].name"),
    "parameters that are none": ({"tools": [{"type": "function", "name": "f", "parameters": 5}]}, "tools[0].parameters"),
    "a custom tool of no name": ({"tools": [{"type": "custom"}]}, "tools[0].name"),
    "a mode that is none": ({"tool_choice": "maybe"}, "tool_choice"),
    "a choice of nothing": ({"tool_choice": {"type": "function"}}, "tool_choice"),
    "no tools to choose from": ({"tool_choice": {"type": "allowed_tools", "mode": "auto"}}, "tool_choice.tools"),
}  # fmt: skip


@pytest.mark.parametrize("case", FAULTS)
def test_a_fault_names_its_path(case: str) -> None:
    fields, param = FAULTS[case]
    error = refusal(**fields)
    assert isinstance(error, InvalidRequest)
    assert error.param == param


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"null", b'{"model":"m\xff"}', b"[" * 5000])
def test_a_body_that_is_no_request_is_refused(raw: bytes) -> None:
    with pytest.raises(InvalidRequest):
        RESPONSES.read_request(raw)


@pytest.mark.parametrize("name", ["model", "stream", "input", "max_output_tokens"])
def test_a_name_that_stands_twice_is_refused(name: str) -> None:
    values = {"model": '"n"', "stream": "true", "input": '"x"', "max_output_tokens": "5"}
    twice = f', "{name}": {values[name]}'.encode() * (1 if name in ("model", "input") else 2) + b"}"
    with pytest.raises(InvalidRequest) as caught:
        RESPONSES.read_request(body()[:-1] + twice)
    assert caught.value.param == name


def test_around_the_limit_of_depth_nothing_foreign_is_raised() -> None:
    for depth in (*range(180, 220, 4), *range(850, 1000, 3)):
        deep = "[" * depth + "]" * depth
        for place in (
            '{"model":"m","input":%s}',
            '{"model":"m","input":[{"role":"user","content":%s}]}',
            '{"model":"m","input":[{"type":"x","y":%s}]}',
            '{"model":"m","input":"?","zz":%s}',
            '{"model":"m","input":"?","tools":[{"type":"function","name":"f","parameters":{"a":%s}}]}',
            '{"model":"m","input":"?","reasoning":{"zz":%s}}',
        ):
            try:
                request = RESPONSES.read_request((place % deep).encode())
                request.prompt_chars()
                request.edited(model="n", profile=Profile(), stream=True)
                request.canon()
            except RequestError:
                continue


@given(
    raw=st.one_of(
        st.binary(max_size=80),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(max_size=5),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(
                    st.sampled_from(
                        [
                            "model",
                            "input",
                            "type",
                            "role",
                            "content",
                            "text",
                            "tools",
                            "call_id",
                            "output",
                            "name",
                            "summary",
                        ]
                    ),
                    inner,
                    max_size=4,
                )
            ),
            max_leaves=12,
        ).map(lambda value: json.dumps(value).encode()),
    )
)
def test_anything_is_read_or_refused(raw: bytes) -> None:
    try:
        request = RESPONSES.read_request(raw)
        request.prompt_chars()
        request.canon()
    except RequestError:
        pass


KINDS = ["message", "function_call", "function_call_output", "custom_tool_call", "reasoning", "item_reference", "x", 5]


@given(
    item=st.dictionaries(
        st.sampled_from(["role", "content", "call_id", "name", "arguments", "output", "input", "summary", "id",
                         "encrypted_content"]),
        st.one_of(
            st.none(), st.integers(), st.sampled_from(["user", "assistant", "gw1.", "gw1.AA", "a"]),
            st.lists(st.one_of(st.none(), st.dictionaries(st.sampled_from(["type", "text", "image_url", "file_data"]),
                     st.sampled_from([None, 5, "input_text", "input_image", "input_file", "refusal", "data:,"]))),
                     max_size=2),
        ),
    ),
    kind=st.sampled_from(KINDS),
)  # fmt: skip
def test_any_item_is_read_or_refused(item: dict[str, Any], kind: Any) -> None:
    try:
        request = RESPONSES.read_request(body(input=[{"type": kind} | item]))
        request.prompt_chars()
        request.edited(model="n", profile=Profile(), stream=False)
        request.canon()
    except RequestError:
        pass


# The same dialect on both sides.


def test_editing_keeps_order_and_the_very_bytes_of_every_other_value() -> None:
    raw = b'{"zz": [1.0, 1e3],  "input":[ {"role":"user" ,"content":"\\u00e9"} ],"model":"m", "store": false}'
    edited = RESPONSES.read_request(raw).edited(model="n", profile=Profile(), stream=True)
    assert edited == (
        b'{"zz":[1.0, 1e3],"input":[ {"role":"user" ,"content":"\\u00e9"} ],"model":"n","store":false,"stream":true}'
    )


@pytest.mark.parametrize(
    ("came", "stream", "left"),
    [
        ({}, False, {}),
        ({}, True, {"stream": True}),
        ({"stream": True}, True, {"stream": True}),
        ({"stream": True}, False, {"stream": False}),
        (
            {"stream": True, "stream_options": {"include_obfuscation": False}},
            True,
            {"stream": True, "stream_options": {"include_obfuscation": False}},
        ),
        ({"stream": True, "stream_options": {"include_obfuscation": False}}, False, {"stream": False}),
    ],
)
def test_stream_and_its_options(came: dict[str, Any], stream: bool, left: dict[str, Any]) -> None:
    edited = RESPONSES.read_request(body(**came)).edited(model="n", profile=Profile(), stream=stream)
    assert json.loads(edited) == {"model": "n", "input": "Hi"} | left


def test_a_profile_may_refuse_fields() -> None:
    profile = Profile(refused_fields=frozenset({"store", "include", "truncation"}))
    request = RESPONSES.read_request(body(store=True, truncation=None))
    assert json.loads(request.edited(model="m", profile=profile, stream=False)) == {"model": "m", "input": "Hi"}
    assert request.left_out(profile) == ("store",)


FOREIGN = Signature(vendor="anthropic", model="c", kind="signature", data="S")
OWN = Signature(vendor="openai", model="m", kind="encrypted", data="X", item_id="rs_real")


def test_what_another_vendor_made_does_not_reach_the_real_one() -> None:
    items = [
        {"role": "user", "content": "Hi"},
        {"type": "reasoning", "id": "rs_gwa1", "summary": [], "encrypted_content": wrap(FOREIGN)},
        {"type": "reasoning", "id": "rs_gwa2", "summary": [], "encrypted_content": wrap(FOREIGN, "previous")},
        {"type": "reasoning", "id": "rs_gwa3", "summary": [], "encrypted_content": "gw1.broken"},
        {"type": "reasoning", "id": "rs_gwa4", "summary": [], "content": [{"type": "reasoning_text", "text": "hm"}]},
        {"type": "reasoning", "id": "rs_gwa5", "summary": [], "encrypted_content": wrap(OWN)},
        {"type": "reasoning", "id": "rs_0", "summary": [], "encrypted_content": "gAAA"},
        {
            "type": "message",
            "id": "msg_gwa6",
            "role": "assistant",
            "content": [{"type": "output_text", "text": "gw1."}],
        },
    ]
    edited = json.loads(RESPONSES.read_request(body(input=items)).edited(model="m", profile=Profile(), stream=True))
    assert edited["input"] == [
        items[0],
        {"type": "reasoning", "id": "rs_real", "summary": [], "encrypted_content": "X"},
        items[6],
        items[7],
    ]


def test_a_talk_that_only_mentions_our_marks_passes_as_it_is() -> None:
    items = [{"role": "user", "content": 'Say "gw1." and "rs_gw".'}, {"type": "x", "y": "gw1."}]
    edited = RESPONSES.read_request(body(input=items)).edited(model="m", profile=Profile(), stream=True)
    assert json.loads(edited)["input"] == items


# Items.


def user(*parts: Part) -> Message:
    return Message(role="user", parts=parts)


def assistant(*parts: Part) -> Message:
    return Message(role="assistant", parts=parts)


def said(item: dict[str, Any]) -> Part:
    (message,) = canon(input=[item]).messages
    (part,) = message.parts
    return part


def content(part: dict[str, Any]) -> Part:
    return said({"role": "user", "content": [part]})


CONTENT: dict[str, tuple[dict[str, Any], Part]] = {
    "text": ({"type": "input_text", "text": "a"}, Text(text="a")),
    "text to be kept": (
        {"type": "input_text", "text": "a", "prompt_cache_breakpoint": {"mode": "explicit", "ttl": "12h"}},
        Text(text="a", cache="1h"),
    ),
    "text to be kept a while": (
        {"type": "input_text", "text": "a", "prompt_cache_breakpoint": {"mode": "explicit"}},
        Text(text="a", cache="5m"),
    ),
    "an image's address": (
        {"type": "input_image", "image_url": "https://a.example/b.png", "detail": "low"},
        Media(kind="image", url="https://a.example/b.png", detail="low"),
    ),
    "an image's bytes": (
        {"type": "input_image", "image_url": "data:image/jpg;base64,/9g"},
        Media(kind="image", mime="image/jpeg", data="/9g="),
    ),
    "an image as Chat has it": (
        {"type": "input_image", "image_url": {"url": "https://a.example/b.png"}},
        Media(kind="image", url="https://a.example/b.png"),
    ),
    "an image by its name": (
        {"type": "input_image", "file_id": "file-1"},
        Media(kind="image", file_id="file-1", vendor="openai"),
    ),
    "a file's bytes": (
        {"type": "input_file", "file_data": "data:application/pdf;base64,JVBE", "filename": "a.pdf"},
        Media(kind="document", mime="application/pdf", data="JVBE", filename="a.pdf"),
    ),
    "a file's bare bytes": (
        {"type": "input_file", "file_data": "JVBERg=="},
        Media(kind="document", mime="application/pdf", data="JVBERg=="),
    ),
    "a file's address": (
        {"type": "input_file", "file_url": "https://a.example/b.pdf"},
        Media(kind="document", url="https://a.example/b.pdf"),
    ),
    "a file by its name": (
        {"type": "input_file", "file_id": "file-1"},
        Media(kind="document", file_id="file-1", vendor="openai"),
    ),
    "sound": (
        {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "mp3"}},
        Media(kind="audio", mime="audio/mp3", data="AAAA"),
    ),
    "a film": (
        {"type": "input_video", "video_url": "https://a.example/b.mp4"},
        Media(kind="video", url="https://a.example/b.mp4"),
    ),
    "something new": ({"type": "input_smell", "smell": 1}, Opaque(dialect=NAME, raw={"type": "input_smell", "smell": 1})),
}  # fmt: skip


@pytest.mark.parametrize("case", CONTENT)
def test_content(case: str) -> None:
    wire, part = CONTENT[case]
    assert content(wire) == part


ITEMS: dict[str, tuple[list[dict[str, Any]], list[Message]]] = {
    "an easy message": ([{"role": "user", "content": "a"}], [user(Text(text="a"))]),
    "a whole message": (
        [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "a"}], "status": "completed"}],
        [user(Text(text="a"))],
    ),
    "the model's own": (
        [
            {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "X"},
            {
                "type": "message", "id": "msg_1", "role": "assistant", "status": "completed",
                "content": [{"type": "output_text", "text": "a", "annotations": []}, {"type": "refusal", "refusal": "n"}],
            },
            {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "f", "arguments": '{"a":1}'},
            {"type": "function_call_output", "call_id": "c1", "output": "5"},
        ],
        [
            assistant(
                Reasoning(form="hidden", signature=Signature(
                    vendor="openai", model="", kind="encrypted", data="X", item_id="rs_1")),
                Text(text="a"),
                Refusal(text="n"),
                ToolCall(id="c1", name="f", arguments='{"a":1}'),
            ),
            user(ToolResult(call_id="c1", parts=(Text(text="5"),))),
        ],
    ),
    "an empty text of the model's, left out by Ark's Go SDK": (
        [
            {"role": "user", "content": "a"},
            {"type": "message", "role": "assistant", "content": [
                {"type": "output_text", "text": "b"}, {"type": "output_text", "annotations": None}]},
        ],
        [user(Text(text="a")), assistant(Text(text="b"), Text(text=""))],
    ),
    "a call of free text": (
        [
            {"type": "custom_tool_call", "call_id": "c1", "name": "f", "input": "SELECT"},
            {"type": "custom_tool_call_output", "call_id": "c1", "output": [{"type": "input_text", "text": "5"}]},
        ],
        [
            assistant(ToolCall(id="c1", name="f", arguments="SELECT", kind="custom")),
            user(ToolResult(call_id="c1", parts=(Text(text="5"),))),
        ],
    ),
    "a result with an image": (
        [{"type": "function_call_output", "call_id": "c", "output": [
            {"type": "input_text", "text": "a"}, {"type": "input_image", "image_url": "https://a.example/b.png"}]}],
        [user(ToolResult(call_id="c", parts=(Text(text="a"), Media(kind="image", url="https://a.example/b.png"))))],
    ),
    "arguments as an object": (
        [{"type": "function_call", "call_id": "c", "name": "f", "arguments": {"a": 1}}],
        [assistant(ToolCall(id="c", name="f", arguments='{"a":1}'))],
    ),
    "a call that has but its item's id": (
        [{"type": "function_call", "id": "fc_1", "name": "f", "arguments": ""}],
        [assistant(ToolCall(id="fc_1", name="f", arguments=""))],
    ),
    "a summary": (
        [{"type": "reasoning", "summary": [{"type": "summary_text", "text": "a"}, {"type": "summary_text", "text": "b"}]}],
        [assistant(Reasoning(text="a\n\nb", form="summary"))],
    ),
    "thoughts": (
        [{"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "a"}]}],
        [assistant(Reasoning(text="a"))],
    ),
    "reasoning that says nothing": ([{"type": "reasoning", "summary": []}], []),
    "a foreign signature": (
        [{"type": "reasoning", "summary": [{"type": "summary_text", "text": "a"}], "encrypted_content": wrap(FOREIGN)}],
        [assistant(Reasoning(text="a", form="summary", signature=FOREIGN))],
    ),
    "thoughts that are hidden": (
        [{"type": "reasoning", "summary": [], "encrypted_content": wrap(
            Signature(vendor="anthropic", model="c", kind="redacted", data="S"))}],
        [assistant(Reasoning(
            form="hidden", redacted=True, signature=Signature(vendor="anthropic", model="c", kind="redacted", data="S")))],
    ),
    "a broken envelope": (
        [{"type": "reasoning", "summary": [{"type": "summary_text", "text": "a"}], "encrypted_content": "gw1.?"}],
        [],
    ),
    "a signature of the call before it": (
        [
            {"type": "function_call", "call_id": "c", "name": "f", "arguments": ""},
            {"type": "reasoning", "summary": [], "encrypted_content": wrap(FOREIGN, "previous")},
        ],
        [assistant(ToolCall(id="c", name="f", arguments="", signature=FOREIGN))],
    ),
    "a signature of nothing": (
        [{"role": "user", "content": "a"}, {"type": "reasoning", "encrypted_content": wrap(FOREIGN, "previous")}],
        [user(Text(text="a"))],
    ),
    "instructions in the middle": (
        [{"role": "user", "content": "a"}, {"role": "developer", "content": "b"}, {"role": "system", "content": "c"}],
        [user(Text(text="a")), Message(role="system", parts=(Text(text="b"),)),
         Message(role="system", parts=(Text(text="c"),))],
    ),
    "a provider's own tool": (
        [{"type": "web_search_call", "id": "ws"}, {"type": "computer_call_output", "call_id": "c", "output": {}}],
        [
            assistant(Opaque(dialect=NAME, raw={"type": "web_search_call", "id": "ws"})),
            user(Opaque(dialect=NAME, raw={"type": "computer_call_output", "call_id": "c", "output": {}})),
        ],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", ITEMS)
def test_items(case: str) -> None:
    wire, messages = ITEMS[case]
    assert list(canon(input=wire).messages) == messages


def test_leading_instructions_stand_apart() -> None:
    asked = canon(
        instructions="One.",
        input=[{"role": "developer", "content": "Two."}, {"role": "system", "content": "Three."}, {"role": "user", "content": "Hi"}],
    )  # fmt: skip
    assert asked.system == (Text(text="One."), Text(text="Two."), Text(text="Three."))
    assert asked.messages == (user(Text(text="Hi")),)


def test_no_input_is_none() -> None:
    raw = json.dumps({"model": "m", "prompt": {"id": "p"}}).encode()
    asked = RESPONSES.read_request(raw).canon()
    assert asked.messages == ()
    assert asked.essential == ("prompt",)


# Fields.

FIELDS: dict[str, tuple[dict[str, Any], str, Any]] = {
    "a string": ({}, "messages", (user(Text(text="Hi")),)),
    "stream": ({"stream": True}, "stream", True),
    "sampling": (
        {"max_output_tokens": 5, "temperature": 0.5, "top_p": 0.9},
        "sampling",
        Sampling(max_tokens=5, temperature=0.5, top_p=0.9),
    ),
    "logprobs": (
        {"include": ["message.output_text.logprobs"], "top_logprobs": 3},
        "sampling",
        Sampling(logprobs=True, top_logprobs=3),
    ),
    "logprobs that were not asked for": ({"top_logprobs": 3}, "sampling", Sampling()),
    "no effort": ({"reasoning": {"effort": "none"}}, "reasoning", ReasoningAsk(mode="off")),
    "an effort": ({"reasoning": {"effort": "high"}}, "reasoning", ReasoningAsk(mode="effort", effort="high")),
    "a summary": (
        {"reasoning": {"effort": None, "summary": "detailed"}},
        "reasoning",
        ReasoningAsk(show="summary"),
    ),
    "a summary, in the old word": (
        {"reasoning": {"effort": "low", "generate_summary": "auto"}},
        "reasoning",
        ReasoningAsk(mode="effort", effort="low", show="summary"),
    ),
    "Ark's thinking": ({"thinking": {"type": "enabled"}}, "reasoning", ReasoningAsk(mode="auto")),
    "Ark's thinking, off": ({"thinking": {"type": "disabled"}}, "reasoning", ReasoningAsk(mode="off")),
    "JSON": ({"text": {"format": {"type": "json_object"}}}, "output", OutputFormat(format="json")),
    "text": ({"text": {"format": {"type": "text"}, "verbosity": "low"}}, "output", OutputFormat(verbosity="low")),
    "a schema": (
        {"text": {"format": {"type": "json_schema", "name": "n", "schema": {"a": 1}, "strict": True, "description": "d"}}},
        "output",
        OutputFormat(format="json_schema", name="n", schema={"a": 1}, strict=True, description="d"),
    ),
    "a function": (
        {"tools": [{"type": "function", "name": "f", "description": "d", "parameters": {"a": 1}, "strict": True}]},
        "tools",
        (Tool(name="f", description="d", parameters={"a": 1}, strict=True),),
    ),
    "a function of no parameters": (
        {"tools": [{"type": "function", "name": "f", "parameters": None}]}, "tools", (Tool(name="f"),)
    ),
    "a function as Chat has it": (
        {"tools": [{"type": "function", "function": {"name": "f", "parameters": {"a": 1}}}]},
        "tools",
        (Tool(name="f", parameters={"a": 1}),),
    ),
    "free text": (
        {"tools": [{"type": "custom", "name": "f", "description": "d",
                    "format": {"type": "grammar", "syntax": "lark", "definition": "x"}}]},
        "tools",
        (Tool(name="f", description="d", kind="custom", raw={"name": "f", "description": "d", "format": {
            "type": "grammar", "grammar": {"syntax": "lark", "definition": "x"}}}),),
    ),
    "a provider's own tool": (
        {"tools": [{"type": "web_search", "search_context_size": "low"}]},
        "tools",
        (Tool(name="web_search", kind="hosted", raw={"type": "web_search", "search_context_size": "low"}),),
    ),
    "a mode": ({"tool_choice": "required"}, "tool_choice", ToolChoice(mode="required")),
    "one tool": (
        {"tool_choice": {"type": "function", "name": "f"}}, "tool_choice", ToolChoice(mode="required", names=("f",))
    ),
    "one tool of free text": (
        {"tool_choice": {"type": "custom", "name": "f"}}, "tool_choice", ToolChoice(mode="required", names=("f",))
    ),
    "a provider's own": (
        {"tool_choice": {"type": "web_search"}}, "tool_choice", ToolChoice(mode="required", names=("web_search",))
    ),
    "some tools": (
        {"tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "f"},
                                                                             {"type": "mcp", "server_label": "s"}]}},
        "tool_choice",
        ToolChoice(mode="auto", names=("f", "mcp")),
    ),
    "in turn": ({"parallel_tool_calls": False}, "parallel_tool_calls", False),
    "a user": ({"user": "u"}, "user", "u"),
    "a user by the new word": ({"safety_identifier": "s"}, "user", "s"),
    "metadata": ({"metadata": {"a": "b"}}, "metadata", {"a": "b"}),
    "a tier": ({"service_tier": "flex"}, "service_tier", "flex"),
    "what every upstream does": (
        {"store": False, "background": False, "truncation": "disabled", "include": ["reasoning.encrypted_content"],
         "stream_options": {"include_obfuscation": False}},
        "extensions",
        {},
    ),
    "what only this dialect has": (
        {"store": True, "truncation": "auto", "max_tool_calls": 3, "prompt_cache_key": "k", "user": "u",
         "safety_identifier": "s", "include": ["message.output_text.logprobs", "web_search_call.results"],
         "reasoning": {"context": "auto"}, "text": {"zz": 1}, "caching": {"type": "enabled"}},
        "extensions",
        {"store": True, "truncation": "auto", "max_tool_calls": 3, "prompt_cache_key": "k", "safety_identifier": "s",
         "include": ["web_search_call.results"], "reasoning.context": "auto", "text.zz": 1,
         "caching": {"type": "enabled"}},
    ),
    "what cannot be done without": (
        {"previous_response_id": "resp_0", "conversation": {"id": "c"}, "background": True, "prompt": {"id": "p"}},
        "essential",
        ("previous_response_id", "conversation", "prompt", "background"),
    ),
    "a reference to what a provider keeps": (
        {"input": [{"type": "item_reference", "id": "msg_1"}]}, "essential", ("input[0]",)
    ),
    "the dialect": ({}, "dialect", NAME),
}  # fmt: skip


@pytest.mark.parametrize("case", FIELDS)
def test_fields(case: str) -> None:
    fields, name, value = FIELDS[case]
    assert getattr(canon(**fields), name) == value


def test_what_is_essential_is_among_the_extensions() -> None:
    for fields, _, _ in FIELDS.values():
        asked = canon(**fields)
        assert set(asked.essential) <= set(asked.extensions)


def test_the_request_s_own_attributes() -> None:
    request = RESPONSES.read_request(body(stream=True, max_output_tokens=5))
    assert (request.model, request.stream, request.max_output_tokens, request.stored) == ("m", True, 5, True)
    assert not RESPONSES.read_request(body(store=False)).stored


def test_prompt_characters() -> None:
    items = [
        {"role": "user", "content": "ab"},
        {"role": "user", "content": [{"type": "input_text", "text": "é"}, {"type": "input_image", "image_url": "x"}]},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": "ok"},
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "s"}]},
    ]
    assert RESPONSES.read_request(body(input=items, instructions="i")).prompt_chars() == (8, 1)
    assert RESPONSES.read_request(body()).prompt_chars() == (2, 0)
