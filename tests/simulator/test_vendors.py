"""What each vendor demands of a talk that goes on: its own signatures and ids, whole and in their places."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from tests.simulator.talks import (
    SCHEMAS,
    TALKS,
    AnthropicTalk,
    Change,
    GeminiTalk,
    Json,
    ResponsesTalk,
    Talk,
    changed,
    numbered_results,
)
from thalweg.canon.envelope import wrap
from thalweg.canon.losses import Losses
from thalweg.canon.parts import Reasoning, Signature, Text, ToolCall, ToolResult
from thalweg.canon.request import Message
from thalweg.canon.turns import arrange
from thalweg.dialects.registry import DIALECTS
from thalweg.profiles.base import Profile

TOOLS = tuple(SCHEMAS)
THINKING = {"type": "enabled", "budget_tokens": 1024}
INCLUDE = ["reasoning.encrypted_content"]
FOREIGN = Signature(vendor="somebody", model="m", kind="signature", data="c2lnbmVk")

each_way = pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])


def anthropic(model: str = "agent", **fields: Any) -> AnthropicTalk:
    return AnthropicTalk(model, "go", tools=TOOLS, **({"thinking": THINKING} | fields))


def responses(model: str = "agent", **fields: Any) -> ResponsesTalk:
    return ResponsesTalk(model, "go", tools=TOOLS, **({"include": INCLUDE} | fields))


def gemini(model: str = "agent", **fields: Any) -> GeminiTalk:
    return GeminiTalk(model, "go", tools=TOOLS, **fields)


def after(one: Talk, steps: int, *, stream: bool = False) -> Talk:
    """A talk after some steps, with the results of the last one."""
    results = numbered_results()
    for _ in range(steps):
        one.go_on(stream=stream, results=results)
    return one


def refusal(one: Talk, change: Change) -> str:
    """What is said to a changed talk, which unchanged is taken."""
    assert one.ask().status == 200
    one.turns = changed(one.turns, change)
    answer = one.ask()
    assert answer.status == 400, answer.body
    return str(answer.tree["error"]["message"])


MAKERS: dict[str, Callable[..., Talk]] = {"anthropic": anthropic, "openai-responses": responses, "gemini": gemini}
each_vendor = pytest.mark.parametrize("dialect", MAKERS)


@each_vendor
@each_way
@pytest.mark.parametrize("model", ["agent", "agent?seed=3", "redacted", "reasoning", "tools", "text"])
def test_a_talk_that_goes_back_as_it_came_goes_on(dialect: str, model: str, stream: bool) -> None:
    one = MAKERS[dialect](model)
    results = numbered_results()
    for _ in range(5):
        if not one.go_on(stream=stream, results=results):
            one.turns += one.user("and then?")


@each_vendor
def test_history_from_elsewhere_is_taken(dialect: str) -> None:
    histories: dict[str, list[Any]] = {
        "anthropic": [
            {"role": "user", "content": "go"},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "toolu_01AbC", "name": "now", "input": {}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_01AbC", "content": "9"}]},
        ],
        "openai-responses": [
            {"role": "user", "content": "go"},
            {"type": "reasoning", "id": "rs_elsewhere", "summary": []},
            {"type": "function_call", "id": "fc_e", "call_id": "call_e", "name": "now", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "call_e", "output": "9"},
            {"role": "assistant", "content": "nine"},
            {"role": "user", "content": "thanks"},
        ],
        "gemini": [
            {"role": "user", "parts": [{"text": "go"}]},
            {"role": "model", "parts": [{"functionCall": {"name": "now", "args": {}, "id": "x"}}]},
            {"role": "user", "parts": [{"functionResponse": {"name": "now", "response": {"output": 9}, "id": "x"}}]},
            {"role": "model", "parts": [{"text": "nine"}]},
            {"role": "user", "parts": [{"text": "thanks"}]},
        ],
    }
    one = MAKERS[dialect]("text")
    one.fields = {}
    one.turns = histories[dialect]
    assert one.ask().status == 200, one.ask().body


@pytest.mark.parametrize("dialect", ["anthropic", "openai-responses"])
@each_way
def test_calls_that_are_broken_have_ids_that_say_nothing(dialect: str, stream: bool) -> None:
    """What a client puts in the place of broken arguments is its own affair."""
    one = MAKERS[dialect]("tools?fault=args-broken")
    answer = one.read(one.ask(stream=stream), stream=stream)
    calls = [part for part in answer.choices[0].parts if isinstance(part, ToolCall)]
    assert len(calls) == 2
    replaced: list[Any] = [(call.id, call.name, {"mine": 1}) for call in calls]
    one.turns += [*_as_called(dialect, replaced), *one.results(replaced, numbered_results())]
    one.model, one.fields = "tools", {}
    assert one.ask().status == 200, one.ask().body


@each_vendor
def test_a_fault_that_empties_arguments_is_no_change_of_the_clients(dialect: str) -> None:
    one = after(MAKERS[dialect]("tools?fault=args-empty"), 1)
    one.model = "tools"
    assert one.ask().status == 200, one.ask().body


def _as_called(dialect: str, calls: list[Any]) -> list[Any]:
    if dialect == "anthropic":
        blocks = [{"type": "tool_use", "id": i, "name": name, "input": arguments} for i, name, arguments in calls]
        return [{"role": "assistant", "content": blocks}]
    return [
        {"type": "function_call", "call_id": i, "name": name, "arguments": msgspec.json.encode(arguments).decode()}
        for i, name, arguments in calls
    ]


# Anthropic.


def block(turns: list[Any], message: int, at: int) -> Json:
    found: Json = turns[message]["content"][at]
    return found


def edit(message: int, at: int, **fields: Any) -> Change:
    def change(turns: list[Any]) -> None:
        block(turns, message, at).update(fields)

    return change


def drop(message: int, at: int) -> Change:
    def change(turns: list[Any]) -> None:
        del turns[message]["content"][at]

    return change


def swap(message: int, one: int, other: int) -> Change:
    def change(turns: list[Any]) -> None:
        content = turns[message]["content"]
        content[one], content[other] = content[other], content[one]

    return change


def exchange(*places: tuple[int, int]) -> Change:
    """Put two blocks of two messages in each other's place."""

    def change(turns: list[Any]) -> None:
        (m, i), (n, j) = places
        one, other = turns[m]["content"], turns[n]["content"]
        one[i], other[j] = other[j], one[i]

    return change


