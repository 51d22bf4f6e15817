"""Clients' requests: both spellings, every field, history as clients send it back, and edits in place."""

from __future__ import annotations

import json
from base64 import b64encode, urlsafe_b64encode
from typing import Any

import pytest

from tests.dialects.gemini.streams import ARRAY_TARGET, GEMINI, LEAST, PROFILE, SSE_TARGET, WHOLE_TARGET
from thalweg.canon.envelope import wrap
from thalweg.canon.errors import InvalidRequest
from thalweg.canon.parts import Media, Opaque, Part, Reasoning, Signature, Text, ToolCall, ToolResult
from thalweg.canon.request import Message, OutputFormat, ReasoningAsk, Request, Sampling, Tool, ToolChoice
from thalweg.dialects.gemini.fields import normalised
from thalweg.dialects.gemini.request import GeminiRequest
from thalweg.dialects.gemini.signatures import SKIP
from thalweg.profiles.base import Profile

FOREIGN = Signature(vendor="anthropic", model="claude", kind="signature", data="EqoB+/=")
OWN = Signature(vendor="google", model="", kind="thought", data="/+8A")


def enveloped(signature: Signature = FOREIGN, *, url_safe: bool = False) -> str:
    return (urlsafe_b64encode if url_safe else b64encode)(wrap(signature).encode()).decode()


def read(target: bytes = WHOLE_TARGET, **fields: Any) -> GeminiRequest:
    return GEMINI.read_request(json.dumps(LEAST | fields).encode(), target)


def canon(**fields: Any) -> Request:
    return read(**fields).canon()


def talk(*contents: Any) -> tuple[Message, ...]:
    return canon(contents=list(contents)).messages


def user(*parts: Any) -> dict[str, Any]:
    return {"role": "user", "parts": list(parts)}


def model(*parts: Any) -> dict[str, Any]:
    return {"role": "model", "parts": list(parts)}


def thoughts(text: str, signature: Signature | None = None, **more: Any) -> Reasoning:
    return Reasoning(text=text, form="summary", signature=signature, **more)


def test_the_target_says_model_verb_and_framing() -> None:
    for target, stream, framing in (
        (WHOLE_TARGET, False, "sse"),
        (SSE_TARGET, True, "sse"),
        (ARRAY_TARGET, True, "json-array"),
    ):
        asked = read(target)
        request = asked.canon()
        assert (asked.model, asked.stream) == ("gemini-3-flash", stream)
        assert (request.model, request.stream, request.framing) == ("gemini-3-flash", stream, framing)
        assert request.dialect == "gemini"


def test_a_model_in_the_body_must_be_the_paths() -> None:
    assert read(model="models/gemini-3-flash").model == "gemini-3-flash"
    with pytest.raises(InvalidRequest) as caught:
        read(model="models/other")
    assert caught.value.param == "model"
    assert GEMINI.read_request(json.dumps(LEAST | {"model": "m"}).encode()).model == "m"


# Both spellings.


