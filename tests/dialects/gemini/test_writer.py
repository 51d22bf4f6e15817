"""Requests of other dialects' clients, for a Gemini upstream, and what each loses."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.dialects.gemini.streams import GEMINI, PROFILE, WHOLE_TARGET
from thalweg.canon.errors import UnsupportedParameter
from thalweg.canon.losses import Losses, Strictness
from thalweg.canon.parts import Media, Opaque, Part, Reasoning, Refusal, Signature, Text, ToolCall, ToolResult
from thalweg.canon.request import Message, OutputFormat, ReasoningAsk, Request, Sampling, Tool, ToolChoice
from thalweg.dialects.base import UpstreamBody
from thalweg.dialects.gemini.signatures import SKIP
from thalweg.profiles.base import Profile

OWN = Signature(vendor="google", model="g", kind="thought", data="_-8A")
FOREIGN = Signature(vendor="anthropic", model="c", kind="signature", data="x")


def user(*parts: Part | str) -> Message:
    return Message(role="user", parts=tuple(Text(text=part) if isinstance(part, str) else part for part in parts))


def assistant(*parts: Part | str) -> Message:
    return Message(role="assistant", parts=tuple(Text(text=part) if isinstance(part, str) else part for part in parts))


def sent(
    *messages: Message, model: str = "gemini-3-pro", strictness: Strictness = "default", **fields: Any
) -> tuple[UpstreamBody, dict[str, Any], tuple[str, ...]]:
    asked = Request(model="m", messages=messages or (user("?"),), **({"dialect": "openai-chat"} | fields))
    losses = Losses(strictness)
    written = GEMINI.encode_request(asked, model=model, profile=PROFILE, stream=True, losses=losses)
    wire = json.loads(written.body)
    GEMINI.read_request(written.body, WHOLE_TARGET).canon()
    return written, wire, losses.names


def body(*messages: Message, **fields: Any) -> dict[str, Any]:
    return sent(*messages, **fields)[1]


def lost(*messages: Message, **fields: Any) -> tuple[str, ...]:
    return sent(*messages, **fields)[2]


def contents(*messages: Message, **fields: Any) -> list[Any]:
    return [(each["role"], each["parts"]) for each in body(*messages, **fields)["contents"]]


def refused(*messages: Message, **fields: Any) -> str:
    with pytest.raises(UnsupportedParameter) as caught:
        sent(*messages, **fields)
    assert caught.value.param is not None
    return caught.value.param


CALL = ToolCall(id="c", name="f", arguments='{"a": 1}')
RESULT = ToolResult(call_id="c", parts=(Text(text="r"),), name="f")
SAID = {"functionCall": {"name": "f", "args": {"a": 1}, "id": "c"}}
DONE = {"functionResponse": {"name": "f", "response": {"output": "r"}, "id": "c"}}


def test_the_least_request() -> None:
    assert body() == {
        "contents": [{"role": "user", "parts": [{"text": "?"}]}],
        "generationConfig": {"thinkingConfig": {"includeThoughts": True}},
    }


def test_instructions_stand_apart() -> None:
    wire = body(system=(Text(text="a"), Text(text="b")))
    assert wire["systemInstruction"] == {"parts": [{"text": "a"}, {"text": "b"}]}


# The talk.


def test_a_talk_begins_and_ends_with_the_user() -> None:
    assert contents(assistant("a")) == [
        ("user", [{"text": ""}]),
        ("model", [{"text": "a"}]),
        ("user", [{"text": "Continue."}]),
    ]
    assert lost(assistant("a")) == ("messages",)
    assert contents(assistant("a"), user("b"))[0] == ("user", [{"text": ""}])
    assert lost(assistant("a"), user("b")) == ()
    assert refused(user("a"), assistant("b"), strictness="strict") == "messages"


def test_an_instruction_in_the_middle_stays_in_its_place() -> None:
    system = Message(role="system", parts=(Text(text="s"),))
    assert contents(user("a"), system, assistant("b"), user("c"))[1] == ("user", [{"text": "<system>s</system>"}])
    assert lost(user("a"), system) == ("messages",)


def test_results_have_a_content_of_their_own() -> None:
    assert contents(user("?"), assistant("x", CALL), user(RESULT, "y"))[1:] == [
        ("model", [{"text": "x"}, SAID]),
        ("user", [DONE]),
        ("user", [{"text": "y"}]),
    ]


@pytest.mark.parametrize(
    ("text", "is_error", "response"),
    [
        ("r", False, {"output": "r"}),
        ('{"a": 1.0}', False, {"a": 1.0}),
        ("[1]", False, {"output": "[1]"}),
        ("5", False, {"output": "5"}),
        ('"{}"', False, {"output": '"{}"'}),
        ("", False, {"output": ""}),
        ("bad", True, {"error": "bad"}),
        ('{"a":1}', True, {"error": '{"a":1}'}),
    ],
)
def test_what_a_tool_answered(text: str, is_error: bool, response: Any) -> None:
    result = ToolResult(call_id="c", parts=(Text(text=text),), is_error=is_error)
    found = contents(user("?"), assistant(CALL), user(result))[2][1][0]["functionResponse"]
    assert found == {"name": "f", "response": response, "id": "c"}


def test_a_file_in_a_tools_answer_goes_with_it_or_behind_it() -> None:
    result = ToolResult(call_id="c", parts=(Text(text="r"), Media(kind="image", mime="image/png", data="AAEC")))
    file = {"inlineData": {"mimeType": "image/png", "data": "AAEC"}}
    talk = (user("?"), assistant(CALL), user(result))
    assert contents(*talk)[2] == ("user", [{"functionResponse": DONE["functionResponse"] | {"parts": [file]}}])
    assert contents(*talk, model="gemini-2.5-pro")[2:] == [("user", [DONE]), ("user", [file])]
    assert lost(*talk, model="gemini-2.5-pro") == ("messages",)


@pytest.mark.parametrize(
    ("arguments", "args", "names"),
    [
        ("", {}, ()),
        ('{"a": 1.0}', {"a": 1.0}, ()),
        ('"{\\"a\\":1}"', {"a": 1}, ()),
        ("[1]", {"_raw": "[1]"}, ("messages",)),
        ('{"a', {"_raw": '{"a'}, ("messages",)),
    ],
)
def test_arguments_are_an_object(arguments: str, args: Any, names: tuple[str, ...]) -> None:
    talk = (user("?"), assistant(ToolCall(id="c", name="f", arguments=arguments)), user(RESULT))
    assert contents(*talk)[1][1][0]["functionCall"]["args"] == args
    assert lost(*talk) == names


def test_thoughts_go_back_only_to_who_signed_them() -> None:
    thoughts = [Reasoning(text="a", signature=OWN), Reasoning(text="b", signature=FOREIGN), Reasoning(text="c")]
    assert contents(user("?"), assistant(*thoughts, "x"), user("y"))[1] == (
        "model",
        [{"text": "a", "thought": True, "thoughtSignature": "/+8A"}, {"text": "x"}],
    )


def test_signatures_stand_on_their_very_parts() -> None:
    signed = [
        Text(text="a"),
        Text(text="", signature=OWN),
        Text(text="b", signature=OWN),
        Text(text="", signature=FOREIGN),
    ]
    assert contents(user("?"), assistant(*signed), user("y"))[1][1] == [
        {"text": "a"},
        {"text": "", "thoughtSignature": "/+8A"},
        {"text": "b", "thoughtSignature": "/+8A"},
    ]


def signatures(*messages: Message, model: str = "gemini-3-pro") -> list[str | None]:
    return [
        part.get("thoughtSignature")
        for role, parts in contents(*messages, model=model)
        for part in parts
        if "functionCall" in part
    ]


def call(at: int, signature: Signature | None = None) -> ToolCall:
    return ToolCall(id=f"c{at}", name="f", arguments="{}", signature=signature)


def results(*at: int) -> Message:
    return user(*(ToolResult(call_id=f"c{each}", parts=(Text(text="r"),)) for each in at))


def test_a_lost_signature_is_marked_on_the_first_call_of_each_step_of_the_turn_that_goes_on() -> None:
    talk = (
        user("?"), assistant(call(0)), results(0), assistant("done"),
        user("!"), assistant("x", call(1), call(2)), results(1, 2), assistant(call(3, OWN), call(4)), results(3, 4),
        assistant(call(5, FOREIGN)), results(5),
    )  # fmt: skip
    assert signatures(*talk) == [None, SKIP, None, "/+8A", None, SKIP]
    assert signatures(*talk, model="gemini-2.5-flash") == [None, None, None, "/+8A", None, None]
    assert signatures(*talk, model="gemini-flash-latest")[1] == SKIP


def test_what_another_api_alone_knows_is_dropped_and_a_refusal_becomes_a_text() -> None:
    assert lost(user("?"), assistant(Opaque(dialect="anthropic", raw={}), "a"), user("!")) == ("messages",)
    talk = (user("?"), assistant(Refusal(text="no")), user("!"))
    assert contents(*talk)[1] == ("model", [{"text": "no"}])
    assert lost(*talk) == ("messages",)


MEDIA: dict[str, tuple[Media, Any]] = {
    "bytes": (Media(kind="image", mime="image/webp", data="AAEC"), {"inlineData": {"mimeType": "image/webp", "data": "AAEC"}}),
    "bytes that nobody named": (Media(kind="document", data="AAEC"), {"inlineData": {"mimeType": "application/pdf", "data": "AAEC"}}),
    "sound": (Media(kind="audio", mime="audio/wav", data="AAEC"), {"inlineData": {"mimeType": "audio/wav", "data": "AAEC"}}),
    "a file of Google's": (Media(kind="video", file_id="https://x/files/y", vendor="google", mime="video/mp4"), {"fileData": {"fileUri": "https://x/files/y", "mimeType": "video/mp4"}}),
    "a film": (Media(kind="video", url="https://youtu.be/x"), {"fileData": {"fileUri": "https://youtu.be/x"}}),
}  # fmt: skip


@pytest.mark.parametrize("case", MEDIA.values(), ids=MEDIA)
def test_files(case: tuple[Media, Any]) -> None:
    media, expected = case
    assert contents(user(media)) == [("user", [expected])]


@pytest.mark.parametrize(
    "media",
    [Media(kind="image", url="https://example.com/a.png"), Media(kind="document", file_id="file-1", vendor="openai")],
)
def test_files_that_it_cannot_open_are_refused(media: Media) -> None:
    assert refused(user("?", media)) == "messages"
    assert contents(user("?", media), strictness="lenient") == [("user", [{"text": "?"}])]


def test_how_closely_to_look() -> None:
    near, far = (Media(kind="image", mime="image/png", data="AAEC", detail=detail) for detail in ("high", "low"))
    assert body(user(near, near))["generationConfig"]["mediaResolution"] == "MEDIA_RESOLUTION_HIGH"
    assert "mediaResolution" not in body(user(near, far))["generationConfig"]


# Tools.

F = Tool(name="f", description="d", parameters={"type": "object", "properties": {"a": {"const": "x"}}})
G = Tool(name="g", parameters={"type": "object", "properties": {}})


def test_tools_are_declared_in_the_field_of_their_generation() -> None:
    assert body(tools=(F, G))["tools"] == [
        {
            "functionDeclarations": [
                {
                    "name": "f",
                    "description": "d",
                    "parametersJsonSchema": {"type": "object", "properties": {"a": {"enum": ["x"], "type": "string"}}},
                },
                {"name": "g"},
            ]
        }
    ]
    older = body(tools=(F,), model="gemini-2.0-flash")["tools"][0]["functionDeclarations"][0]
    assert older["parameters"]["type"] == "OBJECT"


@pytest.mark.parametrize(
    ("choice", "config", "offered"),
    [
        (None, None, ["f", "g"]),
        (ToolChoice(mode="auto"), None, ["f", "g"]),
        (ToolChoice(mode="none"), {"mode": "NONE"}, ["f", "g"]),
        (ToolChoice(mode="required"), {"mode": "ANY"}, ["f", "g"]),
        (ToolChoice(mode="required", names=("g",)), {"mode": "ANY", "allowedFunctionNames": ["g"]}, ["f", "g"]),
        (ToolChoice(mode="auto", names=("g",)), None, ["g"]),
    ],
)
def test_tool_choice(choice: ToolChoice | None, config: Any, offered: list[str]) -> None:
    wire = body(tools=(F, G), tool_choice=choice)
    assert wire.get("toolConfig") == (None if config is None else {"functionCallingConfig": config})
    assert [each["name"] for each in wire["tools"][0]["functionDeclarations"]] == offered


def test_a_choice_without_tools_is_none() -> None:
    assert "toolConfig" not in body(tool_choice=ToolChoice(mode="none"))


def test_names_that_gemini_refuses_get_others() -> None:
    odd = Tool(name="3-x y")
    talk = (
        user("?"),
        assistant(ToolCall(id="c", name="3-x y", arguments="{}")),
        user(ToolResult(call_id="c", parts=())),
    )
    written, wire, _ = sent(*talk, tools=(odd, F), tool_choice=ToolChoice(mode="required", names=("3-x y",)))
    (alias,) = written.tool_names
    assert written.tool_names == {alias: "3-x y"}
    assert wire["tools"][0]["functionDeclarations"][0]["name"] == alias
    assert wire["contents"][1]["parts"][0]["functionCall"]["name"] == alias
    assert wire["contents"][2]["parts"][0]["functionResponse"]["name"] == alias
    assert wire["toolConfig"]["functionCallingConfig"]["allowedFunctionNames"] == [alias]
    assert sent(tools=(odd,))[0].tool_names == written.tool_names


def test_free_text_tools_become_functions_of_one_argument() -> None:
    free = Tool(name="p", kind="custom", raw={"name": "p", "description": "d"})
    written, wire, names = sent(tools=(free,))
    assert written.wrapped_tools == {"p"}
    (declared,) = wire["tools"][0]["functionDeclarations"]
    assert declared["description"] == "d"
    assert declared["parametersJsonSchema"]["required"] == ["input"]
    assert names == ("tools[0]",)
    talk = (user("?"), assistant(ToolCall(id="c", name="p", arguments="x", kind="custom")), user(RESULT))
    assert contents(*talk, tools=(free,))[1][1][0]["functionCall"]["args"] == {"input": "x"}


def test_tools_of_other_providers_are_refused() -> None:
    assert refused(tools=(F, Tool(name="web_search", kind="hosted", raw={}))) == "tools[1]"


# How the answer is made.


def test_sampling() -> None:
    sampling = Sampling(
        max_tokens=5, temperature=0.5, top_p=0.1, top_k=3, presence_penalty=0.2, frequency_penalty=0.3, seed=7, n=2,
        stop=("a", "b", "c", "d", "e", "f"), logprobs=True, top_logprobs=4,
    )  # fmt: skip
    written, wire, names = sent(sampling=sampling, dialect="anthropic")
    assert wire["generationConfig"] == {
        "maxOutputTokens": 5, "temperature": 0.5, "topP": 0.1, "topK": 3, "presencePenalty": 0.2, "frequencyPenalty": 0.3,
        "seed": 7, "candidateCount": 2, "stopSequences": ["a", "b", "c", "d", "e"], "responseLogprobs": True, "logprobs": 4,
    }  # fmt: skip
    assert written.stops == ("f",)
    assert names == ()


DROPPED: dict[str, tuple[dict[str, Any], str]] = {
    "logit_bias": ({"sampling": Sampling(logit_bias={"1": 1.0})}, "logit_bias"),
    "a great seed": ({"sampling": Sampling(seed=2**40)}, "seed"),
    "one call at a time": ({"parallel_tool_calls": False}, "parallel_tool_calls"),
    "a user": ({"user": "u"}, "user"),
    "metadata": ({"metadata": {"a": "b"}}, "metadata"),
    "verbosity": ({"output": OutputFormat(verbosity="low")}, "verbosity"),
    "a strict tool": ({"tools": (Tool(name="f", strict=True),)}, "tools[0].strict"),
    "a cache mark": ({"system": (Text(text="s", cache="5m"),)}, "cache_control"),
    "thinking that cannot be switched off": ({"reasoning": ReasoningAsk(mode="off")}, "reasoning_effort"),
}


@pytest.mark.parametrize("case", DROPPED.values(), ids=DROPPED)
def test_what_is_lost_is_named_and_refused_to_the_strict(case: tuple[dict[str, Any], str]) -> None:
    fields, name = case
    assert lost(**fields) == (name,)
    assert refused(strictness="strict", **fields) == name


def test_several_calls_at_a_time_are_usual() -> None:
    assert lost(parallel_tool_calls=True) == ()


def test_a_seed_fits() -> None:
    assert abs(body(sampling=Sampling(seed=2**40))["generationConfig"]["seed"]) < 2**31
    assert body(sampling=Sampling(seed=-5))["generationConfig"]["seed"] == -5


def test_nothing_at_all_cannot_be_asked_for() -> None:
    assert refused(sampling=Sampling(max_tokens=0)) == "max_tokens"


def test_a_schema_for_the_answer() -> None:
    output = OutputFormat(format="json_schema", name="x", schema={"type": "object", "$schema": "y"}, strict=True)
    assert body(output=output, dialect="anthropic")["generationConfig"] == {
        "responseMimeType": "application/json",
        "responseJsonSchema": {"type": "object"},
    }
    older = body(output=output, dialect="anthropic", model="gemini-2.0-flash")["generationConfig"]
    assert older["responseSchema"] == {"type": "OBJECT"}
    assert body(output=OutputFormat(format="json"), dialect="anthropic")["generationConfig"] == {
        "responseMimeType": "application/json"
    }
    assert refused(output=output, tools=(F,), model="gemini-2.5-pro") == "response_format"
    assert lost(output=output, tools=(F,)) == ()


def test_pictures_in_the_answer() -> None:
    assert body(output=OutputFormat(modalities=("text", "image")))["generationConfig"]["responseModalities"] == [
        "TEXT",
        "IMAGE",
    ]
    assert "responseModalities" not in body(output=OutputFormat(modalities=("text",)))["generationConfig"]


@pytest.mark.parametrize(
    ("tier", "said"), [("flex", "flex"), ("priority", "priority"), ("default", None), ("auto", None)]
)
def test_service_tiers(tier: str, said: str | None) -> None:
    assert body(service_tier=tier).get("serviceTier") == said


@pytest.mark.parametrize(
    ("dialect", "ask", "shown"),
    [
        ("openai-chat", ReasoningAsk(), True),
        ("anthropic", ReasoningAsk(), False),
        ("anthropic", ReasoningAsk(mode="auto"), True),
        ("anthropic", ReasoningAsk(mode="auto", show="none"), False),
        ("openai-responses", ReasoningAsk(show="summary"), True),
        ("openai-chat", ReasoningAsk(mode="off"), False),
        ("openai-chat", ReasoningAsk(show="none"), False),
    ],
)
def test_thoughts_are_asked_for_where_they_are_wanted(dialect: str, ask: ReasoningAsk, shown: bool) -> None:
    config = body(dialect=dialect, reasoning=ask, model="gemini-2.5-flash").get("generationConfig", {})
    assert bool(config.get("thinkingConfig", {}).get("includeThoughts")) is shown


def test_refused_fields_are_left_out() -> None:
    asked = Request(model="m", messages=(user("?"),), system=(Text(text="s"),))
    profile = Profile(refused_fields=frozenset({"systemInstruction"}))
    written = GEMINI.encode_request(asked, model="g", profile=profile, stream=False, losses=Losses())
    assert "systemInstruction" not in json.loads(written.body)