def unsigned(turns: list[Any]) -> None:
    del block(turns, 1, 0)["signature"]


def reencoded(turns: list[Any]) -> None:
    signature = block(turns, 1, 0)["signature"]
    block(turns, 1, 0)["signature"] = base64.urlsafe_b64encode(base64.b64decode(signature)).decode().rstrip("=")


def flipped(turns: list[Any]) -> None:
    data = bytearray(base64.b64decode(block(turns, 1, 0)["signature"]))
    data[40] ^= 1
    block(turns, 1, 0)["signature"] = base64.b64encode(data).decode()


def thought_last(turns: list[Any]) -> None:
    content = turns[1]["content"]
    content.append(content.pop(0))


def thought_alone(turns: list[Any]) -> None:
    turns[1]["content"] = turns[1]["content"][:1]
    del turns[2]


CALLED = "messages.1.content.1: Invalid `tool_use` block"
INVALID = "messages.1.content.0: Invalid `signature` in `thinking` block"
MODIFIED = "blocks in the latest assistant message cannot be modified"
BEGINNING = (
    "messages.1.content.0.type: Expected `thinking` or `redacted_thinking`, but found `tool_use`. When `thinking`"
)
UNANSWERED = "`tool_use` ids were found without `tool_result` blocks immediately after: toolu_01"
UNASKED = "unexpected `tool_use_id` found in `tool_result` blocks: toolu_other. Each `tool_result` block must"