def test_every_name_may_come_in_either_spelling() -> None:
    camel = {
        "systemInstruction": {"parts": [{"text": "s"}]},
        "contents": [
            user({"inlineData": {"mimeType": "image/png", "data": "AAEC"}}, {"fileData": {"fileUri": "gs://a/b"}}),
            model({"functionCall": {"name": "f", "args": {"a_b": {"c_d": 1}}}, "thoughtSignature": "AAEC"}),
            user({"functionResponse": {"name": "f", "response": {"x_y": {"z_z": 1}}}}),
        ],
        "tools": [{"functionDeclarations": [{"name": "f", "parametersJsonSchema": {"properties": {"a_b": {}}}}]}],
        "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f"]}},
        "generationConfig": {
            "maxOutputTokens": 5,
            "topP": 0.5,
            "stopSequences": ["x"],
            "responseMimeType": "application/json",
            "thinkingConfig": {"includeThoughts": True, "thinkingBudget": 100},
        },
    }
    snake = {
        "system_instruction": {"parts": [{"text": "s"}]},
        "contents": [
            user({"inline_data": {"mime_type": "image/png", "data": "AAEC"}}, {"file_data": {"file_uri": "gs://a/b"}}),
            model({"function_call": {"name": "f", "args": {"a_b": {"c_d": 1}}}, "thought_signature": "AAEC"}),
            user({"function_response": {"name": "f", "response": {"x_y": {"z_z": 1}}}}),
        ],
        "tools": [{"function_declarations": [{"name": "f", "parameters_json_schema": {"properties": {"a_b": {}}}}]}],
        "tool_config": {"function_calling_config": {"mode": "any", "allowed_function_names": ["f"]}},
        "generation_config": {
            "max_output_tokens": 5,
            "top_p": 0.5,
            "stop_sequences": ["x"],
            "response_mime_type": "application/json",
            "thinking_config": {"include_thoughts": True, "thinking_budget": 100},
        },
    }
    one, other = canon(**camel), canon(**snake)
    assert one == other
    (call,) = [part for part in one.messages[1].parts if isinstance(part, ToolCall)]
    assert json.loads(call.arguments) == {"a_b": {"c_d": 1}}
    assert one.tools[0].parameters == {"properties": {"a_b": {}}}
    (result,) = [part for part in one.messages[2].parts if isinstance(part, ToolResult)]
    assert result.parts == (Text(text='{"x_y":{"z_z":1}}'),)
    assert one.extensions == {}


def test_of_two_spellings_of_one_name_googles_own_counts() -> None:
    assert normalised({"top_k": 1, "topK": 2}) == {"topK": 2}
    assert normalised({"_x": 1, "a__b": [{"c_d": 1}]}) == {"_x": 1, "a_B": [{"cD": 1}]}


# The talk.

CONTENTS: dict[str, tuple[Any, list[Message]]] = {
    "a string in a list": (["?"], [Message(role="user", parts=(Text(text="?"),))]),
    "one content": ({"parts": [{"text": "?"}]}, [Message(role="user", parts=(Text(text="?"),))]),
    "one part": ({"text": "?"}, [Message(role="user", parts=(Text(text="?"),))]),
    "strings": (["a", "b"], [Message(role="user", parts=(Text(text="ab"),))]),
    "a part as a string": ([{"parts": ["a"]}], [Message(role="user", parts=(Text(text="a"),))]),
    "one part that is no list": ([{"parts": {"text": "a"}}], [Message(role="user", parts=(Text(text="a"),))]),
    "nothing but an empty text": ([user({"text": ""})], []),
    "no parts": ([user({"text": "a"}), {"role": "model"}], [Message(role="user", parts=(Text(text="a"),))]),
    "a system content": (
        [user({"text": "a"}), {"role": "system", "parts": [{"text": "s"}]}],
        [Message(role="user", parts=(Text(text="a"),)), Message(role="system", parts=(Text(text="s"),))],
    ),
}


@pytest.mark.parametrize("case", CONTENTS.values(), ids=CONTENTS)
def test_contents_in_every_shape(case: tuple[Any, list[Message]]) -> None:
    contents, expected = case
    assert list(canon(contents=contents).messages) == expected


