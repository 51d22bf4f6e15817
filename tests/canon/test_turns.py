"""The order of a talk: merged, answered, named so that everybody takes it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thalweg.canon.errors import InvalidRequest, UnsupportedParameter
from thalweg.canon.losses import Losses
from thalweg.canon.parts import Part, Reasoning, Text, ToolCall, ToolResult
from thalweg.canon.request import Message
from thalweg.canon.turns import NO_RESULT, arrange


def user(*parts: Part) -> Message:
    return Message(role="user", parts=parts)


def assistant(*parts: Part) -> Message:
    return Message(role="assistant", parts=parts)


def system(text: str) -> Message:
    return Message(role="system", parts=(Text(text=text),))


def call(call_id: str, name: str = "f") -> ToolCall:
    return ToolCall(id=call_id, name=name, arguments="{}")


def result(call_id: str, text: str = "r") -> ToolResult:
    return ToolResult(call_id=call_id, parts=(Text(text=text),))


Q, A = Text(text="q"), Text(text="a")
LACKING = ToolResult(call_id="x", parts=(Text(text=NO_RESULT),), name="f", is_error=True)

TALKS = {
    "nothing to do": ((user(Q), assistant(A)), (user(Q), assistant(A))),
    "one role in a row": ((user(Q), user(A), assistant(A), assistant(Q)), (user(Q, A), assistant(A, Q))),
    "instructions stay apart": ((system("1"), system("2"), user(Q)), (system("1"), system("2"), user(Q))),
    "empty turns go": ((user(), assistant(A), user(), assistant(Q), user(Q)), (assistant(A, Q), user(Q))),
    "results first, in the order of the calls": (
        (assistant(call("a"), call("b")), user(Q, result("b", "2")), user(result("a", "1"))),
        (assistant(call("a"), call("b")), user(result("a", "1"), result("b", "2"), Q)),
    ),
    "an instruction between": (
        (assistant(call("a")), system("s"), user(result("a"))),
        (assistant(call("a")), user(result("a")), system("s")),
    ),
    "two results of one call": (
        (assistant(call("a")), user(result("a", "1"), result("a", "2"))),
        (assistant(call("a")), user(ToolResult(call_id="a", parts=(Text(text="1"), Text(text="2"))))),
    ),
    "a call at the end waits": ((user(Q), assistant(call("a"))), (user(Q), assistant(call("a")))),
    "two steps whose calls have one id": (
        (assistant(call("a")), user(result("a", "1")), assistant(call("a")), user(result("a", "2"))),
        (assistant(call("a")), user(result("a", "1")), assistant(call("a")), user(result("a", "2"))),
    ),
    "a server's own call is nobody's to answer": (
        (assistant(ToolCall(id="s", name="search", arguments="", kind="server"), A), user(Q)),
        (assistant(ToolCall(id="s", name="search", arguments="", kind="server"), A), user(Q)),
    ),
}


@pytest.mark.parametrize("name", TALKS)
def test_a_talk_is_put_in_order(name: str) -> None:
    said, wanted = TALKS[name]
    losses = Losses("strict")
    assert arrange(said, losses) == wanted
    assert losses.names == ()
    assert arrange(wanted, Losses("strict")) == wanted, "what is in order stays"


def test_a_call_that_nobody_answered_gets_a_result_that_says_so() -> None:
    losses = Losses()
    said = (assistant(call("x"), call("y")), user(result("y"), Q))
    assert arrange(said, losses) == (assistant(call("x"), call("y")), user(LACKING, result("y"), Q))
    assert losses.names == ("messages",)
    with pytest.raises(UnsupportedParameter):
        arrange(said, Losses("strict"))


@pytest.mark.parametrize("said", [(user(result("x"), Q),), (assistant(call("a")), user(result("x"), result("a")))])
def test_a_result_without_its_call_is_refused_and_becomes_text_for_the_lenient(said: tuple[Message, ...]) -> None:
    with pytest.raises(InvalidRequest, match="belongs to no tool call") as caught:
        arrange(said, Losses())
    assert caught.value.param == "messages"
    losses = Losses("lenient")
    out = arrange(said, losses)
    assert Text(text="r") in [part for message in out for part in message.parts]
    assert not any(isinstance(part, ToolResult) and part.call_id == "x" for m in out for part in m.parts)
    assert losses.names == ("messages",)


@pytest.mark.parametrize("call_id", ["functions.weather:0", "x" * 116, "工具", "a b"])
def test_ids_get_a_form_that_fits_everywhere_and_stays_the_same(call_id: str) -> None:
    said = (assistant(call(call_id)), user(result(call_id)))
    out = arrange(said, Losses("strict"))
    (named,) = [part.id for part in out[0].parts if isinstance(part, ToolCall)]
    assert [part.call_id for part in out[1].parts if isinstance(part, ToolResult)] == [named]
    assert len(named) <= 40
    assert named.replace("_", "").isalnum() and named.isascii()
    assert arrange(said, Losses()) == out


IDS = st.sampled_from(["a", "b", "c:d"])
PARTS: st.SearchStrategy[Part] = st.one_of(
    st.builds(Text, text=st.text(max_size=3)),
    st.builds(Reasoning, text=st.just("t")),
    st.builds(call, IDS),
    st.builds(result, IDS),
)
MESSAGES = st.builds(
    Message, role=st.sampled_from(["user", "assistant", "system"]), parts=st.lists(PARTS, max_size=4).map(tuple)
)


@given(st.lists(MESSAGES, max_size=6).map(tuple))
def test_whatever_came_every_call_has_its_result_and_every_result_its_call(said: tuple[Message, ...]) -> None:
    out = arrange(said, Losses("lenient"))
    assert arrange(out, Losses("lenient")) == out
    for at, message in enumerate(out):
        calls = [part.id for part in message.parts if isinstance(part, ToolCall) and message.role == "assistant"]
        if calls and at + 1 < len(out):
            after = [part.call_id for part in out[at + 1].parts if isinstance(part, ToolResult)]
            assert after == calls