# Of the agent's first step: a thought and two calls, then two results.
ANTHROPIC_CHANGES: dict[str, tuple[Change, str]] = {
    "the thought has other words": (edit(1, 0, thinking="I never thought that."), INVALID),
    "a character of the thought is lost": (lambda t: edit(1, 0, thinking=block(t, 1, 0)["thinking"][:-1])(t), INVALID),
    "a bit of the signature is another": (flipped, INVALID),
    "the signature is written in the other alphabet": (reencoded, INVALID),
    "the signature is empty": (edit(1, 0, signature=""), INVALID),
    "the signature is another vendor's": (edit(1, 0, signature=FOREIGN.data), INVALID),
    "the signature is an envelope": (edit(1, 0, signature=wrap(FOREIGN)), INVALID),
    "the signature is missing": (unsigned, "messages.1.content.0.thinking.signature: Field required"),
    "the thought is missing": (drop(1, 0), BEGINNING),
    "the thought stands behind the first call": (swap(1, 0, 1), MODIFIED),
    "the thought stands behind all calls": (thought_last, MODIFIED),
    "the calls changed places": (swap(1, 1, 2), MODIFIED),
    "there is nothing but a thought": (thought_alone, MODIFIED),
    "the call has other arguments": (edit(1, 1, input={"city": "Nowhere"}), MODIFIED),
    "the second call has other arguments": (
        edit(1, 2, input={"x": 1}),
        "messages.1.content.2: Invalid `tool_use` block",
    ),
    "the second call has another name": (edit(1, 2, name="later"), "messages.1.content.2: Invalid `tool_use` block"),
    "a result is missing": (drop(2, 0), UNANSWERED),
    "a result is for another call": (edit(2, 1, tool_use_id="toolu_other"), UNANSWERED),
    "a result too many": (
        lambda t: t[2]["content"].append({"type": "tool_result", "tool_use_id": "toolu_other", "content": ""}),
        UNASKED,
    ),
    "a result twice": (lambda t: t[2]["content"].append(block(t, 2, 0)), "each tool_use must have a single result"),
    "words stand before the results": (lambda t: t[2]["content"].insert(0, {"type": "text", "text": "x"}), UNANSWERED),
    "nobody answers": (lambda t: t.pop(), UNANSWERED),
    "two calls have one id": (
        lambda t: edit(1, 2, id=block(t, 1, 1)["id"])(t),
        "messages: `tool_use` ids must be unique",
    ),
}


@pytest.mark.parametrize("case", ANTHROPIC_CHANGES)
@each_way
def test_anthropic_refuses(case: str, stream: bool) -> None:
    change, message = ANTHROPIC_CHANGES[case]
    assert message in refusal(after(anthropic(), 1, stream=stream), change)


def test_anthropic_says_so_as_it_says_everything() -> None:
    one = after(anthropic(), 1)
    one.turns = changed(one.turns, flipped)
    assert one.ask(stream=True).tree == {
        "type": "error",
        "error": {"type": "invalid_request_error", "message": INVALID},
    }


def test_anthropic_knows_thoughts_of_earlier_steps() -> None:
    assert MODIFIED in refusal(after(anthropic(), 3), exchange((1, 0), (3, 0)))
    assert MODIFIED in refusal(after(anthropic(), 2), exchange((3, 0), (1, 0)))
    assert "messages.3.content.0: Invalid `signature`" in refusal(after(anthropic(), 3), edit(3, 0, thinking="?"))


def test_anthropic_wants_no_thought_where_thinking_is_off_or_its_own_choice() -> None:
    for thinking in ({"type": "adaptive"}, {"type": "disabled"}):
        one = after(anthropic(), 2)
        one.fields = {"thinking": thinking}
        one.turns = changed(one.turns, drop(3, 0))
        assert one.ask().status == 200


def test_anthropic_wants_no_thought_before_a_task_that_is_done() -> None:
    one = after(anthropic(), 4)
    one.turns = changed(one.turns + one.user("again"), drop(1, 0))
    assert one.ask().status == 200


def test_anthropic_takes_an_equal_way_to_write_arguments() -> None:
    one = after(anthropic(), 3)
    nested = one.turns[5]["content"][1]["input"]
    block(one.turns, 5, 1)["input"] = dict(reversed(nested.items())) | {"city": nested["city"]}
    assert one.ask().status == 200