HISTORY: dict[str, tuple[list[Any], list[Part]]] = {
    "one content for each chunk": (
        [model({"text": "a"}), model({"text": ""}), model({"text": "b"})],
        [Text(text="ab")],
    ),
    "thoughts get the signature that came behind them": (
        [model({"text": "t", "thought": True}), model({"text": "u", "thought": True}), model({"text": "", "thought": True, "thoughtSignature": enveloped(url_safe=True)}), model({"text": "a"})],
        [thoughts("tu", FOREIGN), Text(text="a")],
    ),
    "thoughts with their signature on them": (
        [model({"text": "t", "thought": True, "thoughtSignature": enveloped()})],
        [thoughts("t", FOREIGN)],
    ),
    "another vendor's signature where no thoughts were shown": (
        [model({"text": "", "thoughtSignature": enveloped()}), model({"text": "a"})],
        [thoughts("", FOREIGN), Text(text="a")],
    ),
    "a ciphertext of thoughts": (
        [model({"text": "t", "thought": True}, {"text": "", "thought": True, "thoughtSignature": enveloped(Signature(vendor="anthropic", model="", kind="redacted", data="x"))})],
        [thoughts("t"), thoughts("", Signature(vendor="anthropic", model="", kind="redacted", data="x"), redacted=True)],
    ),
    "Google's own signature on an empty text": (
        [model({"text": "a"}, {"text": "", "thoughtSignature": "_-8A"}), model({"text": "b"})],
        [Text(text="a"), Text(text="", signature=OWN), Text(text="b")],
    ),
    "a signature alone": ([model({"thoughtSignature": "_-8A"})], [Text(text="", signature=OWN)]),
    "a broken envelope": (
        [model({"text": "", "thought": True, "thoughtSignature": b64encode(b"gw1.!!").decode()}, {"text": "a"})],
        [Text(text="a")],
    ),
    "a signed call": (
        [model({"functionCall": {"name": "f", "args": {"a": 1.0}, "id": "c"}, "thoughtSignature": "/+8A"})],
        [ToolCall(id="c", name="f", arguments='{"a":1.0}', signature=OWN)],
    ),
    "what only Gemini knows": (
        [model({"executable_code": {"code": "1", "language": "PYTHON"}, "thought_signature": "/+8A"}, {})],
        [Opaque(dialect="gemini", raw={"executableCode": {"code": "1", "language": "PYTHON"}, "thoughtSignature": "/+8A"})],
    ),
    "a picture that it drew": (
        [model({"inlineData": {"mimeType": "image/png", "data": "_-8A"}})],
        [Media(kind="image", mime="image/png", data="/+8A")],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", HISTORY.values(), ids=HISTORY)
def test_a_models_turn_comes_back_in_pieces(case: tuple[list[Any], list[Part]]) -> None:
    contents, expected = case
    messages = talk(user({"text": "?"}), *contents, user({"text": "!"}))
    assert [message.role for message in messages] == ["user", "assistant", "user"]
    assert list(messages[1].parts) == expected


def called(name: str = "f", **more: Any) -> dict[str, Any]:
    return {"functionCall": {"name": name} | more}


def answered(name: str | None = "f", response: Any = None, **more: Any) -> dict[str, Any]:
    named = {} if name is None else {"name": name}
    return {"functionResponse": named | {"response": {"output": "x"} if response is None else response} | more}


RESULTS: dict[str, tuple[list[Any], list[Any], list[int]]] = {
    "by id": ([called(id="a"), called(id="b")], [answered(id="b"), answered(id="a")], [1, 0]),
    "by name": ([called("f"), called("g")], [answered("g"), answered("f")], [1, 0]),
    "by name, then by order": ([called(), called()], [answered(), answered()], [0, 1]),
    "calls with ids, results without": ([called(id="a"), called(id="b")], [answered(), answered()], [0, 1]),
    "an id and no name": ([called(id="a")], [answered(None, id="a")], [0]),
    "results with ids of their own": ([called(), called()], [answered(id="x"), answered(id="y")], [0, 1]),
    "by id after one by name": ([called("g"), called(id="a")], [answered(id="a"), answered("g")], [1, 0]),
}


@pytest.mark.parametrize("case", [*RESULTS.values()], ids=[*RESULTS])
def test_results_find_their_calls(case: tuple[list[Any], list[Any], list[int]]) -> None:
    calls, results, order = case
    _, said, back = talk(user({"text": "?"}), model(*calls), user(*results))
    ids = [part.id for part in said.parts if isinstance(part, ToolCall)]
    assert len(set(ids)) == len(calls)
    assert all(ids)
    assert [part.call_id for part in back.parts if isinstance(part, ToolResult)] == [ids[at] for at in order]


def test_made_up_ids_are_the_same_at_every_turn_and_for_every_turn_others() -> None:
    first = [user({"text": "?"}), model(called()), user(answered())]
    once, twice = talk(*first), talk(*first, model(called()), user(answered()))
    assert twice[: len(once)] == once
    ids = [part.id for message in twice for part in message.parts if isinstance(part, ToolCall)]
    assert len(set(ids)) == 2


def test_a_result_without_a_call_keeps_its_id() -> None:
    _, back = talk(model({"text": "a"}), user(answered(id="x")))
    (result,) = back.parts
    assert isinstance(result, ToolResult)
    assert result.call_id == "x"


@pytest.mark.parametrize(
    ("response", "text", "is_error"),
    [
        ({"output": "x"}, "x", False),
        ({"output": {"a": 1}}, '{"a":1}', False),
        ({"error": "x"}, "x", True),
        ({"error": {"code": 5}}, '{"code":5}', True),
        ({"result": "x"}, '{"result":"x"}', False),
        ({"output": "x", "more": 1}, '{"output":"x","more":1}', False),
        ({}, "{}", False),
        ("x", "x", False),
        (None, "", False),
    ],
)
def test_what_a_tool_answered(response: Any, text: str, is_error: bool) -> None:
    _, _, back = talk(
        user({"text": "?"}), model(called()), user({"functionResponse": {"name": "f", "response": response}})
    )
    assert back.parts == (
        ToolResult(
            call_id=getattr(back.parts[0], "call_id", ""), parts=(Text(text=text),), name="f", is_error=is_error
        ),
    )


def test_files_in_a_tools_answer() -> None:
    picture = {"inlineData": {"mimeType": "image/png", "data": "AAEC"}}
    _, _, back = talk(user({"text": "?"}), model(called()), user(answered(parts=[picture])))
    (result,) = back.parts
    assert isinstance(result, ToolResult)
    assert result.parts == (Text(text="x"), Media(kind="image", mime="image/png", data="AAEC"))


FILES: dict[str, tuple[Any, Media]] = {
    "bytes": (
        {"inlineData": {"mimeType": "image/jpg", "data": "_-8A", "displayName": "a.jpg"}},
        Media(kind="image", mime="image/jpeg", data="/+8A", filename="a.jpg"),
    ),
    "bytes that nobody named": ({"inlineData": {"data": "iVBORw0KGgo="}}, Media(kind="image", mime="image/png", data="iVBORw0KGgo=")),
    "a document": ({"inlineData": {"mimeType": "application/pdf", "data": "AAEC"}}, Media(kind="document", mime="application/pdf", data="AAEC")),
    "sound": ({"inlineData": {"mimeType": "audio/mp3", "data": "AAEC"}}, Media(kind="audio", mime="audio/mpeg", data="AAEC")),
    "looked at closely": (
        {"inlineData": {"mimeType": "image/png", "data": "AAEC"}, "mediaResolution": {"level": "MEDIA_RESOLUTION_HIGH"}},
        Media(kind="image", mime="image/png", data="AAEC", detail="high"),
    ),
    "a file of Google's": (
        {"fileData": {"fileUri": "https://generativelanguage.googleapis.com/v1beta/files/x", "mimeType": "video/mp4"}},
        Media(kind="video", mime="video/mp4", file_id="https://generativelanguage.googleapis.com/v1beta/files/x", vendor="google"),
    ),
    "a film": (
        {"fileData": {"fileUri": "https://www.youtube.com/watch?v=x"}},
        Media(kind="video", file_id="https://www.youtube.com/watch?v=x", vendor="google"),
    ),
    "any address": (
        {"fileData": {"fileUri": "https://example.com/a.png", "mimeType": "image/png"}},
        Media(kind="image", mime="image/png", url="https://example.com/a.png"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", FILES.values(), ids=FILES)
def test_files(case: tuple[Any, Media]) -> None:
    part, expected = case
    assert talk(user(part))[0].parts == (expected,)


@pytest.mark.parametrize("instruction", ["s", ["s"], {"parts": [{"text": "s"}], "role": "user"}, {"text": "s"}])
def test_an_instruction_in_every_shape(instruction: Any) -> None:
    assert canon(systemInstruction=instruction).system == (Text(text="s"),)


# Tools.


def test_tools_of_every_kind() -> None:
    request = canon(
        tools=[
            {
                "functionDeclarations": [
                    {"name": "a", "description": "d"},
                    {
                        "name": "b",
                        "parameters": {"type": "OBJECT", "properties": {"x": {"type": "STRING", "nullable": True}}},
                    },
                    {"name": "c", "parametersJsonSchema": {"type": "object"}},
                ]
            },
            {"googleSearch": {}},
            {"code_execution": {}},
        ]
    )
    assert request.tools == (
        Tool(name="a", description="d"),
        Tool(name="b", parameters={"type": "object", "properties": {"x": {"type": ["string", "null"]}}}),
        Tool(name="c", parameters={"type": "object"}),
        Tool(name="googleSearch", kind="hosted", raw={"googleSearch": {}}),
        Tool(name="codeExecution", kind="hosted", raw={"codeExecution": {}}),
    )


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"mode": "AUTO"}, ToolChoice(mode="auto")),
        ({"mode": "none"}, ToolChoice(mode="none")),
        ({"mode": "ANY"}, ToolChoice(mode="required")),
        ({"mode": "ANY", "allowedFunctionNames": ["f"]}, ToolChoice(mode="required", names=("f",))),
        ({"mode": "MODE_UNSPECIFIED"}, None),
        ({}, None),
    ],
)
def test_tool_choice(config: Any, expected: ToolChoice | None) -> None:
    assert canon(toolConfig={"functionCallingConfig": config}).tool_choice == expected


def test_a_strict_choice_is_told_apart() -> None:
    request = canon(toolConfig={"functionCallingConfig": {"mode": "VALIDATED", "allowedFunctionNames": ["f"]}})
    assert request.tool_choice == ToolChoice(mode="auto", names=("f",))
    assert request.extensions == {"toolConfig.functionCallingConfig.mode": "VALIDATED"}


# How the answer is made.


def test_sampling() -> None:
    request = canon(
        generationConfig={
            "temperature": 2,
            "topP": 0.5,
            "topK": 3.0,
            "candidateCount": 2,
            "maxOutputTokens": "100",
            "stopSequences": ["x"],
            "presencePenalty": 0.1,
            "frequencyPenalty": 0.2,
            "seed": 7,
            "responseLogprobs": True,
            "logprobs": 3,
        }
    )
    assert request.sampling == Sampling(
        max_tokens=100,
        temperature=2,
        top_p=0.5,
        top_k=3,
        n=2,
        stop=("x",),
        presence_penalty=0.1,
        frequency_penalty=0.2,
        seed=7,
        logprobs=True,
        top_logprobs=3,
    )
    assert read(generationConfig={"maxOutputTokens": 9}).max_output_tokens == 9


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({}, ReasoningAsk(show="none")),
        ({"includeThoughts": True}, ReasoningAsk(mode="auto", show="summary")),
        ({"includeThoughts": False}, ReasoningAsk(show="none")),
        ({"thinkingBudget": 0}, ReasoningAsk(mode="off", show="none")),
        ({"thinkingBudget": -1}, ReasoningAsk(mode="auto", show="none")),
        ({"thinkingBudget": 99}, ReasoningAsk(mode="budget", budget_tokens=99, show="none")),
        ({"thinkingLevel": "HIGH"}, ReasoningAsk(mode="effort", effort="high", show="none")),
        ({"thinkingLevel": "low", "thinkingBudget": 5}, ReasoningAsk(mode="effort", effort="low", show="none")),
        ({"thinkingLevel": "THINKING_LEVEL_UNSPECIFIED"}, ReasoningAsk(show="none")),
    ],
)
def test_thinking(config: Any, expected: ReasoningAsk) -> None:
    assert canon(generationConfig={"thinkingConfig": config}).reasoning == expected


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"responseMimeType": "text/plain"}, OutputFormat()),
        ({"responseMimeType": "application/json"}, OutputFormat(format="json")),
        (
            {"responseMimeType": "application/json", "responseSchema": {"type": "OBJECT", "nullable": True}},
            OutputFormat(format="json_schema", schema={"type": ["object", "null"]}),
        ),
        (
            {"responseMimeType": "application/json", "responseJsonSchema": {"type": "object"}},
            OutputFormat(format="json_schema", schema={"type": "object"}),
        ),
        (
            {"responseMimeType": "text/x.enum", "responseSchema": {"type": "STRING", "enum": ["a"]}},
            OutputFormat(format="json_schema", schema={"type": "string", "enum": ["a"]}),
        ),
        ({"responseModalities": ["TEXT", "IMAGE"]}, OutputFormat(modalities=("text", "image"))),
    ],
)
def test_the_shape_of_the_answer(config: Any, expected: OutputFormat) -> None:
    assert canon(generationConfig=config).output == expected