def test_anthropic_gives_out_redacted_thoughts_and_wants_them_back() -> None:
    one = after(anthropic("redacted"), 1)
    assert block(one.turns, 1, 0)["type"] == "redacted_thinking"
    one.turns += one.user("more")
    assert one.ask().status == 200
    assert "Invalid `data` in `redacted_thinking` block" in refusal(one, edit(1, 0, data="c2lnbmVk"))


def test_anthropic_omits_the_words_of_a_thought_and_signs_it_all_the_same() -> None:
    one = anthropic(thinking={"type": "adaptive", "display": "omitted"})
    after(one, 2)
    assert block(one.turns, 1, 0)["thinking"] == ""
    assert INVALID in refusal(one, edit(1, 0, thinking="made up"))


def test_anthropics_ids_look_like_its_own() -> None:
    answer = anthropic().ask()
    assert answer.tree["id"].startswith("msg_01")
    assert answer.headers[b"request-id"].startswith(b"req_011")
    for _, call, _ in [(0, block["id"], 0) for block in answer.tree["content"] if block["type"] == "tool_use"]:
        assert call.startswith("toolu_01")
        assert len(call) == 30


def test_anthropic_wants_more_than_a_thought_that_was_cut() -> None:
    one = anthropic("reasoning", max_tokens=3)
    one.turns += one.said(one.ask(), stream=False)
    assert [each["type"] for each in one.turns[1]["content"]] == ["thinking"]
    one.turns += one.user("go on")
    assert one.ask().tree["error"]["message"] == (
        "messages.1: The final block in an assistant message cannot be `thinking`."
    )
    one.turns[1]["content"].append({"type": "text", "text": "mine"})
    assert one.ask().status == 200


@pytest.mark.parametrize("dialect", ["anthropic", "openai-responses"])
def test_a_call_that_was_cut_may_be_mended(dialect: str) -> None:
    caps = {"anthropic": ("max_tokens", {}), "openai-responses": ("max_output_tokens", {"include": INCLUDE})}
    field, fields = caps[dialect]
    one = TALKS[dialect]("agent?seed=1", "go", tools=TOOLS, **fields)
    usage = one.read(one.ask(), stream=False).usage
    assert usage is not None
    one.fields[field] = (usage.output_tokens or 0) - 3
    cut = one.read(one.ask(stream=True), stream=True).choices[0].parts
    calls: list[Any] = [(c.id, c.name, {"city": "mended"}) for c in cut if isinstance(c, ToolCall)]
    assert len(calls) == 1
    one.turns += [*_as_called(dialect, calls), *one.results(calls, numbered_results())]
    assert one.ask().status == 200, one.ask().body


def test_anthropic_takes_instructions_between_the_turns() -> None:
    one = after(anthropic(), 2)
    one.turns.append({"role": "system", "content": "Be brief."})
    assert one.ask().status == 200


# OpenAI.


def item(turns: list[Any], at: int) -> Json:
    found: Json = turns[at]
    return found


def set_in(at: int, **fields: Any) -> Change:
    def change(turns: list[Any]) -> None:
        item(turns, at).update(fields)

    return change


def remove(*places: int) -> Change:
    def change(turns: list[Any]) -> None:
        for at in sorted(places, reverse=True):
            del turns[at]

    return change


def move(at: int, to: int) -> Change:
    def change(turns: list[Any]) -> None:
        turns.insert(to, turns.pop(at))

    return change


def bit(turns: list[Any]) -> None:
    data = bytearray(base64.urlsafe_b64decode(item(turns, 1)["encrypted_content"]))
    data[100] ^= 1
    item(turns, 1)["encrypted_content"] = base64.urlsafe_b64encode(data).decode()


UNVERIFIED = "could not be verified. Reason: Encrypted content could not be decrypted or parsed."
UNFOLLOWED = "of type 'reasoning' was provided without its required following item."
UNLED = "was provided without its required 'reasoning' item: 'rs_"