def test_a_bare_word_for_an_answer_is_told_apart() -> None:
    request = canon(generationConfig={"responseMimeType": "text/x.enum", "responseSchema": {"enum": ["a"]}})
    assert request.extensions == {"generationConfig.responseMimeType": "text/x.enum"}


def test_fields_that_only_gemini_knows_are_named() -> None:
    request = canon(
        safety_settings=[{"category": "x", "threshold": "y"}],
        cachedContent="cachedContents/x",
        store=True,
        labels={"a_b": "c"},
        serviceTier="STANDARD",
        generationConfig={"speechConfig": {"x": 1}, "mediaResolution": "MEDIA_RESOLUTION_LOW"},
        toolConfig={"retrievalConfig": {"x": 1}, "functionCallingConfig": {"streamFunctionCallArguments": True}},
        newField={},
    )
    assert set(request.extensions) == {
        "safetySettings",
        "cachedContent",
        "store",
        "generationConfig.speechConfig",
        "generationConfig.mediaResolution",
        "toolConfig.retrievalConfig",
        "toolConfig.functionCallingConfig.streamFunctionCallArguments",
    }
    assert request.essential == ("cachedContent",)
    assert request.metadata == {"a_b": "c"}
    assert request.service_tier == "default"


# What is refused.

WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "contents of numbers": ({"contents": [5]}, "contents[0]"),
    "no contents": ({"contents": []}, "contents"),
    "contents null": ({"contents": None}, "contents"),
    "a text that is a number": ({"contents": [{"parts": [{"text": 5}]}]}, "contents[0].parts[0].text"),
    "a role that is none": ({"contents": [{"role": "owner", "parts": [{"text": "x"}]}]}, "contents[0].role"),
    "a call without a name": ({"contents": [model({"functionCall": {}})]}, "contents[0].parts[0].functionCall.name"),
    "arguments that are no object": ({"contents": [model(called(args=[1]))]}, "contents[0].parts[0].functionCall.args"),
    "data that is no base64": ({"contents": [user({"inlineData": {"data": "?!"}})]}, "contents[0].parts[0].inlineData.data"),
    "a tool without a name": ({"tools": [{"functionDeclarations": [{}]}]}, "tools[0].functionDeclarations[0].name"),
    "a mode that is none": ({"toolConfig": {"functionCallingConfig": {"mode": "SOME"}}}, "toolConfig.functionCallingConfig.mode"),
    "a temperature that is none": ({"generationConfig": {"temperature": "warm"}}, "generationConfig.temperature"),
    "half a token": ({"generation_config": {"max_output_tokens": 1.5}}, "generationConfig.maxOutputTokens"),
    "less than no tokens": ({"generationConfig": {"maxOutputTokens": -1}}, "generationConfig.maxOutputTokens"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_named(case: tuple[dict[str, Any], str]) -> None:
    fields, param = case
    with pytest.raises(InvalidRequest) as caught:
        canon(**fields)
    assert caught.value.param == param
    error = json.loads(GEMINI.encode_error(caught.value).body)["error"]
    assert (error["code"], error["status"]) == (400, "INVALID_ARGUMENT")
    assert error["details"][-1]["fieldViolations"][0]["field"] == param


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'"x"',
        b"{}",
        b"\xff",
        b'{"contents":"a"}',
        b'{"contents":["a"],"contents":["b"]}',
        b'{"contents":' + b"[" * 5000,
    ],
)
def test_bodies_that_are_none(body: bytes) -> None:
    with pytest.raises(InvalidRequest):
        GEMINI.read_request(body, WHOLE_TARGET).canon()


def test_deep_nesting_is_refused_or_read_but_raises_nothing_foreign() -> None:
    for depth in range(200, 1000, 40):
        deep = b"[" * depth + b"]" * depth
        for body in (
            b'{"contents":["a"],"x":%s}',
            b'{"contents":[{"role":"model","parts":[{"functionCall":{"name":"f","args":{"a":%s}}}]}]}',
        ):
            try:
                GEMINI.read_request(body % deep, WHOLE_TARGET).canon()
            except InvalidRequest as error:
                assert "nested" in str(error)  # either is right


def test_prompt_characters_are_counted() -> None:
    assert read(systemInstruction="深", contents=[user({"text": "abc"})]).prompt_chars() == (3, 1)


# For an upstream of the same dialect.


def edited(body: bytes, *, name: str = "gemini-3-pro", profile: Profile = PROFILE) -> bytes:
    return GEMINI.read_request(body, SSE_TARGET).edited(model=name, profile=profile, stream=True)


def test_a_body_passes_as_it_came() -> None:
    body = b'{ "contents": [ {"parts":[{"text":"caf\\u00e9"}]} ],\n "generation_config":{"topK":3.0}, "unknown":1 }'
    assert edited(body) == body
    assert GEMINI.read_request(body, SSE_TARGET).left_out(PROFILE) == ()