# Of the agent's first step: the prompt, the reasoning, two calls, two outputs.
RESPONSES_CHANGES: dict[str, tuple[Change, str]] = {
    "a bit of the ciphertext is another": (bit, UNVERIFIED),
    "the ciphertext is another vendor's": (set_in(1, encrypted_content=FOREIGN.data), UNVERIFIED),
    "the ciphertext is an envelope": (set_in(1, encrypted_content=wrap(FOREIGN)), UNVERIFIED),
    "the summary has words": (set_in(1, summary=[{"type": "summary_text", "text": "?"}]), UNVERIFIED),
    "the reasoning is missing": (remove(1), UNLED),
    "the reasoning stands behind the calls": (move(1, 3), UNLED),
    "the reasoning stands behind the calls, and these have no ids": (
        lambda t: (move(1, 3)(t), item(t, 1).pop("id"), item(t, 2).pop("id"))[0],
        UNFOLLOWED,
    ),
    "the reasoning is the last": (
        lambda t: (t.append(t.pop(1)), [each.pop("id", 0) for each in t[1:3]])[0],
        UNFOLLOWED,
    ),
    "the calls changed places": (move(2, 3), UNFOLLOWED),
    "the call has other arguments": (set_in(2, arguments='{"city":"Nowhere"}'), "Invalid 'input[2]'"),
    "the second call has other arguments": (set_in(3, arguments='{"x":1}'), "Invalid 'input[3]'"),
    "the second call has another name": (set_in(3, name="later"), "Invalid 'input[3]'"),
    "an output is missing": (remove(5), "No tool output found for function call call_"),
    "an output is for another call": (
        set_in(5, call_id="call_other"),
        "No tool call found for function call output with call_id call_other.",
    ),
    "an output comes before its call": (move(4, 1), "No tool call found for function call output with call_id call_"),
    "a call is missing": (remove(3), "No tool call found for function call output with call_id call_"),
    "an item stands twice": (lambda t: t.insert(1, dict(item(t, 1))), "Duplicate item found with id rs_"),
}


@pytest.mark.parametrize("case", RESPONSES_CHANGES)
@each_way
def test_openai_refuses(case: str, stream: bool) -> None:
    change, message = RESPONSES_CHANGES[case]
    one = after(responses(), 1, stream=stream)
    assert [each.get("type") for each in one.turns[1:]] == [
        "reasoning",
        "function_call",
        "function_call",
        "function_call_output",
        "function_call_output",
    ]
    said = refusal(one, change)
    # A call that differs is no longer what its reasoning led to, and either may be said.
    assert message in said or ("Invalid 'input[2]'" in message and UNFOLLOWED in said)


def test_openai_says_so_as_it_says_everything() -> None:
    one = after(responses(), 1)
    one.turns = changed(one.turns, bit)
    error = one.ask().tree["error"]
    assert (error["type"], error["code"], error["param"]) == (
        "invalid_request_error",
        "invalid_encrypted_content",
        None,
    )
    assert error["message"].startswith("The encrypted content gAAA...")
    one = after(responses(), 1)
    one.turns = changed(one.turns, remove(1))
    error = one.ask().tree["error"]
    assert (error["type"], error["code"], error["param"]) == ("invalid_request_error", None, "input")


def test_openai_always_has_a_reasoning_item_and_its_ciphertext_where_that_is_included() -> None:
    for fields, summary, encrypted in (
        ({}, False, False),
        ({"include": INCLUDE}, False, True),
        ({"include": INCLUDE, "reasoning": {"summary": "auto"}}, True, True),
        ({"reasoning": {"summary": "detailed"}}, True, False),
    ):
        for stream in (True, False):
            one = ResponsesTalk("reasoning", "go", **fields)
            thought = one.said(one.ask(stream=stream), stream=stream)[0]
            assert thought["type"] == "reasoning"
            assert bool(thought["summary"]) is summary
            assert ("encrypted_content" in thought) is encrypted