def test_a_models_name_in_the_body_is_the_upstreams() -> None:
    assert json.loads(edited(b'{"model":"models/gemini-3-flash","contents":["a"]}'))["model"] == "models/gemini-3-pro"


def test_refused_fields_are_left_out_in_either_spelling() -> None:
    profile = Profile(refused_fields=frozenset({"safetySettings", "labels"}))
    body = b'{"safety_settings":[1],"contents":["a"],"labels":null}'
    assert edited(body, profile=profile) == b'{"contents":["a"]}'
    assert GEMINI.read_request(body, SSE_TARGET).left_out(profile) == ("safety_settings",)


def test_signatures_of_other_vendors_do_not_reach_google() -> None:
    alien, mine = enveloped(), "AAEC"
    parts: list[Any] = [
        {"text": "t", "thought": True, "thoughtSignature": alien},
        {"text": "", "thought_signature": alien},
        {"text": "a", "thoughtSignature": alien},
        {"text": "", "thoughtSignature": mine},
        {"functionCall": {"name": "f", "args": {"x": 1.0}}, "thoughtSignature": alien},
        {"functionCall": {"name": "g"}, "thought_signature": alien},
    ]
    contents = [user({"text": "?"}), model({"text": "", "thoughtSignature": alien}), model(*parts), user({"text": "!"})]
    body = json.dumps({"contents": contents, "generationConfig": {"topK": 3.0}}).encode()
    left = [
        {"text": "a"},
        {"text": "", "thoughtSignature": mine},
        {"functionCall": {"name": "f", "args": {"x": 1.0}}, "thoughtSignature": SKIP},
        {"functionCall": {"name": "g"}},
    ]
    assert json.loads(edited(body))["contents"] == [contents[0], model(*left), contents[3]]
    assert b"Z3cxL" not in edited(body)
    older = json.loads(edited(body, name="gemini-2.5-pro"))["contents"][1]["parts"]
    assert older[2] == {"functionCall": {"name": "f", "args": {"x": 1.0}}}


CALLS = {"functionCall": {"name": "f", "args": {"x": 1.0}}}
"""A call whose signature is lost."""
DONE = user({"functionResponse": {"name": "f", "response": {"output": 1}}})


def signed(part: Any, value: str = SKIP) -> Any:
    return part | {"thoughtSignature": value}


LOST: dict[str, tuple[list[Any], list[Any]]] = {
    "a call": ([user({"text": "?"}), model(CALLS), DONE], [user({"text": "?"}), model(signed(CALLS)), DONE]),
    "behind a text": (
        [user({"text": "?"}), model({"text": "a"}, CALLS), DONE],
        [user({"text": "?"}), model({"text": "a"}, signed(CALLS)), DONE],
    ),
    "of two at once the first": (
        [user({"text": "?"}), model(CALLS, CALLS), model(CALLS), DONE],
        [user({"text": "?"}), model(signed(CALLS), CALLS), model(CALLS), DONE],
    ),
    "in every step": (
        [user({"text": "?"}), model(CALLS), DONE, model(CALLS), DONE],
        [user({"text": "?"}), model(signed(CALLS)), DONE, model(signed(CALLS)), DONE],
    ),
    "where it is not lost": (
        [user({"text": "?"}), model(signed(CALLS, "AAEC"), CALLS), DONE, model(CALLS), DONE],
        [user({"text": "?"}), model(signed(CALLS, "AAEC"), CALLS), DONE, model(signed(CALLS)), DONE],
    ),
    "where it is empty": (
        [user({"text": "?"}), model(CALLS | {"thought_signature": ""}), DONE],
        [user({"text": "?"}), model(signed(CALLS)), DONE],
    ),
}