def test_openai_keeps_items_unless_it_is_told_not_to() -> None:
    assert after(responses(include=[]), 3).ask().status == 200
    one = after(responses(include=[]), 1)
    one.fields = {"store": False}
    answer = one.ask()
    assert answer.status == 404
    assert "Items are not persisted when `store` is set to false." in answer.tree["error"]["message"]


def test_openai_wants_what_followed_a_reasoning_that_it_keeps() -> None:
    one = after(responses(include=[]), 1)
    assert UNFOLLOWED in refusal(one, lambda t: (move(1, 3)(t), item(t, 1).pop("id"), item(t, 2).pop("id"))[0])


def test_openai_takes_an_item_by_its_name() -> None:
    one = after(responses("reasoning"), 1)
    one.turns[2] = {"type": "item_reference", "id": one.turns[2]["id"]}
    one.turns += one.user("more")
    assert one.ask().status == 200


def test_openai_takes_items_without_ids() -> None:
    one = after(responses(store=False), 2)
    for each in one.turns:
        each.pop("id", None)
    assert one.ask().status == 200
    one.turns = changed(one.turns, bit)
    assert one.ask().status == 400


def test_openai_takes_a_part_of_a_talk_whose_rest_it_keeps() -> None:
    one = after(responses(), 1)
    one.turns = one.turns[4:]
    assert one.ask().status == 400
    one.fields = {"previous_response_id": "resp_1"}
    assert one.ask().status == 200


def test_openais_ids_look_like_its_own() -> None:
    answer = responses().ask(stream=True)
    output = answer.payloads[-1]["response"]["output"]
    assert [each["id"][:3] for each in output] == ["rs_", "fc_", "fc_"]
    assert {len(each["id"].partition("_")[2]) for each in output} == {50}
    assert all(each["call_id"].startswith("call_") and len(each["call_id"]) == 29 for each in output[1:])
    assert answer.payloads[0]["response"]["id"].startswith("resp_")
    named = {payload["item_id"] for payload in answer.payloads if "item_id" in payload}
    assert named <= {each["id"] for each in output}
    assert b"_gw" not in answer.body


# Google.


def part(turns: list[Any], content: int, at: int) -> Json:
    found: Json = turns[content]["parts"][at]
    return found


def in_call(content: int, at: int, **fields: Any) -> Change:
    def change(turns: list[Any]) -> None:
        part(turns, content, at)["functionCall"].update(fields)

    return change


def sign(content: int, at: int, value: str) -> Change:
    def change(turns: list[Any]) -> None:
        part(turns, content, at)["thoughtSignature"] = value

    return change


def unsign(content: int, at: int) -> Change:
    def change(turns: list[Any]) -> None:
        del part(turns, content, at)["thoughtSignature"]

    return change


def resign(content: int, at: int, to: int) -> Change:
    """The signature lies on another part."""

    def change(turns: list[Any]) -> None:
        part(turns, content, to)["thoughtSignature"] = part(turns, content, at).pop("thoughtSignature")

    return change


def without_part(content: int, at: int) -> Change:
    def change(turns: list[Any]) -> None:
        del turns[content]["parts"][at]

    return change


def flip_signature(turns: list[Any]) -> None:
    data = bytearray(base64.b64decode(part(turns, 1, 0)["thoughtSignature"]))
    data[60] ^= 1
    part(turns, 1, 0)["thoughtSignature"] = base64.b64encode(data).decode()


MISSING = "Function call is missing a thought_signature in functionCall parts."
CORRUPTED = "Corrupted thought signature."
UNEQUAL = "Please ensure that the number of function response parts is equal to the number of function call parts"

# Of the agent's first step: two calls, then two responses.
GEMINI_CHANGES: dict[str, tuple[Change, str]] = {
    "the first call is not signed": (unsign(1, 0), MISSING),
    "a bit of the signature is another": (flip_signature, CORRUPTED),
    "the signature is another vendor's": (sign(1, 0, FOREIGN.data), CORRUPTED),
    "the signature is an envelope": (sign(1, 0, base64.b64encode(wrap(FOREIGN).encode()).decode()), CORRUPTED),
    "the signature lies on the second call": (resign(1, 0, 1), CORRUPTED),
    "both calls have it": (lambda t: sign(1, 1, part(t, 1, 0)["thoughtSignature"])(t), CORRUPTED),
    "the first call has other arguments": (in_call(1, 0, args={"city": "Nowhere"}), CORRUPTED),
    "the first call has another name": (in_call(1, 0, name="later"), CORRUPTED),
    "the calls changed places": (lambda t: t[1]["parts"].reverse(), CORRUPTED),
    "a response is missing": (without_part(2, 0), UNEQUAL),
    "a call is missing": (without_part(1, 1), UNEQUAL),
    "a response too many": (lambda t: t[2]["parts"].append(part(t, 2, 0)), UNEQUAL),
    "nobody responds": (lambda t: t.pop(), UNEQUAL),
    "there is no call at all": (lambda t: t.pop(1), "function response turn comes immediately after a function call"),
    "the talk begins with the call": (lambda t: t.pop(0), "function call turn comes immediately after a user turn"),
}


@pytest.mark.parametrize("case", GEMINI_CHANGES)
def test_google_refuses(case: str) -> None:
    change, message = GEMINI_CHANGES[case]
    assert message in refusal(after(gemini(), 1), change)


def test_google_says_so_as_it_says_everything() -> None:
    one = after(gemini(), 1)
    one.turns = changed(one.turns, unsign(1, 0))
    error = one.ask().tree["error"]
    assert (error["code"], error["status"]) == (400, "INVALID_ARGUMENT")
    assert "function call `default_api:get_weather` , position 2." in error["message"]


@each_way
def test_google_signs_the_first_call_of_each_step_and_gives_no_ids(stream: bool) -> None:
    one = after(gemini(), 3, stream=stream)
    calls = [part for content in one.turns for part in content["parts"] if "functionCall" in part]
    assert ["thoughtSignature" in part for part in calls] == [True, False, True, True]
    assert all("id" not in part["functionCall"] for part in calls)
    assert len({part["thoughtSignature"] for part in calls if "thoughtSignature" in part}) == 3


def test_google_knows_signatures_of_earlier_steps() -> None:
    def exchanged(turns: list[Any]) -> None:
        one, other = part(turns, 3, 0), part(turns, 1, 0)
        one["thoughtSignature"], other["thoughtSignature"] = other["thoughtSignature"], one["thoughtSignature"]

    assert CORRUPTED in refusal(after(gemini(), 2), exchanged)
    assert MISSING in refusal(after(gemini(), 2), unsign(1, 0))


def test_google_wants_no_signature_of_a_task_that_is_done() -> None:
    one = after(gemini(), 4)
    one.turns = changed(one.turns + one.user("again"), unsign(1, 0))
    assert one.ask().status == 200


@pytest.mark.parametrize(
    "value",
    ["skip_thought_signature_validator", base64.b64encode(b"skip_thought_signature_validator").decode()],
)
def test_google_takes_the_word_for_a_signature_that_is_lost(value: str) -> None:
    one = after(gemini(), 2)
    one.turns = changed(one.turns, sign(1, 0, value))
    assert one.ask().status == 200


def test_google_takes_either_spelling_and_either_alphabet() -> None:
    def respelled(turns: list[Any]) -> None:
        for content in turns:
            for each in content["parts"]:
                if "functionCall" in each:
                    each["function_call"] = each.pop("functionCall")
                if "functionResponse" in each:
                    each["function_response"] = each.pop("functionResponse")
                if "thoughtSignature" in each:
                    data = base64.b64decode(each.pop("thoughtSignature"))
                    each["thought_signature"] = base64.urlsafe_b64encode(data).decode().rstrip("=")

    one = after(gemini(), 2)
    one.turns = changed(one.turns, respelled)
    assert one.ask().status == 200
    for content in one.turns:
        for each in content["parts"]:
            each.pop("thought_signature", None)
    assert MISSING in one.ask().tree["error"]["message"]