@pytest.mark.parametrize("case", LOST)
@pytest.mark.parametrize("name", ["gemini-3-pro", "gemini-flash-latest", "agent"])
def test_a_call_that_has_lost_its_signature_gets_the_mark_for_that(case: str, name: str) -> None:
    came, sent = LOST[case]
    body = json.dumps({"contents": came, "generationConfig": {"topK": 3.0}}, indent=1).encode()
    changed = edited(body, name=name)
    assert json.loads(changed) == {"contents": sent, "generationConfig": {"topK": 3.0}}
    assert b'"x": 1.0' in changed
    assert edited(changed, name=name) == changed
    assert edited(body, name=name, profile=Profile()) == body
    assert edited(body, name="gemini-2.5-pro") == body


@pytest.mark.parametrize(
    "contents",
    [
        [user({"text": "?"}), model(CALLS), DONE, model({"text": "a"}), user({"text": "!"})],
        [user({"text": "?"}), model(CALLS), user(*DONE["parts"], {"text": "!"})],
        [user({"text": "?"}), model(signed(CALLS, "AAEC"), CALLS), DONE],
        [user({"text": "?"}), model({"text": "a"})],
        [{"parts": [CALLS]}],
    ],
    ids=["a turn that is over", "results with a word", "none lost", "no call", "a call of nobody's"],
)
def test_no_other_signature_is_missed(contents: list[Any]) -> None:
    body = json.dumps({"contents": contents}).encode()
    assert edited(body) == body


def test_what_only_looks_like_an_envelope_stays() -> None:
    lookalike = b64encode(b"gw1/" + b"x" * 8).decode()
    body = json.dumps(
        {"contents": [model({"text": "a", "thoughtSignature": lookalike}), user({"text": "Z3cxL"})]}
    ).encode()
    assert json.loads(edited(body)) == json.loads(body)


# Files.

HERE, THERE = "https://a.example/x.png", "https://b.example/y.png"
FILLED = {"inlineData": {"mimeType": "image/png", "data": "AAAA"}}


def located(url: str, **more: Any) -> dict[str, Any]:
    return {"fileData": {"fileUri": url, "mimeType": "image/jpeg"}} | more


@pytest.mark.parametrize(
    ("contents", "named", "left"),
    [
        ([user({"text": HERE})], False, [user({"text": HERE})]),
        ([user(located(HERE), located(THERE))], True, [user(FILLED, located(THERE))]),
        (
            [user(located(HERE, videoMetadata={"fps": 1.0}))],
            True,
            [user(FILLED | {"videoMetadata": {"fps": 1.0}})],
        ),
        ([user({"file_data": {"file_uri": HERE}}), model({"text": "a"})], True, [user(FILLED), model({"text": "a"})]),
        (
            [user({"functionResponse": {"name": "f", "response": {"a": 1.0}, "parts": [located(HERE)]}})],
            True,
            [user({"functionResponse": {"name": "f", "response": {"a": 1.0}, "parts": [FILLED]}})],
        ),
        (user(located(HERE)), True, [user(FILLED)]),
        ([{"parts": located(HERE)}], True, [{"parts": located(HERE)}]),
    ],
    ids=["none", "one of two", "with more", "in the other spelling", "in a response", "one content", "in no list"],
)  # fmt: skip
def test_files_are_put_in_the_place_of_their_addresses(contents: Any, named: bool, left: Any) -> None:
    body = json.dumps({"contents": contents, "generationConfig": {"topK": 3.0}}).encode()
    asked = GEMINI.read_request(body, SSE_TARGET)
    assert asked.names_files() is named
    filled = json.loads(asked.filled(body, {HERE: ("image/png", "AAAA")}))
    assert filled == {"contents": left, "generationConfig": {"topK": 3.0}}