def test_google_signs_no_thought() -> None:
    one = after(gemini(generationConfig={"thinkingConfig": {"includeThoughts": True}}), 1)
    assert part(one.turns, 1, 0)["thought"] is True
    assert CORRUPTED in refusal(one, resign(1, 1, 0))


@pytest.mark.parametrize("value", ["!", "Eq", "AAAA" * 40])
def test_google_takes_nothing_else_for_a_signature(value: str) -> None:
    refusal(after(gemini(), 1), sign(1, 0, value))


def test_google_signs_the_end_of_a_text() -> None:
    streamed, whole = after(gemini("text"), 1, stream=True), after(gemini("text"), 1)
    parts = [part for content in streamed.turns[1:] for part in content["parts"]]
    signed = [part for part in parts if "thoughtSignature" in part]
    assert [part["text"] for part in signed] == [""]
    assert [sorted(part) for part in whole.turns[1]["parts"]] == [["text", "thoughtSignature"]]
    for one in (streamed, whole):
        one.turns += one.user("more")
        assert one.ask().status == 200

    def other_words(turns: list[Any]) -> None:
        turns[1]["parts"][0]["text"] += "?"

    assert CORRUPTED in refusal(streamed, other_words)
    assert CORRUPTED in refusal(whole, other_words)


@pytest.mark.parametrize("more", ["", "?"], ids=["all its words", "one more"])
def test_google_takes_a_signature_that_was_merged_into_the_text_before_it(more: str) -> None:
    """As @ai-sdk/google does it."""
    one = after(gemini("text"), 1, stream=True)
    one.turns += one.user("more")

    def merged(turns: list[Any]) -> None:
        parts = [part for content in turns[1:-1] for part in content["parts"]]
        text = "".join(part["text"] for part in parts)
        signature = next(part["thoughtSignature"] for part in parts if "thoughtSignature" in part)
        turns[1:-1] = [{"role": "model", "parts": [{"text": text + more, "thoughtSignature": signature}]}]

    if more:
        assert CORRUPTED in refusal(one, merged)
    else:
        one.turns = changed(one.turns, merged)
        assert one.ask().status == 200


def test_google_wants_no_signature_of_a_text() -> None:
    one = after(gemini("text"), 1)
    one.turns = changed(one.turns + one.user("more"), unsign(1, 0))
    assert one.ask().status == 200


# The whole way through the canon.


ASKS: dict[str, dict[str, Any]] = {
    "anthropic": {"thinking": THINKING},
    "openai-responses": {"include": INCLUDE, "reasoning": {"summary": "auto"}},
    "gemini": {"generationConfig": {"thinkingConfig": {"includeThoughts": True}}},
}


@each_vendor
def test_what_its_dialect_reads_and_writes_is_taken_back(dialect: str) -> None:
    """A talk kept as the canon has it, and written anew for each step."""
    spoken = DIALECTS[dialect]
    one = TALKS[dialect]("agent", "go", tools=TOOLS, **ASKS[dialect])
    asked = spoken.read_request(
        msgspec.json.encode(one.body(stream=True) | one.fields), one.target(stream=True)
    ).canon()
    messages = list(asked.messages)
    for step in range(4):
        request = msgspec.structs.replace(asked, messages=arrange(messages, Losses()), stream=True)
        written = spoken.encode_request(request, model="agent", profile=Profile(), stream=True, losses=Losses())
        one.turns = msgspec.json.decode(written.body)[one.turns_field]
        answer = one.ask(stream=True)
        assert answer.status == 200, answer.body
        said = one.read(answer, stream=True).choices[0]
        messages.append(Message(role="assistant", parts=said.parts))
        assert any(isinstance(part, Reasoning) for part in said.parts)
        calls = [part for part in said.parts if isinstance(part, ToolCall)]
        assert bool(calls) is (step < 3)
        results = tuple(ToolResult(call_id=c.id, name=c.name, parts=(Text(text="9"),)) for c in calls)
        messages.append(Message(role="user", parts=results or (Text(text="again"),)))
